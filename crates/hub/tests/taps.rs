//! Taps: what they are told, and how long a stream lives for them.

#![expect(
    clippy::disallowed_methods,
    reason = "tests need some instant to begin with"
)]

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant, UNIX_EPOCH};

use bytes::Bytes;
use parking_lot::Mutex;
use weir_hub::{Hub, Metrics, Publisher, Settings, Tap, Unpublished};
use weir_media::{
    AppName, Codec, Frame, Role, StreamKey, StreamName, Timestamp, TrackId, Vhost, VideoCodec,
};

/// Writes down what it is told.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn add(&self, text: impl Into<String>) {
        self.0.lock().push(text.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}

impl Tap for Notes {
    fn published(&mut self, _: Instant, _: Instant, _: &mut Vec<Waker>) {
        self.add("published");
    }

    fn frame(&mut self, _: Instant, frame: &Frame, _: &mut Vec<Waker>) {
        self.add(format!("{:?} {}", frame.role, frame.dts.millis()));
    }

    fn paused(&mut self, _: Instant, _: &mut Vec<Waker>) {
        self.add("paused");
    }

    fn ended(&mut self, _: Instant, _: &mut Vec<Waker>) {
        self.add("ended");
    }
}

fn key() -> StreamKey {
    StreamKey::new(Vhost("v"), AppName("live"), StreamName("x")).expect("a key")
}

fn frame(role: Role, millis: i64) -> Frame {
    Frame {
        track: TrackId::VIDEO,
        codec: Codec::Video(VideoCodec::H264),
        role,
        dts: Timestamp::from_millis(millis),
        composition: Timestamp::ZERO,
        packet: Bytes::from_static(b"packet"),
        payload_at: 0,
    }
}

fn publish(hub: &Hub, now: Instant) -> Publisher {
    let peer = "127.0.0.1:9".parse().expect("an address");
    let session = hub.sessions().open("rtmp", peer, now, UNIX_EPOCH);
    hub.publish(now, &key(), &session)
        .expect("nobody publishes")
}

fn hub() -> Hub {
    Hub::new(
        Settings::default(),
        Arc::new(Metrics::default()),
        UNIX_EPOCH,
    )
}

#[test]
fn a_tap_is_told_what_is_cached_and_then_what_comes() {
    let (hub, now) = (hub(), Instant::now());
    let mut publisher = publish(&hub, now);
    for frame in [
        frame(Role::Config, 0),
        frame(Role::Key, 0),
        frame(Role::Delta, 40),
    ] {
        publisher.push(now, frame).expect("it publishes");
    }
    let notes = Notes::default();
    let tapped = hub
        .tap(now, &key(), &mut || Box::new(notes.clone()))
        .expect("it is live");
    assert_eq!(notes.take(), ["published", "Config 0", "Key 0", "Delta 40"]);
    publisher
        .push(now, frame(Role::Delta, 80))
        .expect("it publishes");
    assert_eq!(notes.take(), ["Delta 80"]);
    drop(tapped);
    publisher
        .push(now, frame(Role::Delta, 120))
        .expect("it publishes");
    assert!(notes.take().is_empty());
}

#[test]
fn a_tap_hears_of_the_end_once_and_of_a_return() {
    let (hub, now) = (hub(), Instant::now());
    let publisher = publish(&hub, now);
    let notes = Notes::default();
    let tapped = hub
        .tap(now, &key(), &mut || Box::new(notes.clone()))
        .expect("it is live");
    publisher.finish(now, Unpublished::Lost);
    assert_eq!(notes.take(), ["published", "paused"]);
    assert!(!tapped.is_live());
    let later = now + Duration::from_secs(60);
    hub.sweep(later);
    hub.sweep(later);
    assert_eq!(notes.take(), ["ended"]);
    let publisher = publish(&hub, later);
    assert_eq!(notes.take(), ["published"]);
    publisher.finish(later, Unpublished::Finished);
    assert_eq!(notes.take(), ["paused", "ended"]);
}

#[test]
fn nothing_is_built_for_a_stream_that_nobody_publishes() {
    let (hub, now) = (hub(), Instant::now());
    let tapped = hub.tap(now, &key(), &mut || panic!("it is not wanted"));
    assert!(tapped.is_none());
}

#[test]
fn whoever_asked_hears_of_publishers() {
    let (hub, now) = (Arc::new(hub()), Instant::now());
    let notes = Notes::default();
    let (told, weak) = (notes.clone(), Arc::downgrade(&hub));
    hub.on_publish(move |key| {
        let hub = weak.upgrade().expect("it lives");
        // no lock is held: the stream can be tapped at once
        assert!(hub.tap(now, key, &mut || Box::new(told.clone())).is_some());
    });
    let _publisher = publish(&hub, now);
    assert_eq!(notes.take(), ["published"]);
}

#[test]
fn a_tap_counts_as_a_viewer_while_somebody_waits_for_it() {
    let (hub, now) = (hub(), Instant::now());
    let publisher = publish(&hub, now);
    let tapped = hub
        .tap(now, &key(), &mut || Box::new(Notes::default()))
        .expect("it is live");
    assert!(!publisher.has_viewers());
    tapped.set_eager(true);
    tapped.set_eager(true);
    assert!(publisher.has_viewers());
    tapped.set_eager(false);
    assert!(!publisher.has_viewers());
    tapped.set_eager(true);
    drop(tapped);
    assert!(!publisher.has_viewers());
}
