//! A proxy in this process.
//!
//! Owns: one core, a directory on memory, a listener on a free port. Does not: speak RTMP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;
use weir_cluster::{ClusterState, Endpoints, Node, NodeId, Report, Service, memory};
use weir_net::admission::{Admission, Limits};
use weir_net::clock;
use weir_net::cores::{Cores, Shutdown};
use weir_net::door::Door;
use weir_net::listen::Listener;
use weir_net::relay::Relay;
use weir_proxy::directory::{Directory, Options};
use weir_proxy::metrics::Metrics;
use weir_proxy::sessions::Sessions;
use weir_proxy::{Context, Settings};

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) shutdown: Shutdown,
    cores: Option<Cores>,
    tending: Option<std::thread::JoinHandle<()>>,
}

/// What a test wants otherwise.
pub(crate) struct Wanted {
    pub(crate) settings: Settings,
    pub(crate) door: Door,
    pub(crate) limits: Limits,
    pub(crate) state: Arc<dyn ClusterState>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            door: Door::default(),
            limits: Limits {
                sessions: 0,
                sessions_per_address: 0,
            },
            state: state(),
        }
    }
}

/// Cluster state in memory, for one proxy or several.
pub(crate) fn state() -> Arc<dyn ClusterState> {
    let memory = memory::Memory::new(memory::Options::default(), clock::now);
    Arc::new(memory)
}

impl Proxy {
    /// A proxy with `origins`, by the addresses of their RTMP listeners.
    pub(crate) fn start(origins: &[SocketAddr], wanted: Wanted) -> Self {
        let shutdown = Shutdown::new();
        let mut registry = Registry::default();
        let directory = Directory::new(wanted.state, Options::default(), &mut registry);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            for (index, origin) in origins.iter().enumerate() {
                directory.register(node(index, *origin)).await.unwrap();
            }
        });
        let tending = {
            let (directory, shutdown) = (Arc::clone(&directory), shutdown.clone());
            std::thread::spawn(move || {
                let local = tokio::task::LocalSet::new();
                local.block_on(&runtime, async move {
                    let stop = shutdown.clone();
                    tokio::select! {
                        () = directory.run(shutdown) => {}
                        () = stop.stopped() => {}
                    }
                });
            })
        };
        let metrics = Metrics::register(&mut registry);
        let sessions = Sessions::new(Arc::clone(&metrics), 1);
        let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1).unwrap();
        let address = listener.address();
        let settings = Arc::new(ArcSwap::from_pointee(wanted.settings));
        let admission = Admission::new(wanted.limits);
        let door = Arc::new(wanted.door);
        let main = {
            let (directory, sessions) = (Arc::clone(&directory), Arc::clone(&sessions));
            move |core: weir_net::cores::Core, socket| {
                let relay = Relay::start(core.index()).unwrap();
                let context = Context::new(
                    core.clone(),
                    relay,
                    Arc::clone(&directory),
                    Arc::clone(&sessions),
                    admission.clone(),
                    Arc::clone(&metrics),
                    Arc::clone(&settings),
                );
                core.spawn(weir_proxy::rtmp::serve(context, socket, Arc::clone(&door)));
            }
        };
        let cores = weir_net::cores::start(listener.into_sockets(), &shutdown, main).unwrap();
        Self {
            address,
            sessions,
            shutdown,
            cores: Some(cores),
            tending: Some(tending),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shutdown.stop();
        if let Some(cores) = self.cores.take() {
            cores.join();
        }
        if let Some(tending) = self.tending.take() {
            let _ = tending.join();
        }
    }
}

/// The record of an origin at `address`.
pub(crate) fn node(index: usize, address: SocketAddr) -> Node {
    let mut endpoints = Endpoints::default();
    endpoints.set(Service::Rtmp, vec![address.port().to_string()]);
    let (server, service, pid) = (format!("server{index}"), "run".to_owned(), "1".to_owned());
    Node {
        id: NodeId::new(&server, &service, &pid),
        host: address.ip().to_string(),
        device: String::new(),
        server,
        service,
        pid,
        endpoints,
        report: Report::default(),
        updated: clock::wallclock(),
    }
}

/// Short enough for a test to wait for, long enough for a busy machine.
pub(crate) fn quick() -> Settings {
    Settings {
        opening: Duration::from_millis(700),
        dial: Duration::from_millis(700),
        answer: Duration::from_millis(700),
        ..Settings::default()
    }
}
