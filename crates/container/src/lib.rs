//! Containers and their notations: FLV with enhanced RTMP headers, and AMF0 and AMF3.
//!
//! Owns: [`amf`] (the values of commands and metadata) and [`flv`] (tags, the headers in their
//! bodies, files). Everything is sans-IO: bytes in, values or bytes out; lengths from the wire are
//! bounded before memory is reserved. Does not: parse codec configurations (`weir-codec`), read
//! sockets or files, or know sessions.

#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

pub mod amf;
pub mod flv;
