//! The client's side of a session that is passed on, up to its `publish` or `play`.
//!
//! Owns: [`Opening`]: handshake, the answers that come before a server is known, and what must be said again to it.
//! Does not: answer `publish` and `play`: that waits for the server.

use std::time::{Duration, Instant};

use weir_container::amf::Value;

use super::replay::{Replay, Role};
use super::writer::Writer;
use crate::chunk::{
    ChunkReader, DEFAULT_MAX_MESSAGE_BYTES, INITIAL_CHUNK_SIZE, MAX_BODY_BYTES, csid,
};
use crate::command::{Command, ConnectRequest, StatusCode, information, server_capabilities};
use crate::error::{Error, Misbehaviour, Misuse, Phase};
use crate::handshake::ServerHandshake;
use crate::message::{Control, LimitType, Message, UserControl, type_id};
use crate::server::MAX_PENDING_OUTPUT;

/// What players and encoders take the server for; they read the major version only, to choose features.
const FMS_VERSION: &str = "FMS/3,5,3,888";
/// `capabilities` of that server version.
const FMS_CAPABILITIES: f64 = 127.0;

/// Settings of an [`Opening`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpeningConfig {
    /// Chunk size of what is sent, in bytes, until the server's own takes its place. Best the smallest: what is sent till
    /// then is short, and clients on FFmpeg's RTMP take each size they are told for what they send too. A size greater
    /// than the server's would so be followed by a smaller one on the way to the server, with media right behind it,
    /// and nginx's RTMP module loses what it has read beyond the smaller size by then.
    pub chunk_size: u32,
    /// Longest message accepted, in bytes.
    pub max_message_bytes: u32,
    /// Window Acknowledgement Size and Set Peer Bandwidth told to the client, in bytes.
    pub window_ack_size: u32,
    /// Time for each step: handshake, `connect`, `publish` or `play`.
    pub step_timeout: Duration,
    /// `srs_id` in the answer to `connect`: a name of the session, by which its log lines are found.
    pub identity: String,
}

impl Default for OpeningConfig {
    fn default() -> Self {
        Self {
            chunk_size: INITIAL_CHUNK_SIZE,
            max_message_bytes: DEFAULT_MAX_MESSAGE_BYTES,
            window_ack_size: 2_500_000,
            step_timeout: Duration::from_secs(10),
            identity: String::new(),
        }
    }
}

/// What the client wants.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Publish or play.
    pub role: Role,
    /// Name of the stream, with its parameters.
    pub stream: String,
    /// What `connect` said.
    pub connect: ConnectRequest,
}

/// A client's session until it says what it wants.
///
/// Driving rule: hand in input with [`handle_input`](Self::handle_input) until it gives a [`Request`], send what
/// [`take_output`](Self::take_output) gives, arm a timer for [`deadline`](Self::deadline). After the request input is
/// left where it is until [`accept`](super::accept) or [`refuse`](Self::refuse). An error is final.
#[derive(Debug)]
pub struct Opening {
    config: OpeningConfig,
    state: State,
    pub(super) reader: ChunkReader,
    pub(super) writer: Writer,
    pub(super) replay: Replay,
    connect: Option<ConnectRequest>,
    /// Message streams created so far.
    streams: u32,
    deadline: Option<Instant>,
}

#[derive(Debug)]
enum State {
    Handshake(Box<ServerHandshake>),
    /// `connect` has to come.
    Fresh,
    /// `publish` or `play` has to come.
    Connected,
    /// It came.
    Asked,
    /// Refused or failed.
    Over,
}

impl Opening {
    /// An opening for a connection accepted at `now`. `seed` fills the handshake and should differ between connections.
    pub fn new(config: OpeningConfig, now: Instant, seed: u64) -> Self {
        Self {
            state: State::Handshake(Box::new(ServerHandshake::new(seed))),
            reader: ChunkReader::new(config.max_message_bytes),
            writer: Writer::new(),
            replay: Replay::default(),
            connect: None,
            streams: 0,
            deadline: now.checked_add(config.step_timeout),
            config: OpeningConfig {
                chunk_size: config.chunk_size.clamp(1, MAX_BODY_BYTES),
                ..config
            },
        }
    }

    /// Consumes `input` from the front until the client says what it wants, or the input is used up.
    ///
    /// Fails when the client broke the protocol or a bound. After the request nothing is consumed.
    pub fn handle_input(
        &mut self,
        now: Instant,
        input: &mut &[u8],
    ) -> Result<Option<Request>, Error> {
        let result = self.advance(now, input);
        if result.is_err() {
            self.end();
        }
        result
    }

    /// Moves the pending answers to the end of `out`. Send them also after an error.
    pub fn take_output(&mut self, out: &mut Vec<u8>) {
        self.writer.take(out);
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
        let phase = match self.state {
            State::Handshake(_) => Phase::Handshake,
            State::Fresh => Phase::Connect,
            _ => Phase::Request,
        };
        self.end();
        Err(Error::Timeout {
            phase,
            limit: self.config.step_timeout,
        })
    }

    pub(super) fn identity(&self) -> &str {
        &self.config.identity
    }

    /// Whether anything was said beyond the handshake's first bytes.
    pub fn has_spoken(&self) -> bool {
        self.reader.bytes_read() > 0
    }

    /// Refuses what the client wants, with an `onStatus` of level error. The session is over: send the output, close.
    ///
    /// `code` is the status code's word. Does nothing before the request.
    pub fn refuse(&mut self, code: &str, description: &str) {
        let Some(request) = &self.replay.request else {
            return;
        };
        let msid = request.msid;
        let info = [
            ("level", "error"),
            ("code", code),
            ("description", description),
        ];
        let info = info.map(|(name, value)| (name.to_owned(), Value::from(value)));
        self.writer
            .command(&on_status(info.to_vec()), csid::STREAM, msid);
        self.end();
    }

    fn end(&mut self) {
        self.state = State::Over;
        self.deadline = None;
    }

    fn wait(&mut self, now: Instant, state: State) {
        self.state = state;
        self.deadline = now.checked_add(self.config.step_timeout);
    }

    fn advance(&mut self, now: Instant, input: &mut &[u8]) -> Result<Option<Request>, Error> {
        loop {
            match &mut self.state {
                State::Asked => return Ok(None),
                State::Over => return Err(Error::Misuse(Misuse::Over)),
                State::Handshake(handshake) => {
                    let before = input.len();
                    let done = handshake.handle(input, self.writer.raw())?;
                    let read = before.saturating_sub(input.len()) as u64;
                    self.reader.count_earlier(read);
                    if !done {
                        return Ok(None);
                    }
                    self.wait(now, State::Fresh);
                }
                State::Fresh | State::Connected => {
                    let Some(message) = self.reader.read(input)? else {
                        return Ok(None);
                    };
                    let request = self.handle_message(now, message)?;
                    if self.writer.pending() > MAX_PENDING_OUTPUT {
                        let what = Misbehaviour::UnreadReplies(MAX_PENDING_OUTPUT);
                        return Err(self.fail(None, what));
                    }
                    if request.is_some() {
                        return Ok(request);
                    }
                }
            }
        }
    }

    fn fail(&self, csid: Option<u32>, what: Misbehaviour) -> Error {
        Error::peer(self.reader.bytes_read(), csid, what)
    }

    fn handle_message(&mut self, now: Instant, message: Message) -> Result<Option<Request>, Error> {
        match message.type_id {
            type_id::COMMAND_AMF0 | type_id::COMMAND_AMF3 => {
                let command = Command::parse(message.type_id, &message.body)
                    .map_err(|what| self.fail(Some(message.csid), what))?;
                Ok(self.handle_command(now, message, command))
            }
            // media, data and unknown types have no place here, and do no harm
            _ => {
                let control = Control::parse(&message);
                let control = control.map_err(|what| self.fail(Some(message.csid), what))?;
                if let Some(control) = control {
                    self.replay.keep_control(&message);
                    if let Control::User(UserControl::PingRequest(time)) = control {
                        self.writer
                            .control(Control::User(UserControl::PingResponse(time)));
                    }
                }
                Ok(None)
            }
        }
    }

    fn handle_command(
        &mut self,
        now: Instant,
        message: Message,
        command: Command,
    ) -> Option<Request> {
        if matches!(self.state, State::Fresh) {
            // what comes before is skipped, as the proxies of the field do; the deadline bounds it
            if command.name == "connect" {
                self.answer_connect(&command);
                self.replay.connect = Some(message);
                self.connect = Some(ConnectRequest::from_command(command));
                self.wait(now, State::Connected);
            }
            return None;
        }
        match command.name.as_str() {
            "publish" => self.ask(Role::Publish, message, &command),
            "play" | "play2" => self.ask(Role::Play, message, &command),
            "createStream" => {
                self.streams = self.streams.saturating_add(1);
                self.result(&command, f64::from(self.streams).into());
                self.replay.create_stream = Some(message);
                None
            }
            // players of the field wait for no answer, and some are upset by one
            "getStreamLength" | "_result" | "_error" | "onStatus" => None,
            "releaseStream" => {
                self.result(&command, Value::Undefined);
                self.replay.release_stream = Some(message);
                None
            }
            "FCPublish" => {
                self.result(&command, Value::Undefined);
                self.replay.fc_publish = Some(message);
                None
            }
            _ => {
                self.result(&command, Value::Undefined);
                None
            }
        }
    }

    fn ask(&mut self, role: Role, message: Message, command: &Command) -> Option<Request> {
        let Some(stream) = command.text(0).filter(|name| !name.is_empty()) else {
            let code = match role {
                Role::Publish => StatusCode::PublishBadName,
                Role::Play => StatusCode::PlayStreamNotFound,
            };
            let info = information(code, "Stream name is missing.");
            self.writer
                .command(&on_status(info), csid::STREAM, message.msid);
            return None;
        };
        let stream = stream.to_owned();
        self.replay.request = Some(message);
        self.state = State::Asked;
        self.deadline = None;
        Some(Request {
            role,
            stream,
            connect: self.connect.take()?,
        })
    }

    /// Answers with one value if an answer is wanted.
    fn result(&mut self, command: &Command, value: Value) {
        if command.transaction_id == 0.0 {
            return;
        }
        let result = Command {
            name: "_result".to_owned(),
            transaction_id: command.transaction_id,
            object: Value::Null,
            arguments: vec![value],
        };
        self.writer.command(&result, csid::COMMAND, 0);
    }

    fn answer_connect(&mut self, command: &Command) {
        let request = ConnectRequest::from_command(command.clone());
        let size = self.config.window_ack_size;
        self.writer.control(Control::WindowAckSize(size));
        let limit = LimitType::Dynamic;
        self.writer
            .control(Control::SetPeerBandwidth { size, limit });
        self.writer
            .control(Control::SetChunkSize(self.config.chunk_size));
        let mut properties = vec![
            ("fmsVer".to_owned(), FMS_VERSION.into()),
            ("capabilities".to_owned(), FMS_CAPABILITIES.into()),
            ("mode".to_owned(), 1.0.into()),
        ];
        let mut information = information(StatusCode::ConnectSuccess, "Connection succeeded");
        let encoding = f64::from(request.object_encoding);
        information.push(("objectEncoding".to_owned(), encoding.into()));
        let data = vec![
            ("version".to_owned(), "3,5,3,888".into()),
            ("srs_version".to_owned(), env!("CARGO_PKG_VERSION").into()),
            ("srs_id".to_owned(), self.config.identity.as_str().into()),
        ];
        information.push(("data".to_owned(), Value::EcmaArray(data)));
        if request.is_enhanced() {
            // which codecs pass is for the server to say; all do as far as this hop is concerned
            use crate::command::caps_ex::{MOD_EX, MULTITRACK, TIMESTAMP_NANO_OFFSET};
            let caps = MULTITRACK | MOD_EX | TIMESTAMP_NANO_OFFSET;
            properties.extend(server_capabilities(caps));
            information.extend(server_capabilities(caps));
        }
        let result = Command {
            name: "_result".to_owned(),
            transaction_id: command.transaction_id,
            object: Value::Object(properties),
            arguments: vec![Value::Object(information)],
        };
        self.writer.command(&result, csid::COMMAND, 0);
    }
}

/// An `onStatus` with this information object.
pub(super) fn on_status(information: Vec<(String, Value)>) -> Command {
    Command {
        name: "onStatus".to_owned(),
        transaction_id: 0.0,
        object: Value::Null,
        arguments: vec![Value::Object(information)],
    }
}
