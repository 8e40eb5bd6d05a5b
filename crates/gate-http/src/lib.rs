//! The FLV gate: HTTP-FLV and WebSocket-FLV to viewers, FLV bodies from publishers.
//!
//! Owns: accepting ([`listen`]), as much of HTTP/1.1 and of the WebSocket protocol as that needs, and the wire formats
//! of viewers ([`egress`]). Does not: parse FLV (`weir-container` does), keep media (the hub does), or write media to
//! viewers (the fan-out does).
//!
//! In: `POST /app/stream.flv` → [`weir_container::flv::Reader`] → [`weir_gate::Ingest`] → hub. Out: `GET
//! /app/stream.flv` → the fan-out writes the log of [`egress`]'s format straight to the socket. That is why there is no
//! HTTP library here: each would put a queue and a copy for every viewer in between.

#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

mod connection;
pub mod dial;
pub mod egress;
mod end;
pub mod listen;
mod play;
mod publish;
mod response;
mod target;

pub use listen::Settings;

/// The protocol's name in logs, metrics and the API.
pub const PROTOCOL: &str = "http-flv";

/// The name of connections that began as a WebSocket.
pub const WEBSOCKET_PROTOCOL: &str = "ws-flv";
