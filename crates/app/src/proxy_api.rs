//! The proxy's HTTP API: origins register, people and programs look and steer.
//!
//! Owns: the routes below on the system listener and the few on the public API listener, who may use them, and the
//! OpenAPI document. Does not: keep state; it asks the directory and the table of sessions.
//!
//! | listener | route | |
//! |---|---|---|
//! | system | any method `/api/v1/srs/register` | an origin registers; `DELETE`, or `action=leave`, says goodbye |
//! | system | `GET /api/v1/origins`, `/origins/{id}` | origins |
//! | system | `POST`, `DELETE /api/v1/origins/{id}/drain` | no new streams there, and new streams again |
//! | system | `GET /api/v1/streams`, `DELETE /api/v1/streams/{key}` | which stream is where; forget it |
//! | system | `GET /api/v1/sessions` | connections through this proxy |
//! | system | `GET /api/v1/console`, `/history`, `/config`, `/log` | for the console: about the proxy, the last minutes, settings, log |
//! | system | `GET /console/` | the console, where `/` leads browsers; no token |
//! | system | `GET /openapi.json` | this API for machines |
//! | system | `GET /metrics` | for Prometheus |
//! | system, API | `GET /healthz`, `/readyz`, `/api/v1/versions` | for everybody; no token |
//!
//! Origins register from other hosts, so the system listener is open to them. Without a token anybody may register
//! whom the policy lets, and only peers on this host may use the rest; with one, both need it.

mod metrics;
mod origins;
mod register;
mod server;
mod sessions;
mod streams;

use std::collections::HashSet;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::FromRef;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_TYPE, SERVER};
use axum::response::Response;
use axum::routing::{any, get};
use prometheus_client::registry::Registry;
use tokio::task::JoinSet;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use weir_net::clock;
use weir_net::cores::Shutdown;
use weir_net::listen::Listener;
use weir_proxy::directory::Directory;
use weir_proxy::register::{MAX_BODY_BYTES, Policy};
use weir_proxy::sessions::{Role as SessionRole, Sessions};

use crate::api::about::{self, Common};
use crate::api::answer::{Failure, Head};
use crate::api::guard::{self, Guard, Near};
use crate::api::history::{self, Totals};
use crate::api::listen::{Bounded, MOST_REQUEST_BYTES, Peer};
use crate::api::{self, Identity};
use crate::config::Secret;
use crate::pages;

pub(crate) use metrics::Scrape;

/// The key that sets the token.
const KEY: &str = "proxy.token";

/// What answers name as the software.
const SOFTWARE: &str = concat!("Weir/", env!("CARGO_PKG_VERSION"));

/// The API of a running proxy: what its handlers work with.
pub(crate) struct ProxyApi {
    /// Origins and streams.
    pub(crate) directory: Arc<Directory>,
    /// Connections.
    pub(crate) sessions: Arc<Sessions>,
    /// The token; can change under way. Empty asks for none.
    pub(crate) token: Arc<ArcSwap<Secret>>,
    /// Who may register; can change under way.
    pub(crate) policy: Arc<ArcSwap<Policy>>,
    /// All metrics.
    pub(crate) registry: Arc<Registry>,
    /// Whether the proxy drains.
    pub(crate) shutdown: Shutdown,
    /// What it is called in answers.
    pub(crate) identity: Identity,
    /// What it answers as an origin does.
    pub(crate) common: Common,
}

impl FromRef<Arc<ProxyApi>> for Common {
    fn from_ref(api: &Arc<ProxyApi>) -> Self {
        api.common.clone()
    }
}

impl fmt::Debug for ProxyApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyApi").finish_non_exhaustive()
    }
}

impl ProxyApi {
    fn head(&self) -> Head {
        Head::new(&self.identity)
    }

    /// Takes a sample for the history, every [`history::EVERY`] for as long as it is polled.
    pub(crate) async fn remember(&self) -> Infallible {
        let mut interval = tokio::time::interval(history::EVERY);
        loop {
            interval.tick().await;
            let totals = self.totals();
            let history = self.common.history();
            history.take(clock::now(), clock::wallclock(), totals);
        }
    }

    /// What the sessions of this proxy have moved, those that are over and those that are open.
    fn totals(&self) -> Totals {
        let (received, sent) = self.sessions.moved();
        let mut totals = Totals {
            received,
            sent,
            faults: self.sessions.faults(),
            ..Totals::default()
        };
        let mut streams = HashSet::new();
        for session in self.sessions.list() {
            let about = session.about();
            totals.publishers += u64::from(about.role == SessionRole::Publish);
            totals.viewers += u64::from(about.role == SessionRole::Play);
            streams.extend(about.stream);
        }
        totals.streams = streams.len() as u64;
        totals
    }

    fn guard(self: &Arc<Self>, near: Near) -> Guard {
        let api = Arc::clone(self);
        Guard {
            key: KEY,
            token: Arc::new(move || Secret::clone(&api.token.load())),
            near,
        }
    }
}

/// The routes for operators, for those whom a guard lets through that looks for `near`.
fn operators(api: &Arc<ProxyApi>, near: Near) -> Router<Arc<ProxyApi>> {
    let document: Arc<str> = openapi().into();
    let document = get(move || async move {
        let kind = [(CONTENT_TYPE, "application/json")];
        (kind, document.to_string())
    });
    let guarded = guarded_routes()
        .split_for_parts()
        .0
        .route("/openapi.json", document)
        // names have slashes, which not everybody writes as %2F
        .route(
            "/api/v1/streams/{key}/{*rest}",
            axum::routing::delete(streams::forget_with_slashes),
        );
    let guard = axum::middleware::from_fn_with_state(api.guard(near), guard::check);
    guarded
        .method_not_allowed_fallback(async || Failure::method())
        .layer(guard)
}

/// The routes of the port of streams: those for operators. A request must have the other end's address as an extension.
pub(crate) fn port_router(api: &Arc<ProxyApi>) -> Router {
    finish(operators(api, Near::Port), api)
}

/// The routes of the system listener. A request must have the other end's address as an extension.
pub(crate) fn system_router(api: &Arc<ProxyApi>) -> Router {
    let guarded = operators(api, Near::Peer);
    // whatever the method: the SRS proxy looks at nothing but the body
    let register = register_routes().split_for_parts().0;
    let register = register
        .route(register::PATH, any(register::register))
        .layer(axum::Extension(Arc::<register::Refusals>::default()));
    let open = open_routes().split_for_parts().0;
    let console = pages::routes(finish(operators(api, Near::Peer), api));
    finish(guarded.merge(open).merge(register).merge(console), api)
}

/// The routes of the public API listener.
pub(crate) fn api_router(api: &Arc<ProxyApi>) -> Router {
    finish(open_routes().split_for_parts().0, api)
}

fn finish(routes: Router<Arc<ProxyApi>>, api: &Arc<ProxyApi>) -> Router {
    let named = |mut response: Response| async move {
        let software = HeaderValue::from_static(SOFTWARE);
        response.headers_mut().insert(SERVER, software);
        response
    };
    routes
        .fallback(async || Failure::no_route())
        .method_not_allowed_fallback(async || Failure::method())
        .layer(axum::middleware::map_response(named))
        .with_state(Arc::clone(api))
}

/// Serves the system listener for as long as it is polled, as `crate::api::Api::serve` does.
pub(crate) async fn serve_system(
    api: &Arc<ProxyApi>,
    listeners: Vec<Listener>,
) -> io::Result<Infallible> {
    // a head beside the largest body
    let most = MAX_BODY_BYTES + MOST_REQUEST_BYTES;
    serve(system_router(api), listeners, most).await
}

/// Serves the public API listener for as long as it is polled.
pub(crate) async fn serve_api(
    api: &Arc<ProxyApi>,
    listeners: Vec<Listener>,
) -> io::Result<Infallible> {
    serve(api_router(api), listeners, MOST_REQUEST_BYTES).await
}

/// Serves `listeners`; to stop, drop it and end the runtime, on which connections are tasks of their own. Fails when a
/// socket cannot be watched.
async fn serve(
    router: Router,
    listeners: Vec<Listener>,
    most_request_bytes: usize,
) -> io::Result<Infallible> {
    let mut servers = JoinSet::new();
    for socket in listeners.into_iter().flat_map(Listener::into_sockets) {
        let listener = Bounded::new(socket, most_request_bytes)?;
        let service = router.clone().into_make_service_with_connect_info::<Peer>();
        servers.spawn(axum::serve(listener, service).into_future());
    }
    // servers never end by themselves
    std::future::pending().await
}

/// The OpenAPI document of the system listener, as JSON for people and machines.
pub(crate) fn openapi() -> String {
    let mut document = guarded_routes().into_openapi();
    document.merge(open_routes().into_openapi());
    document.merge(register_routes().into_openapi());
    api::json(&document)
}

fn guarded_routes() -> OpenApiRouter<Arc<ProxyApi>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(origins::list))
        .routes(routes!(origins::one))
        .routes(routes!(origins::drain, origins::undrain))
        .routes(routes!(streams::list))
        .routes(routes!(streams::forget))
        .routes(routes!(sessions::list))
        .routes(routes!(about::about))
        .routes(routes!(about::history))
        .routes(routes!(about::settings))
        .routes(routes!(about::log))
        .routes(routes!(server::metrics))
}

fn open_routes() -> OpenApiRouter<Arc<ProxyApi>> {
    OpenApiRouter::new()
        .routes(routes!(server::healthz))
        .routes(routes!(server::readyz))
        .routes(routes!(server::versions))
}

fn register_routes() -> OpenApiRouter<Arc<ProxyApi>> {
    OpenApiRouter::new().routes(routes!(register::register, register::leave))
}

/// The parts of the document that belong to no route.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Weir proxy",
        description = "API of a Weir cluster proxy on its system listener. Registration is that of the SRS proxy. \
                       Times are in milliseconds or seconds as each field says.",
    ),
    tags(
        (name = "registration", description = "Origins come and go"),
        (name = "cluster", description = "Origins and where streams are"),
        (name = "sessions", description = "Connections through this proxy"),
        (name = "process", description = "The proxy itself"),
    ),
    security(("token" = [])),
    modifiers(&Token),
)]
struct Document;

/// Describes the bearer token.
struct Token;

impl utoipa::Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        api::describe_token(document, KEY);
    }
}

#[cfg(test)]
mod tests;
