//! The counters of streams and sessions.
//!
//! Owns: the hub's metrics and their names. Does not: serve them.

use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Why media did not reach somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum DropCause {
    /// A viewer fell off the log's tail and went on at a key frame.
    ViewerSkipped,
    /// A viewer fell off the log's tail and was disconnected.
    ViewerDisconnected,
    /// A publisher's time went back a little; the frame was sent with the time of the one before.
    TimeHeld,
    /// A publisher's time jumped; the gap was closed.
    TimeJump,
    /// A publisher began between key frames; a picture that nobody can decode yet was left out.
    BeforeKey,
}

impl DropCause {
    /// Every cause, in the order of declaration.
    pub const ALL: [Self; 5] = [
        Self::ViewerSkipped,
        Self::ViewerDisconnected,
        Self::TimeHeld,
        Self::TimeJump,
        Self::BeforeKey,
    ];

    /// The word in answers of the API.
    pub fn label(self) -> &'static str {
        match self {
            Self::ViewerSkipped => "viewer_skipped",
            Self::ViewerDisconnected => "viewer_disconnected",
            Self::TimeHeld => "time_held",
            Self::TimeJump => "time_jump",
            Self::BeforeKey => "before_key",
        }
    }
}

/// The label set of a drop.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DropLabels {
    /// The cause.
    pub cause: DropCause,
}

/// The hub's metrics. Handles are cheap to bump from any thread.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Streams with a publisher.
    pub live_streams: Gauge,
    /// Sessions that publish.
    pub publishers: Gauge,
    /// Frames received from publishers.
    pub frames_in: Counter,
    /// Media bytes received from publishers.
    pub bytes_in: Counter,
    /// Bytes sent to viewers.
    pub bytes_out: Counter,
    /// Media lost or mended, by cause.
    pub drops: Family<DropLabels, Counter>,
    /// How late viewers were who fell behind, in seconds, when they were told.
    pub lag: LagHistogram,
    /// Publishers refused because the stream had one.
    pub publish_conflicts: Counter,
    /// Publishers that were replaced.
    pub takeovers: Counter,
    /// Streams continued by a publisher that came back.
    pub republished: Counter,
}

/// A histogram of seconds behind live.
#[derive(Debug)]
pub struct LagHistogram(pub Histogram);

impl Default for LagHistogram {
    fn default() -> Self {
        Self(Histogram::new([
            0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0,
        ]))
    }
}

impl Metrics {
    /// Fresh metrics, entered in `registry` under the prefix `hub`.
    pub fn register(registry: &mut Registry) -> Arc<Self> {
        let metrics = Arc::new(Self::default());
        let hub = registry.sub_registry_with_prefix("hub");
        hub.register(
            "live_streams",
            "Streams with a publisher",
            metrics.live_streams.clone(),
        );
        hub.register(
            "publishers",
            "Sessions that publish",
            metrics.publishers.clone(),
        );
        hub.register(
            "frames_received",
            "Frames received",
            metrics.frames_in.clone(),
        );
        hub.register_with_unit(
            "media_received",
            "Media received from publishers",
            Unit::Bytes,
            metrics.bytes_in.clone(),
        );
        hub.register_with_unit(
            "media_sent",
            "Bytes sent to viewers",
            Unit::Bytes,
            metrics.bytes_out.clone(),
        );
        hub.register(
            "drops",
            "Media lost or mended, by cause",
            metrics.drops.clone(),
        );
        hub.register_with_unit(
            "viewer_lag",
            "How far viewers had fallen behind when they were told",
            Unit::Seconds,
            metrics.lag.0.clone(),
        );
        hub.register(
            "publish_conflicts",
            "Publishers refused because the stream had one",
            metrics.publish_conflicts.clone(),
        );
        hub.register(
            "takeovers",
            "Publishers replaced by another",
            metrics.takeovers.clone(),
        );
        hub.register(
            "republished",
            "Streams continued by a publisher that came back",
            metrics.republished.clone(),
        );
        metrics
    }

    /// Counts `count` drops for `cause`.
    pub fn dropped(&self, cause: DropCause, count: u64) {
        if count > 0 {
            self.drops
                .get_or_create(&DropLabels { cause })
                .inc_by(count);
        }
    }
}
