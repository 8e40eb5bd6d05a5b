//! The name under which a stream is placed.
//!
//! Owns: [`Key`] and its bounds. Does not: derive it from a URL; that is the business of whoever parses the opening of
//! a session.

use std::fmt;
use std::sync::Arc;

/// Longest key in bytes. Names people type are under 100; generated ones with everything in them stay under 512, and
/// a table of 100,000 keys stays small.
pub const MAX_KEY_BYTES: usize = 512;

/// Why a text cannot be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// Nothing is left of the name.
    #[error("stream name is empty")]
    Empty,
    /// Longer than [`MAX_KEY_BYTES`].
    #[error("stream name is longer than {MAX_KEY_BYTES} bytes")]
    TooLong,
    /// It has a control character.
    #[error("stream name has a control character")]
    Character,
}

/// The name of a stream in the cluster, such as `__defaultVhost__/live/livestream`. Cheap to clone.
///
/// All proxies of a cluster must make the same key of the same stream, whatever protocol it is asked for by.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

impl Key {
    /// Takes `text` as it is. Fails when it is empty, too long, or has a control character.
    pub fn new(text: &str) -> Result<Self, InvalidKey> {
        if text.is_empty() {
            return Err(InvalidKey::Empty);
        }
        if text.len() > MAX_KEY_BYTES {
            return Err(InvalidKey::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidKey::Character);
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_bounded_text() {
        assert_eq!(
            Key::new("v/a/s").map(|key| key.to_string()),
            Ok("v/a/s".to_owned())
        );
        assert_eq!(Key::new(""), Err(InvalidKey::Empty));
        assert_eq!(Key::new("a\nb"), Err(InvalidKey::Character));
        let longest = "x".repeat(MAX_KEY_BYTES);
        assert!(Key::new(&longest).is_ok());
        assert_eq!(Key::new(&(longest + "x")), Err(InvalidKey::TooLong));
    }
}
