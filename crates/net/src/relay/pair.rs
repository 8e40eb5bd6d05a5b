//! Two sockets that are joined.
//!
//! Owns: both directions, what is waited for, and the order of the end: bytes, then FIN, then a moment for the other side to
//! close. Does not: know other pairs.

use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use rustix::net::{RecvFlags, recv};

use super::direction::{Direction, Moved};
use super::pipes::Pipes;
use super::{Counters, Ended};
use crate::clock;

/// How long the other side has to close after it was told the end. Closing at once while it still sends would reset
/// its connection and throw away the last bytes it has not read.
const LINGER: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    First = 0,
    Second = 1,
}

impl Side {
    pub(super) const BOTH: [Self; 2] = [Self::First, Self::Second];

    fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

pub(super) struct Pair {
    first: TcpStream,
    second: TcpStream,
    up: Direction,
    down: Direction,
    counters: Arc<dyn Counters>,
    stalled: Duration,
    /// What the first side says is thrown away.
    one_way: bool,
    /// The side that has ended, all of whose bytes are delivered, and until when the other side may close.
    closing: Option<(Side, Instant)>,
}

impl Pair {
    pub(super) fn new(
        first: TcpStream,
        second: TcpStream,
        counters: Arc<dyn Counters>,
        stalled: Duration,
    ) -> Self {
        Self {
            first,
            second,
            up: Direction::new(),
            down: Direction::new(),
            counters,
            stalled,
            one_way: false,
            closing: None,
        }
    }

    /// The same, without a way from the first side to the second.
    pub(super) fn one_way(self) -> Self {
        Self {
            one_way: true,
            ..self
        }
    }

    pub(super) fn socket(&self, side: Side) -> &TcpStream {
        match side {
            Side::First => &self.first,
            Side::Second => &self.second,
        }
    }

    /// The direction that reads from `side`.
    fn from(&self, side: Side) -> &Direction {
        match side {
            Side::First => &self.up,
            Side::Second => &self.down,
        }
    }

    /// The direction that reads from `side`, its two sockets and its counter.
    fn parts(&mut self, side: Side) -> (&mut Direction, &TcpStream, &TcpStream, &AtomicU64) {
        match side {
            Side::First => (&mut self.up, &self.first, &self.second, self.counters.up()),
            Side::Second => (
                &mut self.down,
                &self.second,
                &self.first,
                self.counters.down(),
            ),
        }
    }

    /// What is waited for on `side`'s socket. Nothing is read while the other side is full, or after the end.
    pub(super) fn interest(&self, side: Side) -> EventFlags {
        let mut flags = EventFlags::empty();
        if let Some((ended, _)) = self.closing {
            if side != ended {
                flags |= EventFlags::IN;
            }
            return flags;
        }
        let reading = self.from(side);
        if !reading.ended && !reading.is_held() && !reading.starved {
            flags |= EventFlags::IN;
        }
        if self.from(side.other()).is_held() {
            flags |= EventFlags::OUT;
        }
        flags
    }

    /// Whether a sweep has something to look at.
    pub(super) fn is_held_up(&self) -> bool {
        let waits = |direction: &Direction| direction.is_held() || direction.starved;
        self.closing.is_some() || waits(&self.up) || waits(&self.down)
    }

    /// Acts on what the kernel says of `side`'s socket. Gives the end once it is final.
    pub(super) fn serve(
        &mut self,
        side: Side,
        flags: EventFlags,
        pipes: &mut Pipes,
        scratch: &mut [u8],
    ) -> Option<Ended> {
        let gone = flags.intersects(EventFlags::ERR | EventFlags::HUP);
        if let Some((ended, _)) = self.closing {
            return match side == ended {
                true => gone.then(|| ended_by(ended)),
                false => self.wait_for_close(ended, scratch),
            };
        }
        if (flags.contains(EventFlags::OUT) || gone) && self.from(side.other()).is_held() {
            let sender = side.other();
            let (direction, _, to, counter) = self.parts(sender);
            let moved = direction.flush(to, pipes);
            count(counter, &moved);
            if let Some(ended) = self.after(sender, moved) {
                return Some(ended);
            }
        }
        let reading = self.from(side);
        if (flags.contains(EventFlags::IN) || gone) && !reading.ended && !reading.is_held() {
            return self.pump(side, pipes, scratch);
        }
        // a sender that was reset while its receiver is full is told by every wait until the pair ends
        let reset = gone && reading.is_held();
        reset.then(|| {
            let error = std::io::ErrorKind::ConnectionReset.into();
            Ended::Failed(matches!(side, Side::First), error)
        })
    }

    fn pump(&mut self, side: Side, pipes: &mut Pipes, scratch: &mut [u8]) -> Option<Ended> {
        if self.one_way && matches!(side, Side::First) {
            return self.throw_away(scratch);
        }
        let (direction, from, to, counter) = self.parts(side);
        direction.starved = false;
        let moved = direction.pump(from, to, pipes, scratch);
        count(counter, &moved);
        self.after(side, moved)
    }

    /// Reads what the first side says, to see its end.
    fn throw_away(&mut self, scratch: &mut [u8]) -> Option<Ended> {
        match recv(&self.first, scratch, RecvFlags::DONTWAIT) {
            Ok((0, _)) => {
                self.up.ended = true;
                self.close_other(Side::First)
            }
            Ok(_) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => None,
            Err(error) => Some(Ended::Failed(true, error.into())),
        }
    }

    /// What follows from an attempt to move bytes from `side`.
    fn after(&mut self, side: Side, moved: Moved) -> Option<Ended> {
        let is_first = |side: Side| matches!(side, Side::First);
        match moved {
            Moved::Through(_) if self.from(side).ended => self.close_other(side),
            Moved::Through(_) | Moved::Held(_) => None,
            Moved::End => self.close_other(side),
            Moved::SenderFailed(error) => Some(Ended::Failed(is_first(side), error)),
            Moved::ReceiverFailed(error) => Some(Ended::Failed(is_first(side.other()), error)),
            Moved::NoPipe => {
                self.parts(side).0.starved = true;
                None
            }
        }
    }

    /// `side` has ended and all its bytes are delivered: the other side is told, and gets a moment to close.
    fn close_other(&mut self, side: Side) -> Option<Ended> {
        self.parts(side.other()).0.discard();
        if self.socket(side.other()).shutdown(Shutdown::Write).is_err() {
            return Some(ended_by(side));
        }
        self.closing = clock::now().checked_add(LINGER).map(|at| (side, at));
        None
    }

    /// Throws away what the other side still sends, until it closes.
    fn wait_for_close(&self, ended: Side, scratch: &mut [u8]) -> Option<Ended> {
        match recv(self.socket(ended.other()), scratch, RecvFlags::DONTWAIT) {
            Ok((0, _)) => Some(ended_by(ended)),
            Ok(_) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => None,
            Err(_) => Some(ended_by(ended)),
        }
    }

    /// Looks at what only time can end.
    pub(super) fn sweep(
        &mut self,
        now: Instant,
        pipes: &mut Pipes,
        scratch: &mut [u8],
    ) -> Option<Ended> {
        if let Some((side, until)) = self.closing {
            return (now >= until).then(|| ended_by(side));
        }
        for side in Side::BOTH {
            let direction = self.from(side);
            if direction
                .held_since()
                .is_some_and(|since| now.saturating_duration_since(since) >= self.stalled)
            {
                return Some(Ended::Stalled(matches!(side.other(), Side::First)));
            }
            if direction.starved
                && let Some(ended) = self.pump(side, pipes, scratch)
            {
                return Some(ended);
            }
        }
        None
    }
}

fn ended_by(side: Side) -> Ended {
    match side {
        Side::First => Ended::First,
        Side::Second => Ended::Second,
    }
}

fn count(counter: &AtomicU64, moved: &Moved) {
    if let Moved::Through(bytes) | Moved::Held(bytes) = moved {
        counter.fetch_add(*bytes as u64, Ordering::Relaxed);
    }
}
