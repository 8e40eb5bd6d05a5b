//! Who counts as a viewer, as what, for how long, and who is sent away.

use std::time::UNIX_EPOCH;

use weir_hub::EndReason;
use weir_media::{AppName, StreamName, Vhost};

use super::*;

const PLAYER: Who<'_> = Who {
    list: Some(HLS),
    peer: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 40_000),
    agent: "player/1",
    forwarded: "",
};

/// The audience of a stream, and the time in steps.
struct Stage {
    hub: Hub,
    stream: StreamKey,
    audience: Audience,
    now: Instant,
}

impl Stage {
    fn new() -> Self {
        let (settings, metrics) = (weir_hub::Settings::default(), weir_hub::Metrics::default());
        Self {
            hub: Hub::new(settings, metrics.into(), UNIX_EPOCH),
            stream: StreamKey::new(Vhost("v"), AppName("live"), StreamName("camera")).unwrap(),
            audience: Audience::default(),
            now: clock::now(),
        }
    }

    fn later(&mut self, time: Duration) {
        self.now += time;
    }

    fn admit(&mut self, who: Who<'_>, bytes: u64) -> bool {
        let (stream, hub) = (&self.stream, &self.hub);
        self.audience.admit(self.now, &who, stream, hub, bytes)
    }

    fn tend(&mut self) -> usize {
        self.audience.tend(self.now, &self.hub)
    }

    /// What the table of sessions has: protocol and bytes of each.
    fn shown(&self) -> Vec<(&'static str, u64)> {
        let sessions = self.hub.sessions().page(0, usize::MAX);
        let shown = sessions.iter().map(|session| {
            let activity = session.activity();
            assert_eq!(activity.role, SessionRole::Player);
            assert_eq!(activity.stream.as_ref(), Some(&self.stream));
            (session.protocol, session.bytes_out.load(Ordering::Relaxed))
        });
        shown.collect()
    }

    fn session(&self) -> Arc<Session> {
        let sessions = self.hub.sessions().page(0, usize::MAX);
        Arc::clone(sessions.first().unwrap())
    }
}

#[test]
fn a_viewer_is_an_address_and_a_software_whatever_the_connection() {
    let mut stage = Stage::new();
    let from = |port| Who {
        peer: SocketAddr::new(PLAYER.peer.ip(), port),
        ..PLAYER
    };
    for port in 40_000..40_006 {
        assert!(stage.admit(from(port), 100));
    }
    assert_eq!(stage.shown(), [("hls", 600)]);
    assert_eq!(stage.session().activity().agent, "player/1");
    let others = [
        Who {
            agent: "player/2",
            ..PLAYER
        },
        Who {
            forwarded: "192.0.2.7",
            ..PLAYER
        },
        Who {
            peer: "127.0.0.2:40000".parse().unwrap(),
            ..PLAYER
        },
    ];
    for other in others {
        assert!(stage.admit(other, 1));
    }
    assert_eq!(
        stage.shown(),
        [("hls", 600), ("hls", 1), ("hls", 1), ("hls", 1)]
    );
    assert_eq!(stage.tend(), 4);
    stage.audience.clear(&stage.hub);
    assert_eq!((stage.shown().len(), stage.tend()), (0, 0));
}

#[test]
fn the_first_list_says_what_a_viewer_watches_by() {
    let mut stage = Stage::new();
    let segment = Who {
        list: None,
        ..PLAYER
    };
    let manifest = Who {
        list: Some(DASH),
        ..PLAYER
    };
    stage.admit(manifest, 10);
    // segments come by another connection, which has seen no list
    let other = Who {
        peer: SocketAddr::new(PLAYER.peer.ip(), 40_001),
        ..segment
    };
    stage.admit(other, 1000);
    assert_eq!(stage.shown(), [("dash", 1010)]);
    // who asks for both stays what it was
    stage.admit(PLAYER, 5);
    assert_eq!(stage.shown(), [("dash", 1015)]);
    assert_eq!(stage.tend(), 1);
}

#[test]
fn a_viewer_that_begins_with_a_segment_is_renamed_by_its_first_list() {
    let mut stage = Stage::new();
    let segment = Who {
        list: None,
        ..PLAYER
    };
    stage.admit(segment, 1000);
    assert_eq!(stage.shown(), [("hls", 1000)]);
    let since = stage.session().since;
    stage.later(Duration::from_secs(3));
    stage.admit(
        Who {
            list: Some(DASH),
            ..PLAYER
        },
        10,
    );
    assert_eq!(stage.shown(), [("dash", 1010)]);
    assert_eq!(stage.session().since, since);
    stage.admit(PLAYER, 0);
    stage.admit(segment, 0);
    assert_eq!(stage.shown(), [("dash", 1010)]);
    // where the guess was right, the entry stays
    let second = Who {
        agent: "player/2",
        ..PLAYER
    };
    stage.admit(
        Who {
            list: None,
            ..second
        },
        1,
    );
    let ids = |stage: &Stage| -> Vec<_> {
        let sessions = stage.hub.sessions().page(0, usize::MAX);
        sessions.iter().map(|session| session.id).collect()
    };
    let before = ids(&stage);
    stage.admit(second, 1);
    stage.admit(
        Who {
            list: Some(DASH),
            ..second
        },
        1,
    );
    assert_eq!(ids(&stage), before);
    assert_eq!(stage.shown(), [("dash", 1010), ("hls", 3)]);
}

#[test]
fn who_was_sent_away_stays_away_for_a_minute_from_the_last_attempt() {
    let mut stage = Stage::new();
    assert!(stage.admit(PLAYER, 100));
    let session = stage.session();
    session.end(EndReason::Kicked);
    assert!(!stage.admit(PLAYER, 100));
    assert_eq!(session.bytes_out.load(Ordering::Relaxed), 100);
    assert_eq!(stage.tend(), 0, "it does not watch");
    assert_eq!(stage.shown(), [], "and is not listed");
    // another list of the same stream is no way in, nor is patience between attempts
    let manifest = Who {
        list: Some(DASH),
        ..PLAYER
    };
    for _ in 0..5 {
        stage.later(AWAY - Duration::from_millis(1));
        stage.tend();
        assert!(!stage.admit(manifest, 100));
    }
    assert!(
        stage.admit(
            Who {
                agent: "player/2",
                ..PLAYER
            },
            1
        ),
        "others watch"
    );
    stage.later(AWAY);
    stage.tend();
    assert!(stage.admit(PLAYER, 7));
    assert_eq!(stage.shown(), [("hls", 7)]);
}

#[test]
fn who_asks_for_nothing_is_forgotten() {
    let mut stage = Stage::new();
    let second = Who {
        agent: "player/2",
        ..PLAYER
    };
    stage.admit(PLAYER, 1);
    stage.admit(second, 1);
    stage.later(GONE_AFTER - Duration::from_millis(1));
    assert_eq!(stage.tend(), 2);
    // a segment is enough to stay
    stage.admit(
        Who {
            list: None,
            ..second
        },
        1,
    );
    stage.later(Duration::from_millis(1));
    assert_eq!(stage.tend(), 1);
    assert_eq!(stage.shown(), [("hls", 2)]);
    stage.later(GONE_AFTER);
    assert_eq!((stage.tend(), stage.shown().len()), (0, 0));
    // who comes back is a new viewer
    stage.admit(PLAYER, 5);
    assert_eq!(stage.shown(), [("hls", 5)]);
}

#[test]
fn viewers_past_the_bound_are_served_and_not_counted() {
    let mut stage = Stage::new();
    assert_eq!(stage.audience.most, MOST_VIEWERS);
    stage.audience.most = 2;
    for agent in ["a", "b", "c", "d", "a"] {
        assert!(stage.admit(Who { agent, ..PLAYER }, 1), "{agent}");
    }
    assert_eq!(stage.shown(), [("hls", 2), ("hls", 1)]);
    assert_eq!(stage.tend(), 2);
    // room comes back when one has gone
    stage.later(GONE_AFTER);
    assert_eq!(stage.tend(), 0);
    stage.admit(
        Who {
            agent: "c",
            ..PLAYER
        },
        1,
    );
    assert_eq!(stage.tend(), 1);
}
