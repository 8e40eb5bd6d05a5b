//! Limits and the end of the process.

use std::io::{Read, Write};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};

use crate::rig::{Origin, Proxy, answer, settings, state, until};

#[test]
fn over_the_limit_clients_are_told_so() {
    let proxy = Proxy::with_state(settings(), &[], state(), 1);
    let mut first = proxy.client();
    assert_eq!(
        first.request("GET", "/api/v1/versions", &[]).head.status,
        200
    );
    let got = proxy.get("/api/v1/versions");
    assert_eq!(got.head.status, 503);
    assert!(got.head.header("retry-after").is_some());
    drop(first);
    until("the place is free", || proxy.sessions.is_empty());
    assert_eq!(proxy.get("/api/v1/versions").head.status, 200);
}

/// B19.
#[test]
fn the_drain_ends_idle_connections_and_lets_streams_go_on() {
    let (go, wait) = sync_channel::<()>(0);
    let wait = Arc::new(Mutex::new(wait));
    let origin = Origin::start(move |asked, stream| {
        if asked.line.contains(".m4s") {
            return stream
                .write_all(answer("200 OK", "", "x").as_bytes())
                .is_ok();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").expect("taken");
        while wait.lock().unwrap().recv().is_ok() {
            stream.write_all(b"a").expect("taken");
        }
        false
    });
    let proxy = Proxy::start(settings(), &[origin.address]);
    let mut idle = proxy.client();
    assert_eq!(idle.request("GET", "/live/a.m4s", &[]).head.status, 200);
    let mut viewer = proxy.client();
    assert_eq!(viewer.begin("GET", "/live/s.flv", &[]).status, 200);
    proxy.shutdown.drain();
    assert!(idle.head().is_err(), "it is closed");
    let mut body = viewer.into_body();
    for _ in 0..3 {
        go.send(()).expect("the origin lives");
        body.read_exact(&mut [0]).expect("it goes on");
    }
    proxy.shutdown.stop();
    assert_eq!(body.read(&mut [0; 9]).unwrap_or(0), 0);
    drop(go);
}

/// B19: an answer that is under way is finished, and says that it is the last.
#[test]
fn a_request_under_way_is_answered_in_the_drain() {
    let (go, wait) = sync_channel::<()>(0);
    let wait = Arc::new(Mutex::new(wait));
    let origin = Origin::start(move |_, stream| {
        wait.lock().unwrap().recv().expect("the test goes on");
        stream
            .write_all(answer("200 OK", "", "#EXTM3U\n").as_bytes())
            .is_ok()
    });
    let proxy = Proxy::start(settings(), &[origin.address]);
    let mut client = proxy.client();
    client
        .send(b"GET /live/s.m3u8 HTTP/1.1\r\nHost: h\r\n\r\n")
        .expect("taken");
    origin.asked();
    proxy.shutdown.drain();
    go.send(()).expect("the origin lives");
    let head = client.head().expect("an answer");
    assert_eq!(head.status, 200);
    assert_eq!(head.header("connection"), Some("close"));
    let mut body = String::new();
    client.into_body().read_to_string(&mut body).expect("text");
    assert_eq!(body, "#EXTM3U\n");
}

/// B50: what a session was about is known while it lasts.
#[test]
fn sessions_are_listed_with_what_they_are_about() {
    let origin = Origin::start(|_, stream| {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\n\r\nabc")
            .expect("taken");
        let _ = stream.read(&mut [0]);
        false
    });
    let proxy = Proxy::start(settings(), &[origin.address]);
    let mut client = proxy.client();
    client.begin("GET", "/live/s.flv", &[]);
    let session = proxy.sessions.list().pop().expect("one");
    assert_eq!(
        origin.asked().field("x-weir-session"),
        session.id.to_string()
    );
    let about = session.about();
    let stream = about.stream.expect("known");
    assert_eq!(stream.as_str(), "__defaultVhost__/live/s");
    assert_eq!((session.protocol, about.path), ("http", "splice"));
    assert_eq!(about.role.name(), "play");
    drop(client);
    until("it ends", || proxy.sessions.is_empty());
}

/// A client that takes nothing is closed, and the origin's request with it.
#[test]
fn a_client_that_takes_nothing_is_closed() {
    let (sender, ended) = sync_channel(1);
    let origin = Origin::start(move |_, stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n";
        stream.write_all(head.as_bytes()).expect("taken");
        while stream.write_all(&[0; 1 << 16]).is_ok() {}
        sender.send(()).expect("the test listens");
        false
    });
    let mut short = settings();
    short.stalled = std::time::Duration::from_millis(100);
    let proxy = Proxy::start(short, &[origin.address]);
    let mut client = proxy.client();
    client
        .send(b"GET /live/s.m4s HTTP/1.1\r\nHost: h\r\n\r\n")
        .expect("taken");
    ended
        .recv_timeout(crate::rig::PATIENCE)
        .expect("it is closed");
    until("the session ends", || proxy.sessions.is_empty());
    drop(client);
}

/// An answer that the origin breaks off ends the connection: it must not look complete.
#[test]
fn an_answer_that_breaks_off_does_not_look_complete() {
    for said in [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd",
    ] {
        let origin = Origin::start(move |_, stream| {
            stream.write_all(said.as_bytes()).expect("taken");
            false
        });
        let proxy = Proxy::start(settings(), &[origin.address]);
        let request = "GET /live/s.m4s HTTP/1.1\r\nHost: h\r\n\r\n";
        let got = proxy.said_to(format!("{request}{request}").as_bytes());
        assert_eq!(got.matches("HTTP/1.1 ").count(), 1, "{got}");
        assert!(!got.ends_with("0\r\n\r\n"), "{got}");
    }
}
