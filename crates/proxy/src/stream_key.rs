//! The key of a stream, from what a client of each protocol names.
//!
//! Owns: one normal form for all protocols ([`KeyForm::Uniform`]), and the Go proxy's own ([`KeyForm::Go`]).
//! Invariant: a query never becomes part of a key, so keys can be logged.
//! Does not: parse requests, or decide what a segment's name means (`/live/s-12.ts`); callers know the file's kind.
//!
//! The uniform form must join what an origin takes for one stream; that it also joins what an origin keeps apart (the
//! virtual hosts `localhost` and `10.0.0.1`, the names `a b` and `a%20b`) only puts two streams on one origin.

mod go;

use std::borrow::Cow;
use std::net::Ipv4Addr;

use percent_encoding::percent_decode_str;
use weir_cluster::{InvalidKey, Key};

use crate::settings::KeyForm;

/// The virtual host of who names none: by an address, or by a host without a dot.
pub const DEFAULT_VHOST: &str = "__defaultVhost__";

/// The application of who names a stream only.
pub const DEFAULT_APP: &str = "__defaultApp__";

/// The application of an SRT stream id that is only a stream's name, as SRS has it.
pub const DEFAULT_SRT_APP: &str = "live";

/// The application instance that Flash encoders name when they mean none.
const DEFAULT_INSTANCE: &str = "_definst_";

/// Stands between a name and its virtual host, in place of a parameter.
const VHOST_MARK: &str = "...vhost...";

/// Begins a stream id that follows the access control guideline of SRT.
const SRT_ACCESS_CONTROL: &str = "#!::";

/// Most text of one opening that is looked at, in bytes: `tcUrl`, or a path, or a query. Names are under 512 bytes, the
/// rest are tokens; the longest in use are some 2 KiB.
pub const MAX_INPUT_BYTES: usize = 16 << 10;

/// Most parameters looked at in a query; real players send a handful.
const MOST_PARAMETERS: usize = 64;

/// Why what a client names is no stream. Says nothing of the text itself, which may hold a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Longer than [`MAX_INPUT_BYTES`].
    #[error("client's address is longer than {MAX_INPUT_BYTES} bytes")]
    TooLong,
    /// A percent sign without two hexadecimal digits.
    #[error("client's address has a bad percent escape")]
    Escape,
    /// What percent escapes mean is no UTF-8.
    #[error("client's address is no UTF-8")]
    Encoding,
    /// The host has characters that no host has, or a wrong port.
    #[error("client's address has no sound host")]
    Host,
    /// It is no URL for another reason; only [`KeyForm::Go`] is that strict.
    #[error("client's address is no URL")]
    Url,
    /// A path segment is `.` or `..`.
    #[error("client's address has a relative path segment")]
    Segment,
    /// The stream id of SRT names no resource.
    #[error("client's stream id names no resource")]
    Resource,
    /// What is left can be no key.
    #[error("client's {0}")]
    Name(#[from] InvalidKey),
}

/// The key of what `connect` and `publish` or `play` name. `tc_url` may be empty; both may carry a query.
pub fn from_rtmp(tc_url: &str, stream: &str, form: KeyForm) -> Result<Key, KeyError> {
    bound(&[tc_url, stream])?;
    if form == KeyForm::Go {
        return go::key_of_url(&format!("{tc_url}/{stream}"));
    }
    let address = tc_url
        .split_once("://")
        .map(|(_, rest)| rest)
        .or_else(|| tc_url.strip_prefix("//"));
    let (authority, path) = match address {
        Some(rest) => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
        None => ("", tc_url),
    };
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let (app, app_query) = cut_query(path);
    let (name, name_query) = cut_query(stream);
    let mut names = Names::default();
    for part in [app, name] {
        names.add_path(part)?;
    }
    names.key(&[name_query, app_query], authority, DEFAULT_APP)
}

/// The key of a request. `host` is the `Host` field, maybe with a port, empty if there was none; `path` is still
/// percent-encoded, and its last extension is no part of the name; `app` and `stream` in `query` (without `?`) override
/// it.
///
/// `KeyForm::Go` ignores a host without a port, as the Go proxy does.
pub fn from_http(host: &str, path: &str, query: &str, form: KeyForm) -> Result<Key, KeyError> {
    bound(&[host, path, query])?;
    if form == KeyForm::Go {
        return go::key_of_request(host, path, query);
    }
    let mut names = Names::default();
    let named = ["app", "stream"].map(|name| parameter(query, name));
    if named.iter().all(Option::is_none) {
        if !has_sound_escapes(path) {
            return Err(KeyError::Escape);
        }
        let path = percent_decode_str(path)
            .decode_utf8()
            .map_err(|_| KeyError::Encoding)?;
        names.add_path(without_extension(&path))?;
    }
    for part in named.into_iter().flatten() {
        names.add_path(&part)?;
    }
    names.key(&[query], host, DEFAULT_APP)
}

/// The key of an SRT stream id, in all the forms SRS takes: `#!::r=app/stream,h=host,m=publish`, the older
/// `#!::h=app/stream` and `#!::h=host/app/stream`, plain `app/stream` and plain `stream`. An empty one is an error: what
/// it stands for is a setting.
///
/// The Go proxy drops clients with a plain id; so [`KeyForm::Go`] can take those like [`KeyForm::Uniform`].
pub fn from_srt(stream_id: &str, form: KeyForm) -> Result<Key, KeyError> {
    bound(&[stream_id])?;
    if let (KeyForm::Go, Some(key)) = (form, go::key_of_stream_id(stream_id)) {
        return key;
    }
    let mut names = Names::default();
    let Some(pairs) = stream_id.strip_prefix(SRT_ACCESS_CONTROL) else {
        let (path, query) = cut_query(stream_id);
        names.add_path(path)?;
        return names.key(&[query], "", DEFAULT_SRT_APP);
    };
    let resource = srt_value(pairs, "r");
    let host = srt_value(pairs, "h").unwrap_or_default();
    let (host, path) = match host.split_once('/') {
        None => (host, resource),
        // one slash: the older form without a host
        Some((_, rest)) if !rest.contains('/') => ("", resource.or(Some(host))),
        Some((host, rest)) => (host, resource.or(Some(rest))),
    };
    let path = path.ok_or(KeyError::Resource)?;
    names.add_path(path)?;
    names.key(&[&pairs.replace(',', "&")], host, DEFAULT_SRT_APP)
}

/// The value of a whole key in a stream id; a question mark there parts like a comma.
fn srt_value<'a>(pairs: &'a str, name: &str) -> Option<&'a str> {
    let pairs = pairs.split([',', '?', '&']).take(MOST_PARAMETERS);
    let mut values = pairs.filter_map(|pair| pair.split_once('='));
    values.find_map(|(key, value)| (key == name && !value.is_empty()).then_some(value))
}

fn bound(texts: &[&str]) -> Result<(), KeyError> {
    match texts.iter().all(|text| text.len() <= MAX_INPUT_BYTES) {
        true => Ok(()),
        false => Err(KeyError::TooLong),
    }
}

/// A name and its query or fragment.
fn cut_query(text: &str) -> (&str, &str) {
    let at = text.find(['?', '#']).unwrap_or(text.len());
    let (name, query) = text.split_at(at);
    (name, query.get(1..).unwrap_or_default())
}

/// The decoded value of the first parameter called `name` that has one. Old clients put a second question mark where an
/// ampersand belongs.
fn parameter(query: &str, name: &str) -> Option<String> {
    let pairs = query.split(['&', '?', '#']).take(MOST_PARAMETERS);
    let mut values = pairs.filter_map(|pair| pair.split_once('='));
    values.find_map(|(key, value)| {
        let wanted = key == name && !value.is_empty();
        wanted.then(|| percent_decode_str(value).decode_utf8_lossy().into_owned())
    })
}

fn has_sound_escapes(text: &str) -> bool {
    let mut parts = text.split('%').skip(1);
    parts.all(|part| match part.as_bytes() {
        [first, second, ..] => first.is_ascii_hexdigit() && second.is_ascii_hexdigit(),
        _ => false,
    })
}

/// The path up to the last dot behind the last slash.
fn without_extension(path: &str) -> &str {
    match path.rfind(['.', '/']) {
        Some(at) if path.get(at..).is_some_and(|rest| rest.starts_with('.')) => {
            path.get(..at).unwrap_or(path)
        }
        _ => path,
    }
}

/// What names a stream below its virtual host.
#[derive(Default)]
struct Names {
    /// Path segments with a slash before each.
    path: String,
    segments: usize,
    /// Of the form `app...vhost...host`.
    vhost: Option<String>,
}

impl Names {
    /// Adds the segments of `path`, a name as an RTMP client sends it. That is no URL, so a percent sign may be just that;
    /// but there are clients that escape it, and origins that do not decode the paths of requests. So escapes are
    /// decoded here for all protocols, and an escaped question mark was meant as the query's.
    fn add_path(&mut self, path: &str) -> Result<(), KeyError> {
        let path = percent_decode_str(path).decode_utf8_lossy();
        let (path, _) = cut_query(&path);
        for segment in path.split('/') {
            let (name, vhost) = match segment.split_once(VHOST_MARK) {
                Some((name, vhost)) => (name, Some(vhost)),
                None => (segment, None),
            };
            if self.vhost.is_none() {
                self.vhost = vhost.filter(|vhost| !vhost.is_empty()).map(str::to_owned);
            }
            match name {
                "" | DEFAULT_INSTANCE => {}
                "." | ".." => return Err(KeyError::Segment),
                _ => {
                    self.path.push('/');
                    self.path.push_str(name);
                    self.segments += 1;
                }
            }
        }
        Ok(())
    }

    /// The key. The virtual host is that of a parameter in one of `queries`, or of the path, or `host`.
    fn key(self, queries: &[&str], host: &str, default_app: &str) -> Result<Key, KeyError> {
        if self.segments == 0 {
            return Err(InvalidKey::Empty.into());
        }
        let find = |name| queries.iter().find_map(|query| parameter(query, name));
        let named = find("vhost").or_else(|| find("domain")).or(self.vhost);
        let vhost = match &named {
            // what stands behind a slash belonged to a path once
            Some(named) => vhost(named.split('/').next().unwrap_or_default(), true)?,
            None => vhost(host, false)?,
        };
        let app = match self.segments {
            1 => format!("/{default_app}"),
            _ => String::new(),
        };
        Ok(Key::new(&format!("{vhost}{app}{}", self.path))?)
    }
}

/// The virtual host of `host[:port]`. A name without a dot is one only if it `is_named` as such: as a host it is some
/// machine.
fn vhost(host: &str, is_named: bool) -> Result<Cow<'static, str>, KeyError> {
    const DEFAULT: Cow<'static, str> = Cow::Borrowed(DEFAULT_VHOST);
    if host.starts_with('[') {
        return Ok(DEFAULT);
    }
    let name = host.split(':').next().unwrap_or_default();
    let name = name.trim_end_matches('.');
    if name.contains(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '@' | '\\')) {
        return Err(KeyError::Host);
    }
    let is_default = name.is_empty()
        || name.eq_ignore_ascii_case(DEFAULT_VHOST)
        || (!is_named && !name.contains('.'))
        || name.parse::<Ipv4Addr>().is_ok();
    Ok(match is_default {
        true => DEFAULT,
        false => name.to_ascii_lowercase().into(),
    })
}

#[cfg(test)]
mod tests;
