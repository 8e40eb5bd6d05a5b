//! An HTTP-FLV or HTTP-TS viewer's side of HTTP/1.1: one GET, then a body without end.
//!
//! Owns: the request, the status, and the body, plain or chunked (RFC 9112 §7.1), walked by an [`FlvSkimmer`]
//! or, when the path ends with `.ts`, a [`TsSkimmer`].
//! Sans-IO: bytes in, one [`Event`] at a time.
//! Does not: follow redirects or reuse connections.

#![warn(clippy::indexing_slicing)]

use crate::skim::{FlvSkimmer, Message, SkimError, TsSkimmer};

/// Response heads are some 300 bytes; a server that sends more than this is not a media server.
const MAX_HEAD: usize = 16 * 1024;
/// Header fields of a response that are looked at.
const MAX_FIELDS: usize = 64;
/// Hex digits of a chunk size: 8 hold 4 GiB.
const MAX_DIGITS: u32 = 8;

/// One viewer.
#[derive(Debug)]
pub(crate) struct Client {
    stage: Stage,
    head: Vec<u8>,
    skim: Skim,
}

/// The body's format.
#[derive(Debug)]
enum Skim {
    Flv(FlvSkimmer),
    Ts(Box<TsSkimmer>),
}

impl Skim {
    fn next(&mut self, input: &mut &[u8]) -> Result<bool, SkimError> {
        Ok(match self {
            Self::Flv(skim) => skim.next(input)?.is_some(),
            Self::Ts(skim) => skim.next(input)?.is_some(),
        })
    }

    fn message(&self) -> Message<'_> {
        match self {
            Self::Flv(skim) => skim.message(),
            Self::Ts(skim) => skim.message(),
        }
    }
}

/// What the caller must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// The server answered 200; the body begins.
    Started,
    /// A complete FLV tag, or a frame of a transport stream.
    Message(Message<'a>),
}

/// Why a viewer cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClientError {
    #[error(transparent)]
    Skim(#[from] SkimError),
    #[error("server answered HTTP {0}")]
    Status(u16),
    #[error("server sent no valid HTTP response")]
    Head,
    #[error("server sent an invalid chunk size")]
    ChunkSize,
    #[error("server ended the stream")]
    Ended,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Head,
    Plain,
    /// So much of a chunk's data is missing.
    Chunk(u64),
    /// In the line that names a chunk's size.
    Size {
        size: u64,
        digits: u32,
        /// Behind the digits: in an extension or the line's end.
        after: bool,
    },
    /// In the line end that follows a chunk's data.
    ChunkEnd,
}

impl Client {
    /// A viewer that has its request in `out`.
    pub(crate) fn open(host: &str, target: &str, out: &mut Vec<u8>) -> Self {
        out.extend(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n").bytes());
        out.extend(b"User-Agent: weir-bench\r\nAccept: */*\r\n\r\n");
        let path = target.split('?').next().unwrap_or(target);
        Self {
            stage: Stage::Head,
            head: Vec::new(),
            skim: if path.ends_with(".ts") {
                Skim::Ts(Box::new(TsSkimmer::new()))
            } else {
                Skim::Flv(FlvSkimmer::new())
            },
        }
    }

    /// Takes input up to the next event, or all of it.
    ///
    /// # Errors
    /// When the server refuses, ends the stream, or sends something else than its name says.
    pub(crate) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Event<'_>>, ClientError> {
        if matches!(self.stage, Stage::Head) {
            return Ok(self.head(input)?.then_some(Event::Started));
        }
        loop {
            let run = self.body(input)?;
            if run.is_empty() {
                return Ok(None);
            }
            let mut rest = run;
            let found = self.skim.next(&mut rest)?;
            let taken = run.len() - rest.len();
            *input = input.get(taken..).unwrap_or_default();
            if let Stage::Chunk(left) = &mut self.stage {
                *left -= taken as u64;
            }
            if found {
                return Ok(Some(Event::Message(self.skim.message())));
            }
        }
    }

    /// Gathers the response head; says whether the body begins.
    fn head(&mut self, input: &mut &[u8]) -> Result<bool, ClientError> {
        while let Some((byte, rest)) = input.split_first() {
            *input = rest;
            self.head.push(*byte);
            if self.head.ends_with(b"\r\n\r\n") {
                self.stage = stage_after(&self.head)?;
                self.head = Vec::new();
                return Ok(true);
            }
            if self.head.len() >= MAX_HEAD {
                return Err(ClientError::Head);
            }
        }
        Ok(false)
    }

    /// Takes framing off the front of the input and returns the run of body bytes behind it, which it leaves
    /// there; empty when the input is used up.
    fn body<'i>(&mut self, input: &mut &'i [u8]) -> Result<&'i [u8], ClientError> {
        loop {
            match self.stage {
                Stage::Plain | Stage::Head => return Ok(input),
                Stage::Chunk(0) => self.stage = Stage::ChunkEnd,
                Stage::Chunk(left) => {
                    let length = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                    return Ok(input.get(..length).unwrap_or_default());
                }
                Stage::Size { .. } | Stage::ChunkEnd => {
                    let Some((byte, rest)) = input.split_first() else {
                        return Ok(&[]);
                    };
                    *input = rest;
                    self.stage = framing(self.stage, *byte)?;
                }
            }
        }
    }
}

const SIZE: Stage = Stage::Size {
    size: 0,
    digits: 0,
    after: false,
};

/// The stage after one byte of chunk framing.
fn framing(stage: Stage, byte: u8) -> Result<Stage, ClientError> {
    match (stage, byte) {
        (Stage::ChunkEnd, b'\r') => Ok(Stage::ChunkEnd),
        (Stage::ChunkEnd, b'\n') => Ok(SIZE),
        (
            Stage::Size {
                size: 0,
                digits: 1..,
                ..
            },
            b'\n',
        ) => Err(ClientError::Ended),
        (
            Stage::Size {
                size, digits: 1.., ..
            },
            b'\n',
        ) => Ok(Stage::Chunk(size)),
        (
            Stage::Size {
                size,
                digits,
                after: true,
            },
            _,
        ) => Ok(Stage::Size {
            size,
            digits,
            after: true,
        }),
        (
            Stage::Size {
                size,
                digits: digits @ 1..,
                ..
            },
            b'\r' | b';' | b' ' | b'\t',
        ) => Ok(Stage::Size {
            size,
            digits,
            after: true,
        }),
        (
            Stage::Size {
                size,
                digits: digits @ 0..MAX_DIGITS,
                ..
            },
            _,
        ) => {
            let digit = char::from(byte)
                .to_digit(16)
                .ok_or(ClientError::ChunkSize)?;
            let size = size << 4 | u64::from(digit);
            Ok(Stage::Size {
                size,
                digits: digits + 1,
                after: false,
            })
        }
        _ => Err(ClientError::ChunkSize),
    }
}

fn stage_after(head: &[u8]) -> Result<Stage, ClientError> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    response.parse(head).map_err(|_| ClientError::Head)?;
    match response.code {
        Some(200) => {}
        Some(other) => return Err(ClientError::Status(other)),
        None => return Err(ClientError::Head),
    }
    let chunked = response.headers.iter().any(|field| {
        field.name.eq_ignore_ascii_case("transfer-encoding")
            && field.value.to_ascii_lowercase().ends_with(b"chunked")
    });
    Ok(if chunked { SIZE } else { Stage::Plain })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nServer: x\r\n";

    fn flv(tags: usize) -> Vec<u8> {
        let mut bytes = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
        for _ in 0..tags {
            bytes.extend([9, 0, 1, 0, 0, 0, 5, 0, 0, 0, 0]);
            bytes.extend([0x17; 256]);
            bytes.extend([0, 0, 1, 11]);
        }
        bytes
    }

    fn drive(wire: &[u8], split: usize) -> (usize, usize, Result<(), ClientError>) {
        let mut client = Client::open("h", "/live/a.flv", &mut Vec::new());
        let (mut started, mut tags) = (0, 0);
        for mut piece in wire.chunks(split) {
            loop {
                match client.next(&mut piece) {
                    Ok(Some(Event::Started)) => started += 1,
                    Ok(Some(Event::Message(message))) => {
                        assert_eq!((message.type_id, message.length), (9, 256));
                        tags += 1;
                    }
                    Ok(None) => break,
                    Err(error) => return (started, tags, Err(error)),
                }
            }
            assert!(piece.is_empty());
        }
        (started, tags, Ok(()))
    }

    proptest! {
        #[test]
        fn plain_body_at_any_split(split in 1_usize..700, tags in 0_usize..5) {
            let wire = [HEAD, b"\r\n", &flv(tags)].concat();
            prop_assert_eq!(drive(&wire, split), (1, tags, Ok(())));
        }

        #[test]
        fn chunked_body_at_any_split(
            split in 1_usize..700,
            chunk in 1_usize..700,
            tags in 0_usize..5,
        ) {
            let mut wire = [HEAD, b"Transfer-Encoding: chunked\r\n\r\n"].concat();
            for piece in flv(tags).chunks(chunk) {
                wire.extend(format!("{:X};x=1\r\n", piece.len()).bytes());
                wire.extend(piece);
                wire.extend(b"\r\n");
            }
            prop_assert_eq!(drive(&wire, split), (1, tags, Ok(())));
            wire.extend(b"0\r\n\r\n");
            prop_assert_eq!(drive(&wire, split), (1, tags, Err(ClientError::Ended)));
        }

        #[test]
        fn anything_else_does_not_panic(input in proptest::collection::vec(any::<u8>(), 0..200)) {
            for head in [&b""[..], b"\r\n", b"Transfer-Encoding: chunked\r\n\r\n"] {
                let mut client = Client::open("h", "/", &mut Vec::new());
                let wire = [HEAD, head, &input].concat();
                let mut rest = &wire[..];
                while let Ok(Some(_)) = client.next(&mut rest) {}
            }
        }
    }

    #[test]
    fn transport_streams_are_told_by_their_name() {
        for (target, kind) in [
            ("/live/a.ts?x=1", "server sent no MPEG-TS"),
            ("/live/a.flv?x=.ts", "server sent no FLV signature"),
        ] {
            let mut client = Client::open("h", target, &mut Vec::new());
            let wire = [HEAD, b"\r\n", &[b'x'; 400]].concat();
            let mut rest = &wire[..];
            assert_eq!(client.next(&mut rest), Ok(Some(Event::Started)));
            let error = client.next(&mut rest).unwrap_err().to_string();
            assert!(error.starts_with(kind), "{error}");
        }
    }

    #[test]
    fn tells_the_status() {
        let wire = b"HTTP/1.1 404 Not Found\r\n\r\n";
        assert_eq!(drive(wire, 5), (0, 0, Err(ClientError::Status(404))));
        assert_eq!(drive(b"RTMP\r\n\r\n", 50).2, Err(ClientError::Head));
        let bad = [HEAD, b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n"].concat();
        assert_eq!(drive(&bad, 50).2, Err(ClientError::ChunkSize));
    }
}
