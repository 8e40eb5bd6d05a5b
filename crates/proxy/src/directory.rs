//! Where each stream is, and which origins there are: the proxy's picture of its cluster.
//!
//! Owns: the last good picture of nodes and claims, what this proxy sees of their health and load, and the decision
//! where a session goes. Does not: open sessions, or know how the state is kept.

use std::fmt;
use std::sync::Arc;

use weir_cluster::{Claim, Key, Node, NodeId, Service};

use crate::sessions::Role;

/// The picture. Shared by all cores.
#[derive(Debug)]
pub struct Directory {}

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
pub struct Hold {}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").finish_non_exhaustive()
    }
}

impl Directory {
    /// Chooses the origin of `stream` for a session with `role`, among those that are not in `tried`.
    ///
    /// A publisher binds the stream; a viewer goes where it is bound, or waits where its publisher is most likely to
    /// come, without binding it. A binding to an origin that is dead or was tried in vain is replaced.
    pub async fn place(
        &self,
        stream: &Key,
        role: Role,
        service: Service,
        tried: &[NodeId],
    ) -> Result<Placed, PlaceError> {
        let _ = (stream, role, service, tried);
        Err(PlaceError::NoOrigin)
    }

    /// Counts a session of `stream` at `placed.node`, from the time it is open there to the drop of what is returned.
    pub fn hold(self: &Arc<Self>, stream: &Key, placed: &Placed, role: Role) -> Hold {
        let _ = (stream, placed, role);
        Hold {}
    }

    /// Says that `node` could not be connected to (`answered` false) or did not go on with the opening of a session in
    /// time. It is left alone until a probe finds it well.
    pub fn failed(&self, node: &NodeId, answered: bool) {
        let _ = (node, answered);
    }

    /// The origin with this id, if it is known, alive or not.
    pub fn node(&self, id: &NodeId) -> Option<Arc<Node>> {
        let _ = id;
        None
    }
}
