//! Answers about segments, as HTTP knows them.
//!
//! Owns: [`Reply`] and what caches may do with it. Does not: write heads, or compress what nobody asked for.

use bytes::Bytes;

/// How long an answer may be used again by caches (RFC 9111), in the words of `Cache-Control`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// The address means these bytes for ever.
    Immutable,
    /// For so many seconds.
    Seconds(u32),
    /// Never.
    Never,
}

impl Cache {
    /// The value of `Cache-Control`.
    pub fn header(self) -> String {
        match self {
            Self::Immutable => "public, max-age=31536000, immutable".to_owned(),
            Self::Seconds(seconds) => format!("public, max-age={seconds}"),
            Self::Never => "no-store".to_owned(),
        }
    }
}

/// A whole answer. Cloning is cheap: bodies are shared by everybody who asks for the same.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status (RFC 9110, section 15).
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// What caches may do.
    pub cache: Cache,
    /// The body, in pieces that follow each other.
    pub body: Vec<Bytes>,
    /// The same body in gzip, where one was asked for and it is worth it.
    pub gzip: Option<Bytes>,
    /// The strong validator with its quotes, for bodies that clients ask for again; `None` for the rest.
    pub etag: Option<String>,
    /// `Retry-After` in seconds.
    pub retry_after: Option<u32>,
}

impl Reply {
    /// An answer of one piece.
    pub(crate) fn whole(content_type: &'static str, cache: Cache, body: Vec<Bytes>) -> Self {
        Self {
            status: 200,
            content_type,
            cache,
            body,
            gzip: None,
            etag: None,
            retry_after: None,
        }
    }

    /// A refusal, with a line for people.
    pub fn refusal(status: u16, cache: Cache, text: &str) -> Self {
        Self {
            status,
            body: vec![Bytes::from(format!("{text}\n"))],
            ..Self::whole("text/plain; charset=utf-8", cache, Vec::new())
        }
    }

    /// Length of the body in bytes.
    pub fn length(&self) -> u64 {
        self.body.iter().map(|piece| piece.len() as u64).sum()
    }
}
