//! Writes header fields bit by bit, for tests of headers that no encoder at hand produces.
//!
//! Owns: bits and Exp-Golomb codes, as [`weir_wire::Bits`] reads them. Does not: exist outside of tests.

/// Bits in the order they are written.
#[derive(Debug, Default)]
pub(crate) struct BitWriter {
    bits: Vec<bool>,
}

impl BitWriter {
    /// The lowest `count` bits of `value`.
    pub(crate) fn u(mut self, count: usize, value: u64) -> Self {
        self.bits
            .extend((0..count).rev().map(|shift| value >> shift & 1 == 1));
        self
    }

    /// `count` bits of zero.
    pub(crate) fn zeros(self, count: usize) -> Self {
        (0..count).fold(self, |writer, _| writer.u(1, 0))
    }

    /// Each value as `ue(v)`.
    pub(crate) fn ue(self, values: &[u64]) -> Self {
        values.iter().fold(self, |writer, value| {
            let width = (value + 1).ilog2() as usize;
            writer.zeros(width).u(width + 1, value + 1)
        })
    }

    /// Each value as `se(v)`.
    pub(crate) fn se(self, values: &[i64]) -> Self {
        values.iter().fold(self, |writer, value| {
            let code = value.unsigned_abs() * 2 - u64::from(*value > 0);
            writer.ue(&[code])
        })
    }

    /// The bytes, the last filled up with zeros, escaped as a NAL unit is.
    pub(crate) fn nal(self) -> Vec<u8> {
        let mut nal = Vec::new();
        for bits in self.bits.chunks(8) {
            let byte = bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
            let byte = byte << (8 - bits.len());
            if nal.ends_with(&[0, 0]) && byte <= 3 {
                nal.push(3);
            }
            nal.push(byte);
        }
        nal
    }
}
