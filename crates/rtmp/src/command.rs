//! Commands of NetConnection and NetStream (RTMP 1.0 §7.2) and the status codes in their answers.
//!
//! Owns: [`Command`] (parse and write), what `connect` and `publish` carry, and [`StatusCode`] with its words on
//! the wire. Does not: act on commands (the sessions do).

mod connect;
mod status;

use weir_container::amf::{self, Value, amf0};

use crate::chunk::write_message;
use crate::error::Misbehaviour;
use crate::message::type_id;

pub(crate) use connect::server_capabilities;
pub use connect::{ConnectRequest, caps_ex};
pub(crate) use status::information;
pub use status::{Level, StatusCode};

/// Longest command body accepted, in bytes.
///
/// A `connect` of a browser-era player with long page addresses stays under 4 KiB, one with tokens in every field
/// under 16 KiB. AMF decoding multiplies size in memory, so commands have a tighter bound than media.
pub const MAX_COMMAND_BYTES: usize = 64 << 10;

/// A command message.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Name of the procedure, such as `connect` or `_result`.
    pub name: String,
    /// Number that the answer repeats; 0 wants none.
    pub transaction_id: f64,
    /// The command object; [`Value::Null`] in most commands.
    pub object: Value,
    /// What follows it.
    pub arguments: Vec<Value>,
}

impl Command {
    /// Parses the body of a command message of type 20, or of type 17, whose first byte 0 is skipped.
    ///
    /// Fails when the body is too long or is not AMF of a string and a number, and then any values. A missing
    /// transaction id counts as 0 and a missing object as null: old encoders leave both out of `FCUnpublish`.
    pub fn parse(type_id: u8, body: &[u8]) -> Result<Self, Misbehaviour> {
        if body.len() > MAX_COMMAND_BYTES {
            return Err(Misbehaviour::CommandTooLarge(body.len()));
        }
        let malformed = |error: amf::Error| Misbehaviour::MalformedCommand(error.to_string());
        let wrong = |what: &str| Misbehaviour::MalformedCommand(what.to_owned());
        let mut values = amf0::Decoder::new(skip_amf3_lead(type_id, body));
        let Some(Value::String(name)) = values.next().map_err(malformed)? else {
            return Err(wrong("its name is not a string"));
        };
        let transaction_id = match values.next().map_err(malformed)? {
            Some(Value::Number(id)) => id,
            None => 0.0,
            Some(_) => return Err(wrong("its transaction id is not a number")),
        };
        let object = values.next().map_err(malformed)?.unwrap_or(Value::Null);
        let mut arguments = Vec::new();
        while let Some(value) = values.next().map_err(malformed)? {
            arguments.push(value);
        }
        Ok(Self {
            name,
            transaction_id,
            object,
            arguments,
        })
    }

    /// The argument at `index` (0 follows the command object), if it is a string.
    pub fn text(&self, index: usize) -> Option<&str> {
        self.arguments.get(index).and_then(Value::as_str)
    }

    /// The argument at `index`, if it is a number.
    pub fn number(&self, index: usize) -> Option<f64> {
        self.arguments.get(index).and_then(Value::as_f64)
    }

    /// The argument at `index`, if it is a boolean or a number (0 is false), as old players write flags.
    pub fn flag(&self, index: usize) -> Option<bool> {
        match self.arguments.get(index)? {
            Value::Boolean(flag) => Some(*flag),
            Value::Number(number) => Some(*number != 0.0),
            _ => None,
        }
    }

    /// The body of the command's message, in AMF0.
    pub fn body(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(256);
        amf0::write_string(&self.name, &mut body);
        amf0::write_number(self.transaction_id, &mut body);
        amf0::encode(&self.object, &mut body);
        for value in &self.arguments {
            amf0::encode(value, &mut body);
        }
        body
    }

    /// Appends the command as an AMF0 message to `out`.
    pub fn write(&self, out: &mut Vec<u8>, csid: u32, msid: u32, chunk_size: u32) {
        let body = self.body();
        write_message(out, csid, 0, type_id::COMMAND_AMF0, msid, &body, chunk_size);
    }
}

/// The AMF0 part of a message body: AMF3 types put one byte 0 in front. A sender that forgets it is understood.
pub(crate) fn skip_amf3_lead(type_id: u8, body: &[u8]) -> &[u8] {
    match (type_id, body.split_first()) {
        (type_id::COMMAND_AMF3 | type_id::DATA_AMF3, Some((0, rest))) => rest,
        _ => body,
    }
}

/// What should become of a published stream (RTMP 1.0 §7.2.2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PublishKind {
    /// Relay only.
    #[default]
    Live,
    /// Relay and record into a new file.
    Record,
    /// Relay and append to the recording.
    Append,
}

impl PublishKind {
    /// The kind of a publish type; anything unknown or missing is live, as in all servers of the field.
    pub fn from_name(name: Option<&str>) -> Self {
        match name {
            Some("record") => Self::Record,
            Some("append") => Self::Append,
            _ => Self::Live,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::ChunkReader;
    use proptest::prelude::*;

    fn command(body: &[u8]) -> Result<Command, Misbehaviour> {
        Command::parse(type_id::COMMAND_AMF0, body)
    }

    #[test]
    fn round_trip_through_chunks() {
        let sent = Command {
            name: "publish".to_owned(),
            transaction_id: 5.0,
            object: Value::Null,
            arguments: vec!["cam?token=1".into(), "live".into()],
        };
        let mut out = Vec::new();
        sent.write(&mut out, 8, 1, 20);
        let mut reader = ChunkReader::new(1024);
        let mut set_size = Vec::new();
        crate::message::Control::SetChunkSize(20).write(&mut set_size, 128);
        assert_eq!(reader.read(&mut &set_size[..]), Ok(None));
        let message = reader.read(&mut &out[..]).unwrap().unwrap();
        assert_eq!((message.csid, message.msid), (8, 1));
        assert_eq!(command(&message.body), Ok(sent));
    }

    #[test]
    fn amf3_messages_have_a_byte_in_front() {
        let body = [0, 2, 0, 1, b'x', 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let parsed = Command::parse(type_id::COMMAND_AMF3, &body).unwrap();
        assert_eq!((parsed.name.as_str(), parsed.transaction_id), ("x", 0.0));
        let without = Command::parse(type_id::COMMAND_AMF3, body.get(1..).unwrap());
        assert_eq!(without.unwrap().name, "x");
    }

    #[test]
    fn malformed_bodies_are_the_peers_fault() {
        assert!(matches!(
            command(&[]),
            Err(Misbehaviour::MalformedCommand(_))
        ));
        assert!(matches!(
            command(&[5]),
            Err(Misbehaviour::MalformedCommand(_))
        ));
        assert!(matches!(
            command(&[2, 0, 9, b'x']),
            Err(Misbehaviour::MalformedCommand(_))
        ));
        let name_then_string = [2, 0, 1, b'x', 2, 0, 0];
        assert!(matches!(
            command(&name_then_string),
            Err(Misbehaviour::MalformedCommand(_))
        ));
        let mut deep = vec![2, 0, 1, b'x', 0, 0, 0, 0, 0, 0, 0, 0, 0];
        deep.extend(std::iter::repeat_n([10, 0, 0, 0, 1], 10_000).flatten());
        assert!(matches!(
            command(&deep),
            Err(Misbehaviour::MalformedCommand(_))
        ));
        assert_eq!(
            command(&[0; 70_000]),
            Err(Misbehaviour::CommandTooLarge(70_000))
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(type_id: u8, body: Vec<u8>) {
            let _ = Command::parse(type_id, &body);
        }
    }
}
