//! What the body of an audio or video tag begins with.
//!
//! Owns: [`VideoTagHeader`] and [`AudioTagHeader`], parsed and written, in every [`Layout`]: the
//! legacy one of Adobe's FLV 10.1 (E.4.2, E.4.3), enhanced RTMP v1 (a FourCC for video) and v2
//! (audio too, multitrack, ModEx). Does not: decide what a packet is for (`flv::frame`).

mod audio;
mod video;

pub use audio::{AudioPacket, AudioTagHeader};
pub use video::{FrameType, VideoPacket, VideoTagHeader};

use weir_wire::Cursor;

use super::Error;

/// The FourCC of a codec that a header does not name: that of an empty body or of a video command.
pub const NO_FOURCC: [u8; 4] = [0; 4];

/// How a header is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// As in FLV 10.1: the codec is a number of 4 bits.
    Legacy,
    /// As in enhanced RTMP, one track without a number.
    Enhanced,
    /// Multitrack of type `OneTrack`: one track with its number.
    OneTrack {
        /// The track's number, `trackId`.
        track: u8,
    },
    /// Multitrack of type `ManyTracks`: the tracks share a codec. This is the first of them.
    ManyTracks {
        /// The first track's number, `trackId`.
        track: u8,
        /// Bytes of the first track's data, which begin right after the header; composition time
        /// included.
        size: u32,
    },
    /// Multitrack of type `ManyTracksManyCodecs`: each track names its codec. This is the first of
    /// them.
    ManyTracksManyCodecs {
        /// The first track's number, `trackId`.
        track: u8,
        /// Bytes of the first track's data, which begin right after the header; composition time
        /// included.
        size: u32,
    },
}

impl Layout {
    /// The number of the track, 0 where there is none.
    pub fn track(self) -> u8 {
        match self {
            Self::Legacy | Self::Enhanced => 0,
            Self::OneTrack { track }
            | Self::ManyTracks { track, .. }
            | Self::ManyTracksManyCodecs { track, .. } => track,
        }
    }

    /// `AvMultitrackType`, for the layouts of multitrack.
    fn multitrack(self) -> Option<u8> {
        match self {
            Self::Legacy | Self::Enhanced => None,
            Self::OneTrack { .. } => Some(ONE_TRACK),
            Self::ManyTracks { .. } => Some(MANY_TRACKS),
            Self::ManyTracksManyCodecs { .. } => Some(MANY_TRACKS_MANY_CODECS),
        }
    }
}

const ONE_TRACK: u8 = 0;
const MANY_TRACKS: u8 = 1;
const MANY_TRACKS_MANY_CODECS: u8 = 2;

/// `ModEx`, the same number for audio and video.
const MOD_EX: u8 = 7;

/// `TimestampOffsetNano`, the one modifier that enhanced RTMP v2 defines.
const TIMESTAMP_OFFSET_NANO: u8 = 0;

/// The largest offset that v2 allows; a millisecond more is what the timestamp itself is for.
const MAX_NANOS: u32 = 999_999;

/// Reads modifiers while `packet` says that one follows. Gives the packet type behind them, and the
/// offset in nanoseconds if one was among them, else 0. Unknown modifiers are passed over, as v2
/// demands.
fn read_modifiers(cursor: &mut Cursor<'_>, mut packet: u8) -> Result<(u8, u32), Error> {
    let mut nanos = 0;
    while packet == MOD_EX {
        let mut size = usize::from(cursor.u8()?) + 1;
        if size == 256 {
            size = usize::from(cursor.u16()?) + 1;
        }
        let data = cursor.take(size)?;
        let next = cursor.u8()?;
        packet = next & 0x0f;
        if let (TIMESTAMP_OFFSET_NANO, Some([a, b, c])) = (next >> 4, data.first_chunk()) {
            nanos = u32::from_be_bytes([0, *a, *b, *c]).min(MAX_NANOS);
        }
    }
    Ok((packet, nanos))
}

/// Writes an offset in nanoseconds and the packet type behind it, after the byte whose packet type
/// is [`MOD_EX`].
fn write_modifier(packet: u8, nanos: u32, out: &mut Vec<u8>) {
    let [_, a, b, c] = nanos.min(MAX_NANOS).to_be_bytes();
    out.extend_from_slice(&[2, a, b, c, TIMESTAMP_OFFSET_NANO << 4 | packet]);
}

/// A layout, FourCC and packet type as read from behind the modifiers.
struct Packet {
    layout: Layout,
    fourcc: [u8; 4],
    packet: u8,
}

/// Reads FourCC, track number and track size, as the multitrack type orders them. `multitrack` is
/// the packet type that announces multitrack, which differs between audio and video.
fn read_packet(cursor: &mut Cursor<'_>, packet: u8, multitrack: u8) -> Result<Packet, Error> {
    if packet != multitrack {
        return Ok(Packet {
            layout: Layout::Enhanced,
            fourcc: cursor.array()?,
            packet,
        });
    }
    let offset = cursor.offset();
    let byte = cursor.u8()?;
    let (kind, packet) = (byte >> 4, byte & 0x0f);
    if packet == multitrack {
        return Err(Error::NestedMultitrack { offset });
    }
    if kind > MANY_TRACKS_MANY_CODECS {
        return Err(Error::Multitrack { kind, offset });
    }
    let fourcc = cursor.array()?;
    let track = cursor.u8()?;
    let layout = match kind {
        ONE_TRACK => Layout::OneTrack { track },
        MANY_TRACKS => Layout::ManyTracks {
            track,
            size: cursor.u24()?,
        },
        _ => Layout::ManyTracksManyCodecs {
            track,
            size: cursor.u24()?,
        },
    };
    Ok(Packet {
        layout,
        fourcc,
        packet,
    })
}

/// Writes what [`read_packet`] reads, after the byte that holds the packet type.
fn write_packet(written: &Packet, out: &mut Vec<u8>) {
    if let Some(kind) = written.layout.multitrack() {
        out.push(kind << 4 | written.packet);
    }
    out.extend_from_slice(&written.fourcc);
    match written.layout {
        Layout::Legacy | Layout::Enhanced => {}
        Layout::OneTrack { track } => out.push(track),
        Layout::ManyTracks { track, size } | Layout::ManyTracksManyCodecs { track, size } => {
            let [_, a, b, c] = size.to_be_bytes();
            out.extend_from_slice(&[track, a, b, c]);
        }
    }
}

#[cfg(test)]
mod tests;
