//! The handshake of both sides (RTMP 1.0 §5.2) in its simple and its digest form.
//!
//! Owns: [`ServerHandshake`] and [`ClientHandshake`], which live from the first byte to the last of the handshake and
//! are then dropped. Does not: keep time, or draw randomness: its blocks are filled from a seed, as they need to
//! differ and not to be secret.
//!
//! A peer announces the digest form by a version other than 0 in bytes 4..8 of its block. If no digest is found
//! then, the simple form is used. The signature of the peer's last block is checked and reported but not enforced:
//! encoders of the field fill it with what they like.

mod client;
pub mod digest;
mod server;

pub use client::ClientHandshake;
pub use server::ServerHandshake;

/// Bytes of C1, C2, S1 and S2.
pub const BLOCK_BYTES: usize = 1536;

/// C0 and S0: the version of plain RTMP.
pub const VERSION: u8 = 3;

pub(crate) type Block = [u8; BLOCK_BYTES];

/// The form a handshake took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Blocks are echoed.
    Simple,
    /// Blocks are signed.
    Digest(digest::Schema),
}

/// Judges the first byte of the connection.
fn check_version(byte: u8) -> Result<(), crate::Error> {
    match byte {
        VERSION => Ok(()),
        // §5.2.2: 4 to 31 are later versions (6, 8 and 9 became RTMPE), 32 and above are other protocols
        version @ 4..=31 => Err(crate::Error::PeerUnsupported {
            offset: 1,
            what: crate::Unsupported::HandshakeVersion(version),
        }),
        other => Err(crate::Error::peer(
            1,
            None,
            crate::Misbehaviour::NotRtmp(other),
        )),
    }
}

/// Fills `block` with bytes that follow from `seed` (SplitMix64).
fn fill(block: &mut [u8], seed: u64) {
    let mut state = seed;
    for piece in block.chunks_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        for (to, from) in piece.iter_mut().zip((mixed ^ (mixed >> 31)).to_be_bytes()) {
            *to = from;
        }
    }
}

/// Writes `version` into bytes 4..8 and a time of 0 into bytes 0..4.
fn stamp(block: &mut Block, version: [u8; 4]) {
    for (to, from) in block.iter_mut().zip([0; 4].into_iter().chain(version)) {
        *to = from;
    }
}

/// Moves bytes from the front of `input` to the end of `buffer` until it holds `wanted`. True when it does.
fn gather(buffer: &mut Vec<u8>, wanted: usize, input: &mut &[u8]) -> bool {
    let missing = wanted.saturating_sub(buffer.len());
    let (piece, rest) = input.split_at_checked(missing).unwrap_or((input, &[]));
    buffer.extend_from_slice(piece);
    *input = rest;
    buffer.len() >= wanted
}
