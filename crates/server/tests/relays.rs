//! Streams that go from server to server: `weir relay`, and the push and pull of a foreign server.

use weir_testkit::nginx::Nginx;
use weir_testkit::weir::command;
use weir_testkit::{Ends, Media, Process, Tool, Viewer, Weir, assert_equal, publish};

const BINARY: &str = env!("CARGO_BIN_EXE_weir");

fn weir() -> Weir {
    Weir::start(BINARY, &[])
}

fn relay(from: &str, to: &str) -> Process {
    let log = ["--log-format", "json", "--log-level", "debug"];
    let mut command = command(BINARY, &["relay", from, to]);
    Process::spawn(command.args(log))
}

/// A viewer of nginx, which does not end its players with the stream: it leaves when nothing comes for so many seconds.
fn viewer_of_nginx(url: &str) -> Viewer {
    let args = ["--live", "--quiet", "--timeout", "5", "-o", "-", "-r", url];
    Viewer::start(&mut Tool::Rtmpdump.command(args))
}

/// Publishes at twice the pace of the file, so that the servers between have time to find each other.
fn live(media: Media, url: &str) -> Process {
    publish::ffmpeg_with(Tool::Ffmpeg, media, &["-readrate", "2"], url)
}

/// What is behind relays is a run of what was published, to the end but for what is dropped when a server ends a stream.
fn assert_relayed(what: &str, media: Media, viewer: &Viewer) {
    let tags = media.published_tags(Tool::Ffmpeg);
    let run = assert_equal(what, &tags, &viewer.packets(), Ends::AllBut(2));
    assert!(run.count > tags.len() / 3, "{what}: {run:?}");
}

#[test]
fn a_relay_copies_a_stream_from_one_weir_to_another() {
    let (from, to) = (weir(), weir());
    let relay = relay(&from.rtmp("s"), &to.rtmp("t"));
    let (rtmp, http) = (Viewer::rtmpdump(&to.rtmp("t")), Viewer::curl(&to.flv("t")));
    to.players(2, 1);
    from.players(1, 1);
    live(Media::H264Aac, &from.rtmp("s")).succeed();
    assert_relayed("rtmp", Media::H264Aac, &rtmp);
    assert_relayed("http", Media::H264Aac, &http);
    relay.signal("TERM");
    relay.succeed();
}

#[test]
fn a_relay_pulls_http_flv() {
    let (from, to) = (weir(), weir());
    let publisher = live(Media::H264Aac, &from.rtmp("s"));
    from.publishing("s");
    let relay = relay(&from.flv("s"), &to.rtmp("t"));
    let viewer = Viewer::rtmpdump(&to.rtmp("t"));
    publisher.succeed();
    assert_relayed("viewer", Media::H264Aac, &viewer);
    relay.signal("TERM");
    relay.succeed();
}

#[test]
fn a_relay_carries_enhanced_codecs() {
    let (from, to) = (weir(), weir());
    let relay = relay(&from.rtmp("s"), &to.rtmp("t"));
    let viewer = Viewer::rtmpdump(&to.rtmp("t"));
    to.players(1, 1);
    from.players(1, 1);
    let tool = Tool::FfmpegEnhanced;
    publish::ffmpeg_with(tool, Media::Vp9Opus, &["-readrate", "2"], &from.rtmp("s")).succeed();
    let tags = Media::Vp9Opus.published_tags(tool);
    assert_equal("viewer", &tags, &viewer.packets(), Ends::AllBut(2));
    drop(relay);
}

#[test]
fn a_relay_copies_from_nginx() {
    let (nginx, weir) = (Nginx::start(""), weir());
    let viewer = Viewer::rtmpdump(&weir.rtmp("t"));
    weir.players(1, 1);
    let publisher = live(Media::H264Aac, &nginx.rtmp("s"));
    let _relay = relay(&nginx.rtmp("s"), &weir.rtmp("t"));
    publisher.succeed();
    assert_relayed("viewer", Media::H264Aac, &viewer);
}

#[test]
fn a_relay_copies_to_nginx() {
    let (nginx, weir) = (Nginx::start(""), weir());
    let _relay = relay(&weir.rtmp("s"), &nginx.rtmp("t"));
    weir.players(1, 1);
    let viewer = viewer_of_nginx(&nginx.rtmp("t"));
    live(Media::H264Aac, &weir.rtmp("s")).succeed();
    assert_relayed("viewer", Media::H264Aac, &viewer);
}

#[test]
fn nginx_pushes_into_weir() {
    let weir = weir();
    let nginx = Nginx::start(&format!("push {};", weir.rtmp("pushed")));
    let viewer = Viewer::rtmpdump(&weir.rtmp("pushed"));
    weir.players(1, 1);
    live(Media::H264Aac, &nginx.rtmp("s")).succeed();
    assert_relayed("viewer", Media::H264Aac, &viewer);
}

#[test]
fn nginx_pulls_from_weir() {
    let weir = weir();
    let nginx = Nginx::start(&format!("pull {} name=pulled;", weir.rtmp("s")));
    let publisher = live(Media::H264Aac, &weir.rtmp("s"));
    weir.publishing("s");
    let viewer = viewer_of_nginx(&nginx.rtmp("pulled"));
    publisher.succeed();
    assert_relayed("viewer", Media::H264Aac, &viewer);
}

#[test]
fn a_relay_that_cannot_reach_its_source_says_so_and_gives_up() {
    let weir = weir();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = taken.local_addr().unwrap();
    drop(taken);
    let from = format!("rtmp://{nobody}/live/s");
    let mut command = command(BINARY, &["relay", &from, &weir.rtmp("t")]);
    let relay = Process::spawn(command.args(["--retry-limit", "1"]));
    assert_eq!(relay.wait().code(), Some(1));
    assert!(
        relay.said().contains(&nobody.to_string()),
        "{}",
        relay.said()
    );
}
