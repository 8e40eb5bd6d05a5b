//! What a reload would change.
//!
//! Owns: [`Change`]. Does not: apply it.

use std::fmt;

use super::Config;
use super::keys::{KEYS, Key};

/// One key whose value differs between two configurations.
///
/// Displays as `stream.grace: "10s" -> "30s"`, with `(needs a restart)` behind it where a reload does not apply it.
#[derive(Debug, PartialEq)]
pub struct Change {
    /// Which key; [`Key::live`] says whether a reload applies it.
    pub key: &'static Key,
    /// The value before as TOML, `"***"` for a secret.
    pub old: String,
    /// The value after as TOML, `"***"` for a secret.
    pub new: String,
}

impl Config {
    /// Every key whose value differs, in the order of [`KEYS`].
    pub fn diff(old: &Self, new: &Self) -> Vec<Change> {
        KEYS.iter()
            .filter(|key| key.text(old) != key.text(new))
            .map(|key| Change {
                key,
                old: key.shown(old),
                new: key.shown(new),
            })
            .collect()
    }

    /// This configuration with the values of `new` for every key that a reload applies.
    ///
    /// A key that needs a restart keeps its value, so that what is reported as running is what runs.
    pub fn with_live(&self, new: &Self) -> Self {
        let mut next = new.clone();
        for key in KEYS.iter().filter(|key| !key.live) {
            (key.copy)(self, &mut next);
        }
        next
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, old, new } = self;
        let restart = if key.live { "" } else { " (needs a restart)" };
        write!(f, "{}: {old} -> {new}{restart}", key.full_name())
    }
}
