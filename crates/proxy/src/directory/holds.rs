//! Which streams have sessions here.
//!
//! Owns: [`Holds`], sessions counted by stream and origin, and the streams whose binding nobody here needs any more.
//! Invariants: a stream has an entry exactly while it has a session; the ended ones are bounded, each once.
//! Does not: ask the state; it is told what to hold and to release by whoever asks for it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;
use weir_cluster::{Key, NodeId};

use crate::sessions::Role;

/// Parts with a lock each, so that cores seldom wait for each other.
const SHARDS: usize = 64;

/// Most streams that wait for their release to be told to the state: as many as end during an outage of some minutes in
/// the largest clusters, at some 200 bytes each.
const MAX_ENDED: usize = 200_000;

/// Sessions by stream. Shared by all cores.
#[derive(Debug)]
pub(super) struct Holds {
    shards: [Mutex<HashMap<Key, Entry>>; SHARDS],
    hasher: RandomState,
    streams: AtomicUsize,
    ended: Mutex<HashMap<Key, NodeId>>,
}

/// A stream with sessions.
#[derive(Debug)]
struct Entry {
    /// Where it is bound, if anybody published it.
    claim: Option<NodeId>,
    /// The state was away when that was found out.
    unsure: bool,
    /// Sessions by origin; more than one only while a stream moves.
    shares: Vec<Share>,
    /// Wakes viewers when `claim` changes.
    moved: Arc<Notify>,
    /// When it is next to be said that viewers wait.
    expect_due: Instant,
}

#[derive(Debug)]
struct Share {
    node: NodeId,
    publishers: u32,
    viewers: u32,
}

impl Entry {
    fn has(&self, node: &NodeId) -> bool {
        self.shares.iter().any(|share| share.node == *node)
    }

    /// The sessions for which the binding is to be looked up: all while it is not known for sure, else those that are
    /// elsewhere.
    fn to_look_up(&self) -> Option<&Share> {
        if self.claim.is_none() || self.unsure {
            return self.shares.first();
        }
        let mut shares = self.shares.iter();
        shares.find(|share| self.claim_changes(&share.node) && share.viewers > 0)
    }

    fn claim_changes(&self, node: &NodeId) -> bool {
        self.claim.as_ref() != Some(node)
    }
}

/// A stream with sessions at one origin, for listings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamView {
    /// The stream.
    pub stream: Key,
    /// The origin.
    pub node: NodeId,
    /// Sessions of this proxy.
    pub sessions: u32,
    /// Those that send it.
    pub publishers: u32,
    /// Those that receive it.
    pub viewers: u32,
}

/// A stream whose binding is to be looked up.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) stream: Key,
    /// Where its sessions are.
    pub(super) node: NodeId,
    /// They wait there without a binding.
    pub(super) unclaimed: bool,
    /// It is time to say again that viewers wait.
    pub(super) expect: bool,
}

impl Holds {
    pub(super) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            streams: AtomicUsize::new(0),
            ended: Mutex::default(),
        }
    }

    fn with<T>(&self, stream: &Key, work: impl FnOnce(&mut HashMap<Key, Entry>) -> T) -> T {
        let index = self.hasher.hash_one(stream) as usize % SHARDS;
        let shard = self.shards.get(index).unwrap_or(&self.shards[0]);
        work(&mut shard.lock())
    }

    /// Counts a session at `node`. `claim` is where the stream is bound as far as is known, and `unsure` that the state was
    /// not asked. Viewers wait without a claim until `expect_due` before that is said again.
    pub(super) fn add(
        &self,
        stream: &Key,
        node: &NodeId,
        role: Role,
        claim: Option<(NodeId, bool)>,
        expect_due: Instant,
    ) {
        self.with(stream, |shard| {
            let entry = shard.entry(stream.clone()).or_insert_with(|| {
                self.streams.fetch_add(1, Ordering::Relaxed);
                Entry {
                    claim: None,
                    unsure: false,
                    shares: Vec::with_capacity(1),
                    moved: Arc::default(),
                    expect_due,
                }
            });
            let found = entry.shares.iter().position(|share| share.node == *node);
            let index = found.unwrap_or_else(|| {
                entry.shares.push(Share {
                    node: node.clone(),
                    publishers: 0,
                    viewers: 0,
                });
                entry.shares.len() - 1
            });
            if let Some(share) = entry.shares.get_mut(index) {
                let count = share.count(role);
                *count = count.saturating_add(1);
            }
            if let Some((claim, unsure)) = claim {
                let changes = entry.claim_changes(&claim);
                entry.unsure |= unsure && changes;
                if changes {
                    entry.claim = Some(claim);
                    entry.moved.notify_waiters();
                }
            }
        });
    }

    /// Takes a session that was [added](Self::add) away. False when it ended the stream and there was no room to note
    /// that.
    pub(super) fn remove(&self, stream: &Key, node: &NodeId, role: Role) -> bool {
        let bound_there = self.with(stream, |shard| {
            let entry = shard.get_mut(stream)?;
            let index = entry.shares.iter().position(|share| share.node == *node)?;
            let share = entry.shares.get_mut(index)?;
            let count = share.count(role);
            *count = count.saturating_sub(1);
            if share.publishers + share.viewers > 0 {
                return None;
            }
            entry.shares.swap_remove(index);
            let bound_there = entry.claim.as_ref() == Some(node);
            if entry.shares.is_empty() {
                shard.remove(stream);
                self.streams.fetch_sub(1, Ordering::Relaxed);
            }
            Some(bound_there)
        });
        bound_there != Some(true) || self.end(stream, node)
    }

    /// Notes that the claim of `stream` with `node` may have no session here. False when there is no room for the note.
    pub(super) fn end(&self, stream: &Key, node: &NodeId) -> bool {
        let mut ended = self.ended.lock();
        if ended.len() >= MAX_ENDED && !ended.contains_key(stream) {
            return false;
        }
        ended.insert(stream.clone(), node.clone());
        true
    }

    /// Takes those of the ended streams that really have no session at their origin.
    pub(super) fn take_ended(&self) -> Vec<(Key, NodeId)> {
        let ended = std::mem::take(&mut *self.ended.lock());
        let idle = |stream: &Key, node: &NodeId| {
            self.with(stream, |shard| {
                !shard.get(stream).is_some_and(|entry| entry.has(node))
            })
        };
        let ended = ended.into_iter();
        ended.filter(|(stream, node)| idle(stream, node)).collect()
    }

    /// Notes that `stream` is bound to `node`. Tells whether that moved it away from sessions here.
    pub(super) fn claimed(&self, stream: &Key, node: &NodeId, unsure: bool) -> bool {
        self.with(stream, |shard| {
            let Some(entry) = shard.get_mut(stream) else {
                return false;
            };
            entry.unsure = unsure;
            if !entry.claim_changes(node) {
                return false;
            }
            entry.claim = Some(node.clone());
            entry.moved.notify_waiters();
            entry.shares.iter().any(|share| share.node != *node)
        })
    }

    /// The state was told that viewers wait for `stream`; it is next to be told at `due`.
    pub(super) fn expected(&self, stream: &Key, due: Instant) {
        self.with(stream, |shard| {
            if let Some(entry) = shard.get_mut(stream) {
                entry.expect_due = due;
            }
        });
    }

    /// Lets those who wait for `stream` look once more.
    pub(super) fn wake(&self, stream: &Key) {
        self.with(stream, |shard| {
            if let Some(entry) = shard.get(stream) {
                entry.moved.notify_waiters();
            }
        });
    }

    /// The binding of `stream` was struck off.
    pub(super) fn forget(&self, stream: &Key) {
        self.with(stream, |shard| {
            if let Some(entry) = shard.get_mut(stream) {
                entry.claim = None;
            }
        });
    }

    /// Where `stream` is bound, and what tells of a change.
    pub(super) fn binding(&self, stream: &Key) -> (Option<NodeId>, Arc<Notify>) {
        self.with(stream, |shard| match shard.get(stream) {
            Some(entry) => (entry.claim.clone(), Arc::clone(&entry.moved)),
            None => (None, Arc::default()),
        })
    }

    /// Where `stream` is bound, if it has sessions there.
    pub(super) fn bound(&self, stream: &Key) -> Option<NodeId> {
        self.with(stream, |shard| {
            let entry = shard.get(stream)?;
            entry.claim.clone().filter(|node| entry.has(node))
        })
    }

    /// Streams that have sessions where they are bound.
    pub(super) fn held(&self) -> Vec<(Key, NodeId)> {
        let mut held = Vec::with_capacity(self.len());
        for shard in &self.shards {
            for (stream, entry) in &*shard.lock() {
                if let Some(node) = entry.claim.as_ref().filter(|node| entry.has(node)) {
                    held.push((stream.clone(), node.clone()));
                }
            }
        }
        held
    }

    /// At most `limit` streams whose binding is not known, or not for sure, or is not where viewers are; `round` is
    /// counted up from call to call, so that all get their turn.
    pub(super) fn waiting(&self, limit: usize, round: usize, now: Instant) -> Vec<Waiting> {
        let mut waiting = Vec::new();
        let shards = self.shards.iter().cycle().skip(round % SHARDS);
        for shard in shards.take(SHARDS) {
            for (stream, entry) in &*shard.lock() {
                let Some(share) = entry.to_look_up() else {
                    continue;
                };
                if waiting.len() >= limit {
                    return waiting;
                }
                let unclaimed = entry.claim_changes(&share.node);
                waiting.push(Waiting {
                    stream: stream.clone(),
                    node: share.node.clone(),
                    unclaimed,
                    expect: unclaimed && entry.expect_due <= now,
                });
            }
        }
        waiting
    }

    /// Streams with sessions.
    pub(super) fn len(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    /// Streams with sessions, at most `limit` rows.
    pub(super) fn list(&self, limit: usize) -> Vec<StreamView> {
        let mut views = Vec::new();
        for shard in &self.shards {
            for (stream, entry) in &*shard.lock() {
                for share in &entry.shares {
                    if views.len() >= limit {
                        return views;
                    }
                    views.push(StreamView {
                        stream: stream.clone(),
                        node: share.node.clone(),
                        sessions: share.publishers.saturating_add(share.viewers),
                        publishers: share.publishers,
                        viewers: share.viewers,
                    });
                }
            }
        }
        views
    }
}

impl Share {
    fn count(&mut self, role: Role) -> &mut u32 {
        match role {
            Role::Publish => &mut self.publishers,
            Role::Play | Role::Opening => &mut self.viewers,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(n: usize) -> Key {
        Key::new(&format!("v/live/{n}")).expect("a key")
    }

    fn node(name: &str) -> NodeId {
        NodeId::from_text(name)
    }

    #[test]
    fn a_stream_is_there_while_it_has_a_session() {
        let (holds, now) = (Holds::new(), weir_net::clock::now());
        let (a, stream) = (node("a"), key(1));
        let claim = || Some((node("a"), false));
        holds.add(&stream, &a, Role::Publish, claim(), now);
        holds.add(&stream, &a, Role::Play, claim(), now);
        assert_eq!(holds.held(), [(stream.clone(), a.clone())]);
        assert_eq!(holds.bound(&stream), Some(a.clone()));
        let view = StreamView {
            stream: stream.clone(),
            node: a.clone(),
            sessions: 2,
            publishers: 1,
            viewers: 1,
        };
        assert_eq!(holds.list(9), [view]);
        holds.remove(&stream, &a, Role::Publish);
        assert_eq!(holds.take_ended(), []);
        holds.remove(&stream, &a, Role::Play);
        holds.remove(&stream, &a, Role::Play);
        assert_eq!((holds.len(), holds.held()), (0, vec![]));
        assert_eq!(holds.take_ended(), [(stream, a)]);
        assert_eq!(holds.take_ended(), []);
    }

    #[test]
    fn who_comes_back_before_the_release_keeps_the_binding() {
        let (holds, now) = (Holds::new(), weir_net::clock::now());
        let (a, stream) = (node("a"), key(1));
        for _ in 0..2 {
            holds.add(&stream, &a, Role::Play, Some((a.clone(), false)), now);
            holds.remove(&stream, &a, Role::Play);
        }
        holds.add(&stream, &a, Role::Play, Some((a.clone(), false)), now);
        assert_eq!(holds.take_ended(), []);
    }

    #[test]
    fn viewers_wait_until_somebody_binds_the_stream() {
        let (holds, now) = (Holds::new(), weir_net::clock::now());
        let (a, stream) = (node("a"), key(1));
        let due = now + Duration::from_secs(10);
        holds.add(&stream, &a, Role::Play, None, due);
        assert_eq!(holds.held(), []);
        let waiting = holds.waiting(9, 0, now);
        assert!(matches!(&waiting[..], [one] if one.unclaimed && !one.expect));
        assert!(holds.waiting(9, 5, due)[0].expect);
        holds.expected(&stream, due + Duration::from_secs(10));
        assert!(!holds.waiting(9, 70, due)[0].expect);
        assert_eq!(holds.binding(&stream).0, None);
        assert!(holds.claimed(&stream, &node("b"), false));
        assert_eq!(holds.binding(&stream).0, Some(node("b")));
        let waiting = holds.waiting(9, 0, due);
        assert!(matches!(&waiting[..], [one] if one.node == a && one.unclaimed));
        assert_eq!(holds.bound(&stream), None, "its sessions are elsewhere");
        // its end is not that of the binding
        holds.remove(&stream, &a, Role::Play);
        assert_eq!(holds.take_ended(), []);
    }

    #[test]
    fn all_that_wait_get_their_turn() {
        let (holds, now) = (Holds::new(), weir_net::clock::now());
        for n in 0..200 {
            holds.add(&key(n), &node("a"), Role::Play, None, now);
        }
        let mut seen = std::collections::HashSet::new();
        for round in 0..SHARDS {
            let waiting = holds.waiting(20, round, now);
            assert!(waiting.len() <= 20);
            seen.extend(waiting.into_iter().map(|one| one.stream));
        }
        assert_eq!(seen.len(), 200);
    }

    #[test]
    fn what_was_bound_in_an_outage_is_looked_up_once() {
        let (holds, now) = (Holds::new(), weir_net::clock::now());
        let (a, stream) = (node("a"), key(1));
        holds.add(&stream, &a, Role::Publish, Some((a.clone(), true)), now);
        assert_eq!(holds.held().len(), 1);
        let waiting = holds.waiting(9, 0, now);
        assert!(matches!(&waiting[..], [one] if !one.unclaimed && !one.expect));
        assert!(!holds.claimed(&stream, &a, false));
        assert!(holds.waiting(9, 0, now).is_empty());
    }
}
