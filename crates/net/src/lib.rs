//! Sockets, threads and clocks: the ground the gates stand on.
//!
//! Owns: the per-core runtimes ([`cores`]), listeners with one socket a core ([`listen`]), sockets that are either
//! watched or polled ([`socket`]), what stands before a protocol ([`door`]), moving bytes between two sockets
//! ([`relay`]), connecting to others ([`dial`]), admission of sessions ([`admission`]), the only
//! readings of clocks ([`clock`]) and the process's own resource figures ([`process`]).
//! Does not: know a protocol, a stream or a frame.

#![deny(unsafe_code)]

pub mod admission;
pub mod clock;
pub mod cores;
pub mod dial;
pub mod door;
pub mod listen;
pub mod mem_file;
pub mod process;
pub mod relay;
pub mod socket;
pub mod udp;
