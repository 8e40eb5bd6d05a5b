//! Target of the cursors.
//!
//! Owns: [`wire_cursors`]. Input: a byte that says how much of the rest is a list of reads; the reads; what is read.

use weir_wire::{Bits, Cursor, Short};

use crate::pieces::head;

/// Does the reads, each of which either takes what it says or moves nothing and says where input was missing.
pub fn wire_cursors(data: &[u8]) {
    let ([count], rest) = head::<1>(data);
    let (reads, input) = rest.split_at(rest.len().min(usize::from(count)));
    bytes(reads, input);
    bits(reads, input);
}

fn bytes(reads: &[u8], input: &[u8]) {
    let mut cursor = Cursor::new(input);
    for read in reads {
        let before = cursor.clone();
        let (width, result) = match read % 9 {
            0 => (1, cursor.u8().map(drop)),
            1 => (2, cursor.u16().map(drop)),
            2 => (3, cursor.u24().map(|value| assert!(value < 1 << 24))),
            3 => (3, cursor.i24().map(|value| assert!(value.abs() <= 1 << 23))),
            4 => (4, cursor.u32().map(drop)),
            5 => (8, cursor.u64().map(drop)),
            6 => (8, cursor.f64().map(drop)),
            7 => (usize::from(*read), cursor.skip(usize::from(*read))),
            _ => (usize::MAX, cursor.take(usize::MAX).map(drop)),
        };
        match result {
            Ok(()) => assert_eq!(cursor.offset(), before.offset() + width),
            Err(short) => {
                assert_eq!(cursor.offset(), before.offset());
                check_short(short, before.offset(), width, before.remaining());
            }
        }
        assert_eq!(cursor.offset() + cursor.remaining(), input.len());
        assert_eq!(cursor.peek(), input.get(cursor.offset()).copied());
    }
}

fn check_short(short: Short, offset: usize, wanted: usize, left: usize) {
    assert!(left < wanted);
    let expected = Short {
        offset,
        wanted,
        left,
    };
    assert_eq!(short, expected);
}

fn bits(reads: &[u8], input: &[u8]) {
    let mut bits = Bits::new(input);
    for read in reads {
        let before = bits.position();
        let width = usize::from(read >> 2);
        let ok = match read % 4 {
            0 => bits.flag().is_ok(),
            1 => bits
                .u32(width)
                .map(|value| assert!(width >= 32 || value < 1 << width))
                .is_ok(),
            2 => bits.ue().is_ok(),
            _ => bits.se().is_ok(),
        };
        assert!(bits.position() >= before);
        // a code of Exp-Golomb form may have been read in part
        assert!(ok || read % 4 >= 2 || bits.position() == before);
        assert_eq!(bits.position() + bits.remaining(), input.len() * 8);
    }
}
