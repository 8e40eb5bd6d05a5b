//! The bench's one clock: CLOCK_MONOTONIC in nanoseconds.
//!
//! Owns: reading it. The raw number (and not `Instant`) is used because it travels inside payloads: a
//! publisher writes it, a viewer of the same machine, perhaps in another process, subtracts it.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds in a second.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// Nanoseconds in a millisecond.
pub(crate) const MILLISECOND: u64 = 1_000_000;

/// Nanoseconds since an arbitrary point that is the same for all processes until the next boot.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds * SECOND + nanoseconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn does_not_go_back() {
        let first = now();
        let second = now();
        assert!(second >= first && first > 0);
    }
}
