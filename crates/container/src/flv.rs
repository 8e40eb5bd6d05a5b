//! FLV: tags, the headers in their bodies, files, and their way into the media model.
//!
//! Owns: [`TagKind`] and [`Error`]; [`frame`] (a tag body becomes a [`weir_media::Frame`]);
//! [`header`] (what a body begins with, legacy and enhanced);
//! [`body`] (bodies for media from elsewhere); [`Reader`] and the `write_*`
//! functions (files and HTTP-FLV); [`metadata`]. RTMP messages of audio, video and script data have
//! the same bodies, so RTMP uses all but the file. Does not: look into codec payloads, or know
//! RTMP's chunks.
//!
//! Sources: Adobe, "Video File Format Specification Version 10.1", Annex E; Veovera, "Enhanced
//! RTMP" v1 and v2.

pub mod body;
pub mod header;

mod frame;
mod reader;
mod script;
mod writer;

pub use frame::frame;
pub use reader::{FileHeader, MAX_DATA_OFFSET, Reader, Tag};
pub use script::{metadata, strip_set_data_frame};
pub use writer::{
    MAX_BODY_BYTES, TAG_HEADER_BYTES, tag_header, tag_trailer, write_file_header, write_tag,
};

use weir_media::Media;

use crate::amf;

/// A kind of tag (E.4.1, `TagType`); RTMP's message types have the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TagKind {
    /// Sound.
    Audio = 8,
    /// Pictures.
    Video = 9,
    /// AMF0 values.
    Script = 18,
}

impl TagKind {
    /// The kind with the number `id`; `None` for a number that FLV does not define.
    pub fn from_id(id: u8) -> Option<Self> {
        match id {
            8 => Some(Self::Audio),
            9 => Some(Self::Video),
            18 => Some(Self::Script),
            _ => None,
        }
    }

    /// The number on the wire.
    pub fn id(self) -> u8 {
        self as u8
    }
}

impl From<Media> for TagKind {
    fn from(media: Media) -> Self {
        match media {
            Media::Audio => Self::Audio,
            Media::Video => Self::Video,
            Media::Data => Self::Script,
        }
    }
}

/// Why bytes are no FLV. The sender is at fault, except where a variant says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tag body ends inside its header. The offset counts from the start of the body.
    #[error("FLV tag body is cut short: {0}")]
    Short(#[from] weir_wire::Short),
    /// The file does not begin with `FLV`.
    #[error("no FLV file: it begins with {found:02x?}")]
    Signature {
        /// What it begins with.
        found: [u8; 3],
    },
    /// The file header's `DataOffset` is under 9 or over [`MAX_DATA_OFFSET`].
    #[error("FLV file header says that tags begin at byte {found}")]
    DataOffset {
        /// The value.
        found: u32,
    },
    /// A tag is encrypted (E.4.1, `Filter`); lawful and not supported here.
    #[error("FLV tag at byte {offset} is encrypted, which is not supported")]
    Encrypted {
        /// Where the tag begins in the file.
        offset: u64,
    },
    /// A tag body is longer than the reader's limit.
    #[error("FLV tag at byte {offset} has {size} bytes, more than the limit of {limit}")]
    TagTooLarge {
        /// The length of the body.
        size: usize,
        /// The reader's limit.
        limit: usize,
        /// Where the tag begins in the file.
        offset: u64,
    },
    /// A kind of multitrack that enhanced RTMP v2 does not define; lawful in a later version.
    #[error("multitrack type {kind} at byte {offset} of the tag body is unknown")]
    Multitrack {
        /// The number, `AvMultitrackType`.
        kind: u8,
        /// Where it is in the body.
        offset: usize,
    },
    /// A multitrack packet inside a multitrack packet, which enhanced RTMP v2 forbids.
    #[error("multitrack packet within a multitrack packet at byte {offset} of the tag body")]
    NestedMultitrack {
        /// Where it is in the body.
        offset: usize,
    },
    /// Script data that is no `onMetaData`.
    #[error("script data is no onMetaData")]
    NotMetadata,
    /// Script data that is no AMF0.
    #[error(transparent)]
    Amf(#[from] amf::Error),
    /// The caller's fault: a body to write that is longer than a tag can say.
    #[error("a tag body of {size} bytes cannot be written")]
    BodyTooLarge {
        /// The length of the body.
        size: usize,
    },
    /// The caller's fault: a header to write whose codec has no number or FourCC in that layout.
    #[error("the codec has no name in that layout of tag header")]
    Unwritable,
}
