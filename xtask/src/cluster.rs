//! A cluster on this machine by one command: origins, proxies, and the Redis they share.
//!
//! Owns: the order of start, readiness and end, and the table of who is where. Members are in process groups of their own,
//! so that Ctrl-C reaches this tool alone, which ends the proxies first, then the origins, then Redis. A member that
//! dies is told and left dead: to see that is what a cluster is for.
//! Does not: know what members say (the folder of logs does), or settings beyond those that make a cluster.

mod logs;
mod plan;

use std::fs;
use std::io::IsTerminal;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::child::{self, Server};
use crate::project::Project;
use crate::{bench, say};
use logs::Logs;
use plan::{Options, Origin, Plan, Proxy, REDIS};

/// How often members are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// What proxies and origins wait for their sessions at the end; somebody sits before the terminal.
const DRAIN: &str = "2s";

/// Looks at members that end, 8 s together, before they are killed: the drain and last words.
const LAST_LOOKS: u32 = 40;

/// Lines of a member that ended too early which are shown: the cause is in the last one or two.
const LAST_WORDS: usize = 5;

/// A process of the cluster.
#[derive(Debug)]
struct Member {
    name: String,
    server: Server,
    /// Its end has been told.
    gone: bool,
}

/// What runs.
#[derive(Debug)]
struct Cluster {
    plan: Plan,
    weir: PathBuf,
    folder: PathBuf,
    logs: Logs,
    asked: Receiver<()>,
    members: Vec<Member>,
}

/// Runs a cluster as the arguments say, until a signal ends it.
pub(crate) fn run(project: &Project, args: &[&str]) -> Result<()> {
    let options = Options::parse(args)?;
    let weir = bench::build(project)?;
    let folder = weir.parent().and_then(Path::parent).context("no target")?;
    let folder = folder.join("cluster");
    // logs of the last cluster would be taken for those of this one
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).context("cannot remove the logs of the last cluster");
        }
        _ => fs::create_dir_all(&folder).context("cannot make a folder for logs")?,
    }
    let mut cluster = Cluster {
        plan: Plan::new(&options),
        weir,
        logs: Logs::open(&folder)?,
        folder,
        asked: signals()?,
        members: Vec::new(),
    };
    let outcome = cluster.start();
    if let Ok(true) = outcome {
        cluster.table();
        cluster.watch();
    }
    say::line("ending the cluster; once more to kill it");
    cluster.logs.hush();
    end(cluster.members, &cluster.asked);
    outcome.map(drop)
}

/// A message for each signal that asks for the end.
fn signals() -> Result<Receiver<()>> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot take signals")?;
    // two are all that make a difference
    let (tell, asked) = sync_channel(2);
    std::thread::spawn(move || {
        for _ in signals.forever() {
            // a third one changes nothing
            let _ = tell.try_send(());
        }
    });
    Ok(asked)
}

impl Cluster {
    /// Starts everybody, those first that others need, and waits until each proxy is ready and lists every origin; false
    /// when a signal came first. Fails when a member ends.
    fn start(&mut self) -> Result<bool> {
        let Plan {
            proxies,
            origins,
            redis,
        } = self.plan.clone();
        if let Some(redis) = redis {
            let mut command = child::redis_command(&self.folder, redis.port());
            // its warnings are about the machine's settings
            self.add(REDIS, &mut command, true)?;
            if !self.until("redis listens", || TcpStream::connect(redis).is_ok())? {
                return Ok(false);
            }
        }
        for proxy in &proxies {
            let mut command = proxy_command(&self.weir, proxy, &self.plan);
            self.add(&proxy.name, &mut command, false)?;
        }
        for proxy in &proxies {
            let what = format!("{} answers", proxy.name);
            if !self.until(&what, || answers(proxy, "/healthz").is_some())? {
                return Ok(false);
            }
        }
        for origin in &origins {
            let mut command = origin_command(&self.weir, origin, &self.plan);
            self.add(&origin.name, &mut command, false)?;
        }
        for proxy in &proxies {
            let what = format!("{} is ready and lists every origin", proxy.name);
            if !self.until(&what, || listed(proxy) >= origins.len())? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn add(&mut self, name: &str, command: &mut Command, quiet: bool) -> Result<()> {
        command
            .current_dir(&self.folder)
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let missing = if name == REDIS {
            child::NO_REDIS.to_owned()
        } else {
            format!("cannot start {name}")
        };
        let mut server = Server::start(command, &missing)?;
        self.logs.follow(name, &mut server.0, quiet)?;
        self.members.push(Member {
            name: name.to_owned(),
            server,
            gone: false,
        });
        Ok(())
    }

    /// Waits until `ready` says yes; false when a signal came first. Fails when a member ends.
    fn until(&mut self, what: &str, mut ready: impl FnMut() -> bool) -> Result<bool> {
        let (mut stopped, mut lost) = (false, None);
        child::until(what, || {
            stopped = self.asked.try_recv().is_ok();
            let mut members = self.members.iter_mut();
            lost = members.find_map(|member| Some((fate(member)?, member.name.clone())));
            stopped || lost.is_some() || ready()
        })?;
        match lost {
            Some((fate, name)) => {
                bail!("{fate} before all were ready:\n{}", self.last_words(&name))
            }
            None => Ok(!stopped),
        }
    }

    /// The last lines of a member that has ended.
    fn last_words(&self, name: &str) -> String {
        // what it said may still be on its way to the file
        std::thread::sleep(LOOK);
        let log = fs::read_to_string(self.folder.join(format!("{name}.log")));
        let log = log.unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(LAST_WORDS);
        lines.get(from..).unwrap_or_default().join("\n")
    }

    fn table(&self) {
        let paint = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let pid = |name: &str| {
            let found = self.members.iter().find(|member| member.name == name);
            found.map_or(0, |member| member.server.pid())
        };
        let logs = self.folder.display().to_string();
        say::line(&self.plan.table(pid, &logs, paint));
    }

    /// Tells who dies, until a signal asks for the end or nobody is left.
    fn watch(&mut self) {
        while let Err(RecvTimeoutError::Timeout) = self.asked.recv_timeout(LOOK) {
            for member in self.members.iter_mut().filter(|member| !member.gone) {
                if let Some(fate) = fate(member) {
                    member.gone = true;
                    say::line(&fate);
                }
            }
            if self.members.iter().all(|member| member.gone) {
                return;
            }
        }
    }
}

/// That a member has ended, in words; `None` while it runs.
fn fate(member: &mut Member) -> Option<String> {
    let status = member.server.0.try_wait().ok()??;
    Some(format!("{} ended with {status}", member.name))
}

fn weir_command(weir: &Path, role: &str) -> Command {
    let mut command = Command::new(weir);
    command.args([role, "--server-drain-timeout", DRAIN]);
    child::without_settings(&mut command);
    command
}

fn proxy_command(weir: &Path, proxy: &Proxy, plan: &Plan) -> Command {
    let mut command = weir_command(weir, "proxy");
    for (flag, address) in [
        ("--proxy-rtmp-listen", proxy.rtmp),
        ("--proxy-http-listen", proxy.http),
        ("--proxy-api-listen", proxy.api),
        ("--proxy-system-listen", proxy.system),
    ] {
        command.args([flag, &address.to_string()]);
    }
    if let Some(redis) = plan.redis {
        let url = format!("redis://{redis}");
        command.args(["--cluster-state", "redis", "--redis-url", &url]);
    }
    command
}

fn origin_command(weir: &Path, origin: &Origin, plan: &Plan) -> Command {
    let mut command = weir_command(weir, "origin");
    for (flag, address) in [
        ("--rtmp-listen", origin.rtmp),
        ("--http-listen", origin.http),
        ("--api-listen", origin.api),
    ] {
        command.args([flag, &address.to_string()]);
    }
    command.args(["--heartbeat-device-id", &origin.name]);
    for proxy in &plan.proxies {
        let url = format!("http://{}/api/v1/srs/register", proxy.system);
        command.args(["--heartbeat-urls", &url]);
    }
    command
}

/// Origins that are up at a proxy that is ready; none while it is not.
fn listed(proxy: &Proxy) -> usize {
    let ready = answers(proxy, "/readyz");
    let list = ready.and_then(|_| answers(proxy, "/api/v1/origins"));
    list.map_or(0, |body| entries(&body))
}

/// What a proxy answers, if that is 200.
fn answers(proxy: &Proxy, path: &str) -> Option<String> {
    let answer = child::get(proxy.system, path).ok();
    answer
        .filter(|(status, _)| *status == 200)
        .map(|(_, body)| body)
}

/// Origins in the list that are up.
fn entries(body: &str) -> usize {
    let document: Value = serde_json::from_str(body).unwrap_or_default();
    let list = document["origins"].as_array();
    let all = list.into_iter().flatten();
    all.filter(|origin| origin["state"] == "up").count()
}

/// Ends the members, the last ones to be needed last: each kind is told at once and waited for.
fn end(mut members: Vec<Member>, asked: &Receiver<()>) {
    for kind in [plan::PROXY, plan::ORIGIN, REDIS] {
        let (mut these, rest): (Vec<_>, Vec<_>) = members
            .into_iter()
            .partition(|member| member.name.starts_with(kind));
        members = rest;
        for member in &mut these {
            member.server.signal("TERM");
        }
        for _ in 0..LAST_LOOKS {
            let lives = |member: &mut Member| matches!(member.server.0.try_wait(), Ok(None));
            // who is still there when these are dropped is killed
            if !these.iter_mut().any(lives) || asked.recv_timeout(LOOK).is_ok() {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &Command) -> String {
        let words = command.get_args().map(|word| word.to_string_lossy());
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn members_are_told_of_each_other() {
        let plan = Plan::new(&Options::parse(&[]).unwrap());
        let weir = Path::new("weir");
        let origin = words(&origin_command(weir, &plan.origins[0], &plan));
        for proxy in &plan.proxies {
            let url = format!(
                "--heartbeat-urls http://{}/api/v1/srs/register",
                proxy.system
            );
            assert!(origin.contains(&url), "{origin}");
        }
        let proxy = words(&proxy_command(weir, &plan.proxies[0], &plan));
        assert!(
            proxy.contains("--proxy-rtmp-listen 127.0.0.1:11935"),
            "{proxy}"
        );
        assert!(proxy.contains("--cluster-state redis --redis-url redis://127.0.0.1:"));

        let plan = Plan::new(&Options::parse(&["--memory"]).unwrap());
        assert!(!words(&proxy_command(weir, &plan.proxies[0], &plan)).contains("redis"));
    }

    #[test]
    fn lists_of_origins_are_counted() {
        let list = r#"{"code":0,"origins":[{"state":"up"},{"state":"down"},{"state":"up"}]}"#;
        assert_eq!(entries(list), 2);
        assert_eq!(entries("none"), 0);
    }

    fn member(name: &str, script: &str) -> Member {
        let mut command = Command::new("sh");
        let server = Server::start(command.args(["-c", script]), "no sh").unwrap();
        Member {
            name: name.to_owned(),
            server,
            gone: false,
        }
    }

    fn cluster(name: &str, asked: Receiver<()>) -> Cluster {
        let folder = format!("xtask-cluster-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir_all(&folder).unwrap();
        Cluster {
            plan: Plan::new(&Options::parse(&[]).unwrap()),
            weir: PathBuf::from("weir"),
            logs: Logs::open(&folder).unwrap(),
            folder,
            asked,
            members: Vec::new(),
        }
    }

    #[test]
    fn the_dead_are_told_and_the_living_ended() {
        let (tell, asked) = sync_channel(2);
        let mut cluster = cluster("watch", asked);
        cluster.members.push(member("origin-1", "exit 3"));
        cluster.watch();
        assert!(cluster.members[0].gone);
        fs::remove_dir_all(&cluster.folder).unwrap();
        // the second signal does not wait for who does not hear
        tell.send(()).unwrap();
        let deaf = member("proxy-1", "trap '' TERM; exec sleep 60");
        end(vec![deaf, member("redis", "exec sleep 60")], &cluster.asked);
    }

    #[test]
    fn who_ends_too_early_is_named_and_a_signal_ends_the_wait() {
        let (tell, asked) = sync_channel(2);
        let mut cluster = cluster("until", asked);
        assert!(cluster.until("nothing", || true).unwrap());
        tell.send(()).unwrap();
        assert!(!cluster.until("never", || false).unwrap());
        let log = cluster.folder.join("proxy-1.log");
        fs::write(log, "1\n2\n3\n4\n5\nthe port is taken\n").unwrap();
        cluster.members.push(member("proxy-1", "exit 3"));
        let error = cluster.until("never", || false).unwrap_err().to_string();
        assert!(
            error.starts_with("proxy-1 ended with exit status: 3"),
            "{error}"
        );
        assert!(
            error.ends_with("\n2\n3\n4\n5\nthe port is taken"),
            "{error}"
        );
        fs::remove_dir_all(&cluster.folder).unwrap();
    }
}
