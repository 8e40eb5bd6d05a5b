//! What HTTP servers and proxies read, as sans-IO cores: bytes in, requests, body parts and frames out.
//!
//! Owns: request heads ([`head`], [`request`]; RFC 9110 and 9112) and answers' ([`response`]), their header fields
//! ([`fields`], [`date`]), heads to be sent ([`write`](mod@write)), bodies of a length or in chunks ([`body`]), and
//! WebSocket handshakes and frames ([`websocket`]; RFC 6455). All of it is bounded, independent of how the input is
//! cut, and strict where leniency lets one request hide in another.
//! Does not: know sockets or streams, or choose answers.

#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

pub mod body;
pub mod date;
pub mod fields;
pub mod head;
pub mod pages;
pub mod request;
pub mod response;
pub mod websocket;
pub mod write;
