//! RTMP through the proxy.
//!
//! Owns: the way of an RTMP session: opening, origin, forwarding. Does not: know the chunk stream's rules
//! (`weir-rtmp` does) or move bytes itself (`weir_net::relay` does).

use std::net::TcpListener;
use std::sync::Arc;

use weir_net::door::Door;

use crate::context::Context;

/// Serves RTMP connections from `listener` on this core until the drain. `door` is what stands before the protocol.
pub async fn serve(context: Context, listener: TcpListener, door: Arc<Door>) {
    let _ = (context, listener, door);
}
