//! Fuzz entry points for every parser and session.
//!
//! Owns: [`TARGETS`], one function for each parser and each session, that takes any bytes and panics when an invariant
//! breaks; [`mutation`], a small deterministic fuzzer for ordinary tests. Each target states its own form of input.
//! `fuzz/libfuzzer` runs the same functions under libFuzzer, `tests/corpus.rs` runs them on the files of `corpus/`.
//! Does not: judge what a parser makes of sound input; the unit tests of its crate do.
//!
//! What is asserted throughout: no panic; memory within its bound; the result does not depend on how the input was
//! cut into pieces; what was parsed, written and parsed again is the same; offsets in errors lie within the input.

#![forbid(unsafe_code)]

mod amf;
mod chunk;
mod chunk_forms;
mod client;
mod codec;
mod endpoint;
mod flv;
mod fmp4;
mod handshake;
mod hls;
mod http;
pub mod mutation;
mod names;
mod pieces;
mod proxy_protocol;
mod segment;
mod server;
mod transit;
mod ts;
mod wire;

pub use amf::{amf0, amf3};
pub use chunk::{chunk_reader, rtmp_command};
pub use chunk_forms::chunk_forms;
pub use client::client_session;
pub use codec::{codec_describe, codec_frame, nal_units};
pub use endpoint::endpoint;
pub use flv::{flv_header, flv_reader};
pub use fmp4::{codec_string, fmp4_init, fmp4_reader};
pub use handshake::{handshake_client, handshake_server};
pub use hls::{hls_lint, hls_query, mpd, playlist};
pub use http::{http_body, http_head, http_response, websocket};
pub use names::{rtmp_url, stream_key};
pub use proxy_protocol::proxy_protocol;
pub use segment::segment_channel;
pub use server::server_session;
pub use transit::transit;
pub use ts::{adts, annexb, ts_demuxer};
pub use wire::wire_cursors;

/// A fuzz target: takes any bytes, panics when an invariant breaks.
pub type Target = fn(&[u8]);

/// Every target by name; the name is also that of its corpus folder and of its libFuzzer binary.
pub const TARGETS: &[(&str, Target)] = &[
    ("adts", adts),
    ("amf0", amf0),
    ("amf3", amf3),
    ("annexb", annexb),
    ("chunk_forms", chunk_forms),
    ("chunk_reader", chunk_reader),
    ("client_session", client_session),
    ("codec_describe", codec_describe),
    ("codec_frame", codec_frame),
    ("codec_string", codec_string),
    ("endpoint", endpoint),
    ("flv_header", flv_header),
    ("flv_reader", flv_reader),
    ("fmp4_init", fmp4_init),
    ("fmp4_reader", fmp4_reader),
    ("handshake_client", handshake_client),
    ("handshake_server", handshake_server),
    ("hls_lint", hls_lint),
    ("hls_query", hls_query),
    ("http_body", http_body),
    ("http_head", http_head),
    ("http_response", http_response),
    ("mpd", mpd),
    ("nal_units", nal_units),
    ("playlist", playlist),
    ("proxy_protocol", proxy_protocol),
    ("rtmp_command", rtmp_command),
    ("rtmp_url", rtmp_url),
    ("segment_channel", segment_channel),
    ("server_session", server_session),
    ("stream_key", stream_key),
    ("transit", transit),
    ("ts_demuxer", ts_demuxer),
    ("websocket", websocket),
    ("wire_cursors", wire_cursors),
];
