//! Reads init segments and fragments back, strictly.
//!
//! Owns: the boxes that [`super::write_init`] and [`super::write_fragment_head`] write, and refusal of everything in
//! them that does not fit: lengths, versions, flags, missing and surplus bytes. Boxes of other kinds are passed over.
//! Memory is bounded by the input and [`MAX_SAMPLES`]. Does not: read movies whose samples stand in `moov`, or
//! fragments that lean on the defaults of `trex`.

mod fragment;
mod init;

pub use fragment::{Fragment, RunOf, fragments};
pub use init::{Media, TrackOf, init};

use weir_wire::{Cursor, Short};

/// Most samples of one [`fragments`] call: ten minutes of sound and pictures. A table of samples without columns has no
/// length that bounds it.
pub const MAX_SAMPLES: usize = 65_536;

/// Why bytes are no init segment or fragment. Offsets count from the start of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A box or the input ends inside a field.
    #[error("MP4 box is cut short: {0}")]
    Short(#[from] Short),
    /// A box's length is less than its head, or passes the end of what holds it.
    #[error("box at byte {offset} has a length of {size}, which does not fit")]
    Length {
        /// Where the box begins.
        offset: usize,
        /// The length it says.
        size: u64,
    },
    /// A box has bytes behind its last field.
    #[error("surplus bytes at byte {offset}")]
    Surplus {
        /// Where they begin.
        offset: usize,
    },
    /// A box that must be there is missing, or is there twice.
    #[error("the box at byte {within} must hold one {}", kind.escape_ascii())]
    Count {
        /// The kind of box.
        kind: [u8; 4],
        /// Where the content of the box that should hold it begins.
        within: usize,
    },
    /// A field has a value that is not allowed or not supported.
    #[error("{field} at byte {offset} has a value that is not supported")]
    Value {
        /// The field, as the standard names it.
        field: &'static str,
        /// Where it is.
        offset: usize,
    },
    /// More than [`MAX_SAMPLES`].
    #[error("more than {MAX_SAMPLES} samples")]
    TooManySamples,
}

/// A box: its kind and its content.
#[derive(Debug, Clone, Copy)]
struct Box4<'a> {
    kind: [u8; 4],
    /// Where the box begins, and where its content does.
    start: usize,
    at: usize,
    content: &'a [u8],
}

impl<'a> Box4<'a> {
    /// The next box; none at the end.
    fn next(cursor: &mut Cursor<'a>) -> Result<Option<Self>, Error> {
        if cursor.is_empty() {
            return Ok(None);
        }
        let start = cursor.offset();
        let size = u64::from(cursor.u32()?);
        let kind = cursor.array()?;
        let (size, head) = match size {
            1 => (cursor.u64()?, 16),
            _ => (size, 8),
        };
        let wrong = Error::Length {
            offset: start,
            size,
        };
        let content = size
            .checked_sub(head)
            .and_then(|length| usize::try_from(length).ok());
        let content = content.ok_or(wrong)?;
        let at = cursor.offset();
        Ok(Some(Self {
            kind,
            start,
            at,
            content: cursor.take(content).map_err(|_| wrong)?,
        }))
    }

    fn cursor(&self) -> Cursor<'a> {
        Cursor::with_base(self.content, self.at)
    }

    /// The content of a full box, its version, which is at most `newest`, and its flags.
    fn full(&self, newest: u8) -> Result<(u8, u32, Cursor<'a>), Error> {
        let mut cursor = self.cursor();
        let version = cursor.u8()?;
        if version > newest {
            return Err(value("version", self.at));
        }
        let flags = cursor.u24()?;
        Ok((version, flags, cursor))
    }

    /// The only box of `kind` in this one.
    fn only(&self, kind: &[u8; 4]) -> Result<Self, Error> {
        let mut found = children(self.cursor(), kind)?.into_iter();
        match (found.next(), found.next()) {
            (Some(only), None) => Ok(only),
            _ => Err(Error::Count {
                kind: *kind,
                within: self.at,
            }),
        }
    }

    /// The boxes of `kind` in this one.
    fn all(&self, kind: &[u8; 4]) -> Result<Vec<Self>, Error> {
        children(self.cursor(), kind)
    }
}

/// All boxes in `cursor` are walked, so that damage behind the wanted ones is found too.
fn children<'a>(mut cursor: Cursor<'a>, kind: &[u8; 4]) -> Result<Vec<Box4<'a>>, Error> {
    let mut found = Vec::new();
    while let Some(next) = Box4::next(&mut cursor)? {
        if next.kind == *kind {
            found.push(next);
        }
    }
    Ok(found)
}

fn value(field: &'static str, offset: usize) -> Error {
    Error::Value { field, offset }
}

/// Fails unless a box has been read to its end.
fn end(cursor: &Cursor<'_>) -> Result<(), Error> {
    if cursor.is_empty() {
        return Ok(());
    }
    Err(Error::Surplus {
        offset: cursor.offset(),
    })
}

#[cfg(test)]
mod tests;
