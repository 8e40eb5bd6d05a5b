//! The application's pages and API on the port of streams.
//!
//! Owns: the request's body, which is bounded, and the way of the answer back, for every version of HTTP. Does not: answer,
//! or decide who may ask. Answers carry no permission for pages of other origins but what the application gives.

use std::borrow::Cow;
use std::net::SocketAddr;

use bytes::Bytes;
use weir_net::clock;

use weir_http::body::{Body, Part};
use weir_http::head::Whole;
use weir_http::pages::{MAX_BODY_BYTES, Pages, Peer};
use weir_http::request::BodyLength;

use crate::connection::{Connection, read};
use crate::end::End;
use crate::reply::{Length, Prepared};
use crate::response::{CONTINUE, Manner, Status};
use crate::send::Patience;

/// Fields of an answer that belong to the connection, and are written anew.
const OF_THE_CONNECTION: [&str; 6] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "server",
    "transfer-encoding",
];

/// A request as the application sees it. Fails when a method or target is none that it can take.
fn request_of(
    whole: &Whole,
    peer: SocketAddr,
    body: Bytes,
) -> Result<http::Request<Bytes>, http::Error> {
    let mut request = http::Request::builder()
        .method(whole.method.as_str())
        .uri(&whole.target)
        .version(match whole.request.is_old {
            true => http::Version::HTTP_10,
            false => http::Version::HTTP_11,
        })
        .extension(Peer(peer));
    for (name, value) in whole.fields.iter() {
        request = request.header(name, value);
    }
    request.body(body)
}

/// The application's answer, but for what belongs to the connection.
pub(crate) fn prepared(response: http::Response<Bytes>) -> Prepared {
    let (parts, body) = response.into_parts();
    let fields = parts.headers.iter().filter_map(|(name, value)| {
        let is_ours = OF_THE_CONNECTION.contains(&name.as_str());
        let field = || {
            (
                Cow::Owned(name.as_str().to_owned()),
                Cow::Owned(value.as_bytes().to_owned()),
            )
        };
        (!is_ours).then(field)
    });
    // RFC 9110, section 8.6
    let is_bare = parts.status.is_informational() || matches!(parts.status.as_u16(), 204 | 304);
    Prepared {
        status: Status::of(parts.status.as_u16()),
        fields: fields.collect(),
        body: if is_bare { Vec::new() } else { vec![body] },
        length: if is_bare { Length::Bare } else { Length::Whole },
    }
}

impl Connection {
    /// Hands a request over, and sends the answer.
    pub(crate) async fn page(&mut self, pages: Pages, whole: Box<Whole>) -> Result<(), End> {
        let keep_alive = self.manner.keep_alive;
        self.manner = Manner::own(&whole.request);
        self.manner.keep_alive = keep_alive;
        let body = self.whole_body(&whole).await?;
        let peer = self.conn.socket().peer();
        let request = match request_of(&whole, peer, body) {
            Ok(request) => request,
            Err(error) => return Err(End::answered(Status::BAD_REQUEST, "protocol_error", error)),
        };
        drop(whole);
        let answering = pages(request);
        let response = tokio::select! {
            biased;
            response = answering => response,
            end = self.gone(Patience::UntilStop) => return Err(end),
        };
        self.send_shared(prepared(response)).await
    }

    /// Reads a body to its end; what follows it is kept for the next request.
    async fn whole_body(&mut self, whole: &Whole) -> Result<Bytes, End> {
        if whole.request.body == BodyLength::None {
            return Ok(Bytes::new());
        }
        if whole.request.expects_continue && self.heads.is_empty() {
            self.conn.say(&mut CONTINUE.to_vec(), clock::now());
        }
        let mut body = Collected {
            body: Body::new(whole.request.body),
            bytes: Vec::new(),
        };
        let ahead = self.heads.take();
        let mut complete = self.collect(&mut body, &ahead)?;
        let deadline = clock::now() + self.gate.settings().request;
        while !complete {
            tokio::select! {
                readable = self.conn.socket().readable() => readable?,
                () = tokio::time::sleep_until(deadline.into()) => {
                    let text = "the request's body did not come in time";
                    return Err(End::answered(Status::TIMEOUT, "timeout", text));
                }
                reason = self.conn.session().kicked() => return Err(reason.into()),
                () = self.gate.core.shutdown().stopped() => return Err(End::drained()),
            }
            let gate = self.gate.clone();
            let conn = std::rc::Rc::clone(&self.conn);
            read(&gate, conn.socket(), |input| {
                self.opened.received(input.len());
                complete = self.collect(&mut body, input)?;
                Ok(!complete)
            })?;
        }
        Ok(Bytes::from(body.bytes))
    }

    fn collect(&mut self, body: &mut Collected, mut input: &[u8]) -> Result<bool, End> {
        let complete = body.take(&mut input)?;
        self.heads.push(input);
        Ok(complete)
    }
}

/// A body that is kept as it comes.
struct Collected {
    body: Body,
    bytes: Vec<u8>,
}

impl Collected {
    /// Takes in what was read, and shortens it; true when the body is complete.
    fn take(&mut self, input: &mut &[u8]) -> Result<bool, End> {
        loop {
            match self.body.next(input)? {
                Part::Data(data) if self.bytes.len() + data.len() > MAX_BODY_BYTES => {
                    return Err(too_large());
                }
                Part::Data(data) => self.bytes.extend_from_slice(data),
                Part::More => return Ok(false),
                Part::End => return Ok(true),
            }
        }
    }
}

fn too_large() -> End {
    let text = format!("bodies have at most {MAX_BODY_BYTES} bytes here");
    End::answered(Status::TOO_LARGE, "protocol_error", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_bounded_and_leave_what_follows() {
        let collect = |length: u64, input: &[u8]| {
            let mut body = Collected {
                body: Body::new(BodyLength::Known(length)),
                bytes: Vec::new(),
            };
            let mut rest = input;
            let complete = body.take(&mut rest)?;
            Ok::<_, End>((complete, body.bytes, rest.len()))
        };
        assert_eq!(collect(3, b"abcGET"), Ok((true, b"abc".to_vec(), 3)));
        assert_eq!(collect(3, b"ab"), Ok((false, b"ab".to_vec(), 0)));
        let long = vec![0; MAX_BODY_BYTES + 1];
        assert_eq!(collect(long.len() as u64, &long), Err(too_large()));
        assert!(collect(MAX_BODY_BYTES as u64, &long).is_ok());
    }

    #[test]
    fn what_belongs_to_the_connection_is_not_the_applications() {
        let response = http::Response::builder()
            .status(201)
            .header("content-length", "99")
            .header("connection", "close")
            .header("x-a", "b")
            .body(Bytes::from_static(b"made"))
            .expect("valid");
        let prepared = prepared(response);
        assert_eq!(prepared.status, Status(201, "Created"));
        assert_eq!(prepared.fields.len(), 1);
        assert_eq!((prepared.bytes(), prepared.length), (4, Length::Whole));
    }
}
