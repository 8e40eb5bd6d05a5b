//! Playlists of a stream under way, reloaded as low-latency players reload them, and the manners of HTTP.

use std::io::Read;
use std::process::{Command, Stdio};

use weir_hls::lint::{self, Listing};
use weir_testkit::http::{Answer, Client};
use weir_testkit::{Media, Process, Weir, http};

use crate::script::{Script, Tape};
use crate::support::{
    always, ask, assert_clean, fetch, listed, listing, metric_becomes, text, url, weir,
};

/// How often each list is reloaded.
const RELOADS: usize = 24;

/// Fails unless a parser of other people takes it.
#[track_caller]
fn assert_parsed(text: &str) {
    let parsed = m3u8_rs::parse_playlist_res(text.as_bytes());
    assert!(parsed.is_ok(), "{:?}\n{text}", parsed.err());
}

/// Reloads a list as a player does that waits for each part, with delta updates beside whole texts.
fn reload(weir: &Weir, file: &str) {
    let mut client = Client::connect(weir.address("http"));
    let mut get = |query: &str| {
        let answer = client.request("GET", &format!("/live/{file}{query}"), &[]);
        assert_eq!(answer.head.status, 200, "{file}{query}: {}", answer.text());
        answer.text()
    };
    let mut full = get("");
    assert_clean(file, &lint::check(&full), &full);
    let mut skipped = 0;
    for round in 0..RELOADS {
        let before = Listing::parse(&full).0;
        let (segment, part) = (before.next_number(), before.open_parts.len());
        let wish = format!("?_HLS_msn={segment}&_HLS_part={part}");
        let after = get(&wish);
        let what = format!("{file}, reload {round}");
        assert_clean(&what, &lint::check(&after), &after);
        assert_clean(&what, &lint::check_reload(&full, &after), &after);
        assert_parsed(&after);
        let now = Listing::parse(&after).0;
        let has = now.next_number() > segment || now.open_parts.len() > part;
        assert!(has, "{what}: {wish} got\n{after}");
        let update = get(&format!("{wish}&_HLS_skip=YES"));
        assert_clean(&what, &lint::check(&update), &update);
        assert_clean(&what, &lint::check_delta(&full, &update), &update);
        skipped += Listing::parse(&update).0.skipped;
        for report in &now.reports {
            assert!(report.uri.ends_with(".m3u8"), "{report:?}");
            assert!(report.last_segment >= segment, "{what}: {report:?}");
            // what is reported of the other list is there when it is asked for
            let part = report.last_part.map(|part| format!("&_HLS_part={part}"));
            let wish = format!(
                "?_HLS_msn={}{}",
                report.last_segment,
                part.unwrap_or_default()
            );
            assert_parsed(&text(weir, &format!("{}{wish}", report.uri)));
        }
        full = after;
    }
    assert!(skipped > 0, "{file}: nothing was skipped\n{full}");
}

#[test]
fn lists_keep_the_rules_through_reloads() {
    let weir = weir(&["--hls-segment", "1s", "--hls-window", "10s"]);
    // sound of one round does not reach into the next
    let tape = Tape::of(Media::H264Aac).until(7_970).times(5, 8_000);
    Script::begin(&weir, "s").play(tape, 2);
    weir.publishing("s");
    // long enough for delta updates
    listed(&weir, "s-av.m3u8", |list| list.duration() > 8.0);
    std::thread::scope(|scope| {
        for file in ["s-av.m3u8", "s-a.m3u8"] {
            let weir = &weir;
            scope.spawn(move || reload(weir, file));
        }
    });
    let multivariant = text(&weir, "s.m3u8");
    let parsed = m3u8_rs::parse_master_playlist_res(multivariant.as_bytes());
    assert_eq!(
        parsed.expect("it is one").variants.len(),
        2,
        "{multivariant}"
    );
    let list = text(&weir, "s-ts.m3u8");
    assert_clean("s-ts.m3u8", &lint::check(&list), &list);
    assert_parsed(&list);
    weir.assert_well();
}

#[test]
fn old_segments_are_skipped_for_who_has_them() {
    let weir = always(&[]);
    let tape = Tape::of(Media::VideoOnly).times(4, 8_000);
    let mut script = Script::begin(&weir, "s");
    script.send(&tape.0);
    let full = listed(&weir, "s-av.m3u8", |list| list.segments.len() > 12);
    let before = text(&weir, "s-av.m3u8");
    let update = text(&weir, "s-av.m3u8?_HLS_skip=YES");
    assert_clean("delta", &lint::check(&update), &update);
    assert_clean("delta", &lint::check_delta(&before, &update), &update);
    assert!(Listing::parse(&update).0.skipped > 0, "{update}\n{full:?}");
    // what the lint is for: a list that takes back what it said
    let fault = before.replacen("#EXTINF:2.0", "#EXTINF:1.0", 1);
    assert_ne!(fault, before);
    assert!(!lint::check_reload(&before, &fault).is_empty());
    script.end();
}

/// A stream of some segments that does not go on.
fn still(weir: &Weir) -> Script {
    let mut script = Script::begin(weir, "s");
    script.send(&Tape::of(Media::H264Aac).0);
    listed(weir, "s-av.m3u8", |list| list.segments.len() > 2);
    script
}

fn ask_with(weir: &Weir, method: &str, file: &str, headers: &[(&str, &str)]) -> Answer {
    let mut client = Client::connect(weir.address("http"));
    client.request(method, &format!("/live/{file}"), headers)
}

#[test]
fn compressed_lists_are_the_same_lists() {
    let weir = always(&[]);
    let _script = still(&weir);
    for file in ["s-av.m3u8", "s.mpd"] {
        let address = url(&weir, file);
        let plain = http::curl([&address]);
        assert_eq!(plain.head.header("content-encoding"), None, "{file}");
        let packed = http::curl(["-H", "accept-encoding: gzip", &address]);
        assert_eq!(
            packed.head.header("content-encoding"),
            Some("gzip"),
            "{file}"
        );
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("list.gz");
        std::fs::write(&path, &packed.body).expect("a file");
        let mut command = Command::new("gzip");
        let mut process = Process::spawn(command.arg("-dc").arg(&path).stdout(Stdio::piped()));
        let mut unpacked = String::new();
        process
            .take_stdout()
            .read_to_string(&mut unpacked)
            .expect("text");
        process.succeed();
        // a manifest tells the time, and nothing else differs
        let fixed = |text: &str| {
            let times = |line: &&str| !line.contains("publishTime") && !line.contains("UTCTiming");
            text.lines()
                .filter(times)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(fixed(&unpacked), fixed(&plain.text()), "{file}");
        assert_eq!(packed.head.header("vary"), Some("Accept-Encoding"));
        assert_ne!(
            packed.head.header("etag"),
            plain.head.header("etag"),
            "{file}"
        );
    }
}

#[test]
fn what_is_known_is_not_sent_again() {
    let weir = always(&[]);
    let mut script = still(&weir);
    for encoding in ["identity", "gzip"] {
        let first = ask_with(&weir, "GET", "s-av.m3u8", &[("accept-encoding", encoding)]);
        let etag = first.head.header("etag").expect("a validator").to_owned();
        let headers = [("accept-encoding", encoding), ("if-none-match", &etag)];
        let again = ask_with(&weir, "GET", "s-av.m3u8", &headers);
        assert_eq!(again.head.status, 304, "{encoding}");
        assert_eq!(again.head.header("etag"), Some(etag.as_str()));
    }
    let etag = ask(&weir, "s-av.m3u8")
        .head
        .header("etag")
        .expect("one")
        .to_owned();
    script.send(&Tape::of(Media::H264Aac).later(8_000).0);
    listed(&weir, "s-av.m3u8", |list| list.segments.len() > 5);
    let changed = ask_with(&weir, "GET", "s-av.m3u8", &[("if-none-match", &etag)]);
    assert_eq!(changed.head.status, 200);
}

#[test]
fn segments_are_served_in_ranges() {
    let weir = always(&[]);
    let _script = still(&weir);
    let list = listing(&weir, "s-av.m3u8");
    let ts = listing(&weir, "s-ts.m3u8");
    for segment in [&list.segments[1].uri, &ts.segments[1].uri] {
        let all = fetch(&weir, segment);
        let range = |range: &str| ask_with(&weir, "GET", segment, &[("range", range)]);
        let end = all.len();
        let parts = [
            ("bytes=0-99".to_owned(), 0..100),
            ("bytes=700-".to_owned(), 700..end),
            ("bytes=-50".to_owned(), end - 50..end),
            (format!("bytes=100-{}", end * 2), 100..end),
        ];
        for (wish, bytes) in parts {
            let answer = range(&wish);
            assert_eq!(answer.head.status, 206, "{segment} {wish}");
            let said = format!("bytes {}-{}/{end}", bytes.start, bytes.end - 1);
            assert_eq!(answer.head.header("content-range"), Some(said.as_str()));
            assert_eq!(answer.body, all[bytes], "{segment} {wish}");
        }
        let beyond = range(&format!("bytes={end}-"));
        assert_eq!(beyond.head.status, 416);
        let said = format!("bytes */{end}");
        assert_eq!(beyond.head.header("content-range"), Some(said.as_str()));
        // what is no range is passed over
        for wish in ["bytes=9-3", "lines=1-2", "bytes=a-b"] {
            assert_eq!(range(wish).body, all, "{wish}");
        }
    }
}

#[test]
fn caches_are_told_how_long_and_heads_are_those_of_the_answers() {
    let weir = always(&[]);
    let _script = still(&weir);
    let list = listing(&weir, "s-av.m3u8");
    let (first, last) = (&list.segments[0], &list.segments[list.segments.len() - 1]);
    let map = first.map.clone().expect("a map");
    let part = last.parts[0].uri.clone();
    let known = format!("s-av.m3u8?_HLS_msn={}", last.number);
    let forever = "public, max-age=31536000, immutable";
    let files = [
        ("s.m3u8", "public, max-age=1"),
        // half a target duration, and six
        ("s-av.m3u8", "public, max-age=1"),
        (&known, "public, max-age=12"),
        (&map, forever),
        (&first.uri, forever),
        (&part, forever),
        ("s.mpd", "no-store"),
        ("s-av-1.m4s", "public, max-age=1"),
        ("s-av.m3u8?_HLS_part=1", "no-store"),
    ];
    for (file, cache) in files {
        let got = ask_with(&weir, "GET", file, &[]);
        assert_eq!(got.head.header("cache-control"), Some(cache), "{file}");
        let head = ask_with(&weir, "HEAD", file, &[]);
        assert_eq!(head.head.status, got.head.status, "{file}");
        for name in ["content-type", "content-length", "cache-control", "etag"] {
            if file == "s.mpd" && name == "content-length" {
                continue;
            }
            assert_eq!(
                head.head.header(name),
                got.head.header(name),
                "{file} {name}"
            );
        }
        assert_eq!(
            got.head.header("access-control-allow-origin"),
            Some("*"),
            "{file}"
        );
    }
    let types = [
        ("s.m3u8", "application/vnd.apple.mpegurl"),
        ("s.mpd", "application/dash+xml"),
        (map.as_str(), "video/mp4"),
        (first.uri.as_str(), "video/mp4"),
    ];
    for (file, content_type) in types {
        assert_eq!(
            ask(&weir, file).head.header("content-type"),
            Some(content_type),
            "{file}"
        );
    }
}

#[test]
fn what_comes_next_is_waited_for_and_grows() {
    let weir = always(&[]);
    let mut script = Script::begin(&weir, "s");
    let tape = Tape::of(Media::VideoOnly);
    // into the middle of the segment that begins with the fourth key frame
    let middle = tape.key(3) + 9;
    script.send(&tape.0[..middle]);
    let list = listed(&weir, "s-av.m3u8", |list| {
        list.segments.len() == 2 && !list.open_parts.is_empty()
    });
    let open = list.next_number();
    let hint = list.hint.expect("a hint");
    let (mut growing, address) = (Client::connect(weir.address("http")), weir.address("http"));
    let head = growing.begin("GET", &format!("/live/s-av-{open}.m4s"), &[]);
    assert_eq!(
        (head.status, head.header("transfer-encoding")),
        (200, Some("chunked"))
    );
    let waits = [
        hint,
        format!("s-av.m3u8?_HLS_msn={open}"),
        format!("s-av-{}.m4s", open + 1),
    ];
    let waiting = waits.map(|file| {
        std::thread::spawn(move || http::request(address, "GET", &format!("/live/{file}")))
    });
    metric_becomes(&weir, "segment_waiting", |count| count == 3);
    script.send(&tape.0[middle..]);
    script.send(&tape.clone().from(0).later(8_000).0[1..]);
    let answers = waiting.map(|thread| thread.join().expect("an answer"));
    for answer in &answers {
        assert_eq!(answer.head.status, 200, "{}", answer.text());
    }
    assert!(Listing::parse(&answers[1].text()).0.next_number() > open);
    let mut grown = Vec::new();
    growing
        .into_chunks()
        .read_to_end(&mut grown)
        .expect("it ends");
    assert_eq!(grown, fetch(&weir, &format!("s-av-{open}.m4s")));
    assert_eq!(
        answers[2].body,
        fetch(&weir, &format!("s-av-{}.m4s", open + 1))
    );
    metric_becomes(&weir, "segment_waiting", |count| count == 0);
    script.end();
}

#[test]
fn the_other_parser_takes_no_nonsense() {
    assert!(m3u8_rs::parse_playlist_res(b"#EXTINF:nothing").is_err());
}
