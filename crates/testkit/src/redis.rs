//! Redis as tests need it: one server, a Redis Cluster, a server that a sentinel watches.
//!
//! Owns: their folders, configurations, ports and processes. Does not: know what is kept there.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;

use crate::PATIENCE;
use crate::process::Process;
use crate::tools::Tool;

/// Time between two questions.
const POLL: Duration = Duration::from_millis(20);
/// Servers of a [`Cluster`]: as few as Redis makes one of.
const MASTERS: usize = 3;
/// Highest port of a member of a cluster, whose second port is 10,000 above.
const HIGHEST_MEMBER: u16 = 55_535;

/// What a server is started with.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Password that clients must give.
    pub password: Option<String>,
    /// Files of a certificate with which it speaks TLS, and nothing else.
    pub tls: Option<Tls>,
    /// Lines of its configuration, such as `maxmemory 1mb`.
    pub lines: Vec<String>,
}

/// PEM files of a server.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Its certificate.
    pub certificate: PathBuf,
    /// The key of that.
    pub key: PathBuf,
    /// The authority that signed it.
    pub authority: PathBuf,
}

/// A server on a port of its own. It keeps nothing on disk but what [`Server::save`] writes.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    settings: Settings,
    sentinel: bool,
    process: Process,
    folder: TempDir,
}

impl Server {
    /// Starts one and waits until it serves.
    pub fn start() -> Self {
        Self::start_with(Settings::default())
    }

    /// Starts one with these settings and waits until it serves.
    pub fn start_with(settings: Settings) -> Self {
        Self::start_on(free_port(u16::MAX), settings, false)
    }

    fn start_on(port: u16, settings: Settings, sentinel: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        fs::write(
            folder.path().join("redis.conf"),
            configuration(port, &settings, folder.path()),
        )
        .expect("a configuration file");
        let process = run(folder.path(), sentinel);
        let server = Self {
            address,
            settings,
            sentinel,
            process,
            folder,
        };
        server.ready();
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, with its password.
    pub fn url(&self) -> String {
        let scheme = match self.settings.tls {
            Some(_) => "rediss",
            None => "redis",
        };
        let login = match &self.settings.password {
            Some(password) => format!(":{password}@"),
            None => String::new(),
        };
        format!("{scheme}://{login}{}", self.address)
    }

    /// Ends it at once, as a crash does. What it held in memory is lost.
    pub fn kill(&self) {
        self.process.signal("KILL");
        self.process.wait();
    }

    /// Writes all to disk, for a restart to find.
    pub fn save(&self) {
        assert_eq!(self.cli(&["save"]), "OK");
    }

    /// Ends it, if it runs, and starts it again on the same port, with what [`Server::save`] wrote last.
    pub fn restart(&mut self) {
        self.kill();
        self.process = run(self.folder.path(), self.sentinel);
        self.ready();
    }

    /// Ends it, if it runs, and starts it again on the same port, with nothing.
    pub fn restart_empty(&mut self) {
        self.kill();
        let _ = fs::remove_file(self.folder.path().join("dump.rdb"));
        self.restart();
    }

    /// Stops it as it is: connections stay open and nothing answers.
    pub fn pause(&self) {
        self.process.signal("STOP");
    }

    /// Goes on after [`Server::pause`].
    pub fn resume(&self) {
        self.process.signal("CONT");
    }

    /// Gives a command and returns what is answered, one line for each value. Panics when it cannot be asked.
    pub fn cli(&self, args: &[&str]) -> String {
        self.try_cli(args)
            .unwrap_or_else(|said| panic!("redis-cli {args:?}: {said}"))
    }

    /// As [`Server::cli`], for a server that may be away.
    pub fn try_cli(&self, args: &[&str]) -> Result<String, String> {
        let mut command = Tool::RedisCli.command(["-h", "127.0.0.1", "-e", "--raw"]);
        command.arg("-p").arg(self.address.port().to_string());
        if let Some(password) = &self.settings.password {
            command.env("REDISCLI_AUTH", password);
        }
        if let Some(tls) = &self.settings.tls {
            command.arg("--tls").arg("--cacert").arg(&tls.authority);
        }
        command.stdout(Stdio::piped());
        command.stderr(Stdio::piped());
        let output = command.args(args).output().expect("redis-cli starts");
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        match output.status.success() {
            true => Ok(said(&output.stdout)),
            false => Err(said(&output.stdout) + &said(&output.stderr)),
        }
    }

    /// Waits until `args` are answered with something for which `wanted` holds.
    pub fn until(&self, args: &[&str], wanted: impl Fn(&str) -> bool) {
        let mut last = String::new();
        wait(|| {
            last = self.try_cli(args).unwrap_or_else(|error| error);
            wanted(&last)
        })
        .unwrap_or_else(|()| panic!("redis-cli {args:?} never fits; last it was: {last}"));
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    fn ready(&self) {
        self.until(&["ping"], |answer| answer == "PONG");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A Redis Cluster of three masters without replicas.
#[derive(Debug)]
pub struct Cluster {
    members: Vec<Server>,
}

impl Cluster {
    /// Starts one and waits until all its members serve.
    pub fn start() -> Self {
        let members: Vec<Server> = (0..MASTERS)
            .map(|_| {
                let settings = Settings {
                    lines: vec![
                        "cluster-enabled yes".to_owned(),
                        "cluster-node-timeout 2000".to_owned(),
                    ],
                    ..Settings::default()
                };
                Server::start_on(free_port(HIGHEST_MEMBER), settings, false)
            })
            .collect();
        let addresses: Vec<String> = members
            .iter()
            .map(|member| member.address.to_string())
            .collect();
        let mut command = Tool::RedisCli.command(["--cluster", "create"]);
        command.args(&addresses).arg("--cluster-yes");
        Process::spawn(&mut command).succeed();
        let cluster = Self { members };
        cluster.ready();
        cluster
    }

    /// Ends all members, if they run, and starts them again with nothing but the knowledge of each other.
    pub fn restart_empty(&mut self) {
        for member in &mut self.members {
            member.restart_empty();
        }
        self.ready();
    }

    fn ready(&self) {
        for member in &self.members {
            member.until(&["cluster", "info"], |info| {
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            });
        }
    }

    /// Its URL, which names one of its members.
    pub fn url(&self) -> String {
        let first = self.members.first().expect("it has members");
        format!("redis+cluster://{}", first.address)
    }

    /// The servers it is made of.
    pub fn members(&self) -> &[Server] {
        &self.members
    }
}

/// A server, its replica, and a sentinel that makes the replica the server when that is gone.
#[derive(Debug)]
pub struct Sentinel {
    master: Server,
    replica: Server,
    sentinel: Server,
}

impl Sentinel {
    /// The name under which the sentinel knows the server.
    pub const MASTER: &str = "weir";

    /// Starts them and waits until the replica follows and the sentinel knows of it.
    pub fn start() -> Self {
        let master = Server::start();
        let follow = Settings {
            lines: vec![format!("replicaof 127.0.0.1 {}", master.address.port())],
            ..Settings::default()
        };
        let replica = Server::start_with(follow);
        replica.until(&["info", "replication"], |info| {
            info.contains("master_link_status:up")
        });
        let watched = Self::MASTER;
        let watch = Settings {
            lines: vec![
                format!(
                    "sentinel monitor {watched} 127.0.0.1 {} 1",
                    master.address.port()
                ),
                // a busy machine may keep a server from answering for a while
                format!("sentinel down-after-milliseconds {watched} 2000"),
                format!("sentinel failover-timeout {watched} 4000"),
            ],
            ..Settings::default()
        };
        let sentinel = Server::start_on(free_port(u16::MAX), watch, true);
        sentinel.until(&["sentinel", "replicas", watched], |replicas| {
            replicas.contains(&replica.address.port().to_string())
                && replicas.contains("master-link-status\nok")
        });
        Self {
            master,
            replica,
            sentinel,
        }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!(
            "redis+sentinel://{}/{}",
            self.sentinel.address,
            Self::MASTER
        )
    }

    /// The server that began as the master.
    pub fn master(&self) -> &Server {
        &self.master
    }

    /// The server that began as its replica.
    pub fn replica(&self) -> &Server {
        &self.replica
    }

    /// The sentinel itself.
    pub fn sentinel(&self) -> &Server {
        &self.sentinel
    }

    /// Has the replica take over while both live, and waits until the old master follows it.
    pub fn fail_over(&self) {
        assert_eq!(
            self.sentinel.cli(&["sentinel", "failover", Self::MASTER]),
            "OK"
        );
        self.await_replica_as_master();
        self.master
            .until(&["role"], |role| role.starts_with("slave"));
    }

    /// Waits until the replica is the master and the sentinel says so.
    pub fn await_replica_as_master(&self) {
        let port = self.replica.address.port().to_string();
        let question = ["sentinel", "get-master-addr-by-name", Self::MASTER];
        self.sentinel
            .until(&question, |answer| answer.ends_with(&port));
        self.replica
            .until(&["role"], |role| role.starts_with("master"));
    }
}

fn configuration(port: u16, settings: &Settings, folder: &Path) -> String {
    let plain = if settings.tls.is_some() { 0 } else { port };
    let mut lines = vec![
        format!("port {plain}"),
        "bind 127.0.0.1".to_owned(),
        "save \"\"".to_owned(),
        "appendonly no".to_owned(),
        "repl-diskless-sync-delay 0".to_owned(),
        format!("dir {}", folder.display()),
    ];
    if let Some(password) = &settings.password {
        lines.push(format!("requirepass {password}"));
    }
    if let Some(tls) = &settings.tls {
        lines.push(format!("tls-port {port}"));
        lines.push(format!("tls-cert-file {}", tls.certificate.display()));
        lines.push(format!("tls-key-file {}", tls.key.display()));
        lines.push(format!("tls-ca-cert-file {}", tls.authority.display()));
        lines.push("tls-auth-clients no".to_owned());
    }
    lines.extend(settings.lines.iter().cloned());
    lines.join("\n") + "\n"
}

fn run(folder: &Path, sentinel: bool) -> Process {
    let mut command = Tool::Redis.command([folder.join("redis.conf")]);
    if sentinel {
        command.arg("--sentinel");
    }
    Process::spawn(&mut command)
}

/// A port that was free a moment ago, which nearly always it still is; Redis cannot be given port 0.
fn free_port(highest: u16) -> u16 {
    loop {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = socket.local_addr().expect("a bound socket").port();
        if port <= highest {
            return port;
        }
    }
}

/// Asks until it holds: Redis tells nobody what it has come to.
fn wait(mut holds: impl FnMut() -> bool) -> Result<(), ()> {
    for _ in 0..PATIENCE.as_millis() / POLL.as_millis() {
        if holds() {
            return Ok(());
        }
        std::thread::sleep(POLL);
    }
    Err(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_keeps_what_was_saved_and_forgets_the_rest() {
        let mut server = Server::start_with(Settings {
            password: Some("secret".to_owned()),
            ..Settings::default()
        });
        assert_eq!(server.cli(&["set", "a", "1"]), "OK");
        server.save();
        assert_eq!(server.cli(&["set", "a", "2"]), "OK");
        server.kill();
        assert!(server.try_cli(&["ping"]).is_err());
        server.restart();
        assert_eq!(server.cli(&["get", "a"]), "1");
        server.restart_empty();
        assert_eq!(server.cli(&["exists", "a"]), "0");
        assert!(server.try_cli(&["no-such-command"]).is_err());
    }
}
