//! Where sessions go while the state answers.

use super::*;

#[tokio::test(flavor = "current_thread")]
async fn without_an_origin_there_is_nowhere_to_go() {
    let cluster = Cluster::of(&[]).await;
    let proxy = cluster.proxy(1).await;
    for role in [Role::Publish, Role::Play, Role::Opening] {
        let placed = proxy.place(&key(1), role, Service::Http, &[]).await;
        assert_eq!(placed.err(), Some(PlaceError::NoOrigin));
    }
    assert_eq!(
        proxy.count("weir_cluster_picks_total{outcome=\"none\"}"),
        3.0
    );
    assert!(!proxy.ready());
}

#[tokio::test(flavor = "current_thread")]
async fn all_sessions_of_a_stream_go_to_one_origin() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    let (one, other) = (cluster.proxy(1).await, cluster.proxy(2).await);
    assert!(one.ready());
    for n in 0..50 {
        let published = one.publish(&key(n)).await.expect("an origin");
        assert_eq!(published.port, 1935, "the first of several");
        for proxy in [&one, &other] {
            let http = proxy
                .place(&key(n), Role::Opening, Service::Http, &[])
                .await;
            let http = http.expect("an origin");
            assert_eq!((&http.node.id, http.port), (&published.node.id, 8080));
            assert_eq!(http.claim, published.claim);
            assert_eq!(proxy.publish_at(&key(n)).await, published.node.id);
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn many_streams_are_spread_evenly() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    let proxy = cluster.proxy(1).await;
    let mut counts = std::collections::BTreeMap::<NodeId, f64>::new();
    for n in 0..3_000 {
        *counts.entry(proxy.publish_at(&key(n)).await).or_default() += 1.0;
    }
    let terms = counts.values().map(|n| (n - 1_000.0).powi(2) / 1_000.0);
    let chi: f64 = terms.sum();
    // the 1 % point with two degrees of freedom
    assert!(counts.len() == 3 && chi < 9.21, "{counts:?}");
}

#[tokio::test(flavor = "current_thread")]
async fn viewers_wait_where_all_proxies_would_and_bind_nothing() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    let (one, other) = (cluster.proxy(1).await, cluster.proxy(2).await);
    for n in 0..20 {
        let waiting = one.play(&key(n)).await.expect("an origin");
        assert_eq!(waiting.claim, None);
        assert_eq!(cluster.claim_of(&key(n)).await, None);
        assert_eq!(other.play_at(&key(n)).await, waiting.node.id);
        assert_eq!(other.publish_at(&key(n)).await, waiting.node.id);
        assert_eq!(
            cluster.claim_of(&key(n)).await,
            Some(waiting.node.id.clone())
        );
    }
}

#[tokio::test(flavor = "current_thread")]
async fn two_first_requests_land_on_one_origin() {
    let cluster = Cluster::of(&["a", "b", "c", "d"]).await;
    let (one, other) = (cluster.proxy(1).await, cluster.proxy(2).await);
    for n in 0..50 {
        let stream = key(n);
        let (here, there, again) = tokio::join!(
            one.publish_at(&stream),
            other.publish_at(&stream),
            one.publish_at(&stream),
        );
        assert_eq!((&here, &here), (&there, &again));
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_failed_dial_goes_on_with_another_origin_and_binds_again() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    let (one, other) = (cluster.proxy(1).await, cluster.proxy(2).await);
    let mut tried = vec![one.publish_at(&key(1)).await];
    for _ in 0..2 {
        let last = tried.last().expect("one").clone();
        one.failed(&last, false);
        let next = one
            .place(&key(1), Role::Publish, Service::Rtmp, &tried)
            .await;
        let next = next.expect("another").node.id.clone();
        assert!(!tried.contains(&next));
        assert_eq!(cluster.claim_of(&key(1)).await, Some(next.clone()));
        assert_eq!(other.play_at(&key(1)).await, next);
        tried.push(next);
    }
    let none = one.place(&key(1), Role::Play, Service::Rtmp, &tried).await;
    assert_eq!(none.err(), Some(PlaceError::NoOrigin));
    assert_eq!(one.count("weir_cluster_rebinds_total"), 2.0);
}

/// A viewer that fails at the origin of its stream waits elsewhere and binds nothing: the publisher may still be there. Who
/// publishes next comes to where viewers wait, and a viewer is told when its stream is to be had.
#[tokio::test(flavor = "current_thread")]
async fn viewers_leave_a_binding_alone() {
    let cluster = Cluster::of(&["a", "b", "c"]).await;
    let (one, other) = (cluster.proxy(1).await, cluster.proxy(2).await);
    let home = one.publish_at(&key(1)).await;
    one.failed(&home, true);
    other.failed(&home, true);
    let tried = [home.clone()];
    let waits = one.place(&key(1), Role::Play, Service::Rtmp, &tried).await;
    let waits = waits.expect("another");
    assert_eq!(waits.claim, None);
    assert_eq!(cluster.claim_of(&key(1)).await, Some(home.clone()));
    assert_eq!(
        other.play_at(&key(1)).await,
        waits.node.id,
        "all wait together"
    );
    let waiting = one.hold(&key(1), &waits, Role::Play);
    // the origin is well again, and so is the stream
    for proxy in [&one, &other] {
        proxy.well(&home);
        assert_eq!(proxy.play_at(&key(1)).await, home);
    }
    one.look_up_waiting(0).await;
    waiting.moved().await;
    // it is not: the publisher has gone to where viewers wait
    other.failed(&home, false);
    assert_eq!(other.publish_at(&key(1)).await, waits.node.id);
}

#[tokio::test(flavor = "current_thread")]
async fn a_dead_origin_is_left_and_its_streams_bound_again() {
    let cluster = Cluster::of(&["a", "b"]).await;
    let proxy = cluster.proxy(1).await;
    let dead = proxy.publish_at(&key(1)).await;
    proxy.failed(&dead, true);
    assert_eq!(
        proxy
            .origins()
            .iter()
            .filter(|one| one.state == OriginState::Suspect)
            .count(),
        1
    );
    for n in 1..20 {
        assert_ne!(proxy.play_at(&key(n)).await, dead);
        assert_ne!(proxy.publish_at(&key(n)).await, dead);
    }
    assert_ne!(cluster.claim_of(&key(1)).await, Some(dead.clone()));
    assert_eq!(proxy.node(&dead).map(|node| node.id.clone()), Some(dead));
    let unknown = NodeId::from_text("unknown");
    proxy.failed(&unknown, true);
    assert!(proxy.node(&unknown).is_none());
}

#[tokio::test(flavor = "current_thread")]
async fn an_origin_that_stopped_registering_is_not_chosen() {
    let cluster = Cluster::of(&["a", "b"]).await;
    let proxy = cluster.proxy(1).await;
    let streams: Vec<Key> = (0..20).map(key).collect();
    for stream in &streams {
        proxy.publish_at(stream).await;
    }
    let (a, b) = (node("a").id, node("b").id);
    cluster.clock.advance(SECOND * 299);
    proxy.refresh(None).await;
    assert_eq!(proxy.origins().len(), 2);
    cluster.beat(&node("b")).await;
    cluster.clock.advance(SECOND * 2);
    proxy.refresh(None).await;
    for stream in &streams {
        assert_eq!(proxy.play_at(stream).await, b);
        assert_eq!(cluster.claim_of(stream).await, Some(b.clone()));
    }
    assert!(proxy.node(&a).is_some(), "remembered");
}

#[tokio::test(flavor = "current_thread")]
async fn the_record_at_use_counts() {
    let cluster = Cluster::of(&["a"]).await;
    let proxy = cluster.proxy(1).await;
    proxy.publish_at(&key(1)).await;
    proxy.failed(&node("a").id, false);
    let mut moved = node("a");
    moved.endpoints = endpoints(&[(Service::Rtmp, "2935")]);
    moved.updated += SECOND;
    proxy.register(moved).await.expect("room");
    assert_eq!(proxy.origins().len(), 1);
    assert_eq!(
        proxy.play(&key(1)).await.map(|placed| placed.port),
        Ok(2935)
    );
}

#[tokio::test(flavor = "current_thread")]
async fn a_restarted_origin_gets_its_streams_back() {
    let cluster = Cluster::of(&["a", "b", "c", "d"]).await;
    let proxy = cluster.proxy(1).await;
    for n in 0..20 {
        let before = proxy.publish(&key(n)).await.expect("an origin").node;
        let pid: u32 = before.pid.parse().expect("a number");
        let mut after = run_of(&before.server, pid + 1);
        after.updated = before.updated + SECOND;
        proxy.register(after.clone()).await.expect("room");
        assert_eq!(proxy.play_at(&key(n)).await, after.id);
        assert_eq!(cluster.claim_of(&key(n)).await, Some(after.id));
    }
}

#[tokio::test(flavor = "current_thread")]
async fn an_origin_of_another_proxy_is_known_when_it_is_needed() {
    let cluster = Cluster::of(&["a"]).await;
    let (one, other) = (cluster.proxy(1).await, cluster.proxy(2).await);
    other.register(node("b")).await.expect("room");
    other.drain(&node("a").id, true).await;
    let b = node("b").id;
    assert_eq!(other.publish_at(&key(1)).await, b);
    // it was not in the last reading of this one
    assert_eq!(one.play_at(&key(1)).await, b);
    assert_eq!(cluster.claim_of(&key(1)).await, Some(b));
}

#[tokio::test(flavor = "current_thread")]
async fn a_draining_origin_keeps_what_it_has_and_gets_nothing_new() {
    let cluster = Cluster::of(&["a", "b"]).await;
    let (one, other) = (cluster.proxy(1).await, cluster.proxy(2).await);
    let draining = one.publish_at(&key(0)).await;
    assert!(one.drain(&draining, true).await);
    assert!(!one.drain(&NodeId::from_text("unknown"), true).await);
    other.refresh(None).await;
    for proxy in [&one, &other] {
        assert_eq!(proxy.publish_at(&key(0)).await, draining);
        assert_eq!(proxy.play_at(&key(0)).await, draining);
        for n in 1..20 {
            assert_ne!(proxy.publish_at(&key(n)).await, draining);
            assert_ne!(proxy.play_at(&key(n + 100)).await, draining);
        }
        let states = proxy.origins();
        let found = states.iter().find(|one| one.node.id == draining);
        assert_eq!(found.map(|one| one.state), Some(OriginState::Draining));
    }
    assert!(one.drain(&draining, false).await);
    let mut there = 0;
    for n in 200..240 {
        there += usize::from(one.publish_at(&key(n)).await == draining);
    }
    assert!(there > 0);
    // nobody left to take a new one
    for id in [node("a").id, node("b").id] {
        one.drain(&id, true).await;
    }
    assert_eq!(
        one.publish(&key(999)).await.err(),
        Some(PlaceError::NoOrigin)
    );
}

#[tokio::test(flavor = "current_thread")]
async fn a_full_origin_gets_nothing_new() {
    let cluster = Cluster::of(&[]).await;
    for server in ["a", "b"] {
        let mut node = node(server);
        node.report.capacity = 2;
        cluster.beat(&node).await;
    }
    let proxy = cluster.proxy(1).await;
    let mut holds = Vec::new();
    for n in 0..4 {
        let placed = proxy.publish(&key(n)).await.expect("room");
        holds.push(proxy.hold(&key(n), &placed, Role::Publish));
    }
    assert_eq!(proxy.publish(&key(9)).await.err(), Some(PlaceError::Full));
    assert_eq!(proxy.play(&key(9)).await.err(), Some(PlaceError::Full));
    // a viewer of a stream that is there has nowhere else to go
    assert!(proxy.play(&key(0)).await.is_ok());
    holds.clear();
    for _ in 0..3 {
        proxy.survey();
    }
    assert!(proxy.publish(&key(9)).await.is_ok());
}

#[tokio::test(flavor = "current_thread")]
async fn only_origins_that_serve_it_are_asked_for_it() {
    let cluster = Cluster::of(&["a"]).await;
    let mut bare = node("b");
    bare.endpoints = endpoints(&[(Service::Rtmp, "1935"), (Service::Http, "nonsense")]);
    cluster.beat(&bare).await;
    let proxy = cluster.proxy(1).await;
    for n in 0..20 {
        let placed = proxy.place(&key(n), Role::Play, Service::Http, &[]).await;
        assert_eq!(
            placed.map(|placed| placed.node.id.clone()),
            Ok(node("a").id)
        );
    }
    let a = node("a").id;
    let bound = proxy
        .place(&key(99), Role::Publish, Service::Rtmp, &[a])
        .await;
    assert_eq!(
        bound.map(|placed| placed.node.id.clone()),
        Ok(bare.id.clone())
    );
    let placed = proxy.place(&key(99), Role::Play, Service::Http, &[]).await;
    let not_served = PlaceError::NotServed {
        node: bare.id,
        service: Service::Http,
    };
    assert_eq!(placed.err(), Some(not_served));
}

#[tokio::test(flavor = "current_thread")]
async fn origins_of_a_name_come_and_go() {
    let at = |host: &str, weight| StaticOrigin {
        host: host.to_owned(),
        endpoints: endpoints(&[(Service::Rtmp, "1935")]),
        device: String::new(),
        weight,
    };
    let configured = at("192.0.2.9", 100);
    let cluster = Cluster::of(&[]).await;
    let proxy = cluster.proxy_with(Options {
        static_origins: vec![configured.clone()],
        ..Options::default()
    });
    let named = vec![
        at("192.0.2.1", 100),
        at("192.0.2.2", 100),
        configured.clone(),
    ];
    proxy.apply_names(named, vec![]).await;
    proxy.apply_names(vec![at("192.0.2.1", 7)], vec![]).await;
    let seen = || -> Vec<(String, u32)> {
        let origins = proxy.origins().into_iter();
        origins
            .map(|one| (one.node.host.clone(), one.node.report.weight))
            .collect()
    };
    let row = |host: &str, weight| (host.to_owned(), weight);
    let all = [
        row("192.0.2.9", 100),
        row("192.0.2.1", 7),
        row("192.0.2.2", 100),
    ];
    assert_eq!(seen(), all);
    let gone = |origin: &StaticOrigin| origin.node("static", SystemTime::UNIX_EPOCH).id;
    let gone = vec![gone(&at("192.0.2.2", 1)), gone(&configured)];
    proxy.apply_names(vec![], gone).await;
    assert_eq!(seen(), all[..2], "what is configured stays");
}

#[tokio::test(flavor = "current_thread")]
async fn who_left_gets_nothing_and_others_take_over() {
    let cluster = Cluster::of(&["a", "b"]).await;
    let (one, other) = (cluster.proxy(1).await, cluster.proxy(2).await);
    let left = one.publish_at(&key(1)).await;
    assert!(one.leave(&left).await);
    assert!(!one.leave(&left).await);
    other.refresh(None).await;
    for proxy in [&one, &other] {
        assert_ne!(proxy.play_at(&key(1)).await, left);
        assert_eq!(proxy.origins().len(), 1);
    }
}
