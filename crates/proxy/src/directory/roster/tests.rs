//! Tests of the roster: who stays and who goes, outages, restarts.

use std::time::SystemTime;

use weir_cluster::{Endpoints, Report};

use super::*;

const LEASE: Duration = Duration::from_secs(300);
const SECOND: Duration = Duration::from_secs(1);

/// An origin of a server, whose process is told by `pid`, that registered `at` seconds after the epoch.
fn node(server: &str, pid: u32, port: u16, at: u64) -> Node {
    let (service, pid) = (format!("svc{pid}"), pid.to_string());
    let mut endpoints = Endpoints::default();
    endpoints.set(Service::Rtmp, vec![port.to_string()]);
    Node {
        id: NodeId::new(server, &service, &pid),
        host: "192.0.2.1".to_owned(),
        device: String::new(),
        server: server.to_owned(),
        service,
        pid,
        endpoints,
        report: Report::default(),
        updated: SystemTime::UNIX_EPOCH + Duration::from_secs(at),
    }
}

fn reading(asked: Instant) -> Reading {
    Reading {
        asked,
        returned: None,
        lease: LEASE,
    }
}

fn names(picture: &Picture) -> Vec<&str> {
    let origins = picture.origins.iter();
    origins.map(|origin| origin.node.server.as_str()).collect()
}

fn see(roster: &Roster) -> Picture {
    roster.picture(&Picture::default())
}

#[test]
fn whoever_the_state_lists_is_there() {
    let (mut roster, now) = (Roster::default(), weir_net::clock::now());
    let (a, b) = (node("a", 1, 1935, 0), node("b", 1, 1936, 0));
    roster.listed(vec![a.clone(), b.clone()], reading(now));
    let first = see(&roster);
    assert_eq!(names(&first), ["a", "b"]);
    roster.listed(vec![b.clone()], reading(now + SECOND));
    let second = roster.picture(&first);
    assert_eq!(names(&second), ["b"]);
    assert!(Arc::ptr_eq(&first.origins[1], &second.origins[0]));
    let gone = second.get(&a.id).expect("remembered");
    assert_eq!(gone.standing, Standing::Departed);
    // and it has its counters when it is back
    gone.condition.opened();
    roster.listed(vec![b, a.clone()], reading(now + SECOND * 2));
    let third = see(&roster);
    assert_eq!(third.get(&a.id).map(|a| a.condition.sessions()), Some(1));
    assert_eq!(
        third.get(&a.id).map(|a| a.standing),
        Some(Standing::Present)
    );
}

#[test]
fn an_outage_expires_nobody() {
    let (mut roster, now) = (Roster::default(), weir_net::clock::now());
    let (a, b) = (node("a", 1, 1935, 0), node("b", 1, 1936, 0));
    roster.listed(vec![a, b.clone()], reading(now));
    // the state was away for longer than the lease; only b has registered again by now
    let returned = now + LEASE * 2;
    let after = |seconds: u32| Reading {
        returned: Some(returned),
        ..reading(returned + SECOND * seconds)
    };
    roster.listed(vec![b.clone()], after(0));
    assert_eq!(names(&see(&roster)), ["a", "b"]);
    roster.listed(vec![b.clone()], after(299));
    assert_eq!(names(&see(&roster)), ["a", "b"]);
    roster.listed(vec![b.clone()], after(300));
    assert_eq!(names(&see(&roster)), ["b"]);
    // from then on it is as always
    roster.listed(vec![b, node("c", 1, 1, 0)], after(301));
    roster.listed(vec![node("c", 1, 1, 0)], after(302));
    assert_eq!(names(&see(&roster)), ["c"]);
}

#[test]
fn a_state_that_lost_its_data_does_not_empty_the_cluster() {
    let (mut roster, now) = (Roster::default(), weir_net::clock::now());
    roster.listed(vec![node("a", 1, 1935, 0)], reading(now));
    roster.listed(vec![], reading(now + SECOND * 29));
    assert_eq!(names(&see(&roster)), ["a"]);
    roster.listed(vec![], reading(now + SECOND * 30));
    assert!(names(&see(&roster)).is_empty());
}

#[test]
fn origins_that_were_lost_with_all_others_have_time_to_register_again() {
    let (mut roster, now) = (Roster::default(), weir_net::clock::now());
    let all = |at| ["a", "b", "c"].map(|name| node(name, 1, 1935, at)).to_vec();
    roster.listed(all(0), reading(now));
    roster.listed(all(0), reading(now + SECOND));
    // the first of them to register again is all there is
    for seconds in 2..31 {
        let listed = vec![node("b", 1, 1935, 9)];
        roster.listed(listed, reading(now + SECOND * seconds));
        assert_eq!(names(&see(&roster)), ["a", "b", "c"], "{seconds}");
    }
    roster.listed(vec![node("b", 1, 1935, 9)], reading(now + SECOND * 31));
    assert_eq!(names(&see(&roster)), ["b"]);
}

#[test]
fn an_origin_whose_lease_ends_as_another_registers_is_gone() {
    let (mut roster, now) = (Roster::default(), weir_net::clock::now());
    let (a, b) = (node("a", 1, 1935, 0), |at| node("b", 1, 1936, at));
    roster.listed(vec![a.clone(), b(0)], reading(now));
    roster.listed(vec![a, b(9)], reading(now + SECOND * 9));
    roster.listed(vec![b(300)], reading(now + LEASE));
    assert_eq!(names(&see(&roster)), ["b"]);
}

#[test]
fn a_registration_counts_before_the_state_has_it() {
    let (mut roster, now) = (Roster::default(), weir_net::clock::now());
    let a = node("a", 1, 1935, 5);
    assert!(roster.register(a.clone(), now));
    assert_eq!(roster.unwritten().nodes.len(), 1);
    // the state answers readings but takes no writes
    roster.listed(vec![], reading(now + SECOND * 60));
    assert_eq!(names(&see(&roster)), ["a"]);
    roster.node_written(&node("a", 1, 1935, 4));
    assert_eq!(
        roster.unwritten().nodes.len(),
        1,
        "an older one was written"
    );
    roster.node_written(&a);
    assert!(roster.unwritten().nodes.is_empty());
    // a reading that began before does not know it yet
    roster.listed(vec![node("b", 1, 1, 0)], reading(now));
    assert_eq!(names(&see(&roster)), ["a", "b"]);
    roster.listed(vec![node("b", 1, 1, 0)], reading(now + SECOND));
    assert_eq!(names(&see(&roster)), ["b"]);
}

#[test]
fn a_new_port_counts_at_once_and_is_not_judged_by_the_old() {
    let (mut roster, now) = (Roster::default(), weir_net::clock::now());
    roster.register(node("a", 1, 1935, 0), now);
    let condition = Arc::clone(&see(&roster).origins[0].condition);
    condition.failed(false, now);
    condition.placed();
    roster.register(node("a", 1, 1935, 1), now);
    assert!(!condition.is_alive(), "the same place");
    assert_eq!(condition.added(true), 0, "its report knows by now");
    roster.register(node("a", 1, 1936, 2), now);
    assert!(condition.is_alive());
    let picture = see(&roster);
    assert_eq!(picture.origins.len(), 1);
    let port = picture.origins[0].node.endpoints.port(Service::Rtmp);
    assert_eq!(port, Ok(Some(1936)));
}

#[test]
fn a_restarted_origin_takes_the_place_of_its_record() {
    let (mut roster, now) = (Roster::default(), weir_net::clock::now());
    let (old, new) = (node("a", 1, 1935, 0), node("a", 2, 1935, 9));
    // SRS instances that are started in one folder share their server id
    let neighbour = node("a", 7, 1936, 9);
    roster.listed(vec![neighbour.clone(), old.clone()], reading(now));
    let both = vec![neighbour.clone(), new.clone(), old.clone()];
    roster.listed(both, reading(now + SECOND));
    let picture = see(&roster);
    let standing = |id| picture.get(id).map(|origin| origin.standing);
    assert_eq!(standing(&old.id), Some(Standing::Superseded));
    assert_eq!(standing(&new.id), Some(Standing::Present));
    assert_eq!(standing(&neighbour.id), Some(Standing::Present));
    let successor = |picture: &Picture, id| picture.successor(id).map(|one| one.node.id.clone());
    assert_eq!(successor(&picture, &old.id), Some(new.id.clone()));
    // also when the old record has gone, and when it was never seen
    roster.listed(
        vec![neighbour.clone(), new.clone()],
        reading(now + SECOND * 2),
    );
    assert_eq!(successor(&see(&roster), &old.id), Some(new.id));
    let unseen = node("a", 99, 1, 0).id;
    assert_eq!(successor(&see(&roster), &unseen), Some(neighbour.id));
    let stranger = node("aa", 1, 1, 0).id;
    assert_eq!(successor(&see(&roster), &stranger), None);
}

#[test]
fn who_left_stays_away() {
    let (mut roster, now) = (Roster::default(), weir_net::clock::now());
    let a = node("a", 1, 1935, 0);
    roster.listed(vec![a.clone()], reading(now));
    assert!(!roster.leave(&node("b", 1, 1, 0).id, now));
    assert!(roster.leave(&a.id, now));
    assert_eq!(roster.unwritten().left, std::slice::from_ref(&a.id));
    // the state has not been told
    roster.listed(vec![a.clone()], reading(now + SECOND));
    assert!(see(&roster).origins.is_empty());
    roster.leave_written(&a.id, now + SECOND * 3);
    assert!(roster.unwritten().left.is_empty());
    // asked before it was told, answered afterwards
    roster.listed(vec![a.clone()], reading(now + SECOND * 2));
    assert!(see(&roster).origins.is_empty());
    roster.listed(vec![], reading(now + SECOND * 4));
    // what it says later counts, here or elsewhere
    roster.listed(vec![a.clone()], reading(now + SECOND * 5));
    assert_eq!(names(&see(&roster)), ["a"]);
    roster.leave(&a.id, now + SECOND * 6);
    roster.register(a, now + SECOND * 6);
    assert_eq!(names(&see(&roster)), ["a"]);
    assert!(roster.unwritten().left.is_empty());
}

#[test]
fn draining_outlives_registrations() {
    let (mut roster, now) = (Roster::default(), weir_net::clock::now());
    let a = node("a", 1, 1935, 0);
    roster.register(a.clone(), now);
    roster.node_written(&a);
    assert!(roster.drain(&a.id, true));
    assert!(!roster.drain(&node("b", 1, 1, 0).id, true));
    let draining = |roster: &Roster| see(roster).origins[0].node.report.draining;
    assert!(draining(&roster));
    // the state does not know yet
    roster.listed(vec![node("a", 1, 1935, 1)], reading(now + SECOND));
    assert!(draining(&roster));
    assert_eq!(roster.unwritten().drains, [(a.id.clone(), true)]);
    roster.drain_written(&a.id, false);
    assert_eq!(roster.unwritten().drains.len(), 1, "that was another word");
    roster.drain_written(&a.id, true);
    // a beat does not know of it, the state does
    roster.register(node("a", 1, 1935, 2), now + SECOND * 2);
    assert!(draining(&roster));
    roster.drain(&a.id, false);
    assert!(!draining(&roster));
    roster.drain_written(&a.id, false);
    roster.node_written(&node("a", 1, 1935, 2));
    roster.listed(vec![node("a", 1, 1935, 3)], reading(now + SECOND * 3));
    assert!(!draining(&roster));
}

#[test]
fn fixed_origins_need_no_state() {
    let (mut roster, now) = (Roster::default(), weir_net::clock::now());
    let a = node("static-1", 0, 1935, 0);
    assert!(roster.fix(a.clone(), now));
    assert!(roster.unwritten().nodes.is_empty());
    roster.listed(vec![node("b", 1, 1, 0)], reading(now + LEASE * 9));
    assert_eq!(names(&see(&roster)), ["static-1", "b"]);
    assert_eq!(roster.fixed().len(), 1);
    roster.listed(vec![a.clone()], reading(now + LEASE * 10));
    assert_eq!(roster.fixed().len(), 1, "listed or not");
    assert!(roster.leave(&a.id, now));
    assert!(roster.fixed().is_empty());
}

#[test]
fn there_is_an_end_to_it() {
    let (mut roster, now) = (Roster::default(), weir_net::clock::now());
    let many = (0..MAX_NODES as u32 + 10).map(|pid| node("a", pid, 1, 0));
    roster.listed(many.collect(), reading(now));
    assert_eq!(see(&roster).origins.len(), MAX_NODES);
    assert!(!roster.register(node("b", 1, 1, 0), now));
    assert!(roster.register(node("a", 1, 1, 1), now));
    roster.listed(vec![node("c", 1, 1, 0)], reading(now + SECOND));
    assert!(roster.departed.len() <= MAX_DEPARTED);
}
