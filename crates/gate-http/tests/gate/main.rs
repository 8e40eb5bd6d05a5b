//! The gate on a real socket: what is published by POST comes out of GET and WebSocket unchanged.

mod client;
mod files;
mod server;

use client::{Client, Media, post_head};
use server::Server;
use weir_hub::EndReason;

const GET: &str = "GET /live/x.flv HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn a_stream_comes_out_as_it_went_in_and_the_connection_stays() {
    let server = Server::start();
    let media = Media::new(40);
    let mut player = Client::connect(&server);
    player.send(GET);
    let mut publisher = Client::publish(&server, "/live/x.flv", "Transfer-Encoding: chunked");
    let head = player.head();
    publisher.send_chunked(&media.file(), 97);
    assert_eq!(publisher.head().status, 200);
    assert_eq!(
        publisher.text(),
        format!("published {} tags\n", media.tags.len())
    );
    assert_eq!(head.status, 200);
    assert_eq!(head.field("content-type"), Some("video/x-flv"));
    assert_eq!(head.field("cache-control"), Some("no-cache, no-store"));
    assert_eq!(head.field("access-control-allow-origin"), Some("*"));
    assert_eq!(head.field("transfer-encoding"), Some("chunked"));
    assert_eq!(Media::read(&player.chunks()), media.tags);
    player.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let head = player.head();
    assert_eq!(
        (head.status, head.field("connection")),
        (200, Some("close"))
    );
    assert!(player.text().contains("FLV"));
    assert!(player.is_closed());
}

#[test]
fn a_viewer_that_comes_later_begins_at_the_key_frame() {
    let server = Server::start();
    let media = Media::new(10);
    let mut publisher = Client::publish(&server, "/live/x.flv", "Transfer-Encoding: chunked");
    publisher.send_chunk(&media.file());
    let mut first = Client::connect(&server);
    first.send(GET);
    assert_eq!(first.head().status, 200);
    assert_eq!(first.tags(media.tags.len()), media.tags);
    let mut second = Client::connect(&server);
    second.send(GET);
    assert_eq!(second.head().status, 200);
    assert_eq!(second.tags(media.tags.len()), media.tags);
    publisher.send_chunked(&[], 1);
    assert_eq!(publisher.head().status, 200);
    assert!(first.chunks().is_empty() && second.chunks().is_empty());
}

#[test]
fn a_viewer_before_the_first_frames_is_told_what_there_is() {
    let server = Server::start();
    let mut player = Client::connect(&server);
    player.send(GET);
    let mut publisher = Client::publish(&server, "/live/x.flv", "Transfer-Encoding: chunked");
    let media = Media::av1();
    let mut file = media.file();
    // what the publisher says is not what counts
    file[4] = 0b101;
    publisher.send_chunk(&file);
    assert_eq!(player.head().status, 200);
    publisher.send_chunked(&[], 1);
    assert_eq!(publisher.head().status, 200);
    let played = player.chunks();
    assert_eq!(played.get(4), Some(&0b001), "pictures only");
    assert_eq!(Media::read(&played), media.tags);
}

#[test]
fn http_1_0_is_raw_until_the_close() {
    let server = Server::start();
    let media = Media::new(5);
    let mut player = Client::connect(&server);
    player.send("GET /live/x.flv HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let head = player.head_while_uploading(&server, "/live/x.flv", &media.file());
    assert_eq!(
        (head.status, head.field("connection")),
        (200, Some("close"))
    );
    assert_eq!(head.field("transfer-encoding"), None);
    assert_eq!(Media::read(&player.rest()), media.tags);
}

#[test]
fn connection_close_is_chunked_all_the_same() {
    let server = Server::start();
    let media = Media::new(5);
    let mut player = Client::connect(&server);
    player.send("GET /live/x.flv HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let head = player.head_while_uploading(&server, "/live/x.flv", &media.file());
    assert_eq!(head.field("connection"), Some("close"));
    assert_eq!(Media::read(&player.chunks()), media.tags);
    assert!(player.is_closed());
}

#[test]
fn a_websocket_gets_messages_and_its_pings_answered() {
    let server = Server::start();
    let media = Media::new(5);
    let mut player = Client::connect(&server);
    player.send_websocket("/live/x.flv", "13");
    player.send_frame(0x89, b"before");
    let mut publisher = Client::publish(&server, "/live/x.flv", "Transfer-Encoding: chunked");
    let head = player.head();
    assert_eq!(head.status, 101);
    assert_eq!(
        head.field("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    assert_eq!(player.message(), (0x82, Media::header()));
    assert_eq!(player.message(), (0x8a, b"before".to_vec()));
    publisher.send_chunk(&media.file());
    let mut file = Media::header();
    while Media::read(&file).len() < media.tags.len() {
        let (kind, message) = player.message();
        assert_eq!(kind, 0x82);
        file.extend(message);
    }
    assert_eq!(Media::read(&file), media.tags);
    player.send_frame(0x81, b"nobody reads this");
    player.send_frame(0x89, b"");
    assert_eq!(player.message(), (0x8a, vec![]));
    publisher.send_chunked(&[], 1);
    assert_eq!(player.message(), (0x88, 1000_u16.to_be_bytes().to_vec()));
    assert!(player.is_closed());
}

#[test]
fn websockets_that_close_or_break_the_protocol() {
    let server = Server::start();
    let mut publisher = Client::publish(&server, "/live/x.flv", "Transfer-Encoding: chunked");
    publisher.send_chunk(&Media::header());
    let open = || {
        let mut player = Client::connect(&server);
        player.send_websocket("/live/x.flv", "13");
        assert_eq!(player.head().status, 101);
        assert_eq!(player.message().0, 0x82);
        player
    };
    let mut closes = open();
    closes.send_frame(0x88, &4000_u16.to_be_bytes());
    assert_eq!(closes.message(), (0x88, 4000_u16.to_be_bytes().to_vec()));
    let mut unmasked = open();
    unmasked.send_bytes(&[0x81, 0]);
    assert_eq!(unmasked.message(), (0x88, 1002_u16.to_be_bytes().to_vec()));
    let mut floods = open();
    floods.send_frame(0x82, &vec![0; 70_000]);
    assert_eq!(floods.message(), (0x88, 1009_u16.to_be_bytes().to_vec()));
    let mut kicked = open();
    for session in server.hub.sessions().page(0, 100) {
        if session.protocol == "ws-flv" {
            session.end(EndReason::Kicked);
        }
    }
    assert_eq!(kicked.message(), (0x88, 1008_u16.to_be_bytes().to_vec()));
    let mut old = Client::connect(&server);
    old.send_websocket("/live/x.flv", "8");
    let head = old.head();
    assert_eq!(
        (head.status, head.field("sec-websocket-version")),
        (426, Some("13"))
    );
}

#[test]
fn what_is_not_there_or_not_allowed() {
    let server = Server::with(|shared, _| shared.play_wait = std::time::Duration::ZERO);
    let mut client = Client::connect(&server);
    for (line, status, field) in [
        ("GET /live/x.flv HTTP/1.1", 404, None),
        ("GET /live/x.flv?start=now HTTP/1.1", 400, None),
        ("GET /else HTTP/1.1", 404, None),
        ("GET /live/%ff.flv HTTP/1.1", 400, None),
        (
            "DELETE /live/x.flv HTTP/1.1",
            405,
            Some(("allow", "GET, HEAD, POST, PUT, OPTIONS")),
        ),
        (
            "POST / HTTP/1.1",
            405,
            Some(("allow", "GET, HEAD, OPTIONS")),
        ),
        (
            "GET /crossdomain.xml HTTP/1.1",
            200,
            Some(("content-type", "text/xml")),
        ),
    ] {
        client.send(&format!("{line}\r\nHost: h\r\n\r\n"));
        let head = client.head();
        assert_eq!(head.status, status, "{line}");
        client.text();
        if let Some((name, value)) = field {
            assert_eq!(head.field(name), Some(value));
        }
    }
    client.send("OPTIONS /live/x.flv HTTP/1.1\r\nHost: h\r\nOrigin: http://a\r\n");
    client.send("Access-Control-Request-Private-Network: true\r\n\r\n");
    let head = client.head();
    assert_eq!(head.status, 204);
    assert_eq!(
        head.field("access-control-allow-private-network"),
        Some("true")
    );
    // the connection is still there
    client.send("HEAD /live/x.flv HTTP/1.1\r\nHost: h\r\n\r\nHEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((client.head().status, client.head().status), (404, 200));
}

#[test]
fn head_of_a_live_stream_is_its_answer_without_the_stream() {
    let server = Server::start();
    let _publisher = Client::publish(&server, "/live/x.flv", "Transfer-Encoding: chunked");
    let mut client = Client::connect(&server);
    client
        .send("HEAD /live/x.flv HTTP/1.1\r\nHost: h\r\n\r\nGET /else HTTP/1.1\r\nHost: h\r\n\r\n");
    let head = client.head();
    assert_eq!(
        (head.status, head.field("content-type")),
        (200, Some("video/x-flv"))
    );
    assert_eq!(client.head().status, 404);
}

#[test]
fn heads_that_are_wrong_are_answered_and_the_connection_closed() {
    let server = Server::start();
    let bomb = format!("GET / HTTP/1.1\r\nHost: h\r\n{}", "A: b\r\n".repeat(5000));
    for (head, status) in [
        (bomb.as_str(), 431),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
            400,
        ),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        (
            "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n",
            501,
        ),
        ("GET / HTTP/2.1\r\nHost: h\r\n\r\n", 505),
        ("\u{16}\u{3}\u{1}", 400),
    ] {
        let mut client = Client::connect(&server);
        client.send(head);
        let answer = client.head();
        assert_eq!(
            (answer.status, answer.field("connection")),
            (status, Some("close"))
        );
        client.text();
        assert!(client.is_closed());
    }
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    for byte in b"\r\nGET /else HTTP/1.1\r\nHost: h\r\n\r\n" {
        client.send_bytes(&[*byte]);
    }
    assert_eq!(client.head().status, 404);
}

#[test]
fn publishing_is_refused_in_plain_words() {
    let server = Server::start();
    let mut first = Client::publish(&server, "/live/x.flv", "Transfer-Encoding: chunked");
    let refused = |head: &str, body: &[u8]| {
        let mut client = Client::connect(&server);
        client.send(head);
        client.send_bytes(body);
        let status = client.head().status;
        (status, client.text())
    };
    let (status, text) = refused(&post_head("/live/x.flv", "Content-Length: 9"), b"");
    assert!(status == 409 && text.contains("already"), "{status} {text}");
    let (status, text) = refused(
        &post_head("/live/y.flv", "Content-Length: 90"),
        b"no flv at all",
    );
    assert!(status == 400 && text.contains("byte"), "{status} {text}");
    let (status, text) = refused(
        &post_head("/live/y.flv", "Content-Length: 5"),
        b"FLV\x01\x05",
    );
    assert!(
        status == 400 && text.contains("at byte 5"),
        "{status} {text}"
    );
    let (status, _) = refused(
        &post_head("/live/y.flv", "Transfer-Encoding: chunked"),
        b"xyz",
    );
    assert_eq!(status, 400);
    assert_eq!(refused(&post_head("/live/y.flv", "X: y"), b"").0, 411);
    first.send_chunked(&Media::header(), 5);
    assert_eq!(first.head().status, 200);
    let closed = Server::with(|_, settings| settings.publish = false);
    let mut client = Client::connect(&closed);
    client.send(&post_head("/live/x.flv", "Content-Length: 9"));
    assert_eq!(client.head().status, 403);
}

#[test]
fn an_upload_of_known_length_leaves_the_connection_to_the_next_request() {
    let server = Server::start();
    let media = Media::new(3);
    let file = media.file();
    let mut client = Client::connect(&server);
    client.send(&post_head(
        "/live/x.flv",
        &format!("Content-Length: {}", file.len()),
    ));
    client.send_bytes(&[&file[..], b"GET /else HTTP/1.1\r\nHost: h\r\n\r\n"].concat());
    assert_eq!(client.head().status, 200);
    client.text();
    assert_eq!(client.head().status, 404);
}

#[test]
fn those_over_a_limit_are_told() {
    let server = Server::start();
    server.admission.set_limits(weir_net::admission::Limits {
        sessions: 1,
        sessions_per_address: 0,
    });
    let mut first = Client::connect(&server);
    first.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(first.head().status, 200);
    let mut second = Client::connect(&server);
    second.send(GET);
    let head = second.head();
    assert_eq!((head.status, head.field("retry-after")), (503, Some("5")));
}

#[test]
fn those_who_say_too_little_are_let_go() {
    let short = std::time::Duration::from_millis(50);
    let server = Server::with(|shared, _| {
        shared.request = short;
        shared.publish_idle = short;
        shared.play_wait = short;
    });
    let mut silent = Client::connect(&server);
    assert!(silent.is_closed());
    let mut half = Client::connect(&server);
    half.send("GET / HT");
    assert_eq!(half.head().status, 408);
    let mut publisher = Client::publish(&server, "/live/y.flv", "Content-Length: 9");
    assert_eq!(publisher.head().status, 408);
    let mut player = Client::connect(&server);
    player.send(GET);
    assert_eq!(player.head().status, 404);
}

#[test]
fn a_client_that_sends_ahead_without_end_is_closed() {
    let server = Server::start();
    let mut player = Client::connect(&server);
    player.send(GET);
    player.send_bytes(&vec![b'x'; 40_000]);
    assert!(player.is_closed());
}

#[test]
fn the_drain_ends_those_who_wait_and_the_stop_the_rest() {
    let server = Server::start();
    let mut publisher = Client::publish(&server, "/live/x.flv", "Transfer-Encoding: chunked");
    publisher.send_chunk(&Media::header());
    let mut idle = Client::connect(&server);
    idle.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(idle.head().status, 200);
    idle.text();
    let mut waiting = Client::connect(&server);
    waiting.send("GET /live/later.flv HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut player = Client::connect(&server);
    player.send(GET);
    assert_eq!(player.head().status, 200);
    server.shutdown.drain();
    assert!(idle.is_closed());
    assert!(player.tags(0).is_empty());
    server.shutdown.stop();
    assert!(player.chunks().is_empty());
    assert_eq!(publisher.head().status, 503);
}

#[test]
fn a_viewer_that_stalls_goes_on_when_it_reads_again() {
    let server = Server::start();
    let media = Media::with_size(4000, 1400);
    let mut publisher = Client::publish(&server, "/live/x.flv", "Transfer-Encoding: chunked");
    let mut players = [Client::connect(&server), Client::connect(&server)];
    for player in &mut players {
        player.send(GET);
        assert_eq!(player.head().status, 200);
    }
    let [steady, stalled] = &mut players;
    publisher.send_chunk(&Media::header());
    let mut sent = 0;
    // one small piece at a time, so that the full socket is found between two of them
    for tags in media.tags.chunks(2) {
        publisher.send_chunk(&Media::body(tags));
        sent += tags.len();
        if sent > 4 {
            steady.tags(sent);
        }
    }
    assert_eq!(stalled.tags(sent), media.tags);
    publisher.send_chunked(&[], 1);
    assert!(stalled.chunks().is_empty());
}
