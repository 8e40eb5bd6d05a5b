//! Viewers over real sockets: what each receives, in which order, and what slow ones get.
#![allow(
    clippy::await_holding_refcell_ref,
    reason = "one task at a time in these tests"
)]

use std::io::Read;
use std::net::TcpStream as StdStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::task::LocalSet;
use weir_fanout::{Closed, Conn, Fanout, Metrics, Viewer};
use weir_hub::{
    Format, FormatId, Hub, Latency, Publisher, Settings, Setup, SlowViewer, SubscribeError,
};
use weir_media::{
    AppName, Codec, Frame, Role, StreamKey, StreamName, Timestamp, TrackId, Vhost, VideoCodec,
};
use weir_net::clock;
use weir_net::socket::Socket;

const RAW: FormatId = FormatId {
    name: "raw",
    parameter: 0,
};

/// Each message as its length in four bytes and its packet; the opening is a message `open`.
struct Raw;

fn message(packet: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(packet.len() as u32).to_be_bytes());
    out.extend_from_slice(packet);
}

impl Format for Raw {
    fn prelude(&mut self, _: &Setup, _: Timestamp, out: &mut Vec<u8>) {
        message(b"open", out);
    }

    fn frame(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        message(&frame.packet, out);
    }
}

struct World {
    hub: Arc<Hub>,
    fanout: Fanout,
    key: StreamKey,
    listener: TcpListener,
}

impl World {
    async fn new(settings: Settings) -> Self {
        let mut registry = Registry::default();
        let metrics = weir_hub::Metrics::register(&mut registry);
        let hub = Arc::new(Hub::new(settings, metrics, clock::wallclock()));
        let fanout = Fanout::new(Arc::clone(&hub), Metrics::register(&mut registry));
        tokio::task::spawn_local(fanout.clone().run());
        let key = StreamKey::new(Vhost("v"), AppName("live"), StreamName("x")).expect("a key");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Self {
            hub,
            fanout,
            key,
            listener,
        }
    }

    async fn connect(&self) -> (Rc<Conn>, StdStream) {
        let address = self.listener.local_addr().expect("bound");
        let far = StdStream::connect(address).expect("connects");
        let (near, peer) = self.listener.accept().await.expect("accepts");
        let now = clock::now();
        let session = self
            .hub
            .sessions()
            .open("test", peer, now, clock::wallclock());
        (
            Rc::new(Conn::new(
                Socket::new(near, peer).expect("a socket"),
                session,
            )),
            far,
        )
    }

    fn join(&self, conn: &Rc<Conn>) -> Result<Viewer, SubscribeError> {
        let mut make = || Box::new(Raw) as Box<dyn Format>;
        let viewer = self
            .fanout
            .join(conn, &self.key, RAW, &mut make, None, clock::now())?;
        viewer.resume();
        Ok(viewer)
    }

    fn publish(&self) -> Publisher {
        let peer = "127.0.0.1:9".parse().expect("an address");
        let now = clock::now();
        let session = self
            .hub
            .sessions()
            .open("test", peer, now, clock::wallclock());
        self.hub
            .publish(now, &self.key, &session)
            .expect("published")
    }
}

fn push(publisher: &mut Publisher, number: u32, key: bool, size: usize) {
    let mut packet = number.to_be_bytes().to_vec();
    packet.resize(size.max(4), (number % 251) as u8);
    let frame = Frame {
        track: TrackId::VIDEO,
        codec: Codec::Video(VideoCodec::H264),
        role: if key { Role::Key } else { Role::Delta },
        dts: Timestamp::from_millis(i64::from(number) * 40),
        composition: Timestamp::ZERO,
        packet: Bytes::from(packet),
        payload_at: 0,
    };
    publisher
        .push(clock::now(), frame)
        .expect("still the publisher");
}

/// Reads messages on a thread until `done` says so; gives them back.
fn receive(
    mut far: StdStream,
    mut done: impl FnMut(&[u8]) -> bool + Send + 'static,
) -> tokio::sync::oneshot::Receiver<Vec<Vec<u8>>> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut messages = Vec::new();
        loop {
            let mut length = [0; 4];
            if far.read_exact(&mut length).is_err() {
                break;
            }
            let mut packet = vec![0; u32::from_be_bytes(length) as usize];
            far.read_exact(&mut packet).expect("a whole message");
            messages.push(packet);
            if messages.last().is_some_and(|packet| done(packet)) {
                break;
            }
        }
        let _ = sender.send(messages);
    });
    receiver
}

fn number(packet: &[u8]) -> Option<u32> {
    let head: [u8; 4] = packet.get(..4)?.try_into().ok()?;
    (head != *b"open").then(|| u32::from_be_bytes(head))
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    LocalSet::new().block_on(&runtime.expect("a runtime"), test);
}

fn until(last: u32) -> impl FnMut(&[u8]) -> bool + Send {
    move |packet| number(packet) == Some(last)
}

#[test]
fn every_viewer_gets_every_message_in_order() {
    for latency in [0, 5, 50] {
        run(async move {
            let latency = Latency::Fixed(Duration::from_millis(latency));
            let world = World::new(Settings {
                latency,
                ..Settings::default()
            })
            .await;
            let mut publisher = world.publish();
            push(&mut publisher, 0, true, 10);
            let mut viewers = Vec::new();
            for _ in 0..300 {
                let (conn, far) = world.connect().await;
                viewers.push((world.join(&conn).expect("joins"), receive(far, until(200))));
            }
            for count in 1..=200 {
                push(
                    &mut publisher,
                    count,
                    count % 25 == 0,
                    count as usize * 7 % 900,
                );
                tokio::task::yield_now().await;
            }
            for (_viewer, received) in viewers {
                let messages = received.await.expect("the reader's thread");
                assert_eq!(messages.first().map(Vec::as_slice), Some(&b"open"[..]));
                let numbers: Vec<_> = messages.iter().filter_map(|m| number(m)).collect();
                assert_eq!(numbers, (0..=200).collect::<Vec<_>>());
            }
        });
    }
}

#[test]
fn adaptive_latency_delivers_too() {
    run(async {
        let world = World::new(Settings::default()).await;
        let mut publisher = world.publish();
        push(&mut publisher, 0, true, 10);
        let (conn, far) = world.connect().await;
        let _viewer = world.join(&conn).expect("joins");
        let received = receive(far, until(3));
        for count in 1..=3 {
            push(&mut publisher, count, false, 10);
            tokio::task::yield_now().await;
        }
        assert_eq!(received.await.expect("the reader's thread").len(), 5);
    });
}

#[test]
fn words_of_the_gate_stand_between_whole_messages() {
    run(async {
        let latency = Latency::Fixed(Duration::ZERO);
        let world = World::new(Settings {
            latency,
            ..Settings::default()
        })
        .await;
        let mut publisher = world.publish();
        push(&mut publisher, 0, true, 300_000);
        let (conn, far) = world.connect().await;
        let viewer = world.join(&conn).expect("joins");
        let received = receive(far, until(400));
        for count in 1..=400 {
            push(&mut publisher, count, count % 50 == 0, 30_000);
            let mut words = Vec::new();
            message(b"open", &mut words);
            conn.say(&mut words, clock::now());
            tokio::task::yield_now().await;
            if conn.is_blocked() {
                conn.socket().writable().await.expect("open");
                conn.unblock();
                conn.flush(clock::now());
                viewer.resume();
            }
        }
        while !viewer.watching().is_some_and(|watching| watching.caught_up) {
            conn.socket().writable().await.expect("open");
            conn.unblock();
            conn.flush(clock::now());
            viewer.resume();
            tokio::task::yield_now().await;
        }
        let messages = received.await.expect("the reader's thread");
        let numbers: Vec<_> = messages.iter().filter_map(|m| number(m)).collect();
        assert_eq!(numbers, (0..=400).collect::<Vec<_>>());
        assert_eq!(
            messages.len() - numbers.len(),
            401,
            "the opening and all words"
        );
    });
}

fn fill(publisher: &mut Publisher, from: u32, count: u32) {
    for number in from..from + count {
        push(publisher, number, number.is_multiple_of(10), 60_000);
    }
}

fn sent(conn: &Conn) -> u64 {
    conn.count();
    conn.session()
        .bytes_out
        .load(std::sync::atomic::Ordering::Relaxed)
}

fn small() -> Settings {
    Settings {
        latency: Latency::Fixed(Duration::ZERO),
        lag_max_bytes: 1 << 20,
        gop_max_bytes: 1 << 20,
        ..Settings::default()
    }
}

#[test]
fn a_viewer_that_does_not_read_skips_to_a_key_frame_and_the_others_miss_nothing() {
    run(async {
        let world = World::new(small()).await;
        let mut publisher = world.publish();
        fill(&mut publisher, 0, 1);
        let (slow, slow_far) = world.connect().await;
        let slow_viewer = world.join(&slow).expect("joins");
        let (conn, far) = world.connect().await;
        let viewer = world.join(&conn).expect("joins");
        let received = receive(far, until(1_000));
        let mut next = 1;
        // the slow one's socket fills; the quick one is served as its socket has room
        let mut wanted = 8 + 60_004;
        while next <= 1_000 {
            fill(&mut publisher, next, 1);
            next += 1;
            wanted += 60_004;
            while sent(&conn) < wanted {
                if conn.is_blocked() {
                    conn.socket().writable().await.expect("open");
                    conn.unblock();
                    conn.flush(clock::now());
                    viewer.resume();
                }
                tokio::task::yield_now().await;
            }
        }
        let messages = received.await.expect("the reader's thread");
        let numbers: Vec<_> = messages.iter().filter_map(|m| number(m)).collect();
        assert_eq!(numbers, (0..=1_000).collect::<Vec<_>>());

        assert!(slow.is_blocked());
        let late = receive(slow_far, until(1_001));
        fill(&mut publisher, 1_001, 1);
        while !slow_viewer
            .watching()
            .is_some_and(|watching| watching.caught_up)
        {
            slow.socket().writable().await.expect("open");
            slow.unblock();
            slow.flush(clock::now());
            slow_viewer.resume();
            tokio::task::yield_now().await;
        }
        assert_eq!(
            slow_viewer.watching().map(|watching| watching.skips),
            Some(1)
        );
        let messages = late.await.expect("the reader's thread");
        let gap = messages
            .iter()
            .skip(1)
            .position(|m| m == b"open")
            .expect("a second opening");
        let resumed = messages
            .get(gap + 2)
            .and_then(|m| number(m))
            .expect("a frame");
        assert_eq!(resumed % 10, 0, "goes on at a key frame");
        let tail: Vec<_> = messages
            .iter()
            .skip(gap + 2)
            .filter_map(|m| number(m))
            .collect();
        assert_eq!(tail, (resumed..=1_001).collect::<Vec<_>>());
    });
}

#[test]
fn a_stream_may_disconnect_viewers_that_fall_behind() {
    run(async {
        let world = World::new(Settings {
            slow_viewer: SlowViewer::Disconnect,
            ..small()
        })
        .await;
        let mut publisher = world.publish();
        fill(&mut publisher, 0, 1);
        let (conn, far) = world.connect().await;
        let viewer = world.join(&conn).expect("joins");
        fill(&mut publisher, 1, 1_000);
        tokio::task::yield_now().await;
        let received = receive(far, |_| false);
        while conn.closed().is_none() {
            if conn.is_blocked() {
                conn.socket().writable().await.expect("open");
                conn.unblock();
                conn.flush(clock::now());
            }
            viewer.resume();
            tokio::task::yield_now().await;
        }
        assert_eq!(conn.closed(), Some(Closed::Lagged));
        drop(viewer);
        drop(conn);
        assert!(received.await.expect("the reader's thread").len() < 1_001);
    });
}

#[test]
fn a_closed_socket_is_noticed_and_the_stream_forgotten() {
    run(async {
        let settings = Settings {
            grace: Duration::ZERO,
            ..small()
        };
        let world = World::new(settings).await;
        let mut publisher = world.publish();
        fill(&mut publisher, 0, 1);
        let (conn, far) = world.connect().await;
        let viewer = world.join(&conn).expect("joins");
        drop(far);
        let mut next = 1;
        while conn.closed().is_none() {
            fill(&mut publisher, next, 1);
            next += 1;
            conn.unblock();
            tokio::task::yield_now().await;
        }
        assert!(matches!(conn.closed(), Some(Closed::Io(_))));
        drop(viewer);
        drop(publisher);
        world.hub.sweep(clock::now());
        assert!(world.hub.snapshot(clock::now()).is_empty());
    });
}

#[test]
fn a_peer_that_asks_without_reading_is_closed() {
    run(async {
        let world = World::new(small()).await;
        let (conn, _far) = world.connect().await;
        while conn.closed().is_none() {
            conn.say(&mut vec![0; 4096], clock::now());
        }
        assert_eq!(conn.closed(), Some(Closed::Deaf));
    });
}

#[test]
fn a_full_stream_refuses_and_leaves_no_group_behind() {
    run(async {
        let world = World::new(Settings {
            viewers_per_stream: 1,
            ..small()
        })
        .await;
        let (conn, _far) = world.connect().await;
        let viewer = world.join(&conn).expect("joins");
        let (other, _other_far) = world.connect().await;
        assert_eq!(
            world.join(&other).err(),
            Some(SubscribeError::TooManyViewers)
        );
        drop(viewer);
        assert!(world.join(&other).is_ok());
    });
}
