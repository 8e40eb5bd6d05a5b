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

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, Uri};
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
}

/// Lets a request through or refuses it.
pub(crate) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let token = (guard.token)();
    let near = match guard.near {
        Near::Listener(local) => Some(local.ip()),
        Near::Peer => peer(&request),
    };
    let (uri, headers) = (request.uri(), request.headers());
    match allowed((guard.key, &token), near, uri, headers) {
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

fn text(headers: &HeaderMap, name: impl axum::http::header::AsHeaderName) -> Option<&str> {
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
