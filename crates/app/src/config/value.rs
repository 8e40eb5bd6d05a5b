//! The types of values that are the configuration's own: sizes, secrets, choices.
//!
//! Owns: the types and what they mean. Does not: read or write their text, which is the `setting` module's.

use std::fmt;
use std::time::Duration;

use subtle::ConstantTimeEq;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

impl Size {
    /// `bytes` bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// `n` times 1024 bytes.
    pub const fn kib(n: u32) -> Self {
        Self(n as u64 * 1024)
    }

    /// `n` times 1024² bytes.
    pub const fn mib(n: u32) -> Self {
        Self(n as u64 * 1024 * 1024)
    }

    /// The number of bytes, or the largest `usize` where memory is smaller than that.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    pub(super) fn get(self) -> u64 {
        self.0
    }
}

/// A text that is never shown: its `Debug` is `***`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether no secret is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `candidate` is this secret, in a time that depends only on the lengths. An empty secret matches
    /// nothing, so that a check that forgot to ask [`Secret::is_empty`] stays closed.
    pub fn matches(&self, candidate: &str) -> bool {
        !self.0.is_empty() && bool::from(self.0.as_bytes().ct_eq(candidate.as_bytes()))
    }

    /// The text itself, for those who send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { "***" })
    }
}

/// A secret that stands in no header, and so may have any character: a password, or a URL with one in it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Credential(pub(super) Secret);

impl Credential {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Secret::new(text))
    }

    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text itself, for those who send it.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A log filter that was checked: `info`, or `info,weir_rtmp=debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(pub(super) String);

impl Filter {
    /// The directives, as `tracing_subscriber::EnvFilter` takes them.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

/// A value for `Access-Control-Allow-Origin` that was checked: `*`, one origin, or empty for no such header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsOrigin(pub(super) String);

impl CorsOrigin {
    /// The header's value, or `None` when the header is not to be sent.
    pub fn header(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(&*self.0)
    }
}

impl Default for CorsOrigin {
    fn default() -> Self {
        Self("*".to_owned())
    }
}

/// How long frames are gathered before they are written to viewers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Latency {
    /// At once while the core has time, longer under load.
    Adaptive,
    /// Always this long; zero is at once.
    Fixed(Duration),
}

/// Declares an enum with one text for each variant.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl Choice for $name {
            const ALL: &'static [(&'static str, Self)] = &[$(($text, Self::$variant),)+];
        }
    };
}

/// An enum that is written as one of a few words.
pub(super) trait Choice: Copy + PartialEq + Sized + 'static {
    /// Every word with its variant.
    const ALL: &'static [(&'static str, Self)];

    /// The word for this variant.
    fn word(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, variant)| *variant == self)
            .map_or("", |(word, _)| word)
    }
}

choice! {
    /// How a log line looks.
    Format {
        /// For people: one line of text.
        Text = "text",
        /// For machines: one JSON object a line.
        Json = "json",
    }
}

choice! {
    /// Whether text log lines are coloured.
    Color {
        /// On a terminal, unless `NO_COLOR` is set.
        Auto = "auto",
        /// Always.
        Always = "always",
        /// Never.
        Never = "never",
    }
}

choice! {
    /// Where a new viewer begins.
    Start {
        /// At the last key frame, from the cache: a picture at once.
        Cache = "cache",
        /// At the next key frame: least delay, after a wait.
        NextKey = "next-key",
        /// At the next frame, whatever it is.
        Live = "live",
    }
}

choice! {
    /// What happens to a viewer that falls behind.
    SlowViewer {
        /// It skips to the newest key frame.
        Skip = "skip",
        /// It is closed.
        Disconnect = "disconnect",
    }
}

choice! {
    /// What a second publisher of a live name gets.
    PublishConflict {
        /// The second one is refused.
        Refuse = "refuse",
        /// The first one is closed.
        Takeover = "takeover",
    }
}

choice! {
    /// What a playlist of HLS keeps.
    HlsPlaylist {
        /// A window that slides.
        Live = "live",
        /// Everything since the beginning, as far as memory allows.
        Event = "event",
    }
}

choice! {
    /// What a stream's own playlist of HLS leads to.
    HlsContainer {
        /// Fragmented MP4.
        Fmp4 = "fmp4",
        /// MPEG-TS.
        Ts = "ts",
    }
}

choice! {
    /// How sound is offered beside pictures.
    Renditions {
        /// In the same segments.
        Muxed = "muxed",
        /// As a rendition of its own.
        Separate = "separate",
    }
}

choice! {
    /// From when on segments of a stream are made.
    HlsWhen {
        /// From the first request on.
        Watched = "watched",
        /// From the first frame on.
        Always = "always",
    }
}

choice! {
    /// Whether segments are encrypted.
    Encryption {
        /// They are not.
        None = "none",
        /// AES-128 in CBC mode over whole segments.
        Aes128 = "aes-128",
    }
}

choice! {
    /// Where a cluster keeps what its proxies share.
    State {
        /// In this process: there is one proxy.
        Memory = "memory",
        /// In Redis.
        Redis = "redis",
    }
}

choice! {
    /// How an origin learns a client's address over RTMP.
    HandOver {
        /// Not at all.
        None = "none",
        /// By the bytes that SRS takes before C0.
        Srs = "srs",
        /// By PROXY protocol, version 1.
        ProxyV1 = "proxy-v1",
        /// By PROXY protocol, version 2.
        ProxyV2 = "proxy-v2",
    }
}

choice! {
    /// How the key of a stream is made.
    KeyForm {
        /// One key for all protocols.
        Uniform = "uniform",
        /// Byte for byte that of the Go proxy.
        Go = "go",
    }
}

choice! {
    /// How the request for a segment finds the origin of its playlist.
    Routing {
        /// Signed where that needs nothing else: state in memory, or a secret that is set; else stored.
        Auto = "auto",
        /// A signed id in the URL says it.
        Signed = "signed",
        /// The cluster's state says it.
        Stored = "stored",
    }
}
