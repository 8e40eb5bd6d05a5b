//! The 90 kHz clock of transport streams, 33 bits wide (§2.4.2.2, §2.4.3.7).
//!
//! Owns: the way from [`Timestamp`] and back, across wraps. Does not: keep pace.

use weir_media::Timestamp;

/// Ticks of a [`Timestamp`] in one of the 90 kHz clock.
const TICKS: i64 = 10;

/// The clock wraps at this many ticks: after 26.5 hours.
pub(super) const WRAP: i64 = 1 << 33;

/// A time or distance in ticks of 90 kHz, not wrapped; what is between two ticks is rounded down.
pub(super) fn ticks(time: Timestamp) -> i64 {
    time.ticks().div_euclid(TICKS)
}

/// The 33 bits of a time on the wire.
pub(super) fn wire(ticks: i64) -> u64 {
    ticks.rem_euclid(WRAP) as u64
}

/// Turns the times of one program, which wrap, into ones that do not. Each is taken to be the one nearest to the time
/// before it, whichever stream of the program that came from.
#[derive(Debug, Default)]
pub(super) struct Unwrapper {
    last: Option<i64>,
}

impl Unwrapper {
    /// The unwrapped time of the 33 bits of `wire`, in ticks of 90 kHz.
    pub(super) fn unwrap(&mut self, wire: u64) -> i64 {
        let wire = (wire as i64).rem_euclid(WRAP);
        let time = match self.last {
            None => wire,
            Some(last) => nearest(last, wire),
        };
        self.last = Some(time);
        time
    }
}

/// The time with the 33 bits of `wire` that is nearest to `to`.
pub(super) fn nearest(to: i64, wire: i64) -> i64 {
    let step = wire.wrapping_sub(to).rem_euclid(WRAP);
    let step = if step >= WRAP / 2 { step - WRAP } else { step };
    to.saturating_add(step)
}

/// The [`Timestamp`] of unwrapped ticks of 90 kHz.
pub(super) fn timestamp(ticks: i64) -> Timestamp {
    Timestamp::from_ticks(ticks.saturating_mul(TICKS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_wrap_goes_on_and_a_step_back_over_it_too() {
        let mut unwrapper = Unwrapper::default();
        assert_eq!(unwrapper.unwrap(WRAP as u64 - 10), WRAP - 10);
        assert_eq!(unwrapper.unwrap(5), WRAP + 5);
        assert_eq!(unwrapper.unwrap(WRAP as u64 - 1), WRAP - 1);
    }

    proptest! {
        #[test]
        fn steps_survive_the_wire(start in 0..WRAP, steps in proptest::collection::vec(-1i64 << 31..1 << 31, 0..20)) {
            let mut unwrapper = Unwrapper::default();
            let mut time = start;
            prop_assert_eq!(unwrapper.unwrap(wire(time)), time);
            for step in steps {
                time += step;
                prop_assert_eq!(unwrapper.unwrap(wire(time)), time);
                prop_assert_eq!(ticks(timestamp(time)), time);
            }
        }
    }
}
