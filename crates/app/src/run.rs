//! The life of a server's process: start, say where, serve, reload, drain, end.
//!
//! Owns: signals, the order of start and end, for origin and proxy alike. Does not: build the parts (`origin` and `proxy`
//! do).

mod greet;
mod reload;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::signal::unix::{Signal, SignalKind, signal};
use weir_net::cores::{Cores, Shutdown};

pub use self::reload::{Reloaded, Reloader};
use crate::api::{self, Api};
use crate::cli::{Exit, Settings};
use crate::config::{Config, Loaded, Role};
use crate::heartbeat::{self, Heartbeat};
use crate::origin::Origin;
use crate::proxy::{self, Proxy};
use crate::signals::Signals;
use crate::{activation, config, log, systemd};

/// Time after the drain's deadline for last words and closing lines before the process ends whatever happens.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What a server's process runs, as its life sees it.
pub trait Running: std::fmt::Debug + Send + Sync + 'static {
    /// Which configuration it has.
    const ROLE: Role;

    /// Puts what can change live into force.
    fn reload(&self, config: &Config);

    /// The worker threads.
    fn cores(&self) -> &Cores;

    /// Sessions that are open.
    fn sessions(&self) -> usize;

    /// Longest time from the signal to the end of the process, which has then failed; `None` has no such limit.
    fn hard_limit(_config: &Config) -> Option<Duration> {
        None
    }
}

/// The signals that a server acts on.
struct Asked {
    signals: Signals,
    hangup: Signal,
}

/// Runs the origin until a signal ends it.
pub fn origin(settings: &Settings) -> Exit {
    run(Role::Origin, settings, serve_origin)
}

/// Runs the proxy until a signal ends it.
pub fn proxy(settings: &Settings) -> Exit {
    run(Role::Proxy, settings, serve_proxy)
}

/// Reads the configuration, and runs `serve` with it to its end.
fn run<F: Future<Output = anyhow::Result<()>>>(
    role: Role,
    settings: &Settings,
    serve: impl FnOnce(Settings, Loaded, log::Handle) -> F,
) -> Exit {
    let loaded = match load_as(role, settings) {
        Ok(loaded) => loaded,
        Err(problems) => {
            complain(&problems);
            return Exit::Usage;
        }
    };
    let logs = match log::init(&loaded.config.log) {
        Ok(logs) => logs,
        Err(error) => {
            complain(&error);
            return Exit::Usage;
        }
    };
    for warning in &loaded.warnings {
        tracing::warn!(%warning, "configuration");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(serve(settings.clone(), loaded, logs)));
    match result {
        Ok(()) => Exit::Success,
        Err(error) => {
            complain(&format_args!("{error:#}"));
            Exit::Failure
        }
    }
}

/// Reads the configuration of an origin that `settings` and the environment name.
pub fn load(settings: &Settings) -> Result<Loaded, config::Problems> {
    load_as(Role::Origin, settings)
}

/// Reads the configuration that `settings` and the environment name, for a process of `role`.
pub fn load_as(role: Role, settings: &Settings) -> Result<Loaded, config::Problems> {
    Config::load(&settings.sources(config::environment())?.for_role(role)?)
}

fn complain(what: &dyn std::fmt::Display) {
    // the terminal may be gone; there is nobody left to tell
    let _ = writeln!(std::io::stderr(), "weir: {what}");
}

async fn serve_origin(settings: Settings, loaded: Loaded, logs: log::Handle) -> anyhow::Result<()> {
    // before anybody is told that the server is there: a signal without a handler ends the process
    let mut asked = Asked::new()?;
    let shutdown = Shutdown::new();
    let mut registry = Registry::with_prefix("weir");
    let sockets = api::Sockets::bind(&loaded.config)?;
    let origin = Origin::start(
        &loaded.config,
        activation::inherited(),
        &mut registry,
        &shutdown,
    )?;
    let mut listening = origin.listening().to_vec();
    listening.extend(sockets.listening());
    let origin = Arc::new(origin);
    let beat = loaded.config.heartbeat.clone();
    let reloader = Reloader::new(settings, loaded, Arc::clone(&origin), logs);
    let reloader = Arc::new(reloader);
    let api = Api::new(Arc::clone(&reloader), registry, &shutdown);
    let heartbeat = Heartbeat::new(beat, &origin, &sockets.listening(), api.identity().clone());
    greet::greet(Role::Origin, &listening);
    notify(systemd::ready());
    // proxies hear of the end when there is one
    let (ending, over) = tokio::sync::oneshot::channel::<()>();
    let beating = heartbeat::run(heartbeat, shutdown.clone(), async {
        let _ = over.await;
    });
    let living = async {
        let ended = until_drained(&reloader, &shutdown, &mut asked).await;
        drop(ending);
        ended
    };
    // the API answers until the drain has ended
    tokio::select! {
        (ended, ()) = async { tokio::join!(living, beating) } => ended,
        failed = api.serve(sockets) => match failed? {},
    }
}

async fn serve_proxy(settings: Settings, loaded: Loaded, logs: log::Handle) -> anyhow::Result<()> {
    let mut asked = Asked::new()?;
    let shutdown = Shutdown::new();
    let mut registry = Registry::with_prefix("weir");
    let inherited = activation::inherited();
    let (proxy, services) = Proxy::start(&loaded, inherited, &mut registry, &shutdown).await?;
    let listening = proxy.listening().to_vec();
    proxy::notes(&loaded, &listening);
    let proxy = Arc::new(proxy);
    let reloader = Reloader::new(settings, loaded, Arc::clone(&proxy), logs);
    let reloader = Arc::new(reloader);
    let directory = Arc::clone(services.directory()).run(shutdown.clone());
    greet::greet(Role::Proxy, &listening);
    notify(systemd::ready());
    let living = async {
        let ended = until_drained(&reloader, &shutdown, &mut asked).await;
        // whatever is left of sessions, the directory gives back what they held
        shutdown.stop();
        ended
    };
    let placing = async {
        directory.await;
        Ok(())
    };
    // the directory has its last words after the last session, and the APIs answer until then; past the hard limit
    // nobody is waited for
    tokio::select! {
        ended = async { tokio::try_join!(living, placing) } => ended.map(drop),
        failed = services.serve(&reloader, registry, &shutdown) => match failed? {},
    }
}

impl Asked {
    /// Listens from here on. Fails when the handlers cannot be set.
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            signals: Signals::new()?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// Waits for a signal, then drains. Fails when that passes the hard limit.
async fn until_drained<T: Running>(
    reloader: &Arc<Reloader<T>>,
    shutdown: &Shutdown,
    asked: &mut Asked,
) -> anyhow::Result<()> {
    let running = reloader.running();
    let signalled = serve_signals(reloader, asked).await;
    tracing::info!(
        signal = signalled,
        sessions = running.sessions(),
        "draining"
    );
    notify(systemd::stopping());
    shutdown.drain();
    let config = reloader.current();
    let drained = drain(
        running.cores(),
        shutdown,
        config.server.drain_timeout,
        asked.signals.second(signalled),
    );
    match T::hard_limit(&config) {
        None => drained.await,
        Some(limit) => {
            let ended = tokio::time::timeout(limit, drained).await;
            ended.map_err(|_| anyhow::anyhow!("the process did not end within {limit:?}"))?;
        }
    }
    Ok(())
}

/// Lets sessions end by themselves until the deadline or a second signal, then ends them.
async fn drain(
    cores: &Cores,
    shutdown: &Shutdown,
    deadline: Duration,
    second: impl Future<Output = &'static str>,
) {
    let tasks = cores.tracker();
    tasks.close();
    tokio::select! {
        () = tasks.wait() => {}
        () = tokio::time::sleep(deadline) => tracing::info!("drain deadline reached"),
        name = second => tracing::info!(signal = name, "second signal, ending at once"),
    }
    let left = tasks.len();
    shutdown.stop();
    if tokio::time::timeout(LAST_WORDS, tasks.wait())
        .await
        .is_err()
    {
        tracing::warn!(sessions = tasks.len(), "some sessions did not end in time");
    }
    tracing::info!(ended = left, "stopped");
}

/// Serves signals until one asks for the end; returns its name.
async fn serve_signals<T: Running>(reloader: &Arc<Reloader<T>>, asked: &mut Asked) -> &'static str {
    loop {
        tokio::select! {
            name = asked.signals.next() => return name,
            _ = asked.hangup.recv() => {
                notify(systemd::reloading());
                if let Err(problems) = reloader.reload() {
                    tracing::error!(%problems, "reload refused, nothing was changed");
                }
                notify(systemd::ready());
            }
        }
    }
}

fn notify(result: std::io::Result<()>) {
    if let Err(error) = result {
        tracing::warn!(%error, "could not notify systemd");
    }
}
