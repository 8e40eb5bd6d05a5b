//! What happens when servers are away, refuse, or change places.
//!
//! Owns: that calls fail in time and say why, and that they go on by themselves. Does not: look at what is kept.

use std::sync::Arc;
use std::time::Duration;

use weir_cluster::{ClusterState, StateError};
use weir_cluster_redis::{Options, Redis};
use weir_testkit::redis::{self, Cluster, Sentinel, Settings};

use crate::states::{
    at, block_on, connect, id, ids, key, node, options, runtime, state, until_good,
};

fn refused(options: Options) -> String {
    let error = block_on(Redis::connect(options)).expect_err("it must not connect");
    let text = error.to_string();
    assert!(!text.contains("hunter2") && !format!("{error:?}").contains("hunter2"));
    text
}

/// A state whose calls wait shortly, for tests that want them to fail.
fn hasty(url: &str) -> Redis {
    let mut options = options(url);
    options.timeout = Duration::from_millis(400);
    connect(options)
}

fn claim(state: &Redis, stream: &str) -> Result<(), StateError> {
    block_on(state.claim(&key(stream), &id("a"), None)).map(drop)
}

async fn claimed(state: &Redis, stream: &str) -> Result<(), StateError> {
    state.claim(&key(stream), &id("a"), None).await.map(drop)
}

#[test]
fn a_start_without_redis_says_where_and_why() {
    let server = redis::Server::start();
    let (url, address) = (server.url(), server.address().to_string());
    server.kill();
    let said = refused(options(&url));
    assert!(
        said.contains(&address) && said.contains("unavailable"),
        "{said}"
    );
    let cluster = url.replace("redis://", "redis+cluster://");
    let said = refused(options(&cluster));
    assert!(said.contains(&address), "{said}");
    let sentinel = url.replace("redis://", "redis+sentinel://") + "/m";
    let said = refused(options(&sentinel));
    assert!(said.contains(&address), "{said}");
}

#[test]
fn a_start_with_the_wrong_password_says_so_without_it() {
    let server = redis::Server::start_with(Settings {
        password: Some("right".to_owned()),
        ..Settings::default()
    });
    let address = server.address();
    let said = refused(options(&format!("redis://:hunter2@{address}")));
    assert!(
        said.contains("refuses") && said.contains("WRONGPASS"),
        "{said}"
    );
    let said = refused(options(&format!("redis://me:hunter2@{address}")));
    assert!(said.contains("refuses"), "{said}");
    let said = refused(options(&format!("redis://{address}")));
    assert!(said.contains("NOAUTH"), "{said}");
}

#[test]
fn a_server_that_knows_only_the_old_protocol_is_used() {
    let server = redis::Server::start_with(Settings {
        password: Some("right".to_owned()),
        tls: None,
        lines: vec!["rename-command HELLO \"\"".to_owned()],
    });
    let state = state(&server.url());
    claim(&state, "v/l/s").unwrap();
    let seen = block_on(state.changed(0)).unwrap();
    block_on(state.register(&node("a"))).unwrap();
    let told = async { tokio::time::timeout(Duration::ZERO, state.changed(seen)).await };
    assert!(block_on(told).is_err(), "it tells of no change");
    // the server repeats what it was sent with HELLO
    let said = refused(options(&format!("redis://:hunter2@{}", server.address())));
    assert!(said.contains("refuses"), "{said}");
}

#[test]
fn a_user_without_channels_is_told_of_no_change() {
    let server = redis::Server::start_with(Settings {
        lines: vec!["user me on >hunter2 ~* +@all resetchannels".to_owned()],
        ..Settings::default()
    });
    let state = state(&format!("redis://me:hunter2@{}", server.address()));
    block_on(state.register(&node("a"))).unwrap();
    assert_eq!(ids(&state), ["a-svc-1"]);
    // no rights to what keys hold
    server.cli(&["acl", "setuser", "me", "-@write"]);
    for _ in 0..3 {
        let failed = claim(&state, "v/l/s");
        assert!(matches!(&failed, Err(StateError::Refused(_))), "{failed:?}");
    }
    assert_eq!(ids(&state), ["a-svc-1"]);
}

#[test]
fn a_change_by_another_is_told() {
    let server = redis::Server::start();
    let (first, second) = (state(&server.url()), state(&server.url()));
    let seen = block_on(first.changed(0)).unwrap();
    block_on(second.register(&node("a"))).unwrap();
    let seen = block_on(first.changed(seen)).unwrap();
    // a beat is no change
    server.cli(&["config", "resetstat"]);
    block_on(second.register(&node("a"))).unwrap();
    assert!(!server.cli(&["info", "commandstats"]).contains("publish"));
    block_on(second.drain(&id("a"), true)).unwrap();
    block_on(first.changed(seen)).unwrap();
}

#[test]
fn a_start_with_what_is_no_redis_fails_in_time() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = silent.local_addr().expect("bound");
    let mut options = options(&format!("redis://{address}"));
    options.timeout = Duration::from_millis(300);
    let said = refused(options.clone());
    assert!(said.contains("no answer within"), "{said}");
    options.server = weir_cluster_redis::Server::parse(&format!("rediss://{address}")).unwrap();
    refused(options.clone());
    options.ca_file = Some("/there/is/no/such/file".into());
    let said = refused(options.clone());
    assert!(said.contains("/there/is/no/such/file"), "{said}");
    options.lease = Duration::ZERO;
    let said = refused(options);
    assert!(said.contains("longer than nothing"), "{said}");
}

#[test]
fn a_start_with_another_database_and_a_bad_number_is_refused() {
    let server = redis::Server::start();
    let said = refused(options(&format!("{}/99", server.url())));
    assert!(said.contains("refuses"), "{said}");
}

#[test]
fn a_server_that_was_killed_and_comes_back_empty_is_used_again() {
    let mut server = redis::Server::start();
    let state = state(&server.url());
    block_on(state.register(&node("a"))).unwrap();
    claim(&state, "v/l/s").unwrap();
    server.kill();
    for _ in 0..20 {
        let failed = claim(&state, "v/l/s");
        assert!(
            matches!(failed, Err(StateError::Unavailable(_))),
            "{failed:?}"
        );
    }
    server.restart_empty();
    until_good(|| claimed(&state, "v/l/t"));
    assert_eq!(ids(&state), [""; 0]);
    block_on(state.register(&node("a"))).unwrap();
    block_on(state.hold(&[(key("v/l/s"), id("a"))])).unwrap();
    assert_eq!(at(&state, "v/l/s"), Some(id("a")));
    assert_eq!(ids(&state), ["a-svc-1"]);
}

#[test]
fn a_server_that_hangs_fails_calls_in_time_and_is_used_again() {
    let server = redis::Server::start();
    let state = hasty(&server.url());
    claim(&state, "v/l/s").unwrap();
    server.pause();
    for _ in 0..5 {
        let failed = claim(&state, "v/l/s");
        assert!(
            matches!(failed, Err(StateError::Unavailable(_))),
            "{failed:?}"
        );
    }
    // most of many fail at once: the time that all may take is far below that of as many timeouts
    let all = async {
        for _ in 0..200 {
            assert!(claimed(&state, "v/l/s").await.is_err());
        }
    };
    block_on(async { tokio::time::timeout(Duration::from_secs(40), all).await })
        .expect("calls fail at once between attempts");
    // nor do calls wait for each other's attempts
    let state = Arc::new(state);
    let tasks: Vec<_> = (0..200)
        .map(|_| {
            let state = Arc::clone(&state);
            runtime().spawn(async move { claimed(&state, "v/l/s").await })
        })
        .collect();
    for task in tasks {
        assert!(block_on(task).unwrap().is_err());
    }
    server.resume();
    until_good(|| claimed(&state, "v/l/t"));
    assert_eq!(at(&state, "v/l/s"), Some(id("a")));
}

#[test]
fn writes_that_are_held_up_for_less_than_the_timeout_succeed() {
    let server = redis::Server::start();
    let mut options = options(&server.url());
    options.timeout = Duration::from_secs(20);
    let state = connect(options);
    server.cli(&["client", "pause", "1500", "write"]);
    assert_eq!(at(&state, "v/l/s"), None);
    claim(&state, "v/l/s").unwrap();
    assert_eq!(at(&state, "v/l/s"), Some(id("a")));
}

#[test]
fn a_server_without_memory_refuses_and_still_answers() {
    let server = redis::Server::start();
    let state = state(&server.url());
    claim(&state, "v/l/s").unwrap();
    server.cli(&["config", "set", "maxmemory", "1"]);
    for _ in 0..3 {
        let failed = claim(&state, "v/l/t");
        assert!(
            matches!(&failed, Err(StateError::Refused(why)) if why.contains("OOM")),
            "{failed:?}"
        );
        let failed = block_on(state.register(&node("a")));
        assert!(matches!(failed, Err(StateError::Refused(_))), "{failed:?}");
    }
    assert_eq!(at(&state, "v/l/s"), Some(id("a")));
    server.cli(&["config", "set", "maxmemory", "0"]);
    claim(&state, "v/l/t").unwrap();
}

#[test]
fn a_password_that_comes_later_refuses_the_next_connection() {
    let server = redis::Server::start();
    let state = state(&server.url());
    claim(&state, "v/l/s").unwrap();
    server.cli(&["config", "set", "requirepass", "x"]);
    server.cli(&["-a", "x", "client", "kill", "type", "pubsub"]);
    let told = until_good(|| async {
        match claimed(&state, "v/l/s").await {
            Err(StateError::Refused(why)) => Ok(why),
            other => Err(format!("{other:?}")),
        }
    });
    assert!(told.contains("NOAUTH"), "{told}");
    server.cli(&["-a", "x", "config", "set", "requirepass", ""]);
    until_good(|| claimed(&state, "v/l/s"));
}

#[test]
fn a_replica_answers_and_refuses_changes() {
    let master = redis::Server::start();
    let writer = state(&master.url());
    claim(&writer, "v/l/s").unwrap();
    let replica = redis::Server::start_with(Settings {
        lines: vec![format!("replicaof 127.0.0.1 {}", master.address().port())],
        ..Settings::default()
    });
    replica.until(&["dbsize"], |size| size == "1");
    let state = state(&replica.url());
    assert_eq!(at(&state, "v/l/s"), Some(id("a")));
    for _ in 0..3 {
        let failed = claim(&state, "v/l/t");
        assert!(
            matches!(&failed, Err(StateError::Refused(why)) if why.contains("READONLY")),
            "{failed:?}"
        );
    }
    assert_eq!(at(&state, "v/l/s"), Some(id("a")));
    // promoted by hand
    replica.cli(&["replicaof", "no", "one"]);
    until_good(|| claimed(&state, "v/l/t"));
}

#[test]
fn a_server_that_loses_its_master_may_be_away() {
    let mut master = redis::Server::start();
    let replica = redis::Server::start_with(Settings {
        lines: vec![
            format!("replicaof 127.0.0.1 {}", master.address().port()),
            "replica-serve-stale-data no".to_owned(),
        ],
        ..Settings::default()
    });
    replica.until(&["info", "replication"], |info| {
        info.contains("master_link_status:up")
    });
    let state = state(&replica.url());
    master.kill();
    replica.until(&["info", "replication"], |info| {
        info.contains("master_link_status:down")
    });
    let failed = block_on(state.find(&key("v/l/s")));
    assert!(
        matches!(&failed, Err(StateError::Unavailable(why)) if why.contains("MASTERDOWN")),
        "{failed:?}"
    );
    master.restart_empty();
    until_good(|| state.find(&STREAM));
}

static STREAM: std::sync::LazyLock<weir_cluster::Key> = std::sync::LazyLock::new(|| key("v/l/s"));

#[test]
fn an_ordered_failover_is_followed() {
    let sentinel = Sentinel::start();
    let state = state(&sentinel.url());
    block_on(state.register(&node("a"))).unwrap();
    claim(&state, "v/l/s").unwrap();
    let replica = sentinel.replica();
    replica.until(&["exists", "srs-proxy-url:v/l/s"], |there| there == "1");
    sentinel.fail_over();
    until_good(|| claimed(&state, "v/l/t"));
    assert_eq!(
        sentinel.replica().cli(&["exists", "srs-proxy-url:v/l/t"]),
        "1"
    );
    assert_eq!(ids(&state), ["a-svc-1"]);
    assert_eq!(at(&state, "v/l/s"), Some(id("a")));
}

#[test]
fn a_failover_after_a_crash_is_followed() {
    let sentinel = Sentinel::start();
    let state = state(&sentinel.url());
    claim(&state, "v/l/s").unwrap();
    sentinel.master().kill();
    until_good(|| claimed(&state, "v/l/t"));
    sentinel.await_replica_as_master();
    assert_eq!(
        sentinel.replica().cli(&["exists", "srs-proxy-url:v/l/t"]),
        "1"
    );
}

#[test]
fn sentinels_that_know_no_such_master_say_so() {
    let sentinel = Sentinel::start();
    let url = sentinel.url().replace("/weir", "/other");
    let said = refused(options(&url));
    assert!(said.contains("knows no master other"), "{said}");
    // the first sentinel may be dead
    let live = sentinel.sentinel().address();
    let url = format!("redis+sentinel://127.0.0.1:1,{live}/weir");
    claim(&state(&url), "v/l/s").unwrap();
}

#[test]
fn a_login_is_for_the_server_and_for_sentinels_that_want_one() {
    let sentinel = Sentinel::start();
    sentinel
        .master()
        .cli(&["config", "set", "requirepass", "hunter2"]);
    let url = sentinel.url().replace("://", "://:hunter2@");
    claim(&state(&url), "v/l/s").unwrap();
    sentinel
        .sentinel()
        .cli(&["acl", "setuser", "default", "resetpass", ">hunter2"]);
    claim(&state(&url), "v/l/t").unwrap();
    let said = refused(options(&sentinel.url()));
    assert!(said.contains("refuses"), "{said}");
}

#[test]
fn a_cluster_and_a_server_are_not_taken_for_each_other() {
    let cluster = Cluster::start();
    let said = refused(options(&cluster.url().replace("+cluster", "")));
    assert!(said.contains("member of a redis cluster"), "{said}");
    let server = redis::Server::start();
    let said = refused(options(&server.url().replace("redis:", "redis+cluster:")));
    assert!(said.contains("cluster"), "{said}");
}

#[test]
fn the_rest_of_a_cluster_serves_while_a_member_is_away() {
    let cluster = Cluster::start();
    for member in cluster.members() {
        member.cli(&["config", "set", "cluster-require-full-coverage", "no"]);
    }
    let state = hasty(&cluster.url());
    let streams: Vec<String> = (0..60).map(|n| format!("v/l/{n}")).collect();
    for stream in &streams {
        claim(&state, stream).unwrap();
    }
    let claims = block_on(state.claims(1000)).unwrap();
    assert_eq!(claims.len(), streams.len());
    let [.., last] = cluster.members() else {
        panic!("it has members");
    };
    last.pause();
    let good = streams
        .iter()
        .filter(|stream| claim(&state, stream).is_ok());
    let good = good.count();
    assert!((20..60).contains(&good), "{good} of 60 are answered");
    last.resume();
    for stream in &streams {
        until_good(|| claimed(&state, stream));
    }
}

#[test]
fn a_state_outlives_the_runtime_that_connected_it() {
    let server = redis::Server::start();
    let one = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().expect("a runtime")
    };
    let first = one();
    let state = first
        .block_on(Redis::connect(options(&server.url())))
        .unwrap();
    drop(first);
    until_good(|| claimed(&state, "v/l/s"));
    let second = one();
    second.block_on(claimed(&state, "v/l/t")).unwrap();
}

#[test]
fn a_cluster_that_was_killed_and_comes_back_empty_is_used_again() {
    let mut cluster = Cluster::start();
    let state = state(&cluster.url());
    let streams: Vec<String> = (0..30).map(|n| format!("v/l/{n}")).collect();
    claim(&state, "v/l/0").unwrap();
    for member in cluster.members() {
        member.kill();
    }
    for stream in &streams {
        let failed = claim(&state, stream);
        assert!(
            matches!(failed, Err(StateError::Unavailable(_))),
            "{failed:?}"
        );
    }
    cluster.restart_empty();
    for stream in &streams {
        until_good(|| claimed(&state, stream));
    }
    assert_eq!(block_on(state.claims(100)).unwrap().len(), streams.len());
}

#[test]
fn a_cluster_that_refuses_says_so() {
    let cluster = Cluster::start();
    let state = state(&cluster.url());
    for member in cluster.members() {
        member.cli(&["config", "set", "maxmemory", "1"]);
    }
    let failed = claim(&state, "v/l/s");
    assert!(matches!(failed, Err(StateError::Refused(_))), "{failed:?}");
    let failed = block_on(state.register(&node("a")));
    assert!(matches!(failed, Err(StateError::Refused(_))), "{failed:?}");
    assert_eq!(at(&state, "v/l/s"), None);
}
