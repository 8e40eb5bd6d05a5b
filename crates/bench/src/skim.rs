//! Skimmers: walk a stream of media messages without keeping them.
//!
//! Owns: what is seen of a [`Message`] and its first bytes. [`ChunkSkimmer`] walks RTMP chunks, [`FlvSkimmer`]
//! FLV tags, [`TsSkimmer`] MPEG-TS packets. All are sans-IO, resumable at any byte, and hold a fixed amount of memory: of each message they copy
//! the first [`PREFIX`] bytes and step over the others.
//! Does not: answer anything, nor judge timestamps or codecs.

#![warn(clippy::indexing_slicing)]

mod chunk;
mod flv;
mod ts;

pub(crate) use chunk::ChunkSkimmer;
pub(crate) use flv::FlvSkimmer;
pub(crate) use ts::TsSkimmer;

/// How much of each message is kept, in bytes: enough for the code of an `onStatus` and for a send time.
pub(crate) const PREFIX: usize = 128;

/// RTMP message types (RTMP 1.0 §5.4, §7.1); audio, video and data share their numbers with FLV tags.
pub(crate) mod type_id {
    pub(crate) const SET_CHUNK_SIZE: u8 = 1;
    pub(crate) const ABORT: u8 = 2;
    pub(crate) const ACKNOWLEDGEMENT: u8 = 3;
    pub(crate) const USER_CONTROL: u8 = 4;
    pub(crate) const WINDOW_ACK_SIZE: u8 = 5;
    pub(crate) const AUDIO: u8 = 8;
    pub(crate) const VIDEO: u8 = 9;
    pub(crate) const COMMAND_AMF3: u8 = 17;
    pub(crate) const DATA: u8 = 18;
    pub(crate) const COMMAND: u8 = 20;
}

/// What a skimmer saw of one complete message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// See [`type_id`].
    pub(crate) type_id: u8,
    /// Milliseconds, as on the wire: wraps at 2³².
    pub(crate) timestamp: u32,
    /// Of the payload, in bytes.
    pub(crate) length: u32,
    /// The first bytes of the payload, at most [`PREFIX`].
    pub(crate) prefix: &'a [u8],
}

impl Message<'_> {
    /// Whether this is audio or video, configuration included.
    pub(crate) fn is_media(&self) -> bool {
        matches!(self.type_id, type_id::AUDIO | type_id::VIDEO)
    }

    /// Whether this is a codec configuration: an AVC, HEVC or AAC sequence header in the classic form (FLV 10.1
    /// §E.4.2, §E.4.3) or in that of Enhanced RTMP v2.
    pub(crate) fn is_configuration(&self) -> bool {
        let (first, second) = (self.byte(0), self.byte(1));
        match self.type_id {
            type_id::VIDEO if first & 0x80 != 0 => first & 0x0f == 0,
            type_id::VIDEO => matches!(first & 0x0f, 7 | 12) && second == 0,
            type_id::AUDIO if first >> 4 == 9 => first & 0x0f == 0,
            type_id::AUDIO => first >> 4 == 10 && second == 0,
            _ => false,
        }
    }

    /// Whether this is a video key frame and not a configuration.
    pub(crate) fn is_key_frame(&self) -> bool {
        self.type_id == type_id::VIDEO
            && (self.byte(0) >> 4) & 0x07 == 1
            && !self.is_configuration()
            && self.length > 0
    }

    fn byte(&self, at: usize) -> u8 {
        self.prefix.get(at).copied().unwrap_or(0)
    }
}

/// A stream that cannot be walked further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset}")]
pub(crate) struct SkimError {
    /// What the peer did wrong.
    pub(crate) kind: Misbehaviour,
    /// Where, in bytes from the first the skimmer was given: the end of the header that is wrong.
    pub(crate) offset: u64,
}

/// How a server can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misbehaviour {
    #[error("server opened more chunk streams than the bound")]
    TooManyChunkStreams,
    #[error("server used a chunk stream before giving it a full header")]
    UnknownChunkStream,
    #[error("server began a message inside another of the same chunk stream")]
    MessageInsideMessage,
    #[error("server set a chunk size of zero")]
    ChunkSizeZero,
    #[error("server sent no FLV signature")]
    NotFlv,
    #[error("server sent an FLV header of unlikely length")]
    FlvHeaderLength,
    #[error("server sent no MPEG-TS")]
    NotTs,
}

/// The first `N` bytes of something, gathered over any number of reads.
#[derive(Debug, Clone)]
struct Gathered<const N: usize> {
    bytes: [u8; N],
    have: usize,
}

impl<const N: usize> Gathered<N> {
    const fn new() -> Self {
        Self {
            bytes: [0; N],
            have: 0,
        }
    }

    /// Takes from `input` until `until` bytes (at most `N`) are there; says whether they are.
    fn gather(&mut self, input: &mut &[u8], until: usize) -> bool {
        let until = until.min(N);
        self.append(take(input, until.saturating_sub(self.have)));
        self.have >= until
    }

    /// Keeps as much of `piece` as there is room for.
    fn append(&mut self, piece: &[u8]) {
        let room = self.bytes.get_mut(self.have..).unwrap_or_default();
        let length = room.len().min(piece.len());
        for (to, from) in room.iter_mut().zip(piece) {
            *to = *from;
        }
        self.have += length;
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.have).unwrap_or_default()
    }

    /// The big-endian number of `length` bytes at `at`; bytes that are not there count as absent.
    fn number(&self, at: usize, length: usize) -> u32 {
        self.as_slice()
            .iter()
            .skip(at)
            .take(length)
            .fold(0, |number, byte| number << 8 | u32::from(*byte))
    }

    fn clear(&mut self) {
        self.have = 0;
    }
}

/// Splits up to `at_most` bytes off the front of `input`.
fn take<'a>(input: &mut &'a [u8], at_most: usize) -> &'a [u8] {
    let (head, tail) = input.split_at(input.len().min(at_most));
    *input = tail;
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(type_id: u8, prefix: &[u8]) -> Message<'_> {
        Message {
            type_id,
            timestamp: 0,
            length: prefix.len() as u32,
            prefix,
        }
    }

    #[test]
    fn tells_configuration_from_frames() {
        for (type_id, prefix, configuration, key) in [
            (type_id::VIDEO, &[0x17, 0, 0, 0, 0][..], true, false),
            (type_id::VIDEO, &[0x17, 1, 0, 0, 0], false, true),
            (type_id::VIDEO, &[0x27, 1, 0, 0, 0], false, false),
            (type_id::VIDEO, &[0x90, b'h', b'v', b'c', b'1'], true, false),
            (type_id::VIDEO, &[0x91, b'h', b'v', b'c', b'1'], false, true),
            (
                type_id::VIDEO,
                &[0xa1, b'h', b'v', b'c', b'1'],
                false,
                false,
            ),
            (type_id::AUDIO, &[0xaf, 0], true, false),
            (type_id::AUDIO, &[0xaf, 1], false, false),
            (type_id::AUDIO, &[0x90, b'O', b'p', b'u', b's'], true, false),
            (type_id::AUDIO, &[0x2f, 0], false, false),
            (type_id::DATA, &[2, 0], false, false),
            (type_id::VIDEO, &[], false, false),
        ] {
            let message = message(type_id, prefix);
            assert_eq!(message.is_configuration(), configuration, "{prefix:?}");
            assert_eq!(message.is_key_frame(), key, "{prefix:?}");
        }
    }

    #[test]
    fn gathers_over_reads_and_never_beyond_its_size() {
        let mut gathered = Gathered::<4>::new();
        let mut input = &[1, 2][..];
        assert!(!gathered.gather(&mut input, 3));
        let mut input = &[3, 4, 5, 6][..];
        assert!(gathered.gather(&mut input, 3));
        assert_eq!(gathered.number(1, 2), 0x0203);
        assert!(gathered.gather(&mut input, 9));
        assert_eq!(
            (gathered.as_slice(), input),
            (&[1, 2, 3, 4][..], &[5, 6][..])
        );
    }
}
