//! Publishers who leave and come back, or are followed by others.

use std::fs;

use weir_hls::lint::{self, Listing};
use weir_testkit::{Media, Process, Tool, Weir, publish};

use crate::script::{Script, Tape};
use crate::support::{always, ask, assert_clean, endless, fetch, listed, listing, text, url};

/// What holds for a list in which one publisher follows another.
fn assert_joined(list: &Listing) {
    let steps = list.segments.windows(2);
    let changes: Vec<_> = steps
        .filter(|pair| pair[0].discontinuity != pair[1].discontinuity)
        .map(|pair| (pair[0].map.clone(), pair[1].map.clone()))
        .collect();
    assert_eq!(changes.len(), 1, "{list:?}");
    assert!(changes.iter().all(|(old, new)| old != new && new.is_some()));
}

/// A lost publisher; the list stands still, and has not ended.
fn lost(weir: &Weir, publisher: &Process) -> Listing {
    publisher.signal("KILL");
    publisher.wait();
    weir.logged("session ended", "publisher");
    let list = listing(weir, "s-av.m3u8");
    assert!(!list.is_ended, "{list:?}");
    list
}

#[test]
fn a_publisher_who_returns_goes_on_behind_a_discontinuity() {
    let weir = always(&["--stream-grace", "60s"]);
    let first = endless(&weir, Media::H264Aac, "s");
    listed(&weir, "s-av.m3u8", |list| list.segments.len() > 1);
    // a player that is there all the time
    let folder = tempfile::tempdir().expect("a folder");
    let frames = folder.path().join("frames");
    let mut command = Tool::FfmpegEnhanced.command(["-nostdin", "-v", "error", "-i"]);
    command
        .arg(url(&weir, "s-av.m3u8"))
        .args(["-map", "0:v", "-f", "framecrc"]);
    let player = Process::spawn(command.arg(&frames));
    let before = lost(&weir, &first);
    publish::ffmpeg_with(
        Tool::Ffmpeg,
        Media::H264Aac,
        &["-readrate", "2"],
        &weir.rtmp("s"),
    )
    .succeed();
    let list = listed(&weir, "s-av.m3u8", |list| list.is_ended);
    assert_joined(&list);
    let now = text(&weir, "s-av.m3u8");
    assert_clean("joined", &lint::check(&now), &now);
    assert!(
        list.segments
            .iter()
            .any(|one| one.number == before.media_sequence)
    );
    // the player has seen the end of the second publisher's show, and both have all of it but the first's beginning
    player.succeed();
    assert_eq!(player.said(), "");
    let text = fs::read_to_string(frames).expect("it writes");
    let played = text.lines().filter(|line| line.starts_with("0,")).count();
    assert!(played > 200, "{played} pictures");
    // the manifest has a period for each
    let manifest = ask(&weir, "s.mpd").text();
    assert_eq!(manifest.matches("<Period ").count(), 2, "{manifest}");
    weir.assert_well();
}

#[test]
fn a_new_show_under_an_old_name_has_a_list_of_its_own() {
    let weir = always(&[]);
    let tape = Tape::of(Media::H264Aac);
    let mut script = Script::begin(&weir, "s");
    script.send(&tape.0);
    script.end();
    let old = listed(&weir, "s-av.m3u8", |list| list.is_ended);
    let text_of_old = text(&weir, "s-av.m3u8");
    assert!(
        text_of_old.trim_end().ends_with("#EXT-X-ENDLIST"),
        "{text_of_old}"
    );
    let mut script = Script::begin(&weir, "s");
    script.send(&tape.0);
    let new = listed(&weir, "s-av.m3u8", |list| {
        !list.is_ended && list.segments.len() > 1
    });
    assert!(new.media_sequence >= old.next_number(), "{new:?}");
    assert!(new.discontinuity_sequence > old.discontinuity_sequence);
    let uris = |list: &Listing| {
        list.segments
            .iter()
            .map(|s| s.uri.clone())
            .collect::<Vec<_>>()
    };
    assert!(uris(&new).iter().all(|uri| !uris(&old).contains(uri)));
    script.end();
    weir.assert_well();
}

#[test]
fn another_codec_takes_over_behind_a_discontinuity() {
    let weir = always(&["--stream-publish-conflict", "takeover"]);
    let first = endless(&weir, Media::H264Aac, "s");
    listed(&weir, "s-av.m3u8", |list| list.segments.len() > 1);
    let before = text(&weir, "s.m3u8");
    let second = endless(&weir, Media::HevcAac, "s");
    let list = listed(&weir, "s-av.m3u8", |list| {
        let last = list.segments.last().map(|last| last.discontinuity);
        last.is_some_and(|last| last > list.discontinuity_sequence)
    });
    assert_joined(&list);
    let after = text(&weir, "s.m3u8");
    assert!(
        before.contains("avc1.") && after.contains("hvc1."),
        "{before}{after}"
    );
    first.wait();
    second.signal("KILL");
    assert_decoded(&weir, &list);
    weir.assert_well();
}

/// The first segment and the last can be decoded, each with its map.
fn assert_decoded(weir: &Weir, list: &Listing) {
    for segment in [0, list.segments.len() - 1].map(|index| &list.segments[index]) {
        let map = segment.map.as_deref().expect("a map");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("segment.mp4");
        let bytes = [map, &segment.uri].map(|file| fetch(weir, file)).concat();
        fs::write(&file, bytes).expect("a file");
        let mut command = Tool::FfmpegEnhanced.command(["-nostdin", "-v", "warning", "-i"]);
        let process = Process::spawn(command.arg(&file).args(["-f", "null", "-"]));
        process.succeed();
        assert_eq!(process.said(), "", "{}", segment.uri);
    }
}

#[test]
fn pictures_that_change_in_mid_stream_get_a_map_of_their_own() {
    let weir = always(&[]);
    let mut script = Script::begin(&weir, "s");
    script.send(&Tape::of(Media::BaselineAac).0);
    script.send(&Tape::of(Media::H264Aac).later(8_040).0);
    script.end();
    let list = listed(&weir, "s-av.m3u8", |list| list.is_ended);
    assert_joined(&list);
    // ffmpeg passes over the second map of a list; a transport stream has its parameter sets in it
    let mut command = Tool::FfmpegEnhanced.command(["-nostdin", "-v", "error", "-i"]);
    command.arg(url(&weir, "s-ts.m3u8"));
    let process = Process::spawn(command.args(["-f", "null", "-"]));
    process.succeed();
    assert_eq!(process.said(), "");
    assert_decoded(&weir, &list);
    weir.assert_well();
}
