//! Frames in a container, framed for HTTP or WebSocket once for all viewers.
//!
//! Owns: [`Wire`], which names a container and a framing, [`FlvFormat`] and the file header that precedes its tags, and
//! [`TsFormat`]. Does not: write to sockets.
//!
//! A piece of the log holds whole tags, or whole packets, and is one HTTP chunk, one WebSocket message, or bare. The
//! FLV file header is a viewer's own and goes out before the log.

mod ts;

use bytes::Bytes;
use weir_container::flv::{self, TagKind};
use weir_hub::{Format, FormatId, Setup};
use weir_media::{Frame, Timestamp};

use weir_http::websocket::{self, Opcode};

pub use ts::TsFormat;

/// Bytes of a chunk's head: the size in eight hexadecimal digits, and CR LF (RFC 9112, section 7.1).
///
/// The width is fixed so that room can be left before the size is known; leading zeros are lawful.
const CHUNK_HEAD_BYTES: usize = 10;

/// The chunk that ends a body, with no trailers.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What carries the media of an endless stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// FLV.
    Flv,
    /// MPEG-TS.
    Ts,
}

impl Container {
    /// Its `Content-Type`.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Flv => "video/x-flv",
            Self::Ts => "video/mp2t",
        }
    }
}

/// What is around the pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Nothing: HTTP/1.0, where the body ends with the connection.
    Raw,
    /// HTTP/1.1's chunked coding.
    Chunked,
    /// Binary messages (RFC 6455).
    WebSocket,
}

/// What a viewer's bytes depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wire {
    /// What carries the media.
    pub container: Container,
    /// What is around it.
    pub framing: Framing,
}

impl Wire {
    /// The identity of the log.
    pub fn id(self) -> FormatId {
        let name = match (self.container, self.framing) {
            (Container::Flv, Framing::Raw) => "flv",
            (Container::Flv, Framing::Chunked) => "flv-chunked",
            (Container::Flv, Framing::WebSocket) => "flv-ws",
            (Container::Ts, Framing::Raw) => "ts",
            (Container::Ts, Framing::Chunked) => "ts-chunked",
            (Container::Ts, Framing::WebSocket) => "ts-ws",
        };
        FormatId { name, parameter: 0 }
    }

    /// A format without a past.
    pub fn format(self) -> Box<dyn Format> {
        match self.container {
            Container::Flv => Box::new(FlvFormat::new(self.framing)),
            Container::Ts => Box::new(TsFormat::new(self.framing)),
        }
    }

    /// Appends what a viewer is sent before the log. Players of browsers wait for every medium that is announced.
    pub(crate) fn write_file_header(self, has_video: bool, has_audio: bool, out: &mut Vec<u8>) {
        if self.container == Container::Flv {
            self.framing.write_flv_header(has_video, has_audio, out);
        }
    }
}

impl Framing {
    fn head_room(self) -> usize {
        match self {
            Self::Raw => 0,
            Self::Chunked => CHUNK_HEAD_BYTES,
            Self::WebSocket => websocket::HEADER_BYTES,
        }
    }

    fn seal(self, mut piece: Vec<u8>) -> Bytes {
        let room = self.head_room();
        let length = piece.len().saturating_sub(room);
        let skip = match self {
            Self::Raw => 0,
            Self::Chunked => {
                if let Some(head) = piece.first_chunk_mut() {
                    *head = chunk_head(length);
                }
                piece.extend_from_slice(b"\r\n");
                0
            }
            Self::WebSocket => {
                let (header, used) = websocket::header(Opcode::Binary, length);
                if let Some(front) = piece.first_chunk_mut() {
                    *front = header;
                }
                room - used
            }
        };
        Bytes::from(piece).slice(skip..)
    }

    fn write_flv_header(self, has_video: bool, has_audio: bool, out: &mut Vec<u8>) {
        let mut piece = vec![0; self.head_room()];
        flv::write_file_header(has_audio, has_video, &mut piece);
        out.extend_from_slice(&self.seal(piece));
    }
}

/// `length` as the head of a chunk. A piece is far below 4 GiB: one tag, or a piece's worth of small ones.
pub(crate) fn chunk_head(length: usize) -> [u8; CHUNK_HEAD_BYTES] {
    let mut head = *b"00000000\r\n";
    let mut left = length;
    for digit in head.iter_mut().take(8).rev() {
        *digit = b"0123456789abcdef".get(left & 15).copied().unwrap_or(b'0');
        left >>= 4;
    }
    head
}

/// The wire format of all viewers of FLV with one framing.
#[derive(Debug)]
pub struct FlvFormat {
    framing: Framing,
    /// A frame that fits no tag has been logged.
    logged: bool,
}

impl FlvFormat {
    /// A format without a past.
    pub fn new(framing: Framing) -> Self {
        Self {
            framing,
            logged: false,
        }
    }

    fn write(&mut self, frame: &Frame, at: Timestamp, out: &mut Vec<u8>) {
        let kind = TagKind::from(frame.track.media);
        if let Err(error) = flv::write_tag(kind, at.wire_millis(), &frame.packet, out)
            && !std::mem::replace(&mut self.logged, true)
        {
            tracing::warn!(track = ?frame.track, %error, "left a frame out of flv");
        }
    }
}

impl Format for FlvFormat {
    fn prelude(&mut self, setup: &Setup, at: Timestamp, out: &mut Vec<u8>) {
        for frame in setup.metadata.iter().chain(&setup.configs) {
            self.write(frame, at, out);
        }
    }

    fn frame(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        self.write(frame, frame.dts, out);
    }

    fn head_room(&self) -> usize {
        self.framing.head_room()
    }

    fn seal(&self, piece: Vec<u8>) -> Bytes {
        self.framing.seal(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use weir_media::{Codec, Role, TrackId, VideoCodec};

    fn frame(role: Role, millis: i64, body: Bytes) -> Frame {
        Frame {
            track: TrackId::VIDEO,
            codec: Codec::Video(VideoCodec::H264),
            role,
            dts: Timestamp::from_millis(millis),
            composition: Timestamp::ZERO,
            packet: body,
            payload_at: 5,
        }
    }

    fn sealed(framing: Framing, frames: &[Frame]) -> Bytes {
        let mut format = FlvFormat::new(framing);
        let mut piece = vec![0; format.head_room()];
        for frame in frames {
            format.frame(frame, &mut piece);
        }
        format.seal(piece)
    }

    #[test]
    fn tags_carry_the_packet_and_the_wrapped_time() {
        let key = frame(
            Role::Key,
            0x1_0000_0007,
            Bytes::from_static(b"\x17\x01\0\0\0key"),
        );
        let mut bytes = Vec::new();
        Framing::Raw.write_flv_header(true, true, &mut bytes);
        bytes.extend_from_slice(&sealed(Framing::Raw, &[key]));
        let mut reader = flv::Reader::new(100);
        let tag = reader
            .read(&mut bytes.as_slice())
            .expect("valid")
            .expect("whole");
        assert_eq!(
            (tag.timestamp, &tag.body[..]),
            (7, &b"\x17\x01\0\0\0key"[..])
        );
        assert!(reader.file_header().expect("read").has_audio);
    }

    #[test]
    fn the_prelude_is_dated_by_the_frame_it_precedes() {
        let setup = Setup {
            metadata: None,
            configs: vec![frame(
                Role::Config,
                0,
                Bytes::from_static(b"\x17\0\0\0\0cfg"),
            )],
        };
        let mut out = Vec::new();
        FlvFormat::new(Framing::Raw).prelude(&setup, Timestamp::from_millis(90), &mut out);
        assert_eq!(out.get(4..8), Some(&[0, 0, 90, 0][..]));
    }

    #[test]
    fn a_frame_that_fits_no_tag_is_left_out() {
        let large = frame(Role::Key, 0, Bytes::from(vec![0; flv::MAX_BODY_BYTES + 1]));
        assert!(sealed(Framing::Raw, &[large.clone(), large]).is_empty());
    }

    #[test]
    fn chunk_heads_have_a_fixed_width() {
        assert_eq!(&chunk_head(0x01ab_cdef), b"01abcdef\r\n");
        assert_eq!(&chunk_head(0), b"00000000\r\n");
    }

    #[test]
    fn each_wire_has_a_log_of_its_own() {
        let framings = [Framing::Raw, Framing::Chunked, Framing::WebSocket];
        let wires = [Container::Flv, Container::Ts]
            .into_iter()
            .flat_map(|container| framings.map(|framing| Wire { container, framing }));
        let names: std::collections::BTreeSet<_> = wires.map(|wire| wire.id().name).collect();
        assert_eq!(names.len(), 6);
    }

    proptest! {
        #[test]
        fn framing_adds_nothing_but_itself(sizes in prop::collection::vec(0..70_000usize, 1..4)) {
            let frames: Vec<_> = sizes
                .iter()
                .map(|size| frame(Role::Delta, 40, Bytes::from(vec![0x27; *size])))
                .collect();
            let raw = sealed(Framing::Raw, &frames);
            let chunk = sealed(Framing::Chunked, &frames);
            let size = std::str::from_utf8(&chunk[..8]).expect("digits");
            prop_assert_eq!(usize::from_str_radix(size, 16), Ok(raw.len()));
            prop_assert_eq!(&chunk[10..chunk.len() - 2], &raw[..]);
            prop_assert!(chunk.ends_with(b"\r\n"));
            let message = sealed(Framing::WebSocket, &frames);
            let mut expected = Vec::new();
            websocket::write(Opcode::Binary, &raw, &mut expected);
            prop_assert_eq!(&message[..], &expected[..]);
        }
    }
}
