//! Traffic and load over the last half minute.
//!
//! Owns: a bounded ring of samples for each session, each stream and the process, and the bytes that a stream has sent.
//! Does not: run by itself; somebody calls [`Rates::sample`] every [`SAMPLE_EVERY`].
//!
//! The hub counts what a stream receives but not what its viewers are sent, which their sessions count. A stream's sent
//! bytes are therefore what the sessions of its viewers have sent from sample to sample. They never go back, are
//! at most [`SAMPLE_EVERY`] old, and miss what a viewer was sent between its last sample and its end.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;
use utoipa::ToSchema;
use weir_hub::{Hub, SessionRole, TrackSnapshot};
use weir_media::{SessionId, StreamKey, TrackId};

use super::machine::CpuTime;

/// Time between samples: fine enough for a window of [`WINDOW`], and rare enough that walking 20,000 sessions, a few
/// milliseconds, does not show.
pub(super) const SAMPLE_EVERY: Duration = Duration::from_secs(5);

/// What a rate is taken over.
const WINDOW: Duration = Duration::from_secs(30);

/// Samples kept: those of a window and the one before it, whatever the caller's pace.
const MOST_SAMPLES: usize = 8;

/// Bit rates over the last 30 seconds, or over the time there has been if it is less.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Kbps {
    /// Received, in kilobits (1000 bits) a second.
    pub(super) recv_30s: u64,
    /// Sent, in kilobits (1000 bits) a second.
    pub(super) send_30s: u64,
}

impl std::ops::AddAssign for Kbps {
    fn add_assign(&mut self, other: Self) {
        self.recv_30s += other.recv_30s;
        self.send_30s += other.send_30s;
    }
}

/// What a stream has sent, and its rates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct StreamTraffic {
    /// Bytes sent to its viewers.
    pub(super) sent: u64,
    /// Its rates.
    pub(super) kbps: Kbps,
}

/// The samples.
#[derive(Debug, Default)]
pub(super) struct Rates {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: HashMap<SessionId, Window<Bytes>>,
    streams: HashMap<StreamKey, StreamWindows>,
    process: Window<Duration>,
    machine: Window<CpuTime>,
}

/// Samples of a stream and of its tracks.
#[derive(Debug)]
struct StreamWindows {
    whole: Window<Bytes>,
    tracks: Vec<(TrackId, Window<Bytes>)>,
}

impl StreamWindows {
    fn beginning(at: Instant) -> Self {
        Self {
            whole: Window::beginning(at, Bytes::default()),
            tracks: Vec::new(),
        }
    }

    /// Takes a sample of each track there is; what is not there any more is forgotten.
    fn push_tracks(&mut self, now: Instant, since: Instant, tracks: &[TrackSnapshot]) {
        let mut known = std::mem::take(&mut self.tracks);
        for track in tracks {
            let bytes = Bytes {
                received: track.bytes,
                sent: 0,
            };
            let place = known.iter().position(|(id, _)| *id == track.track);
            let window = place.map(|place| known.swap_remove(place).1);
            // another publisher counts from zero
            let window =
                window.filter(|window| window.newest().unwrap_or_default().received <= track.bytes);
            let mut window = window.unwrap_or_else(|| Window::beginning(since, Bytes::default()));
            window.push(now, bytes);
            self.tracks.push((track.track, window));
        }
    }
}

/// Totals of a connection or a stream.
#[derive(Debug, Clone, Copy, Default)]
struct Bytes {
    received: u64,
    sent: u64,
}

/// Samples of a total, oldest first.
#[derive(Debug)]
struct Window<T> {
    samples: VecDeque<(Instant, T)>,
}

impl<T> Default for Window<T> {
    fn default() -> Self {
        Self {
            samples: VecDeque::new(),
        }
    }
}

impl<T: Copy> Window<T> {
    fn beginning(at: Instant, total: T) -> Self {
        let samples = VecDeque::from([(at, total)]);
        Self { samples }
    }

    fn push(&mut self, now: Instant, total: T) {
        self.samples.push_back((now, total));
        while self.samples.len() > MOST_SAMPLES
            || self
                .samples
                .get(1)
                .is_some_and(|(at, _)| now.saturating_duration_since(*at) >= WINDOW)
        {
            self.samples.pop_front();
        }
    }

    fn newest(&self) -> Option<T> {
        self.samples.back().map(|(_, total)| *total)
    }

    /// The oldest total, the newest, and the time between them, where there is some.
    fn span(&self) -> Option<(T, T, Duration)> {
        let ((from, old), (to, new)) = (self.samples.front()?, self.samples.back()?);
        let time = to.saturating_duration_since(*from);
        (!time.is_zero()).then_some((*old, *new, time))
    }
}

impl Window<Bytes> {
    fn kbps(&self) -> Kbps {
        let Some((old, new, time)) = self.span() else {
            return Kbps::default();
        };
        let rate = |old: u64, new: u64| {
            let bits = u128::from(new.saturating_sub(old)) * 8;
            // bits in a millisecond are kilobits in a second
            u64::try_from(bits / time.as_millis().max(1)).unwrap_or(u64::MAX)
        };
        Kbps {
            recv_30s: rate(old.received, new.received),
            send_30s: rate(old.sent, new.sent),
        }
    }
}

impl Rates {
    /// Takes a sample of every session and stream of `hub`, of the process's CPU time and of the machine's.
    pub(super) fn sample(&self, now: Instant, hub: &Hub, process: Duration, machine: CpuTime) {
        let streams = hub.snapshot(now);
        // one look, so that nobody is seen twice or passed over
        let sessions = hub.sessions().page(0, usize::MAX);
        let mut inner = self.inner.lock();
        inner.process.push(now, process);
        inner.machine.push(now, machine);
        let mut sent: HashMap<StreamKey, u64> = HashMap::new();
        let mut known = std::mem::take(&mut inner.sessions);
        for session in &sessions {
            let bytes = Bytes {
                received: session.bytes_in.load(Ordering::Relaxed),
                sent: session.bytes_out.load(Ordering::Relaxed),
            };
            let mut window = known
                .remove(&session.id)
                .unwrap_or_else(|| Window::beginning(session.since, Bytes::default()));
            let before = window.newest().unwrap_or_default().sent;
            window.push(now, bytes);
            inner.sessions.insert(session.id, window);
            if bytes.sent > before
                && let activity = session.activity()
                && activity.role == SessionRole::Player
                && let Some(key) = activity.stream
            {
                *sent.entry(key).or_default() += bytes.sent - before;
            }
        }
        let mut known = std::mem::take(&mut inner.streams);
        for stream in streams {
            let since = stream.uptime.and_then(|uptime| now.checked_sub(uptime));
            let since = since.unwrap_or(now);
            let mut windows = known
                .remove(&stream.key)
                .unwrap_or_else(|| StreamWindows::beginning(since));
            let before = windows.whole.newest().unwrap_or_default().sent;
            let bytes = Bytes {
                received: stream.bytes_in,
                sent: before + sent.get(&stream.key).copied().unwrap_or(0),
            };
            windows.whole.push(now, bytes);
            windows.push_tracks(now, since, &stream.tracks);
            inner.streams.insert(stream.key, windows);
        }
    }

    /// The rates of a session; zero before its first sample.
    pub(super) fn session(&self, id: SessionId) -> Kbps {
        let inner = self.inner.lock();
        inner
            .sessions
            .get(&id)
            .map_or_else(Kbps::default, Window::kbps)
    }

    /// What a stream has sent and its rates; zero before its first sample.
    pub(super) fn stream(&self, key: &StreamKey) -> StreamTraffic {
        let inner = self.inner.lock();
        inner
            .streams
            .get(key)
            .map_or_else(StreamTraffic::default, |windows| StreamTraffic {
                sent: windows.whole.newest().unwrap_or_default().sent,
                kbps: windows.whole.kbps(),
            })
    }

    /// The rate at which a track of a stream is received, in kilobits a second; zero before its first sample.
    pub(super) fn track(&self, key: &StreamKey, track: TrackId) -> u64 {
        let inner = self.inner.lock();
        let windows = inner.streams.get(key);
        let tracks = windows.map_or(&[][..], |windows| &windows.tracks);
        let found = tracks.iter().find(|(id, _)| *id == track);
        found.map_or(0, |(_, window)| window.kbps().recv_30s)
    }

    /// CPU time of the process a second, in seconds: 0.5 is half a core, 2 are two cores.
    pub(super) fn process_cpu(&self) -> f64 {
        let inner = self.inner.lock();
        inner.process.span().map_or(0.0, |(old, new, time)| {
            new.saturating_sub(old).as_secs_f64() / time.as_secs_f64()
        })
    }

    /// The share of all CPUs' time that was not idle, from 0 to 1.
    pub(super) fn machine_cpu(&self) -> f64 {
        let inner = self.inner.lock();
        inner.machine.span().map_or(0.0, |(old, new, _)| {
            let total = new.total.saturating_sub(old.total).max(1);
            new.busy.saturating_sub(old.busy) as f64 / total as f64
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::UNIX_EPOCH;

    use weir_hub::{Metrics, Settings};
    use weir_media::{AppName, StreamName, Vhost};
    use weir_net::clock;

    use super::*;

    fn key(name: &str) -> StreamKey {
        StreamKey::new(Vhost("v"), AppName("live"), StreamName(name)).unwrap()
    }

    fn hub() -> Hub {
        Hub::new(
            Settings::default(),
            Arc::new(Metrics::default()),
            UNIX_EPOCH,
        )
    }

    #[test]
    fn a_window_keeps_half_a_minute() {
        let start = clock::now();
        let mut window = Window::beginning(start, Bytes::default());
        assert_eq!(window.kbps(), Kbps::default());
        for step in 1..=40 {
            // 5000 bytes in 5 s are 8 kbit/s, and twice that from the 20th step on
            let received = 5000 * (step + u64::saturating_sub(step, 20));
            let bytes = Bytes {
                received,
                sent: 2 * received,
            };
            window.push(start + SAMPLE_EVERY * step as u32, bytes);
            assert!(window.samples.len() <= MOST_SAMPLES);
            if step == 3 {
                assert_eq!(
                    window.kbps(),
                    Kbps {
                        recv_30s: 8,
                        send_30s: 16
                    }
                );
            }
        }
        assert_eq!(
            window.kbps(),
            Kbps {
                recv_30s: 16,
                send_30s: 32
            }
        );
    }

    #[test]
    fn a_stream_has_sent_what_its_players_were_and_keeps_it_when_they_go() {
        let (hub, rates, start) = (hub(), Rates::default(), clock::now());
        let peer = "127.0.0.1:9".parse().unwrap();
        let open = || hub.sessions().open("rtmp", peer, start, UNIX_EPOCH);
        let (publisher, first, second) = (open(), open(), open());
        let key = key("a");
        publisher.set_activity(SessionRole::Publisher, Some(key.clone()));
        publisher.bytes_out.store(999, Ordering::Relaxed);
        let publication = hub.publish(start, &key, &publisher).unwrap();
        for player in [&first, &second] {
            player.set_activity(SessionRole::Player, Some(key.clone()));
            player.bytes_out.store(500, Ordering::Relaxed);
        }
        let at = |seconds| start + Duration::from_secs(seconds);
        let sample = |seconds| rates.sample(at(seconds), &hub, Duration::ZERO, CpuTime::default());
        sample(1);
        assert_eq!(rates.stream(&key).sent, 1000);
        assert_eq!(rates.stream(&key).kbps.send_30s, 8);
        assert_eq!(rates.session(first.id).send_30s, 4);
        hub.sessions().close(first.id);
        second.bytes_out.store(700, Ordering::Relaxed);
        sample(2);
        assert_eq!(rates.stream(&key).sent, 1200);
        assert_eq!(rates.session(first.id), Kbps::default());
        drop(publication);
        assert_eq!(rates.inner.lock().sessions.len(), 2);
    }

    #[test]
    fn a_track_has_a_rate_of_its_own_that_begins_anew_with_its_publisher() {
        use weir_media::{AudioCodec, Codec, Frame, Role, Timestamp};
        let (hub, rates, start) = (hub(), Rates::default(), clock::now());
        let key = key("a");
        let peer = "127.0.0.1:9".parse().unwrap();
        let publish = |at: Instant, bytes: usize| {
            let session = hub.sessions().open("rtmp", peer, at, UNIX_EPOCH);
            let mut publisher = hub.publish(at, &key, &session).unwrap();
            let frame = Frame {
                track: TrackId::AUDIO,
                codec: Codec::Audio(AudioCodec::Aac),
                role: Role::Delta,
                dts: Timestamp::ZERO,
                composition: Timestamp::ZERO,
                packet: vec![0; bytes].into(),
                payload_at: 2,
            };
            publisher.push(at, frame).unwrap();
            publisher
        };
        let at = |seconds| start + Duration::from_secs(seconds);
        let sample = |seconds| rates.sample(at(seconds), &hub, Duration::ZERO, CpuTime::default());
        let first = publish(start, 5_000);
        assert_eq!(rates.track(&key, TrackId::AUDIO), 0);
        sample(5);
        assert_eq!(rates.track(&key, TrackId::AUDIO), 8);
        assert_eq!(rates.track(&key, TrackId::VIDEO), 0);
        drop(first);
        let _second = publish(at(6), 1_000);
        sample(7);
        assert_eq!(rates.track(&key, TrackId::AUDIO), 8);
    }

    #[test]
    fn load_is_a_share_of_time() {
        let (hub, rates, start) = (hub(), Rates::default(), clock::now());
        assert_eq!((rates.process_cpu(), rates.machine_cpu()), (0.0, 0.0));
        rates.sample(
            start,
            &hub,
            Duration::ZERO,
            CpuTime {
                busy: 100,
                total: 1000,
            },
        );
        let later = start + Duration::from_secs(4);
        rates.sample(
            later,
            &hub,
            Duration::from_secs(6),
            CpuTime {
                busy: 150,
                total: 1200,
            },
        );
        assert_eq!((rates.process_cpu(), rates.machine_cpu()), (1.5, 0.25));
    }
}
