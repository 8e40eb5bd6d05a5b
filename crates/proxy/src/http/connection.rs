//! One client's connection, from its first request to its end.
//!
//! Owns: the order of requests, what each is about, and the last words. Invariant: a request is read when the answer
//! before it is complete. Does not: ask origins ([`super::forward`] and [`super::publish`] do).

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::net::TcpStream;
use weir_http::head::{Heads, Whole};
use weir_http::request::{BodyLength, Method};
use weir_net::admission::Refusal;
use weir_net::door::Transport;
use weir_net::relay::{Counters, Ended};

use super::answer::Manner;
use super::client::Client;
use super::end::{End, Status};
use super::target::{self, Kind};
use super::{Shared, files, routes};
use crate::directory::Hold;
use crate::sessions::Opened;
use crate::settings::Settings;

/// The name of sessions and refusals.
const PROTOCOL: &str = "http";

/// The same, through TLS.
const SECURE_PROTOCOL: &str = "https";

/// Where the proxy says its version.
const VERSIONS: &str = "/api/v1/versions";

/// A client with everything at hand to serve it.
pub(super) struct Connection {
    pub(super) shared: Rc<Shared>,
    /// Those that were in force when it began.
    pub(super) settings: Arc<Settings>,
    pub(super) client: Client,
    /// Its address as far as it is known.
    pub(super) address: SocketAddr,
    /// The other end of its socket: the same, or a balancer.
    pub(super) socket_peer: SocketAddr,
    pub(super) opened: Opened,
    pub(super) manner: Manner,
    /// The answer to the request under way has begun.
    pub(super) answered: bool,
    refusal: Option<Refusal>,
}

/// What follows an answer.
pub(super) enum Next {
    /// The next request, if the connection is kept.
    Again,
    /// Bytes both ways, until one side closes.
    Join(Joint),
}

/// The origin that a client is joined to.
pub(super) struct Joint {
    pub(super) origin: TcpStream,
    pub(super) hold: Hold,
    /// What the client says is for the origin too.
    pub(super) both_ways: bool,
}

/// Serves a connection until it ends.
pub(super) async fn run(shared: Rc<Shared>, stream: TcpStream, peer: SocketAddr) {
    // what the requests need is not to be held for as long as a stream lasts
    let begun = begin(Rc::clone(&shared), stream, peer);
    let Some((connection, joint)) = Box::pin(begun).await else {
        return;
    };
    let Some((stream, mut opened, settings)) = connection.hand_over() else {
        return;
    };
    let counters: Arc<dyn Counters> = Arc::clone(opened.session()) as _;
    let context = &shared.context;
    let (relay, stalled) = (&context.relay, settings.stalled);
    let joined = match joint.both_ways {
        true => relay.join(stream, joint.origin, counters, stalled),
        // a request behind this one is not for the origin to answer: it would pass unchecked
        false => relay.join_one_way(stream, joint.origin, counters, stalled),
    };
    let (reason, detail) = match joined {
        Err(error) => ("failed", error.to_string()),
        Ok(joined) => tokio::select! {
            ended = joined => words(ended),
            _ = joint.hold.moved() => ("moved", "the stream is at another origin now".to_owned()),
            () = context.core.shutdown().stopped() => ("shutdown", "the proxy stops".to_owned()),
        },
    };
    opened.because(reason, detail);
    drop(joint.hold);
}

fn words(ended: Ended) -> (&'static str, String) {
    match ended {
        Ended::First => ("client_closed", String::new()),
        Ended::Second => ("origin_closed", String::new()),
        Ended::Stalled(true) => ("client_stalled", "its socket took nothing".to_owned()),
        Ended::Stalled(false) => ("origin_stalled", "its socket took nothing".to_owned()),
        Ended::Failed(true, error) => ("client_closed", error.to_string()),
        Ended::Failed(false, error) => ("origin_failed", error.to_string()),
    }
}

/// Serves requests until the connection ends, or is joined to an origin's.
async fn begin(
    shared: Rc<Shared>,
    stream: TcpStream,
    peer: SocketAddr,
) -> Option<(Connection, Joint)> {
    let settings = shared.context.settings();
    let arrival = match shared.door.enter(stream, peer, settings.opening).await {
        Ok(arrival) => arrival,
        Err(error) => {
            tracing::debug!(%peer, %error, "connection did not pass the door");
            return None;
        }
    };
    let protocol = match &arrival.stream {
        Transport::Plain(_) => PROTOCOL,
        Transport::Tls(_) => SECURE_PROTOCOL,
    };
    let context = &shared.context;
    let (permit, refusal) = context.admit(protocol, arrival.client)?;
    let opened = context.sessions.open(protocol, arrival.client, permit);
    let client = Client {
        stream: arrival.stream,
        heads: Heads::new(settings.http.max_head_bytes),
    };
    let mut connection = Connection {
        shared,
        settings,
        client,
        address: arrival.client,
        socket_peer: peer,
        opened,
        manner: Manner::default(),
        answered: false,
        refusal,
    };
    match connection.serve().await {
        Ok(joint) => Some((connection, joint)),
        Err(end) => {
            connection.finish(end).await;
            None
        }
    }
}

impl Connection {
    /// What is needed after the last request; `None` for a client that the relay cannot serve.
    fn hand_over(self) -> Option<(TcpStream, Opened, Arc<Settings>)> {
        match self.client.stream {
            Transport::Plain(stream) => Some((stream, self.opened, self.settings)),
            Transport::Tls(_) => None,
        }
    }

    /// Serves requests one after the other.
    async fn serve(&mut self) -> Result<Joint, End> {
        let shared = Rc::clone(&self.shared);
        let shutdown = shared.context.core.shutdown();
        let mut is_first = true;
        let mut failed: Option<End> = None;
        loop {
            self.answered = false;
            let head = self
                .client
                .next_head(self.settings.opening, is_first, shutdown);
            let whole = match head.await {
                Ok(whole) => whole,
                // a client that leaves after it was refused something left for that reason
                Err(end) if end.status.is_none() => {
                    if is_first {
                        self.opened.keep_quiet();
                    }
                    return Err(match failed {
                        Some(failed) => End::silent(failed.reason, failed.detail),
                        None => end,
                    });
                }
                Err(end) => return Err(end),
            };
            is_first = false;
            self.manner = Manner::new(&whole, &self.settings);
            if shutdown.is_draining() {
                self.manner.keep_alive = false;
            }
            // an idle connection is not to hold room for what requests need
            failed = match Box::pin(self.answer(&whole)).await {
                Ok(Next::Join(joint)) => return Ok(joint),
                Ok(Next::Again) => None,
                Err(end) => Some(self.refuse(end).await?),
            };
            if !self.manner.keep_alive {
                return Err(match failed {
                    Some(end) => end,
                    None => End::silent("answered", ""),
                });
            }
        }
    }

    /// Tells the client why its request is not served, if it can ask on after that.
    async fn refuse(&mut self, end: End) -> Result<End, End> {
        let Some(status) = end.status else {
            return Err(end);
        };
        if self.answered || end.last || !self.manner.keep_alive {
            return Err(end);
        }
        tracing::debug!(
            session = %self.opened.session().id,
            reason = end.reason,
            detail = end.detail,
            "request refused"
        );
        let words = self.manner.words(status);
        self.send(&words).await?;
        Ok(end)
    }

    /// Says the last words.
    async fn finish(&mut self, end: End) {
        self.opened.because(end.reason, &end.detail);
        let stalled = self.settings.stalled;
        if let (Some(status), false) = (end.status, self.answered) {
            self.manner.keep_alive = false;
            let words = self.manner.words(status);
            if self.client.write(&words, stalled).await.is_ok() {
                self.client.close_gently().await;
            }
        } else if end.reason == "answered" {
            self.client.close_gently().await;
        }
    }

    /// Sends bytes to the client.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), End> {
        self.answered = true;
        self.client.write(bytes, self.settings.stalled).await?;
        let down = &self.opened.session().down;
        down.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Sends a whole answer of our own.
    async fn reply(&mut self, answer: &[u8]) -> Result<Next, End> {
        self.send(answer).await?;
        Ok(Next::Again)
    }

    /// Answers a request.
    async fn answer(&mut self, whole: &Whole) -> Result<Next, End> {
        let request = &whole.request;
        if let Some(refusal) = self.refusal {
            return Err(End::told(Status::UNAVAILABLE, "refused", refusal).for_good());
        }
        let uploads = matches!(request.method, Method::Post | Method::Put);
        if request.body != BodyLength::None {
            // nobody reads this body up to its end, and it must not be taken for a request
            self.manner.keep_alive = false;
        }
        if request.method == Method::Options {
            let answer = self.manner.options(whole);
            return self.reply(&answer).await;
        }
        if request.path == VERSIONS {
            let answer = self.manner.version();
            return self.reply(&answer).await;
        }
        let is_sound = target::is_sound(&request.path) && target::is_host(&request.host);
        if is_sound && let Some(pages) = self.pages_for(&request.path) {
            return Box::pin(self.page(pages, whole)).await;
        }
        if request.method == Method::Other {
            return Err(End::told(Status::METHOD, "bad_method", &whole.method));
        }
        if !is_sound {
            return Err(End::told(
                Status::BAD_REQUEST,
                "bad_request",
                "unsound path or host",
            ));
        }
        let kind = Kind::of(&request.path);
        if uploads {
            if kind != Kind::Stream {
                return Err(End::told(Status::METHOD, "bad_method", &whole.method));
            }
            return Box::pin(self.publish(whole)).await;
        }
        let marked =
            routes::has_id(&self.settings, &request.query) && !target::is_reserved(&request.path);
        let file = match kind {
            Kind::Stream | Kind::Playlist | Kind::Manifest => None,
            _ if marked => None,
            // the origin may have it, whatever is wrong with the files
            Kind::Piece => self.find_file(&request.path).ok().flatten(),
            Kind::Other => self.find_file(&request.path)?,
        };
        match file {
            Some(found) => self.send_file(found, whole).await,
            None if kind != Kind::Other || marked => self.forward(whole, kind).await,
            None => Err(End::told(Status::NOT_FOUND, "not_found", "")),
        }
    }

    /// The file that a path names, if files are served.
    pub(super) fn find_file(&self, path: &str) -> Result<Option<files::Found>, End> {
        let Some(root) = &self.settings.http.static_files else {
            return Ok(None);
        };
        files::find(root, path).map_err(|error| End::told(Status::FAILED, "file_failed", error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of the future that a function makes.
    fn size<F: Future>(_: fn(Rc<Shared>, TcpStream, SocketAddr) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_viewer_costs_little_memory() {
        // ten thousand viewers are a common load of one process
        let size = size(run);
        assert!(size <= 1 << 10, "{size} bytes");
    }

    #[test]
    fn a_connection_between_two_requests_costs_little_memory() {
        let size = size(begin);
        assert!(size <= 4 << 10, "{size} bytes");
    }
}
