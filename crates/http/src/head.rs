//! Request heads from bytes that come in pieces of any size.
//!
//! Owns: [`Heads`], which finds where a head ends and keeps what comes after it, and [`HeadError`].
//! Does not: read sockets, or judge what a request asks for ([`crate::request`] reads the fields).
//!
//! The line syntax is httparse's (RFC 9112, section 2.2): lines may end in a bare line feed, folded
//! lines (section 5.2) are refused, and so is space before a colon.
//!
//! Invariant: a head is looked at once, when its end has come, so that a peer that sends one byte at
//! a time costs no more than one that sends it whole.

use crate::fields::Fields;
use crate::request::{self, Request, RequestError};

/// Most header fields of a request. Browsers send about 15; a proxy in front adds some.
const MOST_FIELDS: usize = 64;

/// The line of HTTP/2's preface that reads like a head (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// Why bytes are no request that can be served. The client is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// The head is longer than the setting allows.
    #[error("the request head is longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// More than `MOST_FIELDS` header fields.
    #[error("the request has more than {MOST_FIELDS} header fields")]
    TooManyFields,
    /// Neither HTTP/1.0 nor HTTP/1.1, such as the preface of HTTP/2 (RFC 9113, section 3.4).
    #[error("this port speaks HTTP/1.0 and HTTP/1.1 only")]
    Version,
    /// No HTTP at all.
    #[error("malformed HTTP request: {0}")]
    Syntax(httparse::Error),
    /// The first byte cannot begin a request; a TLS client sends such.
    #[error("malformed HTTP request: it begins with byte {found:#04x}")]
    Start {
        /// That byte.
        found: u8,
    },
    /// Fields that contradict each other or are missing.
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// A request with everything its head says, for whoever passes it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// What a server obeys.
    pub request: Request,
    /// The method as sent.
    pub method: String,
    /// Path and query as sent, in origin form (RFC 9112, section 3.2.1), or `*`.
    pub target: String,
    /// All header fields in order.
    pub fields: Fields,
}

/// What a client has sent and nobody has taken yet: at most one head under way, and what follows it.
#[derive(Debug)]
pub struct Heads {
    buffer: Vec<u8>,
    /// Bytes at the front that hold no end of a head.
    searched: usize,
    limit: usize,
}

impl Heads {
    /// Takes heads of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            buffer: Vec::new(),
            searched: 0,
            limit,
        }
    }

    /// Appends what was read. The caller pulls after each push; what that leaves is at most `limit` and one read.
    pub fn push(&mut self, input: &[u8]) {
        self.buffer.extend_from_slice(input);
    }

    /// The next request, once its head is whole. After an error nothing more can be understood.
    ///
    /// Boxed, since a connection's future would hold room for it as long as the stream lasts.
    pub fn pull(&mut self) -> Result<Option<Box<Request>>, HeadError> {
        self.pull_as(Request::new)
    }

    /// As [`pull`](Self::pull), with all that the head says.
    pub fn pull_whole(&mut self) -> Result<Option<Box<Whole>>, HeadError> {
        self.pull_as(|parsed| {
            Ok(Whole {
                request: Request::new(parsed)?,
                method: parsed.method.unwrap_or_default().to_owned(),
                target: request::origin_form(parsed.path.unwrap_or_default())?,
                fields: Fields::new(parsed.headers),
            })
        })
    }

    /// As [`pull_whole`](Self::pull_whole), with method, target and fields of those requests only for which `wants_fields` says so: most
    /// servers answer from what is read of them.
    pub fn pull_lean(
        &mut self,
        wants_fields: fn(&Request) -> bool,
    ) -> Result<Option<Box<Whole>>, HeadError> {
        self.pull_as(|parsed| {
            let request = Request::new(parsed)?;
            let wanted = wants_fields(&request);
            let headers = if wanted { &*parsed.headers } else { &[] };
            let (method, target) = match wanted {
                true => (
                    parsed.method.unwrap_or_default().to_owned(),
                    request::origin_form(parsed.path.unwrap_or_default())?,
                ),
                false => Default::default(),
            };
            Ok(Whole {
                method,
                target,
                fields: Fields::new(headers),
                request,
            })
        })
    }

    /// Whether what has come begins with HTTP/2's preface (RFC 9113, section 3.4). A connection that begins so is handed
    /// on with all of it: see [`take`](Self::take).
    pub fn is_http2(&self) -> bool {
        self.buffer.starts_with(HTTP2_PREFACE)
    }

    fn pull_as<T>(
        &mut self,
        make: impl Fn(&httparse::Request<'_, '_>) -> Result<T, RequestError>,
    ) -> Result<Option<Box<T>>, HeadError> {
        self.skip_empty_lines();
        if let Some(first) = self.buffer.first()
            && !is_token(*first)
        {
            return Err(HeadError::Start { found: *first });
        }
        let limit = self.limit;
        let Some(end) = self.find_end() else {
            return if self.buffer.len() > limit {
                Err(HeadError::TooLong { limit })
            } else {
                Ok(None)
            };
        };
        if end > limit {
            return Err(HeadError::TooLong { limit });
        }
        let made = parse(self.buffer.get(..end).unwrap_or_default(), make)?;
        self.consume(end);
        Ok(Some(Box::new(made)))
    }

    /// True when the client has begun no further request.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// True when the client has sent more ahead than one head may have.
    pub fn is_overfull(&self) -> bool {
        self.buffer.len() > self.limit
    }

    /// Takes everything that follows the last head: the beginning of its body, or of frames.
    pub fn take(&mut self) -> Vec<u8> {
        self.searched = 0;
        std::mem::take(&mut self.buffer)
    }

    /// Empty lines before a request are ignored (RFC 9112, section 2.2).
    fn skip_empty_lines(&mut self) {
        let empty = self
            .buffer
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        if empty > 0 {
            self.consume(empty);
        }
    }

    fn consume(&mut self, count: usize) {
        self.buffer.drain(..count.min(self.buffer.len()));
        // a stream may last for hours after this
        self.buffer.shrink_to_fit();
        self.searched = 0;
    }

    /// The length of the head, its empty line included.
    fn find_end(&mut self) -> Option<usize> {
        // an end has at most three bytes; two of them may have been looked at before
        let from = self.searched.saturating_sub(2);
        let fresh = self.buffer.get(from..).unwrap_or_default();
        let end = fresh.iter().enumerate().find_map(|(at, byte)| {
            let rest = fresh.get(at + 1..).unwrap_or_default();
            match (byte, rest) {
                (b'\n', [b'\n', ..]) => Some(from + at + 2),
                (b'\n', [b'\r', b'\n', ..]) => Some(from + at + 3),
                _ => None,
            }
        });
        self.searched = self.buffer.len();
        end
    }
}

/// A byte of a method's name (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Parses a head; `make` takes of it what is wanted.
fn parse<T>(
    head: &[u8],
    make: impl Fn(&httparse::Request<'_, '_>) -> Result<T, RequestError>,
) -> Result<T, HeadError> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(_)) => Ok(make(&parsed)?),
        // its end is there, so what is missing is in the lines before
        Ok(httparse::Status::Partial) => Err(HeadError::Syntax(httparse::Error::NewLine)),
        Err(httparse::Error::TooManyHeaders) => Err(HeadError::TooManyFields),
        Err(httparse::Error::Version) => Err(HeadError::Version),
        Err(error) => Err(HeadError::Syntax(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: &[u8] = b"GET /live/x.flv?a=1 HTTP/1.1\r\nHost: h\r\nUser-Agent: t\r\n\r\n";

    fn pull(input: &[u8]) -> Result<Option<Box<Request>>, HeadError> {
        let mut heads = Heads::new(1000);
        heads.push(input);
        heads.pull()
    }

    fn fails(input: &[u8]) -> HeadError {
        pull(input).expect_err("refused")
    }

    #[test]
    fn the_preface_of_http2_is_known() {
        let mut heads = Heads::new(1000);
        heads.push(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        assert_eq!(heads.pull(), Err(HeadError::Version));
        assert!(heads.is_http2());
        assert_eq!(heads.take(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        heads.push(b"PRI * HTTP/2.1\r\n\r\n");
        assert!(!heads.is_http2());
    }

    #[test]
    fn fields_are_kept_where_they_are_wanted() {
        let lean = |wants: fn(&Request) -> bool| {
            let mut heads = Heads::new(1000);
            heads.push(HEAD);
            let whole = heads.pull_lean(wants).expect("valid").expect("whole");
            (
                whole.method.clone(),
                whole.target.clone(),
                whole.fields.len(),
            )
        };
        assert_eq!(lean(|_| true), ("GET".into(), "/live/x.flv?a=1".into(), 2));
        assert_eq!(lean(|_| false), (String::new(), String::new(), 0));
    }

    #[test]
    fn pipelined_requests_come_one_by_one_and_bodies_stay() {
        let mut heads = Heads::new(1000);
        heads.push(&[b"\r\n", HEAD, b"\n", HEAD, b"body"].concat());
        for _ in 0..2 {
            let request = heads.pull().expect("valid").expect("whole");
            assert_eq!(
                (request.path.as_str(), request.query.as_str()),
                ("/live/x.flv", "a=1")
            );
        }
        assert_eq!(heads.take(), b"body");
        assert!(heads.is_empty() && heads.pull().expect("nothing").is_none());
    }

    #[test]
    fn everything_a_head_says_is_there_for_who_passes_it_on() {
        let mut heads = Heads::new(1000);
        heads.push(
            b"GET http://u.h/a%20b?c=%3f&& HTTP/1.1\r\nhost: h\r\nX-A:  1 \r\nx-a: 2\r\n\r\n",
        );
        let whole = heads.pull_whole().expect("valid").expect("whole");
        assert_eq!(whole.target, "/a%20b?c=%3f&&");
        assert_eq!(
            (whole.method.as_str(), whole.request.host.as_str()),
            ("GET", "u.h")
        );
        let fields: Vec<_> = whole.fields.iter().collect();
        assert_eq!(fields, [("host", &b"h"[..]), ("X-A", b"1"), ("x-a", b"2")]);
        heads.push(b"OPTIONS * HTTP/1.0\r\n\r\n");
        let whole = heads.pull_whole().expect("valid").expect("whole");
        assert_eq!(whole.target, "*");
    }

    #[test]
    fn bare_line_feeds_end_lines() {
        let request = pull(b"GET / HTTP/1.0\n\n").expect("valid").expect("whole");
        assert_eq!(request.path, "/");
    }

    #[test]
    fn heads_that_are_too_long_are_refused_before_their_end() {
        let limit = HeadError::TooLong { limit: 1000 };
        assert_eq!(fails(&[b"GET /", &[b'a'; 1000][..]].concat()), limit);
        let whole = [b"GET /", &[b'a'; 1000][..], b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
        assert_eq!(fails(&whole), limit);
        let many = [&b"GET / HTTP/1.1\r\n"[..], &b"a:b\r\n".repeat(65), b"\r\n"].concat();
        assert_eq!(fails(&many), HeadError::TooManyFields);
    }

    #[test]
    fn other_protocols_are_named() {
        assert_eq!(
            fails(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            HeadError::Version
        );
        assert_eq!(fails(&[0x16, 3, 1]), HeadError::Start { found: 0x16 });
    }

    #[test]
    fn what_smuggles_requests_is_no_syntax() {
        for head in [
            &b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nHost : h\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\0\r\n\r\n",
            b"GET /\r\n\r\n",
            b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
        ] {
            assert!(
                matches!(fails(head), HeadError::Syntax(_) | HeadError::Version),
                "{head:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn splits_do_not_matter(cuts in prop::collection::vec(0..HEAD.len() * 2, 0..20)) {
            let input = [HEAD, HEAD].concat();
            let mut cuts = cuts;
            cuts.extend([0, input.len()]);
            cuts.sort_unstable();
            let mut heads = Heads::new(HEAD.len());
            let mut seen = 0;
            for cut in cuts.windows(2) {
                heads.push(&input[cut[0]..cut[1]]);
                while let Some(request) = heads.pull().expect("valid") {
                    prop_assert_eq!(&request.agent, "t");
                    seen += 1;
                }
            }
            prop_assert_eq!((seen, heads.is_empty()), (2, true));
        }

        #[test]
        fn any_bytes_are_a_request_or_an_error(
            input in prop::collection::vec(any::<u8>(), 0..300),
            prefix in prop::sample::select(vec!["", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nA: "]),
        ) {
            let _ = pull(&[prefix.as_bytes(), &input, b"\r\n\r\n"].concat());
        }
    }
}
