//! When a group is served next.
//!
//! Owns: the adaptive beat of a core. Does not: serve.
//!
//! The cost of a round is the number of writes, not their size: ten messages in one write cost about what one does. So
//! the beat follows the cost: a pass over the groups that are due may take [`SHARE`] of the time until the
//! next one begins. A core with few viewers spends microseconds on a pass and sends each message at once; one with
//! thousands spends tens of milliseconds and merges what came in between. The beat finds its own balance, since a
//! slower one has cheaper passes.

use std::time::{Duration, Instant};

use weir_hub::Latency;

/// The share of a core's time that passes may take, in percent.
///
/// Lower merges more and delays more. See `docs/performance.md` for the measured pairs.
const SHARE: u32 = 15;

/// Waits shorter than this are not worth a timer, whose step is a millisecond.
const SHORTEST: Duration = Duration::from_millis(1);

/// How much sooner than a fixed latency says a group is served, so that the walk over its viewers ends within it.
///
/// A tenth, at most 20 ms.
fn margin(latency: Duration) -> Duration {
    (latency / 10).min(Duration::from_millis(20))
}

#[derive(Debug)]
pub(crate) struct Pace {
    /// The end of the time that the last pass paid for.
    next_pass: Instant,
    interval: Duration,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            next_pass: now,
            interval: Duration::ZERO,
        }
    }

    /// The time between the beginnings of passes that the load asks for now.
    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// When a group with news is due that was last served at `last_round`.
    pub(crate) fn due(&self, latency: Latency, last_round: Instant, now: Instant) -> Instant {
        let due = match latency {
            Latency::Fixed(latency) => last_round + latency.saturating_sub(margin(latency)),
            Latency::Adaptive { max } => self.next_pass.min(now + max),
        };
        if due < now + SHORTEST { now } else { due }
    }

    /// Notes a pass that began at `began` and took `cost` of this core's time.
    pub(crate) fn passed(&mut self, began: Instant, cost: Duration) {
        let interval = cost * 100 / SHARE;
        // one odd pass neither stalls the beat nor hides a trend
        self.interval = (self.interval * 3 + interval) / 4;
        self.next_pass = began + self.interval;
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests need some instant")]
mod tests {
    use super::*;

    const ADAPTIVE: Latency = Latency::Adaptive {
        max: Duration::from_millis(350),
    };

    #[test]
    fn an_idle_core_sends_at_once() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        for millis in 0..100 {
            let at = now + Duration::from_millis(millis * 15);
            assert_eq!(pace.due(ADAPTIVE, now, at), at);
            pace.passed(at, Duration::from_micros(50));
        }
    }

    #[test]
    fn a_loaded_core_waits_as_long_as_its_passes_cost_and_no_longer_than_the_setting() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..50 {
            pace.passed(now, Duration::from_millis(3));
        }
        let due = pace.due(ADAPTIVE, now, now) - now;
        assert!((18..=20).contains(&due.as_millis()), "{due:?}");
        for _ in 0..50 {
            pace.passed(now, Duration::from_secs(1));
        }
        assert_eq!(
            pace.due(ADAPTIVE, now, now) - now,
            Duration::from_millis(350)
        );
    }

    #[test]
    fn a_fixed_latency_is_a_beat_within_the_setting() {
        let now = Instant::now();
        let pace = Pace::new(now);
        let fixed = |millis| Latency::Fixed(Duration::from_millis(millis));
        assert_eq!(pace.due(fixed(0), now, now), now);
        assert_eq!(
            pace.due(fixed(350), now, now) - now,
            Duration::from_millis(330)
        );
        assert_eq!(
            pace.due(fixed(50), now, now) - now,
            Duration::from_millis(45)
        );
        let late = now + Duration::from_secs(9);
        assert_eq!(pace.due(fixed(350), now, late), late);
    }
}
