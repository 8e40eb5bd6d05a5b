//! What the viewers of one thread add up to.
//!
//! Owns: the counts and distributions, and what of them belongs into the measured window.

use std::collections::BTreeMap;

use super::board::Act;
use crate::histogram::Histogram;
use crate::tally::Window;

/// Counts and distributions; times in nanoseconds. All but `first_media`, `began` and the reasons are of the window.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) window: Window,
    /// From the completion of a part (of a whole segment, in plain mode) to its last byte at a viewer.
    pub(crate) delivery: Histogram,
    /// From the completion of a part or segment to the last byte of the playlist in which it is the newest.
    pub(crate) known: Histogram,
    /// From connect to the end of the first part or segment.
    pub(crate) first_media: Histogram,
    /// How long each halt of a viewer's playback was.
    pub(crate) stalls: Histogram,
    /// How long reads had been due, at the least: the bench's own fault, and part of the delays above.
    pub(crate) lag: Histogram,
    /// Viewers whose playback halted.
    pub(crate) stalled: u64,
    /// Answers by status.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// Playlists received.
    pub(crate) playlists: u64,
    /// Reloads that brought nothing new.
    pub(crate) stale: u64,
    /// Parts, or segments in plain mode, received whole.
    pub(crate) parts: u64,
    /// Parts or segments that were listed and that a viewer did not get.
    pub(crate) missed: u64,
    /// Hinted parts that the server refused.
    pub(crate) refused_hints: u64,
    pub(crate) bytes_in: u64,
    /// Connections opened anew.
    pub(crate) reconnects: u64,
    /// Requests without an answer.
    pub(crate) broken: u64,
    /// Why viewers failed, and how many.
    pub(crate) reasons: BTreeMap<String, u64>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            window: Window {
                from: u64::MAX,
                to: u64::MAX,
            },
            delivery: Histogram::new(),
            known: Histogram::new(),
            first_media: Histogram::new(),
            stalls: Histogram::new(),
            lag: Histogram::new(),
            stalled: 0,
            statuses: BTreeMap::new(),
            playlists: 0,
            stale: 0,
            parts: 0,
            missed: 0,
            refused_hints: 0,
            bytes_in: 0,
            reconnects: 0,
            broken: 0,
            reasons: BTreeMap::new(),
        }
    }

    /// Counts what a viewer who began at `began` did at `now` with what was complete at `complete`.
    pub(crate) fn judge(&mut self, act: Act, complete: u64, now: u64, began: u64) {
        if complete < began || !self.window.contains(now) {
            return;
        }
        let delay = now.saturating_sub(complete);
        match act {
            Act::Has => self.delivery.record(delay),
            Act::Knows => self.known.record(delay),
        }
    }

    /// Counts one of something in the window.
    pub(crate) fn count(&mut self, now: u64, which: impl FnOnce(&mut Self) -> &mut u64) {
        let is_in = self.window.contains(now);
        *which(self) += u64::from(is_in);
    }

    /// Counts an answer.
    pub(crate) fn answer(&mut self, now: u64, status: u16) {
        if self.window.contains(now) {
            *self.statuses.entry(status).or_default() += 1;
        }
    }

    /// Counts a failed viewer.
    pub(crate) fn fail(&mut self, reason: &str) {
        *self.reasons.entry(format!("viewer: {reason}")).or_default() += 1;
    }

    /// Answers of all kinds.
    pub(crate) fn requests(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Adds what another thread counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.delivery.merge(&other.delivery);
        self.known.merge(&other.known);
        self.first_media.merge(&other.first_media);
        self.stalls.merge(&other.stalls);
        self.lag.merge(&other.lag);
        self.stalled += other.stalled;
        self.playlists += other.playlists;
        self.stale += other.stale;
        self.parts += other.parts;
        self.missed += other.missed;
        self.refused_hints += other.refused_hints;
        self.bytes_in += other.bytes_in;
        self.reconnects += other.reconnects;
        self.broken += other.broken;
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        for (reason, count) in &other.reasons {
            *self.reasons.entry(reason.clone()).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_happens_in_the_window_counts() {
        let mut tally = Tally::new();
        tally.count(5, |tally| &mut tally.parts);
        tally.window = Window { from: 10, to: 20 };
        for now in [9, 10, 19, 20] {
            tally.count(now, |tally| &mut tally.parts);
            tally.answer(now, 404);
            tally.judge(Act::Has, 8, now, 8);
            tally.judge(Act::Has, 7, now, 8);
        }
        assert_eq!((tally.parts, tally.requests()), (2, 2));
        assert_eq!((tally.delivery.count(), tally.delivery.max()), (2, 11));
        let mut sum = Tally::new();
        sum.fail("x");
        tally.fail("x");
        sum.merge(&tally);
        sum.merge(&tally);
        assert_eq!(
            (sum.parts, sum.statuses[&404], sum.reasons["viewer: x"]),
            (4, 4, 3)
        );
    }
}
