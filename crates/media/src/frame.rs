//! A frame: the unit that travels from a publisher to every output.
//!
//! Owns: the shape. Does not: parse or build the packet (`weir-container` does both).

use bytes::Bytes;

use crate::{Codec, Timestamp, TrackId};

/// What a frame is for; outputs treat each role differently, and none needs to look into the payload to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// A decoder configuration (sequence header): kept, and sent first to each new viewer.
    Config,
    /// Media at which decoding can begin: a video key frame.
    Key,
    /// Other media: a dependent picture, or any audio frame.
    Delta,
    /// Stream metadata (`onMetaData`): kept, and sent first to each new viewer.
    Metadata,
    /// Passed on in order and not kept: end of sequence, cue points, colour information, commands.
    Other,
}

/// One message of media: a coded picture, an audio frame, a configuration or metadata.
///
/// Cloning is cheap: the bytes are shared, never copied.
///
/// Weir is born of RTMP, so a frame carries its packet as FLV and RTMP do: the body of an FLV tag (a header of 1 to
/// some bytes, then the payload). RTMP and FLV outputs pass `packet` on unchanged, bit for bit; the others
/// begin at `payload_at`. Protocols that assemble frames from elsewhere write that header in front of
/// the payload in the same allocation, so no output ever copies to prepend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Which track it belongs to.
    pub track: TrackId,
    /// The codec of the payload.
    pub codec: Codec,
    /// What it is for.
    pub role: Role,
    /// Decode time on the stream's timeline.
    pub dts: Timestamp,
    /// Presentation time less decode time; zero except for video with reordered pictures.
    pub composition: Timestamp,
    /// The FLV tag body: header and payload. It has an allocation of its own and never pins a read buffer.
    pub packet: Bytes,
    /// Where the codec's payload begins in `packet`, in bytes; at most its length.
    pub payload_at: u32,
}

impl Frame {
    /// The codec's own bytes: length-prefixed NAL units, a raw AAC frame, a decoder configuration record.
    pub fn payload(&self) -> Bytes {
        let start = (self.payload_at as usize).min(self.packet.len());
        self.packet.slice(start..)
    }
}
