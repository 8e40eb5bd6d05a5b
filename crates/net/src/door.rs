//! From an accepted connection to a stream whose client is known.
//!
//! Owns: what stands before any protocol: the PROXY header of a trusted balancer, and TLS. Does not: speak a protocol.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// What a listener asks of a connection before its protocol begins. Shared by all cores.
#[derive(Debug, Default)]
pub struct Door {}

/// A connection past the door.
#[derive(Debug)]
pub struct Arrival {
    /// The bytes of the protocol.
    pub stream: Transport,
    /// The client's real address: what the PROXY header says, or the other end of the connection.
    pub client: SocketAddr,
}

/// The bytes of a client, as they came or decrypted.
#[derive(Debug)]
pub enum Transport {
    /// Nothing stands between the protocol and the socket.
    Plain(TcpStream),
    /// Through TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Why a connection does not pass.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DoorError {
    /// It did not say what it must in time.
    #[error("nothing usable came within {0:?}")]
    Timeout(Duration),
    /// The connection failed.
    #[error("connection failed: {0}")]
    Io(#[from] io::Error),
}

impl Door {
    /// Lets a connection from `peer` in within `limit`.
    pub async fn enter(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        limit: Duration,
    ) -> Result<Arrival, DoorError> {
        let _ = limit;
        stream.set_nodelay(true)?;
        Ok(Arrival {
            stream: Transport::Plain(stream),
            client: peer,
        })
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
