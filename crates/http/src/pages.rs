//! The hook by which an HTTP port hands requests to the application: its pages and its API.
//!
//! Owns: the hook's type, what a request carries beside itself, and which paths are meant. Does not: answer, or decide who
//! may ask.
//!
//! A port asks the hook only for paths that name no stream: `/console/x.flv` is a stream. The request has its method,
//! target, fields and whole body, and a [`Peer`] among its extensions; the answer is whole too, and the port adds what
//! belongs to the connection. An answer to HEAD is that to GET, whose body the port leaves out.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

/// Longest body of a request for a page or the API, in bytes: the largest is the record of an origin that registers.
pub const MAX_BODY_BYTES: usize = 64 << 10;

/// Answers requests for pages.
pub type Pages = Arc<dyn Fn(http::Request<Bytes>) -> Answering + Send + Sync>;

/// An answer under way.
pub type Answering = Pin<Box<dyn Future<Output = http::Response<Bytes>> + Send>>;

/// The other end of the connection that a request came by, as an extension of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Whether `path`, as it was sent, is the application's unless it names a stream: `/`, `/favicon.ico`, `/console`, and
/// what is below `/console/` and `/api/`.
pub fn is_page(path: &str) -> bool {
    let below = |root: &str| {
        path.strip_prefix(root)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    matches!(path, "/" | "/console" | "/favicon.ico") || below("/console") || below("/api")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_named_exactly() {
        for path in [
            "/",
            "/favicon.ico",
            "/console",
            "/console/",
            "/console/a/b.js",
            "/api/",
            "/api/v1/streams",
        ] {
            assert!(is_page(path), "{path}");
        }
        for path in [
            "",
            "/consoles",
            "/api",
            "/apis/x",
            "//",
            "/Console/",
            "/live/console/",
            "/%61pi/",
        ] {
            assert!(!is_page(path), "{path}");
        }
    }
}
