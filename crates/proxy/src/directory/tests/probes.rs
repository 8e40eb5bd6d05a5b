//! The whole directory at work, with real origins behind it.

use std::collections::HashMap;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use weir_net::cores::Shutdown;

use super::*;

/// A directory whose probes and readings follow each other closely.
fn proxy_with(options: Options) -> Proxy {
    let cluster = Cluster::empty(Clock::new());
    let state = Arc::clone(&cluster.state) as Arc<dyn ClusterState>;
    let mut registry = Registry::with_prefix("weir");
    let options = Options {
        probe_interval: Duration::from_millis(20),
        refresh_interval: Duration::from_millis(10),
        // only what never answers runs into it
        probe_timeout: Duration::from_millis(200),
        ..options
    };
    let directory = Directory::new(state, options, &mut registry);
    Proxy {
        directory,
        registry,
    }
}

/// Runs the directory while `test` goes on.
async fn while_running<T>(proxy: &Proxy, test: impl Future<Output = T>) -> T {
    let shutdown = Shutdown::new();
    let running = Arc::clone(proxy).run(shutdown.clone());
    let test = async {
        let result = test.await;
        shutdown.stop();
        result
    };
    tokio::join!(running, test).1
}

/// Returns when the first origin is in this state. There is no event for it: a listing is all that others see.
async fn until(proxy: &Proxy, state: OriginState) {
    while proxy.origins().first().map(|one| one.state) != Some(state) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn at(listener: &TcpListener) -> Node {
    let port = listener.local_addr().expect("bound").port();
    let mut node = node("a");
    node.host = "localhost".to_owned();
    node.endpoints = endpoints(&[(Service::Rtmp, &port.to_string())]);
    node
}

/// Does an origin's part of the handshake.
async fn shake(mut stream: TcpStream) {
    let mut hello = [0; 1537];
    // a probe that only connects says nothing
    if stream.read_exact(&mut hello).await.is_ok() {
        let mut answer = vec![3];
        answer.extend([0; 1536]);
        // it may be gone already
        let _ = stream.write_all(&answer).await;
    }
}

/// Listeners of these tests accept by the kernel only, and are not asked to speak unless a session failed.
fn shallow() -> Options {
    Options {
        deep_every: 0,
        ..Options::default()
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_dead_origin_is_found_and_found_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let proxy = proxy_with(shallow());
    let origin = at(&listener);
    while_running(&proxy, async {
        proxy.register(origin.clone()).await.expect("room");
        while proxy.origins()[0].probe.is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(proxy.ready());
        drop(listener);
        until(&proxy, OriginState::Down).await;
        assert_eq!(
            proxy.publish(&key(1)).await.err(),
            Some(PlaceError::NoOrigin)
        );
        assert!(proxy.count("weir_cluster_probe_failures_total{reason=\"refused\"}") > 0.0);
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("allowed");
        socket.bind(address).expect("free again");
        let _listener = socket.listen(64).expect("listens");
        until(&proxy, OriginState::Up).await;
        assert_eq!(proxy.publish_at(&key(1)).await, origin.id);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn an_origin_that_hangs_is_back_when_it_speaks() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let proxy = proxy_with(shallow());
    while_running(&proxy, async {
        proxy.register(at(&listener)).await.expect("room");
        proxy.failed(&at(&listener).id, true);
        assert_eq!(proxy.origins()[0].state, OriginState::Suspect);
        // its kernel takes connections, but it does not
        while proxy.count("weir_cluster_probe_failures_total{reason=\"silent\"}") < 2.0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(proxy.origins()[0].state, OriginState::Suspect);
        let wakes = async {
            loop {
                let (stream, _) = listener.accept().await.expect("a probe");
                shake(stream).await;
            }
        };
        tokio::select! {
            () = until(&proxy, OriginState::Up) => {}
            () = wakes => unreachable!("it serves for ever"),
        }
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn fixed_origins_work_without_registration_and_are_shared() {
    let (one, two) = (
        TcpListener::bind("127.0.0.1:0").await.expect("a port"),
        TcpListener::bind("127.0.0.1:0").await.expect("a port"),
    );
    let fixed = |listener: &TcpListener| StaticOrigin {
        host: "127.0.0.1".to_owned(),
        endpoints: at(listener).endpoints,
        device: String::new(),
        weight: 100,
    };
    let proxy = proxy_with(Options {
        static_origins: vec![fixed(&one)],
        default_backend: Some(fixed(&two)),
        ..shallow()
    });
    // before anything has run
    assert!(proxy.publish(&key(1)).await.is_ok());
    while_running(&proxy, async {
        let mut listed = Vec::new();
        while listed.len() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            listed = proxy.state.nodes().await.expect("memory");
        }
        let mut servers: Vec<_> = listed.iter().map(|node| node.server.as_str()).collect();
        servers.sort_unstable();
        assert!(servers[0].starts_with("default-") && servers[1].starts_with("static-"));
        drop(one);
        until(&proxy, OriginState::Down).await;
        for n in 0..20 {
            let placed = proxy.publish(&key(n)).await.expect("the other");
            assert!(placed.node.server.starts_with("default-"));
        }
    })
    .await;
    assert_eq!(proxy.origins().len(), 2);
}

#[tokio::test(flavor = "current_thread")]
async fn a_fixed_origin_that_is_not_there_is_not_registered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoints = at(&listener).endpoints;
    drop(listener);
    let proxy = proxy_with(Options {
        static_origins: vec![StaticOrigin {
            host: "127.0.0.1".to_owned(),
            endpoints,
            device: String::new(),
            weight: 100,
        }],
        ..shallow()
    });
    while_running(&proxy, until(&proxy, OriginState::Down)).await;
    proxy.register_fixed(&mut HashMap::new(), SECOND).await;
    assert_eq!(proxy.state.nodes().await, Ok(vec![]));
}

#[tokio::test(flavor = "current_thread")]
async fn a_fixed_origin_drains_and_takes_part_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let proxy = proxy_with(Options {
        static_origins: vec![StaticOrigin {
            host: "127.0.0.1".to_owned(),
            endpoints: at(&listener).endpoints,
            device: String::new(),
            weight: 100,
        }],
        ..shallow()
    });
    let id = proxy.origins()[0].node.id.clone();
    let beat = || async {
        let mut written = HashMap::new();
        proxy.register_fixed(&mut written, SECOND).await;
        proxy.refresh(None).await;
    };
    while_running(&proxy, async {
        while proxy.state.nodes().await.expect("memory").is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for (draining, state) in [(true, OriginState::Draining), (false, OriginState::Up)] {
            proxy.drain(&id, draining).await;
            beat().await;
            beat().await;
            assert_eq!(proxy.origins()[0].state, state);
        }
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn the_end_releases_what_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let proxy = proxy_with(shallow());
    while_running(&proxy, async {
        proxy.register(at(&listener)).await.expect("room");
        let placed = proxy.publish(&key(1)).await.expect("an origin");
        drop(proxy.hold(&key(1), &placed, Role::Publish));
    })
    .await;
    assert_eq!(proxy.count("weir_cluster_released_claims_total"), 1.0);
}
