//! A proxy on one core, and origins that say what a test wants.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;
use rustls::pki_types::CertificateDer;
use weir_cluster::memory::{self, Memory};
use weir_cluster::{ClusterState, Endpoints, Service};
use weir_http::pages::Pages;
use weir_net::admission::{Admission, Limits};
use weir_net::clock;
use weir_net::cores::{self, Cores, Shutdown};
use weir_net::door::{Certificates, Door, DoorSettings};
use weir_net::relay::Relay;
use weir_proxy::directory::{Directory, Options, StaticOrigin};
use weir_proxy::metrics::Metrics;
use weir_proxy::sessions::Sessions;
use weir_proxy::settings::{Http, Routing};
use weir_proxy::{Context, Settings};

pub(crate) use weir_testkit::PATIENCE;
pub(crate) use weir_testkit::http::Client;

/// A running proxy; it stops when dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) shutdown: Shutdown,
    cores: Option<Cores>,
}

/// The state of a cluster of one process.
pub(crate) fn state() -> Arc<dyn ClusterState> {
    Arc::new(Memory::new(memory::Options::default(), clock::now))
}

/// Settings with patience for slow machines, but none for origins that are silent.
pub(crate) fn settings() -> Settings {
    Settings {
        answer: PATIENCE,
        ..Settings::default()
    }
}

/// Settings with signed ids.
pub(crate) fn signed() -> Settings {
    let secret = b"sixteen bytes or more".to_vec();
    Settings {
        http: Http {
            routing: Routing::Signed { secret },
            ..Http::default()
        },
        ..settings()
    }
}

/// An origin at an address.
pub(crate) fn at(address: SocketAddr) -> StaticOrigin {
    let mut endpoints = Endpoints::default();
    endpoints.set(Service::Http, vec![address.port().to_string()]);
    endpoints.set(Service::Rtmp, vec!["1935".to_owned()]);
    StaticOrigin {
        host: address.ip().to_string(),
        endpoints,
        device: String::new(),
        weight: 100,
    }
}

impl Proxy {
    /// A proxy in front of `origins`.
    pub(crate) fn start(settings: Settings, origins: &[SocketAddr]) -> Self {
        Self::with_state(settings, origins, state(), 0)
    }

    /// A proxy that speaks TLS, with the certificate that clients must trust.
    pub(crate) fn secure(
        settings: Settings,
        origins: &[SocketAddr],
    ) -> (Self, CertificateDer<'static>) {
        let made = rcgen::generate_simple_self_signed(["proxy.test".to_owned()]);
        let made = made.expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        let (chain, key) = (folder.path().join("chain"), folder.path().join("key"));
        std::fs::write(&chain, made.cert.pem()).expect("written");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
        let certificates = Certificates::load(&chain, &key).expect("usable");
        let door = Door::new(DoorSettings {
            tls: Some(Arc::new(certificates.offering(&["http/1.1"]))),
            ..DoorSettings::default()
        });
        let proxy = Self::behind(door, settings, origins, state(), 0, None);
        (proxy, made.cert.der().clone())
    }

    /// A proxy that shares `state` with others and takes at most `limit` sessions; 0 is no limit.
    pub(crate) fn with_state(
        settings: Settings,
        origins: &[SocketAddr],
        state: Arc<dyn ClusterState>,
        limit: u64,
    ) -> Self {
        Self::behind(Door::default(), settings, origins, state, limit, None)
    }

    /// A proxy whose application answers for its pages.
    pub(crate) fn with_pages(settings: Settings, origins: &[SocketAddr], pages: Pages) -> Self {
        Self::behind(Door::default(), settings, origins, state(), 0, Some(pages))
    }

    fn behind(
        door: Door,
        settings: Settings,
        origins: &[SocketAddr],
        state: Arc<dyn ClusterState>,
        limit: u64,
        pages: Option<Pages>,
    ) -> Self {
        let door = Arc::new(door);
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let sessions = Sessions::new(Arc::clone(&metrics), 1);
        let options = Options {
            static_origins: origins.iter().copied().map(at).collect(),
            ..Options::default()
        };
        let directory = Directory::new(state, options, &mut registry);
        let admission = Admission::new(Limits {
            sessions: limit,
            sessions_per_address: 0,
        });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("bound");
        let shutdown = Shutdown::new();
        let settings = Arc::new(ArcSwap::from_pointee(settings));
        let held = Arc::clone(&sessions);
        let cores = cores::start(vec![listener], &shutdown, move |core, listener| {
            let relay = Relay::start(core.index()).expect("a file");
            let context = Context::new(
                core.clone(),
                relay,
                Arc::clone(&directory),
                Arc::clone(&held),
                admission.clone(),
                Arc::clone(&metrics),
                Arc::clone(&settings),
            );
            let door = Arc::clone(&door);
            core.spawn_service(weir_proxy::http::serve(
                context,
                listener,
                door,
                pages.clone(),
            ));
        })
        .expect("a core");
        Self {
            address,
            sessions,
            shutdown,
            cores: Some(cores),
        }
    }

    /// A connection to it.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// The answer to a GET on a connection of its own.
    pub(crate) fn get(&self, path: &str) -> weir_testkit::http::Answer {
        self.client().request("GET", path, &[])
    }

    /// A connection without any client's ways.
    pub(crate) fn raw(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        stream
    }

    /// Everything that comes in answer to `bytes` up to the end of the connection.
    pub(crate) fn said_to(&self, bytes: &[u8]) -> String {
        let mut stream = self.raw();
        stream.write_all(bytes).expect("taken");
        let mut said = Vec::new();
        // a reset after the answer is no matter here
        let _ = stream.read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shutdown.stop();
        if let Some(cores) = self.cores.take() {
            cores.join();
        }
    }
}

/// A request as an origin got it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The request line.
    pub(crate) line: String,
    /// The whole head.
    pub(crate) head: String,
    /// Which connection of the origin it came by.
    pub(crate) connection: usize,
}

impl Asked {
    /// The values of all fields called `name`, which is in lower case.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        let named = fields.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.to_owned()).collect()
    }

    /// The value of the only field called `name`.
    pub(crate) fn field(&self, name: &str) -> String {
        let all = self.all(name);
        assert!(all.len() < 2, "{name}: {all:?}");
        all.into_iter().next().unwrap_or_default()
    }
}

/// An origin that answers by a function.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    asked: Receiver<Asked>,
}

impl Origin {
    /// `answer` is called for each request; it returns whether the connection takes another.
    pub(crate) fn start(
        answer: impl Fn(&Asked, &mut TcpStream) -> bool + Clone + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let (sender, asked) = sync_channel(64);
        std::thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let Ok(mut stream) = stream else { return };
                let (answer, sender) = (answer.clone(), sender.clone());
                std::thread::spawn(move || {
                    stream.set_nodelay(true).expect("a socket");
                    while let Some(asked) = head(&mut stream, connection) {
                        let _ = sender.send(asked.clone());
                        if !answer(&asked, &mut stream) {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, asked }
    }

    /// One that gives the same answer to all.
    pub(crate) fn saying(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |_, stream| stream.write_all(&answer).is_ok())
    }

    /// The next request.
    pub(crate) fn asked(&self) -> Asked {
        self.asked.recv_timeout(PATIENCE).expect("a request")
    }

    /// The next request, if one has come.
    pub(crate) fn try_asked(&self) -> Option<Asked> {
        self.asked.try_recv().ok()
    }

    /// Whether nothing was asked that was not looked at.
    pub(crate) fn is_unasked(&self) -> bool {
        self.asked.try_recv().is_err()
    }
}

fn head(stream: &mut TcpStream, connection: usize) -> Option<Asked> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.extend_from_slice(&byte);
    }
    let head = String::from_utf8(head).expect("text");
    Some(Asked {
        line: head.lines().next().unwrap_or_default().to_owned(),
        head,
        connection,
    })
}

/// An answer with a length.
pub(crate) fn answer(status: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\n\r\n{body}")
}

/// Waits for what other threads do; there is no event for it.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = clock::now();
    while !holds() {
        assert!(clock::now() - begun < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// An address where nobody listens.
pub(crate) fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound")
}
