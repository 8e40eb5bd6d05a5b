//! Chunks to whole messages.
//!
//! Owns: the header of each chunk stream, the times it implies, the unfinished messages and their memory. Applies Set
//! Chunk Size and Abort itself. Does not: acknowledge, or look into any other message.

use bytes::Bytes;

use super::StreamHeader;
use super::header::{self, Header, Parsed};
use super::{INITIAL_CHUNK_SIZE, MAX_BODY_BYTES, MAX_CHUNK_STREAMS, RESERVE_AHEAD_BYTES};
use crate::error::{Error, Misbehaviour};
use crate::message::{Control, Message};

/// Reads messages out of the bytes of a connection that follow the handshake.
///
/// Memory of unfinished messages never exceeds the limit of one message, and grows with what has come, not with what
/// was announced. An error is final: the reader's place in the stream is lost.
#[derive(Debug)]
pub struct ChunkReader {
    streams: Vec<Stream>,
    /// Header bytes seen so far; what follows a header is moved to the front.
    pending: [u8; header::MAX_BYTES],
    pending_len: u8,
    /// The chunk whose payload is being read: index in `streams`, and bytes left in the chunk.
    open: Option<(usize, u32)>,
    chunk_size: u32,
    max_message: u32,
    /// Capacity of all unfinished bodies.
    reserved: usize,
    offset: u64,
}

/// The state of one chunk stream.
#[derive(Debug)]
struct Stream {
    csid: u32,
    /// Absolute time of the last message.
    timestamp: u32,
    /// What the last full or compressed header said: a time for type 0, otherwise a delta. A type 3
    /// chunk that starts a message adds it again, also after type 0 (§5.3.1.2.4; ffmpeg, librtmp and SRS do so too).
    field: u32,
    /// Whether that header had an extended timestamp.
    extended: bool,
    unfinished: bool,
    type_id: u8,
    length: u32,
    msid: u32,
    body: Vec<u8>,
}

impl ChunkReader {
    /// A reader at the first chunk of a connection. `max_message` bounds a message, and all unfinished ones
    /// together, in bytes; it is at most [`MAX_BODY_BYTES`].
    pub fn new(max_message: u32) -> Self {
        Self {
            streams: Vec::new(),
            pending: [0; header::MAX_BYTES],
            pending_len: 0,
            open: None,
            chunk_size: INITIAL_CHUNK_SIZE,
            max_message: max_message.min(MAX_BODY_BYTES),
            reserved: 0,
            offset: 0,
        }
    }

    /// Consumes `input` from the front up to the end of one message, or all of it when no message ends in it.
    ///
    /// Fails when the peer broke a rule or a bound; no call succeeds usefully after that.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        loop {
            let Some((index, left)) = self.open else {
                if self.read_header(input)? {
                    continue;
                }
                return Ok(None);
            };
            let taken = usize::min(left as usize, input.len());
            let (piece, rest) = input.split_at_checked(taken).unwrap_or((input, &[]));
            self.append(index, piece)?;
            self.count(taken);
            *input = rest;
            let left = left.saturating_sub(taken as u32);
            if left > 0 {
                self.open = Some((index, left));
                return Ok(None);
            }
            self.open = None;
            if let Some(message) = self.finish(index)? {
                return Ok(Some(message));
            }
        }
    }

    /// Bytes read so far, with what was added by [`ChunkReader::count_earlier`].
    pub fn bytes_read(&self) -> u64 {
        self.offset
    }

    /// Counts bytes read from the connection before the first chunk: those of the handshake.
    pub fn count_earlier(&mut self, bytes: u64) {
        self.offset = self.offset.saturating_add(bytes);
    }

    /// Chunk size of the peer, in bytes.
    pub fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// What later headers of each chunk stream may refer to.
    pub fn headers(&self) -> impl Iterator<Item = StreamHeader> + '_ {
        self.streams.iter().map(|stream| StreamHeader {
            csid: stream.csid,
            timestamp: stream.timestamp,
            field: stream.field,
            extended: stream.extended,
            type_id: stream.type_id,
            length: stream.length,
            msid: stream.msid,
        })
    }

    /// Whether the reader stands between two messages: no chunk stream has an unfinished one.
    pub fn is_between_messages(&self) -> bool {
        self.open.is_none() && self.streams.iter().all(|stream| !stream.unfinished)
    }

    /// Bytes that were read and belong to a header that is not whole.
    pub fn ahead(&self) -> &[u8] {
        let seen = self.pending.get(..usize::from(self.pending_len));
        seen.unwrap_or_default()
    }

    /// Heap memory held, in bytes.
    pub fn memory(&self) -> usize {
        self.reserved
            .saturating_add(self.streams.capacity() * size_of::<Stream>())
    }

    fn count(&mut self, bytes: usize) {
        self.offset = self.offset.saturating_add(bytes as u64);
    }

    fn fail(&self, csid: u32, what: Misbehaviour) -> Error {
        Error::peer(self.offset, Some(csid), what)
    }

    /// Reads on in a header. True when a chunk's payload is next.
    fn read_header(&mut self, input: &mut &[u8]) -> Result<bool, Error> {
        loop {
            let seen = self
                .pending
                .get(..usize::from(self.pending_len))
                .unwrap_or_default();
            match header::parse(seen, |csid| self.expected_extended(csid)) {
                Parsed::Need(wanted) => {
                    let missing = wanted.saturating_sub(seen.len());
                    let taken = usize::min(missing, input.len());
                    if taken == 0 {
                        return Ok(false);
                    }
                    let (piece, rest) = input.split_at_checked(taken).unwrap_or((input, &[]));
                    let start = usize::from(self.pending_len);
                    if let Some(space) = self.pending.get_mut(start..start + taken) {
                        space.copy_from_slice(piece);
                    }
                    self.pending_len += taken as u8;
                    self.count(taken);
                    *input = rest;
                }
                Parsed::Done { header, length } => {
                    let seen_len = usize::from(self.pending_len);
                    self.pending.copy_within(length.min(seen_len)..seen_len, 0);
                    self.pending_len = seen_len.saturating_sub(length) as u8;
                    let index = self.apply(&header)?;
                    self.open_chunk(index)?;
                    return Ok(true);
                }
            }
        }
    }

    /// What a type 3 chunk on `csid` may repeat as its extended timestamp; `None` when its last header had none.
    ///
    /// The standard repeats the field of the last header. Some encoders repeat the absolute time instead, and some
    /// repeat nothing, so four bytes that are neither value are payload. An absolute time that would need no
    /// extension is not looked for: it begins with zeros, as the length of a NAL unit does.
    fn expected_extended(&self, csid: u32) -> Option<[u32; 2]> {
        let stream = self.streams.iter().find(|stream| stream.csid == csid)?;
        let absolute = if stream.unfinished {
            stream.timestamp
        } else {
            stream.timestamp.wrapping_add(stream.field)
        };
        let absolute = if absolute < header::EXTENDED {
            stream.field
        } else {
            absolute
        };
        stream.extended.then_some([stream.field, absolute])
    }

    /// Takes over a header. Gives the index of its chunk stream.
    fn apply(&mut self, header: &Header) -> Result<usize, Error> {
        let csid = header.csid;
        let index = match self.streams.iter().position(|stream| stream.csid == csid) {
            Some(index) => index,
            // librtmp sends its first ping answers as type 1; types 2 and 3 would lack a length
            None if header.fmt >= 2 => {
                return Err(self.fail(csid, Misbehaviour::NoEarlierHeader(header.fmt)));
            }
            None if self.streams.len() >= MAX_CHUNK_STREAMS => {
                return Err(self.fail(csid, Misbehaviour::TooManyChunkStreams(MAX_CHUNK_STREAMS)));
            }
            None => {
                self.streams.push(Stream::new(csid));
                self.streams.len() - 1
            }
        };
        let Some(stream) = self.streams.get_mut(index) else {
            return Ok(index);
        };
        if !stream.unfinished {
            stream.begin(header);
        } else if !stream.continues(header) {
            return Err(self.fail(csid, Misbehaviour::MessageInsideMessage(header.fmt)));
        }
        if stream.length > self.max_message {
            let (length, limit) = (stream.length, self.max_message);
            return Err(self.fail(csid, Misbehaviour::MessageTooLarge { length, limit }));
        }
        Ok(index)
    }

    /// Opens the payload of the chunk. Bytes that were read ahead in search of an extended timestamp go first.
    fn open_chunk(&mut self, index: usize) -> Result<(), Error> {
        let missing = self.streams.get(index).map_or(0, Stream::missing);
        let left = u32::min(self.chunk_size, missing);
        let ahead = usize::min(usize::from(self.pending_len), left as usize);
        let pending = self.pending;
        self.append(index, pending.get(..ahead).unwrap_or_default())?;
        self.pending.copy_within(ahead.., 0);
        self.pending_len = self.pending_len.saturating_sub(ahead as u8);
        self.open = Some((index, left.saturating_sub(ahead as u32)));
        Ok(())
    }

    fn append(&mut self, index: usize, mut piece: &[u8]) -> Result<(), Error> {
        let (limit, offset) = (self.max_message, self.offset);
        let Some(stream) = self.streams.get_mut(index) else {
            return Ok(());
        };
        while !piece.is_empty() {
            if stream.body.len() == stream.body.capacity() {
                let budget = (limit as usize).saturating_sub(self.reserved);
                let step = (stream.missing() as usize)
                    .min(RESERVE_AHEAD_BYTES)
                    .min(budget);
                if step == 0 {
                    let what = Misbehaviour::TooMuchUnfinished { limit };
                    return Err(Error::peer(offset, Some(stream.csid), what));
                }
                let before = stream.body.capacity();
                stream.body.reserve_exact(step);
                self.reserved = self
                    .reserved
                    .saturating_add(stream.body.capacity() - before);
            }
            let space = stream.body.capacity() - stream.body.len();
            let (now, later) = piece.split_at_checked(space).unwrap_or((piece, &[]));
            stream.body.extend_from_slice(now);
            piece = later;
        }
        Ok(())
    }

    /// The message of the chunk stream if it is whole and not for this layer.
    fn finish(&mut self, index: usize) -> Result<Option<Message>, Error> {
        let Some(stream) = self
            .streams
            .get_mut(index)
            .filter(|stream| stream.missing() == 0)
        else {
            return Ok(None);
        };
        stream.unfinished = false;
        let body = std::mem::take(&mut stream.body);
        self.reserved = self.reserved.saturating_sub(body.capacity());
        let message = Message {
            csid: stream.csid,
            timestamp: stream.timestamp,
            type_id: stream.type_id,
            msid: stream.msid,
            body: Bytes::from(body),
        };
        let csid = stream.csid;
        match Control::parse_layer(&message).map_err(|what| self.fail(csid, what))? {
            Some(Control::SetChunkSize(size)) => {
                if size == 0 || size > i32::MAX as u32 {
                    return Err(self.fail(csid, Misbehaviour::ChunkSize(size)));
                }
                self.chunk_size = size;
                Ok(None)
            }
            Some(Control::Abort(csid)) => {
                self.abort(csid);
                Ok(None)
            }
            _ => Ok(Some(message)),
        }
    }

    fn abort(&mut self, csid: u32) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.csid == csid) {
            stream.unfinished = false;
            self.reserved = self.reserved.saturating_sub(stream.body.capacity());
            stream.body = Vec::new();
        }
    }
}

impl Stream {
    fn new(csid: u32) -> Self {
        Self {
            csid,
            timestamp: 0,
            field: 0,
            extended: false,
            unfinished: false,
            type_id: 0,
            length: 0,
            msid: 0,
            body: Vec::new(),
        }
    }

    fn missing(&self) -> u32 {
        self.length
            .saturating_sub(u32::try_from(self.body.len()).unwrap_or(u32::MAX))
    }

    /// Whether `header` may stand inside the unfinished message. Type 3 is the rule; ffmpeg's and SRS's readers also
    /// let types 1 and 2 pass that say the same message again.
    fn continues(&self, header: &Header) -> bool {
        match header.message {
            None => header.fmt != 0,
            Some(message) => {
                let same = message.length == self.length && message.type_id == self.type_id;
                header.fmt != 0 && same
            }
        }
    }

    fn begin(&mut self, header: &Header) {
        if let Some(time) = header.time {
            self.field = time.value;
            self.extended = time.extended;
        }
        self.timestamp = match header.fmt {
            0 => self.field,
            _ => self.timestamp.wrapping_add(self.field),
        };
        if let Some(message) = header.message {
            self.length = message.length;
            self.type_id = message.type_id;
        }
        if let Some(msid) = header.msid {
            self.msid = msid;
        }
        self.unfinished = true;
    }
}

#[cfg(test)]
mod tests;
