//! One thread of HLS viewers: a poll loop over its share of them.
//!
//! Owns: the connections of its players, the times at which they reload, and the end of viewers. Worker `n` of `t`
//! carries the viewers whose index leaves `n` when divided by `t`.
//! Does not: decide what to ask for; see [`Player`].

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use mio::{Events, Poll};
use url::Url;

use super::board::Board;
use super::player::{Lane, PlayError, Player, Reload};
use super::tally::Tally;
use super::{LANES, View};
use crate::answer::Event;
use crate::clock::{self, MILLISECOND};
use crate::link::{Got, Link, LinkError, Place};
use crate::plan::Plan;
use crate::tally::Progress;

/// One read takes what a segment of some hundred kilobytes has left in the socket; shared, so its size costs nothing.
const BUFFER: usize = 256 * 1024;
/// Readiness taken from the kernel at once: a part makes all viewers' connections ready in one moment, and how long they
/// wait for us is measured from here.
const EVENTS: usize = 8192;
/// Viewers who ask for more between two looks at what has come, while something comes and while nothing does. What came is
/// read first: thousands of viewers share this thread, and what one of them does next is not to delay what others have got.
const ASKS_A_TURN: usize = 16;
const ASKS_A_LULL: usize = 128;
/// The longest sleep: phases begin at most so late.
const MAX_WAIT: u64 = 20 * MILLISECOND;
/// How often the age of viewers without media is looked at.
const SWEEP: u64 = 250 * MILLISECOND;

/// A thread's share of the viewers.
pub(crate) struct Worker<'a> {
    plan: &'a Plan,
    view: &'a View,
    progress: &'a Progress,
    poll: Poll,
    /// Where each stream's viewers begin.
    urls: Vec<Url>,
    boards: Vec<Board>,
    viewers: Vec<Viewer>,
    /// When playlists are to be asked for, and by whom.
    due: BinaryHeap<Reverse<(u64, usize)>>,
    tally: Tally,
    buffer: Box<[u8]>,
    /// Viewers that may have a connection to ask on.
    free: VecDeque<usize>,
    /// The next viewer to connect.
    next: usize,
    swept: u64,
    /// When the events at hand were taken.
    woke: u64,
}

struct Viewer {
    player: Player,
    links: [Link; LANES],
    stream: usize,
    stage: Stage,
    /// Its reload stands in the heap.
    is_due: bool,
    /// Of the answer under way on each lane, no byte of the body has come.
    is_first: [bool; LANES],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No media yet.
    Opening,
    Running,
    Over,
}

/// What ends a viewer, or one of its requests.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Play(#[from] PlayError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("no media in time{}", .0.map_or_else(String::new, |status| format!("; server answered HTTP {status}")))]
    TimedOut(Option<u16>),
}

impl<'a> Worker<'a> {
    /// # Errors
    /// When the kernel grants no poller.
    pub(crate) fn new(
        plan: &'a Plan,
        view: &'a View,
        progress: &'a Progress,
        number: usize,
    ) -> anyhow::Result<Self> {
        let urls = (0..plan.streams).map(|stream| view.url(stream, plan.streams));
        Ok(Self {
            plan,
            view,
            progress,
            poll: Poll::new().context("create a poller")?,
            urls: urls.collect::<anyhow::Result<_>>()?,
            boards: (0..plan.streams).map(|_| Board::default()).collect(),
            viewers: Vec::new(),
            due: BinaryHeap::new(),
            tally: Tally::new(),
            buffer: vec![0; BUFFER].into(),
            free: VecDeque::new(),
            next: number,
            swept: clock::now(),
            woke: 0,
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
            self.tally.window = self.progress.window();
            if now >= self.tally.window.to {
                return Ok(self.finish());
            }
            self.dial_due(now);
            self.reload_due(now);
            self.sweep(now);
            match self.poll.poll(&mut events, Some(self.wait())) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(error).context("poll");
                }
                _ => {}
            }
            self.woke = clock::now();
            for event in &events {
                let token = event.token().0;
                let closing = event.is_read_closed() || event.is_error();
                self.ready(token / LANES, token % LANES, closing);
            }
            let most = match events.is_empty() {
                true => ASKS_A_LULL,
                false => ASKS_A_TURN,
            };
            for _ in 0..most {
                let Some(key) = self.free.pop_front() else {
                    break;
                };
                self.drive(key);
            }
        }
    }

    fn wait(&self) -> Duration {
        if !self.free.is_empty() {
            return Duration::ZERO;
        }
        let next = [
            self.due.peek().map(|Reverse((due, _))| *due),
            self.dial_at(),
            Some(self.tally.window.to),
        ];
        let next = next.into_iter().flatten().min().unwrap_or(u64::MAX);
        Duration::from_nanos(next.saturating_sub(clock::now()).min(MAX_WAIT))
    }

    /// When the next viewer connects, if any is left and the phase has begun.
    fn dial_at(&self) -> Option<u64> {
        let from = self.progress.view_from.load(Ordering::Relaxed);
        (self.next < self.plan.load.viewers && from != u64::MAX)
            .then(|| from.saturating_add(self.plan.ramp(self.next)))
    }

    fn dial_due(&mut self, now: u64) {
        while self.dial_at().is_some_and(|at| at <= now) {
            let stream = self.next % self.plan.streams;
            self.next += self.plan.load.threads;
            let Some(url) = self.urls.get(stream) else {
                return;
            };
            self.viewers.push(Viewer {
                player: Player::new(self.view.mode, url.clone(), clock::now()),
                links: [Link::new(), Link::new()],
                stream,
                stage: Stage::Opening,
                is_due: false,
                is_first: [true; LANES],
            });
            self.drive(self.viewers.len() - 1);
        }
    }

    fn reload_due(&mut self, now: u64) {
        while let Some(Reverse((at, key))) = self.due.peek().copied()
            && at <= now
        {
            self.due.pop();
            if let Some(viewer) = self.viewers.get_mut(key) {
                viewer.is_due = false;
                self.drive(key);
            }
        }
    }

    /// Ends viewers that wait for their first media too long.
    fn sweep(&mut self, now: u64) {
        if now.saturating_sub(self.swept) < SWEEP {
            return;
        }
        self.swept = now;
        let timeout = self.plan.load.timeout.as_nanos() as u64;
        for key in 0..self.viewers.len() {
            let viewer = &self.viewers[key];
            if viewer.stage == Stage::Opening && now.saturating_sub(viewer.player.began()) > timeout
            {
                let refusal = viewer.player.refusal();
                self.fail(key, &Fault::TimedOut(refusal));
            }
        }
    }

    /// The place of a viewer's connection among all; publishers come before them.
    fn place(&self, key: usize, lane: usize) -> Place {
        Place {
            address: self.view.target.address,
            index: self.plan.load.publishers + key * LANES + lane,
            token: key * LANES + lane,
        }
    }

    /// Asks for whatever a viewer wants and has a free connection for.
    fn drive(&mut self, key: usize) {
        let now = clock::now();
        let places = [self.place(key, 0), self.place(key, 1)];
        let Some(viewer) = self.viewers.get_mut(key) else {
            return;
        };
        if viewer.stage == Stage::Over {
            return;
        }
        let [playlists, media] = &mut viewer.links;
        let (host, registry) = (&self.view.target.host, self.poll.registry());
        let mut outcomes = [Ok(false), Ok(false)];
        if !playlists.is_waiting() {
            match viewer.player.reload() {
                Reload::At(at) if at > now => {
                    if !viewer.is_due {
                        viewer.is_due = true;
                        self.due.push(Reverse((at, key)));
                    }
                }
                Reload::Now | Reload::At(_) => {
                    let target = viewer.player.ask_playlist(now);
                    let write = |out: &mut Vec<u8>| request(out, &target, host);
                    outcomes[0] = playlists.ask(registry, places[0], write);
                    viewer.is_first[0] = true;
                }
            }
        }
        if !media.is_waiting()
            && let Some(target) = viewer.player.ask_media()
        {
            let write = |out: &mut Vec<u8>| request(out, target, host);
            outcomes[1] = media.ask(registry, places[1], write);
            viewer.is_first[1] = true;
        }
        let is_running = viewer.stage == Stage::Running;
        for (lane, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Ok(opened) if is_running && opened => {
                    self.tally.count(now, |tally| &mut tally.reconnects);
                }
                Ok(_) => {}
                Err(error) => self.broken(key, lane, &error),
            }
        }
    }

    fn ready(&mut self, key: usize, lane: usize, closing: bool) {
        match self.receive(key, lane, closing) {
            Ok(()) => {}
            Err(Fault::Link(error)) => self.broken(key, lane, &error),
            Err(error) => return self.fail(key, &error),
        }
        self.free.push_back(key);
    }

    /// Reads a connection until it is empty.
    fn receive(&mut self, key: usize, lane: usize, closing: bool) -> Result<(), Fault> {
        let place = self.place(key, lane);
        let Some(viewer) = self.viewers.get_mut(key) else {
            return Ok(());
        };
        if viewer.stage == Stage::Over || !viewer.links[lane].wake()? {
            return Ok(());
        }
        loop {
            let got = viewer.links[lane].read(&mut self.buffer, closing)?;
            let now = clock::now();
            let board = &mut self.boards[viewer.stream];
            let length = match got {
                Got::Bytes(length) | Got::Last(length) => length,
                Got::Nothing => return Ok(()),
                Got::Ended if viewer.links[lane].may_ask_again() => {
                    self.tally.count(now, |tally| &mut tally.reconnects);
                    let link = &mut viewer.links[lane];
                    return Ok(link.ask_again(self.poll.registry(), place)?);
                }
                Got::Ended => return Ok(()),
                Got::EndOfBody => return viewer.end(lane, now, board, &mut self.tally),
            };
            if self.tally.window.contains(now) {
                self.tally.bytes_in += length as u64;
                self.tally.lag.record(now.saturating_sub(self.woke));
            }
            viewer.take(lane, &self.buffer[..length], now, board, &mut self.tally)?;
            if viewer.stage == Stage::Opening && viewer.player.is_running() {
                viewer.stage = Stage::Running;
                self.progress.viewers.start();
            }
            if matches!(got, Got::Last(_)) {
                return Ok(());
            }
        }
    }

    /// Takes it that a connection broke: what was asked on it is asked again.
    fn broken(&mut self, key: usize, lane: usize, error: &LinkError) {
        let now = clock::now();
        self.tally.count(now, |tally| &mut tally.broken);
        let Some(viewer) = self.viewers.get_mut(key) else {
            return;
        };
        viewer.links[lane].close();
        // a server that is not there will not be there in a moment either
        if viewer.stage == Stage::Opening {
            return self.fail(key, &Fault::Link(*error));
        }
        if let Err(error) = viewer.player.broken(LANE[lane], now) {
            self.fail(key, &error.into());
        }
    }

    fn fail(&mut self, key: usize, error: &Fault) {
        let Some(viewer) = self.viewers.get_mut(key) else {
            return;
        };
        if viewer.stage == Stage::Over {
            return;
        }
        let was_running = viewer.stage == Stage::Running;
        viewer.stage = Stage::Over;
        // Closing takes the sockets out of the poller.
        viewer.links.iter_mut().for_each(Link::close);
        self.progress.viewers.fail(was_running);
        self.tally.fail(&error.to_string());
    }

    fn finish(self) -> Tally {
        let Self {
            mut viewers,
            mut tally,
            ..
        } = self;
        if tally.window.from < tally.window.to {
            for viewer in &mut viewers {
                if viewer.stage == Stage::Running {
                    viewer.player.finish(&mut tally);
                }
            }
        }
        tally
    }
}

/// The lanes by the order of their links.
const LANE: [Lane; LANES] = [Lane::Playlist, Lane::Media];

impl Viewer {
    /// Takes what was read on a lane.
    fn take(
        &mut self,
        lane: usize,
        mut input: &[u8],
        now: u64,
        board: &mut Board,
        tally: &mut Tally,
    ) -> Result<(), Fault> {
        while let Some(event) = self.links[lane]
            .answer
            .next(&mut input)
            .map_err(LinkError::from)?
        {
            match event {
                Event::Head(_) => {}
                Event::Body(run) => {
                    let status = self.links[lane].answer.status();
                    let is_first = std::mem::take(&mut self.is_first[lane]);
                    self.player.body(LANE[lane], status, run, is_first, board)?;
                }
                Event::End => self.end(lane, now, board, tally)?,
            }
        }
        Ok(())
    }

    fn end(
        &mut self,
        lane: usize,
        now: u64,
        board: &mut Board,
        tally: &mut Tally,
    ) -> Result<(), Fault> {
        self.links[lane].end_answer();
        let status = self.links[lane].answer.status();
        Ok(self.player.end(LANE[lane], status, now, board, tally)?)
    }
}

fn request(out: &mut Vec<u8>, target: &str, host: &str) {
    for part in [
        "GET ",
        target,
        " HTTP/1.1\r\nHost: ",
        host,
        "\r\nUser-Agent: weir-bench\r\nAccept: */*\r\n\r\n",
    ] {
        out.extend(part.bytes());
    }
}
