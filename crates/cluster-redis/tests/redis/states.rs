//! What the tests share: a state on a server, and nodes.
//!
//! Owns: short timeouts and a runtime for each test. Does not: test.

use std::future::Future;
use std::sync::OnceLock;
use std::time::{Duration, UNIX_EPOCH};

use tokio::runtime::Runtime;
use weir_cluster::{ClusterState, Endpoints, Key, Node, NodeId, Report, Service};
use weir_cluster_redis::{Options, Redis, Server};

/// The runtime of all tests: connections live in the runtime that made them.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).enable_all();
        builder.build().expect("a runtime")
    })
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    runtime().block_on(future)
}

pub(crate) fn options(url: &str) -> Options {
    let mut options = Options::new(Server::parse(url).expect("a URL"));
    options.timeout = Duration::from_secs(2);
    options
}

pub(crate) fn connect(options: Options) -> Redis {
    block_on(Redis::connect(options)).expect("a state")
}

pub(crate) fn state(url: &str) -> Redis {
    connect(options(url))
}

pub(crate) fn key(text: &str) -> Key {
    Key::new(text).expect("a key")
}

pub(crate) fn id(server: &str) -> NodeId {
    NodeId::new(server, "svc", "1")
}

/// The node of the record that was captured from an SRS proxy.
pub(crate) fn captured() -> Node {
    let mut endpoints = Endpoints::default();
    for (service, text) in [
        (Service::Rtmp, "31935"),
        (Service::Http, "38080"),
        (Service::Api, "38080"),
        (Service::Srt, "udp://0.0.0.0:30080"),
        (Service::Rtc, "udp://0.0.0.0:38000"),
    ] {
        endpoints.set(service, vec![text.to_owned()]);
    }
    Node {
        id: NodeId::new("vid-a", "svc-a", "1"),
        host: "127.0.0.1".to_owned(),
        device: "dev".to_owned(),
        server: "vid-a".to_owned(),
        service: "svc-a".to_owned(),
        pid: "1".to_owned(),
        endpoints,
        report: Report::default(),
        updated: UNIX_EPOCH + Duration::new(1_795_234_541, 830_442_907),
    }
}

pub(crate) fn node(server: &str) -> Node {
    Node {
        id: id(server),
        server: server.to_owned(),
        service: "svc".to_owned(),
        pid: "1".to_owned(),
        ..captured()
    }
}

/// The ids of the nodes, in order.
pub(crate) fn ids(state: &Redis) -> Vec<String> {
    let nodes = block_on(state.nodes()).expect("nodes");
    nodes.iter().map(|node| node.id.to_string()).collect()
}

/// Where a stream is claimed.
pub(crate) fn at(state: &Redis, stream: &str) -> Option<NodeId> {
    let found = block_on(state.find(&key(stream))).expect("an answer");
    found.claim.map(|claim| claim.node)
}

/// Asks until the state answers again, which takes as long as its wait between attempts to connect.
pub(crate) fn until_good<T, E: std::fmt::Display, F: Future<Output = Result<T, E>>>(
    mut ask: impl FnMut() -> F,
) -> T {
    block_on(async {
        let mut last = String::new();
        for _ in 0..800 {
            match ask().await {
                Ok(value) => return value,
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it never answered again: {last}");
    })
}
