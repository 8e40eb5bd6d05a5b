//! Whether the cluster's state answers.
//!
//! Owns: [`Link`] and the log lines at its loss and return. Invariants: one line for each loss and each return; other
//! failures do not flood the log. Does not: ask the state.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use weir_cluster::StateError;

/// What is known of the way to the state. Shared by all cores.
#[derive(Debug)]
pub(super) struct Link {
    up: AtomicBool,
    ever: AtomicBool,
    times: Mutex<Times>,
}

#[derive(Debug, Default)]
struct Times {
    lost: Option<Instant>,
    returned: Option<Instant>,
    complained: Option<Instant>,
}

/// Shortest time between two lines about calls that failed without a loss: a store that is read-only refuses each write.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

impl Link {
    /// One that is taken to be up until it fails.
    pub(super) fn new() -> Self {
        Self {
            up: AtomicBool::new(true),
            ever: AtomicBool::new(false),
            times: Mutex::default(),
        }
    }

    /// Whether the state is worth asking.
    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Whether it ever answered.
    pub(super) fn was_up(&self) -> bool {
        self.ever.load(Ordering::Relaxed)
    }

    /// When it last came back; `None` if it was never away.
    pub(super) fn returned(&self) -> Option<Instant> {
        self.times.lock().returned
    }

    /// The state did not answer.
    pub(super) fn lost(&self, error: &StateError, now: Instant) {
        let mut times = self.times.lock();
        if self.up.swap(false, Ordering::Relaxed) {
            times.lost = Some(now);
            tracing::error!(%error, "cluster state lost, going on with what is known");
        }
    }

    /// The state answered, but did not do what `call` asked for.
    pub(super) fn refused(&self, call: &'static str, error: &StateError, now: Instant) {
        let mut times = self.times.lock();
        let recent = |last: Instant| now.saturating_duration_since(last) < COMPLAINT_INTERVAL;
        if !times.complained.is_some_and(recent) {
            times.complained = Some(now);
            tracing::warn!(call, %error, "cluster state did not do what it was asked");
        }
    }

    /// The state answered. Tells whether it had been away.
    pub(super) fn restored(&self, now: Instant) -> bool {
        self.ever.store(true, Ordering::Relaxed);
        if self.is_up() {
            return false;
        }
        let mut times = self.times.lock();
        let away = !self.up.swap(true, Ordering::Relaxed);
        if away {
            times.returned = Some(now);
            let lost = times.lost.take();
            let seconds = lost.map_or(0.0, |lost| {
                now.saturating_duration_since(lost).as_secs_f64()
            });
            tracing::info!(seconds, "cluster state is back");
        }
        away
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_and_a_return_are_told_once() {
        let (link, now) = (Link::new(), weir_net::clock::now());
        assert!(link.is_up() && !link.was_up());
        let error = StateError::Unavailable("planted".to_owned());
        link.lost(&error, now);
        link.lost(&error, now);
        assert!(!link.is_up());
        assert_eq!(link.returned(), None);
        assert!(link.restored(now));
        assert!(!link.restored(now));
        assert!(link.is_up() && link.was_up());
        assert_eq!(link.returned(), Some(now));
        let error = StateError::Refused("planted".to_owned());
        link.refused("claim", &error, now);
        assert!(link.is_up(), "it is there");
    }
}
