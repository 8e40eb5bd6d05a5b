//! The live streams of this process.
//!
//! Owns: which streams exist ([`Hub`]), who publishes them ([`Publisher`]), their timeline, sequence headers and
//! cached GOP, the shared logs of ready bytes that viewers read ([`Format`], [`Reader`], [`Mirror`]), the table of
//! sessions ([`Sessions`]) and the counters of all of it ([`Metrics`]).
//! Does not: name a protocol, touch a socket, run a task or read a clock. It wakes with plain wakers, and every lock
//! in it is held for a push or a look, never across an await.
//!
//! # The way of a frame
//!
//! [`Publisher::push`] puts a frame on the stream's timeline and into its GOP cache, and appends its bytes to each
//! derived log that has readers. There is one log for each wire format that somebody watches, however many
//! viewers that is; it is made when the first comes and dropped after the last. Each core that serves viewers of a log
//! has one [`Reader`]; it is posted to the core's [`Mailbox`] when there is something new, and copies the new pieces'
//! handles into its [`Mirror`]. A viewer is a cursor into the mirror: a number.

#![forbid(unsafe_code)]

mod gop;
mod hub;
mod log;
mod mailbox;
mod metrics;
mod pace;
mod publisher;
mod reader;
mod sessions;
mod settings;
mod stream;
mod tap;
mod timeline;

pub use hub::{Hub, SubscribeError};
pub use log::{Format, FormatId, Piece, Setup};
pub use mailbox::Mailbox;
pub use metrics::{DropCause, DropLabels, LagHistogram, Metrics};
pub use pace::Rhythm;
pub use publisher::{PublishError, Publisher, TakenOver, Unpublished};
pub use reader::{Mirror, Reader, StartPoint, Synced, ViewerPlace};
pub use sessions::{Activity, EndReason, Kicked, Session, SessionRole, Sessions};
pub use settings::{Conflict, Latency, Settings, SlowViewer, Start};
pub use stream::{StreamSnapshot, TrackSnapshot};
pub use tap::{Tap, Tapped};
