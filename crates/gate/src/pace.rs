//! How often a publisher's socket is read.
//!
//! Owns: the choice between watching a socket and polling it on a timer, and the timer's step. Does not: read.
//!
//! A publisher sends some 70 small messages a second. Watched, each wakes the core, and a thousand publishers are
//! 70,000 wake-ups a second for a few bytes each. Nobody is served by that haste while nobody watches the stream, or
//! while the core's viewers are served at a slower beat anyway; then the socket is polled.

use std::time::{Duration, Instant};

use weir_net::clock;

/// The step while nobody watches: a viewer who comes then is at most this far behind live for a moment.
const UNWATCHED: Duration = Duration::from_millis(100);

/// The longest step while somebody watches. It adds to the viewers' latency, so it stays well below theirs.
const WATCHED_MOST: Duration = Duration::from_millis(50);

/// Beats of the fan-out shorter than this are not worth polling for.
const WORTHWHILE: Duration = Duration::from_millis(5);

/// More than this in one step means that the sender may be waiting for us: watch the socket again.
///
/// A fresh receive window is 64 KiB; half of it leaves room for the next burst.
const FULL: usize = 32 << 10;

/// Timers end at multiples of this, so that many publishers wake their core together.
const GRID: Duration = Duration::from_millis(5);

/// What to do before the next read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tick {
    /// Wait until the socket is readable.
    Watch,
    /// Wait until this time, then try.
    At(Instant),
}

/// The pace of one publisher's reads.
#[derive(Debug)]
pub struct ReadPace {
    epoch: Instant,
    /// Until when a publisher that sent a lot is watched, whatever the load.
    busy_until: Instant,
}

impl ReadPace {
    /// A pace that begins with watching.
    pub fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            busy_until: now,
        }
    }

    /// What to do after a read that took `drained` bytes. `beat` is the fan-out's interval on this core.
    pub fn next(
        &mut self,
        now: Instant,
        drained: usize,
        has_viewers: bool,
        beat: Duration,
    ) -> Tick {
        if drained > FULL {
            self.busy_until = now + Duration::from_secs(1);
        }
        if now < self.busy_until {
            return Tick::Watch;
        }
        let step = if has_viewers {
            beat.min(WATCHED_MOST)
        } else {
            UNWATCHED
        };
        if step < WORTHWHILE {
            Tick::Watch
        } else {
            Tick::At(self.on_grid(now + step))
        }
    }

    fn on_grid(&self, at: Instant) -> Instant {
        let grid = GRID.as_nanos();
        let steps = at.saturating_duration_since(self.epoch).as_nanos() / grid;
        let nanos = u64::try_from(steps * grid).unwrap_or(u64::MAX);
        self.epoch + Duration::from_nanos(nanos)
    }
}

impl Default for ReadPace {
    fn default() -> Self {
        Self::new(clock::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unwatched_stream_is_polled_and_a_watched_one_is_not() {
        let now = clock::now();
        let mut pace = ReadPace::new(now);
        assert_eq!(pace.next(now, 500, true, Duration::ZERO), Tick::Watch);
        assert_eq!(
            pace.next(now, 500, false, Duration::ZERO),
            Tick::At(now + UNWATCHED)
        );
    }

    #[test]
    fn a_loaded_core_reads_at_its_beat() {
        let now = clock::now();
        let mut pace = ReadPace::new(now);
        let tick =
            |pace: &mut ReadPace, millis| pace.next(now, 9, true, Duration::from_millis(millis));
        assert_eq!(tick(&mut pace, 4), Tick::Watch);
        assert_eq!(
            tick(&mut pace, 12),
            Tick::At(now + Duration::from_millis(10))
        );
        assert_eq!(tick(&mut pace, 300), Tick::At(now + WATCHED_MOST));
    }

    #[test]
    fn a_large_publisher_is_watched() {
        let now = clock::now();
        let mut pace = ReadPace::new(now);
        assert_eq!(pace.next(now, FULL + 1, false, Duration::ZERO), Tick::Watch);
        let soon = now + Duration::from_millis(900);
        assert_eq!(pace.next(soon, 10, false, Duration::ZERO), Tick::Watch);
        let later = now + Duration::from_millis(1001);
        assert!(matches!(
            pace.next(later, 10, false, Duration::ZERO),
            Tick::At(_)
        ));
    }
}
