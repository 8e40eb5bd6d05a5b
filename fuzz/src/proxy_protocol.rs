//! Target of the PROXY protocol.
//!
//! Owns: [`proxy_protocol`]. Input: the first bytes of a connection.

use std::net::SocketAddr;

use weir_wire::proxy_protocol::{
    Header, MAX_V1_BYTES, MAX_V2_BYTES, Parsed, parse, write_v1, write_v2,
};

/// Most bytes after which the input is cut: all places where something is decided are before.
const CUTS: usize = 256;

/// Looks for a header in the input and in its beginnings; writes and reads the client it names.
pub fn proxy_protocol(data: &[u8]) {
    let whole = parse(data);
    for cut in 0..data.len().min(CUTS) {
        match parse(&data[..cut]) {
            Ok(Parsed::Need(more)) => {
                assert!(cut < more && more <= MAX_V2_BYTES);
                if let Ok(Parsed::Done(header)) = whole {
                    assert!(
                        more <= header.length,
                        "a byte after the header is asked for"
                    );
                }
            }
            other => assert_eq!(other, whole, "{cut}"),
        }
    }
    match whole {
        Ok(Parsed::Done(header)) => check(header, data),
        Ok(Parsed::Need(more)) => assert!(data.len() < more && more <= MAX_V2_BYTES),
        Ok(Parsed::Absent) | Err(_) => {}
    }
}

fn check(header: Header, data: &[u8]) {
    assert!(header.length <= data.len());
    let Some(source) = header.source else {
        return;
    };
    let local: SocketAddr = ([192, 0, 2, 1], 1935).into();
    for (write, most) in [
        (
            write_v1 as fn(SocketAddr, SocketAddr, &mut Vec<u8>),
            MAX_V1_BYTES,
        ),
        (write_v2, MAX_V2_BYTES),
    ] {
        let mut out = Vec::new();
        write(source, local, &mut out);
        assert!(out.len() <= most);
        let Ok(Parsed::Done(again)) = parse(&out) else {
            panic!("what was written cannot be read: {out:?}");
        };
        assert_eq!(again.length, out.len());
        let named = again
            .source
            .map(|named| (named.ip().to_canonical(), named.port()));
        assert_eq!(named, Some((source.ip().to_canonical(), source.port())));
    }
}
