//! Messages to chunks, with a record of what later headers could refer to.
//!
//! Owns: what was written on one connection so far, as its reader knows it. Does not: compress headers.

use crate::chunk::{INITIAL_CHUNK_SIZE, StreamHeader, csid, write_message};
use crate::command::Command;
use crate::message::{Control, Message, type_id};

#[derive(Debug)]
pub(super) struct Writer {
    out: Vec<u8>,
    chunk_size: u32,
    headers: Vec<StreamHeader>,
}

/// A time from here on is written in the extended form (RTMP 1.0 §5.3.1.3).
const EXTENDED: u32 = 0xff_ffff;

impl Writer {
    pub(super) fn new() -> Self {
        Self {
            out: Vec::new(),
            chunk_size: INITIAL_CHUNK_SIZE,
            headers: Vec::new(),
        }
    }

    pub(super) fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// Bytes that wait to be taken.
    pub(super) fn pending(&self) -> usize {
        self.out.len()
    }

    /// Moves what was written to the end of `out`.
    pub(super) fn take(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.out);
        self.out = Vec::new();
    }

    /// Where bytes go that are no chunks: those of the handshake.
    pub(super) fn raw(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// The state of a chunk stream, if it was used.
    pub(super) fn header(&self, csid: u32) -> Option<&StreamHeader> {
        self.headers.iter().find(|header| header.csid == csid)
    }

    /// Writes a message as it is, and obeys it if it is Set Chunk Size.
    pub(super) fn message(&mut self, message: &Message) {
        let (csid, timestamp) = (message.csid, message.timestamp);
        let size = self.chunk_size;
        write_message(
            &mut self.out,
            csid,
            timestamp,
            message.type_id,
            message.msid,
            &message.body,
            size,
        );
        let header = StreamHeader {
            csid,
            timestamp,
            field: timestamp,
            extended: timestamp >= EXTENDED,
            type_id: message.type_id,
            length: u32::try_from(message.body.len()).unwrap_or(u32::MAX),
            msid: message.msid,
        };
        match self.headers.iter_mut().find(|known| known.csid == csid) {
            Some(known) => *known = header,
            None => self.headers.push(header),
        }
        if message.type_id == type_id::SET_CHUNK_SIZE
            && let Ok(Some(Control::SetChunkSize(size))) = Control::parse(message)
        {
            self.chunk_size = size.max(1);
        }
    }

    /// Writes a control message on its chunk stream.
    pub(super) fn control(&mut self, control: Control) {
        self.message(&control_message(control));
    }

    /// Writes a command.
    pub(super) fn command(&mut self, command: &Command, csid: u32, msid: u32) {
        self.message(&Message {
            csid,
            timestamp: 0,
            type_id: type_id::COMMAND_AMF0,
            msid,
            body: command.body().into(),
        });
    }
}

/// A control message as it is sent: on chunk stream 2, message stream 0, time 0.
pub(super) fn control_message(control: Control) -> Message {
    let (type_id, body) = control.body();
    Message {
        csid: csid::CONTROL,
        timestamp: 0,
        type_id,
        msid: 0,
        body: body.into(),
    }
}
