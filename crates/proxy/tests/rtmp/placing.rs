//! Where sessions go.

use weir_rtmp::ClientMode;

use crate::client::Client;
use crate::origin::{Manner, Origin};
use crate::proxy::{Proxy, Wanted, state};

/// C23, B4: at whichever proxy sessions of a stream begin, they meet at one origin.
#[test]
fn sessions_of_a_stream_meet_at_one_origin() {
    let origins: Vec<_> = (0..3).map(|_| Origin::start(Manner::Well)).collect();
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    let shared = state();
    let proxies: Vec<_> = (0..2)
        .map(|_| {
            let wanted = Wanted {
                state: shared.clone(),
                ..Wanted::default()
            };
            Proxy::start(&addresses, wanted)
        })
        .collect();
    const STREAMS: usize = 12;
    let mut sessions = Vec::new();
    for index in 0..STREAMS {
        let name = format!("s{index}");
        let mut publisher = Client::dial(proxies[index % 2].address, ClientMode::Publish, &name);
        publisher.ready();
        let mut player = Client::dial(proxies[(index + 1) % 2].address, ClientMode::Play, &name);
        player.ready();
        sessions.push((publisher, player));
    }
    let mut origins_of = std::collections::HashMap::new();
    for session in proxies.iter().flat_map(|proxy| proxy.sessions.list()) {
        let about = session.about();
        let (stream, node) = (about.stream.unwrap(), about.node.unwrap());
        let first = origins_of.entry(stream).or_insert_with(|| node.clone());
        assert_eq!(*first, node, "publisher and player together");
    }
    assert_eq!(origins_of.len(), STREAMS);
}

/// A viewer who comes first meets the publisher, and binds nothing.
#[test]
fn viewers_wait_where_the_publisher_comes() {
    let origins: Vec<_> = (0..3).map(|_| Origin::start(Manner::Well)).collect();
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    let proxy = Proxy::start(&addresses, Wanted::default());
    for index in 0..6 {
        let name = format!("s{index}");
        let mut player = Client::dial(proxy.address, ClientMode::Play, &name);
        player.ready();
        let mut publisher = Client::dial(proxy.address, ClientMode::Publish, &name);
        publisher.ready();
        let sessions = proxy.sessions.list();
        let nodes: Vec<_> = sessions
            .iter()
            .filter_map(|session| session.about().node)
            .collect();
        assert_eq!(nodes.len(), 2);
        assert_eq!(nodes[0], nodes[1]);
        drop((player, publisher));
        while !proxy.sessions.is_empty() {
            std::thread::yield_now();
        }
    }
}
