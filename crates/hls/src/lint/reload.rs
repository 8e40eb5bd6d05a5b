//! Rules between two readings of one playlist.
//!
//! Owns: what may change with time, and what a delta update may leave out.
//! Does not: judge either text by itself.

use super::{CUT, Finding, Listing, Rule, finding};

/// All breaches between `before` and `after`, two full texts of one playlist in the order in which they were read.
pub fn check_reload(before: &str, after: &str) -> Vec<Finding> {
    compare(&Listing::parse(before).0, &Listing::parse(after).0)
}

/// All breaches of the delta update `update` for a player that has the full text `full`, read before or with it. A full
/// playlist instead of an update is as good.
pub fn check_delta(full: &str, update: &str) -> Vec<Finding> {
    let (full, update) = (Listing::parse(full).0, Listing::parse(update).0);
    let Some(merged) = full.merge(&update) else {
        let detail = format!("{} skipped that the player lacks", update.skipped);
        return vec![finding(Rule::Skip, 0, detail)];
    };
    let mut found = compare(&full, &merged);
    if update.skipped > 0 {
        let boundary = update.server.skip_until.unwrap_or(f64::INFINITY);
        // the end of the playlist is that of its last part
        let open: f64 = update.open_parts.iter().map(|part| part.duration).sum();
        let listed = update.duration() + open;
        if listed + CUT * update.segments.len() as f64 + CUT < boundary {
            let detail = format!("{listed} s are listed, the boundary is at {boundary}");
            found.push(finding(Rule::Skip, 0, detail));
        }
    }
    found
}

fn compare(before: &Listing, after: &Listing) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut find = |rule, detail: String| found.push(finding(rule, 0, detail));
    if (before.target, before.part_target) != (after.target, after.part_target) {
        find(
            Rule::TargetChanged,
            format!("{:?} to {:?}", before.target, after.target),
        );
    }
    if before.is_ended && before != after {
        find(Rule::AfterEnd, "it changed".to_owned());
    }
    let numbers = |list: &Listing| (list.media_sequence, list.discontinuity_sequence);
    let (old, new) = (numbers(before), numbers(after));
    if new.0 < old.0 || new.1 < old.1 || after.next_number() < before.next_number() {
        find(Rule::Backwards, format!("{old:?} to {new:?}"));
        return found;
    }
    let target = after.target.unwrap_or_default() as f64;
    if new.0 > old.0 && after.duration() + CUT < target * 3.0 {
        find(Rule::WindowShort, format!("{} s", after.duration()));
    }
    compare_segments(before, after, &mut find);
    compare_open(before, after, &mut find);
    found
}

fn compare_segments(before: &Listing, after: &Listing, find: &mut impl FnMut(Rule, String)) {
    let mut kept = after.segments.iter().peekable();
    for old in &before.segments {
        // both are in order
        while kept.next_if(|new| new.number < old.number).is_some() {}
        let Some(new) = kept.next_if(|new| new.number == old.number) else {
            continue;
        };
        let same_parts = new.parts.is_empty() || new.parts == old.parts;
        if !new.is_same(old) || !same_parts {
            find(Rule::Changed, format!("segment {}", old.number));
        }
    }
}

/// The segment that was under way before: it has the parts it had, and more, and the next is the one hinted at.
fn compare_open(before: &Listing, after: &Listing, find: &mut impl FnMut(Rule, String)) {
    let number = before.next_number();
    let parts = match after
        .segments
        .iter()
        .find(|segment| segment.number == number)
    {
        Some(segment) => &segment.parts,
        None if after.next_number() == number => &after.open_parts,
        None => return,
    };
    let is_taken_away = parts.is_empty() && after.next_number() > number;
    if is_taken_away {
        return;
    }
    let old = before.open_parts.as_slice();
    if parts.get(..old.len()) != Some(old) {
        find(Rule::Changed, format!("parts of segment {number}"));
        return;
    }
    // the segment may have ended with the part before, and the hint was at the first of the next
    let next = parts.get(old.len());
    if let (Some(hint), Some(next)) = (&before.hint, next)
        && next.uri != *hint
    {
        find(Rule::HintBroken, format!("{hint}, but {} came", next.uri));
    }
}
