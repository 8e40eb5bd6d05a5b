//! HTTP-FLV as a browser plays it: mpegts.js in Chromium, from another origin.

use weir_testkit::clock_picture::Clock;
use weir_testkit::{Browser, ClockPublisher, Player, Weir};

fn weir() -> Weir {
    Weir::start(env!("CARGO_BIN_EXE_weir"), &[])
}

#[test]
fn a_browser_plays_flv() {
    let weir = weir();
    let browser = Browser::start();
    let publisher = ClockPublisher::rtmp(&Clock::default(), &weir.rtmp("clock"));
    weir.publishing("clock");
    let playback = browser.play(Player::Flv, &weir.flv("clock"));
    let report = playback.until("3 s of pictures with clocks", |report| {
        !report.errors.is_empty() || (report.advanced >= 3.0 && report.latencies.len() >= 20)
    });
    println!("{report}");
    assert!(report.plays(3.0), "{report}");
    assert_eq!(report.resolution, (640, 360));
    assert!(report.decoded >= report.shown && report.first_frame_ms.is_some());
    // no assertion on time: a clock that was read is not the one of another hour
    let latency = report.median_latency().expect("clocks were read");
    println!("median latency of HTTP-FLV in Chromium: {latency} ms");
    assert!((0.0..10_000.0).contains(&latency), "{report}");
    let requests = playback.requests();
    let stream = requests.iter().find(|asked| asked.url == weir.flv("clock"));
    assert_eq!(stream.and_then(|asked| asked.status), Some(200));
    assert!(requests.iter().all(weir_testkit::browser::Asked::is_local));
    drop(playback);
    publisher.stop();
    weir.assert_well();
}

#[test]
fn a_browser_that_comes_before_pictures_without_sound_plays_them() {
    let weir = weir();
    let browser = Browser::start();
    let playback = browser.play(Player::Flv, &weir.flv("mute"));
    weir.logged("session opened", "");
    let clock = Clock {
        sound: false,
        ..Clock::default()
    };
    let publisher = ClockPublisher::rtmp(&clock, &weir.rtmp("mute"));
    // a player that is told of sound waits for it for ever
    let report = playback.played(2.0);
    assert!(report.plays(2.0), "{report}");
    publisher.stop();
    weir.assert_well();
}

#[test]
fn a_stream_that_stops_is_seen_to_stop() {
    let weir = weir();
    let browser = Browser::start();
    let publisher = ClockPublisher::rtmp(&Clock::default(), &weir.rtmp("stops"));
    weir.publishing("stops");
    let playback = browser.play(Player::Flv, &weir.flv("stops"));
    let before = playback.played(1.0);
    assert!(before.plays(1.0) && !before.ended, "{before}");
    publisher.process().signal("STOP");
    let dry = playback.until("it runs dry", |report| report.stalled);
    assert!(dry.stalls > 0 && !dry.ended, "{dry}");
    publisher.process().signal("CONT");
    let again = playback.until("it goes on", |report| {
        !report.stalled && report.advanced > dry.advanced + 1.0
    });
    assert!(again.pictures > dry.pictures, "{again}");
    publisher.stop();
    let over = playback.until("it is over", |report| report.ended);
    assert!(
        over.pictures >= again.pictures && over.errors.is_empty(),
        "{over}"
    );
    weir.assert_well();
}

#[test]
fn a_stream_that_is_not_there_is_an_error() {
    let weir = Weir::start(env!("CARGO_BIN_EXE_weir"), &["--stream-play-wait", "0s"]);
    let browser = Browser::start();
    let playback = browser.play(Player::Flv, &weir.flv("none"));
    let report = playback.until("an error", |report| report.errors.len() > 1);
    // what the library says, and what the console says
    assert!(
        report.errors.iter().any(|error| error.contains("404")),
        "{report}"
    );
    assert_eq!((report.first_frame_ms, report.shown), (None, 0), "{report}");
    let asked = playback.requests();
    let stream = asked.iter().find(|asked| asked.url == weir.flv("none"));
    assert_eq!(stream.and_then(|asked| asked.status), Some(404));
}
