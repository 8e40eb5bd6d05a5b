//! What goes through.

use std::sync::atomic::Ordering;

use weir_proxy::settings::HandOver;
use weir_rtmp::{ClientMode, Event, MediaKind};

use crate::client::{Client, Seen, connect};
use crate::origin::{FRAMES, Heard, Manner, Origin, asked, frame};
use crate::proxy::{Proxy, Wanted};

/// C46, C48: names with their parameters and media reach the origin as they were sent.
#[test]
fn a_publisher_reaches_its_origin() {
    let origin = Origin::start(Manner::Well);
    let proxy = Proxy::start(&[origin.address], Wanted::default());
    let mut client = Client::dial(proxy.address, ClientMode::Publish, "s?token=1");
    assert_eq!(client.ready(), 1);
    assert_eq!(origin.wait(asked), "s?token=1");
    for (index, (time, length)) in FRAMES.into_iter().enumerate() {
        client.send(MediaKind::Video, time, &frame(index, length));
        let got = origin.wait(|heard| match heard {
            Heard::Event(Event::Media {
                kind,
                timestamp,
                body,
                ..
            }) => Some((*kind, *timestamp, body.to_vec())),
            _ => None,
        });
        assert_eq!(got, (MediaKind::Video, time, frame(index, length)));
    }
    let session = proxy.sessions.list().pop().unwrap();
    let about = session.about();
    assert_eq!(about.path, "splice");
    assert_eq!(about.stream.unwrap().as_str(), "__defaultVhost__/live/s");
    // the last frame may be heard before it is counted
    assert!(session.up.load(Ordering::Relaxed) > 100_000);
    client.leave();
    let gone = |heard: &Heard| {
        matches!(heard, Heard::Event(Event::Unpublish { clean: true, .. })).then_some(())
    };
    origin.wait(gone);
}

/// C45, C47, C48: a player gets what the origin sends.
#[test]
fn a_player_gets_its_stream() {
    let origin = Origin::start(Manner::Well);
    let proxy = Proxy::start(&[origin.address], Wanted::default());
    let mut client = Client::dial(proxy.address, ClientMode::Play, "s?token=1");
    client.ready();
    assert_eq!(origin.wait(asked), "s?token=1");
    for (index, (time, length)) in FRAMES.into_iter().enumerate() {
        assert_eq!(
            client.media(),
            (MediaKind::Video, time, frame(index, length))
        );
    }
}

/// C50: either side's close closes the other.
#[test]
fn a_close_goes_through_both_ways() {
    let origin = Origin::start(Manner::Well);
    let proxy = Proxy::start(&[origin.address], Wanted::default());
    let mut client = Client::dial(proxy.address, ClientMode::Publish, "s");
    client.ready();
    origin.wait(asked);
    drop(client);
    origin.wait(|heard| matches!(heard, Heard::Closed).then_some(()));

    let mut client = Client::dial(proxy.address, ClientMode::Play, "s");
    client.ready();
    proxy.shutdown.stop();
    client.end();
}

/// B28: an origin that wants it is told the client's address.
#[test]
fn the_clients_address_is_handed_over() {
    let table = [
        (HandOver::Srs, vec![0xf3, 0, 4, 127, 0, 0, 1]),
        (
            HandOver::ProxyV1,
            b"PROXY TCP4 127.0.0.1 127.0.0.1 ".to_vec(),
        ),
        (
            HandOver::ProxyV2,
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01".to_vec(),
        ),
    ];
    for (hand_over, expected) in table {
        let origin = Origin::start_behind(Manner::Silent, expected.len());
        let mut wanted = Wanted::default();
        wanted.settings.hand_over = hand_over;
        let proxy = Proxy::start(&[origin.address], wanted);
        let mut client = Client::dial(proxy.address, ClientMode::Publish, "s");
        client.flush();
        let player = std::thread::spawn(move || {
            // it goes as far as its connection carries it
            while let Seen::Event(_) = client.next() {}
        });
        let prefix = origin.wait(|heard| match heard {
            Heard::Prefix(bytes) => Some(bytes.clone()),
            _ => None,
        });
        assert_eq!(prefix, expected, "{hand_over:?}");
        drop(proxy);
        player.join().unwrap();
    }
}

/// B29: the same over TLS.
#[test]
fn publishing_over_tls_works() {
    use std::sync::Arc;

    let folder = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    std::fs::write(&cert, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let certificates = weir_net::door::Certificates::load(&cert, &key).unwrap();
    let origin = Origin::start(Manner::Well);
    let wanted = Wanted {
        door: weir_net::door::Door::new(weir_net::door::DoorSettings {
            tls: Some(Arc::new(certificates)),
            ..Default::default()
        }),
        ..Wanted::default()
    };
    let proxy = Proxy::start(&[origin.address], wanted);

    let mut roots = rustls::RootCertStore::empty();
    roots.add(certified.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let tls = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = rustls::StreamOwned::new(tls, connect(proxy.address));
    let mut client = Client::over(stream, ClientMode::Publish, "s");
    client.ready();
    client.send(MediaKind::Video, 7, &frame(1, 100_000));
    let got = origin.wait(|heard| match heard {
        Heard::Event(Event::Media { body, .. }) => Some(body.to_vec()),
        _ => None,
    });
    assert_eq!(got, frame(1, 100_000));
    let session = proxy.sessions.list().pop().unwrap();
    assert_eq!((session.protocol, session.about().path), ("rtmps", "copy"));
}
