//! Bindings that this proxy has seen.
//!
//! Owns: [`Known`], a bounded memory of claims for the time in which the state cannot be asked. Invariants: it never has
//! more entries than its bound; what is used stays longest. Does not: know whether a claim is still in force.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use parking_lot::Mutex;
use weir_cluster::{Claim, Key};

/// Most claims remembered: twice the streams of the largest clusters, at some 200 bytes each.
const MAX_KNOWN: usize = 200_000;

/// Parts with a lock each, so that cores seldom wait for each other.
const SHARDS: usize = 32;

/// Claims by stream. Shared by all cores.
#[derive(Debug)]
pub(super) struct Known {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

/// A table with a clock hand: an entry that was used since the hand last passed gets another round.
#[derive(Debug, Default)]
struct Shard {
    index: HashMap<Key, usize>,
    slots: Vec<Slot>,
    hand: usize,
}

#[derive(Debug)]
struct Slot {
    stream: Key,
    claim: Option<Claim>,
    used: bool,
}

impl Known {
    pub(super) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
        }
    }

    fn with<T>(&self, stream: &Key, work: impl FnOnce(&mut Shard) -> T) -> T {
        let index = self.hasher.hash_one(stream) as usize % SHARDS;
        let shard = self.shards.get(index).unwrap_or(&self.shards[0]);
        work(&mut shard.lock())
    }

    /// The claim last seen.
    pub(super) fn get(&self, stream: &Key) -> Option<Claim> {
        self.with(stream, |shard| {
            let slot = *shard.index.get(stream)?;
            let slot = shard.slots.get_mut(slot)?;
            slot.used = true;
            slot.claim.clone()
        })
    }

    /// Notes the claim in force.
    pub(super) fn set(&self, stream: &Key, claim: &Claim) {
        self.with(stream, |shard| shard.set(stream, claim, MAX_KNOWN / SHARDS));
    }

    /// Notes that no claim is in force.
    pub(super) fn forget(&self, stream: &Key) {
        self.with(stream, |shard| {
            let slot = shard.index.get(stream).copied();
            if let Some(slot) = slot.and_then(|slot| shard.slots.get_mut(slot)) {
                slot.claim = None;
                slot.used = false;
            }
        });
    }
}

impl Shard {
    fn set(&mut self, stream: &Key, claim: &Claim, bound: usize) {
        let known = self.index.get(stream).copied();
        if let Some(slot) = known.and_then(|slot| self.slots.get_mut(slot)) {
            slot.used = true;
            if slot.claim.as_ref() != Some(claim) {
                slot.claim = Some(claim.clone());
            }
            return;
        }
        let slot = Slot {
            stream: stream.clone(),
            claim: Some(claim.clone()),
            used: true,
        };
        if self.slots.len() < bound {
            self.index.insert(stream.clone(), self.slots.len());
            self.slots.push(slot);
            return;
        }
        // ends at the latest after one round, when all marks are gone
        loop {
            self.hand = (self.hand + 1) % self.slots.len().max(1);
            let Some(old) = self.slots.get_mut(self.hand) else {
                return;
            };
            if !std::mem::take(&mut old.used) {
                let old = std::mem::replace(old, slot);
                self.index.remove(&old.stream);
                self.index.insert(stream.clone(), self.hand);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_cluster::NodeId;

    use super::*;

    fn claim(node: &str) -> Claim {
        Claim {
            node: NodeId::from_text(node),
            epoch: 1,
        }
    }

    fn key(n: usize) -> Key {
        Key::new(&format!("v/live/{n}")).expect("a key")
    }

    #[test]
    fn the_last_claim_counts_until_it_is_forgotten() {
        let known = Known::new();
        assert_eq!(known.get(&key(1)), None);
        known.set(&key(1), &claim("a"));
        known.set(&key(1), &claim("b"));
        assert_eq!(known.get(&key(1)), Some(claim("b")));
        known.forget(&key(1));
        known.forget(&key(2));
        assert_eq!(known.get(&key(1)), None);
        known.set(&key(1), &claim("c"));
        assert_eq!(known.get(&key(1)), Some(claim("c")));
    }

    #[test]
    fn what_is_used_outlives_what_is_not() {
        let mut shard = Shard::default();
        for n in 0..4 {
            shard.set(&key(n), &claim("a"), 4);
        }
        // the first round takes all marks away, and one entry
        shard.set(&key(4), &claim("a"), 4);
        for n in 5..100 {
            if shard.index.contains_key(&key(2)) {
                shard.set(&key(2), &claim("a"), 4);
            }
            shard.set(&key(n), &claim("a"), 4);
        }
        assert!(shard.index.contains_key(&key(2)));
    }

    proptest! {
        #[test]
        fn a_shard_is_bounded_and_whole(streams in proptest::collection::vec(0_usize..30, 0..200)) {
            let mut shard = Shard::default();
            for n in streams {
                shard.set(&key(n), &claim(&n.to_string()), 7);
                prop_assert!(shard.slots.len() <= 7);
                prop_assert_eq!(shard.index.len(), shard.slots.len());
                for (stream, slot) in &shard.index {
                    prop_assert_eq!(&shard.slots[*slot].stream, stream);
                }
                let slot = &shard.slots[shard.index[&key(n)]];
                prop_assert_eq!(slot.claim.as_ref(), Some(&claim(&n.to_string())));
            }
        }
    }
}
