//! One accepted HTTP connection.
//!
//! Owns: waiting for requests, their order, and the connection's end. Does not: play (`play` does), publish (`publish`
//! does) or find files (`files` does), or speak HTTP/2 (`http2` does).
//!
//! The entry in the table of sessions is made when the first request has come: only then is known what it is for.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use weir_fanout::Conn;
use weir_gate::{Gate, Opened, close_gently};
use weir_hub::{EndReason, Hub, Session};
use weir_media::StreamKey;
use weir_net::admission::{Permit, Refusal};
use weir_net::clock;
use weir_net::socket::Socket;
use weir_segment::File;

use crate::egress::Container;
use crate::end::{End, Word};
use crate::files::{Found, Question};
use crate::http2;
use crate::listen::{Port, Streams};
use crate::reply::{Prepared, field};
use crate::response::{Manner, PAGE_METHODS, STREAM_METHODS, Status};
use crate::send::{Begun, Patience};
use crate::target::{CROSS_DOMAIN, PAGE, Resource};
use crate::{FILES_PROTOCOL, PROTOCOL, TS_PROTOCOL, WEBSOCKET_PROTOCOL, WEBSOCKET_TS_PROTOCOL};
use weir_http::head::{Heads, Whole};
use weir_http::pages::is_page;
use weir_http::request::{BodyLength, Method, Request};

/// Reads of one turn, so that a client with a full socket does not hold up the core.
const READS_A_TURN: usize = 8;

/// A connection as it was accepted.
pub(crate) struct Accepted {
    pub(crate) socket: Socket,
    pub(crate) permit: Permit,
    /// It is over a limit and only told so.
    pub(crate) refusal: Option<Refusal>,
}

pub(crate) struct Connection {
    pub(crate) gate: Gate,
    pub(crate) opened: Opened,
    pub(crate) conn: Rc<Conn>,
    pub(crate) port: Rc<Port>,
    refusal: Option<Refusal>,
    /// When it was accepted.
    pub(crate) since: Instant,
    /// What the client has sent ahead.
    pub(crate) heads: Heads,
    /// How the request at hand is answered.
    pub(crate) manner: Manner,
    peer: SocketAddr,
    /// What it asked for so far is worth a line in the log, or is not.
    noise: Noise,
}

/// What a connection was used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Noise {
    /// Nothing yet.
    None,
    /// Files and pages, for which browsers and players come and go by the dozen.
    Little,
    /// Anything else.
    Much,
}

/// Serves a connection to its end.
pub(crate) async fn run(gate: Gate, accepted: Accepted, port: Rc<Port>) {
    let since = clock::now();
    let Accepted {
        socket,
        permit,
        refusal,
    } = accepted;
    let mut heads = Heads::new(port.settings.max_head_bytes);
    let mut received = 0;
    let first = next_head(&gate, &socket, None, &mut heads, &mut received).await;
    if first.is_err() && heads.is_http2() {
        let begun = http2::Begun {
            socket,
            permit,
            refusal,
            ahead: heads.take(),
        };
        // few come so, and their future is large
        return Box::pin(http2::serve(gate, port, begun)).await;
    }
    let protocol = match &first {
        Ok(whole) => label(&whole.request, &resource(&gate, &port, &whole.request)),
        Err(_) => FILES_PROTOCOL,
    };
    let opened = Opened::new(&gate, protocol, socket.peer(), permit);
    opened.received(received);
    let peer = socket.peer();
    let conn = Rc::new(Conn::new(socket, opened.session().clone()));
    let manner = Manner::default();
    let mut connection = Connection {
        gate,
        opened,
        conn,
        port,
        refusal,
        since,
        heads,
        manner,
        peer,
        noise: Noise::None,
    };
    let end = match connection.serve(first).await {
        Ok(never) => match never {},
        Err(end) => end,
    };
    connection.finish(end).await;
}

/// What a request is about.
pub(crate) fn resource(gate: &Gate, port: &Port, request: &Request) -> Resource {
    let streams = Streams {
        hub: &gate.hub,
        desk: port.desk.as_ref(),
    };
    let has_pages = port.settings.pages.is_some();
    Resource::new(request, &gate.settings().vhosts, has_pages, &streams)
}

/// The protocol of a connection that begins with this request.
fn label(request: &Request, resource: &Resource) -> &'static str {
    match (resource, request.upgrade.is_some()) {
        (Resource::Stream(_, Container::Flv), false) => PROTOCOL,
        (Resource::Stream(_, Container::Flv), true) => WEBSOCKET_PROTOCOL,
        (Resource::Stream(_, Container::Ts), false) => TS_PROTOCOL,
        (Resource::Stream(_, Container::Ts), true) => WEBSOCKET_TS_PROTOCOL,
        _ => FILES_PROTOCOL,
    }
}

impl Connection {
    /// Says the last words.
    async fn finish(&mut self, end: End) {
        self.opened.end(end.reason, &end.detail);
        if self.noise == Noise::Little {
            self.opened.keep_quiet();
        }
        if let Some(Word::Status(status)) = end.word {
            self.manner.keep_alive = false;
            let text = format!("{}\n", end.detail);
            let fields: &[(&str, &str)] = match status {
                Status::UPGRADE => &[
                    ("Upgrade", "websocket"),
                    ("Sec-WebSocket-Version", weir_http::websocket::VERSION),
                ],
                _ => &[],
            };
            let mut words = Vec::new();
            self.manner
                .write_text(status, fields, &text, clock::wallclock(), &mut words);
            self.conn.say(&mut words, clock::now());
        }
        if end.gently && self.conn.socket().watch().is_ok() {
            // its buffer is not to be held for as long as the connection lasts
            Box::pin(close_gently(&self.conn)).await;
        }
    }

    async fn serve(&mut self, first: Result<Box<Whole>, End>) -> Result<Infallible, End> {
        let mut next = first;
        loop {
            let request = next?;
            self.answer(request).await?;
            self.manner = Manner::default();
            self.flushed().await?;
            let mut received = 0;
            let (socket, session) = (self.conn.socket(), self.conn.session());
            next = next_head(
                &self.gate,
                socket,
                Some(session),
                &mut self.heads,
                &mut received,
            )
            .await;
            self.opened.received(received);
        }
    }

    /// Answers a request; when that is done the connection is free for the next.
    async fn answer(&mut self, whole: Box<Whole>) -> Result<(), End> {
        let request = &whole.request;
        self.manner = Manner::new(request, &self.port.settings.cors_origin);
        self.opened.session().set_agent(&request.agent);
        if let Some(refusal) = self.refusal {
            return Err(End::answered(Status::UNAVAILABLE, "refused", refusal));
        }
        if self.gate.core.shutdown().is_draining() {
            self.manner.keep_alive = false;
        }
        let resource = resource(&self.gate, &self.port, request);
        self.note(&resource);
        let publishes = matches!(request.method, Method::Post | Method::Put);
        // the futures of what follows are large, and a viewer's connection would hold room for them
        match resource {
            Resource::Stream(address, container) if publishes => {
                Box::pin(self.publish(address, container, request)).await
            }
            Resource::Application => match self.port.settings.pages.clone() {
                Some(pages) => Box::pin(self.page(pages, whole)).await,
                None => self.reply(Status::NOT_FOUND, &[], "no pages here\n"),
            },
            other => {
                if request.body != BodyLength::None {
                    // nobody reads this body, and it must not be taken for a request
                    self.manner.keep_alive = false;
                }
                let is_read = matches!(request.method, Method::Get | Method::Head);
                match other {
                    Resource::Stream(address, container) if is_read => {
                        let request = Box::new(whole.request);
                        self.play(address, container, request).await
                    }
                    Resource::File(key, file) if is_read => {
                        match self.file_at_once(request, (&key, file)) {
                            None => self.done("answered"),
                            Some(begun) => Box::pin(self.file(request, (&key, file), begun)).await,
                        }
                    }
                    other => {
                        let prepared = plain(&self.manner, request, &other);
                        Box::pin(self.send_shared(prepared)).await
                    }
                }
            }
        }
    }

    fn note(&mut self, resource: &Resource) {
        let is_quiet = matches!(
            resource,
            Resource::File(..) | Resource::Application | Resource::Page
        );
        self.noise = match (self.noise, is_quiet) {
            (Noise::None | Noise::Little, true) => Noise::Little,
            _ => Noise::Much,
        };
    }

    /// Answers a request for a file, at once if that can be; gives what is left to do.
    fn file_at_once(&self, request: &Request, named: (&StreamKey, File)) -> Option<Begun> {
        let (port, hub) = (&self.port, &self.gate.hub);
        match self.question((port, hub), request, named).ask() {
            Ok(Found::Whole(shared)) => self.begin_shared(shared).map(Begun::Sending),
            Ok(found) => Some(Begun::Found(found)),
            Err(waiting) => Some(Begun::Waiting(waiting)),
        }
    }

    fn question<'a>(
        &self,
        (port, hub): (&'a Port, &'a Arc<Hub>),
        request: &'a Request,
        (key, file): (&'a StreamKey, File),
    ) -> Question<'a> {
        Question {
            desk: port.desk.as_ref(),
            hub,
            peer: self.peer,
            request,
            key,
            file,
        }
    }

    /// Answers a request for a file, when there is an answer and the client takes it.
    async fn file(
        &mut self,
        request: &Request,
        named: (&StreamKey, File),
        begun: Begun,
    ) -> Result<(), End> {
        let found = match begun {
            Begun::Sending(sending) => return self.send_rest(sending).await,
            Begun::Found(found) => found,
            Begun::Waiting(waiting) => {
                let (port, hub) = (Rc::clone(&self.port), Arc::clone(&self.gate.hub));
                let question = self.question((&port, &hub), request, named);
                tokio::select! {
                    biased;
                    found = question.wait(waiting) => found,
                    end = self.gone(Patience::UntilDrain) => return Err(end),
                }
            }
        };
        self.send_found(found).await
    }

    /// Answers with a text.
    pub(crate) fn reply(
        &self,
        status: Status,
        fields: &[(&str, &str)],
        text: &str,
    ) -> Result<(), End> {
        let mut words = Vec::new();
        self.manner
            .write_text(status, fields, text, clock::wallclock(), &mut words);
        self.say_all(&mut words)
    }

    /// Sends a whole answer. Ends the connection if it was the last.
    fn say_all(&self, words: &mut Vec<u8>) -> Result<(), End> {
        self.conn.say(words, clock::now());
        self.done("answered")
    }

    /// An answer is complete; the connection goes on or ends for `reason`.
    pub(crate) fn done(&self, reason: &'static str) -> Result<(), End> {
        if self.manner.keep_alive {
            Ok(())
        } else {
            Err(End::told(reason, ""))
        }
    }

    /// Waits until the client has taken the answer: one that asks on without reading is not heard meanwhile.
    pub(crate) async fn flushed(&self) -> Result<(), End> {
        let flushing = async {
            while !self.conn.flush(clock::now()) {
                if let Some(closed) = self.conn.closed() {
                    return Err(closed.into());
                }
                self.conn.socket().writable().await?;
            }
            Ok(())
        };
        if self.conn.is_flushed() {
            return flushing.await;
        }
        let timeout = self.gate.settings().write_timeout;
        tokio::select! {
            flushed = tokio::time::timeout(timeout, flushing) => flushed.unwrap_or_else(|_| {
                Err(End::told("write_timeout", "the peer's socket took nothing"))
            }),
            reason = self.conn.session().kicked() => Err(reason.into()),
            () = self.gate.core.shutdown().stopped() => Err(End::drained()),
        }
    }

    /// Reads what a client sends while it waits or plays, for later.
    pub(crate) fn read_ahead(&mut self) -> Result<Read, End> {
        let (opened, heads) = (&self.opened, &mut self.heads);
        let read = read(&self.gate, self.conn.socket(), |input| {
            opened.received(input.len());
            heads.push(input);
            Ok(!heads.is_overfull())
        })?;
        // what came in one read with the request counts too
        if self.heads.is_overfull() {
            return Err(End::told(
                "protocol_error",
                "the client sends too much ahead",
            ));
        }
        Ok(read)
    }
}

/// Waits for the head of the next request; adds what it reads to `received`.
async fn next_head(
    gate: &Gate,
    socket: &Socket,
    session: Option<&Session>,
    heads: &mut Heads,
    received: &mut usize,
) -> Result<Box<Whole>, End> {
    let shutdown = gate.core.shutdown();
    let deadline = clock::now() + gate.settings().request;
    let mut timer = pin!(tokio::time::sleep_until(deadline.into()));
    loop {
        // the application alone wants to see all of a head
        if let Some(whole) = heads.pull_lean(|request| is_page(&request.path))? {
            return Ok(whole);
        }
        let is_idle = heads.is_empty();
        tokio::select! {
            readable = socket.readable() => readable?,
            () = timer.as_mut() => return Err(late(is_idle)),
            () = shutdown.draining(), if is_idle => return Err(End::drained()),
            () = shutdown.stopped() => return Err(End::drained()),
            reason = kicked(session) => return Err(reason.into()),
        }
        read(gate, socket, |input| {
            *received += input.len();
            heads.push(input);
            // the head may be complete, or wrong
            Ok(false)
        })?;
    }
}

/// The answer to what needs no stream: texts, refusals and OPTIONS.
pub(crate) fn plain(manner: &Manner, request: &Request, resource: &Resource) -> Prepared {
    let methods = match resource {
        Resource::Stream(..) => STREAM_METHODS,
        _ => PAGE_METHODS,
    };
    let is_read = matches!(request.method, Method::Get | Method::Head);
    match resource {
        _ if request.method == Method::Options => manner.options(methods, request),
        Resource::Page if is_read => Prepared::text(Status::OK, PAGE),
        Resource::CrossDomain if is_read => Prepared {
            fields: vec![field("Content-Type", "text/xml")],
            ..Prepared::text(Status::OK, CROSS_DOMAIN)
        },
        Resource::Invalid(why) => Prepared::text(Status::BAD_REQUEST, format!("{why}\n")),
        Resource::Unknown if request.method != Method::Other => {
            let text = "nothing here; streams are at /app/stream.flv, .ts, .m3u8 and .mpd\n";
            Prepared::text(Status::NOT_FOUND, text)
        }
        _ => Prepared::text(Status::METHOD, "this method is not understood here\n")
            .with("Allow", methods),
    }
}

fn late(is_idle: bool) -> End {
    if is_idle {
        End::told("idle", "the client asked for nothing")
    } else {
        End::answered(
            Status::TIMEOUT,
            "timeout",
            "the request did not come in time",
        )
    }
}

async fn kicked(session: Option<&Session>) -> EndReason {
    match session {
        Some(session) => session.kicked().await,
        None => std::future::pending().await,
    }
}

/// What a turn of reading came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Read {
    pub(crate) bytes: usize,
    /// The socket may have more.
    pub(crate) more: bool,
}

/// Reads what is there, [`READS_A_TURN`] times at most, for as long as `take` says that it wants more.
pub(crate) fn read(
    gate: &Gate,
    socket: &Socket,
    mut take: impl FnMut(&[u8]) -> Result<bool, End>,
) -> Result<Read, End> {
    let scratch = gate.scratch();
    let mut scratch = scratch.borrow_mut();
    let mut bytes = 0;
    for _ in 0..READS_A_TURN {
        match socket.read(&mut scratch) {
            Ok(0) => return Err(End::closed()),
            Ok(count) => {
                bytes += count;
                let wants_more = take(scratch.get(..count).unwrap_or_default())?;
                if !wants_more || count < scratch.len() {
                    return Ok(Read { bytes, more: false });
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Ok(Read { bytes, more: false });
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Read { bytes, more: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<F: Future>(_: fn(Gate, Accepted, Rc<Port>) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_viewer_costs_little_memory() {
        // ten thousand viewers are a common load of one process
        let size = size(run);
        assert!(size <= 3 << 10, "{size} bytes");
    }

    #[test]
    fn only_a_request_that_has_begun_is_told_that_it_was_late() {
        assert_eq!(late(true).word, None);
        assert_eq!(late(false).word, Some(Word::Status(Status::TIMEOUT)));
    }
}
