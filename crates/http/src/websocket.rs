//! WebSocket frames (RFC 6455), as far as a server that only sends needs them.
//!
//! Owns: the answer to a handshake, [`Frames`], which reads what a client sends, and the writing of
//! frames. Does not: touch sockets, or look into data: a viewer has nothing to say, so text and binary
//! messages are counted and passed over, and text is not checked to be UTF-8.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The only version there is (section 4.1).
pub const VERSION: &str = "13";

/// The bytes that prove that the server has read the key (section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Longest message from a client, in bytes. Players send nothing, or small commands of their own.
const MESSAGE_BYTES: u64 = 64 << 10;

/// Longest payload of a control frame (section 5.5).
const CONTROL_BYTES: usize = 125;

/// Longest header of a frame that a server sends: it has no mask (section 5.2).
pub const HEADER_BYTES: usize = 10;

/// What a frame is (section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// The next part of a fragmented message.
    Continuation = 0,
    /// Text in UTF-8.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// The end of the connection.
    Close = 8,
    /// A question whether the peer is there.
    Ping = 9,
    /// The answer to a ping.
    Pong = 10,
}

impl Opcode {
    fn from_id(id: u8) -> Option<Self> {
        [
            Self::Continuation,
            Self::Text,
            Self::Binary,
            Self::Close,
            Self::Ping,
            Self::Pong,
        ]
        .into_iter()
        .find(|opcode| *opcode as u8 == id)
    }

    fn is_control(self) -> bool {
        self as u8 >= 8
    }
}

/// Why a connection is closed (section 7.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCode {
    /// What it was for is done.
    Normal = 1000,
    /// The server stops.
    GoingAway = 1001,
    /// The peer broke the protocol.
    Protocol = 1002,
    /// Text that is no UTF-8.
    Encoding = 1007,
    /// The peer may not have what it asked for.
    Policy = 1008,
    /// A message that is too long.
    TooBig = 1009,
}

/// How a client broke the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A reserved bit is set (section 5.2).
    #[error("frame with reserved bits")]
    Reserved,
    /// An opcode that RFC 6455 does not define.
    #[error("frame of unknown type {0}")]
    Opcode(u8),
    /// A client must mask (section 5.1).
    #[error("frame without a mask")]
    Unmasked,
    /// A length in a longer form than needed (section 5.2).
    #[error("frame whose length is not written in the shortest way")]
    Length,
    /// Control frames are whole and at most 125 bytes (section 5.5).
    #[error("control frame that is fragmented or too long")]
    Control,
    /// A continuation of nothing, or a new message inside another (section 5.4).
    #[error("fragments out of order")]
    Fragments,
    /// A close frame with one byte, or with a code that must not be sent (section 7.4).
    #[error("invalid close frame")]
    Close,
    /// The reason of a close frame is text (section 5.5.1).
    #[error("reason for closing that is no UTF-8")]
    Encoding,
    /// Longer than this gate takes.
    #[error("message longer than {MESSAGE_BYTES} bytes")]
    TooBig,
}

impl Violation {
    /// The code that tells the client.
    pub fn code(self) -> CloseCode {
        match self {
            Self::TooBig => CloseCode::TooBig,
            Self::Encoding => CloseCode::Encoding,
            _ => CloseCode::Protocol,
        }
    }
}

/// What a client said that needs an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// To be answered by a pong with the same bytes.
    Ping(Vec<u8>),
    /// To be echoed; the connection is over then. `None` when no code was given.
    Close(Option<u16>),
}

/// Reads a client's frames from bytes in pieces of any size.
#[derive(Debug, Default)]
pub struct Frames {
    header: Vec<u8>,
    body: Option<Body>,
    /// Bytes of the fragmented message under way.
    message: Option<u64>,
}

/// The payload of a frame under way.
#[derive(Debug)]
struct Body {
    opcode: Opcode,
    mask: [u8; 4],
    left: u64,
    /// Of control frames, unmasked.
    kept: Vec<u8>,
}

impl Frames {
    /// Reads from the front of `input`, which it shortens, up to something that needs an answer; `None` when the
    /// input is used up.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Said>, Violation> {
        loop {
            match self.body.take() {
                Some(body) => {
                    let Some(body) = self.fill(body, input) else {
                        return Ok(None);
                    };
                    if let Some(said) = said(body)? {
                        return Ok(Some(said));
                    }
                }
                None => {
                    let Some((byte, rest)) = input.split_first() else {
                        return Ok(None);
                    };
                    *input = rest;
                    self.header.push(*byte);
                    self.body = self.begin()?;
                }
            }
        }
    }

    /// The frame that the header begins, once it is whole. Its first two bytes are judged as they come.
    fn begin(&mut self) -> Result<Option<Body>, Violation> {
        let &[first, second, ref rest @ ..] = self.header.as_slice() else {
            return Ok(None);
        };
        let opcode = Opcode::from_id(first & 0x0f).ok_or(Violation::Opcode(first & 0x0f))?;
        let is_last = first & 0x80 != 0;
        if first & 0x70 != 0 {
            return Err(Violation::Reserved);
        }
        if second & 0x80 == 0 {
            return Err(Violation::Unmasked);
        }
        if opcode.is_control() && (!is_last || usize::from(second & 0x7f) > CONTROL_BYTES) {
            return Err(Violation::Control);
        }
        let (length, mask) = match (second & 0x7f, rest) {
            (126, &[a, b, ref mask @ ..]) => (u64::from(u16::from_be_bytes([a, b])), mask),
            (127, &[a, b, c, d, e, f, g, h, ref mask @ ..]) => {
                (u64::from_be_bytes([a, b, c, d, e, f, g, h]), mask)
            }
            (126 | 127, _) => return Ok(None),
            (length, mask) => (u64::from(length), mask),
        };
        let &[a, b, c, d] = mask else { return Ok(None) };
        let shortest = match second & 0x7f {
            126 => length > 125,
            127 => length > 0xffff && length >> 63 == 0,
            _ => true,
        };
        if !shortest {
            return Err(Violation::Length);
        }
        if !opcode.is_control() {
            self.count(opcode, is_last, length)?;
        }
        self.header.clear();
        Ok(Some(Body {
            opcode,
            mask: [a, b, c, d],
            left: length,
            kept: Vec::new(),
        }))
    }

    /// Keeps the order of fragments (section 5.4) and the bound on a message.
    fn count(&mut self, opcode: Opcode, is_last: bool, length: u64) -> Result<(), Violation> {
        let before = match (opcode, self.message) {
            (Opcode::Continuation, Some(before)) => before,
            (Opcode::Continuation, None) | (_, Some(_)) => return Err(Violation::Fragments),
            (_, None) => 0,
        };
        let message = before.saturating_add(length);
        if message > MESSAGE_BYTES {
            return Err(Violation::TooBig);
        }
        self.message = (!is_last).then_some(message);
        Ok(())
    }

    /// The frame when it is complete; else it stays under way.
    fn fill(&mut self, mut body: Body, input: &mut &[u8]) -> Option<Body> {
        let count = usize::try_from(body.left)
            .unwrap_or(usize::MAX)
            .min(input.len());
        let (data, rest) = input.split_at(count);
        *input = rest;
        body.left -= count as u64;
        if body.opcode.is_control() {
            let start = body.kept.len();
            let mask = body.mask.iter().cycle().skip(start % 4);
            body.kept
                .extend(data.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
        }
        if body.left == 0 {
            return Some(body);
        }
        self.body = Some(body);
        None
    }
}

fn said(body: Body) -> Result<Option<Said>, Violation> {
    match body.opcode {
        Opcode::Ping => Ok(Some(Said::Ping(body.kept))),
        Opcode::Close => match body.kept.as_slice() {
            [] => Ok(Some(Said::Close(None))),
            [a, b, reason @ ..] => {
                let code = u16::from_be_bytes([*a, *b]);
                // section 7.4: 1004 to 1006 and 1015 are never on the wire
                if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                    return Err(Violation::Close);
                }
                if std::str::from_utf8(reason).is_err() {
                    return Err(Violation::Encoding);
                }
                Ok(Some(Said::Close(Some(code))))
            }
            _ => Err(Violation::Close),
        },
        Opcode::Continuation | Opcode::Text | Opcode::Binary | Opcode::Pong => Ok(None),
    }
}

/// The value of `Sec-WebSocket-Accept` for a key; `None` when the key is not 16 bytes in base64 (section 4.2.1).
pub fn accept(key: &str) -> Option<String> {
    if STANDARD.decode(key).ok()?.len() != 16 {
        return None;
    }
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key.as_bytes());
    context.update(GUID);
    Some(STANDARD.encode(context.finish()))
}

/// The header of a whole frame with `length` bytes of payload: the array and how much of its end counts.
pub fn header(opcode: Opcode, length: usize) -> ([u8; HEADER_BYTES], usize) {
    let first = 0x80 | opcode as u8;
    let length = length as u64;
    let [a, b, c, d, e, f, g, h] = length.to_be_bytes();
    match length {
        0..=125 => ([0, 0, 0, 0, 0, 0, 0, 0, first, h], 2),
        126..=0xffff => ([0, 0, 0, 0, 0, 0, first, 126, g, h], 4),
        _ => ([first, 127, a, b, c, d, e, f, g, h], 10),
    }
}

/// Appends a whole frame.
pub fn write(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    let (header, used) = header(opcode, payload.len());
    out.extend_from_slice(header.get(HEADER_BYTES - used..).unwrap_or_default());
    out.extend_from_slice(payload);
}

/// Appends a close frame.
pub fn write_close(code: u16, out: &mut Vec<u8>) {
    write(Opcode::Close, &code.to_be_bytes(), out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MASK: [u8; 4] = [1, 2, 3, 250];

    /// A frame as a client sends it.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![first];
        match payload.len() {
            length @ 0..=125 => out.push(0x80 | length as u8),
            length @ 126..=0xffff => {
                out.push(0x80 | 126);
                out.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                out.push(0x80 | 127);
                out.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        out.extend_from_slice(&MASK);
        out.extend(
            payload
                .iter()
                .zip(MASK.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
        out
    }

    fn read(mut input: &[u8]) -> Result<Vec<Said>, Violation> {
        let (mut frames, mut all) = (Frames::default(), Vec::new());
        while let Some(said) = frames.read(&mut input)? {
            all.push(said);
        }
        Ok(all)
    }

    #[test]
    fn the_example_of_the_standard() {
        let accepted = accept("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accepted.as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(accept("dGhlIHNhbXBsZSBub25j"), None);
        assert_eq!(accept("no base64"), None);
    }

    #[test]
    fn pings_between_fragments_are_heard_and_data_is_not() {
        let input = [
            frame(0x01, b"he"),
            frame(0x89, b"hello"),
            frame(0x00, &[7; 300]),
            frame(0x8a, b"pong"),
            frame(0x80, b""),
            frame(0x82, &[7; 60_000]),
            frame(0x88, b"\x03\xe8bye"),
        ]
        .concat();
        let said = vec![Said::Ping(b"hello".to_vec()), Said::Close(Some(1000))];
        assert_eq!(read(&input), Ok(said));
        assert_eq!(read(&frame(0x88, b"")), Ok(vec![Said::Close(None)]));
    }

    #[test]
    fn each_way_to_break_the_protocol() {
        use Violation::*;
        for (input, violation) in [
            (frame(0xc1, b""), Reserved),
            (frame(0x83, b""), Opcode(3)),
            (vec![0x81, 0x00], Unmasked),
            (vec![0x81, 0xfe, 0, 125, 0, 0, 0, 0], Length),
            (
                vec![0x81, 0xff, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0],
                Length,
            ),
            (
                vec![0x81, 0xff, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                Length,
            ),
            (frame(0x09, b""), Control),
            (frame(0x89, &[0; 126]), Control),
            (frame(0x80, b""), Fragments),
            ([frame(0x01, b"a"), frame(0x01, b"b")].concat(), Fragments),
            (frame(0x88, b"x"), Close),
            (frame(0x88, &1005_u16.to_be_bytes()), Close),
            (frame(0x88, b"\x03\xe8\xff"), Encoding),
            (frame(0x82, &[0; 65_537]), TooBig),
            (
                [frame(0x02, &[0; 40_000]), frame(0x00, &[0; 40_000])].concat(),
                TooBig,
            ),
        ] {
            assert_eq!(read(&input), Err(violation));
        }
        assert_eq!(TooBig.code(), CloseCode::TooBig);
        assert_eq!(Unmasked.code() as u16, 1002);
    }

    #[test]
    fn headers_are_as_short_as_they_can_be() {
        for (length, expected) in [
            (0, &[0x82, 0][..]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (0xffff, &[0x82, 126, 255, 255]),
            (0x1_0000, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let (header, used) = header(Opcode::Binary, length);
            assert_eq!(&header[HEADER_BYTES - used..], expected);
        }
    }

    proptest! {
        #[test]
        fn splits_do_not_matter(
            pings in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..126), 0..6),
            data in prop::collection::vec(any::<u8>(), 0..400),
            step in 1..60usize,
        ) {
            let mut wire = frame(0x82, &data);
            for ping in &pings {
                wire.extend(frame(0x89, ping));
            }
            let (mut frames, mut said) = (Frames::default(), Vec::new());
            for mut piece in wire.chunks(step) {
                while let Some(one) = frames.read(&mut piece).expect("valid") {
                    said.push(one);
                }
            }
            let expected: Vec<_> = pings.into_iter().map(Said::Ping).collect();
            prop_assert_eq!(said, expected);
        }

        #[test]
        fn any_bytes_are_frames_or_a_violation(
            input in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = read(&input);
        }
    }
}
