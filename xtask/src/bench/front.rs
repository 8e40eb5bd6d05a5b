//! What the proxy cases compare: proxies before one origin.
//!
//! Owns: how each of them, and the origin behind it, is started and when it is ready. Every start gets an origin of its
//! own, so that no run finds what another left. Does not: make load or measure.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::available_parallelism;

use anyhow::{Context, Result};

use crate::child::{self, Server};

/// Names the Go proxy's program, where there is one; it is no package and is never fetched.
const GO_VARIABLE: &str = "WEIR_BENCH_GO_PROXY";

/// Sessions HAProxy is set up for: the largest case with room. It reserves three descriptors or so for each.
const HAPROXY_SESSIONS: usize = 5000;

/// What stands between clients and the origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Front {
    /// Nothing: what the origin does by itself.
    Direct,
    /// HAProxy as a relay of TCP with splice(2), which knows nothing of streams: the least that a proxy can cost.
    Haproxy,
    /// The proxy of the SRS project, in Go.
    Go(PathBuf),
    /// Ours.
    Weir,
}

/// Programs and the folder that the servers share.
#[derive(Debug)]
pub(super) struct Bench {
    /// Our binary.
    pub(super) weir: PathBuf,
    /// For files; removed by who made it.
    pub(super) folder: PathBuf,
}

/// An origin, and what stands before it.
#[derive(Debug)]
pub(super) struct Running {
    /// Where clients go.
    pub(super) rtmp: SocketAddr,
    /// The origin's own address.
    pub(super) direct: SocketAddr,
    /// The process that is measured: the front, or the origin where there is none.
    pub(super) pid: u32,
    // dropped in this order: the front does not see its origin die
    _front: Option<Server>,
    _origin: Server,
}

impl Front {
    /// All that can be had, the floor first: it is what the others are compared with.
    pub(super) fn all() -> Vec<Self> {
        let go = std::env::var_os(GO_VARIABLE).map(|path| Self::Go(path.into()));
        let mut all = vec![Self::Haproxy, Self::Weir, Self::Direct];
        all.extend(go);
        all
    }

    /// What it is called in the table.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Direct => "none",
            Self::Haproxy => "HAProxy, TCP with splice",
            Self::Go(_) => "SRS proxy in Go",
            Self::Weir => "weir proxy",
        }
    }
}

impl Bench {
    /// Starts an origin and `front` before it, and waits until both serve.
    pub(super) fn start(&self, front: &Front) -> Result<Running> {
        let [direct, http] = child::free_addresses()?;
        let origin = self.origin(direct, http)?;
        let [rtmp, system] = child::free_addresses()?;
        let server = match front {
            Front::Direct => {
                return Ok(Running {
                    rtmp: direct,
                    direct,
                    pid: origin.pid(),
                    _front: None,
                    _origin: origin,
                });
            }
            Front::Haproxy => self.haproxy(rtmp, direct)?,
            Front::Go(program) => self.go(program, rtmp, system, direct)?,
            Front::Weir => self.proxy(rtmp, system, direct)?,
        };
        Ok(Running {
            rtmp,
            direct,
            pid: server.pid(),
            _front: Some(server),
            _origin: origin,
        })
    }

    fn origin(&self, rtmp: SocketAddr, http: SocketAddr) -> Result<Server> {
        let mut command = self.weir_command("origin");
        command
            .args(["--api-listen", "off", "--rtmp-listen", &rtmp.to_string()])
            .args(["--http-listen", &http.to_string()]);
        let mut server = Server::start(&mut command, "cannot start weir")?;
        server.listens(rtmp).context("weir origin")?;
        Ok(server)
    }

    fn proxy(&self, rtmp: SocketAddr, system: SocketAddr, origin: SocketAddr) -> Result<Server> {
        let mut command = self.weir_command("proxy");
        command
            .args(["--proxy-rtmp-listen", &rtmp.to_string()])
            .args(["--proxy-system-listen", &system.to_string()])
            .args(["--proxy-http-listen", "off", "--proxy-api-listen", "off"])
            .args(["--cluster-origins", &format!("rtmp://{origin}")]);
        let mut server = Server::start(&mut command, "cannot start weir")?;
        server.listens(rtmp).context("weir proxy")?;
        child::await_ok(system, "/readyz")?;
        Ok(server)
    }

    /// A command of ours that logs nothing but trouble, and finds no file of settings.
    pub(super) fn weir_command(&self, role: &str) -> Command {
        let mut command = Command::new(&self.weir);
        command
            .args([role, "--log-level", "error"])
            .current_dir(&self.folder)
            .stdout(Stdio::null());
        child::without_settings(&mut command);
        command
    }

    fn haproxy(&self, listen: SocketAddr, origin: SocketAddr) -> Result<Server> {
        let file = self.folder.join("haproxy.cfg");
        let threads = available_parallelism().map_or(1, usize::from);
        fs::write(&file, haproxy_configuration(listen, origin, threads))
            .context("cannot write haproxy.cfg")?;
        let mut command = Command::new(haproxy_program());
        command.arg("-db").arg("-q").arg("-f").arg(&file);
        let mut server = Server::start(&mut command, "haproxy is missing: cargo xtask install")?;
        server.listens(listen).context("haproxy")?;
        Ok(server)
    }

    /// The Go proxy logs each session, which is part of what it costs its users; it goes nowhere.
    fn go(
        &self,
        program: &Path,
        rtmp: SocketAddr,
        system: SocketAddr,
        origin: SocketAddr,
    ) -> Result<Server> {
        let [http, api, srt, rtc, none] = child::free_addresses()?;
        let mut command = Command::new(program);
        child::without_settings(&mut command);
        for (name, address) in [
            ("PROXY_RTMP_SERVER", rtmp),
            ("PROXY_HTTP_SERVER", http),
            ("PROXY_HTTP_API", api),
            ("PROXY_SRT_SERVER", srt),
            ("PROXY_WEBRTC_SERVER", rtc),
            ("PROXY_SYSTEM_API", system),
            ("PROXY_DEFAULT_BACKEND_RTMP", origin),
            ("PROXY_DEFAULT_BACKEND_HTTP", none),
        ] {
            command.env(name, address.port().to_string());
        }
        command
            .env("PROXY_DEFAULT_BACKEND_ENABLED", "on")
            .env("PROXY_DEFAULT_BACKEND_IP", origin.ip().to_string())
            .env("PROXY_STATIC_FILES", &self.folder)
            .env("PROXY_LOAD_BALANCER_TYPE", "memory")
            .current_dir(&self.folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut server = Server::start(&mut command, "cannot start the Go proxy")?;
        server.listens(rtmp).context("the Go proxy")?;
        Ok(server)
    }
}

/// As many threads as the machine has CPUs, which is what `server.workers` is by default.
fn haproxy_configuration(listen: SocketAddr, origin: SocketAddr, threads: usize) -> String {
    format!(
        "global\n  nbthread {threads}\n  maxconn {HAPROXY_SESSIONS}\n\
         defaults\n  mode tcp\n  option splice-auto\n  timeout connect 5s\n  timeout client 1h\n  \
         timeout server 1h\n\
         frontend all\n  bind {listen}\n  default_backend origin\n\
         backend origin\n  server one {origin}\n"
    )
}

/// Debian installs it where only root's path leads.
fn haproxy_program() -> &'static str {
    let place = "/usr/sbin/haproxy";
    if Path::new(place).is_file() {
        place
    } else {
        "haproxy"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn haproxy_is_told_to_relay_and_no_more() {
        let listen = "127.0.0.1:1".parse().unwrap();
        let text = haproxy_configuration(listen, "127.0.0.1:2".parse().unwrap(), 2);
        for line in [
            "  nbthread 2",
            "  mode tcp",
            "  option splice-auto",
            "  bind 127.0.0.1:1",
            "  server one 127.0.0.1:2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(text.lines().all(|line| !line.ends_with(' ')));
    }

    #[test]
    fn the_floor_comes_first() {
        let all = Front::all();
        assert_eq!(all[..3], [Front::Haproxy, Front::Weir, Front::Direct]);
    }
}
