//! Fragmented MP4 as CMAF has it: what a track's decoder needs, and what stands in front of each run of samples.
//!
//! Owns: the types that name tracks and samples; [`write_init`] (`ftyp` and `moov`), [`write_fragment_head`] (`moof` and
//! the head of its `mdat`) and [`reader`], which reads both back. Bytes in, bytes out; media data is never copied
//! here, it follows the head in the caller's hands. Does not: time samples, cut segments, or look into pictures.
//!
//! Sources: ISO/IEC 14496-12 (boxes), ISO/IEC 23000-19 (CMAF), ISO/IEC 14496-14 and -15, and for each
//! further codec the binding that its sample entry names.

mod boxes;
mod entry;
mod fragment;
mod init;
pub mod reader;

pub use fragment::write_fragment_head;
pub use init::write_init;

use weir_media::{AudioCodec, Codec, TrackInfo, VideoCodec};

/// Longest decoder configuration that is written, in bytes. Parameter sets fill 100 bytes, and lists of everything the
/// standards allow some 10 KiB.
pub const MAX_CONFIG_BYTES: usize = 65_536;

/// A track of an init segment.
#[derive(Debug, Clone, Copy)]
pub struct Track<'a> {
    /// Its number, from 1 on, as fragments name it.
    pub id: u32,
    /// Ticks a second of its times and durations; not 0.
    pub timescale: u32,
    /// The codec; see [`is_supported`].
    pub codec: Codec,
    /// The decoder configuration as a sequence header of FLV carries it; empty for codecs without one.
    pub config: &'a [u8],
    /// The payload of an early frame, for codecs whose frames describe them (AC-3, MP3, the size of VP9); may be empty
    /// for others.
    pub frame: &'a [u8],
    /// What is known of the track.
    pub info: &'a TrackInfo,
}

/// A sample as its track's table names it, in ticks of the track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sample {
    /// Decode time of the next sample less that of this one.
    pub duration: u32,
    /// Length in bytes.
    pub size: u32,
    /// Presentation time less decode time; of either sign.
    pub composition: i32,
    /// Whether decoding can begin here. All sound can; it is not asked there.
    pub is_sync: bool,
}

/// Samples of one track that follow each other in decode order and in the data.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The track's number.
    pub track: u32,
    /// Whether its samples are pictures.
    pub is_video: bool,
    /// Decode time of the first sample, in ticks of the track.
    pub base_time: u64,
    /// The samples.
    pub samples: &'a [Sample],
}

/// Why no init segment can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The codec has no place in MP4, or none that is written here.
    #[error("{codec} is not written to fragmented MP4")]
    Unsupported {
        /// The codec.
        codec: Codec,
    },
    /// The publisher has not (yet) sent what the sample entry must say; a later frame may bring it.
    #[error("{codec}: the {what} is not known")]
    Unknown {
        /// The codec.
        codec: Codec,
        /// What is missing.
        what: &'static str,
    },
    /// The publisher's decoder configuration or frame is damaged.
    #[error(transparent)]
    Codec(#[from] weir_codec::Error),
    /// The publisher's decoder configuration is longer than [`MAX_CONFIG_BYTES`].
    #[error("{codec}: a decoder configuration of {size} bytes is too long")]
    ConfigTooLarge {
        /// The codec.
        codec: Codec,
        /// Its length.
        size: usize,
    },
}

/// Whether tracks of `codec` can be written.
pub fn is_supported(codec: Codec) -> bool {
    match codec {
        Codec::Video(kind) => matches!(
            kind,
            VideoCodec::H264 | VideoCodec::H265 | VideoCodec::Av1 | VideoCodec::Vp9
        ),
        Codec::Audio(kind) => matches!(
            kind,
            AudioCodec::Aac
                | AudioCodec::Mp3
                | AudioCodec::Opus
                | AudioCodec::Flac
                | AudioCodec::Ac3
                | AudioCodec::Eac3
        ),
        Codec::Script => false,
    }
}
