//! One accepted HTTP connection.
//!
//! Owns: waiting for requests, their order, and the connection's end. Does not: play (`play` does) or publish
//! (`publish` does).
//!
//! The entry in the table of sessions is made when the first request has come: only then is known whether it is a
//! WebSocket's.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::pin::pin;
use std::rc::Rc;
use std::time::Instant;

use weir_fanout::Conn;
use weir_gate::{Gate, Opened, close_gently};
use weir_hub::{EndReason, Session};
use weir_net::admission::{Permit, Refusal};
use weir_net::clock;
use weir_net::socket::Socket;

use crate::end::{End, Word};
use crate::listen::Settings;
use crate::response::{Manner, PAGE_METHODS, STREAM_METHODS, Status};
use crate::target::{CROSS_DOMAIN, PAGE, Resource};
use crate::{PROTOCOL, WEBSOCKET_PROTOCOL};
use weir_http::head::Heads;
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
    pub(crate) settings: Rc<Settings>,
    refusal: Option<Refusal>,
    /// When it was accepted.
    pub(crate) since: Instant,
    /// What the client has sent ahead.
    pub(crate) heads: Heads,
    /// How the request at hand is answered.
    pub(crate) manner: Manner,
}

/// Serves a connection to its end.
pub(crate) async fn run(gate: Gate, accepted: Accepted, settings: Rc<Settings>) {
    let since = clock::now();
    let Accepted {
        socket,
        permit,
        refusal,
    } = accepted;
    let mut heads = Heads::new(settings.max_head_bytes);
    let mut received = 0;
    let first = next_head(&gate, &socket, None, &mut heads, &mut received).await;
    let is_websocket = first
        .as_ref()
        .is_ok_and(|request| request.upgrade.is_some());
    let protocol = if is_websocket {
        WEBSOCKET_PROTOCOL
    } else {
        PROTOCOL
    };
    let opened = Opened::new(&gate, protocol, socket.peer(), permit);
    opened.received(received);
    let conn = Rc::new(Conn::new(socket, opened.session().clone()));
    let manner = Manner::default();
    let mut connection = Connection {
        gate,
        opened,
        conn,
        settings,
        refusal,
        since,
        heads,
        manner,
    };
    let end = match connection.serve(first).await {
        Ok(never) => match never {},
        Err(end) => end,
    };
    connection.finish(end).await;
}

impl Connection {
    /// Says the last words.
    async fn finish(&mut self, end: End) {
        self.opened.end(end.reason, &end.detail);
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

    async fn serve(&mut self, first: Result<Box<Request>, End>) -> Result<Infallible, End> {
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
    async fn answer(&mut self, request: Box<Request>) -> Result<(), End> {
        self.manner = Manner::new(&request, &self.settings.cors_origin);
        self.opened.session().set_agent(&request.agent);
        if let Some(refusal) = self.refusal {
            return Err(End::answered(Status::UNAVAILABLE, "refused", refusal));
        }
        if self.gate.core.shutdown().is_draining() {
            self.manner.keep_alive = false;
        }
        let resource = Resource::new(&request, &self.gate.settings().vhosts);
        let publishes = matches!(request.method, Method::Post | Method::Put);
        if let (Resource::Stream(address), true) = (&resource, publishes) {
            // the future of an upload is large, and a viewer's connection would hold room for it
            return Box::pin(self.publish(address.clone(), &request)).await;
        }
        if request.body != BodyLength::None {
            // nobody reads this body, and it must not be taken for a request
            self.manner.keep_alive = false;
        }
        let methods = match resource {
            Resource::Stream(_) => STREAM_METHODS,
            _ => PAGE_METHODS,
        };
        match (resource, request.method) {
            (_, Method::Options) => {
                let mut words = Vec::new();
                self.manner
                    .write_options(methods, &request, clock::wallclock(), &mut words);
                self.say_all(&mut words)
            }
            (_, Method::Other)
            | (Resource::Page | Resource::CrossDomain, Method::Post | Method::Put) => self.reply(
                Status::METHOD,
                &[("Allow", methods)],
                "this method is not understood here\n",
            ),
            (Resource::Page, _) => self.reply(Status::OK, &[], PAGE),
            (Resource::CrossDomain, _) => {
                self.reply(Status::OK, &[("Content-Type", "text/xml")], CROSS_DOMAIN)
            }
            (Resource::Stream(address), _) => self.play(address, request).await,
            (Resource::Unknown, _) => self.reply(
                Status::NOT_FOUND,
                &[],
                "nothing here; streams are at /app/stream.flv\n",
            ),
            (Resource::Invalid(why), _) => {
                self.reply(Status::BAD_REQUEST, &[], &format!("{why}\n"))
            }
        }
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
    async fn flushed(&self) -> Result<(), End> {
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
) -> Result<Box<Request>, End> {
    let shutdown = gate.core.shutdown();
    let deadline = clock::now() + gate.settings().request;
    let mut timer = pin!(tokio::time::sleep_until(deadline.into()));
    loop {
        if let Some(request) = heads.pull()? {
            return Ok(request);
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

    fn size<F: Future>(_: fn(Gate, Accepted, Rc<Settings>) -> F) -> usize {
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
