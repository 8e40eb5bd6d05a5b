//! Taps: outputs that keep a stream in their own form instead of sending it on at once.
//!
//! Owns: [`Tap`], what such an output is told, and [`Tapped`], its place at a stream. Does not: know what they make:
//! segments, recordings.
//!
//! A log is bytes for viewers that are there now; a tap makes what outlives them. It runs inside the push, under the
//! stream's lock, so it must be quick and must not wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::time::Instant;

use weir_media::Frame;

use crate::stream::Stream;

/// An output that takes each frame when it comes. Wakers that are added are woken when the stream's lock is free again.
pub trait Tap: Send {
    /// Somebody publishes the stream, since `since`; said again when another publisher comes, or the same comes back.
    /// Sequence headers and cached frames follow, if there are any.
    fn published(&mut self, now: Instant, since: Instant, wakers: &mut Vec<Waker>);

    /// A frame, on the stream's timeline. Sequence headers and metadata are frames too.
    fn frame(&mut self, now: Instant, frame: &Frame, wakers: &mut Vec<Waker>);

    /// The publisher has gone, and may return.
    fn paused(&mut self, now: Instant, wakers: &mut Vec<Waker>);

    /// The stream is over, unless somebody publishes it again one day.
    fn ended(&mut self, now: Instant, wakers: &mut Vec<Waker>);
}

/// A tap at its stream.
pub(crate) struct Placed {
    pub(crate) id: u64,
    pub(crate) tap: Box<dyn Tap>,
    /// It has been told that the stream is over.
    pub(crate) is_over: bool,
}

/// A tap's place at a stream. Dropping it takes the tap out; as long as it is there the stream is not forgotten.
#[derive(Debug)]
pub struct Tapped {
    stream: Arc<Stream>,
    id: u64,
    is_eager: AtomicBool,
}

impl Tapped {
    pub(crate) fn new(stream: Arc<Stream>, id: u64) -> Self {
        Self {
            stream,
            id,
            is_eager: AtomicBool::new(false),
        }
    }

    /// Says whether somebody waits for what the tap makes. Publishers whom nobody watches are read at a leisurely pace,
    /// and without this a tap counts as nobody.
    pub fn set_eager(&self, is_eager: bool) {
        match (self.is_eager.swap(is_eager, Ordering::Relaxed), is_eager) {
            (false, true) => drop(self.stream.eager.fetch_add(1, Ordering::Relaxed)),
            (true, false) => drop(self.stream.eager.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
    }

    /// True while somebody publishes the stream.
    pub fn is_live(&self) -> bool {
        self.stream.is_live()
    }
}

impl Drop for Tapped {
    fn drop(&mut self) {
        self.set_eager(false);
        self.stream.untap(self.id);
    }
}
