//! Servers that this tool starts for a while.
//!
//! Owns: a child that ends with its guard, free addresses, waiting until a server answers, and the one Redis that benches
//! and the cluster start. Does not: read what the servers say.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Time between two looks at a server that is not ready.
const STEP: Duration = Duration::from_millis(20);

/// Looks before giving up: 20 s, which a machine under load needs to start a dozen processes.
const STEPS: u32 = 1000;

/// Longest wait for the answer of a server on this machine.
const ANSWER: Duration = Duration::from_secs(2);

/// A child that is ended, however its owner ends.
#[derive(Debug)]
pub(crate) struct Server(pub(crate) Child);

impl Server {
    /// Starts `command`, without input. Fails with `missing` added when it cannot be started.
    pub(crate) fn start(command: &mut Command, missing: &str) -> Result<Self> {
        let child = command.stdin(Stdio::null()).spawn();
        child.map(Self).with_context(|| missing.to_owned())
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Waits until it listens on `address`. Fails when it ends before, so that nobody else is taken for it.
    pub(crate) fn listens(&mut self, address: SocketAddr) -> Result<()> {
        let mut ended = None;
        until(&format!("a listener on {address}"), || {
            ended = self.0.try_wait().ok().flatten();
            ended.is_some() || TcpStream::connect(address).is_ok()
        })?;
        match ended {
            Some(status) => bail!("it ended with {status} before it listened on {address}"),
            None => Ok(()),
        }
    }

    /// Sends the signal of this name, such as `TERM`; a process that has ended gets none.
    pub(crate) fn signal(&mut self, name: &str) {
        if matches!(self.0.try_wait(), Ok(None)) {
            // it may end in this moment, which is what the signals are for
            let _ = Command::new("kill")
                .args([&format!("-{name}"), &self.pid().to_string()])
                .stderr(Stdio::null())
                .status();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // it may have ended by itself; then there is nothing to end
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Removes what our programs would read from the environment of whoever runs this tool.
pub(crate) fn without_settings(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let ours = ["WEIR_", "PROXY_", "LISTEN_", "GO_PPROF"];
        if text == "NOTIFY_SOCKET" || ours.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command
}

/// Addresses of this host that were free a moment ago, all different; nearly always they still are.
pub(crate) fn free_addresses<const N: usize>() -> Result<[SocketAddr; N]> {
    let mut addresses = [SocketAddr::from(([127, 0, 0, 1], 0)); N];
    let mut kept = Vec::new();
    for address in &mut addresses {
        let socket = TcpListener::bind(*address).context("no free port")?;
        *address = socket.local_addr().context("no free port")?;
        kept.push(socket);
    }
    Ok(addresses)
}

/// Asks until `ready` says yes. Fails after 20 s, naming `what`.
pub(crate) fn until(what: &str, mut ready: impl FnMut() -> bool) -> Result<()> {
    for _ in 0..STEPS {
        if ready() {
            return Ok(());
        }
        std::thread::sleep(STEP);
    }
    bail!("{what}: not so after {:?}", STEP * STEPS)
}

/// Waits until a GET of `path` is answered with 200.
pub(crate) fn await_ok(address: SocketAddr, path: &str) -> Result<()> {
    until(&format!("200 for http://{address}{path}"), || {
        get(address, path).is_ok_and(|(status, _)| status == 200)
    })
}

/// Status and body of a GET, on a connection of its own.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let mut socket = TcpStream::connect_timeout(&address, ANSWER)?;
    socket.set_read_timeout(Some(ANSWER))?;
    write!(
        socket,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer)?;
    parse(&String::from_utf8_lossy(&answer)).context("no HTTP answer")
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// The command of a Redis that keeps nothing, on `port` of this host.
pub(crate) fn redis_command(folder: &Path, port: u16) -> Command {
    let mut command = Command::new("redis-server");
    command
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(folder);
    command
}

/// What to do about a Redis that does not start.
pub(crate) const NO_REDIS: &str = "redis-server is missing: cargo xtask install";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_apart() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno";
        assert_eq!(parse(answer), Some((503, "no".to_owned())));
        assert_eq!(parse("HTTP/1.1 200 OK\r\n"), None);
        assert_eq!(parse("hello\r\n\r\n"), None);
    }

    #[test]
    fn free_addresses_differ_and_a_listener_is_found() {
        let [one, two] = free_addresses().unwrap();
        assert_ne!(one, two);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut command = Command::new("sleep");
        let mut server = Server::start(command.arg("60"), "no sleep").unwrap();
        server.listens(listener.local_addr().unwrap()).unwrap();
        // another's port is none of a process that has ended
        server.0.kill().unwrap();
        server.0.wait().unwrap();
        assert!(server.listens(listener.local_addr().unwrap()).is_err());
    }

    #[test]
    fn a_server_is_told_and_ended() {
        let mut server =
            Server::start(Command::new("sh").args(["-c", "exec sleep 60"]), "no sh").unwrap();
        server.signal("TERM");
        assert!(!server.0.wait().unwrap().success());
        assert!(Server::start(&mut Command::new("no-such-program"), "is missing").is_err());
    }
}
