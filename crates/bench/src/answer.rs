//! Answers on a keep-alive HTTP/1.1 connection, one after the other.
//!
//! Owns: the status, the end of each body by its length or its chunks (RFC 9112 §6, §7.1), and whether the connection
//! lives on (§9.3). Sans-IO: bytes in, one [`Event`] at a time; bodies are handed on as they lie in the input.
//! Does not: write requests, follow redirects, decompress, or know answers to HEAD.

#![warn(clippy::indexing_slicing)]

/// Response heads are some 300 bytes; a server that sends more than this is not a media server.
const MAX_HEAD: usize = 16 * 1024;
/// Header fields of a response that are looked at.
const MAX_FIELDS: usize = 64;
/// Hex digits of a chunk size: 8 hold 4 GiB.
const MAX_DIGITS: u32 = 8;
/// Bytes of trailer fields behind a chunked body (§7.1.2); nobody sends any.
const MAX_TRAILER: usize = 4 * 1024;

/// What the next bytes of a connection belong to.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    stage: Stage,
    /// A head that came in pieces.
    head: Vec<u8>,
    status: u16,
    closes: bool,
}

/// What the caller must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event<'i> {
    /// The head is complete, with this status.
    Head(u16),
    /// More of the body; never empty.
    Body(&'i [u8]),
    /// The body is complete, and the next answer may begin.
    End,
}

/// Why a connection cannot be read further; the server's side is the guilty one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AnswerError {
    #[error("server sent no valid HTTP response")]
    Head,
    #[error("server sent an invalid chunk")]
    Chunk,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Head,
    /// So much of a body of known length is missing.
    Length(u64),
    /// Up to the end of the connection.
    Endless,
    /// In the line that names a chunk's size.
    Size {
        size: u64,
        digits: u32,
        /// Behind the digits: in an extension or the line's end.
        after: bool,
    },
    /// So much of a chunk is missing.
    Chunk(u64),
    /// In the line end that follows a chunk.
    ChunkEnd,
    /// In the trailer section: bytes in its present line, and in all.
    Trailer { line: usize, all: usize },
}

const SIZE: Stage = Stage::Size {
    size: 0,
    digits: 0,
    after: false,
};

impl Answer {
    /// Takes input up to the next event, or all of it.
    ///
    /// # Errors
    /// When this is not HTTP/1.1; the connection is of no more use.
    pub(crate) fn next<'i>(
        &mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Event<'i>>, AnswerError> {
        loop {
            match self.stage {
                Stage::Head if input.is_empty() => return Ok(None),
                Stage::Head => return self.head(input),
                Stage::Length(0) => {
                    self.stage = Stage::Head;
                    return Ok(Some(Event::End));
                }
                _ if input.is_empty() => return Ok(None),
                Stage::Endless => return Ok(Some(Event::Body(std::mem::take(input)))),
                Stage::Length(left) => {
                    let run = take(input, left);
                    self.stage = Stage::Length(left - run.len() as u64);
                    return Ok(Some(Event::Body(run)));
                }
                Stage::Chunk(0) => self.stage = Stage::ChunkEnd,
                Stage::Chunk(left) => {
                    let run = take(input, left);
                    self.stage = Stage::Chunk(left - run.len() as u64);
                    return Ok(Some(Event::Body(run)));
                }
                Stage::Size { .. } | Stage::ChunkEnd | Stage::Trailer { .. } => {
                    let Some((byte, rest)) = input.split_first() else {
                        return Ok(None);
                    };
                    *input = rest;
                    match framing(self.stage, *byte)? {
                        Some(stage) => self.stage = stage,
                        None => {
                            self.stage = Stage::Head;
                            return Ok(Some(Event::End));
                        }
                    }
                }
            }
        }
    }

    /// The status of the answer under way, or of the last one.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// Whether the server closes the connection behind this answer.
    pub(crate) fn closes(&self) -> bool {
        self.closes
    }

    /// Whether the end of the connection, coming now, is the end of a body.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.stage == Stage::Endless
    }

    /// Whether nothing of an answer has come yet.
    pub(crate) fn is_untouched(&self) -> bool {
        self.stage == Stage::Head && self.head.is_empty()
    }

    /// Bytes that are missing of a body of known length; 0 where something else comes next.
    pub(crate) fn left(&self) -> usize {
        match self.stage {
            Stage::Length(left) => usize::try_from(left).unwrap_or(usize::MAX),
            _ => 0,
        }
    }

    /// Takes it that so many bytes of a body of known length came another way.
    pub(crate) fn skip(&mut self, length: usize) {
        if let Stage::Length(left) = &mut self.stage {
            *left = left.saturating_sub(length as u64);
        }
    }

    fn head<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Event<'i>>, AnswerError> {
        if self.head.is_empty() {
            // nearly always the head is all there and need not be copied
            let Some(length) = self.parse(input)? else {
                self.head.extend(std::mem::take(input));
                return Ok(None);
            };
            *input = input.get(length..).unwrap_or_default();
        } else {
            let before = self.head.len();
            self.head.extend(*input);
            let head = std::mem::take(&mut self.head);
            let Some(length) = self.parse(&head)? else {
                self.head = head;
                *input = &[];
                return Ok(None);
            };
            // what was kept was no complete head, so the end lies in the input
            *input = input
                .get(length.saturating_sub(before)..)
                .unwrap_or_default();
        }
        // interim answers (RFC 9110 §15.2) have no body and are followed by the final one
        if self.status < 200 {
            return self.next(input);
        }
        Ok(Some(Event::Head(self.status)))
    }

    /// The length of the head at the front of `bytes`, whose meaning is kept; `None` while it is incomplete.
    fn parse(&mut self, bytes: &[u8]) -> Result<Option<usize>, AnswerError> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        let length = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => length,
            Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
            _ => return Err(AnswerError::Head),
        };
        self.status = response.code.ok_or(AnswerError::Head)?;
        self.closes = response.version == Some(0);
        self.stage = Stage::Endless;
        for field in response.headers.iter() {
            if field.name.eq_ignore_ascii_case("content-length") && self.stage == Stage::Endless {
                let text = std::str::from_utf8(field.value).map_err(|_| AnswerError::Head)?;
                self.stage = Stage::Length(text.trim().parse().map_err(|_| AnswerError::Head)?);
            } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
                self.stage = SIZE;
            } else if field.name.eq_ignore_ascii_case("connection") {
                self.closes = field.value.eq_ignore_ascii_case(b"close");
            }
        }
        if self.status < 200 {
            self.stage = Stage::Head;
        } else if matches!(self.status, 204 | 304) {
            self.stage = Stage::Length(0);
        }
        self.closes |= self.stage == Stage::Endless;
        Ok(Some(length))
    }
}

fn take<'i>(input: &mut &'i [u8], most: u64) -> &'i [u8] {
    let length = usize::try_from(most).unwrap_or(usize::MAX);
    let (run, rest) = input.split_at(length.min(input.len()));
    *input = rest;
    run
}

/// The stage after one byte of chunk framing; `None` behind the last one.
fn framing(stage: Stage, byte: u8) -> Result<Option<Stage>, AnswerError> {
    Ok(Some(match (stage, byte) {
        (Stage::ChunkEnd, b'\r') => Stage::ChunkEnd,
        (Stage::ChunkEnd, b'\n') => SIZE,
        (
            Stage::Size {
                size, digits: 1.., ..
            },
            b'\n',
        ) => match size {
            0 => Stage::Trailer { line: 0, all: 0 },
            size => Stage::Chunk(size),
        },
        (
            Stage::Size {
                size,
                digits: digits @ 1..,
                ..
            },
            b'\r' | b';' | b' ' | b'\t',
        )
        | (
            Stage::Size {
                size,
                digits,
                after: true,
            },
            _,
        ) => Stage::Size {
            size,
            digits,
            after: true,
        },
        (
            Stage::Size {
                size,
                digits: digits @ 0..MAX_DIGITS,
                ..
            },
            _,
        ) => {
            let digit = char::from(byte).to_digit(16).ok_or(AnswerError::Chunk)?;
            Stage::Size {
                size: size << 4 | u64::from(digit),
                digits: digits + 1,
                after: false,
            }
        }
        (Stage::Trailer { line: 0, .. }, b'\n') => return Ok(None),
        (Stage::Trailer { all, .. }, b'\n') => Stage::Trailer { line: 0, all },
        (Stage::Trailer { line, all }, b'\r') => Stage::Trailer { line, all },
        (Stage::Trailer { line, all }, _) if all < MAX_TRAILER => Stage::Trailer {
            line: line + 1,
            all: all + 1,
        },
        _ => return Err(AnswerError::Chunk),
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Status and body of each answer in `wire`, which comes in pieces of `split` bytes.
    fn drive(wire: &[u8], split: usize) -> Result<Vec<(u16, Vec<u8>)>, AnswerError> {
        let mut answer = Answer::default();
        let (mut done, mut body) = (Vec::new(), Vec::new());
        for mut piece in wire.chunks(split) {
            while let Some(event) = answer.next(&mut piece)? {
                match event {
                    Event::Head(status) => assert_eq!(status, answer.status()),
                    Event::Body(run) => {
                        assert!(!run.is_empty());
                        body.extend(run);
                    }
                    Event::End => done.push((answer.status(), std::mem::take(&mut body))),
                }
            }
            assert!(piece.is_empty());
        }
        Ok(done)
    }

    fn chunked(body: &[u8], chunk: usize) -> Vec<u8> {
        let mut wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for piece in body.chunks(chunk) {
            wire.extend(format!("{:x};x=1\r\n", piece.len()).bytes());
            wire.extend(piece);
            wire.extend(b"\r\n");
        }
        wire.extend(b"0\r\nTrailer: x\r\n\r\n");
        wire
    }

    fn sized(status: u16, body: &[u8]) -> Vec<u8> {
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    }

    proptest! {
        #[test]
        fn answers_follow_each_other_at_any_split(
            split in 1_usize..300,
            chunk in 1_usize..90,
            body in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let wire = [
                sized(200, &body),
                chunked(&body, chunk),
                b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec(),
                sized(404, b""),
                b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n".to_vec(),
                sized(200, &body),
            ]
            .concat();
            let wanted = [
                (200, body.clone()), (200, body.clone()), (404, vec![]), (304, vec![]), (200, body),
            ];
            prop_assert_eq!(drive(&wire, split).unwrap(), wanted);
        }

        #[test]
        fn anything_else_does_not_panic(input in proptest::collection::vec(any::<u8>(), 0..200)) {
            for head in [&b""[..], b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"] {
                let wire = [head, &input].concat();
                let _ = drive(&wire, 7);
            }
        }
    }

    #[test]
    fn bodies_may_be_taken_another_way() {
        let mut answer = Answer::default();
        let wire = sized(200, b"1234");
        let mut head = &wire[..wire.len() - 4];
        assert_eq!(answer.left(), 0);
        assert_eq!(answer.next(&mut head), Ok(Some(Event::Head(200))));
        assert_eq!(answer.left(), 4);
        answer.skip(3);
        assert_eq!(answer.next(&mut &b"4HTTP"[..]), Ok(Some(Event::Body(b"4"))));
        assert_eq!(answer.next(&mut &b""[..]), Ok(Some(Event::End)));
        answer.skip(9);
        assert_eq!((answer.left(), answer.next(&mut &b""[..])), (0, Ok(None)));
    }

    #[test]
    fn tells_when_the_connection_ends() {
        let look = |mut wire: &[u8]| {
            let mut answer = Answer::default();
            assert!(answer.is_untouched());
            assert_eq!(answer.next(&mut wire), Ok(Some(Event::Head(200))));
            assert!(!answer.is_untouched());
            (answer.closes(), answer.ends_with_connection())
        };
        assert_eq!(
            look(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"),
            (false, false)
        );
        assert_eq!(
            look(b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 1\r\n\r\n"),
            (true, false)
        );
        assert_eq!(
            look(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n"),
            (true, false)
        );
        assert_eq!(look(b"HTTP/1.1 200 OK\r\n\r\n"), (true, true));
    }

    #[test]
    fn faults_are_told() {
        assert_eq!(drive(b"RTMP\r\n\r\n", 50), Err(AnswerError::Head));
        assert_eq!(
            drive(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", 50),
            Err(AnswerError::Head)
        );
        let long = [b"HTTP/1.1 200 OK\r\nA: ", &[b'x'; MAX_HEAD][..]].concat();
        assert_eq!(drive(&long, 999), Err(AnswerError::Head));
        let wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
        assert_eq!(drive(wire, 50), Err(AnswerError::Chunk));
        let endless = [
            &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"[..],
            &[b'x'; MAX_TRAILER + 1],
        ];
        assert_eq!(drive(&endless.concat(), 50), Err(AnswerError::Chunk));
    }
}
