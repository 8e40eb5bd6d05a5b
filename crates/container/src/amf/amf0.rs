//! AMF0 (Adobe, "Action Message Format: AMF 0", 2007).
//!
//! Owns: [`Decoder`] and [`decode_all`]; [`encode`] and the `write_*` functions that build a
//! command without an intermediate [`Value`]. Does not: write references (each value is written out
//! in full, as encoders of the field do).
//!
//! Leniency: input that ends where a property's name would begin ends the object as an end marker
//! would. SRS reads objects and arrays so (`SrsAmf0EcmaArray::read` goes on while there is input),
//! so a publisher whose `onMetaData` array stops at its last property works there and must work
//! here; pinned by `an_object_may_end_with_the_input`.

use weir_wire::Cursor;

use super::{Budget, Error, Objects, Properties, Value, amf3, cut};

const NUMBER: u8 = 0x00;
const BOOLEAN: u8 = 0x01;
const STRING: u8 = 0x02;
const OBJECT: u8 = 0x03;
const MOVIE_CLIP: u8 = 0x04;
const NULL: u8 = 0x05;
const UNDEFINED: u8 = 0x06;
const REFERENCE: u8 = 0x07;
const ECMA_ARRAY: u8 = 0x08;
const OBJECT_END: u8 = 0x09;
const STRICT_ARRAY: u8 = 0x0a;
const DATE: u8 = 0x0b;
const LONG_STRING: u8 = 0x0c;
const UNSUPPORTED: u8 = 0x0d;
const RECORD_SET: u8 = 0x0e;
const XML_DOCUMENT: u8 = 0x0f;
const TYPED_OBJECT: u8 = 0x10;
const AVM_PLUS: u8 = 0x11;

/// Reads the values of one message in order. Limits and the table of references are the message's.
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    input: &'a [u8],
    cursor: Cursor<'a>,
    budget: Budget,
    objects: Objects,
}

impl<'a> Decoder<'a> {
    /// A decoder at the first value of `input`.
    pub fn new(input: &'a [u8]) -> Self {
        Self {
            input,
            cursor: Cursor::new(input),
            budget: Budget::new(),
            objects: Objects::default(),
        }
    }

    /// Bytes read so far: the end of the last value that [`Decoder::next`] gave.
    pub fn offset(&self) -> usize {
        self.cursor.offset()
    }

    /// The next value; `None` at the end of the input. Fails on malformed input and when a limit is
    /// reached; the offset then stays at the value's beginning.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would go on after an error"
    )]
    pub fn next(&mut self) -> Result<Option<Value>, Error> {
        if self.cursor.is_empty() {
            return Ok(None);
        }
        let mut cursor = self.cursor.clone();
        let value = self.value(&mut cursor, 0)?;
        self.cursor = cursor;
        Ok(Some(value))
    }

    fn value(&mut self, cursor: &mut Cursor<'a>, depth: usize) -> Result<Value, Error> {
        let at = cursor.offset();
        self.budget.value(depth, at)?;
        let marker = cursor.u8()?;
        Ok(match marker {
            NUMBER => Value::Number(cursor.f64()?),
            BOOLEAN => Value::Boolean(cursor.u8()? != 0),
            STRING => Value::String(self.short_text(cursor)?),
            NULL => Value::Null,
            UNDEFINED => Value::Undefined,
            UNSUPPORTED => Value::Unsupported,
            LONG_STRING => Value::String(self.long_text(cursor)?),
            XML_DOCUMENT => Value::Xml(self.long_text(cursor)?),
            DATE => Value::Date {
                millis: cursor.f64()?,
                timezone: cursor.u16()? as i16,
            },
            OBJECT | ECMA_ARRAY | TYPED_OBJECT | STRICT_ARRAY => {
                let slot = self.objects.open(at);
                let value = self.container(marker, cursor, depth)?;
                self.objects.close(slot);
                value
            }
            REFERENCE => self.reference(cursor, at, depth)?,
            AVM_PLUS => amf3::value(self.input, cursor, &mut self.budget, depth)?,
            MOVIE_CLIP | RECORD_SET => return Err(Error::Unsupported { marker, offset: at }),
            _ => return Err(Error::Marker { marker, offset: at }),
        })
    }

    fn container(
        &mut self,
        marker: u8,
        cursor: &mut Cursor<'a>,
        depth: usize,
    ) -> Result<Value, Error> {
        Ok(match marker {
            OBJECT => Value::Object(self.properties(cursor, depth)?),
            ECMA_ARRAY => {
                // The count is a hint (§2.10); encoders send 0 and wrong ones, the end marker
                // decides.
                cursor.u32()?;
                Value::EcmaArray(self.properties(cursor, depth)?)
            }
            TYPED_OBJECT => {
                let class = self.short_text(cursor)?;
                Value::TypedObject {
                    class,
                    properties: self.properties(cursor, depth)?,
                }
            }
            _ => {
                let count = cursor.u32()?;
                let mut items = Vec::new();
                for _ in 0..count {
                    items.push(self.value(cursor, depth + 1)?);
                }
                Value::StrictArray(items)
            }
        })
    }

    fn properties(&mut self, cursor: &mut Cursor<'a>, depth: usize) -> Result<Properties, Error> {
        let mut properties = Vec::new();
        while !cursor.is_empty() {
            let name = self.short_text(cursor)?;
            if name.is_empty() && matches!(cursor.peek(), None | Some(OBJECT_END)) {
                // Absent at the end of the input; the loop ends either way.
                let _ = cursor.u8();
                break;
            }
            properties.push((name, self.value(cursor, depth + 1)?));
        }
        Ok(properties)
    }

    fn reference(
        &mut self,
        cursor: &mut Cursor<'a>,
        at: usize,
        depth: usize,
    ) -> Result<Value, Error> {
        let target = self.objects.find(u32::from(cursor.u16()?), at)?;
        let mut earlier = Cursor::with_base(self.input.get(target..).unwrap_or_default(), target);
        self.objects.replays += 1;
        let value = self.value(&mut earlier, depth);
        self.objects.replays -= 1;
        value
    }

    fn short_text(&mut self, cursor: &mut Cursor<'a>) -> Result<String, Error> {
        let length = usize::from(cursor.u16()?);
        let at = cursor.offset();
        self.budget.text(cursor.take(length)?, at)
    }

    fn long_text(&mut self, cursor: &mut Cursor<'a>) -> Result<String, Error> {
        let length = cursor.u32()? as usize;
        let at = cursor.offset();
        self.budget.text(cursor.take(length)?, at)
    }
}

/// All values of one message. Fails as [`Decoder::next`] does.
pub fn decode_all(input: &[u8]) -> Result<Vec<Value>, Error> {
    let mut decoder = Decoder::new(input);
    let mut values = Vec::new();
    while let Some(value) = decoder.next()? {
        values.push(value);
    }
    Ok(values)
}

/// Appends `value`. Kinds that only AMF3 has are written in AMF3 behind the marker that switches to
/// it (§3.1).
///
/// Names and class names are cut to the 65,535 bytes that their length field can say.
pub fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Number(number) => write_number(*number, out),
        Value::Boolean(flag) => write_bool(*flag, out),
        Value::String(text) => write_string(text, out),
        Value::Object(properties) => {
            write_object_start(out);
            write_properties(properties, out);
        }
        Value::Null => write_null(out),
        Value::Undefined => write_undefined(out),
        Value::Unsupported => out.push(UNSUPPORTED),
        Value::EcmaArray(properties) => {
            write_ecma_array_start(count(properties.len()), out);
            write_properties(properties, out);
        }
        Value::StrictArray(items) => {
            write_strict_array_start(count(items.len()), out);
            for item in items {
                encode(item, out);
            }
        }
        Value::Date { millis, timezone } => {
            out.push(DATE);
            out.extend_from_slice(&millis.to_be_bytes());
            out.extend_from_slice(&timezone.to_be_bytes());
        }
        Value::Xml(text) => {
            out.push(XML_DOCUMENT);
            write_long_text(text, out);
        }
        Value::TypedObject { class, properties } => {
            out.push(TYPED_OBJECT);
            write_key(class, out);
            write_properties(properties, out);
        }
        Value::ByteArray(_)
        | Value::VectorInt(_)
        | Value::VectorUint(_)
        | Value::VectorDouble(_)
        | Value::VectorObject { .. }
        | Value::Dictionary(_) => {
            out.push(AVM_PLUS);
            amf3::encode(value, out);
        }
    }
}

/// Appends a number.
pub fn write_number(number: f64, out: &mut Vec<u8>) {
    out.push(NUMBER);
    out.extend_from_slice(&number.to_be_bytes());
}

/// Appends a boolean.
pub fn write_bool(flag: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(&[BOOLEAN, u8::from(flag)]);
}

/// Appends a string, as a long one when it has more than 65,535 bytes.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    if text.len() <= usize::from(u16::MAX) {
        out.push(STRING);
        write_key(text, out);
    } else {
        out.push(LONG_STRING);
        write_long_text(text, out);
    }
}

/// Appends `null`.
pub fn write_null(out: &mut Vec<u8>) {
    out.push(NULL);
}

/// Appends `undefined`.
pub fn write_undefined(out: &mut Vec<u8>) {
    out.push(UNDEFINED);
}

/// Begins an object: pairs of [`write_key`] and a value follow, then [`write_object_end`].
pub fn write_object_start(out: &mut Vec<u8>) {
    out.push(OBJECT);
}

/// Begins an array with names, which goes on as an object does. `count` is a hint for the reader.
pub fn write_ecma_array_start(count: u32, out: &mut Vec<u8>) {
    out.push(ECMA_ARRAY);
    out.extend_from_slice(&count.to_be_bytes());
}

/// Begins an array without names: exactly `count` values follow.
pub fn write_strict_array_start(count: u32, out: &mut Vec<u8>) {
    out.push(STRICT_ARRAY);
    out.extend_from_slice(&count.to_be_bytes());
}

/// Appends the name of a property, cut to 65,535 bytes; its value follows.
pub fn write_key(name: &str, out: &mut Vec<u8>) {
    let name = cut(name, usize::from(u16::MAX));
    out.extend_from_slice(&(name.len() as u16).to_be_bytes());
    out.extend_from_slice(name.as_bytes());
}

/// Ends an object or an array with names.
pub fn write_object_end(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, 0, OBJECT_END]);
}

fn write_properties(properties: &[(String, Value)], out: &mut Vec<u8>) {
    for (name, value) in properties {
        write_key(name, out);
        encode(value, out);
    }
    write_object_end(out);
}

fn write_long_text(text: &str, out: &mut Vec<u8>) {
    let text = cut(text, u32::MAX as usize);
    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
