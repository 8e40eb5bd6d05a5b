//! The admin API: what the server holds and does, over HTTP.
//!
//! Owns: the routes below on listeners of their own, who may use them, and the OpenAPI document. Shapes and names are
//! those of SRS's API where it has them, so that its dashboards work. Does not: change state by itself; it asks the hub
//! and the reloader.
//!
//! | route | |
//! |---|---|
//! | `GET /console/` | the console, where `/` leads browsers; no token |
//! | `GET /healthz`, `GET /readyz` | for supervisors and load balancers; no token |
//! | `GET /metrics` | for Prometheus |
//! | `GET /openapi.json` | this API for machines |
//! | `GET /api/v1` | the listing |
//! | `GET /api/v1/versions`, `/summaries` | the server |
//! | `GET /api/v1/vhosts`, `/vhosts/{id}` | virtual hosts |
//! | `GET /api/v1/streams`, `/streams/{id}` | streams |
//! | `GET /api/v1/clients`, `/clients/{id}` | connections |
//! | `DELETE /api/v1/clients/{id}` | kick |
//! | `GET /api/v1/console`, `/history`, `/config`, `/log` | for the console: about the server, the last minutes, settings, log |
//! | `POST /api/v1/reload`, `GET /api/v1/raw?rpc=reload` | reload the configuration |

pub(crate) mod about;
pub(crate) mod answer;
mod clients;
pub(crate) mod guard;
pub(crate) mod history;
pub(crate) mod identity;
pub(crate) mod listen;
mod machine;
pub(crate) mod metrics;
pub(crate) mod page;
mod rates;
pub(crate) mod server;
mod streams;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::FromRef;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::task::JoinSet;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use weir_net::cores::Shutdown;
use weir_net::listen::Listener;
use weir_net::{clock, process};

use crate::config::{Config, Role};
use crate::origin::{Listening, Origin, StartError};
use crate::pages;
use crate::run::Reloader;
use about::Common;
use history::Totals;
pub(crate) use identity::Identity;

/// The key that names the API's addresses.
const KEY: &str = "api.listen";

/// The API's sockets, bound before anything else starts so that a taken port ends the start.
#[derive(Debug, Default)]
pub struct Sockets(Vec<Listener>);

impl Sockets {
    /// Binds the addresses of `config`. Fails when one is taken.
    pub fn bind(config: &Config) -> Result<Self, StartError> {
        let addresses = config.api.listen.iter();
        let bound = addresses.map(|address| {
            Listener::bind(*address, 1).map_err(|source| StartError::bind(KEY, source))
        });
        Ok(Self(bound.collect::<Result<_, _>>()?))
    }

    /// The addresses in force.
    pub fn listening(&self) -> Vec<Listening> {
        let listeners = self.0.iter();
        listeners
            .map(|listener| Listening {
                key: KEY,
                address: listener.address(),
            })
            .collect()
    }
}

/// The API of a running origin.
#[derive(Debug, Clone)]
pub struct Api {
    shared: Arc<Shared>,
}

/// What handlers work with.
#[derive(Debug)]
struct Shared {
    reloader: Arc<Reloader>,
    registry: Registry,
    shutdown: Shutdown,
    rates: rates::Rates,
    identity: Identity,
    common: Common,
    started: Instant,
    /// Port of the first RTMP listener.
    rtmp_port: Option<u16>,
}

impl FromRef<Arc<Shared>> for Common {
    fn from_ref(shared: &Arc<Shared>) -> Self {
        shared.common.clone()
    }
}

impl Shared {
    fn origin(&self) -> &Arc<Origin> {
        self.reloader.origin()
    }

    fn head(&self) -> answer::Head {
        answer::Head::new(&self.identity)
    }
}

impl Api {
    /// The API of the origin that `reloader` reloads. Takes the registry with all metrics and adds those that are read
    /// when somebody asks.
    pub fn new(reloader: Arc<Reloader>, mut registry: Registry, shutdown: &Shutdown) -> Self {
        let (started, origin) = (clock::now(), Arc::clone(reloader.origin()));
        let listening = origin.listening();
        let addresses: Vec<SocketAddr> = listening.iter().map(|one| one.address).collect();
        let identity = Identity::new(&addresses, clock::wallclock());
        let common = {
            let (reloader, ring) = (Arc::clone(&reloader), reloader.logs().ring().clone());
            let loaded = move || reloader.loaded();
            Common::new(Role::Origin, identity.clone(), ring, listening, loaded)
        };
        registry.register_collector(Box::new(metrics::Scrape { origin, started }));
        Self {
            shared: Arc::new(Shared {
                reloader,
                registry,
                shutdown: shutdown.clone(),
                rates: rates::Rates::default(),
                identity,
                rtmp_port: common.rtmp_port(),
                common,
                started,
            }),
        }
    }

    /// The routes as the listener at `local` serves them.
    pub fn router(&self, local: SocketAddr) -> Router {
        let guarded = self.guarded(guard::Near::Listener(local));
        guarded.clone().merge(pages::routes(guarded))
    }

    /// The routes as a port of streams serves them.
    pub(crate) fn port_router(&self) -> Router {
        self.guarded(guard::Near::Port)
    }

    fn guarded(&self, near: guard::Near) -> Router {
        let (router, document) = routes().split_for_parts();
        let document: Arc<str> = json(&document).into();
        let shared = Arc::clone(&self.shared);
        let guard = guard::Guard {
            key: "api.token",
            token: Arc::new(move || shared.reloader.current().api.token),
            near,
        };
        let document = get(move || async move {
            let kind = [(CONTENT_TYPE, "application/json")];
            (kind, document.to_string())
        });
        router
            .route("/openapi.json", document)
            .fallback(async || answer::Failure::no_route())
            .method_not_allowed_fallback(async || answer::Failure::method())
            .layer(axum::middleware::from_fn_with_state(guard, guard::check))
            .with_state(Arc::clone(&self.shared))
    }

    /// What this process is called in answers.
    pub(crate) fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    /// Takes a sample for the rates; [`Api::serve`] does so by itself.
    pub fn sample(&self, now: Instant) {
        let hub = self.shared.origin().hub();
        let (cpu, machine) = (process::usage().cpu, machine::CpuTime::read());
        self.shared.rates.sample(now, hub, cpu, machine);
    }

    /// Takes a sample for the history; [`Api::serve`] does so by itself.
    pub fn remember(&self, now: Instant) {
        let origin = self.shared.origin();
        let metrics = origin.hub().metrics();
        let players = origin.hub().sessions().players();
        let totals = Totals {
            streams: u64::try_from(metrics.live_streams.get()).unwrap_or(0),
            publishers: u64::try_from(metrics.publishers.get()).unwrap_or(0),
            viewers: players.values().flat_map(|of| of.values()).sum(),
            received: metrics.bytes_in.get(),
            sent: metrics.bytes_out.get(),
            faults: origin.faults(),
        };
        let history = self.shared.common.history();
        history.take(now, clock::wallclock(), totals);
    }

    /// Serves on `sockets`, and what the ports of streams hand over, for as long as it is polled; to stop, drop it and end the runtime, on which connections are
    /// tasks of their own. Fails when a socket cannot be watched.
    pub async fn serve(self, sockets: Sockets) -> io::Result<Infallible> {
        self.shared.origin().pages().fill(self.port_router());
        let mut servers = JoinSet::new();
        for listener in sockets.0 {
            let router = self.router(listener.address());
            for socket in listener.into_sockets() {
                let server = listen::Bounded::new(socket, listen::MOST_REQUEST_BYTES)?;
                let server = axum::serve(server, router.clone());
                servers.spawn(server.into_future());
            }
        }
        let mut rates = tokio::time::interval(rates::SAMPLE_EVERY);
        let mut history = tokio::time::interval(history::EVERY);
        loop {
            tokio::select! {
                _ = rates.tick() => self.sample(clock::now()),
                _ = history.tick() => self.remember(clock::now()),
            }
        }
    }
}

/// The OpenAPI document of the API, as JSON for people and machines.
pub fn openapi() -> String {
    json(&routes().into_openapi())
}

/// A document as it is served and kept.
pub(crate) fn json(document: &utoipa::openapi::OpenApi) -> String {
    // the document is made of texts and maps with texts for keys, which JSON can hold
    document.to_pretty_json().unwrap_or_default() + "\n"
}

fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(server::healthz))
        .routes(routes!(server::readyz))
        .routes(routes!(metrics::page))
        .routes(routes!(server::listing))
        .routes(routes!(server::versions))
        .routes(routes!(server::summaries))
        .routes(routes!(streams::list_vhosts))
        .routes(routes!(streams::one_vhost))
        .routes(routes!(streams::list_streams))
        .routes(routes!(streams::one_stream))
        .routes(routes!(clients::list))
        .routes(routes!(clients::one, clients::kick))
        .routes(routes!(about::about))
        .routes(routes!(about::history))
        .routes(routes!(about::settings))
        .routes(routes!(about::log))
        .routes(routes!(server::reload))
        .routes(routes!(server::raw))
}

/// The parts of the document that belong to no route.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Weir",
        description = "Admin API of a Weir origin. Paths and names are those of the HTTP API of SRS where it has them. \
                       Times are in milliseconds or seconds as each field says, rates in kilobits a second over 30 s.",
    ),
    tags(
        (name = "streams", description = "Streams and virtual hosts"),
        (name = "clients", description = "Connections of publishers and viewers"),
        (name = "process", description = "The server itself"),
    ),
    security(("token" = [])),
    modifiers(&Token),
)]
struct Document;

/// Describes the bearer token.
struct Token;

impl utoipa::Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        describe_token(document, "api.token");
    }
}

/// Adds the scheme of the bearer token, which `key` sets.
pub(crate) fn describe_token(document: &mut utoipa::openapi::OpenApi, key: &str) {
    let mut scheme = Http::new(HttpAuthScheme::Bearer);
    scheme.description = Some(format!("The value of {key}, when it is set"));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(scheme));
}
