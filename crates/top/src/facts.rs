//! What the API told: the same for an origin and a proxy.
//!
//! Owns: which answers are asked for, and what of them is shown. Invariant: no text has control characters, which could
//! steer the terminal: publishers and viewers choose some of them. Does not: show anything.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::client::{Client, Error};

/// Most streams and connections that are asked for; the API gives no more at once.
const MOST_ROWS: usize = 1000;

/// How much is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Streams and totals.
    Streams,
    /// Connections too.
    Everything,
}

/// A text of the API, without control characters.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Clean(pub(crate) String);

impl<'de> Deserialize<'de> for Clean {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        Ok(Self(text.chars().map(shown).collect()))
    }
}

/// What the server says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct About {
    /// `origin` or `proxy`.
    pub(crate) role: Clean,
    /// Its version.
    pub(crate) version: Clean,
    /// What it is called.
    pub(crate) name: Clean,
}

/// What was at one time.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Sample {
    /// Streams.
    pub(crate) streams: u64,
    /// Publishers.
    pub(crate) publishers: u64,
    /// Viewers.
    pub(crate) viewers: u64,
    /// Received, in kbit/s.
    pub(crate) kbps_in: u64,
    /// Sent, in kbit/s.
    pub(crate) kbps_out: u64,
    /// CPU time, in percent of one core.
    pub(crate) cpu_percent: f64,
    /// Resident memory, in bytes.
    pub(crate) rss: u64,
    /// Sessions that ended by a fault.
    pub(crate) errors: u64,
}

/// A stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Row {
    /// Its path.
    pub(crate) name: String,
    /// Codecs and size of an origin's stream; the origin of a proxy's.
    pub(crate) what: String,
    /// Whether somebody publishes it.
    pub(crate) live: bool,
    /// Viewers.
    pub(crate) viewers: u64,
    /// Received, in kbit/s; `None` where a proxy does not know.
    pub(crate) kbps_in: Option<u64>,
    /// Sent, in kbit/s; `None` where a proxy does not know.
    pub(crate) kbps_out: Option<u64>,
    /// Pictures a second.
    pub(crate) frame_rate: Option<f64>,
    /// Time between key frames, in milliseconds.
    pub(crate) gop_ms: Option<u64>,
    /// How far the last viewer is behind, in milliseconds.
    pub(crate) lag_ms: Option<u64>,
    /// What was lost or mended.
    pub(crate) drops: u64,
    /// How long it has been published, in milliseconds.
    pub(crate) uptime_ms: Option<u64>,
}

/// A connection.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Session {
    /// Its id.
    pub(crate) id: String,
    /// The other end.
    pub(crate) ip: String,
    /// Its stream.
    pub(crate) stream: String,
    /// Its protocol.
    pub(crate) protocol: String,
    /// What it does.
    pub(crate) role: String,
    /// Bits both ways, in kbit/s; `None` where a proxy does not know.
    pub(crate) kbps: Option<u64>,
    /// Bytes both ways.
    pub(crate) bytes: u64,
    /// How long it has been there, in seconds.
    pub(crate) alive: f64,
    /// The software at the other end of an origin's connection; the origin of a proxy's.
    pub(crate) agent: String,
}

/// What the server holds and does.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Facts {
    /// The server.
    pub(crate) about: About,
    /// The last minutes, oldest first.
    pub(crate) samples: Vec<Sample>,
    /// Streams, in order of their names.
    pub(crate) streams: Vec<Row>,
    /// Streams there are, which may be more than are in the list.
    pub(crate) streams_total: u64,
    /// Connections, oldest first; empty where they were not wanted.
    pub(crate) sessions: Vec<Session>,
    /// Connections there are.
    pub(crate) sessions_total: u64,
}

impl Facts {
    /// Whether this is a proxy.
    pub(crate) fn is_proxy(&self) -> bool {
        self.about.role.0 == "proxy"
    }

    /// The newest sample.
    pub(crate) fn now(&self) -> Sample {
        self.samples.last().cloned().unwrap_or_default()
    }
}

/// Asks for all that is wanted.
///
/// # Errors
///
/// One of the answers is none.
pub(crate) fn fetch(client: &Client, wanted: Wanted) -> Result<Facts, Error> {
    let about: About = client.get("/api/v1/console")?;
    let history: History = client.get("/api/v1/history")?;
    let mut facts = Facts {
        about,
        samples: history.samples,
        ..Facts::default()
    };
    let page: StreamPage = client.get(&format!("/api/v1/streams?count={MOST_ROWS}"))?;
    let is_proxy = facts.is_proxy();
    facts.streams_total = page.total;
    facts.streams = page.streams.into_iter().map(Row::from).collect();
    if wanted == Wanted::Everything {
        let what = if is_proxy { "sessions" } else { "clients" };
        let page: SessionPage = client.get(&format!("/api/v1/{what}?count={MOST_ROWS}"))?;
        facts.sessions_total = page.total;
        let all = page.clients.into_iter().chain(page.sessions);
        facts.sessions = all.map(|one| one.shown(is_proxy)).collect();
    }
    Ok(facts)
}

#[derive(Deserialize)]
struct History {
    samples: Vec<Sample>,
}

#[derive(Deserialize)]
struct StreamPage {
    total: u64,
    streams: Vec<ToldStream>,
}

/// A stream as an origin or a proxy tells it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ToldStream {
    url: Clean,
    publish: Publish,
    video: Option<ToldTrack>,
    audio: Option<ToldTrack>,
    viewers_total: u64,
    kbps: Option<Kbps>,
    frame_rate: Option<f64>,
    gop_ms: Option<u64>,
    lag_ms: Option<u64>,
    drops: BTreeMap<String, u64>,
    uptime_ms: Option<u64>,
    // a proxy's
    stream: Clean,
    origin: Clean,
    publishers: u64,
    viewers: Viewers,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Publish {
    active: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ToldTrack {
    codec: Clean,
    width: u32,
    height: u32,
}

#[derive(Default, Clone, Copy, Deserialize)]
#[serde(default)]
struct Kbps {
    recv_30s: u64,
    send_30s: u64,
}

/// A proxy counts viewers, an origin tells them by protocol.
#[derive(Deserialize)]
#[serde(untagged)]
enum Viewers {
    Count(u64),
    ByProtocol(BTreeMap<String, u64>),
}

impl Default for Viewers {
    fn default() -> Self {
        Self::Count(0)
    }
}

impl From<ToldStream> for Row {
    fn from(told: ToldStream) -> Self {
        let is_proxy = told.url.0.is_empty();
        let mut what = Vec::new();
        if let Some(video) = &told.video {
            what.push(video.codec.0.clone());
            if video.width > 0 {
                what.push(format!("{}x{}", video.width, video.height));
            }
        }
        what.extend(told.audio.map(|audio| audio.codec.0));
        let viewers = match told.viewers {
            Viewers::Count(count) => count.max(told.viewers_total),
            Viewers::ByProtocol(counts) => counts.values().copied().fold(0, u64::saturating_add),
        };
        Self {
            name: if is_proxy { told.stream.0 } else { told.url.0 },
            what: if is_proxy {
                told.origin.0
            } else {
                what.join(" ")
            },
            live: told.publish.active || told.publishers > 0,
            viewers,
            kbps_in: told.kbps.map(|kbps| kbps.recv_30s),
            kbps_out: told.kbps.map(|kbps| kbps.send_30s),
            frame_rate: told.frame_rate,
            gop_ms: told.gop_ms,
            lag_ms: told.lag_ms,
            drops: told.drops.values().copied().fold(0, u64::saturating_add),
            uptime_ms: told.uptime_ms,
        }
    }
}

#[derive(Deserialize)]
struct SessionPage {
    total: u64,
    #[serde(default)]
    clients: Vec<ToldSession>,
    #[serde(default)]
    sessions: Vec<ToldSession>,
}

/// A connection as an origin or a proxy tells it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ToldSession {
    id: Clean,
    ip: Clean,
    url: Clean,
    protocol: Clean,
    role: Clean,
    kbps: Option<Kbps>,
    send_bytes: u64,
    recv_bytes: u64,
    alive: f64,
    agent: Clean,
    // a proxy's; an origin has the id of the stream here
    stream: Clean,
    origin: Clean,
}

impl ToldSession {
    fn shown(self, is_proxy: bool) -> Session {
        Session {
            id: self.id.0,
            ip: self.ip.0,
            stream: if is_proxy { self.stream.0 } else { self.url.0 },
            protocol: self.protocol.0,
            role: self.role.0,
            kbps: self
                .kbps
                .map(|kbps| kbps.recv_30s.saturating_add(kbps.send_30s)),
            bytes: self.send_bytes.saturating_add(self.recv_bytes),
            alive: self.alive,
            agent: if is_proxy {
                self.origin.0
            } else {
                self.agent.0
            },
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What an origin told.
    pub(crate) fn origin() -> Facts {
        let streams = r#"[{"url":"/live/a","publish":{"active":true},"video":{"codec":"H264","width":1280,
            "height":720},"audio":{"codec":"AAC"},"viewers":{"rtmp":2,"http-flv":1},"viewers_total":3,
            "kbps":{"recv_30s":2500,"send_30s":7500},"frame_rate":29.97,"gop_ms":2000,"lag_ms":40,
            "drops":{"time_jump":1,"before_key":2},"uptime_ms":3723000},
            {"url":"/live/b\u001b[2J","publish":{"active":false},"video":null,"audio":null,"viewers":{},
            "kbps":{"recv_30s":0,"send_30s":0},"frame_rate":null,"uptime_ms":null}]"#;
        let clients = r#"[{"id":"c1","ip":"192.0.2.7","url":"/live/a","protocol":"rtmp","role":"publisher",
            "kbps":{"recv_30s":2500,"send_30s":0},"recv_bytes":9000000,"send_bytes":4,"alive":62.5,
            "agent":"FMLE/3.0","stream":"vid-1"},{"id":"c2","ip":"::1","url":"/live/a",
            "protocol":"http-flv","role":"player","kbps":{"recv_30s":0,"send_30s":2500},
            "send_bytes":500,"recv_bytes":0,"alive":3.0,"agent":""}]"#;
        let rows: Vec<ToldStream> = serde_json::from_str(streams).unwrap();
        let sessions: Vec<ToldSession> = serde_json::from_str(clients).unwrap();
        let samples = (0..150).map(|n| Sample {
            streams: 1,
            publishers: 1,
            viewers: n / 50,
            kbps_in: 2500,
            kbps_out: 50 * n,
            cpu_percent: 12.5,
            rss: 40 << 20,
            errors: u64::from(n == 149),
        });
        Facts {
            about: About {
                role: Clean("origin".to_owned()),
                version: Clean("0.1.0".to_owned()),
                name: Clean("rack 7".to_owned()),
            },
            samples: samples.collect(),
            streams: rows.into_iter().map(Row::from).collect(),
            streams_total: 2,
            sessions: sessions.into_iter().map(|one| one.shown(false)).collect(),
            sessions_total: 2,
        }
    }

    #[test]
    fn an_origins_streams_and_clients_are_understood() {
        let facts = origin();
        let first = &facts.streams[0];
        assert_eq!(
            (first.name.as_str(), first.what.as_str()),
            ("/live/a", "H264 1280x720 AAC")
        );
        assert_eq!((first.viewers, first.drops, first.live), (3, 3, true));
        assert_eq!((first.kbps_in, first.kbps_out), (Some(2500), Some(7500)));
        // what could steer a terminal cannot
        assert_eq!(facts.streams[1].name, "/live/b\u{fffd}[2J");
        assert_eq!(
            (facts.streams[1].live, facts.streams[1].frame_rate),
            (false, None)
        );
        assert_eq!(facts.sessions[0].bytes, 9_000_004);
        assert_eq!(facts.sessions[1].kbps, Some(2500));
        assert_eq!(facts.sessions[0].stream, "/live/a");
    }

    #[test]
    fn a_proxys_streams_and_sessions_are_understood() {
        let stream =
            r#"{"stream":"v/live/a","origin":"vid-1","sessions":3,"publishers":1,"viewers":2}"#;
        let row = Row::from(serde_json::from_str::<ToldStream>(stream).unwrap());
        assert_eq!(
            (row.name.as_str(), row.what.as_str()),
            ("v/live/a", "vid-1")
        );
        assert_eq!((row.viewers, row.live, row.kbps_in), (2, true, None));
        let session = r#"{"id":"0000c0de","protocol":"rtmp","ip":"::1","role":"play","stream":"v/live/a",
            "origin":null,"path":"splice","recv_bytes":1,"send_bytes":2,"alive":0.5}"#;
        let told: ToldSession = serde_json::from_str(session).unwrap();
        let session = told.shown(true);
        assert_eq!(
            (session.stream.as_str(), session.agent.as_str()),
            ("v/live/a", "")
        );
        assert_eq!((session.bytes, session.kbps), (3, None));
    }
}
