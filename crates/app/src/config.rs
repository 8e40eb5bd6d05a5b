//! The configuration: what can be set, where values come from, and what is wrong with them.
//!
//! Owns: the typed [`Config`] and its defaults, the one table of keys ([`KEYS`]) from which flags, environment
//! variables, the sample file, `weir check` and the reload report are made, and loading with the order flags over
//! environment over file over default.
//! Does not: act on any value, watch files, or keep anything global. Only [`environment`] reads the process
//! environment, and only [`Sources::read`] reads a file.
//!
//! Decisions that users meet:
//! - No file is read unless it is named by `--config` or `WEIR_CONFIG`: what a server does never depends on the
//!   folder it was started in.
//! - Unknown keys and unknown `WEIR_*` variables are errors, because a setting that is silently not applied is found
//!   out in production. Left alone are `WEIR_CONFIG`, names that begin with `WEIR_TEST_`, and the names that
//!   Kubernetes puts into every container when a Service is called `weir` (`WEIR_SERVICE_HOST`,
//!   `WEIR_PORT_1935_TCP`, …).
//! - An empty variable counts as not set, as `${NAME:-}` in a compose file means it.
//! - `weir proxy`, and nothing else, also takes the variables of the Go proxy that it replaces (`PROXY_*`, `GO_PPROF`),
//!   below `WEIR_*` and above the file, and the file `.env` of the working directory for variables that are not set.

mod address;
mod cluster;
mod diff;
mod dotenv;
mod file;
mod go;
mod hls;
mod input;
mod keys;
mod load;
mod problem;
mod role;
mod sample;
mod setting;
mod suggest;
#[cfg(test)]
mod tests;
mod text;
mod together;
mod value;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

pub use address::{Backend, ListenAt, Listens, Networks, Origins, Urls};
pub use cluster::{Cluster, Heartbeat, Proxy, Redis};
pub use diff::Change;
pub use hls::{Dash, Hls, Ts};
pub use input::{Input, Inputs};
pub use keys::{KEYS, Key, key};
pub use load::{CONFIG_VARIABLE, DOTENV, Loaded, Sources, environment};
pub use problem::{Origin, Problem, Problems};
pub use role::Role;
pub(crate) use sample::wrap;
pub use sample::{SECTIONS, sample};
pub(crate) use setting::parse_duration;
pub use value::{
    Color, CorsOrigin, Credential, Encryption, Filter, Format, HandOver, HlsContainer, HlsPlaylist,
    HlsWhen, KeyForm, Latency, PublishConflict, Renditions, Routing, Secret, Size, SlowViewer,
    Start, State,
};

/// Everything that can be set. `Default` gives the documented defaults.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// The process: threads and shutdown.
    pub server: Server,
    /// What is logged and how it looks.
    pub log: Log,
    /// The RTMP gate.
    pub rtmp: Rtmp,
    /// The HTTP gate: streams, segments and the console.
    pub http: Http,
    /// HLS, and the segments that DASH shares.
    pub hls: Hls,
    /// MPEG-DASH.
    pub dash: Dash,
    /// MPEG-TS without HTTP.
    pub ts: Ts,
    /// The admin API.
    pub api: Api,
    /// How streams are cached and handed to viewers.
    pub stream: Stream,
    /// How much this server takes on.
    pub limits: Limits,
    /// How an origin registers with proxies.
    pub heartbeat: Heartbeat,
    /// The proxy: listeners and sessions.
    pub proxy: Proxy,
    /// The origins behind a proxy.
    pub cluster: Cluster,
    /// The store that proxies share.
    pub redis: Redis,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Worker threads; 0 is one per CPU.
    pub workers: u32,
    /// How long a drain waits for sessions to end by themselves.
    pub drain_timeout: Duration,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// What is logged.
    pub level: Filter,
    /// How a line looks.
    pub format: Format,
    /// Whether text lines are coloured.
    pub color: Color,
}

/// `[rtmp]`
#[derive(Debug, Clone, PartialEq)]
pub struct Rtmp {
    /// Addresses of the listener; empty switches RTMP off.
    pub listen: Vec<SocketAddr>,
    /// Size of the chunks this server sends, in bytes.
    pub chunk_size: u32,
    /// From accept to the end of the handshake.
    pub handshake_timeout: Duration,
    /// How long a publisher may send nothing.
    pub publish_idle_timeout: Duration,
    /// Largest message accepted from a peer.
    pub max_message_size: Size,
}

/// `[http]`
#[derive(Debug, Clone, PartialEq)]
pub struct Http {
    /// Addresses of the listener; empty switches HTTP off.
    pub listen: Vec<SocketAddr>,
    /// Value of `Access-Control-Allow-Origin`.
    pub cors_origin: CorsOrigin,
    /// From accept, or the end of the last answer, to the end of a request head.
    pub request_timeout: Duration,
    /// Largest request head.
    pub max_head_size: Size,
    /// Whether `POST` may publish.
    pub publish: bool,
    /// Whether the console and the API are served here too.
    pub console: bool,
}

/// `[api]`
#[derive(Debug, Clone, PartialEq)]
pub struct Api {
    /// Addresses of the admin API; empty switches it off.
    pub listen: Vec<SocketAddr>,
    /// Bearer token of the admin API; empty asks for none and is only accepted on loopback.
    pub token: Secret,
}

/// `[stream]`
#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    /// Whether frames since the last key frame are kept for new viewers.
    pub gop_cache: bool,
    /// Bound of the cache of one stream in bytes.
    pub gop_max_size: Size,
    /// Bound of the cache of one stream in media time.
    pub gop_max_duration: Duration,
    /// How long frames are gathered before they are written to viewers.
    pub latency: Latency,
    /// Longest gathering that [`Latency::Adaptive`] may choose.
    pub latency_max: Duration,
    /// Where a new viewer begins.
    pub start: Start,
    /// What happens to a viewer that falls behind.
    pub slow_viewer: SlowViewer,
    /// How far a viewer may fall behind, in media time.
    pub lag_max_duration: Duration,
    /// How far a viewer may fall behind, in bytes.
    pub lag_max_size: Size,
    /// How long a viewer's socket may take nothing.
    pub write_timeout: Duration,
    /// What a second publisher of a live name gets.
    pub publish_conflict: PublishConflict,
    /// How long viewers wait for a publisher that left.
    pub grace: Duration,
    /// How long a player waits for a stream that is not there yet; zero refuses at once.
    pub play_wait: Duration,
    /// Host names, in lower case, that are virtual hosts of their own.
    pub vhosts: Vec<String>,
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Sessions of all kinds on this server.
    pub sessions: u32,
    /// Sessions of one client address; 0 is no limit.
    pub sessions_per_address: u32,
    /// Viewers of one stream; 0 is no limit.
    pub viewers_per_stream: u32,
    /// Live streams on this server.
    pub streams: u32,
}

/// One address to listen on, with the key that asked for it, so that a bind error can name the key.
///
/// Displays as `rtmp.listen 0.0.0.0:1935`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// The key's full name, such as `rtmp.listen`.
    pub key: &'static str,
    /// Where to listen.
    pub address: SocketAddr,
}

impl Config {
    /// Every address of every listener of an origin, in the order rtmp, http, api.
    pub fn listeners(&self) -> impl Iterator<Item = Listener> + '_ {
        let named = [
            ("rtmp.listen", &self.rtmp.listen),
            ("http.listen", &self.http.listen),
            ("api.listen", &self.api.listen),
        ];
        named.into_iter().flat_map(|(key, addresses)| {
            addresses
                .iter()
                .map(move |&address| Listener { key, address })
        })
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.address)
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            workers: 0,
            drain_timeout: Duration::from_secs(10),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: Filter::default(),
            format: Format::Text,
            color: Color::Auto,
        }
    }
}

impl Default for Rtmp {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([0, 0, 0, 0], 1935))],
            chunk_size: 60_000,
            handshake_timeout: Duration::from_secs(10),
            publish_idle_timeout: Duration::from_secs(30),
            max_message_size: Size::mib(8),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([0, 0, 0, 0], 8080))],
            cors_origin: CorsOrigin::default(),
            request_timeout: Duration::from_secs(10),
            max_head_size: Size::kib(16),
            publish: true,
            console: true,
        }
    }
}

impl Default for Api {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 1985))],
            token: Secret::default(),
        }
    }
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            gop_cache: true,
            gop_max_size: Size::mib(16),
            gop_max_duration: Duration::from_secs(30),
            latency: Latency::Adaptive,
            latency_max: Duration::from_millis(350),
            start: Start::Cache,
            slow_viewer: SlowViewer::Skip,
            lag_max_duration: Duration::from_secs(10),
            lag_max_size: Size::mib(16),
            write_timeout: Duration::from_secs(30),
            publish_conflict: PublishConflict::Refuse,
            grace: Duration::from_secs(10),
            play_wait: Duration::from_secs(60),
            vhosts: Vec::new(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 20_000,
            sessions_per_address: 0,
            viewers_per_stream: 0,
            streams: 10_000,
        }
    }
}
