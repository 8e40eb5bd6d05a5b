//! Segments of a running server as foreign programs see them: HLS, low-latency HLS, MPEG-DASH and MPEG-TS.
//!
//! Owns: nothing but the list of modules; they share servers' handling (`support`), publishers that do as they are told
//! (`script`), and the comparison of media across containers (`frames`).

mod codecs;
mod encryption;
mod folder;
mod forms;
mod frames;
mod hostile;
mod lists;
mod players;
mod returns;
mod script;
mod support;
mod transport;
mod waiting;
mod watched;
