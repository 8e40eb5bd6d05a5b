//! Pages of a list.
//!
//! Owns: the query parameters `start` and `count`, their defaults and bound. Does not: hold lists.

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::Deserialize;
use utoipa::IntoParams;

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

#[cfg(test)]
mod tests {
    use super::*;

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
