//! What no single key can tell.
//!
//! Owns: the checks that span keys, for the role that a configuration is read in. Does not: read values.

use super::address::{Backend, ListenAt};
use super::load::Loader;
use super::problem::Origin;
use super::role::Role;
use super::value::{Routing, State};
use super::{Config, Listener};

/// Checks what `loader` has read as `role` uses it.
pub(super) fn check(loader: &mut Loader, role: Role) {
    if role != Role::Proxy {
        origin_listeners(loader);
        admin_api(loader);
        segments(loader);
    }
    if role != Role::Origin {
        proxy_listeners(loader);
        tls(loader);
        cluster(loader);
        redis(loader);
    }
}

fn origin_listeners(loader: &mut Loader) {
    let listeners: Vec<Listener> = loader.config.listeners().collect();
    for (i, listener) in listeners.iter().enumerate() {
        // Port 0 is any free port, so two of them do not meet.
        let same = |other: &&Listener| other.address == listener.address;
        let other = listeners.iter().take(i).find(same);
        if let Some(other) = other.filter(|_| listener.address.port() != 0) {
            twice(loader, listener.key, other.key, &listener.address);
        }
    }
}

fn proxy_listeners(loader: &mut Loader) {
    let keys = loader.config.proxy.listeners();
    let listeners: Vec<(&'static str, ListenAt)> = keys
        .into_iter()
        .flat_map(|(key, listens)| listens.0.iter().map(move |one| (key, one.clone())))
        .collect();
    for (i, (key, at)) in listeners.iter().enumerate() {
        let other = listeners.iter().take(i).find(|(_, other)| other == at);
        if let Some((other, _)) = other.filter(|_| at.port != 0) {
            twice(loader, key, other, at);
        }
    }
}

fn twice(
    loader: &mut Loader,
    key: &'static str,
    other: &'static str,
    address: &dyn std::fmt::Display,
) {
    // A default is not at fault where someone set the other one.
    let by_default = *loader.origin_of(key) == Origin::Default;
    let (guilty, other) = if by_default {
        (other, key)
    } else {
        (key, other)
    };
    loader.wrong_key(guilty, format!("{address} is also in {other}"));
}

fn admin_api(loader: &mut Loader) {
    let api = &loader.config.api;
    let open = api
        .listen
        .iter()
        .find(|address| !address.ip().to_canonical().is_loopback());
    if let Some(address) = open.filter(|_| api.token.is_empty()) {
        let message = format!(
            "{address} can be reached from other hosts: set api.token (as the variable \
             WEIR_API_TOKEN), or listen on a loopback address such as 127.0.0.1:{}",
            address.port()
        );
        loader.wrong_key("api.listen", message);
    }
}

/// Segments and what is made of them must fit into each other.
fn segments(loader: &mut Loader) {
    let hls = &loader.config.hls;
    let (part, segment, longest, window) = (hls.part, hls.segment, hls.longest_segment, hls.window);
    if part > segment {
        loader.wrong_key("hls.part", "it is longer than hls.segment");
    }
    if longest < segment {
        loader.wrong_key("hls.longest_segment", "it is shorter than hls.segment");
    }
    // RFC 8216, section 6.2.2: a playlist that slides covers three target durations
    if window < segment * LEAST_SEGMENTS {
        let message = format!("it is shorter than {LEAST_SEGMENTS} times hls.segment");
        loader.wrong_key("hls.window", message);
    }
}

/// Segments in the shortest playlist.
const LEAST_SEGMENTS: u32 = 3;

fn tls(loader: &mut Loader) {
    let proxy = &loader.config.proxy;
    let is_set = |path: &std::path::Path| !path.as_os_str().is_empty();
    let (certificate, key) = (is_set(&proxy.tls_certificate), is_set(&proxy.tls_key));
    let listens = [
        ("proxy.rtmps_listen", &proxy.rtmps_listen),
        ("proxy.https_listen", &proxy.https_listen),
    ];
    let needs = listens.map(|(key, listens)| (key, !listens.0.is_empty()));
    match (certificate, key) {
        (true, true) => {}
        (true, false) => loader.wrong_key("proxy.tls_certificate", "proxy.tls_key is missing"),
        (false, true) => loader.wrong_key("proxy.tls_key", "proxy.tls_certificate is missing"),
        (false, false) => {
            for (key, _) in needs.into_iter().filter(|(_, needs)| *needs) {
                loader.wrong_key(key, "needs proxy.tls_certificate and proxy.tls_key");
            }
        }
    }
}

fn cluster(loader: &mut Loader) {
    let Config { cluster, proxy, .. } = &loader.config;
    let backend = &cluster.default_backend.0;
    let is_one = matches!(backend.as_slice(), [] | [Backend::Fixed { .. }]);
    let unshared = proxy.routing == Routing::Signed
        && cluster.state == State::Redis
        && proxy.routing_secret.is_empty();
    if !is_one {
        loader.wrong_key(
            "cluster.default_backend",
            "expected one origin by its address",
        );
    }
    if unshared {
        let message = "proxies that share their state need the same proxy.routing_secret: without \
                       one, segments are only found at the proxy that gave out the playlist";
        loader.warn_key("proxy.routing", message);
    }
}

fn redis(loader: &mut Loader) {
    let url = loader.config.redis.url.expose().to_owned();
    if url.is_empty() {
        return;
    }
    if let Err(error) = weir_cluster_redis::Server::parse(&url) {
        return loader.wrong_key("redis.url", error.to_string());
    }
    for key in ["redis.host", "redis.port", "redis.password", "redis.db"] {
        if *loader.origin_of(key) != Origin::Default {
            loader.warn_key(key, "redis.url is set, and used instead");
        }
    }
}
