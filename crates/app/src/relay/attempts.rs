//! When to try again, and when not.
//!
//! Owns: the waits between the attempts of one side, and the count of those without success. Does not: wait, connect,
//! or read clocks.

use std::time::Duration;

/// The wait after the first failure.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// A connection that carried media for as long as this has worked; what broke it is a new matter.
///
/// Shorter ones count as failures: a server that accepts and drops at once must not be asked every second.
const STEADY: Duration = Duration::from_secs(10);

/// One side of a relay is given up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("gave up {what} {url} after {attempts} {}: {error}", if *.attempts == 1 { "attempt" } else { "attempts" })]
pub struct GaveUp {
    /// `playing` or `publishing`.
    pub what: &'static str,
    /// The address, without its secrets.
    pub url: String,
    /// Attempts without success in a row.
    pub attempts: u32,
    /// Why the last one failed.
    pub error: String,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// We were asked to stop.
    Stopped,
    /// The stream is over at its source; what the peer said about it.
    Source(String),
    /// It failed.
    Failed {
        error: String,
        /// Another attempt may succeed.
        may_pass: bool,
    },
}

/// One attempt, when it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) ended: Ended,
    /// How long it carried media.
    pub(super) ran: Duration,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    Stop,
    Retry { after: Duration },
    GiveUp { attempts: u32, error: String },
}

/// The attempts of one side so far.
#[derive(Debug)]
pub(super) struct Attempts {
    max_delay: Duration,
    limit: u32,
    /// Without success, in a row.
    failures: u32,
    /// Media has gone over this side before.
    worked: bool,
}

impl Attempts {
    /// None yet. `limit` 0 never gives up.
    pub(super) fn new(max_delay: Duration, limit: u32) -> Self {
        Self {
            max_delay,
            limit,
            failures: 0,
            worked: false,
        }
    }

    /// What to do after `attempt`. `random` spreads the waits of many relays that lost the same server: the wait is
    /// between half of what is due and all of it.
    pub(super) fn next(&mut self, attempt: Attempt, random: u64) -> Next {
        let carried = attempt.ran > Duration::ZERO;
        self.worked |= carried;
        let (error, success, may_pass) = match attempt.ended {
            Ended::Stopped => return Next::Stop,
            Ended::Source(said) => (format!("the source ended: {said}"), carried, true),
            Ended::Failed { error, may_pass } => (error, attempt.ran >= STEADY, may_pass),
        };
        self.failures = match success {
            true => 0,
            false => self.failures.saturating_add(1),
        };
        let spent = self.limit != 0 && self.failures >= self.limit;
        if spent || !(may_pass || self.worked) {
            return Next::GiveUp {
                attempts: self.failures,
                error,
            };
        }
        let due = self.due();
        Next::Retry {
            after: due / 2 + due.mul_f64((random % 1024) as f64 / 2048.0),
        }
    }

    fn due(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(16);
        FIRST_DELAY
            .saturating_mul(1 << doublings)
            .min(self.max_delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: Duration = Duration::from_secs(8);

    fn failed(ran: u64, may_pass: bool) -> Attempt {
        Attempt {
            ended: Ended::Failed {
                error: "broken".to_owned(),
                may_pass,
            },
            ran: Duration::from_secs(ran),
        }
    }

    fn ended(ran: u64) -> Attempt {
        Attempt {
            ended: Ended::Source("StreamEOF".to_owned()),
            ran: Duration::from_secs(ran),
        }
    }

    /// The wait in milliseconds, without luck.
    fn wait(attempts: &mut Attempts, attempt: Attempt) -> u128 {
        match attempts.next(attempt, 1023) {
            Next::Retry { after } => after.as_millis().div_ceil(10) * 10,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn waits_double_up_to_the_most_and_begin_anew_after_success() {
        let mut attempts = Attempts::new(MAX, 0);
        let waits: Vec<_> = (0..5)
            .map(|_| wait(&mut attempts, failed(1, true)))
            .collect();
        assert_eq!(waits, [1000, 2000, 4000, 8000, 8000]);
        assert_eq!(wait(&mut attempts, failed(10, true)), 1000);
        assert_eq!(wait(&mut attempts, failed(0, true)), 1000);
        assert_eq!(wait(&mut attempts, failed(0, true)), 2000);
        assert_eq!(wait(&mut attempts, ended(1)), 1000);
        for _ in 0..100 {
            let _ = attempts.next(failed(0, true), 0);
        }
        assert_eq!(
            attempts.next(failed(0, true), 0),
            Next::Retry { after: MAX / 2 }
        );
    }

    #[test]
    fn the_limit_counts_failures_in_a_row() {
        let mut attempts = Attempts::new(MAX, 2);
        let _ = attempts.next(failed(0, true), 0);
        let _ = attempts.next(ended(1), 0);
        assert!(matches!(
            attempts.next(failed(1, true), 0),
            Next::Retry { .. }
        ));
        let given_up = Next::GiveUp {
            attempts: 2,
            error: "the source ended: StreamEOF".to_owned(),
        };
        assert_eq!(attempts.next(ended(0), 0), given_up);
    }

    #[test]
    fn what_cannot_pass_ends_at_once_unless_it_worked_before() {
        let mut attempts = Attempts::new(MAX, 0);
        assert!(matches!(
            attempts.next(failed(0, false), 0),
            Next::GiveUp { attempts: 1, .. }
        ));
        let _ = attempts.next(ended(3), 0);
        assert!(matches!(
            attempts.next(failed(0, false), 0),
            Next::Retry { .. }
        ));
    }

    #[test]
    fn giving_up_is_told_in_one_line() {
        let gave_up = GaveUp {
            what: "publishing",
            url: "rtmp://b/live/s".to_owned(),
            attempts: 1,
            error: "rejected: NetStream.Publish.BadName".to_owned(),
        };
        assert_eq!(
            gave_up.to_string(),
            "gave up publishing rtmp://b/live/s after 1 attempt: \
             rejected: NetStream.Publish.BadName"
        );
    }
}
