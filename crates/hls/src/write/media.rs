//! Media playlists, with low latency and delta updates.
//!
//! Owns: the order of the tags, the version, what is skipped in a delta update, how long parts stay listed.
//! Invariants: each segment's `EXT-X-MAP`, `EXT-X-KEY` and `EXT-X-DISCONTINUITY` stand before its parts; initialization
//! sections are never under a key; a delta update is the full playlist with its oldest segments replaced.
//! Does not: allocate, other than by growing the text.
//!
//! # Dates
//!
//! A live or event playlist has `EXT-X-PROGRAM-DATE-TIME` before every segment whose date is known, a VOD playlist only
//! before the first and after discontinuities. A live window slides, so each segment is the first one day, and a delta
//! update begins anywhere: dates at discontinuities only would vanish. Players align renditions by them.
//!
//! # Delta updates
//!
//! `EXT-X-SKIP` replaces the segments older than the skip boundary with all their tags (draft §6.2.5.1); a player keeps its
//! copy of them. The `EXT-X-MAP` and `EXT-X-KEY` in force are said again before the first segment that is listed: in the
//! player's merged playlist that changes nothing, and players exist that carry the map over but not the key. No
//! discontinuity is lost: the tag of a segment goes with its segment, in the player's copy or in the text.
//!
//! # Version
//!
//! The lowest that the tags written need (draft §8): 3 for durations with a fraction, 6 for `EXT-X-MAP`, 9 for
//! `EXT-X-SKIP`. So a delta update of a playlist may have a higher version than the playlist, as in the draft's own
//! examples (appendix B.1). 7 and 10 are for tags that are not written here.

use std::time::{Duration, SystemTime};

use super::date::push_date;
use super::text::{push_hex, push_integer, push_seconds, push_uri, push_uri_line, round_up};

/// How many target durations from its end a playlist has parts (draft §4.4.4.9: they should go beyond three).
const PARTS_TARGETS: u32 = 3;

/// How many target durations from its end a delta update may begin; the least that is allowed (draft §4.4.3.8).
const SKIP_TARGETS: u32 = 6;

/// How far from the end players should stay: three durations of a segment, or of a part (draft §4.4.3.8).
const HOLD_BACK_TARGETS: u32 = 3;

/// What a playlist may lose (draft §4.4.3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A window that slides.
    Live,
    /// Segments are only added.
    Event,
    /// All is there. No part, hint, report or server control is written.
    Vod,
}

/// A key of `AES-128` (RFC 8216 §4.3.2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its number, for [`SegmentUris::key`].
    pub number: u64,
    /// The initialization vector; without one it is the media sequence number.
    pub iv: Option<[u8; 16]>,
}

/// A segment, finished or under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Of its media; of one under way, what there is of it so far. Nobody reads the latter, parts count for themselves.
    pub duration: Duration,
    /// Wall clock of its first sample. Dates of one timeline should agree with the durations.
    pub date: Option<SystemTime>,
    /// Number of its initialization section, for [`SegmentUris::map`]; `None` if the segments have none, as in TS.
    pub map: Option<u64>,
    /// The key that it and its parts are under.
    pub key: Option<Key>,
    /// Whether its timeline or format is not that of the segment before (RFC 8216 §4.3.2.3).
    pub is_discontinuity: bool,
    /// Whether its media are lost, and it must not be asked for (draft §4.4.4.7).
    pub is_gap: bool,
}

/// A part of a segment (draft §4.4.4.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Of its media.
    pub duration: Duration,
    /// Whether it begins with a key frame.
    pub is_independent: bool,
    /// Whether it is lost.
    pub is_gap: bool,
}

/// What will be there next (draft §4.4.5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// A part.
    Part {
        /// Media sequence number of its segment.
        segment: u64,
        /// Its place in it, from 0.
        part: u32,
    },
    /// An initialization section, by its number.
    Map(u64),
}

/// Where another rendition stands (draft §4.4.5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenditionReport<'a> {
    /// Its media playlist, relative to this one.
    pub uri: &'a str,
    /// Media sequence number of its last segment, or of the one under way if that has parts.
    pub last_segment: u64,
    /// The last part in that segment, if it has parts listed.
    pub last_part: Option<u32>,
}

/// How what a playlist lists is called. Each function appends one URI that is not empty; characters that cannot stand in
/// a playlist are percent-encoded by the writer, the rest is the caller's (see [`crate::uri::push_encoded`]).
pub trait SegmentUris {
    /// The segment of this media sequence number.
    fn segment(&self, number: u64, out: &mut String);
    /// A part, by its place in the segment from 0.
    fn part(&self, segment: u64, part: u32, out: &mut String);
    /// An initialization section, by [`Segment::map`].
    fn map(&self, number: u64, out: &mut String);
    /// A key, by [`Key::number`].
    fn key(&self, number: u64, out: &mut String);
}

/// What a playlist lists. The writer walks through it more than once; it must not change meanwhile.
pub trait Window: SegmentUris {
    /// The finished segments, the oldest first; their numbers follow each other from
    /// [`MediaPlaylist::media_sequence`].
    fn segments(&self) -> impl Iterator<Item = Segment>;

    /// The segment under way, numbered next. It is listed by its parts only, and not at all without parts.
    fn open(&self) -> Option<Segment>;

    /// The parts of the segment `number`, finished or under way. They are asked for only near the end of the window;
    /// none is a fine answer.
    fn parts(&self, number: u64) -> impl Iterator<Item = Part>;
}

/// A media playlist.
#[derive(Debug, Clone, Copy)]
pub struct MediaPlaylist<'a, W> {
    /// Longest segment; written in whole seconds, rounded up, at least 1. It must never change while the playlist
    /// lives, and no segment, rounded to whole seconds, may be longer (RFC 8216 §4.3.3.1).
    pub target_duration: Duration,
    /// Longest part. Without it the playlist has neither parts nor hints.
    pub part_target: Option<Duration>,
    /// Whether the server holds an answer until there is news (draft §6.2.5.2).
    pub can_block: bool,
    /// Whether the server answers with delta updates (draft §6.2.5.1), from six target durations.
    pub can_skip: bool,
    /// Whether this answer is a delta update, if anything can be skipped. Needs [`can_skip`](Self::can_skip).
    pub skip: bool,
    /// Number of the first segment of the window.
    pub media_sequence: u64,
    /// How many segments with a discontinuity have left the window (RFC 8216 §4.3.3.3).
    pub discontinuity_sequence: u64,
    /// What it may lose.
    pub kind: Kind,
    /// Whether every segment begins with a key frame (RFC 8216 §4.3.5.1).
    pub is_independent: bool,
    /// Whether nothing will be added (RFC 8216 §4.3.3.4).
    pub is_ended: bool,
    /// What is listed.
    pub window: &'a W,
    /// What comes next; not written with `is_ended`.
    pub hint: Option<Hint>,
    /// Other renditions; not written with `is_ended`.
    pub reports: &'a [RenditionReport<'a>],
}

impl<W: Window> MediaPlaylist<'_, W> {
    /// Appends the playlist.
    pub fn write(&self, out: &mut String) {
        let skipped = self.skipped();
        self.write_header(skipped, out);
        let mut state = State::default();
        let mut left = self.listed();
        for (index, segment) in self.window.segments().enumerate() {
            left = left.saturating_sub(segment.duration);
            let index = index as u64;
            if index < skipped {
                state.pass(&segment);
                continue;
            }
            let number = self.media_sequence.saturating_add(index);
            self.write_state(&segment, &mut state, out);
            if self.has_parts() && left < self.target().saturating_mul(PARTS_TARGETS) {
                self.write_parts(number, out);
            }
            if segment.is_gap {
                out.push_str("#EXT-X-GAP\n");
            }
            out.push_str("#EXTINF:");
            push_seconds(out, segment.duration);
            out.push_str(",\n");
            push_uri_line(out, |out| self.window.segment(number, out));
        }
        self.write_tail(&mut state, out);
    }

    /// How many segments a delta update leaves out; 0 gives the full playlist.
    ///
    /// Those are left out that end at least `CAN-SKIP-UNTIL` before the end of the last finished segment, and the last
    /// segment always stays. Parts under way are not counted, so the boundary is never too near.
    pub fn skipped(&self) -> u64 {
        if !self.skip || !self.can_skip || !self.has_server_control() {
            return 0;
        }
        let boundary = self.target().saturating_mul(SKIP_TARGETS);
        let mut left = self.listed();
        let older = self.window.segments().take_while(|segment| {
            left = left.saturating_sub(segment.duration);
            left >= boundary
        });
        older.count() as u64
    }

    /// Duration of all finished segments.
    fn listed(&self) -> Duration {
        let durations = self.window.segments().map(|segment| segment.duration);
        durations.fold(Duration::ZERO, Duration::saturating_add)
    }

    /// The target duration as it is written.
    fn target(&self) -> Duration {
        let whole = self.target_duration.as_secs();
        let rest = u64::from(self.target_duration.subsec_nanos() > 0);
        Duration::from_secs(whole.saturating_add(rest).max(1))
    }

    fn has_parts(&self) -> bool {
        self.part_target.is_some() && self.has_server_control()
    }

    fn has_server_control(&self) -> bool {
        self.kind != Kind::Vod
    }

    fn version(&self, skipped: u64) -> u64 {
        let has_map = |segment: Segment| segment.map.is_some();
        if skipped > 0 {
            9
        } else if self.window.open().is_some_and(has_map) || self.window.segments().any(has_map) {
            6
        } else {
            3
        }
    }

    fn write_header(&self, skipped: u64, out: &mut String) {
        out.push_str("#EXTM3U\n#EXT-X-VERSION:");
        push_integer(out, self.version(skipped));
        out.push_str("\n#EXT-X-TARGETDURATION:");
        push_integer(out, self.target().as_secs());
        out.push('\n');
        if self.has_server_control() {
            self.write_server_control(out);
        }
        out.push_str("#EXT-X-MEDIA-SEQUENCE:");
        push_integer(out, self.media_sequence);
        out.push('\n');
        if self.kind != Kind::Vod || self.discontinuity_sequence > 0 {
            out.push_str("#EXT-X-DISCONTINUITY-SEQUENCE:");
            push_integer(out, self.discontinuity_sequence);
            out.push('\n');
        }
        match self.kind {
            Kind::Live => {}
            Kind::Event => out.push_str("#EXT-X-PLAYLIST-TYPE:EVENT\n"),
            Kind::Vod => out.push_str("#EXT-X-PLAYLIST-TYPE:VOD\n"),
        }
        if self.is_independent {
            out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
        if skipped > 0 {
            out.push_str("#EXT-X-SKIP:SKIPPED-SEGMENTS=");
            push_integer(out, skipped);
            out.push('\n');
        }
    }

    fn write_server_control(&self, out: &mut String) {
        let part_target = self.part_target.map(round_up);
        out.push_str("#EXT-X-SERVER-CONTROL:");
        if self.can_block {
            out.push_str("CAN-BLOCK-RELOAD=YES,");
        }
        if self.can_skip {
            out.push_str("CAN-SKIP-UNTIL=");
            push_seconds(out, self.target().saturating_mul(SKIP_TARGETS));
            out.push(',');
        }
        if let Some(target) = part_target {
            out.push_str("PART-HOLD-BACK=");
            push_seconds(out, target.saturating_mul(HOLD_BACK_TARGETS));
            out.push(',');
        }
        out.push_str("HOLD-BACK=");
        push_seconds(out, self.target().saturating_mul(HOLD_BACK_TARGETS));
        out.push('\n');
        if let Some(target) = part_target {
            out.push_str("#EXT-X-PART-INF:PART-TARGET=");
            push_seconds(out, target);
            out.push('\n');
        }
    }

    /// What stands before a segment or its first part.
    fn write_state(&self, segment: &Segment, state: &mut State, out: &mut String) {
        if segment.is_discontinuity {
            out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if let Some(map) = segment.map
            && state.map != Some(map)
        {
            // a key covers the maps behind it, and with them the initialization section (RFC 8216 §4.3.2.4)
            state.end_key(out);
            out.push_str("#EXT-X-MAP:URI=");
            push_uri(out, |out| self.window.map(map, out));
            out.push('\n');
            state.map = Some(map);
        }
        match segment.key {
            Some(key) if state.key != Some(key) || state.is_restated => {
                out.push_str("#EXT-X-KEY:METHOD=AES-128,URI=");
                push_uri(out, |out| self.window.key(key.number, out));
                if let Some(iv) = key.iv {
                    out.push_str(",IV=");
                    push_hex(out, &iv);
                }
                out.push('\n');
                state.key = Some(key);
            }
            Some(_) => {}
            None => state.end_key(out),
        }
        state.is_restated = false;
        if let Some(date) = segment.date
            && (self.kind != Kind::Vod || segment.is_discontinuity || !state.has_date)
        {
            out.push_str("#EXT-X-PROGRAM-DATE-TIME:");
            push_date(out, date);
            out.push('\n');
            state.has_date = true;
        }
    }

    fn write_parts(&self, number: u64, out: &mut String) {
        for (index, part) in (0..).zip(self.window.parts(number)) {
            out.push_str("#EXT-X-PART:DURATION=");
            push_seconds(out, part.duration);
            out.push_str(",URI=");
            push_uri(out, |out| self.window.part(number, index, out));
            if part.is_independent {
                out.push_str(",INDEPENDENT=YES");
            }
            if part.is_gap {
                out.push_str(",GAP=YES");
            }
            out.push('\n');
        }
    }

    /// What stands behind the last finished segment.
    fn write_tail(&self, state: &mut State, out: &mut String) {
        if self.is_ended {
            out.push_str("#EXT-X-ENDLIST\n");
            return;
        }
        if self.has_parts() {
            let number = self
                .media_sequence
                .saturating_add(self.window.segments().count() as u64);
            if let Some(open) = self.window.open()
                && self.window.parts(number).next().is_some()
            {
                self.write_state(&open, state, out);
                self.write_parts(number, out);
            }
            if let Some(hint) = self.hint {
                self.write_hint(hint, out);
            }
        }
        for report in self.reports {
            out.push_str("#EXT-X-RENDITION-REPORT:URI=");
            push_uri(out, |out| out.push_str(report.uri));
            out.push_str(",LAST-MSN=");
            push_integer(out, report.last_segment);
            if let Some(part) = report.last_part {
                out.push_str(",LAST-PART=");
                push_integer(out, part.into());
            }
            out.push('\n');
        }
    }

    fn write_hint(&self, hint: Hint, out: &mut String) {
        out.push_str("#EXT-X-PRELOAD-HINT:TYPE=");
        match hint {
            Hint::Part { segment, part } => {
                out.push_str("PART,URI=");
                push_uri(out, |out| self.window.part(segment, part, out));
            }
            Hint::Map(map) => {
                out.push_str("MAP,URI=");
                push_uri(out, |out| self.window.map(map, out));
            }
        }
        out.push('\n');
    }
}

/// What the tags written so far have put in force.
#[derive(Default)]
struct State {
    map: Option<u64>,
    key: Option<Key>,
    has_date: bool,
    /// Whether the key in force has to be said again before the next segment.
    is_restated: bool,
}

impl State {
    /// A segment that a delta update leaves out. Its tags hold on in the player's copy, so what ends there must be said;
    /// and they are said again, as some players do not carry them over.
    fn pass(&mut self, segment: &Segment) {
        self.key = segment.key;
        self.is_restated = true;
    }

    /// Ends the key in force.
    fn end_key(&mut self, out: &mut String) {
        if self.key.take().is_some() {
            out.push_str("#EXT-X-KEY:METHOD=NONE\n");
        }
    }
}
