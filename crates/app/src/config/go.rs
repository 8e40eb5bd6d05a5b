//! The variables of the Go proxy that `weir proxy` replaces.
//!
//! Owns: which of our keys each of them sets, the Go form of durations, and the few that only mean something together.
//! Does not: read the environment or `.env`, or know which of two sources wins.

use weir_cluster::Service;

use super::address::{Origins, usual_port};
use super::keys::key;
use super::load::{Loader, Variable, is_foreign};
use super::problem::{Origin, Problem};
use super::setting::{Raw, Setting};
use super::suggest::nearest;

/// How a value is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As our own key takes it.
    Same,
    /// As Go writes durations.
    Duration,
    /// It is no fault of the start when it is wrong.
    Optional,
}

/// Each variable that sets one key.
const VARIABLES: &[(&str, &str, Form)] = &[
    (PPROF, "proxy.debug_listen", Form::Optional),
    (
        "PROXY_FORCE_QUIT_TIMEOUT",
        "proxy.force_quit_timeout",
        Form::Duration,
    ),
    (
        "PROXY_GRACE_QUIT_TIMEOUT",
        "server.drain_timeout",
        Form::Duration,
    ),
    ("PROXY_HTTP_API", "proxy.api_listen", Form::Same),
    ("PROXY_HTTP_SERVER", "proxy.http_listen", Form::Same),
    ("PROXY_RTMP_SERVER", "proxy.rtmp_listen", Form::Same),
    ("PROXY_WEBRTC_SERVER", "proxy.webrtc_listen", Form::Same),
    ("PROXY_SRT_SERVER", "proxy.srt_listen", Form::Same),
    ("PROXY_SYSTEM_API", "proxy.system_listen", Form::Same),
    ("PROXY_STATIC_FILES", "proxy.static_files", Form::Same),
    ("PROXY_LOAD_BALANCER_TYPE", "cluster.state", Form::Same),
    ("PROXY_REDIS_HOST", "redis.host", Form::Same),
    ("PROXY_REDIS_PORT", "redis.port", Form::Same),
    ("PROXY_REDIS_PASSWORD", "redis.password", Form::Same),
    ("PROXY_REDIS_DB", "redis.db", Form::Same),
    ("PROXY_REDIS_KEY_PREFIX", "redis.key_prefix", Form::Same),
    ("PROXY_ORIGIN_SERVER_TTL", "cluster.lease", Form::Duration),
];

/// The default backend's port of each service.
const BACKEND_PORTS: &[(&str, Service)] = &[
    ("PROXY_DEFAULT_BACKEND_RTMP", Service::Rtmp),
    ("PROXY_DEFAULT_BACKEND_HTTP", Service::Http),
    ("PROXY_DEFAULT_BACKEND_API", Service::Api),
    ("PROXY_DEFAULT_BACKEND_SRT", Service::Srt),
    ("PROXY_DEFAULT_BACKEND_RTC", Service::Rtc),
];

const PPROF: &str = "GO_PPROF";
const BACKEND: &str = "PROXY_DEFAULT_BACKEND_ENABLED";
const BACKEND_HOST: &str = "PROXY_DEFAULT_BACKEND_IP";
const AUTH: &str = "PROXY_HTTP_API_AUTH_ENABLED";
const AUTH_TYPE: &str = "PROXY_HTTP_API_AUTH_TYPE";
const AUTH_TOKEN: &str = "PROXY_HTTP_API_AUTH_TOKEN";

const PREFIX: &str = "PROXY_";

/// Whether a variable concerns the Go proxy.
pub(super) fn is_of_go(name: &str) -> bool {
    name.starts_with(PREFIX) || name == PPROF
}

/// Puts the variables of the Go proxy among `variables` into force.
pub(super) fn apply(loader: &mut Loader, variables: &[Variable]) {
    for (name, full_name, form) in VARIABLES {
        let Some(variable) = find(variables, name) else {
            continue;
        };
        let key = key(full_name).expect("the table names keys that there are");
        let text = match form {
            Form::Duration => duration(&variable.value),
            _ => Ok(variable.value.clone()),
        };
        let before = loader.problems.len();
        match text {
            Ok(text) => loader.set(key, &Raw::Text(text), variable.at.clone()),
            Err(message) => loader.wrong(key, variable.at.clone(), message),
        }
        if *form == Form::Optional {
            // C13: the debug page is no reason not to start
            let problems = loader.problems.split_off(before);
            loader.warnings.extend(problems);
        }
    }
    backend(loader, variables);
    authentication(loader, variables);
    unknown(loader, variables);
}

fn find<'v>(variables: &'v [Variable], name: &str) -> Option<&'v Variable> {
    variables
        .iter()
        .find(|one| one.name == name && !is_foreign(&one.name, &one.value))
}

/// `PROXY_DEFAULT_BACKEND_…`: one origin that registers with nobody.
fn backend(loader: &mut Loader, variables: &[Variable]) {
    let Some(enabled) = find(variables, BACKEND) else {
        return;
    };
    if enabled.value != "on" {
        if enabled.value != "off" {
            loader.warn(enabled.at.clone(), "only `on` enables the default backend");
        }
        return;
    }
    let key = key("cluster.default_backend").expect("it is in the table");
    let host = find(variables, BACKEND_HOST);
    let at = host.unwrap_or(enabled).at.clone();
    let host = host.map_or("127.0.0.1", |host| host.value.as_str());
    let mut ports = Vec::new();
    for (name, service) in BACKEND_PORTS {
        let variable = find(variables, name);
        let port = variable.map_or_else(|| Ok(usual_port(*service)), |one| one.value.parse());
        match port {
            Ok(port) if port != 0 => ports.push((*service, port)),
            _ => {
                let at = variable.unwrap_or(enabled).at.clone();
                loader.wrong(key, at, "expected a port, 1 to 65535".to_owned());
            }
        }
    }
    // by its text, so that the host is checked as any other
    let host = host.trim_matches(['[', ']']);
    let text = Raw::List(
        Origins::fixed(host, ports)
            .0
            .iter()
            .map(ToString::to_string)
            .collect(),
    );
    match Origins::default().read(&text, &(0..=u64::MAX)) {
        Ok(()) => loader.set(key, &text, enabled.at.clone()),
        Err(message) => loader.wrong(key, at, message),
    }
}

/// `PROXY_HTTP_API_AUTH_…`: the token of the system listener.
fn authentication(loader: &mut Loader, variables: &[Variable]) {
    let Some(enabled) = find(variables, AUTH) else {
        return;
    };
    let key = key("proxy.token").expect("it is in the table");
    match enabled.value.as_str() {
        "on" => {}
        "off" => return,
        _ => {
            // else a typing mistake would open the door
            let message = "expected on or off".to_owned();
            return loader.wrong(key, enabled.at.clone(), message);
        }
    }
    let kind = find(variables, AUTH_TYPE);
    if kind.is_none_or(|kind| kind.value != "bearer") {
        let at = kind.unwrap_or(enabled).at.clone();
        let message = format!("{AUTH} is on, and needs {AUTH_TYPE}=bearer");
        loader.wrong(key, at, message);
    }
    match find(variables, AUTH_TOKEN) {
        Some(token) => loader.set(key, &Raw::Text(token.value.clone()), token.at.clone()),
        None => {
            let message = format!("{AUTH} is on, and needs {AUTH_TOKEN}");
            loader.wrong(key, enabled.at.clone(), message);
        }
    }
}

/// Names that begin as the Go proxy's do and are none: told, because a mistyped one is silently not applied; no error,
/// because other programs have such names too.
fn unknown(loader: &mut Loader, variables: &[Variable]) {
    let single = VARIABLES.iter().map(|(name, ..)| *name);
    let ports = BACKEND_PORTS.iter().map(|(name, _)| *name);
    let known: Vec<&str> = single
        .chain(ports)
        .chain([BACKEND, BACKEND_HOST, AUTH, AUTH_TYPE, AUTH_TOKEN])
        .collect();
    for variable in variables {
        let (name, at) = (&variable.name, variable.at.clone());
        if is_of_go(name) && !known.contains(&&**name) && !is_foreign(name, &variable.value) {
            let hint = nearest(name, known.iter().copied());
            let hint = hint.map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
            loader.warn(at, format!("unknown variable{hint}"));
        }
    }
}

impl Loader {
    /// Notes what is odd but no reason to refuse a configuration.
    pub(super) fn warn(&mut self, at: Origin, message: impl Into<String>) {
        let key = match &at {
            Origin::DotEnv { name, .. } => Some(name.clone()),
            _ => None,
        };
        let message = message.into();
        self.warnings.push(Problem { at, key, message });
    }
}

/// A duration of Go, such as `30s`, `1m30s` or `1.5h`, in our form. What is less than a millisecond counts as one.
fn duration(text: &str) -> Result<String, String> {
    let nanos = nanoseconds(text).ok_or_else(|| {
        format!("expected a duration with its unit, as 30s, 1m30s or 1.5h, found `{text}`")
    })?;
    Ok(format!("{}ms", nanos.div_ceil(NANOS_PER_MILLI)))
}

const NANOS_PER_MILLI: u128 = 1_000_000;

/// In nanoseconds.
const UNITS: &[(&str, u128)] = &[
    ("ns", 1),
    ("us", 1000),
    ("µs", 1000),
    ("μs", 1000),
    ("ms", NANOS_PER_MILLI),
    ("s", 1000 * NANOS_PER_MILLI),
    ("m", 60 * 1000 * NANOS_PER_MILLI),
    ("h", 3600 * 1000 * NANOS_PER_MILLI),
];

/// Digits of a number that count: more would pass what 128 bits hold.
const MAX_DIGITS: usize = 18;

fn nanoseconds(text: &str) -> Option<u128> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    let mut total: u128 = 0;
    loop {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if (whole.is_empty() && fraction.is_empty()) || whole.len() > MAX_DIGITS {
            return None;
        }
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, after) = after.split_at_checked(end.unwrap_or(after.len()))?;
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let fraction = fraction.get(..MAX_DIGITS).unwrap_or(fraction);
        let number = |digits: &str| match digits {
            "" => Some(0),
            digits => digits.parse::<u128>().ok(),
        };
        let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let part = number(fraction)?.checked_mul(*unit)?.checked_div(scale)?;
        total = number(whole)?
            .checked_mul(*unit)?
            .checked_add(part)?
            .checked_add(total)?;
        rest = after;
        if rest.is_empty() {
            return Some(total);
        }
    }
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit());
    text.split_at_checked(end.unwrap_or(text.len()))
        .unwrap_or((text, ""))
}

#[cfg(test)]
mod tests;
