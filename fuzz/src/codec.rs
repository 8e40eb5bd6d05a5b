//! Targets of the codec headers.
//!
//! Owns: what must hold for any description. Input: see each target.

use weir_codec::{Error, LengthSize, describe, describe_frame, h264, h265};
use weir_media::{AudioCodec, Codec, TrackInfo, VideoCodec};

use crate::pieces::head;

/// Every codec, and one of each kind of number.
pub(crate) const CODECS: [Codec; 16] = [
    Codec::Video(VideoCodec::H264),
    Codec::Video(VideoCodec::H265),
    Codec::Video(VideoCodec::H266),
    Codec::Video(VideoCodec::Av1),
    Codec::Video(VideoCodec::Vp8),
    Codec::Video(VideoCodec::Vp9),
    Codec::Video(VideoCodec::Legacy(2)),
    Codec::Video(VideoCodec::Unknown(*b"zzzz")),
    Codec::Audio(AudioCodec::Aac),
    Codec::Audio(AudioCodec::Mp3),
    Codec::Audio(AudioCodec::Opus),
    Codec::Audio(AudioCodec::Flac),
    Codec::Audio(AudioCodec::Ac3),
    Codec::Audio(AudioCodec::Eac3),
    Codec::Audio(AudioCodec::Legacy(11)),
    Codec::Script,
];

/// Reads the input as the sequence header of every codec.
pub fn codec_describe(data: &[u8]) {
    for codec in CODECS {
        check(codec, data, describe(codec, data));
    }
    for result in [h264::length_size(data), h265::length_size(data)] {
        if let Err(error) = result {
            check_error(&error, data.len());
        }
    }
}

/// Reads the input as a frame of every codec.
pub fn codec_frame(data: &[u8]) {
    for codec in CODECS {
        check(codec, data, describe_frame(codec, data));
    }
}

/// Walks the NAL units of the input, whose first byte chooses the size of the lengths.
pub fn nal_units(data: &[u8]) {
    let ([choice], payload) = head::<1>(data);
    let size = [LengthSize::One, LengthSize::Two, LengthSize::Four][usize::from(choice % 3)];
    let units = if choice & 0x80 == 0 {
        h264::nal_units(payload, size)
    } else {
        h265::nal_units(payload, size)
    };
    let mut again = Vec::new();
    let mut failed = false;
    for unit in units {
        assert!(!failed, "nothing follows an error");
        match unit {
            Ok(unit) => {
                let length = (unit.len() as u32).to_be_bytes();
                again.extend_from_slice(&length[4 - size.bytes()..]);
                again.extend_from_slice(unit);
            }
            Err(error) => {
                failed = true;
                check_error(&error, payload.len());
            }
        }
    }
    assert!(payload.starts_with(&again));
    assert_eq!(failed, again.len() < payload.len());
}

/// Errors name their codec and lie within the input; sizes fit the containers; rates are positive numbers.
fn check(codec: Codec, data: &[u8], result: Result<TrackInfo, Error>) {
    let info = match result {
        Ok(info) => info,
        Err(error) => {
            assert_eq!(error.codec(), codec);
            check_error(&error, data.len());
            return;
        }
    };
    assert_eq!(info.codec, codec);
    assert_eq!(info.video.is_some(), matches!(codec, Codec::Video(_)));
    assert_eq!(info.audio.is_some(), matches!(codec, Codec::Audio(_)));
    if let Some(video) = info.video {
        assert!(video.width <= 65_536 && video.height <= 65_536);
        let is_sound = |rate: f64| rate.is_finite() && rate > 0.0;
        assert!(video.frame_rate.is_none_or(is_sound));
    }
    if let Some(audio) = info.audio {
        assert!(audio.channels <= 255);
    }
}

fn check_error(error: &Error, length: usize) {
    assert!(
        error.offset().is_none_or(|offset| offset <= length),
        "{error}"
    );
}
