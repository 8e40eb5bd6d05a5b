//! The skimmer of FLV (Adobe Video File Format 10.1, annex E), as sent over HTTP.
//!
//! Owns: the position between file header, tags and the sizes behind them.
//! Does not: check the previous tag sizes, which many servers send as zero.

use super::{Gathered, Message, Misbehaviour, PREFIX, SkimError, take};

/// §E.2: "FLV", version, flags, data offset.
const FILE_HEADER: usize = 9;
/// §E.4.1.
const TAG_HEADER: usize = 11;
/// §E.3: the size of the tag before.
const TAG_SIZE: u64 = 4;
/// The header has been 9 bytes since 2002; anything near this bound is not FLV.
const MAX_DATA_OFFSET: u64 = 1024;

/// Walks the tags of one FLV stream.
#[derive(Debug)]
pub(crate) struct FlvSkimmer {
    stage: Stage,
    header: Gathered<TAG_HEADER>,
    prefix: Gathered<PREFIX>,
    /// Bytes taken so far, for errors.
    offset: u64,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    FileHeader,
    /// So many bytes to step over before the next tag.
    Skip(u64),
    TagHeader,
    /// So many bytes of payload are missing.
    Body(u32),
}

impl FlvSkimmer {
    pub(crate) const fn new() -> Self {
        Self {
            stage: Stage::FileHeader,
            header: Gathered::new(),
            prefix: Gathered::new(),
            offset: 0,
        }
    }

    /// Takes input up to the end of the next complete tag, or all of it when none completes.
    ///
    /// # Errors
    /// When the stream is not FLV; the skimmer is of no use afterwards.
    pub(crate) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Message<'_>>, SkimError> {
        let before = input.len();
        let found = self.walk(input);
        self.offset += (before - input.len()) as u64;
        match found {
            Ok(true) => Ok(Some(self.message())),
            Ok(false) => Ok(None),
            Err(kind) => Err(SkimError {
                kind,
                offset: self.offset,
            }),
        }
    }

    fn walk(&mut self, input: &mut &[u8]) -> Result<bool, Misbehaviour> {
        loop {
            match self.stage {
                Stage::FileHeader => {
                    if !self.header.gather(input, FILE_HEADER) {
                        return Ok(false);
                    }
                    self.stage = Stage::Skip(self.after_file_header()?);
                }
                Stage::Skip(left) => {
                    let skipped = take(input, usize::try_from(left).unwrap_or(usize::MAX));
                    let left = left - skipped.len() as u64;
                    self.stage = Stage::Skip(left);
                    if left > 0 {
                        return Ok(false);
                    }
                    self.header.clear();
                    self.prefix.clear();
                    self.stage = Stage::TagHeader;
                }
                Stage::TagHeader => {
                    if !self.header.gather(input, TAG_HEADER) {
                        return Ok(false);
                    }
                    self.stage = Stage::Body(self.header.number(1, 3));
                }
                Stage::Body(left) => {
                    let piece = take(input, left as usize);
                    self.prefix.append(piece);
                    let left = left - piece.len() as u32;
                    self.stage = Stage::Body(left);
                    if left > 0 {
                        return Ok(false);
                    }
                    self.stage = Stage::Skip(TAG_SIZE);
                    return Ok(true);
                }
            }
        }
    }

    fn after_file_header(&self) -> Result<u64, Misbehaviour> {
        if !self.header.as_slice().starts_with(b"FLV") {
            return Err(Misbehaviour::NotFlv);
        }
        let data_offset = u64::from(self.header.number(5, 4));
        let extra = data_offset.checked_sub(FILE_HEADER as u64);
        match extra {
            Some(extra) if data_offset <= MAX_DATA_OFFSET => Ok(extra + TAG_SIZE),
            _ => Err(Misbehaviour::FlvHeaderLength),
        }
    }

    /// The tag that the last call of [`Self::next`] returned.
    pub(crate) fn message(&self) -> Message<'_> {
        Message {
            type_id: (self.header.number(0, 1) & 0x1f) as u8,
            timestamp: self.header.number(7, 1) << 24 | self.header.number(4, 3),
            length: self.header.number(1, 3),
            prefix: self.prefix.as_slice(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Tag = (u8, u32, Vec<u8>);

    fn file(tags: &[Tag]) -> Vec<u8> {
        let mut bytes = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
        for (type_id, timestamp, payload) in tags {
            bytes.push(*type_id);
            bytes.extend(&(payload.len() as u32).to_be_bytes()[1..]);
            bytes.extend(&timestamp.to_be_bytes()[1..]);
            bytes.push((timestamp >> 24) as u8);
            bytes.extend([0, 0, 0]);
            bytes.extend(payload);
            bytes.extend((payload.len() as u32 + 11).to_be_bytes());
        }
        bytes
    }

    type Seen = (u8, u32, Vec<u8>, u32);

    fn skim(skimmer: &mut FlvSkimmer, mut input: &[u8]) -> Result<Vec<Seen>, SkimError> {
        let mut seen = Vec::new();
        while let Some(found) = skimmer.next(&mut input)? {
            seen.push((
                found.type_id,
                found.timestamp,
                found.prefix.to_vec(),
                found.length,
            ));
        }
        assert!(input.is_empty());
        Ok(seen)
    }

    proptest! {
        #[test]
        fn finds_every_tag_at_any_split(
            tags in proptest::collection::vec(
                (8_u8..10, any::<u32>(), proptest::collection::vec(any::<u8>(), 0..300)),
                0..8,
            ),
            split in 1_usize..64,
        ) {
            let mut skimmer = FlvSkimmer::new();
            let mut seen = Vec::new();
            for piece in file(&tags).chunks(split) {
                seen.extend(skim(&mut skimmer, piece).unwrap());
            }
            let expected: Vec<_> = tags
                .into_iter()
                .map(|(id, time, payload)| {
                    let length = payload.len() as u32;
                    (id, time, payload[..payload.len().min(PREFIX)].to_vec(), length)
                })
                .collect();
            prop_assert_eq!(seen, expected);
        }

        #[test]
        fn anything_else_does_not_panic(
            input in proptest::collection::vec(any::<u8>(), 0..200),
            flv in any::<bool>(),
        ) {
            let mut bytes = if flv { file(&[]) } else { Vec::new() };
            bytes.extend(input);
            let _ = skim(&mut FlvSkimmer::new(), &bytes);
        }
    }

    #[test]
    fn says_what_is_wrong_with_a_web_page() {
        let error = skim(&mut FlvSkimmer::new(), b"<html><body>").unwrap_err();
        assert_eq!(
            error,
            SkimError {
                kind: Misbehaviour::NotFlv,
                offset: 9
            }
        );
        let error = skim(&mut FlvSkimmer::new(), b"FLV\x01\x05\x7f\0\0\x09").unwrap_err();
        assert_eq!(error.kind, Misbehaviour::FlvHeaderLength);
    }
}
