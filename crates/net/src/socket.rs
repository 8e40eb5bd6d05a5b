//! A TCP stream that is watched for readiness, or polled on a timer.
//!
//! Owns: [`Socket`] and the switch between its two modes. A watched socket costs an event for each segment that
//! arrives; with a thousand publishers those events, not the bytes, are the load. A polled socket costs one `recv` a
//! tick however much arrived.
//! Does not: decide which mode suits (the gate does).

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;

use rustix::fs::sendfile;
use rustix::net::{SendFlags, send};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::mem_file::MemFile;

/// A non-blocking TCP stream of this core.
#[derive(Debug)]
pub struct Socket {
    /// The descriptor of the stream in `mode`; `None` once that is closed. Here it costs no look through pointers.
    descriptor: Cell<Option<RawFd>>,
    mode: RefCell<Mode>,
    peer: SocketAddr,
}

#[derive(Debug)]
enum Mode {
    /// Shared only with a task that waits for readiness at the moment.
    Watched(Rc<TcpStream>),
    Polled(std::net::TcpStream),
    /// After a switch failed.
    Closed,
}

fn closed() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl Socket {
    /// A watched socket over an accepted or dialled stream. Turns Nagle's algorithm off: what is written is due.
    pub fn new(stream: TcpStream, peer: SocketAddr) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            descriptor: Cell::new(Some(stream.as_raw_fd())),
            mode: RefCell::new(Mode::Watched(Rc::new(stream))),
            peer,
        })
    }

    /// The address of the other end, as it was when the connection was made.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// True while the runtime watches the socket.
    pub fn is_watched(&self) -> bool {
        matches!(*self.mode.borrow(), Mode::Watched(_))
    }

    /// Takes the socket out of the runtime's sight; only [`Socket::read`] and the writes work from here on.
    ///
    /// Leaves it watched while a task waits in [`Socket::readable`] or [`Socket::writable`].
    pub fn poll_on_timer(&self) -> io::Result<()> {
        self.switch(|mode| match mode {
            Mode::Watched(stream) => match Rc::try_unwrap(stream) {
                Ok(stream) => Ok(Mode::Polled(stream.into_std()?)),
                Err(awaited) => Ok(Mode::Watched(awaited)),
            },
            other => Ok(other),
        })
    }

    /// Puts the socket back under the runtime's watch.
    pub fn watch(&self) -> io::Result<()> {
        self.switch(|mode| match mode {
            Mode::Polled(stream) => Ok(Mode::Watched(Rc::new(TcpStream::from_std(stream)?))),
            other => Ok(other),
        })
    }

    /// The stream itself, for whoever speaks a protocol of its own on it. Fails when a switch of modes has failed, or while a
    /// task waits for it.
    pub fn into_stream(self) -> io::Result<TcpStream> {
        match self.mode.into_inner() {
            Mode::Watched(stream) => Rc::try_unwrap(stream).map_err(|_| closed()),
            Mode::Polled(stream) => TcpStream::from_std(stream),
            Mode::Closed => Err(closed()),
        }
    }

    fn switch(&self, change: impl FnOnce(Mode) -> io::Result<Mode>) -> io::Result<()> {
        let mut mode = self.mode.borrow_mut();
        // a failed change closes the stream: its number may be another's from then on
        let descriptor = self.descriptor.take();
        *mode = change(std::mem::replace(&mut *mode, Mode::Closed))?;
        self.descriptor.set(descriptor);
        Ok(())
    }

    /// Reads what is there; `WouldBlock` when nothing is.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &*self.mode.borrow() {
            Mode::Watched(stream) => {
                let count = stream.try_read(buffer)?;
                if (1..buffer.len()).contains(&count) {
                    // that was all: what comes next is told by an event of its own, and asking before it costs a call
                    let _: io::Result<()> =
                        stream.try_io(Interest::READABLE, || Err(io::ErrorKind::WouldBlock.into()));
                }
                Ok(count)
            }
            Mode::Polled(stream) => (&mut &*stream).read(buffer),
            Mode::Closed => Err(closed()),
        }
    }

    /// Writes one slice as far as the socket takes it; `WouldBlock` when it takes nothing.
    ///
    /// This is the call that fan-out consists of: it goes to the kernel straight, and asks the runtime only when the
    /// socket is full, so that [`Socket::writable`] waits.
    #[allow(
        unsafe_code,
        reason = "a descriptor kept beside its owner can only be borrowed unsafely"
    )]
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let Some(descriptor) = self.descriptor.get() else {
            return Err(closed());
        };
        // SAFETY: `mode` owns the stream with this descriptor and keeps it open: it is taken away before anything that
        // could close it (`switch`) and given back only when the stream lives on, and `self` is borrowed here.
        let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
        match send(borrowed, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(count) => Ok(count),
            Err(rustix::io::Errno::AGAIN) => match &*self.mode.borrow() {
                Mode::Watched(stream) => stream.try_write(bytes),
                _ => Err(io::ErrorKind::WouldBlock.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Writes several slices in one call as far as the socket takes them; `WouldBlock` when it takes nothing.
    pub fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &*self.mode.borrow() {
            Mode::Watched(stream) => stream.try_write_vectored(slices),
            Mode::Polled(stream) => (&mut &*stream).write_vectored(slices),
            Mode::Closed => Err(closed()),
        }
    }

    /// As [`Socket::write`], of bytes that more follow at once: they may wait for those, so that one packet has both.
    pub fn write_before_more(&self, bytes: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL | SendFlags::MORE;
        match &*self.mode.borrow() {
            Mode::Watched(stream) => {
                stream.try_io(Interest::WRITABLE, || Ok(send(stream, bytes, flags)?))
            }
            Mode::Polled(stream) => Ok(send(stream, bytes, flags)?),
            Mode::Closed => Err(closed()),
        }
    }

    /// Writes `file` from `offset` on, as far as the socket takes it; `WouldBlock` when it takes nothing.
    pub fn send_file(&self, file: &MemFile, offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(file.length().saturating_sub(offset)).unwrap_or(usize::MAX);
        let send = |stream: BorrowedFd<'_>| {
            let mut offset = offset;
            Ok(sendfile(stream, file.as_fd(), Some(&mut offset), rest)?)
        };
        match &*self.mode.borrow() {
            Mode::Watched(stream) => stream.try_io(Interest::WRITABLE, || send(stream.as_fd())),
            Mode::Polled(stream) => send(stream.as_fd()),
            Mode::Closed => Err(closed()),
        }
    }

    /// The stream to wait on; `None` for a polled socket, which is never waited for.
    fn watched(&self) -> io::Result<Option<Rc<TcpStream>>> {
        match &*self.mode.borrow() {
            Mode::Watched(stream) => Ok(Some(Rc::clone(stream))),
            Mode::Polled(_) => Ok(None),
            Mode::Closed => Err(closed()),
        }
    }

    /// Resolves when a watched socket has something to read or has ended; never for a polled one.
    pub async fn readable(&self) -> io::Result<()> {
        match self.watched()? {
            Some(stream) => stream.readable().await,
            None => std::future::pending().await,
        }
    }

    /// Resolves when a watched socket takes bytes again; never for a polled one.
    pub async fn writable(&self) -> io::Result<()> {
        match self.watched()? {
            Some(stream) => stream.writable().await,
            None => std::future::pending().await,
        }
    }

    /// Ends our direction after what was written; the peer reads to the end and then sees the close.
    pub fn shut_down_write(&self) {
        let result = match &*self.mode.borrow() {
            Mode::Watched(stream) => SockRef::from(&**stream).shutdown(std::net::Shutdown::Write),
            Mode::Polled(stream) => stream.shutdown(std::net::Shutdown::Write),
            Mode::Closed => Ok(()),
        };
        if let Err(error) = result {
            tracing::trace!(%error, peer = %self.peer, "shutdown failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn pair() -> (Socket, std::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let far = std::net::TcpStream::connect(address).expect("connects");
        let (near, peer) = listener.accept().await.expect("accepts");
        (Socket::new(near, peer).expect("a socket"), far)
    }

    #[tokio::test(flavor = "current_thread")]
    async fn both_modes_read_and_write_and_can_be_changed() {
        let (socket, mut far) = pair().await;
        let mut buffer = [0; 16];
        for round in 0..3u8 {
            far.write_all(&[round]).expect("written");
            socket.readable().await.expect("watched");
            assert_eq!(socket.read(&mut buffer).expect("one byte"), 1);
            let empty = socket.read(&mut buffer).expect_err("nothing left");
            assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);

            socket.poll_on_timer().expect("switches");
            assert!(!socket.is_watched());
            let empty = socket.read(&mut buffer).expect_err("nothing left");
            assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
            assert_eq!(socket.write(b"x").expect("taken"), 1);
            let mut one = [0];
            far.read_exact(&mut one).expect("arrives");
            socket.watch().expect("switches back");
        }
        socket.shut_down_write();
        assert_eq!(far.read(&mut buffer).expect("an orderly end"), 0);
    }
}
