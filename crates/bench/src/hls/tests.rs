//! `bench hls` against a scripted low-latency origin.
//!
//! Owns: the origin, which makes parts of stamped frames and answers blocking reloads, delta updates, hints and
//! whole segments; and what viewers must measure of it, with planted faults. Does not: test a real server.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use super::*;
use crate::clock::MILLISECOND;
use crate::plan::Plan;
use crate::{args, clock, coordinator, stamp};

const FRAMES: usize = 2;
const PARTS: usize = 4;
/// Segments in the playlist beside the one under way: more than pass in a target duration.
const LISTED: usize = 30;

/// What is wrong with an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Hints of a segment's last part are refused; once listed, it is there.
    HintRefused,
    /// The last part of each segment is listed, but not there.
    PartMissing,
    /// Parts are kept back for so many milliseconds.
    Late(u64),
    /// From the second segment on, nothing comes any more.
    Silence,
    /// No blocking reloads, no parts.
    Classic,
}

struct Origin {
    fault: Fault,
    /// All complete parts, in order; frames are in them as in fMP4, without their framing.
    parts: Mutex<(Vec<Vec<u8>>, bool)>,
    changed: Condvar,
}

impl Origin {
    /// Makes a frame every 10 ms until told to stop.
    fn produce(&self) {
        let mut part = Vec::new();
        for number in 0.. {
            let mut frame = vec![0x33; 100];
            stamp::write(&mut frame, clock::now());
            let mut state = self.parts.lock().unwrap();
            if state.1 {
                break;
            }
            let silent = self.fault == Fault::Silence && state.0.len() > PARTS;
            if number > 0 && number % FRAMES == 0 && !silent {
                state.0.push(std::mem::take(&mut part));
                self.changed.notify_all();
            }
            drop(state);
            part.extend(frame);
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn stop(&self) {
        self.parts.lock().unwrap().1 = true;
        self.changed.notify_all();
    }

    /// Waits until there are so many parts; says how many there are.
    fn await_parts(&self, count: usize) -> Option<usize> {
        let state = self.parts.lock().unwrap();
        let state = self
            .changed
            .wait_while(state, |(parts, stop)| parts.len() < count && !*stop)
            .unwrap();
        (!state.1).then_some(state.0.len())
    }

    fn answer(&self, path: &str) -> Option<(u16, Vec<u8>)> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let of_query = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let found = pairs.rfind(|(key, _)| *key == name);
            found.and_then(|(_, value)| value.parse::<usize>().ok())
        };
        match path.strip_prefix("/live/x")? {
            ".m3u8" => Some((
                200,
                b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nx-av.m3u8?t=1\n".to_vec(),
            )),
            "-av.m3u8" => {
                let wanted = match (of_query("_HLS_msn"), of_query("_HLS_part")) {
                    (Some(segment), Some(part)) => segment * PARTS + part + 1,
                    _ => PARTS + 1,
                };
                let count = self.await_parts(wanted)?;
                let text = self.playlist(count, query.contains("_HLS_skip=YES"));
                Some((200, text.into_bytes()))
            }
            "-av-0.mp4" => Some((200, b"init".to_vec())),
            name => self.media(name.strip_prefix("-av-")?.strip_suffix(".m4s")?),
        }
    }

    fn media(&self, name: &str) -> Option<(u16, Vec<u8>)> {
        let Some((segment, part)) = name.split_once('.') else {
            let first = name.parse::<usize>().unwrap() * PARTS;
            self.await_parts(first + PARTS)?;
            let state = self.parts.lock().unwrap();
            return Some((200, state.0[first..first + PARTS].concat()));
        };
        let (segment, part): (usize, usize) = (segment.parse().unwrap(), part.parse().unwrap());
        let number = segment * PARTS + part;
        let is_there = self.parts.lock().unwrap().0.len() > number;
        match self.fault {
            Fault::PartMissing if part == PARTS - 1 => return Some((404, Vec::new())),
            Fault::HintRefused if part == PARTS - 1 && !is_there => return Some((404, Vec::new())),
            _ => {}
        }
        self.await_parts(number + 1)?;
        if let Fault::Late(milliseconds) = self.fault {
            thread::sleep(Duration::from_millis(milliseconds));
        }
        Some((200, self.parts.lock().unwrap().0[number].clone()))
    }

    fn playlist(&self, count: usize, skip: bool) -> String {
        let newest = count / PARTS;
        let first = newest.saturating_sub(LISTED);
        let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
        let classic = self.fault == Fault::Classic;
        if !classic {
            text += "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=6,PART-HOLD-BACK=0.06\n\
                     #EXT-X-PART-INF:PART-TARGET=0.02\n";
        }
        text += "#EXT-X-MAP:URI=\"x-av-0.mp4\"\n";
        let skipped = if skip && !classic { newest - first } else { 0 };
        if skipped > 0 {
            writeln!(text, "#EXT-X-SKIP:SKIPPED-SEGMENTS={}", skipped - 1).unwrap();
        }
        for segment in first + skipped.saturating_sub(1)..=newest {
            for part in 0..PARTS {
                if segment * PARTS + part < count && segment + 2 > newest && !classic {
                    let (name, mark) = (format!("x-av-{segment}.{part}.m4s"), "INDEPENDENT=YES");
                    writeln!(text, "#EXT-X-PART:DURATION=0.02,URI=\"{name}\",{mark}").unwrap();
                }
            }
            if segment < newest {
                writeln!(text, "#EXTINF:0.08,\nx-av-{segment}.m4s").unwrap();
            }
        }
        if !classic {
            let (segment, part) = (newest, count % PARTS);
            let name = format!("x-av-{segment}.{part}.m4s");
            writeln!(text, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{name}\"").unwrap();
        }
        text
    }

    fn serve(&self, mut socket: TcpStream) {
        let mut buffer = vec![0; 4096];
        // the bench asks one thing at a time, in one write
        while let Ok(length @ 1..) = socket.read(&mut buffer) {
            let head = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let path = head.split(' ').nth(1).unwrap();
            let Some((status, body)) = self.answer(path) else {
                return;
            };
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            if socket
                .write_all(&[head.as_bytes(), &body].concat())
                .is_err()
            {
                return;
            }
        }
    }
}

/// Runs viewers against an origin with a fault.
fn run(fault: Fault, viewers: usize, seconds: f64, flags: &str) -> Report {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let origin = Arc::new(Origin {
        fault,
        parts: Mutex::default(),
        changed: Condvar::new(),
    });
    let shared = Arc::clone(&origin);
    // it takes connections until the test process ends
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let origin = Arc::clone(&shared);
            thread::spawn(move || origin.serve(socket));
        }
    });
    let line = format!(
        "hls http://{address}/live/x.m3u8 -p 0 -n {viewers} --seconds {seconds} --warmup 100ms {flags}"
    );
    let words: Vec<_> = line.split_whitespace().collect();
    let plan = Plan::new(args::tests::parse(&words).unwrap()).unwrap();
    let outcome = thread::scope(|scope| {
        scope.spawn(|| origin.produce());
        let outcome = coordinator::run(&plan);
        origin.stop();
        outcome
    });
    Report::new(&plan, outcome.unwrap())
}

#[test]
fn hinted_parts_are_delivered_and_measured() {
    let report = run(Fault::None, 6, 0.6, "--threads 2");
    assert_eq!((report.viewers.running, report.viewers.failed), (6, 0));
    assert_eq!((report.parts_missed, report.hints_refused), (0, 0));
    assert!(report.parts > 0 && report.playlists > 0);
    assert!(report.part_delivery_ms.count > 0 && report.playlist_delay_ms.count > 0);
    assert!(report.part_delivery_ms.p50 > Some(0.0));
    assert_eq!(report.first_media_ms.count, 6);
    assert_eq!(report.statuses.keys().collect::<Vec<_>>(), [&200]);
    assert_eq!(report.requests, report.statuses[&200]);
    assert!(report.bytes_in > report.parts * FRAMES as u64 * 100);
    let table = report.to_string();
    for part in ["hints", "6 of 6 running", "part delivery", "0 missed"] {
        assert!(table.contains(part), "{part} in {table}");
    }
    let document = serde_json::to_value(&report).unwrap();
    assert!(document["part_delivery_ms"]["p99"].is_f64());
}

#[test]
fn parts_are_asked_for_once_listed_without_hints() {
    let report = run(Fault::HintRefused, 3, 0.6, "--no-hints");
    assert_eq!((report.mode, report.viewers.running), ("no-hints", 3));
    assert_eq!((report.parts_missed, report.hints_refused), (0, 0));
    assert!(report.part_delivery_ms.count > 0);
    assert_eq!(report.statuses.keys().collect::<Vec<_>>(), [&200]);
}

#[test]
fn segments_are_got_in_plain_mode() {
    let report = run(Fault::Classic, 3, 1.5, "--plain");
    assert_eq!((report.mode, report.viewers.running), ("plain", 3));
    assert!(report.parts > 0 && report.parts_missed == 0);
    assert!(report.part_delivery_ms.count > 0);
}

#[test]
fn late_parts_are_seen_to_be_late() {
    let report = run(Fault::Late(30), 2, 0.6, "");
    let least = Duration::from_nanos(30 * MILLISECOND).as_secs_f64() * 1000.0;
    // to 0.8 %, as histograms are
    assert!(report.part_delivery_ms.p50.unwrap() > least * 0.99);
    assert!(report.part_delivery_ms.count > 0);
}

#[test]
fn refused_hints_are_asked_for_again_and_missing_parts_counted() {
    let report = run(Fault::HintRefused, 2, 0.6, "");
    assert!(report.hints_refused > 0);
    assert_eq!((report.parts_missed, report.viewers.failed), (0, 0));
    assert!(report.statuses[&404] > 0);
    let report = run(Fault::PartMissing, 2, 0.6, "");
    assert!(report.parts_missed > 0 && report.parts > 0);
}

#[test]
fn silence_halts_playback() {
    let report = run(Fault::Silence, 2, 0.3, "");
    assert_eq!((report.stalled_viewers, report.bad_sessions()), (2, 2));
    assert_eq!(report.stall_ms.count, 2);
}

#[test]
fn viewers_of_what_is_not_there_fail_in_time() {
    let report = run(Fault::Classic, 2, 0.6, "");
    assert_eq!((report.viewers.running, report.viewers.failed), (0, 2));
    assert_eq!(
        report.reasons.keys().collect::<Vec<_>>(),
        ["viewer: server offers no low-latency HLS; --plain plays it"]
    );
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let line = format!("hls http://{address}/live/x.m3u8 -p 0 -n 2");
    let words: Vec<_> = line.split_whitespace().collect();
    let plan = Plan::new(args::tests::parse(&words).unwrap()).unwrap();
    let report = Report::new(&plan, coordinator::run(&plan).unwrap());
    assert_eq!((report.seconds, report.viewers.failed), (0.0, 2));
    assert!(
        report
            .reasons
            .contains_key("viewer: connect: connection refused")
    );
}
