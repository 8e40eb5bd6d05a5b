//! Tests of the directory over a state in memory that can be switched off, by a clock that is set.
//!
//! Owns: the cluster that the tests play with. Does not: probe, except where the tests say so.

mod bindings;
mod outages;
mod placing;
mod probes;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use weir_cluster::memory::{self, Memory};
use weir_cluster::{
    Claim, ClusterState, Endpoints, Found, Key, Node, NodeId, Pending, Report, Service, StateError,
};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A clock that stands still but for a nanosecond with each look.
#[derive(Debug, Clone)]
struct Clock(Arc<Mutex<Instant>>);

impl Clock {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(clock::now())))
    }

    fn now(&self) -> Instant {
        let mut now = self.0.lock();
        *now += Duration::from_nanos(1);
        *now
    }

    fn advance(&self, by: Duration) {
        *self.0.lock() += by;
    }
}

/// A state that can be away.
#[derive(Debug)]
struct Flaky {
    memory: Memory,
    away: AtomicBool,
    read_only: AtomicBool,
}

impl Flaky {
    fn reading<'a, T: Send + 'a>(&'a self, call: Pending<'a, T>) -> Pending<'a, T> {
        Box::pin(async move {
            // another task may go on while a store is asked
            tokio::task::yield_now().await;
            match self.away.load(Ordering::Relaxed) {
                true => Err(StateError::Unavailable("switched off".to_owned())),
                false => call.await,
            }
        })
    }

    fn writing<'a, T: Send + 'a>(&'a self, call: Pending<'a, T>) -> Pending<'a, T> {
        match self.read_only.load(Ordering::Relaxed) {
            true => Box::pin(async { Err(StateError::Refused("read-only".to_owned())) }),
            false => self.reading(call),
        }
    }
}

impl ClusterState for Flaky {
    fn register<'a>(&'a self, node: &'a Node) -> Pending<'a, ()> {
        self.writing(self.memory.register(node))
    }
    fn leave<'a>(&'a self, id: &'a NodeId) -> Pending<'a, ()> {
        self.writing(self.memory.leave(id))
    }
    fn drain<'a>(&'a self, id: &'a NodeId, draining: bool) -> Pending<'a, ()> {
        self.writing(self.memory.drain(id, draining))
    }
    fn nodes(&self) -> Pending<'_, Vec<Node>> {
        self.reading(self.memory.nodes())
    }
    fn find<'a>(&'a self, stream: &'a Key) -> Pending<'a, Found> {
        self.reading(self.memory.find(stream))
    }
    fn claim<'a>(
        &'a self,
        stream: &'a Key,
        node: &'a NodeId,
        replacing: Option<&'a Claim>,
    ) -> Pending<'a, Claim> {
        self.writing(self.memory.claim(stream, node, replacing))
    }
    fn expect<'a>(
        &'a self,
        stream: &'a Key,
        node: &'a NodeId,
        ttl: Duration,
    ) -> Pending<'a, NodeId> {
        self.writing(self.memory.expect(stream, node, ttl))
    }
    fn hold<'a>(&'a self, streams: &'a [(Key, NodeId)]) -> Pending<'a, ()> {
        self.writing(self.memory.hold(streams))
    }
    fn release<'a>(&'a self, stream: &'a Key, node: &'a NodeId, idle: Duration) -> Pending<'a, ()> {
        self.writing(self.memory.release(stream, node, idle))
    }
    fn forget<'a>(&'a self, stream: &'a Key, node: &'a NodeId) -> Pending<'a, ()> {
        self.writing(self.memory.forget(stream, node))
    }
    fn claims(&self, limit: usize) -> Pending<'_, Vec<(Key, NodeId)>> {
        self.reading(self.memory.claims(limit))
    }
    fn put_routes<'a>(&'a self, values: &'a [(String, String)], ttl: Duration) -> Pending<'a, ()> {
        self.writing(self.memory.put_routes(values, ttl))
    }
    fn route<'a>(&'a self, key: &'a str) -> Pending<'a, Option<String>> {
        self.reading(self.memory.route(key))
    }
    fn changed(&self, seen: u64) -> Pending<'_, u64> {
        self.memory.changed(seen)
    }
}

/// A state and its clock.
struct Cluster {
    clock: Clock,
    state: Arc<Flaky>,
}

/// One proxy's directory and its counters.
struct Proxy {
    directory: Arc<Directory>,
    registry: Registry,
}

impl std::ops::Deref for Proxy {
    type Target = Arc<Directory>;

    fn deref(&self) -> &Arc<Directory> {
        &self.directory
    }
}

impl Cluster {
    /// One with origins of these servers.
    async fn of(servers: &[&str]) -> Self {
        let clock = Clock::new();
        let cluster = Self::empty(clock);
        for server in servers {
            cluster.beat(&node(server)).await;
        }
        cluster
    }

    fn empty(clock: Clock) -> Self {
        let options = memory::Options {
            lease: Options::default().lease,
            ..memory::Options::default()
        };
        let looked = clock.clone();
        let memory = Memory::new(options, move || looked.now());
        let state = Arc::new(Flaky {
            memory,
            away: AtomicBool::new(false),
            read_only: AtomicBool::new(false),
        });
        Self { clock, state }
    }

    /// Registers an origin as another proxy would do.
    async fn beat(&self, node: &Node) {
        self.state.memory.register(node).await.expect("room");
    }

    /// A proxy of the cluster.
    async fn proxy(&self, seed: u64) -> Proxy {
        let options = Options {
            seed,
            ..Options::default()
        };
        let proxy = self.proxy_with(options);
        proxy.refresh(None).await;
        proxy
    }

    fn proxy_with(&self, options: Options) -> Proxy {
        let mut registry = Registry::with_prefix("weir");
        let state = Arc::clone(&self.state) as Arc<dyn ClusterState>;
        let clock = self.clock.clone();
        let directory = Directory::with_clock(state, options, &mut registry, move || clock.now());
        Proxy {
            directory,
            registry,
        }
    }

    fn away(&self, away: bool) {
        self.state.away.store(away, Ordering::Relaxed);
    }

    async fn claim_of(&self, stream: &Key) -> Option<NodeId> {
        let found = self.state.memory.find(stream).await.expect("memory");
        found.claim.map(|claim| claim.node)
    }
}

impl Proxy {
    async fn publish(&self, stream: &Key) -> Result<Placed, PlaceError> {
        self.place(stream, Role::Publish, Service::Rtmp, &[]).await
    }

    async fn play(&self, stream: &Key) -> Result<Placed, PlaceError> {
        self.place(stream, Role::Play, Service::Rtmp, &[]).await
    }

    /// Where a publisher goes.
    async fn publish_at(&self, stream: &Key) -> NodeId {
        self.publish(stream)
            .await
            .expect("an origin")
            .node
            .id
            .clone()
    }

    /// Where a viewer goes.
    async fn play_at(&self, stream: &Key) -> NodeId {
        self.play(stream).await.expect("an origin").node.id.clone()
    }

    /// The origin is found well.
    fn well(&self, id: &NodeId) {
        let picture = self.picture.load();
        let origin = picture.get(id).expect("it is known");
        origin.condition.relocated(self.now());
    }

    /// The value of a counter or gauge; 0 when it is not there.
    fn count(&self, name: &str) -> f64 {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("text");
        let mut values = text.lines().filter_map(|line| line.strip_prefix(name));
        let value = values.find_map(|rest| rest.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().expect("a number"))
    }
}

fn key(n: usize) -> Key {
    Key::new(&format!("__defaultVhost__/live/{n}")).expect("a key")
}

fn endpoints(texts: &[(Service, &str)]) -> Endpoints {
    let mut endpoints = Endpoints::default();
    for (service, text) in texts {
        endpoints.set(*service, vec![(*text).to_owned(), "1".to_owned()]);
    }
    endpoints
}

/// The first run of an origin, at a place of its own.
fn node(server: &str) -> Node {
    run_of(server, 1)
}

/// The run of an origin with this process.
fn run_of(server: &str, pid: u32) -> Node {
    let (service, pid) = (format!("svc{pid}"), pid.to_string());
    Node {
        id: NodeId::new(server, &service, &pid),
        host: format!("{server}.test"),
        device: String::new(),
        server: server.to_owned(),
        service,
        pid,
        endpoints: endpoints(&[(Service::Rtmp, "1935"), (Service::Http, "8080")]),
        report: Report::default(),
        updated: SystemTime::UNIX_EPOCH,
    }
}
