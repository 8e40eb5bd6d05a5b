//! NAL units as ISO/IEC 14496-15 carries them: length prefixes, and the bytes within an escaped unit.
//!
//! Owns: walking length-prefixed units, removing emulation prevention bytes (ITU-T H.264 §7.3.1 and
//! H.265 §7.3.1.1, the same rule). Does not: know what a unit means.

use weir_media::Codec;

use crate::Error;
use crate::fields::{Fields, Part};

/// Longest parameter set that is unpacked, in bytes.
///
/// An H.264 SPS with all twelve scaling lists is under 2 KiB, an H.265 SPS with 64 reference picture sets and lists under
/// 3 KiB; those seen from encoders are 20 to 100 bytes. More is an attack on memory.
pub const MAX_PARAMETER_SET_BYTES: usize = 4096;

/// How many bytes hold the length in front of each NAL unit (`lengthSizeMinusOne` plus 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LengthSize {
    /// One byte.
    One,
    /// Two bytes.
    Two,
    /// Four bytes, as every encoder of today writes.
    Four,
}

impl LengthSize {
    /// The number of bytes.
    pub fn bytes(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// Reads `lengthSizeMinusOne`, 2 bits; 2 (three bytes) is not allowed.
    pub(crate) fn read(fields: &mut Fields<'_>) -> Result<Self, Error> {
        match fields.u32("lengthSizeMinusOne", 2)? {
            0 => Ok(Self::One),
            1 => Ok(Self::Two),
            3 => Ok(Self::Four),
            _ => Err(fields.invalid("lengthSizeMinusOne")),
        }
    }
}

/// The NAL units of a payload, without their lengths, in order. Ends after the first error.
#[derive(Debug, Clone)]
pub struct NalUnits<'a> {
    fields: Fields<'a>,
    length_size: LengthSize,
}

impl<'a> NalUnits<'a> {
    pub(crate) fn new(codec: Codec, payload: &'a [u8], length_size: LengthSize) -> Self {
        Self {
            fields: Fields::whole(codec, payload),
            length_size,
        }
    }

    fn read(&mut self) -> Result<&'a [u8], Error> {
        let length = self
            .fields
            .u32("NALUnitLength", self.length_size.bytes() * 8)?;
        Ok(self.fields.take("NALUnit", length as usize)?.bytes)
    }
}

impl<'a> Iterator for NalUnits<'a> {
    type Item = Result<&'a [u8], Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.fields.remaining() == 0 {
            return None;
        }
        let unit = self.read();
        if let Err(error) = unit {
            self.fields = Fields::whole(error.codec(), &[]);
        }
        Some(unit)
    }
}

/// A NAL unit without its emulation prevention bytes, its header included.
#[derive(Debug)]
pub(crate) struct Rbsp<'a> {
    bytes: Vec<u8>,
    nal: Part<'a>,
}

impl<'a> Rbsp<'a> {
    /// Copies the unit without escapes. Fails above [`MAX_PARAMETER_SET_BYTES`].
    pub(crate) fn unpack(codec: Codec, field: &'static str, nal: Part<'a>) -> Result<Self, Error> {
        let limit = MAX_PARAMETER_SET_BYTES;
        if nal.bytes.len() > limit {
            return Err(Error::TooLarge {
                codec,
                field,
                offset: nal.offset,
                limit,
            });
        }
        let bytes = unescaped(nal.bytes).map(|(_, byte)| byte).collect();
        Ok(Self { bytes, nal })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn nal(&self) -> Part<'a> {
        self.nal
    }
}

/// Where in `nal` the byte lies that is at `offset` once escapes are gone; its length for offsets past the end.
pub(crate) fn packed_offset(nal: &[u8], offset: usize) -> usize {
    unescaped(nal)
        .nth(offset)
        .map_or(nal.len(), |(packed, _)| packed)
}

/// The bytes of a NAL unit that are not emulation prevention, each with its offset.
fn unescaped(nal: &[u8]) -> impl Iterator<Item = (usize, u8)> + '_ {
    let mut zeros = 0u8;
    nal.iter().copied().enumerate().filter(move |&(_, byte)| {
        let escape = zeros == 2 && byte == 3;
        zeros = if byte == 0 { (zeros + 1).min(2) } else { 0 };
        !escape
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use weir_media::VideoCodec;

    const CODEC: Codec = Codec::Video(VideoCodec::H264);

    #[test]
    fn a_unit_that_overruns_the_payload_is_an_error_and_the_end() {
        let payload = [0, 0, 0, 2, 0x65, 1, 0, 0, 0, 9, 0x41];
        let mut units = NalUnits::new(CODEC, &payload, LengthSize::Four);
        assert_eq!(units.next(), Some(Ok(&[0x65, 1][..])));
        let error = Error::Truncated {
            codec: CODEC,
            field: "NALUnit",
            offset: 10,
        };
        assert_eq!(units.next(), Some(Err(error)));
        assert_eq!(units.next(), None);
    }

    #[test]
    fn escapes_are_removed_and_lookalikes_kept() {
        let unpack = |bytes| {
            let part = Part { bytes, offset: 0 };
            Rbsp::unpack(CODEC, "sps", part).unwrap().bytes().to_vec()
        };
        assert_eq!(unpack(&[0, 0, 3, 1, 0, 0, 3]), [0, 0, 1, 0, 0]);
        assert_eq!(unpack(&[0, 0, 3, 0, 0, 3, 0]), [0, 0, 0, 0, 0]);
        assert_eq!(unpack(&[0, 3, 0, 0, 4, 3]), [0, 3, 0, 0, 4, 3]);
    }

    #[test]
    fn a_huge_parameter_set_is_refused_before_it_is_copied() {
        let part = Part {
            bytes: &[7; MAX_PARAMETER_SET_BYTES + 1],
            offset: 3,
        };
        let error = Rbsp::unpack(CODEC, "sps", part).unwrap_err();
        assert!(matches!(error, Error::TooLarge { offset: 3, .. }));
    }

    fn size() -> impl Strategy<Value = LengthSize> {
        prop_oneof![
            Just(LengthSize::One),
            Just(LengthSize::Two),
            Just(LengthSize::Four)
        ]
    }

    fn unit() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..200)
    }

    proptest! {
        #[test]
        fn units_survive_the_round_trip(
            units in proptest::collection::vec(unit(), 0..8),
            size in size(),
        ) {
            let mut payload = Vec::new();
            for unit in &units {
                let length = (unit.len() as u32).to_be_bytes();
                payload.extend_from_slice(&length[4 - size.bytes()..]);
                payload.extend_from_slice(unit);
            }
            let read: Result<Vec<_>, _> = NalUnits::new(CODEC, &payload, size).collect();
            prop_assert_eq!(read, Ok(units.iter().map(Vec::as_slice).collect()));
        }

        #[test]
        fn any_payload_ends_and_no_unit_is_longer_than_it(payload: Vec<u8>, size in size()) {
            let units: Vec<_> = NalUnits::new(CODEC, &payload, size).collect();
            prop_assert!(units.len() <= payload.len() / size.bytes() + 1);
            prop_assert!(units.iter().flatten().all(|unit| unit.len() < payload.len()));
        }

        #[test]
        fn packing_what_was_unpacked_gives_the_unit_back(rbsp in unit()) {
            let mut nal = Vec::new();
            for byte in &rbsp {
                if nal.ends_with(&[0, 0]) && *byte <= 3 {
                    nal.push(3);
                }
                nal.push(*byte);
            }
            let part = Part { bytes: &nal, offset: 0 };
            let unpacked = Rbsp::unpack(CODEC, "sps", part).unwrap();
            prop_assert_eq!(unpacked.bytes(), rbsp);
        }
    }
}
