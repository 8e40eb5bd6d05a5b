//! Placements a second, and how long one takes: `cargo bench -p weir-proxy --bench picks -- --state redis://127.0.0.1`.
//!
//! Owns: the ways a session can be placed, each asked for by many tasks of one core at once: a stream that nobody
//! knows, one that this proxy knows, one that another proxy placed. Does not: open sessions or probe origins, so that
//! nothing is measured but the decision.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::io::Write as _;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use prometheus_client::registry::Registry;
use tokio::task::{JoinSet, LocalSet};
use weir_cluster::memory::{self, Memory};
use weir_cluster::{ClusterState, Endpoints, Key, Node, NodeId, Report, Service};
use weir_cluster_redis::Redis;
use weir_net::clock;
use weir_proxy::directory::{Directory, Hold, Options};
use weir_proxy::sessions::Role;

type Failure = Box<dyn Error>;

/// As large a cluster as the bench of the whole proxy has, and one that leaves a choice.
const ORIGINS: usize = 3;

/// What is asked for.
struct Args {
    /// `memory`, or the URL of a Redis, which should hold nothing else.
    state: String,
    /// Each is placed once in each way.
    streams: usize,
    /// How many are under way at once: one says how long a placement takes, many how many there can be.
    tasks: Vec<usize>,
}

/// One way of being placed.
struct Way {
    name: &'static str,
    role: Role,
    /// Where, by its number.
    proxy: usize,
}

const WAYS: &[Way] = &[
    Way {
        name: "new stream, published",
        role: Role::Publish,
        proxy: 0,
    },
    Way {
        name: "known stream, played",
        role: Role::Play,
        proxy: 0,
    },
    Way {
        name: "another proxy's stream, first viewer",
        role: Role::Play,
        proxy: 1,
    },
    Way {
        name: "another proxy's stream, known by now",
        role: Role::Play,
        proxy: 1,
    },
];

fn main() -> Result<(), Failure> {
    let args = Args::parse(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, run(&args))
}

impl Args {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut args = Self {
            state: "memory".to_owned(),
            streams: 10_000,
            tasks: vec![1, 64],
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--state" => args.state = value()?,
                "--streams" => args.streams = value()?.parse()?,
                "--tasks" => {
                    let tasks = value()?;
                    let tasks = tasks.split(',').map(str::parse);
                    args.tasks = tasks.collect::<Result<_, _>>()?;
                }
                // what cargo adds
                "--bench" => {}
                _ => return Err(format!("no such option: {word}").into()),
            }
        }
        Ok(args)
    }
}

async fn run(args: &Args) -> Result<(), Failure> {
    let proxies = proxies(&args.state).await?;
    writeln!(
        std::io::stdout(),
        "{} placements each on one core:\n\n\
         | state | placement | at once | a second | p50 / p99 / longest, ms |\n|---|---|---|---|---|",
        args.streams
    )?;
    for tasks in &args.tasks {
        all_ways(args, &proxies, *tasks).await?;
    }
    Ok(())
}

async fn all_ways(args: &Args, proxies: &[Arc<Directory>], tasks: usize) -> Result<(), Failure> {
    // a Redis that was used before would know the streams already
    let run = clock::wallclock().duration_since(SystemTime::UNIX_EPOCH)?;
    let run = run.as_nanos();
    let keys = (0..args.streams).map(|number| Key::new(&format!("bench/{run}/{number}")));
    let keys: Rc<[Key]> = keys.collect::<Result<_, _>>()?;
    // what was published stays published
    let mut published = Vec::new();
    for way in WAYS {
        let Some(directory) = proxies.get(way.proxy) else {
            continue;
        };
        let placed = place(directory, &keys, way.role, tasks).await?;
        let (state, name) = (shown(&args.state), way.name);
        writeln!(
            std::io::stdout(),
            "| {state} | {name} | {tasks} | {placed} |"
        )?;
        if way.role == Role::Publish {
            published = placed.holds;
        }
    }
    drop(published);
    Ok(())
}

/// The state without a password in its URL.
fn shown(state: &str) -> &str {
    state.split("://").next().unwrap_or(state)
}

/// Two proxies where the state can be shared, else one; both know the origins.
async fn proxies(state: &str) -> Result<Vec<Arc<Directory>>, Failure> {
    let mut states: Vec<Arc<dyn ClusterState>> = Vec::new();
    if state == "memory" {
        states.push(Arc::new(Memory::new(
            memory::Options::default(),
            clock::now,
        )));
    } else {
        for _ in 0..2 {
            let server = weir_cluster_redis::Server::parse(state)?;
            let options = weir_cluster_redis::Options::new(server);
            states.push(Arc::new(Redis::connect(options).await?));
        }
    }
    let mut proxies = Vec::new();
    for (seed, state) in (1..).zip(states) {
        let options = Options {
            seed,
            ..Options::default()
        };
        let directory = Directory::new(state, options, &mut Registry::default());
        for number in 0..ORIGINS {
            directory.register(origin(number)).await?;
        }
        proxies.push(directory);
    }
    Ok(proxies)
}

/// An origin on a port that nobody is asked on.
fn origin(number: usize) -> Node {
    let (server, service, pid) = (format!("bench{number}"), "one".to_owned(), "1".to_owned());
    let mut endpoints = Endpoints::default();
    endpoints.set(Service::Rtmp, vec!["1935".to_owned()]);
    Node {
        id: NodeId::new(&server, &service, &pid),
        host: format!("127.0.1.{number}"),
        device: String::new(),
        server,
        service,
        pid,
        endpoints,
        report: Report::default(),
        updated: clock::wallclock(),
    }
}

/// What placing all streams in one way came to.
struct Placed {
    took: Duration,
    /// Of each placement, sorted.
    each: Vec<Duration>,
    holds: Vec<Hold>,
}

impl std::fmt::Display for Placed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let last = self.each.len().saturating_sub(1);
        let at = |share: f64| {
            let time = self.each.get((share * last as f64).round() as usize);
            time.copied().unwrap_or_default().as_secs_f64() * 1000.0
        };
        let rate = self.each.len() as f64 / self.took.as_secs_f64();
        let (p50, p99, longest) = (at(0.5), at(0.99), at(1.0));
        write!(f, "{rate:.0} | {p50:.3} / {p99:.3} / {longest:.3}")
    }
}

/// Places every stream, `tasks` at a time, with the bookkeeping of a session; those that are placed stay held until
/// the result is dropped.
async fn place(
    directory: &Arc<Directory>,
    keys: &Rc<[Key]>,
    role: Role,
    tasks: usize,
) -> Result<Placed, Failure> {
    let next = Rc::new(Cell::new(0));
    let done = Rc::new(RefCell::new((Vec::new(), Vec::new())));
    let mut running = JoinSet::new();
    let began = clock::now();
    for _ in 0..tasks.max(1) {
        let (directory, keys) = (Arc::clone(directory), Rc::clone(keys));
        let (next, done) = (Rc::clone(&next), Rc::clone(&done));
        running.spawn_local(async move {
            while let Some(key) = keys.get(next.replace(next.get() + 1)) {
                let began = clock::now();
                let placed = directory.place(key, role, Service::Rtmp, &[]).await?;
                let hold = directory.hold(key, &placed, role);
                let took = clock::now().saturating_duration_since(began);
                let mut done = done.borrow_mut();
                done.0.push(took);
                done.1.push(hold);
            }
            Ok::<_, weir_proxy::directory::PlaceError>(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    let took = clock::now().saturating_duration_since(began);
    let (mut each, holds) = done.take();
    each.sort_unstable();
    Ok(Placed { took, each, holds })
}
