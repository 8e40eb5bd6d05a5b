//! One publisher, and all that a browser can play of it: HLS, low-latency HLS, DASH, HTTP-FLV and HTTP-TS in Chromium.

use weir_testkit::browser::{Asked, PlayReport, Playback};
use weir_testkit::clock_picture::Clock;
use weir_testkit::{Browser, ClockPublisher, Player, Weir};

const PLAYERS: [(Player, &str); 5] = [
    (Player::Hls, "m3u8"),
    (Player::LowLatencyHls, "m3u8"),
    (Player::Dash, "mpd"),
    (Player::Flv, "flv"),
    (Player::Ts, "ts"),
];

fn weir() -> Weir {
    Weir::start(env!("CARGO_BIN_EXE_weir"), &[])
}

/// Fails when the player asked for what is not there, or elsewhere.
fn assert_calm(player: Player, playback: &Playback<'_>) {
    let requests = playback.requests();
    assert!(requests.iter().all(Asked::is_local), "{requests:#?}");
    let refused = requests
        .iter()
        .filter(|asked| asked.status.is_some_and(|status| status >= 400));
    let refused: Vec<_> = refused.collect();
    assert!(refused.is_empty(), "{player:?}: {refused:#?}");
}

/// A line on how a player did.
fn told(player: Player, report: &PlayReport) -> String {
    format!(
        "{player:?}: first picture after {:.0} ms, latency {:.0} ms median, {:.0} ms p95; {} stalls, {} of {} dropped",
        report.first_frame_ms.unwrap_or_default(),
        report.median_latency().unwrap_or_default(),
        report.latency_at(0.95).unwrap_or_default(),
        report.stalls,
        report.dropped,
        report.decoded,
    )
}

/// Waits for pictures with clocks, and says how old they are.
fn watch(player: Player, playback: &Playback<'_>, size: (u64, u64)) -> String {
    let report = playback.until("4 s of pictures with clocks", |report| {
        !report.errors.is_empty() || (report.advanced >= 4.0 && report.latencies.len() >= 40)
    });
    assert!(report.plays(4.0), "{player:?}: {report}");
    assert_eq!(report.resolution, size, "{player:?}: {report}");
    // no assertion on time: a clock that was read is not the one of another hour
    let latency = report.median_latency().expect("clocks were read");
    assert!((0.0..30_000.0).contains(&latency), "{player:?}: {report}");
    assert_calm(player, playback);
    told(player, &report)
}

#[test]
fn all_players_play_one_stream() {
    let weir = weir();
    let browser = Browser::start();
    let publisher = ClockPublisher::rtmp(&Clock::default(), &weir.rtmp("all"));
    weir.publishing("all");
    for (player, ending) in PLAYERS {
        let playback = browser.play(player, &weir.file(&format!("all.{ending}")));
        println!("{}", watch(player, &playback, (640, 360)));
    }
    publisher.stop();
    weir.assert_well();
}

#[test]
fn pictures_without_sound_play_too() {
    let weir = weir();
    let browser = Browser::start();
    let clock = Clock {
        size: (320, 180),
        gop: 50,
        sound: false,
        ..Clock::default()
    };
    let publisher = ClockPublisher::rtmp(&clock, &weir.rtmp("mute"));
    weir.publishing("mute");
    for (player, ending) in PLAYERS {
        let playback = browser.play(player, &weir.file(&format!("mute.{ending}")));
        println!("{}", watch(player, &playback, (320, 180)));
    }
    publisher.stop();
    weir.assert_well();
}

/// The publisher goes and comes back with pictures of another size, while `player` plays.
fn survives_a_return(player: Player, ending: &str) -> String {
    let weir = weir();
    let browser = Browser::start();
    let publisher = ClockPublisher::rtmp(&Clock::default(), &weir.rtmp("back"));
    weir.publishing("back");
    let playback = browser.play(player, &weir.file(&format!("back.{ending}")));
    let before = playback.played(3.0);
    assert!(before.plays(3.0), "{player:?}: {before}");
    // cut off, so that it has time to come back
    drop(publisher);
    let small = Clock {
        size: (320, 180),
        ..Clock::default()
    };
    let publisher = ClockPublisher::rtmp(&small, &weir.rtmp("back"));
    let after = playback.until("the other pictures play", |report| {
        report.resolution == (320, 180) && report.advanced > before.advanced + 3.0
    });
    assert!(after.errors.is_empty(), "{player:?}: {after}");
    assert_eq!(after.sizes, ["640x360", "320x180"], "{player:?}: {after}");
    let shown = after.pictures;
    let after = playback.until("they move", |report| report.pictures > shown + 25);
    assert_calm(player, &playback);
    publisher.stop();
    weir.assert_well();
    told(player, &after)
}

#[test]
fn hls_goes_on_with_a_publisher_who_returns_with_another_size() {
    println!("{}", survives_a_return(Player::Hls, "m3u8"));
}

#[test]
fn low_latency_hls_goes_on_with_a_publisher_who_returns_with_another_size() {
    println!("{}", survives_a_return(Player::LowLatencyHls, "m3u8"));
}

#[test]
fn dash_goes_on_with_a_publisher_who_returns_with_another_size() {
    println!("{}", survives_a_return(Player::Dash, "mpd"));
}

#[test]
fn a_publisher_who_returns_as_before_is_a_pause() {
    let weir = weir();
    let browser = Browser::start();
    let publisher = ClockPublisher::rtmp(&Clock::default(), &weir.rtmp("again"));
    weir.publishing("again");
    let players = [
        (Player::LowLatencyHls, "again.m3u8"),
        (Player::Dash, "again.mpd"),
    ];
    let playing = players.map(|(player, file)| (player, browser.play(player, &weir.file(file))));
    for (player, playback) in &playing {
        let before = playback.played(2.0);
        assert!(before.plays(2.0), "{player:?}: {before}");
    }
    drop(publisher);
    weir.logged("session ended", "\"publisher\"");
    let publisher = ClockPublisher::rtmp(&Clock::default(), &weir.rtmp("again"));
    for (player, playback) in &playing {
        let seen = playback.report();
        let after = playback.until("it goes on", |report| {
            report.advanced > seen.advanced + 4.0 && report.pictures > seen.pictures + 25
        });
        assert!(after.errors.is_empty(), "{player:?}: {after}");
        assert_calm(*player, playback);
    }
    publisher.stop();
    weir.assert_well();
}

#[test]
fn a_stream_that_ends_ends_in_the_players_too() {
    let weir = Weir::start(env!("CARGO_BIN_EXE_weir"), &["--stream-grace", "0s"]);
    let browser = Browser::start();
    let publisher = ClockPublisher::rtmp(&Clock::default(), &weir.rtmp("ends"));
    weir.publishing("ends");
    let players = [
        (Player::LowLatencyHls, "ends.m3u8"),
        (Player::Dash, "ends.mpd"),
    ];
    let playing = players.map(|(player, file)| (player, browser.play(player, &weir.file(file))));
    for (player, playback) in &playing {
        let before = playback.played(2.0);
        assert!(before.plays(2.0), "{player:?}: {before}");
    }
    publisher.stop();
    for (player, playback) in &playing {
        let over = playback.until("it is over", |report| report.ended);
        assert!(over.errors.is_empty(), "{player:?}: {over}");
    }
    weir.assert_well();
}
