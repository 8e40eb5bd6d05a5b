//! Secrets that no line and no listing may have.

use std::collections::BTreeSet;

use weir_testkit::Cluster;
use weir_testkit::cluster::{Member, Settings};

use crate::BINARY;
use crate::light::{Client, Link};
use crate::streams::{FIRST, addresses};

/// The password of Redis, the token of the proxies, and the token of a client.
const SECRETS: [&str; 3] = ["hunter2hunter2", "swordfish", "opensesame"];

/// All that a cluster says of itself while streams come with secrets, are refused, and Redis and an origin die.
#[test]
fn no_secret_is_in_a_log_or_a_listing() {
    let settings = Settings {
        origins: 2,
        password: Some(SECRETS[0]),
        token: Some(SECRETS[1]),
        origin_args: &["--log-level", "trace"],
        proxy_args: &["--log-level", "trace"],
        ..Settings::default()
    };
    let mut cluster = Cluster::start_with(BINARY, &settings);
    let query = format!("?token={}", SECRETS[2]);
    let publisher = Client::publish(&addresses(&cluster, 0), &format!("s{query}"));
    let viewer = Client::play(&addresses(&cluster, 1), &format!("s{query}&key=opensesame"));
    viewer.reached(FIRST);
    let over_http = weir_testkit::Viewer::curl(&format!("{}{query}", cluster.proxy(1).flv("s")));
    over_http.reached(0);
    // the older place of a query, behind the application
    let older = format!("live{query}/s");
    let _older = Link::play(addresses(&cluster, 0)[0], &older).expect("it plays");
    // a name that is taken
    let second = Client::publish(&addresses(&cluster, 1), &format!("s{query}"));
    second.until("a refusal", |log| !log.refusals.is_empty());

    let mut said = listings(&cluster);
    let home = cluster.origin_of("s");
    cluster.kill(Member::Origin(home));
    viewer.until("another take", |log| log.sessions.len() > 1);
    cluster.redis().kill();
    for number in 0..2 {
        cluster
            .proxy(number)
            .logged("cluster state lost, going on with what is known", "");
    }
    said.extend(listings(&cluster));
    cluster.redis().restart_empty();
    for number in 0..2 {
        cluster.proxy(number).logged("cluster state is back", "");
    }
    drop((publisher, viewer, second));
    let other = 1 - home;
    said.insert(cluster.origin(home).process().said());
    said.insert(cluster.origin(other).process().said());
    for number in 0..2 {
        cluster.end(Member::Proxy(number));
        said.insert(cluster.proxy(number).process().said());
    }
    assert!(
        said.iter()
            .any(|text| text.contains("__defaultVhost__/live/s\""))
    );
    for secret in SECRETS {
        for text in &said {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret}");
        }
    }
}

/// Every listing of every member that runs.
fn listings(cluster: &Cluster) -> BTreeSet<String> {
    let mut said = BTreeSet::new();
    for number in 0..cluster.proxies() {
        for path in ["origins", "streams", "streams?cluster=true", "sessions"] {
            let path = format!("/api/v1/{path}");
            said.insert(cluster.proxy(number).system("GET", &path).text());
        }
        said.insert(cluster.proxy(number).system("GET", "/metrics").text());
    }
    for number in 0..cluster.origins() {
        if cluster.origin(number).process().has_ended() {
            continue;
        }
        for path in [
            "/api/v1/streams",
            "/api/v1/clients",
            "/api/v1/summaries",
            "/metrics",
        ] {
            said.insert(cluster.origin(number).api("GET", path).text());
        }
    }
    said
}
