//! The request as the origin gets it.
//!
//! Owns: its head: target and end-to-end fields untouched, this hop's fields and the client's address added. Does not:
//! send it.

use std::fmt::Write;
use std::net::SocketAddr;

use weir_http::head::Whole;
use weir_http::request::BodyLength;
use weir_http::write::HeadWriter;

use crate::directory::Placed;
use crate::sessions::SessionId;

/// Fields that are made anew; those of the hop are left out anyway.
const OURS: [&str; 8] = [
    "host",
    "content-length",
    "expect",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-real-ip",
    "x-weir-session",
];

/// Fields that make an origin send a part, or something packed; a list is wanted whole and plain.
const NOT_FOR_LISTS: [&str; 3] = ["range", "if-range", "accept-encoding"];

/// How the origin is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    /// What the client asked.
    pub(super) whole: &'a Whole,
    /// Path and query for the origin.
    pub(super) target: &'a str,
    /// The client's address.
    pub(super) client: SocketAddr,
    /// The client came through TLS.
    pub(super) secure: bool,
    /// The session.
    pub(super) session: SessionId,
    /// The answer will be rewritten.
    pub(super) is_list: bool,
    /// Nothing else is to be asked on the connection.
    pub(super) close: bool,
    /// The body that follows.
    pub(super) body: BodyLength,
}

/// Host and port as they stand in a URL.
pub(super) fn authority(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

/// The head of the request for the origin at `placed`.
pub(super) fn head(ask: &Ask<'_>, placed: &Placed) -> Vec<u8> {
    let (request, fields) = (&ask.whole.request, &ask.whole.fields);
    let mut head = HeadWriter::request(&ask.whole.method, ask.target);
    match request.host.as_str() {
        "" => head.field("Host", authority(&placed.node.host, placed.port)),
        // an origin chooses its virtual host by it
        host => head.field("Host", host),
    };
    let mut via = Vec::new();
    for (name, value) in fields.end_to_end() {
        let is = |known: &&str| known.eq_ignore_ascii_case(name);
        let is_ours = OURS.iter().any(is);
        let unwanted = ask.is_list && NOT_FOR_LISTS.iter().any(is);
        if name.eq_ignore_ascii_case("via") {
            via.push(String::from_utf8_lossy(value));
        } else if !is_ours && !unwanted {
            head.raw_field(name, value);
        }
    }
    if ask.is_list {
        head.field("Accept-Encoding", "identity");
    }
    let client = ask.client.ip().to_canonical();
    let mut forwarded: String =
        fields
            .members("x-forwarded-for")
            .fold(String::new(), |mut list, member| {
                let _ = write!(list, "{member}, ");
                list
            });
    let _ = write!(forwarded, "{client}");
    head.field("X-Forwarded-For", forwarded);
    // what a balancer in front says of the client's connection is nearer to the truth
    let scheme = if ask.secure { "https" } else { "http" };
    head.field(
        "X-Forwarded-Proto",
        fields.get("x-forwarded-proto").unwrap_or(scheme),
    );
    let host = fields.get("x-forwarded-host").unwrap_or(&request.host);
    if !host.is_empty() {
        head.field("X-Forwarded-Host", host);
    }
    head.field("X-Real-IP", client);
    // RFC 9110, section 7.6.3
    via.push(
        if request.is_old {
            "1.0 weir"
        } else {
            "1.1 weir"
        }
        .into(),
    );
    head.field("Via", via.join(", "));
    head.field("X-Weir-Session", ask.session);
    match ask.body {
        BodyLength::None => {}
        BodyLength::Known(length) => {
            head.field("Content-Length", length);
        }
        BodyLength::Chunked => {
            head.field("Transfer-Encoding", "chunked");
        }
    }
    if request.upgrade.is_some() {
        head.field("Connection", "Upgrade")
            .field("Upgrade", "websocket");
    } else if ask.close {
        head.field("Connection", "close");
    } else {
        // origins that keep HTTP/1.0's ways want to hear it
        head.field("Connection", "keep-alive");
    }
    head.finish()
}
