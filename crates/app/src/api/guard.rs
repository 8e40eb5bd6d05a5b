//! Who may use an API: that of an origin, and that of a proxy.
//!
//! Owns: the check of the token and, where there is none, the checks that keep web pages out. Does not: know routes,
//! except the two that need no token.
//!
//! Without a token an origin's API listens on loopback addresses only, and a proxy's, whose listener must be reached by
//! origins, serves peers with loopback addresses only. That keeps other hosts out but not the browser on this one. A web page could reach the API through it in two ways, and both are refused with 403:
//! - DNS rebinding: the page's own host name is made to resolve to 127.0.0.1, and the browser takes the API for the
//!   page's origin. The `Host` header still has the page's name, so it must be a loopback address or `localhost`.
//! - Requests across origins: the browser sends them without asking and only keeps the answer from the page, which is
//!   too late for a reload. It says so in `Origin` and `Sec-Fetch-Site`.
//!
//! With a token neither helps the page, which does not know it.
//!
//! On a port of streams, which other hosts reach, the other end's address counts, and two things more, since a proxy on
//! this host makes everybody's address a loopback one: nothing may say that the request came through a proxy, and what
//! changes something must come from a page of this very port, not of another one on this host. A proxy that hides whom it
//! speaks for, and names this host by a loopback address, cannot be told from a browser here: beside one the token is
//! needed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, AsHeaderName, HOST, ORIGIN, REFERER};
use axum::http::{HeaderMap, Method, Uri, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use axum::extract::ConnectInfo;

use super::answer::Failure;
use super::listen::Peer;
use crate::config::Secret;

/// What load balancers and supervisors ask, which have no token. They tell nothing but that the process serves.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// The guard of one listener.
#[derive(Clone)]
pub(crate) struct Guard {
    /// The key that sets the token, for texts.
    pub(crate) key: &'static str,
    /// The token in force now.
    pub(crate) token: Arc<dyn Fn() -> Secret + Send + Sync>,
    /// Which address must be of this host where there is no token.
    pub(crate) near: Near,
}

/// The address that must be of this host.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Near {
    /// The listener's, which is this.
    Listener(SocketAddr),
    /// The other end's of the connection.
    Peer,
    /// The other end's, on a port of streams: see the head of this file.
    Port,
}

/// Lets a request through or refuses it.
pub(crate) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let token = (guard.token)();
    let (uri, headers) = (request.uri(), request.headers());
    let key = (guard.key, &token);
    let allowed = match guard.near {
        Near::Listener(local) => allowed(key, Some(local.ip()), uri, headers),
        Near::Peer => allowed(key, peer(&request), uri, headers),
        Near::Port => allowed_on_port(key, &request),
    };
    match allowed {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}

/// The address of the other end; `None` when nobody noted it.
pub(crate) fn peer(request: &Request) -> Option<IpAddr> {
    let peer = request.extensions().get::<ConnectInfo<Peer>>();
    peer.map(|ConnectInfo(Peer(peer))| peer.ip().to_canonical())
}

fn allowed(
    (key, token): (&'static str, &Secret),
    near: Option<IpAddr>,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(), Failure> {
    if token.is_empty() {
        // a reload can take the token away from a listener that was opened with one
        if !near.is_some_and(|near| near.to_canonical().is_loopback()) {
            let text = format!("without {key} only loopback addresses are served");
            return Err(Failure::forbidden(text));
        }
        return from_this_host(key, uri, headers);
    }
    if OPEN.contains(&uri.path()) {
        return Ok(());
    }
    authorized((key, token), headers)
}

/// Whether a request that came by a port of streams may be served.
fn allowed_on_port<B>(
    (key, token): (&'static str, &Secret),
    request: &http::Request<B>,
) -> Result<(), Failure> {
    let headers = request.headers();
    if !token.is_empty() {
        return authorized((key, token), headers);
    }
    let peer = request.extensions().get::<weir_http::pages::Peer>();
    let is_near = peer.is_some_and(|peer| peer.0.ip().to_canonical().is_loopback());
    if !is_near || is_passed_on(request) {
        let text = format!("without {key} only browsers on this host are served: set {key}");
        return Err(Failure::forbidden(text));
    }
    // browsers always name a host, and this port is for them; HTTP/2 has it in the target
    let authority = request.uri().authority().map(|host| host.as_str());
    let mut named = headers.get_all(HOST).iter();
    let host = match (named.next(), named.next()) {
        (Some(host), None) => host.to_str().ok(),
        (None, _) => authority,
        (Some(_), Some(_)) => None,
    };
    let Some(host) = host.filter(|host| authority.is_none_or(|named| named == *host)) else {
        return Err(Failure::bad_request(
            "one host is needed, in the header Host",
        ));
    };
    from_this_host(key, request.uri(), headers)?;
    let referrer = text(headers, REFERER).and_then(host_of);
    if headers.contains_key(REFERER) && !referrer.is_some_and(is_loopback) {
        let text = format!("without {key} pages of other sites are not served");
        return Err(Failure::forbidden(text));
    }
    match changes_something(request) && !is_of_this_port(host, headers) {
        true => Err(Failure::forbidden(format!(
            "without {key} only pages of this port may change something"
        ))),
        false => Ok(()),
    }
}

/// Whether something says that the request came through a proxy. HTTP/1.0 says it too: browsers have not spoken it for
/// decades, and the commonest of proxies does to what stands behind it unless told otherwise.
fn is_passed_on<B>(request: &http::Request<B>) -> bool {
    let names = request.headers().keys().map(|name| name.as_str());
    request.version() == Version::HTTP_10
        || names
            .into_iter()
            .any(|name| name.starts_with("x-forwarded") || PASSED_ON.contains(&name))
}

/// Fields that proxies add, beside all that begin with `x-forwarded`.
const PASSED_ON: [&str; 9] = [
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-original-host",
    "x-weir-session",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
];

/// Whether a request does more than look. `raw` reloads by GET, as SRS has it.
fn changes_something<B>(request: &http::Request<B>) -> bool {
    let looks = matches!(*request.method(), Method::GET | Method::HEAD);
    !looks || request.uri().path().trim_end_matches('/') == "/api/v1/raw"
}

/// Whether no browser says that the request was made by a page from elsewhere than this host and port.
fn is_of_this_port(host: &str, headers: &HeaderMap) -> bool {
    let is_own = match text(headers, "sec-fetch-site") {
        Some(site) => matches!(site, "same-origin" | "none"),
        None => !headers.contains_key("sec-fetch-site"),
    };
    let same = |name| {
        let told = text(headers, name).and_then(host_of);
        !headers.contains_key(name) || told == Some(host)
    };
    is_own && same(ORIGIN.as_str()) && same(REFERER.as_str())
}

/// Host and port of a URL.
fn host_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    rest.split(['/', '?', '#']).next()
}

/// Fails unless the request has the token.
pub(crate) fn authorized(
    (key, token): (&'static str, &Secret),
    headers: &HeaderMap,
) -> Result<(), Failure> {
    match bearer(headers).is_some_and(|given| token.matches(given)) {
        true => Ok(()),
        false => Err(Failure::unauthorized(key)),
    }
}

/// The token of `Authorization: Bearer …` (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = text(headers, AUTHORIZATION)?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_start_matches(' '))
}

fn from_this_host(key: &'static str, uri: &Uri, headers: &HeaderMap) -> Result<(), Failure> {
    // a request without a host comes from no browser
    let host = uri.authority().map(|authority| authority.as_str());
    let header = || {
        headers
            .get(HOST)
            .map(|host| host.to_str().unwrap_or_default())
    };
    if let Some(host) = host.or_else(header)
        && !is_loopback(host)
    {
        let text = format!("without {key} the header Host must be a loopback address or localhost");
        return Err(Failure::forbidden(text));
    }
    of_no_foreign_page(key, headers)
}

/// Fails when a browser sends the request for a page of another site.
pub(crate) fn of_no_foreign_page(key: &'static str, headers: &HeaderMap) -> Result<(), Failure> {
    let foreign_origin = headers.contains_key(ORIGIN)
        && !text(headers, ORIGIN)
            .and_then(|origin| origin.split_once("://"))
            .is_some_and(|(_, host)| is_loopback(host));
    let cross_site = text(headers, "sec-fetch-site") == Some("cross-site");
    if foreign_origin || cross_site {
        let text = format!("without {key} pages of other sites are not served");
        return Err(Failure::forbidden(text));
    }
    Ok(())
}

fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Whether `host`, with or without a port, is this host by a name that no DNS server can give away.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(address, _)| address),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const ANY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

    fn ask(
        token: &str,
        local: IpAddr,
        path: &'static str,
        headers: &[(&'static str, &str)],
    ) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let token = Secret::new(token);
        let uri = Uri::from_static(path);
        match allowed(("api.token", &token), Some(local), &uri, &map) {
            Ok(()) => 200,
            Err(failure) => failure.into_response().status().as_u16(),
        }
    }

    #[test]
    fn with_a_token_only_its_bearer_and_health_checks_pass() {
        let ask = |path, headers: &[(&'static str, &str)]| ask("secret", ANY, path, headers);
        assert_eq!(ask("/api/v1", &[]), 401);
        assert_eq!(ask("/metrics", &[]), 401);
        assert_eq!(ask("/healthz/", &[]), 401);
        assert_eq!(ask("/healthz", &[]), 200);
        assert_eq!(ask("/readyz?verbose", &[]), 200);
        assert_eq!(ask("/api/v1", &[("authorization", "Bearer secret")]), 200);
        assert_eq!(ask("/api/v1", &[("authorization", "bearer  secret")]), 200);
        for wrong in [
            "Bearer secre",
            "Bearer secrets",
            "Basic secret",
            "secret",
            "Bearer ",
            "Bearer",
        ] {
            assert_eq!(ask("/api/v1", &[("authorization", wrong)]), 401, "{wrong}");
        }
        // a page cannot know the token, so its host may be any
        let headers = [("authorization", "Bearer secret"), ("host", "weir.example")];
        assert_eq!(ask("/api/v1", &headers), 200);
    }

    #[test]
    fn without_a_token_nothing_but_loopback_is_served() {
        assert_eq!(ask("", ANY, "/api/v1", &[("host", "127.0.0.1")]), 403);
        assert_eq!(
            ask("", ANY, "/api/v1", &[("authorization", "Bearer ")]),
            403
        );
        assert_eq!(ask("", LOOPBACK, "/api/v1", &[]), 200);
    }

    #[test]
    fn without_a_token_foreign_host_names_are_refused() {
        for good in [
            "127.0.0.1",
            "127.0.0.1:1985",
            "LocalHost:1985",
            "[::1]:1985",
            "[::1]",
            "127.9.9.9",
        ] {
            assert_eq!(
                ask("", LOOPBACK, "/metrics", &[("host", good)]),
                200,
                "{good}"
            );
        }
        let bad = [
            "evil.example",
            "evil.example:1985",
            "localhost.evil.example",
            "10.0.0.1",
            "",
            "[::2]",
            "[::1",
            "127.0.0.1.evil.example",
            "0.0.0.0",
            "localhost.",
        ];
        for bad in bad {
            assert_eq!(
                ask("", LOOPBACK, "/healthz", &[("host", bad)]),
                403,
                "{bad}"
            );
        }
        let absolute = "http://evil.example/metrics";
        assert_eq!(ask("", LOOPBACK, absolute, &[("host", "localhost")]), 403);
    }

    /// A request to a port of streams, as a browser on this host makes it unless `headers` say otherwise; a header
    /// with an empty value is left out.
    fn on_port(
        token: &str,
        peer: &str,
        (method, path): (&str, &str),
        headers: &[(&'static str, &str)],
    ) -> u16 {
        let peer: SocketAddr = peer.parse().unwrap();
        let mut request = http::Request::builder()
            .method(method)
            .uri(path)
            .extension(weir_http::pages::Peer(peer));
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "localhost:8080");
        }
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        let token = Secret::new(token);
        match allowed_on_port(("api.token", &token), &request.body(()).unwrap()) {
            Ok(()) => 200,
            Err(failure) => failure.into_response().status().as_u16(),
        }
    }

    const HERE: &str = "127.0.0.1:50000";
    const LOOK: (&str, &str) = ("GET", "/api/v1/streams");
    const KICK: (&str, &str) = ("DELETE", "/api/v1/clients/7");
    const RAW: (&str, &str) = ("GET", "/api/v1/raw?rpc=reload");

    #[test]
    fn on_a_port_of_streams_peers_of_this_host_look_without_a_token() {
        for (peer, expected) in [
            (HERE, 200),
            ("127.8.8.8:1", 200),
            ("[::1]:1", 200),
            ("[::ffff:127.0.0.1]:1", 200),
            ("10.0.0.7:1", 403),
            ("[::ffff:10.0.0.7]:1", 403),
            ("[fe80::1]:1", 403),
        ] {
            assert_eq!(on_port("", peer, LOOK, &[]), expected, "{peer}");
            // health checks of balancers have no business here
            let health = on_port("", peer, ("GET", "/api/v1"), &[]);
            assert_eq!(health, expected, "{peer}");
        }
        let nobody = http::Request::builder()
            .header("host", "localhost")
            .body(());
        let judged = allowed_on_port(("api.token", &Secret::default()), &nobody.unwrap());
        assert!(judged.is_err(), "a peer that nobody noted");
    }

    #[test]
    fn on_a_port_of_streams_the_token_is_enough_and_needed() {
        let bearer = ("authorization", "Bearer secret");
        for peer in [HERE, "10.0.0.7:1"] {
            for what in [LOOK, KICK, RAW] {
                assert_eq!(on_port("secret", peer, what, &[]), 401, "{what:?}");
                assert_eq!(on_port("secret", peer, what, &[bearer]), 200, "{what:?}");
                let through = [
                    bearer,
                    ("host", "weir.example"),
                    ("x-forwarded-for", "1.2.3.4"),
                ];
                assert_eq!(on_port("secret", peer, what, &through), 200, "{what:?}");
            }
            let wrong = ("authorization", "Bearer secre");
            assert_eq!(on_port("secret", peer, LOOK, &[wrong]), 401);
        }
    }

    #[test]
    fn on_a_port_of_streams_what_was_passed_on_needs_the_token() {
        for name in [
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-real-ip",
            "via",
            "cf-connecting-ip",
            "x-weir-session",
        ] {
            assert_eq!(
                on_port("", HERE, LOOK, &[(name, "127.0.0.1")]),
                403,
                "{name}"
            );
        }
        let old = http::Request::builder()
            .version(Version::HTTP_10)
            .header("host", "127.0.0.1:8080")
            .extension(weir_http::pages::Peer(HERE.parse().unwrap()));
        let judged = allowed_on_port(("api.token", &Secret::default()), &old.body(()).unwrap());
        assert!(judged.is_err());
        // a page that was reached by another name shows it, whatever the proxy says for a host
        let page = [("referer", "http://tv.example/console/")];
        assert_eq!(on_port("", HERE, LOOK, &page), 403);
        assert_eq!(
            on_port(
                "",
                HERE,
                LOOK,
                &[("referer", "http://localhost:8080/console/")]
            ),
            200
        );
    }

    #[test]
    fn on_a_port_of_streams_the_host_is_needed_and_of_this_host() {
        for (host, expected) in [
            ("localhost:8080", 200),
            ("127.0.0.1", 200),
            ("[::1]:8080", 200),
            ("", 400),
            ("evil.example", 403),
            ("localhost.evil.example:8080", 403),
            ("10.0.0.1:8080", 403),
        ] {
            assert_eq!(
                on_port("", HERE, LOOK, &[("host", host)]),
                expected,
                "{host}"
            );
        }
        // two hosts are none; HTTP/2 names it in the target alone
        let absolute = ("GET", "http://evil.example/api/v1/streams");
        assert_eq!(on_port("", HERE, absolute, &[]), 400);
        assert_eq!(on_port("", HERE, absolute, &[("host", "")]), 403);
        let target = ("DELETE", "http://localhost:8080/api/v1/clients/7");
        assert_eq!(on_port("", HERE, target, &[("host", "")]), 200);
        let own = [("host", ""), ("origin", "http://localhost:8080")];
        assert_eq!(on_port("", HERE, target, &own), 200);
        let other = [("host", ""), ("origin", "http://localhost:3000")];
        assert_eq!(on_port("", HERE, target, &other), 403);
        let twice = [("host", "localhost"), ("host", "127.0.0.1")];
        assert_eq!(on_port("", HERE, LOOK, &twice), 400);
    }

    #[test]
    fn on_a_port_of_streams_only_its_own_pages_change_something() {
        let own = "http://localhost:8080";
        for (name, value, looks, changes) in [
            ("origin", own, 200, 200),
            ("origin", "http://localhost:3000", 200, 403),
            ("origin", "http://127.0.0.1:8080", 200, 403),
            ("origin", "null", 403, 403),
            ("origin", "https://evil.example", 403, 403),
            ("sec-fetch-site", "same-origin", 200, 200),
            ("sec-fetch-site", "none", 200, 200),
            ("sec-fetch-site", "same-site", 200, 403),
            ("sec-fetch-site", "cross-site", 403, 403),
            ("referer", "http://localhost:8080/console/clients", 200, 200),
            ("referer", "http://localhost:3000/", 200, 403),
            ("referer", "nonsense", 403, 403),
            ("accept", "*/*", 200, 200),
        ] {
            let ask = |what| on_port("", HERE, what, &[(name, value)]);
            assert_eq!(ask(LOOK), looks, "{name}: {value}");
            for what in [
                KICK,
                RAW,
                ("POST", "/api/v1/reload"),
                ("GET", "/api/v1/raw/"),
            ] {
                assert_eq!(ask(what), changes, "{what:?} {name}: {value}");
            }
        }
        let both = [("origin", own), ("sec-fetch-site", "cross-site")];
        assert_eq!(on_port("", HERE, KICK, &both), 403);
    }

    #[test]
    fn without_a_token_requests_of_foreign_pages_are_refused() {
        let ask = |name, value| ask("", LOOPBACK, "/api/v1/reload", &[(name, value)]);
        assert_eq!(ask("origin", "http://localhost:3000"), 200);
        assert_eq!(ask("origin", "https://evil.example"), 403);
        assert_eq!(ask("origin", "null"), 403);
        assert_eq!(ask("sec-fetch-site", "cross-site"), 403);
        assert_eq!(ask("sec-fetch-site", "same-origin"), 200);
        assert_eq!(ask("sec-fetch-site", "none"), 200);
    }
}
