//! Whole and growing answers, written to a connection of HTTP/1.1.
//!
//! Owns: the write of shared pieces without a copy, as fast as the client takes them, and what ends a client that does not.
//! Does not: know what the pieces are.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;
use weir_net::clock;

use crate::connection::Connection;
use crate::egress::{LAST_CHUNK, chunk_head};
use crate::end::{End, Word};
use crate::files::{Found, Growth};
use crate::reply::Prepared;
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
            Found::Whole(prepared) => self.send_prepared(prepared).await,
            Found::Growing(prepared, growth) => self.send_growing(prepared, growth).await,
        }
    }

    /// Sends a whole answer.
    pub(crate) async fn send_prepared(&self, prepared: Prepared) -> Result<(), End> {
        let mut head = Vec::with_capacity(512);
        self.manner
            .write_head(&prepared, clock::wallclock(), &mut head);
        let body = match self.manner.head_only {
            true => Vec::new(),
            false => prepared.body,
        };
        self.send(head, body).await?;
        self.done("answered")
    }

    async fn send_growing(&mut self, prepared: Prepared, mut growth: Growth) -> Result<(), End> {
        let chunked = self.manner.has_chunks();
        if !chunked {
            self.manner.keep_alive = false;
        }
        let mut head = Vec::with_capacity(512);
        self.manner
            .write_head(&prepared, clock::wallclock(), &mut head);
        if self.manner.head_only {
            self.send(head, Vec::new()).await?;
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
            self.send(std::mem::take(&mut head), pieces).await?;
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

    /// Writes `head` and `body`, and waits until the client has taken them.
    async fn send(&self, head: Vec<u8>, body: Vec<Bytes>) -> Result<(), End> {
        self.flushed().await?;
        let mut queue = VecDeque::from(body);
        queue.push_front(Bytes::from(head));
        let mut turn = 0;
        loop {
            queue.retain(|piece| !piece.is_empty());
            if queue.is_empty() {
                self.conn.count();
                return Ok(());
            }
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut used = 0;
            for (slot, piece) in slices.iter_mut().zip(&queue) {
                *slot = IoSlice::new(piece);
                used += 1;
            }
            let slices = slices.get(..used).unwrap_or_default();
            let written = self.conn.send(slices, clock::now());
            take(&mut queue, written);
            turn += written;
            if written == 0 {
                self.has_room().await?;
                turn = 0;
            } else if turn >= BYTES_A_TURN {
                tokio::task::yield_now().await;
                turn = 0;
            }
        }
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

/// Takes what was written off the front.
fn take(queue: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(front) = queue.front_mut() {
        if written < front.len() {
            *front = front.slice(written..);
            return;
        }
        written -= front.len();
        queue.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_written_goes_and_the_rest_stays(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..6),
            written in 0..40_usize,
        ) {
            let all = pieces.concat();
            let mut queue: VecDeque<_> = pieces.into_iter().map(Bytes::from).collect();
            let written = written.min(all.len());
            take(&mut queue, written);
            let left: Vec<_> = queue.into_iter().collect();
            prop_assert_eq!(left.concat(), &all[written..]);
        }
    }
}
