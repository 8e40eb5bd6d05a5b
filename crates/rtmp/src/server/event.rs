//! What a server session tells its driver.
//!
//! Owns: [`Event`] and the requests in it. Does not: hold session state.

use bytes::Bytes;

use crate::message::MediaKind;

pub use crate::command::{ConnectRequest, PublishKind};

/// One thing that happened on the connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The peer wants to connect. Answer with `accept_connect` or `reject_connect`; until then no input is consumed.
    Connect(Box<ConnectRequest>),
    /// The peer wants to publish. Answer with `accept_publish` or `reject_publish`; until then no input is consumed.
    Publish {
        /// Message stream.
        msid: u32,
        /// Stream name, with its query if there is one.
        name: String,
        /// What should become of the stream.
        kind: PublishKind,
    },
    /// The peer wants to play. Answer with `accept_play` or `reject_play`, now or later.
    Play {
        /// Message stream.
        msid: u32,
        /// Stream name, with its query if there is one.
        name: String,
        /// Where to start, as sent. The standard says seconds, -2 for live or else recorded and -1 for live only;
        /// ffmpeg and librtmp send milliseconds, so -2000 and -1000. Negative means live.
        start: f64,
        /// How much to play, as sent, in the unit of `start`; negative is until the end.
        duration: f64,
        /// Whether an earlier playlist is dropped.
        reset: bool,
    },
    /// A media message of a publishing stream.
    Media {
        /// Message stream.
        msid: u32,
        /// What it carries.
        kind: MediaKind,
        /// Milliseconds modulo 2^32, as the publisher counts.
        timestamp: u32,
        /// Body of the message: an FLV tag body, in an allocation of its own.
        body: Bytes,
    },
    /// A publishing stream has ended. Comes exactly once for each accepted publish that the peer ends; the end of the
    /// connection itself, and `close_publish`, are known to the caller without it.
    Unpublish {
        /// Message stream.
        msid: u32,
        /// True when the peer said so; false when it began something else on the stream.
        clean: bool,
    },
    /// A playing (or waiting) stream has ended by wish of the peer.
    StopPlay {
        /// Message stream.
        msid: u32,
    },
    /// The player paused or resumed. The session has answered already.
    Pause {
        /// Message stream.
        msid: u32,
        /// True to pause.
        paused: bool,
    },
    /// The player wants audio, or none.
    ReceiveAudio {
        /// Message stream.
        msid: u32,
        /// Whether to send audio.
        enabled: bool,
    },
    /// The player wants video, or none.
    ReceiveVideo {
        /// Message stream.
        msid: u32,
        /// Whether to send video.
        enabled: bool,
    },
    /// The player buffers this much.
    BufferLength {
        /// Message stream.
        msid: u32,
        /// Milliseconds.
        millis: u32,
    },
}
