//! Asking the origin of a stream, and passing its answer on.
//!
//! Owns: the attempts to find an origin that answers, and what becomes of the answer. Invariant: once the head of an answer
//! is sent, nothing of ours is mixed into its body. Does not: publish.

use std::rc::Rc;
use std::time::Duration;

use weir_cluster::{NodeId, Service};
use weir_http::head::Whole;
use weir_http::request::{BodyLength, Method};
use weir_http::response::{Framing, Response};
use weir_net::clock;
use weir_net::dial;
use weir_net::door::Transport;

use super::Shared;
use super::body;
use super::connection::{Connection, Joint, Next};
use super::end::{End, Status};
use super::origin::{AnswerError, Origin};
use super::playlist::{self, Mapper};
use super::relayed::{self, Content};
use super::request::{self, Ask, authority};
use super::returning;
use super::routes::{self, Route};
use super::target::Kind;
use crate::directory::{PlaceError, Placed};
use crate::sessions::Role;
use crate::settings::{Routing, Settings};

/// How long an origin may take to answer for a segment of MPEG-TS that another one made, which is gone. One that took over
/// its files has them at hand; any other takes the name for that of an endless stream, and would wait for its publisher.
const STAND_IN: Duration = Duration::from_secs(1);

/// An origin that has answered.
pub(super) struct Asked {
    pub(super) origin: Origin,
    pub(super) placed: Placed,
    pub(super) response: Box<Response>,
}

impl Connection {
    /// Passes a request to the origin of its stream and the answer back.
    pub(super) async fn forward(&mut self, whole: &Whole, kind: Kind) -> Result<Next, End> {
        let (shared, settings) = (Rc::clone(&self.shared), self.settings.clone());
        let shutdown = shared.context.core.shutdown();
        let found = routes::find(&shared, &settings, whole, kind);
        let route = self.client.during(shutdown, found).await?;
        self.opened.session().note(|about| {
            about.stream = Some(route.stream.clone());
            about.role = Role::Play;
        });
        let is_upgrade = whole.request.upgrade.is_some();
        let ask = Ask {
            whole,
            target: &route.target,
            client: self.address,
            secure: self.is_secure(),
            session: self.opened.session().id,
            is_list: kind.is_list(),
            // a stream without an end has nothing behind it
            close: matches!(kind, Kind::Stream | Kind::Piece) && !route.is_file,
            live: matches!(kind, Kind::Stream) && !route.is_file,
            is_file: kind.is_list() || kind == Kind::Piece || route.is_file,
            body: BodyLength::None,
        };
        let asked = returning::asked(&shared, &settings, &ask, &route);
        let Asked {
            origin,
            placed,
            response,
        } = self.client.during(shutdown, asked).await?;
        self.opened.session().note(|about| {
            about.node = Some(placed.node.id.clone());
            about.path = "copy";
        });
        let directory = &shared.context.directory;
        let hold = directory.hold(&route.stream, &placed, Role::Play);
        if response.status == 101 && !is_upgrade {
            return Err(End::origin_failed("origin switches protocols unasked"));
        }
        if let Some(list) = playlist::list_of(kind, &response) {
            return Box::pin(self.list(whole, list, &route, asked_of(origin, placed, response)))
                .await;
        }
        let (leads_to, parameter) =
            leading(&shared, &settings, &route, &placed, &response, whole).await;
        let leads_to = leads_to.as_ref().unwrap_or(&placed);
        let mapper = Mapper::new(leads_to, &whole.request.host, &parameter);
        let content = match response.framing {
            Framing::Chunked if self.manner.is_old => Content::Unchunked,
            _ => playlist::unlisted(kind, &response),
        };
        let endless = response.framing == Framing::ToClose
            || (response.framing == Framing::Chunked && (self.manner.is_old || ask.close));
        if endless || shutdown.is_draining() {
            self.manner.keep_alive = false;
        }
        let mut head = relayed::head(&response, &self.manner, &mapper, content);
        let is_live = endless && ask.close && content == Content::Same && response.status < 300;
        if response.status == 101 || (is_live && !self.is_secure()) {
            let mut origin = origin;
            head.extend(origin.heads.take());
            let path = if self.is_secure() { "copy" } else { "splice" };
            self.opened.session().note(|about| about.path = path);
            self.send(&head).await?;
            let both_ways = response.status == 101;
            let joint = Joint {
                origin: origin.stream,
                hold,
                both_ways,
            };
            return self.join(joint).await;
        }
        let keep = response.keep_alive && !ask.close;
        let passing = self.pass_on(origin, &placed, head, response.framing, content, keep);
        tokio::select! {
            passed = passing => passed?,
            _ = hold.moved(), if endless => return Err(moved()),
        }
        Ok(Next::Again)
    }

    /// Joins the client to the origin for the rest of the connection.
    async fn join(&mut self, joint: Joint) -> Result<Next, End> {
        if !self.is_secure() {
            return Ok(Next::Join(joint));
        }
        let ended = body::tunnel(
            &mut self.client.stream,
            joint.origin,
            self.opened.session(),
            self.settings.stalled,
        );
        let shutdown = self.shared.context.core.shutdown();
        let end = tokio::select! {
            end = ended => end,
            _ = joint.hold.moved() => moved(),
            () = shutdown.stopped() => End::stopped(),
        };
        drop(joint.hold);
        Err(end)
    }

    /// Sends the head and the body that follows it; `keep` says that the origin takes another request then.
    pub(super) async fn pass_on(
        &mut self,
        mut origin: Origin,
        placed: &Placed,
        head: Vec<u8>,
        framing: Framing,
        content: Content,
        keep: bool,
    ) -> Result<(), End> {
        let rest = origin.heads.take();
        let mut flow = body::Flow::new(framing, content == Content::Unchunked, rest);
        flow.first(head);
        let shared = Rc::clone(&self.shared);
        let shutdown = shared.context.core.shutdown();
        loop {
            let is_complete = match flow.turn() {
                Ok(is_complete) => is_complete,
                Err(error) => return Err(End::origin_broke(error)),
            };
            self.send(flow.ready()).await?;
            if is_complete {
                break;
            }
            let most = flow.read_bytes();
            let read = async {
                let read = origin.read(flow.buffer(), most).await;
                read.map_err(End::origin_broke)
            };
            if self.client.during(shutdown, read).await? == 0 {
                if !flow.ends_with_connection() {
                    return Err(End::origin_broke("origin closed inside an answer"));
                }
                return Ok(());
            }
        }
        if keep && flow.rest().is_empty() {
            let (core, node) = (&shared.context.core, &placed.node);
            shared.pool.put(core, &node.host, placed.port, origin);
        }
        Ok(())
    }

    /// Fetches a list whole, makes its URIs lead back here, and sends it.
    async fn list(
        &mut self,
        whole: &Whole,
        kind: Kind,
        route: &Route,
        asked: Asked,
    ) -> Result<Next, End> {
        let Asked {
            mut origin,
            placed,
            response,
        } = asked;
        let (shared, settings) = (Rc::clone(&self.shared), self.settings.clone());
        let shutdown = shared.context.core.shutdown();
        if response
            .fields
            .members("content-encoding")
            .any(|coding| !coding.eq_ignore_ascii_case("identity"))
        {
            return Err(End::origin_failed(
                "origin packs a playlist that was wanted plain",
            ));
        }
        let work = async {
            let text = match whole.request.method {
                Method::Head => None,
                _ => Some(body::whole(&mut origin, response.framing, &settings).await?),
            };
            let parameter =
                routes::parameter(&shared, &settings, route, &placed.node.id, whole).await;
            Ok((text, parameter))
        };
        let (text, parameter) = self.client.during(shutdown, work).await?;
        if shutdown.is_draining() {
            self.manner.keep_alive = false;
        }
        let mapper = Mapper::new(&placed, &whole.request.host, &parameter);
        let answer = match text {
            None => relayed::head(&response, &self.manner, &mapper, Content::Unasked),
            Some(text) => {
                let list = shared.lists.get(kind, text, &mapper);
                let list = list.map_err(End::origin_failed)?;
                let packs = whole.request.accepts_gzip && relayed::may_be_packed(&response);
                let (content, body) = match list.packed().filter(|_| packs) {
                    Some(packed) => (Content::Packed(packed.len()), packed),
                    None => (
                        Content::Rewritten(list.text().len()),
                        list.text().as_bytes(),
                    ),
                };
                let mut answer = relayed::head(&response, &self.manner, &mapper, content);
                answer.extend_from_slice(body);
                answer
            }
        };
        if response.keep_alive {
            let (core, node) = (&shared.context.core, &placed.node);
            shared.pool.put(core, &node.host, placed.port, origin);
        }
        self.send(&answer).await?;
        Ok(Next::Again)
    }

    /// Whether the client came through TLS.
    pub(super) fn is_secure(&self) -> bool {
        matches!(self.client.stream, Transport::Tls(_))
    }
}

/// The other origin of the cluster that an answer leads to, if it does, and the parameter for where it leads: lists and
/// what they name go on to the same origin, and with signed ids one origin can send clients to another.
async fn leading(
    shared: &Shared,
    settings: &Settings,
    route: &Route,
    placed: &Placed,
    response: &Response,
    whole: &Whole,
) -> (Option<Placed>, String) {
    let Some(location) = response.fields.get("location") else {
        return (None, String::new());
    };
    let origins = shared.context.directory.origins().into_iter();
    let other = origins
        .filter_map(|origin| {
            let port = origin.node.endpoints.port(Service::Http).ok()??;
            weir_hls::uri::relative_to_root(location, &authority(&origin.node.host, port))?;
            Some(Placed {
                node: origin.node,
                port,
                claim: None,
            })
        })
        .find(|other| other.node.id != placed.node.id);
    let is_signed = matches!(settings.http.routing, Routing::Signed { .. });
    let pins = route.by_id || Kind::of(&whole.request.path).is_list();
    let node = other
        .as_ref()
        .map_or(&placed.node.id, |other| &other.node.id);
    let parameter = match pins || (other.is_some() && is_signed) {
        true => routes::parameter(shared, settings, route, node, whole).await,
        false => String::new(),
    };
    (other, parameter)
}

/// A viewer whose origin has nothing more for it.
fn moved() -> End {
    End::silent("moved", "the stream is at another origin now")
}

fn asked_of(origin: Origin, placed: Placed, response: Box<Response>) -> Asked {
    Asked {
        origin,
        placed,
        response,
    }
}

/// Chooses an origin for a stream: the one that its id names, else where the stream is.
pub(super) async fn place(
    shared: &Shared,
    route: &Route,
    role: Role,
    tried: &[NodeId],
) -> Result<Placed, End> {
    let directory = &shared.context.directory;
    if let Some(id) = route.node.as_ref().filter(|id| !tried.contains(id))
        && let Some(node) = directory.usable(id)
        && let Ok(Some(port)) = node.endpoints.port(Service::Http)
    {
        return Ok(Placed {
            node,
            port,
            claim: None,
        });
    }
    let placed = directory.place(&route.stream, role, Service::Http, tried);
    placed.await.map_err(|error| match error {
        // there were some, and they failed
        PlaceError::NoOrigin if !tried.is_empty() => End::origin_failed(error),
        error => error.into(),
    })
}

/// Connects to an origin of the stream, trying others when one cannot be connected to; those are added to `tried`.
pub(super) async fn connected(
    shared: &Shared,
    settings: &Settings,
    route: &Route,
    role: Role,
    tried: &mut Vec<NodeId>,
    reuse: bool,
) -> Result<(Origin, Placed), End> {
    loop {
        let placed = place(shared, route, role, tried).await?;
        let (id, host) = (&placed.node.id, &placed.node.host);
        if reuse && let Some(origin) = shared.pool.take(host, placed.port) {
            return Ok((origin, placed));
        }
        match dial::connect(host, placed.port, settings.dial).await {
            Ok((stream, _)) => {
                return Ok((Origin::new(stream, settings.http.max_head_bytes), placed));
            }
            Err(error) => {
                tracing::debug!(origin = %id, %error, stream = %route.stream, "cannot connect");
                shared.context.directory.failed(id, false);
                tried.push(id.clone());
                if tried.len() >= settings.attempts.max(1) as usize {
                    return Err(End::origin_failed(error));
                }
            }
        }
    }
}

/// Asks origins until one answers. Only for requests that may be asked twice.
pub(super) async fn asked(
    shared: &Shared,
    settings: &Settings,
    ask: &Ask<'_>,
    route: &Route,
) -> Result<Asked, End> {
    let to_head = ask.whole.request.method == Method::Head;
    let mut tried = Vec::new();
    let mut reuse = !ask.close && ask.whole.request.upgrade.is_none();
    loop {
        let began = clock::now();
        let (mut origin, placed) =
            connected(shared, settings, route, Role::Play, &mut tried, reuse).await?;
        let directory = &shared.context.directory;
        let waiting = (ask.live && placed.claim.is_none())
            .then(|| directory.hold(&route.stream, &placed, Role::Play));
        let is_left = is_left(ask, route, &placed);
        let patience = match waiting {
            Some(_) => settings.answer.max(settings.http.publisher_wait),
            None if is_left => settings.answer.min(STAND_IN),
            None => settings.answer,
        };
        let exchange = async {
            let head = request::head(ask, &placed);
            // what fails here fails in reading too, which tells more
            let _ = origin.write(&head, patience).await;
            origin.answer(to_head).await
        };
        let elsewhere = async {
            match &waiting {
                Some(hold) => hold.moved().await,
                None => std::future::pending().await,
            }
        };
        let in_time = async {
            match ask.is_file {
                true if !is_left => patiently(shared, settings, &placed.node.id, exchange).await,
                _ => tokio::time::timeout(patience, exchange).await.ok(),
            }
        };
        let answer = tokio::select! {
            answer = in_time => answer,
            // it was published at another origin meanwhile
            () = elsewhere => continue,
        };
        let error = match answer.unwrap_or(Err(AnswerError::Silent)) {
            Ok(response) => {
                let took = clock::now().saturating_duration_since(began);
                shared.context.metrics.opened.observe(took.as_secs_f64());
                return Ok(asked_of(origin, placed, response));
            }
            Err(error) => error,
        };
        let node = &placed.node.id;
        match error {
            // the connection had idled for too long; a new one says how the origin is
            AnswerError::Closed if origin.reused => reuse = false,
            AnswerError::Closed => {
                shared.context.directory.failed(node, true);
                tried.push(node.clone());
                if tried.len() >= settings.attempts.max(1) as usize {
                    return Err(End::origin_failed(error));
                }
            }
            AnswerError::Silent if is_left => {
                let detail = "the origin of this segment is gone";
                return Err(End::told(Status::NOT_FOUND, "not_found", detail));
            }
            AnswerError::Silent => {
                let detail = format!("{error} ({node})");
                return Err(End::told(Status::GATEWAY_TIMEOUT, "origin_silent", detail));
            }
            _ => return Err(End::origin_failed(error)),
        }
    }
}

/// Whether a segment of MPEG-TS is asked for where nobody publishes its stream, because the origin that made it is gone.
fn is_left(ask: &Ask<'_>, route: &Route, placed: &Placed) -> bool {
    let is_ts = ask.is_file && Kind::of(&ask.whole.request.path) == Kind::Stream;
    let made_by = route.node.as_ref();
    is_ts && placed.claim.is_none() && made_by.is_some_and(|made_by| *made_by != placed.node.id)
}

/// Waits for an origin's answer about a file, which may be one that is to come, for as long as the origin is well; `None`
/// when it took too long.
async fn patiently<T>(
    shared: &Shared,
    settings: &Settings,
    node: &NodeId,
    exchange: impl Future<Output = T>,
) -> Option<T> {
    let mut exchange = std::pin::pin!(exchange);
    let until = clock::now() + settings.http.file_wait;
    loop {
        let left = until.saturating_duration_since(clock::now());
        match tokio::time::timeout(left.min(settings.answer), &mut exchange).await {
            Ok(answer) => return Some(answer),
            // one that hangs is found by probes
            Err(_) if left <= settings.answer => return None,
            Err(_) => shared.context.directory.usable(node)?,
        };
    }
}
