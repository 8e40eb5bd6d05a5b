//! Settings of a server session.
//!
//! Owns: their defaults and reasons. Does not: read configuration files.

use std::time::Duration;

use crate::chunk::DEFAULT_MAX_MESSAGE_BYTES;

/// Settings of a [`super::ServerSession`]; cheap to copy, one per connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerConfig {
    /// Chunk size of what the server sends, in bytes.
    ///
    /// 60000 puts nearly every frame into one chunk: fewest header bytes and the least work. Smaller values let
    /// audio interleave with large key frames on slow links, which only matters below about 1 Mbit/s.
    pub chunk_size: u32,
    /// Longest message accepted, in bytes; also the bound of all unfinished messages together.
    pub max_message_bytes: u32,
    /// Window Acknowledgement Size and Set Peer Bandwidth told to the peer, in bytes.
    pub window_ack_size: u32,
    /// From the first byte of the connection to the end of the handshake.
    pub handshake_timeout: Duration,
    /// From the end of the handshake to `connect`.
    pub connect_timeout: Duration,
    /// From `connect` to the first `publish` or `play`.
    pub request_timeout: Duration,
    /// `capsEx` told to enhanced peers, see [`crate::command::caps_ex`].
    pub caps_ex: u32,
}

impl Default for ServerConfig {
    fn default() -> Self {
        use crate::command::caps_ex::{MOD_EX, MULTITRACK, TIMESTAMP_NANO_OFFSET};
        Self {
            chunk_size: 60_000,
            max_message_bytes: DEFAULT_MAX_MESSAGE_BYTES,
            window_ack_size: 2_500_000,
            handshake_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            // bodies are forwarded as they come, so these forms pass through
            caps_ex: MULTITRACK | MOD_EX | TIMESTAMP_NANO_OFFSET,
        }
    }
}
