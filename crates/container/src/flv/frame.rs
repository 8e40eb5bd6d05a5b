//! From a tag body to a frame of the media model.
//!
//! Owns: what each packet is for ([`Role`]) and where its payload begins. Copies nothing: the frame
//! shares the body. Does not: look into payloads, unwrap timestamps.

use bytes::Bytes;
use weir_media::{AudioCodec, Codec, Frame, Media, Role, Timestamp, TrackId, VideoCodec};

use super::header::{
    AudioPacket, AudioTagHeader, FrameType, NO_FOURCC, VideoPacket, VideoTagHeader,
};
use super::{Error, TagKind, script};

/// Makes a frame of a tag body or an RTMP message. `dts` is the tag's time, unwrapped.
///
/// - A body of no bytes is lawful: enhanced RTMP v2 calls it the silence message for audio, and
///   video is read alike. It becomes [`Role::Other`] with the codec [`NO_FOURCC`] on track 0.
/// - Coded frames without a byte of payload are [`Role::Other`] too: a decoder cannot begin there.
///   So are configurations without payload, except for the codecs that need none (VP8, VP9, MP3,
///   AC-3, Opus, and unknown ones).
/// - A body with many tracks becomes one frame for its first track; outputs that pass `packet` on
///   lose nothing, the others see the first track's payload and what follows it.
/// - Offsets in nanoseconds shift the presentation: `composition` of video, `dts` of audio, which
///   has no other. They are under a millisecond, so times on the wire stay as they were.
/// - The payload of `@setDataFrame` begins at the string after it.
///
/// Fails when the body ends inside its header and on multitrack that enhanced RTMP v2 does not
/// define; script data never fails, for what is no metadata is [`Role::Other`].
pub fn frame(kind: TagKind, dts: Timestamp, body: Bytes) -> Result<Frame, Error> {
    match kind {
        TagKind::Audio => audio(dts, body),
        TagKind::Video => video(dts, body),
        TagKind::Script => Ok(script_data(dts, body)),
    }
}

fn audio(dts: Timestamp, body: Bytes) -> Result<Frame, Error> {
    if body.is_empty() {
        let codec = Codec::Audio(AudioCodec::Unknown(NO_FOURCC));
        return Ok(empty(TrackId::AUDIO, codec, dts, body));
    }
    let (header, at) = AudioTagHeader::parse(&body)?;
    let has_payload = body.len() > at;
    let role = match header.packet {
        AudioPacket::SequenceStart if has_payload || !needs_audio_config(header.codec) => {
            Role::Config
        }
        AudioPacket::CodedFrames if has_payload => Role::Delta,
        _ => Role::Other,
    };
    Ok(Frame {
        track: TrackId {
            media: Media::Audio,
            index: header.layout.track(),
        },
        codec: Codec::Audio(header.codec),
        role,
        dts: dts + nanos(header.nanos),
        composition: Timestamp::ZERO,
        packet: body,
        payload_at: at as u32,
    })
}

fn video(dts: Timestamp, body: Bytes) -> Result<Frame, Error> {
    if body.is_empty() {
        let codec = Codec::Video(VideoCodec::Unknown(NO_FOURCC));
        return Ok(empty(TrackId::VIDEO, codec, dts, body));
    }
    let (header, at) = VideoTagHeader::parse(&body)?;
    let has_payload = body.len() > at;
    let role = match header.packet {
        VideoPacket::SequenceStart | VideoPacket::Mpeg2TsSequenceStart
            if has_payload || !needs_video_config(header.codec) =>
        {
            Role::Config
        }
        VideoPacket::CodedFrames | VideoPacket::CodedFramesX if has_payload => {
            match header.frame_type {
                FrameType::Key | FrameType::GeneratedKey => Role::Key,
                FrameType::Inter | FrameType::Disposable => Role::Delta,
                FrameType::Command | FrameType::Reserved(_) => Role::Other,
            }
        }
        _ => Role::Other,
    };
    let composition = Timestamp::from_millis(i64::from(header.composition_millis));
    Ok(Frame {
        track: TrackId {
            media: Media::Video,
            index: header.layout.track(),
        },
        codec: Codec::Video(header.codec),
        role,
        dts,
        composition: composition + nanos(header.nanos),
        packet: body,
        payload_at: at as u32,
    })
}

fn script_data(dts: Timestamp, body: Bytes) -> Frame {
    let at = script::set_data_frame_end(&body);
    let is_metadata = script::name(body.get(at..).unwrap_or_default())
        .is_some_and(|(name, _)| name == script::ON_META_DATA);
    Frame {
        track: TrackId::DATA,
        codec: Codec::Script,
        role: if is_metadata {
            Role::Metadata
        } else {
            Role::Other
        },
        dts,
        composition: Timestamp::ZERO,
        packet: body,
        payload_at: at as u32,
    }
}

fn empty(track: TrackId, codec: Codec, dts: Timestamp, packet: Bytes) -> Frame {
    let composition = Timestamp::ZERO;
    Frame {
        track,
        codec,
        role: Role::Other,
        dts,
        composition,
        packet,
        payload_at: 0,
    }
}

/// Nanoseconds as ticks of 1/900,000 s, rounded down so that no millisecond is passed.
fn nanos(nanos: u32) -> Timestamp {
    Timestamp::from_ticks(i64::from(nanos) * 9 / 10_000)
}

fn needs_audio_config(codec: AudioCodec) -> bool {
    matches!(codec, AudioCodec::Aac | AudioCodec::Flac)
}

fn needs_video_config(codec: VideoCodec) -> bool {
    matches!(
        codec,
        VideoCodec::H264 | VideoCodec::H265 | VideoCodec::H266 | VideoCodec::Av1
    )
}

#[cfg(test)]
mod tests;
