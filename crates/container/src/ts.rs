//! MPEG transport streams (ISO/IEC 13818-1), written and read.
//!
//! Owns: [`Muxer`] (frames become packets of 188 bytes, endless or in segments) and [`Demuxer`] (packets, whole or
//! damaged, become [`weir_media::Frame`]s with the bodies of FLV). Coded pictures and sound pass byte for byte; what
//! changes is their wrapping: start codes for lengths, ADTS headers for AudioSpecificConfigs, parameter sets in band.
//! Does not: keep pace (the caller decides when bytes leave), know playlists, or read packets of 192 or 204 bytes.

mod clock;
mod coding;
mod demux;
mod mux;
mod opus;
mod packet;
mod pes;
mod psi;

pub use demux::{Counters, Demuxer};
pub use mux::{Muxer, Unit};

use weir_media::{AudioCodec, Codec, Timestamp, TrackId, VideoCodec};

/// Bytes of a packet (§2.4.3.2).
pub const PACKET_BYTES: usize = 188;

/// How much later PTS and DTS on the wire are than the times of the frames that were written; the clock shows the latter.
/// It is what a receiver has to buffer a picture and to wait for sound that is interleaved later: ffmpeg's default. A
/// stream that begins at 0 so does not begin with a clock that wraps.
pub const DELAY: Timestamp = Timestamp::from_millis(700);

/// Most tracks of a program, written or read. Multitrack publishers send two or three of a medium; a PMT of 16 is still
/// two packets.
pub const MAX_TRACKS: usize = 16;

/// Most bytes of a configuration that is kept for a track. Parameter sets of all encoders seen are under 200 bytes; some
/// records carry the encoder's settings as text of about a kilobyte.
pub const MAX_CONFIG_BYTES: usize = 16 * 1024;

/// Whether a transport stream can carry `codec`: H.264, H.265, AAC, MP3, Opus, AC-3 and E-AC-3.
pub fn is_supported(codec: Codec) -> bool {
    matches!(
        codec,
        Codec::Video(VideoCodec::H264 | VideoCodec::H265)
            | Codec::Audio(
                AudioCodec::Aac
                    | AudioCodec::Mp3
                    | AudioCodec::Opus
                    | AudioCodec::Ac3
                    | AudioCodec::Eac3
            )
    )
}

/// Why a frame or a track cannot be written. The publisher is at fault, except where a variant says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Lawful, and no codec that a transport stream can carry here.
    #[error("{codec} is not carried in transport streams")]
    Unsupported {
        /// The codec.
        codec: Codec,
    },
    /// The track's configuration or the frame's payload is damaged, or of a kind that has no form here.
    #[error(transparent)]
    Codec(#[from] weir_codec::Error),
    /// A frame or a configuration longer than the stream can say.
    #[error("{bytes} bytes are more than the limit of {limit}")]
    TooLarge {
        /// The length.
        bytes: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// More than [`MAX_TRACKS`].
    #[error("a program has at most {MAX_TRACKS} tracks")]
    TooManyTracks,
    /// The caller's fault: a frame of a track that was not set.
    #[error("{0:?} has not been announced")]
    UnknownTrack(TrackId),
}
