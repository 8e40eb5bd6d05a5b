//! What is measured of a stream while it passes: how fast frames come, how far key frames are apart, what was lost.
//!
//! Owns: the measuring and its bounds. Invariants: a frame costs a few additions under the lock that its push holds
//! anyway; nothing here grows. Does not: judge, or decide what is dropped.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use weir_media::Timestamp;

use crate::metrics::DropCause;

/// The last frames that count for the mean distance: half a second or so of pictures, so that a change of the rate shows
/// soon, and times that were rounded to milliseconds (33, 33, 34) do not.
const FRAMES: u32 = 16;

/// A longer distance between two frames is a pause, and says nothing of the rate.
const PAUSE: Duration = Duration::from_secs(10);

/// How a stream's pictures come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rhythm {
    /// Mean distance of two pictures in media time; `None` before there were two.
    pub frame_interval: Option<Duration>,
    /// Media time between the last two key frames; `None` before there were two.
    pub gop: Option<Duration>,
}

/// The pace of one track.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pace {
    last: Option<Timestamp>,
    last_key: Option<Timestamp>,
    /// Distances in the mean, at most [`FRAMES`].
    counted: u32,
    mean: Duration,
    gop: Option<Duration>,
}

impl Pace {
    /// Takes in a frame with its place on the stream's timeline.
    pub(crate) fn note(&mut self, dts: Timestamp, is_key: bool) {
        if let Some(last) = self.last.replace(dts) {
            let step = dts.since(last);
            if step <= PAUSE {
                self.counted = (self.counted + 1).min(FRAMES);
                // the mean of the first few, then one that forgets
                let known = self.mean * (self.counted - 1);
                self.mean = known.saturating_add(step) / self.counted;
            }
        }
        if is_key && let Some(last) = self.last_key.replace(dts) {
            self.gop = Some(dts.since(last)).filter(|gop| !gop.is_zero());
        }
    }

    /// What was measured.
    pub(crate) fn rhythm(&self) -> Rhythm {
        Rhythm {
            frame_interval: (!self.mean.is_zero()).then_some(self.mean),
            gop: self.gop,
        }
    }
}

/// What one stream has lost, by cause.
#[derive(Debug, Default)]
pub(crate) struct Drops([AtomicU64; DropCause::ALL.len()]);

impl Drops {
    /// Counts `count` losses.
    pub(crate) fn add(&self, cause: DropCause, count: u64) {
        if let Some(counter) = self.0.get(cause as usize) {
            counter.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Every cause with its count.
    pub(crate) fn all(&self) -> Vec<(DropCause, u64)> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        DropCause::ALL.into_iter().zip(counts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paced(times: impl Iterator<Item = i64>, key_every: usize) -> Rhythm {
        let mut pace = Pace::default();
        for (index, millis) in times.enumerate() {
            pace.note(Timestamp::from_millis(millis), index % key_every == 0);
        }
        pace.rhythm()
    }

    #[test]
    fn times_rounded_to_milliseconds_have_the_rate_they_were_made_with() {
        let rhythm = paced((0..300).map(|n| n * 1001 / 30), 60);
        let rate = 1.0 / rhythm.frame_interval.unwrap().as_secs_f64();
        assert!((rate - 29.97).abs() < 0.3, "{rate}");
        assert_eq!(rhythm.gop, Some(Duration::from_millis(2002)));
    }

    #[test]
    fn a_change_of_the_rate_shows_and_a_pause_does_not() {
        let change = (0..100)
            .map(|n| n * 40)
            .chain((0..100).map(|n| 4000 + n * 20));
        let interval = paced(change, 1000).frame_interval.unwrap();
        assert!(interval < Duration::from_millis(21), "{interval:?}");
        let pause = (0..100)
            .map(|n| n * 40)
            .chain((0..2).map(|n| 60_000 + n * 40));
        let interval = paced(pause, 1000).frame_interval.unwrap();
        assert!((interval.as_secs_f64() - 0.04).abs() < 1e-6, "{interval:?}");
    }

    #[test]
    fn one_frame_and_one_key_frame_say_nothing() {
        assert_eq!(paced([7].into_iter(), 1), Rhythm::default());
        let held = paced([7, 7, 7].into_iter(), 1);
        assert_eq!(held, Rhythm::default());
        assert_eq!(paced([0, 40].into_iter(), 9).gop, None);
    }

    #[test]
    fn each_cause_has_a_counter_of_its_own() {
        let drops = Drops::default();
        for (index, cause) in DropCause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, index);
            drops.add(cause, index as u64);
        }
        let all = drops.all();
        assert_eq!(all.len(), DropCause::ALL.len());
        assert_eq!(all.last(), Some(&(DropCause::BeforeKey, 4)));
    }
}
