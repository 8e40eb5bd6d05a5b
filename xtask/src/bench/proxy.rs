//! The cluster proxy beside HAProxy, which sets the floor, and beside no proxy: the same loads, in turn, in one run.
//!
//! Owns: the cases, the order of the runs, and the tables. The load and its figures are `weir bench`'s. Does not: judge;
//! a missed bar is marked, and the exit code stays 0.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::front::{Bench, Front, Running};
use super::{Figures, SECONDS, figures, median, number, spread, text};
use crate::child::{self, Server};
use crate::project::{self, Project};
use crate::say;

/// Plays of one stream in one run of the case of first frames, at the proxy and beside it.
const PLAYS: &str = "300";

/// What a proxy may add to the time from dialling to the first frame, in milliseconds.
const ADDED_BAR: f64 = 3.0;

/// The name that stands for every case of this file.
const ALL: &str = "proxy-all";

const FIRST_FRAME: &str = "proxy-first-frame";
const PICKS: &str = "picks";

/// A load that goes through the proxy, publishers and viewers alike.
struct Case {
    name: &'static str,
    publishers: u32,
    viewers: u32,
    /// With thousands of sessions one thread of the bench is at its end.
    threads: &'static str,
    /// What differs from the usual source.
    source: &'static [&'static str],
}

/// The usual bit rate in 20 messages a second in place of 68. Origin and bench cost by the message: with thousands of
/// sessions they alone fill a machine of two CPUs, and what is measured then is their fight.
const FEW_MESSAGES: &[&str] = &["--fps", "10", "--audio-fps", "10", "--gop", "20"];

const CASES: &[Case] = &[
    Case {
        name: "proxy-100pub",
        publishers: 100,
        viewers: 0,
        threads: "1",
        source: &[],
    },
    Case {
        name: "proxy-100x2",
        publishers: 100,
        viewers: 100,
        threads: "1",
        source: &[],
    },
    Case {
        name: "proxy-200view",
        publishers: 1,
        viewers: 200,
        threads: "1",
        source: &[],
    },
    Case {
        name: "proxy-2000x2",
        publishers: 2000,
        viewers: 2000,
        threads: "2",
        source: &[],
    },
    Case {
        name: "proxy-2000x2-20fps",
        publishers: 2000,
        viewers: 2000,
        threads: "2",
        source: FEW_MESSAGES,
    },
];

/// Whether `name` is that of a case here.
pub(super) fn has(name: &str) -> bool {
    let single = [ALL, FIRST_FRAME, PICKS];
    single.contains(&name) || CASES.iter().any(|case| case.name == name)
}

/// Measures the case called `name`, or all of them, `runs` times for each proxy in turn.
pub(super) fn run(project: &Project, bench: &Bench, name: &str, runs: usize) -> Result<()> {
    let wanted = |case: &str| name == case || name == ALL;
    let fronts = Front::all();
    let cases: Vec<&Case> = CASES.iter().filter(|case| wanted(case.name)).collect();
    if !cases.is_empty() {
        say::line(&format!(
            "{runs} runs each of {SECONDS} s, in turn; medians:\n\n\
             | load | proxy | CPU, % of a core (spread) | beside HAProxy (spread) | memory a session, KiB \
             | starved, failed | latency p50 / p99, ms | bench late p99, ms |\n\
             |---|---|---|---|---|---|---|---|"
        ));
        for case in cases {
            load_case(bench, case, &fronts, runs)?;
        }
    }
    if wanted(FIRST_FRAME) {
        first_frame(bench, &fronts, runs)?;
    }
    if wanted(PICKS) {
        picks(project, bench)?;
    }
    Ok(())
}

/// The order of run `run`: each goes first, second, … equally often, so that none always finds the machine as
/// another left it.
fn order<T>(all: &[T], run: usize) -> impl Iterator<Item = (usize, &T)> {
    let start = run % all.len().max(1);
    all.iter().enumerate().cycle().skip(start).take(all.len())
}

fn load_case(bench: &Bench, case: &Case, fronts: &[Front], runs: usize) -> Result<()> {
    let mut found: Vec<Vec<Run>> = fronts.iter().map(|_| Vec::new()).collect();
    for run in 0..runs.max(1) {
        for (at, front) in order(fronts, run) {
            let measured = bench
                .start(front)
                .and_then(|running| Run::measure(bench, case, &running));
            // one proxy that fails must not cost the hours of the others
            found[at].push(measured.unwrap_or_else(|error| {
                say::error(&format!(
                    "{} through {}: {error:#}",
                    case.name,
                    front.name()
                ));
                Run::FAILED
            }));
        }
    }
    let floor: Vec<f64> = found[0].iter().map(|run| run.figures.cpu).collect();
    for (front, runs) in fronts.iter().zip(&found) {
        say::line(&row(case.name, front, runs, &floor));
    }
    Ok(())
}

/// What one run came to.
struct Run {
    figures: Figures,
    /// Of the process, beyond what it held before the load, for each session of the load; in KiB.
    memory: f64,
}

impl Run {
    /// One that came to nothing.
    const FAILED: Self = Self {
        figures: Figures {
            cpu: f64::NAN,
            resident: f64::NAN,
            p50: f64::NAN,
            p99: f64::NAN,
            first_p50: f64::NAN,
            first_p99: f64::NAN,
            starved: f64::NAN,
            failed: f64::NAN,
            late: f64::NAN,
        },
        memory: f64::NAN,
    };

    fn measure(bench: &Bench, case: &Case, running: &Running) -> Result<Self> {
        let before = resident(running.pid)?;
        let report = bench.folder.join("report.json");
        let url = format!("rtmp://{}/live/load", running.rtmp);
        let output = Command::new(&bench.weir)
            .args(["bench", "rtmp", &url, "--threads", case.threads])
            .args(case.source)
            .args(["--publishers", &case.publishers.to_string()])
            .args(["--viewers", &case.viewers.to_string()])
            .args(["--seconds", SECONDS, "--max-failed", "1000000"])
            .args(["--pid", &running.pid.to_string(), "--json"])
            .arg(&report)
            .output()?;
        ensure!(
            output.status.success(),
            "weir bench: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let report = read(&report)?;
        if let Some(reasons) = report["reasons"].as_object().filter(|all| !all.is_empty()) {
            let reasons = reasons
                .iter()
                .map(|(why, count)| format!("{count} x {why}"));
            let reasons = reasons.collect::<Vec<_>>().join("; ");
            say::error(&format!("{}: sessions failed: {reasons}", case.name));
        }
        let figures = figures(&report, running.pid)?;
        let sessions = f64::from(case.publishers + case.viewers);
        Ok(Self {
            memory: (figures.resident * 1024.0 - before) / sessions,
            figures,
        })
    }
}

/// Resident memory of a process, in KiB.
fn resident(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"));
    let status = status.with_context(|| format!("process {pid} has ended"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.with_context(|| format!("process {pid} has no VmRSS"))
}

fn read(report: &Path) -> Result<Value> {
    Ok(serde_json::from_str(&fs::read_to_string(report)?)?)
}

fn row(load: &str, front: &Front, runs: &[Run], floor: &[f64]) -> String {
    let of = |figure: fn(&Run) -> f64| median(runs.iter().map(figure));
    let cpu: Vec<f64> = runs.iter().map(|run| run.figures.cpu).collect();
    let (least, most) = spread(&cpu);
    let mut columns = [
        format!(
            "{} ({} to {})",
            text(of(|run| run.figures.cpu)),
            text(least),
            text(most)
        ),
        String::new(),
        text(of(|run| run.memory)),
    ];
    match front {
        // what an origin costs is no matter of a proxy's
        Front::Direct => columns = [const { String::new() }; 3],
        Front::Haproxy => {}
        Front::Go(_) | Front::Weir => {
            let ratios: Vec<f64> = cpu
                .iter()
                .zip(floor)
                .map(|(ours, least)| ours / least)
                .collect();
            let (least, most) = spread(&ratios);
            let middle = median(ratios.iter().copied());
            columns[1] = format!("{middle:.2} ({least:.2} to {most:.2})");
        }
    }
    format!(
        "| {load} | {} | {} | {:.0}, {:.0} | {} / {} | {} |",
        front.name(),
        columns.join(" | "),
        of(|run| run.figures.starved),
        of(|run| run.figures.failed),
        text(of(|run| run.figures.p50)),
        text(of(|run| run.figures.p99)),
        text(of(|run| run.figures.late)),
    )
}

/// Plays one after the other through each proxy and, in turn, beside it, of a stream that is published through it.
fn first_frame(bench: &Bench, fronts: &[Front], runs: usize) -> Result<()> {
    let fronts: Vec<&Front> = fronts
        .iter()
        .filter(|front| **front != Front::Direct)
        .collect();
    let mut found: Vec<Vec<[f64; 4]>> = fronts.iter().map(|_| Vec::new()).collect();
    for run in 0..runs.max(1) {
        for (at, front) in order(&fronts, run) {
            let running = bench.start(front)?;
            let figures = plays(bench, &running)
                .with_context(|| format!("{FIRST_FRAME} through {}", front.name()))?;
            found[at].push(figures);
        }
    }
    say::line(&format!(
        "\n{runs} runs each of {PLAYS} plays, and as many directly, in turn; medians:\n\n\
         | proxy | first media p50 / p99, ms | directly p50, ms | added, ms (spread) | bar |\n\
         |---|---|---|---|---|"
    ));
    for (front, runs) in fronts.iter().zip(&found) {
        let of = |at: usize| median(runs.iter().map(|run| run[at]));
        let added: Vec<f64> = runs.iter().map(|run| run[3]).collect();
        let (least, most) = spread(&added);
        let missed = if of(3) <= ADDED_BAR { "" } else { ", missed" };
        let bar = match front {
            Front::Weir => format!("<= {ADDED_BAR}{missed}"),
            _ => String::new(),
        };
        say::line(&format!(
            "| {} | {:.2} / {:.2} | {:.2} | {:.2} ({least:.2} to {most:.2}) | {bar} |",
            front.name(),
            of(0),
            of(1),
            of(2),
            of(3),
        ));
    }
    Ok(())
}

/// Median and 99th percentile through the front, median beside it, and what is added.
fn plays(bench: &Bench, running: &Running) -> Result<[f64; 4]> {
    let url = format!("rtmp://{}/live/first", running.rtmp);
    let beside = format!("rtmp://{}/live/first", running.direct);
    let mut publisher = Command::new(&bench.weir);
    publisher
        .args(["bench", "rtmp", &url, "--viewers", "0", "--seconds", "60m"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _publisher = Server::start(&mut publisher, "cannot start weir bench")?;
    let report = bench.folder.join("first.json");
    let first = |plays: &str| {
        let mut command = Command::new(&bench.weir);
        command
            .args(["bench", "first", &url, "--beside", &beside])
            .args(["--plays", plays, "--json"])
            .arg(&report)
            .stdout(Stdio::null());
        command
    };
    child::until("the stream plays", || {
        let mut once = first("1");
        once.stderr(Stdio::null());
        once.status().is_ok_and(|status| status.success())
    })?;
    project::succeed(&mut first(PLAYS))?;
    let report = read(&report)?;
    Ok([
        number(&report, "/addresses/0/first_media_ms/p50"),
        number(&report, "/addresses/0/first_media_ms/p99"),
        number(&report, "/addresses/1/first_media_ms/p50"),
        number(&report, "/added_ms"),
    ])
}

/// Placements a second, with the state in memory and in a Redis of its own.
fn picks(project: &Project, bench: &Bench) -> Result<()> {
    say::line("");
    let mut states = vec!["memory".to_owned()];
    let [address] = child::free_addresses()?;
    let mut redis = child::redis_command(&bench.folder, address.port());
    let mut redis = Server::start(redis.stdout(Stdio::null()), child::NO_REDIS)?;
    redis.listens(address).context("redis")?;
    states.push(format!("redis://{address}"));
    for state in states {
        let mut command = project.cargo(&["bench", "--locked", "--package", "weir-proxy"]);
        command.args(["--bench", "picks", "--", "--state", &state]);
        if !command.status()?.success() {
            bail!("the bench of placements failed with state {state}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(cpu: f64, memory: f64) -> Run {
        let figures = Figures {
            cpu,
            resident: 0.0,
            p50: 1.0,
            p99: f64::NAN,
            first_p50: 0.0,
            first_p99: 0.0,
            starved: 0.0,
            failed: 1.0,
            late: 0.5,
        };
        Run { figures, memory }
    }

    #[test]
    fn every_place_in_the_order_is_everybodys_in_turn() {
        let all = ["a", "b", "c"];
        let orders: Vec<String> = (0..4)
            .map(|run| order(&all, run).map(|(_, name)| *name).collect())
            .collect();
        assert_eq!(orders, ["abc", "bca", "cab", "abc"]);
        assert_eq!(
            order(&all, 1).map(|(at, _)| at).collect::<Vec<_>>(),
            [1, 2, 0]
        );
    }

    #[test]
    fn rows_compare_runs_in_pairs() {
        let runs = [run(4.0, 8.0), run(6.0, 8.0), run(5.0, 8.0)];
        let row_of = |front| row("x", &front, &runs, &[2.0, 2.0, 5.0]);
        assert_eq!(
            row_of(Front::Weir),
            "| x | weir proxy | 5.0 (4.0 to 6.0) | 2.00 (1.00 to 3.00) | 8.0 | 0, 1 | 1.0 / - | 0.5 |"
        );
        assert!(row_of(Front::Direct).contains("| none |  |  |  | 0, 1 |"));
        let columns = |front| row_of(front).matches('|').count();
        assert_eq!(columns(Front::Direct), columns(Front::Haproxy));
    }

    #[test]
    fn names_of_cases_are_known_and_others_are_not() {
        for name in ["proxy-all", "proxy-2000x2", "proxy-first-frame", "picks"] {
            assert!(has(name), "{name}");
        }
        assert!(!has("all") && !has("proxy") && !has("1 -> 1000, adaptive"));
    }

    #[test]
    fn memory_of_a_process_is_read() {
        assert!(resident(std::process::id()).unwrap() > 0.0);
        assert!(resident(u32::MAX).is_err());
    }
}
