//! What is kept, byte for byte, and what is made of what others kept.
//!
//! Owns: the SRS proxy's keys, values and lifetimes, and tolerance of garbage. Does not: let servers fail.

use std::sync::Arc;
use std::time::Duration;

use weir_cluster::{ClusterState, Found, Load, StateError};
use weir_testkit::redis::Server;

use crate::states::{at, block_on, captured, id, ids, key, node, options, state};

const RECORD: &str = r#"{"ip":"127.0.0.1","device_id":"dev","server_id":"vid-a","service_id":"svc-a","pid":"1","rtmp":["31935"],"http":["38080"],"api":["38080"],"srt":["udp://0.0.0.0:30080"],"rtc":["udp://0.0.0.0:38000"],"update_at":"2026-11-21T04:15:41.830442907Z"}"#;
const LIST: &str = "srs-proxy-all-servers";

fn register(state: &impl ClusterState, server: &str) {
    block_on(state.register(&node(server))).expect("registered");
}

/// The seconds that a key lives on; -1 is for ever.
fn ttl(server: &Server, key: &str) -> i64 {
    server.cli(&["ttl", key]).parse().expect("a number")
}

#[test]
fn a_node_is_kept_as_the_srs_proxy_keeps_it() {
    let server = Server::start();
    let state = state(&server.url());
    block_on(state.register(&captured())).unwrap();
    assert_eq!(
        server.cli(&["get", "srs-proxy-server:vid-a-svc-a-1"]),
        RECORD
    );
    assert!((295..=300).contains(&ttl(&server, "srs-proxy-server:vid-a-svc-a-1")));
    assert_eq!(
        server.cli(&["get", LIST]),
        r#"["srs-proxy-server:vid-a-svc-a-1"]"#
    );
    assert_eq!(ttl(&server, LIST), -1);
    register(&state, "a/b");
    register(&state, "a/b");
    let list = r#"["srs-proxy-server:vid-a-svc-a-1","srs-proxy-server:a/b-svc-1"]"#;
    assert_eq!(server.cli(&["get", LIST]), list);
    // a node that says nothing of itself has nothing that the SRS proxy has not
    assert_eq!(server.cli(&["dbsize"]), "3");
}

#[test]
fn a_lease_is_the_life_of_a_record_in_redis() {
    let server = Server::start();
    let mut options = options(&server.url());
    options.lease = Duration::from_secs(30);
    let state = crate::states::connect(options);
    register(&state, "a");
    assert!((25..=30).contains(&ttl(&server, "srs-proxy-server:a-svc-1")));
    let mut busy = node("b");
    busy.report.load = Some(Load::default());
    block_on(state.register(&busy)).unwrap();
    block_on(state.drain(&busy.id, true)).unwrap();
    for key in ["weir-node:b-svc-1", "weir-drain:b-svc-1"] {
        assert!((25..=30).contains(&ttl(&server, key)), "{key}");
    }
    block_on(state.leave(&busy.id)).unwrap();
    assert_eq!(server.cli(&["keys", "*b-svc-1"]), "");
    assert_eq!(
        server.cli(&["get", LIST]),
        r#"["srs-proxy-server:a-svc-1"]"#
    );
    block_on(state.leave(&id("a"))).unwrap();
    assert_eq!(server.cli(&["get", LIST]), "[]");
}

#[test]
fn a_claim_is_the_key_of_a_record_without_end_while_it_is_held() {
    let server = Server::start();
    let state = state(&server.url());
    let (stream, url) = (key("v.com/live/s"), "srs-proxy-url:v.com/live/s");
    block_on(state.claim(&stream, &id("a"), None)).unwrap();
    assert_eq!(server.cli(&["get", url]), "srs-proxy-server:a-svc-1");
    assert_eq!(ttl(&server, url), -1);
    block_on(state.release(&stream, &id("a"), Duration::from_secs(60))).unwrap();
    assert!((55..=60).contains(&ttl(&server, url)));
    block_on(state.claim(&stream, &id("a"), None)).unwrap();
    assert_eq!(ttl(&server, url), -1, "whoever claims it holds it");
    block_on(state.release(&stream, &id("a"), Duration::ZERO)).unwrap();
    assert_eq!(server.cli(&["exists", url]), "0");
}

#[test]
fn routes_are_under_the_keys_of_the_srs_proxy() {
    let server = Server::start();
    let state = state(&server.url());
    let routes = [
        (
            "hls:v.com/live/s",
            r#"{"spbhid":"1","stream_url":"v.com/live/s","full_url":"http://v.com/live/s.m3u8"}"#,
        ),
        ("spbhid:1", "x"),
        (
            "rtc:v.com/live/s",
            r#"{"stream_url":"v.com/live/s","ufrag":"a:b"}"#,
        ),
        ("ufrag:a:b", "y"),
    ];
    let values = routes.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let two_minutes = Duration::from_secs(120);
    block_on(state.put_routes(&values, two_minutes)).unwrap();
    for (key, value) in routes {
        let key = format!("srs-proxy-{key}");
        assert_eq!(server.cli(&["get", &key]), value);
        assert!((115..=120).contains(&ttl(&server, &key)));
    }
    // as the SRS proxy puts them
    server.cli(&["set", "srs-proxy-spbhid:2", "z", "ex", "120"]);
    assert_eq!(
        block_on(state.route("spbhid:2")).unwrap().as_deref(),
        Some("z")
    );
    let long = [("a".to_owned(), "x".repeat(64 * 1024 + 1))];
    let refused = block_on(state.put_routes(&long, two_minutes));
    assert!(matches!(refused, Err(StateError::Full(_))), "{refused:?}");
}

#[test]
fn a_prefix_is_before_every_key_and_every_entry() {
    let server = Server::start();
    let mut options = options(&server.url());
    options.prefix = "x".to_owned();
    let state = crate::states::connect(options);
    let mut busy = node("a");
    busy.report.capacity = 5;
    block_on(state.register(&busy)).unwrap();
    block_on(state.drain(&busy.id, true)).unwrap();
    block_on(state.claim(&key("v/l/s"), &busy.id, None)).unwrap();
    block_on(state.expect(&key("v/l/s"), &busy.id, Duration::from_secs(60))).unwrap();
    block_on(state.put_routes(
        &[("hls:v/l/s".to_owned(), String::new())],
        Duration::from_secs(9),
    ))
    .unwrap();
    let keys = server.cli(&["keys", "*"]);
    let mut keys: Vec<&str> = keys.lines().collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "x:srs-proxy-all-servers",
            "x:srs-proxy-hls:v/l/s",
            "x:srs-proxy-server:a-svc-1",
            "x:srs-proxy-url:v/l/s",
            "x:weir-drain:a-svc-1",
            "x:weir-expect:v/l/s",
            "x:weir-node:a-svc-1",
        ]
    );
    let entry = "x:srs-proxy-server:a-svc-1";
    assert_eq!(
        server.cli(&["get", "x:srs-proxy-all-servers"]),
        format!("[\"{entry}\"]")
    );
    assert_eq!(server.cli(&["get", "x:srs-proxy-url:v/l/s"]), entry);
    // another cluster on the same Redis sees nothing
    assert_eq!(ids(&crate::states::state(&server.url())), [""; 0]);
}

#[test]
fn what_the_srs_proxy_keeps_is_understood() {
    let server = Server::start();
    server.cli(&["set", "srs-proxy-server:vid-a-svc-a-1", RECORD, "ex", "300"]);
    server.cli(&[
        "set",
        LIST,
        r#"["srs-proxy-server:gone-1-1","srs-proxy-server:vid-a-svc-a-1"]"#,
    ]);
    server.cli(&[
        "set",
        "srs-proxy-url:v/l/s",
        "srs-proxy-server:vid-a-svc-a-1",
    ]);
    server.cli(&["set", "srs-proxy-url:v/l/t", "srs-proxy-server:gone-1-1"]);
    let state = state(&server.url());
    assert_eq!(block_on(state.nodes()).unwrap(), [captured()]);
    assert_eq!(at(&state, "v/l/s"), Some(captured().id));
    assert_eq!(at(&state, "v/l/none"), None);
    // a claim whose node is gone is found as it is, for whoever replaces it
    let gone = block_on(state.find(&key("v/l/t"))).unwrap().claim.unwrap();
    let new = block_on(state.claim(&key("v/l/t"), &captured().id, Some(&gone))).unwrap();
    assert_eq!(new.node, captured().id);
    assert_eq!(
        server.cli(&["get", "srs-proxy-url:v/l/t"]),
        "srs-proxy-server:vid-a-svc-a-1"
    );
    let mut claims = block_on(state.claims(10)).unwrap();
    claims.sort();
    assert_eq!(
        claims,
        [(key("v/l/s"), captured().id), (key("v/l/t"), captured().id)]
    );
}

#[test]
fn an_entry_without_record_is_passed_over_and_goes_with_the_next_registration() {
    let server = Server::start();
    let state = state(&server.url());
    register(&state, "a");
    register(&state, "b");
    server.cli(&["del", "srs-proxy-server:a-svc-1"]);
    assert_eq!(ids(&state), ["b-svc-1"]);
    register(&state, "b");
    assert_eq!(
        server.cli(&["get", LIST]),
        r#"["srs-proxy-server:b-svc-1"]"#
    );
    register(&state, "a");
    assert_eq!(ids(&state), ["b-svc-1", "a-svc-1"]);
}

#[test]
fn records_that_are_garbage_are_passed_over() {
    let server = Server::start();
    let state = state(&server.url());
    for name in ["a", "b", "c", "d"] {
        register(&state, name);
    }
    server.cli(&["set", "srs-proxy-server:a-svc-1", "{"]);
    server.cli(&["del", "srs-proxy-server:b-svc-1"]);
    server.cli(&["lpush", "srs-proxy-server:b-svc-1", "x"]);
    server.cli(&["set", "weir-node:c-svc-1", "garbage"]);
    let odd = r#"{"zone":[{}],"update_at":"x","ip":"h"}"#;
    server.cli(&["set", "srs-proxy-server:d-svc-1", odd]);
    assert_eq!(ids(&state), ["c-svc-1", "d-svc-1"]);
    // they are there, so they stay listed, and the next beat mends them
    register(&state, "c");
    register(&state, "a");
    assert_eq!(ids(&state), ["a-svc-1", "c-svc-1", "d-svc-1"]);
}

#[test]
fn a_list_that_is_garbage_is_told_and_the_next_registration_mends_it() {
    let server = Server::start();
    let state = state(&server.url());
    for name in ["a", "b", "c"] {
        register(&state, name);
    }
    for garbage in ["", "{}", "null", "[\"srs-proxy-server:a-svc-1\"", "42"] {
        server.cli(&["set", LIST, garbage]);
        let told = block_on(state.nodes());
        assert!(
            matches!(&told, Err(StateError::Garbage { key, .. }) if key == LIST),
            "{told:?}"
        );
        register(&state, "b");
        assert_eq!(ids(&state), ["b-svc-1", "a-svc-1", "c-svc-1"], "{garbage}");
    }
    server.cli(&["del", LIST]);
    server.cli(&["sadd", LIST, "x"]);
    register(&state, "c");
    assert_eq!(ids(&state), ["c-svc-1", "a-svc-1", "b-svc-1"]);
    server.cli(&[
        "set",
        LIST,
        r#"[1,"srs-proxy-server:a-svc-1",null,"srs-proxy-server:a-svc-1"]"#,
    ]);
    register(&state, "b");
    let list = r#"["srs-proxy-server:a-svc-1","srs-proxy-server:b-svc-1"]"#;
    assert_eq!(server.cli(&["get", LIST]), list);
}

#[test]
fn a_claim_that_is_garbage_is_no_claim() {
    let server = Server::start();
    let state = state(&server.url());
    server.cli(&["set", "srs-proxy-url:v/l/s", "{}"]);
    assert_eq!(at(&state, "v/l/s"), None);
    let claim = block_on(state.claim(&key("v/l/s"), &id("a"), None)).unwrap();
    assert_eq!((claim.node, at(&state, "v/l/s")), (id("a"), Some(id("a"))));
    // nor is one of another type, or one that is too long
    let long = format!("srs-proxy-server:{}", "x".repeat(5000));
    server.cli(&["set", "srs-proxy-url:v/l/long", &long]);
    for key in [
        "srs-proxy-url:v/l/t",
        "srs-proxy-url:v/l/h",
        "weir-expect:v/l/t",
    ] {
        server.cli(&["lpush", key, "x"]);
    }
    for stream in ["v/l/t", "v/l/long"] {
        let found = block_on(state.find(&key(stream))).unwrap();
        assert_eq!(found, Found::default());
        let claim = block_on(state.claim(&key(stream), &id("a"), None)).unwrap();
        assert_eq!(claim.node, id("a"));
    }
    block_on(state.hold(&[(key("v/l/h"), id("a"))])).unwrap();
    assert_eq!(at(&state, "v/l/h"), Some(id("a")));
    let minute = Duration::from_secs(60);
    assert_eq!(
        block_on(state.expect(&key("v/l/t"), &id("b"), minute)),
        Ok(id("b"))
    );
    server.cli(&["lpush", "srs-proxy-hls:v/l/t", "x"]);
    let told = block_on(state.route("hls:v/l/t"));
    assert!(matches!(told, Err(StateError::Garbage { .. })), "{told:?}");
}

#[test]
fn racing_registrations_lose_no_entry() {
    let server = Server::start();
    let states = [state(&server.url()), state(&server.url())];
    let nodes: Vec<_> = (0..100).map(|n| node(&format!("n{n}"))).collect();
    // dead entries, so that all of them prune
    server.cli(&[
        "set",
        LIST,
        r#"["srs-proxy-server:x","srs-proxy-server:y"]"#,
    ]);
    let tasks = states.map(Arc::new).map(|state| {
        nodes
            .iter()
            .map(|node| (Arc::clone(&state), node.clone()))
            .collect::<Vec<_>>()
    });
    let tasks = tasks.into_iter().flatten().map(|(state, node)| {
        crate::states::runtime().spawn(async move { state.register(&node).await })
    });
    for task in tasks.collect::<Vec<_>>() {
        block_on(task).unwrap().unwrap();
    }
    let mut listed = ids(&state(&server.url()));
    listed.sort();
    let mut expected: Vec<_> = nodes.iter().map(|node| node.id.to_string()).collect();
    expected.sort();
    assert_eq!(listed, expected);
    assert!(
        !server.cli(&["get", LIST]).contains("server:x"),
        "dead entries are gone"
    );
}

#[test]
fn of_two_users_that_race_for_a_hundred_streams_one_wins_each() {
    let server = Server::start();
    let states = [state(&server.url()), state(&server.url())];
    let [left, right] = states.map(|state| {
        crate::states::runtime().spawn(async move {
            let mut won = Vec::new();
            for n in 0..100 {
                let own = id(&format!("{:p}", &raw const state));
                let stream = key(&format!("v/l/{n}"));
                won.push(state.claim(&stream, &own, None).await.expect("a claim"));
            }
            won
        })
    });
    let (left, right) = (block_on(left).unwrap(), block_on(right).unwrap());
    assert_eq!(left, right);
}

#[test]
fn after_a_flush_those_who_hold_claims_bring_them_back() {
    let server = Server::start();
    let state = state(&server.url());
    let held: Vec<_> = (0..2500)
        .map(|n| (key(&format!("v/l/{n}")), id(&format!("n{}", n % 3))))
        .collect();
    block_on(state.hold(&held)).unwrap();
    server.cli(&["flushall"]);
    block_on(state.claim(&held[0].0, &id("other"), None)).unwrap();
    block_on(state.hold(&held)).unwrap();
    assert_eq!(server.cli(&["dbsize"]), "2500");
    assert_eq!(
        at(&state, "v/l/0"),
        Some(id("other")),
        "what is in force stays"
    );
    assert_eq!(at(&state, "v/l/2499"), Some(id("n0")));
    let mut claims = block_on(state.claims(10_000)).unwrap();
    claims.sort();
    let mut expected = held;
    expected[0].1 = id("other");
    expected.sort();
    assert_eq!(claims, expected);
}

#[test]
fn a_pick_is_two_round_trips() {
    let server = Server::start();
    let state = state(&server.url());
    server.cli(&["config", "resetstat"]);
    block_on(state.find(&key("v/l/s"))).unwrap();
    block_on(state.claim(&key("v/l/s"), &id("a"), None)).unwrap();
    let stats = server.cli(&["info", "commandstats"]);
    for wanted in [
        "cmdstat_get:calls=3",
        "cmdstat_eval:calls=1",
        "cmdstat_set:calls=1",
    ] {
        assert!(stats.contains(wanted), "{wanted} is not in {stats}");
    }
}
