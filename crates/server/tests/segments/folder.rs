//! Segments on disk outlive the process that made them.

#![expect(
    clippy::disallowed_methods,
    reason = "how long files are waited for is measured on the machine's clock"
)]

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;
use std::{fs, thread};

use weir_hls::lint;
use weir_testkit::{Kind, Media, PATIENCE, Weir};

use crate::frames::Frames;
use crate::script::{Script, Tape};
use crate::support::{always, ask, assert_clean, fetch, listed, text, url};

/// A server that keeps its segments in `folder`.
fn keeping(folder: &str) -> Weir {
    always(&["--hls-folder", folder])
}

/// Waits until so many segments are on disk: a thread of its own writes them.
fn wait_for_files(folder: &str, least: usize) {
    let begin = std::time::Instant::now();
    loop {
        let (mut paths, mut count) = (vec![PathBuf::from(folder)], 0);
        while let Some(path) = paths.pop() {
            match fs::read_dir(&path) {
                Ok(entries) => paths.extend(entries.flatten().map(|entry| entry.path())),
                Err(_) => count += usize::from(path.extension().is_some_and(|e| e == "segment")),
            }
        }
        if count >= least {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "{count} of {least} are written");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_killed_server_is_followed_by_one_that_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().to_str().expect("a plain name");
    let weir = keeping(folder);
    let tape = Tape::of(Media::H264Aac);
    let mut script = Script::begin(&weir, "s");
    script.send(&tape.0);
    let before = listed(&weir, "s-av.m3u8", |list| list.segments.len() > 3);
    let known: Vec<_> = before.segments.iter().map(|one| one.uri.clone()).collect();
    let bodies: Vec<_> = known.iter().map(|uri| fetch(&weir, uri)).collect();
    let init = fetch(&weir, before.segments[0].map.as_deref().expect("a map"));
    wait_for_files(folder, known.len());
    weir.process().signal("KILL");
    weir.process().wait();
    drop(script);

    let weir = keeping(folder);
    let mut script = Script::begin(&weir, "s");
    script.send(&tape.0);
    script.end();
    let after = listed(&weir, "s-av.m3u8", |list| list.is_ended);
    let list = text(&weir, "s-av.m3u8");
    assert_clean("after", &lint::check(&list), &list);
    let numbers: Vec<_> = after.segments.iter().map(|one| one.number).collect();
    assert_eq!(numbers.first(), Some(&before.media_sequence), "{list}");
    assert!(after.segments.len() >= known.len() + 4, "{list}");
    let steps: HashSet<_> = after.segments.iter().map(|one| one.discontinuity).collect();
    assert_eq!(steps.len(), 2, "{list}");
    assert!(after.discontinuity_sequence >= before.discontinuity_sequence);
    for (uri, body) in known.iter().zip(bodies) {
        assert_eq!(fetch(&weir, uri), body, "{uri}");
    }
    let map = after.segments[0].map.as_deref().expect("a map");
    assert_eq!(fetch(&weir, map), init);
    // all of it is played, once, and once again
    let played = Frames::of(Media::H264Aac, &url(&weir, "s-av.m3u8"));
    let count = played.kind(Kind::Video).len();
    let published = Frames::published(Media::H264Aac).kind(Kind::Video).len();
    assert!(count > published + 100, "{count} of {}", published * 2);
    assert_eq!(ask(&weir, "s.mpd").head.status, 200);
    weir.assert_well();
}
