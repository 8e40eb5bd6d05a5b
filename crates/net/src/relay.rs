//! Moving bytes between two sockets with the least work.
//!
//! Owns: [`Relay`], a thread that serves pairs of sockets: one `epoll` set for all of them; no task, buffer or queue for a
//! pair. What comes in small pieces is copied through one buffer; what comes in bulk is moved inside the kernel with
//! splice(2). A pair holds a pipe or bytes only while its receiver's socket is full, and reads nothing more for that
//! receiver until they are gone: a slow receiver slows its sender and nobody else.
//! Does not: look at the bytes, decide who is paired, or listen.
//!
//! Why a thread beside the core's own: the work for a small message is three calls into the kernel, and a runtime adds as
//! much again for each wake-up. A thread that waits for nothing else can also let events gather for a moment when there
//! are many, so that one wake-up serves several.

mod direction;
mod pair;
mod pipes;
mod set;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use pair::Pair;
use set::Set;

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

/// A handle of a relay's thread, which ends with the last handle. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Relay {
    shared: Arc<Shared>,
    _alive: Arc<Alive>,
}

/// What handles and the thread share.
struct Shared {
    /// Rings when there is something in the inbox, or the thread is to end.
    bell: OwnedFd,
    /// As many as sessions come and go between two turns; those are bounded by whoever admits them.
    inbox: std::sync::Mutex<Vec<Order>>,
    stopped: AtomicBool,
    pairs: AtomicUsize,
    next: AtomicU64,
}

/// What the thread is asked for.
enum Order {
    Join {
        id: u64,
        pair: Box<Pair>,
        done: oneshot::Sender<Ended>,
    },
    Leave(u64),
}

/// Ends the thread when the last handle is gone.
#[derive(Debug)]
struct Alive(Arc<Shared>);

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("pairs", &self.pairs)
            .finish_non_exhaustive()
    }
}

impl Relay {
    /// Starts a relay's thread, called `relay-<index>`. Fails when the system has no file or thread left for it.
    pub fn start(index: usize) -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let shared = Arc::new(Shared {
            bell,
            inbox: std::sync::Mutex::default(),
            stopped: AtomicBool::new(false),
            pairs: AtomicUsize::new(0),
            next: AtomicU64::new(0),
        });
        let set = Set::new(Arc::clone(&shared))?;
        std::thread::Builder::new()
            .name(format!("relay-{index}"))
            .spawn(move || set.run())?;
        Ok(Self {
            _alive: Arc::new(Alive(Arc::clone(&shared))),
            shared,
        })
    }

    /// Pairs being served.
    pub fn len(&self) -> usize {
        self.shared.pairs.load(Ordering::Relaxed)
    }

    /// Whether none is being served.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
        self.serve(Pair::new(
            first.into_std()?,
            second.into_std()?,
            counters,
            stalled,
        ))
    }

    /// As [`join`](Self::join), but from `second` to `first` only: what `first` says is thrown away, and only its end
    /// counts.
    pub fn join_one_way(
        &self,
        first: TcpStream,
        second: TcpStream,
        counters: Arc<dyn Counters>,
        stalled: Duration,
    ) -> io::Result<Joined> {
        let pair = Pair::new(first.into_std()?, second.into_std()?, counters, stalled);
        self.serve(pair.one_way())
    }

    fn serve(&self, pair: Pair) -> io::Result<Joined> {
        for side in pair::Side::BOTH {
            let socket = SockRef::from(pair.socket(side));
            socket.set_tcp_nodelay(true)?;
            socket.set_tcp_keepalive(&KEEP_ALIVE)?;
        }
        let pair = Box::new(pair);
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (done, ended) = oneshot::channel();
        self.shared.pairs.fetch_add(1, Ordering::Relaxed);
        self.shared.order(Order::Join { id, pair, done });
        Ok(Joined {
            shared: Arc::clone(&self.shared),
            id,
            ended,
            over: false,
        })
    }
}

/// Finds peers that are gone without a word: asked after a minute of silence, given up after another.
const KEEP_ALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(60))
    .with_interval(Duration::from_secs(15))
    .with_retries(4);

impl Shared {
    fn order(&self, order: Order) {
        let mut inbox = self
            .inbox
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        inbox.push(order);
        // more than one ring before the thread looks is heard as one
        if inbox.len() == 1 {
            drop(inbox);
            self.ring();
        }
    }

    fn take_orders(&self) -> Vec<Order> {
        let mut inbox = self
            .inbox
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        std::mem::take(&mut *inbox)
    }

    fn ring(&self) {
        if let Err(error) = rustix::io::write(&self.bell, &1u64.to_ne_bytes()) {
            // the counter is full: it rings already
            tracing::trace!(%error, "relay's bell");
        }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Release);
        self.0.ring();
    }
}

/// A pair being served; resolves when it has ended and its sockets are closed. See [`Relay::join`].
#[derive(Debug)]
pub struct Joined {
    shared: Arc<Shared>,
    id: u64,
    ended: oneshot::Receiver<Ended>,
    over: bool,
}

impl Future for Joined {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ended> {
        let ended = std::task::ready!(Pin::new(&mut self.ended).poll(context));
        self.over = true;
        // the thread tells the end of every pair, unless it is ending itself
        let stopped = |_| Ended::Failed(true, io::ErrorKind::NotConnected.into());
        Poll::Ready(ended.unwrap_or_else(stopped))
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        if !self.over {
            self.shared.order(Order::Leave(self.id));
        }
    }
}
