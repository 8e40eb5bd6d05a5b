//! The parts of an aggregate message (RTMP 1.0 §7.1.6): FLV tags in a row.
//!
//! Owns: cutting them and moving their times to the aggregate's. Does not: check the back pointers, which
//! encoders fill differently.

use bytes::Bytes;
use weir_wire::Cursor;

use super::{MediaKind, Message};

/// The parts of one aggregate that are still to be delivered.
#[derive(Debug)]
pub(crate) struct Aggregate {
    message: Message,
    position: usize,
    /// Time of the first part; the aggregate's own time stands for it.
    first: Option<u32>,
}

impl Aggregate {
    /// Bytes of an FLV tag header: type, length, time, stream id.
    const HEADER: usize = 11;
    /// Bytes of the back pointer after each part.
    const BACK_POINTER: usize = 4;

    pub(crate) fn new(message: Message) -> Self {
        Self {
            message,
            position: 0,
            first: None,
        }
    }

    /// Message stream of the aggregate, which its parts belong to whatever they say.
    pub(crate) fn msid(&self) -> u32 {
        self.message.msid
    }

    /// Bytes held.
    pub(crate) fn memory(&self) -> usize {
        self.message.body.len() + size_of::<Self>()
    }

    /// The next audio, video or data part; `None` after the last. A cut part is an error and ends the aggregate.
    pub(crate) fn next_part(&mut self) -> Option<Result<Part, CutPart>> {
        loop {
            let rest = self
                .message
                .body
                .get(self.position..)
                .filter(|rest| !rest.is_empty())?;
            let Ok((header, body)) = read_part(rest) else {
                self.position = self.message.body.len();
                return Some(Err(CutPart));
            };
            let part_end = Self::HEADER.saturating_add(body.len());
            self.position = self
                .position
                .saturating_add(part_end)
                .saturating_add(Self::BACK_POINTER);
            let first = *self.first.get_or_insert(header.timestamp);
            let Some(kind) = MediaKind::from_type_id(header.type_id) else {
                continue;
            };
            let timestamp = self
                .message
                .timestamp
                .wrapping_add(header.timestamp.wrapping_sub(first));
            let type_id = header.type_id;
            return Some(Ok(Part {
                kind,
                type_id,
                timestamp,
                body: Bytes::copy_from_slice(body),
            }));
        }
    }
}

/// One media message out of an aggregate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) kind: MediaKind,
    pub(crate) type_id: u8,
    pub(crate) timestamp: u32,
    /// Copied: a part kept for long must not pin the whole aggregate.
    pub(crate) body: Bytes,
}

/// An aggregate that ends inside a part.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CutPart;

struct Header {
    type_id: u8,
    timestamp: u32,
}

fn read_part(rest: &[u8]) -> Result<(Header, &[u8]), weir_wire::Short> {
    let mut cursor = Cursor::new(rest);
    let type_id = cursor.u8()?;
    let length = cursor.u24()? as usize;
    let low = cursor.u24()?;
    let high = u32::from(cursor.u8()?);
    cursor.skip(3)?;
    let body = cursor.take(length)?;
    Ok((
        Header {
            type_id,
            timestamp: (high << 24) | low,
        },
        body,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(type_id: u8, timestamp: u32, body: &[u8]) -> Vec<u8> {
        let [high, time @ ..] = timestamp.to_be_bytes();
        let mut tag = vec![type_id, 0, 0, body.len() as u8];
        tag.extend_from_slice(&time);
        tag.extend_from_slice(&[high, 0, 0, 0]);
        tag.extend_from_slice(body);
        tag.extend_from_slice(&(11 + body.len() as u32).to_be_bytes());
        tag
    }

    fn aggregate(timestamp: u32, body: Vec<u8>) -> Aggregate {
        let body = Bytes::from(body);
        Aggregate::new(Message {
            csid: 4,
            timestamp,
            type_id: 22,
            msid: 1,
            body,
        })
    }

    #[test]
    fn parts_keep_their_distance_from_the_aggregates_time() {
        let body = [
            tag(8, 500, b"a"),
            tag(9, 520, b"vv"),
            tag(3, 0, b"x"),
            tag(18, 490, b""),
        ];
        let mut aggregate = aggregate(u32::MAX, body.concat());
        let mut seen = Vec::new();
        while let Some(part) = aggregate.next_part() {
            let part = part.unwrap();
            seen.push((part.kind, part.timestamp, part.body.to_vec()));
        }
        let expected = [
            (MediaKind::Audio, u32::MAX, b"a".to_vec()),
            (MediaKind::Video, 19, b"vv".to_vec()),
            (MediaKind::Data, u32::MAX - 10, Vec::new()),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_cut_part_is_reported_once_and_a_missing_last_back_pointer_is_not() {
        let whole = tag(8, 0, b"abc");
        let mut cut = aggregate(0, whole.get(..13).unwrap().to_vec());
        assert_eq!(cut.next_part(), Some(Err(CutPart)));
        assert_eq!(cut.next_part(), None);
        let mut bare = aggregate(0, whole.get(..14).unwrap().to_vec());
        assert!(bare.next_part().unwrap().is_ok());
        assert_eq!(bare.next_part(), None);
    }
}
