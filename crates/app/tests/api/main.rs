//! The API of a running origin, asked without sockets, with real RTMP sessions where clients matter.
//!
//! With the variable `WEIR_TEST_BLESS` set, the golden document is written instead of compared.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod support;

use std::path::PathBuf;

use axum::http::StatusCode;
use serde_json::Value;
use support::{Client, Server, TOKEN};

const GET: &str = "GET";

#[test]
fn the_document_is_the_golden_one() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let document = weir_app::api::openapi();
    if std::env::var_os("WEIR_TEST_BLESS").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        document == golden,
        "docs/openapi.json is not what the code says: run this test with WEIR_TEST_BLESS=1 and look at the diff"
    );
}

#[test]
fn every_documented_path_is_served_and_described() {
    let server = Server::start("");
    let document: Value = serde_json::from_str(&weir_app::api::openapi()).unwrap();
    assert_eq!(server.json("/openapi.json"), document);
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            assert!(operation["summary"].is_string(), "{method} {path}");
            assert!(operation["responses"]["200"].is_object(), "{method} {path}");
        }
        let path = path.replace("{id}", "none");
        let status = server.ask(GET, &path, &[]).0;
        let known = match path.as_str() {
            "/api/v1/reload" => status == StatusCode::METHOD_NOT_ALLOWED,
            "/api/v1/raw" => status == StatusCode::BAD_REQUEST,
            path if path.ends_with("/none") => status == StatusCode::NOT_FOUND,
            _ => status == StatusCode::OK,
        };
        assert!(known, "{path}: {status}");
    }
}

#[test]
fn an_empty_server_answers_in_the_shape_of_srs() {
    let server = Server::start("");
    let listing = server.json("/api/v1");
    assert_eq!(listing["code"], 0);
    assert!(listing["urls"]["streams"].is_string());
    let pid = std::process::id().to_string();
    assert_eq!(listing["pid"], pid.as_str());
    assert!(listing["server"].as_str().unwrap().starts_with("vid-"));

    let version = server.json("/api/v1/versions");
    assert_eq!(version["data"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(version["service"], listing["service"]);

    server.api.sample(weir_net::clock::now());
    let data = &server.json("/api/v1/summaries")["data"];
    assert_eq!(data["ok"], true);
    assert!(data["now_ms"].as_u64().unwrap() > 1_700_000_000_000);
    assert!(data["self"]["mem_kbyte"].as_u64().unwrap() > 100);
    for name in [
        "cpu_percent",
        "mem_percent",
        "srs_uptime",
        "pid",
        "ppid",
        "version",
    ] {
        assert!(!data["self"][name].is_null(), "{name}");
    }
    for name in [
        "cpu_percent",
        "mem_ram_kbyte",
        "load_1m",
        "conn_srs",
        "srs_send_bytes",
        "ilde_time",
    ] {
        assert!(data["system"][name].is_number(), "{name}");
    }

    let streams = server.json("/api/v1/streams");
    assert_eq!(
        (&streams["total"], &streams["streams"]),
        (&0.into(), &Value::Array(vec![]))
    );
    let clients = server.json("/api/v1/clients");
    assert_eq!(
        (&clients["total"], &clients["clients"]),
        (&0.into(), &Value::Array(vec![]))
    );
    let vhosts = server.json("/api/v1/vhosts");
    assert_eq!(vhosts["vhosts"][0]["name"], "__defaultVhost__");
    let id = vhosts["vhosts"][0]["id"].as_str().unwrap();
    let vhost = server.json(&format!("/api/v1/vhosts/{id}"));
    assert_eq!(vhost["vhost"], vhosts["vhosts"][0]);
}

#[test]
fn what_is_not_there_is_said_with_a_number_and_a_text() {
    let server = Server::start("");
    let failure = |method, path| {
        let (status, _, body) = server.ask(method, path, &[]);
        let body: Value = serde_json::from_str(&body).unwrap();
        assert!(!body["error"].as_str().unwrap().is_empty());
        (status.as_u16(), body["code"].as_u64().unwrap())
    };
    assert_eq!(failure(GET, "/api/v1/vhosts/vid-0"), (404, 2014));
    assert_eq!(failure(GET, "/api/v1/streams/vid-0"), (404, 2048));
    assert_eq!(failure(GET, "/api/v1/clients/zzz"), (404, 2049));
    assert_eq!(failure(GET, "/api/v1/clients/no-id"), (404, 2049));
    assert_eq!(failure("DELETE", "/api/v1/clients/zzz"), (404, 2049));
    assert_eq!(failure(GET, "/"), (404, 404));
    assert_eq!(failure(GET, "/api/v1/nothing"), (404, 404));
    assert_eq!(failure("POST", "/api/v1/streams"), (405, 405));
    assert_eq!(failure("DELETE", "/api/v1/streams/vid-0"), (405, 405));
    assert_eq!(failure(GET, "/api/v1/streams?start=-1"), (400, 400));
    assert_eq!(failure(GET, "/api/v1/clients?count=ten"), (400, 400));
    assert_eq!(failure(GET, "/api/v1/raw?rpc=query"), (400, 400));
    assert_eq!(failure(GET, "/api/v1/raw?rpc=a&rpc=b"), (400, 400));
    let (_, headers, _) = server.ask("PUT", "/api/v1/clients/zzz", &[]);
    let allow = headers["allow"].to_str().unwrap();
    assert!(allow.contains("GET") && allow.contains("DELETE"), "{allow}");
}

#[test]
fn a_published_stream_and_its_publisher_are_shown() {
    let server = Server::start("");
    let _publisher = Client::publish(server.rtmp(), "live", "camera");
    server.api.sample(weir_net::clock::now());
    let streams = server.json("/api/v1/streams");
    assert_eq!(streams["total"], 1);
    let stream = &streams["streams"][0];
    assert_eq!(
        (&stream["name"], &stream["app"]),
        (&"camera".into(), &"live".into())
    );
    assert_eq!(stream["url"], "/live/camera");
    assert_eq!(stream["publish"]["active"], true);
    assert_eq!(
        (&stream["clients"], &stream["viewers_total"]),
        (&1.into(), &0.into())
    );
    assert_eq!(stream["viewers"], serde_json::json!({}));
    assert_eq!(stream["publisher"]["protocol"], "rtmp");
    assert_eq!(stream["publisher"]["ip"], "127.0.0.1");
    assert_eq!(stream["publisher"]["id"], stream["publish"]["cid"]);
    assert_eq!(stream["tracks"][0]["sample_rate"], 44100);
    assert_eq!(stream["tracks"][0]["channels"], 2);
    assert_eq!(stream["drops"]["viewer_skipped"], 0);
    for name in ["gop_ms", "frame_rate", "lag_ms"] {
        assert_eq!(stream[name], Value::Null, "{name}");
    }
    assert_eq!(stream["frames"], 2);
    assert_eq!(stream["audio"]["codec"], "AAC");
    assert_eq!(stream["audio"]["sample_rate"], 44100);
    assert_eq!(stream["audio"]["channel"], 2);
    assert_eq!(stream["video"], Value::Null);
    assert_eq!(stream["tracks"][0]["media"], "audio");
    assert!(stream["kbps"]["recv_30s"].is_u64() && stream["kbps"]["send_30s"].is_u64());
    for name in [
        "live_ms",
        "uptime_ms",
        "gop_cache_bytes",
        "gop_cache_ms",
        "log_bytes",
        "send_bytes",
    ] {
        assert!(stream[name].is_u64(), "{name}");
    }

    let vhost = &server.json("/api/v1/vhosts")["vhosts"][0];
    assert_eq!(stream["vhost"], vhost["id"]);
    assert_eq!(
        (&vhost["streams"], &vhost["clients"]),
        (&1.into(), &1.into())
    );
    assert_eq!(vhost["recv_bytes"], stream["recv_bytes"]);

    let id = stream["id"].as_str().unwrap();
    let one = server.json(&format!("/api/v1/streams/{id}"));
    assert_eq!(one["stream"]["name"], "camera");

    let cid = stream["publish"]["cid"].as_str().unwrap();
    let client = &server.json(&format!("/api/v1/clients/{cid}"))["client"];
    assert_eq!(client["type"], "fmle-publish");
    assert_eq!(client["publish"], true);
    assert_eq!(client["stream"], stream["id"]);
    assert_eq!(client["ip"], "127.0.0.1");
    assert!(client["recv_bytes"].as_u64().unwrap() > 3000);
    assert!(client["alive"].as_f64().unwrap() >= 0.0);
}

#[test]
fn clients_are_found_and_ordered() {
    let server = Server::start("");
    let _publisher = Client::publish(server.rtmp(), "live", "camera");
    let _viewer = Client::play(server.rtmp(), "live", "camera");
    support::wait_until(|| server.json("/api/v1/clients?search=player")["total"] == 1);
    let roles = |query: &str| -> Vec<String> {
        let answer = server.json(&format!("/api/v1/clients?{query}"));
        let clients = answer["clients"].as_array().unwrap();
        let roles = clients
            .iter()
            .map(|client| client["role"].as_str().unwrap());
        roles.map(str::to_owned).collect()
    };
    assert_eq!(roles("sort=id"), ["publisher", "player"]);
    assert_eq!(roles("order=desc"), ["player", "publisher"]);
    assert_eq!(roles("search=CAMERA&count=1&start=1"), ["player"]);
    assert_eq!(roles("search=publisher"), ["publisher"]);
    assert_eq!(roles("search=nobody"), [""; 0]);
    let (status, _, body) = server.ask("GET", "/api/v1/clients?sort=size", &[]);
    assert_eq!(status, 400, "{body}");
}

#[test]
fn the_console_is_told_about_the_server() {
    let server = Server::start("");
    let about = server.json("/api/v1/console");
    assert_eq!(about["role"], "origin");
    assert!(about["http_port"].is_u64() && about["rtmp_port"].is_u64());
    assert_eq!(about["hls"]["part_ms"], 200);
    assert_eq!(about["hls"]["segment_ms"], 2000);
    let start = weir_net::clock::now();
    for step in 0..3 {
        server
            .api
            .remember(start + std::time::Duration::from_secs(2 * step));
    }
    let history = server.json("/api/v1/history");
    assert_eq!(history["every_ms"], 2000);
    let samples = history["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 2);
    assert!(samples[0]["rss"].as_u64().unwrap() > 0 && samples[0]["cpu_percent"].is_number());
    let settings = server.json("/api/v1/config");
    let values = settings["values"].as_array().unwrap();
    let listen = values
        .iter()
        .find(|value| value["section"] == "rtmp" && value["key"] == "listen");
    let listen = listen.unwrap();
    assert_eq!(
        (&listen["origin"], &listen["source"]),
        (&"flag".into(), &"--rtmp-listen".into())
    );
    let log = server.json("/api/v1/log?level=trace");
    assert!(log["next"].is_u64() && log["lines"].is_array());
    for bad in ["level=loud", "after=x"] {
        let (status, _, _) = server.ask("GET", &format!("/api/v1/log?{bad}"), &[]);
        assert_eq!(status, 400, "{bad}");
    }
}

#[test]
fn the_console_needs_no_token_and_the_api_does() {
    let server = Server::start(TOKEN);
    let ask = |path| server.ask("GET", path, &[("accept", "text/html")]);
    let (status, headers, _) = ask("/");
    assert_eq!(
        (status.as_u16(), &headers["location"]),
        (302, &"/console/".parse().unwrap())
    );
    assert_eq!(ask("/console/").0, 200);
    for path in [
        "/api/v1/console",
        "/api/v1/config",
        "/api/v1/log",
        "/api/v1/history",
    ] {
        assert_eq!(ask(path).0, 401, "{path}");
    }
}

#[test]
fn a_server_without_its_console_shows_a_page_with_the_streams() {
    let page = |token, headers: &[(&str, &str)]| {
        let server = Server::start(token);
        let _publisher = Client::publish(server.rtmp(), "live", "camera");
        let (status, _, page) = server.ask("GET", "/console/", headers);
        assert_eq!(status, 200);
        page
    };
    let is_plain = !weir_console::is_full();
    let bearer = format!("Bearer {TOKEN}");
    for (token, headers, is_listed) in [
        ("", &[][..], true),
        (TOKEN, &[("authorization", bearer.as_str())], true),
        (TOKEN, &[], false),
    ] {
        let page = page(token, headers);
        // the full console asks for itself
        let expected = is_plain && is_listed;
        assert_eq!(
            page.contains("<tr><td>/live/camera<td>"),
            expected,
            "{page}"
        );
    }
}

#[test]
fn a_viewer_and_what_it_was_sent_are_shown() {
    let server = Server::start("");
    let _publisher = Client::publish(server.rtmp(), "live", "camera");
    let mut viewer = Client::play(server.rtmp(), "live", "camera");
    // a session's counters are brought up to date after the bytes have gone out
    let sent = || {
        server.api.sample(weir_net::clock::now());
        let stream = &server.json("/api/v1/streams")["streams"][0];
        stream["send_bytes"].as_u64().unwrap()
    };
    support::wait_until(|| sent() > 0);
    let stream = &server.json("/api/v1/streams")["streams"][0];
    assert_eq!(
        (&stream["clients"], &stream["viewers_total"]),
        (&2.into(), &1.into())
    );
    assert_eq!(stream["viewers"], serde_json::json!({"rtmp": 1}));
    assert!(stream["lag_ms"].is_u64());
    assert!(stream["log_bytes"].as_u64().unwrap() > 0);
    let client = &server.json("/api/v1/clients?start=1")["clients"][0];
    assert_eq!(client["type"], "rtmp-play");
    assert_eq!(
        (&client["role"], &client["publish"]),
        (&"player".into(), &false.into())
    );
    assert!(client["send_bytes"].as_u64() >= stream["send_bytes"].as_u64());
    let path = format!("/api/v1/clients/{}", client["id"].as_str().unwrap());
    assert_eq!(server.ask("DELETE", &path, &[]).0, StatusCode::OK);
    viewer.wait_for_the_end();
}

#[test]
fn lists_are_cut_into_pages_of_ten() {
    let server = Server::start("");
    let _publishers: Vec<_> = (0..12)
        .map(|index| Client::publish(server.rtmp(), "live", &format!("s{index:02}")))
        .collect();
    let names = |query: &str| -> Vec<String> {
        let page = server.json(&format!("/api/v1/streams{query}"));
        assert_eq!(page["total"], 12);
        let streams = page["streams"].as_array().unwrap();
        let names = streams
            .iter()
            .map(|stream| stream["name"].as_str().unwrap().to_owned());
        names.collect()
    };
    assert_eq!(names("").len(), 10);
    assert_eq!(names("?start=10"), ["s10", "s11"]);
    assert_eq!(names("?start=1&count=2"), ["s01", "s02"]);
    assert_eq!(names("?count=100000").len(), 12);
    assert!(names("?count=0").is_empty() && names("?start=99").is_empty());
    let clients = |query: &str| server.json(&format!("/api/v1/clients{query}"));
    let all = clients("?count=12")["clients"].clone();
    let page = clients("?start=11");
    assert_eq!((&page["total"], &page["start"]), (&12.into(), &11.into()));
    assert_eq!(page["clients"][0]["id"], all[11]["id"]);
    assert_eq!(clients("")["clients"].as_array().unwrap().len(), 10);
}

#[test]
fn a_kicked_publisher_is_closed() {
    let server = Server::start("");
    let mut publisher = Client::publish(server.rtmp(), "live", "camera");
    let id = server.json("/api/v1/clients")["clients"][0]["id"].clone();
    let path = format!("/api/v1/clients/{}", id.as_str().unwrap());
    let (status, _, body) = server.ask("DELETE", &path, &[]);
    assert_eq!(status, StatusCode::OK);
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["code"], 0);
    publisher.wait_for_the_end();
}

#[test]
fn the_token_is_asked_for() {
    let server = Server::start(TOKEN);
    let (status, headers, body) = server.ask(GET, "/api/v1/streams", &[]);
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(
        headers["www-authenticate"]
            .to_str()
            .unwrap()
            .starts_with("Bearer")
    );
    assert!(!body.contains(TOKEN));
    let with = |path, token| {
        let token = format!("Bearer {token}");
        server.ask(GET, path, &[("authorization", &token)]).0
    };
    assert_eq!(with("/api/v1/streams", TOKEN), StatusCode::OK);
    assert_eq!(with("/metrics", TOKEN), StatusCode::OK);
    assert_eq!(with("/openapi.json", TOKEN), StatusCode::OK);
    assert_eq!(with("/api/v1/streams", "another"), StatusCode::UNAUTHORIZED);
    // what there is and what not is not told either
    for path in ["/metrics", "/openapi.json", "/nothing", "/api/v1/reload"] {
        assert_eq!(
            server.ask(GET, path, &[]).0,
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
    }
    assert_eq!(
        server.ask("DELETE", "/api/v1/clients/1", &[]).0,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(server.ask(GET, "/healthz", &[]).0, StatusCode::OK);
    assert_eq!(server.ask(GET, "/readyz", &[]).0, StatusCode::OK);
}

#[test]
fn without_a_token_pages_of_other_sites_are_kept_out() {
    let server = Server::start("");
    let with = |name, value| server.ask(GET, "/api/v1/streams", &[(name, value)]).0;
    assert_eq!(with("host", "localhost:1985"), StatusCode::OK);
    assert_eq!(with("host", "rebound.example"), StatusCode::FORBIDDEN);
    assert_eq!(
        with("origin", "https://evil.example"),
        StatusCode::FORBIDDEN
    );
}

#[test]
fn a_reload_says_what_changed_and_what_is_wrong() {
    let server = Server::start("");
    let reload = |method: &str, path: &str| {
        let (status, _, body) = server.ask(method, path, &[]);
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    let (status, body) = reload("POST", "/api/v1/reload");
    assert_eq!(
        (status, &body["changes"]),
        (StatusCode::OK, &Value::Array(vec![]))
    );

    server.configure(
        "[stream]\ngrace = \"31s\"\n[server]\nworkers = 3\n[api]\ntoken = \"changed\"\n",
    );
    let (status, body) = reload("GET", "/api/v1/raw?rpc=reload");
    assert_eq!(status, StatusCode::OK);
    let changes = body["changes"].as_array().unwrap();
    let change = |key: &str| changes.iter().find(|change| change["key"] == key).unwrap();
    assert_eq!(change("stream.grace")["new"], "\"31s\"");
    assert_eq!(change("stream.grace")["live"], true);
    assert_eq!(change("server.workers")["live"], false);
    assert_eq!(change("api.token")["new"], "\"***\"");

    // the new token is in force
    let (status, _) = reload("POST", "/api/v1/reload");
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    server.configure("[stream]\ngrace = \"never\"\n[rtmp]\nnonsense = 1\n");
    let (status, _, body) = server.ask(
        "POST",
        "/api/v1/reload",
        &[("authorization", "Bearer changed")],
    );
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        body.contains("stream.grace") && body.contains("nonsense"),
        "{body}"
    );
}

#[test]
fn readiness_ends_with_the_drain_and_health_does_not() {
    let server = Server::start("");
    assert_eq!(server.ask(GET, "/readyz", &[]).0, StatusCode::OK);
    server.shutdown.drain();
    assert_eq!(
        server.ask(GET, "/readyz", &[]).0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(server.ask(GET, "/healthz", &[]).0, StatusCode::OK);
    assert_eq!(
        server.json("/api/v1/summaries")["data"]["hub"]["draining"],
        true
    );
}

#[test]
fn metrics_have_their_names_and_labels() {
    let server = Server::start("");
    let _publisher = Client::publish(server.rtmp(), "live", "camera");
    let (status, headers, text) = server.ask(GET, "/metrics", &[]);
    assert_eq!(status, StatusCode::OK);
    let kind = headers["content-type"].to_str().unwrap();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    assert!(text.ends_with("# EOF\n"));
    for line in [
        "weir_hub_live_streams 1",
        "weir_hub_publishers 1",
        "weir_hub_frames_received_total 2",
        "weir_hub_streams 1",
        "weir_hub_sessions{protocol=\"rtmp\",role=\"publisher\"} 1",
        "weir_gate_sessions{protocol=\"rtmp\"} 1",
    ] {
        assert!(
            text.lines().any(|known| known == line),
            "{line} is not in\n{text}"
        );
    }
    for name in [
        "weir_process_cpu_seconds_total ",
        "weir_process_resident_memory_bytes ",
        "weir_process_uptime_seconds ",
        "weir_core_busy_seconds_total{core=\"0\"} ",
        "weir_core_parked_seconds_total{core=\"0\"} ",
        "weir_hub_gop_cache_bytes ",
        "weir_hub_log_bytes ",
        "weir_hub_media_received_bytes_total ",
        "weir_fanout_viewers ",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(name)),
            "{name} is not in\n{text}"
        );
    }
    // a metric that is declared twice makes the page unreadable for Prometheus
    let mut declared: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("# TYPE"))
        .collect();
    let count = declared.len();
    declared.sort_unstable();
    declared.dedup();
    assert_eq!(declared.len(), count);
}

#[test]
fn it_is_served_on_a_socket() {
    let server = Server::start("");
    let answer =
        server.over_tcp("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("ok\n"),
        "{answer}"
    );
    let endless = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: {}",
        "x".repeat(64 << 10)
    );
    let answer = server.over_tcp(&endless);
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
}
