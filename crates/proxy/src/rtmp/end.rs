//! How an RTMP session ends.
//!
//! Owns: [`End`]: the reason for the counter and the log, and what the client is told. Does not: tell it.

use std::io;

use weir_cluster::Node;
use weir_net::relay;
use weir_rtmp::transit::Role;

use crate::directory::PlaceError;
use crate::stream_key::KeyError;

/// Why a session ends before its bytes are forwarded, or afterwards.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// The client's connection failed, or it closed before it asked for anything.
    #[error("client closed")]
    ClientClosed,
    /// The client closed its connection, or it failed.
    #[error("client's connection failed: {0}")]
    ClientFailed(io::Error),
    /// The client broke the protocol, or was silent.
    #[error("client: {0}")]
    Client(weir_rtmp::Error),
    /// What the client names is no stream.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// There are too many sessions.
    #[error("{0}")]
    Limit(#[from] weir_net::admission::Refusal),
    /// There is no origin for it.
    #[error("{0}")]
    NoOrigin(#[from] PlaceError),
    /// The origins that were tried do not answer; the last one's fault.
    #[error("origin: {0}")]
    Origin(String),
    /// The origin does not want it.
    #[error("origin refuses: {code} {description}")]
    Refused { code: String, description: String },
    /// The origin closed its connection, or it failed.
    #[error("origin closed")]
    OriginClosed,
    /// The origin's connection failed.
    #[error("origin's connection failed: {0}")]
    OriginFailed(io::Error),
    /// A peer took nothing for too long.
    #[error("{0} takes nothing")]
    Stalled(&'static str),
    /// The stream was published at another origin than where this viewer waited.
    #[error("stream is at another origin now")]
    Moved,
    /// The proxy ends.
    #[error("proxy is stopping")]
    Stopping,
}

impl End {
    /// The reason from the fixed list of metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::ClientClosed => "client_closed",
            Self::ClientFailed(_) => "client_failed",
            Self::Client(weir_rtmp::Error::Timeout { .. }) => "client_silent",
            Self::Client(_) => "client_misbehaved",
            Self::Key(_) => "bad_name",
            Self::Limit(_) => "limit",
            Self::NoOrigin(_) => "no_origin",
            Self::Origin(_) => "origin_unanswered",
            Self::Refused { .. } => "origin_refused",
            Self::OriginClosed => "origin_closed",
            Self::OriginFailed(_) => "origin_failed",
            Self::Stalled(_) => "stalled",
            Self::Moved => "moved",
            Self::Stopping => "stopping",
        }
    }

    /// Code and description of the status that tells the client; `None` when there is nobody to tell. Names nothing of
    /// the inside.
    pub(super) fn status(&self, role: Role, node: Option<&Node>) -> Option<(String, String)> {
        let failed = match role {
            Role::Publish => "NetStream.Failed",
            Role::Play => "NetStream.Play.Failed",
        };
        let bad_name = match role {
            Role::Publish => "NetStream.Publish.BadName",
            Role::Play => "NetStream.Play.StreamNotFound",
        };
        let (code, description) = match self {
            Self::Key(error) => (bad_name, error.to_string()),
            Self::Limit(refusal) => (failed, refusal.to_string()),
            Self::NoOrigin(_) => (failed, "No origin server is available.".to_owned()),
            Self::Origin(_) => (failed, "The origin server does not answer.".to_owned()),
            Self::Refused { code, description } => {
                let inside = node.is_some_and(|node| description.contains(&node.host));
                let description = match inside {
                    true => "The origin server refuses.".to_owned(),
                    false => description.clone(),
                };
                let code = if code.is_empty() { failed } else { code };
                (code, description)
            }
            Self::OriginClosed | Self::OriginFailed(_) => {
                (failed, "The origin server has closed.".to_owned())
            }
            Self::Stopping => (failed, "The server is stopping.".to_owned()),
            _ => return None,
        };
        Some((code.to_owned(), description))
    }
}

impl From<relay::Ended> for End {
    fn from(ended: relay::Ended) -> Self {
        match ended {
            relay::Ended::First => Self::ClientClosed,
            relay::Ended::Second => Self::OriginClosed,
            relay::Ended::Stalled(true) => Self::Stalled("client"),
            relay::Ended::Stalled(false) => Self::Stalled("origin"),
            relay::Ended::Failed(true, error) => Self::ClientFailed(error),
            relay::Ended::Failed(false, error) => Self::OriginFailed(error),
        }
    }
}
