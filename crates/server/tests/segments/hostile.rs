//! Streams and requests that nobody would make on purpose, each with its answer.

use std::thread;
use std::time::Duration;

use weir_hls::lint::{self, Listing};
use weir_testkit::flv::Tag;
use weir_testkit::http::Client;
use weir_testkit::{Kind, Media, Weir, http};

use crate::frames::Frames;
use crate::script::{Script, Tape, unmarked};
use crate::support::{
    always, ask, assert_clean, listed, listing, metric, metric_becomes, text, url,
};

/// What a server may hold more after a hostile stream: its segments, bounded by this, and what goes with them.
const MAX_SIZE: [&str; 2] = ["--hls-max-size", "4MiB"];
const SLACK: u64 = 32 << 20;

/// What all lists of a stream must be, however bad it is: in order, with lengths that the target duration covers.
#[track_caller]
fn assert_order(weir: &Weir, what: &str) -> Listing {
    let list = text(weir, "s-av.m3u8");
    assert_clean(what, &lint::check(&list), &list);
    weir.assert_well();
    Listing::parse(&list).0
}

/// Publishes a tape at once, ends, and gives what is listed.
fn published(tape: &[Tag]) -> (Weir, Listing) {
    let weir = always(&MAX_SIZE);
    let before = weir.memory();
    let mut script = Script::begin(&weir, "s");
    script.send(tape);
    script.end();
    listed(&weir, "s-av.m3u8", |list| list.is_ended);
    let list = assert_order(&weir, "published");
    let grown = weir.memory().saturating_sub(before);
    assert!(grown < SLACK, "{grown} bytes more");
    (weir, list)
}

#[test]
fn a_minute_without_a_key_frame_is_cut_all_the_same() {
    let tape = Tape::of(Media::VideoOnly).times(9, 8_000);
    let first = tape.key(0);
    let late = tape.key(61);
    let mut tags = tape.0;
    for tag in &mut tags[first + 1..late] {
        *tag = unmarked(tag);
    }
    let (weir, list) = published(&tags);
    let long = list
        .segments
        .iter()
        .filter(|segment| segment.duration > 9.9);
    assert!(long.count() >= 1, "{list:?}");
    assert!(list.segments.iter().all(|segment| segment.duration <= 10.1));
    assert_eq!(list.target, Some(10));
    assert!(!list.is_independent, "not every segment can be begun with");
    drop(weir);
}

#[test]
fn slow_and_fast_pictures() {
    let tape = Tape::of(Media::BaselineAac).pictures();
    // one a second, a key frame every 25 seconds
    let (weir, list) = published(&tape.clone().every(1_000_000).until(120_000).0);
    assert!(
        list.segments.iter().all(|segment| segment.duration <= 10.1),
        "{list:?}"
    );
    let frames = Frames::of(Media::VideoOnly, &url(&weir, "s-av.m3u8"));
    let count = frames.kind(Kind::Video).len();
    assert!((20..=120).contains(&count), "{count} pictures");
    // 240 a second
    let (weir, list) = published(&tape.times(10, 8_000).every(4_167).0);
    assert!(
        list.segments.iter().all(|segment| segment.duration <= 2.2),
        "{list:?}"
    );
    let frames = Frames::of(Media::VideoOnly, &url(&weir, "s-av.m3u8"));
    assert_eq!(frames.kind(Kind::Video).len(), 2_000);
}

#[test]
fn a_publishers_clock_that_jumps() {
    let tape = Tape::of(Media::H264Aac);
    let one = |at: u32| {
        let mut tags = tape.clone().until(4_000).later(at).0;
        tags.retain(|tag| at == 0 || !tag.is_sequence_header());
        tags
    };
    let hour = 3_600_000;
    // an hour on, back again, to the end of 32 bits and beyond it
    let times = [0, hour, 4_000, u32::MAX - 2_000, 8_000, 8_500, 8_000];
    let tags: Vec<Tag> = times.into_iter().flat_map(one).collect();
    let (weir, list) = published(&tags);
    assert!(list.segments.len() >= 4, "{list:?}");
    let longest = list.segments.iter().map(|segment| segment.duration);
    assert!(longest.fold(0.0, f64::max) <= 10.1, "{list:?}");
    let manifest = ask(&weir, "s.mpd");
    assert_eq!(manifest.head.status, 200);
    assert_eq!(ask(&weir, "s-ts.m3u8").head.status, 200);
    for segment in &list.segments {
        let map = segment.map.as_deref().expect("a map");
        let bytes = [map, &segment.uri]
            .map(|file| ask(&weir, file).body)
            .concat();
        let frames = Frames::in_bytes(Media::H264Aac, &bytes, "mp4");
        assert!(!frames.0.is_empty(), "{}", segment.uri);
    }
}

#[test]
fn frames_that_are_all_dated_alike_are_bounded() {
    let tape = Tape::of(Media::VideoOnly).times(40, 8_000).every(0);
    let (weir, _) = published(&tape.0);
    let bytes = metric_becomes(&weir, "segment_bytes", |bytes| bytes > 0);
    assert!(bytes <= 8 << 20, "{bytes}");
}

#[test]
fn what_does_not_fit_goes() {
    let weir = always(&["--hls-max-size", "1MiB", "--hls-window", "1h"]);
    let mut script = Script::begin(&weir, "s");
    let tape = Tape::of(Media::H264Aac).times(20, 8_000);
    script.send(&tape.0);
    script.end();
    let list = listed(&weir, "s-av.m3u8", |list| list.is_ended);
    assert_order(&weir, "the rest");
    assert!(
        list.duration() < 40.0 && list.segments.len() > 2,
        "{}",
        list.duration()
    );
    metric_becomes(&weir, "segment_bytes", |bytes| {
        bytes > 0 && bytes <= 2 << 20
    });
    // what went is not found
    let gone = ask(&weir, &format!("s-av-{}.m4s", list.media_sequence - 1));
    assert_eq!(gone.head.status, 404);
}

#[test]
fn a_stream_without_key_frames_begins_in_the_end() {
    let weir = always(&["--hls-longest-segment", "2s"]);
    let tape = Tape::of(Media::BaselineAac).pictures().without_marks();
    let mut script = Script::begin(&weir, "s");
    weir.publishing("s");
    let address = weir.address("http");
    let asked = thread::spawn(move || http::request(address, "GET", "/live/s-av.m3u8"));
    // frames go on at their pace until somebody believes that no key frame comes
    let (mut sent, mut round) = (0, 0);
    while !asked.is_finished() {
        let tags = tape.clone().later(round * 8_000).0;
        script.send(&tags[sent..sent + 1]);
        sent = (sent + 1) % tags.len();
        round += u32::from(sent == 0);
        thread::sleep(Duration::from_millis(20));
    }
    let answer = asked.join().expect("an answer");
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    let list = assert_order(&weir, "no key frames");
    assert!(!list.is_independent, "{list:?}");
    script.end();
}

#[test]
fn requests_for_what_is_not_there() {
    let weir = always(&[]);
    let mut script = Script::begin(&weir, "s");
    script.send(&Tape::of(Media::H264Aac).0);
    listed(&weir, "s-av.m3u8", |list| list.segments.len() > 2);
    let list = listing(&weir, "s-av.m3u8");
    let (open, max) = (list.next_number(), u64::MAX);
    let mut client = Client::connect(weir.address("http"));
    let mut status = |path: &str| client.request("GET", path, &[]).head.status;
    let files = [
        // the past and the future
        ("s-av-1.m4s".to_owned(), 404),
        ("s-av-0.mp4".to_owned(), 404),
        (format!("s-av-{}.mp4", open + 1), 404),
        (format!("s-av-{}.m4s", list.media_sequence - 1), 404),
        (format!("s-av-{}.m4s", open + 2), 404),
        (format!("s-av-{}.99.m4s", open - 1), 404),
        (format!("s-av-{open}.99.m4s"), 404),
        (format!("s-av-{}.1.m4s", open + 1), 404),
        (format!("s-{open}.ts"), 404),
        (format!("s-{open}.key"), 404),
        // huge numbers
        (format!("s-av-{max}.m4s"), 404),
        (format!("s-av-{max}.4294967295.m4s"), 404),
        (format!("s-{max}.ts"), 404),
        (format!("s-av-{max}.mp4"), 404),
        (format!("s-av-{max}0.m4s"), 404),
        // directives
        ("s-av.m3u8?_HLS_msn=1".to_owned(), 200),
        (format!("s-av.m3u8?_HLS_msn={}", open - 1), 200),
        (format!("s-av.m3u8?_HLS_msn={}", open + 2), 400),
        (format!("s-av.m3u8?_HLS_msn={max}"), 400),
        (format!("s-av.m3u8?_HLS_msn={max}&_HLS_part={max}"), 400),
        (format!("s-av.m3u8?_HLS_msn={max}0"), 400),
        ("s-av.m3u8?_HLS_msn=-1".to_owned(), 400),
        ("s-av.m3u8?_HLS_msn=".to_owned(), 400),
        ("s-av.m3u8?_HLS_part=1".to_owned(), 400),
        ("s-av.m3u8?_HLS_skip=maybe".to_owned(), 400),
        ("s-av.m3u8?token=%%%&&&==".to_owned(), 200),
        // other streams
        ("t.m3u8".to_owned(), 404),
        ("t-av.m3u8?_HLS_msn=7".to_owned(), 404),
        (format!("t-av-{open}.m4s"), 404),
        ("t.mpd".to_owned(), 404),
        // other names of what is there, and of what is not
        (format!("s-av-0{}.m4s", open - 1), 404),
        (format!("s-av-+{}.m4s", open - 1), 404),
        (format!("s-q-{}.m4s", open - 1), 404),
        ("s-av-%00.m4s".to_owned(), 404),
        ("-av.m3u8".to_owned(), 404),
        (".m3u8".to_owned(), 404),
        ("..%2fs.m3u8".to_owned(), 404),
        ("..%2f..%2fetc%2fpasswd.m3u8".to_owned(), 404),
        ("..%5cs.m3u8".to_owned(), 404),
    ];
    for (file, wanted) in &files {
        let found = status(&format!("/live/{file}"));
        // a slash that hides in a name is no request
        let is_trick = file.starts_with("..%2f") && found == 400;
        assert!(found == *wanted || is_trick, "{file}: {found}");
    }
    for path in [
        "/../live/s.m3u8",
        "/live/../live/s.m3u8",
        "/live/%2e%2e/live/s.m3u8",
        "/live/s.m3u8/",
        "/s.m3u8",
    ] {
        let answer = ask_path(&weir, path);
        assert!(matches!(answer, 400 | 404), "{path}: {answer}");
    }
    let long = format!("s-{}.m3u8", "v".repeat(5_000));
    let answer = ask(&weir, &long).head.status;
    assert!((400..500).contains(&answer), "{answer}");
    // only what can be read can be asked for
    for method in ["PUT", "POST", "DELETE"] {
        let mut client = Client::connect(weir.address("http"));
        let head = client
            .request(method, "/live/s-av.m3u8", &[("content-length", "0")])
            .head;
        assert_eq!(head.status, 405, "{method}");
    }
    assert_eq!(metric(&weir, "segment_waiting"), 0);
    script.end();
    weir.assert_well();
}

fn ask_path(weir: &Weir, path: &str) -> u16 {
    http::request(weir.address("http"), "GET", path).head.status
}
