//! Tag bodies for media that did not come as FLV.
//!
//! Owns: [`Body`], the FLV header of a payload and the frame made of both, in one allocation. The header is the legacy
//! one where every reader knows the codec by it (H.264, AAC, MP3, on track 0), else that of enhanced RTMP. Does not:
//! make payloads.

use bytes::Bytes;
use weir_media::{AudioCodec, Codec, Frame, Media, Role, Timestamp, TrackId, VideoCodec};

use super::Error;
use super::header::{AudioPacket, AudioTagHeader, FrameType, Layout, VideoPacket, VideoTagHeader};

/// Room for the longest header that is written here, in bytes: multitrack with a composition time.
const MAX_HEADER_BYTES: usize = 16;

/// A tag body under construction: its header is there, its payload is appended.
///
/// ```
/// use weir_container::flv::body::Body;
/// use weir_media::{AudioCodec, Role, Timestamp};
///
/// let mut body = Body::audio(0, AudioCodec::Aac, Role::Config, Timestamp::ZERO, 2)?;
/// body.payload().extend_from_slice(&[0x12, 0x10]);
/// let frame = body.finish();
/// assert_eq!(&frame.packet[..], [0xaf, 0, 0x12, 0x10]);
/// # Ok::<(), weir_container::flv::Error>(())
/// ```
#[derive(Debug)]
pub struct Body {
    bytes: Vec<u8>,
    payload_at: usize,
    track: TrackId,
    codec: Codec,
    role: Role,
    dts: Timestamp,
    composition: Timestamp,
}

impl Body {
    /// Begins a body of video on track number `track`; `capacity` is the expected size of its payload in bytes.
    ///
    /// [`Role::Config`] makes a sequence header, [`Role::Key`] and [`Role::Delta`] a picture, every other role the end of
    /// a sequence. The header's composition time, in milliseconds, is such that the presentation time rounds down to the
    /// same millisecond as the exact one. Fails with [`Error::Unwritable`] for a codec without a FourCC.
    pub fn video(
        track: u8,
        codec: VideoCodec,
        role: Role,
        (dts, composition): (Timestamp, Timestamp),
        capacity: usize,
    ) -> Result<Self, Error> {
        let legacy = codec == VideoCodec::H264;
        let packet = match role {
            Role::Config => VideoPacket::SequenceStart,
            Role::Key | Role::Delta => VideoPacket::CodedFrames,
            Role::Metadata | Role::Other => VideoPacket::SequenceEnd,
        };
        let is_inter = role == Role::Delta;
        let millis = (dts + composition).millis().saturating_sub(dts.millis());
        let header = VideoTagHeader {
            layout: layout(track, legacy),
            frame_type: if is_inter {
                FrameType::Inter
            } else {
                FrameType::Key
            },
            codec,
            packet,
            composition_millis: millis.clamp(-0x80_0000, 0x7f_ffff) as i32,
            nanos: 0,
        };
        let mut bytes = Vec::with_capacity(capacity.saturating_add(MAX_HEADER_BYTES));
        header.write(&mut bytes)?;
        let media = Media::Video;
        Ok(Self {
            payload_at: bytes.len(),
            bytes,
            track: TrackId {
                media,
                index: track,
            },
            codec: Codec::Video(codec),
            role,
            dts,
            composition,
        })
    }

    /// Begins a body of audio on track number `track`; `capacity` is the expected size of its payload in bytes.
    ///
    /// [`Role::Config`] makes a sequence header, [`Role::Delta`] sound, every other role the end of a sequence. Fails with
    /// [`Error::Unwritable`] for a codec without a FourCC, and for what legacy headers cannot say: configurations of MP3,
    /// ends of AAC or MP3.
    pub fn audio(
        track: u8,
        codec: AudioCodec,
        role: Role,
        dts: Timestamp,
        capacity: usize,
    ) -> Result<Self, Error> {
        let legacy = matches!(codec, AudioCodec::Aac | AudioCodec::Mp3);
        let header = AudioTagHeader {
            layout: layout(track, legacy),
            codec,
            packet: match role {
                Role::Config => AudioPacket::SequenceStart,
                Role::Delta | Role::Key => AudioPacket::CodedFrames,
                Role::Metadata | Role::Other => AudioPacket::SequenceEnd,
            },
            sound: AudioTagHeader::AAC_SOUND,
            nanos: 0,
        };
        let mut bytes = Vec::with_capacity(capacity.saturating_add(MAX_HEADER_BYTES));
        header.write(&mut bytes)?;
        let media = Media::Audio;
        Ok(Self {
            payload_at: bytes.len(),
            bytes,
            track: TrackId {
                media,
                index: track,
            },
            codec: Codec::Audio(codec),
            role,
            dts,
            composition: Timestamp::ZERO,
        })
    }

    /// Where the payload is appended. What stands in it already must stay.
    pub fn payload(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The frame.
    pub fn finish(mut self) -> Frame {
        self.tell_mp3_sound();
        Frame {
            track: self.track,
            codec: self.codec,
            role: self.role,
            dts: self.dts,
            composition: self.composition,
            packet: Bytes::from(self.bytes),
            payload_at: self.payload_at as u32,
        }
    }

    /// `SoundRate` and `SoundType` of a legacy header of MP3 (E.4.2.1), from the frame itself. 48 and 32 kHz have no
    /// value of their own; readers take the rate from the frame.
    fn tell_mp3_sound(&mut self) {
        if self.codec != Codec::Audio(AudioCodec::Mp3) || self.payload_at != 1 {
            return;
        }
        let payload = self.bytes.get(self.payload_at..).unwrap_or_default();
        let Ok(info) = weir_codec::describe_frame(self.codec, payload) else {
            return;
        };
        let Some(audio) = info.audio else { return };
        let rate = match audio.sample_rate {
            0..=8_000 => 0,
            8_001..=16_000 => 1,
            16_001..=24_000 => 2,
            _ => 3u8,
        };
        if let Some(first) = self.bytes.first_mut() {
            *first = *first & 0xf0 | rate << 2 | 2 | u8::from(audio.channels > 1);
        }
    }
}

/// A whole frame of video: see [`Body::video`]. `parts` are the payload in order.
pub fn video(
    track: u8,
    codec: VideoCodec,
    role: Role,
    times: (Timestamp, Timestamp),
    parts: &[&[u8]],
) -> Result<Frame, Error> {
    let mut body = Body::video(track, codec, role, times, total(parts))?;
    parts.iter().for_each(|part| body.payload().extend(*part));
    Ok(body.finish())
}

/// A whole frame of audio: see [`Body::audio`]. `parts` are the payload in order.
pub fn audio(
    track: u8,
    codec: AudioCodec,
    role: Role,
    dts: Timestamp,
    parts: &[&[u8]],
) -> Result<Frame, Error> {
    let mut body = Body::audio(track, codec, role, dts, total(parts))?;
    parts.iter().for_each(|part| body.payload().extend(*part));
    Ok(body.finish())
}

fn total(parts: &[&[u8]]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

/// The layout of track number `track`: legacy headers have no numbers.
fn layout(track: u8, legacy: bool) -> Layout {
    match (track, legacy) {
        (0, true) => Layout::Legacy,
        (0, false) => Layout::Enhanced,
        _ => Layout::OneTrack { track },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flv::{TagKind, frame};
    use proptest::prelude::*;

    const VIDEO: [VideoCodec; 4] = [
        VideoCodec::H264,
        VideoCodec::H265,
        VideoCodec::Av1,
        VideoCodec::Vp9,
    ];
    const AUDIO: [AudioCodec; 6] = [
        AudioCodec::Aac,
        AudioCodec::Mp3,
        AudioCodec::Opus,
        AudioCodec::Flac,
        AudioCodec::Ac3,
        AudioCodec::Eac3,
    ];

    /// What reading the body gives, at the same time.
    fn read(made: &Frame) -> Frame {
        let kind = TagKind::from(made.track.media);
        frame(kind, made.dts, made.packet.clone()).expect("what was made can be read")
    }

    #[test]
    fn headers_are_those_that_encoders_write() {
        let at = (Timestamp::ZERO, Timestamp::from_millis(80));
        let key = video(0, VideoCodec::H264, Role::Key, at, &[b"ab", b"c"]).unwrap();
        assert_eq!(&key.packet[..], b"\x17\x01\0\0\x50abc");
        let at = (Timestamp::ZERO, Timestamp::ZERO);
        let head = video(0, VideoCodec::H265, Role::Config, at, &[b"x"]).unwrap();
        assert_eq!(&head.packet[..], b"\x90hvc1x");
        let second = audio(1, AudioCodec::Aac, Role::Delta, Timestamp::ZERO, &[b"x"]);
        assert_eq!(&second.unwrap().packet[..], b"\x95\x01mp4a\x01x");
    }

    #[test]
    fn the_sound_of_mp3_is_told() {
        for (head, first) in [
            ([0xff, 0xfb, 0x90, 0x64], 0x2f),
            ([0xff, 0xf3, 0x40, 0xc4], 0x2a),
            ([0xff, 0xe3, 0x40, 0x64], 0x27),
            ([0, 0, 0, 0], 0x2f),
        ] {
            let made = audio(0, AudioCodec::Mp3, Role::Delta, Timestamp::ZERO, &[&head]);
            assert_eq!(made.unwrap().packet[0], first, "{head:?}");
        }
    }

    #[test]
    fn what_has_no_header_is_refused() {
        let time = Timestamp::ZERO;
        let config = audio(0, AudioCodec::Mp3, Role::Config, time, &[]);
        assert_eq!(config, Err(Error::Unwritable));
        let codec = VideoCodec::Legacy(2);
        let picture = video(0, codec, Role::Key, (time, time), &[]);
        assert_eq!(picture, Err(Error::Unwritable));
    }

    proptest! {
        #[test]
        fn the_frame_is_what_reading_its_body_gives(
            which in 0usize..4,
            sound in 0usize..6,
            track in 0u8..3,
            role in 0usize..3,
            (dts, composition) in (-1i64 << 40..1 << 40, -4000i64 * 900..4000 * 900),
            payload in proptest::collection::vec(any::<u8>(), 1..50),
        ) {
            let role = [Role::Config, Role::Key, Role::Delta][role];
            let codec = VIDEO[which];
            let times = (Timestamp::from_ticks(dts), Timestamp::from_ticks(composition));
            let made = video(track, codec, role, times, &[&payload]).unwrap();
            let again = read(&made);
            let has_composition = role != Role::Config && matches!(codec, VideoCodec::H264 | VideoCodec::H265);
            if has_composition {
                let shown = |frame: &Frame| frame.dts.millis() + frame.composition.millis();
                let exact = (made.dts + made.composition).millis();
                prop_assert_eq!(shown(&again), exact);
            }
            prop_assert_eq!(&Frame { composition: made.composition, ..again }, &made);
            prop_assert_eq!(&made.payload()[..], &payload[..]);

            let codec = AUDIO[sound];
            let role = if role == Role::Config && codec != AudioCodec::Mp3 { role } else { Role::Delta };
            let made = audio(track, codec, role, times.0, &[&payload]).unwrap();
            prop_assert_eq!(read(&made), made);
        }
    }
}
