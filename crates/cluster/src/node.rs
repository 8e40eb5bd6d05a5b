//! An origin as the cluster knows it.
//!
//! Owns: [`Node`], its identity, its endpoints and what it reports of itself. Does not: judge whether it is alive or
//! suits a stream (`placement` and the proxy's directory do).

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::endpoint::{Endpoint, EndpointError};

/// The identity of one run of an origin: `<server>-<service>-<pid>`. A restarted origin has another. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// The identity made of its three parts.
    pub fn new(server: &str, service: &str, pid: &str) -> Self {
        Self(format!("{server}-{service}-{pid}").into())
    }

    /// The identity as a backend kept it.
    pub fn from_text(text: &str) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// What an origin can be asked for; the order is that of the fields in a shared store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// RTMP over TCP.
    Rtmp,
    /// HTTP streams and files over TCP.
    Http,
    /// The HTTP API over TCP.
    Api,
    /// SRT over UDP.
    Srt,
    /// WebRTC media over UDP.
    Rtc,
}

impl Service {
    /// All, in order.
    pub const ALL: [Self; 5] = [Self::Rtmp, Self::Http, Self::Api, Self::Srt, Self::Rtc];

    /// Its name in registrations, such as `rtmp`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rtmp => "rtmp",
            Self::Http => "http",
            Self::Api => "api",
            Self::Srt => "srt",
            Self::Rtc => "rtc",
        }
    }
}

/// Listen texts of an origin, as it registered them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    texts: [Vec<String>; Service::ALL.len()],
}

impl Endpoints {
    /// The texts of `service`, in the order they were registered.
    pub fn get(&self, service: Service) -> &[String] {
        let [rtmp, http, api, srt, rtc] = &self.texts;
        match service {
            Service::Rtmp => rtmp,
            Service::Http => http,
            Service::Api => api,
            Service::Srt => srt,
            Service::Rtc => rtc,
        }
    }

    /// Replaces the texts of `service`.
    pub fn set(&mut self, service: Service, texts: Vec<String>) {
        let [rtmp, http, api, srt, rtc] = &mut self.texts;
        *match service {
            Service::Rtmp => rtmp,
            Service::Http => http,
            Service::Api => api,
            Service::Srt => srt,
            Service::Rtc => rtc,
        } = texts;
    }

    /// The port of `service`: that of its first text. `None` when the origin does not serve it.
    ///
    /// Fails when the text is no endpoint.
    pub fn port(&self, service: Service) -> Result<Option<u16>, EndpointError> {
        let first = self.get(service).first();
        first
            .map(|text| Endpoint::parse(text).map(|endpoint| endpoint.port))
            .transpose()
    }
}

/// How busy an origin says it is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// CPU in use, as a share of what the origin may use: 0.0 to 1.0.
    pub cpu: f32,
    /// Bits a second it sends.
    pub egress_bps: u64,
    /// Sessions it serves.
    pub sessions: u32,
}

/// What an origin says of itself beyond its addresses; origins that say nothing have the defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// Its share of new streams beside the others'; 100 is one share, 0 takes none.
    pub weight: u32,
    /// Most sessions it takes; 0 is no limit.
    pub capacity: u32,
    /// It wants no new streams; those it has stay.
    pub draining: bool,
    /// How busy it is, if it says so.
    pub load: Option<Load>,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            weight: 100,
            capacity: 0,
            draining: false,
            load: None,
        }
    }
}

/// An origin: one record of the cluster's state.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Identity, of the three parts below.
    pub id: NodeId,
    /// Address or host name where it is reached, without brackets.
    pub host: String,
    /// What its owner calls it; may be empty.
    pub device: String,
    /// Kept by the origin over restarts.
    pub server: String,
    /// New at each start.
    pub service: String,
    /// Its process, as text.
    pub pid: String,
    /// Where it listens.
    pub endpoints: Endpoints,
    /// What it says of itself.
    pub report: Report,
    /// When it last registered, by the clock of who took the registration.
    pub updated: SystemTime,
}
