//! Rules of nodes.
//!
//! Owns: registration, lease, order, drain and changes. Does not: look at claims, but for what a leaving node does to
//! them.

use super::{Subject, good, key, node, run_of};
use crate::{Load, Node, NodeId, Report, Service};

async fn listed(subject: &Subject) -> Vec<Node> {
    let first = good(subject.first.nodes().await);
    let second = good(subject.second.nodes().await);
    assert_eq!(first, second, "both users see the same nodes");
    first
}

async fn ids(subject: &Subject) -> Vec<NodeId> {
    listed(subject)
        .await
        .into_iter()
        .map(|node| node.id)
        .collect()
}

async fn is_draining(subject: &Subject) -> Vec<bool> {
    let nodes = listed(subject).await;
    nodes.iter().map(|node| node.report.draining).collect()
}

/// A node comes back with all its fields.
pub async fn a_node_is_listed_as_it_registered(subject: Subject) {
    assert_eq!(listed(&subject).await, []);
    let mut full = node("full");
    full.host = "2001:db8::1".to_owned();
    full.device = "rack 7".to_owned();
    let texts: [(Service, &[&str]); 5] = [
        (Service::Rtmp, &["1935", "[::]:19350"]),
        (Service::Http, &["0.0.0.0:8080"]),
        (Service::Api, &["tcp://127.0.0.1:1985"]),
        (Service::Srt, &["10080", "10081", "10082"]),
        (Service::Rtc, &["udp://8000"]),
    ];
    for (service, texts) in texts {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        full.endpoints.set(service, texts);
    }
    full.report = Report {
        weight: 250,
        capacity: 9000,
        draining: false,
        load: Some(Load {
            cpu: 0.25,
            egress_bps: 40_000_000_000,
            sessions: 8999,
        }),
    };
    let plain = node("plain");
    good(subject.first.register(&full).await);
    good(subject.second.register(&plain).await);
    assert_eq!(listed(&subject).await, [full, plain]);
}

/// Names are any text.
pub async fn a_node_of_odd_characters_is_listed_as_it_registered(subject: Subject) {
    let mut odd = run_of("sérvér:*?[a]{b}", "a-b \"c\"", "\\n\u{2028}%20");
    odd.host = "origin_1.例え.example".to_owned();
    odd.device = "\u{1f3a5} <camera> & 'more'\n\t\u{7f}".to_owned();
    odd.endpoints
        .set(Service::Rtc, vec![" udp://8000 ".to_owned(), String::new()]);
    let mut none = node("");
    none.endpoints.set(Service::Rtmp, Vec::new());
    good(subject.first.register(&odd).await);
    good(subject.first.register(&none).await);
    assert_eq!(listed(&subject).await, [odd, none]);
}

/// Nothing of the earlier record stays.
pub async fn registering_again_replaces_the_whole_record(subject: Subject) {
    let mut before = node("a");
    before.device = "old".to_owned();
    before.endpoints.set(Service::Srt, vec!["10080".to_owned()]);
    before.report.weight = 1;
    before.report.load = Some(Load::default());
    good(subject.first.register(&before).await);
    let mut after = node("a");
    after.host = "192.0.2.99".to_owned();
    after.endpoints.set(Service::Rtmp, vec!["19351".to_owned()]);
    good(subject.second.register(&after).await);
    assert_eq!(listed(&subject).await, [after]);
}

/// The order is that of the first registration.
pub async fn nodes_come_in_order_of_arrival(subject: Subject) {
    for (index, name) in ["m", "z", "a", "k"].into_iter().enumerate() {
        let (_, state) = subject.both()[index % 2];
        good(state.register(&node(name)).await);
    }
    good(subject.second.register(&node("z")).await);
    let expected = ["m", "z", "a", "k"].map(|name| node(name).id);
    assert_eq!(ids(&subject).await, expected);
}

/// A restarted origin is another node.
pub async fn runs_of_one_server_are_different_nodes(subject: Subject) {
    let (before, after) = (run_of("a", "s1", "1"), run_of("a", "s2", "1"));
    good(subject.first.register(&before).await);
    good(subject.first.register(&after).await);
    assert_eq!(ids(&subject).await, [before.id, after.id]);
}

/// A node strikes itself off, whichever proxy it tells; claims are left to whoever replaces them.
pub async fn a_node_that_leaves_is_gone_and_its_claims_stay(subject: Subject) {
    let (gone, stays) = (node("gone"), node("stays"));
    let stream = key("v/live/s");
    good(subject.first.register(&gone).await);
    good(subject.first.register(&stays).await);
    good(subject.first.claim(&stream, &gone.id, None).await);
    good(subject.second.leave(&gone.id).await);
    assert_eq!(ids(&subject).await, [stays.id]);
    // once more, and one that never was
    good(subject.first.leave(&gone.id).await);
    good(subject.first.leave(&node("never").id).await);
    subject.is_at(&stream, Some(&gone.id)).await;
}

/// A node that is silent for the lease is gone; one that registers in time is not.
pub async fn a_lease_ends_and_a_beat_renews_it(subject: Subject) {
    let (silent, alive) = (node("silent"), node("alive"));
    good(subject.first.register(&silent).await);
    good(subject.first.register(&alive).await);
    subject.half(subject.lease).await;
    assert_eq!(ids(&subject).await.len(), 2);
    good(subject.second.register(&alive).await);
    (subject.advance)(subject.lease * 3 / 4).await;
    assert_eq!(ids(&subject).await, [alive.id]);
    subject.outlive(subject.lease).await;
    assert_eq!(ids(&subject).await, []);
}

/// A lease that ended can begin again.
pub async fn a_node_that_was_lost_can_come_back(subject: Subject) {
    let node = node("a");
    good(subject.first.register(&node).await);
    subject.outlive(subject.lease).await;
    assert_eq!(ids(&subject).await, []);
    good(subject.second.register(&node).await);
    assert_eq!(listed(&subject).await, [node]);
}

/// A beat does not undo what an operator said.
pub async fn a_drained_node_stays_so_when_it_registers_again(subject: Subject) {
    let (drained, other) = (node("drained"), node("other"));
    good(subject.first.register(&drained).await);
    good(subject.first.register(&other).await);
    good(subject.first.drain(&drained.id, true).await);
    assert_eq!(is_draining(&subject).await, [true, false]);
    good(subject.second.register(&drained).await);
    assert_eq!(is_draining(&subject).await, [true, false]);
    good(subject.second.drain(&drained.id, false).await);
    assert_eq!(is_draining(&subject).await, [false, false]);
}

/// What a node says of itself counts too.
pub async fn a_node_that_drains_itself_cannot_be_told_otherwise(subject: Subject) {
    let mut tired = node("tired");
    tired.report.draining = true;
    good(subject.first.register(&tired).await);
    good(subject.first.drain(&tired.id, false).await);
    assert_eq!(is_draining(&subject).await, [true]);
    tired.report.draining = false;
    good(subject.first.register(&tired).await);
    assert_eq!(is_draining(&subject).await, [false]);
}

/// Whoever waits for a change by another user is woken, if the backend can tell.
pub async fn a_change_is_told(subject: Subject) {
    if !subject.tells_changes {
        return;
    }
    let seen = good(subject.first.changed(0).await);
    assert_ne!(seen, 0, "0 is a version that nothing has");
    good(subject.second.register(&node("a")).await);
    let after = good(subject.first.changed(seen).await);
    good(subject.second.leave(&node("a").id).await);
    good(subject.first.changed(after).await);
    assert_eq!(ids(&subject).await, []);
}
