//! What a path means on this port.
//!
//! Owns: [`Resource`], the order in which names are tried, and the two small pages. Does not: know whether a stream
//! exists (it asks), or judge names of files (`weir-segment` does).
//!
//! A name may be read in two ways: `cam-12.ts` is an endless stream called `cam-12`, or segment 12 of `cam`. What exists
//! decides; the longer name of a stream goes first.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use weir_gate::{Address, InvalidAddress};
use weir_media::{InvalidKey, StreamKey};
use weir_segment::File;

use weir_http::pages::is_page;
use weir_http::request::{Method, Request};

use crate::egress::Container;

/// The page at `/`, where the application has none.
pub(crate) const PAGE: &str = "\
This port serves live streams.

play      http://<this host>/<app>/<stream>.flv    ws://<this host>/<app>/<stream>.flv
          http://<this host>/<app>/<stream>.ts     ws://<this host>/<app>/<stream>.ts
          http://<this host>/<app>/<stream>.m3u8   http://<this host>/<app>/<stream>.mpd
publish   POST or PUT an FLV or MPEG-TS body to <stream>.flv or <stream>.ts

ffplay http://<this host>/live/example.flv
ffmpeg -re -i example.mp4 -c copy -f flv -method POST http://<this host>/live/example.flv
";

/// The page at `/crossdomain.xml`, by which Flash players were let in; some set-top boxes still ask for it.
pub(crate) const CROSS_DOMAIN: &str = "\
<?xml version=\"1.0\"?>
<cross-domain-policy><allow-access-from domain=\"*\"/></cross-domain-policy>
";

/// What a name is looked up in.
pub(crate) trait Known {
    /// Somebody publishes the stream.
    fn is_live(&self, key: &StreamKey) -> bool;
    /// The stream has segments, or can have.
    fn has_files(&self, key: &StreamKey) -> bool;
}

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resource {
    /// The page that says what this port does, or the server as a whole.
    Page,
    /// The policy for Flash.
    CrossDomain,
    /// An endless stream.
    Stream(Address, Container),
    /// A file of a stream.
    File(StreamKey, File),
    /// The application's, if it has pages.
    Application,
    /// A path that can be no stream's.
    Unknown,
    /// A path or query that is wrong whatever exists.
    Invalid(&'static str),
}

impl Resource {
    /// What `request` is about; `vhosts` are the configured virtual hosts. Without pages of the application there is one
    /// page.
    pub(crate) fn new(
        request: &Request,
        vhosts: &[String],
        has_pages: bool,
        known: &dyn Known,
    ) -> Self {
        let named = Self::named(request, vhosts, known);
        match (named, request.path.as_str()) {
            (named @ (Self::Stream(..) | Self::File(..)), _) => named,
            (_, path) if has_pages && is_page(path) => Self::Application,
            (_, "/" | "*") => Self::Page,
            (_, "/crossdomain.xml") => Self::CrossDomain,
            (named, _) => named,
        }
    }

    fn named(request: &Request, vhosts: &[String], known: &dyn Known) -> Self {
        let Ok(path) = percent_decode_str(&request.path).decode_utf8() else {
            return Self::Invalid("the path is no UTF-8");
        };
        let Some((app, file)) = path.rsplit_once('/') else {
            return Self::Unknown;
        };
        // an encoded question mark would begin a query of its own
        if path.contains(['?', '#']) {
            return Self::Unknown;
        }
        if has_encoded_slash(&request.path) {
            return Self::Invalid("the path has an encoded slash");
        }
        let address = |name: &str| {
            let whole = match request.query.as_str() {
                "" => Cow::Borrowed(name),
                query => Cow::Owned(format!("{name}?{query}")),
            };
            Address::new(&request.host, app, &whole, vhosts)
        };
        if let Some(name) = file.strip_suffix(".flv") {
            return Self::stream(address(name), Container::Flv);
        }
        if let Some(name) = file.strip_suffix(".ts") {
            let publishes = matches!(request.method, Method::Post | Method::Put);
            let stream = Self::stream(address(name), Container::Ts);
            return match &stream {
                Self::Stream(address, _) if publishes || known.is_live(&address.key) => stream,
                _ => Self::existing_file(file, address, known).unwrap_or(stream),
            };
        }
        Self::existing_file(file, address, known).unwrap_or_else(|| {
            let readings = File::candidates(file).into_iter().flatten();
            let mut meant = readings.map(|(name, file)| Self::file(address(name), file));
            meant.next().unwrap_or(Self::Unknown)
        })
    }

    /// The first reading of a file's name whose stream is there.
    fn existing_file(
        file: &str,
        address: impl Fn(&str) -> Result<Address, InvalidAddress>,
        known: &dyn Known,
    ) -> Option<Self> {
        let readings = File::candidates(file).into_iter().flatten();
        let mut meant = readings.filter_map(|(name, file)| Some((address(name).ok()?.key, file)));
        let (key, file) = meant.find(|(key, _)| known.has_files(key))?;
        Some(Self::File(key, file))
    }

    fn stream(address: Result<Address, InvalidAddress>, container: Container) -> Self {
        match address {
            Ok(address) => Self::Stream(address, container),
            Err(error) => Self::wrong(error),
        }
    }

    fn file(address: Result<Address, InvalidAddress>, file: File) -> Self {
        match address {
            Ok(address) => Self::File(address.key, file),
            Err(error) => Self::wrong(error),
        }
    }

    fn wrong(error: InvalidAddress) -> Self {
        match error {
            InvalidAddress::Start => Self::Invalid("start must be one of cache, next-key and live"),
            InvalidAddress::Key(InvalidKey::TooLong) => {
                Self::Invalid("the stream's name is too long")
            }
            InvalidAddress::Key(_) => Self::Unknown,
        }
    }
}

/// A slash in disguise: caches and guards in front of this server would see another path than it does.
fn has_encoded_slash(path: &str) -> bool {
    path.split('%').skip(1).any(|rest| {
        rest.get(..2)
            .is_some_and(|code| code.eq_ignore_ascii_case("2f"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use weir_http::head::Heads;
    use weir_hub::Start;

    /// Streams that are there.
    struct There(&'static [&'static str]);

    impl Known for There {
        fn is_live(&self, key: &StreamKey) -> bool {
            self.0.contains(&key.as_str())
        }

        fn has_files(&self, key: &StreamKey) -> bool {
            self.is_live(key)
        }
    }

    fn asked(line: &str, host: &str, there: &There, has_pages: bool) -> Resource {
        let mut heads = Heads::new(10_000);
        heads.push(format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        let request = heads.pull().expect("valid").expect("whole");
        let vhosts = ["live.example.com".to_owned()];
        Resource::new(&request, &vhosts, has_pages, there)
    }

    fn resource(host: &str, target: &str) -> Resource {
        asked(&format!("GET {target}"), host, &There(&[]), false)
    }

    fn key(host: &str, target: &str) -> Option<String> {
        match resource(host, target) {
            Resource::Stream(address, _) => Some(address.key.to_string()),
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
            "/a/../x.flv",
            "/a/%3Fx.flv",
            "/a/%2e%2e/x.ts",
            "/a/./x.m3u8",
            "/a/x%00.ts",
            "/%2e%2e/%2E%2e/etc-1.key",
            "/../-av-1.m4s",
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
    fn what_exists_decides_how_a_name_is_read() {
        let get = |target: &str, there| asked(&format!("GET {target}"), "h", &There(there), false);
        let cam: &[&str] = &["__defaultVhost__/live/cam"];
        let both: &[&str] = &["__defaultVhost__/live/cam", "__defaultVhost__/live/cam-12"];
        let is_stream = |resource: Resource, name: &str| match resource {
            Resource::Stream(address, Container::Ts) => address.key.name() == name,
            _ => false,
        };
        let is_file = |resource: Resource, name: &str, file: File| match resource {
            Resource::File(key, found) => key.name() == name && found == file,
            _ => false,
        };
        assert!(is_stream(get("/live/cam-12.ts", &[]), "cam-12"));
        assert!(is_file(
            get("/live/cam-12.ts", cam),
            "cam",
            File::Ts { msn: 12 }
        ));
        assert!(is_stream(get("/live/cam-12.ts", both), "cam-12"));
        assert!(is_stream(get("/live/cam.ts", cam), "cam"));
        let post = asked("POST /live/cam-12.ts", "h", &There(cam), false);
        assert!(is_stream(post, "cam-12"));
        assert!(is_file(
            get("/live/cam-v.m3u8", &[]),
            "cam-v",
            File::Multivariant
        ));
        let list = File::Playlist(weir_segment::List::Fmp4(weir_segment::View::Video));
        assert!(is_file(get("/live/cam-v.m3u8", cam), "cam", list));
        assert!(is_file(get("/live/cam.mpd", &[]), "cam", File::Manifest));
    }

    #[test]
    fn pages_are_the_applications_unless_they_name_a_stream() {
        let get = |target: &str, has| asked(&format!("GET {target}"), "h", &There(&[]), has);
        for path in ["/", "/console/", "/api/v1/streams", "/favicon.ico"] {
            assert_eq!(get(path, true), Resource::Application, "{path}");
        }
        assert_eq!(get("/", false), Resource::Page);
        assert_eq!(get("/api/v1/streams", false), Resource::Unknown);
        assert!(matches!(get("/console/x.flv", true), Resource::Stream(..)));
        assert_eq!(get("/crossdomain.xml", true), Resource::CrossDomain);
    }

    #[test]
    fn slashes_in_disguise_are_refused() {
        for path in ["/live%2fx.flv", "/live/a%2Fx.ts", "/a/..%2f..%2fx.m3u8"] {
            assert!(
                matches!(resource("h", path), Resource::Invalid(_)),
                "{path}"
            );
        }
        // decoded once: this is the name of a stream, odd as it is
        assert!(key("h", "/live/%252e%252e.flv").is_some());
    }

    #[test]
    fn a_start_is_understood() {
        match resource("h", "/a/x.flv?start=next-key") {
            Resource::Stream(address, _) => assert_eq!(address.start, Some(Start::NextKey)),
            other => panic!("no stream: {other:?}"),
        }
    }

    proptest! {
        #[test]
        fn any_path_means_something(path in "/[!-~]{0,60}") {
            let _ = resource("h", &path);
        }

        #[test]
        fn any_file_means_something(path in "/(a|%2e|%2f|%00|\\.|/){0,8}[-avts0-9.]{0,8}\\.(ts|m3u8|m4s|mp4|mpd|key|flv)") {
            let _ = resource("h", &path);
        }
    }
}
