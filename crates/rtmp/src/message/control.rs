//! Protocol control and user control messages, typed.
//!
//! Owns: their bodies in both directions. Does not: act on them.

use weir_wire::Cursor;

use super::{Message, type_id};
use crate::chunk::{csid, write_message};
use crate::error::Misbehaviour;

/// A protocol control message (RTMP 1.0 §5.4) or user control message (§6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// The sender's chunks are up to this many bytes from now on.
    SetChunkSize(u32),
    /// The sender gives up the unfinished message on this chunk stream.
    Abort(u32),
    /// The sender has received this many bytes, modulo 2^32.
    Acknowledgement(u32),
    /// The sender expects an acknowledgement after each this many bytes.
    WindowAckSize(u32),
    /// The receiver should keep at most this many bytes unacknowledged.
    SetPeerBandwidth {
        /// Window in bytes.
        size: u32,
        /// How binding it is.
        limit: LimitType,
    },
    /// An event of §7.1.7.
    User(UserControl),
}

/// How binding a Set Peer Bandwidth is (RTMP 1.0 §5.4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitType {
    /// Use exactly this window.
    Hard,
    /// Use this window or the one in effect, whichever is smaller.
    Soft,
    /// Hard if the last one was hard, otherwise void.
    Dynamic,
}

/// A user control message (RTMP 1.0 §7.1.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserControl {
    /// The message stream works from now on.
    StreamBegin(u32),
    /// No more data will come on the message stream.
    StreamEof(u32),
    /// No data came on the message stream for a while.
    StreamDry(u32),
    /// The player buffers this much.
    SetBufferLength {
        /// Message stream.
        msid: u32,
        /// Milliseconds of buffer.
        millis: u32,
    },
    /// The message stream plays a recording.
    StreamIsRecorded(u32),
    /// Answer with the same time stamp.
    PingRequest(u32),
    /// Answer to a ping.
    PingResponse(u32),
    /// Another event, by its number; its data is dropped.
    Other(u16),
}

impl Control {
    /// The control message in `message`, or `None` when it is of another type.
    pub fn parse(message: &Message) -> Result<Option<Self>, Misbehaviour> {
        let mut body = Cursor::new(&message.body);
        let short = |_| Misbehaviour::ShortControl {
            type_id: message.type_id,
            length: message.body.len(),
        };
        let mut value = || body.u32().map_err(short);
        Ok(Some(match message.type_id {
            type_id::SET_CHUNK_SIZE => Self::SetChunkSize(value()?),
            type_id::ABORT => Self::Abort(value()?),
            type_id::ACKNOWLEDGEMENT => Self::Acknowledgement(value()?),
            type_id::WINDOW_ACK_SIZE => Self::WindowAckSize(value()?),
            type_id::SET_PEER_BANDWIDTH => {
                let size = value()?;
                // a missing or unknown limit type counts as dynamic, which binds to nothing
                let limit = match body.u8() {
                    Ok(0) => LimitType::Hard,
                    Ok(1) => LimitType::Soft,
                    _ => LimitType::Dynamic,
                };
                Self::SetPeerBandwidth { size, limit }
            }
            type_id::USER_CONTROL => Self::User(UserControl::parse(body).map_err(short)?),
            _ => return Ok(None),
        }))
    }

    /// Like [`Control::parse`], but only for the two messages that steer the chunk layer.
    pub(crate) fn parse_layer(message: &Message) -> Result<Option<Self>, Misbehaviour> {
        match message.type_id {
            type_id::SET_CHUNK_SIZE | type_id::ABORT => Self::parse(message),
            _ => Ok(None),
        }
    }

    /// Appends the message to `out` in chunks of up to `chunk_size` bytes.
    pub fn write(self, out: &mut Vec<u8>, chunk_size: u32) {
        let (type_id, body, length) = self.parts();
        let body = body.get(..length).unwrap_or_default();
        write_message(out, csid::CONTROL, 0, type_id, 0, body, chunk_size);
    }

    /// Type and body of the message.
    pub fn body(self) -> (u8, Vec<u8>) {
        let (type_id, body, length) = self.parts();
        (type_id, body.get(..length).unwrap_or_default().to_vec())
    }

    /// Type, body, and how much of it counts.
    fn parts(self) -> (u8, [u8; 10], usize) {
        match self {
            Self::SetChunkSize(size) => (type_id::SET_CHUNK_SIZE, pad(size.to_be_bytes()), 4),
            Self::Abort(csid) => (type_id::ABORT, pad(csid.to_be_bytes()), 4),
            Self::Acknowledgement(bytes) => (type_id::ACKNOWLEDGEMENT, pad(bytes.to_be_bytes()), 4),
            Self::WindowAckSize(size) => (type_id::WINDOW_ACK_SIZE, pad(size.to_be_bytes()), 4),
            Self::SetPeerBandwidth { size, limit } => {
                let [a, b, c, d] = size.to_be_bytes();
                let body = pad([a, b, c, d, limit as u8]);
                (type_id::SET_PEER_BANDWIDTH, body, 5)
            }
            Self::User(event) => {
                let (body, length) = event.body();
                (type_id::USER_CONTROL, body, length)
            }
        }
    }
}

impl UserControl {
    fn parse(mut body: Cursor<'_>) -> Result<Self, weir_wire::Short> {
        Ok(match body.u16()? {
            0 => Self::StreamBegin(body.u32()?),
            1 => Self::StreamEof(body.u32()?),
            2 => Self::StreamDry(body.u32()?),
            3 => Self::SetBufferLength {
                msid: body.u32()?,
                millis: body.u32()?,
            },
            4 => Self::StreamIsRecorded(body.u32()?),
            6 => Self::PingRequest(body.u32()?),
            7 => Self::PingResponse(body.u32()?),
            other => Self::Other(other),
        })
    }

    fn body(self) -> ([u8; 10], usize) {
        let (event, value, more) = match self {
            Self::StreamBegin(msid) => (0u16, Some(msid), None),
            Self::StreamEof(msid) => (1, Some(msid), None),
            Self::StreamDry(msid) => (2, Some(msid), None),
            Self::SetBufferLength { msid, millis } => (3, Some(msid), Some(millis)),
            Self::StreamIsRecorded(msid) => (4, Some(msid), None),
            Self::PingRequest(time) => (6, Some(time), None),
            Self::PingResponse(time) => (7, Some(time), None),
            Self::Other(event) => (event, None, None),
        };
        let [a, b] = event.to_be_bytes();
        let [c, d, e, f] = value.unwrap_or(0).to_be_bytes();
        let [g, h, i, j] = more.unwrap_or(0).to_be_bytes();
        let length = 2 + if value.is_some() { 4 } else { 0 } + if more.is_some() { 4 } else { 0 };
        ([a, b, c, d, e, f, g, h, i, j], length)
    }
}

fn pad<const N: usize>(bytes: [u8; N]) -> [u8; 10] {
    let mut body = [0; 10];
    for (to, from) in body.iter_mut().zip(bytes) {
        *to = from;
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::ChunkReader;
    use proptest::prelude::*;

    fn any_control() -> impl Strategy<Value = Control> {
        let limit = prop_oneof![
            Just(LimitType::Hard),
            Just(LimitType::Soft),
            Just(LimitType::Dynamic)
        ];
        prop_oneof![
            any::<u32>().prop_map(Control::Acknowledgement),
            any::<u32>().prop_map(Control::WindowAckSize),
            (any::<u32>(), limit)
                .prop_map(|(size, limit)| Control::SetPeerBandwidth { size, limit }),
            any::<u32>().prop_map(|v| Control::User(UserControl::StreamBegin(v))),
            any::<u32>().prop_map(|v| Control::User(UserControl::StreamEof(v))),
            any::<u32>().prop_map(|v| Control::User(UserControl::StreamDry(v))),
            any::<(u32, u32)>().prop_map(|(msid, millis)| Control::User(
                UserControl::SetBufferLength { msid, millis }
            )),
            any::<u32>().prop_map(|v| Control::User(UserControl::StreamIsRecorded(v))),
            any::<u32>().prop_map(|v| Control::User(UserControl::PingRequest(v))),
            any::<u32>().prop_map(|v| Control::User(UserControl::PingResponse(v))),
            (32u16..).prop_map(|v| Control::User(UserControl::Other(v))),
        ]
    }

    #[test]
    fn golden_set_chunk_size_and_peer_bandwidth() {
        let mut out = Vec::new();
        Control::SetChunkSize(60_000).write(&mut out, 128);
        assert_eq!(out, [2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0xea, 0x60]);
        out.clear();
        let limit = LimitType::Dynamic;
        Control::SetPeerBandwidth {
            size: 2_500_000,
            limit,
        }
        .write(&mut out, 128);
        assert_eq!(
            out,
            [2, 0, 0, 0, 0, 0, 5, 6, 0, 0, 0, 0, 0, 0x26, 0x25, 0xa0, 2]
        );
    }

    #[test]
    fn short_bodies_are_the_peers_fault() {
        let body = bytes::Bytes::from_static(&[0, 3, 0, 0, 0, 1]);
        let message = Message {
            csid: 2,
            timestamp: 0,
            type_id: 4,
            msid: 0,
            body,
        };
        let expected = Misbehaviour::ShortControl {
            type_id: 4,
            length: 6,
        };
        assert_eq!(Control::parse(&message), Err(expected));
    }

    proptest! {
        #[test]
        fn round_trip(control in any_control()) {
            let mut out = Vec::new();
            control.write(&mut out, 128);
            let message = ChunkReader::new(1024).read(&mut &out[..]).unwrap().unwrap();
            prop_assert_eq!(Control::parse(&message), Ok(Some(control)));
        }
    }
}
