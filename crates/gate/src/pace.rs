//! How often a publisher's socket is read.
//!
//! Owns: the choice between watching a socket and polling it on a timer, and the timer's step. Does not: read.
//!
//! A publisher sends some 70 small messages a second. Watched, each wakes the core, and a thousand publishers are
//! 70,000 wake-ups a second for a few bytes each. Nobody is served by that haste while nobody watches the stream, and
//! a core with hundreds of publishers has better use for its time; then the sockets are polled.

use std::io;
use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::time::Sleep;
use weir_hub::Latency;
use weir_net::clock;
use weir_net::socket::Socket;

/// The step while nobody watches: a viewer who comes then is at most this far behind live for a moment.
const UNWATCHED: Duration = Duration::from_millis(100);

/// The longest step while somebody watches. It adds to the viewers' latency.
const WATCHED_MOST: Duration = Duration::from_millis(50);

/// The step for each publisher of the core: to read one, and to serve its viewers what came, costs some 10 µs, and
/// a tenth of the core may go into that.
const WATCHED_EACH: Duration = Duration::from_micros(100);

/// Steps shorter than this are not worth polling for.
const WORTHWHILE: Duration = Duration::from_millis(5);

/// More than this in one step means that the sender may be waiting for us: watch the socket again.
///
/// A fresh receive window is 64 KiB; half of it leaves room for the next burst.
const FULL: usize = 32 << 10;

/// How long a new publisher is watched in any case: its first viewers often come with it, and wait for its first key
/// frame.
const NEW: Duration = Duration::from_secs(2);

/// Timers end at multiples of this, so that many publishers wake their core together.
const GRID: Duration = Duration::from_millis(5);

/// What to do before the next read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tick {
    /// Wait until the socket is readable.
    Watch,
    /// Wait until this time, then try.
    At(Instant),
}

impl Tick {
    /// Puts `socket` into the mode that the tick needs.
    pub fn apply(self, socket: &Socket) -> io::Result<()> {
        match self {
            Self::Watch => socket.watch(),
            Self::At(_) => socket.poll_on_timer(),
        }
    }

    /// Resolves at the time of the tick; never for one that watches.
    pub async fn elapsed(self) {
        match self {
            Self::At(at) => tokio::time::sleep_until(at.into()).await,
            Self::Watch => std::future::pending().await,
        }
    }
}

/// Lets `timer` go off at `deadline`, unless it does so sooner: an early look is cheaper than setting it each time.
pub fn arm(mut timer: Pin<&mut Sleep>, deadline: Instant) {
    let due = timer.deadline().into_std();
    if timer.is_elapsed() || due > deadline {
        timer.as_mut().reset(deadline.into());
    }
}

/// What the pace of reads depends on.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Somebody watches the stream.
    pub watched: bool,
    /// Publishers on this core.
    pub publishers: usize,
    /// The setting for merging writes: reads are merged no further.
    pub latency: Latency,
}

impl Load {
    fn step(self) -> Duration {
        if !self.watched {
            return UNWATCHED;
        }
        let most = match self.latency {
            Latency::Fixed(latency) => latency / 4,
            Latency::Adaptive { max } => max / 4,
        };
        let publishers = u32::try_from(self.publishers).unwrap_or(u32::MAX);
        WATCHED_EACH
            .saturating_mul(publishers)
            .min(WATCHED_MOST)
            .min(most)
    }
}

/// The pace of one publisher's reads.
#[derive(Debug)]
pub struct ReadPace {
    epoch: Instant,
    /// Until when a publisher that sent a lot is watched, whatever the load.
    busy_until: Instant,
}

impl ReadPace {
    /// A pace that begins with watching, for `NEW`.
    pub fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            busy_until: now + NEW,
        }
    }

    /// What to do after a read that took `drained` bytes.
    pub fn next(&mut self, now: Instant, drained: usize, load: Load) -> Tick {
        if drained > FULL {
            self.busy_until = now + Duration::from_secs(1);
        }
        if now < self.busy_until {
            return Tick::Watch;
        }
        let step = load.step();
        if step < WORTHWHILE {
            Tick::Watch
        } else {
            Tick::At(self.on_grid(now + step))
        }
    }

    fn on_grid(&self, at: Instant) -> Instant {
        let grid = GRID.as_nanos();
        let steps = at.saturating_duration_since(self.epoch).as_nanos() / grid;
        let nanos = u64::try_from(steps * grid).unwrap_or(u64::MAX);
        self.epoch + Duration::from_nanos(nanos)
    }
}

impl Default for ReadPace {
    fn default() -> Self {
        Self::new(clock::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADAPTIVE: Latency = Latency::Adaptive {
        max: Duration::from_millis(350),
    };

    fn watched(publishers: usize) -> Load {
        Load {
            watched: true,
            publishers,
            latency: ADAPTIVE,
        }
    }

    const UNSEEN: Load = Load {
        watched: false,
        publishers: 1,
        latency: ADAPTIVE,
    };

    #[test]
    fn an_unwatched_stream_is_polled_and_a_watched_one_is_not() {
        let began = clock::now();
        let mut pace = ReadPace::new(began);
        assert_eq!(pace.next(began, 500, UNSEEN), Tick::Watch);
        let now = began + NEW;
        assert_eq!(pace.next(now, 500, watched(1)), Tick::Watch);
        assert_eq!(pace.next(now, 500, UNSEEN), Tick::At(now + UNWATCHED));
    }

    #[test]
    fn many_publishers_are_polled_within_the_latency_that_is_set() {
        let began = clock::now();
        let mut pace = ReadPace::new(began);
        let now = began + NEW;
        let after = |millis| Tick::At(now + Duration::from_millis(millis));
        assert_eq!(pace.next(now, 9, watched(49)), Tick::Watch);
        assert_eq!(pace.next(now, 9, watched(400)), after(40));
        assert_eq!(pace.next(now, 9, watched(100_000)), after(50));
        let at_once = Load {
            latency: Latency::Fixed(Duration::ZERO),
            ..watched(500)
        };
        assert_eq!(pace.next(now, 9, at_once), Tick::Watch);
        let soon = Load {
            latency: Latency::Fixed(Duration::from_millis(40)),
            ..watched(500)
        };
        assert_eq!(pace.next(now, 9, soon), after(10));
    }

    #[test]
    fn a_large_publisher_is_watched() {
        let began = clock::now();
        let mut pace = ReadPace::new(began);
        let now = began + NEW;
        assert_eq!(pace.next(now, FULL + 1, UNSEEN), Tick::Watch);
        let soon = now + Duration::from_millis(900);
        assert_eq!(pace.next(soon, 10, UNSEEN), Tick::Watch);
        let later = now + Duration::from_millis(1001);
        assert!(matches!(pace.next(later, 10, UNSEEN), Tick::At(_)));
    }
}
