//! The one who publishes a stream.
//!
//! Owns: [`Publisher`], unique for each stream, whose drop unpublishes. Does not: parse what it pushes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Instant;

use weir_media::{Frame, SessionId, StreamKey, TrackId, TrackInfo};

use crate::stream::{Stream, wake};

/// Why publishing was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Somebody publishes the stream already.
    #[error("stream is already being published by session {0}")]
    Busy(SessionId),
    /// The process has as many streams as `limits.streams` allows.
    #[error("server has reached its limit of {0} streams")]
    TooManyStreams(u64),
}

/// How a publisher left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpublished {
    /// It said that it was done; viewers are told at once.
    Finished,
    /// Its connection broke; viewers are told after the grace time, unless it comes back.
    Lost,
}

/// Another session has taken over the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("another publisher has taken over the stream")]
pub struct TakenOver;

/// The right to push frames into a stream. Dropping it counts as [`Unpublished::Lost`].
#[derive(Debug)]
pub struct Publisher {
    stream: Arc<Stream>,
    epoch: u64,
    /// The last time the driver named; a drop has no `now` of its own.
    last: Instant,
    done: bool,
    wakers: Vec<Waker>,
}

impl Publisher {
    pub(crate) fn new(stream: Arc<Stream>, epoch: u64, now: Instant) -> Self {
        Self {
            stream,
            epoch,
            last: now,
            done: false,
            wakers: Vec::new(),
        }
    }

    /// The stream's key.
    pub fn key(&self) -> &StreamKey {
        &self.stream.key
    }

    /// True when somebody watches, a viewer here or one of a tap's.
    pub fn has_viewers(&self) -> bool {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        count(&self.stream.viewers) > 0 || count(&self.stream.eager) > 0
    }

    /// Gives a frame to everybody who watches. Fails when another session has taken over the stream.
    ///
    /// Its `dts` is the publisher's own; the stream's timeline replaces it.
    pub fn push(&mut self, now: Instant, frame: Frame) -> Result<(), TakenOver> {
        self.last = now;
        self.stream.metrics.frames_in.inc();
        self.stream
            .metrics
            .bytes_in
            .inc_by(frame.packet.len() as u64);
        let pushed = self.stream.push(now, self.epoch, frame, &mut self.wakers);
        wake(&mut self.wakers);
        if pushed { Ok(()) } else { Err(TakenOver) }
    }

    /// Notes what a track's header says, for the API.
    pub fn describe(&self, track: TrackId, info: TrackInfo) {
        self.stream.describe(track, info);
    }

    /// Ends publishing.
    pub fn finish(mut self, now: Instant, how: Unpublished) {
        self.done = true;
        self.stream.unpublish(now, self.epoch, how);
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        if !self.done {
            self.stream
                .unpublish(self.last, self.epoch, Unpublished::Lost);
        }
    }
}
