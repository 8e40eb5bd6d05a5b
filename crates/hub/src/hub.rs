//! The table of streams.
//!
//! Owns: which streams exist, and their coming and going. Does not: hold any stream's state ([`crate::stream`] does).

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use parking_lot::{Mutex, RwLock};
use weir_media::{Codec, StreamKey};

use crate::log::{Format, FormatId};
use crate::mailbox::Mailbox;
use crate::metrics::Metrics;
use crate::pace::Rhythm;
use crate::publisher::{PublishError, Publisher};
use crate::reader::Reader;
use crate::sessions::{EndReason, Session, Sessions};
use crate::settings::{Conflict, Settings};
use crate::stream::{Published, Stream, StreamSnapshot};
use crate::tap::{Tap, Tapped};

/// Why watching was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The stream has as many viewers as `limits.viewers_per_stream` allows.
    #[error("stream has reached its limit of viewers")]
    TooManyViewers,
}

/// The process's live streams and sessions.
pub struct Hub {
    settings: RwLock<Arc<Settings>>,
    streams: Mutex<HashMap<StreamKey, Arc<Stream>>>,
    sessions: Sessions,
    metrics: Arc<Metrics>,
    on_publish: OnceLock<OnPublish>,
}

/// Is told the key of each stream that somebody begins to publish.
type OnPublish = Box<dyn Fn(&StreamKey) + Send + Sync>;

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

impl Hub {
    /// A hub without streams; session ids begin as [`Sessions::new`] says.
    pub fn new(settings: Settings, metrics: Arc<Metrics>, wallclock: SystemTime) -> Self {
        Self {
            settings: RwLock::new(Arc::new(settings)),
            streams: Mutex::default(),
            sessions: Sessions::new(wallclock),
            metrics,
            on_publish: OnceLock::new(),
        }
    }

    /// Has `told` called with the key of each stream that somebody begins to publish, without a lock held. It can be set
    /// once; a second one is dropped.
    pub fn on_publish(&self, told: impl Fn(&StreamKey) + Send + Sync + 'static) {
        let _ = self.on_publish.set(Box::new(told));
    }

    /// The table of sessions.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The counters.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read())
    }

    /// Puts new settings in force, for streams that exist too.
    pub fn set_settings(&self, settings: Settings) {
        let settings = Arc::new(settings);
        *self.settings.write() = Arc::clone(&settings);
        for stream in self.all() {
            stream.set_settings(Arc::clone(&settings));
        }
    }

    /// Makes `session` the publisher of `key`. Fails when somebody else is and may not be replaced.
    pub fn publish(
        &self,
        now: Instant,
        key: &StreamKey,
        session: &Arc<Session>,
    ) -> Result<Publisher, PublishError> {
        let settings = self.settings();
        let takeover = settings.conflict == Conflict::Takeover;
        let limit = i64::try_from(settings.streams).unwrap_or(i64::MAX);
        loop {
            let stream = self.obtain(key);
            // only live streams count: names that viewers wait for are bounded by their sessions, and must not keep a
            // publisher out
            if limit != 0 && self.metrics.live_streams.get() >= limit && !stream.is_live() {
                return Err(PublishError::TooManyStreams(settings.streams));
            }
            // a retired stream has left the table: the next look makes a new one
            let Ok(published) = stream.publish(now, session, takeover) else {
                continue;
            };
            return match published {
                Published::Accepted { epoch, replaced } => {
                    if let Some(replaced) = replaced {
                        self.metrics.takeovers.inc();
                        replaced.end(EndReason::TakenOver);
                    }
                    if let Some(told) = self.on_publish.get() {
                        told(key);
                    }
                    Ok(Publisher::new(stream, epoch, now))
                }
                Published::Busy(by) => {
                    self.metrics.publish_conflicts.inc();
                    Err(PublishError::Busy(by))
                }
            };
        }
    }

    /// Opens a core's place at the log of `key` in a format; a stream that nobody publishes yet is waited for.
    ///
    /// `make` builds the format when the log does not exist; `token` is what `mailbox` receives.
    pub fn read(
        &self,
        now: Instant,
        key: &StreamKey,
        id: FormatId,
        make: &mut dyn FnMut() -> Box<dyn Format>,
        mailbox: &Arc<Mailbox>,
        token: u32,
    ) -> Reader {
        loop {
            let stream = self.obtain(key);
            if let Ok(reader) = stream.open(id, make, mailbox, token, now) {
                return reader;
            }
        }
    }

    /// True when somebody publishes `key`.
    pub fn is_live(&self, key: &StreamKey) -> bool {
        let stream = self.streams.lock().get(key).cloned();
        stream.is_some_and(|stream| stream.is_live())
    }

    /// Whether `key` has pictures and sound, in this order; `None` while that is not certain.
    pub fn media(&self, now: Instant, key: &StreamKey) -> Option<(bool, bool)> {
        let stream = self.streams.lock().get(key).cloned();
        stream.and_then(|stream| stream.media(now))
    }

    /// The codecs of the tracks of `key`, as far as they are known; none when there is no such stream.
    pub fn codecs(&self, key: &StreamKey) -> Vec<Codec> {
        let stream = self.streams.lock().get(key).cloned();
        stream.map_or_else(Vec::new, |stream| stream.codecs())
    }

    /// How the pictures of `key` come; `None` when there is no such stream. What is not known yet is left out.
    pub fn rhythm(&self, key: &StreamKey) -> Option<Rhythm> {
        let stream = self.streams.lock().get(key).cloned();
        stream.map(|stream| stream.rhythm())
    }

    /// Puts the tap that `make` builds at a stream; it is told what is cached before this returns. `None` when nobody
    /// publishes `key`, and then nothing is built.
    pub fn tap(
        &self,
        now: Instant,
        key: &StreamKey,
        make: &mut dyn FnMut() -> Box<dyn Tap>,
    ) -> Option<Tapped> {
        let stream = self.streams.lock().get(key).cloned()?;
        let id = stream.tap(now, make)?;
        Some(Tapped::new(stream, id))
    }

    /// Ends what has waited long enough and forgets streams that nobody needs. Call it every second or so.
    pub fn sweep(&self, now: Instant) {
        for stream in self.all() {
            if stream.sweep(now) {
                let mut streams = self.streams.lock();
                if streams
                    .get(&stream.key)
                    .is_some_and(|known| Arc::ptr_eq(known, &stream))
                {
                    streams.remove(&stream.key);
                }
            }
        }
    }

    /// Every stream, in order of key.
    pub fn snapshot(&self, now: Instant) -> Vec<StreamSnapshot> {
        let mut all: Vec<_> = self
            .all()
            .iter()
            .map(|stream| stream.snapshot(now))
            .collect();
        all.sort_by(|a, b| a.key.cmp(&b.key));
        all
    }

    fn all(&self) -> Vec<Arc<Stream>> {
        self.streams.lock().values().cloned().collect()
    }

    fn obtain(&self, key: &StreamKey) -> Arc<Stream> {
        let mut streams = self.streams.lock();
        let stream = streams.entry(key.clone()).or_insert_with(|| {
            let metrics = Arc::clone(&self.metrics);
            Arc::new(Stream::new(key.clone(), self.settings(), metrics))
        });
        Arc::clone(stream)
    }
}
