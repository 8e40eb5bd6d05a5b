//! What a client session is to do.
//!
//! Owns: [`ClientConfig`]. Does not: parse URLs (`url` does).

use std::time::Duration;

use crate::chunk::DEFAULT_MAX_MESSAGE_BYTES;
use crate::url::RtmpUrl;

/// Whether the client sends or receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientMode {
    /// `publish` the stream, type `live`.
    Publish,
    /// `play` the stream.
    Play,
}

/// Settings of a [`super::ClientSession`].
#[derive(Debug, Clone, PartialEq)]
pub struct ClientConfig {
    /// Application, as in the URL.
    pub app: String,
    /// `tcUrl`: the URL without the stream name.
    pub tc_url: String,
    /// Stream name, with its query if there is one.
    pub stream: String,
    /// Publish or play.
    pub mode: ClientMode,
    /// `flashVer`.
    pub flash_ver: String,
    /// FourCCs to offer as enhanced RTMP's `fourCcList`; empty sends none, as a peer before enhanced RTMP.
    pub fourcc_list: Vec<String>,
    /// Digest handshake (some servers give H.264 only after one) instead of the simple one.
    pub digest_handshake: bool,
    /// Chunk size of what the client sends, in bytes.
    pub chunk_size: u32,
    /// Longest message accepted, in bytes.
    pub max_message_bytes: u32,
    /// Buffer length told to a server that plays to us, in milliseconds.
    pub buffer_millis: u32,
    /// From the start to the end of the handshake.
    pub handshake_timeout: Duration,
    /// From the end of the handshake to the answer to `connect`, and from there to the start of the stream.
    pub connect_timeout: Duration,
}

impl ClientConfig {
    /// Settings for `url` with the defaults: simple handshake, chunks of 60000 bytes, 10 s for each step.
    pub fn new(url: &RtmpUrl, mode: ClientMode) -> Self {
        Self {
            app: url.app.clone(),
            tc_url: url.tc_url(),
            stream: url.stream.clone(),
            mode,
            // what ffmpeg sends; several CDNs refuse names they do not know
            flash_ver: match mode {
                ClientMode::Publish => "FMLE/3.0 (compatible; Lavf61.7.100)".to_owned(),
                ClientMode::Play => "LNX 9,0,124,2".to_owned(),
            },
            fourcc_list: Vec::new(),
            digest_handshake: false,
            chunk_size: 60_000,
            max_message_bytes: DEFAULT_MAX_MESSAGE_BYTES,
            buffer_millis: 3000,
            handshake_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
        }
    }
}
