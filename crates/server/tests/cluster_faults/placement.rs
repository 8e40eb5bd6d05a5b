//! First requests that come at the same moment.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Barrier};
use std::thread;

use weir_testkit::Cluster;

use crate::BINARY;
use crate::light::{Client, Failure, Link};
use crate::streams::{FIRST, placements};

/// Streams whose first requests race.
const RACES: usize = 50;

fn rtmp(cluster: &Cluster, number: usize) -> SocketAddr {
    cluster.proxy(number).listener("rtmp")
}

/// B4: the first publisher and the first viewer of each stream come at once at two proxies and meet at one origin.
#[test]
fn a_publisher_and_a_viewer_that_race_meet_at_one_origin() {
    let cluster = Cluster::start(BINARY, 3, 2);
    let start = Arc::new(Barrier::new(2 * RACES));
    let join = |number: usize, role: fn(&[SocketAddr], &str) -> Client, at: usize| {
        let (start, address) = (Arc::clone(&start), rtmp(&cluster, at));
        let name = format!("s{number}");
        thread::spawn(move || {
            start.wait();
            role(&[address], &name)
        })
    };
    let racers: Vec<_> = (0..RACES)
        .map(|number| {
            let publisher = join(number, Client::publish, number % 2);
            let viewer = join(number, Client::play, (number + 1) % 2);
            (publisher, viewer)
        })
        .collect();
    let mut moved = 0;
    let streams: Vec<_> = racers
        .into_iter()
        .map(|(publisher, viewer)| {
            let publisher = publisher.join().expect("it started");
            let viewer = viewer.join().expect("it started");
            let log = viewer.reached(FIRST);
            moved += log.sessions.len() - 1;
            (publisher, viewer)
        })
        .collect();
    println!("{moved} of {RACES} viewers had to reconnect");
    let found = placements(&cluster);
    assert_eq!(found.len(), RACES);
    for (name, homes) in &found {
        assert_eq!(homes.len(), 1, "{name}");
    }
    let mut told = BTreeMap::new();
    for number in 0..2 {
        let proxy = cluster.proxy(number);
        let answer = proxy.shows("/api/v1/streams?count=1000", |answer| {
            answer["total"].as_u64() == Some(RACES as u64)
        });
        for stream in answer["streams"].as_array().expect("a list") {
            let (name, origin) = (stream["stream"].to_string(), stream["origin"].to_string());
            let before = told.insert(name, origin.clone());
            assert!(before.is_none_or(|before| before == origin), "{stream}");
        }
    }
    drop(streams);
    cluster.assert_well(&[]);
}

/// B4: of two first publishers that come at once at two proxies one is taken, because both were sent to one origin.
#[test]
fn of_two_publishers_that_race_one_is_taken() {
    let cluster = Cluster::start(BINARY, 3, 2);
    let start = Arc::new(Barrier::new(2 * RACES));
    let join = |number: usize, at: usize| {
        let (start, address) = (Arc::clone(&start), rtmp(&cluster, at));
        thread::spawn(move || {
            start.wait();
            Link::publish(address, &format!("s{number}"))
        })
    };
    let racers: Vec<_> = (0..RACES)
        .map(|number| [join(number, 0), join(number, 1)])
        .collect();
    for (number, racers) in racers.into_iter().enumerate() {
        let ended = racers.map(|racer| racer.join().expect("it ended"));
        let said = ended
            .each_ref()
            .map(|one| one.as_ref().err().map(|failure| format!("{failure:?}")));
        assert!(
            matches!(
                ended,
                [Ok(_), Err(Failure::Refused(_))] | [Err(Failure::Refused(_)), Ok(_)]
            ),
            "s{number}: {said:?}"
        );
    }
    cluster.assert_well(&[]);
}
