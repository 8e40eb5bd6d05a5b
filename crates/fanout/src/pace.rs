//! When a group is served next.
//!
//! Owns: the adaptive beat of a core. Does not: serve.
//!
//! The cost of a round is the number of writes, not their size: ten messages in one write cost about what one does. So
//! a group with news waits for more, as long as the load demands: long enough that a pass over the groups that are due
//! takes no more than [`SHARE`] of the wait. A core with few viewers spends microseconds on a pass and sends each
//! message at once; one with thousands spends tens of milliseconds and merges what comes meanwhile. The beat finds its
//! own balance, since a slower one has cheaper passes. The wait begins with the first message and not with
//! the last round: for the same greatest delay that takes the fewest rounds.

use std::time::{Duration, Instant};

use weir_hub::Latency;

/// The share of the wait before a pass that the pass itself may take, in percent.
///
/// Lower merges more and delays more. At 500 viewers a core 33 % costs 0.7 of nginx-rtmp's CPU at a 99th percentile of
/// 20 ms, 20 % costs 0.55 at 28 ms (`docs/performance.md`).
const SHARE: u32 = 20;

/// Waits shorter than this are not worth a timer, whose step is a millisecond.
const SHORTEST: Duration = Duration::from_millis(1);

/// How much sooner than a fixed latency says a group is served, so that the walk over its viewers ends within it.
///
/// A tenth, at most 20 ms.
fn margin(latency: Duration) -> Duration {
    (latency / 10).min(Duration::from_millis(20))
}

#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// When the next pass over groups with adaptive latency begins. All that get news until then share it: a pass is
    /// the unit whose cost counts, be it one group of a thousand viewers or a thousand groups of one.
    pass_at: Option<Instant>,
    interval: Duration,
}

impl Pace {
    /// When a group with news is due that was last served at `last_round`.
    pub(crate) fn due(&mut self, latency: Latency, last_round: Instant, now: Instant) -> Instant {
        let due = match latency {
            Latency::Fixed(latency) => last_round + latency.saturating_sub(margin(latency)),
            Latency::Adaptive { max } => {
                let pass_at = *self.pass_at.get_or_insert(now + self.interval);
                pass_at.min(now + max)
            }
        };
        if due < now + SHORTEST { now } else { due }
    }

    /// Notes that a pass begins: what gets news from here on waits for the next.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.pass_at = self.pass_at.filter(|at| *at > now);
    }

    /// Notes a pass that took `cost` of this core's time.
    pub(crate) fn passed(&mut self, cost: Duration) {
        let interval = cost * 100 / SHARE;
        // one odd pass neither stalls the beat nor hides a trend
        self.interval = (self.interval * 3 + interval) / 4;
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
        let mut pace = Pace::default();
        for millis in 0..100 {
            let at = now + Duration::from_millis(millis * 15);
            assert_eq!(pace.due(ADAPTIVE, now, at), at);
            pace.begin(at);
            pace.passed(Duration::from_micros(50));
        }
    }

    #[test]
    fn a_loaded_core_waits_as_long_as_its_passes_cost_and_no_longer_than_the_setting() {
        let now = Instant::now();
        let mut pace = Pace::default();
        for _ in 0..50 {
            pace.passed(Duration::from_millis(3));
        }
        let due = pace.due(ADAPTIVE, now, now) - now;
        assert!((14..=15).contains(&due.as_millis()), "{due:?}");
        let soon = now + Duration::from_millis(5);
        assert_eq!(pace.due(ADAPTIVE, now, soon), now + due, "one pass for all");
        pace.begin(now + due);
        for _ in 0..50 {
            pace.passed(Duration::from_secs(1));
        }
        assert_eq!(
            pace.due(ADAPTIVE, now, now) - now,
            Duration::from_millis(350)
        );
    }

    #[test]
    fn a_fixed_latency_is_a_beat_within_the_setting() {
        let now = Instant::now();
        let mut pace = Pace::default();
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
