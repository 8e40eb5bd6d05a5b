//! Cluster state in Redis, with exactly the keys, values and lifetimes of the SRS proxy.
//!
//! Owns: the connection to Redis and the form of what is kept there. Does not: choose nodes, cache, or try a failed call
//! again; it fails within its timeout, and the next call connects anew.
//!
//! What the SRS proxy knows is kept as that proxy keeps it, so that both may share one Redis:
//!
//! | Key | Lives | Value |
//! |---|---|---|
//! | `srs-proxy-server:<id>` | one lease | the node's record, JSON |
//! | `srs-proxy-all-servers` | for ever | JSON array of the records' keys, in order of arrival |
//! | `srs-proxy-url:<stream>` | while sessions live | the claim: the key of a record, as it is |
//! | `srs-proxy-<route>` | as asked | the route's value |
//!
//! What it does not know is under keys of our own: `weir-node:<id>` what the node reports of itself, `weir-drain:<id>`
//! the mark that it drains, `weir-expect:<stream>` where viewers wait. All keys start with the prefix and a colon, if
//! there is a prefix.
//!
//! Every change that depends on what is stored is one script on one key, so it is atomic over all proxies and works in a
//! Redis Cluster. Redis 6 or later tells of changes at once; with an older one `changed` never resolves.

#![forbid(unsafe_code)]

mod dial;
mod error;
mod link;
mod list;
mod names;
mod options;
mod record;
mod scan;
mod script;
mod state;
mod time;

pub use options::{ConnectError, Options, Server, UrlError};
pub use state::Redis;
