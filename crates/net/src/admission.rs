//! Who may open a session.
//!
//! Owns: the counts of sessions, in all and by address, and the permits that hold them. Does not: refuse in a
//! protocol's words; a gate gets [`Admitted::Refuse`] and answers as its protocol does.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Sessions over the limit that are held just long enough to be told so.
///
/// A refused encoder that hears why stops retrying blindly. 256 is a second's worth of a busy reconnect storm and
/// at most a few MiB; beyond it connections are closed unanswered.
const REFUSAL_LANE: u64 = 256;

/// Limits on sessions; 0 means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Sessions in the process.
    pub sessions: u64,
    /// Sessions from one address.
    pub sessions_per_address: u64,
}

/// Why a session is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The process has as many sessions as `limits.sessions` allows.
    #[error("server has reached its limit of {0} sessions")]
    Sessions(u64),
    /// The address has as many sessions as `limits.sessions_per_address` allows.
    #[error("your address has reached its limit of {0} sessions")]
    Address(u64),
}

impl Refusal {
    /// A short name for metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Sessions(_) => "sessions",
            Self::Address(_) => "sessions_per_address",
        }
    }
}

/// What to do with a new connection.
#[derive(Debug)]
pub enum Admitted {
    /// Serve it while the permit lives.
    Serve(Permit),
    /// Tell it why not, then close; the permit bounds how many are being told.
    Refuse(Refusal, Permit),
    /// Close it unanswered: too many are being told already.
    Drop(Refusal),
}

#[derive(Debug, Default)]
struct Counts {
    sessions: u64,
    refusing: u64,
    by_address: HashMap<IpAddr, u64>,
}

/// The process-wide gatekeeper. Clones share their counts.
#[derive(Debug, Clone)]
pub struct Admission {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    sessions: AtomicU64,
    per_address: AtomicU64,
    counts: Mutex<Counts>,
}

impl Admission {
    /// An empty table with `limits`.
    pub fn new(limits: Limits) -> Self {
        Self {
            shared: Arc::new(Shared {
                sessions: AtomicU64::new(limits.sessions),
                per_address: AtomicU64::new(limits.sessions_per_address),
                counts: Mutex::default(),
            }),
        }
    }

    /// Replaces the limits; sessions that exist stay.
    pub fn set_limits(&self, limits: Limits) {
        self.shared
            .sessions
            .store(limits.sessions, Ordering::Relaxed);
        self.shared
            .per_address
            .store(limits.sessions_per_address, Ordering::Relaxed);
    }

    /// Sessions admitted now.
    pub fn sessions(&self) -> u64 {
        self.shared.lock().sessions
    }

    /// Decides on a connection from `address`.
    pub fn admit(&self, address: IpAddr) -> Admitted {
        let address = address.to_canonical();
        let limit = self.shared.sessions.load(Ordering::Relaxed);
        let per_address = self.shared.per_address.load(Ordering::Relaxed);
        let mut counts = self.shared.lock();
        let of_address = counts.by_address.get(&address).copied().unwrap_or(0);
        let refusal = if limit != 0 && counts.sessions >= limit {
            Some(Refusal::Sessions(limit))
        } else if per_address != 0 && of_address >= per_address {
            Some(Refusal::Address(per_address))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            if counts.refusing >= REFUSAL_LANE {
                return Admitted::Drop(refusal);
            }
            counts.refusing += 1;
            return Admitted::Refuse(refusal, self.permit(None));
        }
        counts.sessions += 1;
        *counts.by_address.entry(address).or_default() += 1;
        Admitted::Serve(self.permit(Some(address)))
    }

    fn permit(&self, address: Option<IpAddr>) -> Permit {
        Permit {
            shared: Arc::clone(&self.shared),
            address,
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Holds a place; gives it back when dropped.
#[derive(Debug)]
pub struct Permit {
    shared: Arc<Shared>,
    /// `None` for a place in the refusal lane.
    address: Option<IpAddr>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.shared.lock();
        let Some(address) = self.address else {
            counts.refusing = counts.refusing.saturating_sub(1);
            return;
        };
        counts.sessions = counts.sessions.saturating_sub(1);
        if let Some(count) = counts.by_address.get_mut(&address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));

    fn served(admission: &Admission, address: IpAddr) -> Permit {
        match admission.admit(address) {
            Admitted::Serve(permit) => permit,
            other => panic!("not served: {other:?}"),
        }
    }

    #[test]
    fn counts_come_back_with_the_permit() {
        let admission = Admission::new(Limits {
            sessions: 2,
            sessions_per_address: 0,
        });
        let first = served(&admission, A);
        let _second = served(&admission, A);
        assert!(matches!(
            admission.admit(B),
            Admitted::Refuse(Refusal::Sessions(2), _)
        ));
        drop(first);
        drop(served(&admission, B));
        assert_eq!(admission.sessions(), 1);
    }

    #[test]
    fn an_address_is_limited_alone_and_mapped_addresses_are_one() {
        let admission = Admission::new(Limits {
            sessions: 0,
            sessions_per_address: 1,
        });
        let _a = served(&admission, A);
        let mapped: IpAddr = "::ffff:127.0.0.1".parse().expect("an address");
        assert!(matches!(
            admission.admit(mapped),
            Admitted::Refuse(Refusal::Address(1), _)
        ));
        let _b = served(&admission, B);
    }

    #[test]
    fn the_refusal_lane_is_bounded() {
        let admission = Admission::new(Limits {
            sessions: 1,
            sessions_per_address: 0,
        });
        let _a = served(&admission, A);
        let lane: Vec<_> = (0..REFUSAL_LANE).map(|_| admission.admit(B)).collect();
        assert!(
            lane.iter()
                .all(|admitted| matches!(admitted, Admitted::Refuse(..)))
        );
        assert!(matches!(
            admission.admit(B),
            Admitted::Drop(Refusal::Sessions(1))
        ));
        drop(lane);
        assert!(matches!(admission.admit(B), Admitted::Refuse(..)));
    }

    #[test]
    fn limits_change_under_way() {
        let admission = Admission::new(Limits {
            sessions: 1,
            sessions_per_address: 0,
        });
        let _a = served(&admission, A);
        admission.set_limits(Limits {
            sessions: 2,
            sessions_per_address: 0,
        });
        let _b = served(&admission, B);
    }
}
