//! HTTP-TS: what is published comes out of an endless transport stream, and what is posted as one goes in.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use weir_testkit::process::Process;
use weir_testkit::{Media, Tool, Viewer, Weir, http, publish};

fn weir() -> Weir {
    Weir::start(env!("CARGO_BIN_EXE_weir"), &[])
}

fn ts(weir: &Weir, name: &str) -> String {
    format!("http://{}/live/{name}.ts", weir.address("http"))
}

/// A player that keeps what comes.
struct Recorder {
    process: Process,
    folder: TempDir,
}

impl Recorder {
    fn file(&self) -> PathBuf {
        self.folder.path().join("stream.ts")
    }

    fn start(make: impl FnOnce(&Path) -> Command) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let process = Process::spawn(&mut make(&folder.path().join("stream.ts")));
        Self { process, folder }
    }

    fn curl(url: &str) -> Self {
        Self::start(|file| {
            let mut command = Tool::Curl.command(["-sSNf", "-o"]);
            command.arg(file).arg(url);
            command
        })
    }

    /// An ffmpeg that copies what it demuxes.
    fn ffmpeg(tool: Tool, url: &str) -> Self {
        Self::start(|file| {
            let mut command = tool.command(["-nostdin", "-loglevel", "warning", "-i", url]);
            command
                .args(["-map", "0", "-c", "copy", "-f", "mpegts"])
                .arg(file);
            command
        })
    }

    /// What it has got when the stream is over.
    fn frames(&self, media: Media) -> Frames {
        self.process.succeed();
        Frames::of(&self.file(), media)
    }
}

/// A coded frame: presentation and decode times in milliseconds, and the hash of its payload as all containers have it.
type Frame = (i64, i64, String);

/// The frames of each medium in order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Frames(BTreeMap<String, Vec<Frame>>);

impl Frames {
    /// Reads a file with ffmpeg. Delimiters and parameter sets, which containers keep in different places, are left out, and
    /// so are the heads that transport streams put before raw AAC.
    fn of(file: &Path, media: Media) -> Self {
        let is_ts = file.extension().is_some_and(|ending| ending == "ts");
        let video = match media {
            Media::HevcAac => ("hevc_mp4toannexb", "filter_units=remove_types=32-35|39-40"),
            _ => ("h264_mp4toannexb", "filter_units=remove_types=6-9"),
        };
        let mut command = Tool::FfmpegEnhanced.command(["-nostdin", "-loglevel", "warning"]);
        command.args(["-copyts", "-i"]).arg(file);
        command.args(["-map", "0:v?", "-map", "0:a?", "-c", "copy", "-copyinkf"]);
        if media != Media::AudioOnly {
            let filters = match is_ts {
                true => video.1.to_owned(),
                false => format!("{},{}", video.0, video.1),
            };
            command.args(["-bsf:v", &filters]);
        }
        if is_ts && !matches!(media, Media::VideoOnly | Media::H264Mp3) {
            command.args(["-bsf:a", "aac_adtstoasc"]);
        }
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("frames");
        command
            .args(["-f", "framehash", "-hash", "md5", "-y"])
            .arg(&out);
        Process::spawn(&mut command).succeed();
        Self::parse(&fs::read_to_string(out).expect("ffmpeg wrote it"))
    }

    fn parse(text: &str) -> Self {
        let value = |prefix: &str, stream: &str| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{prefix} {stream}: ")));
            line.expect("ffmpeg tells it").to_owned()
        };
        let mut frames = BTreeMap::<String, Vec<Frame>>::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            let base = value("#tb", fields[0]);
            let base: i64 = base
                .strip_prefix("1/")
                .and_then(|base| base.parse().ok())
                .expect("1/n");
            let time = |text: &str| text.parse::<i64>().expect("a number") * 1000 / base;
            let kind = value("#media_type", fields[0]);
            let frame = (time(fields[2]), time(fields[1]), fields[5].to_owned());
            frames.entry(kind).or_default().push(frame);
        }
        Self(frames)
    }

    /// All times from the first video frame's, else the first frame's.
    fn counted_from_zero(mut self) -> Self {
        let first = self.0.get("video").or_else(|| self.0.values().next());
        let zero = first
            .and_then(|frames| frames.first())
            .map_or(0, |frame| frame.1);
        for frame in self.0.values_mut().flatten() {
            frame.0 -= zero;
            frame.1 -= zero;
        }
        self
    }

    fn hashes(&self, kind: &str) -> Vec<&str> {
        let frames = self.0.get(kind).map(Vec::as_slice).unwrap_or_default();
        frames.iter().map(|frame| frame.2.as_str()).collect()
    }
}

/// How far times may differ, in milliseconds: FLV has whole ones, a transport stream ninetieths, of which ffmpeg makes its own
/// when sounds share a packet.
const TOLERANCE: i64 = 2;

#[track_caller]
fn assert_same(what: &str, published: &Frames, played: Frames) {
    let (published, played) = (
        published.clone().counted_from_zero(),
        played.counted_from_zero(),
    );
    for (kind, published_frames) in &published.0 {
        assert_eq!(
            published.hashes(kind),
            played.hashes(kind),
            "{what}: payloads of {kind}"
        );
        let played_frames = played.0.get(kind).map(Vec::as_slice).unwrap_or_default();
        for (number, (one, other)) in published_frames.iter().zip(played_frames).enumerate() {
            let off = (one.0 - other.0).abs().max((one.1 - other.1).abs());
            assert!(
                off <= TOLERANCE,
                "{what}: {kind} {number}: {one:?} and {other:?}"
            );
        }
    }
}

/// What `tool` publishes of `media` is what viewers of the transport stream get, all of it, who wait for it.
fn plays(media: Media, tool: Tool, players: &[Tool]) {
    let weir = weir();
    let url = ts(&weir, "s");
    let recorders: Vec<_> = std::iter::once(Recorder::curl(&url))
        .chain(players.iter().map(|player| Recorder::ffmpeg(*player, &url)))
        .collect();
    weir.players(recorders.len(), 0);
    publish::ffmpeg(tool, media, &weir.rtmp("s")).succeed();
    let published = Frames::of(&media.published_file(tool), media);
    for (index, recorder) in recorders.iter().enumerate() {
        assert_same(
            &format!("player {index}"),
            &published,
            recorder.frames(media),
        );
    }
    weir.assert_well();
}

#[test]
fn h264_with_b_frames_and_aac_are_played_as_published() {
    plays(
        Media::H264Aac,
        Tool::Ffmpeg,
        &[Tool::Ffmpeg, Tool::FfmpegEnhanced],
    );
}

#[test]
fn h265_is_played_as_published() {
    plays(
        Media::HevcAac,
        Tool::FfmpegEnhanced,
        &[Tool::FfmpegEnhanced],
    );
}

#[test]
fn mp3_is_played_as_published() {
    plays(Media::H264Mp3, Tool::Ffmpeg, &[Tool::Ffmpeg]);
}

#[test]
fn sound_alone_is_played_as_published() {
    plays(Media::AudioOnly, Tool::Ffmpeg, &[Tool::Ffmpeg]);
}

#[test]
fn the_comparison_finds_a_lost_frame_and_a_wrong_time() {
    let media = Media::H264Aac;
    let published = Frames::of(&media.published_file(Tool::Ffmpeg), media);
    let differs = |change: fn(&mut Vec<Frame>)| {
        let mut other = published.clone();
        change(other.0.get_mut("video").expect("has pictures"));
        std::panic::catch_unwind(|| assert_same("planted", &published, other)).is_err()
    };
    assert!(!differs(|_| {}));
    assert!(differs(|frames| drop(frames.remove(10))));
    assert!(differs(|frames| frames[10].0 += 5));
}

#[test]
fn gstreamer_plays_it() {
    let weir = weir();
    let url = ts(&weir, "gst");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pictures.h264");
    let pipeline = format!(
        "-q souphttpsrc location={url} ! tsdemux ! h264parse ! \
         video/x-h264,stream-format=byte-stream,alignment=au ! filesink location={}",
        file.display()
    );
    let player = Process::spawn(&mut Tool::Gst.command(pipeline.split_whitespace()));
    weir.players(1, 0);
    publish::ffmpeg(Tool::Ffmpeg, Media::VideoOnly, &weir.rtmp("gst")).succeed();
    player.succeed();
    let published = Frames::of(
        &Media::VideoOnly.published_file(Tool::Ffmpeg),
        Media::VideoOnly,
    );
    // an elementary stream has no times
    let mut command = Tool::FfmpegEnhanced.command(["-nostdin", "-loglevel", "error", "-i"]);
    let hashes = folder.path().join("hashes");
    command
        .arg(&file)
        .args(["-c", "copy", "-bsf:v", "filter_units=remove_types=6-9"]);
    command
        .args(["-f", "framehash", "-hash", "md5"])
        .arg(&hashes);
    Process::spawn(&mut command).succeed();
    let text = fs::read_to_string(hashes).expect("ffmpeg wrote it");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let played: Vec<_> = lines
        .filter_map(|line| Some(line.rsplit(',').next()?.trim()))
        .collect();
    assert_eq!(published.hashes("video"), played);
}

#[test]
fn a_viewer_who_comes_later_gets_whole_packets_from_a_key_frame_on() {
    let weir = weir();
    let url = weir.rtmp("late");
    let publisher = publish::ffmpeg_with(Tool::Ffmpeg, Media::H264Aac, &["-re"], &url);
    let early = Viewer::curl(&weir.flv("late"));
    early.reached(1500);
    let late = Recorder::curl(&ts(&weir, "late"));
    publisher.succeed();
    let media = Media::H264Aac;
    let (published, played) = (
        Frames::of(&media.published_file(Tool::Ffmpeg), media),
        late.frames(media),
    );
    for kind in ["video", "audio"] {
        let (published, played) = (published.hashes(kind), played.hashes(kind));
        assert!(!played.is_empty() && published.ends_with(&played), "{kind}");
    }
    let bytes = fs::read(late.file()).expect("recorded");
    assert_eq!((bytes.len() % 188, bytes.first()), (0, Some(&0x47)));
    drop(early);
}

#[test]
fn codecs_that_cannot_be_carried_are_refused_in_plain_words() {
    let weir = weir();
    let url = weir.rtmp("vp9");
    let (tool, media) = (Tool::FfmpegEnhanced, Media::Vp9Opus);
    let publisher = publish::ffmpeg_with(tool, media, &["-re"], &url);
    let viewer = Viewer::curl(&weir.flv("vp9"));
    viewer.reached(200);
    // opus is carried, so there is something to play
    let mut client = http::Client::connect(weir.address("http"));
    let head = client.begin("GET", "/live/vp9.ts", &[]);
    assert_eq!(
        (head.status, head.header("content-type")),
        (200, Some("video/mp2t"))
    );
    publisher.signal("KILL");
}

/// Posts a transport stream, and compares what viewers get with what went into it. They come before the publisher, but
/// one that sends in bursts may be a GOP ahead when they begin.
fn posts(media: Media, make: impl FnOnce(&Path, &str) -> Process) {
    let weir = weir();
    let source = media.published_file(Tool::Ffmpeg);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("source.ts");
    let mut command = Tool::Ffmpeg.command(["-nostdin", "-loglevel", "warning", "-i"]);
    command
        .arg(&source)
        .args(["-c", "copy", "-f", "mpegts"])
        .arg(&file);
    Process::spawn(&mut command).succeed();
    let player = Recorder::curl(&ts(&weir, "in"));
    let out = folder.path().join("played.flv");
    let mut flv = Tool::Curl.command(["-sSNf", "-o"]);
    let flv = Process::spawn(flv.arg(&out).arg(weir.flv("in")));
    weir.players(2, 0);
    make(&file, &ts(&weir, "in")).succeed();
    let published = Frames::of(&file, media);
    let from_ts = player.frames(media);
    flv.succeed();
    let from_flv = Frames::of(&out, media);
    for kind in published.0.keys() {
        let all = published.hashes(kind);
        for (what, played) in [("ts", &from_ts), ("flv", &from_flv)] {
            let played = played.hashes(kind);
            assert!(
                played.len() * 2 > all.len(),
                "{what}: much of {kind} is missing"
            );
            assert!(all.ends_with(&played), "{what}: {kind} differs");
        }
    }
    weir.assert_well();
}

fn ffmpeg_posts(file: &Path, url: &str) -> Process {
    let mut command =
        Tool::Ffmpeg.command(["-nostdin", "-loglevel", "warning", "-readrate", "4", "-i"]);
    command
        .arg(file)
        .args(["-c", "copy", "-f", "mpegts", "-method", "POST", url]);
    Process::spawn(&mut command)
}

#[test]
fn what_ffmpeg_posts_is_what_is_played() {
    posts(Media::H264Aac, ffmpeg_posts);
}

#[test]
fn what_curl_puts_is_what_is_played() {
    posts(Media::H264Aac, |file, url| {
        let mut command = Tool::Curl.command(["-sSf", "--limit-rate", "100k", "-T"]);
        Process::spawn(command.arg(file).arg(url))
    });
}

#[test]
fn sound_alone_can_be_posted() {
    posts(Media::AudioOnly, ffmpeg_posts);
}

#[test]
fn what_is_no_transport_stream_is_refused() {
    let weir = weir();
    let file = Media::H264Aac.published_file(Tool::Ffmpeg);
    let file = file.display().to_string();
    let answer = http::curl(["-sS", "-H", "Expect:", "-T", &file, &ts(&weir, "flv")]);
    assert_eq!(answer.head.status, 400, "{}", answer.text());
    weir.assert_well();
}

#[test]
fn a_publisher_with_other_codecs_may_follow() {
    let weir = weir();
    let url = ts(&weir, "change");
    let player = Recorder::curl(&url);
    weir.players(1, 0);
    // one that is lost, not one that says goodbye: viewers wait for the next
    let first = publish::ffmpeg_with(Tool::Ffmpeg, Media::H264Aac, &["-re"], &weir.rtmp("change"));
    let early = Viewer::curl(&weir.flv("change"));
    early.reached(1200);
    first.signal("KILL");
    weir.logged("session ended", "publisher");
    publish::ffmpeg(Tool::FfmpegEnhanced, Media::HevcAac, &weir.rtmp("change")).succeed();
    player.process.succeed();
    let mut probe = Tool::FfmpegEnhanced.command([
        "-nostdin",
        "-loglevel",
        "info",
        "-analyzeduration",
        "20M",
        "-i",
    ]);
    let probe = Process::spawn(
        probe
            .arg(player.file())
            .args(["-c", "copy", "-f", "null", "-"]),
    );
    probe.succeed();
    assert!(probe.said().contains("Video: hevc"), "{}", probe.said());
}
