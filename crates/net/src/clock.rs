//! The only place that reads clocks.
//!
//! Owns: [`now`] and [`wallclock`]. Does not: let protocol cores see either; they take `now` as an argument.

use std::time::{Instant, SystemTime};

/// The monotonic clock that drivers hand to cores as `now`.
#[allow(
    clippy::disallowed_methods,
    reason = "this is the one function that reads the clock"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// The time of day, for people only.
#[allow(
    clippy::disallowed_methods,
    reason = "this is the one function that reads the clock"
)]
pub fn wallclock() -> SystemTime {
    SystemTime::now()
}
