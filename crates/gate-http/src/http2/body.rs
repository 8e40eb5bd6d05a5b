//! Bodies as hyper pulls and hands them.
//!
//! Owns: [`Body`], which gives shared pieces as the client's window opens, [`Flow`], by which a client that takes nothing is
//! found out, and the bounded reading of what clients send. Does not: know what is sent.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use weir_net::clock;

use crate::files::Growth;

/// Bytes handed over at a time: what a frame takes by default (RFC 9113, section 6.5.2), so that hyper never holds much of a
/// body whose client does not read, and requests of one connection share it evenly.
const CHUNK_BYTES: usize = 16 << 10;

/// What a connection is doing.
#[derive(Debug)]
pub(super) struct Flow {
    /// Requests that are being answered.
    busy: Cell<usize>,
    /// When there was something to do last.
    active: Cell<Instant>,
    next: Cell<u64>,
    /// Bodies under way, each with the time since which its client has taken nothing of what there is.
    bodies: RefCell<HashMap<u64, Option<Instant>>>,
}

impl Flow {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            busy: Cell::new(0),
            active: Cell::new(now),
            next: Cell::new(0),
            bodies: RefCell::default(),
        }
    }

    /// How long the body that has waited longest for its client has done so.
    pub(super) fn stalled_since(&self, now: Instant) -> Duration {
        let bodies = self.bodies.borrow();
        let oldest = bodies.values().flatten().min();
        oldest.map_or(Duration::ZERO, |since| {
            now.saturating_duration_since(*since)
        })
    }

    /// How long there has been nothing to do.
    pub(super) fn idle_since(&self, now: Instant) -> Duration {
        let is_idle = self.busy.get() == 0 && self.bodies.borrow().is_empty();
        match is_idle {
            true => now.saturating_duration_since(self.active.get()),
            false => Duration::ZERO,
        }
    }

    /// Counts a request until the result is dropped.
    pub(super) fn busy(&self) -> Busy<'_> {
        self.busy.set(self.busy.get() + 1);
        Busy(self)
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Busy<'a>(&'a Flow);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.set(self.0.busy.get().saturating_sub(1));
        self.0.active.set(clock::now());
    }
}

/// The rest of a body that grows, on its way.
type Growing = Pin<Box<dyn Future<Output = (Growth, Vec<Bytes>, bool)>>>;

/// A body of an answer.
pub(super) struct Body {
    pieces: VecDeque<Bytes>,
    growing: Option<Growing>,
    place: Option<Place>,
}

/// A body's entry in the flow.
struct Place {
    flow: Rc<Flow>,
    id: u64,
}

impl Place {
    fn note(&self, waits_since: Option<Instant>) {
        self.flow.bodies.borrow_mut().insert(self.id, waits_since);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.flow.bodies.borrow_mut().remove(&self.id);
        self.flow.active.set(clock::now());
    }
}

fn grow(mut growth: Growth) -> Growing {
    Box::pin(async move {
        let (pieces, is_last) = growth.more().await;
        (growth, pieces, is_last)
    })
}

impl Body {
    /// No body.
    pub(super) fn empty() -> Self {
        Self {
            pieces: VecDeque::new(),
            growing: None,
            place: None,
        }
    }

    /// A body of `pieces` and what grows behind them.
    pub(super) fn new(pieces: Vec<Bytes>, growth: Option<Growth>, flow: &Rc<Flow>) -> Self {
        let id = flow.next.get();
        flow.next.set(id.wrapping_add(1));
        let place = Place {
            flow: Rc::clone(flow),
            id,
        };
        place.note(Some(clock::now()));
        let mut pieces = VecDeque::from(pieces);
        pieces.retain(|piece| !piece.is_empty());
        Self {
            pieces,
            growing: growth.map(grow),
            place: Some(place),
        }
    }

    fn note(&self, waits_since: Option<Instant>) {
        if let Some(place) = &self.place {
            place.note(waits_since);
        }
    }

    /// The next bytes that are here.
    fn take(&mut self) -> Option<Bytes> {
        let front = self.pieces.front_mut()?;
        let chunk = front.split_to(front.len().min(CHUNK_BYTES));
        if front.is_empty() {
            self.pieces.pop_front();
        }
        Some(chunk)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            if let Some(chunk) = self.take() {
                self.note(Some(clock::now()));
                return Poll::Ready(Some(Ok(Frame::data(chunk))));
            }
            let Some(growing) = &mut self.growing else {
                return Poll::Ready(None);
            };
            let Poll::Ready((growth, pieces, is_last)) = growing.as_mut().poll(context) else {
                // it is the stream that is waited for, not the client
                self.note(None);
                return Poll::Pending;
            };
            self.growing = (!is_last).then(|| grow(growth));
            self.pieces.extend(pieces);
            self.pieces.retain(|piece| !piece.is_empty());
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && self.growing.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.pieces.iter().map(|piece| piece.len() as u64).sum();
        match self.growing {
            None => SizeHint::with_exact(length),
            Some(_) => SizeHint::default(),
        }
    }
}

/// Why a body was not taken in. The client is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is longer than it may be.
    TooLarge,
    /// It broke off.
    Lost,
}

/// Takes in a body of at most `limit` bytes.
pub(super) async fn collect<B>(mut body: B, limit: usize) -> Result<Bytes, Refused>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let mut bytes = Vec::new();
    loop {
        match poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            None => return Ok(Bytes::from(bytes)),
            Some(Err(_)) => return Err(Refused::Lost),
            Some(Ok(frame)) => {
                let Some(data) = frame.data_ref() else {
                    continue;
                };
                if bytes.len() + data.len() > limit {
                    return Err(Refused::TooLarge);
                }
                bytes.extend_from_slice(data);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Body as _;

    fn flow() -> Rc<Flow> {
        Rc::new(Flow::new(clock::now()))
    }

    #[tokio::test(flavor = "current_thread")]
    async fn pieces_come_in_frames_and_share_their_memory() {
        let piece = Bytes::from(vec![7; CHUNK_BYTES + 5]);
        let flow = flow();
        let mut body = Body::new(vec![Bytes::new(), piece.clone()], None, &flow);
        assert_eq!(body.size_hint().exact(), Some(piece.len() as u64));
        let first = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        let first = first
            .expect("a frame")
            .expect("no error")
            .into_data()
            .expect("data");
        assert_eq!((first.len(), first.as_ptr()), (CHUNK_BYTES, piece.as_ptr()));
        assert!(!body.is_end_stream());
        assert_eq!(collect(body, 5).await, Ok(Bytes::from(vec![7; 5])));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_clients_send_is_bounded() {
        let flow = flow();
        let body = || Body::new(vec![Bytes::from_static(b"abc")], None, &flow);
        assert_eq!(collect(body(), 3).await, Ok(Bytes::from_static(b"abc")));
        assert_eq!(collect(body(), 2).await, Err(Refused::TooLarge));
    }

    #[test]
    fn a_client_that_takes_nothing_is_found_out() {
        let flow = flow();
        let later = clock::now() + Duration::from_secs(100);
        assert!(flow.idle_since(later) >= Duration::from_secs(99));
        let body = Body::new(vec![Bytes::from_static(b"abc")], None, &flow);
        assert!(flow.stalled_since(later) >= Duration::from_secs(99));
        assert_eq!(flow.idle_since(later), Duration::ZERO);
        drop(body);
        assert_eq!(flow.stalled_since(later), Duration::ZERO);
        let busy = flow.busy();
        assert_eq!(flow.idle_since(later), Duration::ZERO);
        drop(busy);
        assert!(flow.idle_since(later) > Duration::ZERO);
    }
}
