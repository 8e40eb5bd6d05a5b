//! Answers' heads from bytes that come in pieces of any size.
//!
//! Owns: [`Responses`], which finds where a head ends and keeps what comes after it; [`Response`] with its framing
//! (RFC 9112, section 6.3). Does not: read sockets, or pass over interim answers: whoever asked knows what to do with
//! them.
//!
//! What could be framed in two ways is refused: a proxy that took one of them would let the other reader be fooled.

use crate::fields::Fields;
use crate::request::BodyLength;

/// Most header fields of an answer. Origins send about 10; what stands in front of them adds some.
const MOST_FIELDS: usize = 96;

/// Why bytes are no answer. The server is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// The head is longer than the setting allows.
    #[error("the head of the answer is longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// More than `MOST_FIELDS` header fields.
    #[error("the answer has more than {MOST_FIELDS} header fields")]
    TooManyFields,
    /// No HTTP at all.
    #[error("malformed HTTP answer: {0}")]
    Syntax(httparse::Error),
    /// A status that no version of HTTP has.
    #[error("the answer has status {0}")]
    Status(u16),
    /// A body whose end two readers may see in different places.
    #[error("the answer has both Content-Length and Transfer-Encoding")]
    TwoLengths,
    /// `Content-Length` is no number, or several that differ.
    #[error("the answer's Content-Length is invalid")]
    ContentLength,
    /// A transfer coding other than chunked, or one in HTTP/1.0.
    #[error("the answer's transfer coding is not chunked")]
    TransferEncoding,
}

/// Where the body of an answer ends (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none, whatever the fields say.
    None,
    /// After this many bytes.
    Known(u64),
    /// After the last chunk.
    Chunked,
    /// Where the connection does.
    ToClose,
}

impl Framing {
    /// The length for [`Body`](crate::body::Body); `None` when only the connection's end tells.
    pub fn length(self) -> Option<BodyLength> {
        match self {
            Self::None => Some(BodyLength::None),
            Self::Known(length) => Some(BodyLength::Known(length)),
            Self::Chunked => Some(BodyLength::Chunked),
            Self::ToClose => None,
        }
    }
}

/// An answer without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// 100 to 599.
    pub status: u16,
    /// The reason phrase, for people; may be empty.
    pub reason: String,
    /// HTTP/1.0.
    pub is_old: bool,
    /// All header fields in order.
    pub fields: Fields,
    /// Where the body ends.
    pub framing: Framing,
    /// Another request may be sent on this connection after the body.
    pub keep_alive: bool,
}

/// What a server has sent and nobody has taken yet.
#[derive(Debug)]
pub struct Responses {
    buffer: Vec<u8>,
    limit: usize,
    /// Bytes at the front that hold no end of a head.
    searched: usize,
}

impl Responses {
    /// Takes heads of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            buffer: Vec::new(),
            limit,
            searched: 0,
        }
    }

    /// Appends what was read. The caller pulls after each push; what that leaves is at most `limit` and one read.
    pub fn push(&mut self, input: &[u8]) {
        self.buffer.extend_from_slice(input);
    }

    /// The next head, once it is whole; `to_head` says that it answers a HEAD. After an error nothing more can be
    /// understood.
    pub fn pull(&mut self, to_head: bool) -> Result<Option<Box<Response>>, ResponseError> {
        let limit = self.limit;
        // a server that does not speak HTTP may never send an empty line; and unlike a request, an answer has none in front
        if !b"HTTP/1.".starts_with(self.buffer.get(..7).unwrap_or(&self.buffer)) {
            return Err(ResponseError::Syntax(httparse::Error::Version));
        }
        let Some(end) = self.find_end() else {
            return if self.buffer.len() > limit {
                Err(ResponseError::TooLong { limit })
            } else {
                Ok(None)
            };
        };
        if end > limit {
            return Err(ResponseError::TooLong { limit });
        }
        let response = parse(self.buffer.get(..end).unwrap_or_default(), to_head)?;
        self.buffer.drain(..end.min(self.buffer.len()));
        self.searched = 0;
        Ok(Some(Box::new(response)))
    }

    /// True when nothing has come since the last head.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Takes everything that follows the last head.
    pub fn take(&mut self) -> Vec<u8> {
        self.searched = 0;
        std::mem::take(&mut self.buffer)
    }

    /// The length of the head, its empty line included.
    fn find_end(&mut self) -> Option<usize> {
        // an end has at most three bytes; two of them may have been looked at before
        let from = self.searched.saturating_sub(2);
        let fresh = self.buffer.get(from..).unwrap_or_default();
        let end =
            fresh
                .windows(2)
                .enumerate()
                .find_map(|(at, pair)| match (pair, fresh.get(at + 2)) {
                    (b"\n\n", _) => Some(from + at + 2),
                    (b"\n\r", Some(b'\n')) => Some(from + at + 3),
                    _ => None,
                });
        self.searched = self.buffer.len();
        end
    }
}

fn parse(head: &[u8], to_head: bool) -> Result<Response, ResponseError> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut parsed = httparse::Response::new(&mut fields);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        // its end is there, so what is missing is in the lines before
        Ok(httparse::Status::Partial) => {
            return Err(ResponseError::Syntax(httparse::Error::NewLine));
        }
        Err(httparse::Error::TooManyHeaders) => return Err(ResponseError::TooManyFields),
        Err(error) => return Err(ResponseError::Syntax(error)),
    }
    let status = parsed.code.unwrap_or_default();
    if !(100..=599).contains(&status) {
        return Err(ResponseError::Status(status));
    }
    let is_old = parsed.version == Some(0);
    let fields = Fields::new(parsed.headers);
    let framing = framing(&fields, status, is_old, to_head)?;
    let keep_alive = framing != Framing::ToClose
        && if is_old {
            fields.lists("connection", "keep-alive")
        } else {
            !fields.lists("connection", "close")
        };
    Ok(Response {
        status,
        reason: parsed.reason.unwrap_or_default().to_owned(),
        is_old,
        fields,
        framing,
        keep_alive,
    })
}

fn framing(
    fields: &Fields,
    status: u16,
    is_old: bool,
    to_head: bool,
) -> Result<Framing, ResponseError> {
    let length = content_length(fields)?;
    let coded = fields.has("transfer-encoding");
    if coded && length.is_some() {
        return Err(ResponseError::TwoLengths);
    }
    let chunked = coded && {
        let mut codings = fields.members("transfer-encoding");
        let first = codings.next();
        first.is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
            && codings.next().is_none()
    };
    if coded && (is_old || !chunked) {
        return Err(ResponseError::TransferEncoding);
    }
    Ok(match length {
        _ if to_head || status < 200 || status == 204 || status == 304 => Framing::None,
        _ if chunked => Framing::Chunked,
        Some(length) => Framing::Known(length),
        None => Framing::ToClose,
    })
}

fn content_length(fields: &Fields) -> Result<Option<u64>, ResponseError> {
    let mut lengths = fields.members("content-length");
    let Some(first) = lengths.next() else {
        // an empty value is no length either
        return match fields.has("content-length") {
            true => Err(ResponseError::ContentLength),
            false => Ok(None),
        };
    };
    let is_number = first.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || lengths.any(|other| other != first) {
        return Err(ResponseError::ContentLength);
    }
    let length = first.parse().map_err(|_| ResponseError::ContentLength)?;
    Ok(Some(length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: &[u8] = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nX: y\r\n\r\n";

    fn pull(input: &[u8]) -> Result<Option<Box<Response>>, ResponseError> {
        let mut heads = Responses::new(1000);
        heads.push(input);
        heads.pull(false)
    }

    fn framed(status: &str, fields: &str) -> Result<Framing, ResponseError> {
        let head = format!("HTTP/1.1 {status}\r\n{fields}\r\n");
        pull(head.as_bytes()).map(|response| response.expect("whole").framing)
    }

    #[test]
    fn bodies_end_as_the_standard_says() {
        let known = "Content-Length: 7\r\n";
        assert_eq!(framed("200 OK", known), Ok(Framing::Known(7)));
        assert_eq!(
            framed("200 OK", "Content-Length: 7, 7\r\n"),
            Ok(Framing::Known(7))
        );
        assert_eq!(
            framed("200 OK", "Transfer-Encoding: chunked\r\n"),
            Ok(Framing::Chunked)
        );
        assert_eq!(framed("200 OK", ""), Ok(Framing::ToClose));
        for status in [
            "100 Continue",
            "101 X",
            "204 No Content",
            "304 Not Modified",
        ] {
            assert_eq!(framed(status, known), Ok(Framing::None), "{status}");
        }
        let mut heads = Responses::new(1000);
        heads.push(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
        let response = heads.pull(true).expect("valid").expect("whole");
        assert_eq!(response.framing, Framing::None);
        assert!(response.keep_alive);
    }

    #[test]
    fn answers_that_two_readers_may_read_differently_are_refused() {
        for (fields, error) in [
            (
                "Content-Length: 7\r\nTransfer-Encoding: chunked\r\n",
                ResponseError::TwoLengths,
            ),
            (
                "Content-Length: 7\r\nContent-Length: 8\r\n",
                ResponseError::ContentLength,
            ),
            ("Content-Length: +7\r\n", ResponseError::ContentLength),
            ("Content-Length: \r\n", ResponseError::ContentLength),
            (
                "Content-Length: 99999999999999999999\r\n",
                ResponseError::ContentLength,
            ),
            (
                "Transfer-Encoding: gzip, chunked\r\n",
                ResponseError::TransferEncoding,
            ),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                ResponseError::TransferEncoding,
            ),
        ] {
            assert_eq!(framed("200 OK", fields), Err(error), "{fields}");
        }
        let old = b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(pull(old), Err(ResponseError::TransferEncoding));
    }

    #[test]
    fn connections_that_end_are_known() {
        for (head, keep) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", true),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: Close\r\n\r\n",
                false,
            ),
            ("HTTP/1.1 200 OK\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", false),
            (
                "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n",
                true,
            ),
        ] {
            let response = pull(head.as_bytes()).expect("valid").expect("whole");
            assert_eq!(response.keep_alive, keep, "{head}");
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let begin = &b"SSH-2.0-x\r\n"[..];
        assert_eq!(
            pull(begin),
            Err(ResponseError::Syntax(httparse::Error::Version))
        );
        assert_eq!(
            pull(b"HTTP/1.1 999 X\r\n\r\n"),
            Err(ResponseError::Status(999))
        );
        assert_eq!(
            pull(b"\r\nHTTP/1.1 200 OK\r\n\r\n"),
            Err(ResponseError::Syntax(httparse::Error::Version))
        );
        for head in [
            &b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n",
            b"HTTP/1.1 2000 OK\r\n\r\n",
        ] {
            assert!(
                matches!(pull(head), Err(ResponseError::Syntax(_))),
                "{head:?}"
            );
        }
        let long = [&b"HTTP/1.1 200 OK\r\nA: "[..], &[b'a'; 1000]].concat();
        assert_eq!(pull(&long), Err(ResponseError::TooLong { limit: 1000 }));
        let many = [&b"HTTP/1.1 200 OK\r\n"[..], &b"a:b\r\n".repeat(97), b"\r\n"].concat();
        assert_eq!(pull(&many), Err(ResponseError::TooManyFields));
    }

    proptest! {
        #[test]
        fn splits_do_not_matter(cuts in prop::collection::vec(0..HEAD.len() + 5, 0..20)) {
            let input = [HEAD, b"12345"].concat();
            let mut cuts = cuts;
            cuts.extend([0, input.len()]);
            cuts.sort_unstable();
            let mut heads = Responses::new(1000);
            let mut seen = 0;
            for cut in cuts.windows(2) {
                heads.push(&input[cut[0]..cut[1]]);
                if seen == 0 && let Some(response) = heads.pull(false).expect("valid") {
                    prop_assert_eq!(response.framing, Framing::Known(5));
                    seen += 1;
                }
            }
            prop_assert_eq!((seen, heads.take()), (1, b"12345".to_vec()));
        }

        #[test]
        fn any_bytes_are_an_answer_or_an_error(
            input in prop::collection::vec(any::<u8>(), 0..300),
            prefix in prop::sample::select(vec!["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nA: "]),
        ) {
            let _ = pull(&[prefix.as_bytes(), &input, b"\r\n\r\n"].concat());
        }
    }
}
