//! How a relay fares.
//!
//! Owns: the counters and their one-line form. Does not: print.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What the two sides count; shared by the core's tasks and whoever looks.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) playing: AtomicBool,
    pub(super) publishing: AtomicBool,
    pub(super) retries: AtomicU64,
}

/// A reading of a running relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Since the start.
    pub time: Duration,
    /// Media bytes received.
    pub bytes_in: u64,
    /// Media bytes sent, with their framing.
    pub bytes_out: u64,
    /// Frames received.
    pub frames: u64,
    /// Attempts after the first, of both sides.
    pub retries: u64,
    /// Media comes.
    pub playing: bool,
    /// The other server has accepted the stream.
    pub publishing: bool,
}

impl Progress {
    pub(super) fn count(mut self, tally: &Tally) -> Self {
        self.retries = tally.retries.load(Ordering::Relaxed);
        self.playing = tally.playing.load(Ordering::Relaxed);
        self.publishing = tally.publishing.load(Ordering::Relaxed);
        self
    }

    /// Kilobits per second in and out since `before`.
    pub fn rates(&self, before: &Self) -> (u64, u64) {
        let millis = self.time.saturating_sub(before.time).as_millis().max(1);
        // bits in a millisecond are kilobits in a second
        let rate = |new: u64, old: u64| {
            u64::try_from(u128::from(new.saturating_sub(old)) * 8 / millis).unwrap_or(u64::MAX)
        };
        (
            rate(self.bytes_in, before.bytes_in),
            rate(self.bytes_out, before.bytes_out),
        )
    }

    /// What it does now, in a word or two.
    pub fn state(&self) -> &'static str {
        match (self.playing, self.publishing) {
            (true, true) => "relaying",
            (true, false) => "no target",
            (false, true) => "no media",
            (false, false) => "no source",
        }
    }

    /// One line for a terminal.
    pub fn line(&self, before: &Self) -> String {
        let seconds = self.time.as_secs();
        let (rate_in, rate_out) = self.rates(before);
        format!(
            "{:02}:{:02}:{:02}  {}  in {rate_in} kbit/s  out {rate_out} kbit/s  frames {}  retries {}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60,
            self.state(),
            self.frames,
            self.retries,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_the_rates_since_the_last() {
        let before = Progress {
            time: Duration::from_millis(3_722_000),
            bytes_in: 1_000,
            ..Progress::default()
        };
        let now = Progress {
            time: Duration::from_millis(3_723_000),
            bytes_in: 126_000,
            bytes_out: 250_000,
            frames: 25,
            retries: 1,
            playing: true,
            publishing: true,
        };
        assert_eq!(
            now.line(&before),
            "01:02:03  relaying  in 1000 kbit/s  out 2000 kbit/s  frames 25  retries 1"
        );
        assert_eq!(now.rates(&now), (0, 0));
    }
}
