//! The arguments of `weir top`.
//!
//! Owns: their names, defaults and help. Does not: act on them.

use std::fmt;
use std::time::Duration;

/// Shortest interval, in seconds: a server is not to be busy with being watched.
const SHORTEST: f64 = 0.2;

/// Longest interval, in seconds.
const LONGEST: f64 = 3600.0;

/// What is to be shown, and from where.
#[derive(Clone, clap::Args)]
pub struct Args {
    /// Address of the API: api.listen of an origin, proxy.system_listen of a proxy
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:1985")]
    pub api: String,
    /// Token of the API, where it asks for one; better given as the variable, since others can see a process's arguments
    #[arg(
        long,
        value_name = "SECRET",
        env = "WEIR_API_TOKEN",
        hide_env_values = true
    )]
    pub token: Option<String>,
    /// Time between two looks, such as 2s or 500ms
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = interval)]
    pub interval: Duration,
    /// Print one plain table and exit, as without a terminal
    #[arg(long)]
    pub once: bool,
}

impl Args {
    /// Time between two looks.
    pub fn interval(&self) -> Duration {
        self.interval
    }
}

impl fmt::Debug for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Args")
            .field("api", &self.api)
            .field("token", &self.token.as_ref().map(|_| "***"))
            .field("interval", &self.interval)
            .field("once", &self.once)
            .finish()
    }
}

/// Reads a duration in seconds or milliseconds.
fn interval(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s').unwrap_or_default(), 1.0),
    };
    let seconds = number.parse::<f64>().map(|number| number * unit);
    match seconds {
        Ok(seconds) if (SHORTEST..=LONGEST).contains(&seconds) => {
            Ok(Duration::from_secs_f64(seconds))
        }
        Ok(_) => Err("expected 200ms to 3600s".to_owned()),
        Err(_) => Err("expected a duration with its unit, as \"500ms\" or \"2s\"".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_have_a_unit_and_bounds() {
        for (text, millis) in [
            ("2s", 2000),
            ("500ms", 500),
            ("0.5s", 500),
            ("3600s", 3_600_000),
        ] {
            assert_eq!(interval(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "", "s", "2", "2m", "0s", "199ms", "3601s", "-1s", "NaNs", "infs",
        ] {
            assert!(interval(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        let args = Args {
            api: String::new(),
            token: Some("swordfish".to_owned()),
            interval: Duration::ZERO,
            once: false,
        };
        assert!(!format!("{args:?}").contains("swordfish"));
    }
}
