//! Clients that take what they can get: files, memory, time.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use socket2::{Domain, Socket, Type};
use weir_testkit::cluster::Settings;
use weir_testkit::{Cluster, Process, Proxy, Weir, hostile, proxy};

use crate::BINARY;
use crate::light::{Client, Link, sequence_header};
use crate::streams::{FIRST, Streams};

/// Few origins, one proxy, and no Redis.
fn small(proxy_args: &[&str]) -> Cluster {
    let settings = Settings {
        origins: 2,
        proxies: 1,
        redis: false,
        origin_args: &[],
        proxy_args,
        ..Settings::default()
    };
    Cluster::start_with(BINARY, &settings)
}

/// B16: out of files, the proxy keeps its sessions and its listeners, and takes new ones when files are free again.
#[test]
fn a_proxy_without_files_recovers_when_some_are_free() {
    /// More than a proxy of two sessions has open, on a machine of many cores too.
    const FILES: usize = 150;
    let origin = Weir::start(BINARY, &[]);
    let origins = format!("rtmp://{}", origin.address("rtmp"));
    let args = [
        "--cluster-origins",
        &origins,
        "--server-workers",
        "2",
        "--proxy-opening-timeout",
        "5m",
    ];
    let command = proxy::proxy(BINARY, &args);
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -n {FILES}; exec \"$@\""), "sh"]);
    limited.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    let proxy = Proxy::adopt(Process::spawn(&mut limited), 4);
    let rtmp = proxy.listener("rtmp");
    let publisher = Client::publish(&[rtmp], "s");
    let viewer = Client::play(&[rtmp], "s");
    viewer.reached(FIRST);

    let greedy: Vec<TcpStream> = (0..2 * FILES)
        .map(|_| TcpStream::connect(rtmp).expect("the kernel takes it"))
        .collect();
    proxy
        .process()
        .line("that no file is left", |line| line.contains("os error 24"));
    viewer.goes_on();
    drop(greedy);

    let late = Client::play(&[rtmp], "s");
    late.reached(FIRST);
    for name in ["http", "api", "system"] {
        // an answer, whichever
        weir_testkit::http::request(proxy.listener(name), "GET", "/api/v1/versions");
    }
    viewer.goes_on();
    assert_eq!(viewer.log().sessions.len(), 1);
    assert_eq!(publisher.log().sessions.len(), 1);
    proxy.assert_well();
    origin.assert_well();
}

/// B14: connections that never speak, or stop half-way, are closed at both doors; streams notice nothing.
#[test]
fn connections_that_never_speak_are_closed() {
    let cluster = small(&["--proxy-opening-timeout", "1s"]);
    let streams = Streams::start(&cluster, "s", 4);
    let proxy = cluster.proxy(0);
    let (rtmp, http) = (proxy.listener("rtmp"), proxy.listener("http"));
    let hello = hostile::handshake_begin();
    let words: [(SocketAddr, &[u8]); 4] = [
        (rtmp, b""),
        (http, b""),
        (rtmp, &hello[..700]),
        (http, b"GET /live/s0.flv HT"),
    ];
    let mut silent: Vec<hostile::Peer> = (0..200)
        .map(|number| {
            let (address, words) = words[number % words.len()];
            let mut peer = hostile::Peer::connect(address);
            peer.send(words);
            peer
        })
        .collect();
    for (number, peer) in silent.iter_mut().enumerate() {
        assert!(peer.is_closed(), "connection {number}");
    }
    proxy.shows("/api/v1/sessions?count=1000", |answer| answer["total"] == 8);
    streams.finish(&BTreeSet::new());
    cluster.assert_well(&[]);
}

/// A viewer that reads nothing is closed when it has been stalled for as long as is set, and costs nobody a frame.
#[test]
fn a_viewer_that_never_reads_is_closed() {
    /// More than all buffers on the way hold: the kernel gives each socket some megabytes.
    const BYTES: usize = 64 << 20;
    let cluster = small(&["--proxy-stalled-timeout", "1s"]);
    let streams = Streams::start(&cluster, "s", 4);
    let rtmp = cluster.proxy(0).listener("rtmp");
    let mut publisher = Link::publish(rtmp, "big").expect("it is new");
    publisher.send(0, sequence_header()).expect("it reads");
    let slow = slow_viewer(rtmp, "big");
    // a key frame of a megabyte
    let mut body = vec![0x17, 1, 0, 0, 0, 0, 0x10, 0, 0, 0x65];
    body.resize(9 + (1 << 20), 0x55);
    let after = cluster.proxy(0).process().lines();
    for number in 0..BYTES / body.len() {
        publisher.send(number as u32 * 40, &body).expect("it reads");
    }
    cluster
        .proxy(0)
        .logged_after(after, "session closed", "\"stalled\"");
    drop(slow);
    streams.finish(&BTreeSet::new());
    cluster.assert_well(&[]);
}

/// A viewer that has said what it wants and reads nothing more, with a small buffer.
fn slow_viewer(address: SocketAddr, name: &str) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4 << 10).expect("a socket");
    socket.connect(&address.into()).expect("it listens");
    Link::play_on(socket.try_clone().expect("a copy").into(), address, name).expect("it plays");
    socket
}

/// B20: who is over the limit of its address is refused in the protocol's words, and counted; who was there stays.
#[test]
fn who_is_over_a_limit_is_refused_and_counted() {
    let cluster = small(&["--limits-sessions-per-address", "8"]);
    let streams = Streams::start(&cluster, "s", 4);
    let proxy = cluster.proxy(0);
    let refused = match Link::play(proxy.listener("rtmp"), "s0") {
        Err(failure) => format!("{failure:?}"),
        Ok(_) => panic!("a ninth session"),
    };
    assert!(
        refused.contains("Refused(\"NetStream.Play.Failed"),
        "{refused}"
    );
    let mut client = weir_testkit::http::Client::connect(proxy.listener("http"));
    let head = client.begin("GET", "/live/s0.flv", &[]);
    assert_eq!(head.status, 503);
    let metrics = proxy.system("GET", "/metrics").text();
    let counted = metrics
        .lines()
        .filter(|line| line.starts_with("weir_proxy_refused_total{"));
    assert!(counted.count() >= 2, "{metrics}");
    streams.finish(&BTreeSet::new());
    cluster.assert_well(&[]);
}
