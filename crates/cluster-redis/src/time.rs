//! Times as the records have them: RFC 3339, in UTC when written.
//!
//! Owns: both directions. Does not: read a clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use weir_wire::civil;

const DAY: i64 = 86_400;
/// Years that have four digits, from the first of year 0 to the last second of year 9999.
const RANGE: std::ops::RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;

/// `time` with as many digits of the second's fraction as it needs, up to nine. A time without four-digit year becomes
/// the epoch.
pub(crate) fn format(time: SystemTime) -> String {
    let (seconds, nanos) = split(time);
    let (seconds, nanos) = if RANGE.contains(&seconds) {
        (seconds, nanos)
    } else {
        (0, 0)
    };
    let (year, month, day) = civil::date(seconds.div_euclid(DAY));
    let second = seconds.rem_euclid(DAY);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if nanos > 0 {
        let fraction = format!(".{nanos:09}");
        text.push_str(fraction.trim_end_matches('0'));
    }
    text.push('Z');
    text
}

/// Reads a time of RFC 3339, section 5.6, with any zone. `None` when it is none.
pub(crate) fn parse(text: &str) -> Option<SystemTime> {
    let (date, rest) = text.split_at_checked(10)?;
    let (year, month, day) = numbers(date, '-', (4, 2, 2))?;
    let (separator, rest) = rest.split_at_checked(1)?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let (hour, minute, second) = numbers(clock, ':', (2, 2, 2))?;
    let days = civil::days(year, month, day)?;
    // a leap second is the second after it, as POSIX counts
    if hour > 23 || minute > 59 || second > 60 || !matches!(separator, "T" | "t" | " ") {
        return None;
    }
    let (nanos, zone) = fraction(rest)?;
    let seconds = days * DAY + hour * 3600 + minute * 60 + second - offset(zone)?;
    let whole = if seconds >= 0 {
        UNIX_EPOCH.checked_add(Duration::from_secs(seconds.unsigned_abs()))?
    } else {
        UNIX_EPOCH.checked_sub(Duration::from_secs(seconds.unsigned_abs()))?
    };
    whole.checked_add(Duration::from_nanos(nanos))
}

/// Seconds since the epoch, rounded down, and the nanoseconds above them.
fn split(time: SystemTime) -> (i64, u32) {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => (
            i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            after.subsec_nanos(),
        ),
        Err(error) => {
            let before = error.duration();
            let seconds = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            match before.subsec_nanos() {
                0 => (-seconds, 0),
                nanos => (-seconds - 1, 1_000_000_000 - nanos),
            }
        }
    }
}

fn numbers(text: &str, separator: char, digits: (usize, usize, usize)) -> Option<(i64, i64, i64)> {
    let mut parts = text.split(separator);
    let mut next = |wanted| {
        let part = parts.next()?;
        let plain = part.len() == wanted && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse().ok().filter(|_| plain)
    };
    let found = (next(digits.0)?, next(digits.1)?, next(digits.2)?);
    parts.next().is_none().then_some(found)
}

/// The nanoseconds of a fraction, if there is one, and what is behind it. Digits beyond the ninth are cut.
fn fraction(text: &str) -> Option<(u64, &str)> {
    let Some(rest) = text.strip_prefix('.') else {
        return Some((0, text));
    };
    let end = rest
        .find(|char: char| !char.is_ascii_digit())
        .unwrap_or(rest.len());
    let (digits, zone) = rest.split_at_checked(end)?;
    let nine = digits.get(..9).unwrap_or(digits);
    let value: u64 = nine.parse().ok()?;
    let scale = 10_u64.checked_pow(9_u32.checked_sub(u32::try_from(nine.len()).ok()?)?)?;
    Some((value.checked_mul(scale)?, zone))
}

/// Seconds that local time of this zone is ahead of UTC.
fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let (sign, clock) = zone.split_at_checked(1)?;
    let sign = match sign {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hour, minute, _) = numbers(&format!("{clock}:00"), ':', (2, 2, 2))?;
    (hour <= 23 && minute <= 59).then_some(sign * (hour * 3600 + minute * 60))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64, nanos: u32) -> SystemTime {
        UNIX_EPOCH + Duration::new(seconds, nanos)
    }

    #[test]
    fn times_are_written_with_the_digits_they_need() {
        assert_eq!(format(at(0, 0)), "1970-01-01T00:00:00Z");
        let captured = "2026-11-21T04:15:41.830442907Z";
        assert_eq!(format(at(1_795_234_541, 830_442_907)), captured);
        assert_eq!(
            format(at(951_782_400, 500_000_000)),
            "2000-02-29T00:00:00.5Z"
        );
        assert_eq!(format(at(0, 1)), "1970-01-01T00:00:00.000000001Z");
        let before = UNIX_EPOCH - Duration::from_millis(250);
        assert_eq!(format(before), "1969-12-31T23:59:59.75Z");
        assert_eq!(
            format(at(u64::from(u32::MAX) * 1000, 0)),
            "1970-01-01T00:00:00Z"
        );
    }

    #[test]
    fn every_zone_is_read() {
        let same = Some(at(1_795_234_541, 830_000_000));
        for text in [
            "2026-11-21T04:15:41.83Z",
            "2026-11-21t04:15:41.830000000z",
            "2026-11-21T05:15:41.83+01:00",
            "2026-11-20 22:45:41.8300000009-05:30",
        ] {
            assert_eq!(parse(text), same, "{text}");
        }
        // what Go writes for a time that was never set
        assert_eq!(
            format(parse("0001-01-01T00:00:00Z").unwrap()),
            "0001-01-01T00:00:00Z"
        );
        assert_eq!(parse("2016-12-31T23:59:60Z"), parse("2017-01-01T00:00:00Z"));
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in [
            "",
            "2026-11-21",
            "2026-11-21T04:15:41",
            "2026-13-21T04:15:41Z",
            "2026-02-29T04:15:41Z",
            "2026-11-21T24:15:41Z",
            "2026-11-21T04:15:41.Z",
            "2026-11-21T04:15:41+0100",
            "2026-11-21T04:15:41Zz",
            "+026-11-21T04:15:41Z",
            "2026-11-2éT04:15:41Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in 0..253_402_300_800_u64, nanos in 0..1_000_000_000_u32) {
            let time = at(seconds, nanos);
            prop_assert_eq!(parse(&format(time)), Some(time));
        }

        #[test]
        fn any_text_is_read_without_harm(text in ".{0,40}") {
            let _ = parse(&text);
        }

        #[test]
        fn any_digits_are_read_without_harm(text in "[0-9T:.Z+-]{20,40}") {
            let _ = parse(&text);
        }
    }
}
