//! Audio and video tag headers, read and written.
//!
//! Owns: the tests of legacy and enhanced headers: round trips, multitrack, modifiers, and headers cut short. Does not:
//! test whole tags; `reader` does.

use proptest::collection::vec;
use proptest::prelude::*;
use weir_media::{AudioCodec, VideoCodec};

use super::*;

fn layouts() -> impl Strategy<Value = Layout> {
    let size = 0u32..=0xff_ffff;
    prop_oneof![
        Just(Layout::Enhanced),
        any::<u8>().prop_map(|track| Layout::OneTrack { track }),
        (any::<u8>(), size.clone()).prop_map(|(track, size)| Layout::ManyTracks { track, size }),
        (any::<u8>(), size).prop_map(|(track, size)| Layout::ManyTracksManyCodecs { track, size }),
    ]
}

fn fourccs() -> impl Strategy<Value = [u8; 4]> {
    let known = [
        b"avc1", b"hvc1", b"vvc1", b"av01", b"vp09", b"mp4a", b"Opus", b"fLaC",
    ];
    prop_oneof![
        proptest::sample::select(known.to_vec()).prop_map(|fourcc| *fourcc),
        any::<[u8; 4]>()
    ]
}

fn video() -> impl Strategy<Value = VideoTagHeader> {
    use VideoPacket::*;
    let packets = [
        SequenceStart,
        CodedFrames,
        SequenceEnd,
        CodedFramesX,
        Metadata,
        Mpeg2TsSequenceStart,
    ];
    let types = [
        FrameType::Key,
        FrameType::Inter,
        FrameType::Disposable,
        FrameType::GeneratedKey,
    ];
    let composition = -0x80_0000i32..=0x7f_ffff;
    let enhanced = (
        layouts(),
        proptest::sample::select(types.to_vec()),
        fourccs().prop_map(VideoCodec::from_fourcc),
        proptest::sample::select(packets.to_vec()),
        composition.clone(),
        prop_oneof![Just(0), 0..=MAX_NANOS],
    )
        .prop_map(|(layout, frame_type, codec, packet, composition, nanos)| {
            let carried = packet == CodedFrames
                && matches!(
                    codec,
                    VideoCodec::H264 | VideoCodec::H265 | VideoCodec::H266
                );
            let composition_millis = if carried { composition } else { 0 };
            VideoTagHeader {
                layout,
                frame_type,
                codec,
                packet,
                composition_millis,
                nanos,
            }
        });
    let framed = [VideoCodec::H264, VideoCodec::H265, VideoCodec::Av1];
    let legacy = (
        proptest::sample::select(types.to_vec()),
        proptest::sample::select(framed.to_vec()),
        prop_oneof![
            Just(SequenceStart),
            Just(CodedFrames),
            Just(SequenceEnd),
            (3u8..).prop_map(Reserved)
        ],
        composition,
    )
        .prop_map(|(frame_type, codec, packet, composition)| VideoTagHeader {
            layout: Layout::Legacy,
            frame_type,
            codec,
            packet,
            composition_millis: if packet == CodedFrames {
                composition
            } else {
                0
            },
            nanos: 0,
        });
    prop_oneof![enhanced, legacy]
}

fn audio() -> impl Strategy<Value = AudioTagHeader> {
    use AudioPacket::*;
    let enhanced = (
        layouts(),
        fourccs().prop_map(AudioCodec::from_fourcc),
        prop_oneof![
            Just(SequenceStart),
            Just(CodedFrames),
            Just(SequenceEnd),
            Just(MultichannelConfig)
        ],
        prop_oneof![Just(0), 0..=MAX_NANOS],
    )
        .prop_map(|(layout, codec, packet, nanos)| AudioTagHeader {
            layout,
            codec,
            packet,
            sound: 0,
            nanos,
        });
    let legacy = (
        prop_oneof![
            Just(AudioCodec::Mp3),
            Just(AudioCodec::Legacy(7)),
            Just(AudioCodec::Aac)
        ],
        any::<bool>(),
        0u8..16,
    )
        .prop_map(|(codec, start, sound)| {
            let start = start && codec == AudioCodec::Aac;
            let packet = if start { SequenceStart } else { CodedFrames };
            AudioTagHeader {
                layout: Layout::Legacy,
                codec,
                packet,
                sound,
                nanos: 0,
            }
        });
    prop_oneof![enhanced, legacy]
}

proptest! {
    #[test]
    fn video_round_trip(header in video(), payload: Vec<u8>) {
        let mut body = Vec::new();
        header.write(&mut body).unwrap();
        let at = body.len();
        body.extend(payload);
        prop_assert_eq!(VideoTagHeader::parse(&body), Ok((header, at)));
    }

    #[test]
    fn audio_round_trip(header in audio(), payload: Vec<u8>) {
        let mut body = Vec::new();
        header.write(&mut body).unwrap();
        let at = body.len();
        body.extend(payload);
        prop_assert_eq!(AudioTagHeader::parse(&body), Ok((header, at)));
    }

    #[test]
    fn a_header_cut_short_is_an_error(header in video(), missing in 1usize..20) {
        let mut body = Vec::new();
        header.write(&mut body).unwrap();
        let lenient = header.layout == Layout::Legacy && header.packet == VideoPacket::SequenceEnd;
        if missing <= body.len() && !lenient {
            body.truncate(body.len() - missing);
            prop_assert!(VideoTagHeader::parse(&body).is_err());
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(body in vec(any::<u8>(), 0..40)) {
        if let Ok((_, at)) = VideoTagHeader::parse(&body) {
            prop_assert!(at <= body.len());
        }
        if let Ok((_, at)) = AudioTagHeader::parse(&body) {
            prop_assert!(at <= body.len());
        }
    }
}

fn parse_video(body: &[u8]) -> (VideoTagHeader, usize) {
    VideoTagHeader::parse(body).unwrap()
}

#[test]
fn legacy_avc() {
    let (header, at) = parse_video(&[0x27, 1, 0xff, 0xff, 0xd8, 9]);
    assert_eq!(
        (header.codec, header.frame_type),
        (VideoCodec::H264, FrameType::Inter)
    );
    assert_eq!(
        (header.packet, header.composition_millis),
        (VideoPacket::CodedFrames, -40)
    );
    assert_eq!((header.layout, at), (Layout::Legacy, 5));
    // The composition time of a configuration has no meaning.
    assert_eq!(parse_video(&[0x17, 0, 0, 0, 40, 1]).0.composition_millis, 0);
}

#[test]
fn legacy_numbers_for_hevc_and_av1_are_framed_as_avc() {
    for (id, codec) in [(12, VideoCodec::H265), (13, VideoCodec::Av1)] {
        let (header, at) = parse_video(&[0x10 | id, 1, 0, 0, 80, 9]);
        assert_eq!(
            (header.codec, header.composition_millis, at),
            (codec, 80, 5)
        );
    }
}

#[test]
fn legacy_codecs_have_one_byte_of_header() {
    let (header, at) = parse_video(&[0x22, 1, 2, 3]);
    assert_eq!(
        (header.codec, header.packet, at),
        (VideoCodec::Legacy(2), VideoPacket::CodedFrames, 1)
    );
    let (header, at) = AudioTagHeader::parse(&[0x2f, 0xff]).unwrap();
    assert_eq!((header.codec, header.sound, at), (AudioCodec::Mp3, 15, 1));
    assert_eq!(
        AudioTagHeader::parse(&[0xe0]).unwrap().0.codec,
        AudioCodec::Mp3
    );
}

#[test]
fn commands_carry_no_codec() {
    let (header, at) = parse_video(&[0x57, 0]);
    assert_eq!((header.packet, at), (VideoPacket::Command, 1));
    let (header, at) = parse_video(&[0xd1, 1]);
    assert_eq!((header.packet, at), (VideoPacket::Command, 1));
    assert_eq!(header.codec, VideoCodec::Unknown(NO_FOURCC));
    // Metadata is no command whatever the frame type says.
    let (header, at) = parse_video(b"\xd4hvc1\x02");
    assert_eq!((header.packet, at), (VideoPacket::Metadata, 5));
    for bytes in [&[0x57][..], &[0xd0]] {
        let mut out = Vec::new();
        parse_video(bytes).0.write(&mut out).unwrap();
        assert_eq!(out, bytes);
    }
}

#[test]
fn a_short_end_of_sequence_is_taken() {
    let (header, at) = parse_video(&[0x17, 2]);
    assert_eq!((header.packet, at), (VideoPacket::SequenceEnd, 2));
    assert!(VideoTagHeader::parse(&[0x17, 1, 0]).is_err());
}

#[test]
fn composition_time_is_there_for_three_codecs_only() {
    for (fourcc, expected) in [
        (b"avc1", 8),
        (b"hvc1", 8),
        (b"vvc1", 8),
        (b"av01", 5),
        (b"vp09", 5),
    ] {
        let body = [&[0x91][..], fourcc, &[0, 0, 40, 1]].concat();
        assert_eq!(parse_video(&body).1, expected, "{}", fourcc.escape_ascii());
        let body = [&[0x93][..], fourcc, &[0, 0, 40, 1]].concat();
        assert_eq!(parse_video(&body).1, 5);
    }
}

#[test]
fn multitrack_packets_name_their_first_track() {
    let (header, at) = parse_video(b"\x96\x11avc1\x03\x00\x00\x05\x00\x00\x28ab");
    assert_eq!(header.layout, Layout::ManyTracks { track: 3, size: 5 });
    assert_eq!((header.composition_millis, at), (40, 13));
    let (header, at) = AudioTagHeader::parse(b"\x95\x20Opus\x01\x00\x00\x02ab").unwrap();
    assert_eq!(
        header.layout,
        Layout::ManyTracksManyCodecs { track: 1, size: 2 }
    );
    assert_eq!(
        (header.codec, header.packet, at),
        (AudioCodec::Opus, AudioPacket::SequenceStart, 10)
    );
    assert_eq!(
        VideoTagHeader::parse(b"\x96\x06avc1\x00"),
        Err(Error::NestedMultitrack { offset: 1 })
    );
    assert_eq!(
        AudioTagHeader::parse(b"\x95\x31mp4a\x00"),
        Err(Error::Multitrack { kind: 3, offset: 1 })
    );
}

#[test]
fn modifiers_are_read_and_passed_over() {
    // 500,000 ns, then coded frames.
    let (header, at) = parse_video(b"\x97\x02\x07\xa1\x20\x03hvc1x");
    assert_eq!(
        (header.nanos, header.packet, at),
        (500_000, VideoPacket::CodedFramesX, 10)
    );
    // An unknown modifier of 2 bytes, then one of 257 bytes by its 16-bit length, then the offset.
    let mut body = b"\x97\x01ab\x17\xff\x01\x00".to_vec();
    body.extend([0; 257]);
    body.extend(b"\x27\x02\xff\xff\xff\x01\x34\x56");
    assert!(VideoTagHeader::parse(&body).is_err());
    body.truncate(body.len() - 2);
    body.extend(b"av01");
    let (header, at) = parse_video(&body);
    assert_eq!((header.nanos, at), (MAX_NANOS, body.len()));
    // Audio, with multitrack behind the modifier.
    let (header, at) = AudioTagHeader::parse(b"\x97\x02\x00\x00\x09\x05\x01mp4a\x02").unwrap();
    assert_eq!(
        (header.nanos, header.layout, at),
        (9, Layout::OneTrack { track: 2 }, 12)
    );
}

#[test]
fn codecs_without_a_name_are_not_written() {
    let mut out = Vec::new();
    let (mut header, _) = parse_video(b"\x91vp09");
    header.layout = Layout::Legacy;
    assert_eq!(header.write(&mut out), Err(Error::Unwritable));
    header.layout = Layout::Enhanced;
    header.codec = VideoCodec::Legacy(2);
    assert_eq!(header.write(&mut out), Err(Error::Unwritable));
    let (mut header, _) = AudioTagHeader::parse(b"\x91Opus").unwrap();
    header.layout = Layout::Legacy;
    assert_eq!(header.write(&mut out), Err(Error::Unwritable));
    assert!(out.is_empty());
}
