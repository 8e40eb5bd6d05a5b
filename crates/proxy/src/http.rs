//! HTTP through the proxy: FLV and TS streams, playlists, segments, static files.
//!
//! Owns: accepting, and the way of a request to the origin of its stream and of the answer back: `target` says what
//! is asked for, `routes` which stream and origin it belongs to, `forward` asks there, `relayed` makes the head of the
//! answer, `body` moves what follows. Does not: place streams, know frames, or keep media.

mod answer;
mod body;
mod client;
mod connection;
mod end;
mod files;
mod forward;
mod lists;
mod origin;
mod pages;
mod playlist;
mod publish;
mod relayed;
mod request;
mod returning;
mod routes;
mod target;

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpStream;
use weir_http::pages::Pages;
use weir_net::door::Door;

use crate::context::Context;

/// What the HTTP connections of a core share.
struct Shared {
    context: Context,
    door: Arc<Door>,
    pool: Rc<origin::Pool>,
    routes: routes::Memory,
    lists: lists::Lists,
    /// Answers what is no stream, where the application has something there.
    pages: Option<Pages>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

/// Serves HTTP connections from `listener` on this core until the drain. `door` is what stands before the protocol;
/// `pages` answers for `/`, `/console/` and `/api/`, where no static file of that name is served.
pub async fn serve(context: Context, listener: TcpListener, door: Arc<Door>, pages: Option<Pages>) {
    let shutdown = context.core.shutdown().clone();
    let shared = Rc::new(Shared {
        context,
        door,
        pool: Rc::default(),
        routes: routes::Memory::default(),
        lists: lists::Lists::default(),
        pages,
    });
    let accepted = weir_net::listen::accept(listener, &shutdown, |stream, peer| {
        open(&shared, stream, peer);
    });
    if let Err(error) = accepted.await {
        tracing::error!(%error, "http listener failed");
    }
}

fn open(shared: &Rc<Shared>, stream: TcpStream, peer: SocketAddr) {
    let run = connection::run(Rc::clone(shared), stream, peer);
    shared.context.core.spawn(run);
}
