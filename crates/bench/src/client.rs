//! The client side of an RTMP session as a load generator needs it: to the start of play or publish, and to answers.
//!
//! Owns: the simple handshake (RTMP 1.0 §5.2), `connect`, `createStream`, `play` or `publish`, the answers to ping
//! requests, and acknowledgements every half window. Sans-IO: bytes in, bytes appended to an output, one
//! [`Event`] at a time.
//! Does not: check the server's handshake, send media, or retry.

#![warn(clippy::indexing_slicing)]

use std::sync::Arc;

use crate::amf::{Reader, Writer};
use crate::chunk::{self, CHUNK_SIZE, Header};
use crate::skim::{ChunkSkimmer, Message, SkimError, type_id};

/// C1, S1, C2 and S2 (§5.2.3).
const HANDSHAKE: usize = 1536;
/// S0, S1 and S2.
const SERVER_HANDSHAKE: usize = 1 + 2 * HANDSHAKE;

const CONNECT: f64 = 1.0;
const RELEASE: f64 = 2.0;
const FC_PUBLISH: f64 = 3.0;
const CREATE_STREAM: f64 = 4.0;
const START: f64 = 5.0;

/// §7.1.7.
const SET_BUFFER_LENGTH: u16 = 3;
const PING_REQUEST: u32 = 6;
const PING_RESPONSE: u16 = 7;
/// What players announce, in milliseconds.
const BUFFER_LENGTH: u32 = 3000;

/// What a session wants of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    Play,
    Publish,
}

/// The names a session opens with.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub(crate) app: Arc<str>,
    pub(crate) tc_url: Arc<str>,
    /// With its query, as encoders send it.
    pub(crate) stream: String,
}

/// One RTMP client session.
#[derive(Debug)]
pub(crate) struct Client {
    goal: Goal,
    names: Names,
    stage: Stage,
    skim: ChunkSkimmer,
    answers: Answers,
}

/// What the caller must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// The server accepted play or publish on this message stream.
    Started { message_stream: u32 },
    /// A complete message that is not a command.
    Message(Message<'a>),
}

/// Why a session cannot go on; the server's side is always the guilty one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClientError {
    #[error(transparent)]
    Skim(#[from] SkimError),
    #[error("server speaks RTMP version {0}, not 3")]
    Version(u8),
    #[error("server refused to {during}: {code}")]
    Refused { during: &'static str, code: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// So many bytes of S0, S1, S2 have come.
    Handshake(usize),
    Connecting,
    Creating,
    Starting(u32),
    Running,
}

/// What the server asks to be told while a session lasts.
#[derive(Debug)]
struct Answers {
    /// §5.4.4; 0 until the server names one.
    window: u32,
    /// Bytes since the handshake, wrapping as §5.4.3 has it.
    received: u32,
    acknowledged: u32,
}

impl Client {
    /// A session that has its C0 and C1 in `out`.
    pub(crate) fn open(goal: Goal, names: Names, out: &mut Vec<u8>) -> Self {
        out.push(3);
        // Zero time and version: the simple handshake. The rest need only differ from zero.
        out.extend([0; 8]);
        out.extend((8..HANDSHAKE).map(|n| (n * 167 % 255) as u8 | 1));
        Self {
            goal,
            names,
            stage: Stage::Handshake(0),
            skim: ChunkSkimmer::new(),
            answers: Answers {
                window: 0,
                received: 0,
                acknowledged: 0,
            },
        }
    }

    /// How far the opening has come, as the middle of "server refused to …".
    pub(crate) fn during(&self) -> &'static str {
        match (self.stage, self.goal) {
            (Stage::Handshake(_), _) => "shake hands",
            (Stage::Connecting, _) => "connect",
            (Stage::Creating, _) => "create a stream",
            (_, Goal::Play) => "play",
            (_, Goal::Publish) => "publish",
        }
    }

    /// Takes input up to the next event, or all of it; what must be sent is appended to `out`.
    ///
    /// # Errors
    /// When the server breaks the protocol or refuses; the session is over.
    pub(crate) fn next(
        &mut self,
        input: &mut &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Event<'_>>, ClientError> {
        if let Stage::Handshake(have) = self.stage {
            self.handshake(have, input, out)?;
        }
        loop {
            let during = self.during();
            if matches!(self.stage, Stage::Handshake(_)) {
                return Ok(None);
            }
            let before = input.len();
            // Two looks at the same message keep the borrow of the skimmer out of the returning branches.
            let found = self.skim.next(input)?;
            self.answers.count(before - input.len(), out);
            let Some(message) = found else {
                return Ok(None);
            };
            match message.type_id {
                type_id::COMMAND | type_id::COMMAND_AMF3 => {
                    let stage = command(self.stage, during, &message)?;
                    if stage != self.stage {
                        let from = std::mem::replace(&mut self.stage, stage);
                        if let (Stage::Starting(message_stream), Stage::Running) = (from, stage) {
                            return Ok(Some(Event::Started { message_stream }));
                        }
                        self.advance(out);
                    }
                }
                type_id::USER_CONTROL | type_id::WINDOW_ACK_SIZE => {
                    self.answers.control(&message, out);
                }
                _ => {
                    // Media before `NetStream.Play.Start`, or without it: playing all the same.
                    if let (Stage::Starting(message_stream), true) =
                        (self.stage, message.is_media())
                    {
                        self.stage = Stage::Running;
                        return Ok(Some(Event::Started { message_stream }));
                    }
                    return Ok(self.skim.last().map(Event::Message));
                }
            }
        }
    }

    /// Steps over S0 S1 S2. C2 repeats S1, so S1 goes straight to `out`.
    fn handshake(
        &mut self,
        have: usize,
        input: &mut &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), ClientError> {
        let (taken, rest) = input.split_at(input.len().min(SERVER_HANDSHAKE - have));
        *input = rest;
        for (at, byte) in (have..).zip(taken) {
            match at {
                0 if *byte != 3 => return Err(ClientError::Version(*byte)),
                1..=HANDSHAKE => out.push(*byte),
                _ => {}
            }
        }
        self.stage = Stage::Handshake(have + taken.len());
        if have + taken.len() == SERVER_HANDSHAKE {
            self.stage = Stage::Connecting;
            self.connect(out);
        }
        Ok(())
    }

    fn connect(&self, out: &mut Vec<u8>) {
        control(out, type_id::SET_CHUNK_SIZE, &CHUNK_SIZE.to_be_bytes());
        send(out, 3, 0, |amf| {
            amf.string("connect").number(CONNECT).object();
            amf.key("app").string(&self.names.app);
            if self.goal == Goal::Publish {
                amf.key("type").string("nonprivate");
            }
            amf.key("flashVer").string(match self.goal {
                Goal::Publish => "FMLE/3.0 (compatible; Weir bench)",
                Goal::Play => "LNX 9,0,124,2",
            });
            amf.key("tcUrl").string(&self.names.tc_url);
            if self.goal == Goal::Play {
                amf.key("fpad")
                    .boolean(false)
                    .key("capabilities")
                    .number(15.0);
                amf.key("audioCodecs")
                    .number(4071.0)
                    .key("videoCodecs")
                    .number(252.0);
                amf.key("videoFunction").number(1.0);
            }
            amf.end();
        });
    }

    /// Sends what the stage just entered begins with.
    fn advance(&self, out: &mut Vec<u8>) {
        let name = &self.names.stream;
        match (self.stage, self.goal) {
            (Stage::Creating, goal) => {
                if goal == Goal::Publish {
                    send(out, 3, 0, |amf| {
                        amf.string("releaseStream")
                            .number(RELEASE)
                            .null()
                            .string(name);
                    });
                    send(out, 3, 0, |amf| {
                        amf.string("FCPublish")
                            .number(FC_PUBLISH)
                            .null()
                            .string(name);
                    });
                }
                send(out, 3, 0, |amf| {
                    amf.string("createStream").number(CREATE_STREAM).null();
                });
            }
            (Stage::Starting(stream), Goal::Publish) => send(out, 8, stream, |amf| {
                amf.string("publish")
                    .number(START)
                    .null()
                    .string(name)
                    .string("live");
            }),
            (Stage::Starting(stream), Goal::Play) => {
                // -2 seconds in milliseconds: live first (§7.2.2.1).
                send(out, 8, stream, |amf| {
                    amf.string("play")
                        .number(START)
                        .null()
                        .string(name)
                        .number(-2000.0);
                });
                let mut event = SET_BUFFER_LENGTH.to_be_bytes().to_vec();
                event.extend(stream.to_be_bytes());
                event.extend(BUFFER_LENGTH.to_be_bytes());
                control(out, type_id::USER_CONTROL, &event);
            }
            _ => {}
        }
    }
}

impl Answers {
    /// Counts bytes of the server and acknowledges them every half window, as players do.
    fn count(&mut self, bytes: usize, out: &mut Vec<u8>) {
        self.received = self.received.wrapping_add(bytes as u32);
        let due = self.received.wrapping_sub(self.acknowledged);
        if self.window > 0 && due >= (self.window / 2).max(1) {
            self.acknowledged = self.received;
            control(out, type_id::ACKNOWLEDGEMENT, &self.received.to_be_bytes());
        }
    }

    fn control(&mut self, message: &Message<'_>, out: &mut Vec<u8>) {
        match (message.type_id, message.prefix) {
            (type_id::WINDOW_ACK_SIZE, [a, b, c, d, ..]) => {
                self.window = u32::from_be_bytes([*a, *b, *c, *d]);
            }
            (type_id::USER_CONTROL, [high, low, time @ ..])
                if u32::from(*high) << 8 | u32::from(*low) == PING_REQUEST =>
            {
                let mut event = PING_RESPONSE.to_be_bytes().to_vec();
                event.extend(time.iter().take(4));
                control(out, type_id::USER_CONTROL, &event);
            }
            _ => {}
        }
    }
}

/// The stage after a command of the server.
fn command(
    stage: Stage,
    during: &'static str,
    message: &Message<'_>,
) -> Result<Stage, ClientError> {
    let refused = |code: Option<&str>| ClientError::Refused {
        during,
        code: code.unwrap_or("no code given").to_owned(),
    };
    // A type 17 command is AMF0 behind one byte that says so.
    let amf3 = usize::from(message.type_id == type_id::COMMAND_AMF3);
    let mut amf = Reader(message.prefix.get(amf3..).unwrap_or_default());
    let (Some(name), Some(transaction)) = (amf.string(), amf.number()) else {
        return Ok(stage);
    };
    match (stage, name) {
        (Stage::Connecting, "_result") if transaction == CONNECT => Ok(Stage::Creating),
        (Stage::Creating, "_result") if transaction == CREATE_STREAM => {
            let number = amf.nothing().and_then(|()| amf.number());
            number
                .map(|id| Stage::Starting(id as u32))
                .ok_or_else(|| refused(None))
        }
        (Stage::Connecting, "_error") if transaction == CONNECT => Err(refused(error_code(amf))),
        (Stage::Creating, "_error") if transaction == CREATE_STREAM => {
            Err(refused(error_code(amf)))
        }
        (_, "onStatus") => {
            let code = amf.nothing().and_then(|()| amf.member("code"));
            let failed = amf.member("level") == Some("error");
            match (stage, code) {
                (_, code) if failed => Err(refused(code)),
                (Stage::Starting(_), Some("NetStream.Play.Start" | "NetStream.Publish.Start")) => {
                    Ok(Stage::Running)
                }
                _ => Ok(stage),
            }
        }
        _ => Ok(stage),
    }
}

/// The code in the information object of an `_error`, behind null or an empty object.
fn error_code(mut amf: Reader<'_>) -> Option<&str> {
    amf.nothing()?;
    amf.member("code")
}

fn send(
    out: &mut Vec<u8>,
    chunk_stream: u8,
    message_stream: u32,
    fill: impl FnOnce(&mut Writer<'_>),
) {
    let mut payload = Vec::new();
    fill(&mut Writer(&mut payload));
    let header = Header {
        chunk_stream,
        type_id: type_id::COMMAND,
        message_stream,
        timestamp: 0,
    };
    chunk::write(out, header, &payload);
}

fn control(out: &mut Vec<u8>, type_id: u8, payload: &[u8]) {
    let header = Header {
        chunk_stream: 2,
        type_id,
        message_stream: 0,
        timestamp: 0,
    };
    chunk::write(out, header, payload);
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names() -> Names {
        let stream = "bench-0?token=1".to_owned();
        Names {
            app: "live".into(),
            tc_url: "rtmp://h:1935/live".into(),
            stream,
        }
    }

    fn status(out: &mut Vec<u8>, level: &str, code: &str) {
        send(out, 5, 1, |amf| {
            amf.string("onStatus").number(0.0).null().object();
            amf.key("level")
                .string(level)
                .key("code")
                .string(code)
                .end();
        });
    }

    /// All that a server says up to the first media message, which is of 9 bytes.
    pub(crate) fn server(goal: Goal, level: &str, code: &str) -> Vec<u8> {
        let mut out = vec![3];
        out.extend([0x33; 2 * HANDSHAKE]);
        control(&mut out, type_id::WINDOW_ACK_SIZE, &2000_u32.to_be_bytes());
        control(&mut out, type_id::SET_CHUNK_SIZE, &CHUNK_SIZE.to_be_bytes());
        send(&mut out, 3, 0, |amf| {
            amf.string("_result")
                .number(CONNECT)
                .object()
                .end()
                .object()
                .end();
        });
        if goal == Goal::Publish {
            send(&mut out, 3, 0, |amf| {
                amf.string("_error").number(RELEASE).null();
            });
        }
        send(&mut out, 3, 0, |amf| {
            amf.string("_result")
                .number(CREATE_STREAM)
                .null()
                .number(7.0);
        });
        status(&mut out, "status", "NetStream.Play.Reset");
        status(&mut out, level, code);
        let ping = [0, 6, 1, 2, 3, 4];
        control(&mut out, type_id::USER_CONTROL, &ping);
        let media = Header {
            chunk_stream: 6,
            type_id: 9,
            message_stream: 7,
            timestamp: 40,
        };
        chunk::write(&mut out, media, &[0x17; 9]);
        out
    }

    fn drive(
        goal: Goal,
        wire: &[u8],
        split: usize,
    ) -> Result<(Vec<String>, Vec<u8>, Client), ClientError> {
        let mut out = Vec::new();
        let mut client = Client::open(goal, names(), &mut out);
        let mut events = Vec::new();
        for mut piece in wire.chunks(split) {
            while let Some(event) = client.next(&mut piece, &mut out)? {
                events.push(match event {
                    Event::Started { message_stream } => format!("started {message_stream}"),
                    Event::Message(message) => format!("{} {}", message.type_id, message.length),
                });
            }
            assert!(piece.is_empty());
        }
        Ok((events, out, client))
    }

    /// The commands and ids of the control messages in what a client sent.
    fn said(out: &[u8]) -> Vec<String> {
        let mut input = &out[1 + 2 * HANDSHAKE..];
        let mut skimmer = ChunkSkimmer::new();
        let mut said = Vec::new();
        while let Some(message) = skimmer.next(&mut input).unwrap() {
            said.push(match message.type_id {
                type_id::COMMAND => Reader(message.prefix).string().unwrap().to_owned(),
                other => other.to_string(),
            });
        }
        said
    }

    proptest! {
        #[test]
        fn opens_at_any_split(split in 1_usize..4000, publish in any::<bool>()) {
            let (goal, code) = match publish {
                true => (Goal::Publish, "NetStream.Publish.Start"),
                false => (Goal::Play, "NetStream.Play.Start"),
            };
            let wire = server(goal, "status", code);
            let (events, out, _) = drive(goal, &wire, split).unwrap();
            prop_assert_eq!(events, ["1 4", "started 7", "9 9"]);
            prop_assert_eq!(out[0], 3);
            prop_assert_eq!(&out[1 + HANDSHAKE..1 + 2 * HANDSHAKE], &[0x33; HANDSHAKE]);
            let expected: &[&str] = if publish {
                &["1", "connect", "releaseStream", "FCPublish", "createStream", "publish", "4"]
            } else {
                &["1", "connect", "createStream", "play", "4", "4"]
            };
            prop_assert_eq!(said(&out), expected);
        }

        #[test]
        fn anything_else_does_not_panic(
            input in proptest::collection::vec(any::<u8>(), 0..300),
            after in 0_usize..3400,
        ) {
            let mut wire = server(Goal::Play, "status", "NetStream.Play.Start");
            wire.truncate(after);
            wire.extend(input);
            let _ = drive(Goal::Play, &wire, 50);
        }
    }

    #[test]
    fn tells_why_it_was_refused() {
        let wire = server(Goal::Publish, "error", "NetStream.Publish.BadName");
        let error = drive(Goal::Publish, &wire, 4096).unwrap_err();
        assert_eq!(
            error.to_string(),
            "server refused to publish: NetStream.Publish.BadName"
        );
        assert_eq!(
            drive(Goal::Play, &[6], 1).unwrap_err(),
            ClientError::Version(6)
        );
    }

    #[test]
    fn acknowledges_every_half_window() {
        let mut wire = server(Goal::Play, "status", "NetStream.Play.Start");
        let media = Header {
            chunk_stream: 6,
            type_id: 9,
            message_stream: 7,
            timestamp: 40,
        };
        for _ in 0..10 {
            chunk::write(&mut wire, media, &[0x27; 988]);
        }
        let (_, out, _) = drive(Goal::Play, &wire, 500).unwrap();
        let acknowledgements = said(&out).iter().filter(|id| *id == "3").count();
        assert_eq!(acknowledgements, 10);
    }
}
