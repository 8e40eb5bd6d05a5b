//! The origins of the cluster.
//!
//! Owns: their list, one of them, and the orders to drain. Does not: judge how an origin is (the directory does).

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use weir_cluster::{Endpoints, NodeId, Service};
use weir_proxy::directory::{OriginState, OriginView};

use super::ProxyApi;
use crate::api::answer::{Done, ErrorBody, Failure, Head};

/// Where an origin listens, as it registered.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OriginEndpoints {
    /// RTMP.
    #[schema(example = json!(["1935"]))]
    rtmp: Vec<String>,
    /// HTTP streams.
    http: Vec<String>,
    /// HTTP API.
    api: Vec<String>,
    /// SRT.
    srt: Vec<String>,
    /// WebRTC media.
    rtc: Vec<String>,
}

/// What an origin says of its load.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OriginLoad {
    /// CPU in use, as a share of what it may use: 0.0 to 1.0.
    cpu: f32,
    /// Bits a second it sends; 0 when it does not say.
    egress_bps: u64,
    /// Sessions it serves, through all proxies and without.
    sessions: u32,
}

/// An origin.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProxyOrigin {
    /// Its id: server, service and pid.
    #[schema(example = "vid-85944171f73967e8-9f86d081-4711")]
    id: String,
    /// Address or host name where it is reached.
    #[schema(example = "192.0.2.7")]
    host: String,
    /// What its owner calls it; may be empty.
    device_id: String,
    /// Kept by the origin over restarts.
    server: String,
    /// New at each start.
    service: String,
    /// Its process.
    pid: String,
    endpoints: OriginEndpoints,
    /// `up`, `draining`, `down` (it takes no connections, or was replaced), or `suspect` (it takes connections and does
    /// not go on).
    #[schema(example = "up")]
    state: &'static str,
    /// Whether it gets no new streams, because it said so or was told so.
    draining: bool,
    /// Its share of new streams; 100 is one share.
    weight: u32,
    /// Most sessions it takes; 0 is no limit.
    capacity: u32,
    /// What it says of its load; null when it does not.
    load: Option<OriginLoad>,
    /// Sessions of this proxy there.
    sessions: u32,
    /// Time since it last registered, in seconds.
    age: f64,
    /// When it last registered, in milliseconds since 1970 UTC.
    updated_ms: u64,
    /// Time that its last good probe took, in milliseconds; null before the first.
    probe_ms: Option<f64>,
}

/// All origins.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProxyOrigins {
    #[serde(flatten)]
    head: Head,
    /// Origins in the list.
    total: usize,
    /// In order of arrival.
    origins: Vec<ProxyOrigin>,
}

/// One origin.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OneOrigin {
    #[serde(flatten)]
    head: Head,
    origin: ProxyOrigin,
}

/// List origins
///
/// All origins that are registered or configured, in order of arrival, as this proxy sees them.
#[utoipa::path(
    operation_id = "listOrigins",
    get, path = "/api/v1/origins", tag = "cluster",
    responses(
        (status = 200, description = "The list", body = ProxyOrigins),
        (status = 401, description = "The token is missing or wrong", body = ErrorBody),
        (status = 403, description = "Refused without a token", body = ErrorBody),
    )
)]
pub(super) async fn list(State(api): State<Arc<ProxyApi>>) -> Json<ProxyOrigins> {
    let origins: Vec<_> = api.directory.origins().iter().map(view).collect();
    Json(ProxyOrigins {
        head: api.head(),
        total: origins.len(),
        origins,
    })
}

/// One origin
///
/// The origin with this id.
#[utoipa::path(
    operation_id = "origin",
    get, path = "/api/v1/origins/{id}", tag = "cluster",
    params(("id" = String, Path, description = "The origin's id, as in the list")),
    responses(
        (status = 200, description = "The origin", body = OneOrigin),
        (status = 401, description = "The token is missing or wrong", body = ErrorBody),
        (status = 403, description = "Refused without a token", body = ErrorBody),
        (status = 404, description = "No such origin", body = ErrorBody),
    )
)]
pub(super) async fn one(
    State(api): State<Arc<ProxyApi>>,
    Path(id): Path<String>,
) -> Result<Json<OneOrigin>, Failure> {
    let origins = api.directory.origins();
    let origin = origins.iter().find(|one| one.node.id.as_str() == id);
    Ok(Json(OneOrigin {
        head: api.head(),
        origin: view(origin.ok_or_else(no_origin)?),
    }))
}

/// Drain an origin
///
/// The origin gets no new streams from any proxy of the cluster; what it has stays. Remembered for as long as the
/// origin registers.
#[utoipa::path(
    operation_id = "drainOrigin",
    post, path = "/api/v1/origins/{id}/drain", tag = "cluster",
    params(("id" = String, Path, description = "The origin's id, as in the list")),
    responses(
        (status = 200, description = "It drains", body = Done),
        (status = 401, description = "The token is missing or wrong", body = ErrorBody),
        (status = 403, description = "Refused without a token", body = ErrorBody),
        (status = 404, description = "No such origin", body = ErrorBody),
    )
)]
pub(super) async fn drain(
    api: State<Arc<ProxyApi>>,
    id: Path<String>,
) -> Result<Json<Done>, Failure> {
    set(api, id, true).await
}

/// Take an origin back
///
/// The origin gets new streams again.
#[utoipa::path(
    operation_id = "undrainOrigin",
    delete, path = "/api/v1/origins/{id}/drain", tag = "cluster",
    params(("id" = String, Path, description = "The origin's id, as in the list")),
    responses(
        (status = 200, description = "It does not drain any more", body = Done),
        (status = 401, description = "The token is missing or wrong", body = ErrorBody),
        (status = 403, description = "Refused without a token", body = ErrorBody),
        (status = 404, description = "No such origin", body = ErrorBody),
    )
)]
pub(super) async fn undrain(
    api: State<Arc<ProxyApi>>,
    id: Path<String>,
) -> Result<Json<Done>, Failure> {
    set(api, id, false).await
}

async fn set(
    State(api): State<Arc<ProxyApi>>,
    Path(id): Path<String>,
    draining: bool,
) -> Result<Json<Done>, Failure> {
    match api.directory.drain(&NodeId::from_text(&id), draining).await {
        true => Ok(Json(Done::new(api.head()))),
        false => Err(no_origin()),
    }
}

fn no_origin() -> Failure {
    Failure::plain(StatusCode::NOT_FOUND, "no such origin")
}

fn view(one: &OriginView) -> ProxyOrigin {
    let node = &one.node;
    let report = &node.report;
    let updated = node.updated.duration_since(UNIX_EPOCH).unwrap_or_default();
    ProxyOrigin {
        id: node.id.to_string(),
        host: node.host.clone(),
        device_id: node.device.clone(),
        server: node.server.clone(),
        service: node.service.clone(),
        pid: node.pid.clone(),
        endpoints: endpoints(&node.endpoints),
        state: one.state.name(),
        draining: report.draining || one.state == OriginState::Draining,
        weight: report.weight,
        capacity: report.capacity,
        load: report.load.map(|load| OriginLoad {
            cpu: load.cpu,
            egress_bps: load.egress_bps,
            sessions: load.sessions,
        }),
        sessions: one.sessions,
        age: one.age.as_millis() as f64 / 1000.0,
        updated_ms: u64::try_from(updated.as_millis()).unwrap_or(u64::MAX),
        probe_ms: one.probe.map(|probe| probe.as_micros() as f64 / 1000.0),
    }
}

fn endpoints(all: &Endpoints) -> OriginEndpoints {
    let of = |service| all.get(service).to_vec();
    OriginEndpoints {
        rtmp: of(Service::Rtmp),
        http: of(Service::Http),
        api: of(Service::Api),
        srt: of(Service::Srt),
        rtc: of(Service::Rtc),
    }
}
