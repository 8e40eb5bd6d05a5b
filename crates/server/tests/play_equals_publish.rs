//! What players get equals what publishers send: packet by packet, with its times and key marks.
//!
//! Each test is one publisher and all the players that know its codecs, at the same time. Players come first and wait,
//! so that they must get everything.

use std::fs;

use weir_testkit::capture::Capture;
use weir_testkit::{Ends, Media, Packet, Run, Tool, Viewer, Weir, assert_equal, flv, publish};

fn weir() -> Weir {
    Weir::start(env!("CARGO_BIN_EXE_weir"), &[])
}

/// Players that wait for a stream.
struct Players {
    ffmpegs: Vec<(String, Capture)>,
    viewers: Vec<(String, Viewer)>,
}

impl Players {
    fn new(weir: &Weir, stream: &str, ffmpegs: &[Tool]) -> Self {
        let mut players = Self {
            ffmpegs: Vec::new(),
            viewers: Vec::new(),
        };
        for tool in ffmpegs {
            for url in [weir.rtmp(stream), weir.flv(stream)] {
                let what = format!("{} plays {url}", tool.name());
                players.ffmpegs.push((what, Capture::start(*tool, &url)));
            }
        }
        let viewers = &mut players.viewers;
        let url = weir.rtmp(stream);
        viewers.push((format!("rtmpdump plays {url}"), Viewer::rtmpdump(&url)));
        viewers.push((format!("gst plays {url}"), Viewer::gst(&url)));
        let url = weir.flv(stream);
        viewers.push((format!("curl plays {url}"), Viewer::curl(&url)));
        players
    }

    /// Waits until all are there.
    fn wait(&self, weir: &Weir) {
        let all = self.ffmpegs.len() + self.viewers.len();
        weir.players(all, self.ffmpegs.len() / 2 + 2);
    }

    fn assert_tags(&self, tags: &[Packet]) {
        for (what, viewer) in &self.viewers {
            // rtmp2src holds one message, and drops it when the stream ends
            let ends = match what.starts_with("gst") {
                true => Ends::AllBut(1),
                false => Ends::Whole,
            };
            let run = assert_equal(what, tags, &viewer.packets(), ends);
            assert_from_the_start(what, &run);
        }
    }

    fn assert_equal(&self, media: Media, tool: Tool) {
        self.assert_tags(&media.published_tags(tool));
        let packets = media.published(tool);
        for (what, capture) in &self.ffmpegs {
            let run = assert_equal(what, &packets, &capture.packets(), Ends::Whole);
            assert_from_the_start(what, &run);
        }
    }
}

/// HTTP players join when the stream is there and begin with its key frame, which may come after the first sound.
fn assert_from_the_start(what: &str, run: &Run) {
    assert_eq!(run.offset, 0, "{what}");
    assert_eq!(run.video.unwrap_or_default(), 0, "{what}: {run:?}");
    let most = usize::from(what.contains("http://"));
    assert!(run.audio.unwrap_or_default() <= most, "{what}: {run:?}");
}

fn matrix(media: Media, publisher: Tool, players: &[Tool]) {
    let weir = weir();
    media.published_file(publisher);
    let players = Players::new(&weir, "stream", players);
    players.wait(&weir);
    // a waiting HTTP player looks for its stream now and then: groups of pictures must last longer than that
    let pace = ["-readrate", "2"];
    publish::ffmpeg_with(publisher, media, &pace, &weir.rtmp("stream")).succeed();
    players.assert_equal(media, publisher);
    weir.assert_well();
}

const BOTH: &[Tool] = &[Tool::Ffmpeg, Tool::FfmpegEnhanced];
const ENHANCED: &[Tool] = &[Tool::FfmpegEnhanced];

#[test]
fn h264_with_b_frames_and_aac_of_an_old_ffmpeg() {
    matrix(Media::H264Aac, Tool::Ffmpeg, BOTH);
}

#[test]
fn h264_baseline_and_aac_of_a_new_ffmpeg() {
    matrix(Media::BaselineAac, Tool::FfmpegEnhanced, BOTH);
}

#[test]
fn h264_and_mp3() {
    matrix(Media::H264Mp3, Tool::Ffmpeg, BOTH);
}

#[test]
fn sound_without_pictures() {
    matrix(Media::AudioOnly, Tool::Ffmpeg, BOTH);
}

#[test]
fn pictures_without_sound() {
    matrix(Media::VideoOnly, Tool::Ffmpeg, BOTH);
}

#[test]
fn h265_in_enhanced_rtmp() {
    matrix(Media::HevcAac, Tool::FfmpegEnhanced, ENHANCED);
}

#[test]
fn vp9_and_opus_in_enhanced_rtmp() {
    matrix(Media::Vp9Opus, Tool::FfmpegEnhanced, ENHANCED);
}

#[test]
fn av1_in_enhanced_rtmp() {
    matrix(Media::Av1Aac, Tool::FfmpegEnhanced, ENHANCED);
}

#[test]
fn what_gstreamer_publishes() {
    let weir = weir();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gst.flv");
    publish::gst_to_file(Media::H264Aac, &file);
    let players = Players::new(&weir, "gst", &[]);
    players.wait(&weir);
    publish::gst(Media::H264Aac, &weir.rtmp("gst")).succeed();
    let tags = flv::packets(&flv::tags(&fs::read(&file).unwrap()));
    players.assert_tags(&tags);
}
