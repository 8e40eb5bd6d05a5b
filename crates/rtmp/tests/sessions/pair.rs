//! A client session and a server session with a wire between them that cuts the bytes as a test likes.
//!
//! Owns: time, the wire, and a server application that accepts everything. Does not: assert.

use std::time::{Duration, Instant};

use weir_rtmp::{
    ClientConfig, ClientEvent, ClientMode, ClientSession, Error, Event, RtmpUrl, ServerConfig,
    ServerSession,
};

/// The instant at which a test begins.
#[expect(
    clippy::disallowed_methods,
    reason = "some instant is needed, and only differences count"
)]
pub(crate) fn start() -> Instant {
    Instant::now()
}

pub(crate) fn client_config(mode: ClientMode) -> ClientConfig {
    let url: RtmpUrl = "rtmp://origin.example/live/cam?token=abc".parse().unwrap();
    ClientConfig::new(&url, mode)
}

pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) server: ServerSession,
    pub(crate) client: ClientSession,
    pub(crate) server_events: Vec<Event>,
    pub(crate) client_events: Vec<ClientEvent>,
    /// Most bytes that one call of `handle_input` gets.
    pub(crate) step: usize,
}

impl Pair {
    pub(crate) fn new(config: ClientConfig) -> Self {
        let now = start();
        Self {
            now,
            server: ServerSession::new(ServerConfig::default(), now, 1),
            client: ClientSession::new(config, now, 2),
            server_events: Vec::new(),
            client_events: Vec::new(),
            step: usize::MAX,
        }
    }

    /// Moves bytes until both sides are silent.
    pub(crate) fn run(&mut self) {
        loop {
            let (mut up, mut down) = (Vec::new(), Vec::new());
            self.client.take_output(&mut up);
            self.server.take_output(&mut down);
            if up.is_empty() && down.is_empty() {
                return;
            }
            for piece in up.chunks(self.step) {
                let events = feed(&mut self.server, self.now, piece).unwrap();
                self.server_events.extend(events);
            }
            for mut piece in down.chunks(self.step) {
                while let Some(event) = self.client.handle_input(self.now, &mut piece).unwrap() {
                    self.client_events.push(event);
                }
            }
        }
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
    }
}

/// Hands `input` to a server and accepts what it asks for.
pub(crate) fn feed(
    server: &mut ServerSession,
    now: Instant,
    mut input: &[u8],
) -> Result<Vec<Event>, Error> {
    let mut events = Vec::new();
    while let Some(event) = server.handle_input(now, &mut input)? {
        match &event {
            Event::Connect(_) => server.accept_connect()?,
            Event::Publish { msid, .. } => server.accept_publish(*msid)?,
            Event::Play { msid, .. } => server.accept_play(*msid)?,
            _ => {}
        }
        events.push(event);
    }
    assert!(input.is_empty(), "all input is consumed");
    Ok(events)
}

/// A peer of a server that the test writes byte by byte; the simple handshake is done.
pub(crate) struct Raw {
    pub(crate) now: Instant,
    pub(crate) server: ServerSession,
}

impl Raw {
    /// A peer behind the handshake.
    pub(crate) fn new() -> Self {
        let now = start();
        let mut server = ServerSession::new(ServerConfig::default(), now, 1);
        let handshake = [&[3][..], &[0; 1536], &[0; 1536]].concat();
        feed(&mut server, now, &handshake).unwrap();
        server.take_output(&mut Vec::new());
        Self { now, server }
    }

    /// A peer that is connected.
    pub(crate) fn connected() -> Self {
        let mut raw = Self::new();
        raw.command(0, "connect", 1.0, &[]).unwrap();
        raw.replies();
        raw
    }

    /// A peer that has message stream 1 and publishes `cam` on it.
    pub(crate) fn publishing() -> Self {
        let mut raw = Self::connected();
        raw.command(0, "createStream", 4.0, &[]).unwrap();
        raw.command(1, "publish", 0.0, &["cam?token=1".into(), "live".into()])
            .unwrap();
        raw.replies();
        raw
    }

    /// A peer that has message stream 1 and plays `cam` on it.
    pub(crate) fn playing() -> Self {
        let mut raw = Self::connected();
        raw.command(0, "createStream", 4.0, &[]).unwrap();
        raw.command(1, "play", 0.0, &["cam".into()]).unwrap();
        raw.replies();
        raw
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<Vec<Event>, Error> {
        feed(&mut self.server, self.now, bytes)
    }

    pub(crate) fn message(
        &mut self,
        type_id: u8,
        msid: u32,
        timestamp: u32,
        body: &[u8],
    ) -> Result<Vec<Event>, Error> {
        let mut out = Vec::new();
        weir_rtmp::chunk::write_message(&mut out, 4, timestamp, type_id, msid, body, 128);
        self.send(&out)
    }

    pub(crate) fn command(
        &mut self,
        msid: u32,
        name: &str,
        transaction_id: f64,
        arguments: &[weir_container::amf::Value],
    ) -> Result<Vec<Event>, Error> {
        let mut out = Vec::new();
        command(name, transaction_id, arguments).write(&mut out, 3, msid, 128);
        self.send(&out)
    }

    /// What the server has sent since the last call, as messages. Control messages are not among them.
    pub(crate) fn replies(&mut self) -> Vec<weir_rtmp::command::Command> {
        let mut out = Vec::new();
        let chunk_size = self.server.chunk_size();
        self.server.take_output(&mut out);
        commands(&out, chunk_size)
    }

    /// Names and codes of the commands the server has sent since the last call.
    pub(crate) fn codes(&mut self) -> Vec<(String, String)> {
        self.replies()
            .into_iter()
            .map(|command| (command.name.clone(), code(&command)))
            .collect()
    }
}

pub(crate) fn command(
    name: &str,
    transaction_id: f64,
    arguments: &[weir_container::amf::Value],
) -> weir_rtmp::command::Command {
    weir_rtmp::command::Command {
        name: name.to_owned(),
        transaction_id,
        object: weir_container::amf::Value::Null,
        arguments: arguments.to_vec(),
    }
}

/// The commands in `bytes`, which begin at chunk size `chunk_size`.
pub(crate) fn commands(bytes: &[u8], chunk_size: u32) -> Vec<weir_rtmp::command::Command> {
    messages(bytes, chunk_size)
        .iter()
        .filter(|message| message.type_id == 20)
        .map(|message| weir_rtmp::command::Command::parse(20, &message.body).unwrap())
        .collect()
}

pub(crate) fn messages(bytes: &[u8], chunk_size: u32) -> Vec<weir_rtmp::Message> {
    let mut reader = weir_rtmp::chunk::ChunkReader::new(1 << 20);
    // the answer to connect begins at 128 and changes the size itself
    let begins_connect = bytes.get(7) == Some(&5);
    if !begins_connect {
        let mut set_size = Vec::new();
        weir_rtmp::message::Control::SetChunkSize(chunk_size).write(&mut set_size, 128);
        assert_eq!(reader.read(&mut &set_size[..]), Ok(None));
    }
    let mut input = bytes;
    std::iter::from_fn(|| reader.read(&mut input).unwrap()).collect()
}

/// The code in a command's information object.
pub(crate) fn code(command: &weir_rtmp::command::Command) -> String {
    let information = command
        .arguments
        .first()
        .and_then(|value| value.get("code"));
    information
        .and_then(|code| code.as_str())
        .unwrap_or_default()
        .to_owned()
}
