//! Frames as a publishing client sends them.
//!
//! Owns: [`PushFormat`], the format of players without their notices, with metadata as servers want it from a
//! publisher: behind `@setDataFrame`. Several ingest services ignore a bare `onMetaData`.

use weir_container::flv;
use weir_hub::{Format, FormatId, Setup};
use weir_media::{Frame, Role, Timestamp};

use crate::egress::RtmpFormat;

/// The AMF0 string `@setDataFrame`.
const SET_DATA_FRAME: &[u8] = b"\x02\x00\x0d@setDataFrame";

/// The wire format of one publishing connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct PushFormat(RtmpFormat);

impl PushFormat {
    pub(super) fn new(msid: u32, chunk_size: u32) -> Self {
        Self(RtmpFormat {
            notices: false,
            ..RtmpFormat::new(msid, chunk_size)
        })
    }

    pub(super) fn id(self) -> FormatId {
        FormatId {
            name: "rtmp-push",
            ..self.0.id()
        }
    }
}

fn announced(metadata: &Frame) -> Frame {
    // the hub keeps metadata as players get it, without the command
    let packet = flv::strip_set_data_frame(metadata.packet.clone());
    Frame {
        packet: [SET_DATA_FRAME, &packet].concat().into(),
        ..metadata.clone()
    }
}

impl Format for PushFormat {
    fn prelude(&mut self, setup: &Setup, at: Timestamp, out: &mut Vec<u8>) {
        let setup = Setup {
            metadata: setup.metadata.as_ref().map(announced),
            configs: setup.configs.clone(),
        };
        self.0.prelude(&setup, at, out);
    }

    fn frame(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        match frame.role {
            Role::Metadata => self.0.frame(&announced(frame), out),
            _ => self.0.frame(frame, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use weir_container::flv::TagKind;
    use weir_rtmp::chunk::ChunkReader;

    fn bodies(out: &[u8]) -> Vec<Bytes> {
        let mut reader = ChunkReader::new(1 << 20);
        let mut input = out;
        std::iter::from_fn(|| reader.read(&mut input).expect("valid"))
            .map(|message| message.body)
            .collect()
    }

    #[test]
    fn metadata_is_set_and_media_is_left_alone() {
        let metadata = Bytes::from_static(b"\x02\0\x0aonMetaData\x08\0\0\0\0\0\0\x09");
        let metadata = flv::frame(TagKind::Script, Timestamp::ZERO, metadata).expect("metadata");
        assert_eq!(metadata.role, Role::Metadata);
        let key = Bytes::from_static(b"\x17\x01\0\0\0key");
        let key = flv::frame(TagKind::Video, Timestamp::ZERO, key).expect("a key frame");
        let mut format = PushFormat::new(1, 60_000);
        let setup = Setup {
            metadata: Some(metadata.clone()),
            configs: Vec::new(),
        };
        let mut out = Vec::new();
        format.prelude(&setup, Timestamp::ZERO, &mut out);
        format.frame(&metadata, &mut out);
        format.frame(&key, &mut out);
        format.unpublished(&mut out);
        let set = Bytes::from([SET_DATA_FRAME, &metadata.packet].concat());
        assert_eq!(bodies(&out), [set.clone(), set, key.packet]);
    }

    #[test]
    fn a_push_shares_no_log_with_players() {
        assert_ne!(PushFormat::new(1, 128).id(), RtmpFormat::new(1, 128).id());
    }
}
