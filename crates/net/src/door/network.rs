//! A range of addresses.
//!
//! Owns: [`Network`] and its text form. Does not: decide what a range is good for.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// How much of a text an error repeats, in characters.
const SHOWN: usize = 64;

/// Bits in front of an IPv4 address that is mapped into IPv6, RFC 4291 §2.5.5.2.
const MAPPED_BITS: u8 = 96;

/// Addresses with the same leading bits, such as `10.0.0.0/8`. IPv4 addresses mapped into IPv6 are IPv4 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    /// Canonical, and without the bits that do not count.
    first: IpAddr,
    bits: u8,
}

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no network: {why}")]
pub struct NetworkError {
    /// The text, cut to 64 characters.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Network {
    /// Whether `address` is one of these.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && masked(address, self.bits) == self.first
    }
}

/// `address` with all but its first `bits` bits cleared.
fn masked(address: IpAddr, bits: u8) -> IpAddr {
    let bits = u32::from(bits);
    match address {
        IpAddr::V4(ip) => {
            let rest = u32::MAX.checked_shr(bits).unwrap_or(0);
            Ipv4Addr::from_bits(ip.to_bits() & !rest).into()
        }
        IpAddr::V6(ip) => {
            let rest = u128::MAX.checked_shr(bits).unwrap_or(0);
            Ipv6Addr::from_bits(ip.to_bits() & !rest).into()
        }
    }
}

/// `address/bits`, or an address alone, with white space around.
fn parse(text: &str) -> Result<Network, &'static str> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| "it has no address")?;
    let all: u8 = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        None => all,
        Some(bits) if bits.is_empty() || !bits.bytes().all(|byte| byte.is_ascii_digit()) => {
            return Err("its length is no number");
        }
        Some(bits) => match bits.parse() {
            Ok(bits) if bits <= all => bits,
            _ => return Err("its length is more than an address has bits"),
        },
    };
    let (address, bits) = match (address.to_canonical(), bits.checked_sub(MAPPED_BITS)) {
        (canonical, Some(bits)) if canonical != address => (canonical, bits),
        (canonical, None) if canonical != address => {
            return Err("a mapped address needs a length of 96 or more");
        }
        _ => (address, bits),
    };
    Ok(Network {
        first: masked(address, bits),
        bits,
    })
}

impl FromStr for Network {
    type Err = NetworkError;

    /// Reads `address/bits`, or an address alone, with white space around. Bits of the address that do not count are
    /// let go.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        parse(text.trim()).map_err(|why| NetworkError {
            text: text.chars().take(SHOWN).collect(),
            why,
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn network(text: &str) -> Network {
        text.parse().expect("a network")
    }

    #[test]
    fn a_network_has_its_own_addresses_only() {
        let cases = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.0.0.0/8", "a00::", false),
            ("10.1.2.3/8", "10.9.9.9", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            (" 192.0.2.128/25 ", "192.0.2.129", true),
            ("192.0.2.128/25", "192.0.2.127", false),
            ("0.0.0.0/0", "255.1.2.3", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "1.2.3.4", false),
            ("::1/128", "::1", true),
            ("::1", "::2", false),
            ("fd00::/7", "fc12::1", true),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "11.1.2.3", false),
            ("::ffff:127.0.0.1", "127.0.0.1", true),
        ];
        for (text, address, is_in) in cases {
            let ip: IpAddr = address.parse().expect("an address");
            assert_eq!(network(text).contains(ip), is_in, "{address} in {text}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        let faults = [
            ("", "it has no address"),
            ("localhost", "it has no address"),
            ("10.0.0/8", "it has no address"),
            ("[::1]/128", "it has no address"),
            ("10.0.0.0/", "its length is no number"),
            ("10.0.0.0/+8", "its length is no number"),
            ("10.0.0.0/33", "its length is more than an address has bits"),
            ("::/129", "its length is more than an address has bits"),
            ("::/999", "its length is more than an address has bits"),
            (
                "::ffff:10.0.0.0/95",
                "a mapped address needs a length of 96 or more",
            ),
        ];
        for (text, why) in faults {
            let error = text.parse::<Network>().map_err(|error| error.why);
            assert_eq!(error, Err(why), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "[0-9a-f:.]{0,20}/?[0-9]{0,3}|.*") {
            if let Ok(network) = text.parse::<Network>() {
                prop_assert_eq!(network.to_string().parse(), Ok(network));
                prop_assert!(network.contains(network.first));
            }
        }

        #[test]
        fn an_address_is_in_all_networks_made_of_it(ip in any::<IpAddr>(), bits in 0..=128u8) {
            if let Ok(network) = format!("{ip}/{bits}").parse::<Network>() {
                prop_assert!(network.contains(ip));
            }
        }
    }
}
