//! Dates in the form of RFC 3339 (ISO 8601), in UTC with milliseconds.
//!
//! Owns: how a moment is written. Does not: know leap seconds, as no system clock does.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use weir_wire::civil;

const SECONDS_OF_DAY: u64 = 86_400;

/// The last moment of the year 9999 in seconds; later ones have no such form.
const LAST_SECOND: u64 = 253_402_300_799;

/// Appends `time`, such as `2026-11-21T18:43:35.120Z`, cut to milliseconds. What is before 1970 is written as its
/// beginning, what is behind the year 9999 as its end.
pub(crate) fn push_date(out: &mut String, time: SystemTime) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs().min(LAST_SECOND);
    let (year, month, day) = civil::date((seconds / SECONDS_OF_DAY).cast_signed());
    let second = seconds % SECONDS_OF_DAY;
    // writing to a string cannot fail
    let _ = write!(
        out,
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_millis(),
    );
}
