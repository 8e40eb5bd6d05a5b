//! AC-3 and E-AC-3: the head of a synchronisation frame (ETSI TS 102 366 §4.3 and annex E.1.2).
//!
//! Owns: rate and channels of the first (independent) substream. Does not: add the channels of dependent
//! substreams, such as the back pair of 7.1.

use weir_media::{AudioCodec, AudioInfo, Codec};

use crate::Error;
use crate::fields::Fields;

/// Full-bandwidth channels by `acmod` (table 4.3).
const CHANNELS: [u16; 8] = [2, 1, 2, 3, 3, 4, 4, 5];

/// Samples a second by `fscod` (table 4.1).
const SAMPLE_RATES: [u32; 3] = [48_000, 44_100, 32_000];

/// Describes a track by a synchronisation frame. Which of the two syntaxes it has, the frame itself says: `bsid` lies at
/// the same place in both.
pub(crate) fn describe_frame(codec: AudioCodec, payload: &[u8]) -> Result<AudioInfo, Error> {
    let mut fields = Fields::whole(Codec::Audio(codec), payload);
    let sync = fields.u32("syncword", 16)?;
    fields.expect("syncword", sync, 0x0b77)?;
    let mut ahead = fields.clone();
    ahead.skip("crc1", 24)?;
    match ahead.u32("bsid", 5)? {
        bsid @ 0..=10 => ac3(&mut fields, bsid),
        11..=16 => eac3(&mut fields),
        _ => Err(ahead.unsupported("bsid")),
    }
}

/// `syncinfo` and `bsi` of AC-3 behind the sync word.
fn ac3(fields: &mut Fields<'_>, bsid: u32) -> Result<AudioInfo, Error> {
    fields.skip("crc1", 16)?;
    let code = fields.u32("fscod", 2)?;
    let rate = sample_rate(fields, code)?;
    fields.skip("frmsizecod", 14)?;
    let mode = fields.u32("acmod", 3)?;
    let has_centre = mode & 1 != 0 && mode != 1;
    let has_surround = mode & 4 != 0;
    let is_stereo = mode == 2;
    let mix_levels = usize::from(has_centre) + usize::from(has_surround) + usize::from(is_stereo);
    fields.skip("cmixlev", mix_levels * 2)?;
    let low = fields.flag("lfeon")?;
    // 9 and 10 mark streams at half and a quarter of the rate, which decoders accept though the standard stops at 8.
    Ok(info(rate >> bsid.saturating_sub(8), mode, low))
}

/// `bsi` of E-AC-3 behind the sync word.
fn eac3(fields: &mut Fields<'_>) -> Result<AudioInfo, Error> {
    fields.skip("strmtyp", 16)?;
    let code = fields.u32("fscod", 2)?;
    // With the fourth code the next field is a second one, of half the rates; else it counts blocks.
    let next = fields.u32("fscod2", 2)?;
    let rate = if code == 3 {
        sample_rate(fields, next)? / 2
    } else {
        sample_rate(fields, code)?
    };
    let mode = fields.u32("acmod", 3)?;
    Ok(info(rate, mode, fields.flag("lfeon")?))
}

fn sample_rate(fields: &Fields<'_>, code: u32) -> Result<u32, Error> {
    SAMPLE_RATES
        .get(code as usize)
        .copied()
        .ok_or_else(|| fields.invalid("fscod"))
}

fn info(sample_rate: u32, mode: u32, low: bool) -> AudioInfo {
    let full = CHANNELS.get(mode as usize).copied().unwrap_or_default();
    AudioInfo {
        profile: None,
        sample_rate,
        channels: full + u16::from(low),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(codec: AudioCodec, frame: &[u8]) -> (u32, u16) {
        let info = describe_frame(codec, frame).unwrap();
        (info.sample_rate, info.channels)
    }

    /// Heads of frames of ffmpeg 5.1.
    const STEREO: [u8; 8] = [0x0b, 0x77, 0x6b, 0xc4, 0x14, 0x40, 0x43, 0xe1];
    const SURROUND: [u8; 8] = [0x0b, 0x77, 0x6b, 0x51, 0x5e, 0x40, 0xeb, 0xf8];
    const ENHANCED_SURROUND: [u8; 8] = [0x0b, 0x77, 0x03, 0x7f, 0x3f, 0x87, 0xc0, 0x00];
    const ENHANCED_MONO: [u8; 8] = [0x0b, 0x77, 0x01, 0x1f, 0xb2, 0x87, 0xc0, 0x00];

    #[test]
    fn both_syntaxes_tell_rate_and_channels() {
        assert_eq!(told(AudioCodec::Ac3, &STEREO), (48_000, 2));
        assert_eq!(told(AudioCodec::Ac3, &SURROUND), (44_100, 6));
        assert_eq!(told(AudioCodec::Eac3, &ENHANCED_SURROUND), (48_000, 6));
        assert_eq!(told(AudioCodec::Eac3, &ENHANCED_MONO), (32_000, 1));
        assert_eq!(told(AudioCodec::Eac3, &STEREO), (48_000, 2));
    }

    #[test]
    fn half_rates_and_damage() {
        let mut frame = ENHANCED_SURROUND;
        frame[4] = 0b1100_1111;
        assert_eq!(told(AudioCodec::Eac3, &frame), (24_000, 6));
        frame[4] = 0b1111_1111;
        assert!(matches!(
            describe_frame(AudioCodec::Eac3, &frame),
            Err(Error::Invalid {
                field: "fscod",
                offset: 4,
                ..
            })
        ));
        frame[5] = 0xff;
        assert!(matches!(
            describe_frame(AudioCodec::Eac3, &frame),
            Err(Error::Unsupported {
                field: "bsid",
                offset: 5,
                ..
            })
        ));
        assert!(describe_frame(AudioCodec::Ac3, &[0x77, 0x0b, 0, 0]).is_err());
    }
}
