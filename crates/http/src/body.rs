//! Where a request's body begins and ends.
//!
//! Owns: [`Body`], which yields the bytes of a body of known length or in chunks (RFC 9112, section
//! 7.1), and [`BodyError`]. Does not: read sockets, keep bytes, or know what the body is.
//!
//! Lines of the chunked coding end in CR LF and nothing else: a reader that took less would see
//! other chunks than a proxy in front of it. Extensions and trailers are passed over.

use crate::request::BodyLength;

/// Longest line with a chunk's size, in bytes. A size has at most 16 digits; the rest is room for an
/// extension, which nobody sends.
const LINE_BYTES: u32 = 256;

/// Most bytes of trailers. As large as half a request head of the default size.
const TRAILER_BYTES: u32 = 8 << 10;

/// Why bytes are no chunks. The client is at fault; `offset` counts bytes of the body as sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// A chunk without a size, or with one that is no number of 64 bits.
    #[error("chunk at byte {offset} of the body has no valid size")]
    Size {
        /// Where, in bytes of the body as sent.
        offset: u64,
    },
    /// A chunk's line, or the trailers, longer than is allowed.
    #[error("line at byte {offset} of the body is too long")]
    LineTooLong {
        /// Where, in bytes of the body as sent.
        offset: u64,
    },
    /// A line that ends in another way than CR LF.
    #[error("line at byte {offset} of the body does not end in CR LF")]
    LineEnd {
        /// Where, in bytes of the body as sent.
        offset: u64,
    },
    /// A chunk that goes on where its size says that it ends.
    #[error("chunk that ends at byte {offset} of the body is longer than its size")]
    ChunkEnd {
        /// Where, in bytes of the body as sent.
        offset: u64,
    },
}

/// What the input holds next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// Bytes of the body; never empty.
    Data(&'a [u8]),
    /// The input is used up.
    More,
    /// The body is complete; the rest of the input belongs to the next request.
    End,
}

/// A body under way.
#[derive(Debug)]
pub struct Body {
    state: State,
    /// Bytes of the line under way, or of all trailers.
    line: u32,
    /// Bytes taken so far, framing included.
    offset: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Bytes of a body of known length.
    Known(u64),
    /// A chunk's size, with how many digits have come.
    Size {
        value: u64,
        digits: u32,
    },
    Extension(u64),
    /// The LF after a chunk's size.
    SizeEnd(u64),
    Data(u64),
    /// The CR, then the LF, after a chunk's data.
    DataCr,
    DataLf,
    /// The first byte of a line behind the last chunk.
    TrailerStart,
    Trailer,
    TrailerEnd,
    /// The LF of the empty line.
    LastLf,
    Done,
}

impl Body {
    /// A body of the length that a request's head announced.
    pub fn new(length: BodyLength) -> Self {
        let state = match length {
            BodyLength::None => State::Done,
            BodyLength::Known(length) => State::Known(length),
            BodyLength::Chunked => State::Size {
                value: 0,
                digits: 0,
            },
        };
        Self {
            state,
            line: 0,
            offset: 0,
        }
    }

    /// Takes the next part from the front of `input`, which it shortens. After an error nothing more can be read.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Part<'a>, BodyError> {
        loop {
            match self.state {
                State::Done | State::Known(0) => return Ok(Part::End),
                State::Known(left) => {
                    let (part, left) = self.data(left, input);
                    self.state = State::Known(left);
                    return Ok(part);
                }
                State::Data(left) if left > 0 => {
                    let (part, left) = self.data(left, input);
                    self.state = if left == 0 {
                        State::DataCr
                    } else {
                        State::Data(left)
                    };
                    return Ok(part);
                }
                _ => {
                    let Some((byte, rest)) = input.split_first() else {
                        return Ok(Part::More);
                    };
                    *input = rest;
                    self.state = self.framing(*byte)?;
                    self.offset = self.offset.saturating_add(1);
                }
            }
        }
    }

    fn data<'a>(&mut self, left: u64, input: &mut &'a [u8]) -> (Part<'a>, u64) {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        if count == 0 {
            return (Part::More, left);
        }
        let (data, rest) = input.split_at(count);
        *input = rest;
        self.offset = self.offset.saturating_add(count as u64);
        (Part::Data(data), left - count as u64)
    }

    /// The state after a byte that is no data.
    fn framing(&mut self, byte: u8) -> Result<State, BodyError> {
        let offset = self.offset;
        let line_end = BodyError::LineEnd { offset };
        self.line += 1;
        match (self.state, byte) {
            (State::Size { value, digits }, _) if byte.is_ascii_hexdigit() => {
                self.size_digit(value, digits, byte)
            }
            (State::Size { digits: 0, .. }, _) => Err(BodyError::Size { offset }),
            (State::Size { value, .. } | State::Extension(value), b'\r') => {
                Ok(State::SizeEnd(value))
            }
            (State::Size { value, .. }, b';' | b' ' | b'\t') => Ok(State::Extension(value)),
            (State::Size { .. }, _) => Err(BodyError::Size { offset }),
            (State::Extension(_), b'\n') => Err(line_end),
            (State::Extension(_), _) if self.line > LINE_BYTES => {
                Err(BodyError::LineTooLong { offset })
            }
            (State::Extension(value), _) => Ok(State::Extension(value)),
            (State::SizeEnd(size), b'\n') => {
                self.line = 0;
                Ok(if size == 0 {
                    State::TrailerStart
                } else {
                    State::Data(size)
                })
            }
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => {
                self.line = 0;
                Ok(State::Size {
                    value: 0,
                    digits: 0,
                })
            }
            (State::DataCr | State::DataLf, _) => Err(BodyError::ChunkEnd { offset }),
            (State::TrailerStart | State::Trailer, _) if self.line > TRAILER_BYTES => {
                Err(BodyError::LineTooLong { offset })
            }
            (State::TrailerStart, b'\r') => Ok(State::LastLf),
            (State::Trailer, b'\r') => Ok(State::TrailerEnd),
            (State::TrailerStart | State::Trailer, b'\n') => Err(line_end),
            (State::TrailerStart | State::Trailer, _) => Ok(State::Trailer),
            (State::TrailerEnd, b'\n') => Ok(State::TrailerStart),
            (State::LastLf, b'\n') => Ok(State::Done),
            (State::SizeEnd(_) | State::TrailerEnd | State::LastLf, _) => Err(line_end),
            (State::Known(_) | State::Data(_) | State::Done, _) => Ok(self.state),
        }
    }

    fn size_digit(&self, value: u64, digits: u32, byte: u8) -> Result<State, BodyError> {
        let too_large = BodyError::Size {
            offset: self.offset,
        };
        if self.line > LINE_BYTES {
            return Err(BodyError::LineTooLong {
                offset: self.offset,
            });
        }
        let digit = char::from(byte).to_digit(16).ok_or(too_large)?;
        let value = value.checked_mul(16).ok_or(too_large)? | u64::from(digit);
        Ok(State::Size {
            value,
            digits: digits.saturating_add(1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The body's bytes, whether it is complete, and what is left.
    fn read(body: &mut Body, mut input: &[u8]) -> Result<(Vec<u8>, bool, usize), BodyError> {
        let mut out = Vec::new();
        loop {
            match body.next(&mut input)? {
                Part::Data(data) => out.extend_from_slice(data),
                Part::More => return Ok((out, false, input.len())),
                Part::End => return Ok((out, true, input.len())),
            }
        }
    }

    fn chunked(input: &[u8]) -> Result<(Vec<u8>, bool, usize), BodyError> {
        read(&mut Body::new(BodyLength::Chunked), input)
    }

    #[test]
    fn a_known_length_leaves_what_follows() {
        let mut body = Body::new(BodyLength::Known(5));
        assert_eq!(read(&mut body, b"abc"), Ok((b"abc".to_vec(), false, 0)));
        assert_eq!(read(&mut body, b"deGET"), Ok((b"de".to_vec(), true, 3)));
        assert_eq!(
            read(&mut Body::new(BodyLength::None), b"GET"),
            Ok((vec![], true, 3))
        );
    }

    #[test]
    fn extensions_and_trailers_are_passed_over() {
        let input = b"3;a=\"b\"\r\nabc\r\n0002 \r\nde\r\n0\r\nA: b\r\nC: d\r\n\r\nGET";
        assert_eq!(chunked(input), Ok((b"abcde".to_vec(), true, 3)));
    }

    #[test]
    fn other_line_ends_and_sizes_are_refused() {
        assert_eq!(chunked(b"3\nabc"), Err(BodyError::Size { offset: 1 }));
        assert_eq!(chunked(b"3;x\nabc"), Err(BodyError::LineEnd { offset: 3 }));
        assert_eq!(chunked(b"3\rabc"), Err(BodyError::LineEnd { offset: 2 }));
        assert_eq!(
            chunked(b"3\r\nabcd\r\n"),
            Err(BodyError::ChunkEnd { offset: 6 })
        );
        assert_eq!(
            chunked(b"3\r\nabc\n"),
            Err(BodyError::ChunkEnd { offset: 6 })
        );
        assert_eq!(chunked(b"\r\n"), Err(BodyError::Size { offset: 0 }));
        assert_eq!(chunked(b"-3\r\n"), Err(BodyError::Size { offset: 0 }));
        assert_eq!(chunked(b"0x3\r\n"), Err(BodyError::Size { offset: 1 }));
        assert_eq!(
            chunked(b"10000000000000000\r\n"),
            Err(BodyError::Size { offset: 16 })
        );
        assert_eq!(
            chunked(b"0\r\nA: b\n"),
            Err(BodyError::LineEnd { offset: 7 })
        );
        assert_eq!(chunked(b"0\r\n\rx"), Err(BodyError::LineEnd { offset: 4 }));
    }

    #[test]
    fn lines_and_trailers_are_bounded() {
        let long = |prefix: &[u8], fill: u8| chunked(&[prefix, &[fill; 9000]].concat());
        assert!(matches!(
            long(b"3;", b'x'),
            Err(BodyError::LineTooLong { .. })
        ));
        assert!(matches!(
            long(b"", b'0'),
            Err(BodyError::LineTooLong { .. })
        ));
        assert!(matches!(
            long(b"0\r\n", b'x'),
            Err(BodyError::LineTooLong { .. })
        ));
        let trailers = b"A: b\r\n".repeat(2000);
        assert!(chunked(&[b"0\r\n", &trailers[..]].concat()).is_err());
    }

    proptest! {
        #[test]
        fn chunks_of_any_size_in_splits_of_any_size(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
            step in 1..50usize,
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            let mut body = Body::new(BodyLength::Chunked);
            let (mut out, mut complete) = (Vec::new(), false);
            for piece in wire.chunks(step) {
                let (data, end, left) = read(&mut body, piece).expect("valid");
                prop_assert_eq!(left, 0);
                out.extend(data);
                complete = end;
            }
            prop_assert!(complete);
            prop_assert_eq!(out, chunks.concat());
        }

        #[test]
        fn any_bytes_are_chunks_or_an_error(input in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = chunked(&input);
            let _ = chunked(&[b"a\r\n0123456789\r\n", &input[..]].concat());
        }
    }
}
