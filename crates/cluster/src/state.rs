//! What every backend can do.
//!
//! Owns: the trait [`ClusterState`], whose rules the conformance suite holds, and its error. Does not: cache, retry or
//! probe (the proxy's directory does).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::key::Key;
use crate::node::{Node, NodeId};

/// What a call of a backend gives: its answer, later.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StateError>> + Send + 'a>>;

/// Why the state could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The store is away or does not answer in time; trying again is safe. Serve from what is known.
    #[error("cluster state is unavailable: {0}")]
    Unavailable(String),
    /// The store refuses what is asked: wrong password, read-only, out of memory. Trying again is safe.
    #[error("cluster state refuses: {0}")]
    Refused(String),
    /// What is stored under a key is not what belongs there.
    #[error("cluster state holds garbage under {key}: {why}")]
    Garbage {
        /// The store's name for the place.
        key: String,
        /// What is wrong.
        why: String,
    },
    /// A bound of the backend is reached.
    #[error("cluster state is full: {0}")]
    Full(&'static str),
}

/// A stream's binding to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Where the stream is.
    pub node: NodeId,
    /// Told apart from earlier and later claims of the same stream. Two claims of the same stream with the same node
    /// may have the same epoch; with different nodes they never do.
    pub epoch: u64,
}

/// What is known of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The claim in force; `None` when nobody has published the stream, or it was forgotten.
    pub claim: Option<Claim>,
    /// Where viewers wait for the stream without a claim.
    pub expected: Option<NodeId>,
}

/// The shared state of a cluster. All proxies of a cluster use one.
///
/// Calls may come from any thread at the same time. No call waits longer than the backend's own limit (seconds): it
/// then fails with [`StateError::Unavailable`]. A call that failed may have taken effect.
pub trait ClusterState: fmt::Debug + Send + Sync {
    /// Takes or refreshes a node's record; it is in force for the lease time of the backend. The same id replaces the
    /// record with all its fields.
    fn register<'a>(&'a self, node: &'a Node) -> Pending<'a, ()>;

    /// Strikes a node off, if it is there. Claims that name it stay, for whoever replaces them.
    fn leave<'a>(&'a self, id: &'a NodeId) -> Pending<'a, ()>;

    /// Says that a node gets no new streams, or gets them again, whatever it reports itself; remembered for as long as
    /// the node registers. Nodes of [`nodes`](Self::nodes) are draining if they say so or were told so.
    fn drain<'a>(&'a self, id: &'a NodeId, draining: bool) -> Pending<'a, ()>;

    /// Nodes whose lease runs, in order of arrival.
    fn nodes(&self) -> Pending<'_, Vec<Node>>;

    /// What is known of a stream.
    fn find<'a>(&'a self, stream: &'a Key) -> Pending<'a, Found>;

    /// Binds `stream` to `node` if no claim is in force other than `replacing`; gives the claim in force afterwards,
    /// which is another's if that one was first. Atomic over all users of the state. The new claim does not
    /// expire until [`release`](Self::release).
    fn claim<'a>(
        &'a self,
        stream: &'a Key,
        node: &'a NodeId,
        replacing: Option<&'a Claim>,
    ) -> Pending<'a, Claim>;

    /// Notes that viewers wait for `stream` at `node`, for `ttl`; gives the node where they wait, which is another if
    /// somebody noted that first. Refreshes the time if it is the same.
    fn expect<'a>(
        &'a self,
        stream: &'a Key,
        node: &'a NodeId,
        ttl: Duration,
    ) -> Pending<'a, NodeId>;

    /// Says that sessions of these streams live: their claims do not expire, and one that is missing is written
    /// again. Claims that are in force with another node are left as they are.
    fn hold<'a>(&'a self, streams: &'a [(Key, NodeId)]) -> Pending<'a, ()>;

    /// Says that this user has no session of `stream` any more: its claim, if it still names `node`, expires `idle`
    /// from now unless somebody holds it.
    fn release<'a>(&'a self, stream: &'a Key, node: &'a NodeId, idle: Duration) -> Pending<'a, ()>;

    /// Strikes the claim of `stream` off, if it names `node`.
    fn forget<'a>(&'a self, stream: &'a Key, node: &'a NodeId) -> Pending<'a, ()>;

    /// Claims in force, at most `limit` of them, in no order.
    fn claims(&self, limit: usize) -> Pending<'_, Vec<(Key, NodeId)>>;

    /// Keeps `values` (key and value each) for `ttl`, replacing what was there. A route's key means nothing here; a
    /// backend may use it as part of its own key as it is.
    fn put_routes<'a>(&'a self, values: &'a [(String, String)], ttl: Duration) -> Pending<'a, ()>;

    /// The value kept under a route's key, if its time has not run out.
    fn route<'a>(&'a self, key: &'a str) -> Pending<'a, Option<String>>;

    /// Resolves when the set of nodes may have changed since the version `seen`, with the version of now; 0 is a version
    /// that nothing has. May resolve without a change. A backend that cannot tell never resolves.
    fn changed(&self, seen: u64) -> Pending<'_, u64>;
}
