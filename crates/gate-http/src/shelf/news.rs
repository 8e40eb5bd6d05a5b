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

/// How long a herald stays without anybody to wake: longer than players are between two requests.
const IDLE: Duration = Duration::from_secs(30);

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
    notify: Notify,
    /// How often the bell was heard.
    heard: Cell<u64>,
    present: Cell<usize>,
}

/// One who may wait, and keeps the herald at work.
#[derive(Debug)]
pub(super) struct Attendance(Rc<Herald>);

impl Drop for Attendance {
    fn drop(&mut self) {
        self.0.present.set(self.0.present.get().saturating_sub(1));
    }
}

impl Attendance {
    /// Resolves at the first news after this call, not after its first poll: what is asked in between is not lost.
    pub(super) fn news(&self) -> impl Future<Output = ()> + use<> {
        let herald = Rc::clone(&self.0);
        let heard = herald.heard.get();
        async move {
            // the herald runs on this thread, so nothing comes between the look and the wait
            while herald.heard.get() == heard {
                herald.notify.notified().await;
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
            notify: Notify::new(),
            heard: Cell::new(0),
            present: Cell::new(0),
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
                    self.notify.notify_waiters();
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
