//! What all gates share.
//!
//! Owns: the context a gate works in ([`Gate`]), a session's entry and its one closing line ([`Opened`]), the way from
//! FLV-shaped messages into the hub ([`Ingest`]), the stream that an address means ([`Address`]), how often a publisher's
//! socket is read ([`ReadPace`]), and how attempts to dial out end ([`dial`]).
//! Does not: speak a protocol.

#![forbid(unsafe_code)]

mod address;
mod context;
pub mod dial;
mod ingest;
mod metrics;
mod pace;
mod session;

pub use address::{Address, InvalidAddress, Query};
pub use context::{Gate, Scratch, Settings};
pub use ingest::{Ingest, IngestError};
pub use metrics::{Ended, Metrics, Protocol, Refused};
pub use pace::{Load, ReadPace, Tick, arm};
pub use session::{Opened, close_gently};

/// The virtual host of streams whose address names none that is configured; SRS uses the same word.
pub const DEFAULT_VHOST: &str = "__defaultVhost__";
