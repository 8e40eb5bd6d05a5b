//! The signals that ask a process to end.
//!
//! Owns: which signals those are, and what counts as a second one. Does not: act on them.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The same signal within this time of the first is the first: wrappers such as `timeout` send theirs to the process and
/// to its group.
const SAME_SIGNAL: Duration = Duration::from_millis(200);

/// SIGTERM and SIGINT.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from here on. Fails when the handlers cannot be set.
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Resolves with the name of the next signal.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Resolves with the name of a signal that is meant as another than `first`, which has just come.
    pub(crate) async fn second(&mut self, first: &str) -> &'static str {
        let mut settled = std::pin::pin!(tokio::time::sleep(SAME_SIGNAL));
        loop {
            tokio::select! {
                () = settled.as_mut() => return self.next().await,
                name = self.next() => if name != first {
                    return name;
                },
            }
        }
    }
}
