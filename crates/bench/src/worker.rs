//! One thread of load: a poll loop over its share of the sessions.
//!
//! Owns: connecting at the ramp's pace, the clockwork of the publishers, and the end of sessions. Worker `n` of
//! `t` carries the publishers and viewers whose index leaves `n` when divided by `t`.
//! Does not: decide when phases begin; the coordinator says so through [`Progress`].

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::chunk::{self, Header};
use crate::client::{self, Goal};
use crate::clock::{self, MILLISECOND};
use crate::http;
use crate::plan::{Plan, ViewTarget};
use crate::session::{Desk, Publishing, Role, Session, SessionError, Stage, Viewing, Wire};
use crate::skim::type_id;
use crate::stamp;
use crate::tally::{Progress, Sessions, Tally, Window};
use crate::target;

/// One read empties what a viewer's socket holds after a long pause; shared, so its size costs nothing.
const BUFFER: usize = 256 * 1024;
/// Readiness taken from the kernel at once.
const EVENTS: usize = 1024;
/// Publishers are looked after between so many viewers: some 100 µs of reading.
const EVENTS_BETWEEN: usize = 64;
/// Messages sent in one go, some 500 µs: a bench that is late must go on reading, or its own viewers would starve.
const SENDS_AT_ONCE: usize = 64;
/// The longest sleep: phases begin at most so late.
const MAX_WAIT: u64 = 20 * MILLISECOND;
/// How often the age of opening sessions is looked at.
const SWEEP: u64 = 250 * MILLISECOND;

/// A thread's share of the run.
pub(crate) struct Worker<'a> {
    plan: &'a Plan,
    progress: &'a Progress,
    poll: Poll,
    /// A session's place is its token; places are not used again.
    sessions: Vec<Session>,
    /// When each running publisher sends next.
    due: BinaryHeap<Reverse<(u64, usize)>>,
    desk: Desk,
    /// One outgoing message.
    scratch: Vec<u8>,
    publishers: Share,
    viewers: Share,
    /// The clock all publishers' phases refer to, and the beginning of their ramp.
    epoch: u64,
    swept: u64,
}

/// The sessions of one role that are still to be opened.
#[derive(Debug, Clone, Copy)]
struct Share {
    next: usize,
    step: usize,
    count: usize,
}

impl Share {
    /// When the next session connects, if any is left and the phase has begun.
    fn due(self, plan: &Plan, from: u64) -> Option<u64> {
        (self.next < self.count && from != u64::MAX).then(|| from + plan.ramp(self.next))
    }
}

impl<'a> Worker<'a> {
    /// # Errors
    /// When the kernel grants no poller.
    pub(crate) fn new(
        plan: &'a Plan,
        progress: &'a Progress,
        number: usize,
        epoch: u64,
    ) -> anyhow::Result<Self> {
        let step = plan.load.threads;
        let viewers = match plan.view {
            ViewTarget::Hls(_) => 0,
            ViewTarget::Rtmp(_) | ViewTarget::Flv(_) => plan.load.viewers,
        };
        Ok(Self {
            plan,
            progress,
            poll: Poll::new().context("create a poller")?,
            sessions: Vec::new(),
            due: BinaryHeap::new(),
            desk: Desk {
                buffer: vec![0; BUFFER].into(),
                tally: Tally::new(),
                window: Window {
                    from: u64::MAX,
                    to: u64::MAX,
                },
            },
            scratch: Vec::new(),
            publishers: Share {
                next: number,
                step,
                count: plan.load.publishers,
            },
            viewers: Share {
                next: number,
                step,
                count: viewers,
            },
            epoch,
            swept: epoch,
        })
    }

    /// Runs until the window ends.
    ///
    /// # Errors
    /// When polling fails, which no peer can bring about.
    pub(crate) fn run(mut self) -> anyhow::Result<Tally> {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            let now = clock::now();
            self.desk.window = self.progress.window();
            if now >= self.desk.window.to {
                return Ok(self.finish());
            }
            self.dial_due(now);
            self.publish_due();
            self.sweep(now);
            match self.poll.poll(&mut events, Some(self.wait())) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(error).context("poll");
                }
                _ => {}
            }
            for (count, event) in events.iter().enumerate() {
                let closing = event.is_read_closed() || event.is_error();
                self.ready(event.token().0, closing);
                if count % EVENTS_BETWEEN == EVENTS_BETWEEN - 1 {
                    self.publish_due();
                }
            }
        }
    }

    fn wait(&self) -> Duration {
        let now = clock::now();
        let view_from = self.progress.view_from.load(Ordering::Relaxed);
        let next = [
            self.due.peek().map(|Reverse((due, _))| *due),
            self.publishers.due(self.plan, self.epoch),
            self.viewers.due(self.plan, view_from),
            Some(self.desk.window.to),
        ];
        let next = next.into_iter().flatten().min().unwrap_or(u64::MAX);
        Duration::from_nanos(next.saturating_sub(now).min(MAX_WAIT))
    }

    fn dial_due(&mut self, now: u64) {
        while self
            .publishers
            .due(self.plan, self.epoch)
            .is_some_and(|due| due <= now)
        {
            let index = self.publishers.next;
            self.publishers.next += self.publishers.step;
            let mut opening = Vec::new();
            let names = self.plan.publish.names(index, self.plan.streams);
            let client = client::Client::open(Goal::Publish, names, &mut opening);
            let role = Role::Publisher(Publishing {
                index,
                ..Publishing::default()
            });
            let wire = Wire::Rtmp(Box::new(client));
            self.dial(self.plan.publish.address, index, role, wire, opening);
        }
        let view_from = self.progress.view_from.load(Ordering::Relaxed);
        while self
            .viewers
            .due(self.plan, view_from)
            .is_some_and(|due| due <= now)
        {
            let index = self.viewers.next;
            self.viewers.next += self.viewers.step;
            let mut opening = Vec::new();
            let stream = index % self.plan.streams;
            let (address, wire) = match &self.plan.view {
                ViewTarget::Rtmp(target) => {
                    let names = target.names(stream, self.plan.streams);
                    let client = client::Client::open(Goal::Play, names, &mut opening);
                    (target.address, Wire::Rtmp(Box::new(client)))
                }
                ViewTarget::Flv(target) => {
                    let path = target.request_target(stream, self.plan.streams);
                    let client = http::Client::open(&target.host, &path, &mut opening);
                    (target.address, Wire::Flv(Box::new(client)))
                }
                // its viewers have workers of their own
                ViewTarget::Hls(_) => return,
            };
            // Both roles may share a server address: they number their connections one after the other.
            let connection = self.plan.load.publishers + index;
            self.dial(
                address,
                connection,
                Role::Viewer(Viewing::default()),
                wire,
                opening,
            );
        }
    }

    fn dial(
        &mut self,
        address: SocketAddr,
        connection: usize,
        role: Role,
        wire: Wire,
        opening: Vec<u8>,
    ) {
        let began = clock::now();
        let key = self.sessions.len();
        let socket = connect(address, connection).and_then(|mut socket| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll
                .registry()
                .register(&mut socket, Token(key), interest)?;
            Ok(socket)
        });
        match socket {
            Ok(socket) => self
                .sessions
                .push(Session::new(socket, wire, role, opening, began)),
            Err(error) => {
                let error = SessionError::Connect(error.kind());
                count_failure(self.progress, &mut self.desk.tally, &role, false, &error);
            }
        }
    }

    fn ready(&mut self, key: usize, closing: bool) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        match session.ready(closing, &mut self.desk) {
            Ok(false) => {}
            Ok(true) => {
                sessions_of(self.progress, &session.role).start();
                if let Err(error) = self.begin_publishing(key) {
                    self.fail(key, &error);
                }
            }
            Err(error) => self.fail(key, &error),
        }
    }

    /// Sends what goes before the media and sets the clockwork. Publishers begin within one frame interval of being
    /// accepted, at phases that divide the interval evenly however many there are (golden ratio).
    fn begin_publishing(&mut self, key: usize) -> Result<(), SessionError> {
        let Some(session) = self.sessions.get_mut(key) else {
            return Ok(());
        };
        let Role::Publisher(publishing) = &mut session.role else {
            return Ok(());
        };
        let interval = self.plan.source.interval();
        let fraction = (publishing.index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let phase = self.epoch + ((fraction * interval) >> 32);
        let base = phase + clock::now().saturating_sub(phase).div_ceil(interval) * interval;
        publishing.base = base;
        self.due.push(Reverse((base, key)));
        for (type_id, payload) in self.plan.source.prelude() {
            self.scratch.clear();
            let header = media_header(*type_id, session.message_stream, 0);
            chunk::write(&mut self.scratch, header, payload);
            session.send(&self.scratch)?;
        }
        Ok(())
    }

    /// Sends messages whose time has come, the longest due first.
    fn publish_due(&mut self) {
        let source = &self.plan.source;
        for _ in 0..SENDS_AT_ONCE {
            let Some(mut top) = self.due.peek_mut() else {
                return;
            };
            let Reverse((due, key)) = *top;
            let now = clock::now();
            if due > now {
                return;
            }
            let session = self
                .sessions
                .get_mut(key)
                .filter(|session| session.socket.is_some());
            let Some(session) = session else {
                PeekMut::pop(top);
                continue;
            };
            let Role::Publisher(publishing) = &mut session.role else {
                return;
            };
            let item = source.item(publishing.cursor);
            source.advance(&mut publishing.cursor);
            top.0.0 = publishing.base + source.item(publishing.cursor).due;
            drop(top);
            self.scratch.clear();
            let header = media_header(item.type_id, session.message_stream, item.timestamp);
            let start = chunk::write(&mut self.scratch, header, item.payload);
            if source.takes_stamp() {
                stamp::write(&mut self.scratch[start..], clock::now());
            }
            let sent = session.send(&self.scratch);
            if self.desk.window.contains(now) {
                let tally = &mut self.desk.tally;
                tally.lag.record(now - due);
                tally.messages_out += 1;
                tally.bytes_out += self.scratch.len() as u64;
            }
            if let Err(error) = sent {
                self.fail(key, &error);
            }
        }
    }

    /// Ends sessions whose opening takes too long.
    fn sweep(&mut self, now: u64) {
        if now - self.swept < SWEEP {
            return;
        }
        self.swept = now;
        let timeout = self.plan.load.timeout.as_nanos() as u64;
        for key in 0..self.sessions.len() {
            let session = &self.sessions[key];
            let opening = matches!(session.stage, Stage::Connecting | Stage::Opening);
            if opening && now.saturating_sub(session.began) > timeout {
                let error = SessionError::TimedOut(session.during());
                self.fail(key, &error);
            }
        }
    }

    fn fail(&mut self, key: usize, error: &SessionError) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if session.stage == Stage::Over {
            return;
        }
        let was_running = matches!(session.stage, Stage::Running(_));
        session.stage = Stage::Over;
        // Closing takes the socket out of the poller.
        session.socket = None;
        let tally = &mut self.desk.tally;
        count_failure(self.progress, tally, &session.role, was_running, error);
    }

    fn finish(self) -> Tally {
        let Self { sessions, desk, .. } = self;
        let Desk {
            mut tally, window, ..
        } = desk;
        if window.from < window.to {
            for session in &sessions {
                session.finish(&mut tally, window);
            }
        }
        tally
    }
}

fn sessions_of<'p>(progress: &'p Progress, role: &Role) -> &'p Sessions {
    match role {
        Role::Publisher(_) => &progress.publishers,
        Role::Viewer(_) => &progress.viewers,
    }
}

fn count_failure(
    progress: &Progress,
    tally: &mut Tally,
    role: &Role,
    was_running: bool,
    error: &SessionError,
) {
    sessions_of(progress, role).fail(was_running);
    let role = match role {
        Role::Publisher(_) => "publisher",
        Role::Viewer(_) => "viewer",
    };
    *tally
        .reasons
        .entry(format!("{role}: {}", error.reason()))
        .or_default() += 1;
}

/// Begins a connection without waiting for it.
pub(crate) fn connect(address: SocketAddr, connection: usize) -> io::Result<TcpStream> {
    let Some(source) = target::source(address, connection) else {
        return TcpStream::connect(address);
    };
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(IN_PROGRESS) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

/// What connect(2) says on a non-blocking socket; `io::ErrorKind` has no stable name for it.
const IN_PROGRESS: i32 = rustix::io::Errno::INPROGRESS.raw_os_error();

/// Chunk streams as encoders use them: data 5, audio 4, video 6.
fn media_header(type_id: u8, message_stream: u32, timestamp: u32) -> Header {
    let chunk_stream = match type_id {
        type_id::AUDIO => 4,
        type_id::VIDEO => 6,
        _ => 5,
    };
    Header {
        chunk_stream,
        type_id,
        message_stream,
        timestamp,
    }
}
