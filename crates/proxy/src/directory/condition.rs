//! How an origin is, as far as this proxy can see.
//!
//! Owns: [`Condition`]: the verdict on an origin with the rules by which it changes, and what this proxy has placed there.
//! Invariants: a probe that began before a session failed cannot clear the origin of that failure; an origin that once
//! accepted a connection and then hung is not cleared by accepting another one.
//! Does not: probe, or read clocks.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// What is thought of an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Verdict {
    /// Sessions may go there.
    Up = 0,
    /// It does not take connections.
    Down = 1,
    /// It takes connections and does not go on.
    Suspect = 2,
}

/// What a probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// It is well, and answered after this time.
    Well(Duration),
    /// Nobody listens there.
    Refused,
    /// No connection in time, or its name could not be looked up.
    Timeout,
    /// It accepted and did not go on in time, or spoke something else.
    Silent,
}

/// A probe to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    /// Whether it must be spoken to.
    pub(super) deep: bool,
    failures: u64,
}

/// The verdict on one origin and its counters. Shared by all cores; outlives changes of the origin's record.
#[derive(Debug)]
pub(super) struct Condition {
    verdict: AtomicU8,
    sessions: AtomicU32,
    opening: AtomicU32,
    since_report: AtomicU32,
    probing: Mutex<Probing>,
}

#[derive(Debug)]
struct Probing {
    due: Instant,
    running: bool,
    deep: bool,
    timeouts: u32,
    silences: u32,
    /// Probes that found all well since the last deep one.
    shallow: u32,
    failures: u64,
    took: Option<Duration>,
}

impl Condition {
    /// That of an origin that just came: taken to be up, and to be probed at once.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            verdict: AtomicU8::new(Verdict::Up as u8),
            sessions: AtomicU32::new(0),
            opening: AtomicU32::new(0),
            since_report: AtomicU32::new(0),
            probing: Mutex::new(Probing {
                due: now,
                running: false,
                deep: false,
                timeouts: 0,
                silences: 0,
                shallow: 0,
                failures: 0,
                took: None,
            }),
        }
    }

    /// The verdict.
    pub(super) fn verdict(&self) -> Verdict {
        match self.verdict.load(Ordering::Relaxed) {
            0 => Verdict::Up,
            1 => Verdict::Down,
            _ => Verdict::Suspect,
        }
    }

    /// Whether sessions may go there.
    pub(super) fn is_alive(&self) -> bool {
        self.verdict() == Verdict::Up
    }

    /// Sets the verdict; tells whether it is another than before.
    fn judge(&self, verdict: Verdict) -> bool {
        self.verdict.swap(verdict as u8, Ordering::Relaxed) != verdict as u8
    }

    /// A session could not be opened: the origin was not connected to, or `answered` and did not go on. Tells whether
    /// that changes the verdict.
    pub(super) fn failed(&self, answered: bool, now: Instant) -> bool {
        let mut probing = self.probing.lock();
        probing.failures += 1;
        probing.due = now;
        match answered {
            false => self.judge(Verdict::Down),
            true => {
                probing.deep = true;
                self.verdict() == Verdict::Up && self.judge(Verdict::Suspect)
            }
        }
    }

    /// The origin is reached elsewhere from now on: what was thought of the old place does not count.
    pub(super) fn relocated(&self, now: Instant) {
        let mut probing = self.probing.lock();
        probing.failures += 1;
        probing.deep = false;
        probing.timeouts = 0;
        probing.silences = 0;
        probing.due = now;
        self.judge(Verdict::Up);
    }

    /// The probe to make, if one is due; of `deep_every` probes that find all well one is deep, none if that is zero. It
    /// must be [`finished`](Self::finished).
    pub(super) fn due(&self, now: Instant, deep_every: u32) -> Option<Ticket> {
        let mut probing = self.probing.lock();
        if probing.running || probing.due > now {
            return None;
        }
        probing.running = true;
        Some(Ticket {
            deep: probing.deep || (deep_every > 0 && probing.shallow + 1 >= deep_every),
            failures: probing.failures,
        })
    }

    /// Takes what a probe found; the next one is due at `next`, or at once after a first timeout. Tells whether that
    /// changes the verdict.
    pub(super) fn finished(
        &self,
        ticket: Ticket,
        found: Finding,
        now: Instant,
        next: Instant,
    ) -> bool {
        let mut probing = self.probing.lock();
        probing.running = false;
        let outdated = ticket.failures != probing.failures;
        probing.due = if outdated { now } else { next };
        match found {
            Finding::Well(took) => {
                probing.timeouts = 0;
                probing.silences = 0;
                probing.took = Some(took);
                if outdated {
                    return false;
                }
                probing.shallow = if ticket.deep { 0 } else { probing.shallow + 1 };
                probing.deep = false;
                self.judge(Verdict::Up)
            }
            Finding::Refused => {
                probing.timeouts = 0;
                // whoever hung there is gone
                probing.deep = false;
                self.judge(Verdict::Down)
            }
            Finding::Timeout => {
                probing.timeouts += 1;
                if probing.timeouts < TIMEOUTS {
                    probing.due = now;
                    return false;
                }
                self.judge(Verdict::Down)
            }
            Finding::Silent => {
                probing.timeouts = 0;
                probing.deep = true;
                probing.silences += 1;
                if probing.silences < SILENCES && self.verdict() == Verdict::Up {
                    probing.due = now;
                    return false;
                }
                self.judge(Verdict::Suspect)
            }
        }
    }

    /// How long its last good probe took; `None` before the first.
    pub(super) fn took(&self) -> Option<Duration> {
        self.probing.lock().took
    }

    /// A new stream was placed there; its session is not open yet.
    pub(super) fn placed(&self) {
        self.opening.fetch_add(1, Ordering::Relaxed);
        self.since_report.fetch_add(1, Ordering::Relaxed);
    }

    /// A session is open there.
    pub(super) fn opened(&self) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
        shrink(&self.opening, |opening| opening.saturating_sub(1));
    }

    /// A session has ended.
    pub(super) fn closed(&self) {
        shrink(&self.sessions, |sessions| sessions.saturating_sub(1));
    }

    /// Half of the placed streams whose sessions did not open by now never will; called about once a second.
    pub(super) fn forget_unopened(&self) {
        shrink(&self.opening, |opening| opening / 2);
    }

    /// It registered: its report knows of all that was placed before.
    pub(super) fn reported(&self) {
        self.since_report.store(0, Ordering::Relaxed);
    }

    /// Sessions of this proxy that are open there.
    pub(super) fn sessions(&self) -> u32 {
        self.sessions.load(Ordering::Relaxed)
    }

    /// Sessions there that a report does not know of; `reports` says whether it makes any.
    pub(super) fn added(&self, reports: bool) -> u32 {
        if reports {
            return self.since_report.load(Ordering::Relaxed);
        }
        self.sessions()
            .saturating_add(self.opening.load(Ordering::Relaxed))
    }
}

/// Probes that must run out of time one after the other before the origin is down: one may be a lost packet.
const TIMEOUTS: u32 = 2;

/// Deep probes without an answer before an origin that was well is suspect: one may be a moment without CPU.
const SILENCES: u32 = 2;

fn shrink(count: &AtomicU32, to: impl Fn(u32) -> u32) {
    // the closure always gives a value, so the update cannot fail
    let _ = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| Some(to(now)));
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: Finding = Finding::Well(Duration::from_millis(1));

    fn probe(condition: &Condition, found: Finding, now: Instant) -> bool {
        let ticket = condition.due(now, 2).expect("a probe is due");
        condition.finished(ticket, found, now, now)
    }

    #[test]
    fn a_refusal_counts_at_once_and_two_timeouts_do() {
        let now = weir_net::clock::now();
        let condition = Condition::new(now);
        assert!(probe(&condition, Finding::Refused, now));
        assert_eq!(condition.verdict(), Verdict::Down);
        assert!(probe(&condition, WELL, now));
        assert!(condition.is_alive());
        assert!(!probe(&condition, Finding::Timeout, now));
        assert!(condition.is_alive(), "one may be a lost packet");
        assert!(probe(&condition, Finding::Timeout, now));
        assert_eq!(condition.verdict(), Verdict::Down);
        assert!(probe(&condition, WELL, now));
        assert!(!probe(&condition, Finding::Timeout, now));
        assert!(!probe(&condition, WELL, now));
        assert!(!probe(&condition, Finding::Timeout, now), "not in a row");
    }

    #[test]
    fn probes_are_spaced_except_after_a_first_timeout() {
        let now = weir_net::clock::now();
        let later = now + Duration::from_secs(1);
        let condition = Condition::new(now);
        let ticket = condition.due(now, 2).expect("new");
        assert_eq!(condition.due(later, 2), None, "one at a time");
        condition.finished(ticket, Finding::Timeout, now, later);
        let ticket = condition.due(now, 2).expect("at once");
        condition.finished(ticket, Finding::Timeout, now, later);
        assert_eq!(condition.due(now, 2), None);
        assert!(condition.due(later, 2).is_some());
    }

    #[test]
    fn a_probe_from_before_a_failure_clears_nothing() {
        let now = weir_net::clock::now();
        let condition = Condition::new(now);
        let early = condition.due(now, 2).expect("new");
        assert!(condition.failed(false, now));
        assert!(!condition.failed(false, now), "known already");
        assert!(!condition.finished(early, WELL, now, now + Duration::from_secs(1)));
        assert_eq!(condition.verdict(), Verdict::Down);
        assert!(
            probe(&condition, WELL, now),
            "and the next one is due at once"
        );
    }

    #[test]
    fn who_hung_must_speak_to_be_cleared() {
        let now = weir_net::clock::now();
        let condition = Condition::new(now);
        assert!(condition.failed(true, now));
        assert_eq!(condition.verdict(), Verdict::Suspect);
        let ticket = condition.due(now, 2).expect("at once");
        assert!(ticket.deep);
        condition.finished(ticket, Finding::Timeout, now, now);
        assert!(
            probe(&condition, Finding::Timeout, now),
            "its queue is full"
        );
        assert_eq!(condition.verdict(), Verdict::Down);
        assert!(!condition.failed(true, now), "worse already");
        let ticket = condition.due(now, 0).expect("due");
        assert!(ticket.deep, "still");
        assert!(condition.finished(ticket, Finding::Silent, now, now));
        assert!(probe(&condition, WELL, now));
        assert!(condition.is_alive());
        assert!(condition.failed(true, now));
        probe(&condition, Finding::Refused, now);
        let ticket = condition.due(now, 0).expect("due");
        assert!(!ticket.deep, "that process is gone");
    }

    #[test]
    fn a_new_place_is_not_judged_by_the_old() {
        let now = weir_net::clock::now();
        let condition = Condition::new(now);
        let early = condition.due(now, 2).expect("new");
        condition.failed(true, now);
        condition.relocated(now);
        assert!(condition.is_alive());
        condition.finished(early, WELL, now, now);
        assert!(!condition.due(now, 2).expect("due").deep);
    }

    #[test]
    fn an_origin_that_hangs_is_found_by_every_other_probe() {
        let now = weir_net::clock::now();
        let condition = Condition::new(now);
        let shallow = condition.due(now, 2).expect("new");
        assert!(!shallow.deep);
        condition.finished(shallow, WELL, now, now);
        let deep = condition.due(now, 2).expect("due");
        assert!(deep.deep);
        assert!(!condition.finished(deep, Finding::Silent, now, now));
        assert!(condition.is_alive(), "once may be a moment without CPU");
        let again = condition.due(now, 2).expect("at once");
        assert!(again.deep);
        assert!(condition.finished(again, Finding::Silent, now, now));
        assert_eq!(condition.verdict(), Verdict::Suspect);
        let last = condition.due(now, 2).expect("due");
        assert!(condition.finished(last, WELL, now, now));
        assert!(condition.is_alive());
    }

    #[test]
    fn what_never_opens_is_forgotten() {
        let condition = Condition::new(weir_net::clock::now());
        for _ in 0..4 {
            condition.placed();
        }
        condition.opened();
        assert_eq!((condition.added(false), condition.added(true)), (4, 4));
        condition.forget_unopened();
        condition.forget_unopened();
        assert_eq!(condition.added(false), 1);
        condition.reported();
        assert_eq!(condition.added(true), 0);
        condition.closed();
        condition.closed();
        assert_eq!(condition.sessions(), 0);
    }
}
