//! Streams that come in without a session: which datagrams are which stream.
//!
//! Owns: [`Inputs`] and its text form. Does not: bind sockets.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use weir_gate::DEFAULT_VHOST;
use weir_media::{AppName, StreamKey, StreamName, Vhost};

use super::setting::{Raw, Setting, array, found, list};

/// An address, and the stream that comes on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Where datagrams are taken in; a multicast address is joined.
    pub address: SocketAddr,
    /// What they are.
    pub stream: StreamKey,
}

/// Streams that come in without a session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inputs(pub Vec<Input>);

impl Input {
    fn parse(text: &str) -> Result<Self, String> {
        let expected = || format!("`{text}` is no input (expected IP:PORT=app/stream)");
        let (address, stream) = text.split_once('=').ok_or_else(expected)?;
        let address = address.trim().parse().map_err(|_| expected())?;
        let (app, name) = stream.trim().rsplit_once('/').ok_or_else(expected)?;
        let key = StreamKey::new(Vhost(DEFAULT_VHOST), AppName(app), StreamName(name));
        let stream = key.map_err(|error| format!("`{text}`: {error}"))?;
        Ok(Self { address, stream })
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (app, name) = (self.stream.app(), self.stream.name());
        write!(f, "{}={app}/{name}", self.address)
    }
}

impl Setting for Inputs {
    fn read(&mut self, raw: &Raw, _range: &RangeInclusive<u64>) -> Result<(), String> {
        let texts = list(raw)
            .ok_or_else(|| format!("expected an input or a list of them, found {}", found(raw)))?;
        let mut all: Vec<Input> = Vec::new();
        for text in texts {
            let one = Input::parse(text)?;
            if all.iter().any(|known| known.stream == one.stream) {
                return Err(format!("{} comes in twice", one.stream));
            }
            if one.address.port() != 0 && all.iter().any(|known| known.address == one.address) {
                return Err(format!("{} is there twice", one.address));
            }
            all.push(one);
        }
        self.0 = all;
        Ok(())
    }

    fn to_toml(&self) -> String {
        array(self.0.iter().map(ToString::to_string))
    }

    fn value_name(&self) -> &'static str {
        "IP:PORT=APP/STREAM,.."
    }

    fn is_list(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Inputs, String> {
        let mut value = Inputs::default();
        value.read(&Raw::Text(text.to_owned()), &(0..=u64::MAX))?;
        Ok(value)
    }

    #[test]
    fn inputs_are_read_and_written() {
        let inputs = read("0.0.0.0:5000=live/cam,[ff02::1]:5001=a/b/c").expect("it is sound");
        assert_eq!(
            inputs.to_toml(),
            r#"["0.0.0.0:5000=live/cam", "[ff02::1]:5001=a/b/c"]"#
        );
        assert_eq!(read("off"), Ok(Inputs::default()));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, says) in [
            ("0.0.0.0:5000", "no input"),
            ("host:5000=live/x", "no input"),
            ("0.0.0.0:5000=x", "no input"),
            ("0.0.0.0:5000=live/..", "segment"),
            ("0.0.0.0:1=live/x,0.0.0.0:2=live/x", "twice"),
            ("0.0.0.0:1=live/x,0.0.0.0:1=live/y", "twice"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
