//! Foreign origins, balancers and habits: nginx behind the proxies, HAProxy before them, and a start as the Go proxy is
//! started.

mod balancer;
mod live;
mod manners;
mod migrate;
mod packaged;
mod walk;

use weir_testkit::cluster::Settings;
use weir_testkit::nginx::Nginx;
use weir_testkit::{Cluster, Proxy, http};

const BINARY: &str = env!("CARGO_BIN_EXE_weir");

/// Session ids that say where a segment is, the same at all proxies.
const SIGNED: [&str; 4] = [
    "--proxy-routing",
    "signed",
    "--proxy-routing-secret",
    "a-secret-of-more-than-sixteen-bytes",
];

/// Session ids that Redis knows, as those of the Go proxy.
const STORED: [&str; 2] = ["--proxy-routing", "stored"];

/// Two proxies that share their state in Redis, without origins of ours.
fn proxies(args: &[&str]) -> Cluster {
    Cluster::start_with(
        BINARY,
        &Settings {
            origins: 0,
            proxies: 2,
            redis: true,
            proxy_args: args,
            ..Settings::default()
        },
    )
}

/// An nginx that is registered by hand at the first of two proxies and known to both.
fn behind_nginx(args: &[&str]) -> (Nginx, Cluster) {
    let (nginx, cluster) = (Nginx::origin(), proxies(args));
    register(cluster.proxy(0), "nginx", &nginx);
    cluster.await_origins(1);
    (nginx, cluster)
}

/// Registers an nginx as scripts do.
fn register(proxy: &Proxy, name: &str, nginx: &Nginx) {
    register_ports(proxy, name, nginx.address().port(), nginx.http().port());
}

/// The same for whatever listens on two ports.
fn register_ports(proxy: &Proxy, name: &str, rtmp: u16, http: u16) {
    let url = format!("http://{}/api/v1/srs/register", proxy.listener("system"));
    let body = format!(
        r#"{{"ip":"127.0.0.1","server":"{name}","service":"1","pid":"1","rtmp":["{rtmp}"],"http":["{http}"]}}"#
    );
    let answer = http::curl(["-X", "POST", "-d", &body, &url]);
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["code"], 0, "{}", answer.text());
}

/// The URL of a path at a proxy.
fn url(proxy: &Proxy, path: &str) -> String {
    format!("http://{}{path}", proxy.listener("http"))
}
