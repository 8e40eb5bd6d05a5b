//! Manifests of MPEG-DASH, written (ISO/IEC 23009-1).
//!
//! Owns: [`Manifest`] and the text made of it.
//! Invariants: the text is well-formed XML whatever the values hold; one version of the facts gives one text.
//! Does not: read a clock, or decide what is listed.
//!
//! # The form, and why
//!
//! `SegmentTemplate` with `$Number$` **and** a `SegmentTimeline`. Publishers cut where their key frames are, so durations
//! differ, and a template with `@duration` alone would name segments that drift away from what is there; `$Number$`
//! instead of `$Time$`, because then a time that was only foreseen is in no URL, and both tracks count alike.
//!
//! With low latency the segment under way **is listed**, with the duration that is expected of it (not the one it has so
//! far), under `@availabilityTimeOffset` = that duration less the first part, and `@availabilityTimeComplete="false"`:
//!
//! - dash.js 5 finds segments in the timeline only, and asks for one from
//!   `availabilityStartTime + end of the segment − availabilityTimeOffset` on. Unlisted ones do not exist for it, and only
//!   `availabilityTimeComplete="false"` turns its low-latency mode on, with bodies read as they come.
//! - It looks for the segment that holds the end of the last one. A duration that was foreseen too long is corrected by the
//!   next manifest; one too short makes it find the same segment again. So foresee the longest of late, not the average.
//! - It reads a manifest at most once a second. For a latency below that, the segment **after** the one under way is listed
//!   too; then it is asked for in time whether a new manifest came or not. This needs a server that holds such a
//!   request until the segment begins: ffmpeg, which reads no availability times, takes whatever is listed at once, and
//!   passes over a segment that is answered with 404.
//!
//! ffmpeg begins a minute before the end of the timeline, or at its beginning, so listing more costs it nothing. It takes
//! the period with the longest `@duration` for the only one; no period has that attribute, and it takes the last.
//!
//! dash.js takes the wall clock for the live edge: `availabilityStartTime` has to be such that a segment is complete when
//! the clock shows its end, or players ask early or play late by the difference.

mod write;
mod xml;

use std::time::{Duration, SystemTime};

/// A manifest of the live profile with number templates and timelines.
#[derive(Debug, Clone, Copy)]
pub struct Manifest<'a> {
    /// Where the presentation's time begins (`availabilityStartTime`). It must never change while the manifest lives.
    pub availability_start: SystemTime,
    /// When this version was made; equal for equal facts.
    pub publish_time: SystemTime,
    /// What is said only of a stream that goes on, or how long one that ended was.
    pub state: State<'a>,
    /// How far ahead a player buffers at the stated bandwidths (`minBufferTime`).
    pub min_buffer: Duration,
    /// Longest segment (`maxSegmentDuration`).
    pub max_segment: Duration,
    /// The periods, the oldest first. A player takes the end of one from the start of the next.
    pub periods: &'a [Period<'a>],
}

/// Whether a stream goes on.
#[derive(Debug, Clone, Copy)]
pub enum State<'a> {
    /// It does (`type="dynamic"`).
    Live(Live<'a>),
    /// It does not (`type="static"`).
    Ended {
        /// From the start of the presentation to the end of the last segment (`mediaPresentationDuration`).
        duration: Duration,
    },
}

/// What players need of a stream that goes on. The clocks are tried in the order of the fields.
#[derive(Debug, Clone, Copy)]
pub struct Live<'a> {
    /// How often to ask for a new manifest (`minimumUpdatePeriod`).
    pub update_period: Duration,
    /// How much is kept (`timeShiftBufferDepth`).
    pub time_shift: Duration,
    /// How far behind the edge to play (`suggestedPresentationDelay`).
    pub delay: Duration,
    /// The server's time now, written into the manifest (`urn:mpeg:dash:utc:direct:2014`); `None` for a manifest that is
    /// kept for longer than a moment.
    pub now: Option<SystemTime>,
    /// A URL whose answer is the time in ISO 8601 (`urn:mpeg:dash:utc:http-iso:2014`).
    pub http_iso: Option<&'a str>,
    /// A URL whose answers have a `Date` field (`urn:mpeg:dash:utc:http-head:2014`).
    pub http_head: Option<&'a str>,
    /// What low latency aims at.
    pub latency: Option<Latency>,
}

/// `ServiceDescription`: the distance from the wall clock and how fast it may be caught up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latency {
    /// Aimed at.
    pub target: Duration,
    /// Least.
    pub min: Duration,
    /// Most.
    pub max: Duration,
    /// Slowest playback, such as 0.96.
    pub min_rate: f64,
    /// Fastest playback, such as 1.04.
    pub max_rate: f64,
}

/// A stretch without discontinuity.
#[derive(Debug, Clone, Copy)]
pub struct Period<'a> {
    /// Differs from that of all others and stays while the manifest lives.
    pub id: u64,
    /// From the start of the presentation.
    pub start: Duration,
    /// Its tracks.
    pub tracks: &'a [Track<'a>],
}

/// A track: an adaptation set of one representation.
#[derive(Debug, Clone, Copy)]
pub struct Track<'a> {
    /// Differs from the other tracks of its period, and is the same for the same track in all.
    pub id: u32,
    /// What it shows.
    pub media: Media,
    /// RFC 5646, such as `en`.
    pub language: Option<&'a str>,
    /// RFC 6381.
    pub codecs: &'a str,
    /// In bit/s; at least 1 is written.
    pub bandwidth: u64,
    /// Ticks a second of all times below, and in the segments.
    pub timescale: u32,
    /// The time in the segments at which the period starts.
    pub presentation_time_offset: u64,
    /// URI of its initialization segment.
    pub initialization: &'a str,
    /// What stands before a segment's number in its URI.
    pub prefix: &'a str,
    /// What stands behind it.
    pub suffix: &'a str,
    /// Number of the first segment in `segments`.
    pub start_number: u64,
    /// The segments, the oldest first; with `early`, the last ones may be under way or to come.
    pub segments: &'a [Span],
    /// Low latency: how long before its end a segment can be asked for. `None` if only finished ones are listed. Not
    /// written of a stream that ended.
    pub early: Option<Duration>,
    /// `ProducerReferenceTime`: a time in the segments, and when it was taken in. Not written of a stream that ended.
    pub reference: Option<(u64, SystemTime)>,
}

/// Where a segment lies, in ticks of its track's timescale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Of its first sample.
    pub time: u64,
    /// At least 1 is written.
    pub duration: u64,
}

/// What a track shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Media {
    /// Pictures.
    Video {
        /// In pixels; 0 if unknown.
        width: u32,
        /// In pixels; 0 if unknown.
        height: u32,
        /// Pictures in so many seconds, such as `(30000, 1001)`.
        frame_rate: Option<(u32, u32)>,
    },
    /// Sound.
    Audio {
        /// In Hz; 0 if unknown.
        sample_rate: u32,
        /// Channels; 0 if unknown.
        channels: u32,
    },
}

#[cfg(test)]
mod tests;
