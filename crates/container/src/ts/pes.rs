//! The header of a PES packet (§2.4.3.6).
//!
//! Owns: writing it, and reading what a demuxer needs of it. Does not: assemble packets.

use super::clock;

/// `packet_start_code_prefix`.
const PREFIX: [u8; 3] = [0, 0, 1];

/// `stream_id` of private_stream_1, which carries AC-3, E-AC-3 and Opus (table 2-22).
pub(super) const PRIVATE_STREAM_1: u8 = 0xbd;

/// Bytes of the header up to and with `PES_header_data_length`.
pub(super) const FIXED_BYTES: usize = 9;

/// `PES_packet_length` counts from behind itself; so many bytes stand before that.
pub(super) const LENGTH_END: usize = 6;

/// A header to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) stream_id: u8,
    /// Presentation time in ticks of 90 kHz, not wrapped.
    pub(super) pts: i64,
    /// Decode time, likewise; written where it differs.
    pub(super) dts: i64,
}

impl Header {
    /// Appends the header of a packet without a length: lawful for video only, for a picture may be longer than 16 bits
    /// say (§2.4.3.7). [`set_length`] puts it in for others.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        let has_dts = self.pts != self.dts;
        let (flags, data) = if has_dts { (0xc0, 10) } else { (0x80, 5) };
        out.extend_from_slice(&PREFIX);
        // data_alignment_indicator: each packet begins with an access unit
        out.extend_from_slice(&[self.stream_id, 0, 0, 0x84, flags, data]);
        write_time(if has_dts { 3 } else { 2 }, self.pts, out);
        if has_dts {
            write_time(1, self.dts, out);
        }
    }
}

/// Writes the length of a whole packet into it. False, with nothing changed, when it is over 65,535.
pub(super) fn set_length(packet: &mut [u8]) -> bool {
    let Ok(length) = u16::try_from(packet.len().saturating_sub(LENGTH_END)) else {
        return false;
    };
    let field = packet.iter_mut().skip(LENGTH_END - 2);
    for (to, from) in field.zip(length.to_be_bytes()) {
        *to = from;
    }
    true
}

/// Appends 33 bits in five bytes, with marker bits between and `mark` in front.
fn write_time(mark: u8, ticks: i64, out: &mut Vec<u8>) {
    let time = clock::wire(ticks);
    out.extend_from_slice(&[
        mark << 4 | ((time >> 29) as u8 & 0x0e) | 1,
        (time >> 22) as u8,
        (time >> 14) as u8 | 1,
        (time >> 7) as u8,
        (time << 1) as u8 | 1,
    ]);
}

fn read_time(bytes: &[u8]) -> Option<u64> {
    let [a, b, c, d, e]: [u8; 5] = bytes.get(..5)?.try_into().ok()?;
    // a header without its marker bits is no header
    if a & c & e & 1 == 0 {
        return None;
    }
    let [a, b, c, d, e] = [a, b, c, d, e].map(u64::from);
    Some((a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1)
}

/// What the start of a PES packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    /// Bytes of the whole packet; `None` when it goes on to the next.
    pub(super) bytes: Option<usize>,
    /// Where the payload begins, in bytes from the start.
    pub(super) payload_at: usize,
    /// Times on the wire, 33 bits each.
    pub(super) pts: Option<u64>,
    pub(super) dts: Option<u64>,
}

/// Why a PES packet's start cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unusable {
    /// More bytes are needed to tell; at most 264.
    Short,
    /// No PES packet, or one of a kind that carries no media.
    Damaged,
    /// `PES_scrambling_control` is set.
    Scrambled,
}

/// Reads the header at the front of a PES packet.
pub(super) fn read(bytes: &[u8]) -> Result<Start, Unusable> {
    let Some(head) = bytes.first_chunk::<FIXED_BYTES>() else {
        let known = bytes.len().min(PREFIX.len());
        let begins = bytes.get(..known) == PREFIX.get(..known);
        return Err(if begins {
            Unusable::Short
        } else {
            Unusable::Damaged
        });
    };
    let [p, q, r, stream_id, high, low, control, flags, data] = *head;
    if [p, q, r] != PREFIX || !has_header(stream_id) || control & 0xc0 != 0x80 {
        return Err(Unusable::Damaged);
    }
    if control & 0x30 != 0 {
        return Err(Unusable::Scrambled);
    }
    let payload_at = FIXED_BYTES + usize::from(data);
    let Some(fields) = bytes.get(FIXED_BYTES..payload_at) else {
        return Err(Unusable::Short);
    };
    let bytes = match u16::from_be_bytes([high, low]) {
        0 => None,
        length => Some(LENGTH_END + usize::from(length)),
    };
    if bytes.is_some_and(|bytes| bytes < payload_at) {
        return Err(Unusable::Damaged);
    }
    let (pts, dts) = match flags >> 6 {
        2 => (Some(read_time(fields).ok_or(Unusable::Damaged)?), None),
        3 => (
            Some(read_time(fields).ok_or(Unusable::Damaged)?),
            Some(read_time(fields.get(5..).unwrap_or_default()).ok_or(Unusable::Damaged)?),
        ),
        _ => (None, None),
    };
    Ok(Start {
        bytes,
        payload_at,
        pts,
        dts,
    })
}

/// Whether packets of a `stream_id` have the optional header (table 2-21).
fn has_header(stream_id: u8) -> bool {
    !matches!(stream_id, 0x00..=0xbc | 0xbe | 0xbf | 0xf0..=0xf2 | 0xf8 | 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_header_of_the_standards_layout() {
        let header = Header {
            stream_id: 0xe0,
            pts: 129_600,
            dts: 126_000,
        };
        let mut out = Vec::new();
        header.write(&mut out);
        // as ffmpeg 5.1 writes these times
        let expected = [
            0, 0, 1, 0xe0, 0, 0, 0x84, 0xc0, 10, 0x31, 0, 7, 0xf4, 0x81, 0x11, 0, 7, 0xd8, 0x61,
        ];
        assert_eq!(out, expected);
    }

    #[test]
    fn what_is_no_packet_of_media_is_told() {
        let head = [0, 0, 1, 0xe0, 0, 0, 0x80, 0, 0];
        assert!(read(&head).is_ok());
        for length in 0..head.len() {
            assert_eq!(read(&head[..length]), Err(Unusable::Short));
        }
        assert_eq!(read(&[0, 0, 2]), Err(Unusable::Damaged));
        for (at, value, expected) in [
            (2, 2, Unusable::Damaged),
            (3, 0xbe, Unusable::Damaged),
            (6, 0x00, Unusable::Damaged),
            (6, 0x90, Unusable::Scrambled),
            (5, 1, Unusable::Damaged),
            (7, 0x80, Unusable::Damaged),
            (8, 1, Unusable::Short),
        ] {
            let mut bytes = head;
            bytes[at] = value;
            assert_eq!(read(&bytes), Err(expected), "{at}");
        }
    }

    proptest! {
        #[test]
        fn headers_survive(pts in 0..1i64 << 33, dts in 0..1i64 << 33, payload in 0usize..70_000) {
            let header = Header { stream_id: 0xc0, pts, dts };
            let mut out = Vec::new();
            header.write(&mut out);
            let start = read(&out).unwrap();
            prop_assert_eq!((start.payload_at, start.bytes), (out.len(), None));
            prop_assert_eq!((start.pts, start.dts.or(start.pts)), (Some(pts as u64), Some(dts as u64)));
            out.resize(out.len() + payload, 0);
            let is_told = set_length(&mut out);
            prop_assert_eq!(is_told, out.len() - LENGTH_END <= 65_535);
            prop_assert_eq!(read(&out).unwrap().bytes, is_told.then_some(out.len()));
        }

        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>) {
            if let Ok(start) = read(&bytes) {
                prop_assert!(start.payload_at <= bytes.len());
            }
        }
    }
}
