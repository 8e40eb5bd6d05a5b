//! What frames are made of message bodies.
//!
//! Owns: the tests of roles, times, payloads and tracks. Does not: test headers field by field; `header` does.

use proptest::prelude::*;

use super::*;
use crate::amf::amf0;

const DTS: Timestamp = Timestamp::from_millis(1_000);

fn of(kind: TagKind, body: &[u8]) -> Frame {
    frame(kind, DTS, Bytes::copy_from_slice(body)).unwrap()
}

fn role(kind: TagKind, body: &[u8]) -> Role {
    of(kind, body).role
}

fn script(names: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for name in names {
        amf0::write_string(name, &mut out);
    }
    amf0::write_null(&mut out);
    out
}

#[test]
fn roles_of_video() {
    let cases: [(&[u8], Role); 20] = [
        (&[0x17, 0, 0, 0, 0, 1], Role::Config),
        (&[0x17, 0, 0, 0, 0], Role::Other),
        (&[0x17, 1, 0, 0, 0, 1], Role::Key),
        (&[0x17, 1, 0, 0, 0], Role::Other),
        (&[0x27, 1, 0, 0, 0, 1], Role::Delta),
        (&[0x37, 1, 0, 0, 0, 1], Role::Delta),
        (&[0x47, 1, 0, 0, 0, 1], Role::Key),
        (&[0x57, 0], Role::Other),
        (&[0x17, 2, 0, 0, 0], Role::Other),
        (&[0x12, 1], Role::Key),
        (&[0x22, 1], Role::Delta),
        (b"\x90hvc1\x01", Role::Config),
        (b"\x90hvc1", Role::Other),
        (b"\x90vp09", Role::Config),
        (b"\x95av01\x01", Role::Config),
        (b"\x93hvc1\x01", Role::Key),
        (b"\xa1av01\x01", Role::Delta),
        (b"\x92hvc1", Role::Other),
        (b"\x94hvc1\x02", Role::Other),
        (b"\xf1av01\x01", Role::Other),
    ];
    for (body, expected) in cases {
        assert_eq!(role(TagKind::Video, body), expected, "{body:02x?}");
    }
}

#[test]
fn roles_of_audio() {
    let cases: [(&[u8], Role); 11] = [
        (&[0xaf, 0, 0x12, 0x10], Role::Config),
        (&[0xaf, 0], Role::Other),
        (&[0xaf, 1, 0x21], Role::Delta),
        (&[0xaf, 1], Role::Other),
        (&[0x2f, 0xff], Role::Delta),
        (&[0x2f], Role::Other),
        (b"\x90Opus", Role::Config),
        (b"\x90mp4a\x12\x10", Role::Config),
        (b"\x91Opus\x01", Role::Delta),
        (b"\x92Opus", Role::Other),
        (b"\x94Opus\x01\x06", Role::Other),
    ];
    for (body, expected) in cases {
        assert_eq!(role(TagKind::Audio, body), expected, "{body:02x?}");
    }
}

#[test]
fn roles_of_script_data() {
    let plain = script(&["onMetaData"]);
    let wrapped = script(&["@setDataFrame", "onMetaData"]);
    assert_eq!(role(TagKind::Script, &plain), Role::Metadata);
    let frame = of(TagKind::Script, &wrapped);
    assert_eq!(
        (frame.role, frame.packet.len()),
        (Role::Metadata, wrapped.len())
    );
    assert_eq!(frame.payload(), plain);
    for names in [
        &["onTextData"][..],
        &["@clearDataFrame", "onMetaData"],
        &["@setDataFrame"],
        &[],
    ] {
        assert_eq!(role(TagKind::Script, &script(names)), Role::Other);
    }
    assert_eq!(role(TagKind::Script, &[]), Role::Other);
}

#[test]
fn empty_bodies_are_frames_without_a_codec() {
    let audio = of(TagKind::Audio, &[]);
    assert_eq!((audio.role, audio.track), (Role::Other, TrackId::AUDIO));
    assert_eq!(audio.codec, Codec::Audio(AudioCodec::Unknown(NO_FOURCC)));
    let video = of(TagKind::Video, &[]);
    assert_eq!((video.role, video.track), (Role::Other, TrackId::VIDEO));
    assert_eq!(video.payload(), Bytes::new());
}

#[test]
fn times_and_payload() {
    let body = Bytes::from_static(&[0x27, 1, 0, 0, 80, 7, 8]);
    let frame = frame(TagKind::Video, DTS, body.clone()).unwrap();
    assert_eq!((frame.dts, frame.composition.millis()), (DTS, 80));
    assert_eq!(frame.payload(), [7, 8][..]);
    assert_eq!(frame.packet.as_ptr(), body.as_ptr(), "shared, not copied");
}

#[test]
fn nanoseconds_shift_what_is_shown_and_no_wire_time() {
    let video = of(TagKind::Video, b"\x97\x02\x0f\x42\x3f\x03hvc1x");
    assert_eq!(
        (video.role, video.dts, video.composition.ticks()),
        (Role::Key, DTS, 899)
    );
    let audio = of(TagKind::Audio, b"\x97\x02\x07\xa1\x20\x01Opusx");
    assert_eq!(
        (audio.dts - DTS, audio.composition.ticks()),
        (Timestamp::from_ticks(450), 0)
    );
    assert_eq!(audio.dts.wire_millis(), DTS.wire_millis());
}

#[test]
fn a_body_with_many_tracks_is_its_first_track() {
    let body = b"\x96\x13hvc1\x02\x00\x00\x01a\x03\x00\x00\x01b";
    let frame = of(TagKind::Video, body);
    assert_eq!(
        frame.track,
        TrackId {
            media: Media::Video,
            index: 2
        }
    );
    assert_eq!(
        (frame.role, frame.codec),
        (Role::Key, Codec::Video(VideoCodec::H265))
    );
    assert_eq!(frame.payload()[..1], *b"a");
    assert_eq!(frame.packet, body[..]);
}

proptest! {
    #[test]
    fn arbitrary_bodies_do_no_harm(body: Vec<u8>) {
        for kind in [TagKind::Audio, TagKind::Video, TagKind::Script] {
            if let Ok(frame) = frame(kind, DTS, Bytes::copy_from_slice(&body)) {
                prop_assert!(frame.payload_at as usize <= body.len());
                prop_assert_eq!(&frame.packet, &body);
                prop_assert!(frame.role != Role::Key || !frame.payload().is_empty());
            }
        }
    }
}
