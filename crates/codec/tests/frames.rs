//! Tracks described by their frames. The payloads are the heads of packets of ffmpeg 5.1.

use weir_codec::{Error, describe_frame};
use weir_media::{AudioCodec, Codec, VideoCodec, VideoInfo};

const VP8: Codec = Codec::Video(VideoCodec::Vp8);
const VP9: Codec = Codec::Video(VideoCodec::Vp9);
const AV1: Codec = Codec::Video(VideoCodec::Av1);

fn video(codec: Codec, payload: &[u8]) -> VideoInfo {
    describe_frame(codec, payload)
        .expect("a key frame")
        .video
        .expect("video")
}

#[test]
fn vp8_key_frame() {
    let key = [
        0x10, 0x74, 0x00, 0x9d, 0x01, 0x2a, 0x42, 0x01, 0xf2, 0x00, 0x00,
    ];
    let info = video(VP8, &key);
    assert_eq!((info.width, info.height), (322, 242));
    assert_eq!(info.profile.as_deref(), Some("Profile 0"));
    let mut damaged = key;
    damaged[4] = 0;
    assert_eq!(
        describe_frame(VP8, &damaged),
        Err(Error::Invalid {
            codec: VP8,
            field: "start_code",
            offset: 3
        })
    );
}

#[test]
fn vp9_key_frames_of_8_and_10_bits() {
    let info = video(
        VP9,
        &[0x82, 0x49, 0x83, 0x42, 0x00, 0x27, 0xf0, 0x16, 0x76, 0x04],
    );
    assert_eq!((info.width, info.height), (640, 360));
    assert_eq!(info.profile.as_deref(), Some("Profile 0"));
    let info = video(
        VP9,
        &[0x92, 0x49, 0x83, 0x42, 0x00, 0x27, 0xf8, 0x16, 0x7b, 0x03],
    );
    assert_eq!((info.width, info.height), (1280, 720));
    assert_eq!(info.profile.as_deref(), Some("Profile 2"));
}

#[test]
fn av1_temporal_unit_with_its_delimiter() {
    // librav1e: a sequence header, here behind the delimiter that FLV leaves out.
    let unit = [
        0x12, 0x00, 0x0a, 0x0d, 0x20, 0x00, 0x00, 0xfa, 0x1e, 0x83, 0xe2, 0x21, 0x0a, 0x90, 0x20,
        0x20, 0x25, 0x32,
    ];
    let info = video(AV1, &unit);
    assert_eq!((info.width, info.height), (322, 242));
}

#[test]
fn frames_that_describe_nothing_say_so() {
    for (codec, payload) in [
        (VP8, &[0x11, 0, 0][..]),
        (VP9, &[0x86, 0]),
        (VP9, &[0x88]),
        (AV1, &[0x32, 1, 0]),
        (AV1, &[0x12, 0].repeat(100)),
        (Codec::Video(VideoCodec::H264), &[0, 0, 0, 1, 0x65]),
        (Codec::Audio(AudioCodec::Aac), &[0x21]),
        (Codec::Script, &[2]),
    ] {
        assert_eq!(
            describe_frame(codec, payload),
            Err(Error::NoDescription { codec })
        );
    }
}
