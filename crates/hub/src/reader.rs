//! How a core reads a log: one reader for all its viewers.
//!
//! Owns: [`Reader`], the core's place at a log; [`Mirror`], its copy of the piece handles; [`StartPoint`], where a
//! viewer begins. Does not: know viewers; a viewer is a sequence number that the fan-out keeps.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;

use crate::log::{FormatId, Piece};
use crate::mailbox::Mailbox;
use crate::metrics::DropCause;
use crate::settings::{Latency, SlowViewer, Start};
use crate::stream::Stream;

/// The log's side of a reader.
#[derive(Debug)]
pub(crate) struct Feed {
    mailbox: Arc<Mailbox>,
    token: u32,
    posted: AtomicBool,
    oldest: AtomicU64,
}

impl Feed {
    /// The oldest piece its viewers still need; the maximum when they need none.
    pub(crate) fn oldest(&self) -> u64 {
        self.oldest.load(Ordering::Relaxed)
    }

    /// Tells the core to look, unless it has been told; returns whom to wake. Urgent is what must not wait for the
    /// core's own beat.
    pub(crate) fn post(&self, urgent: bool) -> Option<Waker> {
        if self.posted.swap(true, Ordering::AcqRel) {
            return None;
        }
        self.mailbox.post(self.token, urgent)
    }
}

/// A core's place at a stream's log. Dropping it closes the place; a log without readers is dropped.
#[derive(Debug)]
pub struct Reader {
    stream: Arc<Stream>,
    format: FormatId,
    feed: Arc<Feed>,
}

/// Where a viewer begins.
#[derive(Debug)]
pub struct StartPoint {
    /// The first piece to send, or from where on to look for one.
    pub cursor: u64,
    /// What to send before it; a piece's own prelude when `at_entry` is set.
    pub prelude: Option<Bytes>,
    /// Begin at the first piece from `cursor` on that has a prelude, with that prelude.
    pub at_entry: bool,
    /// Counts the viewer as long as it lives.
    pub place: ViewerPlace,
}

/// Counts a viewer of a stream as long as it lives.
#[derive(Debug)]
pub struct ViewerPlace {
    stream: Arc<Stream>,
}

impl ViewerPlace {
    pub(crate) fn new(stream: Arc<Stream>) -> Self {
        Self { stream }
    }

    /// Counts a loss of this viewer, for its stream and for all.
    pub fn dropped(&self, cause: DropCause) {
        self.stream.dropped(cause, 1);
    }

    /// True while somebody publishes the stream.
    pub fn is_live(&self) -> bool {
        self.stream.is_live()
    }
}

impl Drop for ViewerPlace {
    fn drop(&mut self) {
        self.stream.viewers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What [`Reader::sync`] found beside pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synced {
    /// The stream is over: nothing will come unless a publisher returns.
    pub ended: bool,
    /// The stream's setting for merging writes.
    pub latency: Latency,
    /// The stream's setting for viewers who fall behind.
    pub slow_viewer: SlowViewer,
}

impl Reader {
    pub(crate) fn new(
        stream: Arc<Stream>,
        format: FormatId,
        mailbox: Arc<Mailbox>,
        token: u32,
    ) -> Self {
        let feed = Feed {
            mailbox,
            token,
            posted: AtomicBool::new(false),
            oldest: AtomicU64::new(u64::MAX),
        };
        Self {
            stream,
            format,
            feed: Arc::new(feed),
        }
    }

    pub(crate) fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// Brings `mirror` up to date; after this a new piece posts the reader again.
    pub fn sync(&self, mirror: &mut Mirror, now: Instant) -> Synced {
        // before the look: what comes after it posts again
        self.feed.posted.store(false, Ordering::Release);
        self.stream.sync(self.format, mirror, now)
    }

    /// Says which piece is the oldest that a viewer here still needs; `None` when none is needed.
    pub fn set_oldest(&self, oldest: Option<u64>) {
        self.feed
            .oldest
            .store(oldest.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Where a viewer begins now, by `policy` or else the stream's setting. Counts the viewer; `None` when the stream
    /// has as many as it may.
    pub fn start(&self, policy: Option<Start>, now: Instant) -> Option<StartPoint> {
        let point = self.stream.start(self.format, policy, now)?;
        self.feed.oldest.fetch_min(point.cursor, Ordering::Relaxed);
        Some(point)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stream.close(self.format, &self.feed);
    }
}

/// A core's copy of a log's piece handles, readable without a lock.
#[derive(Debug, Default)]
pub struct Mirror {
    first: u64,
    pieces: VecDeque<Arc<Piece>>,
}

impl Mirror {
    /// The oldest sequence number here; a cursor before it has lagged.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The sequence number after the newest piece.
    pub fn end(&self) -> u64 {
        self.first + self.pieces.len() as u64
    }

    /// The piece with this number.
    pub fn piece(&self, sequence: u64) -> Option<&Arc<Piece>> {
        let index = sequence.checked_sub(self.first)?;
        self.pieces.get(usize::try_from(index).ok()?)
    }

    /// The newest piece.
    pub fn newest(&self) -> Option<&Arc<Piece>> {
        self.pieces.back()
    }

    /// The first piece from `sequence` on at which a decoder can begin.
    pub fn entry_from(&self, sequence: u64) -> Option<u64> {
        let from = sequence.max(self.first);
        (from..self.end()).find(|n| self.piece(*n).is_some_and(|piece| piece.prelude.is_some()))
    }

    /// The newest piece at which a decoder can begin.
    pub fn newest_entry(&self) -> Option<u64> {
        let back = self
            .pieces
            .iter()
            .rev()
            .position(|piece| piece.prelude.is_some())?;
        Some(self.end() - 1 - back as u64)
    }

    pub(crate) fn update(&mut self, first: u64, pieces: &VecDeque<Arc<Piece>>) {
        let gone = first.saturating_sub(self.first);
        if gone >= self.pieces.len() as u64 {
            self.pieces.clear();
        } else {
            self.pieces.drain(..gone as usize);
        }
        self.first = first;
        let have = self.end().saturating_sub(first);
        let new = pieces
            .iter()
            .skip(usize::try_from(have).unwrap_or(usize::MAX));
        self.pieces.extend(new.cloned());
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests need some instant")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn piece(number: u64, entry: bool) -> Arc<Piece> {
        Arc::new(Piece {
            bytes: Bytes::copy_from_slice(&number.to_be_bytes()),
            prelude: entry.then(Bytes::new),
            since: Instant::now(),
        })
    }

    proptest! {
        /// Whatever is trimmed and appended between two looks, the mirror shows what the log has.
        #[test]
        fn a_mirror_is_the_log(steps in proptest::collection::vec((0u64..5, 0u64..5), 0..50)) {
            let (mut first, mut log, mut mirror) = (0, VecDeque::new(), Mirror::default());
            for (append, trim) in steps {
                for _ in 0..append {
                    let number = first + log.len() as u64;
                    log.push_back(piece(number, number.is_multiple_of(3)));
                }
                for _ in 0..trim.min(log.len() as u64) {
                    log.pop_front();
                    first += 1;
                }
                mirror.update(first, &log);
                let end = first + log.len() as u64;
                prop_assert_eq!((mirror.first(), mirror.end()), (first, end));
                for number in first..end {
                    let bytes = mirror.piece(number).map(|piece| piece.bytes.to_vec());
                    prop_assert_eq!(bytes, Some(number.to_be_bytes().to_vec()));
                }
                let entries: Vec<_> = (first..end).filter(|n| n.is_multiple_of(3)).collect();
                prop_assert_eq!(mirror.newest_entry(), entries.last().copied());
                prop_assert_eq!(mirror.entry_from(0), entries.first().copied());
            }
        }
    }
}
