//! Counters of segments.
//!
//! Owns: the metrics and their labels. Does not: measure.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The label set of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    status: u16,
}

/// Counters of segments. Cheap to clone; all clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    streams: Gauge,
    bytes: Gauge,
    viewers: Gauge,
    waiting: Gauge,
    answers: Family<Answered, Counter>,
    /// Those with status 200, which are almost all.
    found: Counter,
    left_out: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let answers = Family::<Answered, Counter>::default();
        let found = answers.get_or_create(&Answered { status: 200 }).clone();
        Self {
            streams: Gauge::default(),
            bytes: Gauge::default(),
            viewers: Gauge::default(),
            waiting: Gauge::default(),
            found,
            answers,
            left_out: Counter::default(),
        }
    }
}

/// Counts a request for as long as it waits.
#[derive(Debug)]
pub(crate) struct Waits(Gauge);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Counters that are registered in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "segment_streams",
            "Streams that segments are made of",
            metrics.streams.clone(),
        );
        registry.register(
            "segment_bytes",
            "Bytes of complete segments in memory",
            metrics.bytes.clone(),
        );
        registry.register(
            "segment_viewers",
            "Viewers of HLS and DASH",
            metrics.viewers.clone(),
        );
        registry.register(
            "segment_waiting",
            "Requests that wait for a playlist, part or segment to come",
            metrics.waiting.clone(),
        );
        registry.register(
            "segment_answers",
            "Answers to requests for playlists, parts and segments",
            metrics.answers.clone(),
        );
        registry.register(
            "segment_disk_left_out",
            "Segments that were not written because the disk was too slow",
            metrics.left_out.clone(),
        );
        metrics
    }

    /// Counts a segment that the disk did not take.
    pub(super) fn left_out(&self) {
        self.left_out.inc();
    }

    pub(super) fn set(&self, streams: usize, bytes: usize, viewers: usize) {
        let number = |value| i64::try_from(value).unwrap_or(i64::MAX);
        self.streams.set(number(streams));
        self.bytes.set(number(bytes));
        self.viewers.set(number(viewers));
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, status: u16) {
        match status {
            200 => self.found.inc(),
            _ => self.answers.get_or_create(&Answered { status }).inc(),
        };
    }

    /// Counts a request that waits, until the result is dropped.
    pub(crate) fn wait(&self) -> Waits {
        self.waiting.inc();
        Waits(self.waiting.clone())
    }
}
