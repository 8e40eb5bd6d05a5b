//! The shelf: which streams have segments, from the first request for them until nobody asks any more.
//!
//! Owns: [`Shelf`], the process's channels, their taps at the hub and their ends; `Handle`, a core's way to one of
//! them. Does not: know what an answer is (`weir-segment` does), or write to sockets.
//!
//! # One wake a core
//!
//! Thousands may wait for the next part. The push that completes it wakes one task on each core where somebody waits,
//! the herald (`news`); that one wakes its core's waiters, which costs no system call. All of them get the same shared
//! bytes.

mod audience;
mod disk;
mod memory;
mod metrics;
mod news;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use weir_http::request::Request;
use weir_hub::{Hub, Tap, Tapped};
use weir_media::{Frame, StreamKey};
use weir_net::clock;
use weir_net::cores::Core;
use weir_segment::{Anchor, Answer, Ask, Cache, Channel, File, More, Rest, Rhythm};

use crate::reply::{Files, Prepared, Shared};
use audience::Audience;
pub(crate) use audience::{DASH, HLS, Who};
use disk::Disk;
pub use metrics::Metrics;
pub(crate) use news::Rank;
use news::{Attendance, Bells, Herald};

/// When segments are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum When {
    /// From the first request for them, until nobody has asked for a while.
    #[default]
    Watched,
    /// From the first frame to the last.
    Always,
}

/// Settings of the shelf. They apply to channels that begin later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Settings of segments.
    pub segment: Arc<weir_segment::Settings>,
    /// When segments are made.
    pub when: When,
    /// How long segments are made after the last request.
    pub idle: Duration,
    /// Where segments are kept for the next process; it is opened once.
    pub folder: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment: Arc::default(),
            when: When::Watched,
            idle: Duration::from_secs(60),
            folder: None,
        }
    }
}

/// A stream's channel and those who have to do with it.
#[derive(Debug)]
struct Kept {
    key: StreamKey,
    channel: Mutex<Channel>,
    /// Where its segments are written too.
    disk: Option<Arc<Disk>>,
    metrics: Metrics,
    bells: Bells,
    files: Arc<Files>,
    audience: Mutex<Audience>,
    /// Where the channel's frames come from; none before it is in place, and none when it is taken down.
    tapped: Mutex<Option<Tapped>>,
    life: Mutex<Life>,
}

/// What decides when a channel goes.
#[derive(Debug)]
struct Life {
    /// The last request, or the beginning.
    asked: Instant,
    /// When the stream ended.
    ended: Option<Instant>,
}

/// The process's channels.
#[derive(Debug, Clone)]
pub struct Shelf {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    hub: Arc<Hub>,
    settings: ArcSwap<Settings>,
    channels: Mutex<HashMap<StreamKey, Arc<Kept>>>,
    disk: Option<Arc<Disk>>,
    metrics: Metrics,
}

impl Shelf {
    /// An empty shelf for the streams of `hub`. [`Shelf::tend`] has to run on one core. Fails when the folder of its
    /// settings cannot be used.
    pub fn new(hub: Arc<Hub>, settings: Settings, metrics: Metrics) -> io::Result<Self> {
        let keep = settings.segment.window * 2;
        let open = |folder: &PathBuf| Disk::open(folder, keep, clock::wallclock()).map(Arc::new);
        let shelf = Self {
            inner: Arc::new(Inner {
                disk: settings.folder.as_ref().map(open).transpose()?,
                hub,
                settings: ArcSwap::from_pointee(settings),
                channels: Mutex::default(),
                metrics,
            }),
        };
        let weak = Arc::downgrade(&shelf.inner);
        shelf.inner.hub.on_publish(move |key| {
            if let Some(inner) = weak.upgrade()
                && inner.settings.load().when == When::Always
            {
                inner.obtain(key);
            }
        });
        Ok(shelf)
    }

    /// Puts new settings in force, for channels that begin later.
    pub fn set_settings(&self, settings: Settings) {
        self.inner.settings.store(Arc::new(settings));
    }

    /// Takes down what nobody needs, and counts who watches, for as long as it is polled.
    pub async fn tend(self) {
        let mut interval = tokio::time::interval(TEND_EVERY);
        loop {
            interval.tick().await;
            self.inner.tend(clock::now());
        }
    }
}

/// How often channels and their audiences are looked after. It is the error of their times, which are seconds.
const TEND_EVERY: Duration = Duration::from_secs(1);

/// After so long without a request nobody is taken to wait for parts: players of the longest segments ask more often.
const DOZES_AFTER: Duration = Duration::from_secs(20);

impl Inner {
    fn find(&self, key: &StreamKey) -> Option<Arc<Kept>> {
        self.channels.lock().get(key).cloned()
    }

    /// The channel of a stream, which is made if somebody publishes it.
    fn obtain(&self, key: &StreamKey) -> Option<Arc<Kept>> {
        if let Some(kept) = self.find(key) {
            return Some(kept);
        }
        let now = clock::now();
        let kept = self.make(now, key)?;
        let mut channels = self.channels.lock();
        // another core may have been quicker
        let known = channels
            .entry(key.clone())
            .or_insert_with(|| Arc::clone(&kept));
        let known = Arc::clone(known);
        drop(channels);
        if Arc::ptr_eq(&known, &kept) {
            tracing::debug!(stream = %key, "making segments");
        }
        Some(known)
    }

    fn make(&self, now: Instant, key: &StreamKey) -> Option<Arc<Kept>> {
        let settings = self.settings.load();
        let rhythm = self.hub.rhythm(key)?;
        let anchor = Anchor {
            now,
            wallclock: clock::wallclock(),
        };
        let mut stem = String::new();
        weir_hls::uri::push_encoded(key.name(), &mut stem);
        let mut secret = [0; 32];
        if let Err(error) = aws_lc_rs::rand::fill(&mut secret) {
            tracing::error!(%error, "the system gives no random numbers, so no segments are made");
            return None;
        }
        let rhythm = Rhythm {
            interval: rhythm.frame_interval,
            gop: rhythm.gop,
        };
        let segment = Arc::clone(&settings.segment);
        let mut channel = Channel::new(segment, &stem, anchor, rhythm, secret);
        if let Some(disk) = &self.disk {
            let (restored, errors) = channel.restore(now, &disk.read(key));
            for error in errors {
                tracing::warn!(stream = %key, %error, "segment of an earlier process passed over");
            }
            if restored > 0 {
                tracing::info!(stream = %key, segments = restored, "going on with segments of an earlier process");
            }
        }
        let kept = Arc::new(Kept {
            key: key.clone(),
            channel: Mutex::new(channel),
            disk: self.disk.clone(),
            metrics: self.metrics.clone(),
            bells: Bells::default(),
            files: Arc::default(),
            audience: Mutex::default(),
            tapped: Mutex::default(),
            life: Mutex::new(Life {
                asked: now,
                ended: None,
            }),
        });
        let mut make = || {
            Box::new(Feed {
                kept: Arc::clone(&kept),
            }) as Box<dyn Tap>
        };
        let tapped = self.hub.tap(now, key, &mut make)?;
        // somebody has asked, unless all streams are cut; then the next look says that nobody has
        tapped.set_eager(true);
        *kept.tapped.lock() = Some(tapped);
        Some(kept)
    }

    fn tend(&self, now: Instant) {
        let all: Vec<_> = self.channels.lock().values().cloned().collect();
        let settings = self.settings.load();
        let (mut bytes, mut viewers) = (0, 0);
        for kept in &all {
            viewers += kept.audience.lock().tend(now, &self.hub);
            let asked = kept.life.lock().asked;
            kept.set_eager(now.saturating_duration_since(asked) < DOZES_AFTER);
            if kept.is_over(now, &settings) {
                self.take_down(kept);
            } else {
                bytes += kept.channel.lock().memory();
            }
        }
        let streams = self.channels.lock().len();
        self.metrics.set(streams, bytes, viewers);
    }

    fn take_down(&self, kept: &Arc<Kept>) {
        let mut channels = self.channels.lock();
        if channels
            .get(&kept.key)
            .is_some_and(|known| Arc::ptr_eq(known, kept))
        {
            channels.remove(&kept.key);
        }
        drop(channels);
        tracing::debug!(stream = %kept.key, "no segments any more");
        kept.audience.lock().clear(&self.hub);
        // with its tap goes the last that holds it, but for requests under way
        let tapped = kept.tapped.lock().take();
        drop(tapped);
        if let Some(disk) = &self.disk {
            disk.remove(&kept.key);
        }
    }
}

impl Kept {
    /// Notes that somebody asks.
    fn ask(&self, now: Instant) {
        let mut life = self.life.lock();
        let was_asleep = now.saturating_duration_since(life.asked) >= DOZES_AFTER;
        life.asked = now;
        drop(life);
        if was_asleep {
            self.set_eager(true);
        }
    }

    fn set_eager(&self, is_eager: bool) {
        if let Some(tapped) = self.tapped.lock().as_ref() {
            tapped.set_eager(is_eager);
        }
    }

    /// Has what is complete written to disk.
    fn keep(&self, channel: &mut Channel) {
        let Some(disk) = &self.disk else {
            return;
        };
        let oldest = channel.oldest();
        for (msn, pieces) in channel.archive() {
            if !disk.write(&self.key, msn, pieces, oldest) {
                self.metrics.left_out();
            }
        }
    }

    fn is_over(&self, now: Instant, settings: &Settings) -> bool {
        let life = self.life.lock();
        let (since_asked, window) = (
            now.saturating_duration_since(life.asked),
            settings.segment.window,
        );
        match life.ended {
            // what is listed must be there for as long as the list lasts
            Some(ended) => now.saturating_duration_since(ended) > window,
            None => settings.when == When::Watched && since_asked > settings.idle,
        }
    }
}

/// The tap of a channel.
struct Feed {
    kept: Arc<Kept>,
}

impl Tap for Feed {
    fn published(&mut self, _now: Instant, since: Instant, wakers: &mut Vec<Waker>) {
        self.kept.life.lock().ended = None;
        self.kept.channel.lock().publish(since);
        self.kept.bells.ring(wakers);
    }

    fn frame(&mut self, now: Instant, frame: &Frame, wakers: &mut Vec<Waker>) {
        let mut channel = self.kept.channel.lock();
        let news = channel.push(now, frame);
        if news {
            self.kept.keep(&mut channel);
        }
        drop(channel);
        if news {
            self.kept.bells.ring(wakers);
        }
    }

    fn paused(&mut self, _now: Instant, wakers: &mut Vec<Waker>) {
        let mut channel = self.kept.channel.lock();
        channel.pause();
        self.kept.keep(&mut channel);
        drop(channel);
        self.kept.bells.ring(wakers);
    }

    fn ended(&mut self, now: Instant, wakers: &mut Vec<Waker>) {
        self.kept.life.lock().ended = Some(now);
        self.kept.channel.lock().end();
        self.kept.bells.ring(wakers);
    }
}

/// The shelf as a core sees it. Cheap to clone; stays on the core.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    shelf: Shelf,
    core: Core,
    heralds: Rc<RefCell<HashMap<StreamKey, Rc<Herald>>>>,
}

/// One channel, from a core.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    kept: Arc<Kept>,
    attendance: Attendance,
}

impl Desk {
    /// The shelf for one core.
    pub(crate) fn new(shelf: Shelf, core: Core) -> Self {
        Self {
            shelf,
            core,
            heralds: Rc::default(),
        }
    }

    /// The counters.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.shelf.inner.metrics
    }

    /// True when `key` has segments, or somebody publishes it.
    pub(crate) fn knows(&self, key: &StreamKey) -> bool {
        self.shelf.inner.hub.is_live(key) || self.shelf.inner.find(key).is_some()
    }

    /// The channel of `key`; it is made if somebody publishes the stream. `None` when nobody does.
    pub(crate) fn open(&self, now: Instant, key: &StreamKey) -> Option<Handle> {
        let kept = self.shelf.inner.obtain(key)?;
        kept.ask(now);
        let attendance = self.herald(&kept).attend();
        Some(Handle { kept, attendance })
    }

    /// The herald of a channel on this core, which begins its work if it is the first.
    fn herald(&self, kept: &Arc<Kept>) -> Rc<Herald> {
        let mut heralds = self.heralds.borrow_mut();
        if let Some(herald) = heralds
            .get(&kept.key)
            .filter(|herald| herald.serves(&kept.bells))
        {
            return Rc::clone(herald);
        }
        let herald = Herald::new(&kept.bells);
        heralds.insert(kept.key.clone(), Rc::clone(&herald));
        drop(heralds);
        let (running, heralds, key) = (
            Rc::clone(&herald),
            Rc::clone(&self.heralds),
            kept.key.clone(),
        );
        self.core.spawn_service(async move {
            running.run().await;
            let mut heralds = heralds.borrow_mut();
            if heralds
                .get(&key)
                .is_some_and(|known| Rc::ptr_eq(known, &running))
            {
                heralds.remove(&key);
            }
        });
        herald
    }
}

impl Handle {
    /// What to say to a request now. If it is to wait, take [`Handle::news`] before other tasks of this core run.
    pub(crate) fn ask(&self, now: Instant, ask: &Ask<'_>) -> Answer {
        self.kept.channel.lock().ask(now, ask)
    }

    /// What somebody on this core was told who asked the same, if that still holds.
    pub(crate) fn recall(&self, request: &Request, file: File) -> Option<Shared> {
        self.attendance.memory().recall(request, file)
    }

    /// Makes an answer one that many can be told, and keeps it for [`Handle::recall`].
    pub(crate) fn share(
        &self,
        request: &Request,
        file: File,
        prepared: Prepared,
        cache: Cache,
    ) -> Shared {
        let shared = match cache {
            Cache::Immutable if memory::is_plain(request) => {
                Shared::lasting(prepared, &self.kept.files, file)
            }
            _ => prepared.into(),
        };
        let memory = self.attendance.memory();
        memory.remember(request, file, (&shared, cache));
        shared
    }

    /// The rest of a segment under way.
    pub(crate) fn more(&self, since: Instant, rest: &mut Rest) -> More {
        self.kept.channel.lock().more(clock::now(), since, rest)
    }

    /// Resolves when the channel can say more than at the time of this call.
    pub(crate) fn news(&self, rank: Rank) -> impl Future<Output = ()> + use<> {
        self.attendance.news(rank)
    }

    /// Counts a request of `who`, and the bytes of its answer. False when an operator has sent them away.
    pub(crate) fn admit(&self, now: Instant, who: &Who<'_>, hub: &Hub, bytes: u64) -> bool {
        self.kept
            .audience
            .lock()
            .admit(now, who, &self.kept.key, hub, bytes)
    }
}
