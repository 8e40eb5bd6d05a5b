//! The loop of a core: which group is served now, and joining and leaving.
//!
//! Owns: the core's groups, the queue of those with news, and the loop's turns. Does not: write (`group` does) or
//! reckon the beat (`pace` does).

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use slab::Slab;
use tokio::sync::Notify;
use weir_hub::{Format, FormatId, Hub, Mailbox, Start, SubscribeError};
use weir_media::StreamKey;
use weir_net::clock;

use crate::conn::Conn;
use crate::group::{Group, Tally};
use crate::metrics::Metrics;
use crate::pace::Pace;

pub use crate::group::Watching;

/// A core's fan-out. Clones are handles to the same one.
#[derive(Clone)]
pub struct Fanout {
    inner: Rc<Inner>,
}

struct Inner {
    hub: Arc<Hub>,
    metrics: Metrics,
    mailbox: Arc<Mailbox>,
    groups: RefCell<Slab<Rc<RefCell<Group>>>>,
    index: RefCell<HashMap<(StreamKey, FormatId), usize>>,
    queue: RefCell<BinaryHeap<Reverse<(Instant, usize)>>>,
    queued: Notify,
    pace: RefCell<Pace>,
}

impl std::fmt::Debug for Fanout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fanout")
            .field("groups", &self.inner.groups.borrow().len())
            .finish_non_exhaustive()
    }
}

/// A viewer's place in the fan-out. Dropping it leaves.
#[derive(Debug)]
pub struct Viewer {
    fanout: Fanout,
    group: usize,
    seat: usize,
}

impl Fanout {
    /// The fan-out of this core. [`Fanout::run`] has to run on it.
    pub fn new(hub: Arc<Hub>, metrics: Metrics) -> Self {
        Self {
            inner: Rc::new(Inner {
                hub,
                metrics,
                mailbox: Arc::new(Mailbox::new()),
                groups: RefCell::default(),
                index: RefCell::default(),
                queue: RefCell::default(),
                queued: Notify::new(),
                pace: RefCell::default(),
            }),
        }
    }

    /// Adds a viewer of `stream` on `conn`, in the format that `make` builds. Say what precedes the media, then call
    /// [`Viewer::resume`] for what it can have at once.
    ///
    /// `since` is when its connection was made. Fails when a limit is reached.
    pub fn join(
        &self,
        conn: &Rc<Conn>,
        stream: &StreamKey,
        format: FormatId,
        make: &mut dyn FnMut() -> Box<dyn Format>,
        start: Option<Start>,
        since: Instant,
    ) -> Result<Viewer, SubscribeError> {
        let now = clock::now();
        let token = self.obtain(stream, format, make, now);
        let group = self.group(token).ok_or(SubscribeError::TooManyViewers)?;
        let mut group = group.borrow_mut();
        let Some(point) = group.reader().start(start, now) else {
            drop(group);
            self.close_if_empty(token);
            return Err(SubscribeError::TooManyViewers);
        };
        let news = group.sync(now);
        let seat = group.join(Rc::clone(conn), point, since, now);
        if news {
            // this look took the news of the others too
            self.enqueue(token, &mut group, now);
            self.inner.queued.notify_one();
        }
        self.inner.metrics.viewers.inc();
        Ok(Viewer {
            fanout: self.clone(),
            group: token,
            seat,
        })
    }

    /// Serves the core's groups as they get news, for ever.
    pub async fn run(self) {
        let mut tokens = Vec::new();
        loop {
            self.wait(&mut tokens).await;
            // a calm wait ends with its time, and leaves the news to be taken
            let mut context = Context::from_waker(Waker::noop());
            let _ = self
                .inner
                .mailbox
                .poll_take(&mut context, false, &mut tokens);
            let now = clock::now();
            for token in tokens.drain(..) {
                if let Some(group) = self.group(token as usize) {
                    self.enqueue(token as usize, &mut group.borrow_mut(), now);
                }
            }
            self.pass(now).await;
        }
    }

    /// Waits until a group has news or a queued one is due.
    async fn wait(&self, tokens: &mut Vec<u32>) {
        let due = self
            .inner
            .queue
            .borrow()
            .peek()
            .map(|Reverse((due, _))| *due);
        let calm = due.is_some();
        let news = poll_fn(|context| self.inner.mailbox.poll_take(context, calm, tokens));
        tokio::select! {
            biased;
            () = news => {}
            () = self.inner.queued.notified() => {}
            () = sleep_until(due) => {}
        }
    }

    /// Serves every group that is due.
    async fn pass(&self, began: Instant) {
        self.inner.pace.borrow_mut().begin(began);
        let mut due = self.next_due(began);
        if due.is_none() {
            return;
        }
        let mut watch = Stopwatch::start();
        let mut adaptive = false;
        while let Some(token) = due {
            due = self.next_due(began);
            let Some(group) = self.group(token) else {
                continue;
            };
            adaptive |= matches!(group.borrow().latency(), weir_hub::Latency::Adaptive { .. });
            self.round(&group, &mut watch).await;
        }
        if adaptive {
            self.inner.pace.borrow_mut().passed(watch.stop());
        }
        // sockets and timers have their turn even when groups are always due
        tokio::task::yield_now().await;
    }

    fn next_due(&self, now: Instant) -> Option<usize> {
        let mut queue = self.inner.queue.borrow_mut();
        match queue.peek() {
            Some(Reverse((due, _))) if *due <= now => queue.pop().map(|Reverse((_, token))| token),
            _ => None,
        }
    }

    /// Serves all viewers of a group. The watch stands still while other tasks have their turn.
    async fn round(&self, group: &Rc<RefCell<Group>>, watch: &mut Stopwatch) {
        let mut tally = Tally::default();
        let mut from = Some(0);
        let mut now = clock::now();
        {
            let mut group = group.borrow_mut();
            group.queued = false;
            group.sync(now);
        }
        while let Some(seat) = from {
            let hub = self.inner.hub.metrics();
            from = group
                .borrow_mut()
                .serve(seat, now, &self.inner.metrics, hub, &mut tally);
            if from.is_some() {
                watch.pause();
                tokio::task::yield_now().await;
                watch.resume();
                now = clock::now();
            }
        }
        let metrics = &self.inner.metrics;
        metrics.rounds.inc();
        metrics.batch.observe(tally.served as f64);
        metrics.blocked.inc_by(tally.blocked);
        self.inner.hub.metrics().bytes_out.inc_by(tally.bytes);
    }

    fn group(&self, token: usize) -> Option<Rc<RefCell<Group>>> {
        self.inner.groups.borrow().get(token).cloned()
    }

    fn enqueue(&self, token: usize, group: &mut Group, now: Instant) {
        if group.queued {
            return;
        }
        group.queued = true;
        let due = self
            .inner
            .pace
            .borrow_mut()
            .due(group.latency(), group.last_round, now);
        self.inner.queue.borrow_mut().push(Reverse((due, token)));
    }

    fn obtain(
        &self,
        stream: &StreamKey,
        format: FormatId,
        make: &mut dyn FnMut() -> Box<dyn Format>,
        now: Instant,
    ) -> usize {
        let Inner { hub, mailbox, .. } = &*self.inner;
        let mut index = self.inner.index.borrow_mut();
        *index.entry((stream.clone(), format)).or_insert_with(|| {
            let mut groups = self.inner.groups.borrow_mut();
            let entry = groups.vacant_entry();
            let token = entry.key();
            // a core has fewer groups than sessions, and those are far below 2^32
            let reader = hub.read(now, stream, format, make, mailbox, token as u32);
            entry.insert(Rc::new(RefCell::new(Group::new(reader, now))));
            token
        })
    }

    fn close_if_empty(&self, token: usize) {
        let empty = self
            .group(token)
            .is_some_and(|group| group.borrow().is_empty());
        if empty {
            self.inner.groups.borrow_mut().try_remove(token);
            self.inner
                .index
                .borrow_mut()
                .retain(|_, known| *known != token);
        }
    }
}

/// Measures this thread's CPU time. A reading is a system call, so there are two a pass and not two a group.
struct Stopwatch {
    before: Duration,
    since: Duration,
}

impl Stopwatch {
    fn start() -> Self {
        Self {
            before: Duration::ZERO,
            since: clock::thread_cpu(),
        }
    }

    fn pause(&mut self) {
        self.before += clock::thread_cpu().saturating_sub(self.since);
    }

    fn resume(&mut self) {
        self.since = clock::thread_cpu();
    }

    fn stop(mut self) -> Duration {
        self.pause();
        self.before
    }
}

/// Resolves at `due`; never for `None`.
async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

impl Viewer {
    /// Writes what the viewer can have now. Call it after joining, and when a full socket is writable again.
    pub fn resume(&self) {
        let now = clock::now();
        let Some(group) = self.fanout.group(self.group) else {
            return;
        };
        let inner = &self.fanout.inner;
        let mut tally = Tally::default();
        group.borrow_mut().serve_one(
            self.seat,
            now,
            &inner.metrics,
            inner.hub.metrics(),
            &mut tally,
        );
        inner.hub.metrics().bytes_out.inc_by(tally.bytes);
    }

    /// Stops or goes on sending; what comes meanwhile is missed.
    pub fn set_paused(&self, paused: bool) {
        if let Some(group) = self.fanout.group(self.group) {
            group.borrow_mut().set_paused(self.seat, paused);
        }
    }

    /// How the viewer fares.
    pub fn watching(&self) -> Option<Watching> {
        self.fanout.group(self.group)?.borrow().watching(self.seat)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        if let Some(group) = self.fanout.group(self.group) {
            group.borrow_mut().leave(self.seat);
        }
        self.fanout.inner.metrics.viewers.dec();
        self.fanout.close_if_empty(self.group);
    }
}
