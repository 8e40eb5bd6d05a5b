//! RTMP as a sans-IO core: handshake, chunk stream, server and client sessions.
//!
//! Owns: the wire of RTMP 1.0 as real peers speak it, with enhanced RTMP's connect fields; a session that is passed on
//! to another server ([`transit`]). [`ServerSession`] and [`ClientSession`] take bytes and the time, and give one event at a time, bytes to send and one deadline.
//! [`chunk::write_message`] serialises a message without state, so that one log of ready bytes can serve all viewers.
//! Does not: touch sockets, read clocks or look inside audio and video bodies (`weir-container` does).
//!
//! Driving rule of both sessions: hand in input, take events with `handle_input` until it gives `None` (also with
//! an empty input: one message can hold several events), act on each, then send what `take_output` gives and arm
//! one timer for `deadline`. An error is final for the session.

#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

pub mod chunk;
pub mod client;
pub mod command;
mod error;
pub mod handshake;
pub mod message;
pub mod server;
pub mod transit;
pub mod url;

pub use client::{ClientConfig, ClientEvent, ClientMode, ClientSession};
pub use error::{Error, Misbehaviour, Misuse, Phase, Unsupported};
pub use message::{MediaKind, Message};
pub use server::{Event, ServerConfig, ServerSession};
pub use url::RtmpUrl;
