//! Origins that are found by a name in DNS.
//!
//! Owns: when a name is looked up again, and which origins come and go with the answer. Invariants: what a name last gave
//! stays while it cannot be looked up, and until it was empty twice in a row. Does not: resolve the host names of origins;
//! a dial does.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::RData;
use tokio::time::{sleep, timeout};
use weir_cluster::NodeId;
use weir_net::clock;

use super::Directory;
use super::options::{DnsKind, DnsName, StaticOrigin};

/// Time to the next look-up when an answer does not say how long it holds.
const RETRY: Duration = Duration::from_secs(5);

/// Shortest and longest time that an answer holds, whatever it says: one must not flood resolvers nor miss a new origin
/// for long.
const SHORTEST_TTL: Duration = Duration::from_secs(1);
const LONGEST_TTL: Duration = Duration::from_secs(60);

/// Time for one look-up.
const LOOKUP_LIMIT: Duration = Duration::from_secs(5);

/// Most origins of one name: what fits in an answer over TCP.
const MAX_ORIGINS: usize = 1_000;

/// Empty answers in a row until the origins are gone: one may be a name server that has just started.
const EMPTY_ANSWERS: u32 = 2;

/// What a look-up gave.
#[derive(Debug, PartialEq)]
enum Answer {
    /// Origins, and until when the answer holds.
    Found(Vec<StaticOrigin>, Instant),
    /// There is no such record.
    Empty,
    /// It is not known what there is.
    Failed(String),
}

/// A name and what it last gave.
#[derive(Debug)]
struct Source {
    due: Instant,
    ids: HashSet<NodeId>,
    empty: u32,
    failing: bool,
}

impl Source {
    fn new(now: Instant) -> Self {
        Self {
            due: now,
            ids: HashSet::new(),
            empty: 0,
            failing: false,
        }
    }

    /// Takes an answer: gives the origins that are there, and those that are gone.
    fn take(
        &mut self,
        answer: Answer,
        name: &str,
        now: Instant,
    ) -> (Vec<StaticOrigin>, Vec<NodeId>) {
        self.due = now + RETRY;
        let (origins, failing) = match answer {
            Answer::Found(origins, until) => {
                let ttl = until.saturating_duration_since(now);
                self.due = now + ttl.clamp(SHORTEST_TTL, LONGEST_TTL);
                (Some(origins), None)
            }
            Answer::Empty => {
                self.empty += 1;
                let gone = self.empty >= EMPTY_ANSWERS;
                (gone.then(Vec::new), Some("no records".to_owned()))
            }
            Answer::Failed(error) => (None, Some(error)),
        };
        if let Some(error) = &failing
            && !self.failing
        {
            tracing::warn!(name, error, "name of origins not resolved");
        }
        self.failing = failing.is_some();
        let Some(origins) = origins else {
            return (Vec::new(), Vec::new());
        };
        if !origins.is_empty() {
            self.empty = 0;
        }
        let ids: HashSet<NodeId> = origins.iter().map(identity).collect();
        let gone = self.ids.difference(&ids).cloned().collect();
        self.ids = ids;
        (origins, gone)
    }
}

/// The id under which an origin of a name is registered.
fn identity(origin: &StaticOrigin) -> NodeId {
    origin.node(KIND, std::time::SystemTime::UNIX_EPOCH).id
}

/// The same as for origins that are listed by address, so that both ways to name one give one origin.
const KIND: &str = "static";

/// Looks the names of the options up, time and again.
pub(super) async fn keep_resolving(directory: &Directory) {
    let names = &directory.options.dns_names;
    if names.is_empty() {
        return std::future::pending().await;
    }
    let resolver = loop {
        let built = TokioResolver::builder_tokio().and_then(|builder| builder.build());
        match built {
            Ok(resolver) => break resolver,
            Err(error) => tracing::error!(%error, "system's resolver configuration is not usable"),
        }
        sleep(RETRY).await;
    };
    let now = clock::now();
    let mut sources: Vec<_> = names.iter().map(|name| (name, Source::new(now))).collect();
    loop {
        for (name, source) in &mut sources {
            if source.due > clock::now() {
                continue;
            }
            let found = timeout(LOOKUP_LIMIT, look_up(&resolver, name)).await;
            let answer = found.unwrap_or_else(|_| Answer::Failed("no answer in time".to_owned()));
            let (origins, gone) = source.take(answer, &name.name, clock::now());
            directory.apply_names(origins, gone).await;
        }
        let due = sources.iter().map(|(_, source)| source.due).min();
        let now = clock::now();
        let wait = due.map_or(RETRY, |due| due.saturating_duration_since(now));
        sleep(wait).await;
    }
}

async fn look_up(resolver: &TokioResolver, name: &DnsName) -> Answer {
    let found = match name.kind {
        DnsKind::Address => look_up_addresses(resolver, name).await,
        DnsKind::Srv => look_up_services(resolver, name).await,
    };
    match found {
        Ok((origins, _)) if origins.is_empty() => Answer::Empty,
        Ok((origins, until)) => Answer::Found(origins, until),
        Err(error) if error.is_no_records_found() => Answer::Empty,
        Err(error) => Answer::Failed(error.to_string()),
    }
}

type Resolved = Result<(Vec<StaticOrigin>, Instant), hickory_resolver::net::NetError>;

async fn look_up_addresses(resolver: &TokioResolver, name: &DnsName) -> Resolved {
    let found = resolver.lookup_ip(name.name.as_str()).await?;
    let origins = found.iter().take(MAX_ORIGINS);
    let origins = origins.map(|ip| origin(name, ip.to_string(), None));
    Ok((origins.collect(), found.valid_until()))
}

async fn look_up_services(resolver: &TokioResolver, name: &DnsName) -> Resolved {
    let found = resolver.srv_lookup(name.name.as_str()).await?;
    let records = found
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::SRV(service) => Some(service),
            _ => None,
        });
    let records: Vec<_> = records.take(MAX_ORIGINS).collect();
    // RFC 2782: lowest number first, and the others only when none of these can be reached
    let first = records.iter().map(|service| service.priority).min();
    let records = records.iter().filter(|one| Some(one.priority) == first);
    let origins = records.filter_map(|service| {
        let host = service.target.to_string();
        let host = host.trim_end_matches('.');
        // RFC 2782: a root as target says that the service is not there
        (!host.is_empty() && service.port != 0)
            .then(|| origin(name, host.to_owned(), Some((service.port, service.weight))))
    });
    Ok((origins.collect(), found.valid_until()))
}

/// The origin at `host`; `service` is the port and weight of an SRV record.
fn origin(name: &DnsName, host: String, service: Option<(u16, u16)>) -> StaticOrigin {
    let mut origin = StaticOrigin {
        host,
        endpoints: name.endpoints.clone(),
        device: name.device.clone(),
        weight: name.weight,
    };
    if let Some((port, weight)) = service {
        let texts = vec![port.to_string()];
        origin.endpoints.set(weir_cluster::Service::Rtmp, texts);
        if weight > 0 {
            origin.weight = u32::from(weight);
        }
    }
    origin
}

impl Directory {
    /// Enters the origins of a name and strikes off those that are gone from it, unless they are configured.
    pub(super) async fn apply_names(&self, origins: Vec<StaticOrigin>, gone: Vec<NodeId>) {
        let configured: HashSet<NodeId> =
            self.options.static_origins.iter().map(identity).collect();
        let known = self.roster.lock().fixed();
        let weights: HashMap<&NodeId, u32> = known
            .iter()
            .map(|(node, _)| (&node.id, node.report.weight))
            .collect();
        let nodes = origins.iter().map(|one| one.node(KIND, clock::wallclock()));
        let new = nodes.filter(|node| weights.get(&node.id) != Some(&node.report.weight));
        self.fix(new.collect(), self.now());
        for id in gone.iter().filter(|id| !configured.contains(*id)) {
            self.leave(id).await;
        }
    }
}

#[cfg(test)]
mod tests;
