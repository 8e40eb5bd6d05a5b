//! Proxies that die under many sessions.

use std::collections::BTreeSet;

use weir_net::clock::now;
use weir_testkit::cluster::Member;
use weir_testkit::{Cluster, Proxy};

use crate::BINARY;
use crate::light::{Client, Frame};
use crate::streams::{FIRST, Streams};

/// The sessions of a killed proxy go on through another, at the origins where their streams were.
#[test]
fn the_sessions_of_a_killed_proxy_go_on_where_they_were() {
    let mut cluster = Cluster::start(BINARY, 3, 2);
    let streams = Streams::start(&cluster, "s", 40);
    let homes = streams.homes(&cluster);

    let killed = now();
    cluster.kill(Member::Proxy(0));
    // each stream has its publisher there, or its viewer
    let mut touched = BTreeSet::new();
    let mut took = Vec::new();
    for (name, stream) in streams.iter() {
        let number: usize = name[1..].parse().expect("it is numbered");
        let log = match number % 2 {
            0 => stream.viewer.reached(Frame { take: 1, number: 0 }),
            _ => stream.viewer.until("a frame in a second session", |log| {
                let last = log.sessions.last();
                log.sessions.len() > 1 && last.is_some_and(|last| !last.frames.is_empty())
            }),
        };
        let last = log.sessions.last().expect("it has some");
        let (_, at) = last.frames.first().expect("it has some");
        took.push(at.saturating_duration_since(killed));
        touched.insert(name.clone());
    }
    println!("all 40 streams played again after {:?}", took.iter().max());
    assert_eq!(streams.homes(&cluster), homes);

    // one that is started in its place knows where everything is, though no origin registers with it
    let url = cluster.redis().url();
    let args = ["--cluster-state", "redis", "--redis-url", &url];
    let fresh = Proxy::start(BINARY, &args);
    let viewers: Vec<Client> = homes
        .keys()
        .map(|name| Client::play(&[fresh.listener("rtmp")], name))
        .collect();
    for viewer in &viewers {
        let log = viewer.reached(FIRST);
        assert_eq!(log.sessions.len(), 1, "{:?}", log.refusals);
    }
    fresh.assert_well();
    streams.finish(&touched);
    cluster.assert_well(&[Member::Proxy(0)]);
}
