//! Registrations as SRS and people send them, and as nobody should.

use std::net::{IpAddr, Ipv4Addr};
use std::time::UNIX_EPOCH;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// What SRS 6 sends with `ports on`.
fn srs() -> Value {
    json!({
        "device_id": "origin1", "ip": "192.0.2.7", "server": "vid-a", "service": "svc-a", "pid": "4711",
        "rtmp": ["19351"], "http": ["8081"], "api": ["19851"],
        "srt": ["udp://0.0.0.0:10081"], "rtc": ["udp://0.0.0.0:8001", "tcp://0.0.0.0:8001"],
    })
}

fn with(key: &str, value: Value) -> Value {
    let mut body = srs();
    body[key] = value;
    body
}

fn register(body: &Value) -> Result<Node, RegisterError> {
    parse(
        body.to_string().as_bytes(),
        PEER,
        UNIX_EPOCH,
        &Policy::default(),
    )
}

fn refused(body: &Value) -> String {
    register(body).expect_err("refused").to_string()
}

#[test]
fn c15_what_srs_sends_is_a_node() {
    let node = register(&srs()).expect("a node");
    assert_eq!(node.id.as_str(), "vid-a-svc-a-4711");
    assert_eq!(
        (node.host.as_str(), node.device.as_str()),
        ("192.0.2.7", "origin1")
    );
    assert_eq!(node.updated, UNIX_EPOCH);
    assert_eq!(node.report, Report::default());
    let rtc = node.endpoints.get(Service::Rtc);
    assert_eq!(rtc, ["udp://0.0.0.0:8001", "tcp://0.0.0.0:8001"]);
    let ports: Vec<_> = Service::ALL
        .iter()
        .map(|service| node.endpoints.port(*service).expect("checked").unwrap_or(0))
        .collect();
    assert_eq!(ports, [19351, 8081, 19851, 10081, 8001]);
}

#[test]
fn c16_a_missing_field_is_named_in_the_order_of_the_checks() {
    let empty = Value::Object(serde_json::Map::new());
    assert_eq!(refused(&empty), "empty ip");
    assert_eq!(refused(&Value::Null), "empty ip");
    let nothing = parse(b"", PEER, UNIX_EPOCH, &Policy::default());
    assert_eq!(nothing, Err(RegisterError::Empty("ip")));
    for field in ["ip", "server", "service", "pid"] {
        let expected = format!("empty {field}");
        assert_eq!(refused(&with(field, json!(""))), expected);
        assert_eq!(refused(&with(field, Value::Null)), expected);
    }
    assert_eq!(refused(&with("rtmp", json!([]))), "empty rtmp");
    assert_eq!(refused(&with("rtmp", Value::Null)), "empty rtmp");
    let mut body = srs();
    body["pid"] = json!("");
    body["server"] = json!("");
    assert_eq!(refused(&body), "empty server");
}

#[test]
fn keys_match_whatever_their_case_and_the_last_one_counts() {
    let body =
        br#"{"IP":"192.0.2.7","Server":"a","SERVICE":"b","pid":"1","Pid":"2","Rtmp":["1935"]}"#;
    let node = parse(body, PEER, UNIX_EPOCH, &Policy::default()).expect("a node");
    assert_eq!(node.id.as_str(), "a-b-2");
}

#[test]
fn a_process_id_may_be_a_number() {
    let node = register(&with("pid", json!(4711))).expect("a node");
    assert_eq!(node.pid, "4711");
    let said = refused(&with("pid", json!(1.5)));
    assert!(said.contains("pid: invalid type"), "{said}");
}

#[test]
fn c17_unknown_keys_are_ignored_whatever_they_hold() {
    for odd in [
        json!({"data": {"ok": true}}),
        json!([1, "x"]),
        json!("x"),
        Value::Null,
    ] {
        for key in ["summaries", "anything"] {
            let node = register(&with(key, odd.clone())).expect("a node");
            assert_eq!(node.report, Report::default());
        }
    }
}

#[test]
fn summaries_of_srs_are_its_load() {
    let summaries = |ok: bool| {
        json!({"data": {
            "ok": ok, "now_ms": 1,
            "self": {"version": "6.0.1", "pid": 1, "cpu_percent": 0.25, "srs_uptime": 9},
            "system": {"cpu_percent": 0.125, "conn_sys": 7, "conn_srs": 5, "srs_send_bytes": 9},
        }})
    };
    let node = register(&with("summaries", summaries(true))).expect("a node");
    let load = Load {
        cpu: 0.25,
        egress_bps: 0,
        sessions: 5,
    };
    assert_eq!(node.report.load, Some(load));
    let node = register(&with("summaries", summaries(false))).expect("a node");
    assert_eq!(node.report.load, None);
}

#[test]
fn the_extension_says_weight_capacity_and_load() {
    let weir = json!({"weight": 50, "capacity": 2000, "draining": true, "cpu": 1.5, "egress_bps": 7,
        "sessions": 3, "later": [1]});
    let report = register(&with("weir", weir)).expect("a node").report;
    let load = Load {
        cpu: 1.0,
        egress_bps: 7,
        sessions: 3,
    };
    let expected = Report {
        weight: 50,
        capacity: 2000,
        draining: true,
        load: Some(load),
    };
    assert_eq!(report, expected);
    let node = register(&with("weir", json!({"draining": null}))).expect("a node");
    assert_eq!(node.report, Report::default());
    let said = refused(&with("weir", json!({"weight": -1})));
    assert!(said.contains("weir: invalid value"), "{said}");
    let said = refused(&with("weir", json!({"weight": 100_001})));
    assert!(said.starts_with("bad weir.weight: "), "{said}");
}

#[test]
fn b10_a_wrong_endpoint_is_refused_with_a_reason() {
    for service in Service::ALL {
        let field = service.name();
        for wrong in ["0", "65536", "x", "", "udp://", "1935 1936"] {
            let said = refused(&with(field, json!(["1935", wrong])));
            let expected = format!("bad {field}: `{wrong}` is no endpoint: ");
            assert!(said.starts_with(&expected), "{said}");
        }
        let said = refused(&with(field, json!(vec!["1935"; 17])));
        assert_eq!(said, format!("bad {field}: it has more than 16 entries"));
        let said = refused(&with(field, json!([1935])));
        assert!(said.contains(&format!("{field}: invalid type")), "{said}");
    }
}

#[test]
fn c72_every_form_of_a_media_port_is_taken() {
    for form in [
        "8000",
        "udp://8000",
        "udp:0.0.0.0:8000",
        "udp://0.0.0.0:8000",
        "udp://[::]:8000",
    ] {
        let node = register(&with("rtc", json!([form, "9000"]))).expect(form);
        assert_eq!(node.endpoints.port(Service::Rtc), Ok(Some(8000)), "{form}");
    }
}

#[test]
fn hosts_are_addresses_or_names() {
    for (given, kept) in [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:DB8::7]", "2001:db8::7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("localhost", "localhost"),
        ("origin-1.media_net.example.", "origin-1.media_net.example."),
        ("1.example", "1.example"),
    ] {
        let node = register(&with("ip", json!(given))).expect(given);
        assert_eq!(node.host, kept);
    }
    let long = "x".repeat(64);
    let longer = "x.".repeat(127) + "yz";
    for bad in [
        "0.0.0.0",
        "::",
        "255.255.255.255",
        "224.0.0.1",
        "ff02::1",
        "127.1",
        "2130706433",
        "0x7f.0x1",
        "fe80::1%eth0",
        "a b",
        "a/b",
        "user@host",
        "host:80",
        "http://host",
        "-\r\n",
        "a..b",
        ".",
        "[host]",
        &long,
        &longer,
    ] {
        let said = refused(&with("ip", json!(bad)));
        assert!(said.starts_with("bad ip: "), "{bad}: {said}");
    }
}

#[test]
fn a_policy_says_who_may_register_what() {
    let policy = Policy {
        allow: vec!["192.0.2.0/24".parse().expect("a network")],
        force_peer_address: false,
    };
    let try_it = |peer: &str, ip: &str| {
        let body = with("ip", json!(ip)).to_string();
        let peer = peer.parse().expect("an address");
        parse(body.as_bytes(), peer, UNIX_EPOCH, &policy)
    };
    assert!(try_it("192.0.2.1", "192.0.2.7").is_ok());
    assert!(try_it("::ffff:192.0.2.1", "192.0.2.7").is_ok());
    let peer = try_it("198.51.100.1", "192.0.2.7").expect_err("not a peer");
    assert!(peer.is_forbidden());
    assert_eq!(peer.to_string(), "peer 198.51.100.1 may not register here");
    for ip in ["169.254.169.254", "metadata.example"] {
        let error = try_it("192.0.2.1", ip).expect_err("not an address");
        assert!(error.is_forbidden());
        assert!(error.to_string().starts_with("bad ip: "), "{error}");
    }
}

#[test]
fn the_address_of_the_connection_can_be_forced() {
    let policy = Policy {
        allow: vec![],
        force_peer_address: true,
    };
    let body = with("ip", json!("169.254.169.254")).to_string();
    let node = parse(body.as_bytes(), PEER, UNIX_EPOCH, &policy).expect("a node");
    assert_eq!(node.host, PEER.to_string());
    let body = with("ip", json!("")).to_string();
    let error = parse(body.as_bytes(), PEER, UNIX_EPOCH, &policy);
    assert_eq!(error, Err(RegisterError::Empty("ip")));
}

#[test]
fn a_goodbye_needs_the_identity_alone() {
    let body = br#"{"action":"leave","server":"a","service":"b","pid":1}"#;
    let leave = Registration::read(body).expect("read");
    assert!(leave.is_leave());
    assert_eq!(leave.id(), Ok(NodeId::new("a", "b", "1")));
    let some = |text: &str| Some(text.to_owned());
    let named = Registration::of_identity(some("a"), some("b"), some("1"));
    assert_eq!(named.id(), leave.id());
    let named = Registration::of_identity(some("a"), None, some("1"));
    assert_eq!(named.id(), Err(RegisterError::Empty("service")));
    assert!(!Registration::default().is_leave());
}

#[test]
fn texts_and_bodies_are_bounded() {
    let long = "x".repeat(MAX_ID_BYTES + 1);
    for field in ["server", "service", "pid"] {
        let said = refused(&with(field, json!(long)));
        assert_eq!(said, format!("bad {field}: it is too long"));
        let said = refused(&with(field, json!("a\nb")));
        assert_eq!(said, format!("bad {field}: it has a control character"));
    }
    assert!(register(&with("server", json!("x".repeat(MAX_ID_BYTES)))).is_ok());
    let said = refused(&with("device_id", json!("x".repeat(257))));
    assert_eq!(said, "bad device_id: it is too long");
    let padded = |size: usize| {
        let body = srs().to_string();
        body.clone() + &" ".repeat(size - body.len())
    };
    let read = |body: String| parse(body.as_bytes(), PEER, UNIX_EPOCH, &Policy::default());
    assert!(read(padded(MAX_BODY_BYTES)).is_ok());
    let error = read(padded(MAX_BODY_BYTES + 1));
    assert_eq!(error, Err(RegisterError::TooLarge));
}

#[test]
fn what_is_no_object_is_refused_in_a_few_words() {
    let deep = "[".repeat(MAX_BODY_BYTES);
    for body in [
        " ",
        "{",
        "[]",
        "\"x\"",
        "1",
        "{} {}",
        "{\"ip\":1}",
        "\u{0}",
        &deep,
    ] {
        let error = parse(body.as_bytes(), PEER, UNIX_EPOCH, &Policy::default());
        let said = error.expect_err("refused").to_string();
        assert!(said.starts_with("body is no registration: "), "{said}");
        assert!(said.len() < 300, "{said}");
    }
    let said = refused(&with("ip", json!(7)));
    assert!(said.contains("ip: invalid type: integer `7`"), "{said}");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".{0,8}", inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn usable(node: &Node) {
    assert!(!node.host.is_empty() && node.host.len() <= 254);
    assert!(matches!(node.endpoints.port(Service::Rtmp), Ok(Some(_))));
    for service in Service::ALL {
        assert!(node.endpoints.port(service).is_ok());
    }
    if let Some(load) = node.report.load {
        assert!((0.0..=1.0).contains(&load.cpu));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(node) = parse(&bytes, PEER, UNIX_EPOCH, &Policy::default()) {
            usable(&node);
        }
    }

    #[test]
    fn a_registration_with_a_changed_field_is_usable_or_refused(
        field in prop::sample::select(vec![
            "ip", "server", "service", "pid", "rtmp", "http", "api", "srt", "rtc", "device_id", "weir",
            "summaries", "action",
        ]),
        value in any_json(),
    ) {
        if let Ok(node) = register(&with(field, value)) {
            usable(&node);
        }
    }

    #[test]
    fn a_registration_with_a_changed_byte_is_usable_or_refused(at: prop::sample::Index, byte: u8) {
        let mut body = srs().to_string().into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        if let Ok(node) = parse(&body, PEER, UNIX_EPOCH, &Policy::default()) {
            usable(&node);
        }
    }
}
