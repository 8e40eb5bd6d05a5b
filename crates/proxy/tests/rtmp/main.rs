//! RTMP through the proxy, over real sockets, with origins that do what a test wants.
//!
//! Each test names the statement it holds in its documentation where `docs/conformance.md` has one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod faults;
mod forwarding;
mod origin;
mod placing;
mod proxy;
