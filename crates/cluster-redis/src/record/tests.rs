//! Records: those of the SRS proxy, ours, and what is neither.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// As the SRS proxy wrote it.
const CAPTURED: &str = r#"{"ip":"127.0.0.1","device_id":"dev","server_id":"vid-a","service_id":"svc-a","pid":"1","rtmp":["31935"],"http":["38080"],"api":["38080"],"srt":["udp://0.0.0.0:30080"],"rtc":["udp://0.0.0.0:38000"],"update_at":"2026-11-21T04:15:41.830442907Z"}"#;

fn id() -> NodeId {
    NodeId::new("vid-a", "svc-a", "1")
}

fn captured() -> Node {
    let mut endpoints = Endpoints::default();
    for (service, text) in [
        (Service::Rtmp, "31935"),
        (Service::Http, "38080"),
        (Service::Api, "38080"),
        (Service::Srt, "udp://0.0.0.0:30080"),
        (Service::Rtc, "udp://0.0.0.0:38000"),
    ] {
        endpoints.set(service, vec![text.to_owned()]);
    }
    Node {
        id: id(),
        host: "127.0.0.1".to_owned(),
        device: "dev".to_owned(),
        server: "vid-a".to_owned(),
        service: "svc-a".to_owned(),
        pid: "1".to_owned(),
        endpoints,
        report: Report::default(),
        updated: UNIX_EPOCH + Duration::new(1_795_234_541, 830_442_907),
    }
}

#[test]
fn a_record_of_the_srs_proxy_is_read_and_written_byte_for_byte() {
    assert_eq!(read(id(), CAPTURED), Ok(captured()));
    assert_eq!(write(&captured()), CAPTURED);
}

#[test]
fn empty_fields_are_left_out() {
    let mut node = captured();
    node.device.clear();
    node.endpoints = Endpoints::default();
    node.endpoints.set(
        Service::Rtmp,
        vec!["1935".to_owned(), "[::]:1936".to_owned()],
    );
    let text = r#"{"ip":"127.0.0.1","server_id":"vid-a","service_id":"svc-a","pid":"1","rtmp":["1935","[::]:1936"],"update_at":"2026-11-21T04:15:41.830442907Z"}"#;
    assert_eq!(write(&node), text);
    assert_eq!(read(id(), text), Ok(node));
}

#[test]
fn any_order_unknown_fields_nulls_and_escapes_are_read() {
    let text = r#"{"update_at":"never","new":{"a":[1]},"rtc":null,"pid":null,"device_id":"\u003ca\u0026\u2028","ip":"h"}"#;
    let node = read(id(), text).unwrap();
    assert_eq!(
        (node.host.as_str(), node.device.as_str()),
        ("h", "<a&\u{2028}")
    );
    assert_eq!(node.endpoints, Endpoints::default());
    assert_eq!(node.updated, UNIX_EPOCH);
}

#[test]
fn garbage_is_told() {
    for text in [
        "",
        "[]",
        "null",
        "{}",
        r#"{"ip":""}"#,
        r#"{"ip":1}"#,
        r#"{"ip":"a"}x"#,
    ] {
        assert!(read(id(), text).is_err(), "{text}");
    }
    let long = format!(r#"{{"ip":"{}"}}"#, "a".repeat(MAX_VALUE_BYTES));
    assert!(read(id(), &long).is_err());
    assert!(read_report("{").is_err() && read_report(&long).is_err());
}

#[test]
fn reports_come_back_as_they_were() {
    assert_eq!(write_report(&Report::default()), None);
    assert_eq!(read_report("{}"), Ok(Report::default()));
    let busy = Report {
        weight: 50,
        capacity: 10,
        draining: true,
        load: Some(Load {
            cpu: 0.5,
            egress_bps: 8_000_000_000,
            sessions: 3,
        }),
    };
    let text = r#"{"weight":50,"capacity":10,"draining":true,"load":{"cpu":0.5,"egress_bps":8000000000,"sessions":3}}"#;
    assert_eq!(write_report(&busy).as_deref(), Some(text));
    assert_eq!(read_report(text), Ok(busy));
    let mad = Report {
        load: Some(Load {
            cpu: f32::NAN,
            ..Load::default()
        }),
        ..Report::default()
    };
    let written = write_report(&mad).unwrap();
    assert_eq!(read_report(&written).unwrap().load, Some(Load::default()));
}

proptest! {
    #[test]
    fn any_text_is_read_without_harm(text in ".{0,200}") {
        let _ = (read(id(), &text), read_report(&text));
    }

    #[test]
    fn what_is_written_is_read(host in ".{1,20}", device in ".{0,20}", rtmp in proptest::collection::vec(".{0,9}", 0..3)) {
        let mut node = captured();
        (node.host, node.device) = (host, device);
        node.endpoints.set(Service::Rtmp, rtmp);
        prop_assert_eq!(read(id(), &write(&node)), Ok(node));
    }

    #[test]
    fn a_cut_record_is_garbage(at in 0..CAPTURED.len()) {
        prop_assert!(read(id(), &CAPTURED[..at]).is_err());
    }
}
