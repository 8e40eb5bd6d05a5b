//! What a path means on this port.
//!
//! Owns: [`Resource`], and the two small pages. Does not: know whether a stream exists.

use percent_encoding::percent_decode_str;
use weir_gate::{Address, InvalidAddress};
use weir_media::InvalidKey;

use weir_http::request::Request;

/// The page at `/`.
pub(crate) const PAGE: &str = "\
This port serves live streams as FLV over HTTP and WebSocket.

play      http://<this host>/<app>/<stream>.flv
          ws://<this host>/<app>/<stream>.flv
publish   POST or PUT an FLV body to the same address

ffplay http://<this host>/live/example.flv
ffmpeg -re -i example.mp4 -c copy -f flv -method POST http://<this host>/live/example.flv
";

/// The page at `/crossdomain.xml`, by which Flash players were let in; some set-top boxes still ask for it.
pub(crate) const CROSS_DOMAIN: &str = "\
<?xml version=\"1.0\"?>
<cross-domain-policy><allow-access-from domain=\"*\"/></cross-domain-policy>
";

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resource {
    /// The page that says what this port does, or the server as a whole.
    Page,
    /// The policy for Flash.
    CrossDomain,
    /// A stream.
    Stream(Address),
    /// A path that can be no stream's.
    Unknown,
    /// A path or query that is wrong whatever exists.
    Invalid(&'static str),
}

impl Resource {
    /// What `request` is about; `vhosts` are the configured virtual hosts.
    pub(crate) fn new(request: &Request, vhosts: &[String]) -> Self {
        match request.path.as_str() {
            "/" | "*" => return Self::Page,
            "/crossdomain.xml" => return Self::CrossDomain,
            _ => {}
        }
        let Ok(path) = percent_decode_str(&request.path).decode_utf8() else {
            return Self::Invalid("the path is no UTF-8");
        };
        let Some((app, file)) = path.rsplit_once('/') else {
            return Self::Unknown;
        };
        let Some(name) = file.strip_suffix(".flv") else {
            return Self::Unknown;
        };
        // an encoded question mark would begin a query of its own
        if path.contains(['?', '#']) {
            return Self::Unknown;
        }
        let name = format!("{name}?{}", request.query);
        match Address::new(&request.host, app, &name, vhosts) {
            Ok(address) => Self::Stream(address),
            Err(InvalidAddress::Start) => {
                Self::Invalid("start must be one of cache, next-key and live")
            }
            Err(InvalidAddress::Key(InvalidKey::TooLong)) => {
                Self::Invalid("the stream's name is too long")
            }
            Err(InvalidAddress::Key(_)) => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use weir_http::head::Heads;
    use weir_hub::Start;

    fn resource(host: &str, target: &str) -> Resource {
        let mut heads = Heads::new(10_000);
        heads.push(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        let request = heads.pull().expect("valid").expect("whole");
        Resource::new(&request, &["live.example.com".to_owned()])
    }

    fn key(host: &str, target: &str) -> Option<String> {
        match resource(host, target) {
            Resource::Stream(address) => Some(address.key.to_string()),
            _ => None,
        }
    }

    #[test]
    fn the_last_slash_splits_and_the_ending_goes() {
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(key("h", "/live/x.flv"), is("__defaultVhost__/live/x"));
        assert_eq!(
            key("h", "/a/b/x.flv.flv?token=1"),
            is("__defaultVhost__/a/b/x.flv")
        );
        assert_eq!(
            key("h", "/live/%C3%A9%20x.flv"),
            is("__defaultVhost__/live/é x")
        );
        assert_eq!(
            key("LIVE.example.com:8080", "/live/x.flv"),
            is("live.example.com/live/x")
        );
        assert_eq!(
            key("h", "/live/x.flv?vhost=live.example.com"),
            is("live.example.com/live/x")
        );
    }

    #[test]
    fn other_paths() {
        for path in [
            "/live/x",
            "/x.flv",
            "/live/.flv",
            "/live/x.ts",
            "/a/../x.flv",
            "/a/%3Fx.flv",
            "//x.flv",
        ] {
            assert_eq!(resource("h", path), Resource::Unknown, "{path}");
        }
        assert_eq!(resource("h", "/"), Resource::Page);
        assert_eq!(resource("h", "*"), Resource::Page);
        assert!(matches!(resource("h", "/a/%ff.flv"), Resource::Invalid(_)));
        assert!(matches!(
            resource("h", "/a/x.flv?start=now"),
            Resource::Invalid(_)
        ));
        let long = format!("/a/{}.flv", "x".repeat(600));
        assert!(matches!(resource("h", &long), Resource::Invalid(_)));
    }

    #[test]
    fn a_start_is_understood() {
        match resource("h", "/a/x.flv?start=next-key") {
            Resource::Stream(address) => assert_eq!(address.start, Some(Start::NextKey)),
            other => panic!("no stream: {other:?}"),
        }
    }

    proptest! {
        #[test]
        fn any_path_means_something(path in "/[!-~]{0,60}") {
            let _ = resource("h", &path);
        }
    }
}
