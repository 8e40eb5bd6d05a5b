//! The life of the origin's process: start, say where, serve, reload, drain, end.
//!
//! Owns: signals, the order of start and end, and what people are told on the terminal. Does not: build the parts
//! (`origin` does).

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::signal::unix::{Signal, SignalKind, signal};
use weir_net::cores::Shutdown;

use crate::api::{self, Api};
use crate::cli::{Exit, Settings};
use crate::config::{Config, Loaded};
use crate::origin::{Listening, Origin};
use crate::signals::Signals;
use crate::{activation, config, log, systemd};

/// Time after the drain's deadline for last words and closing lines before the process ends whatever happens.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Runs the origin until a signal ends it.
pub fn origin(settings: &Settings) -> Exit {
    let loaded = match load(settings) {
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

/// Reads the configuration that `settings` and the environment name.
pub fn load(settings: &Settings) -> Result<Loaded, config::Problems> {
    Config::load(&settings.sources(config::environment())?)
}

fn complain(what: &dyn std::fmt::Display) {
    // the terminal may be gone; there is nobody left to tell
    let _ = writeln!(std::io::stderr(), "weir: {what}");
}

async fn serve(settings: Settings, loaded: Loaded, logs: log::Handle) -> anyhow::Result<()> {
    // before anybody is told that the server is there: a signal without a handler ends the process
    let mut signals = Signals::new()?;
    let mut hangup = signal(SignalKind::hangup())?;
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
    let reloader = Reloader::new(settings, loaded.config, Arc::new(origin), logs);
    let reloader = Arc::new(reloader);
    let api = Api::new(Arc::clone(&reloader), registry, &shutdown);
    greet(&listening);
    notify(systemd::ready());
    // the API answers until the drain has ended
    tokio::select! {
        () = until_drained(&reloader, &shutdown, &mut signals, &mut hangup) => Ok(()),
        failed = api.serve(sockets) => match failed? {},
    }
}

/// Waits for a signal, then drains.
async fn until_drained(
    reloader: &Arc<Reloader>,
    shutdown: &Shutdown,
    signals: &mut Signals,
    hangup: &mut Signal,
) {
    let origin = reloader.origin();
    let signalled = serve_signals(reloader, signals, hangup).await;
    tracing::info!(
        signal = signalled,
        sessions = origin.hub().sessions().len(),
        "draining"
    );
    notify(systemd::stopping());
    shutdown.drain();
    let deadline = reloader.current().server.drain_timeout;
    drain(origin, shutdown, deadline, signals.second(signalled)).await;
}

/// Lets sessions end by themselves until the deadline or a second signal, then ends them.
async fn drain(
    origin: &Origin,
    shutdown: &Shutdown,
    deadline: Duration,
    second: impl Future<Output = &'static str>,
) {
    let tasks = origin.cores().tracker();
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
async fn serve_signals(
    reloader: &Arc<Reloader>,
    signals: &mut Signals,
    hangup: &mut Signal,
) -> &'static str {
    loop {
        tokio::select! {
            name = signals.next() => return name,
            _ = hangup.recv() => {
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

/// Rereads the configuration and puts into force what can change live.
#[derive(Debug)]
pub struct Reloader {
    settings: Settings,
    current: Mutex<Config>,
    origin: Arc<Origin>,
    logs: log::Handle,
}

/// One key that a reload found changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// The key's full name.
    pub key: String,
    /// Its value before; secrets are masked.
    pub old: String,
    /// Its value now; secrets are masked.
    pub new: String,
    /// It is in force now; else it needs a restart.
    pub live: bool,
}

impl Reloader {
    /// Reloads `origin` and `logs`, which run with `config`, from what `settings` name.
    pub fn new(settings: Settings, config: Config, origin: Arc<Origin>, logs: log::Handle) -> Self {
        Self {
            settings,
            current: Mutex::new(config),
            origin,
            logs,
        }
    }

    /// What is reloaded.
    pub fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    /// The configuration in force.
    pub fn current(&self) -> Config {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Rereads the configuration. Fails, and changes nothing, when it has problems.
    pub fn reload(&self) -> Result<Vec<Reloaded>, config::Problems> {
        let new = load(&self.settings)?.config;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let changes: Vec<Reloaded> = Config::diff(&current, &new)
            .into_iter()
            .map(|change| Reloaded {
                key: change.key.full_name(),
                old: change.old,
                new: change.new,
                live: change.key.live,
            })
            .collect();
        let merged = current.with_live(&new);
        self.origin.reload(&merged);
        if let Err(error) = self.logs.set_level(&merged.log.level) {
            tracing::error!(%error, "log level not changed");
        }
        *current = merged;
        for change in &changes {
            let (key, old, new) = (&change.key, &change.old, &change.new);
            match change.live {
                true => tracing::info!(key, old, new, "setting changed"),
                false => tracing::warn!(key, old, new, "setting needs a restart to change"),
            }
        }
        tracing::info!(changes = changes.len(), "configuration reloaded");
        Ok(changes)
    }
}

/// Says every address and what to try first: on a terminal in a few lines for people, else in the log.
fn greet(listening: &[Listening]) {
    for one in listening {
        tracing::info!(key = one.key, address = %one.address, "listening");
    }
    let mut out = std::io::stdout();
    if !out.is_terminal() {
        return;
    }
    let port = |key: &str| {
        listening
            .iter()
            .find(|one| one.key == key)
            .map(|one| one.address)
    };
    let mut text = String::new();
    if let Some(rtmp) = port("rtmp.listen") {
        let url = format!("rtmp://{}/live/livestream", reachable(rtmp));
        text.push_str("\nPublish a stream:\n");
        text.push_str("  ffmpeg -re -stream_loop -1 -i any.mp4 -c copy -f flv ");
        text.push_str(&url);
        text.push_str("\nWatch it:\n  ffplay ");
        text.push_str(&url);
        text.push('\n');
    }
    if let Some(http) = port("http.listen") {
        let host = reachable(http);
        text.push_str(&format!("  ffplay http://{host}/live/livestream.flv\n"));
    }
    if let Some(api) = port("api.listen") {
        text.push_str(&format!(
            "See who is there:\n  curl http://{}/api/v1/streams\n",
            reachable(api)
        ));
    }
    // a closed terminal is no reason not to serve
    let _ = writeln!(out, "{text}");
}

/// The address as someone on this machine would write it.
fn reachable(address: SocketAddr) -> String {
    match (address.ip().is_unspecified(), address.port()) {
        (true, 1935) => "localhost".to_owned(),
        (true, port) => format!("localhost:{port}"),
        (false, _) => address.to_string(),
    }
}
