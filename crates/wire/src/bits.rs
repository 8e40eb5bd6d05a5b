//! A forward cursor over bits, most significant first.
//!
//! Owns: bit position and the Exp-Golomb codes of ITU-T H.264 §9.1 (the same in H.265). Does not: strip
//! emulation prevention bytes; the caller hands in an RBSP.

use crate::Short;

/// Reads bits from the front of a slice, most significant bit of each byte first.
#[derive(Debug, Clone)]
pub struct Bits<'a> {
    input: &'a [u8],
    position: usize,
}

impl<'a> Bits<'a> {
    /// A reader at the first bit of `input`.
    pub fn new(input: &'a [u8]) -> Self {
        Self { input, position: 0 }
    }

    /// Bits read so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bits not yet read.
    pub fn remaining(&self) -> usize {
        self.input
            .len()
            .saturating_mul(8)
            .saturating_sub(self.position)
    }

    fn short(&self, wanted: usize) -> Short {
        Short {
            offset: self.position / 8,
            wanted,
            left: self.remaining(),
        }
    }

    /// One bit as a flag.
    pub fn flag(&mut self) -> Result<bool, Short> {
        let byte = self
            .input
            .get(self.position / 8)
            .ok_or_else(|| self.short(1))?;
        let bit = (byte >> (7 - self.position % 8)) & 1;
        self.position += 1;
        Ok(bit == 1)
    }

    /// The next `count` bits as an unsigned number; at most 32 (more counts as missing input).
    pub fn u32(&mut self, count: usize) -> Result<u32, Short> {
        if count > 32 || count > self.remaining() {
            return Err(self.short(count));
        }
        let mut value = 0u32;
        for _ in 0..count {
            value = (value << 1) | u32::from(self.flag()?);
        }
        Ok(value)
    }

    /// The next `count` bits as a byte; at most 8 (more counts as missing input).
    pub fn u8(&mut self, count: usize) -> Result<u8, Short> {
        if count > 8 {
            return Err(self.short(count));
        }
        self.u32(count).map(|value| value as u8)
    }

    /// Passes over `count` bits.
    pub fn skip(&mut self, count: usize) -> Result<(), Short> {
        if count > self.remaining() {
            return Err(self.short(count));
        }
        self.position += count;
        Ok(())
    }

    /// An unsigned Exp-Golomb code, `ue(v)` of ITU-T H.264 §9.1. A code longer than 32 bits counts as missing input.
    pub fn ue(&mut self) -> Result<u32, Short> {
        let start = self.clone();
        let mut zeros = 0usize;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                *self = start;
                return Err(self.short(zeros));
            }
        }
        let suffix = self.u32(zeros)?;
        Ok(((1u32 << zeros) - 1).saturating_add(suffix))
    }

    /// A signed Exp-Golomb code, `se(v)` of ITU-T H.264 §9.1.1.
    pub fn se(&mut self) -> Result<i32, Short> {
        let code = i64::from(self.ue()?);
        let magnitude = (code + 1) / 2;
        let value = if code % 2 == 1 { magnitude } else { -magnitude };
        Ok(i32::try_from(value).unwrap_or(i32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn exp_golomb_codes_of_the_standards_table() {
        // H.264 table 9-2: 1, 010, 011, 00100, 00101
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let codes: Vec<_> = (0..5).map(|_| bits.ue()).collect();
        assert_eq!(codes, [Ok(0), Ok(1), Ok(2), Ok(3), Ok(4)]);
    }

    #[test]
    fn signed_codes_alternate() {
        // se: 1 -> 0, 010 -> 1, 011 -> -1, 00100 -> 2, 00101 -> -2
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let codes: Vec<_> = (0..5).map(|_| bits.se()).collect();
        assert_eq!(codes, [Ok(0), Ok(1), Ok(-1), Ok(2), Ok(-2)]);
    }

    #[test]
    fn a_code_of_only_zeros_ends() {
        assert!(Bits::new(&[0; 64]).ue().is_err());
        assert!(Bits::new(&[]).ue().is_err());
    }

    proptest! {
        #[test]
        fn widths_add_up(input: Vec<u8>, widths in proptest::collection::vec(0usize..=33, 0..20)) {
            let mut bits = Bits::new(&input);
            for width in widths {
                let before = bits.position();
                match bits.u32(width) {
                    Ok(value) => {
                        prop_assert_eq!(bits.position(), before + width);
                        prop_assert!(width == 32 || value < 1 << width);
                    }
                    Err(_) => prop_assert_eq!(bits.position(), before),
                }
            }
        }
    }
}
