//! The table of sessions: who is connected, since when, doing what.
//!
//! Owns: ids, counters of bytes, and the wish that a session ends. Does not: end it; the gate's task sees the wish
//! and closes in its protocol's words.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use weir_media::{SessionId, StreamKey};

/// Why a session was asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// An operator asked for it.
    Kicked,
    /// Another publisher took over the stream.
    TakenOver,
}

impl EndReason {
    /// The word in logs and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Kicked => "kicked",
            Self::TakenOver => "taken_over",
        }
    }
}

/// What a session does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionRole {
    /// It has connected and not said yet.
    Opening,
    /// It publishes.
    Publisher,
    /// It plays.
    Player,
}

/// What a session has told of itself.
#[derive(Debug, Clone)]
pub struct Activity {
    /// What it does.
    pub role: SessionRole,
    /// The stream it does it with.
    pub stream: Option<StreamKey>,
    /// The software at the other end, as it names itself; empty when it does not.
    pub agent: String,
    /// The session's name at the proxy it came through, as the proxy says; empty when there is none.
    pub via: String,
}

/// Longest name that a peer gives, in bytes; more is cut.
const NAME_MOST: usize = 128;

/// One connection's entry in the table.
#[derive(Debug)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The protocol, such as `rtmp` or `http-flv`.
    pub protocol: &'static str,
    /// The other end.
    pub peer: SocketAddr,
    /// When it connected.
    pub since: Instant,
    /// When it connected, for people.
    pub since_wallclock: SystemTime,
    /// Bytes received.
    pub bytes_in: AtomicU64,
    /// Bytes sent.
    pub bytes_out: AtomicU64,
    activity: Mutex<Activity>,
    ending: Mutex<Ending>,
}

#[derive(Debug, Default)]
struct Ending {
    reason: Option<EndReason>,
    waker: Option<Waker>,
}

/// The text up to [`NAME_MOST`] bytes, cut between characters.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(NAME_MOST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

impl Session {
    /// What it does.
    pub fn activity(&self) -> Activity {
        self.activity.lock().clone()
    }

    /// Notes what it does now.
    pub fn set_activity(&self, role: SessionRole, stream: Option<StreamKey>) {
        let mut activity = self.activity.lock();
        activity.role = role;
        activity.stream = stream;
    }

    /// Notes the software at the other end; cut to 128 bytes.
    pub fn set_agent(&self, agent: &str) {
        cut(agent).clone_into(&mut self.activity.lock().agent);
    }

    /// Notes the session's name at the proxy it came through; cut to 128 bytes.
    pub fn set_via(&self, via: &str) {
        cut(via).clone_into(&mut self.activity.lock().via);
    }

    /// Asks the session to end; the first reason stays.
    pub fn end(&self, reason: EndReason) {
        let waker = {
            let mut ending = self.ending.lock();
            ending.reason.get_or_insert(reason);
            ending.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether the session was asked to end, and why; for those who have no task that waits.
    pub fn ending(&self) -> Option<EndReason> {
        self.ending.lock().reason
    }

    /// Resolves when the session was asked to end. One task may wait.
    pub fn kicked(&self) -> Kicked<'_> {
        Kicked { session: self }
    }
}

/// The future of [`Session::kicked`].
#[derive(Debug)]
pub struct Kicked<'a> {
    session: &'a Session,
}

impl Future for Kicked<'_> {
    type Output = EndReason;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<EndReason> {
        let mut ending = self.session.ending.lock();
        if let Some(reason) = ending.reason {
            return Poll::Ready(reason);
        }
        if !ending
            .waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(context.waker()))
        {
            ending.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

/// The process's table of sessions.
#[derive(Debug)]
pub struct Sessions {
    next: AtomicU64,
    table: Mutex<BTreeMap<SessionId, Arc<Session>>>,
}

impl Sessions {
    /// An empty table. Ids begin at a number taken from `wallclock`, so that those of a restarted process differ from
    /// those in yesterday's logs.
    pub fn new(wallclock: SystemTime) -> Self {
        let seconds = wallclock
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        // 2^16 ids for each second that the process before this one ran
        Self {
            next: AtomicU64::new(seconds << 16),
            table: Mutex::default(),
        }
    }

    /// Enters a new connection.
    pub fn open(
        &self,
        protocol: &'static str,
        peer: SocketAddr,
        now: Instant,
        wallclock: SystemTime,
    ) -> Arc<Session> {
        let session = Arc::new(Session {
            id: SessionId(self.next.fetch_add(1, Ordering::Relaxed)),
            protocol,
            peer,
            since: now,
            since_wallclock: wallclock,
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            activity: Mutex::new(Activity {
                role: SessionRole::Opening,
                stream: None,
                agent: String::new(),
                via: String::new(),
            }),
            ending: Mutex::default(),
        });
        self.table.lock().insert(session.id, Arc::clone(&session));
        session
    }

    /// Strikes a connection off.
    pub fn close(&self, id: SessionId) {
        self.table.lock().remove(&id);
    }

    /// The session with this id.
    pub fn find(&self, id: SessionId) -> Option<Arc<Session>> {
        self.table.lock().get(&id).cloned()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.lock().len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many players each stream has, by protocol.
    pub fn players(&self) -> HashMap<StreamKey, BTreeMap<&'static str, u64>> {
        let mut players: HashMap<StreamKey, BTreeMap<&'static str, u64>> = HashMap::new();
        // the table is not held while each session is looked at
        for session in self.page(0, usize::MAX) {
            let activity = session.activity.lock();
            if activity.role != SessionRole::Player {
                continue;
            }
            let Some(key) = &activity.stream else {
                continue;
            };
            // a key is cloned once for a stream, not for each viewer
            let counts = match players.get_mut(key) {
                Some(counts) => counts,
                None => players.entry(key.clone()).or_default(),
            };
            *counts.entry(session.protocol).or_default() += 1;
        }
        players
    }

    /// A page of the table in order of id: at most `count` sessions after the first `skip`.
    pub fn page(&self, skip: usize, count: usize) -> Vec<Arc<Session>> {
        self.table
            .lock()
            .values()
            .skip(skip)
            .take(count)
            .cloned()
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests need some instant")]
mod tests {
    use super::*;

    fn table() -> (Sessions, SocketAddr) {
        (
            Sessions::new(UNIX_EPOCH),
            "127.0.0.1:9".parse().expect("an address"),
        )
    }

    #[test]
    fn ids_go_up_and_entries_go() {
        let (sessions, peer) = table();
        let first = sessions.open("rtmp", peer, Instant::now(), UNIX_EPOCH);
        let second = sessions.open("rtmp", peer, Instant::now(), UNIX_EPOCH);
        assert!(first.id < second.id);
        assert_eq!(sessions.page(1, 9).len(), 1);
        sessions.close(first.id);
        assert!(sessions.find(first.id).is_none());
        assert_eq!(sessions.len(), 1);
    }

    #[test]
    fn players_are_counted_by_stream_and_protocol() {
        let (sessions, peer) = table();
        let key = |name: &str| {
            let name = weir_media::StreamName(name);
            StreamKey::new(weir_media::Vhost("v"), weir_media::AppName("live"), name)
                .expect("a key")
        };
        let enter = |protocol, role, name: Option<&str>| {
            let session = sessions.open(protocol, peer, Instant::now(), UNIX_EPOCH);
            session.set_activity(role, name.map(key));
        };
        enter("rtmp", SessionRole::Publisher, Some("a"));
        enter("rtmp", SessionRole::Player, Some("a"));
        enter("hls", SessionRole::Player, Some("a"));
        enter("hls", SessionRole::Player, Some("a"));
        enter("hls", SessionRole::Player, Some("b"));
        enter("http-flv", SessionRole::Opening, None);
        let players = sessions.players();
        let counts = |name| players.get(&key(name)).cloned().unwrap_or_default();
        assert_eq!(counts("a"), BTreeMap::from([("hls", 2), ("rtmp", 1)]));
        assert_eq!(counts("b"), BTreeMap::from([("hls", 1)]));
        assert_eq!(players.len(), 2);
    }

    #[test]
    fn the_first_reason_to_end_stays_and_wakes() {
        let (sessions, peer) = table();
        let session = sessions.open("rtmp", peer, Instant::now(), UNIX_EPOCH);
        let mut kicked = session.kicked();
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut kicked).poll(&mut context).is_pending());
        session.end(EndReason::TakenOver);
        session.end(EndReason::Kicked);
        assert_eq!(
            Pin::new(&mut kicked).poll(&mut context),
            Poll::Ready(EndReason::TakenOver)
        );
    }

    #[test]
    fn a_long_agent_is_cut_at_a_character() {
        let (sessions, peer) = table();
        let session = sessions.open("rtmp", peer, Instant::now(), UNIX_EPOCH);
        session.set_agent(&"é".repeat(100));
        assert_eq!(session.activity().agent, "é".repeat(64));
    }
}
