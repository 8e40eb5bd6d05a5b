//! The chunk stream (RTMP 1.0 §5.3).
//!
//! Owns: the bounds of the chunk layer, [`ChunkReader`] (chunks of a connection to whole messages) and
//! [`write_message`] (a message to chunks, without state). Does not: know what a message means, except
//! Set Chunk Size and Abort, which steer the layer itself.

mod header;
mod reader;
mod writer;

pub use reader::ChunkReader;
pub use writer::{encoded_len, write_message};

/// What later headers of a chunk stream may leave out because an earlier one said it (RTMP 1.0 §5.3.1.2).
///
/// Two connections whose chunk streams agree in this can take the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamHeader {
    /// The chunk stream.
    pub csid: u32,
    /// Absolute time of its last message, in milliseconds modulo 2^32.
    pub timestamp: u32,
    /// The last time or delta that a header said.
    pub field: u32,
    /// Whether that needed the extended form.
    pub extended: bool,
    /// Type of its last message.
    pub type_id: u8,
    /// Length of its last message, in bytes.
    pub length: u32,
    /// Message stream of its last message.
    pub msid: u32,
}

/// Chunk size of both directions until Set Chunk Size, in bytes (RTMP 1.0 §5.4.1).
pub const INITIAL_CHUNK_SIZE: u32 = 128;

/// Longest message body the 24-bit length can say, in bytes.
pub const MAX_BODY_BYTES: u32 = 0xff_ffff;

/// Longest message accepted unless configured otherwise, in bytes.
///
/// A key frame of 4K video at 100 Mbit/s is 1 to 4 MiB; 8 MiB leaves room above that. A lower bound breaks intra-only
/// contribution feeds; a higher one lets every connection hold more memory that it has not earned.
pub const DEFAULT_MAX_MESSAGE_BYTES: u32 = 8 << 20;

/// Chunk streams with state on one connection.
///
/// Encoders use 3 to 8; ffmpeg and OBS with several tracks stay below 20. Each costs about 64 bytes for as long as the
/// connection lasts, since the next header may refer to the last. A peer that needs more is refused.
pub const MAX_CHUNK_STREAMS: usize = 64;

/// Memory reserved ahead of the bytes that have come, per unfinished message.
///
/// A header may announce megabytes and send nothing; memory follows what was received in steps of this size.
/// Messages up to this size (all audio, most video frames) are allocated once and exactly.
pub const RESERVE_AHEAD_BYTES: usize = 64 << 10;

/// Chunk streams that Weir writes on; all need one byte of basic header.
pub mod csid {
    /// Protocol control and user control messages (RTMP 1.0 §5.4 demands 2).
    pub const CONTROL: u32 = 2;
    /// Commands of the connection.
    pub const COMMAND: u32 = 3;
    /// Commands of a message stream: `onStatus`, `publish`, `play`.
    pub const STREAM: u32 = 5;
    /// Audio messages.
    pub const AUDIO: u32 = 6;
    /// Video messages.
    pub const VIDEO: u32 = 7;
    /// Data messages: metadata and script data.
    pub const DATA: u32 = 8;
}
