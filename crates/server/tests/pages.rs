//! The console and the API on the ports of streams, of an origin and of a proxy.

use std::net::SocketAddr;

use weir_testkit::http::{Answer, Client};
use weir_testkit::{Proxy, Weir};

const BINARY: &str = env!("CARGO_BIN_EXE_weir");

fn ask(at: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    Client::connect(at).request(method, path, headers)
}

/// What holds on either port without a token.
fn serves_this_host(at: SocketAddr, role: &str) {
    let led = ask(at, "GET", "/", &[("Accept", "text/html")]);
    assert_eq!(led.head.status, 302, "{role}");
    assert_eq!(led.head.header("location"), Some("/console/"));
    assert_eq!(ask(at, "GET", "/", &[]).head.status, 200, "{role}");
    let console = ask(at, "GET", "/console/", &[]);
    assert_eq!(console.head.status, 200, "{role}");
    let kind = console.head.header("content-type").unwrap_or_default();
    assert!(kind.starts_with("text/html"), "{kind}");

    let about = ask(at, "GET", "/api/v1/console", &[]);
    assert_eq!(about.head.status, 200, "{role}");
    assert_eq!(about.json()["role"], role);
    assert_eq!(about.json()["http_port"], at.port());
    // no other page may read it
    assert_eq!(about.head.header("access-control-allow-origin"), None);
    for field in [
        ("X-Forwarded-For", "127.0.0.1"),
        ("Via", "1.1 varnish"),
        ("Origin", "https://evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Referer", "http://tv.example/console/"),
    ] {
        let refused = ask(at, "GET", "/api/v1/streams", &[field]);
        assert_eq!(refused.head.status, 403, "{role} {field:?}");
    }
    let other_page = ("Origin", "http://localhost:3000");
    let refused = ask(at, "DELETE", "/api/v1/streams/x", &[other_page]);
    assert_eq!(refused.head.status, 403, "{role}");
    for path in ["/healthz", "/metrics", "/apis/v1"] {
        assert_eq!(ask(at, "GET", path, &[]).head.status, 404, "{role} {path}");
    }
}

/// What holds on either port with a token.
fn asks_for_the_token(at: SocketAddr, role: &str) {
    assert_eq!(ask(at, "GET", "/console/", &[]).head.status, 200, "{role}");
    let api = "/api/v1/console";
    assert_eq!(ask(at, "GET", api, &[]).head.status, 401, "{role}");
    let wrong = ("Authorization", "Bearer wrong");
    assert_eq!(ask(at, "GET", api, &[wrong]).head.status, 401, "{role}");
    let right = ("Authorization", "Bearer a-long-secret");
    let through = ("X-Forwarded-For", "192.0.2.7");
    let got = ask(at, "GET", api, &[right, through]);
    assert_eq!(got.head.status, 200, "{role}");
}

#[test]
fn an_origin_serves_browsers_of_this_host() {
    let weir = Weir::start(BINARY, &[]);
    let at = weir.address("http");
    serves_this_host(at, "origin");
    let reloaded = ask(at, "POST", "/api/v1/reload", &[]);
    assert_eq!(reloaded.head.status, 200);
    let log = ask(at, "GET", "/api/v1/log", &[]).json();
    let lines = log["lines"].as_array().expect("lines");
    assert!(lines.iter().any(|line| {
        let message = line["message"].as_str().unwrap_or_default();
        message.starts_with("configuration reloaded")
    }));
    assert_eq!(ask(at, "GET", "/live/x.nothing", &[]).head.status, 404);
    weir.assert_well();
}

#[test]
fn a_proxy_serves_browsers_of_this_host_and_registers_nobody_there() {
    let proxy = Proxy::start(BINARY, &[]);
    let at = proxy.listener("http");
    serves_this_host(at, "proxy");
    let origins = ask(at, "GET", "/api/v1/origins", &[]);
    assert_eq!(origins.json()["total"], 0);
    let register = ask(at, "POST", "/api/v1/srs/register", &[]);
    assert_eq!(register.head.status, 404);
    assert_eq!(ask(at, "GET", "/api/v1/versions", &[]).json()["code"], 0);
}

#[test]
fn with_a_token_everybody_needs_it() {
    let weir = Weir::start(BINARY, &["--api-token", "a-long-secret"]);
    asks_for_the_token(weir.address("http"), "origin");
    let proxy = Proxy::start(BINARY, &["--proxy-token", "a-long-secret"]);
    asks_for_the_token(proxy.listener("http"), "proxy");
}

#[test]
fn the_console_can_be_switched_off() {
    let weir = Weir::start(BINARY, &["--http-console=false"]);
    let proxy = Proxy::start(BINARY, &["--proxy-console=false"]);
    for at in [weir.address("http"), proxy.listener("http")] {
        for path in ["/console/", "/api/v1/console"] {
            assert_eq!(ask(at, "GET", path, &[]).head.status, 404, "{path}");
        }
    }
}
