//! Lists of streams whose origin is gone, and which come back at another.
//!
//! Owns: the wait of a list for its stream's return. When an origin dies, its publishers come back at another within
//! seconds. Until then that other one says that it knows no such stream, and players take a 404 for the end: they ask
//! again after a 503, or when nothing has come yet. Invariant: what a well origin says of its own streams is passed on. Does
//! not: wait for streams that nobody has published.

use std::time::Duration;

use weir_cluster::{NodeId, Service};
use weir_net::clock;

use super::Shared;
use super::end::{End, Status};
use super::forward::{self, Asked};
use super::request::Ask;
use super::routes::Route;
use crate::directory::Placed;
use crate::sessions::Role;
use crate::settings::Settings;

/// How long a list is waited for. Players give one some 10 s to begin; encoders are back in 2 to 5.
const RETURN_WAIT: Duration = Duration::from_secs(8);

/// How long the new origin is left alone between two questions: a publisher has bound its stream some moments before the
/// origin has heard of it, and nobody tells the proxy when.
const PAUSE: Duration = Duration::from_millis(300);

/// Asks the stream's origin until there is an answer; see the head of this file.
pub(super) async fn asked(
    shared: &Shared,
    settings: &Settings,
    ask: &Ask<'_>,
    route: &Route,
) -> Result<Asked, End> {
    let mut asked = forward::asked(shared, settings, ask, route).await?;
    if !is_missing(ask, &asked) {
        return Ok(asked);
    }
    let now_at = &route.anew();
    if route.node.as_ref() == Some(&asked.placed.node.id) {
        return match is_elsewhere(shared, route, &asked.placed.node.id).await {
            true => forward::asked(shared, settings, ask, now_at).await,
            false => Ok(asked),
        };
    }
    if !is_lost(shared, route, &asked.placed).await {
        return Ok(asked);
    }
    let until = clock::now() + RETURN_WAIT;
    while is_missing(ask, &asked) {
        let left = until.saturating_duration_since(clock::now());
        if left.is_zero() {
            let detail = "the stream has not come back from an origin that is gone";
            return Err(End::told(Status::UNAVAILABLE, "no_origin", detail));
        }
        let directory = &shared.context.directory;
        let hold = directory.hold(&route.stream, &asked.placed, Role::Play);
        // its connection is not to be held meanwhile
        drop(asked);
        // when it is late, one more question tells
        let _ = tokio::time::timeout(left, hold.bound()).await;
        tokio::time::sleep(PAUSE.min(left)).await;
        asked = forward::asked(shared, settings, ask, now_at).await?;
    }
    Ok(asked)
}

/// Whether a list is not there.
fn is_missing(ask: &Ask<'_>, asked: &Asked) -> bool {
    ask.is_list && asked.response.status == 404
}

/// Whether the stream is bound to another origin than the one that its id names, which is well and has lost it.
async fn is_elsewhere(shared: &Shared, route: &Route, named: &NodeId) -> bool {
    let directory = &shared.context.directory;
    let placing = directory.place(&route.stream, Role::Play, Service::Http, &[]);
    let placed = placing.await;
    placed.is_ok_and(|placed| placed.claim.is_some() && placed.node.id != *named)
}

/// Whether the stream's own origin is gone, and the one at `placed` only stands in for it.
async fn is_lost(shared: &Shared, route: &Route, placed: &Placed) -> bool {
    let directory = &shared.context.directory;
    let named = route.node.as_ref();
    // forgotten ones are gone for longer than anybody waits
    named.is_some_and(|named| directory.node(named).is_some())
        || (placed.claim.is_none() && directory.is_bound(&route.stream).await)
}
