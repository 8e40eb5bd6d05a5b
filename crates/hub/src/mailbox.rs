//! Telling a core that some of its readers have something new.
//!
//! Owns: the list of tokens and the waker of the core's fan-out loop. Does not: queue media; a token says only "look".

use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// One core's list of readers with news. Bounded by the number of its readers: a reader is listed once.
#[derive(Debug, Default)]
pub struct Mailbox {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    tokens: Vec<u32>,
    waker: Option<Waker>,
    /// Some of the news is urgent.
    urgent: bool,
    /// Only urgent news wakes: the core knows when it will look next.
    calm: bool,
}

impl Mailbox {
    /// An empty mailbox.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lists `token`; returns the waker to wake, once the caller holds no lock.
    pub(crate) fn post(&self, token: u32, urgent: bool) -> Option<Waker> {
        let mut inner = self.inner.lock();
        inner.tokens.push(token);
        inner.urgent |= urgent;
        if inner.calm && !urgent {
            None
        } else {
            inner.waker.take()
        }
    }

    /// Moves the listed tokens to the end of `into`; pending when there is none.
    ///
    /// With `calm` it is pending until there is urgent news: to wake a sleeping core costs a system call, and one
    /// that serves a thousand streams at a beat of its own need not be told of each.
    pub fn poll_take(
        &self,
        context: &mut Context<'_>,
        calm: bool,
        into: &mut Vec<u32>,
    ) -> Poll<()> {
        let mut inner = self.inner.lock();
        let pending = if calm {
            !inner.urgent
        } else {
            inner.tokens.is_empty()
        };
        if pending {
            inner.calm = calm;
            inner.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        inner.urgent = false;
        into.append(&mut inner.tokens);
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn wakes_once_for_many_posts() {
        let (mailbox, count) = (Mailbox::new(), Arc::new(Count::default()));
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        let mut tokens = Vec::new();
        assert!(
            mailbox
                .poll_take(&mut context, false, &mut tokens)
                .is_pending()
        );
        for token in 0..3 {
            if let Some(waker) = mailbox.post(token, false) {
                waker.wake();
            }
        }
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(
            mailbox
                .poll_take(&mut context, false, &mut tokens)
                .is_ready()
        );
        assert_eq!(tokens, [0, 1, 2]);
        assert!(
            mailbox
                .poll_take(&mut context, false, &mut tokens)
                .is_pending()
        );
    }

    #[test]
    fn a_calm_core_is_woken_by_urgent_news_only() {
        let (mailbox, count) = (Mailbox::new(), Arc::new(Count::default()));
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        let mut tokens = Vec::new();
        assert!(
            mailbox
                .poll_take(&mut context, true, &mut tokens)
                .is_pending()
        );
        assert!(mailbox.post(1, false).is_none());
        assert!(
            mailbox
                .poll_take(&mut context, true, &mut tokens)
                .is_pending()
        );
        assert!(mailbox.post(2, true).is_some());
        assert!(
            mailbox
                .poll_take(&mut context, true, &mut tokens)
                .is_ready()
        );
        assert_eq!(tokens, [1, 2]);
    }
}
