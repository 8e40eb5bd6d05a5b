//! The connections through this proxy.
//!
//! Owns: their list. Does not: end a session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use weir_proxy::sessions::Session;

use super::ProxyApi;
use crate::api::about::unix_ms;
use crate::api::answer::{ErrorBody, Failure, Head};
use crate::api::page::{Entry, Listing};

/// A connection.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProxySession {
    /// Its id, as in the log.
    #[schema(example = "0000c0de")]
    id: String,
    /// The protocol: `rtmp`, `rtmps`, `http` or `https`.
    #[schema(example = "rtmp")]
    protocol: &'static str,
    /// Address of the client, without its port.
    #[schema(example = "192.0.2.7")]
    ip: String,
    /// Address of the client with its port.
    #[schema(example = "192.0.2.7:51234")]
    peer: String,
    /// What it does: `opening`, `publish` or `play`.
    #[schema(example = "play")]
    role: &'static str,
    /// The stream; null before the client has said what it wants.
    #[schema(example = "__defaultVhost__/live/livestream")]
    stream: Option<String>,
    /// Id of the origin; null before one is chosen.
    origin: Option<String>,
    /// How bytes are moved, such as `splice`; empty before they are.
    path: &'static str,
    /// Bytes from the client to the origin.
    recv_bytes: u64,
    /// Bytes from the origin to the client.
    send_bytes: u64,
    /// How long it has been connected, in seconds.
    alive: f64,
    /// When it connected, in milliseconds since 1970 UTC.
    since_ms: u64,
}

/// A page of sessions.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProxySessions {
    #[serde(flatten)]
    head: Head,
    /// Sessions that were found: all, unless the request has a search.
    total: usize,
    /// Sessions left out before this page.
    start: usize,
    /// Sessions of this page.
    sessions: Vec<ProxySession>,
}

/// List sessions
///
/// The connections through this proxy, oldest first unless another order is asked for. A proxy takes no rates of them:
/// `kbps` orders by bytes.
#[utoipa::path(
    operation_id = "listSessions",
    get, path = "/api/v1/sessions", tag = "sessions", params(Listing),
    responses(
        (status = 200, description = "A page of the list", body = ProxySessions),
        (status = 400, description = "start or count is no number, or sort or order no word of theirs", body = ErrorBody),
        (status = 401, description = "The token is missing or wrong", body = ErrorBody),
        (status = 403, description = "Refused without a token", body = ErrorBody),
    )
)]
pub(super) async fn list(
    State(api): State<Arc<ProxyApi>>,
    listing: Listing,
) -> Result<Json<ProxySessions>, Failure> {
    let (total, shown) = listing.pick(api.sessions.list(), |session| entry(session));
    Ok(Json(ProxySessions {
        head: api.head(),
        total,
        start: listing.start(),
        sessions: shown.iter().map(|session| view(session)).collect(),
    }))
}

/// What a session is found and ordered by.
fn entry(session: &Session) -> Entry {
    let about = session.about();
    let stream = about.stream.map(|stream| stream.to_string());
    let (up, down) = (&session.up, &session.down);
    Entry {
        id: session.id.to_string(),
        peer: Some(SocketAddr::new(
            session.client.ip().to_canonical(),
            session.client.port(),
        )),
        stream: stream.unwrap_or_default(),
        protocol: session.protocol,
        role: about.role.name(),
        agent: about.node.map_or_else(String::new, |node| node.to_string()),
        since: unix_ms(session.since),
        kbps: up
            .load(Ordering::Relaxed)
            .saturating_add(down.load(Ordering::Relaxed)),
    }
}

fn view(session: &Session) -> ProxySession {
    let about = session.about();
    ProxySession {
        id: session.id.to_string(),
        protocol: session.protocol,
        ip: session.client.ip().to_canonical().to_string(),
        peer: session.client.to_string(),
        role: about.role.name(),
        stream: about.stream.map(|stream| stream.to_string()),
        origin: about.node.map(|node| node.to_string()),
        path: about.path,
        recv_bytes: session.up.load(Ordering::Relaxed),
        send_bytes: session.down.load(Ordering::Relaxed),
        alive: session.age().as_millis() as f64 / 1000.0,
        since_ms: unix_ms(session.since),
    }
}
