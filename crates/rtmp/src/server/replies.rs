//! What a server sends.
//!
//! Owns: the form and order of its replies and notices, as functions without state where the shared log needs them.
//! Does not: decide when to send them.

use weir_container::amf::{Value, amf0};

use crate::chunk::{csid, write_message};
use crate::command::{Command, StatusCode, information, server_capabilities};
use crate::message::{Control, LimitType, UserControl, type_id};
use crate::server::config::ServerConfig;

/// What players and encoders take the server for; they read the major version only, to choose features.
const FMS_VERSION: &str = "FMS/3,5,7,7009";

/// `capabilities` of that server version.
const FMS_CAPABILITIES: f64 = 31.0;

/// Appends what a player gets when the publisher leaves: StreamEOF and `NetStream.Play.UnpublishNotify`.
pub fn write_stream_eof_and_unpublish_notify(out: &mut Vec<u8>, msid: u32, chunk_size: u32) {
    Control::User(UserControl::StreamEof(msid)).write(out, chunk_size);
    let code = StatusCode::PlayUnpublishNotify;
    write_on_status(out, msid, code, "Stream is now unpublished.", chunk_size);
}

/// Appends what a player gets when the publisher is back: StreamBegin and `NetStream.Play.PublishNotify`.
pub fn write_stream_begin_and_publish_notify(out: &mut Vec<u8>, msid: u32, chunk_size: u32) {
    Control::User(UserControl::StreamBegin(msid)).write(out, chunk_size);
    let code = StatusCode::PlayPublishNotify;
    write_on_status(out, msid, code, "Stream is now published.", chunk_size);
}

/// Appends the answer to a `connect` that is accepted, in the order that all clients of the field know.
pub(super) fn write_connect_accepted(
    out: &mut Vec<u8>,
    config: &ServerConfig,
    transaction_id: f64,
    object_encoding: u8,
    enhanced: bool,
) {
    // chunks have their initial size up to and including Set Chunk Size
    let before = crate::chunk::INITIAL_CHUNK_SIZE;
    let size = config.window_ack_size;
    Control::WindowAckSize(size).write(out, before);
    Control::SetPeerBandwidth {
        size,
        limit: LimitType::Dynamic,
    }
    .write(out, before);
    Control::SetChunkSize(config.chunk_size).write(out, before);
    Control::User(UserControl::StreamBegin(0)).write(out, config.chunk_size);

    let mut properties = vec![
        ("fmsVer".to_owned(), FMS_VERSION.into()),
        ("capabilities".to_owned(), FMS_CAPABILITIES.into()),
        ("mode".to_owned(), 1.0.into()),
    ];
    let mut information = information(StatusCode::ConnectSuccess, "Connection succeeded.");
    information.push((
        "objectEncoding".to_owned(),
        f64::from(object_encoding).into(),
    ));
    if enhanced {
        // peers look for them in either object: the text of enhanced RTMP leaves it open
        properties.extend(server_capabilities(config.caps_ex));
        information.extend(server_capabilities(config.caps_ex));
    }
    let command = Command {
        name: "_result".to_owned(),
        transaction_id,
        object: Value::Object(properties),
        arguments: vec![Value::Object(information)],
    };
    command.write(out, csid::COMMAND, 0, config.chunk_size);
}

/// Appends what a player gets when its `play` is accepted.
pub(super) fn write_play_accepted(out: &mut Vec<u8>, msid: u32, reset: bool, chunk_size: u32) {
    Control::User(UserControl::StreamBegin(msid)).write(out, chunk_size);
    if reset {
        let text = "Playing and resetting stream.";
        write_on_status(out, msid, StatusCode::PlayReset, text, chunk_size);
    }
    write_on_status(
        out,
        msid,
        StatusCode::PlayStart,
        "Started playing stream.",
        chunk_size,
    );
    let mut body = Vec::with_capacity(32);
    amf0::write_string("|RtmpSampleAccess", &mut body);
    amf0::write_bool(true, &mut body);
    amf0::write_bool(true, &mut body);
    write_message(
        out,
        csid::STREAM,
        0,
        type_id::DATA_AMF0,
        msid,
        &body,
        chunk_size,
    );
}

/// Appends an `onStatus` on message stream `msid`.
pub(super) fn write_on_status(
    out: &mut Vec<u8>,
    msid: u32,
    code: StatusCode,
    description: &str,
    chunk_size: u32,
) {
    let command = Command {
        name: "onStatus".to_owned(),
        transaction_id: 0.0,
        object: Value::Null,
        arguments: vec![Value::Object(information(code, description))],
    };
    command.write(out, csid::STREAM, msid, chunk_size);
}

/// Appends a `_result` with one value.
pub(super) fn write_result(out: &mut Vec<u8>, transaction_id: f64, value: Value, chunk_size: u32) {
    let command = Command {
        name: "_result".to_owned(),
        transaction_id,
        object: Value::Null,
        arguments: vec![value],
    };
    command.write(out, csid::COMMAND, 0, chunk_size);
}

/// Appends an `_error` with an information object.
pub(super) fn write_error(
    out: &mut Vec<u8>,
    transaction_id: f64,
    code: StatusCode,
    description: &str,
    chunk_size: u32,
) {
    let command = Command {
        name: "_error".to_owned(),
        transaction_id,
        object: Value::Null,
        arguments: vec![Value::Object(information(code, description))],
    };
    command.write(out, csid::COMMAND, 0, chunk_size);
}

/// Appends `onFCPublish` or `onFCUnpublish`, which Flash-era encoders wait for.
pub(super) fn write_on_fc(
    out: &mut Vec<u8>,
    name: &str,
    code: StatusCode,
    stream: &str,
    chunk_size: u32,
) {
    let command = Command {
        name: name.to_owned(),
        transaction_id: 0.0,
        object: Value::Null,
        arguments: vec![Value::Object(information(code, stream))],
    };
    command.write(out, csid::COMMAND, 0, chunk_size);
}
