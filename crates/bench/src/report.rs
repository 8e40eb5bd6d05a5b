//! The result for people and for programs.
//!
//! Owns: the JSON document (times in milliseconds) and the table, which shows the same figures.
//! Does not: judge them; see [`crate::run`].

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::Serialize;

use crate::clock::MILLISECOND;
use crate::coordinator::Outcome;
use crate::histogram::Histogram;
use crate::process::Usage;

/// Publishers later than this, in milliseconds, do not send the load that was asked for: it is several frames.
const LATE_MS: f64 = 200.0;

/// All that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) url: String,
    /// Length of the measured window in seconds; 0 when the run ended before it.
    pub(crate) seconds: f64,
    pub(crate) publishers: Role,
    pub(crate) viewers: Role,
    pub(crate) streams: usize,
    /// Without media for 2 s at any time in the window.
    pub(crate) starved: u64,
    pub(crate) starved_at_end: u64,
    /// Failures by reason.
    pub(crate) reasons: BTreeMap<String, u64>,
    pub(crate) latency_ms: Spread,
    pub(crate) first_media_ms: Spread,
    pub(crate) first_key_frame_ms: Spread,
    pub(crate) longest_gap_ms: Spread,
    pub(crate) publisher_lag_ms: Spread,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) messages_in: u64,
    pub(crate) messages_out: u64,
    pub(crate) kbps_in: f64,
    pub(crate) kbps_out: f64,
    pub(crate) timestamps_gone_back: u64,
    /// The bench itself first.
    pub(crate) processes: Vec<Usage>,
}

/// Sessions of one role.
#[derive(Debug, Serialize)]
pub(crate) struct Role {
    pub(crate) wanted: usize,
    pub(crate) running: usize,
    pub(crate) failed: usize,
}

/// A distribution in milliseconds; `None` when nothing was recorded.
#[derive(Debug, Serialize)]
pub(crate) struct Spread {
    pub(crate) count: u64,
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    pub(crate) max: Option<f64>,
}

impl From<&Histogram> for Spread {
    fn from(histogram: &Histogram) -> Self {
        let count = histogram.count();
        let milliseconds = |value: u64| (count > 0).then(|| value as f64 / MILLISECOND as f64);
        Self {
            count,
            p50: milliseconds(histogram.quantile(0.5)),
            p99: milliseconds(histogram.quantile(0.99)),
            max: milliseconds(histogram.max()),
        }
    }
}

impl Report {
    pub(crate) fn new(plan: &crate::plan::Plan, outcome: Outcome) -> Self {
        let Outcome {
            tally,
            publishers,
            viewers,
            seconds,
            processes,
            hls: _,
        } = outcome;
        let kbps = |bytes: u64| {
            if seconds > 0.0 {
                bytes as f64 * 8.0 / 1000.0 / seconds
            } else {
                0.0
            }
        };
        Self {
            url: plan.load.url.clone(),
            seconds,
            publishers: Role::new(plan.load.publishers, publishers),
            viewers: Role::new(plan.load.viewers, viewers),
            streams: plan.streams,
            starved: tally.starved,
            starved_at_end: tally.starved_at_end,
            latency_ms: Spread::from(&tally.latency),
            first_media_ms: Spread::from(&tally.first_media),
            first_key_frame_ms: Spread::from(&tally.first_key),
            longest_gap_ms: Spread::from(&tally.gap),
            publisher_lag_ms: Spread::from(&tally.lag),
            bytes_in: tally.bytes_in,
            bytes_out: tally.bytes_out,
            messages_in: tally.messages_in,
            messages_out: tally.messages_out,
            kbps_in: kbps(tally.bytes_in),
            kbps_out: kbps(tally.bytes_out),
            timestamps_gone_back: tally.backward,
            reasons: tally.reasons,
            processes,
        }
    }

    /// Sessions that did not do what they should.
    pub(crate) fn bad_sessions(&self) -> u64 {
        (self.publishers.failed + self.viewers.failed) as u64 + self.starved
    }
}

/// Reasons in one line, the most frequent first.
pub(crate) fn reasons_line(reasons: &BTreeMap<String, u64>) -> String {
    let mut reasons: Vec<_> = reasons.iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let each = reasons
        .iter()
        .map(|(reason, count)| format!("{reason} (×{count})"));
    each.collect::<Vec<_>>().join("; ")
}

/// Reasons in a table, one a line.
pub(crate) fn write_reasons(
    f: &mut fmt::Formatter<'_>,
    reasons: &BTreeMap<String, u64>,
) -> fmt::Result {
    for (reason, count) in reasons {
        writeln!(f, "  {count:>6} × {reason}")?;
    }
    Ok(())
}

/// A warning in a table where publishers were late.
pub(crate) fn write_late(f: &mut fmt::Formatter<'_>, lag: &Spread) -> fmt::Result {
    if lag.p99.is_some_and(|lag| lag > LATE_MS) {
        let text = "the bench was late: it lacked CPU, so these figures are not the server's";
        writeln!(f, "{:<22}{text}", "warning")?;
    }
    Ok(())
}

/// Processes in a table; the first is the bench.
pub(crate) fn write_processes(f: &mut fmt::Formatter<'_>, processes: &[Usage]) -> fmt::Result {
    for (index, usage) in processes.iter().enumerate() {
        let name = if index == 0 {
            "bench itself"
        } else {
            &usage.name
        };
        let mebibytes = |kib: u64| kib as f64 / 1024.0;
        let mut line = format!("{name} [{}]", usage.pid);
        write!(
            line,
            "{:pad$}",
            "",
            pad = 22_usize.saturating_sub(line.chars().count())
        )?;
        writeln!(
            f,
            "{line}{:.1} % of a core (user {:.2} s, system {:.2} s), {:.0} MiB, ever {:.0} MiB",
            usage.cpu_percent,
            usage.user,
            usage.system,
            mebibytes(usage.rss_kib),
            mebibytes(usage.rss_high_kib)
        )?;
    }
    Ok(())
}

impl Role {
    /// Sessions wanted, and those that run and have failed.
    pub(crate) fn new(wanted: usize, (running, failed): (usize, usize)) -> Self {
        Self {
            wanted,
            running,
            failed,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            wanted,
            running,
            failed,
        } = self;
        write!(f, "{running} of {wanted} running, {failed} failed")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}, {} streams, {:.1} s measured",
            self.url, self.streams, self.seconds
        )?;
        for (name, role) in [("publishers", &self.publishers), ("viewers", &self.viewers)] {
            writeln!(f, "{name:<22}{role}")?;
        }
        writeln!(
            f,
            "{:<22}{}, at the end {}",
            "starved ≥ 2 s", self.starved, self.starved_at_end
        )?;
        write_reasons(f, &self.reasons)?;
        writeln!(
            f,
            "{:<22}{:>10}{:>10}{:>10}{:>12}",
            "ms", "p50", "p99", "max", "count"
        )?;
        for (name, spread) in [
            ("latency", &self.latency_ms),
            ("start to first media", &self.first_media_ms),
            ("start to key frame", &self.first_key_frame_ms),
            ("longest gap of viewer", &self.longest_gap_ms),
            ("publisher lag (bench)", &self.publisher_lag_ms),
        ] {
            writeln!(f, "{name:<22}{spread}")?;
        }
        for (name, messages, bytes, kbps) in [
            ("received", self.messages_in, self.bytes_in, self.kbps_in),
            ("sent", self.messages_out, self.bytes_out, self.kbps_out),
        ] {
            let megabytes = bytes as f64 / 1e6;
            writeln!(
                f,
                "{name:<22}{messages} messages, {megabytes:.1} MB, {kbps:.0} kb/s"
            )?;
        }
        writeln!(
            f,
            "{:<22}{}",
            "timestamps gone back", self.timestamps_gone_back
        )?;
        write_late(f, &self.publisher_lag_ms)?;
        write_processes(f, &self.processes)
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for value in [self.p50, self.p99, self.max] {
            match value {
                Some(value) => write!(f, "{value:>10.2}")?,
                None => write!(f, "{:>10}", "-")?,
            }
        }
        write!(f, "{:>12}", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::tally::Tally;

    fn report(tally: Tally) -> Report {
        let args = crate::args::tests::parse(&["rtmp", "rtmp://127.0.0.1/live/b", "-n", "3"]);
        let plan = Plan::new(args.unwrap()).unwrap();
        let processes = vec![
            crate::process::Watch::new(std::process::id())
                .unwrap()
                .finish(),
        ];
        let (publishers, viewers) = ((1, 0), (2, 1));
        Report::new(
            &plan,
            Outcome {
                tally,
                publishers,
                viewers,
                seconds: 2.0,
                processes,
                hls: crate::hls::Tally::new(),
            },
        )
    }

    #[test]
    fn document_and_table_show_the_same_figures() {
        let mut tally = Tally::new();
        tally.latency.record(1_500_000);
        tally.bytes_in = 50_000;
        tally.starved = 1;
        tally.reasons.insert("viewer: b".into(), 1);
        tally.reasons.insert("viewer: a".into(), 2);
        let report = report(tally);
        assert_eq!(report.bad_sessions(), 2);
        assert_eq!(
            reasons_line(&report.reasons),
            "viewer: a (×2); viewer: b (×1)"
        );
        let document = serde_json::to_value(&report).unwrap();
        assert_eq!(document["latency_ms"]["max"], 1.5);
        assert_eq!(document["publisher_lag_ms"]["p50"], serde_json::Value::Null);
        assert_eq!(document["kbps_in"], 200.0);
        assert_eq!(document["viewers"]["failed"], 1);
        let table = report.to_string();
        for part in [
            "2 of 3 running, 1 failed",
            "1.50",
            "200 kb/s",
            "2 × viewer: a",
        ] {
            assert!(table.contains(part), "{part} in {table}");
        }
        assert!(!table.contains("warning"));
    }

    #[test]
    fn a_late_bench_says_so() {
        let mut tally = Tally::new();
        tally.lag.record(crate::clock::SECOND);
        assert!(report(tally).to_string().contains("the bench was late"));
    }
}
