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

use crate::reply::{Prepared, Shared};
use crate::shelf::{DASH, Desk, HLS, Handle, Rank, Who};

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
    Whole(Shared),
    /// The beginning, and where the rest comes from.
    Growing(Prepared, Growth),
}

impl Found {
    /// A whole answer for one.
    pub(crate) fn whole(prepared: Prepared) -> Self {
        Self::Whole(prepared.into())
    }
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
            let news = self.handle.news(Rank::Media);
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

/// A request for a file.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    /// `None` where no segments are made.
    pub(crate) desk: Option<&'a Desk>,
    pub(crate) hub: &'a Arc<Hub>,
    /// Who asks.
    pub(crate) peer: SocketAddr,
    pub(crate) request: &'a Request,
    pub(crate) key: &'a StreamKey,
    pub(crate) file: File,
}

/// A request that has no answer yet.
pub(crate) struct Waiting {
    handle: Handle,
    since: Instant,
    until: Instant,
}

impl Question<'_> {
    /// Answers at once, if there is an answer.
    pub(crate) fn ask(&self) -> Result<Found, Box<Waiting>> {
        let Some(desk) = self.desk else {
            return Ok(self.refuse(404, "this server makes no segments"));
        };
        let since = clock::now();
        let Some(handle) = desk.open(since, self.key) else {
            return Ok(self.counted(self.refuse(404, "nobody publishes this stream")));
        };
        match self.answer(&handle, since, since) {
            Ok(found) => Ok(self.counted(found)),
            Err(until) => Err(Box::new(Waiting {
                handle,
                since,
                until,
            })),
        }
    }

    /// Answers when there is an answer. To be polled before this core's other tasks run, so that no news is missed.
    pub(crate) async fn wait(&self, mut waiting: Box<Waiting>) -> Found {
        let _counted = self.desk.map(|desk| desk.metrics().wait());
        let rank = match self.file {
            File::Multivariant | File::Playlist(_) | File::Manifest => Rank::List,
            _ => Rank::Media,
        };
        loop {
            // as of the question before: the herald has not run since
            let news = waiting.handle.news(rank);
            tokio::select! {
                biased;
                () = news => {}
                () = tokio::time::sleep_until(waiting.until.into()) => {}
            }
            match self.answer(&waiting.handle, waiting.since, clock::now()) {
                Ok(found) => return self.counted(found),
                Err(until) => waiting.until = until,
            }
        }
    }

    /// What the channel says now; until when to wait where it says nothing.
    fn answer(&self, handle: &Handle, since: Instant, now: Instant) -> Result<Found, Instant> {
        let (request, file) = (self.request, self.file);
        let admits = |bytes| handle.admit(now, &who(self.peer, file, request), self.hub, bytes);
        let away = || {
            let reply = Reply::refusal(403, Cache::Never, "this viewer was sent away");
            Found::whole(Prepared::file(request, reply))
        };
        let whole = |shared: Shared| match admits(shared.length()) {
            true => Found::Whole(shared),
            false => away(),
        };
        if let Some(shared) = handle.recall(request, file) {
            return Ok(whole(shared));
        }
        let ask = Ask {
            file,
            query: &request.query,
            accepts_gzip: request.accepts_gzip,
            since,
        };
        match handle.ask(now, &ask) {
            Answer::Ready(reply) => {
                let cache = reply.cache;
                let prepared = Prepared::file(request, reply);
                let shared = handle.share(request, file, prepared, cache);
                Ok(whole(shared))
            }
            Answer::Growing(reply, rest) => {
                let prepared = Prepared::growing(reply);
                if !admits(prepared.bytes()) {
                    return Ok(away());
                }
                let growth = Growth {
                    handle: handle.clone(),
                    since,
                    rest,
                };
                Ok(Found::Growing(prepared, growth))
            }
            Answer::Wait { until } => Err(until),
        }
    }

    fn refuse(&self, status: u16, text: &str) -> Found {
        let reply = Reply::refusal(status, Cache::Seconds(1), text);
        Found::whole(Prepared::file(self.request, reply))
    }

    fn counted(&self, found: Found) -> Found {
        let prepared = match &found {
            Found::Whole(shared) => shared.prepared(),
            Found::Growing(prepared, _) => prepared,
        };
        if let Some(desk) = self.desk {
            desk.metrics().answered(prepared.status.0);
        }
        found
    }
}
