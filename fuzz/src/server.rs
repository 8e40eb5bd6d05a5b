//! Target of the server session.
//!
//! Owns: a driver that answers requests as the input says, and a model of what may happen on which message stream.
//!
//! Input: flags; a byte that plans the pieces; a byte whose bits say which requests are refused; the bytes of a client.
//! With the flags a sound opening goes first, so that the client is past the handshake, connected, or publishing.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use weir_container::amf::Value;
use weir_rtmp::command::{Command, StatusCode};
use weir_rtmp::handshake::BLOCK_BYTES;
use weir_rtmp::server::{MAX_MESSAGE_STREAMS, MAX_PENDING_OUTPUT};
use weir_rtmp::{
    Error, Event, MediaKind, Message, Misbehaviour, Misuse, ServerConfig, ServerSession,
};

use crate::chunk::{check_error, is_same_end, messages_of, sent_messages};
use crate::pieces::{head, pieces};

/// Flags, bits 0 and 1: how far the sound opening goes: not at all, handshake, `connect`, `publish` or `play`.
const OPENING: u8 = 3;
/// Flag: the opening plays instead of publishing.
const PLAYS: u8 = 4;
/// Flag: the rest is records of [`messages_of`] instead of bytes of the wire.
const RECORDS: u8 = 8;
/// Flag: messages may only have 2048 bytes.
const SMALL: u8 = 16;

/// Handshake bytes of either side, in the simple form.
const HANDSHAKE: usize = 1 + 2 * BLOCK_BYTES;

/// What a session holds at most beside messages and output, in bytes: itself, its chunk streams, a request.
const OVERHEAD: usize = 32 << 10;

/// Serves a client, whole and in pieces.
pub fn server_session(data: &[u8]) {
    let ([flags, plan, refusals], rest) = head::<3>(data);
    let input = input(flags, rest);
    let whole = Driver::serve(config(flags), refusals, [&input[..]]);
    let cut = Driver::serve(config(flags), refusals, pieces(&input, plan));
    let is_overrun = |end: &Option<Error>| {
        let unread = |what: &Misbehaviour| matches!(what, Misbehaviour::UnreadReplies(_));
        matches!(end, Some(Error::PeerMisbehaved { what, .. }) if unread(what))
    };
    // replies are taken between pieces, so more of them fit
    if is_overrun(&whole.end) {
        assert!(cut.events.starts_with(&whole.events));
    } else {
        assert_eq!(whole.events, cut.events);
        assert_eq!(whole.sent, cut.sent);
        assert!(is_same_end(whole.end.as_ref(), cut.end.as_ref()));
    }
}

/// What the client sends.
fn input(flags: u8, rest: &[u8]) -> Vec<u8> {
    let mut input = opening(flags);
    if flags & RECORDS == 0 {
        input.extend_from_slice(rest);
    } else {
        messages_of(rest, &mut input);
    }
    input
}

fn config(flags: u8) -> ServerConfig {
    let mut config = ServerConfig::default();
    if flags & SMALL != 0 {
        config.max_message_bytes = 2048;
        config.chunk_size = 300;
    }
    config
}

/// The bytes of a sound client, as far as `flags` say.
fn opening(flags: u8) -> Vec<u8> {
    let mut out = Vec::new();
    let far = flags & OPENING;
    if far >= 1 {
        out.resize(HANDSHAKE, 0);
        out[0] = 3;
    }
    let mut say = |name: &str, id: f64, msid: u32, object: Value, arguments: Vec<Value>| {
        let command = Command {
            name: name.to_owned(),
            transaction_id: id,
            object,
            arguments,
        };
        command.write(&mut out, 3, msid, 128);
    };
    if far >= 2 {
        let object = Value::Object(vec![("app".to_owned(), "live".into())]);
        say("connect", 1.0, 0, object, Vec::new());
    }
    if far >= 3 {
        say("createStream", 2.0, 0, Value::Null, Vec::new());
        let name = if flags & PLAYS == 0 {
            "publish"
        } else {
            "play"
        };
        say(name, 3.0, 1, Value::Null, vec!["name".into()]);
    }
    out
}

/// What a message stream is used for, as far as the application was told.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Use {
    Publishing,
    Playing,
}

/// Drives one session and checks what it says.
struct Driver {
    session: ServerSession,
    now: Instant,
    limit: usize,
    /// Bit `n % 8` is whether request `n` is refused.
    refusals: u8,
    requests: u32,
    is_connected: bool,
    uses: HashMap<u32, Use>,
    /// As text, for which all NaN are the same.
    events: Vec<String>,
    output: Vec<u8>,
    given: usize,
}

/// How a connection went.
struct Went {
    events: Vec<String>,
    end: Option<Error>,
    sent: Vec<Message>,
}

impl Driver {
    #[expect(
        clippy::disallowed_methods,
        reason = "any time will do, and there is no other way"
    )]
    fn serve<'a>(
        config: ServerConfig,
        refusals: u8,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Went {
        let now = Instant::now();
        let mut driver = Self {
            session: ServerSession::new(config, now, 7),
            now,
            limit: config.max_message_bytes as usize,
            refusals,
            requests: 0,
            is_connected: false,
            uses: HashMap::new(),
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
            let bound = 2 * self.limit + 2 * MAX_PENDING_OUTPUT + OVERHEAD;
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
        assert!(piece.is_empty(), "no request waits, so all is consumed");
        assert!(self.session.bytes_in() <= self.given as u64);
        self.session.take_output(&mut self.output);
        Ok(())
    }

    fn on_event(&mut self, event: Event) {
        self.events.push(format!("{event:?}"));
        assert_eq!(self.is_connected, !matches!(event, Event::Connect(_)));
        match event {
            Event::Connect(_) => self.answer_connect(),
            Event::Publish { msid, name, .. } => self.answer_publish(msid, &name),
            Event::Play { msid, name, .. } => self.answer_play(msid, &name),
            Event::Media { msid, kind, .. } => self.on_media(msid, kind),
            Event::Unpublish { msid, .. } => {
                assert_eq!(self.uses.remove(&msid), Some(Use::Publishing));
            }
            Event::StopPlay { msid } => assert_eq!(self.uses.remove(&msid), Some(Use::Playing)),
            Event::Pause { msid, paused } => {
                assert_eq!(self.uses.get(&msid), Some(&Use::Playing));
                if paused {
                    assert_eq!(self.session.notify_unpublished(msid), Ok(()));
                }
            }
            Event::ReceiveVideo { msid, enabled } => {
                if !enabled && self.uses.get(&msid) == Some(&Use::Playing) {
                    let result = self.session.close_play(msid, StatusCode::PlayStop);
                    assert_eq!(result, Ok(()));
                    self.uses.remove(&msid);
                }
            }
            Event::ReceiveAudio { .. } | Event::BufferLength { .. } => {}
        }
        assert!(self.uses.len() <= MAX_MESSAGE_STREAMS);
    }

    /// Whether the next request is refused.
    fn refuses(&mut self) -> bool {
        self.requests += 1;
        self.refusals >> ((self.requests - 1) % 8) & 1 == 1
    }

    /// While a request waits nothing is consumed and nothing said.
    fn check_waiting(&mut self) {
        assert!(self.session.awaits_decision());
        let mut input = &[0xff; 8][..];
        assert_eq!(self.session.handle_input(self.now, &mut input), Ok(None));
        assert_eq!(input.len(), 8);
    }

    fn answer_connect(&mut self) {
        self.check_waiting();
        assert_eq!(
            self.session.accept_publish(1),
            Err(Error::Misuse(Misuse::NothingToAnswer))
        );
        let result = if self.refuses() {
            self.session
                .reject_connect(StatusCode::ConnectRejected, "no")
        } else {
            self.session.accept_connect()
        };
        assert_eq!(result, Ok(()));
        assert_eq!(
            self.session.accept_connect(),
            Err(Error::Misuse(Misuse::NothingToAnswer))
        );
        // after a refusal no event comes, which this would let pass; `finish` looks at it
        self.is_connected = true;
    }

    fn answer_publish(&mut self, msid: u32, name: &str) {
        self.check_waiting();
        assert!(!name.is_empty() && !self.uses.contains_key(&msid));
        if self.refuses() {
            let result = self
                .session
                .reject_publish(msid, StatusCode::PublishDenied, "no");
            assert_eq!(result, Ok(()));
        } else {
            assert_eq!(self.session.accept_publish(msid), Ok(()));
            self.uses.insert(msid, Use::Publishing);
        }
        assert!(!self.session.awaits_decision());
    }

    fn answer_play(&mut self, msid: u32, name: &str) {
        assert!(!name.is_empty() && !self.uses.contains_key(&msid));
        if self.refuses() {
            let result = self
                .session
                .reject_play(msid, StatusCode::PlayStreamNotFound, "no");
            assert_eq!(result, Ok(()));
        } else {
            assert_eq!(self.session.accept_play(msid), Ok(()));
            self.uses.insert(msid, Use::Playing);
        }
    }

    /// Media comes only where publishing was accepted. A data message may end the publishing.
    fn on_media(&mut self, msid: u32, kind: MediaKind) {
        assert_eq!(self.uses.get(&msid), Some(&Use::Publishing));
        if kind == MediaKind::Data && self.refuses() {
            let result = self
                .session
                .close_publish(msid, StatusCode::UnpublishSuccess, "end");
            assert_eq!(result, Ok(()));
            self.uses.remove(&msid);
        }
    }

    /// What was sent is sound; a failed session stays failed; a deadline ends it.
    fn finish(&mut self, end: Option<&Error>) -> Vec<Message> {
        let session = &mut self.session;
        session.take_output(&mut self.output);
        assert!(self.output.is_empty() || self.output.len() >= HANDSHAKE);
        let sent = sent_messages(self.output.get(HANDSHAKE..).unwrap_or_default());
        assert_eq!(
            session.handle_timeout(self.now),
            Ok(()),
            "nothing is due yet"
        );
        let over = Err(Error::Misuse(Misuse::Over));
        if end.is_some() {
            assert_eq!(session.handle_input(self.now, &mut &[3][..]), over);
            assert_eq!((session.deadline(), session.is_connected()), (None, false));
        } else if let Some(deadline) = session.deadline() {
            assert!(deadline <= self.now + Duration::from_secs(60));
            let result = session.handle_timeout(deadline);
            assert!(matches!(result, Err(Error::Timeout { .. })));
            assert_eq!(session.handle_input(deadline, &mut &[3][..]), over);
        } else {
            assert_eq!(session.handle_input(self.now, &mut &[][..]), Ok(None));
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(flags: u8, refusals: u8) -> Vec<String> {
        let input = opening(flags);
        Driver::serve(ServerConfig::default(), refusals, [&input[..]]).events
    }

    #[test]
    fn the_opening_goes_as_far_as_it_says() {
        assert_eq!(events(1, 0).len(), 0);
        assert_eq!(events(2, 0).len(), 1);
        assert!(events(3, 0)[1].starts_with("Publish"));
        assert!(events(3 | PLAYS, 0)[1].starts_with("Play"));
        assert_eq!(events(3, 1).len(), 1, "a refused connect is the end");
    }

    #[test]
    fn the_corpus_reaches_every_event() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/server_session");
        let mut seen = std::collections::BTreeSet::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let data = std::fs::read(entry.unwrap().path()).unwrap();
            let ([flags, _, refusals], rest) = head::<3>(&data);
            let went = Driver::serve(config(flags), refusals, [&input(flags, rest)[..]]);
            let name = |event: &String| event.split([' ', '(']).next().unwrap().to_owned();
            seen.extend(went.events.iter().map(name));
        }
        let all = "BufferLength Connect Media Pause Play Publish ReceiveAudio ReceiveVideo StopPlay Unpublish";
        assert_eq!(Vec::from_iter(seen).join(" "), all);
    }
}
