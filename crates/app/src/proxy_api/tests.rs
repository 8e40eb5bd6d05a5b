//! The proxy's API over a directory and a table of sessions, asked without sockets where that shows enough.
//!
//! With the variable `WEIR_TEST_BLESS` set, the golden document is written instead of compared.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::ServiceExt;
use weir_cluster::memory::{self, Memory};
use weir_cluster::{Key, Service};
use weir_net::admission::{Admission, Admitted, Limits};
use weir_net::clock;
use weir_net::listen::Listener;
use weir_proxy::directory::{Options, Placed};
use weir_proxy::sessions::{Opened, Role};

use super::*;

const TOKEN: &str = "a-long-secret";
const REGISTER: &str = "/api/v1/srs/register";

/// Peers: this host, and another.
const HERE: &str = "127.0.0.1";
const AWAY: &str = "198.51.100.7";

/// A proxy without listeners.
struct Proxy {
    api: Arc<ProxyApi>,
}

fn common() -> Common {
    let loaded = || {
        let sources = crate::config::Sources {
            role: crate::config::Role::Proxy,
            ..Default::default()
        };
        crate::config::Config::load(&sources).unwrap()
    };
    let identity = Identity::new(&[], clock::wallclock());
    let listening = [crate::origin::Listening {
        key: "proxy.http_listen",
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 18080)),
    }];
    let ring = crate::log::Ring::default();
    Common::new(
        crate::config::Role::Proxy,
        identity,
        ring,
        &listening,
        loaded,
    )
}

/// A request to be.
struct Ask<'a> {
    method: &'a str,
    path: &'a str,
    peer: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: String,
}

impl<'a> Ask<'a> {
    fn new(method: &'a str, path: &'a str) -> Self {
        Self {
            method,
            path,
            peer: HERE,
            headers: &[],
            body: String::new(),
        }
    }

    fn body(mut self, body: &Value) -> Self {
        self.body = body.to_string();
        self
    }

    fn peer(mut self, peer: &'a str) -> Self {
        self.peer = peer;
        self
    }

    fn headers(mut self, headers: &'a [(&'a str, &'a str)]) -> Self {
        self.headers = headers;
        self
    }
}

impl Proxy {
    fn new() -> Self {
        let mut registry = Registry::with_prefix("weir");
        let state = Arc::new(Memory::new(memory::Options::default(), clock::now));
        let directory = Directory::new(state, Options::default(), &mut registry);
        let metrics = weir_proxy::metrics::Metrics::register(&mut registry);
        registry.register_collector(Box::new(Scrape {
            started: clock::now(),
            loads: vec![Arc::default()],
        }));
        Self {
            api: Arc::new(ProxyApi {
                directory,
                sessions: Sessions::new(metrics, 0xc0de),
                token: Arc::default(),
                policy: Arc::default(),
                registry: Arc::new(registry),
                shutdown: Shutdown::new(),
                identity: Identity::new(&[], clock::wallclock()),
                common: common(),
            }),
        }
    }

    fn with_token() -> Self {
        let proxy = Self::new();
        proxy.api.token.store(Arc::new(Secret::new(TOKEN)));
        proxy
    }

    async fn ask_of(&self, router: Router, ask: Ask<'_>) -> (u16, HeaderMap, String) {
        let mut request = Request::builder().method(ask.method).uri(ask.path);
        for (name, value) in ask.headers {
            request = request.header(*name, *value);
        }
        if !ask.headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "localhost:12025");
        }
        let peer: IpAddr = ask.peer.parse().unwrap();
        let request = request
            .extension(ConnectInfo(Peer(SocketAddr::new(peer, 50_000))))
            .body(Body::from(ask.body))
            .unwrap();
        let (head, body) = router.oneshot(request).await.unwrap().into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        (head.status.as_u16(), head.headers, body)
    }

    async fn ask(&self, ask: Ask<'_>) -> (u16, HeaderMap, String) {
        self.ask_of(system_router(&self.api), ask).await
    }

    async fn status(&self, ask: Ask<'_>) -> u16 {
        self.ask(ask).await.0
    }

    async fn json(&self, path: &str) -> Value {
        let (status, headers, body) = self.ask(Ask::new("GET", path)).await;
        assert_eq!(status, 200, "{path}: {body}");
        assert_eq!(headers["content-type"], "application/json");
        serde_json::from_str(&body).unwrap()
    }

    /// A failure's status and text.
    async fn failure(&self, ask: Ask<'_>) -> (u16, String) {
        let (status, headers, body) = self.ask(ask).await;
        assert_eq!(headers["content-type"], "application/json", "{body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert!(body["code"].as_u64().unwrap() >= 400);
        (status, body["error"].as_str().unwrap().to_owned())
    }

    async fn register(&self, body: &Value) {
        let (status, _, said) = self.ask(Ask::new("POST", REGISTER).body(body)).await;
        assert_eq!(status, 200, "{said}");
    }

    fn session(&self) -> Opened {
        let limits = Limits {
            sessions: 0,
            sessions_per_address: 0,
        };
        let admission = Admission::new(limits);
        let Admitted::Serve(permit) = admission.admit(Ipv4Addr::LOCALHOST.into()) else {
            panic!("there is no limit");
        };
        let client = "[::ffff:192.0.2.1]:5000".parse().unwrap();
        self.api.sessions.open("rtmp", client, permit)
    }
}

fn origin(server: &str) -> Value {
    json!({
        "device_id": "origin1", "ip": "192.0.2.7", "server": server, "service": "svc", "pid": "7",
        "rtmp": ["19351"], "http": ["8081"],
    })
}

#[test]
fn the_document_is_the_golden_one() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi-proxy.json");
    let document = openapi();
    if std::env::var_os("WEIR_TEST_BLESS").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        document == golden,
        "docs/openapi-proxy.json is not what the code says: run this test with WEIR_TEST_BLESS=1 \
         and look at the diff"
    );
}

#[tokio::test(flavor = "current_thread")]
async fn every_documented_path_is_served_and_described() {
    let proxy = Proxy::new();
    let document: Value = serde_json::from_str(&openapi()).unwrap();
    assert_eq!(proxy.json("/openapi.json").await, document);
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            assert!(operation["summary"].is_string(), "{method} {path}");
            assert!(operation["responses"]["200"].is_object(), "{method} {path}");
            let path = path.replace("{id}", "none").replace("{key}", "none");
            let method = method.to_uppercase();
            let (status, _, body) = proxy.ask(Ask::new(&method, &path)).await;
            let known = match path.as_str() {
                REGISTER => status == 400,
                "/readyz" => status == 503,
                path if path.contains("/none") && method != "DELETE" => status == 404,
                "/api/v1/origins/none/drain" => status == 404,
                _ => status == 200,
            };
            assert!(known, "{method} {path}: {status} {body}");
        }
    }
}

/// C15, C18, W50: what SRS sends is answered as the SRS proxy does, and is one origin however often it comes.
#[tokio::test(flavor = "current_thread")]
async fn c15_an_origin_registers_and_c18_registers_again() {
    let proxy = Proxy::new();
    let ask = Ask::new("POST", REGISTER).body(&origin("vid-a")).peer(AWAY);
    let (status, headers, body) = proxy.ask(ask).await;
    let pid = std::process::id();
    assert_eq!(
        (status, body),
        (200, format!(r#"{{"code":0,"pid":"{pid}"}}"#))
    );
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["server"], SOFTWARE);

    let mut changed = origin("vid-a");
    changed["rtmp"] = json!(["19999"]);
    proxy.register(&changed).await;
    let origins = proxy.json("/api/v1/origins").await;
    assert_eq!(origins["total"], 1);
    assert_eq!(origins["origins"][0]["endpoints"]["rtmp"], json!(["19999"]));
}

/// Whatever the method, as long as there is a body.
#[tokio::test(flavor = "current_thread")]
async fn any_method_registers() {
    let proxy = Proxy::new();
    for (index, method) in ["POST", "PUT", "GET", "PATCH"].into_iter().enumerate() {
        let server = format!("vid-{index}");
        let ask = Ask::new(method, REGISTER).body(&origin(&server));
        assert_eq!(proxy.status(ask).await, 200, "{method}");
        let origins = proxy.json("/api/v1/origins").await;
        assert_eq!(origins["total"], index + 1, "{method}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn c16_what_is_missing_is_named_and_b10_what_is_wrong() {
    let proxy = Proxy::new();
    for field in ["ip", "server", "service", "pid", "rtmp"] {
        let mut body = origin("vid-a");
        body[field] = Value::Null;
        let failure = proxy.failure(Ask::new("POST", REGISTER).body(&body)).await;
        assert_eq!(failure, (400, format!("empty {field}")));
    }
    let failure = proxy.failure(Ask::new("GET", REGISTER)).await;
    assert_eq!(failure, (400, "empty ip".to_owned()));
    let mut body = origin("vid-a");
    body["http"] = json!(["here"]);
    let (status, said) = proxy.failure(Ask::new("POST", REGISTER).body(&body)).await;
    assert_eq!(status, 400);
    assert!(
        said.starts_with("bad http: `here` is no endpoint: "),
        "{said}"
    );
    assert_eq!(proxy.json("/api/v1/origins").await["total"], 0);
}

#[tokio::test(flavor = "current_thread")]
async fn a_body_that_is_too_large_is_refused() {
    let proxy = Proxy::new();
    let mut ask = Ask::new("POST", REGISTER);
    ask.body = " ".repeat(MAX_BODY_BYTES + 1);
    assert_eq!(proxy.failure(ask).await.0, 413);
    let length = (MAX_BODY_BYTES + 1).to_string();
    let headers = [("content-length", length.as_str())];
    let declared = Ask::new("POST", REGISTER).headers(&headers);
    assert_eq!(proxy.failure(declared).await.0, 413);
}

/// W34: each form of goodbye.
#[tokio::test(flavor = "current_thread")]
async fn w34_an_origin_says_goodbye() {
    let proxy = Proxy::new();
    let named = format!("{REGISTER}?server=vid-a&service=svc&pid=7");
    let action = format!("{REGISTER}?action=leave");
    let both = format!("{named}&action=leave");
    let leave = json!({"action": "leave", "server": "vid-a", "service": "svc", "pid": 7});
    let goodbyes = [
        Ask::new("DELETE", REGISTER).body(&origin("vid-a")),
        Ask::new("DELETE", &named),
        Ask::new("POST", &action).body(&origin("vid-a")),
        Ask::new("GET", &both),
        Ask::new("POST", REGISTER).body(&leave),
    ];
    for goodbye in goodbyes {
        proxy.register(&origin("vid-a")).await;
        proxy.register(&origin("vid-b")).await;
        let shown = format!("{} {} {}", goodbye.method, goodbye.path, goodbye.body);
        let (status, _, body) = proxy.ask(goodbye).await;
        assert_eq!(status, 200, "{shown}: {body}");
        assert!(body.starts_with(r#"{"code":0,"pid":""#), "{body}");
        let origins = proxy.json("/api/v1/origins").await;
        assert_eq!(origins["total"], 1, "{shown}");
        assert_eq!(origins["origins"][0]["server"], "vid-b");
    }
    assert_eq!(proxy.status(Ask::new("DELETE", &named)).await, 200, "again");
    let half = format!("{REGISTER}?server=vid-a&pid=7");
    let failure = proxy.failure(Ask::new("DELETE", &half)).await;
    assert_eq!(failure, (400, "empty service".to_owned()));
}

/// C75: the token is asked for, and nothing without it.
#[tokio::test(flavor = "current_thread")]
async fn c75_the_token_is_asked_for() {
    let proxy = Proxy::with_token();
    let right = [("authorization", "Bearer a-long-secret")];
    let wrong = [("authorization", "Bearer a-long-secre7")];
    for headers in [&[][..], &wrong[..]] {
        for (method, path) in [
            ("POST", REGISTER),
            ("DELETE", REGISTER),
            ("GET", "/api/v1/origins"),
            ("POST", "/api/v1/origins/x/drain"),
            ("GET", "/api/v1/sessions"),
            ("GET", "/metrics"),
            ("GET", "/openapi.json"),
            ("DELETE", "/api/v1/streams/a/b"),
        ] {
            let ask = Ask::new(method, path)
                .body(&origin("vid-a"))
                .headers(headers);
            let (status, answer, body) = proxy.ask(ask).await;
            assert_eq!(status, 401, "{method} {path}");
            let challenge = answer["www-authenticate"].to_str().unwrap();
            assert!(challenge.starts_with("Bearer"), "{challenge}");
            assert!(body.contains(KEY) && !body.contains(TOKEN), "{body}");
        }
    }
    for path in ["/healthz", "/api/v1/versions"] {
        let ask = Ask::new("GET", path).peer(AWAY);
        assert_eq!(proxy.status(ask).await, 200, "{path}");
    }
    let with = |ask: Ask<'static>| proxy.status(ask.peer(AWAY).headers(&right));
    let asked = Ask::new("POST", REGISTER).body(&origin("vid-a"));
    assert_eq!(proxy.status(asked.peer(AWAY).headers(&right)).await, 200);
    assert_eq!(with(Ask::new("GET", "/api/v1/origins")).await, 200);
    assert_eq!(with(Ask::new("GET", "/metrics")).await, 200);
    // a change counts at once
    proxy.api.token.store(Arc::new(Secret::new("another")));
    assert_eq!(with(Ask::new("GET", "/api/v1/origins")).await, 401);
}

/// W5: without a token origins register from anywhere, and that is all.
#[tokio::test(flavor = "current_thread")]
async fn without_a_token_only_this_host_looks_and_steers() {
    let proxy = Proxy::new();
    let away = |method, path| proxy.status(Ask::new(method, path).peer(AWAY));
    assert_eq!(away("GET", "/api/v1/origins").await, 403);
    assert_eq!(away("GET", "/metrics").await, 403);
    assert_eq!(away("POST", "/api/v1/origins/x/drain").await, 403);
    assert_eq!(away("GET", "/healthz").await, 200);
    assert_eq!(away("GET", "/readyz").await, 503);
    assert_eq!(away("GET", "/api/v1/versions").await, 200);
    let here = |headers| proxy.status(Ask::new("GET", "/api/v1/origins").headers(headers));
    assert_eq!(here(&[]).await, 200);
    assert_eq!(here(&[("host", "rebound.example")]).await, 403);
    assert_eq!(here(&[("origin", "https://evil.example")]).await, 403);
    let page = [("origin", "https://evil.example")];
    let ask = Ask::new("POST", REGISTER).body(&origin("vid-a"));
    assert_eq!(proxy.status(ask.headers(&page)).await, 403);
    let named = [("host", "proxy.example:12025")];
    let ask = Ask::new("POST", REGISTER).body(&origin("vid-a"));
    assert_eq!(proxy.status(ask.peer(AWAY).headers(&named)).await, 200);
}

/// W5, W13: who may register, and what.
#[tokio::test(flavor = "current_thread")]
async fn a_policy_keeps_strangers_and_strange_addresses_out() {
    let proxy = Proxy::new();
    proxy.api.policy.store(Arc::new(Policy {
        allow: vec!["192.0.2.0/24".parse().unwrap()],
        force_peer_address: false,
    }));
    let register = |peer, ip: &str| {
        let mut body = origin("vid-a");
        body["ip"] = json!(ip);
        proxy.failure(Ask::new("POST", REGISTER).body(&body).peer(peer))
    };
    let (status, said) = register(AWAY, "192.0.2.7").await;
    assert_eq!(
        (status, said.as_str()),
        (403, "peer 198.51.100.7 may not register here")
    );
    assert_eq!(register("192.0.2.1", "169.254.169.254").await.0, 403);
    assert_eq!(register("192.0.2.1", "origin.example").await.0, 403);
    let leave = format!("{REGISTER}?server=vid-a&service=svc&pid=7");
    assert_eq!(
        proxy.status(Ask::new("DELETE", &leave).peer(AWAY)).await,
        403
    );
    let ask = Ask::new("POST", REGISTER).body(&origin("vid-a"));
    assert_eq!(proxy.status(ask.peer("192.0.2.1")).await, 200);

    proxy.api.policy.store(Arc::new(Policy {
        allow: vec![],
        force_peer_address: true,
    }));
    let ask = Ask::new("POST", REGISTER).body(&origin("vid-a"));
    assert_eq!(proxy.status(ask.peer(AWAY)).await, 200);
    let origins = proxy.json("/api/v1/origins").await;
    assert_eq!(origins["origins"][0]["host"], AWAY);
}

/// B7: origins with all that is known of them.
#[tokio::test(flavor = "current_thread")]
async fn b7_origins_are_listed_with_state_age_and_sessions() {
    let proxy = Proxy::new();
    let mut body = origin("vid-a");
    body["weir"] =
        json!({"weight": 50, "capacity": 9, "cpu": 0.5, "egress_bps": 800, "sessions": 4});
    proxy.register(&body).await;
    let origins = proxy.json("/api/v1/origins").await;
    let one = &origins["origins"][0];
    assert_eq!(
        (&one["id"], &one["host"]),
        (&json!("vid-a-svc-7"), &json!("192.0.2.7"))
    );
    assert_eq!(
        (&one["state"], &one["draining"]),
        (&json!("up"), &json!(false))
    );
    assert_eq!((&one["weight"], &one["capacity"]), (&json!(50), &json!(9)));
    let load = json!({"cpu": 0.5, "egress_bps": 800, "sessions": 4});
    assert_eq!((&one["load"], &one["sessions"]), (&load, &json!(0)));
    assert!(one["age"].as_f64().unwrap() >= 0.0);
    assert!(one["updated_ms"].as_u64().unwrap() > 1_700_000_000_000);
    assert_eq!(one["probe_ms"], Value::Null);
    let again = proxy.json("/api/v1/origins/vid-a-svc-7").await;
    assert_eq!(again["origin"]["id"], one["id"]);
    let none = proxy.failure(Ask::new("GET", "/api/v1/origins/x")).await;
    assert_eq!(none, (404, "no such origin".to_owned()));
}

/// B5: the order to drain, and back.
#[tokio::test(flavor = "current_thread")]
async fn b5_an_origin_is_told_to_drain_and_taken_back() {
    let proxy = Proxy::new();
    proxy.register(&origin("vid-a")).await;
    let path = "/api/v1/origins/vid-a-svc-7/drain";
    for (method, state) in [("POST", "draining"), ("POST", "draining"), ("DELETE", "up")] {
        assert_eq!(proxy.status(Ask::new(method, path)).await, 200);
        let origins = proxy.json("/api/v1/origins").await;
        assert_eq!(origins["origins"][0]["state"], state);
        assert_eq!(origins["origins"][0]["draining"], state == "draining");
    }
    let none = Ask::new("POST", "/api/v1/origins/x/drain");
    assert_eq!(proxy.failure(none).await.0, 404);
    assert_eq!(proxy.failure(Ask::new("GET", path)).await.0, 405);
}

async fn placed(proxy: &Proxy, name: &str) -> Placed {
    let stream = Key::new(name).unwrap();
    let directory = &proxy.api.directory;
    let placed = directory.place(&stream, Role::Publish, Service::Rtmp, &[]);
    placed.await.unwrap()
}

/// B7: where each stream is, here and in the cluster; and what becomes of a stream that is forgotten.
#[tokio::test(flavor = "current_thread")]
async fn b7_streams_are_listed_and_forgotten() {
    let proxy = Proxy::new();
    proxy.register(&origin("vid-a")).await;
    let (live, idle) = ("__defaultVhost__/live/s", "__defaultVhost__/live/idle");
    let there = placed(&proxy, live).await;
    placed(&proxy, idle).await;
    let hold = proxy
        .api
        .directory
        .hold(&Key::new(live).unwrap(), &there, Role::Publish);
    let row = |stream: &str, sessions: u32| {
        json!({
            "stream": stream, "origin": "vid-a-svc-7",
            "sessions": sessions, "publishers": sessions, "viewers": 0,
        })
    };
    let streams = proxy.json("/api/v1/streams").await;
    assert_eq!(
        (&streams["total"], &streams["start"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(streams["streams"], json!([row(live, 1)]));
    let cluster = proxy.json("/api/v1/streams?cluster=true").await;
    assert_eq!(cluster["streams"], json!([row(idle, 0), row(live, 1)]));
    let page = proxy
        .json("/api/v1/streams?cluster=true&start=1&count=5")
        .await;
    assert_eq!(
        (&page["total"], &page["streams"]),
        (&json!(2), &json!([row(live, 1)]))
    );
    // the page of a proxy without its console lists them too, for those who may see the API
    for (peer, is_shown) in [(HERE, true), (AWAY, false)] {
        let peer = Peer(SocketAddr::new(peer.parse().unwrap(), 50_000));
        let request = Request::get("/console/").extension(ConnectInfo(peer));
        let request = request.header("host", "localhost").body(()).unwrap();
        let shown = pages::plain(system_router(&proxy.api), &request).await;
        let shown = String::from_utf8(shown.body().to_vec()).unwrap();
        assert_eq!(shown.contains("<tr><td>/live/s<td>"), is_shown, "{shown}");
    }
    let wrong = Ask::new("GET", "/api/v1/streams?cluster=2");
    assert_eq!(proxy.failure(wrong).await.0, 400);

    drop(hold);
    for path in [
        "/api/v1/streams/__defaultVhost__%2Flive%2Fs",
        "/api/v1/streams/__defaultVhost__/live/idle",
    ] {
        let before = proxy.json("/api/v1/streams?cluster=true").await["total"].clone();
        assert_eq!(proxy.status(Ask::new("DELETE", path)).await, 200);
        let after = proxy.json("/api/v1/streams?cluster=true").await["total"].clone();
        assert_eq!(after.as_u64().unwrap() + 1, before.as_u64().unwrap());
    }
    let control = Ask::new("DELETE", "/api/v1/streams/a%0Ab");
    assert_eq!(proxy.failure(control).await.0, 404);
}

#[tokio::test(flavor = "current_thread")]
async fn sessions_are_listed_in_pages() {
    let proxy = Proxy::new();
    let opened: Vec<Opened> = (0..12).map(|_| proxy.session()).collect();
    let session = opened[0].session();
    session.note(|about| {
        about.role = Role::Play;
        about.stream = Key::new("v/live/s").ok();
        about.path = "splice";
    });
    session.down.store(99, std::sync::atomic::Ordering::Relaxed);
    let sessions = proxy.json("/api/v1/sessions").await;
    assert_eq!(sessions["total"], 12);
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 10);
    let one = &sessions["sessions"][0];
    assert_eq!(one["id"], session.id.to_string());
    assert_eq!(
        (&one["protocol"], &one["role"]),
        (&json!("rtmp"), &json!("play"))
    );
    assert_eq!(
        (&one["stream"], &one["path"]),
        (&json!("v/live/s"), &json!("splice"))
    );
    assert_eq!(
        (&one["ip"], &one["origin"]),
        (&json!("192.0.2.1"), &Value::Null)
    );
    assert_eq!(
        (&one["send_bytes"], &one["recv_bytes"]),
        (&json!(99), &json!(0))
    );
    let page = proxy.json("/api/v1/sessions?start=10").await;
    assert_eq!(page["sessions"].as_array().unwrap().len(), 2);
    assert_eq!(page["sessions"][0]["role"], "opening");
    let wrong = Ask::new("GET", "/api/v1/sessions?count=x");
    assert_eq!(proxy.failure(wrong).await.0, 400);
}

/// C53: both listeners say who they are, and the public one no more.
#[tokio::test(flavor = "current_thread")]
async fn c53_versions_are_told_on_both_listeners() {
    let proxy = Proxy::with_token();
    for router in [system_router(&proxy.api), api_router(&proxy.api)] {
        let ask = Ask::new("GET", "/api/v1/versions").peer(AWAY);
        let (status, headers, body) = proxy.ask_of(router, ask).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["code"]), (200, &json!(0)));
        assert_eq!(body["signature"], "Weir");
        assert_eq!(body["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(body["data"]["version"], body["version"]);
        assert_eq!(headers["server"], SOFTWARE);
    }
    for path in [
        "/",
        "/api/v1/origins",
        REGISTER,
        "/metrics",
        "/rtc/v1/whip/",
    ] {
        let router = api_router(&proxy.api);
        let (status, _, body) = proxy.ask_of(router, Ask::new("GET", path)).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["code"]), (404, &json!(404)), "{path}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn it_is_ready_when_it_knows_an_origin_and_until_the_drain() {
    let proxy = Proxy::new();
    let ready = || proxy.status(Ask::new("GET", "/readyz").peer(AWAY));
    assert_eq!(ready().await, 503);
    let listener = Listener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), 1).unwrap();
    let mut body = origin("vid-a");
    body["ip"] = json!(HERE);
    body["rtmp"] = json!([listener.address().port().to_string()]);
    proxy.register(&body).await;
    let directory = Arc::clone(&proxy.api.directory);
    let seen = async {
        while ready().await != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = directory.run(proxy.api.shutdown.clone()) => panic!("it runs until the stop"),
        () = seen => {}
    }
    proxy.api.shutdown.drain();
    assert_eq!(ready().await, 503);
    assert_eq!(proxy.status(Ask::new("GET", "/healthz")).await, 200);
}

/// B49: what the page has.
#[tokio::test(flavor = "current_thread")]
async fn b49_metrics_have_the_process_the_proxy_and_its_origins() {
    let proxy = Proxy::new();
    let _session = proxy.session();
    let (status, headers, text) = proxy.ask(Ask::new("GET", "/metrics")).await;
    assert_eq!(status, 200);
    let kind = headers["content-type"].to_str().unwrap();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    for name in [
        "weir_process_cpu_seconds_total ",
        "weir_process_resident_memory_bytes ",
        "weir_core_busy_seconds_total{core=\"0\"} ",
        "weir_proxy_sessions{protocol=\"rtmp\"} 1",
        "weir_proxy_origin_opened_seconds_count ",
        "weir_cluster_state_up ",
    ] {
        let found = text.lines().any(|line| line.starts_with(name));
        assert!(found, "{name} is not in\n{text}");
    }
    // a metric that is declared twice makes the page unreadable for Prometheus
    let declared = || text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut seen = HashSet::new();
    assert!(declared().all(|line| seen.insert(line)), "{text}");
    // and one that nobody explains is no use
    let explained = include_str!("../../../../docs/operations.md");
    for (name, kind) in declared().filter_map(|line| line.split_once(' ')) {
        let is_of_every_role = ["weir_process_", "weir_core_"]
            .iter()
            .any(|start| name.starts_with(start));
        let suffix = if kind == "counter" { "_total" } else { "" };
        let row = format!("| `{name}{suffix}` |");
        assert!(is_of_every_role || explained.contains(&row), "{row}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn it_is_served_on_sockets_with_the_peers_address_and_large_bodies() {
    let proxy = Proxy::new();
    let bind = || Listener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), 1).unwrap();
    let (system, public) = (bind(), bind());
    let (at_system, at_public) = (system.address(), public.address());
    let exchange = async |address: SocketAddr, request: String| {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let test = async {
        let mut body = origin("vid-a");
        body["summaries"] = json!("x".repeat(200 << 10));
        let body = body.to_string();
        let head = "Host: localhost\r\nConnection: close\r\n";
        let length = body.len();
        let post =
            format!("POST {REGISTER} HTTP/1.1\r\n{head}Content-Length: {length}\r\n\r\n{body}");
        let answer = exchange(at_system, post).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\n{head}\r\n");
        let answer = exchange(at_system, get("/api/v1/origins")).await;
        assert!(answer.contains("\"vid-a-svc-7\""), "{answer}");
        let answer = exchange(at_public, get("/api/v1/versions")).await;
        assert!(answer.contains("\"signature\":\"Weir\""), "{answer}");
    };
    tokio::select! {
        () = test => {}
        failed = serve_system(&proxy.api, vec![system]) => match failed.unwrap() {},
        failed = serve_api(&proxy.api, vec![public]) => match failed.unwrap() {},
    }
}
