//! The directory's counters.
//!
//! Owns: [`Metrics`] and the names on the metrics page (`weir_cluster_…`). Does not: decide what they mean.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use weir_cluster::StateError;

/// Label of origins counted by state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByState {
    pub(super) state: &'static str,
}

/// Label of choices counted by how they were made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByOutcome {
    pub(super) outcome: &'static str,
}

/// Label of what failed, by why.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByReason {
    pub(super) reason: &'static str,
}

/// Labels of a failed call of the state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByCall {
    pub(super) call: &'static str,
    pub(super) reason: &'static str,
}

/// Counters of a directory.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    pub(super) origins: Family<ByState, Gauge>,
    pub(super) streams: Gauge,
    pub(super) state_up: Gauge,
    pub(super) rebinds: Counter,
    pub(super) released: Counter,
    pub(super) moved: Counter,
    pub(super) unreleased: Counter,
    picks: Family<ByOutcome, Counter>,
    state_failures: Family<ByCall, Counter>,
    probe_failures: Family<ByReason, Counter>,
}

impl Metrics {
    /// Counters at zero, entered into `registry` under `cluster_`.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("cluster");
        let origins = metrics.origins.clone();
        registry.register("origins", "Origins known, by state", origins);
        let streams = metrics.streams.clone();
        registry.register("streams", "Streams with sessions at this proxy", streams);
        let up = metrics.state_up.clone();
        registry.register("state_up", "Whether the cluster's state answers", up);
        let rebinds = metrics.rebinds.clone();
        let help = "Streams bound again because their origin was dead or tried in vain";
        registry.register("rebinds", help, rebinds);
        let released = metrics.released.clone();
        let help = "Bindings given up to expire after the last session";
        registry.register("released_claims", help, released);
        let unreleased = metrics.unreleased.clone();
        let help = "Bindings that stay for ever because too many ended at once";
        registry.register("unreleased_claims", help, unreleased);
        let moved = metrics.moved.clone();
        let help = "Streams bound elsewhere than where viewers of this proxy waited";
        registry.register("moved_streams", help, moved);
        let picks = metrics.picks.clone();
        registry.register("picks", "Origins chosen for sessions, by outcome", picks);
        let failures = metrics.state_failures.clone();
        let help = "Failed calls of the cluster's state";
        registry.register("state_failures", help, failures);
        let failures = metrics.probe_failures.clone();
        registry.register("probe_failures", "Failed probes of origins", failures);
        metrics
    }

    /// Counts a choice.
    pub(super) fn picked(&self, outcome: &'static str) {
        self.picks.get_or_create(&ByOutcome { outcome }).inc();
    }

    /// Counts a call of the state that failed.
    pub(super) fn state_failed(&self, call: &'static str, error: &StateError) {
        let reason = match error {
            StateError::Unavailable(_) => "unavailable",
            StateError::Refused(_) => "refused",
            StateError::Garbage { .. } => "garbage",
            StateError::Full(_) => "full",
            _ => "other",
        };
        let labels = ByCall { call, reason };
        self.state_failures.get_or_create(&labels).inc();
    }

    /// Counts a probe that failed.
    pub(super) fn probe_failed(&self, reason: &'static str) {
        self.probe_failures
            .get_or_create(&ByReason { reason })
            .inc();
    }
}
