//! Whole messages and the control messages among them (RTMP 1.0 §5.4, §6.2, §7.1).
//!
//! Owns: [`Message`], the type ids, typed protocol control and user control messages in both directions, and the
//! parts of aggregate messages. Does not: parse commands (`command` does) or media.

mod aggregate;
mod control;

use bytes::Bytes;

pub(crate) use aggregate::Aggregate;
pub use control::{Control, LimitType, UserControl};

use crate::chunk::csid;

/// A whole message as the chunk layer delivers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Chunk stream it came on.
    pub csid: u32,
    /// Absolute time in milliseconds modulo 2^32, whatever form the header had.
    pub timestamp: u32,
    /// Message type id, see [`type_id`].
    pub type_id: u8,
    /// Message stream id; 0 is the connection itself.
    pub msid: u32,
    /// The body in an allocation of its own and of its size: keeping it pins no read buffer.
    pub body: Bytes,
}

/// Message type ids.
pub mod type_id {
    /// Set Chunk Size (§5.4.1).
    pub const SET_CHUNK_SIZE: u8 = 1;
    /// Abort Message (§5.4.2).
    pub const ABORT: u8 = 2;
    /// Acknowledgement (§5.4.3).
    pub const ACKNOWLEDGEMENT: u8 = 3;
    /// User Control Message (§6.2).
    pub const USER_CONTROL: u8 = 4;
    /// Window Acknowledgement Size (§5.4.4).
    pub const WINDOW_ACK_SIZE: u8 = 5;
    /// Set Peer Bandwidth (§5.4.5).
    pub const SET_PEER_BANDWIDTH: u8 = 6;
    /// Audio Message (§7.1.4).
    pub const AUDIO: u8 = 8;
    /// Video Message (§7.1.5).
    pub const VIDEO: u8 = 9;
    /// Data Message in AMF3 (§7.1.2); in practice one byte 0, then AMF0.
    pub const DATA_AMF3: u8 = 15;
    /// Command Message in AMF3 (§7.1.1); in practice one byte 0, then AMF0.
    pub const COMMAND_AMF3: u8 = 17;
    /// Data Message in AMF0 (§7.1.2).
    pub const DATA_AMF0: u8 = 18;
    /// Command Message in AMF0 (§7.1.1).
    pub const COMMAND_AMF0: u8 = 20;
    /// Aggregate Message (§7.1.6).
    pub const AGGREGATE: u8 = 22;
}

/// What a media message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// The body of an FLV audio tag.
    Audio,
    /// The body of an FLV video tag.
    Video,
    /// AMF0 values: a name such as `onMetaData` (a publisher puts `@setDataFrame` in front), then its arguments.
    Data,
}

impl MediaKind {
    /// The kind of a message type id; AMF3 data counts as data. `None` for what is not media.
    pub fn from_type_id(type_id: u8) -> Option<Self> {
        match type_id {
            type_id::AUDIO => Some(Self::Audio),
            type_id::VIDEO => Some(Self::Video),
            type_id::DATA_AMF0 | type_id::DATA_AMF3 => Some(Self::Data),
            _ => None,
        }
    }

    /// The type id it is sent with.
    pub fn type_id(self) -> u8 {
        match self {
            Self::Audio => type_id::AUDIO,
            Self::Video => type_id::VIDEO,
            Self::Data => type_id::DATA_AMF0,
        }
    }

    /// The chunk stream it is sent on.
    pub fn csid(self) -> u32 {
        match self {
            Self::Audio => csid::AUDIO,
            Self::Video => csid::VIDEO,
            Self::Data => csid::DATA,
        }
    }
}
