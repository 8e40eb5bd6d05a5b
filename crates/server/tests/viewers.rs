//! When viewers come and go: late, early, twice, and what they see when the publisher changes.

use weir_testkit::capture::Capture;
use weir_testkit::{Ends, Media, Process, Tool, Viewer, Weir, assert_equal, publish};

fn weir(args: &[&str]) -> Weir {
    Weir::start(env!("CARGO_BIN_EXE_weir"), args)
}

/// Publishes at the pace of the file.
fn live(media: Media, url: &str) -> Process {
    publish::ffmpeg_with(Tool::Ffmpeg, media, &["-re"], url)
}

/// Publishes the file over and over.
fn endless(media: Media, url: &str) -> Process {
    let options = ["-re", "-stream_loop", "-1"];
    publish::ffmpeg_with(Tool::Ffmpeg, media, &options, url)
}

#[test]
fn late_viewers_get_the_group_of_pictures_that_has_begun_and_all_get_the_same() {
    let weir = weir(&[]);
    let media = Media::H264Aac;
    let tags = media.published_tags(Tool::Ffmpeg);
    let publisher = live(media, &weir.rtmp("late"));
    weir.publishing("late");
    let early = Viewer::rtmpdump(&weir.rtmp("late"));
    early.reached(2_600);
    let (rtmp, again) = (
        Viewer::rtmpdump(&weir.rtmp("late")),
        Viewer::rtmpdump(&weir.rtmp("late")),
    );
    let http = Viewer::curl(&weir.flv("late"));
    for late in [&rtmp, &again, &http] {
        late.reached(0);
    }
    publisher.succeed();
    assert_equal("the early viewer", &tags, &early.packets(), Ends::Whole);
    for (what, late) in [("rtmp", rtmp), ("again", again), ("http", http)] {
        let packets = late.packets();
        let run = assert_equal(what, &tags, &packets, Ends::Whole);
        assert_eq!(run.offset, 0, "{what}");
        let first = &packets[0];
        assert!(first.key, "{what} begins with {first:?}");
        let age = early.so_far();
        assert!(
            age.contains(first),
            "{what}: the early viewer had it before"
        );
        let video = tags.iter().filter(|p| p.kind == first.kind);
        let keys: Vec<i64> = video.filter(|p| p.key).map(|p| p.dts).collect();
        assert!(keys.contains(&first.dts), "{what} begins with {first:?}");
    }
}

#[test]
fn a_viewer_that_comes_first_waits_for_the_publisher() {
    let weir = weir(&[]);
    let viewer = Viewer::rtmpdump(&weir.rtmp("soon"));
    weir.logged("playing", "/live/soon\"");
    publish::ffmpeg(Tool::Ffmpeg, Media::H264Aac, &weir.rtmp("soon")).succeed();
    let tags = Media::H264Aac.published_tags(Tool::Ffmpeg);
    let run = assert_equal("the viewer", &tags, &viewer.packets(), Ends::Whole);
    assert_eq!(run.video, Some(0));
}

#[test]
fn without_waiting_a_missing_stream_is_not_found() {
    let weir = weir(&["--stream-play-wait", "0s"]);
    let mut command = Tool::Rtmpdump.command(["--live", "-z", "-r", &weir.rtmp("none")]);
    let viewer = Process::spawn(command.args(["-o", "/dev/null"]));
    viewer.wait();
    let said = viewer.said();
    assert!(said.contains("NetStream.Play.StreamNotFound"), "{said}");
    let http = weir_testkit::http::request(weir.address("http"), "GET", "/live/none.flv");
    assert_eq!(http.head.status, 404);
}

#[test]
fn players_end_when_the_publisher_ends_in_order() {
    let weir = weir(&["--stream-grace", "60s"]);
    let viewers = [
        Viewer::rtmpdump(&weir.rtmp("end")),
        Viewer::curl(&weir.flv("end")),
    ];
    let capture = Capture::start(Tool::Ffmpeg, &weir.rtmp("end"));
    weir.players(3, 2);
    publish::ffmpeg(Tool::Ffmpeg, Media::H264Aac, &weir.rtmp("end")).succeed();
    // far sooner than the grace of a publisher that is lost
    for viewer in &viewers {
        assert!(!viewer.packets().is_empty());
    }
    assert!(!capture.packets().is_empty());
}

#[test]
fn a_publisher_that_is_lost_and_returns_is_seen_as_one_stream() {
    let weir = weir(&["--stream-grace", "30s"]);
    let url = weir.rtmp("back");
    let first = live(Media::H264Aac, &url);
    weir.publishing("back");
    let viewers = [Viewer::rtmpdump(&url), Viewer::curl(&weir.flv("back"))];
    for viewer in &viewers {
        viewer.reached(2_000);
    }
    first.signal("KILL");
    first.wait();
    let (next, _) = weir.logged_after(0, "session ended", "publisher");
    publish::ffmpeg(Tool::Ffmpeg, Media::H264Aac, &url).succeed();
    weir.logged_after(next, "publishing", "/live/back");
    let tags = Media::H264Aac.published_tags(Tool::Ffmpeg);
    for viewer in &viewers {
        let packets = viewer.packets();
        for pair in packets
            .windows(2)
            .filter(|pair| pair[0].kind == pair[1].kind)
        {
            assert!(pair[0].dts <= pair[1].dts, "{pair:?}");
        }
        // the second publisher's first key frame is the first frame of the file again
        let start = packets.iter().rposition(|p| p.hash == tags[0].hash);
        let (before, after) = packets.split_at(start.expect("the file begins twice"));
        assert_equal("before", &tags, before, Ends::Anywhere);
        let run = assert_equal("after", &tags, after, Ends::Whole);
        assert!(run.offset >= 2_000, "it goes on where it was: {run:?}");
    }
}

#[test]
fn a_second_publisher_is_refused_and_the_first_is_unharmed() {
    let weir = weir(&[]);
    let url = weir.rtmp("taken");
    let viewer = Viewer::rtmpdump(&url);
    weir.players(1, 1);
    let first = live(Media::H264Aac, &url);
    viewer.reached(500);
    let second = publish::ffmpeg(Tool::Ffmpeg, Media::BaselineAac, &url);
    assert!(!second.wait().success(), "{}", second.said());
    let said = second.said();
    assert!(
        said.contains("already") || said.contains("published") || said.contains("BadName"),
        "{said}"
    );
    let gst = publish::gst(Media::BaselineAac, &url);
    gst.wait();
    assert!(gst.said().contains("publish"), "{}", gst.said());
    first.succeed();
    let tags = Media::H264Aac.published_tags(Tool::Ffmpeg);
    assert_equal("the viewer", &tags, &viewer.packets(), Ends::Whole);
}

#[test]
fn a_second_publisher_takes_over_where_that_is_the_policy() {
    let weir = weir(&["--stream-publish-conflict", "takeover"]);
    let url = weir.rtmp("taken");
    let first = endless(Media::H264Aac, &url);
    weir.publishing("taken");
    let viewer = Viewer::rtmpdump(&url);
    viewer.reached(500);
    let second = publish::ffmpeg(Tool::Ffmpeg, Media::VideoOnly, &url);
    assert!(!first.wait().success());
    second.succeed();
    let packets = viewer.packets();
    let tags = Media::VideoOnly.published_tags(Tool::Ffmpeg);
    let start = packets.len() - tags.len();
    let run = assert_equal("after", &tags, &packets[start..], Ends::Whole);
    assert!(run.offset > 0, "{run:?}");
}

#[test]
fn an_old_player_of_a_new_codec_fails_alone() {
    let weir = weir(&[]);
    let url = weir.rtmp("new");
    let good = Viewer::rtmpdump(&url);
    let old = Capture::start(Tool::Ffmpeg, &url);
    weir.players(2, 2);
    publish::ffmpeg(Tool::FfmpegEnhanced, Media::HevcAac, &url).succeed();
    let seen = old.packets();
    let tags = Media::HevcAac.published_tags(Tool::FfmpegEnhanced);
    let readable = seen.iter().any(|p| p.kind == weir_testkit::Kind::Video);
    assert!(!readable, "this ffmpeg cannot know the codec");
    assert_equal("the good viewer", &tags, &good.packets(), Ends::Whole);
    weir.assert_well();
}

#[test]
fn a_viewer_that_is_killed_leaves_the_others_alone() {
    let weir = weir(&[]);
    let url = weir.rtmp("gone");
    let (stays, goes) = (Viewer::rtmpdump(&url), Viewer::rtmpdump(&url));
    weir.players(2, 2);
    let publisher = live(Media::BaselineAac, &url);
    goes.reached(1_000);
    goes.process().signal("KILL");
    publisher.succeed();
    let tags = Media::BaselineAac.published_tags(Tool::Ffmpeg);
    assert_equal("who stayed", &tags, &stays.packets(), Ends::Whole);
}
