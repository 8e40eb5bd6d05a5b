//! A core with a hub, its fan-out and the gate, on a port of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;
use weir_fanout::Fanout;
use weir_gate::Gate;
use weir_gate_http::listen;
use weir_gate_http::shelf::Shelf;
use weir_hub::Hub;
use weir_net::admission::{Admission, Limits};
use weir_net::clock;
use weir_net::cores::{self, Cores, Shutdown};
use weir_net::listen::Listener;

/// How long viewers wait for a publisher that left.
const GRACE: Duration = Duration::from_millis(50);

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) hub: Arc<Hub>,
    pub(crate) admission: Admission,
    pub(crate) shutdown: Shutdown,
    cores: Option<Cores>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(|_, _| {})
    }

    /// A server with a shelf that `make` makes.
    pub(crate) fn with_shelf(make: impl FnOnce(Arc<Hub>) -> Shelf) -> Self {
        Self::made(|hub, _, http| http.shelf = Some(make(Arc::clone(hub))))
    }

    /// A server whose settings `change` has changed.
    pub(crate) fn with(
        change: impl FnOnce(&mut weir_gate::Settings, &mut listen::Settings),
    ) -> Self {
        Self::made(|_, shared, http| change(shared, http))
    }

    fn made(
        change: impl FnOnce(&Arc<Hub>, &mut weir_gate::Settings, &mut listen::Settings),
    ) -> Self {
        let mut registry = Registry::default();
        let hub_settings = weir_hub::Settings {
            grace: GRACE,
            ..weir_hub::Settings::default()
        };
        let hub_metrics = weir_hub::Metrics::register(&mut registry);
        let hub = Arc::new(Hub::new(hub_settings, hub_metrics, UNIX_EPOCH));
        let fanout_metrics = weir_fanout::Metrics::register(&mut registry);
        let gate_metrics = weir_gate::Metrics::register(&mut registry);
        let admission = Admission::new(Limits {
            sessions: 0,
            sessions_per_address: 0,
        });
        let mut shared = weir_gate::Settings::default();
        let mut settings = listen::Settings::default();
        change(&hub, &mut shared, &mut settings);
        let shared = Arc::new(ArcSwap::from_pointee(shared));
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), 1).expect("a port");
        let address = listener.address();
        let shutdown = Shutdown::new();
        let parts = (hub.clone(), admission.clone());
        let cores = cores::start(listener.into_sockets(), &shutdown, move |core, socket| {
            let (hub, admission) = parts.clone();
            let fanout = Fanout::new(hub.clone(), fanout_metrics.clone());
            core.spawn_service(fanout.clone().run());
            core.spawn_service(sweep(hub.clone()));
            let gate = Gate::new(
                core.clone(),
                hub,
                fanout,
                admission,
                gate_metrics.clone(),
                shared.clone(),
            );
            core.spawn(listen::serve(gate, socket, settings.clone()));
        })
        .expect("a thread");
        Self {
            address,
            hub,
            admission,
            shutdown,
            cores: Some(cores),
        }
    }
}

async fn sweep(hub: Arc<Hub>) {
    let mut beat = tokio::time::interval(Duration::from_millis(10));
    loop {
        beat.tick().await;
        hub.sweep(clock::now());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.stop();
        if let Some(cores) = self.cores.take() {
            cores.join();
        }
    }
}
