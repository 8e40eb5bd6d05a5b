//! What the sessions of one thread add up to, and the figures all threads share while they run.
//!
//! Owns: [`Tally`], merged at the end; [`Progress`], read by the coordinator at any time; [`Window`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::clock::SECOND;
use crate::histogram::Histogram;

/// A viewer without data for so long is starved.
pub(crate) const STARVED: u64 = 2 * SECOND;

/// Counts and distributions; times in nanoseconds.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    /// From hand-over to the publisher's socket to the viewer's read, of messages read in the window.
    pub(crate) latency: Histogram,
    /// From connect to the first audio or video frame.
    pub(crate) first_media: Histogram,
    /// From connect to the first key frame.
    pub(crate) first_key: Histogram,
    /// Per viewer, the longest time without media in the window.
    pub(crate) gap: Histogram,
    /// How late publishers sent in the window: the bench's own fault.
    pub(crate) lag: Histogram,
    /// In the window, as are the three below.
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// Audio and video, by viewers.
    pub(crate) messages_in: u64,
    pub(crate) messages_out: u64,
    /// Timestamps that went back on a track of a viewer, at any time.
    pub(crate) backward: u64,
    /// Viewers without data for [`STARVED`] at any time in the window.
    pub(crate) starved: u64,
    /// Viewers without data for [`STARVED`] when the window ended.
    pub(crate) starved_at_end: u64,
    /// Why sessions failed, and how many.
    pub(crate) reasons: BTreeMap<String, u64>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            latency: Histogram::new(),
            first_media: Histogram::new(),
            first_key: Histogram::new(),
            gap: Histogram::new(),
            lag: Histogram::new(),
            bytes_in: 0,
            bytes_out: 0,
            messages_in: 0,
            messages_out: 0,
            backward: 0,
            starved: 0,
            starved_at_end: 0,
            reasons: BTreeMap::new(),
        }
    }

    /// Adds what another thread counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.latency.merge(&other.latency);
        self.first_media.merge(&other.first_media);
        self.first_key.merge(&other.first_key);
        self.gap.merge(&other.gap);
        self.lag.merge(&other.lag);
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.messages_in += other.messages_in;
        self.messages_out += other.messages_out;
        self.backward += other.backward;
        self.starved += other.starved;
        self.starved_at_end += other.starved_at_end;
        for (reason, count) in &other.reasons {
            *self.reasons.entry(reason.clone()).or_default() += count;
        }
    }

    /// Counts one viewer at the end of the window.
    pub(crate) fn viewer_ended(&mut self, longest_gap: u64, last_gap: u64) {
        self.gap.record(longest_gap.max(last_gap));
        self.starved += u64::from(longest_gap.max(last_gap) >= STARVED);
        self.starved_at_end += u64::from(last_gap >= STARVED);
    }
}

/// The measured window, in [`crate::clock`] nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Window {
    pub(crate) fn contains(self, now: u64) -> bool {
        (self.from..self.to).contains(&now)
    }
}

/// What coordinator and workers tell each other. No field guards another, so relaxed order suffices for the counts.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) publishers: Sessions,
    pub(crate) viewers: Sessions,
    /// When viewers begin to connect; `u64::MAX` until that is known, as for the window.
    pub(crate) view_from: AtomicU64,
    from: AtomicU64,
    to: AtomicU64,
}

/// Sessions of one role.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    running: AtomicUsize,
    failed: AtomicUsize,
}

impl Sessions {
    pub(crate) fn start(&self) {
        self.running.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a failure; of a session that had started when `was_running`.
    pub(crate) fn fail(&self, was_running: bool) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.running
            .fetch_sub(usize::from(was_running), Ordering::Relaxed);
    }

    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    pub(crate) fn failed(&self) -> usize {
        self.failed.load(Ordering::Relaxed)
    }
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            publishers: Sessions::default(),
            viewers: Sessions::default(),
            view_from: AtomicU64::new(u64::MAX),
            from: AtomicU64::new(u64::MAX),
            to: AtomicU64::new(u64::MAX),
        }
    }

    pub(crate) fn window(&self) -> Window {
        // `from` is stored before `to`: whoever sees an end sees the beginning.
        let to = self.to.load(Ordering::Acquire);
        Window {
            from: self.from.load(Ordering::Acquire),
            to,
        }
    }

    pub(crate) fn open_window(&self, window: Window) {
        self.from.store(window.from, Ordering::Release);
        self.to.store(window.to, Ordering::Release);
    }

    /// Lets the workers end at once, without a window.
    pub(crate) fn stop(&self) {
        self.to.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starvation_is_counted_within_and_at_the_end() {
        let mut tally = Tally::new();
        tally.viewer_ended(SECOND, 0);
        tally.viewer_ended(STARVED, 0);
        tally.viewer_ended(0, STARVED);
        let mut sum = Tally::new();
        sum.reasons.insert("closed".into(), 1);
        tally.reasons.insert("closed".into(), 2);
        sum.merge(&tally);
        assert_eq!(
            (sum.starved, sum.starved_at_end, sum.gap.count()),
            (2, 1, 3)
        );
        assert_eq!(sum.reasons["closed"], 3);
    }

    #[test]
    fn sessions_are_either_running_or_failed() {
        let sessions = Sessions::default();
        sessions.start();
        sessions.start();
        sessions.fail(true);
        sessions.fail(false);
        assert_eq!((sessions.running(), sessions.failed()), (1, 2));
    }

    #[test]
    fn window_is_open_between_its_ends() {
        let progress = Progress::new();
        assert!(!progress.window().contains(5));
        progress.open_window(Window { from: 5, to: 7 });
        assert!(progress.window().contains(5) && !progress.window().contains(7));
        progress.stop();
        assert!(!progress.window().contains(5));
    }
}
