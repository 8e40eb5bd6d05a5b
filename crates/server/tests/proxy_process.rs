//! The proxy's process: where its settings come from, how it starts, is told, reloads, drains and ends.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};

use weir_testkit::proxy::{command, proxy};
use weir_testkit::{
    Ends, Media, PATIENCE, Process, Proxy, Tool, Viewer, Weir, assert_equal, http, publish,
};

const BINARY: &str = env!("CARGO_BIN_EXE_weir");

/// A proxy whose listeners are named by the variables of the SRS proxy, started in `folder`.
fn by_variables(folder: &Path, env: &[(&str, &str)]) -> Command {
    let mut start = command(BINARY, &["proxy", "--log-format", "json"]);
    start.current_dir(folder);
    for name in ["RTMP_SERVER", "HTTP_SERVER", "HTTP_API", "SYSTEM_API"] {
        start.env(format!("PROXY_{name}"), "127.0.0.1:0");
    }
    start.envs(env.iter().copied());
    start
}

fn ended(command: &mut Command) -> (Option<i32>, String) {
    let process = Process::spawn(command);
    let code = process.wait().code();
    let said = process.said();
    let errors = said.lines().filter(|line| line.starts_with("weir: "));
    (code, errors.collect::<Vec<_>>().join("\n"))
}

/// A connection that has begun the RTMP handshake and not ended it.
fn half_open(proxy: &Proxy) -> TcpStream {
    let mut stream = TcpStream::connect(proxy.listener("rtmp")).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    // C0 and C1 of the simple handshake (RTMP 1.0 §5.2)
    let hello = [&[3][..], &[0; 1536]].concat();
    stream.write_all(&hello).expect("it reads");
    let mut answer = [0; 1 + 1536];
    stream.read_exact(&mut answer).expect("S0 and S1");
    stream
}

/// B18, C10: one line that names who asked and where, whoever it was; nothing else was opened.
#[test]
fn a_taken_port_is_one_line_that_names_who_asked() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    for (variable, listener) in [
        ("PROXY_RTMP_SERVER", "rtmp"),
        ("PROXY_HTTP_SERVER", "http"),
        ("PROXY_HTTP_API", "api"),
        ("PROXY_SYSTEM_API", "system"),
    ] {
        let what = format!("cannot listen on {address}: ");
        let (code, said) = ended(&mut by_variables(folder.path(), &[(variable, &address)]));
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.starts_with(&format!("weir: {variable}={address}: {what}")),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");

        let flag = format!("--proxy-{listener}-listen");
        let (code, said) = ended(proxy(BINARY, &[&flag, &address]).current_dir(&folder));
        assert_eq!(code, Some(1), "{said}");
        assert!(said.starts_with(&format!("weir: {flag}: {what}")), "{said}");

        let dotenv = format!("# ports\nexport {variable}=\"{address}\" # here\n");
        fs::write(folder.path().join(".env"), dotenv).unwrap();
        let (code, said) = ended(&mut by_variables(folder.path(), &[(variable, "")]));
        assert_eq!(code, Some(1), "{said}");
        let start = format!("weir: .env:2: {variable}={address}: {what}");
        assert!(said.starts_with(&start), "{said}");
        fs::remove_file(folder.path().join(".env")).unwrap();
    }
    let name = "no-such-host.invalid:0";
    let (code, said) = ended(&mut by_variables(
        folder.path(),
        &[("PROXY_RTMP_SERVER", name)],
    ));
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains(&format!("PROXY_RTMP_SERVER={name}: ")),
        "{said}"
    );
}

/// B18: a port that is taken on one address is taken for all of them.
#[test]
fn a_port_that_is_taken_on_ipv4_is_taken_for_all_addresses() {
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let env = [("PROXY_RTMP_SERVER", port.as_str())];
    let (code, said) = ended(&mut by_variables(folder.path(), &env));
    assert_eq!(code, Some(1), "{said}");
    let start = format!("weir: PROXY_RTMP_SERVER={port}: cannot listen on [::]:{port}: ");
    assert!(said.starts_with(&start), "{said}");
}

/// C9, C73, C75: what is wrong in the variables refuses the start, all of it at once.
#[test]
fn wrong_variables_refuse_the_start_and_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let env = [
        ("PROXY_GRACE_QUIT_TIMEOUT", "30"),
        ("PROXY_ORIGIN_SERVER_TTL", "0s"),
        ("PROXY_LOAD_BALANCER_TYPE", "etcd"),
        ("PROXY_HTTP_API_AUTH_ENABLED", "on"),
        ("PROXY_HTTP_API_AUTH_TYPE", "bearer"),
    ];
    let process = Process::spawn(&mut by_variables(folder.path(), &env));
    assert_eq!(process.wait().code(), Some(2));
    let said = process.said();
    for (name, _) in &env[..4] {
        assert!(said.contains(&format!("{name}: ")), "{name} in {said}");
    }
    fs::create_dir(folder.path().join(".env")).unwrap();
    let (code, said) = ended(&mut by_variables(folder.path(), &[]));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains(".env:1: cannot read it"), "{said}");
}

/// C8: Redis that is not there ends the start, with its address and without its password.
#[test]
fn a_redis_that_cannot_be_reached_ends_the_start() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let folder = tempfile::tempdir().unwrap();
    let env = [
        ("PROXY_LOAD_BALANCER_TYPE", "redis"),
        ("PROXY_REDIS_PORT", port.as_str()),
        ("PROXY_REDIS_PASSWORD", "hunter2"),
    ];
    let process = Process::spawn(&mut by_variables(folder.path(), &env));
    assert_eq!(process.wait().code(), Some(1));
    let said = process.said();
    assert!(said.contains(&format!("127.0.0.1:{port}")), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

/// C5, C13, C78: no `.env`, a debug page; the settings are on one line, without secrets.
#[test]
fn settings_come_from_the_variables_of_the_srs_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let env = [
        ("GO_PPROF", "127.0.0.1:0"),
        ("PROXY_WEBRTC_SERVER", "18000"),
        ("PROXY_STATIC_FILES", "."),
        ("PROXY_HTTP_API_AUTH_ENABLED", "on"),
        ("PROXY_HTTP_API_AUTH_TYPE", "bearer"),
        ("PROXY_HTTP_API_AUTH_TOKEN", "hunter2"),
        ("PROXY_REDIS_PASSWORD", "hunter2"),
        ("PROXY_NONSENSE", "1"),
    ];
    let process = Process::spawn(&mut by_variables(folder.path(), &env));
    let proxy = Proxy::adopt(process, 5);
    for path in ["/", "/debug/pprof/"] {
        let page = http::request(proxy.listener("debug"), "GET", path);
        assert_eq!(page.head.status, 200);
        assert!(page.text().contains("sessions 0"), "{}", page.text());
        assert!(page.text().contains("core-0"), "{}", page.text());
    }
    let settings = proxy
        .logged("configuration", "proxy.rtmp_listen=")
        .to_string();
    assert!(settings.contains("server.drain_timeout"), "{settings}");
    assert!(settings.contains("20s"), "{settings}");
    proxy.logged("configuration", "PROXY_NONSENSE: unknown variable");
    let later = "this version has no WebRTC and no SRT, these addresses are not listened on";
    proxy.logged(later, "PROXY_WEBRTC_SERVER");
    proxy.stop();
    let said = proxy.process().said();
    assert!(!said.contains("hunter2"), "{said}");
}

/// C13: a debug address that is taken is no reason not to start.
#[test]
fn a_debug_page_that_cannot_be_is_a_warning() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let env = [("GO_PPROF", address.as_str())];
    let process = Process::spawn(&mut by_variables(folder.path(), &env));
    let proxy = Proxy::adopt(process, 4);
    proxy.logged("no debug page", &address);
    proxy.stop();
}

#[test]
fn a_folder_of_static_files_that_is_none_refuses_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let env = [("PROXY_STATIC_FILES", "../trunk/research")];
    let (code, said) = ended(&mut by_variables(folder.path(), &env));
    assert_eq!(code, Some(1), "{said}");
    let start = "weir: PROXY_STATIC_FILES: ../trunk/research is no folder: ";
    assert!(said.starts_with(start), "{said}");
}

/// B52: who can reach the system listener can become an origin.
#[test]
fn a_system_listener_open_to_all_is_warned_of() {
    let open = ["--proxy-system-listen", ":0"];
    let warning = "everybody who can reach this address";
    let warned = |args: &[&str]| {
        let proxy = Proxy::start(BINARY, args);
        proxy.stop();
        proxy.process().said().contains(warning)
    };
    assert!(warned(&open));
    assert!(!warned(&[]));
    assert!(!warned(
        &[&open[..], &["--proxy-token", "swordfish"]].concat()
    ));
    assert!(!warned(
        &[&open[..], &["--proxy-register-from", "10.0.0.0/8"]].concat()
    ));
}

/// C2, C53: a port alone is every address of the machine, in IPv4 and IPv6.
#[test]
fn a_port_alone_is_every_address() {
    let proxy = Proxy::start(BINARY, &["--proxy-api-listen", "0"]);
    let address = proxy.listener("api");
    assert!(address.ip().is_unspecified());
    for host in ["127.0.0.1", "::1"] {
        let at = (host, address.port());
        let address = TcpStream::connect(at).unwrap().peer_addr().unwrap();
        let answer = http::request(address, "GET", "/api/v1/versions");
        assert_eq!(answer.head.status, 200, "{}", answer.text());
    }
    proxy.stop();
}

/// C11: nobody is there to wait for.
#[test]
fn without_sessions_either_signal_ends_it_with_0() {
    for signal in ["TERM", "INT"] {
        let proxy = Proxy::start(BINARY, &["--server-drain-timeout", "1h"]);
        proxy.process().signal(signal);
        proxy.process().succeed();
        proxy.logged("stopped", "");
    }
}

/// B19: not ready at once, sessions until the deadline, then the end with 0.
#[test]
fn a_drain_ends_at_its_deadline_and_is_not_ready_until_then() {
    let args = [
        "--server-drain-timeout",
        "2s",
        "--proxy-opening-timeout",
        "5m",
    ];
    let proxy = Proxy::start(BINARY, &args);
    let mut session = half_open(&proxy);
    proxy.process().signal("TERM");
    proxy.logged("draining", "");
    assert_eq!(proxy.system("GET", "/readyz").head.status, 503);
    assert_eq!(proxy.system("GET", "/healthz").head.status, 200);
    proxy.logged("drain deadline reached", "");
    let mut rest = Vec::new();
    // closed or reset, but not left
    let _ = session.read_to_end(&mut rest);
    proxy.process().succeed();
}

/// B9, B19: an origin that is only named in the settings; what runs when the signal comes may run to its end.
#[test]
fn a_drain_refuses_the_new_and_lets_the_old_finish() {
    let origin = Weir::start(BINARY, &[]);
    let origins = format!("rtmp://{}", origin.address("rtmp"));
    let args = [
        "--cluster-origins",
        &origins,
        "--server-drain-timeout",
        "40s",
        "--proxy-force-quit-timeout",
        "1m",
    ];
    let proxy = Proxy::start(BINARY, &args);
    let viewer = Viewer::rtmpdump(&proxy.rtmp("drain"));
    origin.players(1, 1);
    let url = proxy.rtmp("drain");
    let publisher = publish::ffmpeg_with(Tool::Ffmpeg, Media::H264Aac, &["-re"], &url);
    viewer.reached(100);
    proxy.process().signal("TERM");
    proxy.logged("draining", "");
    assert_eq!(proxy.system("GET", "/readyz").head.status, 503);
    let late = publish::ffmpeg(Tool::Ffmpeg, Media::H264Aac, &proxy.rtmp("late"));
    assert!(!late.wait().success());
    publisher.succeed();
    let tags = Media::H264Aac.published_tags(Tool::Ffmpeg);
    assert_equal("viewer", &tags, &viewer.packets(), Ends::Whole);
    proxy.process().succeed();
    origin.stop();
}

/// C14: streams go to the default backend without any registration.
#[test]
fn streams_go_to_the_default_backend() {
    let origin = Weir::start(BINARY, &[]);
    let folder = tempfile::tempdir().unwrap();
    let [rtmp, http] = ["rtmp", "http"].map(|key| origin.address(key).port().to_string());
    let env = [
        ("PROXY_DEFAULT_BACKEND_ENABLED", "on"),
        ("PROXY_DEFAULT_BACKEND_RTMP", rtmp.as_str()),
        ("PROXY_DEFAULT_BACKEND_HTTP", http.as_str()),
    ];
    let process = Process::spawn(&mut by_variables(folder.path(), &env));
    let proxy = Proxy::adopt(process, 4);
    let viewer = Viewer::curl(&proxy.flv("s"));
    origin.players(1, 0);
    publish::ffmpeg(Tool::Ffmpeg, Media::AudioOnly, &proxy.rtmp("s")).succeed();
    origin.publishing("s");
    viewer.reached(0);
    proxy.stop();
}

/// B19: a second signal does not wait.
#[test]
fn a_second_signal_ends_a_drain_at_once() {
    let args = [
        "--server-drain-timeout",
        "1h",
        "--proxy-force-quit-timeout",
        "1h",
        "--proxy-opening-timeout",
        "5m",
    ];
    let proxy = Proxy::start(BINARY, &args);
    let _session = half_open(&proxy);
    proxy.process().signal("TERM");
    proxy.logged("draining", "");
    // another TERM right behind the first would be taken for the same one
    proxy.process().signal("INT");
    proxy.process().succeed();
    proxy.logged("second signal, ending at once", "");
}

/// C12: the hard limit ends the process whatever is open, and says that this was no orderly end.
#[test]
fn the_hard_limit_ends_the_process_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let env = [
        ("PROXY_GRACE_QUIT_TIMEOUT", "1h"),
        ("PROXY_FORCE_QUIT_TIMEOUT", "1s"),
        ("WEIR_PROXY_OPENING_TIMEOUT", "5m"),
    ];
    let process = Process::spawn(&mut by_variables(folder.path(), &env));
    let proxy = Proxy::adopt(process, 4);
    let _session = half_open(&proxy);
    proxy.process().signal("TERM");
    assert_eq!(proxy.process().wait().code(), Some(1));
    let said = proxy.process().said();
    assert!(
        said.contains("weir: the process did not end within 1s"),
        "{said}"
    );
}

/// The live keys change with a reload, the others say that they do not.
#[test]
fn a_reload_changes_what_can_change_and_says_what_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weir.toml");
    let write = |text: &str| fs::write(&file, text).unwrap();
    write("[log]\nlevel = \"info\"\n[proxy]\ntoken = \"one\"\n");
    let mut start = command(BINARY, &["proxy", "--log-format", "json", "-c"]);
    start.arg(&file);
    for name in ["rtmp", "http", "api", "system"] {
        start.args([&format!("--proxy-{name}-listen"), "127.0.0.1:0"]);
    }
    let proxy = Proxy::adopt(Process::spawn(&mut start), 4);
    let status = |token: &str| {
        let mut client = http::Client::connect(proxy.listener("system"));
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        client
            .request("GET", "/api/v1/origins", &headers)
            .head
            .status
    };
    assert_eq!((status("one"), status("two")), (200, 401));
    write("[proxy]\ntoken = \"two\"\ndial_timeout = \"1s\"\n[cluster]\nlease = \"30s\"\n");
    proxy.process().signal("HUP");
    proxy.logged("configuration reloaded", "");
    proxy.logged("setting changed", "proxy.dial_timeout");
    proxy.logged("setting needs a restart to change", "cluster.lease");
    assert_eq!((status("one"), status("two")), (401, 200));
    write("[proxy]\ndial_timeout = 7\n");
    proxy.process().signal("HUP");
    proxy.logged("reload refused, nothing was changed", "dial_timeout");
    proxy.stop();
    let said = proxy.process().said();
    assert!(!said.contains("\"two\""), "{said}");
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
    let mut start = proxy(BINARY, &[]);
    let proxy = Proxy::adopt(Process::spawn(start.env("NOTIFY_SOCKET", &path)), 4);
    assert_eq!(next(), "READY=1");
    proxy.stop();
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
    // the port in the settings is taken, and not asked for
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let server = proxy(BINARY, &["--proxy-rtmp-listen", &address]);
    let mut start: Command = Tool::Python.command(["-c", ACTIVATE]);
    start.arg(server.get_program()).args(server.get_args());
    let process = Process::spawn(&mut start);
    let port = process.line("a port", |line| line.parse::<u16>().is_ok());
    let proxy = Proxy::adopt(process, 4);
    assert_eq!(proxy.listener("rtmp").port().to_string(), port);
    half_open(&proxy);
    proxy.stop();
}

/// Writes a new certificate with its key into `folder`; gives the certificate in PEM.
fn certify(folder: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a name");
    let write = |name: &str, text: String| fs::write(folder.join(name), text).expect("written");
    write("chain.pem", made.cert.pem());
    write("key.pem", made.signing_key.serialize_pem());
    made.cert.pem()
}

/// The certificate that is shown at `address`, in PEM.
fn shown(address: SocketAddr) -> String {
    let script =
        "import ssl, sys; print(ssl.get_server_certificate(('127.0.0.1', int(sys.argv[1]))))";
    let mut ask = Tool::Python.command(["-c", script, &address.port().to_string()]);
    let output = ask.stdout(Stdio::piped()).output().expect("python runs");
    String::from_utf8(output.stdout).expect("PEM is ASCII")
}

/// B29: TLS at both listeners, and a certificate that is renewed without a restart.
#[test]
fn certificates_are_shown_and_read_again_at_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = (
        folder.path().join("chain.pem"),
        folder.path().join("key.pem"),
    );
    let (chain, key) = (chain.display().to_string(), key.display().to_string());
    let args = [
        "--proxy-tls-certificate",
        &chain,
        "--proxy-tls-key",
        &key,
        "--proxy-rtmps-listen",
        "127.0.0.1:0",
        "--proxy-https-listen",
        "127.0.0.1:0",
    ];
    let (code, said) = ended(&mut proxy(BINARY, &args));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with(&format!(
        "weir: proxy.tls_certificate: cannot read {chain}: "
    )));

    let bare = |pem: &str| pem.split_whitespace().collect::<String>();
    let first = certify(folder.path());
    let proxy = Proxy::start(BINARY, &args);
    let listeners = ["rtmps", "https"].map(|name| proxy.listener(name));
    for address in listeners {
        assert_eq!(bare(&shown(address)), bare(&first));
    }
    let reload = |message: &str| {
        let after = proxy.process().lines();
        proxy.process().signal("HUP");
        proxy.logged_after(after, message, "");
        proxy.logged_after(after, "configuration reloaded", "");
    };
    fs::write(&chain, "no certificate").unwrap();
    reload("certificate not reloaded, the old one stays");
    assert_eq!(bare(&shown(listeners[0])), bare(&first));
    let second = certify(folder.path());
    reload("configuration reloaded");
    for address in listeners {
        assert_eq!(bare(&shown(address)), bare(&second));
    }
    proxy.stop();
}

/// What would be used, and who said so, in the words of whoever set it.
#[test]
fn check_reads_as_the_proxy_does_when_it_is_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join(".env"),
        "\nPROXY_REDIS_PASSWORD=hunter2\n",
    )
    .unwrap();
    let check = |args: &[&str], env: (&str, &str)| {
        let mut check = command(BINARY, args);
        check.current_dir(&folder).env(env.0, env.1);
        check.stdout(Stdio::piped());
        let output = check.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let (code, said, _) = check(&["check", "--role", "proxy"], ("PROXY_RTMP_SERVER", "1935"));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("proxy.rtmp_listen = [\":1935\"]  # PROXY_RTMP_SERVER\n"));
    assert!(
        said.contains("redis.password = \"***\"  # .env:2\n"),
        "{said}"
    );
    let (code, said, _) = check(&["check"], ("PROXY_RTMP_SERVER", "1935"));
    assert_eq!((code, said.as_str()), (Some(0), "configuration is valid\n"));
    let (code, _, errors) = check(&["check", "--role", "proxy"], ("PROXY_REDIS_DB", "x"));
    assert_eq!(code, Some(2));
    assert!(
        errors.contains("PROXY_REDIS_DB: expected a whole number"),
        "{errors}"
    );
}
