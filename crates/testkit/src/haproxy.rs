//! HAProxy before one server or several, as operators put it there.
//!
//! Owns: its folder, configuration and process. Does not: know what it balances.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

use tempfile::TempDir;

use crate::PATIENCE;
use crate::http;
use crate::process::Process;
use crate::tools::Tool;

/// Time between two looks at its port.
const POLL: Duration = Duration::from_millis(20);

/// How connections are passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Bytes, through its own buffers.
    Plain,
    /// Bytes, inside the kernel where that pays.
    Splice,
    /// Bytes after a PROXY protocol header of version 1, a line of text.
    ProxyV1,
    /// Bytes after a PROXY protocol header of version 2, binary.
    ProxyV2,
}

/// A running HAProxy.
#[derive(Debug)]
pub struct Haproxy {
    address: SocketAddr,
    process: Process,
    _folder: TempDir,
}

impl Haproxy {
    /// Starts one on a free port of loopback that deals connections out to `servers` in turn.
    pub fn start(mode: Mode, servers: &[SocketAddr]) -> Self {
        Self::run(mode, None, servers)
    }

    /// As [`Haproxy::start`], with the address it connects from, which tells it from other peers on the same machine.
    pub fn start_from(mode: Mode, source: IpAddr, servers: &[SocketAddr]) -> Self {
        Self::run(mode, Some(source), servers)
    }

    fn run(mode: Mode, source: Option<IpAddr>, servers: &[SocketAddr]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // it cannot be given port 0; two that were free a moment ago nearly always still are
        let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let [address, ready] = sockets.map(|socket| socket.local_addr().expect("it is bound"));
        let file = folder.path().join("haproxy.cfg");
        fs::write(&file, configuration(mode, address, ready, source, servers)).expect("a file");
        let mut command = Tool::Haproxy.command(["-db", "-f"]);
        let process = Process::spawn(command.arg(&file));
        let haproxy = Self {
            address,
            process,
            _folder: folder,
        };
        haproxy.ready(ready);
        haproxy
    }

    /// All its ports are open at once, so one that leads nowhere says when: the servers see no connection of ours.
    fn ready(&self, ready: SocketAddr) {
        for _ in 0..PATIENCE.as_millis() / POLL.as_millis() {
            if std::net::TcpStream::connect(ready).is_ok() {
                assert_eq!(http::request(ready, "GET", "/").head.status, 200);
                return;
            }
            assert!(!self.process.has_ended(), "{}", self.process.said());
            std::thread::sleep(POLL);
        }
        panic!("haproxy never listens: {}", self.process.said());
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// RTMP address of the stream `live/name`.
    pub fn rtmp(&self, name: &str) -> String {
        format!("rtmp://{}/live/{name}", self.address)
    }

    /// HTTP-FLV address of the stream `live/name`.
    pub fn flv(&self, name: &str) -> String {
        format!("http://{}/live/{name}.flv", self.address)
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

fn configuration(
    mode: Mode,
    address: SocketAddr,
    ready: SocketAddr,
    source: Option<IpAddr>,
    servers: &[SocketAddr],
) -> String {
    let source = source
        .map(|address| format!(" source {address}"))
        .unwrap_or_default();
    let (option, send) = match mode {
        Mode::Plain => ("", ""),
        Mode::Splice => ("  option splice-auto\n", ""),
        Mode::ProxyV1 => ("", " send-proxy"),
        Mode::ProxyV2 => ("", " send-proxy-v2"),
    };
    let mut text = format!(
        "global\n  maxconn 1000\n\
         defaults\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n\
         frontend ready\n  mode http\n  bind {ready}\n  http-request return status 200\n\
         frontend all\n  mode tcp\n{option}  bind {address}\n  default_backend servers\n\
         backend servers\n  mode tcp\n{option}"
    );
    for (number, server) in servers.iter().enumerate() {
        text.push_str(&format!("  server s{number} {server}{send}{source}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    /// What a server sees of a connection through HAProxy on which `hello` is said.
    fn seen(mode: Mode) -> (Vec<u8>, SocketAddr) {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let haproxy = Haproxy::start(mode, &[server.local_addr().unwrap()]);
        let mut client = TcpStream::connect(haproxy.address()).unwrap();
        client.write_all(b"hello").unwrap();
        let (mut socket, _) = server.accept().unwrap();
        let local = client.local_addr().unwrap();
        drop(client);
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).unwrap();
        (bytes, local)
    }

    #[test]
    fn bytes_pass_as_they_are() {
        for mode in [Mode::Plain, Mode::Splice] {
            assert_eq!(seen(mode).0, b"hello", "{mode:?}");
        }
    }

    #[test]
    fn it_connects_from_where_it_is_told() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let source = "127.0.0.3".parse().unwrap();
        let servers = [server.local_addr().unwrap()];
        let haproxy = Haproxy::start_from(Mode::Plain, source, &servers);
        let _client = TcpStream::connect(haproxy.address()).unwrap();
        assert_eq!(server.accept().unwrap().1.ip(), source);
    }

    #[test]
    fn headers_of_both_versions_say_who_it_is() {
        let (bytes, client) = seen(Mode::ProxyV1);
        let text = String::from_utf8(bytes).unwrap();
        let start = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} ", client.port());
        assert!(
            text.starts_with(&start) && text.ends_with("\r\nhello"),
            "{text}"
        );

        let (bytes, client) = seen(Mode::ProxyV2);
        assert!(
            bytes.starts_with(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"),
            "{bytes:?}"
        );
        assert_eq!(bytes[24..26], client.port().to_be_bytes());
        assert!(bytes.ends_with(b"hello"));
    }
}
