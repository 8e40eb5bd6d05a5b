//! The command line: which command, with which settings.
//!
//! Owns: the commands, their help texts (those of settings come from the table of keys) and the exit codes.
//! Does not: read files or the environment, run anything, or print.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches};
use url::Url;

use crate::config::{
    CONFIG_VARIABLE, KEYS, Key, Problems, Role, SECTIONS, Sources, parse_duration, wrap,
};
use crate::log::Masked;

/// What the process is asked to do.
#[derive(Debug)]
pub enum Command {
    /// Serve streams: `weir` or `weir origin`.
    Origin(Settings),
    /// Stand before a cluster of origins: `weir proxy`.
    Proxy(Settings),
    /// Say what is wrong with a configuration: `weir check`.
    Check(Check),
    /// Copy one stream from a server to another: `weir relay`.
    Relay(Box<Relay>),
    /// Make load: `weir bench`. The arguments are those of the command given to [`parse`].
    Bench(Box<ArgMatches>),
    /// Show a server live: `weir top`. The arguments are those of the command given to [`parse`].
    Top(Box<ArgMatches>),
}

/// Where settings come from, as far as the command line says.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `--config`
    pub file: Option<PathBuf>,
    /// Flags of settings, as [`Sources::flags`] takes them.
    pub flags: Vec<(String, String)>,
}

/// `weir check`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The configuration to check; the file may be named without `--config`.
    pub settings: Settings,
    /// Only write the sample file with all defaults.
    pub defaults: bool,
    /// Who would use the configuration.
    pub role: Role,
}

/// `weir relay`
#[derive(Clone, PartialEq, Eq)]
pub struct Relay {
    /// Where the stream is played from: `rtmp://`, or `http://` for HTTP-FLV.
    pub from: Url,
    /// Where it is published to: `rtmp://`.
    pub to: Url,
    /// Longest wait between two attempts; waits double from one attempt to the next.
    pub retry_max_delay: Duration,
    /// Attempts without success before giving up; 0 never gives up.
    pub retry_limit: u32,
    /// How long one connection attempt may take.
    pub connect_timeout: Duration,
    /// Settings of the section `log`.
    pub settings: Settings,
}

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Success,
    /// Something failed while running: a port is taken, a server cannot be reached.
    Failure,
    /// The command line or the configuration is wrong; trying again changes nothing.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Usage => 2,
        })
    }
}

impl Settings {
    /// Reads the file that is named here or by the environment, and brings it together with `env` and the flags.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn sources(&self, env: Vec<(String, String)>) -> Result<Sources, Problems> {
        Sources::read(self.file.as_deref(), env, self.flags.clone())
    }
}

/// Parses the arguments, of which the first is the program's name. `bench` is the command of the load generator with
/// its arguments, `top` that of the live view; they may have any name and are shown as `bench` and `top`.
///
/// # Errors
///
/// The arguments are wrong, or ask for help or the version: the error's `print` writes what is to be said, and its
/// `exit_code` is 0 for help and version and 2 otherwise.
pub fn parse<I, A>(
    args: I,
    bench: clap::Command,
    top: clap::Command,
) -> Result<Command, clap::Error>
where
    I: IntoIterator<Item = A>,
    A: Into<OsString> + Clone,
{
    let mut matches = command(bench, top).try_get_matches_from(args)?;
    Ok(match matches.remove_subcommand() {
        Some((name, mut matches)) => match name.as_str() {
            "proxy" => Command::Proxy(settings(&mut matches, keys(Role::Proxy))),
            "check" => Command::Check(check(&mut matches)),
            "relay" => Command::Relay(Box::new(relay(&mut matches))),
            "bench" => Command::Bench(Box::new(matches)),
            "top" => Command::Top(Box::new(matches)),
            _ => Command::Origin(settings(&mut matches, keys(Role::Origin))),
        },
        None => Command::Origin(settings(&mut matches, keys(Role::Origin))),
    })
}

fn command(bench: clap::Command, top: clap::Command) -> clap::Command {
    clap::Command::new("weir")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Media server for live streams: RTMP and HTTP-FLV, one server or a cluster")
        .after_help(
            "Without a command, weir runs as an origin and takes the options of `weir origin`.\n\
             Exit codes: 0 success, 1 failure while running, 2 wrong usage or configuration.",
        )
        .args_conflicts_with_subcommands(true)
        // The options of `weir origin` also stand without the command, but would drown this help.
        .args(setting_args(Role::Origin, keys(Role::Origin)).map(|arg| arg.hide(true)))
        .subcommand(
            clap::Command::new("origin")
                .about("Serve streams")
                .after_help(ORDER)
                .args(setting_args(Role::Origin, keys(Role::Origin))),
        )
        .subcommand(
            clap::Command::new("proxy")
                .about("Stand before a cluster of origins, as the SRS proxy does")
                .after_help(PROXY_ORDER)
                .args(setting_args(Role::Proxy, keys(Role::Proxy))),
        )
        .subcommand(
            clap::Command::new("check")
                .about("Say everything that is wrong with a configuration")
                .after_help(ORDER)
                .arg(
                    Arg::new("file")
                        .value_name("FILE")
                        .value_parser(clap::value_parser!(PathBuf))
                        .conflicts_with("config")
                        .help("The file to check; the same as --config"),
                )
                .arg(
                    Arg::new("defaults")
                        .long("defaults")
                        .action(ArgAction::SetTrue)
                        .help("Write the sample file with all defaults, and check nothing"),
                )
                .arg(
                    Arg::new("role")
                        .long("role")
                        .value_name("ROLE")
                        .value_parser(PossibleValuesParser::new(["origin", "proxy"]))
                        .help("Check as this command would read it; for proxy that includes PROXY_* and .env"),
                )
                .args(setting_args(Role::Any, KEYS.iter())),
        )
        .subcommand(relay_command())
        .subcommand(top.name("top"))
        .subcommand(bench.name("bench"))
}

fn relay_command() -> clap::Command {
    let url = |id: &'static str, schemes: &'static [&'static str], help: &'static str| {
        Arg::new(id)
            .required(true)
            .value_name(if id == "from" { "FROM" } else { "TO" })
            .value_parser(move |text: &str| peer_url(text, schemes))
            .help(help)
    };
    let duration = |id: &'static str, default: &'static str, help: &'static str| {
        Arg::new(id)
            .long(id)
            .value_name("DURATION")
            .default_value(default)
            .value_parser(positive_duration)
            .help(help)
    };
    clap::Command::new("relay")
        .about("Copy one stream from a server to another")
        .arg(url(
            "from",
            &["rtmp", "http"],
            "Play from: rtmp://…, or http://… for HTTP-FLV",
        ))
        .arg(url("to", &["rtmp"], "Publish to: rtmp://…"))
        .arg(duration(
            "retry-max-delay",
            "30s",
            "Longest wait between two attempts",
        ))
        .arg(duration(
            "connect-timeout",
            "10s",
            "How long one connection attempt may take",
        ))
        .arg(
            Arg::new("retry-limit")
                .long("retry-limit")
                .value_name("NUMBER")
                .default_value("0")
                .value_parser(clap::value_parser!(u32))
                .help("Attempts without success before giving up; 0 never gives up"),
        )
        .args(setting_args(Role::Any, log_keys()))
}

fn setting_args<'k>(
    role: Role,
    keys: impl Iterator<Item = &'static Key> + 'k,
) -> impl Iterator<Item = Arg> + 'k {
    let config = Arg::new("config")
        .short('c')
        .long("config")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help(format!(
            "Configuration file; none is read unless named [env: {CONFIG_VARIABLE}]"
        ));
    std::iter::once(config).chain(keys.map(move |key| setting_arg(role, key)))
}

fn setting_arg(role: Role, key: &'static Key) -> Arg {
    let flag = static_flag(key);
    let default = key
        .plain_default_of(role)
        .map_or_else(String::new, |text| format!(" [default: {text}]"));
    let default = format!("[env: {}]{default}", key.variable());
    let allowed = key
        .allowed()
        .map_or_else(String::new, |allowed| format!(" [{allowed}]"));
    let long = format!("{} {}", key.help, key.more);
    let lines = [
        wrap(&long, HELP_WIDTH),
        wrap(&format!("{default}{allowed}"), HELP_WIDTH),
    ];
    let arg = Arg::new(flag)
        .long(flag)
        .value_name(key.value_name())
        .help(format!("{} {default}", key.help))
        .long_help(lines.concat().join("\n"))
        .hide_possible_values(true)
        .help_heading(heading(key.section));
    let arg = if key.is_list() {
        arg.action(ArgAction::Append)
    } else {
        arg.action(ArgAction::Set)
    };
    if key.value_name() == "BOOL" {
        // `--http-publish` alone is true; a value needs the sign, so that it is not taken for an argument.
        return arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_parser(PossibleValuesParser::new(["true", "false"]));
    }
    arg
}

/// The flag of `key` for as long as the process lives, as clap wants its names.
fn static_flag(key: &Key) -> &'static str {
    static FLAGS: LazyLock<Vec<String>> = LazyLock::new(|| KEYS.iter().map(Key::flag).collect());
    let found = KEYS.iter().zip(FLAGS.iter()).find(|(of, _)| *of == key);
    found
        .map(|(_, flag)| flag.as_str())
        .expect("every key is in the table")
}

fn heading(section: &'static str) -> &'static str {
    let heading = SECTIONS.iter().find(|(name, _)| *name == section);
    heading.map_or(section, |(_, heading)| heading)
}

/// The settings of a role.
fn keys(role: Role) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| role.uses(key))
}

fn log_keys() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(|key| key.section == "log")
}

fn settings(matches: &mut ArgMatches, keys: impl Iterator<Item = &'static Key>) -> Settings {
    let mut flags = Vec::new();
    for key in keys {
        let flag = key.flag();
        for value in matches.remove_many::<String>(&flag).into_iter().flatten() {
            flags.push((flag.clone(), value));
        }
    }
    Settings {
        file: matches.remove_one("config"),
        flags,
    }
}

fn check(matches: &mut ArgMatches) -> Check {
    let file = matches.remove_one("file");
    let mut settings = settings(matches, KEYS.iter());
    settings.file = file.or(settings.file);
    let role = matches.remove_one::<String>("role");
    Check {
        settings,
        defaults: matches.get_flag("defaults"),
        role: match role.as_deref() {
            Some("origin") => Role::Origin,
            Some("proxy") => Role::Proxy,
            _ => Role::Any,
        },
    }
}

fn relay(matches: &mut ArgMatches) -> Relay {
    Relay {
        from: required(matches, "from"),
        to: required(matches, "to"),
        retry_max_delay: required(matches, "retry-max-delay"),
        retry_limit: required(matches, "retry-limit"),
        connect_timeout: required(matches, "connect-timeout"),
        settings: settings(matches, log_keys()),
    }
}

fn required<T: Clone + Send + Sync + 'static>(matches: &mut ArgMatches, id: &str) -> T {
    matches
        .remove_one(id)
        .expect("an argument that is required or has a default is there")
}

fn peer_url(text: &str, schemes: &[&str]) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !schemes.contains(&url.scheme()) {
        return Err(format!("expected {}://…", schemes.join(":// or ")));
    }
    match url.host_str() {
        Some(host) if !host.is_empty() => Ok(url),
        _ => Err("the host is missing".to_owned()),
    }
}

fn positive_duration(text: &str) -> Result<Duration, String> {
    parse_duration(
        text,
        &(Duration::from_millis(1)..=Duration::from_secs(3600)),
    )
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = |flag: &str| KEYS.iter().any(|key| key.is_secret() && key.flag() == flag);
        let shown = self
            .flags
            .iter()
            .map(|(flag, value)| (flag, if secret(flag) { "***" } else { value.as_str() }));
        f.debug_struct("Settings")
            .field("file", &self.file)
            .field("flags", &shown.collect::<Vec<_>>())
            .finish()
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("from", &format_args!("{}", Masked(self.from.as_str())))
            .field("to", &format_args!("{}", Masked(self.to.as_str())))
            .field("retry_max_delay", &self.retry_max_delay)
            .field("retry_limit", &self.retry_limit)
            .field("connect_timeout", &self.connect_timeout)
            .field("settings", &self.settings)
            .finish()
    }
}

/// Columns for the text beside a flag: help is often read in terminals of 100 columns, and indented by 10.
const HELP_WIDTH: usize = 90;

const ORDER: &str =
    "Flags win over the environment, the environment over the file, the file over the defaults.";

const PROXY_ORDER: &str = "\
Flags win over the environment, the environment over the file, the file over the defaults.
The variables of the SRS proxy (PROXY_*, GO_PPROF) count too, below WEIR_* and above the file; a
file .env in the working directory gives variables that are not set.";

#[cfg(test)]
mod tests;
