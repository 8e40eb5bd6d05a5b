//! The web console: a browser's view of a server.
//!
//! Owns: the built console, embedded; which file answers which path, its type, how long it may be kept, and the headers
//! that forbid the page everything it does not need. Invariants: only embedded files are answered, and no request makes
//! anything be read from a disk; nothing in an answer comes from the request. Sources are in `console/`
//! at the root of the repository; without node there is a plain page instead. Does not: know the API, who may see
//! what, or sockets.

mod answer;
mod plain;

pub use answer::{accepts_gzip, answer, is_full};
pub use plain::{Row, plain};
