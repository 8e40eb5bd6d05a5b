//! Manifests whole against golden files, against the part of the schema that is used, and with values that would break
//! out.
//!
//! With the variable `WEIR_TEST_BLESS` set, golden files are written instead of compared.

use std::time::UNIX_EPOCH;

use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::*;
use crate::testing::golden;

/// An element: name, attributes, children.
#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Self>,
}

impl Element {
    fn new(start: &BytesStart<'_>) -> Self {
        let name = start.name().as_ref().to_owned();
        let attributes = start.attributes().map(|attribute| {
            let attribute = attribute.expect("attributes are well-formed and differ");
            // the parser would let it pass (XML 1.0 §2.3)
            assert!(!attribute.value.contains('<'), "{attribute:?}");
            let value = attribute.normalized_value(quick_xml::XmlVersion::Explicit1_0);
            let value = value.expect("references are sound").into_owned();
            (attribute.key.as_ref().to_owned(), value)
        });
        Self {
            name,
            attributes: attributes.collect(),
            children: Vec::new(),
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        attributes.find_map(|(own, value)| (own == name).then_some(value.as_str()))
    }

    /// All elements of this name within.
    fn all<'a>(&'a self, name: &'a str) -> Vec<&'a Self> {
        let own = self.children.iter().filter(|child| child.name == name);
        let below = self.children.iter().flat_map(|child| child.all(name));
        own.chain(below).collect()
    }
}

/// Reads a document; panics when it is not well-formed.
fn read(text: &str) -> Element {
    let mut reader = Reader::from_str(text);
    let mut open = vec![Element::default()];
    loop {
        let close = |open: &mut Vec<Element>, element| {
            open.last_mut()
                .expect("an element is open")
                .children
                .push(element);
        };
        match reader.read_event().expect("it is well-formed") {
            Event::Start(start) => open.push(Element::new(&start)),
            Event::Empty(start) => close(&mut open, Element::new(&start)),
            Event::End(_) => {
                let element = open.pop().expect("an element is open");
                close(&mut open, element);
            }
            Event::Text(text) => assert_eq!(text.as_ref().trim(), ""),
            Event::Decl(_) => assert!(open[0].children.is_empty()),
            Event::Eof => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(open.len(), 1);
    let mut documents = open.remove(0).children;
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

/// What may stand in an element, in the order of the schema; an attribute with `!` must.
const SCHEMA: &[(&str, &[&str], &[&str])] = &[
    (
        "MPD",
        &[
            "xmlns!",
            "profiles!",
            "type",
            "availabilityStartTime",
            "publishTime",
            "minimumUpdatePeriod",
            "timeShiftBufferDepth",
            "suggestedPresentationDelay",
            "mediaPresentationDuration",
            "minBufferTime!",
            "maxSegmentDuration",
        ],
        &["ServiceDescription", "Period", "UTCTiming"],
    ),
    ("ServiceDescription", &["id"], &["Latency", "PlaybackRate"]),
    ("Latency", &["referenceId", "target", "min", "max"], &[]),
    ("PlaybackRate", &["min", "max"], &[]),
    ("UTCTiming", &["schemeIdUri!", "value"], &[]),
    ("Period", &["id", "start"], &["AdaptationSet"]),
    (
        "AdaptationSet",
        &[
            "id",
            "contentType",
            "lang",
            "mimeType",
            "segmentAlignment",
            "startWithSAP",
        ],
        &["ProducerReferenceTime", "Representation"],
    ),
    (
        "ProducerReferenceTime",
        &[
            "id!",
            "inband",
            "type",
            "wallClockTime!",
            "presentationTime!",
        ],
        &["UTCTiming"],
    ),
    (
        "Representation",
        &[
            "id!",
            "codecs",
            "bandwidth!",
            "width",
            "height",
            "frameRate",
            "audioSamplingRate",
        ],
        &["AudioChannelConfiguration", "SegmentTemplate"],
    ),
    ("AudioChannelConfiguration", &["schemeIdUri!", "value"], &[]),
    (
        "SegmentTemplate",
        &[
            "timescale",
            "presentationTimeOffset",
            "availabilityTimeOffset",
            "availabilityTimeComplete",
            "initialization",
            "media!",
            "startNumber",
        ],
        &["SegmentTimeline"],
    ),
    ("SegmentTimeline", &[], &["S"]),
    ("S", &["t", "d!", "r"], &[]),
];

/// What of `element` and all below is against the schema, or against what it says in words (§5.3.1.2).
fn faults(element: &Element, found: &mut Vec<String>) {
    let name = &element.name;
    let Some((_, attributes, children)) = SCHEMA.iter().find(|(own, _, _)| own == name) else {
        found.push(format!("unknown {name}"));
        return;
    };
    for (attribute, _) in &element.attributes {
        if !attributes
            .iter()
            .any(|own| own.trim_end_matches('!') == attribute)
        {
            found.push(format!("{name}@{attribute}"));
        }
    }
    for required in attributes.iter().filter_map(|own| own.strip_suffix('!')) {
        if element.get(required).is_none() {
            found.push(format!("no {name}@{required}"));
        }
    }
    let places: Vec<_> = element
        .children
        .iter()
        .map(|child| children.iter().position(|own| *own == child.name))
        .collect();
    if places.contains(&None) || !places.is_sorted() {
        found.push(format!("order in {name}"));
    }
    let needs = |attribute, is_needed| is_needed == element.get(attribute).is_some();
    if name == "MPD" {
        let is_live = element.get("type") == Some("dynamic");
        let fits = [
            "availabilityStartTime",
            "publishTime",
            "minimumUpdatePeriod",
        ];
        if is_live && fits.iter().any(|own| element.get(own).is_none()) {
            found.push("a live manifest without its times".to_owned());
        }
        if !needs("mediaPresentationDuration", !is_live) {
            found.push("a duration of what has not ended".to_owned());
        }
    }
    if matches!(name.as_str(), "MPD" | "Period" | "SegmentTimeline") && element.children.is_empty()
    {
        found.push(format!("empty {name}"));
    }
    for child in &element.children {
        faults(child, found);
    }
}

fn judge(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    faults(&read(text), &mut found);
    found
}

fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_763_750_000 + seconds)
}

fn spans(from: u64, durations: &[u64]) -> Vec<Span> {
    let mut time = from;
    let span = |duration: &u64| {
        let span = Span {
            time,
            duration: *duration,
        };
        time += duration;
        span
    };
    durations.iter().map(span).collect()
}

fn video<'a>(segments: &'a [Span]) -> Track<'a> {
    Track {
        id: 1,
        media: Media::Video {
            width: 1920,
            height: 1080,
            frame_rate: Some((30000, 1001)),
        },
        language: None,
        codecs: "avc1.640028",
        bandwidth: 4_000_000,
        timescale: 90_000,
        presentation_time_offset: 0,
        initialization: "cam-v-1000.mp4",
        prefix: "cam-v-",
        suffix: ".m4s",
        start_number: 1000,
        segments,
        early: None,
        reference: None,
    }
}

fn audio<'a>(segments: &'a [Span]) -> Track<'a> {
    Track {
        id: 2,
        media: Media::Audio {
            sample_rate: 48_000,
            channels: 2,
        },
        language: Some("de"),
        codecs: "mp4a.40.2",
        bandwidth: 128_000,
        timescale: 48_000,
        initialization: "cam-a-1000.mp4",
        prefix: "cam-a-",
        ..video(segments)
    }
}

const LIVE: Live<'static> = Live {
    update_period: Duration::from_secs(2),
    time_shift: Duration::from_secs(60),
    delay: Duration::from_secs(6),
    now: None,
    http_iso: Some("/api/v1/time"),
    http_head: Some("cam.mpd"),
    latency: None,
};

fn manifest<'a>(state: State<'a>, periods: &'a [Period<'a>]) -> Manifest<'a> {
    Manifest {
        availability_start: time(0),
        publish_time: time(100),
        state,
        min_buffer: Duration::from_secs(2),
        max_segment: Duration::from_millis(2002),
        periods,
    }
}

fn text(manifest: &Manifest<'_>) -> String {
    let mut out = String::new();
    manifest.write(&mut out);
    out
}

#[test]
fn live_with_a_discontinuity() {
    let before = spans(900_000, &[180_000, 180_000, 180_000, 90_000]);
    let after = spans(7, &[180_180, 180_180]);
    let sound = spans(12_345, &[96_256, 96_256]);
    let old = [video(&before), audio(&[])];
    let new = [
        Track {
            presentation_time_offset: 7,
            start_number: 1004,
            initialization: "cam-v-1004.mp4",
            ..video(&after)
        },
        Track {
            presentation_time_offset: 12_345,
            start_number: 1004,
            ..audio(&sound)
        },
    ];
    let periods = [
        Period {
            id: 0,
            start: Duration::ZERO,
            tracks: &[audio(&[])],
        },
        Period {
            id: 1000,
            start: Duration::ZERO,
            tracks: &old,
        },
        Period {
            id: 1004,
            start: Duration::from_micros(7_000_009),
            tracks: &new,
        },
    ];
    let out = text(&manifest(State::Live(LIVE), &periods));
    golden("periods.mpd", &out);
    assert_eq!(judge(&out), Vec::<String>::new());
    // what has no segment is not there
    let read = read(&out);
    assert_eq!(
        (read.all("Period").len(), read.all("AdaptationSet").len()),
        (2, 3)
    );
}

#[test]
fn low_latency() {
    let pictures = spans(0, &[180_000, 180_000, 180_000]);
    let sound = spans(0, &[96_256, 95_232, 96_256]);
    let early = Some(Duration::from_millis(1800));
    let tracks = [
        Track {
            early,
            reference: Some((360_000, time(104))),
            ..video(&pictures)
        },
        Track {
            early,
            ..audio(&sound)
        },
    ];
    let periods = [Period {
        id: 1,
        start: Duration::from_secs(100),
        tracks: &tracks,
    }];
    let live = Live {
        now: Some(time(105)),
        latency: Some(Latency {
            target: Duration::from_millis(1500),
            min: Duration::from_millis(1000),
            max: Duration::from_millis(4000),
            min_rate: 0.96,
            max_rate: 1.04,
        }),
        ..LIVE
    };
    let out = text(&manifest(State::Live(live), &periods));
    golden("low_latency.mpd", &out);
    assert_eq!(judge(&out), Vec::<String>::new());
    let ended = State::Ended {
        duration: Duration::from_secs(106),
    };
    let out = text(&manifest(ended, &periods));
    golden("ended.mpd", &out);
    assert_eq!(judge(&out), Vec::<String>::new());
}

#[test]
fn what_is_unknown_is_left_out() {
    let segments = spans(0, &[0]);
    let tracks = [
        Track {
            media: Media::Video {
                width: 0,
                height: 1080,
                frame_rate: Some((25, 0)),
            },
            codecs: "",
            bandwidth: 0,
            timescale: 0,
            ..video(&segments)
        },
        Track {
            media: Media::Audio {
                sample_rate: 0,
                channels: 0,
            },
            language: None,
            ..audio(&segments)
        },
    ];
    let periods = [Period {
        id: 1,
        start: Duration::ZERO,
        tracks: &tracks,
    }];
    let live = Live {
        http_iso: None,
        http_head: None,
        latency: Some(Latency {
            target: Duration::ZERO,
            min: Duration::ZERO,
            max: Duration::ZERO,
            min_rate: f64::NAN,
            max_rate: 1.0,
        }),
        ..LIVE
    };
    let out = text(&manifest(State::Live(live), &periods));
    assert_eq!(judge(&out), Vec::<String>::new());
    let read = read(&out);
    for name in ["UTCTiming", "PlaybackRate", "AudioChannelConfiguration"] {
        assert_eq!(read.all(name).len(), 0, "{name}");
    }
    let names: Vec<_> = read.all("Representation")[0]
        .attributes
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["id", "bandwidth"]);
    assert_eq!(read.all("S")[0].get("d"), Some("1"));
    for (channels, value) in [(1, "1"), (6, "6"), (7, "11"), (8, "7")] {
        let tracks = [Track {
            media: Media::Audio {
                sample_rate: 1,
                channels,
            },
            ..audio(&segments)
        }];
        let periods = [Period {
            id: 1,
            start: Duration::ZERO,
            tracks: &tracks,
        }];
        let out = text(&manifest(State::Live(LIVE), &periods));
        assert!(out.contains(&format!("2011\" value=\"{value}\"")), "{out}");
    }
}

#[test]
fn each_planted_fault_is_found() {
    let segments = spans(0, &[180_000; 3]);
    let tracks = [audio(&segments)];
    let periods = [Period {
        id: 1,
        start: Duration::ZERO,
        tracks: &tracks,
    }];
    let sound = text(&manifest(State::Live(LIVE), &periods));
    assert_eq!(judge(&sound), Vec::<String>::new());
    for (old, new, fault) in [
        (" minBufferTime=\"PT2.000S\"", "", "no MPD@minBufferTime"),
        (
            "startWithSAP",
            "startsWithSAP",
            "AdaptationSet@startsWithSAP",
        ),
        (
            "type=\"dynamic\"",
            "type=\"static\"",
            "a duration of what has not ended",
        ),
        (
            " publishTime=\"2025-11-21T18:35:00.000Z\"",
            "",
            "a live manifest without its times",
        ),
        (
            "      <AudioChannelConfiguration",
            "<Label/><AudioChannelConfiguration",
            "order in Representation",
        ),
        (
            "<S t=\"0\" d=\"180000\" r=\"2\"/>",
            "",
            "empty SegmentTimeline",
        ),
        (
            "<SegmentTimeline>",
            "</SegmentTemplate><AudioChannelConfiguration schemeIdUri=\"x\"/><SegmentTemplate media=\"\"><SegmentTimeline>",
            "order in Representation",
        ),
    ] {
        assert!(sound.contains(old), "{old}");
        let found = judge(&sound.replacen(old, new, 1));
        assert!(found.iter().any(|own| own == fault), "{fault}: {found:?}");
    }
    let broken = std::panic::catch_unwind(|| read("<MPD a=\"\" a=\"\"/>"));
    assert!(broken.is_err());
    for broken in [
        "<MPD><Period></MPD>",
        "<MPD a=\"<\"/>",
        "<MPD a=\"&\"/>",
        "<a/><b/>",
    ] {
        let broken = std::panic::catch_unwind(|| read(broken));
        assert!(broken.is_err());
    }
}

/// The segments that a timeline means (§5.3.9.6).
fn unrolled(timeline: &Element) -> Vec<Span> {
    let mut time = 0;
    let mut spans = Vec::new();
    for run in &timeline.children {
        let number = |name| run.get(name).map(|text| text.parse::<u64>().unwrap());
        time = number("t").unwrap_or(time);
        for _ in 0..=number("r").unwrap_or_default() {
            let duration = number("d").unwrap();
            spans.push(Span { time, duration });
            time += duration;
        }
    }
    spans
}

proptest! {
    #[test]
    fn timelines_mean_the_segments_they_are_made_of(
        start in 0_u64..1 << 40,
        steps in prop::collection::vec((1_u64..4, prop::sample::select(vec![0_u64, 0, 0, 0, 5])), 1..50),
    ) {
        let mut time = start;
        let mut segments = Vec::new();
        for (duration, gap) in steps {
            segments.push(Span { time: time + gap, duration });
            time += gap + duration;
        }
        let tracks = [video(&segments)];
        let periods = [Period { id: 1, start: Duration::ZERO, tracks: &tracks }];
        let out = text(&manifest(State::Live(LIVE), &periods));
        let read = read(&out);
        let timeline = read.all("SegmentTimeline")[0];
        prop_assert_eq!(unrolled(timeline), segments);
        // equal neighbours share an element
        let runs = timeline.children.iter().map(|run| (run.get("t").is_none(), run.get("d")));
        let runs: Vec<_> = runs.collect();
        let is_joined = runs.windows(2).all(|two| !(two[1].0 && two[0].1 == two[1].1));
        prop_assert!(is_joined, "{}", out);
    }

    #[test]
    fn no_value_breaks_out(names in any::<[String; 5]>(), rate in any::<f64>(), numbers in any::<[u64; 4]>()) {
        let [uri, prefix, codecs, language, clock] = &names;
        let segments = [Span { time: numbers[0], duration: numbers[1] }, Span { time: numbers[2], duration: numbers[3] }];
        let tracks = [Track { initialization: uri, prefix, suffix: uri, codecs, language: Some(language), early: Some(Duration::MAX), ..video(&segments) }];
        let periods = [Period { id: 1, start: Duration::MAX, tracks: &tracks }];
        let latency = Latency { target: Duration::MAX, min: Duration::ZERO, max: Duration::MAX, min_rate: rate, max_rate: rate };
        let live = Live { http_iso: Some(clock), http_head: Some(clock), latency: Some(latency), ..LIVE };
        let out = text(&manifest(State::Live(live), &periods));
        prop_assert_eq!(judge(&out), Vec::<String>::new());
        let read = read(&out);
        // XML has no such characters at all
        let sound = |c: char| match c {
            '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}' => char::REPLACEMENT_CHARACTER,
            c => c,
        };
        let wanted: String = language.chars().map(sound).collect();
        prop_assert_eq!(read.all("AdaptationSet")[0].get("lang").unwrap(), wanted);
        let media = read.all("SegmentTemplate")[0].get("media").unwrap();
        prop_assert!(media.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>".contains(&byte)));
        // one identifier, and all else escaped
        let unescaped = media.replace("$$", "");
        prop_assert_eq!(unescaped.matches("$Number$").count(), 1, "{}", media);
        prop_assert_eq!(unescaped.matches('$').count(), 2, "{}", media);
    }
}
