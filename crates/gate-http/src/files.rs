//! Requests for files of streams: playlists, manifests, segments, parts and keys.
//!
//! Owns: the wait of a request for what is to come, and the audience's count, for every version of HTTP. Does not: know
//! what a file is (`weir-segment` does) or which channels there are (the shelf does), or write to connections.
//!
//! A request that waits is one future with one timer; it is woken by its core's herald and costs nothing meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use weir_hub::Hub;
use weir_media::StreamKey;
use weir_net::clock;
use weir_segment::{Answer, Ask, Cache, File, More, Reply, Rest};

use weir_http::request::Request;

use crate::reply::Prepared;
use crate::shelf::{DASH, Desk, HLS, Handle, Who};

/// Who asks at the other end, `peer`, for `file`.
fn who(peer: SocketAddr, file: File, request: &Request) -> Who<'_> {
    Who {
        // segments are the same for both
        list: match file {
            File::Manifest => Some(DASH),
            File::Multivariant | File::Playlist(_) => Some(HLS),
            _ => None,
        },
        peer,
        agent: &request.agent,
        forwarded: request.forwarded_for.as_deref().unwrap_or_default(),
    }
}

/// What came of a request.
pub(crate) enum Found {
    /// The whole answer.
    Whole(Prepared),
    /// The beginning, and where the rest comes from.
    Growing(Prepared, Growth),
}

/// The rest of a segment under way.
pub(crate) struct Growth {
    handle: Handle,
    since: Instant,
    rest: Rest,
}

impl Growth {
    /// What has come since; waits until something has. True with the last of it.
    pub(crate) async fn more(&mut self) -> (Vec<Bytes>, bool) {
        loop {
            let news = self.handle.news();
            match self.handle.more(self.since, &mut self.rest) {
                More::Pieces { body, is_last } if is_last || !body.is_empty() => {
                    return (body, is_last);
                }
                More::Pieces { .. } => news.await,
                More::Wait { until } => {
                    tokio::select! {
                        () = news => {}
                        () = tokio::time::sleep_until(until.into()) => {}
                    }
                }
            }
        }
    }
}

/// Answers a request for a file, at once or when there is an answer.
pub(crate) async fn find(
    desk: Option<&Desk>,
    hub: &Arc<Hub>,
    peer: SocketAddr,
    request: &Request,
    (key, file): (&StreamKey, File),
) -> Found {
    let since = clock::now();
    let Some(desk) = desk else {
        let text = "this server makes no segments";
        return refuse(request, 404, text);
    };
    let found = match desk.open(key) {
        Some(handle) => answer(desk, handle, hub, peer, request, (file, since)).await,
        None => refuse(request, 404, "nobody publishes this stream"),
    };
    let (Found::Whole(prepared) | Found::Growing(prepared, _)) = &found;
    desk.metrics().answered(prepared.status.0);
    found
}

fn refuse(request: &Request, status: u16, text: &str) -> Found {
    let reply = Reply::refusal(status, Cache::Seconds(1), text);
    Found::Whole(Prepared::file(request, reply))
}

async fn answer(
    desk: &Desk,
    handle: Handle,
    hub: &Arc<Hub>,
    peer: SocketAddr,
    request: &Request,
    (file, since): (File, Instant),
) -> Found {
    let ask = Ask {
        file,
        query: &request.query,
        accepts_gzip: request.accepts_gzip,
        since,
    };
    let admits = |bytes| handle.admit(&who(peer, file, request), hub, bytes);
    let away = || {
        let reply = Reply::refusal(403, Cache::Never, "this viewer was sent away");
        Found::Whole(Prepared::file(request, reply))
    };
    let mut waiting = None;
    loop {
        // taken before the question, so that what comes after it is not missed
        let news = handle.news();
        match handle.ask(&ask) {
            Answer::Ready(reply) => {
                let prepared = Prepared::file(request, reply);
                return match admits(prepared.bytes()) {
                    true => Found::Whole(prepared),
                    false => away(),
                };
            }
            Answer::Growing(reply, rest) => {
                let prepared = Prepared::growing(reply);
                if !admits(prepared.bytes()) {
                    return away();
                }
                let growth = Growth {
                    handle,
                    since,
                    rest,
                };
                return Found::Growing(prepared, growth);
            }
            Answer::Wait { until } => {
                waiting.get_or_insert_with(|| desk.metrics().wait());
                tokio::select! {
                    () = news => {}
                    () = tokio::time::sleep_until(until.into()) => {}
                }
            }
        }
    }
}
