//! The proxy itself.
//!
//! Owns: version, health, readiness and the metrics page. Does not: register metrics.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::ProxyApi;
use crate::api::answer::{ErrorBody, Failure, Head};
use crate::api::metrics;
use crate::api::server::Version;

/// The version of this proxy, in the words of the SRS proxy and in those of SRS.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProxyVersions {
    /// What it is.
    #[schema(example = "Weir")]
    signature: &'static str,
    /// Major, minor and revision.
    #[schema(example = "0.1.0")]
    version: &'static str,
    #[serde(flatten)]
    head: Head,
    data: Version,
}

/// Version
///
/// The version of this proxy. Needs no token, on every listener.
#[utoipa::path(
    operation_id = "versions",
    get, path = "/api/v1/versions", tag = "process", security(()),
    responses((status = 200, description = "The version", body = ProxyVersions))
)]
pub(super) async fn versions(State(api): State<Arc<ProxyApi>>) -> Json<ProxyVersions> {
    Json(ProxyVersions {
        signature: "Weir",
        version: env!("CARGO_PKG_VERSION"),
        head: api.head(),
        data: Version::of_this(),
    })
}

/// Whether the process serves
///
/// Needs no token. 200 for as long as the process answers, also while it drains.
#[utoipa::path(
    operation_id = "healthz",
    get, path = "/healthz", tag = "process", security(()),
    responses((status = 200, description = "It serves", body = String, content_type = "text/plain"))
)]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether new sessions are welcome
///
/// Needs no token. 503 from the beginning of the drain, and for as long as there is no origin to send a session to, so
/// that a load balancer sends clients elsewhere.
#[utoipa::path(
    operation_id = "readyz",
    get, path = "/readyz", tag = "process", security(()),
    responses(
        (status = 200, description = "It accepts sessions and knows an origin", body = String,
            content_type = "text/plain"),
        (status = 503, description = "It drains, or knows no origin", body = ErrorBody),
    )
)]
pub(super) async fn readyz(State(api): State<Arc<ProxyApi>>) -> Result<&'static str, Failure> {
    if api.shutdown.is_draining() {
        return Err(Failure::draining());
    }
    if !api.directory.ready() {
        let text = "no origin is known to be alive";
        return Err(Failure::plain(StatusCode::SERVICE_UNAVAILABLE, text));
    }
    Ok("ok\n")
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
pub(super) async fn metrics(State(api): State<Arc<ProxyApi>>) -> Result<Response, Failure> {
    metrics::write(&api.registry)
}
