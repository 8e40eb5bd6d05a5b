//! Bytes from anyone: no input panics, hangs or is believed beyond its bounds, whatever codec it claims to be.

use proptest::collection::vec;
use proptest::prelude::*;
use weir_codec::{MAX_PARAMETER_SET_BYTES, describe, describe_frame};
use weir_media::{AudioCodec, Codec, TrackInfo, VideoCodec};

const CODECS: [Codec; 12] = [
    Codec::Video(VideoCodec::H264),
    Codec::Video(VideoCodec::H265),
    Codec::Video(VideoCodec::H266),
    Codec::Video(VideoCodec::Av1),
    Codec::Video(VideoCodec::Vp8),
    Codec::Video(VideoCodec::Vp9),
    Codec::Audio(AudioCodec::Aac),
    Codec::Audio(AudioCodec::Mp3),
    Codec::Audio(AudioCodec::Opus),
    Codec::Audio(AudioCodec::Flac),
    Codec::Audio(AudioCodec::Ac3),
    Codec::Audio(AudioCodec::Eac3),
];

/// Beginnings that lead past the first checks of each parser.
const HEADS: [&[u8]; 9] = [
    &[],
    &[1, 0x64, 0, 0x28, 0xff, 0xe1, 0, 0xff, 0x67, 0x64, 0, 0x28],
    &[
        1, 0x64, 0, 0x28, 0xff, 0xe1, 0, 0x20, 0x67, 0xf4, 0, 0x28, 0x91, 0x9b,
    ],
    &[
        1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 0x78, 0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0,
        0x0f, 1, 0x21, 0, 1, 0, 0x40, 0x42, 1, 1, 1, 0x60, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3, 0,
        0x78, 0xa0,
    ],
    &[0x81, 0, 0x0c, 0, 0x0a, 0x20],
    &[0x12, 0x00, 0x0a, 0x20],
    b"fLaC\x80\0\0\x22",
    &[0x0b, 0x77],
    &[0x82, 0x49, 0x83, 0x42],
];

fn input() -> impl Strategy<Value = Vec<u8>> {
    let head = prop::sample::select(&HEADS[..]);
    let zeros = prop_oneof![any::<u8>(), Just(0u8), Just(0xffu8)];
    (head, vec(zeros, 0..400)).prop_map(|(head, tail)| [head, &tail].concat())
}

/// Errors lie within the input; sizes fit 16 bits; rates are positive numbers.
fn check(codec: Codec, input: &[u8], result: Result<TrackInfo, weir_codec::Error>) {
    let info = match result {
        Ok(info) => info,
        Err(error) => {
            assert_eq!(error.codec(), codec);
            assert!(
                error.offset().is_none_or(|offset| offset <= input.len()),
                "{error}"
            );
            return;
        }
    };
    assert_eq!(info.codec, codec);
    if let Some(video) = info.video {
        assert!(video.width <= 65_536 && video.height <= 65_536);
        assert!(
            video
                .frame_rate
                .is_none_or(|rate| rate.is_finite() && rate > 0.0)
        );
    }
    if let Some(audio) = info.audio {
        assert!(audio.channels <= 255);
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(input in input()) {
        for codec in CODECS {
            check(codec, &input, describe(codec, &input));
            check(codec, &input, describe_frame(codec, &input));
        }
    }
}

#[test]
fn every_cut_of_a_header_is_an_error_or_a_description() {
    for head in HEADS {
        for end in 0..=head.len() {
            for codec in CODECS {
                check(codec, &head[..end], describe(codec, &head[..end]));
                check(codec, &head[..end], describe_frame(codec, &head[..end]));
            }
        }
    }
}

#[test]
fn large_inputs_are_refused_or_read_in_part() {
    let mut config = vec![1, 0x64, 0, 0x28, 0xff, 0xe1, 0xff, 0xff, 0x67];
    config.resize(100_000, 0x80);
    let error = describe(CODECS[0], &config).unwrap_err();
    assert!(matches!(
        error,
        weir_codec::Error::TooLarge {
            limit: MAX_PARAMETER_SET_BYTES,
            offset: 8,
            ..
        }
    ));
    for fill in [0, 0x80, 0xff] {
        let input = vec![fill; 1 << 20];
        for codec in CODECS {
            check(codec, &input, describe(codec, &input));
            check(codec, &input, describe_frame(codec, &input));
        }
    }
}
