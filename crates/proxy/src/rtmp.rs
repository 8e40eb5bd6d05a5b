//! RTMP through the proxy.
//!
//! Owns: the way of an RTMP session: its opening (`session`), the origin that takes it (`origin`), and the bytes
//! afterwards (`forward`). Does not: know the chunk stream's rules (`weir_rtmp::transit` does) or move bytes
//! itself where they pass unseen (`weir_net::relay` does).

mod client;
mod end;
mod forward;
mod hand_over;
mod origin;
mod session;

use std::net::TcpListener;
use std::sync::Arc;

use weir_net::door::Door;

use crate::context::Context;

/// Serves RTMP connections from `listener` on this core until the drain. `door` is what stands before the protocol.
pub async fn serve(context: Context, listener: TcpListener, door: Arc<Door>) {
    let shutdown = context.core.shutdown().clone();
    let result = weir_net::listen::accept(listener, &shutdown, |stream, peer| {
        let session = session::run(context.clone(), stream, peer, Arc::clone(&door));
        context.core.spawn(session);
    })
    .await;
    if let Err(error) = result {
        tracing::error!(%error, "rtmp listener failed");
    }
}
