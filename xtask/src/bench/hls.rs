//! HLS and HTTP-TS: many viewers, many streams, files beside nginx, and what it costs where nobody watches.
//!
//! Owns: the cases, what they are compared with, and the tables. The load and its figures are `weir bench`'s. Does not:
//! judge; a missed bar is marked, and the exit code stays 0.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::front::Bench;
use super::{SECONDS, median, number, spread, text};
use crate::child::{self, Server};
use crate::say;

/// The name that stands for every case of this file.
const ALL: &str = "hls-all";

const FILES: &str = "hls-files";
const VIEWERS: &str = "hls-2000";
const TS: &str = "ts-1000";
const STREAMS: &str = "hls-500-streams";
const IDLE: &str = "hls-idle";

/// Low-latency viewers of one stream.
const LOW_LATENCY_VIEWERS: &str = "2000";

/// Streams whose segments are all made, or that nobody watches.
const MANY_STREAMS: u32 = 500;

/// Bit rate of the generated source, in bits a second.
const BITRATE: u32 = 200_000;

/// What the playlist of each of many streams covers, in seconds.
const WINDOW: u32 = 30;

/// Segments that are asked for as files: of 2 s of 1 Mbit/s.
const SEGMENTS: usize = 10;
const SEGMENT_BITRATE_KBPS: &str = "1000";

/// Requests of segments a second, as a share of nginx's.
const FILES_BAR: f64 = 0.8;

/// CPU with HLS that nobody watches, as a share of CPU without HLS: nothing, but for what measuring is off by.
const IDLE_BAR: f64 = 1.05;

/// Memory of many streams: so many times the bytes of their windows, and so many bytes beside.
const WINDOW_SHARE: f64 = 3.0;
const BESIDE: f64 = 20e6;

/// Longest wait for a whole file of a server on this machine.
const ANSWER: Duration = Duration::from_secs(5);

/// Whether `name` is that of a case here.
pub(super) fn has(name: &str) -> bool {
    [ALL, FILES, VIEWERS, TS, STREAMS, IDLE].contains(&name)
}

/// Measures the case called `name`, or all of them, `runs` times.
pub(super) fn run(bench: &Bench, name: &str, runs: usize) -> Result<()> {
    type Measure = fn(&Bench, usize) -> Result<()>;
    let cases: [(&str, Measure); 5] = [
        (FILES, files),
        (VIEWERS, viewers),
        (TS, ts),
        (STREAMS, streams),
        (IDLE, idle),
    ];
    for (case, measure) in cases {
        if name == case || name == ALL {
            measure(bench, runs.max(1)).with_context(|| case.to_owned())?;
        }
    }
    Ok(())
}

/// One of our origins.
struct Origin {
    rtmp: SocketAddr,
    http: SocketAddr,
    server: Server,
}

impl Origin {
    fn start(bench: &Bench, flags: &[&str]) -> Result<Self> {
        let [rtmp, http] = child::free_addresses()?;
        let mut command = bench.weir_command("origin");
        command
            .args(["--api-listen", "off", "--rtmp-listen", &rtmp.to_string()])
            .args(["--http-listen", &http.to_string()])
            .args(flags);
        let mut server = Server::start(&mut command, "cannot start weir")?;
        server.listens(rtmp).context("weir origin")?;
        server.listens(http).context("weir origin")?;
        Ok(Self { rtmp, http, server })
    }

    fn publish_url(&self) -> String {
        format!("rtmp://{}/live/load", self.rtmp)
    }

    fn play_url(&self, extension: &str) -> String {
        format!("http://{}/live/load{extension}", self.http)
    }
}

/// What a process used.
#[derive(Debug, Clone, Copy)]
struct Used {
    /// Percent of a core.
    cpu: f64,
    /// Bytes.
    resident: f64,
}

/// Runs `weir bench` and gives its report.
fn report(bench: &Bench, words: &[&str], pids: &[u32]) -> Result<Value> {
    let file = bench.folder.join("report.json");
    let mut command = Command::new(&bench.weir);
    command.arg("bench").args(words);
    for pid in pids {
        command.args(["--pid", &pid.to_string()]);
    }
    let output = command
        .args(["--max-failed", "1000000000", "--json"])
        .arg(&file)
        .output()?;
    ensure!(
        output.status.success(),
        "weir bench: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
    if let Some(reasons) = report["reasons"].as_object().filter(|all| !all.is_empty()) {
        let reasons = reasons.iter();
        let reasons: Vec<_> = reasons.map(|(why, n)| format!("{n} x {why}")).collect();
        say::error(&format!("sessions failed: {}", reasons.join("; ")));
    }
    Ok(report)
}

/// What the processes of these ids used together.
fn used(report: &Value, pids: &[u32]) -> Result<Used> {
    let all = report["processes"].as_array();
    let all = all.context("no processes in the report")?;
    let of = |pid: u32| {
        let found = all.iter().find(|one| one.get("pid") == Some(&pid.into()));
        found.with_context(|| format!("process {pid} is missing from the report"))
    };
    let mut sum = Used {
        cpu: 0.0,
        resident: 0.0,
    };
    for pid in pids {
        let one = of(*pid)?;
        sum.cpu += number(one, "/cpu_percent");
        sum.resident += number(one, "/rss_kib") * 1024.0;
    }
    Ok(sum)
}

/// CPU of the bench itself, which is first in its report.
fn bench_cpu(report: &Value) -> f64 {
    number(report, "/processes/0/cpu_percent")
}

/// Middle, and both ends in parentheses.
fn with_spread(values: &[f64], digits: usize) -> String {
    let (least, most) = spread(values);
    let middle = median(values.iter().copied());
    format!("{middle:.digits$} ({least:.digits$} to {most:.digits$})")
}

fn mark(is_met: bool) -> &'static str {
    if is_met { "" } else { ", missed" }
}

/// A server of files that runs as several processes, all of which end with it.
struct Nginx(Server);

impl Nginx {
    fn start(bench: &Bench, listen: SocketAddr) -> Result<Self> {
        let file = bench.folder.join("nginx.conf");
        fs::write(&file, nginx_configuration(bench, listen))?;
        let mut command = Command::new("nginx");
        command.arg("-c").arg(&file).stderr(Stdio::null());
        let server = Server::start(&mut command, "nginx is missing: cargo xtask install")?;
        let mut nginx = Self(server);
        nginx.0.listens(listen).context("nginx")?;
        Ok(nginx)
    }

    /// Its workers, which do the work.
    fn pids(&self) -> Result<Vec<u32>> {
        let pid = self.0.pid();
        let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let pids: Vec<u32> = text
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        ensure!(!pids.is_empty(), "nginx has no workers");
        Ok(pids)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // killed, it would leave its workers behind
        self.0.signal("TERM");
        let _ = self.0.0.wait();
    }
}

fn nginx_configuration(bench: &Bench, listen: SocketAddr) -> String {
    let folder = bench.folder.display();
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary: String = kinds
        .iter()
        .map(|kind| format!("{kind}_temp_path {folder}/nginx-{kind}; "))
        .collect();
    format!(
        "worker_processes 2; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ {temporary}access_log off; sendfile on; tcp_nopush on; default_type video/mp4;\n\
         keepalive_timeout 60s; keepalive_requests 1000000000;\n\
         server {{ listen {listen}; root {folder}/files; }} }}\n"
    )
}

/// The same segments from a stream's window and from disk.
fn files(bench: &Bench, runs: usize) -> Result<()> {
    let origin = Origin::start(bench, &["--hls-when", "always", "--hls-window", "10m"])?;
    let mut publisher = Command::new(&bench.weir);
    publisher
        .args(["bench", "rtmp", &origin.publish_url(), "--viewers", "0"])
        .args(["--bitrate-kbps", SEGMENT_BITRATE_KBPS, "--seconds", "120m"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _publisher = Server::start(&mut publisher, "cannot start weir bench")?;
    let paths = segments(origin.http)?;
    let [address] = child::free_addresses()?;
    let mut bytes = 0;
    for path in &paths {
        let (status, body) = fetch(origin.http, path)?;
        ensure!(status == 200, "{path}: HTTP {status}");
        let place = bench
            .folder
            .join("files")
            .join(path.trim_start_matches('/'));
        fs::create_dir_all(place.parent().context("a path without a folder")?)?;
        bytes += body.len();
        fs::write(place, body)?;
    }
    let nginx = Nginx::start(bench, address)?;
    let workers = nginx.pids()?;
    say::line(&format!(
        "\n{runs} runs each of {SECONDS} s, in turn; {} segments of {} KB on average, 100 connections; medians:\n\n\
         | server | requests/s (spread) | MB/s | request p50 / p99, ms | CPU, % of a core | CPU a request, µs | other than 200, failed \
         | ratio (spread) | bar |\n|---|---|---|---|---|---|---|---|---|",
        paths.len(),
        bytes / paths.len() / 1000,
    ));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let pids = [origin.server.pid()];
        theirs.push(Got::measure(bench, address, &paths, &workers)?);
        ours.push(Got::measure(bench, origin.http, &paths, &pids)?);
    }
    let ratios: Vec<f64> = ours
        .iter()
        .zip(&theirs)
        .map(|(ours, theirs)| ours.rate / theirs.rate)
        .collect();
    let missed = mark(median(ratios.iter().copied()) >= FILES_BAR);
    say::line(&Got::row("nginx, from disk", &theirs, "|"));
    let ratio = format!("{} | >= {FILES_BAR}{missed}", with_spread(&ratios, 2));
    say::line(&Got::row("weir, from the window", &ours, &ratio));
    Ok(())
}

/// Waits until the stream has enough segments, and gives the newest: they stay for as long as this takes.
fn segments(address: SocketAddr) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut look = || {
        let playlist = child::get(address, "/live/load-av.m3u8");
        if let Ok((200, text)) = playlist {
            found = listed(&text);
        }
        found.len() >= SEGMENTS
    };
    // each wait is of 20 s, and segments are of 2 s
    for _ in 0..2 {
        if child::until("enough segments", &mut look).is_ok() {
            break;
        }
    }
    ensure!(
        found.len() >= SEGMENTS,
        "the playlist has only {} segments",
        found.len()
    );
    Ok(found.split_off(found.len() - SEGMENTS))
}

/// The segments of a playlist whose addresses are relative to `/live/`.
fn listed(playlist: &str) -> Vec<String> {
    let lines = playlist.lines().map(str::trim);
    let names = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    names
        .map(|name| {
            let path = name.split('?').next().unwrap_or(name);
            if path.starts_with('/') {
                path.to_owned()
            } else {
                format!("/live/{path}")
            }
        })
        .collect()
}

/// Status and body of a GET, on a connection of its own.
fn fetch(address: SocketAddr, path: &str) -> Result<(u16, Vec<u8>)> {
    let mut socket = TcpStream::connect_timeout(&address, ANSWER)?;
    socket.set_read_timeout(Some(ANSWER))?;
    write!(
        socket,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer)?;
    take_apart(&answer).with_context(|| format!("no HTTP answer with a length for {path}"))
}

/// Status and body of an answer whose body is as long as it says.
fn take_apart(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(answer.get(..end)?).to_ascii_lowercase();
    let body = answer.get(end + 4..)?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut lines = head.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length:"))?;
    (length.trim().parse() == Ok(body.len())).then(|| (status, body.to_vec()))
}

/// What one run of asking for files came to.
struct Got {
    rate: f64,
    bytes: f64,
    p50: f64,
    p99: f64,
    cpu: f64,
    other: f64,
    failed: f64,
}

impl Got {
    fn measure(bench: &Bench, server: SocketAddr, paths: &[String], pids: &[u32]) -> Result<Self> {
        let urls = paths.iter().map(|path| format!("http://{server}{path}"));
        let urls: Vec<String> = urls.collect();
        // one thread of the bench takes less than two workers of nginx send
        let mut words = vec!["files", "--threads", "2", "--connections", "100"];
        words.extend(["--seconds", SECONDS]);
        words.extend(urls.iter().map(String::as_str));
        let report = report(bench, &words, pids)?;
        let statuses = report["statuses"].as_object();
        let all = statuses.into_iter().flatten();
        let all: f64 = all.filter_map(|(_, count)| count.as_f64()).sum();
        Ok(Self {
            rate: number(&report, "/requests_per_second"),
            bytes: number(&report, "/bytes_per_second"),
            p50: number(&report, "/latency_ms/p50"),
            p99: number(&report, "/latency_ms/p99"),
            cpu: used(&report, pids)?.cpu,
            other: all - number(&report, "/requests"),
            failed: number(&report, "/connections/failed"),
        })
    }

    fn row(name: &str, runs: &[Self], ratio: &str) -> String {
        let of = |figure: fn(&Self) -> f64| median(runs.iter().map(figure));
        let rates: Vec<f64> = runs.iter().map(|run| run.rate).collect();
        format!(
            "| {name} | {} | {:.0} | {} / {} | {} | {} | {:.0}, {:.0} | {ratio} |",
            with_spread(&rates, 0),
            of(|run| run.bytes) / 1e6,
            text(of(|run| run.p50)),
            text(of(|run| run.p99)),
            text(of(|run| run.cpu)),
            text(of(|run| run.cpu / 100.0 / run.rate * 1e6)),
            of(|run| run.other),
            of(|run| run.failed),
        )
    }
}

/// Two thousand viewers of one stream, playing in each of the ways there are.
fn viewers(bench: &Bench, runs: usize) -> Result<()> {
    say::line(&format!(
        "\n{LOW_LATENCY_VIEWERS} viewers of one stream, {runs} runs each of {SECONDS} s, in turn; medians:\n\n\
         | players | CPU, % of a core (spread) | RSS, MiB | delivery p50 / p99 / max, ms | playlist p50 / p99, ms \
         | first media p50 / p99, ms | requests/s | missed, refused, halted, failed | bench CPU, % | bench sends, reads late p99, ms |\n\
         |---|---|---|---|---|---|---|---|---|---|"
    ));
    let ways: [(&str, &[&str]); 3] = [
        ("low latency, hints", &[]),
        ("low latency, no hints", &["--no-hints"]),
        ("segments only", &["--plain"]),
    ];
    let mut found = ways.map(|_| Vec::new());
    for _ in 0..runs {
        for ((_, flags), found) in ways.iter().zip(&mut found) {
            let origin = Origin::start(bench, &[])?;
            let (publish, play) = (origin.publish_url(), origin.play_url(".m3u8"));
            let mut words = vec!["hls", &play, "--publish-url", &publish];
            words.extend(["--viewers", LOW_LATENCY_VIEWERS, "--seconds", SECONDS]);
            words.extend(*flags);
            let pids = [origin.server.pid()];
            let report = report(bench, &words, &pids)?;
            found.push((used(&report, &pids)?, report));
        }
    }
    for ((name, _), runs) in ways.iter().zip(&found) {
        say::line(&viewers_row(name, runs));
    }
    Ok(())
}

fn viewers_row(name: &str, runs: &[(Used, Value)]) -> String {
    let of = |path: &str| median(runs.iter().map(|(_, report)| number(report, path)));
    let cpu: Vec<f64> = runs.iter().map(|(used, _)| used.cpu).collect();
    let mut line = format!("| {name} | {}", with_spread(&cpu, 1));
    let resident = median(runs.iter().map(|(used, _)| used.resident));
    line += &format!(" | {:.0}", resident / f64::from(1 << 20));
    for (kind, places) in [
        ("part_delivery_ms", &["p50", "p99", "max"][..]),
        ("playlist_delay_ms", &["p50", "p99"]),
        ("first_media_ms", &["p50", "p99"]),
    ] {
        let values = places
            .iter()
            .map(|place| text(of(&format!("/{kind}/{place}"))));
        line += &format!(" | {}", values.collect::<Vec<_>>().join(" / "));
    }
    let bench = median(runs.iter().map(|(_, report)| bench_cpu(report)));
    format!(
        "{line} | {:.0} | {:.0}, {:.0}, {:.0}, {:.0} | {} | {}, {} |",
        of("/requests_per_second"),
        of("/parts_missed"),
        of("/hints_refused"),
        of("/stalled_viewers"),
        of("/viewers/failed"),
        text(bench),
        text(of("/publisher_lag_ms/p99")),
        text(of("/reader_lag_ms/p99")),
    )
}

/// The same thousand viewers by HTTP-TS and by HTTP-FLV.
fn ts(bench: &Bench, runs: usize) -> Result<()> {
    let mut found = [Vec::new(), Vec::new()];
    for _ in 0..runs {
        for (extension, found) in [".flv", ".ts"].iter().zip(&mut found) {
            let origin = Origin::start(bench, &[])?;
            let (publish, play) = (origin.publish_url(), origin.play_url(extension));
            let words = ["flv", &play, "--publish-url", &publish];
            let words = [&words[..], &["--viewers", "1000", "--seconds", SECONDS]].concat();
            let pids = [origin.server.pid()];
            let report = report(bench, &words, &pids)?;
            found.push((used(&report, &pids)?, report));
        }
    }
    let [flv, ts] = found;
    let ratios: Vec<f64> = ts
        .iter()
        .zip(&flv)
        .map(|(ts, flv)| ts.0.cpu / flv.0.cpu)
        .collect();
    say::line(&format!(
        "\n1 -> 1000, {runs} runs each of {SECONDS} s, in turn; medians:\n\n\
         | viewers | CPU, % of a core (spread) | RSS, MiB | latency p50 / p99, ms | kb/s a viewer | starved, failed \
         | CPU ratio (spread) |\n|---|---|---|---|---|---|---|"
    ));
    for (name, runs, ratio) in [
        ("HTTP-FLV", &flv, String::new()),
        ("HTTP-TS", &ts, with_spread(&ratios, 2)),
    ] {
        let of = |path: &str| median(runs.iter().map(|(_, report)| number(report, path)));
        let cpu: Vec<f64> = runs.iter().map(|(used, _)| used.cpu).collect();
        let resident = median(runs.iter().map(|(used, _)| used.resident));
        say::line(&format!(
            "| {name} | {} | {:.0} | {} / {} | {:.0} | {:.0}, {:.0} | {ratio} |",
            with_spread(&cpu, 1),
            resident / f64::from(1 << 20),
            text(of("/latency_ms/p50")),
            text(of("/latency_ms/p99")),
            of("/kbps_in") / 1000.0,
            of("/starved"),
            of("/viewers/failed"),
        ));
    }
    Ok(())
}

/// What a load of publishers alone costs an origin; it settles for `warmup` first.
fn published(bench: &Bench, flags: &[&str], warmup: &str) -> Result<(Used, Value)> {
    let origin = Origin::start(bench, flags)?;
    let publish = origin.publish_url();
    let streams = MANY_STREAMS.to_string();
    let words = ["rtmp", &publish, "--publishers", &streams, "--viewers", "0"];
    let words = [&words[..], &["--warmup", warmup, "--seconds", SECONDS]].concat();
    let pids = [origin.server.pid()];
    let report = report(bench, &words, &pids)?;
    let failed = number(&report, "/publishers/failed");
    if failed > 0.0 {
        bail!("{failed} publishers failed");
    }
    Ok((used(&report, &pids)?, report))
}

/// The memory of many streams whose segments are all made.
fn streams(bench: &Bench, runs: usize) -> Result<()> {
    let window = format!("{WINDOW}s");
    // the windows are full, and segments have begun to leave them
    let warmup = format!("{}s", WINDOW + 15);
    let flags = ["--hls-when", "always", "--hls-window", &window];
    let mut found = Vec::new();
    for _ in 0..runs {
        found.push(published(bench, &flags, &warmup)?);
    }
    let windows = f64::from(MANY_STREAMS) * f64::from(WINDOW) * f64::from(BITRATE) / 8.0;
    let bar = WINDOW_SHARE * windows + BESIDE;
    let resident: Vec<f64> = found.iter().map(|(used, _)| used.resident / 1e6).collect();
    let cpu: Vec<f64> = found.iter().map(|(used, _)| used.cpu).collect();
    let late = median(
        found
            .iter()
            .map(|run| number(&run.1, "/publisher_lag_ms/p99")),
    );
    let missed = mark(median(resident.iter().copied()) * 1e6 <= bar);
    say::line(&format!(
        "\n{MANY_STREAMS} streams, segments made of all, {runs} runs; medians:\n\n\
         | RSS, MB (spread) | windows, MB | bar | CPU, % of a core (spread) | bench late p99, ms |\n\
         |---|---|---|---|---|\n| {} | {:.0} | <= {:.0}{missed} | {} | {} |",
        with_spread(&resident, 0),
        windows / 1e6,
        bar / 1e6,
        with_spread(&cpu, 1),
        text(late),
    ));
    Ok(())
}

/// What HLS costs where nobody asks for it.
fn idle(bench: &Bench, runs: usize) -> Result<()> {
    let ways: [(&str, &[&str]); 2] = [
        ("off", &["--hls-enabled=false", "--dash-enabled=false"]),
        ("when watched", &["--hls-when", "watched"]),
    ];
    let mut found = ways.map(|_| Vec::new());
    for run in 0..runs {
        // neither is always the one that comes second
        for turn in 0..ways.len() {
            let at = (turn + run) % ways.len();
            found[at].push(published(bench, ways[at].1, "3s")?.0);
        }
    }
    let [without, with] = &found;
    let pairs = || with.iter().zip(without);
    let ratios: Vec<f64> = pairs().map(|(with, out)| with.cpu / out.cpu).collect();
    let missed = mark(median(ratios.iter().copied()) <= IDLE_BAR);
    say::line(&format!(
        "\n{MANY_STREAMS} publishers nobody watches, {runs} runs each of {SECONDS} s, in turn; medians:\n\n\
         | HLS | CPU, % of a core (spread) | RSS, MiB | CPU ratio (spread) | bar |\n|---|---|---|---|---|"
    ));
    let last = format!("{} | <= {IDLE_BAR}{missed}", with_spread(&ratios, 3));
    for ((name, _), (runs, last)) in ways.iter().zip(found.iter().zip(["|", &last])) {
        let cpu: Vec<f64> = runs.iter().map(|used| used.cpu).collect();
        let resident = median(runs.iter().map(|used| used.resident));
        say::line(&format!(
            "| {name} | {} | {:.0} | {last} |",
            with_spread(&cpu, 1),
            resident / f64::from(1 << 20),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bench() -> Bench {
        Bench {
            weir: "weir".into(),
            folder: "/tmp/x".into(),
        }
    }

    #[test]
    fn nginx_serves_files_as_it_does_best() {
        let text = nginx_configuration(&bench(), "127.0.0.1:1".parse().unwrap());
        for part in [
            "worker_processes 2;",
            "sendfile on;",
            "access_log off;",
            "keepalive_requests 1000000000;",
            "listen 127.0.0.1:1; root /tmp/x/files;",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }

    #[test]
    fn segments_of_a_playlist_are_paths() {
        let text =
            "#EXTM3U\n#EXT-X-PART:URI=\"a.m4s\"\n#EXTINF:2,\nload-av-1.m4s?t=1\n/live/b.m4s\n\n";
        assert_eq!(listed(text), ["/live/load-av-1.m4s", "/live/b.m4s"]);
    }

    #[test]
    fn answers_that_are_cut_short_are_none() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\xff\x00\x01";
        assert_eq!(take_apart(answer), Some((200, vec![0xff, 0, 1])));
        assert_eq!(take_apart(&answer[..answer.len() - 1]), None);
        assert_eq!(take_apart(b"HTTP/1.1 200 OK\r\n\r\n"), None);
    }

    #[test]
    fn processes_of_one_server_are_added_up() {
        let report = serde_json::json!({
            "processes": [
                { "pid": 1, "cpu_percent": 9.0, "rss_kib": 9 },
                { "pid": 2, "cpu_percent": 1.5, "rss_kib": 1 },
                { "pid": 3, "cpu_percent": 2.0, "rss_kib": 2 },
            ],
        });
        let sum = used(&report, &[2, 3]).unwrap();
        assert_eq!((sum.cpu, sum.resident), (3.5, 3072.0));
        assert_eq!(bench_cpu(&report), 9.0);
        assert!(used(&report, &[4]).is_err());
    }

    #[test]
    fn rows_have_as_many_columns_as_their_head() {
        let used = Used {
            cpu: 1.0,
            resident: 1e6,
        };
        let row = viewers_row("x", &[(used, serde_json::json!({}))]);
        assert_eq!(row.matches('|').count(), 11, "{row}");
        let got = Got {
            rate: 10.0,
            bytes: 2e6,
            p50: 1.0,
            p99: 2.0,
            cpu: 3.0,
            other: 0.0,
            failed: 0.0,
        };
        let row = Got::row("x", &[got], "|");
        assert_eq!(
            row,
            "| x | 10 (10 to 10) | 2 | 1.0 / 2.0 | 3.0 | 3000.0 | 0, 0 | | |"
        );
    }

    #[test]
    fn names_of_cases_are_known_and_others_are_not() {
        for name in [
            ALL,
            "hls-files",
            "hls-2000",
            "ts-1000",
            "hls-500-streams",
            "hls-idle",
        ] {
            assert!(has(name), "{name}");
        }
        assert!(!has("all") && !has("hls") && !has("proxy-all"));
    }
}
