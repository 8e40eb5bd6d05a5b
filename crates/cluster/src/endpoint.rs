//! Listen texts of origins: every form that SRS and its users write.
//!
//! Owns: [`Endpoint`] and its parser. Does not: resolve names or decide which endpoint is dialled.

use std::fmt;

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
    /// Parses a port, `:port`, `ip:port`, `[v6]:port`, and each of these behind `proto://` or `proto:`.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let fail = |why| EndpointError {
            text: text.chars().take(64).collect(),
            why,
        };
        let _ = fail;
        Err(fail("not parsed yet"))
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
