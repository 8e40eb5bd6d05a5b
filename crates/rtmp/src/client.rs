//! The dialling side of an RTMP connection.
//!
//! Owns: [`ClientSession`], which publishes or plays one stream, from the first byte to the last. Does not: open
//! sockets, follow redirects or retry (the caller does).

mod config;
mod replies;
mod session;

pub use config::{ClientConfig, ClientMode};
pub use session::{ClientEvent, ClientSession, MAX_PENDING_MEDIA, Redirect};
