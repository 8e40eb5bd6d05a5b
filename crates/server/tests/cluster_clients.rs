//! Real clients at a cluster: what they publish through one proxy is what they play through another, packet by packet,
//! in every protocol that the proxies speak.

use std::fs;

use weir_testkit::capture::Capture;
use weir_testkit::cluster::Settings;
use weir_testkit::flv::Tag;
use weir_testkit::{
    Cluster, Ends, Media, Packet, Process, Proxy, Tool, Viewer, assert_equal, flv, http, publish,
};

const BINARY: &str = env!("CARGO_BIN_EXE_weir");

/// Players of one stream through one proxy. Those of RTMP come before the stream and must get all of it; those of HTTP
/// join it, and must get all from then on.
struct Players {
    viewers: Vec<(String, Viewer)>,
    captures: Vec<(String, Capture)>,
}

impl Players {
    /// Those that wait; so many play through the proxy then.
    fn waiting(proxy: &Proxy, stream: &str, ffmpegs: &[Tool], then: usize) -> Self {
        let url = proxy.rtmp(stream);
        let named = |what: &str| format!("{what} plays {url}");
        let players = Self {
            viewers: vec![
                (named("rtmpdump"), Viewer::rtmpdump(&url)),
                (named("gst"), Viewer::gst(&url)),
            ],
            captures: ffmpegs
                .iter()
                .map(|tool| (named(tool.name()), Capture::start(*tool, &url)))
                .collect(),
        };
        proxy.sessions("play", then);
        players
    }

    /// Those that join.
    fn join(&mut self, proxy: &Proxy, stream: &str, ffmpegs: &[Tool]) {
        let url = proxy.flv(stream);
        let named = |what: &str| format!("{what} plays {url}");
        self.viewers.push((named("curl"), Viewer::curl(&url)));
        for tool in ffmpegs {
            self.captures
                .push((named(tool.name()), Capture::start(*tool, &url)));
        }
    }

    fn assert_tags(&self, tags: &[Packet]) {
        for (what, viewer) in &self.viewers {
            // rtmp2src holds one message, and drops it when the stream ends
            let ends = match what.starts_with("gst") {
                true => Ends::AllBut(1),
                false => Ends::Whole,
            };
            assert_run(what, tags, &viewer.packets(), ends);
        }
    }

    fn assert_equal(&self, media: Media, tool: Tool) {
        self.assert_tags(&media.published_tags(tool));
        let packets = media.published(tool);
        for (what, capture) in &self.captures {
            assert_run(what, &packets, &capture.packets(), Ends::Whole);
        }
    }
}

fn assert_run(what: &str, published: &[Packet], captured: &[Packet], ends: Ends) {
    let run = assert_equal(what, published, captured, ends);
    assert_eq!(run.offset, 0, "{what}: {run:?}");
    if what.contains("rtmp://") {
        let starts = (run.video.unwrap_or_default(), run.audio.unwrap_or_default());
        assert_eq!(starts, (0, 0), "{what}: {run:?}");
    }
}

/// Streams of so many codecs at the same time, all players that know them at the other proxy.
fn matrix(streams: &[(&str, Media)], publisher: Tool, players: &[Tool]) {
    for (_, media) in streams {
        // not while players wait
        media.published_file(publisher);
    }
    let cluster = Cluster::start(BINARY, 3, 2);
    let (inward, outward) = (cluster.proxy(0), cluster.proxy(1));
    let mut running = Vec::new();
    let mut waiting = 0;
    for (name, media) in streams {
        waiting += 2 + players.len();
        let waiting = Players::waiting(outward, name, players, waiting);
        running.push((*name, *media, waiting));
    }
    let publish = |(name, media): &(&str, Media)| {
        publish::ffmpeg_with(publisher, *media, &["-re"], &inward.rtmp(name))
    };
    let publishers: Vec<Process> = streams.iter().map(publish).collect();
    for (name, _, joining) in &mut running {
        cluster.origin_of(name);
        joining.join(outward, name, players);
    }
    publishers.iter().for_each(Process::succeed);
    for (_, media, players) in running {
        players.assert_equal(media, publisher);
    }
    cluster.assert_well(&[]);
}

/// C51: as scripts publish and play everywhere, with the RTMP of old.
#[test]
fn what_an_old_ffmpeg_publishes_comes_out_as_it_went_in() {
    let streams = [
        ("video", Media::H264Aac),
        ("mp3", Media::H264Mp3),
        ("radio", Media::AudioOnly),
    ];
    matrix(&streams, Tool::Ffmpeg, &[Tool::Ffmpeg]);
}

/// B21: codecs that only enhanced RTMP carries.
#[test]
fn what_a_new_ffmpeg_publishes_comes_out_as_it_went_in() {
    let streams = [
        ("hevc", Media::HevcAac),
        ("av1", Media::Av1Aac),
        ("vp9", Media::Vp9Opus),
    ];
    matrix(&streams, Tool::FfmpegEnhanced, &[Tool::FfmpegEnhanced]);
}

/// GStreamer's own RTMP, and librtmp.
#[test]
fn what_gstreamer_and_librtmp_publish_comes_out_as_it_went_in() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gst.flv");
    publish::gst_to_file(Media::H264Aac, &file);
    let tags = flv::packets(&flv::tags(&fs::read(&file).unwrap()));
    let cluster = Cluster::start(BINARY, 3, 2);
    let (inward, outward) = (cluster.proxy(0), cluster.proxy(1));
    let mut newer = Players::waiting(outward, "newer", &[], 2);
    let mut older = Players::waiting(outward, "older", &[], 4);
    let publishers = [
        publish::gst(Media::H264Aac, &inward.rtmp("newer")),
        publish::librtmp(Media::H264Aac, &inward.rtmp("older")),
    ];
    for (name, players) in [("newer", &mut newer), ("older", &mut older)] {
        cluster.origin_of(name);
        players.join(outward, name, &[]);
    }
    publishers.iter().for_each(Process::succeed);
    newer.assert_tags(&tags);
    older.assert_tags(&tags);
    cluster.assert_well(&[]);
}

/// B29: through TLS in, and out of it, with clients that ask for no certificate they know.
#[test]
fn what_goes_in_through_tls_comes_out_through_tls() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a name");
    fs::write(path("chain.pem"), made.cert.pem()).unwrap();
    fs::write(path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let (chain, key) = (path("chain.pem"), path("key.pem"));
    let cluster = Cluster::start_with(
        BINARY,
        &Settings {
            proxy_args: &[
                "--proxy-tls-certificate",
                &chain,
                "--proxy-tls-key",
                &key,
                "--proxy-rtmps-listen",
                "127.0.0.1:0",
                "--proxy-https-listen",
                "127.0.0.1:0",
            ],
            ..Settings::default()
        },
    );
    let (inward, outward) = (cluster.proxy(0), cluster.proxy(1));
    let rtmps =
        |proxy: &Proxy, name: &str| format!("rtmps://{}/live/{name}", proxy.listener("rtmps"));
    let https = |name: &str| format!("https://{}/live/{name}.flv", outward.listener("https"));
    let unverified = ["-tls_verify", "0"];
    let streams = [
        ("old", Tool::Ffmpeg, Media::H264Aac),
        ("new", Tool::FfmpegEnhanced, Media::HevcAac),
    ];
    for (_, tool, media) in streams {
        media.published_file(tool);
    }

    let waiting = streams.map(|(name, tool, _)| {
        let url = rtmps(outward, name);
        let capture = Capture::start_with(tool, &unverified, &url);
        let location = format!("location={url}");
        let pipeline = ["-q", "rtmp2src", &location, "tls-validation-flags=0"];
        let pipeline = pipeline.into_iter().chain(["!", "fdsink", "fd=1"]);
        let gst = Viewer::start(&mut Tool::Gst.command(pipeline));
        (capture, Viewer::rtmpdump(&url), gst)
    });
    outward.sessions("play", 6);
    let publishers = streams.map(|(name, tool, media)| {
        // -tls_verify is an option of the output here
        let file = media.file();
        let mut command = tool.command(["-nostdin", "-loglevel", "info", "-re", "-i"]);
        command.arg(&file).args(["-c", "copy", "-f", "flv"]);
        Process::spawn(command.args(unverified).arg(rtmps(inward, name)))
    });
    let joined = streams.map(|(name, tool, _)| {
        cluster.origin_of(name);
        let curl = ["-sSNfk", &https(name)];
        let ffmpeg = Capture::start_with(tool, &unverified, &https(name));
        (Viewer::start(&mut Tool::Curl.command(curl)), ffmpeg)
    });
    publishers.iter().for_each(Process::succeed);

    let streams = streams.into_iter().zip(waiting).zip(joined);
    for (((name, tool, media), (capture, rtmpdump, gst)), (curl, joined)) in streams {
        let (tags, packets) = (media.published_tags(tool), media.published(tool));
        let what = |who: &str| format!("{who} plays rtmp://tls/{name}");
        assert_run(
            &what(tool.name()),
            &packets,
            &capture.packets(),
            Ends::Whole,
        );
        assert_run(&what("rtmpdump"), &tags, &rtmpdump.packets(), Ends::Whole);
        assert_run(&what("gst"), &tags, &gst.packets(), Ends::AllBut(1));
        assert_run("curl plays https", &tags, &curl.packets(), Ends::Whole);
        assert_run(
            "ffmpeg plays https",
            &packets,
            &joined.packets(),
            Ends::Whole,
        );
    }
    cluster.assert_well(&[]);
}

/// All four ways through an origin and a proxy before it give the same tags, metadata and headers included.
#[test]
fn the_way_through_a_proxy_and_the_way_past_it_give_the_same() {
    let cluster = Cluster::start(BINARY, 1, 1);
    let (origin, proxy) = (cluster.origin(0), cluster.proxy(0));
    let media = Media::BaselineAac;
    let published = media.published_tags(Tool::Ffmpeg);
    let ways = [
        ("past", origin.rtmp("past")),
        ("through", proxy.rtmp("through")),
    ];
    let viewers = ["past", "through"].map(|name| {
        [
            Viewer::rtmpdump(&origin.rtmp(name)),
            Viewer::rtmpdump(&proxy.rtmp(name)),
        ]
    });
    proxy.sessions("play", 2);
    origin.players(4, 4);
    let publishers = ways.map(|(_, url)| publish::ffmpeg(Tool::Ffmpeg, media, &url));
    publishers.iter().for_each(Process::succeed);
    let all: Vec<Vec<Tag>> = viewers.iter().flatten().map(Viewer::all_tags).collect();
    for (way, tags) in all.iter().enumerate() {
        assert_eq!(tags, &all[0], "way {way} differs from way 0");
    }
    assert_run("rtmp://", &published, &flv::packets(&all[0]), Ends::Whole);
    cluster.assert_well(&[]);
}

/// B31: no piece of the way keeps a frame until there are more of them. The publisher goes on only when the viewer has
/// what it sent.
#[test]
fn each_frame_is_at_the_viewer_before_the_next_one_is_sent() {
    let cluster = Cluster::start(BINARY, 2, 2);
    let inward = cluster.proxy(0).listener("http");
    let mut publisher = http::Client::connect(inward);
    let head = format!(
        "POST /live/slow.flv HTTP/1.1\r\nhost: {inward}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    publisher.send(head.as_bytes()).unwrap();
    let mut send = |bytes: &[u8]| {
        let chunk = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
        publisher.send(&chunk).unwrap();
    };
    // sound only; AAC of 44.1 kHz in stereo
    send(b"FLV\x01\x04\0\0\0\x09\0\0\0\0");
    send(&tag(0, &[0xaf, 0, 0x12, 0x10]));
    send(&tag(0, &[0xaf, 1, 0]));
    cluster.origin_of("slow");
    let viewers = [
        Viewer::curl(&cluster.proxy(0).flv("slow")),
        Viewer::curl(&cluster.proxy(1).flv("slow")),
    ];
    cluster.proxy(0).sessions("play", 1);
    cluster.proxy(1).sessions("play", 1);
    for number in 1..=50 {
        let millis = number * 1_000;
        send(&tag(millis, &[0xaf, 1, number as u8]));
        for viewer in &viewers {
            let sent = |tag: &Tag| tag.timestamp == millis && tag.body[2] == number as u8;
            viewer.tag(&format!("frame {number}"), sent);
        }
    }
    cluster.assert_well(&[]);
}

/// A tag of sound (FLV specification, annex E.4.1).
fn tag(millis: u32, body: &[u8]) -> Vec<u8> {
    let length = body.len() as u32;
    let [_, a, b, c] = length.to_be_bytes();
    let [t3, t2, t1, t0] = millis.to_be_bytes();
    let head = [8, a, b, c, t2, t1, t0, t3, 0, 0, 0];
    [&head, body, &(length + 11).to_be_bytes()].concat()
}
