//! The heads of answers in HTTP/1.1, and answers in plain text.
//!
//! Owns: status lines, the fields that every answer has, and what pages of other origins may do (CORS).
//! Does not: write to sockets, or decide what to answer.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::SystemTime;

use crate::egress::{Framing, Wire};
use crate::reply::{self, Field, Length, Prepared};
use weir_http::date;
use weir_http::request::Request;

/// A status and its reason phrase (RFC 9110, section 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u16, pub(crate) &'static str);

impl Status {
    pub(crate) const OK: Self = Self(200, "OK");
    const NO_CONTENT: Self = Self(204, "No Content");
    pub(crate) const PARTIAL: Self = Self(206, "Partial Content");
    pub(crate) const NOT_MODIFIED: Self = Self(304, "Not Modified");
    const SWITCHING: Self = Self(101, "Switching Protocols");
    pub(crate) const BAD_REQUEST: Self = Self(400, "Bad Request");
    pub(crate) const FORBIDDEN: Self = Self(403, "Forbidden");
    pub(crate) const NOT_FOUND: Self = Self(404, "Not Found");
    pub(crate) const METHOD: Self = Self(405, "Method Not Allowed");
    pub(crate) const NOT_ACCEPTABLE: Self = Self(406, "Not Acceptable");
    pub(crate) const TIMEOUT: Self = Self(408, "Request Timeout");
    pub(crate) const CONFLICT: Self = Self(409, "Conflict");
    pub(crate) const LENGTH_REQUIRED: Self = Self(411, "Length Required");
    pub(crate) const TOO_LARGE: Self = Self(413, "Content Too Large");
    pub(crate) const RANGE: Self = Self(416, "Range Not Satisfiable");
    pub(crate) const EXPECTATION_FAILED: Self = Self(417, "Expectation Failed");
    pub(crate) const UPGRADE: Self = Self(426, "Upgrade Required");
    pub(crate) const FIELDS_TOO_LARGE: Self = Self(431, "Request Header Fields Too Large");
    pub(crate) const NOT_IMPLEMENTED: Self = Self(501, "Not Implemented");
    pub(crate) const UNAVAILABLE: Self = Self(503, "Service Unavailable");
    pub(crate) const VERSION: Self = Self(505, "HTTP Version Not Supported");

    /// The status with this number.
    pub(crate) fn of(number: u16) -> Self {
        let known = http::StatusCode::from_u16(number).ok();
        let reason = known.and_then(|status| status.canonical_reason());
        Self(number, reason.unwrap_or_default())
    }
}

/// The interim answer to `Expect: 100-continue` (RFC 9110, section 15.2.1).
pub(crate) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Methods of streams.
pub(crate) const STREAM_METHODS: &str = "GET, HEAD, POST, PUT, OPTIONS";

/// Methods of everything else on this port; the application's pages have their own.
pub(crate) const PAGE_METHODS: &str = "GET, HEAD, OPTIONS";

/// Fields of answers that pages of other origins may read, beside those that all may (Fetch standard, section 3.3.3).
const EXPOSED: &str = "Content-Length, Content-Range, Date, ETag, Retry-After";

/// How long browsers may remember a preflight's answer, in seconds: a day, the most that any of them does.
const PREFLIGHT_SECONDS: &str = "86400";

/// When a client that was refused for want of room may try again, in seconds. Sooner, and a storm of them keeps the
/// server busy saying no.
pub(crate) const RETRY_SECONDS: &str = "5";

/// What all answers to one request have in common.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Manner {
    /// The connection takes another request after this one.
    pub(crate) keep_alive: bool,
    /// HTTP/1.0.
    is_old: bool,
    /// The answer to HEAD has no body.
    pub(crate) head_only: bool,
    allow_origin: Option<Cow<'static, str>>,
    /// The answer is for this origin only.
    varies: bool,
}

impl Manner {
    /// The manner in which `request` is answered. `cors` is `*`, or the origins that may use the answer, separated by commas.
    pub(crate) fn new(request: &Request, cors: &str) -> Self {
        let any = cors.trim() == "*";
        let allow_origin = if any {
            Some(Cow::Borrowed("*"))
        } else {
            let asks = |origin: &&str| request.origin.as_deref() == Some(*origin);
            cors.split(',')
                .map(str::trim)
                .find(asks)
                .map(|origin| Cow::Owned(origin.to_owned()))
        };
        Self {
            keep_alive: request.keep_alive,
            is_old: request.is_old,
            head_only: request.method == weir_http::request::Method::Head,
            allow_origin,
            varies: !any && !cors.trim().is_empty(),
        }
    }

    /// The manner of answers that pages of other origins may not read.
    pub(crate) fn own(request: &Request) -> Self {
        Self::new(request, "")
    }

    /// What pages of other origins may do with the answer, in fields.
    pub(crate) fn permissions(&self) -> Vec<Field> {
        let mut fields = Vec::new();
        if let Some(origin) = &self.allow_origin {
            fields.push(reply::field("Access-Control-Allow-Origin", origin.clone()));
            fields.push(reply::field("Access-Control-Expose-Headers", EXPOSED));
        }
        if self.varies {
            fields.push(reply::field("Vary", "Origin"));
        }
        fields
    }

    fn begin(&self, status: Status, at: SystemTime, out: &mut Vec<u8>) {
        let Status(number, reason) = status;
        let _ = write!(
            Text(out),
            "HTTP/1.1 {number} {reason}\r\nServer: Weir\r\nDate: "
        );
        out.extend_from_slice(date::format(at).as_bytes());
        out.extend_from_slice(b"\r\n");
        for (name, value) in self.permissions() {
            raw_field(&name, &value, out);
        }
        if status == Status::SWITCHING {
            return;
        }
        if !self.keep_alive {
            field("Connection", "close", out);
        } else if self.is_old {
            field("Connection", "keep-alive", out);
        }
    }

    /// Appends the head of an answer. A body that grows is in chunks, or ends with the connection where there are none.
    pub(crate) fn write_head(&self, prepared: &Prepared, at: SystemTime, out: &mut Vec<u8>) {
        self.begin(prepared.status, at, out);
        for (name, value) in &prepared.fields {
            raw_field(name, value, out);
        }
        match prepared.length {
            Length::Whole => field("Content-Length", &prepared.bytes().to_string(), out),
            Length::Growing if self.is_old => {}
            Length::Growing => field("Transfer-Encoding", "chunked", out),
            Length::Bare => {}
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Whether the client understands chunks.
    pub(crate) fn has_chunks(&self) -> bool {
        !self.is_old
    }

    /// Appends an answer in plain text, or of another type if `fields` say so.
    pub(crate) fn write_text(
        &self,
        status: Status,
        fields: &[(&str, &str)],
        text: &str,
        at: SystemTime,
        out: &mut Vec<u8>,
    ) {
        self.begin(status, at, out);
        if !fields.iter().any(|(name, _)| *name == "Content-Type") {
            field("Content-Type", "text/plain; charset=utf-8", out);
        }
        if status == Status::UNAVAILABLE {
            field("Retry-After", RETRY_SECONDS, out);
        }
        for (name, value) in fields {
            field(name, value, out);
        }
        field("Content-Length", &text.len().to_string(), out);
        out.extend_from_slice(b"\r\n");
        if !self.head_only {
            out.extend_from_slice(text.as_bytes());
        }
    }

    /// Appends the head of a stream.
    pub(crate) fn write_stream(&self, wire: Wire, at: SystemTime, out: &mut Vec<u8>) {
        self.begin(Status::OK, at, out);
        field("Content-Type", wire.container.content_type(), out);
        field("Cache-Control", "no-cache, no-store", out);
        if wire.framing == Framing::Chunked {
            field("Transfer-Encoding", "chunked", out);
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Appends the answer to a WebSocket handshake (RFC 6455, section 4.2.2).
    pub(crate) fn write_upgrade(&self, accept: &str, at: SystemTime, out: &mut Vec<u8>) {
        self.begin(Status::SWITCHING, at, out);
        field("Connection", "Upgrade", out);
        field("Upgrade", "websocket", out);
        field("Sec-WebSocket-Accept", accept, out);
        out.extend_from_slice(b"\r\n");
    }

    /// The answer to OPTIONS: what may be asked, by pages too (Fetch standard, section 3.2).
    pub(crate) fn options(&self, methods: &'static str, request: &Request) -> Prepared {
        let mut prepared = Prepared {
            status: Status::NO_CONTENT,
            fields: vec![reply::field("Allow", methods)],
            body: Vec::new(),
            length: Length::Bare,
        };
        if self.allow_origin.is_some() {
            prepared = prepared
                .with("Access-Control-Allow-Methods", methods)
                .with("Access-Control-Max-Age", PREFLIGHT_SECONDS);
            if let Some(headers) = &request.requested_headers {
                prepared = prepared.with("Access-Control-Allow-Headers", headers.clone());
            }
            if request.private_network {
                prepared = prepared.with("Access-Control-Allow-Private-Network", "true");
            }
        }
        prepared
    }
}

/// Writes a field whose value may be no text; it has no line end, being from a head or from here.
fn raw_field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

fn field(name: &str, value: &str, out: &mut Vec<u8>) {
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Bytes that take formatted text; they never fail.
struct Text<'a>(&'a mut Vec<u8>);

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::Container;
    use std::time::{Duration, UNIX_EPOCH};
    use weir_http::head::Heads;

    fn request(fields: &str) -> Box<Request> {
        let mut heads = Heads::new(1000);
        heads.push(format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n").as_bytes());
        heads.pull().expect("valid").expect("whole")
    }

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn dates() {
        let date = |seconds| date::format(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(date(1_735_689_599), "Tue, 31 Dec 2024 23:59:59 GMT");
        assert_eq!(date(4_107_542_400), "Mon, 01 Mar 2100 00:00:00 GMT");
    }

    #[test]
    fn origins_that_may_use_the_answer() {
        let asked = request("Origin: https://a.example\r\n");
        let manner = |cors| Manner::new(&asked, cors);
        assert_eq!(manner("*").allow_origin.as_deref(), Some("*"));
        assert!(!manner("*").varies);
        let listed = manner("https://b.example, https://a.example");
        assert_eq!(listed.allow_origin.as_deref(), Some("https://a.example"));
        assert!(listed.varies);
        let other = manner("https://b.example");
        assert!(other.allow_origin.is_none() && other.varies);
        assert_eq!(
            manner(""),
            Manner {
                keep_alive: true,
                ..Manner::default()
            }
        );
    }

    #[test]
    fn heads_of_streams_by_version() {
        let manner = Manner::new(&request(""), "*");
        let flv = |framing| Wire {
            container: Container::Flv,
            framing,
        };
        let chunked = text(|out| manner.write_stream(flv(Framing::Chunked), UNIX_EPOCH, out));
        assert!(chunked.contains("\r\nTransfer-Encoding: chunked\r\n"));
        assert!(!chunked.contains("Connection"));
        let old = Manner {
            is_old: true,
            ..Manner::default()
        };
        let raw = text(|out| old.write_stream(flv(Framing::Raw), UNIX_EPOCH, out));
        assert!(raw.contains("\r\nConnection: close\r\n") && !raw.contains("chunked"));
    }

    #[test]
    fn a_preflight_is_told_what_it_asks() {
        let asked = request(
            "Access-Control-Request-Headers: range\r\n\
             Access-Control-Request-Private-Network: true\r\n",
        );
        let manner = Manner::new(&asked, "*");
        let options = |manner: &Manner| {
            let prepared = manner.options(STREAM_METHODS, &asked);
            text(|out| manner.write_head(&prepared, UNIX_EPOCH, out))
        };
        let answer = options(&manner);
        assert!(answer.contains("\r\nAccess-Control-Allow-Private-Network: true\r\n"));
        assert!(answer.contains("\r\nAccess-Control-Allow-Headers: range\r\n"));
        let silent = Manner::new(&asked, "");
        let answer = options(&silent);
        assert!(!answer.contains("Access-Control"));
    }

    #[test]
    fn texts_say_their_length_even_without_their_body() {
        let manner = Manner {
            head_only: true,
            ..Manner::default()
        };
        let answer =
            text(|out| manner.write_text(Status::UNAVAILABLE, &[], "full\n", UNIX_EPOCH, out));
        assert!(answer.contains("\r\nContent-Length: 5\r\n") && answer.ends_with("\r\n\r\n"));
        assert!(answer.contains("\r\nRetry-After: 5\r\n"));
    }
}
