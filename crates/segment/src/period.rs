//! Periods: stretches of segments whose tracks do not change.
//!
//! Owns: [`Period`] and [`Track`]: what players must know before the first segment, and the initialisation segments.
//! Does not: decide when one ends (`cut` does).

use bytes::Bytes;
use weir_codec::rfc6381;
use weir_container::{fmp4, ts};
use weir_media::{AudioCodec, Codec, Frame, Media, TrackInfo, VideoCodec};

use crate::file::View;

/// Timescale of pictures: that of MPEG-TS, in which FLV's milliseconds are whole.
pub(crate) const VIDEO_TIMESCALE: u32 = 90_000;

/// Timescale of sound whose rate is not known.
const AUDIO_TIMESCALE: u32 = 48_000;

/// The track numbers in fragmented MP4; the same in every view, so that views can share fragments.
const VIDEO_ID: u32 = 1;
const AUDIO_ID: u32 = 2;

/// A track of a period.
#[derive(Debug, Clone)]
pub(crate) struct Track {
    /// Its number in fragmented MP4.
    pub(crate) id: u32,
    pub(crate) codec: Codec,
    /// The codec's configuration as FLV has it; empty where there is none.
    pub(crate) config: Bytes,
    pub(crate) info: TrackInfo,
    /// Units of its times in a second.
    pub(crate) timescale: u32,
    /// The codec as `CODECS` names it (RFC 6381).
    pub(crate) name: String,
    /// A frame, for codecs that have no configuration.
    frame: Bytes,
}

/// A track that no segment can hold: its codec, or its configuration, is beyond us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unusable;

impl Track {
    /// The track that begins with `frame` and has `config`.
    pub(crate) fn new(frame: &Frame, config: &Bytes) -> Result<Self, Unusable> {
        let payload = frame.payload();
        let codec = frame.codec;
        if !fmp4::is_supported(codec) {
            return Err(Unusable);
        }
        let described = match config.is_empty() {
            true => weir_codec::describe_frame(codec, &payload),
            false => weir_codec::describe(codec, config),
        };
        let mut info = described.unwrap_or(TrackInfo {
            codec,
            video: None,
            audio: None,
        });
        // some configurations leave the size to the frames
        if info.video.as_ref().is_some_and(|video| video.width == 0)
            && let Ok(seen) = weir_codec::describe_frame(codec, &payload)
        {
            info.video = seen.video;
        }
        let rate = info.audio.as_ref().map_or(0, |audio| audio.sample_rate);
        let is_video = frame.track.media == Media::Video;
        let timescale = match (is_video, codec, rate) {
            (true, _, _) => VIDEO_TIMESCALE,
            // its clock is that of the decoder, whatever went into the encoder (RFC 7845, section 5.1)
            (false, Codec::Audio(AudioCodec::Opus), _) | (false, _, 0) => AUDIO_TIMESCALE,
            (false, _, rate) => rate,
        };
        let track = Self {
            id: if is_video { VIDEO_ID } else { AUDIO_ID },
            codec,
            config: config.clone(),
            info,
            timescale,
            name: rfc6381::string(codec, config).map_err(|_| Unusable)?,
            // where it is not needed it is not kept: it may be a large picture
            frame: match codec {
                Codec::Video(VideoCodec::H264 | VideoCodec::H265) => Bytes::new(),
                Codec::Audio(_) if !config.is_empty() => Bytes::new(),
                _ => payload,
            },
        };
        let mut probe = Vec::new();
        fmp4::write_init(&[track.entry()], &mut probe).map_err(|_| Unusable)?;
        Ok(track)
    }

    /// A frame that describes the track where its configuration does not; empty where it does.
    pub(crate) fn frame(&self) -> &Bytes {
        &self.frame
    }

    fn entry(&self) -> fmp4::Track<'_> {
        fmp4::Track {
            id: self.id,
            timescale: self.timescale,
            codec: self.codec,
            config: &self.config,
            frame: &self.frame,
            info: &self.info,
        }
    }
}

/// A stretch of segments whose tracks do not change.
#[derive(Debug)]
pub(crate) struct Period {
    /// The number of its first segment.
    pub(crate) first: u64,
    /// Its time on the channel's line, in ticks of 1/900,000 s: the decode time of its first frame.
    pub(crate) start: i64,
    /// By how much presentation follows decoding at key frames, in ticks. Fragments have the times of the publisher:
    /// offsets that are not negative, no edit list, and the first picture shown this long after its fragment's time.
    /// CMAF would rather have times moved and offsets of both signs; ffmpeg then shows all pictures late by as much.
    pub(crate) delay: i64,
    pub(crate) video: Option<Track>,
    pub(crate) audio: Option<Track>,
    inits: [Bytes; View::ALL.len()],
}

impl Period {
    pub(crate) fn new(
        first: u64,
        start: i64,
        delay: i64,
        video: Option<Track>,
        audio: Option<Track>,
    ) -> Self {
        let init = |view| {
            let tracks: Vec<_> = tracks_of(view, video.as_ref(), audio.as_ref())
                .map(Track::entry)
                .collect();
            let mut out = Vec::new();
            // each track was tried alone before
            match tracks.is_empty() || fmp4::write_init(&tracks, &mut out).is_err() {
                true => Bytes::new(),
                false => Bytes::from(out),
            }
        };
        let inits = View::ALL.map(init);
        Self {
            first,
            start,
            delay,
            video,
            audio,
            inits,
        }
    }

    /// The initialisation segment of a view; `None` where the view has no track.
    pub(crate) fn init(&self, view: View) -> Option<Bytes> {
        let init = self.inits.get(view.index())?;
        (!init.is_empty()).then(|| init.clone())
    }

    /// The tracks of a view.
    pub(crate) fn tracks(&self, view: View) -> impl Iterator<Item = &Track> {
        tracks_of(view, self.video.as_ref(), self.audio.as_ref())
    }

    /// Whether every track can go into MPEG-TS.
    pub(crate) fn fits_ts(&self) -> bool {
        self.tracks(View::Both)
            .all(|track| ts::is_supported(track.codec))
    }
}

fn tracks_of<'a>(
    view: View,
    video: Option<&'a Track>,
    audio: Option<&'a Track>,
) -> impl Iterator<Item = &'a Track> {
    let video = video.filter(|_| view != View::Audio);
    let audio = audio.filter(|_| view != View::Video);
    video.into_iter().chain(audio)
}
