//! The byte stream format of ITU-T H.264 annex B and H.265 annex B: NAL units behind start codes, as transport streams
//! have them.
//!
//! Owns: the way between start codes and length prefixes, and [`UnitKind`]. NAL units pass unchanged, emulation
//! prevention included. Does not: read what is inside a unit, or split a stream into access units.

use crate::{Error, NalUnits};

/// What [`write()`] puts before a unit: `zero_byte` and `start_code_prefix_one_3bytes`. The longer of both forms is
/// demanded before parameter sets and the first unit of an access unit (B.1.2) and allowed everywhere.
pub const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// What a NAL unit is for, as far as containers need to know; H.264 and H.265 have one each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnitKind {
    /// Access unit delimiter.
    Delimiter,
    /// Video parameter set (H.265 only).
    Vps,
    /// Sequence parameter set.
    Sps,
    /// Picture parameter set.
    Pps,
    /// Supplemental enhancement information that precedes the picture.
    Sei,
    /// A slice of a picture at which decoding can begin: IDR of H.264, IRAP of H.265.
    KeySlice,
    /// A slice of another picture.
    Slice,
    /// Filler data, which means nothing.
    Filler,
    /// Anything else: ends of sequences, extensions, reserved numbers.
    Other,
}

impl UnitKind {
    /// Whether it is part of a coded picture.
    pub fn is_slice(self) -> bool {
        matches!(self, Self::KeySlice | Self::Slice)
    }

    /// Whether it is a parameter set.
    pub fn is_parameter_set(self) -> bool {
        matches!(self, Self::Vps | Self::Sps | Self::Pps)
    }
}

/// Appends `units` (see `h264::nal_units`) behind start codes of four bytes. Units without a byte are left out.
///
/// Fails at the first unit whose length overruns the payload; those before it have been appended then.
pub fn write(units: NalUnits<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    for unit in units {
        write_unit(unit?, out);
    }
    Ok(())
}

/// Appends one unit behind a start code of four bytes; nothing for a unit without a byte.
pub fn write_unit(unit: &[u8], out: &mut Vec<u8>) {
    if !unit.is_empty() {
        out.extend_from_slice(&START_CODE);
        out.extend_from_slice(unit);
    }
}

/// Appends those units of `annexb` that `keep` wants, each behind its length in four bytes.
pub fn length_prefixed(annexb: &[u8], mut keep: impl FnMut(&[u8]) -> bool, out: &mut Vec<u8>) {
    for unit in units(annexb).filter(|unit| keep(unit)) {
        // a slice in memory of 4 GiB would be no unit that anybody made
        let length = u32::try_from(unit.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(unit);
    }
}

/// The NAL units of a byte stream, without start codes and the zeros behind them (`trailing_zero_8bits`; no unit ends with
/// a zero, §7.4.1). What stands before the first start code is passed over; units without a byte are left out.
pub fn units(annexb: &[u8]) -> Units<'_> {
    let begin = start_code(annexb, 0).map(|at| at.saturating_add(3));
    Units {
        rest: begin
            .and_then(|begin| annexb.get(begin..))
            .unwrap_or_default(),
    }
}

/// The units of a byte stream in order: see [`units`].
#[derive(Debug, Clone)]
pub struct Units<'a> {
    /// From the first byte of the next unit.
    rest: &'a [u8],
}

impl<'a> Units<'a> {
    /// What has not been walked: from the first byte of the next unit, behind its start code.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Units<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let (unit, rest) = match start_code(self.rest, 0) {
                Some(at) => (
                    self.rest.get(..at).unwrap_or_default(),
                    self.rest.get(at.saturating_add(3)..).unwrap_or_default(),
                ),
                None => (self.rest, &[][..]),
            };
            self.rest = rest;
            let unit = without_trailing_zeros(unit);
            if !unit.is_empty() {
                return Some(unit);
            }
        }
        None
    }
}

fn without_trailing_zeros(unit: &[u8]) -> &[u8] {
    let end = unit.iter().rposition(|byte| *byte != 0);
    end.and_then(|end| unit.get(..=end)).unwrap_or_default()
}

/// Where the first `00 00 01` at or behind `from` begins. Looks at every third byte only, where the bytes allow it.
fn start_code(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from.saturating_add(2);
    loop {
        at = match *bytes.get(at)? {
            0 => at.saturating_add(1),
            1 if bytes.get(at - 2..at) == Some(&[0, 0]) => return Some(at - 2),
            _ => at.saturating_add(3),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LengthSize, h264};
    use proptest::prelude::*;

    fn split(bytes: &[u8]) -> Vec<&[u8]> {
        units(bytes).collect()
    }

    #[test]
    fn start_codes_of_both_lengths_and_zeros_behind_units() {
        let stream = [
            9, 0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 0, 0, 0, 1, 0x65, 0, 0, 3, 1, 0, 0,
        ];
        let expected: [&[u8]; 3] = [&[0x67, 1], &[0x68, 2], &[0x65, 0, 0, 3, 1]];
        assert_eq!(split(&stream), expected);
        assert_eq!(split(&[0, 0, 1, 0, 0, 1, 0, 0, 0, 1]), [&[0u8; 0]; 0]);
        assert_eq!(split(&[0, 1, 2, 3]), [&[0u8; 0]; 0]);
    }

    #[test]
    fn only_units_that_are_wanted_are_kept() {
        let mut out = Vec::new();
        let stream = [0, 0, 1, 9, 0xf0, 0, 0, 1, 0x41, 7];
        length_prefixed(&stream, |unit| unit[0] != 9, &mut out);
        assert_eq!(out, [0, 0, 0, 2, 0x41, 7]);
    }

    /// A unit as encoders make them: escaped, and not ending with a zero.
    fn unit() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![3 => 0u8..4, 1 => any::<u8>()];
        proptest::collection::vec(byte, 0..60).prop_map(|bytes| {
            let mut unit = vec![0x41];
            for byte in bytes {
                if unit.ends_with(&[0, 0]) && byte <= 3 {
                    unit.push(3);
                }
                unit.push(byte);
            }
            unit.push(0x80);
            unit
        })
    }

    proptest! {
        #[test]
        fn units_survive_both_ways(units in proptest::collection::vec(unit(), 0..6), short: bool) {
            let mut payload = Vec::new();
            let mut stream = Vec::new();
            for unit in &units {
                payload.extend((unit.len() as u32).to_be_bytes());
                payload.extend(unit);
                stream.extend(&START_CODE[usize::from(short)..]);
                stream.extend(unit);
            }
            prop_assert_eq!(split(&stream), units.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let mut written = Vec::new();
            write(h264::nal_units(&payload, LengthSize::Four), &mut written).unwrap();
            let mut again = Vec::new();
            length_prefixed(&written, |_| true, &mut again);
            prop_assert_eq!(again, payload);
        }

        #[test]
        fn start_codes_are_found_where_a_plain_search_finds_them(
            bytes in proptest::collection::vec(0u8..3, 0..40), from in 0usize..10,
        ) {
            let plain = bytes.windows(3).enumerate().skip(from).find(|(_, code)| *code == [0, 0, 1]);
            prop_assert_eq!(start_code(&bytes, from), plain.map(|(at, _)| at));
        }
    }
}
