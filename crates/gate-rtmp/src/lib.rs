//! The RTMP gate: sockets on one side, the hub on the other, the session core of `weir-rtmp` between them.
//!
//! Owns: accepting ([`listen`]), publishing and playing on accepted connections, and dialling out ([`dial`]).
//! Does not: parse (the core does), keep media (the hub does), or write media to players (the fan-out does).
//!
//! In: bytes → [`weir_rtmp::ServerSession`] → messages → [`weir_gate::Ingest`] → hub. Out: the fan-out writes the
//! log of [`egress`]'s format; what the session says goes between whole messages of it.

#![forbid(unsafe_code)]

mod connection;
pub mod dial;
pub mod egress;
mod end;
pub mod listen;
mod publish;

pub use listen::Settings;

/// The protocol's name in logs, metrics and the API.
pub const PROTOCOL: &str = "rtmp";
