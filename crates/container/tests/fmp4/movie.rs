//! Fragmented MP4 made of a published stream, as a packager makes it.
//!
//! Owns: the tracks of an FLV file with their sample tables, and the files made of them. Does not: judge them.

use std::path::Path;

use weir_codec::{describe, describe_frame, samples};
use weir_container::flv::{self, Reader};
use weir_container::fmp4::{Run, Sample, Track, write_fragment_head, write_init};
use weir_media::{Codec, Frame, Media, Role, Timestamp, TrackInfo};

/// Ticks a second of pictures.
const VIDEO_TIMESCALE: u32 = 90_000;

/// Audio frames of one fragment of a file without pictures.
const AUDIO_FRAMES: usize = 40;

/// A track, all of its samples, and where its fragments begin.
pub(crate) struct Source {
    pub(crate) id: u32,
    pub(crate) timescale: u32,
    pub(crate) info: TrackInfo,
    pub(crate) config: Vec<u8>,
    /// Decode times, one for each sample, as the fragments say them.
    pub(crate) times: Vec<u64>,
    /// Presentation times as the publisher said them, in milliseconds. Sound is published in whole milliseconds, and
    /// counted in samples from its first frame on.
    pub(crate) published: Vec<i64>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) payloads: Vec<Vec<u8>>,
}

impl Source {
    pub(crate) fn is_video(&self) -> bool {
        self.info.video.is_some()
    }

    /// Presentation times as the tables say them, in ticks.
    pub(crate) fn presented(&self) -> Vec<i64> {
        let rows = self.times.iter().zip(&self.samples);
        rows.map(|(time, sample)| *time as i64 + i64::from(sample.composition))
            .collect()
    }

    fn track(&self) -> Track<'_> {
        Track {
            id: self.id,
            timescale: self.timescale,
            codec: self.info.codec,
            config: &self.config,
            frame: &self.payloads[0],
            info: &self.info,
        }
    }

    fn run(&self, from: usize, to: usize) -> Run<'_> {
        Run {
            track: self.id,
            is_video: self.is_video(),
            base_time: self.times[from],
            samples: &self.samples[from..to],
        }
    }

    /// Where fragments begin: at key frames, or every so many frames of sound.
    pub(crate) fn cuts(&self) -> Vec<usize> {
        let begins = |at: &usize| match self.is_video() {
            true => self.samples[*at].is_sync,
            false => at.is_multiple_of(AUDIO_FRAMES),
        };
        (0..self.samples.len()).filter(begins).collect()
    }
}

/// The frames of an FLV file.
fn frames(file: &Path) -> Vec<Frame> {
    let file = std::fs::read(file).expect("the file is there");
    let mut input = &file[..];
    let mut reader = Reader::new(1 << 20);
    let mut frames = Vec::new();
    while let Some(tag) = reader.read(&mut input).expect("FLV") {
        let dts = Timestamp::from_millis(i64::from(tag.timestamp));
        frames.push(flv::frame(tag.kind, dts, tag.body).expect("a sound tag"));
    }
    frames
}

/// How times of pictures are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Decode times moved by the reorder delay and offsets of either sign, so that the first picture of a fragment is
    /// presented at its decode time, as CMAF wants it.
    Signed,
    /// Decode times as published, and no offset below zero.
    Plain,
}

/// The tracks of an FLV file, pictures first.
pub(crate) fn sources(file: &Path, form: Form) -> Vec<Source> {
    let frames = frames(file);
    let of = |media| {
        let frames: Vec<_> = frames
            .iter()
            .filter(|frame| frame.track.media == media)
            .collect();
        (!frames.is_empty()).then(|| source(&frames, form))
    };
    [of(Media::Video), of(Media::Audio)]
        .into_iter()
        .flatten()
        .collect()
}

fn source(frames: &[&Frame], form: Form) -> Source {
    let config = frames.iter().find(|frame| frame.role == Role::Config);
    let config = config
        .map(|frame| frame.payload().to_vec())
        .unwrap_or_default();
    let is_media = |frame: &&&Frame| matches!(frame.role, Role::Key | Role::Delta);
    let media: Vec<_> = frames.iter().filter(is_media).copied().collect();
    let payloads: Vec<_> = media.iter().map(|frame| frame.payload().to_vec()).collect();
    let codec = media[0].codec;
    let described = describe_frame(codec, &payloads[0]);
    let described = described.or_else(|_| describe(codec, &config));
    let info = describe(codec, &config)
        .or(described)
        .expect("a known track");
    let published = media
        .iter()
        .map(|frame| (frame.dts + frame.composition).millis())
        .collect();
    let (timescale, times, samples) = match codec {
        Codec::Audio(codec) => {
            let rate = info.audio.as_ref().expect("sound").sample_rate;
            let (times, samples) = sound(codec, rate, &config, &media, &payloads);
            (rate, times, samples)
        }
        _ => {
            let (times, samples) = pictures(&media, &payloads, form);
            (VIDEO_TIMESCALE, times, samples)
        }
    };
    Source {
        id: if info.video.is_some() { 1 } else { 2 },
        timescale,
        info,
        config,
        times,
        published,
        samples,
        payloads,
    }
}

fn sound(
    codec: weir_media::AudioCodec,
    rate: u32,
    config: &[u8],
    media: &[&Frame],
    payloads: &[Vec<u8>],
) -> (Vec<u64>, Vec<Sample>) {
    let mut time = media[0].dts.millis() as u64 * u64::from(rate) / 1000;
    let rows = payloads.iter().map(|payload| {
        let duration = samples(codec, config, payload).expect("a sound frame");
        let sample = Sample {
            duration,
            size: payload.len() as u32,
            composition: 0,
            is_sync: true,
        };
        let at = time;
        time += u64::from(duration);
        (at, sample)
    });
    rows.unzip()
}

/// What decode times are moved by, offsets are moved against, so that presentation times stay.
fn pictures(media: &[&Frame], payloads: &[Vec<u8>], form: Form) -> (Vec<u64>, Vec<Sample>) {
    let ticks = |time: Timestamp| time.millis() * i64::from(VIDEO_TIMESCALE) / 1000;
    let delay = match form {
        Form::Signed => ticks(media[0].composition),
        Form::Plain => 0,
    };
    let times: Vec<i64> = media.iter().map(|frame| ticks(frame.dts) + delay).collect();
    let rows = media
        .iter()
        .zip(payloads)
        .enumerate()
        .map(|(at, (frame, payload))| {
            let next = times.get(at + 1).copied();
            let duration = next.map_or_else(|| times[at] - times[at - 1], |next| next - times[at]);
            Sample {
                duration: duration as u32,
                size: payload.len() as u32,
                composition: (ticks(frame.composition) - delay) as i32,
                is_sync: frame.role == Role::Key,
            }
        });
    let samples = rows.collect();
    (times.into_iter().map(|time| time as u64).collect(), samples)
}

/// A file of one track, cut at its key frames.
pub(crate) fn single(source: &Source) -> Vec<u8> {
    let mut out = init(&[source]);
    let cuts = source.cuts();
    for (index, from) in cuts.iter().enumerate() {
        let to = cuts.get(index + 1).copied().unwrap_or(source.samples.len());
        write_fragment_head(index as u32 + 1, &[source.run(*from, to)], &mut out);
        source.payloads[*from..to]
            .iter()
            .for_each(|payload| out.extend_from_slice(payload));
    }
    out
}

/// A file of two tracks with two runs in each fragment, cut at the key frames of the first.
pub(crate) fn muxed(video: &Source, audio: &Source) -> Vec<u8> {
    let mut out = init(&[video, audio]);
    let cuts = video.cuts();
    let mut audio_from = 0;
    for (index, from) in cuts.iter().enumerate() {
        let to = cuts.get(index + 1).copied().unwrap_or(video.samples.len());
        let audio_to = match cuts.get(index + 1) {
            Some(next) => {
                let until = video.times[*next] * u64::from(audio.timescale);
                let is_before = |time: &u64| time * u64::from(video.timescale) < until;
                audio.times.partition_point(is_before)
            }
            None => audio.samples.len(),
        };
        let runs = [video.run(*from, to), audio.run(audio_from, audio_to)];
        write_fragment_head(index as u32 + 1, &runs, &mut out);
        let pictures = video.payloads[*from..to].iter();
        let sound = audio.payloads[audio_from..audio_to].iter();
        pictures
            .chain(sound)
            .for_each(|payload| out.extend_from_slice(payload));
        audio_from = audio_to;
    }
    out
}

fn init(sources: &[&Source]) -> Vec<u8> {
    let tracks: Vec<_> = sources.iter().map(|source| source.track()).collect();
    let mut out = Vec::new();
    write_init(&tracks, &mut out).expect("an init segment");
    out
}
