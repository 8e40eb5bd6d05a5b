//! Dialling out: pull a stream from another server into the hub, push one from the hub to another server.
//!
//! Owns: one connection attempt each ([`Pull`], [`Push`]) with its redirects, and why it ended ([`Outcome`],
//! [`DialError`]). Does not: retry; whoever wants the stream decides when to try again.

mod connect;
mod format;
mod link;
mod pull;
mod push;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use weir_fanout::Closed;
use weir_gate::IngestError;
use weir_hub::{EndReason, PublishError, SubscribeError, TakenOver};
use weir_net::admission::Refusal;
use weir_rtmp::url::Masked;
use weir_rtmp::{Error, Misbehaviour};

pub use pull::Pull;
pub use push::Push;
pub use weir_rtmp::RtmpUrl;
pub use weir_rtmp::url::InvalidUrl;

/// Redirects followed in one attempt. Clusters send a client on once, rarely twice; more is a loop.
pub const MAX_REDIRECTS: usize = 3;

/// How an attempt that did its work ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Who ended it.
    pub end: End,
    /// How long media went over the connection; zero when none did.
    pub ran: Duration,
}

/// Who ended a connection in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The stream is over at its source. For a pull `code` is what the server said; for a push it is empty.
    Source {
        /// Code of the status, such as `NetStream.Play.UnpublishNotify`, or `StreamEOF`.
        code: String,
    },
    /// We did: the caller asked for it.
    Stopped,
}

/// Why an attempt failed, and how far it got.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct DialError {
    /// What went wrong.
    pub cause: Cause,
    /// How long media went over the connection before; zero when none did.
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
    /// Connected, but the stream did not start in time.
    #[error("the stream did not start within {0:?}")]
    Slow(Duration),
    /// The peer broke the protocol, wants what is not supported, or was silent during the opening.
    #[error(transparent)]
    Protocol(#[from] Error),
    /// The peer numbered the message stream as no server does, and as a shared log cannot say.
    #[error("message stream id {0} is not below 2^29")]
    StreamId(u32),
    /// The peer refused `connect`, `publish` or `play`.
    #[error("rejected: {code}{}", Described(.description))]
    Rejected {
        /// Code of the status; empty if the server sent none.
        code: String,
        /// What the server says about it.
        description: String,
        /// Where the server sends us instead.
        redirect: Option<String>,
    },
    /// The peer sent us to what is no RTMP address.
    #[error("redirected to {}, which is not usable: {error}", Masked(.address))]
    Redirect {
        /// The address as the server wrote it; it may hold secrets.
        address: String,
        /// What is wrong with it.
        error: InvalidUrl,
    },
    /// More than [`MAX_REDIRECTS`] in a row.
    #[error("redirected more than {MAX_REDIRECTS} times")]
    Redirects,
    /// The peer ended the stream that we publish.
    #[error("the server ended the stream: {code}")]
    Ended {
        /// Code of the status.
        code: String,
    },
    /// The peer closed the connection without a word.
    #[error("connection closed by the server")]
    Closed,
    /// The connection broke.
    #[error("connection lost: {0}")]
    Lost(io::Error),
    /// A source sent nothing for as long as a publisher may be silent.
    #[error("nothing came for {0:?}")]
    Idle(Duration),
    /// The socket took nothing for the write timeout, or the stream disconnects viewers that fall behind.
    #[error("the server does not take the stream as fast as it comes")]
    Lagged,
    /// Our limit on sessions.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The stream cannot be published here.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The stream cannot be watched here.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    /// Another session took over the stream here.
    #[error(transparent)]
    TakenOver(#[from] TakenOver),
    /// An operator ended the session.
    #[error("session was ended: {}", .0.label())]
    Kicked(EndReason),
}

/// A server's description in brackets, if it sent one.
struct Described<'a>(&'a str);

impl std::fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // servers repeat the address in it, with its query
        match self.0 {
            "" => Ok(()),
            text => write!(f, " ({})", Masked(text)),
        }
    }
}

impl Cause {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Dns { .. } | Self::Connect { .. } | Self::Slow(_) => Fault::Network,
            Self::Closed | Self::Lost(_) | Self::Idle(_) | Self::Lagged => Fault::Network,
            Self::Protocol(Error::Timeout { .. }) => Fault::Network,
            Self::Protocol(Error::Misuse(_)) => Fault::Us,
            Self::Protocol(_) | Self::StreamId(_) | Self::Rejected { .. } => Fault::Peer,
            Self::Redirect { .. } | Self::Redirects | Self::Ended { .. } => Fault::Peer,
            Self::Refused(_) | Self::Publish(_) | Self::Subscribe(_) => Fault::Us,
            Self::TakenOver(_) | Self::Kicked(_) => Fault::Us,
        }
    }

    /// False when trying again can only fail in the same way, unless somebody changes the server.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Protocol(Error::PeerMisbehaved { what, .. }) => {
                !matches!(what, Misbehaviour::NotRtmp(_))
            }
            Self::Protocol(Error::PeerUnsupported { .. } | Error::Misuse(_)) => false,
            Self::StreamId(_) | Self::Redirect { .. } => false,
            _ => true,
        }
    }

    /// The word for logs and metrics.
    fn label(&self) -> &'static str {
        match self {
            Self::Dns { .. } | Self::Connect { .. } => "unreachable",
            Self::Slow(_) | Self::Protocol(Error::Timeout { .. }) => "timeout",
            Self::Protocol(Error::PeerUnsupported { .. }) => "unsupported",
            Self::Protocol(Error::Misuse(_)) => "internal_error",
            Self::Protocol(_) | Self::StreamId(_) => "protocol_error",
            Self::Rejected {
                redirect: Some(_), ..
            } => "redirected",
            Self::Rejected { .. } | Self::Redirect { .. } | Self::Redirects => "rejected",
            Self::Ended { .. } => "ended",
            Self::Closed => "closed_by_peer",
            Self::Lost(_) => "connection_lost",
            Self::Idle(_) => "publish_idle",
            Self::Lagged => "lagged",
            Self::Refused(_) | Self::Publish(_) | Self::Subscribe(_) => "refused",
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

impl From<Closed> for Cause {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::Io(kind) => Self::Lost(kind.into()),
            Closed::Lagged | Closed::Deaf => Self::Lagged,
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

/// Calls `attempt` with `url`, and again with each address that it is redirected to.
async fn follow(
    url: &RtmpUrl,
    mut attempt: impl AsyncFnMut(&RtmpUrl) -> Result<Outcome, DialError>,
) -> Result<Outcome, DialError> {
    let mut url = url.clone();
    for _ in 0..=MAX_REDIRECTS {
        let error = match attempt(&url).await {
            Ok(outcome) => return Ok(outcome),
            Err(error) => error,
        };
        let Cause::Rejected {
            redirect: Some(address),
            ..
        } = &error.cause
        else {
            return Err(error);
        };
        url = redirected(&url, address)?;
        tracing::info!(to = %url, "redirected");
    }
    Err(Cause::Redirects.into())
}

/// The address that `address` means for a client that came with `from`: servers write a whole address, or a `tcUrl`,
/// which lacks the stream's name.
fn redirected(from: &RtmpUrl, address: &str) -> Result<RtmpUrl, Cause> {
    let mut url: RtmpUrl = address.parse().map_err(|error| Cause::Redirect {
        address: address.to_owned(),
        error,
    })?;
    if url.stream.is_empty() {
        url.stream.clone_from(&from.stream);
    } else if format!("{}/{}", url.app, url.stream) == from.app {
        // an app of several segments, without a stream
        url.app.clone_from(&from.app);
        url.stream.clone_from(&from.stream);
    }
    Ok(url)
}

#[cfg(test)]
mod tests;
