//! Dates in the form of RFC 3339 (ISO 8601), in UTC with milliseconds.
//!
//! Owns: the civil calendar of a moment. Does not: know leap seconds, as no system clock does.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

const SECONDS_OF_DAY: u64 = 86_400;

/// Days from 0000-03-01 to 1970-01-01 in the Gregorian calendar.
const DAYS_TO_EPOCH: u64 = 719_468;

/// Days of 400 years; the calendar repeats after them.
const DAYS_OF_ERA: u64 = 146_097;

/// The last moment of the year 9999 in seconds; later ones have no such form.
const LAST_SECOND: u64 = 253_402_300_799;

/// Appends `time`, such as `2026-11-21T18:43:35.120Z`, cut to milliseconds. What is before 1970 is written as its
/// beginning, what is behind the year 9999 as its end.
pub(crate) fn push_date(out: &mut String, time: SystemTime) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs().min(LAST_SECOND);
    let (year, month, day) = civil(seconds / SECONDS_OF_DAY);
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

/// Year, month and day so many days after 1970-01-01. Years are counted from March, so that the leap day is the last
/// one, and months have the lengths that 153 days in five of them give.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_TO_EPOCH;
    let (era, of_era) = (days / DAYS_OF_ERA, days % DAYS_OF_ERA);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year + u64::from(month <= 2);
    (year, month, day)
}
