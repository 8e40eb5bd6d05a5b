//! Rules that the playlists of a low-latency server have to keep, for tests (RFC 8216, draft-pantos-hls-rfc8216bis-20).
//!
//! Owns: judging one playlist ([`check`]), two that were read one after the other ([`check_reload`]), and a delta update
//! ([`check_delta`]); [`Listing`], what a playlist says. It shares nothing with the writer but the reading of lines and
//! attributes.
//! Does not: look at the media, or know multivariant playlists.

mod listing;
mod reload;

use std::fmt;

pub use listing::{Listed, ListedPart, Listing, Report, Server};
pub use reload::{check_delta, check_reload};

/// What decimals of durations may be cut by, in seconds.
const CUT: f64 = 0.000_02;

/// What a segment's parts may differ from it in sum, each, in seconds.
const PART_CUT: f64 = 0.001;

/// How long all parts but the last have to be, as a share of the longest (draft §4.4.4.9).
const PART_SHARE: f64 = 0.85;

/// A rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// The first line is `#EXTM3U`.
    Header,
    /// The version is that of the newest tag, or newer (§8).
    Version,
    /// A tag of the whole playlist stands in it once, and before the segments if its number depends on them.
    Once,
    /// A tag has the attributes that it must have.
    Attribute,
    /// Each URI of a segment has its `EXTINF`, and the other way round.
    Pairs,
    /// There is a target duration, and no segment, rounded, exceeds it (§4.4.3.1).
    Target,
    /// There is a part target where there are parts, and none exceeds it (§4.4.3.7).
    PartTarget,
    /// All parts but a segment's last, independent ones and gaps have 85 % of it (§4.4.4.9).
    PartShort,
    /// The parts of a segment add up to it.
    PartSum,
    /// Parts are listed near the end only: three target durations (§4.4.4.9).
    PartsFar,
    /// A playlist with parts can be waited for (appendix B).
    Blocking,
    /// `PART-HOLD-BACK` is there, and at least two part targets (§4.4.3.8).
    PartHoldBack,
    /// It should be three.
    PartHoldBackAdvised,
    /// `HOLD-BACK` is at least three target durations (§4.4.3.8).
    HoldBack,
    /// `CAN-SKIP-UNTIL` is at least six target durations (§4.4.3.8).
    SkipUntil,
    /// What is hinted at is not there yet, and nothing is hinted at when nothing comes (§4.4.5.3).
    Hint,
    /// With parts there is a hint at the next one (appendix B).
    HintAdvised,
    /// An initialization section under a key has the key's vector (§4.4.4.4).
    MapKey,
    /// With parts there are dates (appendix B).
    DateAdvised,
    /// Between reloads: numbers only grow.
    Backwards,
    /// Between reloads: a segment or part that is still there is still the same.
    Changed,
    /// Between reloads: the target durations stay (§4.4.3.1, §4.4.3.7).
    TargetChanged,
    /// Between reloads: what ended stays as it is.
    AfterEnd,
    /// Between reloads: no segment is taken away that leaves less than three target durations (§6.2.2).
    WindowShort,
    /// Between reloads: the next part is the one that was hinted at.
    HintBroken,
    /// A delta update skips only what the player has, and what is older than the skip boundary (§6.2.5.1).
    Skip,
}

impl Rule {
    /// Whether the standard says "must".
    pub fn is_must(self) -> bool {
        !matches!(
            self,
            Self::PartHoldBackAdvised | Self::HintAdvised | Self::DateAdvised | Self::PartsFar
        )
    }
}

/// A breach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was broken.
    pub rule: Rule,
    /// The line from 1; 0 if it is none.
    pub line: usize,
    /// What was there.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in line {}: {}", self.rule, self.line, self.detail)
    }
}

/// All breaches of the rules for one playlist, delta update or not.
pub fn check(text: &str) -> Vec<Finding> {
    let (listing, mut found) = Listing::parse(text);
    check_numbers(&listing, &mut found);
    check_segments(&listing, &mut found);
    check_hint(&listing, &mut found);
    found
}

fn finding(rule: Rule, line: usize, detail: impl Into<String>) -> Finding {
    Finding {
        rule,
        line,
        detail: detail.into(),
    }
}

fn check_numbers(list: &Listing, found: &mut Vec<Finding>) {
    let has_parts = list.all_parts().next().is_some();
    let server = &list.server;
    if has_parts && list.part_target.is_none() {
        found.push(finding(Rule::PartTarget, 0, "parts without EXT-X-PART-INF"));
    }
    if has_parts && !list.is_ended && !server.can_block {
        found.push(finding(Rule::Blocking, 0, "parts without CAN-BLOCK-RELOAD"));
    }
    if has_parts
        && !list.segments.iter().any(|segment| segment.date.is_some())
        && list.open_date.is_none()
    {
        found.push(finding(Rule::DateAdvised, 0, "no EXT-X-PROGRAM-DATE-TIME"));
    }
    if let Some(target) = list.part_target {
        let detail = format!("{:?} with parts of {target}", server.part_hold_back);
        let hold_back = server.part_hold_back.unwrap_or_default();
        if hold_back + CUT < target * 2.0 {
            found.push(finding(Rule::PartHoldBack, 0, detail));
        } else if hold_back + CUT < target * 3.0 {
            found.push(finding(Rule::PartHoldBackAdvised, 0, detail));
        }
    }
    let Some(target) = list.target.map(|target| target as f64) else {
        found.push(finding(Rule::Target, 0, "no EXT-X-TARGETDURATION"));
        return;
    };
    if server
        .hold_back
        .is_some_and(|hold_back| hold_back + CUT < target * 3.0)
    {
        found.push(finding(
            Rule::HoldBack,
            0,
            format!("{:?}", server.hold_back),
        ));
    }
    if server
        .skip_until
        .is_some_and(|until| until + CUT < target * 6.0)
    {
        found.push(finding(
            Rule::SkipUntil,
            0,
            format!("{:?}", server.skip_until),
        ));
    }
}

fn check_segments(list: &Listing, found: &mut Vec<Finding>) {
    let target = list.target.map_or(f64::INFINITY, |target| target as f64);
    let part_target = list.part_target.unwrap_or(f64::INFINITY);
    let mut left = list.duration();
    for segment in &list.segments {
        left -= segment.duration;
        let at = |rule, detail: String| finding(rule, segment.line, detail);
        if segment.duration.round() > target {
            found.push(at(
                Rule::Target,
                format!("{} of {target}", segment.duration),
            ));
        }
        let sum: f64 = segment.parts.iter().map(|part| part.duration).sum();
        let cut = PART_CUT * segment.parts.len() as f64;
        if !segment.parts.is_empty() && (sum - segment.duration).abs() > cut {
            found.push(at(Rule::PartSum, format!("{sum} of {}", segment.duration)));
        }
        if !segment.parts.is_empty() && left > target * 3.0 + CUT {
            found.push(at(Rule::PartsFar, format!("{left} before the end")));
        }
    }
    let open = std::iter::once(&list.open_parts);
    for parts in list
        .segments
        .iter()
        .map(|segment| &segment.parts)
        .chain(open)
    {
        for (index, part) in parts.iter().enumerate() {
            let detail = || format!("{} of {part_target}", part.duration);
            if part.duration > part_target + CUT {
                found.push(finding(Rule::PartTarget, part.line, detail()));
            }
            // the rule leaves out those at which a player may begin anew, and gaps
            let is_last = index + 1 == parts.len() || part.is_independent || part.is_gap;
            let is_short =
                part_target.is_finite() && part.duration + CUT < part_target * PART_SHARE;
            if !is_last && is_short {
                found.push(finding(Rule::PartShort, part.line, detail()));
            }
        }
    }
}

fn check_hint(list: &Listing, found: &mut Vec<Finding>) {
    let is_low = list.part_target.is_some() && !list.is_ended;
    match &list.hint {
        None if is_low => found.push(finding(Rule::HintAdvised, 0, "no EXT-X-PRELOAD-HINT")),
        None => {}
        Some(uri) if list.is_ended || list.all_parts().any(|part| part.uri == *uri) => {
            found.push(finding(Rule::Hint, 0, uri.clone()));
        }
        Some(_) => {}
    }
}

#[cfg(test)]
mod tests;
