//! HTTP's own rules: versions, methods, pages, bounds, and what hides one request in another.

use std::io::Write;
use std::time::Duration;

use crate::rig::{Origin, Proxy, answer, settings};

/// A request behind another.
const NEXT: &str = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

/// C52.
#[test]
fn the_version_is_told() {
    let proxy = Proxy::start(settings(), &[]);
    let got = proxy.get("/api/v1/versions");
    assert_eq!(got.head.status, 200);
    assert_eq!(got.head.header("content-type"), Some("application/json"));
    let server = concat!("Weir/", env!("CARGO_PKG_VERSION"));
    assert_eq!(got.head.header("server"), Some(server));
    let json = got.json();
    assert_eq!(json["code"], 0);
    assert!(json["pid"].is_string());
    for part in ["major", "minor", "revision"] {
        assert!(json["data"][part].is_u64(), "{part}");
    }
    assert_eq!(json["data"]["version"], env!("CARGO_PKG_VERSION"));
}

/// C59, B36.
#[test]
fn pages_may_read_what_is_answered() {
    let origin = Origin::saying(answer("200 OK", "", "#EXTM3U\n"));
    let proxy = Proxy::start(settings(), &[origin.address]);
    for method in ["GET", "HEAD", "OPTIONS"] {
        for path in ["/live/s.flv", "/live/s.ts", "/live/s.m3u8", "/live/s.mp4"] {
            let got = proxy
                .client()
                .request(method, path, &[("Origin", "http://page")]);
            assert_eq!(got.head.status, 200, "{method} {path}");
            for name in ["origin", "headers", "methods"] {
                let name = format!("access-control-allow-{name}");
                assert_eq!(got.head.header(&name), Some("*"), "{method} {path} {name}");
            }
            let exposed = got.head.header("access-control-expose-headers");
            for name in ["Location", "Content-Length", "ETag", "Content-Range"] {
                assert!(exposed.is_some_and(|all| all.contains(name)), "{exposed:?}");
            }
            assert!(method == "GET" || got.body.is_empty());
        }
    }
}

/// C59: what the origin says itself is not said twice.
#[test]
fn the_origins_word_for_pages_stands() {
    let own = "Access-Control-Allow-Origin: https://page\r\n";
    let origin = Origin::saying(answer("200 OK", own, "x"));
    let proxy = Proxy::start(settings(), &[origin.address]);
    let got = proxy.get("/live/s.flv");
    let all = got.head.headers.iter();
    let all: Vec<_> = all
        .filter(|(name, _)| name == "access-control-allow-origin")
        .collect();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].1, "https://page");
    let mut none = settings();
    none.http.cors_origin = String::new();
    let proxy = Proxy::start(none, &[]);
    let got = proxy.get("/live/s.flv");
    assert_eq!(got.head.header("access-control-allow-origin"), None);
}

/// B36.
#[test]
fn head_says_what_get_would() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 99\r\n\r\n";
    let origin = Origin::saying(head);
    let proxy = Proxy::start(settings(), &[origin.address]);
    let mut client = proxy.client();
    for _ in 0..2 {
        let got = client.request("HEAD", "/live/s.mp4", &[]);
        assert_eq!(got.head.status, 200);
        assert_eq!(got.head.header("content-length"), Some("99"));
    }
    assert!(origin.asked().line.starts_with("HEAD "));
}

#[test]
fn other_methods_are_not_understood() {
    let proxy = Proxy::start(settings(), &[]);
    for (method, path) in [
        ("DELETE", "/live/s.flv"),
        ("CONNECT", "h:80"),
        ("TRACE", "/"),
        ("POST", "/live/s.m3u8"),
        ("PUT", "/x"),
    ] {
        let got = proxy.client().request(method, path, &[]);
        assert_eq!(got.head.status, 405, "{method}");
        assert!(
            got.head
                .header("allow")
                .is_some_and(|allow| allow.contains("GET"))
        );
    }
    let got = proxy.client().request("POST", "/live/s.flv", &[]);
    assert_eq!(got.head.status, 411);
}

#[test]
fn a_connection_takes_many_requests_also_ahead() {
    let origin = Origin::saying(answer("200 OK", "", "seg"));
    let proxy = Proxy::start(settings(), &[origin.address]);
    let one = "GET /live/s.m4s HTTP/1.1\r\nHost: h\r\n\r\n";
    let last = "GET /api/v1/versions HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let said = proxy.said_to(format!("{one}{one}\r\n{last}").as_bytes());
    assert_eq!(said.matches("HTTP/1.1 200 OK").count(), 3, "{said}");
    assert_eq!(said.matches("\r\n\r\nseg").count(), 2);
    assert!(said.ends_with("}}"), "{said}");
}

#[test]
fn an_error_does_not_end_a_connection() {
    let proxy = Proxy::start(settings(), &[]);
    let mut client = proxy.client();
    for _ in 0..3 {
        assert_eq!(client.request("GET", "/none", &[]).head.status, 404);
        assert_eq!(client.request("GET", "/live/s.flv", &[]).head.status, 503);
    }
}

#[test]
fn old_clients_are_kept_if_they_ask() {
    let origin = Origin::saying(answer("200 OK", "", "seg"));
    let proxy = Proxy::start(settings(), &[origin.address]);
    let kept = "GET /live/s.m4s HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let last = "GET /live/s.m4s HTTP/1.0\r\n\r\n";
    let said = proxy.said_to(format!("{kept}{last}").as_bytes());
    assert_eq!(said.matches("Connection: keep-alive").count(), 1, "{said}");
    assert_eq!(said.matches("\r\n\r\nseg").count(), 2);
    let asked = origin.asked();
    // who names no host asks for the origin itself
    assert_eq!(asked.field("host"), origin.address.to_string());
    assert_eq!(asked.field("via"), "1.0 weir");
}

#[test]
fn requests_that_could_hide_others_are_refused() {
    let origin = Origin::saying(answer("200 OK", "", "x"));
    let proxy = Proxy::start(settings(), &[origin.address]);
    for (fields, status) in [
        ("Host: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n", 400),
        (
            "Host: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            400,
        ),
        ("Host: h\r\nTransfer-Encoding: gzip, chunked\r\n", 501),
        ("Host: h\r\nContent-Length: +1\r\n", 400),
        ("Host: a\r\nHost: b\r\n", 400),
        ("Host: a/b\r\n", 400),
        ("Host: u@a\r\n", 400),
        ("", 400),
        ("Host: h\r\nA: b\r\n c\r\n", 400),
        ("Host: h\r\nA : b\r\n", 400),
        ("Host: h\r\nA: b\0\r\n", 400),
        ("Host: h\r\nA: b\rX: y\r\n", 400),
    ] {
        let head = format!("GET /live/s.flv HTTP/1.1\r\n{fields}\r\n");
        let said = proxy.said_to(format!("{head}{NEXT}").as_bytes());
        assert!(
            said.starts_with(&format!("HTTP/1.1 {status} ")),
            "{head}: {said}"
        );
        if !fields.contains('/') && !fields.contains('@') {
            assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{head}: {said}");
        }
    }
    assert!(origin.is_unasked());
}

#[test]
fn the_body_of_a_get_is_no_request() {
    let origin = Origin::saying(answer("200 OK", "", "x"));
    let proxy = Proxy::start(settings(), &[origin.address]);
    let inner = "GET /live/b.m4s HTTP/1.1\r\nHost: h\r\n\r\n";
    let outer = format!(
        "GET /live/a.m4s HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{inner}",
        inner.len()
    );
    let said = proxy.said_to(outer.as_bytes());
    assert_eq!(said.matches("HTTP/1.1 200 OK").count(), 1, "{said}");
    let asked = origin.asked();
    assert_eq!(asked.field("content-length"), "");
    assert!(origin.is_unasked());
}

#[test]
fn absolute_targets_name_the_host() {
    let origin = Origin::saying(answer("200 OK", "", "x"));
    let proxy = Proxy::start(settings(), &[origin.address]);
    proxy
        .said_to(b"GET http://v.com/live/s.flv?a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let asked = origin.asked();
    assert_eq!(asked.line, "GET /live/s.flv?a HTTP/1.1");
    assert_eq!(asked.field("host"), "v.com");
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    let origin = Origin::saying(answer("200 OK", "", "x"));
    let proxy = Proxy::start(settings(), &[origin.address]);
    for path in [
        "/live/../s.flv",
        "/live/%2e%2e/s.flv",
        "/live/%00.flv",
        "/a#b.flv",
    ] {
        assert_eq!(proxy.get(path).head.status, 400, "{path}");
    }
    assert!(origin.is_unasked());
}

#[test]
fn heads_are_bounded() {
    let proxy = Proxy::start(settings(), &[]);
    let long = format!(
        "GET / HTTP/1.1\r\nHost: h\r\nA: {}\r\n\r\n",
        "a".repeat(17 << 10)
    );
    assert!(proxy.said_to(long.as_bytes()).starts_with("HTTP/1.1 431 "));
    let many = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "a: b\r\n".repeat(65));
    assert!(proxy.said_to(many.as_bytes()).starts_with("HTTP/1.1 431 "));
    assert!(
        proxy
            .said_to(b"PRI * HTTP/2.0\r\n\r\n")
            .starts_with("HTTP/1.1 505 ")
    );
    assert!(proxy.said_to(b"\x16\x03\x01").starts_with("HTTP/1.1 400 "));
}

/// B14.
#[test]
fn a_client_that_says_nothing_or_half_is_closed() {
    let mut short = settings();
    short.opening = Duration::from_millis(50);
    let proxy = Proxy::start(short, &[]);
    assert_eq!(proxy.said_to(b""), "");
    let said = proxy.said_to(b"GET / HTTP/1.1\r\nHos");
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
}

/// B14: the same for a later request.
#[test]
fn a_client_that_says_half_of_a_later_request_is_closed() {
    let mut short = settings();
    short.opening = Duration::from_millis(200);
    let proxy = Proxy::start(short, &[]);
    let said = proxy.said_to(b"GET /none HTTP/1.1\r\nHost: h\r\n\r\nGET / HT");
    assert!(said.starts_with("HTTP/1.1 404 "), "{said}");
    assert!(
        said.contains("\r\n\r\nnothing here\nHTTP/1.1 408 "),
        "{said}"
    );
}

/// B11, in small: whatever comes, the next client is served.
#[test]
fn junk_harms_nobody() {
    let proxy = Proxy::start(settings(), &[]);
    for junk in [
        &b"\0\0\0\0"[..],
        b"\r\n\r\n\r\n",
        b"GET",
        b"GET / HTTP/1.1\r\n\xff\xff: \r\n\r\n",
    ] {
        let mut stream = proxy.raw();
        stream.write_all(junk).expect("taken");
        drop(stream);
    }
    assert_eq!(proxy.get("/api/v1/versions").head.status, 200);
}
