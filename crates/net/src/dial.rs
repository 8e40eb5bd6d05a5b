//! From a host name to a connection.
//!
//! Owns: the look-up, and trying each address in turn. Does not: speak on the connection, or try again.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};

use crate::clock;

/// Most addresses of a name that are tried. Large services answer with a handful, each a whole server.
const MOST_ADDRESSES: usize = 8;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The host name has no address.
    #[error("cannot resolve {host}: {error}")]
    Dns {
        /// The name.
        host: String,
        /// What the resolver said; [`ErrorKind::TimedOut`] when it said nothing in time.
        error: io::Error,
    },
    /// None of the host's addresses could be connected to.
    #[error("cannot connect to {address}: {error}")]
    Connect {
        /// The last address that was tried.
        address: SocketAddr,
        /// What the operating system said of it; [`ErrorKind::TimedOut`] when it said nothing in time.
        error: io::Error,
    },
}

/// Connects to `host`, a name or an address, within `limit`, the look-up included; gives the address that answered.
///
/// Each address gets an equal share of the time left, so that one that swallows packets does not keep the others from
/// being tried.
pub async fn connect(
    host: &str,
    port: u16,
    limit: Duration,
) -> Result<(TcpStream, SocketAddr), ConnectError> {
    let unknown = |error: io::Error| ConnectError::Dns {
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
            Err(error) => failed = ConnectError::Connect { address, error },
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(flavor = "current_thread")]
    async fn every_address_of_a_name_is_tried() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        // where the name has an IPv6 address too, that one refuses
        let (_, address) = connect("localhost", port, LIMIT).await.expect("connects");
        assert_eq!(address.port(), port);
        drop(listener);
        let error = connect("127.0.0.1", port, LIMIT).await;
        let error = error.expect_err("nobody listens any more");
        assert!(matches!(error, ConnectError::Connect { .. }), "{error}");
        let said = error.to_string();
        let shown = format!("cannot connect to 127.0.0.1:{port}: ");
        assert!(said.starts_with(&shown), "{said}");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_name_without_an_address_is_named() {
        let error = connect("name.invalid", 1, LIMIT).await;
        let error = error.expect_err("there is no such name");
        assert!(matches!(error, ConnectError::Dns { .. }), "{error}");
        let said = error.to_string();
        assert!(said.starts_with("cannot resolve name.invalid: "), "{said}");
    }
}
