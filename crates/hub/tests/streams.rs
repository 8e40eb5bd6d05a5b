//! What publishers and readers of a stream see of each other, in virtual time.
#![allow(
    clippy::disallowed_methods,
    reason = "tests need some instant to begin with"
)]

use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant, UNIX_EPOCH};

use bytes::Bytes;
use weir_hub::{
    Conflict, DropCause, EndReason, Format, FormatId, Hub, Latency, Mailbox, Metrics, Mirror,
    PublishError, Publisher, Reader, Session, Settings, Setup, Start, Unpublished,
};
use weir_media::{
    AppName, AudioCodec, Codec, Frame, Media, Role, StreamKey, StreamName, Timestamp, TrackId,
    Vhost, VideoCodec,
};

const PLAIN: FormatId = FormatId {
    name: "plain",
    parameter: 0,
};

/// Writes each frame as `<media><time> `, so that a log reads as a sentence.
struct Plain;

impl Plain {
    fn word(frame: &Frame, at: Timestamp) -> String {
        let media = match (frame.track.media, frame.role) {
            (_, Role::Config) => "cfg",
            (_, Role::Metadata) => "meta",
            (Media::Video, Role::Key) => "K",
            (Media::Video, _) => "v",
            (Media::Audio, _) => "a",
            (Media::Data, _) => "d",
        };
        format!("{media}{} ", at.millis())
    }
}

impl Format for Plain {
    fn prelude(&mut self, setup: &Setup, at: Timestamp, out: &mut Vec<u8>) {
        for frame in setup.metadata.iter().chain(&setup.configs) {
            out.extend_from_slice(Self::word(frame, at).as_bytes());
        }
    }

    fn frame(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        out.extend_from_slice(Self::word(frame, frame.dts).as_bytes());
    }

    fn unpublished(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"gone ");
    }

    fn published(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"back ");
    }
}

struct World {
    hub: Hub,
    now: Instant,
    mailbox: Arc<Mailbox>,
    key: StreamKey,
}

fn frame(track: TrackId, role: Role, millis: i64) -> Frame {
    let codec = match track.media {
        Media::Video => Codec::Video(VideoCodec::H264),
        Media::Audio => Codec::Audio(AudioCodec::Aac),
        Media::Data => Codec::Script,
    };
    Frame {
        track,
        codec,
        role,
        dts: Timestamp::from_millis(millis),
        composition: Timestamp::ZERO,
        packet: Bytes::from_static(&[0; 64]),
        payload_at: 5,
    }
}

impl World {
    fn new(settings: Settings) -> Self {
        let hub = Hub::new(settings, Arc::new(Metrics::default()), UNIX_EPOCH);
        let key = StreamKey::new(Vhost("v"), AppName("live"), StreamName("x")).expect("a key");
        Self {
            hub,
            now: Instant::now(),
            mailbox: Arc::default(),
            key,
        }
    }

    fn session(&self) -> Arc<Session> {
        let peer = "127.0.0.1:9".parse().expect("an address");
        self.hub.sessions().open("test", peer, self.now, UNIX_EPOCH)
    }

    fn publish(&self) -> Result<Publisher, PublishError> {
        self.hub.publish(self.now, &self.key, &self.session())
    }

    fn read(&self) -> Reader {
        let mut make = || Box::new(Plain) as Box<dyn Format>;
        self.hub
            .read(self.now, &self.key, PLAIN, &mut make, &self.mailbox, 7)
    }

    fn after(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    fn is_posted(&self) -> bool {
        let mut tokens = Vec::new();
        let mut context = Context::from_waker(Waker::noop());
        let ready = self
            .mailbox
            .poll_take(&mut context, false, &mut tokens)
            .is_ready();
        assert!(tokens.iter().all(|token| *token == 7));
        ready
    }
}

/// A viewer as the fan-out keeps one.
struct Viewer {
    reader: Reader,
    mirror: Mirror,
    cursor: u64,
    opening: Option<Bytes>,
    at_entry: bool,
    _place: weir_hub::ViewerPlace,
}

impl Viewer {
    fn new(world: &World, start: Option<Start>) -> Self {
        let reader = world.read();
        let point = reader.start(start, world.now).expect("room for a viewer");
        Self {
            reader,
            mirror: Mirror::default(),
            cursor: point.cursor,
            opening: point.prelude,
            at_entry: point.at_entry,
            _place: point.place,
        }
    }

    /// Everything that is new, as text.
    fn look(&mut self, world: &World) -> String {
        self.reader.sync(&mut self.mirror, world.now);
        let mut text = String::new();
        let mut add = |bytes: &[u8]| text.push_str(std::str::from_utf8(bytes).expect("text"));
        if self.at_entry {
            let Some(entry) = self.mirror.entry_from(self.cursor) else {
                return text;
            };
            self.cursor = entry;
            self.at_entry = false;
            self.opening = self
                .mirror
                .piece(entry)
                .and_then(|piece| piece.prelude.clone());
        }
        if let Some(opening) = self.opening.take() {
            add(&opening);
        }
        while let Some(piece) = self.mirror.piece(self.cursor) {
            add(&piece.bytes);
            self.cursor += 1;
        }
        self.reader.set_oldest(Some(self.cursor));
        text
    }
}

fn push(world: &World, publisher: &mut Publisher, frames: &[(TrackId, Role, i64)]) {
    for (track, role, millis) in frames {
        publisher
            .push(world.now, frame(*track, *role, *millis))
            .expect("still the publisher");
    }
}

const V: TrackId = TrackId::VIDEO;
const A: TrackId = TrackId::AUDIO;

#[test]
fn a_late_viewer_gets_metadata_headers_and_the_gop_first() {
    let world = World::new(Settings::default());
    let mut publisher = world.publish().expect("published");
    push(
        &world,
        &mut publisher,
        &[
            (TrackId::DATA, Role::Metadata, 0),
            (V, Role::Config, 0),
            (A, Role::Config, 0),
            (V, Role::Key, 0),
            (A, Role::Delta, 10),
            (V, Role::Key, 1000),
            (A, Role::Delta, 1010),
        ],
    );
    let mut late = Viewer::new(&world, None);
    assert_eq!(late.look(&world), "meta1000 cfg1000 cfg1000 K1000 a1010 ");
    push(&world, &mut publisher, &[(V, Role::Delta, 1040)]);
    assert_eq!(late.look(&world), "v1040 ");
    // the log exists now; a viewer who comes later still gets the same beginning
    let mut later = Viewer::new(&world, None);
    assert_eq!(
        later.look(&world),
        "meta1000 cfg1000 cfg1000 K1000 a1010 v1040 "
    );
}

#[test]
fn start_policies_begin_where_they_say() {
    let world = World::new(Settings::default());
    let mut publisher = world.publish().expect("published");
    push(
        &world,
        &mut publisher,
        &[
            (V, Role::Config, 0),
            (V, Role::Key, 0),
            (V, Role::Delta, 40),
        ],
    );
    let mut next = Viewer::new(&world, Some(Start::NextKey));
    let mut live = Viewer::new(&world, Some(Start::Live));
    assert_eq!(next.look(&world), "");
    assert_eq!(live.look(&world), "cfg40 ");
    push(
        &world,
        &mut publisher,
        &[(V, Role::Delta, 80), (V, Role::Key, 120)],
    );
    assert_eq!(next.look(&world), "cfg120 K120 ");
    assert_eq!(live.look(&world), "v80 K120 ");
}

#[test]
fn without_the_gop_cache_viewers_begin_at_the_next_key_frame() {
    let world = World::new(Settings {
        gop_cache: false,
        ..Settings::default()
    });
    let mut publisher = world.publish().expect("published");
    let mut first = Viewer::new(&world, None);
    push(
        &world,
        &mut publisher,
        &[(V, Role::Key, 0), (V, Role::Delta, 40)],
    );
    assert_eq!(first.look(&world), "K0 v40 ");
    let mut second = Viewer::new(&world, None);
    assert_eq!(second.look(&world), "");
    push(&world, &mut publisher, &[(V, Role::Key, 80)]);
    assert_eq!(second.look(&world), "K80 ");
}

#[test]
fn a_reader_is_posted_once_until_it_looks() {
    let world = World::new(Settings::default());
    let mut publisher = world.publish().expect("published");
    let mut viewer = Viewer::new(&world, None);
    viewer.look(&world);
    assert!(!world.is_posted());
    push(
        &world,
        &mut publisher,
        &[(V, Role::Key, 0), (V, Role::Delta, 40)],
    );
    assert!(world.is_posted());
    assert!(!world.is_posted());
    viewer.look(&world);
    push(&world, &mut publisher, &[(V, Role::Delta, 80)]);
    assert!(world.is_posted());
}

#[test]
fn play_before_publish_is_served_when_the_publisher_comes() {
    let world = World::new(Settings::default());
    let mut viewer = Viewer::new(&world, None);
    assert!(!world.hub.is_live(&world.key));
    world.hub.sweep(world.now);
    let mut publisher = world.publish().expect("published");
    push(
        &world,
        &mut publisher,
        &[(V, Role::Config, 0), (V, Role::Key, 0)],
    );
    assert_eq!(viewer.look(&world), "cfg0 K0 ");
}

#[test]
fn a_second_publisher_is_refused_and_told_who_publishes() {
    let world = World::new(Settings::default());
    let session = world.session();
    let first = world
        .hub
        .publish(world.now, &world.key, &session)
        .expect("published");
    assert_eq!(world.publish().err(), Some(PublishError::Busy(session.id)));
    drop(first);
    assert!(world.publish().is_ok());
}

#[test]
fn a_takeover_ends_the_first_and_goes_on_in_time() {
    let settings = Settings {
        conflict: Conflict::Takeover,
        ..Settings::default()
    };
    let mut world = World::new(settings);
    let session = world.session();
    let mut first = world
        .hub
        .publish(world.now, &world.key, &session)
        .expect("published");
    let mut viewer = Viewer::new(&world, None);
    push(&world, &mut first, &[(V, Role::Key, 5000)]);
    world.after(40);
    let mut second = world.publish().expect("takes over");
    let mut kicked = std::pin::pin!(session.kicked());
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(
        Future::poll(kicked.as_mut(), &mut context),
        std::task::Poll::Ready(EndReason::TakenOver)
    );
    assert!(first.push(world.now, frame(V, Role::Delta, 5040)).is_err());
    push(
        &world,
        &mut second,
        &[(V, Role::Key, 0), (V, Role::Delta, 40)],
    );
    assert_eq!(viewer.look(&world), "K5000 K5040 v5080 ");
    drop(first);
    assert!(
        world.hub.is_live(&world.key),
        "the one replaced cannot unpublish"
    );
}

#[test]
fn a_lost_publisher_may_return_within_the_grace_time_unnoticed() {
    let mut world = World::new(Settings {
        grace: Duration::from_secs(10),
        ..Settings::default()
    });
    let mut publisher = world.publish().expect("published");
    let mut viewer = Viewer::new(&world, None);
    push(&world, &mut publisher, &[(V, Role::Key, 90_000)]);
    drop(publisher);
    world.after(9_000);
    world.hub.sweep(world.now);
    let mut publisher = world.publish().expect("published again");
    push(
        &world,
        &mut publisher,
        &[(V, Role::Config, 0), (V, Role::Key, 0), (A, Role::Delta, 5)],
    );
    assert_eq!(viewer.look(&world), "K90000 cfg99000 K99000 a99005 ");
}

#[test]
fn viewers_are_told_after_the_grace_time_and_when_the_publisher_is_back() {
    let mut world = World::new(Settings {
        grace: Duration::from_secs(10),
        ..Settings::default()
    });
    let mut publisher = world.publish().expect("published");
    let mut viewer = Viewer::new(&world, None);
    push(&world, &mut publisher, &[(V, Role::Key, 0)]);
    drop(publisher);
    world.after(10_000);
    world.hub.sweep(world.now);
    world.hub.sweep(world.now);
    assert_eq!(viewer.look(&world), "K0 gone ");
    assert!(viewer.reader.sync(&mut viewer.mirror, world.now).ended);
    let mut publisher = world.publish().expect("published again");
    push(&world, &mut publisher, &[(V, Role::Key, 0)]);
    assert_eq!(viewer.look(&world), "back K10000 ");
    assert!(!viewer.reader.sync(&mut viewer.mirror, world.now).ended);
}

#[test]
fn a_publisher_that_says_so_is_gone_at_once() {
    let world = World::new(Settings::default());
    let mut publisher = world.publish().expect("published");
    let mut viewer = Viewer::new(&world, None);
    push(&world, &mut publisher, &[(V, Role::Key, 0)]);
    publisher.finish(world.now, Unpublished::Finished);
    assert_eq!(viewer.look(&world), "K0 gone ");
    assert!(viewer.reader.sync(&mut viewer.mirror, world.now).ended);
}

#[test]
fn who_comes_after_the_end_sees_nothing_of_what_is_over() {
    let mut world = World::new(Settings::default());
    let mut publisher = world.publish().expect("published");
    let _stays = Viewer::new(&world, None);
    push(&world, &mut publisher, &[(V, Role::Key, 0)]);
    publisher.finish(world.now, Unpublished::Finished);
    let mut late = Viewer::new(&world, None);
    assert_eq!(late.look(&world), "");
    world.after(1_000);
    let mut publisher = world.publish().expect("published again");
    push(&world, &mut publisher, &[(V, Role::Key, 0)]);
    let seen = late.look(&world);
    assert!(seen.ends_with("K1000 ") && !seen.contains("K0 "), "{seen}");
}

#[test]
fn pictures_before_the_first_key_frame_are_left_out() {
    let world = World::new(Settings::default());
    let mut viewer = Viewer::new(&world, None);
    let mut publisher = world.publish().expect("published");
    let frames = [
        (V, Role::Config, 0),
        (V, Role::Delta, 0),
        (A, Role::Delta, 5),
        (V, Role::Delta, 40),
        (V, Role::Key, 80),
        (V, Role::Delta, 120),
    ];
    push(&world, &mut publisher, &frames);
    let seen = viewer.look(&world);
    assert!(seen.contains("K80 v120 "), "{seen}");
    assert!(!seen.contains("v0 ") && !seen.contains("v40 "), "{seen}");
}

#[test]
fn a_stream_that_never_sends_a_key_frame_is_shown_after_a_while() {
    let mut world = World::new(Settings::default());
    let mut viewer = Viewer::new(&world, None);
    let mut publisher = world.publish().expect("published");
    push(
        &world,
        &mut publisher,
        &[(V, Role::Config, 0), (V, Role::Delta, 0)],
    );
    assert_eq!(viewer.look(&world), "");
    world.after(10_000);
    let frames = [(V, Role::Delta, 10_000), (V, Role::Delta, 10_040)];
    push(&world, &mut publisher, &frames);
    assert_eq!(viewer.look(&world), "cfg10000 v10000 v10040 ");
}

#[test]
fn a_stream_that_nobody_needs_is_forgotten() {
    let mut world = World::new(Settings {
        grace: Duration::from_secs(10),
        ..Settings::default()
    });
    let mut publisher = world.publish().expect("published");
    let viewer = Viewer::new(&world, None);
    push(&world, &mut publisher, &[(V, Role::Key, 0)]);
    publisher.finish(world.now, Unpublished::Finished);
    world.after(11_000);
    world.hub.sweep(world.now);
    assert_eq!(world.hub.snapshot(world.now).len(), 1, "a viewer waits");
    drop(viewer);
    world.hub.sweep(world.now);
    assert_eq!(world.hub.snapshot(world.now).len(), 0);
}

#[test]
fn memory_is_bounded_when_a_reader_never_looks() {
    let settings = Settings {
        lag_max_bytes: 100_000,
        gop_max_bytes: 50_000,
        lag_max_duration: Duration::from_secs(5),
        ..Settings::default()
    };
    let mut world = World::new(settings);
    let mut publisher = world.publish().expect("published");
    let mut viewer = Viewer::new(&world, None);
    for number in 0..20_000 {
        let role = if number % 50 == 0 {
            Role::Key
        } else {
            Role::Delta
        };
        push(&world, &mut publisher, &[(V, role, number * 40)]);
        world.after(40);
        let snapshot = world.hub.snapshot(world.now).pop().expect("the stream");
        assert!(snapshot.log_bytes <= 300_000, "{}", snapshot.log_bytes);
        assert!(snapshot.gop_bytes <= 50_000, "{}", snapshot.gop_bytes);
    }
    let lagged = viewer.cursor;
    viewer.reader.sync(&mut viewer.mirror, world.now);
    assert!(
        viewer.mirror.first() > lagged,
        "the reader can see that it lagged"
    );
    assert!(viewer.mirror.newest_entry().is_some(), "and where to go on");
}

#[test]
fn limits_hold() {
    let settings = Settings {
        viewers_per_stream: 1,
        streams: 1,
        ..Settings::default()
    };
    let world = World::new(settings);
    let viewer = Viewer::new(&world, None);
    assert!(world.read().start(None, world.now).is_none());
    // a name that a viewer waits for is no live stream, and keeps no publisher out
    let other = StreamKey::new(Vhost("v"), AppName("live"), StreamName("y")).expect("a key");
    let first = world.hub.publish(world.now, &other, &world.session());
    assert!(first.is_ok());
    assert_eq!(world.publish().err(), Some(PublishError::TooManyStreams(1)));
    drop(first);
    assert!(world.publish().is_ok());
    drop(viewer);
    assert!(world.read().start(None, world.now).is_some());
}

#[test]
fn settings_reach_streams_that_exist() {
    let world = World::new(Settings::default());
    let mut viewer = Viewer::new(&world, None);
    let latency = Latency::Fixed(Duration::from_millis(20));
    world.hub.set_settings(Settings {
        latency,
        ..Settings::default()
    });
    assert_eq!(
        viewer.reader.sync(&mut viewer.mirror, world.now).latency,
        latency
    );
}

#[test]
fn a_stream_says_how_its_pictures_come_and_what_it_lost() {
    let mut world = World::new(Settings::default());
    assert_eq!(world.hub.rhythm(&world.key), None);
    let mut publisher = world.publish().expect("published");
    // pictures before the first key frame are left out, and counted for this stream
    push(&world, &mut publisher, &[(V, Role::Delta, 0)]);
    for millis in (40..2_000).step_by(40) {
        let role = match millis % 1000 {
            40 => Role::Key,
            _ => Role::Delta,
        };
        push(
            &world,
            &mut publisher,
            &[(V, role, millis), (A, Role::Delta, millis)],
        );
    }
    let rhythm = world.hub.rhythm(&world.key).expect("a stream");
    assert_eq!(rhythm.frame_interval, Some(Duration::from_millis(40)));
    assert_eq!(rhythm.gop, Some(Duration::from_secs(1)));
    world.after(1);
    let snapshot = world.hub.snapshot(world.now).remove(0);
    assert_eq!(snapshot.rhythm(), rhythm);
    let count = |wanted| {
        let mut drops = snapshot.drops.iter();
        drops
            .find(|(cause, _)| *cause == wanted)
            .map(|(_, count)| *count)
    };
    assert_eq!(count(DropCause::BeforeKey), Some(1));
    assert_eq!(count(DropCause::ViewerSkipped), Some(0));
    // another publisher begins anew
    publisher.finish(world.now, Unpublished::Finished);
    let _publisher = world.publish().expect("published");
    assert_eq!(
        world.hub.rhythm(&world.key),
        Some(weir_hub::Rhythm::default())
    );
}

#[test]
fn the_viewer_that_is_furthest_behind_sets_the_lag() {
    let mut world = World::new(Settings::default());
    let mut publisher = world.publish().expect("published");
    let lag = |world: &World| world.hub.snapshot(world.now).remove(0).lag;
    assert_eq!(lag(&world), None, "nobody watches");
    push(&world, &mut publisher, &[(V, Role::Key, 0)]);
    let mut viewer = Viewer::new(&world, None);
    viewer.look(&world);
    assert_eq!(lag(&world), Some(Duration::ZERO));
    push(&world, &mut publisher, &[(V, Role::Delta, 40)]);
    viewer.reader.sync(&mut viewer.mirror, world.now);
    world.after(700);
    assert_eq!(lag(&world), Some(Duration::from_millis(700)));
    viewer.look(&world);
    assert_eq!(lag(&world), Some(Duration::ZERO));
    viewer._place.dropped(DropCause::ViewerSkipped);
    let drops = world.hub.snapshot(world.now).remove(0).drops;
    assert!(drops.contains(&(DropCause::ViewerSkipped, 1)));
}
