//! What a stream is called.
//!
//! Owns: [`StreamKey`] and its parts, their limits and their normal form. Does not: parse URLs.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Longest key in bytes, separators included.
///
/// URLs of encoders are limited to about 2,000 bytes by their own buffers, and names people type are under 100; 512
/// leaves room for generated names with tokens in them while a table of 100,000 names stays small.
pub const MAX_KEY_BYTES: usize = 512;

/// A virtual host, such as `__defaultVhost__` or `live.example.com`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Vhost<'a>(pub &'a str);

/// An application name, such as `live`; may contain `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AppName<'a>(pub &'a str);

/// A stream name, such as `livestream`; never contains `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamName<'a>(pub &'a str);

/// Why a name cannot be a stream's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// App or stream name is empty.
    #[error("application or stream name is empty")]
    Empty,
    /// Longer than [`MAX_KEY_BYTES`].
    #[error("stream key is longer than {MAX_KEY_BYTES} bytes")]
    TooLong,
    /// A control character, or one of `?` and `#`, which end a path.
    #[error("stream key has a character that is not allowed")]
    Character,
    /// A path segment that is empty, `.` or `..`.
    #[error("stream key has an empty or relative path segment")]
    Segment,
}

/// The identity of a stream: `vhost/app/stream`. Cheap to clone.
///
/// Clients split a path at different slashes (one asks for app `a` and name `b/c`, another for app `a/b` and name
/// `c`); a key joins both and splits at the last slash, so they meet.
#[derive(Clone)]
pub struct StreamKey {
    text: Arc<str>,
    app_at: u16,
    name_at: u16,
}

impl StreamKey {
    /// Joins the parts. Slashes at either end of `app` and `name` are dropped. Fails when the result is no valid key.
    pub fn new(
        vhost: Vhost<'_>,
        app: AppName<'_>,
        name: StreamName<'_>,
    ) -> Result<Self, InvalidKey> {
        let (vhost, app, name) = (vhost.0, app.0.trim_matches('/'), name.0.trim_matches('/'));
        if vhost.is_empty() || app.is_empty() || name.is_empty() {
            return Err(InvalidKey::Empty);
        }
        let text = format!("{vhost}/{app}/{name}");
        if text.len() > MAX_KEY_BYTES {
            return Err(InvalidKey::TooLong);
        }
        if vhost.contains('/') || text.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(InvalidKey::Segment);
        }
        if text
            .chars()
            .any(|c| c.is_control() || matches!(c, '?' | '#'))
        {
            return Err(InvalidKey::Character);
        }
        let app_at = (vhost.len() + 1) as u16;
        let name_at = text.rfind('/').map_or(0, |slash| slash + 1) as u16;
        Ok(Self {
            text: text.into(),
            app_at,
            name_at,
        })
    }

    /// The virtual host.
    pub fn vhost(&self) -> &str {
        self.text
            .get(..usize::from(self.app_at) - 1)
            .unwrap_or_default()
    }

    /// The application, without slashes at its ends.
    pub fn app(&self) -> &str {
        self.text
            .get(usize::from(self.app_at)..usize::from(self.name_at) - 1)
            .unwrap_or_default()
    }

    /// The stream's name within the application.
    pub fn name(&self) -> &str {
        self.text
            .get(usize::from(self.name_at)..)
            .unwrap_or_default()
    }

    /// The whole key, `vhost/app/stream`.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for StreamKey {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for StreamKey {}

impl Hash for StreamKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl PartialOrd for StreamKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for StreamKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamKey({})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(app: &str, name: &str) -> Result<StreamKey, InvalidKey> {
        StreamKey::new(Vhost("v"), AppName(app), StreamName(name))
    }

    #[test]
    fn parts_come_back() {
        let key = key("live", "livestream").expect("valid");
        assert_eq!(
            (key.vhost(), key.app(), key.name()),
            ("v", "live", "livestream")
        );
        assert_eq!(key.as_str(), "v/live/livestream");
    }

    #[test]
    fn a_path_means_the_same_wherever_a_client_splits_it() {
        assert_eq!(key("a", "b/c"), key("a/b", "c"));
        assert_eq!(key("/live/", "/x/"), key("live", "x"));
        assert_eq!(
            key("a", "b/c").map(|k| k.app().to_owned()),
            Ok("a/b".to_owned())
        );
    }

    #[test]
    fn refuses_what_could_mislead() {
        assert_eq!(key("", "x"), Err(InvalidKey::Empty));
        assert_eq!(key("live", "/"), Err(InvalidKey::Empty));
        assert_eq!(key("live", "a//b"), Err(InvalidKey::Segment));
        assert_eq!(key("live/..", "x"), Err(InvalidKey::Segment));
        assert_eq!(key("live", "x\n"), Err(InvalidKey::Character));
        assert_eq!(key("live", "x?token=1"), Err(InvalidKey::Character));
        assert_eq!(key("live", &"x".repeat(600)), Err(InvalidKey::TooLong));
    }

    proptest! {
        #[test]
        fn a_valid_key_is_its_parts(app in "[a-zé/]{1,20}", name in "[a-z0-9_/-]{1,20}") {
            if let Ok(key) = key(&app, &name) {
                prop_assert!(!key.name().contains('/'));
                prop_assert_eq!(format!("{}/{}/{}", key.vhost(), key.app(), key.name()), key.as_str());
            }
        }
    }
}
