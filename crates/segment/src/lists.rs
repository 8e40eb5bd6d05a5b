//! Playlists: what the store says, in the words of HLS.
//!
//! Owns: which facts of the store go into media and multivariant playlists. Does not: know the syntax (`weir-hls`
//! does), or when an answer is due (`channel` does).

use std::time::Duration;

use weir_hls::write::{
    AudioRendition, Hint, Key, Kind, MediaPlaylist, Multivariant, Part, RenditionReport, Segment,
    SegmentUris, Variant, Window,
};

use crate::file::{File, List, View};
use crate::period::Period;
use crate::settings::{Container, Keep, Renditions, Settings};
use crate::store::{self, Store, units_to_duration};

/// What heads add to each part of a view, and to each of its frames, in bytes, for the bit rates of variants.
const PART_HEAD_BYTES: usize = 120;
const FRAME_HEAD_BYTES: usize = 12;

/// Bit rates of MPEG-TS are higher by its packets' heads and their padding: an eighth, for small frames.
const TS_SHARE: u64 = 8;

/// Longest frame of sound in wide use: 1,536 samples at 44.1 kHz, of AC-3.
const SOUND_FRAME: Duration = Duration::from_millis(35);

/// The group of sound that has segments of its own.
const AUDIO_GROUP: &str = "audio";

/// Frame rates in use; what is measured in whole milliseconds is one of them if it is near.
const FRAME_RATES: [f64; 8] = [
    24_000.0 / 1001.0,
    24.0,
    25.0,
    30_000.0 / 1001.0,
    30.0,
    50.0,
    60_000.0 / 1001.0,
    60.0,
];

/// What all lists of a stream are made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) store: &'a Store,
    pub(crate) settings: &'a Settings,
    /// The stream's name as it stands in a URI.
    pub(crate) stem: &'a str,
    /// Longest segment there was or is to be.
    pub(crate) target: Duration,
    /// Longest part there was or is to be.
    pub(crate) part_target: Duration,
    /// Usual distance of pictures.
    pub(crate) interval: Duration,
    pub(crate) ended: bool,
}

impl<'a> Facts<'a> {
    /// The multivariant playlist of the newest period.
    pub(crate) fn multivariant(&self) -> String {
        let mut out = String::new();
        let Some(period) = self.store.segments().back().map(|last| &last.period) else {
            return out;
        };
        let uri = |list| {
            let mut uri = String::new();
            File::Playlist(list).write(self.stem, &mut uri);
            uri
        };
        let is_ts = self.settings.container == Container::Ts && period.fits_ts();
        let is_separate = self.settings.renditions == Renditions::Separate
            && !is_ts
            && period.video.is_some()
            && period.audio.is_some();
        let main = match (is_ts, is_separate) {
            (true, _) => List::Ts,
            (false, true) => List::Fmp4(View::Video),
            (false, false) => List::Fmp4(View::Both),
        };
        let (main_uri, audio_uri) = (uri(main), uri(List::Fmp4(View::Audio)));
        let mut renditions = Vec::new();
        if is_separate {
            renditions.push(AudioRendition {
                group: AUDIO_GROUP,
                name: "sound",
                language: None,
                channels: channels(period),
                is_default: true,
                uri: Some(&audio_uri),
            });
        }
        let codecs: Vec<&str> = period.tracks(View::Both).map(|t| t.name.as_str()).collect();
        let mut variants = vec![self.variant(period, &main_uri, View::Both, &codecs, is_ts)];
        if is_separate && let Some(variant) = variants.first_mut() {
            variant.audio = Some(AUDIO_GROUP);
        }
        let sound: Vec<&str> = period
            .tracks(View::Audio)
            .map(|t| t.name.as_str())
            .collect();
        if period.video.is_some() && period.audio.is_some() {
            variants.push(self.variant(period, &audio_uri, View::Audio, &sound, false));
        }
        let (from, _) = self.store.listed(self.settings);
        Multivariant {
            is_independent: self.is_independent(from),
            audio: &renditions,
            variants: &variants,
        }
        .write(&mut out);
        out
    }

    fn variant<'b>(
        &self,
        period: &Period,
        uri: &'b str,
        view: View,
        codecs: &'b [&'b str],
        is_ts: bool,
    ) -> Variant<'b> {
        let (mut peak, mut average) = self.bandwidth(view);
        if is_ts {
            peak += peak / TS_SHARE;
            average += average / TS_SHARE;
        }
        let video = period.video.as_ref().filter(|_| view != View::Audio);
        let info = video.and_then(|track| track.info.video.as_ref());
        Variant {
            uri,
            bandwidth: peak,
            average_bandwidth: Some(average),
            codecs,
            resolution: info
                .map(|info| (info.width, info.height))
                .filter(|size| size.0 > 0),
            frame_rate: info.and_then(|info| info.frame_rate.or_else(|| self.frame_rate())),
            audio: None,
        }
    }

    /// Pictures a second.
    pub(crate) fn frame_rate(&self) -> Option<f64> {
        if self.interval.is_zero() {
            return None;
        }
        let measured = 1.0 / self.interval.as_secs_f64();
        let known = FRAME_RATES.iter().min_by(|a, b| {
            let off = |rate: f64| (rate - measured).abs();
            off(**a).total_cmp(&off(**b))
        });
        let near = known.filter(|known| (**known - measured).abs() < *known * 0.005);
        Some(near.copied().unwrap_or(measured))
    }

    /// The highest and the mean bit rate of a view's complete segments.
    pub(crate) fn bandwidth(&self, view: View) -> (u64, u64) {
        let (mut peak, mut bits, mut seconds) = (0.0_f64, 0.0, 0.0);
        for segment in self.store.segments().iter().filter(|s| s.complete) {
            let frames = |part: &crate::part::Part| {
                let (video, audio) = (part.video.samples.len(), part.audio.samples.len());
                match view {
                    View::Both => video + audio,
                    View::Video => video,
                    View::Audio => audio,
                }
            };
            let heads: usize = segment
                .parts
                .iter()
                .map(|part| PART_HEAD_BYTES + frames(part) * FRAME_HEAD_BYTES)
                .sum();
            let size = (segment.media_bytes(view) + heads) as f64 * 8.0;
            let length = segment.duration(view).as_secs_f64().max(0.001);
            // a stump between two streams says little of what comes
            if length * 2.0 >= self.settings.segment.as_secs_f64() || peak == 0.0 {
                peak = peak.max(size / length);
            }
            bits += size;
            seconds += length;
        }
        let mean = if seconds > 0.0 { bits / seconds } else { peak };
        (peak.ceil() as u64, mean.ceil() as u64)
    }

    fn is_independent(&self, from: usize) -> bool {
        self.store
            .segments()
            .iter()
            .skip(from)
            .all(|segment| segment.independent)
    }

    /// A media playlist; `skip` asks for a delta update.
    pub(crate) fn media(&self, list: List, skip: bool) -> String {
        let (from, discontinuities) = self.store.listed(self.settings);
        let parts = self.settings.offers_parts() && list != List::Ts;
        let window = Listed {
            facts: *self,
            from,
            list,
            parts,
        };
        let kind = match (self.settings.keep, self.ended, self.store.overflowed) {
            (Keep::Event, true, false) => Kind::Vod,
            (Keep::Event, false, false) => Kind::Event,
            // a playlist that lost segments is no event's
            _ => Kind::Live,
        };
        let reports = self.reports(list, parts);
        let reports: Vec<_> = reports
            .iter()
            .map(|(uri, last_segment, last_part)| RenditionReport {
                uri,
                last_segment: *last_segment,
                last_part: *last_part,
            })
            .collect();
        let open = self.store.open();
        let hint = Hint::Part {
            segment: self.store.open_msn(),
            part: open.map_or(0, |open| {
                u32::try_from(open.parts.len()).unwrap_or(u32::MAX)
            }),
        };
        let media_sequence = self
            .store
            .segments()
            .get(from)
            .map_or_else(|| self.store.next_msn(), |s| s.msn);
        let mut out = String::new();
        MediaPlaylist {
            target_duration: self.target,
            part_target: parts.then(|| self.part_target_of(list)),
            can_block: self.settings.low_latency,
            can_skip: self.settings.low_latency,
            skip,
            media_sequence,
            discontinuity_sequence: discontinuities,
            kind,
            is_independent: self.is_independent(from),
            is_ended: self.ended,
            window: &window,
            hint: parts.then_some(hint),
            reports: &reports,
        }
        .write(&mut out);
        out
    }

    /// The length that no part of a list exceeds. Sound is cut where pictures are, and what belongs together is sent
    /// some frames apart, so parts of sound vary; what is announced must not.
    fn part_target_of(&self, list: List) -> Duration {
        match list {
            List::Fmp4(View::Audio) => {
                let usual = self.part_target * 3 / 2 + SOUND_FRAME;
                self.store.longest_sound().max(usual)
            }
            _ => self.part_target,
        }
    }

    /// Where the lists stand that a player may change to.
    fn reports(&self, list: List, parts: bool) -> Vec<(String, u64, Option<u32>)> {
        let Some(last) = self.store.segments().back() else {
            return Vec::new();
        };
        if !parts || last.period.video.is_none() || last.period.audio.is_none() {
            return Vec::new();
        }
        let lists: &[View] = match (self.settings.renditions, list) {
            (Renditions::Muxed, List::Fmp4(View::Both)) => &[View::Audio],
            (Renditions::Muxed, List::Fmp4(View::Audio)) => &[View::Both],
            (Renditions::Separate, List::Fmp4(View::Video)) => &[View::Audio],
            (Renditions::Separate, List::Fmp4(View::Audio)) => &[View::Video],
            _ => &[],
        };
        let newest = self
            .store
            .segments()
            .iter()
            .rev()
            .find(|s| !s.parts.is_empty());
        let Some(newest) = newest else {
            return Vec::new();
        };
        let part = u32::try_from(newest.parts.len()).unwrap_or(u32::MAX) - 1;
        let report = |view: &View| {
            let mut uri = String::new();
            File::Playlist(List::Fmp4(*view)).write(self.stem, &mut uri);
            (uri, newest.msn, Some(part))
        };
        lists.iter().map(report).collect()
    }
}

fn channels(period: &Period) -> Option<u32> {
    let info = period.audio.as_ref()?.info.audio.as_ref()?;
    (info.channels > 0).then(|| info.channels.into())
}

impl List {
    /// Whether segments of a period can be listed.
    pub(crate) fn suits(self, period: &Period) -> bool {
        match self {
            Self::Fmp4(view) => period.tracks(view).next().is_some(),
            Self::Ts => period.fits_ts(),
        }
    }
}

/// The listed segments of one view.
struct Listed<'a> {
    facts: Facts<'a>,
    from: usize,
    list: List,
    parts: bool,
}

impl Listed<'_> {
    fn view(&self) -> View {
        match self.list {
            List::Fmp4(view) => view,
            List::Ts => View::Both,
        }
    }

    fn segment_of(&self, segment: &store::Segment) -> Segment {
        let has_tracks = self.list.suits(&segment.period);
        Segment {
            duration: segment.duration(self.view()),
            date: segment.wallclock,
            map: (self.list != List::Ts && has_tracks).then_some(segment.period.first),
            key: segment.key.map(|number| Key { number, iv: None }),
            is_discontinuity: segment.discontinuity,
            is_gap: !has_tracks,
        }
    }

    fn write(&self, file: File, out: &mut String) {
        file.write(self.facts.stem, out);
    }
}

impl SegmentUris for Listed<'_> {
    fn segment(&self, msn: u64, out: &mut String) {
        let file = match self.list {
            List::Fmp4(view) => File::Segment { view, msn },
            List::Ts => File::Ts { msn },
        };
        self.write(file, out);
    }

    fn part(&self, msn: u64, part: u32, out: &mut String) {
        let view = self.view();
        self.write(File::Part { view, msn, part }, out);
    }

    fn map(&self, first: u64, out: &mut String) {
        let view = self.view();
        self.write(File::Init { view, first }, out);
    }

    fn key(&self, number: u64, out: &mut String) {
        self.write(File::Key { number }, out);
    }
}

impl Window for Listed<'_> {
    fn segments(&self) -> impl Iterator<Item = Segment> {
        let listed = self.facts.store.segments().iter().skip(self.from);
        let complete = listed.filter(|segment| segment.complete);
        complete.map(|segment| self.segment_of(segment))
    }

    fn open(&self) -> Option<Segment> {
        self.facts.store.open().map(|open| self.segment_of(open))
    }

    fn parts(&self, msn: u64) -> impl Iterator<Item = Part> {
        let segment = self.facts.store.get(msn).filter(|_| self.parts);
        let view = self.view();
        segment.into_iter().flat_map(move |segment| {
            let is_gap = !self.list.suits(&segment.period);
            let timescale = segment
                .period
                .audio
                .as_ref()
                .map_or(1, |audio| audio.timescale);
            segment.parts.iter().map(move |part| Part {
                duration: match view {
                    View::Audio => units_to_duration(part.audio.duration, timescale),
                    _ => store::ticks_to_duration(part.ticks),
                },
                is_independent: view == View::Audio || part.independent,
                is_gap,
            })
        })
    }
}
