//! Settings that are plain texts: names, paths, passwords.
//!
//! Owns: how they are read and written, and their bounds. Does not: know what they name.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::setting::{Raw, Setting, found, quoted};
use super::value::Credential;

/// Longest text: that of a path (`PATH_MAX` of Linux). Names and passwords are far below.
const MAX_TEXT: usize = 4096;

impl Setting for String {
    fn read(&mut self, raw: &Raw, _range: &RangeInclusive<u64>) -> Result<(), String> {
        *self = plain(raw)?.to_owned();
        Ok(())
    }

    fn to_toml(&self) -> String {
        quoted(self)
    }

    fn value_name(&self) -> &'static str {
        "TEXT"
    }
}

impl Setting for PathBuf {
    fn read(&mut self, raw: &Raw, _range: &RangeInclusive<u64>) -> Result<(), String> {
        *self = Self::from(plain(raw)?);
        Ok(())
    }

    fn to_toml(&self) -> String {
        // it was made of text, so nothing is lost
        quoted(&self.to_string_lossy())
    }

    fn value_name(&self) -> &'static str {
        "PATH"
    }
}

impl Setting for Credential {
    fn read(&mut self, raw: &Raw, _range: &RangeInclusive<u64>) -> Result<(), String> {
        // The messages never repeat what was found: it is a secret that was mistyped.
        let Raw::Text(text) = raw else {
            return Err("expected a string".to_owned());
        };
        *self = Self::new(bounded(text)?);
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

fn plain(raw: &Raw) -> Result<&str, String> {
    match raw {
        Raw::Text(text) => bounded(text),
        other => Err(format!("expected a string, found {}", found(other))),
    }
}

fn bounded(text: &str) -> Result<&str, String> {
    if text.chars().any(char::is_control) {
        return Err("control characters cannot be part of it".to_owned());
    }
    match text.len() {
        0..=MAX_TEXT => Ok(text),
        _ => Err(format!("it is longer than {MAX_TEXT} bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded_and_secrets_are_not_repeated() {
        let read = |value: &mut dyn Setting, text: &str| {
            value.read(&Raw::Text(text.to_owned()), &(0..=u64::MAX))
        };
        let mut path = PathBuf::new();
        read(&mut path, "/srv/a b").unwrap();
        assert_eq!(path.to_toml(), "\"/srv/a b\"");
        assert!(read(&mut path, "a\0b").is_err());
        assert!(read(&mut path, &"x".repeat(MAX_TEXT + 1)).is_err());
        let mut password = Credential::default();
        read(&mut password, "pass wörd, #1").unwrap();
        assert_eq!(password.expose(), "pass wörd, #1");
        assert_eq!(format!("{password:?}"), "***");
        let error = read(&mut password, "hush\n").unwrap_err();
        assert!(!error.contains("hush"));
    }
}
