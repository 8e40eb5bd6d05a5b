//! The connections.
//!
//! Owns: the list of clients, one client, and its kick. Does not: end a session; its gate does when it sees the wish.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;
use weir_hub::{EndReason, Session, SessionRole};
use weir_net::clock;

use super::Shared;
use super::about::unix_ms;
use super::answer::{Done, ErrorBody, Failure, Head};
use super::identity::{stream_id, vhost_id};
use super::metrics::role_label;
use super::page::{Entry, Listing};
use super::rates::Kbps;
use super::streams::{stream_url, tc_url};

/// A connection.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Client {
    /// Its id: that of the session in the log.
    #[schema(example = "1tq5p0ao3k")]
    id: String,
    /// Id of the virtual host; null before it has said what it wants.
    vhost: Option<String>,
    /// Id of the stream; null before it has said what it wants.
    stream: Option<String>,
    /// Address of the other end, without its port.
    #[schema(example = "192.0.2.7")]
    ip: String,
    /// Always empty; SRS has the address of a Flash player's page here.
    #[serde(rename = "pageUrl")]
    page_url: String,
    /// Always empty; SRS has the address of a Flash player here.
    #[serde(rename = "swfUrl")]
    swf_url: String,
    /// RTMP address of the application; empty before the client has said what it wants.
    #[serde(rename = "tcUrl")]
    tc_url: String,
    /// Path of the stream; empty before the client has said what it wants.
    #[schema(example = "/live/livestream")]
    url: String,
    /// Name of the stream; empty before the client has said what it wants.
    #[schema(example = "livestream")]
    name: String,
    /// Protocol and role in the words of SRS, or in its manner: `rtmp-play`, `flv-play`, `ts-play`, `hls-play`,
    /// `dash-play`, `fmle-publish`, `flv-publish`, `ts-publish`, or `Unknown` before the client has said what it wants.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Whether it publishes.
    publish: bool,
    /// How long it has been connected, in seconds.
    alive: f64,
    /// Bytes sent to it.
    send_bytes: u64,
    /// Bytes received from it.
    recv_bytes: u64,
    kbps: Kbps,
    /// Address of the other end with its port.
    #[schema(example = "192.0.2.7:51234")]
    peer: String,
    /// The protocol, such as `rtmp` or `http-flv`.
    #[schema(example = "rtmp")]
    protocol: &'static str,
    /// What it does: `opening`, `publisher` or `player`.
    role: &'static str,
    /// The software at the other end, as it names itself; empty when it does not.
    agent: String,
    /// When it connected, in milliseconds since 1970 UTC.
    since_ms: u64,
}

/// A page of clients.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Clients {
    #[serde(flatten)]
    head: Head,
    /// Clients that were found: all, unless the request has a search.
    total: usize,
    /// Clients left out before this page.
    start: usize,
    /// Clients of this page.
    clients: Vec<Client>,
}

/// One client.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OneClient {
    #[serde(flatten)]
    head: Head,
    client: Client,
}

/// List clients
///
/// The connections, oldest first unless another order is asked for.
#[utoipa::path(
    operation_id = "listClients",
    get, path = "/api/v1/clients", tag = "clients", params(Listing),
    responses(
        (status = 200, description = "A page of the list", body = Clients),
        (status = 400, description = "start or count is no number, or sort or order no word of theirs", body = ErrorBody),
        (status = 401, description = "The token is missing or wrong", body = ErrorBody),
        (status = 403, description = "Refused without a token", body = ErrorBody),
    )
)]
pub(super) async fn list(State(shared): State<Arc<Shared>>, listing: Listing) -> Json<Clients> {
    let all = shared.origin().hub().sessions().page(0, usize::MAX);
    let (total, picked) = listing.pick(all, |session| entry(&shared, session));
    let now = clock::now();
    Json(Clients {
        head: shared.head(),
        total,
        start: listing.start(),
        clients: picked
            .iter()
            .map(|session| client(&shared, session, now))
            .collect(),
    })
}

/// What a session is found and ordered by.
fn entry(shared: &Shared, session: &Session) -> Entry {
    let activity = session.activity();
    let kbps = shared.rates.session(session.id);
    Entry {
        id: session.id.to_string(),
        peer: Some(SocketAddr::new(
            session.peer.ip().to_canonical(),
            session.peer.port(),
        )),
        stream: activity
            .stream
            .as_ref()
            .map_or_else(String::new, stream_url),
        protocol: session.protocol,
        role: role_label(activity.role),
        agent: activity.agent,
        since: unix_ms(session.since_wallclock),
        kbps: kbps.recv_30s.saturating_add(kbps.send_30s),
    }
}

/// One client
///
/// The connection with this id.
#[utoipa::path(
    operation_id = "client",
    get, path = "/api/v1/clients/{id}", tag = "clients",
    params(("id" = String, Path, description = "The client's id, as in the list and the log")),
    responses(
        (status = 200, description = "The client", body = OneClient),
        (status = 401, description = "The token is missing or wrong", body = ErrorBody),
        (status = 403, description = "Refused without a token", body = ErrorBody),
        (status = 404, description = "No such client", body = ErrorBody),
    )
)]
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Json<OneClient>, Failure> {
    let session = find(&shared, &id)?;
    Ok(Json(OneClient {
        head: shared.head(),
        client: client(&shared, &session, clock::now()),
    }))
}

/// Kick a client
///
/// Closes the connection with this id. The answer does not wait for the close; nothing keeps the client from coming
/// back.
#[utoipa::path(
    operation_id = "kickClient",
    delete, path = "/api/v1/clients/{id}", tag = "clients",
    params(("id" = String, Path, description = "The client's id, as in the list and the log")),
    responses(
        (status = 200, description = "The client is being closed", body = Done),
        (status = 401, description = "The token is missing or wrong", body = ErrorBody),
        (status = 403, description = "Refused without a token", body = ErrorBody),
        (status = 404, description = "No such client", body = ErrorBody),
    )
)]
pub(super) async fn kick(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Json<Done>, Failure> {
    let session = find(&shared, &id)?;
    tracing::info!(session = %session.id, "kicked through the api");
    session.end(EndReason::Kicked);
    Ok(Json(Done::new(shared.head())))
}

fn find(shared: &Shared, id: &str) -> Result<Arc<Session>, Failure> {
    id.parse()
        .ok()
        .and_then(|id| shared.origin().hub().sessions().find(id))
        .ok_or_else(Failure::no_client)
}

fn client(shared: &Shared, session: &Session, now: Instant) -> Client {
    let activity = session.activity();
    let key = activity.stream.as_ref();
    let alive = now.saturating_duration_since(session.since);
    Client {
        id: session.id.to_string(),
        vhost: key.map(|key| vhost_id(key.vhost())),
        stream: key.map(stream_id),
        ip: session.peer.ip().to_canonical().to_string(),
        page_url: String::new(),
        swf_url: String::new(),
        tc_url: key.map_or_else(String::new, |key| tc_url(key, shared.rtmp_port)),
        url: key.map_or_else(String::new, stream_url),
        name: key.map_or_else(String::new, |key| key.name().to_owned()),
        kind: kind(session.protocol, activity.role),
        publish: activity.role == SessionRole::Publisher,
        alive: alive.as_millis() as f64 / 1000.0,
        send_bytes: session.bytes_out.load(Ordering::Relaxed),
        recv_bytes: session.bytes_in.load(Ordering::Relaxed),
        kbps: shared.rates.session(session.id),
        peer: session.peer.to_string(),
        protocol: session.protocol,
        role: role_label(activity.role),
        agent: activity.agent,
        since_ms: unix_ms(session.since_wallclock),
    }
}

/// SRS's word for a kind of client (`srs_client_type_string`), and one in its manner where it has none.
fn kind(protocol: &str, role: SessionRole) -> &'static str {
    match (protocol, role) {
        ("rtmp", SessionRole::Player) => "rtmp-play",
        ("rtmp", SessionRole::Publisher) => "fmle-publish",
        ("http-flv", SessionRole::Player) => "flv-play",
        ("http-flv", SessionRole::Publisher) => "flv-publish",
        ("http-ts", SessionRole::Player) => "ts-play",
        ("http-ts", SessionRole::Publisher) => "ts-publish",
        ("hls", SessionRole::Player) => "hls-play",
        ("dash", SessionRole::Player) => "dash-play",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_in_the_words_of_srs() {
        assert_eq!(kind("rtmp", SessionRole::Publisher), "fmle-publish");
        assert_eq!(kind("http-flv", SessionRole::Player), "flv-play");
        assert_eq!(kind("rtmp", SessionRole::Opening), "Unknown");
    }
}
