//! Playlists of HLS and manifests of MPEG-DASH as text: their URIs are found and changed, the rest stays byte for byte.
//!
//! Owns: their syntax ([`playlist`], [`mpd`]), and what can be said of a URI without resolving it ([`uri`]).
//! Does not: fetch them or know where they lead.

#![forbid(unsafe_code)]

pub mod mpd;
pub mod playlist;
pub mod uri;

/// Longest text that a change may produce, in bytes. Four times the largest playlist that is read leaves room for a
/// parameter behind each URI; without a bound a playlist of one-letter URIs would grow by a thousand times.
pub const MAX_TEXT_BYTES: usize = 16 << 20;

/// Where `part`, a slice of `whole`, begins in it. Compares addresses; nothing is read through them.
fn offset_in(whole: &str, part: &str) -> usize {
    let offset = part.as_ptr().addr().checked_sub(whole.as_ptr().addr());
    offset.expect("a part begins within its whole")
}
