//! The fan-out: one loop per core that gives its viewers what the shared logs have.
//!
//! Owns: connections to viewers ([`Conn`]), the viewers of this core grouped by stream and format ([`Fanout`],
//! [`Viewer`]), and when a group is served: at once, at a fixed beat, or as seldom as the load demands.
//! Does not: know a protocol or parse anything; a gate hands over a connection that has been told what to expect.
//!
//! Nothing is queued, copied or allocated for a viewer: it is a cursor into the core's mirror of the log, and at most
//! one piece that its socket took half of. A viewer's task sleeps; it wakes only to read what the viewer says, or
//! when its socket was full and has room again.

#![forbid(unsafe_code)]

mod conn;
mod group;
mod metrics;
mod pace;
mod turn;

pub use conn::{Closed, Conn};
pub use metrics::Metrics;
pub use turn::{Fanout, Viewer, Watching};
