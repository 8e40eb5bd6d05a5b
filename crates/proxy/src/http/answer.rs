//! Answers of our own, and what all answers have in common.
//!
//! Owns: [`Manner`]: whether the connection goes on, CORS; texts, the version, OPTIONS. Does not: make the heads of
//! what origins answer ([`super::relayed`] does).

use weir_http::date;
use weir_http::head::Whole;
use weir_http::request::Method;
use weir_http::write::HeadWriter;
use weir_net::clock;

use super::end::Status;
use crate::settings::Settings;

/// What answers call us.
pub(super) const SERVER: &str = concat!("Weir/", env!("CARGO_PKG_VERSION"));

/// What may be asked for.
const METHODS: &str = "GET, HEAD, OPTIONS, POST, PUT";

/// What pages may read of an answer beside its body.
pub(super) const EXPOSED: &str = "Location, Content-Length, Content-Range, ETag";

/// How long browsers may remember a preflight's answer, in seconds: a day, the most that any of them does.
const PREFLIGHT_SECONDS: u32 = 86_400;

/// When a client that found no origin may try again, in seconds: an origin that died is replaced within 3.
const RETRY_SECONDS: u32 = 3;

/// What all answers to one request have in common.
#[derive(Debug, Clone, Default)]
pub(super) struct Manner {
    /// The connection takes another request after this one.
    pub(super) keep_alive: bool,
    /// HTTP/1.0.
    pub(super) is_old: bool,
    /// The answer to HEAD has no body.
    pub(super) head_only: bool,
    /// The value of `Access-Control-Allow-Origin`; empty for none.
    pub(super) cors: String,
}

impl Manner {
    /// The manner in which a request is answered.
    pub(super) fn new(whole: &Whole, settings: &Settings) -> Self {
        let request = &whole.request;
        Self {
            keep_alive: request.keep_alive,
            is_old: request.is_old,
            head_only: request.method == Method::Head,
            cors: settings.http.cors_origin.trim().to_owned(),
        }
    }

    /// Says whether the connection goes on.
    pub(super) fn connection(&self, head: &mut HeadWriter) {
        if !self.keep_alive {
            head.field("Connection", "close");
        } else if self.is_old {
            head.field("Connection", "keep-alive");
        }
    }

    /// Lets pages read the answer (Fetch standard, section 3.2), where `has` does not find that the origin did.
    pub(super) fn allow_pages(&self, head: &mut HeadWriter, has: impl Fn(&str) -> bool) {
        if self.cors.is_empty() {
            return;
        }
        for (name, value) in [
            ("Access-Control-Allow-Origin", self.cors.as_str()),
            ("Access-Control-Allow-Headers", "*"),
            ("Access-Control-Allow-Methods", "*"),
            ("Access-Control-Expose-Headers", EXPOSED),
        ] {
            if !has(name) {
                head.field(name, value);
            }
        }
        if self.cors != "*" && !has("Vary") {
            head.field("Vary", "Origin");
        }
    }

    /// Begins the answer of a page of this host, which no other page may read.
    pub(super) fn begin_page(&self, status: u16, reason: &str) -> HeadWriter {
        let mut head = HeadWriter::answer(status, reason);
        head.field("Server", SERVER);
        head.field("Date", date::format(clock::wallclock()));
        self.connection(&mut head);
        head
    }

    /// Begins an answer of our own.
    pub(super) fn begin(&self, status: Status) -> HeadWriter {
        let mut head = HeadWriter::answer(status.0, status.1);
        head.field("Server", SERVER);
        head.field("Date", date::format(clock::wallclock()));
        self.connection(&mut head);
        self.allow_pages(&mut head, |_| false);
        head
    }

    /// A whole answer with a body.
    pub(super) fn text(&self, status: Status, content_type: &str, text: &str) -> Vec<u8> {
        let mut head = self.begin(status);
        head.field("Content-Type", content_type);
        head.field("Content-Length", text.len());
        if status == Status::UNAVAILABLE {
            head.field("Retry-After", RETRY_SECONDS);
        }
        if status == Status::METHOD {
            head.field("Allow", METHODS);
        }
        let mut answer = head.finish();
        if !self.head_only {
            answer.extend_from_slice(text.as_bytes());
        }
        answer
    }

    /// The answer that says `status`.
    pub(super) fn words(&self, status: Status) -> Vec<u8> {
        let text = format!("{}\n", status.2);
        self.text(status, "text/plain; charset=utf-8", &text)
    }

    /// The answer to OPTIONS: what may be asked, by pages too.
    pub(super) fn options(&self, whole: &Whole) -> Vec<u8> {
        let mut head = self.begin(Status::OK);
        head.field("Allow", METHODS).field("Content-Length", 0);
        if !self.cors.is_empty() {
            head.field("Access-Control-Max-Age", PREFLIGHT_SECONDS);
            if whole.request.private_network {
                head.field("Access-Control-Allow-Private-Network", "true");
            }
        }
        head.finish()
    }

    /// Our version in the form of SRS's API.
    pub(super) fn version(&self) -> Vec<u8> {
        self.text(Status::OK, "application/json", &version())
    }
}

fn version() -> String {
    format!(
        "{{\"code\":0,\"pid\":\"{}\",\"data\":{{\"major\":{},\"minor\":{},\"revision\":{},\"version\":\"{}\"}}}}",
        std::process::id(),
        env!("CARGO_PKG_VERSION_MAJOR"),
        env!("CARGO_PKG_VERSION_MINOR"),
        env!("CARGO_PKG_VERSION_PATCH"),
        env!("CARGO_PKG_VERSION"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(manner: &Manner, status: Status) -> String {
        String::from_utf8(manner.words(status)).expect("text")
    }

    #[test]
    fn the_version_is_json() {
        let value: serde_json::Value = serde_json::from_str(&version()).expect("JSON");
        assert_eq!(value["code"], 0);
        assert!(value["pid"].is_string());
        assert!(value["data"]["major"].is_u64() && value["data"]["revision"].is_u64());
        assert_eq!(value["data"]["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn answers_say_what_becomes_of_the_connection() {
        let mut manner = Manner {
            keep_alive: true,
            cors: "*".to_owned(),
            ..Manner::default()
        };
        let answer = said(&manner, Status::UNAVAILABLE);
        assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
        assert!(answer.contains("\r\nRetry-After: 3\r\n"));
        assert!(answer.contains("\r\nAccess-Control-Allow-Origin: *\r\n"));
        assert!(!answer.contains("\r\nConnection:"));
        manner.is_old = true;
        assert!(said(&manner, Status::NOT_FOUND).contains("\r\nConnection: keep-alive\r\n"));
        manner.keep_alive = false;
        assert!(said(&manner, Status::METHOD).contains("\r\nConnection: close\r\n"));
    }

    #[test]
    fn head_and_pages_that_may_not_read_are_obeyed() {
        let manner = Manner {
            head_only: true,
            ..Manner::default()
        };
        let answer = said(&manner, Status::NOT_FOUND);
        assert!(answer.ends_with("\r\n\r\n") && !answer.contains("Access-Control"));
        let manner = Manner {
            cors: "https://a".to_owned(),
            ..Manner::default()
        };
        let answer = said(&manner, Status::NOT_FOUND);
        assert!(answer.contains("Allow-Origin: https://a\r\n") && answer.contains("Vary: Origin"));
    }
}
