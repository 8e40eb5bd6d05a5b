//! The clock of this tool.
//!
//! Owns: the one place that reads it. Does not: know what the time is for.

use std::time::Instant;

/// Now.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this tool that reads the clock; it shares none with the server"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
