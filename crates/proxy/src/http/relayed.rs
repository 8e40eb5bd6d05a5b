//! The head of an origin's answer as the client gets it.
//!
//! Owns: which fields go on, where the body ends for the client, and keeping addresses of origins inside. Does not:
//! move bodies.

use weir_http::response::{Framing, Response};
use weir_http::write::HeadWriter;

use super::answer::Manner;
use super::playlist::Mapper;

/// Fields with a URI that leads on.
const LEADING: [&str; 2] = ["location", "content-location"];

/// What becomes of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// It goes on as it is, with the framing it has.
    Same,
    /// It goes on without its chunks, for a client that knows none.
    Unchunked,
    /// It was rewritten and has this length now.
    Rewritten(usize),
    /// It was rewritten and packed with gzip, and has this length now.
    Packed(usize),
    /// It would be rewritten, but was not asked for.
    Unasked,
}

/// The head for the client. `mapper` knows the origin's address, and what brings a client back to it.
pub(super) fn head(
    response: &Response,
    manner: &Manner,
    mapper: &Mapper<'_>,
    content: Content,
) -> Vec<u8> {
    let mut head = HeadWriter::answer(response.status, &response.reason);
    let rewritten = matches!(
        content,
        Content::Rewritten(_) | Content::Packed(_) | Content::Unasked
    );
    for (name, value) in response.fields.end_to_end() {
        let is = |known: &str| known.eq_ignore_ascii_case(name);
        if is("content-length") {
            // a body that was not sent keeps the length it would have
            let unsent = response.framing == Framing::None && response.status != 204;
            if content == Content::Same && unsent {
                head.raw_field(name, value);
            }
        } else if LEADING.into_iter().any(is) {
            let uri = std::str::from_utf8(value).unwrap_or_default();
            head.field(name, mapper.lead(uri));
        } else if rewritten && (is("accept-ranges") || is("content-md5") || is("digest")) {
            // true of the text before it was rewritten
        } else if rewritten && is("etag") && !value.starts_with(b"W/") {
            // RFC 9110, section 8.8.1: the bytes differ from the origin's, the meaning does not
            head.raw_field(name, &[b"W/", value].concat());
        } else if mapper.betrays(value) {
            tracing::debug!(field = name, "left out a field with the origin's address");
        } else {
            head.raw_field(name, value);
        }
    }
    match (content, response.framing) {
        (Content::Rewritten(length), _) => {
            head.field("Content-Length", length);
        }
        (Content::Packed(length), _) => {
            head.field("Content-Encoding", "gzip");
            head.field("Content-Length", length);
        }
        (Content::Same, Framing::Known(length)) => {
            head.field("Content-Length", length);
        }
        (Content::Same, Framing::Chunked) => {
            head.field("Transfer-Encoding", "chunked");
        }
        _ => {}
    }
    if rewritten && may_be_packed(response) && !varies(response) {
        head.field("Vary", "Accept-Encoding");
    }
    manner.allow_pages(&mut head, |name| response.fields.has(name));
    if response.status == 101 {
        head.field("Connection", "Upgrade");
        for value in response.fields.all("upgrade") {
            head.field("Upgrade", value);
        }
    } else {
        manner.connection(&mut head);
    }
    head.finish()
}

/// Whether the origin lets bodies be put into other words (RFC 9111, section 5.2.2.6).
pub(super) fn may_be_packed(response: &Response) -> bool {
    let mut wishes = response.fields.members("cache-control");
    !wishes.any(|wish| wish.eq_ignore_ascii_case("no-transform"))
}

/// Whether the answer says that it depends on what packing the client takes.
fn varies(response: &Response) -> bool {
    let mut names = response.fields.members("vary");
    names.any(|name| name == "*" || name.eq_ignore_ascii_case("accept-encoding"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::SystemTime;

    use weir_cluster::{Endpoints, Node, NodeId, Report};
    use weir_http::response::Responses;

    use crate::directory::Placed;

    /// An origin at 10.0.0.5.
    pub(in crate::http) fn placed() -> Placed {
        let text = String::new;
        Placed {
            node: Arc::new(Node {
                id: NodeId::new("a", "b", "c"),
                host: "10.0.0.5".to_owned(),
                device: text(),
                server: text(),
                service: text(),
                pid: text(),
                endpoints: Endpoints::default(),
                report: Report::default(),
                updated: SystemTime::UNIX_EPOCH,
            }),
            port: 8080,
            claim: None,
        }
    }

    fn relayed(said: &str, to_head: bool, content: Content) -> String {
        let mut heads = Responses::new(1 << 12);
        heads.push(format!("HTTP/1.1 {said}\r\n\r\n").as_bytes());
        let response = heads.pull(to_head).expect("valid").expect("whole");
        let manner = Manner {
            keep_alive: true,
            ..Manner::default()
        };
        let placed = placed();
        let mapper = Mapper::new(&placed, "v.com", "");
        let head = head(&response, &manner, &mapper, content);
        String::from_utf8(head).expect("text")
    }

    #[test]
    fn each_body_has_one_framing() {
        for (said, to_head, content, expected) in [
            (
                "200 OK\r\nContent-Length: 5",
                false,
                Content::Same,
                "Content-Length: 5\r\n",
            ),
            (
                "200 OK\r\nTransfer-Encoding: chunked",
                false,
                Content::Same,
                "Transfer-Encoding: chunked\r\n",
            ),
            (
                "200 OK\r\nTransfer-Encoding: chunked",
                false,
                Content::Unchunked,
                "",
            ),
            ("200 OK", false, Content::Same, ""),
            (
                "200 OK\r\nContent-Length: 5",
                true,
                Content::Same,
                "Content-Length: 5\r\n",
            ),
            (
                "200 OK\r\nContent-Length: 5",
                true,
                Content::Unasked,
                "Vary: Accept-Encoding\r\n",
            ),
            (
                "200 OK\r\nVary: accept-encoding\r\nContent-Length: 5",
                false,
                Content::Packed(3),
                "Vary: accept-encoding\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n",
            ),
            (
                "200 OK\r\nCache-Control: no-transform\r\nContent-Length: 5",
                false,
                Content::Rewritten(7),
                "Cache-Control: no-transform\r\nContent-Length: 7\r\n",
            ),
            (
                "200 OK\r\nContent-Length: 5",
                false,
                Content::Rewritten(7),
                "Content-Length: 7\r\nVary: Accept-Encoding\r\n",
            ),
            (
                "304 Not Modified\r\nContent-Length: 5",
                false,
                Content::Same,
                "Content-Length: 5\r\n",
            ),
            (
                "204 No Content\r\nContent-Length: 5",
                false,
                Content::Same,
                "",
            ),
        ] {
            let head = relayed(said, to_head, content);
            let (_, fields) = head.split_once("\r\n").expect("a line");
            assert_eq!(fields, format!("{expected}\r\n"), "{said}");
        }
    }

    #[test]
    fn the_origins_address_stays_inside() {
        let said = "302 Found\r\nLocation: http://10.0.0.5:8080/a?b#c\r\n\
                    Content-Location: //10.0.0.5:8080/d\r\nX-By: 10.0.0.5:8080\r\n\
                    Link: <http://10.0.0.5:8080/>\r\nX-Other: 10.0.0.6:8080\r\nContent-Length: 0";
        let head = relayed(said, false, Content::Same);
        assert!(!head.contains("10.0.0.5"), "{head}");
        assert!(
            head.contains("\r\nLocation: /a?b#c\r\nContent-Location: /d\r\n"),
            "{head}"
        );
        assert!(head.contains("\r\nX-Other: 10.0.0.6:8080\r\n"), "{head}");
    }
}
