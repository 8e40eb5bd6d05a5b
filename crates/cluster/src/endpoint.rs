//! Listen texts of origins: every form that SRS and its users write.
//!
//! Owns: [`Endpoint`] and its parser. Does not: resolve names or decide which endpoint is dialled.

use std::fmt;
use std::net::Ipv6Addr;

/// Longest text in bytes: the longest host name has 253 (RFC 1035 §2.3.4), a transport and a port around it are short.
const MAX_BYTES: usize = 300;

/// Longest name of a transport; those in use have three to five characters.
const MAX_TRANSPORT_BYTES: usize = 16;

/// Longest host name, RFC 1035 §2.3.4 without the length of the first and the last label.
const MAX_HOST_BYTES: usize = 253;

/// How much of a text an error repeats, in characters.
const SHOWN: usize = 64;

/// Transports that are told from a host by their name alone, as in `udp:8000`.
const TRANSPORTS: [&str; 2] = ["tcp", "udp"];

/// What a listen text says. Only the port is needed to reach an origin: its address is that of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The transport, in lower case, such as `udp`; empty when the text names none.
    pub transport: String,
    /// The address it listens on, without brackets; empty when the text names none.
    pub host: String,
    /// The port, never 0.
    pub port: u16,
}

/// Why a text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no endpoint: {why}")]
pub struct EndpointError {
    /// The text, cut to 64 characters.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Endpoint {
    /// Parses a port, `:port`, `ip:port`, `[v6]:port`, `host:port`, and each of these behind `proto://`, or behind `tcp:`
    /// or `udp:`. White space around the text does not count.
    ///
    /// Fails when the text has another form, is longer than 300 bytes, or its port is not 1 to 65535.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        parse(text.trim()).map_err(|why| EndpointError {
            text: text.chars().take(SHOWN).collect(),
            why,
        })
    }
}

fn parse(text: &str) -> Result<Endpoint, &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > MAX_BYTES {
        return Err("it is longer than 300 bytes");
    }
    let (transport, rest) = split_transport(text)?;
    let (host, port) = split_port(rest)?;
    Ok(Endpoint {
        transport,
        host: host.to_owned(),
        port: parse_port(port)?,
    })
}

/// The transport in lower case, which may be empty, and what follows it.
fn split_transport(text: &str) -> Result<(String, &str), &'static str> {
    if let Some((transport, rest)) = text.split_once("://") {
        let is_name = transport.bytes().all(|b| b.is_ascii_alphanumeric())
            && transport.starts_with(|c: char| c.is_ascii_alphabetic());
        if !is_name || transport.len() > MAX_TRANSPORT_BYTES {
            return Err("what stands before `://` is no transport");
        }
        return Ok((transport.to_ascii_lowercase(), rest));
    }
    if let Some((first, rest)) = text.split_once(':') {
        let first = first.to_ascii_lowercase();
        if TRANSPORTS.contains(&first.as_str()) {
            return Ok((first, rest));
        }
    }
    Ok((String::new(), text))
}

/// The host without brackets, which may be empty, and the text of the port.
fn split_port(text: &str) -> Result<(&str, &str), &'static str> {
    if let Some(inner) = text.strip_prefix('[') {
        let (address, rest) = inner.split_once(']').ok_or("its bracket is not closed")?;
        if address.parse::<Ipv6Addr>().is_err() {
            return Err("what stands in brackets is no IPv6 address");
        }
        let port = rest.strip_prefix(':').ok_or("it has no port")?;
        return Ok((address, port));
    }
    match text.rsplit_once(':') {
        Some((host, port)) => Ok((checked_host(host)?, port)),
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(("", text)),
        None => Err("it has no port"),
    }
}

fn checked_host(host: &str) -> Result<&str, &'static str> {
    if host.contains(':') {
        return Err("an IPv6 address needs brackets");
    }
    if host.len() > MAX_HOST_BYTES {
        return Err("its host is longer than 253 bytes");
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if !host.bytes().all(is_name) {
        return Err("its host has a character that no host name has");
    }
    Ok(host)
}

fn parse_port(port: &str) -> Result<u16, &'static str> {
    if port.is_empty() {
        return Err("its port is missing");
    }
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("its port is no number");
    }
    match port.parse() {
        Ok(0) => Err("its port is 0"),
        Ok(port) => Ok(port),
        Err(_) => Err("its port is above 65535"),
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.transport.is_empty() {
            write!(f, "{}://", self.transport)?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_that_srs_writes_is_understood() {
        let forms = [
            ("1935", "", "", 1935),
            (":1935", "", "", 1935),
            ("0.0.0.0:1935", "", "0.0.0.0", 1935),
            ("127.0.0.1:1", "", "127.0.0.1", 1),
            ("[::]:65535", "", "::", 65535),
            ("[2001:db8::1]:1935", "", "2001:db8::1", 1935),
            ("localhost:1985", "", "localhost", 1985),
            (
                "my_origin-1.example.com:8080",
                "",
                "my_origin-1.example.com",
                8080,
            ),
            ("udp://8000", "udp", "", 8000),
            ("udp://:8000", "udp", "", 8000),
            ("udp://0.0.0.0:8000", "udp", "0.0.0.0", 8000),
            ("udp:0.0.0.0:8000", "udp", "0.0.0.0", 8000),
            ("udp:8000", "udp", "", 8000),
            ("UDP:8000", "udp", "", 8000),
            ("udp:[::]:8000", "udp", "::", 8000),
            ("tcp::8000", "tcp", "", 8000),
            ("tcp://[::]:8000", "tcp", "::", 8000),
            ("Tcp://origin:8000", "tcp", "origin", 8000),
            ("tcp:udp:8000", "tcp", "udp", 8000),
            ("https://1986", "https", "", 1986),
            (" \t8080\r\n", "", "", 8080),
            ("  udp://8000 ", "udp", "", 8000),
        ];
        for (text, transport, host, port) in forms {
            let expected = Endpoint {
                transport: transport.to_owned(),
                host: host.to_owned(),
                port,
            };
            assert_eq!(Endpoint::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn each_fault_is_named() {
        let faults = [
            ("", "it is empty"),
            ("  ", "it is empty"),
            ("example.com", "it has no port"),
            ("[::1]", "it has no port"),
            ("0", "its port is 0"),
            ("65536", "its port is above 65535"),
            ("99999999999999999999", "its port is above 65535"),
            ("host:", "its port is missing"),
            (":", "its port is missing"),
            ("udp://", "its port is missing"),
            ("host:+80", "its port is no number"),
            ("host:-1", "its port is no number"),
            ("rtmp://host:1935/live", "its port is no number"),
            ("::1:1935", "an IPv6 address needs brackets"),
            ("[::1:1935", "its bracket is not closed"),
            ("[1.2.3.4]:80", "what stands in brackets is no IPv6 address"),
            ("a b:80", "its host has a character that no host name has"),
            (
                "user@host:80",
                "its host has a character that no host name has",
            ),
            ("://80", "what stands before `://` is no transport"),
            ("1udp://80", "what stands before `://` is no transport"),
            ("udp://tcp://80", "its port is no number"),
        ];
        for (text, why) in faults {
            assert_eq!(Endpoint::parse(text).map_err(|e| e.why), Err(why), "{text}");
        }
    }

    #[test]
    fn lengths_are_bounded_and_errors_are_short() {
        let longest = format!("{}:80", "a".repeat(MAX_HOST_BYTES));
        assert!(Endpoint::parse(&longest).is_ok());
        let host = Endpoint::parse(&format!("a{longest}")).map_err(|e| e.why);
        assert_eq!(host, Err("its host is longer than 253 bytes"));
        let zeros = format!("{}80", "0".repeat(MAX_BYTES));
        let error = Endpoint::parse(&zeros).expect_err("too long");
        assert_eq!(error.text.chars().count(), SHOWN);
        let transport = format!("{}://80", "a".repeat(MAX_TRANSPORT_BYTES + 1));
        assert!(Endpoint::parse(&transport).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in ".*") {
            if let Ok(endpoint) = Endpoint::parse(&text) {
                prop_assert_eq!(Endpoint::parse(&endpoint.to_string()), Ok(endpoint));
            }
        }

        #[test]
        fn what_was_parsed_is_the_same_when_written_and_parsed(
            text in r"[ ]?((udp|TCP|http|a1)(:|://))?(|[a-z.]{0,9}:|:|\[[0-9a-f:]{1,12}\]:)[0-9]{1,6}[ /]?",
        ) {
            if let Ok(endpoint) = Endpoint::parse(&text) {
                prop_assert!(endpoint.port != 0);
                prop_assert_eq!(Endpoint::parse(&endpoint.to_string()), Ok(endpoint));
            }
        }
    }
}
