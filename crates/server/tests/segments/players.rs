//! Players on a stream that is under way.

use std::fs;

use tempfile::TempDir;
use weir_testkit::{Media, Process, Tool, Weir, publish};

use crate::script::{Script, Tape};
use crate::support::{always, complaints, endless, listed, text, tool_for, url, weir, whole};

/// A player that decodes some seconds, and writes a line for each frame.
struct Decoder {
    what: String,
    process: Process,
    folder: TempDir,
}

impl Decoder {
    fn start(tool: Tool, address: &str, seconds: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = tool.command(["-nostdin", "-v", "warning", "-i", address]);
        command.args([
            "-map", "0:v:0?", "-map", "0:a:0?", "-t", seconds, "-f", "framecrc",
        ]);
        command.arg(folder.path().join("frames"));
        Self {
            what: format!("{} plays {address}", tool.name()),
            process: Process::spawn(&mut command),
            folder,
        }
    }

    /// Waits for its end: it had nothing to complain of, and at least so many frames of each stream.
    fn assert_played(&self, least: [usize; 2]) {
        self.process.succeed();
        assert_eq!(complaints(&self.process), "", "{}", self.what);
        let text = fs::read_to_string(self.folder.path().join("frames")).expect("it writes");
        for (stream, least) in least.into_iter().enumerate() {
            let prefix = format!("{stream},");
            let count = text
                .lines()
                .filter(|line| line.starts_with(&prefix))
                .count();
            assert!(count >= least, "{}: {count} of stream {stream}", self.what);
        }
    }
}

/// All players of ffmpeg on one stream.
fn ffmpegs(weir: &Weir, players: &[(Tool, &str)], least: [usize; 2]) {
    let start = |(tool, file): &(Tool, &str)| Decoder::start(*tool, &url(weir, file), "4");
    let decoders: Vec<_> = players.iter().map(start).collect();
    for decoder in decoders {
        decoder.assert_played(least);
    }
    weir.assert_well();
}

#[test]
fn both_ffmpegs_play_h264_and_aac() {
    let weir = weir(&[]);
    let _publisher = endless(&weir, Media::H264Aac, "s");
    weir.publishing("s");
    let (old, new) = (Tool::Ffmpeg, Tool::FfmpegEnhanced);
    let players = [
        (old, "s.m3u8"),
        (old, "s-ts.m3u8"),
        (new, "s.m3u8"),
        (new, "s-ts.m3u8"),
        (new, "s.ts"),
    ];
    // four seconds, but for what the last packets hold back
    ffmpegs(&weir, &players, [95, 165]);
}

#[test]
fn sound_of_its_own_is_played() {
    let weir = weir(&["--hls-renditions", "separate"]);
    let _publisher = endless(&weir, Media::H264Aac, "s");
    weir.publishing("s");
    let list = text(&weir, "s.m3u8");
    assert!(list.contains("#EXT-X-MEDIA:TYPE=AUDIO"), "{list}");
    let players = [(Tool::Ffmpeg, "s.m3u8"), (Tool::FfmpegEnhanced, "s.m3u8")];
    ffmpegs(&weir, &players, [95, 165]);
}

#[test]
fn other_codecs_are_played() {
    let weir = weir(&[]);
    let all = [
        (Media::HevcAac, "hevc"),
        (Media::Av1Aac, "av1"),
        (Media::Vp9Opus, "vp9"),
    ];
    let publishers = all.map(|(media, name)| endless(&weir, media, name));
    let new = Tool::FfmpegEnhanced;
    all.iter().for_each(|(_, name)| weir.publishing(name));
    let players = [
        (new, "hevc.m3u8"),
        (new, "hevc-ts.m3u8"),
        (new, "av1.m3u8"),
        (new, "vp9.m3u8"),
    ];
    ffmpegs(&weir, &players, [95, 165]);
    publishers
        .iter()
        .for_each(|publisher| publisher.signal("KILL"));
}

#[test]
fn ffmpeg_plays_manifests() {
    // it begins with the first segment that is listed, and counts in whole seconds: were the sound of one shorter than its
    // pictures of a second, it would never come to the next
    let weir = always(&[]);
    for (media, name) in [(Media::H264Aac, "avc"), (Media::Vp9Opus, "vp9")] {
        let tape = Tape::of(media).until(7_970).times(6, 8_000);
        let mut script = Script::begin(&weir, name);
        script.send(&tape.clone().until(20_000).0);
        let list = format!("{name}-av.m3u8");
        listed(&weir, &list, |list| list.segments.len() > 3);
        script.play(tape.from(20_000), 1);
    }
    let new = Tool::FfmpegEnhanced;
    ffmpegs(&weir, &[(new, "avc.mpd"), (new, "vp9.mpd")], [95, 165]);
}

/// GStreamer's `playbin` plays to the end, and says so.
fn playbin(address: &str) {
    let uri = format!("uri={address}");
    let quiet = |name: &str| format!("{name}=fakesink sync=false");
    let sinks = [quiet("video-sink"), quiet("audio-sink")];
    let mut command = Tool::Gst.command(["playbin", &uri, &sinks[0], &sinks[1]]);
    let (folder, out) = (tempfile::tempdir().expect("a folder"), "out");
    let out = folder.path().join(out);
    command.stdout(fs::File::create(&out).expect("a file"));
    let process = Process::spawn(&mut command);
    process.succeed();
    let said = format!(
        "{}{}",
        fs::read_to_string(out).expect("text"),
        process.said()
    );
    assert!(said.contains("Got EOS from element"), "{address}: {said}");
    for bad in ["ERROR", "WARNING"] {
        assert!(!said.contains(bad), "{address}: {said}");
    }
}

#[test]
fn gstreamer_plays_to_the_end() {
    let weir = always(&[]);
    whole(&weir, Media::H264Aac, "s");
    for file in ["s.m3u8", "s-ts.m3u8"] {
        playbin(&url(&weir, file));
    }
    weir.assert_well();
}

#[test]
fn gstreamer_plays_a_live_stream() {
    let weir = weir(&[]);
    let media = Media::H264Aac;
    let address = url(&weir, "s.m3u8");
    let publisher = publish::ffmpeg_with(tool_for(media), media, &["-re"], &weir.rtmp("s"));
    weir.publishing("s");
    // when the publisher ends, so does the list, and so does the player
    playbin(&address);
    publisher.succeed();
    weir.assert_well();
}
