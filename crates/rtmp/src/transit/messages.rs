//! Passing a session on message by message.
//!
//! Owns: [`Messages`], for connections whose states differ: whole messages are read on one and written on the other, with
//! the other's chunk size and message stream. Control messages are answered on each connection by itself. Does not:
//! look into media, or bound what waits to be sent: the driver stops handing in while its peer takes nothing.

use super::accept::renumbered;
use super::opening::Opening;
use super::upstream::Upstream;
use super::writer::Writer;
use crate::chunk::ChunkReader;
use crate::error::Error;
use crate::message::{Control, Message, UserControl};

/// Chunk size of what is written, in bytes: nearly every message in one chunk.
const CHUNK_SIZE: u32 = 60_000;

/// Acknowledgement window until a peer names one, in bytes: old encoders stop sending if none ever comes.
const DEFAULT_ACK_WINDOW: u32 = 2_500_000;

/// A session passed on message by message.
#[derive(Debug)]
pub struct Messages {
    client: End,
    server: End,
}

/// One of the two connections.
#[derive(Debug)]
struct End {
    reader: ChunkReader,
    writer: Writer,
    msid: u32,
    ack_window: u32,
    acknowledged: u64,
}

impl Messages {
    pub(super) fn new(opening: Opening, upstream: Upstream, client_msid: u32) -> Self {
        let mut session = Self {
            client: End::new(opening.reader, opening.writer, client_msid),
            server: End::new(upstream.reader, upstream.writer, upstream.msid),
        };
        for end in [&mut session.client, &mut session.server] {
            if end.writer.chunk_size() < CHUNK_SIZE {
                end.writer.control(Control::SetChunkSize(CHUNK_SIZE));
            }
        }
        session
    }

    /// Takes bytes of the client. Fails when it broke the protocol or a bound; the session is over then.
    pub fn handle_client(&mut self, input: &[u8]) -> Result<(), Error> {
        pass(&mut self.client, &mut self.server, input)
    }

    /// Takes bytes of the server. Fails when it broke the protocol or a bound; the session is over then.
    pub fn handle_server(&mut self, input: &[u8]) -> Result<(), Error> {
        pass(&mut self.server, &mut self.client, input)
    }

    /// Moves the bytes for the client to the end of `out`.
    pub fn take_for_client(&mut self, out: &mut Vec<u8>) {
        self.client.writer.take(out);
    }

    /// Moves the bytes for the server to the end of `out`.
    pub fn take_for_server(&mut self, out: &mut Vec<u8>) {
        self.server.writer.take(out);
    }
}

impl End {
    fn new(reader: ChunkReader, writer: Writer, msid: u32) -> Self {
        Self {
            acknowledged: reader.bytes_read(),
            reader,
            writer,
            msid,
            ack_window: DEFAULT_ACK_WINDOW,
        }
    }

    /// Acknowledges what was read, if a window has passed since the last time (RTMP 1.0 §5.4.3).
    fn acknowledge(&mut self) {
        let read = self.reader.bytes_read();
        let window = u64::from(self.ack_window);
        if window > 0 && read.saturating_sub(self.acknowledged) >= window {
            self.acknowledged = read;
            // the sequence number wraps at 32 bits
            self.writer.control(Control::Acknowledgement(read as u32));
        }
    }
}

fn pass(from: &mut End, to: &mut End, mut input: &[u8]) -> Result<(), Error> {
    while let Some(message) = from.reader.read(&mut input)? {
        if is_for_us(from, &message)? {
            continue;
        }
        to.writer.message(&renumbered(&message, from.msid, to.msid));
    }
    from.acknowledge();
    Ok(())
}

/// Acts on what concerns one connection only.
fn is_for_us(end: &mut End, message: &Message) -> Result<bool, Error> {
    let fail = |what| Error::peer(end.reader.bytes_read(), Some(message.csid), what);
    let Some(control) = Control::parse(message).map_err(fail)? else {
        return Ok(false);
    };
    match control {
        Control::WindowAckSize(window) => end.ack_window = window,
        Control::SetPeerBandwidth { size, .. } => end.writer.control(Control::WindowAckSize(size)),
        Control::User(UserControl::PingRequest(time)) => {
            let pong = Control::User(UserControl::PingResponse(time));
            end.writer.control(pong);
        }
        Control::User(UserControl::PingResponse(_)) => {}
        Control::User(_) => return Ok(false),
        _ => {}
    }
    Ok(true)
}
