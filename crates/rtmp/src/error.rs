//! What can go wrong on an RTMP connection, and whose fault it is.
//!
//! Owns: [`Error`], which names the guilty side and the place in the connection, and [`Misbehaviour`], one variant
//! for each way a peer can be wrong. Does not: decide what the driver does; every error but
//! [`Error::Misuse`] ends the session.

use std::time::Duration;

/// Why a session ended or refused a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke the protocol. The session is over.
    #[error("peer misbehaved at byte {offset}{}: {what}", Csid(*.csid))]
    PeerMisbehaved {
        /// Bytes of the connection read before the fault was seen, the handshake included.
        offset: u64,
        /// The chunk stream at fault, where there is one.
        csid: Option<u32>,
        /// What the peer did.
        what: Misbehaviour,
    },
    /// The peer asked for something legal that Weir does not speak. The session is over.
    #[error("peer wants what is not supported at byte {offset}: {what}")]
    PeerUnsupported {
        /// Bytes of the connection read before the request was seen.
        offset: u64,
        /// What the peer asked for.
        what: Unsupported,
    },
    /// The peer was silent for too long. The session is over.
    #[error("peer did not finish {phase} within {limit:?}")]
    Timeout {
        /// What was waited for.
        phase: Phase,
        /// How long, from the configuration.
        limit: Duration,
    },
    /// The caller asked for something the session's state does not allow. Nothing was changed.
    #[error("misuse of the session: {0}")]
    Misuse(Misuse),
}

impl Error {
    /// An error of the peer at `offset`, with the chunk stream where known.
    pub(crate) fn peer(offset: u64, csid: Option<u32>, what: Misbehaviour) -> Self {
        Self::PeerMisbehaved { offset, csid, what }
    }
}

struct Csid(Option<u32>);

impl std::fmt::Display for Csid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0
            .map_or(Ok(()), |csid| write!(f, " on chunk stream {csid}"))
    }
}

/// Each way a peer can break the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// The first byte is no RTMP version (RTMP 1.0 §5.2.2): most likely another protocol on this port.
    #[error("first byte {0:#04x} is no RTMP handshake")]
    NotRtmp(u8),
    /// Set Chunk Size of 0 or with bit 31 set (RTMP 1.0 §5.4.1).
    #[error("chunk size {0} is outside 1..=2147483647")]
    ChunkSize(u32),
    /// A message longer than the configured limit.
    #[error("message of {length} bytes is over the limit of {limit}")]
    MessageTooLarge {
        /// Length the header announces, in bytes.
        length: u32,
        /// The configured limit, in bytes.
        limit: u32,
    },
    /// Unfinished messages of all chunk streams together need more memory than one message may.
    #[error("unfinished messages need more than {limit} bytes together")]
    TooMuchUnfinished {
        /// The configured limit, in bytes.
        limit: u32,
    },
    /// More chunk streams in use than [`crate::chunk::MAX_CHUNK_STREAMS`].
    #[error("more than {0} chunk streams in use")]
    TooManyChunkStreams(usize),
    /// A compressed header (type 2 or 3) on a chunk stream that never had a full one.
    #[error("header type {0} on a chunk stream without an earlier header")]
    NoEarlierHeader(u8),
    /// A header that starts another message while one is unfinished on the chunk stream.
    #[error("header type {0} starts a message inside an unfinished one")]
    MessageInsideMessage(u8),
    /// A protocol control or user control message that is too short for its type.
    #[error("control message of type {type_id} has only {length} bytes")]
    ShortControl {
        /// Message type id.
        type_id: u8,
        /// Bytes in its body.
        length: usize,
    },
    /// A command or its arguments are not valid AMF.
    #[error("malformed command: {0}")]
    MalformedCommand(String),
    /// A command body longer than [`crate::command::MAX_COMMAND_BYTES`].
    #[error("command of {0} bytes")]
    CommandTooLarge(usize),
    /// A command other than `connect` came first.
    #[error("command {0:?} before connect")]
    BeforeConnect(String),
    /// An aggregate message whose parts do not fit its body.
    #[error("aggregate message with a cut part")]
    MalformedAggregate,
    /// The peer causes replies and does not read them.
    #[error("peer leaves more than {0} bytes of replies unread")]
    UnreadReplies(usize),
}

/// Each legal request that is not spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// An encrypted handshake (RTMPE, version 6, 8 or 9) or a later version of RTMP.
    #[error("handshake version {0}")]
    HandshakeVersion(u8),
}

/// What a session waits for under a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Phase {
    /// The end of the handshake.
    #[error("the handshake")]
    Handshake,
    /// `connect` (as server), or its answer (as client).
    #[error("connect")]
    Connect,
    /// The first `publish` or `play` (as server), or its answer (as client).
    #[error("publish or play")]
    Request,
}

/// Calls that do not fit the state of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// An answer to a request that is not waiting for one.
    #[error("no such request waits for an answer")]
    NothingToAnswer,
    /// A command for a message stream that is not in that state.
    #[error("message stream is not in that state")]
    WrongStream,
    /// A call on a session that has failed or was closed.
    #[error("session is over")]
    Over,
    /// Media given to a client that is not publishing yet.
    #[error("not publishing")]
    NotPublishing,
    /// A message body longer than 16777215 bytes, which the header's 24 bits cannot say.
    #[error("message body of {0} bytes")]
    BodyTooLarge(usize),
    /// The output that the driver has not taken is over its bound; try again after `take_output`.
    #[error("output buffer is full")]
    OutputFull,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_place() {
        let error = Error::peer(4711, Some(6), Misbehaviour::ChunkSize(0));
        assert_eq!(
            error.to_string(),
            "peer misbehaved at byte 4711 on chunk stream 6: chunk size 0 is outside 1..=2147483647"
        );
        let error = Error::peer(1, None, Misbehaviour::NotRtmp(b'G'));
        assert_eq!(
            error.to_string(),
            "peer misbehaved at byte 1: first byte 0x47 is no RTMP handshake"
        );
    }
}
