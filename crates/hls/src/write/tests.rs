//! Playlists whole against golden files, read by another parser and by the lint, and with names that would break out.
//!
//! With the variable `WEIR_TEST_BLESS` set, golden files are written instead of compared.

use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;
use proptest::sample::Index;

use super::text::{push_seconds, push_uri_line, round_up};
use super::*;
use crate::lint::{self, Listing, Rule};
use crate::playlist::{Line, Value, attributes, lines};
use crate::testing::golden;

const TARGET: Duration = Duration::from_secs(3);
const PART_TARGET: Duration = Duration::from_millis(500);

/// A stream: its segments, each with its parts.
#[derive(Debug, Clone)]
struct Stream {
    name: String,
    first: u64,
    segments: Vec<(Segment, Vec<Part>)>,
}

/// What of it is there at some time.
#[derive(Debug, Clone, Copy)]
struct View<'a> {
    stream: &'a Stream,
    from: usize,
    /// The segment under way.
    to: usize,
    open_parts: usize,
}

impl SegmentUris for View<'_> {
    fn segment(&self, number: u64, out: &mut String) {
        out.push_str(&format!("{}-av-{number}.m4s", self.stream.name));
    }

    fn part(&self, segment: u64, part: u32, out: &mut String) {
        out.push_str(&format!("{}-av-{segment}.{part}.m4s", self.stream.name));
    }

    fn map(&self, number: u64, out: &mut String) {
        out.push_str(&format!("{}-av-{number}.mp4", self.stream.name));
    }

    fn key(&self, number: u64, out: &mut String) {
        out.push_str(&format!("{}-{number}.key", self.stream.name));
    }
}

impl Window for View<'_> {
    fn segments(&self) -> impl Iterator<Item = Segment> {
        let listed = &self.stream.segments[self.from..self.to];
        listed.iter().map(|(segment, _)| *segment)
    }

    fn open(&self) -> Option<Segment> {
        self.stream
            .segments
            .get(self.to)
            .map(|(segment, _)| *segment)
    }

    fn parts(&self, number: u64) -> impl Iterator<Item = Part> {
        let index = (number - self.stream.first) as usize;
        let (_, parts) = &self.stream.segments[index];
        let count = if index == self.to {
            self.open_parts
        } else {
            parts.len()
        };
        parts[..count].iter().copied()
    }
}

impl View<'_> {
    fn playlist(&self) -> MediaPlaylist<'_, Self> {
        let gone = &self.stream.segments[..self.from];
        let gone = gone.iter().filter(|(segment, _)| segment.is_discontinuity);
        MediaPlaylist {
            target_duration: TARGET,
            part_target: Some(PART_TARGET),
            can_block: true,
            can_skip: true,
            skip: false,
            media_sequence: self.stream.first + self.from as u64,
            discontinuity_sequence: gone.count() as u64,
            kind: Kind::Live,
            is_independent: true,
            is_ended: false,
            window: self,
            hint: Some(Hint::Part {
                segment: self.stream.first + self.to as u64,
                part: self.open_parts as u32,
            }),
            reports: &[],
        }
    }
}

fn text<W: Window>(list: &MediaPlaylist<'_, W>) -> String {
    let mut out = String::new();
    list.write(&mut out);
    out
}

fn delta<W: Window>(list: MediaPlaylist<'_, W>) -> String {
    text(&MediaPlaylist { skip: true, ..list })
}

fn parts(count: usize) -> Vec<Part> {
    let part = |index| Part {
        duration: PART_TARGET,
        is_independent: index == 0,
        is_gap: false,
    };
    (0..count).map(part).collect()
}

/// Segments of 2 s from the number 1000, all alike.
fn plain(count: u64) -> Stream {
    let segment = |index| Segment {
        duration: Duration::from_secs(2),
        date: Some(UNIX_EPOCH + Duration::from_millis(1_763_750_615_120 + index * 2000)),
        map: Some(1000),
        key: None,
        is_discontinuity: false,
        is_gap: false,
    };
    Stream {
        name: "cam".to_owned(),
        first: 1000,
        segments: (0..count).map(|index| (segment(index), parts(4))).collect(),
    }
}

fn musts(found: Vec<lint::Finding>) -> Vec<String> {
    let found = found.into_iter().filter(|finding| finding.rule.is_must());
    found.map(|finding| finding.to_string()).collect()
}

#[test]
fn low_latency() {
    let mut stream = plain(12);
    stream.segments[9].0.is_discontinuity = true;
    for (segment, _) in &mut stream.segments[9..] {
        segment.map = Some(1009);
    }
    stream.segments[8].0.is_gap = true;
    stream.segments[8].1[3].is_gap = true;
    let view = View {
        stream: &stream,
        from: 0,
        to: 11,
        open_parts: 2,
    };
    let reports = [
        RenditionReport {
            uri: "cam-a.m3u8",
            last_segment: 1011,
            last_part: Some(1),
        },
        RenditionReport {
            uri: "cam-v.m3u8",
            last_segment: 1010,
            last_part: None,
        },
    ];
    let list = MediaPlaylist {
        reports: &reports,
        ..view.playlist()
    };
    let full = text(&list);
    golden("low_latency.m3u8", &full);
    assert_eq!(lint::check(&full), []);
    let update = delta(list);
    golden("low_latency_delta.m3u8", &update);
    assert_eq!(lint::check(&update), []);
    assert_eq!(lint::check_delta(&full, &update), []);

    // the hint may be a map, before a segment with another one
    let hint = Some(Hint::Map(1012));
    let view = View {
        stream: &stream,
        from: 0,
        to: 11,
        open_parts: 0,
    };
    let mapped = text(&MediaPlaylist {
        hint,
        ..view.playlist()
    });
    assert!(mapped.ends_with("1010.m4s\n#EXT-X-PRELOAD-HINT:TYPE=MAP,URI=\"cam-av-1012.mp4\"\n"));
}

#[test]
fn plain_and_ended() {
    let mut stream = plain(4);
    for (segment, _) in &mut stream.segments {
        segment.map = None;
    }
    stream.segments[2].0.is_discontinuity = true;
    let view = View {
        stream: &stream,
        from: 1,
        to: 4,
        open_parts: 0,
    };
    let list = MediaPlaylist {
        part_target: None,
        can_block: false,
        can_skip: false,
        ..view.playlist()
    };
    golden("live.m3u8", &text(&list));
    assert_eq!(lint::check(&text(&list)), []);
    let list = MediaPlaylist {
        kind: Kind::Event,
        is_ended: true,
        ..view.playlist()
    };
    golden("event_ended.m3u8", &text(&list));
    assert_eq!(lint::check(&text(&list)), []);
    let list = MediaPlaylist {
        kind: Kind::Vod,
        is_ended: true,
        skip: true,
        discontinuity_sequence: 0,
        ..view.playlist()
    };
    golden("vod.m3u8", &text(&list));
    assert_eq!(lint::check(&text(&list)), []);
}

#[test]
fn encrypted() {
    let mut stream = plain(16);
    let key = |number: u64, iv| Some(Key { number, iv });
    for (index, (segment, _)) in stream.segments.iter_mut().enumerate() {
        segment.key = match index {
            0..3 => None,
            3..8 => key(1, Some([0xab; 16])),
            8..12 => key(2, Some([7; 16])),
            _ => None,
        };
        segment.map = Some(if index < 10 { 1000 } else { 1010 });
        segment.is_discontinuity = index == 10;
    }
    let view = View {
        stream: &stream,
        from: 0,
        to: 15,
        open_parts: 1,
    };
    let full = text(&view.playlist());
    golden("encrypted.m3u8", &full);
    assert_eq!(lint::check(&full), []);
    // whatever of it is skipped, keys and maps come out the same
    for from in 0..3 {
        for to in 10..16 {
            let view = View {
                stream: &stream,
                from,
                to,
                open_parts: 0,
            };
            let (full, update) = (text(&view.playlist()), delta(view.playlist()));
            let merged = Listing::parse(&full).0.merge(&Listing::parse(&update).0);
            assert_eq!(merged.unwrap(), Listing::parse(&full).0, "{update}");
        }
    }
    // the key ends where the update begins, and that has to be said
    let view = View {
        stream: &stream,
        from: 0,
        to: 15,
        open_parts: 0,
    };
    let list = MediaPlaylist {
        target_duration: Duration::from_secs(1),
        part_target: None,
        skip: true,
        ..view.playlist()
    };
    assert_eq!(list.skipped(), 12);
    let update = text(&list);
    golden("encrypted_delta.m3u8", &update);
}

#[test]
fn skips_from_six_target_durations_on() {
    let stream = plain(20);
    for (to, skipped) in [(0, 0), (1, 0), (9, 0), (10, 1), (11, 2), (19, 10)] {
        let view = View {
            stream: &stream,
            from: 0,
            to,
            open_parts: 3,
        };
        let list = MediaPlaylist {
            skip: true,
            ..view.playlist()
        };
        assert_eq!(list.skipped(), skipped, "{to}");
        assert_eq!(
            MediaPlaylist {
                can_skip: false,
                ..list
            }
            .skipped(),
            0
        );
        let version = Listing::parse(&text(&list)).0.version;
        assert_eq!(version, if skipped > 0 { 9 } else { 6 });
    }
}

#[test]
fn nothing_yet() {
    let stream = plain(1);
    let view = View {
        stream: &stream,
        from: 0,
        to: 0,
        open_parts: 1,
    };
    golden("first_part.m3u8", &text(&view.playlist()));
    let empty = Stream {
        segments: Vec::new(),
        ..stream
    };
    let view = View {
        stream: &empty,
        from: 0,
        to: 0,
        open_parts: 0,
    };
    let list = Listing::parse(&text(&view.playlist())).0;
    assert_eq!(
        (list.segments.len(), list.media_sequence, list.version),
        (0, 1000, 3)
    );
}

#[test]
fn target_durations_are_whole_and_at_least_one() {
    let stream = plain(1);
    let view = View {
        stream: &stream,
        from: 0,
        to: 0,
        open_parts: 0,
    };
    for (millis, target) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (4000, 4)] {
        let target_duration = Duration::from_millis(millis);
        let list = MediaPlaylist {
            target_duration,
            ..view.playlist()
        };
        assert_eq!(Listing::parse(&text(&list)).0.target, Some(target));
    }
    let list = MediaPlaylist {
        part_target: Some(Duration::from_nanos(333_333_333)),
        ..view.playlist()
    };
    let out = text(&list);
    assert!(
        out.contains("PART-TARGET=0.33334\n") && out.contains("PART-HOLD-BACK=1.00002,"),
        "{out}"
    );
}

#[test]
fn multivariant() {
    let audio = [
        AudioRendition {
            group: "aud",
            name: "Deutsch",
            language: Some("de"),
            channels: Some(2),
            is_default: true,
            uri: Some("cam-a.m3u8"),
        },
        AudioRendition {
            group: "aud",
            name: "in the picture's segments",
            language: None,
            channels: None,
            is_default: false,
            uri: None,
        },
    ];
    let video = Variant {
        uri: "cam-v.m3u8",
        bandwidth: 4_200_000,
        average_bandwidth: Some(3_900_000),
        codecs: &["avc1.640028", "", "mp4a.40.2"],
        resolution: Some((1920, 1080)),
        frame_rate: Some(30000.0 / 1001.0),
        audio: Some("aud"),
    };
    let sound = Variant {
        uri: "cam-a.m3u8",
        bandwidth: 0,
        average_bandwidth: None,
        codecs: &["mp4a.40.2"],
        resolution: None,
        frame_rate: Some(f64::NAN),
        audio: None,
    };
    let variants = [video, sound];
    let list = Multivariant {
        is_independent: true,
        audio: &audio,
        variants: &variants,
    };
    let mut out = String::new();
    list.write(&mut out);
    golden("multivariant.m3u8", &out);
    let read = m3u8_rs::parse_master_playlist_res(out.as_bytes()).unwrap();
    assert_eq!(read.variants.len(), 2);
    assert_eq!(
        read.variants[0].codecs.as_deref(),
        Some("avc1.640028,mp4a.40.2")
    );
    assert_eq!(read.variants[0].frame_rate, Some(29.97));
    assert_eq!(read.variants[1].bandwidth, 1);
    assert_eq!(read.alternatives.len(), 2);
    assert!(read.independent_segments);

    let sound = [Variant {
        codecs: &[],
        ..sound
    }];
    let mut out = String::new();
    Multivariant {
        is_independent: false,
        audio: &[],
        variants: &sound,
    }
    .write(&mut out);
    assert_eq!(
        out,
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CLOSED-CAPTIONS=NONE\ncam-a.m3u8\n"
    );
}

#[test]
fn a_uri_is_no_comment() {
    let line = |uri: &str| {
        let mut out = String::new();
        push_uri_line(&mut out, |out| out.push_str(uri));
        out
    };
    assert_eq!(line("#EXT-X-ENDLIST"), "%23EXT-X-ENDLIST\n");
    assert_eq!(line("a#b \r\nü{$x}"), "a#b%20%0D%0A%C3%BC%7B$x%7D\n");
}

#[test]
fn dates() {
    let date = |millis: u64| {
        let mut out = String::new();
        push_date(&mut out, UNIX_EPOCH + Duration::from_millis(millis));
        out
    };
    assert_eq!(date(0), "1970-01-01T00:00:00.000Z");
    assert_eq!(date(951_782_399_999), "2000-02-28T23:59:59.999Z");
    assert_eq!(date(951_782_400_000), "2000-02-29T00:00:00.000Z");
    assert_eq!(date(951_868_800_000), "2000-03-01T00:00:00.000Z");
    assert_eq!(date(1_735_689_599_001), "2024-12-31T23:59:59.001Z");
    assert_eq!(date(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
    assert_eq!(date(253_402_300_799_000), "9999-12-31T23:59:59.000Z");
    assert_eq!(date(253_402_300_800_000), "9999-12-31T23:59:59.000Z");
    let mut out = String::new();
    push_date(&mut out, UNIX_EPOCH - Duration::from_secs(1));
    assert_eq!(out, "1970-01-01T00:00:00.000Z");
}

#[test]
fn seconds() {
    let nanos = |nanos| {
        let (mut down, mut up) = (String::new(), String::new());
        push_seconds(&mut down, Duration::from_nanos(nanos));
        push_seconds(&mut up, round_up(Duration::from_nanos(nanos)));
        (down, up)
    };
    let both = |down: &str, up: &str| (down.to_owned(), up.to_owned());
    assert_eq!(nanos(0), both("0.000", "0.000"));
    assert_eq!(nanos(2_000_000_000), both("2.000", "2.000"));
    assert_eq!(nanos(2_499_999_999), both("2.49999", "2.500"));
    assert_eq!(nanos(333_333_333), both("0.33333", "0.33334"));
    assert_eq!(nanos(20_100_000), both("0.0201", "0.0201"));
    assert_eq!(nanos(u64::MAX).0, "18446744073.70955");
}

/// Streams whose parts and segments keep the rules of the draft.
fn streams() -> impl Strategy<Value = Stream> {
    let part = (
        425_000_u64..=500_000,
        any::<bool>(),
        prop::bool::weighted(0.1),
    );
    let part = part.prop_map(|(micros, is_independent, is_gap)| Part {
        duration: Duration::from_micros(micros),
        is_independent,
        is_gap,
    });
    let last = 10_000_u64..=500_000;
    let segment = (
        (prop::collection::vec(part, 0..6), last),
        prop::option::of(0_u64..4_000_000_000_000),
        prop::bool::weighted(0.2),
        0_u64..3,
        prop::bool::weighted(0.1),
    );
    let segment = segment.prop_map(|((mut parts, last), date, is_discontinuity, key, is_gap)| {
        parts.push(Part {
            duration: Duration::from_micros(last),
            is_independent: false,
            is_gap,
        });
        let segment = Segment {
            duration: parts.iter().map(|part| part.duration).sum(),
            date: date.map(|date| UNIX_EPOCH + Duration::from_millis(date)),
            map: None,
            key: (key > 0).then_some(Key {
                number: key,
                iv: Some([key as u8; 16]),
            }),
            is_discontinuity,
            is_gap,
        };
        (segment, parts)
    });
    let segments = prop::collection::vec(segment, 1..40);
    (segments, 0..u64::MAX / 2, any::<bool>()).prop_map(|(mut segments, first, has_map)| {
        let mut map = first;
        for (number, (segment, _)) in (first..).zip(&mut segments) {
            if segment.is_discontinuity {
                map = number;
            }
            segment.map = has_map.then_some(map);
        }
        Stream {
            name: "s".to_owned(),
            first,
            segments,
        }
    })
}

/// A window of a stream; later ones for larger `at`.
fn view<'a>(stream: &'a Stream, from: &Index, to: &Index, open: &Index) -> View<'a> {
    let to = to.index(stream.segments.len());
    View {
        stream,
        from: from.index(to + 1),
        to,
        open_parts: open.index(stream.segments[to].1.len()),
    }
}

fn names(value: Option<&str>) -> Vec<&str> {
    let attributes = attributes(value.unwrap_or_default());
    attributes.map(|(name, _)| name).collect()
}

proptest! {
    #[test]
    fn another_parser_reads_the_same(stream in streams(), from: Index, to: Index, open: Index) {
        let view = view(&stream, &from, &to, &open);
        let list = view.playlist();
        let out = text(&list);
        let read = m3u8_rs::parse_media_playlist_res(out.as_bytes()).unwrap();
        prop_assert_eq!(read.media_sequence, list.media_sequence);
        prop_assert_eq!(read.discontinuity_sequence, list.discontinuity_sequence);
        prop_assert_eq!(read.target_duration, 3);
        prop_assert_eq!(read.segments.len(), view.to - view.from);
        for (index, (read, segment)) in read.segments.iter().zip(view.segments()).enumerate() {
            prop_assert!((f64::from(read.duration) - segment.duration.as_secs_f64()).abs() < 1e-4);
            prop_assert_eq!(read.discontinuity, segment.is_discontinuity);
            prop_assert_eq!(read.program_date_time.is_some(), segment.date.is_some());
            let number = list.media_sequence + index as u64;
            prop_assert_eq!(&read.uri, &format!("s-av-{number}.m4s"));
        }
    }

    #[test]
    fn the_rules_are_kept(stream in streams(), from: Index, to: Index, open: Index) {
        let view = view(&stream, &from, &to, &open);
        let (full, update) = (text(&view.playlist()), delta(view.playlist()));
        prop_assert_eq!(musts(lint::check(&full)), Vec::<String>::new());
        prop_assert_eq!(musts(lint::check(&update)), Vec::<String>::new());
        prop_assert_eq!(musts(lint::check_delta(&full, &update)), Vec::<String>::new());
        let (full, update) = (Listing::parse(&full).0, Listing::parse(&update).0);
        // players that carry nothing over from what was skipped find map and key too
        for (own, segment) in update.segments.iter().rev().zip(full.segments.iter().rev()) {
            prop_assert_eq!(&own.map, &segment.map);
            prop_assert_eq!(own.key.as_deref().filter(|key| *key != "METHOD=NONE"), segment.key.as_deref());
        }
        let merged = full.merge(&update);
        prop_assert_eq!(merged, Some(full));
    }

    #[test]
    fn reloads_agree(stream in streams(), window: [Index; 3], steps in prop::collection::vec((0_usize..3, 0_usize..3, any::<Index>()), 1..6)) {
        let [from, to, open] = &window;
        let mut now = view(&stream, from, to, open);
        for (forget, add, open) in steps {
            let before = text(&now.playlist());
            let mut next = now;
            next.to = (now.to + add).min(stream.segments.len() - 1);
            next.from = (now.from + forget).min(next.to);
            next.open_parts = open.index(stream.segments[next.to].1.len());
            if next.to == now.to {
                next.open_parts = next.open_parts.max(now.open_parts);
            }
            for after in [text(&next.playlist()), delta(next.playlist())] {
                let mut found = match after.contains("EXT-X-SKIP") {
                    true => lint::check_delta(&before, &after),
                    false => lint::check_reload(&before, &after),
                };
                // windows here are of any length, and forget what they like
                found.retain(|finding| finding.rule != Rule::WindowShort);
                if next.from <= now.to {
                    let skips_unknown = found.iter().any(|finding| finding.rule == Rule::Skip);
                    prop_assert!(skips_unknown || found.is_empty(), "{:?}\n{}\n{}", found, before, after);
                }
            }
            now = next;
        }
    }

    #[test]
    fn no_name_breaks_out(name in any::<String>(), stream in streams(), from: Index, to: Index) {
        let report = format!("{name}\"x");
        let reports = [RenditionReport { uri: &report, last_segment: 1, last_part: None }];
        let write = |stream: &Stream| {
            let view = view(stream, &from, &to, &to);
            text(&MediaPlaylist { reports: &reports, ..view.playlist() })
        };
        let plain = write(&stream);
        let out = write(&Stream { name, ..stream });
        prop_assert!(out.bytes().all(|byte| byte == b'\n' || byte.is_ascii_graphic()));
        prop_assert_eq!(out.lines().count(), plain.lines().count());
        for (own, other) in lines(&out).zip(lines(&plain)) {
            match (own, other) {
                (Line::Tag { name, value }, Line::Tag { name: plain_name, value: plain }) => {
                    prop_assert_eq!(name, plain_name);
                    prop_assert_eq!(names(value), names(plain));
                }
                (Line::Uri(_), Line::Uri(_)) => {}
                lines => prop_assert!(false, "{:?}", lines),
            }
        }
    }

    #[test]
    fn no_name_breaks_out_of_a_multivariant_playlist(names in any::<[String; 5]>(), rate in any::<f64>()) {
        let [group, name, language, codec, uri] = &names;
        let uri = format!("{uri}.m3u8");
        let rendition = AudioRendition { group, name, language: Some(language), channels: Some(2), is_default: true, uri: Some(&uri) };
        let codecs = [codec.as_str(), "mp4a.40.2"];
        let variant = Variant { uri: &uri, bandwidth: 1, average_bandwidth: None, codecs: &codecs, resolution: None, frame_rate: Some(rate), audio: Some(group) };
        let mut out = String::new();
        Multivariant { is_independent: false, audio: &[rendition], variants: &[variant] }.write(&mut out);
        let lines: Vec<_> = lines(&out).collect();
        prop_assert_eq!(lines.len(), 5);
        let Line::Tag { name: "#EXT-X-MEDIA", value: Some(value) } = lines[2] else { panic!("{out}") };
        let read: Vec<_> = attributes(value).collect();
        let keys: Vec<_> = read.iter().map(|(name, _)| *name).collect();
        prop_assert_eq!(keys, ["TYPE", "GROUP-ID", "NAME", "LANGUAGE", "DEFAULT", "AUTOSELECT", "CHANNELS", "URI"]);
        let clean: String = name.chars().map(|c| match c { '"' => '\'', c if c.is_control() => ' ', c => c }).collect();
        prop_assert_eq!(read[2].1, Value::Quoted(&clean));
        let Line::Tag { name: "#EXT-X-STREAM-INF", value: Some(value) } = lines[3] else { panic!("{out}") };
        let group = |name: &str, value: &str| attributes(value).find(|(own, _)| *own == name).map(|(_, value)| value.text().to_owned());
        prop_assert_eq!(group("AUDIO", value).unwrap(), read[1].1.text());
        prop_assert!(group("CODECS", value).unwrap().ends_with("mp4a.40.2"));
        prop_assert!(matches!(lines[4], Line::Uri(uri) if uri.is_ascii() && !uri.contains(['"', ' '])));
    }
}
