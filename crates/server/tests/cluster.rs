//! A whole cluster with real tools: what goes in at one proxy comes out at another, whichever origin has it.

use weir_testkit::capture::Capture;
use weir_testkit::cluster::Member;
use weir_testkit::{Cluster, Ends, Media, Tool, Viewer, assert_equal, publish};

/// Players join at the second proxy while the stream runs; from then on they get every packet of it, unchanged.
#[test]
fn what_is_published_through_one_proxy_plays_through_another() {
    let cluster = Cluster::start(env!("CARGO_BIN_EXE_weir"), 3, 2);
    let (inward, outward) = (cluster.proxy(0), cluster.proxy(1));
    let (media, tool) = (Media::H264Aac, Tool::Ffmpeg);
    let (tags, packets) = (media.published_tags(tool), media.published(tool));

    let publisher = publish::ffmpeg_with(tool, media, &["-re"], &inward.rtmp("one"));
    cluster.origin_of("one");
    let ffmpeg = Capture::start(tool, &outward.rtmp("one"));
    let rtmpdump = Viewer::rtmpdump(&outward.rtmp("one"));
    let curl = Viewer::curl(&outward.flv("one"));
    for viewer in [&rtmpdump, &curl] {
        viewer.reached(0);
    }
    publisher.succeed();

    for (what, viewer) in [("rtmpdump", rtmpdump), ("curl", curl)] {
        let run = assert_equal(what, &tags, &viewer.packets(), Ends::Whole);
        assert_eq!(run.offset, 0, "{what}: {run:?}");
    }
    assert_equal("ffmpeg", &packets, &ffmpeg.packets(), Ends::Whole);
    cluster.assert_well(&[]);
}

/// A crash and the return of what crashed, as every proxy sees them.
#[test]
fn every_proxy_sees_which_origins_are_up() {
    let mut cluster = Cluster::start(env!("CARGO_BIN_EXE_weir"), 3, 2);
    cluster.kill(Member::Origin(0));
    cluster.await_origins(2);
    // one that was held for a moment is as it was
    cluster.stop(Member::Origin(1));
    cluster.cont(Member::Origin(1));
    assert_eq!(cluster.origin(1).api("GET", "/readyz").head.status, 200);
    cluster.restart_origin(0);
    cluster.await_origins(3);
    cluster.kill(Member::Proxy(0));
    cluster.assert_well(&[Member::Proxy(0)]);
}
