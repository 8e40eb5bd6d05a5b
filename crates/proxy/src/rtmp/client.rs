//! The client's connection while its opening is read and its origin is sought.
//!
//! Owns: what the client has sent and nobody has taken yet, within a bound; words to the client; the gentle end. Does not:
//! understand them.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weir_net::door::Transport;

/// What is read ahead of a client while its origin is sought. Encoders that do not wait for answers send their metadata and
/// first frames at once; the rest stays in the socket.
const READ_AHEAD: usize = 64 << 10;

/// Bytes asked for in one read.
const READ_BYTES: usize = 4 << 10;

/// How long the last words to a client may take, and how long it may take to close in turn.
///
/// A refusal must reach the client: closing at once would reset the connection and throw the words away.
const LAST_WORDS: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Client {
    stream: Transport,
    unread: Vec<u8>,
}

impl Client {
    pub(super) fn new(stream: Transport) -> Self {
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// What came and was not taken.
    pub(super) fn unread(&self) -> &[u8] {
        &self.unread
    }

    /// Keeps only the last `left` bytes of what came.
    pub(super) fn keep_last(&mut self, left: usize) {
        let taken = self.unread.len().saturating_sub(left);
        self.unread.drain(..taken);
    }

    /// Waits for more; `Ok(false)` at the end of the connection. Never resolves while as much is unread as is kept.
    /// Loses nothing when dropped.
    pub(super) async fn read(&mut self) -> io::Result<bool> {
        if self.unread.len() >= READ_AHEAD {
            return std::future::pending().await;
        }
        self.unread.reserve(READ_BYTES);
        Ok(self.stream.read_buf(&mut self.unread).await? > 0)
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Says the last words, closes our direction, and waits a moment for the client to close.
    pub(super) async fn close(mut self, last_words: &[u8]) {
        let ending = async {
            self.write(last_words).await?;
            self.stream.shutdown().await?;
            loop {
                self.unread.clear();
                if !self.read().await? {
                    return Ok::<_, io::Error>(());
                }
            }
        };
        // whether it hears them or not, it is over
        let _ = tokio::time::timeout(LAST_WORDS, ending).await;
    }

    /// The connection and what came on it.
    pub(super) fn into_parts(self) -> (Transport, Vec<u8>) {
        (self.stream, self.unread)
    }
}
