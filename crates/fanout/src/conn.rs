//! A connection that viewers' media goes out on.
//!
//! Owns: the one order of bytes on the socket: the rest of a half-written piece, then what the gate has to say, then
//! whole pieces. Does not: choose the pieces.
//!
//! Invariant: whatever [`Conn::say`] is given appears between whole messages, never inside one.

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;
use weir_hub::Session;
use weir_net::mem_file::MemFile;
use weir_net::socket::Socket;

/// Most bytes of a gate's own words that wait for a socket with room.
///
/// A dozen replies are a few KiB; a peer that asks on without reading gets no more memory than this.
const SAY_BYTES: usize = 64 << 10;

/// Most slices handed to the kernel in one call; Linux takes up to 1024, and past a few dozen nothing is gained.
const SLICES: usize = 64;

/// How many bytes a session's counter may lag behind: it lies in memory that other cores read, and a second of
/// media is soon enough for people.
const COUNT_BYTES: u64 = 64 << 10;

/// Why nothing more can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// The socket failed.
    #[error("connection lost: {0}")]
    Io(ErrorKind),
    /// The viewer fell too far behind, and the stream disconnects such viewers.
    #[error("viewer fell too far behind")]
    Lagged,
    /// The peer asks on without reading the answers.
    #[error("peer does not read its answers")]
    Deaf,
}

/// A socket and what is on its way out. Belongs to one core.
#[derive(Debug)]
pub struct Conn {
    socket: Socket,
    session: Arc<Session>,
    out: RefCell<Out>,
    blocked_since: Cell<Option<Instant>>,
    closed: Cell<Option<Closed>>,
    /// Nothing is under way, the socket is not full and not closed: a piece may go straight to it.
    clear: Cell<bool>,
    /// What precedes the media is not known yet.
    held: Cell<bool>,
    /// Bytes written, and how many of them the session's counter has seen.
    written: Cell<u64>,
    counted: Cell<u64>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Out {
    rest: Bytes,
    words: Vec<u8>,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrote {
    /// This many bytes.
    Some(usize),
    /// Nothing: the socket is full, or the connection is over.
    Nothing,
}

impl Conn {
    /// A connection over `socket`, whose bytes count for `session`.
    pub fn new(socket: Socket, session: Arc<Session>) -> Self {
        Self {
            socket,
            session,
            out: RefCell::default(),
            blocked_since: Cell::new(None),
            closed: Cell::new(None),
            clear: Cell::new(true),
            held: Cell::new(false),
            written: Cell::new(0),
            counted: Cell::new(0),
            news: Notify::new(),
        }
    }

    /// The socket, for reading and waiting. Writing goes through [`Conn::say`] and the fan-out.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The session whose connection this is.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Resolves when the connection got blocked, was closed, or one of its streams ended.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    pub(crate) fn tell(&self) {
        self.news.notify_one();
    }

    /// True while the socket is full and bytes wait.
    pub fn is_blocked(&self) -> bool {
        self.blocked_since.get().is_some()
    }

    /// Lets nothing out until [`Conn::release`]: what precedes the media is not known yet. A viewer keeps its place
    /// meanwhile.
    pub fn hold(&self) {
        self.held.set(true);
        self.clear.set(false);
    }

    /// Ends [`Conn::hold`]. Say something then, or flush.
    pub fn release(&self) {
        self.held.set(false);
    }

    /// Notes that the socket has room again.
    pub fn unblock(&self) {
        self.blocked_since.set(None);
        self.clear
            .set(self.is_flushed() && self.closed.get().is_none());
    }

    /// How long the socket has taken nothing.
    pub fn blocked_for(&self, now: Instant) -> Duration {
        self.blocked_since
            .get()
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// Why nothing more can be written, if so.
    pub fn closed(&self) -> Option<Closed> {
        self.closed.get()
    }

    /// True when a piece may go straight to the socket.
    pub(crate) fn is_clear(&self) -> bool {
        self.clear.get()
    }

    /// Brings the session's counter up to date.
    pub fn count(&self) {
        let written = self.written.get();
        let bytes = written - self.counted.replace(written);
        if bytes > 0 {
            self.session.bytes_out.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Bytes written since the connection was made.
    pub(crate) fn written(&self) -> u64 {
        self.written.get()
    }

    pub(crate) fn close(&self, why: Closed) {
        self.clear.set(false);
        if self.closed.get().is_none() {
            self.closed.set(Some(why));
            self.tell();
        }
    }

    /// True when everything said has been handed to the kernel.
    pub fn is_flushed(&self) -> bool {
        let out = self.out.borrow();
        !self.held.get() && out.rest.is_empty() && out.words.is_empty()
    }

    /// Sends the gate's own words as soon as the message under way is complete. Takes all of `words`.
    pub fn say(&self, words: &mut Vec<u8>, now: Instant) {
        if words.is_empty() {
            return;
        }
        self.clear.set(false);
        let mut out = self.out.borrow_mut();
        if out.words.len() + words.len() > SAY_BYTES {
            words.clear();
            self.close(Closed::Deaf);
            return;
        }
        if out.words.is_empty() {
            std::mem::swap(&mut out.words, words);
        } else {
            out.words.append(words);
        }
        drop(out);
        self.flush(now);
    }

    /// Writes what is under way; true when all of it is out and pieces may follow.
    pub fn flush(&self, now: Instant) -> bool {
        if self.held.get() {
            return false;
        }
        let mut out = self.out.borrow_mut();
        let Out { rest, words } = &mut *out;
        while !(rest.is_empty() && words.is_empty()) {
            let slices = [IoSlice::new(rest), IoSlice::new(words)];
            let Wrote::Some(count) = self.write(&slices, now) else {
                return false;
            };
            let of_rest = count.min(rest.len());
            *rest = rest.slice(of_rest..);
            words.drain(..count - of_rest);
        }
        // an idle viewer keeps no buffer
        *words = Vec::new();
        let open = self.closed.get().is_none();
        self.clear.set(open && !self.is_blocked());
        open
    }

    /// Writes as much of the slices as the socket takes, and says how much that was; zero when the socket is full or the
    /// connection is over. For whole answers of a gate that sends nothing else meanwhile, and only when [`Conn::flush`] has
    /// said that everything before is out.
    pub fn send(&self, slices: &[IoSlice<'_>], now: Instant) -> usize {
        self.insist(|| self.write(slices, now))
    }

    /// As [`Conn::send`], of bytes that a file follows.
    pub fn send_before_file(&self, bytes: &[u8], now: Instant) -> usize {
        self.insist(|| self.note(self.socket.write_before_more(bytes), now))
    }

    /// As [`Conn::send`], of a file from `offset` on.
    pub fn send_file(&self, file: &MemFile, offset: u64, now: Instant) -> usize {
        self.insist(|| self.note(self.socket.send_file(file, offset), now))
    }

    /// Tries again what was interrupted.
    fn insist(&self, write: impl Fn() -> Wrote) -> usize {
        if self.closed.get().is_some() {
            return 0;
        }
        loop {
            match write() {
                Wrote::Some(0) => {}
                Wrote::Some(count) => return count,
                Wrote::Nothing => return 0,
            }
        }
    }

    /// Writes one piece; the caller has seen that the connection is clear.
    pub(crate) fn write_piece(&self, piece: &Bytes, now: Instant) -> Wrote {
        self.write(&[IoSlice::new(piece)], now)
    }

    /// Writes pieces; the caller has flushed. What the socket took is the caller's to account for.
    pub(crate) fn write_pieces(&self, pieces: &[&Bytes], now: Instant) -> Wrote {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut used = 0;
        for (slot, piece) in slices.iter_mut().zip(pieces) {
            *slot = IoSlice::new(piece);
            used += 1;
        }
        self.write(slices.get(..used).unwrap_or_default(), now)
    }

    /// Keeps the part of a piece that the socket did not take.
    pub(crate) fn keep_rest(&self, rest: Bytes) {
        self.clear.set(false);
        self.out.borrow_mut().rest = rest;
    }

    /// How many pieces one call writes.
    pub(crate) const fn slices() -> usize {
        SLICES
    }

    fn write(&self, slices: &[IoSlice<'_>], now: Instant) -> Wrote {
        if self.closed.get().is_some() {
            return Wrote::Nothing;
        }
        let result = match slices {
            [one] => self.socket.write(one),
            many => self.socket.write_vectored(many),
        };
        self.note(result, now)
    }

    /// Accounts for what became of a write.
    fn note(&self, result: std::io::Result<usize>, now: Instant) -> Wrote {
        match result {
            Ok(0) => self.close(Closed::Io(ErrorKind::WriteZero)),
            Ok(count) => {
                self.blocked_since.set(None);
                let written = self.written.get() + count as u64;
                self.written.set(written);
                if written - self.counted.get() >= COUNT_BYTES {
                    self.count();
                }
                return Wrote::Some(count);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.clear.set(false);
                if self.blocked_since.get().is_none() {
                    self.blocked_since.set(Some(now));
                    self.tell();
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => return Wrote::Some(0),
            Err(error) => self.close(Closed::Io(error.kind())),
        }
        Wrote::Nothing
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.count();
    }
}
