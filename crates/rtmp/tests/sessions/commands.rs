//! Servers and clients that do things in other ways.

use weir_container::amf::Value;
use weir_rtmp::chunk::write_message;
use weir_rtmp::command::Command;
use weir_rtmp::message::Control;
use weir_rtmp::{ClientEvent, ClientMode, ClientSession, Event, MediaKind};

use crate::pair::{Raw, client_config, command, commands, start};

/// A client whose handshake is done, against a server that the test writes.
fn client(mode: ClientMode) -> ClientSession {
    let mut client = ClientSession::new(client_config(mode), start(), 1);
    let mut bytes = Vec::new();
    client.take_output(&mut bytes);
    let answer = [&[3][..], &[7; 1536], &bytes[1..]].concat();
    assert_eq!(client.handle_input(start(), &mut &answer[..]), Ok(None));
    client.take_output(&mut Vec::new());
    client
}

fn hear(client: &mut ClientSession, bytes: &[u8]) -> Vec<ClientEvent> {
    let mut input = bytes;
    let mut events = Vec::new();
    while let Some(event) = client.handle_input(start(), &mut input).unwrap() {
        events.push(event);
    }
    events
}

fn say(client: &mut ClientSession, command: &Command) -> Vec<ClientEvent> {
    let mut bytes = Vec::new();
    command.write(&mut bytes, 3, 0, 128);
    hear(client, &bytes)
}

fn status(code: &str, level: &str) -> Command {
    let object = vec![
        ("level".to_owned(), level.into()),
        ("code".to_owned(), code.into()),
    ];
    command("onStatus", 0.0, &[Value::Object(object)])
}

#[test]
fn a_server_with_odd_numbers_is_understood() {
    let mut client = client(ClientMode::Publish);
    let mut size = Vec::new();
    Control::SetChunkSize(4096).write(&mut size, 128);
    assert_eq!(hear(&mut client, &size), []);
    let mut bytes = Vec::new();
    command("_result", 0.0, &[]).write(&mut bytes, 3, 0, 4096);
    // an _error to releaseStream, and createStream's answer with another transaction id and message stream 5
    command("_error", 2.0, &[]).write(&mut bytes, 3, 0, 4096);
    command("_result", 3.0, &[Value::Undefined]).write(&mut bytes, 3, 0, 4096);
    command("_result", 17.0, &[5.0.into()]).write(&mut bytes, 3, 0, 4096);
    // the status comes on message stream 0
    status("NetStream.Publish.Start", "status").write(&mut bytes, 5, 0, 4096);
    let events = hear(&mut client, &bytes);
    assert_eq!(
        events,
        [ClientEvent::Connected, ClientEvent::Ready { msid: 5 }]
    );
    assert_eq!(client.writer_params(), Some((5, 60_000)));

    let mut sent = Vec::new();
    client.take_output(&mut sent);
    let names: Vec<_> = commands(&sent, 128)
        .into_iter()
        .map(|command| command.name)
        .collect();
    assert_eq!(
        names,
        ["releaseStream", "FCPublish", "createStream", "publish"]
    );
}

#[test]
fn a_redirect_is_told() {
    let mut client = client(ClientMode::Play);
    let ex = vec![
        ("code".to_owned(), 302.0.into()),
        ("redirect".to_owned(), "rtmp://other.example/live".into()),
    ];
    let information = vec![
        ("level".to_owned(), "error".into()),
        ("code".to_owned(), "NetConnection.Connect.Rejected".into()),
        ("description".to_owned(), "elsewhere".into()),
        ("ex".to_owned(), Value::Object(ex)),
    ];
    let events = say(
        &mut client,
        &command("_error", 1.0, &[Value::Object(information)]),
    );
    let [
        ClientEvent::Rejected {
            code,
            redirect: Some(redirect),
            ..
        },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(code, "NetConnection.Connect.Rejected");
    assert_eq!(redirect.url, "rtmp://other.example/live");
}

#[test]
fn media_without_a_start_starts_the_stream() {
    let mut client = client(ClientMode::Play);
    say(&mut client, &command("_result", 1.0, &[]));
    say(&mut client, &command("_result", 4.0, &[1.0.into()]));
    let mut media = Vec::new();
    write_message(&mut media, 6, 9, 8, 1, &[0xaf], 128);
    let body = vec![0xaf].into();
    let media_event = ClientEvent::Media {
        kind: MediaKind::Audio,
        timestamp: 9,
        body,
    };
    assert_eq!(
        hear(&mut client, &media),
        [ClientEvent::Ready { msid: 1 }, media_event]
    );
    assert_eq!(client.deadline(), None);
}

#[test]
fn errors_before_and_after_the_start_differ() {
    let mut client = client(ClientMode::Publish);
    say(&mut client, &command("_result", 1.0, &[]));
    say(&mut client, &command("_result", 4.0, &[1.0.into()]));
    say(&mut client, &status("NetStream.Publish.Start", "status"));
    let events = say(&mut client, &status("NetStream.Publish.Denied", "error"));
    let code = "NetStream.Publish.Denied".to_owned();
    assert_eq!(events, [ClientEvent::StreamEnded { code }]);
}

#[test]
fn createstream_may_come_before_the_answer_to_connect() {
    let mut raw = Raw::new();
    let mut wire = Vec::new();
    command("connect", 1.0, &[]).write(&mut wire, 3, 0, 128);
    command("createStream", 2.0, &[]).write(&mut wire, 3, 0, 128);
    command("play", 3.0, &["cam".into()]).write(&mut wire, 3, 1, 128);
    let events = raw.send(&wire).unwrap();
    assert!(matches!(
        events[..],
        [Event::Connect(_), Event::Play { msid: 1, .. }]
    ));
    let names: Vec<_> = raw.codes().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["_result", "_result", "onStatus", "onStatus"]);
}

#[test]
fn amf3_commands_are_understood() {
    let mut raw = Raw::new();
    let mut body = vec![0];
    weir_container::amf::amf0::write_string("connect", &mut body);
    weir_container::amf::amf0::write_number(1.0, &mut body);
    let object = vec![
        ("app".to_owned(), "a".into()),
        ("objectEncoding".to_owned(), 3.0.into()),
    ];
    weir_container::amf::amf0::encode(&Value::Object(object), &mut body);
    let events = raw.message(17, 0, 0, &body).unwrap();
    assert!(matches!(&events[..], [Event::Connect(request)] if request.object_encoding == 3));
    assert_eq!(raw.server.object_encoding(), 3);
    let result = raw.replies().remove(0);
    assert_eq!(
        result.arguments[0]
            .get("objectEncoding")
            .and_then(Value::as_f64),
        Some(3.0)
    );
}

#[test]
fn enhanced_peers_hear_what_the_server_forwards() {
    let mut raw = Raw::new();
    let list = Value::StrictArray(vec!["hvc1".into()]);
    let object = vec![
        ("app".to_owned(), "a".into()),
        ("fourCcList".to_owned(), list),
    ];
    let connect = Command {
        object: Value::Object(object),
        ..command("connect", 1.0, &[])
    };
    let mut wire = Vec::new();
    connect.write(&mut wire, 3, 0, 128);
    raw.send(&wire).unwrap();
    let result = raw.replies().remove(0);
    for object in [&result.object, &result.arguments[0]] {
        assert_eq!(object.get("capsEx").and_then(Value::as_f64), Some(14.0));
        assert!(
            object
                .get("videoFourCcInfoMap")
                .unwrap()
                .get("av01")
                .is_some()
        );
    }
}

#[test]
fn several_message_streams_live_on_one_connection() {
    let mut raw = Raw::publishing();
    raw.command(0, "createStream", 7.0, &[]).unwrap();
    let created = raw.replies().remove(0);
    assert_eq!(created.arguments, [Value::Number(2.0)]);
    let events = raw.command(2, "play", 0.0, &["cam".into()]).unwrap();
    assert!(matches!(events[..], [Event::Play { msid: 2, .. }]));
    let events = raw.message(9, 1, 5, &[0x17]).unwrap();
    assert!(matches!(events[..], [Event::Media { msid: 1, .. }]));
    for _ in 0..14 {
        raw.command(0, "createStream", 7.0, &[]).unwrap();
    }
    raw.replies();
    raw.command(0, "createStream", 8.0, &[]).unwrap();
    assert_eq!(
        raw.codes(),
        [("_error".to_owned(), "NetConnection.Call.Failed".to_owned())]
    );
}

#[test]
fn what_is_well_formed_but_wrong_is_refused_and_the_session_goes_on() {
    let mut raw = Raw::connected();
    raw.command(0, "launchMissiles", 9.0, &[]).unwrap();
    raw.command(0, "launchMissiles", 0.0, &[]).unwrap();
    raw.command(0, "connect", 10.0, &[]).unwrap();
    raw.command(1, "publish", 0.0, &["cam".into()]).unwrap();
    raw.command(1, "play", 0.0, &["cam".into()]).unwrap();
    raw.command(0, "createStream", 11.0, &[]).unwrap();
    raw.command(1, "publish", 0.0, &[7.0.into()]).unwrap();
    raw.command(1, "play", 0.0, &[Value::Null]).unwrap();
    raw.command(1, "pause", 0.0, &["x".into()]).unwrap();
    raw.command(0, "deleteStream", 0.0, &[(-1.0).into()])
        .unwrap();
    raw.command(0, "deleteStream", 0.0, &[f64::NAN.into()])
        .unwrap();
    let codes: Vec<_> = raw.codes().into_iter().map(|(_, code)| code).collect();
    let expected = [
        "NetConnection.Call.Failed",
        "NetConnection.Call.Failed",
        "NetStream.Failed",
        "NetStream.Failed",
        "",
        "NetStream.Publish.BadName",
        "NetStream.Play.Failed",
    ];
    assert_eq!(codes, expected);
    assert!(raw.server.is_connected());
}
