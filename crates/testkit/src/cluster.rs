//! A whole cluster: origins that register themselves, proxies, and the Redis they share.
//!
//! Owns: the start of all on free ports, readiness, loss and return of members, and which origin has a stream. Does not:
//! know where the binary is (the test says), or ask a proxy what it thinks where an origin can be asked.

use std::net::SocketAddr;
use std::time::Duration;

use crate::PATIENCE;
use crate::proxy::Proxy;
use crate::redis;
use crate::weir::Weir;

/// Time between two questions to an API, which tells no events.
const POLL: Duration = Duration::from_millis(20);

/// All streams of an origin; unless it is told so, an answer has only some.
const ALL_STREAMS: &str = "/api/v1/streams?count=1000";

/// Shortest that an origin takes: proxies that come back learn of it soon.
const HEARTBEAT: &str = "1s";

/// What a cluster is made of.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// How many origins.
    pub origins: usize,
    /// How many proxies.
    pub proxies: usize,
    /// Whether the state is in a Redis of the cluster's own; several proxies need one.
    pub redis: bool,
    /// Arguments of each origin, such as `--stream-grace 0s`.
    pub origin_args: &'a [&'a str],
    /// Arguments of each proxy.
    pub proxy_args: &'a [&'a str],
    /// Password of the Redis.
    pub password: Option<&'a str>,
    /// Secret that the proxies ask for where origins register and operators look.
    pub token: Option<&'a str>,
}

impl Default for Settings<'_> {
    fn default() -> Self {
        Self {
            origins: 3,
            proxies: 2,
            redis: true,
            origin_args: &[],
            proxy_args: &[],
            password: None,
            token: None,
        }
    }
}

/// One of a cluster, by its number from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member {
    /// An origin.
    Origin(usize),
    /// A proxy.
    Proxy(usize),
}

/// Where an origin listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// RTMP.
    pub rtmp: SocketAddr,
    /// HTTP streams.
    pub http: SocketAddr,
    /// The API.
    pub api: SocketAddr,
}

/// A running cluster. Its processes end when it is dropped: the proxies first, so that they see no origin die.
#[derive(Debug)]
pub struct Cluster {
    binary: String,
    origin_args: Vec<String>,
    proxies: Vec<Proxy>,
    origins: Vec<Weir>,
    redis: Option<redis::Server>,
}

impl Cluster {
    /// Starts a cluster of `binary` with so many members, with a Redis where there are several proxies, and waits until
    /// each proxy has every origin.
    pub fn start(binary: &str, origins: usize, proxies: usize) -> Self {
        Self::start_with(
            binary,
            &Settings {
                origins,
                proxies,
                redis: proxies > 1,
                ..Settings::default()
            },
        )
    }

    /// As [`Cluster::start`], with these settings.
    pub fn start_with(binary: &str, settings: &Settings<'_>) -> Self {
        assert!(
            settings.redis || settings.proxies < 2,
            "several proxies share their state in Redis"
        );
        let redis = settings.redis.then(|| {
            redis::Server::start_with(redis::Settings {
                password: settings.password.map(str::to_owned),
                ..redis::Settings::default()
            })
        });
        let url = redis.as_ref().map(redis::Server::url);
        let mut proxy_args = Vec::new();
        if let Some(url) = &url {
            proxy_args.extend(["--cluster-state", "redis", "--redis-url", url]);
        }
        if let Some(token) = settings.token {
            proxy_args.extend(["--proxy-token", token]);
        }
        proxy_args.extend(settings.proxy_args);
        let proxies: Vec<Proxy> = (0..settings.proxies)
            .map(|_| Proxy::start(binary, &proxy_args).with_token(settings.token))
            .collect();
        let urls = proxies.iter().map(register_url);
        let mut origin_args: Vec<String> = urls
            .flat_map(|url| ["--heartbeat-urls".to_owned(), url])
            .collect();
        origin_args.extend(["--heartbeat-interval", HEARTBEAT].map(str::to_owned));
        if let Some(token) = settings.token {
            origin_args.extend(["--heartbeat-token", token].map(str::to_owned));
        }
        origin_args.extend(settings.origin_args.iter().map(|arg| (*arg).to_owned()));
        let mut cluster = Self {
            binary: binary.to_owned(),
            origin_args,
            proxies,
            origins: Vec::new(),
            redis,
        };
        for number in 0..settings.origins {
            let origin = cluster.start_origin(number, None);
            cluster.origins.push(origin);
        }
        cluster.await_origins(settings.origins);
        cluster
    }

    fn start_origin(&self, number: usize, at: Option<Ports>) -> Weir {
        let name = device(number);
        let places = at.map(|at| [at.rtmp, at.http, at.api].map(|address| address.to_string()));
        let mut args: Vec<&str> = self.origin_args.iter().map(String::as_str).collect();
        args.extend(["--heartbeat-device-id", &name]);
        if let Some([rtmp, http, api]) = &places {
            args.extend(["--rtmp-listen", rtmp]);
            args.extend(["--http-listen", http]);
            args.extend(["--api-listen", api]);
        }
        Weir::start(&self.binary, &args)
    }

    /// The proxy with this number.
    pub fn proxy(&self, number: usize) -> &Proxy {
        &self.proxies[number]
    }

    /// The origin with this number.
    pub fn origin(&self, number: usize) -> &Weir {
        &self.origins[number]
    }

    /// How many origins there are, those that have ended included.
    pub fn origins(&self) -> usize {
        self.origins.len()
    }

    /// How many proxies there are, those that have ended included.
    pub fn proxies(&self) -> usize {
        self.proxies.len()
    }

    /// The Redis. Panics where the state is in memory.
    pub fn redis(&mut self) -> &mut redis::Server {
        self.redis.as_mut().expect("the cluster has a Redis")
    }

    /// Where the origin with this number listens.
    pub fn ports(&self, number: usize) -> Ports {
        let origin = self.origin(number);
        Ports {
            rtmp: origin.address("rtmp"),
            http: origin.address("http"),
            api: origin.address("api"),
        }
    }

    fn member(&self, member: Member) -> &Weir {
        match member {
            Member::Origin(number) => self.origin(number),
            Member::Proxy(number) => self.proxy(number),
        }
    }

    /// Ends a member at once, as a crash does.
    pub fn kill(&self, member: Member) {
        self.member(member).process().signal("KILL");
        self.member(member).process().wait();
    }

    /// Asks a member for its end and waits for it.
    pub fn end(&self, member: Member) {
        self.member(member).stop();
    }

    /// Holds a member as it is: its connections stay open and nothing answers.
    pub fn stop(&self, member: Member) {
        self.member(member).process().signal("STOP");
    }

    /// Lets a member go on after [`Cluster::stop`].
    pub fn cont(&self, member: Member) {
        self.member(member).process().signal("CONT");
    }

    /// Starts an origin that has ended anew, where it listened before.
    pub fn restart_origin(&mut self, number: usize) {
        let ports = self.ports(number);
        self.origins[number] = self.start_origin(number, Some(ports));
    }

    /// Waits until each proxy that runs has exactly so many origins that are up.
    pub fn await_origins(&self, count: usize) {
        let running = self.proxies.iter();
        for proxy in running.filter(|proxy| !proxy.process().has_ended()) {
            proxy.shows("/api/v1/origins", |answer| {
                let origins = answer["origins"].as_array();
                let up = origins.into_iter().flatten();
                up.filter(|origin| origin["state"] == "up").count() == count
            });
        }
    }

    /// Waits until an origin has a publisher of `live/name`, and gives its number. Origins that have ended are not
    /// asked; no origin may be stopped.
    pub fn origin_of(&self, name: &str) -> usize {
        for _ in 0..PATIENCE.as_millis() / POLL.as_millis() {
            let found = (0..self.origins.len()).find(|number| self.publishes(*number, name));
            if let Some(number) = found {
                return number;
            }
            std::thread::sleep(POLL);
        }
        panic!("no origin has a publisher of live/{name}");
    }

    fn publishes(&self, number: usize, name: &str) -> bool {
        self.published_at(number).iter().any(|found| found == name)
    }

    /// The names of streams `live/…` that have a publisher at an origin; none where it has ended.
    pub fn published_at(&self, number: usize) -> Vec<String> {
        let origin = self.origin(number);
        if origin.process().has_ended() {
            return Vec::new();
        }
        let answer = origin.api("GET", ALL_STREAMS).json();
        let streams = answer["streams"].as_array().cloned().unwrap_or_default();
        let streams = streams
            .iter()
            .filter(|stream| stream["app"] == "live" && stream["publish"]["active"] == true);
        streams
            .filter_map(|stream| stream["name"].as_str().map(str::to_owned))
            .collect()
    }

    /// The id under which proxies know an origin that they have.
    pub fn id_of(&self, number: usize) -> String {
        let running = self.proxies.iter();
        let mut running = running.filter(|proxy| !proxy.process().has_ended());
        let proxy = running.next().expect("a proxy runs");
        let answer = proxy.system("GET", "/api/v1/origins").json();
        let origins = answer["origins"].as_array().cloned().unwrap_or_default();
        let pid = self.origin(number).process().pid().to_string();
        let found = origins.iter().find(|origin| origin["pid"] == pid.as_str());
        let id = found.and_then(|origin| origin["id"].as_str());
        id.unwrap_or_else(|| panic!("no origin {number} in {answer}"))
            .to_owned()
    }

    /// Fails when a member that was not ended has, or one panicked.
    pub fn assert_well(&self, ended: &[Member]) {
        let origins = (0..self.origins.len()).map(Member::Origin);
        let proxies = (0..self.proxies.len()).map(Member::Proxy);
        for member in origins.chain(proxies) {
            if !ended.contains(&member) {
                self.member(member).assert_well();
            }
        }
    }
}

/// What an origin is called in listings.
pub fn device(number: usize) -> String {
    format!("origin-{number}")
}

fn register_url(proxy: &Proxy) -> String {
    format!("http://{}/api/v1/srs/register", proxy.listener("system"))
}
