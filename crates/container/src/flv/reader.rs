//! Reading FLV: a stream of bytes becomes tags.
//!
//! Owns: file header, tag headers, tag bodies. Holds at most one tag's body, and reserves memory as
//! bytes arrive, not as lengths promise. Does not: look into bodies, unwrap timestamps, find its
//! way back after an error.

use bytes::Bytes;

use super::{Error, TagKind};

/// The furthest place where tags may begin. The header has 9 bytes, and no version of FLV has made
/// it longer; 64 KiB lets a writer keep something of its own there.
pub const MAX_DATA_OFFSET: u32 = 64 * 1024;

/// How much memory a body may hold before its bytes are there, in bytes. Most tags are smaller and
/// get their exact size at once; for larger ones the allocation doubles with what was received.
const RESERVE_AHEAD: usize = 64 * 1024;

/// What the file header says (E.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHeader {
    /// The version, 1 in every file known.
    pub version: u8,
    /// Whether audio tags are announced; not to be relied on.
    pub has_audio: bool,
    /// Whether video tags are announced; not to be relied on.
    pub has_video: bool,
}

/// A tag as read (E.4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Its kind.
    pub kind: TagKind,
    /// Its time in milliseconds, modulo 2^32.
    pub timestamp: u32,
    /// `StreamID`, 0 by definition; 24 bits.
    pub stream_id: u32,
    /// Its body, in an allocation of its own.
    pub body: Bytes,
}

/// Reads the tags of one file or HTTP-FLV stream, whose bytes may come in pieces of any size.
#[derive(Debug)]
pub struct Reader {
    state: State,
    /// A header or a trailer of which a part has come.
    part: [u8; 11],
    part_len: usize,
    body: Vec<u8>,
    max_body: usize,
    offset: u64,
    header: Option<FileHeader>,
    /// What the next `PreviousTagSize` should be.
    previous: u32,
    misfits: u64,
    unknown_tags: u64,
    failed: Option<Error>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    FileHeader,
    /// Bytes to pass over, before a trailer: the rest of the file header, or the body of a tag of
    /// unknown kind.
    Skip(usize),
    PreviousTagSize,
    TagHeader,
    Body(TagHeader),
}

#[derive(Debug, Clone, Copy)]
struct TagHeader {
    kind: TagKind,
    size: usize,
    timestamp: u32,
    stream_id: u32,
}

impl Reader {
    /// A reader at the start of a file. A tag body of more than `max_body` bytes is an error.
    pub fn new(max_body: usize) -> Self {
        Self {
            state: State::FileHeader,
            part: [0; 11],
            part_len: 0,
            body: Vec::new(),
            max_body,
            offset: 0,
            header: None,
            previous: 0,
            misfits: 0,
            unknown_tags: 0,
            failed: None,
        }
    }

    /// Reads from the front of `input`, which it shortens, up to the end of a tag. `None` means
    /// that the input is used up and the next tag needs more. After an error every further call
    /// gives the same one.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Tag>, Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let before = input.len();
        let result = self.advance(input, before);
        self.offset = self.offset.saturating_add((before - input.len()) as u64);
        self.failed = result.as_ref().err().copied();
        result
    }

    /// The file header, once it has been read.
    pub fn file_header(&self) -> Option<FileHeader> {
        self.header
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// How many `PreviousTagSize` were wrong so far. They are redundant, so reading goes on.
    pub fn misfits(&self) -> u64 {
        self.misfits
    }

    /// How many tags of unknown kind were passed over so far.
    pub fn unknown_tags(&self) -> u64 {
        self.unknown_tags
    }

    /// Whether the input so far ends where a file may end: behind a tag, with or without its
    /// `PreviousTagSize`.
    pub fn is_between_tags(&self) -> bool {
        self.part_len == 0 && matches!(self.state, State::PreviousTagSize | State::TagHeader)
    }

    fn advance(&mut self, input: &mut &[u8], before: usize) -> Result<Option<Tag>, Error> {
        loop {
            match self.state {
                State::FileHeader => match self.gather::<9>(input) {
                    Some(bytes) => self.state = State::Skip(self.file_header_end(bytes)?),
                    None => return Ok(None),
                },
                State::Skip(left) => {
                    let count = left.min(input.len());
                    *input = input.get(count..).unwrap_or_default();
                    if count < left {
                        self.state = State::Skip(left - count);
                        return Ok(None);
                    }
                    self.state = State::PreviousTagSize;
                }
                State::PreviousTagSize => match self.gather::<4>(input) {
                    Some(bytes) => {
                        self.misfits += u64::from(u32::from_be_bytes(bytes) != self.previous);
                        self.state = State::TagHeader;
                    }
                    None => return Ok(None),
                },
                State::TagHeader => match self.gather::<11>(input) {
                    Some(bytes) => {
                        let end = self.offset.saturating_add((before - input.len()) as u64);
                        self.state = self.tag_header_end(bytes, end.saturating_sub(11))?;
                    }
                    None => return Ok(None),
                },
                State::Body(header) => return Ok(self.fill(header, input)),
            }
        }
    }

    /// `N` bytes from what came before and from `input`; `None` until all are there.
    fn gather<const N: usize>(&mut self, input: &mut &[u8]) -> Option<[u8; N]> {
        let free = self.part.get_mut(self.part_len..N)?;
        let count = free.len().min(input.len());
        let (head, rest) = input.split_at_checked(count)?;
        free.get_mut(..count)?.copy_from_slice(head);
        *input = rest;
        self.part_len += count;
        if self.part_len < N {
            return None;
        }
        self.part_len = 0;
        self.part.first_chunk().copied()
    }

    /// Takes the file header in and gives the number of bytes between it and the first
    /// `PreviousTagSize`.
    fn file_header_end(&mut self, bytes: [u8; 9]) -> Result<usize, Error> {
        let [a, b, c, version, flags, offset @ ..] = bytes;
        if [a, b, c] != *b"FLV" {
            return Err(Error::Signature { found: [a, b, c] });
        }
        let found = u32::from_be_bytes(offset);
        if !(9..=MAX_DATA_OFFSET).contains(&found) {
            return Err(Error::DataOffset { found });
        }
        let (has_audio, has_video) = (flags & 4 != 0, flags & 1 != 0);
        self.header = Some(FileHeader {
            version,
            has_audio,
            has_video,
        });
        Ok(found as usize - 9)
    }

    fn tag_header_end(&mut self, bytes: [u8; 11], offset: u64) -> Result<State, Error> {
        let [first, s1, s2, s3, t1, t2, t3, high, i1, i2, i3] = bytes;
        let size = u32::from_be_bytes([0, s1, s2, s3]);
        self.previous = size + 11;
        let size = size as usize;
        if first & 0x20 != 0 {
            return Err(Error::Encrypted { offset });
        }
        let Some(kind) = TagKind::from_id(first & 0x1f) else {
            self.unknown_tags += 1;
            return Ok(State::Skip(size));
        };
        if size > self.max_body {
            return Err(Error::TagTooLarge {
                size,
                limit: self.max_body,
                offset,
            });
        }
        Ok(State::Body(TagHeader {
            kind,
            size,
            timestamp: u32::from_be_bytes([high, t1, t2, t3]),
            stream_id: u32::from_be_bytes([0, i1, i2, i3]),
        }))
    }

    /// Takes what `input` has of the body; the tag once it is whole.
    fn fill(&mut self, header: TagHeader, input: &mut &[u8]) -> Option<Tag> {
        let missing = header.size.saturating_sub(self.body.len());
        let (head, rest) = input.split_at(missing.min(input.len()));
        *input = rest;
        let wanted = self.body.len() + head.len();
        if wanted > self.body.capacity() {
            // Ends at exactly the tag's size, so the finished body holds no byte more.
            let target = wanted.saturating_mul(2).max(RESERVE_AHEAD).min(header.size);
            self.body.reserve_exact(target - self.body.len());
        }
        self.body.extend_from_slice(head);
        if head.len() < missing {
            return None;
        }
        self.state = State::PreviousTagSize;
        Some(Tag {
            kind: header.kind,
            timestamp: header.timestamp,
            stream_id: header.stream_id,
            body: std::mem::take(&mut self.body).into(),
        })
    }
}

#[cfg(test)]
mod tests;
