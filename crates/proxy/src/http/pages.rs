//! The application's pages and API on the port of streams.
//!
//! Owns: which requests are handed over, their bodies, and the way of the answer back. Invariants: a path that names a
//! stream, a list or a piece is never handed over, nor one that names a static file; a body has a bound. Does not: answer, or
//! decide who may ask.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response, Version};
use weir_http::body::{Body, Part};
use weir_http::head::Whole;
use weir_http::pages::{MAX_BODY_BYTES, Pages, Peer, is_page};

use super::client::read_some;
use super::connection::{Connection, Next};
use super::end::{End, Status};
use super::target::Kind;

/// The word that lets a client begin with the body (RFC 9110, section 15.2.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Fields of an answer that belong to the connection, and are written anew.
const OURS: [&str; 6] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "server",
    "transfer-encoding",
];

impl Connection {
    /// The hook, if it is to answer the request for `path`.
    pub(super) fn pages_for(&self, path: &str) -> Option<Pages> {
        let pages = self.shared.pages.as_ref()?;
        let is_ours = is_page(path) && Kind::of(path) == Kind::Other;
        // whoever serves files of these names goes on to do so; one that cannot be read is an error told there
        let is_free = || matches!(self.find_file(path), Ok(None));
        (is_ours && is_free()).then(|| pages.clone())
    }

    /// Hands a request over and passes the answer on.
    pub(super) async fn page(&mut self, pages: Pages, whole: &Whole) -> Result<Next, End> {
        let body = self.read_body(whole).await?;
        let request = request(whole, self.believed_peer(), body);
        let request = request.map_err(|error| {
            let end = End::told(Status::BAD_REQUEST, "bad_request", error);
            end.for_good()
        })?;
        let response = pages(request).await;
        let answer = self.answer_of(&response);
        self.send(&answer).await?;
        Ok(Next::Again)
    }

    /// The client's address. Where a balancer says that it is of this host, and is not itself, the balancer's counts: who is
    /// of this host may do more.
    fn believed_peer(&self) -> SocketAddr {
        let is_near = |address: &SocketAddr| address.ip().to_canonical().is_loopback();
        match is_near(&self.address) && !is_near(&self.socket_peer) {
            true => self.socket_peer,
            false => self.address,
        }
    }

    /// Reads the whole body of a request; nothing is read behind it.
    async fn read_body(&mut self, whole: &Whole) -> Result<Bytes, End> {
        let mut body = Body::new(whole.request.body);
        let (stalled, patience) = (self.settings.stalled, self.settings.opening);
        let mut input = Vec::new();
        if whole.request.body != weir_http::request::BodyLength::None {
            // the connection ends after this request, so whatever was read ahead is the body's
            input = self.client.heads.take();
            if whole.request.expects_continue {
                self.client.write(CONTINUE, stalled).await?;
            }
        }
        let stream = &mut self.client.stream;
        let reading = async {
            let mut read = Vec::new();
            loop {
                let mut rest = input.as_slice();
                loop {
                    let part = body.next(&mut rest).map_err(|error| {
                        End::told(Status::BAD_REQUEST, "bad_request", error).for_good()
                    })?;
                    match part {
                        Part::Data(data) if read.len() + data.len() > MAX_BODY_BYTES => {
                            let end = End::told(Status::TOO_LARGE, "bad_request", "a long body");
                            return Err(end.for_good());
                        }
                        Part::Data(data) => read.extend_from_slice(data),
                        Part::More => break,
                        Part::End => return Ok(Bytes::from(read)),
                    }
                }
                input.clear();
                match read_some(stream, &mut |bytes| input.extend_from_slice(bytes)).await {
                    Ok(0) => return Err(End::client_left()),
                    Ok(_) => {}
                    Err(error) => return Err(End::client_failed(&error)),
                }
            }
        };
        let late = |_| End::told(Status::TIMEOUT, "timeout", "the body did not come").for_good();
        tokio::time::timeout(patience, reading)
            .await
            .map_err(late)?
    }

    /// The answer as it is sent.
    fn answer_of(&self, response: &Response<Bytes>) -> Vec<u8> {
        let status = response.status();
        let reason = status.canonical_reason().unwrap_or_default();
        let mut head = self.manner.begin_page(status.as_u16(), reason);
        for (name, value) in response.headers() {
            if !OURS.contains(&name.as_str()) {
                head.raw_field(name.as_str(), value.as_bytes());
            }
        }
        // RFC 9110, section 8.6: these have no body, and no length of one
        let is_bare = status.is_informational() || matches!(status.as_u16(), 204 | 304);
        if !is_bare {
            head.field("Content-Length", response.body().len());
        }
        let mut answer = head.finish();
        if !is_bare && !self.manner.head_only {
            answer.extend_from_slice(response.body());
        }
        answer
    }
}

/// A request as the hook takes it. Fails when a method or target is none that it can take.
fn request(whole: &Whole, peer: SocketAddr, body: Bytes) -> Result<Request<Bytes>, http::Error> {
    let mut request = Request::builder()
        .method(whole.method.as_str())
        .uri(&whole.target)
        .version(match whole.request.is_old {
            true => Version::HTTP_10,
            false => Version::HTTP_11,
        })
        .extension(Peer(peer));
    for (name, value) in whole.fields.iter() {
        request = request.header(name, value);
    }
    request.body(body)
}
