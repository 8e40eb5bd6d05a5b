//! Messages to chunks, without state.
//!
//! Owns: the form of every message Weir sends: a type 0 header, then type 3 continuations. Full headers make the
//! bytes of a message equal for every viewer, whatever was sent to it before, at a cost of at most 8 bytes
//! a message. Does not: compress headers or remember what was written.

use super::MAX_BODY_BYTES;
use super::header::EXTENDED;

/// Appends one message to `out` as chunks: type 0 first, then type 3, the extended timestamp repeated in each.
///
/// `timestamp` is absolute, in milliseconds modulo 2^32. `csid` is 2..=65599; a value outside is brought inside.
/// A `chunk_size` of 0 counts as 1. A body over [`MAX_BODY_BYTES`] cannot be said on the wire: the caller bounds it
/// before, and nothing is written if it did not.
pub fn write_message(
    out: &mut Vec<u8>,
    csid: u32,
    timestamp: u32,
    type_id: u8,
    msid: u32,
    body: &[u8],
    chunk_size: u32,
) {
    debug_assert!(
        body.len() <= MAX_BODY_BYTES as usize,
        "caller bounds the body"
    );
    let Some(length) = u32::try_from(body.len())
        .ok()
        .filter(|&length| length <= MAX_BODY_BYTES)
    else {
        return;
    };
    out.reserve(encoded_len(csid, timestamp, body.len(), chunk_size));
    let extended = timestamp >= EXTENDED;
    write_basic_header(out, 0, csid);
    let [_, field @ ..] = timestamp.min(EXTENDED).to_be_bytes();
    out.extend_from_slice(&field);
    let [_, field @ ..] = length.to_be_bytes();
    out.extend_from_slice(&field);
    out.push(type_id);
    out.extend_from_slice(&msid.to_le_bytes());
    if extended {
        out.extend_from_slice(&timestamp.to_be_bytes());
    }
    for (index, piece) in body.chunks(chunk_size.max(1) as usize).enumerate() {
        if index > 0 {
            write_basic_header(out, 3, csid);
            if extended {
                out.extend_from_slice(&timestamp.to_be_bytes());
            }
        }
        out.extend_from_slice(piece);
    }
}

/// Bytes that [`write_message`] appends for a body of `body_len` bytes.
pub fn encoded_len(csid: u32, timestamp: u32, body_len: usize, chunk_size: u32) -> usize {
    let basic: usize = match csid {
        ..64 => 1,
        64..320 => 2,
        _ => 3,
    };
    let extended = if timestamp >= EXTENDED { 4 } else { 0 };
    let continuations = body_len
        .div_ceil(chunk_size.max(1) as usize)
        .saturating_sub(1);
    let headers = (basic + extended).saturating_mul(continuations.saturating_add(1));
    body_len.saturating_add(headers).saturating_add(11)
}

/// RTMP 1.0 §5.3.1.1: the shortest of the three forms.
fn write_basic_header(out: &mut Vec<u8>, fmt: u8, csid: u32) {
    let fmt = fmt << 6;
    match csid.clamp(2, 65_599) {
        csid @ ..64 => out.push(fmt | csid as u8),
        csid @ 64..320 => out.extend_from_slice(&[fmt, (csid - 64) as u8]),
        csid => {
            let [low, high] = ((csid - 64) as u16).to_le_bytes();
            out.extend_from_slice(&[fmt | 1, low, high]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_message_in_two_chunks() {
        let mut out = Vec::new();
        write_message(&mut out, 6, 1000, 8, 1, &[0xaa, 0xbb, 0xcc], 2);
        let expected = [
            6, 0, 3, 0xe8, 0, 0, 3, 8, 1, 0, 0, 0, 0xaa, 0xbb, 0xc6, 0xcc,
        ];
        assert_eq!(out, expected);
    }

    #[test]
    fn extended_timestamps_repeat_and_all_basic_headers_have_their_form() {
        let mut out = Vec::new();
        write_message(&mut out, 64, 0x0100_0000, 9, 1, &[1, 2], 1);
        let first = [
            0, 0, 0xff, 0xff, 0xff, 0, 0, 2, 9, 1, 0, 0, 0, 1, 0, 0, 0, 1,
        ];
        assert_eq!(out, [&first[..], &[0xc0, 0, 1, 0, 0, 0, 2]].concat());
        out.clear();
        write_message(&mut out, 320, 0xff_ffff, 9, 0, &[], 128);
        assert_eq!(
            out,
            [
                1, 0, 1, 0xff, 0xff, 0xff, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff
            ]
        );
        out.clear();
        write_message(&mut out, 65_599, 5, 9, 0, &[], 128);
        assert_eq!(out.get(..3), Some(&[1, 0xff, 0xff][..]));
    }

    proptest! {
        #[test]
        fn the_announced_length_is_the_written_one(
            csid in 0u32..70_000, timestamp: u32, body: Vec<u8>, chunk_size in 0u32..200,
        ) {
            let mut out = Vec::new();
            write_message(&mut out, csid, timestamp, 9, 1, &body, chunk_size);
            prop_assert_eq!(out.len(), encoded_len(csid, timestamp, body.len(), chunk_size));
        }
    }
}
