//! The answering side of an RTMP connection.
//!
//! Owns: [`ServerSession`], from the first byte of the handshake to the last: replies, acknowledgements, message
//! streams and deadlines. Does not: decide who may publish or play (the caller answers the request events), keep
//! media, or write media to a player (the shared log does, with [`crate::chunk::write_message`]).
//!
//! Invariants: at most one event per call; no queue grows with what the peer sends; an established session
//! holds no handshake buffers.

mod commands;
mod config;
mod event;
mod replies;
mod session;
mod streams;

pub use config::ServerConfig;
pub use event::{ConnectRequest, Event, PublishKind};
pub use replies::{write_stream_begin_and_publish_notify, write_stream_eof_and_unpublish_notify};
pub use session::{MAX_PENDING_OUTPUT, ServerSession};
pub use streams::MAX_MESSAGE_STREAMS;
