//! The sections of segments, HLS and DASH, and of MPEG-TS.
//!
//! Owns: [`Hls`], [`Dash`], [`Ts`] and their defaults. Does not: know how values are read, or make segments.

use std::path::PathBuf;
use std::time::Duration;

use super::input::Inputs;
use super::value::{Encryption, HlsContainer, HlsPlaylist, HlsWhen, Renditions, Size};

/// `[hls]`; DASH is made of the same segments.
#[derive(Debug, Clone, PartialEq)]
pub struct Hls {
    /// Whether HLS is served.
    pub enabled: bool,
    /// Length that segments aim at: each ends with the first key frame after it.
    pub segment: Duration,
    /// Longest part of a segment.
    pub part: Duration,
    /// Whether playlists name parts and can be waited for.
    pub low_latency: bool,
    /// How much a live playlist covers.
    pub window: Duration,
    /// Most bytes of the segments of one stream.
    pub max_size: Size,
    /// A segment without a key frame is cut after this long.
    pub longest_segment: Duration,
    /// What a playlist keeps.
    pub playlist: HlsPlaylist,
    /// What the stream's own playlist leads to.
    pub container: HlsContainer,
    /// How sound is offered beside pictures.
    pub renditions: Renditions,
    /// From when on segments are made.
    pub when: HlsWhen,
    /// How long after the last request segments are still made.
    pub idle: Duration,
    /// Whether segments are encrypted.
    pub encryption: Encryption,
    /// How long a key is used.
    pub key_rotation: Duration,
    /// Where segments are written for the next process; empty for nowhere.
    pub folder: PathBuf,
}

/// `[ts]`
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ts {
    /// Streams that come in as datagrams.
    pub udp_listen: Inputs,
}

/// `[dash]`
#[derive(Debug, Clone, PartialEq)]
pub struct Dash {
    /// Whether DASH is served.
    pub enabled: bool,
}

impl Default for Hls {
    fn default() -> Self {
        Self {
            enabled: true,
            segment: Duration::from_secs(2),
            part: Duration::from_millis(200),
            low_latency: true,
            window: Duration::from_secs(30),
            max_size: Size::mib(64),
            longest_segment: Duration::from_secs(10),
            playlist: HlsPlaylist::Live,
            container: HlsContainer::Fmp4,
            renditions: Renditions::Muxed,
            when: HlsWhen::Watched,
            idle: Duration::from_secs(60),
            encryption: Encryption::None,
            key_rotation: Duration::from_secs(600),
            folder: PathBuf::new(),
        }
    }
}

impl Default for Dash {
    fn default() -> Self {
        Self { enabled: true }
    }
}
