//! Lists and segments that are to come, that are named by hand, or whose origin is gone.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use weir_cluster::{ClusterState, Key, NodeId};
use weir_net::clock;
use weir_proxy::token::Signer;

use crate::playlists::{dead_id, wait};
use crate::rig::{Origin, PATIENCE, Proxy, answer, nobody, settings, signed, state, until};

/// The default virtual host's `live/name`.
fn key(name: &str) -> Key {
    Key::new(&format!("__defaultVhost__/live/{name}")).expect("a key")
}

/// The id in addresses of `live/name` that lead to `node`, where settings are those of [`signed`].
fn token(name: &str, node: &NodeId) -> String {
    Signer::new(b"sixteen bytes or more").sign(&key(name), node)
}

fn claim(state: &Arc<dyn ClusterState>, name: &str, node: &NodeId) {
    let claimed = wait(state.claim(&key(name), node, None)).expect("the state is in memory");
    assert_eq!(claimed.node, *node);
}

/// An origin with one list for all paths.
fn listing() -> Origin {
    Origin::saying(answer("200 OK", "", "#EXTM3U\n"))
}

/// An origin that has no list.
fn without() -> Origin {
    Origin::saying(answer("404 Not Found", "", "nobody publishes this stream"))
}

#[test]
fn what_is_to_come_is_waited_for() {
    let (tell, told) = mpsc::sync_channel::<()>(1);
    let told = Arc::new(Mutex::new(told));
    let origin = Origin::start(move |_, stream| {
        let told = told.lock().expect("no panic").recv_timeout(PATIENCE);
        let said = answer("200 OK", "", "#EXTM3U\n");
        told.is_ok() && stream.write_all(said.as_bytes()).is_ok()
    });
    let mut short = signed();
    short.answer = Duration::from_millis(20);
    short.http.file_wait = PATIENCE;
    let patience = short.answer * 4;
    let proxy = Proxy::start(short, &[origin.address]);
    let id = token("s", &wait(dead_id(origin.address)));
    for path in [
        "/live/s.m3u8".to_owned(),
        format!("/live/s-av.m3u8?weir={id}&_HLS_msn=7&_HLS_part=1&_HLS_skip=YES"),
        format!("/live/s-av-7.1.m4s?weir={id}"),
        "/live/s.mpd".to_owned(),
    ] {
        let mut client = proxy.client();
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        client.send(request.as_bytes()).expect("taken");
        let line = origin.asked().line;
        assert_eq!(
            line.contains("_HLS_msn=7&_HLS_part=1&_HLS_skip=YES"),
            path.contains("_HLS")
        );
        let asked = clock::now();
        until("longer than an answer may take", || {
            clock::now() - asked > patience
        });
        tell.send(()).expect("it waits");
        assert_eq!(client.head().expect("an answer").status, 200, "{path}");
    }
}

#[test]
fn who_leaves_while_it_waits_takes_its_request_along() {
    let (tell, ended) = mpsc::sync_channel(1);
    let origin = Origin::start(move |_, stream| {
        let _ = tell.send(stream.read(&mut [0]).map_err(|error| error.kind()));
        false
    });
    let proxy = Proxy::start(settings(), &[origin.address]);
    for path in ["/live/s.m3u8?_HLS_msn=7", "/live/s-av-7.0.m4s"] {
        let mut client = proxy.client();
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        client.send(request.as_bytes()).expect("taken");
        origin.asked();
        drop(client);
        assert_eq!(
            ended.recv_timeout(PATIENCE).expect("it ends"),
            Ok(0),
            "{path}"
        );
    }
    until("the sessions end", || proxy.sessions.is_empty());
}

/// Whoever waits for the same part asks again in the same moment: no connection is made anew for that.
#[test]
fn connections_of_many_who_wait_are_kept() {
    const MANY: usize = 32;
    let together = Arc::new(Barrier::new(MANY));
    let origin = Origin::start(move |_, stream| {
        together.wait();
        let said = answer("200 OK", "", "#EXTM3U\n");
        stream.write_all(said.as_bytes()).is_ok()
    });
    let proxy = Proxy::start(settings(), &[origin.address]);
    let mut clients: Vec<_> = (0..MANY).map(|_| proxy.client()).collect();
    for _ in 0..2 {
        thread::scope(|scope| {
            for client in &mut clients {
                scope.spawn(|| {
                    let got = client.request("GET", "/live/s.m3u8?_HLS_msn=1", &[]);
                    assert_eq!(got.head.status, 200);
                });
            }
        });
        for _ in 0..MANY {
            let connection = origin.asked().connection;
            assert!(connection < MANY, "connection {connection}");
        }
    }
}

#[test]
fn a_file_without_an_id_is_its_streams_unless_a_stream_has_its_name() {
    let (shared, origins) = (state(), [listing(), listing()]);
    let addresses = [origins[0].address, origins[1].address];
    let proxy = Proxy::with_state(signed(), &addresses, Arc::clone(&shared), 0);
    let ids = addresses.map(|address| wait(dead_id(address)));
    let asked_at = |path: &str| {
        assert_eq!(proxy.get(path).head.status, 200, "{path}");
        let asked: Vec<_> = origins.iter().map(Origin::try_asked).collect();
        let asked_here = asked
            .iter()
            .map(|asked| asked.is_some())
            .collect::<Vec<_>>();
        let asked = asked.into_iter().flatten().next().expect("one was asked");
        (asked_here, asked.field("connection"))
    };
    for (name, id) in ["one", "two"].into_iter().zip(&ids) {
        claim(&shared, name, id);
    }
    for (name, here) in [("one", vec![true, false]), ("two", vec![false, true])] {
        for file in [
            "-v.m3u8",
            "-ts.m3u8",
            "-av-7.mp4",
            "-av-7.m4s",
            "-av-7.0.m4s",
            "-7.ts",
            "-7.key",
        ] {
            // a file has an end, so the connection goes on
            let expected = (here.clone(), "keep-alive".to_owned());
            assert_eq!(
                asked_at(&format!("/live/{name}{file}")),
                expected,
                "{name}{file}"
            );
        }
    }
    // streams of these names are what is meant, where they are there
    claim(&shared, "one-v", &ids[1]);
    claim(&shared, "two-7", &ids[0]);
    assert_eq!(asked_at("/live/one-v.m3u8").0, [false, true]);
    assert_eq!(
        asked_at("/live/two-7.ts"),
        (vec![true, false], "close".to_owned())
    );
    assert_eq!(asked_at("/live/one-av.m3u8").0, [true, false]);
}

#[test]
fn a_transport_stream_is_published_under_its_own_name() {
    let origin = Origin::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let shared = state();
    claim(&shared, "cam", &wait(dead_id(origin.address)));
    let proxy = Proxy::with_state(signed(), &[origin.address], Arc::clone(&shared), 0);
    let got =
        proxy.said_to(b"POST /live/cam-7.ts HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
    assert!(got.starts_with("HTTP/1.1 200 "), "{got}");
    assert_eq!(origin.asked().line, "POST /live/cam-7.ts HTTP/1.1");
    assert!(
        wait(shared.find(&key("cam-7")))
            .expect("in memory")
            .claim
            .is_some()
    );
}

#[test]
fn a_list_that_is_known_has_the_validator_that_it_had() {
    let said = "HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\nCache-Control: max-age=1\r\n\r\n";
    let origin = Origin::saying(said);
    let proxy = Proxy::start(signed(), &[origin.address]);
    let fields = [("If-None-Match", "W/\"e\"")];
    let got = proxy.client().request("GET", "/live/s.m3u8", &fields);
    assert_eq!(
        (got.head.status, got.head.header("etag")),
        (304, Some("W/\"e\""))
    );
    assert_eq!(got.head.header("cache-control"), Some("max-age=1"));
    assert_eq!(origin.asked().field("if-none-match"), "W/\"e\"");
    // a segment is the origin's own
    let got = proxy.client().request("GET", "/live/s.m4s", &fields);
    assert_eq!(got.head.header("etag"), Some("\"e\""));
}

#[test]
fn lists_are_packed_for_those_who_take_it() {
    let list = format!("#EXTM3U\n{}", "#EXTINF:2,\ns-1.ts\n".repeat(100));
    let fields = [("Accept-Encoding", "gzip")];
    let origin = Origin::saying(answer("200 OK", "ETag: \"e\"\r\n", &list));
    let proxy = Proxy::start(signed(), &[origin.address]);
    let plain = proxy.get("/live/s.m3u8");
    assert_eq!(plain.head.header("content-encoding"), None);
    for _ in 0..2 {
        let packed = proxy.client().request("GET", "/live/s.m3u8", &fields);
        assert_eq!(packed.head.header("content-encoding"), Some("gzip"));
        assert_eq!(packed.head.header("vary"), Some("Accept-Encoding"));
        assert_eq!(packed.head.header("etag"), Some("W/\"e\""));
        assert!(packed.body.len() * 4 < plain.body.len());
        let mut text = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(packed.body.as_slice());
        decoder.read_to_end(&mut text).expect("gzip");
        assert!(text == plain.body);
    }
    let kept = Origin::saying(answer("200 OK", "Cache-Control: no-transform\r\n", &list));
    let proxy = Proxy::start(signed(), &[kept.address]);
    let got = proxy.client().request("GET", "/live/s.m3u8", &fields);
    assert_eq!(got.head.header("content-encoding"), None);
}

/// An origin that knows its stream when it is published there.
fn taking() -> Origin {
    let is_published = Arc::new(AtomicBool::new(false));
    Origin::start(move |asked, stream| {
        let said = match asked.line.starts_with("POST") {
            true => {
                is_published.store(true, Ordering::SeqCst);
                answer("200 OK", "", "")
            }
            false if is_published.load(Ordering::SeqCst) => answer("200 OK", "", "#EXTM3U\n"),
            false => answer("404 Not Found", "", "nobody publishes this stream"),
        };
        stream.write_all(said.as_bytes()).is_ok()
    })
}

/// Players take a 404 for the end of a stream, whose publisher is about to return.
#[test]
fn a_list_whose_origin_is_gone_waits_for_the_publishers_return() {
    let (shared, gone, origin) = (state(), nobody(), taking());
    let proxy = Proxy::with_state(signed(), &[gone, origin.address], Arc::clone(&shared), 0);
    let dead = wait(dead_id(gone));
    claim(&shared, "s", &dead);
    let lists = [
        format!("/live/s-av.m3u8?weir={}", token("s", &dead)),
        "/live/s.mpd".to_owned(),
    ];
    let mut clients = Vec::new();
    for path in lists {
        let mut client = proxy.client();
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        client.send(request.as_bytes()).expect("taken");
        assert!(origin.asked().line.starts_with("GET"));
        clients.push(client);
    }
    let got =
        proxy.said_to(b"POST /live/s.flv HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
    assert!(got.starts_with("HTTP/1.1 200 "), "{got}");
    for mut client in clients {
        assert_eq!(client.head().expect("an answer").status, 200);
    }
}

#[test]
fn an_origin_that_is_well_is_believed_that_it_has_no_list() {
    let (shared, own, other) = (state(), without(), listing());
    let addresses = [own.address, other.address];
    let proxy = Proxy::with_state(signed(), &addresses, Arc::clone(&shared), 0);
    let ids = addresses.map(|address| wait(dead_id(address)));
    let path = format!("/live/s-av.m3u8?weir={}", token("s", &ids[0]));
    assert_eq!(proxy.get(&path).head.status, 404);
    claim(&shared, "s", &ids[0]);
    for path in [&path, "/live/s.m3u8"] {
        assert_eq!(proxy.get(path).head.status, 404, "{path}");
    }
    // one that moved while its origin lived is found
    claim(&shared, "t", &ids[1]);
    let path = format!("/live/t-av.m3u8?weir={}", token("t", &ids[0]));
    assert_eq!(proxy.get(&path).head.status, 200);
    // what is no list is at its origin or nowhere
    let path = format!("/live/t-av-7.m4s?weir={}", token("t", &ids[0]));
    assert_eq!(proxy.get(&path).head.status, 404);
}

/// An origin that stands in for a dead one takes the segment's name for that of a stream, and waits for its publisher.
#[test]
fn a_segment_of_an_origin_that_is_gone_is_soon_said_to_be_missing() {
    let (gone, origin) = (
        nobody(),
        Origin::start(|_, stream| {
            // until the proxy leaves
            let _ = stream.read(&mut [0]);
            false
        }),
    );
    let proxy = Proxy::start(signed(), &[gone, origin.address]);
    let path = format!("/live/s-7.ts?weir={}", token("s", &wait(dead_id(gone))));
    assert_eq!(proxy.get(&path).head.status, 404);
}
