//! Writing FLV: file header, tag headers, trailers.
//!
//! Owns: bytes of a file or an HTTP-FLV response. Does not: choose times, or keep any state.

use super::{Error, TagKind};

/// The longest tag body: `DataSize` has 24 bits (E.4.1).
pub const MAX_BODY_BYTES: usize = 0xff_ffff;

/// Bytes of a tag's header (E.4.1).
pub const TAG_HEADER_BYTES: usize = 11;

/// Appends the file header (E.2), 9 bytes, and `PreviousTagSize0`, 4 bytes of zero.
pub fn write_file_header(has_audio: bool, has_video: bool, out: &mut Vec<u8>) {
    let flags = u8::from(has_audio) << 2 | u8::from(has_video);
    out.extend_from_slice(&[b'F', b'L', b'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0]);
}

/// Appends a tag: header, body, and the `PreviousTagSize` that follows it. `timestamp_ms` is
/// milliseconds, modulo 2^32.
///
/// Fails, and appends nothing, when the body is longer than [`MAX_BODY_BYTES`]; RTMP messages and
/// tags that were read never are.
pub fn write_tag(
    kind: TagKind,
    timestamp_ms: u32,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let header = tag_header(kind, timestamp_ms, body.len())?;
    out.reserve(TAG_HEADER_BYTES + body.len() + 4);
    out.extend_from_slice(&header);
    out.extend_from_slice(body);
    out.extend_from_slice(&tag_trailer(body.len()));
    Ok(())
}

/// The header of a tag with `size` bytes of body, for callers that write header, body and trailer
/// as separate pieces.
///
/// Fails when `size` is more than [`MAX_BODY_BYTES`].
pub fn tag_header(
    kind: TagKind,
    timestamp_ms: u32,
    size: usize,
) -> Result<[u8; TAG_HEADER_BYTES], Error> {
    if size > MAX_BODY_BYTES {
        return Err(Error::BodyTooLarge { size });
    }
    let [_, s1, s2, s3] = (size as u32).to_be_bytes();
    // The upper 8 bits of the timestamp come after the lower 24 (`TimestampExtended`).
    let [high, t1, t2, t3] = timestamp_ms.to_be_bytes();
    Ok([kind.id(), s1, s2, s3, t1, t2, t3, high, 0, 0, 0])
}

/// The `PreviousTagSize` that follows a tag with `size` bytes of body.
pub fn tag_trailer(size: usize) -> [u8; 4] {
    ((size + TAG_HEADER_BYTES) as u32).to_be_bytes()
}
