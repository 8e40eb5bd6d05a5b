//! Dialling out: pull a stream from another server by HTTP-FLV into the hub.
//!
//! Owns: one connection attempt ([`Pull`]) with its redirects, and why it ended ([`Outcome`], [`DialError`]).
//! Does not: retry (whoever wants the stream decides when to try again), or speak `https`.

mod address;
mod connect;
mod pull;
mod response;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use weir_container::flv;
use weir_gate::IngestError;
use weir_hub::{EndReason, PublishError, TakenOver};
use weir_net::admission::Refusal;

pub use address::{HttpUrl, InvalidUrl};
pub use pull::Pull;

/// Redirects followed in one attempt. Balancers send a client on once, rarely twice; more is a loop.
pub const MAX_REDIRECTS: usize = 3;

/// How an attempt that did its work ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Who ended it.
    pub end: End,
    /// How long media came over the connection; zero when none did.
    pub ran: Duration,
}

/// Who ended a connection in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The body is complete: the stream is over at its source.
    Source,
    /// We did: the caller asked for it.
    Stopped,
}

/// Why an attempt failed, and how far it got.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct DialError {
    /// What went wrong.
    pub cause: Cause,
    /// How long media came over the connection before; zero when none did.
    pub ran: Duration,
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The other server's.
    Peer,
    /// That of whatever lies between, or of a server that is down.
    Network,
    /// This server's: a limit, an operator, or another publisher here.
    Us,
}

/// Each way an attempt can fail.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The host name has no address.
    #[error("cannot resolve {host}: {error}")]
    Dns {
        /// The name.
        host: String,
        /// What the resolver said.
        error: io::Error,
    },
    /// None of the host's addresses could be connected to.
    #[error("cannot connect to {address}: {error}")]
    Connect {
        /// The last address that was tried.
        address: SocketAddr,
        /// What the operating system said of it.
        error: io::Error,
    },
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
    /// More than [`MAX_REDIRECTS`] in a row.
    #[error("redirected more than {MAX_REDIRECTS} times")]
    Redirects,
    /// The body is no FLV.
    #[error(transparent)]
    Flv(#[from] flv::Error),
    /// The connection ended inside the answer.
    #[error("connection closed by the server in mid-stream")]
    Closed,
    /// The connection broke.
    #[error("connection lost: {0}")]
    Lost(io::Error),
    /// Nothing came for as long as a publisher may be silent.
    #[error("nothing came for {0:?}")]
    Idle(Duration),
    /// Our limit on sessions.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The stream cannot be published here.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Another session took over the stream here.
    #[error(transparent)]
    TakenOver(#[from] TakenOver),
    /// An operator ended the session.
    #[error("session was ended: {}", .0.label())]
    Kicked(EndReason),
}

impl Cause {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Dns { .. } | Self::Connect { .. } | Self::Slow(_) => Fault::Network,
            Self::Closed | Self::Lost(_) | Self::Idle(_) => Fault::Network,
            Self::Http(_) | Self::HeadTooLong { .. } | Self::Coding(_) => Fault::Peer,
            Self::Chunks(_) | Self::Status { .. } | Self::Flv(_) => Fault::Peer,
            Self::Redirect(_) | Self::Redirects => Fault::Peer,
            Self::Refused(_) | Self::Publish(_) => Fault::Us,
            Self::TakenOver(_) | Self::Kicked(_) => Fault::Us,
        }
    }

    /// False when trying again can only fail in the same way, unless somebody changes the server.
    pub fn may_pass(&self) -> bool {
        !matches!(
            self,
            Self::Http(_) | Self::HeadTooLong { .. } | Self::Coding(_) | Self::Redirect(_)
        )
    }

    /// The word for logs and metrics.
    fn label(&self) -> &'static str {
        match self {
            Self::Dns { .. } | Self::Connect { .. } => "unreachable",
            Self::Slow(_) => "timeout",
            Self::Http(_) | Self::HeadTooLong { .. } | Self::Coding(_) => "protocol_error",
            Self::Chunks(_) | Self::Flv(_) => "protocol_error",
            Self::Status { .. } | Self::Redirect(_) | Self::Redirects => "rejected",
            Self::Closed => "closed_by_peer",
            Self::Lost(_) => "connection_lost",
            Self::Idle(_) => "publish_idle",
            Self::Refused(_) | Self::Publish(_) => "refused",
            Self::TakenOver(_) => "taken_over",
            Self::Kicked(reason) => reason.label(),
        }
    }
}

impl From<IngestError> for Cause {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::TakenOver(error) => Self::TakenOver(error),
        }
    }
}

impl From<Cause> for DialError {
    /// A failure before any media.
    fn from(cause: Cause) -> Self {
        Self {
            cause,
            ran: Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests;
