//! The console and the API on the ports of streams, and the console on the API's own.
//!
//! Owns: what `/`, `/console/` and `/api/` answer there. Invariants: the API's answers are made on the thread that serves
//! its own listeners, so that a long list holds up no stream; and its guard judges the other end (`api::guard`). The plain
//! page, of a server that was built without its console, asks the API for the streams with the headers of who asks for
//! the page: it shows them to those who may see them there, and to nobody else. Does not: read or write sockets, or have
//! a say over paths of streams.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_TYPE, IF_NONE_MATCH, LOCATION, VARY,
};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};
use axum::response::IntoResponse;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::SetOnce;
use tower::ServiceExt;
use weir_console::Row;
use weir_gate::DEFAULT_VHOST;
use weir_http::pages::Pages;

use crate::api::answer::Failure;

/// Where the console is.
const CONSOLE: &str = "/console/";

/// How long a request waits for the API to be there: it follows the ports by some milliseconds.
const STARTING: Duration = Duration::from_secs(5);

/// Longest answer of the API, in bytes. The longest there is, a page of a thousand streams, has about 2 MB; the log has as
/// much.
const MOST_ANSWER_BYTES: usize = 16 << 20;

/// Where the API lists streams: as many as the plain page shows.
const STREAMS: &str = "/api/v1/streams?count=1000";

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
            return match is_plain(&request) {
                true => self.plain(&request).await,
                false => page(request.method(), path, request.headers()),
            };
        }
        let Ok(served) = tokio::time::timeout(STARTING, self.0.wait()).await else {
            return failed(StatusCode::SERVICE_UNAVAILABLE, "not started yet");
        };
        served.ask(request.map(Body::from)).await
    }

    /// The plain page for who sent `request`.
    async fn plain<B>(&self, request: &http::Request<B>) -> Response<Bytes> {
        // the page is there before the API is
        match self.0.get() {
            Some(served) => listing(&served.ask(look(request)).await),
            None => weir_console::plain(None),
        }
    }
}

impl Served {
    async fn ask(&self, request: Request) -> Response<Bytes> {
        // a handler that fails to end with the process has nobody to answer to
        let answering = self.runtime.spawn(whole(self.api.clone(), request));
        let stops = |_| failed(StatusCode::SERVICE_UNAVAILABLE, "the server stops");
        answering.await.unwrap_or_else(stops)
    }
}

/// The answer of `router` in one piece.
async fn whole(router: Router, request: Request) -> Response<Bytes> {
    let Ok(response) = router.oneshot(request).await;
    let (head, body) = response.into_parts();
    match to_bytes(body, MOST_ANSWER_BYTES).await {
        Ok(body) => Response::from_parts(head, body),
        Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// Whether the answer is the plain page with its list.
fn is_plain<B>(request: &http::Request<B>) -> bool {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    !weir_console::is_full() && is_read && request.uri().path() == CONSOLE
}

/// The request for the list of streams that its guard judges as it would judge `request`.
fn look<B>(request: &http::Request<B>) -> Request {
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::from_static(STREAMS));
    let mut look = Request::new(Body::empty());
    // what was an address stays one with another path
    *look.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    *look.version_mut() = request.version();
    *look.headers_mut() = request.headers().clone();
    *look.extensions_mut() = request.extensions().clone();
    look
}

/// The plain page for who sent `request` to a listener that serves `api`.
pub(crate) async fn plain<B>(api: Router, request: &http::Request<B>) -> Response<Bytes> {
    listing(&whole(api, look(request)).await)
}

/// The plain page, with the streams if `told` lists them.
fn listing(told: &Response<Bytes>) -> Response<Bytes> {
    let list: Value = match told.status() {
        StatusCode::OK => serde_json::from_slice(told.body()).unwrap_or_default(),
        _ => Value::Null,
    };
    let Some(streams) = list.get("streams").and_then(Value::as_array) else {
        return weir_console::plain(None);
    };
    let codecs: Vec<String> = streams.iter().map(codecs).collect();
    let rows = streams.iter().zip(&codecs).map(|(stream, codecs)| {
        let text = |name| stream.get(name).and_then(Value::as_str);
        let count = |pointer| stream.pointer(pointer).and_then(Value::as_u64);
        // an origin has addresses, a proxy keys, and counts of its own viewers only
        let path = text("url").or_else(|| text("stream")).unwrap_or_default();
        Row {
            path: path.strip_prefix(DEFAULT_VHOST).unwrap_or(path),
            codecs,
            kbps: count("/kbps/recv_30s").unwrap_or_default(),
            viewers: count("/viewers_total")
                .or_else(|| count("/viewers"))
                .unwrap_or_default(),
        }
    });
    weir_console::plain(Some(&rows.collect::<Vec<_>>()))
}

/// The codecs of a stream in the API's list; nothing at a proxy, which does not know them.
fn codecs(stream: &Value) -> String {
    let tracks = stream.get("tracks").and_then(Value::as_array);
    let codecs = tracks.into_iter().flatten();
    let names = codecs.filter_map(|track| track.get("codec")?.as_str());
    names.collect::<Vec<_>>().join(" ")
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

/// The console as routes of an API's own listener: at `/console/`, where `/` leads browsers. `api` is what that listener
/// serves, with its guard.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(api: Router) -> Router<S> {
    let answer = async |request: Request| {
        let (path, headers) = (request.uri().path(), request.headers());
        page(request.method(), path, headers).map(Body::from)
    };
    let front = async move |request: Request| match is_plain(&request) {
        true => {
            // the body is no part of the question, and cannot be shared between threads
            let request = request.map(drop);
            plain(api.clone(), &request).await.map(Body::from)
        }
        false => answer(request).await,
    };
    let root = async |request: Request| match wants_html(request.headers()) {
        true => page(request.method(), "/", request.headers()).map(Body::from),
        false => Failure::no_route().into_response(),
    };
    Router::new()
        .route("/", axum::routing::any(root))
        .route("/console", axum::routing::any(answer))
        .route("/console/", axum::routing::any(front))
        .route("/console/{*rest}", axum::routing::any(answer))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::guard;

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

    /// An API that lists streams behind the guard of a port of streams.
    fn api(token: &str) -> Router {
        let streams = json!({ "streams": [
            {
                "url": "/live/<b>", "kbps": { "recv_30s": 2500, "send_30s": 1 }, "viewers_total": 3,
                "viewers": { "hls": 3 }, "tracks": [{ "codec": "H264" }, { "codec": "AAC" }],
            },
            { "stream": "__defaultVhost__/live/far", "origin": "o", "viewers": 7 },
        ]});
        let token = crate::config::Secret::new(token);
        let guard = guard::Guard {
            key: "api.token",
            token: Arc::new(move || token.clone()),
            near: guard::Near::Port,
        };
        let list = async move |uri: Uri| {
            assert_eq!(uri.query(), Some("count=1000"));
            axum::Json(streams)
        };
        Router::new()
            .route("/api/v1/streams", axum::routing::get(list))
            .layer(axum::middleware::from_fn_with_state(guard, guard::check))
    }

    /// What the plain page shows to who asks with these headers from `peer`.
    fn plain_page(slot: &Slot, peer: &str, headers: &[(&str, &str)]) -> String {
        let peer = weir_http::pages::Peer(peer.parse().unwrap());
        let mut request = Request::get(CONSOLE).extension(peer);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = runtime().block_on(slot.plain(&request.body(()).unwrap()));
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["cache-control"], "no-store");
        String::from_utf8(response.body().to_vec()).unwrap()
    }

    #[test]
    fn the_plain_page_lists_streams_for_those_who_may_see_the_api() {
        const HERE: &str = "127.0.0.1:50000";
        let runtime = runtime_of_its_own();
        let slot = |token| {
            let slot = Slot::default();
            let _entered = runtime.enter();
            slot.fill(api(token));
            slot
        };
        let host = ("host", "localhost:8080");
        let (open, closed) = (slot(""), slot("secret"));
        let shown = plain_page(&open, HERE, &[host]);
        assert!(
            shown.contains(
                "<tr><td>/live/&lt;b&gt;<td>H264 AAC<td align=\"right\">2500<td align=\"right\">3"
            ),
            "{shown}"
        );
        assert!(
            shown.contains("<tr><td>/live/far<td><td align=\"right\">0<td align=\"right\">7"),
            "{shown}"
        );
        let bearer = ("authorization", "Bearer secret");
        assert!(plain_page(&closed, "10.0.0.7:1", &[host, bearer]).contains("/live/far"));
        for (slot, peer, headers) in [
            (&open, "10.0.0.7:1", &[host][..]),
            (&open, HERE, &[]),
            (&open, HERE, &[("host", "evil.example")]),
            (&open, HERE, &[host, ("x-forwarded-for", "127.0.0.1")]),
            (&open, HERE, &[host, ("sec-fetch-site", "cross-site")]),
            (&closed, HERE, &[host]),
            (&closed, HERE, &[host, ("authorization", "Bearer secre")]),
            (&Slot::default(), HERE, &[host]),
        ] {
            let shown = plain_page(slot, peer, headers);
            assert!(
                shown.contains("/api/v1/streams") && !shown.contains("<table"),
                "{peer} {headers:?}: {shown}"
            );
        }
    }

    /// One that works while the test does not wait for it.
    fn runtime_of_its_own() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap()
    }

    #[test]
    fn the_question_for_streams_is_asked_as_the_page_was() {
        let request = http::Request::get("http://localhost:8080/console/?x=1")
            .version(http::Version::HTTP_2)
            .header("authorization", "Bearer secret")
            .body(())
            .unwrap();
        let look = look(&request);
        assert_eq!(
            look.uri(),
            "http://localhost:8080/api/v1/streams?count=1000"
        );
        assert_eq!(look.version(), http::Version::HTTP_2);
        assert_eq!(look.headers(), request.headers());
        let plain = super::look(&http::Request::get("/console/").body(()).unwrap());
        assert_eq!(plain.uri(), STREAMS);
    }

    #[test]
    fn a_list_that_is_none_is_left_out() {
        for (status, body) in [
            (200, "[]"),
            (200, "{"),
            (200, "{\"streams\":1}"),
            (503, "{\"streams\":[]}"),
        ] {
            let told = Response::builder().status(status).body(Bytes::from(body));
            let page = listing(&told.unwrap());
            let page = String::from_utf8(page.body().to_vec()).unwrap();
            assert!(page.contains("/api/v1/streams"), "{body}: {page}");
        }
        let none = listing(&Response::new(Bytes::from("{\"streams\":[]}")));
        assert!(
            String::from_utf8(none.body().to_vec())
                .unwrap()
                .contains("Nobody publishes")
        );
    }
}
