//! How attempts to dial out end.
//!
//! Owns: what is the same whatever protocol is spoken: the outcome ([`Outcome`]), the error ([`DialError`]) with its
//! cause ([`Cause`]), and whose fault it is ([`Fault`]). A gate adds the failures that only its protocol knows
//! ([`Failure`]). Does not: connect (`weir_net::dial` does), speak, or try again.

use std::io;
use std::time::Duration;

use weir_fanout::Closed;
use weir_hub::{EndReason, PublishError, SubscribeError, TakenOver};
use weir_net::admission::Refusal;
use weir_net::dial::ConnectError;

use crate::IngestError;

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
    /// The stream is over at its source. For a push `said` is empty.
    Source {
        /// What the peer said, such as the code `NetStream.Play.UnpublishNotify`, or how it showed it.
        said: String,
    },
    /// We did: the caller asked for it.
    Stopped,
}

/// Why an attempt failed, and how far it got.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct DialError<P: Failure> {
    /// What went wrong.
    pub cause: Cause<P>,
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

/// The failures that only one protocol knows, as all of them are judged.
pub trait Failure: std::error::Error + 'static {
    /// Whose fault it is.
    fn fault(&self) -> Fault;

    /// False when trying again can only fail in the same way, unless somebody changes the server.
    fn may_pass(&self) -> bool;

    /// The word for logs and metrics.
    fn label(&self) -> &'static str;
}

/// Each way an attempt can fail; `P` are those of the protocol.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause<P: Failure> {
    /// The host could not be connected to.
    #[error(transparent)]
    Connect(ConnectError),
    /// A failure that only the protocol knows.
    #[error(transparent)]
    Protocol(P),
    /// More than [`MAX_REDIRECTS`] in a row.
    #[error("redirected more than {MAX_REDIRECTS} times")]
    Redirects,
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
    Refused(Refusal),
    /// The stream cannot be published here.
    #[error(transparent)]
    Publish(PublishError),
    /// The stream cannot be watched here.
    #[error(transparent)]
    Subscribe(SubscribeError),
    /// Another session took over the stream here.
    #[error(transparent)]
    TakenOver(TakenOver),
    /// An operator ended the session.
    #[error("session was ended: {}", .0.label())]
    Kicked(EndReason),
}

impl<P: Failure> Cause<P> {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Connect(_) | Self::Lost(_) | Self::Idle(_) | Self::Lagged => Fault::Network,
            Self::Protocol(failure) => failure.fault(),
            Self::Redirects => Fault::Peer,
            Self::Refused(_) | Self::Publish(_) | Self::Subscribe(_) => Fault::Us,
            Self::TakenOver(_) | Self::Kicked(_) => Fault::Us,
        }
    }

    /// False when trying again can only fail in the same way, unless somebody changes the server.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Protocol(failure) => failure.may_pass(),
            _ => true,
        }
    }

    /// The word for logs and metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Connect(_) => "unreachable",
            Self::Protocol(failure) => failure.label(),
            Self::Redirects => "rejected",
            Self::Lost(_) => "connection_lost",
            Self::Idle(_) => "publish_idle",
            Self::Lagged => "lagged",
            Self::Refused(_) | Self::Publish(_) | Self::Subscribe(_) => "refused",
            Self::TakenOver(_) => "taken_over",
            Self::Kicked(reason) => reason.label(),
        }
    }
}

impl<P: Failure> From<P> for Cause<P> {
    fn from(failure: P) -> Self {
        Self::Protocol(failure)
    }
}

impl<P: Failure> From<ConnectError> for Cause<P> {
    fn from(error: ConnectError) -> Self {
        Self::Connect(error)
    }
}

impl<P: Failure> From<Refusal> for Cause<P> {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<P: Failure> From<PublishError> for Cause<P> {
    fn from(error: PublishError) -> Self {
        Self::Publish(error)
    }
}

impl<P: Failure> From<SubscribeError> for Cause<P> {
    fn from(error: SubscribeError) -> Self {
        Self::Subscribe(error)
    }
}

impl<P: Failure> From<IngestError> for Cause<P> {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::TakenOver(error) => Self::TakenOver(error),
        }
    }
}

impl<P: Failure> From<Closed> for Cause<P> {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::Io(kind) => Self::Lost(kind.into()),
            Closed::Lagged | Closed::Deaf => Self::Lagged,
        }
    }
}

impl<P: Failure> From<Cause<P>> for DialError<P> {
    /// A failure before any media.
    fn from(cause: Cause<P>) -> Self {
        Self {
            cause,
            ran: Duration::ZERO,
        }
    }
}

impl<P: Failure> From<P> for DialError<P> {
    /// A failure before any media.
    fn from(failure: P) -> Self {
        Cause::Protocol(failure).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A protocol whose peers can only say no.
    #[derive(Debug, thiserror::Error)]
    #[error("the peer said no")]
    struct No;

    impl Failure for No {
        fn fault(&self) -> Fault {
            Fault::Peer
        }

        fn may_pass(&self) -> bool {
            false
        }

        fn label(&self) -> &'static str {
            "no"
        }
    }

    #[track_caller]
    fn judged(cause: impl Into<Cause<No>>, fault: Fault, may_pass: bool, label: &str) {
        let cause = cause.into();
        assert_eq!(
            (cause.fault(), cause.may_pass(), cause.label()),
            (fault, may_pass, label),
            "{cause}"
        );
    }

    #[test]
    fn failures_name_the_guilty_whether_they_may_pass_and_their_word() {
        let error = io::Error::from(io::ErrorKind::ConnectionRefused);
        let address = "127.0.0.1:1".parse().expect("an address");
        let refused = ConnectError::Connect { address, error };
        judged(refused, Fault::Network, true, "unreachable");
        judged(No, Fault::Peer, false, "no");
        judged(Cause::Redirects, Fault::Peer, true, "rejected");
        let silent = Cause::Idle(Duration::from_secs(1));
        judged(silent, Fault::Network, true, "publish_idle");
        judged(Refusal::Sessions(1), Fault::Us, true, "refused");
        let reset = Closed::Io(io::ErrorKind::ConnectionReset);
        judged(reset, Fault::Network, true, "connection_lost");
        judged(Closed::Lagged, Fault::Network, true, "lagged");
        judged(Closed::Deaf, Fault::Network, true, "lagged");
    }

    #[test]
    fn a_failure_before_media_says_what_its_cause_says() {
        let error = DialError::from(No);
        assert_eq!(error.to_string(), "the peer said no");
        assert_eq!(error.ran, Duration::ZERO);
        let error: DialError<No> = Cause::Redirects.into();
        assert_eq!(error.to_string(), "redirected more than 3 times");
    }
}
