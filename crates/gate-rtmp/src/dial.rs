//! Dialling out: pull a stream from another server into the hub, push one from the hub to another server.
//!
//! Owns: one connection attempt each ([`Pull`], [`Push`]) with its redirects, and the failures that only RTMP knows
//! ([`ProtocolError`]). Does not: retry; whoever wants the stream decides when to try again.

mod format;
mod link;
mod pull;
mod push;

use std::time::Duration;

use weir_gate::dial::{Failure, Fault, MAX_REDIRECTS, Outcome};
use weir_rtmp::url::Masked;
use weir_rtmp::{Error, Misbehaviour};

pub use pull::Pull;
pub use push::Push;
pub use weir_rtmp::RtmpUrl;
pub use weir_rtmp::url::InvalidUrl;

/// Why an attempt failed, and how far it got.
pub type DialError = weir_gate::dial::DialError<ProtocolError>;

/// Each way an attempt can fail.
pub type Cause = weir_gate::dial::Cause<ProtocolError>;

/// The failures that only RTMP knows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// Connected, but the stream did not start in time.
    #[error("the stream did not start within {0:?}")]
    Slow(Duration),
    /// The peer broke the protocol, wants what is not supported, or was silent during the opening.
    #[error(transparent)]
    Session(#[from] Error),
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
    /// The peer ended the stream that we publish.
    #[error("the server ended the stream: {code}")]
    Ended {
        /// Code of the status.
        code: String,
    },
    /// The peer closed the connection without a word.
    #[error("connection closed by the server")]
    Closed,
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

impl Failure for ProtocolError {
    fn fault(&self) -> Fault {
        match self {
            Self::Slow(_) | Self::Closed => Fault::Network,
            Self::Session(Error::Timeout { .. }) => Fault::Network,
            Self::Session(Error::Misuse(_)) => Fault::Us,
            Self::Session(_) | Self::StreamId(_) | Self::Rejected { .. } => Fault::Peer,
            Self::Redirect { .. } | Self::Ended { .. } => Fault::Peer,
        }
    }

    fn may_pass(&self) -> bool {
        match self {
            Self::Session(Error::PeerMisbehaved { what, .. }) => {
                !matches!(what, Misbehaviour::NotRtmp(_))
            }
            Self::Session(Error::PeerUnsupported { .. } | Error::Misuse(_)) => false,
            Self::StreamId(_) | Self::Redirect { .. } => false,
            _ => true,
        }
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Slow(_) | Self::Session(Error::Timeout { .. }) => "timeout",
            Self::Session(Error::PeerUnsupported { .. }) => "unsupported",
            Self::Session(Error::Misuse(_)) => "internal_error",
            Self::Session(_) | Self::StreamId(_) => "protocol_error",
            Self::Rejected {
                redirect: Some(_), ..
            } => "redirected",
            Self::Rejected { .. } | Self::Redirect { .. } => "rejected",
            Self::Ended { .. } => "ended",
            Self::Closed => "closed_by_peer",
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
        let Cause::Protocol(ProtocolError::Rejected {
            redirect: Some(address),
            ..
        }) = &error.cause
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
fn redirected(from: &RtmpUrl, address: &str) -> Result<RtmpUrl, ProtocolError> {
    let mut url: RtmpUrl = address.parse().map_err(|error| ProtocolError::Redirect {
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
