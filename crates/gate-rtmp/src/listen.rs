//! Accepting RTMP connections on a core.
//!
//! Owns: the step from an accepted socket to a served session, and the refusal of those over a limit. Does not: speak
//! RTMP (`connection` does).

use std::net::{SocketAddr, TcpListener};

use tokio::net::TcpStream;
use weir_gate::{Gate, Opened};
use weir_net::socket::Socket;

use crate::PROTOCOL;
use crate::connection::Connection;

/// Settings of the RTMP gate that need a restart to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Chunk size of what the server sends, in bytes. It is part of the shared log's bytes.
    pub chunk_size: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { chunk_size: 60_000 }
    }
}

/// Serves connections from `listener` on this core until the drain.
pub async fn serve(gate: Gate, listener: TcpListener, settings: Settings) {
    let shutdown = gate.core.shutdown().clone();
    let result = weir_net::listen::accept(listener, &shutdown, |stream, peer| {
        open(&gate, stream, peer, settings);
    })
    .await;
    if let Err(error) = result {
        tracing::error!(%error, "rtmp listener failed");
    }
}

fn open(gate: &Gate, stream: TcpStream, peer: SocketAddr, settings: Settings) {
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
    let opened = Opened::new(gate, PROTOCOL, peer, permit);
    let connection = Connection::new(gate.clone(), opened, socket, refusal, settings);
    gate.core.spawn(connection.run());
}
