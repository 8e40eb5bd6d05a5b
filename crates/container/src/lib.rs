//! Containers and their notations: FLV with enhanced RTMP headers, AMF0 and AMF3, fragmented MP4, MPEG-TS.
//!
//! Owns: [`amf`] (the values of commands and metadata), [`flv`] (tags, the headers in their
//! bodies, files), [`fmp4`] (init segments and heads of fragments) and [`ts`] (transport streams,
//! written and read). Everything is sans-IO: bytes in, values or bytes out; lengths from the wire are
//! bounded before memory is reserved. Does not: parse codec configurations (`weir-codec`), read
//! sockets or files, or know sessions.

#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

pub mod amf;
pub mod flv;
pub mod fmp4;
pub mod ts;
