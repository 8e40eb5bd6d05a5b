//! `bench files`: the same files over and over, on keep-alive connections, each as fast as it can.
//!
//! Owns: a closed loop: every connection asks for the next file when the last byte of the one before has come, so the
//! server is never without work and requests a second are what it can do. Playlists stand for the segments they list
//! when the run begins.
//! Does not: pipeline, keep what it gets, or check it beyond status and length.

mod report;

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use mio::{Events, Poll};
use url::Url;

pub(crate) use report::Report;

use crate::answer::{Answer, Event};
use crate::args::Files;
use crate::clock::{self, MILLISECOND, SECOND};
use crate::coordinator::{self, Course, Work};
use crate::histogram::Histogram;
use crate::link::{Got, Link, LinkError, Place};
use crate::tally::{Progress, Window};
use crate::{Failure, hls, plan, process, target};

/// One read takes most segments whole.
const BUFFER: usize = 256 * 1024;
/// Room for the head of an answer: what of its body comes in the same read is copied, which costs more than all the rest.
const HEAD_ROOM: usize = 2048;
/// Readiness taken from the kernel at once.
const EVENTS: usize = 1024;
/// The longest sleep: phases begin at most so late.
const MAX_WAIT: u64 = 20 * MILLISECOND;
/// A playlist that is read before the run.
const MAX_PLAYLIST: usize = 4 << 20;

/// What is asked for, and of whom.
#[derive(Debug, PartialEq, Eq)]
struct Targets {
    address: SocketAddr,
    host: String,
    /// Paths with queries.
    paths: Vec<String>,
}

/// What the connections of a thread add up to; all but the reasons is of the window.
#[derive(Debug)]
struct Tally {
    /// From request to the last byte of its answer, of those answered with 200.
    latency: Histogram,
    statuses: BTreeMap<u16, u64>,
    bytes_in: u64,
    reasons: BTreeMap<String, u64>,
}

/// Runs as asked.
///
/// # Errors
/// [`Failure::Usage`] for arguments without sense, and what kept the bench from running. Failed connections are no
/// error here.
pub(crate) fn run(args: &Files) -> anyhow::Result<Report> {
    let targets = judge(args).map_err(|error| Failure::Usage(format!("{error:#}")))?;
    plan::raise_file_limit(args.connections)?;
    let progress = Progress::new();
    let begin = clock::now();
    let mut work: Vec<Work<'_, Tally>> = Vec::new();
    for number in 0..args.threads {
        let worker = Worker::new(args, &targets, &progress, number, begin)?;
        work.push(Box::new(move || worker.run()));
    }
    let course = Course {
        publishers: 0,
        viewers: args.connections,
        warmup: args.warmup,
        seconds: args.seconds,
        pids: &args.pid,
    };
    let (parts, seconds, processes) = coordinator::lead(&course, &progress, work)?;
    let mut tally = Tally::new();
    for part in &parts {
        tally.merge(part);
    }
    let counts = (progress.viewers.running(), progress.viewers.failed());
    Ok(Report::new(
        args,
        targets.paths.len(),
        tally,
        counts,
        seconds,
        processes,
    ))
}

fn judge(args: &Files) -> anyhow::Result<Targets> {
    ensure!(args.connections > 0, "--connections must be 1 or more");
    ensure!(args.ramp >= 0.1, "--ramp must be 0.1 or more");
    ensure!(
        (1..=64).contains(&args.threads),
        "--threads must be 1 to 64"
    );
    ensure!(!args.seconds.is_zero(), "--seconds must be more than 0");
    ensure!(args.newest != Some(0), "--newest must be 1 or more");
    for pid in &args.pid {
        process::Watch::new(*pid).with_context(|| format!("process {pid}"))?;
    }
    let mut found: Option<Targets> = None;
    for text in &args.urls {
        let file = target::Flv::parse(text)?;
        let url = Url::parse(text)?;
        let mut paths = if url.path().ends_with(".m3u8") {
            segments(&file, url, args).with_context(|| format!("playlist {text}"))?
        } else {
            vec![file.request_target(0, 1)]
        };
        match &mut found {
            Some(all) => {
                ensure!(all.host == file.host, "{text:?} is of another host");
                all.paths.append(&mut paths);
            }
            None => {
                found = Some(Targets {
                    address: file.address,
                    host: file.host,
                    paths,
                });
            }
        }
    }
    found.context("nothing to get")
}

/// The segments that a playlist, or the first variant of one, lists.
fn segments(file: &target::Flv, mut url: Url, args: &Files) -> anyhow::Result<Vec<String>> {
    let mut text = fetch(file, &hls::target(&url), args.timeout)?;
    if !hls::is_media(&text) {
        url = url.join(&hls::first_variant(&text, &url)?)?;
        text = fetch(file, &hls::target(&url), args.timeout)?;
    }
    let media = hls::media(&text, &url, hls::Want::Segments)?;
    let count = args.newest.unwrap_or(usize::MAX).min(media.listed.len());
    ensure!(count > 0, "it lists no segments");
    let newest = media.listed.into_iter().rev().take(count);
    Ok(newest.map(|listed| listed.target).collect())
}

/// One small file, as text.
fn fetch(file: &target::Flv, target: &str, timeout: Duration) -> anyhow::Result<String> {
    let mut socket = TcpStream::connect_timeout(&file.address, timeout)?;
    socket.set_read_timeout(Some(timeout))?;
    let mut out = Vec::new();
    request(&mut out, target, &file.host);
    socket.write_all(&out)?;
    let (mut answer, mut body) = (Answer::default(), Vec::new());
    let mut buffer = [0; 16 * 1024];
    loop {
        let length = socket.read(&mut buffer)?;
        let mut input = buffer.get(..length).unwrap_or_default();
        let mut is_done = length == 0;
        while let Some(event) = answer.next(&mut input)? {
            match event {
                Event::Head(status) => ensure!(status == 200, "server answered HTTP {status}"),
                Event::Body(run) => {
                    ensure!(body.len() + run.len() <= MAX_PLAYLIST, "it is too long");
                    body.extend(run);
                }
                Event::End => is_done = true,
            }
        }
        if is_done {
            return String::from_utf8(body).context("it is no text");
        }
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

/// A thread's share of the connections.
struct Worker<'a> {
    args: &'a Files,
    targets: &'a Targets,
    progress: &'a Progress,
    poll: Poll,
    connections: Vec<Connection>,
    window: Window,
    tally: Tally,
    buffer: Box<[u8]>,
    /// The next connection to open.
    next: usize,
    /// When opening began.
    begin: u64,
}

struct Connection {
    link: Link,
    /// Its number among all.
    index: usize,
    /// Requests so far.
    requests: usize,
    asked: u64,
    began: u64,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No answer yet.
    Opening,
    Running,
    Over,
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("no answer in time")]
    TimedOut,
}

impl<'a> Worker<'a> {
    fn new(
        args: &'a Files,
        targets: &'a Targets,
        progress: &'a Progress,
        number: usize,
        begin: u64,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            args,
            targets,
            progress,
            poll: Poll::new().context("create a poller")?,
            connections: Vec::new(),
            window: progress.window(),
            tally: Tally::new(),
            buffer: vec![0; BUFFER].into(),
            next: number,
            begin,
        })
    }

    fn run(mut self) -> anyhow::Result<Tally> {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            let now = clock::now();
            self.window = self.progress.window();
            if now >= self.window.to {
                return Ok(self.tally);
            }
            self.open_due(now);
            self.sweep(now);
            let wait = Duration::from_nanos(self.window.to.saturating_sub(now).min(MAX_WAIT));
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(error).context("poll");
                }
                _ => {}
            }
            for event in &events {
                let closing = event.is_read_closed() || event.is_error();
                let key = event.token().0;
                if let Err(error) = self.receive(key, closing) {
                    self.fail(key, &error.into());
                }
            }
        }
    }

    fn open_due(&mut self, now: u64) {
        while self.next < self.args.connections {
            let after = (self.next as f64 / self.args.ramp * SECOND as f64) as u64;
            if now < self.begin.saturating_add(after) {
                return;
            }
            self.connections.push(Connection {
                link: Link::new(),
                index: self.next,
                // each begins at another file
                requests: self.next,
                asked: 0,
                began: now,
                stage: Stage::Opening,
            });
            self.next += self.args.threads;
            let key = self.connections.len() - 1;
            if let Err(error) = self.ask(key) {
                self.fail(key, &error.into());
            }
        }
    }

    /// Ends connections that wait for their first answer too long.
    fn sweep(&mut self, now: u64) {
        if self.progress.viewers.running() + self.progress.viewers.failed() >= self.args.connections
        {
            return;
        }
        let timeout = self.args.timeout.as_nanos() as u64;
        for key in 0..self.connections.len() {
            let connection = &self.connections[key];
            if connection.stage == Stage::Opening && now.saturating_sub(connection.began) > timeout
            {
                self.fail(key, &Fault::TimedOut);
            }
        }
    }

    fn ask(&mut self, key: usize) -> Result<(), LinkError> {
        let connection = &mut self.connections[key];
        let paths = &self.targets.paths;
        let path = &paths[connection.requests % paths.len()];
        connection.requests = connection.requests.wrapping_add(1);
        connection.asked = clock::now();
        let place = Place {
            address: self.targets.address,
            index: connection.index,
            token: key,
        };
        let write = |out: &mut Vec<u8>| request(out, path, &self.targets.host);
        connection.link.ask(self.poll.registry(), place, write)?;
        Ok(())
    }

    fn receive(&mut self, key: usize, closing: bool) -> Result<(), LinkError> {
        let Some(connection) = self.connections.get_mut(key) else {
            return Ok(());
        };
        if connection.stage == Stage::Over || !connection.link.wake()? {
            return Ok(());
        }
        loop {
            let link = &mut self.connections[key].link;
            let discarded = link.discard(&mut self.buffer)?;
            let got = match discarded {
                Some(got) => got,
                None => {
                    let room = self.buffer.len().min(HEAD_ROOM);
                    link.read(&mut self.buffer[..room], closing)?
                }
            };
            let now = clock::now();
            let length = match got {
                Got::Bytes(length) | Got::Last(length) => length,
                Got::Nothing => return Ok(()),
                Got::EndOfBody => return self.answered(key, now),
                // nothing is kept for later here: what was asked is asked on a new connection
                Got::Ended if link.is_waiting() => return self.ask(key),
                Got::Ended => return Ok(()),
            };
            if self.window.contains(now) {
                self.tally.bytes_in += length as u64;
            }
            let read = if discarded.is_some() { 0 } else { length };
            let mut input = &self.buffer[..read];
            let mut is_answered = false;
            while let Some(event) = link.answer.next(&mut input)? {
                is_answered |= event == Event::End;
            }
            if is_answered {
                self.answered(key, now)?;
            }
            // an end of the connection may lie behind the last byte
            if matches!(got, Got::Last(_)) && !(discarded.is_some() && closing) {
                return Ok(());
            }
        }
    }

    /// Counts an answer and asks for the next.
    fn answered(&mut self, key: usize, now: u64) -> Result<(), LinkError> {
        let connection = &mut self.connections[key];
        connection.link.end_answer();
        let status = connection.link.answer.status();
        if self.window.contains(now) {
            *self.tally.statuses.entry(status).or_default() += 1;
            if status == 200 {
                let took = now.saturating_sub(connection.asked);
                self.tally.latency.record(took);
            }
        }
        if connection.stage == Stage::Opening {
            connection.stage = Stage::Running;
            self.progress.viewers.start();
        }
        self.ask(key)
    }

    fn fail(&mut self, key: usize, error: &Fault) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if connection.stage == Stage::Over {
            return;
        }
        let was_running = connection.stage == Stage::Running;
        connection.stage = Stage::Over;
        connection.link.close();
        self.progress.viewers.fail(was_running);
        let reason = format!("connection: {error}");
        *self.tally.reasons.entry(reason).or_default() += 1;
    }
}

impl Tally {
    fn new() -> Self {
        Self {
            latency: Histogram::new(),
            statuses: BTreeMap::new(),
            bytes_in: 0,
            reasons: BTreeMap::new(),
        }
    }

    fn merge(&mut self, other: &Self) {
        self.latency.merge(&other.latency);
        self.bytes_in += other.bytes_in;
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        for (reason, count) in &other.reasons {
            *self.reasons.entry(reason.clone()).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests;
