//! HLS, low-latency HLS, DASH and MPEG-TS through a cluster: published at one proxy, watched at the other.
//!
//! Proxies know no media and share nothing but their secret here: every address that one of them writes must lead the other
//! one to the same origin.

#[path = "cluster_foreign/walk.rs"]
mod walk;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;

use weir_hls::lint::Listing;
use weir_testkit::cluster::{Member, Settings};
use weir_testkit::process::Process;
use weir_testkit::{Cluster, Media, Tool, Weir, capture, http, publish};

const BINARY: &str = env!("CARGO_BIN_EXE_weir");

/// What is watched: pictures and sound that all forms can carry.
const MEDIA: Media = Media::H264Aac;

/// How many frames of published sound may lie before the first picture and so in no segment, or behind the last one.
const EDGE: usize = 6;

/// Ids that say where they lead, the same at all proxies.
const SIGNED: [&str; 4] = [
    "--proxy-routing",
    "signed",
    "--proxy-routing-secret",
    "a-secret-of-more-than-sixteen-bytes",
];

/// Ids that Redis knows.
const STORED: [&str; 2] = ["--proxy-routing", "stored"];

/// Two proxies with one secret; origins that make segments from the first frame on.
fn cluster(origins: usize) -> Cluster {
    cluster_with(origins, &SIGNED, &[])
}

fn cluster_with(origins: usize, routing: &[&str], origin_args: &[&str]) -> Cluster {
    Cluster::start_with(
        BINARY,
        &Settings {
            origins,
            proxies: 2,
            redis: true,
            origin_args: &[&["--hls-when", "always"], origin_args].concat(),
            proxy_args: routing,
            ..Settings::default()
        },
    )
}

/// Publishes `live/name` through the first proxy, over and over, and waits until an origin has it; gives that too.
fn endless(cluster: &Cluster, name: &str, pace: &[&str]) -> (Process, usize) {
    let options = [pace, &["-stream_loop", "-1"]].concat();
    let url = cluster.proxy(0).rtmp(name);
    let publisher = publish::ffmpeg_with(Tool::Ffmpeg, MEDIA, &options, &url);
    (publisher, cluster.origin_of(name))
}

fn proxies(cluster: &Cluster) -> [SocketAddr; 2] {
    [0, 1].map(|number| cluster.proxy(number).listener("http"))
}

fn origin(cluster: &Cluster, number: usize) -> SocketAddr {
    cluster.origin(number).address("http")
}

/// A body that must be there.
#[track_caller]
fn fetch(host: SocketAddr, path: &str) -> Vec<u8> {
    let answer = http::request(host, "GET", path);
    assert_eq!(answer.head.status, 200, "{path}: {}", answer.text());
    answer.body
}

/// A playlist that must be there.
#[track_caller]
fn listing(host: SocketAddr, path: &str) -> Listing {
    let text = String::from_utf8(fetch(host, path)).expect("playlists are text");
    Listing::parse(&text).0
}

/// The ids in addresses.
fn ids<'a>(uris: impl IntoIterator<Item = &'a String>, parameter: &str) -> BTreeSet<&'a str> {
    let begins = format!("{parameter}=");
    let id = |uri: &'a String| uri.split_once(&begins).unwrap_or_else(|| panic!("{uri}")).1;
    uris.into_iter().map(id).collect()
}

/// The first address in a list that ends so, whatever its query.
fn named(proxy: &weir_testkit::Proxy, list: &str, ending: &str) -> String {
    let found = walk::all(proxy, list);
    let mut found = found.into_iter();
    let wanted = |uri: &String| walk::bare(uri).ends_with(ending);
    found
        .find(wanted)
        .unwrap_or_else(|| panic!("no {ending} in {list}"))
}

/// What the templates of a manifest name: init segments, and the first segment of each track.
fn templates(manifest: &str) -> Vec<String> {
    let value = |text: &str, name: &str| {
        let (_, rest) = text
            .split_once(&format!(" {name}=\""))
            .expect("a template has it");
        rest.split('"')
            .next()
            .unwrap_or_default()
            .replace("&amp;", "&")
    };
    let mut uris = Vec::new();
    for template in manifest.split("<SegmentTemplate").skip(1) {
        let first = value(template, "startNumber");
        uris.push(format!("/live/{}", value(template, "initialization")));
        let media = value(template, "media").replace("$Number$", &first);
        uris.push(format!("/live/{media}"));
    }
    uris
}

fn walks(routing: &[&str], parameter: &str) {
    let cluster = cluster_with(2, routing, &[]);
    let (_publisher, at) = endless(&cluster, "s", &["-re"]);
    let second = cluster.proxy(1);
    let mut found = BTreeSet::new();
    for list in ["s.m3u8", "s-av.m3u8", "s-ts.m3u8"] {
        found.extend(walk::all(second, &format!("/live/{list}")));
    }
    found.extend(templates(&walk::list(second, "/live/s.mpd")));
    assert_eq!(
        ids(&found, parameter).len(),
        1,
        "one id for all viewers: {found:?}"
    );
    let path = |uri: &String| walk::bare(uri).to_owned();
    let names: BTreeSet<String> = found.iter().map(path).collect();
    for ending in ["-av.m3u8", "-a.m3u8", ".mp4", ".0.m4s", ".m4s", ".ts"] {
        assert!(
            names.iter().any(|name| name.ends_with(ending)),
            "{ending}: {names:?}"
        );
    }
    let lists = |uri: &&String| walk::bare(uri).ends_with(".m3u8");
    for uri in found.iter().filter(|uri| !lists(uri)) {
        let own = fetch(origin(&cluster, at), walk::bare(uri));
        for (number, host) in proxies(&cluster).into_iter().enumerate() {
            assert!(fetch(host, uri) == own, "{uri} differs at proxy {number}");
        }
    }
    for uri in found.iter().filter(lists) {
        for host in proxies(&cluster) {
            let text = String::from_utf8(fetch(host, uri)).expect("text");
            assert!(!text.contains("127.0.0.1"), "an inside address: {text}");
        }
    }
    // the other proxy writes the same id
    let others = walk::all(cluster.proxy(0), "/live/s.m3u8");
    assert_eq!(ids(&others, parameter), ids(&found, parameter));
    cluster.assert_well(&[]);
}

#[test]
fn every_address_of_every_list_is_the_origins_at_both_proxies() {
    walks(&SIGNED, "weir");
}

#[test]
fn the_same_with_ids_that_are_stored() {
    walks(&STORED, "spbhid");
}

/// Each file without its id: it is its stream's, unless a stream has the file's whole name.
#[test]
fn files_without_an_id_are_found_by_their_stream() {
    let cluster = cluster(2);
    // a second stream, so that there is one at each origin, or two at one: neither matters
    let (_first, at) = endless(&cluster, "cam", &["-re"]);
    let names = walk::all(cluster.proxy(1), "/live/cam.m3u8");
    let ts = named(cluster.proxy(1), "/live/cam-ts.m3u8", ".ts");
    for uri in names.iter().chain([&ts]) {
        let path = walk::bare(uri);
        for host in proxies(&cluster) {
            let body = fetch(host, path);
            if !path.ends_with(".m3u8") {
                assert!(body == fetch(origin(&cluster, at), path), "{path}");
            }
        }
    }
    let is_multivariant = |text: &str| text.contains("#EXT-X-STREAM-INF");
    let list = |number: usize| walk::list(cluster.proxy(number), "/live/cam-v.m3u8");
    assert!(!is_multivariant(&list(1)), "{}", list(1));
    let (_second, _) = endless(&cluster, "cam-v", &["-re"]);
    for number in [0, 1] {
        assert!(is_multivariant(&list(number)), "{}", list(number));
        assert!(
            list(number).contains("cam-v-av.m3u8?weir="),
            "{}",
            list(number)
        );
    }
    cluster.assert_well(&[]);
}

#[test]
fn players_wait_for_what_is_to_come_at_either_proxy() {
    let cluster = cluster(2);
    let (_publisher, _) = endless(&cluster, "s", &["-readrate", "2"]);
    let list = named(cluster.proxy(1), "/live/s.m3u8", "-av.m3u8");
    let mut next = listing(cluster.proxy(1).listener("http"), &list).next_number();
    // a segment, and a part of the one after it, by turns at each
    for host in proxies(&cluster).into_iter().cycle().take(6) {
        let whole = listing(host, &format!("{list}&_HLS_msn={next}"));
        assert!(whole.next_number() > next, "{whole:?}");
        next = whole.next_number();
        let parts = listing(host, &format!("{list}&_HLS_msn={next}&_HLS_part=0"));
        assert!(
            !parts.open_parts.is_empty() || parts.next_number() > next,
            "{parts:?}"
        );
        next = next.max(parts.next_number());
        // the list's own words for what comes next
        let hint = parts.hint.clone().expect("it has parts");
        assert!(hint.contains("?weir="), "{hint}");
        assert!(!fetch(host, &format!("/live/{hint}")).is_empty());
        let reports = parts.reports.iter();
        assert!(reports.clone().count() > 0, "{parts:?}");
        for report in reports {
            listing(
                host,
                &format!("/live/{}&_HLS_msn={}", report.uri, report.last_segment),
            );
        }
    }
    // there is enough now to leave something out
    let [host, _] = proxies(&cluster);
    let update = listing(host, &format!("{list}&_HLS_msn={next}&_HLS_skip=YES"));
    assert!(update.skipped > 0, "{update:?}");
    let far = format!("{list}&_HLS_msn={}", next + 100);
    let answer = http::request(host, "GET", &far);
    assert_eq!(answer.head.status, 400, "{}", answer.text());
    cluster.assert_well(&[]);
}

/// Fields that say what an answer is.
const SAID: [&str; 7] = [
    "cache-control",
    "content-type",
    "content-length",
    "content-range",
    "accept-ranges",
    "retry-after",
    "vary",
];

#[test]
fn what_the_origin_says_of_a_file_is_said_at_the_proxies() {
    let cluster = cluster(2);
    let (_publisher, at) = endless(&cluster, "s", &["-re"]);
    let origin = origin(&cluster, at);
    let list = named(cluster.proxy(1), "/live/s.m3u8", "-av.m3u8");
    let init = named(cluster.proxy(1), "/live/s.m3u8", ".mp4");
    let id = init.split_once('?').expect("an id").1;
    let gone = format!("/live/s-av-1.m4s?{id}");
    for (method, uri, fields, status) in [
        ("GET", &init, None, 200),
        ("HEAD", &init, None, 200),
        ("GET", &init, Some(("Range", "bytes=1-9")), 206),
        ("GET", &init, Some(("Range", "bytes=9999999-")), 416),
        ("GET", &gone, None, 404),
    ] {
        let fields: Vec<_> = fields.into_iter().collect();
        let ask = |host, path: &str| http::Client::connect(host).request(method, path, &fields);
        let own = ask(origin, walk::bare(uri));
        assert_eq!(own.head.status, status, "{uri}");
        for host in proxies(&cluster) {
            let got = ask(host, uri);
            assert_eq!((got.head.status, &got.body), (status, &own.body), "{uri}");
            for name in SAID {
                assert_eq!(
                    got.head.header(name),
                    own.head.header(name),
                    "{name} of {uri}"
                );
            }
        }
    }
    // a list is another text than the origin's, but changes when that does
    let [host, other] = proxies(&cluster);
    let answer = http::request(host, "GET", &list);
    let tag = answer.head.header("etag").expect("a validator").to_owned();
    assert!(tag.starts_with("W/"), "{tag}");
    assert!(
        answer
            .head
            .header("cache-control")
            .is_some_and(|cache| cache.contains("max-age"))
    );
    let mut again = http::Client::connect(other);
    let again = again.request(
        "GET",
        &list,
        &[("If-None-Match", &tag), ("Accept-Encoding", "gzip")],
    );
    match again.head.status {
        304 => assert_eq!(again.head.header("etag"), Some(tag.as_str())),
        status => assert_ne!(
            (status, again.head.header("etag")),
            (200, Some(tag.as_str()))
        ),
    }
    cluster.assert_well(&[]);
}

/// A segment under way comes through as it grows.
#[test]
fn a_segment_of_dash_comes_in_chunks_as_it_is_made() {
    let cluster = cluster(2);
    let (_publisher, at) = endless(&cluster, "s", &["-re"]);
    let list = named(cluster.proxy(1), "/live/s.m3u8", "-av.m3u8");
    let [first, second] = proxies(&cluster);
    let id = list.split_once('?').expect("an id").1.to_owned();
    let next = listing(first, &list).next_number() + 1;
    let path = format!("/live/s-v-{next}.m4s?{id}");
    let mut client = http::Client::connect(second);
    let head = client.begin("GET", &path, &[]);
    assert_eq!(
        (head.status, head.header("transfer-encoding")),
        (200, Some("chunked"))
    );
    let mut chunks = Vec::new();
    while let Some(chunk) = client.chunk().expect("a chunk") {
        chunks.push(chunk);
    }
    assert!(chunks.len() > 1, "it came at once");
    assert!(chunks.concat() == fetch(origin(&cluster, at), walk::bare(&path)));
    // the connection goes on
    assert_eq!(client.request("GET", &list, &[]).head.status, 200);
    cluster.assert_well(&[]);
}

/// The hashes of the frames of one stream, in ffmpeg's lines: stream, times, duration, size, hash.
fn hashes(frames: &[String], stream: &str) -> Vec<String> {
    let fields = frames
        .iter()
        .map(|line| line.split(',').map(str::trim).collect::<Vec<_>>());
    let own = fields.filter(|fields| fields.first() == Some(&stream));
    own.filter_map(|fields| fields.last().map(|hash| (*hash).to_owned()))
        .collect()
}

/// Whether `played` is all that was published, but for [`EDGE`] frames at each end.
fn is_run(published: &[String], played: &[String]) -> bool {
    let begins = (0..=EDGE.min(published.len())).filter_map(|skipped| published.get(skipped..));
    played.len() + 2 * EDGE >= published.len()
        && begins
            .into_iter()
            .any(|rest| !played.is_empty() && rest.starts_with(played))
}

/// What ffmpeg gets of a file, from the beginning of what there is to its end.
fn played(host: SocketAddr, (file, tool): (&str, Tool)) -> Vec<String> {
    let begin: &[&str] = match file.ends_with(".m3u8") {
        true => &["-live_start_index", "0"],
        false => &[],
    };
    capture::frames(tool, begin, &format!("http://{host}/live/{file}"), &[])
}

#[test]
fn ffmpeg_plays_what_was_published() {
    let cluster = cluster(2);
    let url = cluster.proxy(0).rtmp("s");
    let publisher = publish::ffmpeg_with(Tool::Ffmpeg, MEDIA, &["-re"], &url);
    let at = cluster.origin_of("s");
    let [_, second] = proxies(&cluster);
    // lists as they grow; ffmpeg does not notice the end of a manifest that it saw before
    let lists = [
        ("s.m3u8", Tool::Ffmpeg),
        ("s.m3u8", Tool::FfmpegEnhanced),
        ("s-ts.m3u8", Tool::Ffmpeg),
    ];
    let live = thread::scope(|scope| {
        let players = lists.map(|list| scope.spawn(move || played(second, list)));
        publisher.succeed();
        players.map(|player| player.join().expect("it plays"))
    });
    let manifest = ("s.mpd", Tool::FfmpegEnhanced);
    let of_manifest = (manifest, played(second, manifest));
    let source = MEDIA.published_file(Tool::Ffmpeg).display().to_string();
    let published = capture::frames(Tool::Ffmpeg, &[], &source, &[]);
    for (what, frames) in lists.into_iter().zip(live).chain([of_manifest]) {
        // from the list that has ended, at the origin itself
        let whole = played(origin(&cluster, at), what);
        for stream in ["0", "1"] {
            let (frames, whole) = (hashes(&frames, stream), hashes(&whole, stream));
            assert!(
                frames == whole,
                "{what:?}: {} of {}",
                frames.len(),
                whole.len()
            );
            // MPEG-TS has its frames in other words
            if what.0 != "s-ts.m3u8" {
                let expected = hashes(&published, stream);
                assert!(is_run(&expected, &frames), "{what:?}, stream {stream}");
            }
        }
    }
    cluster.assert_well(&[]);
}

/// Keys are fetched as segments are.
#[test]
fn what_is_encrypted_plays() {
    let cluster = cluster_with(2, &SIGNED, &["--hls-encryption", "aes-128"]);
    let url = cluster.proxy(0).rtmp("s");
    publish::ffmpeg(Tool::Ffmpeg, MEDIA, &url).succeed();
    let [first, second] = proxies(&cluster);
    let key = named(cluster.proxy(1), "/live/s.m3u8", ".key");
    assert_eq!(fetch(first, &key).len(), 16);
    let options = ["-live_start_index", "0", "-allowed_extensions", "ALL"];
    let input = format!("http://{second}/live/s.m3u8");
    let frames = capture::frames(Tool::Ffmpeg, &options, &input, &[]);
    let source = MEDIA.published_file(Tool::Ffmpeg).display().to_string();
    let published = capture::frames(Tool::Ffmpeg, &[], &source, &[]);
    for stream in ["0", "1"] {
        assert!(is_run(
            &hashes(&published, stream),
            &hashes(&frames, stream)
        ));
    }
    cluster.assert_well(&[]);
}

#[test]
fn a_lost_frame_is_noticed() {
    let source = MEDIA.published_file(Tool::Ffmpeg).display().to_string();
    let published = hashes(&capture::frames(Tool::Ffmpeg, &[], &source, &[]), "0");
    let mut played = published.clone();
    assert!(is_run(&published, &played));
    played.remove(played.len() / 2);
    assert!(!is_run(&published, &played));
}

/// The endless transport stream of `live/name`, kept in a file.
fn record(host: SocketAddr, name: &str, file: &Path) -> Process {
    let mut command = Tool::Curl.command(["-sSNf", "-o"]);
    Process::spawn(
        command
            .arg(file)
            .arg(format!("http://{host}/live/{name}.ts")),
    )
}

#[test]
fn a_transport_stream_goes_in_at_one_proxy_and_comes_out_at_the_other() {
    let cluster = cluster(1);
    let folder = tempfile::tempdir().expect("a folder");
    let [source, near, far] =
        ["source.ts", "near.ts", "far.ts"].map(|name| folder.path().join(name));
    let mut command = Tool::Ffmpeg.command(["-nostdin", "-loglevel", "warning", "-i"]);
    command
        .arg(MEDIA.file())
        .args(["-c", "copy", "-f", "mpegts"]);
    Process::spawn(command.arg(&source)).succeed();

    let [first, second] = proxies(&cluster);
    // they wait for the stream, one at the origin and one through the second proxy
    let viewers = [
        record(origin(&cluster, 0), "t", &near),
        record(second, "t", &far),
    ];
    let opened = |weir: &Weir| {
        (0..viewers.len()).fold(0, |after, _| {
            weir.logged_after(after, "session opened", "http-ts").0
        })
    };
    opened(cluster.origin(0));
    let mut command = Tool::Ffmpeg.command(["-nostdin", "-loglevel", "warning", "-re", "-i"]);
    command
        .arg(&source)
        .args(["-c", "copy", "-f", "mpegts", "-method", "POST"]);
    Process::spawn(command.arg(format!("http://{first}/live/t.ts"))).succeed();
    for viewer in &viewers {
        viewer.succeed();
    }
    let [near_bytes, far_bytes] = [&near, &far].map(|file| std::fs::read(file).expect("recorded"));
    assert!(
        near_bytes == far_bytes,
        "{} and {} bytes",
        near_bytes.len(),
        far_bytes.len()
    );
    let count =
        |file: &Path| capture::frames(Tool::Ffmpeg, &[], &file.display().to_string(), &[]).len();
    assert_eq!(count(&far), count(&source));
    cluster.assert_well(&[]);
}

/// The number of a segment of MPEG-TS in a line of ffmpeg's.
fn opened(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once("Opening '")?;
    let name = walk::bare(rest.split('\'').next()?).rsplit('/').next()?;
    name.strip_prefix("s-")?.strip_suffix(".ts")?.parse().ok()
}

/// The origin dies, its publisher comes back at another: lists go on with higher numbers, and no player is told that the
/// stream is over.
#[test]
fn players_go_on_at_another_origin_when_theirs_is_killed() {
    let cluster = cluster(2);
    let (first, at) = endless(&cluster, "s", &["-re"]);
    let [_, host] = proxies(&cluster);
    let list = named(cluster.proxy(1), "/live/s.m3u8", "-av.m3u8");
    let before = listing(host, &list).next_number();
    let mut command = Tool::Ffmpeg.command(["-nostdin", "-loglevel", "info", "-nostats", "-i"]);
    command.arg(format!("http://{host}/live/s-ts.m3u8"));
    let player = Process::spawn(command.args(["-c", "copy", "-f", "null", "-"]));
    player.line("a segment", |line| opened(line).is_some());

    cluster.kill(Member::Origin(at));
    first.wait();
    // both with an id of the dead origin and by the stream's name, before its publisher is back
    let lists = [list.clone(), "/live/s.mpd".to_owned()];
    let waiting = lists.map(|path| {
        thread::spawn(move || {
            loop {
                let answer = http::request(host, "GET", &path);
                match answer.head.status {
                    // a player asks again
                    503 => assert!(answer.head.header("retry-after").is_some()),
                    status => return (status, answer.text()),
                }
            }
        })
    });
    let (_second, now_at) = endless(&cluster, "s", &["-re"]);
    assert_ne!(now_at, at);
    let [list_now, manifest] = waiting.map(|waiting| waiting.join().expect("answered"));
    assert_eq!(list_now.0, 200, "{}", list_now.1);
    assert_eq!(manifest.0, 200, "{}", manifest.1);
    let begins = Listing::parse(&list_now.1).0;
    assert!(begins.media_sequence >= before, "{before} and {begins:?}");
    let map = begins.segments[0].map.clone().expect("a map");
    for host in proxies(&cluster) {
        fetch(host, &format!("/live/{map}"));
        // an address of before leads to the new origin's list
        assert!(listing(host, &list).media_sequence >= before);
    }
    player.line("a new segment", |line| {
        opened(line).is_some_and(|number| number >= begins.media_sequence)
    });
    assert!(!player.has_ended(), "{}", player.said());
    cluster.assert_well(&[Member::Origin(at)]);
}
