//! The one media model of Weir.
//!
//! Owns: what a stream is called ([`StreamKey`]), what it is made of ([`Codec`], [`TrackInfo`], [`Frame`]), and how
//! its times are counted ([`Timestamp`]). These values pass between protocol cores, gates and the hub.
//! Does not: parse any wire format, keep state, or know a protocol.
//!
//! Three times never mix: `now` is a monotonic [`std::time::Instant`] handed in by the driver; media time is a
//! [`Timestamp`]; wallclock is a [`std::time::SystemTime`] and only ever shown to people.

#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

mod codec;
mod frame;
mod key;
mod session;
mod time;
mod track;

pub use codec::{AudioCodec, Codec, VideoCodec};
pub use frame::{Frame, Role};
pub use key::{AppName, InvalidKey, MAX_KEY_BYTES, StreamKey, StreamName, Vhost};
pub use session::{InvalidSessionId, SessionId};
pub use time::{TICKS_PER_MILLI, Timestamp, Unwrapper};
pub use track::{AudioInfo, Media, TrackId, TrackInfo, VideoInfo};
