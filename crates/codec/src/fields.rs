//! A reader of header fields: [`Bits`] that knows which codec it reads and names the field that fails.
//!
//! Owns: turning missing input into [`Error`] with the offset of the caller's own bytes. Does not: know any header.

use weir_media::Codec;
use weir_wire::Bits;

use crate::Error;
use crate::nal::{self, Rbsp};

/// Longest side of a picture that is believed, in luma samples: every container's track header stores 16 bits.
pub(crate) const MAX_SIDE: u64 = 65_535;

/// A slice of the caller's input and where in it the slice begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    /// The bytes.
    pub(crate) bytes: &'a [u8],
    /// Offset of the first, in bytes from the start of the caller's input.
    pub(crate) offset: usize,
}

/// Reads fields from the front of a header; each read names its field for the error.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    codec: Codec,
    input: &'a [u8],
    bits: Bits<'a>,
    /// Offset of `input` in what the caller handed in.
    base: usize,
    /// Where `input` is an RBSP: the NAL unit it was unpacked from, for offsets.
    nal: Option<&'a [u8]>,
    /// Bit position of the field read last.
    last: usize,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(codec: Codec, part: Part<'a>) -> Self {
        let bits = Bits::new(part.bytes);
        Self {
            codec,
            input: part.bytes,
            bits,
            base: part.offset,
            nal: None,
            last: 0,
        }
    }

    /// A reader of a whole input, whose offsets count from its first byte.
    pub(crate) fn whole(codec: Codec, input: &'a [u8]) -> Self {
        Self::new(
            codec,
            Part {
                bytes: input,
                offset: 0,
            },
        )
    }

    /// A reader of an unpacked NAL unit, header included; offsets are those of the packed one.
    pub(crate) fn rbsp(codec: Codec, rbsp: &'a Rbsp<'_>) -> Self {
        let unpacked = Part {
            bytes: rbsp.bytes(),
            offset: rbsp.nal().offset,
        };
        Self {
            nal: Some(rbsp.nal().bytes),
            ..Self::new(codec, unpacked)
        }
    }

    pub(crate) fn u32(&mut self, field: &'static str, count: usize) -> Result<u32, Error> {
        self.begin();
        self.bits.u32(count).map_err(|_| self.truncated(field))
    }

    pub(crate) fn flag(&mut self, field: &'static str) -> Result<bool, Error> {
        self.begin();
        self.bits.flag().map_err(|_| self.truncated(field))
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, Error> {
        self.begin();
        self.bits.u8(8).map_err(|_| self.truncated(field))
    }

    /// An unsigned number of up to 8 bits.
    pub(crate) fn u8_of(&mut self, field: &'static str, count: usize) -> Result<u8, Error> {
        self.begin();
        self.bits.u8(count).map_err(|_| self.truncated(field))
    }

    pub(crate) fn skip(&mut self, field: &'static str, count: usize) -> Result<(), Error> {
        self.begin();
        self.bits.skip(count).map_err(|_| self.truncated(field))
    }

    /// `ue(v)` of H.264 and H.265.
    pub(crate) fn ue(&mut self, field: &'static str) -> Result<u32, Error> {
        self.begin();
        self.bits.ue().map_err(|_| self.truncated(field))
    }

    /// `ue(v)` that is invalid above `most`.
    pub(crate) fn ue_to(&mut self, field: &'static str, most: u32) -> Result<u32, Error> {
        match self.ue(field)? {
            value if value <= most => Ok(value),
            _ => Err(self.invalid(field)),
        }
    }

    /// `se(v)` of H.264 and H.265.
    pub(crate) fn se(&mut self, field: &'static str) -> Result<i32, Error> {
        self.begin();
        self.bits.se().map_err(|_| self.truncated(field))
    }

    /// Passes over the bits up to the next byte boundary.
    pub(crate) fn align(&mut self, field: &'static str) -> Result<(), Error> {
        self.skip(field, self.bits.position().wrapping_neg() % 8)
    }

    /// The next `count` whole bytes; bits left over in the current byte are passed over first.
    pub(crate) fn take(&mut self, field: &'static str, count: usize) -> Result<Part<'a>, Error> {
        self.align(field)?;
        self.begin();
        let start = self.bits.position() / 8;
        let end = start.saturating_add(count);
        let bytes = self
            .input
            .get(start..end)
            .ok_or_else(|| self.truncated(field))?;
        self.skip(field, count.saturating_mul(8))?;
        Ok(Part {
            bytes,
            offset: self.base.saturating_add(start),
        })
    }

    /// Whole bytes not yet begun.
    pub(crate) fn rest(&self) -> Part<'a> {
        let start = self.bits.position().div_ceil(8);
        let bytes = self.input.get(start..).unwrap_or_default();
        Part {
            bytes,
            offset: self.base.saturating_add(start),
        }
    }

    /// Bits not yet read.
    pub(crate) fn remaining(&self) -> usize {
        self.bits.remaining()
    }

    /// The field read last has a value the standard forbids.
    pub(crate) fn invalid(&self, field: &'static str) -> Error {
        Error::Invalid {
            codec: self.codec,
            field,
            offset: self.offset(),
        }
    }

    /// The field read last has a value Weir does not read.
    pub(crate) fn unsupported(&self, field: &'static str) -> Error {
        Error::Unsupported {
            codec: self.codec,
            field,
            offset: self.offset(),
        }
    }

    /// Fails unless `value`, which was read last, is what the standard fixes it to.
    pub(crate) fn expect(&self, field: &'static str, value: u32, fixed: u32) -> Result<(), Error> {
        if value == fixed {
            Ok(())
        } else {
            Err(self.invalid(field))
        }
    }

    /// The side of a picture of `coded` luma samples less `cropped`; it must be 1 to [`MAX_SIDE`].
    pub(crate) fn side(&self, field: &'static str, coded: u64, cropped: u64) -> Result<u32, Error> {
        let side = coded
            .checked_sub(cropped)
            .filter(|side| (1..=MAX_SIDE).contains(side));
        side.and_then(|side| u32::try_from(side).ok())
            .ok_or_else(|| self.invalid(field))
    }

    fn begin(&mut self) {
        self.last = self.bits.position();
    }

    fn truncated(&self, field: &'static str) -> Error {
        Error::Truncated {
            codec: self.codec,
            field,
            offset: self.offset(),
        }
    }

    fn offset(&self) -> usize {
        let within = self.last / 8;
        self.base.saturating_add(
            self.nal
                .map_or(within, |nal| nal::packed_offset(nal, within)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_media::VideoCodec;

    const CODEC: Codec = Codec::Video(VideoCodec::H264);

    #[test]
    fn errors_count_from_the_callers_first_byte() {
        let mut fields = Fields::new(
            CODEC,
            Part {
                bytes: &[1, 2, 3],
                offset: 10,
            },
        );
        assert_eq!(fields.u8("a"), Ok(1));
        assert_eq!(fields.u32("b", 4), Ok(0));
        assert_eq!(fields.invalid("b").offset(), Some(11));
        let part = fields.take("c", 1).unwrap();
        assert_eq!((part.bytes, part.offset), (&[3][..], 12));
        assert_eq!(
            fields.flag("d"),
            Err(Error::Truncated {
                codec: CODEC,
                field: "d",
                offset: 13
            })
        );
    }

    #[test]
    fn offsets_in_a_nal_unit_count_its_escapes() {
        let nal = Part {
            bytes: &[0x67, 0, 0, 3, 1, 0, 0, 3, 2],
            offset: 8,
        };
        let rbsp = Rbsp::unpack(CODEC, "sps", nal).unwrap();
        let mut fields = Fields::rbsp(CODEC, &rbsp);
        fields.skip("head", 6 * 8).unwrap();
        assert_eq!(fields.u8("tail"), Ok(2));
        assert_eq!(fields.invalid("tail").offset(), Some(16));
    }

    #[test]
    fn a_side_is_never_zero_negative_or_huge() {
        let fields = Fields::whole(CODEC, &[]);
        assert_eq!(fields.side("width", 1088, 8), Ok(1080));
        assert!(fields.side("width", 16, 16).is_err());
        assert!(fields.side("width", 16, 18).is_err());
        assert!(fields.side("width", MAX_SIDE + 1, 0).is_err());
    }
}
