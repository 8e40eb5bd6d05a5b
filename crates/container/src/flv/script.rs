//! Script data: AMF0 values in a tag or an RTMP data message.
//!
//! Owns: finding `onMetaData`, with or without RTMP's `@setDataFrame` before it. Does not:
//! interpret its properties.

use bytes::Bytes;
use weir_wire::Cursor;

use super::Error;
use crate::amf::{Value, amf0};

pub(super) const ON_META_DATA: &[u8] = b"onMetaData";
const SET_DATA_FRAME: &[u8] = b"@setDataFrame";

/// The marker of an AMF0 string (AMF0 §2.1).
const STRING: u8 = 0x02;

/// The AMF0 string at the front of `body` and where it ends; `None` when there is another value or
/// none.
pub(super) fn name(body: &[u8]) -> Option<(&[u8], usize)> {
    let mut cursor = Cursor::new(body);
    if cursor.u8() != Ok(STRING) {
        return None;
    }
    let length = cursor.u16().ok()?;
    let name = cursor.take(usize::from(length)).ok()?;
    Some((name, cursor.offset()))
}

/// Where a leading `@setDataFrame` ends; 0 without one.
pub(super) fn set_data_frame_end(body: &[u8]) -> usize {
    name(body)
        .filter(|(name, _)| *name == SET_DATA_FRAME)
        .map_or(0, |(_, end)| end)
}

/// Script data without the `@setDataFrame` that publishers put first: players and files want
/// `onMetaData` there. Other script data comes back as it is. Shares the bytes.
pub fn strip_set_data_frame(body: Bytes) -> Bytes {
    let end = set_data_frame_end(&body);
    body.slice(end..)
}

/// The properties of `onMetaData`: an object or an array with names, or what else the encoder sent
/// as its value; [`Value::Null`] when it sent none.
///
/// Fails with [`Error::NotMetadata`] on other script data and with [`Error::Amf`] when the value is
/// malformed; the latter's offset counts from the value.
pub fn metadata(body: &[u8]) -> Result<Value, Error> {
    let rest = body.get(set_data_frame_end(body)..).unwrap_or_default();
    let Some((ON_META_DATA, end)) = name(rest) else {
        return Err(Error::NotMetadata);
    };
    let value = amf0::Decoder::new(rest.get(end..).unwrap_or_default()).next()?;
    Ok(value.unwrap_or(Value::Null))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(names: &[&str], value: Option<Value>) -> Bytes {
        let mut out = Vec::new();
        for name in names {
            amf0::write_string(name, &mut out);
        }
        if let Some(value) = value {
            amf0::encode(&value, &mut out);
        }
        out.into()
    }

    #[test]
    fn metadata_is_found_behind_set_data_frame() {
        let value = Value::EcmaArray(vec![("width".into(), 1280.0.into())]);
        let plain = body(&["onMetaData"], Some(value.clone()));
        let wrapped = body(&["@setDataFrame", "onMetaData"], Some(value.clone()));
        assert_eq!(metadata(&plain), Ok(value.clone()));
        assert_eq!(metadata(&wrapped), Ok(value));
        assert_eq!(strip_set_data_frame(wrapped), plain);
        assert_eq!(strip_set_data_frame(plain.clone()), plain);
    }

    #[test]
    fn other_script_data_is_no_metadata() {
        assert_eq!(
            metadata(&body(&["onCuePoint"], None)),
            Err(Error::NotMetadata)
        );
        assert_eq!(
            metadata(&body(&["@setDataFrame"], None)),
            Err(Error::NotMetadata)
        );
        assert_eq!(metadata(&[]), Err(Error::NotMetadata));
        assert_eq!(
            metadata(&[STRING, 0xff, 0xff, b'o']),
            Err(Error::NotMetadata)
        );
        assert_eq!(metadata(&body(&["onMetaData"], None)), Ok(Value::Null));
        assert_eq!(strip_set_data_frame(Bytes::new()), Bytes::new());
    }
}
