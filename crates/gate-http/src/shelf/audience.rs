//! Who watches by files: clients of HLS and DASH ask again and again, on connections that come and go.
//!
//! Owns: telling them apart, as far as that can be done without giving each an address of its own, and their entries in
//! the table of sessions, so that they are counted, listed and sent away like other viewers. Does not: decide who may
//! watch.
//!
//! A viewer is an address and a software: two people behind one address with the same player count as one. A session
//! id in every address would tell them apart, and make every cache useless.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use weir_hub::{Hub, Session, SessionRole};
use weir_media::StreamKey;
use weir_net::clock;

/// A viewer that asks for nothing for this long has gone. Players ask at least once a target duration, which is ten
/// seconds at the most, and may pause for one.
const GONE_AFTER: Duration = Duration::from_secs(20);

/// How long one who was sent away stays away, from the last attempt on.
const AWAY: Duration = Duration::from_secs(60);

/// Most viewers of a stream that are told apart. More are served, and counted no further.
const MOST_VIEWERS: usize = 20_000;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who<'a> {
    /// `hls` or `dash`.
    pub(crate) protocol: &'static str,
    /// The other end of the connection.
    pub(crate) peer: SocketAddr,
    /// `User-Agent`.
    pub(crate) agent: &'a str,
    /// `X-Forwarded-For`: whom a proxy asks for. Only ever used to tell viewers apart.
    pub(crate) forwarded: &'a str,
}

#[derive(Debug)]
struct Viewer {
    session: Arc<Session>,
    last: Instant,
}

/// The viewers of a channel.
#[derive(Debug, Default)]
pub(super) struct Audience {
    hasher: RandomState,
    viewers: HashMap<u64, Viewer>,
}

impl Audience {
    /// Counts a request and the bytes of its answer. False for one who was sent away.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        who: &Who<'_>,
        stream: &StreamKey,
        hub: &Hub,
        bytes: u64,
    ) -> bool {
        let id = self
            .hasher
            .hash_one((who.protocol, who.peer.ip(), who.agent, who.forwarded));
        let viewers = self.viewers.len();
        let viewer = match self.viewers.get_mut(&id) {
            Some(viewer) => viewer,
            None if viewers >= MOST_VIEWERS => return true,
            None => self.viewers.entry(id).or_insert_with(|| {
                let session = hub
                    .sessions()
                    .open(who.protocol, who.peer, now, clock::wallclock());
                session.set_activity(SessionRole::Player, Some(stream.clone()));
                session.set_agent(who.agent);
                session.set_via(who.forwarded);
                Viewer { session, last: now }
            }),
        };
        viewer.last = now;
        if viewer.session.ending().is_some() {
            return false;
        }
        viewer.session.bytes_out.fetch_add(bytes, Ordering::Relaxed);
        true
    }

    /// Forgets who has gone; says how many there are.
    pub(super) fn tend(&mut self, now: Instant, hub: &Hub) -> usize {
        let mut watching = 0;
        self.viewers.retain(|_, viewer| {
            let away = viewer.session.ending().is_some();
            let most = if away { AWAY } else { GONE_AFTER };
            let stays = now.saturating_duration_since(viewer.last) < most;
            if away || !stays {
                hub.sessions().close(viewer.session.id);
            }
            watching += usize::from(stays && !away);
            stays
        });
        watching
    }

    /// Forgets everybody.
    pub(super) fn clear(&mut self, hub: &Hub) {
        for (_, viewer) in self.viewers.drain() {
            hub.sessions().close(viewer.session.id);
        }
    }
}
