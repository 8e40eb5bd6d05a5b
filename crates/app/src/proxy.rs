//! The proxy: cluster state, cores and listeners built from a configuration.
//!
//! Owns: the building of all parts in the order they need each other, and what a reload changes in them. Does not:
//! handle signals or print (`run` does), or serve the system API (`proxy_api` does).

mod bind;
mod debug;
mod parts;

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;
use weir_net::admission::{Admission, Limits};
use weir_net::cores::{self, Core, Cores, Shutdown};
use weir_net::door::{CertificateError, Certificates, Door, DoorSettings};
use weir_net::listen::Listener;
use weir_net::relay::Relay;
use weir_net::{clock, process};
use weir_proxy::Context;
use weir_proxy::directory::Directory;
use weir_proxy::metrics::Metrics;
use weir_proxy::register::Policy;
use weir_proxy::sessions::Sessions;

pub use self::bind::BindError;
use self::bind::Sockets;
use crate::api::Identity;
use crate::api::about::Common;
use crate::config::{Config, Loaded, Origin, Role, Secret};
use crate::origin::Listening;
use crate::pages::Slot;
use crate::proxy_api::{self, ProxyApi};
use crate::run::{Reloader, Running};

/// Why the proxy could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address could not be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The folder of static files is none.
    #[error("{at}: {} is no folder: {error}", folder.display())]
    StaticFiles {
        /// Who named it.
        at: String,
        /// The folder.
        folder: PathBuf,
        /// What is wrong. It is part of the text, and so not named as its source.
        error: io::Error,
    },
    /// The certificate cannot be used.
    #[error("proxy.tls_certificate: {0}")]
    Certificate(CertificateError),
    /// The cluster's state cannot be reached.
    #[error("cluster.state: {0}")]
    State(String),
    /// A thread or its runtime could not be made, or the system has no random numbers.
    #[error("cannot start worker threads: {0}")]
    Threads(#[from] io::Error),
}

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    settings: Arc<ArcSwap<weir_proxy::Settings>>,
    /// Signs what segments are found by.
    secret: Vec<u8>,
    admission: Admission,
    sessions: Arc<Sessions>,
    certificates: Vec<Arc<Certificates>>,
    token: Arc<ArcSwap<Secret>>,
    policy: Arc<ArcSwap<Policy>>,
    cores: Cores,
    listening: Vec<Listening>,
    started: Instant,
}

/// What runs beside the cores, on the thread that handles signals.
#[derive(Debug)]
pub(crate) struct Services {
    directory: Arc<Directory>,
    listeners: Vec<(&'static str, Listener)>,
    pages: Slot,
}

/// The listening sockets of one core.
#[derive(Debug, Default)]
struct Seed {
    rtmp: Vec<(TcpListener, Arc<Door>)>,
    http: Vec<(TcpListener, Arc<Door>)>,
}

impl Proxy {
    /// Binds every address first, then builds and starts everything that the configuration asks for.
    ///
    /// `inherited` are sockets of a supervisor, named `rtmp`, `rtmps`, `http`, `https`, `api` or `system`; they replace
    /// the addresses of that listener.
    pub(crate) async fn start(
        loaded: &Loaded,
        inherited: Vec<(String, TcpListener)>,
        registry: &mut Registry,
        shutdown: &Shutdown,
    ) -> Result<(Self, Services), StartError> {
        process::raise_open_files();
        let config = &loaded.config;
        let workers = match config.server.workers {
            0 => cores::available(),
            count => count as usize,
        };
        let sockets = Sockets::bind(loaded, inherited, workers)?;
        let listening = sockets.listening();
        static_files(loaded)?;
        let secret = parts::secret(&config.proxy)?;
        let certificates = Tls::load(config)?;
        let settings = parts::settings(config, &secret);
        let settings = Arc::new(ArcSwap::from_pointee(settings));
        let state = parts::state(config).await?;
        let directory = Directory::new(state, parts::directory(config)?, registry);
        let metrics = Metrics::register(registry);
        let sessions = Sessions::new(Arc::clone(&metrics), parts::seed()?);
        let admission = Admission::new(limits(config));
        let (seeds, listeners) = seeds(config, sockets, workers, &certificates);
        let pages = Slot::default();
        let main = {
            let hook = config.proxy.console.then(|| pages.hook());
            let (directory, sessions) = (Arc::clone(&directory), Arc::clone(&sessions));
            let (admission, settings) = (admission.clone(), Arc::clone(&settings));
            move |core: Core, seed: Seed| {
                let relay = match Relay::start(core.index()) {
                    Ok(relay) => relay,
                    Err(error) => {
                        tracing::error!(core = core.index(), %error, "core serves nobody");
                        return;
                    }
                };
                let context = Context::new(
                    core.clone(),
                    relay,
                    Arc::clone(&directory),
                    Arc::clone(&sessions),
                    admission.clone(),
                    Arc::clone(&metrics),
                    Arc::clone(&settings),
                );
                for (listener, door) in seed.rtmp {
                    core.spawn(weir_proxy::rtmp::serve(context.clone(), listener, door));
                }
                for (listener, door) in seed.http {
                    let (context, hook) = (context.clone(), hook.clone());
                    core.spawn(weir_proxy::http::serve(context, listener, door, hook));
                }
            }
        };
        let cores = cores::start(seeds, shutdown, main)?;
        let proxy = Self {
            settings,
            secret,
            admission,
            sessions,
            certificates: certificates.all(),
            token: Arc::new(ArcSwap::from_pointee(config.proxy.token.clone())),
            policy: Arc::new(ArcSwap::from_pointee(parts::policy(&config.proxy))),
            cores,
            listening,
            started: clock::now(),
        };
        let services = Services {
            directory,
            listeners,
            pages,
        };
        Ok((proxy, services))
    }

    /// The addresses in force.
    pub fn listening(&self) -> &[Listening] {
        &self.listening
    }

    /// The table of sessions.
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }
}

impl Running for Proxy {
    const ROLE: Role = Role::Proxy;

    fn reload(&self, config: &Config) {
        self.admission.set_limits(limits(config));
        let settings = parts::settings(config, &self.secret);
        self.settings.store(Arc::new(settings));
        self.token.store(Arc::new(config.proxy.token.clone()));
        self.policy.store(Arc::new(parts::policy(&config.proxy)));
        for certificates in &self.certificates {
            if let Err(error) = certificates.reload() {
                tracing::error!(%error, "certificate not reloaded, the old one stays");
            }
        }
    }

    fn cores(&self) -> &Cores {
        &self.cores
    }

    fn sessions(&self) -> usize {
        self.sessions.len()
    }

    fn hard_limit(config: &Config) -> Option<Duration> {
        Some(config.proxy.force_quit_timeout)
    }
}

impl Services {
    /// Where streams are placed; it must run for as long as there are sessions.
    pub(crate) fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Serves the listeners of APIs for as long as it is polled. Fails when a socket cannot be watched.
    pub(crate) async fn serve(
        self,
        reloader: &Arc<Reloader<Proxy>>,
        mut registry: Registry,
        shutdown: &Shutdown,
    ) -> io::Result<Infallible> {
        let proxy = reloader.running();
        let addresses: Vec<SocketAddr> = proxy.listening.iter().map(|one| one.address).collect();
        let started = proxy.started;
        let loads = proxy.cores.loads().to_vec();
        registry.register_collector(Box::new(proxy_api::Scrape { started, loads }));
        let identity = Identity::new(&addresses, clock::wallclock());
        let common = {
            let (reloader, ring) = (Arc::clone(reloader), reloader.logs().ring().clone());
            let loaded = move || reloader.loaded();
            Common::new(
                Role::Proxy,
                identity.clone(),
                ring,
                &proxy.listening,
                loaded,
            )
        };
        let api = Arc::new(ProxyApi {
            directory: self.directory,
            sessions: Arc::clone(&proxy.sessions),
            token: Arc::clone(&proxy.token),
            policy: Arc::clone(&proxy.policy),
            registry: Arc::new(registry),
            shutdown: shutdown.clone(),
            identity,
            common,
        });
        self.pages.fill(proxy_api::port_router(&api));
        let (mut system, mut public, mut debug) = (Vec::new(), Vec::new(), Vec::new());
        for (key, listener) in self.listeners {
            match key {
                "proxy.system_listen" => system.push(listener),
                "proxy.api_listen" => public.push(listener),
                _ => debug.extend(listener.into_sockets()),
            }
        }
        tokio::select! {
            failed = proxy_api::serve_system(&api, system) => failed,
            failed = proxy_api::serve_api(&api, public) => failed,
            failed = debug::serve(&api.registry, proxy, debug) => failed,
            never = api.remember() => match never {},
        }
    }
}

/// Certificates of the listeners with TLS.
#[derive(Debug, Default)]
struct Tls {
    rtmps: Option<Arc<Certificates>>,
    https: Option<Arc<Certificates>>,
}

impl Tls {
    fn load(config: &Config) -> Result<Self, StartError> {
        let proxy = &config.proxy;
        if proxy.rtmps_listen.0.is_empty() && proxy.https_listen.0.is_empty() {
            return Ok(Self::default());
        }
        let load = || {
            let loaded = Certificates::load(&proxy.tls_certificate, &proxy.tls_key);
            loaded.map_err(StartError::Certificate)
        };
        Ok(Self {
            rtmps: Some(Arc::new(load()?.without_tickets())),
            https: Some(Arc::new(load()?.offering(&["http/1.1"]))),
        })
    }

    fn all(self) -> Vec<Arc<Certificates>> {
        self.rtmps.into_iter().chain(self.https).collect()
    }
}

/// Deals the sockets of sessions out to the cores; what is left are those of APIs.
fn seeds(
    config: &Config,
    sockets: Sockets,
    workers: usize,
    tls: &Tls,
) -> (Vec<Seed>, Vec<(&'static str, Listener)>) {
    let door = |tls: Option<&Arc<Certificates>>| {
        Arc::new(Door::new(DoorSettings {
            trusted: config.proxy.proxy_protocol_from.0.clone(),
            tls: tls.cloned(),
        }))
    };
    let (plain, rtmps, https) = (
        door(None),
        door(tls.rtmps.as_ref()),
        door(tls.https.as_ref()),
    );
    let mut seeds: Vec<Seed> = (0..workers.max(1)).map(|_| Seed::default()).collect();
    let mut rest = Vec::new();
    for (key, listener) in sockets.into_listeners() {
        let (is_rtmp, door) = match key {
            "proxy.rtmp_listen" => (true, &plain),
            "proxy.rtmps_listen" => (true, &rtmps),
            "proxy.http_listen" => (false, &plain),
            "proxy.https_listen" => (false, &https),
            _ => {
                rest.push((key, listener));
                continue;
            }
        };
        for (seed, socket) in seeds.iter_mut().zip(listener.into_sockets()) {
            let sockets = match is_rtmp {
                true => &mut seed.rtmp,
                false => &mut seed.http,
            };
            sockets.push((socket, Arc::clone(door)));
        }
    }
    (seeds, rest)
}

fn limits(config: &Config) -> Limits {
    Limits {
        sessions: config.limits.sessions.into(),
        sessions_per_address: config.limits.sessions_per_address.into(),
    }
}

/// A folder that is not there would be found out by the first viewer.
fn static_files(loaded: &Loaded) -> Result<(), StartError> {
    let folder = &loaded.config.proxy.static_files;
    if folder.as_os_str().is_empty() {
        return Ok(());
    }
    std::fs::read_dir(folder)
        .map(|_| ())
        .map_err(|error| StartError::StaticFiles {
            at: asked(loaded, "proxy.static_files"),
            folder: folder.clone(),
            error,
        })
}

/// Who set a key, by the name that they know it by.
fn asked(loaded: &Loaded, key: &str) -> String {
    match loaded.origin_of(key) {
        Origin::Default => key.to_owned(),
        at @ Origin::File { .. } => format!("{at}: {key}"),
        at @ Origin::DotEnv { name, .. } => format!("{at}: {name}"),
        at => at.to_string(),
    }
}

/// What operators should know of a proxy that has started: all settings on one line, and what is odd about them.
pub(crate) fn notes(loaded: &Loaded, listening: &[Listening]) {
    let settings = loaded.summary(Role::Proxy);
    tracing::info!(settings, "configuration");
    let later = ["proxy.webrtc_listen", "proxy.srt_listen"];
    let set: Vec<String> = later
        .into_iter()
        .filter(|key| *loaded.origin_of(key) != Origin::Default)
        .map(|key| asked(loaded, key))
        .collect();
    if !set.is_empty() {
        let set = set.join(", ");
        tracing::warn!(
            set,
            "this version has no WebRTC and no SRT, these addresses are not listened on"
        );
    }
    let proxy = &loaded.config.proxy;
    let is_open = proxy.token.is_empty() && proxy.register_from.0.is_empty();
    let reachable = |one: &&Listening| {
        one.key == "proxy.system_listen" && !one.address.ip().to_canonical().is_loopback()
    };
    if let Some(one) = listening.iter().find(reachable).filter(|_| is_open) {
        tracing::warn!(
            address = %one.address,
            "everybody who can reach this address can register an origin: set proxy.token or \
             proxy.register_from, or listen on a private address"
        );
    }
}
