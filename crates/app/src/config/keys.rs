//! The table of keys.
//!
//! Owns: [`KEYS`], from which flags, variables, the sample file, `weir check` and the reload report are made; the
//! names of a key in each source. The typed structs and this table cannot disagree on a name: the table takes its
//! names from the fields.
//! Does not: hold defaults, which are `Config::default()`, or read values.

use std::ops::RangeInclusive;

use super::Config;
use super::role::Role;
use super::setting::Setting;

/// One thing that can be set.
pub struct Key {
    /// The table in the file, such as `rtmp`.
    pub section: &'static str,
    /// The key in its table, such as `chunk_size`.
    pub name: &'static str,
    /// Whether a reload applies a change without a restart. Sessions that are already there may keep the old value.
    pub live: bool,
    /// One sentence: what it sets.
    pub help: &'static str,
    /// What else one should know before changing it: why this default, what breaks above and below. May be empty.
    pub more: &'static str,
    /// Bounds of a number: milliseconds of a duration, bytes of a size, or the number itself.
    pub(super) range: RangeInclusive<u64>,
    pub(super) value: fn(&Config) -> &dyn Setting,
    pub(super) value_mut: fn(&mut Config) -> &mut dyn Setting,
    /// Copies the value from the first to the second.
    pub(super) copy: fn(&Config, &mut Config),
}

impl Key {
    /// `rtmp.chunk_size`
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// `rtmp-chunk-size`, without the two hyphens in front.
    pub fn flag(&self) -> String {
        format!("{}-{}", self.section, self.name.replace('_', "-"))
    }

    /// `WEIR_RTMP_CHUNK_SIZE`
    pub fn variable(&self) -> String {
        format!("WEIR_{}_{}", self.section, self.name).to_uppercase()
    }

    /// What stands for the value in help texts, such as `DURATION`.
    pub fn value_name(&self) -> &'static str {
        (self.value)(&Config::default()).value_name()
    }

    /// The default as TOML.
    pub fn default_text(&self) -> String {
        self.text(&Config::default())
    }

    /// The default as a flag or variable says it, without quotes and brackets; `None` where it is empty.
    pub fn plain_default(&self) -> Option<String> {
        self.plain_default_of(Role::Any)
    }

    /// As [`Key::plain_default`], in `role`.
    pub fn plain_default_of(&self, role: Role) -> Option<String> {
        let text = self.text(&Config::of(role));
        let plain = match text.parse::<toml::Value>() {
            Ok(toml::Value::String(text)) => text,
            Ok(toml::Value::Array(items)) => items
                .iter()
                .filter_map(toml::Value::as_str)
                .collect::<Vec<_>>()
                .join(","),
            _ => text,
        };
        (!plain.is_empty()).then_some(plain)
    }

    /// The value in `config` as TOML, or `"***"` for a secret that is set.
    pub fn shown(&self, config: &Config) -> String {
        let text = self.text(config);
        if self.is_secret() && text != "\"\"" {
            "\"***\"".to_owned()
        } else {
            text
        }
    }

    /// What values are allowed, in words, where a range or a list of words says it.
    pub fn allowed(&self) -> Option<String> {
        let config = Config::default();
        let value = (self.value)(&config);
        let words = value.words();
        if words.is_empty() {
            value.range_text(&self.range)
        } else {
            Some(words.join(" or "))
        }
    }

    /// Whether the value must not be shown.
    pub fn is_secret(&self) -> bool {
        (self.value)(&Config::default()).is_secret()
    }

    /// Whether the value is a list, and a flag for it may be given more than once.
    pub fn is_list(&self) -> bool {
        (self.value)(&Config::default()).is_list()
    }

    pub(super) fn text(&self, config: &Config) -> String {
        (self.value)(config).to_toml()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.full_name())
    }
}

/// Two are the same if they have the same name.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        (self.section, self.name) == (other.section, other.name)
    }
}

/// The key with this full name, such as `rtmp.listen`.
pub fn key(full_name: &str) -> Option<&'static Key> {
    let (section, name) = full_name.split_once('.')?;
    KEYS.iter()
        .find(|key| key.section == section && key.name == name)
}

macro_rules! keys {
    ($($section:ident . $name:ident, $live:ident, $range:expr, $help:literal, $more:literal;)+) => {
        &[$(Key {
            section: stringify!($section),
            name: stringify!($name),
            live: $live,
            help: $help,
            more: $more,
            range: $range,
            value: |config| &config.$section.$name,
            value_mut: |config| &mut config.$section.$name,
            copy: |from, to| to.$section.$name.clone_from(&from.$section.$name),
        },)+]
    };
}

/// Every key, in the order of the sample file.
pub static KEYS: &[Key] = keys! {
    server.workers, RESTART, 0..=1024,
        "Worker threads, each with its own sockets; 0 is one per CPU.", "";
    server.drain_timeout, LIVE, 0..=HOUR,
        "How long a shutdown waits for sessions to end by themselves.",
        "After it the rest is closed. A second signal ends the wait. Unless it is set, a proxy waits 20s.";

    log.level, LIVE, ANY,
        "What is logged: off, error, warn, info, debug or trace, or a list such as \"info,weir_rtmp=debug\".",
        "The list is in the syntax of tracing's filters.";
    log.format, RESTART, ANY,
        "How a line looks: text for people, json for machines.", "";
    log.color, RESTART, ANY,
        "Whether text lines are coloured.",
        "auto colours them on a terminal, unless NO_COLOR is set.";

    rtmp.listen, RESTART, ANY,
        "Addresses for RTMP, one or a list; an empty list, or off in a flag or variable, is no RTMP.",
        "For IPv6 add \"[::]:1935\".";
    rtmp.chunk_size, RESTART, 128..=MESSAGE_LENGTH_MAX,
        "Size in bytes of the RTMP chunks that this server sends.",
        "Large chunks cost less CPU and fewer header bytes; small ones let audio pass between the parts of a large \
         key frame. 128 is what RTMP begins with; no message is longer than the largest value, so more would change \
         nothing.";
    rtmp.handshake_timeout, LIVE, SECOND..=5 * MINUTE,
        "How long a new connection may take for the RTMP handshake.", "";
    rtmp.publish_idle_timeout, LIVE, SECOND..=HOUR,
        "How long a publisher may send nothing before it is closed.",
        "An encoder that lost its network says nothing; until it is closed, its name is taken.";
    rtmp.max_message_size, LIVE, 64 * KIB..=MESSAGE_LENGTH_MAX,
        "Largest RTMP message that is accepted.",
        "A key frame is one message: 8MiB is one second of 64 Mbit/s. The memory of a connection is bounded by it.";

    http.listen, RESTART, ANY,
        "Addresses for HTTP streams, HLS, DASH and the console; an empty list, or off in a flag or variable, is no HTTP.",
        "One or a list.";
    http.cors_origin, RESTART, ANY,
        "Which web pages may read streams: \"*\" is all, or one origin, or \"\" for none but our own.", "";
    http.request_timeout, LIVE, SECOND..=5 * MINUTE,
        "How long a client may take to send a request head.",
        "It also ends connections that are kept alive and ask for nothing.";
    http.max_head_size, RESTART, KIB..=MIB,
        "Largest request head; a larger one is answered with 431.", "";
    http.publish, RESTART, ANY,
        "Whether streams may be published by HTTP POST.", "";
    http.console, RESTART, ANY,
        "Whether the console at /console/ and the admin API at /api/ are served on the HTTP addresses too.",
        "Without api.token they answer only browsers on this machine: by a loopback address, and not through a proxy \
         that says so. A proxy on this machine that hides who asks needs api.token.";

    hls.enabled, RESTART, ANY,
        "Whether streams are served as HLS, at /app/stream.m3u8.", "";
    hls.segment, RESTART, SECOND..=30 * SECOND,
        "Length of a segment: it ends with the first key frame after this long.",
        "Players without low latency are some three segments behind; shorter ones cost more requests. It does nothing \
         below the distance of key frames.";
    hls.part, RESTART, 100..=2 * SECOND,
        "Longest part of a segment, which low-latency players fetch one by one.",
        "They are about three parts behind, and ask as often as there are parts: 200ms is 5 requests a second.";
    hls.low_latency, RESTART, ANY,
        "Whether playlists name parts, and can be waited for.",
        "Players that do not know low latency do not see it.";
    hls.window, RESTART, 6 * SECOND..=HOUR,
        "How much of the past a live playlist covers.",
        "Players pause and go back within it; it is held in memory, up to hls.max_size.";
    hls.max_size, RESTART, MIB..=64 * GIB,
        "Most memory for the segments of one stream.",
        "64MiB are 30s of 17 Mbit/s. The oldest segments go first, so a stream of more bits has a shorter window.";
    hls.longest_segment, RESTART, SECOND..=MINUTE,
        "A segment is cut here also where there is no key frame.",
        "Players join such a stream later, but it plays. Encoders send a key frame every 10s at the latest.";
    hls.playlist, RESTART, ANY,
        "What playlists keep: live is hls.window, event is everything since the beginning that hls.max_size holds.", "";
    hls.container, RESTART, ANY,
        "What the playlist of a stream leads to: fmp4 with parts, or ts for old players.",
        "Both are always there, as stream-av.m3u8 and stream-ts.m3u8.";
    hls.renditions, RESTART, ANY,
        "Whether sound is in the same segments as pictures, or in segments of its own.",
        "muxed halves the requests; separate is what CMAF asks for, and lets players switch sound off.";
    hls.when, RESTART, ANY,
        "From when on segments are made: watched is from the first request on, always from the first frame on.",
        "With always the first viewer need not wait for segments, and every stream costs memory and CPU.";
    hls.idle, RESTART, SECOND..=HOUR,
        "With hls.when watched, how long after the last request segments are still made.", "";
    hls.encryption, RESTART, ANY,
        "Whether segments are encrypted: none, or aes-128 over whole segments.",
        "aes-128 leaves no parts, and no DASH. Whoever may have the playlist gets the key with it.";
    hls.key_rotation, RESTART, MINUTE..=DAY,
        "How long one key of hls.encryption is used.", "";
    hls.folder, RESTART, ANY,
        "Where complete segments are written too, so that a process that begins later goes on with them.",
        "Players then notice no more of a restart than a discontinuity. Empty writes nothing.";

    dash.enabled, RESTART, ANY,
        "Whether streams are served as MPEG-DASH, at /app/stream.mpd.", "";

    ts.udp_listen, RESTART, ANY,
        "Addresses where MPEG-TS comes in by UDP, with or without RTP, each with the stream that it is.",
        "Such as \"0.0.0.0:5000=live/camera\"; a multicast address is joined. Whoever sends first publishes, and others \
         are not heard until it is silent for rtmp.publish_idle_timeout.";

    api.listen, RESTART, ANY,
        "Addresses for the admin API, one or a list; an empty list, or off in a flag or variable, is no API.",
        "An address that other hosts can reach needs api.token.";
    api.token, LIVE, ANY,
        "Secret that callers of the admin API send as \"Authorization: Bearer …\"; empty asks for none.",
        "Better given as a variable: the flags of a process can be read by every user of the machine.";

    stream.gop_cache, LIVE, ANY,
        "Whether frames since the last key frame are kept, so that a new viewer has a picture at once.", "";
    stream.gop_max_size, LIVE, 64 * KIB..=GIB,
        "Bound of the cache of one stream in bytes.",
        "Viewers of a stream that passes it begin at its next key frame instead.";
    stream.gop_max_duration, LIVE, SECOND..=10 * MINUTE,
        "Bound of the cache of one stream in time.", "";
    stream.latency, LIVE, 0..=2 * SECOND,
        "How long frames are gathered before they are written to viewers.",
        "adaptive writes at once while the CPU has time, and gathers under load, which serves several times as many \
         viewers. A duration is always kept; \"0ms\" is always at once.";
    stream.latency_max, LIVE, 0..=2 * SECOND,
        "Longest gathering that adaptive latency may choose.", "";
    stream.start, LIVE, ANY,
        "Where a new viewer begins: at the last key frame from the cache, at the next one, or live.", "";
    stream.slow_viewer, LIVE, ANY,
        "What happens to a viewer that falls behind: skip to the newest key frame, or disconnect.", "";
    stream.lag_max_duration, LIVE, SECOND..=5 * MINUTE,
        "How far a viewer may fall behind, in time.", "";
    stream.lag_max_size, LIVE, 64 * KIB..=GIB,
        "How far a viewer may fall behind, in bytes.",
        "It is kept once for a stream, however many viewers it has, and only while one of them needs it.";
    stream.write_timeout, LIVE, SECOND..=HOUR,
        "How long a viewer's connection may take nothing before it is closed.", "";
    stream.publish_conflict, LIVE, ANY,
        "What happens when a name that is live is published again: refuse the new one, or takeover.",
        "takeover suits encoders that reconnect before their old connection is found dead.";
    stream.grace, LIVE, 0..=10 * MINUTE,
        "How long viewers wait for a publisher that left; \"0s\" ends them at once.", "";
    stream.play_wait, LIVE, 0..=HOUR,
        "How long a player waits for a stream that is not live yet; \"0s\" refuses it at once.", "";
    stream.vhosts, LIVE, ANY,
        "Host names that are virtual hosts of their own, with streams of their own.",
        "Every other name is __defaultVhost__, so that one stream is found by any name and address of this server.";

    limits.sessions, LIVE, 1..=10_000_000,
        "Most sessions of all kinds at a time.",
        "Each needs a file descriptor: see LimitNOFILE of systemd, or ulimit -n.";
    limits.sessions_per_address, LIVE, 0..=10_000_000,
        "Most sessions of one client address at a time; 0 is no limit.",
        "Many viewers can share an address behind a NAT, and all do behind a proxy.";
    limits.viewers_per_stream, LIVE, 0..=10_000_000,
        "Most viewers of one stream at a time; 0 is no limit.", "";
    limits.streams, LIVE, 1..=1_000_000,
        "Most live streams at a time.", "";

    heartbeat.urls, RESTART, ANY,
        "Proxies where this origin registers, such as \"http://10.0.0.9:12025/api/v1/srs/register\", one or a list.",
        "Empty registers nowhere.";
    heartbeat.interval, RESTART, SECOND..=HOUR,
        "Time between two registrations.",
        "A proxy forgets an origin that is silent for its cluster.lease: keep this below a third of it.";
    heartbeat.token, RESTART, ANY,
        "Secret that is sent with each registration as \"Authorization: Bearer …\"; empty sends none.",
        "It is proxy.token at the proxy.";
    heartbeat.device_id, RESTART, ANY,
        "What this origin is called in listings and logs of the proxy.", "";
    heartbeat.address, RESTART, ANY,
        "Address or host name where proxies reach this origin; empty is the local address of the connection.",
        "Behind a NAT the local address is one that proxies cannot reach.";
    heartbeat.weight, RESTART, 0..=10_000,
        "This origin's share of new streams beside the others'; 100 is one share, 0 takes none.", "";
    heartbeat.capacity, RESTART, 0..=10_000_000,
        "Most sessions that proxies send here; 0 is no limit.", "";

    proxy.rtmp_listen, RESTART, ANY,
        "Addresses for RTMP: a port, which is every address of the machine, or an address and a port.",
        "One or a list; an empty list, or off in a flag or variable, is no RTMP.";
    proxy.rtmps_listen, RESTART, ANY,
        "Addresses for RTMP over TLS.",
        "Needs tls_certificate and tls_key.";
    proxy.http_listen, RESTART, ANY,
        "Addresses for HTTP: streams, playlists, segments and static files.", "";
    proxy.https_listen, RESTART, ANY,
        "Addresses for the same over TLS.",
        "Needs tls_certificate and tls_key.";
    proxy.api_listen, RESTART, ANY,
        "Addresses of the HTTP API for clients.", "";
    proxy.system_listen, RESTART, ANY,
        "Addresses where origins register and operators look.",
        "Who can reach it can become an origin: where that is not only your origins, set token or register_from.";
    proxy.webrtc_listen, RESTART, ANY,
        "Addresses for WebRTC media.",
        "This version does not open them; the key is there so that settings of the Go proxy are taken.";
    proxy.srt_listen, RESTART, ANY,
        "Addresses for SRT.",
        "This version does not open them; the key is there so that settings of the Go proxy are taken.";
    proxy.debug_listen, RESTART, ANY,
        "Addresses of a page for debugging: the process, its threads and its counters, as text.",
        "It asks for no token. An address that cannot be listened on is a warning, not a failed start.";
    proxy.tls_certificate, RESTART, ANY,
        "File with the certificate chain for RTMPS and HTTPS, in PEM.",
        "A reload reads the file again.";
    proxy.tls_key, RESTART, ANY,
        "File with the key of the certificate, in PEM.",
        "A reload reads the file again.";
    proxy.static_files, LIVE, ANY,
        "Folder of files that are served over HTTP where no stream is asked for; empty serves none.", "";
    proxy.cors_origin, LIVE, ANY,
        "Which web pages may read streams: \"*\" is all, or one origin, or \"\" for none but our own.", "";
    proxy.console, RESTART, ANY,
        "Whether the console at /console/ and this proxy's API at /api/ are served on the HTTP addresses too.",
        "Without proxy.token they answer only browsers on this machine: by a loopback address, and not through another \
         proxy that says so.";
    proxy.token, LIVE, ANY,
        "Secret that callers of the system listener send as \"Authorization: Bearer …\"; empty asks for none.",
        "Better given as a variable: the flags of a process can be read by every user of the machine.";
    proxy.register_from, LIVE, ANY,
        "Addresses and ranges, such as 10.0.0.0/8, that may register origins and be registered; empty is all.", "";
    proxy.register_peer_address, LIVE, ANY,
        "Whether an origin's address is that of its connection, whatever it says of itself.",
        "Not for origins that register through a balancer or network address translation.";
    proxy.proxy_protocol_from, RESTART, ANY,
        "Addresses and ranges of load balancers whose PROXY protocol headers are believed.",
        "Such a header says the client's address; a connection without one is the balancer's own.";
    proxy.hand_over, LIVE, ANY,
        "How origins learn the client's address over RTMP: not, as SRS takes it, or by PROXY protocol.",
        "An origin that does not expect it refuses every session.";
    proxy.key_form, LIVE, ANY,
        "How streams are named in the cluster: one name for all protocols, or byte for byte as the Go proxy does.",
        "All proxies of a cluster must agree; go is for clusters that have Go proxies too.";
    proxy.routing, RESTART, ANY,
        "How a segment finds the origin of its playlist: by a signed id in its URL, or by a stored one.",
        "signed needs no store and never expires, and the same routing_secret at all proxies; stored is what the Go \
         proxy does. auto is signed where the state is in memory or there is a routing_secret, else stored.";
    proxy.routing_secret, RESTART, ANY,
        "Secret by which routing signs; the same at all proxies of a cluster.",
        "Empty is a new one at each start: viewers then lose their segments at a restart.";
    proxy.opening_timeout, LIVE, SECOND..=5 * MINUTE,
        "Time for each step of a client's opening: TLS, handshake, connect, publish or play, the head of a request.",
        "A phone on a bad network needs some; longer only helps those that hold connections for nothing.";
    proxy.dial_timeout, LIVE, 100..=MINUTE,
        "Time to connect to an origin before another one is tried.",
        "An origin nearby answers in milliseconds; a packet that was lost is sent again after one second.";
    proxy.answer_timeout, LIVE, 100..=5 * MINUTE,
        "Time for each answer of an origin in the opening of a session, before another one is tried.", "";
    proxy.stalled_timeout, LIVE, SECOND..=HOUR,
        "How long a peer may take nothing, while bytes wait for it, before it is closed.", "";
    proxy.attempts, LIVE, 1..=100,
        "Origins that are tried for one session before it is refused.", "";
    proxy.force_quit_timeout, LIVE, 0..=HOUR,
        "Longest time from the signal that ends the process to its end.",
        "Sessions have server.drain_timeout; where the process is not gone by this time, it ends with exit code 1.";

    cluster.state, RESTART, ANY,
        "Where placements and registrations are kept: in memory for one proxy, in Redis for several.", "";
    cluster.lease, RESTART, SECOND..=DAY,
        "How long an origin is believed alive after it registered.",
        "Probes find a dead one sooner. SRS registers every 9 s or so.";
    cluster.claim_idle, RESTART, 0..=DAY,
        "How long a stream without any session keeps its origin; \"0s\" is for ever.",
        "A publisher that returns within it finds its viewers.";
    cluster.probe_interval, RESTART, 100..=5 * MINUTE,
        "Time between two probes of an origin, by which a dead one is found.", "";
    cluster.origins, RESTART, ANY,
        "Origins that do not register: \"10.0.0.1:1935\", or \"rtmp://10.0.0.1:1935,http://10.0.0.1:8080\".",
        "One or a list. Also names to look up: \"dns://origins:1935\" has an origin at each address, \
         \"dns+srv://_rtmp._tcp.example.org\" one for each SRV record.";
    cluster.default_backend, RESTART, ANY,
        "One such origin more, as the default backend of the Go proxy.", "";

    redis.url, RESTART, ANY,
        "Redis as one URL, redis:// or rediss:// for TLS, with user, password and database; empty uses the keys below.",
        "redis+sentinel://a,b/master and redis+cluster://a,b have several hosts.";
    redis.host, RESTART, ANY,
        "Address or host name of Redis.", "";
    redis.port, RESTART, 1..=65_535,
        "Port of Redis.", "";
    redis.password, RESTART, ANY,
        "Password of Redis; empty is none.",
        "Better given as a variable: the flags of a process can be read by every user of the machine.";
    redis.db, RESTART, 0..=1_000_000,
        "Number of the database.", "";
    redis.key_prefix, RESTART, ANY,
        "What stands before every key, with a colon behind it; empty is nothing.",
        "For clusters that share a Redis.";
    redis.ca_file, RESTART, ANY,
        "File with the certificates, in PEM, by which Redis is known over TLS; empty is those of the web.", "";
};

const LIVE: bool = true;
const RESTART: bool = false;

/// For types that have no range.
const ANY: RangeInclusive<u64> = 0..=u64::MAX;

/// In milliseconds.
const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// In bytes.
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// The message length of an RTMP chunk header has 24 bits (RTMP 1.0 §5.3.1.2).
const MESSAGE_LENGTH_MAX: u64 = (1 << 24) - 1;
