//! Files, pages and HTTP/2 on a real socket.

use std::io::Read;
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use weir_gate_http::shelf::{self, Shelf};
use weir_http::pages::{Pages, Peer};
use weir_testkit::Tool;

use crate::client::{Client, Media};
use crate::server::Server;

/// A server that makes segments of 200 ms.
fn server() -> Server {
    server_of(Duration::from_millis(200))
}

fn server_of(length: Duration) -> Server {
    Server::with_shelf(move |hub| {
        let segment = weir_segment::Settings {
            segment: length,
            part: Duration::from_millis(100),
            max_bytes: 1 << 30,
            ..weir_segment::Settings::default()
        };
        let settings = shelf::Settings {
            segment: Arc::new(segment),
            when: shelf::When::Always,
            ..shelf::Settings::default()
        };
        Shelf::new(hub, settings, shelf::Metrics::default()).expect("no disk is used")
    })
}

/// A publisher whose stream has segments: a key frame every 40 ms, more than a second of them.
fn publish(server: &Server) -> Client {
    let mut publisher = Client::publish(server, "/live/x.flv", "Transfer-Encoding: chunked");
    let media = Media::with_keys(40, 40);
    publisher.send_chunk(&media.file());
    publisher
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
}

/// The path of the first file in a list that ends so.
fn file_of(list: &str, ending: &str) -> String {
    let line = list.lines().find(|line| line.ends_with(ending));
    format!(
        "/live/{}",
        line.unwrap_or_else(|| panic!("{ending} in {list}"))
    )
}

#[test]
fn playlists_and_segments_with_conditions_and_ranges() {
    let server = server();
    let _publisher = publish(&server);
    let mut client = Client::connect(&server);
    client.send(&get("/live/x-av.m3u8", ""));
    let head = client.head();
    assert_eq!(head.status, 200);
    assert_eq!(
        head.field("content-type"),
        Some("application/vnd.apple.mpegurl")
    );
    assert!(head.field("cache-control").is_some());
    assert_eq!(head.field("vary"), Some("Accept-Encoding"));
    let etag = head.field("etag").expect("a validator").to_owned();
    let list = client.text();
    let segment = file_of(&list, ".m4s");
    // pipelined: a condition, a range, HEAD, a range behind the end
    client.send(
        &[
            get("/live/x-av.m3u8", &format!("If-None-Match: {etag}\r\n")),
            get(&segment, "Range: bytes=4-7\r\n"),
            format!("HEAD {segment} HTTP/1.1\r\nHost: h\r\n\r\n"),
            get(&segment, "Range: bytes=99999999-\r\n"),
            get(&segment, ""),
        ]
        .concat(),
    );
    let known = client.head();
    assert_eq!((known.status, known.field("content-length")), (304, None));
    let part = client.head();
    assert_eq!(
        (part.status, part.field("content-length")),
        (206, Some("4"))
    );
    let range = part.field("content-range").expect("a range").to_owned();
    let box_type = client.text();
    let head = client.head();
    assert_eq!(
        (head.status, head.field("accept-ranges")),
        (200, Some("bytes"))
    );
    assert_eq!(client.head().status, 416);
    client.text();
    let whole = client.head();
    let length: usize = whole
        .field("content-length")
        .and_then(|text| text.parse().ok())
        .expect("a length");
    assert_eq!(whole.field("content-length"), head.field("content-length"));
    assert_eq!(range, format!("bytes 4-7/{length}"));
    let body = client.body();
    assert_eq!((body.len(), &body[4..8]), (length, box_type.as_bytes()));
}

/// More than the buffers of two sockets, so that each answer is sent bit by bit, and the first in another form than the later.
#[test]
fn slow_clients_get_a_large_segment_whole() {
    let server = server_of(Duration::from_millis(400));
    let mut publisher = Client::publish(&server, "/live/x.flv", "Transfer-Encoding: chunked");
    publisher.send_chunk(&Media::with_large_keys(40, 25, 1 << 20).file());
    let mut client = Client::connect(&server);
    let segment = loop {
        client.send(&get("/live/x-av.m3u8", ""));
        client.head();
        let list = client.text();
        let complete: Vec<_> = list.lines().filter(|line| line.ends_with(".m4s")).collect();
        // the first ends with the second key frame
        if let [_, second, ..] = complete[..] {
            break format!("/live/{second}");
        }
    };
    let request = get(&segment, "");
    client.send(&request);
    assert_eq!(client.head().status, 200);
    let whole = client.body();
    assert!(whole.len() > 15 << 20, "{}", whole.len());
    let mut slow: Vec<_> = (0..6).map(|_| Client::connect(&server)).collect();
    for one in &mut slow {
        one.send(&request);
    }
    // by when this one has it, the others' sockets are full
    client.send(&request);
    client.head();
    assert!(client.body() == whole);
    for mut one in slow {
        let head = one.head();
        assert_eq!(head.status, 200);
        assert!(one.body() == whole, "what comes is not what it is");
    }
}

#[test]
fn what_is_asked_for_ahead_comes_when_it_is_there() {
    let server = server();
    let mut publisher = publish(&server);
    let mut client = Client::connect(&server);
    client.send(&get("/live/x-av.m3u8", ""));
    client.head();
    let list = client.text();
    let msn: u64 = list
        .lines()
        .find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:")?.parse().ok())
        .expect("a number");
    let segments = list
        .lines()
        .filter(|line| line.starts_with("#EXTINF"))
        .count() as u64;
    let next = msn + segments;
    let mut waiting: Vec<_> = (0..20)
        .map(|_| {
            let mut client = Client::connect(&server);
            client.send(&get(&format!("/live/x-av.m3u8?_HLS_msn={next}"), ""));
            client
        })
        .collect();
    // a segment under way comes as far as it is there, and the rest as it comes
    let under_way = format!("/live/x-av-{next}.m4s");
    let mut growing = Client::connect(&server);
    growing.send(&get(&under_way, ""));
    let head = growing.head();
    assert_eq!(
        (head.status, head.field("transfer-encoding")),
        (200, Some("chunked"))
    );
    assert_eq!(head.field("content-length"), None);
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("segment");
    let mut in_http2 = command(&server, &under_way, &["-o", &out.display().to_string()]);
    let in_http2 = in_http2
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("curl is installed");
    // one that leaves is forgotten, and does no harm
    drop(waiting.pop());
    publisher.send_chunk(&Media::body(&Media::with_keys(40, 40).tags_from(1600)));
    for client in &mut waiting {
        let head = client.head();
        assert_eq!(head.status, 200);
        assert!(client.text().contains(&format!("-{next}.m4s")));
    }
    let grown = growing.chunks();
    let said = in_http2.wait_with_output().expect("it ends").stderr;
    assert_eq!(String::from_utf8_lossy(&said), "2 200");
    growing.send(&get(&under_way, ""));
    let head = growing.head();
    assert_eq!(head.field("transfer-encoding"), None);
    let whole = growing.body();
    assert!(!whole.is_empty());
    assert_eq!(whole, grown);
    assert_eq!(whole, std::fs::read(&out).expect("written"));
}

#[test]
fn files_that_are_not_there_and_methods_that_are_not_theirs() {
    let server = server();
    let mut client = Client::connect(&server);
    client.send(&get("/live/none.m3u8", ""));
    let head = client.head();
    assert_eq!(
        (head.status, head.field("cache-control")),
        (404, Some("public, max-age=1"))
    );
    client.text();
    client.send("DELETE /live/none.m3u8 HTTP/1.1\r\nHost: h\r\n\r\n");
    let head = client.head();
    assert_eq!(
        (head.status, head.field("allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
    client.text();
    for (path, status) in [
        ("/live/..%2f..%2fx.m3u8", 400),
        ("/live/%2e%2e/x.m3u8", 404),
        ("/live/x%00-av-1.m4s", 404),
        ("/live/%252e%252e-av-1.m4s", 404),
        ("/../../etc/passwd-1.key", 404),
        ("/live/%ff.mpd", 400),
    ] {
        client.send(&get(path, ""));
        assert_eq!(client.head().status, status, "{path}");
        client.text();
    }
    let long = format!("/live/{}.m3u8", "x".repeat(2000));
    client.send(&get(&long, ""));
    assert_eq!(client.head().status, 400);
}

/// Pages that tell what they were asked.
fn echo() -> Pages {
    Arc::new(|request: http::Request<Bytes>| {
        Box::pin(async move {
            let near = request
                .extensions()
                .get::<Peer>()
                .is_some_and(|peer| peer.0.ip().is_loopback());
            let host = request
                .headers()
                .get("host")
                .map(|host| host.as_bytes().to_vec());
            let text = format!(
                "{} {} {} {near} {}",
                request.method(),
                request.uri(),
                String::from_utf8_lossy(&host.unwrap_or_default()),
                request.body().len()
            );
            http::Response::builder()
                .status(201)
                .header("x-page", "yes")
                .body(Bytes::from(text))
                .expect("valid")
        })
    })
}

#[test]
fn pages_are_the_applications() {
    let server = Server::with(|_, http| http.pages = Some(echo()));
    let mut client = Client::connect(&server);
    client.send("DELETE /api/v1/clients/7?a=b HTTP/1.1\r\nHost: h:1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let head = client.head();
    assert_eq!((head.status, head.field("x-page")), (201, Some("yes")));
    // what other pages may read is the application's to say
    assert_eq!(head.field("access-control-allow-origin"), None);
    assert_eq!(client.text(), "DELETE /api/v1/clients/7?a=b h:1 true 3");
    assert_eq!(client.head().status, 201);
    assert_eq!(client.text(), "GET / h true 0");
    client.send("HEAD /console/ HTTP/1.1\r\nHost: h\r\n\r\n");
    let head = client.head();
    assert_eq!(
        (head.status, head.field("content-length")),
        (201, Some("23"))
    );
    client.send(
        "POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    );
    assert_eq!(client.head().status, 201);
    assert_eq!(client.text(), "POST /api/x h true 1");
    client.send(&get(
        "/console/none.flv",
        "Connection: close\r\nUpgrade: x\r\n",
    ));
    let mut large = Client::connect(&server);
    large.send("POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 70000\r\n\r\n");
    large.send_bytes(&[0; 66_000]);
    assert_eq!(large.head().status, 413);
}

/// A curl that speaks HTTP/2 and says the version and status that it got.
fn command(server: &Server, path: &str, more: &[&str]) -> Command {
    let url = format!("http://{}{path}", server.address);
    let mut command = Tool::Curl.command([
        "-sS",
        "--http2-prior-knowledge",
        "-w",
        "%{stderr}%{http_version} %{http_code}",
    ]);
    command.args(more).arg(url);
    command
}

fn curl(server: &Server, path: &str, more: &[&str]) -> (String, String) {
    let mut command = command(server, path, more);
    let output = command
        .stdout(std::process::Stdio::piped())
        .output()
        .expect("curl is installed");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stderr), text(&output.stdout))
}

#[test]
fn files_and_pages_in_http2_are_the_same() {
    let server = server();
    let _publisher = publish(&server);
    let (said, list) = curl(&server, "/live/x-av.m3u8", &[]);
    assert_eq!(said, "2 200");
    let segment = file_of(&list, ".m4s");
    let mut client = Client::connect(&server);
    client.send(&get(&segment, ""));
    client.head();
    let body = client.body();
    let (said, part) = curl(&server, &segment, &["-r", "4-7"]);
    assert_eq!((said.as_str(), part.as_bytes()), ("2 206", &body[4..8]));
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("segment");
    let more = ["-o", &out.display().to_string()];
    assert_eq!(curl(&server, &segment, &more).0, "2 200");
    assert_eq!(std::fs::read(&out).expect("written"), body);
    assert_eq!(curl(&server, "/live/x.flv", &[]).0, "2 505");
    assert_eq!(curl(&server, "/live/none.m3u8", &[]).0, "2 404");
    assert_eq!(curl(&server, &segment, &["-X", "DELETE"]).0, "2 405");
    let (said, _) = curl(&server, &segment, &["-I"]);
    assert_eq!(said, "2 200");
    assert!(curl(&server, "/", &[]).1.contains("FLV"));
}

#[test]
fn pages_in_http2_have_a_host_and_a_body() {
    let server = Server::with(|_, http| http.pages = Some(echo()));
    let (said, text) = curl(&server, "/api/v1/x?y", &["-d", "abc"]);
    assert_eq!(said, "2 201");
    assert_eq!(text, format!("POST /api/v1/x?y {} true 3", server.address));
    let large = "x".repeat(70_000);
    let (said, _) = curl(&server, "/api/v1/x", &["-d", &large]);
    assert!(said.ends_with("413"), "{said}");
}

#[test]
fn http2_that_is_none_ends() {
    let server = Server::start();
    let mut client = Client::connect(&server);
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense that is no frame at all");
    // settings and a farewell come, then the end
    client.rest();
    let mut silent = TcpStream::connect(server.address).expect("a listener");
    std::io::Write::write_all(&mut silent, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("taken");
    let mut first = [0; 9];
    silent.read_exact(&mut first).expect("its settings");
    assert_eq!(first[3], 4, "a SETTINGS frame");
    server.shutdown.stop();
    let mut rest = Vec::new();
    let _ = silent.read_to_end(&mut rest);
}

#[test]
fn a_websocket_gets_whole_packets() {
    let server = Server::start();
    let mut player = Client::connect(&server);
    player.send_websocket("/live/x.ts", "13");
    let mut publisher = Client::publish(&server, "/live/x.flv", "Transfer-Encoding: chunked");
    assert_eq!(player.head().status, 101);
    publisher.send_chunk(&Media::with_keys(40, 40).file());
    for _ in 0..2 {
        let (kind, message) = player.message();
        assert_eq!(kind, 0x82);
        assert_eq!((message.len() % 188, message.first()), (0, Some(&0x47)));
    }
}

#[test]
fn codecs_that_no_transport_stream_carries_are_refused() {
    let server = Server::start();
    let mut publisher = Client::publish(&server, "/live/x.flv", "Transfer-Encoding: chunked");
    publisher.send_chunk(&Media::av1().file());
    // the stream is there when its media is
    let mut first = Client::connect(&server);
    first.send(&get("/live/x.flv", ""));
    assert_eq!(first.head().status, 200);
    first.tags(2);
    let mut player = Client::connect(&server);
    player.send(&get("/live/x.ts", ""));
    assert_eq!(player.head().status, 406);
    assert!(player.text().contains(".flv"));
}

#[test]
fn a_client_that_takes_nothing_of_an_answer_is_closed() {
    let size = 16 << 20;
    let pages: Pages =
        Arc::new(move |_| Box::pin(async move { http::Response::new(Bytes::from(vec![0; size])) }));
    let server = Server::with(|shared, http| {
        shared.write_timeout = Duration::from_millis(100);
        http.pages = Some(pages);
    });
    let mut client = Client::connect(&server);
    client.send(&get("/console/large", ""));
    while server.hub.sessions().is_empty() {
        std::thread::yield_now();
    }
    while !server.hub.sessions().is_empty() {
        std::thread::yield_now();
    }
    assert!(client.rest().len() < size);
}

#[test]
fn a_client_of_http2_that_opens_no_window_is_closed() {
    let server = Server::with(|shared, _| shared.write_timeout = Duration::from_millis(100));
    let mut client = Client::connect(&server);
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    // SETTINGS_INITIAL_WINDOW_SIZE = 0, and GET / in HPACK's static table (RFC 7541, appendix A)
    client.send_bytes(&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0]);
    client.send_bytes(&[0, 0, 6, 1, 5, 0, 0, 0, 1, 0x82, 0x84, 0x86, 0x41, 1, b'h']);
    let rest = client.rest();
    let has_status_200 = rest
        .windows(10)
        .any(|bytes| bytes[3] == 1 && bytes[9] == 0x88);
    assert!(has_status_200, "{rest:?}");
}
