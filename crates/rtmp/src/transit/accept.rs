//! The moment a session is passed on.
//!
//! Owns: the answer to the client's request, from the server's; the comparison of both connections; the choice between bytes
//! that pass unseen and messages that are passed on. Does not: move bytes.

use weir_container::amf::Value;

use super::messages::Messages;
use super::opening::{Opening, on_status};
use super::replay::{Replay, Role};
use super::upstream::Upstream;
use super::writer::Writer;
use crate::chunk::{StreamHeader, csid};
use crate::command::{Command, StatusCode, information};
use crate::message::{Control, Message, UserControl, type_id};

/// How the bytes go on.
#[derive(Debug)]
pub enum Path {
    /// Both connections are in the same state: bytes pass unseen, both ways. First come the bytes here, which were read
    /// ahead of a header; then what the drivers have read and not handed in; then the sockets.
    Bytes {
        /// For the server.
        to_server: Vec<u8>,
        /// For the client.
        to_client: Vec<u8>,
    },
    /// They are not: messages are passed on whole. What the drivers have read and not handed in goes in first.
    Messages(Box<Messages>),
}

/// Answers the client as the server did, and says how the bytes go on. The server must have answered
/// [`Started`](super::Answer::Started).
///
/// The answers are in the output of `opening`, and some more words in that of `upstream`: take both after this.
pub fn accept(mut opening: Opening, mut upstream: Upstream, output: &mut Output) -> Path {
    let client_msid = opening.replay.request.as_ref().map_or(0, |it| it.msid);
    announce(&mut opening.writer, &upstream, client_msid);
    sync(
        &mut opening.writer,
        &upstream.said,
        upstream.reader.headers().collect::<Vec<_>>().iter(),
        upstream.reader.chunk_size(),
    );
    opening.writer.take(&mut output.to_client);
    upstream.writer.take(&mut output.to_server);
    let same = client_msid == upstream.msid
        && agree(&opening.reader, &upstream.writer)
        && agree(&upstream.reader, &opening.writer);
    if same {
        return Path::Bytes {
            to_server: opening.reader.ahead().to_vec(),
            to_client: upstream.reader.ahead().to_vec(),
        };
    }
    Path::Messages(Box::new(Messages::new(opening, upstream, client_msid)))
}

/// Bytes to be sent before anything else.
#[derive(Debug, Default)]
pub struct Output {
    /// To the client.
    pub to_client: Vec<u8>,
    /// To the server.
    pub to_server: Vec<u8>,
}

/// Whether what follows in `from` can go on behind what `to` has written.
fn agree(from: &crate::chunk::ChunkReader, to: &Writer) -> bool {
    from.is_between_messages()
        && from.chunk_size() == to.chunk_size()
        && from
            .headers()
            .all(|header| to.header(header.csid) == Some(&header))
}

/// The server's answers, completed to what clients of the field expect.
fn announce(writer: &mut Writer, upstream: &Upstream, msid: u32) {
    let chunk_size = upstream.reader.chunk_size();
    if writer.chunk_size() != chunk_size {
        writer.control(Control::SetChunkSize(chunk_size));
    }
    // our own words go where the server has said nothing, so that they leave no mark on its chunk streams
    let taken: Vec<u32> = upstream.reader.headers().map(|it| it.csid).collect();
    let free = (csid::COMMAND..64)
        .rev()
        .find(|csid| !taken.contains(csid))
        .unwrap_or(csid::COMMAND);
    let said = |code: &str| {
        upstream
            .heard
            .iter()
            .any(|message| is_status(message, code))
    };
    match upstream.role() {
        Role::Publish => {
            let mut info = information(StatusCode::PublishStart, "Started publishing stream.");
            info.retain(|(name, _)| name != "level");
            let announcement = Command {
                name: "onFCPublish".to_owned(),
                transaction_id: 0.0,
                object: Value::Null,
                arguments: vec![Value::Object(info)],
            };
            writer.command(&announcement, free, msid);
        }
        Role::Play if !said(StatusCode::PlayReset.as_str()) => {
            let info = information(StatusCode::PlayReset, "Playing and resetting stream.");
            writer.command(&on_status(info), free, msid);
        }
        Role::Play => {}
    }
    if upstream.unannounced {
        let info = information(StatusCode::PlayStart, "Started playing stream.");
        writer.command(&on_status(info), free, msid);
    }
    for message in &upstream.heard {
        writer.message(&renumbered(message, upstream.msid, msid));
    }
}

fn is_status(message: &Message, code: &str) -> bool {
    let is_command = matches!(
        message.type_id,
        type_id::COMMAND_AMF0 | type_id::COMMAND_AMF3
    );
    is_command
        && Command::parse(message.type_id, &message.body).is_ok_and(|command| {
            let info = command.arguments.first();
            let found = info.and_then(|info| info.get("code"));
            found.and_then(Value::as_str) == Some(code)
        })
}

/// The message with message stream `from` called `to`, in its header, in user control messages and in `deleteStream`.
pub(super) fn renumbered(message: &Message, from: u32, to: u32) -> Message {
    let mut message = message.clone();
    if message.msid == from && from != 0 {
        message.msid = to;
    }
    if from == to {
        return message;
    }
    if message.type_id == type_id::USER_CONTROL
        && let Ok(Some(Control::User(event))) = Control::parse(&message)
        && let Some(event) = renumbered_event(event, from, to)
    {
        message.body = Control::User(event).body().1.into();
    }
    let is_command = matches!(
        message.type_id,
        type_id::COMMAND_AMF0 | type_id::COMMAND_AMF3
    );
    if is_command
        && let Ok(mut command) = Command::parse(message.type_id, &message.body)
        && command.name == "deleteStream"
        && let Some(number) = command.arguments.first_mut()
        && number.as_f64() == Some(f64::from(from))
    {
        *number = f64::from(to).into();
        message.type_id = type_id::COMMAND_AMF0;
        message.body = command.body().into();
    }
    message
}

fn renumbered_event(event: UserControl, from: u32, to: u32) -> Option<UserControl> {
    Some(match event {
        UserControl::StreamBegin(msid) if msid == from => UserControl::StreamBegin(to),
        UserControl::StreamEof(msid) if msid == from => UserControl::StreamEof(to),
        UserControl::StreamDry(msid) if msid == from => UserControl::StreamDry(to),
        UserControl::StreamIsRecorded(msid) if msid == from => UserControl::StreamIsRecorded(to),
        UserControl::SetBufferLength { msid, millis } if msid == from => {
            UserControl::SetBufferLength { msid: to, millis }
        }
        _ => return None,
    })
}

/// Brings chunk streams of `writer` that stand elsewhere than `headers` there, where saying the last control message again
/// does it. What cannot be repeated is left.
pub(super) fn sync<'a>(
    writer: &mut Writer,
    said: &Replay,
    headers: impl Iterator<Item = &'a StreamHeader>,
    chunk_size: u32,
) {
    for header in headers {
        if writer.header(header.csid) == Some(header) {
            continue;
        }
        if header.type_id == type_id::SET_CHUNK_SIZE {
            writer.message(&Message {
                csid: header.csid,
                timestamp: header.timestamp,
                type_id: header.type_id,
                msid: header.msid,
                body: chunk_size.to_be_bytes().to_vec().into(),
            });
        } else if let Some(message) = said.control_for(header) {
            writer.message(message);
        }
    }
}
