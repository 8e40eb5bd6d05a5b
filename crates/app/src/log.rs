//! Logs: their two formats, a level that can change, and the masking of secrets.
//!
//! Owns: the subscriber of the process, [`Handle`] for changing the level at a reload, [`Ring`] with the last lines, and
//! [`Masked`] for everything that comes from a peer and may hold credentials.
//! Does not: decide what is logged, or write to files: standard error belongs to the service manager.
//!
//! Messages are lower case without a full stop, values are fields: `info!(%stream, "publish started")`.

mod ring;

use std::fmt::{self, Write};
use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing::subscriber::SetGlobalDefaultError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::config::{self, Color, Filter, Format};
pub use ring::{Line, MOST_LINE_BYTES, MOST_LINES, Ring};

/// Why logs could not be set up, or a level not be changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The filter is not in the syntax of tracing.
    #[error("log.level: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// [`init`] was called twice in one process.
    #[error("logs are set up already")]
    Twice(#[from] SetGlobalDefaultError),
    /// The subscriber is gone.
    #[error("the level of the logs cannot be changed: {0}")]
    Reload(#[from] reload::Error),
}

/// Changes the level of running logs.
#[derive(Clone, Debug)]
pub struct Handle {
    filter: reload::Handle<EnvFilter, Registry>,
    ring: Ring,
}

impl Handle {
    /// The last lines that were logged.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Logs by `level` from now on.
    ///
    /// # Errors
    ///
    /// The filter cannot be parsed, or the subscriber is gone; the level stays as it was.
    pub fn set_level(&self, level: &Filter) -> Result<(), LogError> {
        self.filter.reload(EnvFilter::try_new(level.as_str())?)?;
        Ok(())
    }
}

/// Sends the logs of this process to standard error from now on.
///
/// # Errors
///
/// The filter cannot be parsed, or logs were set up before.
pub fn init(config: &config::Log) -> Result<Handle, LogError> {
    let ansi = match config.color {
        Color::Always => true,
        Color::Never => false,
        // https://no-color.org: any value that is not empty.
        Color::Auto => {
            io::stderr().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    };
    let (subscriber, handle) = subscriber(config, ansi, SystemTime, io::stderr)?;
    tracing::subscriber::set_global_default(subscriber)?;
    Ok(handle)
}

fn subscriber<T, W>(
    config: &config::Log,
    ansi: bool,
    timer: T,
    writer: W,
) -> Result<(impl Subscriber + Send + Sync, Handle), LogError>
where
    T: FormatTime + Send + Sync + 'static,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(EnvFilter::try_new(config.level.as_str())?);
    let lines = tracing_subscriber::fmt::layer()
        .with_timer(Millis(timer))
        .with_writer(writer);
    let lines = match config.format {
        Format::Text => lines.with_ansi(ansi).boxed(),
        // One flat object: log stores index fields by name, and a nested `fields` doubles every name.
        Format::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .boxed(),
    };
    // The filter stands next to the registry, so that what is filtered out costs no formatting.
    let ring = Ring::default();
    let handle = Handle {
        filter: handle,
        ring: ring.clone(),
    };
    Ok((
        Registry::default().with(filter).with(lines).with(ring),
        handle,
    ))
}

/// RFC 3339 in UTC, cut to milliseconds: finer digits are noise from before the line is written.
struct Millis<T>(T);

impl<T: FormatTime> FormatTime for Millis<T> {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        let mut full = String::with_capacity(32);
        self.0.format_time(&mut Writer::new(&mut full))?;
        match full.split_once('.') {
            Some((seconds, fraction)) => {
                let millis = fraction.get(..3).unwrap_or("000");
                write!(w, "{seconds}.{millis}Z")
            }
            None => w.write_str(&full),
        }
    }
}

/// A URL or query from a peer, shown without credentials and without control characters.
///
/// Hidden are the user information before a host, and the values of parameters whose names end in a word such as
/// `token`, `secret`, `key`, `sign` or `password`, whatever their case, and also where the name is percent-encoded.
/// A text without `?` and without `://` but with `=` is taken for a query. Hides too much rather than too little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Masked<'a>(pub &'a str);

impl fmt::Display for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = match self.0.split_once("://") {
            Some((scheme, rest)) if !scheme.contains(['?', '=', '/', '&']) => (Some(scheme), rest),
            _ => (None, self.0),
        };
        let mut rest = rest;
        if let Some(scheme) = scheme {
            write_clean(f, scheme)?;
            f.write_str("://")?;
            let (authority, _) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
            if let Some((userinfo, _)) = authority.rsplit_once('@') {
                f.write_str(HIDDEN)?;
                rest = rest.get(userinfo.len()..).unwrap_or_default();
            }
        }
        let query = match rest.find(['?', '#']) {
            Some(mark) => mark,
            None if scheme.is_none() && rest.contains('=') => 0,
            None => rest.len(),
        };
        let (path, query) = rest.split_at(query);
        write_clean(f, path)?;
        // A second `?` occurs where a player appends a query to an address that has one.
        query
            .split_inclusive(['?', '#', '&', ';'])
            .try_for_each(|piece| parameter(f, piece))
    }
}

/// Writes `name=value` and the separator behind it.
fn parameter(f: &mut fmt::Formatter<'_>, piece: &str) -> fmt::Result {
    let Some((name, value)) = piece.split_once('=') else {
        return write_clean(f, piece);
    };
    write_clean(f, name)?;
    f.write_char('=')?;
    let separator = value.trim_start_matches(|c| !matches!(c, '?' | '#' | '&' | ';'));
    if value.len() == separator.len() || !is_secret(name) {
        return write_clean(f, value);
    }
    f.write_str(HIDDEN)?;
    f.write_str(separator)
}

/// Whether a parameter of this name holds a credential.
fn is_secret(name: &str) -> bool {
    let mut plain = String::with_capacity(name.len());
    let mut rest = name.chars();
    while let Some(mut c) = rest.next() {
        if c == '%' {
            let hex: String = rest.by_ref().take(2).collect();
            c = u8::from_str_radix(&hex, 16).map_or('%', char::from);
        }
        if c.is_ascii_alphanumeric() {
            plain.push(c.to_ascii_lowercase());
        }
    }
    SECRET_ENDINGS.iter().any(|ending| plain.ends_with(ending))
}

/// Control characters would let a peer write lines of its own into the log, or colour a terminal.
fn write_clean(f: &mut impl Write, text: &str) -> fmt::Result {
    text.chars().try_for_each(|c| match c {
        c if c.is_control() => write!(f, "{}", c.escape_default()),
        c => f.write_char(c),
    })
}

const HIDDEN: &str = "***";

/// Endings of names, in lower case and without separators: `txSecret`, `auth_key` and `X-Amz-Signature` are among
/// what is seen in stream addresses.
const SECRET_ENDINGS: &[&str] = &[
    "token",
    "secret",
    "key",
    "sign",
    "signature",
    "sig",
    "password",
    "passwd",
    "pass",
    "pwd",
    "auth",
    "authorization",
    "credential",
    "credentials",
    "jwt",
    "hmac",
];

#[cfg(test)]
mod tests;
