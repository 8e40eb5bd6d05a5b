//! What operators decide about segments.
//!
//! Owns: the settings' types and defaults. Does not: read configuration files.

use std::time::Duration;

/// What a playlist keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// The window, which slides (no `EXT-X-PLAYLIST-TYPE`).
    #[default]
    Live,
    /// Everything since the beginning, as far as memory allows (`EXT-X-PLAYLIST-TYPE:EVENT`); `VOD` when it is over.
    Event,
}

/// What `X.m3u8` leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Container {
    /// Fragmented MP4 (CMAF), with parts where they are on.
    #[default]
    Fmp4,
    /// MPEG-TS, as old players need it. Codecs that it cannot carry are served as fragmented MP4 all the same.
    Ts,
}

/// How sound is offered beside pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Renditions {
    /// In the same segments: half the requests.
    #[default]
    Muxed,
    /// As a rendition of its own (`EXT-X-MEDIA`), as CMAF has it.
    Separate,
}

/// Whether segments are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encryption {
    /// They are not.
    #[default]
    None,
    /// AES-128 in CBC mode over whole segments (RFC 8216, section 4.3.2.4), which leaves no parts and no DASH.
    Aes128 {
        /// How long a key is used.
        rotation: Duration,
    },
}

/// Settings of a stream's segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// A segment ends with the first key frame after this long.
    pub segment: Duration,
    /// A segment without a key frame ends after this long all the same.
    pub longest_segment: Duration,
    /// A part ends before it gets longer than this; frames longer than that are parts of their own.
    pub part: Duration,
    /// Playlists name parts, and can be waited for.
    pub low_latency: bool,
    /// How much a playlist covers.
    pub window: Duration,
    /// Most bytes of media that one stream keeps; the oldest segments go first.
    pub max_bytes: usize,
    /// What a playlist keeps.
    pub keep: Keep,
    /// What `X.m3u8` leads to.
    pub container: Container,
    /// How sound is offered beside pictures.
    pub renditions: Renditions,
    /// Whether segments are encrypted.
    pub encryption: Encryption,
    /// Serve HLS.
    pub hls: bool,
    /// Serve MPEG-DASH.
    pub dash: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment: Duration::from_secs(2),
            longest_segment: Duration::from_secs(10),
            part: Duration::from_millis(200),
            low_latency: true,
            window: Duration::from_secs(30),
            max_bytes: 64 << 20,
            keep: Keep::Live,
            container: Container::Fmp4,
            renditions: Renditions::Muxed,
            encryption: Encryption::None,
            hls: true,
            dash: true,
        }
    }
}

impl Settings {
    /// Whether parts are made known: they are not when segments are encrypted as a whole.
    pub fn offers_parts(&self) -> bool {
        self.low_latency && self.encryption == Encryption::None
    }

    /// Whether manifests are served: DASH has no whole-segment encryption, and would give away what HLS hides.
    pub fn offers_dash(&self) -> bool {
        self.dash && self.encryption == Encryption::None
    }
}
