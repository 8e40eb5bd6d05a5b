//! The manifest: what the store says, in the words of MPEG-DASH.
//!
//! Owns: which facts of the store go into a manifest: periods, timelines, and the times by which players find the live
//! edge. Does not: know the syntax (`weir-hls` does).
//!
//! The zero of the presentation is that of the channel's line, so a time in a segment is a time of the presentation.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use weir_hls::dash::{Latency, Live, Manifest, Media, Period as Listed, Span, State, Track};

use crate::file::{File, View};
use crate::lists::Facts;
use crate::part::{Part, Run};
use crate::period::{Period, Track as Source};
use crate::store::{Segment, TICKS, ticks_to_duration};

/// How far behind the live edge a player of low latency is to be: the time for a request, some parts, and a decoder.
const LATENCY: Latency = Latency {
    target: Duration::from_millis(1500),
    min: Duration::from_millis(500),
    max: Duration::from_secs(6),
    min_rate: 0.96,
    max_rate: 1.04,
};

/// How often manifests are read when latency is low: as often as dash.js does at most.
const UPDATE_PERIOD: Duration = Duration::from_secs(1);

/// How many target durations behind the live edge other players are to be.
const DELAY_TARGETS: u32 = 3;

/// What follows the number in a segment's name.
const SUFFIX: &str = ".m4s";

/// How the name of segment 0 ends.
const LISTED_END: &str = "0.m4s";

/// What a manifest says that depends on the time at which it is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// Time zero of the line. Must be the same in every manifest of a channel.
    pub(crate) begin: SystemTime,
    /// The wall clock.
    pub(crate) now: SystemTime,
}

/// A track's URIs and timeline, which [`Track`] borrows.
struct Made<'a> {
    view: View,
    source: &'a Source,
    initialization: String,
    prefix: String,
    spans: Vec<Span>,
    start_number: u64,
}

impl Facts<'_> {
    /// The manifest.
    pub(crate) fn manifest(&self, times: Times) -> String {
        let (from, _) = self.store.listed(self.settings);
        let segments: Vec<&Segment> = self.store.segments().iter().skip(from).collect();
        let groups: Vec<&[&Segment]> = segments
            .chunk_by(|a, b| Arc::ptr_eq(&a.period, &b.period))
            .collect();
        let low_latency = self.settings.low_latency && !self.ended;
        let made: Vec<(&Period, Vec<Made<'_>>)> = groups
            .iter()
            .enumerate()
            .filter_map(|(index, group)| {
                let period = group.first()?.period.as_ref();
                let is_last = index + 1 == groups.len();
                Some((period, self.tracks(period, group, is_last && low_latency)))
            })
            .collect();
        let last = made.len().saturating_sub(1);
        let tracks: Vec<Vec<Track<'_>>> = made
            .iter()
            .enumerate()
            .map(|(index, (period, made))| {
                let early =
                    (index == last && low_latency).then(|| self.expected() - self.part_target);
                made.iter()
                    .map(|made| self.track(period, made, early))
                    .collect()
            })
            .collect();
        let periods: Vec<Listed<'_>> = made
            .iter()
            .zip(&tracks)
            .map(|((period, _), tracks)| Listed {
                id: period.first,
                start: ticks_to_duration(period.start),
                tracks,
            })
            .collect();
        let end = segments.last().map_or(0, |last| last.start + last.ticks);
        let state = match self.ended {
            true => State::Ended {
                duration: ticks_to_duration(end),
            },
            false => State::Live(self.live(times.now, low_latency)),
        };
        let mut out = String::new();
        Manifest {
            availability_start: times.begin,
            publish_time: times.now,
            state,
            min_buffer: if low_latency {
                self.part_target * 2
            } else {
                self.target
            },
            max_segment: self.target,
            periods: &periods,
        }
        .write(&mut out);
        out
    }

    fn live(&self, now: SystemTime, low_latency: bool) -> Live<'static> {
        Live {
            update_period: if low_latency {
                UPDATE_PERIOD
            } else {
                self.target
            },
            time_shift: self.settings.window,
            delay: if low_latency {
                LATENCY.target
            } else {
                self.target * DELAY_TARGETS
            },
            now: Some(now),
            http_iso: None,
            http_head: None,
            latency: low_latency.then_some(LATENCY),
        }
    }

    /// The length that a segment under way is expected to have: the longest of late. The first of a period is cut short.
    /// What is said must hold: ffmpeg plays again what moves to another time.
    fn expected(&self) -> Duration {
        let complete = self
            .store
            .segments()
            .iter()
            .rev()
            .filter(|segment| segment.complete && segment.msn != segment.period.first);
        let longest = complete
            .take(4)
            .map(|segment| segment.duration(View::Both))
            .max();
        longest.unwrap_or(self.target).max(self.part_target)
    }

    fn tracks<'a>(&self, period: &'a Period, group: &[&Segment], ahead: bool) -> Vec<Made<'a>> {
        let sources = [(View::Video, &period.video), (View::Audio, &period.audio)];
        sources
            .into_iter()
            .filter_map(|(view, source)| {
                let source = source.as_ref()?;
                let (mut initialization, mut prefix) = (String::new(), String::new());
                File::Init {
                    view,
                    first: period.first,
                }
                .write(self.stem, &mut initialization);
                let first = period.first;
                File::Listed {
                    view,
                    first,
                    msn: 0,
                }
                .write(self.stem, &mut prefix);
                // what stands before the number
                let begin = prefix.strip_suffix(LISTED_END).unwrap_or_default().len();
                prefix.truncate(begin);
                Some(Made {
                    view,
                    source,
                    initialization,
                    prefix,
                    spans: self.spans(view, source, group, ahead),
                    start_number: group.first().map_or(0, |first| first.msn),
                })
            })
            .collect()
    }

    /// Where a track's segments lie. `ahead` lists the one under way and the next too.
    fn spans(&self, view: View, source: &Source, group: &[&Segment], ahead: bool) -> Vec<Span> {
        let units = |ticks: i64| {
            let units = i128::from(ticks) * i128::from(source.timescale) / i128::from(TICKS);
            u64::try_from(units).unwrap_or(0)
        };
        let delay = match (view, group.first()) {
            (View::Video, Some(first)) => units(first.period.delay),
            _ => 0,
        };
        // players look for the times at which something is shown
        let shown = |run: &Run| run.base + delay;
        let mut spans: Vec<Span> = Vec::with_capacity(group.len() + 2);
        for segment in group.iter().filter(|segment| segment.complete) {
            let end = spans.last().map(|last| last.time + last.duration);
            let runs = || segment.parts.iter().map(|part| run_of(view, part));
            let base = runs().find(|run| !run.samples.is_empty()).map(shown);
            let duration: u64 = runs().map(|run| run.duration).sum();
            spans.push(Span {
                time: base.or(end).unwrap_or_else(|| units(segment.start)),
                duration: if duration == 0 {
                    units(segment.ticks)
                } else {
                    duration
                },
            });
        }
        if ahead {
            let expected = units(i64::try_from(self.expected().as_micros()).unwrap_or(0) * 9 / 10);
            let open = group.iter().find(|segment| !segment.complete);
            let base = open.and_then(|open| {
                let mut runs = open.parts.iter().map(|part| run_of(view, part));
                runs.find(|run| !run.samples.is_empty()).map(shown)
            });
            for time in [base, None] {
                let end = spans.last().map(|last| last.time + last.duration);
                let begin = || open.map_or(0, |open| units(open.start));
                let time = time.or(end).unwrap_or_else(begin);
                spans.push(Span {
                    time,
                    duration: expected,
                });
            }
        }
        spans
    }

    fn track<'a>(&self, period: &Period, made: &'a Made<'_>, early: Option<Duration>) -> Track<'a> {
        let source = made.source;
        let units = i128::from(period.start) * i128::from(source.timescale) / i128::from(TICKS);
        let (bandwidth, _) = self.bandwidth(made.view);
        let (video, audio) = (source.info.video.as_ref(), source.info.audio.as_ref());
        let media = match made.view {
            View::Audio => Media::Audio {
                sample_rate: audio.map_or(0, |audio| audio.sample_rate),
                channels: audio.map_or(0, |audio| audio.channels.into()),
            },
            _ => Media::Video {
                width: video.map_or(0, |video| video.width),
                height: video.map_or(0, |video| video.height),
                frame_rate: self.frame_rate().map(ratio),
            },
        };
        Track {
            id: source.id,
            media,
            language: None,
            codecs: &source.name,
            bandwidth,
            timescale: source.timescale,
            presentation_time_offset: u64::try_from(units).unwrap_or(0),
            initialization: &made.initialization,
            prefix: &made.prefix,
            suffix: SUFFIX,
            start_number: made.start_number,
            segments: &made.spans,
            early,
            reference: None,
        }
    }
}

fn run_of(view: View, part: &Part) -> &Run {
    match view {
        View::Audio => &part.audio,
        _ => &part.video,
    }
}

/// A frame rate as a ratio: of 1001 for the rates of NTSC, of 1000 for what is not whole.
fn ratio(rate: f64) -> (u32, u32) {
    let whole = rate.round();
    if (rate - whole).abs() < 0.001 {
        return (whole as u32, 1);
    }
    let ntsc = (rate * 1.001).round();
    if (rate * 1.001 - ntsc).abs() < 0.001 {
        return (ntsc as u32 * 1000, 1001);
    }
    ((rate * 1000.0).round() as u32, 1000)
}
