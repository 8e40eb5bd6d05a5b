//! Time to first media, one session at a time: from dialling to the first audio or video frame.
//!
//! Owns: `bench first`: plays that follow each other without a pause, so that none waits for another, at one address or
//! in turn at two, and the report. With two the plays are pairs, and what one address adds is the median of the
//! pairs' differences: what disturbs the machine for longer than a pair disturbs both.
//! Does not: publish; something else must, and the server's first frame must come from its cache for the time to be
//! that of the opening alone.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::ensure;
use serde::Serialize;

use crate::args::First;
use crate::client::{self, Goal};
use crate::clock::{self, MILLISECOND};
use crate::session::SessionError;
use crate::skim::Message;
use crate::{Failure, http, target};

/// Most plays in a run: times are kept, 8 bytes each, and a day has hardly more of them.
const MAX_PLAYS: usize = 1_000_000;
/// Bytes taken from the socket at once.
const BUFFER: usize = 64 * 1024;

/// All that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// At the URL, then at the one beside it, if there is one.
    addresses: Vec<Address>,
    /// What the first address takes longer than the second: the median of the differences of all pairs. `None` for
    /// one address.
    added_ms: Option<f64>,
    /// Pairs behind it.
    pairs: usize,
    /// Failures by reason.
    reasons: BTreeMap<String, u64>,
}

/// What was measured at one address.
#[derive(Debug, Serialize)]
struct Address {
    url: String,
    played: usize,
    failed: u64,
    first_media_ms: Spread,
}

/// Exact, as all times are kept; `None` when there are none.
#[derive(Debug, Serialize)]
struct Spread {
    p50: Option<f64>,
    p99: Option<f64>,
    max: Option<f64>,
}

/// One address, and the times of its plays.
struct Place {
    target: Target,
    url: String,
    times: Vec<u64>,
    failed: u64,
}

enum Target {
    Rtmp(target::Rtmp),
    Flv(target::Flv),
}

/// Plays as asked.
///
/// # Errors
/// [`Failure::Usage`] for arguments without sense. Failed plays are no error here.
pub(crate) fn run(args: &First) -> anyhow::Result<Report> {
    let mut places = places(args).map_err(|error| Failure::Usage(format!("{error:#}")))?;
    let (mut added, mut reasons) = (Vec::new(), BTreeMap::new());
    let mut buffer = vec![0; BUFFER].into_boxed_slice();
    for play in 0..args.plays {
        let mut times = [None; 2];
        for turn in 0..places.len() {
            // neither address is always the one that comes second
            let at = (turn + play) % places.len();
            let (Some(place), Some(time)) = (places.get_mut(at), times.get_mut(at)) else {
                continue;
            };
            match place.target.play(args.timeout, &mut buffer) {
                Ok(took) => {
                    place.times.push(took);
                    *time = Some(took);
                }
                Err(error) => {
                    place.failed += 1;
                    *reasons
                        .entry(format!("viewer: {}", error.reason()))
                        .or_default() += 1;
                }
            }
        }
        if let [Some(first), Some(second)] = times {
            added.push(first.cast_signed() - second.cast_signed());
        }
    }
    added.sort_unstable();
    let median = added.get(added.len() / 2);
    Ok(Report {
        addresses: places.into_iter().map(Address::from).collect(),
        added_ms: median.map(|nanoseconds| *nanoseconds as f64 / MILLISECOND as f64),
        pairs: added.len(),
        reasons,
    })
}

fn places(args: &First) -> anyhow::Result<Vec<Place>> {
    ensure!(
        (1..=MAX_PLAYS).contains(&args.plays),
        "--plays must be 1 to {MAX_PLAYS}"
    );
    ensure!(!args.timeout.is_zero(), "--timeout must be more than 0");
    let urls = [Some(&args.url), args.beside.as_ref()];
    urls.into_iter().flatten().map(|url| place(url)).collect()
}

fn place(url: &str) -> anyhow::Result<Place> {
    let target = if url.starts_with("rtmp:") {
        Target::Rtmp(target::Rtmp::parse(url)?)
    } else {
        Target::Flv(target::Flv::parse(url)?)
    };
    Ok(Place {
        target,
        url: url.to_owned(),
        times: Vec::new(),
        failed: 0,
    })
}

impl Target {
    fn address(&self) -> SocketAddr {
        match self {
            Self::Rtmp(target) => target.address,
            Self::Flv(target) => target.address,
        }
    }

    /// Plays until the first frame; gives the nanoseconds since the dial.
    fn play(&self, timeout: Duration, buffer: &mut [u8]) -> Result<u64, SessionError> {
        let began = clock::now();
        let socket = TcpStream::connect_timeout(&self.address(), timeout);
        let mut socket = socket.map_err(|error| SessionError::Connect(error.kind()))?;
        let io = |error: io::Error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => SessionError::TimedOut("play"),
            kind => SessionError::Io(kind),
        };
        socket.set_nodelay(true).map_err(io)?;
        socket.set_read_timeout(Some(timeout)).map_err(io)?;
        let mut out = Vec::new();
        let mut session = Session::open(self, &mut out);
        loop {
            socket.write_all(&out).map_err(io)?;
            out.clear();
            let length = socket.read(buffer).map_err(io)?;
            let now = clock::now();
            if length == 0 {
                return Err(SessionError::Closed("play"));
            }
            if session.sees_media(buffer.get(..length).unwrap_or_default(), &mut out)? {
                return Ok(now - began);
            }
            // media without end, none of it a frame
            if now - began > timeout.as_nanos() as u64 {
                return Err(SessionError::TimedOut("play"));
            }
        }
    }
}

enum Session {
    Rtmp(Box<client::Client>),
    Flv(Box<http::Client>),
}

impl Session {
    /// A viewer's session whose first bytes are in `out`.
    fn open(target: &Target, out: &mut Vec<u8>) -> Self {
        match target {
            Target::Rtmp(target) => Self::Rtmp(Box::new(client::Client::open(
                Goal::Play,
                target.names(0, 1),
                out,
            ))),
            Target::Flv(target) => Self::Flv(Box::new(http::Client::open(
                &target.host,
                &target.request_target(0, 1),
                out,
            ))),
        }
    }

    /// Takes input; says whether a frame was in it.
    fn sees_media(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Result<bool, SessionError> {
        let frame = |message: &Message<'_>| message.is_media() && !message.is_configuration();
        match self {
            Self::Rtmp(client) => {
                while let Some(event) = client.next(&mut input, out).map_err(SessionError::Rtmp)? {
                    if matches!(&event, client::Event::Message(message) if frame(message)) {
                        return Ok(true);
                    }
                }
            }
            Self::Flv(client) => {
                while let Some(event) = client.next(&mut input).map_err(SessionError::Http)? {
                    if matches!(&event, http::Event::Message(message) if frame(message)) {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }
}

impl From<Place> for Address {
    fn from(mut place: Place) -> Self {
        place.times.sort_unstable();
        let last = place.times.len().saturating_sub(1);
        let at = |share: f64| {
            let time = place.times.get((share * last as f64).round() as usize);
            time.map(|nanoseconds| *nanoseconds as f64 / MILLISECOND as f64)
        };
        Self {
            first_media_ms: Spread {
                p50: at(0.5),
                p99: at(0.99),
                max: at(1.0),
            },
            url: place.url,
            played: place.times.len(),
            failed: place.failed,
        }
    }
}

impl Report {
    /// Plays that brought no frame.
    pub(crate) fn failed(&self) -> u64 {
        self.addresses.iter().map(|address| address.failed).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ms, p50, p99) = ("dial to first media, ms", "p50", "p99");
        writeln!(f, "{p50:>8}{p99:>8}{:>8}{:>8}  {ms}", "max", "played")?;
        let text =
            |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.2}"));
        for address in &self.addresses {
            let Spread { p50, p99, max } = &address.first_media_ms;
            for value in [p50, p99, max] {
                write!(f, "{:>8}", text(*value))?;
            }
            writeln!(f, "{:>8}  {}", address.played, address.url)?;
        }
        if self.addresses.len() > 1 {
            let (added, pairs) = (text(self.added_ms), self.pairs);
            writeln!(f, "{added:>8}  added, median of {pairs} pairs")?;
        }
        for (reason, count) in &self.reasons {
            writeln!(f, "{count:>8} × {reason}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::args::{Protocol, tests::parse};
    use crate::chunk::{self, Header};
    use crate::skim::type_id;

    fn first(line: &str) -> First {
        let words: Vec<_> = line.split_whitespace().collect();
        let Protocol::First(first) = parse(&words).unwrap().protocol else {
            panic!("not first")
        };
        first
    }

    /// Accepts `connections` one after the other and answers each with all of `script`, once something was said.
    fn serve(connections: usize, script: Vec<u8>) -> (SocketAddr, thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            for _ in 0..connections {
                let (mut socket, _) = listener.accept().unwrap();
                let _ = socket.read(&mut [0; 2048]);
                // the client may have seen enough before all is written
                let _ = socket.write_all(&script);
                let _ = socket.read_to_end(&mut Vec::new());
            }
        });
        (address, server)
    }

    fn rtmp_script() -> Vec<u8> {
        let mut script = client::tests::server(Goal::Play, "status", "NetStream.Play.Start");
        for payload in [&[0x17, 0, 0, 0, 0][..], &[0x17, 1, 0, 0, 0]] {
            let header = Header {
                chunk_stream: 6,
                type_id: type_id::VIDEO,
                message_stream: 7,
                timestamp: 0,
            };
            chunk::write(&mut script, header, payload);
        }
        script
    }

    fn flv_script(payload: &[u8]) -> Vec<u8> {
        let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
        let head = b"HTTP/1.1 200 OK\r\n\r\nFLV\x01\x05\0\0\0\x09\0\0\0\0";
        [&head[..], &[9], &length, &[0; 7], payload, &[0; 4]].concat()
    }

    #[test]
    fn two_addresses_are_played_in_turn() {
        let (proxy, first_server) = serve(4, rtmp_script());
        let (direct, second_server) = serve(4, flv_script(&[0x17, 1, 0, 0, 0, 1]));
        let line =
            format!("first rtmp://{proxy}/live/a --beside http://{direct}/live/a.flv --plays 4");
        let report = run(&first(&line)).unwrap();
        first_server.join().unwrap();
        second_server.join().unwrap();
        assert_eq!((report.pairs, report.failed()), (4, 0));
        assert!(report.addresses.iter().all(|place| place.played == 4));
        assert!(report.added_ms.is_some());
        let table = report.to_string();
        assert!(table.contains("added, median of 4 pairs"), "{table}");
        let document = serde_json::to_value(&report).unwrap();
        assert!(document["addresses"][1]["first_media_ms"]["p50"].is_f64());
    }

    #[test]
    fn plays_without_a_frame_are_failures() {
        let (address, server) = serve(1, flv_script(&[0x17, 0, 0, 0, 0]));
        let line = format!("first http://{address}/live/a.flv --plays 1 --timeout 50ms");
        let report = run(&first(&line)).unwrap();
        server.join().unwrap();
        assert_eq!(report.failed(), 1);
        assert_eq!(
            report.reasons.keys().collect::<Vec<_>>(),
            ["viewer: no answer in time when asked to play"]
        );
        assert_eq!((report.added_ms, report.pairs), (None, 0));
        assert!(report.addresses[0].first_media_ms.p50.is_none());
    }

    #[test]
    fn usage_without_sense_is_refused() {
        for line in [
            "first rtmp://127.0.0.1/live/a --plays 0",
            "first rtmp://127.0.0.1/live/a --timeout 0",
            "first ftp://127.0.0.1/live/a",
            "first rtmp://127.0.0.1/live/a --beside rtmp://127.0.0.1/live",
        ] {
            let error = run(&first(line)).unwrap_err();
            assert_eq!(crate::exit_code(&error), 2, "{line}: {error}");
        }
    }
}
