//! Playlists and manifests as servers write them: only their URIs change, and another parser finds the same in them.
//!
//! `tests/data` holds output of ffmpeg 5.1 (`ffmpeg_*`), and playlists in the form of SRS 6, nginx-rtmp, MediaMTX and
//! Apple's examples of low-latency HLS.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use m3u8_rs::{ExtTag, Key, MediaPlaylist, Playlist, QuotedOrUnquoted, SessionDataField};
use weir_hls::playlist::UriKind;
use weir_hls::uri::with_query;
use weir_hls::{mpd, playlist};

const PARAMETER: &str = "spbhid=a1&x=y";

fn files(extension: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|own| own == extension))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn file(extension: &str, name: &str) -> String {
    let mut files = files(extension).into_iter();
    files.find(|(file, _)| file == name).unwrap().1
}

fn mapped(uri: &mut String) {
    *uri = with_query(uri, PARAMETER);
}

fn map_key(key: Option<&mut Key>) {
    if let Some(uri) = key.and_then(|key| key.uri.as_mut()) {
        mapped(uri);
    }
}

/// The other parser does not know low-latency tags, nor the quotes that MediaMTX puts around `AUDIO`, and keeps such tags
/// as text.
fn map_unknown(tags: &mut [ExtTag]) {
    for tag in tags {
        if !matches!(
            &*tag.tag,
            "X-PART" | "X-PRELOAD-HINT" | "X-RENDITION-REPORT" | "X-MEDIA"
        ) {
            continue;
        }
        let rest = tag.rest.as_mut().unwrap();
        let (before, uri) = rest.split_once("URI=\"").unwrap();
        let (uri, after) = uri.split_once('"').unwrap();
        *rest = format!("{before}URI=\"{}\"{after}", with_query(uri, PARAMETER));
    }
}

fn map_media(list: &mut MediaPlaylist) {
    map_unknown(&mut list.unknown_tags);
    for segment in &mut list.segments {
        if !segment.uri.is_empty() {
            mapped(&mut segment.uri);
        }
        map_key(segment.key.as_mut());
        if let Some(map) = &mut segment.map {
            mapped(&mut map.uri);
        }
        map_unknown(&mut segment.unknown_tags);
        let range = segment.daterange.as_mut();
        for (name, value) in range
            .and_then(|range| range.x_prefixed.as_mut())
            .into_iter()
            .flatten()
        {
            if let (true, QuotedOrUnquoted::Quoted(uri)) = (name.starts_with("X-ASSET-"), value) {
                mapped(uri);
            }
        }
    }
}

/// What the other parser finds, with the parameter at each URI.
fn map_all(list: &mut Playlist) {
    match list {
        Playlist::MediaPlaylist(list) => map_media(list),
        Playlist::MasterPlaylist(list) => {
            map_unknown(&mut list.unknown_tags);
            list.variants
                .iter_mut()
                .for_each(|variant| mapped(&mut variant.uri));
            list.alternatives
                .iter_mut()
                .filter_map(|media| media.uri.as_mut())
                .for_each(mapped);
            list.session_key
                .iter_mut()
                .for_each(|key| map_key(Some(&mut key.0)));
            for data in &mut list.session_data {
                if let SessionDataField::Uri(uri) = &mut data.field {
                    mapped(uri);
                }
            }
        }
    }
}

fn marked(text: &str) -> String {
    let change = &mut |_, uri: &str| Some(with_query(uri, PARAMETER));
    playlist::rewrite(text, change).unwrap()
}

#[test]
fn another_parser_finds_the_changed_uris_and_nothing_else_changed() {
    let files = files("m3u8");
    assert!(files.len() > 12);
    for (name, text) in files {
        let mut expected = m3u8_rs::parse_playlist_res(text.as_bytes()).unwrap();
        map_all(&mut expected);
        let changed = marked(&text);
        let found = m3u8_rs::parse_playlist_res(changed.as_bytes()).unwrap();
        assert_eq!(found, expected, "{name}");
        assert_ne!(changed, text, "{name}");
        assert_eq!(changed.lines().count(), text.lines().count());
        let without = changed.replace(&format!("?{PARAMETER}"), "");
        assert_eq!(
            without.replace(&format!("&{PARAMETER}"), ""),
            text,
            "{name}"
        );
    }
}

#[test]
fn nothing_changes_unless_it_should() {
    for (name, text) in files("m3u8") {
        assert_eq!(
            playlist::rewrite(&text, &mut |_, _| None).as_ref(),
            Ok(&text),
            "{name}"
        );
    }
    for (name, text) in files("mpd") {
        assert_eq!(
            mpd::rewrite(&text, &mut |_, _| None).as_ref(),
            Ok(&text),
            "{name}"
        );
    }
}

fn kinds(name: &str) -> Vec<(UriKind, String)> {
    let mut found = Vec::new();
    let change = &mut |kind, uri: &str| {
        found.push((kind, uri.to_owned()));
        None
    };
    playlist::rewrite(&file("m3u8", name), change).unwrap();
    found
}

#[test]
fn kinds_of_uris() {
    let count = |name, kind| {
        kinds(name)
            .iter()
            .filter(|(found, _)| *found == kind)
            .count()
    };
    let variant = "/live/livestream.m3u8?hls_ctx=t6j84v1e";
    assert_eq!(
        kinds("srs_multivariant"),
        [(UriKind::Variant, variant.to_owned())]
    );
    assert_eq!(count("srs_media", UriKind::Segment), 3);
    assert_eq!(count("nginx_rtmp_multivariant", UriKind::Variant), 2);
    assert_eq!(count("nginx_rtmp_media", UriKind::Key), 1);
    assert_eq!(count("ffmpeg_ts", UriKind::Segment), 3);
    assert_eq!(count("ffmpeg_fmp4", UriKind::Map), 1);
    assert_eq!(count("ffmpeg_dash_multivariant", UriKind::Media), 1);
    let key = (UriKind::Key, "https://keys.example/key?a=1,b=2".to_owned());
    assert_eq!(kinds("ffmpeg_encrypted").first(), Some(&key));
    for (kind, expected) in [
        (UriKind::Segment, 3),
        (UriKind::Map, 1),
        (UriKind::Part, 5),
        (UriKind::PreloadHint, 1),
        (UriKind::RenditionReport, 2),
        (UriKind::Asset, 1),
    ] {
        assert_eq!(count("apple_low_latency", kind), expected, "{kind:?}");
    }
    for (kind, expected) in [
        (UriKind::Variant, 2),
        (UriKind::IFrames, 1),
        (UriKind::Media, 2),
        (UriKind::SessionData, 1),
        (UriKind::SessionKey, 1),
    ] {
        assert_eq!(count("apple_multivariant", kind), expected, "{kind:?}");
    }
    assert_eq!(count("mediamtx_media", UriKind::Part), 2);
    assert_eq!(count("mediamtx_multivariant", UriKind::Media), 1);
}

#[test]
fn the_parameter_joins_the_query_of_srs() {
    let changed = marked(&file("m3u8", "srs_media"));
    assert!(
        changed.contains("\nlivestream-4.ts?hls_ctx=t6j84v1e&spbhid=a1&x=y\n"),
        "{changed}"
    );
    assert!(!changed.contains("&&"));
}

#[test]
fn manifests_of_ffmpeg() {
    for (name, uris) in [
        ("ffmpeg_timeline", 4),
        ("ffmpeg_number", 4),
        ("ffmpeg_list", 8),
        ("ffmpeg_single", 2),
    ] {
        let text = file("mpd", name);
        let mut found = Vec::new();
        let changed = mpd::rewrite(&text, &mut |kind, uri| {
            found.push((kind, uri.to_owned()));
            Some(with_query(uri, PARAMETER))
        });
        let changed = changed.unwrap();
        assert_eq!(found.len(), uris, "{name}");
        assert_eq!(changed.replace("?spbhid=a1&amp;x=y", ""), text, "{name}");
        let mut again = Vec::new();
        let same = mpd::rewrite(&changed, &mut |kind, uri| {
            again.push((kind, uri.to_owned()));
            None
        });
        assert_eq!(same, Ok(changed));
        found.iter_mut().for_each(|(_, uri)| mapped(uri));
        assert_eq!(again, found);
    }
    let template = "chunk-stream$RepresentationID$-$Number%05d$.m4s";
    assert!(file("mpd", "ffmpeg_number").contains(template));
}
