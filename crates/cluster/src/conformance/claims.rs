//! Rules of claims and expectations.
//!
//! Owns: who wins, what is kept and what runs out. Does not: register nodes, which claims do not need.

use super::{Subject, good, join_all, key, run_of};
use crate::{Claim, Found, Key, MAX_KEY_BYTES, NodeId};

/// Callers in a race; more than there are cores or connections.
const RACERS: usize = 40;

fn id(server: &str) -> NodeId {
    NodeId::new(server, "service", "1")
}

/// A second claim changes nothing and learns of the first.
pub async fn the_first_claim_wins(subject: Subject) {
    let stream = key("v/live/s");
    assert_eq!(good(subject.first.find(&stream).await), Found::default());
    let won = good(subject.first.claim(&stream, &id("a"), None).await);
    assert_eq!(won.node, id("a"));
    let lost = good(subject.second.claim(&stream, &id("b"), None).await);
    assert_eq!(lost, won);
    for (who, state) in subject.both() {
        let found = good(state.find(&stream).await);
        assert_eq!(found.claim.as_ref(), Some(&won), "{who} user");
        assert_eq!(found.expected, None);
    }
}

/// First requests of one stream at the same time end at one node.
pub async fn of_a_race_of_claims_one_wins_and_all_see_it(subject: Subject) {
    let nodes: Vec<_> = (0..RACERS).map(|n| id(&n.to_string())).collect();
    for round in 0..5 {
        let stream = key(&format!("v/live/{round}"));
        let race = nodes.iter().enumerate().map(|(n, node)| {
            let (_, state) = subject.both()[n % 2];
            state.claim(&stream, node, None)
        });
        let seen = join_all(race.collect()).await;
        let winner = good(subject.first.find(&stream).await).claim;
        let winner = winner.expect("somebody won");
        assert!(nodes.contains(&winner.node));
        for claim in seen {
            assert_eq!(good(claim), winner);
        }
        subject.is_at(&stream, Some(&winner.node)).await;
    }
}

/// Of two that found the same claim dead, the later gets what the earlier wrote.
pub async fn replacing_needs_the_claim_in_force(subject: Subject) {
    let stream = key("v/live/s");
    let dead = good(subject.first.claim(&stream, &id("dead"), None).await);
    let new = good(subject.first.claim(&stream, &id("new"), Some(&dead)).await);
    assert_eq!(new.node, id("new"));
    let stale = good(
        subject
            .second
            .claim(&stream, &id("late"), Some(&dead))
            .await,
    );
    assert_eq!(stale, new);
    subject.is_at(&stream, Some(&id("new"))).await;
    let again = good(subject.second.claim(&stream, &id("dead"), Some(&new)).await);
    assert_eq!(again.node, id("dead"));
    subject.is_at(&stream, Some(&id("dead"))).await;
}

/// All that found the same claim dead end at one node.
pub async fn of_a_race_of_replacements_one_wins_and_all_see_it(subject: Subject) {
    let stream = key("v/live/s");
    let dead = good(subject.first.claim(&stream, &id("dead"), None).await);
    let nodes: Vec<_> = (0..RACERS).map(|n| id(&n.to_string())).collect();
    let race = nodes.iter().enumerate().map(|(n, node)| {
        let (_, state) = subject.both()[n % 2];
        state.claim(&stream, node, Some(&dead))
    });
    let seen = join_all(race.collect()).await;
    let winner = good(subject.first.find(&stream).await).claim;
    let winner = winner.expect("somebody won");
    assert!(nodes.contains(&winner.node));
    for claim in seen {
        assert_eq!(good(claim), winner);
    }
}

/// The claim that is to be replaced may be gone by then.
pub async fn replacing_what_is_gone_claims(subject: Subject) {
    let stream = key("v/live/s");
    let old = good(subject.first.claim(&stream, &id("a"), None).await);
    good(subject.second.forget(&stream, &id("a")).await);
    let new = good(subject.first.claim(&stream, &id("b"), Some(&old)).await);
    assert_eq!(new.node, id("b"));
    subject.is_at(&stream, Some(&id("b"))).await;
}

/// An origin that was restarted has another id; its stream follows.
pub async fn the_claim_of_an_earlier_run_is_replaced(subject: Subject) {
    let stream = key("v/live/s");
    let (before, after) = (run_of("a", "s1", "7"), run_of("a", "s2", "8"));
    good(subject.first.register(&before).await);
    let old = good(subject.first.claim(&stream, &before.id, None).await);
    good(subject.first.leave(&before.id).await);
    good(subject.first.register(&after).await);
    let found = good(subject.second.find(&stream).await);
    assert_eq!(found.claim.as_ref(), Some(&old));
    let new = good(subject.second.claim(&stream, &after.id, Some(&old)).await);
    assert_eq!(new.node, after.id);
    subject.is_at(&stream, Some(&after.id)).await;
}

/// What replaced a claim is told from it by its epoch alone.
pub async fn claims_with_different_nodes_have_different_epochs(subject: Subject) {
    let stream = key("v/live/s");
    let mut last: Option<Claim> = None;
    for name in ["a", "b", "c", "d"] {
        let claim = good(subject.first.claim(&stream, &id(name), last.as_ref()).await);
        assert_eq!(claim.node, id(name));
        assert!(last.is_none_or(|last| last.epoch != claim.epoch));
        last = Some(claim);
    }
}

/// However long its sessions last.
pub async fn a_claim_stays_until_it_is_released(subject: Subject) {
    let stream = key("v/live/s");
    let claim = good(subject.first.claim(&stream, &id("a"), None).await);
    subject.outlive(subject.lease + subject.ttl).await;
    let found = good(subject.second.find(&stream).await);
    assert_eq!(found.claim, Some(claim));
}

/// And then it is free for all.
pub async fn a_released_claim_runs_out(subject: Subject) {
    let stream = key("v/live/s");
    good(subject.first.claim(&stream, &id("a"), None).await);
    good(subject.first.release(&stream, &id("a"), subject.ttl).await);
    subject.half(subject.ttl).await;
    subject.is_at(&stream, Some(&id("a"))).await;
    let still = good(subject.second.claim(&stream, &id("b"), None).await);
    assert_eq!(still.node, id("a"));
    (subject.advance)(subject.ttl * 3 / 4).await;
    subject.is_at(&stream, None).await;
    assert_eq!(good(subject.first.claims(10).await), []);
    let free = good(subject.second.claim(&stream, &id("b"), None).await);
    assert_eq!(free.node, id("b"));
}

/// Nor does releasing what nobody claimed.
pub async fn releasing_for_another_node_changes_nothing(subject: Subject) {
    let stream = key("v/live/s");
    good(subject.first.claim(&stream, &id("a"), None).await);
    good(subject.second.release(&stream, &id("b"), subject.ttl).await);
    let none = key("v/live/none");
    good(subject.first.release(&none, &id("a"), subject.ttl).await);
    subject.outlive(subject.ttl).await;
    subject.is_at(&stream, Some(&id("a"))).await;
    subject.is_at(&none, None).await;
}

/// One proxy's last session ends, another's goes on.
pub async fn holding_ends_a_release_by_another(subject: Subject) {
    let stream = key("v/live/s");
    let claim = good(subject.first.claim(&stream, &id("a"), None).await);
    good(subject.first.release(&stream, &id("a"), subject.ttl).await);
    subject.half(subject.ttl).await;
    let held = [(stream.clone(), id("a"))];
    good(subject.second.hold(&held).await);
    subject.outlive(subject.ttl).await;
    let found = good(subject.first.find(&stream).await);
    assert_eq!(found.claim, Some(claim));
}

/// A state that lost its claims gets them back from those who use them.
pub async fn holding_writes_what_is_missing_and_leaves_what_is_not(subject: Subject) {
    let (missing, others, own) = (key("v/live/m"), key("v/live/o"), key("v/live/own"));
    good(subject.first.claim(&others, &id("b"), None).await);
    good(subject.first.claim(&own, &id("a"), None).await);
    let held = [&missing, &others, &own].map(|stream| (stream.clone(), id("a")));
    good(subject.second.hold(&held).await);
    good(subject.second.hold(&[]).await);
    subject.outlive(subject.ttl).await;
    subject.is_at(&missing, Some(&id("a"))).await;
    subject.is_at(&others, Some(&id("b"))).await;
    subject.is_at(&own, Some(&id("a"))).await;
    let late = good(subject.first.claim(&missing, &id("b"), None).await);
    assert_eq!(late.node, id("a"));
}

/// A hold is no more than what ends a release.
pub async fn what_was_held_can_be_released_again(subject: Subject) {
    let stream = key("v/live/s");
    let held = [(stream.clone(), id("a"))];
    good(subject.first.hold(&held).await);
    good(subject.second.release(&stream, &id("a"), subject.ttl).await);
    subject.outlive(subject.ttl).await;
    subject.is_at(&stream, None).await;
}

/// Whoever is late does not strike off what came after.
pub async fn forgetting_needs_the_node_of_the_claim(subject: Subject) {
    let stream = key("v/live/s");
    good(subject.first.claim(&stream, &id("a"), None).await);
    good(subject.second.forget(&stream, &id("b")).await);
    subject.is_at(&stream, Some(&id("a"))).await;
    good(subject.second.forget(&stream, &id("a")).await);
    subject.is_at(&stream, None).await;
    good(subject.second.forget(&stream, &id("a")).await);
    let next = good(subject.first.claim(&stream, &id("b"), None).await);
    assert_eq!(next.node, id("b"));
}

/// All of them, or as many as are asked for.
pub async fn claims_are_listed_up_to_a_limit(subject: Subject) {
    assert_eq!(good(subject.first.claims(10).await), []);
    let mut expected: Vec<_> = (0..7)
        .map(|n| (key(&format!("v/live/{n}")), id(&n.to_string())))
        .collect();
    for (stream, node) in &expected {
        good(subject.first.claim(stream, node, None).await);
    }
    // neither of these is a claim
    let ttl = subject.ttl;
    good(subject.first.expect(&key("v/live/x"), &id("x"), ttl).await);
    let route = ("v/live/r".to_owned(), "value".to_owned());
    good(subject.first.put_routes(&[route], ttl).await);
    let mut all = good(subject.second.claims(100).await);
    all.sort();
    expected.sort();
    assert_eq!(all, expected);
    let some = good(subject.second.claims(3).await);
    assert_eq!(some.len(), 3);
    assert!(some.iter().all(|claim| expected.contains(claim)));
    assert_eq!(good(subject.second.claims(0).await), []);
}

/// Nothing in a name means anything to a backend.
pub async fn streams_of_odd_names_are_kept_apart(subject: Subject) {
    let names = [
        "v/live/a",
        "v/live/A",
        "v/live/a ",
        "v/live/*",
        "v/live/?",
        "v/live/[a]",
        "v/live/{a}",
        "v/live/a:b",
        "v/live/a%20b",
        "v/live/a b",
        "v/live/\u{e9}",
        "v/live/e\u{301}",
        "v/live/\u{1f3a5}",
        "v/live/\"a\\",
        "/",
        &"x".repeat(MAX_KEY_BYTES),
    ];
    let streams: Vec<Key> = names.iter().map(|name| key(name)).collect();
    for (n, stream) in streams.iter().enumerate() {
        let node = id(&n.to_string());
        let claim = good(subject.first.claim(stream, &node, None).await);
        assert_eq!(claim.node, node, "{stream}");
    }
    for (n, stream) in streams.iter().enumerate() {
        subject.is_at(stream, Some(&id(&n.to_string()))).await;
    }
    let mut listed: Vec<_> = good(subject.second.claims(100).await)
        .into_iter()
        .map(|(stream, _)| stream)
        .collect();
    listed.sort();
    let mut expected = streams;
    expected.sort();
    assert_eq!(listed, expected);
}

/// Viewers that come before the publisher wait together.
pub async fn the_first_expectation_wins(subject: Subject) {
    let stream = key("v/live/s");
    let ttl = subject.ttl;
    let first = good(subject.first.expect(&stream, &id("a"), ttl).await);
    assert_eq!(first, id("a"));
    let second = good(subject.second.expect(&stream, &id("b"), ttl).await);
    assert_eq!(second, id("a"));
    for (who, state) in subject.both() {
        let found = good(state.find(&stream).await);
        assert_eq!(found.expected, Some(id("a")), "{who} user");
        assert_eq!(found.claim, None, "{who} user");
    }
}

/// Waiting viewers keep their place, those who would wait elsewhere do not keep it for them.
pub async fn an_expectation_runs_out_and_only_its_node_renews_it(subject: Subject) {
    let (kept, lost) = (key("v/live/kept"), key("v/live/lost"));
    let ttl = subject.ttl;
    good(subject.first.expect(&kept, &id("a"), ttl).await);
    good(subject.first.expect(&lost, &id("a"), ttl).await);
    subject.half(ttl).await;
    good(subject.second.expect(&kept, &id("a"), ttl).await);
    good(subject.second.expect(&lost, &id("b"), ttl).await);
    (subject.advance)(ttl * 3 / 4).await;
    assert_eq!(
        good(subject.first.find(&kept).await).expected,
        Some(id("a"))
    );
    assert_eq!(good(subject.first.find(&lost).await).expected, None);
    subject.outlive(ttl).await;
    assert_eq!(good(subject.first.find(&kept).await).expected, None);
    let next = good(subject.second.expect(&kept, &id("b"), ttl).await);
    assert_eq!(next, id("b"));
}

/// Neither hides the other.
pub async fn a_claim_and_an_expectation_are_found_together(subject: Subject) {
    let stream = key("v/live/s");
    good(subject.first.expect(&stream, &id("a"), subject.ttl).await);
    let claim = good(subject.second.claim(&stream, &id("b"), None).await);
    assert_eq!(claim.node, id("b"));
    let found = good(subject.first.find(&stream).await);
    assert_eq!(found.claim, Some(claim));
    assert_eq!(found.expected, Some(id("a")));
    good(subject.first.forget(&stream, &id("b")).await);
    let found = good(subject.second.find(&stream).await);
    assert_eq!((found.claim, found.expected), (None, Some(id("a"))));
}
