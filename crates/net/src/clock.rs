//! The only place that reads clocks.
//!
//! Owns: [`now`], [`wallclock`] and [`thread_cpu`]. Does not: let protocol cores see either; they take `now` as an argument.

use std::time::{Duration, Instant, SystemTime};

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

/// CPU time that the calling thread has used, in user and kernel mode.
///
/// Unlike the difference of two [`now`]s it leaves out the time in which other threads had the CPU.
pub fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
