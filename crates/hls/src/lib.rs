//! Playlists of HLS and manifests of MPEG-DASH as text: written from plain facts, and those of others changed, URI by URI,
//! while the rest stays byte for byte.
//!
//! Owns: writing ([`mod@write`], [`dash`]), what players ask for ([`query`]), the syntax of what is changed ([`playlist`],
//! [`mpd`]), and what can be said of a URI without resolving it ([`uri`]).
//! Does not: fetch them or know where they lead, read clocks, or keep segments.

#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

pub mod dash;
#[cfg(any(test, feature = "lint"))]
pub mod lint;
pub mod mpd;
pub mod playlist;
pub mod query;
#[cfg(test)]
mod testing;
pub mod uri;
pub mod write;

/// Longest text that a change may produce, in bytes. Four times the largest playlist that is read leaves room for a
/// parameter behind each URI; without a bound a playlist of one-letter URIs would grow by a thousand times.
pub const MAX_TEXT_BYTES: usize = 16 << 20;

/// Where `part`, a slice of `whole`, begins in it. Compares addresses; nothing is read through them.
fn offset_in(whole: &str, part: &str) -> usize {
    let offset = part.as_ptr().addr().checked_sub(whole.as_ptr().addr());
    offset.expect("a part begins within its whole")
}
