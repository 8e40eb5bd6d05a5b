//! Keys as the Go proxy makes them.
//!
//! Owns: what Go's `net/url`, `net/http` and `path` make of an address, as far as the key depends on it. Does not: mend
//! it: that `vhost=` is ignored and that a path is decoded twice is the point.

use std::net::{IpAddr, Ipv6Addr};

use percent_encoding::percent_decode_str;
use weir_cluster::Key;

use super::{DEFAULT_VHOST, KeyError, has_sound_escapes, without_extension};

/// The key of an absolute URL: its host, if that has a dot and is no IPv4 address, and its decoded path.
pub(super) fn key_of_url(text: &str) -> Result<Key, KeyError> {
    let url = Url::parse(text)?;
    // the host of an IPv4-mapped address has dots too
    let is_address = match url.host.parse() {
        Ok(IpAddr::V4(_)) => true,
        Ok(IpAddr::V6(address)) => Ipv6Addr::to_ipv4_mapped(&address).is_some(),
        Err(_) => false,
    };
    let vhost = match url.host.contains('.') && !is_address {
        true => url.host.as_str(),
        false => DEFAULT_VHOST,
    };
    Ok(Key::new(&format!("{vhost}{}", url.path))?)
}

/// The key of a request.
pub(super) fn key_of_request(host: &str, path: &str, query: &str) -> Result<Key, KeyError> {
    let host = split_host_port(host).unwrap_or(DEFAULT_VHOST);
    let mut names = String::new();
    for name in ["app", "stream"] {
        if let Some(value) = form_value(query, name) {
            names.push('/');
            names.push_str(&value);
        }
    }
    if names.is_empty() {
        let path = unescape(path)?;
        without_extension(&path).clone_into(&mut names);
    }
    key_of_url(&format!("http://{host}{names}"))
}

/// The key of a stream id; `None` when it has no `r=`, for which the Go proxy has no key.
pub(super) fn key_of_stream_id(stream_id: &str) -> Option<Result<Key, KeyError>> {
    let value = |name| {
        let behind = stream_id.match_indices(name).filter_map(|(at, found)| {
            let rest = stream_id.get(at + found.len()..)?;
            rest.split(',').next()
        });
        behind.into_iter().find(|value| !value.is_empty())
    };
    let resource = value("r=")?;
    let host = value("h=").unwrap_or("localhost");
    Some(key_of_url(&format!("srt://{host}/{resource}")))
}

/// What of a URL the key is made of.
struct Url {
    /// Without user information, brackets and port.
    host: String,
    path: String,
}

impl Url {
    /// As `url.Parse` does.
    fn parse(text: &str) -> Result<Self, KeyError> {
        let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
        if text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
            return Err(KeyError::Url);
        }
        if !has_sound_escapes(fragment) {
            return Err(KeyError::Escape);
        }
        let (scheme, rest) = split_scheme(text)?;
        let rest = rest.split('?').next().unwrap_or_default();
        if !rest.starts_with('/') {
            if scheme.is_some() {
                // what follows such a scheme is opaque
                return Ok(Self {
                    host: String::new(),
                    path: String::new(),
                });
            }
            if rest
                .split('/')
                .next()
                .is_some_and(|first| first.contains(':'))
            {
                return Err(KeyError::Url);
            }
        }
        let has_authority = scheme.is_some() || !rest.starts_with("///");
        let (host, path) = match rest.strip_prefix("//").filter(|_| has_authority) {
            Some(rest) => {
                let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                (host_of(authority)?, path)
            }
            None => (String::new(), rest),
        };
        let path = unescape(path)?;
        Ok(Self { host, path })
    }
}

/// The scheme, if the text begins with one, and the rest.
fn split_scheme(text: &str) -> Result<(Option<&str>, &str), KeyError> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '-' | '.'));
    let Some((scheme, rest)) = end.and_then(|at| text.split_at_checked(at)) else {
        return Ok((None, text));
    };
    match rest.strip_prefix(':') {
        Some(_) if scheme.is_empty() => Err(KeyError::Url),
        Some(rest) if scheme.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            Ok((Some(scheme), rest))
        }
        _ => Ok((None, text)),
    }
}

/// The host of an authority, as `URL.Hostname` gives it.
fn host_of(authority: &str) -> Result<String, KeyError> {
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (user, host),
        None => ("", authority),
    };
    if !user.bytes().all(is_user_info) {
        return Err(KeyError::Url);
    }
    if !has_sound_escapes(user) {
        return Err(KeyError::Escape);
    }
    let (name, port) = match host.starts_with('[') {
        true => host.rfind(']').map(|at| host.split_at(at + 1)),
        false => Some(host.split_at(host.rfind(':').unwrap_or(host.len()))),
    }
    .ok_or(KeyError::Host)?;
    let digits = port.strip_prefix(':').unwrap_or(port);
    if (!port.is_empty() && !port.starts_with(':')) || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return Err(KeyError::Host);
    }
    let name = unescape_host(name)?;
    // an address without its brackets loses its last group, which looks like a port
    let inside = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    Ok(inside.unwrap_or(&name).to_owned())
}

fn is_user_info(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte)
}

/// In a host only bytes above ASCII are escaped, and the percent sign before the zone of an address.
fn unescape_host(name: &str) -> Result<String, KeyError> {
    if !has_sound_escapes(name) {
        return Err(KeyError::Escape);
    }
    let is_sound = |byte: u8| {
        byte >= 0x80 || byte.is_ascii_alphanumeric() || b"!$&'()*+,;=:[]<>\"-_.~%".contains(&byte)
    };
    let mut escapes = name.split('%').skip(1);
    let is_escape = |part: &str| part.starts_with("25") || part.as_bytes().first() >= Some(&b'8');
    if !name.bytes().all(is_sound) || !escapes.all(is_escape) {
        return Err(KeyError::Host);
    }
    decode(name)
}

fn unescape(text: &str) -> Result<String, KeyError> {
    match has_sound_escapes(text) {
        true => decode(text),
        false => Err(KeyError::Escape),
    }
}

/// A key is UTF-8; Go's texts need not be.
fn decode(text: &str) -> Result<String, KeyError> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(Into::into).map_err(|_| KeyError::Encoding)
}

/// The first value called `name` in a query, as `url.ParseQuery` reads it; `None` if it is empty.
fn form_value(query: &str, name: &str) -> Option<String> {
    // pairs that cannot be read are left out
    let read = |text: &str| unescape(&text.replace('+', " ")).ok();
    let pairs = query.split('&').filter(|pair| !pair.contains(';'));
    let mut values = pairs.filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (read(key)? == name).then(|| read(value))?
    });
    values.next().filter(|value| !value.is_empty())
}

/// The host of `host:port`, as `net.SplitHostPort` gives it; `None` where that fails, as it does without a port.
fn split_host_port(text: &str) -> Option<&str> {
    let (before, _) = text.rsplit_once(':')?;
    let host = match before.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None if before.contains(':') => return None,
        None => before,
    };
    let port = text.get(before.len()..)?;
    let is_bracketed = host.contains(['[', ']']) || port.contains(['[', ']']);
    (!is_bracketed).then_some(host)
}
