//! A relay between two origins of this process, and what it does when either of them goes away.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use prometheus_client::registry::Registry;
use weir_app::config::Config;
use weir_app::origin::Origin;
use weir_app::relay::{Plan, Running, Source};
use weir_net::clock;
use weir_net::cores::Shutdown;
use weir_rtmp::{ClientConfig, ClientEvent, ClientMode, ClientSession, MediaKind};

/// A test that waits for longer than this hangs.
const HANGS: Duration = Duration::from_secs(20);

/// An origin on one core.
struct Server {
    origin: Origin,
    shutdown: Shutdown,
    address: SocketAddr,
}

impl Server {
    fn start(address: SocketAddr) -> Self {
        let mut config = Config::default();
        config.server.workers = 1;
        config.rtmp.listen = vec![address];
        config.http.listen.clear();
        config.api.listen.clear();
        let shutdown = Shutdown::new();
        let mut registry = Registry::default();
        let origin = Origin::start(&config, Vec::new(), &mut registry, &shutdown);
        let origin = origin.expect("an origin");
        let address = origin.listening()[0].address;
        Self {
            origin,
            shutdown,
            address,
        }
    }

    fn anywhere() -> Self {
        Self::start(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Ends every session and the server; returns the address that is free again. Clients that are still there would be
    /// waited for.
    fn kill(self) -> SocketAddr {
        self.shutdown.stop();
        self.origin.join();
        self.address
    }

    fn url(&self) -> String {
        format!("rtmp://{}/live/s", self.address)
    }

    fn publish(&self) -> Client {
        let mut client = Client::dial(&self.url(), ClientMode::Publish);
        client.wait(|event| matches!(event, ClientEvent::Ready { .. }));
        client
    }

    fn play(&self) -> Client {
        let mut client = Client::dial(&self.url(), ClientMode::Play);
        client.wait(|event| matches!(event, ClientEvent::Ready { .. }));
        client
    }
}

/// A client that blocks.
struct Client {
    stream: TcpStream,
    session: ClientSession,
    events: VecDeque<ClientEvent>,
}

/// What travels.
type Media = (MediaKind, u32, Bytes);

impl Client {
    fn dial(url: &str, mode: ClientMode) -> Self {
        let url = url.parse().expect("an address");
        let config = ClientConfig::new(&url, mode);
        let stream = TcpStream::connect((url.host.as_str(), url.port)).expect("connects");
        stream.set_read_timeout(Some(HANGS)).expect("a time-out");
        stream.set_nodelay(true).expect("no delay");
        let session = ClientSession::new(config, clock::now(), 1);
        let events = VecDeque::new();
        Self {
            stream,
            session,
            events,
        }
    }

    fn flush(&mut self) {
        let mut out = Vec::new();
        self.session.take_output(&mut out);
        self.stream.write_all(&out).expect("the server reads");
    }

    fn next(&mut self) -> ClientEvent {
        loop {
            self.flush();
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let mut buffer = [0; 4096];
            let count = self.stream.read(&mut buffer).expect("something comes");
            assert_ne!(count, 0, "the server closed the connection");
            let mut input = &buffer[..count];
            let now = clock::now();
            while let Some(event) = self.session.handle_input(now, &mut input).expect("RTMP") {
                self.events.push_back(event);
            }
        }
    }

    fn wait(&mut self, wanted: impl Fn(&ClientEvent) -> bool) -> ClientEvent {
        loop {
            let event = self.next();
            if wanted(&event) {
                return event;
            }
        }
    }

    fn send(&mut self, media: &[Media]) {
        for (kind, timestamp, body) in media {
            let sent = self.session.send(*kind, *timestamp, body);
            sent.expect("publishing");
        }
        self.flush();
    }

    /// The next `count` messages of media, without what the server says to each player.
    fn media(&mut self, count: usize) -> Vec<Media> {
        let mut media = Vec::new();
        while media.len() < count {
            if let ClientEvent::Media {
                kind,
                timestamp,
                body,
            } = self.next()
                && !body.ends_with(SAMPLE_ACCESS)
            {
                media.push((kind, timestamp, body));
            }
        }
        media
    }
}

fn message(kind: MediaKind, at: u32, body: &'static [u8]) -> Media {
    (kind, at, Bytes::from_static(body))
}

const SAMPLE_ACCESS: &[u8] = b"|RtmpSampleAccess\x01\x01\x01\x01";

const METADATA: &[u8] = b"\x02\0\x0aonMetaData\x08\0\0\0\0\0\0\x09";

/// Metadata, the two sequence headers and a key frame, all dated `at`.
fn opening(at: u32) -> Vec<Media> {
    vec![
        message(MediaKind::Data, at, METADATA),
        message(
            MediaKind::Video,
            at,
            b"\x17\0\0\0\0\x01\x64\0\x1f\xff\xe0\0",
        ),
        message(MediaKind::Audio, at, b"\xaf\0\x12\x10"),
        message(MediaKind::Video, at, b"\x17\x01\0\0\0key"),
    ]
}

/// Frames that follow, dated by `times`; a key frame when `key` is set.
fn frames(times: impl IntoIterator<Item = u32>) -> Vec<Media> {
    let each = times.into_iter().flat_map(|at| {
        [
            message(MediaKind::Audio, at, b"\xaf\x01sound"),
            message(MediaKind::Video, at, b"\x27\x01\0\0\x28delta"),
        ]
    });
    each.collect()
}

fn plan(from: &str, to: &str) -> Plan {
    Plan {
        from: Source::Rtmp(from.parse().expect("an address")),
        to: to.parse().expect("an address"),
        connect_timeout: HANGS,
        retry_max_delay: Duration::from_millis(20),
        retry_limit: 0,
    }
}

fn relay(plan: &Plan) -> (Running, Shutdown) {
    let shutdown = Shutdown::new();
    let running = Running::start(plan, &shutdown).expect("a thread");
    (running, shutdown)
}

#[test]
fn what_arrives_is_what_was_sent_and_the_end_is_told() {
    let (a, b) = (Server::anywhere(), Server::anywhere());
    let mut source = a.publish();
    // the times wrap on the way
    let began = u32::MAX - 100;
    let mut sent = opening(began);
    source.send(&sent);
    let (running, shutdown) = relay(&plan(&a.url(), &b.url()));
    let mut player = b.play();
    assert_eq!(player.media(sent.len()), sent);
    sent = frames((1..50).map(|n| began.wrapping_add(n * 40)));
    source.send(&sent);
    assert_eq!(player.media(sent.len()), sent);
    let progress = running.progress();
    assert!(progress.playing && progress.publishing, "{progress:?}");
    assert_eq!(progress.frames, 4 + 98);

    shutdown.drain();
    assert_eq!(running.join(), None);
    // the relay said that it was done, so nobody waits for it to come back
    player.wait(|event| matches!(event, ClientEvent::StreamEnded { .. }));
    drop((source, player));
    a.kill();
    b.kill();
}

#[test]
fn a_restarted_target_gets_the_stream_again_from_a_key_frame() {
    let (a, b) = (Server::anywhere(), Server::anywhere());
    let mut source = a.publish();
    let sent = opening(5_000);
    source.send(&sent);
    let (running, shutdown) = relay(&plan(&a.url(), &b.url()));
    assert_eq!(b.play().media(sent.len()), sent);
    let more = frames([5_040, 5_080]);
    source.send(&more);

    let b = Server::start(b.kill());
    let mut player = b.play();
    let expected = [sent, more].concat();
    assert_eq!(player.media(expected.len()), expected);
    let more = frames([5_120]);
    source.send(&more);
    assert_eq!(player.media(more.len()), more);
    assert!(running.progress().retries >= 1);
    shutdown.drain();
    assert_eq!(running.join(), None);
    drop((source, player));
    a.kill();
    b.kill();
}

#[test]
fn a_restarted_source_goes_on_in_the_same_publication() {
    let (a, b) = (Server::anywhere(), Server::anywhere());
    let mut source = a.publish();
    let sent = opening(90_000);
    source.send(&sent);
    let (running, shutdown) = relay(&plan(&a.url(), &b.url()));
    let mut player = b.play();
    assert_eq!(player.media(sent.len()), sent);

    drop(source);
    let a = Server::start(a.kill());
    let mut source = a.publish();
    let sent = opening(0);
    source.send(&sent);
    let got = player.media(sent.len());
    let bodies =
        |media: &[Media]| -> Vec<Bytes> { media.iter().map(|(_, _, body)| body.clone()).collect() };
    assert_eq!(bodies(&got), bodies(&sent));
    for (_, timestamp, _) in &got {
        assert!((90_000..180_000).contains(timestamp), "{timestamp}");
    }
    shutdown.drain();
    assert_eq!(running.join(), None);
    drop((source, player));
    a.kill();
    b.kill();
}

#[test]
fn a_name_that_is_taken_is_tried_again_up_to_the_limit() {
    let (a, b) = (Server::anywhere(), Server::anywhere());
    let mut source = a.publish();
    source.send(&opening(0));
    let mut holder = b.publish();
    holder.send(&opening(0));
    let plan = Plan {
        retry_limit: 3,
        ..plan(&a.url(), &b.url())
    };
    let (running, _shutdown) = relay(&plan);
    wait_for_end(&running);
    let gave_up = running.join().expect("the name is taken");
    assert_eq!((gave_up.what, gave_up.attempts), ("publishing", 3));
    let error = &gave_up.error;
    assert!(
        error.starts_with("rejected: NetStream.Publish.BadName (stream is already"),
        "{error}"
    );
    drop((source, holder));
    a.kill();
    b.kill();
}

#[test]
fn a_source_that_speaks_something_else_is_not_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let other = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        stream.write_all(b"SSH-2.0-x\r\n").expect("written");
        // the client judges by the first byte and closes
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let from = format!("rtmp://{address}/live/s?token=secret");
    let (running, _shutdown) = relay(&plan(&from, "rtmp://127.0.0.1:1/live/s"));
    wait_for_end(&running);
    let gave_up = running.join().expect("no RTMP");
    assert_eq!((gave_up.what, gave_up.attempts), ("playing", 1));
    let text = gave_up.to_string();
    assert!(text.contains("is no RTMP handshake"), "{text}");
    assert!(!text.contains("secret"), "{text}");
    other.join().expect("served");
}

#[test]
fn http_flv_is_played_behind_a_redirect() {
    let b = Server::anywhere();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let sent = opening(7_000);
    let tags = sent.clone();
    let server = std::thread::spawn(move || {
        let (mut first, _) = listener.accept().expect("a client");
        assert!(head(&mut first).starts_with("GET /s.flv?a=b HTTP/1.1\r\n"));
        let moved = b"HTTP/1.1 302 Found\r\nLocation: /real.flv\r\n\r\n";
        first.write_all(moved).expect("written");
        let (mut second, _) = listener.accept().expect("a client");
        assert!(head(&mut second).starts_with("GET /real.flv HTTP/1.1\r\n"));
        let ok = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        second.write_all(ok).expect("written");
        let flv = flv(&tags);
        for chunk in flv.chunks(7) {
            let size = format!("{:x}\r\n", chunk.len());
            let chunk = [size.as_bytes(), chunk, b"\r\n"].concat();
            second.write_all(&chunk).expect("written");
        }
        // until the relay closes
        let _ = second.read_to_end(&mut Vec::new());
    });
    let from = format!("http://{address}/s.flv?a=b");
    let plan = Plan {
        from: Source::Flv(from.parse().expect("an address")),
        ..plan("rtmp://unused/live/s", &b.url())
    };
    let (running, shutdown) = relay(&plan);
    let mut player = b.play();
    assert_eq!(player.media(sent.len()), sent);
    shutdown.drain();
    assert_eq!(running.join(), None);
    server.join().expect("served");
    drop(player);
    b.kill();
}

/// Waits until the relay has ended by itself.
fn wait_for_end(running: &Running) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let ended = async { tokio::time::timeout(HANGS, running.ended()).await };
    let ended = runtime.expect("a runtime").block_on(ended);
    ended.expect("the relay gives up");
}

/// A request's head.
fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("text")
}

/// An FLV file of `media` (E.2 to E.4 of the FLV specification).
fn flv(media: &[Media]) -> Vec<u8> {
    let mut out = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
    for (kind, at, body) in media {
        let length = (body.len() as u32).to_be_bytes();
        let [high, times @ ..] = at.to_be_bytes();
        out.push(kind.type_id());
        out.extend_from_slice(&length[1..]);
        out.extend_from_slice(&times);
        out.extend_from_slice(&[high, 0, 0, 0]);
        out.extend_from_slice(body);
        out.extend_from_slice(&(body.len() as u32 + 11).to_be_bytes());
    }
    out
}
