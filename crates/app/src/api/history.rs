//! Sessions, traffic and load of the last minutes.
//!
//! Owns: a bounded ring of samples, and the rates that are made of totals. Does not: run by itself; somebody calls
//! [`History::take`] every [`EVERY`].

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use serde::Serialize;
use utoipa::ToSchema;
use weir_net::process;

use super::about::unix_ms;

/// Time between two samples: a graph of five minutes has a point for each few pixels of a page.
pub(crate) const EVERY: Duration = Duration::from_secs(2);

/// Samples kept: five minutes.
const MOST_SAMPLES: usize = 150;

/// What the process has done until now, and holds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    /// Streams now.
    pub(crate) streams: u64,
    /// Publishers now.
    pub(crate) publishers: u64,
    /// Viewers now.
    pub(crate) viewers: u64,
    /// Bytes received in all.
    pub(crate) received: u64,
    /// Bytes sent in all.
    pub(crate) sent: u64,
    /// Sessions that ended by a fault, in all.
    pub(crate) faults: u64,
}

/// What was at one time.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Sample {
    /// When, in milliseconds since 1970 UTC.
    at: u64,
    /// Streams that were published.
    streams: u64,
    /// Sessions that published.
    publishers: u64,
    /// Sessions that watched.
    viewers: u64,
    /// Kilobits a second from publishers since the sample before.
    kbps_in: u64,
    /// Kilobits a second to viewers since the sample before.
    kbps_out: u64,
    /// CPU time since the sample before, in percent of one core.
    #[schema(example = 12.5)]
    cpu_percent: f64,
    /// Resident memory, in bytes.
    rss: u64,
    /// Sessions that ended by a fault since the sample before.
    errors: u64,
}

/// The samples.
#[derive(Debug, Default)]
pub(crate) struct History {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    samples: VecDeque<Sample>,
    before: Option<(Instant, Totals, Duration)>,
}

impl History {
    /// Takes a sample. The first one only begins: rates need a time.
    pub(crate) fn take(&self, now: Instant, wallclock: SystemTime, totals: Totals) {
        let usage = process::usage();
        self.add(now, wallclock, totals, usage.cpu, usage.resident);
    }

    fn add(&self, now: Instant, wallclock: SystemTime, totals: Totals, cpu: Duration, rss: u64) {
        let mut inner = self.inner.lock();
        let Some((then, before, cpu_before)) = inner.before.replace((now, totals, cpu)) else {
            return;
        };
        let time = now.saturating_duration_since(then);
        let kbps = |before: u64, now: u64| {
            // bits in a millisecond are kilobits in a second
            let bits = u128::from(now.saturating_sub(before)) * 8;
            u64::try_from(bits / time.as_millis().max(1)).unwrap_or(u64::MAX)
        };
        let worked = cpu.saturating_sub(cpu_before).as_secs_f64();
        let share = worked / time.as_secs_f64().max(0.001) * 100.0;
        let sample = Sample {
            at: unix_ms(wallclock),
            streams: totals.streams,
            publishers: totals.publishers,
            viewers: totals.viewers,
            kbps_in: kbps(before.received, totals.received),
            kbps_out: kbps(before.sent, totals.sent),
            // more digits would be noise
            cpu_percent: (share * 10.0).round() / 10.0,
            rss,
            errors: totals.faults.saturating_sub(before.faults),
        };
        if inner.samples.len() >= MOST_SAMPLES {
            inner.samples.pop_front();
        }
        inner.samples.push_back(sample);
    }

    /// All samples, oldest first.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        self.inner.lock().samples.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use weir_net::clock;

    use super::*;

    fn totals(bytes: u64) -> Totals {
        Totals {
            streams: 3,
            publishers: 2,
            viewers: 7,
            received: bytes,
            sent: bytes * 10,
            faults: bytes / 1000,
        }
    }

    #[test]
    fn rates_are_what_came_since_the_sample_before() {
        let (history, start) = (History::default(), clock::now());
        let add = |seconds: u64, bytes, cpu| {
            let at = Duration::from_secs(seconds);
            let cpu = Duration::from_millis(cpu);
            history.add(start + at, UNIX_EPOCH + at, totals(bytes), cpu, 4096);
        };
        add(0, 5_000, 100);
        assert_eq!(history.samples(), []);
        add(2, 7_000, 600);
        // counters of a restarted part go back, which is no rate
        add(4, 1_000, 600);
        let samples = history.samples();
        assert_eq!(
            samples[0],
            Sample {
                at: 2000,
                streams: 3,
                publishers: 2,
                viewers: 7,
                kbps_in: 8,
                kbps_out: 80,
                cpu_percent: 25.0,
                rss: 4096,
                errors: 2,
            }
        );
        assert_eq!((samples[1].kbps_in, samples[1].errors), (0, 0));
    }

    #[test]
    fn five_minutes_are_kept() {
        let (history, start) = (History::default(), clock::now());
        for number in 0..=(MOST_SAMPLES as u32 + 20) {
            let at = EVERY * number;
            history.add(start + at, UNIX_EPOCH + at, totals(0), Duration::ZERO, 0);
        }
        let samples = history.samples();
        assert_eq!(samples.len(), MOST_SAMPLES);
        let span = samples[MOST_SAMPLES - 1].at - samples[0].at;
        assert_eq!(
            Duration::from_millis(span) + EVERY,
            Duration::from_secs(300)
        );
        assert_eq!(samples[MOST_SAMPLES - 1].at, 2000 * (150 + 20));
    }
}
