//! What the directory is told at its start.
//!
//! Owns: [`Options`] and the origins that need no heartbeat. Does not: read configuration.

use std::time::{Duration, SystemTime};

use weir_cluster::{Endpoints, Node, NodeId, Report, placement};

/// Times, and origins that are known from the start.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long an origin's registration is in force; the backend's own lease.
    pub lease: Duration,
    /// Time between two probes of an origin.
    pub probe_interval: Duration,
    /// Of so many probes that find an origin well, one makes it speak; zero leaves that to origins that failed a session.
    ///
    /// The kernel accepts for a process that hangs, so only its words show it; a handshake every other second costs an
    /// origin nothing that can be measured.
    pub deep_every: u32,
    /// Time an origin has to answer a probe.
    pub probe_timeout: Duration,
    /// Time between two readings of the cluster's nodes.
    pub refresh_interval: Duration,
    /// How long a stream without a session keeps its origin; zero keeps it for ever.
    pub claim_idle: Duration,
    /// How long it is remembered where viewers wait for a stream without them.
    pub expect_ttl: Duration,
    /// Origins that are always there.
    pub static_origins: Vec<StaticOrigin>,
    /// Names whose addresses are origins.
    pub dns_names: Vec<DnsName>,
    /// The Go proxy's default backend: one more origin that needs no registration.
    pub default_backend: Option<StaticOrigin>,
    /// Makes the choices of two proxies and two runs differ.
    pub seed: u64,
}

impl Default for Options {
    /// Two lost probes and their time limit take less than three seconds. A viewer that reconnects comes within 30.
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(300),
            probe_interval: Duration::from_secs(1),
            deep_every: 2,
            probe_timeout: Duration::from_secs(1),
            refresh_interval: Duration::from_secs(1),
            claim_idle: Duration::from_secs(300),
            expect_ttl: Duration::from_secs(30),
            static_origins: Vec::new(),
            dns_names: Vec::new(),
            default_backend: None,
            seed: 0,
        }
    }
}

/// An origin that does not register itself.
#[derive(Debug, Clone, PartialEq)]
pub struct StaticOrigin {
    /// Address or host name, without brackets.
    pub host: String,
    /// Where it listens.
    pub endpoints: Endpoints,
    /// What its owner calls it; may be empty.
    pub device: String,
    /// Its share of new streams; 100 is one share.
    pub weight: u32,
}

impl StaticOrigin {
    /// Its record, with `updated` as the time of its registration. All proxies make the same identity of the same host
    /// and endpoints; `kind` is the first part of it.
    pub(super) fn node(&self, kind: &str, updated: SystemTime) -> Node {
        let mut text = self.host.clone();
        for service in weir_cluster::Service::ALL {
            text.push('\n');
            text.push_str(&self.endpoints.get(service).join(","));
        }
        let hash = format!("{:016x}", placement::stable_hash(text.as_bytes()));
        let server = format!("{kind}-{hash}");
        // nobody knows its process; the parts must not be empty for readers of the shared store
        let (service, pid) = (kind.to_owned(), "0".to_owned());
        Node {
            id: NodeId::new(&server, &service, &pid),
            host: self.host.clone(),
            device: self.device.clone(),
            server,
            service,
            pid,
            endpoints: self.endpoints.clone(),
            report: Report {
                weight: self.weight,
                ..Report::default()
            },
            updated,
        }
    }
}

/// A name in DNS whose addresses are origins, all alike.
#[derive(Debug, Clone, PartialEq)]
pub struct DnsName {
    /// The name that is asked for.
    pub name: String,
    /// Which records are asked for.
    pub kind: DnsKind,
    /// Where each listens. With [`DnsKind::Srv`] the port of a record replaces the RTMP endpoints.
    pub endpoints: Endpoints,
    /// What their owner calls them; may be empty.
    pub device: String,
    /// The share of each; 100 is one share. With [`DnsKind::Srv`] a record's weight counts unless it is 0.
    pub weight: u32,
}

/// Records that name origins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsKind {
    /// A and AAAA: each address is an origin.
    Address,
    /// SRV (RFC 2782): each target of the lowest-numbered priority is an origin.
    Srv,
}
