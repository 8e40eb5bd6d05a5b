//! Media to be written: real frames of ffmpeg, from the FLV files of the golden tests, at times of their own.

use std::path::{Path, PathBuf};

use weir_container::flv::{self, Reader};
use weir_container::ts::{Counters, DELAY, Demuxer, Muxer, Unit};
use weir_media::{AudioCodec, Codec, Frame, Role, Timestamp, TrackId, VideoCodec};

/// The longest frame that is read.
pub(crate) const LIMIT: usize = 1 << 20;

/// One access unit that owns its payload.
#[derive(Debug, Clone)]
pub(crate) struct Owned {
    pub(crate) track: TrackId,
    pub(crate) codec: Codec,
    pub(crate) dts: Timestamp,
    pub(crate) composition: Timestamp,
    pub(crate) is_key: bool,
    pub(crate) payload: Vec<u8>,
}

impl Owned {
    pub(crate) fn unit(&self) -> Unit<'_> {
        Unit {
            track: self.track,
            dts: self.dts,
            composition: self.composition,
            is_key: self.is_key,
            payload: &self.payload,
        }
    }
}

/// Tracks and frames to be written.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) tracks: Vec<(TrackId, Codec, Vec<u8>)>,
    pub(crate) units: Vec<Owned>,
}

/// A frame as far as it must survive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Played {
    pub(crate) track: TrackId,
    pub(crate) dts: Timestamp,
    pub(crate) composition: Timestamp,
    pub(crate) codec: String,
    pub(crate) is_key: bool,
    pub(crate) payload: Vec<u8>,
}

impl Source {
    /// A muxer that knows the tracks.
    pub(crate) fn muxer(&self) -> Muxer {
        let mut muxer = Muxer::new();
        for (track, codec, config) in &self.tracks {
            muxer.set_track(*track, *codec, config).unwrap();
        }
        muxer
    }

    /// What must come out, by track.
    pub(crate) fn played(&self) -> Vec<Played> {
        let mut all: Vec<_> = self
            .units
            .iter()
            .map(|unit| Played {
                track: unit.track,
                codec: unit.codec.to_string(),
                dts: unit.dts + DELAY,
                composition: unit.composition,
                is_key: unit.is_key,
                payload: unit.payload.clone(),
            })
            .collect();
        all.sort_by_key(|it| it.track);
        all
    }
}

/// What was read, by track, configurations apart.
pub(crate) fn played(frames: &[Frame]) -> Vec<Played> {
    let mut all: Vec<_> = frames
        .iter()
        .filter(|frame| frame.role != Role::Config)
        .map(|frame| Played {
            track: frame.track,
            codec: frame.codec.to_string(),
            dts: frame.dts,
            composition: frame.composition,
            is_key: frame.role == Role::Key,
            payload: frame.payload().to_vec(),
        })
        .collect();
    all.sort_by_key(|it| it.track);
    all
}

/// The frames of a file of ffmpeg.
pub(crate) fn file(path: &Path) -> Vec<Frame> {
    let file = std::fs::read(path).unwrap();
    let mut input = &file[..];
    let mut reader = Reader::new(LIMIT);
    let mut frames = Vec::new();
    while let Some(tag) = reader.read(&mut input).unwrap() {
        let dts = Timestamp::from_millis(tag.timestamp.into());
        frames.push(flv::frame(tag.kind, dts, tag.body).unwrap());
    }
    frames
}

/// The frames of a file as a source, at their own times.
pub(crate) fn source_of(frames: &[Frame]) -> Source {
    let mut tracks: Vec<(TrackId, Codec, Vec<u8>)> = Vec::new();
    let mut units = Vec::new();
    let carried = frames
        .iter()
        .filter(|it| weir_container::ts::is_supported(it.codec));
    for frame in carried {
        let is_config = frame.role == Role::Config;
        if tracks.iter().all(|(track, ..)| *track != frame.track) {
            let config = if is_config {
                frame.payload().to_vec()
            } else {
                vec![]
            };
            tracks.push((frame.track, frame.codec, config));
        }
        if matches!(frame.role, Role::Key | Role::Delta) {
            units.push(Owned {
                track: frame.track,
                codec: frame.codec,
                dts: frame.dts,
                composition: frame.composition,
                is_key: frame.role == Role::Key,
                payload: frame.payload().to_vec(),
            });
        }
    }
    Source { tracks, units }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/ffmpeg")
}

/// A file of the golden tests.
pub(crate) fn data(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

/// What is in a file of the golden tests, at its own times.
pub(crate) fn golden(name: &str) -> Source {
    source_of(&file(&folder().join(name)))
}

/// Two seconds and a half: pictures of 25 a second with B-frames, every tenth a key frame, and sound. The frames of the
/// files are repeated as often as it takes.
pub(crate) fn source(video: VideoCodec, audio: AudioCodec) -> Source {
    let (pictures, sound) = (
        golden(match video {
            VideoCodec::H265 => "hevc.flv",
            _ => "h264_aac.flv",
        }),
        golden(match audio {
            AudioCodec::Mp3 => "mp3.flv",
            AudioCodec::Opus => "vp9_opus.flv",
            AudioCodec::Ac3 => "ac3.flv",
            _ => "h264_aac.flv",
        }),
    );
    let of = |source: &Source, track: TrackId| {
        let units = source.units.iter().filter(|unit| unit.track == track);
        units.cloned().collect::<Vec<_>>()
    };
    let tracks = [(&pictures, TrackId::VIDEO), (&sound, TrackId::AUDIO)];
    let tracks = tracks.map(|(source, id)| {
        let found = source.tracks.iter().find(|(track, ..)| *track == id);
        found.cloned().unwrap()
    });
    let video = of(&pictures, TrackId::VIDEO);
    let key = video.iter().find(|unit| unit.is_key).unwrap();
    let delta = video.iter().find(|unit| !unit.is_key).unwrap_or(key);
    let mut units = Vec::new();
    for at in 0..62 {
        let is_key = at % 10 == 0;
        let mut unit = if is_key { key.clone() } else { delta.clone() };
        // a picture of many packets now and then
        if at % 7 == 3 {
            let filling = vec![0x5a; 1500 + at * 11];
            let length = u32::try_from(filling.len() + 2).unwrap();
            unit.payload.extend(length.to_be_bytes());
            unit.payload
                .extend(if pictures.tracks[0].1 == Codec::Video(VideoCodec::H265) {
                    [0x02, 0x01]
                } else {
                    [0x41, 0x9a]
                });
            unit.payload.extend(filling);
        }
        unit.is_key = is_key || delta.is_key;
        unit.dts = Timestamp::from_millis(at as i64 * 40);
        unit.composition = Timestamp::from_millis([80, 120, 40, 0][at % 4]);
        units.push(unit);
    }
    let frames = of(&sound, TrackId::AUDIO);
    for (at, frame) in frames.iter().cycle().take(110).enumerate() {
        let mut unit = frame.clone();
        unit.dts = Timestamp::from_millis(at as i64 * 24);
        units.push(unit);
    }
    units.sort_by_key(|unit| unit.dts);
    Source {
        tracks: tracks.to_vec(),
        units,
    }
}

/// The source as an endless stream.
pub(crate) fn mux(source: &Source) -> Vec<u8> {
    let mut muxer = source.muxer();
    let mut out = Vec::new();
    for unit in &source.units {
        muxer.write_frame(&unit.unit(), &mut out).unwrap();
    }
    out
}

/// Everything that a stream says, to its end.
pub(crate) fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Frame>, Counters) {
    let mut demuxer = Demuxer::new(LIMIT);
    let mut frames = Vec::new();
    for piece in pieces {
        demuxer.push(piece);
        frames.extend(std::iter::from_fn(|| demuxer.pull()));
    }
    demuxer.flush();
    frames.extend(std::iter::from_fn(|| demuxer.pull()));
    (frames, demuxer.counters())
}
