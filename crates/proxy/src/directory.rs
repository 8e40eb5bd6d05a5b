//! Where each stream is, and which origins there are: the proxy's picture of its cluster.
//!
//! Owns: the last good picture of nodes and claims, what this proxy sees of their health and load, and the decision
//! where a session goes. Does not: open sessions, or know how the state is kept.
//!
//! While the state is away, sessions go by what was last known, and new streams by a rendezvous on which all proxies
//! agree without talking. What changed meanwhile is written when the state is back.

mod admin;
mod condition;
mod holds;
mod known;
mod link;
mod metrics;
mod names;
mod options;
mod place;
mod probe;
mod roster;
mod tend;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use weir_cluster::{Claim, ClusterState, Key, Node, NodeId, Service};
use weir_net::clock;

pub use self::admin::{OriginState, OriginView};
pub use self::holds::StreamView;
pub use self::options::{DnsKind, DnsName, Options, StaticOrigin};

use self::condition::Condition;
use self::holds::Holds;
use self::known::Known;
use self::link::Link;
use self::metrics::Metrics;
use self::roster::{Picture, Roster};
use crate::sessions::Role;

/// The picture. Shared by all cores.
pub struct Directory {
    state: Arc<dyn ClusterState>,
    options: Options,
    clock: Box<dyn Fn() -> Instant + Send + Sync>,
    roster: Mutex<Roster>,
    picture: ArcSwap<Picture>,
    known: Known,
    holds: Holds,
    link: Link,
    metrics: Metrics,
    dice: AtomicU64,
    /// When the state was last asked for its nodes; locked while it is.
    refreshing: tokio::sync::Mutex<Option<Instant>>,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory")
            .field("state", &self.state)
            .field("streams", &self.holds.len())
            .finish_non_exhaustive()
    }
}

/// Where a session goes.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The origin.
    pub node: Arc<Node>,
    /// Its port for the service that was asked for.
    pub port: u16,
    /// The binding by which it was found; `None` for a viewer of a stream that nobody has published.
    pub claim: Option<Claim>,
}

/// Why there is nowhere to go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// No origin is alive that was not tried.
    #[error("no origin is available")]
    NoOrigin,
    /// All origins that are alive have as many sessions as they take.
    #[error("all origins are full")]
    Full,
    /// The origin of the stream does not serve what is asked for.
    #[error("origin {node} serves no {}", .service.name())]
    NotServed {
        /// The origin.
        node: NodeId,
        /// What it does not serve.
        service: Service,
    },
}

/// A session's share in a stream and its origin; dropping it says that the session has ended.
pub struct Hold {
    directory: Arc<Directory>,
    condition: Option<Arc<Condition>>,
    stream: Key,
    node: NodeId,
    role: Role,
    /// It was placed without a binding.
    waits: bool,
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold")
            .field("stream", &self.stream)
            .field("node", &self.node)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

impl Hold {
    /// Resolves when the stream that this viewer waits for is to be had: it is bound to another origin than its own, and
    /// that is well. Never resolves for a publisher, nor for a viewer of a stream that is bound to its origin: if such a stream
    /// is bound again, the old publisher may still be there. May be dropped and called again.
    pub async fn moved(&self) {
        if !self.waits {
            return std::future::pending().await;
        }
        loop {
            let (_, notify) = self.directory.holds.binding(&self.stream);
            let mut notified = std::pin::pin!(notify.notified());
            // from here on no change is missed, so look now
            notified.as_mut().enable();
            match self.directory.holds.binding(&self.stream).0 {
                Some(node) if node == self.node => std::future::pending().await,
                Some(node) if self.directory.usable(&node).is_some() => return,
                _ => notified.await,
            }
        }
    }
}

impl Hold {
    /// Resolves when the stream is bound to an origin to which sessions may go, be it this one's own. May be dropped and
    /// called again.
    pub async fn bound(&self) {
        loop {
            let (_, notify) = self.directory.holds.binding(&self.stream);
            let mut notified = std::pin::pin!(notify.notified());
            // from here on no change is missed, so look now
            notified.as_mut().enable();
            match self.directory.holds.binding(&self.stream).0 {
                Some(node) if self.directory.usable(&node).is_some() => return,
                _ => notified.await,
            }
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let directory = &self.directory;
        if !directory.holds.remove(&self.stream, &self.node, self.role) {
            directory.metrics.unreleased.inc();
        }
        if let Some(condition) = &self.condition {
            condition.closed();
        }
    }
}

impl Directory {
    /// A directory over `state`, with counters in `registry` under `cluster_`. It knows the static origins of `options`
    /// at once, and the others when [`run`](Self::run) has asked for them, or a session asks for one.
    pub fn new(
        state: Arc<dyn ClusterState>,
        options: Options,
        registry: &mut Registry,
    ) -> Arc<Self> {
        Self::with_clock(state, options, registry, clock::now)
    }

    /// A directory that goes by `clock`.
    fn with_clock(
        state: Arc<dyn ClusterState>,
        options: Options,
        registry: &mut Registry,
        clock: impl Fn() -> Instant + Send + Sync + 'static,
    ) -> Arc<Self> {
        let directory = Self {
            state,
            clock: Box::new(clock),
            roster: Mutex::default(),
            picture: ArcSwap::default(),
            known: Known::new(),
            holds: Holds::new(),
            link: Link::new(),
            metrics: Metrics::register(registry),
            dice: AtomicU64::new(options.seed),
            refreshing: tokio::sync::Mutex::new(None),
            options,
        };
        directory.fix_configured();
        Arc::new(directory)
    }

    /// The shared state, for what is kept there beside nodes and claims: the routes of sessions.
    pub fn state(&self) -> &Arc<dyn ClusterState> {
        &self.state
    }

    fn now(&self) -> Instant {
        (self.clock)()
    }

    /// Makes sessions see the roster as it is after `change`.
    fn change<T>(&self, change: impl FnOnce(&mut Roster) -> T) -> T {
        let mut roster = self.roster.lock();
        let result = change(&mut roster);
        let picture = roster.picture(&self.picture.load());
        self.picture.store(Arc::new(picture));
        result
    }

    /// Chooses the origin of `stream` for a session with `role`, among those that are not in `tried`.
    ///
    /// A publisher binds the stream; a viewer goes where it is bound, or waits where its publisher is most likely to
    /// come, without binding it. A publisher replaces a binding to an origin that is dead or was tried in vain; a viewer
    /// only one to an origin that is no longer registered, and otherwise waits likewise. Waits no longer than the state
    /// does.
    pub async fn place(
        &self,
        stream: &Key,
        role: Role,
        service: Service,
        tried: &[NodeId],
    ) -> Result<Placed, PlaceError> {
        let wish = place::Wish {
            stream,
            role,
            service,
            tried,
        };
        self.place_by(&wish).await
    }

    /// Counts a session of `stream` at `placed.node`, from the time it is open there to the drop of what is returned.
    pub fn hold(self: &Arc<Self>, stream: &Key, placed: &Placed, role: Role) -> Hold {
        let node = placed.node.id.clone();
        let condition = self.picture.load().get(&node).map(|origin| {
            origin.condition.opened();
            Arc::clone(&origin.condition)
        });
        // the last word about the stream, which may be newer than that by which the session was placed
        let claim = self.known.get(stream).or_else(|| placed.claim.clone());
        let unsure = placed.claim.as_ref().is_some_and(place::is_unseen) || !self.link.is_up();
        let claim = claim.map(|claim| (claim.node, unsure));
        let expect_due = self.now() + self.expect_refresh();
        self.holds.add(stream, &node, role, claim, expect_due);
        Hold {
            directory: Arc::clone(self),
            condition,
            stream: stream.clone(),
            node,
            role,
            waits: role != Role::Publish && placed.claim.is_none(),
        }
    }

    /// Says that `node` could not be connected to (`answered` false) or did not go on with the opening of a session in
    /// time. It is left alone until a probe finds it well.
    pub fn failed(&self, node: &NodeId, answered: bool) {
        let picture = self.picture.load();
        let Some(origin) = picture.get(node) else {
            return;
        };
        if origin.condition.failed(answered, self.now()) {
            let verdict = match answered {
                true => "suspect",
                false => "down",
            };
            tracing::warn!(origin = %node, verdict, "origin failed a session");
        }
    }

    /// Whether the stream is bound, be its origin well or not: somebody publishes it, or did until lately. Waits no longer
    /// than the state does, and goes by what is known here while that is away.
    pub async fn is_bound(&self, stream: &Key) -> bool {
        if self.link.is_up()
            && let Ok(found) = self.ask("find", self.state.find(stream)).await
        {
            return found.claim.is_some();
        }
        self.known.get(stream).is_some()
    }

    /// The origin with this id, if sessions may go to it.
    pub fn usable(&self, id: &NodeId) -> Option<Arc<Node>> {
        let picture = self.picture.load();
        let origin = picture.get(id).filter(|origin| origin.is_usable());
        origin.map(|origin| Arc::clone(&origin.node))
    }

    /// The origin with this id, if it is known, alive or not.
    pub fn node(&self, id: &NodeId) -> Option<Arc<Node>> {
        self.picture
            .load()
            .get(id)
            .map(|origin| Arc::clone(&origin.node))
    }
}
