//! An nginx with its RTMP module as origin: what is published through a proxy is there, and is played through proxies
//! in every form that nginx gives it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use weir_testkit::nginx::Nginx;
use weir_testkit::proxy::command;
use weir_testkit::{
    Ends, Media, PATIENCE, Process, Proxy, Tool, Viewer, assert_equal, capture, http, publish,
};

use crate::{BINARY, SIGNED, STORED, behind_nginx, proxies, register_ports, url, walk};

/// Time between two looks for what nginx writes, which tells no events.
const POLL: Duration = Duration::from_millis(50);

const MEDIA: Media = Media::H264Aac;

/// Waits until nginx has written so many segments of a stream.
fn await_segments(proxy: &Proxy, path: &str, wanted: usize, publisher: &Process) {
    let mut answer = http::request(proxy.listener("http"), "GET", path);
    for _ in 0..PATIENCE.as_millis() / POLL.as_millis() {
        if answer.text().matches("#EXTINF").count() >= wanted {
            return;
        }
        std::thread::sleep(POLL);
        answer = http::request(proxy.listener("http"), "GET", path);
    }
    let (status, text) = (answer.head.status, answer.text());
    panic!(
        "{path} never has {wanted} segments: {status} {text}\n{}",
        publisher.said()
    );
}

/// Publishes through one proxy and plays through another, RTMP all along and HLS while it runs and after.
fn assert_streams(nginx: &Nginx, inward: &Proxy, outward: &Proxy, name: &str) {
    let tags = MEDIA.published_tags(Tool::Ffmpeg);
    let viewers = [
        Viewer::rtmpdump(&outward.rtmp(name)),
        Viewer::rtmpdump(&inward.rtmp(name)),
    ];
    outward.sessions("play", if std::ptr::eq(inward, outward) { 2 } else { 1 });
    inward.shows("/api/v1/sessions", |answer| {
        let first = answer["sessions"].as_array().and_then(|all| all.first());
        first.is_some_and(|one| one["origin"].is_string() && one["path"] != "")
    });
    let publisher = publish::ffmpeg_with(Tool::Ffmpeg, MEDIA, &["-re"], &inward.rtmp(name));

    let list = format!("/live/{name}.m3u8");
    await_segments(outward, &list, 3, &publisher);
    let options = ["-live_start_index", "0"];
    let through = url(outward, &list);
    let during = capture::frames(Tool::Ffmpeg, &options, &through, &["-t", "2"]);
    publisher.succeed();

    await_segments(outward, &list, 8, &publisher);
    // the list of a live stream has no end, and players wait for what comes next
    let until = ["-t", "6"];
    let direct = format!("http://{}{list}", nginx.http());
    let whole = capture::frames(Tool::Ffmpeg, &options, &direct, &until);
    for proxy in [inward, outward] {
        let found = capture::frames(Tool::Ffmpeg, &options, &url(proxy, &list), &until);
        assert!(found == whole, "HLS differs through {}", url(proxy, &list));
    }
    assert!(during.len() > 50, "{} frames while it ran", during.len());
    for frame in &during {
        assert!(whole.contains(frame), "{frame} is none of the stream");
    }

    // nginx does not end its players with the stream, but with itself; it has passed all on that is in its segments
    nginx.process().signal("TERM");
    for viewer in &viewers {
        let run = assert_equal("rtmpdump", &tags, &viewer.packets(), Ends::Whole);
        assert_eq!((run.video, run.audio), (Some(0), Some(0)), "{run:?}");
    }
}

/// C14, B22: the default backend, named by the variables of the Go proxy and nothing else.
#[test]
fn nginx_is_the_default_backend() {
    let nginx = Nginx::origin();
    let folder = tempfile::tempdir().unwrap();
    let mut start = command(BINARY, &["proxy", "--log-format", "json"]);
    start.current_dir(folder.path());
    for name in ["RTMP_SERVER", "HTTP_SERVER", "HTTP_API", "SYSTEM_API"] {
        start.env(format!("PROXY_{name}"), "127.0.0.1:0");
    }
    let (rtmp, http) = (nginx.address().port(), nginx.http().port());
    start.envs([
        ("PROXY_DEFAULT_BACKEND_ENABLED", "on"),
        ("PROXY_DEFAULT_BACKEND_IP", "127.0.0.1"),
        ("PROXY_DEFAULT_BACKEND_RTMP", &rtmp.to_string()),
        ("PROXY_DEFAULT_BACKEND_HTTP", &http.to_string()),
    ]);
    let proxy = Proxy::adopt(Process::spawn(&mut start), 4);
    assert_streams(&nginx, &proxy, &proxy, "s");
    proxy.assert_well();
}

/// B22, C55: an nginx that a script registered.
#[test]
fn nginx_streams_through_two_proxies() {
    let (nginx, cluster) = behind_nginx(&STORED);
    assert_streams(&nginx, cluster.proxy(0), cluster.proxy(1), "s");
    cluster.assert_well(&[]);
}

/// B22: media right behind the request, as fast as it goes. nginx's module loses what it has read ahead when its publisher
/// goes on in smaller chunks, so that nothing on the way may make one do so.
#[test]
fn nginx_takes_publishers_in_haste() {
    let (nginx, cluster) = behind_nginx(&SIGNED);
    let publish = |number: usize| {
        let url = cluster.proxy(number % 2).rtmp(&format!("haste{number}"));
        publish::ffmpeg_with(Tool::Ffmpeg, MEDIA, &["-t", "1"], &url)
    };
    let publishers: Vec<Process> = (0..12).map(publish).collect();
    publishers.iter().for_each(Process::succeed);
    let said = nginx.process().said();
    assert!(!said.contains("too big"), "{said}");
    cluster.assert_well(&[]);
}

/// B33: nginx's own manifests lead back to it too.
#[test]
fn nginx_dash_plays_while_it_runs() {
    let (nginx, cluster) = behind_nginx(&SIGNED);
    let (inward, outward) = (cluster.proxy(0), cluster.proxy(1));
    let publisher = publish::ffmpeg_with(Tool::Ffmpeg, MEDIA, &["-re"], &inward.rtmp("s"));
    await_segments(inward, "/live/s.m3u8", 3, &publisher);
    let manifest = walk::list(outward, "/dash/s.mpd");
    assert!(manifest.contains("weir="), "{manifest}");
    // it names its initialization by a template; what that is, is known
    for name in ["s-init.m4v", "s-init.m4a"] {
        let id = manifest.split("weir=").nth(1).unwrap();
        let id = id.split(['"', '&']).next().unwrap();
        let path = format!("/dash/{name}?weir={id}");
        let answer = http::request(inward.listener("http"), "GET", &path);
        assert_eq!(answer.head.status, 200, "{path}");
        let file = std::fs::read(nginx.files().join("dash").join(name)).unwrap();
        assert!(answer.body == file, "{path}");
    }
    publisher.succeed();
    cluster.assert_well(&[]);
}

/// C54: MPEG-TS by HTTP, whole.
#[test]
fn mpeg_ts_is_the_origins() {
    let (nginx, cluster) = behind_nginx(&SIGNED);
    let file = nginx.files().join("live/film.ts");
    let mut command = Tool::Ffmpeg.command(["-nostdin", "-loglevel", "warning", "-i"]);
    command
        .arg(MEDIA.file())
        .args(["-c", "copy", "-f", "mpegts"]);
    Process::spawn(command.arg(&file)).succeed();
    let bytes = std::fs::read(&file).unwrap();
    let direct = format!("http://{}/live/film.ts", nginx.http());
    let whole = capture::frames(Tool::Ffmpeg, &[], &direct, &[]);
    assert!(whole.len() > 400);
    for number in [0, 1] {
        let url = url(cluster.proxy(number), "/live/film.ts");
        assert!(http::curl([&url]).body == bytes, "proxy {number}");
        let frames = capture::frames(Tool::Ffmpeg, &[], &url, &[]);
        assert!(frames == whole, "proxy {number}");
    }
}

/// C54, B31: a live stream in MPEG-TS comes packet by packet. The origin goes on only when the viewer has what it sent.
#[test]
fn live_mpeg_ts_comes_packet_by_packet() {
    let [rtmp, origin] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [rtmp_port, http_port] = [&rtmp, &origin].map(|socket| socket.local_addr().unwrap().port());
    let cluster = proxies(&SIGNED);
    register_ports(cluster.proxy(0), "by-hand", rtmp_port, http_port);
    cluster.await_origins(1);
    for number in [0, 1] {
        let proxy = cluster.proxy(number).listener("http");
        let mut client = http::Client::connect(proxy);
        let ask = format!("GET /live/s.ts?only=video HTTP/1.1\r\nhost: {proxy}\r\n\r\n");
        client.send(ask.as_bytes()).unwrap();
        let (mut server, _) = origin.accept().unwrap();
        let mut asked = [0; 4096];
        let count = server.read(&mut asked).unwrap();
        let asked = String::from_utf8_lossy(&asked[..count]).into_owned();
        assert!(
            asked.starts_with("GET /live/s.ts?only=video HTTP/1.1\r\n"),
            "{asked}"
        );
        // RFC 9112, section 6.3: without a length the end of the connection is that of the body
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: video/mp2t\r\n\r\n";
        server.write_all(head).unwrap();
        let head = client.head().unwrap();
        assert_eq!(head.header("content-type"), Some("video/mp2t"));
        let mut body = client.into_body();
        for packet in 0..50 {
            // ISO/IEC 13818-1: packets of 188 bytes, the first of which is 0x47
            let sent = [&[0x47][..], &[packet; 187]].concat();
            server.write_all(&sent).unwrap();
            let mut found = [0; 188];
            body.read_exact(&mut found).unwrap();
            assert_eq!(found[..], sent[..]);
        }
        drop(server);
        assert_eq!(body.read(&mut [0; 1]).unwrap(), 0);
    }
    cluster.assert_well(&[]);
}
