//! Glass to glass: the age of a picture on the screen of a browser, counted from the publisher's encoder.
//!
//! Owns: the origin, the program that publishes and plays (an example of `weir-testkit`), and the table of minutes. Does
//! not: read pictures or drive a browser; that program does. A missed bar is marked, and the exit code stays 0.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::child::{self, Server};
use crate::project::{self, Project};
use crate::say;

/// The case's name on the command line.
pub(super) const NAME: &str = "ll-hls-latency";

/// Minutes unless told.
const MINUTES: u64 = 10;

/// What is promised of low-latency HLS, in milliseconds.
const MEDIAN_BAR: f64 = 1000.0;
const P99_BAR: f64 = 1500.0;

/// Length of the parts that the promise is of.
const PART: &str = "200ms";

/// Names of players, and how the files end that they play.
const PLAYERS: [(&str, &str); 5] = [
    ("ll-hls", "m3u8"),
    ("hls", "m3u8"),
    ("dash", "mpd"),
    ("flv", "flv"),
    ("ts", "ts"),
];

/// What is to be measured.
#[derive(Debug, PartialEq, Eq)]
struct Order<'a> {
    minutes: u64,
    player: &'a str,
    /// Of the player's library, in JSON.
    options: Option<&'a str>,
}

impl<'a> Order<'a> {
    fn new(args: &[&'a str]) -> Result<Self> {
        let mut order = Self {
            minutes: MINUTES,
            player: "ll-hls",
            options: None,
        };
        let mut rest = args;
        while let [first, tail @ ..] = rest {
            rest = match (*first, tail) {
                ("--player", [player, tail @ ..]) => {
                    order.player = player;
                    tail
                }
                ("--options", [options, tail @ ..]) => {
                    order.options = Some(options);
                    tail
                }
                (minutes, tail) => {
                    let number = minutes.parse();
                    order.minutes =
                        number.with_context(|| format!("not a number of minutes: {minutes}"))?;
                    tail
                }
            };
        }
        ending(order.player)?;
        Ok(order)
    }
}

fn ending(player: &str) -> Result<&'static str> {
    let found = PLAYERS.iter().find(|(name, _)| *name == player);
    let names = || PLAYERS.map(|(name, _)| name).join(", ");
    let (_, ending) = found.with_context(|| format!("no player {player}: {}", names()))?;
    Ok(ending)
}

/// Ages of pictures, and what was counted, over some time.
#[derive(Debug, Default, Clone)]
struct Seen {
    ages: Vec<f64>,
    shown: u64,
    dropped: u64,
    stalls: u64,
    errors: u64,
}

impl Seen {
    /// Adds the line of a second; `counted` is what the line before it had counted.
    fn add(&mut self, line: &Value, counted: &mut [u64; 3]) {
        let ages = line["ages_ms"].as_array().into_iter().flatten();
        self.ages.extend(ages.filter_map(Value::as_f64));
        let now = ["shown", "dropped", "stalls"].map(|name| line[name].as_u64().unwrap_or(0));
        let sums = [&mut self.shown, &mut self.dropped, &mut self.stalls];
        for ((sum, now), before) in sums.into_iter().zip(now).zip(*counted) {
            *sum += now.saturating_sub(before);
        }
        *counted = now;
        self.errors = line["errors"].as_array().map_or(0, Vec::len) as u64;
    }

    /// The age that a share of the pictures does not exceed; NaN when there was none.
    fn at(&self, share: f64) -> f64 {
        let mut sorted = self.ages.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        let index = (last as f64 * share).round() as usize;
        sorted.get(index).copied().unwrap_or(f64::NAN)
    }

    fn row(&self, name: &str) -> String {
        format!(
            "| {name} | {:.0} | {:.0} | {:.0} | {:.0} | {} | {} | {} | {} |",
            self.at(0.0),
            self.at(0.5),
            self.at(0.99),
            self.at(1.0),
            self.shown,
            self.dropped,
            self.stalls,
            self.errors,
        )
    }

    /// What is missed of the promise.
    fn missed(&self) -> Vec<String> {
        let mut missed = Vec::new();
        for (what, value, bar) in [
            ("median", self.at(0.5), MEDIAN_BAR),
            ("p99", self.at(0.99), P99_BAR),
        ] {
            if value.is_nan() || value > bar {
                missed.push(format!("{what} {value:.0} ms > {bar} ms"));
            }
        }
        if self.stalls > 0 {
            missed.push(format!("{} stalls", self.stalls));
        }
        if self.errors > 0 {
            missed.push(format!("{} errors", self.errors));
        }
        missed
    }
}

/// Measures with the origin `weir`, as `args` say: `[MINUTES] [--player NAME] [--options JSON]`.
pub(super) fn run(project: &Project, weir: &Path, args: &[&str]) -> Result<()> {
    let order = Order::new(args)?;
    let build = [
        "build",
        "--release",
        "--locked",
        "--package",
        "weir-testkit",
        "--example",
        "glass",
    ];
    project::succeed(&mut project.cargo(&build)).context("the release build failed")?;
    let glass = weir.with_file_name("examples").join("glass");
    let [rtmp, http] = child::free_addresses()?;
    let mut origin = Command::new(weir);
    child::without_settings(&mut origin)
        .args(["origin", "--api-listen", "off", "--log-level", "warn"])
        .args(["--rtmp-listen", &rtmp.to_string()])
        .args(["--http-listen", &http.to_string()])
        .args(["--hls-part", PART]);
    let mut server = Server::start(&mut origin, "cannot start weir")?;
    server.listens(rtmp).context("weir origin")?;
    server.listens(http).context("weir origin")?;
    let mut command = Command::new(glass);
    command
        .arg(order.player)
        .arg(format!("rtmp://{rtmp}/live/glass"))
        .arg(format!(
            "http://{http}/live/glass.{}",
            ending(order.player)?
        ))
        .arg((order.minutes * 60).to_string())
        .args(order.options)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot start glass")?;
    let lines = child.stdout.take().context("no pipe to glass")?;
    let whole = table(BufReader::new(lines), &order);
    let status = child.wait().context("lost glass")?;
    let whole = whole?;
    ensure!(status.success(), "glass: {status}");
    match whole.missed().as_slice() {
        [] => say::line("the promise of low-latency HLS is kept"),
        missed => say::line(&format!("missed: {}", missed.join(", "))),
    }
    Ok(())
}

/// Writes a row a minute as the lines come, and one of all; gives that one.
fn table(lines: impl BufRead, order: &Order<'_>) -> Result<Seen> {
    say::line(&format!(
        "{} in Chromium, parts of {PART}, {} minutes; ages of shown pictures in ms\n\n\
         | minute | least | median | p99 | most | shown | dropped | stalls | errors |\n\
         |---|---|---|---|---|---|---|---|---|",
        order.player, order.minutes
    ));
    let (mut minute, mut whole) = (Seen::default(), Seen::default());
    let (mut counted, mut counted_whole) = ([0; 3], [0; 3]);
    let mut warnings = Vec::new();
    for (number, line) in (1_u64..).zip(lines.lines()) {
        let line = line.context("cannot read what glass says")?;
        let line: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
        minute.add(&line, &mut counted);
        whole.add(&line, &mut counted_whole);
        warnings = ["errors", "warnings"]
            .iter()
            .flat_map(|name| line[*name].as_array().cloned().unwrap_or_default())
            .collect();
        if number % 60 == 0 {
            say::line(&minute.row(&(number / 60).to_string()));
            minute = Seen::default();
        }
    }
    if whole.ages.is_empty() {
        bail!("no picture with a clock was shown");
    }
    say::line(&format!("{}\n", whole.row("all")));
    for warning in warnings {
        say::line(&format!("player: {}", warning.as_str().unwrap_or_default()));
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_minutes_a_player_and_its_options() {
        let order = Order::new(&["60", "--player", "dash", "--options", "{}"]).expect("good");
        let wanted = Order {
            minutes: 60,
            player: "dash",
            options: Some("{}"),
        };
        assert_eq!(order, wanted);
        let plain = Order::new(&[]).expect("good");
        assert_eq!((plain.minutes, plain.player), (MINUTES, "ll-hls"));
        assert!(Order::new(&["soon"]).is_err());
        let error = Order::new(&["--player", "vlc"]).unwrap_err().to_string();
        assert!(error.contains("ll-hls, hls, dash, flv, ts"), "{error}");
    }

    #[test]
    fn lines_become_what_was_seen() {
        let lines = "{\"ages_ms\":[700,900],\"shown\":2,\"dropped\":1,\"stalls\":0,\"errors\":[]}\n\
             {\"ages_ms\":[800],\"shown\":3,\"dropped\":1,\"stalls\":1,\"errors\":[]}\n";
        let order = Order::new(&["1"]).expect("good");
        let whole = table(lines.as_bytes(), &order).expect("good");
        assert_eq!((whole.shown, whole.dropped, whole.stalls), (3, 1, 1));
        assert_eq!(
            (whole.at(0.0), whole.at(0.5), whole.at(1.0)),
            (700.0, 800.0, 900.0)
        );
        assert_eq!(whole.missed(), ["1 stalls"]);
        assert!(table(&b""[..], &order).is_err());
        assert!(table(&b"nonsense"[..], &order).is_err());
    }

    #[test]
    fn what_is_late_is_missed() {
        let late = Seen {
            ages: vec![1001.0; 99],
            ..Seen::default()
        };
        assert_eq!(late.missed(), ["median 1001 ms > 1000 ms"]);
        assert_eq!(Seen::default().missed().len(), 2);
    }
}
