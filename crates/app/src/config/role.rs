//! What a process is, as far as it decides on settings.
//!
//! Owns: [`Role`], the sections and keys that concern each, and the defaults that differ. Does not: run anything.

use std::time::Duration;

use super::Config;
use super::keys::Key;

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// `weir origin`
    #[default]
    Origin,
    /// `weir proxy`
    Proxy,
    /// None: a configuration is checked for whoever may use it.
    Any,
}

impl Role {
    /// Whether `key` does something in this role.
    pub fn uses(self, key: &Key) -> bool {
        let common = matches!(key.section, "server" | "log" | "limits");
        match self {
            Self::Any => true,
            Self::Origin => common || !is_of_proxy(key.section),
            Self::Proxy if key.section == "limits" => key.name.starts_with("sessions"),
            Self::Proxy => common || is_of_proxy(key.section),
        }
    }
}

fn is_of_proxy(section: &str) -> bool {
    matches!(section, "proxy" | "cluster" | "redis")
}

/// What the Go proxy waits for its sessions.
const PROXY_DRAIN: Duration = Duration::from_secs(20);

impl Config {
    /// The defaults in `role`; `Default` gives those of the origin.
    pub fn of(role: Role) -> Self {
        let mut config = Self::default();
        if role == Role::Proxy {
            config.server.drain_timeout = PROXY_DRAIN;
        }
        config
    }
}
