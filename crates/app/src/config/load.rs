//! Loading: flags over environment over file over default.
//!
//! Owns: [`Sources`], their order, the checks that span keys, and which source gave a value. Does not: know how one
//! value is read.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use super::file;
use super::keys::{KEYS, Key, key};
use super::problem::{Origin, Problem, Problems};
use super::setting::Raw;
use super::suggest::nearest;
use super::{Config, Listener};

/// The variable that names the file.
pub const CONFIG_VARIABLE: &str = "WEIR_CONFIG";

/// Everything a configuration is made from.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file, as it was named, and its text.
    pub file: Option<(PathBuf, String)>,
    /// Names and values of the environment; those that do not begin with `WEIR_` are not looked at.
    pub env: Vec<(String, String)>,
    /// Names of flags without the two hyphens, and their values. A flag for a list may be there more than once.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// Reads the file that `named` names, or the variable [`CONFIG_VARIABLE`] of `env`, or none.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is not UTF-8.
    pub fn read(
        named: Option<&Path>,
        env: Vec<(String, String)>,
        flags: Vec<(String, String)>,
    ) -> Result<Self, Problems> {
        let variable = env
            .iter()
            .find(|(name, value)| name == CONFIG_VARIABLE && !value.is_empty());
        let (path, origin) = match (named, variable) {
            (Some(path), _) => (path, Origin::Flag("config".to_owned())),
            (None, Some((name, value))) => (Path::new(value), Origin::Variable(name.clone())),
            (None, None) => {
                return Ok(Self {
                    file: None,
                    env,
                    flags,
                });
            }
        };
        let text = fs::read_to_string(path).map_err(|error| {
            let message = format!("cannot read {}: {error}", path.display());
            Problems(vec![Problem::new(origin, message)])
        })?;
        Ok(Self {
            file: Some((path.to_owned(), text)),
            env,
            flags,
        })
    }
}

/// The variables of this process that concern Weir. Bytes that are not UTF-8 are replaced, and then fail to be read.
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .map(|(name, value)| {
            (
                name.to_string_lossy().into(),
                value.to_string_lossy().into(),
            )
        })
        .filter(|(name, _): &(String, String)| name.starts_with(PREFIX))
        .collect()
}

/// A configuration and where its values came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    origins: Vec<(&'static Key, Origin)>,
}

impl Loaded {
    /// Which source gave the value of `full_name`, such as `rtmp.listen`. A name that is no key has its default.
    pub fn origin_of(&self, full_name: &str) -> &Origin {
        key(full_name).map_or(&Origin::Default, |key| origin(&self.origins, key))
    }

    /// One line for each key that is set, as `rtmp.chunk_size = 4096  # weir.toml:3`. Secrets are masked.
    pub fn report(&self) -> String {
        let mut report = String::new();
        for key in KEYS {
            let origin = origin(&self.origins, key);
            if *origin != Origin::Default {
                let (name, value) = (key.full_name(), key.shown(&self.config));
                // Writing to a string cannot fail.
                let _ = writeln!(report, "{name} = {value}  # {origin}");
            }
        }
        report
    }
}

impl Config {
    /// Makes a configuration of `sources`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong in any source, also in values that another source overrides.
    pub fn load(sources: &Sources) -> Result<Loaded, Problems> {
        let mut loader = Loader::default();
        if let Some((path, text)) = &sources.file {
            for entry in file::entries(path, text, &mut loader.problems) {
                loader.set(entry.key, &entry.raw, entry.origin);
            }
        }
        loader.environment(&sources.env);
        loader.flags(&sources.flags);
        if loader.problems.is_empty() {
            loader.check_together();
        }
        if loader.problems.is_empty() {
            Ok(Loaded {
                config: loader.config,
                origins: loader.origins,
            })
        } else {
            Err(Problems(loader.problems))
        }
    }
}

#[derive(Default)]
struct Loader {
    config: Config,
    /// The last entry of a key counts.
    origins: Vec<(&'static Key, Origin)>,
    problems: Vec<Problem>,
}

impl Loader {
    fn set(&mut self, key: &'static Key, raw: &Raw, origin: Origin) {
        match (key.value_mut)(&mut self.config).read(raw, &key.range) {
            Ok(()) => self.origins.push((key, origin)),
            Err(message) => self.wrong(key, origin, message),
        }
    }

    fn wrong(&mut self, key: &Key, at: Origin, message: String) {
        // A flag and a variable are named after their key; a line is not.
        let named = matches!(at, Origin::File { .. } | Origin::Default);
        self.problems.push(Problem {
            at,
            key: named.then(|| key.full_name()),
            message,
        });
    }

    fn environment(&mut self, env: &[(String, String)]) {
        for (name, value) in env {
            if !name.starts_with(PREFIX) || is_foreign(name) {
                continue;
            }
            let origin = Origin::Variable(name.clone());
            match KEYS.iter().find(|key| key.variable() == *name) {
                Some(_) if value.is_empty() => {}
                Some(key) => self.set(key, &Raw::Text(value.clone()), origin),
                None => {
                    let names: Vec<_> = KEYS.iter().map(Key::variable).collect();
                    self.unknown(origin, name, &names, "variable");
                }
            }
        }
    }

    fn flags(&mut self, flags: &[(String, String)]) {
        let names: Vec<_> = KEYS.iter().map(Key::flag).collect();
        for (name, _) in flags.iter().filter(|(name, _)| !names.contains(name)) {
            self.unknown(Origin::Flag(name.clone()), name, &names, "flag");
        }
        for (key, flag) in KEYS.iter().zip(names) {
            let values: Vec<_> = flags
                .iter()
                .filter(|(name, _)| *name == flag)
                .map(|(_, value)| &**value)
                .collect();
            let value = if key.is_list() {
                &*values.join(",")
            } else {
                values.last().unwrap_or(&"")
            };
            if !values.is_empty() {
                self.set(key, &Raw::Text(value.to_owned()), Origin::Flag(flag));
            }
        }
    }

    fn unknown(&mut self, at: Origin, name: &str, names: &[String], what: &str) {
        let near = nearest(name, names.iter().map(String::as_str));
        let hint = near
            .or_else(|| part_of(name, names))
            .map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
        self.problems
            .push(Problem::new(at, format!("unknown {what}{hint}")));
    }

    /// What no single key can tell.
    fn check_together(&mut self) {
        let listeners: Vec<Listener> = self.config.listeners().collect();
        for (i, listener) in listeners.iter().enumerate() {
            // Port 0 is any free port, so two of them do not meet.
            let same = |other: &&Listener| other.address == listener.address;
            let other = listeners.iter().take(i).find(same);
            if let Some(other) = other.filter(|_| listener.address.port() != 0) {
                // A default is not at fault where someone set the other one.
                let by_default = *self.origin_of(listener.key) == Origin::Default;
                let (guilty, other) = if by_default {
                    (other.key, listener.key)
                } else {
                    (listener.key, other.key)
                };
                self.wrong_key(guilty, format!("{} is also in {other}", listener.address));
            }
        }
        let api = &self.config.api;
        let open = api
            .listen
            .iter()
            .find(|address| !address.ip().to_canonical().is_loopback());
        if let Some(address) = open.filter(|_| api.token.is_empty()) {
            let message = format!(
                "{address} can be reached from other hosts: set api.token (as the variable \
                 WEIR_API_TOKEN), or listen on a loopback address such as 127.0.0.1:{}",
                address.port()
            );
            self.wrong_key("api.listen", message);
        }
    }

    fn wrong_key(&mut self, full_name: &str, message: String) {
        if let Some(key) = key(full_name) {
            let at = origin(&self.origins, key).clone();
            self.wrong(key, at, message);
        }
    }

    fn origin_of(&self, full_name: &str) -> &Origin {
        key(full_name).map_or(&Origin::Default, |key| origin(&self.origins, key))
    }
}

/// The first of `names` of which `name` is the beginning or the end in whole words: `WEIR_LOG` for `WEIR_LOG_LEVEL`,
/// `WEIR_TOKEN` for `WEIR_API_TOKEN`.
fn part_of<'a>(name: &str, names: &'a [String]) -> Option<&'a str> {
    let end = name.strip_prefix(PREFIX).unwrap_or(name);
    let fits = |full: &&str| {
        full.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['_', '-']))
            || full
                .strip_suffix(end)
                .is_some_and(|rest| rest.ends_with(['_', '-']))
    };
    names
        .iter()
        .map(String::as_str)
        .find(|full| !end.is_empty() && fits(full))
}

fn origin<'a>(origins: &'a [(&'static Key, Origin)], key: &Key) -> &'a Origin {
    let last = origins.iter().rev().find(|(of, _)| *of == key);
    last.map_or(&Origin::Default, |(_, origin)| origin)
}

/// Whether a name that begins with `WEIR_` is not a setting: the file's name, the tests' own, or one of those that
/// Kubernetes makes of a Service called `weir` or `weir-…` (documentation of Kubernetes, "Discovering services").
fn is_foreign(name: &str) -> bool {
    let service = name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT");
    let link = name.ends_with("_PORT") || {
        let port = name.split_once("_PORT_").map_or("", |(_, port)| port);
        port.starts_with(|c: char| c.is_ascii_digit())
    };
    name == CONFIG_VARIABLE || name.starts_with(TEST_PREFIX) || service || link
}

const PREFIX: &str = "WEIR_";
const TEST_PREFIX: &str = "WEIR_TEST_";
