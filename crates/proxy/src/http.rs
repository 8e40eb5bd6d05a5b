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
mod origin;
mod playlist;
mod publish;
mod relayed;
mod request;
mod routes;
mod target;

use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpStream;
use weir_net::door::Door;

use crate::context::Context;

/// What the HTTP connections of a core share.
#[derive(Debug)]
struct Shared {
    context: Context,
    door: Arc<Door>,
    pool: Rc<origin::Pool>,
    routes: routes::Memory,
}

/// Serves HTTP connections from `listener` on this core until the drain. `door` is what stands before the protocol.
pub async fn serve(context: Context, listener: TcpListener, door: Arc<Door>) {
    let shutdown = context.core.shutdown().clone();
    let shared = Rc::new(Shared {
        context,
        door,
        pool: Rc::default(),
        routes: routes::Memory::default(),
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
