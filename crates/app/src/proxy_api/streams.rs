//! Which stream is where.
//!
//! Owns: the list of this proxy's streams and of the cluster's, and the order to forget one. Does not: place streams.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_cluster::{Key, NodeId};

use super::ProxyApi;
use crate::api::answer::{Done, ErrorBody, Failure, Head};
use crate::api::page::Page;

/// Most streams of which a page is cut. A list of more is no use to people, and the state is asked for all of them at
/// once.
const MOST_STREAMS: usize = 10_000;

/// A stream and its origin. A stream with sessions at two origins, because it was placed anew, has two rows.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProxyStream {
    /// The stream.
    #[schema(example = "__defaultVhost__/live/livestream")]
    stream: String,
    /// Id of the origin.
    #[schema(example = "vid-85944171f73967e8-9f86d081-4711")]
    origin: String,
    /// Sessions of this proxy.
    sessions: u32,
    /// Those of them that send it.
    publishers: u32,
    /// Those of them that receive it.
    viewers: u32,
}

/// A page of streams.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProxyStreams {
    #[serde(flatten)]
    head: Head,
    /// Rows in the whole list; one of more than 10,000 is cut.
    total: usize,
    /// Streams left out before this page.
    start: usize,
    /// Streams of this page, in order of their names.
    streams: Vec<ProxyStream>,
}

/// Whose streams are asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Scope {
    /// All streams that the cluster's state has placed, rather than those with sessions at this proxy.
    #[param(default = false)]
    #[serde(default)]
    cluster: bool,
}

/// List streams
///
/// The streams with sessions at this proxy and their origins, or with `cluster=true` all that the cluster has placed.
#[utoipa::path(
    operation_id = "listStreams",
    get, path = "/api/v1/streams", tag = "cluster", params(Scope, Page),
    responses(
        (status = 200, description = "A page of the list", body = ProxyStreams),
        (status = 400, description = "start or count is no number, or cluster neither true nor false",
            body = ErrorBody),
        (status = 401, description = "The token is missing or wrong", body = ErrorBody),
        (status = 403, description = "Refused without a token", body = ErrorBody),
        (status = 503, description = "The cluster's state does not answer", body = ErrorBody),
    )
)]
pub(super) async fn list(
    State(api): State<Arc<ProxyApi>>,
    scope: Result<Query<Scope>, QueryRejection>,
    page: Page,
) -> Result<Json<ProxyStreams>, Failure> {
    let Query(scope) = scope.map_err(|error| Failure::bad_request(error.body_text()))?;
    let local = api.directory.streams(MOST_STREAMS);
    let mut streams: Vec<ProxyStream> = local
        .into_iter()
        .map(|one| ProxyStream {
            stream: one.stream.to_string(),
            origin: one.node.to_string(),
            sessions: one.sessions,
            publishers: one.publishers,
            viewers: one.viewers,
        })
        .collect();
    if scope.cluster {
        let placed = api.directory.cluster_streams(MOST_STREAMS).await;
        let placed = placed
            .map_err(|error| Failure::plain(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
        streams = of_cluster(placed, streams);
    }
    streams.sort_by(|a, b| (&a.stream, &a.origin).cmp(&(&b.stream, &b.origin)));
    let (total, start) = (streams.len(), page.start());
    Ok(Json(ProxyStreams {
        head: api.head(),
        total,
        start,
        streams: streams.into_iter().skip(start).take(page.count()).collect(),
    }))
}

/// What the cluster has placed, with the counts of this proxy where it has sessions.
fn of_cluster(placed: Vec<(Key, NodeId)>, local: Vec<ProxyStream>) -> Vec<ProxyStream> {
    let mut local: HashMap<(String, String), ProxyStream> = local
        .into_iter()
        .map(|one| ((one.stream.clone(), one.origin.clone()), one))
        .collect();
    placed
        .into_iter()
        .map(|(stream, origin)| {
            let (stream, origin) = (stream.to_string(), origin.to_string());
            let key = (stream, origin);
            local.remove(&key).unwrap_or(ProxyStream {
                stream: key.0,
                origin: key.1,
                sessions: 0,
                publishers: 0,
                viewers: 0,
            })
        })
        .collect()
}

/// Forget a stream
///
/// Takes the stream's place in the cluster away: who asks for it next is placed anew. Sessions that are open stay where
/// they are. Slashes of the name may be written as they are.
#[utoipa::path(
    operation_id = "forgetStream",
    delete, path = "/api/v1/streams/{key}", tag = "cluster",
    params(("key" = String, Path, description = "The stream, as in the list", example = "__defaultVhost__/live/livestream")),
    responses(
        (status = 200, description = "It is forgotten, if it was known", body = Done),
        (status = 401, description = "The token is missing or wrong", body = ErrorBody),
        (status = 403, description = "Refused without a token", body = ErrorBody),
        (status = 404, description = "No stream can have this name", body = ErrorBody),
        (status = 503, description = "The cluster's state does not answer", body = ErrorBody),
    )
)]
pub(super) async fn forget(
    State(api): State<Arc<ProxyApi>>,
    Path(key): Path<String>,
) -> Result<Json<Done>, Failure> {
    let stream = Key::new(&key).map_err(|_| Failure::no_stream())?;
    let forgotten = api.directory.forget(&stream).await;
    forgotten
        .map_err(|error| Failure::plain(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    tracing::info!(%stream, "stream forgotten through the api");
    Ok(Json(Done::new(api.head())))
}

/// The same, with a key whose slashes are slashes of the path.
pub(super) async fn forget_with_slashes(
    state: State<Arc<ProxyApi>>,
    Path((key, rest)): Path<(String, String)>,
) -> Result<Json<Done>, Failure> {
    forget(state, Path(format!("{key}/{rest}"))).await
}
