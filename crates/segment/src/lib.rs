//! Segments of a live stream: cut once, kept once, and seen as HLS, low-latency HLS and MPEG-DASH.
//!
//! Owns: [`Channel`], which takes a stream's frames and answers requests for its files; the clock that cuts parts and
//! segments, the store that bounds and forgets them, and the views: fragmented MP4 with both tracks or one, MPEG-TS,
//! playlists, manifests, keys. Does not: read sockets or clocks, run tasks, or wake anybody: it says when there is
//! news, and how long an answer may be waited for.

#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

mod archive;
mod channel;
mod cut;
mod file;
mod lane;
mod lists;
mod manifest;
mod part;
mod period;
mod reply;
mod seal;
mod settings;
mod store;
mod transport;

pub use archive::ArchiveError;
pub use channel::{Answer, Ask, Channel, More, OPENING_WAIT, Rest, Rhythm};
pub use file::{File, List, View};
pub use reply::{Cache, Reply};
pub use settings::{Container, Encryption, Keep, Renditions, Settings};
pub use store::Anchor;
