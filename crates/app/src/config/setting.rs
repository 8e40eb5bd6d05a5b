//! How each type of value is read from text or TOML and written as TOML.
//!
//! Owns: the trait [`Setting`] and its implementations, with the messages for values that do not fit.
//! Does not: know keys, sources or lines.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::suggest::nearest;
use super::value::{Choice, CorsOrigin, Filter, Latency, Secret, Size};
use super::{
    Color, Encryption, Format, HandOver, HlsContainer, HlsPlaylist, HlsWhen, KeyForm,
    PublishConflict, Renditions, Routing, SlowViewer, Start, State,
};

/// A value as it was found. Flags and variables are always `Text`; lists in them are separated by commas.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Raw {
    /// A string, or anything in a flag or variable.
    Text(String),
    /// An integer of a file.
    Integer(i64),
    /// A boolean of a file.
    Bool(bool),
    /// A list of strings of a file.
    List(Vec<String>),
    /// A TOML type that no key takes, by its name.
    Other(&'static str),
}

/// A type of value that a key can have.
pub(super) trait Setting {
    /// Takes the value from `raw`. `range` bounds numbers: milliseconds of a duration, bytes of a size, or the number
    /// itself. On error nothing changes, and the message says what was expected, without the key's name.
    fn read(&mut self, raw: &Raw, range: &RangeInclusive<u64>) -> Result<(), String>;

    /// The value as TOML, secrets included: reading it back gives the same value.
    fn to_toml(&self) -> String;

    /// What stands for the value in help texts, such as `DURATION`.
    fn value_name(&self) -> &'static str;

    /// The values a choice can have; empty for every other type.
    fn words(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// `range` in the type's own notation, or `None` where a range means nothing.
    fn range_text(&self, _range: &RangeInclusive<u64>) -> Option<String> {
        None
    }

    /// Whether the value must not be shown.
    fn is_secret(&self) -> bool {
        false
    }

    /// Whether several values of one source are one list.
    fn is_list(&self) -> bool {
        false
    }
}

impl Setting for bool {
    fn read(&mut self, raw: &Raw, _range: &RangeInclusive<u64>) -> Result<(), String> {
        *self = match raw {
            Raw::Bool(value) => *value,
            Raw::Text(text) if text == "true" => true,
            Raw::Text(text) if text == "false" => false,
            other => return Err(format!("expected true or false, found {}", found(other))),
        };
        Ok(())
    }

    fn to_toml(&self) -> String {
        self.to_string()
    }

    fn value_name(&self) -> &'static str {
        "BOOL"
    }
}

impl Setting for u32 {
    fn read(&mut self, raw: &Raw, range: &RangeInclusive<u64>) -> Result<(), String> {
        let value = match raw {
            Raw::Integer(value) => Some(i128::from(*value)),
            Raw::Text(text) => text.replace('_', "").parse().ok(),
            _ => None,
        }
        .ok_or_else(|| format!("expected a whole number, found {}", found(raw)))?;
        *self = u64::try_from(value)
            .ok()
            .filter(|value| range.contains(value))
            .and_then(|value| Self::try_from(value).ok())
            .ok_or_else(|| format!("{value} is outside {}", plain(range)))?;
        Ok(())
    }

    fn to_toml(&self) -> String {
        self.to_string()
    }

    fn value_name(&self) -> &'static str {
        "NUMBER"
    }

    fn range_text(&self, range: &RangeInclusive<u64>) -> Option<String> {
        Some(plain(range))
    }
}

impl Setting for Size {
    fn read(&mut self, raw: &Raw, range: &RangeInclusive<u64>) -> Result<(), String> {
        let bytes = match raw {
            Raw::Integer(value) => u64::try_from(*value).ok(),
            Raw::Text(text) => with_unit(text, SIZE_UNITS, true),
            _ => None,
        }
        .ok_or_else(|| {
            let found = found(raw);
            format!("expected a size such as \"512KiB\" or \"16MiB\", or bytes, found {found}")
        })?;
        if !range.contains(&bytes) {
            return Err(format!("{} is outside {}", size_text(bytes), sizes(range)));
        }
        *self = Self::new(bytes);
        Ok(())
    }

    fn to_toml(&self) -> String {
        match size_text(self.get()) {
            text if text.ends_with('B') => quoted(&text),
            bytes => bytes,
        }
    }

    fn value_name(&self) -> &'static str {
        "SIZE"
    }

    fn range_text(&self, range: &RangeInclusive<u64>) -> Option<String> {
        Some(sizes(range))
    }
}

impl Setting for Duration {
    fn read(&mut self, raw: &Raw, range: &RangeInclusive<u64>) -> Result<(), String> {
        *self = duration(raw, range, "")?;
        Ok(())
    }

    fn to_toml(&self) -> String {
        quoted(&duration_text(millis(*self)))
    }

    fn value_name(&self) -> &'static str {
        "DURATION"
    }

    fn range_text(&self, range: &RangeInclusive<u64>) -> Option<String> {
        Some(durations(range))
    }
}

impl Setting for Latency {
    fn read(&mut self, raw: &Raw, range: &RangeInclusive<u64>) -> Result<(), String> {
        *self = match raw {
            Raw::Text(text) if text == ADAPTIVE => Self::Adaptive,
            _ => Self::Fixed(duration(raw, range, "\"adaptive\" or ")?),
        };
        Ok(())
    }

    fn to_toml(&self) -> String {
        match self {
            Self::Adaptive => quoted(ADAPTIVE),
            Self::Fixed(gather) => gather.to_toml(),
        }
    }

    fn value_name(&self) -> &'static str {
        "adaptive|DURATION"
    }

    fn range_text(&self, range: &RangeInclusive<u64>) -> Option<String> {
        Some(format!("adaptive, or {}", durations(range)))
    }
}

impl Setting for Vec<SocketAddr> {
    fn read(&mut self, raw: &Raw, _range: &RangeInclusive<u64>) -> Result<(), String> {
        let mut addresses = Self::new();
        for text in list(raw).ok_or_else(|| {
            format!(
                "expected an address or a list of addresses, found {}",
                found(raw)
            )
        })? {
            let address = text.parse().map_err(|_| not_an_address(text))?;
            if addresses.contains(&address) {
                return Err(format!("{address} is there twice"));
            }
            addresses.push(address);
        }
        *self = addresses;
        Ok(())
    }

    fn to_toml(&self) -> String {
        array(self.iter().map(ToString::to_string))
    }

    fn value_name(&self) -> &'static str {
        "ADDRESS,.."
    }

    fn is_list(&self) -> bool {
        true
    }
}

/// Host names.
impl Setting for Vec<String> {
    fn read(&mut self, raw: &Raw, _range: &RangeInclusive<u64>) -> Result<(), String> {
        let mut hosts = Self::new();
        for text in list(raw).ok_or_else(|| {
            format!(
                "expected a host name or a list of host names, found {}",
                found(raw)
            )
        })? {
            let host = text.to_ascii_lowercase();
            if !is_host(&host) {
                return Err(format!(
                    "`{text}` is not a host name (no scheme, port or path)"
                ));
            }
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        *self = hosts;
        Ok(())
    }

    fn to_toml(&self) -> String {
        array(self.iter().cloned())
    }

    fn value_name(&self) -> &'static str {
        "HOST,.."
    }

    fn is_list(&self) -> bool {
        true
    }
}

impl Setting for Secret {
    fn read(&mut self, raw: &Raw, _range: &RangeInclusive<u64>) -> Result<(), String> {
        // The messages never repeat what was found: it is a secret that was mistyped.
        let Raw::Text(text) = raw else {
            return Err("expected a string".to_owned());
        };
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("only visible ASCII without spaces can stand in a header".to_owned());
        }
        *self = Self::new(text);
        Ok(())
    }

    fn to_toml(&self) -> String {
        quoted(self.expose())
    }

    fn value_name(&self) -> &'static str {
        "SECRET"
    }

    fn is_secret(&self) -> bool {
        true
    }
}

impl Setting for CorsOrigin {
    fn read(&mut self, raw: &Raw, _range: &RangeInclusive<u64>) -> Result<(), String> {
        let text = text(raw)?;
        let origin = || text.starts_with("http://") || text.starts_with("https://");
        let valid = matches!(text, "" | "*" | "null") || origin();
        if !valid
            || !text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b',')
        {
            return Err(format!(
                "expected \"*\", one origin such as \"https://example.com\", or \"\", found \"{}\"",
                text.escape_debug()
            ));
        }
        *self = Self(text.to_owned());
        Ok(())
    }

    fn to_toml(&self) -> String {
        quoted(&self.0)
    }

    fn value_name(&self) -> &'static str {
        "ORIGIN"
    }
}

impl Setting for Filter {
    fn read(&mut self, raw: &Raw, _range: &RangeInclusive<u64>) -> Result<(), String> {
        let text = text(raw)?;
        for directive in text.split(',').map(str::trim) {
            // The filter takes a lone word that is no level for a target, and then logs everything of it: a mistyped
            // level would silence the rest.
            let is_word = directive.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if is_word && !LEVELS.contains(&directive) {
                return Err(format!(
                    "`{directive}` is no level ({}){}",
                    LEVELS.join(", "),
                    hint(directive, LEVELS)
                ));
            }
        }
        EnvFilter::try_new(text).map_err(|error| format!("`{text}`: {error}"))?;
        *self = Self(text.to_owned());
        Ok(())
    }

    fn to_toml(&self) -> String {
        quoted(&self.0)
    }

    fn value_name(&self) -> &'static str {
        "FILTER"
    }
}

/// A choice reads and writes its words.
macro_rules! choice_settings {
    ($($name:ident = $value_name:literal,)+) => {$(
        impl Setting for $name {
            fn read(&mut self, raw: &Raw, _range: &RangeInclusive<u64>) -> Result<(), String> {
                *self = choose(raw)?;
                Ok(())
            }

            fn to_toml(&self) -> String {
                quoted(self.word())
            }

            fn value_name(&self) -> &'static str {
                $value_name
            }

            fn words(&self) -> Vec<&'static str> {
                <Self as Choice>::ALL.iter().map(|(word, _)| *word).collect()
            }
        }
    )+};
}

choice_settings! {
    Format = "FORMAT",
    Color = "WHEN",
    Start = "WHERE",
    SlowViewer = "POLICY",
    PublishConflict = "POLICY",
    HlsPlaylist = "KIND",
    HlsContainer = "FORMAT",
    Renditions = "HOW",
    HlsWhen = "WHEN",
    Encryption = "METHOD",
    State = "STORE",
    HandOver = "FORM",
    KeyForm = "FORM",
    Routing = "HOW",
}

fn choose<C: Choice>(raw: &Raw) -> Result<C, String> {
    let text = text(raw)?;
    C::ALL
        .iter()
        .find(|(word, _)| *word == text)
        .map(|(_, choice)| *choice)
        .ok_or_else(|| {
            let words: Vec<_> = C::ALL.iter().map(|(word, _)| *word).collect();
            format!(
                "expected {}, found {}{}",
                words.join(" or "),
                found(raw),
                hint(text, &words)
            )
        })
}

fn hint(text: &str, words: &[&str]) -> String {
    nearest(text, words.iter().copied())
        .map_or_else(String::new, |word| format!(": did you mean `{word}`?"))
}

fn text(raw: &Raw) -> Result<&str, String> {
    match raw {
        Raw::Text(text) => Ok(text),
        other => Err(format!("expected a string, found {}", found(other))),
    }
}

pub(super) fn found(raw: &Raw) -> String {
    match raw {
        Raw::Text(text) => quoted(text),
        Raw::Integer(value) => value.to_string(),
        Raw::Bool(value) => value.to_string(),
        Raw::List(_) => "a list".to_owned(),
        Raw::Other(name) => format!("a {name}"),
    }
}

/// The items of a list: one text may hold several, separated by commas; `off` and nothing are the empty list.
pub(super) fn list(raw: &Raw) -> Option<Vec<&str>> {
    match raw {
        Raw::Text(text) if matches!(text.trim(), "" | OFF) => Some(Vec::new()),
        Raw::Text(text) => Some(text.split(',').map(str::trim).collect()),
        Raw::List(items) => Some(items.iter().map(String::as_str).collect()),
        _ => None,
    }
}

fn not_an_address(text: &str) -> String {
    let port = text.strip_prefix(':').unwrap_or(text);
    let help = if port.parse::<u16>().is_ok() {
        format!(": did you mean `0.0.0.0:{port}`?")
    } else {
        " (expected an IP address and a port, as 0.0.0.0:1935 or [::]:1935)".to_owned()
    };
    format!("`{text}` is not an address{help}")
}

/// RFC 1123 §2.1: labels of letters, digits and inner hyphens, 253 bytes in all.
fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// Reads a duration such as `10s` that lies in `range`.
pub(crate) fn parse_duration(
    text: &str,
    range: &RangeInclusive<Duration>,
) -> Result<Duration, String> {
    duration(
        &Raw::Text(text.to_owned()),
        &(millis(*range.start())..=millis(*range.end())),
        "",
    )
}

fn duration(raw: &Raw, range: &RangeInclusive<u64>, or: &str) -> Result<Duration, String> {
    let value = match raw {
        Raw::Integer(0) => Some(0),
        Raw::Text(text) => with_unit(text, DURATION_UNITS, false),
        _ => None,
    }
    .ok_or_else(|| {
        let found = found(raw);
        format!("expected {or}a duration with its unit, as \"350ms\" or \"10s\", found {found}")
    })?;
    if !range.contains(&value) {
        return Err(format!(
            "{} is outside {}",
            duration_text(value),
            durations(range)
        ));
    }
    Ok(Duration::from_millis(value))
}

/// A whole number and one of `units`; without a unit only zero, or anything where `bare` says so.
fn with_unit(text: &str, units: &[(&str, u64)], bare: bool) -> Option<u64> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '_')
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    let number: u64 = digits.replace('_', "").parse().ok()?;
    match unit.trim_start() {
        "" if bare || number == 0 => Some(number),
        unit => {
            let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
            number.checked_mul(*factor)
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn duration_text(millis: u64) -> String {
    largest_unit(millis, DURATION_UNITS).unwrap_or_else(|| "0s".to_owned())
}

fn size_text(bytes: u64) -> String {
    largest_unit(bytes, SIZE_UNITS.get(1..).unwrap_or_default())
        .unwrap_or_else(|| bytes.to_string())
}

/// The value in the largest unit that keeps it whole, or `None` where there is none, as for zero.
fn largest_unit(value: u64, units: &[(&str, u64)]) -> Option<String> {
    let fits = |factor: u64| value.is_multiple_of(factor) && value >= factor;
    let (unit, factor) = units.iter().rev().find(|(_, factor)| fits(*factor))?;
    Some(format!("{}{unit}", value / factor))
}

fn plain(range: &RangeInclusive<u64>) -> String {
    format!("{} to {}", range.start(), range.end())
}

fn sizes(range: &RangeInclusive<u64>) -> String {
    format!(
        "{} to {}",
        size_text(*range.start()),
        size_text(*range.end())
    )
}

fn durations(range: &RangeInclusive<u64>) -> String {
    format!(
        "{} to {}",
        duration_text(*range.start()),
        duration_text(*range.end())
    )
}

pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

pub(super) fn array(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.map(|item| quoted(&item)).collect();
    format!("[{}]", items.join(", "))
}

const ADAPTIVE: &str = "adaptive";

/// What a flag or variable says for an empty list, since an empty variable is one that is not set.
const OFF: &str = "off";

const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

/// In milliseconds, smallest first. Hours are the largest: no timeout of a media server is longer.
const DURATION_UNITS: &[(&str, u64)] = &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

/// In bytes, smallest first. Only binary units: `MB` means two things, and the difference is 5 %.
const SIZE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];
