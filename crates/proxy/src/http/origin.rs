//! Connections to origins.
//!
//! Owns: [`Origin`], one connection with what was read of it, and [`Pool`], a core's idle ones. Does not: choose an
//! origin.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use weir_http::response::{Response, ResponseError, Responses};
use weir_net::clock;
use weir_net::cores::Core;

use super::client::{read_some, write_all};

/// Idle connections kept for each origin and core. Players of low-latency HLS wait at the origin by the hundred, are all
/// answered by the same part, and ask again at once: what they used is kept for that, for each new connection leaves a
/// port behind that is not to be used for a minute. There are never more than were in use within [`IDLE`].
const MOST_IDLE: usize = 4096;

/// How long one is kept: shorter than common servers keep theirs (SRS 30 s, nginx 75 s), so that a request seldom meets
/// a connection that is being closed.
const IDLE: Duration = Duration::from_secs(15);

/// How often idle connections are looked through.
const SWEEP: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerError {
    /// Nothing came within the time allowed.
    #[error("origin does not answer")]
    Silent,
    /// The connection ended before an answer had begun.
    #[error("origin closed without an answer")]
    Closed,
    /// The connection failed or ended inside the head.
    #[error("origin's connection failed: {0}")]
    Io(#[from] io::Error),
    /// What came is no answer.
    #[error("origin is at fault: {0}")]
    Invalid(#[from] ResponseError),
}

/// A connection to an origin.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) stream: TcpStream,
    pub(super) heads: Responses,
    /// It was used before.
    pub(super) reused: bool,
}

impl Origin {
    /// A connection that was just made, taking heads of `limit` bytes.
    pub(super) fn new(stream: TcpStream, limit: usize) -> Self {
        // one that fails here fails at the first write too
        let _ = stream.set_nodelay(true);
        Self {
            stream,
            heads: Responses::new(limit),
            reused: false,
        }
    }

    /// Writes all of `bytes`.
    pub(super) async fn write(&mut self, bytes: &[u8], stalled: Duration) -> io::Result<()> {
        write_all(&mut self.stream, bytes, stalled).await
    }

    /// Reads into `buffer` what there is; 0 at the end.
    pub(super) async fn read(&mut self, buffer: &mut Vec<u8>, most: usize) -> io::Result<usize> {
        buffer.clear();
        buffer.reserve(most);
        let mut limited = (&mut self.stream).take(most as u64);
        limited.read_buf(buffer).await
    }

    /// Reads the next head that is final, or that of an upgrade; `to_head` when HEAD was asked. What was read stays when
    /// the future is dropped.
    pub(super) async fn answer(&mut self, to_head: bool) -> Result<Box<Response>, AnswerError> {
        answer_from(&mut self.stream, &mut self.heads, to_head).await
    }
}

/// As [`Origin::answer`], from the half of a connection.
pub(super) async fn answer_from(
    stream: &mut (impl AsyncRead + Unpin),
    heads: &mut Responses,
    to_head: bool,
) -> Result<Box<Response>, AnswerError> {
    loop {
        while let Some(response) = heads.pull(to_head)? {
            // interim answers are for us (RFC 9110, section 15.2)
            if response.status >= 200 || response.status == 101 {
                return Ok(response);
            }
        }
        match read_some(stream, &mut |input| heads.push(input)).await {
            Ok(0) if heads.is_empty() => return Err(AnswerError::Closed),
            Ok(0) => return Err(AnswerError::Io(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {}
            Err(_) if heads.is_empty() => return Err(AnswerError::Closed),
            Err(error) => return Err(error.into()),
        }
    }
}

/// A core's idle connections, by host and port.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: RefCell<HashMap<(String, u16), Vec<Idle>>>,
    swept: Cell<bool>,
}

#[derive(Debug)]
struct Idle {
    origin: Origin,
    since: Instant,
}

impl Pool {
    /// The connection to an address that was used last and is still good.
    pub(super) fn take(&self, host: &str, port: u16) -> Option<Origin> {
        let mut idle = self.idle.borrow_mut();
        let kept = idle.get_mut(&(host.to_owned(), port))?;
        let now = clock::now();
        while let Some(Idle { mut origin, since }) = kept.pop() {
            let mut byte = [0];
            let quiet = matches!(
                origin.stream.try_read(&mut byte),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock
            );
            if quiet && now.saturating_duration_since(since) < IDLE {
                origin.reused = true;
                return Some(origin);
            }
        }
        None
    }

    /// Keeps a connection whose answer was read to its end.
    pub(super) fn put(self: &Rc<Self>, core: &Core, host: &str, port: u16, origin: Origin) {
        if !origin.heads.is_empty() || core.shutdown().is_draining() {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        let kept = idle.entry((host.to_owned(), port)).or_default();
        if kept.len() < MOST_IDLE {
            let since = clock::now();
            kept.push(Idle { origin, since });
        }
        if !self.swept.replace(true) {
            core.spawn_service(Rc::clone(self).sweep());
        }
    }

    /// Closes connections that have idled too long, until none is left.
    async fn sweep(self: Rc<Self>) {
        loop {
            tokio::time::sleep(SWEEP).await;
            let now = clock::now();
            let mut idle = self.idle.borrow_mut();
            idle.retain(|_, kept| {
                kept.retain(|one| now.saturating_duration_since(one.since) < IDLE);
                !kept.is_empty()
            });
            if idle.is_empty() {
                self.swept.set(false);
                return;
            }
        }
    }
}
