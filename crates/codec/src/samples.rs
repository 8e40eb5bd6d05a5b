//! How many samples an audio frame decodes to.
//!
//! Owns: [`samples`]. Does not: decode, or count what a decoder delays or cuts off.

use weir_media::{AudioCodec, Codec};

use crate::fields::Fields;
use crate::{aac, flac, sync_frame};

/// Frames of one payload that are counted. Publishers send one; E-AC-3 may come as six of one block, each with dependent
/// substreams behind it.
const MAX_SYNC_FRAMES: usize = 64;

/// Longest Opus packet, in samples of 48 kHz: 120 ms (RFC 6716 §3.2.5).
const MAX_OPUS_SAMPLES: u32 = 5760;

/// The number of samples of each channel in one frame, counted at the track's sample rate as [`crate::describe`] tells
/// it: HE-AAC at the doubled rate, Opus at 48 kHz.
///
/// `config` is the track's sequence header, empty where it has none; AAC needs it. `None` when a header or frame is
/// damaged, for codecs Weir knows by number only, and for kinds of AAC whose frames are not known here (USAC). The work
/// does not grow with the frame.
pub fn samples(codec: AudioCodec, config: &[u8], payload: &[u8]) -> Option<u32> {
    match codec {
        AudioCodec::Aac => aac_samples(config),
        AudioCodec::Opus => opus_samples(payload),
        AudioCodec::Flac => flac::frame_samples(payload).ok(),
        AudioCodec::Mp3 | AudioCodec::Ac3 | AudioCodec::Eac3 => framed_samples(codec, payload),
        _ => None,
    }
}

fn aac_samples(config: &[u8]) -> Option<u32> {
    let config = aac::Config::read(config).ok()?;
    let samples = u64::from(config.core_samples?) * u64::from(config.rate);
    let samples = samples.checked_div(config.core_rate.into())?;
    u32::try_from(samples).ok().filter(|samples| *samples != 0)
}

/// RFC 6716 §3.1: the configuration tells the time of a frame, the code their number.
fn opus_samples(payload: &[u8]) -> Option<u32> {
    let mut fields = Fields::whole(Codec::Audio(AudioCodec::Opus), payload);
    let config = fields.u32("config", 5).ok()?;
    fields.skip("s", 1).ok()?;
    let frame = match (config, config % 4) {
        (0..12, 3) => 2880,
        (0..12, step) => 480 << step,
        (12..16, step) => 480 << (step % 2),
        (_, step) => 120 << step,
    };
    let count = match fields.u32("c", 2).ok()? {
        0 => 1,
        1 | 2 => 2,
        _ => fields.u32("frame count byte", 8).ok()? & 0x3f,
    };
    let samples = frame * count;
    (1..=MAX_OPUS_SAMPLES).contains(&samples).then_some(samples)
}

/// Samples of all frames in a payload; a dependent substream of E-AC-3 has those of the frame before it.
fn framed_samples(codec: AudioCodec, payload: &[u8]) -> Option<u32> {
    let mut rest = payload;
    let mut samples = 0;
    for _ in 0..MAX_SYNC_FRAMES {
        let Ok(frame) = sync_frame(codec, rest) else {
            break;
        };
        if !frame.is_dependent {
            samples += frame.samples;
        }
        rest = rest.get(frame.bytes..).unwrap_or_default();
    }
    (samples != 0).then_some(samples)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CODECS: [AudioCodec; 6] = [
        AudioCodec::Aac,
        AudioCodec::Mp3,
        AudioCodec::Opus,
        AudioCodec::Flac,
        AudioCodec::Ac3,
        AudioCodec::Eac3,
    ];

    #[test]
    fn aac_counts_at_the_tracks_rate() {
        let aac = |config: &[u8]| samples(AudioCodec::Aac, config, &[]);
        // LC at 44.1 kHz; the same with 960 samples
        assert_eq!(aac(&[0x12, 0x10]), Some(1024));
        assert_eq!(aac(&[0x12, 0x14]), Some(960));
        // HE-AAC, signalled first: 22.05 kHz doubled to 44.1 kHz
        assert_eq!(aac(&[0x2b, 0x92, 0x08, 0x00]), Some(2048));
        // HE-AAC, signalled behind the core
        assert_eq!(aac(&[0x13, 0x90, 0x56, 0xe5, 0xa0]), Some(2048));
        // low delay, with both lengths
        assert_eq!(aac(&[0xba, 0x10]), Some(512));
        assert_eq!(aac(&[0xba, 0x14]), Some(480));
        assert_eq!(aac(&[]), None);
        // xHE-AAC (object type 42)
        assert_eq!(aac(&[0xf9, 0x46, 0x20, 0x00]), None);
    }

    #[test]
    fn mpeg_audio_counts_by_version_and_layer() {
        let mp3 = |head: [u8; 4]| samples(AudioCodec::Mp3, &[], &head);
        assert_eq!(mp3([0xff, 0xfb, 0x90, 0x64]), Some(1152));
        assert_eq!(mp3([0xff, 0xf3, 0x40, 0xc4]), Some(576));
        assert_eq!(mp3([0xff, 0xe3, 0x40, 0x64]), Some(576));
        assert_eq!(mp3([0xff, 0xfd, 0x90, 0x64]), Some(1152));
        assert_eq!(mp3([0xff, 0xff, 0x90, 0x64]), Some(384));
        assert_eq!(mp3([0xff, 0xeb, 0x90, 0x64]), None);
        assert_eq!(mp3([0x49, 0x44, 0x33, 0x03]), None);
    }

    #[test]
    fn opus_counts_frames_of_a_packet() {
        let opus = |packet: &[u8]| samples(AudioCodec::Opus, &[], packet);
        // RFC 6716 table 2: 20 ms of CELT, 2.5 ms, 60 ms of SILK, 10 and 20 ms of both
        assert_eq!(opus(&[31 << 3]), Some(960));
        assert_eq!(opus(&[16 << 3]), Some(120));
        assert_eq!(opus(&[3 << 3]), Some(2880));
        assert_eq!(opus(&[12 << 3]), Some(480));
        assert_eq!(opus(&[15 << 3]), Some(960));
        // two frames, and as many as told
        assert_eq!(opus(&[31 << 3 | 1]), Some(1920));
        assert_eq!(opus(&[31 << 3 | 3, 0x80 | 6]), Some(5760));
        assert_eq!(opus(&[31 << 3 | 3, 7]), None);
        assert_eq!(opus(&[31 << 3 | 3, 0]), None);
        assert_eq!(opus(&[31 << 3 | 3]), None);
        assert_eq!(opus(&[]), None);
    }

    #[test]
    fn flac_counts_its_blocks() {
        let flac = |head: &[u8]| samples(AudioCodec::Flac, &[], head);
        assert_eq!(flac(&[0xff, 0xf8, 0x59, 0x8c, 0x00, 0xde]), Some(4608));
        assert_eq!(flac(&[0xff, 0xf8, 0xc9, 0x18, 0x00]), Some(4096));
        assert_eq!(flac(&[0xff, 0xf8, 0x19, 0x18, 0x00]), Some(192));
        assert_eq!(flac(&[0xff, 0xf8, 0x69, 0x18, 0x00, 0x0f]), Some(16));
        assert_eq!(
            flac(&[0xff, 0xf8, 0x79, 0x18, 0x00, 0xff, 0xff]),
            Some(65_536)
        );
        assert_eq!(flac(&[0xff, 0xf8, 0x09, 0x18, 0x00]), None);
    }

    #[test]
    fn dolby_counts_blocks_of_independent_substreams() {
        let stereo = [0x0b, 0x77, 0x6b, 0xc4, 0x14, 0x40, 0x43, 0xe1];
        let enhanced = [0x0b, 0x77, 0x00, 0x03, 0x3f, 0x87, 0xc0, 0x00];
        assert_eq!(samples(AudioCodec::Ac3, &[], &stereo), Some(1536));
        assert_eq!(samples(AudioCodec::Eac3, &[], &stereo), Some(1536));
        assert_eq!(samples(AudioCodec::Eac3, &[], &enhanced), Some(1536));
        // one block a frame, and a dependent substream behind each
        let mut one = enhanced;
        one[4] = 0x0f;
        let mut dependent = one;
        dependent[2] |= 0x40;
        let two = [one, dependent, one, dependent].concat();
        assert_eq!(samples(AudioCodec::Eac3, &[], &two), Some(512));
        assert_eq!(samples(AudioCodec::Eac3, &[], &[0x0b, 0x77]), None);
        assert_eq!(samples(AudioCodec::Legacy(11), &[], &stereo), None);
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_number_that_a_frame_can_have(config: Vec<u8>, payload: Vec<u8>) {
            for codec in CODECS {
                let count = samples(codec, &config, &payload);
                prop_assert!(count.is_none_or(|count| count != 0));
            }
        }
    }
}
