//! The client session: phases, deadlines and what the server says.
//!
//! Owns: [`ClientSession`]. Does not: know the form of what it sends (`replies` does).

use std::time::Instant;

use bytes::Bytes;
use weir_container::amf::Value;

use super::replies::{self, CONNECT_ID, CREATE_STREAM_ID};
use super::{ClientConfig, ClientMode};
use crate::chunk::{ChunkReader, INITIAL_CHUNK_SIZE, MAX_BODY_BYTES, write_message};
use crate::command::{Command, StatusCode, skip_amf3_lead};
use crate::error::{Error, Misbehaviour, Misuse, Phase};
use crate::handshake::{ClientHandshake, Form};
use crate::message::{Aggregate, Control, MediaKind, Message, UserControl, type_id};

/// Media that may wait to be sent before [`ClientSession::send`] refuses more, in bytes.
///
/// A second of a strong video stream. More would only add latency: a link that cannot keep up loses frames either way.
pub const MAX_PENDING_MEDIA: usize = 4 << 20;

/// Replies beyond media that may wait to be sent, in bytes; a server that causes more and does not read is dropped.
const MAX_PENDING_REPLIES: usize = 64 << 10;

/// Acknowledgement window until the server names one, in bytes.
const DEFAULT_ACK_WINDOW: u32 = 2_500_000;

/// One thing that happened on a dialled connection.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientEvent {
    /// The server accepted `connect`.
    Connected,
    /// The stream has started: media may be sent (publish) or will come (play).
    Ready {
        /// Message stream, as the server numbered it.
        msid: u32,
    },
    /// A media message of the stream that is played. Data may also be `|RtmpSampleAccess` or `onStatus`, which servers
    /// send as data around the start.
    Media {
        /// What it carries.
        kind: MediaKind,
        /// Milliseconds modulo 2^32, as the server counts.
        timestamp: u32,
        /// Body of the message: an FLV tag body, in an allocation of its own.
        body: Bytes,
    },
    /// The server refused `connect`, `publish` or `play`. The session is over.
    Rejected {
        /// Code of the status, such as `NetStream.Publish.BadName`; empty if the server sent none.
        code: String,
        /// What the server says about it.
        description: String,
        /// Where the server sends us instead, if it does (`ex.code` 302).
        redirect: Option<Redirect>,
    },
    /// The stream has ended or paused at the source. A player may get media again on the same session.
    StreamEnded {
        /// Code of the status, or `StreamEOF` for the user control message.
        code: String,
    },
}

/// Another address for the same stream, from `ex.redirect` of a rejected `connect`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The new `tcUrl` or full address, as the server wrote it.
    pub url: String,
}

/// One RTMP connection as client, for one stream.
///
/// Driving rule: send what [`take_output`](Self::take_output) gives (the first bytes are there from the start), hand
/// in what comes, call [`handle_input`](Self::handle_input) until it gives `None`, also with an empty input, and arm
/// one timer for [`deadline`](Self::deadline). An error is final.
#[derive(Debug)]
pub struct ClientSession {
    config: ClientConfig,
    state: State,
    reader: ChunkReader,
    output: Vec<u8>,
    /// The second of two events that one message gave.
    queued: Option<Box<ClientEvent>>,
    aggregate: Option<Box<Aggregate>>,
    deadline: Option<Instant>,
    chunk_size: u32,
    ack_window: u32,
    acknowledged: u64,
    msid: u32,
    /// Whether the last news of the source were that it ended; the end is then not told again.
    ended: bool,
    form: Option<Form>,
}

#[derive(Debug)]
enum State {
    Handshake(Box<ClientHandshake>),
    /// `connect` was sent.
    Connecting,
    /// `createStream` was sent.
    Creating,
    /// `publish` or `play` was sent.
    Starting,
    /// The stream runs.
    Ready,
    /// Ended in order: what still comes is dropped.
    Closed,
    /// Failed.
    Over,
}

impl ClientSession {
    /// A session for a connection made at `now`. C0 and C1 are ready to be taken. `seed` fills the handshake.
    pub fn new(config: ClientConfig, now: Instant, seed: u64) -> Self {
        let mut output = Vec::new();
        let handshake = ClientHandshake::start(seed, config.digest_handshake, &mut output);
        Self {
            state: State::Handshake(Box::new(handshake)),
            reader: ChunkReader::new(config.max_message_bytes),
            output,
            queued: None,
            aggregate: None,
            deadline: now.checked_add(config.handshake_timeout),
            chunk_size: INITIAL_CHUNK_SIZE,
            ack_window: DEFAULT_ACK_WINDOW,
            acknowledged: 0,
            msid: 0,
            ended: false,
            form: None,
            config: ClientConfig {
                chunk_size: config.chunk_size.clamp(1, MAX_BODY_BYTES),
                ..config
            },
        }
    }

    /// Consumes `input` from the front until one event is ready or the input is used up.
    ///
    /// Fails when the server broke the protocol or a bound, and with [`Misuse::Over`] after a failure. After
    /// [`ClientEvent::Rejected`] or [`close`](Self::close) input is dropped.
    pub fn handle_input(
        &mut self,
        now: Instant,
        input: &mut &[u8],
    ) -> Result<Option<ClientEvent>, Error> {
        let result = self.advance(now, input);
        if result.is_err() {
            self.end(State::Over);
        }
        result
    }

    /// Moves the bytes to be sent to the end of `out`.
    pub fn take_output(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.output);
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
            State::Connecting => (Phase::Connect, self.config.connect_timeout),
            _ => (Phase::Request, self.config.connect_timeout),
        };
        self.end(State::Over);
        Err(Error::Timeout { phase, limit })
    }

    /// Appends a media message to the output. `timestamp` is in milliseconds modulo 2^32; `body` is an FLV tag body.
    ///
    /// Fails before [`ClientEvent::Ready`] of a publish, for a body over 16777215 bytes, and with
    /// [`Misuse::OutputFull`] while more than [`MAX_PENDING_MEDIA`] wait to be taken.
    pub fn send(&mut self, kind: MediaKind, timestamp: u32, body: &[u8]) -> Result<(), Error> {
        let (msid, chunk_size) = self
            .writer_params()
            .ok_or(Error::Misuse(Misuse::NotPublishing))?;
        if body.len() > MAX_BODY_BYTES as usize {
            return Err(Error::Misuse(Misuse::BodyTooLarge(body.len())));
        }
        if self.output.len() > MAX_PENDING_MEDIA {
            return Err(Error::Misuse(Misuse::OutputFull));
        }
        let (csid, type_id) = (kind.csid(), kind.type_id());
        write_message(
            &mut self.output,
            csid,
            timestamp,
            type_id,
            msid,
            body,
            chunk_size,
        );
        Ok(())
    }

    /// Message stream id and chunk size for [`write_message`], so that a shared log can write media for this
    /// connection itself. `None` unless publishing.
    pub fn writer_params(&self) -> Option<(u32, u32)> {
        let publishing = self.config.mode == ClientMode::Publish;
        (publishing && matches!(self.state, State::Ready)).then_some((self.msid, self.chunk_size))
    }

    /// Says goodbye: `FCUnpublish` and `deleteStream` (publish), or `deleteStream` (play), if there is a stream to
    /// end. The session is over; send the output, then close.
    pub fn close(&mut self) {
        if matches!(self.state, State::Starting | State::Ready) {
            replies::write_goodbye(&mut self.output, &self.config, self.msid, self.chunk_size);
        }
        self.end(State::Closed);
    }

    /// Bytes of input consumed, the handshake included.
    pub fn bytes_in(&self) -> u64 {
        self.reader.bytes_read()
    }

    /// The form of the handshake, once it is done.
    pub fn handshake_form(&self) -> Option<Form> {
        self.form
    }

    /// Memory of the session, in bytes, itself included.
    pub fn memory(&self) -> usize {
        size_of::<Self>()
            + self.reader.memory()
            + self.output.capacity()
            + self
                .aggregate
                .as_ref()
                .map_or(0, |aggregate| aggregate.memory())
    }

    fn advance(&mut self, now: Instant, input: &mut &[u8]) -> Result<Option<ClientEvent>, Error> {
        loop {
            if let Some(event) = self.queued.take() {
                return Ok(Some(*event));
            }
            if let Some(event) = self.next_part()? {
                return Ok(Some(event));
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
            let output_before = self.output.len();
            let message = self.reader.read(input)?;
            self.acknowledge();
            let Some(message) = message else {
                return Ok(None);
            };
            let event = self.handle_message(now, message)?;
            let replied = self.output.len() > output_before;
            if replied && self.output.len() > MAX_PENDING_MEDIA + MAX_PENDING_REPLIES {
                return Err(self.fail(None, Misbehaviour::UnreadReplies(MAX_PENDING_REPLIES)));
            }
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    /// Reads on in the handshake, if it is not over. Once it is, `connect` is sent, in one piece with C2 where the
    /// server answered in one piece.
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
            replies::write_connect(&mut self.output, &self.config, self.chunk_size);
            self.wait(now, State::Connecting);
        }
        Ok(done)
    }

    fn wait(&mut self, now: Instant, state: State) {
        self.state = state;
        self.deadline = now.checked_add(self.config.connect_timeout);
    }

    fn handle_message(
        &mut self,
        now: Instant,
        message: Message,
    ) -> Result<Option<ClientEvent>, Error> {
        match message.type_id {
            type_id::AUDIO | type_id::VIDEO | type_id::DATA_AMF0 | type_id::DATA_AMF3 => {
                Ok(self.media(message.type_id, message.timestamp, message.body))
            }
            type_id::COMMAND_AMF0 | type_id::COMMAND_AMF3 => {
                let command = Command::parse(message.type_id, &message.body)
                    .map_err(|what| self.fail(Some(message.csid), what))?;
                Ok(self.handle_command(now, &command))
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

    fn handle_control(&mut self, control: Control) -> Option<ClientEvent> {
        match control {
            Control::WindowAckSize(window) => self.ack_window = window,
            Control::SetPeerBandwidth { size, .. } => {
                Control::WindowAckSize(size).write(&mut self.output, self.chunk_size);
            }
            Control::User(UserControl::PingRequest(time)) => {
                let pong = Control::User(UserControl::PingResponse(time));
                pong.write(&mut self.output, self.chunk_size);
            }
            Control::User(UserControl::StreamEof(msid)) if msid == self.msid => {
                return self.ended("StreamEOF");
            }
            _ => {}
        }
        None
    }

    /// The source has ended; told once until it is back.
    fn ended(&mut self, code: &str) -> Option<ClientEvent> {
        if !matches!(self.state, State::Ready) || std::mem::replace(&mut self.ended, true) {
            return None;
        }
        Some(ClientEvent::StreamEnded {
            code: code.to_owned(),
        })
    }

    fn handle_command(&mut self, now: Instant, command: &Command) -> Option<ClientEvent> {
        match command.name.as_str() {
            "_result" => self.result(now, command),
            "_error" => self.error(command),
            "onStatus" => self.on_status(command),
            // the server asks for the connection to be closed
            "close" => self.ended("close"),
            _ => None,
        }
    }

    /// Servers number their answers with care for `connect`, less so later: what the answer is to follows from the
    /// state, and `createStream`'s is the one with a number.
    fn result(&mut self, now: Instant, command: &Command) -> Option<ClientEvent> {
        match self.state {
            State::Connecting => {
                self.create_stream();
                self.wait(now, State::Creating);
                Some(ClientEvent::Connected)
            }
            State::Creating => {
                let msid = command.number(0).filter(|&msid| msid >= 0.0)?;
                self.msid = msid as u32;
                let out = &mut self.output;
                replies::write_start(out, &self.config, self.msid, self.chunk_size);
                self.wait(now, State::Starting);
                None
            }
            _ => None,
        }
    }

    fn create_stream(&mut self) {
        let out = &mut self.output;
        if self.config.mode == ClientMode::Publish {
            Control::SetChunkSize(self.config.chunk_size).write(out, self.chunk_size);
            self.chunk_size = self.config.chunk_size;
        }
        replies::write_create_stream(out, &self.config, self.chunk_size);
    }

    /// `_error` to `releaseStream`, `FCPublish` and the like is common and harmless.
    fn error(&mut self, command: &Command) -> Option<ClientEvent> {
        let id = command.transaction_id;
        let refused = match self.state {
            State::Connecting => true,
            State::Creating => id == CREATE_STREAM_ID || id == CONNECT_ID,
            _ => false,
        };
        refused.then(|| self.rejected(command))
    }

    fn rejected(&mut self, command: &Command) -> ClientEvent {
        let information = Information::of(command);
        self.end(State::Closed);
        ClientEvent::Rejected {
            code: information.text("code"),
            description: information.text("description"),
            redirect: information.redirect(),
        }
    }

    /// The message stream of an `onStatus` is not looked at: several servers send it on 0.
    fn on_status(&mut self, command: &Command) -> Option<ClientEvent> {
        let information = Information::of(command);
        let code = information.text("code");
        let is_error = information.text("level") == "error";
        let started = [StatusCode::PublishStart, StatusCode::PlayStart];
        match self.state {
            State::Handshake(_) | State::Closed | State::Over => None,
            State::Connecting | State::Creating | State::Starting if is_error => {
                Some(self.rejected(command))
            }
            State::Starting if started.iter().any(|start| start.as_str() == code) => {
                Some(self.ready())
            }
            State::Ready if code == StatusCode::PlayPublishNotify.as_str() => {
                self.ended = false;
                None
            }
            State::Ready if is_error || ENDS.iter().any(|end| end.as_str() == code) => {
                self.ended(&code)
            }
            _ => None,
        }
    }

    fn ready(&mut self) -> ClientEvent {
        self.state = State::Ready;
        self.deadline = None;
        ClientEvent::Ready { msid: self.msid }
    }

    fn next_part(&mut self) -> Result<Option<ClientEvent>, Error> {
        while let Some(aggregate) = &mut self.aggregate {
            let Some(part) = aggregate.next_part() else {
                self.aggregate = None;
                break;
            };
            let part = part.map_err(|_| self.fail(None, Misbehaviour::MalformedAggregate))?;
            let event = self.media(part.type_id, part.timestamp, part.body);
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// Media of the stream that is played. A server that sends no `NetStream.Play.Start` says with its first audio or
    /// video that the stream runs; data (`|RtmpSampleAccess`) may come before the start.
    fn media(&mut self, type_id: u8, timestamp: u32, body: Bytes) -> Option<ClientEvent> {
        let kind = MediaKind::from_type_id(type_id)?;
        if self.config.mode != ClientMode::Play {
            return None;
        }
        let starts = match self.state {
            State::Ready => false,
            State::Starting if kind != MediaKind::Data => true,
            _ => return None,
        };
        self.ended = false;
        let lead = body.len() - skip_amf3_lead(type_id, &body).len();
        let media = ClientEvent::Media {
            kind,
            timestamp,
            body: body.slice(lead..),
        };
        if starts {
            self.queued = Some(Box::new(media));
            return Some(self.ready());
        }
        Some(media)
    }

    fn acknowledge(&mut self) {
        let read = self.reader.bytes_read();
        let window = u64::from(self.ack_window);
        let running = !matches!(
            self.state,
            State::Handshake(_) | State::Closed | State::Over
        );
        if running && window > 0 && read.saturating_sub(self.acknowledged) >= window {
            self.acknowledged = read;
            Control::Acknowledgement(read as u32).write(&mut self.output, self.chunk_size);
        }
    }

    fn fail(&self, csid: Option<u32>, what: Misbehaviour) -> Error {
        Error::peer(self.reader.bytes_read(), csid, what)
    }

    fn end(&mut self, state: State) {
        self.state = state;
        self.deadline = None;
        self.queued = None;
        self.aggregate = None;
    }
}

/// Statuses after which no media comes until further notice.
const ENDS: [StatusCode; 4] = [
    StatusCode::PlayUnpublishNotify,
    StatusCode::PlayStop,
    StatusCode::UnpublishSuccess,
    StatusCode::ConnectClosed,
];

/// The information object of a status, wherever the server put it.
struct Information<'a>(Option<&'a Value>);

impl<'a> Information<'a> {
    fn of(command: &'a Command) -> Self {
        let values = command.arguments.iter().chain([&command.object]);
        Self(values.into_iter().find(|value| value.get("code").is_some()))
    }

    fn text(&self, name: &str) -> String {
        self.0
            .and_then(|object| object.get(name))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .into()
    }

    fn redirect(&self) -> Option<Redirect> {
        let extra = self.0?.get("ex")?;
        let url = extra
            .get("redirect")
            .or_else(|| extra.get("redirect2"))?
            .as_str()?;
        Some(Redirect {
            url: url.to_owned(),
        })
    }
}
