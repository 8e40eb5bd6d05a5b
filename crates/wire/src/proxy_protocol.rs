//! The PROXY protocol: who a balancer's client is, in front of the first byte of a connection.
//!
//! Owns: reading and writing of versions 1 and 2, after "The PROXY protocol" of HAProxy (2020/03/05). Invariants: a
//! result other than [`Parsed::Need`] does not change with more input; no byte after the header is looked at.
//! Does not: read sockets, or decide whose header is believed.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{Cursor, Short};

/// Longest header of version 1, with its line end: §2.1 says that this is the worst case.
pub const MAX_V1_BYTES: usize = 107;

/// Longest header of version 2. The addresses take 16 + 216 bytes at most (§2.2); what balancers add to them, such as
/// names of certificates and of endpoints, are some hundred bytes. The protocol's own limit of 64 KiB would be held in
/// memory for each connection that has said nothing yet.
pub const MAX_V2_BYTES: usize = V2_FIXED + 4096;

/// What version 1 begins with.
const V1_SIGNATURE: &[u8] = b"PROXY ";

/// What version 2 begins with.
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The part of version 2 that is always there: signature, version and command, family, length.
const V2_FIXED: usize = 16;

/// What the input begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// It may be a header; at least so many bytes are needed to say more, counted from the beginning. None of them is
    /// after the header, if it is one.
    Need(usize),
    /// It is no header.
    Absent,
    /// It is a header.
    Done(Header),
}

/// A header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The client; `None` when the balancer speaks for itself, or does not say who it is.
    pub source: Option<SocketAddr>,
    /// The length of the header in bytes. The connection's own bytes begin after it.
    pub length: usize,
}

/// What is wrong with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// A line without an end.
    #[error("PROXY line is longer than {MAX_V1_BYTES} bytes")]
    LongLine,
    /// A line that is not as it must be.
    #[error("PROXY line is malformed: {0}")]
    Line(&'static str),
    /// Another version than 2 behind the signature of version 2.
    #[error("PROXY header has unknown version {0}")]
    Version(u8),
    /// Neither LOCAL nor PROXY.
    #[error("PROXY header has unknown command {0}")]
    Command(u8),
    /// A family or transport that is not assigned.
    #[error("PROXY header has unknown family {0:#04x}")]
    Family(u8),
    /// More than is taken.
    #[error("PROXY header has {0} bytes after its fixed part, more than 4096")]
    Long(u16),
    /// Less than its addresses take.
    #[error("PROXY header is too short for its addresses: {0}")]
    Addresses(#[from] Short),
}

/// Looks for a header at the beginning of `input`.
pub fn parse(input: &[u8]) -> Result<Parsed, HeaderError> {
    if input.starts_with(V1_SIGNATURE) {
        parse_v1(input)
    } else if input.starts_with(V2_SIGNATURE) {
        parse_v2(input)
    } else if V1_SIGNATURE.starts_with(input) {
        Ok(Parsed::Need(V1_SIGNATURE.len()))
    } else if V2_SIGNATURE.starts_with(input) {
        Ok(Parsed::Need(V2_SIGNATURE.len()))
    } else {
        Ok(Parsed::Absent)
    }
}

fn parse_v1(input: &[u8]) -> Result<Parsed, HeaderError> {
    let mut bytes = input.iter().take(MAX_V1_BYTES);
    let Some(end) = bytes.position(|byte| *byte == b'\n') else {
        return if input.len() < MAX_V1_BYTES {
            Ok(Parsed::Need(input.len().saturating_add(1)))
        } else {
            Err(HeaderError::LongLine)
        };
    };
    let line = input.get(V1_SIGNATURE.len()..end).unwrap_or_default();
    let line = line
        .strip_suffix(b"\r")
        .ok_or(HeaderError::Line("it does not end with CR LF"))?;
    let source = source_of_line(line).map_err(HeaderError::Line)?;
    Ok(Parsed::Done(Header {
        source,
        length: end.saturating_add(1),
    }))
}

/// Reads what stands between `PROXY ` and the line end.
fn source_of_line(line: &[u8]) -> Result<Option<SocketAddr>, &'static str> {
    let line = std::str::from_utf8(line).map_err(|_| "it is no text")?;
    let mut parts = line.split(' ');
    let protocol = parts.next().unwrap_or_default();
    if protocol == "UNKNOWN" {
        // what follows is to be ignored, §2.1
        return Ok(None);
    }
    let mut part = || parts.next().ok_or("a part is missing");
    let (source, target) = (part()?, part()?);
    let (source_port, target_port) = (port(part()?)?, port(part()?)?);
    if parts.next().is_some() {
        return Err("it has too many parts");
    }
    let source = address(protocol, source)?;
    // said of no use to us, but a line that is wrong is not believed in part
    let _ = (address(protocol, target)?, target_port);
    Ok(Some(SocketAddr::new(source, source_port)))
}

fn address(protocol: &str, text: &str) -> Result<IpAddr, &'static str> {
    let parsed = match protocol {
        "TCP4" => text.parse().map(IpAddr::V4),
        "TCP6" => text.parse().map(IpAddr::V6),
        _ => return Err("it names an unknown protocol"),
    };
    parsed.map_err(|_| "an address is none of its family")
}

/// A port; leading zeros are not permitted, §2.1.
fn port(text: &str) -> Result<u16, &'static str> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_padded = text.len() > 1 && text.starts_with('0');
    match text.parse() {
        Ok(port) if is_decimal && !is_padded => Ok(port),
        _ => Err("a port is no number up to 65535"),
    }
}

fn parse_v2(input: &[u8]) -> Result<Parsed, HeaderError> {
    let Some(fixed) = input.first_chunk::<V2_FIXED>() else {
        return Ok(Parsed::Need(V2_FIXED));
    };
    let [.., kind, family, high, low] = *fixed;
    let body = u16::from_be_bytes([high, low]);
    if kind >> 4 != 2 {
        return Err(HeaderError::Version(kind >> 4));
    }
    let is_local = match kind & 0x0f {
        0 => true,
        1 => false,
        command => return Err(HeaderError::Command(command)),
    };
    if family >> 4 > 3 || family & 0x0f > 2 {
        return Err(HeaderError::Family(family));
    }
    let length = V2_FIXED.saturating_add(body.into());
    if length > MAX_V2_BYTES {
        return Err(HeaderError::Long(body));
    }
    let Some(header) = input.get(..length) else {
        return Ok(Parsed::Need(length));
    };
    let mut cursor = Cursor::new(header);
    cursor.skip(V2_FIXED)?;
    let source = if is_local {
        None
    } else {
        source_of_addresses(family >> 4, &mut cursor)?
    };
    Ok(Parsed::Done(Header { source, length }))
}

/// Reads both addresses; what follows them is skipped, as it tells nothing about the client's address.
fn source_of_addresses(family: u8, cursor: &mut Cursor<'_>) -> Result<Option<SocketAddr>, Short> {
    /// Two paths of 108 bytes.
    const UNIX_BYTES: usize = 216;
    let ip = match family {
        1 => {
            let source = Ipv4Addr::from(cursor.array::<4>()?);
            cursor.skip(4)?;
            IpAddr::V4(source)
        }
        2 => {
            let source = Ipv6Addr::from(cursor.array::<16>()?);
            cursor.skip(16)?;
            IpAddr::V6(source)
        }
        3 => {
            cursor.skip(UNIX_BYTES)?;
            return Ok(None);
        }
        _ => return Ok(None),
    };
    let port = cursor.u16()?;
    cursor.skip(2)?;
    Ok(Some(SocketAddr::new(ip, port)))
}

/// Both ends as addresses of one family: IPv4 if both are, be they mapped into IPv6 or not.
enum Ends {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

fn ends(client: SocketAddr, local: SocketAddr) -> Ends {
    let as_v6 = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    match (client.ip().to_canonical(), local.ip().to_canonical()) {
        (IpAddr::V4(client), IpAddr::V4(local)) => Ends::V4(client, local),
        (client, local) => Ends::V6(as_v6(client), as_v6(local)),
    }
}

/// Appends a header of version 1: `client` is who connected to `local`.
pub fn write_v1(client: SocketAddr, local: SocketAddr, out: &mut Vec<u8>) {
    let ports = format!("{} {}", client.port(), local.port());
    let line = match ends(client, local) {
        Ends::V4(client, local) => format!("PROXY TCP4 {client} {local} {ports}\r\n"),
        Ends::V6(client, local) => format!("PROXY TCP6 {client} {local} {ports}\r\n"),
    };
    out.extend_from_slice(line.as_bytes());
}

/// Appends a header of version 2 without additions: `client` is who connected to `local`.
pub fn write_v2(client: SocketAddr, local: SocketAddr, out: &mut Vec<u8>) {
    /// Version 2, command PROXY.
    const KIND: u8 = 0x21;
    out.extend_from_slice(V2_SIGNATURE);
    match ends(client, local) {
        Ends::V4(client, local) => {
            out.extend_from_slice(&[KIND, 0x11, 0, 12]);
            out.extend_from_slice(&client.octets());
            out.extend_from_slice(&local.octets());
        }
        Ends::V6(client, local) => {
            out.extend_from_slice(&[KIND, 0x21, 0, 36]);
            out.extend_from_slice(&client.octets());
            out.extend_from_slice(&local.octets());
        }
    }
    out.extend_from_slice(&client.port().to_be_bytes());
    out.extend_from_slice(&local.port().to_be_bytes());
}
