//! Bounded cursors over bytes and bits, for parsers of anything that comes from a network.
//!
//! Owns: [`Cursor`] (whole bytes, big endian unless a name says otherwise) and [`Bits`] (most significant bit
//! first, with the Exp-Golomb codes of ITU-T H.264 §9.1). Every read either succeeds or returns a
//! [`Short`] that says at which offset how much was missing; nothing here indexes, allocates or panics. And the one
//! format that stands before all protocols, [`proxy_protocol`]; and the calendar of dates, [`civil`].
//! Does not: know any other format.

#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

mod bits;
pub mod civil;
mod cursor;
pub mod proxy_protocol;

pub use bits::Bits;
pub use cursor::Cursor;

/// Input that ended before the value that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("input ends at byte {offset}: {wanted} more needed, {left} left")]
pub struct Short {
    /// Where the read began, in bytes from the start of the input (for [`Bits`], of the byte that holds the first bit).
    pub offset: usize,
    /// How much the read asked for: bytes for [`Cursor`], bits for [`Bits`].
    pub wanted: usize,
    /// How much there was, in the same unit.
    pub left: usize,
}
