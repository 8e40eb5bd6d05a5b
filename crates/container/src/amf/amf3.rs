//! AMF3 (Adobe, "Action Message Format: AMF 3", 2013).
//!
//! Owns: [`Decoder`], [`decode_all`] and [`encode`]. Tables of strings, objects and traits are
//! read, not written: each value is written out in full. Does not: read externalizable objects,
//! whose form only their class knows; keep whether a vector is of fixed length or a dictionary
//! holds its keys weakly.

use weir_wire::Cursor;

use super::{Budget, Error, Objects, Properties, Value, cut};

const UNDEFINED: u8 = 0x00;
const NULL: u8 = 0x01;
const FALSE: u8 = 0x02;
const TRUE: u8 = 0x03;
const INTEGER: u8 = 0x04;
const DOUBLE: u8 = 0x05;
const STRING: u8 = 0x06;
const XML_DOCUMENT: u8 = 0x07;
const DATE: u8 = 0x08;
const ARRAY: u8 = 0x09;
const OBJECT: u8 = 0x0a;
const XML: u8 = 0x0b;
const BYTE_ARRAY: u8 = 0x0c;
const VECTOR_INT: u8 = 0x0d;
const VECTOR_UINT: u8 = 0x0e;
const VECTOR_DOUBLE: u8 = 0x0f;
const VECTOR_OBJECT: u8 = 0x10;
const DICTIONARY: u8 = 0x11;

/// Reads the values of one message in order. Limits and the tables of references are the message's.
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    cursor: Cursor<'a>,
    budget: Budget,
    tables: Tables<'a>,
}

impl<'a> Decoder<'a> {
    /// A decoder at the first value of `input`.
    pub fn new(input: &'a [u8]) -> Self {
        Self {
            cursor: Cursor::new(input),
            budget: Budget::new(),
            tables: Tables::new(input),
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
        let value = self.tables.value(&mut cursor, &mut self.budget, 0)?;
        self.cursor = cursor;
        Ok(Some(value))
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

/// One value inside an AMF0 message, with tables of its own. `input` is the whole message.
pub(super) fn value<'a>(
    input: &'a [u8],
    cursor: &mut Cursor<'a>,
    budget: &mut Budget,
    depth: usize,
) -> Result<Value, Error> {
    Tables::new(input).value(cursor, budget, depth)
}

/// What references point into (§2.2).
#[derive(Debug, Clone)]
struct Tables<'a> {
    input: &'a [u8],
    strings: Vec<&'a [u8]>,
    traits: Vec<Traits<'a>>,
    objects: Objects,
}

#[derive(Debug, Clone)]
struct Traits<'a> {
    class: &'a [u8],
    dynamic: bool,
    members: Vec<&'a [u8]>,
}

/// The beginning of a value that references can point to.
#[derive(Debug, Clone, Copy)]
struct Head {
    marker: u8,
    /// Length, count or traits, with a lowest bit of 1.
    header: u32,
    /// Where the marker is.
    at: usize,
}

impl<'a> Tables<'a> {
    fn new(input: &'a [u8]) -> Self {
        Self {
            input,
            strings: Vec::new(),
            traits: Vec::new(),
            objects: Objects::default(),
        }
    }

    fn value(
        &mut self,
        cursor: &mut Cursor<'a>,
        budget: &mut Budget,
        depth: usize,
    ) -> Result<Value, Error> {
        let at = cursor.offset();
        budget.value(depth, at)?;
        let marker = cursor.u8()?;
        Ok(match marker {
            UNDEFINED => Value::Undefined,
            NULL => Value::Null,
            FALSE => Value::Boolean(false),
            TRUE => Value::Boolean(true),
            // 29 bits, two's complement.
            INTEGER => Value::Number(f64::from((u29(cursor)? << 3) as i32 >> 3)),
            DOUBLE => Value::Number(cursor.f64()?),
            STRING => {
                let bytes = self.string(cursor)?;
                Value::String(budget.text(bytes, at)?)
            }
            XML_DOCUMENT..=DICTIONARY => {
                let header = u29(cursor)?;
                if header & 1 == 0 {
                    return self.reference(header >> 1, at, budget, depth);
                }
                let slot = self.objects.open(at);
                let value = self.complex(Head { marker, header, at }, cursor, budget, depth)?;
                self.objects.close(slot);
                value
            }
            _ => return Err(Error::Marker { marker, offset: at }),
        })
    }

    /// The rest of a value of a kind that references can point to.
    fn complex(
        &mut self,
        Head { marker, header, at }: Head,
        cursor: &mut Cursor<'a>,
        budget: &mut Budget,
        depth: usize,
    ) -> Result<Value, Error> {
        let count = (header >> 1) as usize;
        Ok(match marker {
            XML_DOCUMENT | XML => Value::Xml(budget.text(cursor.take(count)?, at)?),
            DATE => Value::Date {
                millis: cursor.f64()?,
                timezone: 0,
            },
            BYTE_ARRAY => {
                let bytes = cursor.take(count)?;
                budget.bytes(bytes.len(), at)?;
                Value::ByteArray(bytes.to_vec())
            }
            VECTOR_INT => Value::VectorInt(
                packed(cursor, count, at, budget)?
                    .map(i32::from_be_bytes)
                    .collect(),
            ),
            VECTOR_UINT => Value::VectorUint(
                packed(cursor, count, at, budget)?
                    .map(u32::from_be_bytes)
                    .collect(),
            ),
            VECTOR_DOUBLE => Value::VectorDouble(
                packed(cursor, count, at, budget)?
                    .map(f64::from_be_bytes)
                    .collect(),
            ),
            VECTOR_OBJECT => {
                cursor.u8()?;
                let class = self.string(cursor)?;
                let class = budget.text(class, at)?;
                Value::VectorObject {
                    class,
                    items: self.items(count, cursor, budget, depth)?,
                }
            }
            DICTIONARY => {
                cursor.u8()?;
                let mut entries = Vec::new();
                for _ in 0..count {
                    let key = self.value(cursor, budget, depth + 1)?;
                    entries.push((key, self.value(cursor, budget, depth + 1)?));
                }
                Value::Dictionary(entries)
            }
            ARRAY => self.array(count, cursor, budget, depth)?,
            _ => self.object(header, at, cursor, budget, depth)?,
        })
    }

    fn items(
        &mut self,
        count: usize,
        cursor: &mut Cursor<'a>,
        budget: &mut Budget,
        depth: usize,
    ) -> Result<Vec<Value>, Error> {
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(self.value(cursor, budget, depth + 1)?);
        }
        Ok(items)
    }

    fn array(
        &mut self,
        dense: usize,
        cursor: &mut Cursor<'a>,
        budget: &mut Budget,
        depth: usize,
    ) -> Result<Value, Error> {
        let mut named = self.named(cursor, budget, depth)?;
        let items = self.items(dense, cursor, budget, depth)?;
        if named.is_empty() {
            return Ok(Value::StrictArray(items));
        }
        named.extend(
            items
                .into_iter()
                .enumerate()
                .map(|(index, item)| (index.to_string(), item)),
        );
        Ok(Value::EcmaArray(named))
    }

    /// Pairs of name and value up to the empty name.
    fn named(
        &mut self,
        cursor: &mut Cursor<'a>,
        budget: &mut Budget,
        depth: usize,
    ) -> Result<Properties, Error> {
        let mut properties = Vec::new();
        loop {
            let at = cursor.offset();
            let name = self.string(cursor)?;
            if name.is_empty() {
                return Ok(properties);
            }
            let name = budget.text(name, at)?;
            properties.push((name, self.value(cursor, budget, depth + 1)?));
        }
    }

    fn object(
        &mut self,
        header: u32,
        at: usize,
        cursor: &mut Cursor<'a>,
        budget: &mut Budget,
        depth: usize,
    ) -> Result<Value, Error> {
        let traits = self.traits(header, at, cursor, budget, depth)?;
        let class = budget.text(traits.class, at)?;
        let mut properties = Vec::new();
        for member in traits.members {
            let name = budget.text(member, at)?;
            properties.push((name, self.value(cursor, budget, depth + 1)?));
        }
        if traits.dynamic {
            properties.extend(self.named(cursor, budget, depth)?);
        }
        if class.is_empty() {
            Ok(Value::Object(properties))
        } else {
            Ok(Value::TypedObject { class, properties })
        }
    }

    /// The traits of the object at `at` (§3.12: U29O-traits and its kin).
    fn traits(
        &mut self,
        header: u32,
        at: usize,
        cursor: &mut Cursor<'a>,
        budget: &mut Budget,
        depth: usize,
    ) -> Result<Traits<'a>, Error> {
        if header & 0b10 == 0 {
            let index = header >> 2;
            let known = self.traits.get(index as usize);
            return known.cloned().ok_or(Error::Reference { index, offset: at });
        }
        if header & 0b100 != 0 {
            return Err(Error::Externalizable { offset: at });
        }
        let class = self.string(cursor)?;
        let mut members = Vec::new();
        for _ in 0..header >> 4 {
            budget.value(depth, cursor.offset())?;
            members.push(self.string(cursor)?);
        }
        let traits = Traits {
            class,
            dynamic: header & 0b1000 != 0,
            members,
        };
        if self.objects.replays == 0 {
            self.traits.push(traits.clone());
        }
        Ok(traits)
    }

    fn reference(
        &mut self,
        index: u32,
        at: usize,
        budget: &mut Budget,
        depth: usize,
    ) -> Result<Value, Error> {
        let target = self.objects.find(index, at)?;
        let mut earlier = Cursor::with_base(self.input.get(target..).unwrap_or_default(), target);
        self.objects.replays += 1;
        let value = self.value(&mut earlier, budget, depth);
        self.objects.replays -= 1;
        value
    }

    /// A string without its marker (UTF-8-vr): inline, or a reference into the table.
    fn string(&mut self, cursor: &mut Cursor<'a>) -> Result<&'a [u8], Error> {
        let offset = cursor.offset();
        let header = u29(cursor)?;
        let rest = header >> 1;
        if header & 1 == 0 {
            let known = self.strings.get(rest as usize);
            return known.copied().ok_or(Error::Reference {
                index: rest,
                offset,
            });
        }
        let bytes = cursor.take(rest as usize)?;
        // The empty string never enters the table (§1.3.2).
        if !bytes.is_empty() && self.objects.replays == 0 {
            self.strings.push(bytes);
        }
        Ok(bytes)
    }
}

/// An integer of 1 to 4 bytes, 29 bits (§1.3.1).
fn u29(cursor: &mut Cursor<'_>) -> Result<u32, Error> {
    let mut value = 0u32;
    for _ in 0..3 {
        let byte = cursor.u8()?;
        value = (value << 7) | u32::from(byte & 0x7f);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Ok((value << 8) | u32::from(cursor.u8()?))
}

/// The members of a vector of numbers of `N` bytes each, after its byte that says whether the
/// length is fixed.
fn packed<'a, const N: usize>(
    cursor: &mut Cursor<'a>,
    count: usize,
    at: usize,
    budget: &mut Budget,
) -> Result<impl Iterator<Item = [u8; N]> + use<'a, N>, Error> {
    cursor.u8()?;
    let bytes = cursor.take(count.saturating_mul(N))?;
    budget.bytes(bytes.len(), at)?;
    Ok(bytes.as_chunks::<N>().0.iter().copied())
}

/// The largest count or length that a header can say: 28 bits.
const MAX_COUNT: usize = (1 << 28) - 1;

/// Appends `value`.
///
/// Whole numbers of up to 29 bits are written as integers. The timezone of a date has no place in
/// AMF3; properties without a name cannot be written and are left out; [`Value::Unsupported`]
/// becomes `undefined`. Texts and arrays are cut at 2^28 - 1, the most AMF3 can say.
pub fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Undefined | Value::Unsupported => out.push(UNDEFINED),
        Value::Null => out.push(NULL),
        Value::Boolean(flag) => out.push(if *flag { TRUE } else { FALSE }),
        Value::Number(number) => write_number(*number, out),
        Value::String(text) => {
            out.push(STRING);
            write_text(text, out);
        }
        Value::Xml(text) => {
            out.push(XML);
            write_text(text, out);
        }
        Value::Date { millis, .. } => {
            out.extend_from_slice(&[DATE, 1]);
            out.extend_from_slice(&millis.to_be_bytes());
        }
        Value::Object(properties) => write_object("", properties, out),
        Value::TypedObject { class, properties } => write_object(class, properties, out),
        Value::EcmaArray(properties) => {
            out.extend_from_slice(&[ARRAY, 1]);
            write_named(properties, out);
        }
        Value::StrictArray(items) => {
            let items = write_header(ARRAY, items, out);
            write_text("", out);
            for item in items {
                encode(item, out);
            }
        }
        Value::ByteArray(bytes) => {
            let bytes = write_header(BYTE_ARRAY, bytes, out);
            out.extend_from_slice(bytes);
        }
        Value::VectorInt(_)
        | Value::VectorUint(_)
        | Value::VectorDouble(_)
        | Value::VectorObject { .. }
        | Value::Dictionary(_) => write_collection(value, out),
    }
}

fn write_collection(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::VectorInt(items) => {
            let items = write_header(VECTOR_INT, items, out);
            out.push(0);
            out.extend(items.iter().flat_map(|item| item.to_be_bytes()));
        }
        Value::VectorUint(items) => {
            let items = write_header(VECTOR_UINT, items, out);
            out.push(0);
            out.extend(items.iter().flat_map(|item| item.to_be_bytes()));
        }
        Value::VectorDouble(items) => {
            let items = write_header(VECTOR_DOUBLE, items, out);
            out.push(0);
            out.extend(items.iter().flat_map(|item| item.to_be_bytes()));
        }
        Value::VectorObject { class, items } => {
            let items = write_header(VECTOR_OBJECT, items, out);
            out.push(0);
            write_text(class, out);
            for item in items {
                encode(item, out);
            }
        }
        Value::Dictionary(entries) => {
            let entries = write_header(DICTIONARY, entries, out);
            out.push(0);
            for (key, value) in entries {
                encode(key, out);
                encode(value, out);
            }
        }
        _ => {}
    }
}

fn write_number(number: f64, out: &mut Vec<u8>) {
    const RANGE: std::ops::Range<i32> = -(1 << 28)..1 << 28;
    let integer = number as i32;
    let same = f64::from(integer).to_bits() == number.to_bits();
    if same && RANGE.contains(&integer) {
        out.push(INTEGER);
        write_u29(integer as u32 & 0x1fff_ffff, out);
    } else {
        out.push(DOUBLE);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

fn write_object(class: &str, properties: &[(String, Value)], out: &mut Vec<u8>) {
    // Inline traits, dynamic, no sealed members.
    out.extend_from_slice(&[OBJECT, 0b1011]);
    write_text(class, out);
    write_named(properties, out);
}

fn write_named(properties: &[(String, Value)], out: &mut Vec<u8>) {
    for (name, value) in properties.iter().filter(|(name, _)| !name.is_empty()) {
        write_text(name, out);
        encode(value, out);
    }
    write_text("", out);
}

/// Writes marker and count, and gives back the members that the count covers.
fn write_header<'a, T>(marker: u8, items: &'a [T], out: &mut Vec<u8>) -> &'a [T] {
    let items = items.get(..MAX_COUNT).unwrap_or(items);
    out.push(marker);
    write_u29((items.len() as u32) << 1 | 1, out);
    items
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    let text = cut(text, MAX_COUNT);
    write_u29((text.len() as u32) << 1 | 1, out);
    out.extend_from_slice(text.as_bytes());
}

fn write_u29(value: u32, out: &mut Vec<u8>) {
    let group = |shift: u32| (value >> shift) as u8 | 0x80;
    match value {
        0..0x80 => out.push(value as u8),
        0x80..0x4000 => out.extend_from_slice(&[group(7), value as u8 & 0x7f]),
        0x4000..0x20_0000 => {
            out.extend_from_slice(&[group(14), group(7), value as u8 & 0x7f]);
        }
        _ => out.extend_from_slice(&[group(22), group(15), group(8), value as u8]),
    }
}
