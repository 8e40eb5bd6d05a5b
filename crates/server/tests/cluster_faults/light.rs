//! Publishers and viewers of which a hundred fit beside the servers they are to test.
//!
//! Owns: one connection on one thread each, frames that say which they are, reconnecting as encoders and players do, and
//! what each client saw. Does not: judge it (`streams` does).
//!
//! A publisher that was cut off begins a new *take*, and numbers its frames from 0 again.

use std::fmt;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use weir_net::clock::now;
use weir_rtmp::{ClientConfig, ClientEvent, ClientMode, ClientSession, MediaKind, RtmpUrl};
use weir_testkit::{Media, PATIENCE, Tool, flv};

/// Time between two frames of a stream: what a hundred of them cost leaves most of a core to the servers.
const PACE: Duration = Duration::from_millis(80);
/// Frames of a GOP; a viewer that joins has a picture within one.
const GOP: u32 = 5;
/// Time between two attempts to connect after a refusal.
const RETRY: Duration = Duration::from_millis(50);
/// How soon a client that waits for bytes sees that it is to end.
const LOOK: Duration = Duration::from_millis(200);

/// Message and tag type of video.
const VIDEO: u8 = 9;

/// What a client does.
#[derive(Debug, Clone, Copy)]
enum Role {
    Publish,
    Play,
    PlayHttp,
}

/// Which frame of which take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Frame {
    /// Counts the publisher's sessions, from 0.
    pub(crate) take: u32,
    /// Counts the frames of a take, from 0.
    pub(crate) number: u32,
}

/// One session of a client.
#[derive(Debug, Clone, Default)]
pub(crate) struct Session {
    /// What a viewer got in it, with the time, or the last that a publisher sent.
    pub(crate) frames: Vec<(Frame, Instant)>,
}

/// All that happened to a client.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    /// Sessions that were accepted.
    pub(crate) sessions: Vec<Session>,
    /// Codes and descriptions of those that were refused.
    pub(crate) refusals: Vec<String>,
    /// A body that is none of the stream's.
    pub(crate) garbage: Option<String>,
}

impl Log {
    /// The first frame of `take` or a later one, with the time it came.
    pub(crate) fn first_of(&self, take: u32) -> Option<(Frame, Instant)> {
        let frames = self.sessions.iter().flat_map(|session| &session.frames);
        frames.copied().find(|(frame, _)| frame.take >= take)
    }

    /// The last frame.
    pub(crate) fn last(&self) -> Option<Frame> {
        let frames = self.sessions.iter().flat_map(|session| &session.frames);
        frames.last().map(|(frame, _)| *frame)
    }
}

/// Why a session did not come about.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server said no, in these words.
    Refused(String),
    /// The connection was not made, or ended without a word.
    Closed(#[allow(dead_code, reason = "for who reads the failure of a test")] String),
    /// The client was told to end.
    Stopped,
}

/// A client that reconnects until it is told to end.
pub(crate) struct Client {
    name: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    log: Log,
    stopped: bool,
    /// The connection in use, to be cut.
    stream: Option<TcpStream>,
}

impl Client {
    /// Publishes `live/name` at the first of `addresses` that takes it.
    pub(crate) fn publish(addresses: &[SocketAddr], name: &str) -> Self {
        Self::start(addresses, name, Role::Publish)
    }

    /// Plays `live/name` from the first of `addresses` that serves it.
    pub(crate) fn play(addresses: &[SocketAddr], name: &str) -> Self {
        Self::start(addresses, name, Role::Play)
    }

    /// Plays it over HTTP-FLV, from the first of these addresses of HTTP that serves it.
    pub(crate) fn play_http(addresses: &[SocketAddr], name: &str) -> Self {
        Self::start(addresses, name, Role::PlayHttp)
    }

    fn start(addresses: &[SocketAddr], name: &str, role: Role) -> Self {
        let shared = Arc::<Shared>::default();
        let thread = {
            let (shared, name) = (Arc::clone(&shared), name.to_owned());
            let addresses = addresses.to_vec();
            thread::spawn(move || keep_connected(&shared, &addresses, &name, role))
        };
        Self {
            name: name.to_owned(),
            shared,
            thread: Some(thread),
        }
    }

    /// What happened so far.
    pub(crate) fn log(&self) -> Log {
        self.shared.lock().log.clone()
    }

    /// Waits until `wanted` holds and gives what happened until then. Panics when it never does.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(&Log) -> bool) -> Log {
        let state = self.shared.wait(PATIENCE, |state| wanted(&state.log));
        if !wanted(&state.log) {
            let log = &state.log;
            let sessions: Vec<_> = log.sessions.iter().map(summary).collect();
            panic!(
                "{}: never {what}; sessions {sessions:?}, refusals {:?}",
                self.name,
                log.refusals.iter().rev().take(5).collect::<Vec<_>>()
            );
        }
        state.log.clone()
    }

    /// Waits for a frame of `take` or a later one.
    #[track_caller]
    pub(crate) fn reached(&self, frame: Frame) -> Log {
        self.until(&format!("{frame:?}"), |log| {
            log.last().is_some_and(|last| last >= frame)
        })
    }

    /// Waits for any frame beyond those so far.
    #[track_caller]
    pub(crate) fn goes_on(&self) {
        let count = |log: &Log| -> usize { log.sessions.iter().map(|s| s.frames.len()).sum() };
        let before = count(&self.log());
        self.until("another frame", |log| count(log) > before);
    }

    /// Tells it to end; a publisher says goodbye after its last frame.
    pub(crate) fn end(&self) {
        let mut state = self.shared.lock();
        state.stopped = true;
        self.shared.changed.notify_all();
    }

    /// Tells it to end and waits for that.
    pub(crate) fn finish(mut self) -> Log {
        self.end();
        self.join();
        self.log()
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("{}: the client's thread panicked", self.name);
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.end();
        if let Some(stream) = &self.shared.lock().stream {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.join();
    }
}

fn summary(session: &Session) -> (usize, Option<Frame>) {
    let last = session.frames.last().map(|(frame, _)| *frame);
    (session.frames.len(), last)
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn wait(&self, limit: Duration, done: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), limit, |state| !done(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn began(&self) {
        self.change(|state| state.log.sessions.push(Session::default()));
    }

    /// Notes what came as the body of a tag or message of this type.
    fn got(&self, name: &str, kind: u8, body: &[u8]) {
        if kind != VIDEO || body.get(1) != Some(&1) {
            return;
        }
        let (frame, at) = (parse(name, body), now());
        self.change(|state| match frame {
            Some(frame) => {
                let session = state.log.sessions.last_mut().expect("it began");
                session.frames.push((frame, at));
            }
            None => state.log.garbage = Some(String::from_utf8_lossy(body).into_owned()),
        });
    }

    fn is_stopped(&self) -> bool {
        self.lock().stopped
    }
}

fn keep_connected(shared: &Shared, addresses: &[SocketAddr], name: &str, role: Role) {
    let mut turn = addresses.iter().cycle();
    let mut address = turn.next().expect("an address");
    while !shared.is_stopped() {
        let began = match role {
            Role::Publish => Link::open(*address, name, ClientMode::Publish, shared)
                .map(|link| publish(shared, name, link)),
            Role::Play => Link::open(*address, name, ClientMode::Play, shared)
                .map(|link| play(shared, name, link)),
            Role::PlayHttp => open_http(*address, name, shared).map(|body| {
                shared.began();
                // an end in a chunk or a tag is how a server dies
                let _ = flv::read(body, |tag| shared.got(name, tag.kind, &tag.body));
            }),
        };
        if let Err(failure) = began {
            if let Failure::Refused(said) = failure {
                shared.change(|state| state.log.refusals.push(said));
            }
            address = turn.next().expect("it cycles");
            drop(shared.wait(RETRY, |state| state.stopped));
        }
        shared.change(|state| state.stream = None);
    }
}

/// Sends frames until the connection ends or the client is told to.
fn publish(shared: &Shared, name: &str, mut link: Link) {
    shared.began();
    let take = shared.lock().log.sessions.len() as u32 - 1;
    if link.send(0, sequence_header()).is_err() {
        return;
    }
    for number in 0.. {
        let stopped = shared.is_stopped();
        let frame = Frame { take, number };
        let time = number * PACE.as_millis() as u32;
        if link.send(time, &body(name, frame)).is_err() {
            return;
        }
        let at = now();
        shared.change(|state| {
            let session = state.log.sessions.last_mut().expect("this one");
            session.frames = vec![(frame, at)];
        });
        if stopped {
            link.session.close();
            let _ = link.flush();
            let _ = link.stream.shutdown(Shutdown::Write);
            // until the server has read it all: a connection that is dropped with bytes unread is reset
            for _ in 0..PATIENCE.as_millis() / LOOK.as_millis() {
                if link.step(LOOK).is_err() {
                    return;
                }
            }
            return;
        }
        // the time to the next frame, in which the server may close
        if link.step(PACE).is_err() {
            return;
        }
    }
}

/// Notes frames until the connection ends or the client is told to end.
fn play(shared: &Shared, name: &str, mut link: Link) {
    shared.began();
    loop {
        for media in link.media.drain(..) {
            shared.got(name, VIDEO, &media);
        }
        if shared.is_stopped() || link.step(LOOK).is_err() {
            return;
        }
    }
}

/// Asks for the stream and reads the head of the answer; gives the body.
fn open_http(address: SocketAddr, name: &str, shared: &Shared) -> Result<impl Read, Failure> {
    let closed = |error: io::Error| Failure::Closed(error.to_string());
    let mut stream = TcpStream::connect(address).map_err(closed)?;
    stream.set_read_timeout(Some(LOOK)).map_err(closed)?;
    let copy = stream.try_clone().map_err(closed)?;
    shared.change(|state| state.stream = Some(copy));
    let (bare, query) = name.split_once('?').unwrap_or((name, ""));
    let request = format!("GET /live/{bare}.flv?{query} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(closed)?;
    let mut reader = BufReader::new(Patient { stream, shared });
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).map_err(closed)? == 0 {
            return Err(Failure::Closed("end of stream".to_owned()));
        }
    }
    let head = head.to_ascii_lowercase();
    match head.starts_with("http/1.1 200") && head.contains("\r\ntransfer-encoding: chunked\r\n") {
        true => Ok(Chunks { reader, left: 0 }),
        false => Err(Failure::Refused(head)),
    }
}

/// A connection that is read until it ends or the client is told to.
struct Patient<'a> {
    stream: TcpStream,
    shared: &'a Shared,
}

impl Read for Patient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Err(error) if is_timeout(&error) && !self.shared.is_stopped() => {}
                read => return read,
            }
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// The payload of a chunked body.
struct Chunks<R> {
    reader: R,
    left: usize,
}

impl<R: BufRead> Read for Chunks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 || line.trim() == "0" {
                return Ok(0);
            }
            // the end of the chunk before is an empty line
            if !line.trim().is_empty() {
                let size = usize::from_str_radix(line.trim(), 16);
                self.left = size.map_err(|_| io::Error::from(ErrorKind::InvalidData))?;
            }
        }
        let most = buffer.len().min(self.left);
        let read = self.reader.read(&mut buffer[..most])?;
        self.left -= read;
        Ok(read)
    }
}

/// A connection whose session has begun.
pub(crate) struct Link {
    stream: TcpStream,
    session: ClientSession,
    /// Video that came and was not taken.
    media: Vec<bytes::Bytes>,
}

impl Link {
    /// Publishes once, without another attempt.
    pub(crate) fn publish(address: SocketAddr, name: &str) -> Result<Self, Failure> {
        Self::open(address, name, ClientMode::Publish, &Shared::default())
    }

    /// Plays once, without another attempt. With a slash, `name` has its application too.
    pub(crate) fn play(address: SocketAddr, name: &str) -> Result<Self, Failure> {
        Self::open(address, name, ClientMode::Play, &Shared::default())
    }

    /// As [`Link::play`], on a connection that was made to `address`.
    pub(crate) fn play_on(
        stream: TcpStream,
        address: SocketAddr,
        name: &str,
    ) -> Result<Self, Failure> {
        Self::begin(stream, address, name, ClientMode::Play, &Shared::default())
    }

    fn open(
        address: SocketAddr,
        name: &str,
        mode: ClientMode,
        shared: &Shared,
    ) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address);
        let stream = stream.map_err(|error| Failure::Closed(error.to_string()))?;
        Self::begin(stream, address, name, mode, shared)
    }

    fn begin(
        stream: TcpStream,
        address: SocketAddr,
        name: &str,
        mode: ClientMode,
        shared: &Shared,
    ) -> Result<Self, Failure> {
        let closed = |error: &dyn fmt::Display| Failure::Closed(error.to_string());
        let setting = stream.set_nodelay(true);
        setting.map_err(|error| closed(&error))?;
        let copy = stream.try_clone().map_err(|error| closed(&error))?;
        shared.change(|state| state.stream = Some(copy));
        let path = match name.contains('/') {
            true => name.to_owned(),
            false => format!("live/{name}"),
        };
        let url: RtmpUrl = format!("rtmp://{address}/{path}")
            .parse()
            .expect("an address");
        let config = ClientConfig {
            // the tests say when something takes too long
            handshake_timeout: PATIENCE,
            connect_timeout: PATIENCE,
            ..ClientConfig::new(&url, mode)
        };
        let mut link = Self {
            stream,
            session: ClientSession::new(config, now(), u64::from(address.port())),
            media: Vec::new(),
        };
        link.flush().map_err(|error| closed(&error))?;
        loop {
            if shared.is_stopped() {
                return Err(Failure::Stopped);
            }
            if link.step(LOOK)? {
                return Ok(link);
            }
        }
    }

    /// Reads once. `Ok(true)` when the stream has started with that; fails when the server refuses or has closed.
    fn step(&mut self, limit: Duration) -> Result<bool, Failure> {
        let closed = |why: String| Failure::Closed(why);
        let mut buffer = [0; 16 << 10];
        let setting = self.stream.set_read_timeout(Some(limit));
        setting.map_err(|error| closed(error.to_string()))?;
        let count = match self.stream.read(&mut buffer) {
            Ok(0) => return Err(closed("end of stream".to_owned())),
            Ok(count) => count,
            Err(error) if is_timeout(&error) => 0,
            Err(error) => return Err(closed(error.to_string())),
        };
        let mut started = false;
        let mut input = &buffer[..count];
        loop {
            let event = self.session.handle_input(now(), &mut input);
            match event.map_err(|error| closed(error.to_string()))? {
                None => break,
                Some(ClientEvent::Ready { .. }) => started = true,
                Some(ClientEvent::Rejected {
                    code, description, ..
                }) => return Err(Failure::Refused(format!("{code}: {description}"))),
                Some(ClientEvent::Media {
                    kind: MediaKind::Video,
                    body,
                    ..
                }) => {
                    self.media.push(body);
                }
                Some(_) => {}
            }
        }
        self.flush().map_err(|error| closed(error.to_string()))?;
        Ok(started)
    }

    /// Sends one video body.
    pub(crate) fn send(&mut self, time: u32, body: &[u8]) -> Result<(), Failure> {
        let sent = self.session.send(MediaKind::Video, time, body);
        sent.map_err(|error| Failure::Closed(error.to_string()))?;
        self.flush()
            .map_err(|error| Failure::Closed(error.to_string()))
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut output = Vec::new();
        self.session.take_output(&mut output);
        self.stream.write_all(&output)
    }
}

/// The configuration of the decoder, of a real encoder.
pub(crate) fn sequence_header() -> &'static [u8] {
    static HEADER: OnceLock<Vec<u8>> = OnceLock::new();
    HEADER.get_or_init(|| {
        let file = Media::VideoOnly.published_file(Tool::Ffmpeg);
        let tags = flv::tags(&std::fs::read(file).expect("it was made"));
        let header = tags.iter().find(|tag| tag.is_sequence_header());
        header.expect("H.264 has one").body.to_vec()
    })
}

/// The FLV body of a frame: it names itself, and its length and filler differ from one to the next.
fn body(name: &str, frame: Frame) -> Vec<u8> {
    let Frame { take, number } = frame;
    let mut slice = match number % GOP {
        0 => vec![0x65],
        _ => vec![0x41],
    };
    slice.extend(format!("{} {take} {number} ", bare(name)).as_bytes());
    let filler = (number.wrapping_mul(977) % 1_900) as usize;
    slice.extend(weir_testkit::hostile::junk(u64::from(number) + 1, filler));
    // key frame or not, AVC, a coded frame without composition time, and one slice behind its length
    let mut body = vec![if number % GOP == 0 { 0x17 } else { 0x27 }, 1, 0, 0, 0];
    body.extend((slice.len() as u32).to_be_bytes());
    body.extend(slice);
    body
}

/// The frame whose body this is, if it is one of this stream to the last bit.
fn parse(name: &str, bytes: &[u8]) -> Option<Frame> {
    let text = String::from_utf8_lossy(bytes.get(10..)?).into_owned();
    let mut words = text.split(' ').skip(1);
    let frame = Frame {
        take: words.next()?.parse().ok()?,
        number: words.next()?.parse().ok()?,
    };
    (body(name, frame) == bytes).then_some(frame)
}

/// A stream's name without its query.
fn bare(name: &str) -> &str {
    name.split_once('?').map_or(name, |(bare, _)| bare)
}
