//! The server's side of a session that is passed on: the client's opening, said again.
//!
//! Owns: [`Upstream`], up to the server's answer to `publish` or `play`, with the habits of real servers. Does not: dial,
//! or choose another server when this one fails.

use std::time::{Duration, Instant};

use weir_container::amf::Value;

use super::accept::sync;
use super::opening::Opening;
use super::replay::{Replay, Role};
use super::writer::Writer;
use crate::chunk::{ChunkReader, INITIAL_CHUNK_SIZE, csid};
use crate::command::Command;
use crate::error::{Error, Misbehaviour, Misuse, Phase};
use crate::handshake::ClientHandshake;
use crate::message::{Control, Message, UserControl, type_id};

/// Messages of the server that are kept to be passed on with its answer, in number and bytes. Servers send three or four
/// between `createStream` and the start, of a few hundred bytes together.
const MOST_HEARD: usize = 32;
const MOST_HEARD_BYTES: usize = 256 << 10;

/// Ids of commands that the client did not send itself; far from the small numbers that clients count up.
const RELEASE_STREAM_ID: f64 = 1_000_002.0;
const FC_PUBLISH_ID: f64 = 1_000_003.0;
const CREATE_STREAM_ID: f64 = 1_000_004.0;

/// Settings of an [`Upstream`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// Longest message accepted, in bytes.
    pub max_message_bytes: u32,
    /// Time for each step: handshake, `connect`, `createStream`, `publish` or `play`.
    pub step_timeout: Duration,
    /// Whether the session's name goes to the server, as property [`SESSION_PROPERTY`] of `connect`. The rest of
    /// `connect` stays as it is.
    pub hand_on_identity: bool,
}

/// The property of `connect` that names the session by which a proxy's log lines are found. Servers ignore what they do
/// not know.
pub const SESSION_PROPERTY: &str = "weirSession";

/// What the server says to the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The stream runs.
    Started,
    /// The server does not want it. The session with it is over.
    Refused {
        /// Code of the status, such as `NetStream.Publish.BadName`; empty if the server sent none.
        code: String,
        /// What the server says about it.
        description: String,
    },
}

/// The session with the server until it answers. Driving rule as of [`Opening`]; the first bytes are there from the start.
#[derive(Debug)]
pub struct Upstream {
    config: UpstreamConfig,
    state: State,
    role: Role,
    name: String,
    replay: Replay,
    /// State of the client's chunk streams when it asked.
    client_headers: Vec<crate::chunk::StreamHeader>,
    client_chunk_size: u32,
    pub(super) reader: ChunkReader,
    pub(super) writer: Writer,
    /// What the server said since it was asked for a message stream.
    pub(super) heard: Vec<Message>,
    heard_bytes: usize,
    /// The last control message of each chunk stream, to be said again to the client if that is all that differs.
    pub(super) said: Replay,
    /// The message stream, as the server numbered it.
    pub(super) msid: u32,
    /// Media began without a status; the client has to be told.
    pub(super) unannounced: bool,
    create_id: f64,
    deadline: Option<Instant>,
}

#[derive(Debug)]
enum State {
    Handshake(Box<ClientHandshake>),
    Connecting,
    Creating,
    Starting,
    Started,
    Over,
}

impl Upstream {
    /// A session that says again what `opening` heard, on a connection made at `now`. `seed` fills the handshake.
    ///
    /// The opening must have given its request.
    pub fn new(opening: &Opening, config: UpstreamConfig, now: Instant, seed: u64) -> Self {
        let mut writer = Writer::new();
        let handshake = ClientHandshake::start(seed, false, writer.raw());
        let mut replay = opening.replay.clone();
        if config.hand_on_identity
            && let Some(connect) = &mut replay.connect
        {
            name_session(connect, opening.identity());
        }
        let request = replay.request.as_ref();
        let command =
            request.and_then(|request| Command::parse(request.type_id, &request.body).ok());
        let is_publish = command.as_ref().is_some_and(|it| it.name == "publish");
        let create = replay.create_stream.as_ref();
        let create = create.and_then(|create| Command::parse(create.type_id, &create.body).ok());
        Self {
            config,
            state: State::Handshake(Box::new(handshake)),
            role: if is_publish {
                Role::Publish
            } else {
                Role::Play
            },
            name: command
                .and_then(|it| it.text(0).map(str::to_owned))
                .unwrap_or_default(),
            replay,
            client_headers: opening.reader.headers().collect(),
            client_chunk_size: opening.reader.chunk_size(),
            reader: ChunkReader::new(config.max_message_bytes),
            writer,
            heard: Vec::new(),
            heard_bytes: 0,
            said: Replay::default(),
            msid: 0,
            unannounced: false,
            create_id: create.map_or(CREATE_STREAM_ID, |it| it.transaction_id),
            deadline: now.checked_add(config.step_timeout),
        }
    }

    /// Publish or play.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether the handshake is over, and so the server has been told anything.
    pub fn has_asked(&self) -> bool {
        !matches!(self.state, State::Handshake(_))
    }

    /// Consumes `input` from the front until the server has answered, or the input is used up. What follows the answer is
    /// left where it is.
    ///
    /// Fails when the server broke the protocol or a bound.
    pub fn handle_input(
        &mut self,
        now: Instant,
        input: &mut &[u8],
    ) -> Result<Option<Answer>, Error> {
        let result = self.advance(now, input);
        if !matches!(result, Ok(None | Some(Answer::Started))) {
            self.state = State::Over;
            self.deadline = None;
        }
        result
    }

    /// Moves the bytes to be sent to the end of `out`.
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
            State::Connecting => Phase::Connect,
            _ => Phase::Request,
        };
        self.state = State::Over;
        self.deadline = None;
        Err(Error::Timeout {
            phase,
            limit: self.config.step_timeout,
        })
    }

    fn wait(&mut self, now: Instant, state: State) {
        self.state = state;
        self.deadline = now.checked_add(self.config.step_timeout);
    }

    fn fail(&self, csid: Option<u32>, what: Misbehaviour) -> Error {
        Error::peer(self.reader.bytes_read(), csid, what)
    }

    fn advance(&mut self, now: Instant, input: &mut &[u8]) -> Result<Option<Answer>, Error> {
        loop {
            match &mut self.state {
                State::Started => return Ok(None),
                State::Over => return Err(Error::Misuse(Misuse::Over)),
                State::Handshake(handshake) => {
                    let before = input.len();
                    let done = handshake.handle(input, self.writer.raw())?;
                    let read = before.saturating_sub(input.len()) as u64;
                    self.reader.count_earlier(read);
                    if !done {
                        return Ok(None);
                    }
                    if let Some(connect) = &self.replay.connect {
                        self.writer.message(connect);
                    }
                    self.wait(now, State::Connecting);
                }
                State::Connecting | State::Creating | State::Starting => {
                    let Some(message) = self.reader.read(input)? else {
                        return Ok(None);
                    };
                    let answer = self.handle_message(now, message)?;
                    if answer == Some(Answer::Started) {
                        self.state = State::Started;
                        self.deadline = None;
                    }
                    if answer.is_some() {
                        return Ok(answer);
                    }
                }
            }
        }
    }

    fn handle_message(&mut self, now: Instant, message: Message) -> Result<Option<Answer>, Error> {
        match message.type_id {
            type_id::COMMAND_AMF0 | type_id::COMMAND_AMF3 => {
                let command = Command::parse(message.type_id, &message.body)
                    .map_err(|what| self.fail(Some(message.csid), what))?;
                self.handle_command(now, message, &command)
            }
            type_id::AUDIO | type_id::VIDEO | type_id::AGGREGATE => {
                self.hear(message)?;
                // some servers begin without a word
                let begun = matches!(self.state, State::Starting) && self.role == Role::Play;
                self.unannounced = begun;
                Ok(begun.then_some(Answer::Started))
            }
            type_id::DATA_AMF0 | type_id::DATA_AMF3 => self.hear(message).map(|()| None),
            _ => {
                let control = Control::parse(&message);
                let control = control.map_err(|what| self.fail(Some(message.csid), what))?;
                if let Some(control) = control {
                    self.handle_control(control, message)?;
                }
                Ok(None)
            }
        }
    }

    fn handle_control(&mut self, control: Control, message: Message) -> Result<(), Error> {
        self.said.keep_control(&message);
        match control {
            Control::SetPeerBandwidth { size, .. } => {
                self.writer.control(Control::WindowAckSize(size));
            }
            Control::User(UserControl::PingRequest(time)) => {
                let pong = Control::User(UserControl::PingResponse(time));
                self.writer.control(pong);
            }
            Control::User(_) => self.hear(message)?,
            _ => {}
        }
        Ok(())
    }

    /// Keeps a message to be passed on, once the client could know what it is about.
    fn hear(&mut self, message: Message) -> Result<(), Error> {
        if !matches!(self.state, State::Starting) {
            return Ok(());
        }
        self.heard_bytes = self.heard_bytes.saturating_add(message.body.len());
        if self.heard.len() >= MOST_HEARD || self.heard_bytes > MOST_HEARD_BYTES {
            return Err(self.fail(None, Misbehaviour::UnreadReplies(MOST_HEARD_BYTES)));
        }
        self.heard.push(message);
        Ok(())
    }

    fn handle_command(
        &mut self,
        now: Instant,
        message: Message,
        command: &Command,
    ) -> Result<Option<Answer>, Error> {
        match (&self.state, command.name.as_str()) {
            (State::Connecting, "_result") => {
                self.write_create_stream();
                self.wait(now, State::Creating);
                Ok(None)
            }
            (State::Connecting, "_error") => Ok(Some(refusal(command))),
            (State::Creating, "_result") => {
                // the answers to releaseStream and FCPublish have no number, and come or do not
                let number = command.number(0).filter(|number| *number >= 0.0);
                if let Some(number) = number {
                    self.msid = number as u32;
                    self.write_request();
                    self.wait(now, State::Starting);
                }
                Ok(None)
            }
            (State::Creating, "_error") if command.transaction_id == self.create_id => {
                Ok(Some(refusal(command)))
            }
            (State::Starting, "onStatus") => self.handle_status(message, command),
            (State::Starting, "_error") if command.transaction_id == self.request_id() => {
                Ok(Some(refusal(command)))
            }
            (State::Connecting | State::Creating, "onStatus") if is_error(command) => {
                Ok(Some(refusal(command)))
            }
            (_, "close") => Ok(Some(refusal(command))),
            (State::Starting, "_result" | "_error" | "onFCPublish") => Ok(None),
            _ => self.hear(message).map(|()| None),
        }
    }

    fn handle_status(
        &mut self,
        message: Message,
        command: &Command,
    ) -> Result<Option<Answer>, Error> {
        if is_error(command) {
            return Ok(Some(refusal(command)));
        }
        let (code, _) = status(command);
        let started = match self.role {
            Role::Publish => code == "NetStream.Publish.Start",
            Role::Play => code == "NetStream.Play.Start",
        };
        self.hear(message)?;
        Ok(started.then_some(Answer::Started))
    }

    fn request_id(&self) -> f64 {
        let request = self.replay.request.as_ref();
        let command =
            request.and_then(|request| Command::parse(request.type_id, &request.body).ok());
        // 0 wants no answer, and so has none
        command.map_or(f64::NAN, |it| match it.transaction_id {
            0.0 => f64::NAN,
            id => id,
        })
    }

    /// `createStream`, and before it what encoders send; a client that left it out has it said for it.
    fn write_create_stream(&mut self) {
        let own = |name: &str, id: f64, arguments: Vec<Value>| Command {
            name: name.to_owned(),
            transaction_id: id,
            object: Value::Null,
            arguments,
        };
        let name = || vec![self.name.as_str().into()];
        let mut commands = Vec::new();
        if self.role == Role::Publish {
            let release = own("releaseStream", RELEASE_STREAM_ID, name());
            commands.push((self.replay.release_stream.clone(), release));
            let announce = own("FCPublish", FC_PUBLISH_ID, name());
            commands.push((self.replay.fc_publish.clone(), announce));
        }
        let create = own("createStream", CREATE_STREAM_ID, Vec::new());
        commands.push((self.replay.create_stream.clone(), create));
        for (said, own) in commands {
            match said {
                Some(message) => self.writer.message(&message),
                None => self.writer.command(&own, csid::COMMAND, 0),
            }
        }
    }

    /// `publish` or `play` as the client said it, and the client's chunk size, so that its bytes can follow.
    fn write_request(&mut self) {
        if self.client_chunk_size != INITIAL_CHUNK_SIZE {
            self.writer
                .control(Control::SetChunkSize(self.client_chunk_size));
        }
        if let Some(request) = &self.replay.request {
            self.writer.message(&Message {
                msid: self.msid,
                ..request.clone()
            });
        }
        let headers = std::mem::take(&mut self.client_headers);
        sync(
            &mut self.writer,
            &self.replay,
            headers.iter(),
            self.client_chunk_size,
        );
    }
}

/// Adds the session's name to what `connect` says; leaves a `connect` without properties as it is.
fn name_session(connect: &mut Message, identity: &str) {
    let Ok(mut command) = Command::parse(connect.type_id, &connect.body) else {
        return;
    };
    if let Value::Object(properties) = &mut command.object {
        properties.push((SESSION_PROPERTY.to_owned(), identity.into()));
        connect.type_id = type_id::COMMAND_AMF0;
        connect.body = command.body().into();
    }
}

/// The first object among a command's arguments, or its command object: where statuses are.
fn information(command: &Command) -> Option<&Value> {
    let object = |value: &&Value| value.get("code").is_some();
    let mut values = command
        .arguments
        .iter()
        .chain(std::iter::once(&command.object));
    values.find(object)
}

/// Code and description of a status; empty where there are none.
fn status(command: &Command) -> (String, String) {
    let text = |name: &str| {
        let value = information(command).and_then(|info| info.get(name));
        value.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    (text("code"), text("description"))
}

fn is_error(command: &Command) -> bool {
    let level = information(command).and_then(|info| info.get("level"));
    if level.and_then(Value::as_str) == Some("error") {
        return true;
    }
    // some servers refuse with level status
    let (code, _) = status(command);
    matches!(
        code.as_str(),
        "NetStream.Publish.BadName"
            | "NetStream.Publish.Denied"
            | "NetStream.Play.StreamNotFound"
            | "NetStream.Play.Failed"
            | "NetStream.Failed"
            | "NetConnection.Connect.Rejected"
            | "NetConnection.Connect.Failed"
            | "NetConnection.Connect.Closed"
    )
}

fn refusal(command: &Command) -> Answer {
    let (code, description) = status(command);
    Answer::Refused { code, description }
}
