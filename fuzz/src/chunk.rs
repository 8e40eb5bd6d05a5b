//! Targets of the chunk layer and of what a message holds.
//!
//! Owns: [`chunk_reader`], [`rtmp_command`], and what the targets of the sessions share: reading back what a session
//! has written, and messages made of the input. Input: see each target.

use std::collections::BTreeSet;

use bytes::Bytes;
use weir_rtmp::chunk::{
    ChunkReader, DEFAULT_MAX_MESSAGE_BYTES, MAX_CHUNK_STREAMS, RESERVE_AHEAD_BYTES, encoded_len,
    write_message,
};
use weir_rtmp::command::{Command, MAX_COMMAND_BYTES};
use weir_rtmp::message::{Control, type_id};
use weir_rtmp::{Error, Message, Misbehaviour};

use crate::amf::is_exact;
use crate::pieces::{head, pieces};

/// What a chunk stream costs at most beside its body, in bytes.
const STREAM_BYTES: usize = 128;

/// The shortest beginning of a message for which memory is reserved, in bytes: a header of type 1 and a byte of body.
const SHORTEST_START: usize = 9;

/// Reads chunks whole and in pieces, and writes the messages again.
///
/// Input: a byte that plans the pieces, the limit of a message in units of 256 bytes (0 is the default), the chunks.
pub fn chunk_reader(data: &[u8]) {
    let ([plan, limit], chunks) = head::<2>(data);
    let limit = match u32::from(limit) {
        0 => DEFAULT_MAX_MESSAGE_BYTES,
        units => units * 256,
    };
    let whole = Read::of(limit, [chunks]);
    let cut = Read::of(limit, pieces(chunks, plan));
    assert_eq!(whole.messages, cut.messages);
    assert_eq!(whole.chunk_size, cut.chunk_size);
    assert!(is_same_end(whole.error.as_ref(), cut.error.as_ref()));
    for message in &whole.messages {
        assert!(message.body.len() <= limit as usize);
        assert!((2..=65_599).contains(&message.csid));
    }
    let again = Read::of(limit, [&written(&whole.messages, whole.chunk_size)[..]]);
    assert_eq!((again.messages, again.error), (whole.messages, None));
    assert!(again.memory_between <= again.chunk_streams.max(4).next_power_of_two() * STREAM_BYTES);
}

/// The messages as chunks of `chunk_size`, which is told first; 128 needs no telling.
fn written(messages: &[Message], chunk_size: u32) -> Vec<u8> {
    let mut out = Vec::new();
    if chunk_size != 128 {
        // on a chunk stream of the messages, so that no more of them are in use than before
        let csid = messages.first().map_or(2, |message| message.csid);
        let size = chunk_size.to_be_bytes();
        write_message(&mut out, csid, 0, type_id::SET_CHUNK_SIZE, 0, &size, 128);
    }
    for message in messages {
        let (csid, time, body) = (message.csid, message.timestamp, &message.body);
        let before = out.len();
        write_message(
            &mut out,
            csid,
            time,
            message.type_id,
            message.msid,
            body,
            chunk_size,
        );
        let expected = encoded_len(csid, time, body.len(), chunk_size);
        assert_eq!(out.len() - before, expected);
    }
    out
}

/// What a reader made of chunks.
pub(crate) struct Read {
    pub(crate) messages: Vec<Message>,
    pub(crate) error: Option<Error>,
    chunk_size: u32,
    /// Most memory held right behind a message, in bytes.
    memory_between: usize,
    /// On how many chunk streams messages came.
    chunk_streams: usize,
}

impl Read {
    pub(crate) fn of<'a>(limit: u32, pieces: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut reader = ChunkReader::new(limit);
        let (mut messages, mut error, mut given) = (Vec::<Message>::new(), None, 0);
        let mut memory_between = 0;
        'connection: for mut piece in pieces {
            given += piece.len();
            loop {
                let result = reader.read(&mut piece);
                // what came, and what may be reserved ahead for each message of which something came
                let earned = given + given / SHORTEST_START * RESERVE_AHEAD_BYTES;
                let bound = earned.min(limit as usize) + MAX_CHUNK_STREAMS * STREAM_BYTES;
                assert!(reader.memory() <= bound, "{} bytes held", reader.memory());
                assert_eq!(reader.bytes_read(), (given - piece.len()) as u64);
                match result {
                    Ok(Some(message)) => {
                        memory_between = memory_between.max(reader.memory());
                        messages.push(message);
                    }
                    Ok(None) => break,
                    Err(found) => {
                        check_error(&found, given);
                        error = Some(found);
                        break 'connection;
                    }
                }
            }
            assert!(piece.is_empty());
        }
        let csids: BTreeSet<u32> = messages.iter().map(|message| message.csid).collect();
        Self {
            chunk_streams: csids.len(),
            messages,
            error,
            chunk_size: reader.chunk_size(),
            memory_between,
        }
    }
}

/// An error of the peer lies within what it sent.
pub(crate) fn check_error(error: &Error, given: usize) {
    match error {
        Error::PeerMisbehaved { offset, .. } | Error::PeerUnsupported { offset, .. } => {
            assert!(*offset <= given as u64, "{error}");
        }
        _ => panic!("not the peer's fault: {error}"),
    }
    assert!(!error.to_string().is_empty());
}

/// Whether two ends of a connection are the same. Memory is found to be used up where a piece begins.
pub(crate) fn is_same_end(a: Option<&Error>, b: Option<&Error>) -> bool {
    let unfinished = |error: Option<&Error>| {
        let what = match error? {
            Error::PeerMisbehaved { what, csid, .. } => (what.clone(), *csid),
            _ => return None,
        };
        matches!(what.0, Misbehaviour::TooMuchUnfinished { .. }).then_some(what)
    };
    a == b || (unfinished(a).is_some() && unfinished(a) == unfinished(b))
}

/// The messages in what a session has sent after its handshake; panics unless they are whole and sound.
/// Acknowledgements are left out: when they are due depends on the pieces in which the input came.
pub(crate) fn sent_messages(output: &[u8]) -> Vec<Message> {
    const PROBE: u32 = 63;
    let mut output = output.to_vec();
    write_message(&mut output, PROBE, 0, 0, 0, &[0], 128);
    let mut read = Read::of(DEFAULT_MAX_MESSAGE_BYTES, [&output[..]]);
    assert_eq!(read.error, None, "a session sends sound chunks");
    let probe = read.messages.pop();
    assert!(
        probe.is_some_and(|message| message.csid == PROBE),
        "a session sends whole messages"
    );
    for message in &read.messages {
        if matches!(
            message.type_id,
            type_id::COMMAND_AMF0 | type_id::COMMAND_AMF3
        ) {
            assert!(Command::parse(message.type_id, &message.body).is_ok());
        } else {
            assert!(Control::parse(message).is_ok());
        }
    }
    read.messages
        .retain(|message| message.type_id != type_id::ACKNOWLEDGEMENT);
    read.messages
}

/// Chunks made of `records`, each a type id, a message stream, a time, two bytes of length and a body: a mutated record
/// is a mutated message, where a mutated chunk is mostly the end of the connection. The first ones are cut short by
/// the end of the input.
pub(crate) fn messages_of(mut records: &[u8], out: &mut Vec<u8>) {
    while let Some((&[kind, msid, time, high, low], rest)) = records.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([high, low])).min(rest.len());
        let (body, rest) = rest.split_at(length);
        let (csid, time) = (u32::from(3 + msid % 4), u32::from(time) << 17);
        write_message(out, csid, time, kind, u32::from(msid), body, 128);
        records = rest;
    }
}

/// Parses a command and a control message, writes them, and parses them again.
///
/// Input: the type id, then the body of the message.
pub fn rtmp_command(data: &[u8]) {
    let ([kind], body) = head::<1>(data);
    if let Ok(command) = Command::parse(kind, body) {
        let mut out = Vec::new();
        command.write(&mut out, 3, 1, 128);
        if out.len() > MAX_COMMAND_BYTES {
            // references are written out in full, which may be too long for a command
            return;
        }
        let messages = sent_messages(&out);
        assert_eq!(messages.len(), 1);
        let again = messages
            .first()
            .map(|sent| Command::parse(sent.type_id, &sent.body));
        // compared as text, for which all NaN are the same
        if command
            .arguments
            .iter()
            .chain([&command.object])
            .all(is_exact)
        {
            let expected = Some(Ok::<_, Misbehaviour>(&command));
            assert_eq!(format!("{again:?}"), format!("{expected:?}"));
        }
        let count = command.arguments.len();
        assert!(command.text(count).is_none() && command.flag(count).is_none());
    }
    let message = Message {
        csid: 2,
        timestamp: 0,
        type_id: kind,
        msid: 0,
        body: Bytes::copy_from_slice(body),
    };
    match Control::parse(&message) {
        // the chunk layer keeps these two for itself
        Ok(Some(Control::SetChunkSize(_) | Control::Abort(_)) | None) => {}
        Ok(Some(Control::Acknowledgement(_))) => assert_eq!(kind, type_id::ACKNOWLEDGEMENT),
        Ok(Some(control)) => {
            let mut out = Vec::new();
            control.write(&mut out, 128);
            let again = sent_messages(&out).first().map(Control::parse);
            assert_eq!(again, Some(Ok(Some(control))));
        }
        Err(what) => assert!(matches!(what, Misbehaviour::ShortControl { .. })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "whole messages")]
    fn a_cut_message_is_noticed() {
        let mut out = Vec::new();
        write_message(&mut out, 3, 0, type_id::AUDIO, 1, &[0; 100], 128);
        out.pop();
        sent_messages(&out);
    }

    #[test]
    #[should_panic(expected = "parse")]
    fn an_unsound_command_is_noticed() {
        let mut out = Vec::new();
        write_message(&mut out, 3, 0, type_id::COMMAND_AMF0, 1, &[0xff], 128);
        sent_messages(&out);
    }
}
