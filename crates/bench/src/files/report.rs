//! The result of `bench files` for people and for programs.
//!
//! Owns: the JSON document (times in milliseconds) and the table, which shows the same figures.
//! Does not: judge them; see [`crate::run`].

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::Tally;
use crate::args::Files;
use crate::process::Usage;
use crate::report::{Role, Spread, reasons_line, write_processes, write_reasons};

/// All that was measured; counts are of the window.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The first of them.
    pub(crate) url: String,
    /// How many there are.
    pub(crate) files: usize,
    /// Length of the measured window in seconds; 0 when the run ended before it.
    pub(crate) seconds: f64,
    pub(crate) connections: Role,
    /// Answered with 200.
    pub(crate) requests: u64,
    pub(crate) requests_per_second: f64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_per_second: f64,
    /// From request to the last byte of its answer.
    pub(crate) latency_ms: Spread,
    /// Answers by status.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// Failures by reason.
    pub(crate) reasons: BTreeMap<String, u64>,
    /// The bench itself first.
    pub(crate) processes: Vec<Usage>,
}

impl Report {
    pub(super) fn new(
        args: &Files,
        files: usize,
        tally: Tally,
        connections: (usize, usize),
        seconds: f64,
        processes: Vec<Usage>,
    ) -> Self {
        let per_second = |count: u64| {
            if seconds > 0.0 {
                count as f64 / seconds
            } else {
                0.0
            }
        };
        let requests = tally.statuses.get(&200).copied().unwrap_or(0);
        Self {
            url: args.urls.first().cloned().unwrap_or_default(),
            files,
            seconds,
            connections: Role::new(args.connections, connections),
            requests,
            requests_per_second: per_second(requests),
            bytes_in: tally.bytes_in,
            bytes_per_second: per_second(tally.bytes_in),
            latency_ms: Spread::from(&tally.latency),
            statuses: tally.statuses,
            reasons: tally.reasons,
            processes,
        }
    }

    /// Connections and requests that did not do what they should.
    pub(crate) fn bad(&self) -> u64 {
        let answers: u64 = self.statuses.values().sum();
        self.connections.failed as u64 + answers - self.requests
    }

    /// Whether there was not even a beginning; why, in one line.
    pub(crate) fn nothing_ran(&self) -> Option<String> {
        let nothing = self.seconds == 0.0 && self.connections.running == 0;
        nothing.then(|| reasons_line(&self.reasons))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, files, .. } = self;
        writeln!(f, "{url}, {files} files, {:.1} s measured", self.seconds)?;
        writeln!(f, "{:<22}{}", "connections", self.connections)?;
        write_reasons(f, &self.reasons)?;
        for (status, count) in self.statuses.iter().filter(|(status, _)| **status != 200) {
            writeln!(f, "  {count:>6} × HTTP {status}")?;
        }
        writeln!(
            f,
            "{:<22}{:>10}{:>10}{:>10}{:>12}",
            "ms", "p50", "p99", "max", "count"
        )?;
        writeln!(f, "{:<22}{}", "request", self.latency_ms)?;
        writeln!(
            f,
            "{:<22}{} ({:.0} a second)",
            "requests", self.requests, self.requests_per_second
        )?;
        let (all, rate) = (self.bytes_in as f64 / 1e6, self.bytes_per_second / 1e6);
        writeln!(f, "{:<22}{all:.1} MB, {rate:.1} MB/s", "received")?;
        write_processes(f, &self.processes)
    }
}
