//! From a host name to a connection.
//!
//! Owns: the look-up, and trying each address in turn. Does not: speak HTTP.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use weir_net::clock;

use super::Cause;

/// Most addresses of a name that are tried. Large services answer with a handful, each a whole server.
const MOST_ADDRESSES: usize = 8;

/// Connects to `host` within `limit`, the look-up included. Each address gets an equal share of the time left, so that
/// one that swallows packets does not keep the others from being tried.
pub(super) async fn connect(
    host: &str,
    port: u16,
    limit: Duration,
) -> Result<(TcpStream, SocketAddr), Cause> {
    let unknown = |error: io::Error| Cause::Dns {
        host: host.to_owned(),
        error,
    };
    let deadline = clock::now() + limit;
    let found = tokio::time::timeout_at(deadline.into(), lookup_host((host, port))).await;
    let found = found.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
    let addresses: Vec<SocketAddr> = found.map_err(unknown)?.take(MOST_ADDRESSES).collect();
    let mut failed = unknown(ErrorKind::NotFound.into());
    for (left, &address) in (1..=addresses.len() as u32).rev().zip(&addresses) {
        let share = deadline.saturating_duration_since(clock::now()) / left;
        let connected = tokio::time::timeout(share, TcpStream::connect(address)).await;
        match connected.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into())) {
            Ok(stream) => return Ok((stream, address)),
            Err(error) => failed = Cause::Connect { address, error },
        }
    }
    Err(failed)
}
