//! A start as the Go proxy is started: a folder with a `.env`, no flags, an origin that curl registers.

use std::fs;
use std::net::TcpListener;

use weir_testkit::proxy::command;
use weir_testkit::{Ends, Media, Process, Tool, Viewer, Weir, assert_equal, http, publish};

use crate::BINARY;

/// So many ports that are free; they were a moment ago, and nearly always still are.
fn free<const N: usize>() -> [u16; N] {
    let sockets = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    sockets.map(|socket| socket.local_addr().expect("it is bound").port())
}

/// C5, C16, C51, C52, C54, C60: it streams, tells its version and serves its files as before.
#[test]
fn a_folder_of_the_go_proxy_works_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let [rtmp, web, api, system] = free();
    let files = folder.path().join("research");
    fs::create_dir_all(files.join("players")).unwrap();
    fs::write(files.join("index.html"), "<p>a home page</p>").unwrap();
    fs::write(files.join("players/player.js"), "play();").unwrap();
    let dotenv = format!(
        "# the proxy of the cluster\n\
         PROXY_RTMP_SERVER={rtmp}\n\
         PROXY_HTTP_SERVER={web}\n\
         PROXY_HTTP_API={api}\r\n\
         PROXY_SYSTEM_API={system}\n\
         PROXY_WEBRTC_SERVER=0\n\
         PROXY_SRT_SERVER=0\n\
         PROXY_STATIC_FILES=research\n\
         PROXY_LOAD_BALANCER_TYPE=memory\n\
         PROXY_GRACE_QUIT_TIMEOUT=20s\n\
         PROXY_DEFAULT_BACKEND_ENABLED=off\n"
    );
    fs::write(folder.path().join(".env"), dotenv).unwrap();
    let mut start = command(BINARY, &["proxy"]);
    let proxy = Process::spawn(start.current_dir(folder.path()));
    for port in [rtmp, web, api, system] {
        let address = format!(":{port}");
        proxy.line("listening", |line| {
            line.contains("listening") && line.contains(&address)
        });
    }

    let versions = format!("http://127.0.0.1:{web}/api/v1/versions");
    let versions = http::curl([&versions]).json();
    assert_eq!(versions["code"], 0, "{versions}");
    assert_eq!(versions["pid"], proxy.pid().to_string(), "{versions}");
    for name in ["major", "minor", "revision"] {
        assert!(versions["data"][name].is_u64(), "{versions}");
    }
    assert!(versions["data"]["version"].is_string(), "{versions}");
    for (path, text) in [
        ("/", "<p>a home page</p>"),
        ("/index.html", "<p>a home page</p>"),
        ("/players/player.js", "play();"),
    ] {
        let answer = http::curl([&format!("http://127.0.0.1:{web}{path}")]);
        assert_eq!(
            (answer.head.status, answer.text().as_str()),
            (200, text),
            "{path}"
        );
    }
    let none = http::curl([&format!("http://127.0.0.1:{web}/players/none.js")]);
    assert_eq!(none.head.status, 404);

    let origin = Weir::start(BINARY, &[]);
    let [to, flv] = ["rtmp", "http"].map(|name| origin.address(name).port());
    let body = format!(
        r#"{{"device_id":"origin2","ip":"127.0.0.1","server":"vid-0xk989d","service":"382k456r","pid":"31583","rtmp":["{to}"],"http":["{flv}"]}}"#
    );
    let url = format!("http://127.0.0.1:{system}/api/v1/srs/register");
    let answer = http::curl(["-X", "POST", &url, "-d", &body]);
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["code"], 0, "{}", answer.text());
    assert_eq!(answer.json()["pid"], proxy.pid().to_string());

    let url = format!("rtmp://127.0.0.1:{rtmp}/live/livestream");
    let viewer = Viewer::rtmpdump(&url);
    origin.players(1, 1);
    let publisher = publish::ffmpeg_with(Tool::Ffmpeg, Media::H264Aac, &["-readrate", "2"], &url);
    origin.publishing("livestream");
    let joined = Viewer::curl(&format!("http://127.0.0.1:{web}/live/livestream.flv"));
    publisher.succeed();
    let tags = Media::H264Aac.published_tags(Tool::Ffmpeg);
    let run = assert_equal("rtmp", &tags, &viewer.packets(), Ends::Whole);
    assert_eq!((run.offset, run.video, run.audio), (0, Some(0), Some(0)));
    assert_equal("http", &tags, &joined.packets(), Ends::Whole);
    proxy.signal("TERM");
    proxy.succeed();
}
