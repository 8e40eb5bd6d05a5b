//! Loading: flags over environment over file over default.
//!
//! Owns: [`Sources`], their order, and which source gave a value. Does not: know how one value is read, or what two keys
//! mean together.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::file;
use super::keys::{KEYS, Key, key};
use super::problem::{Origin, Problem, Problems};
use super::role::Role;
use super::setting::Raw;
use super::suggest::nearest;
use super::{Config, dotenv, go, together};

/// The variable that names the file.
pub const CONFIG_VARIABLE: &str = "WEIR_CONFIG";

/// Everything a configuration is made from.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file, as it was named, and its text.
    pub file: Option<(PathBuf, String)>,
    /// Names and values of the environment; those that do not begin with `WEIR_` are not looked at, except by a proxy
    /// those of the Go proxy.
    pub env: Vec<(String, String)>,
    /// Text of the file [`DOTENV`], which only a proxy has: it gives the variables that the environment does not.
    pub dotenv: Option<String>,
    /// Who will use the configuration.
    pub role: Role,
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
                    env,
                    flags,
                    ..Self::default()
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
            ..Self::default()
        })
    }

    /// These sources for `role`. For a proxy this reads [`DOTENV`] in the working directory, if it is there.
    ///
    /// # Errors
    ///
    /// That file is there and cannot be read, or is not UTF-8.
    pub fn for_role(mut self, role: Role) -> Result<Self, Problems> {
        self.role = role;
        if role == Role::Proxy {
            self.dotenv = match fs::read_to_string(DOTENV) {
                Ok(text) => Some(text),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => {
                    let at = Origin::File {
                        path: DOTENV.into(),
                        line: 1,
                    };
                    let message = format!("cannot read it: {error}");
                    return Err(Problems(vec![Problem::new(at, message)]));
                }
            };
        }
        Ok(self)
    }

    /// The variables in force: those of the environment, and those of the file `.env` for what it does not set. An empty
    /// one is not set.
    fn variables(&self, warnings: &mut Vec<Problem>) -> Vec<Variable> {
        let set = self.env.iter().filter(|(_, value)| !value.is_empty());
        let mut variables: Vec<Variable> = set
            .map(|(name, value)| Variable {
                name: name.clone(),
                value: value.clone(),
                at: Origin::Variable(name.clone()),
            })
            .collect();
        let (lines, odd) = dotenv::lines(self.dotenv.as_deref().unwrap_or_default());
        for line in odd {
            let path = DOTENV.into();
            let at = Origin::File { path, line };
            warnings.push(Problem::new(
                at,
                "the line sets nothing (expected NAME=value)",
            ));
        }
        for line in lines {
            if !variables.iter().any(|one| one.name == line.name) {
                variables.push(Variable {
                    at: Origin::DotEnv {
                        name: line.name.clone(),
                        line: line.number,
                    },
                    name: line.name,
                    value: line.value,
                });
            }
        }
        variables
    }
}

/// A variable that is set, and by whom.
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) at: Origin,
}

/// The variables of this process that concern Weir and the Go proxy. Bytes that are not UTF-8 are replaced, and then fail
/// to be read.
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .map(|(name, value)| {
            (
                name.to_string_lossy().into(),
                value.to_string_lossy().into(),
            )
        })
        .filter(|(name, _): &(String, String)| name.starts_with(PREFIX) || go::is_of_go(name))
        .collect()
}

/// A configuration and where its values came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// What is odd, but no reason to refuse the configuration.
    pub warnings: Vec<Problem>,
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

impl Loaded {
    /// Every value that `role` uses, set or not, on one line. Secrets are masked.
    pub fn summary(&self, role: Role) -> String {
        let keys = KEYS.iter().filter(|key| role.uses(key));
        let values = keys.map(|key| format!("{}={}", key.full_name(), key.shown(&self.config)));
        values.collect::<Vec<_>>().join(" ")
    }
}

impl Loaded {
    /// This configuration with the values of `new`, and their origins, for every key that a reload applies.
    pub fn with_live(&self, new: &Self) -> Self {
        let live = |(key, _): &&(&'static Key, Origin)| key.live;
        let fixed = self.origins.iter().filter(|one| !live(one));
        let origins = fixed.chain(new.origins.iter().filter(live)).cloned();
        Self {
            config: self.config.with_live(&new.config),
            warnings: new.warnings.clone(),
            origins: origins.collect(),
        }
    }
}

impl Config {
    /// Makes a configuration of `sources`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong in any source, also in values that another source overrides.
    pub fn load(sources: &Sources) -> Result<Loaded, Problems> {
        let mut loader = Loader {
            config: Self::of(sources.role),
            ..Loader::default()
        };
        if let Some((path, text)) = &sources.file {
            for entry in file::entries(path, text, &mut loader.problems) {
                loader.set(entry.key, &entry.raw, entry.origin);
            }
        }
        let variables = sources.variables(&mut loader.warnings);
        if sources.role == Role::Proxy {
            go::apply(&mut loader, &variables);
        }
        loader.environment(sources, &variables);
        loader.flags(&sources.flags);
        if loader.problems.is_empty() {
            together::check(&mut loader, sources.role);
        }
        if loader.problems.is_empty() {
            Ok(Loaded {
                config: loader.config,
                warnings: loader.warnings,
                origins: loader.origins,
            })
        } else {
            Err(Problems(loader.problems))
        }
    }
}

#[derive(Default)]
pub(super) struct Loader {
    pub(super) config: Config,
    /// The last entry of a key counts.
    origins: Vec<(&'static Key, Origin)>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

impl Loader {
    pub(super) fn set(&mut self, key: &'static Key, raw: &Raw, origin: Origin) {
        match (key.value_mut)(&mut self.config).read(raw, &key.range) {
            Ok(()) => self.origins.push((key, origin)),
            Err(message) => self.wrong(key, origin, message),
        }
    }

    pub(super) fn wrong(&mut self, key: &Key, at: Origin, message: String) {
        self.problems.push(problem(key, at, message));
    }

    fn environment(&mut self, sources: &Sources, variables: &[Variable]) {
        // an empty variable sets nothing, but its name may be wrong
        let empty = sources.env.iter().filter(|(_, value)| value.is_empty());
        let empty = empty.map(|(name, value)| (name, value, Origin::Variable(name.clone())));
        let set = variables
            .iter()
            .map(|one| (&one.name, &one.value, one.at.clone()));
        for (name, value, at) in set.chain(empty) {
            if !name.starts_with(PREFIX) || is_foreign(name, value) {
                continue;
            }
            match KEYS.iter().find(|key| key.variable() == *name) {
                Some(_) if value.is_empty() => {}
                Some(key) => {
                    if !sources.role.uses(key) {
                        self.warn(at.clone(), "it sets nothing in this kind of process");
                    }
                    self.set(key, &Raw::Text(value.clone()), at);
                }
                None => {
                    let names: Vec<_> = KEYS.iter().map(Key::variable).collect();
                    self.unknown(at, name, &names, "variable");
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

    pub(super) fn wrong_key(&mut self, full_name: &str, message: impl Into<String>) {
        if let Some(key) = key(full_name) {
            let at = origin(&self.origins, key).clone();
            self.wrong(key, at, message.into());
        }
    }

    pub(super) fn warn_key(&mut self, full_name: &str, message: impl Into<String>) {
        if let Some(key) = key(full_name) {
            let at = origin(&self.origins, key).clone();
            self.warnings.push(problem(key, at, message.into()));
        }
    }

    pub(super) fn origin_of(&self, full_name: &str) -> &Origin {
        key(full_name).map_or(&Origin::Default, |key| origin(&self.origins, key))
    }
}

fn problem(key: &Key, at: Origin, message: String) -> Problem {
    // A flag and a variable are named after their key; a line is not.
    let key = match &at {
        Origin::File { .. } | Origin::Default => Some(key.full_name()),
        Origin::DotEnv { name, .. } => Some(name.clone()),
        Origin::Variable(_) | Origin::Flag(_) => None,
    };
    Problem { at, key, message }
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

/// Whether a name that begins as ours is not a setting: the file's name, the tests' own, or one of those that Kubernetes
/// makes of a Service called `weir` or `weir-…` (documentation of Kubernetes, "Discovering services").
pub(super) fn is_foreign(name: &str, value: &str) -> bool {
    let service = name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT");
    // a key may be called port, but no value of ours is a URL of a transport
    let is_key = KEYS.iter().any(|key| key.variable() == name) || name == "PROXY_REDIS_PORT";
    let is_port = name.ends_with("_PORT") && (!is_key || value.contains("://"));
    let link = is_port || {
        let port = name.split_once("_PORT_").map_or("", |(_, port)| port);
        port.starts_with(|c: char| c.is_ascii_digit())
    };
    name == CONFIG_VARIABLE || name.starts_with(TEST_PREFIX) || service || link
}

/// The file of variables that the Go proxy reads.
pub const DOTENV: &str = ".env";

const PREFIX: &str = "WEIR_";
const TEST_PREFIX: &str = "WEIR_TEST_";
