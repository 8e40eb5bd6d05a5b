//! The console and the API on the ports of streams, and the console on the API's own.
//!
//! Owns: what `/`, `/console/` and `/api/` answer there. Invariants: the API's answers are made on the thread that serves
//! its own listeners, so that a long list holds up no stream; and its guard judges the other end (`api::guard`). Does not:
//! read or write sockets, or have a say over paths of streams.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_TYPE, IF_NONE_MATCH, LOCATION, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use axum::response::IntoResponse;
use tokio::runtime::Handle;
use tokio::sync::SetOnce;
use tower::ServiceExt;
use weir_http::pages::Pages;

use crate::api::answer::Failure;

/// Where the console is.
const CONSOLE: &str = "/console/";

/// How long a request waits for the API to be there: it follows the ports by some milliseconds.
const STARTING: Duration = Duration::from_secs(5);

/// Longest answer of the API, in bytes. The longest there is, a page of a thousand streams, has about 2 MB; the log has as
/// much.
const MOST_ANSWER_BYTES: usize = 16 << 20;

/// What somebody without a browser finds at `/`.
const WORDS: &str = "Weir, a media server. Streams are at /<app>/<stream>.flv, .ts, .m3u8 and .mpd; the console is \
                     at /console/, the API at /api/v1.\n";

/// What answers on a port, once there is something: ports open before the API is built. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Slot(Arc<SetOnce<Served>>);

/// What is served.
struct Served {
    api: Router,
    runtime: Handle,
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Slot")
            .field(&self.0.get().is_some())
            .finish()
    }
}

impl Slot {
    /// Serves `api`, whose handlers run on this thread's runtime, from now on; the first one stays.
    pub(crate) fn fill(&self, api: Router) {
        let runtime = Handle::current();
        // twice would be another API of the same process
        let _ = self.0.set(Served { api, runtime });
    }

    /// The hook for a port.
    pub(crate) fn hook(&self) -> Pages {
        let slot = self.clone();
        Arc::new(move |request| {
            let slot = slot.clone();
            Box::pin(async move { slot.answer(request).await })
        })
    }

    async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let path = request.uri().path();
        if !path.starts_with("/api/") {
            return page(request.method(), path, request.headers());
        }
        let Ok(served) = tokio::time::timeout(STARTING, self.0.wait()).await else {
            return failed(StatusCode::SERVICE_UNAVAILABLE, "not started yet");
        };
        let (router, request) = (served.api.clone(), request.map(Body::from));
        // a handler that fails to end with the process has nobody to answer to
        let answering = served.runtime.spawn(async move {
            let Ok(response) = router.oneshot(request).await;
            let (head, body) = response.into_parts();
            let body = to_bytes(body, MOST_ANSWER_BYTES).await;
            body.map(|body| Response::from_parts(head, body))
        });
        match answering.await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
            Err(_) => failed(StatusCode::SERVICE_UNAVAILABLE, "the server stops"),
        }
    }
}

/// The answer to a request for a page: `/`, or below `/console`.
fn page(method: &Method, path: &str, headers: &HeaderMap) -> Response<Bytes> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = failed(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD here");
        set(&mut response, ALLOW, "GET, HEAD");
        return response;
    }
    if path != "/" {
        return console(path, headers);
    }
    let mut response = match wants_html(headers) {
        true => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::FOUND;
            set(&mut response, LOCATION, CONSOLE);
            response
        }
        false => {
            let mut response = Response::new(Bytes::from_static(WORDS.as_bytes()));
            set(&mut response, CONTENT_TYPE, "text/plain; charset=utf-8");
            response
        }
    };
    set(&mut response, VARY, "Accept");
    set(&mut response, CACHE_CONTROL, "no-store");
    response
}

fn console(path: &str, headers: &HeaderMap) -> Response<Bytes> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let gzip = text(ACCEPT_ENCODING).is_some_and(weir_console::accepts_gzip);
    weir_console::answer(path, gzip, text(IF_NONE_MATCH))
}

/// Whether the client names HTML among what it takes, as browsers do and tools do not.
fn wants_html(headers: &HeaderMap) -> bool {
    let values = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut kinds = values.flat_map(|value| value.split(','));
    kinds.any(|kind| {
        let name = kind.split(';').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case("text/html")
    })
}

fn set(response: &mut Response<Bytes>, name: HeaderName, value: &'static str) {
    let value = HeaderValue::from_static(value);
    response.headers_mut().insert(name, value);
}

fn failed(status: StatusCode, text: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(format!("{text}\n")));
    *response.status_mut() = status;
    set(&mut response, CONTENT_TYPE, "text/plain; charset=utf-8");
    response
}

/// The console as routes of an API's own listener: at `/console/`, where `/` leads browsers.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let answer = async |request: Request| {
        let (path, headers) = (request.uri().path(), request.headers());
        page(request.method(), path, headers).map(Body::from)
    };
    let root = async |request: Request| match wants_html(request.headers()) {
        true => page(request.method(), "/", request.headers()).map(Body::from),
        false => Failure::no_route().into_response(),
    };
    Router::new()
        .route("/", axum::routing::any(root))
        .route("/console", axum::routing::any(answer))
        .route("/console/", axum::routing::any(answer))
        .route("/console/{*rest}", axum::routing::any(answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

    fn ask(slot: &Slot, method: &str, path: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Bytes::new()).unwrap();
        let runtime = runtime();
        runtime.block_on(async { slot.hook()(request).await })
    }

    #[test]
    fn browsers_are_led_to_the_console_and_others_get_words() {
        let slot = Slot::default();
        let led = ask(&slot, "GET", "/", &[("accept", BROWSER)]);
        assert_eq!(led.status(), 302);
        assert_eq!(led.headers()["location"], "/console/");
        for headers in [&[][..], &[("accept", "*/*")]] {
            let told = ask(&slot, "GET", "/", headers);
            assert_eq!(told.status(), 200);
            assert_eq!(told.headers()["content-type"], "text/plain; charset=utf-8");
            assert_eq!(told.headers()["vary"], "Accept");
        }
        assert_eq!(ask(&slot, "DELETE", "/", &[]).status(), 405);
        assert_eq!(
            ask(&slot, "POST", "/console/", &[]).headers()["allow"],
            "GET, HEAD"
        );
    }

    #[test]
    fn the_console_is_there_before_the_api_is() {
        let slot = Slot::default();
        let page = ask(&slot, "GET", "/console/", &[]);
        assert_eq!(page.status(), 200);
        assert_eq!(ask(&slot, "GET", "/console", &[]).status(), 308);
        assert_eq!(ask(&slot, "GET", "/console/no.such", &[]).status(), 404);
    }

    #[test]
    fn a_request_waits_for_the_api_that_follows() {
        let slot = Slot::default();
        let router = Router::new().route("/api/v1/x", axum::routing::get(async || "there"));
        let (answered, ()) = runtime().block_on(async {
            let request = Request::get("/api/v1/x").body(Bytes::new()).unwrap();
            tokio::join!(slot.hook()(request), async { slot.fill(router) })
        });
        assert_eq!(
            (answered.status().as_u16(), &answered.body()[..]),
            (200, &b"there"[..])
        );
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
    }

    #[test]
    fn the_api_answers_on_its_own_runtime() {
        let slot = Slot::default();
        let runtime = runtime();
        let echo = async |body: String| body + "!";
        let router = Router::new().route("/api/v1/echo", axum::routing::post(echo));
        let answered = runtime.block_on(async {
            slot.fill(router);
            let request = Request::post("/api/v1/echo").body(Bytes::from_static(b"hello"));
            slot.hook()(request.unwrap()).await
        });
        assert_eq!(
            (answered.status().as_u16(), &answered.body()[..]),
            (200, &b"hello!"[..])
        );
        // and says so when that has ended
        drop(runtime);
        assert_eq!(ask(&slot, "POST", "/api/v1/echo", &[]).status(), 503);
    }
}
