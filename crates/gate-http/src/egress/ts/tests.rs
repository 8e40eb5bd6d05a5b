//! Tests of frames as a transport stream.

use std::collections::HashMap;

use proptest::prelude::*;
use weir_container::ts::PACKET_BYTES;
use weir_media::{AudioCodec, VideoCodec};

use super::*;

const AVC_CONFIG: &[u8] = b"\x01\x64\0\x1f\xff\xe1\0\x04\x67\x64\0\x1f\x01\0\x02\x68\xee";
const AAC_CONFIG: &[u8] = b"\x12\x10";
const H264: Codec = Codec::Video(VideoCodec::H264);
const AV1: Codec = Codec::Video(VideoCodec::Av1);
const AAC: Codec = Codec::Audio(AudioCodec::Aac);
const MP3: Codec = Codec::Audio(AudioCodec::Mp3);

fn frame(codec: Codec, role: Role, millis: i64, payload: &[u8]) -> Frame {
    let track = match codec {
        Codec::Audio(_) => TrackId::AUDIO,
        _ => TrackId::VIDEO,
    };
    Frame {
        track,
        codec,
        role,
        dts: Timestamp::from_millis(millis),
        composition: Timestamp::ZERO,
        packet: Bytes::copy_from_slice(payload),
        payload_at: 0,
    }
}

fn key(millis: i64) -> Frame {
    frame(H264, Role::Key, millis, b"\0\0\0\x03\x65\x01\x02")
}

fn sound(codec: Codec, millis: i64) -> Frame {
    // the head of an MP3 frame of 104 bytes, which raw AAC may be too
    let mut payload = vec![0xff, 0xfb, 0x10, 0xc4];
    payload.resize(104, 0);
    frame(codec, Role::Delta, millis, &payload)
}

fn setup(configs: &[(Codec, &[u8])]) -> Setup {
    let config = |(codec, payload): &(Codec, &[u8])| frame(*codec, Role::Config, 0, payload);
    Setup {
        metadata: None,
        configs: configs.iter().map(config).collect(),
    }
}

/// A piece that begins at an entry point, as the log makes it.
fn entry(format: &mut TsFormat, setup: &Setup, frames: &[Frame]) -> Vec<u8> {
    let at = frames.first().expect("a frame").dts;
    let mut prelude = Vec::new();
    format.prelude(setup, at, &mut prelude);
    assert!(prelude.is_empty());
    piece(format, frames)
}

fn piece(format: &mut TsFormat, frames: &[Frame]) -> Vec<u8> {
    let mut piece = vec![0; format.head_room()];
    for frame in frames {
        format.frame(frame, &mut piece);
    }
    format.seal(piece).to_vec()
}

fn pid(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[1], packet[2]]) & 0x1fff
}

/// The PIDs of the packets in order, after a look at their counters.
fn pids(counters: &mut HashMap<u16, u8>, piece: &[u8]) -> Vec<u16> {
    assert_eq!(piece.len() % PACKET_BYTES, 0);
    let packets = piece.chunks_exact(PACKET_BYTES);
    packets
        .map(|packet| {
            assert_eq!(packet[0], 0x47);
            let has_payload = packet[3] & 0x10 != 0;
            let counter = packet[3] & 0x0f;
            if has_payload && let Some(last) = counters.insert(pid(packet), counter) {
                assert_eq!((last + 1) & 0x0f, counter, "pid {}", pid(packet));
            }
            pid(packet)
        })
        .collect()
}

#[test]
fn entries_begin_with_tables_and_counters_go_on() {
    let mut format = TsFormat::new(Framing::Raw);
    let setup = setup(&[(H264, AVC_CONFIG), (AAC, AAC_CONFIG)]);
    let mut counters = HashMap::new();
    for second in 0..20 {
        let at = second * 1000;
        let first = entry(&mut format, &setup, &[key(at), sound(AAC, at + 5)]);
        let found = pids(&mut counters, &first);
        assert_eq!(found.first(), Some(&0), "the PAT comes first");
        assert!(found.len() >= 4, "{found:?}");
        let next = piece(&mut format, &[sound(AAC, at + 500)]);
        assert!(!pids(&mut counters, &next).is_empty());
    }
}

#[test]
fn tracks_that_cannot_be_carried_are_left_out() {
    let mut format = TsFormat::new(Framing::Raw);
    let setup = setup(&[(AV1, b"\x81\x05\x0c\0"), (AAC, AAC_CONFIG)]);
    let key = frame(AV1, Role::Key, 0, b"obu");
    let only_video = entry(&mut format, &setup, std::slice::from_ref(&key));
    assert!(only_video.is_empty());
    let both = entry(&mut format, &setup, &[key, sound(AAC, 10)]);
    let found = pids(&mut HashMap::new(), &both);
    assert_eq!(found.first(), Some(&0));
    assert!(
        found.contains(&0x200) && !found.contains(&0x100),
        "{found:?}"
    );
}

#[test]
fn codecs_without_headers_begin_with_their_first_frame() {
    let mut format = TsFormat::new(Framing::Raw);
    let setup = setup(&[(H264, AVC_CONFIG)]);
    let mut counters = HashMap::new();
    pids(&mut counters, &entry(&mut format, &setup, &[key(0)]));
    let later = pids(&mut counters, &piece(&mut format, &[sound(MP3, 20)]));
    assert!(later.contains(&0) && later.contains(&0x200), "{later:?}");
}

#[test]
fn a_codec_change_takes_effect_where_it_happens() {
    let mut format = TsFormat::new(Framing::Raw);
    let before = setup(&[(H264, AVC_CONFIG), (AAC, AAC_CONFIG)]);
    let mut counters = HashMap::new();
    pids(
        &mut counters,
        &entry(&mut format, &before, &[key(0), sound(AAC, 5)]),
    );
    let after = setup(&[(AV1, b"\x81\x05\x0c\0"), (AAC, AAC_CONFIG)]);
    let frames = [frame(AV1, Role::Key, 1000, b"obu"), sound(AAC, 1005)];
    let found = pids(&mut counters, &entry(&mut format, &after, &frames));
    assert!(!found.contains(&0x100), "{found:?}");
    let found = pids(&mut counters, &entry(&mut format, &before, &[key(2000)]));
    assert!(found.contains(&0x100), "{found:?}");
}

#[test]
fn tracks_that_fall_silent_leave_the_tables_and_come_back() {
    let mut format = TsFormat::new(Framing::Raw);
    let setup = setup(&[(H264, AVC_CONFIG), (AAC, AAC_CONFIG)]);
    let mut counters = HashMap::new();
    pids(
        &mut counters,
        &entry(&mut format, &setup, &[key(0), sound(AAC, 5)]),
    );
    let is_carried = |format: &TsFormat| {
        let audio = format
            .tracks
            .iter()
            .find(|track| track.id == TrackId::AUDIO);
        audio.is_some_and(|track| track.carried)
    };
    let silent_for = i64::try_from(SILENT_FOR.as_millis()).expect("short");
    entry(&mut format, &setup, &[key(silent_for - 1000)]);
    assert!(is_carried(&format));
    entry(&mut format, &setup, &[key(silent_for + 1000)]);
    assert!(!is_carried(&format));
    let back = piece(&mut format, &[sound(AAC, silent_for + 1500)]);
    assert!(is_carried(&format) && !back.is_empty());
}

#[test]
fn a_stream_of_another_publisher_begins_anew() {
    let mut format = TsFormat::new(Framing::Raw);
    let first = setup(&[(H264, AVC_CONFIG), (AAC, AAC_CONFIG)]);
    entry(&mut format, &first, &[key(0), sound(AAC, 5)]);
    entry(
        &mut format,
        &setup(&[(AAC, AAC_CONFIG)]),
        &[sound(AAC, 1000)],
    );
    assert_eq!(format.tracks.len(), 1);
}

#[test]
fn nothing_is_written_before_a_header_that_is_needed() {
    let mut format = TsFormat::new(Framing::Raw);
    assert!(piece(&mut format, &[key(0), sound(AAC, 1)]).is_empty());
}

proptest! {
    #[test]
    fn any_payload_is_whole_packets_in_every_framing(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 1..6),
    ) {
        let frames: Vec<_> = payloads
            .iter()
            .enumerate()
            .map(|(index, payload)| {
                let codec = if index % 2 == 0 { H264 } else { AAC };
                let role = if index % 2 == 0 { Role::Key } else { Role::Delta };
                frame(codec, role, index as i64 * 20, payload)
            })
            .collect();
        let setup = setup(&[(H264, AVC_CONFIG), (AAC, AAC_CONFIG)]);
        let raw = entry(&mut TsFormat::new(Framing::Raw), &setup, &frames);
        pids(&mut HashMap::new(), &raw);
        let chunked = entry(&mut TsFormat::new(Framing::Chunked), &setup, &frames);
        prop_assert_eq!(&chunked[10..chunked.len() - 2], &raw[..]);
    }
}
