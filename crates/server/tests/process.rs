//! The process: how it starts, is told, reloads, drains and ends.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use weir_testkit::weir::{command, origin};
use weir_testkit::{
    Ends, Media, PATIENCE, Process, Tool, Viewer, Weir, assert_equal, http, publish,
};

const BINARY: &str = env!("CARGO_BIN_EXE_weir");

fn run(args: &[&str]) -> (Option<i32>, String) {
    let process = Process::spawn(&mut command(BINARY, args));
    let code = process.wait().code();
    (code, process.said())
}

fn endless(url: &str) -> Process {
    let options = ["-re", "-stream_loop", "-1"];
    publish::ffmpeg_with(Tool::Ffmpeg, Media::H264Aac, &options, url)
}

#[test]
fn a_taken_port_is_one_clear_line_and_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for key in ["rtmp", "http", "api"] {
        let flag = format!("--{key}-listen");
        let process = Process::spawn(&mut origin(BINARY, &[&flag, &address]));
        assert_eq!(process.wait().code(), Some(1));
        let said = process.said();
        let lines: Vec<_> = said.lines().filter(|l| l.starts_with("weir: ")).collect();
        assert_eq!(lines.len(), 1, "{said}");
        assert!(lines[0].contains(&format!("{key}.listen")), "{said}");
        assert_eq!(lines[0].matches(&address).count(), 1, "{said}");
    }
}

#[test]
fn a_bad_configuration_is_exit_code_2_and_all_of_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weir.toml");
    fs::write(
        &file,
        "[rtmp]\nlisen = 1\nchunk_size = 1\n[stream]\ngrace = \"soon\"\n",
    )
    .unwrap();
    let file = file.display().to_string();
    for args in [&["origin", "-c", &file][..], &["check", &file]] {
        let (code, said) = run(args);
        assert_eq!(code, Some(2), "{said}");
        for part in ["lisen", "listen", "chunk_size", "grace"] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }
    let (code, said) = run(&["origin", "--stream-grase", "1s"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("--stream-grace"), "a suggestion: {said}");
    let (code, _) = run(&["relay", "rtmp://localhost/live/s", "ftp://localhost/live/s"]);
    assert_eq!(code, Some(2));
}

#[test]
fn a_good_configuration_is_exit_code_0() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weir.toml");
    fs::write(&file, "[stream]\ngrace = \"5s\"\n").unwrap();
    let (code, said) = run(&["check", &file.display().to_string()]);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_drain_refuses_the_new_lets_the_old_finish_and_exits_with_0() {
    let weir = Weir::start(BINARY, &["--server-drain-timeout", "40s"]);
    let viewer = Viewer::rtmpdump(&weir.rtmp("drain"));
    weir.players(1, 1);
    let publisher = publish::ffmpeg(Tool::Ffmpeg, Media::H264Aac, &weir.rtmp("drain"));
    viewer.reached(500);
    assert_eq!(weir.api("GET", "/readyz").head.status, 200);
    weir.process().signal("TERM");
    weir.logged("draining", "");
    assert_eq!(weir.api("GET", "/readyz").head.status, 503);
    assert_eq!(weir.api("GET", "/healthz").head.status, 200);
    let refused = publish::ffmpeg(Tool::Ffmpeg, Media::H264Aac, &weir.rtmp("late"));
    assert!(!refused.wait().success());
    publisher.succeed();
    let tags = Media::H264Aac.published_tags(Tool::Ffmpeg);
    assert_equal("viewer", &tags, &viewer.packets(), Ends::Whole);
    weir.process().succeed();
}

#[test]
fn a_drain_ends_at_its_deadline() {
    let weir = Weir::start(BINARY, &["--server-drain-timeout", "1s"]);
    let publisher = endless(&weir.rtmp("drain"));
    weir.publishing("drain");
    weir.stop();
    assert!(!publisher.wait().success());
    weir.logged("drain deadline reached", "");
}

#[test]
fn a_second_signal_ends_a_drain_at_once() {
    let weir = Weir::start(BINARY, &["--server-drain-timeout", "1h"]);
    let publisher = endless(&weir.rtmp("drain"));
    weir.publishing("drain");
    weir.process().signal("TERM");
    weir.logged("draining", "");
    // another TERM right behind the first would be taken for the same one
    weir.process().signal("INT");
    weir.process().succeed();
    publisher.wait();
    weir.logged("second signal, ending at once", "");
}

#[test]
fn a_reload_changes_what_can_change_and_says_what_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weir.toml");
    let write = |text: &str| fs::write(&file, text).unwrap();
    write("[log]\nlevel = \"info\"\n[server]\nworkers = 1\n");
    // flags would win over the file
    let mut start = command(BINARY, &["origin", "--log-format", "json", "-c"]);
    start.arg(&file);
    for key in ["rtmp", "http", "api"] {
        start.args([&format!("--{key}-listen"), "127.0.0.1:0"]);
    }
    let weir = Weir::adopt(Process::spawn(&mut start), 3);
    http::request(weir.address("http"), "GET", "/");
    assert!(!weir.process().said().contains("session opened"));

    write("[log]\nlevel = \"debug\"\n[server]\nworkers = 2\n[limits]\nsessions_per_address = 1\n");
    weir.process().signal("HUP");
    weir.logged("configuration reloaded", "");
    weir.logged("setting changed", "log.level");
    weir.logged("setting needs a restart to change", "server.workers");
    let _first = http::Client::connect(weir.address("http"));
    weir.logged("session opened", "\"http\"");
    let mut second = http::Client::connect(weir.address("http"));
    assert_eq!(second.request("GET", "/", &[]).head.status, 503);

    write("[log]\nlevel = 7\n");
    weir.process().signal("HUP");
    weir.logged("reload refused, nothing was changed", "log.level");
    let answer = weir.api("POST", "/api/v1/reload");
    assert_eq!(answer.head.status, 400, "{}", answer.text());
    weir.stop();
}

#[test]
fn the_service_manager_is_told_of_each_stage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let next = || {
        let mut buffer = [0; 512];
        let count = manager.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..count])
            .trim_end()
            .to_owned()
    };
    let mut start = origin(BINARY, &[]);
    let weir = Weir::adopt(Process::spawn(start.env("NOTIFY_SOCKET", &path)), 3);
    assert_eq!(next(), "READY=1");
    weir.process().signal("HUP");
    assert!(next().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(next(), "READY=1");
    weir.stop();
    assert_eq!(next(), "STOPPING=1");
}

/// Passes a listening socket as descriptor 3, as service managers do, and becomes the program.
const ACTIVATE: &str = "\
import os, socket, sys
listener = socket.socket()
listener.bind(('127.0.0.1', 0))
listener.listen()
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
print(listener.getsockname()[1], file=sys.stderr, flush=True)
names = dict(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='rtmp')
os.execve(sys.argv[1], sys.argv[1:], {**os.environ, **names})
";

#[test]
fn a_listening_socket_of_the_service_manager_is_used() {
    let server = origin(BINARY, &[]);
    let mut start: Command = Tool::Python.command(["-c", ACTIVATE]);
    start.arg(server.get_program()).args(server.get_args());
    let process = Process::spawn(&mut start);
    let port = process.line("a port", |line| line.parse::<u16>().is_ok());
    let weir = Weir::adopt(process, 3);
    assert_eq!(weir.address("rtmp").port().to_string(), port);
    publish::ffmpeg(Tool::Ffmpeg, Media::AudioOnly, &weir.rtmp("s")).succeed();
    weir.publishing("s");
    weir.stop();
}

#[test]
fn a_session_over_the_limit_is_told_so() {
    let weir = Weir::start(BINARY, &["--limits-sessions-per-address", "1"]);
    let publisher = endless(&weir.rtmp("one"));
    weir.publishing("one");
    let mut viewer = Tool::Rtmpdump.command(["--live", "-z", "-o", "/dev/null", "-r"]);
    let viewer = Process::spawn(viewer.arg(weir.rtmp("one")));
    viewer.wait();
    let said = viewer.said();
    assert!(said.contains("NetConnection.Connect.Rejected"), "{said}");
    assert!(!publisher.has_ended());
}

#[test]
fn secrets_are_kept_out_of_the_log() {
    let args = ["--log-level", "trace", "--api-token", "hunter2"];
    let weir = Weir::start(BINARY, &args);
    let url = format!("{}?token=s3cr3t&x=1", weir.rtmp("secret"));
    publish::ffmpeg(Tool::Ffmpeg, Media::AudioOnly, &url).succeed();
    let url = format!("{}?token=s3cr3t", weir.flv("secret"));
    let viewer = Viewer::curl(&url);
    weir.players(2, 0);
    viewer.process().signal("KILL");
    let mut api = http::Client::connect(weir.address("api"));
    assert_eq!(api.request("GET", "/api/v1/streams", &[]).head.status, 401);
    let bearer = [("authorization", "Bearer hunter2")];
    let answer = api.request("GET", "/api/v1/streams", &bearer);
    assert_eq!(answer.head.status, 200);
    assert!(!answer.text().contains("s3cr3t"));
    weir.stop();
    let said = weir.process().said();
    for secret in ["s3cr3t", "hunter2"] {
        let line = said.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}

/// Proxies and balancers ask every second whether somebody listens, and proxies now and then whether he answers.
#[test]
fn a_connection_that_asks_for_nothing_is_not_told_of_at_the_usual_level() {
    let weir = Weir::start(BINARY, &[]);
    let c0_and_c1 = [&[3][..], &[0; 1536]].concat();
    let mut next = 0;
    for (listener, words, level) in [
        ("rtmp", &b""[..], "DEBUG"),
        ("rtmp", &c0_and_c1, "DEBUG"),
        ("rtmp", b"GET / HTTP/1.1\r\n\r\n", "INFO"),
        ("http", b"", "DEBUG"),
        ("http", b"GET /", "INFO"),
    ] {
        let mut peer = TcpStream::connect(weir.address(listener)).unwrap();
        peer.write_all(words).unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        // until it closes
        let _ = peer.read_to_end(&mut Vec::new());
        let (after, line) = weir.logged_after(next, "session ended", "none");
        assert_eq!(line["level"], level, "{listener}: {line}");
        next = after;
    }
}
