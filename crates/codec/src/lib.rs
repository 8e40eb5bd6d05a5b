//! Codec headers, read far enough to say what a track is.
//!
//! Owns: [`describe`] (a sequence header to [`TrackInfo`]), [`describe_frame`] (the same from a frame, for codecs
//! whose frames carry it), [`rfc6381`] (what a track is called) and [`samples()`] (how long a frame of sound is), walking
//! NAL units ([`h264::nal_units`]), and the forms that transport streams have: [`annexb`], [`adts`], [`sync_frame`], records
//! made of parameter sets ([`h264::config_from`]). Pure functions of their input: no state, no clock; what is reserved
//! follows from the input that is there, and a parameter set is unpacked up to [`MAX_PARAMETER_SET_BYTES`]. Does not:
//! decode media, or parse the FLV or RTMP header in front.

#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

mod aac;
mod ac3;
pub mod adts;
pub mod annexb;
mod av1;
#[cfg(test)]
mod bit_writer;
mod error;
mod fields;
mod flac;
pub mod h264;
pub mod h265;
mod h266;
mod mp3;
mod nal;
mod opus;
mod record;
pub mod rfc6381;
mod samples;
mod sync;
mod vpx;
mod vui;

pub use error::Error;
pub use nal::{LengthSize, MAX_PARAMETER_SET_BYTES, NalUnits};
pub use samples::samples;
pub use sync::{SyncFrame, sync_frame};

use weir_media::{AudioCodec, AudioInfo, Codec, TrackInfo, VideoCodec, VideoInfo};

/// Describes a track by its sequence header: the payload as FLV and enhanced RTMP carry it, without their own header.
///
/// Fails when the header is damaged, and with [`Error::NoDescription`] for a codec that has none (MP3, AC-3, script
/// data, codecs Weir knows only by number).
pub fn describe(codec: Codec, config: &[u8]) -> Result<TrackInfo, Error> {
    match codec {
        Codec::Video(kind) => match kind {
            VideoCodec::H264 => h264::describe(config),
            VideoCodec::H265 => h265::describe(config),
            VideoCodec::H266 => h266::describe(config),
            VideoCodec::Av1 => av1::describe(config),
            VideoCodec::Vp8 | VideoCodec::Vp9 => vpx::describe(kind, config),
            _ => Err(Error::NoDescription { codec }),
        }
        .map(|info| video(codec, info)),
        Codec::Audio(kind) => match kind {
            AudioCodec::Aac => aac::describe(config),
            AudioCodec::Opus => opus::describe(config),
            AudioCodec::Flac => flac::describe(config),
            _ => Err(Error::NoDescription { codec }),
        }
        .map(|info| audio(codec, info)),
        Codec::Script => Err(Error::NoDescription { codec }),
    }
}

/// Describes a track by one frame's payload, for codecs whose frames say it: MP3, AC-3, E-AC-3, Opus, FLAC, and the key
/// frames of AV1, VP8 and VP9.
///
/// Fails when the frame is damaged, and with [`Error::NoDescription`] when it is not one that describes its track; try
/// the next then. The work does not grow with the frame.
pub fn describe_frame(codec: Codec, payload: &[u8]) -> Result<TrackInfo, Error> {
    match codec {
        Codec::Video(kind) => match kind {
            VideoCodec::Av1 => av1::describe_frame(payload),
            VideoCodec::Vp8 => vpx::describe_vp8_frame(payload),
            VideoCodec::Vp9 => vpx::describe_vp9_frame(payload),
            _ => Err(Error::NoDescription { codec }),
        }
        .map(|info| video(codec, info)),
        Codec::Audio(kind) => match kind {
            AudioCodec::Mp3 => mp3::describe_frame(payload),
            AudioCodec::Ac3 | AudioCodec::Eac3 => ac3::describe_frame(kind, payload),
            AudioCodec::Opus => opus::describe_frame(payload),
            AudioCodec::Flac => flac::describe_frame(payload),
            _ => Err(Error::NoDescription { codec }),
        }
        .map(|info| audio(codec, info)),
        Codec::Script => Err(Error::NoDescription { codec }),
    }
}

fn video(codec: Codec, info: VideoInfo) -> TrackInfo {
    TrackInfo {
        codec,
        video: Some(info),
        audio: None,
    }
}

fn audio(codec: Codec, info: AudioInfo) -> TrackInfo {
    TrackInfo {
        codec,
        video: None,
        audio: Some(info),
    }
}
