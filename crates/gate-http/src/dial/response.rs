//! An HTTP answer as a client reads it.
//!
//! Owns: the request's bytes, the head of the answer, and where its body ends. Does not: read sockets, keep
//! connections, or look into the body.

use super::{HttpUrl, ProtocolError};
use weir_http::body::{Body, Part};
use weir_http::request::BodyLength;

/// Longest head of an answer, in bytes. Common servers send a few hundred, proxies with cookies a few thousand.
pub(super) const MAX_HEAD_BYTES: usize = 16 << 10;

/// Most header fields in an answer.
const MOST_FIELDS: usize = 64;

/// The request for `url`.
pub(super) fn request(url: &HttpUrl) -> Vec<u8> {
    let authorization = url
        .authorization()
        .map_or_else(String::new, |value| format!("Authorization: {value}\r\n"));
    format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: weir/{}\r\nAccept: */*\r\n\
         {authorization}Connection: close\r\n\r\n",
        url.target,
        url.authority(),
        env!("CARGO_PKG_VERSION"),
    )
    .into_bytes()
}

/// What the head of an answer says.
#[derive(Debug)]
pub(super) enum Head {
    /// 200: the body follows.
    Found(Coding),
    /// 3xx, with its `Location`.
    Moved(String),
}

/// Where a body ends.
#[derive(Debug)]
pub(super) enum Coding {
    /// After a length, or the last chunk.
    Framed(Body),
    /// Where the connection does.
    ToClose,
}

impl Coding {
    /// Takes the next bytes of the body from the front of `input`; [`Part::More`] when it is used up.
    pub(super) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Part<'a>, ProtocolError> {
        match self {
            Self::Framed(body) => body
                .next(input)
                .map_err(|error| ProtocolError::Chunks(error.to_string())),
            Self::ToClose if input.is_empty() => Ok(Part::More),
            Self::ToClose => Ok(Part::Data(std::mem::take(input))),
        }
    }
}

/// Gathers the head of an answer.
#[derive(Debug, Default)]
pub(super) struct Heads {
    buffer: Vec<u8>,
}

impl Heads {
    /// Takes from the front of `input` up to the end of the head; `None` when it needs more. Interim answers (1xx)
    /// are passed over.
    pub(super) fn read(&mut self, input: &mut &[u8]) -> Result<Option<Head>, ProtocolError> {
        loop {
            let before = self.buffer.len();
            let room = MAX_HEAD_BYTES.saturating_sub(before);
            let taken = input.get(..room).unwrap_or(input);
            self.buffer.extend_from_slice(taken);
            let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
            let mut response = httparse::Response::new(&mut fields);
            let length = match response.parse(&self.buffer).map_err(ProtocolError::Http)? {
                httparse::Status::Complete(length) => length,
                httparse::Status::Partial if self.buffer.len() >= MAX_HEAD_BYTES => {
                    return Err(ProtocolError::HeadTooLong {
                        limit: MAX_HEAD_BYTES,
                    });
                }
                httparse::Status::Partial => {
                    *input = &[];
                    return Ok(None);
                }
            };
            let head = judge(&response);
            *input = input
                .get(length.saturating_sub(before)..)
                .unwrap_or_default();
            self.buffer.clear();
            if let Some(head) = head? {
                return Ok(Some(head));
            }
        }
    }
}

/// `None` for an interim answer.
fn judge(response: &httparse::Response<'_, '_>) -> Result<Option<Head>, ProtocolError> {
    let code = response.code.unwrap_or_default();
    let field = |name: &str| {
        let mut all = response.headers.iter();
        let found = all.find(|field| field.name.eq_ignore_ascii_case(name))?;
        Some(String::from_utf8_lossy(found.value).trim().to_owned())
    };
    match code {
        100..=199 => return Ok(None),
        200 => {}
        300..=399 if field("location").is_some() => {
            return Ok(field("location").map(Head::Moved));
        }
        _ => {
            let reason = response.reason.unwrap_or_default().trim().to_owned();
            return Err(ProtocolError::Status { code, reason });
        }
    }
    // RFC 9112 §6.3: a transfer coding overrides a length
    let coding = match field("transfer-encoding") {
        Some(coding) if coding.eq_ignore_ascii_case("chunked") => {
            Coding::Framed(Body::new(BodyLength::Chunked))
        }
        Some(coding) if !coding.eq_ignore_ascii_case("identity") => {
            return Err(ProtocolError::Coding(coding));
        }
        _ => match field("content-length").map(|length| length.parse()) {
            Some(Ok(length)) => Coding::Framed(Body::new(BodyLength::Known(length))),
            Some(Err(_)) => return Err(ProtocolError::Coding("no length".to_owned())),
            None => Coding::ToClose,
        },
    };
    Ok(Some(Head::Found(coding)))
}
