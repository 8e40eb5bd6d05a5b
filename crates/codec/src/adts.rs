//! ADTS: the header in front of each AAC frame where no AudioSpecificConfig travels beside them (ISO/IEC 13818-7 §6.2,
//! 14496-3 §1.A.2.2), as in transport streams.
//!
//! Owns: [`Header`], to and from an AudioSpecificConfig. Does not: find a header behind other bytes, check the CRC, or
//! know of SBR, which ADTS does not signal; a header made of HE-AAC's configuration names the core, as decoders expect.

use weir_media::{AudioCodec, Codec};

use crate::Error;
use crate::aac::{self, SAMPLE_RATES};
use crate::fields::Fields;

const CODEC: Codec = Codec::Audio(AudioCodec::Aac);

/// Bytes of a header without CRC.
pub const HEADER_BYTES: usize = 7;

/// Longest frame, header included: `aac_frame_length` has 13 bits.
pub const MAX_FRAME_BYTES: usize = 0x1fff;

/// What a header says of its track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// `profile_ObjectType`, one less than the audio object type; 2 bits.
    profile: u8,
    /// `sampling_frequency_index`, 0 to 12.
    rate_index: u8,
    /// `channel_configuration`, 1 to 7.
    channels: u8,
}

/// A frame's header as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// What it says of its track.
    pub header: Header,
    /// Bytes of the header, CRC included.
    pub header_bytes: usize,
    /// Bytes of the whole frame, header included; more than `header_bytes`.
    pub frame_bytes: usize,
}

impl Header {
    /// The header for frames of an AudioSpecificConfig.
    ///
    /// Fails for configurations that ADTS cannot say: object types above 4, frames of 960 samples, rates off the table,
    /// channels by a program config element.
    pub fn from_config(config: &[u8]) -> Result<Self, Error> {
        let mut fields = Fields::whole(CODEC, config);
        let mut object = aac::object_type(&mut fields)?;
        let rate = aac::sample_rate(&mut fields)?;
        let channels = fields.u8_of("channelConfiguration", 4)?;
        if !(1..=7).contains(&channels) {
            return Err(fields.unsupported("channelConfiguration"));
        }
        if object == aac::SBR || object == aac::PS {
            aac::sample_rate(&mut fields)?;
            object = aac::object_type(&mut fields)?;
        }
        if !(1..=4).contains(&object) {
            return Err(fields.unsupported("audioObjectType"));
        }
        if fields.flag("frameLengthFlag")? {
            return Err(fields.unsupported("frameLengthFlag"));
        }
        let index = SAMPLE_RATES.iter().position(|known| *known == rate);
        let index = index.ok_or_else(|| fields.unsupported("samplingFrequency"))?;
        Ok(Self {
            profile: (object - 1) as u8,
            rate_index: index as u8,
            channels,
        })
    }

    /// The AudioSpecificConfig: object type, rate and channels, and a GASpecificConfig of zeros.
    pub fn config(self) -> [u8; 2] {
        let object = u16::from(self.profile) + 1;
        let bits = object << 11 | u16::from(self.rate_index) << 7 | u16::from(self.channels) << 3;
        bits.to_be_bytes()
    }

    /// Samples a second of the core.
    pub fn sample_rate(self) -> u32 {
        let rate = SAMPLE_RATES.get(usize::from(self.rate_index));
        rate.copied().unwrap_or_default()
    }

    /// The header in front of `payload_bytes` of a raw frame, without CRC. Fails above [`MAX_FRAME_BYTES`].
    pub fn bytes(self, payload_bytes: usize) -> Result<[u8; HEADER_BYTES], Error> {
        let length = payload_bytes.saturating_add(HEADER_BYTES);
        if length > MAX_FRAME_BYTES {
            return Err(Error::TooLarge {
                codec: CODEC,
                field: "aac_frame_length",
                offset: 0,
                limit: MAX_FRAME_BYTES,
            });
        }
        let length = length as u16;
        Ok([
            0xff,
            // MPEG-4, layer 0, no CRC
            0xf1,
            self.profile << 6 | self.rate_index << 2 | self.channels >> 2,
            self.channels << 6 | (length >> 11) as u8,
            (length >> 3) as u8,
            // adts_buffer_fullness is all ones: a variable rate
            (length << 5) as u8 | 0x1f,
            0xfc,
        ])
    }
}

/// Reads the header at the front of `bytes`; the frame itself need not be there.
///
/// Fails with [`Error::Truncated`] when more bytes are needed to tell, and with [`Error::Unsupported`] for what has no
/// AudioSpecificConfig of two bytes or more than one raw data block.
pub fn parse(bytes: &[u8]) -> Result<Frame, Error> {
    let mut fields = Fields::whole(CODEC, bytes);
    let sync = fields.u32("syncword", 12)?;
    fields.expect("syncword", sync, 0xfff)?;
    fields.flag("ID")?;
    let layer = fields.u32("layer", 2)?;
    fields.expect("layer", layer, 0)?;
    let has_crc = !fields.flag("protection_absent")?;
    let profile = fields.u8_of("profile_ObjectType", 2)?;
    let rate_index = fields.u8_of("sampling_frequency_index", 4)?;
    if usize::from(rate_index) >= SAMPLE_RATES.len() {
        return Err(fields.invalid("sampling_frequency_index"));
    }
    fields.flag("private_bit")?;
    let channels = fields.u8_of("channel_configuration", 3)?;
    let by_element = fields.unsupported("channel_configuration");
    fields.skip("original_copy", 4)?;
    let frame_bytes = fields.u32("aac_frame_length", 13)? as usize;
    let header_bytes = if has_crc {
        HEADER_BYTES + 2
    } else {
        HEADER_BYTES
    };
    if frame_bytes <= header_bytes {
        return Err(fields.invalid("aac_frame_length"));
    }
    fields.skip("adts_buffer_fullness", 11)?;
    if fields.u32("number_of_raw_data_blocks_in_frame", 2)? != 0 {
        return Err(fields.unsupported("number_of_raw_data_blocks_in_frame"));
    }
    if channels == 0 {
        return Err(by_element);
    }
    Ok(Frame {
        header: Header {
            profile,
            rate_index,
            channels,
        },
        header_bytes,
        frame_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A frame's head of ffmpeg 5.1: LC, 44.1 kHz, stereo, 21 bytes.
    const FFMPEG: [u8; 7] = [0xff, 0xf1, 0x50, 0x80, 0x02, 0xbf, 0xfc];

    #[test]
    fn a_header_of_ffmpeg_is_read_and_written() {
        let frame = parse(&FFMPEG).unwrap();
        assert_eq!((frame.header_bytes, frame.frame_bytes), (7, 21));
        assert_eq!(frame.header.config(), [0x12, 0x10]);
        assert_eq!(frame.header.sample_rate(), 44_100);
        assert_eq!(frame.header.bytes(14), Ok(FFMPEG));
    }

    #[test]
    fn high_efficiency_names_its_core() {
        // object type 5, core at 24 kHz, stereo, extended to 48 kHz, core object type 2
        let header = Header::from_config(&[0x2b, 0x11, 0x88, 0x00]).unwrap();
        assert_eq!(header.config(), [0x13, 0x10]);
        let parametric = Header::from_config(&[0xeb, 0x09, 0x88, 0x00]).unwrap();
        assert_eq!(parametric.config(), [0x13, 0x08]);
    }

    #[test]
    fn what_adts_cannot_say_is_unsupported() {
        for (config, field) in [
            (&[0x12, 0x00, 0, 0][..], "channelConfiguration"),
            (&[0x12, 0x58], "channelConfiguration"),
            (&[0x12, 0x14], "frameLengthFlag"),
            (&[0xb9, 0x10, 0], "audioObjectType"),
            (&[0x17, 0x80, 0x12, 0x34, 0x10], "samplingFrequency"),
        ] {
            let error = Header::from_config(config).unwrap_err();
            let Error::Unsupported { field: found, .. } = error else {
                panic!("{error}");
            };
            assert_eq!(found, field);
        }
        let header = parse(&FFMPEG).unwrap().header;
        assert!(header.bytes(MAX_FRAME_BYTES - 7).is_ok());
        assert!(matches!(
            header.bytes(MAX_FRAME_BYTES - 6),
            Err(Error::TooLarge { .. })
        ));
    }

    #[test]
    fn damage_is_told_from_missing_bytes() {
        for length in 0..FFMPEG.len() {
            let error = parse(&FFMPEG[..length]).unwrap_err();
            assert!(matches!(error, Error::Truncated { .. }), "{length}");
        }
        for (byte, value, field) in [
            (1, 0xe1, "syncword"),
            (1, 0xf3, "layer"),
            (2, 0x7c, "sampling_frequency_index"),
            (4, 0, "aac_frame_length"),
            (6, 0xfd, "number_of_raw_data_blocks_in_frame"),
            (3, 0, "channel_configuration"),
        ] {
            let mut bytes = FFMPEG;
            bytes[byte] = value;
            let error = parse(&bytes).unwrap_err();
            assert!(error.to_string().contains(field), "{field}: {error}");
        }
    }

    proptest! {
        #[test]
        fn every_header_survives(profile in 0u8..4, rate_index in 0u8..13, channels in 1u8..8, size in 1usize..8000) {
            let header = Header { profile, rate_index, channels };
            prop_assert_eq!(Header::from_config(&header.config()), Ok(header));
            let frame = Frame { header, header_bytes: 7, frame_bytes: size + 7 };
            prop_assert_eq!(parse(&header.bytes(size).unwrap()), Ok(frame));
        }
    }
}
