//! Load generator: publishers and viewers in any number, measured from outside.
//!
//! Owns: `bench rtmp`, `bench flv` and `bench hls`: RTMP publishers, RTMP, HTTP-FLV and (low-latency) HLS viewers, the
//! generated source, and the report; `bench files`: requests a second; `bench first`: the time to first media of
//! single plays.
//! It drives any server and shares no code with this one: client state machines and parsers are its own, so
//! that a fault of the server is not hidden by the same fault in the bench. Sessions are plain structs in one
//! edge-triggered poll loop per thread, one system call per message, so that it costs no more than what it measures.
//! Does not: decode, record, or measure between machines (send times are of the local monotonic clock).

#![forbid(unsafe_code)]

mod amf;
mod answer;
mod args;
mod chunk;
mod client;
mod clock;
mod coordinator;
mod files;
mod first;
mod histogram;
mod hls;
mod http;
mod link;
mod plan;
mod process;
mod report;
mod session;
mod skim;
mod source;
mod stamp;
mod tally;
mod target;
mod worker;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

pub use args::Args;

use args::Protocol;
use plan::{Plan, ViewTarget};
use report::{Report, Role};

/// Why a run is not a success.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The arguments make no sense together, or name what cannot be read.
    #[error("{0}")]
    Usage(String),
    /// No session of a role could start, so nothing was measured.
    #[error("no {role} could start: {reasons}")]
    NothingRan {
        /// `publisher`, `viewer` or `connection`.
        role: &'static str,
        /// Each reason with its count.
        reasons: String,
    },
    /// More sessions failed or starved than `--max-failed` allows.
    #[error("{bad} sessions failed or starved, {allowed} are allowed")]
    Sessions {
        /// Failed publishers, failed viewers and starved viewers together.
        bad: u64,
        /// As given by `--max-failed`.
        allowed: u64,
    },
}

/// Runs a load and reports it: the table on standard output, or on standard error when the JSON goes there.
///
/// # Errors
/// [`Failure`] (see [`exit_code`]), or what kept the bench itself from running.
pub fn run(args: Args) -> anyhow::Result<()> {
    match args.protocol {
        Protocol::First(args) => {
            let report = first::run(&args)?;
            publish(&report, args.json.as_deref())?;
            return judge(report.failed(), args.max_failed);
        }
        Protocol::Files(args) => {
            let report = files::run(&args)?;
            publish(&report, args.json.as_deref())?;
            if let Some(reasons) = report.nothing_ran() {
                let role = "connection";
                return Err(Failure::NothingRan { role, reasons }.into());
            }
            return judge(report.bad(), args.max_failed);
        }
        Protocol::Rtmp(_) | Protocol::Flv(_) | Protocol::Hls(_) => {}
    }
    let plan = Plan::new(args)?;
    plan.raise_file_limit()?;
    let outcome = coordinator::run(&plan)?;
    let (json, allowed) = (plan.load.json.as_deref(), plan.load.max_failed);
    if let ViewTarget::Hls(_) = plan.view {
        let report = hls::Report::new(&plan, outcome);
        publish(&report, json)?;
        let roles = [&report.publishers, &report.viewers];
        anything_ran(report.seconds, roles, &report.reasons)?;
        return judge(report.bad_sessions(), allowed);
    }
    let report = Report::new(&plan, outcome);
    publish(&report, json)?;
    verdict(&plan, &report)
}

/// The exit code for an error of [`run`]: 2 for usage, 1 for all else.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref() {
        Some(Failure::Usage(_)) => 2,
        _ => 1,
    }
}

fn publish(report: &(impl Display + Serialize), json: Option<&Path>) -> anyhow::Result<()> {
    let Some(path) = json else {
        return write!(io::stdout(), "{report}").context("write the report");
    };
    let mut document = serde_json::to_string_pretty(report)?;
    document.push('\n');
    if path == Path::new("-") {
        // The table is the lesser half of the answer here.
        let _ = write!(io::stderr(), "{report}");
        return io::stdout()
            .write_all(document.as_bytes())
            .context("write the report");
    }
    fs::write(path, document).with_context(|| format!("write {}", path.display()))?;
    write!(io::stdout(), "{report}").context("write the report")
}

fn verdict(plan: &Plan, report: &Report) -> anyhow::Result<()> {
    let roles = [&report.publishers, &report.viewers];
    anything_ran(report.seconds, roles, &report.reasons)?;
    judge(report.bad_sessions(), plan.load.max_failed)
}

fn anything_ran(
    seconds: f64,
    [publishers, viewers]: [&Role; 2],
    reasons: &BTreeMap<String, u64>,
) -> anyhow::Result<()> {
    for (role, sessions) in [("publisher", publishers), ("viewer", viewers)] {
        if seconds == 0.0 && sessions.failed > 0 && sessions.running == 0 {
            let reasons = report::reasons_line(reasons);
            return Err(Failure::NothingRan { role, reasons }.into());
        }
    }
    Ok(())
}

fn judge(bad: u64, allowed: u64) -> anyhow::Result<()> {
    if bad > allowed {
        return Err(Failure::Sessions { bad, allowed }.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::client::Goal;
    use crate::skim::{ChunkSkimmer, type_id};

    /// One key frame with the present time in it.
    fn frame() -> Vec<u8> {
        let mut payload = vec![0x17, 1, 0, 0, 0];
        payload.resize(600, 0x33);
        stamp::write(&mut payload, clock::now());
        payload
    }

    /// Sends `next()` again and again until the peer has gone.
    fn pour(mut socket: TcpStream, mut next: impl FnMut() -> Vec<u8>) {
        while socket.write_all(&next()).is_ok() {
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn serve(
        connections: usize,
        session: impl Fn(TcpStream) + Send + Sync + 'static,
    ) -> (SocketAddr, thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            thread::scope(|scope| {
                for _ in 0..connections {
                    let (socket, _) = listener.accept().unwrap();
                    scope.spawn(|| session(socket));
                }
            });
        });
        (address, server)
    }

    fn report(line: &str) -> (Report, anyhow::Result<()>) {
        let line = format!("{line} --seconds 0.3 --warmup 0");
        let words: Vec<_> = line.split_whitespace().collect();
        let plan = Plan::new(args::tests::parse(&words).unwrap()).unwrap();
        let report = Report::new(&plan, coordinator::run(&plan).unwrap());
        let verdict = verdict(&plan, &report);
        (report, verdict)
    }

    #[test]
    fn rtmp_viewers_measure_a_scripted_server() {
        let (address, server) = serve(3, |mut socket| {
            socket.read_exact(&mut [0; 1537]).unwrap();
            let script = client::tests::server(Goal::Play, "status", "NetStream.Play.Start");
            socket.write_all(&script).unwrap();
            let mut timestamp = 40;
            pour(socket, move || {
                let mut wire = Vec::new();
                let (chunk_stream, type_id) = (6, type_id::VIDEO);
                timestamp += 2;
                let header = chunk::Header {
                    chunk_stream,
                    type_id,
                    message_stream: 7,
                    timestamp,
                };
                chunk::write(&mut wire, header, &frame());
                wire
            });
        });
        let (report, verdict) = report(&format!(
            "rtmp rtmp://{address}/live/b -p 0 -n 3 --threads 2"
        ));
        server.join().unwrap();
        verdict.unwrap();
        assert_eq!((report.viewers.running, report.viewers.failed), (3, 0));
        assert_eq!(report.latency_ms.count, report.messages_in);
        assert!(report.messages_in > 0 && report.bytes_in > report.messages_in * 600);
        assert_eq!(
            (report.first_media_ms.count, report.first_key_frame_ms.count),
            (3, 3)
        );
        assert_eq!(report.timestamps_gone_back, 0);
    }

    #[test]
    fn flv_viewers_measure_a_scripted_server() {
        let (address, server) = serve(1, |mut socket| {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                socket.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            assert!(head.starts_with(b"GET /live/b.flv HTTP/1.1\r\n"));
            socket
                .write_all(b"HTTP/1.1 200 OK\r\n\r\nFLV\x01\x05\0\0\0\x09\0\0\0\0")
                .unwrap();
            pour(socket, || {
                let payload = frame();
                let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
                [&[9][..], &length, &[0; 7], &payload, &[0; 4]].concat()
            });
        });
        let (report, verdict) = report(&format!("flv http://{address}/live/b.flv -p 0"));
        server.join().unwrap();
        verdict.unwrap();
        assert_eq!(report.viewers.running, 1);
        assert!(report.latency_ms.count > 0);
    }

    #[test]
    fn publishers_send_configuration_then_a_key_frame() {
        let (address, server) = serve(1, |mut socket| {
            socket.read_exact(&mut [0; 1537]).unwrap();
            let script = client::tests::server(Goal::Publish, "status", "NetStream.Publish.Start");
            socket.write_all(&script).unwrap();
            socket.read_exact(&mut [0; 1536]).unwrap();
            let mut wire = Vec::new();
            // A reset at the end of the run ends the stream just as well.
            let _ = socket.read_to_end(&mut wire);
            let mut input = &wire[..];
            let mut skimmer = ChunkSkimmer::new();
            let mut media = Vec::new();
            while let Some(message) = skimmer.next(&mut input).unwrap() {
                if message.is_media() {
                    let stamped = stamp::read(message.prefix).is_some();
                    media.push((message.is_configuration(), message.is_key_frame(), stamped));
                }
            }
            assert_eq!(media[..2], [(true, false, false), (true, false, false)]);
            assert_eq!(media[2], (false, true, true));
            assert!(media[3..].iter().all(|seen| *seen == (false, false, true)));
        });
        let (report, verdict) = report(&format!("rtmp rtmp://{address}/live/b -n 0"));
        server.join().unwrap();
        verdict.unwrap();
        assert_eq!(report.publishers.running, 1);
        assert!(report.messages_out > 0);
    }

    #[test]
    fn says_why_nothing_could_connect() {
        let address = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap()
        };
        let (report, verdict) = report(&format!("rtmp rtmp://{address}/live/b -p 2 -n 5"));
        let error = verdict.unwrap_err();
        assert_eq!(
            error.to_string(),
            "no publisher could start: publisher: connect: connection refused (×2)"
        );
        assert_eq!((exit_code(&error), report.seconds), (1, 0.0));
    }

    #[test]
    fn viewers_that_are_refused_or_starve_are_bad_sessions() {
        let (address, server) = serve(1, |mut socket| {
            socket.read_exact(&mut [0; 1537]).unwrap();
            let script =
                client::tests::server(Goal::Play, "error", "NetStream.Play.StreamNotFound");
            socket.write_all(&script).unwrap();
            let _ = socket.read_to_end(&mut Vec::new());
        });
        let (report, verdict) = report(&format!("rtmp rtmp://{address}/live/b -p 0"));
        server.join().unwrap();
        assert!(verdict.is_err());
        assert_eq!(
            report::reasons_line(&report.reasons),
            "viewer: server refused to play: NetStream.Play.StreamNotFound (×1)"
        );
    }
}
