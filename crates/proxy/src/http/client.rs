//! A client's connection.
//!
//! Owns: reading heads within their time, noticing that the client has left, and writing with a bound on how long it
//! takes. Invariant: at most one head and one read are kept ahead. Does not: know what is said.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use weir_http::head::{Heads, Whole};
use weir_net::clock;
use weir_net::cores::Shutdown;
use weir_net::door::Transport;

use super::end::{End, Status};

/// How long a connection is kept without a request. Players fetch a playlist every few seconds; pools of common servers
/// and balancers keep connections 60 s and more, so a minute keeps them useful.
const IDLE: Duration = Duration::from_secs(60);

/// Bytes read at once while nothing large is expected.
const READ_BYTES: usize = 4 << 10;

/// Longest wait for the client to have read our last words, and most bytes passed over meanwhile: without it the
/// kernel resets the connection and the words may be lost (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1 << 20;

/// The client's side.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) stream: Transport,
    pub(super) heads: Heads,
}

/// Reads what there is, in small pieces that are on the stack only while they are read.
pub(super) async fn read_some(
    stream: &mut (impl AsyncRead + Unpin),
    take: &mut impl FnMut(&[u8]),
) -> io::Result<usize> {
    poll_fn(|context| {
        let mut space = [MaybeUninit::uninit(); READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
        let filled = buffer.filled();
        if !filled.is_empty() {
            take(filled);
        }
        Poll::Ready(Ok(filled.len()))
    })
    .await
}

impl Client {
    /// Waits for the next head. `first` is the time allowed for the first; later ones may take as long after their
    /// first byte, and the connection may idle for [`IDLE`] before it.
    pub(super) async fn next_head(
        &mut self,
        opening: Duration,
        is_first: bool,
        shutdown: &Shutdown,
    ) -> Result<Box<Whole>, End> {
        let begun = clock::now();
        let mut head_begun = is_first.then_some(begun);
        loop {
            if let Some(whole) = self.heads.pull_whole()? {
                return Ok(whole);
            }
            let is_idle = self.heads.is_empty();
            if !is_idle && head_begun.is_none() {
                head_begun = Some(clock::now());
            }
            let deadline = head_begun.map_or(begun + IDLE, |begun| begun + opening);
            let heads = &mut self.heads;
            let mut push = |input: &[u8]| heads.push(input);
            tokio::select! {
                read = read_some(&mut self.stream, &mut push) => match read {
                    Ok(0) => return Err(End::client_left()),
                    Ok(_) => {}
                    Err(error) => return Err(End::client_failed(&error)),
                },
                () = tokio::time::sleep_until(deadline.into()) => return Err(match is_idle {
                    true => End::silent("idle", "the client asked for nothing"),
                    false => End::told(Status::TIMEOUT, "timeout", "the request did not come in time").for_good(),
                }),
                () = shutdown.draining(), if is_idle => return Err(End::stopped()),
                () = shutdown.stopped() => return Err(End::stopped()),
            }
        }
    }

    /// Resolves when the client has left. What it sends meanwhile is kept up to the bound on a head; beyond it the
    /// client is not heard any more until its answer is complete.
    pub(super) async fn left(&mut self) -> End {
        loop {
            if self.heads.is_overfull() {
                return std::future::pending().await;
            }
            let heads = &mut self.heads;
            match read_some(&mut self.stream, &mut |input| heads.push(input)).await {
                Ok(0) => return End::client_left(),
                Ok(_) => {}
                Err(error) => return End::client_failed(&error),
            }
        }
    }

    /// Does `work` unless the client leaves or the process ends meanwhile.
    pub(super) async fn during<T>(
        &mut self,
        shutdown: &Shutdown,
        work: impl Future<Output = Result<T, End>>,
    ) -> Result<T, End> {
        tokio::select! {
            biased;
            done = work => done,
            end = self.left() => Err(end),
            () = shutdown.stopped() => Err(End::stopped()),
        }
    }

    /// Writes all of `bytes`; fails when the client takes nothing of them for `stalled`.
    pub(super) async fn write(&mut self, bytes: &[u8], stalled: Duration) -> Result<(), End> {
        match write_all(&mut self.stream, bytes, stalled).await {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(End::client_stalled()),
            Err(error) => Err(End::client_failed(&error)),
        }
    }

    /// Ends our direction and waits, within bounds, until the client has read what was written.
    pub(super) async fn close_gently(&mut self) {
        let linger = async {
            if self.stream.shutdown().await.is_err() {
                return;
            }
            let mut passed = 0_usize;
            while passed < LINGER_BYTES {
                match read_some(&mut self.stream, &mut |_| {}).await {
                    Ok(0) | Err(_) => return,
                    Ok(count) => passed = passed.saturating_add(count),
                }
            }
        };
        // whoever does not read within this does not want to know
        let _ = tokio::time::timeout(LINGER, linger).await;
    }
}

/// Writes all of `bytes` and what stands before the socket; fails with [`io::ErrorKind::TimedOut`] when nothing is taken
/// for `stalled`.
pub(super) async fn write_all(
    stream: &mut (impl AsyncWrite + Unpin),
    mut bytes: &[u8],
    stalled: Duration,
) -> io::Result<()> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    while !bytes.is_empty() {
        let written = tokio::time::timeout(stalled, stream.write(bytes)).await;
        match written.map_err(late)?? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => bytes = bytes.get(count..).unwrap_or_default(),
        }
    }
    tokio::time::timeout(stalled, stream.flush())
        .await
        .map_err(late)?
}
