//! The `connect` command of both sides, with the fields of enhanced RTMP v2 ("Enhancing NetConnection connect").
//!
//! Owns: [`ConnectRequest`] and what the server says of itself. Does not: decide who may connect.

use weir_container::amf::Value;
use weir_media::{AudioCodec, VideoCodec};

use super::Command;

/// Bits of `capsEx` (enhanced RTMP v2, `CapsExMask`).
pub mod caps_ex {
    /// Understands reconnect requests.
    pub const RECONNECT: u32 = 1;
    /// Understands several tracks in one message.
    pub const MULTITRACK: u32 = 2;
    /// Understands `ModEx` in front of a packet.
    pub const MOD_EX: u32 = 4;
    /// Understands nanosecond offsets.
    pub const TIMESTAMP_NANO_OFFSET: u32 = 8;
}

/// What a peer says of itself in `connect`. Texts are empty and numbers 0 where it said nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectRequest {
    /// Transaction id, for the answer.
    pub(crate) transaction_id: f64,
    /// Application, as sent: may hold an instance and a query.
    pub app: String,
    /// `tcUrl`: address of the application as the peer was given it.
    pub tc_url: String,
    /// `flashVer`: name and version of the peer.
    pub flash_ver: String,
    /// `pageUrl`: page that embeds the player.
    pub page_url: String,
    /// `swfUrl`: address of the player.
    pub swf_url: String,
    /// 0 for AMF0, 3 for AMF3.
    pub object_encoding: u8,
    /// FourCCs of enhanced RTMP's `fourCcList`; `*` is any.
    pub fourcc_list: Vec<String>,
    /// `capsEx`, see [`caps_ex`].
    pub caps_ex: u32,
    /// `videoFunction` bits.
    pub video_function: u32,
    /// All properties as sent, those above too.
    pub properties: Vec<(String, Value)>,
    /// What followed the command object: arguments of the application.
    pub arguments: Vec<Value>,
}

impl ConnectRequest {
    /// Reads the command object of `connect`; a missing one gives an empty request.
    pub(crate) fn from_command(command: Command) -> Self {
        let object = &command.object;
        let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
        let bits = |name: &str| object.get(name).and_then(Value::as_f64).unwrap_or(0.0) as u32;
        let fourcc_list = object
            .get("fourCcList")
            .and_then(Value::as_slice)
            .unwrap_or_default()
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        Self {
            transaction_id: command.transaction_id,
            app: text("app").to_owned(),
            tc_url: text("tcUrl").to_owned(),
            flash_ver: text("flashVer").to_owned(),
            page_url: text("pageUrl").to_owned(),
            swf_url: text("swfUrl").to_owned(),
            object_encoding: if bits("objectEncoding") == 3 { 3 } else { 0 },
            fourcc_list,
            caps_ex: bits("capsEx"),
            video_function: bits("videoFunction"),
            properties: object.properties().unwrap_or_default().to_vec(),
            arguments: command.arguments,
        }
    }

    /// The application: `app`, or the path of `tcUrl` for clients that send nothing else, as proxies of the field do.
    pub fn application(&self) -> &str {
        if !self.app.trim_matches('/').is_empty() {
            return &self.app;
        }
        let address = self.tc_url.split_once("://").map_or("", |(_, rest)| rest);
        address.split_once('/').map_or("", |(_, path)| path)
    }

    /// A property as sent.
    pub fn property(&self, name: &str) -> Option<&Value> {
        self.properties
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// Whether the peer showed any field of enhanced RTMP.
    pub fn is_enhanced(&self) -> bool {
        [
            "fourCcList",
            "videoFourCcInfoMap",
            "audioFourCcInfoMap",
            "capsEx",
        ]
        .into_iter()
        .any(|name| self.property(name).is_some())
    }
}

/// `FourCcInfoMask.CanForward`: a server relays and neither decodes nor encodes.
const CAN_FORWARD: f64 = 4.0;

/// What the server says of itself to an enhanced peer.
pub(crate) fn server_capabilities(caps_ex: u32) -> Vec<(String, Value)> {
    use {AudioCodec as A, VideoCodec as V};
    let video = [V::Av1, V::Vp9, V::H265, V::H264, V::H266, V::Vp8].map(V::fourcc);
    let audio = [A::Aac, A::Opus, A::Flac, A::Ac3, A::Eac3, A::Mp3].map(A::fourcc);
    let name = |code: &[u8; 4]| String::from_utf8_lossy(code).into_owned();
    let map = |codes: &[Option<[u8; 4]>]| {
        let entries = codes
            .iter()
            .flatten()
            .map(|code| (name(code), CAN_FORWARD.into()));
        Value::Object(entries.collect())
    };
    let list = video
        .iter()
        .chain(&audio)
        .flatten()
        .map(|code| name(code).into())
        .collect();
    vec![
        ("fourCcList".to_owned(), Value::StrictArray(list)),
        ("videoFourCcInfoMap".to_owned(), map(&video)),
        ("audioFourCcInfoMap".to_owned(), map(&audio)),
        ("capsEx".to_owned(), f64::from(caps_ex).into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(object: Value) -> ConnectRequest {
        ConnectRequest::from_command(Command {
            name: "connect".to_owned(),
            transaction_id: 1.0,
            object,
            arguments: Vec::new(),
        })
    }

    #[test]
    fn reads_what_is_there_and_forgives_the_rest() {
        let request = connect(Value::Object(vec![
            ("app".to_owned(), "live".into()),
            ("tcUrl".to_owned(), 5.0.into()),
            ("objectEncoding".to_owned(), 3.0.into()),
            ("capsEx".to_owned(), f64::NAN.into()),
            (
                "fourCcList".to_owned(),
                Value::StrictArray(vec!["hvc1".into(), 1.0.into(), "av01".into()]),
            ),
        ]));
        assert_eq!(
            (request.app.as_str(), request.tc_url.as_str()),
            ("live", "")
        );
        assert_eq!(request.object_encoding, 3);
        assert_eq!(request.caps_ex, 0);
        assert_eq!(request.fourcc_list, ["hvc1", "av01"]);
        assert!(request.is_enhanced());
        assert!(!connect(Value::Null).is_enhanced());
    }

    #[test]
    fn the_application_is_in_the_address_where_it_is_nowhere_else() {
        let table = [
            ("", "rtmp://host/live", "live"),
            ("/", "rtmp://host:1935/a/b", "a/b"),
            ("app", "rtmp://host/live", "app"),
            ("", "rtmp://host", ""),
            ("", "", ""),
        ];
        for (app, tc_url, expected) in table {
            let request = connect(Value::Object(vec![
                ("app".to_owned(), app.into()),
                ("tcUrl".to_owned(), tc_url.into()),
            ]));
            assert_eq!(request.application(), expected, "{app} {tc_url}");
        }
    }

    #[test]
    fn the_server_forwards_every_codec_it_names() {
        let capabilities = Value::Object(server_capabilities(6));
        let video = capabilities.get("videoFourCcInfoMap").unwrap();
        assert_eq!(video.get("hvc1").and_then(Value::as_f64), Some(4.0));
        let audio = capabilities.get("audioFourCcInfoMap").unwrap();
        assert_eq!(audio.get("Opus").and_then(Value::as_f64), Some(4.0));
        assert_eq!(
            capabilities
                .get("fourCcList")
                .unwrap()
                .as_slice()
                .unwrap()
                .len(),
            12
        );
        assert_eq!(
            capabilities.get("capsEx").and_then(Value::as_f64),
            Some(6.0)
        );
    }
}
