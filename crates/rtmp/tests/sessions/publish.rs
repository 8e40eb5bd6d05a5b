//! Publishing, client against server.

use proptest::prelude::*;
use weir_rtmp::command::{PublishKind, StatusCode};
use weir_rtmp::handshake::Form;
use weir_rtmp::handshake::digest::Schema;
use weir_rtmp::{ClientEvent, ClientMode, Error, Event, MediaKind, Misuse};

use crate::pair::{Pair, Raw, client_config, commands, messages};

fn publish_event() -> Event {
    Event::Publish {
        msid: 1,
        name: "cam?token=abc".to_owned(),
        kind: PublishKind::Live,
    }
}

#[test]
fn a_publisher_connects_sends_and_leaves() {
    let mut pair = Pair::new(client_config(ClientMode::Publish));
    pair.run();
    assert_eq!(
        pair.client_events,
        [ClientEvent::Connected, ClientEvent::Ready { msid: 1 }]
    );
    let Event::Connect(request) = &pair.server_events[0] else {
        panic!()
    };
    assert_eq!(
        (request.app.as_str(), request.tc_url.as_str()),
        ("live", "rtmp://origin.example/live")
    );
    assert_eq!(pair.server_events[1..], [publish_event()]);
    assert_eq!(
        (pair.client.deadline(), pair.server.deadline()),
        (None, None)
    );

    pair.server_events.clear();
    pair.client
        .send(MediaKind::Video, 0x0100_0000, &[0x17; 150_000])
        .unwrap();
    pair.client.send(MediaKind::Audio, 40, &[0xaf, 1]).unwrap();
    pair.client.close();
    pair.run();
    let seen: Vec<_> = pair
        .server_events
        .iter()
        .map(|event| match event {
            Event::Media {
                msid,
                kind,
                timestamp,
                body,
            } => {
                format!("{msid} {kind:?} {timestamp} {}", body.len())
            }
            other => format!("{other:?}"),
        })
        .collect();
    let expected = [
        "1 Video 16777216 150000",
        "1 Audio 40 2",
        "Unpublish { msid: 1, clean: true }",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_digest_handshake_publishes_too() {
    let config = client_config(ClientMode::Publish);
    let mut pair = Pair::new(weir_rtmp::ClientConfig {
        digest_handshake: true,
        ..config
    });
    pair.run();
    assert_eq!(
        pair.client.handshake_form(),
        Some(Form::Digest(Schema::One))
    );
    assert_eq!(
        pair.server.handshake_form(),
        Some(Form::Digest(Schema::One))
    );
    assert_eq!(
        pair.client_events.last(),
        Some(&ClientEvent::Ready { msid: 1 })
    );
}

#[test]
fn what_is_sent_coalesces() {
    // C2 and connect leave in one piece, as do S0, S1 and S2
    let mut pair = Pair::new(client_config(ClientMode::Publish));
    let mut bytes = Vec::new();
    pair.client.take_output(&mut bytes);
    assert_eq!(bytes.len(), 1537);
    assert_eq!(
        pair.server.handle_input(pair.now, &mut &bytes[..]),
        Ok(None)
    );
    bytes.clear();
    pair.server.take_output(&mut bytes);
    assert_eq!(bytes.len(), 3073);
    assert_eq!(
        pair.client.handle_input(pair.now, &mut &bytes[..]),
        Ok(None)
    );
    bytes.clear();
    pair.client.take_output(&mut bytes);
    assert_eq!(messages(&bytes[1536..], 128).len(), 1);
}

#[test]
fn a_second_publisher_hears_bad_name() {
    let mut pair = Pair::new(client_config(ClientMode::Publish));
    pair.run();
    let mut raw = Raw::connected();
    raw.command(0, "createStream", 4.0, &[]).unwrap();
    let mut out = Vec::new();
    crate::pair::command("publish", 5.0, &["cam".into()]).write(&mut out, 3, 1, 128);
    let event = raw.server.handle_input(raw.now, &mut &out[..]).unwrap();
    assert!(matches!(event, Some(Event::Publish { msid: 1, .. })));
    assert!(raw.server.awaits_decision());
    raw.replies();
    raw.server
        .reject_publish(1, StatusCode::PublishBadName, "taken")
        .unwrap();
    let reply = raw.replies().remove(0);
    let information = reply.arguments[0].properties().unwrap();
    let words: Vec<_> = information
        .iter()
        .filter_map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(words, ["error", "NetStream.Publish.BadName", "taken"]);
    assert!(!raw.server.awaits_decision());
}

#[test]
fn a_rejected_client_knows_why_and_is_over() {
    let mut pair = Pair::new(client_config(ClientMode::Publish));
    let mut rejected = None;
    for _ in 0..4 {
        let (mut up, mut down) = (Vec::new(), Vec::new());
        pair.client.take_output(&mut up);
        let mut input = &up[..];
        while let Some(event) = pair.server.handle_input(pair.now, &mut input).unwrap() {
            if matches!(event, Event::Connect(_)) {
                pair.server
                    .reject_connect(StatusCode::ConnectInvalidApp, "no such app")
                    .unwrap();
            }
        }
        pair.server.take_output(&mut down);
        let mut input = &down[..];
        while let Some(event) = pair.client.handle_input(pair.now, &mut input).unwrap() {
            rejected = Some(event);
        }
    }
    let expected = ClientEvent::Rejected {
        code: "NetConnection.Connect.InvalidApp".to_owned(),
        description: "no such app".to_owned(),
        redirect: None,
    };
    assert_eq!(rejected, Some(expected));
    assert_eq!(
        (pair.client.deadline(), pair.server.deadline()),
        (None, None)
    );
    assert_eq!(
        pair.client.handle_input(pair.now, &mut &b"more"[..]),
        Ok(None)
    );
    assert_eq!(
        pair.server.handle_input(pair.now, &mut &b"more"[..]),
        Ok(None)
    );
}

#[test]
fn input_waits_for_the_answer_to_a_request() {
    let mut raw = Raw::connected();
    raw.command(0, "createStream", 4.0, &[]).unwrap();
    let mut wire = Vec::new();
    crate::pair::command("publish", 5.0, &["cam".into()]).write(&mut wire, 3, 1, 128);
    let publish_len = wire.len();
    weir_rtmp::chunk::write_message(&mut wire, 6, 0, 8, 1, &[0xaf], 128);
    let mut input = &wire[..];
    assert!(
        raw.server
            .handle_input(raw.now, &mut input)
            .unwrap()
            .is_some()
    );
    assert_eq!(raw.server.handle_input(raw.now, &mut input), Ok(None));
    assert_eq!(input.len(), wire.len() - publish_len);
    raw.server.accept_publish(1).unwrap();
    let event = raw.server.handle_input(raw.now, &mut input).unwrap();
    assert!(matches!(
        event,
        Some(Event::Media {
            kind: MediaKind::Audio,
            ..
        })
    ));
    let misuse = Err(Error::Misuse(Misuse::NothingToAnswer));
    assert_eq!(raw.server.accept_publish(1), misuse);
    assert_eq!(raw.server.accept_connect(), misuse);
    assert_eq!(raw.server.accept_play(1), misuse);
}

#[test]
fn unpublish_comes_once_however_often_it_is_said() {
    let mut raw = Raw::publishing();
    let mut events = raw.command(0, "FCUnpublish", 6.0, &["cam".into()]).unwrap();
    events.extend(raw.command(1, "closeStream", 0.0, &[]).unwrap());
    events.extend(raw.command(0, "deleteStream", 0.0, &[1.0.into()]).unwrap());
    assert_eq!(
        events,
        [Event::Unpublish {
            msid: 1,
            clean: true
        }]
    );
    // media behind the end is dropped
    assert_eq!(raw.message(8, 1, 0, &[0xaf]), Ok(Vec::new()));
}

#[test]
fn a_new_publish_on_the_stream_ends_the_old_one() {
    let mut raw = Raw::publishing();
    let events = raw
        .command(1, "publish", 0.0, &["other".into(), "append".into()])
        .unwrap();
    let expected = [
        Event::Unpublish {
            msid: 1,
            clean: false,
        },
        Event::Publish {
            msid: 1,
            name: "other".to_owned(),
            kind: PublishKind::Append,
        },
    ];
    assert_eq!(events, expected);
}

#[test]
fn aggregates_and_amf3_data_come_as_plain_media() {
    let mut raw = Raw::publishing();
    let tag = |type_id: u8, time: u8, body: &[u8]| {
        let head = [type_id, 0, 0, body.len() as u8, 0, 0, time, 0, 0, 0, 0];
        [&head[..], body, &[0, 0, 0, 11 + body.len() as u8]].concat()
    };
    let body = [
        tag(8, 10, b"aa"),
        tag(9, 30, b"v"),
        tag(15, 31, b"\0\x02\0\x01x"),
    ]
    .concat();
    let events = raw.message(22, 1, 1000, &body).unwrap();
    let seen: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Media {
                kind,
                timestamp,
                body,
                ..
            } => (*kind, *timestamp, body.to_vec()),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        (MediaKind::Audio, 1000, b"aa".to_vec()),
        (MediaKind::Video, 1020, b"v".to_vec()),
        (MediaKind::Data, 1021, b"\x02\0\x01x".to_vec()),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn received_bytes_are_acknowledged_each_window() {
    let mut raw = Raw::publishing();
    raw.message(5, 0, 0, &10_000u32.to_be_bytes()).unwrap();
    raw.server.take_output(&mut Vec::new());
    raw.message(9, 1, 0, &[0; 9_000]).unwrap();
    let mut out = Vec::new();
    raw.server.take_output(&mut out);
    let acks = messages(&out, raw.server.chunk_size());
    assert_eq!(
        acks.iter()
            .map(|message| message.type_id)
            .collect::<Vec<_>>(),
        [3]
    );
    assert_eq!(
        acks[0].body[..],
        (raw.server.bytes_in() as u32).to_be_bytes()
    );
    raw.message(9, 1, 0, &[0; 5_000]).unwrap();
    out.clear();
    raw.server.take_output(&mut out);
    assert!(out.is_empty());
}

#[test]
fn flash_era_commands_are_answered() {
    let mut raw = Raw::connected();
    for (id, name) in [
        (2.0, "releaseStream"),
        (3.0, "FCPublish"),
        (9.0, "_checkbw"),
    ] {
        raw.command(0, name, id, &["cam".into()]).unwrap();
    }
    raw.command(0, "getStreamLength", 10.0, &["cam".into()])
        .unwrap();
    let answers: Vec<_> = raw
        .replies()
        .into_iter()
        .map(|c| (c.name, c.transaction_id))
        .collect();
    let expected = [
        ("_result", 2.0),
        ("_result", 3.0),
        ("onFCPublish", 0.0),
        ("_result", 9.0),
        ("_result", 10.0),
    ]
    .map(|(name, id)| (name.to_owned(), id));
    assert_eq!(answers, expected);
}

#[test]
fn the_answer_to_connect_has_its_order_and_chunk_sizes() {
    let mut raw = Raw::new();
    raw.command(0, "connect", 1.0, &[]).unwrap();
    let mut out = Vec::new();
    raw.server.take_output(&mut out);
    let types: Vec<_> = messages(&out, 128).iter().map(|m| m.type_id).collect();
    // Set Chunk Size (1) stands third and is applied by the reader
    assert_eq!(types, [5, 6, 4, 20]);
    let result = commands(&out, 128).remove(0);
    assert_eq!(
        (result.name.as_str(), result.transaction_id),
        ("_result", 1.0)
    );
    assert_eq!(
        result.object.get("capabilities").and_then(|v| v.as_f64()),
        Some(31.0)
    );
    assert_eq!(
        result.arguments[0]
            .get("objectEncoding")
            .and_then(|v| v.as_f64()),
        Some(0.0)
    );
    assert!(result.object.get("fourCcList").is_none());
}

proptest! {
    #[test]
    fn media_arrives_whatever_the_pieces(
        step in 1usize..5000,
        bodies in proptest::collection::vec((0u8..3, any::<u32>(), 0usize..3000), 1..10),
    ) {
        let mut pair = Pair::new(client_config(ClientMode::Publish));
        pair.step = step;
        pair.run();
        prop_assert_eq!(&pair.server_events[1..], &[publish_event()][..]);
        pair.server_events.clear();
        let mut sent = Vec::new();
        for (kind, time, len) in bodies {
            let kind = [MediaKind::Audio, MediaKind::Video, MediaKind::Data][usize::from(kind)];
            let body = vec![len as u8; len];
            pair.client.send(kind, time, &body).unwrap();
            sent.push(Event::Media { msid: 1, kind, timestamp: time, body: body.into() });
        }
        pair.run();
        prop_assert_eq!(&pair.server_events, &sent);
    }
}
