//! A media packet as far as tests compare it.
//!
//! Owns: the value. Does not: say where it comes from; `capture` and `flv` make it.

use std::fmt;

/// Audio or video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

/// One coded frame.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet {
    /// Audio or video.
    pub kind: Kind,
    /// Decode time in milliseconds.
    pub dts: i64,
    /// Presentation time in milliseconds; equals `dts` where it is part of the hashed bytes.
    pub pts: i64,
    /// A decoder can begin here.
    pub key: bool,
    /// Bytes of the payload.
    pub size: usize,
    /// Hash of the payload.
    pub hash: String,
}

impl Packet {
    /// Equal but for where on the clock it is.
    pub(crate) fn same_payload(&self, other: &Self) -> bool {
        (self.kind, self.key, self.size, &self.hash)
            == (other.kind, other.key, other.size, &other.hash)
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = if self.key { " key" } else { "" };
        let hash = self.hash.get(..8).unwrap_or(&self.hash);
        write!(
            f,
            "{:?} dts={} pts={}{key} {} bytes {hash}",
            self.kind, self.dts, self.pts, self.size
        )
    }
}
