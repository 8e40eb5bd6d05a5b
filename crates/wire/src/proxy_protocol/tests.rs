//! Tests of both versions of the PROXY protocol.

use super::*;
use proptest::prelude::*;

fn done(source: Option<&str>, length: usize) -> Result<Parsed, HeaderError> {
    let source = source.map(|text| text.parse().expect("an address"));
    Ok(Parsed::Done(Header { source, length }))
}

fn v2(kind: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).expect("fits");
    let mut header = V2_SIGNATURE.to_vec();
    header.extend_from_slice(&[kind, family]);
    header.extend_from_slice(&length.to_be_bytes());
    header.extend_from_slice(body);
    header
}

#[test]
fn lines_of_the_specification_are_read() {
    let lines = [
        (
            "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n",
            Some("192.0.2.1:56324"),
        ),
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            Some("255.255.255.255:65535"),
        ),
        (
            "PROXY TCP6 2001:db8::1 ::1 0 1\r\n",
            Some("[2001:db8::1]:0"),
        ),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN anything at all ::: 7\r\n", None),
    ];
    for (line, source) in lines {
        let input = format!("{line}\x03C1");
        assert_eq!(parse(input.as_bytes()), done(source, line.len()), "{line}");
    }
    let worst = format!(
        "PROXY UNKNOWN {0} {0} 65535 65535\r\n",
        "ffff:".repeat(7) + "ffff"
    );
    assert_eq!(worst.len(), MAX_V1_BYTES);
    assert_eq!(parse(worst.as_bytes()), done(None, MAX_V1_BYTES));
}

#[test]
fn malformed_lines_are_refused() {
    let lines = [
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
        "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP4 1.2.3.4 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
        "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n",
    ];
    for line in lines {
        let result = parse(line.as_bytes());
        assert!(matches!(result, Err(HeaderError::Line(_))), "{line}");
    }
    let binary = parse(b"PROXY TCP4 \xff\r\n");
    assert_eq!(binary, Err(HeaderError::Line("it is no text")));
    let endless = [b"PROXY ".to_vec(), vec![b'x'; 200]].concat();
    assert_eq!(parse(&endless), Err(HeaderError::LongLine));
    assert_eq!(parse(&endless[..MAX_V1_BYTES - 1]), Ok(Parsed::Need(107)));
}

#[test]
fn binary_headers_are_read() {
    let v4 = [192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 4, 1, 0xbb];
    let mut with_additions = v4.to_vec();
    with_additions.extend_from_slice(&[4, 0, 3, 1, 2, 3]);
    let mut v6 = [0; 36];
    v6[15] = 1;
    v6[33] = 9;
    let headers = [
        (v2(0x21, 0x11, &v4), Some("192.0.2.1:56324")),
        (v2(0x21, 0x12, &v4), Some("192.0.2.1:56324")),
        (v2(0x21, 0x11, &with_additions), Some("192.0.2.1:56324")),
        (v2(0x21, 0x21, &v6), Some("[::1]:9")),
        (v2(0x21, 0x31, &[b'/'; 216]), None),
        (v2(0x21, 0x00, &[1, 2, 3]), None),
        (v2(0x20, 0x00, &[]), None),
        // health checks of balancers
        (v2(0x20, 0x11, &v4), None),
        (v2(0x20, 0x11, &[]), None),
        (v2(0x21, 0x00, &[0; 4096]), None),
    ];
    for (header, source) in headers {
        let input = [header.as_slice(), b"\x03C1"].concat();
        assert_eq!(parse(&input), done(source, header.len()), "{header:?}");
    }
}

#[test]
fn malformed_binary_headers_are_refused() {
    assert_eq!(parse(&v2(0x11, 0, &[])), Err(HeaderError::Version(1)));
    assert_eq!(parse(&v2(0x22, 0, &[])), Err(HeaderError::Command(2)));
    assert_eq!(parse(&v2(0x21, 0x41, &[])), Err(HeaderError::Family(0x41)));
    assert_eq!(parse(&v2(0x21, 0x13, &[])), Err(HeaderError::Family(0x13)));
    let long = v2(0x21, 0, &[0; 4097]);
    // before its bytes have come
    assert_eq!(parse(&long[..V2_FIXED]), Err(HeaderError::Long(4097)));
    for (family, length) in [(0x11, 11), (0x21, 35), (0x31, 215)] {
        let short = parse(&v2(0x21, family, &vec![0; length]));
        assert!(matches!(short, Err(HeaderError::Addresses(_))), "{short:?}");
    }
}

#[test]
fn what_is_no_header_is_known_by_its_first_byte_that_differs() {
    assert_eq!(parse(b""), Ok(Parsed::Need(6)));
    for other in [
        "\x03",
        "POST / HTTP/1.1",
        "PUT",
        "PROXY/",
        "\r\n\r\n\0\r\nQUIT\r",
    ] {
        assert_eq!(parse(other.as_bytes()), Ok(Parsed::Absent), "{other}");
    }
    assert_eq!(parse(b"P"), Ok(Parsed::Need(6)));
    assert_eq!(parse(b"\r\n"), Ok(Parsed::Need(12)));
}

#[test]
fn ends_of_two_families_are_written_as_one() {
    let (v4, v6) = ("192.0.2.1:1", "[2001:db8::1]:2");
    let mapped = "[::ffff:192.0.2.1]:1";
    let cases = [
        (v4, mapped, v4),
        (mapped, v4, v4),
        (v4, v6, mapped),
        (v6, v4, v6),
    ];
    for write in [write_v1, write_v2] {
        for (client, local, source) in cases {
            let mut out = Vec::new();
            let [client, local] = [client, local].map(|a| a.parse().expect("an address"));
            write(client, local, &mut out);
            assert_eq!(parse(&out), done(Some(source), out.len()));
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_from_any_split(
        client in any::<SocketAddr>(),
        local in any::<SocketAddr>(),
        binary in any::<bool>(),
        after in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut out = Vec::new();
        if binary {
            write_v2(client, local, &mut out);
        } else {
            write_v1(client, local, &mut out);
            prop_assert!(out.len() <= MAX_V1_BYTES);
        }
        let length = out.len();
        for split in 0..length {
            let needs = parse(&out[..split]);
            let grows = matches!(needs, Ok(Parsed::Need(n)) if n > split && n <= length);
            prop_assert!(grows, "{:?} of {}", needs, split);
        }
        out.extend_from_slice(&after);
        let Ok(Parsed::Done(header)) = parse(&out) else {
            return Err(TestCaseError::fail("not read"));
        };
        prop_assert_eq!(header.length, length);
        let source = header.source.expect("written");
        prop_assert_eq!(source.port(), client.port());
        prop_assert_eq!(source.ip().to_canonical(), client.ip().to_canonical());
    }

    #[test]
    fn a_result_stays_with_more_input(
        start in prop_oneof![Just(&b""[..]), Just(V1_SIGNATURE), Just(V2_SIGNATURE)],
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let input = [start, &rest].concat();
        let whole = parse(&input);
        for split in 0..input.len() {
            match parse(&input[..split]) {
                Ok(Parsed::Need(n)) => prop_assert!(n > split),
                other => prop_assert_eq!(other, whole),
            }
        }
    }
}
