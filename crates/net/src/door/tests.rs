//! Tests of the door over real sockets.

use std::fs;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream as ClientStream;

use super::*;

const LIMIT: Duration = Duration::from_secs(10);

/// Who balancers in these tests speak for.
const CLIENT: &str = "203.0.113.7:4711";

async fn pair() -> (TcpStream, TcpStream, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let far = TcpStream::connect(address).await.expect("connects");
    far.set_nodelay(true).expect("set");
    let (near, peer) = listener.accept().await.expect("accepts");
    (far, near, peer)
}

fn trusting(networks: &[&str]) -> Door {
    Door::new(DoorSettings {
        trusted: networks
            .iter()
            .map(|text| text.parse().expect("a network"))
            .collect(),
        tls: None,
    })
}

fn header(binary: bool) -> Vec<u8> {
    let mut header = Vec::new();
    let client = CLIENT.parse().expect("an address");
    let local = "192.0.2.1:1935".parse().expect("an address");
    if binary {
        proxy_protocol::write_v2(client, local, &mut header);
    } else {
        proxy_protocol::write_v1(client, local, &mut header);
    }
    header
}

/// Everything that comes until the end.
async fn rest(mut stream: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("read");
    bytes
}

/// Sends `bytes` and the end through `door`; gives the client, whether it is the peer, and what the protocol gets.
async fn pass(door: &Door, bytes: &[u8]) -> Result<(SocketAddr, bool, Vec<u8>), DoorError> {
    let (mut far, near, peer) = pair().await;
    far.write_all(bytes).await.expect("sent");
    far.shutdown().await.expect("ended");
    let arrival = door.enter(near, peer, LIMIT).await?;
    let client = arrival.client;
    assert!(matches!(arrival.stream, Transport::Plain(_)));
    Ok((client, client == peer, rest(arrival.stream).await))
}

#[tokio::test(flavor = "current_thread")]
async fn without_settings_everything_passes_as_it_is() {
    for bytes in [&b""[..], b"\x03C1", b"PROXY UNKNOWN\r\nGET"] {
        let (_, is_peer, got) = pass(&Door::default(), bytes).await.expect("passes");
        assert!(is_peer);
        assert_eq!(got, bytes);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn the_header_of_a_trusted_balancer_names_the_client() {
    let door = trusting(&["10.0.0.0/8", "127.0.0.1"]);
    for binary in [false, true] {
        let input = [header(binary), b"PROXY and \x03 what follows".to_vec()].concat();
        let (client, _, got) = pass(&door, &input).await.expect("passes");
        assert_eq!(client.to_string(), CLIENT);
        assert_eq!(got, b"PROXY and \x03 what follows");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn the_header_of_anybody_else_is_left_to_the_protocol() {
    let door = trusting(&["10.0.0.0/8", "::1"]);
    for binary in [false, true] {
        let (_, is_peer, got) = pass(&door, &header(binary)).await.expect("passes");
        assert!(is_peer);
        assert_eq!(got, header(binary));
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_trusted_balancer_may_come_without_a_header() {
    let door = trusting(&["127.0.0.0/8"]);
    let starts: [&[u8]; 7] = [
        b"",
        b"\x03C1",
        b"P",
        b"PUT / HTTP/1.1",
        b"PROXY",
        b"PROXY TCP4 1.2.3.4",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0",
    ];
    for bytes in starts {
        let (_, is_peer, got) = pass(&door, bytes).await.expect("passes");
        assert!(is_peer);
        assert_eq!(got, bytes);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_balancer_that_speaks_for_itself_has_its_own_address() {
    let door = trusting(&["127.0.0.0/8"]);
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec();
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), local] {
        let input = [header, b"x".to_vec()].concat();
        let (_, is_peer, got) = pass(&door, &input).await.expect("passes");
        assert!(is_peer);
        assert_eq!(got, b"x");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_bad_header_of_a_trusted_balancer_is_refused() {
    let door = trusting(&["127.0.0.0/8"]);
    let error = pass(&door, b"PROXY TCP4 nobody\r\n").await;
    assert!(matches!(error, Err(DoorError::Header(_))), "{error:?}");
    let error = pass(&door, b"\r\n\r\n\0\r\nQUIT\n\x31\0\0\0").await;
    let error = error.expect_err("no such version").to_string();
    assert_eq!(
        error,
        "balancer sent a bad header: PROXY header has unknown version 3"
    );
}

#[tokio::test(flavor = "current_thread")]
async fn a_header_may_come_in_single_bytes() {
    let door = trusting(&["127.0.0.0/8"]);
    for binary in [false, true] {
        let (mut far, near, peer) = pair().await;
        let send = async {
            for byte in [header(binary), b"rest".to_vec()].concat() {
                far.write_all(&[byte]).await.expect("sent");
                // the door looks at each
                tokio::task::yield_now().await;
            }
            far.shutdown().await.expect("ended");
        };
        let enter = async {
            let arrival = door.enter(near, peer, LIMIT).await.expect("passes");
            assert_eq!(arrival.client.to_string(), CLIENT);
            assert_eq!(rest(arrival.stream).await, b"rest");
        };
        tokio::join!(send, enter);
    }
}

/// Paused time stands still while anything runs, so this also holds that waiting for more costs nothing.
#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn whoever_stops_in_the_middle_is_not_waited_for() {
    let (_dir, certificates) = certificates();
    let with_tls = Door::new(DoorSettings {
        trusted: Vec::new(),
        tls: Some(Arc::new(certificates)),
    });
    let trusting = trusting(&["127.0.0.0/8"]);
    let cases: [(&Door, &[u8]); 5] = [
        (&trusting, b""),
        (&trusting, b"P"),
        (&trusting, b"PROXY TCP4 1.2.3.4 "),
        (&with_tls, b""),
        (&with_tls, b"\x16\x03\x01\x02\x00\x01"),
    ];
    for (door, bytes) in cases {
        let (mut far, near, peer) = pair().await;
        far.write_all(bytes).await.expect("sent");
        let error = door.enter(near, peer, LIMIT).await;
        assert!(matches!(error, Err(DoorError::Timeout(LIMIT))), "{error:?}");
    }
}

fn write(dir: &TempDir, made: &CertifiedKey<KeyPair>) -> (std::path::PathBuf, std::path::PathBuf) {
    let (chain, key) = (dir.path().join("chain.pem"), dir.path().join("key.pem"));
    fs::write(&chain, made.cert.pem()).expect("written");
    fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    (chain, key)
}

fn made() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).expect("made")
}

fn certificates() -> (TempDir, Certificates) {
    let dir = tempfile::tempdir().expect("a folder");
    let (chain, key) = write(&dir, &made());
    let certificates = Certificates::load(&chain, &key).expect("sound");
    (dir, certificates)
}

fn connector(root: &CertificateDer<'static>, alpn: &[&str]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions of the provider")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

/// A client of `door` that knows `root` sends `before` in the clear; both ends, when TLS stands.
async fn through_tls(
    door: &Door,
    root: &CertificateDer<'static>,
    alpn: &[&str],
    before: &[u8],
) -> (
    io::Result<ClientStream<TcpStream>>,
    Result<Arrival, DoorError>,
) {
    let (mut far, near, peer) = pair().await;
    far.write_all(before).await.expect("sent");
    let name = ServerName::try_from("localhost").expect("a name");
    tokio::join!(
        connector(root, alpn).connect(name, far),
        door.enter(near, peer, LIMIT)
    )
}

/// Sends a word each way.
async fn speaks(client: &mut ClientStream<TcpStream>, server: &mut Transport) {
    let mut word = [0; 4];
    client.write_all(b"ping").await.expect("sent");
    client.flush().await.expect("sent");
    server.read_exact(&mut word).await.expect("arrives");
    assert_eq!(&word, b"ping");
    assert!(server.is_write_vectored());
    let halves = [IoSlice::new(b"po"), IoSlice::new(b"ng")];
    let taken = server.write_vectored(&halves).await.expect("sent");
    assert_eq!(taken, 4);
    server.flush().await.expect("sent");
    client.read_exact(&mut word).await.expect("arrives");
    assert_eq!(&word, b"pong");
}

#[tokio::test(flavor = "current_thread")]
async fn tls_is_spoken_after_the_header() {
    let dir = tempfile::tempdir().expect("a folder");
    let made = made();
    let (chain, key) = write(&dir, &made);
    let certificates = Certificates::load(&chain, &key).expect("sound");
    let door = Door::new(DoorSettings {
        trusted: vec!["127.0.0.1".parse().expect("a network")],
        tls: Some(Arc::new(certificates.offering(&["http/1.1"]))),
    });
    let root = made.cert.der();
    for before in [header(true), header(false), Vec::new()] {
        for alpn in [&[][..], &["h2", "http/1.1"]] {
            let (client, arrival) = through_tls(&door, root, alpn, &before).await;
            let mut client = client.expect("trusted");
            let mut arrival = arrival.expect("passes");
            let is_named = arrival.client.to_string() == CLIENT;
            assert_eq!(is_named, !before.is_empty());
            let agreed = client.get_ref().1.alpn_protocol();
            let expected = (!alpn.is_empty()).then_some(&b"http/1.1"[..]);
            assert_eq!(agreed, expected);
            speaks(&mut client, &mut arrival.stream).await;
            let (ended, left) = tokio::join!(client.shutdown(), rest(arrival.stream));
            ended.expect("an orderly end");
            assert_eq!(left, b"");
        }
    }
    let (client, arrival) = through_tls(&door, root, &["h2"], b"").await;
    assert!(client.is_err());
    assert!(matches!(arrival, Err(DoorError::Tls(_))), "{arrival:?}");
}

/// Also after the files were read again.
#[tokio::test(flavor = "current_thread")]
async fn tickets_are_sent_unless_they_are_not_wanted() {
    let dir = tempfile::tempdir().expect("a folder");
    let made = made();
    let (chain, key) = write(&dir, &made);
    for (wanted, tickets) in [(true, 2), (false, 0)] {
        let mut certificates = Certificates::load(&chain, &key).expect("sound");
        if !wanted {
            certificates = certificates.without_tickets();
        }
        certificates.reload().expect("still sound");
        let door = Door::new(DoorSettings {
            trusted: Vec::new(),
            tls: Some(Arc::new(certificates)),
        });
        let (client, arrival) = through_tls(&door, made.cert.der(), &[], b"").await;
        let mut client = client.expect("trusted");
        speaks(&mut client, &mut arrival.expect("passes").stream).await;
        assert_eq!(client.get_ref().1.tls13_tickets_received(), tickets);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn whoever_does_not_speak_tls_is_told_apart_from_whoever_goes() {
    let (_dir, certificates) = certificates();
    let door = Door::new(DoorSettings {
        trusted: Vec::new(),
        tls: Some(Arc::new(certificates)),
    });
    let error = pass(&door, b"GET / HTTP/1.1\r\n\r\n").await;
    assert!(matches!(error, Err(DoorError::Tls(_))), "{error:?}");
    let error = pass(&door, b"").await;
    assert!(matches!(error, Err(DoorError::Io(_))), "{error:?}");
}

#[tokio::test(flavor = "current_thread")]
async fn certificates_are_replaced_under_way_and_only_by_sound_ones() {
    let dir = tempfile::tempdir().expect("a folder");
    let (before, after) = (made(), made());
    let (chain, key) = write(&dir, &before);
    let certificates = Certificates::load(&chain, &key).expect("sound");
    let certificates = Arc::new(certificates.offering(&["http/1.1"]));
    let door = Door::new(DoorSettings {
        trusted: Vec::new(),
        tls: Some(Arc::clone(&certificates)),
    });
    let root = before.cert.der();
    let (client, arrival) = through_tls(&door, root, &[], b"").await;
    let mut first = (client.expect("trusted"), arrival.expect("passes").stream);

    // the chain is new, the key is not yet
    fs::write(&chain, after.cert.pem()).expect("written");
    let error = certificates.reload().expect_err("not of one pair");
    assert!(
        matches!(error, CertificateError::Unusable { .. }),
        "{error}"
    );
    let (client, _) = through_tls(&door, root, &[], b"").await;
    assert!(client.is_ok());

    write(&dir, &after);
    certificates.reload().expect("sound");
    let (client, _) = through_tls(&door, root, &[], b"").await;
    assert!(client.is_err(), "the old one is no longer shown");
    let root = after.cert.der();
    let (client, arrival) = through_tls(&door, root, &["http/1.1"], b"").await;
    let mut second = (client.expect("trusted"), arrival.expect("passes").stream);
    assert_eq!(second.0.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    speaks(&mut first.0, &mut first.1).await;
    speaks(&mut second.0, &mut second.1).await;
}

#[test]
fn files_that_are_not_what_they_must_be_are_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let (chain, key) = write(&dir, &made());
    let none = dir.path().join("none.pem");
    let junk = dir.path().join("junk.pem");
    fs::write(&junk, "no PEM").expect("written");
    let cut = dir.path().join("cut.pem");
    fs::write(&cut, "-----BEGIN CERTIFICATE-----\nAAAA").expect("written");
    let cases = [
        (&none, &key, "cannot read", "none.pem"),
        (&chain, &none, "cannot read", "none.pem"),
        (&junk, &key, "no certificate chain in PEM form", "junk.pem"),
        (&cut, &key, "no certificate chain in PEM form", "cut.pem"),
        (&key, &key, "no certificate chain in PEM form", "key.pem"),
        (&chain, &junk, "no private key in PEM form", "junk.pem"),
        (&chain, &chain, "no private key in PEM form", "chain.pem"),
    ];
    for (chain, key, why, file) in cases {
        let error = Certificates::load(chain, key).expect_err("not sound");
        let error = error.to_string();
        assert!(error.contains(why) && error.contains(file), "{error}");
    }
}
