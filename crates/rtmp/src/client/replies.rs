//! What a client sends.
//!
//! Owns: the form and order of its commands, as ffmpeg and OBS send them. Does not: decide when.

use weir_container::amf::Value;

use super::{ClientConfig, ClientMode};
use crate::chunk::csid;
use crate::command::Command;
use crate::message::{Control, UserControl};

/// Transaction id of `connect`; all servers take 1 for granted.
pub(super) const CONNECT_ID: f64 = 1.0;
const RELEASE_STREAM_ID: f64 = 2.0;
const FC_PUBLISH_ID: f64 = 3.0;
/// Transaction id of `createStream`.
pub(super) const CREATE_STREAM_ID: f64 = 4.0;
const PUBLISH_ID: f64 = 5.0;
const FC_UNPUBLISH_ID: f64 = 6.0;
const DELETE_STREAM_ID: f64 = 7.0;

/// Window told to a server that plays to us, in bytes.
const WINDOW_ACK_SIZE: u32 = 2_500_000;

/// Codec bits of Flash: every codec it knows.
const AUDIO_CODECS: f64 = 4071.0;
const VIDEO_CODECS: f64 = 252.0;

fn command(name: &str, transaction_id: f64, arguments: Vec<Value>) -> Command {
    Command {
        name: name.to_owned(),
        transaction_id,
        object: Value::Null,
        arguments,
    }
}

pub(super) fn write_connect(out: &mut Vec<u8>, config: &ClientConfig, chunk_size: u32) {
    let mut object: Vec<(String, Value)> = vec![("app".to_owned(), config.app.as_str().into())];
    let mut put = |name: &str, value: Value| object.push((name.to_owned(), value));
    match config.mode {
        ClientMode::Publish => {
            put("type", "nonprivate".into());
            put("flashVer", config.flash_ver.as_str().into());
            put("tcUrl", config.tc_url.as_str().into());
        }
        ClientMode::Play => {
            put("flashVer", config.flash_ver.as_str().into());
            put("tcUrl", config.tc_url.as_str().into());
            put("fpad", false.into());
            put("capabilities", 15.0.into());
            put("audioCodecs", AUDIO_CODECS.into());
            put("videoCodecs", VIDEO_CODECS.into());
            put("videoFunction", 1.0.into());
        }
    }
    if !config.fourcc_list.is_empty() {
        let list = config
            .fourcc_list
            .iter()
            .map(|code| code.as_str().into())
            .collect();
        put("fourCcList", Value::StrictArray(list));
    }
    let object = Value::Object(object);
    let connect = Command {
        object,
        ..command("connect", CONNECT_ID, Vec::new())
    };
    connect.write(out, csid::COMMAND, 0, chunk_size);
}

/// `createStream` and, for a publisher, what encoders send before it.
pub(super) fn write_create_stream(out: &mut Vec<u8>, config: &ClientConfig, chunk_size: u32) {
    let name = || vec![config.stream.as_str().into()];
    match config.mode {
        ClientMode::Publish => {
            let release = command("releaseStream", RELEASE_STREAM_ID, name());
            release.write(out, csid::COMMAND, 0, chunk_size);
            let announce = command("FCPublish", FC_PUBLISH_ID, name());
            announce.write(out, csid::COMMAND, 0, chunk_size);
        }
        ClientMode::Play => Control::WindowAckSize(WINDOW_ACK_SIZE).write(out, chunk_size),
    }
    let create = command("createStream", CREATE_STREAM_ID, Vec::new());
    create.write(out, csid::COMMAND, 0, chunk_size);
}

/// `publish`, or `play` and the buffer length.
pub(super) fn write_start(out: &mut Vec<u8>, config: &ClientConfig, msid: u32, chunk_size: u32) {
    let name = Value::from(config.stream.as_str());
    match config.mode {
        ClientMode::Publish => {
            let publish = command("publish", PUBLISH_ID, vec![name, "live".into()]);
            publish.write(out, csid::STREAM, msid, chunk_size);
        }
        ClientMode::Play => {
            let play = command("play", PUBLISH_ID, vec![name, (-2.0).into()]);
            play.write(out, csid::STREAM, msid, chunk_size);
            let millis = config.buffer_millis;
            let buffer = Control::User(UserControl::SetBufferLength { msid, millis });
            buffer.write(out, chunk_size);
        }
    }
}

pub(super) fn write_goodbye(out: &mut Vec<u8>, config: &ClientConfig, msid: u32, chunk_size: u32) {
    if config.mode == ClientMode::Publish {
        let name = vec![config.stream.as_str().into()];
        let leave = command("FCUnpublish", FC_UNPUBLISH_ID, name);
        leave.write(out, csid::COMMAND, 0, chunk_size);
    }
    let delete = command(
        "deleteStream",
        DELETE_STREAM_ID,
        vec![f64::from(msid).into()],
    );
    delete.write(out, csid::COMMAND, 0, chunk_size);
}
