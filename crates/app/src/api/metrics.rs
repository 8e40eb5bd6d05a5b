//! The metrics page.
//!
//! Owns: the values that are read when somebody asks: those of the process, of its cores and of the hub's tables; and
//! the page itself. Does not: own the counters of other crates, which are in the same registry.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use weir_hub::{SessionRole, StreamSnapshot};
use weir_net::cores::Load;
use weir_net::{clock, process};

use super::Shared;
use super::answer::{ErrorBody, Failure};
use crate::origin::Origin;

/// The text format that `prometheus_client` writes (OpenMetrics 1.0); Prometheus asks for it by this name.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The word for a role in labels and answers.
pub(crate) fn role_label(role: SessionRole) -> &'static str {
    match role {
        SessionRole::Opening => "opening",
        SessionRole::Publisher => "publisher",
        SessionRole::Player => "player",
    }
}

/// Metrics
///
/// The metrics in the OpenMetrics text format, which Prometheus reads.
#[utoipa::path(
    operation_id = "metrics",
    get, path = "/metrics", tag = "process",
    responses(
        (status = 200, description = "All metrics", body = String,
            content_type = "application/openmetrics-text"),
        (status = 401, description = "The token is missing or wrong", body = ErrorBody),
        (status = 403, description = "Refused without a token", body = ErrorBody),
    )
)]
pub(super) async fn page(State(shared): State<Arc<Shared>>) -> Result<Response, Failure> {
    write(&shared.registry)
}

/// The page of a registry.
pub(crate) fn write(registry: &Registry) -> Result<Response, Failure> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry)
        .map_err(|error| Failure::internal(error.to_string()))?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

/// Reads the process and the hub when the registry is written.
#[derive(Debug)]
pub(crate) struct Scrape {
    pub(crate) origin: Arc<Origin>,
    pub(crate) started: Instant,
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page { encoder };
        process(&mut page, self.started)?;
        cores(&mut page, self.origin.cores().loads())?;
        self.hub(&mut page)
    }
}

/// What the operating system says of the process, which `started` then.
pub(crate) fn process(page: &mut Page<'_>, started: Instant) -> fmt::Result {
    let usage = process::usage();
    let uptime = clock::now().saturating_duration_since(started);
    page.one(
        ("process_cpu", Some(Unit::Seconds)),
        "CPU time in user and kernel mode.",
        &ConstCounter::new(usage.cpu.as_secs_f64()),
    )?;
    page.one(
        ("process_resident_memory", Some(Unit::Bytes)),
        "Resident memory.",
        &ConstGauge::new(usage.resident),
    )?;
    page.one(
        ("process_uptime", Some(Unit::Seconds)),
        "Time since the start.",
        &ConstGauge::new(uptime.as_secs_f64()),
    )
}

/// The load of each worker thread.
pub(crate) fn cores(page: &mut Page<'_>, loads: &[Arc<Load>]) -> fmt::Result {
    let by_core = |time: fn(&Load) -> Duration| {
        let loads = loads.iter().enumerate();
        loads.map(move |(core, load)| {
            let seconds = time(load).as_secs_f64();
            ([("core", core)], ConstCounter::new(seconds))
        })
    };
    page.family(
        ("core_busy", Some(Unit::Seconds)),
        "Time that a worker thread has worked.",
        MetricType::Counter,
        by_core(Load::busy),
    )?;
    page.family(
        ("core_parked", Some(Unit::Seconds)),
        "Time that a worker thread has waited for events.",
        MetricType::Counter,
        by_core(Load::parked),
    )
}

impl Scrape {
    fn hub(&self, page: &mut Page<'_>) -> fmt::Result {
        let hub = self.origin.hub();
        let streams = hub.snapshot(clock::now());
        let sum = |bytes: fn(&StreamSnapshot) -> usize| {
            ConstGauge::new(streams.iter().map(bytes).sum::<usize>() as u64)
        };
        page.one(
            ("hub_streams", None),
            "Streams in the table, live or waited for.",
            &ConstGauge::new(streams.len() as u64),
        )?;
        page.one(
            ("hub_gop_cache", Some(Unit::Bytes)),
            "Bytes of frames in all GOP caches.",
            &sum(|stream| stream.gop_bytes),
        )?;
        page.one(
            ("hub_log", Some(Unit::Bytes)),
            "Bytes of all derived logs.",
            &sum(|stream| stream.log_bytes),
        )?;
        let mut sessions: BTreeMap<_, u64> = BTreeMap::new();
        for session in hub.sessions().page(0, usize::MAX) {
            let role = role_label(session.activity().role);
            *sessions.entry((session.protocol, role)).or_default() += 1;
        }
        page.family(
            ("hub_sessions", None),
            "Sessions now, by protocol and role.",
            MetricType::Gauge,
            sessions.into_iter().map(|((protocol, role), count)| {
                let labels = [("protocol", protocol), ("role", role)];
                (labels, ConstGauge::new(count))
            }),
        )
    }
}

/// The page under way.
pub(crate) struct Page<'a> {
    pub(crate) encoder: DescriptorEncoder<'a>,
}

/// A metric's name without its prefix, and its unit, which is added to the name.
pub(crate) type Name = (&'static str, Option<Unit>);

impl Page<'_> {
    /// A metric without labels.
    pub(crate) fn one(
        &mut self,
        (name, unit): Name,
        help: &str,
        metric: &impl EncodeMetric,
    ) -> fmt::Result {
        let kind = metric.metric_type();
        let encoder = self
            .encoder
            .encode_descriptor(name, help, unit.as_ref(), kind)?;
        metric.encode(encoder)
    }

    /// A metric for each set of labels.
    pub(crate) fn family<L: EncodeLabelSet, M: EncodeMetric>(
        &mut self,
        (name, unit): Name,
        help: &str,
        kind: MetricType,
        metrics: impl Iterator<Item = (L, M)>,
    ) -> fmt::Result {
        let mut encoder = self
            .encoder
            .encode_descriptor(name, help, unit.as_ref(), kind)?;
        for (labels, metric) in metrics {
            metric.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
