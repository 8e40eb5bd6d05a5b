//! What a request's head says.
//!
//! Owns: [`Request`], the fields this gate obeys, and the rules that keep two readers of one connection
//! from disagreeing on where a body ends (RFC 9112, sections 6.1 and 6.3). Does not: parse lines
//! ([`crate::head`] does), or know streams.

/// How a request asks for something (RFC 9110, section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET: play.
    Get,
    /// HEAD: as GET, without the body.
    Head,
    /// POST: publish.
    Post,
    /// PUT: publish, as `curl -T` does.
    Put,
    /// OPTIONS: ask what is allowed.
    Options,
    /// One that nothing here understands.
    Other,
}

/// What follows the head (RFC 9112, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// Nothing.
    None,
    /// This many bytes.
    Known(u64),
    /// Chunks.
    Chunked,
}

/// The wish to go on as a WebSocket (RFC 6455, section 4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// `Sec-WebSocket-Key` as sent.
    pub key: String,
    /// `Sec-WebSocket-Version` as sent; 13 is the only one there is.
    pub version: String,
}

/// Which bytes of an answer are wanted (RFC 9110, section 14.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// `a-b`: the first and the last byte.
    Between(u64, u64),
    /// `a-`: from this byte on.
    From(u64),
    /// `-n`: so many bytes at the end.
    Last(u64),
}

impl Range {
    /// Reads the value of `Range`. `None` for several ranges, other units and what is no range: such fields are ignored
    /// (section 14.2 there), and the answer is whole.
    fn parse(value: &str) -> Option<Self> {
        let (unit, range) = value.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            // a number that fits nowhere is past every end
            is_number.then(|| text.parse().unwrap_or(u64::MAX))
        };
        match range.trim().split_once('-')? {
            ("", last) => Some(Self::Last(number(last)?)),
            (first, "") => Some(Self::From(number(first)?)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::Between(first, last))
            }
        }
    }

    /// The bytes meant of `length`; `None` when there are none of them.
    pub fn of(self, length: u64) -> Option<std::ops::Range<u64>> {
        let (start, end) = match self {
            Self::Between(first, last) => (first, last.saturating_add(1).min(length)),
            Self::From(first) => (first, length),
            Self::Last(count) => (length.saturating_sub(count), length),
        };
        (start < end).then_some(start..end)
    }
}

/// Why a request cannot be served as it stands. The client is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A body whose end two readers may see in different places.
    #[error("the request has both Content-Length and Transfer-Encoding")]
    TwoLengths,
    /// `Content-Length` is no number, or several that differ.
    #[error("the request's Content-Length is invalid")]
    ContentLength,
    /// `Transfer-Encoding` in a version that has none.
    #[error("HTTP/1.0 has no Transfer-Encoding")]
    OldTransferEncoding,
    /// A transfer coding other than chunked.
    #[error("the only transfer coding supported is chunked")]
    TransferEncoding,
    /// No `Host`, or several (RFC 9112, section 3.2).
    #[error("the request needs exactly one Host")]
    Host,
    /// The target is no path.
    #[error("the request target is invalid")]
    Target,
    /// An expectation other than `100-continue` (RFC 9110, section 10.1.1).
    #[error("the only expectation supported is 100-continue")]
    Expectation,
}

/// A request without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// How it asks.
    pub method: Method,
    /// HTTP/1.0: neither chunks nor interim answers.
    pub is_old: bool,
    /// The path as sent, percent-encoded; `*` for the server as a whole.
    pub path: String,
    /// The query without its question mark; empty without one.
    pub query: String,
    /// Host and port as sent; empty where HTTP/1.0 named none.
    pub host: String,
    /// `User-Agent`, for people.
    pub agent: String,
    /// The client wants to send another request on this connection.
    pub keep_alive: bool,
    /// What follows the head.
    pub body: BodyLength,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// The wish to go on as a WebSocket.
    pub upgrade: Option<Upgrade>,
    /// The origin of the page that asks.
    pub origin: Option<String>,
    /// `Access-Control-Request-Headers` of a preflight.
    pub requested_headers: Option<String>,
    /// `Access-Control-Request-Private-Network: true` of a preflight.
    pub private_network: bool,
    /// The one range of bytes that is wanted.
    pub range: Option<Range>,
    /// The validator on which `range` depends.
    pub if_range: Option<String>,
    /// The validators of what the client has, as a list.
    pub if_none_match: Option<String>,
    /// The client takes bodies in gzip.
    pub accepts_gzip: bool,
    /// Whom a proxy asks for, as it says: `X-Forwarded-For`.
    pub forwarded_for: Option<String>,
}

impl Request {
    /// Reads a head of HTTP/2, which has the same meaning in other bytes (RFC 9113, section 8.3).
    pub fn of_http2(parts: &http::request::Parts) -> Result<Self, RequestError> {
        let authority = parts.uri.authority().map(http::uri::Authority::as_str);
        let mut fields: Vec<_> = parts
            .headers
            .iter()
            .map(|(name, value)| httparse::Header {
                name: name.as_str(),
                value: value.as_bytes(),
            })
            .collect();
        if let Some(authority) = authority
            && !parts.headers.contains_key(http::header::HOST)
        {
            fields.push(httparse::Header {
                name: "host",
                value: authority.as_bytes(),
            });
        }
        let mut parsed = httparse::Request::new(&mut fields);
        parsed.method = Some(parts.method.as_str());
        parsed.version = Some(1);
        let target = parts.uri.path_and_query();
        parsed.path = Some(target.map_or("/", http::uri::PathAndQuery::as_str));
        Self::new(&parsed)
    }

    /// Reads the fields of a complete head.
    pub fn new(parsed: &httparse::Request<'_, '_>) -> Result<Self, RequestError> {
        let fields = Fields(parsed.headers);
        let is_old = parsed.version == Some(0);
        let (authority, path, query) = target(parsed.path.unwrap_or_default())?;
        let host = match fields.all("host").collect::<Vec<_>>().as_slice() {
            [] if is_old => "",
            [host] => host,
            _ => return Err(RequestError::Host),
        };
        let method = match parsed.method {
            Some("GET") => Method::Get,
            Some("HEAD") => Method::Head,
            Some("POST") => Method::Post,
            Some("PUT") => Method::Put,
            Some("OPTIONS") => Method::Options,
            _ => Method::Other,
        };
        let body = body_length(&fields, is_old)?;
        // frames begin right after the head, so there is no room for a body
        let wants_upgrade = method == Method::Get
            && !is_old
            && body == BodyLength::None
            && fields.lists("connection", "upgrade")
            && fields.lists("upgrade", "websocket");
        let owned = |name| fields.all(name).next().map(str::to_owned);
        Ok(Self {
            method,
            is_old,
            path: path.to_owned(),
            query: query.to_owned(),
            host: authority.unwrap_or(host).to_owned(),
            agent: owned("user-agent").unwrap_or_default(),
            keep_alive: if is_old {
                fields.lists("connection", "keep-alive")
            } else {
                !fields.lists("connection", "close")
            },
            body,
            expects_continue: expects_continue(&fields, is_old)?,
            upgrade: wants_upgrade.then(|| Upgrade {
                key: owned("sec-websocket-key").unwrap_or_default(),
                version: owned("sec-websocket-version").unwrap_or_default(),
            }),
            origin: owned("origin"),
            requested_headers: owned("access-control-request-headers"),
            private_network: fields.lists("access-control-request-private-network", "true"),
            range: range(&fields),
            if_range: owned("if-range"),
            if_none_match: joined(&fields, "if-none-match"),
            accepts_gzip: accepts_gzip(&fields),
            forwarded_for: joined(&fields, "x-forwarded-for"),
        })
    }
}

struct Fields<'a>(&'a [httparse::Header<'a>]);

impl<'a> Fields<'a> {
    /// The values of all fields called `name`. One that is no UTF-8 is empty: no value understood here is like that.
    fn all(&self, name: &'static str) -> impl Iterator<Item = &'a str> + use<'a> {
        let named = self
            .0
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| std::str::from_utf8(field.value).unwrap_or_default().trim())
    }

    /// The members of all lists called `name` (RFC 9110, section 5.6.1).
    fn members(&self, name: &'static str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.all(name)
            .flat_map(|value| value.split(','))
            .map(str::trim)
    }

    fn lists(&self, name: &'static str, member: &str) -> bool {
        self.members(name)
            .any(|found| found.eq_ignore_ascii_case(member))
    }
}

/// Authority, path and query of a request target (RFC 9112, section 3.2).
fn target(target: &str) -> Result<(Option<&str>, &str, &str), RequestError> {
    let (authority, rest) = if target.starts_with('/') || target == "*" {
        (None, target)
    } else if let Some((scheme, rest)) = target.split_once("://")
        && (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"))
    {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at_checked(end).ok_or(RequestError::Target)?;
        (Some(authority), rest)
    } else if !target.contains('/') {
        // `CONNECT host:port`, which will be refused by its method
        (Some(target), "")
    } else {
        return Err(RequestError::Target);
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    Ok((authority, if path.is_empty() { "/" } else { path }, query))
}

/// The target without scheme and authority, as a server is asked for it (RFC 9112, section 3.2.1).
pub(crate) fn origin_form(text: &str) -> Result<String, RequestError> {
    if text.starts_with('/') {
        return Ok(text.to_owned());
    }
    let (_, path, query) = target(text)?;
    let mark = if query.is_empty() { "" } else { "?" };
    Ok(format!("{path}{mark}{query}"))
}

fn body_length(fields: &Fields<'_>, is_old: bool) -> Result<BodyLength, RequestError> {
    let mut lengths = fields.members("content-length");
    let first = lengths.next();
    if fields.all("transfer-encoding").next().is_some() {
        if first.is_some() {
            return Err(RequestError::TwoLengths);
        }
        if is_old {
            return Err(RequestError::OldTransferEncoding);
        }
        let mut codings = fields.members("transfer-encoding");
        let chunked = codings
            .next()
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
        return if chunked && codings.next().is_none() {
            Ok(BodyLength::Chunked)
        } else {
            Err(RequestError::TransferEncoding)
        };
    }
    let Some(first) = first else {
        return Ok(BodyLength::None);
    };
    if first.is_empty() || !first.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(RequestError::ContentLength);
    }
    if lengths.any(|other| other != first) {
        return Err(RequestError::ContentLength);
    }
    match first.parse() {
        Ok(0) => Ok(BodyLength::None),
        Ok(length) => Ok(BodyLength::Known(length)),
        Err(_) => Err(RequestError::ContentLength),
    }
}

fn expects_continue(fields: &Fields<'_>, is_old: bool) -> Result<bool, RequestError> {
    let mut expected = fields.members("expect");
    match expected.next() {
        None => Ok(false),
        // RFC 9110, section 10.1.1: to be ignored in HTTP/1.0
        Some(_) if is_old => Ok(false),
        Some(first) if first.eq_ignore_ascii_case("100-continue") => Ok(true),
        Some(_) => Err(RequestError::Expectation),
    }
}

fn range(fields: &Fields<'_>) -> Option<Range> {
    let mut ranges = fields.all("range");
    let first = Range::parse(ranges.next()?);
    first.filter(|_| ranges.next().is_none())
}

/// All fields of a name as one (RFC 9110, section 5.3).
fn joined(fields: &Fields<'_>, name: &'static str) -> Option<String> {
    let mut values = fields.all(name);
    let mut joined = values.next()?.to_owned();
    for value in values {
        joined.push_str(", ");
        joined.push_str(value);
    }
    Some(joined)
}

/// Whether gzip is named, or everything is, with a weight that is not zero (RFC 9110, section 12.5.3).
fn accepts_gzip(fields: &Fields<'_>) -> bool {
    let mut any = false;
    for member in fields.members("accept-encoding") {
        let (coding, weight) = member.split_once(';').unwrap_or((member, ""));
        let is_wanted = !is_zero_weight(weight);
        match coding.trim() {
            coding if coding.eq_ignore_ascii_case("gzip") => return is_wanted,
            "*" => any = is_wanted,
            _ => {}
        }
    }
    any
}

/// `q=0`, `q=0.` and up to three zeros more (RFC 9110, section 12.4.2).
fn is_zero_weight(weight: &str) -> bool {
    let Some((name, value)) = weight.split_once('=') else {
        return false;
    };
    let value = value.trim();
    name.trim().eq_ignore_ascii_case("q")
        && value.starts_with('0')
        && value.bytes().all(|byte| matches!(byte, b'0' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(head: &str) -> Result<Request, RequestError> {
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let mut parsed = httparse::Request::new(&mut fields);
        let head = format!("{}\r\n\r\n", head.replace('\n', "\r\n"));
        assert!(
            parsed
                .parse(head.as_bytes())
                .expect("valid lines")
                .is_complete()
        );
        Request::new(&parsed)
    }

    fn body(fields: &str) -> Result<BodyLength, RequestError> {
        request(&format!("POST /a/b HTTP/1.1\nHost: h\n{fields}")).map(|request| request.body)
    }

    #[test]
    fn lengths_that_two_readers_may_read_differently_are_refused() {
        assert_eq!(body("X: y"), Ok(BodyLength::None));
        assert_eq!(body("Content-Length: 0"), Ok(BodyLength::None));
        assert_eq!(
            body("Content-Length: 7\nContent-Length: 7"),
            Ok(BodyLength::Known(7))
        );
        assert_eq!(body("Content-Length: 7, 7"), Ok(BodyLength::Known(7)));
        assert_eq!(body("Transfer-Encoding: Chunked"), Ok(BodyLength::Chunked));
        for length in [
            "7\nContent-Length: 8",
            "7,8",
            "+7",
            "-1",
            "0x7",
            "",
            "7 7",
            "99999999999999999999",
        ] {
            let fields = format!("Content-Length: {length}");
            assert_eq!(body(&fields), Err(RequestError::ContentLength), "{length}");
        }
        let both = "Content-Length: 7\nTransfer-Encoding: chunked";
        assert_eq!(body(both), Err(RequestError::TwoLengths));
        for coding in [
            "gzip",
            "gzip, chunked",
            "chunked, chunked",
            "chunked\nTransfer-Encoding: x",
            "xchunked",
            "",
        ] {
            let fields = format!("Transfer-Encoding: {coding}");
            assert_eq!(
                body(&fields),
                Err(RequestError::TransferEncoding),
                "{coding}"
            );
        }
        let old = request("POST / HTTP/1.0\nTransfer-Encoding: chunked");
        assert_eq!(old, Err(RequestError::OldTransferEncoding));
    }

    #[test]
    fn targets_in_all_their_forms() {
        let of = |target: &str| {
            request(&format!("GET {target} HTTP/1.1\nHost: h:1"))
                .map(|request| (request.host, request.path, request.query))
        };
        let parts =
            |host: &str, path: &str, query: &str| Ok((host.into(), path.into(), query.into()));
        assert_eq!(of("/a/b.flv?x=1?2"), parts("h:1", "/a/b.flv", "x=1?2"));
        assert_eq!(of("http://other/a?b"), parts("other", "/a", "b"));
        assert_eq!(of("HTTP://other?b"), parts("other", "/", "b"));
        assert_eq!(of("*"), parts("h:1", "*", ""));
        assert_eq!(of("ftp://x/y"), Err(RequestError::Target));
    }

    #[test]
    fn a_host_is_needed_but_in_the_old_version() {
        assert_eq!(request("GET / HTTP/1.1"), Err(RequestError::Host));
        assert_eq!(
            request("GET / HTTP/1.1\nHost: a\nHost: a"),
            Err(RequestError::Host)
        );
        assert!(
            request("GET / HTTP/1.0")
                .expect("no host needed")
                .host
                .is_empty()
        );
    }

    #[test]
    fn connections_stay_by_version_and_wish() {
        let stays = |line: &str| request(line).expect("valid").keep_alive;
        assert!(stays("GET / HTTP/1.1\nHost: h"));
        assert!(!stays("GET / HTTP/1.1\nHost: h\nConnection: TE, Close"));
        assert!(!stays("GET / HTTP/1.0"));
        assert!(stays("GET / HTTP/1.0\nConnection: Keep-Alive"));
    }

    #[test]
    fn upgrades_need_both_fields_and_get() {
        let upgrade = "HTTP/1.1\nHost: h\nConnection: keep-alive, Upgrade\nUpgrade: WebSocket\n\
                       Sec-WebSocket-Key: k\nSec-WebSocket-Version: 13";
        let asked = |method: &str| {
            request(&format!("{method} /a {upgrade}"))
                .expect("valid")
                .upgrade
        };
        assert_eq!(
            asked("GET"),
            Some(Upgrade {
                key: "k".into(),
                version: "13".into()
            })
        );
        assert_eq!(asked("POST"), None);
        let half = request("GET / HTTP/1.1\nHost: h\nUpgrade: websocket").expect("valid");
        assert_eq!(half.upgrade, None);
        let with_body = request(&format!("GET /a {upgrade}\nContent-Length: 1")).expect("valid");
        assert_eq!(with_body.upgrade, None);
    }

    #[test]
    fn expectations() {
        let expects = |value: &str| {
            request(&format!("PUT / HTTP/1.1\nHost: h\nExpect: {value}"))
                .map(|r| r.expects_continue)
        };
        assert_eq!(expects("100-Continue"), Ok(true));
        assert_eq!(expects("wonders"), Err(RequestError::Expectation));
    }

    #[test]
    fn ranges_are_read_and_applied() {
        let of = |value: &str| {
            request(&format!("GET / HTTP/1.1\nHost: h\nRange: {value}"))
                .expect("valid")
                .range
        };
        assert_eq!(of("bytes=0-4"), Some(Range::Between(0, 4)));
        assert_eq!(of("Bytes = 5-"), Some(Range::From(5)));
        assert_eq!(of("bytes=-3"), Some(Range::Last(3)));
        for ignored in [
            "bytes=0-1,3-4",
            "items=0-1",
            "bytes=4-1",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "0-1",
        ] {
            assert_eq!(of(ignored), None, "{ignored}");
        }
        assert_eq!(of("bytes=0-1\nRange: bytes=2-3"), None);
        assert_eq!(Range::Between(0, 4).of(3), Some(0..3));
        assert_eq!(Range::Between(2, 2).of(3), Some(2..3));
        assert_eq!(Range::Between(3, 9).of(3), None);
        assert_eq!(Range::Between(0, u64::MAX).of(3), Some(0..3));
        assert_eq!(Range::From(2).of(3), Some(2..3));
        assert_eq!(Range::Last(9).of(3), Some(0..3));
        assert_eq!(Range::Last(0).of(3), None);
        assert_eq!(Range::From(0).of(0), None);
        assert_eq!(
            of("bytes=99999999999999999999-"),
            Some(Range::From(u64::MAX))
        );
    }

    #[test]
    fn gzip_is_accepted_unless_its_weight_is_zero() {
        let of = |value: &str| {
            request(&format!(
                "GET / HTTP/1.1\nHost: h\nAccept-Encoding: {value}"
            ))
            .expect("valid")
            .accepts_gzip
        };
        for yes in [
            "gzip",
            "br, GZIP;q=0.1",
            "*",
            "deflate, *;q=0.5",
            "gzip;q=1, *;q=0",
            "gzip; q=0.001",
        ] {
            assert!(of(yes), "{yes}");
        }
        for no in [
            "",
            "br",
            "gzip;q=0",
            "gzip; Q = 0.000",
            "*;q=0",
            "identity",
            "xgzip",
            "*, gzip;q=0",
        ] {
            assert!(!of(no), "{no}");
        }
        assert!(
            !request("GET / HTTP/1.1\nHost: h")
                .expect("valid")
                .accepts_gzip
        );
    }

    #[test]
    fn http2_says_the_same_in_other_bytes() {
        let (parts, ()) = http::Request::get("http://h:1/live/x.m3u8?a=1")
            .version(http::Version::HTTP_2)
            .header("range", "bytes=1-2")
            .header("user-agent", "t")
            .body(())
            .expect("valid")
            .into_parts();
        let read = Request::of_http2(&parts).expect("valid");
        let same =
            request("GET /live/x.m3u8?a=1 HTTP/1.1\nHost: h:1\nRange: bytes=1-2\nUser-Agent: t");
        assert_eq!(Ok(read), same);
        let (parts, ()) = http::Request::get("/x")
            .body(())
            .expect("valid")
            .into_parts();
        assert_eq!(Request::of_http2(&parts), Err(RequestError::Host));
    }
}
