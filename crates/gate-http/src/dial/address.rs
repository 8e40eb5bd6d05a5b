//! `http://` addresses.
//!
//! Owns: cutting an address into what a request needs, resolving a `Location` against it, and showing it without its
//! secrets. Does not: resolve names, or re-encode anything.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

/// Port of `http://` without one.
const DEFAULT_PORT: u16 = 80;

/// Longest address accepted, in bytes. Common servers refuse request lines of 8 KiB.
const MAX_URL_BYTES: usize = 4096;

/// The parts of `http://[user:password@]host[:port]/path[?query]`.
///
/// Its `Display` form has neither user information nor query: either may be a credential.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl {
    /// Host name or address; IPv6 without its brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// `user:password`, decoded; empty if there is none.
    user: Vec<u8>,
    /// Path and query, as they were written; begins with a slash.
    pub(super) target: String,
}

/// Why a text is no address of an HTTP-FLV stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidUrl {
    /// `https` is not spoken here yet.
    #[error("https:// is not supported yet")]
    Https,
    /// The scheme is neither.
    #[error("address does not begin with http://")]
    Scheme,
    /// There is no host.
    #[error("address has no host")]
    Host,
    /// The port is no number of 1..=65535.
    #[error("address has a wrong port")]
    Port,
    /// Longer than 4096 bytes.
    #[error("address is longer than {MAX_URL_BYTES} bytes")]
    TooLong,
    /// Spaces, control characters, or what is not ASCII.
    #[error("address has characters that must be percent-encoded")]
    Character,
}

impl HttpUrl {
    /// Value of the `Host` field.
    pub(super) fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        let host = match host.contains(':') {
            true => format!("[{host}]"),
            false => host.clone(),
        };
        match *port {
            DEFAULT_PORT => host,
            port => format!("{host}:{port}"),
        }
    }

    /// Value of the `Authorization` field (RFC 7617), if the address has user information.
    pub(super) fn authorization(&self) -> Option<String> {
        (!self.user.is_empty()).then(|| format!("Basic {}", STANDARD.encode(&self.user)))
    }

    /// The address that `location` means in an answer to a request for this one (RFC 3986 §5.2, without dot segments).
    /// User information goes along only to the same host and port.
    pub(super) fn join(&self, location: &str) -> Result<Self, InvalidUrl> {
        let location = location.split('#').next().unwrap_or_default();
        if location.contains("://") {
            let mut url: Self = location.parse()?;
            if url.user.is_empty() && (&url.host, url.port) == (&self.host, self.port) {
                url.user.clone_from(&self.user);
            }
            return Ok(url);
        }
        if let Some(rest) = location.strip_prefix("//") {
            return format!("http://{rest}").parse();
        }
        let path = self.target.split('?').next().unwrap_or_default();
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let target = match location.get(..1) {
            Some("/") => location.to_owned(),
            Some("?") => format!("{path}{location}"),
            _ => format!("{folder}/{location}"),
        };
        check(&target)?;
        Ok(Self {
            target,
            ..self.clone()
        })
    }
}

fn check(text: &str) -> Result<(), InvalidUrl> {
    if text.len() > MAX_URL_BYTES {
        return Err(InvalidUrl::TooLong);
    }
    match text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(()),
        false => Err(InvalidUrl::Character),
    }
}

impl FromStr for HttpUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        check(text)?;
        let (scheme, rest) = text.split_once("://").ok_or(InvalidUrl::Scheme)?;
        match scheme.to_ascii_lowercase().as_str() {
            "http" => {}
            "https" => return Err(InvalidUrl::Https),
            _ => return Err(InvalidUrl::Scheme),
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (user, host_port) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (host, port) = split_port(host_port)?;
        Ok(Self {
            host: host.to_owned(),
            port,
            user: percent_decode_str(user).collect(),
            target: match target.starts_with('/') {
                true => target.to_owned(),
                false => format!("/{target}"),
            },
        })
    }
}

fn split_port(text: &str) -> Result<(&str, u16), InvalidUrl> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or(InvalidUrl::Host)?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    if host.is_empty() {
        return Err(InvalidUrl::Host);
    }
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => DEFAULT_PORT,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
            .parse()
            .ok()
            .filter(|&port| port != 0)
            .ok_or(InvalidUrl::Port)?,
        _ => return Err(InvalidUrl::Port),
    };
    Ok((host, port))
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "http://{}{path}", self.authority())
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn url(text: &str) -> HttpUrl {
        text.parse().expect("an address")
    }

    #[test]
    fn forms_in_use() {
        let parts = |text| {
            let url = url(text);
            (url.authority(), url.target)
        };
        let owned = |host: &str, target: &str| (host.to_owned(), target.to_owned());
        assert_eq!(
            parts("http://h/live/s.flv?a=b/c"),
            owned("h", "/live/s.flv?a=b/c")
        );
        assert_eq!(parts("HTTP://h:8080/s.flv#x"), owned("h:8080", "/s.flv"));
        assert_eq!(parts("http://[::1]:99?a"), owned("[::1]:99", "/?a"));
        assert_eq!(parts("http://h:80"), owned("h", "/"));
    }

    #[test]
    fn what_is_no_address() {
        let error = |text: &str| text.parse::<HttpUrl>().expect_err("wrong");
        assert_eq!(error("https://h/s.flv"), InvalidUrl::Https);
        assert_eq!(error("rtmp://h/s.flv"), InvalidUrl::Scheme);
        assert_eq!(error("http:///s.flv"), InvalidUrl::Host);
        assert_eq!(error("http://h:0/"), InvalidUrl::Port);
        assert_eq!(error("http://[::1]9/"), InvalidUrl::Port);
        assert_eq!(error("http://h/a b"), InvalidUrl::Character);
        assert_eq!(error("http://h/a\r\nX: y"), InvalidUrl::Character);
        let long = format!("http://h/{}", "s".repeat(5000));
        assert_eq!(error(&long), InvalidUrl::TooLong);
    }

    #[test]
    fn user_information_is_sent_and_not_shown() {
        let url = url("http://me:p%40ss@h/s.flv?token=1");
        assert_eq!(url.authorization().as_deref(), Some("Basic bWU6cEBzcw=="));
        assert_eq!(url.to_string(), "http://h/s.flv");
        let same = url.join("http://h/t.flv").expect("usable");
        assert!(same.authorization().is_some());
        let other = url.join("http://other/t.flv").expect("usable");
        assert!(other.authorization().is_none());
    }

    #[test]
    fn locations_are_resolved() {
        let from = url("http://h:81/live/s.flv?a=b");
        let to = |location| {
            let url = from.join(location).expect("usable");
            format!("{} {}", url.authority(), url.target)
        };
        assert_eq!(to("http://o/x.flv?c"), "o /x.flv?c");
        assert_eq!(to("//o:9/x"), "o:9 /x");
        assert_eq!(to("/x.flv"), "h:81 /x.flv");
        assert_eq!(to("x.flv"), "h:81 /live/x.flv");
        assert_eq!(to("?c=d"), "h:81 /live/s.flv?c=d");
        assert_eq!(from.join("https://h/x"), Err(InvalidUrl::Https));
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in "(http://)?.{0,40}", location in ".{0,40}") {
            if let Ok(url) = text.parse::<HttpUrl>() {
                let _ = url.join(&location);
            }
        }
    }
}
