//! FLAC: the STREAMINFO block of RFC 9639 §8.2 and the frame header of §9.1.
//!
//! Owns: rate and channels. Does not: read other metadata blocks, or check CRCs.

use weir_media::{AudioCodec, AudioInfo, Codec};

use crate::Error;
use crate::fields::Fields;

const CODEC: Codec = Codec::Audio(AudioCodec::Flac);

/// Length of a STREAMINFO block in bytes.
const STREAMINFO_BYTES: u32 = 34;

/// Describes a track by its sequence header: the marker `fLaC`, then metadata blocks, STREAMINFO first.
///
/// ffmpeg's FLV muxer (`flv_write_codec_header`) sends the STREAMINFO block bare, without marker and
/// block header; that is taken too.
pub(crate) fn describe(config: &[u8]) -> Result<AudioInfo, Error> {
    let mut fields = Fields::whole(CODEC, config);
    if config.len() != STREAMINFO_BYTES as usize {
        let marker = fields.u32("fLaC marker", 32)?;
        fields.expect("fLaC marker", marker, u32::from_be_bytes(*b"fLaC"))?;
        fields.skip("last metadata block flag", 1)?;
        let kind = fields.u32("metadata block type", 7)?;
        fields.expect("metadata block type", kind, 0)?;
        let length = fields.u32("metadata block size", 24)?;
        fields.expect("metadata block size", length, STREAMINFO_BYTES)?;
    }
    fields.skip("minimum block size", 80)?;
    let sample_rate = fields.u32("sample rate", 20)?;
    let channels = fields.u32("number of channels", 3)? as u16 + 1;
    fields.skip("bits per sample", 41)?;
    fields.skip("MD5 checksum", 128)?;
    Ok(AudioInfo {
        profile: None,
        sample_rate,
        channels,
    })
}

/// Samples a second by the sample rate bits of a frame (§9.1.2), from 1 on.
const SAMPLE_RATES: [u32; 11] = [
    88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000,
];

/// Describes a track by a frame. The rate stays 0 where the frame leaves it to STREAMINFO.
pub(crate) fn describe_frame(payload: &[u8]) -> Result<AudioInfo, Error> {
    Ok(read_frame(payload)?.0)
}

/// Samples of a frame.
pub(crate) fn frame_samples(payload: &[u8]) -> Result<u32, Error> {
    Ok(read_frame(payload)?.1)
}

/// The description and the samples of a frame.
fn read_frame(payload: &[u8]) -> Result<(AudioInfo, u32), Error> {
    let mut fields = Fields::whole(CODEC, payload);
    let sync = fields.u32("frame sync code", 15)?;
    fields.expect("frame sync code", sync, 0x7ffc)?;
    fields.skip("blocking strategy", 1)?;
    let block_size = fields.u32("block size", 4)?;
    if block_size == 0 {
        return Err(fields.invalid("block size"));
    }
    let rate = fields.u32("sample rate", 4)?;
    if rate == 15 {
        return Err(fields.invalid("sample rate"));
    }
    let channels = match fields.u32("channels", 4)? {
        count @ 0..=7 => count as u16 + 1,
        8..=10 => 2,
        _ => return Err(fields.invalid("channels")),
    };
    fields.skip("bit depth", 4)?;
    skip_coded_number(&mut fields)?;
    // §9.1.1
    let samples = match block_size {
        6 => fields.u32("uncommon block size", 8)? + 1,
        7 => fields.u32("uncommon block size", 16)? + 1,
        1 => 192,
        size @ 2..=5 => 144 << size,
        size => 1 << size,
    };
    let sample_rate = match rate {
        0 => 0,
        12 => fields.u32("uncommon sample rate", 8)? * 1000,
        13 => fields.u32("uncommon sample rate", 16)?,
        14 => fields.u32("uncommon sample rate", 16)? * 10,
        index => SAMPLE_RATES
            .get(index as usize - 1)
            .copied()
            .unwrap_or_default(),
    };
    let info = AudioInfo {
        profile: None,
        sample_rate,
        channels,
    };
    Ok((info, samples))
}

/// The frame's number (§9.1.5): as in UTF-8, leading ones count the bytes, up to seven.
fn skip_coded_number(fields: &mut Fields<'_>) -> Result<(), Error> {
    match fields.u8("coded number")?.leading_ones() {
        0 => Ok(()),
        bytes @ 2..=7 => fields.skip("coded number", (bytes as usize - 1) * 8),
        _ => Err(fields.invalid("coded number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ffmpeg 5.1, 44.1 kHz stereo: its STREAMINFO.
    const STREAMINFO: [u8; 34] = [
        0x12, 0x00, 0x12, 0x00, 0x00, 0x0d, 0x42, 0x00, 0x15, 0xaa, 0x0a, 0xc4, 0x43, 0x70, 0x00,
        0x00, 0x33, 0xae, 0xed, 0x26, 0xaa, 0xd1, 0xf6, 0x4d, 0x6d, 0xd7, 0xdf, 0x87, 0x2b, 0x94,
        0x05, 0x42, 0xf9, 0x74,
    ];

    fn info(sample_rate: u32, channels: u16) -> AudioInfo {
        AudioInfo {
            profile: None,
            sample_rate,
            channels,
        }
    }

    fn marked() -> Vec<u8> {
        let mut config = b"fLaC\x80\0\0\x22".to_vec();
        config.extend_from_slice(&STREAMINFO);
        config
    }

    #[test]
    fn streaminfo_with_and_without_its_marker() {
        assert_eq!(describe(&STREAMINFO), Ok(info(44_100, 2)));
        assert_eq!(describe(&marked()), Ok(info(44_100, 2)));
        let mut followed = marked();
        followed.extend_from_slice(&[0x84, 0, 0, 0]);
        assert_eq!(describe(&followed), Ok(info(44_100, 2)));
    }

    #[test]
    fn damage_is_named_with_its_place() {
        let mut config = marked();
        config[4] = 0x84;
        let error = Error::Invalid {
            codec: CODEC,
            field: "metadata block type",
            offset: 4,
        };
        assert_eq!(describe(&config), Err(error));
        for length in (0..42).filter(|length| *length != 34) {
            let error = describe(&marked()[..length]).unwrap_err();
            assert!(
                matches!(error, Error::Truncated { .. }),
                "{length}: {error}"
            );
        }
    }

    #[test]
    fn frames_tell_rate_and_channels() {
        // ffmpeg 5.1: 44.1 kHz stereo (mid and side), 96 kHz mono.
        assert_eq!(
            describe_frame(&[0xff, 0xf8, 0x59, 0x8c, 0x00, 0xde]),
            Ok(info(44_100, 2))
        );
        assert_eq!(
            describe_frame(&[0xff, 0xf8, 0xdb, 0x0c, 0x00, 0xb5]),
            Ok(info(96_000, 1))
        );
        // A two-byte number, a block size of 8 bits, then 37.8 kHz in tens of Hz.
        let frame = [0xff, 0xf9, 0x6e, 0x50, 0xc2, 0x80, 0x0f, 0x0e, 0xc4];
        assert_eq!(describe_frame(&frame), Ok(info(37_800, 6)));
        assert_eq!(
            describe_frame(&[0xff, 0xf8, 0x50, 0x18, 0x00]),
            Ok(info(0, 2))
        );
    }
}
