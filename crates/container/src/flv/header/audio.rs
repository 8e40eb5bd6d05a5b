//! The header of an audio tag body (FLV 10.1 E.4.2.1; enhanced RTMP v2, "Extended AudioTagHeader").
//!
//! Owns: [`AudioTagHeader`], both ways. Does not: look into the payload.

use weir_media::AudioCodec;
use weir_wire::Cursor;

use super::{Layout, MOD_EX, Packet, read_modifiers, read_packet, write_modifier, write_packet};
use crate::flv::Error;

/// What an audio packet holds: `AudioPacketType` of enhanced RTMP, or `AACPacketType` of legacy
/// headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AudioPacket {
    /// A decoder configuration.
    SequenceStart,
    /// Sound. Legacy codecs other than AAC have these only.
    CodedFrames,
    /// The end of a sequence (enhanced only); no payload.
    SequenceEnd,
    /// An order of channels (enhanced only).
    MultichannelConfig,
    /// Another number, 4 bits in enhanced headers and 8 in legacy ones.
    Reserved(u8),
}

/// `Multitrack` of `AudioPacketType`.
const MULTITRACK: u8 = 5;

/// `ExHeader` of `SoundFormat`: the header is an enhanced one.
const EX_HEADER: u8 = 9;

/// The header of an audio tag body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioTagHeader {
    /// How it is laid out, with the track's number.
    pub layout: Layout,
    /// The codec. Legacy formats 2 and 14 (MP3 at 8 kHz) are both MP3; it is written as 2.
    pub codec: AudioCodec,
    /// What follows the header.
    pub packet: AudioPacket,
    /// `SoundRate`, `SoundSize` and `SoundType` of legacy headers, 4 bits; 0 in enhanced ones. For
    /// AAC it is 15 by definition, whatever the sound is like: [`AudioTagHeader::AAC_SOUND`].
    pub sound: u8,
    /// What enhanced RTMP v2 adds to the presentation time, in nanoseconds below a millisecond; 0
    /// without.
    pub nanos: u32,
}

impl AudioTagHeader {
    /// The value of `sound` that E.4.2.1 demands for AAC: 44 kHz, 16 bits, stereo.
    pub const AAC_SOUND: u8 = 0x0f;

    /// Reads the header at the front of `body`, and gives it with the offset in bytes where the
    /// payload begins.
    ///
    /// Fails when the body ends inside its header, an empty one included.
    pub fn parse(body: &[u8]) -> Result<(Self, usize), Error> {
        let mut cursor = Cursor::new(body);
        let byte = cursor.u8()?;
        let (format, low) = (byte >> 4, byte & 0x0f);
        let header = if format == EX_HEADER {
            let (packet, nanos) = read_modifiers(&mut cursor, low)?;
            let read = read_packet(&mut cursor, packet, MULTITRACK)?;
            Self {
                layout: read.layout,
                codec: AudioCodec::from_fourcc(read.fourcc),
                packet: packet_of(read.packet),
                sound: 0,
                nanos,
            }
        } else {
            let codec = codec_of(format);
            let packet = match codec {
                AudioCodec::Aac => match cursor.u8()? {
                    0 => AudioPacket::SequenceStart,
                    1 => AudioPacket::CodedFrames,
                    other => AudioPacket::Reserved(other),
                },
                _ => AudioPacket::CodedFrames,
            };
            Self {
                layout: Layout::Legacy,
                codec,
                packet,
                sound: low,
                nanos: 0,
            }
        };
        Ok((header, cursor.offset()))
    }

    /// Appends the header; the payload follows it.
    ///
    /// Fails with [`Error::Unwritable`], and appends nothing, when the layout cannot name the codec
    /// or the packet.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.layout == Layout::Legacy {
            let format = legacy_id(self.codec).ok_or(Error::Unwritable)?;
            let first = format << 4 | self.sound & 0x0f;
            match (self.codec, self.packet) {
                (AudioCodec::Aac, AudioPacket::SequenceStart) => out.extend([first, 0]),
                (AudioCodec::Aac, AudioPacket::CodedFrames) => out.extend([first, 1]),
                (AudioCodec::Aac, AudioPacket::Reserved(other)) => out.extend([first, other]),
                (AudioCodec::Aac, _) => return Err(Error::Unwritable),
                (_, AudioPacket::CodedFrames) => out.push(first),
                _ => return Err(Error::Unwritable),
            }
            return Ok(());
        }
        let fourcc = self.codec.fourcc().ok_or(Error::Unwritable)?;
        let packet = packet_id(self.packet);
        let outer = if self.layout == Layout::Enhanced {
            packet
        } else {
            MULTITRACK
        };
        if self.nanos == 0 {
            out.push(EX_HEADER << 4 | outer);
        } else {
            out.push(EX_HEADER << 4 | MOD_EX);
            write_modifier(outer, self.nanos, out);
        }
        write_packet(
            &Packet {
                layout: self.layout,
                fourcc,
                packet,
            },
            out,
        );
        Ok(())
    }
}

fn packet_of(id: u8) -> AudioPacket {
    match id {
        0 => AudioPacket::SequenceStart,
        1 => AudioPacket::CodedFrames,
        2 => AudioPacket::SequenceEnd,
        4 => AudioPacket::MultichannelConfig,
        other => AudioPacket::Reserved(other),
    }
}

fn packet_id(packet: AudioPacket) -> u8 {
    match packet {
        AudioPacket::SequenceStart => 0,
        AudioPacket::CodedFrames => 1,
        AudioPacket::SequenceEnd => 2,
        AudioPacket::MultichannelConfig => 4,
        AudioPacket::Reserved(id) => id & 0x0f,
    }
}

/// `SoundFormat` of E.4.2.1.
fn codec_of(format: u8) -> AudioCodec {
    match format {
        2 | 14 => AudioCodec::Mp3,
        10 => AudioCodec::Aac,
        other => AudioCodec::Legacy(other),
    }
}

fn legacy_id(codec: AudioCodec) -> Option<u8> {
    match codec {
        AudioCodec::Mp3 => Some(2),
        AudioCodec::Aac => Some(10),
        AudioCodec::Legacy(id) if id < 16 && id != EX_HEADER => Some(id),
        _ => None,
    }
}
