//! Peers that are slow, wrong or hostile.

use std::time::Duration;

use proptest::prelude::*;
use weir_rtmp::server::MAX_PENDING_OUTPUT;
use weir_rtmp::{
    ClientMode, ClientSession, Error, Event, Misbehaviour, Misuse, Phase, ServerConfig,
    ServerSession,
};

use crate::pair::{Pair, Raw, client_config, command, feed, start};

fn fault(result: Result<Vec<Event>, Error>) -> Misbehaviour {
    match result {
        Err(Error::PeerMisbehaved { what, .. }) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_byte_at_a_time_is_enough() {
    let mut pair = Pair::new(client_config(ClientMode::Publish));
    pair.step = 1;
    pair.run();
    assert!(matches!(
        pair.server_events[..],
        [Event::Connect(_), Event::Publish { .. }]
    ));
}

#[test]
fn half_a_handshake_times_out() {
    let now = start();
    let config = ServerConfig::default();
    let mut server = ServerSession::new(config, now, 1);
    feed(&mut server, now, &[&[3][..], &[0; 700]].concat()).unwrap();
    let deadline = server.deadline().unwrap();
    assert_eq!(deadline, now + config.handshake_timeout);
    assert_eq!(
        server.handle_timeout(deadline - Duration::from_millis(1)),
        Ok(())
    );
    let limit = config.handshake_timeout;
    let timeout = Err(Error::Timeout {
        phase: Phase::Handshake,
        limit,
    });
    assert_eq!(server.handle_timeout(deadline), timeout);
    assert_eq!(
        feed(&mut server, deadline, &[0]),
        Err(Error::Misuse(Misuse::Over))
    );
    assert_eq!(server.deadline(), None);
}

#[test]
fn each_phase_has_its_deadline() {
    let mut raw = Raw::new();
    let config = ServerConfig::default();
    assert_eq!(
        raw.server.deadline(),
        Some(raw.now + config.connect_timeout)
    );
    raw.now += Duration::from_secs(5);
    raw.command(0, "connect", 1.0, &[]).unwrap();
    assert_eq!(
        raw.server.deadline(),
        Some(raw.now + config.request_timeout)
    );
    raw.command(0, "createStream", 2.0, &[]).unwrap();
    let timeout = raw.server.handle_timeout(raw.now + config.request_timeout);
    assert!(matches!(
        timeout,
        Err(Error::Timeout {
            phase: Phase::Request,
            ..
        })
    ));

    let now = start();
    let mut client = ClientSession::new(client_config(ClientMode::Play), now, 1);
    let timeout = client.handle_timeout(client.deadline().unwrap());
    assert!(matches!(
        timeout,
        Err(Error::Timeout {
            phase: Phase::Handshake,
            ..
        })
    ));
    let mut pair = Pair::new(client_config(ClientMode::Play));
    pair.wait(Duration::from_secs(1));
    pair.run();
    assert_eq!(
        pair.client
            .handle_timeout(pair.now + Duration::from_secs(99)),
        Ok(())
    );
}

#[test]
fn commands_before_connect_end_the_session() {
    for name in ["publish", "play", "createStream"] {
        let mut raw = Raw::new();
        let result = raw.command(1, name, 1.0, &["cam".into()]);
        assert_eq!(fault(result), Misbehaviour::BeforeConnect(name.to_owned()));
        assert_eq!(raw.send(&[]), Err(Error::Misuse(Misuse::Over)));
    }
    // media before connect is nobody's
    assert_eq!(Raw::new().message(9, 1, 0, &[0x17]), Ok(Vec::new()));
}

#[test]
fn impossible_chunk_sizes_end_the_session() {
    for size in [0, 1 << 31] {
        let result = Raw::connected().message(1, 0, 0, &u32::to_be_bytes(size));
        assert_eq!(fault(result), Misbehaviour::ChunkSize(size));
    }
}

#[test]
fn malformed_commands_end_the_session() {
    let mut deep = Vec::new();
    weir_container::amf::amf0::write_string("call", &mut deep);
    weir_container::amf::amf0::write_number(1.0, &mut deep);
    deep.extend([3, 0, 1, b'x'].repeat(5_000));
    for body in [
        &deep[..],
        &[],
        &[5],
        &[2, 0, 9, b'p'],
        &[2, 0, 1, b'x', 0, 1],
    ] {
        let result = Raw::connected().message(20, 0, 0, body);
        assert!(matches!(fault(result), Misbehaviour::MalformedCommand(_)));
    }
    let result = Raw::connected().message(20, 0, 0, &[0; 65_537]);
    assert_eq!(fault(result), Misbehaviour::CommandTooLarge(65_537));
    let mut raw = Raw::publishing();
    let cut = [8, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1];
    assert_eq!(
        fault(raw.message(22, 1, 0, &cut)),
        Misbehaviour::MalformedAggregate
    );
    assert!(matches!(
        fault(Raw::connected().message(4, 0, 0, &[0])),
        Misbehaviour::ShortControl { .. }
    ));
}

#[test]
fn a_peer_that_does_not_read_its_answers_is_dropped() {
    let mut raw = Raw::connected();
    let mut wire = Vec::new();
    command("unknown", 5.0, &[]).write(&mut wire, 3, 0, 128);
    let error = loop {
        if let Err(error) = raw.send(&wire) {
            break error;
        }
        assert!(raw.server.memory() < 4 * MAX_PENDING_OUTPUT);
    };
    let what = Misbehaviour::UnreadReplies(MAX_PENDING_OUTPUT);
    assert!(matches!(error, Error::PeerMisbehaved { what: seen, .. } if seen == what));
}

#[test]
fn a_connected_session_is_small() {
    let mut raw = Raw::playing();
    assert!(raw.server.memory() < 1024, "{} bytes", raw.server.memory());
    raw.server.take_output(&mut Vec::new());
    let handshaking = ServerSession::new(ServerConfig::default(), start(), 1);
    assert!(handshaking.memory() < 4096);
}

#[test]
fn huge_messages_on_many_chunk_streams_stay_bounded() {
    let limit = ServerConfig::default().max_message_bytes as usize;
    let mut raw = Raw::connected();
    let mut error = None;
    for csid in 0..65_000u32 {
        // type 0 with a basic header of three bytes, 8 MiB announced, one chunk of it
        let [low, high] = (csid as u16).to_le_bytes();
        let header = [1, low, high, 0, 0, 0, 0x80, 0, 0, 9, 1, 0, 0, 0];
        error = raw.send(&[&header[..], &[0; 128]].concat()).err();
        assert!(raw.server.memory() < limit + 16_384);
        if error.is_some() {
            break;
        }
    }
    let Some(Error::PeerMisbehaved { what, .. }) = error else {
        panic!("{error:?}")
    };
    assert!(matches!(what, Misbehaviour::TooManyChunkStreams(_)));
}

proptest! {
    #[test]
    fn any_bytes_are_judged_by_a_server(
        behind_handshake: bool,
        bytes in proptest::collection::vec(any::<u8>(), 0..3000),
        step in 1usize..200,
    ) {
        let mut server = if behind_handshake {
            Raw::publishing().server
        } else {
            ServerSession::new(ServerConfig::default(), start(), 1)
        };
        for piece in bytes.chunks(step) {
            if feed(&mut server, start(), piece).is_err() {
                break;
            }
            prop_assert!(server.memory() < 9 << 20);
        }
    }

    #[test]
    fn any_messages_are_judged_by_both_sides(
        messages in proptest::collection::vec(
            (0u8..24, 0u32..3, proptest::collection::vec(any::<u8>(), 0..60)), 0..20),
    ) {
        let mut wire = Vec::new();
        for (type_id, msid, body) in &messages {
            weir_rtmp::chunk::write_message(&mut wire, 5, 0, *type_id, *msid, body, 128);
        }
        let _ = Raw::publishing().send(&wire);
        let mut pair = Pair::new(client_config(ClientMode::Play));
        pair.run();
        let mut size = Vec::new();
        weir_rtmp::message::Control::SetChunkSize(128).write(&mut size, 60_000);
        size.extend(wire);
        let mut input = &size[..];
        while let Ok(Some(_)) = pair.client.handle_input(pair.now, &mut input) {}
    }
}
