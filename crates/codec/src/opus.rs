//! Opus: the identification header of RFC 7845 §5.1 and the table of contents of RFC 6716 §3.1.
//!
//! Owns: channels. Does not: tell the rate of the source; Opus always decodes at 48 kHz.

use weir_media::{AudioCodec, AudioInfo, Codec};

use crate::Error;
use crate::fields::Fields;

const CODEC: Codec = Codec::Audio(AudioCodec::Opus);

/// Samples a second of decoded Opus (RFC 7845 §4).
const SAMPLE_RATE: u32 = 48_000;

/// Describes a track by its identification header.
pub(crate) fn describe(config: &[u8]) -> Result<AudioInfo, Error> {
    let mut fields = Fields::whole(CODEC, config);
    let magic = fields.take("magic signature", 8)?;
    if magic.bytes != b"OpusHead" {
        return Err(fields.invalid("magic signature"));
    }
    // The upper half of the version is 0 as long as old readers can read the header.
    if fields.u8("version")? > 15 {
        return Err(fields.unsupported("version"));
    }
    let channels = fields.u8("output channel count")?;
    if channels == 0 {
        return Err(fields.invalid("output channel count"));
    }
    fields.skip("pre-skip", 16)?;
    fields.skip("input sample rate", 32)?;
    fields.skip("output gain", 16)?;
    fields.skip("channel mapping family", 8)?;
    Ok(info(channels.into()))
}

/// Describes a track by the first byte of a packet. Of a multistream packet this is the first stream only.
pub(crate) fn describe_frame(payload: &[u8]) -> Result<AudioInfo, Error> {
    let mut fields = Fields::whole(CODEC, payload);
    fields.skip("config", 5)?;
    let stereo = fields.flag("s")?;
    Ok(info(if stereo { 2 } else { 1 }))
}

fn info(channels: u16) -> AudioInfo {
    AudioInfo {
        profile: None,
        sample_rate: SAMPLE_RATE,
        channels,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ffmpeg 5.1, libopus, 5.1 channels.
    const SURROUND: &[u8] =
        b"OpusHead\x01\x06\x38\x01\x80\xbb\0\0\0\0\x01\x04\x02\0\x04\x01\x02\x03\x05";
    /// ffmpeg 5.1, libopus, mono.
    const MONO: &[u8] = b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0";

    #[test]
    fn the_header_tells_channels() {
        assert_eq!(describe(MONO), Ok(info(1)));
        assert_eq!(describe(SURROUND), Ok(info(6)));
    }

    #[test]
    fn a_packet_tells_mono_from_stereo() {
        assert_eq!(describe_frame(&[0xf8, 0x8a]), Ok(info(1)));
        assert_eq!(describe_frame(&[0xfc, 0x8a]), Ok(info(2)));
        assert!(matches!(
            describe_frame(&[]),
            Err(Error::Truncated { offset: 0, .. })
        ));
    }

    #[test]
    fn damage_is_named_with_its_place() {
        let invalid = |field, offset| {
            Err(Error::Invalid {
                codec: CODEC,
                field,
                offset,
            })
        };
        assert_eq!(
            describe(b"OpusTags\x01\x02\0\0"),
            invalid("magic signature", 0)
        );
        assert_eq!(
            describe(b"OpusHead\x01\x00\0\0"),
            invalid("output channel count", 9)
        );
        let unsupported = Error::Unsupported {
            codec: CODEC,
            field: "version",
            offset: 8,
        };
        assert_eq!(describe(b"OpusHead\x10\x02\0\0"), Err(unsupported));
        for length in 0..MONO.len() {
            let error = describe(&MONO[..length]).unwrap_err();
            assert!(
                matches!(error, Error::Truncated { .. }),
                "{length}: {error}"
            );
        }
    }
}
