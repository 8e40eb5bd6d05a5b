//! The API's listening socket and its bounds.
//!
//! Owns: how many connections there may be, how long and how large a request may be. Does not: speak HTTP.
//!
//! The HTTP layer above has no time-outs of its own; here a connection is closed that neither takes bytes of an answer
//! nor completes a request within [`PATIENCE`].

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// Connections of one listener at a time; more wait in the kernel until one is free. Dashboards and scrapers are few; a
/// leak of connections by one of them must not take descriptors from sessions.
const MOST_CONNECTIONS: usize = 64;

/// From accept, or the last byte of an answer, to the next byte of an answer. Longer than the ten seconds in which
/// scrapers commonly ask again, so that their connection is kept.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of a request, before its answer begins, where no request has a body that matters. Heads of browsers with
/// many cookies have about 8 KiB.
pub(crate) const MOST_REQUEST_BYTES: usize = 32 << 10;

/// How long to wait after an accept failed for want of files or memory.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// A listener with a bound on connections.
#[derive(Debug)]
pub(crate) struct Bounded {
    listener: TcpListener,
    free: Arc<Semaphore>,
    most_request_bytes: usize,
}

/// The other end of a connection, for handlers that ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl Connected<IncomingStream<'_, Bounded>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        Self(*stream.remote_addr())
    }
}

impl Bounded {
    /// Takes over a bound socket, for requests of at most `most_request_bytes`. Fails when the runtime cannot watch it.
    pub(crate) fn new(
        listener: std::net::TcpListener,
        most_request_bytes: usize,
    ) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::from_std(listener)?,
            free: Arc::new(Semaphore::new(MOST_CONNECTIONS)),
            most_request_bytes,
        })
    }
}

impl axum::serve::Listener for Bounded {
    type Io = Patient<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        // the semaphore is never closed, so this always yields a permit
        let permit = Arc::clone(&self.free).acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let patient = Patient::new(stream, permit, self.most_request_bytes);
                    return (patient, peer);
                }
                Err(error) => {
                    tracing::debug!(%error, "api: cannot accept, trying again");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when its peer is too slow or says too much.
#[derive(Debug)]
pub(crate) struct Patient<S> {
    stream: S,
    timer: Pin<Box<Sleep>>,
    /// Bytes read since the last byte was written.
    asked: usize,
    most_request_bytes: usize,
    _permit: Option<OwnedSemaphorePermit>,
}

impl<S> Patient<S> {
    fn new(stream: S, permit: Option<OwnedSemaphorePermit>, most_request_bytes: usize) -> Self {
        Self {
            stream,
            timer: Box::pin(tokio::time::sleep(PATIENCE)),
            asked: 0,
            most_request_bytes,
            _permit: permit,
        }
    }

    /// Ready, with an error, when the peer's time is over.
    fn poll_over<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        self.timer
            .as_mut()
            .poll(context)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    fn wrote(&mut self, count: usize) {
        if count > 0 {
            self.asked = 0;
            self.timer = Box::pin(tokio::time::sleep(PATIENCE));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        // also when there is something to read: a trickle must not keep the connection
        if let Poll::Ready(over) = self.poll_over(context) {
            return Poll::Ready(over);
        }
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.asked += buffer.filled().len().saturating_sub(before);
        if self.asked > self.most_request_bytes {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Ready(result) => {
                self.wrote(*result.as_ref().unwrap_or(&0));
                Poll::Ready(result)
            }
            Poll::Pending => self.poll_over(context),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write_vectored(context, pieces) {
            Poll::Ready(result) => {
                self.wrote(*result.as_ref().unwrap_or(&0));
                Poll::Ready(result)
            }
            Poll::Pending => self.poll_over(context),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::ErrorKind;

    use super::*;

    /// A peer that asks without end and takes every answer.
    struct Endless;

    impl AsyncRead for Endless {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            buffer.initialize_unfilled();
            buffer.advance(buffer.remaining());
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Endless {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn with_peer(test: impl AsyncFnOnce(Patient<Endless>)) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(async { test(Patient::new(Endless, None, MOST_REQUEST_BYTES)).await });
    }

    async fn read(peer: &mut Patient<Endless>, count: usize) -> io::Result<()> {
        let mut bytes = vec![0; count];
        let mut buffer = ReadBuf::new(&mut bytes);
        poll_fn(|context| Pin::new(&mut *peer).poll_read(context, &mut buffer)).await
    }

    #[test]
    fn a_peer_whose_time_is_over_is_not_read_even_if_it_trickles() {
        with_peer(async |mut peer| {
            read(&mut peer, 1).await.unwrap();
            peer.timer = Box::pin(tokio::time::sleep(Duration::ZERO));
            peer.timer.as_mut().await;
            let error = read(&mut peer, 1).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
        });
    }

    #[test]
    fn a_request_without_end_is_cut_and_an_answer_renews_the_allowance() {
        with_peer(async |mut peer| {
            for _ in 0..2 {
                read(&mut peer, MOST_REQUEST_BYTES).await.unwrap();
                let written = poll_fn(|context| Pin::new(&mut peer).poll_write(context, b"yes"));
                assert_eq!(written.await.unwrap(), 3);
            }
            read(&mut peer, MOST_REQUEST_BYTES).await.unwrap();
            let error = read(&mut peer, 1).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
        });
    }
}
