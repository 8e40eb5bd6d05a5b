//! Tests of placement: spread, weights, limits, and how little moves.

use proptest::prelude::*;

use super::*;

fn plain() -> Candidate {
    Candidate {
        report: Report::default(),
        added: 0,
    }
}

fn weighing(weight: u32) -> Candidate {
    let mut candidate = plain();
    candidate.report.weight = weight;
    candidate
}

fn loaded(cpu: f32, sessions: u32) -> Candidate {
    let mut candidate = plain();
    candidate.report.load = Some(Load {
        cpu,
        egress_bps: 0,
        sessions,
    });
    candidate
}

/// SplitMix64, so that a failure can be repeated.
fn dice(seed: u64) -> impl Iterator<Item = u64> {
    (1..).map(move |n: u64| finalize(seed.wrapping_add(n.wrapping_mul(SECOND_DRAW))))
}

fn chi_square(counts: &[u32], expected: &[f64]) -> f64 {
    let terms = counts.iter().zip(expected);
    terms
        .map(|(count, expected)| (f64::from(*count) - expected).powi(2) / expected)
        .sum()
}

#[test]
fn nobody_reports_load_and_each_gets_its_share() {
    // 9.21 is the 1 % point of chi-square with two degrees of freedom
    for seed in 0..5 {
        let candidates = [plain(); 3];
        let mut counts = [0_u32; 3];
        for dice in dice(seed).take(9_000) {
            counts[choose(&candidates, dice).expect("all are open")] += 1;
        }
        let chi = chi_square(&counts, &[3_000.0; 3]);
        assert!(chi < 9.21, "seed {seed}: {counts:?}, {chi}");
    }
}

#[test]
fn shares_follow_weights() {
    let mut candidates = [weighing(100), weighing(200), weighing(100)];
    for dice in dice(7).take(4_000) {
        let index = choose(&candidates, dice).expect("all are open");
        candidates[index].added += 1;
    }
    let counts = candidates.map(|candidate| candidate.added);
    assert!((950..=1_050).contains(&counts[0]), "{counts:?}");
    assert!((1_950..=2_050).contains(&counts[1]), "{counts:?}");
}

#[test]
fn two_choices_beat_one() {
    let nodes = 100;
    let (mut two, mut one) = (vec![plain(); nodes], vec![0_u32; nodes]);
    for dice in dice(3).take(10_000) {
        let index = choose(&two, dice).expect("all are open");
        two[index].added += 1;
        one[(dice % nodes as u64) as usize] += 1;
    }
    let two = two.iter().map(|candidate| candidate.added).max();
    let one = one.iter().copied().max();
    // 100 each would be perfect
    assert!(two <= Some(105), "{two:?}");
    assert!(one >= Some(120), "{one:?}");
}

#[test]
fn the_idle_node_does_not_get_a_whole_burst() {
    let mut candidates = [loaded(0.30, 300), loaded(0.20, 200), loaded(0.25, 250)];
    for dice in dice(11).take(300) {
        let index = choose(&candidates, dice).expect("all are open");
        candidates[index].added += 1;
    }
    let sums = candidates.map(|candidate| candidate.sessions());
    assert!(
        sums.iter().all(|sum| (330..=370).contains(sum)),
        "they meet at 350: {sums:?}"
    );
}

#[test]
fn the_less_loaded_of_two_wins() {
    for dice in dice(5).take(100) {
        assert_eq!(choose(&[loaded(0.9, 1), loaded(0.1, 50)], dice), Some(1));
        let nonsense = loaded(f32::NAN, 0);
        assert_eq!(choose(&[nonsense, loaded(0.5, 50)], dice), Some(1));
        let mut roomy = loaded(0.1, 50);
        roomy.report.capacity = 60;
        assert_eq!(choose(&[roomy, loaded(0.5, 50)], dice), Some(1));
    }
}

#[test]
fn full_draining_and_weightless_nodes_take_nothing() {
    let mut full = loaded(0.1, 8);
    full.report.capacity = 10;
    full.added = 2;
    let mut draining = plain();
    draining.report.draining = true;
    let closed = [full, draining, weighing(0)];
    assert!(full.is_full() && full.is_open());
    assert!(!draining.is_open() && !weighing(0).is_open());
    for dice in dice(1).take(100) {
        assert_eq!(choose(&closed, dice), None);
        let with_one = [full, draining, plain(), weighing(0)];
        assert_eq!(choose(&with_one, dice), Some(2));
    }
    assert_eq!(choose(&[], 0), None);
}

#[test]
fn rendezvous_never_changes() {
    // proxies of all versions must agree on this
    let nodes = [("a", 100), ("b", 100), ("c", 100), ("d", 300)];
    let order = rendezvous(&nodes, "__defaultVhost__/live/livestream");
    assert_eq!(order, PINNED_ORDER);
    assert_eq!(stable_hash(b"livestream"), PINNED_HASH);
}

const PINNED_ORDER: [usize; 4] = [1, 2, 3, 0];
const PINNED_HASH: u64 = 0x04fc_4dd5_a95c_2356;

#[test]
fn each_is_first_for_its_share_of_keys() {
    let nodes = [("one", 100), ("two", 200), ("three", 100)];
    let mut counts = [0_u32; 3];
    for n in 0..8_000 {
        let order = rendezvous(&nodes, &format!("v/live/stream-{n}"));
        counts[order[0]] += 1;
    }
    let chi = chi_square(&counts, &[2_000.0, 4_000.0, 2_000.0]);
    assert!(chi < 9.21, "{counts:?}, {chi}");
}

#[test]
fn only_keys_of_the_lost_node_move() {
    let all: Vec<String> = (0..10).map(|n| format!("origin-{n}")).collect();
    let all: Vec<(&str, u32)> = all.iter().map(|name| (name.as_str(), 100)).collect();
    let fewer = &all[..9];
    let mut moved = 0;
    for n in 0..5_000 {
        let key = format!("v/live/stream-{n}");
        let before = rendezvous(&all, &key);
        let after = rendezvous(fewer, &key);
        let kept: Vec<usize> = before.iter().copied().filter(|index| *index != 9).collect();
        assert_eq!(kept, after, "the others keep their order");
        moved += usize::from(before[0] == 9);
    }
    assert!((400..600).contains(&moved), "a tenth moves: {moved}");
}

#[test]
fn logarithms_are_right() {
    for hash in [
        1,
        2,
        3,
        1 << 20,
        u64::MAX / 3,
        u64::MAX / 2,
        u64::MAX - 1,
        u64::MAX,
    ] {
        let exact = 64.0 - ((hash | 1) as f64).log2();
        let fixed = distance(hash) as f64 / (1_u64 << 56) as f64;
        assert!((exact - fixed).abs() < 1e-6, "{hash}: {exact} {fixed}");
    }
}

fn candidate() -> impl Strategy<Value = Candidate> {
    let load = proptest::option::of((-1.0_f32..2.0, 0_u32..50));
    (0_u32..4, 0_u32..20, any::<bool>(), load, 0_u32..20).prop_map(
        |(weight, capacity, draining, load, added)| Candidate {
            report: Report {
                weight,
                capacity,
                draining,
                load: load.map(|(cpu, sessions)| Load {
                    cpu,
                    egress_bps: 0,
                    sessions,
                }),
            },
            added,
        },
    )
}

proptest! {
    #[test]
    fn whoever_is_chosen_has_room(
        candidates in proptest::collection::vec(candidate(), 0..12), dice: u64,
    ) {
        let takes = |one: &Candidate| one.is_open() && !one.is_full();
        match choose(&candidates, dice) {
            Some(index) => prop_assert!(takes(&candidates[index])),
            None => prop_assert!(!candidates.iter().any(takes)),
        }
    }

    #[test]
    fn the_order_is_whole_and_knows_no_position(
        names in proptest::collection::btree_set("[a-z]{1,8}", 0..12), key in "[a-z/]{1,20}",
    ) {
        let nodes: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 100)).collect();
        let named = |nodes: &[(&str, u32)]| -> Vec<String> {
            let order = rendezvous(nodes, &key);
            order.into_iter().map(|index| nodes[index].0.to_owned()).collect()
        };
        let order = named(&nodes);
        prop_assert_eq!(order.len(), nodes.len());
        let mut reversed = nodes;
        reversed.reverse();
        prop_assert_eq!(order, named(&reversed));
    }
}
