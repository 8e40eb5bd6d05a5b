//! While the state is away, and after its return.

use super::*;

#[tokio::test(flavor = "current_thread")]
async fn streams_stay_where_they_are_while_the_state_is_away() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    let proxy = cluster.proxy(1).await;
    let mut bound = Vec::new();
    for n in 0..30 {
        bound.push(proxy.publish_at(&key(n)).await);
    }
    cluster.away(true);
    cluster.clock.advance(SECOND * 1_000);
    proxy.refresh(None).await;
    assert_eq!(proxy.count("weir_cluster_state_up"), 0.0);
    assert_eq!(proxy.origins().len(), 3, "an outage expires nobody");
    assert!(proxy.ready());
    for (n, id) in bound.iter().enumerate() {
        assert_eq!(proxy.play_at(&key(n)).await, *id);
        assert_eq!(proxy.publish_at(&key(n)).await, *id);
    }
    // one that dies meanwhile loses its streams all the same
    let dead = bound[0].clone();
    proxy.failed(&dead, false);
    let next = proxy.publish_at(&key(0)).await;
    assert_ne!(next, dead);
    assert_eq!(proxy.play_at(&key(0)).await, next);
}

#[tokio::test(flavor = "current_thread")]
async fn the_first_call_that_fails_is_served_from_what_is_known() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    let proxy = cluster.proxy(1).await;
    let bound = proxy.publish_at(&key(1)).await;
    cluster.away(true);
    assert_eq!(proxy.play_at(&key(1)).await, bound);
    let find = "weir_cluster_state_failures_total{call=\"find\",reason=\"unavailable\"}";
    assert_eq!(proxy.count(find), 1.0);
    // and nobody waits for it again until it is back
    assert_eq!(proxy.play_at(&key(1)).await, bound);
    assert_eq!(proxy.count(find), 1.0);
    cluster.away(false);
    proxy.refresh(None).await;
    assert_eq!(proxy.count("weir_cluster_state_up"), 1.0);
    assert_eq!(proxy.play_at(&key(1)).await, bound);
}

#[tokio::test(flavor = "current_thread")]
async fn proxies_agree_on_new_streams_without_the_state() {
    let cluster = Cluster::of(&["a", "b", "c", "d"]).await;
    let (one, other) = (cluster.proxy(1).await, cluster.proxy(2).await);
    cluster.away(true);
    for n in 0..30 {
        let viewer = one.play(&key(n)).await.expect("an origin");
        assert_eq!(viewer.claim, None);
        let here = one.publish_at(&key(n)).await;
        assert_eq!(viewer.node.id, here);
        assert_eq!(other.publish_at(&key(n)).await, here);
        assert_eq!(other.play_at(&key(n)).await, here);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn what_was_bound_in_the_outage_is_written_on_return() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    let proxy = cluster.proxy(1).await;
    cluster.away(true);
    let mut held = Vec::new();
    for n in 0..10 {
        let placed = proxy.publish(&key(n)).await.expect("an origin");
        held.push((
            n,
            placed.node.id.clone(),
            proxy.hold(&key(n), &placed, Role::Publish),
        ));
    }
    // meanwhile another proxy, which still reached the state, bound one of them elsewhere
    let elsewhere = ["a", "b", "c"].map(|server| node(server).id);
    let elsewhere = elsewhere.iter().find(|id| **id != held[0].1).expect("one");
    let claimed = cluster.state.memory.claim(&key(0), elsewhere, None).await;
    assert!(claimed.is_ok());
    cluster.away(false);
    proxy.refresh(None).await;
    proxy.hold_all().await;
    for (n, id, _) in &held[1..] {
        assert_eq!(cluster.claim_of(&key(*n)).await.as_ref(), Some(id));
    }
    assert_eq!(cluster.claim_of(&key(0)).await.as_ref(), Some(elsewhere));
    // new viewers go where all proxies agree; the publisher stays where it is
    proxy.look_up_waiting(0).await;
    assert_eq!(proxy.play_at(&key(0)).await, *elsewhere);
    assert!(proxy.holds.waiting(9, 0, proxy.now()).is_empty());
}

#[tokio::test(flavor = "current_thread")]
async fn registrations_are_taken_and_written_later() {
    let cluster = Cluster::of(&["a"]).await;
    let (one, other) = (cluster.proxy(1).await, cluster.proxy(2).await);
    cluster.away(true);
    one.refresh(None).await;
    assert_eq!(one.register(node("b")).await, Ok(()));
    assert!(one.drain(&node("b").id, true).await);
    assert_eq!(one.register(node("c")).await, Ok(()));
    assert!(one.leave(&node("a").id).await);
    assert_eq!(one.publish_at(&key(1)).await, node("c").id);
    cluster.away(false);
    one.refresh(None).await;
    one.write_changes().await;
    let names = |proxy: &Proxy| -> Vec<(String, bool)> {
        let origins = proxy.origins().into_iter();
        origins
            .map(|one| (one.node.server.clone(), one.node.report.draining))
            .collect()
    };
    let expected = [("b".to_owned(), true), ("c".to_owned(), false)];
    for proxy in [&one, &other] {
        proxy.refresh(None).await;
        assert_eq!(names(proxy), expected);
    }
    one.write_changes().await;
    assert_eq!(one.roster.lock().unwritten().nodes.len(), 0);
}

#[tokio::test(flavor = "current_thread")]
async fn a_state_that_takes_no_writes_is_no_outage() {
    let cluster = Cluster::of(&["a", "b"]).await;
    let proxy = cluster.proxy(1).await;
    let bound = proxy.publish_at(&key(1)).await;
    cluster.state.read_only.store(true, Ordering::Relaxed);
    assert_eq!(proxy.register(node("c")).await, Ok(()));
    let new = proxy.publish_at(&key(2)).await;
    assert_eq!(proxy.play_at(&key(1)).await, bound);
    proxy.refresh(None).await;
    assert_eq!(proxy.count("weir_cluster_state_up"), 1.0);
    assert_eq!(proxy.origins().len(), 3);
    assert_eq!(
        proxy.publish_at(&key(2)).await,
        new,
        "the rendezvous is the same"
    );
    cluster.state.read_only.store(false, Ordering::Relaxed);
    proxy.write_changes().await;
    let listed = cluster.state.memory.nodes().await.expect("memory");
    assert_eq!(listed.len(), 3);
}

#[tokio::test(flavor = "current_thread")]
async fn releases_wait_for_the_return() {
    let cluster = Cluster::of(&["a", "b"]).await;
    let proxy = cluster.proxy(1).await;
    for n in 0..3 {
        let placed = proxy.publish(&key(n)).await.expect("an origin");
        drop(proxy.hold(&key(n), &placed, Role::Publish));
    }
    cluster.away(true);
    proxy.release_ended().await;
    proxy.release_ended().await;
    cluster.away(false);
    proxy.refresh(None).await;
    proxy.release_ended().await;
    assert_eq!(proxy.count("weir_cluster_released_claims_total"), 3.0);
    cluster.clock.advance(SECOND * 301);
    for n in 0..3 {
        assert_eq!(cluster.claim_of(&key(n)).await, None);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_proxy_that_starts_in_an_outage_is_ready_after_it() {
    let cluster = Cluster::of(&["a"]).await;
    cluster.away(true);
    let proxy = cluster.proxy(1).await;
    assert!(!proxy.ready());
    assert_eq!(proxy.play(&key(1)).await.err(), Some(PlaceError::NoOrigin));
    cluster.away(false);
    proxy.refresh(None).await;
    assert!(proxy.ready());
    assert!(proxy.play(&key(1)).await.is_ok());
}
