//! Origins register and say goodbye.
//!
//! Owns: the way of such a request: who may, the body within its bound, the answer, and a line in the log when one is
//! refused. Does not: read bodies (`weir_proxy::register` does).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::{Bytes, to_bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_cluster::StateError;
use weir_net::clock;
use weir_proxy::register::{LEAVE, MAX_BODY_BYTES, RegisterError, Registration};

use super::{KEY, ProxyApi};
use crate::api::answer::{ErrorBody, Failure};
use crate::api::guard;

/// Where origins register.
pub(super) const PATH: &str = "/api/v1/srs/register";

/// Time between two lines about refusals. Nobody needs leave to be refused, so nobody may fill the log with it; who
/// registers wrongly does so every few seconds, and is seen soon.
const QUIET: Duration = Duration::from_secs(10);

/// Logs refusals, of which whoever runs the origin may never see the answer: SRS does not read it.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Spoken>);

#[derive(Debug, Default)]
struct Spoken {
    last: Option<Instant>,
    unsaid: u64,
}

impl Refusals {
    fn log(&self, peer: IpAddr, error: &RegisterError) {
        if let Some(unsaid) = self.speak(clock::now()) {
            tracing::warn!(%peer, %error, unsaid, "registration refused");
        }
    }

    /// How many were not logged since the last one that was, if this one is to be.
    fn speak(&self, now: Instant) -> Option<u64> {
        let mut spoken = self.0.lock();
        let last = spoken.last;
        if last.is_some_and(|last| now.saturating_duration_since(last) < QUIET) {
            spoken.unsaid += 1;
            return None;
        }
        spoken.last = Some(now);
        Some(std::mem::take(&mut spoken.unsaid))
    }
}

/// What an origin says of itself; more keys are allowed and ignored.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes what is read elsewhere")]
pub(super) struct RegistrationBody {
    /// Address or host name where proxies reach the origin.
    #[schema(example = "192.0.2.7")]
    ip: String,
    /// Kept by the origin over restarts.
    #[schema(example = "vid-85944171f73967e8")]
    server: String,
    /// New at each start.
    #[schema(example = "9f86d081")]
    service: String,
    /// Process id, as a text; a number is taken too.
    #[schema(example = "4711")]
    pid: String,
    /// Where it listens for RTMP: a port, `:port`, `ip:port`, `[v6]:port`, or one of these behind `udp://` or `tcp://`.
    /// The first entry is dialled, at `ip`.
    #[schema(min_items = 1, max_items = 16, example = json!(["1935"]))]
    rtmp: Vec<String>,
    /// HTTP streams.
    http: Option<Vec<String>>,
    /// HTTP API.
    api: Option<Vec<String>>,
    /// SRT.
    srt: Option<Vec<String>>,
    /// WebRTC media.
    rtc: Option<Vec<String>>,
    /// What its owner calls it.
    device_id: Option<String>,
    /// `leave` makes the registration a goodbye, which needs `server`, `service` and `pid` alone.
    action: Option<String>,
    /// Summaries of SRS, of which CPU and connections are read.
    #[schema(value_type = Option<Object>)]
    summaries: Option<()>,
    weir: Option<WeirExtension>,
}

/// What Weir's origins say besides.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes what is read elsewhere")]
pub(super) struct WeirExtension {
    /// Share of new streams; 100 is one share, 0 takes none.
    #[schema(maximum = 100_000, default = 100)]
    weight: Option<u32>,
    /// Most sessions; 0 is no limit.
    #[schema(default = 0)]
    capacity: Option<u32>,
    /// No new streams, please.
    #[schema(default = false)]
    draining: Option<bool>,
    /// CPU in use, as a share of what it may use: 0.0 to 1.0.
    cpu: Option<f64>,
    /// Bits a second it sends.
    egress_bps: Option<u64>,
    /// Sessions it serves.
    sessions: Option<u32>,
}

/// The answer, byte for byte that of the SRS proxy.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Registered {
    /// 0.
    #[schema(example = 0)]
    code: u32,
    /// Process id of the proxy.
    #[schema(example = "4711")]
    pid: String,
}

/// What may stand in the query.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// `leave` makes it a goodbye.
    action: Option<String>,
    /// Of a goodbye without a body: who leaves.
    server: Option<String>,
    /// Of a goodbye without a body: who leaves.
    service: Option<String>,
    /// Of a goodbye without a body: who leaves.
    pid: Option<String>,
}

/// Register an origin
///
/// Enters the origin, or renews it: the same server, service and pid are the same origin, and all its fields are
/// replaced. Any method with a body does the same, except `DELETE`. `Content-Type` does not matter.
#[utoipa::path(
    operation_id = "register",
    post, path = "/api/v1/srs/register", tag = "registration",
    params(("action" = Option<String>, Query, description = "`leave` makes it a goodbye")),
    request_body(content = RegistrationBody),
    responses(
        (status = 200, description = "It is registered", body = Registered),
        (status = 400, description = "A field is missing or not usable: the text names it", body = ErrorBody),
        (status = 401, description = "The token is missing or wrong", body = ErrorBody),
        (status = 403, description = "The peer may not register, or not this address", body = ErrorBody),
        (status = 413, description = "The body is larger than 1 MiB", body = ErrorBody),
        (status = 503, description = "There is no room", body = ErrorBody),
    )
)]
pub(super) async fn register(
    State(api): State<Arc<ProxyApi>>,
    Extension(refusals): Extension<Arc<Refusals>>,
    asked: Result<Query<Asked>, QueryRejection>,
    request: Request,
) -> Result<Response, Failure> {
    let Some(peer) = guard::peer(&request) else {
        return Err(Failure::internal("the other end is not known"));
    };
    authorize(&api, request.headers())?;
    // a query that is none of ours, as the SRS proxy ignores it
    let asked = asked.map(|Query(asked)| asked).unwrap_or_default();
    take(&api, peer, asked, request)
        .await
        .inspect_err(|error| {
            if let Refused::Registration(error) = error {
                refusals.log(peer, error);
            }
        })
        .map_err(|error| failure(&error))
}

/// Strike an origin off
///
/// Says goodbye: no session goes there any more. Streams that were there are placed anew when they are asked for. Names
/// the origin in the query, or in a body as that of the registration.
#[utoipa::path(
    operation_id = "leave",
    delete, path = "/api/v1/srs/register", tag = "registration", params(Asked),
    responses(
        (status = 200, description = "It is not there any more, if it was", body = Registered),
        (status = 400, description = "A part of the identity is missing: the text names it", body = ErrorBody),
        (status = 401, description = "The token is missing or wrong", body = ErrorBody),
        (status = 403, description = "The peer may not register", body = ErrorBody),
    )
)]
pub(super) async fn leave(
    state: State<Arc<ProxyApi>>,
    refusals: Extension<Arc<Refusals>>,
    asked: Result<Query<Asked>, QueryRejection>,
    request: Request,
) -> Result<Response, Failure> {
    register(state, refusals, asked, request).await
}

/// Why a request is not served.
#[derive(Debug, thiserror::Error)]
enum Refused {
    /// It is wrong, or not allowed.
    #[error(transparent)]
    Registration(#[from] RegisterError),
    /// The cluster cannot take it.
    #[error(transparent)]
    State(#[from] StateError),
}

fn authorize(api: &ProxyApi, headers: &HeaderMap) -> Result<(), Failure> {
    let token = api.token.load();
    match token.is_empty() {
        true => guard::of_no_foreign_page(KEY, headers),
        false => guard::authorized((KEY, &token), headers),
    }
}

async fn take(
    api: &ProxyApi,
    peer: IpAddr,
    asked: Asked,
    request: Request,
) -> Result<Response, Refused> {
    // before the body is read
    api.policy.load().check(peer)?;
    let leaves = request.method() == Method::DELETE || asked.action.as_deref() == Some(LEAVE);
    let body = body(request).await?;
    let registration = match leaves && body.is_empty() {
        true => Registration::of_identity(asked.server, asked.service, asked.pid),
        false => Registration::read(&body)?,
    };
    if leaves || registration.is_leave() {
        // the same twice is no mistake
        api.directory.leave(&registration.id()?).await;
    } else {
        let policy = api.policy.load_full();
        let node = registration.into_node(peer, clock::wallclock(), &policy)?;
        api.directory.register(node).await?;
    }
    let answer = Registered {
        code: 0,
        pid: api.identity.pid.to_string(),
    };
    Ok(Json(answer).into_response())
}

async fn body(request: Request) -> Result<Bytes, RegisterError> {
    let declared = declared(request.headers());
    if declared.is_some_and(|length| length > MAX_BODY_BYTES as u64) {
        return Err(RegisterError::TooLarge);
    }
    // a body of unknown length that is cut off by its sender is as unusable as one that is too large
    to_bytes(request.into_body(), MAX_BODY_BYTES)
        .await
        .map_err(|_| RegisterError::TooLarge)
}

fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn failure(error: &Refused) -> Failure {
    let status = match error {
        Refused::State(_) => StatusCode::SERVICE_UNAVAILABLE,
        Refused::Registration(RegisterError::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
        Refused::Registration(error) if error.is_forbidden() => StatusCode::FORBIDDEN,
        Refused::Registration(_) => StatusCode::BAD_REQUEST,
    };
    Failure::plain(status, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_logged_now_and_then_and_counted() {
        let (refusals, start) = (Refusals::default(), clock::now());
        let after = |seconds| refusals.speak(start + Duration::from_secs(seconds));
        assert_eq!(after(0), Some(0));
        assert_eq!((after(1), after(9)), (None, None));
        assert_eq!(after(10), Some(2));
        assert_eq!((after(11), after(20)), (None, Some(1)));
    }
}
