//! The HTTP gate: endless streams in FLV and MPEG-TS, over HTTP and WebSocket; files of streams (HLS, DASH); bodies from
//! publishers; and the application's pages.
//!
//! Owns: accepting ([`listen`]), as much of HTTP/1.1 and of the WebSocket protocol as that needs, the wire formats of
//! viewers ([`egress`]), and which streams have segments ([`shelf`]). Does not: parse containers (`weir-container` does),
//! keep media (the hub does), cut segments (`weir-segment` does), or write endless streams to viewers (the fan-out does).
//!
//! In: `POST /app/stream.flv` → [`weir_container::flv::Reader`] → [`weir_gate::Ingest`] → hub. Out: `GET
//! /app/stream.flv` → the fan-out writes the log of [`egress`]'s format straight to the socket; `GET /app/stream.m3u8` →
//! [`shelf`] → the connection writes shared bytes. That is why there is no HTTP library here: each would put a queue and a
//! copy for every viewer in between. HTTP/2 alone is hyper's, for files and pages: a connection has many requests there, and
//! their windows are what such a queue is.

#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

mod connection;
pub mod dial;
pub mod egress;
mod end;
mod files;
mod http2;
pub mod listen;
mod pages;
mod play;
mod publish;
mod reply;
mod response;
mod send;
pub mod shelf;
mod target;

pub use listen::Settings;

/// The name, in logs, metrics and the API, of connections that began with FLV.
pub const PROTOCOL: &str = "http-flv";

/// The name of connections that began as a WebSocket with FLV.
pub const WEBSOCKET_PROTOCOL: &str = "ws-flv";

/// The name of connections that began with MPEG-TS.
pub const TS_PROTOCOL: &str = "http-ts";

/// The name of connections that began as a WebSocket with MPEG-TS.
pub const WEBSOCKET_TS_PROTOCOL: &str = "ws-ts";

/// The name of connections that began with a file or a page. Viewers by files have entries of their own, called `hls` and
/// `dash`: they come on many connections.
pub const FILES_PROTOCOL: &str = "http";
