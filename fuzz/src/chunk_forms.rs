//! Target of every lawful form of chunk.
//!
//! Owns: [`chunk_forms`] and a writer of chunks with compressed headers, as encoders write them and Weir does not: what the
//! reader gives must be what was written, which no comparison of the reader with itself would show.
//!
//! Input: a byte that plans the pieces; the chunk size; records of a form, a chunk stream, a type, a message stream, a
//! time in two bytes, a length and a body.

use std::collections::HashMap;

use bytes::Bytes;
use weir_rtmp::Message;
use weir_rtmp::chunk::{DEFAULT_MAX_MESSAGE_BYTES, MAX_CHUNK_STREAMS, write_message};
use weir_rtmp::message::type_id;

use crate::chunk::Read;
use crate::pieces::{head, pieces};

/// Form: the lowest two bits are the header type that is wished for; one that cannot say the message gives way to one
/// that can.
const HEADER_TYPE: u8 = 3;
/// Form: times are large enough to need the extended field.
const EXTENDED: u8 = 4;
/// Form: continuations do not repeat the extended field, as some encoders have it.
const NOT_REPEATED: u8 = 8;
/// Form: continuations repeat the absolute time rather than the field.
const REPEATS_TIME: u8 = 16;

/// Writes messages in the forms that the input says; they must come back.
pub fn chunk_forms(data: &[u8]) {
    let ([plan, chunk_size], mut records) = head::<2>(data);
    let mut writer = Writer::new(u32::from(chunk_size).max(1));
    while let Some((record, rest)) = records.split_first_chunk() {
        let &[form, csid, kind, msid, high, low, length] = record;
        let (body, rest) = rest.split_at(rest.len().min(usize::from(length)));
        records = rest;
        let csid = 2 + u32::from(csid) % (MAX_CHUNK_STREAMS as u32 - 2);
        let time = u32::from(u16::from_be_bytes([high, low]));
        // these two steer the layer and do not come out
        let kind = kind.max(type_id::ABORT + 1);
        writer.message(form, csid, time, kind, u32::from(msid), body);
    }
    let Some((chunks, messages)) = writer.finish() else {
        return;
    };
    for read in [
        Read::of(DEFAULT_MAX_MESSAGE_BYTES, [&chunks[..]]),
        Read::of(DEFAULT_MAX_MESSAGE_BYTES, pieces(&chunks, plan)),
    ] {
        assert_eq!((read.messages, read.error), (messages.clone(), None));
    }
}

/// What a chunk stream said last.
#[derive(Debug, Clone, Copy)]
struct Last {
    time: u32,
    field: u32,
    kind: u8,
    msid: u32,
    length: usize,
}

struct Writer {
    chunk_size: u32,
    out: Vec<u8>,
    messages: Vec<Message>,
    streams: HashMap<u32, Last>,
    /// Where an extended field was left out, and what would pass for one there.
    left_out: Vec<(usize, [u32; 3])>,
}

impl Writer {
    fn new(chunk_size: u32) -> Self {
        let mut out = Vec::new();
        let size = chunk_size.to_be_bytes();
        write_message(&mut out, 2, 0, type_id::SET_CHUNK_SIZE, 0, &size, 128);
        let told = Last {
            time: 0,
            field: 0,
            kind: type_id::SET_CHUNK_SIZE,
            msid: 0,
            length: 4,
        };
        Self {
            chunk_size,
            out,
            messages: Vec::new(),
            streams: HashMap::from([(2, told)]),
            left_out: Vec::new(),
        }
    }

    fn message(&mut self, form: u8, csid: u32, time: u32, kind: u8, msid: u32, body: &[u8]) {
        let last = self.streams.get(&csid).copied();
        let large = if form & EXTENDED == 0 { 0 } else { 0x0100_0000 };
        let fmt = header_type(form & HEADER_TYPE, last, kind, msid, body.len());
        let (field, time) = match (fmt, last) {
            (1 | 2, Some(last)) => (time | large, last.time.wrapping_add(time | large)),
            (3, Some(last)) => (last.field, last.time.wrapping_add(last.field)),
            _ => (time | large, time | large),
        };
        let extended = field >= 0xff_ffff;
        self.out.push(fmt << 6 | csid as u8);
        if fmt < 3 {
            self.out.extend(&field.min(0xff_ffff).to_be_bytes()[1..]);
        }
        if fmt < 2 {
            self.out.extend(&(body.len() as u32).to_be_bytes()[1..]);
            self.out.push(kind);
        }
        if fmt == 0 {
            self.out.extend(msid.to_le_bytes());
        }
        if extended {
            self.out.extend(field.to_be_bytes());
        }
        for (index, piece) in body.chunks(self.chunk_size as usize).enumerate() {
            if index > 0 {
                self.out.push(3 << 6 | csid as u8);
                let values = [field, time, time.wrapping_add(field)];
                match form & (NOT_REPEATED | REPEATS_TIME) {
                    _ if !extended => {}
                    0 => self.out.extend(field.to_be_bytes()),
                    REPEATS_TIME => self.out.extend(time.to_be_bytes()),
                    _ => self.left_out.push((self.out.len(), values)),
                }
            }
            self.out.extend_from_slice(piece);
        }
        let length = body.len();
        let said = Last {
            time,
            field,
            kind,
            msid,
            length,
        };
        self.streams.insert(csid, said);
        self.messages.push(Message {
            csid,
            timestamp: time,
            type_id: kind,
            msid,
            body: Bytes::copy_from_slice(body),
        });
    }

    /// The chunks and the messages in them; `None` where payload could be taken for a repeated field.
    fn finish(mut self) -> Option<(Vec<u8>, Vec<Message>)> {
        // nothing waits for a field behind the last message
        self.message(
            0,
            MAX_CHUNK_STREAMS as u32 - 1,
            0,
            type_id::AUDIO,
            0,
            &[0; 8],
        );
        let is_clear = |&(at, values): &(usize, [u32; 3])| {
            let there = self.out.get(at..at + 4);
            values
                .iter()
                .all(|value| there != Some(&value.to_be_bytes()[..]))
        };
        let clear = self.left_out.iter().all(is_clear);
        clear.then_some((self.out, self.messages))
    }
}

/// The wished type, or the next lower one that can say the message.
fn header_type(wished: u8, last: Option<Last>, kind: u8, msid: u32, length: usize) -> u8 {
    let Some(last) = last.filter(|last| last.msid == msid) else {
        return 0;
    };
    if last.kind == kind && last.length == length {
        wished
    } else {
        wished.min(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_header_type_is_written() {
        let mut writer = Writer::new(128);
        for fmt in 0..4 {
            writer.message(fmt, 5, 10, type_id::AUDIO, 1, b"x");
        }
        let times = writer.messages.iter().map(|message| message.timestamp);
        assert_eq!(times.collect::<Vec<_>>(), [10, 20, 30, 40]);
        let size_of_size = 16;
        let first: Vec<_> = [0, 13, 22, 27]
            .iter()
            .map(|at| writer.out[size_of_size + at])
            .collect();
        assert_eq!(first, [0x05, 0x45, 0x85, 0xc5]);
    }
}
