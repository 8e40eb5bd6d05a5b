//! The table of sessions.
//!
//! Owns: [`Sessions`], one [`Session`] for each connection that is served, its counters and its closing line. Does
//! not: end sessions.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use parking_lot::Mutex;
use weir_cluster::{Key, NodeId};
use weir_net::admission::Permit;
use weir_net::clock;
use weir_net::relay::Counters;

use crate::metrics::{Metrics, Protocol};

/// What a session does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// It has not said yet.
    #[default]
    Opening,
    /// It sends a stream.
    Publish,
    /// It receives one.
    Play,
}

impl Role {
    /// Its name in listings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Publish => "publish",
            Self::Play => "play",
        }
    }
}

/// The name of a session in all logs, listings and at the origin: eight letters and digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(u64);

impl Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0 & 0xffff_ffff)
    }
}

/// One session, as others see it.
#[derive(Debug)]
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// `rtmp`, `rtmps`, `http` or `https`.
    pub protocol: &'static str,
    /// The client's real address, as far as it is known.
    pub client: SocketAddr,
    /// When it began.
    pub since: SystemTime,
    began: Instant,
    about: Mutex<About>,
    /// Bytes from the client to the origin.
    pub up: AtomicU64,
    /// Bytes from the origin to the client.
    pub down: AtomicU64,
}

/// What becomes known in the course of the opening.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// What it does.
    pub role: Role,
    /// The stream it is about.
    pub stream: Option<Key>,
    /// The origin that serves it.
    pub node: Option<NodeId>,
    /// How bytes are moved, such as `splice`.
    pub path: &'static str,
}

impl Session {
    /// What is known by now.
    pub fn about(&self) -> About {
        self.about.lock().clone()
    }

    /// Notes what became known.
    pub fn note(&self, change: impl FnOnce(&mut About)) {
        change(&mut self.about.lock());
    }

    /// How long it has been there.
    pub fn age(&self) -> std::time::Duration {
        clock::now().saturating_duration_since(self.began)
    }
}

impl Counters for Session {
    fn up(&self) -> &AtomicU64 {
        &self.up
    }

    fn down(&self) -> &AtomicU64 {
        &self.down
    }
}

/// All sessions of the process.
#[derive(Debug)]
pub struct Sessions {
    table: Mutex<HashMap<SessionId, Arc<Session>>>,
    next: AtomicU64,
    /// What sessions that are over moved, to origins and to clients. Changed with the table locked, so that who adds up
    /// all bytes finds each session once.
    over: (AtomicU64, AtomicU64),
    metrics: Arc<Metrics>,
}

impl Sessions {
    /// An empty table. `seed` makes the names of sessions differ between proxies and runs.
    pub fn new(metrics: Arc<Metrics>, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::default(),
            next: AtomicU64::new(seed),
            over: Default::default(),
            metrics,
        })
    }

    /// Enters a connection. It leaves the table when what is returned is dropped.
    pub fn open(
        self: &Arc<Self>,
        protocol: &'static str,
        client: SocketAddr,
        permit: Permit,
    ) -> Opened {
        let id = SessionId(self.next.fetch_add(1, Ordering::Relaxed) & 0xffff_ffff);
        let session = Arc::new(Session {
            id,
            protocol,
            client,
            since: clock::wallclock(),
            began: clock::now(),
            about: Mutex::default(),
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
        });
        self.table.lock().insert(id, Arc::clone(&session));
        let labels = Protocol { protocol };
        self.metrics.sessions.get_or_create(&labels).inc();
        Opened {
            session,
            sessions: Arc::clone(self),
            reason: "ended",
            detail: String::new(),
            quiet: false,
            _permit: permit,
        }
    }

    /// Bytes that all sessions have moved, those that are over included: to origins, and to clients.
    pub fn moved(&self) -> (u64, u64) {
        let table = self.table.lock();
        let (up, down) = &self.over;
        let over = (up.load(Ordering::Relaxed), down.load(Ordering::Relaxed));
        table.values().fold(over, |(up, down), session| {
            (
                up.saturating_add(session.up.load(Ordering::Relaxed)),
                down.saturating_add(session.down.load(Ordering::Relaxed)),
            )
        })
    }

    /// Sessions that ended by a fault.
    pub fn faults(&self) -> u64 {
        self.metrics.faults.get()
    }

    /// Sessions that are open.
    pub fn len(&self) -> usize {
        self.table.lock().len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.table.lock().is_empty()
    }

    /// Those that are open, oldest first.
    pub fn list(&self) -> Vec<Arc<Session>> {
        let mut all: Vec<_> = self.table.lock().values().cloned().collect();
        all.sort_by_key(|session| (session.since, session.id.0));
        all
    }
}

/// A session in the table. Dropping it strikes it off, counts, and writes the closing line.
#[derive(Debug)]
pub struct Opened {
    session: Arc<Session>,
    sessions: Arc<Sessions>,
    reason: &'static str,
    detail: String,
    quiet: bool,
    _permit: Permit,
}

impl Opened {
    /// The entry.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Says why it ends: `reason` from a fixed list, and details for the log. The last word counts.
    pub fn because(&mut self, reason: &'static str, detail: impl Display) {
        self.reason = reason;
        self.detail = detail.to_string();
    }

    /// Leaves the closing line out of the log unless debugging: it came and went without asking for anything.
    pub fn keep_quiet(&mut self) {
        self.quiet = true;
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let session = &self.session;
        {
            let mut table = self.sessions.table.lock();
            table.remove(&session.id);
            let (up, down) = &self.sessions.over;
            up.fetch_add(session.up.load(Ordering::Relaxed), Ordering::Relaxed);
            down.fetch_add(session.down.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        let protocol = session.protocol;
        let metrics = &self.sessions.metrics;
        metrics.sessions.get_or_create(&Protocol { protocol }).dec();
        let reason = self.reason;
        metrics.ended(protocol, reason);
        let (up, down) = (
            session.up.load(Ordering::Relaxed),
            session.down.load(Ordering::Relaxed),
        );
        metrics
            .bytes_up
            .get_or_create(&Protocol { protocol })
            .inc_by(up);
        metrics
            .bytes_down
            .get_or_create(&Protocol { protocol })
            .inc_by(down);
        let about = session.about();
        let stream = about.stream.as_ref().map_or("", Key::as_str);
        let origin = about.node.as_ref().map_or("", NodeId::as_str);
        let seconds = session.age().as_secs_f64();
        let (id, client, role) = (session.id, session.client, about.role.name());
        let (path, detail) = (about.path, self.detail.as_str());
        match self.quiet {
            true => tracing::debug!(
                session = %id, protocol, %client, reason, detail, "connection closed"
            ),
            false => tracing::info!(
                session = %id, protocol, %client, role, stream, origin, path,
                bytes_up = up, bytes_down = down, seconds, reason, detail, "session closed"
            ),
        }
    }
}
