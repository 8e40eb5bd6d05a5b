//! Holding, releasing and moving bindings.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;

async fn session(proxy: &Proxy, stream: &Key, role: Role) -> Hold {
    let placed = proxy.place(stream, role, Service::Rtmp, &[]).await;
    proxy.hold(stream, &placed.expect("an origin"), role)
}

fn is_ready(future: impl Future) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    matches!(pin!(future).poll(&mut context), Poll::Ready(_))
}

#[tokio::test(flavor = "current_thread")]
async fn a_binding_is_forgotten_when_no_session_was_there_for_long() {
    let cluster = Cluster::of(&["a", "b"]).await;
    let proxy = cluster.proxy(1).await;
    let (publisher, viewer) = (
        session(&proxy, &key(1), Role::Publish).await,
        session(&proxy, &key(1), Role::Play).await,
    );
    let views = proxy.streams(9);
    assert!(matches!(&views[..], [one] if (one.publishers, one.viewers) == (1, 1)));
    let origins = proxy.origins();
    assert_eq!(origins.iter().map(|one| one.sessions).sum::<u32>(), 2);
    drop(publisher);
    cluster.clock.advance(SECOND * 1_000);
    proxy.release_ended().await;
    assert!(
        cluster.claim_of(&key(1)).await.is_some(),
        "somebody watches"
    );
    drop(viewer);
    assert_eq!(proxy.streams(9), []);
    proxy.release_ended().await;
    cluster.clock.advance(SECOND * 299);
    assert!(cluster.claim_of(&key(1)).await.is_some());
    cluster.clock.advance(SECOND * 2);
    assert_eq!(cluster.claim_of(&key(1)).await, None);
    assert_eq!(proxy.count("weir_cluster_released_claims_total"), 1.0);
}

#[tokio::test(flavor = "current_thread")]
async fn a_binding_whose_session_never_came_is_forgotten_too() {
    let cluster = Cluster::of(&["a", "b"]).await;
    let proxy = cluster.proxy(1).await;
    proxy.publish_at(&key(1)).await;
    proxy.release_ended().await;
    cluster.clock.advance(SECOND * 301);
    assert_eq!(cluster.claim_of(&key(1)).await, None);
}

#[tokio::test(flavor = "current_thread")]
async fn a_binding_that_the_state_lost_is_that_of_the_sessions_here() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    let proxy = cluster.proxy(1).await;
    for stream in (0..6).map(key) {
        let publisher = session(&proxy, &stream, Role::Publish).await;
        let bound = cluster.claim_of(&stream).await.expect("bound");
        let forgotten = cluster.state.memory.forget(&stream, &bound).await;
        forgotten.expect("memory");
        assert_eq!(proxy.play_at(&stream).await, bound);
        assert_eq!(cluster.claim_of(&stream).await, Some(bound));
        drop(publisher);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn bindings_stay_for_ever_if_that_is_wanted() {
    let cluster = Cluster::of(&["a"]).await;
    let proxy = cluster.proxy_with(Options {
        claim_idle: Duration::ZERO,
        ..Options::default()
    });
    proxy.refresh(None).await;
    drop(session(&proxy, &key(1), Role::Publish).await);
    proxy.release_ended().await;
    cluster.clock.advance(SECOND * 100_000);
    assert!(cluster.claim_of(&key(1)).await.is_some());
}

#[tokio::test(flavor = "current_thread")]
async fn what_one_proxy_releases_another_keeps() {
    let cluster = Cluster::of(&["a", "b"]).await;
    let (one, other) = (cluster.proxy(1).await, cluster.proxy(2).await);
    let publisher = session(&one, &key(1), Role::Publish).await;
    let viewer = session(&other, &key(1), Role::Play).await;
    drop(publisher);
    one.release_ended().await;
    other.hold_all().await;
    cluster.clock.advance(SECOND * 1_000);
    assert!(cluster.claim_of(&key(1)).await.is_some());
    drop(viewer);
}

#[tokio::test(flavor = "current_thread")]
async fn what_the_state_lost_is_written_again() {
    let cluster = Cluster::of(&["a", "b"]).await;
    let proxy = cluster.proxy(1).await;
    let publisher = session(&proxy, &key(1), Role::Publish).await;
    let node = cluster.claim_of(&key(1)).await.expect("bound");
    let lost = cluster.state.memory.forget(&key(1), &node).await;
    assert_eq!((lost, cluster.claim_of(&key(1)).await), (Ok(()), None));
    proxy.hold_all().await;
    assert_eq!(cluster.claim_of(&key(1)).await, Some(node));
    drop(publisher);
}

#[tokio::test(flavor = "current_thread")]
async fn viewers_that_wait_say_so_until_they_are_told() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    let (one, other) = (cluster.proxy(1).await, cluster.proxy(2).await);
    let viewer = session(&one, &key(1), Role::Play).await;
    let expected = async || {
        let found = cluster.state.memory.find(&key(1)).await;
        found.expect("memory").expected
    };
    let waits_at = expected().await.expect("noted");
    for _ in 0..10 {
        cluster.clock.advance(SECOND * 15);
        one.look_up_waiting(0).await;
        assert_eq!(expected().await.as_ref(), Some(&waits_at));
    }
    assert!(!is_ready(viewer.moved()));
    // their origin drains, so the publisher is sent elsewhere
    other.drain(&waits_at, true).await;
    let bound = other.publish_at(&key(1)).await;
    assert_ne!(bound, waits_at);
    assert!(!is_ready(viewer.moved()));
    let (_, ()) = tokio::join!(viewer.moved(), one.look_up_waiting(0));
    assert!(is_ready(viewer.moved()), "also when it is asked late");
    assert_eq!(one.count("weir_cluster_moved_streams_total"), 1.0);
    drop(viewer);
    one.release_ended().await;
    cluster.clock.advance(SECOND * 1_000);
    assert_eq!(cluster.claim_of(&key(1)).await, Some(bound), "not theirs");
}

#[tokio::test(flavor = "current_thread")]
async fn viewers_that_waited_at_the_right_place_hold_the_binding() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    let (one, other) = (cluster.proxy(1).await, cluster.proxy(2).await);
    let viewer = session(&one, &key(1), Role::Opening).await;
    let publisher = session(&other, &key(1), Role::Publish).await;
    one.look_up_waiting(0).await;
    assert!(!is_ready(viewer.moved()));
    assert!(!is_ready(publisher.moved()));
    drop(publisher);
    other.release_ended().await;
    one.hold_all().await;
    cluster.clock.advance(SECOND * 1_000);
    assert!(cluster.claim_of(&key(1)).await.is_some());
    drop(viewer);
    one.release_ended().await;
    cluster.clock.advance(SECOND * 301);
    assert_eq!(cluster.claim_of(&key(1)).await, None);
}

#[tokio::test(flavor = "current_thread")]
async fn a_binding_made_here_moves_viewers_at_once() {
    let cluster = Cluster::of(&["a", "b"]).await;
    let proxy = cluster.proxy(1).await;
    let viewer = session(&proxy, &key(1), Role::Play).await;
    let waits_at = proxy.play_at(&key(1)).await;
    proxy.failed(&waits_at, false);
    let moved = async {
        let placed = proxy.publish(&key(1)).await.expect("the other");
        proxy.hold(&key(1), &placed, Role::Publish)
    };
    let (_, publisher) = tokio::join!(viewer.moved(), moved);
    assert!(!is_ready(publisher.moved()), "publishers stay");
}

#[tokio::test(flavor = "current_thread")]
async fn a_forgotten_stream_begins_anew() {
    let cluster = Cluster::of(&["a", "b"]).await;
    let proxy = cluster.proxy(1).await;
    proxy.publish_at(&key(1)).await;
    let listed = proxy.cluster_streams(9).await.expect("memory");
    assert_eq!(listed.len(), 1);
    assert_eq!(proxy.forget(&key(1)).await, Ok(()));
    assert_eq!(proxy.forget(&key(1)).await, Ok(()));
    assert_eq!(cluster.claim_of(&key(1)).await, None);
    assert_eq!(
        proxy.play(&key(1)).await.map(|placed| placed.claim),
        Ok(None)
    );
}
