//! The skimmer of RTMP chunks (RTMP 1.0 §5.3).
//!
//! Owns: chunk headers of all four kinds on up to [`MAX_CHUNK_STREAMS`] chunk streams, extended timestamps (also
//! repeated on type 3 chunks, as all servers of the field do), Set Chunk Size and Abort.
//! Does not: reassemble. Payload is stepped over where it lies.

use super::{Gathered, Message, Misbehaviour, PREFIX, SkimError, take, type_id};

/// Servers use about six; this leaves room for odd ones and bounds a session to some 10 KB.
const MAX_CHUNK_STREAMS: usize = 64;
/// Basic header 3, message header 11, extended timestamp 4.
const MAX_HEADER: usize = 18;
/// §5.4.1: in force until the peer sets another.
const DEFAULT_CHUNK_SIZE: u32 = 128;
/// §5.3.1.3: this value in the 24-bit field announces an extended timestamp.
const EXTENDED: u32 = 0x00ff_ffff;

/// Walks the chunks that one peer sends after its handshake.
#[derive(Debug)]
pub(crate) struct ChunkSkimmer {
    streams: Vec<ChunkStream>,
    header: Gathered<MAX_HEADER>,
    /// Which of `streams` the payload under way belongs to; `None` inside a header.
    current: Option<usize>,
    /// Payload bytes missing in the current chunk.
    left: u32,
    chunk_size: u32,
    /// Bytes taken so far, for errors.
    offset: u64,
    /// Where in `streams` the message lies that completed last.
    last: Option<usize>,
}

#[derive(Debug)]
struct ChunkStream {
    id: u32,
    type_id: u8,
    timestamp: u32,
    delta: u32,
    extended: bool,
    length: u32,
    /// Payload bytes of the message under way; equals `length` once it is complete.
    received: u32,
    prefix: Gathered<PREFIX>,
}

impl ChunkSkimmer {
    pub(crate) const fn new() -> Self {
        Self {
            streams: Vec::new(),
            header: Gathered::new(),
            current: None,
            left: 0,
            chunk_size: DEFAULT_CHUNK_SIZE,
            offset: 0,
            last: None,
        }
    }

    /// Takes input up to the end of the next complete message, or all of it when none completes.
    ///
    /// # Errors
    /// When the peer breaks the chunk format; the skimmer is of no use afterwards.
    pub(crate) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Message<'_>>, SkimError> {
        let before = input.len();
        let found = self.walk(input);
        self.offset += (before - input.len()) as u64;
        self.last = found.map_err(|kind| SkimError {
            kind,
            offset: self.offset,
        })?;
        Ok(self.last())
    }

    /// The message that the last call of [`Self::next`] returned.
    pub(crate) fn last(&self) -> Option<Message<'_>> {
        self.last
            .and_then(|index| self.streams.get(index))
            .map(|stream| Message {
                type_id: stream.type_id,
                timestamp: stream.timestamp,
                length: stream.length,
                prefix: stream.prefix.as_slice(),
            })
    }

    /// The place in `streams` of the message that completed.
    fn walk(&mut self, input: &mut &[u8]) -> Result<Option<usize>, Misbehaviour> {
        loop {
            let index = match self.current {
                Some(index) => index,
                None => match self.begin_chunk(input)? {
                    Some(index) => index,
                    None => return Ok(None),
                },
            };
            let Some(stream) = self.streams.get_mut(index) else {
                return Ok(None);
            };
            let piece = take(input, self.left as usize);
            stream.prefix.append(piece);
            stream.received += piece.len() as u32;
            self.left -= piece.len() as u32;
            if self.left > 0 {
                return Ok(None);
            }
            self.current = None;
            if stream.received == stream.length {
                self.obey(index)?;
                return Ok(Some(index));
            }
        }
    }

    /// Gathers one chunk header and applies it to its chunk stream; `None` when input ends inside it.
    fn begin_chunk(&mut self, input: &mut &[u8]) -> Result<Option<usize>, Misbehaviour> {
        if !self.header.gather(input, 1) {
            return Ok(None);
        }
        let first = self.header.number(0, 1);
        let basic = match first & 0x3f {
            0 => 2,
            1 => 3,
            _ => 1,
        };
        let format = first >> 6;
        let message = match format {
            0 => 11,
            1 => 7,
            2 => 3,
            _ => 0,
        };
        if !self.header.gather(input, basic + message) {
            return Ok(None);
        }
        let index = self.chunk_stream(basic, format)?;
        let Some(stream) = self.streams.get_mut(index) else {
            return Ok(None);
        };
        let extended = match format {
            3 => stream.extended,
            _ => self.header.number(basic, 3) == EXTENDED,
        };
        let whole = basic + message + if extended { 4 } else { 0 };
        if !self.header.gather(input, whole) {
            return Ok(None);
        }
        stream.apply(&self.header, format, basic, extended)?;
        self.header.clear();
        self.current = Some(index);
        self.left = (stream.length - stream.received).min(self.chunk_size);
        Ok(Some(index))
    }

    /// Finds the chunk stream that the gathered header names, or opens it when the header is a full one.
    fn chunk_stream(&mut self, basic: usize, format: u32) -> Result<usize, Misbehaviour> {
        // §5.3.1.1: the third byte is the more significant one.
        let id = match basic {
            1 => self.header.number(0, 1) & 0x3f,
            2 => self.header.number(1, 1) + 64,
            _ => self.header.number(2, 1) * 256 + self.header.number(1, 1) + 64,
        };
        if let Some(index) = self.streams.iter().position(|stream| stream.id == id) {
            return Ok(index);
        }
        // librtmp opens chunk streams with type 1; the message stream id it leaves out is not looked at here.
        if format > 1 {
            return Err(Misbehaviour::UnknownChunkStream);
        }
        if self.streams.len() >= MAX_CHUNK_STREAMS {
            return Err(Misbehaviour::TooManyChunkStreams);
        }
        self.streams.push(ChunkStream::new(id));
        Ok(self.streams.len() - 1)
    }

    /// Obeys a complete protocol control message (§5.4.1, §5.4.2).
    fn obey(&mut self, index: usize) -> Result<(), Misbehaviour> {
        let Some(stream) = self.streams.get(index) else {
            return Ok(());
        };
        if stream.length < 4 {
            return Ok(());
        }
        let value = stream.prefix.number(0, 4);
        match stream.type_id {
            // The top bit must be zero and is ignored, as the field does.
            type_id::SET_CHUNK_SIZE => match value & 0x7fff_ffff {
                0 => return Err(Misbehaviour::ChunkSizeZero),
                size => self.chunk_size = size,
            },
            type_id::ABORT => {
                if let Some(aborted) = self.streams.iter_mut().find(|stream| stream.id == value) {
                    aborted.received = aborted.length;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl ChunkStream {
    const fn new(id: u32) -> Self {
        Self {
            id,
            type_id: 0,
            timestamp: 0,
            delta: 0,
            extended: false,
            length: 0,
            received: 0,
            prefix: Gathered::new(),
        }
    }

    fn apply(
        &mut self,
        header: &Gathered<MAX_HEADER>,
        format: u32,
        basic: usize,
        extended: bool,
    ) -> Result<(), Misbehaviour> {
        let inside = self.received < self.length;
        if format == 3 {
            if !inside {
                self.begin();
                self.timestamp = self.timestamp.wrapping_add(self.delta);
            }
            return Ok(());
        }
        if inside {
            return Err(Misbehaviour::MessageInsideMessage);
        }
        self.begin();
        self.extended = extended;
        if format < 2 {
            self.length = header.number(basic + 3, 3);
            self.type_id = header.number(basic + 6, 1) as u8;
        }
        let time = match (extended, format) {
            (false, _) => header.number(basic, 3),
            (true, 0) => header.number(basic + 11, 4),
            (true, 1) => header.number(basic + 7, 4),
            (true, _) => header.number(basic + 3, 4),
        };
        // §5.3.1.2.4: a type 3 chunk that follows a type 0 one takes the timestamp for its delta.
        self.delta = time;
        self.timestamp = if format == 0 {
            time
        } else {
            self.timestamp.wrapping_add(time)
        };
        Ok(())
    }

    fn begin(&mut self) {
        self.received = 0;
        self.prefix.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Seen = (u8, u32, u32, Vec<u8>);

    fn skim(skimmer: &mut ChunkSkimmer, mut input: &[u8]) -> Result<Vec<Seen>, SkimError> {
        let mut seen = Vec::new();
        while let Some(found) = skimmer.next(&mut input)? {
            let prefix = found.prefix.to_vec();
            seen.push((found.type_id, found.timestamp, found.length, prefix));
        }
        assert!(input.is_empty());
        Ok(seen)
    }

    fn basic(out: &mut Vec<u8>, format: u8, id: u32) {
        match id {
            2..64 => out.push(format << 6 | id as u8),
            64..320 => out.extend([format << 6, (id - 64) as u8]),
            _ => out.extend([
                format << 6 | 1,
                ((id - 64) % 256) as u8,
                ((id - 64) / 256) as u8,
            ]),
        }
    }

    /// A message in the making: what was sent of it, so that chunks of several can be interleaved.
    struct Sending {
        id: u32,
        type_id: u8,
        time: u32,
        payload: Vec<u8>,
        sent: usize,
    }

    impl Sending {
        fn chunk(&mut self, out: &mut Vec<u8>, size: usize, format: u8) {
            let field = self.time.min(EXTENDED).to_be_bytes();
            if self.sent == 0 {
                basic(out, format, self.id);
                out.extend(&field[1..]);
                if format < 2 {
                    out.extend(&(self.payload.len() as u32).to_be_bytes()[1..]);
                    out.push(self.type_id);
                }
                if format == 0 {
                    out.extend([1, 0, 0, 0]);
                }
            } else {
                basic(out, 3, self.id);
            }
            if self.time >= EXTENDED {
                out.extend(self.time.to_be_bytes());
            }
            let end = self.payload.len().min(self.sent + size);
            out.extend(&self.payload[self.sent..end]);
            self.sent = end;
        }
    }

    fn whole(out: &mut Vec<u8>, format: u8, id: u32, type_id: u8, time: u32, payload: &[u8]) {
        let mut sending = Sending {
            id,
            type_id,
            time,
            payload: payload.to_vec(),
            sent: 0,
        };
        sending.chunk(out, 128, format);
        while sending.sent < payload.len() {
            sending.chunk(out, 128, format);
        }
    }

    #[test]
    fn follows_all_header_kinds() {
        let mut wire = Vec::new();
        whole(&mut wire, 0, 6, 9, 1000, &[1; 300]);
        whole(&mut wire, 1, 6, 8, 40, &[2; 5]);
        whole(&mut wire, 2, 6, 0, 7, &[3; 5]);
        wire.push(3 << 6 | 6);
        wire.extend([4; 5]);
        let seen = skim(&mut ChunkSkimmer::new(), &wire).unwrap();
        assert_eq!(
            seen,
            [
                (9, 1000, 300, vec![1; PREFIX]),
                (8, 1040, 5, vec![2; 5]),
                (8, 1047, 5, vec![3; 5]),
                (8, 1054, 5, vec![4; 5]),
            ]
        );
    }

    #[test]
    fn obeys_chunk_size_and_abort() {
        let mut wire = Vec::new();
        let mut lost = Sending {
            id: 7,
            type_id: 9,
            time: 1,
            payload: vec![9; 400],
            sent: 0,
        };
        lost.chunk(&mut wire, 128, 0);
        whole(&mut wire, 0, 2, type_id::ABORT, 0, &7_u32.to_be_bytes());
        whole(
            &mut wire,
            0,
            2,
            type_id::SET_CHUNK_SIZE,
            0,
            &1000_u32.to_be_bytes(),
        );
        let mut big = Sending {
            id: 7,
            type_id: 8,
            time: 2,
            payload: vec![5; 900],
            sent: 0,
        };
        big.chunk(&mut wire, 1000, 0);
        let seen = skim(&mut ChunkSkimmer::new(), &wire).unwrap();
        assert_eq!(seen.last().unwrap(), &(8, 2, 900, vec![5; PREFIX]));
        assert_eq!(seen.len(), 3);
    }

    #[test]
    fn empty_message_completes_with_its_header() {
        let mut wire = Vec::new();
        whole(&mut wire, 0, 3, 20, 5, &[]);
        assert_eq!(
            skim(&mut ChunkSkimmer::new(), &wire).unwrap(),
            [(20, 5, 0, vec![])]
        );
    }

    #[test]
    fn names_what_the_server_did_wrong() {
        let wrong = |wire: &[u8]| skim(&mut ChunkSkimmer::new(), wire).unwrap_err().kind;
        assert_eq!(wrong(&[0xc5]), Misbehaviour::UnknownChunkStream);
        let mut wire = Vec::new();
        Sending {
            id: 3,
            type_id: 9,
            time: 0,
            payload: vec![0; 200],
            sent: 0,
        }
        .chunk(&mut wire, 128, 0);
        whole(&mut wire, 0, 3, 9, 0, &[1]);
        assert_eq!(wrong(&wire), Misbehaviour::MessageInsideMessage);
        let mut wire = Vec::new();
        whole(&mut wire, 0, 2, type_id::SET_CHUNK_SIZE, 0, &[0; 4]);
        assert_eq!(wrong(&wire), Misbehaviour::ChunkSizeZero);
        let mut wire = Vec::new();
        for id in 0..65 {
            whole(&mut wire, 0, 100 + id, 9, 0, &[1]);
        }
        assert_eq!(wrong(&wire), Misbehaviour::TooManyChunkStreams);
    }

    fn messages() -> impl Strategy<Value = Vec<(u8, u32, Vec<u8>)>> {
        let time = prop_oneof![0_u32..100_000, 0x00ff_fff0_u32..=u32::MAX];
        let payload = proptest::collection::vec(any::<u8>(), 1..400);
        proptest::collection::vec((7_u8..20, time, payload), 1..6)
    }

    proptest! {
        #[test]
        fn finds_interleaved_messages_at_any_split(
            messages in messages(),
            ids in proptest::sample::subsequence(vec![3_u32, 6, 63, 64, 319, 320, 65599], 6),
            order in proptest::collection::vec(any::<proptest::sample::Index>(), 64),
            split in 1_usize..200,
        ) {
            let mut sending = Vec::new();
            for ((type_id, time, payload), id) in messages.into_iter().zip(ids) {
                sending.push(Sending { id, type_id, time, payload, sent: 0 });
            }
            let (mut wire, mut expected) = (Vec::new(), Vec::new());
            let mut order = order.iter().cycle();
            while !sending.is_empty() {
                let index = order.next().unwrap().index(sending.len());
                sending[index].chunk(&mut wire, 128, 0);
                if sending[index].sent == sending[index].payload.len() {
                    let done = sending.swap_remove(index);
                    let kept = done.payload[..done.payload.len().min(PREFIX)].to_vec();
                    expected.push((done.type_id, done.time, done.payload.len() as u32, kept));
                }
            }
            let mut skimmer = ChunkSkimmer::new();
            let mut seen = Vec::new();
            for piece in wire.chunks(split) {
                seen.extend(skim(&mut skimmer, piece).unwrap());
            }
            prop_assert_eq!(seen, expected);
        }

        #[test]
        fn anything_else_does_not_panic(input in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut skimmer = ChunkSkimmer::new();
            let mut rest = &input[..];
            while let Ok(Some(_)) = skimmer.next(&mut rest) {}
        }
    }
}
