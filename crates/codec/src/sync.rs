//! Frames of sound that begin with a sync word and tell their own length: ADTS, MPEG audio, AC-3 and E-AC-3, as they
//! stand one behind the other in a transport stream.
//!
//! Owns: [`sync_frame`]. Does not: look for a sync word behind other bytes, or check that another follows.

use weir_media::{AudioCodec, Codec};

use crate::fields::Fields;
use crate::{Error, adts};

/// The head of a frame that tells its own length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncFrame {
    /// Bytes of the frame, its head included; 4 to 8191.
    pub bytes: usize,
    /// Samples a channel that it decodes to.
    pub samples: u32,
    /// Samples a second; above zero.
    pub sample_rate: u32,
    /// Whether it belongs to the frame before it and has no time of its own: a dependent substream of E-AC-3
    /// (ETSI TS 102 366 §E.1.3.1.1).
    pub is_dependent: bool,
}

/// Reads the head of the frame at the front of `bytes`; the frame itself need not be there.
///
/// Fails with [`Error::Truncated`] when more bytes are needed to tell (at most 8), with [`Error::Unsupported`] for free
/// bit rates of MPEG audio, and with [`Error::NoDescription`] for codecs without sync words.
pub fn sync_frame(codec: AudioCodec, bytes: &[u8]) -> Result<SyncFrame, Error> {
    match codec {
        AudioCodec::Aac => {
            let frame = adts::parse(bytes)?;
            Ok(SyncFrame {
                bytes: frame.frame_bytes,
                samples: 1024,
                sample_rate: frame.header.sample_rate(),
                is_dependent: false,
            })
        }
        AudioCodec::Mp3 => mpeg(&mut Fields::whole(Codec::Audio(codec), bytes)),
        AudioCodec::Ac3 | AudioCodec::Eac3 => dolby(&mut Fields::whole(Codec::Audio(codec), bytes)),
        _ => Err(Error::NoDescription {
            codec: Codec::Audio(codec),
        }),
    }
}

/// Kilobits a second by `bitrate_index` less 1 (ISO/IEC 11172-3 §2.4.2.3; 13818-3 §2.4.2.3).
const KBPS_LAYER_1: [u32; 14] = [
    32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448,
];
const KBPS_LAYER_2: [u32; 14] = [
    32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384,
];
const KBPS_LAYER_3: [u32; 14] = [
    32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
];
const KBPS_LOW_LAYER_1: [u32; 14] = [
    32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256,
];
const KBPS_LOW: [u32; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];

/// A frame of MPEG audio of any layer (ISO/IEC 11172-3 §2.4.3.1).
fn mpeg(fields: &mut Fields<'_>) -> Result<SyncFrame, Error> {
    let sync = fields.u32("syncword", 11)?;
    fields.expect("syncword", sync, 0x7ff)?;
    let halvings = match fields.u32("ID", 2)? {
        3 => 0,
        2 => 1,
        0 => 2,
        _ => return Err(fields.invalid("ID")),
    };
    let layer = match fields.u32("layer", 2)? {
        0 => return Err(fields.invalid("layer")),
        code => 4 - code,
    };
    fields.flag("protection_bit")?;
    let index = fields.u32("bitrate_index", 4)? as usize;
    let table = match (layer, halvings) {
        (1, 0) => KBPS_LAYER_1,
        (2, 0) => KBPS_LAYER_2,
        (_, 0) => KBPS_LAYER_3,
        (1, _) => KBPS_LOW_LAYER_1,
        _ => KBPS_LOW,
    };
    let index = index
        .checked_sub(1)
        .ok_or_else(|| fields.unsupported("bitrate_index"))?;
    let kbps = table.get(index).copied();
    let kbps = kbps.ok_or_else(|| fields.invalid("bitrate_index"))?;
    let sample_rate = match fields.u32("sampling_frequency", 2)? {
        0 => 44_100u32,
        1 => 48_000,
        2 => 32_000,
        _ => return Err(fields.invalid("sampling_frequency")),
    } >> halvings;
    let padding = u32::from(fields.flag("padding_bit")?);
    let samples = match (layer, halvings) {
        (1, _) => 384,
        (3, 1..) => 576,
        _ => 1152,
    };
    let bytes = if layer == 1 {
        (12_000 * kbps / sample_rate + padding) * 4
    } else {
        samples / 8 * 1000 * kbps / sample_rate + padding
    };
    Ok(SyncFrame {
        bytes: bytes as usize,
        samples,
        sample_rate,
        is_dependent: false,
    })
}

/// Kilobits a second by `frmsizecod` / 2 (ETSI TS 102 366 table 4.13).
const KBPS_AC3: [u32; 19] = [
    32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640,
];

/// A synchronisation frame of AC-3 (§4.3.1) or E-AC-3 (§E.1.2.2), which `bsid` tells apart.
fn dolby(fields: &mut Fields<'_>) -> Result<SyncFrame, Error> {
    let sync = fields.u32("syncword", 16)?;
    fields.expect("syncword", sync, 0x0b77)?;
    let mut ahead = fields.clone();
    ahead.skip("crc1", 24)?;
    match ahead.u32("bsid", 5)? {
        bsid @ 0..=10 => ac3(fields, bsid),
        11..=16 => eac3(fields),
        _ => Err(ahead.unsupported("bsid")),
    }
}

fn ac3(fields: &mut Fields<'_>, bsid: u32) -> Result<SyncFrame, Error> {
    fields.skip("crc1", 16)?;
    let code = fields.u32("fscod", 2)?;
    let fault = fields.invalid("fscod");
    let size = fields.u32("frmsizecod", 6)?;
    let kbps = KBPS_AC3.get(size as usize / 2).copied();
    let kbps = kbps.ok_or_else(|| fields.invalid("frmsizecod"))?;
    let (sample_rate, bytes) = match code {
        0 => (48_000, kbps * 4),
        // 1536 samples at 44.1 kHz are no whole number of words; every other frame has one more
        1 => (44_100, (kbps * 96_000 / 44_100 + size % 2) * 2),
        2 => (32_000, kbps * 6),
        _ => return Err(fault),
    };
    Ok(SyncFrame {
        bytes: bytes as usize,
        samples: 1536,
        sample_rate: sample_rate >> bsid.saturating_sub(8),
        is_dependent: false,
    })
}

fn eac3(fields: &mut Fields<'_>) -> Result<SyncFrame, Error> {
    let kind = fields.u32("strmtyp", 2)?;
    fields.skip("substreamid", 3)?;
    let words = fields.u32("frmsiz", 11)? + 1;
    if words < 4 {
        return Err(fields.invalid("frmsiz"));
    }
    let code = fields.u32("fscod", 2)?;
    let next = fields.u32("fscod2", 2)?;
    let (rate_code, half, blocks) = match (code, next) {
        (3, rate) => (rate, 1, 6),
        (rate, 0) => (rate, 0, 1),
        (rate, 1) => (rate, 0, 2),
        (rate, 2) => (rate, 0, 3),
        (rate, _) => (rate, 0, 6),
    };
    let sample_rate = match rate_code {
        0 => 48_000u32,
        1 => 44_100,
        2 => 32_000,
        _ => return Err(fields.invalid("fscod2")),
    } >> half;
    Ok(SyncFrame {
        bytes: words as usize * 2,
        samples: blocks * 256,
        sample_rate,
        is_dependent: kind == 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(codec: AudioCodec, head: &[u8]) -> (usize, u32, u32) {
        let frame = sync_frame(codec, head).unwrap();
        (frame.bytes, frame.samples, frame.sample_rate)
    }

    #[test]
    fn lengths_of_real_frames() {
        let mp3 = AudioCodec::Mp3;
        // 128 kbit/s at 44.1 kHz, without and with padding; 64 at 48; MPEG 2 at 32; layer II at 192
        assert_eq!(told(mp3, &[0xff, 0xfb, 0x90, 0x64]), (417, 1152, 44_100));
        assert_eq!(told(mp3, &[0xff, 0xfb, 0x92, 0x64]), (418, 1152, 44_100));
        assert_eq!(told(mp3, &[0xff, 0xfb, 0x54, 0xc4]), (192, 1152, 48_000));
        assert_eq!(told(mp3, &[0xff, 0xf3, 0x40, 0xc4]), (104, 576, 22_050));
        assert_eq!(told(mp3, &[0xff, 0xfd, 0xa4, 0]), (576, 1152, 48_000));
        assert_eq!(told(mp3, &[0xff, 0xff, 0x14, 0]), (32, 384, 48_000));
        let ac3 = AudioCodec::Ac3;
        let stereo = [0x0b, 0x77, 0x6b, 0xc4, 0x14, 0x40, 0x43, 0xe1];
        assert_eq!(told(ac3, &stereo), (768, 1536, 48_000));
        let odd = [0x0b, 0x77, 0x6b, 0xc4, 0x55, 0x40];
        assert_eq!(told(ac3, &odd), (418 * 2, 1536, 44_100));
        let surround = [0x0b, 0x77, 0x03, 0x7f, 0x3f, 0x87, 0xc0, 0x00];
        assert_eq!(told(AudioCodec::Eac3, &surround), (0x380 * 2, 1536, 48_000));
    }

    #[test]
    fn dependent_substreams_are_told() {
        let frame = [0x0b, 0x77, 0x43, 0x7f, 0x3f, 0x87];
        assert!(sync_frame(AudioCodec::Eac3, &frame).unwrap().is_dependent);
    }

    #[test]
    fn free_rates_and_foreign_codecs_are_refused() {
        let free = sync_frame(AudioCodec::Mp3, &[0xff, 0xfb, 0x04, 0]);
        assert!(matches!(free, Err(Error::Unsupported { .. })));
        let opus = sync_frame(AudioCodec::Opus, &[0xff; 8]);
        assert!(matches!(opus, Err(Error::NoDescription { .. })));
    }

    proptest! {
        #[test]
        fn lengths_are_bounded_and_eight_bytes_are_enough(bytes: [u8; 6], which in 0usize..3) {
            let (codec, sync) = [
                (AudioCodec::Aac, [0xff, 0xf1]),
                (AudioCodec::Mp3, [0xff, 0xfb]),
                (AudioCodec::Eac3, [0x0b, 0x77]),
            ][which];
            match sync_frame(codec, &[&sync[..], &bytes].concat()) {
                Ok(frame) => {
                    prop_assert!((4..=8191).contains(&frame.bytes), "{frame:?}");
                    prop_assert!(frame.sample_rate > 0 && frame.samples > 0);
                }
                Err(error) => prop_assert!(!matches!(error, Error::Truncated { .. }), "{error}"),
            }
        }
    }
}
