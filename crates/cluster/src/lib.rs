//! State of a cluster of independent nodes: who is there, which stream is placed where, which session belongs where.
//!
//! Owns: the value types ([`Node`], [`Key`], [`Claim`]), the trait [`ClusterState`] with its rules, the backend in memory
//! ([`memory`]), the choice of a node ([`placement`]) and the suite that every backend must pass (`conformance`, behind
//! the feature of that name).
//! Does not: speak a protocol, open sockets, keep timers or know where a backend keeps its data.
//!
//! A node holds a lease and is gone when it ends. A claim binds a stream to one node: the first to claim wins, and
//! whoever replaces a claim must name the one it replaces. A route binds a session to where it began, under a key that
//! means nothing here.

#![forbid(unsafe_code)]

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod endpoint;
mod key;
pub mod memory;
mod node;
pub mod placement;
mod state;

pub use endpoint::{Endpoint, EndpointError};
pub use key::{InvalidKey, Key, MAX_KEY_BYTES};
pub use node::{Endpoints, Load, Node, NodeId, Report, Service};
pub use state::{Claim, ClusterState, Found, Pending, StateError};
