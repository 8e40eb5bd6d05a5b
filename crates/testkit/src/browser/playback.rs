//! A stream that plays in the browser, and what was seen of it.
//!
//! Owns: the players by name, the report, and waiting for it. Does not: judge a report; the test does.

use std::fmt;

use serde_json::{Value, json};

use super::{Asked, Browser, asked};

/// A player library, fed with a stream's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Player {
    /// mpegts.js with `http://…/X.flv` or `ws://…/X.flv`.
    Flv,
    /// mpegts.js with `http://…/X.ts`, an endless transport stream.
    Ts,
    /// hls.js with `http://…/X.m3u8`, whole segments.
    Hls,
    /// hls.js with `http://…/X.m3u8`, partial segments where the playlist has them.
    LowLatencyHls,
    /// dash.js with `http://…/X.mpd`.
    Dash,
}

impl Player {
    fn name(self) -> &'static str {
        match self {
            Self::Flv => "flv",
            Self::Ts => "ts",
            Self::Hls => "hls",
            Self::LowLatencyHls => "low-latency-hls",
            Self::Dash => "dash",
        }
    }
}

/// What was seen of a stream so far. Times are in milliseconds unless they say otherwise.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlayReport {
    /// From the order to play to the first picture; `None` when there was none yet.
    pub first_frame_ms: Option<f64>,
    /// The element's `currentTime` in seconds.
    pub current_time: f64,
    /// Seconds by which `currentTime` is ahead of what it was at the first picture. Seeks of the player count.
    pub advanced: f64,
    /// Pictures that were shown, as `requestVideoFrameCallback` counts. On a busy machine fewer than decoded.
    pub shown: u64,
    /// Pictures that were decoded, those dropped included.
    pub decoded: u64,
    /// Pictures that were decoded and not shown because they were late.
    pub dropped: u64,
    /// Shown pictures whose pixels differ from those of the picture before.
    pub pictures: u64,
    /// Age of each shown picture that carries a clock ([`ClockPublisher`](crate::ClockPublisher)), oldest first; the last
    /// 2048. Counted from the moment the picture was handed to the encoder.
    pub latencies: Vec<f64>,
    /// Shown pictures without a readable clock.
    pub unread: u64,
    /// How often it ran dry after the first picture.
    pub stalls: u64,
    /// True while it is dry.
    pub stalled: bool,
    /// True when the stream was over and played to its end.
    pub ended: bool,
    /// Width and height of the picture, in pixels; zeros before there is one.
    pub resolution: (u64, u64),
    /// The resolutions in the order of their pictures, as `640x360`; adjacent ones differ.
    pub sizes: Vec<String>,
    /// Seconds that are buffered ahead of `current_time`.
    pub buffered: f64,
    /// The rate of playing: other than 1 when the player catches up or holds back.
    pub rate: f64,
    /// What the player called fatal, media errors, what the page threw, and errors on its console such as refused
    /// requests; bounded.
    pub errors: Vec<String>,
    /// What the player called an error and got over; bounded.
    pub warnings: Vec<String>,
    /// What happened, with the time since the order to play; for the message of a failed test.
    pub events: Vec<String>,
}

impl PlayReport {
    /// The median age of shown pictures in milliseconds; `None` when no clock could be read.
    pub fn median_latency(&self) -> Option<f64> {
        self.latency_at(0.5)
    }

    /// The age that a share of the shown pictures does not exceed: `latency_at(0.95)` is the 95th percentile.
    pub fn latency_at(&self, share: f64) -> Option<f64> {
        let mut sorted = self.latencies.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index among thousands"
        )]
        let at = (last as f64 * share.clamp(0.0, 1.0)).round() as usize;
        sorted.get(at).copied()
    }

    /// True when pictures came and moved, the clock of the element went on by `seconds`, and nothing failed.
    pub fn plays(&self, seconds: f64) -> bool {
        self.advanced >= seconds && self.pictures > 1 && self.errors.is_empty()
    }

    fn new(report: &Value, page_errors: &[String]) -> Self {
        let number = |name: &str| report[name].as_f64().unwrap_or_default();
        let count = |name: &str| report[name].as_u64().unwrap_or_default();
        let flag = |name: &str| report[name].as_bool().unwrap_or_default();
        let texts = |name: &str| {
            let list = report[name].as_array().into_iter().flatten();
            let texts = list.filter_map(Value::as_str).map(str::to_owned);
            texts.collect::<Vec<_>>()
        };
        let latencies = report["latencies"].as_array().into_iter().flatten();
        let mut errors = texts("errors");
        errors.extend_from_slice(page_errors);
        Self {
            first_frame_ms: report["first_frame_ms"].as_f64(),
            current_time: number("current_time"),
            advanced: report["started_at"]
                .as_f64()
                .map_or(0.0, |start| number("current_time") - start),
            shown: count("shown"),
            decoded: count("decoded"),
            dropped: count("dropped"),
            pictures: count("pictures"),
            latencies: latencies.filter_map(Value::as_f64).collect(),
            unread: count("unread"),
            stalls: count("stalls"),
            stalled: flag("stalled"),
            ended: flag("ended"),
            resolution: (count("width"), count("height")),
            sizes: texts("sizes"),
            buffered: number("buffered"),
            rate: number("rate"),
            errors,
            warnings: texts("warnings"),
            events: texts("events"),
        }
    }
}

/// A stream that plays in a page of its own until this is dropped.
#[derive(Debug)]
pub struct Playback<'a> {
    browser: &'a Browser,
    number: u64,
}

impl<'a> Playback<'a> {
    pub(super) fn start(browser: &'a Browser, player: Player, url: &str, options: &Value) -> Self {
        let number = browser.driver.new_page();
        let playback = Self { browser, number };
        browser.driver.order(
            "play",
            json!({ "page": number, "player": player.name(), "url": url, "options": options }),
        );
        playback
    }

    /// What was seen so far. It lags by a fifth of a second at most.
    pub fn report(&self) -> PlayReport {
        let events = self.browser.driver.events(self.number);
        PlayReport::new(&events.report, &events.errors)
    }

    /// Waits until `wanted` holds for the report and gives that report. Panics when it never does, with the last report.
    ///
    /// Fatal errors do not end the waiting: a test that expects none asks for [`PlayReport::errors`] afterwards, and
    /// one that wants to fail early names them in `wanted`.
    pub fn until(&self, what: &str, wanted: impl Fn(&PlayReport) -> bool) -> PlayReport {
        let driver = &self.browser.driver;
        let (events, found) = driver.until(self.number, |events| {
            wanted(&PlayReport::new(&events.report, &events.errors))
        });
        let report = PlayReport::new(&events.report, &events.errors);
        assert!(
            found,
            "never: {what}; the player: {report}\n{}",
            driver.said()
        );
        report
    }

    /// Waits until the element's clock went on by `seconds` since the first picture, or the player failed; gives the
    /// report, which says which of both.
    pub fn played(&self, seconds: f64) -> PlayReport {
        self.until(&format!("{seconds} s played"), |report| {
            report.advanced >= seconds || !report.errors.is_empty()
        })
    }

    /// What JavaScript gives in the page: `player` is the library's object, `video` the element.
    pub fn eval(&self, js: &str) -> Value {
        let order = json!({ "page": self.number, "js": js });
        self.browser.driver.order("eval", order)
    }

    /// All requests of the page so far, in their order.
    pub fn requests(&self) -> Vec<Asked> {
        asked(&self.browser.driver, self.number)
    }
}

impl Drop for Playback<'_> {
    fn drop(&mut self) {
        self.browser.driver.close(self.number);
    }
}

impl fmt::Display for PlayReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "first picture after {:?} ms, {:.2} s played to {:.2} s, {} shown, {} decoded, {} dropped, {} different, \
             {} clocks (median {:?} ms), {} without, {} stalls, stalled {}, ended {}, sizes {:?}, {:.2} s buffered",
            self.first_frame_ms,
            self.advanced,
            self.current_time,
            self.shown,
            self.decoded,
            self.dropped,
            self.pictures,
            self.latencies.len(),
            self.median_latency(),
            self.unread,
            self.stalls,
            self.stalled,
            self.ended,
            self.sizes,
            self.buffered,
        )?;
        let lists = [
            ("error", &self.errors),
            ("warning", &self.warnings),
            ("event", &self.events),
        ];
        for (kind, list) in lists {
            for text in list {
                writeln!(f, "  {kind}: {text}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read_with_the_errors_of_their_page() {
        let told = json!({
            "first_frame_ms": 120.5, "current_time": 7.5, "started_at": 5.0, "shown": 60, "decoded": 62,
            "dropped": 1, "pictures": 59, "latencies": [300, 100, 200], "unread": 2, "stalls": 1,
            "stalled": true, "ended": false, "width": 640, "height": 360, "sizes": ["640x360"],
            "buffered": 0.25, "rate": 1, "errors": ["one"], "warnings": ["w"], "events": ["e"],
        });
        let report = PlayReport::new(&told, &["two".to_owned()]);
        assert_eq!(report.first_frame_ms, Some(120.5));
        assert!((report.advanced - 2.5).abs() < 1e-9);
        assert_eq!((report.resolution, report.decoded), ((640, 360), 62));
        assert_eq!(report.median_latency(), Some(200.0));
        assert_eq!(report.latency_at(1.0), Some(300.0));
        assert_eq!(report.errors, ["one", "two"]);
        assert!(report.stalled && !report.plays(1.0));
        assert!(report.to_string().contains("error: two"), "{report}");
    }

    #[test]
    fn before_the_first_report_there_is_nothing() {
        let report = PlayReport::new(&Value::Null, &[]);
        assert_eq!(report, PlayReport::default());
        assert_eq!(report.median_latency(), None);
        assert!(!report.plays(0.0));
    }
}
