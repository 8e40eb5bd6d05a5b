//! Action Message Format: the values of RTMP commands and of FLV script data.
//!
//! Owns: [`Value`], the one model of both notations; [`Error`]; the limits of a message. The
//! notations are [`amf0`] and [`amf3`]. Does not: know what a command or a property means.
//!
//! References are resolved by decoding the value they point to once more, under the same limits, so
//! a message of references to references costs no more than [`MAX_VALUES`] and [`MAX_BYTES`] allow.

pub mod amf0;
pub mod amf3;

/// How deep values may nest; a value at the top has depth 0.
///
/// Encoders nest metadata three deep (track maps of enhanced RTMP). 32 leaves room, and decoding,
/// comparing and dropping such a value all recurse within a few KiB of stack.
pub const MAX_DEPTH: usize = 32;

/// How many values one message may hold, values reached through references counted each time.
///
/// Commands hold tens. The largest honest message is `onMetaData` of a recording with a key frame
/// index, two numbers a key frame: 16,384 is four hours of it, and keeps a message within a few MiB
/// of memory.
pub const MAX_VALUES: usize = 16_384;

/// How many bytes of text and byte arrays one message may decode to, references counted each time.
///
/// Honest messages stay under 64 KiB; 1 MiB lets a cover picture in metadata through and makes a
/// message that repeats a long string by reference harmless.
pub const MAX_BYTES: usize = 1 << 20;

/// The properties of an object, in the order they were sent.
pub type Properties = Vec<(String, Value)>;

/// A value of AMF0 or AMF3.
///
/// Text that is no UTF-8 has its bad bytes replaced by U+FFFD: device names and titles in metadata
/// are labels, and refusing one would end a publish that every player could show.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A number; AMF3 integers too, which are all exact as doubles.
    Number(f64),
    /// A boolean.
    Boolean(bool),
    /// A string, short or long.
    String(String),
    /// An anonymous object.
    Object(Properties),
    /// `null`.
    Null,
    /// `undefined`.
    Undefined,
    /// AMF0's "unsupported": something the sender could not serialise.
    Unsupported,
    /// An array with names. AMF3 arrays with both names and numbers give their numbered part after
    /// the names, under `"0"`, `"1"` and so on.
    EcmaArray(Properties),
    /// An array without names.
    StrictArray(Vec<Self>),
    /// A point in time.
    Date {
        /// Milliseconds since 1970-01-01 UTC.
        millis: f64,
        /// Minutes; reserved in AMF0 (§2.13) and mostly 0, absent from AMF3.
        timezone: i16,
    },
    /// XML, of either of AMF3's two kinds or AMF0's.
    Xml(String),
    /// An object of a named class.
    TypedObject {
        /// The class's alias.
        class: String,
        /// Its properties.
        properties: Properties,
    },
    /// Raw bytes (AMF3).
    ByteArray(Vec<u8>),
    /// A vector of signed integers (AMF3).
    VectorInt(Vec<i32>),
    /// A vector of unsigned integers (AMF3).
    VectorUint(Vec<u32>),
    /// A vector of doubles (AMF3).
    VectorDouble(Vec<f64>),
    /// A vector of objects (AMF3).
    VectorObject {
        /// The class's alias; empty for any.
        class: String,
        /// The members.
        items: Vec<Self>,
    },
    /// Pairs of any values (AMF3).
    Dictionary(Vec<(Self, Self)>),
}

impl Value {
    /// The first property called `name`, of any kind of object or of an array with names.
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.properties()?
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// The properties, of any kind of object or of an array with names.
    pub fn properties(&self) -> Option<&[(String, Self)]> {
        match self {
            Self::Object(properties)
            | Self::EcmaArray(properties)
            | Self::TypedObject { properties, .. } => Some(properties),
            _ => None,
        }
    }

    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if this is one.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The boolean, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Boolean(flag) => Some(*flag),
            _ => None,
        }
    }

    /// The members, if this is an array without names.
    pub fn as_slice(&self) -> Option<&[Self]> {
        match self {
            Self::StrictArray(items) => Some(items),
            _ => None,
        }
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Boolean(flag)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

/// Why input is no message. The sender is at fault each time, save for [`Error::Unsupported`] and
/// [`Error::Externalizable`], which are lawful and not understood here.
///
/// Offsets count bytes from the start of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input ends inside a value.
    #[error("AMF message is cut short: {0}")]
    Short(#[from] weir_wire::Short),
    /// A marker that the notation does not define, or an end marker outside an object.
    #[error("AMF marker {marker:#04x} at byte {offset} means nothing there")]
    Marker {
        /// The marker.
        marker: u8,
        /// Where it is.
        offset: usize,
    },
    /// A marker that is reserved: movie clip, record set.
    #[error("AMF marker {marker:#04x} at byte {offset} is not supported")]
    Unsupported {
        /// The marker.
        marker: u8,
        /// Where it is.
        offset: usize,
    },
    /// An AMF3 object that only its own class can read.
    #[error("AMF3 object at byte {offset} is externalizable, which is not supported")]
    Externalizable {
        /// Where the object begins.
        offset: usize,
    },
    /// A reference to something not sent before.
    #[error("AMF reference {index} at byte {offset} points at nothing")]
    Reference {
        /// The number in the table of objects, strings or traits.
        index: u32,
        /// Where the value with the reference begins.
        offset: usize,
    },
    /// An object that contains a reference to itself.
    #[error("AMF reference at byte {offset} points at an object around it")]
    Circular {
        /// Where the value with the reference begins.
        offset: usize,
    },
    /// More than [`MAX_DEPTH`] levels.
    #[error("AMF value at byte {offset} is nested deeper than {MAX_DEPTH} levels")]
    TooDeep {
        /// Where the value begins.
        offset: usize,
    },
    /// More than [`MAX_VALUES`] values.
    #[error("AMF message has more than {MAX_VALUES} values by byte {offset}")]
    TooManyValues {
        /// Where the first value too many begins.
        offset: usize,
    },
    /// More than [`MAX_BYTES`] of text and byte arrays.
    #[error("AMF message has more than {MAX_BYTES} bytes of text by byte {offset}")]
    TooManyBytes {
        /// Where the text begins that is too much.
        offset: usize,
    },
}

/// What a message may still decode to.
#[derive(Debug, Clone)]
struct Budget {
    values: usize,
    bytes: usize,
}

impl Budget {
    fn new() -> Self {
        Self {
            values: MAX_VALUES,
            bytes: MAX_BYTES,
        }
    }

    /// Pays for one value (or name of a trait) at `depth`, beginning at `offset`.
    fn value(&mut self, depth: usize, offset: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::TooDeep { offset });
        }
        self.values = self
            .values
            .checked_sub(1)
            .ok_or(Error::TooManyValues { offset })?;
        Ok(())
    }

    /// Pays for `count` bytes of text or of packed numbers.
    fn bytes(&mut self, count: usize, offset: usize) -> Result<(), Error> {
        self.bytes = self
            .bytes
            .checked_sub(count)
            .ok_or(Error::TooManyBytes { offset })?;
        Ok(())
    }

    /// Pays for `bytes` and makes text of them.
    fn text(&mut self, bytes: &[u8], offset: usize) -> Result<String, Error> {
        self.bytes(bytes.len(), offset)?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}

/// Where the objects of a message begin, by their number of appearance.
#[derive(Debug, Clone, Default)]
struct Objects {
    slots: Vec<Slot>,
    /// Above zero while a reference is being resolved: what is read then has its number already.
    replays: usize,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    at: usize,
    open: bool,
}

impl Objects {
    /// Numbers the object that begins at `at`; hand the result to [`Objects::close`] at its end.
    fn open(&mut self, at: usize) -> Option<usize> {
        if self.replays > 0 {
            return None;
        }
        self.slots.push(Slot { at, open: true });
        Some(self.slots.len() - 1)
    }

    fn close(&mut self, slot: Option<usize>) {
        if let Some(slot) = slot.and_then(|index| self.slots.get_mut(index)) {
            slot.open = false;
        }
    }

    /// Where object `index` begins. `offset` is that of the reference, for errors.
    fn find(&self, index: u32, offset: usize) -> Result<usize, Error> {
        match self.slots.get(index as usize) {
            None => Err(Error::Reference { index, offset }),
            Some(Slot { open: true, .. }) => Err(Error::Circular { offset }),
            Some(slot) => Ok(slot.at),
        }
    }
}

/// The longest beginning of `text` of at most `max` bytes.
fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests;
