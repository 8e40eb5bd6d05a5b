//! Who watches by files: clients of HLS and DASH ask again and again, on connections that come and go.
//!
//! Owns: telling them apart, as far as that can be done without giving each an address of its own, and their entries in
//! the table of sessions, so that they are counted, listed and sent away like other viewers. Does not: decide who may
//! watch.
//!
//! A viewer is an address and a software: two people behind one address with the same player count as one. A session
//! id in every address would tell them apart, and make every cache useless.
//!
//! What a viewer watches by is told by lists alone, since segments are the same for HLS and DASH, and players ask for
//! them on connections of their own. The first list that a viewer asks for decides; before there is one, it counts as
//! HLS. One player that asks for lists of both is one viewer, by the first of them.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

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

/// Viewers of playlists, in logs, metrics and the API.
pub(crate) const HLS: &str = "hls";

/// Viewers of manifests, in logs, metrics and the API.
pub(crate) const DASH: &str = "dash";

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who<'a> {
    /// [`HLS`] or [`DASH`] when it asks for such a list.
    pub(crate) list: Option<&'static str>,
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
    /// It has asked for a list, which says by what protocol it watches.
    is_sure: bool,
}

/// The viewers of a channel.
#[derive(Debug)]
pub(super) struct Audience {
    hasher: RandomState,
    viewers: HashMap<u64, Viewer>,
    /// [`MOST_VIEWERS`], but in tests.
    most: usize,
}

impl Default for Audience {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            viewers: HashMap::new(),
            most: MOST_VIEWERS,
        }
    }
}

impl Who<'_> {
    /// Its entry in the table of sessions.
    fn enter(
        &self,
        protocol: &'static str,
        stream: &StreamKey,
        hub: &Hub,
        (since, wallclock): (Instant, SystemTime),
    ) -> Arc<Session> {
        let session = hub.sessions().open(protocol, self.peer, since, wallclock);
        session.set_activity(SessionRole::Player, Some(stream.clone()));
        session.set_agent(self.agent);
        session.set_via(self.forwarded);
        session
    }
}

impl Viewer {
    /// Has it counted by `protocol`, if it is not: entries keep theirs, so that takes another one.
    fn call(&mut self, protocol: &'static str, who: &Who<'_>, stream: &StreamKey, hub: &Hub) {
        let old = &self.session;
        if old.protocol == protocol {
            return;
        }
        let new = who.enter(protocol, stream, hub, (old.since, old.since_wallclock));
        let bytes = old.bytes_out.load(Ordering::Relaxed);
        new.bytes_out.store(bytes, Ordering::Relaxed);
        hub.sessions().close(old.id);
        self.session = new;
    }
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
            .hash_one((who.peer.ip(), who.agent, who.forwarded));
        let viewers = self.viewers.len();
        let viewer = match self.viewers.get_mut(&id) {
            Some(viewer) => viewer,
            None if viewers >= self.most => return true,
            None => self.viewers.entry(id).or_insert_with(|| Viewer {
                session: who.enter(
                    who.list.unwrap_or(HLS),
                    stream,
                    hub,
                    (now, clock::wallclock()),
                ),
                last: now,
                is_sure: who.list.is_some(),
            }),
        };
        viewer.last = now;
        if viewer.session.ending().is_some() {
            return false;
        }
        if let Some(protocol) = who.list.filter(|_| !viewer.is_sure) {
            viewer.is_sure = true;
            viewer.call(protocol, who, stream, hub);
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

#[cfg(test)]
mod tests;
