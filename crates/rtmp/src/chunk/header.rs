//! The header of one chunk (RTMP 1.0 §5.3.1).
//!
//! Owns: its forms. Does not: keep what later headers refer to.

use weir_wire::{Cursor, Short};

/// Longest header: basic 3, message 11, extended timestamp 4.
pub(super) const MAX_BYTES: usize = 18;

/// A time field of this value has the real one in four bytes behind the header; so has every larger time.
pub(super) const EXTENDED: u32 = 0xff_ffff;

/// What a header says; fields that its type leaves out are `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) fmt: u8,
    pub(super) csid: u32,
    pub(super) time: Option<Time>,
    pub(super) message: Option<MessageForm>,
    pub(super) msid: Option<u32>,
}

/// A time or a delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time {
    pub(super) value: u32,
    pub(super) extended: bool,
}

/// Length and type of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MessageForm {
    pub(super) length: u32,
    pub(super) type_id: u8,
}

/// How far a header has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parsed {
    /// This many bytes from its start are needed to go on; never more than belong to it, save for the search for
    /// an extended timestamp in type 3, where they may be payload.
    Need(usize),
    /// The header, and its length in bytes.
    Done { header: Header, length: usize },
}

/// Parses the header at the start of `seen`. `expected` gives the values that a type 3 header may repeat as extended
/// timestamp on a chunk stream, or `None` if it has none to repeat.
pub(super) fn parse(seen: &[u8], expected: impl FnOnce(u32) -> Option<[u32; 2]>) -> Parsed {
    let mut cursor = Cursor::new(seen);
    let (fmt, csid) = match basic(&mut cursor) {
        Ok(basic) => basic,
        Err(short) => return need(short),
    };
    if fmt == 3 {
        let header = Header {
            fmt,
            csid,
            time: None,
            message: None,
            msid: None,
        };
        let start = cursor.offset();
        return match expected(csid).map(|values| repeated(cursor.rest(), values)) {
            Some(Repeat::Unclear) => Parsed::Need(seen.len() + 1),
            Some(Repeat::Present) => Parsed::Done {
                header,
                length: start + 4,
            },
            Some(Repeat::Absent) | None => Parsed::Done {
                header,
                length: start,
            },
        };
    }
    match rest(&mut cursor, fmt, csid) {
        Ok(header) => Parsed::Done {
            header,
            length: cursor.offset(),
        },
        Err(short) => need(short),
    }
}

fn need(short: Short) -> Parsed {
    Parsed::Need(short.offset.saturating_add(short.wanted))
}

fn basic(cursor: &mut Cursor<'_>) -> Result<(u8, u32), Short> {
    let first = cursor.u8()?;
    let csid = match first & 0x3f {
        0 => 64 + u32::from(cursor.u8()?),
        1 => {
            let [low, high] = cursor.array()?;
            64 + u32::from(u16::from_le_bytes([low, high]))
        }
        csid => u32::from(csid),
    };
    Ok((first >> 6, csid))
}

fn rest(cursor: &mut Cursor<'_>, fmt: u8, csid: u32) -> Result<Header, Short> {
    let mut value = cursor.u24()?;
    let message = match fmt {
        0 | 1 => Some(MessageForm {
            length: cursor.u24()?,
            type_id: cursor.u8()?,
        }),
        _ => None,
    };
    let msid = if fmt == 0 {
        Some(cursor.u32_le()?)
    } else {
        None
    };
    let extended = value == EXTENDED;
    if extended {
        value = cursor.u32()?;
    }
    Ok(Header {
        fmt,
        csid,
        time: Some(Time { value, extended }),
        message,
        msid,
    })
}

enum Repeat {
    Present,
    Absent,
    Unclear,
}

/// Whether `rest` begins with one of `values`. Decided at the first byte that differs, so that a peer that repeats
/// nothing is not kept waiting for bytes it will not send.
fn repeated(rest: &[u8], values: [u32; 2]) -> Repeat {
    let seen = rest.get(..4).unwrap_or(rest);
    let fits = |value: u32| value.to_be_bytes().starts_with(seen);
    match values.into_iter().any(fits) {
        false => Repeat::Absent,
        true if seen.len() == 4 => Repeat::Present,
        true => Repeat::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_basic_header() {
        let csid = |bytes: &[u8]| match parse(bytes, |_| None) {
            Parsed::Done { header, length } => (header.fmt, header.csid, length),
            Parsed::Need(_) => panic!("cut"),
        };
        assert_eq!(csid(&[0xc2]), (3, 2, 1));
        assert_eq!(csid(&[0xff]), (3, 63, 1));
        assert_eq!(csid(&[0xc0, 0]), (3, 64, 2));
        assert_eq!(csid(&[0xc0, 255]), (3, 319, 2));
        assert_eq!(csid(&[0xc1, 0, 1]), (3, 320, 3));
        assert_eq!(csid(&[0xc1, 255, 255]), (3, 65_599, 3));
    }

    #[test]
    fn asks_for_what_is_missing_and_no_more() {
        assert_eq!(parse(&[], |_| None), Parsed::Need(1));
        assert_eq!(parse(&[0x01], |_| None), Parsed::Need(3));
        assert_eq!(parse(&[0x02], |_| None), Parsed::Need(4));
        let header = [0x02, 0xff, 0xff, 0xff, 0, 0, 1, 8, 1, 0, 0, 0];
        assert_eq!(parse(&header, |_| None), Parsed::Need(16));
        assert_eq!(
            parse(&[0xc2, 1, 2], |_| Some([0x0102_0304; 2])),
            Parsed::Need(4)
        );
    }

    #[test]
    fn a_repeated_time_is_told_from_payload() {
        let expected = |_| Some([0x0102_0304, 0x0102_0506]);
        let length = |bytes: &[u8]| match parse(bytes, expected) {
            Parsed::Done { length, .. } => Some(length),
            Parsed::Need(_) => None,
        };
        assert_eq!(length(&[0xc6, 1, 2, 3, 4]), Some(5));
        assert_eq!(length(&[0xc6, 1, 2, 5, 6]), Some(5));
        assert_eq!(length(&[0xc6, 1, 2, 3, 5]), Some(1));
        assert_eq!(length(&[0xc6, 2]), Some(1));
        assert_eq!(length(&[0xc6]), None);
    }
}
