//! Targets of AMF0 and AMF3.
//!
//! Owns: the limits of a decoded message, and the round trip. Input: the body of a message, as it is on the wire.

use weir_container::amf::{
    Error, MAX_BYTES, MAX_DEPTH, MAX_VALUES, Value, amf0 as zero, amf3 as three,
};

/// Decodes the input as AMF0; encodes and decodes what came out.
pub fn amf0(data: &[u8]) {
    let mut decoder = zero::Decoder::new(data);
    let mut offset = 0;
    let mut values = Vec::new();
    loop {
        match decoder.next() {
            Ok(Some(value)) => {
                assert!(offset < decoder.offset() && decoder.offset() <= data.len());
                offset = decoder.offset();
                values.push(value);
            }
            Ok(None) => {
                assert_eq!(offset, data.len());
                break;
            }
            Err(error) => {
                assert_eq!(decoder.offset(), offset, "an error moves nothing");
                check_error(&error, data.len());
                break;
            }
        }
    }
    round_trip(&values, zero::encode, zero::decode_all);
}

/// Decodes the input as AMF3; encodes and decodes what came out.
pub fn amf3(data: &[u8]) {
    match three::decode_all(data) {
        Ok(values) => round_trip(&values, three::encode, three::decode_all),
        Err(error) => check_error(&error, data.len()),
    }
}

fn check_error(error: &Error, length: usize) {
    let offset = match *error {
        Error::Short(short) => {
            assert!(short.left < short.wanted && short.offset + short.left <= length);
            short.offset
        }
        Error::Marker { offset, .. }
        | Error::Unsupported { offset, .. }
        | Error::Externalizable { offset }
        | Error::Reference { offset, .. }
        | Error::Circular { offset }
        | Error::TooDeep { offset }
        | Error::TooManyValues { offset }
        | Error::TooManyBytes { offset } => offset,
        _ => 0,
    };
    assert!(offset <= length, "{error}");
}

type Encode = fn(&Value, &mut Vec<u8>);
type DecodeAll = fn(&[u8]) -> Result<Vec<Value>, Error>;

/// What was decoded is within the limits, and is the same after encoding and decoding. Values are compared as text, for
/// which all NaN are the same.
fn round_trip(values: &[Value], encode: Encode, decode_all: DecodeAll) {
    let mut tally = Tally::default();
    values.iter().for_each(|value| tally.add(value));
    assert!(tally.values <= MAX_VALUES);
    // bytes that are no UTF-8 grow to three each
    assert!(tally.bytes <= 3 * MAX_BYTES);
    let write = |values: &[Value]| {
        let mut out = Vec::new();
        values.iter().for_each(|value| encode(value, &mut out));
        out
    };
    let written = write(values);
    match decode_all(&written) {
        Ok(again) if tally.is_exact => {
            assert_eq!(format!("{values:?}"), format!("{again:?}"));
            assert_eq!(written, write(&again));
        }
        Ok(_) => {}
        Err(Error::TooManyBytes { .. }) if tally.has_replaced => {}
        Err(error) => panic!("what was written cannot be read: {error}"),
    }
}

/// Whether `value` has nothing in it that a notation cannot say and a writer leaves out or cuts.
pub(crate) fn is_exact(value: &Value) -> bool {
    let mut tally = Tally::default();
    tally.add(value);
    tally.is_exact
}

/// What a message came to.
struct Tally {
    values: usize,
    bytes: usize,
    /// How many values are around the one that is looked at.
    depth: usize,
    /// Some text was no UTF-8 and is longer now.
    has_replaced: bool,
    /// Nothing is in it that a notation cannot say.
    is_exact: bool,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            values: 0,
            bytes: 0,
            depth: 0,
            has_replaced: false,
            is_exact: true,
        }
    }
}

impl Tally {
    fn add(&mut self, value: &Value) {
        assert!(self.depth <= MAX_DEPTH);
        self.depth += 1;
        self.values += 1;
        self.add_parts(value);
        self.depth -= 1;
    }

    fn add_parts(&mut self, value: &Value) {
        match value {
            Value::String(text) | Value::Xml(text) => self.text(text),
            Value::Object(properties) | Value::EcmaArray(properties) => {
                self.properties(properties);
            }
            Value::TypedObject { class, properties } => {
                self.name(class);
                self.properties(properties);
            }
            Value::StrictArray(items) => items.iter().for_each(|item| self.add(item)),
            Value::VectorObject { class, items } => {
                self.text(class);
                items.iter().for_each(|item| self.add(item));
            }
            Value::Dictionary(entries) => entries.iter().for_each(|(key, value)| {
                self.add(key);
                self.add(value);
            }),
            Value::ByteArray(bytes) => self.bytes += bytes.len(),
            Value::VectorInt(items) => self.bytes += 4 * items.len(),
            Value::VectorUint(items) => self.bytes += 4 * items.len(),
            Value::VectorDouble(items) => self.bytes += 8 * items.len(),
            _ => {}
        }
    }

    fn properties(&mut self, properties: &[(String, Value)]) {
        for (name, value) in properties {
            self.name(name);
            self.add(value);
        }
    }

    fn name(&mut self, name: &str) {
        // AMF3 has no empty names, AMF0 none over 65,535 bytes and no class without a name
        self.is_exact &= !name.is_empty() && name.len() <= usize::from(u16::MAX);
        // the names that numbered members of an array get are not paid for
        if !name.bytes().all(|byte| byte.is_ascii_digit()) {
            self.text(name);
        }
    }

    fn text(&mut self, text: &str) {
        self.bytes += text.len();
        self.has_replaced |= text.contains('\u{fffd}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "cannot be read")]
    fn a_writer_of_rubbish_is_noticed() {
        round_trip(&[Value::Null], |_, out| out.push(0xff), zero::decode_all);
    }

    #[test]
    #[should_panic(expected = "Null")]
    fn a_changed_value_is_noticed() {
        let encode: Encode = |_, out| zero::encode(&Value::Null, out);
        round_trip(&[Value::Boolean(true)], encode, zero::decode_all);
    }
}
