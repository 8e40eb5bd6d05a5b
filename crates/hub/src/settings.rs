//! What operators decide about streams.
//!
//! Owns: the settings' types and defaults. Does not: read configuration files.

use std::time::Duration;

/// How long media may wait so that several messages leave in one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Latency {
    /// At once while the core is idle, later as it fills, never later than `max`.
    Adaptive {
        /// The longest wait.
        max: Duration,
    },
    /// As long as this, whatever the load; zero sends each message at once.
    Fixed(Duration),
}

/// Where a viewer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// At the last key frame, from the GOP cache: a picture at once.
    #[default]
    Cache,
    /// At the next key frame: no catching up.
    NextKey,
    /// With the next message, decodable or not: least delay.
    Live,
}

/// What happens to a viewer that falls off the log's tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SlowViewer {
    /// Goes on at the newest key frame.
    #[default]
    Skip,
    /// Is disconnected.
    Disconnect,
}

/// What happens when a second publisher comes for a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Conflict {
    /// The second is refused.
    #[default]
    Refuse,
    /// The first is disconnected.
    Takeover,
}

/// Settings of streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Keep the last GOP for new viewers.
    pub gop_cache: bool,
    /// Largest cached GOP in bytes; a larger one is not cached.
    pub gop_max_bytes: usize,
    /// Longest cached GOP; a longer one is not cached.
    pub gop_max_duration: Duration,
    /// Merging of writes.
    pub latency: Latency,
    /// Where viewers begin who do not say.
    pub start: Start,
    /// What happens to viewers who fall behind.
    pub slow_viewer: SlowViewer,
    /// How far a viewer may fall behind in time.
    pub lag_max_duration: Duration,
    /// How far a viewer may fall behind in bytes.
    pub lag_max_bytes: usize,
    /// Second publishers.
    pub conflict: Conflict,
    /// How long a stream waits for a publisher that left without saying so.
    pub grace: Duration,
    /// Most viewers of a stream; 0 is no limit.
    pub viewers_per_stream: u64,
    /// Most streams; 0 is no limit.
    pub streams: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            gop_cache: true,
            gop_max_bytes: 16 << 20,
            gop_max_duration: Duration::from_secs(30),
            latency: Latency::Adaptive {
                max: Duration::from_millis(350),
            },
            start: Start::Cache,
            slow_viewer: SlowViewer::Skip,
            lag_max_duration: Duration::from_secs(10),
            lag_max_bytes: 16 << 20,
            conflict: Conflict::Refuse,
            grace: Duration::from_secs(10),
            viewers_per_stream: 0,
            streams: 10_000,
        }
    }
}
