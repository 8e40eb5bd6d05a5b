//! The origin: hub, cores and gates built from a configuration.
//!
//! Owns: the building of all parts in the order they need each other, and what a reload changes in them. Does not:
//! handle signals or print (`run` does), or serve the API (`api` does).

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;
use weir_fanout::Fanout;
use weir_gate::Gate;
use weir_gate_http::shelf::{self, Shelf};
use weir_http::pages::Pages;
use weir_hub::Hub;
use weir_media::StreamKey;
use weir_net::admission::{Admission, Limits};
use weir_net::cores::{self, Cores, Shutdown};
use weir_net::listen::{BindError, Listener};
use weir_net::{clock, process};

use crate::config::{self, Config, Role};
use crate::pages::Slot;
use crate::run::Running;

/// How often streams that wait for their publisher are looked at. It is the error of every grace time.
const SWEEP_EVERY: Duration = Duration::from_millis(250);

/// Why the origin could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address could not be listened on.
    #[error("{key}: {error} (choose another with --{flag} or {variable})")]
    Bind {
        /// The key of the configuration that asks for the address.
        key: &'static str,
        /// The flag that sets it.
        flag: String,
        /// The environment variable that sets it.
        variable: String,
        /// What is wrong. It is part of the text, and so not named as its source.
        error: BindError,
    },
    /// A thread or its runtime could not be made.
    #[error("cannot start worker threads: {0}")]
    Threads(#[from] std::io::Error),
    /// The folder of segments cannot be used.
    #[error(
        "hls.folder: cannot use {folder}: {error} (choose another with --hls-folder or WEIR_HLS_FOLDER)"
    )]
    Folder {
        /// The folder as configured.
        folder: String,
        /// What the operating system said. It is part of the text, and so not named as its source.
        error: std::io::Error,
    },
}

impl StartError {
    pub(crate) fn bind(key: &'static str, error: BindError) -> Self {
        let flag = key.replace('.', "-");
        let variable = format!("WEIR_{}", flag.replace('-', "_").to_uppercase());
        Self::Bind {
            key,
            flag,
            variable,
            error,
        }
    }
}

/// An address in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listening {
    /// The key that asked for it, such as `rtmp.listen`.
    pub key: &'static str,
    /// The address, with the port the system chose where 0 was asked for.
    pub address: SocketAddr,
}

/// A running origin.
#[derive(Debug)]
pub struct Origin {
    hub: Arc<Hub>,
    admission: Admission,
    shared: Arc<ArcSwap<weir_gate::Settings>>,
    gates: Arc<weir_gate::Metrics>,
    pages: Slot,
    cores: Cores,
    listening: Vec<Listening>,
    shutdown: Shutdown,
}

/// The listening sockets of one core.
#[derive(Debug, Default)]
struct Seed {
    rtmp: Vec<TcpListener>,
    http: Vec<TcpListener>,
    udp: Vec<(UdpSocket, StreamKey)>,
}

impl Origin {
    /// Builds and starts everything that `config` asks for except the API; metrics go into `registry`.
    ///
    /// `inherited` are sockets of a supervisor, named `rtmp` or `http`; they replace the addresses of that gate.
    pub fn start(
        config: &Config,
        inherited: Vec<(String, TcpListener)>,
        registry: &mut Registry,
        shutdown: &Shutdown,
    ) -> Result<Self, StartError> {
        process::raise_open_files();
        let workers = match config.server.workers {
            0 => cores::available(),
            count => count as usize,
        };
        let (seeds, listening) = bind(config, inherited, workers)?;
        let metrics = weir_hub::Metrics::register(registry);
        let hub = Arc::new(Hub::new(
            stream_settings(config),
            metrics,
            clock::wallclock(),
        ));
        let admission = Admission::new(limits(config));
        let shared = Arc::new(ArcSwap::from_pointee(gate_settings(config)));
        let fanout_metrics = weir_fanout::Metrics::register(registry);
        let gate_metrics = weir_gate::Metrics::register(registry);
        let rtmp = weir_gate_rtmp::Settings {
            chunk_size: config.rtmp.chunk_size,
        };
        let pages = Slot::default();
        let shelf = Shelf::new(
            Arc::clone(&hub),
            shelf_settings(config),
            shelf::Metrics::register(registry),
        )
        .map_err(|error| StartError::Folder {
            folder: config.hls.folder.display().to_string(),
            error,
        })?;
        let hook = config.http.console.then(|| pages.hook());
        let http = http_settings(config, shelf.clone(), hook);
        let main = {
            let (hub, admission, shared) =
                (Arc::clone(&hub), admission.clone(), Arc::clone(&shared));
            let gate_metrics = Arc::clone(&gate_metrics);
            move |core: cores::Core, seed: Seed| {
                let fanout = Fanout::new(Arc::clone(&hub), fanout_metrics.clone());
                core.spawn_service(fanout.clone().run());
                if core.index() == 0 {
                    core.spawn_service(sweep(Arc::clone(&hub)));
                    core.spawn_service(shelf.clone().tend());
                }
                let gate = Gate::new(
                    core.clone(),
                    Arc::clone(&hub),
                    fanout,
                    admission.clone(),
                    Arc::clone(&gate_metrics),
                    Arc::clone(&shared),
                );
                for listener in seed.rtmp {
                    core.spawn(weir_gate_rtmp::listen::serve(gate.clone(), listener, rtmp));
                }
                for (socket, key) in seed.udp {
                    core.spawn(weir_gate_ts::serve(gate.clone(), socket, key));
                }
                for listener in seed.http {
                    let http = http.clone();
                    core.spawn(weir_gate_http::listen::serve(gate.clone(), listener, http));
                }
            }
        };
        let cores = cores::start(seeds, shutdown, main)?;
        Ok(Self {
            hub,
            admission,
            shared,
            gates: gate_metrics,
            pages,
            cores,
            listening,
            shutdown: shutdown.clone(),
        })
    }

    /// The streams and sessions.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// What answers for the console and the API on the ports of streams.
    pub(crate) fn pages(&self) -> &Slot {
        &self.pages
    }

    /// Sessions that ended by a fault since the start.
    pub(crate) fn faults(&self) -> u64 {
        self.gates.faults.get()
    }

    /// The addresses in force.
    pub fn listening(&self) -> &[Listening] {
        &self.listening
    }

    /// The worker threads.
    pub fn cores(&self) -> &Cores {
        &self.cores
    }

    /// Puts what can change live into force.
    pub fn reload(&self, config: &Config) {
        self.hub.set_settings(stream_settings(config));
        self.admission.set_limits(limits(config));
        self.shared.store(Arc::new(gate_settings(config)));
    }

    /// Waits for the end of every session after the drain has begun.
    pub fn join(self) {
        self.shutdown.drain();
        self.cores.join();
    }
}

impl Running for Origin {
    const ROLE: Role = Role::Origin;

    fn reload(&self, config: &Config) {
        Self::reload(self, config);
    }

    fn cores(&self) -> &Cores {
        Self::cores(self)
    }

    fn sessions(&self) -> usize {
        self.hub.sessions().len()
    }
}

async fn sweep(hub: Arc<Hub>) {
    let mut interval = tokio::time::interval(SWEEP_EVERY);
    loop {
        interval.tick().await;
        hub.sweep(clock::now());
    }
}

fn bind(
    config: &Config,
    inherited: Vec<(String, TcpListener)>,
    workers: usize,
) -> Result<(Vec<Seed>, Vec<Listening>), StartError> {
    let mut seeds: Vec<Seed> = (0..workers).map(|_| Seed::default()).collect();
    let mut listening = Vec::new();
    let mut listeners = Vec::new();
    let (mut rtmp, mut http) = (config.rtmp.listen.clone(), config.http.listen.clone());
    for (name, listener) in inherited {
        let (key, configured) = match name.as_str() {
            "rtmp" => ("rtmp.listen", &mut rtmp),
            "http" => ("http.listen", &mut http),
            _ => continue,
        };
        configured.clear();
        listeners.push((key, Listener::adopt(listener, workers)?));
    }
    for (key, addresses) in [("rtmp.listen", rtmp), ("http.listen", http)] {
        for address in addresses {
            let listener = Listener::bind(address, workers);
            listeners.push((key, listener.map_err(|error| StartError::bind(key, error))?));
        }
    }
    for (key, listener) in listeners {
        listening.push(Listening {
            key,
            address: listener.address(),
        });
        for (seed, socket) in seeds.iter_mut().zip(listener.into_sockets()) {
            match key {
                "rtmp.listen" => seed.rtmp.push(socket),
                _ => seed.http.push(socket),
            }
        }
    }
    for (index, input) in config.ts.udp_listen.0.iter().enumerate() {
        const KEY: &str = "ts.udp_listen";
        let failed = |error| StartError::bind(KEY, error);
        let socket = weir_net::udp::bind(input.address).map_err(failed)?;
        let address = socket.local_addr()?;
        listening.push(Listening { key: KEY, address });
        if let Some(seed) = seeds.get_mut(index % workers.max(1)) {
            seed.udp.push((socket, input.stream.clone()));
        }
    }
    Ok((seeds, listening))
}

fn limits(config: &Config) -> Limits {
    Limits {
        sessions: config.limits.sessions.into(),
        sessions_per_address: config.limits.sessions_per_address.into(),
    }
}

fn gate_settings(config: &Config) -> weir_gate::Settings {
    weir_gate::Settings {
        vhosts: config.stream.vhosts.clone(),
        play_wait: config.stream.play_wait,
        write_timeout: config.stream.write_timeout,
        publish_idle: config.rtmp.publish_idle_timeout,
        max_message_bytes: u32::try_from(config.rtmp.max_message_size.bytes()).unwrap_or(u32::MAX),
        handshake: config.rtmp.handshake_timeout,
        request: config.http.request_timeout,
    }
}

fn http_settings(config: &Config, shelf: Shelf, pages: Option<Pages>) -> weir_gate_http::Settings {
    let http = &config.http;
    weir_gate_http::Settings {
        cors_origin: http.cors_origin.header().unwrap_or_default().to_owned(),
        max_head_bytes: http.max_head_size.bytes(),
        publish: http.publish,
        shelf: Some(shelf),
        pages,
    }
}

fn shelf_settings(config: &Config) -> shelf::Settings {
    shelf::Settings {
        segment: Arc::new(segment_settings(config)),
        when: match config.hls.when {
            config::HlsWhen::Watched => shelf::When::Watched,
            config::HlsWhen::Always => shelf::When::Always,
        },
        idle: config.hls.idle,
        folder: Some(config.hls.folder.clone()).filter(|folder| !folder.as_os_str().is_empty()),
    }
}

/// How segments are made. When they are made, `hls.when` and `hls.idle`, is for those who open channels.
pub fn segment_settings(config: &Config) -> weir_segment::Settings {
    let hls = &config.hls;
    weir_segment::Settings {
        segment: hls.segment,
        longest_segment: hls.longest_segment,
        part: hls.part,
        low_latency: hls.low_latency,
        window: hls.window,
        max_bytes: hls.max_size.bytes(),
        keep: match hls.playlist {
            config::HlsPlaylist::Live => weir_segment::Keep::Live,
            config::HlsPlaylist::Event => weir_segment::Keep::Event,
        },
        container: match hls.container {
            config::HlsContainer::Fmp4 => weir_segment::Container::Fmp4,
            config::HlsContainer::Ts => weir_segment::Container::Ts,
        },
        renditions: match hls.renditions {
            config::Renditions::Muxed => weir_segment::Renditions::Muxed,
            config::Renditions::Separate => weir_segment::Renditions::Separate,
        },
        encryption: match hls.encryption {
            config::Encryption::None => weir_segment::Encryption::None,
            config::Encryption::Aes128 => weir_segment::Encryption::Aes128 {
                rotation: hls.key_rotation,
            },
        },
        hls: hls.enabled,
        dash: config.dash.enabled,
    }
}

fn stream_settings(config: &Config) -> weir_hub::Settings {
    let stream = &config.stream;
    weir_hub::Settings {
        gop_cache: stream.gop_cache,
        gop_max_bytes: stream.gop_max_size.bytes(),
        gop_max_duration: stream.gop_max_duration,
        latency: match stream.latency {
            config::Latency::Adaptive => weir_hub::Latency::Adaptive {
                max: stream.latency_max,
            },
            config::Latency::Fixed(latency) => weir_hub::Latency::Fixed(latency),
        },
        start: match stream.start {
            config::Start::Cache => weir_hub::Start::Cache,
            config::Start::NextKey => weir_hub::Start::NextKey,
            config::Start::Live => weir_hub::Start::Live,
        },
        slow_viewer: match stream.slow_viewer {
            config::SlowViewer::Skip => weir_hub::SlowViewer::Skip,
            config::SlowViewer::Disconnect => weir_hub::SlowViewer::Disconnect,
        },
        lag_max_duration: stream.lag_max_duration,
        lag_max_bytes: stream.lag_max_size.bytes(),
        conflict: match stream.publish_conflict {
            config::PublishConflict::Refuse => weir_hub::Conflict::Refuse,
            config::PublishConflict::Takeover => weir_hub::Conflict::Takeover,
        },
        grace: stream.grace,
        viewers_per_stream: config.limits.viewers_per_stream.into(),
        streams: config.limits.streams.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn config(text: &str) -> Config {
        let sources = Sources {
            file: Some(("weir.toml".into(), text.to_owned())),
            ..Sources::default()
        };
        let loaded = Config::load(&sources);
        loaded
            .unwrap_or_else(|problems| panic!("{problems}"))
            .config
    }

    #[test]
    fn the_defaults_of_segments_are_those_of_their_crate() {
        let ours = segment_settings(&config(""));
        assert_eq!(ours, weir_segment::Settings::default());
    }

    #[test]
    fn each_setting_of_segments_arrives() {
        let config = config(
            "[hls]\nenabled = false\nsegment = '4s'\npart = '300ms'\nlow_latency = false\n\
             window = '50s'\nmax_size = '3MiB'\nlongest_segment = '15s'\nplaylist = 'event'\n\
             container = 'ts'\nrenditions = 'separate'\nencryption = 'aes-128'\n\
             key_rotation = '5m'\n[dash]\nenabled = false\n",
        );
        let seconds = Duration::from_secs;
        let expected = weir_segment::Settings {
            segment: seconds(4),
            longest_segment: seconds(15),
            part: Duration::from_millis(300),
            low_latency: false,
            window: seconds(50),
            max_bytes: 3 << 20,
            keep: weir_segment::Keep::Event,
            container: weir_segment::Container::Ts,
            renditions: weir_segment::Renditions::Separate,
            encryption: weir_segment::Encryption::Aes128 {
                rotation: seconds(300),
            },
            hls: false,
            dash: false,
        };
        assert_eq!(segment_settings(&config), expected);
    }
}
