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
    /// A live stream, which may not have begun.
    pub(super) live: bool,
    /// A list, or what one names, which may be to come.
    pub(super) is_file: bool,
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::SystemTime;

    use weir_cluster::{Endpoints, Node, NodeId, Report};
    use weir_http::head::Heads;

    fn placed(host: &str) -> Placed {
        Placed {
            node: Arc::new(Node {
                id: NodeId::new("a", "b", "c"),
                host: host.to_owned(),
                device: String::new(),
                server: String::new(),
                service: String::new(),
                pid: String::new(),
                endpoints: Endpoints::default(),
                report: Report::default(),
                updated: SystemTime::UNIX_EPOCH,
            }),
            port: 8080,
            claim: None,
        }
    }

    fn whole(said: &str) -> Whole {
        let mut heads = Heads::new(1 << 12);
        heads.push(format!("{said}\r\n\r\n").as_bytes());
        *heads.pull_whole().expect("valid").expect("whole")
    }

    /// The head for an origin at `host`, with the fields in lines.
    fn asked(said: &str, host: &str, change: impl FnOnce(&mut Ask<'_>)) -> Vec<String> {
        let registry = &mut prometheus_client::registry::Registry::default();
        let metrics = crate::metrics::Metrics::register(registry);
        let sessions = crate::sessions::Sessions::new(metrics, 0xabc);
        let limits = weir_net::admission::Limits {
            sessions: 0,
            sessions_per_address: 0,
        };
        let client = "::ffff:9.9.9.9".parse().expect("an address");
        let admission = weir_net::admission::Admission::new(limits);
        let weir_net::admission::Admitted::Serve(permit) = admission.admit(client) else {
            panic!("no limit");
        };
        let client = SocketAddr::new(client, 7);
        let opened = sessions.open("http", client, permit);
        let whole = whole(said);
        let mut ask = Ask {
            whole: &whole,
            target: &whole.target,
            client,
            secure: false,
            session: opened.session().id,
            is_list: false,
            close: false,
            live: false,
            is_file: false,
            body: BodyLength::None,
        };
        change(&mut ask);
        let head = String::from_utf8(head(&ask, &placed(host))).expect("text");
        head.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_plain_request_gets_what_a_gateway_adds() {
        let asked = asked(
            "GET /a?b HTTP/1.1\r\nHost: v.com\r\nA: 1",
            "10.0.0.5",
            |_| {},
        );
        let expected = [
            "GET /a?b HTTP/1.1",
            "Host: v.com",
            "A: 1",
            "X-Forwarded-For: 9.9.9.9",
            "X-Forwarded-Proto: http",
            "X-Forwarded-Host: v.com",
            "X-Real-IP: 9.9.9.9",
            "Via: 1.1 weir",
            "X-Weir-Session: 00000abc",
            "Connection: keep-alive",
            "",
        ];
        assert_eq!(asked, expected);
    }

    #[test]
    fn what_a_balancer_said_stays() {
        let said = "GET /a HTTP/1.0\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n\
                    X-Forwarded-Proto: https\r\nX-Forwarded-Host: w.com\r\nVia: 1.1 b\r\n\
                    X-Weir-Session: x\r\nContent-Length: 3\r\nExpect: y";
        let asked = asked(said, "fd00::5", |ask| {
            ask.close = true;
            ask.body = BodyLength::Known(3);
        });
        let expected = [
            "GET /a HTTP/1.1",
            "Host: [fd00::5]:8080",
            "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 9.9.9.9",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: w.com",
            "X-Real-IP: 9.9.9.9",
            "Via: 1.1 b, 1.0 weir",
            "X-Weir-Session: 00000abc",
            "Content-Length: 3",
            "Connection: close",
            "",
        ];
        assert_eq!(asked, expected);
    }

    #[test]
    fn lists_are_asked_for_whole_and_plain() {
        let said = "GET /a.m3u8 HTTP/1.1\r\nHost: h\r\nRange: bytes=0-\r\nIf-Range: x\r\n\
                    Accept-Encoding: gzip\r\nIf-None-Match: y";
        let asked = asked(said, "h", |ask| ask.is_list = true);
        for (field, is_there) in [
            ("Range: bytes=0-", false),
            ("If-Range: x", false),
            ("Accept-Encoding: gzip", false),
            ("Accept-Encoding: identity", true),
            ("If-None-Match: y", true),
        ] {
            assert_eq!(asked.iter().any(|line| line == field), is_there, "{field}");
        }
    }
}
