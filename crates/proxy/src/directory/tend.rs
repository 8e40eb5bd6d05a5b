//! What the directory does by itself, time and again.
//!
//! Owns: reading nodes, probing, holding and releasing bindings, looking up streams that are waited for, registering fixed
//! origins. Does not: decide where sessions go.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use weir_cluster::{Node, NodeId, Pending, StateError};
use weir_net::clock;
use weir_net::cores::Shutdown;

use super::condition::{Finding, Ticket, Verdict};
use super::metrics::ByState;
use super::roster::{Origin, Reading, Standing};
use super::{Directory, names, probe};

/// Most probes under way: as many as come due in one limit in a cluster of hundreds.
const MAX_PROBES: usize = 512;

/// Longest time between two calls that hold the bindings of streams with sessions: after a loss of data they are written
/// again within it.
const HOLD_INTERVAL: Duration = Duration::from_secs(5);

/// Bindings held in one call; a call of this size takes milliseconds.
const HOLD_BATCH: usize = 500;

/// Waiting streams that are looked up in one round.
const MAX_LOOKUPS: usize = 1_000;

/// Longest time between two registrations of an origin that does not register itself: the beat of an SRS.
const FIXED_BEAT: Duration = Duration::from_secs(10);

/// Shortest time between two readings because of changes: in a cluster of hundreds somebody always registers.
const WATCH_PAUSE: Duration = Duration::from_millis(50);

/// Time to release bindings at the end of the process.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Directory {
    /// Keeps the picture up to date until all sessions must end. Needs a runtime with time and IO; one is enough for
    /// a process.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) {
        tokio::select! {
            () = shutdown.stopped() => {}
            () = self.keep_refreshing() => {}
            () = self.keep_watching() => {}
            () = Arc::clone(&self).keep_probing() => {}
            () = self.keep_holding() => {}
            () = self.keep_looking() => {}
            () = self.keep_registering() => {}
            () = names::keep_resolving(&self) => {}
        }
        if timeout(LAST_WORDS, self.release_ended()).await.is_err() {
            tracing::debug!("bindings were not released in time");
        }
    }

    /// Asks the state; counts and notes a failure.
    pub(super) async fn ask<T>(
        &self,
        call: &'static str,
        pending: Pending<'_, T>,
    ) -> Result<T, StateError> {
        let result = pending.await;
        if let Err(error) = &result {
            self.metrics.state_failed(call, error);
            match error {
                StateError::Unavailable(_) => self.lost(error),
                _ => self.link.refused(call, error, self.now()),
            }
        }
        result
    }

    fn lost(&self, error: &StateError) {
        self.link.lost(error, self.now());
        self.metrics.state_up.set(0);
    }

    /// Reads the nodes. With `unless_after`, only if that was not done after this time.
    pub(super) async fn refresh(&self, unless_after: Option<Instant>) {
        let mut last = self.refreshing.lock().await;
        let asked = self.now();
        if unless_after.is_some_and(|after| last.is_some_and(|last| last > after)) {
            return;
        }
        *last = Some(asked);
        match self.ask("nodes", self.state.nodes()).await {
            Ok(nodes) => {
                self.link.restored(self.now());
                self.metrics.state_up.set(1);
                let reading = Reading {
                    asked,
                    returned: self.link.returned(),
                    lease: self.options.lease,
                };
                self.change(|roster| roster.listed(nodes, reading));
            }
            // a state that cannot be read is as good as away
            Err(error) => self.lost(&error),
        }
    }

    async fn keep_refreshing(&self) {
        loop {
            let away = !self.link.is_up();
            self.refresh(None).await;
            if away && self.link.is_up() {
                self.hold_all().await;
            }
            self.write_changes().await;
            self.survey();
            sleep(self.options.refresh_interval).await;
        }
    }

    /// Reads the nodes at once when the state says that they changed.
    async fn keep_watching(&self) {
        let mut seen = 0;
        loop {
            match self.state.changed(seen).await {
                Ok(version) => {
                    seen = version;
                    self.refresh(None).await;
                    sleep(WATCH_PAUSE).await;
                }
                // the reading once a second finds out what it means
                Err(_) => sleep(self.options.refresh_interval).await,
            }
        }
    }

    /// Counts origins by state, and forgets placed sessions that never opened.
    pub(super) fn survey(&self) {
        let states = ["up", "draining", "down", "suspect"];
        let mut counts = HashMap::from(states.map(|state| (state, 0_i64)));
        for origin in &self.picture.load().origins {
            origin.condition.forget_unopened();
            let state = super::OriginState::of(origin).name();
            *counts.entry(state).or_default() += 1;
        }
        for (state, count) in counts {
            let labels = ByState { state };
            self.metrics.origins.get_or_create(&labels).set(count);
        }
        let streams = i64::try_from(self.holds.len()).unwrap_or(i64::MAX);
        self.metrics.streams.set(streams);
    }

    async fn keep_probing(self: Arc<Self>) {
        let tick = (self.options.probe_interval / 20)
            .clamp(Duration::from_millis(1), Duration::from_millis(50));
        let mut probes = JoinSet::new();
        loop {
            let now = self.now();
            let picture = self.picture.load_full();
            for origin in &picture.origins {
                if probes.len() >= MAX_PROBES {
                    break;
                }
                if origin.standing == Standing::Present
                    && let Some(target) = probe::target(&origin.node)
                    && let Some(ticket) = origin.condition.due(now, self.options.deep_every)
                {
                    let (directory, origin) = (Arc::clone(&self), Arc::clone(origin));
                    probes.spawn(async move { directory.probe(&origin, target, ticket).await });
                }
            }
            sleep(tick).await;
            while probes.try_join_next().is_some() {}
        }
    }

    /// Makes one probe and takes what it found.
    async fn probe(&self, origin: &Origin, target: (weir_cluster::Service, u16), ticket: Ticket) {
        let node = &origin.node;
        let limit = self.options.probe_timeout;
        let found = probe::probe(&node.host, target, ticket.deep, limit).await;
        let now = self.now();
        // shorter by up to an eighth, so that origins that came together are not probed together for ever
        let eighth = self.options.probe_interval / 8;
        let share = f64::from((self.dice() >> 32) as u32) / f64::from(u32::MAX);
        let next = now + self.options.probe_interval - eighth.mul_f64(share);
        match found {
            Finding::Well(_) => {}
            Finding::Refused => self.metrics.probe_failed("refused"),
            Finding::Timeout => self.metrics.probe_failed("timeout"),
            Finding::Silent => self.metrics.probe_failed("silent"),
        }
        if !origin.condition.finished(ticket, found, now, next) {
            return;
        }
        let (id, host) = (&node.id, node.host.as_str());
        match origin.condition.verdict() {
            Verdict::Up => tracing::info!(origin = %id, host, "origin is up"),
            Verdict::Down => tracing::warn!(origin = %id, host, ?found, "origin is down"),
            Verdict::Suspect => tracing::warn!(origin = %id, host, "origin hangs"),
        }
    }

    async fn keep_holding(&self) {
        let idle = self.options.claim_idle;
        let every = match idle.is_zero() {
            true => HOLD_INTERVAL,
            // a binding that another proxy released must not run out in between
            false => (idle / 3).clamp(Duration::from_millis(10), HOLD_INTERVAL),
        };
        loop {
            sleep(every).await;
            self.hold_all().await;
        }
    }

    /// Tells the state which bindings have sessions here.
    pub(super) async fn hold_all(&self) {
        if !self.link.is_up() {
            return;
        }
        for batch in self.holds.held().chunks(HOLD_BATCH) {
            if self.ask("hold", self.state.hold(batch)).await.is_err() {
                return;
            }
        }
    }

    async fn keep_looking(&self) {
        let mut round = 0_usize;
        loop {
            sleep(self.options.refresh_interval).await;
            self.release_ended().await;
            self.look_up_waiting(round).await;
            round = round.wrapping_add(1);
        }
    }

    /// Tells the state which bindings have no session here any more.
    pub(super) async fn release_ended(&self) {
        if !self.link.is_up() {
            return;
        }
        let idle = self.options.claim_idle;
        let mut ended = self.holds.take_ended().into_iter();
        if idle.is_zero() {
            return;
        }
        while let Some((stream, node)) = ended.next() {
            let releasing = self.state.release(&stream, &node, idle);
            if self.ask("release", releasing).await.is_ok() {
                self.metrics.released.inc();
                continue;
            }
            for (stream, node) in std::iter::once((stream, node)).chain(ended) {
                self.ended(&stream, &node);
            }
            return;
        }
    }

    /// Looks up streams whose viewers wait, and those bound while the state was away. Viewers look again each time: the
    /// origin of their stream may be well again.
    pub(super) async fn look_up_waiting(&self, round: usize) {
        if !self.link.is_up() {
            return;
        }
        let now = self.now();
        for one in self.holds.waiting(MAX_LOOKUPS, round, now) {
            let Ok(found) = self.ask("find", self.state.find(&one.stream)).await else {
                return;
            };
            let mut is_had = false;
            if let Some(claim) = found.claim {
                self.learn(&one.stream, &claim, false);
                is_had = claim.node == one.node || self.usable(&claim.node).is_some();
                self.holds.wake(&one.stream);
            }
            if !is_had && one.unclaimed && one.expect {
                let ttl = self.options.expect_ttl;
                let noting = self.state.expect(&one.stream, &one.node, ttl);
                if self.ask("expect", noting).await.is_err() {
                    return;
                }
                let due = now + self.expect_refresh();
                self.holds.expected(&one.stream, due);
            }
        }
    }

    /// Time after which it is said again that viewers wait.
    pub(super) fn expect_refresh(&self) -> Duration {
        self.options.expect_ttl / 3
    }

    /// Enters the origins that the configuration names.
    pub(super) fn fix_configured(&self) {
        let (now, wallclock) = (self.now(), clock::wallclock());
        let mut nodes: Vec<Node> = Vec::new();
        for origin in &self.options.static_origins {
            nodes.push(origin.node("static", wallclock));
        }
        if let Some(origin) = &self.options.default_backend {
            nodes.push(origin.node("default", wallclock));
        }
        self.fix(nodes, now);
    }

    /// Enters origins that do not register themselves.
    pub(super) fn fix(&self, nodes: Vec<Node>, now: Instant) {
        self.change(|roster| {
            for node in nodes {
                let id = node.id.clone();
                if !roster.fix(node, now) {
                    tracing::error!(origin = %id, "too many origins, this one is left out");
                }
            }
        });
    }

    /// Registers fixed origins while they are well, as they would do themselves.
    async fn keep_registering(&self) {
        let beat = (self.options.lease / 3).min(FIXED_BEAT);
        let tick = (beat / 10).clamp(Duration::from_millis(5), Duration::from_secs(1));
        let mut written = HashMap::new();
        loop {
            self.register_fixed(&mut written, beat).await;
            sleep(tick).await;
        }
    }

    /// Registers those fixed origins that were not registered within `beat`; `written` says when that was.
    pub(super) async fn register_fixed(
        &self,
        written: &mut HashMap<NodeId, Instant>,
        beat: Duration,
    ) {
        let fixed = self.roster.lock().fixed();
        written.retain(|id, _| fixed.iter().any(|(node, _)| node.id == *id));
        for (node, condition) in fixed {
            let now = self.now();
            let known = condition.took().is_some() || probe::target(&node).is_none();
            let recent = written.get(&node.id).is_some_and(|at| now < *at + beat);
            if recent || !known || !condition.is_alive() || !self.link.is_up() {
                continue;
            }
            let mut node = Node::clone(&node);
            node.updated = clock::wallclock();
            // it does not say so itself; that it was told so is remembered by the state
            node.report.draining = false;
            self.fix(vec![node.clone()], now);
            if self
                .ask("register", self.state.register(&node))
                .await
                .is_ok()
            {
                written.insert(node.id, now);
            }
        }
    }
}
