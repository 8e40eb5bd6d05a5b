//! The server session: phases, deadlines and the way of a message.
//!
//! Owns: [`ServerSession`] and its public methods. Does not: act on commands (`commands` does) or know the form
//! of replies (`replies` does).

use std::time::Instant;

use bytes::Bytes;

use super::replies;
use super::streams::{Role, Streams};
use super::{Event, ServerConfig};
use crate::chunk::{ChunkReader, INITIAL_CHUNK_SIZE, MAX_BODY_BYTES};
use crate::command::{Command, ConnectRequest, StatusCode, skip_amf3_lead};
use crate::error::{Error, Misbehaviour, Misuse, Phase};
use crate::handshake::{Form, ServerHandshake};
use crate::message::{Aggregate, Control, MediaKind, Message, UserControl, type_id};

/// Replies that may wait to be sent, in bytes.
///
/// The longest honest burst is handshake and answers to a pipelined `connect`, `createStream` and `publish`: 6 KiB.
/// A peer that keeps asking and does not read reaches the bound and is dropped.
pub const MAX_PENDING_OUTPUT: usize = 64 << 10;

/// Acknowledgement window until the peer names one, in bytes: old encoders stop sending if none ever comes.
const DEFAULT_ACK_WINDOW: u32 = 2_500_000;

/// One RTMP connection as server.
///
/// Driving rule: after each batch of input call [`handle_input`](Self::handle_input) until it gives `None`, also
/// with an empty input, and answer requests as they come; then send what [`take_output`](Self::take_output) gives
/// and arm one timer for [`deadline`](Self::deadline). While [`awaits_decision`](Self::awaits_decision) holds, input is
/// left where it is: keep it and call again after the answer. An error is final; output that was
/// pending may still be sent, so that a refusal reaches the peer.
#[derive(Debug)]
pub struct ServerSession {
    pub(super) config: ServerConfig,
    pub(super) state: State,
    reader: ChunkReader,
    pub(super) output: Vec<u8>,
    pub(super) streams: Streams,
    /// The second of two events that one message gave.
    pub(super) queued: Option<Box<Event>>,
    aggregate: Option<Box<Aggregate>>,
    pub(super) deadline: Option<Instant>,
    pub(super) chunk_size: u32,
    ack_window: u32,
    acknowledged: u64,
    object_encoding: u8,
    form: Option<Form>,
}

#[derive(Debug)]
pub(super) enum State {
    Handshake(Box<ServerHandshake>),
    /// The handshake is done; `connect` has to come.
    Fresh,
    /// The application has to answer.
    ConnectAsked {
        transaction_id: f64,
        enhanced: bool,
    },
    /// Connected; nothing was published or played yet.
    Connected,
    /// Something was published or played.
    InUse,
    /// Refused: what still comes is dropped.
    Closed,
    /// Failed.
    Over,
}

impl ServerSession {
    /// A session for a connection accepted at `now`. `seed` fills the handshake and should differ between connections.
    pub fn new(config: ServerConfig, now: Instant, seed: u64) -> Self {
        let chunk_size = config.chunk_size.clamp(1, MAX_BODY_BYTES);
        Self {
            config: ServerConfig {
                chunk_size,
                ..config
            },
            state: State::Handshake(Box::new(ServerHandshake::new(seed))),
            reader: ChunkReader::new(config.max_message_bytes),
            output: Vec::new(),
            streams: Streams::default(),
            queued: None,
            aggregate: None,
            deadline: now.checked_add(config.handshake_timeout),
            chunk_size: INITIAL_CHUNK_SIZE,
            ack_window: DEFAULT_ACK_WINDOW,
            acknowledged: 0,
            object_encoding: 0,
            form: None,
        }
    }

    /// Consumes `input` from the front until one event is ready or the input is used up. `None` means: nothing more
    /// to say for now.
    ///
    /// Fails when the peer broke the protocol or a bound, and with [`Misuse::Over`] after a failure. After
    /// [`reject_connect`](Self::reject_connect) input is dropped.
    pub fn handle_input(
        &mut self,
        now: Instant,
        input: &mut &[u8],
    ) -> Result<Option<Event>, Error> {
        let result = self.advance(now, input);
        if result.is_err() {
            self.end(State::Over);
        }
        result
    }

    /// Moves the pending replies to the end of `out`. Send them also after an error.
    pub fn take_output(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.output);
        // replies are rare: an idle session keeps no buffer
        self.output = Vec::new();
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` when nothing is waited for.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Fails with [`Error::Timeout`] when the deadline has passed; the session is over then.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return Ok(());
        }
        let (phase, limit) = match self.state {
            State::Handshake(_) => (Phase::Handshake, self.config.handshake_timeout),
            State::Fresh => (Phase::Connect, self.config.connect_timeout),
            _ => (Phase::Request, self.config.request_timeout),
        };
        self.end(State::Over);
        Err(Error::Timeout { phase, limit })
    }

    /// Accepts the `connect` that was asked for.
    pub fn accept_connect(&mut self) -> Result<(), Error> {
        let State::ConnectAsked {
            transaction_id,
            enhanced,
        } = self.state
        else {
            return Err(Error::Misuse(Misuse::NothingToAnswer));
        };
        let encoding = self.object_encoding;
        let config = self.config;
        replies::write_connect_accepted(
            &mut self.output,
            &config,
            transaction_id,
            encoding,
            enhanced,
        );
        self.chunk_size = config.chunk_size;
        self.state = State::Connected;
        Ok(())
    }

    /// Refuses the `connect` that was asked for. The session is over; send the output, then close.
    pub fn reject_connect(&mut self, code: StatusCode, description: &str) -> Result<(), Error> {
        let State::ConnectAsked { transaction_id, .. } = self.state else {
            return Err(Error::Misuse(Misuse::NothingToAnswer));
        };
        let out = &mut self.output;
        replies::write_error(out, transaction_id, code, description, self.chunk_size);
        self.end(State::Closed);
        Ok(())
    }

    /// Accepts the publish that was asked for on `msid`.
    pub fn accept_publish(&mut self, msid: u32) -> Result<(), Error> {
        let stream = self
            .streams
            .find(msid)
            .ok_or(Error::Misuse(Misuse::NothingToAnswer))?;
        match std::mem::replace(&mut stream.role, Role::Idle) {
            Role::PublishAsked { name } => stream.role = Role::Publishing { name },
            other => {
                stream.role = other;
                return Err(Error::Misuse(Misuse::NothingToAnswer));
            }
        }
        self.on_status(msid, StatusCode::PublishStart, "Started publishing stream.");
        Ok(())
    }

    /// Refuses the publish that was asked for on `msid`. The connection stays; to end it, send the output, then close.
    pub fn reject_publish(
        &mut self,
        msid: u32,
        code: StatusCode,
        description: &str,
    ) -> Result<(), Error> {
        let stream = self.streams.find(msid);
        let stream = stream.filter(|stream| matches!(stream.role, Role::PublishAsked { .. }));
        stream.ok_or(Error::Misuse(Misuse::NothingToAnswer))?.role = Role::Idle;
        self.on_status(msid, code, description);
        Ok(())
    }

    /// Accepts the play that was asked for on `msid`: StreamBegin, `NetStream.Play.Reset` (if asked for),
    /// `NetStream.Play.Start` and `|RtmpSampleAccess`. Media may follow on `msid` right behind this output.
    pub fn accept_play(&mut self, msid: u32) -> Result<(), Error> {
        let stream = self
            .streams
            .find(msid)
            .ok_or(Error::Misuse(Misuse::NothingToAnswer))?;
        let Role::PlayAsked { reset } = stream.role else {
            return Err(Error::Misuse(Misuse::NothingToAnswer));
        };
        stream.role = Role::Playing;
        replies::write_play_accepted(&mut self.output, msid, reset, self.chunk_size);
        Ok(())
    }

    /// Refuses the play that was asked for on `msid`. The connection stays; to end it, send the output, then close.
    pub fn reject_play(
        &mut self,
        msid: u32,
        code: StatusCode,
        description: &str,
    ) -> Result<(), Error> {
        let stream = self.streams.find(msid);
        let stream = stream.filter(|stream| matches!(stream.role, Role::PlayAsked { .. }));
        stream.ok_or(Error::Misuse(Misuse::NothingToAnswer))?.role = Role::Idle;
        self.on_status(msid, code, description);
        Ok(())
    }

    /// Tells the player on `msid` that the publisher has gone; it stays a player and may get media again.
    pub fn notify_unpublished(&mut self, msid: u32) -> Result<(), Error> {
        self.playing(msid)?;
        let out = &mut self.output;
        replies::write_stream_eof_and_unpublish_notify(out, msid, self.chunk_size);
        Ok(())
    }

    /// Ends playing on `msid` with StreamEOF and an `onStatus` of `code`. The message stream may be used again.
    pub fn close_play(&mut self, msid: u32, code: StatusCode) -> Result<(), Error> {
        self.playing(msid)?.role = Role::Idle;
        Control::User(UserControl::StreamEof(msid)).write(&mut self.output, self.chunk_size);
        self.on_status(msid, code, "Stopped playing stream.");
        Ok(())
    }

    /// Ends publishing on `msid` with an `onStatus` of `code`; media that still comes is dropped. No event follows.
    pub fn close_publish(
        &mut self,
        msid: u32,
        code: StatusCode,
        description: &str,
    ) -> Result<(), Error> {
        let stream = self.streams.find(msid);
        let stream = stream.filter(|stream| matches!(stream.role, Role::Publishing { .. }));
        stream.ok_or(Error::Misuse(Misuse::WrongStream))?.role = Role::Idle;
        self.on_status(msid, code, description);
        Ok(())
    }

    /// Whether a `connect` or `publish` waits for its answer; until then no input is consumed.
    pub fn awaits_decision(&self) -> bool {
        matches!(self.state, State::ConnectAsked { .. }) || self.streams.any_publish_asked()
    }

    /// Whether `connect` was accepted and the session has not ended.
    pub fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected | State::InUse)
    }

    /// Bytes of input consumed, the handshake included.
    pub fn bytes_in(&self) -> u64 {
        self.reader.bytes_read()
    }

    /// Chunk size of what is sent, in bytes: the configured one once `connect` was accepted.
    pub fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// Object encoding of `connect`: 0 is AMF0, 3 is AMF3. What is sent is AMF0 in either case, which all peers read.
    pub fn object_encoding(&self) -> u8 {
        self.object_encoding
    }

    /// The form of the handshake, once it is done.
    pub fn handshake_form(&self) -> Option<Form> {
        self.form
    }

    /// Memory of the session, in bytes, itself included.
    pub fn memory(&self) -> usize {
        let handshake = match &self.state {
            State::Handshake(_) => size_of::<ServerHandshake>() + 1 + crate::handshake::BLOCK_BYTES,
            _ => 0,
        };
        size_of::<Self>()
            + handshake
            + self.reader.memory()
            + self.output.capacity()
            + self.streams.memory()
            + self
                .aggregate
                .as_ref()
                .map_or(0, |aggregate| aggregate.memory())
    }

    fn advance(&mut self, now: Instant, input: &mut &[u8]) -> Result<Option<Event>, Error> {
        loop {
            if let Some(event) = self.queued.take() {
                return Ok(Some(*event));
            }
            if let Some(event) = self.next_part()? {
                return Ok(Some(event));
            }
            if self.awaits_decision() {
                return Ok(None);
            }
            match self.state {
                State::Closed => {
                    *input = &[];
                    return Ok(None);
                }
                State::Over => return Err(Error::Misuse(Misuse::Over)),
                _ => {}
            }
            if !self.handshake(now, input)? {
                return Ok(None);
            }
            let message = self.reader.read(input)?;
            self.acknowledge();
            let Some(message) = message else {
                return self.check_output().map(|()| None);
            };
            let event = self.handle_message(now, message)?;
            self.check_output()?;
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    /// Reads on in the handshake, if it is not over. True when it is; its buffers are gone then.
    fn handshake(&mut self, now: Instant, input: &mut &[u8]) -> Result<bool, Error> {
        let State::Handshake(handshake) = &mut self.state else {
            return Ok(true);
        };
        let before = input.len();
        let done = handshake.handle(input, &mut self.output)?;
        self.reader
            .count_earlier(before.saturating_sub(input.len()) as u64);
        if done {
            self.form = handshake.form();
            self.state = State::Fresh;
            self.deadline = now.checked_add(self.config.connect_timeout);
        }
        Ok(done)
    }

    fn handle_message(&mut self, now: Instant, message: Message) -> Result<Option<Event>, Error> {
        match message.type_id {
            type_id::AUDIO | type_id::VIDEO | type_id::DATA_AMF0 | type_id::DATA_AMF3 => Ok(self
                .media(
                    message.msid,
                    message.type_id,
                    message.timestamp,
                    message.body,
                )),
            type_id::COMMAND_AMF0 | type_id::COMMAND_AMF3 => {
                let command = Command::parse(message.type_id, &message.body)
                    .map_err(|what| self.fail(Some(message.csid), what))?;
                self.handle_command(now, message.csid, message.msid, command)
            }
            type_id::AGGREGATE => {
                self.aggregate = Some(Box::new(Aggregate::new(message)));
                self.next_part()
            }
            _ => {
                let control = Control::parse(&message);
                let control = control.map_err(|what| self.fail(Some(message.csid), what))?;
                Ok(control.and_then(|control| self.handle_control(control)))
            }
        }
    }

    fn handle_control(&mut self, control: Control) -> Option<Event> {
        match control {
            Control::WindowAckSize(window) => self.ack_window = window,
            Control::User(UserControl::PingRequest(time)) => {
                let pong = Control::User(UserControl::PingResponse(time));
                pong.write(&mut self.output, self.chunk_size);
            }
            Control::User(UserControl::SetBufferLength { msid, millis }) => {
                let known = self.streams.find(msid).is_some();
                return known.then_some(Event::BufferLength { msid, millis });
            }
            _ => {}
        }
        None
    }

    /// The next part of an aggregate that is being delivered.
    fn next_part(&mut self) -> Result<Option<Event>, Error> {
        while let Some(aggregate) = &mut self.aggregate {
            let msid = aggregate.msid();
            let Some(part) = aggregate.next_part() else {
                self.aggregate = None;
                break;
            };
            let part = part.map_err(|_| self.fail(None, Misbehaviour::MalformedAggregate))?;
            let event = self.media(msid, part.type_id, part.timestamp, part.body);
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// A media message as event; media of a stream that is not publishing is dropped, since encoders go on
    /// sending for a moment after the end.
    fn media(&self, msid: u32, type_id: u8, timestamp: u32, body: Bytes) -> Option<Event> {
        let msid = self.streams.for_media(msid)?;
        let kind = MediaKind::from_type_id(type_id)?;
        let lead = body.len() - skip_amf3_lead(type_id, &body).len();
        Some(Event::Media {
            msid,
            kind,
            timestamp,
            body: body.slice(lead..),
        })
    }

    /// Acknowledges what was read, if a window has passed since the last time (RTMP 1.0 §5.4.3).
    fn acknowledge(&mut self) {
        let read = self.reader.bytes_read();
        let window = u64::from(self.ack_window);
        let connected = self.is_connected();
        if connected && window > 0 && read.saturating_sub(self.acknowledged) >= window {
            self.acknowledged = read;
            // the sequence number wraps at 32 bits
            Control::Acknowledgement(read as u32).write(&mut self.output, self.chunk_size);
        }
    }

    fn check_output(&self) -> Result<(), Error> {
        if self.output.len() > MAX_PENDING_OUTPUT {
            return Err(self.fail(None, Misbehaviour::UnreadReplies(MAX_PENDING_OUTPUT)));
        }
        Ok(())
    }

    fn playing(&mut self, msid: u32) -> Result<&mut super::streams::MessageStream, Error> {
        let stream = self.streams.find(msid);
        let stream = stream.filter(|stream| matches!(stream.role, Role::Playing));
        stream.ok_or(Error::Misuse(Misuse::WrongStream))
    }

    pub(super) fn on_status(&mut self, msid: u32, code: StatusCode, description: &str) {
        replies::write_on_status(&mut self.output, msid, code, description, self.chunk_size);
    }

    pub(super) fn fail(&self, csid: Option<u32>, what: Misbehaviour) -> Error {
        Error::peer(self.reader.bytes_read(), csid, what)
    }

    /// Takes a `connect` to be answered.
    pub(super) fn ask_connect(&mut self, now: Instant, request: ConnectRequest) -> Event {
        self.object_encoding = request.object_encoding;
        self.state = State::ConnectAsked {
            transaction_id: request.transaction_id,
            enhanced: request.is_enhanced(),
        };
        self.deadline = now.checked_add(self.config.request_timeout);
        Event::Connect(Box::new(request))
    }

    fn end(&mut self, state: State) {
        self.state = state;
        self.deadline = None;
        self.queued = None;
        self.aggregate = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_small_once_the_handshake_is_over() {
        assert!(
            size_of::<ServerSession>() < 512,
            "{} bytes",
            size_of::<ServerSession>()
        );
    }
}
