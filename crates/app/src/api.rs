//! The admin API: what the server holds and does, over HTTP.
//!
//! Owns: the routes below on listeners of their own, who may use them, and the OpenAPI document. Shapes and names are
//! those of SRS's API where it has them, so that its dashboards work. Does not: change state by itself; it asks the hub
//! and the reloader.
//!
//! | route | |
//! |---|---|
//! | `GET /healthz`, `GET /readyz` | for supervisors and load balancers; no token |
//! | `GET /metrics` | for Prometheus |
//! | `GET /openapi.json` | this API for machines |
//! | `GET /api/v1` | the listing |
//! | `GET /api/v1/versions`, `/summaries` | the server |
//! | `GET /api/v1/vhosts`, `/vhosts/{id}` | virtual hosts |
//! | `GET /api/v1/streams`, `/streams/{id}` | streams |
//! | `GET /api/v1/clients`, `/clients/{id}` | connections |
//! | `DELETE /api/v1/clients/{id}` | kick |
//! | `POST /api/v1/reload`, `GET /api/v1/raw?rpc=reload` | reload the configuration |

pub(crate) mod answer;
mod clients;
pub(crate) mod guard;
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

use crate::config::Config;
use crate::origin::{Listening, Origin, StartError};
use crate::run::Reloader;
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
    started: Instant,
    /// Port of the first RTMP listener.
    rtmp_port: Option<u16>,
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
        let rtmp = listening.iter().find(|one| one.key == "rtmp.listen");
        let rtmp_port = rtmp.map(|one| one.address.port());
        let addresses: Vec<SocketAddr> = listening.iter().map(|one| one.address).collect();
        registry.register_collector(Box::new(metrics::Scrape { origin, started }));
        Self {
            shared: Arc::new(Shared {
                reloader,
                registry,
                shutdown: shutdown.clone(),
                rates: rates::Rates::default(),
                identity: Identity::new(&addresses, clock::wallclock()),
                started,
                rtmp_port,
            }),
        }
    }

    /// The routes as the listener at `local` serves them.
    pub fn router(&self, local: SocketAddr) -> Router {
        let (router, document) = routes().split_for_parts();
        let document: Arc<str> = json(&document).into();
        let shared = Arc::clone(&self.shared);
        let guard = guard::Guard {
            key: "api.token",
            token: Arc::new(move || shared.reloader.current().api.token),
            near: guard::Near::Listener(local),
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

    /// Serves on `sockets` for as long as it is polled; to stop, drop it and end the runtime, on which connections are
    /// tasks of their own. Fails when a socket cannot be watched.
    pub async fn serve(self, sockets: Sockets) -> io::Result<Infallible> {
        let mut servers = JoinSet::new();
        for listener in sockets.0 {
            let router = self.router(listener.address());
            for socket in listener.into_sockets() {
                let server = listen::Bounded::new(socket, listen::MOST_REQUEST_BYTES)?;
                let server = axum::serve(server, router.clone());
                servers.spawn(server.into_future());
            }
        }
        let mut interval = tokio::time::interval(rates::SAMPLE_EVERY);
        loop {
            interval.tick().await;
            self.sample(clock::now());
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
