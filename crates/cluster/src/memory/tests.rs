//! Tests of the state in memory: the rules of every backend, a naive model, bounds, and threads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use proptest::prelude::*;

use super::*;
use crate::conformance::{Rule, Subject, block_on};
use crate::{Endpoints, Report};

const LEASE: Duration = Duration::from_secs(300);
const TTL: Duration = Duration::from_secs(120);

/// Virtual time: nanoseconds since its beginning.
#[derive(Clone)]
struct Clock {
    start: Instant,
    passed: Arc<AtomicU64>,
}

impl Clock {
    #[allow(clippy::disallowed_methods, reason = "virtual time has to begin")]
    fn new() -> Self {
        Self {
            start: Instant::now(),
            passed: Arc::default(),
        }
    }

    fn advance(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).expect("no more than centuries");
        self.passed.fetch_add(nanos, Ordering::Relaxed);
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_nanos(self.passed.load(Ordering::Relaxed))
    }
}

fn memory(options: Options) -> (Arc<Memory>, Clock) {
    let clock = Clock::new();
    let read = clock.clone();
    (Arc::new(Memory::new(options, move || read.now())), clock)
}

fn run(rule: Rule) {
    let (memory, clock) = memory(Options {
        lease: LEASE,
        ..Options::default()
    });
    block_on(rule(Subject {
        first: Arc::clone(&memory) as Arc<dyn ClusterState>,
        second: memory,
        lease: LEASE,
        ttl: TTL,
        tells_changes: true,
        advance: Box::new(move |time| {
            clock.advance(time);
            Box::pin(async {})
        }),
    }));
}

mod rules {
    crate::conformance_tests!(super::run);
}

#[test]
fn every_rule_that_is_written_is_listed() {
    let files = [
        include_str!("../conformance/nodes.rs"),
        include_str!("../conformance/claims.rs"),
        include_str!("../conformance/routes.rs"),
    ];
    let names: Vec<_> = files
        .iter()
        .flat_map(|text| text.split("\npub async fn ").skip(1))
        .filter_map(|rest| rest.split('(').next())
        .collect();
    let listed: Vec<_> = crate::conformance::all()
        .iter()
        .map(|rule| rule.0)
        .collect();
    assert_eq!(listed, names);
}

fn key(text: &str) -> Key {
    Key::new(text).expect("keys of tests are sound")
}

fn id(name: &str) -> NodeId {
    NodeId::from_text(name)
}

fn node(name: &str) -> Node {
    Node {
        id: id(name),
        host: "192.0.2.1".to_owned(),
        device: String::new(),
        server: name.to_owned(),
        service: String::new(),
        pid: String::new(),
        endpoints: Endpoints::default(),
        report: Report::default(),
        updated: UNIX_EPOCH,
    }
}

fn small() -> Options {
    Options {
        lease: LEASE,
        max_nodes: 2,
        max_claims: 2,
        max_routes: 2,
    }
}

fn is_full<T: fmt::Debug>(result: Result<T, StateError>) {
    assert!(matches!(result, Err(StateError::Full(_))), "{result:?}");
}

#[test]
fn a_full_table_refuses_what_is_new_and_serves_what_is_there() {
    let (memory, clock) = memory(small());
    for name in ["a", "b"] {
        block_on(memory.register(&node(name))).expect("there is room");
        block_on(memory.claim(&key(name), &id(name), None)).expect("there is room");
        block_on(memory.expect(&key(name), &id(name), TTL)).expect("there is room");
        let route = (name.to_owned(), String::new());
        block_on(memory.put_routes(&[route], TTL)).expect("there is room");
    }
    is_full(block_on(memory.register(&node("c"))));
    is_full(block_on(memory.claim(&key("c"), &id("a"), None)));
    is_full(block_on(memory.hold(&[(key("c"), id("a"))])));
    is_full(block_on(memory.expect(&key("c"), &id("a"), TTL)));
    let route = ("c".to_owned(), String::new());
    is_full(block_on(
        memory.put_routes(std::slice::from_ref(&route), TTL),
    ));

    block_on(memory.register(&node("a"))).expect("it is there");
    let claim = block_on(memory.claim(&key("b"), &id("a"), None)).expect("it is there");
    let replaced = block_on(memory.claim(&key("b"), &id("a"), Some(&claim)));
    assert_eq!(replaced.expect("it is there").node, id("a"));
    block_on(memory.expect(&key("b"), &id("b"), TTL)).expect("it is there");

    block_on(memory.release(&key("a"), &id("a"), TTL)).expect("released");
    clock.advance(TTL);
    block_on(memory.claim(&key("c"), &id("a"), None)).expect("one has run out");
    block_on(memory.expect(&key("c"), &id("a"), TTL)).expect("two have run out");
    block_on(memory.put_routes(&[route], TTL)).expect("two have run out");
    assert_eq!(memory.expired_claims(), 1);
    assert_eq!(memory.expired_routes(), 2);
}

#[test]
fn a_hold_that_finds_no_room_holds_the_rest() {
    let (memory, clock) = memory(small());
    block_on(memory.claim(&key("a"), &id("n"), None)).expect("there is room");
    block_on(memory.claim(&key("b"), &id("n"), None)).expect("there is room");
    block_on(memory.release(&key("b"), &id("n"), TTL)).expect("released");
    let held = ["a", "c", "b"].map(|stream| (key(stream), id("n")));
    is_full(block_on(memory.hold(&held)));
    clock.advance(TTL * 2);
    assert_eq!(block_on(memory.claims(10)).map(|all| all.len()), Ok(2));
}

#[test]
fn a_route_is_bounded() {
    let (memory, _) = memory(small());
    let mut route = ("key".to_owned(), "v".repeat(MAX_ROUTE_BYTES - 3));
    block_on(memory.put_routes(std::slice::from_ref(&route), TTL)).expect("as long as may be");
    route.1.push('v');
    is_full(block_on(memory.put_routes(&[route], TTL)));
}

#[test]
fn what_ran_out_goes_with_calls_that_are_about_something_else() {
    let (memory, clock) = memory(Options::default());
    let count = SWEPT_PER_CALL * 10;
    for n in 0..count {
        let stream = key(&n.to_string());
        block_on(memory.claim(&stream, &id("n"), None)).expect("there is room");
        block_on(memory.release(&stream, &id("n"), TTL)).expect("released");
        block_on(memory.expect(&stream, &id("n"), TTL)).expect("there is room");
        let route = (n.to_string(), String::new());
        block_on(memory.put_routes(&[route], TTL)).expect("there is room");
    }
    let full = Sizes {
        nodes: 0,
        claims: count,
        expected: count,
        routes: count,
    };
    assert_eq!(memory.sizes(), full);
    clock.advance(TTL);
    block_on(memory.route("other")).expect("answers");
    assert_eq!(memory.sizes().claims, count - SWEPT_PER_CALL);
    for _ in 1..10 {
        block_on(memory.route("other")).expect("answers");
    }
    assert_eq!(memory.sizes(), Sizes::default());
    assert_eq!(memory.expired_claims(), count as u64);
    assert_eq!(memory.expired_routes(), count as u64);
}

#[test]
fn junk_that_never_comes_again_leaves_a_bounded_state() {
    let (memory, clock) = memory(Options {
        max_claims: 100,
        max_routes: 100,
        ..Options::default()
    });
    for n in 0..5000 {
        clock.advance(TTL / 50);
        let stream = key(&n.to_string());
        block_on(memory.claim(&stream, &id("n"), None)).expect("what is old makes room");
        block_on(memory.release(&stream, &id("n"), TTL)).expect("released");
        block_on(memory.expect(&stream, &id("n"), TTL)).expect("what is old makes room");
        let sizes = memory.sizes();
        assert!(sizes.claims <= 51 && sizes.expected <= 51, "{sizes:?}");
    }
}

/// Whether `waiting` is still waiting.
fn waits(waiting: &mut Pending<'_, u64>) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    waiting.as_mut().poll(&mut context).is_pending()
}

#[test]
fn a_change_wakes_and_a_beat_without_news_does_not() {
    let (memory, clock) = memory(Options::default());
    let version = || block_on(memory.changed(0)).expect("0 is never in force");
    let mut seen = version();
    block_on(memory.register(&node("a"))).expect("there is room");
    let mut waiting = memory.changed(version());
    assert!(waits(&mut waiting));

    let mut beat = node("a");
    beat.updated = UNIX_EPOCH + Duration::from_secs(9);
    block_on(memory.register(&beat)).expect("it is there");
    block_on(memory.claim(&key("s"), &id("a"), None)).expect("there is room");
    block_on(memory.drain(&id("a"), false)).expect("it is there");
    block_on(memory.drain(&id("never"), true)).expect("it is not there");
    block_on(memory.leave(&id("never"))).expect("it is not there");
    assert!(waits(&mut waiting));
    let kept = block_on(memory.nodes()).expect("answers");
    assert_eq!(kept, [beat]);

    let mut news = node("a");
    news.host = "192.0.2.2".to_owned();
    let changes: [&dyn Fn(); 5] = [
        &|| block_on(memory.register(&news)).expect("it is there"),
        &|| block_on(memory.drain(&id("a"), true)).expect("it is there"),
        &|| block_on(memory.leave(&id("a"))).expect("it is there"),
        &|| block_on(memory.register(&node("a"))).expect("there is room"),
        &|| {
            clock.advance(LEASE);
            assert_eq!(block_on(memory.route("none")), Ok(None));
        },
    ];
    for change in changes {
        change();
        assert!(!waits(&mut waiting));
        assert_ne!(version(), seen);
        seen = version();
        waiting = memory.changed(seen);
        assert!(waits(&mut waiting));
    }
    assert_eq!(memory.expired_nodes(), 1);
}

#[test]
fn whoever_stops_waiting_is_forgotten() {
    let (memory, _) = memory(Options::default());
    let seen = block_on(memory.changed(0)).expect("0 is never in force");
    let mut all: Vec<_> = (0..10).map(|_| memory.changed(seen)).collect();
    for _ in 0..3 {
        assert!(all.iter_mut().all(waits));
        assert_eq!(memory.tables.lock().waiting.len(), 10);
    }
    all.truncate(1);
    assert_eq!(memory.tables.lock().waiting.len(), 1);
    drop(all);
    assert_eq!(memory.tables.lock().waiting.len(), 0);
}

#[test]
fn of_threads_that_claim_at_once_one_wins_and_waiters_wake() {
    let (memory, _) = memory(Options::default());
    let seen = block_on(memory.changed(0)).expect("0 is never in force");
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| block_on(memory.changed(seen)));
        let racers: Vec<_> = (0..4)
            .map(|n| {
                let memory = &memory;
                scope.spawn(move || {
                    let claims = (0..500).map(|stream| {
                        let stream = key(&stream.to_string());
                        let found = block_on(memory.find(&stream)).expect("answers");
                        found.claim.unwrap_or_else(|| {
                            let node = id(&n.to_string());
                            block_on(memory.claim(&stream, &node, None)).expect("room")
                        })
                    });
                    claims.collect::<Vec<_>>()
                })
            })
            .collect();
        let claims: Vec<_> = racers
            .into_iter()
            .map(|racer| racer.join().expect("no panic"))
            .collect();
        assert!(claims.iter().all(|seen| *seen == claims[0]));
        block_on(memory.register(&node("a"))).expect("there is room");
        let version = waiter.join().expect("no panic").expect("woken");
        assert_ne!(version, seen);
    });
}

/// A call, by small numbers: streams, nodes and times are few, so that calls meet.
#[derive(Debug, Clone)]
enum Call {
    Register(u8),
    Leave(u8),
    Drain(u8, bool),
    /// The last tells whether what is replaced is the claim in force, an old one, or none.
    Claim(u8, u8, u8),
    Expect(u8, u8, u64),
    Hold(Vec<(u8, u8)>),
    Release(u8, u8, u64),
    Forget(u8, u8),
    Put(u8, u8, u64),
    Advance(u64),
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let (stream, node, time) = (0..4u8, 0..4u8, 0..60u64);
    let held = prop::collection::vec((stream.clone(), node.clone()), 0..4);
    let call = prop_oneof![
        node.clone().prop_map(Call::Register),
        node.clone().prop_map(Call::Leave),
        (node.clone(), any::<bool>()).prop_map(|(n, on)| Call::Drain(n, on)),
        (stream.clone(), node.clone(), 0..3u8).prop_map(|(s, n, r)| Call::Claim(s, n, r)),
        (stream.clone(), node.clone(), time.clone()).prop_map(|(s, n, t)| Call::Expect(s, n, t)),
        held.prop_map(Call::Hold),
        (stream.clone(), node.clone(), time.clone()).prop_map(|(s, n, t)| Call::Release(s, n, t)),
        (stream.clone(), node).prop_map(|(s, n)| Call::Forget(s, n)),
        (stream.clone(), stream, time.clone()).prop_map(|(k, v, t)| Call::Put(k, v, t)),
        time.prop_map(Call::Advance),
    ];
    prop::collection::vec(call, 0..120)
}

/// The lease of the model, in its seconds.
const MODEL_LEASE: u64 = 50;

/// The most of each kind that the model takes.
const MODEL_MOST: usize = 3;

/// The state as its rules say it, with no thought of cost. Times are seconds since the beginning.
#[derive(Debug, Default)]
struct Model {
    now: u64,
    /// In order of arrival: node, drained, end of the lease.
    nodes: Vec<(u8, bool, u64)>,
    claims: HashMap<u8, (u8, Option<u64>)>,
    expected: HashMap<u8, (u8, u64)>,
    routes: HashMap<u8, (u8, u64)>,
}

impl Model {
    fn tidy(&mut self) {
        let now = self.now;
        self.nodes.retain(|(.., until)| *until > now);
        self.claims
            .retain(|_, (_, until)| until.is_none_or(|until| until > now));
        self.expected.retain(|_, (_, until)| *until > now);
        self.routes.retain(|_, (_, until)| *until > now);
    }

    /// False when there is no room.
    fn bind(&mut self, stream: u8, node: u8) -> bool {
        let room = self.claims.contains_key(&stream) || self.claims.len() < MODEL_MOST;
        if room {
            self.claims.insert(stream, (node, None));
        }
        room
    }

    fn register(&mut self, node: u8) -> bool {
        let until = self.now + MODEL_LEASE;
        if let Some(known) = self.nodes.iter_mut().find(|(id, ..)| *id == node) {
            known.2 = until;
            return true;
        }
        let room = self.nodes.len() < MODEL_MOST;
        if room {
            self.nodes.push((node, false, until));
        }
        room
    }

    fn hold(&mut self, held: &[(u8, u8)]) -> bool {
        let mut all = true;
        for &(stream, node) in held {
            match self.claims.get_mut(&stream) {
                Some((at, until)) if *at == node => *until = None,
                Some(_) => {}
                None => all &= self.bind(stream, node),
            }
        }
        all
    }
}

fn name(number: u8) -> NodeId {
    id(&number.to_string())
}

fn stream(number: u8) -> Key {
    key(&number.to_string())
}

/// Both under test, and claims that were in force once.
struct Pair {
    memory: Arc<Memory>,
    clock: Clock,
    model: Model,
    old: HashMap<u8, Claim>,
}

impl Pair {
    fn new() -> Self {
        let (memory, clock) = memory(Options {
            lease: Duration::from_secs(MODEL_LEASE),
            max_nodes: MODEL_MOST,
            max_claims: MODEL_MOST,
            max_routes: MODEL_MOST,
        });
        Self {
            memory,
            clock,
            model: Model::default(),
            old: HashMap::new(),
        }
    }

    fn call(&mut self, call: &Call) {
        self.model.tidy();
        let (memory, model) = (&*self.memory, &mut self.model);
        match call {
            Call::Register(n) => {
                let done = block_on(memory.register(&node(&n.to_string()))).is_ok();
                assert_eq!(done, model.register(*n));
            }
            Call::Leave(n) => {
                block_on(memory.leave(&name(*n))).expect("never fails");
                model.nodes.retain(|(id, ..)| id != n);
            }
            Call::Drain(n, on) => {
                block_on(memory.drain(&name(*n), *on)).expect("never fails");
                let known = model.nodes.iter_mut().filter(|(id, ..)| id == n);
                known.for_each(|known| known.1 = *on);
            }
            Call::Claim(s, n, which) => self.claim(*s, *n, *which),
            Call::Expect(s, n, time) => self.expect(*s, *n, *time),
            Call::Hold(held) => {
                let streams: Vec<_> = held.iter().map(|(s, n)| (stream(*s), name(*n))).collect();
                assert_eq!(block_on(memory.hold(&streams)).is_ok(), model.hold(held));
            }
            Call::Release(s, n, time) => {
                let idle = Duration::from_secs(*time);
                block_on(memory.release(&stream(*s), &name(*n), idle)).expect("never fails");
                let claim = model.claims.get_mut(s).filter(|(at, _)| at == n);
                let until = model.now + time;
                claim.into_iter().for_each(|claim| claim.1 = Some(until));
            }
            Call::Forget(s, n) => {
                block_on(memory.forget(&stream(*s), &name(*n))).expect("never fails");
                model.claims.retain(|at, (node, _)| at != s || node != n);
            }
            Call::Put(k, v, time) => {
                let values = [(k.to_string(), v.to_string())];
                let ttl = Duration::from_secs(*time);
                let done = block_on(memory.put_routes(&values, ttl)).is_ok();
                let room = model.routes.contains_key(k) || model.routes.len() < MODEL_MOST;
                assert_eq!(done, room);
                if room {
                    model.routes.insert(*k, (*v, model.now + time));
                }
            }
            Call::Advance(time) => {
                self.clock.advance(Duration::from_secs(*time));
                model.now += time;
            }
        }
    }

    fn claim(&mut self, s: u8, n: u8, which: u8) {
        let found = block_on(self.memory.find(&stream(s))).expect("answers");
        let replacing = match which {
            0 => None,
            1 => found.claim.clone(),
            _ => self.old.get(&s).cloned(),
        };
        let is_current = replacing.is_some() && replacing == found.claim;
        let claim = block_on(self.memory.claim(&stream(s), &name(n), replacing.as_ref()));
        if let Some((at, _)) = self.model.claims.get(&s)
            && !is_current
        {
            assert_eq!(claim.expect("one is in force").node, name(*at));
            return;
        }
        assert_eq!(claim.is_ok(), self.model.bind(s, n));
        if let Ok(claim) = claim {
            assert_eq!(claim.node, name(n));
            assert_ne!(
                Some(&claim),
                found.claim.as_ref(),
                "epochs tell claims apart"
            );
            // every other one is kept for later
            if claim.epoch % 2 == 0 {
                self.old.insert(s, claim);
            }
        }
    }

    fn expect(&mut self, s: u8, n: u8, time: u64) {
        let ttl = Duration::from_secs(time);
        let given = block_on(self.memory.expect(&stream(s), &name(n), ttl));
        let until = self.model.now + time;
        let expected = &mut self.model.expected;
        let has_room = expected.len() < MODEL_MOST;
        match expected.get_mut(&s) {
            Some((at, end)) => {
                assert_eq!(given, Ok(name(*at)));
                if *at == n {
                    *end = until;
                }
            }
            None if has_room => {
                assert_eq!(given, Ok(name(n)));
                expected.insert(s, (n, until));
            }
            None => is_full(given),
        }
    }

    fn compare(&mut self) {
        self.model.tidy();
        let (memory, model) = (&*self.memory, &self.model);
        let nodes = block_on(memory.nodes()).expect("answers");
        let nodes: Vec<_> = nodes
            .into_iter()
            .map(|node| (node.id, node.report.draining))
            .collect();
        let expected = model.nodes.iter().map(|(id, on, _)| (name(*id), *on));
        assert_eq!(nodes, expected.collect::<Vec<_>>());
        for number in 0..4 {
            let found = block_on(memory.find(&stream(number))).expect("answers");
            let claim = model.claims.get(&number).map(|(at, _)| name(*at));
            assert_eq!(found.claim.map(|claim| claim.node), claim);
            let waits = model.expected.get(&number).map(|(at, _)| name(*at));
            assert_eq!(found.expected, waits);
            let value = block_on(memory.route(&number.to_string())).expect("answers");
            let route = model.routes.get(&number).map(|(v, _)| v.to_string());
            assert_eq!(value, route);
        }
        let claims = block_on(memory.claims(usize::MAX)).expect("answers");
        assert_eq!(claims.len(), model.claims.len());
    }
}

proptest! {
    #[test]
    fn any_calls_give_what_a_naive_model_gives(calls in calls(), often in any::<bool>()) {
        let mut pair = Pair::new();
        for call in &calls {
            pair.call(call);
            // seldom too, as comparing clears away what ran out
            if often {
                pair.compare();
            }
        }
        pair.compare();
    }
}
