//! How a request or a connection ends early.
//!
//! Owns: [`End`], which says it to the log, and [`Status`], which says it to the client. Invariant: what the client is
//! told names no origin. Does not: write answers.

use std::fmt::Display;
use std::io;

use weir_http::body::BodyError;
use weir_http::head::HeadError;
use weir_http::request::RequestError;

use crate::directory::PlaceError;

/// The status codes of our own answers, with a reason phrase and the text that clients see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status(
    pub(super) u16,
    pub(super) &'static str,
    pub(super) &'static str,
);

impl Status {
    pub(super) const OK: Self = Self(200, "OK", "");
    pub(super) const BAD_REQUEST: Self =
        Self(400, "Bad Request", "the request cannot be understood");
    pub(super) const UNKNOWN_ROUTE: Self = Self(
        400,
        "Bad Request",
        "the session of this address is not known",
    );
    pub(super) const NOT_FOUND: Self = Self(404, "Not Found", "nothing here");
    pub(super) const METHOD: Self = Self(
        405,
        "Method Not Allowed",
        "this method is not understood here",
    );
    pub(super) const TIMEOUT: Self =
        Self(408, "Request Timeout", "the request did not come in time");
    pub(super) const LENGTH_REQUIRED: Self = Self(
        411,
        "Length Required",
        "a stream is published in the body of the request",
    );
    pub(super) const TOO_LARGE: Self = Self(
        413,
        "Content Too Large",
        "the body of the request is too long",
    );
    pub(super) const EXPECTATION: Self = Self(
        417,
        "Expectation Failed",
        "the only expectation understood is 100-continue",
    );
    pub(super) const FIELDS_TOO_LARGE: Self = Self(
        431,
        "Request Header Fields Too Large",
        "the head of the request is too long",
    );
    pub(super) const FAILED: Self = Self(500, "Internal Server Error", "the file cannot be read");
    pub(super) const NOT_IMPLEMENTED: Self = Self(
        501,
        "Not Implemented",
        "the only transfer coding understood is chunked",
    );
    pub(super) const BAD_GATEWAY: Self =
        Self(502, "Bad Gateway", "the origin of this stream failed");
    pub(super) const UNAVAILABLE: Self = Self(
        503,
        "Service Unavailable",
        "no origin is available, try again soon",
    );
    pub(super) const GATEWAY_TIMEOUT: Self = Self(
        504,
        "Gateway Timeout",
        "the origin of this stream does not answer",
    );
    pub(super) const VERSION: Self = Self(
        505,
        "HTTP Version Not Supported",
        "this port speaks HTTP/1.0 and HTTP/1.1 only",
    );
}

/// Why something is over.
#[derive(Debug)]
pub(super) struct End {
    /// From a fixed list; counted.
    pub(super) reason: &'static str,
    /// For the log only: it may name origins.
    pub(super) detail: String,
    /// What the client is told, if its answer has not begun.
    pub(super) status: Option<Status>,
    /// No further request can be read on this connection.
    pub(super) last: bool,
}

impl End {
    /// The connection is over; there is nothing to say.
    pub(super) fn silent(reason: &'static str, detail: impl Display) -> Self {
        Self {
            reason,
            detail: detail.to_string(),
            status: None,
            last: true,
        }
    }

    /// The request cannot be served; the client is told `status` and may ask on.
    pub(super) fn told(status: Status, reason: &'static str, detail: impl Display) -> Self {
        Self {
            reason,
            detail: detail.to_string(),
            status: Some(status),
            last: false,
        }
    }

    /// The same, as the last answer of the connection.
    pub(super) fn for_good(mut self) -> Self {
        self.last = true;
        self
    }

    /// The client closed, or its connection failed.
    pub(super) fn client_left() -> Self {
        Self::silent("client_closed", "")
    }

    /// The client's connection failed.
    pub(super) fn client_failed(error: &io::Error) -> Self {
        Self::silent("client_closed", error)
    }

    /// The client took nothing for too long.
    pub(super) fn client_stalled() -> Self {
        Self::silent("client_stalled", "the client's socket took nothing")
    }

    /// The origin failed before its answer could be passed on.
    pub(super) fn origin_failed(detail: impl Display) -> Self {
        Self::told(Status::BAD_GATEWAY, "origin_failed", detail)
    }

    /// The origin failed inside an answer.
    pub(super) fn origin_broke(detail: impl Display) -> Self {
        Self::silent("origin_failed", detail)
    }

    /// The process ends.
    pub(super) fn stopped() -> Self {
        Self::silent("shutdown", "the proxy stops")
    }
}

impl From<HeadError> for End {
    fn from(error: HeadError) -> Self {
        let status = match error {
            HeadError::TooLong { .. } | HeadError::TooManyFields => Status::FIELDS_TOO_LARGE,
            HeadError::Version => Status::VERSION,
            HeadError::Request(RequestError::TransferEncoding) => Status::NOT_IMPLEMENTED,
            HeadError::Request(RequestError::Expectation) => Status::EXPECTATION,
            HeadError::Syntax(_) | HeadError::Start { .. } | HeadError::Request(_) => {
                Status::BAD_REQUEST
            }
        };
        Self::told(status, "bad_request", error).for_good()
    }
}

impl From<BodyError> for End {
    fn from(error: BodyError) -> Self {
        Self::told(Status::BAD_REQUEST, "bad_request", error).for_good()
    }
}

impl From<PlaceError> for End {
    fn from(error: PlaceError) -> Self {
        match error {
            PlaceError::NotServed { .. } => Self::told(Status::BAD_GATEWAY, "not_served", error),
            _ => Self::told(Status::UNAVAILABLE, "no_origin", error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bad_head_has_its_status() {
        for (error, status) in [
            (HeadError::TooLong { limit: 1 }, 431),
            (HeadError::Version, 505),
            (HeadError::Start { found: 0x16 }, 400),
            (RequestError::TwoLengths.into(), 400),
            (RequestError::TransferEncoding.into(), 501),
            (RequestError::Expectation.into(), 417),
        ] {
            let end = End::from(error);
            assert_eq!(end.status.map(|status| status.0), Some(status));
            assert!(end.last);
        }
    }

    #[test]
    fn clients_hear_when_there_is_no_origin() {
        let end = End::from(PlaceError::NoOrigin);
        assert_eq!(end.status, Some(Status::UNAVAILABLE));
        assert!(!end.last);
    }
}
