//! A Redis that dies, hangs, forgets or refuses, under live streams.

use std::collections::BTreeSet;

use weir_testkit::cluster::{Member, Settings};
use weir_testkit::{Cluster, Proxy, Weir, redis};

use crate::BINARY;
use crate::light::{Client, Frame};
use crate::origins::register;
use crate::streams::{FIRST, Streams, addresses};

/// What happens to Redis.
#[derive(Clone, Copy)]
struct Fault {
    /// Begins it.
    strike: fn(&mut redis::Server),
    /// Whether the proxies lose the state with it, rather than being refused.
    lost: bool,
    /// Ends it.
    heal: fn(&mut redis::Server),
}

fn set(redis: &redis::Server, name: &str, value: &str) {
    assert_eq!(redis.cli(&["config", "set", name, value]), "OK");
}

fn claim(name: &str) -> String {
    format!("srs-proxy-url:__defaultVhost__/live/{name}")
}

/// When each origin last registered, as the proxy with this number sees it.
fn registered(cluster: &Cluster, number: usize) -> Vec<u64> {
    let answer = cluster
        .proxy(number)
        .system("GET", "/api/v1/origins")
        .json();
    let origins = answer["origins"].as_array().cloned().unwrap_or_default();
    origins
        .iter()
        .filter_map(|origin| origin["updated_ms"].as_u64())
        .collect()
}

/// Waits until both proxies have each origin registered anew.
fn await_registrations(cluster: &Cluster) {
    for number in 0..cluster.proxies() {
        let before = registered(cluster, number);
        assert_eq!(before.len(), cluster.origins());
        cluster.proxy(number).shows("/api/v1/origins", |_| {
            let after = registered(cluster, number);
            after.len() == before.len() && after.iter().zip(&before).all(|(a, b)| a > b)
        });
    }
}

/// B17: a stream that runs notices nothing, one that is known is served to new viewers, a new one is placed and its viewers
/// at both proxies find it, origins register; and afterwards all is written down, as it is.
fn withstand(fault: Fault) {
    let mut cluster = Cluster::start(BINARY, 3, 2);
    let streams = Streams::start(&cluster, "s", 6);
    // lines of before do not count
    let seen = [0, 1].map(|number| cluster.proxy(number).process().lines());

    (fault.strike)(cluster.redis());
    let late: Vec<Client> = (0..6)
        .flat_map(|number| {
            let name = format!("s{number}");
            [0, 1].map(|proxy| Client::play(&addresses(&cluster, proxy)[..1], &name))
        })
        .collect();
    // at once: the first of them find out, and all are where the stream is
    for viewer in &late {
        assert_eq!(viewer.reached(FIRST).sessions.len(), 1);
    }
    if fault.lost {
        for (number, seen) in seen.into_iter().enumerate() {
            let message = "cluster state lost, going on with what is known";
            cluster.proxy(number).logged_after(seen, message, "");
        }
    }
    await_registrations(&cluster);
    let new = Streams::start(&cluster, "new", 6);
    let newer: Vec<Client> = (0..6)
        .map(|number| Client::play(&addresses(&cluster, number)[..1], &format!("new{number}")))
        .collect();
    for viewer in &newer {
        viewer.reached(FIRST);
    }
    streams.go_on();

    (fault.heal)(cluster.redis());
    let homes: Vec<_> = [&streams, &new]
        .into_iter()
        .flat_map(|streams| streams.homes(&cluster))
        .collect();
    for (name, home) in &homes {
        let wanted = format!("srs-proxy-server:{}", cluster.id_of(*home));
        cluster
            .redis()
            .until(&["get", &claim(name)], |answer| answer == wanted);
        cluster
            .redis()
            .until(&["exists", &wanted], |answer| answer == "1");
    }
    for number in 0..2 {
        let path = "/api/v1/streams?cluster=true&count=1000";
        let told = cluster
            .proxy(number)
            .shows(path, |answer| answer["total"] == homes.len());
        for (name, home) in &homes {
            let id = cluster.id_of(*home);
            let key = format!("__defaultVhost__/live/{name}");
            let rows = told["streams"].as_array().expect("a list");
            let row = rows.iter().find(|row| row["stream"] == key.as_str());
            assert_eq!(
                row.map(|row| &row["origin"]),
                Some(&id.into()),
                "{name}: {told}"
            );
        }
    }
    drop((late, newer));
    streams.finish(&BTreeSet::new());
    new.finish(&BTreeSet::new());
    cluster.assert_well(&[]);
}

#[test]
fn a_redis_that_dies_and_returns_with_nothing() {
    withstand(Fault {
        strike: |redis| redis.kill(),
        lost: true,
        heal: redis::Server::restart_empty,
    });
}

#[test]
fn a_redis_that_hangs() {
    withstand(Fault {
        strike: |redis| redis.pause(),
        lost: true,
        heal: |redis| redis.resume(),
    });
}

#[test]
fn a_redis_that_forgets_everything() {
    withstand(Fault {
        strike: |redis| assert_eq!(redis.cli(&["flushall"]), "OK"),
        lost: false,
        heal: |_| {},
    });
}

#[test]
fn a_redis_that_takes_no_writes() {
    withstand(Fault {
        strike: |redis| set(redis, "min-replicas-to-write", "1"),
        lost: false,
        heal: |redis| set(redis, "min-replicas-to-write", "0"),
    });
}

#[test]
fn a_redis_that_is_full() {
    withstand(Fault {
        strike: |redis| set(redis, "maxmemory", "1"),
        lost: false,
        heal: |redis| set(redis, "maxmemory", "0"),
    });
}

/// Redis forgets everything, and the first origin to register again is the only one that is listed for a while: the others
/// are not gone, and nor are their streams.
#[test]
fn origins_that_redis_forgot_are_there_until_they_register_again() {
    let redis = redis::Server::start();
    let url = redis.url();
    // claims are held three times in that time, so that the lost ones are back soon
    let idle = ["--cluster-claim-idle", "3s"];
    let args = [
        "--cluster-state",
        "redis",
        "--redis-url",
        &url,
        idle[0],
        idle[1],
    ];
    let proxies = [(); 2].map(|()| Proxy::start(BINARY, &args));
    let rtmp = proxies.each_ref().map(|proxy| proxy.listener("rtmp"));
    let origins = ["a", "b", "c"].map(|name| (name, Weir::start(BINARY, &[])));
    for (name, origin) in &origins {
        register(&proxies[0], name, origin);
    }
    let shows = |wanted: &dyn Fn(&serde_json::Value) -> bool| {
        for proxy in &proxies {
            proxy.shows("/api/v1/origins", wanted);
        }
    };
    shows(&|answer| answer["total"] == 3);
    let names: Vec<String> = (0..9).map(|number| format!("s{number}")).collect();
    let publishers: Vec<Client> = names
        .iter()
        .enumerate()
        .map(|(number, name)| Client::publish(&rtmp[number % 2..=number % 2], name))
        .collect();
    for publisher in &publishers {
        publisher.reached(FIRST);
    }

    let before = proxies[0].system("GET", "/api/v1/origins").json();
    let before = before["origins"][0]["updated_ms"].as_u64();
    assert_eq!(redis.cli(&["flushall"]), "OK");
    register(&proxies[1], "a", &origins[0].1);
    shows(&|answer| answer["origins"][0]["updated_ms"].as_u64() > before);
    redis.until(&["exists", "srs-proxy-server:a-1-1"], |answer| {
        answer == "1"
    });
    // who comes before its claim is back may be sent to an origin that does not have the stream
    let claims = "return #redis.call('keys', 'srs-proxy-url:*')";
    redis.until(&["eval", claims, "0"], |answer| answer == "9");
    for at in rtmp {
        let viewers: Vec<Client> = names.iter().map(|name| Client::play(&[at], name)).collect();
        for viewer in &viewers {
            viewer.reached(FIRST);
        }
    }
    shows(&|answer| answer["total"] == 3);
    for publisher in &publishers {
        assert_eq!(publisher.log().sessions.len(), 1);
    }
    for proxy in &proxies {
        proxy.assert_well();
    }
}

/// An origin dies while Redis is away: its streams meet again, and what is written afterwards is where they are.
#[test]
fn an_origin_that_dies_while_redis_is_away() {
    let mut cluster = Cluster::start(BINARY, 3, 2);
    let streams = Streams::start(&cluster, "s", 12);
    let dead = streams.busiest(&cluster);
    let touched = streams.at(&cluster, dead);
    cluster.redis().kill();
    cluster.kill(Member::Origin(dead));
    for name in &touched {
        let again = Frame { take: 1, number: 0 };
        streams.get(name).viewer.reached(again);
    }
    cluster.redis().restart_empty();
    for (name, home) in streams.homes(&cluster) {
        let wanted = format!("srs-proxy-server:{}", cluster.id_of(home));
        cluster
            .redis()
            .until(&["get", &claim(&name)], |answer| answer == wanted);
    }
    streams.finish(&touched);
    cluster.assert_well(&[Member::Origin(dead)]);
}

/// B6: who has had no session for a while is forgotten in Redis and counted; who has one is not.
#[test]
fn a_stream_without_sessions_is_forgotten() {
    let settings = Settings {
        origins: 2,
        proxy_args: &["--cluster-claim-idle", "1s"],
        ..Settings::default()
    };
    let mut cluster = Cluster::start_with(BINARY, &settings);
    let streams = Streams::start(&cluster, "kept", 2);
    let publisher = Client::publish(&addresses(&cluster, 0), "gone");
    publisher.reached(FIRST);
    assert_eq!(cluster.redis().cli(&["exists", &claim("gone")]), "1");
    publisher.finish();
    cluster
        .redis()
        .until(&["exists", &claim("gone")], |answer| answer == "0");
    let metrics = cluster.proxy(0).system("GET", "/metrics").text();
    assert!(
        metrics.contains("weir_cluster_released_claims_total 1\n"),
        "{metrics}"
    );
    for name in ["kept0", "kept1"] {
        assert_eq!(cluster.redis().cli(&["ttl", &claim(name)]), "-1");
    }
    streams.finish(&BTreeSet::new());
    cluster.assert_well(&[]);
}
