//! A forward cursor over whole bytes.
//!
//! Owns: position and bounds. Does not: own the bytes, or seek backwards.

use crate::Short;

/// Reads whole bytes from the front of a slice. Integers are big endian unless the name ends in `_le`.
///
/// A failed read leaves the position where it was.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at the first byte of `input`; offsets count from there.
    pub fn new(input: &'a [u8]) -> Self {
        Self {
            rest: input,
            offset: 0,
        }
    }

    /// A cursor whose errors count from `base`, for a slice cut out of a larger input.
    pub fn with_base(input: &'a [u8], base: usize) -> Self {
        Self {
            rest: input,
            offset: base,
        }
    }

    /// Bytes read so far (plus the base).
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Bytes not yet read.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// True when nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is left, without reading it.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `count` bytes. Fails when fewer are left.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Short> {
        let Some((head, tail)) = self.rest.split_at_checked(count) else {
            return Err(Short {
                offset: self.offset,
                wanted: count,
                left: self.rest.len(),
            });
        };
        self.rest = tail;
        self.offset = self.offset.saturating_add(count);
        Ok(head)
    }

    /// The next `N` bytes as an array. Fails when fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let Some((head, tail)) = self.rest.split_first_chunk::<N>() else {
            return Err(Short {
                offset: self.offset,
                wanted: N,
                left: self.rest.len(),
            });
        };
        self.rest = tail;
        self.offset = self.offset.saturating_add(N);
        Ok(*head)
    }

    /// Passes over `count` bytes. Fails when fewer are left.
    pub fn skip(&mut self, count: usize) -> Result<(), Short> {
        self.take(count).map(drop)
    }

    /// The next byte, without reading it.
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Short> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Result<u16, Short> {
        self.array().map(u16::from_be_bytes)
    }

    /// Three bytes.
    pub fn u24(&mut self) -> Result<u32, Short> {
        self.array()
            .map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    /// Three bytes, two's complement (FLV's composition time).
    pub fn i24(&mut self) -> Result<i32, Short> {
        self.array()
            .map(|[a, b, c]| i32::from_be_bytes([a, b, c, 0]) >> 8)
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32, Short> {
        self.array().map(u32::from_be_bytes)
    }

    /// Four bytes, little endian (the message stream id of RTMP).
    pub fn u32_le(&mut self) -> Result<u32, Short> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Result<u64, Short> {
        self.array().map(u64::from_be_bytes)
    }

    /// Eight bytes, an IEEE 754 double.
    pub fn f64(&mut self) -> Result<f64, Short> {
        self.array().map(f64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_each_width_and_counts_offsets() {
        let input: Vec<u8> = (1..=40).collect();
        let mut cursor = Cursor::new(&input);
        assert_eq!(cursor.u8(), Ok(1));
        assert_eq!(cursor.u16(), Ok(0x0203));
        assert_eq!(cursor.u24(), Ok(0x04_0506));
        assert_eq!(cursor.u32(), Ok(0x0708_090a));
        assert_eq!(cursor.u32_le(), Ok(0x0e0d_0c0b));
        assert_eq!(cursor.u64(), Ok(0x0f10_1112_1314_1516));
        assert_eq!(cursor.offset(), 22);
        assert_eq!(cursor.peek(), Some(23));
        assert_eq!(cursor.take(2), Ok(&[23, 24][..]));
        assert_eq!(cursor.remaining(), 16);
    }

    #[test]
    fn a_failed_read_names_the_place_and_moves_nothing() {
        let mut cursor = Cursor::with_base(&[1, 2, 3], 10);
        assert_eq!(cursor.u8(), Ok(1));
        assert_eq!(
            cursor.u32(),
            Err(Short {
                offset: 11,
                wanted: 4,
                left: 2
            })
        );
        assert_eq!(
            cursor.take(usize::MAX),
            Err(Short {
                offset: 11,
                wanted: usize::MAX,
                left: 2
            })
        );
        assert_eq!(cursor.u16(), Ok(0x0203));
    }

    #[test]
    fn signed_three_bytes_extend_their_sign() {
        assert_eq!(Cursor::new(&[0xff, 0xff, 0xff]).i24(), Ok(-1));
        assert_eq!(Cursor::new(&[0x80, 0, 0]).i24(), Ok(-8_388_608));
        assert_eq!(Cursor::new(&[0x7f, 0xff, 0xff]).i24(), Ok(8_388_607));
    }

    proptest! {
        #[test]
        fn taking_in_any_pieces_gives_the_input_back(input: Vec<u8>, sizes: Vec<u8>) {
            let mut cursor = Cursor::new(&input);
            let mut seen = Vec::new();
            for size in sizes {
                if let Ok(piece) = cursor.take(usize::from(size)) {
                    seen.extend_from_slice(piece);
                }
                prop_assert_eq!(cursor.offset(), seen.len());
            }
            seen.extend_from_slice(cursor.rest());
            prop_assert_eq!(seen, input);
        }
    }
}
