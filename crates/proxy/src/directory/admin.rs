//! What the people and programs that run a cluster do with it and see of it.
//!
//! Owns: registration, leaving, draining, forgetting, and listings. Invariants: what is said here counts here at once; the
//! state is told when it answers. Does not: check registrations or speak HTTP.

use std::sync::Arc;
use std::time::Duration;

use weir_cluster::{Key, Node, NodeId, StateError};
use weir_net::clock;

use super::Directory;
use super::condition::Verdict;
use super::holds::StreamView;
use super::roster::{Origin, Standing};

/// How an origin stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OriginState {
    /// It gets new streams.
    Up,
    /// It keeps what it has and gets no new streams.
    Draining,
    /// It takes no connections, or was restarted under another id.
    Down,
    /// It takes connections and does not go on with them.
    Suspect,
}

impl OriginState {
    pub(super) fn of(origin: &Origin) -> Self {
        let gone = origin.standing != Standing::Present;
        match origin.condition.verdict() {
            _ if gone => Self::Down,
            Verdict::Down => Self::Down,
            Verdict::Suspect => Self::Suspect,
            Verdict::Up if origin.node.report.draining => Self::Draining,
            Verdict::Up => Self::Up,
        }
    }

    /// Its name in listings and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Draining => "draining",
            Self::Down => "down",
            Self::Suspect => "suspect",
        }
    }
}

/// An origin in a listing.
#[derive(Debug, Clone)]
pub struct OriginView {
    /// Its record.
    pub node: Arc<Node>,
    /// How it stands, as this proxy sees it.
    pub state: OriginState,
    /// Time since it last registered.
    pub age: Duration,
    /// Sessions of this proxy that are open there.
    pub sessions: u32,
    /// How long its last good probe took; `None` before the first.
    pub probe: Option<Duration>,
}

impl Directory {
    /// Takes or refreshes the registration of an origin. It counts here at once; when the state cannot be told now, it is
    /// told later, and that is no failure.
    ///
    /// Fails when there is no room for one more origin, here or in the state.
    pub async fn register(&self, node: Node) -> Result<(), StateError> {
        let now = self.now();
        if !self.change(|roster| roster.register(node.clone(), now)) {
            return Err(StateError::Full("origins"));
        }
        if !self.link.is_up() {
            return Ok(());
        }
        match self.ask("register", self.state.register(&node)).await {
            Ok(()) => self.roster.lock().node_written(&node),
            Err(StateError::Unavailable(_) | StateError::Refused(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Strikes an origin off: it gets no sessions from now on, and streams bound to it are bound again when they are asked
    /// for. Gives false when there is none with this id.
    pub async fn leave(&self, id: &NodeId) -> bool {
        let now = self.now();
        if !self.change(|roster| roster.leave(id, now)) {
            return false;
        }
        tracing::info!(origin = %id, "origin left");
        self.write_changes().await;
        true
    }

    /// Says that an origin gets no new streams, or gets them again; what it has stays. Gives false when there is none with
    /// this id.
    pub async fn drain(&self, id: &NodeId, draining: bool) -> bool {
        if !self.change(|roster| roster.drain(id, draining)) {
            return false;
        }
        tracing::info!(origin = %id, draining, "origin told whether to drain");
        self.write_changes().await;
        true
    }

    /// Strikes off the binding of a stream: the next publisher or viewer begins anew. Fails when the state fails; it is
    /// forgotten here in any case.
    pub async fn forget(&self, stream: &Key) -> Result<(), StateError> {
        self.known.forget(stream);
        self.holds.forget(stream);
        let found = self.ask("find", self.state.find(stream)).await?;
        let Some(claim) = found.claim else {
            return Ok(());
        };
        let forgetting = self.state.forget(stream, &claim.node);
        self.ask("forget", forgetting).await
    }

    /// Tells the state what it has not been told.
    pub(super) async fn write_changes(&self) {
        let unwritten = self.roster.lock().unwritten();
        for node in unwritten.nodes {
            if !self.link.is_up() {
                return;
            }
            if self
                .ask("register", self.state.register(&node))
                .await
                .is_ok()
            {
                self.roster.lock().node_written(&node);
            }
        }
        for (id, draining) in unwritten.drains {
            if !self.link.is_up() {
                return;
            }
            let telling = self.state.drain(&id, draining);
            if self.ask("drain", telling).await.is_ok() {
                self.roster.lock().drain_written(&id, draining);
            }
        }
        for id in unwritten.left {
            if !self.link.is_up() {
                return;
            }
            if self.ask("leave", self.state.leave(&id)).await.is_ok() {
                let now = self.now();
                self.roster.lock().leave_written(&id, now);
            }
        }
    }

    /// All origins, in order of arrival.
    pub fn origins(&self) -> Vec<OriginView> {
        let wallclock = clock::wallclock();
        let picture = self.picture.load();
        let origins = picture.origins.iter();
        origins
            .map(|origin| OriginView {
                node: Arc::clone(&origin.node),
                state: OriginState::of(origin),
                // clocks of two machines may differ by more than the age
                age: wallclock
                    .duration_since(origin.node.updated)
                    .unwrap_or_default(),
                sessions: origin.condition.sessions(),
                probe: origin.condition.took(),
            })
            .collect()
    }

    /// Streams with sessions at this proxy, at most `limit` rows, one for each origin that serves a stream.
    pub fn streams(&self, limit: usize) -> Vec<StreamView> {
        self.holds.list(limit)
    }

    /// Bindings of the whole cluster, at most `limit` of them. Fails when the state does.
    pub async fn cluster_streams(&self, limit: usize) -> Result<Vec<(Key, NodeId)>, StateError> {
        self.ask("claims", self.state.claims(limit)).await
    }

    /// Whether sessions can be served: an origin is alive, and the state answered at least once.
    pub fn ready(&self) -> bool {
        self.link.was_up()
            && self
                .picture
                .load()
                .origins
                .iter()
                .any(|origin| origin.is_usable())
    }
}
