//! A started origin with its API, and publishers.
//!
//! Owns: starting and ending them. Does not: judge answers.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use prometheus_client::registry::Registry;
use tower::ServiceExt;
use weir_app::api::{Api, Sockets};
use weir_app::cli::Settings;
use weir_app::config::Config;
use weir_app::log;
use weir_app::origin::Origin;
use weir_app::run::{Reloader, load};
use weir_net::clock;
use weir_net::cores::Shutdown;
use weir_rtmp::{ClientConfig, ClientEvent, ClientMode, ClientSession, MediaKind, RtmpUrl};

/// The token of a server that has one.
pub(crate) const TOKEN: &str = "a-long-secret";

/// Longest wait for what must come. A test that takes it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running origin. Dropping it ends its sessions.
pub(crate) struct Server {
    pub(crate) api: Api,
    pub(crate) shutdown: Shutdown,
    origin: Arc<Origin>,
    config: Config,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Starts on free ports with `api.token` set to `token`.
    pub(crate) fn start(token: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weir.toml");
        let text = format!("[server]\nworkers = 2\n[api]\ntoken = \"{token}\"\n");
        std::fs::write(&file, text).unwrap();
        let listen = ["rtmp-listen", "http-listen", "api-listen"];
        let settings = Settings {
            file: Some(file.clone()),
            flags: listen
                .map(|flag| (flag.to_owned(), "127.0.0.1:0".to_owned()))
                .to_vec(),
        };
        let loaded = load(&settings).unwrap();
        let config = loaded.config.clone();
        let shutdown = Shutdown::new();
        let mut registry = Registry::with_prefix("weir");
        let origin = Origin::start(&config, vec![], &mut registry, &shutdown).unwrap();
        let origin = Arc::new(origin);
        let reloader = Reloader::new(settings, loaded, Arc::clone(&origin), logs());
        Self {
            api: Api::new(Arc::new(reloader), registry, &shutdown),
            shutdown,
            origin,
            config,
            file,
            _folder: folder,
        }
    }

    /// Changes the file of the configuration. Addresses stay, which are given as flags.
    pub(crate) fn configure(&self, text: &str) {
        std::fs::write(&self.file, text).unwrap();
    }

    /// The address for RTMP.
    pub(crate) fn rtmp(&self) -> Rtmp<'_> {
        let listening = self.origin.listening().iter();
        let rtmp = listening.clone().find(|one| one.key == "rtmp.listen");
        Rtmp {
            address: rtmp.unwrap().address,
            origin: &self.origin,
        }
    }

    /// Asks the router; `Host` is `localhost` unless `headers` say otherwise.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (StatusCode, HeaderMap, String) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "localhost");
        }
        let request = request.body(Body::empty()).unwrap();
        let router = self
            .api
            .router(SocketAddr::from((Ipv4Addr::LOCALHOST, 1985)));
        runtime().block_on(async {
            let (head, body) = router.oneshot(request).await.unwrap().into_parts();
            let body = to_bytes(body, usize::MAX).await.unwrap();
            let body = String::from_utf8(body.to_vec()).unwrap();
            (head.status, head.headers, body)
        })
    }

    /// The JSON of a `GET` that must succeed.
    pub(crate) fn json(&self, path: &str) -> serde_json::Value {
        let (status, headers, body) = self.ask("GET", path, &[]);
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        assert_eq!(headers["content-type"], "application/json");
        serde_json::from_str(&body).unwrap()
    }

    /// Sends `request` to a listening socket of the API, and gives what is answered until the connection ends.
    pub(crate) fn over_tcp(&self, request: &str) -> String {
        let sockets = Sockets::bind(&self.config).unwrap();
        let address = sockets.listening()[0].address;
        let (sender, answered) = tokio::sync::oneshot::channel();
        let request = request.to_owned();
        let client = std::thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut answer = Vec::new();
            // a server that has heard enough resets the connection
            let _ = stream.write_all(request.as_bytes());
            let _ = stream.read_to_end(&mut answer);
            sender.send(String::from_utf8(answer).unwrap()).unwrap();
        });
        let answer = runtime().block_on(async {
            tokio::select! {
                answer = answered => answer.unwrap(),
                served = self.api.clone().serve(sockets) => match served.unwrap() {},
            }
        });
        client.join().unwrap();
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.stop();
    }
}

/// Where to publish, and where it shows.
#[derive(Clone, Copy)]
pub(crate) struct Rtmp<'a> {
    address: SocketAddr,
    origin: &'a Origin,
}

/// An RTMP client.
pub(crate) struct Client {
    session: ClientSession,
    stream: TcpStream,
}

impl Client {
    /// Publishes two AAC frames, the first of which is the sequence header, and returns when the hub has them.
    pub(crate) fn publish(rtmp: Rtmp<'_>, app: &str, name: &str) -> Self {
        let mut client = Self::connect(rtmp, ClientMode::Publish, app, name);
        client.read_until(|event| matches!(event, ClientEvent::Ready { .. }));
        // two channels of AAC-LC at 44.1 kHz (ISO/IEC 14496-3, 1.6.2.1)
        for (timestamp, body) in [(0, &[0xaf, 0, 0x12, 0x10]), (23, &[0xaf, 1, 0x21, 0x10])] {
            let sent = client.session.send(MediaKind::Audio, timestamp, body);
            sent.unwrap();
        }
        client.flush();
        wait_until(|| arrived(rtmp.origin, name));
        client
    }

    /// Plays, and returns when the first sound has come.
    pub(crate) fn play(rtmp: Rtmp<'_>, app: &str, name: &str) -> Self {
        let mut client = Self::connect(rtmp, ClientMode::Play, app, name);
        client.read_until(|event| {
            let audio = MediaKind::Audio;
            matches!(event, ClientEvent::Media { kind, .. } if *kind == audio)
        });
        client
    }

    fn connect(rtmp: Rtmp<'_>, mode: ClientMode, app: &str, name: &str) -> Self {
        let url = format!("rtmp://{}/{app}/{name}", rtmp.address);
        let url: RtmpUrl = url.parse().unwrap();
        let stream = TcpStream::connect(rtmp.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let config = ClientConfig::new(&url, mode);
        let session = ClientSession::new(config, clock::now(), 1);
        Self { session, stream }
    }

    /// Reads until the server closes the connection.
    pub(crate) fn wait_for_the_end(&mut self) {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).unwrap();
    }

    fn read_until(&mut self, awaited: impl Fn(&ClientEvent) -> bool) {
        let mut buffer = [0; 4096];
        loop {
            self.flush();
            let count = self.stream.read(&mut buffer).unwrap();
            assert!(count > 0, "the server closed the connection");
            let mut input = &buffer[..count];
            while let Some(event) = self.session.handle_input(clock::now(), &mut input).unwrap() {
                if awaited(&event) {
                    return;
                }
            }
        }
    }

    fn flush(&mut self) {
        let mut output = Vec::new();
        self.session.take_output(&mut output);
        self.stream.write_all(&output).unwrap();
    }
}

/// Looks until `condition` holds.
pub(crate) fn wait_until(condition: impl Fn() -> bool) {
    let ends = clock::now() + PATIENCE;
    while !condition() {
        assert!(clock::now() < ends, "what is waited for does not come");
        std::thread::yield_now();
    }
}

fn arrived(origin: &Origin, name: &str) -> bool {
    let streams = origin.hub().snapshot(clock::now());
    let mut streams = streams.iter();
    streams.any(|stream| stream.key.name() == name && stream.frames_in == 2)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Logs can be set up once in a process.
fn logs() -> log::Handle {
    static LOGS: OnceLock<log::Handle> = OnceLock::new();
    LOGS.get_or_init(|| log::init(&Config::default().log).unwrap())
        .clone()
}
