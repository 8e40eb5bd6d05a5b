//! A session's entry in the table, and its closing line.
//!
//! Owns: opening and closing the entry, the counters that go with it, and the orderly end of a connection. Does not:
//! end sessions by itself.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use weir_fanout::Conn;
use weir_hub::{Hub, Session, SessionRole};
use weir_net::admission::Permit;
use weir_net::clock;
use weir_net::socket::Socket;

use crate::context::Gate;
use crate::metrics::{Metrics, Protocol};

/// How long the last words to a peer may take, and how long it may take to close in turn.
///
/// A refusal must reach the peer: closing at once would reset the connection and throw the words away.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A session in the table. Dropping it strikes it off and writes the closing line.
#[derive(Debug)]
pub struct Opened {
    session: Arc<Session>,
    hub: Arc<Hub>,
    metrics: Arc<Metrics>,
    reason: &'static str,
    detail: String,
    quiet: bool,
    _permit: Permit,
}

impl Opened {
    /// Enters a connection.
    pub fn new(gate: &Gate, protocol: &'static str, peer: SocketAddr, permit: Permit) -> Self {
        let now = clock::now();
        let session = gate
            .hub
            .sessions()
            .open(protocol, peer, now, clock::wallclock());
        gate.metrics
            .sessions
            .get_or_create(&Protocol { protocol })
            .inc();
        tracing::debug!(session = %session.id, protocol, %peer, "session opened");
        Self {
            session,
            hub: Arc::clone(&gate.hub),
            metrics: Arc::clone(&gate.metrics),
            reason: "aborted",
            detail: String::new(),
            quiet: false,
            _permit: permit,
        }
    }

    /// The entry.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Notes bytes read from the socket.
    pub fn received(&self, count: usize) {
        self.session
            .bytes_in
            .fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Says why the session ends: a word of a fixed list for metrics, and the details for the log. The last call
    /// counts; without one the reason is `aborted`.
    pub fn end(&mut self, reason: &'static str, detail: impl Display) {
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
        self.hub.sessions().close(session.id);
        let protocol = session.protocol;
        let bytes_in = session.bytes_in.load(Ordering::Relaxed);
        self.metrics
            .sessions
            .get_or_create(&Protocol { protocol })
            .dec();
        self.metrics
            .received
            .get_or_create(&Protocol { protocol })
            .inc_by(bytes_in);
        self.metrics.ended(protocol, self.reason);
        let activity = session.activity();
        let bytes_out = session.bytes_out.load(Ordering::Relaxed);
        macro_rules! closing_line {
            ($level:ident) => {
                tracing::$level!(
                    session = %session.id,
                    protocol,
                    peer = %session.peer,
                    role = match activity.role {
                        SessionRole::Opening => "none",
                        SessionRole::Publisher => "publisher",
                        SessionRole::Player => "player",
                    },
                    stream = activity.stream.as_ref().map_or("", |key| key.as_str()),
                    agent = activity.agent,
                    via = activity.via,
                    bytes_in,
                    bytes_out,
                    seconds = clock::now().saturating_duration_since(session.since).as_secs_f64(),
                    reason = self.reason,
                    detail = self.detail,
                    "session ended"
                )
            };
        }
        // whoever connects to see that somebody listens, as proxies and balancers do every second, says nothing
        if self.quiet || (bytes_in == 0 && bytes_out == 0) {
            closing_line!(debug);
        } else {
            closing_line!(info);
        }
    }
}

/// Ends a connection so that the peer gets the last words: flushes, closes our direction, and reads until the peer
/// closes or `LAST_WORDS` have passed.
pub async fn close_gently(conn: &Conn) {
    let ending = async {
        while !conn.flush(clock::now()) {
            if conn.closed().is_some() || conn.socket().writable().await.is_err() {
                return;
            }
        }
        conn.socket().shut_down_write();
        discard(conn.socket()).await;
    };
    let _ = tokio::time::timeout(LAST_WORDS, ending).await;
}

async fn discard(socket: &Socket) {
    // on the heap: an array would be part of every session's future
    let mut buffer = vec![0; 4096];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if socket.readable().await.is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}
