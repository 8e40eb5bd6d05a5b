//! Streams: what reaches the origin, what comes back, and when.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::sync_channel;

use crate::rig::{Client, Origin, PATIENCE, Proxy, answer, nobody, settings, signed, until};

/// C54.
#[test]
fn flv_and_ts_come_from_the_origins_same_path() {
    let origin = Origin::saying("HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\n\r\nFLV\u{1}");
    let proxy = Proxy::start(settings(), &[origin.address]);
    for path in ["/live/s.flv", "/live/s.ts"] {
        let mut client = proxy.client();
        let head = client.begin("GET", path, &[]);
        assert_eq!(head.status, 200);
        assert_eq!(head.header("content-type"), Some("video/x-flv"));
        assert_eq!(head.header("connection"), Some("close"));
        let mut body = [0; 4];
        client.into_body().read_exact(&mut body).expect("a stream");
        assert_eq!(&body, b"FLV\x01");
        assert_eq!(origin.asked().line, format!("GET {path} HTTP/1.1"));
    }
}

/// B32, and W41.
#[test]
fn what_the_client_says_reaches_the_origin() {
    let origin = Origin::saying(answer("200 OK", "", "x"));
    let proxy = Proxy::start(settings(), &[origin.address]);
    let path = "/live/a%20b.flv?token=%3f&&vhost=v.com&x";
    proxy.client().request(
        "GET",
        path,
        &[
            ("Range", "bytes=0-"),
            ("User-Agent", "player"),
            ("Referer", "http://page"),
            ("Origin", "http://page"),
            ("Authorization", "Basic eA=="),
            ("Cookie", "a=b"),
            ("If-None-Match", "\"1\""),
            ("X-Forwarded-For", "9.9.9.9"),
            ("Via", "1.0 front"),
            ("Connection", "X-Hop"),
            ("X-Hop", "1"),
            ("TE", "trailers"),
            ("X-Real-IP", "6.6.6.6"),
        ],
    );
    let asked = origin.asked();
    assert_eq!(asked.line, format!("GET {path} HTTP/1.1"));
    for (name, value) in [
        ("host", proxy.address.to_string().as_str()),
        ("range", "bytes=0-"),
        ("user-agent", "player"),
        ("referer", "http://page"),
        ("origin", "http://page"),
        ("authorization", "Basic eA=="),
        ("cookie", "a=b"),
        ("if-none-match", "\"1\""),
        ("x-forwarded-for", "9.9.9.9, 127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", &proxy.address.to_string()),
        ("x-real-ip", "127.0.0.1"),
        ("via", "1.0 front, 1.1 weir"),
        ("x-hop", ""),
        ("te", ""),
        ("connection", "close"),
    ] {
        assert_eq!(asked.field(name), value, "{name}");
    }
    assert_eq!(asked.field("x-weir-session").len(), 8);
}

/// B30, W9.
#[test]
fn statuses_and_fields_of_the_origin_reach_the_client() {
    for status in [
        "206 Partial Content",
        "304 Not Modified",
        "401 Unauthorized",
        "403 Forbidden",
        "404 Not Found",
    ] {
        let bare = status.starts_with("304");
        let body = if bare { "" } else { "body" };
        let fields = "Content-Type: video/mp4\r\nContent-Range: bytes 0-3/9\r\nETag: \"e\"\r\n\
                      WWW-Authenticate: Basic\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n";
        let origin = Origin::saying(answer(status, fields, body));
        let proxy = Proxy::start(settings(), &[origin.address]);
        let got = proxy.get("/live/s.mp4");
        assert_eq!(got.head.status.to_string(), status[..3]);
        assert_eq!(got.text(), body);
        for (name, value) in [
            ("content-type", "video/mp4"),
            ("content-range", "bytes 0-3/9"),
            ("etag", "\"e\""),
            ("www-authenticate", "Basic"),
        ] {
            assert_eq!(got.head.header(name), Some(value), "{status} {name}");
        }
        let cookies = got
            .head
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie");
        assert_eq!(cookies.count(), 2);
    }
}

/// B30, W9.
#[test]
fn redirections_lead_to_the_proxy() {
    let origin = Origin::start(|asked, stream| {
        let own = stream.local_addr().expect("bound");
        let host = asked.field("host");
        let location = match asked.line.split(' ').nth(1) {
            Some("/live/own.flv") => format!("http://{own}/live/b.flv?a=1#f"),
            Some("/live/host.flv") => format!("http://{host}/live/b.flv"),
            Some("/live/path.flv") => "/live/b.flv".to_owned(),
            _ => "https://other.example/b.flv".to_owned(),
        };
        let fields = format!("Location: {location}\r\nX-Backend: node {own}\r\n");
        stream
            .write_all(answer("302 Found", &fields, "").as_bytes())
            .is_ok()
    });
    let proxy = Proxy::start(settings(), &[origin.address]);
    for (path, location) in [
        ("/live/own.flv", "/live/b.flv?a=1#f"),
        ("/live/host.flv", "/live/b.flv"),
        ("/live/path.flv", "/live/b.flv"),
        ("/live/else.flv", "https://other.example/b.flv"),
    ] {
        let got = proxy.get(path);
        assert_eq!(got.head.status, 302);
        assert_eq!(got.head.header("location"), Some(location));
        assert_eq!(got.head.header("x-backend"), None);
    }
}

/// W9, and the redirections between origins that SRS makes.
#[test]
fn an_origin_may_send_clients_to_another() {
    let second = Origin::saying(answer("200 OK", "", "second"));
    let there = second.address;
    let first = Origin::start(move |_, stream| {
        let fields = format!("Location: http://{there}/live/s.flv?a=1\r\n");
        let said = answer("302 Found", &fields, "");
        stream.write_all(said.as_bytes()).is_ok()
    });
    let proxy = Proxy::start(signed(), &[first.address, there]);
    let mut seen = 0;
    for name in 0..16 {
        let got = proxy.get(&format!("/live/{name}.flv"));
        let Some(location) = got.head.header("location") else {
            continue;
        };
        seen += 1;
        assert!(location.starts_with("/live/s.flv?a=1&weir="), "{location}");
        assert_eq!(proxy.get(location).text(), "second");
    }
    assert!(seen > 0, "the first origin has its share");
}

/// B31: the test is that each byte arrives without another behind it.
#[test]
fn each_write_of_the_origin_is_at_the_client_at_once() {
    for (framing, first) in [("", "a"), ("Transfer-Encoding: chunked\r\n", "1\r\na\r\n")] {
        let (go, wait) = sync_channel::<()>(0);
        let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
        let head = format!("HTTP/1.1 200 OK\r\n{framing}\r\n");
        let origin = Origin::start(move |_, stream| {
            stream.write_all(head.as_bytes()).expect("taken");
            while wait.lock().unwrap().recv().is_ok() {
                stream.write_all(first.as_bytes()).expect("taken");
            }
            false
        });
        let proxy = Proxy::start(settings(), &[origin.address]);
        let mut client = proxy.client();
        assert_eq!(client.begin("GET", "/live/s.flv", &[]).status, 200);
        let mut body = client.into_body();
        for _ in 0..20 {
            go.send(()).expect("the origin lives");
            let mut piece = vec![0; first.len()];
            body.read_exact(&mut piece).expect("it arrives");
            assert_eq!(piece, first.as_bytes());
        }
        drop(go);
        assert_eq!(body.read(&mut [0; 9]).expect("an orderly end"), 0);
    }
}

/// B35.
#[test]
fn a_client_that_leaves_takes_the_origins_request_with_it() {
    for says_something in [true, false] {
        let (sender, ended) = sync_channel(1);
        let origin = Origin::start(move |_, stream| {
            if says_something {
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").expect("taken");
            }
            stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
            sender
                .send(stream.read(&mut [0]))
                .expect("the test listens");
            false
        });
        let proxy = Proxy::start(settings(), &[origin.address]);
        let mut client = proxy.client();
        client
            .send(b"GET /live/s.flv HTTP/1.1\r\nHost: h\r\n\r\n")
            .expect("taken");
        origin.asked();
        if says_something {
            client.head().expect("an answer");
        }
        drop(client);
        let end = ended.recv_timeout(PATIENCE).expect("it ends");
        assert_eq!(end.expect("closed, not late"), 0);
        until("the session ends", || proxy.sessions.is_empty());
    }
}

/// B15.
#[test]
fn an_origin_that_never_answers_is_given_up() {
    let origin = Origin::start(|_, stream| {
        let _ = stream.read(&mut [0]);
        false
    });
    let mut short = settings();
    short.answer = std::time::Duration::from_millis(50);
    short.http.publisher_wait = short.answer;
    short.http.file_wait = short.answer;
    let proxy = Proxy::start(short, &[origin.address]);
    let got = proxy.get("/live/s.flv");
    assert_eq!(got.head.status, 504);
    assert!(!got.text().contains("127.0.0.1"), "{}", got.text());
    let got = proxy.get("/live/s.m3u8");
    assert_eq!(got.head.status, 504);
}

/// B1.
#[test]
fn when_an_origin_cannot_be_reached_another_is_asked() {
    let origin = Origin::saying(answer("200 OK", "", "alive"));
    let proxy = Proxy::start(settings(), &[nobody(), origin.address]);
    for name in 0..8 {
        let got = proxy.get(&format!("/live/s{name}.flv"));
        assert_eq!((got.head.status, got.text().as_str()), (200, "alive"));
    }
}

/// B1: an origin that takes connections and drops them.
#[test]
fn when_an_origin_closes_without_an_answer_another_is_asked() {
    let broken = Origin::start(|_, _| false);
    let origin = Origin::saying(answer("200 OK", "", "alive"));
    let proxy = Proxy::start(settings(), &[broken.address, origin.address]);
    for name in 0..8 {
        let got = proxy.get(&format!("/live/s{name}.flv"));
        assert_eq!((got.head.status, got.text().as_str()), (200, "alive"));
    }
}

/// C20, W9.
#[test]
fn clients_hear_that_there_is_no_origin_but_not_which() {
    let proxy = Proxy::start(settings(), &[]);
    let got = proxy.get("/live/s.flv");
    assert_eq!(got.head.status, 503);
    assert!(got.head.header("retry-after").is_some());
    let address = nobody();
    let proxy = Proxy::start(settings(), &[address]);
    let got = proxy.get("/live/s.flv");
    assert_eq!(got.head.status, 502);
    assert!(!got.text().contains(&address.port().to_string()));
    assert_eq!(got.head.header("access-control-allow-origin"), Some("*"));
}

#[test]
fn an_origin_that_speaks_something_else_is_at_fault() {
    for said in [
        "SSH-2.0-x\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Le",
    ] {
        let origin = Origin::start(move |_, stream| {
            stream.write_all(said.as_bytes()).expect("taken");
            false
        });
        let proxy = Proxy::start(settings(), &[origin.address]);
        assert_eq!(proxy.get("/live/s.flv").head.status, 502, "{said}");
    }
}

#[test]
fn interim_answers_are_passed_over() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    let origin = Origin::saying(format!("{interim}{}", answer("200 OK", "", "x")));
    let proxy = Proxy::start(settings(), &[origin.address]);
    let got = proxy.get("/live/s.flv");
    assert_eq!((got.head.status, got.text().as_str()), (200, "x"));
}

#[test]
fn old_clients_get_streams_without_chunks() {
    let origin = Origin::start(|_, stream| {
        let chunks =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        stream.write_all(chunks.as_bytes()).expect("taken");
        false
    });
    let proxy = Proxy::start(settings(), &[origin.address]);
    let said = proxy.said_to(b"GET /live/s.flv HTTP/1.0\r\n\r\n");
    let (head, body) = said.split_once("\r\n\r\n").expect("a head");
    assert!(
        !head.to_ascii_lowercase().contains("transfer-encoding"),
        "{head}"
    );
    assert_eq!(body, "abcde");
}

#[test]
fn a_websocket_passes_both_ways() {
    let origin = Origin::start(|asked, stream| {
        assert_eq!(asked.field("connection"), "Upgrade");
        assert_eq!(asked.field("upgrade"), "websocket");
        assert_eq!(asked.field("sec-websocket-key"), "k");
        let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                    Upgrade: websocket\r\nSec-WebSocket-Accept: a\r\n\r\nfirst";
        stream.write_all(head.as_bytes()).expect("taken");
        let mut said = [0; 4];
        stream.read_exact(&mut said).expect("it comes");
        stream.write_all(&said).expect("taken");
        false
    });
    let proxy = Proxy::start(settings(), &[origin.address]);
    let mut client = proxy.client();
    let fields = [
        ("Connection", "keep-alive, Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Key", "k"),
        ("Sec-WebSocket-Version", "13"),
    ];
    let head = client.begin("GET", "/live/s.flv", &fields);
    assert_eq!(head.status, 101);
    assert_eq!(head.header("upgrade"), Some("websocket"));
    assert_eq!(head.header("sec-websocket-accept"), Some("a"));
    client.send(b"ping").expect("taken");
    let mut said = String::new();
    client.into_body().read_to_string(&mut said).expect("text");
    assert_eq!(said, "firstping");
}

/// What an origin reads of a body of a given length.
fn body(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("a body");
    body
}

#[test]
fn publishing_passes_the_body_on_and_brings_the_answer_back() {
    let origin = Origin::start(|asked, stream| {
        let (length, last) = match asked.field("transfer-encoding").as_str() {
            "chunked" => (11, "3\r\nabc\r\n0\r\n\r\n".len()),
            _ => (3, 3),
        };
        let got = body(stream, last);
        let text = format!(
            "{} {length}",
            String::from_utf8_lossy(&got).replace("\r\n", "|")
        );
        stream
            .write_all(answer("200 OK", "", &text).as_bytes())
            .expect("taken");
        false
    });
    let proxy = Proxy::start(settings(), &[origin.address]);
    let known = "POST /live/s.flv?k=v HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET";
    let said = proxy.said_to(known.as_bytes());
    assert!(
        said.starts_with("HTTP/1.1 200 OK\r\n") && said.ends_with("abc 3"),
        "{said}"
    );
    let asked = origin.asked();
    assert_eq!(asked.line, "POST /live/s.flv?k=v HTTP/1.1");
    assert_eq!(asked.field("content-length"), "3");
    let chunked = "PUT /live/s.flv HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n0\r\n\r\n";
    let said = proxy.said_to(chunked.as_bytes());
    assert!(said.ends_with("3|abc|0|| 11"), "{said}");
    assert_eq!(origin.asked().line, "PUT /live/s.flv HTTP/1.1");
}

#[test]
fn a_publisher_is_told_to_go_on_and_when_it_is_refused() {
    let origin = Origin::start(|_, stream| {
        stream
            .write_all(answer("403 Forbidden", "", "no").as_bytes())
            .expect("taken");
        false
    });
    let proxy = Proxy::start(settings(), &[origin.address]);
    let head = "POST /live/s.flv HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\
                Expect: 100-continue\r\n\r\n";
    let said = proxy.said_to(head.as_bytes());
    assert!(said.starts_with("HTTP/1.1 100 Continue\r\n\r\n"), "{said}");
    assert!(
        said.contains("\r\n\r\nHTTP/1.1 403 Forbidden\r\n"),
        "{said}"
    );
    assert!(said.contains("\r\nConnection: close\r\n"), "{said}");
    assert_eq!(origin.asked().field("expect"), "");
}

#[test]
fn a_body_with_bad_chunks_reaches_nobody_whole() {
    let origin = Origin::start(|_, stream| {
        let mut got = Vec::new();
        let _ = stream.read_to_end(&mut got);
        assert!(!got.windows(3).any(|part| part == b"GET"), "{got:?}");
        false
    });
    let proxy = Proxy::start(settings(), &[origin.address]);
    let bytes = "POST /live/s.flv HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
                 3\r\nabcGET / HTTP/1.1\r\n\r\n";
    let said = proxy.said_to(bytes.as_bytes());
    assert!(said.starts_with("HTTP/1.1 400 "), "{said}");
    until("the session ends", || proxy.sessions.is_empty());
}

#[test]
fn a_publisher_that_leaves_is_noticed() {
    let (sender, ended) = sync_channel(1);
    let origin = Origin::start(move |_, stream| {
        let mut got = Vec::new();
        let _ = stream.read_to_end(&mut got);
        sender.send(got).expect("the test listens");
        false
    });
    let proxy = Proxy::start(settings(), &[origin.address]);
    let mut client: Client = proxy.client();
    let head = "POST /live/s.flv HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc";
    client.send(head.as_bytes()).expect("taken");
    origin.asked();
    drop(client);
    assert_eq!(ended.recv_timeout(PATIENCE).expect("it ends"), b"abc");
}
