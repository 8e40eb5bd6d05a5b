//! Whole and growing answers, written to a connection of HTTP/1.1.
//!
//! Owns: the write of shared pieces without a copy, as fast as the client takes them, and what ends a client that does not.
//! Does not: know what the pieces are.

use std::io::IoSlice;
use std::time::Instant;

use bytes::Bytes;
use weir_net::clock;
use weir_net::mem_file::MemFile;

use crate::connection::Connection;
use crate::egress::{LAST_CHUNK, chunk_head};
use crate::end::{End, Word};
use crate::files::{Found, Growth, Waiting};
use crate::reply::{HEAD_BYTES, Prepared, Shared};
use crate::response::Status;

/// Pieces handed to the kernel in one call.
const SLICES: usize = 32;

/// Bytes written before other tasks of the core have a turn: a segment of a second at usual rates.
const BYTES_A_TURN: usize = 1 << 20;

/// Why a client that waits for an answer is not to get it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// The server stops soon: whoever waits asks the next one.
    UntilDrain,
    /// The answer has begun, and is to end.
    UntilStop,
}

impl Connection {
    /// Sends what was found.
    pub(crate) async fn send_found(&mut self, found: Found) -> Result<(), End> {
        match found {
            Found::Whole(shared) => self.send_shared(shared).await,
            Found::Growing(prepared, growth) => self.send_growing(prepared, growth).await,
        }
    }

    /// Sends a whole answer.
    pub(crate) async fn send_shared(&self, shared: impl Into<Shared>) -> Result<(), End> {
        match self.begin_shared(shared.into()) {
            Some(sending) => self.send_rest(sending).await,
            None => self.done("answered"),
        }
    }

    /// Sends of a whole answer what the client takes at once; gives the rest, if there is one.
    pub(crate) fn begin_shared(&self, shared: Shared) -> Option<Sending> {
        let mut sending = Sending {
            head: shared.head(&self.manner, clock::wallclock()),
            form: match self.manner.head_only {
                true => Form::Nothing,
                false if shared.file().is_some() => Form::File,
                false => Form::Pieces,
            },
            shared,
            at: Cursor::default(),
        };
        if !self.conn.is_flushed() {
            return Some(sending);
        }
        let mut at = sending.at;
        let is_sent = self.write(&sending.head, sending.body(), &mut at, clock::now());
        sending.at = at;
        (!is_sent).then_some(sending)
    }

    /// Sends the rest of a whole answer.
    pub(crate) async fn send_rest(&self, sending: Sending) -> Result<(), End> {
        self.send(&sending.head, sending.body(), sending.at).await?;
        self.done("answered")
    }

    async fn send_growing(&mut self, prepared: Prepared, mut growth: Growth) -> Result<(), End> {
        let chunked = self.manner.has_chunks();
        if !chunked {
            self.manner.keep_alive = false;
        }
        let mut head = Vec::with_capacity(HEAD_BYTES);
        self.manner
            .write_head(&prepared, clock::wallclock(), &mut head);
        if self.manner.head_only {
            self.send(&head, Body::Pieces(&[]), Cursor::default())
                .await?;
            return self.done("answered");
        }
        let mut pieces = prepared.body;
        let mut is_last = false;
        loop {
            let length: usize = pieces.iter().map(Bytes::len).sum();
            if chunked && length > 0 {
                head.extend_from_slice(&chunk_head(length));
                pieces.push(Bytes::from_static(b"\r\n"));
            }
            if chunked && is_last {
                pieces.push(Bytes::from_static(LAST_CHUNK));
            }
            self.send(&head, Body::Pieces(&pieces), Cursor::default())
                .await?;
            head.clear();
            if is_last {
                return self.done("answered");
            }
            (pieces, is_last) = tokio::select! {
                biased;
                more = growth.more() => more,
                end = self.gone(Patience::UntilStop) => return Err(End { word: None, ..end }),
            };
        }
    }

    /// Writes `head` and `body` from `at` on, and waits until the client has taken them.
    async fn send(&self, head: &[u8], body: Body<'_>, mut at: Cursor) -> Result<(), End> {
        self.flushed().await?;
        while !self.write(head, body, &mut at, clock::now()) {
            if std::mem::take(&mut at.is_full) {
                self.has_room().await?;
            } else {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// Writes what the socket takes, and no more than [`BYTES_A_TURN`]; true at the end.
    fn write(&self, head: &[u8], body: Body<'_>, at: &mut Cursor, now: Instant) -> bool {
        let mut turn = 0;
        while turn < BYTES_A_TURN {
            let written = match body {
                Body::File(file) if at.piece > 0 || head.is_empty() => {
                    if at.offset >= file.length() {
                        self.conn.count();
                        return true;
                    }
                    let written = self.conn.send_file(file, at.offset, now);
                    at.offset += written as u64;
                    written
                }
                Body::File(_) => {
                    let rest = head.get(at.head_offset()..).unwrap_or_default();
                    let written = self.conn.send_before_file(rest, now);
                    at.advance(head, &[], written);
                    written
                }
                Body::Pieces(pieces) => {
                    let mut slices = [IoSlice::new(&[]); SLICES];
                    let used = at.slices(head, pieces, &mut slices);
                    if used == 0 {
                        self.conn.count();
                        return true;
                    }
                    let slices = slices.get(..used).unwrap_or_default();
                    let written = self.conn.send(slices, now);
                    at.advance(head, pieces, written);
                    written
                }
            };
            if written == 0 {
                at.is_full = true;
                return false;
            }
            turn += written;
        }
        false
    }

    /// Waits until the socket takes bytes again.
    async fn has_room(&self) -> Result<(), End> {
        if let Some(closed) = self.conn.closed() {
            return Err(closed.into());
        }
        let timeout = self.gate.settings().write_timeout;
        tokio::select! {
            writable = self.conn.socket().writable() => writable?,
            () = tokio::time::sleep(timeout) => {
                return Err(End::told("write_timeout", "the peer's socket took nothing"));
            }
            reason = self.conn.session().kicked() => return Err(reason.into()),
            () = self.gate.core.shutdown().stopped() => return Err(End::drained()),
        }
        self.conn.unblock();
        Ok(())
    }

    /// Resolves when the client has left, or is to leave, while its answer is awaited. What it sends is kept for later.
    pub(crate) async fn gone(&mut self, patience: Patience) -> End {
        let unavailable = Word::Status(Status::UNAVAILABLE);
        loop {
            if let Err(end) = self.read_ahead() {
                return end;
            }
            let shutdown = self.gate.core.shutdown();
            tokio::select! {
                readable = self.conn.socket().readable() => {
                    if let Err(error) = readable {
                        return error.into();
                    }
                }
                reason = self.conn.session().kicked() => {
                    return End::from(reason).with(unavailable);
                }
                () = shutdown.draining(), if patience == Patience::UntilDrain => {
                    return End::drained().with(unavailable);
                }
                () = shutdown.stopped() => return End::drained().with(unavailable),
            }
        }
    }
}

/// The body of an answer.
#[derive(Debug, Clone, Copy)]
enum Body<'a> {
    Pieces(&'a [Bytes]),
    File(&'a MemFile),
}

/// Which form of its body an answer is sent from. It is settled once: how far it was sent is counted in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Nothing,
    Pieces,
    File,
}

/// A whole answer that is under way.
pub(crate) struct Sending {
    shared: Shared,
    head: Bytes,
    form: Form,
    at: Cursor,
}

impl Sending {
    fn body(&self) -> Body<'_> {
        match (self.form, self.shared.made_file()) {
            (Form::File, Some(file)) => Body::File(file),
            (Form::Pieces, _) => Body::Pieces(&self.shared.prepared().body),
            _ => Body::Pieces(&[]),
        }
    }
}

/// What has become of a request for a file that is not answered yet.
pub(crate) enum Begun {
    /// It is being answered.
    Sending(Sending),
    /// Its answer is there.
    Found(Found),
    /// It has to wait.
    Waiting(Box<Waiting>),
}

/// How far an answer was written.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    /// The piece under way; the head is the first.
    piece: usize,
    /// Bytes of it that are written.
    offset: u64,
    /// The socket took nothing more.
    is_full: bool,
}

impl Cursor {
    /// Bytes of the head that are written, while it is under way.
    fn head_offset(self) -> usize {
        usize::try_from(self.offset).unwrap_or(usize::MAX)
    }

    /// Fills `slices` with what is to be written next; gives the number of those in use, which is zero at the end.
    fn slices<'a>(self, head: &'a [u8], body: &'a [Bytes], slices: &mut [IoSlice<'a>]) -> usize {
        let pieces = std::iter::once(head).chain(body.iter().map(|piece| &**piece));
        // within a piece, which is in memory
        let mut skip = self.head_offset();
        let mut used = 0;
        for piece in pieces.skip(self.piece) {
            let rest = piece.get(std::mem::take(&mut skip)..).unwrap_or_default();
            if rest.is_empty() {
                continue;
            }
            let Some(slot) = slices.get_mut(used) else {
                break;
            };
            *slot = IoSlice::new(rest);
            used += 1;
        }
        used
    }

    /// Goes on by what was written.
    fn advance(&mut self, head: &[u8], body: &[Bytes], written: usize) {
        let mut written = written as u64;
        let lengths = std::iter::once(head.len()).chain(body.iter().map(Bytes::len));
        for length in lengths.skip(self.piece) {
            let rest = (length as u64).saturating_sub(self.offset);
            if written < rest {
                self.offset += written;
                return;
            }
            written -= rest;
            (self.piece, self.offset) = (self.piece + 1, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn all_is_written_once_and_in_order(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 1..80),
            mut takes in prop::collection::vec(0..40_usize, 1..40),
        ) {
            let (head, body) = pieces.split_first().expect("one at least");
            let body: Vec<_> = body.iter().cloned().map(Bytes::from).collect();
            // in the end all is taken
            takes.push(usize::MAX);
            let (mut at, mut written) = (Cursor::default(), Vec::<u8>::new());
            for take in takes.iter().copied().cycle() {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let used = at.slices(head, &body, &mut slices);
                if used == 0 {
                    break;
                }
                let next: Vec<u8> = slices.iter().take(used).flat_map(|slice| slice.to_vec()).collect();
                let take = take.min(next.len());
                written.extend(&next[..take]);
                at.advance(head, &body, take);
            }
            prop_assert_eq!(written, pieces.concat());
        }
    }
}
