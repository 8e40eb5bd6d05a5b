//! Origins that die, hang, drain, leave and return.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use weir_net::clock::now;
use weir_testkit::cluster::{Member, Settings};
use weir_testkit::{Cluster, Proxy, Weir, hostile, http};

use crate::BINARY;
use crate::light::{Client, Failure, Frame, Link};
use crate::streams::{FIRST, Streams, addresses};

/// More than it takes where all cores are taken by other tests.
const GENEROUS: Duration = Duration::from_secs(15);

/// B1, B2: a hundred live streams at three origins behind two proxies, and one origin is killed. Who was there reconnects
/// and meets at one living origin; nobody else loses a frame.
#[test]
fn the_streams_of_a_killed_origin_meet_again_at_a_living_one() {
    let cluster = Cluster::start(BINARY, 3, 2);
    let streams = Streams::start(&cluster, "s", 100);
    let homes = streams.homes(&cluster);
    let home = streams.busiest(&cluster);
    let touched = streams.at(&cluster, home);

    let killed = now();
    cluster.kill(Member::Origin(home));
    let mut took: Vec<Duration> = Vec::new();
    for name in &touched {
        let again = Frame { take: 1, number: 0 };
        let log = streams.get(name).viewer.reached(again);
        let (_, at) = log.first_of(1).expect("it was reached");
        took.push(at.saturating_duration_since(killed));
    }
    took.sort();
    let (half, all) = (took[took.len() / 2], took[took.len() - 1]);
    println!(
        "{} streams played again: half after {half:?}, all after {all:?}",
        took.len()
    );
    assert!(all < GENEROUS, "{all:?}");

    let after = streams.homes(&cluster);
    for (name, now) in &after {
        assert!(touched.contains(name) || homes[name] == *now, "{name}");
    }
    for number in 0..2 {
        let proxy = cluster.proxy(number);
        let told = proxy.system("GET", "/api/v1/streams?cluster=true&count=1000");
        for stream in told.json()["streams"].as_array().expect("a list") {
            let name = stream["stream"]
                .as_str()
                .and_then(|key| key.rsplit('/').next());
            let now = after[name.expect("a key")];
            assert_eq!(stream["origin"], cluster.id_of(now), "{stream}");
        }
    }
    for name in &touched {
        let stream = streams.get(name);
        let refusals = [
            stream.publisher.log().refusals,
            stream.viewer.log().refusals,
        ];
        assert_no_addresses(&cluster, refusals.iter().flatten());
    }
    streams.finish(&touched);
    cluster.assert_well(&[Member::Origin(home)]);
}

/// What clients are told names nothing of the inside.
fn assert_no_addresses<'a>(cluster: &Cluster, said: impl Iterator<Item = &'a String>) {
    for text in said {
        assert!(!text.contains("127.0.0.1"), "{text}");
        for number in 0..cluster.origins() {
            let ports = cluster.ports(number);
            for port in [ports.rtmp.port(), ports.http.port(), ports.api.port()] {
                assert!(!text.contains(&port.to_string()), "{text}");
            }
        }
    }
}

/// B15: a stopped origin accepts and says nothing. New sessions of its streams are answered, those at other origins notice
/// nothing, and once it goes on it gets streams again.
#[test]
fn a_hanging_origin_costs_its_own_sessions_a_bounded_time() {
    let settings = Settings {
        proxy_args: &["--proxy-answer-timeout", "1s"],
        ..Settings::default()
    };
    let cluster = Cluster::start_with(BINARY, &settings);
    let streams = Streams::start(&cluster, "s", 12);
    let home = streams.busiest(&cluster);
    let touched = streams.at(&cluster, home);
    let name = touched.first().expect("the most are there").clone();
    let proxies = [0, 1].map(|number| cluster.proxy(number).listener("rtmp"));

    cluster.stop(Member::Origin(home));
    let began = now();
    for proxy in proxies {
        // at another origin, where it waits, or with a refusal: whoever asks is answered
        match Link::play(proxy, &name) {
            Ok(_) | Err(Failure::Refused(_)) => {}
            Err(failure) => panic!("{name}: {failure:?}"),
        }
    }
    let took = now().saturating_duration_since(began);
    println!("a viewer at each proxy was answered after {took:?} in all");
    assert!(took < 2 * GENEROUS, "{took:?}");
    let _new: Vec<Client> = (0..6)
        .map(|number| {
            let name = format!("new{number}");
            let publisher = Client::publish(&addresses(&cluster, number), &name);
            publisher.reached(FIRST);
            publisher
        })
        .collect();
    for (name, stream) in streams.iter() {
        if !touched.contains(name) {
            stream.viewer.goes_on();
        }
    }

    cluster.cont(Member::Origin(home));
    cluster.await_origins(3);
    let mut later = Vec::new();
    for number in 0.. {
        let name = format!("later{number}");
        let publisher = Client::publish(&addresses(&cluster, number), &name);
        publisher.reached(FIRST);
        later.push(publisher);
        if cluster
            .published_at(home)
            .iter()
            .any(|one| one.starts_with("later"))
        {
            break;
        }
        assert!(number < 40, "none of 40 new streams was placed there");
    }
    for (name, stream) in streams.iter() {
        if touched.contains(name) {
            stream.viewer.goes_on();
        }
    }
    streams.finish(&touched);
    cluster.assert_well(&[]);
}

/// Origins that accept nothing, say nothing, say rubbish or hang up, beside one that is well: each stream finds that one.
#[test]
fn origins_that_are_none_are_gone_around() {
    let well = Weir::start(BINARY, &[]);
    let fakes = Fakes::start();
    let origins = fakes.addresses.map(|address| format!("rtmp://{address}"));
    let origins = format!("rtmp://{},{}", well.address("rtmp"), origins.join(","));
    let args = [
        "--cluster-origins",
        &origins,
        "--proxy-dial-timeout",
        "500ms",
        "--proxy-answer-timeout",
        "500ms",
    ];
    let proxy = Proxy::start(BINARY, &args);
    let rtmp = proxy.listener("rtmp");
    let publishers: Vec<Client> = (0..10)
        .map(|number| Client::publish(&[rtmp], &format!("s{number}")))
        .collect();
    for publisher in &publishers {
        let log = publisher.reached(FIRST);
        for said in log.refusals {
            assert!(!said.contains("127.0.0.1"), "{said}");
        }
    }
    well.api_shows("/api/v1/streams?count=1000", |answer| answer["total"] == 10);
    proxy.shows("/api/v1/origins", |answer| {
        let states = answer["origins"].as_array().into_iter().flatten();
        let bad = states.filter(|origin| origin["state"] != "up");
        bad.count() == fakes.addresses.len()
    });
    proxy.assert_well();
    well.assert_well();
}

/// Listeners that are no origins.
struct Fakes {
    addresses: [SocketAddr; 4],
    /// Connections that fill a queue, and the sockets whose queues nobody empties.
    _held: (Vec<TcpListener>, Vec<Socket>),
}

impl Fakes {
    fn start() -> Self {
        let listen = || TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = |listener: &TcpListener| listener.local_addr().expect("bound");
        let [silent, junk, closing] = [listen(), listen(), listen()];
        let (full, queued) = full_backlog();
        let addresses = [&full, &silent, &junk, &closing].map(address);
        // they end with the process
        thread::spawn(move || {
            for stream in junk.incoming().flatten() {
                let mut peer = stream;
                let _ = peer.write_all(&hostile::junk(1, 4_000));
            }
        });
        thread::spawn(move || closing.incoming().for_each(drop));
        Self {
            addresses,
            _held: (vec![full, silent], queued),
        }
    }
}

/// A listener whose queue is full, and the connections in it.
fn full_backlog() -> (TcpListener, Vec<Socket>) {
    let socket = || Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let listener = socket();
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    listener.bind(&any.into()).expect("a port");
    listener.listen(0).expect("a socket");
    let listener = TcpListener::from(listener);
    let address = listener.local_addr().expect("bound").into();
    let mut queued = Vec::new();
    loop {
        let client = socket();
        // what is not taken at once on loopback never is
        let taken = client.connect_timeout(&address, Duration::from_millis(200));
        queued.push(client);
        if taken.is_err() {
            return (listener, queued);
        }
    }
}

/// B5: an origin that drains keeps its streams and gets no new ones, whichever proxy was told; when it leaves, its streams
/// go elsewhere.
#[test]
fn a_draining_origin_keeps_what_it_has_and_then_leaves() {
    let settings = Settings {
        origin_args: &["--server-drain-timeout", "1s"],
        ..Settings::default()
    };
    let cluster = Cluster::start_with(BINARY, &settings);
    let streams = Streams::start(&cluster, "s", 12);
    let home = streams.busiest(&cluster);
    let touched = streams.at(&cluster, home);
    let path = format!("/api/v1/origins/{}/drain", cluster.id_of(home));
    assert_eq!(cluster.proxy(0).system("POST", &path).head.status, 200);
    cluster.await_origins(2);

    let new = Streams::start(&cluster, "new", 12);
    assert_eq!(new.at(&cluster, home), BTreeSet::new());
    let name = touched.first().expect("the most are there");
    for number in 0..2 {
        let viewer = Client::play(&addresses(&cluster, number), name);
        viewer.reached(FIRST);
    }
    assert_eq!(streams.at(&cluster, home), touched);
    streams.go_on();

    cluster.end(Member::Origin(home));
    for name in &touched {
        let again = Frame { take: 1, number: 0 };
        streams.get(name).viewer.reached(again);
    }
    streams.homes(&cluster);
    for number in 0..2 {
        cluster
            .proxy(number)
            .shows("/api/v1/origins", |answer| answer["total"] == 2);
    }
    new.finish(&BTreeSet::new());
    streams.finish(&touched);
    cluster.assert_well(&[Member::Origin(home)]);
}

/// C31: a claim that names an origin nobody knows any more is overwritten.
#[test]
fn a_claim_of_an_unknown_origin_is_overwritten() {
    let mut cluster = Cluster::start(BINARY, 2, 2);
    let publisher = Client::publish(&addresses(&cluster, 0), "s");
    publisher.reached(FIRST);
    let home = cluster.origin_of("s");
    let (old, other) = (cluster.id_of(home), cluster.id_of(1 - home));
    publisher.finish();
    cluster.kill(Member::Origin(home));
    let record = format!("srs-proxy-server:{old}");
    assert_eq!(cluster.redis().cli(&["del", &record]), "1");
    let claim = ["get", "srs-proxy-url:__defaultVhost__/live/s"];
    assert_eq!(cluster.redis().cli(&claim), record);

    let publisher = Client::publish(&addresses(&cluster, 1), "s");
    publisher.reached(FIRST);
    assert_eq!(cluster.origin_of("s"), 1 - home);
    let now = format!("srs-proxy-server:{other}");
    cluster.redis().until(&claim, |answer| answer == now);
    cluster.assert_well(&[Member::Origin(home)]);
}

/// C19: an origin that registers no more, though it lives, gets no new streams once its lease is over.
#[test]
fn an_origin_that_is_silent_for_the_lease_gets_no_new_streams() {
    let silent = Weir::start(BINARY, &[]);
    let settings = Settings {
        origins: 1,
        proxies: 1,
        redis: false,
        proxy_args: &["--cluster-lease", "4s"],
        ..Settings::default()
    };
    let cluster = Cluster::start_with(BINARY, &settings);
    let proxy = cluster.proxy(0);
    register(proxy, "silent", &silent);
    cluster.await_origins(2);
    cluster.await_origins(1);
    let streams = Streams::start(&cluster, "s", 10);
    assert_eq!(streams.at(&cluster, 0).len(), 10);
    silent.assert_well();
    streams.finish(&BTreeSet::new());
}

/// Registers an origin once, under this name, where it listens for RTMP.
pub(crate) fn register(proxy: &Proxy, name: &str, origin: &Weir) {
    let body = format!(
        r#"{{"ip":"127.0.0.1","server":"{name}","service":"1","pid":"1","rtmp":["{}"]}}"#,
        origin.address("rtmp").port()
    );
    let mut client = http::Client::connect(proxy.listener("system"));
    let request = format!(
        "POST /api/v1/srs/register HTTP/1.1\r\nhost: weir\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    client.send(request.as_bytes()).expect("it reads");
    assert_eq!(client.head().expect("an answer").status, 200);
}

/// B3: an origin that registers under the same id at another port is found there at once, by old streams and new ones.
#[test]
fn an_origin_that_comes_back_at_another_port_is_found_there() {
    let (before, after) = (Weir::start(BINARY, &[]), Weir::start(BINARY, &[]));
    let proxy = Proxy::start(BINARY, &[]);
    let rtmp = proxy.listener("rtmp");
    register(&proxy, "same", &before);
    let publisher = Client::publish(&[rtmp], "s");
    let viewer = Client::play(&[rtmp], "s");
    viewer.reached(FIRST);
    before.process().signal("KILL");
    before.process().wait();
    register(&proxy, "same", &after);
    viewer.reached(Frame { take: 1, number: 0 });
    let _new = Client::publish(&[rtmp], "new");
    after.publishing("s");
    after.publishing("new");
    assert!(publisher.log().sessions.len() > 1);
    proxy.assert_well();
    after.assert_well();
}

/// An origin that crashes and is started again at once: its streams meet again, at one origin each.
#[test]
fn the_streams_of_a_restarted_origin_meet_again() {
    let mut cluster = Cluster::start(BINARY, 3, 2);
    let streams = Streams::start(&cluster, "s", 12);
    let home = streams.busiest(&cluster);
    let touched = streams.at(&cluster, home);
    cluster.kill(Member::Origin(home));
    cluster.restart_origin(home);
    for name in &touched {
        let again = Frame { take: 1, number: 0 };
        streams.get(name).viewer.reached(again);
    }
    cluster.await_origins(3);
    streams.homes(&cluster);
    streams.finish(&touched);
    cluster.assert_well(&[]);
}
/// A stream whose origin hung, was bound elsewhere for a viewer, and came back: whoever looks sees it again.
#[test]
fn a_stream_is_seen_again_after_its_origin_hung() {
    let settings = Settings {
        proxy_args: &["--proxy-answer-timeout", "1s"],
        ..Settings::default()
    };
    let cluster = Cluster::start_with(BINARY, &settings);
    let streams = Streams::start(&cluster, "s", 4);
    let name = streams.iter().next().expect("one").0.clone();
    let home = cluster.origin_of(&name);
    cluster.stop(Member::Origin(home));
    let proxies = [0, 1].map(|number| cluster.proxy(number).listener("rtmp"));
    for proxy in proxies {
        drop(Link::play(proxy, &name)); // binds the stream to another origin
    }
    cluster.cont(Member::Origin(home));
    cluster.await_origins(3);
    for proxy in proxies {
        let viewer = Client::play(&[proxy], &name);
        viewer.until("a frame", |log| log.last().is_some()); // never: it is sent to the new origin, the publisher is at the old
    }
}
