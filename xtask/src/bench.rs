//! Measuring beside others: both servers, the same loads, in turn, in one run.
//!
//! Owns: the comparison with nginx-rtmp: its cases and their bars, starting and ending both servers, and the table of
//! medians and spreads; choosing between it and the cases of the proxy ([`proxy`]), of HLS ([`hls`]) and of
//! what a browser shows ([`glass`]). The load and the figures are `weir bench`'s. Does not: judge; a missed bar is marked, and the exit code stays 0.

mod front;
mod glass;
mod hls;
mod proxy;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::child::{self, Server};
use crate::project::{self, Project};
use crate::say;
use front::Bench;

/// Runs of each case and server unless told.
pub(crate) const DEFAULT_RUNS: usize = 3;

/// The measured window of a run, in seconds.
const SECONDS: &str = "8";

struct Case {
    name: &'static str,
    publishers: &'static str,
    viewers: &'static str,
    /// The bench has to keep up: with a thousand of each, one thread is at its end.
    threads: &'static str,
    latency: Option<&'static str>,
    flv: bool,
    /// nginx cannot, or is not asked to.
    alone: bool,
    /// What is promised of Weir's CPU, as a share of nginx's.
    bar: Option<f64>,
}

const CASE: Case = Case {
    name: "",
    publishers: "1",
    viewers: "1000",
    threads: "1",
    latency: None,
    flv: false,
    alone: false,
    bar: None,
};

const CASES: &[Case] = &[
    Case {
        name: "1 -> 1000, adaptive",
        bar: Some(0.6),
        ..CASE
    },
    Case {
        name: "1 -> 1000, latency 0",
        latency: Some("0ms"),
        bar: Some(0.8),
        ..CASE
    },
    Case {
        name: "1 -> 1000, latency 350 ms",
        latency: Some("350ms"),
        bar: Some(0.15),
        ..CASE
    },
    Case {
        name: "HTTP-FLV 1 -> 1000, adaptive",
        flv: true,
        bar: Some(0.6),
        ..CASE
    },
    Case {
        name: "1000 publishers",
        publishers: "1000",
        viewers: "0",
        bar: Some(0.7),
        ..CASE
    },
    Case {
        name: "1000 -> 1000",
        publishers: "1000",
        threads: "2",
        bar: Some(0.7),
        ..CASE
    },
    Case {
        name: "1 -> 9000",
        viewers: "9000",
        alone: true,
        ..CASE
    },
];

/// What one run came to.
#[derive(Debug, Clone, Copy)]
struct Figures {
    cpu: f64,
    resident: f64,
    p50: f64,
    p99: f64,
    first_p50: f64,
    first_p99: f64,
    starved: f64,
    failed: f64,
    /// How late the bench itself was, 99th percentile.
    late: f64,
}

/// Measures what is called `name`, `runs` times for each server in turn: a case of the proxy or of HLS, or every case
/// beside nginx-rtmp whose name contains it; `all` is all of the latter.
pub(crate) fn run(project: &Project, name: &str, runs: usize) -> Result<()> {
    let filter = if name == "all" { "" } else { name };
    let (proxied, segmented) = (proxy::has(name), hls::has(name));
    if !proxied && !segmented && !CASES.iter().any(|case| case.name.contains(filter)) {
        bail!("no such load: {name}");
    }
    let weir = build(project)?;
    let folder = tempdir()?;
    let bench = Bench {
        weir,
        folder: folder.clone(),
    };
    let done = if proxied {
        proxy::run(project, &bench, name, runs)
    } else if segmented {
        hls::run(&bench, name, runs)
    } else {
        beside_nginx(&bench.weir, &folder, filter, runs)
    };
    fs::remove_dir_all(&folder)?;
    done
}

/// Whether `name` is the case that has arguments of its own, which [`run_glass`] measures.
pub(crate) fn is_glass(name: &str) -> bool {
    name == glass::NAME
}

/// Measures how old the pictures are that a browser shows; see [`glass::run`].
pub(crate) fn run_glass(project: &Project, args: &[&str]) -> Result<()> {
    let weir = build(project)?;
    glass::run(project, &weir, args)
}

fn beside_nginx(weir: &Path, folder: &Path, filter: &str, runs: usize) -> Result<()> {
    let [nginx] = child::free_addresses()?;
    fs::write(folder.join("nginx.conf"), configuration(folder, nginx))?;
    say::line(&format!(
        "{runs} runs each of {SECONDS} s, in turn; medians:\n"
    ));
    say::line(
        "| load | server | CPU, % of a core | RSS, MiB | latency p50 / p99, ms \
         | first media p50 / p99, ms | starved, failed | CPU ratio (spread) | bar |\n\
         |---|---|---|---|---|---|---|---|---|",
    );
    for case in CASES.iter().filter(|case| case.name.contains(filter)) {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..runs.max(1) {
            if !case.alone {
                theirs.push(with_nginx(folder, nginx, |address, pid| {
                    load(
                        weir,
                        folder,
                        &Case {
                            flv: false,
                            ..*case
                        },
                        address,
                        address,
                        pid,
                    )
                })?);
            }
            ours.push(with_weir(weir, case, |rtmp, http, pid| {
                load(weir, folder, case, rtmp, http, pid)
            })?);
        }
        table(case, &ours, &theirs);
    }
    Ok(())
}

/// Builds the release binary; gives its place.
pub(crate) fn build(project: &Project) -> Result<PathBuf> {
    let metadata = project.metadata(&["--no-deps"])?;
    let target = metadata["target_directory"]
        .as_str()
        .context("no target_directory")?;
    let build = ["build", "--release", "--locked", "--package", "weir-server"];
    project::succeed(&mut project.cargo(&build)).context("the release build failed")?;
    Ok(Path::new(target).join("release/weir"))
}

fn tempdir() -> Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("weir-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn configuration(folder: &Path, listen: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;\n\
         worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n\
         events {{ worker_connections 20000; }}\n\
         rtmp {{ access_log off; server {{ listen {listen}; chunk_size 4096; \
         application live {{ live on; }} }} }}\n"
    )
}

fn with_nginx(
    folder: &Path,
    address: SocketAddr,
    measure: impl FnOnce(&str, u32) -> Result<Figures>,
) -> Result<Figures> {
    let mut command = Command::new("nginx");
    command
        .arg("-c")
        .arg(folder.join("nginx.conf"))
        .args(["-g", "master_process off;"]);
    let mut server = Server::start(&mut command, "nginx is missing: cargo xtask install")?;
    server.listens(address).context("nginx")?;
    measure(&address.to_string(), server.pid())
}

fn with_weir(
    weir: &Path,
    case: &Case,
    measure: impl FnOnce(&str, &str, u32) -> Result<Figures>,
) -> Result<Figures> {
    let mut command = Command::new(weir);
    command
        .args(["origin", "--api-listen", "off", "--log-format", "json"])
        .args([
            "--rtmp-listen",
            "127.0.0.1:0",
            "--http-listen",
            "127.0.0.1:0",
        ])
        .stderr(Stdio::piped());
    if let Some(latency) = case.latency {
        command.args(["--stream-latency", latency]);
    }
    let mut server = Server::start(&mut command, "cannot start weir")?;
    let stderr = server.0.stderr.take().context("weir's log")?;
    let (mut rtmp, mut http) = (None, None);
    let mut lines = BufReader::new(stderr).lines();
    while rtmp.is_none() || http.is_none() {
        let line = lines.next().context("weir ended before it listened")??;
        let entry: Value = serde_json::from_str(&line).unwrap_or_default();
        let fields = entry.get("fields").unwrap_or(&entry);
        let text = |name| fields.get(name).and_then(Value::as_str);
        match (text("key"), text("address")) {
            (Some("rtmp.listen"), Some(address)) => rtmp = Some(address.to_owned()),
            (Some("http.listen"), Some(address)) => http = Some(address.to_owned()),
            _ => {}
        }
    }
    // its later lines are read and thrown away, so that it never waits for us
    std::thread::spawn(move || lines.for_each(drop));
    let pid = server.pid();
    measure(&rtmp.unwrap_or_default(), &http.unwrap_or_default(), pid)
}

fn load(
    weir: &Path,
    folder: &Path,
    case: &Case,
    rtmp: &str,
    http: &str,
    pid: u32,
) -> Result<Figures> {
    let report = folder.join("report.json");
    let publish = format!("rtmp://{rtmp}/live/load");
    let mut command = Command::new(weir);
    command.arg("bench");
    if case.flv {
        command.args([
            "flv",
            &format!("http://{http}/live/load.flv"),
            "--publish-url",
            &publish,
        ]);
    } else {
        command.args(["rtmp", &publish]);
    }
    let output = command
        .args(["--publishers", case.publishers, "--viewers", case.viewers])
        .args([
            "--threads",
            case.threads,
            "--seconds",
            SECONDS,
            "--max-failed",
            "1000000",
        ])
        .args(["--pid", &pid.to_string(), "--json"])
        .arg(&report)
        .output()?;
    if !output.status.success() {
        bail!("weir bench: {}", String::from_utf8_lossy(&output.stderr));
    }
    figures(&serde_json::from_str(&fs::read_to_string(&report)?)?, pid)
}

fn figures(report: &Value, pid: u32) -> Result<Figures> {
    let server = report
        .get("processes")
        .and_then(Value::as_array)
        .and_then(|all| all.iter().find(|p| p.get("pid") == Some(&Value::from(pid))))
        .context("the server is missing from the report")?;
    Ok(Figures {
        cpu: number(server, "/cpu_percent"),
        resident: number(server, "/rss_kib") / 1024.0,
        p50: number(report, "/latency_ms/p50"),
        p99: number(report, "/latency_ms/p99"),
        first_p50: number(report, "/first_media_ms/p50"),
        first_p99: number(report, "/first_media_ms/p99"),
        starved: number(report, "/starved"),
        failed: number(report, "/viewers/failed") + number(report, "/publishers/failed"),
        late: number(report, "/publisher_lag_ms/p99"),
    })
}

/// A number of a report; NaN where there is none.
fn number(report: &Value, path: &str) -> f64 {
    let value = report.pointer(path).and_then(Value::as_f64);
    value.unwrap_or(f64::NAN)
}

fn table(case: &Case, ours: &[Figures], theirs: &[Figures]) {
    let ratios: Vec<f64> = ours
        .iter()
        .zip(theirs)
        .map(|(a, b)| a.cpu / b.cpu)
        .collect();
    let ratio = if ratios.is_empty() {
        "| |".to_owned()
    } else {
        let (least, most) = spread(&ratios);
        let middle = median(ratios.iter().copied());
        let bar = case.bar.map_or(String::new(), |bar| {
            format!("<= {bar}{}", if middle <= bar { "" } else { ", missed" })
        });
        format!("{middle:.2} ({least:.2} to {most:.2}) | {bar} |")
    };
    if !theirs.is_empty() {
        say::line(&row(case.name, "nginx-rtmp", theirs, "| |"));
    }
    say::line(&row(case.name, "weir", ours, &ratio));
}

fn row(name: &str, server: &str, runs: &[Figures], ratio: &str) -> String {
    let of = |figure: fn(&Figures) -> f64| median(runs.iter().map(figure));
    format!(
        "| {name} | {server} | {} | {:.0} | {} / {} | {} / {} | {}, {} | {ratio}",
        text(of(|run| run.cpu)),
        of(|run| run.resident),
        text(of(|run| run.p50)),
        text(of(|run| run.p99)),
        text(of(|run| run.first_p50)),
        text(of(|run| run.first_p99)),
        of(|run| run.starved),
        of(|run| run.failed),
    )
}

/// A figure in the table.
fn text(value: f64) -> String {
    if value.is_nan() {
        "-".to_owned()
    } else {
        format!("{value:.1}")
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn spread(values: &[f64]) -> (f64, f64) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (least, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_the_server() {
        let report = serde_json::json!({
            "processes": [
                { "pid": 1, "cpu_percent": 50.0, "rss_kib": 1024 },
                { "pid": 2, "cpu_percent": 20.5, "rss_kib": 2048 },
            ],
            "latency_ms": { "p50": 1.0, "p99": null },
            "viewers": { "failed": 1 },
            "publishers": { "failed": 2 },
            "starved": 0,
        });
        let figures = figures(&report, 2).expect("the second");
        assert_eq!((figures.cpu, figures.resident), (20.5, 2.0));
        assert_eq!((figures.p50, figures.failed), (1.0, 3.0));
        assert!(figures.p99.is_nan() && figures.first_p50.is_nan());
        assert!(super::figures(&report, 3).is_err());
    }

    #[test]
    fn middle_and_ends() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(spread(&[3.0, 1.0, 2.0]), (1.0, 3.0));
        assert!(median(std::iter::empty()).is_nan());
    }
}
