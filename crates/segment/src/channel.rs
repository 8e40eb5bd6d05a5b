//! A stream's segments, and the answers to requests for them.
//!
//! Owns: [`Channel`]: what each file is at a moment, with which status and for how long caches may keep it, and which
//! requests wait for what is to come. Does not: wait. The caller asks again when there is news or the time is up.
//!
//! | request | answer |
//! |---|---|
//! | before the first segment is complete | waits, [`OPENING_WAIT`] at most, then 404 |
//! | a playlist | at once; with `_HLS_msn` when it has that segment or part, 503 after three target durations |
//! | `_HLS_msn` more than one segment ahead, or nonsense | 400 |
//! | a part or segment that comes next | waits for it |
//! | one that is further ahead, gone, or of a view that the stream does not have | 404, kept by caches for a second |
//! | a segment under way | what there is of it, and the rest as it comes, in chunks |

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use weir_hls::query::{Directives, Position};
use weir_media::Frame;

use crate::archive::{self, ArchiveError};
use crate::cut::Cutter;
use crate::file::{File, List, View};
use crate::lists::Facts;
use crate::manifest::Times;
use crate::reply::{Cache, Reply};
use crate::seal::Sealer;
use crate::settings::{Encryption, Settings};
use crate::store::{Anchor, Segment, Store};
use crate::transport::Transport;

/// How long a request waits for a stream's first segment. A GOP that takes longer than the longest segment is cut.
pub const OPENING_WAIT: Duration = Duration::from_secs(15);

/// How many target durations a request for what is to come waits (RFC 8216bis, section 6.2.5.2).
const BLOCK_TARGETS: u32 = 3;

/// For how many target durations caches keep what was waited for (appendix B.1 there).
const BLOCKED_CACHE_TARGETS: u32 = 6;

/// How long caches keep an answer that something is not there.
const MISSING: Cache = Cache::Seconds(1);

/// Texts shorter than this are not compressed: they fit into a packet as they are.
const GZIP_LEAST: usize = 1_000;

/// A segment type box (ISO/IEC 14496-12 §8.16.2, brand `msdh` of ISO/IEC 23009-1 §6.3.4.2) and nothing behind it.
const EMPTY_SEGMENT: [u8; 20] = *b"\0\0\0\x14stypmsdh\0\0\0\0msdh";

const PLAYLIST_TYPE: &str = "application/vnd.apple.mpegurl";
const MANIFEST_TYPE: &str = "application/dash+xml";
const TS_TYPE: &str = "video/mp2t";

/// What is known of a stream's rhythm before its frames come here.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rhythm {
    /// The usual distance of pictures.
    pub interval: Option<Duration>,
    /// The usual distance of key frames.
    pub gop: Option<Duration>,
}

/// A request.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// What is asked for.
    pub file: File,
    /// The query of the request, without the question mark.
    pub query: &'a str,
    /// The client takes bodies in gzip.
    pub accepts_gzip: bool,
    /// When the request came. It decides how long it may wait.
    pub since: Instant,
}

/// What becomes of a request now.
#[derive(Debug)]
pub enum Answer {
    /// This is the answer.
    Ready(Reply),
    /// There is none yet: ask again when there is news, and at `until`, when there will be one.
    Wait {
        /// When waiting ends.
        until: Instant,
    },
    /// The beginning of the answer; its length is not known. The rest comes from [`Channel::more`].
    Growing(Reply, Rest),
}

/// What is to be sent yet of a segment under way.
#[derive(Debug, Clone, Copy)]
pub struct Rest {
    view: View,
    msn: u64,
    next_part: usize,
}

/// More of a segment under way.
#[derive(Debug)]
pub enum More {
    /// What has come since. If `is_last`, that is all.
    Pieces {
        /// The bytes; may be none at the end.
        body: Vec<Bytes>,
        /// The segment is complete.
        is_last: bool,
    },
    /// Nothing yet: ask again when there is news, and at `until`, when there will be an end.
    Wait {
        /// When waiting ends.
        until: Instant,
    },
}

/// A text that was made for a version of the store.
#[derive(Debug)]
struct Text {
    file: File,
    skip: bool,
    body: Bytes,
    gzip: Option<Bytes>,
}

/// A stream's segments.
#[derive(Debug)]
pub struct Channel {
    settings: Arc<Settings>,
    stem: String,
    cutter: Cutter,
    store: Store,
    /// Longest segment there was or is to be, in whole seconds.
    target: Duration,
    ended: bool,
    /// The number of the first segment that no file was made of.
    archived: u64,
    /// Time zero of the line, once a manifest has said it.
    begin: Option<SystemTime>,
    transport: Transport,
    sealer: Sealer,
    /// Texts of the store's version `texts_of`.
    texts: Vec<Text>,
    texts_of: u64,
}

impl Channel {
    /// The segments of the stream whose name stands as `stem` in URIs. `secret` is random; keys are made of it.
    pub fn new(
        settings: Arc<Settings>,
        stem: &str,
        anchor: Anchor,
        rhythm: Rhythm,
        secret: [u8; 32],
    ) -> Self {
        let cutter = Cutter::new(Arc::clone(&settings), anchor.now, rhythm.interval);
        Self {
            target: first_target(&settings, rhythm.gop),
            cutter,
            settings,
            stem: stem.to_owned(),
            store: Store::new(anchor),
            ended: false,
            archived: 0,
            begin: None,
            transport: Transport::default(),
            sealer: Sealer::new(secret),
            texts: Vec::new(),
            texts_of: 0,
        }
    }

    /// A publisher has come, or come back; it has published since `since`.
    pub fn publish(&mut self, since: Instant) {
        self.cutter.publish(since, &mut self.store);
        if std::mem::take(&mut self.ended) {
            // lists that had ended are never added to; who comes now sees another
            self.store.clear();
            self.begin = None;
        }
        self.store.touch();
    }

    /// Takes in a frame; true when something can be answered that could not be before.
    pub fn push(&mut self, now: Instant, frame: &Frame) -> bool {
        let news = self.cutter.push(now, frame, &mut self.store);
        if news {
            self.grow_target();
        }
        news
    }

    /// The publisher has gone, and may return: what is there is complete.
    pub fn pause(&mut self) {
        self.cutter.finish(&mut self.store);
        self.grow_target();
    }

    /// The stream is over.
    pub fn end(&mut self) {
        self.pause();
        self.ended = true;
        self.store.touch();
    }

    /// Takes in the files of segments that [`Channel::archive`] made for a process before this one. To be called before
    /// the first publisher. The numbers and times of those segments go on, so that players notice no more than a
    /// discontinuity. Returns how many are of use, and the errors of files that are not.
    pub fn restore(&mut self, now: Instant, files: &[Bytes]) -> (usize, Vec<ArchiveError>) {
        let (mut found, mut errors) = (Vec::new(), Vec::new());
        for file in files {
            match archive::decode(file) {
                Ok(segment) => found.push(segment),
                Err(error) => errors.push(error),
            }
        }
        if let Some(ticks) = self.store.restore(found, now) {
            self.cutter.resume(ticks);
            self.archived = self.store.next_msn();
            self.grow_target();
        }
        (self.segments(), errors)
    }

    /// The files of segments that are complete since the last call, each with its number, in pieces. What the channel
    /// does not keep any more, it does not need: see [`Channel::oldest`].
    pub fn archive(&mut self) -> Vec<(u64, Vec<Bytes>)> {
        let from = self.archived;
        self.store.date_complete(from);
        let files = self
            .store
            .complete_from(from)
            .map(|(segment, discontinuities)| {
                let mut pieces = Vec::with_capacity(segment.parts.len() + 2);
                archive::encode(segment, discontinuities, &mut pieces);
                (segment.msn, pieces)
            });
        let files: Vec<_> = files.collect();
        if let Some((last, _)) = files.last() {
            self.archived = last + 1;
        }
        files
    }

    /// The number of the oldest segment that is kept.
    pub fn oldest(&self) -> u64 {
        let first = self.store.segments().front();
        first.map_or_else(|| self.store.next_msn(), |first| first.msn)
    }

    /// Memory held by complete segments and their copies, in bytes.
    pub fn memory(&self) -> usize {
        self.store.memory()
    }

    /// Number of complete segments.
    pub fn segments(&self) -> usize {
        self.store
            .segments()
            .iter()
            .filter(|segment| segment.complete)
            .count()
    }

    fn grow_target(&mut self) {
        let complete = self
            .store
            .segments()
            .iter()
            .rev()
            .find(|segment| segment.complete);
        let complete = complete.map_or(Duration::ZERO, |segment| segment.duration(View::Both));
        let longest = complete.max(self.cutter.elapsed());
        // lengths are rounded to whole seconds when they are held against it
        self.target = self
            .target
            .max(Duration::from_secs(longest.as_secs_f64().round() as u64));
    }

    /// What to say to a request now.
    pub fn ask(&mut self, now: Instant, ask: &Ask<'_>) -> Answer {
        let is_dash = ask.file == File::Manifest;
        let offered = match (is_dash, ask.file) {
            (true, _) => self.settings.offers_dash(),
            (false, File::Multivariant | File::Playlist(_)) => self.settings.hls,
            _ => true,
        };
        if !offered {
            return missing("this server does not offer this form of the stream");
        }
        match ask.file {
            File::Multivariant | File::Manifest | File::Playlist(_) => self.list(now, ask),
            File::Init { view, first } => self.init(view, first),
            File::Segment { view, msn } => self.segment(now, ask, view, msn),
            File::Listed { view, first, msn } => self.listed(now, ask, view, first, msn),
            File::Part { view, msn, part } => self.part(now, ask, view, msn, part),
            File::Ts { msn } => self.ts(msn),
            File::Key { number } => self.key(number),
        }
    }

    /// The rest of a segment that was under way when it was asked for at `since`.
    pub fn more(&mut self, now: Instant, since: Instant, rest: &mut Rest) -> More {
        let open_msn = self.store.open_msn();
        let end = |body| More::Pieces {
            body,
            is_last: true,
        };
        let Some(segment) = self.store.get_mut(rest.msn) else {
            return end(Vec::new());
        };
        let mut body = Vec::new();
        segment.write(rest.view, rest.next_part, &mut body);
        rest.next_part = segment.parts.len();
        let is_last = segment.complete || rest.msn != open_msn;
        let until = since + self.settings.longest_segment * 2 + OPENING_WAIT;
        match body.is_empty() && !is_last && now < until {
            true => More::Wait { until },
            false => More::Pieces {
                body,
                is_last: is_last || now >= until,
            },
        }
    }

    fn is_ready(&self) -> bool {
        self.store.segments().iter().any(|segment| segment.complete)
    }

    /// Playlists and manifests.
    fn list(&mut self, now: Instant, ask: &Ask<'_>) -> Answer {
        if !self.is_ready() {
            return self.not_ready(now, ask);
        }
        let File::Playlist(list) = ask.file else {
            // a manifest tells the time
            let cache = match ask.file {
                File::Manifest => Cache::Never,
                _ => Cache::Seconds(1),
            };
            return Answer::Ready(self.text(now, ask, false, cache));
        };
        if !self
            .store
            .segments()
            .iter()
            .any(|segment| list.suits(&segment.period))
        {
            return missing("this stream has no such tracks");
        }
        let directives = match Directives::parse(ask.query) {
            Ok(directives) => directives,
            Err(error) => return refuse(400, &format!("bad request: {error}")),
        };
        let cache = match directives.until {
            None => Cache::Seconds(self.short_life()),
            Some(position) if self.has(list, position) => {
                let life = self.target * BLOCKED_CACHE_TARGETS;
                Cache::Seconds(u32::try_from(life.as_secs()).unwrap_or(u32::MAX))
            }
            Some(_) if self.ended => Cache::Seconds(self.short_life()),
            Some(position) if position.segment > self.store.open_msn() + 1 => {
                return refuse(400, "bad request: _HLS_msn is too far ahead");
            }
            Some(_) if !self.settings.low_latency => {
                return refuse(400, "bad request: this playlist cannot be waited for");
            }
            Some(_) => return self.block(now, ask, 503, "the stream has not come so far"),
        };
        let skip = directives.skip.is_some() && self.settings.low_latency;
        Answer::Ready(self.text(now, ask, skip, cache))
    }

    /// Seconds for which a list is good that was not waited for: half a target duration.
    fn short_life(&self) -> u32 {
        u32::try_from(self.target.as_secs() / 2).unwrap_or(1).max(1)
    }

    /// Whether a list has what is asked for.
    fn has(&self, list: List, position: Position) -> bool {
        let open = self.store.open_msn();
        let (from, _) = self.store.listed(&self.settings);
        let begins = self
            .store
            .segments()
            .get(from)
            .map_or(open, |first| first.msn);
        if position.segment < open {
            // numbers from before the list are there in the sense that they have been
            return position.segment >= begins || self.store.segments().len() > 1;
        }
        let Some(part) = position
            .part
            .filter(|_| list != List::Ts && self.settings.offers_parts())
        else {
            return false;
        };
        let parts = self.store.open().map_or(0, |open| open.parts.len() as u64);
        position.segment == open && part < parts
    }

    /// Waits as long as a request for what is to come may; then says `status`.
    fn block(&self, now: Instant, ask: &Ask<'_>, status: u16, text: &str) -> Answer {
        let until = ask.since + self.target * BLOCK_TARGETS;
        if now < until {
            return Answer::Wait { until };
        }
        match status {
            404 => missing(text),
            _ => unavailable(text),
        }
    }

    fn not_ready(&self, now: Instant, ask: &Ask<'_>) -> Answer {
        let until = ask.since + OPENING_WAIT;
        if self.ended {
            return missing("this stream has ended");
        }
        if self.cutter.is_unusable() {
            return missing("the codecs of this stream cannot be put into segments");
        }
        if now < until {
            return Answer::Wait { until };
        }
        missing("this stream has no segment yet")
    }

    /// A text of the version at hand, made once.
    fn text(&mut self, now: Instant, ask: &Ask<'_>, skip: bool, cache: Cache) -> Reply {
        let version = self.store.version();
        // what tells the time is good for a moment only
        if self.texts_of != version || ask.file == File::Manifest {
            self.texts.clear();
            self.texts_of = version;
        }
        let file = ask.file;
        let made = self
            .texts
            .iter()
            .position(|text| (text.file, text.skip) == (file, skip));
        let index = made.unwrap_or_else(|| {
            let body = Bytes::from(self.write(now, file, skip));
            self.texts.push(Text {
                file,
                skip,
                body,
                gzip: None,
            });
            self.texts.len() - 1
        });
        let content_type = match file {
            File::Manifest => MANIFEST_TYPE,
            _ => PLAYLIST_TYPE,
        };
        let mut reply = Reply::whole(content_type, cache, Vec::new());
        let first = self
            .store
            .segments()
            .front()
            .map_or(0, |segment| segment.msn);
        reply.etag = Some(format!("\"{first:x}-{version:x}-{}\"", u8::from(skip)));
        if let Some(text) = self.texts.get_mut(index) {
            reply.body.push(text.body.clone());
            if ask.accepts_gzip && text.body.len() >= GZIP_LEAST {
                let body = &text.body;
                reply.gzip = Some(text.gzip.get_or_insert_with(|| gzip(body)).clone());
            }
        }
        reply
    }

    fn write(&mut self, now: Instant, file: File, skip: bool) -> String {
        let (from, _) = self.store.listed(&self.settings);
        self.store.date(from);
        let begin = *self.begin.get_or_insert_with(|| self.store.zero());
        let times = Times {
            begin,
            now: self.store.wallclock(now),
        };
        let facts = Facts {
            store: &self.store,
            settings: &self.settings,
            stem: &self.stem,
            target: self.target,
            part_target: self.cutter.part_target(),
            interval: self.cutter.interval(),
            ended: self.ended,
        };
        match file {
            File::Playlist(list) => facts.media(list, skip),
            File::Manifest => facts.manifest(times),
            _ => facts.multivariant(),
        }
    }

    fn init(&self, view: View, first: u64) -> Answer {
        let mut periods = self.store.segments().iter().map(|segment| &segment.period);
        let init = periods
            .find(|period| period.first == first)
            .and_then(|period| period.init(view));
        match init {
            Some(init) => found(content_type(view), vec![init]),
            None => missing("no such initialisation segment"),
        }
    }

    fn segment(&mut self, now: Instant, ask: &Ask<'_>, view: View, msn: u64) -> Answer {
        let open = self.store.open_msn();
        if msn >= open {
            let is_sealed = self.settings.encryption != Encryption::None;
            let parts = self.store.open().map_or(0, |open| open.parts.len());
            return match (msn - open, parts) {
                _ if self.ended || is_sealed => missing("no such segment"),
                (0, 1..) => self.growing(view, msn),
                (0 | 1, _) => self.block(now, ask, 404, "this segment has not come"),
                _ => missing("no such segment"),
            };
        }
        let Some(segment) = self
            .store
            .get_mut(msn)
            .filter(|s| s.period.init(view).is_some())
        else {
            return missing("no such segment");
        };
        let mut body = Vec::with_capacity(segment.parts.len() * 2);
        segment.write(view, 0, &mut body);
        let body = match self.sealed(view.index(), msn, &body) {
            Some(sealed) => vec![sealed],
            None => body,
        };
        found(content_type(view), body)
    }

    /// A segment that was listed with the init segment of the period `first`.
    fn listed(&mut self, now: Instant, ask: &Ask<'_>, view: View, first: u64, msn: u64) -> Answer {
        match self.store.get(msn).map(|segment| segment.period.first) {
            // a player that is told of nothing goes on to the next period; one that is told of a failure tries again
            Some(later) if later > first => {
                let body = Bytes::from_static(&EMPTY_SEGMENT);
                let life = Cache::Seconds(self.short_life());
                Answer::Ready(Reply::whole(content_type(view), life, vec![body]))
            }
            Some(other) if other < first => missing("no such segment"),
            _ => self.segment(now, ask, view, msn),
        }
    }

    fn growing(&mut self, view: View, msn: u64) -> Answer {
        let Some(segment) = self
            .store
            .get_mut(msn)
            .filter(|s| s.period.init(view).is_some())
        else {
            return missing("no such segment");
        };
        let mut body = Vec::new();
        segment.write(view, 0, &mut body);
        let next_part = segment.parts.len();
        let reply = Reply::whole(content_type(view), Cache::Immutable, body);
        Answer::Growing(
            reply,
            Rest {
                view,
                msn,
                next_part,
            },
        )
    }

    fn part(&mut self, now: Instant, ask: &Ask<'_>, view: View, msn: u64, part: u32) -> Answer {
        if !self.settings.offers_parts() {
            return missing("this stream has no parts");
        }
        let (open, index) = (self.store.open_msn(), part as usize);
        let parts = self.store.open().map_or(0, |open| open.parts.len());
        let comes = (msn == open && index == parts) || (msn == open + 1 && part == 0);
        if comes && !self.ended {
            return self.block(now, ask, 404, "this part has not come");
        }
        let segment = self
            .store
            .get_mut(msn)
            .filter(|s| s.period.init(view).is_some());
        let Some(segment) = segment else {
            return missing("no such part");
        };
        let period = Arc::clone(&segment.period);
        let Some(part) = segment.parts.get_mut(index) else {
            return missing("no such part");
        };
        let mut body = Vec::with_capacity(2);
        part.write(view, &period, &mut body);
        found(content_type(view), body)
    }

    fn ts(&mut self, msn: u64) -> Answer {
        let is_there = |s: &&Segment| s.complete && s.period.fits_ts();
        if self.store.get(msn).filter(is_there).is_none() {
            return missing("no such segment");
        }
        let Some(body) = self.transport.segment(&mut self.store, msn) else {
            return missing("this segment cannot be put into MPEG-TS");
        };
        let sealed = self.sealed(View::ALL.len(), msn, std::slice::from_ref(&body));
        found(TS_TYPE, vec![sealed.unwrap_or(body)])
    }

    /// The encrypted form of a segment, made once; `None` where segments are not encrypted.
    fn sealed(&mut self, form: usize, msn: u64, body: &[Bytes]) -> Option<Bytes> {
        let segment = self.store.get_mut(msn)?;
        let number = segment.key?;
        let slot = segment.sealed.get_mut(form)?;
        if let Some(sealed) = slot {
            return Some(sealed.clone());
        }
        let sealed = self.sealer.seal(number, msn, body);
        *slot = Some(sealed.clone());
        self.store.grow(sealed.len());
        Some(sealed)
    }

    fn key(&self, number: u64) -> Answer {
        let mut keys = self
            .store
            .segments()
            .iter()
            .filter_map(|segment| segment.key);
        if !keys.any(|key| key == number) {
            return missing("no such key");
        }
        let key = Bytes::copy_from_slice(&self.sealer.key(number));
        Answer::Ready(Reply::whole(
            "application/octet-stream",
            Cache::Never,
            vec![key],
        ))
    }
}

/// The target duration to begin with: the wanted length, or as many whole GOPs as it takes.
fn first_target(settings: &Settings, gop: Option<Duration>) -> Duration {
    let wanted = settings.segment.as_secs_f64();
    let gop = gop.map_or(0.0, |gop| gop.as_secs_f64());
    let expected = match gop > 0.01 {
        true => (wanted / gop - 0.01).ceil().max(1.0) * gop,
        false => wanted,
    };
    let expected = expected.min(settings.longest_segment.as_secs_f64()).round();
    Duration::from_secs((expected as u64).max(wanted.ceil() as u64).max(1))
}

fn content_type(view: View) -> &'static str {
    match view {
        View::Audio => "audio/mp4",
        View::Both | View::Video => "video/mp4",
    }
}

fn found(content_type: &'static str, body: Vec<Bytes>) -> Answer {
    Answer::Ready(Reply::whole(content_type, Cache::Immutable, body))
}

fn missing(text: &str) -> Answer {
    Answer::Ready(Reply::refusal(404, MISSING, text))
}

fn refuse(status: u16, text: &str) -> Answer {
    Answer::Ready(Reply::refusal(status, Cache::Never, text))
}

fn unavailable(text: &str) -> Answer {
    let mut reply = Reply::refusal(503, Cache::Never, text);
    reply.retry_after = Some(1);
    Answer::Ready(reply)
}

fn gzip(body: &[u8]) -> Bytes {
    use std::io::Write as _;
    let level = flate2::Compression::new(4);
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(body.len() / 4), level);
    // a vector takes every write
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    Bytes::from(written.unwrap_or_default())
}
