//! The GOP cache: the frames from the last entry point to now.
//!
//! Owns: the frames, what counts as an entry point, and the bounds in bytes and time. Does not: hold sequence headers
//! ([`crate::Setup`] does) or ready bytes (the logs do).

use std::collections::VecDeque;
use std::time::Duration;

use weir_media::{Frame, Media, Role, Timestamp};

use crate::settings::Settings;

/// Streams without key frames can be entered anywhere; they are cached from such an entry on, made this often.
///
/// A second of sound fills a player's first buffer; more would only add delay.
const ENTRY_EVERY: Timestamp = Timestamp::from_millis(1_000);

/// After this long without a picture a stream counts as audio only, so that viewers can enter again.
const VIDEO_GONE: Timestamp = Timestamp::from_millis(10_000);

/// What one frame adds to the cache beside its bytes: the frame itself and its allocation.
const FRAME_OVERHEAD: usize = size_of::<Frame>() + 32;

#[derive(Debug, Default)]
pub(crate) struct Gop {
    frames: VecDeque<Frame>,
    bytes: usize,
    started: bool,
    last_entry: Option<Timestamp>,
    last_video: Option<Timestamp>,
}

impl Gop {
    /// True when a decoder can begin with this frame. A stream that is `keyless` can be entered at any picture: it
    /// refreshes in another way (intra refresh).
    pub(crate) fn is_entry(&mut self, frame: &Frame, keyless: bool) -> bool {
        let entry = match (frame.track.media, frame.role) {
            (Media::Video, Role::Key) => true,
            (Media::Video, Role::Delta) => keyless && self.is_due(frame.dts),
            (Media::Audio, Role::Delta | Role::Key) => {
                let has_video = self
                    .last_video
                    .is_some_and(|last| frame.dts - last < VIDEO_GONE);
                !has_video && self.is_due(frame.dts)
            }
            _ => false,
        };
        if frame.track.media == Media::Video && matches!(frame.role, Role::Key | Role::Delta) {
            self.last_video = Some(frame.dts);
        }
        if entry {
            self.last_entry = Some(frame.dts);
        }
        entry
    }

    /// True when the last entry point is long enough ago for another one that needs no key frame.
    fn is_due(&self, now: Timestamp) -> bool {
        self.last_entry.is_none_or(|last| now - last >= ENTRY_EVERY)
    }

    /// Takes in a frame; `entry` is what [`Gop::is_entry`] said of it.
    pub(crate) fn push(&mut self, frame: &Frame, entry: bool, settings: &Settings) {
        if entry {
            self.clear();
            self.started = settings.gop_cache;
        }
        // sequence headers and metadata have a place of their own
        if !self.started || !matches!(frame.role, Role::Key | Role::Delta | Role::Other) {
            return;
        }
        self.bytes += frame.packet.len() + FRAME_OVERHEAD;
        self.frames.push_back(frame.clone());
        if self.bytes > settings.gop_max_bytes || self.duration() > settings.gop_max_duration {
            self.clear();
        }
    }

    /// Forgets everything until the next entry point.
    pub(crate) fn clear(&mut self) {
        self.frames.clear();
        self.bytes = 0;
        self.started = false;
    }

    /// The frames, oldest first; the first is an entry point.
    pub(crate) fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.frames.iter()
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Media time from the first frame to the last.
    pub(crate) fn duration(&self) -> Duration {
        match (self.frames.front(), self.frames.back()) {
            (Some(first), Some(last)) => last.dts.since(first.dts),
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use weir_media::{AudioCodec, Codec, TrackId, VideoCodec};

    fn frame(track: TrackId, role: Role, millis: i64) -> Frame {
        let codec = match track.media {
            Media::Video => Codec::Video(VideoCodec::H264),
            Media::Audio => Codec::Audio(AudioCodec::Aac),
            Media::Data => Codec::Script,
        };
        Frame {
            track,
            codec,
            role,
            dts: Timestamp::from_millis(millis),
            composition: Timestamp::ZERO,
            packet: Bytes::from_static(&[0; 100]),
            payload_at: 5,
        }
    }

    fn push(gop: &mut Gop, frame: &Frame, settings: &Settings) -> bool {
        let entry = gop.is_entry(frame, false);
        gop.push(frame, entry, settings);
        entry
    }

    #[test]
    fn begins_at_the_last_key_frame() {
        let (mut gop, settings) = (Gop::default(), Settings::default());
        assert!(!push(
            &mut gop,
            &frame(TrackId::VIDEO, Role::Delta, 0),
            &settings
        ));
        assert_eq!(gop.frames().count(), 0);
        assert!(push(
            &mut gop,
            &frame(TrackId::VIDEO, Role::Key, 40),
            &settings
        ));
        push(&mut gop, &frame(TrackId::AUDIO, Role::Delta, 41), &settings);
        push(&mut gop, &frame(TrackId::VIDEO, Role::Delta, 80), &settings);
        assert_eq!(gop.frames().count(), 3);
        assert!(push(
            &mut gop,
            &frame(TrackId::VIDEO, Role::Key, 120),
            &settings
        ));
        assert_eq!(gop.frames().count(), 1);
    }

    #[test]
    fn audio_alone_stays_small() {
        let (mut gop, settings) = (Gop::default(), Settings::default());
        for millis in (0..3_600_000).step_by(23) {
            push(
                &mut gop,
                &frame(TrackId::AUDIO, Role::Delta, millis),
                &settings,
            );
            assert!(gop.frames().count() <= 45);
        }
    }

    #[test]
    fn audio_whose_video_stopped_can_be_entered_again() {
        let (mut gop, settings) = (Gop::default(), Settings::default());
        push(&mut gop, &frame(TrackId::VIDEO, Role::Key, 0), &settings);
        let entries: Vec<_> = (0..30_000)
            .step_by(100)
            .filter(|millis| {
                push(
                    &mut gop,
                    &frame(TrackId::AUDIO, Role::Delta, *millis),
                    &settings,
                )
            })
            .collect();
        assert_eq!(entries.first(), Some(&10_000));
        assert_eq!(entries.len(), 20);
    }

    #[test]
    fn both_bounds_and_the_switch_hold() {
        let settings = Settings {
            gop_max_bytes: 5_000,
            ..Settings::default()
        };
        let mut gop = Gop::default();
        push(&mut gop, &frame(TrackId::VIDEO, Role::Key, 0), &settings);
        for millis in 1..1_000 {
            push(
                &mut gop,
                &frame(TrackId::VIDEO, Role::Delta, millis),
                &settings,
            );
            assert!(gop.bytes() <= 5_000);
        }
        assert_eq!(gop.bytes(), 0);

        let settings = Settings {
            gop_max_duration: Duration::from_secs(1),
            ..Settings::default()
        };
        push(
            &mut gop,
            &frame(TrackId::VIDEO, Role::Key, 2_000),
            &settings,
        );
        push(
            &mut gop,
            &frame(TrackId::VIDEO, Role::Delta, 3_001),
            &settings,
        );
        assert_eq!(gop.bytes(), 0);

        let settings = Settings {
            gop_cache: false,
            ..Settings::default()
        };
        assert!(push(
            &mut gop,
            &frame(TrackId::VIDEO, Role::Key, 4_000),
            &settings
        ));
        assert_eq!(gop.bytes(), 0);
    }
}
