//! The header of a video tag body (FLV 10.1 E.4.3.1; enhanced RTMP v2, "Extended VideoTagHeader").
//!
//! Owns: [`VideoTagHeader`], both ways. Does not: look into the payload.

use weir_media::VideoCodec;
use weir_wire::Cursor;

use super::{
    Layout, MOD_EX, NO_FOURCC, Packet, read_modifiers, read_packet, write_modifier, write_packet,
};
use crate::flv::Error;

/// `FrameType` of a video tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameType {
    /// 1: decoding can begin here.
    Key,
    /// 2: depends on other pictures.
    Inter,
    /// 3: nothing depends on it (H.263 only).
    Disposable,
    /// 4: a key frame made by a server.
    GeneratedKey,
    /// 5: no picture but a command to the player, or information.
    Command,
    /// Another number of 3 bits.
    Reserved(u8),
}

impl FrameType {
    fn from_id(id: u8) -> Self {
        match id {
            1 => Self::Key,
            2 => Self::Inter,
            3 => Self::Disposable,
            4 => Self::GeneratedKey,
            5 => Self::Command,
            other => Self::Reserved(other),
        }
    }

    fn id(self) -> u8 {
        match self {
            Self::Key => 1,
            Self::Inter => 2,
            Self::Disposable => 3,
            Self::GeneratedKey => 4,
            Self::Command => 5,
            Self::Reserved(id) => id & 0x07,
        }
    }
}

/// What a video packet holds: `VideoPacketType` of enhanced RTMP, or `AVCPacketType` of legacy
/// headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VideoPacket {
    /// A decoder configuration record.
    SequenceStart,
    /// A picture. Legacy codecs without packet types have these only.
    CodedFrames,
    /// The end of a sequence; no payload.
    SequenceEnd,
    /// A picture whose composition time is zero and not sent (enhanced only).
    CodedFramesX,
    /// AMF values about the pictures, such as `colorInfo` (enhanced only).
    Metadata,
    /// A configuration in the form of MPEG-2 TS, for AV1 (enhanced only).
    Mpeg2TsSequenceStart,
    /// A command (frame type 5): the payload is one byte, 0 as seeking begins and 1 as it ends. The
    /// codec means nothing.
    Command,
    /// Another number, 4 bits in enhanced headers and 8 in legacy ones.
    Reserved(u8),
}

/// `Multitrack` of `VideoPacketType`.
const MULTITRACK: u8 = 6;

/// The header of a video tag body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoTagHeader {
    /// How it is laid out, with the track's number.
    pub layout: Layout,
    /// Key frame or not. Means nothing for [`VideoPacket::Metadata`].
    pub frame_type: FrameType,
    /// The codec; [`VideoCodec::Unknown`] of [`NO_FOURCC`] for commands of enhanced headers.
    pub codec: VideoCodec,
    /// What follows the header.
    pub packet: VideoPacket,
    /// Presentation time less decode time, in milliseconds; 24 bits on the wire. Only coded frames
    /// of H.264, H.265, H.266 and (legacy only) AV1 carry it; it is 0 otherwise.
    pub composition_millis: i32,
    /// What enhanced RTMP v2 adds to the presentation time, in nanoseconds below a millisecond; 0
    /// without.
    pub nanos: u32,
}

impl VideoTagHeader {
    /// Reads the header at the front of `body`, and gives it with the offset in bytes where the
    /// payload begins.
    ///
    /// Fails when the body ends inside its header, an empty one included. A legacy end of sequence
    /// may lack its composition time, which has no meaning there.
    pub fn parse(body: &[u8]) -> Result<(Self, usize), Error> {
        let mut cursor = Cursor::new(body);
        let byte = cursor.u8()?;
        let frame_type = FrameType::from_id((byte >> 4) & 0x07);
        let header = if byte & 0x80 == 0 {
            Self::parse_legacy(&mut cursor, frame_type, byte & 0x0f)?
        } else {
            Self::parse_enhanced(&mut cursor, frame_type, byte & 0x0f)?
        };
        Ok((header, cursor.offset()))
    }

    fn parse_legacy(cursor: &mut Cursor<'_>, frame_type: FrameType, id: u8) -> Result<Self, Error> {
        let codec = codec_of(id);
        let mut header = Self {
            layout: Layout::Legacy,
            frame_type,
            codec,
            packet: VideoPacket::CodedFrames,
            composition_millis: 0,
            nanos: 0,
        };
        if frame_type == FrameType::Command {
            header.packet = VideoPacket::Command;
        } else if has_packet_type(codec) {
            header.packet = match cursor.u8()? {
                0 => VideoPacket::SequenceStart,
                1 => VideoPacket::CodedFrames,
                2 => VideoPacket::SequenceEnd,
                other => VideoPacket::Reserved(other),
            };
            match (cursor.i24(), header.packet) {
                (Ok(composition), VideoPacket::CodedFrames) => {
                    header.composition_millis = composition;
                }
                (Err(short), packet) if packet != VideoPacket::SequenceEnd => {
                    return Err(short.into());
                }
                _ => {}
            }
        }
        Ok(header)
    }

    fn parse_enhanced(
        cursor: &mut Cursor<'_>,
        frame_type: FrameType,
        packet: u8,
    ) -> Result<Self, Error> {
        let (packet, nanos) = read_modifiers(cursor, packet)?;
        let mut header = Self {
            layout: Layout::Enhanced,
            frame_type,
            codec: VideoCodec::Unknown(NO_FOURCC),
            packet: VideoPacket::Command,
            composition_millis: 0,
            nanos,
        };
        if frame_type == FrameType::Command && packet != METADATA {
            return Ok(header);
        }
        let read = read_packet(cursor, packet, MULTITRACK)?;
        header.layout = read.layout;
        header.codec = VideoCodec::from_fourcc(read.fourcc);
        header.packet = packet_of(read.packet);
        if header.packet == VideoPacket::CodedFrames && has_composition(header.codec) {
            header.composition_millis = cursor.i24()?;
        }
        Ok(header)
    }

    /// Appends the header; the payload follows it.
    ///
    /// Fails with [`Error::Unwritable`], and appends nothing, when the layout cannot name the codec
    /// or the packet. What the header has no place for (a composition time of a packet without one,
    /// nanoseconds in a legacy header) is left out.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.layout == Layout::Legacy {
            self.write_legacy(out)
        } else {
            self.write_enhanced(out)
        }
    }

    fn write_legacy(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        let id = legacy_id(self.codec).ok_or(Error::Unwritable)?;
        let first = self.frame_type.id() << 4 | id;
        let [_, a, b, c] = self.composition_millis.to_be_bytes();
        match (self.packet, has_packet_type(self.codec)) {
            (VideoPacket::Command, _) | (VideoPacket::CodedFrames, false) => out.push(first),
            (VideoPacket::SequenceStart, true) => out.extend([first, 0, 0, 0, 0]),
            (VideoPacket::CodedFrames, true) => out.extend([first, 1, a, b, c]),
            (VideoPacket::SequenceEnd, true) => out.extend([first, 2, 0, 0, 0]),
            (VideoPacket::Reserved(packet), true) => out.extend([first, packet, 0, 0, 0]),
            _ => return Err(Error::Unwritable),
        }
        Ok(())
    }

    fn write_enhanced(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        let fourcc = self.codec.fourcc().ok_or(Error::Unwritable)?;
        let first = 0x80 | self.frame_type.id() << 4;
        let packet = packet_id(self.packet);
        let outer = if self.layout == Layout::Enhanced {
            packet
        } else {
            MULTITRACK
        };
        if self.nanos == 0 {
            out.push(first | outer);
        } else {
            out.push(first | MOD_EX);
            write_modifier(outer, self.nanos, out);
        }
        if self.packet == VideoPacket::Command {
            return Ok(());
        }
        write_packet(
            &Packet {
                layout: self.layout,
                fourcc,
                packet,
            },
            out,
        );
        if self.packet == VideoPacket::CodedFrames && has_composition(self.codec) {
            let [_, a, b, c] = self.composition_millis.to_be_bytes();
            out.extend_from_slice(&[a, b, c]);
        }
        Ok(())
    }
}

/// `Metadata` of `VideoPacketType`.
const METADATA: u8 = 4;

fn packet_of(id: u8) -> VideoPacket {
    match id {
        0 => VideoPacket::SequenceStart,
        1 => VideoPacket::CodedFrames,
        2 => VideoPacket::SequenceEnd,
        3 => VideoPacket::CodedFramesX,
        METADATA => VideoPacket::Metadata,
        5 => VideoPacket::Mpeg2TsSequenceStart,
        other => VideoPacket::Reserved(other),
    }
}

fn packet_id(packet: VideoPacket) -> u8 {
    match packet {
        // A command has no packet type of its own; readers look at the frame type.
        VideoPacket::SequenceStart | VideoPacket::Command => 0,
        VideoPacket::CodedFrames => 1,
        VideoPacket::SequenceEnd => 2,
        VideoPacket::CodedFramesX => 3,
        VideoPacket::Metadata => METADATA,
        VideoPacket::Mpeg2TsSequenceStart => 5,
        VideoPacket::Reserved(id) => id & 0x0f,
    }
}

/// `CodecID` of E.4.3.1. 12 and 13 are no part of it: encoders and CDNs in China use them for H.265
/// and AV1, framed as AVC is, since before enhanced RTMP; SRS reads them (`SrsVideoCodecIdHEVC`,
/// `SrsVideoCodecIdAV1`).
fn codec_of(id: u8) -> VideoCodec {
    match id {
        7 => VideoCodec::H264,
        12 => VideoCodec::H265,
        13 => VideoCodec::Av1,
        other => VideoCodec::Legacy(other),
    }
}

fn legacy_id(codec: VideoCodec) -> Option<u8> {
    match codec {
        VideoCodec::H264 => Some(7),
        VideoCodec::H265 => Some(12),
        VideoCodec::Av1 => Some(13),
        VideoCodec::Legacy(id) if id < 16 => Some(id),
        _ => None,
    }
}

/// Whether a legacy header of `codec` has packet type and composition time.
fn has_packet_type(codec: VideoCodec) -> bool {
    matches!(codec, VideoCodec::H264 | VideoCodec::H265 | VideoCodec::Av1)
}

/// Whether coded frames of `codec` have a composition time in enhanced headers.
fn has_composition(codec: VideoCodec) -> bool {
    matches!(
        codec,
        VideoCodec::H264 | VideoCodec::H265 | VideoCodec::H266
    )
}
