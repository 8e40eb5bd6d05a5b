//! How each codec is announced: `stream_type` (table 2-34), descriptors, `stream_id`.
//!
//! Owns: codec to announcement and back. Broadcasters and Blu-ray use other numbers for the same codecs; reading knows
//! them. Does not: read configurations.

use weir_media::{AudioCodec, Codec, VideoCodec};

use super::{opus, pes, psi};

/// `stream_type` of private data, whose descriptors say what it is.
const PRIVATE: u8 = 0x06;

/// Descriptor tags: registration (§2.6.8), and those of ETSI EN 300 468 for AC-3 and E-AC-3.
const REGISTRATION: u8 = 0x05;
const DVB_AC3: u8 = 0x6a;
const DVB_EAC3: u8 = 0x7a;

/// How a track is announced and its packets are marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Coding {
    pub(super) stream_type: u8,
    pub(super) descriptors: Vec<u8>,
    pub(super) stream_id: u8,
}

impl Coding {
    /// The announcement of `codec`; `None` when there is none. `config` is read for Opus only.
    pub(super) fn of(codec: Codec, config: &[u8]) -> Option<Self> {
        let (stream_type, descriptors, stream_id) = match codec {
            Codec::Video(VideoCodec::H264) => (0x1b, vec![], VIDEO),
            Codec::Video(VideoCodec::H265) => (0x24, registration(*b"HEVC"), VIDEO),
            Codec::Audio(AudioCodec::Aac) => (0x0f, vec![], AUDIO),
            Codec::Audio(AudioCodec::Mp3) => (MPEG1_AUDIO, vec![], AUDIO),
            Codec::Audio(AudioCodec::Ac3) => (0x81, registration(*b"AC-3"), pes::PRIVATE_STREAM_1),
            Codec::Audio(AudioCodec::Eac3) => (0x87, registration(*b"EAC3"), pes::PRIVATE_STREAM_1),
            Codec::Audio(AudioCodec::Opus) => {
                let mut descriptors = registration(*b"Opus");
                descriptors.extend(opus::descriptor(config));
                (PRIVATE, descriptors, pes::PRIVATE_STREAM_1)
            }
            _ => return None,
        };
        Some(Self {
            stream_type,
            descriptors,
            stream_id,
        })
    }
}

/// `stream_id` of the first stream of either kind (table 2-22).
const VIDEO: u8 = 0xe0;
const AUDIO: u8 = 0xc0;

/// `stream_type` of MPEG audio at full and at halved rates (ISO/IEC 11172-3, 13818-3).
pub(super) const MPEG1_AUDIO: u8 = 0x03;
pub(super) const MPEG2_AUDIO: u8 = 0x04;

fn registration(format: [u8; 4]) -> Vec<u8> {
    let [a, b, c, d] = format;
    vec![REGISTRATION, 4, a, b, c, d]
}

/// The codec of an announced stream, and for Opus its identification header, else nothing. `None` for what is not read.
pub(super) fn codec_of(stream: &psi::Stream) -> Option<(Codec, Vec<u8>)> {
    let codec = match stream.stream_type {
        0x1b => Codec::Video(VideoCodec::H264),
        0x24 => Codec::Video(VideoCodec::H265),
        MPEG1_AUDIO | MPEG2_AUDIO => Codec::Audio(AudioCodec::Mp3),
        0x0f => Codec::Audio(AudioCodec::Aac),
        0x81 => Codec::Audio(AudioCodec::Ac3),
        0x84 | 0x87 => Codec::Audio(AudioCodec::Eac3),
        PRIVATE => return private(&stream.descriptors),
        _ => return None,
    };
    Some((codec, Vec::new()))
}

fn private(descriptors: &[u8]) -> Option<(Codec, Vec<u8>)> {
    let codec = psi::descriptors(descriptors).find_map(|(tag, content)| match (tag, content) {
        (REGISTRATION, [b'H', b'E', b'V', b'C', ..]) => Some(Codec::Video(VideoCodec::H265)),
        (REGISTRATION, [b'O', b'p', b'u', b's', ..]) => Some(Codec::Audio(AudioCodec::Opus)),
        (REGISTRATION, [b'A', b'C', b'-', b'3', ..]) | (DVB_AC3, _) => {
            Some(Codec::Audio(AudioCodec::Ac3))
        }
        (REGISTRATION, [b'E', b'A', b'C', b'3', ..]) | (DVB_EAC3, _) => {
            Some(Codec::Audio(AudioCodec::Eac3))
        }
        _ => None,
    })?;
    if codec != Codec::Audio(AudioCodec::Opus) {
        return Some((codec, Vec::new()));
    }
    Some((codec, opus::config(descriptors)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(coding: &Coding) -> psi::Stream {
        psi::Stream {
            stream_type: coding.stream_type,
            pid: 0x100,
            descriptors: coding.descriptors.clone(),
        }
    }

    #[test]
    fn what_is_announced_is_understood() {
        for codec in [
            Codec::Video(VideoCodec::H264),
            Codec::Video(VideoCodec::H265),
            Codec::Audio(AudioCodec::Aac),
            Codec::Audio(AudioCodec::Mp3),
            Codec::Audio(AudioCodec::Opus),
            Codec::Audio(AudioCodec::Ac3),
            Codec::Audio(AudioCodec::Eac3),
        ] {
            assert!(super::super::is_supported(codec));
            let coding = Coding::of(codec, &[]).unwrap();
            assert_eq!(codec_of(&stream(&coding)).unwrap().0, codec);
        }
        assert_eq!(Coding::of(Codec::Video(VideoCodec::Av1), &[]), None);
        assert_eq!(Coding::of(Codec::Script, &[]), None);
    }

    #[test]
    fn private_data_is_what_its_descriptors_say() {
        let stream = |descriptors: &[u8]| psi::Stream {
            stream_type: PRIVATE,
            pid: 0x100,
            descriptors: descriptors.to_vec(),
        };
        let ac3 = (Codec::Audio(AudioCodec::Ac3), vec![]);
        assert_eq!(codec_of(&stream(&[10, 1, 0, DVB_AC3, 1, 0])), Some(ac3));
        // subtitles; Opus of which nothing is known
        assert_eq!(codec_of(&stream(&[0x59, 1, 0])), None);
        assert_eq!(codec_of(&stream(&registration(*b"Opus"))), None);
    }
}
