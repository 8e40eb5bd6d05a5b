//! What is published is what every form of its segments holds, for each codec.
//!
//! Each test publishes a file once, from its first frame on as segments, and looks at the list that has ended: segment
//! by segment, as parts put together, as tracks of DASH, as MPEG-TS, and as ffmpeg plays it.

use weir_hls::lint::Listing;
use weir_testkit::{Kind, Media, Process, Tool, Weir, mp4box};

use crate::frames::{Frames, assert_run};
use crate::support::{
    always, ask, assert_clean, complaints, fetch, listing, segments, text, url, whole,
};

/// By how much a segment's length may differ from what is listed, in microseconds.
const LENGTH_SLACK: i64 = 2_000;

/// Sound from before the first picture, in frames, which no segment holds.
const EARLY_SOUND: usize = 4;

/// Reads each segment by itself, and gives all their frames. Each begins with a key frame, and lasts as long as is said.
fn read_segments(weir: &Weir, media: Media, file: &str) -> Frames {
    let list = listing(weir, file);
    let ending = if file.ends_with("-ts.m3u8") {
        "ts"
    } else {
        "mp4"
    };
    let mut all = Frames::default();
    let mut before: Option<(i64, f64)> = None;
    for (number, (bytes, length)) in segments(weir, &list).into_iter().enumerate() {
        let what = format!("{file}, segment {number}");
        let frames = Frames::in_bytes(media, &bytes, ending);
        let leading = match frames.kind(Kind::Video).first() {
            Some(first) => {
                assert!(first.key, "{what} begins with {first:?}");
                Kind::Video
            }
            None => Kind::Audio,
        };
        let begin = frames.begin(leading).expect("a segment is not empty");
        if let Some((at, length)) = before {
            let off = begin - at - (length * 1_000_000.0) as i64;
            assert!(off.abs() <= LENGTH_SLACK, "{what} begins {off} us off");
        }
        before = Some((begin, length));
        all.0.extend(frames.0);
    }
    all
}

/// The parts of a segment, as many as there are.
fn parts(weir: &Weir, list: &Listing) -> Vec<Vec<u8>> {
    let whole = list.segments.iter().map(|segment| {
        let stem = segment.uri.strip_suffix(".m4s").expect("fragmented MP4");
        let parts = (0..).map(|part| ask(weir, &format!("{stem}.{part}.m4s")));
        let parts = parts.take_while(|answer| answer.head.status == 200);
        parts.flat_map(|answer| answer.body).collect()
    });
    whole.collect()
}

/// Decodes everything at an address; nothing is wrong with it.
fn decodes(tool: Tool, address: &str) {
    let mut command = tool.command(["-nostdin", "-v", "warning", "-i", address]);
    let process = Process::spawn(command.args(["-map", "0", "-f", "null", "-"]));
    process.succeed();
    assert_eq!(
        complaints(&process),
        "",
        "{} decodes {address}",
        tool.name()
    );
}

/// Fragmented MP4: segments, parts, tracks of their own; what a second parser says of the boxes.
fn fragmented(weir: &Weir, media: Media, published: &Frames) {
    let list = listing(weir, "s-av.m3u8");
    assert!(list.is_ended && list.segments.len() > 2, "{list:?}");
    let played = read_segments(weir, media, "s-av.m3u8");
    let place = assert_run("segments", published, &played);
    place.assert_whole("segments", EARLY_SOUND);
    for (segment, parts) in list.segments.iter().zip(parts(weir, &list)) {
        let same = parts == fetch(weir, &segment.uri);
        assert!(same, "parts of {} are other bytes", segment.uri);
    }
    for (view, kind) in [("v", Kind::Video), ("a", Kind::Audio)] {
        let file = format!("s-{view}.m3u8");
        if published.kind(kind).is_empty() {
            assert_eq!(ask(weir, &file).head.status, 404, "{file}");
            continue;
        }
        let single = read_segments(weir, media, &file);
        // as in the view of both, at the same times
        assert_run(&file, &played.only(kind), &single);
        assert_eq!(single, played.only(kind), "{file}");
    }
    boxes(weir, &list);
}

/// What mp4box.js says of the init segment and of the media segments.
fn boxes(weir: &Weir, list: &Listing) {
    let map = list.segments[0].map.clone().expect("a map");
    let init = fetch(weir, &map);
    let bodies: Vec<_> = list.segments.iter().map(|s| fetch(weir, &s.uri)).collect();
    let slices: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
    let structure = mp4box::inspect(&init, &slices);
    // mp4box.js 2 reads the last metadata block of FLAC twice
    let is_its_own = |error: &&String| !error.contains("Parsing of box 'dfLa'");
    let errors: Vec<_> = structure.errors.iter().filter(is_its_own).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let multivariant = text(weir, "s.m3u8");
    for track in &structure.tracks {
        assert_eq!(structure.gaps(track.id), [], "track {}", track.id);
        // the type of a box has its case, and the name of a codec in lists has another
        let codec = match track.codec.as_str() {
            // the two names of MP3 in MP4
            "mp4a.6b" => "mp4a.40.34".to_owned(),
            codec => codec.to_lowercase(),
        };
        let named = multivariant.to_lowercase().contains(&codec);
        assert!(named, "{codec}: {multivariant}");
    }
    let sequences = structure.segments.iter().flat_map(|s| &s.fragments);
    let sequences: Vec<_> = sequences.map(|fragment| fragment.sequence).collect();
    assert!(sequences.is_sorted_by(|a, b| a < b), "{sequences:?}");
}

/// Publishes, and compares what is carried by all forms.
fn carried(media: Media, is_in_ts: bool) {
    let weir = always(&[]);
    whole(&weir, media, "s");
    let published = Frames::published(media);
    fragmented(&weir, media, &published);
    let forms: &[&str] = match is_in_ts {
        true => &["s-av.m3u8", "s.mpd", "s-ts.m3u8"],
        false => &["s-av.m3u8", "s.mpd"],
    };
    for form in forms {
        let played = Frames::of(media, &url(&weir, form));
        assert_run(form, &published, &played).assert_whole(form, EARLY_SOUND);
        decodes(Tool::FfmpegEnhanced, &url(&weir, form));
    }
    match is_in_ts {
        true => {
            let played = read_segments(&weir, media, "s-ts.m3u8");
            assert_run("ts", &published, &played).assert_whole("ts", EARLY_SOUND);
            decodes(Tool::Ffmpeg, &url(&weir, "s-ts.m3u8"));
        }
        false => {
            let answer = ask(&weir, "s-ts.m3u8");
            assert_eq!(answer.head.status, 404, "{}", answer.text());
        }
    }
    let text = text(&weir, "s-av.m3u8");
    assert_clean("s-av.m3u8", &weir_hls::lint::check(&text), &text);
    weir.assert_well();
}

#[test]
fn h264_with_b_frames_and_aac() {
    carried(Media::H264Aac, true);
}

#[test]
fn hevc_and_aac() {
    carried(Media::HevcAac, true);
}

#[test]
fn av1_and_aac() {
    carried(Media::Av1Aac, false);
}

#[test]
fn vp9_and_opus() {
    carried(Media::Vp9Opus, false);
}

#[test]
fn h264_and_mp3() {
    carried(Media::H264Mp3, true);
}

#[test]
fn h264_and_flac() {
    carried(Media::H264Flac, false);
}

#[test]
fn h264_and_ac3() {
    carried(Media::H264Ac3, true);
}

#[test]
fn pictures_without_sound() {
    carried(Media::VideoOnly, true);
}

#[test]
fn sound_without_pictures() {
    // it begins when no picture has come for a second, so that its beginning is in no segment
    let weir = always(&[]);
    let media = Media::AudioOnly;
    whole(&weir, media, "s");
    let published = Frames::published(media);
    for file in ["s-av.m3u8", "s-a.m3u8", "s-ts.m3u8"] {
        let played = read_segments(&weir, media, file);
        let place = assert_run(file, &published, &played);
        assert_eq!(place.audio.map(|(_, missing)| missing), Some(0), "{file}");
        decodes(Tool::Ffmpeg, &url(&weir, file));
    }
    let played = Frames::of(media, &url(&weir, "s.mpd"));
    assert_run("s.mpd", &published, &played);
    assert_eq!(ask(&weir, "s-v.m3u8").head.status, 404);
    boxes(&weir, &listing(&weir, "s-av.m3u8"));
}
