//! Reading the configuration again while the process runs.
//!
//! Owns: [`Reloader`], the configuration in force and what of a new one is put into force. Does not: know signals or
//! routes that ask for it.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Running, load_as};
use crate::cli::Settings;
use crate::config::{self, Config, Loaded};
use crate::log;
use crate::origin::Origin;

/// Rereads the configuration and puts into force what can change live.
#[derive(Debug)]
pub struct Reloader<T = Origin> {
    settings: Settings,
    current: Mutex<Loaded>,
    running: Arc<T>,
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

impl Reloader<Origin> {
    /// What is reloaded.
    pub fn origin(&self) -> &Arc<Origin> {
        &self.running
    }
}

impl<T: Running> Reloader<T> {
    /// Reloads `running` and `logs`, which run with `loaded`, from what `settings` name.
    pub fn new(settings: Settings, loaded: Loaded, running: Arc<T>, logs: log::Handle) -> Self {
        Self {
            settings,
            current: Mutex::new(loaded),
            running,
            logs,
        }
    }

    /// What is reloaded.
    pub fn running(&self) -> &Arc<T> {
        &self.running
    }

    /// The configuration in force.
    pub fn current(&self) -> Config {
        self.lock().config.clone()
    }

    /// The configuration in force, with where each value comes from.
    pub fn loaded(&self) -> Loaded {
        self.lock().clone()
    }

    /// The logs.
    pub fn logs(&self) -> &log::Handle {
        &self.logs
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Loaded> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rereads the configuration. Fails, and changes nothing, when it has problems.
    pub fn reload(&self) -> Result<Vec<Reloaded>, config::Problems> {
        let new = load_as(T::ROLE, &self.settings)?;
        for warning in &new.warnings {
            tracing::warn!(%warning, "configuration");
        }
        let mut current = self.lock();
        let changes: Vec<Reloaded> = Config::diff(&current.config, &new.config)
            .into_iter()
            .map(|change| Reloaded {
                key: change.key.full_name(),
                old: change.old,
                new: change.new,
                live: change.key.live,
            })
            .collect();
        let merged = current.with_live(&new);
        self.running.reload(&merged.config);
        if let Err(error) = self.logs.set_level(&merged.config.log.level) {
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
