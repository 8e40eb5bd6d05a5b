//! MPEG audio: the frame header of ISO/IEC 11172-3 §2.4.1.3, with the lower rates of 13818-3 and of "MPEG 2.5".
//!
//! Owns: layer, rate and channels. Does not: read ID3 tags, or look for a header behind other bytes.

use weir_media::{AudioCodec, AudioInfo, Codec};

use crate::Error;
use crate::fields::Fields;

const CODEC: Codec = Codec::Audio(AudioCodec::Mp3);

/// Describes a track by a frame that begins with its header.
pub(crate) fn describe_frame(payload: &[u8]) -> Result<AudioInfo, Error> {
    let mut fields = Fields::whole(CODEC, payload);
    let sync = fields.u32("syncword", 11)?;
    fields.expect("syncword", sync, 0x7ff)?;
    // Each older standard halved the rates: MPEG 1, MPEG 2, MPEG 2.5.
    let halvings = match fields.u32("ID", 2)? {
        3 => 0,
        2 => 1,
        0 => 2,
        _ => return Err(fields.invalid("ID")),
    };
    let profile = match fields.u32("layer", 2)? {
        3 => "Layer I",
        2 => "Layer II",
        1 => "Layer III",
        _ => return Err(fields.invalid("layer")),
    };
    fields.skip("protection_bit", 1)?;
    if fields.u32("bitrate_index", 4)? == 15 {
        return Err(fields.invalid("bitrate_index"));
    }
    let rate = match fields.u32("sampling_frequency", 2)? {
        0 => 44_100,
        1 => 48_000,
        2 => 32_000,
        _ => return Err(fields.invalid("sampling_frequency")),
    };
    fields.skip("padding_bit", 2)?;
    let channels = if fields.u32("mode", 2)? == 3 { 1 } else { 2 };
    let sample_rate = rate >> halvings;
    Ok(AudioInfo {
        profile: Some(profile.to_owned()),
        sample_rate,
        channels,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Heads of frames of ffmpeg 5.1, libmp3lame, with what it was asked for.
    const FRAMES: [([u8; 4], u32, u16); 4] = [
        ([0xff, 0xfb, 0x90, 0x64], 44_100, 2),
        ([0xff, 0xfb, 0x54, 0xc4], 48_000, 1),
        ([0xff, 0xf3, 0x40, 0xc4], 22_050, 1),
        ([0xff, 0xe3, 0x40, 0x64], 11_025, 2),
    ];

    #[test]
    fn rates_and_channels_of_the_three_standards() {
        for (frame, sample_rate, channels) in FRAMES {
            let profile = Some("Layer III".to_owned());
            let expected = AudioInfo {
                profile,
                sample_rate,
                channels,
            };
            assert_eq!(describe_frame(&frame), Ok(expected));
        }
    }

    #[test]
    fn reserved_values_are_errors() {
        for (byte, value, field) in [
            (0, 0x49, "syncword"),
            (1, 0xeb, "ID"),
            (1, 0xf9, "layer"),
            (2, 0xf0, "bitrate_index"),
            (2, 0x9c, "sampling_frequency"),
        ] {
            let mut frame = FRAMES[0].0;
            frame[byte] = value;
            let Err(Error::Invalid { field: found, .. }) = describe_frame(&frame) else {
                panic!("{field} passed");
            };
            assert_eq!(found, field);
        }
        assert!(matches!(
            describe_frame(&[0xff, 0xfb]),
            Err(Error::Truncated { offset: 2, .. })
        ));
    }
}
