//! HTTP-FLV: publish by POST, play by WebSocket, and the manners of HTTP.

use weir_testkit::viewer::Tags;
use weir_testkit::{Ends, Media, Tool, Viewer, Weir, assert_equal, flv, http, publish};

fn weir() -> Weir {
    Weir::start(env!("CARGO_BIN_EXE_weir"), &[])
}

#[test]
fn what_curl_posts_is_what_is_played() {
    let weir = weir();
    let viewer = Viewer::rtmpdump(&weir.rtmp("curl"));
    weir.players(1, 1);
    publish::curl_post(Tool::Ffmpeg, Media::H264Aac, &weir.flv("curl")).succeed();
    let tags = Media::H264Aac.published_tags(Tool::Ffmpeg);
    let run = assert_equal("rtmpdump", &tags, &viewer.packets(), Ends::Whole);
    assert_eq!((run.offset, run.video, run.audio), (0, Some(0), Some(0)));
}

#[test]
fn what_ffmpeg_posts_is_what_is_played() {
    let weir = weir();
    let viewer = Viewer::rtmpdump(&weir.rtmp("post"));
    weir.players(1, 1);
    let (tool, media) = (Tool::FfmpegEnhanced, Media::Av1Aac);
    publish::ffmpeg_post(tool, media, &weir.flv("post")).succeed();
    let run = assert_equal(
        "rtmpdump",
        &media.published_tags(tool),
        &viewer.packets(),
        Ends::Whole,
    );
    assert_eq!((run.offset, run.video), (0, Some(0)));
}

#[test]
fn a_websocket_plays_the_same() {
    let weir = weir();
    let options = ["-re"];
    let url = weir.rtmp("ws");
    let publisher = publish::ffmpeg_with(Tool::Ffmpeg, Media::H264Aac, &options, &url);
    weir.publishing("ws");
    let mut client = http::Client::connect(weir.address("http"));
    let head = client.begin(
        "GET",
        "/live/ws.flv",
        &[
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ],
    );
    assert_eq!(head.status, 101);
    // the pair of RFC 6455 section 1.3
    let accept = head.header("sec-websocket-accept");
    assert_eq!(accept, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    let tags = Tags::read(client.into_websocket());
    publisher.succeed();
    let published = Media::H264Aac.published_tags(Tool::Ffmpeg);
    let packets = flv::packets(&tags.to_end());
    let run = assert_equal("websocket", &published, &packets, Ends::Whole);
    assert_eq!(run.offset, 0);
}

#[test]
fn connections_are_kept_and_errors_are_answers() {
    let weir = Weir::start(env!("CARGO_BIN_EXE_weir"), &["--stream-play-wait", "0s"]);
    let mut client = http::Client::connect(weir.address("http"));
    assert_eq!(client.request("GET", "/", &[]).head.status, 200);
    assert_eq!(client.request("HEAD", "/", &[]).head.status, 200);
    for path in ["/nothing", "/live/none.flv", "/live/none.ts"] {
        assert_eq!(client.request("GET", path, &[]).head.status, 404, "{path}");
    }
    let answer = client.request("DELETE", "/live/none.flv", &[]);
    assert_eq!(answer.head.status, 405);
    assert_eq!(client.request("GET", "/", &[]).head.status, 200);
}

#[test]
fn pages_of_other_origins_may_read_streams() {
    let weir = weir();
    let mut client = http::Client::connect(weir.address("http"));
    let origin = ("origin", "https://example.com");
    let preflight = [origin, ("access-control-request-method", "GET")];
    let answer = client.request("OPTIONS", "/live/s.flv", &preflight);
    assert_eq!(answer.head.status, 204);
    assert_eq!(answer.head.header("access-control-allow-origin"), Some("*"));
    let methods = answer.head.header("access-control-allow-methods");
    assert!(methods.is_some_and(|methods| methods.contains("GET")));
    let url = weir.rtmp("s");
    let options = ["-re"];
    let publisher = publish::ffmpeg_with(Tool::Ffmpeg, Media::AudioOnly, &options, &url);
    weir.publishing("s");
    let head = client.begin("GET", "/live/s.flv", &[origin]);
    assert_eq!(head.status, 200);
    assert_eq!(head.header("access-control-allow-origin"), Some("*"));
    assert_eq!(head.header("content-type"), Some("video/x-flv"));
    publisher.signal("KILL");
}

#[test]
fn a_name_that_is_live_is_not_posted_over() {
    let weir = weir();
    let options = ["-re"];
    let url = weir.rtmp("live");
    let viewer = Viewer::rtmpdump(&url);
    weir.players(1, 1);
    let first = publish::ffmpeg_with(Tool::Ffmpeg, Media::AudioOnly, &options, &url);
    weir.publishing("live");
    let second = publish::curl_post(Tool::Ffmpeg, Media::H264Aac, &weir.flv("live"));
    second.wait();
    first.succeed();
    let tags = Media::AudioOnly.published_tags(Tool::Ffmpeg);
    assert_equal("viewer", &tags, &viewer.packets(), Ends::Whole);
}
