//! Playing, client against server.

use proptest::prelude::*;
use weir_rtmp::chunk::write_message;
use weir_rtmp::command::StatusCode;
use weir_rtmp::{ClientEvent, ClientMode, Error, Event, MediaKind, Misuse};

use crate::pair::{Pair, Raw, client_config, messages};

/// A pair whose client plays on message stream 1.
fn playing() -> Pair {
    let mut pair = Pair::new(client_config(ClientMode::Play));
    pair.run();
    pair
}

/// Hands bytes that a shared log would send to the client.
fn to_client(pair: &mut Pair, bytes: &[u8]) -> Vec<ClientEvent> {
    let mut input = bytes;
    let mut events = Vec::new();
    while let Some(event) = pair.client.handle_input(pair.now, &mut input).unwrap() {
        events.push(event);
    }
    events
}

#[test]
fn a_player_hears_start_and_then_media() {
    let mut pair = playing();
    let ready = ClientEvent::Ready { msid: 1 };
    let access = b"\x02\x00\x11|RtmpSampleAccess\x01\x01\x01\x01";
    let data = ClientEvent::Media {
        kind: MediaKind::Data,
        timestamp: 0,
        body: access.to_vec().into(),
    };
    assert_eq!(pair.client_events, [ClientEvent::Connected, ready, data]);
    let name = "cam?token=abc".to_owned();
    let play = Event::Play {
        msid: 1,
        name,
        start: -2.0,
        duration: -1.0,
        reset: true,
    };
    assert_eq!(
        pair.server_events[1..],
        [
            play,
            Event::BufferLength {
                msid: 1,
                millis: 3000
            }
        ]
    );

    let mut log = Vec::new();
    write_message(
        &mut log,
        7,
        40,
        9,
        1,
        &[0x17; 70_000],
        pair.server.chunk_size(),
    );
    let body = vec![0x17; 70_000].into();
    let media = ClientEvent::Media {
        kind: MediaKind::Video,
        timestamp: 40,
        body,
    };
    assert_eq!(to_client(&mut pair, &log), [media]);
    assert!(pair.client.send(MediaKind::Audio, 0, &[]).is_err());

    pair.client.close();
    pair.server_events.clear();
    pair.run();
    assert_eq!(pair.server_events, [Event::StopPlay { msid: 1 }]);
}

#[test]
fn the_answer_to_play_has_its_order() {
    let mut raw = Raw::connected();
    raw.command(0, "createStream", 4.0, &[]).unwrap();
    raw.replies();
    let arguments = ["cam".into(), (-2.0).into(), (-1.0).into(), true.into()];
    raw.command(1, "play", 0.0, &arguments).unwrap();
    let mut out = Vec::new();
    raw.server.take_output(&mut out);
    let all = messages(&out, raw.server.chunk_size());
    let types: Vec<_> = all
        .iter()
        .map(|message| (message.type_id, message.msid))
        .collect();
    assert_eq!(types, [(4, 0), (20, 1), (20, 1), (18, 1)]);
    // without reset there is no NetStream.Play.Reset
    raw.command(
        1,
        "play",
        0.0,
        &["cam".into(), 0.0.into(), 0.0.into(), false.into()],
    )
    .unwrap();
    let codes = raw.codes();
    assert_eq!(
        codes,
        [("onStatus".to_owned(), "NetStream.Play.Start".to_owned())]
    );
}

#[test]
fn the_end_of_the_publisher_is_told_once_until_it_is_back() {
    let mut pair = playing();
    pair.server.notify_unpublished(1).unwrap();
    let mut bytes = Vec::new();
    pair.server.take_output(&mut bytes);
    let ended = ClientEvent::StreamEnded {
        code: "StreamEOF".to_owned(),
    };
    assert_eq!(to_client(&mut pair, &bytes), std::slice::from_ref(&ended));
    bytes.clear();
    let size = pair.server.chunk_size();
    weir_rtmp::server::write_stream_begin_and_publish_notify(&mut bytes, 1, size);
    assert_eq!(to_client(&mut pair, &bytes), []);
    bytes.clear();
    weir_rtmp::server::write_stream_eof_and_unpublish_notify(&mut bytes, 1, size);
    assert_eq!(to_client(&mut pair, &bytes), [ended]);
}

#[test]
fn a_play_that_is_refused_or_closed_is_told() {
    let mut raw = Raw::connected();
    raw.command(0, "createStream", 4.0, &[]).unwrap();
    let mut wire = Vec::new();
    crate::pair::command("play", 5.0, &["cam".into()]).write(&mut wire, 3, 1, 128);
    let event = raw.server.handle_input(raw.now, &mut &wire[..]).unwrap();
    assert!(matches!(event, Some(Event::Play { .. })));
    raw.replies();
    raw.server
        .reject_play(1, StatusCode::PlayStreamNotFound, "no such stream")
        .unwrap();
    let not_found = (
        "onStatus".to_owned(),
        "NetStream.Play.StreamNotFound".to_owned(),
    );
    assert_eq!(raw.codes(), [not_found]);

    let mut raw = Raw::playing();
    raw.server
        .close_play(1, StatusCode::PlayInsufficientBandwidth)
        .unwrap();
    let too_slow = (
        "onStatus".to_owned(),
        "NetStream.Play.InsufficientBW".to_owned(),
    );
    assert_eq!(raw.codes(), [too_slow]);
    let misuse = Err(Error::Misuse(Misuse::WrongStream));
    assert_eq!(raw.server.close_play(1, StatusCode::PlayStop), misuse);
    assert_eq!(raw.server.notify_unpublished(1), misuse);
}

#[test]
fn a_play_may_wait_while_the_player_goes_on_talking() {
    let mut raw = Raw::connected();
    raw.command(0, "createStream", 4.0, &[]).unwrap();
    let mut wire = Vec::new();
    crate::pair::command("play", 5.0, &["cam".into()]).write(&mut wire, 3, 1, 128);
    raw.server.handle_input(raw.now, &mut &wire[..]).unwrap();
    assert!(!raw.server.awaits_decision());
    let events = raw.command(0, "deleteStream", 0.0, &[1.0.into()]).unwrap();
    assert_eq!(events, [Event::StopPlay { msid: 1 }]);
    assert_eq!(
        raw.server.accept_play(1),
        Err(Error::Misuse(Misuse::NothingToAnswer))
    );
}

#[test]
fn what_a_player_may_ask() {
    let mut raw = Raw::playing();
    let pause = raw
        .command(1, "pause", 0.0, &[true.into(), 1000.0.into()])
        .unwrap();
    assert_eq!(
        pause,
        [Event::Pause {
            msid: 1,
            paused: true
        }]
    );
    let resume = raw
        .command(1, "pause", 0.0, &[false.into(), 1000.0.into()])
        .unwrap();
    assert_eq!(
        resume,
        [Event::Pause {
            msid: 1,
            paused: false
        }]
    );
    assert_eq!(raw.command(1, "seek", 0.0, &[5.0.into()]), Ok(Vec::new()));
    let audio = raw
        .command(1, "receiveAudio", 0.0, &[false.into()])
        .unwrap();
    assert_eq!(
        audio,
        [Event::ReceiveAudio {
            msid: 1,
            enabled: false
        }]
    );
    let video = raw.command(1, "receiveVideo", 0.0, &[true.into()]).unwrap();
    assert_eq!(
        video,
        [Event::ReceiveVideo {
            msid: 1,
            enabled: true
        }]
    );
    let codes: Vec<_> = raw.codes().into_iter().map(|(_, code)| code).collect();
    let expected = [
        "NetStream.Pause.Notify",
        "NetStream.Unpause.Notify",
        "NetStream.Seek.Failed",
    ];
    assert_eq!(codes, expected);
    let options = vec![("streamName".to_owned(), "low".into())];
    let switch = raw.command(
        1,
        "play2",
        0.0,
        &[weir_container::amf::Value::Object(options)],
    );
    let name = "low".to_owned();
    let play = Event::Play {
        msid: 1,
        name,
        start: -2.0,
        duration: -1.0,
        reset: true,
    };
    assert_eq!(switch.unwrap(), [Event::StopPlay { msid: 1 }, play]);
}

#[test]
fn pings_are_answered_by_both_sides() {
    let ping = weir_rtmp::message::UserControl::PingRequest(77);
    let mut raw = Raw::playing();
    let mut bytes = Vec::new();
    weir_rtmp::message::Control::User(ping).write(&mut bytes, 128);
    raw.send(&bytes).unwrap();
    let mut pair = playing();
    to_client(&mut pair, &bytes);
    let (mut from_server, mut from_client) = (Vec::new(), Vec::new());
    raw.server.take_output(&mut from_server);
    pair.client.take_output(&mut from_client);
    for answer in [from_server, from_client] {
        assert_eq!(messages(&answer, 128)[0].body[..], [0, 7, 0, 0, 0, 77]);
    }
}

proptest! {
    #[test]
    fn a_stream_is_played_whatever_the_pieces(step in 1usize..5000) {
        let mut pair = Pair::new(client_config(ClientMode::Play));
        pair.step = step;
        pair.run();
        let ready = ClientEvent::Ready { msid: 1 };
        prop_assert!(pair.client_events.contains(&ready));
    }
}
