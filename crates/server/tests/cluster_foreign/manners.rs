//! HTTP between clients, proxies and an origin of others: what either says reaches the other, but for the origin's own
//! address.

use std::fs;

use weir_testkit::http::{self, Answer, Head};
use weir_testkit::nginx::Nginx;
use weir_testkit::{Cluster, Proxy};

use crate::{SIGNED, STORED, behind_nginx, url, walk};

/// Length of the one segment.
const LENGTH: usize = 1_000;

/// A segment of bytes that all differ from their neighbours.
fn segment() -> Vec<u8> {
    (0..LENGTH).map(|at| (at % 251) as u8).collect()
}

/// An nginx with a playlist of one segment, behind two proxies, and the segment's address with its id.
fn rig(routing: &[&str]) -> (Nginx, Cluster, String) {
    let (nginx, cluster) = behind_nginx(routing);
    let folder = nginx.files().join("live");
    fs::write(folder.join("s.m3u8"), "#EXTM3U\n#EXTINF:1,\ns-0.ts\n").expect("written");
    fs::write(folder.join("s-0.ts"), segment()).expect("written");
    let found = walk::all(cluster.proxy(0), "/live/s.m3u8");
    let uri = found.into_iter().next().expect("one segment");
    (nginx, cluster, uri)
}

/// Pages of everybody may read it (C59, B36), and the origin's address stays inside (B30).
fn assert_manners(what: &str, nginx: &Nginx, head: &Head) {
    for name in ["origin", "headers", "methods"] {
        let name = format!("access-control-allow-{name}");
        assert_eq!(head.header(&name), Some("*"), "{what}: {head:?}");
    }
    let exposed = head.header("access-control-expose-headers");
    let exposed = exposed.unwrap_or_default().to_ascii_lowercase();
    for name in ["location", "content-length", "etag"] {
        assert!(exposed.contains(name), "{what}: {head:?}");
    }
    let inside = nginx.http().port().to_string();
    let says = |(_, value): &(String, String)| value.contains(&format!(":{inside}"));
    assert!(!head.headers.iter().any(says), "{what}: {head:?}");
}

fn assert_text_is_ours(what: &str, nginx: &Nginx, answer: &Answer) {
    let inside = format!(":{}", nginx.http().port());
    assert!(
        !answer.text().contains(&inside),
        "{what}: {}",
        answer.text()
    );
}

/// C59, B30, B36: by id at the other proxy, parts, heads, and what has not changed.
#[test]
fn parts_heads_and_conditions_are_the_origins() {
    for routing in [&SIGNED[..], &STORED[..]] {
        let (nginx, cluster, uri) = rig(routing);
        let url = url(cluster.proxy(1), &uri);
        let whole = http::curl([&url]);
        assert_eq!(whole.head.status, 200);
        assert_eq!(whole.body, segment());
        assert_eq!(whole.head.header("content-type"), Some("video/mp2t"));
        assert_manners("whole", &nginx, &whole.head);

        for (range, said, bytes) in [
            ("100-199", "bytes 100-199/1000", 100..200),
            ("-10", "bytes 990-999/1000", 990..1_000),
        ] {
            let part = http::curl(["-r", range, &url]);
            assert_eq!(part.head.status, 206, "{range}");
            assert_eq!(part.head.header("content-range"), Some(said));
            assert_eq!(part.body, segment()[bytes], "{range}");
            assert_manners(range, &nginx, &part.head);
        }
        let outside = http::curl(["-r", "5000-", &url]);
        assert_eq!(outside.head.status, 416);
        let said = outside.head.header("content-range");
        assert_eq!(said, Some("bytes */1000"));

        let head = http::curl(["-I", &url]);
        assert_eq!(head.head.status, 200);
        assert_eq!(head.head.header("content-length"), Some("1000"));
        assert_manners("head", &nginx, &head.head);

        let tag = whole.head.header("etag").unwrap();
        let condition = format!("if-none-match: {tag}");
        let same = http::curl(["-H", &condition, &url]);
        assert_eq!((same.head.status, same.body.len()), (304, 0));
        assert_eq!(same.head.header("etag"), Some(tag));
        assert_manners("same", &nginx, &same.head);
    }
}

/// A list differs from the origin's in its bytes, not in its meaning; players that ask whether it changed are told.
#[test]
fn a_list_that_has_not_changed_is_not_sent_again() {
    let (nginx, cluster, _) = rig(&SIGNED);
    let url = url(cluster.proxy(0), "/live/s.m3u8");
    let list = http::curl([&url]);
    assert_manners("list", &nginx, &list.head);
    let length = list.body.len().to_string();
    assert_eq!(list.head.header("content-length"), Some(length.as_str()));
    let tag = list.head.header("etag").unwrap();
    assert!(tag.starts_with("W/"), "{tag}");
    let same = http::curl(["-H", &format!("if-none-match: {tag}"), &url]);
    assert_eq!(same.head.status, 304);
    let head = http::curl(["-I", &url]);
    assert_eq!(head.head.status, 200);
    assert_manners("head", &nginx, &head.head);
}

/// C59, B36.
#[test]
fn preflights_are_answered_for_all_that_is_streamed() {
    let (nginx, cluster, uri) = rig(&SIGNED);
    let paths = [
        "/live/s.m3u8",
        "/live/s.flv",
        "/live/s.ts",
        "/live/s.mpd",
        &uri,
    ];
    for path in paths {
        let url = url(cluster.proxy(0), path);
        let origin = "origin: https://example.com";
        let method = "access-control-request-method: GET";
        let answer = http::curl(["-X", "OPTIONS", "-H", origin, "-H", method, &url]);
        assert_eq!(answer.head.status, 200, "{path}");
        assert_eq!(answer.body, b"", "{path}");
        assert_manners(path, &nginx, &answer.head);
    }
}

/// B30, C58: the origin's refusals are the client's, and lead nowhere inside.
#[test]
fn refusals_and_redirections_are_the_origins() {
    let (nginx, cluster, _) = rig(&SIGNED);
    let proxy: &Proxy = cluster.proxy(1);
    for (path, status) in [
        ("/live/none.ts", 404),
        ("/live/none.m3u8", 404),
        ("/denied/s.ts", 403),
        ("/denied/s.m3u8", 403),
        ("/moved/s-0.ts", 302),
        ("/moved-absolutely/s-0.ts", 302),
        ("/live/s-0.ts?weir=nonsense", 400),
        ("/live/s-0.ts?spbhid=nonsense", 400),
    ] {
        let answer = http::curl([&url(proxy, path)]);
        assert_eq!(answer.head.status, status, "{path}: {}", answer.text());
        assert_manners(path, &nginx, &answer.head);
        assert_text_is_ours(path, &nginx, &answer);
    }
    for path in ["/moved/s-0.ts", "/moved-absolutely/s-0.ts"] {
        let led = http::curl(["-L", &url(proxy, path)]);
        assert_eq!(led.body, segment(), "{path}");
    }
    let led = http::curl(["-L", &url(proxy, "/moved/s.m3u8")]);
    assert!(led.text().contains("s-0.ts?weir="), "{}", led.text());
}

/// B32: what a client says of itself and its request reaches the origin.
#[test]
fn fields_and_queries_reach_the_origin() {
    let (_nginx, cluster, _) = rig(&SIGNED);
    for path in ["/asked/s.flv", "/asked/s.ts", "/asked/s.m3u8"] {
        let url = url(
            cluster.proxy(0),
            &format!("{path}?token=a%20b&only_audio=1"),
        );
        let answer = http::curl([
            "-H",
            "range: bytes=0-",
            "-A",
            "a player",
            "-e",
            "https://page.example/",
            "-H",
            "origin: https://page.example",
            "-H",
            "authorization: Bearer of news",
            "--interface",
            "127.0.0.5",
            &url,
        ]);
        let text = answer.text();
        assert_eq!(answer.head.status, 200, "{text}");
        for line in [
            "query token=a%20b&only_audio=1",
            "user-agent a player",
            "referer https://page.example/",
            "origin https://page.example",
            "authorization Bearer of news",
            "x-forwarded-for 127.0.0.5",
        ] {
            assert!(
                text.lines().any(|said| said == line),
                "{path}: {line} in {text}"
            );
        }
        // a part of a list would be a part of something else
        let range = if path.ends_with(".m3u8") {
            "range "
        } else {
            "range bytes=0-"
        };
        assert!(text.lines().any(|said| said == range), "{path}: {text}");
    }
}
