//! Walking from a playlist or manifest to all that it names, as players do.

use std::collections::BTreeSet;

use weir_testkit::{Proxy, http};

/// All addresses that the list at `path` leads to, those of nested lists included, as paths with their queries. Fails
/// on a list that is not served.
pub(crate) fn all(proxy: &Proxy, path: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut lists = vec![path.to_owned()];
    while let Some(path) = lists.pop() {
        for uri in uris(&list(proxy, &path)) {
            let uri = resolve(&path, &uri);
            if found.insert(uri.clone()) && bare(&uri).ends_with(".m3u8") {
                lists.push(uri);
            }
        }
    }
    assert!(!found.is_empty(), "{path} names nothing");
    found
}

/// The text of a list.
pub(crate) fn list(proxy: &Proxy, path: &str) -> String {
    let answer = http::request(proxy.listener("http"), "GET", path);
    assert_eq!(answer.head.status, 200, "{path}: {}", answer.text());
    answer.text()
}

/// A path without its query.
pub(crate) fn bare(uri: &str) -> &str {
    uri.split('?').next().unwrap_or_default()
}

/// What a list names: lines and attributes of a playlist (RFC 8216), attributes of a manifest (ISO/IEC 23009-1) that
/// need no template to be filled.
fn uris(text: &str) -> Vec<String> {
    const NAMES: [&str; 4] = ["URI=\"", " sourceURL=\"", " media=\"", " initialization=\""];
    let is_playlist = text.starts_with("#EXTM3U");
    let mut uris = Vec::new();
    for line in text.lines().map(str::trim) {
        if is_playlist && !line.is_empty() && !line.starts_with('#') {
            uris.push(line.to_owned());
            continue;
        }
        for name in NAMES {
            let values = line.split(name).skip(1);
            let values = values.filter_map(|rest| rest.split('"').next());
            let values = values.map(|value| value.replace("&amp;", "&"));
            uris.extend(values.filter(|value| !value.contains('$')));
        }
    }
    uris
}

/// RFC 3986 section 5, as far as lists here need it.
fn resolve(base: &str, uri: &str) -> String {
    if uri.starts_with('/') {
        return uri.to_owned();
    }
    let (uri, query) = uri.split_once('?').unwrap_or((uri, ""));
    let mut path: Vec<&str> = bare(base).split('/').collect();
    path.pop();
    for segment in uri.split('/') {
        match segment {
            ".." => drop(path.pop()),
            _ => path.push(segment),
        }
    }
    format!("{}?{query}", path.join("/"))
}
