//! Playlists and manifests on their way to the client.
//!
//! Owns: telling them by name and type, and [`Mapper`], which makes a URI of the origin one of the proxy. Does not: know
//! their syntax (`weir-hls` does) or fetch them.

use weir_hls::uri;
use weir_hls::{mpd, playlist};
use weir_http::response::Response;

use super::relayed::Content;
use super::request::authority;
use super::target::Kind;
use crate::directory::Placed;

/// Makes URIs of one origin's answer lead back to it through the proxy.
#[derive(Debug)]
pub(super) struct Mapper<'a> {
    /// `Host` of the request: what the origin may believe its own name to be.
    host: &'a str,
    /// What leads back to the same origin, such as `weir=…`; empty for nothing.
    parameter: &'a str,
    /// The origin's address as it stands in a URL, with its port.
    authority: String,
    /// The same without a port: an origin may leave out that of the scheme.
    bare: String,
}

impl<'a> Mapper<'a> {
    /// For an answer of `placed` to a request with `host`.
    pub(super) fn new(placed: &Placed, host: &'a str, parameter: &'a str) -> Self {
        let authority = authority(&placed.node.host, placed.port);
        let bare = authority.rsplit_once(':').map_or("", |(bare, _)| bare);
        Self {
            host,
            parameter,
            bare: bare.to_owned(),
            authority,
        }
    }

    /// All by which two of them differ.
    pub(super) fn name(&self) -> String {
        format!("{} {} {}", self.authority, self.host, self.parameter)
    }

    /// A URI of a list with what leads back here; `None` for one that leads elsewhere or is no address.
    pub(super) fn listed(&self, uri: &str) -> Option<String> {
        let inside = self.inside(uri)?;
        let begins = format!("{}=", self.parameter.split('=').next().unwrap_or_default());
        let has = |(_, query): (&str, &str)| query.split('&').any(|pair| pair.starts_with(&begins));
        if inside.split_once('?').is_some_and(has) {
            return Some(inside);
        }
        Some(uri::with_query(&inside, self.parameter))
    }

    /// Where a redirection leads, without the origin's address.
    pub(super) fn lead(&self, uri: &str) -> String {
        match self.inside(uri) {
            Some(_) if !self.parameter.is_empty() => self.listed(uri).unwrap_or_default(),
            Some(inside) => inside,
            None => uri.to_owned(),
        }
    }

    /// A URI relative to the proxy; `None` when it leads to somebody else.
    fn inside(&self, uri: &str) -> Option<String> {
        if !uri::is_absolute(uri) && !uri.starts_with("//") {
            return Some(uri.to_owned());
        }
        let names = [self.authority.as_str(), self.host, &self.bare];
        let mut own = names.iter();
        own.find_map(|name| uri::relative_to_root(uri, name))
    }

    /// Whether a field's value has the origin's address, and clients do not know that address already.
    pub(super) fn betrays(&self, value: &[u8]) -> bool {
        let needle = self.authority.as_bytes();
        self.host != self.authority
            && value
                .windows(needle.len())
                .any(|part| part.eq_ignore_ascii_case(needle))
    }
}

/// What an answer is that has to be rewritten; `None` when it goes on as it is.
pub(super) fn list_of(kind: Kind, response: &Response) -> Option<Kind> {
    if response.status != 200 {
        return None;
    }
    let content_type = response.fields.get("content-type").unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    if essence.ends_with("/dash+xml") {
        return Some(Kind::Manifest);
    }
    if essence.ends_with("mpegurl") {
        return Some(Kind::Playlist);
    }
    kind.is_list().then_some(kind)
}

/// What becomes of an answer that is not rewritten. That the client's list is still good is said of a rewritten one.
pub(super) fn unlisted(kind: Kind, response: &Response) -> Content {
    match kind.is_list() && response.status == 304 {
        true => Content::Unasked,
        false => Content::Same,
    }
}

/// Rewrites a list. A text that is none by its look goes on as it is; one that claims to be and cannot be read fails.
pub(super) fn rewrite(kind: Kind, text: &str, mapper: &Mapper<'_>) -> Result<String, String> {
    let begins = text.trim_start_matches('\u{feff}').trim_start();
    match kind {
        Kind::Manifest if begins.starts_with('<') => {
            mpd::rewrite(text, &mut |_, uri| mapper.listed(uri)).map_err(|error| error.to_string())
        }
        Kind::Playlist if begins.starts_with("#EXTM3U") => {
            playlist::rewrite(text, &mut |_, uri| mapper.listed(uri))
                .map_err(|error| error.to_string())
        }
        _ => Ok(text.to_owned()),
    }
}
