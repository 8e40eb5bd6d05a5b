//! Peers that send rubbish, too much, too little or nothing, while others publish and play unharmed.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::thread;

use weir_testkit::hostile::{self, chunk};
use weir_testkit::{Ends, Media, Process, Tool, Viewer, Weir, assert_equal, publish};

/// What a server in a debug build may hold with one stream of 0.5 Mbit/s, all its caches, and hostile peers of which
/// none may make it keep more than it was sent.
const MEMORY: u64 = 96 << 20;

/// What one silent connection may cost. A session is a few kilobytes; buffers come with data.
const IDLE_BYTES: u64 = 24 << 10;

fn weir(args: &[&str]) -> Weir {
    Weir::start(env!("CARGO_BIN_EXE_weir"), args)
}

/// A publisher and viewers who must not notice what others do.
struct Control {
    publisher: Process,
    viewers: [Viewer; 2],
}

impl Control {
    fn start(weir: &Weir) -> Self {
        let url = weir.rtmp("control");
        let viewers = [Viewer::rtmpdump(&url), Viewer::curl(&weir.flv("control"))];
        weir.players(2, 1);
        let options = ["-readrate", "2"];
        let publisher = publish::ffmpeg_with(Tool::Ffmpeg, Media::H264Aac, &options, &url);
        viewers[0].reached(200);
        Self { publisher, viewers }
    }

    fn finish(self, weir: &Weir) {
        self.publisher.succeed();
        let tags = Media::H264Aac.published_tags(Tool::Ffmpeg);
        for viewer in &self.viewers {
            let run = assert_equal("control", &tags, &viewer.packets(), Ends::Whole);
            assert_eq!((run.offset, run.video), (0, Some(0)));
        }
        weir.assert_well();
        let memory = weir.memory();
        assert!(memory < MEMORY, "{} MiB", memory >> 20);
    }
}

/// Plays `attack` against a server with a control, on threads, and sees to the control.
fn withstand(args: &[&str], attack: impl Fn(SocketAddr, SocketAddr) + Sync) {
    let weir = weir(args);
    let control = Control::start(&weir);
    let (rtmp, http) = (weir.address("rtmp"), weir.address("http"));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| attack(rtmp, http));
        }
    });
    control.finish(&weir);
}

#[test]
fn junk_is_refused() {
    withstand(&[], |rtmp, http| {
        for address in [rtmp, http] {
            for seed in 0..25 {
                hostile::says(address, &hostile::junk(seed, 4_000));
            }
            hostile::says(address, &[0xff; 5_000]);
            hostile::says(address, b"\r\n\r\n\r\n\r\n");
            hostile::says(address, b"GET / HTTP/1.1\r\n\r\n");
        }
    });
}

#[test]
fn a_handshake_that_stops_half_way_is_given_up() {
    let args = [
        "--rtmp-handshake-timeout",
        "1s",
        "--http-request-timeout",
        "1s",
    ];
    withstand(&args, |rtmp, http| {
        let hello = hostile::handshake_begin();
        // each is read until the server closes it; one that is kept would fail by the reader's time-out
        hostile::says_and_waits(rtmp, &hello[..700]);
        hostile::says_and_waits(rtmp, &hello);
        hostile::says_and_waits(rtmp, b"");
        hostile::says_and_waits(http, b"GET /live/control.flv HT");
        hostile::says_and_waits(http, b"");
    });
}

#[test]
fn an_opening_that_drips_byte_by_byte_works() {
    withstand(&[], |rtmp, http| {
        let mut peer = hostile::Peer::connect(rtmp);
        peer.drip(&hostile::handshake_begin());
        let answer = peer.read(1 + 1536 + 1536);
        peer.drip(&answer[1..1537]);
        peer.drip(&hostile::connect_command());
        assert!(peer.reads_until(b"NetConnection.Connect.Success"));
        let mut peer = hostile::Peer::connect(http);
        peer.drip(b"OPTIONS /live/control.flv HTTP/1.1\r\nhost: weir\r\n\r\n");
        assert!(peer.reads_until(b"\r\n\r\n"));
    });
}

#[test]
fn chunk_sizes_out_of_bounds_end_the_connection() {
    withstand(&[], |rtmp, _| {
        for size in [0_u32, 0x8000_0000, 0xffff_ffff] {
            let mut peer = hostile::opened(rtmp);
            peer.send(&chunk(2, 0, 1, 4, &size.to_be_bytes()));
            assert!(peer.is_closed(), "a chunk size of {size:#x}");
        }
    });
}

#[test]
fn huge_messages_that_are_announced_and_never_come_cost_nothing() {
    withstand(&[], |rtmp, _| {
        let mut peer = hostile::opened(rtmp);
        for csid in 3..64 {
            // one chunk of 128 bytes out of the largest message that a length can say
            peer.send(&chunk(csid, 0, 9, 0x00ff_ffff, &[0x27; 128]));
        }
        assert!(peer.is_closed());
        let mut peer = hostile::opened(rtmp);
        for csid in 3..64 {
            peer.send(&chunk(csid, 0, 9, 8_000_000, &[0x27; 128]));
        }
    });
}

#[test]
fn header_bombs_are_answered_with_431() {
    withstand(&[], |_, http| {
        let line = format!("x-{}: y\r\n", "a".repeat(1_000));
        let bomb = format!("GET / HTTP/1.1\r\nhost: weir\r\n{}", line.repeat(1_000));
        let answer = hostile::says(http, bomb.as_bytes());
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"));
        let one = format!(
            "GET /{} HTTP/1.1\r\nhost: weir\r\n\r\n",
            "a".repeat(100_000)
        );
        let answer = hostile::says(http, one.as_bytes());
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"));
    });
}

#[test]
fn silent_connections_cost_little() {
    const CONNECTIONS: usize = 500;
    let args = [
        "--rtmp-handshake-timeout",
        "60s",
        "--http-request-timeout",
        "60s",
    ];
    let weir = weir(&args);
    let url = weir.rtmp("control");
    let viewer = Viewer::rtmpdump(&url);
    weir.players(1, 1);
    let publisher = publish::ffmpeg(Tool::Ffmpeg, Media::H264Aac, &url);
    viewer.reached(1_000);
    let before = weir.memory();
    let addresses = [weir.address("rtmp"), weir.address("http")];
    let mut idle: Vec<TcpStream> = (0..CONNECTIONS)
        .map(|at| TcpStream::connect(addresses[at % 2]).unwrap())
        .collect();
    for stream in idle.iter_mut().step_by(2) {
        stream.write_all(&hostile::handshake_begin()).unwrap();
    }
    // those that speak RTMP are sessions; those that asked nothing of HTTP are not, yet
    weir.api_shows("/api/v1/clients", |answer| {
        answer["total"].as_u64() >= Some(CONNECTIONS as u64 / 2)
    });
    let cost = weir.memory().saturating_sub(before);
    let bound = CONNECTIONS as u64 * IDLE_BYTES;
    assert!(cost < bound, "{} KiB for {CONNECTIONS}", cost >> 10);
    publisher.succeed();
    let tags = Media::H264Aac.published_tags(Tool::Ffmpeg);
    assert_equal("viewer", &tags, &viewer.packets(), Ends::Whole);
}
