//! Playlists of HLS, written (RFC 8216, draft-pantos-hls-rfc8216bis-20).
//!
//! Owns: the text of media playlists ([`media`]) and multivariant playlists ([`multivariant`]), and that no name can
//! break out of it: what stands in quotes or on a line of its own is cleaned here, whatever the caller gave.
//! Invariants: one version of the facts gives one text; no clock is read; numbers are cut, not rounded, so that no
//! duration grows beyond the target that it has to keep.
//! Does not: decide what is listed, or how long a playlist may be; that is the caller's window.

mod date;
pub mod media;
pub mod multivariant;
mod text;

pub use media::{
    Hint, Key, Kind, MediaPlaylist, Part, RenditionReport, Segment, SegmentUris, Window,
};
pub use multivariant::{AudioRendition, Multivariant, Variant};

pub(crate) use date::push_date;
pub(crate) use text::{push_percent, push_seconds, push_uri_from};

#[cfg(test)]
mod tests;
