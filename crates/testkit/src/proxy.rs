//! A running `weir proxy`.
//!
//! Owns: its start on free ports, its addresses, and what is asked of its APIs. Does not: know where the binary is (the
//! test says), or start origins.

use std::net::SocketAddr;
use std::ops::Deref;
use std::process::Command;

use serde_json::Value;

use crate::PATIENCE;
use crate::http::{self, Answer};
use crate::process::Process;
use crate::weir::{self, Weir};

/// The listeners that a proxy has unless it is told otherwise.
const LISTENERS: [&str; 4] = ["rtmp", "http", "api", "system"];

/// Time between two questions to the API.
const POLL: std::time::Duration = std::time::Duration::from_millis(20);

/// A running proxy; also a [`Weir`], for its process and its log.
#[derive(Debug)]
pub struct Proxy {
    weir: Weir,
    token: Option<String>,
}

/// The command of a proxy on free ports of loopback that logs all for machines; `args` come last.
pub fn proxy(binary: &str, args: &[&str]) -> Command {
    let mut command = command(binary, &["proxy", "--log-format", "json"]);
    if !args.contains(&"--log-level") {
        command.args(["--log-level", "debug"]);
    }
    for name in LISTENERS {
        let flag = format!("--proxy-{name}-listen");
        if !args.contains(&flag.as_str()) {
            command.args([&flag, "127.0.0.1:0"]);
        }
    }
    command.args(args);
    command
}

/// A command of the binary without the settings of whoever runs the tests, those of the SRS proxy included.
pub fn command(binary: &str, args: &[&str]) -> Command {
    let mut command = weir::command(binary, args);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("PROXY_") || name == "GO_PPROF" {
            command.env_remove(name.as_ref());
        }
    }
    command
}

impl Proxy {
    /// Starts `binary` as a proxy with `args` besides free ports, and waits until it listens everywhere.
    pub fn start(binary: &str, args: &[&str]) -> Self {
        Self::adopt(
            Process::spawn(&mut proxy(binary, args)),
            LISTENERS.len() + extra(args),
        )
    }

    /// Waits until a proxy that was started otherwise listens on `count` addresses.
    pub fn adopt(process: Process, count: usize) -> Self {
        Self {
            weir: Weir::adopt(process, count),
            token: None,
        }
    }

    /// The same, asked with this token from now on.
    pub fn with_token(mut self, token: Option<&str>) -> Self {
        self.token = token.map(str::to_owned);
        self
    }

    /// The address that the listener of this name, such as `rtmp` or `system`, listens on.
    pub fn listener(&self, name: &str) -> SocketAddr {
        self.weir.address_of(&format!("proxy.{name}_listen"))
    }

    /// RTMP address of the stream `live/name`.
    pub fn rtmp(&self, name: &str) -> String {
        format!("rtmp://{}/live/{name}", self.listener("rtmp"))
    }

    /// HTTP-FLV address of the stream `live/name`.
    pub fn flv(&self, name: &str) -> String {
        format!("http://{}/live/{name}.flv", self.listener("http"))
    }

    /// An answer of the system API.
    pub fn system(&self, method: &str, path: &str) -> Answer {
        let bearer = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer
            .iter()
            .map(|one| ("authorization", one.as_str()))
            .collect();
        http::Client::connect(self.listener("system")).request(method, path, &headers)
    }

    /// Waits until so many sessions, `play` or `publish` by `role`, run through this proxy, HTTP players that wait for
    /// their stream included. For origins that cannot be asked, and for clients that come first.
    pub fn sessions(&self, role: &str, count: usize) {
        self.shows("/api/v1/sessions?count=100", |answer| {
            let sessions = answer["sessions"].as_array();
            let all = sessions.into_iter().flatten();
            let waits = |one: &Value| one["protocol"] == "http" || one["protocol"] == "https";
            let runs = |one: &Value| one["origin"].is_string() && one["path"] != "";
            let counts = |one: &&Value| one["role"] == role && (waits(one) || runs(one));
            all.filter(counts).count() == count
        });
    }

    /// Asks the system API until the answer is as wanted. Panics when it never is.
    pub fn shows(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..PATIENCE.as_millis() / POLL.as_millis() {
            let answer = self.system("GET", path).json();
            if wanted(&answer) {
                return answer;
            }
            // the API tells no events
            std::thread::sleep(POLL);
        }
        let last = self.system("GET", path).text();
        panic!("{path} never was as wanted: {last}");
    }
}

impl Deref for Proxy {
    type Target = Weir;

    fn deref(&self) -> &Weir {
        &self.weir
    }
}

/// Listeners that `args` add to those that every proxy has.
fn extra(args: &[&str]) -> usize {
    let adds = |arg: &&&str| {
        let name = arg.strip_prefix("--proxy-");
        let name = name.and_then(|name| name.strip_suffix("-listen"));
        name.is_some_and(|name| matches!(name, "rtmps" | "https" | "debug"))
    };
    args.iter().filter(adds).count()
}
