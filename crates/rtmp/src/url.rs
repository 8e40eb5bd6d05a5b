//! `rtmp://` addresses.
//!
//! Owns: cutting an address into what `connect` and `publish` or `play` need, and showing it without its secrets.
//! Does not: resolve names, or decode percent escapes (RTMP sends app and stream as they were written).

use std::fmt;
use std::str::FromStr;

/// Port of `rtmp://` without one.
pub const DEFAULT_PORT: u16 = 1935;

/// Longest address accepted, in bytes; longer ones are no use in `tcUrl`, whose AMF0 string holds 65535.
pub const MAX_URL_BYTES: usize = 4096;

/// The parts of `rtmp://host[:port]/app[/instance]/stream[?query]`.
///
/// The last path segment is the stream, all before it is the app. Its `Display` form hides user information and the
/// values of query keys that look secret; [`RtmpUrl::tc_url`] and the fields do not.
#[derive(Clone, PartialEq, Eq)]
pub struct RtmpUrl {
    /// Host name or address; IPv6 without its brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Application, with the instance and its query if it has one, without slashes at the ends.
    pub app: String,
    /// Stream name with its query; empty if the address has none.
    pub stream: String,
}

/// Why a text is no address of an RTMP stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidUrl {
    /// The scheme is not `rtmp`.
    #[error("address does not begin with rtmp://")]
    Scheme,
    /// There is no host, or it has characters that no host has.
    #[error("address has no sound host")]
    Host,
    /// The port is no number of 1..=65535.
    #[error("address has a wrong port")]
    Port,
    /// There is no application.
    #[error("address has no application: rtmp://host/app/stream")]
    App,
    /// Longer than [`MAX_URL_BYTES`].
    #[error("address is longer than {MAX_URL_BYTES} bytes")]
    TooLong,
    /// Spaces or control characters.
    #[error("address has spaces or control characters")]
    Character,
}

impl RtmpUrl {
    /// `tcUrl` of `connect`: the address without stream name and user information. The default port is left out.
    pub fn tc_url(&self) -> String {
        format!("rtmp://{}/{}", Authority(self), self.app)
    }
}

impl FromStr for RtmpUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        if text.len() > MAX_URL_BYTES {
            return Err(InvalidUrl::TooLong);
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(InvalidUrl::Character);
        }
        let (scheme, rest) = text.split_once("://").ok_or(InvalidUrl::Scheme)?;
        if !scheme.eq_ignore_ascii_case("rtmp") {
            return Err(InvalidUrl::Scheme);
        }
        let (authority, path) = rest.split_once('/').ok_or(InvalidUrl::App)?;
        let (host, port) = split_authority(authority)?;
        let (app, stream) = split_path(path);
        if app.is_empty() {
            return Err(InvalidUrl::App);
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            app: app.to_owned(),
            stream: stream.to_owned(),
        })
    }
}

fn split_authority(authority: &str) -> Result<(&str, u16), InvalidUrl> {
    let host_port = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host_port)| host_port);
    let (host, port) = if let Some(rest) = host_port.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(InvalidUrl::Host)?;
        match rest {
            "" => (host, None),
            _ => (host, Some(rest.strip_prefix(':').ok_or(InvalidUrl::Port)?)),
        }
    } else {
        match host_port.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (host_port, None),
        }
    };
    // none of these can be in a host (RFC 3986 §3.2.2), and written out again they would mean something else
    if host.is_empty() || host.contains(['[', ']', '?', '#']) {
        return Err(InvalidUrl::Host);
    }
    let port = match port {
        None => DEFAULT_PORT,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
            .parse()
            .ok()
            .filter(|&port| port != 0)
            .ok_or(InvalidUrl::Port)?,
        Some(_) => return Err(InvalidUrl::Port),
    };
    Ok((host, port))
}

/// The slash before the stream is the last one that is not in the stream's query. A query before that slash belongs
/// to the app (`app?vhost=x/stream`, an old form for virtual hosts).
fn split_path(path: &str) -> (&str, &str) {
    let path = path.trim_start_matches('/');
    let query = match path.split_once('?') {
        // app?query/stream: no slash before the query
        Some((before, _)) if !before.trim_end_matches('/').contains('/') => path.len(),
        Some((before, _)) => before.len(),
        None => path.len(),
    };
    let (names, _) = path.split_at_checked(query).unwrap_or((path, ""));
    match names.rfind('/') {
        Some(slash) => {
            let (app, stream) = path.split_at_checked(slash).unwrap_or((path, ""));
            (app.trim_end_matches('/'), stream.trim_start_matches('/'))
        }
        None => (path, ""),
    }
}

struct Authority<'a>(&'a RtmpUrl);

impl fmt::Display for Authority<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RtmpUrl { host, port, .. } = self.0;
        if host.contains(':') {
            write!(f, "[{host}]")?;
        } else {
            f.write_str(host)?;
        }
        if *port == DEFAULT_PORT {
            Ok(())
        } else {
            write!(f, ":{port}")
        }
    }
}

impl fmt::Display for RtmpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rtmp://{}/{}", Authority(self), Masked(&self.app))?;
        if self.stream.is_empty() {
            Ok(())
        } else {
            write!(f, "/{}", Masked(&self.stream))
        }
    }
}

impl fmt::Debug for RtmpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RtmpUrl({self})")
    }
}

/// Shows a name that may carry a query, with the values of secret-looking keys as `***`. For logs.
#[derive(Clone, Copy)]
pub struct Masked<'a>(pub &'a str);

impl fmt::Display for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((name, query)) = self.0.split_once('?') else {
            return f.write_str(self.0);
        };
        f.write_str(name)?;
        let mut lead = '?';
        for pair in query.split(['&', '?']) {
            match pair.split_once('=') {
                Some((key, _)) if is_secret(key) => write!(f, "{lead}{key}=***")?,
                _ => write!(f, "{lead}{pair}")?,
            }
            lead = '&';
        }
        Ok(())
    }
}

impl fmt::Debug for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Query keys whose values stay out of logs, in lower case; any key that contains one of them counts.
const SECRET_KEYS: [&str; 9] = [
    "token",
    "secret",
    "key",
    "sign",
    "pass",
    "pwd",
    "auth",
    "credential",
    "jwt",
];

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_KEYS.iter().any(|secret| key.contains(secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(text: &str) -> (String, u16, String, String) {
        let url: RtmpUrl = text.parse().unwrap();
        (url.host, url.port, url.app, url.stream)
    }

    fn owned(host: &str, port: u16, app: &str, stream: &str) -> (String, u16, String, String) {
        (host.to_owned(), port, app.to_owned(), stream.to_owned())
    }

    #[test]
    fn forms_in_use() {
        assert_eq!(
            parts("rtmp://host/live/s"),
            owned("host", 1935, "live", "s")
        );
        assert_eq!(parts("RTMP://h:1936/a/i/s"), owned("h", 1936, "a/i", "s"));
        assert_eq!(
            parts("rtmp://h/a/s?token=a/b"),
            owned("h", 1935, "a", "s?token=a/b")
        );
        assert_eq!(
            parts("rtmp://h/a?vhost=v/s"),
            owned("h", 1935, "a?vhost=v", "s")
        );
        assert_eq!(parts("rtmp://[::1]:99/a/s"), owned("::1", 99, "a", "s"));
        assert_eq!(parts("rtmp://user:pw@h/a//s"), owned("h", 1935, "a", "s"));
        assert_eq!(parts("rtmp://h/a"), owned("h", 1935, "a", ""));
        assert_eq!(parts("rtmp://h/a/"), owned("h", 1935, "a", ""));
    }

    #[test]
    fn what_is_no_address() {
        let error = |text: &str| text.parse::<RtmpUrl>().unwrap_err();
        assert_eq!(error("http://h/a/s"), InvalidUrl::Scheme);
        assert_eq!(error("h/a/s"), InvalidUrl::Scheme);
        assert_eq!(error("rtmp:///a/s"), InvalidUrl::Host);
        assert_eq!(error("rtmp://[::1/a/s"), InvalidUrl::Host);
        assert_eq!(error("rtmp://[[]/a/s"), InvalidUrl::Host);
        assert_eq!(error("rtmp://h]/a/s"), InvalidUrl::Host);
        assert_eq!(error("rtmp://h?x/a/s"), InvalidUrl::Host);
        assert_eq!(error("rtmp://h:0/a/s"), InvalidUrl::Port);
        assert_eq!(error("rtmp://h:+1/a/s"), InvalidUrl::Port);
        assert_eq!(error("rtmp://h:65536/a/s"), InvalidUrl::Port);
        assert_eq!(error("rtmp://h"), InvalidUrl::App);
        assert_eq!(error("rtmp://h//"), InvalidUrl::App);
        assert_eq!(error("rtmp://h/a b/s"), InvalidUrl::Character);
        assert_eq!(
            error(&format!("rtmp://h/a/{}", "s".repeat(5000))),
            InvalidUrl::TooLong
        );
    }

    #[test]
    fn secrets_stay_out_of_the_shown_form() {
        let url: RtmpUrl = "rtmp://u:pw@h:1/a/s?x=1&streamKey=abc&Token=d&sign=e"
            .parse()
            .unwrap();
        let shown = "rtmp://h:1/a/s?x=1&streamKey=***&Token=***&sign=***";
        assert_eq!(url.to_string(), shown);
        assert_eq!(format!("{url:?}"), format!("RtmpUrl({shown})"));
        assert_eq!(url.tc_url(), "rtmp://h:1/a");
    }

    proptest! {
        #[test]
        fn shown_form_parses_back(
            host in "[a-z][a-z0-9.]{0,9}", port in 1u16.., app in "[a-z]{1,9}(/[a-z]{1,3})?",
            stream in "[a-z0-9]{1,9}",
        ) {
            let url = RtmpUrl { host, port, app, stream };
            prop_assert_eq!(url.to_string().parse::<RtmpUrl>(), Ok(url));
        }

        #[test]
        fn any_text_is_judged(text in "(rtmp://)?.{0,40}") {
            let _ = text.parse::<RtmpUrl>();
        }
    }
}
