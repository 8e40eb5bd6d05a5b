//! Why a connection ends.
//!
//! Owns: the fixed list of words for logs and metrics, and the answer that a client gets in place of the one it asked
//! for. Does not: close anything.

use std::io;

use weir_fanout::Closed;
use weir_gate::IngestError;
use weir_hub::EndReason;

use crate::response::Status;
use weir_http::body::BodyError;
use weir_http::head::HeadError;
use weir_http::request::RequestError;
use weir_http::websocket::CloseCode;

/// A reason to end, and its details for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) reason: &'static str,
    pub(crate) detail: String,
    /// The peer is there and gets its last words.
    pub(crate) gently: bool,
    pub(crate) word: Option<Word>,
}

/// Last words that depend on the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// An answer with the detail as its text; only where none has begun.
    Status(Status),
    /// The code of a WebSocket's close frame, where the reason does not say it.
    Close(u16),
}

impl End {
    /// An end that the peer sees as an orderly one.
    pub(crate) fn told(reason: &'static str, detail: impl ToString) -> Self {
        Self {
            reason,
            detail: detail.to_string(),
            gently: true,
            word: None,
        }
    }

    /// An end that is the answer to the request.
    pub(crate) fn answered(status: Status, reason: &'static str, detail: impl ToString) -> Self {
        Self::told(reason, detail).with(Word::Status(status))
    }

    fn cut(reason: &'static str, detail: impl ToString) -> Self {
        Self {
            gently: false,
            ..Self::told(reason, detail)
        }
    }

    /// The peer closed the connection.
    pub(crate) fn closed() -> Self {
        Self::cut("closed_by_peer", "")
    }

    /// The server stops.
    pub(crate) fn drained() -> Self {
        Self::told("drained", "the server stops")
    }

    pub(crate) fn with(self, word: Word) -> Self {
        Self {
            word: Some(word),
            ..self
        }
    }

    /// The code of the close frame that tells a WebSocket's client.
    pub(crate) fn close_code(&self) -> u16 {
        match (self.word, self.reason) {
            (Some(Word::Close(code)), _) => code,
            (_, "drained") => CloseCode::GoingAway as u16,
            _ => CloseCode::Policy as u16,
        }
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::cut("connection_lost", error)
    }
}

impl From<HeadError> for End {
    fn from(error: HeadError) -> Self {
        let (status, reason) = match error {
            HeadError::TooLong { .. } | HeadError::TooManyFields => {
                (Status::FIELDS_TOO_LARGE, "protocol_error")
            }
            HeadError::Version => (Status::VERSION, "unsupported"),
            HeadError::Request(RequestError::TransferEncoding) => {
                (Status::NOT_IMPLEMENTED, "unsupported")
            }
            HeadError::Request(RequestError::Expectation) => {
                (Status::EXPECTATION_FAILED, "unsupported")
            }
            HeadError::Syntax(_) | HeadError::Start { .. } | HeadError::Request(_) => {
                (Status::BAD_REQUEST, "protocol_error")
            }
        };
        Self::answered(status, reason, error)
    }
}

impl From<BodyError> for End {
    fn from(error: BodyError) -> Self {
        Self::answered(Status::BAD_REQUEST, "protocol_error", error)
    }
}

impl From<IngestError> for End {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::TakenOver(_) => Self::answered(Status::CONFLICT, "taken_over", error),
        }
    }
}

impl From<Closed> for End {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::Io(_) => Self::cut("connection_lost", closed),
            Closed::Lagged => Self::cut("lagged", closed),
            Closed::Deaf => Self::cut("protocol_error", closed),
        }
    }
}

impl From<EndReason> for End {
    fn from(reason: EndReason) -> Self {
        Self::told(reason.label(), "the server ended the session")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_of_a_head_has_its_status() {
        let status = |error: HeadError| End::from(error).word;
        let is = |status| Some(Word::Status(status));
        assert_eq!(
            status(HeadError::TooManyFields),
            is(Status::FIELDS_TOO_LARGE)
        );
        assert_eq!(status(HeadError::Version), is(Status::VERSION));
        assert_eq!(
            status(RequestError::TransferEncoding.into()),
            is(Status::NOT_IMPLEMENTED)
        );
        assert_eq!(
            status(RequestError::TwoLengths.into()),
            is(Status::BAD_REQUEST)
        );
    }

    #[test]
    fn close_codes() {
        assert_eq!(End::drained().close_code(), 1001);
        assert_eq!(End::from(EndReason::Kicked).close_code(), 1008);
        assert_eq!(End::closed().with(Word::Close(3000)).close_code(), 3000);
    }
}
