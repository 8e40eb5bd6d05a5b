//! What a session has at hand on its core.
//!
//! Owns: [`Context`], the bundle of handles. Does not: do anything with them.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use weir_net::admission::{Admission, Admitted, Permit, Refusal};
use weir_net::cores::Core;
use weir_net::relay::Relay;

use crate::directory::Directory;
use crate::metrics::Metrics;
use crate::sessions::Sessions;
use crate::settings::Settings;

/// A core's handles for its sessions. Cheap to clone; stays on the core.
#[derive(Debug, Clone)]
pub struct Context {
    /// The core.
    pub core: Core,
    /// The core's mover of bytes.
    pub relay: Relay,
    /// Where streams are placed.
    pub directory: Arc<Directory>,
    /// The table of sessions.
    pub sessions: Arc<Sessions>,
    /// Who may open a session.
    pub admission: Admission,
    /// Counters.
    pub metrics: Arc<Metrics>,
    settings: Arc<ArcSwap<Settings>>,
}

impl Context {
    /// The bundle for one core.
    pub fn new(
        core: Core,
        relay: Relay,
        directory: Arc<Directory>,
        sessions: Arc<Sessions>,
        admission: Admission,
        metrics: Arc<Metrics>,
        settings: Arc<ArcSwap<Settings>>,
    ) -> Self {
        Self {
            core,
            relay,
            directory,
            sessions,
            admission,
            metrics,
            settings,
        }
    }

    /// The settings in force now; a session keeps those it began with.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// Decides on a connection of `protocol` from `client`, and counts a refusal. `None` closes it unanswered; with a
    /// [`Refusal`] it is told why it is not served.
    pub fn admit(
        &self,
        protocol: &'static str,
        client: SocketAddr,
    ) -> Option<(Permit, Option<Refusal>)> {
        let (permit, refusal) = match self.admission.admit(client.ip()) {
            Admitted::Serve(permit) => return Some((permit, None)),
            Admitted::Refuse(refusal, permit) => (Some(permit), refusal),
            Admitted::Drop(refusal) => (None, refusal),
        };
        self.metrics.refused(protocol, refusal.label());
        if permit.is_none() {
            tracing::debug!(%client, reason = %refusal, "connection dropped");
        }
        Some((permit?, Some(refusal)))
    }
}
