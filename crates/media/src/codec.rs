//! The codecs Weir names, and their FourCC of enhanced RTMP.
//!
//! Owns: names. Does not: parse codec headers (`weir-codec` does).

use std::fmt;

/// A video codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VideoCodec {
    /// ITU-T H.264, ISO/IEC 14496-10.
    H264,
    /// ITU-T H.265, ISO/IEC 23008-2.
    H265,
    /// ITU-T H.266, ISO/IEC 23090-3.
    H266,
    /// AOMedia Video 1.
    Av1,
    /// VP8.
    Vp8,
    /// VP9.
    Vp9,
    /// Another codec, by its number of FLV's `CodecID` (E.4.3.1): 2 is Sorenson H.263, 4 is VP6 and so on.
    Legacy(u8),
    /// Another codec, by the FourCC its publisher sent.
    Unknown([u8; 4]),
}

/// An audio codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AudioCodec {
    /// MPEG-4 AAC, ISO/IEC 14496-3.
    Aac,
    /// MPEG-1 or MPEG-2 audio layer III.
    Mp3,
    /// Opus, RFC 6716.
    Opus,
    /// FLAC, RFC 9639.
    Flac,
    /// Dolby AC-3.
    Ac3,
    /// Dolby E-AC-3.
    Eac3,
    /// Another codec, by its number of FLV's `SoundFormat` (E.4.2.1): 7 is G.711 A-law, 11 is Speex and so on.
    Legacy(u8),
    /// Another codec, by the FourCC its publisher sent.
    Unknown([u8; 4]),
}

/// A codec of any medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// A video codec.
    Video(VideoCodec),
    /// An audio codec.
    Audio(AudioCodec),
    /// Script data: AMF0 values such as `onMetaData`.
    Script,
}

impl VideoCodec {
    /// The codec of a FourCC of enhanced RTMP v2 ("Extended VideoTagHeader", table of `VideoFourCc`).
    pub fn from_fourcc(fourcc: [u8; 4]) -> Self {
        match &fourcc {
            b"avc1" => Self::H264,
            b"hvc1" => Self::H265,
            b"vvc1" => Self::H266,
            b"av01" => Self::Av1,
            b"vp08" => Self::Vp8,
            b"vp09" => Self::Vp9,
            _ => Self::Unknown(fourcc),
        }
    }

    /// The FourCC of enhanced RTMP v2, where the codec has one.
    pub fn fourcc(self) -> Option<[u8; 4]> {
        match self {
            Self::H264 => Some(*b"avc1"),
            Self::H265 => Some(*b"hvc1"),
            Self::H266 => Some(*b"vvc1"),
            Self::Av1 => Some(*b"av01"),
            Self::Vp8 => Some(*b"vp08"),
            Self::Vp9 => Some(*b"vp09"),
            Self::Legacy(_) => None,
            Self::Unknown(fourcc) => Some(fourcc),
        }
    }
}

impl AudioCodec {
    /// The codec of a FourCC of enhanced RTMP v2 ("Extended AudioTagHeader", table of `AudioFourCc`).
    pub fn from_fourcc(fourcc: [u8; 4]) -> Self {
        match &fourcc {
            b"mp4a" => Self::Aac,
            b".mp3" => Self::Mp3,
            b"Opus" => Self::Opus,
            b"fLaC" => Self::Flac,
            b"ac-3" => Self::Ac3,
            b"ec-3" => Self::Eac3,
            _ => Self::Unknown(fourcc),
        }
    }

    /// The FourCC of enhanced RTMP v2, where the codec has one.
    pub fn fourcc(self) -> Option<[u8; 4]> {
        match self {
            Self::Aac => Some(*b"mp4a"),
            Self::Mp3 => Some(*b".mp3"),
            Self::Opus => Some(*b"Opus"),
            Self::Flac => Some(*b"fLaC"),
            Self::Ac3 => Some(*b"ac-3"),
            Self::Eac3 => Some(*b"ec-3"),
            Self::Legacy(_) => None,
            Self::Unknown(fourcc) => Some(fourcc),
        }
    }
}

fn write_fourcc(f: &mut fmt::Formatter<'_>, fourcc: &[u8; 4]) -> fmt::Result {
    write!(f, "{}", fourcc.escape_ascii())
}

impl fmt::Display for VideoCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::H264 => f.write_str("H264"),
            Self::H265 => f.write_str("HEVC"),
            Self::H266 => f.write_str("VVC"),
            Self::Av1 => f.write_str("AV1"),
            Self::Vp8 => f.write_str("VP8"),
            Self::Vp9 => f.write_str("VP9"),
            Self::Legacy(2) => f.write_str("H263"),
            Self::Legacy(4 | 5) => f.write_str("VP6"),
            Self::Legacy(id) => write!(f, "flv-video-{id}"),
            Self::Unknown(fourcc) => write_fourcc(f, fourcc),
        }
    }
}

impl fmt::Display for AudioCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aac => f.write_str("AAC"),
            Self::Mp3 => f.write_str("MP3"),
            Self::Opus => f.write_str("Opus"),
            Self::Flac => f.write_str("FLAC"),
            Self::Ac3 => f.write_str("AC-3"),
            Self::Eac3 => f.write_str("E-AC-3"),
            Self::Legacy(0 | 3) => f.write_str("PCM"),
            Self::Legacy(7) => f.write_str("PCMA"),
            Self::Legacy(8) => f.write_str("PCMU"),
            Self::Legacy(11) => f.write_str("Speex"),
            Self::Legacy(id) => write!(f, "flv-audio-{id}"),
            Self::Unknown(fourcc) => write_fourcc(f, fourcc),
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Video(codec) => codec.fmt(f),
            Self::Audio(codec) => codec.fmt(f),
            Self::Script => f.write_str("script"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fourcc_survives_the_round_trip() {
        for fourcc in [
            b"avc1", b"hvc1", b"vvc1", b"av01", b"vp08", b"vp09", b"zzzz",
        ] {
            assert_eq!(VideoCodec::from_fourcc(*fourcc).fourcc(), Some(*fourcc));
        }
        for fourcc in [
            b"mp4a", b".mp3", b"Opus", b"fLaC", b"ac-3", b"ec-3", b"zzzz",
        ] {
            assert_eq!(AudioCodec::from_fourcc(*fourcc).fourcc(), Some(*fourcc));
        }
    }

    #[test]
    fn an_unprintable_fourcc_is_escaped_in_text() {
        assert_eq!(
            VideoCodec::Unknown([0, b'a', 0xff, b'\n']).to_string(),
            "\\x00a\\xff\\n"
        );
    }
}
