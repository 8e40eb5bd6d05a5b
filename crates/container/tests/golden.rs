//! Files of ffmpeg, read by us and by ffmpeg: every packet must have the same track, times, key
//! flag and payload.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use weir_container::flv::{self, Reader, Tag, TagKind};
use weir_media::{AudioCodec, Codec, Frame, Media, Role, Timestamp, TrackId, VideoCodec};

const LIMIT: usize = 1 << 20;

fn data(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/ffmpeg")
        .join(name);
    std::fs::read(path).unwrap()
}

fn tags(name: &str) -> Vec<Tag> {
    let file = data(name);
    let mut input = &file[..];
    let mut reader = Reader::new(LIMIT);
    let mut tags = Vec::new();
    while let Some(tag) = reader.read(&mut input).unwrap() {
        tags.push(tag);
    }
    assert!(reader.is_between_tags());
    assert_eq!((reader.misfits(), reader.unknown_tags()), (0, 0));
    assert_eq!(reader.offset(), file.len() as u64);
    tags
}

fn frames(name: &str) -> Vec<Frame> {
    let frame = |tag: Tag| {
        flv::frame(
            tag.kind,
            Timestamp::from_millis(i64::from(tag.timestamp)),
            tag.body,
        )
        .unwrap()
    };
    tags(name).into_iter().map(frame).collect()
}

/// Adler-32 as ffmpeg's `framecrc` has it: begun at 0 instead of 1.
fn checksum(bytes: &[u8]) -> u32 {
    let (mut low, mut high) = (0u32, 0u32);
    for byte in bytes {
        low = (low + u32::from(*byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    high << 16 | low
}

#[derive(Debug, PartialEq)]
struct Packet {
    dts: i64,
    pts: i64,
    key: bool,
    size: usize,
    checksum: u32,
}

/// What ffmpeg read: configurations and packets by number of stream. Packets without bytes are
/// ffmpeg's echo of a configuration.
fn expected(name: &str) -> (BTreeMap<usize, u32>, BTreeMap<usize, Vec<Packet>>) {
    let text = String::from_utf8(data(name)).unwrap();
    let hex = |field: &str| u32::from_str_radix(field.trim_start_matches("0x"), 16).unwrap();
    let (mut configs, mut packets) = (BTreeMap::new(), BTreeMap::<_, Vec<_>>::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("#extradata ") {
            let (stream, rest) = rest.split_once(": ").unwrap();
            let (_, sum) = rest.split_once(", ").unwrap();
            configs.insert(stream.parse().unwrap(), hex(sum));
            continue;
        }
        let fields: Vec<_> = line.split(", ").collect();
        let packet = Packet {
            dts: fields[1].parse().unwrap(),
            pts: fields[2].parse().unwrap(),
            key: !fields.contains(&"F=0x0"),
            size: fields[4].parse().unwrap(),
            checksum: hex(fields[5]),
        };
        if packet.size > 0 {
            packets
                .entry(fields[0].parse().unwrap())
                .or_default()
                .push(packet);
        }
    }
    (configs, packets)
}

/// Compares with ffmpeg, and gives the tracks in ffmpeg's order: those of pictures first.
fn check(name: &str) -> BTreeMap<TrackId, Codec> {
    let (mut configs, mut packets) = expected(&format!("{name}.framecrc"));
    let frames = frames(&format!("{name}.flv"));
    let media = |frame: &&Frame| frame.track.media != Media::Data;
    let tracks: BTreeMap<_, _> = frames
        .iter()
        .filter(media)
        .map(|frame| (frame.track, frame.codec))
        .collect();
    for (stream, (track, codec)) in tracks.iter().enumerate() {
        let mut read = Vec::new();
        for frame in frames.iter().filter(|frame| frame.track == *track) {
            assert_eq!(frame.codec, *codec, "{name}");
            let payload = frame.payload();
            match frame.role {
                // The first alone: ffmpeg's muxer ends with FLAC's configuration again, its digest
                // filled in.
                Role::Config => {
                    if let Some(sum) = configs.remove(&stream) {
                        assert_eq!(checksum(&payload), sum, "{name} {track:?}");
                    }
                }
                Role::Key | Role::Delta => read.push(Packet {
                    dts: frame.dts.millis(),
                    pts: (frame.dts + frame.composition).millis(),
                    key: frame.role == Role::Key || track.media == Media::Audio,
                    size: payload.len(),
                    checksum: checksum(&payload),
                }),
                Role::Metadata | Role::Other => {}
            }
        }
        assert_eq!(Some(read), packets.remove(&stream), "{name} {track:?}");
    }
    assert!(packets.is_empty() && configs.is_empty());
    tracks
}

fn codecs(name: &str) -> Vec<Codec> {
    check(name).into_values().collect()
}

fn roles(name: &str, track: TrackId) -> Vec<Role> {
    frames(name)
        .iter()
        .filter(|frame| frame.track == track)
        .map(|frame| frame.role)
        .collect()
}

#[test]
fn h264_with_reordered_pictures_and_aac() {
    let h264 = Codec::Video(VideoCodec::H264);
    assert_eq!(codecs("h264_aac"), [h264, Codec::Audio(AudioCodec::Aac)]);
    let roles = roles("h264_aac.flv", TrackId::VIDEO);
    assert_eq!(roles[..3], [Role::Config, Role::Key, Role::Delta]);
    assert_eq!(roles.iter().filter(|role| **role == Role::Key).count(), 2);
    // ffmpeg closes with an end of sequence.
    assert_eq!(roles.last(), Some(&Role::Other));
}

#[test]
fn mp3_has_no_configuration() {
    assert_eq!(codecs("mp3"), [Codec::Audio(AudioCodec::Mp3)]);
    assert!(
        roles("mp3.flv", TrackId::AUDIO)
            .iter()
            .all(|role| *role == Role::Delta)
    );
}

#[test]
fn enhanced_video() {
    assert_eq!(codecs("hevc"), [Codec::Video(VideoCodec::H265)]);
    assert_eq!(codecs("av1"), [Codec::Video(VideoCodec::Av1)]);
    for name in ["hevc.flv", "av1.flv"] {
        let roles = roles(name, TrackId::VIDEO);
        let config = roles.iter().position(|role| *role == Role::Config);
        assert!(
            config < roles.iter().position(|role| *role == Role::Key),
            "{name}: {roles:?}"
        );
    }
}

#[test]
fn enhanced_audio() {
    let vp9 = Codec::Video(VideoCodec::Vp9);
    assert_eq!(codecs("vp9_opus"), [vp9, Codec::Audio(AudioCodec::Opus)]);
    assert_eq!(codecs("flac"), [Codec::Audio(AudioCodec::Flac)]);
    assert_eq!(codecs("ac3"), [Codec::Audio(AudioCodec::Ac3)]);
}

#[test]
fn multitrack() {
    let tracks = check("multitrack");
    let (h264, aac) = (
        Codec::Video(VideoCodec::H264),
        Codec::Audio(AudioCodec::Aac),
    );
    let expected = [
        (TrackId::VIDEO, h264),
        (
            TrackId {
                media: Media::Video,
                index: 1,
            },
            h264,
        ),
        (TrackId::AUDIO, aac),
        (
            TrackId {
                media: Media::Audio,
                index: 1,
            },
            aac,
        ),
    ];
    assert_eq!(tracks, expected.into());
}

#[test]
fn metadata_comes_first_and_is_understood() {
    let frames = frames("h264_aac.flv");
    assert_eq!(
        (frames[0].role, frames[0].codec),
        (Role::Metadata, Codec::Script)
    );
    let metadata = flv::metadata(&frames[0].packet).unwrap();
    assert_eq!(
        metadata.get("width").and_then(|value| value.as_f64()),
        Some(64.0)
    );
    assert_eq!(
        metadata.get("stereo").and_then(|value| value.as_bool()),
        Some(false)
    );
    let encoder = metadata
        .get("encoder")
        .and_then(|value| value.as_str())
        .unwrap();
    assert!(encoder.starts_with("Lavf"));
}

#[test]
fn a_file_written_again_is_the_same_file() {
    for name in [
        "h264_aac",
        "mp3",
        "hevc",
        "av1",
        "vp9_opus",
        "flac",
        "ac3",
        "multitrack",
    ] {
        let file = data(&format!("{name}.flv"));
        let mut out = Vec::new();
        let tags = tags(&format!("{name}.flv"));
        let has = |kind| tags.iter().any(|tag: &Tag| tag.kind == kind);
        flv::write_file_header(has(TagKind::Audio), has(TagKind::Video), &mut out);
        for tag in &tags {
            flv::write_tag(tag.kind, tag.timestamp, &tag.body, &mut out).unwrap();
        }
        assert!(out == file, "{name}");
    }
}

#[test]
fn headers_written_again_are_the_same_bytes() {
    use weir_container::flv::header::{AudioTagHeader, VideoTagHeader};
    for name in [
        "h264_aac",
        "mp3",
        "hevc",
        "av1",
        "vp9_opus",
        "flac",
        "ac3",
        "multitrack",
    ] {
        for Tag { kind, body, .. } in tags(&format!("{name}.flv")) {
            let mut out = Vec::new();
            let at = match kind {
                TagKind::Audio => {
                    let (header, at) = AudioTagHeader::parse(&body).unwrap();
                    header.write(&mut out).unwrap();
                    at
                }
                TagKind::Video => {
                    let (header, at) = VideoTagHeader::parse(&body).unwrap();
                    header.write(&mut out).unwrap();
                    at
                }
                TagKind::Script => continue,
            };
            assert_eq!(Bytes::from(out), body.slice(..at), "{name}");
        }
    }
}
