//! Clients and origins that misbehave.

use std::io::{Read, Write};
use std::net::TcpListener;

use weir_net::admission::Limits;
use weir_rtmp::command::StatusCode;
use weir_rtmp::{ClientMode, MediaKind};

use crate::client::{Client, Seen, connect};
use crate::origin::{Heard, Manner, Origin, asked};
use crate::proxy::{Proxy, Wanted, quick};

/// C20, B23: without an origin the client is told so.
#[test]
fn without_an_origin_the_client_is_told() {
    let proxy = Proxy::start(&[], Wanted::default());
    for (mode, code) in [
        (ClientMode::Publish, "NetStream.Failed"),
        (ClientMode::Play, "NetStream.Play.Failed"),
    ] {
        let mut client = Client::dial(proxy.address, mode, "s");
        let (told, description) = client.rejected();
        assert_eq!(told, code);
        assert!(!description.contains("127.0.0.1"), "{description}");
        client.end();
    }
}

/// B23: an origin's refusal reaches the client with its code.
#[test]
fn a_refusal_reaches_the_client() {
    let table = [
        (
            ClientMode::Publish,
            Manner::Refuse(StatusCode::PublishBadName),
            "NetStream.Publish.BadName",
        ),
        (
            ClientMode::Publish,
            Manner::Refuse(StatusCode::PublishDenied),
            "NetStream.Publish.Denied",
        ),
        (
            ClientMode::Play,
            Manner::Refuse(StatusCode::PlayStreamNotFound),
            "NetStream.Play.StreamNotFound",
        ),
        (
            ClientMode::Play,
            Manner::RefuseConnect(StatusCode::ConnectRejected),
            "NetConnection.Connect.Rejected",
        ),
        (ClientMode::Publish, Manner::Close, "NetStream.Failed"),
        (ClientMode::Play, Manner::Close, "NetStream.Play.Failed"),
    ];
    for (mode, manner, code) in table {
        let (first, second) = (Origin::start(manner), Origin::start(manner));
        let proxy = Proxy::start(&[first.address, second.address], Wanted::default());
        let mut client = Client::dial(proxy.address, mode, "s");
        assert_eq!(client.rejected().0, code, "{manner:?}");
        client.end();
        let connected = |origin: &Origin| {
            let heard = origin.so_far();
            let event = |heard: &&Heard| matches!(heard, Heard::Event(_));
            heard.iter().filter(event).count()
        };
        let sessions = [&first, &second].map(connected);
        assert!(
            sessions.contains(&0),
            "one that has decided is the last one: {sessions:?}"
        );
    }
}

/// B1, B15: an origin that hangs, closes or talks nonsense costs a bounded time, and another one is taken.
#[test]
fn another_origin_is_taken_where_one_does_not_answer() {
    let manners = [
        Manner::Silent,
        Manner::SilentAfterHandshake,
        Manner::CloseAtOnce,
        Manner::Garbage,
    ];
    for manner in manners {
        let bad: Vec<_> = (0..2).map(|_| Origin::start(manner)).collect();
        let good = Origin::start(Manner::Well);
        let mut addresses: Vec<_> = bad.iter().map(|origin| origin.address).collect();
        addresses.push(good.address);
        let wanted = Wanted {
            settings: quick(),
            ..Wanted::default()
        };
        let proxy = Proxy::start(&addresses, wanted);
        for name in ["a", "b", "c"] {
            let mut publisher = Client::dial(proxy.address, ClientMode::Publish, name);
            publisher.ready();
            assert_eq!(good.wait(asked), name, "{manner:?}");
            let mut player = Client::dial(proxy.address, ClientMode::Play, name);
            player.ready();
            assert_eq!(good.wait(asked), name, "{manner:?}");
        }
    }
}

/// B1, B2: a port that nobody listens on any more.
#[test]
fn another_origin_is_taken_where_the_dial_fails() {
    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let good = Origin::start(Manner::Well);
    let proxy = Proxy::start(&[gone, good.address], Wanted::default());
    for index in 0..8 {
        let name = format!("s{index}");
        let mut publisher = Client::dial(proxy.address, ClientMode::Publish, &name);
        publisher.ready();
        assert_eq!(good.wait(asked), name);
    }
}

/// B15: with no other origin the client gets an error.
#[test]
fn a_silent_origin_is_an_error_in_bounded_time() {
    let origin = Origin::start(Manner::Silent);
    let wanted = Wanted {
        settings: quick(),
        ..Wanted::default()
    };
    let proxy = Proxy::start(&[origin.address], wanted);
    let mut client = Client::dial(proxy.address, ClientMode::Play, "s");
    assert_eq!(client.rejected().0, "NetStream.Play.Failed");
}

/// A client that leaves while its origin is silent is noticed.
#[test]
fn a_client_that_leaves_early_frees_its_origin() {
    let origin = Origin::start(Manner::SilentAfterHandshake);
    let mut wanted = Wanted::default();
    wanted.settings.answer = std::time::Duration::from_secs(3600);
    let proxy = Proxy::start(&[origin.address], wanted);
    let mut client = Client::dial(proxy.address, ClientMode::Play, "s");
    let socket = client.socket().try_clone().unwrap();
    let player = std::thread::spawn(move || while let Seen::Event(_) = client.next() {});
    let connect = |heard: &Heard| matches!(heard, Heard::Event(_)).then_some(());
    origin.wait(connect);
    socket.shutdown(std::net::Shutdown::Both).unwrap();
    player.join().unwrap();
    origin.wait(|heard| matches!(heard, Heard::Closed).then_some(()));
}

/// B14: each step of a client's opening has its time.
#[test]
fn silent_clients_are_closed() {
    let wanted = Wanted {
        settings: quick(),
        ..Wanted::default()
    };
    let proxy = Proxy::start(&[], wanted);
    let mut nothing = connect(proxy.address);
    let mut half = connect(proxy.address);
    half.write_all(&[3; 1000]).unwrap();
    let mut shaken = connect(proxy.address);
    let mut hello = vec![3];
    hello.resize(1 + 2 * 1536, 0);
    shaken.write_all(&hello).unwrap();
    for socket in [&mut nothing, &mut half, &mut shaken] {
        socket.read_to_end(&mut Vec::new()).unwrap();
    }
}

/// B11: what is no RTMP ends its own connection only.
#[test]
fn garbage_is_refused_and_others_are_served() {
    let origin = Origin::start(Manner::Well);
    let proxy = Proxy::start(&[origin.address], Wanted::default());
    let mut publisher = Client::dial(proxy.address, ClientMode::Publish, "s");
    publisher.ready();
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xff; 5000],
        b"\x16\x03\x01\x02\0\x01",
    ] {
        let mut socket = connect(proxy.address);
        socket.write_all(garbage).unwrap();
        let _ = socket.read_to_end(&mut Vec::new());
    }
    publisher.send(MediaKind::Audio, 1, &[0xaf, 1, 2]);
    let media =
        |heard: &Heard| matches!(heard, Heard::Event(weir_rtmp::Event::Media { .. })).then_some(());
    origin.wait(media);
}

/// B20: over the limit a client is told.
#[test]
fn over_the_limit_a_client_is_told() {
    let origin = Origin::start(Manner::Well);
    let wanted = Wanted {
        limits: Limits {
            sessions: 1,
            sessions_per_address: 0,
        },
        ..Wanted::default()
    };
    let proxy = Proxy::start(&[origin.address], wanted);
    let mut first = Client::dial(proxy.address, ClientMode::Publish, "s");
    first.ready();
    let mut second = Client::dial(proxy.address, ClientMode::Play, "s");
    let (code, description) = second.rejected();
    assert_eq!(code, "NetStream.Play.Failed");
    assert!(description.contains("limit of 1 session"), "{description}");
}
