//! The sections of the proxy and its cluster.
//!
//! Owns: [`Proxy`], [`Cluster`], [`Redis`], [`Heartbeat`] and their defaults, which are those of the Go proxy where it
//! has them. Does not: know how values are read.

use std::path::PathBuf;
use std::time::Duration;

use super::address::{ListenAt, Listens, Networks, Origins, Urls};
use super::value::{CorsOrigin, Credential, HandOver, KeyForm, Routing, Secret, State};

/// `[proxy]`
#[derive(Debug, Clone, PartialEq)]
pub struct Proxy {
    /// Addresses for RTMP.
    pub rtmp_listen: Listens,
    /// Addresses for RTMP over TLS.
    pub rtmps_listen: Listens,
    /// Addresses for HTTP streams.
    pub http_listen: Listens,
    /// Addresses for HTTP streams over TLS.
    pub https_listen: Listens,
    /// Addresses of the public HTTP API.
    pub api_listen: Listens,
    /// Addresses where origins register.
    pub system_listen: Listens,
    /// Addresses for WebRTC media; kept, not used yet.
    pub webrtc_listen: Listens,
    /// Addresses for SRT; kept, not used yet.
    pub srt_listen: Listens,
    /// Addresses of the debug page.
    pub debug_listen: Listens,
    /// File with the certificate chain in PEM; empty is none.
    pub tls_certificate: PathBuf,
    /// File with the certificate's key in PEM; empty is none.
    pub tls_key: PathBuf,
    /// Folder of static files; empty serves none.
    pub static_files: PathBuf,
    /// Value of `Access-Control-Allow-Origin`.
    pub cors_origin: CorsOrigin,
    /// Whether the console and the API are served on the HTTP addresses too.
    pub console: bool,
    /// Bearer token of the system listener; empty asks for none.
    pub token: Secret,
    /// Who may register; empty is anybody.
    pub register_from: Networks,
    /// Whether an origin's address is that of its connection, whatever it says.
    pub register_peer_address: bool,
    /// Whose PROXY headers are believed.
    pub proxy_protocol_from: Networks,
    /// How origins learn a client's address over RTMP.
    pub hand_over: HandOver,
    /// How the key of a stream is made.
    pub key_form: KeyForm,
    /// How segments find the origin of their playlist.
    pub routing: Routing,
    /// Signs what [`Routing::Signed`] writes into URLs; empty is a random one at each start.
    pub routing_secret: Secret,
    /// Time for each step of a client's opening.
    pub opening_timeout: Duration,
    /// Time to connect to an origin.
    pub dial_timeout: Duration,
    /// Time for each answer of an origin.
    pub answer_timeout: Duration,
    /// How long a peer may take nothing.
    pub stalled_timeout: Duration,
    /// Origins that are tried for one session.
    pub attempts: u32,
    /// Longest time from the signal to the end of the process.
    pub force_quit_timeout: Duration,
}

/// `[cluster]`
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// Where the proxies' shared state is.
    pub state: State,
    /// How long an origin is believed alive after it registered.
    pub lease: Duration,
    /// How long a stream without a session keeps its origin; zero is for ever.
    pub claim_idle: Duration,
    /// Time between two probes of an origin.
    pub probe_interval: Duration,
    /// Origins that register with nobody.
    pub origins: Origins,
    /// One origin more, as the Go proxy's default backend; at most one.
    pub default_backend: Origins,
}

/// `[redis]`
#[derive(Debug, Clone, PartialEq)]
pub struct Redis {
    /// Everything in one: `redis://…`, `rediss://…`; empty uses the keys below.
    pub url: Credential,
    /// Address or host name.
    pub host: String,
    /// Port.
    pub port: u32,
    /// Password; empty is none.
    pub password: Credential,
    /// Number of the database.
    pub db: u32,
    /// Stands before every key, with a colon behind it; empty is none.
    pub key_prefix: String,
    /// File with the certificates in PEM that a server's must come from; empty is those of the web.
    pub ca_file: PathBuf,
}

/// `[heartbeat]`
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    /// Where this origin registers; empty registers nowhere.
    pub urls: Urls,
    /// Time between two registrations.
    pub interval: Duration,
    /// Bearer token that is sent; empty is none.
    pub token: Secret,
    /// What this origin is called.
    pub device_id: String,
    /// Address or host name where proxies reach it; empty is that of the connection.
    pub address: String,
    /// Its share of new streams; 100 is one share.
    pub weight: u32,
    /// Most sessions it takes; 0 is no limit.
    pub capacity: u32,
}

impl Proxy {
    /// The listeners that this version opens, with the names of their keys.
    pub fn listeners(&self) -> [(&'static str, &Listens); 7] {
        [
            ("proxy.rtmp_listen", &self.rtmp_listen),
            ("proxy.rtmps_listen", &self.rtmps_listen),
            ("proxy.http_listen", &self.http_listen),
            ("proxy.https_listen", &self.https_listen),
            ("proxy.api_listen", &self.api_listen),
            ("proxy.system_listen", &self.system_listen),
            ("proxy.debug_listen", &self.debug_listen),
        ]
    }
}

impl Default for Proxy {
    fn default() -> Self {
        let port = |port| Listens(vec![ListenAt::port(port)]);
        Self {
            rtmp_listen: port(11_935),
            rtmps_listen: Listens::default(),
            http_listen: port(18_080),
            https_listen: Listens::default(),
            api_listen: port(11_985),
            system_listen: port(12_025),
            webrtc_listen: port(18_000),
            srt_listen: port(20_080),
            debug_listen: Listens::default(),
            tls_certificate: PathBuf::new(),
            tls_key: PathBuf::new(),
            static_files: PathBuf::new(),
            cors_origin: CorsOrigin::default(),
            console: true,
            token: Secret::default(),
            register_from: Networks::default(),
            register_peer_address: false,
            proxy_protocol_from: Networks::default(),
            hand_over: HandOver::None,
            key_form: KeyForm::Uniform,
            routing: Routing::Auto,
            routing_secret: Secret::default(),
            opening_timeout: Duration::from_secs(10),
            dial_timeout: Duration::from_secs(2),
            answer_timeout: Duration::from_secs(5),
            stalled_timeout: Duration::from_secs(30),
            attempts: 3,
            force_quit_timeout: Duration::from_secs(30),
        }
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            state: State::Memory,
            lease: Duration::from_secs(300),
            claim_idle: Duration::from_secs(300),
            probe_interval: Duration::from_secs(1),
            origins: Origins::default(),
            default_backend: Origins::default(),
        }
    }
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            url: Credential::default(),
            host: "127.0.0.1".to_owned(),
            port: 6379,
            password: Credential::default(),
            db: 0,
            key_prefix: String::new(),
            ca_file: PathBuf::new(),
        }
    }
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self {
            urls: Urls::default(),
            interval: Duration::from_secs(9),
            token: Secret::default(),
            device_id: String::new(),
            address: String::new(),
            weight: 100,
            capacity: 0,
        }
    }
}
