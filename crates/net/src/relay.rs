//! Moving bytes between two sockets with the least work.
//!
//! Owns: [`Relay`], a core's loop over pairs of sockets: one `epoll` set for all pairs, one task, no task, buffer or queue
//! for a pair. What comes in small pieces is copied through one buffer of the core; what comes in bulk is moved inside
//! the kernel with splice(2). A pair holds a pipe or bytes only while its receiver's socket is full, and reads nothing
//! more for that receiver until they are gone: a slow receiver slows its sender and nobody else.
//! Does not: look at the bytes, decide who is paired, or listen.

mod direction;
mod pair;
mod pipes;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use slab::Slab;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpStream;

use crate::clock;
use pair::{Pair, Side};
use pipes::Pipes;

/// Events taken from the kernel at once. More would let one turn keep the core's other tasks waiting; fewer cost a call
/// more for each batch under load.
const EVENTS: usize = 256;

/// How often receivers that take nothing, and sockets that are to be closed, are looked at.
const SWEEP_EVERY: Duration = Duration::from_millis(500);

/// What counts the bytes of a pair.
pub trait Counters: Send + Sync {
    /// Bytes from the first socket to the second.
    fn up(&self) -> &AtomicU64;
    /// Bytes from the second socket to the first.
    fn down(&self) -> &AtomicU64;
}

/// How a pair ended.
#[derive(Debug)]
pub enum Ended {
    /// The first socket's peer closed.
    First,
    /// The second socket's peer closed.
    Second,
    /// A peer took nothing for the time allowed; true for the first socket's.
    Stalled(bool),
    /// A socket failed; true for the first.
    Failed(bool, io::Error),
}

/// A core's relay. Cheap to clone; stays on the core.
#[derive(Clone)]
pub struct Relay {
    inner: Rc<Inner>,
}

struct Inner {
    set: AsyncFd<OwnedFd>,
    pairs: RefCell<Slab<Slot>>,
    pipes: RefCell<Pipes>,
    scratch: RefCell<Box<[u8]>>,
    /// Where a batch of events is put; empty between two turns.
    events: RefCell<Vec<epoll::Event>>,
    /// Distinguishes pairs that have the same place one after the other.
    generation: Cell<u32>,
}

struct Slot {
    generation: u32,
    pair: Pair,
    /// Set once it has ended; whoever waits takes it.
    ended: Option<Ended>,
    waker: Option<Waker>,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay")
            .field("pairs", &self.inner.pairs.borrow().len())
            .finish_non_exhaustive()
    }
}

impl Relay {
    /// An empty relay for the core that calls this. Fails when the kernel has no file left for it.
    #[allow(
        unsafe_code,
        reason = "the runtime cannot check that a descriptor stays open while it watches it"
    )]
    pub fn new() -> io::Result<Self> {
        let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        // SAFETY: the descriptor belongs to `AsyncFd`, which takes it off the watch before it closes it, and nobody gets it
        // out again.
        let set = unsafe { AsyncFd::register_with_interest(set, Interest::READABLE)? };
        Ok(Self {
            inner: Rc::new(Inner {
                set,
                pairs: RefCell::default(),
                pipes: RefCell::default(),
                scratch: RefCell::new(vec![0; direction::COPY_BYTES].into_boxed_slice()),
                events: RefCell::new(Vec::with_capacity(EVENTS)),
                generation: Cell::new(0),
            }),
        })
    }

    /// Pairs being served.
    pub fn len(&self) -> usize {
        self.inner.pairs.borrow().len()
    }

    /// Whether none is being served.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Serves the pairs of this core; run as a service of the core. Ends only if the kernel refuses to wait.
    pub async fn run(self) {
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let turn = tokio::select! {
                turn = self.turn() => turn,
                _ = sweep.tick() => {
                    self.inner.sweep();
                    Ok(())
                }
            };
            if let Err(error) = turn {
                tracing::error!(%error, "relay cannot wait for its sockets");
                return;
            }
        }
    }

    /// Waits until a socket of the set can be served, and serves those that can.
    async fn turn(&self) -> io::Result<()> {
        let mut ready = self.inner.set.readable().await?;
        let mut events = self.inner.events.take();
        let no_wait = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        epoll::wait(
            self.inner.set.get_ref(),
            spare_capacity(&mut events),
            Some(&no_wait),
        )?;
        let none = events.is_empty();
        for event in events.drain(..) {
            let (flags, token) = (event.flags, event.data.u64());
            self.inner.serve(token, flags);
        }
        self.inner.events.replace(events);
        if none {
            ready.clear_ready();
            return Ok(());
        }
        // other tasks of the core get their turn between two batches
        tokio::task::yield_now().await;
        Ok(())
    }

    /// Moves bytes both ways between `first` and `second` until one side closes. What was read by then is delivered to
    /// the other side; a receiver that takes nothing for `stalled` ends the pair. Dropping the future closes both.
    pub fn join(
        &self,
        first: TcpStream,
        second: TcpStream,
        counters: Arc<dyn Counters>,
        stalled: Duration,
    ) -> io::Result<Joined> {
        let pair = Pair::new(first.into_std()?, second.into_std()?, counters, stalled);
        let generation = self.inner.generation.get().wrapping_add(1);
        self.inner.generation.set(generation);
        let mut pairs = self.inner.pairs.borrow_mut();
        let entry = pairs.vacant_entry();
        let place = entry.key();
        for side in Side::BOTH {
            epoll::add(
                self.inner.set.get_ref(),
                pair.socket(side).as_fd(),
                epoll::EventData::new_u64(token(place, generation, side)),
                pair.interest(side),
            )?;
        }
        entry.insert(Slot {
            generation,
            pair,
            ended: None,
            waker: None,
        });
        Ok(Joined {
            inner: Rc::clone(&self.inner),
            place,
            generation,
        })
    }
}

/// Place, generation and side in one number: 32, 31 and 1 bits.
fn token(place: usize, generation: u32, side: Side) -> u64 {
    ((place as u64) << 32) | (u64::from(generation << 1)) | side as u64
}

impl Inner {
    /// Serves one socket. Events of a pair that is gone are of no interest.
    fn serve(&self, token: u64, flags: epoll::EventFlags) {
        let side = if token & 1 == 0 {
            Side::First
        } else {
            Side::Second
        };
        let mut pairs = self.pairs.borrow_mut();
        let Some(slot) = pairs.get_mut((token >> 32) as usize) else {
            return;
        };
        if slot.generation << 1 != (token as u32) & !1 || slot.ended.is_some() {
            return;
        }
        let before = Side::BOTH.map(|side| slot.pair.interest(side));
        let mut pipes = self.pipes.borrow_mut();
        let mut scratch = self.scratch.borrow_mut();
        let ended = slot.pair.serve(side, flags, &mut pipes, &mut scratch);
        self.settle(slot, token, before, ended);
    }

    /// Tells the kernel what is waited for now, and who waits for the pair that it has ended.
    fn settle(
        &self,
        slot: &mut Slot,
        token: u64,
        before: [epoll::EventFlags; 2],
        ended: Option<Ended>,
    ) {
        for (side, before) in Side::BOTH.into_iter().zip(before) {
            let now = slot.pair.interest(side);
            if now == before {
                continue;
            }
            let data = epoll::EventData::new_u64((token & !1) | side as u64);
            let changed = epoll::modify(
                self.set.get_ref(),
                slot.pair.socket(side).as_fd(),
                data,
                now,
            );
            if let Err(error) = changed {
                let failed = Ended::Failed(matches!(side, Side::First), error.into());
                slot.ended.get_or_insert(failed);
            }
        }
        if let Some(ended) = ended {
            slot.ended.get_or_insert(ended);
        }
        if slot.ended.is_some()
            && let Some(waker) = slot.waker.take()
        {
            waker.wake();
        }
    }

    /// Ends pairs whose receivers have taken nothing for too long, and lets those go on that had no pipe.
    fn sweep(&self) {
        let now = clock::now();
        let mut pairs = self.pairs.borrow_mut();
        for (place, slot) in pairs.iter_mut() {
            if !slot.pair.is_held_up() {
                continue;
            }
            let token = token(place, slot.generation, Side::First);
            let before = Side::BOTH.map(|side| slot.pair.interest(side));
            let mut pipes = self.pipes.borrow_mut();
            let mut scratch = self.scratch.borrow_mut();
            let ended = slot.pair.sweep(now, &mut pipes, &mut scratch);
            self.settle(slot, token, before, ended);
        }
    }
}

/// A pair being served; resolves when it has ended and its sockets are closed. See [`Relay::join`].
pub struct Joined {
    inner: Rc<Inner>,
    place: usize,
    generation: u32,
}

impl std::fmt::Debug for Joined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joined")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Future for Joined {
    type Output = Ended;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ended> {
        let mut pairs = self.inner.pairs.borrow_mut();
        let slot = pairs.get_mut(self.place);
        // the slot is this future's until it is dropped
        let Some(slot) = slot.filter(|slot| slot.generation == self.generation) else {
            return Poll::Pending;
        };
        match slot.ended.take() {
            Some(ended) => Poll::Ready(ended),
            None => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        let mut pairs = self.inner.pairs.borrow_mut();
        let here = pairs
            .get(self.place)
            .is_some_and(|slot| slot.generation == self.generation);
        if here {
            // closing a socket takes it out of the set
            pairs.remove(self.place);
        }
    }
}
