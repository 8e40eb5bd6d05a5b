//! Accepting HTTP connections on a core.
//!
//! Owns: the step from an accepted socket to a served connection, and the refusal of those over a limit. Does not:
//! speak HTTP (`connection` does).

use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;

use tokio::net::TcpStream;
use weir_gate::Gate;
use weir_http::pages::Pages;
use weir_hub::Hub;
use weir_media::StreamKey;
use weir_net::socket::Socket;

use crate::PROTOCOL;
use crate::connection::{self, Accepted};
use crate::shelf::{Desk, Shelf};
use crate::target::Known;

/// Settings of the HTTP gate that need a restart to change.
#[derive(Clone)]
pub struct Settings {
    /// Which pages may read streams in a browser: `*` for all, else their origins separated by commas; empty for none.
    pub cors_origin: String,
    /// Longest head of a request, in bytes.
    ///
    /// It also bounds what a client may send ahead while a stream is under way.
    pub max_head_bytes: usize,
    /// Let clients publish by POST and PUT.
    pub publish: bool,
    /// Where segments are; without one there are only endless streams.
    pub shelf: Option<Shelf>,
    /// The application's pages and API; without them there is one page that says what this port does.
    pub pages: Option<Pages>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("cors_origin", &self.cors_origin)
            .field("max_head_bytes", &self.max_head_bytes)
            .field("publish", &self.publish)
            .finish_non_exhaustive()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cors_origin: "*".to_owned(),
            max_head_bytes: 16 << 10,
            publish: true,
            shelf: None,
            pages: None,
        }
    }
}

/// A port as one core sees it.
pub(crate) struct Port {
    pub(crate) settings: Settings,
    pub(crate) desk: Option<Desk>,
}

/// What names on a port are looked up in.
pub(crate) struct Streams<'a> {
    pub(crate) hub: &'a Hub,
    pub(crate) desk: Option<&'a Desk>,
}

impl Known for Streams<'_> {
    fn is_live(&self, key: &StreamKey) -> bool {
        self.hub.is_live(key)
    }

    fn has_files(&self, key: &StreamKey) -> bool {
        self.desk.is_some_and(|desk| desk.knows(key))
    }
}

/// Serves connections from `listener` on this core until the drain.
pub async fn serve(gate: Gate, listener: TcpListener, settings: Settings) {
    let shutdown = gate.core.shutdown().clone();
    let desk = settings.shelf.clone();
    let desk = desk.map(|shelf| Desk::new(shelf, gate.core.clone()));
    let port = Rc::new(Port { settings, desk });
    let result = weir_net::listen::accept(listener, &shutdown, |stream, peer| {
        open(&gate, stream, peer, &port);
    })
    .await;
    if let Err(error) = result {
        tracing::error!(%error, "http listener failed");
    }
}

fn open(gate: &Gate, stream: TcpStream, peer: SocketAddr, port: &Rc<Port>) {
    let Some((permit, refusal)) = gate.admit(PROTOCOL, peer) else {
        return;
    };
    let socket = match Socket::new(stream, peer) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::debug!(%peer, %error, "connection ended before it began");
            return;
        }
    };
    let accepted = Accepted {
        socket,
        permit,
        refusal,
    };
    gate.core
        .spawn(connection::run(gate.clone(), accepted, Rc::clone(port)));
}
