//! Accepting HTTP connections on a core.
//!
//! Owns: the step from an accepted socket to a served connection, and the refusal of those over a limit. Does not:
//! speak HTTP (`connection` does).

use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;

use tokio::net::TcpStream;
use weir_gate::Gate;
use weir_net::socket::Socket;

use crate::PROTOCOL;
use crate::connection::{self, Accepted};

/// Settings of the FLV gate that need a restart to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Which pages may read streams in a browser: `*` for all, else their origins separated by commas; empty for none.
    pub cors_origin: String,
    /// Longest head of a request, in bytes.
    ///
    /// It also bounds what a client may send ahead while a stream is under way.
    pub max_head_bytes: usize,
    /// Let clients publish by POST and PUT.
    pub publish: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cors_origin: "*".to_owned(),
            max_head_bytes: 16 << 10,
            publish: true,
        }
    }
}

/// Serves connections from `listener` on this core until the drain.
pub async fn serve(gate: Gate, listener: TcpListener, settings: Settings) {
    let shutdown = gate.core.shutdown().clone();
    let settings = Rc::new(settings);
    let result = weir_net::listen::accept(listener, &shutdown, |stream, peer| {
        open(&gate, stream, peer, &settings);
    })
    .await;
    if let Err(error) = result {
        tracing::error!(%error, "http listener failed");
    }
}

fn open(gate: &Gate, stream: TcpStream, peer: SocketAddr, settings: &Rc<Settings>) {
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
        .spawn(connection::run(gate.clone(), accepted, Rc::clone(settings)));
}
