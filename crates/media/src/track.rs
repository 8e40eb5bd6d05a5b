//! What a stream is made of.
//!
//! Owns: track identity and what an API or a player needs to know of a track. Does not: parse codec headers.

use crate::Codec;

/// A kind of medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Media {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Script data: metadata, cue points, captions.
    Data,
}

/// A track of a stream: its medium, and its number among the tracks of that medium.
///
/// The number is the `trackId` of enhanced RTMP v2 multitrack; streams with one track of a medium use 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackId {
    /// The medium.
    pub media: Media,
    /// The number within the medium, 0 for the default track.
    pub index: u8,
}

impl TrackId {
    /// The default video track.
    pub const VIDEO: Self = Self {
        media: Media::Video,
        index: 0,
    };
    /// The default audio track.
    pub const AUDIO: Self = Self {
        media: Media::Audio,
        index: 0,
    };
    /// Script data.
    pub const DATA: Self = Self {
        media: Media::Data,
        index: 0,
    };
}

/// What is known of a video track from its codec header; zero or `None` where the header does not say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VideoInfo {
    /// Profile as the codec's standard names it, such as `High` or `Main 10`.
    pub profile: Option<String>,
    /// Level as the codec's standard writes it, such as `3.1`.
    pub level: Option<String>,
    /// Width of the picture as shown, in luma samples.
    pub width: u32,
    /// Height of the picture as shown, in luma samples.
    pub height: u32,
    /// Frames a second, where the header carries timing.
    pub frame_rate: Option<f64>,
}

/// What is known of an audio track from its codec header; zero or `None` where the header does not say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AudioInfo {
    /// Profile as the codec's standard names it, such as `LC` or `HE-AAC`.
    pub profile: Option<String>,
    /// Samples a second of the decoded sound.
    pub sample_rate: u32,
    /// Number of channels of the decoded sound.
    pub channels: u16,
}

/// A track's codec and what its header says.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackInfo {
    /// The codec.
    pub codec: Codec,
    /// For video tracks whose header was understood.
    pub video: Option<VideoInfo>,
    /// For audio tracks whose header was understood.
    pub audio: Option<AudioInfo>,
}
