//! What the API of an origin and that of a proxy tell in the same words: for the console, and for `weir top`.
//!
//! Owns: what the process is, the settings in force with their origins, and the last lines of the log. Does not: know
//! streams, sessions or clusters.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use tracing::Level;
use utoipa::ToSchema;

use super::answer::{ErrorBody, Failure, Head};
use super::history::{History, Sample};
use super::identity::Identity;
use crate::config::{KEYS, Loaded, Origin, Role};
use crate::log::Ring;
use crate::origin::Listening;

/// What both roles answer from. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Common(Arc<Inner>);

struct Inner {
    role: Role,
    identity: Identity,
    ring: Ring,
    loaded: Box<dyn Fn() -> Loaded + Send + Sync>,
    history: History,
    rtmp_port: Option<u16>,
    http_port: Option<u16>,
}

impl fmt::Debug for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Common")
            .field("role", &self.0.role)
            .finish_non_exhaustive()
    }
}

impl Common {
    /// What a process of `role` that listens at `listening` answers from; `loaded` gives the settings in force.
    pub(crate) fn new(
        role: Role,
        identity: Identity,
        ring: Ring,
        listening: &[Listening],
        loaded: impl Fn() -> Loaded + Send + Sync + 'static,
    ) -> Self {
        let port = |keys: [&str; 2]| {
            let found = listening.iter().find(|one| keys.contains(&one.key));
            found.map(|one| one.address.port())
        };
        Self(Arc::new(Inner {
            role,
            identity,
            ring,
            loaded: Box::new(loaded),
            history: History::default(),
            rtmp_port: port(["rtmp.listen", "proxy.rtmp_listen"]),
            http_port: port(["http.listen", "proxy.http_listen"]),
        }))
    }

    /// The samples of the last minutes.
    pub(crate) fn history(&self) -> &History {
        &self.0.history
    }

    /// Port of the first RTMP listener.
    pub(crate) fn rtmp_port(&self) -> Option<u16> {
        self.0.rtmp_port
    }

    fn head(&self) -> Head {
        Head::new(&self.0.identity)
    }
}

/// A time of day in milliseconds since 1970 UTC.
pub(crate) fn unix_ms(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    millis(since)
}

/// A duration in milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How segments are made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Segments {
    /// Whether HLS is served.
    enabled: bool,
    /// Length of a segment, in milliseconds.
    #[schema(example = 2000)]
    segment_ms: u64,
    /// Longest part of a segment, in milliseconds.
    #[schema(example = 200)]
    part_ms: u64,
    /// Whether playlists name parts.
    low_latency: bool,
}

/// What a console needs to know first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct About {
    #[serde(flatten)]
    head: Head,
    /// `origin` or `proxy`.
    #[schema(example = "origin")]
    role: &'static str,
    /// The version of this server.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// What this server is called: `heartbeat.device_id`, or the name of its host.
    name: String,
    /// Port of the first HTTP listener; null when there is none.
    http_port: Option<u16>,
    /// Port of the first RTMP listener; null when there is none.
    rtmp_port: Option<u16>,
    hls: Segments,
    /// Whether DASH is served.
    dash: bool,
}

/// About this server
///
/// What a console needs to know first: the role, the ports of streams, and how segments are made.
#[utoipa::path(
    operation_id = "console",
    get, path = "/api/v1/console", tag = "process",
    responses(
        (status = 200, description = "About this server", body = About),
        (status = 401, description = "The token is missing or wrong", body = ErrorBody),
        (status = 403, description = "Refused without a token", body = ErrorBody),
    )
)]
pub(crate) async fn about(State(common): State<Common>) -> Json<About> {
    let config = (common.0.loaded)().config;
    let is_origin = common.0.role == Role::Origin;
    let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = match config.heartbeat.device_id.as_str() {
        "" => host().trim().to_owned(),
        name => name.to_owned(),
    };
    let hls = &config.hls;
    Json(About {
        head: common.head(),
        role: if is_origin { "origin" } else { "proxy" },
        version: env!("CARGO_PKG_VERSION"),
        name,
        http_port: common.0.http_port,
        rtmp_port: common.0.rtmp_port,
        // a proxy has what its origins have, and does not ask them
        hls: Segments {
            enabled: hls.enabled,
            segment_ms: millis(hls.segment),
            part_ms: millis(hls.part),
            low_latency: hls.low_latency,
        },
        dash: config.dash.enabled,
    })
}

/// The last minutes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Histories {
    #[serde(flatten)]
    head: Head,
    /// Time between two samples, in milliseconds.
    #[schema(example = 2000)]
    every_ms: u64,
    /// The samples of the last 5 minutes, oldest first.
    samples: Vec<Sample>,
}

/// History
///
/// Sessions, traffic and load of the last 5 minutes.
#[utoipa::path(
    operation_id = "history",
    get, path = "/api/v1/history", tag = "process",
    responses(
        (status = 200, description = "The samples", body = Histories),
        (status = 401, description = "The token is missing or wrong", body = ErrorBody),
        (status = 403, description = "Refused without a token", body = ErrorBody),
    )
)]
pub(crate) async fn history(State(common): State<Common>) -> Json<Histories> {
    Json(Histories {
        head: common.head(),
        every_ms: millis(super::history::EVERY),
        samples: common.0.history.samples(),
    })
}

/// A setting in force.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SettingInForce {
    /// Its section.
    #[schema(example = "rtmp")]
    section: &'static str,
    /// Its name in the section.
    #[schema(example = "chunk_size")]
    key: &'static str,
    /// The value as TOML; a secret that is set is `"***"`.
    #[schema(example = "60000")]
    value: String,
    /// The default as TOML.
    #[schema(example = "60000")]
    default: String,
    /// Who set it: `default`, `file`, `environment` or `flag`.
    #[schema(example = "file")]
    origin: &'static str,
    /// The line, variable or flag that did; empty for a default.
    #[schema(example = "weir.toml:3")]
    source: String,
    /// Whether a reload changes it without a restart.
    live: bool,
    /// What it sets.
    help: String,
}

/// The settings in force.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SettingsInForce {
    #[serde(flatten)]
    head: Head,
    /// All settings of this role, in the order of the sample file.
    values: Vec<SettingInForce>,
}

/// Settings
///
/// The configuration in force, and where each value comes from. Secrets are not shown.
#[utoipa::path(
    operation_id = "config",
    get, path = "/api/v1/config", tag = "process",
    responses(
        (status = 200, description = "The settings", body = SettingsInForce),
        (status = 401, description = "The token is missing or wrong", body = ErrorBody),
        (status = 403, description = "Refused without a token", body = ErrorBody),
    )
)]
pub(crate) async fn settings(State(common): State<Common>) -> Json<SettingsInForce> {
    let loaded = (common.0.loaded)();
    Json(SettingsInForce {
        head: common.head(),
        values: in_force(&loaded, common.0.role),
    })
}

fn in_force(loaded: &Loaded, role: Role) -> Vec<SettingInForce> {
    let defaults = crate::config::Config::of(role);
    let keys = KEYS.iter().filter(|key| role.uses(key));
    keys.map(|key| {
        let at = loaded.origin_of(&key.full_name());
        let space = if key.more.is_empty() { "" } else { " " };
        SettingInForce {
            section: key.section,
            key: key.name,
            value: key.shown(&loaded.config),
            default: key.shown(&defaults),
            origin: match at {
                Origin::Default => "default",
                Origin::File { .. } => "file",
                Origin::Variable(_) | Origin::DotEnv { .. } => "environment",
                Origin::Flag(_) => "flag",
            },
            source: match at {
                Origin::Default => String::new(),
                at => at.to_string(),
            },
            live: key.live,
            help: format!("{}{space}{}", key.help, key.more),
        }
    })
    .collect()
}

/// Which lines of the log are asked for.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Only lines after the one with this id; 0 by default, which is all that are kept.
    #[param(default = 0)]
    after: Option<u64>,
    /// The least grave level that is shown: `error`, `warn`, `info`, `debug` or `trace`; `info` by default. What
    /// `log.level` leaves out is not there.
    #[param(default = "info", example = "warn")]
    level: Option<String>,
}

/// A line of the log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogLine {
    /// Its number; the next line has the next one.
    id: u64,
    /// When it was logged, in milliseconds since 1970 UTC.
    at: u64,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    #[schema(example = "info")]
    level: &'static str,
    /// The part of the program that says it.
    #[schema(example = "weir_gate::session")]
    target: &'static str,
    /// The message and its fields.
    message: String,
}

/// The last lines of the log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogLines {
    #[serde(flatten)]
    head: Head,
    /// What `after` is to be next time.
    next: u64,
    /// The lines, oldest first; of the last 2000 that were logged.
    lines: Vec<LogLine>,
}

/// Log
///
/// The last 2000 lines of the log, as far as they are asked for. Long lines are cut.
#[utoipa::path(
    operation_id = "log",
    get, path = "/api/v1/log", tag = "process", params(Wanted),
    responses(
        (status = 200, description = "The lines", body = LogLines),
        (status = 400, description = "after is no number, or level no level", body = ErrorBody),
        (status = 401, description = "The token is missing or wrong", body = ErrorBody),
        (status = 403, description = "Refused without a token", body = ErrorBody),
    )
)]
pub(crate) async fn log(
    State(common): State<Common>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<LogLines>, Failure> {
    let Query(wanted) = wanted.map_err(|error| Failure::bad_request(error.body_text()))?;
    let level = wanted.level.as_deref().unwrap_or("info");
    let level = LEVELS.iter().find(|(_, word)| *word == level);
    let Some((level, _)) = level else {
        let text = "level must be error, warn, info, debug or trace";
        return Err(Failure::bad_request(text));
    };
    let (next, lines) = common.0.ring.after(wanted.after.unwrap_or(0), *level);
    let lines = lines.into_iter().map(|line| LogLine {
        id: line.id,
        at: unix_ms(line.at),
        level: word(line.level),
        target: line.target,
        message: line.message.to_string(),
    });
    Ok(Json(LogLines {
        head: common.head(),
        next,
        lines: lines.collect(),
    }))
}

/// Levels and their words.
const LEVELS: [(Level, &str); 5] = [
    (Level::ERROR, "error"),
    (Level::WARN, "warn"),
    (Level::INFO, "info"),
    (Level::DEBUG, "debug"),
    (Level::TRACE, "trace"),
];

fn word(level: Level) -> &'static str {
    let known = LEVELS.iter().find(|(one, _)| *one == level);
    known.map_or("trace", |(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};

    fn one<'a>(values: &'a [SettingInForce], name: &str) -> &'a SettingInForce {
        let (section, key) = name.split_once('.').unwrap();
        let found = values
            .iter()
            .find(|value| (value.section, value.key) == (section, key));
        found.unwrap_or_else(|| panic!("{name} is not shown"))
    }

    #[test]
    fn settings_say_who_set_them_and_hide_secrets() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let sources = Sources {
            file: Some((
                "weir.toml".into(),
                "[rtmp]\nchunk_size = 4096\n[api]\ntoken = 'swordfish'\n".to_owned(),
            )),
            env: vec![pair("WEIR_STREAM_GRACE", "1s")],
            flags: vec![pair("limits-sessions", "7")],
            ..Sources::default()
        };
        let values = in_force(&Config::load(&sources).unwrap(), Role::Origin);
        let told = |name| {
            let one = one(&values, name);
            (one.value.as_str(), one.origin, one.source.as_str())
        };
        assert_eq!(told("rtmp.chunk_size"), ("4096", "file", "weir.toml:2"));
        assert_eq!(
            told("stream.grace"),
            ("\"1s\"", "environment", "WEIR_STREAM_GRACE")
        );
        assert_eq!(told("limits.sessions"), ("7", "flag", "--limits-sessions"));
        assert_eq!(told("stream.gop_cache"), ("true", "default", ""));
        assert_eq!(told("api.token"), ("\"***\"", "file", "weir.toml:4"));
        assert_eq!(one(&values, "rtmp.chunk_size").default, "60000");
        assert!(one(&values, "stream.grace").live && !one(&values, "rtmp.chunk_size").live);
        assert!(!values.iter().any(|value| value.section == "proxy"));
        let text = serde_json::to_string(&values).unwrap();
        assert!(!text.contains("swordfish"));
    }
}
