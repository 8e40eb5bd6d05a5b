//! Faults of a whole cluster: members that die, hang, leave and return under live streams, and clients that misbehave.
//!
//! Every test runs real processes. Streams are made of frames that name themselves, so that a lost, doubled or foreign
//! one is seen; what must be bounded in time is awaited, and how long it took is printed.

mod light;
mod origins;
mod peers;
mod placement;
mod proxies;
mod secrets;
mod state;
mod streams;

const BINARY: &str = env!("CARGO_BIN_EXE_weir");
