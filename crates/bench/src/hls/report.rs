//! The result of `bench hls` for people and for programs.
//!
//! Owns: the JSON document (times in milliseconds) and the table, which shows the same figures.
//! Does not: judge them; see [`crate::run`].

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::player::Mode;
use crate::coordinator::Outcome;
use crate::plan::{Plan, ViewTarget};
use crate::process::Usage;
use crate::report::{Role, Spread, write_late, write_processes, write_reasons};

/// All that was measured; counts are of the window.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) url: String,
    /// `hints`, `no-hints` or `plain`.
    pub(crate) mode: &'static str,
    /// Length of the measured window in seconds; 0 when the run ended before it.
    pub(crate) seconds: f64,
    pub(crate) publishers: Role,
    pub(crate) viewers: Role,
    pub(crate) streams: usize,
    /// From a part's completion to its last byte at a viewer; of segments in plain mode.
    pub(crate) part_delivery_ms: Spread,
    /// From a part's completion to the last byte of a playlist in which it is the newest.
    pub(crate) playlist_delay_ms: Spread,
    /// From connect to the end of the first part or segment.
    pub(crate) first_media_ms: Spread,
    /// Halts of playback.
    pub(crate) stall_ms: Spread,
    pub(crate) stalled_viewers: u64,
    /// Parts (segments) received whole, and listed ones that a viewer did not get.
    pub(crate) parts: u64,
    pub(crate) parts_missed: u64,
    pub(crate) hints_refused: u64,
    pub(crate) playlists: u64,
    /// Reloads that brought nothing new.
    pub(crate) playlists_stale: u64,
    pub(crate) requests: u64,
    pub(crate) requests_per_second: f64,
    /// Answers by status.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// Requests without an answer, and connections opened anew.
    pub(crate) requests_broken: u64,
    pub(crate) reconnects: u64,
    pub(crate) bytes_in: u64,
    pub(crate) kbps_in: f64,
    pub(crate) publisher_lag_ms: Spread,
    /// How long answers had lain ready, at the least, before the bench read them: part of the delays above.
    pub(crate) reader_lag_ms: Spread,
    /// Failures by reason.
    pub(crate) reasons: BTreeMap<String, u64>,
    /// The bench itself first.
    pub(crate) processes: Vec<Usage>,
}

impl Report {
    pub(crate) fn new(plan: &Plan, outcome: Outcome) -> Self {
        let Outcome {
            tally,
            publishers,
            viewers,
            seconds,
            processes,
            hls,
        } = outcome;
        let per_second = |count: u64| {
            if seconds > 0.0 {
                count as f64 / seconds
            } else {
                0.0
            }
        };
        let mode = match &plan.view {
            ViewTarget::Hls(view) if view.mode == Mode::Plain => "plain",
            ViewTarget::Hls(view) if view.mode == Mode::NoHints => "no-hints",
            _ => "hints",
        };
        let mut reasons = tally.reasons;
        for (reason, count) in &hls.reasons {
            *reasons.entry(reason.clone()).or_default() += count;
        }
        Self {
            url: plan.load.url.clone(),
            mode,
            seconds,
            publishers: Role::new(plan.load.publishers, publishers),
            viewers: Role::new(plan.load.viewers, viewers),
            streams: plan.streams,
            part_delivery_ms: Spread::from(&hls.delivery),
            playlist_delay_ms: Spread::from(&hls.known),
            first_media_ms: Spread::from(&hls.first_media),
            stall_ms: Spread::from(&hls.stalls),
            stalled_viewers: hls.stalled,
            parts: hls.parts,
            parts_missed: hls.missed,
            hints_refused: hls.refused_hints,
            playlists: hls.playlists,
            playlists_stale: hls.stale,
            requests: hls.requests(),
            requests_per_second: per_second(hls.requests()),
            requests_broken: hls.broken,
            reconnects: hls.reconnects,
            bytes_in: hls.bytes_in,
            kbps_in: per_second(hls.bytes_in) * 8.0 / 1000.0,
            publisher_lag_ms: Spread::from(&tally.lag),
            reader_lag_ms: Spread::from(&hls.lag),
            statuses: hls.statuses,
            reasons,
            processes,
        }
    }

    /// Sessions that did not do what they should.
    pub(crate) fn bad_sessions(&self) -> u64 {
        (self.publishers.failed + self.viewers.failed) as u64 + self.stalled_viewers
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}, {}, {} streams, {:.1} s measured",
            self.url, self.mode, self.streams, self.seconds
        )?;
        writeln!(f, "{:<22}{}", "publishers", self.publishers)?;
        writeln!(f, "{:<22}{}", "viewers", self.viewers)?;
        writeln!(
            f,
            "{:<22}{} viewers",
            "playback halted", self.stalled_viewers
        )?;
        write_reasons(f, &self.reasons)?;
        writeln!(
            f,
            "{:<22}{:>10}{:>10}{:>10}{:>12}",
            "ms", "p50", "p99", "max", "count"
        )?;
        for (name, spread) in [
            ("part delivery", &self.part_delivery_ms),
            ("playlist delay", &self.playlist_delay_ms),
            ("start to first media", &self.first_media_ms),
            ("halts of playback", &self.stall_ms),
            ("publisher lag (bench)", &self.publisher_lag_ms),
            ("reader lag (bench)", &self.reader_lag_ms),
        ] {
            writeln!(f, "{name:<22}{spread}")?;
        }
        writeln!(
            f,
            "{:<22}{} received, {} missed, {} hints refused",
            "parts", self.parts, self.parts_missed, self.hints_refused
        )?;
        writeln!(
            f,
            "{:<22}{} received, {} without news",
            "playlists", self.playlists, self.playlists_stale
        )?;
        let statuses = self.statuses.iter();
        let statuses: Vec<_> = statuses
            .map(|(status, count)| format!("{count} × {status}"))
            .collect();
        writeln!(
            f,
            "{:<22}{} ({:.0} a second): {}; {} broken, {} reconnects",
            "requests",
            self.requests,
            self.requests_per_second,
            statuses.join(", "),
            self.requests_broken,
            self.reconnects
        )?;
        let megabytes = self.bytes_in as f64 / 1e6;
        writeln!(
            f,
            "{:<22}{megabytes:.1} MB, {:.0} kb/s",
            "received", self.kbps_in
        )?;
        write_late(f, &self.publisher_lag_ms)?;
        write_processes(f, &self.processes)
    }
}
