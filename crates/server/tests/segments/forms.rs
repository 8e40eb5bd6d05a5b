//! Forms of playlists that operators choose.

use weir_hls::lint::{self, Listing};
use weir_testkit::{Kind, Media};

use crate::frames::{Frames, assert_run};
use crate::script::{Script, Tape};
use crate::support::{always, ask, assert_clean, listed, text, url, whole};

#[test]
fn an_event_keeps_everything_and_becomes_a_recording() {
    let weir = always(&["--hls-playlist", "event", "--hls-window", "6s"]);
    let media = Media::VideoOnly;
    let tape = Tape::of(media);
    let mut script = Script::begin(&weir, "s");
    let mut before: Option<String> = None;
    for round in 0..6 {
        let mut tags = tape.clone().later(round * 8_000).0;
        tags.retain(|tag| round == 0 || !tag.is_sequence_header());
        script.send(&tags);
        let least = (round as usize + 1) * 4 - 1;
        listed(&weir, "s-av.m3u8", |list| list.segments.len() >= least);
        let now = text(&weir, "s-av.m3u8");
        assert!(now.contains("#EXT-X-PLAYLIST-TYPE:EVENT"), "{now}");
        assert_clean("event", &lint::check(&now), &now);
        if let Some(before) = before {
            assert_clean("event", &lint::check_reload(&before, &now), &now);
            let (old, new) = (Listing::parse(&before).0, Listing::parse(&now).0);
            assert_eq!(old.media_sequence, new.media_sequence);
        }
        before = Some(now);
    }
    script.end();
    let list = listed(&weir, "s-av.m3u8", |list| list.is_ended);
    assert_eq!(list.kind.as_deref(), Some("VOD"));
    // 48 seconds, far beyond the window
    assert!(list.duration() > 47.9, "{}", list.duration());
    let published = Frames::published(media).kind(Kind::Video).len();
    let played = Frames::of(media, &url(&weir, "s-av.m3u8"));
    assert_eq!(played.kind(Kind::Video).len(), published * 6);
    weir.assert_well();
}

#[test]
fn a_live_list_slides() {
    let weir = always(&["--hls-window", "6s"]);
    let mut script = Script::begin(&weir, "s");
    script.send(&Tape::of(Media::VideoOnly).times(6, 8_000).0);
    let list = listed(&weir, "s-av.m3u8", |list| list.duration() > 6.0);
    script.end();
    let ended = listed(&weir, "s-av.m3u8", |list| list.is_ended);
    assert!(ended.duration() <= 10.1, "{}", ended.duration());
    assert!(ended.media_sequence > list.media_sequence || list.segments.len() < 5);
    assert_eq!(ended.kind, None);
}

#[test]
fn the_main_list_is_of_the_container_that_is_chosen() {
    let weir = always(&["--hls-container", "ts"]);
    let media = Media::H264Aac;
    whole(&weir, media, "s");
    let main = text(&weir, "s.m3u8");
    assert!(main.contains("\ns-ts.m3u8"), "{main}");
    let played = Frames::with(media, &[], &url(&weir, "s-ts.m3u8"));
    assert_run("ts", &Frames::published(media), &played);
    // what MPEG-TS cannot carry is fragmented MP4 all the same
    whole(&weir, Media::Av1Aac, "av1");
    let main = text(&weir, "av1.m3u8");
    assert!(main.contains("\nav1-av.m3u8"), "{main}");
    weir.assert_well();
}

#[test]
fn sound_of_its_own_is_the_same_sound() {
    let weir = always(&["--hls-renditions", "separate"]);
    let media = Media::H264Aac;
    whole(&weir, media, "s");
    let main = text(&weir, "s.m3u8");
    assert!(
        main.contains("\ns-v.m3u8") && main.contains("URI=\"s-a.m3u8\""),
        "{main}"
    );
    let played = Frames::of(media, &url(&weir, "s.m3u8"));
    let place = assert_run("separate", &Frames::published(media), &played);
    assert!(place.audio.is_some() && place.video.is_some());
    weir.assert_well();
}

#[test]
fn forms_that_are_switched_off_are_not_found() {
    let weir = always(&["--hls-low-latency=false", "--dash-enabled=false"]);
    whole(&weir, Media::VideoOnly, "s");
    let list = text(&weir, "s-av.m3u8");
    assert!(!list.contains("#EXT-X-PART"), "{list}");
    assert_clean("list", &lint::check(&list), &list);
    assert_eq!(ask(&weir, "s.mpd").head.status, 404);
    let weir = always(&["--hls-enabled=false"]);
    let mut script = Script::begin(&weir, "s");
    script.send(&Tape::of(Media::VideoOnly).0);
    // manifests stay
    let answer = ask(&weir, "s.mpd");
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    for file in ["s.m3u8", "s-av.m3u8", "s-ts.m3u8"] {
        assert_eq!(ask(&weir, file).head.status, 404, "{file}");
    }
}
