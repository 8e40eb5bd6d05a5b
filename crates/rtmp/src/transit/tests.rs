//! A client, the two halves of a session that is passed on, and a server, without sockets.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use weir_container::amf::Value;

use super::*;
use crate::chunk::{ChunkReader, write_message};
use crate::command::Command;
use crate::message::{Control, MediaKind, Message, UserControl, type_id};
use crate::server::{Event, ServerConfig, ServerSession};
use crate::{ClientConfig, ClientEvent, ClientMode, ClientSession, Error, Misbehaviour, RtmpUrl};

const UPSTREAM: UpstreamConfig = UpstreamConfig {
    max_message_bytes: 1 << 20,
    step_timeout: Duration::from_secs(5),
    hand_on_identity: true,
};

#[expect(
    clippy::disallowed_methods,
    reason = "some instant is needed, and only differences count"
)]
fn start() -> Instant {
    Instant::now()
}

fn config() -> OpeningConfig {
    OpeningConfig {
        identity: "5e55".to_owned(),
        ..OpeningConfig::default()
    }
}

/// The middle: what a driver would do with the two halves.
struct Middle {
    opening: Option<Opening>,
    upstream: Option<Upstream>,
    path: Option<Path>,
    request: Option<Request>,
    answer: Option<Answer>,
    from_client: Vec<u8>,
    from_server: Vec<u8>,
    to_client: Vec<u8>,
    to_server: Vec<u8>,
    now: Instant,
}

impl Middle {
    fn new(now: Instant) -> Self {
        Self {
            opening: Some(Opening::new(config(), now, 1)),
            upstream: None,
            path: None,
            request: None,
            answer: None,
            from_client: Vec::new(),
            from_server: Vec::new(),
            to_client: Vec::new(),
            to_server: Vec::new(),
            now,
        }
    }

    fn client_says(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.from_client.extend_from_slice(bytes);
        self.turn()
    }

    fn server_says(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.from_server.extend_from_slice(bytes);
        self.turn()
    }

    fn turn(&mut self) -> Result<(), Error> {
        if self.path.is_some() {
            return self.go_on();
        }
        let now = self.now;
        if let Some(opening) = &mut self.opening {
            let mut input = self.from_client.as_slice();
            if self.request.is_none() {
                self.request = opening.handle_input(now, &mut input)?;
                opening.take_output(&mut self.to_client);
                if self.request.is_some() {
                    self.upstream = Some(Upstream::new(opening, UPSTREAM, now, 2));
                }
            }
            self.from_client = input.to_vec();
        }
        if let Some(upstream) = &mut self.upstream {
            let mut input = self.from_server.as_slice();
            self.answer = upstream.handle_input(now, &mut input)?;
            upstream.take_output(&mut self.to_server);
            self.from_server = input.to_vec();
        }
        if self.answer == Some(Answer::Started)
            && let (Some(opening), Some(upstream)) = (self.opening.take(), self.upstream.take())
        {
            let mut output = Output::default();
            let path = accept(opening, upstream, &mut output);
            self.to_client.append(&mut output.to_client);
            self.to_server.append(&mut output.to_server);
            if let Path::Bytes {
                to_server,
                to_client,
            } = &path
            {
                self.to_server.extend_from_slice(to_server);
                self.to_client.extend_from_slice(to_client);
            }
            self.path = Some(path);
            return self.go_on();
        }
        Ok(())
    }

    fn go_on(&mut self) -> Result<(), Error> {
        let from_client = std::mem::take(&mut self.from_client);
        let from_server = std::mem::take(&mut self.from_server);
        match &mut self.path {
            Some(Path::Messages(messages)) => {
                messages.handle_client(&from_client)?;
                messages.handle_server(&from_server)?;
                messages.take_for_client(&mut self.to_client);
                messages.take_for_server(&mut self.to_server);
            }
            _ => {
                self.to_server.extend_from_slice(&from_client);
                self.to_client.extend_from_slice(&from_server);
            }
        }
        Ok(())
    }

    fn passes_bytes(&self) -> bool {
        matches!(self.path, Some(Path::Bytes { .. }))
    }
}

/// Client, middle and server, with everything between them delivered in pieces of `piece` bytes.
struct Chain {
    client: ClientSession,
    middle: Middle,
    server: ServerSession,
    heard_by_client: Vec<ClientEvent>,
    heard_by_server: Vec<Event>,
    refuse: Option<StatusCode>,
    piece: usize,
    now: Instant,
}

use crate::command::StatusCode;

impl Chain {
    fn new(mode: ClientMode, piece: usize) -> Self {
        let now = start();
        let url: RtmpUrl = "rtmp://proxy.example.com/live/s?token=1"
            .parse()
            .expect("a URL");
        let mut config = ClientConfig::new(&url, mode);
        config.fourcc_list = vec!["hvc1".to_owned()];
        Self {
            client: ClientSession::new(config, now, 3),
            middle: Middle::new(now),
            server: ServerSession::new(ServerConfig::default(), now, 4),
            heard_by_client: Vec::new(),
            heard_by_server: Vec::new(),
            refuse: None,
            piece,
            now,
        }
    }

    /// Until nobody has anything to say.
    fn settle(&mut self) {
        loop {
            let mut out = Vec::new();
            self.client.take_output(&mut out);
            let mut quiet = out.is_empty();
            for piece in out.chunks(self.piece) {
                self.middle.client_says(piece).expect("a good client");
            }
            let out = std::mem::take(&mut self.middle.to_server);
            quiet &= out.is_empty();
            for piece in out.chunks(self.piece) {
                self.serve(piece);
            }
            let mut out = Vec::new();
            self.server.take_output(&mut out);
            quiet &= out.is_empty();
            for piece in out.chunks(self.piece) {
                self.middle.server_says(piece).expect("a good server");
            }
            let out = std::mem::take(&mut self.middle.to_client);
            quiet &= out.is_empty();
            for piece in out.chunks(self.piece) {
                self.hear(piece);
            }
            if quiet {
                return;
            }
        }
    }

    fn serve(&mut self, mut input: &[u8]) {
        while let Some(event) = self
            .server
            .handle_input(self.now, &mut input)
            .expect("bytes of a good client")
        {
            match &event {
                Event::Connect(_) => self.server.accept_connect().expect("asked"),
                Event::Publish { msid, .. } => match self.refuse {
                    Some(code) => self
                        .server
                        .reject_publish(*msid, code, "no")
                        .expect("asked"),
                    None => self.server.accept_publish(*msid).expect("asked"),
                },
                Event::Play { msid, .. } => match self.refuse {
                    Some(code) => self.server.reject_play(*msid, code, "no").expect("asked"),
                    None => self.server.accept_play(*msid).expect("asked"),
                },
                _ => {}
            }
            self.heard_by_server.push(event);
        }
    }

    fn hear(&mut self, mut input: &[u8]) {
        while let Some(event) = self
            .client
            .handle_input(self.now, &mut input)
            .expect("bytes of a good server")
        {
            self.heard_by_client.push(event);
        }
    }
}

fn frames() -> Vec<(MediaKind, u32, Vec<u8>)> {
    let mut frames = Vec::new();
    for at in 0..40u32 {
        // also across the extended timestamp
        let time = 0xff_fff0 + at;
        let body = vec![at as u8; 1 + (at as usize * 977) % 9000];
        let kind = match at % 3 {
            0 => MediaKind::Audio,
            1 => MediaKind::Video,
            _ => MediaKind::Data,
        };
        frames.push((kind, time, body));
    }
    frames
}

#[test]
fn a_publisher_goes_through_unseen() {
    for piece in [1, 7, 1400, usize::MAX] {
        let mut chain = Chain::new(ClientMode::Publish, piece);
        chain.settle();
        assert!(chain.middle.passes_bytes());
        assert!(matches!(
            chain.heard_by_client.last(),
            Some(ClientEvent::Ready { msid: 1 })
        ));
        for (kind, time, body) in frames() {
            chain.client.send(kind, time, &body).expect("publishing");
        }
        chain.settle();
        let media: Vec<_> = chain
            .heard_by_server
            .iter()
            .filter_map(|event| match event {
                Event::Media {
                    kind,
                    timestamp,
                    body,
                    ..
                } => Some((*kind, *timestamp, body.to_vec())),
                _ => None,
            })
            .collect();
        assert_eq!(media, frames());
        // an orderly end goes through as well
        chain.client.close();
        chain.settle();
        assert!(
            chain
                .heard_by_server
                .iter()
                .any(|event| matches!(event, Event::Unpublish { .. }))
        );
    }
}

#[test]
fn the_server_hears_the_clients_own_words() {
    let mut chain = Chain::new(ClientMode::Publish, usize::MAX);
    chain.settle();
    let connect = chain.heard_by_server.iter().find_map(|event| match event {
        Event::Connect(request) => Some(request),
        _ => None,
    });
    let connect = connect.expect("connected");
    assert_eq!(connect.app, "live");
    assert_eq!(connect.tc_url, "rtmp://proxy.example.com/live");
    assert_eq!(connect.fourcc_list, ["hvc1"]);
    let named = connect.property(SESSION_PROPERTY);
    assert_eq!(named.and_then(Value::as_str), Some("5e55"));
    let request = chain.middle.request.as_ref().expect("asked");
    assert_eq!(request.stream, "s?token=1");
    let named = |event: &Event| matches!(event, Event::Publish { name, .. } if name == "s?token=1");
    assert!(chain.heard_by_server.iter().any(named));
}

#[test]
fn a_player_gets_what_the_server_sends() {
    for piece in [1, 1400, usize::MAX] {
        let mut chain = Chain::new(ClientMode::Play, piece);
        chain.settle();
        assert!(chain.middle.passes_bytes());
        let mut out = Vec::new();
        for (kind, time, body) in frames() {
            let (csid, type_id) = (kind.csid(), kind.type_id());
            write_message(
                &mut out,
                csid,
                time,
                type_id,
                1,
                &body,
                chain.server.chunk_size(),
            );
        }
        for bytes in out.chunks(piece) {
            chain.middle.server_says(bytes).expect("a good server");
        }
        chain.settle();
        let media: Vec<_> = chain
            .heard_by_client
            .iter()
            .filter_map(|event| match event {
                ClientEvent::Media {
                    kind,
                    timestamp,
                    body,
                } => Some((*kind, *timestamp, body.to_vec())),
                _ => None,
            })
            // the server's own words as data
            .skip_while(|(_, time, _)| *time == 0)
            .collect();
        assert_eq!(media, frames());
    }
}

#[test]
fn a_refusal_has_the_servers_words() {
    let table = [
        (ClientMode::Publish, StatusCode::PublishBadName),
        (ClientMode::Play, StatusCode::PlayStreamNotFound),
    ];
    for (mode, code) in table {
        let mut chain = Chain::new(mode, usize::MAX);
        chain.refuse = Some(code);
        chain.settle();
        let Some(Answer::Refused { code, description }) = chain.middle.answer.clone() else {
            panic!("{:?}", chain.middle.answer);
        };
        let mut opening = chain.middle.opening.take().expect("not accepted");
        opening.refuse(&code, &description);
        opening.take_output(&mut chain.middle.to_client);
        let out = std::mem::take(&mut chain.middle.to_client);
        chain.hear(&out);
        let told = ClientEvent::Rejected {
            code,
            description,
            redirect: None,
        };
        assert_eq!(chain.heard_by_client.last(), Some(&told));
    }
}

/// A connection written by hand, after a handshake.
struct Hand {
    out: Vec<u8>,
    reader: ChunkReader,
}

impl Hand {
    fn new() -> Self {
        Self {
            out: Vec::new(),
            reader: ChunkReader::new(1 << 20),
        }
    }

    fn command(&mut self, name: &str, id: f64, arguments: Vec<Value>, csid: u32, msid: u32) {
        let command = Command {
            name: name.to_owned(),
            transaction_id: id,
            object: Value::Null,
            arguments,
        };
        command.write(&mut self.out, csid, msid, 128);
    }

    fn read(&mut self, mut input: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(message) = self.reader.read(&mut input).expect("good bytes") {
            messages.push(message);
        }
        messages
    }
}

fn names(messages: &[Message]) -> Vec<String> {
    messages
        .iter()
        .filter_map(|message| Command::parse(message.type_id, &message.body).ok())
        .map(|command| {
            let info = command.arguments.first();
            let code = info.and_then(|info| info.get("code").and_then(Value::as_str));
            code.map_or_else(|| command.name.clone(), str::to_owned)
        })
        .collect()
}

fn middle_after_handshake() -> Middle {
    let mut middle = Middle::new(start());
    let mut hello = vec![3];
    hello.resize(1 + 1536 * 2, 0);
    middle.client_says(&hello).expect("a handshake");
    assert_eq!(middle.to_client.len(), 1 + 1536 * 2);
    middle.to_client.clear();
    middle
}

fn server_shakes_hands(middle: &mut Middle) {
    assert_eq!(middle.to_server.len(), 1 + 1536);
    middle.to_server.clear();
    let mut hello = vec![3];
    hello.resize(1 + 1536 * 2, 0);
    middle.server_says(&hello).expect("a handshake");
    middle.to_server.drain(..1536);
}

/// A server that numbers streams its own way and leaves answers out, and a client that says `publish` with nothing before.
#[test]
fn streams_are_renumbered_where_servers_count_otherwise() {
    let mut middle = middle_after_handshake();
    let (mut client, mut server) = (Hand::new(), Hand::new());
    client.command("connect", 1.0, Vec::new(), 3, 0);
    client.command("createStream", 2.0, Vec::new(), 3, 0);
    client.command("publish", 3.0, vec!["s".into(), "live".into()], 4, 1);
    middle.client_says(&client.out).expect("good");
    let told = client.read(&std::mem::take(&mut middle.to_client));
    assert_eq!(
        names(&told),
        ["NetConnection.Connect.Success", "_result"],
        "nothing is promised before the server has answered"
    );

    server_shakes_hands(&mut middle);
    assert_eq!(
        names(&server.read(&std::mem::take(&mut middle.to_server))),
        ["connect"]
    );
    server.command("_result", 1.0, vec![Value::Null], 3, 0);
    middle
        .server_says(&std::mem::take(&mut server.out))
        .expect("good");
    let told = server.read(&std::mem::take(&mut middle.to_server));
    assert_eq!(names(&told), ["releaseStream", "FCPublish", "createStream"]);
    server.command("_result", 2.0, vec![7.0.into()], 3, 0);
    middle
        .server_says(&std::mem::take(&mut server.out))
        .expect("good");
    let told = server.read(&std::mem::take(&mut middle.to_server));
    assert_eq!(names(&told), ["publish"]);
    assert_eq!(told.last().map(|message| message.msid), Some(7));
    let started = vec![
        ("level".to_owned(), "status".into()),
        ("code".to_owned(), "NetStream.Publish.Start".into()),
    ];
    server.command("onStatus", 0.0, vec![Value::Object(started)], 5, 7);
    middle
        .server_says(&std::mem::take(&mut server.out))
        .expect("good");
    let told = client.read(&std::mem::take(&mut middle.to_client));
    let starts = ["NetStream.Publish.Start", "NetStream.Publish.Start"];
    assert_eq!(names(&told), starts, "onFCPublish and onStatus");
    assert_eq!(told.last().map(|message| message.msid), Some(1));

    assert!(matches!(middle.path, Some(Path::Messages(_))));
    // media, on chunk streams of every form
    let mut sent = Vec::new();
    for (csid, size) in [(6, 300), (64, 1), (320, 70_000), (65_599, 2)] {
        let mut bytes = Vec::new();
        write_message(&mut bytes, csid, 5, type_id::VIDEO, 1, &vec![9; size], 128);
        middle.client_says(&bytes).expect("good");
        sent.push((csid, size));
    }
    let got = server.read(&std::mem::take(&mut middle.to_server));
    let got: Vec<_> = got
        .iter()
        .filter(|message| message.type_id == type_id::VIDEO && message.msid == 7)
        .map(|message| (message.csid, message.body.len()))
        .collect();
    assert_eq!(got, sent);
    // an event about the stream has its number in the body
    let mut bytes = Vec::new();
    Control::User(UserControl::StreamEof(7)).write(&mut bytes, 128);
    middle.server_says(&bytes).expect("good");
    let got = client.read(&std::mem::take(&mut middle.to_client));
    let got = got
        .last()
        .map(|message| Control::parse(message).expect("good"));
    assert_eq!(got, Some(Some(Control::User(UserControl::StreamEof(1)))));
    // and so has deleteStream
    client.out.clear();
    client.command("deleteStream", 0.0, vec![1.0.into()], 3, 0);
    middle.client_says(&client.out).expect("good");
    let got = server.read(&std::mem::take(&mut middle.to_server));
    let got = got.last().expect("passed on");
    let got = Command::parse(got.type_id, &got.body).expect("a command");
    assert_eq!(
        (got.name.as_str(), got.number(0)),
        ("deleteStream", Some(7.0))
    );
}

#[test]
fn each_hop_acknowledges_and_pongs_when_messages_are_passed_on() {
    let mut middle = middle_after_handshake();
    let mut client = Hand::new();
    client.command("connect", 1.0, Vec::new(), 3, 0);
    client.command("createStream", 2.0, Vec::new(), 3, 0);
    client.command("createStream", 3.0, Vec::new(), 3, 0);
    client.command("play", 4.0, vec!["s".into()], 8, 2);
    middle.client_says(&client.out).expect("good");
    server_shakes_hands(&mut middle);
    let mut server = Hand::new();
    server.command("_result", 1.0, vec![Value::Null], 3, 0);
    server.command("_result", 3.0, vec![1.0.into()], 3, 0);
    // media without a word
    write_message(&mut server.out, 6, 0, type_id::AUDIO, 1, &[1, 2], 128);
    middle
        .server_says(&std::mem::take(&mut server.out))
        .expect("good");
    assert!(matches!(middle.path, Some(Path::Messages(_))));
    let told = client.read(&std::mem::take(&mut middle.to_client));
    let statuses = names(&told);
    assert!(
        statuses.ends_with(&["NetStream.Play.Reset".into(), "NetStream.Play.Start".into()]),
        "{statuses:?}"
    );
    let audio = told.last().expect("the audio");
    assert_eq!((audio.type_id, audio.msid), (type_id::AUDIO, 2));

    let mut bytes = Vec::new();
    Control::WindowAckSize(1000).write(&mut bytes, 128);
    Control::User(UserControl::PingRequest(77)).write(&mut bytes, 128);
    write_message(&mut bytes, 6, 0, type_id::AUDIO, 1, &[0; 1000], 128);
    let _ = server.read(&std::mem::take(&mut middle.to_server));
    middle.server_says(&bytes).expect("good");
    let answers = server.read(&std::mem::take(&mut middle.to_server));
    let answers: Vec<_> = answers
        .iter()
        .filter_map(|message| Control::parse(message).expect("good"))
        .collect();
    assert!(answers.contains(&Control::User(UserControl::PingResponse(77))));
    assert!(
        answers
            .iter()
            .any(|answer| matches!(answer, Control::Acknowledgement(read) if *read > 1000))
    );
}

#[test]
fn each_step_has_its_deadline() {
    let now = start();
    let mut opening = Opening::new(OpeningConfig::default(), now, 1);
    let due = opening.deadline().expect("a deadline");
    assert!(opening.handle_timeout(now).is_ok());
    assert!(matches!(
        opening.handle_timeout(due),
        Err(Error::Timeout { .. })
    ));
    let middle = middle_after_handshake();
    let mut opening = middle.opening.expect("still open");
    let due = opening.deadline().expect("a deadline");
    assert!(matches!(
        opening.handle_timeout(due),
        Err(Error::Timeout {
            phase: crate::Phase::Connect,
            ..
        })
    ));
}

#[test]
fn what_has_no_place_before_publish_does_no_harm() {
    let mut middle = middle_after_handshake();
    let mut client = Hand::new();
    let mut bytes = Vec::new();
    Control::Acknowledgement(3073).write(&mut bytes, 128);
    write_message(&mut bytes, 6, 0, type_id::AUDIO, 0, &[], 128);
    write_message(&mut bytes, 9, 0, 99, 0, &[1, 2, 3], 128);
    client.out = bytes;
    client.command("unheardOf", 9.0, Vec::new(), 3, 0);
    client.command("connect", 1.0, Vec::new(), 3, 0);
    client.command("getStreamLength", 2.0, vec!["s".into()], 3, 0);
    client.command("_checkbw", 3.0, Vec::new(), 3, 0);
    middle.client_says(&client.out).expect("no harm");
    let told = client.read(&middle.to_client);
    assert_eq!(names(&told), ["NetConnection.Connect.Success", "_result"]);
    assert!(middle.request.is_none());
}

/// C40 to C43, C49: each command before `publish` has its answer, also in messages of AMF3; the server hears it as it was.
#[test]
fn what_comes_before_publish_has_its_answer() {
    let mut middle = middle_after_handshake();
    let (mut client, mut server) = (Hand::new(), Hand::new());
    for (id, name, argument) in [
        (1.0, "connect", None),
        (2.0, "releaseStream", Some("s")),
        (3.0, "FCPublish", Some("s")),
        (4.0, "createStream", None),
        (5.0, "getStreamLength", Some("s")),
    ] {
        let command = Command {
            name: name.to_owned(),
            transaction_id: id,
            object: Value::Null,
            arguments: argument.into_iter().map(Value::from).collect(),
        };
        let body = [&[0], command.body().as_slice()].concat();
        let kind = type_id::COMMAND_AMF3;
        write_message(&mut client.out, 3, 0, kind, 0, &body, 128);
    }
    middle.client_says(&client.out).expect("good");
    let told = client.read(&std::mem::take(&mut middle.to_client));
    let controls: Vec<_> = told.iter().flat_map(Control::parse).flatten().collect();
    assert!(controls.contains(&Control::WindowAckSize(2_500_000)));
    // no server takes less, so that what it says later makes no sender shrink
    assert_eq!(client.reader.chunk_size(), 128);
    let answers: Vec<Command> = told
        .iter()
        .filter_map(|message| Command::parse(message.type_id, &message.body).ok())
        .collect();
    assert!(answers.iter().all(|answer| answer.name == "_result"));
    let ids = answers.iter().map(|answer| answer.transaction_id);
    assert_eq!(ids.collect::<Vec<_>>(), [1.0, 2.0, 3.0, 4.0]);
    let data = answers[0].arguments[0].get("data").expect("who answers");
    assert!(data.get("srs_version").is_some());
    assert_eq!(data.get("srs_id").and_then(Value::as_str), Some("5e55"));
    assert_eq!(answers[3].number(0), Some(1.0));

    let arguments = vec!["s".into(), "live".into()];
    client.out.clear();
    client.command("publish", 6.0, arguments, 4, 1);
    middle.client_says(&client.out).expect("good");
    server_shakes_hands(&mut middle);
    let heard = server.read(&std::mem::take(&mut middle.to_server));
    assert_eq!(names(&heard), ["connect"]);
    let command = heard
        .iter()
        .find(|message| names(&[(*message).clone()]).len() == 1);
    assert_eq!(
        command.map(|message| message.type_id),
        Some(type_id::COMMAND_AMF3)
    );
}

/// C47: a server hears a player's opening in its order, the name with its parameters.
#[test]
fn a_players_opening_is_said_in_its_order() {
    let mut middle = middle_after_handshake();
    let (mut client, mut server) = (Hand::new(), Hand::new());
    client.command("connect", 1.0, Vec::new(), 3, 0);
    client.command("createStream", 2.0, Vec::new(), 3, 0);
    client.command("play", 3.0, vec!["s?token=1".into()], 8, 1);
    middle.client_says(&client.out).expect("good");
    server_shakes_hands(&mut middle);
    for (told, answer) in [
        ("connect", Some((1.0, Value::Null))),
        ("createStream", Some((2.0, 1.0.into()))),
        ("play", None),
    ] {
        let heard = server.read(&std::mem::take(&mut middle.to_server));
        assert_eq!(names(&heard), [told]);
        let Some((id, value)) = answer else {
            let play = Command::parse(type_id::COMMAND_AMF0, &heard[0].body).expect("play");
            assert_eq!(play.text(0), Some("s?token=1"));
            break;
        };
        server.command("_result", id, vec![value], 3, 0);
        let said = std::mem::take(&mut server.out);
        middle.server_says(&said).expect("good");
    }
}

#[test]
fn hostile_amf_is_the_clients_fault() {
    let mut middle = middle_after_handshake();
    let mut deep = vec![2, 0, 7];
    deep.extend(b"connect");
    deep.extend([0; 9]);
    deep.extend(std::iter::repeat_n([10, 0, 0, 0, 1], 5_000).flatten());
    let mut bytes = Vec::new();
    write_message(&mut bytes, 3, 0, type_id::COMMAND_AMF0, 0, &deep, 128);
    assert!(matches!(
        middle.client_says(&bytes),
        Err(Error::PeerMisbehaved {
            what: Misbehaviour::MalformedCommand(_),
            ..
        })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_judged_by_both_halves(bytes: Vec<u8>, piece in 1usize..64) {
        let mut middle = middle_after_handshake();
        for piece in bytes.chunks(piece) {
            if middle.client_says(piece).is_err() {
                break;
            }
        }
        let mut middle = middle_after_handshake();
        let mut client = Hand::new();
        client.command("connect", 1.0, Vec::new(), 3, 0);
        client.command("play", 4.0, vec!["s".into()], 8, 0);
        middle.client_says(&client.out).expect("good");
        server_shakes_hands(&mut middle);
        for piece in bytes.chunks(piece) {
            if middle.server_says(piece).is_err() {
                break;
            }
        }
    }

    /// Whatever headers a client compresses, what the server reads is what the client wrote.
    #[test]
    fn splits_change_nothing(piece in 1usize..5000) {
        let mut chain = Chain::new(ClientMode::Publish, piece);
        chain.settle();
        for (kind, time, body) in frames() {
            chain.client.send(kind, time, &body).expect("publishing");
        }
        chain.settle();
        let count = chain.heard_by_server.iter().filter(|event| matches!(event, Event::Media { .. }));
        prop_assert_eq!(count.count(), frames().len());
    }
}
