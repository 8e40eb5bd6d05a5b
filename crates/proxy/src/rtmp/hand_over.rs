//! What an origin is told of the client before the handshake.
//!
//! Owns: the bytes. Does not: decide whether (a setting does).

use std::net::{IpAddr, SocketAddr};

use weir_wire::proxy_protocol;

use crate::settings::HandOver;

/// Marks SRS's own form: this byte, the length of what follows in 16 bits, an IPv4 address.
const SRS_MARK: u8 = 0xf3;

/// The bytes that go before C0, for a `client` of the proxy that is connected to the origin from `local` to `origin`.
///
/// SRS's form has room for IPv4 only: an IPv6 client is not handed over in it.
pub(super) fn prefix(form: HandOver, client: SocketAddr, origin: SocketAddr) -> Vec<u8> {
    let mut bytes = Vec::new();
    match form {
        HandOver::None => {}
        HandOver::Srs => {
            if let IpAddr::V4(address) = client.ip().to_canonical() {
                bytes.extend_from_slice(&[SRS_MARK, 0, 4]);
                bytes.extend_from_slice(&address.octets());
            }
        }
        HandOver::ProxyV1 => proxy_protocol::write_v1(client, origin, &mut bytes),
        HandOver::ProxyV2 => proxy_protocol::write_v2(client, origin, &mut bytes),
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_has_its_bytes() {
        let client: SocketAddr = "192.0.2.7:5000".parse().expect("an address");
        let origin: SocketAddr = "10.0.0.1:1935".parse().expect("an address");
        assert!(prefix(HandOver::None, client, origin).is_empty());
        let srs = prefix(HandOver::Srs, client, origin);
        assert_eq!(srs, [0xf3, 0, 4, 192, 0, 2, 7]);
        let text = prefix(HandOver::ProxyV1, client, origin);
        assert_eq!(text, b"PROXY TCP4 192.0.2.7 10.0.0.1 5000 1935\r\n");
        assert!(prefix(HandOver::ProxyV2, client, origin).starts_with(b"\r\n\r\n\0\r\nQUIT\n"));
        let mapped: SocketAddr = "[::ffff:192.0.2.7]:5000".parse().expect("an address");
        assert_eq!(prefix(HandOver::Srs, mapped, origin), srs);
    }
}
