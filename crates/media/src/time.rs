//! Media time.
//!
//! Owns: [`Timestamp`], and the unwrapping of 32-bit millisecond counters. Does not: know `now` or wallclock.

use std::ops::{Add, Sub};
use std::time::Duration;

/// Ticks of a [`Timestamp`] in a millisecond.
///
/// One tick is a 90,000th of a second over 10: 900 ticks a millisecond, 900,000 a second. It is the least common
/// unit in which FLV's milliseconds and MPEG's 90 kHz clock are both whole, so a conversion between them
/// rounds once, at the muxer that leaves, never inside.
pub const TICKS_PER_MILLI: i64 = 900;

/// A point or a distance on a stream's media timeline, in ticks of 1/900,000 s.
///
/// Signed and 64 bits wide: it never wraps in practice (300,000 years). Wire counters are unwrapped where they are
/// read ([`Unwrapper`]) and wrapped again by the muxer that writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The origin of the timeline.
    pub const ZERO: Self = Self(0);

    /// From ticks of 1/900,000 s.
    pub const fn from_ticks(ticks: i64) -> Self {
        Self(ticks)
    }

    /// From milliseconds (FLV, RTMP). Saturates at the ends of the range.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(TICKS_PER_MILLI))
    }

    /// From a duration. Saturates at the end of the range.
    pub fn from_duration(duration: Duration) -> Self {
        let ticks = duration.as_micros().saturating_mul(9) / 10;
        Self(i64::try_from(ticks).unwrap_or(i64::MAX))
    }

    /// Ticks of 1/900,000 s.
    pub const fn ticks(self) -> i64 {
        self.0
    }

    /// Whole milliseconds, rounded towards minus infinity.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(TICKS_PER_MILLI)
    }

    /// The low 32 bits of [`Timestamp::millis`]: the form of an RTMP or FLV timestamp.
    pub const fn wire_millis(self) -> u32 {
        self.millis() as u32
    }

    /// The distance to `earlier` as a duration; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        let ticks = u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0);
        Duration::from_nanos(ticks.saturating_mul(10_000) / 9)
    }
}

impl Add for Timestamp {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Timestamp {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// Turns a 32-bit millisecond counter that wraps (after 49.7 days) into a [`Timestamp`] that does not.
///
/// Each value is taken to be the one nearest to the value before it, as RFC 1982 does for serial numbers.
#[derive(Debug, Clone, Default)]
pub struct Unwrapper {
    last: Option<i64>,
}

impl Unwrapper {
    /// The unwrapped time of `millis`.
    pub fn unwrap(&mut self, millis: u32) -> Timestamp {
        let value = match self.last {
            None => i64::from(millis),
            Some(last) => {
                let step = millis.wrapping_sub(last as u32) as i32;
                last.saturating_add(i64::from(step))
            }
        };
        self.last = Some(value);
        Timestamp::from_millis(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_wrap_goes_on() {
        let mut unwrapper = Unwrapper::default();
        assert_eq!(unwrapper.unwrap(u32::MAX - 9).millis(), 4_294_967_286);
        assert_eq!(unwrapper.unwrap(10).millis(), 4_294_967_306);
        assert_eq!(unwrapper.unwrap(u32::MAX).millis(), 4_294_967_295);
    }

    #[test]
    fn conversions_are_exact_for_both_clocks() {
        assert_eq!(Timestamp::from_millis(40).ticks(), 3_600 * 10);
        assert_eq!(Timestamp::from_millis(-1).millis(), -1);
        assert_eq!(Timestamp::from_ticks(-1).millis(), -1);
        assert_eq!(
            Timestamp::from_duration(Duration::from_millis(1500)).millis(),
            1500
        );
        let later = Timestamp::from_millis(1500);
        assert_eq!(later.since(Timestamp::ZERO), Duration::from_millis(1500));
        assert_eq!(Timestamp::ZERO.since(later), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn the_wire_form_is_what_came_in(values: Vec<u32>) {
            let mut unwrapper = Unwrapper::default();
            for value in values {
                prop_assert_eq!(unwrapper.unwrap(value).wire_millis(), value);
            }
        }
    }
}
