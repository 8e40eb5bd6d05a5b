//! Bodies on their way.
//!
//! Owns: following a body's framing while it passes ([`Flow`]), reading one whole, and moving bytes both ways where the
//! relay cannot (TLS). Invariant: nothing behind the end of a body goes on with it. Does not: know what bodies are.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use weir_http::body::{Body, BodyError, Part};
use weir_http::response::Framing;
use weir_net::door::Transport;

use super::client::{read_some, write_all};
use super::end::{End, Status};
use super::origin::Origin;
use crate::sessions::Session;
use crate::settings::Settings;

/// Bytes read at once of a body that may last for hours: a TLS record.
pub(super) const READ_BYTES: usize = 16 << 10;

/// Bytes read at once of a body of known length: it is over soon, and fewer calls matter more than the memory.
const READ_KNOWN_BYTES: usize = 64 << 10;

/// A body that passes through.
pub(super) struct Flow {
    /// `None` for one that ends with the connection.
    body: Option<Body>,
    unchunk: bool,
    /// What was read last.
    input: Vec<u8>,
    /// Bytes of it that belong to the body.
    taken: usize,
    /// What is sent instead of them.
    made: Option<Vec<u8>>,
    /// What goes before it.
    head: Vec<u8>,
    read_bytes: usize,
}

impl Flow {
    /// A body with this framing, whose chunks are taken off if `unchunk` says so; `input` was read already.
    pub(super) fn new(framing: Framing, unchunk: bool, input: Vec<u8>) -> Self {
        let read_bytes = match framing {
            Framing::Known(length) => usize::try_from(length)
                .unwrap_or(usize::MAX)
                .min(READ_KNOWN_BYTES),
            _ => READ_BYTES,
        };
        Self {
            body: framing.length().map(Body::new),
            unchunk,
            input,
            taken: 0,
            made: None,
            head: Vec::new(),
            read_bytes,
        }
    }

    /// Lets `head` pass before the first bytes.
    pub(super) fn first(&mut self, head: Vec<u8>) {
        self.head = head;
    }

    /// How much is read at once.
    pub(super) fn read_bytes(&self) -> usize {
        self.read_bytes
    }

    /// Takes what was read; true when the body is complete.
    pub(super) fn turn(&mut self) -> Result<bool, BodyError> {
        let mut made = std::mem::take(&mut self.head);
        let makes = self.unchunk || !made.is_empty();
        let mut rest = self.input.as_slice();
        let is_complete = match &mut self.body {
            None => {
                if self.unchunk {
                    made.extend_from_slice(rest);
                }
                rest = &[];
                false
            }
            Some(body) => loop {
                match body.next(&mut rest)? {
                    Part::Data(data) if self.unchunk => made.extend_from_slice(data),
                    Part::Data(_) => {}
                    Part::More => break false,
                    Part::End => break true,
                }
            },
        };
        self.taken = self.input.len().saturating_sub(rest.len());
        if makes && !self.unchunk {
            made.extend_from_slice(self.input.get(..self.taken).unwrap_or_default());
        }
        self.made = makes.then_some(made);
        Ok(is_complete)
    }

    /// What may be sent.
    pub(super) fn ready(&self) -> &[u8] {
        match &self.made {
            Some(made) => made,
            None => self.input.get(..self.taken).unwrap_or_default(),
        }
    }

    /// Where more is read into, emptied: what was ready is gone.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        self.input.clear();
        &mut self.input
    }

    /// The connection's end is the body's.
    pub(super) fn ends_with_connection(&self) -> bool {
        self.body.is_none()
    }

    /// What came behind the body's end.
    pub(super) fn rest(&self) -> &[u8] {
        self.input.get(self.taken..).unwrap_or_default()
    }
}

/// Reads a text up to its end, within the bound on playlists; `settings.answer` is the time for each read.
pub(super) async fn whole(
    origin: &mut Origin,
    framing: Framing,
    settings: &Settings,
) -> Result<String, End> {
    let limit = settings.http.max_playlist_bytes;
    let too_long = || End::origin_failed(format!("origin's playlist is longer than {limit} bytes"));
    if matches!(framing, Framing::Known(length) if length > limit as u64) {
        return Err(too_long());
    }
    let rest = origin.heads.take();
    let mut flow = Flow::new(framing, true, rest);
    let mut text = Vec::new();
    while !flow.turn().map_err(End::origin_failed)? {
        text.extend_from_slice(flow.ready());
        if text.len() > limit {
            return Err(too_long());
        }
        let most = flow.read_bytes();
        let read = origin.read(flow.buffer(), most);
        let silent = |_| {
            End::told(
                Status::GATEWAY_TIMEOUT,
                "origin_silent",
                "inside a playlist",
            )
        };
        let read = tokio::time::timeout(settings.answer, read).await;
        match read.map_err(silent)?.map_err(End::origin_failed)? {
            0 if flow.ends_with_connection() => return utf8(text),
            0 => return Err(End::origin_failed("origin closed inside a playlist")),
            _ => {}
        }
    }
    text.extend_from_slice(flow.ready());
    // what follows an answer unasked makes the connection useless
    origin.heads.push(flow.rest());
    utf8(text)
}

fn utf8(text: Vec<u8>) -> Result<String, End> {
    String::from_utf8(text).map_err(|_| End::origin_failed("origin's playlist is no UTF-8"))
}

/// Moves bytes both ways until one side closes or takes nothing for `stalled`.
pub(super) async fn tunnel(
    client: &mut Transport,
    mut origin: TcpStream,
    session: &Session,
    stalled: Duration,
) -> End {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_origin, mut to_origin) = origin.split();
    tokio::select! {
        failed = pour(&mut from_client, &mut to_origin, &session.up, stalled) => match failed {
            Ok(()) => End::client_left(),
            Err((true, error)) => End::client_failed(&error),
            Err((false, error)) => End::silent("origin_failed", error),
        },
        failed = pour(&mut from_origin, &mut to_client, &session.down, stalled) => match failed {
            Ok(()) => End::silent("origin_closed", ""),
            Err((true, error)) => End::silent("origin_failed", error),
            Err((false, error)) if error.kind() == io::ErrorKind::TimedOut => End::client_stalled(),
            Err((false, error)) => End::client_failed(&error),
        },
    }
}

/// Moves bytes one way up to the end; the error says whether the sender is at fault.
async fn pour(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    counter: &AtomicU64,
    stalled: Duration,
) -> Result<(), (bool, io::Error)> {
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        let read = read_some(from, &mut |input| buffer.extend_from_slice(input)).await;
        let count = read.map_err(|error| (true, error))?;
        if count == 0 {
            return Ok(());
        }
        let written = write_all(to, &buffer, stalled).await;
        written.map_err(|error| (false, error))?;
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CHUNKS: &[u8] = b"5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nT: r\r\n\r\n";

    /// What passes of `input` in pieces, whether it was complete, and whether something was left.
    fn passed(framing: Framing, unchunk: bool, input: &[u8], step: usize) -> (Vec<u8>, bool, bool) {
        let mut flow = Flow::new(framing, unchunk, Vec::new());
        let mut out = Vec::new();
        for piece in input.chunks(step) {
            flow.buffer().extend_from_slice(piece);
            let is_complete = flow.turn().expect("valid");
            out.extend_from_slice(flow.ready());
            if is_complete {
                return (out, true, !flow.rest().is_empty());
            }
        }
        (out, false, !flow.rest().is_empty())
    }

    #[test]
    fn nothing_behind_a_body_goes_with_it() {
        let with_rest = [CHUNKS, b"HTTP/1.1 200 OK"].concat();
        let all = with_rest.len();
        assert_eq!(
            passed(Framing::Chunked, false, &with_rest, all),
            (CHUNKS.to_vec(), true, true)
        );
        assert_eq!(
            passed(Framing::Known(3), false, b"abcd", 4),
            (b"abc".to_vec(), true, true)
        );
        let mut flow = Flow::new(Framing::None, false, Vec::new());
        flow.first(b"head".to_vec());
        assert_eq!(flow.turn(), Ok(true));
        assert_eq!(flow.ready(), b"head");
    }

    proptest! {
        #[test]
        fn splits_do_not_matter(step in 1..40usize) {
            prop_assert_eq!(
                passed(Framing::Chunked, true, CHUNKS, step),
                (b"hello world".to_vec(), true, false)
            );
            prop_assert_eq!(
                passed(Framing::Chunked, false, CHUNKS, step),
                (CHUNKS.to_vec(), true, false)
            );
            for unchunk in [false, true] {
                prop_assert_eq!(
                    passed(Framing::ToClose, unchunk, CHUNKS, step),
                    (CHUNKS.to_vec(), false, false)
                );
            }
        }
    }
}
