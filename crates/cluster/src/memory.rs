//! Cluster state in the memory of one process.
//!
//! Owns: [`Memory`], its bounds and the end of what has run out. Invariants: each call takes a lock for a few look-ups,
//! never across an await; every table is bounded, and what has run out is gone for every reader at once. Its memory
//! comes back a few entries with each call, and always before a table is called full.
//! Does not: keep anything over a restart, or have timers.

mod expiring;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use self::expiring::{AtBound, Expiring};
use crate::key::Key;
use crate::node::{Node, NodeId};
use crate::state::{Claim, ClusterState, Found, Pending, StateError};

/// Entries of each table that one call clears away. More than one call adds, so that clearing keeps up.
const SWEPT_PER_CALL: usize = 8;

/// Longest route, key and value together, in bytes: the URL of a request, at most 16 KiB, may be twice that in JSON.
const MAX_ROUTE_BYTES: usize = 40 << 10;

/// Times and bounds of [`Memory`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How long a registration is in force.
    pub lease: Duration,
    /// Most nodes.
    pub max_nodes: usize,
    /// Most claims, and most notes of where viewers wait; each takes a few hundred bytes.
    pub max_claims: usize,
    /// Most routes; each takes about the length of a URL, often under 1 KiB.
    pub max_routes: usize,
}

impl Default for Options {
    /// The lease of the SRS proxy, and room for clusters larger than any that is known of.
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(300),
            max_nodes: 1_000,
            max_claims: 200_000,
            max_routes: 200_000,
        }
    }
}

/// How much there is, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Nodes.
    pub nodes: usize,
    /// Claims.
    pub claims: usize,
    /// Notes of where viewers wait.
    pub expected: usize,
    /// Routes.
    pub routes: usize,
}

/// The state of a cluster that has one proxy.
///
/// [`changed`](ClusterState::changed) resolves when a call changes the nodes or finds that a lease has ended; a lease
/// that ends while nobody calls is not noticed. What a node was told by [`drain`](ClusterState::drain) is kept in its
/// record and goes with it; telling it to a node that is not there has no effect.
pub struct Memory {
    lease: Duration,
    clock: Box<dyn Fn() -> Instant + Send + Sync>,
    tables: Mutex<Tables>,
}

impl Memory {
    /// An empty state. `clock` says what time it is; it never goes back, and does not call the state.
    pub fn new(options: Options, clock: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self {
            lease: options.lease,
            clock: Box::new(clock),
            tables: Mutex::new(Tables::new(options)),
        }
    }

    /// Claims that have run out since the start.
    pub fn expired_claims(&self) -> u64 {
        self.tables.lock().claims.expired()
    }

    /// Routes that have run out since the start.
    pub fn expired_routes(&self) -> u64 {
        self.tables.lock().routes.expired()
    }

    /// Leases that have ended since the start, those of nodes that left not counted.
    pub fn expired_nodes(&self) -> u64 {
        self.tables.lock().nodes.expired()
    }

    /// How much there is; what has run out may be counted for some calls more.
    pub fn sizes(&self) -> Sizes {
        let tables = self.tables.lock();
        Sizes {
            nodes: tables.nodes.len(),
            claims: tables.claims.len(),
            expected: tables.expected.len(),
            routes: tables.routes.len(),
        }
    }

    /// Does `work` on the tables at the time of now, and wakes who waits if the nodes have changed.
    fn with<T>(&self, work: impl FnOnce(&mut Tables, Instant) -> T) -> T {
        let mut tables = self.tables.lock();
        let now = (self.clock)();
        let before = tables.version;
        tables.sweep(now);
        let result = work(&mut tables, now);
        let woken = if tables.version == before {
            BTreeMap::new()
        } else {
            mem::take(&mut tables.waiting)
        };
        drop(tables);
        woken.into_values().for_each(Waker::wake);
        result
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("sizes", &self.sizes())
            .finish_non_exhaustive()
    }
}

/// A record of a node.
struct Registered {
    node: Node,
    /// What the node was told, whatever it says itself.
    drained: bool,
    /// Its place in the order of arrival.
    arrival: u64,
}

struct Tables {
    nodes: Expiring<NodeId, Registered>,
    claims: Expiring<Key, Claim>,
    expected: Expiring<Key, NodeId>,
    routes: Expiring<Arc<str>, Box<str>>,
    arrivals: u64,
    epochs: u64,
    /// Of the nodes; 0 is never in use.
    version: u64,
    /// Who waits for another version, by number.
    waiting: BTreeMap<u64, Waker>,
    waiters: u64,
}

impl Tables {
    fn new(options: Options) -> Self {
        Self {
            nodes: Expiring::new(options.max_nodes),
            claims: Expiring::new(options.max_claims),
            expected: Expiring::new(options.max_claims),
            routes: Expiring::new(options.max_routes),
            arrivals: 0,
            epochs: 0,
            version: 1,
            waiting: BTreeMap::new(),
            waiters: 0,
        }
    }

    fn sweep(&mut self, now: Instant) {
        // of nodes all: a call must not see one of them gone and another not, and there are few
        if self.nodes.sweep(now, usize::MAX) > 0 {
            self.version += 1;
        }
        self.claims.sweep(now, SWEPT_PER_CALL);
        self.expected.sweep(now, SWEPT_PER_CALL);
        self.routes.sweep(now, SWEPT_PER_CALL);
    }

    fn register(&mut self, node: &Node, now: Instant, lease: Duration) -> Result<(), StateError> {
        let until = now.checked_add(lease);
        if let Some(known) = self.nodes.get(&node.id, now) {
            let mut before = mem::replace(&mut known.node, node.clone());
            // a beat without news is none
            before.updated = node.updated;
            if before != *node {
                self.version += 1;
            }
            self.nodes.set_until(&node.id, until);
            return Ok(());
        }
        let registered = Registered {
            node: node.clone(),
            drained: false,
            arrival: self.arrivals,
        };
        self.nodes
            .insert(node.id.clone(), registered, until, now)
            .map_err(|AtBound| StateError::Full("it has as many nodes as it may"))?;
        self.arrivals += 1;
        self.version += 1;
        Ok(())
    }

    fn leave(&mut self, id: &NodeId) {
        if self.nodes.remove(id).is_some() {
            self.version += 1;
        }
    }

    fn drain(&mut self, id: &NodeId, draining: bool, now: Instant) {
        let Some(known) = self.nodes.get(id, now) else {
            return;
        };
        if mem::replace(&mut known.drained, draining) != draining {
            self.version += 1;
        }
    }

    fn list(&self, now: Instant) -> Vec<Node> {
        let mut known: Vec<_> = self.nodes.iter(now).map(|(_, known)| known).collect();
        known.sort_unstable_by_key(|known| known.arrival);
        let nodes = known.into_iter().map(|known| {
            let mut node = known.node.clone();
            node.report.draining |= known.drained;
            node
        });
        nodes.collect()
    }

    fn find(&mut self, stream: &Key, now: Instant) -> Found {
        Found {
            claim: self.claims.get(stream, now).cloned(),
            expected: self.expected.get(stream, now).cloned(),
        }
    }

    fn claim(
        &mut self,
        stream: &Key,
        node: &NodeId,
        replacing: Option<&Claim>,
        now: Instant,
    ) -> Result<Claim, StateError> {
        if let Some(current) = self.claims.get(stream, now)
            && Some(&*current) != replacing
        {
            return Ok(current.clone());
        }
        self.bind(stream, node, now)
    }

    /// Writes a claim whatever is there.
    fn bind(&mut self, stream: &Key, node: &NodeId, now: Instant) -> Result<Claim, StateError> {
        let claim = Claim {
            node: node.clone(),
            epoch: self.epochs,
        };
        self.claims
            .insert(stream.clone(), claim.clone(), None, now)
            .map_err(|AtBound| StateError::Full("it has as many claims as it may"))?;
        self.epochs += 1;
        Ok(claim)
    }

    fn expect(
        &mut self,
        stream: &Key,
        node: &NodeId,
        until: Option<Instant>,
        now: Instant,
    ) -> Result<NodeId, StateError> {
        if let Some(first) = self.expected.get(stream, now) {
            let first = first.clone();
            if first == *node {
                self.expected.set_until(stream, until);
            }
            return Ok(first);
        }
        self.expected
            .insert(stream.clone(), node.clone(), until, now)
            .map_err(|AtBound| StateError::Full("viewers wait for as many streams as may be"))?;
        Ok(node.clone())
    }

    /// Holds as many as there is room for; fails if that is not all.
    fn hold(&mut self, streams: &[(Key, NodeId)], now: Instant) -> Result<(), StateError> {
        let mut result = Ok(());
        for (stream, node) in streams {
            match self.claims.get(stream, now) {
                Some(current) if current.node == *node => self.claims.set_until(stream, None),
                Some(_) => {}
                None => {
                    if let Err(full) = self.bind(stream, node, now) {
                        result = Err(full);
                    }
                }
            }
        }
        result
    }

    fn release(&mut self, stream: &Key, node: &NodeId, until: Option<Instant>, now: Instant) {
        if self.names(stream, node, now) {
            self.claims.set_until(stream, until);
        }
    }

    fn forget(&mut self, stream: &Key, node: &NodeId, now: Instant) {
        if self.names(stream, node, now) {
            self.claims.remove(stream);
        }
    }

    /// Whether the claim of `stream` is in force with `node`.
    fn names(&mut self, stream: &Key, node: &NodeId, now: Instant) -> bool {
        let current = self.claims.get(stream, now);
        current.is_some_and(|current| current.node == *node)
    }

    fn put_routes(
        &mut self,
        values: &[(String, String)],
        until: Option<Instant>,
        now: Instant,
    ) -> Result<(), StateError> {
        for (key, value) in values {
            if key.len().saturating_add(value.len()) > MAX_ROUTE_BYTES {
                return Err(StateError::Full("a route is longer than 40 KiB"));
            }
            self.routes
                .insert(key.as_str().into(), value.as_str().into(), until, now)
                .map_err(|AtBound| StateError::Full("it has as many routes as it may"))?;
        }
        Ok(())
    }
}

/// Waits for a version of the nodes other than `seen`.
struct Changed<'a> {
    memory: &'a Memory,
    seen: u64,
    /// Its number among those that wait.
    number: Option<u64>,
}

impl Future for Changed<'_> {
    type Output = Result<u64, StateError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (seen, number) = (self.seen, self.number);
        let waits = self.memory.with(|tables, _| {
            if tables.version != seen {
                return Err(tables.version);
            }
            let number = number.unwrap_or(tables.waiters);
            tables.waiters = tables.waiters.max(number.saturating_add(1));
            let replaced = tables.waiting.insert(number, context.waker().clone());
            Ok((number, replaced))
        });
        match waits {
            // the last handle of a task may drop the task, and that may call here: never under the lock
            Ok((number, replaced)) => {
                drop(replaced);
                self.number = Some(number);
                Poll::Pending
            }
            Err(version) => Poll::Ready(Ok(version)),
        }
    }
}

impl Drop for Changed<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let removed = self.memory.tables.lock().waiting.remove(&number);
            drop(removed);
        }
    }
}

impl ClusterState for Memory {
    fn register<'a>(&'a self, node: &'a Node) -> Pending<'a, ()> {
        Box::pin(async move { self.with(|tables, now| tables.register(node, now, self.lease)) })
    }

    fn leave<'a>(&'a self, id: &'a NodeId) -> Pending<'a, ()> {
        Box::pin(async move {
            self.with(|tables, _| tables.leave(id));
            Ok(())
        })
    }

    fn drain<'a>(&'a self, id: &'a NodeId, draining: bool) -> Pending<'a, ()> {
        Box::pin(async move {
            self.with(|tables, now| tables.drain(id, draining, now));
            Ok(())
        })
    }

    fn nodes(&self) -> Pending<'_, Vec<Node>> {
        Box::pin(async move { Ok(self.with(|tables, now| tables.list(now))) })
    }

    fn find<'a>(&'a self, stream: &'a Key) -> Pending<'a, Found> {
        Box::pin(async move { Ok(self.with(|tables, now| tables.find(stream, now))) })
    }

    fn claim<'a>(
        &'a self,
        stream: &'a Key,
        node: &'a NodeId,
        replacing: Option<&'a Claim>,
    ) -> Pending<'a, Claim> {
        Box::pin(async move { self.with(|tables, now| tables.claim(stream, node, replacing, now)) })
    }

    fn expect<'a>(
        &'a self,
        stream: &'a Key,
        node: &'a NodeId,
        ttl: Duration,
    ) -> Pending<'a, NodeId> {
        Box::pin(async move {
            self.with(|tables, now| tables.expect(stream, node, now.checked_add(ttl), now))
        })
    }

    fn hold<'a>(&'a self, streams: &'a [(Key, NodeId)]) -> Pending<'a, ()> {
        Box::pin(async move { self.with(|tables, now| tables.hold(streams, now)) })
    }

    fn release<'a>(&'a self, stream: &'a Key, node: &'a NodeId, idle: Duration) -> Pending<'a, ()> {
        Box::pin(async move {
            self.with(|tables, now| tables.release(stream, node, now.checked_add(idle), now));
            Ok(())
        })
    }

    fn forget<'a>(&'a self, stream: &'a Key, node: &'a NodeId) -> Pending<'a, ()> {
        Box::pin(async move {
            self.with(|tables, now| tables.forget(stream, node, now));
            Ok(())
        })
    }

    fn claims(&self, limit: usize) -> Pending<'_, Vec<(Key, NodeId)>> {
        let list = move |tables: &mut Tables, now: Instant| {
            let claims = tables.claims.iter(now).take(limit);
            claims
                .map(|(stream, claim)| (stream.clone(), claim.node.clone()))
                .collect()
        };
        Box::pin(async move { Ok(self.with(list)) })
    }

    fn put_routes<'a>(&'a self, values: &'a [(String, String)], ttl: Duration) -> Pending<'a, ()> {
        Box::pin(async move {
            self.with(|tables, now| tables.put_routes(values, now.checked_add(ttl), now))
        })
    }

    fn route<'a>(&'a self, key: &'a str) -> Pending<'a, Option<String>> {
        Box::pin(async move {
            Ok(self.with(|tables, now| {
                let value = tables.routes.get(key, now);
                value.map(|value| value.to_string())
            }))
        })
    }

    fn changed(&self, seen: u64) -> Pending<'_, u64> {
        Box::pin(Changed {
            memory: self,
            seen,
            number: None,
        })
    }
}
