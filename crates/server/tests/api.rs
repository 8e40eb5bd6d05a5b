//! The admin API while real clients publish and play.

use weir_testkit::{Media, Process, Tool, Viewer, Weir, publish};

fn started() -> (Weir, Process, Viewer) {
    let weir = Weir::start(env!("CARGO_BIN_EXE_weir"), &["--stream-grace", "0s"]);
    let options = ["-re", "-stream_loop", "-1"];
    let url = weir.rtmp("show");
    let publisher = publish::ffmpeg_with(Tool::Ffmpeg, Media::H264Aac, &options, &url);
    weir.publishing("show");
    let viewer = Viewer::rtmpdump(&url);
    viewer.reached(0);
    (weir, publisher, viewer)
}

#[test]
fn streams_and_clients_are_shown() {
    let (weir, _publisher, _viewer) = started();
    let shown = weir.api_shows("/api/v1/streams", |answer| {
        let stream = &answer["streams"][0];
        stream["viewers"]["rtmp"] == 1 && stream["video"]["width"] == 320
    });
    let stream = &shown["streams"][0];
    assert_eq!(stream["name"], "show");
    assert_eq!(stream["app"], "live");
    assert_eq!(stream["publish"]["active"], true);
    assert_eq!(stream["video"]["codec"], "H264");
    assert_eq!(stream["video"]["profile"], "High");
    assert_eq!(stream["video"]["height"], 180);
    assert_eq!(stream["audio"]["codec"], "AAC");
    assert_eq!(stream["audio"]["sample_rate"], 44_100);
    let id = stream["id"].as_str().unwrap();
    let one = weir.api("GET", &format!("/api/v1/streams/{id}")).json();
    assert_eq!(one["stream"]["name"], "show");

    let clients = weir.api_shows("/api/v1/clients", |answer| answer["total"] == 2);
    let role = |role: &str| {
        let clients = clients["clients"].as_array().unwrap();
        clients.iter().any(|client| client["role"] == role)
    };
    assert!(role("publisher") && role("player"), "{clients}");
}

#[test]
fn a_kick_ends_the_session_and_nobody_elses() {
    let (weir, publisher, viewer) = started();
    let clients = weir.api_shows("/api/v1/clients", |answer| answer["total"] == 2);
    let id = |role: &str| {
        let clients = clients["clients"].as_array().unwrap();
        let found = clients.iter().find(|client| client["role"] == role);
        found.unwrap()["id"].as_str().unwrap().to_owned()
    };
    let kick = |id: &str| weir.api("DELETE", &format!("/api/v1/clients/{id}"));
    assert_eq!(kick(&id("player")).head.status, 200);
    viewer.process().wait();
    assert!(!publisher.has_ended());
    assert_eq!(kick(&id("publisher")).head.status, 200);
    assert!(!publisher.wait().success());
    weir.api_shows("/api/v1/clients", |answer| answer["total"] == 0);
    assert_eq!(kick("nobody").head.status, 404);
}

#[test]
fn metrics_count() {
    let (weir, _publisher, viewer) = started();
    viewer.reached(1_000);
    let answer = weir.api("GET", "/metrics");
    assert_eq!(answer.head.status, 200);
    let text = answer.text();
    let value = |name: &str| -> f64 {
        let lines = text.lines().filter(|line| line.starts_with(name));
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum()
    };
    assert_eq!(value("weir_hub_publishers"), 1.0, "{text}");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("weir_"), "{line}");
    }
    let total = text.lines().filter(|line| line.contains("bytes_total"));
    assert!(total.count() > 0, "{text}");
}

#[test]
fn the_document_of_the_api_is_served() {
    let weir = Weir::start(env!("CARGO_BIN_EXE_weir"), &[]);
    let document = weir.api("GET", "/openapi.json").json();
    let paths = document["paths"].as_object().unwrap();
    for (path, _) in paths.iter().filter(|(path, _)| !path.contains('{')) {
        if path.ends_with("reload") || path.ends_with("raw") {
            continue;
        }
        assert_eq!(weir.api("GET", path).head.status, 200, "{path}");
    }
    assert_eq!(weir.api("GET", "/api/v9").head.status, 404);
}
