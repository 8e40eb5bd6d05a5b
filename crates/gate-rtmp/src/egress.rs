//! Frames as RTMP chunks, made once for all players.
//!
//! Owns: [`RtmpFormat`]. Does not: write to sockets.
//!
//! Every message begins with a full header (type 0), and the server's chunk size and message stream id are the same
//! for all, so the bytes are right for any player wherever it begins, and whatever the session says in between.

use weir_hub::{Format, FormatId, Setup};
use weir_media::{Frame, Media, Timestamp};
use weir_rtmp::MediaKind;
use weir_rtmp::chunk::write_message;
use weir_rtmp::server::{
    write_stream_begin_and_publish_notify, write_stream_eof_and_unpublish_notify,
};

/// The wire format of players on one message stream id, who want the same media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtmpFormat {
    /// Message stream id that the players were given; the first on a connection is always 1.
    pub msid: u32,
    /// The server's chunk size in bytes.
    pub chunk_size: u32,
    /// Send audio (`receiveAudio`).
    pub audio: bool,
    /// Send video (`receiveVideo`).
    pub video: bool,
    /// Tell players when the publisher leaves and comes back; a relay to another server does that itself.
    pub notices: bool,
}

impl RtmpFormat {
    /// What a player gets unless it asks for less.
    pub fn new(msid: u32, chunk_size: u32) -> Self {
        Self {
            msid,
            chunk_size,
            audio: true,
            video: true,
            notices: true,
        }
    }

    /// The identity of the log.
    pub fn id(self) -> FormatId {
        // message stream ids are below 2^29: the session core hands them out
        let flags =
            u64::from(self.audio) | u64::from(self.video) << 1 | u64::from(self.notices) << 2;
        let parameter = u64::from(self.chunk_size) << 32 | u64::from(self.msid) << 3 | flags;
        FormatId {
            name: crate::PROTOCOL,
            parameter,
        }
    }

    fn write(self, frame: &Frame, at: Timestamp, out: &mut Vec<u8>) {
        let kind = match frame.track.media {
            Media::Audio if !self.audio => return,
            Media::Video if !self.video => return,
            Media::Audio => MediaKind::Audio,
            Media::Video => MediaKind::Video,
            Media::Data => MediaKind::Data,
        };
        write_message(
            out,
            kind.csid(),
            at.wire_millis(),
            kind.type_id(),
            self.msid,
            &frame.packet,
            self.chunk_size,
        );
    }
}

impl Format for RtmpFormat {
    fn prelude(&mut self, setup: &Setup, at: Timestamp, out: &mut Vec<u8>) {
        for frame in setup.metadata.iter().chain(&setup.configs) {
            self.write(frame, at, out);
        }
    }

    fn frame(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        self.write(frame, frame.dts, out);
    }

    fn unpublished(&mut self, out: &mut Vec<u8>) {
        if self.notices {
            write_stream_eof_and_unpublish_notify(out, self.msid, self.chunk_size);
        }
    }

    fn published(&mut self, out: &mut Vec<u8>) {
        if self.notices {
            write_stream_begin_and_publish_notify(out, self.msid, self.chunk_size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use weir_media::{Codec, Role, TrackId, VideoCodec};
    use weir_rtmp::chunk::ChunkReader;

    fn frame(role: Role, millis: i64, body: &'static [u8]) -> Frame {
        Frame {
            track: TrackId::VIDEO,
            codec: Codec::Video(VideoCodec::H264),
            role,
            dts: Timestamp::from_millis(millis),
            composition: Timestamp::ZERO,
            packet: Bytes::from_static(body),
            payload_at: 5,
        }
    }

    #[test]
    fn the_bytes_read_back_from_any_message_on() {
        let mut format = RtmpFormat::new(1, 60_000);
        let setup = Setup {
            metadata: None,
            configs: vec![frame(Role::Config, 0, b"\x17\0\0\0\0cfg")],
        };
        let mut out = Vec::new();
        format.prelude(&setup, Timestamp::from_millis(20_000_000), &mut out);
        let first = out.len();
        format.frame(
            &frame(Role::Key, 20_000_000, b"\x17\x01\0\0\0key"),
            &mut out,
        );
        for start in [0, first] {
            let mut reader = ChunkReader::new(1 << 20);
            let mut input = out.get(start..).expect("a boundary");
            let mut last = None;
            while let Some(message) = reader.read(&mut input).expect("valid") {
                assert_eq!((message.msid, message.timestamp), (1, 20_000_000));
                last = Some(message.body);
            }
            assert_eq!(last.as_deref(), Some(&b"\x17\x01\0\0\0key"[..]));
        }
    }

    #[test]
    fn unwanted_media_is_left_out_and_has_a_log_of_its_own() {
        let mut format = RtmpFormat {
            video: false,
            ..RtmpFormat::new(1, 128)
        };
        let mut out = Vec::new();
        format.frame(&frame(Role::Key, 0, b"\x17\x01\0\0\0key"), &mut out);
        assert!(out.is_empty());
        assert_ne!(format.id(), RtmpFormat::new(1, 128).id());
        assert_ne!(RtmpFormat::new(2, 128).id(), RtmpFormat::new(1, 128).id());
    }
}
