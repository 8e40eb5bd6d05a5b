//! A connection in HTTP/2 with prior knowledge (RFC 9113, section 3.3): files and pages, many at a time.
//!
//! Owns: hyper's server on this core, its bounds, and the connection's end. Answers are the same as in HTTP/1.1, made by the
//! same functions. Does not: serve endless streams, which are the fan-out's and need a connection of their own.

mod body;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use weir_gate::{Gate, Opened};
use weir_hub::Session;
use weir_net::admission::{Permit, Refusal};
use weir_net::clock;
use weir_net::cores::Core;
use weir_net::socket::Socket;

use weir_http::pages::{MAX_BODY_BYTES, Peer};
use weir_http::request::{Method, Request};

use crate::FILES_PROTOCOL;
use crate::connection::{plain, resource};
use crate::end::End;
use crate::files::{Found, Question};
use crate::listen::Port;
use crate::pages;
use crate::reply::{Length, Prepared};
use crate::response::{Manner, RETRY_SECONDS, Status};
use crate::target::Resource;
use body::{Body, Flow};

/// Most requests of a connection at a time. Players have a dozen under way; the standard asks for 100 at the least
/// (section 6.5.2).
const MAX_STREAMS: u32 = 100;

/// Most bytes of a stream's body that wait in hyper for the client's windows. Bodies are pulled as windows open, so this
/// is not what a segment takes.
const MAX_SEND_BYTES: usize = 64 << 10;

/// Windows for what clients send: bodies of requests for pages alone, so the standard's least is enough.
const WINDOW_BYTES: u32 = 65_535;

/// Resets of requests that nobody has looked at before the connection is ended: opening and resetting streams is work for a
/// server and none for a client (CVE-2023-44487).
const MAX_RESETS: usize = 20;

/// How often a connection is asked whether it is there, and how long it has to say so.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection without a request under way ends after this time: longer than players are between two requests.
const IDLE: Duration = Duration::from_secs(60);

/// How long a connection that is told to end may take to complete what is under way.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How often a connection is looked after.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What an endless stream is answered with.
const NOT_HERE: &str = "endless streams are served in HTTP/1.1 only; use HTTP/1.1\n";

/// A connection that has begun in HTTP/2.
pub(crate) struct Begun {
    pub(crate) socket: Socket,
    pub(crate) permit: Permit,
    pub(crate) refusal: Option<Refusal>,
    /// What was read of it, from the preface on.
    pub(crate) ahead: Vec<u8>,
}

/// Runs hyper's tasks on this core.
#[derive(Clone)]
struct OnCore(Core);

impl<F> hyper::rt::Executor<F> for OnCore
where
    F: Future + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(async move {
            future.await;
        });
    }
}

/// What all requests of a connection share.
struct Shared {
    gate: Gate,
    port: Rc<Port>,
    peer: SocketAddr,
    refusal: Option<Refusal>,
    session: Arc<Session>,
    flow: Rc<Flow>,
}

/// Serves a connection to its end.
pub(crate) async fn serve(gate: Gate, port: Rc<Port>, begun: Begun) {
    let peer = begun.socket.peer();
    let mut opened = Opened::new(&gate, FILES_PROTOCOL, peer, begun.permit);
    opened.keep_quiet();
    let end = match begun.socket.into_stream() {
        Ok(stream) => {
            let io = Io {
                stream,
                ahead: Bytes::from(begun.ahead),
                session: Arc::clone(opened.session()),
            };
            let shared = Rc::new(Shared {
                gate,
                port,
                peer,
                refusal: begun.refusal,
                session: Arc::clone(opened.session()),
                flow: Rc::new(Flow::new(clock::now())),
            });
            drive(&shared, io).await
        }
        Err(error) => error.into(),
    };
    opened.end(end.reason, &end.detail);
}

async fn drive(shared: &Rc<Shared>, io: Io) -> End {
    let head_bytes = shared.port.settings.max_head_bytes;
    let mut builder = http2::Builder::new(OnCore(shared.gate.core.clone()));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(head_bytes).unwrap_or(u32::MAX))
        .max_send_buf_size(MAX_SEND_BYTES)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT);
    let service = {
        let shared = Rc::clone(shared);
        service_fn(move |request| {
            let shared = Rc::clone(&shared);
            async move { Ok::<_, Infallible>(shared.respond(request).await) }
        })
    };
    let mut serving = pin!(builder.serve_connection(TokioIo::new(io), service));
    let shutdown = shared.gate.core.shutdown().clone();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let mut ending: Option<(End, Instant)> = None;
    loop {
        tokio::select! {
            served = serving.as_mut() => {
                return match (ending, served) {
                    (Some((end, _)), _) => end,
                    (None, Ok(())) => End::closed(),
                    (None, Err(error)) => End::told("protocol_error", error),
                };
            }
            _ = looks.tick() => {}
            reason = shared.session.kicked(), if ending.is_none() => {
                serving.as_mut().graceful_shutdown();
                ending = Some((reason.into(), clock::now()));
            }
            () = shutdown.draining(), if ending.is_none() => {
                serving.as_mut().graceful_shutdown();
                ending = Some((End::drained(), clock::now()));
            }
            () = shutdown.stopped() => return End::drained(),
        }
        let now = clock::now();
        if shared.flow.stalled_since(now) >= shared.gate.settings().write_timeout {
            return End::told("write_timeout", "the peer takes nothing of an answer");
        }
        match &ending {
            Some((end, since)) if now.saturating_duration_since(*since) >= LAST_WORDS => {
                return end.clone();
            }
            None if shared.flow.idle_since(now) >= IDLE => {
                serving.as_mut().graceful_shutdown();
                ending = Some((End::told("idle", "the client asked for nothing"), now));
            }
            _ => {}
        }
    }
}

impl Shared {
    /// Answers a request.
    async fn respond(&self, request: http::Request<Incoming>) -> http::Response<Body> {
        let _busy = self.flow.busy();
        let (parts, incoming) = request.into_parts();
        let request = match Request::of_http2(&parts) {
            Ok(request) => request,
            Err(error) => {
                let prepared = Prepared::text(Status::BAD_REQUEST, format!("{error}\n"));
                return self.response(prepared, &Manner::default(), None);
            }
        };
        let resource = resource(&self.gate, &self.port, &request);
        let manner = match resource {
            Resource::Application => Manner::own(&request),
            _ => Manner::new(&request, &self.port.settings.cors_origin),
        };
        self.session.set_agent(&request.agent);
        if let Some(refusal) = self.refusal {
            let prepared = Prepared::text(Status::UNAVAILABLE, format!("{refusal}\n"))
                .with("Retry-After", RETRY_SECONDS);
            return self.response(prepared, &manner, None);
        }
        let draining = self.gate.core.shutdown().draining();
        let found = tokio::select! {
            biased;
            found = self.find(parts, incoming, &request, resource, &manner) => found,
            () = draining => Found::whole(
                Prepared::text(Status::UNAVAILABLE, "the server stops\n")
                    .with("Retry-After", RETRY_SECONDS),
            ),
        };
        match found {
            Found::Whole(shared) => self.response(shared.prepared().clone(), &manner, None),
            Found::Growing(prepared, growth) => self.response(prepared, &manner, Some(growth)),
        }
    }

    async fn find(
        &self,
        parts: http::request::Parts,
        incoming: Incoming,
        request: &Request,
        resource: Resource,
        manner: &Manner,
    ) -> Found {
        let is_read = matches!(request.method, Method::Get | Method::Head);
        match resource {
            Resource::File(key, file) if is_read => {
                let question = Question {
                    desk: self.port.desk.as_ref(),
                    hub: &self.gate.hub,
                    peer: self.peer,
                    request,
                    key: &key,
                    file,
                };
                match question.ask() {
                    Ok(found) => found,
                    Err(waiting) => question.wait(waiting).await,
                }
            }
            Resource::Application => Found::whole(self.page(parts, incoming).await),
            Resource::Stream(..) if request.method != Method::Options => {
                Found::whole(Prepared::text(Status::VERSION, NOT_HERE))
            }
            other => Found::whole(plain(manner, request, &other)),
        }
    }

    /// Hands a request to the application.
    async fn page(&self, mut parts: http::request::Parts, incoming: Incoming) -> Prepared {
        let Some(pages) = self.port.settings.pages.clone() else {
            return Prepared::text(Status::NOT_FOUND, "no pages here\n");
        };
        let patience = self.gate.settings().request;
        let body = tokio::time::timeout(patience, body::collect(incoming, MAX_BODY_BYTES)).await;
        let body = match body {
            Ok(Ok(body)) => body,
            Ok(Err(body::Refused::TooLarge)) => {
                return Prepared::text(Status::TOO_LARGE, "the request's body is too large\n");
            }
            Ok(Err(body::Refused::Lost)) => {
                return Prepared::text(Status::BAD_REQUEST, "the request's body broke off\n");
            }
            Err(_) => {
                let text = "the request's body did not come in time\n";
                return Prepared::text(Status::TIMEOUT, text);
            }
        };
        // as HTTP/1.1 has it, so that the application sees one form
        let authority = parts.uri.authority().map(|name| name.as_str().to_owned());
        if let Some(authority) = authority
            && !parts.headers.contains_key(http::header::HOST)
            && let Ok(value) = http::HeaderValue::try_from(authority)
        {
            parts.headers.insert(http::header::HOST, value);
        }
        let target = parts.uri.path_and_query().cloned();
        parts.uri = target.map_or_else(http::Uri::default, http::Uri::from);
        parts.extensions.insert(Peer(self.peer));
        let response = pages(http::Request::from_parts(parts, body)).await;
        pages::prepared(response)
    }

    /// An answer as hyper takes it.
    fn response(
        &self,
        prepared: Prepared,
        manner: &Manner,
        growth: Option<crate::files::Growth>,
    ) -> http::Response<Body> {
        let length = prepared.bytes();
        let mut response = http::Response::new(Body::empty());
        *response.status_mut() =
            http::StatusCode::from_u16(prepared.status.0).unwrap_or(http::StatusCode::OK);
        let headers = response.headers_mut();
        headers.insert(http::header::SERVER, http::HeaderValue::from_static("Weir"));
        for (name, value) in manner.permissions().iter().chain(&prepared.fields) {
            let name = http::HeaderName::from_bytes(name.as_bytes());
            let value = http::HeaderValue::from_bytes(value);
            if let (Ok(name), Ok(value)) = (name, value) {
                headers.append(name, value);
            }
        }
        if prepared.length == Length::Whole {
            headers.insert(http::header::CONTENT_LENGTH, length.into());
        }
        if !manner.head_only && prepared.length != Length::Bare {
            *response.body_mut() = Body::new(prepared.body, growth, &self.flow);
        }
        response
    }
}

/// The connection's bytes, counted; what was read before it came here goes first.
struct Io {
    stream: TcpStream,
    ahead: Bytes,
    session: Arc<Session>,
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        if self.ahead.is_empty() {
            let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
            if !matches!(polled, Poll::Ready(Ok(()))) {
                return polled;
            }
        } else {
            let count = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(self.ahead.get(..count).unwrap_or_default());
            self.ahead.advance(count);
        }
        let count = buffer.filled().len() - before;
        let bytes_in = &self.session.bytes_in;
        bytes_in.fetch_add(count as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl Io {
    fn sent(&self, written: Poll<std::io::Result<usize>>) -> Poll<std::io::Result<usize>> {
        if let Poll::Ready(Ok(count)) = &written {
            let bytes_out = &self.session.bytes_out;
            bytes_out.fetch_add(*count as u64, Ordering::Relaxed);
        }
        written
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.sent(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.sent(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
