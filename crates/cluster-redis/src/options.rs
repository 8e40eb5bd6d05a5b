//! Where the Redis is and how it is used.
//!
//! Owns: [`Options`], the URLs that name a Redis, and what is said about one without its secrets. Does not: connect.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use weir_cluster::StateError;

/// Port where Redis listens if nothing else is said.
const REDIS_PORT: u16 = 6379;
/// Port where a sentinel listens if nothing else is said.
const SENTINEL_PORT: u16 = 26_379;
/// Most hosts that a URL may name: they are only where to begin.
const MAX_HOSTS: usize = 64;

/// A text that is never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// The text, for whoever must send it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "none" } else { "***" })
    }
}

/// A host and its port; the host without brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// How the hosts of a URL are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One server.
    Single,
    /// The hosts are sentinels that know the server of this name.
    Sentinel(String),
    /// The hosts are some of a Redis Cluster.
    Cluster,
}

/// A Redis: a server, a server that sentinels watch, or a Redis Cluster. Its `Debug` and `Display` have no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub(crate) kind: Kind,
    pub(crate) tls: bool,
    pub(crate) user: String,
    pub(crate) password: Secret,
    pub(crate) hosts: Vec<Address>,
    pub(crate) db: u32,
}

/// Why a text names no Redis. Does not repeat the text, which may have a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It begins with none of the schemes that are known.
    #[error(
        "redis url has no known scheme: redis, redis+sentinel or redis+cluster, or rediss for TLS"
    )]
    Scheme,
    /// There is no host, too many, or one that is none.
    #[error("redis url has a bad host")]
    Host,
    /// A port is none.
    #[error("redis url has a bad port")]
    Port,
    /// User or password are no UTF-8 when their escapes are undone.
    #[error("redis url has a bad user or password")]
    Login,
    /// What should be the number of a database is none.
    #[error("redis url has a bad database number")]
    Database,
    /// A sentinel's URL names no master.
    #[error("redis url of sentinels names no master")]
    Master,
    /// There is more than the scheme allows.
    #[error("redis url has something behind its end")]
    Excess,
}

impl Server {
    /// One server without TLS. `password` and `db` are not used when empty and 0.
    pub fn new(host: &str, port: u16, password: &str, db: u32) -> Self {
        Self {
            kind: Kind::Single,
            tls: false,
            user: String::new(),
            password: Secret(password.to_owned()),
            hosts: vec![Address {
                host: host.to_owned(),
                port,
            }],
            db,
        }
    }

    /// Reads one of these, with `rediss` in place of `redis` for TLS:
    ///
    /// - `redis://[user:password@]host[:port][/db]`
    /// - `redis+sentinel://[user:password@]host[:port][,host[:port]…]/master[/db]`; user and password are those of the
    ///   servers, and of the sentinels if they want any
    /// - `redis+cluster://[user:password@]host[:port][,host[:port]…]`
    ///
    /// User and password may be percent-encoded. With sentinels and TLS, all of them speak TLS, and each server's certificate
    /// must be for the host by which the sentinels name it.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = url.trim().split_once("://").ok_or(UrlError::Scheme)?;
        let (tls, kind) = match scheme {
            "redis" => (false, Kind::Single),
            "rediss" => (true, Kind::Single),
            "redis+sentinel" => (false, Kind::Sentinel(String::new())),
            "rediss+sentinel" => (true, Kind::Sentinel(String::new())),
            "redis+cluster" => (false, Kind::Cluster),
            "rediss+cluster" => (true, Kind::Cluster),
            _ => return Err(UrlError::Scheme),
        };
        // a password may have anything in it, and people do not encode it
        let (login, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        if rest.contains(['?', '#']) {
            return Err(UrlError::Excess);
        }
        let mut path = rest.split('/');
        let hosts = path.next().unwrap_or_default();
        let kind = match kind {
            Kind::Sentinel(_) => match path.next() {
                None | Some("") => return Err(UrlError::Master),
                Some(master) => Kind::Sentinel(decode(master).ok_or(UrlError::Master)?),
            },
            other => other,
        };
        let db = match path.next() {
            None | Some("") => 0,
            Some(db) => db.parse().map_err(|_| UrlError::Database)?,
        };
        if path.next().is_some() || (kind == Kind::Cluster && db != 0) {
            return Err(UrlError::Excess);
        }
        let port = match kind {
            Kind::Sentinel(_) => SENTINEL_PORT,
            Kind::Single | Kind::Cluster => REDIS_PORT,
        };
        let hosts: Vec<Address> = hosts
            .split(',')
            .take(MAX_HOSTS + 1)
            .map(|text| address(text, port))
            .collect::<Result<_, _>>()?;
        if hosts.len() > MAX_HOSTS || (kind == Kind::Single && hosts.len() != 1) {
            return Err(UrlError::Host);
        }
        Ok(Self {
            kind,
            tls,
            user: decode(user).ok_or(UrlError::Login)?,
            password: Secret(decode(password).ok_or(UrlError::Login)?),
            hosts,
            db,
        })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.tls { "s" } else { "" };
        let kind = match self.kind {
            Kind::Single => "",
            Kind::Sentinel(_) => "+sentinel",
            Kind::Cluster => "+cluster",
        };
        write!(f, "redis{tls}{kind}://")?;
        if !self.user.is_empty() || !self.password.reveal().is_empty() {
            let password = if self.password.reveal().is_empty() {
                ""
            } else {
                ":***"
            };
            write!(f, "{}{password}@", self.user)?;
        }
        for (at, host) in self.hosts.iter().enumerate() {
            write!(f, "{}{host}", if at == 0 { "" } else { "," })?;
        }
        if let Kind::Sentinel(master) = &self.kind {
            write!(f, "/{master}")?;
        }
        if self.db != 0 {
            write!(f, "/{}", self.db)?;
        }
        Ok(())
    }
}

fn decode(text: &str) -> Option<String> {
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

fn address(text: &str, port: u16) -> Result<Address, UrlError> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(text) => text.split_once(']').ok_or(UrlError::Host)?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    if host.is_empty() || host.contains(|char: char| char.is_control() || char == ' ') {
        return Err(UrlError::Host);
    }
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => port,
        None => return Err(UrlError::Host),
        Some(port) => port.parse().map_err(|_| UrlError::Port)?,
    };
    if port == 0 {
        return Err(UrlError::Port);
    }
    Ok(Address {
        host: host.to_owned(),
        port,
    })
}

/// How a cluster's state is kept in Redis. Its `Debug` has no password.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which Redis.
    pub server: Server,
    /// What all keys start with, before a colon; empty for keys as they are.
    pub prefix: String,
    /// How long a node lives after it registered.
    pub lease: Duration,
    /// How long one call waits. Calls that take many round trips, such as all claims, wait four times as long.
    pub timeout: Duration,
    /// PEM file of the authorities that a server with TLS is trusted by, instead of the system's.
    pub ca_file: Option<PathBuf>,
}

impl Options {
    /// Uses `server` as the SRS proxy does: no prefix, and a lease of 300 s. A call waits 2 s.
    pub fn new(server: Server) -> Self {
        Self {
            server,
            prefix: String::new(),
            lease: Duration::from_secs(300),
            timeout: Duration::from_secs(2),
            ca_file: None,
        }
    }
}

/// Why a Redis cannot be used from the start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The file of authorities cannot be read.
    #[error("cannot read the authorities in {}: {error}", file.display())]
    Authorities {
        /// The file.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The options do not fit together.
    #[error("cannot use {server}: {why}")]
    Options {
        /// Which Redis, without its password.
        server: String,
        /// What is wrong.
        why: String,
    },
    /// It is away, or it refuses.
    #[error("cannot use {server}: {why}")]
    Server {
        /// Which Redis, without its password.
        server: String,
        /// What it said, or did not.
        why: StateError,
    },
}

#[cfg(test)]
mod tests;
