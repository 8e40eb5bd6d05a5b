//! One stream: publisher, timeline, headers, cache and logs under one short lock.
//!
//! Owns: the state and every change to it. Does not: live longer than it is needed: the hub's sweep retires it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use weir_media::{Codec, Frame, Media, Role, SessionId, StreamKey, Timestamp, TrackId, TrackInfo};

use crate::gop::Gop;
use crate::log::{Format, FormatId, Log, Setup};
use crate::mailbox::Mailbox;
use crate::metrics::{DropCause, Metrics};
use crate::pace::{Drops, Pace, Rhythm};
use crate::publisher::Unpublished;
use crate::reader::{Feed, Mirror, Reader, StartPoint, Synced, ViewerPlace};
use crate::sessions::Session;
use crate::settings::{Latency, Settings, Start};
use crate::tap::{Placed, Tap};
use crate::timeline::Timeline;

/// After this long a medium that has not come is taken not to come: encoders begin all tracks within it.
const MEDIA_SETTLED: Duration = Duration::from_secs(1);

/// How long pictures are held back until the first key frame. Encoders send one every 10 s at the latest; a stream that
/// does not in this time refreshes in another way (intra refresh), and is passed on as it is.
const KEY_WAIT: Duration = Duration::from_secs(10);

/// A stream. Shared by its publisher, its readers and the hub's table.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) key: StreamKey,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) viewers: AtomicU64,
    /// Taps that want frames at once.
    pub(crate) eager: AtomicU64,
    drops: Drops,
    state: Mutex<State>,
}

struct State {
    settings: Arc<Settings>,
    /// Taken out of the hub's table; whoever still finds it looks again.
    retired: bool,
    publisher: Option<Arc<Session>>,
    /// Counts publishers, so that one that was replaced cannot push.
    epoch: u64,
    published_at: Option<Instant>,
    left_at: Option<Instant>,
    last_frame_at: Option<Instant>,
    /// Viewers have been told that the publisher left.
    told: bool,
    timeline: Timeline,
    setup: Setup,
    gop: Gop,
    /// This publisher has sent a picture that decoders can begin with.
    key_seen: bool,
    logs: Vec<Log>,
    taps: Vec<Placed>,
    /// Numbers taps.
    next_tap: u64,
    tracks: Vec<TrackSnapshot>,
    bytes_in: u64,
    frames_in: u64,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

/// A track as the API shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackSnapshot {
    /// Which track.
    pub track: TrackId,
    /// Its codec and what its header says; `None` for script data.
    pub info: Option<TrackInfo>,
    /// Frames received.
    pub frames: u64,
    /// Bytes received.
    pub bytes: u64,
    pace: Pace,
}

impl TrackSnapshot {
    /// How the frames of the track come.
    pub fn rhythm(&self) -> Rhythm {
        self.pace.rhythm()
    }
}

/// A stream as the API shows it.
#[derive(Debug, Clone)]
pub struct StreamSnapshot {
    /// Its key.
    pub key: StreamKey,
    /// The session that publishes it, if one does.
    pub publisher: Option<SessionId>,
    /// How long it has been published.
    pub uptime: Option<Duration>,
    /// Viewers now.
    pub viewers: u64,
    /// Tracks seen since it was published.
    pub tracks: Vec<TrackSnapshot>,
    /// Frames received.
    pub frames_in: u64,
    /// Media bytes received.
    pub bytes_in: u64,
    /// Bytes of frames in the GOP cache.
    pub gop_bytes: usize,
    /// Media time in the GOP cache.
    pub gop_duration: Duration,
    /// Bytes of the derived logs.
    pub log_bytes: usize,
    /// The newest media time.
    pub newest: Option<Timestamp>,
    /// What was lost or mended since the stream is there, for every cause.
    pub drops: Vec<(DropCause, u64)>,
    /// How far the viewer that is furthest behind is behind live, of those who read logs; `None` when nobody does.
    pub lag: Option<Duration>,
}

impl StreamSnapshot {
    /// How its pictures come.
    pub fn rhythm(&self) -> Rhythm {
        rhythm(&self.tracks)
    }
}

/// The rhythm of the default video track: the one with the lowest number.
fn rhythm(tracks: &[TrackSnapshot]) -> Rhythm {
    let video = tracks.iter().filter(|one| one.track.media == Media::Video);
    let default = video.min_by_key(|one| one.track.index);
    default.map_or_else(Rhythm::default, TrackSnapshot::rhythm)
}

/// The stream was retired between finding and locking it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Retired;

/// What became of a wish to publish.
#[derive(Debug)]
pub(crate) enum Published {
    /// The new publisher's epoch, and the session it replaced.
    Accepted {
        epoch: u64,
        replaced: Option<Arc<Session>>,
    },
    /// Somebody publishes already.
    Busy(SessionId),
}

impl Stream {
    pub(crate) fn new(key: StreamKey, settings: Arc<Settings>, metrics: Arc<Metrics>) -> Self {
        Self {
            key,
            metrics,
            viewers: AtomicU64::new(0),
            eager: AtomicU64::new(0),
            drops: Drops::default(),
            state: Mutex::new(State {
                settings,
                retired: false,
                publisher: None,
                epoch: 0,
                published_at: None,
                left_at: None,
                last_frame_at: None,
                told: false,
                timeline: Timeline::default(),
                setup: Setup::default(),
                gop: Gop::default(),
                key_seen: false,
                logs: Vec::new(),
                taps: Vec::new(),
                next_tap: 0,
                tracks: Vec::new(),
                bytes_in: 0,
                frames_in: 0,
            }),
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.state.lock().publisher.is_some()
    }

    /// Whether the stream has pictures and sound; `None` while that is not certain.
    pub(crate) fn media(&self, now: Instant) -> Option<(bool, bool)> {
        let state = self.state.lock();
        let has = |media| state.tracks.iter().any(|track| track.track.media == media);
        let (video, audio) = (has(Media::Video), has(Media::Audio));
        let settled = state
            .published_at
            .is_some_and(|at| now.saturating_duration_since(at) >= MEDIA_SETTLED);
        ((video && audio) || (settled && (video || audio))).then_some((video, audio))
    }

    /// The codecs of the tracks that have been described.
    pub(crate) fn codecs(&self) -> Vec<Codec> {
        let state = self.state.lock();
        let described = state.tracks.iter().filter_map(|track| track.info.as_ref());
        described.map(|info| info.codec).collect()
    }

    /// How the stream's pictures come.
    pub(crate) fn rhythm(&self) -> Rhythm {
        rhythm(&self.state.lock().tracks)
    }

    /// Counts `count` losses, of this stream and of all.
    pub(crate) fn dropped(&self, cause: DropCause, count: u64) {
        if count > 0 {
            self.drops.add(cause, count);
            self.metrics.dropped(cause, count);
        }
    }

    pub(crate) fn set_settings(&self, settings: Arc<Settings>) {
        self.state.lock().settings = settings;
    }

    /// Makes `session` the publisher, or says who is.
    pub(crate) fn publish(
        &self,
        now: Instant,
        session: &Arc<Session>,
        takeover: bool,
    ) -> Result<Published, Retired> {
        let mut wakers = Vec::new();
        let mut state = self.state.lock();
        if state.retired {
            return Err(Retired);
        }
        if let Some(current) = &state.publisher
            && !takeover
        {
            return Ok(Published::Busy(current.id));
        }
        let replaced = state.publisher.replace(Arc::clone(session));
        state.epoch += 1;
        if let Some(last) = state.last_frame_at {
            state.timeline.resume(now.saturating_duration_since(last));
            self.metrics.republished.inc();
        }
        if replaced.is_none() {
            self.metrics.live_streams.inc();
            self.metrics.publishers.inc();
        }
        state.published_at = Some(now);
        state.left_at = None;
        state.setup = Setup::default();
        state.gop.clear();
        state.key_seen = false;
        state.tracks.clear();
        let told = std::mem::take(&mut state.told);
        for log in &mut state.logs {
            log.forget_start();
            log.ended = false;
            if told {
                log.announce(true, now);
                wakers.extend(log.feeds.iter().filter_map(|feed| feed.post(true)));
            }
        }
        for placed in &mut state.taps {
            placed.is_over = false;
            placed.tap.published(now, now, &mut wakers);
        }
        let epoch = state.epoch;
        drop(state);
        wake(&mut wakers);
        Ok(Published::Accepted { epoch, replaced })
    }

    /// Takes in a frame from the publisher of `epoch`; false when it is not the publisher any more.
    pub(crate) fn push(
        &self,
        now: Instant,
        epoch: u64,
        mut frame: Frame,
        wakers: &mut Vec<Waker>,
    ) -> bool {
        let mut state = self.state.lock();
        if state.epoch != epoch || state.publisher.is_none() {
            return false;
        }
        let state = &mut *state;
        let (jumps, held) = (state.timeline.jumps, state.timeline.held);
        frame.dts = state.timeline.map(frame.track, frame.role, frame.dts);
        self.dropped(DropCause::TimeJump, state.timeline.jumps - jumps);
        self.dropped(DropCause::TimeHeld, state.timeline.held - held);
        state.last_frame_at = Some(now);
        state.count(&frame);
        state.setup.update(&frame);
        state.key_seen |= (frame.track.media, frame.role) == (Media::Video, Role::Key);
        let keyless = !state.key_seen
            && state
                .published_at
                .is_some_and(|at| now.saturating_duration_since(at) >= KEY_WAIT);
        if (frame.track.media, frame.role) == (Media::Video, Role::Delta)
            && !state.key_seen
            && !keyless
        {
            // relays of other servers begin anywhere; those who wait would be shown what they cannot decode
            self.dropped(DropCause::BeforeKey, 1);
            return true;
        }
        let entry = state.gop.is_entry(&frame, keyless);
        state.gop.push(&frame, entry, &state.settings);
        let urgent = matches!(state.settings.latency, Latency::Fixed(_));
        for log in &mut state.logs {
            log.append(&frame, entry, &state.setup, now, &state.settings);
            wakers.extend(log.feeds.iter().filter_map(|feed| feed.post(urgent)));
        }
        for placed in &mut state.taps {
            placed.tap.frame(now, &frame, wakers);
        }
        true
    }

    /// Notes what a track's header says.
    pub(crate) fn describe(&self, track: TrackId, info: TrackInfo) {
        let mut state = self.state.lock();
        state.track(track).info = Some(info);
    }

    /// The publisher of `epoch` has gone.
    pub(crate) fn unpublish(&self, now: Instant, epoch: u64, how: Unpublished) {
        let mut wakers = Vec::new();
        {
            let mut state = self.state.lock();
            if state.epoch != epoch || state.publisher.is_none() {
                return;
            }
            state.publisher = None;
            state.published_at = None;
            state.left_at = Some(now);
            self.metrics.live_streams.dec();
            self.metrics.publishers.dec();
            for placed in &mut state.taps {
                placed.tap.paused(now, &mut wakers);
            }
            if how == Unpublished::Finished {
                // only a lost publisher is waited for
                state.end(now, &mut wakers);
            }
        }
        wake(&mut wakers);
    }

    /// Ends what has waited for its publisher long enough. True when the stream can be taken out of the table.
    pub(crate) fn sweep(&self, now: Instant) -> bool {
        let mut wakers = Vec::new();
        let mut state = self.state.lock();
        if state.publisher.is_some() {
            return false;
        }
        let over = state
            .left_at
            .is_none_or(|left| now.saturating_duration_since(left) >= state.settings.grace);
        if !over {
            return false;
        }
        if state.left_at.is_some() {
            state.end(now, &mut wakers);
        }
        if self.viewers.load(Ordering::Relaxed) == 0
            && state.logs.is_empty()
            && state.taps.is_empty()
        {
            state.retired = true;
        }
        let retired = state.retired;
        drop(state);
        wake(&mut wakers);
        retired
    }

    /// Opens a core's place at the log of a format, which is made if it is the first.
    pub(crate) fn open(
        self: &Arc<Self>,
        id: FormatId,
        make: &mut dyn FnMut() -> Box<dyn Format>,
        mailbox: &Arc<Mailbox>,
        token: u32,
        now: Instant,
    ) -> Result<Reader, Retired> {
        let mut state = self.state.lock();
        if state.retired {
            return Err(Retired);
        }
        let reader = Reader::new(Arc::clone(self), id, Arc::clone(mailbox), token);
        let state = &mut *state;
        let log = match state.logs.iter().position(|log| log.id() == id) {
            Some(index) => &mut state.logs[index],
            None => {
                let mut log = Log::new(id, make());
                for (index, frame) in state.gop.frames().enumerate() {
                    log.append(frame, index == 0, &state.setup, now, &state.settings);
                }
                state.logs.push(log);
                let last = state.logs.len() - 1;
                &mut state.logs[last]
            }
        };
        log.feeds.push(Arc::clone(reader.feed()));
        Ok(reader)
    }

    /// Puts a tap in place, and tells it what there is; `None` when nobody publishes the stream.
    pub(crate) fn tap(&self, now: Instant, make: &mut dyn FnMut() -> Box<dyn Tap>) -> Option<u64> {
        let mut wakers = Vec::new();
        let mut state = self.state.lock();
        let state_ref = &mut *state;
        let since = state_ref.published_at.filter(|_| !state_ref.retired)?;
        let mut tap = make();
        tap.published(now, since, &mut wakers);
        let setup = &state_ref.setup;
        for frame in setup.metadata.iter().chain(&setup.configs) {
            tap.frame(now, frame, &mut wakers);
        }
        for frame in state_ref.gop.frames() {
            tap.frame(now, frame, &mut wakers);
        }
        let id = state_ref.next_tap;
        state_ref.next_tap += 1;
        state_ref.taps.push(Placed {
            id,
            tap,
            is_over: false,
        });
        drop(state);
        wake(&mut wakers);
        Some(id)
    }

    /// Takes a tap out.
    pub(crate) fn untap(&self, id: u64) {
        let mut state = self.state.lock();
        let index = state.taps.iter().position(|placed| placed.id == id);
        let gone = index.map(|index| state.taps.swap_remove(index));
        // what it keeps may be large; the lock is not held for its end
        drop(state);
        drop(gone);
    }

    /// Closes a core's place; a log without any is dropped.
    pub(crate) fn close(&self, id: FormatId, feed: &Arc<Feed>) {
        let mut state = self.state.lock();
        if let Some(index) = state.logs.iter().position(|log| log.id() == id) {
            let log = &mut state.logs[index];
            log.feeds.retain(|other| !Arc::ptr_eq(other, feed));
            if log.feeds.is_empty() {
                state.logs.swap_remove(index);
            }
        }
    }

    pub(crate) fn sync(&self, id: FormatId, mirror: &mut Mirror, now: Instant) -> Synced {
        let mut state = self.state.lock();
        let state = &mut *state;
        let mut ended = true;
        if let Some(log) = state.logs.iter_mut().find(|log| log.id() == id) {
            log.seal();
            log.trim(now, &state.settings);
            mirror.update(log.first(), log.pieces());
            ended = log.ended;
        }
        Synced {
            ended,
            latency: state.settings.latency,
            slow_viewer: state.settings.slow_viewer,
        }
    }

    /// Where a viewer begins now; `None` when the stream has as many as it may.
    pub(crate) fn start(
        self: &Arc<Self>,
        id: FormatId,
        policy: Option<Start>,
        now: Instant,
    ) -> Option<StartPoint> {
        let mut state = self.state.lock();
        let limit = state.settings.viewers_per_stream;
        if limit != 0 && self.viewers.load(Ordering::Relaxed) >= limit {
            return None;
        }
        let state = &mut *state;
        let policy = policy.unwrap_or(state.settings.start);
        let at = state.timeline.newest().unwrap_or_default();
        let log = state.logs.iter_mut().find(|log| log.id() == id)?;
        log.seal();
        log.trim(now, &state.settings);
        self.viewers.fetch_add(1, Ordering::Relaxed);
        let place = ViewerPlace::new(Arc::clone(self));
        Some(match (policy, log.cached_start()) {
            (Start::Cache, Some(cursor)) => StartPoint {
                cursor,
                prelude: None,
                at_entry: true,
                place,
            },
            (Start::Cache | Start::NextKey, _) => StartPoint {
                cursor: log.end(),
                prelude: None,
                at_entry: true,
                place,
            },
            (Start::Live, _) => {
                let prelude = Some(log.prelude(&state.setup, at)).filter(|p| !p.is_empty());
                StartPoint {
                    cursor: log.end(),
                    prelude,
                    at_entry: false,
                    place,
                }
            }
        })
    }

    pub(crate) fn snapshot(&self, now: Instant) -> StreamSnapshot {
        let state = self.state.lock();
        StreamSnapshot {
            key: self.key.clone(),
            publisher: state.publisher.as_ref().map(|session| session.id),
            uptime: state
                .published_at
                .map(|at| now.saturating_duration_since(at)),
            viewers: self.viewers.load(Ordering::Relaxed),
            tracks: state.tracks.clone(),
            frames_in: state.frames_in,
            bytes_in: state.bytes_in,
            gop_bytes: state.gop.bytes(),
            gop_duration: state.gop.duration(),
            log_bytes: state.logs.iter().map(Log::memory).sum(),
            newest: state.timeline.newest(),
            drops: self.drops.all(),
            lag: state.logs.iter().map(|log| log.lag(now)).max(),
        }
    }
}

impl State {
    fn track(&mut self, track: TrackId) -> &mut TrackSnapshot {
        let index = match self.tracks.iter().position(|known| known.track == track) {
            Some(index) => index,
            None => {
                self.tracks.push(TrackSnapshot {
                    track,
                    info: None,
                    frames: 0,
                    bytes: 0,
                    pace: Pace::default(),
                });
                self.tracks.len() - 1
            }
        };
        &mut self.tracks[index]
    }

    fn count(&mut self, frame: &Frame) {
        let bytes = frame.packet.len() as u64;
        self.bytes_in += bytes;
        self.frames_in += 1;
        let track = self.track(frame.track);
        track.frames += 1;
        track.bytes += bytes;
        if matches!(frame.role, Role::Key | Role::Delta) {
            track.pace.note(frame.dts, frame.role == Role::Key);
        }
    }

    /// The stream is over: viewers are told, formats without words for it close, and those who come now see nothing
    /// of what was. Changes nothing the second time.
    fn end(&mut self, now: Instant, wakers: &mut Vec<Waker>) {
        self.tell(now, wakers);
        self.gop.clear();
        for log in &mut self.logs {
            log.forget_start();
            if !std::mem::replace(&mut log.ended, true) {
                wakers.extend(log.feeds.iter().filter_map(|feed| feed.post(true)));
            }
        }
        for placed in &mut self.taps {
            if !std::mem::replace(&mut placed.is_over, true) {
                placed.tap.ended(now, wakers);
            }
        }
    }

    /// Tells viewers, once, that the publisher has left.
    fn tell(&mut self, now: Instant, wakers: &mut Vec<Waker>) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        for log in &mut self.logs {
            log.announce(false, now);
            wakers.extend(log.feeds.iter().filter_map(|feed| feed.post(true)));
        }
    }
}

/// Wakes without the stream's lock held where the caller has let go of it.
pub(crate) fn wake(wakers: &mut Vec<Waker>) {
    for waker in wakers.drain(..) {
        waker.wake();
    }
}
