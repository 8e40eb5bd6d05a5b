//! The counters of the fan-out.
//!
//! Owns: their names. Does not: serve them.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// The fan-out's metrics, shared by all cores.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Viewers now.
    pub viewers: Gauge,
    /// Rounds: times a group was served.
    pub rounds: Counter,
    /// Viewers served in a round.
    pub batch: Histogram,
    /// Viewers passed over in a round because their socket was full.
    pub blocked: Counter,
    /// Seconds from a viewer's connection to its first media.
    pub start_up: Histogram,
}

impl Metrics {
    /// Fresh metrics, entered in `registry` under the prefix `fanout`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            viewers: Gauge::default(),
            rounds: Counter::default(),
            batch: Histogram::new([
                1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0,
            ]),
            blocked: Counter::default(),
            start_up: Histogram::new([
                0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
            ]),
        };
        let fanout = registry.sub_registry_with_prefix("fanout");
        fanout.register("viewers", "Viewers now", metrics.viewers.clone());
        fanout.register(
            "rounds",
            "Times that a group of viewers was served",
            metrics.rounds.clone(),
        );
        fanout.register(
            "batch_viewers",
            "Viewers served in a round",
            metrics.batch.clone(),
        );
        fanout.register(
            "blocked",
            "Viewers passed over in a round because their socket was full",
            metrics.blocked.clone(),
        );
        fanout.register_with_unit(
            "start_up",
            "Time from a viewer's connection to its first media",
            Unit::Seconds,
            metrics.start_up.clone(),
        );
        metrics
    }
}
