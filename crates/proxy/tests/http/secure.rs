//! Through TLS, where the relay cannot help.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};

use rustls::pki_types::{CertificateDer, ServerName};

use crate::rig::{Origin, PATIENCE, Proxy, answer, settings, until};

type Secure = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

fn connect(proxy: &Proxy, root: &CertificateDer<'static>) -> Secure {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("proxy.test").expect("a name");
    let tls = rustls::ClientConnection::new(Arc::new(config), name).expect("a client");
    rustls::StreamOwned::new(tls, proxy.raw())
}

/// Reads up to and including `end`.
fn read_to(stream: &mut Secure, end: &[u8]) -> String {
    let (mut said, mut byte) = (Vec::new(), [0]);
    while !said.ends_with(end) {
        stream.read_exact(&mut byte).expect("it comes");
        said.push(byte[0]);
    }
    String::from_utf8(said).expect("text")
}

/// B31: each byte arrives without another behind it.
#[test]
fn streams_pass_at_once() {
    let (go, wait) = sync_channel::<()>(0);
    let wait = Arc::new(Mutex::new(wait));
    let origin = Origin::start(move |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").expect("taken");
        while wait.lock().unwrap().recv().is_ok() {
            stream.write_all(b"a").expect("taken");
        }
        false
    });
    let (proxy, root) = Proxy::secure(settings(), &[origin.address]);
    let mut client = connect(&proxy, &root);
    client
        .write_all(b"GET /live/s.flv HTTP/1.1\r\nHost: proxy.test\r\n\r\n")
        .expect("taken");
    assert!(read_to(&mut client, b"\r\n\r\n").starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(origin.asked().field("x-forwarded-proto"), "https");
    let session = proxy.sessions.list().pop().expect("one");
    assert_eq!((session.protocol, session.about().path), ("https", "copy"));
    for _ in 0..20 {
        go.send(()).expect("the origin lives");
        client.read_exact(&mut [0]).expect("it arrives");
    }
    drop(go);
    until("the session ends", || proxy.sessions.is_empty());
}

/// B35.
#[test]
fn a_client_that_leaves_takes_the_origins_request_with_it() {
    let (sender, ended) = sync_channel(1);
    let origin = Origin::start(move |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").expect("taken");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        sender
            .send(stream.read(&mut [0]))
            .expect("the test listens");
        false
    });
    let (proxy, root) = Proxy::secure(settings(), &[origin.address]);
    let mut client = connect(&proxy, &root);
    client
        .write_all(b"GET /live/s.flv HTTP/1.1\r\nHost: proxy.test\r\n\r\n")
        .expect("taken");
    read_to(&mut client, b"\r\n\r\n");
    drop(client);
    let end = ended.recv_timeout(PATIENCE).expect("it ends");
    assert_eq!(end.expect("closed, not late"), 0);
}

#[test]
fn a_websocket_passes_both_ways() {
    let origin = Origin::start(|_, stream| {
        let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                    Upgrade: websocket\r\n\r\nfirst";
        stream.write_all(head.as_bytes()).expect("taken");
        let mut said = [0; 4];
        stream.read_exact(&mut said).expect("it comes");
        stream.write_all(&said).expect("taken");
        false
    });
    let (proxy, root) = Proxy::secure(settings(), &[origin.address]);
    let mut client = connect(&proxy, &root);
    let head = "GET /live/s.flv HTTP/1.1\r\nHost: proxy.test\r\nConnection: Upgrade\r\n\
                Upgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n";
    client.write_all(head.as_bytes()).expect("taken");
    read_to(&mut client, b"first");
    client.write_all(b"ping").expect("taken");
    read_to(&mut client, b"ping");
}

#[test]
fn a_connection_takes_many_requests() {
    let large = "x".repeat(300_000);
    let origin = Origin::saying(answer("200 OK", "", &large));
    let (proxy, root) = Proxy::secure(settings(), &[origin.address]);
    let mut client = connect(&proxy, &root);
    for _ in 0..3 {
        client
            .write_all(b"GET /live/s.m4s HTTP/1.1\r\nHost: proxy.test\r\n\r\n")
            .expect("taken");
        let head = read_to(&mut client, b"\r\n\r\n");
        assert!(head.contains("Content-Length: 300000\r\n"), "{head}");
        let mut body = vec![0; large.len()];
        client.read_exact(&mut body).expect("a body");
        assert!(body.iter().all(|byte| *byte == b'x'));
    }
}
