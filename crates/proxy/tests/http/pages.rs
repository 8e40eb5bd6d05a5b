//! Pages of the application on the port of streams.

use std::io::{Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use weir_http::pages::{MAX_BODY_BYTES, Pages, Peer};
use weir_proxy::Settings;

use crate::rig::{Origin, Proxy, answer, settings};

/// Says what it was asked.
fn echo() -> Pages {
    Arc::new(|request: http::Request<Bytes>| {
        Box::pin(async move {
            let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
            let text = format!(
                "{} {} {:?} {:?} {} {}",
                request.method(),
                request.uri(),
                request.version(),
                request.headers().get("x-mark"),
                peer.map_or_else(String::new, |peer| peer.to_string()),
                request.body().len(),
            );
            let mut response = http::Response::new(Bytes::from(text));
            let headers = response.headers_mut();
            headers.insert("x-page", "yes".parse().unwrap());
            // what belongs to the connection is not the page's to say
            headers.insert("content-length", "1".parse().unwrap());
            headers.insert("connection", "close".parse().unwrap());
            response
        })
    })
}

#[test]
fn pages_get_what_was_asked_and_their_answers_keep_the_connection() {
    let proxy = Proxy::with_pages(settings(), &[], echo());
    let mut client = proxy.client();
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/console"),
        ("GET", "/console/"),
        ("GET", "/console/assets/index-1a2b.js"),
        ("GET", "/api/v1/streams?count=3"),
        ("DELETE", "/api/v1/clients/7"),
    ] {
        let got = client.request(method, path, &[("X-Mark", "m")]);
        assert_eq!(got.head.status, 200, "{method} {path}");
        assert_eq!(got.head.header("x-page"), Some("yes"));
        assert_eq!(got.head.header("access-control-allow-origin"), None);
        assert_eq!(got.head.header("connection"), None);
        let expected = format!("{method} {path} HTTP/1.1 Some(\"m\") 127.0.0.1 0");
        assert_eq!(String::from_utf8_lossy(&got.body), expected);
    }
    let got = client.request("HEAD", "/console/", &[]);
    assert_eq!((got.head.status, got.body.len()), (200, 0));
    assert!(
        got.head
            .header("content-length")
            .is_some_and(|length| length != "0")
    );
}

/// C52: what the proxy has always said itself it still says.
#[test]
fn streams_and_the_version_are_no_pages() {
    let origin = Origin::saying(answer("200 OK", "", "stream"));
    let proxy = Proxy::with_pages(settings(), &[origin.address], echo());
    for path in [
        "/console/x.flv",
        "/api/x.ts",
        "/console/x.m3u8",
        "/console/x.m4s",
    ] {
        let got = proxy.get(path);
        assert_eq!(got.head.header("x-page"), None, "{path}");
    }
    let versions = proxy.get("/api/v1/versions");
    assert_eq!(versions.head.header("x-page"), None);
    assert_eq!(versions.json()["code"], 0);
    // elsewhere nothing has changed either
    for path in ["/other", "/console2/", "/live/api/"] {
        let got = proxy.get(path);
        assert_eq!(
            (got.head.status, got.head.header("x-page")),
            (404, None),
            "{path}"
        );
    }
    assert_eq!(proxy.get("/console/%2e%2e/x").head.status, 400);
}

#[test]
fn files_of_these_names_are_still_files() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("console")).unwrap();
    std::fs::write(folder.path().join("console/own.html"), "mine").unwrap();
    let mut settings: Settings = settings();
    settings.http.static_files = Some(folder.path().to_owned());
    let proxy = Proxy::with_pages(settings, &[], echo());
    assert_eq!(proxy.get("/console/own.html").body, b"mine");
    assert_eq!(proxy.get("/console/").head.header("x-page"), Some("yes"));
}

#[test]
fn bodies_are_read_whole_and_bounded() {
    let proxy = Proxy::with_pages(settings(), &[], echo());
    let said = |request: &str| {
        let mut raw = proxy.raw();
        // an answer may come, and the connection go, before all is written
        let _ = raw.write_all(request.as_bytes());
        let mut text = String::new();
        let _ = raw.read_to_string(&mut text);
        text
    };
    let post = "POST /api/v1/reload HTTP/1.1\r\nHost: localhost\r\n";
    let known = said(&format!("{post}Content-Length: 5\r\n\r\nhello"));
    assert!(known.ends_with("127.0.0.1 5"), "{known}");
    let chunks = said(&format!(
        "{post}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    ));
    assert!(chunks.ends_with("127.0.0.1 3"), "{chunks}");
    let asked = said(&format!(
        "{post}Expect: 100-continue\r\nContent-Length: 0\r\n\r\n"
    ));
    assert!(asked.contains("127.0.0.1 0"), "{asked}");
    let long = MAX_BODY_BYTES + 1;
    let body = "x".repeat(long);
    let refused = said(&format!("{post}Content-Length: {long}\r\n\r\n{body}"));
    assert!(refused.starts_with("HTTP/1.1 413 "), "{refused}");
}
