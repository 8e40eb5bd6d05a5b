//! Fixtures and harnesses for tests of the whole server.
//!
//! Owns: foreign tools and how they are run, test media, captures, the comparison of what was published with what was
//! played, and a running `weir`. Does not: hold tests of the server, or know anything that a client could not know.
//!
//! A failure here is a failure of the test that called: functions panic with what went wrong and what the processes
//! said. A missing tool is such a failure and never a skip. Nothing sleeps: waiting is for a line, a packet or an exit,
//! and ends after [`PATIENCE`].

#![forbid(unsafe_code)]

pub mod browser;
pub mod capture;
pub mod clock_picture;
pub mod cluster;
pub mod compare;
pub mod documents;
pub mod flv;
pub mod haproxy;
pub mod hostile;
pub mod http;
pub mod media;
pub mod mp4box;
pub mod nginx;
pub mod packet;
pub mod process;
pub mod proxy;
pub mod publish;
pub mod redis;
pub mod tools;
pub mod viewer;
pub mod weir;

use std::time::Duration;

pub use browser::{Browser, Player};
pub use clock_picture::ClockPublisher;
pub use cluster::Cluster;
pub use compare::{Ends, Fault, Run, assert_equal, equal_run};
pub use haproxy::Haproxy;
pub use media::Media;
pub use packet::{Kind, Packet};
pub use process::Process;
pub use proxy::Proxy;
pub use tools::Tool;
pub use viewer::Viewer;
pub use weir::Weir;

/// How long a harness waits for an event before it fails the test. Events come within seconds; a machine whose cores
/// are all taken by other tests is several times slower.
pub const PATIENCE: Duration = Duration::from_secs(40);
