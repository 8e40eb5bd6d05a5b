//! Status codes of `onStatus`, `_result` and `_error`.
//!
//! Owns: their words on the wire and their level, in one place. Does not: choose among them.

use weir_container::amf::Value;

/// A code of the information object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StatusCode {
    /// `connect` succeeded.
    ConnectSuccess,
    /// The server does not want this connection: bad credentials, or full.
    ConnectRejected,
    /// There is no such application.
    ConnectInvalidApp,
    /// The server closes the connection, or is about to stop.
    ConnectClosed,
    /// The command is unknown or could not be carried out.
    CallFailed,
    /// Publishing has begun.
    PublishStart,
    /// The name is taken, or no name.
    PublishBadName,
    /// The publisher lacks the right.
    PublishDenied,
    /// Publishing has ended by wish of the publisher.
    UnpublishSuccess,
    /// Playing begins and what was played before is dropped.
    PlayReset,
    /// Playing has begun.
    PlayStart,
    /// Playing has ended.
    PlayStop,
    /// There is no such stream.
    PlayStreamNotFound,
    /// Playing failed for another reason.
    PlayFailed,
    /// The publisher has come (back).
    PlayPublishNotify,
    /// The publisher has gone.
    PlayUnpublishNotify,
    /// The player is too slow for the stream.
    PlayInsufficientBandwidth,
    /// The player has paused.
    PauseNotify,
    /// The player has resumed.
    UnpauseNotify,
    /// Seeking is not possible.
    SeekFailed,
    /// A command of a message stream failed.
    StreamFailed,
}

/// How grave a status is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// All is well.
    Status,
    /// Something to know.
    Warning,
    /// The request failed.
    Error,
}

impl StatusCode {
    /// The code's word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConnectSuccess => "NetConnection.Connect.Success",
            Self::ConnectRejected => "NetConnection.Connect.Rejected",
            Self::ConnectInvalidApp => "NetConnection.Connect.InvalidApp",
            Self::ConnectClosed => "NetConnection.Connect.Closed",
            Self::CallFailed => "NetConnection.Call.Failed",
            Self::PublishStart => "NetStream.Publish.Start",
            Self::PublishBadName => "NetStream.Publish.BadName",
            Self::PublishDenied => "NetStream.Publish.Denied",
            Self::UnpublishSuccess => "NetStream.Unpublish.Success",
            Self::PlayReset => "NetStream.Play.Reset",
            Self::PlayStart => "NetStream.Play.Start",
            Self::PlayStop => "NetStream.Play.Stop",
            Self::PlayStreamNotFound => "NetStream.Play.StreamNotFound",
            Self::PlayFailed => "NetStream.Play.Failed",
            Self::PlayPublishNotify => "NetStream.Play.PublishNotify",
            Self::PlayUnpublishNotify => "NetStream.Play.UnpublishNotify",
            Self::PlayInsufficientBandwidth => "NetStream.Play.InsufficientBW",
            Self::PauseNotify => "NetStream.Pause.Notify",
            Self::UnpauseNotify => "NetStream.Unpause.Notify",
            Self::SeekFailed => "NetStream.Seek.Failed",
            Self::StreamFailed => "NetStream.Failed",
        }
    }

    /// The level it is sent with.
    pub fn level(self) -> Level {
        match self {
            Self::ConnectRejected
            | Self::ConnectInvalidApp
            | Self::CallFailed
            | Self::PublishBadName
            | Self::PublishDenied
            | Self::PlayStreamNotFound
            | Self::PlayFailed
            | Self::SeekFailed
            | Self::StreamFailed => Level::Error,
            Self::PlayInsufficientBandwidth => Level::Warning,
            _ => Level::Status,
        }
    }
}

impl Level {
    /// The level's word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// The information object of a status.
pub(crate) fn information(code: StatusCode, description: &str) -> Vec<(String, Value)> {
    vec![
        ("level".to_owned(), code.level().as_str().into()),
        ("code".to_owned(), code.as_str().into()),
        ("description".to_owned(), description.into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_on_the_wire() {
        use StatusCode::*;
        let table = [
            (ConnectSuccess, "NetConnection.Connect.Success", "status"),
            (ConnectRejected, "NetConnection.Connect.Rejected", "error"),
            (
                ConnectInvalidApp,
                "NetConnection.Connect.InvalidApp",
                "error",
            ),
            (ConnectClosed, "NetConnection.Connect.Closed", "status"),
            (CallFailed, "NetConnection.Call.Failed", "error"),
            (PublishStart, "NetStream.Publish.Start", "status"),
            (PublishBadName, "NetStream.Publish.BadName", "error"),
            (PublishDenied, "NetStream.Publish.Denied", "error"),
            (UnpublishSuccess, "NetStream.Unpublish.Success", "status"),
            (PlayReset, "NetStream.Play.Reset", "status"),
            (PlayStart, "NetStream.Play.Start", "status"),
            (PlayStop, "NetStream.Play.Stop", "status"),
            (PlayStreamNotFound, "NetStream.Play.StreamNotFound", "error"),
            (PlayFailed, "NetStream.Play.Failed", "error"),
            (PlayPublishNotify, "NetStream.Play.PublishNotify", "status"),
            (
                PlayUnpublishNotify,
                "NetStream.Play.UnpublishNotify",
                "status",
            ),
            (
                PlayInsufficientBandwidth,
                "NetStream.Play.InsufficientBW",
                "warning",
            ),
            (PauseNotify, "NetStream.Pause.Notify", "status"),
            (UnpauseNotify, "NetStream.Unpause.Notify", "status"),
            (SeekFailed, "NetStream.Seek.Failed", "error"),
            (StreamFailed, "NetStream.Failed", "error"),
        ];
        for (code, word, level) in table {
            assert_eq!((code.as_str(), code.level().as_str()), (word, level));
        }
    }
}
