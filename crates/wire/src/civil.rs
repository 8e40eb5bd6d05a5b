//! The Gregorian calendar, as the dates of several formats are made of it.
//!
//! Owns: the way between days and dates. Does not: know times of day, zones or how a date is written.
//!
//! Years are counted from March, so that the leap day is the last one, and months have the lengths that 153 days in five
//! of them give. The calendar repeats after 400 years.

/// Days from 0000-03-01 to 1970-01-01.
const TO_EPOCH: i64 = 719_468;

/// Days of 400 years.
const ERA: i64 = 146_097;

/// The last day of the year 9999, counted as [`date`] counts.
const LAST: i64 = 2_932_896;

/// Year, month (1 to 12) and day (1 to 31) so many days after 1970-01-01, or before it where `days` is negative. What is
/// outside of the years 0 to 9999 is the first or last day of them.
pub fn date(days: i64) -> (i64, i64, i64) {
    let days = days.clamp(-TO_EPOCH - 60, LAST) + TO_EPOCH;
    let (era, of_era) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = match from_march {
        0..10 => from_march + 3,
        _ => from_march - 9,
    };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

/// Days from 1970-01-01 to a date: the inverse of [`date`]. `None` for what is no date of the years 0 to 9999.
pub fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(0..=9999).contains(&year) || !(1..=last).contains(&day) {
        return None;
    }
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - TO_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn days_that_are_known() {
        for (at, known) in [
            (0, (1970, 1, 1)),
            (-1, (1969, 12, 31)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_089, (2025, 1, 1)),
            (LAST, (9999, 12, 31)),
            (-TO_EPOCH - 60, (0, 1, 1)),
        ] {
            assert_eq!(date(at), known);
            assert_eq!(days(known.0, known.1, known.2), Some(at));
        }
        assert_eq!(date(i64::MAX), (9999, 12, 31));
        assert_eq!(date(i64::MIN), (0, 1, 1));
    }

    #[test]
    fn other_numbers_are_no_date() {
        for (year, month, day) in [
            (2025, 2, 29),
            (1900, 2, 29),
            (2024, 2, 30),
            (2024, 4, 31),
            (2024, 0, 1),
            (2024, 13, 1),
            (2024, 1, 0),
            (-1, 1, 1),
            (10_000, 1, 1),
            (i64::MAX, 1, i64::MAX),
        ] {
            assert_eq!(days(year, month, day), None, "{year}-{month}-{day}");
        }
    }

    proptest! {
        #[test]
        fn days_and_dates_are_each_others(at in -TO_EPOCH - 60..=LAST) {
            let (year, month, day) = date(at);
            prop_assert_eq!(days(year, month, day), Some(at));
            // and the next day is the next date
            prop_assert!(at == LAST || date(at + 1) > (year, month, day));
        }
    }
}
