//! Dialling out: pull a stream from another server by HTTP-FLV into the hub.
//!
//! Owns: one connection attempt ([`Pull`]) with its redirects, and the failures that only HTTP-FLV knows
//! ([`ProtocolError`]). Does not: retry (whoever wants the stream decides when to try again), or speak `https`.

mod address;
mod pull;
mod response;

use std::time::Duration;

use weir_container::flv;
use weir_gate::dial::{Failure, Fault};

pub use address::{HttpUrl, InvalidUrl};
pub use pull::Pull;

/// Why an attempt failed, and how far it got.
pub type DialError = weir_gate::dial::DialError<ProtocolError>;

/// Each way an attempt can fail.
pub type Cause = weir_gate::dial::Cause<ProtocolError>;

/// The failures that only HTTP-FLV knows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// Connected, but no answer came in time.
    #[error("no answer within {0:?}")]
    Slow(Duration),
    /// The answer is no HTTP.
    #[error("answer is no HTTP: {0}")]
    Http(httparse::Error),
    /// The head of the answer is longer than a head may be.
    #[error("head of the answer is longer than {limit} bytes")]
    HeadTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The body comes in a coding that was not asked for.
    #[error("body of the answer has the unknown coding {0:?}")]
    Coding(String),
    /// The body's chunks are broken.
    #[error("chunks of the answer are broken: {0}")]
    Chunks(String),
    /// The server answered with another status than 200.
    #[error("rejected: {code} {reason}")]
    Status {
        /// The status.
        code: u16,
        /// Its text, as the server wrote it.
        reason: String,
    },
    /// The server sent us to what is no address, or none that is spoken here.
    #[error("redirected to an address that is not usable: {0}")]
    Redirect(InvalidUrl),
    /// The body is no FLV.
    #[error(transparent)]
    Flv(#[from] flv::Error),
    /// The connection ended inside the answer.
    #[error("connection closed by the server in mid-stream")]
    Closed,
}

impl Failure for ProtocolError {
    fn fault(&self) -> Fault {
        match self {
            Self::Slow(_) | Self::Closed => Fault::Network,
            Self::Http(_) | Self::HeadTooLong { .. } | Self::Coding(_) => Fault::Peer,
            Self::Chunks(_) | Self::Status { .. } | Self::Flv(_) => Fault::Peer,
            Self::Redirect(_) => Fault::Peer,
        }
    }

    fn may_pass(&self) -> bool {
        !matches!(
            self,
            Self::Http(_) | Self::HeadTooLong { .. } | Self::Coding(_) | Self::Redirect(_)
        )
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Slow(_) => "timeout",
            Self::Http(_) | Self::HeadTooLong { .. } | Self::Coding(_) => "protocol_error",
            Self::Chunks(_) | Self::Flv(_) => "protocol_error",
            Self::Status { .. } | Self::Redirect(_) => "rejected",
            Self::Closed => "closed_by_peer",
        }
    }
}

#[cfg(test)]
mod tests;
