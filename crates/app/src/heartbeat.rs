//! The origin's heartbeat: it registers itself with proxies.
//!
//! Owns: when a proxy is told (at the start, every `heartbeat.interval`, at once when the drain begins, and a goodbye
//! after the last session), what it is told, and one line in the log when telling begins to fail or works again.
//! Does not: disturb the origin: whatever a proxy answers or does not answer, sessions go on.
//!
//! The body is that of SRS with `ports on`, and Weir's own object `weir` beside it, which the SRS proxy ignores.
//! Endpoints are bare ports because that is the one form every version of the SRS proxy reads. The server id is made of
//! the host's name and the addresses listened on, as the API's is, and not kept in a file as SRS does it: it survives a
//! restart without a folder to write to, which a container may not have. The goodbye is a `DELETE` without a body: the
//! SRS proxy takes every request that has one for a registration.

mod client;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinSet;
use url::Url;
use url::form_urlencoded;
use weir_net::cores::Shutdown;
use weir_net::{clock, cores, process};

use crate::api::Identity;
use crate::config;
use crate::origin::{Listening, Origin};
use client::{Call, CallError};

/// The path of the SRS proxy, for addresses that name none.
const PATH: &str = "/api/v1/srs/register";

/// Where this origin registers, and as what.
pub(crate) struct Heartbeat {
    interval: Duration,
    proxies: Vec<Arc<Proxy>>,
    me: Arc<Me>,
    meter: Meter,
}

/// One proxy.
struct Proxy {
    /// For the log.
    name: String,
    host: String,
    port: u16,
    path: String,
    query: Option<String>,
    /// How the last call went; `None` before the first.
    well: parking_lot::Mutex<Option<bool>>,
    /// It may have heard of this origin, so it must hear its goodbye.
    knows: AtomicBool,
}

/// What does not change from beat to beat.
struct Me {
    settings: config::Heartbeat,
    identity: Identity,
    listening: Vec<Listening>,
}

/// Totals since the start, and sessions now.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Totals {
    cpu: Duration,
    sent: u64,
    sessions: usize,
}

/// Makes rates of totals.
struct Meter {
    read: Box<dyn FnMut() -> Totals + Send>,
    last: (Instant, Totals),
    cpus: usize,
}

/// How busy this origin is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Load {
    /// CPU in use, as a share of what the process may use.
    cpu: f64,
    /// Bits a second that viewers are sent.
    egress_bps: u64,
    sessions: usize,
}

/// A registration; the order of fields is that of SRS.
#[derive(Debug, Serialize)]
struct Body<'a> {
    device_id: &'a str,
    ip: String,
    server: &'a str,
    service: &'a str,
    pid: String,
    rtmp: Vec<String>,
    http: Vec<String>,
    api: Vec<String>,
    weir: Extension,
}

/// What Weir's proxy reads besides.
#[derive(Debug, Serialize)]
struct Extension {
    weight: u32,
    capacity: u32,
    draining: bool,
    cpu: f64,
    egress_bps: u64,
    sessions: usize,
}

impl Heartbeat {
    /// The heartbeat of `origin`, which also listens on `listening` (its API) and is called `identity` there.
    pub(crate) fn new(
        settings: config::Heartbeat,
        origin: &Arc<Origin>,
        api: &[Listening],
        identity: Identity,
    ) -> Self {
        let listening = origin.listening().iter().chain(api).copied().collect();
        let origin = Arc::clone(origin);
        let read = move || Totals {
            cpu: process::usage().cpu,
            sent: origin.hub().metrics().bytes_out.get(),
            sessions: origin.hub().sessions().len(),
        };
        Self::of(settings, listening, identity, Meter::new(Box::new(read)))
    }

    fn of(
        settings: config::Heartbeat,
        listening: Vec<Listening>,
        identity: Identity,
        meter: Meter,
    ) -> Self {
        let proxies = settings.urls.0.iter().filter_map(Proxy::new);
        Self {
            interval: settings.interval,
            proxies: proxies.map(Arc::new).collect(),
            meter,
            me: Arc::new(Me {
                settings,
                identity,
                listening,
            }),
        }
    }

    /// Tells all proxies at the same time; returns when each has answered or its time is over.
    async fn beat(&mut self, draining: bool) {
        let load = self.meter.measure(clock::now());
        self.tell(
            move |me, local| {
                let body = me.body(local, load, draining);
                // texts and numbers are always JSON
                Call::Post(serde_json::to_string(&body).unwrap_or_default())
            },
            Proxy::note,
        )
        .await;
    }

    /// Says goodbye to the proxies that may have heard of this origin.
    async fn leave(&mut self) {
        self.proxies
            .retain(|proxy| proxy.knows.load(Ordering::Relaxed));
        self.tell(|me, _| Call::Delete(me.names()), Proxy::note_leave)
            .await;
    }

    async fn tell(
        &self,
        call: impl Fn(&Me, IpAddr) -> Call + Clone + Send + Sync + 'static,
        note: fn(&Proxy, Result<(), CallError>),
    ) {
        let mut calls = JoinSet::new();
        for proxy in &self.proxies {
            let (proxy, me, call) = (Arc::clone(proxy), Arc::clone(&self.me), call.clone());
            calls.spawn(async move {
                let result = client::call(&proxy, &me.settings.token, |local| call(&me, local));
                note(&proxy, result.await);
            });
        }
        while calls.join_next().await.is_some() {}
    }

    async fn beat_on(&mut self, draining: bool) {
        loop {
            self.beat(draining).await;
            tokio::time::sleep(self.interval).await;
        }
    }
}

/// Registers until `over`, which resolves after the last session or when the process waits for it no longer; then says
/// goodbye. Returns when the proxies have heard it, or not answered in two seconds.
///
/// Dropping it stops it without a goodbye.
pub(crate) async fn run(
    mut heartbeat: Heartbeat,
    shutdown: Shutdown,
    over: impl Future<Output = ()>,
) {
    let mut over = pin!(over);
    tokio::select! {
        biased;
        () = &mut over => {}
        () = async {
            tokio::select! {
                biased;
                () = shutdown.draining() => {}
                () = heartbeat.beat_on(false) => {}
            }
            heartbeat.beat_on(true).await;
        } => {}
    }
    heartbeat.leave().await;
}

impl Proxy {
    /// `None` for an address that cannot be called, with a line in the log.
    fn new(url: &Url) -> Option<Self> {
        let name = crate::log::Masked(url.as_str()).to_string();
        if url.scheme() != "http" {
            tracing::error!(
                proxy = name,
                "heartbeat: only http is spoken, proxy left out"
            );
            return None;
        }
        let path = match url.path() {
            "" | "/" => PATH,
            path => path,
        };
        Some(Self {
            host: match url.host()? {
                url::Host::Domain(name) => name.to_owned(),
                url::Host::Ipv4(address) => address.to_string(),
                url::Host::Ipv6(address) => address.to_string(),
            },
            port: url.port_or_known_default()?,
            path: path.to_owned(),
            query: url.query().map(str::to_owned),
            well: parking_lot::Mutex::new(None),
            knows: AtomicBool::new(false),
            name,
        })
    }

    /// Notes how a goodbye went. A proxy that does not know goodbyes, as that of SRS, refuses it, which is no matter.
    fn note_leave(&self, result: Result<(), CallError>) {
        let proxy = &self.name;
        match result {
            Ok(()) => tracing::info!(proxy, "left proxy"),
            Err(error) => tracing::debug!(proxy, %error, "proxy did not take the goodbye"),
        }
    }

    /// Notes how a registration went, and logs it if the last one went otherwise.
    fn note(&self, result: Result<(), CallError>) {
        let well = result.is_ok();
        let before = self.well.lock().replace(well);
        if before == Some(well) {
            return;
        }
        let proxy = &self.name;
        match (result, before) {
            (Ok(()), None) => tracing::info!(proxy, "registered with proxy"),
            (Ok(()), _) => tracing::info!(proxy, "registered with proxy again"),
            (Err(error), _) => {
                tracing::warn!(proxy, %error, "cannot register with proxy, trying on");
            }
        }
    }
}

impl Me {
    fn body(&self, local: IpAddr, load: Load, draining: bool) -> Body<'_> {
        let settings = &self.settings;
        let ip = match settings.address.as_str() {
            "" => local.to_canonical().to_string(),
            address => address.to_owned(),
        };
        let beside = ip == "localhost" || ip.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        let ports = |key, even_loopback| {
            let ours = self.listening.iter().filter(|one| one.key == key);
            let reachable = ours.filter(|one| even_loopback || !is_loopback(one.address));
            let mut addresses: Vec<_> = reachable.map(|one| one.address).collect();
            // the first one is dialled
            addresses.sort_by_key(|address| is_loopback(*address));
            let mut ports: Vec<String> = Vec::new();
            for address in addresses {
                let port = address.port().to_string();
                if !ports.contains(&port) {
                    ports.push(port);
                }
            }
            ports
        };
        Body {
            device_id: &settings.device_id,
            server: &self.identity.server,
            service: &self.identity.service,
            pid: self.identity.pid.to_string(),
            // a registration must have one
            rtmp: ports("rtmp.listen", true),
            http: ports("http.listen", beside),
            api: ports("api.listen", beside),
            ip,
            weir: Extension {
                weight: settings.weight,
                capacity: settings.capacity,
                draining,
                cpu: load.cpu,
                egress_bps: load.egress_bps,
                sessions: load.sessions,
            },
        }
    }

    /// The identity as a query.
    fn names(&self) -> String {
        let identity = &self.identity;
        form_urlencoded::Serializer::new(String::new())
            .append_pair("server", &identity.server)
            .append_pair("service", &identity.service)
            .append_pair("pid", &identity.pid.to_string())
            .finish()
    }
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

impl Meter {
    fn new(mut read: Box<dyn FnMut() -> Totals + Send>) -> Self {
        let last = (clock::now(), read());
        Self {
            read,
            last,
            cpus: cores::available().max(1),
        }
    }

    /// The load since the last time.
    fn measure(&mut self, now: Instant) -> Load {
        let totals = (self.read)();
        let (then, before) = std::mem::replace(&mut self.last, (now, totals));
        let seconds = now.saturating_duration_since(then).as_secs_f64();
        if seconds == 0.0 {
            return Load {
                sessions: totals.sessions,
                ..Load::default()
            };
        }
        let cpu = totals.cpu.saturating_sub(before.cpu).as_secs_f64();
        let bits = totals.sent.saturating_sub(before.sent) as f64 * 8.0;
        Load {
            cpu: (cpu / seconds / self.cpus as f64).min(1.0),
            // a rate is no exact number; what is too large becomes the largest
            egress_bps: (bits / seconds) as u64,
            sessions: totals.sessions,
        }
    }
}

impl fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proxies = self.proxies.iter().map(|proxy| &proxy.name);
        f.debug_list().entries(proxies).finish()
    }
}
