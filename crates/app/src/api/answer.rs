//! What every answer has.
//!
//! Owns: the head of answers as SRS writes it, and failures with their HTTP status and number. Does not: route.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::identity::Identity;

/// The number of success.
const SUCCESS: u32 = 0;

/// What every successful answer begins with.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Head {
    /// 0.
    #[schema(example = 0)]
    code: u32,
    /// The server; the same after a restart with the same addresses.
    #[schema(example = "vid-85944171f73967e8")]
    server: String,
    /// The running service; another after each restart.
    #[schema(example = "9f86d081")]
    service: String,
    /// Process id, as a text like in SRS.
    #[schema(example = "4711")]
    pid: String,
}

impl Head {
    pub(crate) fn new(identity: &Identity) -> Self {
        Self {
            code: SUCCESS,
            server: identity.server.clone(),
            service: identity.service.clone(),
            pid: identity.pid.to_string(),
        }
    }
}

/// An answer with nothing but the head.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Done {
    #[serde(flatten)]
    head: Head,
}

impl Done {
    pub(crate) fn new(head: Head) -> Self {
        Self { head }
    }
}

/// The body of every failure.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// What is wrong as a number: that of SRS where it has one (2014 no such vhost, 2048 no such stream, 2049 no such
    /// client), else the HTTP status.
    #[schema(example = 2048)]
    code: u32,
    /// What is wrong, for people.
    #[schema(example = "no such stream")]
    error: String,
}

/// A request that is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    status: StatusCode,
    code: u32,
    text: String,
}

impl Failure {
    fn new(status: StatusCode, code: u32, text: impl Into<String>) -> Self {
        Self {
            status,
            code,
            text: text.into(),
        }
    }

    /// A failure whose number is its status.
    pub(crate) fn plain(status: StatusCode, text: impl Into<String>) -> Self {
        Self::new(status, status.as_u16().into(), text)
    }

    pub(crate) fn no_vhost() -> Self {
        Self::new(StatusCode::NOT_FOUND, 2014, "no such vhost")
    }

    pub(crate) fn no_stream() -> Self {
        Self::new(StatusCode::NOT_FOUND, 2048, "no such stream")
    }

    pub(crate) fn no_client() -> Self {
        Self::new(StatusCode::NOT_FOUND, 2049, "no such client")
    }

    pub(crate) fn no_route() -> Self {
        let text = "no such resource: see /api/v1 and /openapi.json";
        Self::plain(StatusCode::NOT_FOUND, text)
    }

    pub(crate) fn method() -> Self {
        let text = "method not allowed here: see the header Allow";
        Self::plain(StatusCode::METHOD_NOT_ALLOWED, text)
    }

    pub(crate) fn bad_request(text: impl Into<String>) -> Self {
        Self::plain(StatusCode::BAD_REQUEST, text)
    }

    pub(crate) fn unauthorized(key: &'static str) -> Self {
        let text = format!("the header \"Authorization: Bearer …\" with {key} is missing or wrong");
        Self::plain(StatusCode::UNAUTHORIZED, text)
    }

    pub(crate) fn forbidden(text: impl Into<String>) -> Self {
        Self::plain(StatusCode::FORBIDDEN, text)
    }

    pub(crate) fn draining() -> Self {
        Self::plain(StatusCode::SERVICE_UNAVAILABLE, "draining")
    }

    pub(crate) fn internal(text: impl Into<String>) -> Self {
        Self::plain(StatusCode::INTERNAL_SERVER_ERROR, text)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            code: self.code,
            error: self.text,
        };
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"weir\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
