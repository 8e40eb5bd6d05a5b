//! What a media playlist says.
//!
//! Owns: [`Listing`], and the rules that are broken while it is read. Segments carry all that is in force for them, so
//! that two listings can be compared segment by segment.
//! Does not: judge numbers.

use super::{Finding, Rule, finding};
use crate::playlist::{self, Line, MAX_LINES, Value};

/// A media playlist.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    /// `EXT-X-VERSION`; 1 if it is absent.
    pub version: u64,
    /// `EXT-X-TARGETDURATION`, in seconds.
    pub target: Option<u64>,
    /// `PART-TARGET`, in seconds.
    pub part_target: Option<f64>,
    /// `EXT-X-SERVER-CONTROL`.
    pub server: Server,
    /// `EXT-X-MEDIA-SEQUENCE`.
    pub media_sequence: u64,
    /// `EXT-X-DISCONTINUITY-SEQUENCE`.
    pub discontinuity_sequence: u64,
    /// `EXT-X-PLAYLIST-TYPE`.
    pub kind: Option<String>,
    /// `SKIPPED-SEGMENTS`.
    pub skipped: u64,
    /// Finished segments that are listed.
    pub segments: Vec<Listed>,
    /// Parts of the segment under way.
    pub open_parts: Vec<ListedPart>,
    /// Its date.
    pub open_date: Option<String>,
    /// The part or map that is hinted at.
    pub hint: Option<String>,
    /// Other renditions.
    pub reports: Vec<Report>,
    /// `EXT-X-ENDLIST`.
    pub is_ended: bool,
    /// `EXT-X-INDEPENDENT-SEGMENTS`.
    pub is_independent: bool,
}

/// `EXT-X-SERVER-CONTROL`, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Server {
    /// `CAN-BLOCK-RELOAD`.
    pub can_block: bool,
    /// `CAN-SKIP-UNTIL`.
    pub skip_until: Option<f64>,
    /// `HOLD-BACK`.
    pub hold_back: Option<f64>,
    /// `PART-HOLD-BACK`.
    pub part_hold_back: Option<f64>,
}

/// A finished segment with what is in force for it.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    /// Media sequence number.
    pub number: u64,
    /// Discontinuity sequence number. In a delta update it counts from the first segment that is listed.
    pub discontinuity: u64,
    /// As it stands there.
    pub uri: String,
    /// In seconds.
    pub duration: f64,
    /// `EXT-X-PROGRAM-DATE-TIME` of its own.
    pub date: Option<String>,
    /// URI of its map.
    pub map: Option<String>,
    /// Attributes of its key; `None` without encryption.
    pub key: Option<String>,
    /// `EXT-X-GAP`.
    pub is_gap: bool,
    /// Its parts, if they are listed.
    pub parts: Vec<ListedPart>,
    /// Where its URI stands, from 1.
    pub line: usize,
}

/// All but the line.
impl PartialEq for Listed {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) && self.parts == other.parts
    }
}

impl Listed {
    /// Whether both are the same segment; parts may have been taken from the list.
    pub fn is_same(&self, other: &Self) -> bool {
        self.number == other.number
            && self.discontinuity == other.discontinuity
            && self.uri == other.uri
            && self.duration == other.duration
            && self.date == other.date
            && self.map == other.map
            && self.key == other.key
            && self.is_gap == other.is_gap
    }
}

/// A part.
#[derive(Debug, Clone, Default)]
pub struct ListedPart {
    /// As it stands there.
    pub uri: String,
    /// In seconds.
    pub duration: f64,
    /// `INDEPENDENT=YES`.
    pub is_independent: bool,
    /// `GAP=YES`.
    pub is_gap: bool,
    /// Where it stands, from 1.
    pub line: usize,
}

/// All but the line.
impl PartialEq for ListedPart {
    fn eq(&self, other: &Self) -> bool {
        self.uri == other.uri
            && self.duration == other.duration
            && self.is_independent == other.is_independent
            && self.is_gap == other.is_gap
    }
}

/// `EXT-X-RENDITION-REPORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// As it stands there.
    pub uri: String,
    /// `LAST-MSN`.
    pub last_segment: u64,
    /// `LAST-PART`.
    pub last_part: Option<u64>,
}

impl Listing {
    /// Reads `text`, and tells what is wrong with its form. Lines beyond [`MAX_LINES`] are not read.
    pub fn parse(text: &str) -> (Self, Vec<Finding>) {
        let mut reader = Reader::default();
        for (index, line) in playlist::lines(text).take(MAX_LINES).enumerate() {
            reader.line = index + 1;
            match line {
                Line::Tag { name, value } => {
                    let name = name.strip_prefix("#EXT").unwrap_or(name);
                    reader.read_tag(name, value.unwrap_or_default());
                }
                Line::Uri(uri) => reader.read_uri(uri),
                Line::Comment(_) | Line::Blank => {}
            }
            if index == 0 && line != Line::parse("#EXTM3U") {
                reader.find(Rule::Header, "no #EXTM3U");
            }
        }
        reader.finish()
    }

    /// Parts of all segments.
    pub fn all_parts(&self) -> impl Iterator<Item = &ListedPart> {
        let finished = self.segments.iter().flat_map(|segment| &segment.parts);
        finished.chain(&self.open_parts)
    }

    /// Of the finished segments that are listed, in seconds.
    pub fn duration(&self) -> f64 {
        self.segments.iter().map(|segment| segment.duration).sum()
    }

    /// Number of the segment that is listed next.
    pub fn next_number(&self) -> u64 {
        let listed = self.segments.len() as u64;
        let before = self.media_sequence.saturating_add(self.skipped);
        before.saturating_add(listed)
    }

    /// What a player that has `self` knows after the delta update `update`; `None` if it lacks segments that were
    /// skipped.
    pub fn merge(&self, update: &Self) -> Option<Self> {
        let from = update.media_sequence.checked_sub(self.media_sequence)?;
        let from = usize::try_from(from).ok()?;
        let count = usize::try_from(update.skipped).ok()?;
        let kept = self.segments.get(from..from.checked_add(count)?)?;
        let mut merged = update.clone();
        merged.skipped = 0;
        // discontinuities of what was skipped come before those that are listed
        let base = update.discontinuity_sequence;
        let before = kept.last().map_or(base, |last| last.discontinuity);
        let (map, key) = kept
            .last()
            .map_or((None, None), |last| (last.map.clone(), last.key.clone()));
        for segment in &mut merged.segments {
            let own = segment.discontinuity.saturating_sub(base);
            segment.discontinuity = before.saturating_add(own);
            segment.map = segment.map.take().or_else(|| map.clone());
            segment.key = segment.key.take().or_else(|| key.clone());
            if segment.key.as_deref() == Some(NO_KEY) {
                segment.key = None;
            }
        }
        merged.segments.splice(0..0, kept.iter().cloned());
        merged.version = self.version;
        Some(merged)
    }
}

/// What `METHOD=NONE` leaves in the listing of a delta update, where nothing said at all means something else.
const NO_KEY: &str = "METHOD=NONE";

/// Tags that stand in a playlist once at most (draft §4.4.3).
const SINGLE: &[&str] = &[
    "M3U",
    "-X-VERSION",
    "-X-TARGETDURATION",
    "-X-MEDIA-SEQUENCE",
    "-X-DISCONTINUITY-SEQUENCE",
    "-X-ENDLIST",
    "-X-PLAYLIST-TYPE",
    "-X-PART-INF",
    "-X-SERVER-CONTROL",
    "-X-SKIP",
    "-X-INDEPENDENT-SEGMENTS",
];

/// Tags that stand before the first segment (draft §4.4.3.2, §4.4.3.3).
const LEADING: &[&str] = &["-X-MEDIA-SEQUENCE", "-X-DISCONTINUITY-SEQUENCE", "-X-SKIP"];

#[derive(Default)]
struct Reader {
    line: usize,
    list: Listing,
    found: Vec<Finding>,
    seen: Vec<&'static str>,
    /// Lowest version that the tags read so far allow.
    needs: u64,
    discontinuities: u64,
    map: Option<String>,
    key: Option<String>,
    key_has_vector: bool,
    /// Of the segment that comes.
    duration: Option<f64>,
    date: Option<String>,
    is_gap: bool,
    parts: Vec<ListedPart>,
}

impl Reader {
    fn find(&mut self, rule: Rule, detail: &str) {
        self.found.push(finding(rule, self.line, detail));
    }

    fn need(&mut self, version: u64) {
        self.needs = self.needs.max(version);
    }

    /// `value` of an attribute that must be there.
    fn required<T>(&mut self, value: Option<T>, name: &str) -> Option<T> {
        if value.is_none() {
            self.find(Rule::Attribute, name);
        }
        value
    }

    fn integer(&mut self, value: &str) -> u64 {
        let number = Value::Bare(value).integer();
        self.required(number, value).unwrap_or_default()
    }

    fn read_tag(&mut self, name: &str, value: &str) {
        if let Some(single) = SINGLE.iter().find(|single| **single == name) {
            if self.seen.contains(single) {
                self.find(Rule::Once, name);
            }
            self.seen.push(single);
        }
        let has_begun = !self.list.segments.is_empty() || !self.parts.is_empty();
        if LEADING.contains(&name) && (has_begun || self.discontinuities > 0) {
            self.find(Rule::Once, name);
        }
        match name {
            "-X-VERSION" => self.list.version = self.integer(value),
            "-X-TARGETDURATION" => self.list.target = Some(self.integer(value)),
            "-X-MEDIA-SEQUENCE" => self.list.media_sequence = self.integer(value),
            "-X-DISCONTINUITY-SEQUENCE" => self.list.discontinuity_sequence = self.integer(value),
            "-X-PLAYLIST-TYPE" => self.list.kind = Some(value.to_owned()),
            "-X-INDEPENDENT-SEGMENTS" => self.list.is_independent = true,
            "-X-ENDLIST" => self.list.is_ended = true,
            "-X-DISCONTINUITY" => self.discontinuities += 1,
            "-X-GAP" => self.is_gap = true,
            "-X-PROGRAM-DATE-TIME" => self.date = Some(value.to_owned()),
            "INF" => self.read_duration(value),
            "-X-SERVER-CONTROL" => self.read_server(value),
            "-X-PART-INF" => {
                let target = number(value, "PART-TARGET");
                self.list.part_target = self.required(target, "PART-TARGET");
            }
            "-X-SKIP" => {
                self.need(9);
                let skipped = get(value, "SKIPPED-SEGMENTS").and_then(Value::integer);
                let skipped = self.required(skipped, "SKIPPED-SEGMENTS");
                self.list.skipped = skipped.unwrap_or_default();
            }
            "-X-MAP" => self.read_map(value),
            "-X-KEY" => self.read_key(value),
            "-X-PART" => self.read_part(value),
            "-X-PRELOAD-HINT" => {
                let _ = self.required(get(value, "TYPE"), "TYPE");
                let uri = self.required(uri(value), "URI");
                self.list.hint = uri;
            }
            "-X-RENDITION-REPORT" => self.read_report(value),
            _ => {}
        }
    }

    fn read_duration(&mut self, value: &str) {
        let (duration, _) = value.split_once(',').unwrap_or((value, ""));
        if duration.contains('.') {
            self.need(3);
        }
        if self.duration.is_some() {
            self.find(Rule::Pairs, "EXTINF without a URI");
        }
        let duration = sound(Value::Bare(duration));
        self.duration = Some(self.required(duration, value).unwrap_or_default());
    }

    fn read_server(&mut self, value: &str) {
        self.list.server = Server {
            can_block: is_yes(value, "CAN-BLOCK-RELOAD"),
            skip_until: number(value, "CAN-SKIP-UNTIL"),
            hold_back: number(value, "HOLD-BACK"),
            part_hold_back: number(value, "PART-HOLD-BACK"),
        };
    }

    fn read_map(&mut self, value: &str) {
        self.need(6);
        self.map = self.required(uri(value), "URI");
        let is_encrypted = self.key.as_deref().is_some_and(|key| key != NO_KEY);
        if is_encrypted && !self.key_has_vector {
            self.find(Rule::MapKey, value);
        }
    }

    fn read_key(&mut self, value: &str) {
        let method = self.required(get(value, "METHOD"), "METHOD");
        if method.is_some_and(|method| method.text() == "NONE") {
            self.key = Some(NO_KEY.to_owned());
            return;
        }
        let _ = self.required(uri(value), "URI");
        self.key_has_vector = get(value, "IV").and_then(Value::hexadecimal).is_some();
        if self.key_has_vector {
            self.need(2);
        }
        self.key = Some(value.to_owned());
    }

    fn read_part(&mut self, value: &str) {
        let duration = number(value, "DURATION");
        let duration = self.required(duration, "DURATION").unwrap_or_default();
        let uri = self.required(uri(value), "URI").unwrap_or_default();
        self.parts.push(ListedPart {
            uri,
            duration,
            is_independent: is_yes(value, "INDEPENDENT"),
            is_gap: is_yes(value, "GAP"),
            line: self.line,
        });
    }

    fn read_report(&mut self, value: &str) {
        let uri = self.required(uri(value), "URI");
        let last_segment = get(value, "LAST-MSN").and_then(Value::integer);
        let last_segment = self.required(last_segment, "LAST-MSN");
        if let (Some(uri), Some(last_segment)) = (uri, last_segment) {
            self.list.reports.push(Report {
                uri,
                last_segment,
                last_part: get(value, "LAST-PART").and_then(Value::integer),
            });
        }
    }

    fn read_uri(&mut self, uri: &str) {
        let Some(duration) = self.duration.take() else {
            self.find(Rule::Pairs, "a URI without EXTINF");
            return;
        };
        self.list.segments.push(Listed {
            number: self.list.next_number(),
            discontinuity: self
                .list
                .discontinuity_sequence
                .saturating_add(self.discontinuities),
            uri: uri.to_owned(),
            duration,
            date: self.date.take(),
            map: self.map.clone(),
            key: self.key.clone(),
            is_gap: std::mem::take(&mut self.is_gap),
            parts: std::mem::take(&mut self.parts),
            line: self.line,
        });
    }

    fn finish(mut self) -> (Listing, Vec<Finding>) {
        if self.duration.is_some() {
            self.find(Rule::Pairs, "EXTINF without a URI");
        }
        if self.line == 0 {
            self.find(Rule::Header, "nothing");
        }
        self.list.version = self.list.version.max(1);
        if self.list.version < self.needs {
            let detail = format!("{} of {}", self.list.version, self.needs);
            self.found.push(finding(Rule::Version, 0, detail));
        }
        self.list.open_parts = self.parts;
        self.list.open_date = self.date;
        if self.list.skipped == 0 {
            for segment in &mut self.list.segments {
                segment.key.take_if(|key| key == NO_KEY);
            }
        }
        (self.list, self.found)
    }
}

fn get<'a>(value: &'a str, name: &str) -> Option<Value<'a>> {
    let mut attributes = playlist::attributes(value);
    attributes.find_map(|(own, value)| (own == name).then_some(value))
}

fn uri(value: &str) -> Option<String> {
    match get(value, "URI") {
        Some(Value::Quoted(uri)) if !uri.is_empty() => Some(uri.to_owned()),
        _ => None,
    }
}

fn number(value: &str, name: &str) -> Option<f64> {
    get(value, name).and_then(sound)
}

/// A number that can be a duration.
fn sound(value: Value<'_>) -> Option<f64> {
    value
        .number()
        .filter(|number| number.is_finite() && *number >= 0.0)
}

fn is_yes(value: &str, name: &str) -> bool {
    get(value, name) == Some(Value::Bare("YES"))
}
