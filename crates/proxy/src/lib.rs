//! The cluster proxy: every stream of many origins behind one address.
//!
//! Owns: the way of a session from its opening to its end: learn the stream ([`stream_key`]), choose its origin
//! ([`directory`]), open the same session there ([`rtmp`], [`http`]), and move bytes with the least work.
//! Does not: know frames, keep media, own cluster state (`weir-cluster` does) or read configuration (the app does).
//!
//! One core serves a session from beginning to end. What cores share are the directory, the table of sessions and
//! counters.

#![forbid(unsafe_code)]

pub mod context;
pub mod directory;
pub mod http;
pub mod metrics;
pub mod register;
pub mod rtmp;
pub mod sessions;
pub mod settings;
pub mod stream_key;
pub mod token;

pub use context::Context;
pub use settings::Settings;
