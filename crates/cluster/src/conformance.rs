//! What every backend must hold, as tests.
//!
//! Owns: one function for each rule of [`ClusterState`], the list of them ([`all`]) and the macro that makes a test of
//! each ([`conformance_tests`](crate::conformance_tests)). A rule panics when it is broken. Does not: start a backend, or
//! know a runtime.
//!
//! A backend's tests have a function that makes a [`Subject`] and runs a [`Rule`] on it:
//!
//! ```text
//! fn run(rule: Rule) {
//!     block_on(rule(Subject { … }));
//! }
//! weir_cluster::conformance_tests!(run);
//! ```

mod claims;
mod nodes;
mod routes;

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, UNIX_EPOCH};

pub use claims::*;
pub use nodes::*;
pub use routes::*;

use crate::{ClusterState, Endpoints, Key, Node, NodeId, Report, Service, StateError};

/// A future of a test.
pub type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A test of a backend; panics when the backend breaks the rule.
pub type Rule = fn(Subject) -> Running;

/// Two users of one state, which is empty, and time.
pub struct Subject {
    /// The state as one proxy sees it.
    pub first: Arc<dyn ClusterState>,
    /// The same state as another proxy sees it.
    pub second: Arc<dyn ClusterState>,
    /// The lease of a node. Rules look a quarter of it before and after its end, so in real time it has some seconds.
    pub lease: Duration,
    /// The time for which rules release, expect and put, with the same quarter.
    pub ttl: Duration,
    /// Whether [`ClusterState::changed`] resolves.
    pub tells_changes: bool,
    /// Lets time pass, virtual or real.
    pub advance: Box<dyn Fn(Duration) -> Running + Send + Sync>,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("first", &self.first)
            .field("second", &self.second)
            .finish_non_exhaustive()
    }
}

impl Subject {
    /// Lets so much time pass that what was kept for `time` is gone.
    async fn outlive(&self, time: Duration) {
        (self.advance)(time.saturating_add(time / 4)).await;
    }

    /// Lets half of `time` pass.
    async fn half(&self, time: Duration) {
        (self.advance)(time / 2).await;
    }

    /// Both users, each with its name for messages.
    fn both(&self) -> [(&'static str, &dyn ClusterState); 2] {
        [("first", &*self.first), ("second", &*self.second)]
    }

    /// Asserts what both see as the claim of `stream`.
    async fn is_at(&self, stream: &Key, node: Option<&NodeId>) {
        for (who, state) in self.both() {
            let found = good(state.find(stream).await);
            let at = found.claim.map(|claim| claim.node);
            assert_eq!(at.as_ref(), node, "{who} user, claim of {stream}");
        }
    }
}

/// What a call must give that does not fail.
#[track_caller]
fn good<T>(result: Result<T, StateError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("a call failed: {error}"),
    }
}

#[track_caller]
fn key(text: &str) -> Key {
    Key::new(text).expect("keys of tests are sound")
}

/// A plain origin.
fn node(server: &str) -> Node {
    run_of(server, "service", "1")
}

/// A run of an origin.
fn run_of(server: &str, service: &str, pid: &str) -> Node {
    let mut endpoints = Endpoints::default();
    endpoints.set(Service::Rtmp, vec!["1935".to_owned()]);
    Node {
        id: NodeId::new(server, service, pid),
        host: "192.0.2.1".to_owned(),
        device: String::new(),
        server: server.to_owned(),
        service: service.to_owned(),
        pid: pid.to_owned(),
        endpoints,
        report: Report::default(),
        // whole microseconds, which every way of writing a time keeps
        updated: UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456),
    }
}

/// Runs all at the same time; gives the results in order.
async fn join_all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut results: Vec<Option<T>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, result) in running.iter_mut().zip(&mut results) {
            if result.is_none()
                && let Poll::Ready(value) = future.as_mut().poll(context)
            {
                *result = Some(value);
            }
        }
        match results.iter().all(Option::is_some) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    results.into_iter().flatten().collect()
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs `future` on this thread, for backends that need no runtime.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// Makes a `#[test]` of each rule that calls `$run`, a `fn(Rule)`, with it.
#[macro_export]
macro_rules! conformance_tests {
    ($run:path) => {
        $crate::conformance_tests!(@rules tests $run);
    };
    (@tests $run:path; $($rule:ident)*) => {
        $(
            #[test]
            fn $rule() {
                $run(|subject| ::std::boxed::Box::pin($crate::conformance::$rule(subject)));
            }
        )*
    };
    (@list; $($rule:ident)*) => {
        &[$((stringify!($rule), |subject| ::std::boxed::Box::pin($crate::conformance::$rule(subject)))),*]
    };
    (@rules $what:ident $($run:path)?) => {
        $crate::conformance_tests! { @$what $($run)?;
            a_node_is_listed_as_it_registered
            a_node_of_odd_characters_is_listed_as_it_registered
            registering_again_replaces_the_whole_record
            nodes_come_in_order_of_arrival
            runs_of_one_server_are_different_nodes
            a_node_that_leaves_is_gone_and_its_claims_stay
            a_lease_ends_and_a_beat_renews_it
            a_node_that_was_lost_can_come_back
            a_drained_node_stays_so_when_it_registers_again
            a_node_that_drains_itself_cannot_be_told_otherwise
            a_change_is_told
            the_first_claim_wins
            of_a_race_of_claims_one_wins_and_all_see_it
            replacing_needs_the_claim_in_force
            of_a_race_of_replacements_one_wins_and_all_see_it
            replacing_what_is_gone_claims
            the_claim_of_an_earlier_run_is_replaced
            claims_with_different_nodes_have_different_epochs
            a_claim_stays_until_it_is_released
            a_released_claim_runs_out
            releasing_for_another_node_changes_nothing
            holding_ends_a_release_by_another
            holding_writes_what_is_missing_and_leaves_what_is_not
            what_was_held_can_be_released_again
            forgetting_needs_the_node_of_the_claim
            claims_are_listed_up_to_a_limit
            streams_of_odd_names_are_kept_apart
            the_first_expectation_wins
            an_expectation_runs_out_and_only_its_node_renews_it
            a_claim_and_an_expectation_are_found_together
            routes_are_kept_and_replaced
            routes_of_odd_characters_are_kept_apart
            a_route_runs_out_and_putting_it_again_renews_it
        }
    };
}

/// Every rule, by name.
pub fn all() -> &'static [(&'static str, Rule)] {
    crate::conformance_tests!(@rules list)
}
