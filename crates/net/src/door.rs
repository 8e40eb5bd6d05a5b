//! From an accepted connection to a stream whose client is known.
//!
//! Owns: what stands before any protocol: the PROXY header of a trusted balancer, and TLS. Invariant: of a connection
//! that is handed on in the clear, no byte after the header was taken. Does not: speak a protocol.

mod network;
mod tls;

#[cfg(test)]
mod tests;

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use weir_wire::proxy_protocol::{self, HeaderError, MAX_V2_BYTES, Parsed};

pub use self::network::{Network, NetworkError};
pub use self::tls::{CertificateError, Certificates};

/// What a listener asks of a connection before its protocol begins. Shared by all cores.
#[derive(Debug, Default)]
pub struct Door {
    settings: DoorSettings,
}

/// Settings of a [`Door`]; by default nothing stands before the protocol.
#[derive(Debug, Clone, Default)]
pub struct DoorSettings {
    /// Balancers whose PROXY header is believed. They may come without one, as their health checks do. What looks like a
    /// header from anybody else is left to the protocol, which refuses it.
    pub trusted: Vec<Network>,
    /// Speaks TLS, after the PROXY header.
    pub tls: Option<Arc<Certificates>>,
}

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
    /// A trusted balancer sent a PROXY header that makes no sense.
    #[error("balancer sent a bad header: {0}")]
    Header(#[from] HeaderError),
    /// The client does not speak TLS, or none that we do.
    #[error("TLS handshake failed: {0}")]
    Tls(io::Error),
    /// The connection failed.
    #[error("connection failed: {0}")]
    Io(#[from] io::Error),
}

impl Door {
    /// A door with `settings`.
    pub fn new(settings: DoorSettings) -> Self {
        Self { settings }
    }

    /// Lets a connection from `peer` in within `limit`, which covers all that is asked of it here. Turns Nagle's
    /// algorithm off: what is written is due.
    pub async fn enter(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        limit: Duration,
    ) -> Result<Arrival, DoorError> {
        stream.set_nodelay(true)?;
        let passed = tokio::time::timeout(limit, self.pass(stream, peer)).await;
        passed.unwrap_or(Err(DoorError::Timeout(limit)))
    }

    async fn pass(&self, mut stream: TcpStream, peer: SocketAddr) -> Result<Arrival, DoorError> {
        let trusted = &self.settings.trusted;
        let client = if trusted.iter().any(|network| network.contains(peer.ip())) {
            take_header(&mut stream).await?.unwrap_or(peer)
        } else {
            peer
        };
        let stream = match &self.settings.tls {
            None => Transport::Plain(stream),
            Some(certificates) => {
                let acceptor = TlsAcceptor::from(certificates.config());
                let accepted = acceptor.accept(stream).await;
                Transport::Tls(Box::new(accepted.map_err(tls_error)?))
            }
        };
        Ok(Arrival { stream, client })
    }
}

/// What rustls finds wrong comes as invalid data; all else is the connection's.
fn tls_error(error: io::Error) -> DoorError {
    if error.kind() == io::ErrorKind::InvalidData {
        DoorError::Tls(error)
    } else {
        DoorError::Io(error)
    }
}

/// Takes a PROXY header off the connection, if it begins with one, and nothing else; gives the client it names.
async fn take_header(stream: &mut TcpStream) -> Result<Option<SocketAddr>, DoorError> {
    let mut buffer = vec![0; MAX_V2_BYTES];
    let mut seen = 0;
    let header = loop {
        let (count, is_all) = peek_more(stream, &mut buffer, seen).await?;
        match proxy_protocol::parse(buffer.get(..count).unwrap_or_default())? {
            Parsed::Done(header) => break header,
            Parsed::Absent => return Ok(None),
            // the beginning of a header and no more: the protocol sees a connection that ended early
            Parsed::Need(_) if is_all => return Ok(None),
            Parsed::Need(_) => seen = count,
        }
    };
    // it is in the socket's buffer in full
    let header_bytes = buffer.get_mut(..header.length).unwrap_or_default();
    stream.read_exact(header_bytes).await?;
    Ok(header.source)
}

/// Waits until more than `seen` bytes have come, or no more can, and looks at them; gives how many there are, and whether
/// that is all there will be.
async fn peek_more(
    stream: &TcpStream,
    buffer: &mut [u8],
    seen: usize,
) -> io::Result<(usize, bool)> {
    loop {
        let ready = stream.ready(Interest::READABLE).await?;
        let is_all = ready.is_read_closed();
        let peeked = stream.try_io(Interest::READABLE, || {
            let (count, _) = recv(stream, &mut *buffer, RecvFlags::PEEK)?;
            if count > seen || is_all {
                Ok(count)
            } else {
                // only what is called blocking is waited for: bytes that were seen before make the socket ready too
                Err(io::ErrorKind::WouldBlock.into())
            }
        });
        match peeked {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            other => return other.map(|count| (count, is_all)),
        }
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

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
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
