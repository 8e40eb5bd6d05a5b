//! The proxy's counters.
//!
//! Owns: [`Metrics`] and the names on the metrics page (`weir_proxy_…`). Does not: count what the directory knows.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Label of what is counted by protocol.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Protocol {
    /// `rtmp` or `http`.
    pub protocol: &'static str,
}

/// Labels of the end of a session.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Ended {
    /// `rtmp` or `http`.
    pub protocol: &'static str,
    /// Why, from a fixed list.
    pub reason: &'static str,
}

/// Reasons for which a session ends that are nobody's fault.
const ORDERLY: [&str; 9] = [
    "answered",
    "client_closed",
    "drained",
    "ended",
    "idle",
    "moved",
    "origin_closed",
    "shutdown",
    "stopping",
];

/// Counters of all cores.
#[derive(Debug)]
pub struct Metrics {
    /// Sessions that are open.
    pub sessions: Family<Protocol, Gauge>,
    /// Sessions that ended, by reason.
    pub ended: Family<Ended, Counter>,
    /// Connections refused by a limit.
    refused: Family<Ended, Counter>,
    /// Bytes from clients to origins.
    pub bytes_up: Family<Protocol, Counter<u64, AtomicU64>>,
    /// Bytes from origins to clients.
    pub bytes_down: Family<Protocol, Counter<u64, AtomicU64>>,
    /// Those of `ended` that ended by a fault. It is on no page of metrics: the sum of their reasons says the same.
    pub faults: Counter,
    /// Time from a dial to the origin's answer that opens the session, in seconds.
    pub opened: Histogram,
}

impl Metrics {
    /// Counters at zero, entered into `registry` under `proxy_`.
    pub fn register(registry: &mut Registry) -> Arc<Self> {
        let metrics = Self {
            sessions: Family::default(),
            ended: Family::default(),
            refused: Family::default(),
            bytes_up: Family::default(),
            bytes_down: Family::default(),
            faults: Counter::default(),
            // 0.5 ms to 8 s: a local origin's answer to one that is nearly given up
            opened: Histogram::new(exponential_buckets(0.0005, 2.0, 15)),
        };
        let registry = registry.sub_registry_with_prefix("proxy");
        let sessions = metrics.sessions.clone();
        registry.register("sessions", "Sessions that are open", sessions);
        let ended = metrics.ended.clone();
        registry.register("sessions_ended", "Sessions that ended, by reason", ended);
        let refused = metrics.refused.clone();
        registry.register("refused", "Connections refused, by limit", refused);
        let up = metrics.bytes_up.clone();
        registry.register("bytes_up", "Bytes from clients to origins", up);
        let down = metrics.bytes_down.clone();
        registry.register("bytes_down", "Bytes from origins to clients", down);
        registry.register(
            "origin_opened_seconds",
            "Time from the dial to the answer that opens the session",
            metrics.opened.clone(),
        );
        Arc::new(metrics)
    }

    /// Counts the end of a session.
    pub fn ended(&self, protocol: &'static str, reason: &'static str) {
        self.ended.get_or_create(&Ended { protocol, reason }).inc();
        if !ORDERLY.contains(&reason) {
            self.faults.inc();
        }
    }

    /// Counts a connection that a limit refused.
    pub fn refused(&self, protocol: &'static str, reason: &'static str) {
        let labels = Ended { protocol, reason };
        self.refused.get_or_create(&labels).inc();
    }
}
