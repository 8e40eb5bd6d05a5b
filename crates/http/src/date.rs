//! Dates in header fields.
//!
//! Owns: the preferred form of RFC 9110, section 5.6.7, both ways. Does not: read clocks, or understand the two
//! obsolete forms: nothing that is asked of a server of files comes from before 1995.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use weir_wire::civil;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

const DAY: u64 = 86_400;

/// A date such as `Sun, 06 Nov 1994 08:49:37 GMT`. Times before 1970 are 1970.
pub fn format(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / DAY, since.as_secs() % DAY);
    let (year, month, day) = civil::date(days.cast_signed());
    let name = |names: &'static [&str], index: i64| {
        let index = usize::try_from(index).unwrap_or_default();
        names.get(index).copied().unwrap_or_default()
    };
    std::format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        name(&DAYS, (days % 7).cast_signed()),
        name(&MONTHS, month - 1),
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
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let year = number(year, 4).filter(|year| *year >= 1970)?;
    let [year, month, day] = [year, month, number(day, 2)?].map(u64::cast_signed);
    let days = civil::days(year, month, day)?.cast_unsigned();
    let mut parts = time.split(':');
    let mut part = |most| number(parts.next()?, 2).filter(|value| *value <= most);
    // 60 is a leap second
    let (hour, minute, second) = (part(23)?, part(59)?, part(60)?);
    if parts.next().is_some() {
        return None;
    }
    let seconds = days * DAY + hour * 3_600 + minute * 60 + second;
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
