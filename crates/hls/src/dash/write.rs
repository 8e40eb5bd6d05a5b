//! The text of a manifest.
//!
//! Owns: order and presence of elements and attributes (ISO/IEC 23009-1 §5), runs of equal segments.
//! Does not: know XML's escapes.

use std::time::{Duration, SystemTime};

use super::xml::{Tag, Xml};
use super::{Latency, Live, Manifest, Media, Period, Span, State, Track};
use crate::write::{push_date, push_seconds, push_uri_from};

const NAMESPACE: &str = "urn:mpeg:dash:schema:mpd:2011";
const PROFILES: &str = "urn:mpeg:dash:profile:isoff-live:2011";
const LOW_LATENCY_PROFILE: &str = ",http://www.dashif.org/guidelines/low-latency-live-v5";

const UTC_DIRECT: &str = "urn:mpeg:dash:utc:direct:2014";
const UTC_HTTP_ISO: &str = "urn:mpeg:dash:utc:http-iso:2014";
const UTC_HTTP_HEAD: &str = "urn:mpeg:dash:utc:http-head:2014";

/// Its values are channel configurations (ISO/IEC 23003-3).
const CHANNELS_SCHEME: &str = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011";

impl Manifest<'_> {
    /// Appends the manifest. Tracks without a segment, and periods without a track, are left out: the schema knows no
    /// empty timeline.
    pub fn write(&self, out: &mut String) {
        let mut xml = Xml::new(out);
        xml.element(
            "MPD",
            |tag| self.write_attributes(tag),
            |xml| {
                let live = match &self.state {
                    State::Live(live) => Some(live),
                    State::Ended { .. } => None,
                };
                if let Some(latency) = live.and_then(|live| live.latency.as_ref()) {
                    self.write_service(latency, xml);
                }
                for period in self.periods.iter().filter(|period| period.is_listed()) {
                    period.write(live, xml);
                }
                if let Some(live) = live {
                    live.write_clocks(xml);
                }
            },
        );
    }

    fn write_attributes(&self, tag: &mut Tag<'_>) {
        let is_low = matches!(&self.state, State::Live(live) if live.latency.is_some());
        tag.text("xmlns", NAMESPACE).with("profiles", |out| {
            out.push_str(PROFILES);
            if is_low {
                out.push_str(LOW_LATENCY_PROFILE);
            }
        });
        match &self.state {
            State::Live(_) => tag.text("type", "dynamic"),
            State::Ended { .. } => tag.text("type", "static"),
        };
        date(tag, "availabilityStartTime", self.availability_start);
        date(tag, "publishTime", self.publish_time);
        match &self.state {
            State::Live(live) => {
                duration(tag, "minimumUpdatePeriod", live.update_period);
                duration(tag, "timeShiftBufferDepth", live.time_shift);
                duration(tag, "suggestedPresentationDelay", live.delay);
            }
            State::Ended { duration: whole } => {
                duration(tag, "mediaPresentationDuration", *whole);
            }
        }
        duration(tag, "minBufferTime", self.min_buffer);
        duration(tag, "maxSegmentDuration", self.max_segment);
    }

    fn write_service(&self, latency: &Latency, xml: &mut Xml<'_>) {
        let mut tracks = self.periods.iter().flat_map(|period| period.tracks);
        let reference = tracks.find(|track| track.is_listed() && track.reference.is_some());
        xml.element(
            "ServiceDescription",
            |tag| {
                tag.number("id", 0);
            },
            |xml| {
                xml.empty("Latency", |tag| {
                    if let Some(track) = reference {
                        tag.number("referenceId", track.id);
                    }
                    tag.number("target", latency.target.as_millis())
                        .number("min", latency.min.as_millis())
                        .number("max", latency.max.as_millis());
                });
                let is_rate = |rate: f64| rate.is_finite() && rate > 0.0;
                if is_rate(latency.min_rate) && is_rate(latency.max_rate) {
                    xml.empty("PlaybackRate", |tag| {
                        tag.number("min", latency.min_rate)
                            .number("max", latency.max_rate);
                    });
                }
            },
        );
    }
}

impl Live<'_> {
    fn write_clocks(&self, xml: &mut Xml<'_>) {
        if let Some(now) = self.now {
            xml.empty("UTCTiming", |tag| {
                tag.text("schemeIdUri", UTC_DIRECT);
                date(tag, "value", now);
            });
        }
        self.write_clock_urls(xml);
    }

    fn write_clock_urls(&self, xml: &mut Xml<'_>) {
        for (scheme, url) in [
            (UTC_HTTP_ISO, self.http_iso),
            (UTC_HTTP_HEAD, self.http_head),
        ] {
            if let Some(url) = url {
                xml.empty("UTCTiming", |tag| {
                    tag.text("schemeIdUri", scheme);
                    uri(tag, "value", url);
                });
            }
        }
    }
}

impl Period<'_> {
    fn is_listed(&self) -> bool {
        self.tracks.iter().any(Track::is_listed)
    }

    fn write(&self, live: Option<&Live<'_>>, xml: &mut Xml<'_>) {
        xml.element(
            "Period",
            |tag| {
                tag.number("id", self.id);
                duration(tag, "start", self.start);
            },
            |xml| {
                for track in self.tracks.iter().filter(|track| track.is_listed()) {
                    track.write(live, xml);
                }
            },
        );
    }
}

impl Track<'_> {
    fn is_listed(&self) -> bool {
        !self.segments.is_empty()
    }

    fn write(&self, live: Option<&Live<'_>>, xml: &mut Xml<'_>) {
        let (content, mime) = match self.media {
            Media::Video { .. } => ("video", "video/mp4"),
            Media::Audio { .. } => ("audio", "audio/mp4"),
        };
        xml.element(
            "AdaptationSet",
            |tag| {
                tag.number("id", self.id).text("contentType", content);
                if let Some(language) = self.language {
                    tag.text("lang", language);
                }
                tag.text("mimeType", mime)
                    .text("segmentAlignment", "true")
                    .number("startWithSAP", 1);
            },
            |xml| {
                if let (Some(live), Some((time, taken))) = (live, self.reference) {
                    self.write_reference(live, time, taken, xml);
                }
                xml.element(
                    "Representation",
                    |tag| self.write_representation(tag),
                    |xml| {
                        if let Some(value) = self.channel_configuration() {
                            xml.empty("AudioChannelConfiguration", |tag| {
                                tag.text("schemeIdUri", CHANNELS_SCHEME)
                                    .number("value", value);
                            });
                        }
                        self.write_template(live.is_some(), xml);
                    },
                );
            },
        );
    }

    fn write_reference(&self, live: &Live<'_>, time: u64, taken: SystemTime, xml: &mut Xml<'_>) {
        let attributes = |tag: &mut Tag<'_>| {
            tag.number("id", self.id)
                .text("inband", "false")
                .text("type", "encoder");
            date(tag, "wallClockTime", taken);
            tag.number("presentationTime", time);
        };
        match (live.http_iso, live.http_head) {
            (None, None) => xml.empty("ProducerReferenceTime", attributes),
            _ => xml.element("ProducerReferenceTime", attributes, |xml| {
                live.write_clock_urls(xml);
            }),
        }
    }

    fn write_representation(&self, tag: &mut Tag<'_>) {
        tag.number("id", self.id);
        if !self.codecs.is_empty() {
            tag.text("codecs", self.codecs);
        }
        tag.number("bandwidth", self.bandwidth.max(1));
        match self.media {
            Media::Video {
                width,
                height,
                frame_rate,
            } => {
                if width > 0 && height > 0 {
                    tag.number("width", width).number("height", height);
                }
                match frame_rate {
                    Some((pictures, 1)) if pictures > 0 => {
                        tag.number("frameRate", pictures);
                    }
                    Some((pictures, seconds)) if pictures > 0 && seconds > 0 => {
                        tag.text("frameRate", &format!("{pictures}/{seconds}"));
                    }
                    _ => {}
                }
            }
            Media::Audio { sample_rate, .. } => {
                if sample_rate > 0 {
                    tag.number("audioSamplingRate", sample_rate);
                }
            }
        }
    }

    /// The index that stands for a number of channels, by their usual layouts (ISO/IEC 23003-3, ISO/IEC 23091-3).
    fn channel_configuration(&self) -> Option<u32> {
        match self.media {
            Media::Audio { channels, .. } => match channels {
                1..=6 => Some(channels),
                7 => Some(11),
                8 => Some(7),
                _ => None,
            },
            Media::Video { .. } => None,
        }
    }

    fn write_template(&self, is_live: bool, xml: &mut Xml<'_>) {
        xml.element(
            "SegmentTemplate",
            |tag| {
                tag.number("timescale", self.timescale.max(1));
                if self.presentation_time_offset > 0 {
                    tag.number("presentationTimeOffset", self.presentation_time_offset);
                }
                if let (true, Some(early)) = (is_live, self.early) {
                    tag.with("availabilityTimeOffset", |out| push_seconds(out, early))
                        .text("availabilityTimeComplete", "false");
                }
                template(tag, "initialization", |out| {
                    push_template(out, self.initialization);
                });
                template(tag, "media", |out| {
                    push_template(out, self.prefix);
                    out.push_str("$Number$");
                    push_template(out, self.suffix);
                });
                tag.number("startNumber", self.start_number);
            },
            |xml| {
                xml.element(
                    "SegmentTimeline",
                    |_| {},
                    |xml| write_timeline(self.segments, xml),
                );
            },
        );
    }
}

/// Segments of one duration that follow each other without a gap.
struct Run {
    /// Told if the run does not begin where the one before ended.
    time: Option<u64>,
    end: u64,
    duration: u64,
    repeats: u64,
}

fn write_timeline(segments: &[Span], xml: &mut Xml<'_>) {
    let mut open: Option<Run> = None;
    for span in segments {
        let duration = span.duration.max(1);
        let end = span.time.saturating_add(duration);
        match &mut open {
            Some(run) if run.end == span.time && run.duration == duration => {
                run.repeats += 1;
                run.end = end;
            }
            _ => {
                let is_apart = open.as_ref().is_none_or(|run| run.end != span.time);
                let next = Run {
                    time: is_apart.then_some(span.time),
                    end,
                    duration,
                    repeats: 0,
                };
                write_run(open.replace(next), xml);
            }
        }
    }
    write_run(open, xml);
}

fn write_run(run: Option<Run>, xml: &mut Xml<'_>) {
    let Some(run) = run else {
        return;
    };
    xml.empty("S", |tag| {
        if let Some(time) = run.time {
            tag.number("t", time);
        }
        tag.number("d", run.duration);
        if run.repeats > 0 {
            tag.number("r", run.repeats);
        }
    });
}

fn date(tag: &mut Tag<'_>, name: &'static str, time: SystemTime) {
    tag.with(name, |out| push_date(out, time));
}

/// ISO 8601, in seconds.
fn duration(tag: &mut Tag<'_>, name: &'static str, duration: Duration) {
    tag.with(name, |out| {
        out.push_str("PT");
        push_seconds(out, duration);
        out.push('S');
    });
}

fn uri(tag: &mut Tag<'_>, name: &'static str, uri: &str) {
    tag.with(name, |out| push_uri_from(out, |out| out.push_str(uri)));
}

fn template(tag: &mut Tag<'_>, name: &'static str, write: impl FnOnce(&mut String)) {
    tag.with(name, |out| push_uri_from(out, write));
}

/// Appends a part of a template that holds no identifier: a dollar sign is written twice (§5.3.9.4.4).
fn push_template(out: &mut String, text: &str) {
    for c in text.chars() {
        if c == '$' {
            out.push('$');
        }
        out.push(c);
    }
}
