//! The decision where a session goes.
//!
//! Owns: the rules by which a stream's origin is found, bound, replaced, or waited for. Invariants: while the state
//! answers, who loses a race for a stream goes where the winner is; a viewer never binds a stream that has no binding; a
//! draining or full origin gets no new stream. Does not: open sessions.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use weir_cluster::placement::{self, Candidate};
use weir_cluster::{Claim, Key, NodeId, Service, StateError};

use super::roster::{Origin, Picture, Standing};
use super::{Directory, PlaceError, Placed};
use crate::sessions::Role;

/// Times that a binding is fought for: each one lost means that another proxy has just bound the stream to an origin that
/// this one finds dead.
const ROUNDS: usize = 3;

/// The epoch of a claim that the state has not seen. One that it has seen may have it too, and is then looked up once more.
const NO_EPOCH: u64 = 0;

/// Whether the state has not seen this claim.
pub(super) fn is_unseen(claim: &Claim) -> bool {
    claim.epoch == NO_EPOCH
}

/// What a session needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish<'a> {
    pub(super) stream: &'a Key,
    pub(super) role: Role,
    pub(super) service: Service,
    pub(super) tried: &'a [NodeId],
}

impl Wish<'_> {
    fn binds(&self) -> bool {
        self.role == Role::Publish
    }

    /// Whether sessions may go to `origin`, for all that is known.
    fn reaches(&self, origin: &Origin) -> bool {
        origin.is_usable() && !self.tried.contains(&origin.node.id)
    }
}

/// The port of `service`, if the origin serves it at an endpoint that can be read.
fn port(origin: &Origin, service: Service) -> Option<u16> {
    origin.node.endpoints.port(service).ok().flatten()
}

/// Origins that a stream without a binding could go to.
struct Open<'a> {
    origins: Vec<&'a Arc<Origin>>,
    candidates: Vec<Candidate>,
}

impl<'a> Open<'a> {
    /// Those in `picture` that suit `wish`; fails when there is none, or none with room.
    fn of(picture: &'a Picture, wish: &Wish<'_>) -> Result<Self, PlaceError> {
        let mut open = Self {
            origins: Vec::with_capacity(picture.origins.len()),
            candidates: Vec::with_capacity(picture.origins.len()),
        };
        let mut full = false;
        for origin in &picture.origins {
            if !wish.reaches(origin) || port(origin, wish.service).is_none() {
                continue;
            }
            let report = origin.node.report;
            let added = origin.condition.added(report.load.is_some());
            let candidate = Candidate { report, added };
            if candidate.is_open() && !candidate.is_full() {
                open.origins.push(origin);
                open.candidates.push(candidate);
            }
            full |= candidate.is_open() && candidate.is_full();
        }
        match (open.origins.is_empty(), full) {
            (false, _) => Ok(open),
            (true, true) => Err(PlaceError::Full),
            (true, false) => Err(PlaceError::NoOrigin),
        }
    }

    fn with_id(&self, id: &NodeId) -> Option<&'a Arc<Origin>> {
        let mut origins = self.origins.iter();
        origins.find(|origin| origin.node.id == *id).copied()
    }

    /// Two random choices.
    fn draw(&self, dice: u64) -> Option<&'a Arc<Origin>> {
        let index = placement::choose(&self.candidates, dice)?;
        self.origins.get(index).copied()
    }

    /// The one on which all proxies agree.
    fn rendezvous(&self, stream: &Key) -> Option<&'a Arc<Origin>> {
        let origins = self.origins.iter();
        let named: Vec<_> = origins
            .map(|origin| (origin.name.as_str(), origin.node.report.weight))
            .collect();
        let order = placement::rendezvous(&named, stream.as_str());
        self.origins.get(*order.first()?).copied()
    }
}

impl Directory {
    /// Decides, with the state if it answers, and counts the outcome.
    pub(super) async fn place_by(&self, wish: &Wish<'_>) -> Result<Placed, PlaceError> {
        let mut decided = None;
        if self.link.is_up() {
            // the call has counted and told what went wrong; the session is served by what is known
            decided = self.place_with_state(wish).await.ok();
        }
        let decided = match decided {
            Some(decided) => decided,
            None => self.place_alone(wish),
        };
        if let Err(error) = &decided {
            self.metrics.picked(match error {
                PlaceError::NoOrigin => "none",
                PlaceError::Full => "full",
                PlaceError::NotServed { .. } => "not_served",
            });
        }
        decided
    }

    /// Decides by what the state says. The outer error is the state's.
    async fn place_with_state(
        &self,
        wish: &Wish<'_>,
    ) -> Result<Result<Placed, PlaceError>, StateError> {
        let mut found = self.ask("find", self.state.find(wish.stream)).await?;
        if found.claim.is_none()
            && let Some(node) = self.holds.bound(wish.stream)
        {
            // the state has lost its data: sessions that live here know better
            let lost = [(wish.stream.clone(), node)];
            self.ask("hold", self.state.hold(&lost)).await?;
            found = self.ask("find", self.state.find(wish.stream)).await?;
        }
        let mut in_force = found.claim;
        for _ in 0..ROUNDS {
            match &in_force {
                Some(claim) => {
                    if let Some(origin) = self.reachable(wish, &claim.node).await {
                        self.learn(wish.stream, claim, false);
                        return Ok(self.placed(&origin, wish, Some(claim), "claimed"));
                    }
                    if !wish.binds() && self.is_present(&claim.node) {
                        return self.place_waiting(wish, found.expected.as_ref()).await;
                    }
                }
                None => {
                    self.known.forget(wish.stream);
                    if !wish.binds() {
                        return self.place_waiting(wish, found.expected.as_ref()).await;
                    }
                }
            }
            let expected = found.expected.as_ref();
            let origin = match self.choose(wish, expected, in_force.as_ref()) {
                Ok(origin) => origin,
                Err(error) => return Ok(Err(error)),
            };
            let (id, replacing) = (&origin.node.id, in_force.as_ref());
            let claiming = self.state.claim(wish.stream, id, replacing);
            let claim = self.ask("claim", claiming).await?;
            if claim.node == *id {
                let outcome = self.bound(wish, &claim, replacing);
                return Ok(self.placed(&origin, wish, Some(&claim), outcome));
            }
            in_force = Some(claim);
        }
        Ok(Err(PlaceError::NoOrigin))
    }

    /// The origin with this id if sessions may go there. One that is not known may have registered with another proxy just
    /// now, so the state is asked for it.
    async fn reachable(&self, wish: &Wish<'_>, id: &NodeId) -> Option<Arc<Origin>> {
        let known = |picture: &Picture| {
            let origin = picture.get(id).cloned();
            origin.filter(|origin| origin.standing != Standing::Departed)
        };
        let origin = known(&self.picture.load());
        let origin = match origin {
            Some(origin) => origin,
            None => {
                self.refresh(Some(self.now())).await;
                known(&self.picture.load())?
            }
        };
        wish.reaches(&origin).then_some(origin)
    }

    /// Places a viewer of a stream that nobody has bound, or whose origin is not to be had: where others wait, else where
    /// all proxies would let it wait.
    async fn place_waiting(
        &self,
        wish: &Wish<'_>,
        expected: Option<&NodeId>,
    ) -> Result<Result<Placed, PlaceError>, StateError> {
        let picture = self.picture.load_full();
        let open = match Open::of(&picture, wish) {
            Ok(open) => open,
            Err(error) => return Ok(Err(error)),
        };
        if let Some(origin) = expected.and_then(|id| open.with_id(id)) {
            return Ok(self.placed(origin, wish, None, "expected"));
        }
        let Some(mine) = open.rendezvous(wish.stream) else {
            return Ok(Err(PlaceError::NoOrigin));
        };
        let ttl = self.options.expect_ttl;
        let noting = self.state.expect(wish.stream, &mine.node.id, ttl);
        let noted = self.ask("expect", noting).await?;
        let origin = open.with_id(&noted).unwrap_or(mine);
        Ok(self.placed(origin, wish, None, "waiting"))
    }

    /// Decides by what is known here, and by rendezvous.
    fn place_alone(&self, wish: &Wish<'_>) -> Result<Placed, PlaceError> {
        let picture = self.picture.load_full();
        let known = self.known.get(wish.stream);
        if let Some(claim) = &known
            && let Some(origin) = picture.get(&claim.node)
            && wish.reaches(origin)
        {
            return self.placed(origin, wish, Some(claim), "claimed_alone");
        }
        let open = Open::of(&picture, wish)?;
        let successor = known
            .as_ref()
            .and_then(|claim| picture.successor(&claim.node))
            .and_then(|origin| open.with_id(&origin.node.id));
        let origin = successor.or_else(|| open.rendezvous(wish.stream));
        let origin = origin.ok_or(PlaceError::NoOrigin)?;
        let stands = |claim: &Claim| self.is_present(&claim.node);
        if !wish.binds() && known.as_ref().is_none_or(stands) {
            return self.placed(origin, wish, None, "waiting_alone");
        }
        let claim = Claim {
            node: origin.node.id.clone(),
            epoch: NO_EPOCH,
        };
        self.learn(wish.stream, &claim, true);
        self.placed(origin, wish, Some(&claim), "bound_alone")
    }

    /// Whether this origin's registration stands, well or not. Only publishers replace bindings to such an origin: its
    /// publisher may be there after all, when one failed dial of one viewer, or a moment in which it hung, is over. A
    /// viewer waits where the publisher is most likely to come, and is told when it is to be had elsewhere.
    fn is_present(&self, id: &NodeId) -> bool {
        let picture = self.picture.load();
        let origin = picture.get(id);
        origin.is_some_and(|origin| origin.standing == Standing::Present)
    }

    /// Chooses the origin that a stream is to be bound to: that which took the place of the old one, that where viewers
    /// wait, or the less loaded of two.
    fn choose(
        &self,
        wish: &Wish<'_>,
        expected: Option<&NodeId>,
        replacing: Option<&Claim>,
    ) -> Result<Arc<Origin>, PlaceError> {
        let picture = self.picture.load();
        let open = Open::of(&picture, wish)?;
        let successor = replacing.and_then(|claim| picture.successor(&claim.node));
        let successor = successor.and_then(|origin| open.with_id(&origin.node.id));
        let expected = || expected.and_then(|id| open.with_id(id));
        let drawn = || open.draw(self.dice());
        let origin = successor.or_else(expected).or_else(drawn);
        origin.cloned().ok_or(PlaceError::NoOrigin)
    }

    /// A number that differs from call to call.
    pub(super) fn dice(&self) -> u64 {
        // placement mixes its bits
        self.dice
            .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }

    /// Notes that this proxy bound the stream; gives the outcome for the counters.
    fn bound(&self, wish: &Wish<'_>, claim: &Claim, replaced: Option<&Claim>) -> &'static str {
        self.learn(wish.stream, claim, false);
        // its session may never come; who holds it when it is looked at keeps it
        self.ended(wish.stream, &claim.node);
        let Some(replaced) = replaced else {
            return "bound";
        };
        self.metrics.rebinds.inc();
        tracing::info!(
            stream = %wish.stream, from = %replaced.node, to = %claim.node, "stream bound again"
        );
        "rebound"
    }

    /// Notes where the stream is bound, and tells viewers that are elsewhere.
    pub(super) fn learn(&self, stream: &Key, claim: &Claim, unsure: bool) {
        self.known.set(stream, claim);
        if self.holds.claimed(stream, &claim.node, unsure) {
            self.metrics.moved.inc();
        }
    }

    /// Notes that the binding may be released.
    pub(super) fn ended(&self, stream: &Key, node: &NodeId) {
        if !self.options.claim_idle.is_zero() && !self.holds.end(stream, node) {
            self.metrics.unreleased.inc();
        }
    }

    /// The answer, if the origin serves what is asked for.
    fn placed(
        &self,
        origin: &Origin,
        wish: &Wish<'_>,
        claim: Option<&Claim>,
        outcome: &'static str,
    ) -> Result<Placed, PlaceError> {
        let service = wish.service;
        let port = port(origin, service).ok_or_else(|| PlaceError::NotServed {
            node: origin.node.id.clone(),
            service,
        })?;
        origin.condition.placed();
        self.metrics.picked(outcome);
        Ok(Placed {
            node: Arc::clone(&origin.node),
            port,
            claim: claim.cloned(),
        })
    }
}
