//! `weir relay`: one stream, played from a server and published to another, for as long as both are there.
//!
//! Owns: the process of the command (signals, exit code, what is told on the terminal), and [`Running`], the relay
//! itself, which other roles can start too. Does not: speak a protocol; the gates dial.
//!
//! # What it does when something ends
//!
//! - Each side has its own connection and its own attempts. Waits between attempts double from 1 s up to
//!   `--retry-max-delay`, and begin anew after a connection that carried media for 10 s or whose stream ended in order.
//! - A source that ends in order is tried again, for live sources come back; there is no limit to how often.
//!   `--retry-limit` counts attempts in a row that had no success: refused, unreachable, without any media, or broken
//!   within 10 s. When either side reaches it, the relay says why in one line and exits with code 1.
//! - A rejected publish is tried again like any failure: the name may be held by the last connection, which the other
//!   server has not given up yet. What no attempt can cure (another protocol at that port, an unusable redirect) ends
//!   the relay at once, unless that side has worked before.
//! - The stream is published only while there is a source. Within 10 s of its loss the publishing connection stays and
//!   the times go on where they were; after that the stream is unpublished in order, until the source is back.
//! - Each new publishing connection begins with metadata, sequence headers and the last key frame.

mod attempts;
mod progress;
mod running;

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use weir_gate_http::dial::HttpUrl;
use weir_gate_rtmp::dial::RtmpUrl;
use weir_net::cores::Shutdown;

use crate::cli::{self, Exit};
use crate::log::{self, Masked};
use crate::signals::Signals;

pub use attempts::GaveUp;
pub use progress::Progress;
pub use running::{Running, StartError};

/// Time for goodbyes after a signal; a server that does not answer in it is left.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How often a terminal gets a new status line.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// How often a log gets one.
const LOG_EVERY: Duration = Duration::from_secs(30);

/// Where the stream is played from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// RTMP.
    Rtmp(RtmpUrl),
    /// HTTP-FLV.
    Flv(HttpUrl),
}

/// What is relayed, and how stubbornly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Where from.
    pub from: Source,
    /// Where to.
    pub to: RtmpUrl,
    /// How long one connection attempt may take.
    pub connect_timeout: Duration,
    /// Longest wait between two attempts.
    pub retry_max_delay: Duration,
    /// Attempts without success, in a row, before giving up; 0 never gives up.
    pub retry_limit: u32,
}

/// Why an address cannot be relayed from or to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url}: {problem}")]
pub struct InvalidPlan {
    /// The address, without its secrets.
    url: String,
    problem: String,
}

impl Plan {
    /// What the command line asks for. Fails when an address names no stream.
    pub fn new(relay: &cli::Relay) -> Result<Self, InvalidPlan> {
        let from = match relay.from.scheme() {
            "rtmp" => Source::Rtmp(rtmp(&relay.from)?),
            _ => Source::Flv(
                relay
                    .from
                    .as_str()
                    .parse()
                    .map_err(|error| invalid(&relay.from, error))?,
            ),
        };
        Ok(Self {
            from,
            to: rtmp(&relay.to)?,
            connect_timeout: relay.connect_timeout,
            retry_max_delay: relay.retry_max_delay,
            retry_limit: relay.retry_limit,
        })
    }
}

fn rtmp(url: &url::Url) -> Result<RtmpUrl, InvalidPlan> {
    let parsed: RtmpUrl = url.as_str().parse().map_err(|error| invalid(url, error))?;
    match parsed.stream.is_empty() {
        true => Err(invalid(
            url,
            "address has no stream: rtmp://host/app/stream",
        )),
        false => Ok(parsed),
    }
}

fn invalid(url: &url::Url, problem: impl Display) -> InvalidPlan {
    InvalidPlan {
        url: Masked(url.as_str()).to_string(),
        problem: problem.to_string(),
    }
}

/// Relays until a signal ends it, or a side is given up.
pub fn run(relay: &cli::Relay) -> Exit {
    let prepared = crate::run::load(&relay.settings)
        .map_err(anyhow::Error::from)
        .and_then(|loaded| Ok((log::init(&loaded.config.log)?, Plan::new(relay)?)));
    let plan = match prepared {
        Ok((_, plan)) => plan,
        Err(error) => {
            complain(&error);
            return Exit::Usage;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(serve(&plan)));
    match result {
        Ok(()) => Exit::Success,
        Err(error) => {
            complain(&error);
            Exit::Failure
        }
    }
}

fn complain(what: &dyn Display) {
    // the terminal may be gone; there is nobody left to tell
    let _ = writeln!(std::io::stderr(), "weir: {what}");
}

async fn serve(plan: &Plan) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let shutdown = Shutdown::new();
    let running = Running::start(plan, &shutdown)?;
    let mut first = "";
    tokio::select! {
        name = signals.next() => {
            tracing::info!(signal = name, "stopping");
            first = name;
        }
        () = shutdown.draining() => {}
        never = report(&running) => match never {},
    }
    shutdown.drain();
    tokio::select! {
        ended = tokio::time::timeout(LAST_WORDS, running.ended()) => if ended.is_err() {
            tracing::warn!("connections did not end in time");
        },
        name = signals.second(first) => tracing::info!(signal = name, "second signal, ending at once"),
    }
    let last = running.progress();
    tracing::info!(frames = last.frames, retries = last.retries, "relay ended");
    // the thread is not waited for: it may be in a look-up that takes long
    match running.gave_up() {
        Some(gave_up) => Err(gave_up.clone().into()),
        None => Ok(()),
    }
}

/// Says how it goes: on a terminal in one line that is written over, else now and then in the log.
async fn report(running: &Running) -> std::convert::Infallible {
    let mut out = std::io::stderr();
    let terminal = out.is_terminal();
    let every = if terminal { STATUS_EVERY } else { LOG_EVERY };
    let mut interval = tokio::time::interval(every);
    interval.tick().await;
    let mut before = running.progress();
    loop {
        interval.tick().await;
        let now = running.progress();
        if terminal {
            // back to the first column, so that a log line begins there
            let _ = write!(out, "\x1b[K{}\r", now.line(&before)).and_then(|()| out.flush());
        } else {
            let (rate_in, rate_out) = now.rates(&before);
            tracing::info!(
                state = now.state(),
                kbit_in = rate_in,
                kbit_out = rate_out,
                frames = now.frames,
                retries = now.retries,
                "relaying"
            );
        }
        before = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cli::Command;

    fn plan(from: &str, to: &str) -> Result<Plan, InvalidPlan> {
        let (bench, top) = (clap::Command::new("bench"), clap::Command::new("top"));
        match cli::parse(["weir", "relay", from, to], bench, top).expect("parses") {
            Command::Relay(relay) => Plan::new(&relay),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn addresses_become_a_plan() {
        let plan = plan("http://a:8080/live/s.flv?t=1", "rtmp://b/live/s?key=x").expect("valid");
        assert!(matches!(plan.from, Source::Flv(_)));
        assert_eq!(plan.to.stream, "s?key=x");
        assert_eq!(plan.retry_limit, 0);
    }

    #[test]
    fn an_address_without_a_stream_is_refused_and_shown_without_secrets() {
        let error = plan("rtmp://a/live/s", "rtmp://b/live?token=secret").expect_err("no stream");
        assert_eq!(
            error.to_string(),
            "rtmp://b/live?token=***: address has no stream: rtmp://host/app/stream"
        );
        assert!(plan("rtmp://a", "rtmp://b/live/s").is_err());
    }
}
