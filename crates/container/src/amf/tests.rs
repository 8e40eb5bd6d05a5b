//! AMF0 and AMF3 side by side.
//!
//! Owns: the tests of both notations: round trips, values by their bytes, references, and the bounds that hostile input
//! meets. Does not: test commands made of values; `weir-rtmp` does.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Values that both notations keep, down to the bit; `kinds` adds those that only one of them does.
fn values(kinds: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i32>().prop_map(f64::from),
        (-300_000_000i32..300_000_000).prop_map(f64::from),
        (-20.0f64..20.0),
        Just(-0.0),
        Just(f64::INFINITY),
    ];
    let leaf = prop_oneof![
        number.prop_map(Value::Number),
        any::<bool>().prop_map(Value::Boolean),
        "\\PC{0,20}".prop_map(Value::String),
        Just(Value::Null),
        Just(Value::Undefined),
        "[a-z<>]{0,20}".prop_map(Value::Xml),
        (0u32..).prop_map(|millis| Value::Date {
            millis: f64::from(millis),
            timezone: 0
        }),
        vec(any::<u8>(), 0..20).prop_map(Value::ByteArray),
        vec(any::<i32>(), 0..5).prop_map(Value::VectorInt),
        vec(any::<u32>(), 0..5).prop_map(Value::VectorUint),
        vec(-9.0f64..9.0, 0..5).prop_map(Value::VectorDouble),
        kinds,
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        let named = vec(("[a-z]{1,8}", inner.clone()), 0..6);
        let some = vec(("[a-z]{1,8}", inner.clone()), 1..6);
        prop_oneof![
            named.clone().prop_map(Value::Object),
            some.prop_map(Value::EcmaArray),
            vec(inner, 0..6).prop_map(Value::StrictArray),
            ("[a-z.]{1,9}", named)
                .prop_map(|(class, properties)| Value::TypedObject { class, properties }),
        ]
    })
}

fn amf0_values() -> impl Strategy<Value = Value> {
    values(prop_oneof![
        Just(Value::Unsupported),
        (0u32.., any::<i16>()).prop_map(|(millis, timezone)| Value::Date {
            millis: f64::from(millis),
            timezone
        }),
    ])
}

fn amf3_values() -> impl Strategy<Value = Value> {
    let flat = values(Just(Value::Null)).boxed();
    prop_oneof![
        flat.clone(),
        ("[a-z]{0,6}", vec(flat.clone(), 0..4))
            .prop_map(|(class, items)| Value::VectorObject { class, items }),
        vec((flat.clone(), flat), 0..4).prop_map(Value::Dictionary),
    ]
}

fn encoded0(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    amf0::encode(value, &mut out);
    out
}

fn encoded3(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    amf3::encode(value, &mut out);
    out
}

proptest! {
    #[test]
    fn amf0_round_trip(sent in vec(amf0_values(), 0..4)) {
        let input: Vec<u8> = sent.iter().flat_map(encoded0).collect();
        prop_assert_eq!(amf0::decode_all(&input), Ok(sent));
    }

    #[test]
    fn amf3_round_trip(sent in vec(amf3_values(), 0..4)) {
        let input: Vec<u8> = sent.iter().flat_map(encoded3).collect();
        prop_assert_eq!(amf3::decode_all(&input), Ok(sent));
    }

    #[test]
    fn a_value_cut_short_is_an_error_or_a_shorter_value(value in amf0_values(), cut: u16) {
        let input = encoded0(&value);
        let cut = usize::from(cut) % input.len();
        let mut decoder = amf0::Decoder::new(&input[..cut]);
        match decoder.next() {
            Ok(Some(_)) => prop_assert_eq!(decoder.offset(), cut),
            Ok(None) => prop_assert_eq!(cut, 0),
            Err(_) => prop_assert_eq!(decoder.offset(), 0),
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(input: Vec<u8>) {
        let _ = amf0::decode_all(&input);
        let _ = amf3::decode_all(&input);
    }

    /// Bytes that look like AMF0 reach deeper than arbitrary ones.
    #[test]
    fn bytes_of_small_numbers_do_no_harm(input in vec(0u8..0x14, 0..400)) {
        let _ = amf0::decode_all(&input);
        let _ = amf3::decode_all(&input);
    }
}

#[test]
fn a_connect_command() {
    let mut input = Vec::new();
    amf0::write_string("connect", &mut input);
    amf0::write_number(1.0, &mut input);
    amf0::write_object_start(&mut input);
    amf0::write_key("app", &mut input);
    amf0::write_string("live", &mut input);
    amf0::write_key("fpad", &mut input);
    amf0::write_bool(false, &mut input);
    amf0::write_object_end(&mut input);
    let expected = b"\x02\x00\x07connect\x00\x3f\xf0\0\0\0\0\0\0\
        \x03\x00\x03app\x02\x00\x04live\x00\x04fpad\x01\x00\x00\x00\x09";
    assert_eq!(input, expected);
    let values = amf0::decode_all(&input).unwrap();
    assert_eq!(values[0].as_str(), Some("connect"));
    assert_eq!(values[1].as_f64(), Some(1.0));
    assert_eq!(values[2].get("app").and_then(Value::as_str), Some("live"));
    assert_eq!(values[2].get("fpad").and_then(Value::as_bool), Some(false));
    assert_eq!(values[2].get("tcUrl"), None);
}

#[test]
fn an_object_may_end_with_the_input() {
    let expected = Value::EcmaArray(vec![("a".into(), 1.0.into())]);
    let whole = encoded0(&expected);
    for missing in [0, 1, 3] {
        let input = &whole[..whole.len() - missing];
        assert_eq!(
            amf0::decode_all(input),
            Ok(vec![expected.clone()]),
            "{missing} bytes missing"
        );
    }
    assert!(amf0::decode_all(&whole[..whole.len() - 2]).is_err());
}

#[test]
fn the_count_of_an_ecma_array_is_a_hint() {
    for count in [0, 1, u32::MAX] {
        let mut input = Vec::new();
        amf0::write_ecma_array_start(count, &mut input);
        amf0::write_key("a", &mut input);
        amf0::write_null(&mut input);
        amf0::write_object_end(&mut input);
        let expected = Value::EcmaArray(vec![("a".into(), Value::Null)]);
        assert_eq!(amf0::decode_all(&input), Ok(vec![expected]));
    }
}

#[test]
fn a_property_may_have_no_name() {
    let value = Value::Object(vec![
        (String::new(), Value::Null),
        ("a".into(), Value::Null),
    ]);
    assert_eq!(amf0::decode_all(&encoded0(&value)), Ok(vec![value]));
}

#[test]
fn long_strings_and_bad_text() {
    let value = Value::String("é".repeat(40_000));
    assert_eq!(encoded0(&value)[0], 0x0c);
    assert_eq!(amf0::decode_all(&encoded0(&value)), Ok(vec![value]));
    assert_eq!(
        amf0::decode_all(b"\x02\x00\x02a\xff"),
        Ok(vec!["a\u{fffd}".into()])
    );
    // A name is cut between characters.
    let object = Value::Object(vec![("é".repeat(40_000), Value::Null)]);
    let read = amf0::decode_all(&encoded0(&object)).unwrap();
    assert_eq!(
        read[0].properties().map(|properties| properties[0].0.len()),
        Some(65_534)
    );
}

#[test]
fn markers_without_meaning_are_named() {
    assert_eq!(
        amf0::decode_all(&[0x05, 0x12]),
        Err(Error::Marker {
            marker: 0x12,
            offset: 1
        })
    );
    assert_eq!(
        amf0::decode_all(&[0x09]),
        Err(Error::Marker {
            marker: 0x09,
            offset: 0
        })
    );
    assert_eq!(
        amf0::decode_all(&[0x04]),
        Err(Error::Unsupported {
            marker: 4,
            offset: 0
        })
    );
    assert_eq!(
        amf3::decode_all(&[0x12]),
        Err(Error::Marker {
            marker: 0x12,
            offset: 0
        })
    );
    let short = weir_wire::Short {
        offset: 2,
        wanted: 8,
        left: 1,
    };
    assert_eq!(
        amf0::decode_all(&[0x05, 0x00, 0x01]),
        Err(Error::Short(short))
    );
}

#[test]
fn amf0_references_give_the_object_again() {
    // [ {a: 1}, reference 1 ]: the array is object 0, still open; the object in it is 1.
    let mut input = Vec::new();
    let object = Value::Object(vec![("a".into(), 1.0.into())]);
    amf0::write_strict_array_start(2, &mut input);
    amf0::encode(&object, &mut input);
    input.extend([0x07, 0, 1]);
    let expected = Value::StrictArray(vec![object.clone(), object]);
    assert_eq!(amf0::decode_all(&input), Ok(vec![expected]));
    let at = input.len() - 3;
    *input.last_mut().unwrap() = 0;
    assert_eq!(
        amf0::decode_all(&input),
        Err(Error::Circular { offset: at })
    );
    *input.last_mut().unwrap() = 2;
    assert_eq!(
        amf0::decode_all(&input),
        Err(Error::Reference {
            index: 2,
            offset: at
        })
    );
}

#[test]
fn references_to_references_run_out_of_values() {
    // Object 0 is empty; each array holds ten references to the one before: 10^10 values in the
    // end.
    let mut input = vec![0x0a, 0, 0, 0, 0];
    for index in 0..10u8 {
        amf0::write_strict_array_start(10, &mut input);
        for _ in 0..10 {
            input.extend([0x07, 0, index]);
        }
    }
    assert!(matches!(
        amf0::decode_all(&input),
        Err(Error::TooManyValues { .. })
    ));
    // The same in AMF3.
    let mut input = vec![0x09, 0x01, 0x01];
    for index in 0..10u8 {
        input.extend([0x09, 10 << 1 | 1, 0x01]);
        for _ in 0..10 {
            input.extend([0x09, index << 1]);
        }
    }
    assert!(matches!(
        amf3::decode_all(&input),
        Err(Error::TooManyValues { .. })
    ));
}

#[test]
fn references_to_long_strings_run_out_of_bytes() {
    let mut input = vec![0x06];
    let text = "x".repeat(100_000);
    input.extend(&encoded3(&Value::String(text))[1..]);
    for _ in 0..20 {
        input.extend([0x06, 0x00]);
    }
    assert!(matches!(
        amf3::decode_all(&input),
        Err(Error::TooManyBytes { .. })
    ));
    let mut input = encoded0(&Value::StrictArray(vec!["y".repeat(100_000).into()]));
    for _ in 0..20 {
        input.extend([0x07, 0, 0]);
    }
    assert!(matches!(
        amf0::decode_all(&input),
        Err(Error::TooManyBytes { .. })
    ));
}

#[test]
fn promised_counts_reserve_nothing() {
    let mut input = vec![0x0a, 0xff, 0xff, 0xff, 0xff];
    assert!(matches!(amf0::decode_all(&input), Err(Error::Short(_))));
    input.resize(MAX_VALUES + 100, 0x05);
    let offset = 5 + MAX_VALUES - 1;
    assert_eq!(
        amf0::decode_all(&input),
        Err(Error::TooManyValues { offset })
    );
    for marker in 0x07..=0x11 {
        let input = [marker, 0xff, 0xff, 0xff, 0xfb, 0x01];
        assert!(amf3::decode_all(&input).is_err(), "marker {marker:#x}");
    }
}

#[test]
fn nesting_has_an_end() {
    let nested = |depth: usize| {
        let outer = [0x0a, 0, 0, 0, 1].repeat(depth);
        amf0::decode_all(&[&outer[..], &[0x05]].concat())
    };
    assert!(nested(MAX_DEPTH).is_ok());
    let offset = 5 * (MAX_DEPTH + 1);
    assert_eq!(nested(MAX_DEPTH + 1), Err(Error::TooDeep { offset }));
    // Through AMF3 inside AMF0 the depth counts on.
    let arrays = [0x09, 0x03, 0x01].repeat(MAX_DEPTH + 1);
    let input = [&[0x11][..], &arrays, &[0x01]].concat();
    assert!(matches!(
        amf0::decode_all(&input),
        Err(Error::TooDeep { .. })
    ));
}

#[test]
fn amf3_integers_have_29_bits() {
    let cases: [(i32, &[u8]); 6] = [
        (0, &[0x00]),
        (0x7f, &[0x7f]),
        (0x80, &[0x81, 0x00]),
        (0x4000, &[0x81, 0x80, 0x00]),
        (0x20_0000, &[0x80, 0xc0, 0x80, 0x00]),
        (-1, &[0xff, 0xff, 0xff, 0xff]),
    ];
    for (number, bytes) in cases {
        let value = Value::Number(f64::from(number));
        assert_eq!(encoded3(&value), [&[0x04], bytes].concat(), "{number}");
        assert_eq!(amf3::decode_all(&encoded3(&value)), Ok(vec![value]));
    }
    for beyond in [1 << 28, -(1 << 28) - 1] {
        assert_eq!(encoded3(&Value::Number(f64::from(beyond)))[0], 0x05);
    }
}

#[test]
fn amf3_tables_of_strings_traits_and_objects() {
    #[rustfmt::skip]
    let input = [
        // Class "C" with the sealed member "a" and more; a = "s", b = "s" by reference 2.
        0x0a, 0b0001_1011, 0x03, b'C', 0x03, b'a', 0x06, 0x03, b's', 0x03, b'b', 0x06, 0x04, 0x01,
        // The same traits by reference 0: a = null, nothing more.
        0x0a, 0b0000_0001, 0x01, 0x01,
        // The first object again, and a reference to nothing.
        0x0a, 0x00, 0x0a, 0x04,
    ];
    let object = |properties| Value::TypedObject {
        class: "C".into(),
        properties,
    };
    let first = object(vec![("a".into(), "s".into()), ("b".into(), "s".into())]);
    let mut decoder = amf3::Decoder::new(&input);
    assert_eq!(decoder.next(), Ok(Some(first.clone())));
    assert_eq!(
        decoder.next(),
        Ok(Some(object(vec![("a".into(), Value::Null)])))
    );
    assert_eq!(decoder.next(), Ok(Some(first)));
    let at = input.len() - 2;
    assert_eq!(decoder.offset(), at);
    assert_eq!(
        decoder.next(),
        Err(Error::Reference {
            index: 2,
            offset: at
        })
    );
}

#[test]
fn amf3_resolving_a_reference_adds_nothing_to_the_tables() {
    #[rustfmt::skip]
    let input = [
        // Traits 0, strings 0 to 2 ("C", "a", "s"); the object again; the empty string, in no table.
        0x0a, 0b1011, 0x03, b'C', 0x03, b'a', 0x06, 0x03, b's', 0x01,
        0x0a, 0x00,
        0x06, 0x01,
        // String 3, traits 1 (class "D", string 4), object 1; then each by reference.
        0x06, 0x03, b't',
        0x0a, 0b1011, 0x03, b'D', 0x01,
        0x06, 0x06,
        0x0a, 0b0101, 0x01,
        0x0a, 0x02,
    ];
    let object = |class: &str, properties| Value::TypedObject {
        class: class.into(),
        properties,
    };
    let first = object("C", vec![("a".into(), "s".into())]);
    let second = object("D", vec![]);
    let expected = vec![
        first.clone(),
        first,
        "".into(),
        "t".into(),
        second.clone(),
        "t".into(),
        second.clone(),
        second,
    ];
    assert_eq!(amf3::decode_all(&input), Ok(expected));
}

#[test]
fn amf3_arrays_with_names_and_numbers() {
    let input = [0x09, 0x03, 0x03, b'k', 0x02, 0x01, 0x03];
    let expected = Value::EcmaArray(vec![("k".into(), false.into()), ("0".into(), true.into())]);
    assert_eq!(amf3::decode_all(&input), Ok(vec![expected]));
}

#[test]
fn amf3_kinds_by_their_bytes() {
    let cases: [(&[u8], Value); 8] = [
        (b"\x07\x07<a>", Value::Xml("<a>".into())),
        (
            b"\x08\x01\x3f\xf0\0\0\0\0\0\0",
            Value::Date {
                millis: 1.0,
                timezone: 0,
            },
        ),
        (b"\x0c\x05\x01\x02", Value::ByteArray(vec![1, 2])),
        (b"\x0d\x03\x01\xff\xff\xff\xfe", Value::VectorInt(vec![-2])),
        (
            b"\x0e\x03\x00\xff\xff\xff\xfe",
            Value::VectorUint(vec![0xffff_fffe]),
        ),
        (
            b"\x0f\x03\x00\x3f\xf0\0\0\0\0\0\0",
            Value::VectorDouble(vec![1.0]),
        ),
        (
            b"\x10\x03\x00\x03C\x01",
            Value::VectorObject {
                class: "C".into(),
                items: vec![Value::Null],
            },
        ),
        (
            b"\x11\x03\x00\x06\x03k\x03",
            Value::Dictionary(vec![("k".into(), true.into())]),
        ),
    ];
    for (input, expected) in cases {
        assert_eq!(amf3::decode_all(input), Ok(vec![expected]), "{input:02x?}");
    }
}

#[test]
fn amf0_kinds_by_their_bytes() {
    let date = Value::Date {
        millis: 1.0,
        timezone: -60,
    };
    let typed = Value::TypedObject {
        class: "C".into(),
        properties: vec![],
    };
    let cases: [(&[u8], Value); 6] = [
        (b"\x06", Value::Undefined),
        (b"\x0b\x3f\xf0\0\0\0\0\0\0\xff\xc4", date),
        (b"\x0d", Value::Unsupported),
        (b"\x0f\0\0\0\x01x", Value::Xml("x".into())),
        (b"\x10\0\x01C\0\0\x09", typed),
        (
            b"\x0a\0\0\0\x01\x01\x01",
            Value::StrictArray(vec![true.into()]),
        ),
    ];
    for (input, expected) in cases {
        assert_eq!(
            amf0::decode_all(input),
            Ok(vec![expected.clone()]),
            "{input:02x?}"
        );
        assert_eq!(encoded0(&expected), input);
    }
    assert_eq!(amf0::decode_all(b"\x11\x04\x05"), Ok(vec![5.0.into()]));
}

#[test]
fn amf3_externalizable_objects_are_refused() {
    let input = [0x01, 0x0a, 0b0111, 0x03, b'E', 0x00];
    assert_eq!(
        amf3::decode_all(&input),
        Err(Error::Externalizable { offset: 1 })
    );
}

#[test]
fn amf3_objects_that_hold_themselves_are_refused() {
    let input = [0x09, 0x03, 0x01, 0x09, 0x00];
    assert_eq!(amf3::decode_all(&input), Err(Error::Circular { offset: 3 }));
}
