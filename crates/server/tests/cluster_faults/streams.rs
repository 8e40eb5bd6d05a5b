//! Many streams through a cluster, and what must be true of them.
//!
//! Owns: a publisher and a viewer for each stream, at different proxies where there are several, and the judgement of
//! what they saw. Does not: break anything.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use weir_testkit::Cluster;

use crate::light::{Client, Frame, Log, Session};

/// The first frame of a stream.
pub(crate) const FIRST: Frame = Frame { take: 0, number: 0 };

/// Streams that run.
pub(crate) struct Streams {
    all: BTreeMap<String, Stream>,
}

/// One of them.
pub(crate) struct Stream {
    pub(crate) publisher: Client,
    pub(crate) viewer: Client,
}

/// RTMP addresses of all proxies, beginning with that of this number.
pub(crate) fn addresses(cluster: &Cluster, first: usize) -> Vec<SocketAddr> {
    listeners(cluster, first, "rtmp")
}

fn listeners(cluster: &Cluster, first: usize, name: &str) -> Vec<SocketAddr> {
    let count = cluster.proxies();
    let numbers = (0..count).map(|number| (first + number) % count);
    numbers
        .map(|number| cluster.proxy(number).listener(name))
        .collect()
}

/// The origins with a publisher of each stream. No origin may be stopped.
pub(crate) fn placements(cluster: &Cluster) -> BTreeMap<String, Vec<usize>> {
    let mut found = BTreeMap::<String, Vec<usize>>::new();
    for number in 0..cluster.origins() {
        for name in cluster.published_at(number) {
            found.entry(name).or_default().push(number);
        }
    }
    found
}

impl Streams {
    /// Starts `count` streams and waits until each plays. The publishers take the proxies in turn, the viewers are each
    /// at the next one, half of them over HTTP-FLV.
    pub(crate) fn start(cluster: &Cluster, prefix: &str, count: usize) -> Self {
        let name = |number| format!("{prefix}{number}");
        // a viewer that comes first may have to move: that is no part of most tests
        let publishers: Vec<Client> = (0..count)
            .map(|number| Client::publish(&addresses(cluster, number), &name(number)))
            .collect();
        for publisher in &publishers {
            publisher.reached(FIRST);
        }
        let streams = publishers
            .into_iter()
            .enumerate()
            .map(|(number, publisher)| {
                let name = name(number);
                let viewer = match number / 2 % 2 {
                    0 => Client::play(&addresses(cluster, number + 1), &name),
                    _ => Client::play_http(&listeners(cluster, number + 1, "http"), &name),
                };
                (name, Stream { publisher, viewer })
            });
        let streams = Self {
            all: streams.collect(),
        };
        for stream in streams.all.values() {
            stream.viewer.reached(FIRST);
        }
        streams
    }

    /// One of them.
    pub(crate) fn get(&self, name: &str) -> &Stream {
        &self.all[name]
    }

    /// All, with their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Stream)> {
        self.all.iter()
    }

    /// Those that have their publisher at an origin.
    pub(crate) fn at(&self, cluster: &Cluster, origin: usize) -> BTreeSet<String> {
        let names = cluster.published_at(origin).into_iter();
        names.filter(|name| self.all.contains_key(name)).collect()
    }

    /// The origin with the most of them, for tests that take an origin away: which one that is depends on what the origins
    /// said of their load.
    pub(crate) fn busiest(&self, cluster: &Cluster) -> usize {
        let origins = 0..cluster.origins();
        let busiest = origins.max_by_key(|origin| self.at(cluster, *origin).len());
        busiest.expect("there are origins")
    }

    /// Where each is. Fails when one is not at exactly one origin.
    #[track_caller]
    pub(crate) fn homes(&self, cluster: &Cluster) -> BTreeMap<String, usize> {
        let found = placements(cluster);
        let home = |name: &String| match found.get(name).map(Vec::as_slice) {
            Some([one]) => (name.clone(), *one),
            other => panic!("{name} is published at {other:?}"),
        };
        self.all.keys().map(home).collect()
    }

    /// Waits until each has gone on.
    #[track_caller]
    pub(crate) fn go_on(&self) {
        for stream in self.all.values() {
            stream.viewer.goes_on();
        }
    }

    /// Ends all. Each viewer must have got each frame from the one it began with to the last, those of `touched` in
    /// their last session, the others in their only one.
    #[track_caller]
    pub(crate) fn finish(self, touched: &BTreeSet<String>) {
        for stream in self.all.values() {
            stream.publisher.end();
        }
        for (name, stream) in self.all {
            let sent = stream.publisher.finish();
            assert_well(&name, &sent, &stream.viewer, touched.contains(&name));
        }
    }
}

#[track_caller]
fn assert_well(name: &str, sent: &Log, viewer: &Client, touched: bool) {
    let last = sent
        .last()
        .unwrap_or_else(|| panic!("{name}: nothing was sent"));
    let seen = viewer.reached(last);
    assert_eq!(seen.garbage, None, "{name}");
    let session = seen.sessions.last().expect("it has frames");
    if touched {
        let of_last_take = |(frame, _): &&_| Frame::clone(frame).take == last.take;
        let frames = session.frames.iter().filter(of_last_take);
        assert_whole(name, frames.map(|(frame, _)| *frame), last);
        return;
    }
    assert_eq!(sent.sessions.len(), 1, "{name}: the publisher was cut off");
    assert_eq!(seen.sessions.len(), 1, "{name}: the viewer was cut off");
    assert_session(name, session, last);
}

/// Fails unless a viewer got every frame from its first one to `last`.
#[track_caller]
pub(crate) fn assert_session(name: &str, session: &Session, last: Frame) {
    assert_whole(name, session.frames.iter().map(|(frame, _)| *frame), last);
}

#[track_caller]
fn assert_whole(name: &str, frames: impl Iterator<Item = Frame>, last: Frame) {
    let frames: Vec<Frame> = frames.collect();
    for pair in frames.windows(2) {
        let [a, b] = pair else { unreachable!("two") };
        let next = Frame {
            number: a.number + 1,
            ..*a
        };
        assert_eq!(next, *b, "{name}: {} frames", frames.len());
    }
    assert_eq!(frames.last(), Some(&last), "{name}");
}
