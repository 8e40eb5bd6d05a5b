//! What can be set about the proxy's sessions.
//!
//! Owns: [`Settings`] and its defaults with their reasons. Does not: read files or variables.

use std::time::Duration;

/// Settings of the proxy's sessions; they can change under way, for sessions that begin later.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Time for each step of a client's opening: PROXY header, TLS, RTMP handshake, `connect`, `publish` or `play`, the
    /// head of a request.
    ///
    /// Ten seconds let a phone on a bad network through; longer only helps those that hold connections for nothing.
    pub opening: Duration,
    /// Time to connect to an origin. An origin in the same network answers in milliseconds; a lost SYN is sent again after
    /// one second.
    pub dial: Duration,
    /// Time for each answer of an origin after the connection stands, before another one is tried.
    pub answer: Duration,
    /// A peer that takes nothing for this long, while bytes wait for it, is closed.
    pub stalled: Duration,
    /// How long a stream without a session keeps its origin; zero keeps it for ever.
    pub claim_idle: Duration,
    /// Origins that are tried for one session before it is refused.
    pub attempts: u32,
    /// Longest RTMP message read whole, in the opening of a session, in bytes.
    pub max_message_bytes: u32,
    /// How origins learn the client's address over RTMP.
    pub hand_over: HandOver,
    /// How a stream's key is made.
    pub key_form: KeyForm,
    /// HTTP only.
    pub http: Http,
}

/// Settings of the HTTP side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Largest request or response head, in bytes.
    pub max_head_bytes: usize,
    /// Largest playlist or manifest that is rewritten, in bytes. One of a 12 hour event with 2 s segments is 1.5 MiB.
    pub max_playlist_bytes: usize,
    /// Folder of static files; `None` serves none.
    pub static_files: Option<std::path::PathBuf>,
    /// How a segment's request finds its origin.
    pub routing: Routing,
    /// Value of `Access-Control-Allow-Origin`; empty sends no CORS headers.
    pub cors_origin: String,
    /// How long a viewer of a live stream that nobody has published waits for the first word of its origin.
    ///
    /// Origins hold such viewers until a publisher comes: Weir's for a minute, so that its refusal is the one that is heard.
    pub publisher_wait: Duration,
    /// How long an origin that is well may take to answer for a list, a segment or a part.
    ///
    /// Origins hold such requests until what is asked for has come: up to three target durations (RFC 8216bis, section
    /// 6.2.5.2), 30 s with Weir's longest segments, and 15 s for a stream's first segment. One of a minute comes in time.
    pub file_wait: Duration,
}

/// How the request for a segment finds the origin of its playlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Routing {
    /// A signed id in the URL says it: no look-up, no state, any proxy with the same secret. The secret signs.
    Signed {
        /// Shared by all proxies of a cluster.
        secret: Vec<u8>,
    },
    /// As the SRS proxy does it: `spbhid` in the URL, kept for 120 s in the cluster's state.
    Stored,
}

/// How the client's address reaches an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HandOver {
    /// Not at all.
    #[default]
    None,
    /// SRS's bytes before C0: 0xF3, a 16 bit length, the address.
    Srs,
    /// PROXY protocol version 1, a line of text.
    ProxyV1,
    /// PROXY protocol version 2, binary.
    ProxyV2,
}

/// How a stream's key is made of what a client names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyForm {
    /// As SRS and Weir name streams: one key for all protocols, whatever port a request names.
    #[default]
    Uniform,
    /// Byte for byte as the Go proxy makes it, for clusters that have both.
    Go,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            opening: Duration::from_secs(10),
            dial: Duration::from_secs(2),
            answer: Duration::from_secs(5),
            stalled: Duration::from_secs(30),
            claim_idle: Duration::from_secs(300),
            attempts: 3,
            max_message_bytes: 1 << 20,
            hand_over: HandOver::None,
            key_form: KeyForm::Uniform,
            http: Http::default(),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            max_head_bytes: 16 << 10,
            max_playlist_bytes: 4 << 20,
            static_files: None,
            routing: Routing::Stored,
            cors_origin: "*".to_owned(),
            publisher_wait: Duration::from_secs(65),
            file_wait: Duration::from_secs(65),
        }
    }
}
