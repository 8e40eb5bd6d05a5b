//! Why a codec header could not be read.
//!
//! Owns: [`Error`]. Does not: decide what happens to the stream; an unread header costs its description and no more.

use weir_media::Codec;

/// A codec header that could not be read. The sender of the media is at fault, except for [`Error::Unsupported`].
///
/// `field` is the syntax element as the codec's standard spells it; `offset` is where it begins, in bytes from the
/// start of the input as it was handed in (emulation prevention bytes included).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input ends within a field, or a variable-length code runs past its longest form.
    #[error("{codec}: {field} at byte {offset} is cut off")]
    Truncated {
        /// Whose header.
        codec: Codec,
        /// What was being read.
        field: &'static str,
        /// Where, in bytes.
        offset: usize,
    },
    /// A value that the standard forbids or reserves.
    #[error("{codec}: {field} at byte {offset} has a value that is not allowed")]
    Invalid {
        /// Whose header.
        codec: Codec,
        /// What was being read.
        field: &'static str,
        /// Where, in bytes.
        offset: usize,
    },
    /// A legal value that Weir does not read.
    #[error("{codec}: {field} at byte {offset} is of a kind that is not supported")]
    Unsupported {
        /// Whose header.
        codec: Codec,
        /// What was being read.
        field: &'static str,
        /// Where, in bytes.
        offset: usize,
    },
    /// A part longer than Weir is willing to unpack.
    #[error("{codec}: {field} at byte {offset} is longer than {limit} bytes")]
    TooLarge {
        /// Whose header.
        codec: Codec,
        /// What was being read.
        field: &'static str,
        /// Where, in bytes.
        offset: usize,
        /// The longest that is accepted, in bytes.
        limit: usize,
    },
    /// The payload is in order but says nothing of the track: a dependent picture, or a codec that puts no
    /// header in this place.
    #[error("{codec}: this payload carries no description of the track")]
    NoDescription {
        /// Whose payload.
        codec: Codec,
    },
}

impl Error {
    /// The codec whose header it was.
    pub fn codec(&self) -> Codec {
        match *self {
            Self::Truncated { codec, .. }
            | Self::Invalid { codec, .. }
            | Self::Unsupported { codec, .. }
            | Self::TooLarge { codec, .. }
            | Self::NoDescription { codec } => codec,
        }
    }

    /// Where the field begins, in bytes from the start of the input; none where no field is at fault.
    pub fn offset(&self) -> Option<usize> {
        match *self {
            Self::Truncated { offset, .. }
            | Self::Invalid { offset, .. }
            | Self::Unsupported { offset, .. }
            | Self::TooLarge { offset, .. } => Some(offset),
            Self::NoDescription { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_media::VideoCodec;

    #[test]
    fn the_text_names_codec_field_and_place() {
        let codec = Codec::Video(VideoCodec::H264);
        let error = Error::Truncated {
            codec,
            field: "profile_idc",
            offset: 9,
        };
        assert_eq!(error.to_string(), "H264: profile_idc at byte 9 is cut off");
        assert_eq!((error.codec(), error.offset()), (codec, Some(9)));
        assert_eq!(Error::NoDescription { codec }.offset(), None);
    }
}
