//! FLV as a viewer gets it.
//!
//! Owns: the cutting of a byte stream into tags (FLV specification, annex E.4) and what a tag is, as far as tests ask.
//! Deliberately independent of the server's own reader. Does not: decode.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};

use bytes::Bytes;

use crate::packet::{Kind, Packet};

/// Bytes of the header of a tag.
const TAG_HEADER: usize = 11;

/// One tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Tag type: 8 audio, 9 video, 18 script.
    pub kind: u8,
    /// Milliseconds.
    pub timestamp: u32,
    /// What follows the tag header.
    pub body: Bytes,
}

impl Tag {
    fn byte(&self, at: usize) -> u8 {
        self.body.get(at).copied().unwrap_or_default()
    }

    /// An enhanced video header (the high bit of the first byte).
    fn is_enhanced_video(&self) -> bool {
        self.kind == 9 && self.byte(0) & 0x80 != 0
    }

    /// An enhanced audio header (sound format 9).
    fn is_enhanced_audio(&self) -> bool {
        self.kind == 8 && self.byte(0) >> 4 == 9
    }

    /// A sequence header: it configures a decoder and has no time of its own.
    pub fn is_sequence_header(&self) -> bool {
        if self.is_enhanced_video() || self.is_enhanced_audio() {
            return self.byte(0) & 0x0f == 0;
        }
        self.has_packet_type() && self.byte(1) == 0
    }

    /// Legacy AVC and AAC say in the second byte what they hold.
    fn has_packet_type(&self) -> bool {
        match self.kind {
            8 => self.byte(0) >> 4 == 10,
            9 => matches!(self.byte(0) & 0x0f, 7 | 12 | 13),
            _ => false,
        }
    }

    /// The coded frame in it; `None` for scripts, headers and end marks.
    pub fn packet(&self) -> Option<Packet> {
        let kind = match self.kind {
            8 => Kind::Audio,
            9 => Kind::Video,
            _ => return None,
        };
        let coded = if self.is_enhanced_video() || self.is_enhanced_audio() {
            // coded frames, with and without a composition time
            matches!(self.byte(0) & 0x0f, 1 | 3)
        } else {
            !self.has_packet_type() || self.byte(1) == 1
        };
        let key = kind == Kind::Audio || (self.byte(0) >> 4) & 0x07 == 1;
        coded.then(|| Packet {
            kind,
            dts: i64::from(self.timestamp),
            pts: i64::from(self.timestamp),
            key,
            size: self.body.len(),
            hash: hash(&self.body),
        })
    }
}

fn hash(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Reads tags until the stream ends. Fails when it is no FLV; a stream that ends inside a tag ends before it.
pub fn read(mut from: impl Read, mut each: impl FnMut(Tag)) -> io::Result<()> {
    let invalid = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_owned());
    let mut header = [0; 13];
    if !filled(&mut from, &mut header)? {
        return Ok(());
    }
    if !header.starts_with(b"FLV\x01") {
        return Err(invalid("no FLV header"));
    }
    let mut head = [0; TAG_HEADER];
    while filled(&mut from, &mut head)? {
        let [kind, a, b, c, t2, t1, t0, t3, ..] = head;
        let mut body = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        let mut back = [0; 4];
        if !filled(&mut from, &mut body)? || !filled(&mut from, &mut back)? {
            return Ok(());
        }
        if !matches!(kind, 8 | 9 | 18) {
            return Err(invalid("a tag of unknown kind"));
        }
        // rtmpdump counts metadata differently; the field is for reading backwards
        if kind != 18 && u32::from_be_bytes(back) as usize != body.len() + TAG_HEADER {
            return Err(invalid("the size behind a tag is not its size"));
        }
        each(Tag {
            kind,
            timestamp: u32::from_be_bytes([t3, t2, t1, t0]),
            body: body.into(),
        });
    }
    Ok(())
}

/// The tags in `bytes`. Panics when they are no FLV.
pub fn tags(bytes: &[u8]) -> Vec<Tag> {
    let mut tags = Vec::new();
    read(bytes, |tag| tags.push(tag)).expect("FLV");
    tags
}

/// The coded frames among `tags`.
pub fn packets(tags: &[Tag]) -> Vec<Packet> {
    tags.iter().filter_map(Tag::packet).collect()
}

/// Fills `buffer`; false when the stream ended before.
fn filled(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(tags: &[(u8, u32, &[u8])]) -> Vec<u8> {
        let mut out = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
        for (kind, time, body) in tags {
            let [t3, t2, t1, t0] = time.to_be_bytes();
            out.push(*kind);
            out.extend(&(body.len() as u32).to_be_bytes()[1..]);
            out.extend([t2, t1, t0, t3, 0, 0, 0]);
            out.extend(*body);
            out.extend((body.len() as u32 + 11).to_be_bytes());
        }
        out
    }

    #[test]
    fn tags_are_cut_and_frames_are_told_from_headers() {
        let bytes = file(&[
            (18, 0, b"\x02\0\x0aonMetaData"),
            (9, 0, b"\x17\0\0\0\0avcC"),
            (8, 0, b"\xaf\0\x12\x10"),
            (9, 0x0100_0005, b"\x17\x01\0\0\x50idr"),
            (9, 40, b"\x27\x01\0\0\0p"),
            (8, 41, b"\xaf\x01raw"),
            (9, 42, b"\x17\x02\0\0\0"),
            (9, 43, b"\x90hvc1cfg"),
            (9, 44, b"\x91hvc1\0\0\0idr"),
            (9, 45, b"\xa3hvc1p"),
            (8, 46, b"\x90Opushead"),
            (8, 47, b"\x91Opusraw"),
        ]);
        let tags = tags(&bytes);
        assert_eq!(tags.len(), 12);
        let headers = tags.iter().filter(|tag| tag.is_sequence_header());
        assert_eq!(headers.count(), 4);
        let found: Vec<_> = packets(&tags).iter().map(|p| (p.dts, p.key)).collect();
        let wanted = [
            (0x0100_0005, true),
            (40, false),
            (41, true),
            (44, true),
            (45, false),
            (47, true),
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_cut_end_ends_before_the_cut_tag_and_junk_is_refused() {
        let bytes = file(&[(8, 0, b"\xaf\x01a"), (8, 9, b"\xaf\x01b")]);
        assert_eq!(tags(&bytes[..bytes.len() - 1]).len(), 1);
        assert!(read(&b"HTTP/1.1 404 Not"[..], |_| ()).is_err());
        let mut wrong = bytes;
        let last = wrong.len() - 1;
        wrong[last] ^= 1;
        assert!(read(&wrong[..], |_| ()).is_err());
    }
}
