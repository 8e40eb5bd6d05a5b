//! The thread of a relay.
//!
//! Owns: the pairs, the `epoll` set, pipes and the buffer; when it waits, serves and sweeps. Does not: move bytes (`pair` and
//! `direction` do).

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use slab::Slab;
use tokio::sync::oneshot;

use super::direction::COPY_BYTES;
use super::pair::{Pair, Side};
use super::pipes::Pipes;
use super::{Ended, Order, Shared};
use crate::clock;

/// Events taken from the kernel at once. More would let those at the end wait; fewer cost a call more for each batch
/// under load.
const EVENTS: usize = 256;

/// How often receivers that take nothing, and sockets that are to be closed, are looked at.
const SWEEP_EVERY: Duration = Duration::from_millis(500);

/// Wake-ups that follow each other faster than this make the thread busy: they are then a large part of its work.
const BUSY: Duration = Duration::from_millis(2);

/// How long a busy thread lets events gather: what a byte is delayed by at most. One wake-up then serves several events;
/// twice as long would halve their number once more, but 5 ms is what a proxy may add in all.
const GATHER: Duration = Duration::from_millis(2);

/// The token of the bell; no pair has it, since its place would be the last of 32 bits.
const BELL: u64 = u64::MAX;

pub(super) struct Set {
    epoll: OwnedFd,
    shared: Arc<Shared>,
    pairs: Slab<Slot>,
    places: HashMap<u64, usize>,
    pipes: Pipes,
    scratch: Box<[u8]>,
    /// Distinguishes pairs that have the same place one after the other.
    generation: u32,
}

struct Slot {
    id: u64,
    generation: u32,
    pair: Box<Pair>,
    done: oneshot::Sender<Ended>,
}

impl Set {
    pub(super) fn new(shared: Arc<Shared>) -> io::Result<Self> {
        let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let bell = epoll::EventData::new_u64(BELL);
        epoll::add(&set, &shared.bell, bell, epoll::EventFlags::IN)?;
        Ok(Self {
            epoll: set,
            shared,
            pairs: Slab::new(),
            places: HashMap::new(),
            pipes: Pipes::default(),
            scratch: vec![0; COPY_BYTES].into_boxed_slice(),
            generation: 0,
        })
    }

    /// Serves until the last handle is gone.
    pub(super) fn run(mut self) {
        let mut events = Vec::with_capacity(EVENTS);
        let mut woken = clock::now();
        let mut swept = woken;
        while !self.shared.stopped.load(Ordering::Acquire) {
            if let Err(error) = self.wait(&mut events) {
                tracing::error!(%error, "relay cannot wait for its sockets");
                return;
            }
            for event in events.drain(..) {
                match event.data.u64() {
                    BELL => self.obey(),
                    token => self.serve(token, event.flags),
                }
            }
            let now = clock::now();
            if now.saturating_duration_since(swept) >= SWEEP_EVERY {
                self.sweep(now);
                swept = now;
            }
            let busy = now.saturating_duration_since(woken) < BUSY;
            if busy {
                std::thread::sleep(GATHER);
            }
            woken = if busy { clock::now() } else { now };
        }
    }

    fn wait(&self, events: &mut Vec<epoll::Event>) -> io::Result<()> {
        let at_most = Timespec {
            tv_sec: 0,
            tv_nsec: SWEEP_EVERY.subsec_nanos().into(),
        };
        // an idle relay sleeps until it is asked for something
        let at_most = (!self.pairs.is_empty()).then_some(&at_most);
        match epoll::wait(&self.epoll, spare_capacity(events), at_most) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn obey(&mut self) {
        // it is non-blocking: a second reader there is none
        let _ = rustix::io::read(&self.shared.bell, &mut [0; 8]);
        for order in self.shared.take_orders() {
            match order {
                Order::Join { id, pair, done } => self.join(id, pair, done),
                Order::Leave(id) => {
                    if let Some(&place) = self.places.get(&id) {
                        self.remove(place);
                    }
                }
            }
        }
    }

    fn join(&mut self, id: u64, pair: Box<Pair>, done: oneshot::Sender<Ended>) {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let place = self.pairs.vacant_key();
        for side in Side::BOTH {
            let data = epoll::EventData::new_u64(token(place, generation, side));
            let socket = pair.socket(side).as_fd();
            if let Err(error) = epoll::add(&self.epoll, socket, data, pair.interest(side)) {
                self.shared.pairs.fetch_sub(1, Ordering::Relaxed);
                // nobody may be waiting any more
                let _ = done.send(Ended::Failed(matches!(side, Side::First), error.into()));
                return;
            }
        }
        self.places.insert(id, place);
        self.pairs.insert(Slot {
            id,
            generation,
            pair,
            done,
        });
    }

    /// Takes a pair out; closing its sockets takes them out of the set.
    fn remove(&mut self, place: usize) -> Option<oneshot::Sender<Ended>> {
        let slot = self.pairs.try_remove(place)?;
        self.places.remove(&slot.id);
        self.shared.pairs.fetch_sub(1, Ordering::Relaxed);
        Some(slot.done)
    }

    /// Serves one socket. Events of a pair that is gone are of no interest.
    fn serve(&mut self, token: u64, flags: epoll::EventFlags) {
        let side = if token & 1 == 0 {
            Side::First
        } else {
            Side::Second
        };
        let place = (token >> 32) as usize;
        let Some(slot) = self.pairs.get_mut(place) else {
            return;
        };
        if slot.generation << 1 != (token as u32) & !1 {
            return;
        }
        let before = Side::BOTH.map(|side| slot.pair.interest(side));
        let pair = &mut slot.pair;
        let ended = pair.serve(side, flags, &mut self.pipes, &mut self.scratch);
        self.settle(place, before, ended);
    }

    /// Tells the kernel what is waited for now, and who waits for the pair that it has ended.
    fn settle(&mut self, place: usize, before: [epoll::EventFlags; 2], mut ended: Option<Ended>) {
        let Some(slot) = self.pairs.get(place) else {
            return;
        };
        for (side, before) in Side::BOTH.into_iter().zip(before) {
            let now = slot.pair.interest(side);
            if now == before || ended.is_some() {
                continue;
            }
            let data = epoll::EventData::new_u64(token(place, slot.generation, side));
            let socket = slot.pair.socket(side).as_fd();
            if let Err(error) = epoll::modify(&self.epoll, socket, data, now) {
                ended = Some(Ended::Failed(matches!(side, Side::First), error.into()));
            }
        }
        if let Some(ended) = ended
            && let Some(done) = self.remove(place)
        {
            // nobody may be waiting any more
            let _ = done.send(ended);
        }
    }

    /// Ends pairs whose receivers have taken nothing for too long, and lets those go on that had no pipe.
    fn sweep(&mut self, now: Instant) {
        let held_up = |(place, slot): (usize, &Slot)| slot.pair.is_held_up().then_some(place);
        let places: Vec<usize> = self.pairs.iter().filter_map(held_up).collect();
        for place in places {
            let Some(slot) = self.pairs.get_mut(place) else {
                continue;
            };
            let before = Side::BOTH.map(|side| slot.pair.interest(side));
            let pair = &mut slot.pair;
            let ended = pair.sweep(now, &mut self.pipes, &mut self.scratch);
            self.settle(place, before, ended);
        }
    }
}

/// Place, generation and side in one number: 32, 31 and 1 bits.
fn token(place: usize, generation: u32, side: Side) -> u64 {
    ((place as u64) << 32) | u64::from(generation << 1) | side as u64
}
