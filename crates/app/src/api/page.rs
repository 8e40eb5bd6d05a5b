//! Pages of a list.
//!
//! Owns: the query parameters `start` and `count`, their defaults and bound; search and order of lists of connections.
//! Does not: hold lists.

use std::cmp::Ordering;
use std::net::SocketAddr;

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::answer::Failure;

/// Entries of a page when the request does not say; SRS has the same.
const DEFAULT_COUNT: u32 = 10;

/// Most entries of a page. One of a thousand streams is about 1 MB of JSON, made in a few
/// milliseconds on the thread that also serves signals; ten times that would hold it up.
const MOST_COUNT: u32 = 1000;

/// Which part of a list is asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// How many entries to leave out from the beginning of the list; 0 by default.
    #[param(minimum = 0, default = 0)]
    start: Option<u32>,
    /// How many entries to give at most; 10 by default, and never more than 1000: a larger number gives 1000.
    #[param(minimum = 0, default = 10)]
    count: Option<u32>,
}

impl Page {
    /// Entries to leave out.
    pub(crate) fn start(&self) -> usize {
        self.start.unwrap_or(0) as usize
    }

    /// Entries to give.
    pub(crate) fn count(&self) -> usize {
        self.count.unwrap_or(DEFAULT_COUNT).min(MOST_COUNT) as usize
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        Query::<Self>::from_request_parts(parts, state)
            .await
            .map(|Query(page)| page)
            .map_err(|error: QueryRejection| Failure::bad_request(error.body_text()))
    }
}

/// By what a list of connections is ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SortBy {
    /// Their ids, which go up with time.
    #[default]
    Id,
    /// Addresses.
    Ip,
    /// Streams.
    Stream,
    /// Protocols.
    Protocol,
    /// When they connected.
    Since,
    /// Kilobits a second, both ways together.
    Kbps,
}

/// Which way a list goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Order {
    /// The least first.
    #[default]
    Asc,
    /// The greatest first.
    Desc,
}

/// Which connections are asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Listing {
    /// How many entries to leave out from the beginning of the list; 0 by default.
    #[param(minimum = 0, default = 0)]
    start: Option<u32>,
    /// How many entries to give at most; 10 by default, and never more than 1000: a larger number gives 1000.
    #[param(minimum = 0, default = 10)]
    count: Option<u32>,
    /// Only connections with this text in their id, address, stream, protocol, role or agent; the case does not count.
    search: Option<String>,
    /// By what the list is ordered; `id` by default.
    #[param(inline)]
    sort: Option<SortBy>,
    /// `asc` or `desc`; `asc` by default.
    #[param(inline)]
    order: Option<Order>,
}

/// What a connection is found and ordered by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its id.
    pub(crate) id: String,
    /// The other end, an address of IPv4 as such.
    pub(crate) peer: Option<SocketAddr>,
    /// Its stream; empty before it has one.
    pub(crate) stream: String,
    /// Its protocol.
    pub(crate) protocol: &'static str,
    /// What it does.
    pub(crate) role: &'static str,
    /// The software at the other end.
    pub(crate) agent: String,
    /// When it connected, in milliseconds since 1970 UTC.
    pub(crate) since: u64,
    /// Kilobits a second, both ways together.
    pub(crate) kbps: u64,
}

impl Entry {
    /// Whether the entry has `text`, which is in lower case.
    fn has(&self, text: &str) -> bool {
        let peer = self.peer.map_or_else(String::new, |peer| peer.to_string());
        let fields = [
            &self.id,
            &peer,
            &self.stream,
            self.protocol,
            self.role,
            &self.agent,
        ];
        fields
            .iter()
            .any(|field| field.to_lowercase().contains(text))
    }

    fn compare(&self, other: &Self, by: SortBy) -> Ordering {
        match by {
            // the list comes in order of id
            SortBy::Id => Ordering::Equal,
            SortBy::Ip => self.peer.cmp(&other.peer),
            SortBy::Stream => self.stream.cmp(&other.stream),
            SortBy::Protocol => self.protocol.cmp(other.protocol),
            SortBy::Since => self.since.cmp(&other.since),
            SortBy::Kbps => self.kbps.cmp(&other.kbps),
        }
    }
}

impl Listing {
    /// Entries to leave out.
    pub(crate) fn start(&self) -> usize {
        self.page().start()
    }

    /// How many of `all`, which come in order of id, are found, and those of the page in the order that is asked for.
    /// `entry` says what one is found and ordered by.
    pub(crate) fn pick<T>(&self, all: Vec<T>, entry: impl Fn(&T) -> Entry) -> (usize, Vec<T>) {
        let search = self.search.as_deref().unwrap_or_default().to_lowercase();
        let by = self.sort.unwrap_or_default();
        let found: Vec<(Option<Entry>, T)> = match search.is_empty() && by == SortBy::Id {
            // the common case costs nothing for each of those that are not shown
            true => all.into_iter().map(|one| (None, one)).collect(),
            false => {
                let entries = all.into_iter().map(|one| (Some(entry(&one)), one));
                let has =
                    |entry: &Option<Entry>| entry.as_ref().is_some_and(|entry| entry.has(&search));
                let mut found: Vec<_> = entries.filter(|(entry, _)| has(entry)).collect();
                // stable, so that equals stay in order of id
                found.sort_by(|(a, _), (b, _)| match (a, b) {
                    (Some(a), Some(b)) => a.compare(b, by),
                    _ => Ordering::Equal,
                });
                found
            }
        };
        let (total, page) = (found.len(), self.page());
        let found = found.into_iter().map(|(_, one)| one);
        let picked = match self.order.unwrap_or_default() {
            Order::Asc => found.skip(page.start()).take(page.count()).collect(),
            Order::Desc => found.rev().skip(page.start()).take(page.count()).collect(),
        };
        (total, picked)
    }

    fn page(&self) -> Page {
        Page {
            start: self.start,
            count: self.count,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Listing {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        Query::<Self>::from_request_parts(parts, state)
            .await
            .map(|Query(listing)| listing)
            .map_err(|error: QueryRejection| Failure::bad_request(error.body_text()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        let one = |id: &str, ip: &str, stream: &str, kbps| Entry {
            id: id.to_owned(),
            peer: Some(SocketAddr::new(ip.parse().unwrap(), 40_000 + kbps as u16)),
            stream: stream.to_owned(),
            protocol: "rtmp",
            role: "player",
            agent: "Lavf/60".to_owned(),
            since: 100 - kbps,
            kbps,
        };
        vec![
            one("a", "10.0.0.9", "/live/x", 5),
            one("b", "10.0.0.10", "/live/y", 7),
            one("c", "::1", "/live/x", 1),
        ]
    }

    fn ids(query: &str) -> (usize, String) {
        let uri = format!("/?{query}").parse().unwrap();
        let Query(listing) = Query::<Listing>::try_from_uri(&uri).unwrap();
        let (total, picked) = listing.pick(entries(), Entry::clone);
        (total, picked.into_iter().map(|entry| entry.id).collect())
    }

    #[test]
    fn lists_are_ordered_as_asked() {
        for (query, expected) in [
            ("", "abc"),
            ("order=desc", "cba"),
            // by number, not by text
            ("sort=ip", "abc"),
            ("sort=stream", "acb"),
            ("sort=stream&order=desc", "bca"),
            ("sort=kbps&order=desc", "bac"),
            ("sort=since", "bac"),
            ("sort=protocol", "abc"),
            ("sort=id&order=asc", "abc"),
        ] {
            assert_eq!(ids(query), (3, expected.to_owned()), "{query}");
        }
    }

    #[test]
    fn a_search_finds_any_field_and_counts_what_it_found() {
        for (query, expected) in [
            ("search=LIVE/X", (2, "ac")),
            ("search=10.0.0.1", (1, "b")),
            ("search=10.0.0.9:40005", (1, "a")),
            ("search=lavf", (3, "abc")),
            ("search=player&count=1", (3, "a")),
            ("search=player&sort=kbps&start=1&count=1", (3, "a")),
            ("search=nobody", (0, "")),
            ("start=2", (3, "c")),
            ("start=9", (3, "")),
        ] {
            assert_eq!(ids(query), (expected.0, expected.1.to_owned()), "{query}");
        }
    }

    #[test]
    fn an_order_that_is_none_is_refused() {
        for query in ["sort=size", "order=down", "sort=", "start=-1", "count=x"] {
            let uri = format!("/?{query}").parse().unwrap();
            assert!(Query::<Listing>::try_from_uri(&uri).is_err(), "{query}");
        }
    }

    #[test]
    fn a_page_has_a_default_and_a_bound() {
        let page = Page::default();
        assert_eq!((page.start(), page.count()), (0, 10));
        let page = Page {
            start: Some(7),
            count: Some(u32::MAX),
        };
        assert_eq!((page.start(), page.count()), (7, 1000));
    }
}
