//! Why a connection ends.
//!
//! Owns: the fixed list of words for logs and metrics. Does not: close anything.

use std::io;

use weir_fanout::Closed;
use weir_gate::IngestError;
use weir_hub::EndReason;
use weir_rtmp::Error;

/// A reason to end, and its details for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) reason: &'static str,
    pub(crate) detail: String,
    /// The peer is there and gets its last words.
    pub(crate) gently: bool,
}

impl End {
    /// An end that the peer is told about.
    pub(crate) fn told(reason: &'static str, detail: impl ToString) -> Self {
        Self {
            reason,
            detail: detail.to_string(),
            gently: true,
        }
    }

    fn cut(reason: &'static str, detail: impl ToString) -> Self {
        Self {
            reason,
            detail: detail.to_string(),
            gently: false,
        }
    }

    /// The peer closed the connection.
    pub(crate) fn closed() -> Self {
        Self::cut("closed_by_peer", "")
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::cut("connection_lost", error)
    }
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        match &error {
            Error::Timeout { .. } => Self::told("timeout", error),
            Error::PeerMisbehaved { .. } => Self::told("protocol_error", error),
            Error::PeerUnsupported { .. } => Self::told("unsupported", error),
            _ => Self::told("internal_error", error),
        }
    }
}

impl From<IngestError> for End {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::TakenOver(_) => Self::told("taken_over", error),
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
        Self::told(reason.label(), "")
    }
}
