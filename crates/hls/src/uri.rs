//! What can be said of a URI without resolving it.
//!
//! Owns: parameters of a query, schemes, authorities (RFC 3986). Does not: percent-decode, resolve, or judge whether a
//! text is a URI at all.

/// `uri` with `parameter`, such as `a=b`, at the end of its query and before its fragment. `parameter` must be
/// percent-encoded as it has to be.
pub fn with_query(uri: &str, parameter: &str) -> String {
    let (before, fragment) = uri.split_at(uri.find('#').unwrap_or(uri.len()));
    let lead = match before.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    [before, lead, parameter, fragment].concat()
}

/// Appends `name` percent-encoded as one segment of a path: all but letters, digits and `-._~` (RFC 3986 §2.3). So it can
/// stand at the beginning of a relative reference, in quotes, in XML and in a template of DASH, whatever it is.
pub fn push_encoded(name: &str, out: &mut String) {
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            crate::write::push_percent(out, byte);
        }
    }
}

/// Whether `uri` begins with a scheme (RFC 3986 §3.1), be it `http:`, `data:` or another.
pub fn is_absolute(uri: &str) -> bool {
    scheme(uri).is_some()
}

/// Whether `uri` is an `http`, `https` or scheme-less (`//host/path`) URL of `host`, an address without brackets, and
/// `port`. A URL without a port has that of its scheme; without a scheme any port fits.
pub fn same_origin(uri: &str, host: &str, port: u16) -> bool {
    Url::parse(uri).is_some_and(|url| {
        let fits = url.port().is_none_or(|own| own == port);
        fits && url.host.eq_ignore_ascii_case(host)
    })
}

/// The path, query and fragment of a URL on `authority` (`host`, `host:port`, `[v6]:port`), so that it leads to whoever
/// serves the text it stands in. `None` when `uri` leads elsewhere, has user information, or is relative already.
pub fn relative_to_root(uri: &str, authority: &str) -> Option<String> {
    let url = Url::parse(uri)?;
    let (host, port) = split_authority(authority)?;
    // an authority without a port was asked by the scheme's own
    let same_port = match (url.port(), port.or_else(|| url.default_port())) {
        (Some(own), Some(wanted)) => own == wanted,
        _ => true,
    };
    if !same_port || !url.host.eq_ignore_ascii_case(host) {
        return None;
    }
    Some(match url.rest {
        // two slashes would begin an authority (RFC 3986 §4.2)
        rest if rest.starts_with("//") => format!("/.{rest}"),
        rest if rest.starts_with('/') => rest.to_owned(),
        rest => format!("/{rest}"),
    })
}

fn scheme(uri: &str) -> Option<&str> {
    let (scheme, _) = uri.split_once(':')?;
    let is_sound = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"+-.".contains(&c));
    is_sound.then_some(scheme)
}

/// An `http` or `https` URL, or one that leaves the scheme out.
struct Url<'a> {
    scheme: Option<&'a str>,
    /// Without brackets.
    host: &'a str,
    explicit_port: Option<u16>,
    /// Path, query and fragment.
    rest: &'a str,
}

impl<'a> Url<'a> {
    fn parse(uri: &'a str) -> Option<Self> {
        let scheme = scheme(uri);
        let is_web =
            |name: &str| name.eq_ignore_ascii_case("http") || name.eq_ignore_ascii_case("https");
        let behind = match scheme {
            Some(name) if is_web(name) => uri.get(name.len() + 1..)?,
            Some(_) => return None,
            None => uri,
        };
        let behind = behind.strip_prefix("//")?;
        let end = behind.find(['/', '?', '#']).unwrap_or(behind.len());
        let (authority, rest) = behind.split_at(end);
        let (host, explicit_port) = split_authority(authority)?;
        Some(Self {
            scheme,
            host,
            explicit_port,
            rest,
        })
    }

    fn default_port(&self) -> Option<u16> {
        let scheme = self.scheme?;
        Some(if scheme.eq_ignore_ascii_case("https") {
            443
        } else {
            80
        })
    }

    fn port(&self) -> Option<u16> {
        self.explicit_port.or_else(|| self.default_port())
    }
}

/// Host without brackets, and port; `None` for user information and what is no authority.
fn split_authority(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (
                host,
                rest.strip_prefix(':')
                    .or_else(|| rest.is_empty().then_some(""))?,
            )
        }
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    if host.is_empty() || host.contains('@') || port.starts_with('+') {
        return None;
    }
    // a colon without a port is allowed (RFC 3986 §3.2.3)
    let port = match port {
        "" => None,
        digits => Some(digits.parse().ok()?),
    };
    Some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_parameter_joins_the_query() {
        for (uri, expected) in [
            ("s-1.ts", "s-1.ts?id=7"),
            ("s-1.ts?", "s-1.ts?id=7"),
            ("s-1.ts?a=b", "s-1.ts?a=b&id=7"),
            ("s-1.ts?a=b&", "s-1.ts?a=b&id=7"),
            ("s-1.ts#f?x", "s-1.ts?id=7#f?x"),
            ("s-1.ts?a=b#f", "s-1.ts?a=b&id=7#f"),
            (
                "http://h/s.ts?a=http://x/?y",
                "http://h/s.ts?a=http://x/?y&id=7",
            ),
            ("c-$Number%05d$.m4s", "c-$Number%05d$.m4s?id=7"),
            ("", "?id=7"),
        ] {
            assert_eq!(with_query(uri, "id=7"), expected);
        }
    }

    #[test]
    fn names_become_one_segment() {
        let encoded = |name: &str| {
            let mut out = String::new();
            push_encoded(name, &mut out);
            out
        };
        assert_eq!(encoded("cam-1_a.b~"), "cam-1_a.b~");
        assert_eq!(
            encoded("a:b/c?d#e%$\"ü"),
            "a%3Ab%2Fc%3Fd%23e%25%24%22%C3%BC"
        );
    }

    #[test]
    fn schemes() {
        for uri in ["http://h/", "data:text/plain,x", "SKD:x", "a+b-c.1:x"] {
            assert!(is_absolute(uri), "{uri}");
        }
        for uri in [
            "",
            "a/b:c",
            "//h/x",
            "/x",
            "1a:x",
            ":x",
            "ü:x",
            "s.ts?a=b:c",
        ] {
            assert!(!is_absolute(uri), "{uri}");
        }
    }

    #[test]
    fn urls_of_an_origin_become_relative() {
        for (uri, authority, expected) in [
            (
                "http://10.0.0.1:8080/live/s.ts",
                "10.0.0.1:8080",
                "/live/s.ts",
            ),
            ("HTTP://H.com/live/s.ts?a=b#c", "h.COM", "/live/s.ts?a=b#c"),
            ("http://h:80/x", "h", "/x"),
            ("http://h/x", "h:80", "/x"),
            ("https://h/x", "h:443", "/x"),
            ("http://h:/x", "h", "/x"),
            ("//h:8080/x", "h:8080", "/x"),
            ("//h/x", "h:8080", "/x"),
            ("http://[::1]:8080/x", "[::1]:8080", "/x"),
            ("http://h", "h", "/"),
            ("http://h?a=b", "h", "/?a=b"),
            ("http://h//x", "h", "/.//x"),
        ] {
            assert_eq!(
                relative_to_root(uri, authority).as_deref(),
                Some(expected),
                "{uri}"
            );
        }
        for (uri, authority) in [
            ("http://h:8081/x", "h:8080"),
            ("http://h/x", "h:8080"),
            ("https://h/x", "h:80"),
            ("http://other/x", "h"),
            ("http://user@h/x", "h"),
            ("http://h:x/x", "h"),
            ("http://h:+80/x", "h"),
            ("http://[::1/x", "::1"),
            ("ftp://h/x", "h"),
            ("http:x", "h"),
            ("/x", "h"),
            ("x", "h"),
            ("http://h/x", ""),
        ] {
            assert_eq!(relative_to_root(uri, authority), None, "{uri} {authority}");
        }
    }

    #[test]
    fn origins_are_host_and_port() {
        assert!(same_origin("http://H/x", "h", 80));
        assert!(same_origin("https://h/x", "h", 443));
        assert!(same_origin("//[::1]/x", "::1", 8080));
        assert!(!same_origin("http://h/x", "h", 8080));
        assert!(!same_origin("/x", "h", 80));
    }

    proptest! {
        #[test]
        fn any_text_is_judged(uri: String, other in "(https?:)?//[a-z@:\\[\\]0-9]{0,9}[/?#a-z]{0,9}") {
            for uri in [&uri, &other] {
                let changed = with_query(uri, "id=7");
                prop_assert!(changed.contains("id=7") && changed.len() <= uri.len() + 5);
                prop_assert_eq!(is_absolute(uri), is_absolute(&changed));
                if let Some(path) = relative_to_root(uri, "h") {
                    prop_assert!(path.starts_with('/') && !path.starts_with("//"));
                    prop_assert_eq!(relative_to_root(&path, "h"), None);
                }
                same_origin(uri, "h", 80);
            }
        }
    }
}
