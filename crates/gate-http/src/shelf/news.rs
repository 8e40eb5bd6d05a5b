//! How those who wait for a channel's news hear of it: one wake a core.
//!
//! Owns: [`Bells`], which a push rings from any thread, and [`Herald`], the task that hears one on its core and wakes
//! who waits there. Does not: know what the news is.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::memory::Memory;

/// How long a herald stays without anybody to wake: longer than players are between two requests.
const IDLE: Duration = Duration::from_secs(30);

/// Who is woken before whom: a list is of no use to a player before the media that it lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rank {
    /// Who waits for media.
    Media,
    /// Who waits for a list.
    List,
}

/// One core's bell.
#[derive(Debug, Default)]
struct Bell {
    rung: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

/// A channel's bells, one for each core where somebody may wait.
#[derive(Debug, Clone, Default)]
pub(super) struct Bells(Arc<Mutex<Vec<Arc<Bell>>>>);

impl Bells {
    /// Adds to `wakers` who has to hear that there is news.
    pub(super) fn ring(&self, wakers: &mut Vec<Waker>) {
        for bell in self.0.lock().iter() {
            if !bell.rung.swap(true, Ordering::AcqRel) {
                wakers.extend(bell.waker.lock().take());
            }
        }
    }
}

/// The task of a core that hears a channel's bell.
#[derive(Debug)]
pub(super) struct Herald {
    bells: Bells,
    bell: Arc<Bell>,
    /// Who waits, by [`Rank`].
    media: Notify,
    lists: Notify,
    /// How often the bell was heard.
    heard: Cell<u64>,
    present: Cell<usize>,
    memory: Memory,
}

/// One who may wait, and keeps the herald at work.
#[derive(Debug)]
pub(super) struct Attendance(Rc<Herald>);

impl Clone for Attendance {
    fn clone(&self) -> Self {
        self.0.attend()
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        self.0.present.set(self.0.present.get().saturating_sub(1));
    }
}

impl Attendance {
    /// What was answered since the last news.
    pub(super) fn memory(&self) -> &Memory {
        &self.0.memory
    }

    /// Resolves at the first news after this call, not after its first poll: what is asked in between is not lost.
    pub(super) fn news(&self, rank: Rank) -> impl Future<Output = ()> + use<> {
        let herald = Rc::clone(&self.0);
        let heard = herald.heard.get();
        async move {
            let waiting = match rank {
                Rank::Media => &herald.media,
                Rank::List => &herald.lists,
            };
            // the herald runs on this thread, so nothing comes between the look and the wait
            while herald.heard.get() == heard {
                waiting.notified().await;
            }
        }
    }
}

impl Herald {
    /// Hangs a bell of its own. [`Herald::run`] has to run.
    pub(super) fn new(bells: &Bells) -> Rc<Self> {
        let bell = Arc::new(Bell::default());
        bells.0.lock().push(Arc::clone(&bell));
        Rc::new(Self {
            bells: bells.clone(),
            bell,
            media: Notify::new(),
            lists: Notify::new(),
            heard: Cell::new(0),
            present: Cell::new(0),
            memory: Memory::default(),
        })
    }

    /// Whether its bell hangs among these, and still does.
    pub(super) fn serves(&self, bells: &Bells) -> bool {
        let hangs = |bell: &Arc<Bell>| Arc::ptr_eq(bell, &self.bell);
        Arc::ptr_eq(&self.bells.0, &bells.0) && self.bells.0.lock().iter().any(hangs)
    }

    /// Enters one who may wait.
    pub(super) fn attend(self: &Rc<Self>) -> Attendance {
        self.present.set(self.present.get() + 1);
        Attendance(Rc::clone(self))
    }

    /// Wakes who waits each time the bell rings; ends when nobody has been there for a while.
    pub(super) async fn run(&self) {
        loop {
            tokio::select! {
                () = poll_fn(|context| self.poll(context.waker())) => {
                    self.heard.set(self.heard.get() + 1);
                    self.memory.refresh();
                    // tasks run in the order in which they are woken
                    self.media.notify_waiters();
                    self.lists.notify_waiters();
                }
                () = tokio::time::sleep(IDLE) => {
                    if self.present.get() == 0 {
                        break;
                    }
                }
            }
        }
        let is_other = |bell: &Arc<Bell>| !Arc::ptr_eq(bell, &self.bell);
        self.bells.0.lock().retain(is_other);
    }

    fn poll(&self, task: &Waker) -> Poll<()> {
        let mut waker = self.bell.waker.lock();
        if self.bell.rung.swap(false, Ordering::AcqRel) {
            return Poll::Ready(());
        }
        *waker = Some(task.clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
