//! What a gate has at hand on its core.
//!
//! Owns: [`Gate`], the bundle of handles, and the settings all gates obey. Does not: do anything with them.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use weir_fanout::Fanout;
use weir_hub::{Hub, Publisher};
use weir_media::SessionId;
use weir_net::admission::{Admission, Admitted, Permit, Refusal};
use weir_net::cores::Core;

use crate::ingest::Ingest;
use crate::metrics::Metrics;
use crate::pace::{Load, ReadPace, Tick};

/// What one read takes at most: about a socket buffer's worth, and small enough for the core's cache.
const READ_BYTES: usize = 64 << 10;

/// Settings of all gates; they can change under way, for sessions that begin later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Host names that are virtual hosts of their own.
    pub vhosts: Vec<String>,
    /// How long a viewer waits for a stream that nobody publishes; zero refuses at once.
    pub play_wait: Duration,
    /// A viewer whose socket takes nothing for this long is closed.
    pub write_timeout: Duration,
    /// A publisher that sends nothing for this long is closed.
    pub publish_idle: Duration,
    /// Longest message or tag accepted, in bytes.
    pub max_message_bytes: u32,
    /// Time for an RTMP connection to say who it is: the handshake, and again `connect`.
    pub handshake: Duration,
    /// Time for an HTTP connection to send the head of a request, from its beginning or from the answer before.
    pub request: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            vhosts: Vec::new(),
            play_wait: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            publish_idle: Duration::from_secs(30),
            max_message_bytes: 8 << 20,
            handshake: Duration::from_secs(10),
            request: Duration::from_secs(10),
        }
    }
}

/// A core's read buffer, shared by its sessions.
pub type Scratch = Rc<RefCell<Box<[u8]>>>;

/// A core's handles for its gates. Cheap to clone; stays on the core.
#[derive(Debug, Clone)]
pub struct Gate {
    /// The core.
    pub core: Core,
    /// The streams and sessions.
    pub hub: Arc<Hub>,
    /// The core's fan-out.
    pub fanout: Fanout,
    /// Who may open a session.
    pub admission: Admission,
    /// The counters of gates.
    pub metrics: Arc<Metrics>,
    settings: Arc<ArcSwap<Settings>>,
    scratch: Scratch,
    publishers: Rc<Cell<usize>>,
}

impl Gate {
    /// The bundle for one core.
    pub fn new(
        core: Core,
        hub: Arc<Hub>,
        fanout: Fanout,
        admission: Admission,
        metrics: Arc<Metrics>,
        settings: Arc<ArcSwap<Settings>>,
    ) -> Self {
        let scratch = Rc::new(RefCell::new(vec![0; READ_BYTES].into_boxed_slice()));
        Self {
            core,
            hub,
            fanout,
            admission,
            metrics,
            settings,
            scratch,
            publishers: Rc::default(),
        }
    }

    /// The settings in force now.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// The core's read buffer, shared by its sessions: borrow it for one read and what follows from it, never across
    /// an await.
    pub fn scratch(&self) -> Scratch {
        Rc::clone(&self.scratch)
    }

    /// Decides on a connection of `protocol` from `peer`, and counts a refusal. `None` closes it unanswered; with a
    /// [`Refusal`] it is told why it is not served.
    pub fn admit(
        &self,
        protocol: &'static str,
        peer: SocketAddr,
    ) -> Option<(Permit, Option<Refusal>)> {
        let (permit, refusal) = match self.admission.admit(peer.ip()) {
            Admitted::Serve(permit) => return Some((permit, None)),
            Admitted::Refuse(refusal, permit) => (Some(permit), refusal),
            Admitted::Drop(refusal) => (None, refusal),
        };
        self.metrics.refused(protocol, refusal.label());
        if permit.is_none() {
            tracing::debug!(%peer, reason = %refusal, "connection dropped");
        }
        Some((permit?, Some(refusal)))
    }

    /// Takes messages for `publisher` on behalf of `session`.
    pub fn ingest(&self, publisher: Publisher, session: SessionId, now: Instant) -> Ingest {
        Ingest::new(publisher, session, Rc::clone(&self.publishers), now)
    }

    /// What to do before the next read from a publisher, after one that took `drained` bytes.
    pub fn read_tick(
        &self,
        pace: &mut ReadPace,
        now: Instant,
        drained: usize,
        watched: bool,
    ) -> Tick {
        let load = Load {
            watched,
            publishers: self.publishers.get(),
            latency: self.hub.settings().latency,
        };
        pace.next(now, drained, load)
    }
}
