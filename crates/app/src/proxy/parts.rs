//! From the configuration to what the parts of the proxy are told.
//!
//! Owns: the translation of each setting, and the connection to the cluster's state. Does not: keep anything.

use std::io;
use std::path::Path;
use std::sync::Arc;

use weir_cluster::memory::{self, Memory};
use weir_cluster::{ClusterState, Endpoints, Service};
use weir_net::clock;
use weir_proxy::directory::{self, DnsKind, DnsName, StaticOrigin};
use weir_proxy::register::Policy;
use weir_proxy::settings as proxy;

use super::StartError;
use crate::config::{self, Backend, Config};

/// Length of a secret that is made, in bytes: as long as the keys that are made of it.
const SECRET_BYTES: usize = 32;

/// What signs the routes of segments: the one that is set, or a new one.
pub(super) fn secret(config: &config::Proxy) -> Result<Vec<u8>, io::Error> {
    if !config.routing_secret.is_empty() {
        return Ok(config.routing_secret.expose().into());
    }
    let mut secret = vec![0; SECRET_BYTES];
    random(&mut secret)?;
    Ok(secret)
}

/// Makes choices and names differ between proxies and runs.
pub(super) fn seed() -> Result<u64, io::Error> {
    let mut seed = [0; 8];
    random(&mut seed)?;
    Ok(u64::from_ne_bytes(seed))
}

fn random(bytes: &mut [u8]) -> Result<(), io::Error> {
    let failed = |_| io::Error::other("the system has no random numbers");
    aws_lc_rs::rand::fill(bytes).map_err(failed)
}

/// What sessions are told.
pub(super) fn settings(config: &Config, secret: &[u8]) -> proxy::Settings {
    let own = &config.proxy;
    let is_signed = match own.routing {
        config::Routing::Signed => true,
        config::Routing::Stored => false,
        // with a shared store and no shared secret, other proxies could not read what this one signs
        config::Routing::Auto => {
            config.cluster.state == config::State::Memory || !own.routing_secret.is_empty()
        }
    };
    let secret = secret.to_vec();
    proxy::Settings {
        opening: own.opening_timeout,
        dial: own.dial_timeout,
        answer: own.answer_timeout,
        stalled: own.stalled_timeout,
        claim_idle: config.cluster.claim_idle,
        attempts: own.attempts,
        hand_over: match own.hand_over {
            config::HandOver::None => proxy::HandOver::None,
            config::HandOver::Srs => proxy::HandOver::Srs,
            config::HandOver::ProxyV1 => proxy::HandOver::ProxyV1,
            config::HandOver::ProxyV2 => proxy::HandOver::ProxyV2,
        },
        key_form: match own.key_form {
            config::KeyForm::Uniform => proxy::KeyForm::Uniform,
            config::KeyForm::Go => proxy::KeyForm::Go,
        },
        http: proxy::Http {
            static_files: file(&own.static_files),
            routing: match is_signed {
                true => proxy::Routing::Signed { secret },
                false => proxy::Routing::Stored,
            },
            cors_origin: own.cors_origin.header().unwrap_or_default().to_owned(),
            ..proxy::Http::default()
        },
        ..proxy::Settings::default()
    }
}

/// Who may register.
pub(super) fn policy(config: &config::Proxy) -> Policy {
    Policy {
        allow: config.register_from.0.clone(),
        force_peer_address: config.register_peer_address,
    }
}

/// What the directory is told.
pub(super) fn directory(config: &Config) -> Result<directory::Options, io::Error> {
    let cluster = &config.cluster;
    let mut static_origins = Vec::new();
    let mut dns_names = Vec::new();
    for backend in &cluster.origins.0 {
        match backend {
            Backend::Fixed { host, ports } => static_origins.push(origin(host, ports)),
            Backend::Dns { host, port } => dns_names.push(DnsName {
                name: host.clone(),
                kind: DnsKind::Address,
                endpoints: endpoints(&[(Service::Rtmp, *port)]),
                device: String::new(),
                weight: WEIGHT,
            }),
            Backend::DnsSrv { name } => dns_names.push(DnsName {
                name: name.clone(),
                kind: DnsKind::Srv,
                endpoints: Endpoints::default(),
                device: String::new(),
                weight: WEIGHT,
            }),
        }
    }
    let default_backend = cluster.default_backend.0.iter().find_map(|backend| {
        let Backend::Fixed { host, ports } = backend else {
            return None;
        };
        Some(origin(host, ports))
    });
    Ok(directory::Options {
        lease: cluster.lease,
        probe_interval: cluster.probe_interval,
        claim_idle: cluster.claim_idle,
        static_origins,
        dns_names,
        default_backend,
        seed: seed()?,
        ..directory::Options::default()
    })
}

/// The share of an origin that says nothing of itself.
const WEIGHT: u32 = 100;

fn origin(host: &str, ports: &[(Service, u16)]) -> StaticOrigin {
    StaticOrigin {
        host: host.to_owned(),
        endpoints: endpoints(ports),
        device: String::new(),
        weight: WEIGHT,
    }
}

fn endpoints(ports: &[(Service, u16)]) -> Endpoints {
    let mut endpoints = Endpoints::default();
    for (service, port) in ports {
        endpoints.set(*service, vec![port.to_string()]);
    }
    endpoints
}

/// The cluster's state. Fails when it is Redis and cannot be used.
pub(super) async fn state(config: &Config) -> Result<Arc<dyn ClusterState>, StartError> {
    match config.cluster.state {
        config::State::Memory => {
            let options = memory::Options {
                lease: config.cluster.lease,
                ..memory::Options::default()
            };
            Ok(Arc::new(Memory::new(options, clock::now)))
        }
        config::State::Redis => redis(config).await,
    }
}

async fn redis(config: &Config) -> Result<Arc<dyn ClusterState>, StartError> {
    let own = &config.redis;
    let server = match own.url.is_empty() {
        true => {
            let port = u16::try_from(own.port).unwrap_or(u16::MAX);
            weir_cluster_redis::Server::new(&own.host, port, own.password.expose(), own.db)
        }
        false => weir_cluster_redis::Server::parse(own.url.expose())
            .map_err(|error| StartError::State(format!("redis.url: {error}")))?,
    };
    let mut options = weir_cluster_redis::Options::new(server);
    options.prefix.clone_from(&own.key_prefix);
    options.lease = config.cluster.lease;
    options.ca_file = file(&own.ca_file);
    let connected = weir_cluster_redis::Redis::connect(options).await;
    let redis = connected.map_err(|error| StartError::State(error.to_string()))?;
    Ok(Arc::new(redis))
}

fn file(path: &Path) -> Option<std::path::PathBuf> {
    (!path.as_os_str().is_empty()).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Role, Sources};

    fn config(text: &str) -> Config {
        let sources = Sources {
            file: Some(("weir.toml".into(), text.to_owned())),
            role: Role::Proxy,
            ..Sources::default()
        };
        let loaded = Config::load(&sources);
        loaded
            .unwrap_or_else(|problems| panic!("{problems}"))
            .config
    }

    #[test]
    fn the_defaults_are_those_of_the_parts() {
        let config = config("");
        let mut expected = proxy::Settings::default();
        expected.http.routing = proxy::Routing::Signed {
            secret: b"s".to_vec(),
        };
        assert_eq!(settings(&config, b"s"), expected);
        let (ours, theirs) = (directory(&config).unwrap(), directory::Options::default());
        assert_eq!(ours.lease, theirs.lease);
        assert_eq!(ours.probe_interval, theirs.probe_interval);
        assert_eq!(ours.claim_idle, theirs.claim_idle);
        assert!(ours.default_backend.is_none());
    }

    #[test]
    fn each_setting_of_sessions_arrives() {
        let config = config(
            "[proxy]\nopening_timeout = '3s'\ndial_timeout = '4s'\nanswer_timeout = '6s'\n\
             stalled_timeout = '7s'\nattempts = 8\nhand_over = 'proxy-v2'\nkey_form = 'go'\n\
             static_files = 'www'\ncors_origin = ''\nrouting = 'stored'\n\
             [cluster]\nclaim_idle = '9s'\n",
        );
        let seconds = Duration::from_secs;
        let defaults = proxy::Settings::default();
        let expected = proxy::Settings {
            opening: seconds(3),
            dial: seconds(4),
            answer: seconds(6),
            stalled: seconds(7),
            claim_idle: seconds(9),
            attempts: 8,
            hand_over: proxy::HandOver::ProxyV2,
            key_form: proxy::KeyForm::Go,
            http: proxy::Http {
                static_files: Some("www".into()),
                routing: proxy::Routing::Stored,
                cors_origin: String::new(),
                ..defaults.http.clone()
            },
            ..defaults
        };
        assert_eq!(settings(&config, b""), expected);
    }

    #[test]
    fn who_may_register_is_what_the_configuration_says() {
        assert_eq!(policy(&config("").proxy), Policy::default());
        let text = "[proxy]\nregister_from = ['10.0.0.0/8', '::1']\nregister_peer_address = true\n";
        let policy = policy(&config(text).proxy);
        assert!(policy.force_peer_address);
        for (address, admitted) in [
            ("10.1.1.1", true),
            ("11.1.1.1", false),
            ("::1", true),
            ("::2", false),
        ] {
            assert_eq!(
                policy.admits(address.parse().unwrap()),
                admitted,
                "{address}"
            );
        }
    }

    #[test]
    fn routes_are_signed_where_every_proxy_can_read_them() {
        for (text, signed) in [
            ("", true),
            ("cluster.state = 'redis'", false),
            ("cluster.state = 'redis'\nproxy.routing_secret = 'x'", true),
            ("cluster.state = 'redis'\nproxy.routing = 'signed'", true),
            (
                "proxy.routing = 'stored'\nproxy.routing_secret = 'x'",
                false,
            ),
        ] {
            let config = config(text);
            let secret = secret(&config.proxy).unwrap();
            let is_signed = settings(&config, &secret).http.routing != proxy::Routing::Stored;
            assert_eq!(is_signed, signed, "{text}");
            let length = if text.contains("secret") {
                1
            } else {
                SECRET_BYTES
            };
            assert_eq!(secret.len(), length);
        }
        let made = |config: &Config| secret(&config.proxy).unwrap();
        let config = config("");
        assert_ne!(made(&config), made(&config));
    }

    /// B9, C14: origins of the configuration reach the directory with all their ports.
    #[test]
    fn origins_of_the_configuration_reach_the_directory() {
        let config = config(
            "[cluster]\norigins = ['rtmp://a:1,http://a:2', 'dns://b:3', 'dns+srv://_c._tcp.d']\n\
             default_backend = 'rtmp://[::1]:4,rtc://[::1]:5'\nlease = '30s'\n",
        );
        let options = directory(&config).unwrap();
        assert_eq!(options.lease, Duration::from_secs(30));
        let [a] = options.static_origins.as_slice() else {
            panic!("{options:?}")
        };
        assert_eq!(a.host, "a");
        assert_eq!(a.endpoints.get(Service::Rtmp), ["1"]);
        assert_eq!(a.endpoints.get(Service::Http), ["2"]);
        let [b, d] = options.dns_names.as_slice() else {
            panic!("{options:?}")
        };
        assert_eq!((b.name.as_str(), b.kind), ("b", DnsKind::Address));
        assert_eq!(b.endpoints.get(Service::Rtmp), ["3"]);
        assert_eq!((d.name.as_str(), d.kind), ("_c._tcp.d", DnsKind::Srv));
        let backend = options.default_backend.unwrap();
        assert_eq!(backend.host, "::1");
        assert_eq!(backend.endpoints.get(Service::Rtc), ["5"]);
    }
}
