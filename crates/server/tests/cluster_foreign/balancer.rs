//! HAProxy before a proxy, and those that only claim to be one.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};

use weir_testkit::cluster::Settings;
use weir_testkit::haproxy::Mode;
use weir_testkit::{Cluster, Ends, Haproxy, Media, PATIENCE, Tool, Viewer, assert_equal, publish};

use crate::BINARY;

/// Where the balancer that is trusted connects from; everybody else here has another address.
const BALANCER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));

/// Where a viewer connects from.
const VIEWER: &str = "127.0.0.2";

/// An address that nobody has.
const CLAIMED: &str = "192.0.2.9";

fn cluster() -> Cluster {
    Cluster::start_with(
        BINARY,
        &Settings {
            origins: 1,
            proxies: 1,
            redis: false,
            proxy_args: &["--proxy-proxy-protocol-from", "127.0.0.3/32"],
            ..Settings::default()
        },
    )
}

/// B28: sessions have the addresses of their clients in the list and in the log, and never the balancer's.
#[test]
fn behind_a_balancer_sessions_have_the_addresses_of_their_clients() {
    let media = Media::H264Aac;
    let tags = media.published_tags(Tool::Ffmpeg);
    for mode in [Mode::ProxyV1, Mode::ProxyV2] {
        let cluster = cluster();
        let proxy = cluster.proxy(0);
        let before = |name| Haproxy::start_from(mode, BALANCER, &[proxy.listener(name)]);
        let (rtmp, http) = (before("rtmp"), before("http"));
        let publisher =
            publish::ffmpeg_with(Tool::Ffmpeg, media, &["-readrate", "2"], &rtmp.rtmp("s"));
        cluster.origin_of("s");
        let url = http.flv("s");
        let viewer = ["-sSNf", "--interface", VIEWER, &url];
        let viewer = Viewer::start(&mut Tool::Curl.command(viewer));
        // not through the balancer, and so without its header
        let past = Viewer::rtmpdump(&proxy.rtmp("s"));
        let found = proxy.shows("/api/v1/sessions", |answer| {
            let all = answer["sessions"].as_array().cloned().unwrap_or_default();
            all.iter().filter(|one| one["path"] != "").count() == 3
        });
        let addresses = |role: &str, protocol: &str| {
            let all = found["sessions"].as_array().cloned().unwrap_or_default();
            let one = all
                .into_iter()
                .find(|one| one["role"] == role && one["protocol"] == protocol);
            let one = one.unwrap_or_else(|| panic!("no {role} over {protocol} in {found}"));
            one["ip"].as_str().unwrap_or_default().to_owned()
        };
        assert_eq!(addresses("publish", "rtmp"), "127.0.0.1", "{mode:?}");
        assert_eq!(addresses("play", "http"), VIEWER, "{mode:?}");
        assert_eq!(addresses("play", "rtmp"), "127.0.0.1", "{mode:?}");
        let said = || format!("{}\n{}", publisher.said(), proxy.process().said());
        assert!(publisher.wait().success(), "{mode:?}: {}", said());
        for viewer in [&viewer, &past] {
            assert_equal("viewer", &tags, &viewer.packets(), Ends::Whole);
        }
        let closed = proxy.logged("session closed", "\"protocol\":\"http\"");
        let client = closed["client"].as_str().unwrap_or_default();
        assert!(client.starts_with(&format!("{VIEWER}:")), "{closed}");
        proxy.logged("session closed", "\"role\":\"publish\"");
        let said = proxy.process().said();
        assert!(!said.contains("\"client\":\"127.0.0.3"), "{said}");
        cluster.assert_well(&[]);
    }
}

/// B28: a header of anybody else is no header: its sender is refused, and who it names is not believed.
#[test]
fn the_headers_of_others_are_refused() {
    let cluster = cluster();
    let proxy = cluster.proxy(0);
    for mode in [Mode::ProxyV1, Mode::ProxyV2] {
        let before = |name| Haproxy::start(mode, &[proxy.listener(name)]);
        let (rtmp, http) = (before("rtmp"), before("http"));
        let player = Viewer::rtmpdump(&rtmp.rtmp("s"));
        assert!(!player.process().wait().success(), "{mode:?}");
        let player = Viewer::curl(&http.flv("s"));
        assert!(!player.process().wait().success(), "{mode:?}");
    }
    let header = format!("PROXY TCP4 {CLAIMED} 192.0.2.1 1000 80\r\n");
    let mut client = TcpStream::connect(proxy.listener("http")).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = "GET /api/v1/versions HTTP/1.1\r\nhost: a\r\n\r\n";
    client
        .write_all(format!("{header}{request}").as_bytes())
        .unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    // to this listener it is the first line of a request of another protocol
    assert!(answer.starts_with("HTTP/1.1 505 "), "{answer}");
    let said = proxy.process().said();
    assert!(!said.contains(&format!("\"client\":\"{CLAIMED}")), "{said}");
    cluster.assert_well(&[]);
}
