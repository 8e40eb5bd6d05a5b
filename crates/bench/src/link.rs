//! A keep-alive HTTP/1.1 connection that asks one thing at a time.
//!
//! Owns: the socket, the bytes of a request that the socket did not take, and opening it again when the server has
//! closed it between two answers, as servers may (RFC 9112 §9.5).
//! Does not: poll or keep time; what answers mean is the owner's.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::answer::{Answer, AnswerError};
use crate::worker;

/// One connection.
#[derive(Debug)]
pub(crate) struct Link {
    /// `None` while it is closed.
    socket: Option<TcpStream>,
    is_connected: bool,
    pub(crate) answer: Answer,
    /// The request, whole: it is sent again when the connection ends before its answer begins.
    request: Vec<u8>,
    sent: usize,
    /// An answer is awaited.
    is_waiting: bool,
    /// Answers that came on this socket.
    answered: u64,
}

/// Why a request has no answer. The texts are counted, so they hold nothing that differs per session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("connect: {0}")]
    Connect(io::ErrorKind),
    #[error("{0}")]
    Io(io::ErrorKind),
    #[error("connection closed by the server before it had answered")]
    Closed,
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

/// What one read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Got {
    /// So many bytes in the buffer; there may be more.
    Bytes(usize),
    /// So many bytes in the buffer, and the socket is empty.
    Last(usize),
    /// The connection has ended where it may.
    Ended,
    /// The connection has ended in the middle of a body that ends so.
    EndOfBody,
    Nothing,
}

/// Where connections of one kind go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) address: SocketAddr,
    /// Counts connections to the address; see [`crate::target::source`].
    pub(crate) index: usize,
    pub(crate) token: usize,
}

impl Link {
    pub(crate) fn new() -> Self {
        Self {
            socket: None,
            is_connected: false,
            answer: Answer::default(),
            request: Vec::new(),
            sent: 0,
            is_waiting: false,
            answered: 0,
        }
    }

    /// Whether it waits for an answer.
    pub(crate) fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    /// Asks what `write` puts into the request; opens the connection when it is closed. Says whether it did.
    ///
    /// # Errors
    /// When the connection cannot be opened or is broken.
    pub(crate) fn ask(
        &mut self,
        registry: &Registry,
        place: Place,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<bool, LinkError> {
        self.request.clear();
        write(&mut self.request);
        self.is_waiting = true;
        self.sent = 0;
        let opened = self.socket.is_none();
        if opened {
            self.open(registry, place)?;
        }
        self.flush()?;
        Ok(opened)
    }

    /// Opens the connection again for the request whose answer has not begun.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn ask_again(&mut self, registry: &Registry, place: Place) -> Result<(), LinkError> {
        self.sent = 0;
        self.open(registry, place)
    }

    /// Whether the end of the connection before an answer is no fault: it was used before, so that the request and the
    /// server's end of an idle connection crossed.
    pub(crate) fn may_ask_again(&self) -> bool {
        self.is_waiting && self.answered > 0 && self.answer.is_untouched()
    }

    fn open(&mut self, registry: &Registry, place: Place) -> Result<(), LinkError> {
        let failed = |error: io::Error| LinkError::Connect(error.kind());
        let mut socket = worker::connect(place.address, place.index).map_err(failed)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry
            .register(&mut socket, Token(place.token), interest)
            .map_err(failed)?;
        self.socket = Some(socket);
        self.is_connected = false;
        self.answer = Answer::default();
        self.answered = 0;
        Ok(())
    }

    /// Closes it; an answer is no longer awaited.
    pub(crate) fn close(&mut self) {
        self.socket = None;
        self.is_waiting = false;
    }

    /// Notes the end of an answer, and closes where the server is going to.
    pub(crate) fn end_answer(&mut self) {
        self.is_waiting = false;
        self.answered += 1;
        if self.answer.closes() {
            self.socket = None;
        }
    }

    /// Acts on readiness before reading: completes the connection, sends what is unsent. Says whether there may be
    /// something to read.
    ///
    /// # Errors
    /// When the connection failed.
    pub(crate) fn wake(&mut self) -> Result<bool, LinkError> {
        let Some(socket) = &self.socket else {
            return Ok(false);
        };
        if !self.is_connected {
            match socket.take_error() {
                Ok(None) => {}
                Ok(Some(error)) | Err(error) => return Err(LinkError::Connect(error.kind())),
            }
            if socket.peer_addr().is_err() {
                return Ok(false);
            }
            // Without it the kernel would hold back a request behind one whose acknowledgement is under way.
            let _ = socket.set_nodelay(true);
            self.is_connected = true;
        }
        self.flush()?;
        Ok(true)
    }

    fn flush(&mut self) -> Result<(), LinkError> {
        let Some(socket) = self.socket.as_mut().filter(|_| self.is_connected) else {
            return Ok(());
        };
        while let Some(rest) = self
            .request
            .get(self.sent..)
            .filter(|rest| !rest.is_empty())
        {
            match socket.write(rest) {
                Ok(sent) => self.sent += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // what the server said before it closed is still to be read, and the reader sees the end
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                    ) =>
                {
                    return Ok(());
                }
                Err(error) => return Err(LinkError::Io(error.kind())),
            }
        }
        Ok(())
    }

    /// Reads once.
    ///
    /// # Errors
    /// When the connection ended before the answer did, or is broken.
    pub(crate) fn read(&mut self, buffer: &mut [u8], closing: bool) -> Result<Got, LinkError> {
        loop {
            let Some(socket) = &mut self.socket else {
                return Ok(Got::Nothing);
            };
            return match socket.read(buffer) {
                Ok(0) => self.ended(),
                // A short read has emptied the socket (epoll(7)); only an end of stream may lie behind it.
                Ok(length) if length < buffer.len() && !closing => Ok(Got::Last(length)),
                Ok(length) => Ok(Got::Bytes(length)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Got::Nothing),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => self.ended(),
                Err(error) => Err(LinkError::Io(error.kind())),
            };
        }
    }

    /// Throws away as much of a body as has come, up to the buffer's size, without copying it (`MSG_TRUNC`, tcp(7)).
    /// `None` where the next bytes have to be read.
    ///
    /// # Errors
    /// When the connection ended before the answer did, or is broken.
    pub(crate) fn discard(&mut self, buffer: &mut [u8]) -> Result<Option<Got>, LinkError> {
        use rustix::net::{RecvFlags, recv};
        let most = self.answer.left().min(buffer.len());
        let (Some(socket), true) = (&self.socket, most > 0) else {
            return Ok(None);
        };
        let room = buffer.get_mut(..most).unwrap_or_default();
        loop {
            return match recv(socket, &mut *room, RecvFlags::TRUNC) {
                Ok((_, 0)) => self.ended().map(Some),
                Ok((_, length)) => {
                    self.answer.skip(length);
                    Ok(Some(if length < most {
                        Got::Last(length)
                    } else {
                        Got::Bytes(length)
                    }))
                }
                Err(rustix::io::Errno::INTR) => continue,
                Err(rustix::io::Errno::AGAIN) => Ok(Some(Got::Nothing)),
                Err(rustix::io::Errno::CONNRESET) => self.ended().map(Some),
                Err(error) => Err(LinkError::Io(io::Error::from(error).kind())),
            };
        }
    }

    fn ended(&mut self) -> Result<Got, LinkError> {
        self.socket = None;
        if self.is_waiting && self.answer.ends_with_connection() {
            return Ok(Got::EndOfBody);
        }
        if self.is_waiting && !self.may_ask_again() {
            return Err(LinkError::Closed);
        }
        Ok(Got::Ended)
    }
}
