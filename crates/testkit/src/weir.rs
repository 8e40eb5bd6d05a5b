//! A running `weir origin`.
//!
//! Owns: its start on free ports, its addresses, its log as events. Does not: know where the binary is; the test says.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::PATIENCE;
use crate::http::{self, Answer};
use crate::process::Process;

/// Time between two questions to the API.
const POLL: Duration = Duration::from_millis(20);

/// The listeners that an origin has unless it is told otherwise.
const LISTENERS: [&str; 3] = ["rtmp", "http", "api"];

/// A running server.
#[derive(Debug)]
pub struct Weir {
    process: Process,
    addresses: Vec<(String, SocketAddr)>,
}

/// A command of the binary without the settings of whoever runs the tests.
pub fn command(binary: &str, args: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("WEIR_") || name.starts_with("LISTEN_") || name == "NOTIFY_SOCKET" {
            command.env_remove(name.as_ref());
        }
    }
    command
}

/// The command of an origin on free ports that logs all for machines; `args` come last.
pub fn origin(binary: &str, args: &[&str]) -> Command {
    let mut command = command(binary, &["origin", "--log-format", "json"]);
    if !args.contains(&"--log-level") {
        command.args(["--log-level", "debug"]);
    }
    for name in LISTENERS {
        let flag = format!("--{name}-listen");
        if !args.contains(&flag.as_str()) {
            command.args([&flag, "127.0.0.1:0"]);
        }
    }
    command.args(args);
    command
}

impl Weir {
    /// Starts `binary` as an origin with `args` besides free ports, and waits until it listens everywhere.
    pub fn start(binary: &str, args: &[&str]) -> Self {
        Self::adopt(Process::spawn(&mut origin(binary, args)), LISTENERS.len())
    }

    /// Waits until an origin that was started otherwise listens on `count` addresses.
    pub fn adopt(process: Process, count: usize) -> Self {
        let mut addresses = Vec::new();
        let mut next = 0;
        while addresses.len() < count {
            let (after, line) = process.line_after(next, "listening", |line| {
                event(line).is_some_and(|event| event["message"] == "listening")
            });
            next = after;
            let event = event(&line).expect("it was parsed before");
            let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            let address = text("address").parse().expect("an address");
            addresses.push((text("key"), address));
        }
        Self { process, addresses }
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The address that the key, such as `rtmp`, listens on.
    pub fn address(&self, key: &str) -> SocketAddr {
        self.address_of(&format!("{key}.listen"))
    }

    /// The address that the key with this full name, such as `rtmp.listen`, listens on.
    pub fn address_of(&self, full: &str) -> SocketAddr {
        let found = self.addresses.iter().find(|(name, _)| *name == full);
        found.unwrap_or_else(|| panic!("no {full}")).1
    }

    /// RTMP address of the stream `live/name`.
    pub fn rtmp(&self, name: &str) -> String {
        format!("rtmp://{}/live/{name}", self.address("rtmp"))
    }

    /// HTTP-FLV address of the stream `live/name`.
    pub fn flv(&self, name: &str) -> String {
        format!("http://{}/live/{name}.flv", self.address("http"))
    }

    /// Address on the HTTP port of a file of an application `live`, such as `s.m3u8`.
    pub fn file(&self, name: &str) -> String {
        format!("http://{}/live/{name}", self.address("http"))
    }

    /// Waits for a line of the log with this message, and `text` anywhere in it.
    pub fn logged(&self, message: &str, text: &str) -> Value {
        self.logged_after(0, message, text).1
    }

    /// As [`Weir::logged`], from a line on; gives also the line to go on from.
    pub fn logged_after(&self, after: usize, message: &str, text: &str) -> (usize, Value) {
        let what = format!("{message} … {text}");
        let (next, line) = self.process.line_after(after, &what, |line| {
            line.contains(text) && event(line).is_some_and(|event| event["message"] == message)
        });
        (next, event(&line).expect("it was parsed before"))
    }

    /// Waits until a stream has a publisher.
    pub fn publishing(&self, name: &str) {
        self.logged("publishing", &format!("/live/{name}\""));
    }

    /// An answer of the API.
    pub fn api(&self, method: &str, path: &str) -> Answer {
        http::request(self.address("api"), method, path)
    }

    /// Waits until `sessions` sessions were opened, of which `players` play RTMP.
    pub fn players(&self, sessions: usize, players: usize) {
        for (message, count) in [("session opened", sessions), ("playing", players)] {
            (0..count).fold(0, |after, _| self.logged_after(after, message, "").0);
        }
    }

    /// Asks the API until the answer is as wanted. Panics when it never is.
    pub fn api_shows(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..PATIENCE.as_millis() / POLL.as_millis() {
            let answer = self.api("GET", path).json();
            if wanted(&answer) {
                return answer;
            }
            // the API tells no events
            std::thread::sleep(POLL);
        }
        panic!(
            "{path} never was as wanted: {}",
            self.api("GET", path).text()
        );
    }

    /// Memory that the process holds, in bytes (`VmRSS` of proc(5)).
    pub fn memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process.pid());
        let status = fs::read_to_string(path).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.expect("proc says so") * 1024
    }

    /// Asks for the end and expects it to be in order.
    pub fn stop(&self) {
        self.process.signal("TERM");
        self.process.succeed();
    }

    /// Fails when it panicked or ended.
    pub fn assert_well(&self) {
        assert!(
            !self.process.has_ended(),
            "it ended: {}",
            self.process.said()
        );
        let said = self.process.said();
        assert!(!said.contains("panicked at"), "it panicked:\n{said}");
    }
}

/// A line of the log, where it is one.
fn event(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok()
}
