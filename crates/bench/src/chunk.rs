//! Writes RTMP messages as chunks (RTMP 1.0 §5.3).
//!
//! Owns: one message in, its bytes out, always with a full header. Stateless, so that one scratch buffer serves
//! every session.
//! Does not: interleave.

/// The chunk size that clients announce, in bytes: that of common encoders. At usual bit rates most messages are one
/// chunk; servers that reserve a buffer of one chunk per publisher would pay for a larger one.
pub(crate) const CHUNK_SIZE: u32 = 4096;

/// Where a message goes and what it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    /// Chunk stream, 2 to 63.
    pub(crate) chunk_stream: u8,
    /// See [`crate::skim::type_id`].
    pub(crate) type_id: u8,
    pub(crate) message_stream: u32,
    /// Milliseconds, wrapping.
    pub(crate) timestamp: u32,
}

/// §5.3.1.3: this value in the 24-bit field announces an extended timestamp.
const EXTENDED: u32 = 0x00ff_ffff;

/// Appends one message, cut into chunks of [`CHUNK_SIZE`]; returns where its payload begins in `out`.
pub(crate) fn write(out: &mut Vec<u8>, header: Header, payload: &[u8]) -> usize {
    let extended = (header.timestamp >= EXTENDED).then(|| header.timestamp.to_be_bytes());
    let [_, field @ ..] = header.timestamp.min(EXTENDED).to_be_bytes();
    let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
    out.push(header.chunk_stream);
    out.extend(field);
    out.extend(length);
    out.push(header.type_id);
    out.extend(header.message_stream.to_le_bytes());
    out.extend(extended.into_iter().flatten());
    let start = out.len();
    let mut pieces = payload.chunks(CHUNK_SIZE as usize);
    out.extend(pieces.next().unwrap_or_default());
    for piece in pieces {
        out.push(0xc0 | header.chunk_stream);
        out.extend(extended.into_iter().flatten());
        out.extend(piece);
    }
    start
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::skim::{ChunkSkimmer, PREFIX};

    proptest! {
        #[test]
        fn skimmer_finds_what_was_written(
            timestamp in prop_oneof![0_u32..1000, EXTENDED - 2..EXTENDED + 2, any::<u32>()],
            length in prop_oneof![1_usize..300, 4095_usize..4098, 8191_usize..12_290],
        ) {
            let payload: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let header = Header { chunk_stream: 6, type_id: 9, message_stream: 1, timestamp };
            let mut wire = Vec::new();
            let size = Header { chunk_stream: 2, type_id: 1, message_stream: 0, timestamp: 0 };
            write(&mut wire, size, &CHUNK_SIZE.to_be_bytes());
            let start = write(&mut wire, header, &payload);
            let first = length.min(CHUNK_SIZE as usize);
            prop_assert_eq!(&wire[start..start + first], &payload[..first]);
            let mut input = &wire[..];
            let mut skimmer = ChunkSkimmer::new();
            skimmer.next(&mut input).unwrap().unwrap();
            let found = skimmer.next(&mut input).unwrap().unwrap();
            prop_assert_eq!((found.timestamp, found.length as usize), (timestamp, length));
            prop_assert_eq!(found.prefix, &payload[..length.min(PREFIX)]);
            prop_assert!(input.is_empty());
        }
    }
}
