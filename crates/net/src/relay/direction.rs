//! One direction of a pair.
//!
//! Owns: the choice between copying and splicing, and what is held while the receiver is full. Does not: know sides or
//! events.

use std::io;
use std::net::TcpStream;
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::pipe::{SpliceFlags, splice};

use super::pipes::{Pipe, Pipes};
use crate::clock;

/// The core's buffer for copying. What fits in it is cheaper copied than spliced: a page's place in a pipe costs more than
/// copying a few hundred bytes. A receiver that gets full leaves at most this much in memory.
pub(super) const COPY_BYTES: usize = 16 << 10;

/// Most bytes moved for one event, so that one sender cannot keep a core to itself.
const SPLICE_BYTES: usize = 256 << 10;

/// What became of an attempt to move bytes.
#[derive(Debug)]
pub(super) enum Moved {
    /// This many went through; nothing is held.
    Through(usize),
    /// The receiver is full; this many went through and some are held.
    Held(usize),
    /// The sender has ended and nothing is held.
    End,
    /// The sender failed.
    SenderFailed(io::Error),
    /// The receiver failed.
    ReceiverFailed(io::Error),
    /// There was no pipe to be had; the bytes are where they were.
    NoPipe,
}

/// What waits for the receiver.
#[derive(Debug)]
enum Held {
    Nothing,
    Copied { bytes: Box<[u8]>, sent: usize },
    Piped { pipe: Pipe, bytes: usize },
}

#[derive(Debug)]
pub(super) struct Direction {
    held: Held,
    /// When the receiver last took something while bytes were held for it.
    since: Option<Instant>,
    /// The sender has filled the copy buffer: it sends in bulk.
    bulk: bool,
    /// The sender has ended.
    pub(super) ended: bool,
    /// There was no pipe: the sender is not read until one may be there.
    pub(super) starved: bool,
}

impl Direction {
    pub(super) fn new() -> Self {
        Self {
            held: Held::Nothing,
            since: None,
            bulk: false,
            ended: false,
            starved: false,
        }
    }

    /// Whether bytes wait for the receiver.
    pub(super) fn is_held(&self) -> bool {
        !matches!(self.held, Held::Nothing)
    }

    /// Since when the receiver has taken nothing of what waits for it.
    pub(super) fn held_since(&self) -> Option<Instant> {
        self.since.filter(|_| self.is_held())
    }

    /// Moves what is there from `from` to `to`; nothing may be held.
    pub(super) fn pump(
        &mut self,
        from: &TcpStream,
        to: &TcpStream,
        pipes: &mut Pipes,
        scratch: &mut [u8],
    ) -> Moved {
        if self.bulk {
            return self.splice(from, to, pipes);
        }
        let room = scratch.len();
        let received = match recv(from, &mut *scratch, RecvFlags::DONTWAIT) {
            Ok((received, _)) => received,
            Err(Errno::AGAIN | Errno::INTR) => return Moved::Through(0),
            Err(error) => return Moved::SenderFailed(error.into()),
        };
        if received == 0 {
            self.ended = true;
            return Moved::End;
        }
        self.bulk = received == room;
        let bytes = scratch.get(..received).unwrap_or_default();
        let sent = match send(to, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(sent) => sent,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(error) => return Moved::ReceiverFailed(error.into()),
        };
        match bytes.get(sent..) {
            None | Some([]) => Moved::Through(sent),
            Some(rest) => {
                // a receiver that is full once will be again: its bytes are better kept in the kernel
                self.bulk = true;
                self.since = Some(clock::now());
                self.held = Held::Copied {
                    bytes: rest.into(),
                    sent: 0,
                };
                Moved::Held(sent)
            }
        }
    }

    fn splice(&mut self, from: &TcpStream, to: &TcpStream, pipes: &mut Pipes) -> Moved {
        let Ok(pipe) = pipes.take() else {
            return Moved::NoPipe;
        };
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let taken = match splice(from, None, &pipe.write, None, SPLICE_BYTES, flags) {
            Ok(taken) => taken,
            Err(error) => {
                pipes.put(pipe);
                return match error {
                    Errno::AGAIN | Errno::INTR => Moved::Through(0),
                    other => Moved::SenderFailed(other.into()),
                };
            }
        };
        if taken == 0 {
            pipes.put(pipe);
            self.ended = true;
            return Moved::End;
        }
        // little came: copying is cheaper again
        self.bulk = taken >= COPY_BYTES / 2;
        self.held = Held::Piped { pipe, bytes: taken };
        self.since = Some(clock::now());
        self.flush(to, pipes)
    }

    /// Gives the receiver what is held for it, as far as it takes it.
    pub(super) fn flush(&mut self, to: &TcpStream, pipes: &mut Pipes) -> Moved {
        let mut moved: usize = 0;
        let result = loop {
            let step = match &mut self.held {
                Held::Nothing => break Ok(()),
                Held::Copied { bytes, sent } => {
                    let rest = bytes.get(*sent..).unwrap_or_default();
                    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                    send(to, rest, flags).inspect(|step| *sent += step)
                }
                Held::Piped { pipe, bytes } => {
                    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
                    let step = splice(&pipe.read, None, to, None, *bytes, flags);
                    step.inspect(|step| *bytes = bytes.saturating_sub(*step))
                }
            };
            match step {
                Ok(step) => moved = moved.saturating_add(step),
                Err(Errno::INTR) => continue,
                Err(error) => break Err(error),
            }
            self.drop_if_empty(pipes);
        };
        if moved > 0 && self.is_held() {
            self.since = Some(clock::now());
        }
        match result {
            Ok(()) => Moved::Through(moved),
            Err(Errno::AGAIN) => {
                self.bulk = true;
                Moved::Held(moved)
            }
            Err(error) => Moved::ReceiverFailed(error.into()),
        }
    }

    fn drop_if_empty(&mut self, pipes: &mut Pipes) {
        let empty = match &self.held {
            Held::Nothing => false,
            Held::Copied { bytes, sent } => *sent >= bytes.len(),
            Held::Piped { bytes, .. } => *bytes == 0,
        };
        if empty && let Held::Piped { pipe, .. } = std::mem::replace(&mut self.held, Held::Nothing)
        {
            pipes.put(pipe);
        }
    }

    /// Throws away what is held.
    pub(super) fn discard(&mut self) {
        self.held = Held::Nothing;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Two ends of a connection; the first does not block.
    fn ends() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let far = TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
        let (near, _) = listener.accept().expect("accepts");
        near.set_nonblocking(true).expect("a socket");
        (near, far)
    }

    /// Small pieces are copied; what a full receiver leaves of one is kept and comes in its order.
    #[test]
    fn what_is_left_of_a_copied_piece_arrives_whole() {
        const PIECE: usize = 9973;
        let ((from, mut sender), (to, mut receiver)) = (ends(), ends());
        let (mut direction, mut pipes) = (Direction::new(), Pipes::default());
        // a byte that is lost is a failure, not a wait without end
        let patience = Some(std::time::Duration::from_secs(10));
        receiver.set_read_timeout(patience).expect("a socket");
        let mut scratch = vec![0; COPY_BYTES];
        let pattern = |at: usize| (at % 251) as u8;
        let mut sent = 0;
        while !direction.is_held() {
            let piece: Vec<u8> = (sent..sent + PIECE).map(pattern).collect();
            sender.write_all(&piece).expect("taken");
            sent += PIECE;
            let moved = direction.pump(&from, &to, &mut pipes, &mut scratch);
            assert!(
                matches!(moved, Moved::Through(_) | Moved::Held(_)),
                "{moved:?}"
            );
        }
        assert!(
            matches!(direction.held, Held::Copied { .. }),
            "{direction:?}"
        );
        let mut received = vec![0; sent];
        let mut got = 0;
        while got < sent {
            let rest = received.get_mut(got..).expect("within");
            got += receiver.read(rest).expect("arrives");
            if direction.is_held() {
                direction.flush(&to, &mut pipes);
            } else {
                direction.pump(&from, &to, &mut pipes, &mut scratch);
            }
        }
        let right = |(at, &byte): (usize, &u8)| byte == pattern(at);
        assert!(received.iter().enumerate().all(right));
    }
}
