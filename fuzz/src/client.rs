//! Target of the client session.
//!
//! Owns: a driver that publishes or plays, and checks the order of events.
//!
//! Input: flags; a byte that plans the pieces; the bytes of a server. With the flags a sound opening goes first, so
//! that the session is past the handshake, connected, or running.

use std::time::{Duration, Instant};

use weir_container::amf::Value;
use weir_rtmp::client::{ClientMode, MAX_PENDING_MEDIA};
use weir_rtmp::command::Command;
use weir_rtmp::handshake::BLOCK_BYTES;
use weir_rtmp::{
    ClientConfig, ClientEvent, ClientSession, Error, MediaKind, Message, Misuse, RtmpUrl,
};

use crate::chunk::{check_error, is_same_end, messages_of, sent_messages};
use crate::pieces::{head, pieces};

/// Flags, bits 0 and 1: how far the sound opening goes: not at all, handshake, `connect`, start of the stream.
const OPENING: u8 = 3;
/// Flag: the session publishes instead of playing.
const PUBLISHES: u8 = 4;
/// Flag: the rest is records of [`messages_of`] instead of bytes of the wire.
const RECORDS: u8 = 8;
/// Flag: messages may only have 2048 bytes.
const SMALL: u8 = 16;
/// Flag: the handshake asks for a digest.
const DIGEST: u8 = 32;

/// Handshake bytes of either side.
const HANDSHAKE: usize = 1 + 2 * BLOCK_BYTES;

/// What a session holds at most beside messages and output, in bytes: itself and its chunk streams.
const OVERHEAD: usize = 32 << 10;

/// Dials a server, whole and in pieces.
pub fn client_session(data: &[u8]) {
    let ([flags, plan], rest) = head::<2>(data);
    let input = input(flags, rest);
    let whole = Driver::dial(config(flags), [&input[..]]);
    let cut = Driver::dial(config(flags), pieces(&input, plan));
    assert_eq!(whole.events, cut.events);
    assert_eq!(whole.sent, cut.sent);
    assert!(is_same_end(whole.end.as_ref(), cut.end.as_ref()));
}

/// What the server sends.
fn input(flags: u8, rest: &[u8]) -> Vec<u8> {
    let mut input = opening(flags);
    if flags & RECORDS == 0 {
        input.extend_from_slice(rest);
    } else {
        messages_of(rest, &mut input);
    }
    input
}

fn config(flags: u8) -> ClientConfig {
    let url = RtmpUrl {
        host: "host".to_owned(),
        port: 1935,
        app: "live".to_owned(),
        stream: "name".to_owned(),
    };
    let mode = if flags & PUBLISHES != 0 {
        ClientMode::Publish
    } else {
        ClientMode::Play
    };
    let mut config = ClientConfig::new(&url, mode);
    config.digest_handshake = flags & DIGEST != 0;
    if flags & SMALL != 0 {
        config.max_message_bytes = 2048;
        config.chunk_size = 300;
    }
    config
}

/// The bytes of a sound server, as far as `flags` say.
fn opening(flags: u8) -> Vec<u8> {
    let mut out = Vec::new();
    let far = flags & OPENING;
    if far >= 1 {
        out.resize(HANDSHAKE, 0);
        out[0] = 3;
    }
    let mut say = |name: &str, id: f64, msid: u32, argument: Value| {
        let command = Command {
            name: name.to_owned(),
            transaction_id: id,
            object: Value::Null,
            arguments: vec![argument],
        };
        command.write(&mut out, 3, msid, 128);
    };
    let status = |code: &str| Value::Object(vec![("code".to_owned(), code.into())]);
    if far >= 2 {
        say("_result", 1.0, 0, status("NetConnection.Connect.Success"));
    }
    if far >= 3 {
        say("_result", 4.0, 0, 1.0.into());
        let code = if flags & PUBLISHES != 0 {
            "NetStream.Publish.Start"
        } else {
            "NetStream.Play.Start"
        };
        say("onStatus", 0.0, 1, status(code));
    }
    out
}

/// Drives one session and checks what it says.
struct Driver {
    session: ClientSession,
    now: Instant,
    mode: ClientMode,
    limit: usize,
    is_connected: bool,
    is_ready: bool,
    is_rejected: bool,
    events: Vec<ClientEvent>,
    output: Vec<u8>,
    given: usize,
}

/// How a connection went.
struct Went {
    events: Vec<ClientEvent>,
    end: Option<Error>,
    sent: Vec<Message>,
}

impl Driver {
    #[expect(
        clippy::disallowed_methods,
        reason = "any time will do, and there is no other way"
    )]
    fn dial<'a>(config: ClientConfig, pieces: impl IntoIterator<Item = &'a [u8]>) -> Went {
        let now = Instant::now();
        let (mode, limit) = (config.mode, config.max_message_bytes as usize);
        let mut driver = Self {
            session: ClientSession::new(config, now, 7),
            now,
            mode,
            limit,
            is_connected: false,
            is_ready: false,
            is_rejected: false,
            events: Vec::new(),
            output: Vec::new(),
            given: 0,
        };
        let end = pieces
            .into_iter()
            .find_map(|piece| driver.feed(piece).err());
        let sent = driver.finish(end.as_ref());
        Went {
            events: driver.events,
            end,
            sent,
        }
    }

    fn feed(&mut self, mut piece: &[u8]) -> Result<(), Error> {
        self.given += piece.len();
        loop {
            let result = self.session.handle_input(self.now, &mut piece);
            let bound = 2 * self.limit + 2 * MAX_PENDING_MEDIA + OVERHEAD;
            assert!(
                self.session.memory() <= bound,
                "{} bytes",
                self.session.memory()
            );
            match result {
                Ok(Some(event)) => self.on_event(event),
                Ok(None) => break,
                Err(error) => {
                    check_error(&error, self.given);
                    return Err(error);
                }
            }
        }
        assert!(piece.is_empty());
        assert!(self.session.bytes_in() <= self.given as u64);
        self.session.take_output(&mut self.output);
        Ok(())
    }

    fn on_event(&mut self, event: ClientEvent) {
        assert!(!self.is_rejected, "nothing follows a refusal");
        match &event {
            ClientEvent::Connected => {
                assert!(
                    !std::mem::replace(&mut self.is_connected, true),
                    "told once"
                );
            }
            ClientEvent::Ready { .. } => {
                assert!(self.is_connected);
                assert!(!std::mem::replace(&mut self.is_ready, true), "told once");
            }
            ClientEvent::Media { .. } => {
                assert!(self.is_ready && self.mode == ClientMode::Play);
            }
            ClientEvent::Rejected { .. } => {
                assert!(!self.is_ready);
                self.is_rejected = true;
            }
            ClientEvent::StreamEnded { .. } => assert!(self.is_ready),
        }
        let sends = self.is_ready && self.mode == ClientMode::Publish;
        assert_eq!(self.session.writer_params().is_some(), sends);
        let result = self
            .session
            .send(MediaKind::Video, 40, &[0x17, 1, 0, 0, 0, 9]);
        match result {
            Ok(()) => assert!(sends),
            Err(error) => {
                assert!(!sends);
                assert_eq!(error, Error::Misuse(Misuse::NotPublishing));
            }
        }
        self.events.push(event);
    }

    /// What was sent is sound, the goodbye too; a failed session stays failed; a deadline ends it.
    fn finish(&mut self, end: Option<&Error>) -> Vec<Message> {
        let session = &mut self.session;
        let over = Err(Error::Misuse(Misuse::Over));
        assert_eq!(
            session.handle_timeout(self.now),
            Ok(()),
            "nothing is due yet"
        );
        if end.is_some() {
            assert_eq!(session.handle_input(self.now, &mut &[3][..]), over);
            assert_eq!(session.deadline(), None);
        } else if let Some(deadline) = session.deadline() {
            assert!(deadline <= self.now + Duration::from_secs(60));
            let result = session.handle_timeout(deadline);
            assert!(matches!(result, Err(Error::Timeout { .. })));
            assert_eq!(session.handle_input(deadline, &mut &[3][..]), over);
        }
        session.close();
        session.take_output(&mut self.output);
        assert_eq!(session.handle_input(self.now, &mut &[3][..]), Ok(None));
        assert!(self.output.len() == 1 + BLOCK_BYTES || self.output.len() >= HANDSHAKE);
        sent_messages(self.output.get(HANDSHAKE..).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_opening_goes_as_far_as_it_says() {
        for mode in [0, PUBLISHES] {
            let events = |far: u8| {
                let input = opening(mode | far);
                Driver::dial(config(mode | far), [&input[..]]).events.len()
            };
            assert_eq!([0, 1, 2, 3].map(events), [0, 0, 1, 2]);
        }
    }

    #[test]
    fn the_corpus_reaches_every_event() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/client_session");
        let mut seen = std::collections::BTreeSet::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let data = std::fs::read(entry.unwrap().path()).unwrap();
            let ([flags, _], rest) = head::<2>(&data);
            let went = Driver::dial(config(flags), [&input(flags, rest)[..]]);
            seen.extend(went.events.iter().map(|event| match event {
                ClientEvent::Connected => "Connected",
                ClientEvent::Ready { .. } => "Ready",
                ClientEvent::Media { .. } => "Media",
                ClientEvent::Rejected { .. } => "Rejected",
                ClientEvent::StreamEnded { .. } => "StreamEnded",
            }));
        }
        assert_eq!(
            Vec::from_iter(seen),
            ["Connected", "Media", "Ready", "Rejected", "StreamEnded"]
        );
    }
}
