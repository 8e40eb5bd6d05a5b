//! The proxy's listening sockets.
//!
//! Owns: binding all of them before anything else starts, and the one line that is said when one cannot be bound. Does
//! not: serve them.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use weir_net::listen::{self, Listener};

use super::asked;
use crate::config::{ListenAt, Loaded, Origin, key};
use crate::origin::Listening;

/// The key of the debug page's addresses, which are no reason not to start.
const DEBUG: &str = "proxy.debug_listen";

/// An address that could not be listened on, and who asked for it.
#[derive(Debug)]
pub struct BindError {
    /// Who asked, such as `PROXY_RTMP_SERVER=11935`.
    asked: String,
    /// What else could be set; `None` where somebody has set it.
    advice: Option<String>,
    /// What is wrong.
    error: Failure,
}

#[derive(Debug)]
enum Failure {
    Bind(listen::BindError),
    Resolve(ListenAt, io::Error),
    Adopt(io::Error),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.asked)?;
        match &self.error {
            Failure::Bind(error) => write!(f, "{error}")?,
            Failure::Resolve(at, error) => write!(f, "cannot listen on {at}: {error}")?,
            Failure::Adopt(error) => write!(f, "cannot use the socket that was passed: {error}")?,
        }
        match &self.advice {
            Some(advice) => write!(f, " ({advice})"),
            None => Ok(()),
        }
    }
}

// what the system said is part of the text, and so not named as its source
impl std::error::Error for BindError {}

/// Every socket that the configuration asks for.
#[derive(Debug, Default)]
pub(super) struct Sockets(Vec<(&'static str, Listener)>);

impl Sockets {
    /// Binds every address; those of sessions once for each of `workers`. Fails at the first that cannot be bound.
    pub(super) fn bind(
        loaded: &Loaded,
        inherited: Vec<(String, TcpListener)>,
        workers: usize,
    ) -> Result<Self, BindError> {
        let mut sockets = Vec::new();
        let mut replaced = Vec::new();
        let listeners = loaded.config.proxy.listeners();
        for (name, socket) in inherited {
            let full_name = format!("proxy.{name}_listen");
            let known = listeners.iter().find(|(key, _)| *key == full_name);
            let Some((key, _)) = known else {
                continue;
            };
            let adopted = Listener::adopt(socket, cores(key, workers));
            sockets.push((
                *key,
                adopted.map_err(|error| failed(loaded, key, None, Failure::Adopt(error)))?,
            ));
            replaced.push(*key);
        }
        for (key, listens) in listeners {
            for at in listens.0.iter().filter(|_| !replaced.contains(&key)) {
                match bind(at, cores(key, workers)) {
                    Ok(listener) => sockets.push((key, listener)),
                    Err(error) => {
                        let error = failed(loaded, key, Some(at), error);
                        if key != DEBUG {
                            return Err(error);
                        }
                        tracing::warn!(%error, "no debug page");
                    }
                }
            }
        }
        Ok(Self(sockets))
    }

    /// The addresses in force.
    pub(super) fn listening(&self) -> Vec<Listening> {
        let listening = |(key, listener): &(&'static str, Listener)| Listening {
            key,
            address: listener.address(),
        };
        self.0.iter().map(listening).collect()
    }

    /// The sockets, with their keys.
    pub(super) fn into_listeners(self) -> Vec<(&'static str, Listener)> {
        self.0
    }
}

/// How many sockets a listener has: one for each core where sessions come in, else one.
fn cores(key: &str, workers: usize) -> usize {
    match key {
        "proxy.api_listen" | "proxy.system_listen" | DEBUG => 1,
        _ => workers,
    }
}

fn bind(at: &ListenAt, cores: usize) -> Result<Listener, Failure> {
    let address = at
        .resolve()
        .map_err(|error| Failure::Resolve(at.clone(), error))?;
    Listener::bind(address, cores).or_else(|error| {
        let taken = matches!(
            error.source.kind(),
            io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
        );
        match at.host {
            // a machine without IPv6 has all its addresses in IPv4
            None if !taken => {
                let every = SocketAddr::from((Ipv4Addr::UNSPECIFIED, at.port));
                Listener::bind(every, cores).map_err(Failure::Bind)
            }
            _ => Err(Failure::Bind(error)),
        }
    })
}

fn failed(
    loaded: &Loaded,
    full_name: &'static str,
    at: Option<&ListenAt>,
    error: Failure,
) -> BindError {
    let origin = loaded.origin_of(full_name);
    let mut asked = asked(loaded, full_name);
    if let (Origin::Variable(_) | Origin::DotEnv { .. }, Some(at)) = (origin, at) {
        // as it is written in most files
        let value = at.to_string();
        asked.push('=');
        asked.push_str(value.strip_prefix(':').unwrap_or(&value));
    }
    let advice = key(full_name).filter(|_| *origin == Origin::Default);
    BindError {
        asked,
        advice: advice.map(|key| {
            let (flag, variable) = (key.flag(), key.variable());
            format!("choose another with --{flag} or {variable}")
        }),
        error,
    }
}
