//! Segments as MPEG-TS.
//!
//! Owns: the muxer whose counters run on from segment to segment, so that segments in order are one stream. Does not:
//! make what nobody asks for: from the first request on, every segment is muxed once, in order.

use bytes::Bytes;
use weir_container::ts::{Muxer, Unit};
use weir_media::{Timestamp, TrackId};

use crate::part::{Part, Run};
use crate::period::Period;
use crate::store::{Segment, Store, TICKS};

/// What is muxed so far.
#[derive(Debug, Default)]
pub(crate) struct Transport {
    muxer: Muxer,
    /// The number of the segment that comes next.
    next: Option<u64>,
    /// The period whose tracks the muxer knows, by its first segment.
    period: Option<u64>,
}

impl Transport {
    /// A complete segment. All that come before it and are not muxed yet are muxed first.
    pub(crate) fn segment(&mut self, store: &mut Store, msn: u64) -> Option<Bytes> {
        if let Some(made) = store.get(msn).and_then(|segment| segment.ts.clone()) {
            return Some(made);
        }
        let first = store.segments().front()?.msn;
        let from = self.next.unwrap_or(first).max(first).min(msn);
        for number in from..=msn {
            let segment = store.get_mut(number)?;
            if !segment.complete || !segment.period.fits_ts() || segment.ts.is_some() {
                continue;
            }
            let made = self.mux(segment);
            let length = made.len();
            segment.ts = Some(made);
            store.grow(length);
        }
        self.next = Some(msn + 1);
        store.get(msn)?.ts.clone()
    }

    fn mux(&mut self, segment: &Segment) -> Bytes {
        let period = &segment.period;
        if self.period != Some(period.first) {
            self.period = Some(period.first);
            for (id, track) in [
                (TrackId::VIDEO, &period.video),
                (TrackId::AUDIO, &period.audio),
            ] {
                self.muxer.remove_track(id);
                if let Some(track) = track {
                    // a track that the muxer refuses is left out, as the others can be played without it
                    let _ = self.muxer.set_track(id, track.codec, &track.config);
                }
            }
        }
        let media: usize = segment.parts.iter().map(|part| part.data.len()).sum();
        let mut out = Vec::with_capacity(media + media / 8);
        self.muxer.write_tables(&mut out);
        for part in &segment.parts {
            self.part(part, period, &mut out);
        }
        out.shrink_to_fit();
        Bytes::from(out)
    }

    /// Frames of both tracks, in order of their decode times.
    fn part(&mut self, part: &Part, period: &Period, out: &mut Vec<u8>) {
        let middle = part.video.bytes.min(part.data.len());
        let (video, audio) = part.data.split_at(middle);
        let video_scale = period.video.as_ref().map_or(1, |track| track.timescale);
        let audio_scale = period.audio.as_ref().map_or(1, |track| track.timescale);
        let mut pictures = units(TrackId::VIDEO, &part.video, video, video_scale).peekable();
        let mut sounds = units(TrackId::AUDIO, &part.audio, audio, audio_scale).peekable();
        loop {
            let sound_first = match (pictures.peek(), sounds.peek()) {
                (Some(picture), Some(sound)) => sound.dts < picture.dts,
                (None, None) => return,
                (picture, _) => picture.is_none(),
            };
            let unit = if sound_first {
                sounds.next()
            } else {
                pictures.next()
            };
            if let Some(unit) = unit {
                // of a track that was left out
                let _ = self.muxer.write_frame(&unit, out);
            }
        }
    }
}

/// The frames of a run, with the times that the publisher gave them.
fn units<'a>(
    track: TrackId,
    run: &'a Run,
    mut data: &'a [u8],
    timescale: u32,
) -> impl Iterator<Item = Unit<'a>> {
    let ticks = move |units: i128| {
        let ticks = units * i128::from(TICKS) / i128::from(timescale.max(1));
        i64::try_from(ticks).unwrap_or(i64::MAX)
    };
    let mut at = run.base;
    run.samples.iter().map(move |sample| {
        let (payload, rest) = data.split_at(data.len().min(sample.size as usize));
        data = rest;
        let dts = ticks(i128::from(at));
        at += u64::from(sample.duration);
        Unit {
            track,
            dts: Timestamp::from_ticks(dts),
            composition: Timestamp::from_ticks(ticks(i128::from(sample.composition))),
            is_key: sample.is_sync,
            payload,
        }
    })
}
