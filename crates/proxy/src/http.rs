//! HTTP through the proxy: FLV and TS streams, playlists, segments, static files.
//!
//! Owns: the way of a request to the origin of its stream and of the answer back. Does not: place streams.

use std::net::TcpListener;
use std::sync::Arc;

use weir_net::door::Door;

use crate::context::Context;

/// Serves HTTP connections from `listener` on this core until the drain. `door` is what stands before the protocol.
pub async fn serve(context: Context, listener: TcpListener, door: Arc<Door>) {
    let _ = (context, listener, door);
}
