//! The form of a box (ISO/IEC 14496-12 §4.2): its length, its kind, its content.
//!
//! Owns: writing a length once the content behind it is known. Does not: know any box.

/// Writes a box whose content `body` appends.
///
/// All content written through here is bounded: a few boxes of fixed size for each track and one decoder configuration
/// of at most [`super::MAX_CONFIG_BYTES`]; a length beyond 32 bits cannot arise and would be written as the largest.
pub(super) fn write<R>(
    out: &mut Vec<u8>,
    kind: &[u8; 4],
    body: impl FnOnce(&mut Vec<u8>) -> R,
) -> R {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(kind);
    let result = body(out);
    let size = u32::try_from(out.len().saturating_sub(start)).unwrap_or(u32::MAX);
    let place = out.iter_mut().skip(start);
    place
        .zip(size.to_be_bytes())
        .for_each(|(to, from)| *to = from);
    result
}

/// Writes a full box: version and flags (24 bits) in front of the content.
pub(super) fn write_full<R>(
    out: &mut Vec<u8>,
    kind: &[u8; 4],
    version: u8,
    flags: u32,
    body: impl FnOnce(&mut Vec<u8>) -> R,
) -> R {
    write(out, kind, |out| {
        put_u32(out, u32::from(version) << 24 | flags);
        body(out)
    })
}

pub(super) fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(super) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(super) fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_count_their_own_bytes_and_nest() {
        let mut out = vec![7];
        let inner = write(&mut out, b"outr", |out| {
            write_full(out, b"innr", 1, 2, |out| {
                put_u16(out, 3);
                out.len()
            })
        });
        assert_eq!(inner, 23);
        assert_eq!(out, b"\x07\0\0\0\x16outr\0\0\0\x0einnr\x01\0\0\x02\0\x03");
    }
}
