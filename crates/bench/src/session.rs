//! One publisher or viewer: a socket, a client state machine, and what was seen.
//!
//! Owns: reading until the socket is empty (events are edge-triggered), bytes that the socket did not take, the
//! measures of a viewer.
//! Does not: poll, or keep time: it is told what happened and when.

use std::io::{self, Read as _, Write as _};

use mio::net::TcpStream;

use crate::clock;
use crate::skim::{Message, type_id};
use crate::source::Cursor;
use crate::stamp;
use crate::tally::{Tally, Window};
use crate::{client, http};

/// A publisher whose server has left so many bytes lying has lost it: at 200 kb/s these are 40 seconds.
const MAX_UNSENT: usize = 1 << 20;
/// Buffers of the opening are given back above this many bytes; 9,000 viewers would hold 50 MB of them.
const KEPT_UNSENT: usize = 512;

/// What is shared by the sessions of a thread while they read.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) buffer: Box<[u8]>,
    pub(crate) tally: Tally,
    pub(crate) window: Window,
}

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    /// `None` once it is over.
    pub(crate) socket: Option<TcpStream>,
    pub(crate) stage: Stage,
    pub(crate) role: Role,
    /// When connect was called.
    pub(crate) began: u64,
    /// The RTMP message stream that the server accepted play or publish on.
    pub(crate) message_stream: u32,
    wire: Wire,
    unsent: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Connecting,
    Opening,
    /// Play or publish was accepted at this time.
    Running(u64),
    Over,
}

#[derive(Debug)]
pub(crate) enum Role {
    Publisher(Publishing),
    Viewer(Viewing),
}

/// Where a publisher stands.
#[derive(Debug, Default)]
pub(crate) struct Publishing {
    pub(crate) index: usize,
    pub(crate) cursor: Cursor,
    /// When its source began.
    pub(crate) base: u64,
}

/// What a viewer saw.
#[derive(Debug, Default)]
pub(crate) struct Viewing {
    had_media: bool,
    had_key: bool,
    /// When media came last; 0 for never.
    last: u64,
    longest_gap: u64,
    /// Of audio and video.
    timestamps: [Option<u32>; 2],
}

/// How the session speaks.
#[derive(Debug)]
pub(crate) enum Wire {
    Rtmp(Box<client::Client>),
    Flv(Box<http::Client>),
}

/// Why a session failed. The texts are counted, so they hold nothing that differs per session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error("connect: {0}")]
    Connect(io::ErrorKind),
    #[error("{0}")]
    Io(io::ErrorKind),
    #[error("connection closed by the server while it should {0}")]
    Closed(&'static str),
    #[error("no answer in time when asked to {0}")]
    TimedOut(&'static str),
    #[error("server takes no data: {} KiB lie unsent", MAX_UNSENT / 1024)]
    Stalled,
    #[error(transparent)]
    Rtmp(client::ClientError),
    #[error(transparent)]
    Http(http::ClientError),
}

impl SessionError {
    /// The text under which it is counted: without byte offsets.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Rtmp(client::ClientError::Skim(error))
            | Self::Http(http::ClientError::Skim(error)) => error.kind.to_string(),
            other => other.to_string(),
        }
    }
}

impl Session {
    pub(crate) fn new(
        socket: TcpStream,
        wire: Wire,
        role: Role,
        opening: Vec<u8>,
        began: u64,
    ) -> Self {
        let socket = Some(socket);
        let stage = Stage::Connecting;
        Self {
            socket,
            stage,
            role,
            began,
            message_stream: 0,
            wire,
            unsent: opening,
        }
    }

    /// Acts on readiness of the socket; says whether play or publish was accepted by this.
    ///
    /// # Errors
    /// When the session is over; the caller closes it.
    pub(crate) fn ready(&mut self, closing: bool, desk: &mut Desk) -> Result<bool, SessionError> {
        let before = self.stage;
        if before == Stage::Connecting && !self.connected()? {
            return Ok(false);
        }
        self.flush(desk)?;
        self.receive(closing, desk)?;
        self.flush(desk)?;
        Ok(!matches!(before, Stage::Running(_)) && matches!(self.stage, Stage::Running(_)))
    }

    /// What the server is to do at present, as a verb.
    pub(crate) fn during(&self) -> &'static str {
        match (&self.wire, self.stage) {
            (_, Stage::Connecting) => "accept the connection",
            (Wire::Rtmp(client), _) => client.during(),
            (Wire::Flv(_), _) => "play",
        }
    }

    /// Sends bytes, or keeps what the socket does not take.
    ///
    /// # Errors
    /// On a broken connection, and when too much lies unsent.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        let Some(socket) = &mut self.socket else {
            return Ok(());
        };
        let sent = if self.unsent.is_empty() {
            write(socket, bytes)?
        } else {
            0
        };
        if let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
            if self.unsent.len() + rest.len() > MAX_UNSENT {
                return Err(SessionError::Stalled);
            }
            self.unsent.extend(rest);
        }
        Ok(())
    }

    /// Counts a viewer that is still there at the end of the window.
    pub(crate) fn finish(&self, tally: &mut Tally, window: Window) {
        if let (Role::Viewer(viewing), Stage::Running(_)) = (&self.role, self.stage) {
            let last_gap = window.to - viewing.last.clamp(window.from, window.to);
            tally.viewer_ended(viewing.longest_gap, last_gap);
        }
    }

    fn connected(&mut self) -> Result<bool, SessionError> {
        let Some(socket) = &self.socket else {
            return Ok(false);
        };
        match socket.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => return Err(SessionError::Connect(error.kind())),
        }
        if socket.peer_addr().is_err() {
            return Ok(false);
        }
        // Without it the kernel would hold back small messages; encoders set it too.
        let _ = socket.set_nodelay(true);
        self.stage = Stage::Opening;
        Ok(true)
    }

    fn flush(&mut self, desk: &mut Desk) -> Result<(), SessionError> {
        let Some(socket) = &mut self.socket else {
            return Ok(());
        };
        if self.unsent.is_empty() {
            return Ok(());
        }
        let sent = write(socket, &self.unsent)?;
        desk.tally.bytes_out += if desk.window.contains(clock::now()) {
            sent as u64
        } else {
            0
        };
        self.unsent.drain(..sent);
        if self.unsent.is_empty() && self.unsent.capacity() > KEPT_UNSENT {
            self.unsent = Vec::new();
        }
        Ok(())
    }

    fn receive(&mut self, closing: bool, desk: &mut Desk) -> Result<(), SessionError> {
        loop {
            let Some(socket) = &mut self.socket else {
                return Ok(());
            };
            let length = match socket.read(&mut desk.buffer) {
                Ok(0) => return Err(SessionError::Closed(self.during())),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(SessionError::Io(error.kind())),
            };
            let now = clock::now();
            if desk.window.contains(now) {
                desk.tally.bytes_in += length as u64;
            }
            self.digest(length, now, desk)?;
            // A short read has emptied the socket (epoll(7)); only an end of stream may lie behind it.
            if length < desk.buffer.len() && !closing {
                return Ok(());
            }
        }
    }

    fn digest(&mut self, length: usize, now: u64, desk: &mut Desk) -> Result<(), SessionError> {
        let Desk {
            buffer,
            tally,
            window,
        } = desk;
        let mut input = buffer.get(..length).unwrap_or_default();
        let Self {
            wire,
            role,
            stage,
            unsent,
            began,
            message_stream: accepted_on,
            ..
        } = self;
        let mut see = |message: &Message<'_>, stage| {
            if let (Role::Viewer(viewing), Stage::Running(started)) = (&mut *role, stage) {
                viewing.see(
                    message,
                    Times {
                        began: *began,
                        started,
                        now,
                    },
                    tally,
                    *window,
                );
            }
        };
        match wire {
            Wire::Rtmp(client) => {
                while let Some(event) = client
                    .next(&mut input, unsent)
                    .map_err(SessionError::Rtmp)?
                {
                    match event {
                        client::Event::Message(message) => see(&message, *stage),
                        client::Event::Started { message_stream } => {
                            *stage = Stage::Running(now);
                            *accepted_on = message_stream;
                        }
                    }
                }
            }
            Wire::Flv(client) => {
                while let Some(event) = client.next(&mut input).map_err(SessionError::Http)? {
                    match event {
                        http::Event::Message(message) => see(&message, *stage),
                        http::Event::Started => *stage = Stage::Running(now),
                    }
                }
            }
        }
        Ok(())
    }
}

/// Moments a message is judged by.
#[derive(Debug, Clone, Copy)]
struct Times {
    began: u64,
    started: u64,
    now: u64,
}

impl Viewing {
    fn see(&mut self, message: &Message<'_>, times: Times, tally: &mut Tally, window: Window) {
        if !message.is_media() || message.is_configuration() {
            return;
        }
        let Times {
            began,
            started,
            now,
        } = times;
        if !self.had_media {
            self.had_media = true;
            tally.first_media.record(now - began);
        }
        if !self.had_key && message.is_key_frame() {
            self.had_key = true;
            tally.first_key.record(now - began);
        }
        let track = &mut self.timestamps[usize::from(message.type_id == type_id::VIDEO)];
        if let Some(before) = track.replace(message.timestamp) {
            // Serial arithmetic: timestamps wrap at 2^32.
            tally.backward += u64::from(message.timestamp.wrapping_sub(before).cast_signed() < 0);
        }
        if window.contains(now) {
            tally.messages_in += 1;
            self.longest_gap = self.longest_gap.max(now - self.last.max(window.from));
            // What was sent before the viewer was accepted came from the server's cache.
            if let Some(sent) = stamp::read(message.prefix).filter(|sent| *sent >= started) {
                tally.latency.record(now.saturating_sub(sent));
            }
        }
        self.last = now;
    }
}

fn write(socket: &mut TcpStream, bytes: &[u8]) -> Result<usize, SessionError> {
    loop {
        match socket.write(bytes) {
            Ok(sent) => return Ok(sent),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(SessionError::Io(error.kind())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SECOND;

    fn frame(first: u8, sent: u64) -> Vec<u8> {
        let mut payload = vec![first, 1];
        payload.resize(100, 0x11);
        stamp::write(&mut payload, sent);
        payload
    }

    fn message(prefix: &[u8], timestamp: u32) -> Message<'_> {
        Message {
            type_id: type_id::VIDEO,
            timestamp,
            length: prefix.len() as u32,
            prefix,
        }
    }

    #[test]
    fn viewer_measures_only_what_was_sent_after_its_start() {
        let window = Window {
            from: 5 * SECOND,
            to: 9 * SECOND,
        };
        let (mut viewing, mut tally) = (Viewing::default(), Tally::new());
        let mut see = |first, sent, timestamp, now| {
            let times = Times {
                began: SECOND,
                started: 4 * SECOND,
                now,
            };
            viewing.see(
                &message(&frame(first, sent), timestamp),
                times,
                &mut tally,
                window,
            );
        };
        see(0x27, 3 * SECOND, 0, 4 * SECOND);
        see(0x17, 3 * SECOND, 40, 5 * SECOND);
        see(0x27, 7 * SECOND, 80, 8 * SECOND);
        see(0x27, 8 * SECOND, 79, 9 * SECOND);
        assert_eq!(
            (tally.first_media.max(), tally.first_key.max()),
            (3 * SECOND, 4 * SECOND)
        );
        assert_eq!((tally.latency.count(), tally.latency.max()), (1, SECOND));
        assert_eq!((tally.messages_in, tally.backward), (2, 1));
        assert_eq!(viewing.longest_gap, 3 * SECOND);
    }

    #[test]
    fn reasons_hold_no_offsets() {
        let kind = crate::skim::Misbehaviour::NotFlv;
        let skim = crate::skim::SkimError { kind, offset: 77 };
        let reason = SessionError::Http(http::ClientError::Skim(skim)).reason();
        assert_eq!(reason, "server sent no FLV signature");
        assert_eq!(
            SessionError::Connect(io::ErrorKind::ConnectionRefused).reason(),
            "connect: connection refused"
        );
    }
}
