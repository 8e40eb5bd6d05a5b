//! Playlists, manifests, and the way of their segments.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use weir_cluster::Key;
use weir_proxy::Settings;

use crate::rig::{Origin, Proxy, answer, settings, signed, state};

const MEDIA: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-MAP:URI=\"init.mp4\"\n\
#EXT-X-KEY:METHOD=AES-128,URI=\"/keys/1.key?x=1\"\n#EXTINF:6,\ns-1.ts\n#EXTINF:6,\ns-2.ts?a=b#f\n\
#EXTINF:6,\nhttps://other.example/s-3.ts\n#EXT-X-PART:DURATION=1,URI=\"s-4.1.m4s\"\n";

/// An origin with one playlist, and segments that say who asked.
fn hls(text: &'static str) -> Origin {
    Origin::start(move |asked, stream| {
        let path = asked.line.split([' ', '?']).nth(1).unwrap_or_default();
        let own = stream.local_addr().expect("bound");
        let list = |kind: &str| {
            let text = text.replace("SELF", &own.to_string());
            let fields = format!("Content-Type: {kind}\r\nETag: \"e\"\r\nAccept-Ranges: bytes\r\n");
            answer("200 OK", &fields, &text)
        };
        let said = match path.rsplit('.').next() {
            Some("m3u8") => list("application/vnd.apple.mpegurl"),
            Some("mpd") => list("application/dash+xml"),
            _ => answer("200 OK", "Content-Type: video/mp2t\r\n", &format!("{own}")),
        };
        stream.write_all(said.as_bytes()).is_ok()
    })
}

/// The URIs of a playlist.
fn uris(text: &str) -> Vec<String> {
    let quoted = text.split('"').skip(1).step_by(2);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    quoted.chain(lines).map(str::to_owned).collect()
}

/// C55, C56, B33, W42.
#[test]
fn every_uri_of_a_playlist_leads_back() {
    for (settings, name) in [(settings(), "spbhid"), (signed(), "weir")] {
        let origin = hls(MEDIA);
        let proxy = Proxy::start(settings, &[origin.address]);
        let got = proxy.get("/live/s.m3u8?token=1");
        assert_eq!(got.head.status, 200);
        let kind = got.head.header("content-type");
        assert_eq!(kind, Some("application/vnd.apple.mpegurl"));
        assert_eq!(got.head.header("etag"), Some("W/\"e\""));
        assert_eq!(origin.asked().line, "GET /live/s.m3u8?token=1 HTTP/1.1");
        let text = got.text();
        let uris = uris(&text);
        let id = uris.iter().find_map(|uri| uri.strip_prefix("s-1.ts?"));
        let id = id.expect("an id").to_owned();
        assert!(id.starts_with(&format!("{name}=")), "{id}");
        let expected = [
            format!("init.mp4?{id}"),
            format!("/keys/1.key?x=1&{id}"),
            format!("s-4.1.m4s?{id}"),
            format!("s-1.ts?{id}"),
            format!("s-2.ts?a=b&{id}#f"),
            "https://other.example/s-3.ts".to_owned(),
        ];
        assert_eq!(uris, expected);
        assert!(!text.contains("&&"));
    }
}

/// W43: the id of a stream stays.
#[test]
fn a_playlist_that_is_fetched_again_has_the_same_id() {
    for settings in [settings(), signed()] {
        let origin = hls(MEDIA);
        let proxy = Proxy::start(settings, &[origin.address]);
        assert_eq!(
            proxy.get("/live/s.m3u8").text(),
            proxy.get("/live/s.m3u8").text()
        );
    }
}

/// B30, B33, W9.
#[test]
fn addresses_of_the_origin_become_the_proxys() {
    let text = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://SELF/live/s_1.m3u8?hls_ctx=1\n\
                #EXT-X-STREAM-INF:BANDWIDTH=2\n//SELF/live/s_2.m3u8\n\
                #EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI=\"skd://key\"\n\
                #EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"data:text/plain;base64,eA==\"\n";
    let origin = hls(text);
    let proxy = Proxy::start(signed(), &[origin.address]);
    let text = proxy.get("/live/s.m3u8").text();
    assert!(!text.contains(&origin.address.to_string()), "{text}");
    let uris = uris(&text);
    assert_eq!(uris[0], "skd://key");
    assert_eq!(uris[1], "data:text/plain;base64,eA==");
    assert!(
        uris[2].starts_with("/live/s_1.m3u8?hls_ctx=1&weir="),
        "{text}"
    );
    assert!(uris[3].starts_with("/live/s_2.m3u8?weir="), "{text}");
}

/// C57, B33: with either form, on whichever proxy.
#[test]
fn segments_come_from_the_origin_of_their_playlist() {
    for form in [settings as fn() -> Settings, signed] {
        let origins = [hls(MEDIA), hls(MEDIA), hls(MEDIA)];
        let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
        let shared = state();
        let first = Proxy::with_state(form(), &addresses, Arc::clone(&shared), 0);
        let second = Proxy::with_state(form(), &addresses, shared, 0);
        for stream in ["a", "b", "c", "d"] {
            for origin in &origins {
                // segments of the stream before
                while origin.try_asked().is_some() {}
            }
            let text = first.get(&format!("/live/{stream}.m3u8")).text();
            let (mut here, mut asked) = (None, Vec::new());
            for origin in &origins {
                while let Some(found) = origin.try_asked() {
                    here = Some(origin.address.to_string());
                    asked.push(found);
                }
            }
            let here = here.expect("one was asked");
            assert_eq!(asked.len(), 1);
            for uri in uris(&text).iter().filter(|uri| uri.contains("s-1.ts")) {
                for proxy in [&first, &second] {
                    let got = proxy.get(&format!("/live/{uri}"));
                    assert_eq!((got.head.status, got.text()), (200, here.clone()));
                    assert_eq!(got.head.header("content-type"), Some("video/mp2t"));
                }
            }
        }
    }
}

/// C57: the stored id goes on as it does with the Go proxy; ours is nobody's business.
#[test]
fn the_origin_sees_stored_ids_and_no_tokens() {
    for (settings, seen) in [(settings(), true), (signed(), false)] {
        let origin = hls(MEDIA);
        let proxy = Proxy::start(settings, &[origin.address]);
        let text = proxy.get("/live/s.m3u8").text();
        origin.asked();
        for uri in uris(&text).iter().filter(|uri| uri.contains("s-2.ts")) {
            let uri = uri.split('#').next().expect("one");
            assert_eq!(proxy.get(&format!("/live/{uri}")).head.status, 200);
            let line = origin.asked().line;
            match seen {
                true => assert_eq!(line, format!("GET /live/{uri} HTTP/1.1")),
                false => assert_eq!(line, "GET /live/s-2.ts?a=b HTTP/1.1"),
            }
        }
    }
}

/// C58.
#[test]
fn segments_with_an_unknown_id_are_refused() {
    for settings in [settings(), signed()] {
        let is_signed = settings == signed();
        let origin = hls(MEDIA);
        let proxy = Proxy::start(settings, &[origin.address]);
        let got = proxy.get("/live/s-1.ts?spbhid=unknown");
        assert_eq!(got.head.status, 400);
        assert_eq!(got.head.header("access-control-allow-origin"), Some("*"));
        assert_eq!(proxy.get("/live/s-1.m4s?spbhid=../x").head.status, 400);
        if is_signed {
            assert_eq!(proxy.get("/live/s-1.ts?weir=AAAA").head.status, 400);
        }
        assert!(origin.is_unasked());
        // a playlist gets a new one
        let got = proxy.get("/live/s.m3u8?spbhid=unknown&weir=AAAA");
        assert_eq!(got.head.status, 200);
    }
}

/// C28, C30: what a Go proxy stored is understood, also where tokens are written, and what is stored is what it reads.
#[test]
fn ids_of_the_go_proxy_are_understood() {
    let json =
        r#"{"spbhid":"9c0fb9a","stream_url":"v.com/live/s","full_url":"http://v.com/live/s.m3u8"}"#;
    for settings in [settings(), signed()] {
        let is_signed = settings == signed();
        let origin = hls(MEDIA);
        let shared = state();
        let values = [
            ("spbhid:9c0fb9a".to_owned(), json.to_owned()),
            ("hls:v.com/live/s".to_owned(), json.to_owned()),
        ];
        wait(shared.put_routes(&values, Duration::from_secs(120))).expect("kept");
        let proxy = Proxy::with_state(settings, &[origin.address], Arc::clone(&shared), 0);
        assert_eq!(proxy.get("/live/s-1.ts?spbhid=9c0fb9a").head.status, 200);
        if is_signed {
            continue;
        }
        let text = proxy.get("/live/s.m3u8?spbhid=9c0fb9a").text();
        assert!(text.contains("s-1.ts?spbhid=9c0fb9a\n"), "{text}");
        proxy.get("/live/t.m3u8");
        let kept = wait(shared.route("hls:__defaultVhost__/live/t")).expect("there");
        let kept = kept.expect("an entry");
        assert!(
            kept.contains(r#""stream_url":"__defaultVhost__/live/t""#),
            "{kept}"
        );
        assert!(
            kept.contains(r#""full_url":"http://127.0.0.1/live/t.m3u8""#),
            "{kept}"
        );
    }
}

/// A future of the state in memory, which never waits.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(future)
}

/// B34: nothing about a token runs out, and when its node is gone the stream is placed anew.
#[test]
fn a_token_outlives_its_origin() {
    let origin = hls(MEDIA);
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("bound")
    };
    let signer = weir_proxy::token::Signer::new(b"sixteen bytes or more");
    let stream = Key::new("__defaultVhost__/live/s").expect("a key");
    let dead = wait(dead_id(gone));
    let token = signer.sign(&stream, &dead);
    // known and dead, and not known at all
    for origins in [vec![gone, origin.address], vec![origin.address]] {
        let proxy = Proxy::start(signed(), &origins);
        let got = proxy.get(&format!("/live/s-1.ts?weir={token}"));
        assert_eq!(got.head.status, 200);
    }
}

/// The identity that a proxy gives an origin.
pub(crate) async fn dead_id(address: std::net::SocketAddr) -> weir_cluster::NodeId {
    use weir_proxy::directory::{Directory, Options};
    let options = Options {
        static_origins: vec![crate::rig::at(address)],
        ..Options::default()
    };
    let mut registry = prometheus_client::registry::Registry::default();
    let directory = Directory::new(state(), options, &mut registry);
    let stream = Key::new("s").expect("a key");
    let role = weir_proxy::sessions::Role::Play;
    let placed = directory.place(&stream, role, weir_cluster::Service::Http, &[]);
    placed.await.expect("there is one").node.id.clone()
}

/// B33.
#[test]
fn manifests_lead_back_too() {
    let text = "<?xml version=\"1.0\"?><MPD><Period><AdaptationSet><SegmentTemplate \
                media=\"s-$Number$.m4s\" initialization=\"init.mp4\"/></AdaptationSet></Period></MPD>";
    let origin = hls(text);
    let proxy = Proxy::start(signed(), &[origin.address]);
    let text = proxy.get("/live/s.mpd").text();
    assert!(text.contains("media=\"s-$Number$.m4s?weir="), "{text}");
    assert!(text.contains("initialization=\"init.mp4?weir="), "{text}");
}

#[test]
fn a_playlist_is_known_by_its_type_too() {
    let body = "#EXTM3U\n#EXTINF:1,\na.ts\n";
    let origin = Origin::saying(answer("200 OK", "Content-Type: audio/MPEGurl; x\r\n", body));
    let proxy = Proxy::start(settings(), &[origin.address]);
    let text = proxy.get("/live/s.aac").text();
    assert!(text.contains("\na.ts?spbhid="), "{text}");
}

#[test]
fn playlists_are_wanted_whole_and_plain() {
    let origin = hls(MEDIA);
    let proxy = Proxy::start(settings(), &[origin.address]);
    let fields = [("Range", "bytes=0-1"), ("Accept-Encoding", "gzip")];
    let got = proxy.client().request("GET", "/live/s.m3u8", &fields);
    assert_eq!(got.head.status, 200);
    assert_eq!(got.head.header("accept-ranges"), None);
    let asked = origin.asked();
    assert_eq!(asked.field("accept-encoding"), "identity");
    assert_eq!(asked.field("range"), "");
    // segments are not
    proxy.client().request("GET", "/live/s.m4s", &fields);
    assert_eq!(origin.asked().field("range"), "bytes=0-1");
}

#[test]
fn playlists_come_in_all_framings_and_within_bounds() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                   7\r\n#EXTM3U\r\n6\r\n\na.ts\n\r\n0\r\n\r\n";
    let to_close = "HTTP/1.0 200 OK\r\n\r\n#EXTM3U\na.ts\n";
    for said in [chunked, to_close] {
        let keeps = said == chunked;
        let origin = Origin::start(move |_, stream| {
            stream.write_all(said.as_bytes()).expect("taken");
            keeps
        });
        let proxy = Proxy::start(settings(), &[origin.address]);
        let got = proxy.get("/live/s.m3u8");
        assert!(got.text().contains("\na.ts?spbhid="), "{}", got.text());
        let length = got.body.len().to_string();
        assert_eq!(got.head.header("content-length"), Some(length.as_str()));
        assert_eq!(got.head.header("transfer-encoding"), None);
    }
    let long = format!("#EXTM3U\n{}", "a.ts\n".repeat(100));
    for said in [
        answer("200 OK", "", &long),
        format!("HTTP/1.1 200 OK\r\n\r\n{long}"),
        answer("200 OK", "Content-Encoding: gzip\r\n", "#EXTM3U\n"),
        "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n#EXTM3U\n".to_owned(),
    ] {
        let origin = Origin::start(move |_, stream| {
            stream.write_all(said.as_bytes()).expect("taken");
            false
        });
        let mut small = settings();
        small.http.max_playlist_bytes = 100;
        let proxy = Proxy::start(small, &[origin.address]);
        assert_eq!(proxy.get("/live/s.m3u8").head.status, 502);
    }
}

#[test]
fn what_is_no_playlist_goes_on_as_it_is() {
    for (status, body) in [
        ("404 Not Found", "#EXTM3U\na.ts\n"),
        ("200 OK", "<html>a.ts</html>"),
    ] {
        let origin = Origin::saying(answer(status, "", body));
        let proxy = Proxy::start(settings(), &[origin.address]);
        assert_eq!(proxy.get("/live/s.m3u8").text(), body);
    }
}

/// B36.
#[test]
fn head_of_a_playlist_has_no_length_that_is_wrong() {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-mpegurl\r\nContent-Length: 7\r\n\r\n";
    let origin = Origin::saying(head);
    let proxy = Proxy::start(settings(), &[origin.address]);
    let got = proxy.client().request("HEAD", "/live/s.m3u8", &[]);
    assert_eq!(got.head.status, 200);
    assert_eq!(got.head.header("content-length"), None);
    assert_eq!(
        got.head.header("content-type"),
        Some("application/x-mpegurl")
    );
}

#[test]
fn connections_to_the_origin_are_used_again() {
    let origin = hls(MEDIA);
    let proxy = Proxy::start(settings(), &[origin.address]);
    let mut client = proxy.client();
    for _ in 0..5 {
        let got = client.request("GET", "/live/s.m3u8", &[]);
        assert_eq!(got.head.status, 200);
        assert_eq!(origin.asked().connection, 0);
    }
}

#[test]
fn a_connection_that_was_closed_meanwhile_is_replaced() {
    let said = answer("200 OK", "", "#EXTM3U\n");
    // says that it keeps the connection, and does not
    let origin = Origin::start(move |_, stream| {
        stream.write_all(said.as_bytes()).expect("taken");
        false
    });
    let proxy = Proxy::start(settings(), &[origin.address]);
    let mut client = proxy.client();
    for _ in 0..5 {
        assert_eq!(client.request("GET", "/live/s.m3u8", &[]).head.status, 200);
    }
}

#[test]
fn ids_do_not_lead_to_the_origins_own_business() {
    let origin = hls(MEDIA);
    let proxy = Proxy::start(settings(), &[origin.address]);
    let text = proxy.get("/live/s.m3u8").text();
    origin.asked();
    let id = uris(&text)
        .iter()
        .find_map(|uri| uri.strip_prefix("s-1.ts?").map(str::to_owned));
    let id = id.expect("an id");
    for path in [
        "/api/v1/clients",
        "//API/v1/x",
        "/%61pi/v1/x",
        "/rtc/v1/play/",
    ] {
        assert_eq!(
            proxy.get(&format!("{path}?{id}")).head.status,
            404,
            "{path}"
        );
    }
    // but to whatever a playlist may name
    assert_eq!(proxy.get(&format!("/keys/get?{id}")).head.status, 200);
}
