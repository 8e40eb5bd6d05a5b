//! What all modules need of a server.
//!
//! Owns: its start, requests for files of the application `live`, lists as they are read, gauges. Does not: judge.

use std::thread;
use std::time::Duration;

use weir_hls::lint::{self, Listing};
use weir_testkit::http::{self, Answer};
use weir_testkit::{Media, PATIENCE, Process, Tool, Weir, publish};

/// Time between two questions where no event can be awaited.
const POLL: Duration = Duration::from_millis(20);

/// A server.
pub(crate) fn weir(args: &[&str]) -> Weir {
    Weir::start(env!("CARGO_BIN_EXE_weir"), args)
}

/// A server that makes segments from the first frame on.
pub(crate) fn always(args: &[&str]) -> Weir {
    weir(&[&["--hls-when", "always"], args].concat())
}

/// The ffmpeg that can publish `media`.
pub(crate) fn tool_for(media: Media) -> Tool {
    match media.is_enhanced() {
        true => Tool::FfmpegEnhanced,
        false => Tool::Ffmpeg,
    }
}

/// Publishes `media` as `live/name` over and over, at its pace.
pub(crate) fn endless(weir: &Weir, media: Media, name: &str) -> Process {
    let options = ["-re", "-stream_loop", "-1"];
    publish::ffmpeg_with(tool_for(media), media, &options, &weir.rtmp(name))
}

/// Publishes `media` as `live/name` once, and waits until all of it is a list that has ended.
pub(crate) fn whole(weir: &Weir, media: Media, name: &str) {
    let pace: &[&str] = match media {
        // a publisher is given a second of the wall clock for its pictures
        Media::AudioOnly => &["-readrate", "2"],
        _ => &["-readrate", "4"],
    };
    publish::ffmpeg_with(tool_for(media), media, pace, &weir.rtmp(name)).succeed();
    listed(weir, &format!("{name}-av.m3u8"), |list| list.is_ended);
}

/// What an ffmpeg complained of. In a live list of fragmented MP4 it reads the map again with every reload, and says so,
/// whatever server it is; and of a transport stream of a few packets it says that they are few.
pub(crate) fn complaints(process: &Process) -> String {
    let said = process.said();
    let is_known = |line: &&str| {
        line.contains("Found duplicated MOOV Atom. Skipped it")
            || line.contains("Could not detect TS packet size")
            || line.trim_start().starts_with("Last message repeated")
    };
    let lines: Vec<_> = said.lines().filter(|line| !is_known(line)).collect();
    lines.join("\n")
}

/// The address of a file of the application.
pub(crate) fn url(weir: &Weir, file: &str) -> String {
    format!("http://{}/live/{file}", weir.address("http"))
}

/// The answer to a request for a file, on a connection of its own.
pub(crate) fn ask(weir: &Weir, file: &str) -> Answer {
    http::request(weir.address("http"), "GET", &format!("/live/{file}"))
}

/// A file that must be there.
#[track_caller]
pub(crate) fn fetch(weir: &Weir, file: &str) -> Vec<u8> {
    let answer = ask(weir, file);
    assert_eq!(answer.head.status, 200, "{file}: {}", answer.text());
    answer.body
}

/// A playlist that must be there.
#[track_caller]
pub(crate) fn text(weir: &Weir, file: &str) -> String {
    String::from_utf8(fetch(weir, file)).expect("playlists are text")
}

/// What a playlist says, which breaks no rule.
#[track_caller]
pub(crate) fn listing(weir: &Weir, file: &str) -> Listing {
    let text = text(weir, file);
    assert_clean(file, &lint::check(&text), &text);
    Listing::parse(&text).0
}

/// Asks for a list until it is as wanted.
#[track_caller]
pub(crate) fn listed(weir: &Weir, file: &str, wanted: impl Fn(&Listing) -> bool) -> Listing {
    let mut last = String::new();
    for _ in 0..PATIENCE.as_millis() / POLL.as_millis() {
        let answer = ask(weir, file);
        if answer.head.status == 200 {
            let found = Listing::parse(&answer.text()).0;
            if wanted(&found) {
                return found;
            }
        }
        last = answer.text();
        thread::sleep(POLL);
    }
    panic!("{file} never was as wanted: {last}")
}

/// Fails when a "must" of the standard is broken.
#[track_caller]
pub(crate) fn assert_clean(what: &str, findings: &[lint::Finding], text: &str) {
    let broken: Vec<_> = findings.iter().filter(|one| one.rule.is_must()).collect();
    assert!(broken.is_empty(), "{what}: {broken:?}\n{text}");
}

/// The value of a metric, all its labels together.
pub(crate) fn metric(weir: &Weir, name: &str) -> u64 {
    let text = weir.api("GET", "/metrics").text();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let values = lines.filter_map(|line| {
        let (known, value) = line.rsplit_once(' ')?;
        known.contains(name).then(|| value.parse::<f64>().ok())?
    });
    let values: Vec<_> = values.collect();
    assert!(
        !values.is_empty() || name == "segment_answers",
        "no {name}: {text}"
    );
    values.iter().sum::<f64>() as u64
}

/// Waits until a metric has a value.
#[track_caller]
pub(crate) fn metric_becomes(weir: &Weir, name: &str, wanted: impl Fn(u64) -> bool) -> u64 {
    for _ in 0..PATIENCE.as_millis() / POLL.as_millis() {
        let value = metric(weir, name);
        if wanted(value) {
            return value;
        }
        thread::sleep(POLL);
    }
    let all = weir.api("GET", "/metrics").text();
    let lines: Vec<_> = all
        .lines()
        .filter(|line| line.contains("segment_"))
        .collect();
    panic!("{name} stays at {}: {lines:#?}", metric(weir, name))
}

/// The bytes of all listed segments, each behind its map where it has one, with its length in seconds.
pub(crate) fn segments(weir: &Weir, list: &Listing) -> Vec<(Vec<u8>, f64)> {
    let with_map = list.segments.iter().map(|segment| {
        let map = segment.map.as_deref().map(|map| fetch(weir, map));
        let mut bytes = map.unwrap_or_default();
        bytes.extend(fetch(weir, &segment.uri));
        (bytes, segment.duration)
    });
    with_map.collect()
}
