//! Dates in header fields.
//!
//! Owns: the preferred form of RFC 9110, section 5.6.7, both ways. Does not: read clocks, or understand the two
//! obsolete forms: nothing that is asked of a server of files comes from before 1995.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// Years that begin in March have their leap day at the end.
const MONTHS: [&str; 12] = [
    "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb",
];

/// Days from the first of March of year 0 to 1970-01-01.
const EPOCH_DAYS: u64 = 719_468;

/// Days of 400 years.
const ERA_DAYS: u64 = 146_097;

/// A date such as `Sun, 06 Nov 1994 08:49:37 GMT`. Times before 1970 are 1970.
pub fn format(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let of_calendar = days + EPOCH_DAYS;
    let era = of_calendar / ERA_DAYS;
    let of_era = of_calendar % ERA_DAYS;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era + u64::from(month >= 10);
    let name = |names: &'static [&str], index: u64| {
        let index = usize::try_from(index).unwrap_or_default();
        names.get(index).copied().unwrap_or_default()
    };
    std::format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        name(&DAYS, days % 7),
        name(&MONTHS, month),
        second / 3_600,
        second / 60 % 60,
        second % 60,
    )
}

/// The time that a date in the preferred form names; `None` for anything else. The name of the day is not checked.
pub fn parse(text: &str) -> Option<SystemTime> {
    let (day_name, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let (day, month, year) = (words.next()?, words.next()?, words.next()?);
    let (time, zone) = (words.next()?, words.next()?);
    if !DAYS.contains(&day_name) || zone != "GMT" || words.next().is_some() {
        return None;
    }
    let day = number(day, 2).filter(|day| (1..=31).contains(day))?;
    let month = MONTHS.iter().position(|name| *name == month)? as u64;
    let year = number(year, 4).filter(|year| *year >= 1970)?;
    let mut parts = time.split(':');
    let mut part = |most| number(parts.next()?, 2).filter(|value| *value <= most);
    // 60 is a leap second
    let (hour, minute, second) = (part(23)?, part(59)?, part(60)?);
    if parts.next().is_some() {
        return None;
    }
    let year = year - u64::from(month >= 10);
    let of_era = year % 400;
    let days = year / 400 * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100
        + (153 * month + 2) / 5
        + day
        - 1;
    let seconds = days.checked_sub(EPOCH_DAYS)? * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

fn number(text: &str, digits: usize) -> Option<u64> {
    let valid = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_standard() {
        let at = UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(format(at), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT"), Some(at));
    }

    #[test]
    fn anything_else_is_no_date() {
        for text in [
            "",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT x",
            "Sun, 06 Nov 1994 08:49 GMT",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn dates_are_read_back(seconds in 0..253_402_300_800u64) {
            let at = UNIX_EPOCH + Duration::from_secs(seconds);
            prop_assert_eq!(parse(&format(at)), Some(at));
        }

        #[test]
        fn any_text_is_a_date_or_not(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
