//! Transport streams as a checker that shares no code with the muxer sees them.

use weir_testkit::{Media, Process, Tool, publish};

use crate::frames::{Frames, assert_run};
use crate::support::{always, fetch, listing, tool_for, url, weir, whole};

#[path = "../../../container/tests/ts/check.rs"]
mod check;

/// Where the PMT is.
const PMT_PID: u16 = 0x1000;

#[track_caller]
fn assert_sound(what: &str, stream: &[u8]) {
    let faults = check::faults(stream, PMT_PID);
    assert!(faults.is_empty(), "{what}: {faults:#?}");
    assert!(stream.len() > 100 * 188, "{what}: {} bytes", stream.len());
}

#[test]
fn segments_put_together_are_one_stream() {
    let weir = always(&[]);
    let all = [
        (Media::H264Aac, "avc"),
        (Media::HevcAac, "hevc"),
        (Media::H264Mp3, "mp3"),
    ];
    for (media, name) in all {
        whole(&weir, media, name);
        let list = listing(&weir, &format!("{name}-ts.m3u8"));
        let bodies = list
            .segments
            .iter()
            .map(|segment| fetch(&weir, &segment.uri));
        let bodies: Vec<_> = bodies.collect();
        assert_sound(name, &bodies.concat());
        for body in &bodies {
            assert_sound(name, body);
        }
        if name == "avc" {
            // the checker finds a packet that is lost, a changed table, and a segment that is left out
            let mut lost = bodies[1].clone();
            lost.drain(188 * 20..188 * 21);
            assert!(!check::faults(&lost, PMT_PID).is_empty());
            let mut changed = bodies[1].clone();
            changed[188 + 20] ^= 1;
            assert!(!check::faults(&changed, PMT_PID).is_empty());
            let hole = [&bodies[0][..], &bodies[2]].concat();
            assert!(!check::faults(&hole, PMT_PID).is_empty());
        }
    }
}

#[test]
fn the_endless_stream_is_sound() {
    let weir = weir(&[]);
    for media in [Media::H264Aac, Media::HevcAac, Media::AudioOnly] {
        let name = format!("{media:?}");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("stream.ts");
        let mut command = Tool::Curl.command(["-sSNf", "-o"]);
        command.arg(&file).arg(url(&weir, &format!("{name}.ts")));
        let lines = weir.process().lines();
        let player = Process::spawn(&mut command);
        weir.logged_after(lines, "session opened", "");
        publish::ffmpeg(tool_for(media), media, &weir.rtmp(&name)).succeed();
        player.succeed();
        let stream = std::fs::read(&file).expect("recorded");
        assert_sound(&name, &stream);
        let played = Frames::in_bytes(media, &stream, "ts");
        assert_run(&name, &Frames::published(media), &played).assert_whole(&name, 0);
    }
}
