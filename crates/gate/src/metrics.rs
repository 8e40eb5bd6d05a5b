//! The counters of gates.
//!
//! Owns: their names and labels. Does not: serve them.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// The label set of a protocol.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Protocol {
    /// Such as `rtmp`.
    pub protocol: &'static str,
}

/// The label set of an ended session.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Ended {
    /// Such as `rtmp`.
    pub protocol: &'static str,
    /// Why it ended, a word of a fixed list.
    pub reason: &'static str,
}

/// The label set of a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Refused {
    /// Such as `rtmp`.
    pub protocol: &'static str,
    /// The limit that was reached, named as its setting.
    pub limit: &'static str,
}

/// The gates' metrics.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Sessions now, by protocol.
    pub sessions: Family<Protocol, Gauge>,
    /// Sessions that ended, by protocol and reason.
    pub ended: Family<Ended, Counter>,
    /// Sessions refused, by protocol and limit.
    pub refused: Family<Refused, Counter>,
    /// Bytes read from clients, media and the rest, by protocol.
    pub received: Family<Protocol, Counter>,
    /// Those of `ended` that ended by a fault. It is on no page of metrics: the sum of their reasons says the same.
    pub faults: Counter,
}

/// Reasons for which a session ends that are nobody's fault.
const ORDERLY: [&str; 10] = [
    "answered",
    "closed_by_peer",
    "drained",
    "idle",
    "kicked",
    "published",
    "redirected",
    "stopped",
    "stream_ended",
    "taken_over",
];

impl Metrics {
    /// Fresh metrics, entered in `registry` under the prefix `gate`.
    pub fn register(registry: &mut Registry) -> Arc<Self> {
        let metrics = Arc::new(Self::default());
        let gate = registry.sub_registry_with_prefix("gate");
        gate.register(
            "sessions",
            "Sessions now, by protocol",
            metrics.sessions.clone(),
        );
        gate.register(
            "sessions_ended",
            "Sessions that ended, by reason",
            metrics.ended.clone(),
        );
        gate.register(
            "sessions_refused",
            "Sessions refused, by limit",
            metrics.refused.clone(),
        );
        gate.register_with_unit(
            "received",
            "Bytes read from clients, by protocol",
            Unit::Bytes,
            metrics.received.clone(),
        );
        metrics
    }

    /// Counts the end of a session.
    pub fn ended(&self, protocol: &'static str, reason: &'static str) {
        self.ended.get_or_create(&Ended { protocol, reason }).inc();
        if !ORDERLY.contains(&reason) {
            self.faults.inc();
        }
    }

    /// Counts a refusal.
    pub fn refused(&self, protocol: &'static str, limit: &'static str) {
        self.refused
            .get_or_create(&Refused { protocol, limit })
            .inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_ends_that_are_not_orderly() {
        let metrics = Metrics::default();
        for reason in ["closed_by_peer", "kicked", "timeout", "connection_lost"] {
            metrics.ended("rtmp", reason);
        }
        assert_eq!(metrics.faults.get(), 2);
    }
}
