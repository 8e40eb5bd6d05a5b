//! Glass to glass: how old the pictures are that a browser shows, second by second.
//!
//! Publishes a clock to `RTMP-URL`, plays `URL` in Chromium, and writes one JSON object a second to standard output: the
//! ages of the pictures shown since the last one, and what the player counted so far. Ends after `SECONDS`. Knows
//! no server; `cargo xtask bench ll-hls-latency` starts one, and makes a table of the lines.
//!
//! `glass PLAYER RTMP-URL URL SECONDS [OPTIONS]`, with the options of the player's library as JSON.

#![allow(
    clippy::print_stdout,
    reason = "whoever started it reads what it prints"
)]

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use weir_testkit::browser::PlayReport;
use weir_testkit::clock_picture::Clock;
use weir_testkit::{Browser, ClockPublisher, Player};

/// Pictures published before the player is sent: some segments, so that it begins as it would at any time.
const AHEAD: u64 = 250;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [player, publish, url, seconds, options @ ..] = args.as_slice() else {
        panic!("glass PLAYER RTMP-URL URL SECONDS [OPTIONS]");
    };
    let player = match player.as_str() {
        "flv" => Player::Flv,
        "ts" => Player::Ts,
        "hls" => Player::Hls,
        "ll-hls" => Player::LowLatencyHls,
        "dash" => Player::Dash,
        other => panic!("no such player: {other}"),
    };
    let seconds: u64 = seconds.parse().expect("seconds");
    let options: Value = options.first().map_or_else(
        || json!({}),
        |text| serde_json::from_str(text).expect("options are JSON"),
    );
    let publisher = ClockPublisher::rtmp(&Clock::default(), publish);
    publisher.frames(AHEAD);
    let browser = Browser::start();
    let playback = browser.play_with(player, url, &options);
    playback.until("pictures with clocks", |report| {
        !report.latencies.is_empty()
    });
    let mut read = 0;
    for second in 1..=seconds {
        // a beat of a second is what is asked for
        thread::sleep(Duration::from_secs(1));
        let report = playback.report();
        println!("{}", line(second, &report, &mut read));
    }
    drop(playback);
    publisher.stop();
}

/// The line of a second; `read` is the number of clocks that lines were made of.
fn line(second: u64, report: &PlayReport, read: &mut u64) -> Value {
    let clocks = report.shown - report.unread;
    let new = usize::try_from(clocks - *read).unwrap_or(usize::MAX);
    *read = clocks;
    let from = report.latencies.len().saturating_sub(new);
    json!({
        "second": second,
        "ages_ms": report.latencies.get(from..),
        "shown": report.shown,
        "decoded": report.decoded,
        "dropped": report.dropped,
        "stalls": report.stalls,
        "buffered_s": report.buffered,
        "rate": report.rate,
        "errors": report.errors,
        "warnings": report.warnings,
    })
}
