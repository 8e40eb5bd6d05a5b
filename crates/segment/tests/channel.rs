//! Channels in virtual time: what is answered when, and what the texts and bodies say.

#![expect(
    clippy::disallowed_methods,
    reason = "tests need some instant to begin with"
)]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use weir_media::{AudioCodec, Codec, Frame, Role, Timestamp, TrackId, VideoCodec};
use weir_segment::{
    Anchor, Answer, Ask, Cache, Channel, Encryption, File, Keep, List, More, Reply, Rhythm,
    Settings, View,
};

/// 640 x 360 pictures, Baseline, level 3.
const AVC: &[u8] = &[
    1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 10, 0x67, 0x42, 0xc0, 0x1e, 0xda, 0x02, 0x80, 0xbf, 0xe5,
    0x40, 1, 0, 4, 0x68, 0xce, 0x3c, 0x80,
];

/// 44.1 kHz, stereo, LC.
const AAC: &[u8] = &[0x12, 0x10];

const BOTH: File = File::Playlist(List::Fmp4(View::Both));

/// A stream and its channel.
struct Show {
    channel: Channel,
    begin: Instant,
    /// Media time, in milliseconds.
    at: i64,
    /// Pictures so far.
    pictures: i64,
    /// Frames of sound so far.
    sounds: i64,
    gop: i64,
    step: i64,
    has_sound: bool,
    reorder: i64,
}

fn frame(track: TrackId, codec: Codec, role: Role, millis: i64, payload: &[u8]) -> Frame {
    Frame {
        track,
        codec,
        role,
        dts: Timestamp::from_millis(millis),
        composition: Timestamp::ZERO,
        packet: Bytes::copy_from_slice(payload),
        payload_at: 0,
    }
}

impl Show {
    fn new(settings: Settings) -> Self {
        let begin = Instant::now();
        let wallclock = SystemTime::UNIX_EPOCH + Duration::from_secs(1_735_689_600 + 1000);
        let anchor = Anchor {
            now: begin,
            wallclock,
        };
        let mut channel = Channel::new(Arc::new(settings), "x", anchor, Rhythm::default(), [1; 32]);
        channel.publish(begin);
        Self {
            channel,
            begin,
            at: 0,
            pictures: 0,
            sounds: 0,
            gop: 25,
            step: 40,
            has_sound: true,
            reorder: 0,
        }
    }

    fn now(&self) -> Instant {
        self.begin + Duration::from_millis(self.at.unsigned_abs())
    }

    fn push(&mut self, frame: &Frame) -> bool {
        let now = self.now();
        self.channel.push(now, frame)
    }

    fn configure(&mut self) {
        let video = frame(
            TrackId::VIDEO,
            Codec::Video(VideoCodec::H264),
            Role::Config,
            self.at,
            AVC,
        );
        self.push(&video);
        if self.has_sound {
            let audio = frame(
                TrackId::AUDIO,
                Codec::Audio(AudioCodec::Aac),
                Role::Config,
                self.at,
                AAC,
            );
            self.push(&audio);
        }
    }

    /// Publishes so many pictures and the sound beside them.
    fn run(&mut self, pictures: i64) {
        for _ in 0..pictures {
            let is_key = self.pictures % self.gop == 0;
            let role = if is_key { Role::Key } else { Role::Delta };
            let kind = if is_key { 0x65 } else { 0x41 };
            let payload = [0, 0, 0, 3, kind, self.pictures as u8, 0x80];
            let mut picture = frame(
                TrackId::VIDEO,
                Codec::Video(VideoCodec::H264),
                role,
                self.at,
                &payload,
            );
            picture.composition = Timestamp::from_millis(self.reorder);
            self.push(&picture);
            self.pictures += 1;
            self.at += self.step;
            while self.has_sound && self.sounds * 1024 * 1000 / 44_100 < self.at {
                let millis = self.sounds * 1024 * 1000 / 44_100;
                let sound = frame(
                    TrackId::AUDIO,
                    Codec::Audio(AudioCodec::Aac),
                    Role::Delta,
                    millis,
                    &[0x21, self.sounds as u8],
                );
                self.push(&sound);
                self.sounds += 1;
            }
        }
    }

    fn ask(&mut self, file: File, query: &str) -> Answer {
        let now = self.now();
        self.ask_since(file, query, now)
    }

    fn ask_since(&mut self, file: File, query: &str, since: Instant) -> Answer {
        let ask = Ask {
            file,
            query,
            accepts_gzip: true,
            since,
        };
        let now = self.now();
        self.channel.ask(now, &ask)
    }

    fn ready(&mut self, file: File, query: &str) -> Reply {
        match self.ask(file, query) {
            Answer::Ready(reply) => reply,
            other => panic!("{file:?} {query}: {other:?}"),
        }
    }

    fn text(&mut self, file: File, query: &str) -> String {
        let reply = self.ready(file, query);
        assert_eq!(reply.status, 200, "{file:?} {query}: {:?}", reply.body);
        String::from_utf8(reply.body.concat()).expect("a text")
    }

    fn status(&mut self, file: File, query: &str) -> u16 {
        self.ready(file, query).status
    }

    /// The media sequence number of a list.
    fn first(&mut self, file: File) -> u64 {
        let text = self.text(file, "");
        number(&text, "#EXT-X-MEDIA-SEQUENCE:")
    }
}

fn number(text: &str, tag: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(tag));
    line.expect(tag).parse().expect("a number")
}

fn count(text: &str, tag: &str) -> usize {
    text.lines().filter(|line| line.starts_with(tag)).count()
}

fn live() -> Show {
    let mut show = Show::new(Settings::default());
    show.configure();
    show
}

#[test]
fn lists_wait_for_the_first_segment_and_no_longer() {
    let mut show = live();
    show.run(25);
    assert!(matches!(show.ask(BOTH, ""), Answer::Wait { .. }));
    // the next key frame ends it
    show.run(1);
    let text = show.text(BOTH, "");
    assert_eq!(count(&text, "#EXTINF:1"), 1, "{text}");
    assert_eq!(number(&text, "#EXT-X-MEDIA-SEQUENCE:"), 1000);
    let text = show.text(File::Multivariant, "");
    assert!(text.contains("CODECS=\"avc1.42c01e,mp4a.40.2\""), "{text}");
    assert!(text.contains("FRAME-RATE=25.000"), "{text}");
    assert!(
        text.contains("x-av.m3u8") && text.contains("x-a.m3u8"),
        "{text}"
    );
}

#[test]
fn a_stream_without_segments_is_missing_after_a_while() {
    let mut show = live();
    let since = show.now();
    show.at += 15_001;
    match show.ask_since(BOTH, "", since) {
        Answer::Ready(reply) => assert_eq!((reply.status, reply.cache), (404, Cache::Seconds(1))),
        other => panic!("{other:?}"),
    }
}

#[test]
fn parts_are_cut_listed_and_hinted() {
    let mut show = live();
    show.run(25 * 5 + 13);
    let text = show.text(BOTH, "");
    assert!(text.contains("#EXT-X-PART-INF:PART-TARGET=0.2"), "{text}");
    assert!(text.contains("PART-HOLD-BACK=0.6"), "{text}");
    let parts: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("#EXT-X-PART:"))
        .collect();
    assert!(parts.len() > 10, "{text}");
    for part in &parts {
        assert!(part.contains("DURATION=0.2"), "{part}");
    }
    let hint = text
        .lines()
        .find(|line| line.starts_with("#EXT-X-PRELOAD-HINT"))
        .expect("a hint");
    // 1 s, then two of 2 s, and the next has had 12 pictures: two parts of five
    assert!(hint.contains("x-av-1003.2.m4s"), "{hint}");
    assert_eq!(
        show.status(
            File::Part {
                view: View::Both,
                msn: 1003,
                part: 1
            },
            ""
        ),
        200
    );
    let next = File::Part {
        view: View::Both,
        msn: 1003,
        part: 2,
    };
    assert!(matches!(show.ask(next, ""), Answer::Wait { .. }));
    assert_eq!(
        show.status(
            File::Part {
                view: View::Both,
                msn: 1003,
                part: 3
            },
            ""
        ),
        404
    );
    assert_eq!(
        show.status(
            File::Part {
                view: View::Both,
                msn: u64::MAX,
                part: 0
            },
            ""
        ),
        404
    );
    assert_eq!(
        show.status(
            File::Part {
                view: View::Both,
                msn: 1,
                part: 0
            },
            ""
        ),
        404
    );
    show.run(5);
    assert_eq!(show.status(next, ""), 200);
}

#[test]
fn parts_make_up_their_segment_byte_for_byte() {
    let mut show = live();
    show.run(25 * 5);
    for view in View::ALL {
        let whole = show
            .ready(File::Segment { view, msn: 1001 }, "")
            .body
            .concat();
        let mut parts = Vec::new();
        for part in 0..10 {
            parts.extend(
                show.ready(
                    File::Part {
                        view,
                        msn: 1001,
                        part,
                    },
                    "",
                )
                .body
                .concat(),
            );
        }
        assert_eq!(whole, parts, "{view:?}");
    }
}

#[test]
fn blocked_lists_come_with_what_they_wait_for() {
    let mut show = live();
    show.run(25 * 5 + 1);
    let since = show.now();
    for query in [
        "_HLS_msn=1003",
        "_HLS_msn=1003&_HLS_part=7",
        "_HLS_msn=1004&_HLS_part=0",
    ] {
        assert!(
            matches!(show.ask(BOTH, query), Answer::Wait { .. }),
            "{query}"
        );
    }
    for query in [
        "_HLS_msn=1005",
        "_HLS_msn=18446744073709551615",
        "_HLS_part=1",
        "_HLS_msn=x",
        "_HLS_msn=-1",
    ] {
        assert_eq!(show.status(BOTH, query), 400, "{query}");
    }
    assert_eq!(show.status(BOTH, "_HLS_msn=1"), 200);
    show.run(25 * 2);
    let reply = show.ready(BOTH, "_HLS_msn=1003");
    assert_eq!((reply.status, reply.cache), (200, Cache::Seconds(12)));
    // a publisher that is silent: three target durations, then a clear answer
    show.at += 6_001;
    let Answer::Ready(reply) = show.ask_since(BOTH, "_HLS_msn=1005", since) else {
        panic!("it still waits");
    };
    assert_eq!((reply.status, reply.retry_after), (503, Some(1)));
}

#[test]
fn a_delta_update_leaves_old_segments_out() {
    let mut show = live();
    show.run(25 * 30);
    let full = show.text(BOTH, "");
    let delta = show.text(BOTH, "_HLS_skip=YES");
    let skipped = delta
        .lines()
        .find_map(|line| line.strip_prefix("#EXT-X-SKIP:SKIPPED-SEGMENTS="));
    let skipped: usize = skipped.expect("a skip").parse().expect("a number");
    assert_eq!(count(&full, "#EXTINF"), count(&delta, "#EXTINF") + skipped);
}

#[test]
fn the_window_slides_and_old_segments_stay_for_a_while() {
    let mut show = live();
    show.run(25 * 200);
    let first = show.first(BOTH);
    let text = show.text(BOTH, "");
    assert!((14..=16).contains(&count(&text, "#EXTINF")), "{text}");
    let old = File::Segment {
        view: View::Both,
        msn: first - 1,
    };
    assert_eq!(show.status(old, ""), 200);
    let older = File::Segment {
        view: View::Both,
        msn: first - 20,
    };
    assert_eq!(show.status(older, ""), 404);
    assert!(show.channel.segments() < 34);
}

#[test]
fn bytes_are_bounded() {
    let mut settings = Settings {
        max_bytes: 100_000,
        ..Settings::default()
    };
    settings.keep = Keep::Event;
    let mut show = Show::new(settings);
    show.configure();
    let payload = vec![0x41; 5_000];
    for n in 0..1_000 {
        let role = if n % 25 == 0 { Role::Key } else { Role::Delta };
        let picture = frame(
            TrackId::VIDEO,
            Codec::Video(VideoCodec::H264),
            role,
            show.at,
            &payload,
        );
        show.push(&picture);
        show.at += 40;
        assert!(show.channel.memory() < 130_000, "{}", show.channel.memory());
    }
    // what has lost its beginning is no event's list
    assert!(!show.text(BOTH, "").contains("PLAYLIST-TYPE"));
}

#[test]
fn an_event_keeps_everything_and_becomes_vod() {
    let mut show = Show::new(Settings {
        keep: Keep::Event,
        ..Settings::default()
    });
    show.configure();
    show.run(25 * 100);
    let text = show.text(BOTH, "");
    assert!(text.contains("#EXT-X-PLAYLIST-TYPE:EVENT"), "{text}");
    assert_eq!(number(&text, "#EXT-X-MEDIA-SEQUENCE:"), 1000);
    show.channel.end();
    let text = show.text(BOTH, "");
    assert!(
        text.contains("#EXT-X-PLAYLIST-TYPE:VOD") && text.contains("#EXT-X-ENDLIST"),
        "{text}"
    );
}

#[test]
fn an_end_answers_those_who_wait() {
    let mut show = live();
    show.run(25 * 4);
    assert!(matches!(
        show.ask(BOTH, "_HLS_msn=1003&_HLS_part=3"),
        Answer::Wait { .. }
    ));
    show.channel.end();
    assert!(
        show.text(BOTH, "_HLS_msn=1003&_HLS_part=3")
            .contains("#EXT-X-ENDLIST")
    );
    assert_eq!(
        show.status(
            File::Part {
                view: View::Both,
                msn: 1003,
                part: 0
            },
            ""
        ),
        404
    );
    // who publishes next begins another list, with numbers that go on
    let now = show.now();
    show.channel.publish(now);
    show.pictures = 0;
    show.configure();
    show.run(26);
    let text = show.text(BOTH, "");
    assert!(!text.contains("ENDLIST"), "{text}");
    assert!(number(&text, "#EXT-X-MEDIA-SEQUENCE:") >= 1003, "{text}");
}

#[test]
fn a_publisher_that_returns_is_a_discontinuity_and_a_period() {
    let mut show = live();
    show.run(25 * 4);
    show.channel.pause();
    show.at += 3_000;
    show.sounds = show.at * 441 / 10 / 1024;
    let now = show.now();
    show.channel.publish(now);
    show.pictures = 0;
    show.configure();
    show.run(25 * 4);
    let text = show.text(BOTH, "");
    assert_eq!(count(&text, "#EXT-X-DISCONTINUITY\n".trim()), 2, "{text}");
    assert_eq!(count(&text, "#EXT-X-MAP"), 2, "{text}");
    let manifest = show.text(File::Manifest, "");
    assert_eq!(manifest.matches("<Period").count(), 2, "{manifest}");
}

#[test]
fn a_codec_change_is_a_discontinuity() {
    let mut show = live();
    show.run(25 * 4);
    let mut other = AVC.to_vec();
    if let Some(level) = other.get_mut(3) {
        *level = 0x1f;
    }
    let config = frame(
        TrackId::VIDEO,
        Codec::Video(VideoCodec::H264),
        Role::Config,
        show.at,
        &other,
    );
    show.push(&config);
    show.run(25 * 4);
    let text = show.text(BOTH, "");
    assert_eq!(count(&text, "#EXT-X-MAP"), 2, "{text}");
    // the same configuration again is none
    show.push(&config);
    show.run(25 * 2);
    assert_eq!(count(&show.text(BOTH, ""), "#EXT-X-MAP"), 2);
}

#[test]
fn a_segment_listed_before_other_codecs_came_is_empty() {
    let mut show = live();
    show.run(25 * 4);
    let manifest = show.text(File::Manifest, "");
    assert!(
        manifest.contains("media=\"x-v-1000-$Number$.m4s\""),
        "{manifest}"
    );
    let listed = |first, msn| File::Listed {
        view: View::Video,
        first,
        msn,
    };
    let complete = show.ready(listed(1000, 1001), "").body.concat();
    let view = View::Video;
    let plain = show.ready(File::Segment { view, msn: 1001 }, "");
    assert_eq!(complete, plain.body.concat());
    // the next one was announced, and is waited for
    assert!(matches!(
        show.ask(listed(1000, 1003), ""),
        Answer::Wait { .. }
    ));
    show.channel.pause();
    let now = show.now();
    show.channel.publish(now);
    show.pictures = 0;
    let mut other = AVC.to_vec();
    if let Some(level) = other.get_mut(3) {
        *level = 0x1f;
    }
    show.push(&frame(
        TrackId::VIDEO,
        Codec::Video(VideoCodec::H264),
        Role::Config,
        show.at,
        &other,
    ));
    show.run(25 * 3);
    let open = show.channel.segments() as u64 + 1000;
    for msn in [open - 1, open] {
        let empty = show.ready(listed(1000, msn), "");
        assert_eq!((empty.status, empty.length()), (200, 20), "{msn}");
        assert_ne!(empty.cache, Cache::Immutable);
    }
    let first = open - 1;
    assert!(show.ready(listed(first, first), "").length() > 100);
    // and what was before it is not listed with it
    assert_eq!(show.status(listed(first, 1001), ""), 404);
    assert_eq!(show.status(listed(0, u64::MAX), ""), 404);
    assert_eq!(show.status(listed(u64::MAX, first), ""), 404);
}

#[test]
fn sound_alone_is_served() {
    let mut show = Show::new(Settings::default());
    let config = frame(
        TrackId::AUDIO,
        Codec::Audio(AudioCodec::Aac),
        Role::Config,
        0,
        AAC,
    );
    show.push(&config);
    for n in 0..600 {
        show.at = n * 1024 * 1000 / 44_100;
        let sound = frame(
            TrackId::AUDIO,
            Codec::Audio(AudioCodec::Aac),
            Role::Delta,
            show.at,
            &[0x21, 1],
        );
        show.push(&sound);
    }
    let text = show.text(File::Multivariant, "");
    assert!(
        text.contains("CODECS=\"mp4a.40.2\"") && !text.contains("RESOLUTION"),
        "{text}"
    );
    let text = show.text(BOTH, "");
    assert!(
        count(&text, "#EXTINF:2.0") + count(&text, "#EXTINF:1.9") >= 4,
        "{text}"
    );
    assert_eq!(
        show.status(
            File::Segment {
                view: View::Video,
                msn: 1001
            },
            ""
        ),
        404
    );
}

#[test]
fn pictures_alone_are_served() {
    let mut show = Show::new(Settings::default());
    show.has_sound = false;
    show.configure();
    show.run(25 * 5);
    let text = show.text(File::Multivariant, "");
    assert!(
        text.contains("CODECS=\"avc1.42c01e\"") && !text.contains("x-a.m3u8"),
        "{text}"
    );
    assert_eq!(
        show.status(
            File::Segment {
                view: View::Audio,
                msn: 1001
            },
            ""
        ),
        404
    );
}

#[test]
fn a_gop_of_a_minute_is_cut_all_the_same() {
    let mut show = live();
    show.gop = 60 * 25;
    show.run(25 * 45);
    let text = show.text(BOTH, "");
    assert!(!text.contains("INDEPENDENT-SEGMENTS"), "{text}");
    assert!(number(&text, "#EXT-X-TARGETDURATION:") <= 10, "{text}");
    assert!(count(&text, "#EXTINF") >= 3, "{text}");
}

#[test]
fn slow_and_fast_pictures_have_parts_of_whole_frames() {
    for (step, gop) in [(1_000, 2), (4, 480), (33, 60)] {
        let mut show = live();
        (show.step, show.gop) = (step, gop);
        show.run(12_000 / step);
        let text = show.text(BOTH, "");
        let target = text
            .lines()
            .find_map(|line| line.strip_prefix("#EXT-X-PART-INF:PART-TARGET="));
        let target: f64 = target.expect("a target").parse().expect("a number");
        for part in text
            .lines()
            .filter_map(|line| line.strip_prefix("#EXT-X-PART:DURATION="))
        {
            let length: f64 = part
                .split(',')
                .next()
                .expect("a number")
                .parse()
                .expect("a number");
            assert!(length <= target + 0.000_1, "{length} {target} at {step} ms");
        }
    }
}

#[test]
fn no_key_frame_at_all_begins_after_a_while() {
    let mut show = live();
    show.pictures = 1;
    show.gop = i64::MAX;
    show.run(25 * 25);
    let text = show.text(BOTH, "");
    assert!(count(&text, "#EXTINF") >= 1, "{text}");
}

#[test]
fn frames_that_were_held_back_for_want_of_a_key_frame_are_not_waited_for_again() {
    let mut show = live();
    // the hub passes on none for ten seconds
    show.at = 10_000;
    show.pictures = 1;
    show.gop = i64::MAX;
    show.run(25 * 11);
    let text = show.text(BOTH, "");
    assert!(count(&text, "#EXTINF") >= 1, "{text}");
}

/// A frame of MP3: MPEG-1, layer III, 128 kbit/s, 44.1 kHz.
fn mp3(millis: i64) -> Frame {
    let codec = Codec::Audio(AudioCodec::Mp3);
    let mut payload = [0; 417];
    payload[..4].copy_from_slice(&[0xff, 0xfb, 0x90, 0x64]);
    frame(TrackId::AUDIO, codec, Role::Key, millis, &payload)
}

#[test]
fn sound_that_has_no_configuration_is_there_from_the_first_picture_on() {
    let mut show = Show::new(Settings::default());
    show.has_sound = false;
    show.configure();
    // some pictures come before the first sound does
    show.run(3);
    let mut sounds = 0;
    for _ in 0..150 {
        show.run(1);
        while sounds < show.at - 80 {
            let sound = mp3(sounds);
            show.push(&sound);
            sounds += 26;
        }
    }
    let text = show.text(BOTH, "");
    assert_eq!(count(&text, "#EXT-X-DISCONTINUITY\n"), 0, "{text}");
    let sound = File::Playlist(List::Fmp4(View::Audio));
    assert_eq!(count(&show.text(sound, ""), "#EXT-X-GAP"), 0);
    assert!(text.contains("#EXTINF:1.000"), "{text}");
    let text = show.text(File::Multivariant, "");
    assert!(text.contains("mp4a.40.34"), "{text}");
}

#[test]
fn pictures_without_sound_do_not_wait_long_for_it() {
    let mut show = Show::new(Settings::default());
    show.has_sound = false;
    show.configure();
    show.run(60);
    let text = show.text(BOTH, "");
    // from the first picture on, as if nothing had waited
    assert!(text.contains("#EXTINF:1.000"), "{text}");
    let mut short = Show::new(Settings::default());
    short.has_sound = false;
    short.configure();
    short.run(5);
    short.channel.end();
    let text = short.text(BOTH, "");
    assert!(text.contains("#EXTINF:0.200"), "{text}");
}

#[test]
fn the_part_target_of_sound_does_not_change_when_it_is_sent_unevenly() {
    let mut show = live();
    let list = File::Playlist(List::Fmp4(View::Audio));
    let target = |show: &mut Show| {
        let text = show.text(list, "");
        let line = text
            .lines()
            .find(|line| line.starts_with("#EXT-X-PART-INF"));
        line.expect("it has parts").to_owned()
    };
    show.run(25 * 3);
    let before = target(&mut show);
    // four frames more in this part than in others
    let late = show.at + 90;
    while show.sounds * 1024 * 1000 / 44_100 < late {
        let millis = show.sounds * 1024 * 1000 / 44_100;
        let codec = Codec::Audio(AudioCodec::Aac);
        show.push(&frame(
            TrackId::AUDIO,
            codec,
            Role::Delta,
            millis,
            &[0x21, 1],
        ));
        show.sounds += 1;
    }
    show.run(25 * 3);
    assert_eq!(target(&mut show), before);
}

#[test]
fn what_a_manifest_foretells_of_a_young_stream_holds() {
    let mut show = live();
    // the first segment is a group of pictures, and all others two
    show.run(25 * 2);
    let young = show.text(File::Manifest, "");
    assert!(young.contains("d=\"180000\" r=\"1\""), "{young}");
    show.run(25 * 4);
    let older = show.text(File::Manifest, "");
    assert!(older.contains("d=\"180000\" r=\"3\""), "{older}");
}

#[test]
fn fragments_have_the_times_of_the_publisher() {
    let mut show = live();
    show.reorder = 80;
    show.run(25 * 4);
    let body = show
        .ready(
            File::Part {
                view: View::Video,
                msn: 1001,
                part: 0,
            },
            "",
        )
        .body
        .concat();
    let at = |name: &[u8]| {
        body.windows(4)
            .position(|window| window == name)
            .expect("a box")
    };
    let tfdt = at(b"tfdt");
    let time = body
        .get(tfdt + 8..tfdt + 16)
        .and_then(|b| b.try_into().ok())
        .map(u64::from_be_bytes);
    // the line begins at 10 s, the segment at 1 s
    assert_eq!(time, Some(11_000 * 90));
    // what is shown is shown 80 ms later
    let manifest = show.text(File::Manifest, "");
    assert!(
        manifest.contains(&format!("t=\"{}\"", (10_000 + 80) * 90)),
        "{manifest}"
    );
}

#[test]
fn encrypted_segments_have_keys_and_no_parts() {
    let encryption = Encryption::Aes128 {
        rotation: Duration::from_secs(4),
    };
    let mut show = Show::new(Settings {
        encryption,
        ..Settings::default()
    });
    show.configure();
    show.run(25 * 20);
    let text = show.text(BOTH, "");
    assert!(!text.contains("EXT-X-PART"), "{text}");
    assert!(count(&text, "#EXT-X-KEY:METHOD=AES-128") >= 3, "{text}");
    let body = show.ready(
        File::Segment {
            view: View::Both,
            msn: 1001,
        },
        "",
    );
    assert_eq!(body.length() % 16, 0);
    let key = show.ready(File::Key { number: 1000 }, "");
    assert_eq!(
        (key.status, key.length(), key.cache),
        (200, 16, Cache::Never)
    );
    assert_eq!(show.status(File::Key { number: 7 }, ""), 404);
    assert_eq!(show.status(File::Manifest, ""), 404);
}

#[test]
fn transport_segments_continue_each_other() {
    let mut show = live();
    show.run(25 * 10);
    let text = show.text(File::Playlist(List::Ts), "");
    assert!(
        text.contains("x-1001.ts") && !text.contains("EXT-X-MAP"),
        "{text}"
    );
    let mut counters = std::collections::HashMap::new();
    for msn in 1000..1004 {
        let body = show.ready(File::Ts { msn }, "").body.concat();
        assert_eq!(body.len() % 188, 0);
        for packet in body.chunks(188) {
            let [sync, high, low, flags, ..] = packet else {
                panic!("a short packet");
            };
            assert_eq!(*sync, 0x47);
            if flags & 0x10 == 0 {
                continue;
            }
            let pid = u16::from_be_bytes([high & 0x1f, *low]);
            if let Some(before) = counters.insert(pid, flags & 15) {
                assert_eq!((before + 1) & 15, flags & 15, "pid {pid} in segment {msn}");
            }
        }
    }
}

#[test]
fn discontinuities_are_counted_in_small_numbers() {
    let mut show = live();
    let begin = show.begin;
    // forty years on
    let wallclock = SystemTime::UNIX_EPOCH + Duration::from_secs(3_000_000_000);
    let anchor = Anchor {
        now: begin,
        wallclock,
    };
    show.channel = Channel::new(Arc::default(), "x", anchor, Rhythm::default(), [1; 32]);
    show.channel.publish(begin);
    show.configure();
    show.run(25 * 6);
    let list = show.text(BOTH, "");
    assert!(number(&list, "#EXT-X-MEDIA-SEQUENCE:") > 1_000_000_000);
    // hls.js walks from zero to this number
    assert!(
        number(&list, "#EXT-X-DISCONTINUITY-SEQUENCE:") < 10_000,
        "{list}"
    );
}

#[test]
fn a_segment_under_way_comes_in_pieces() {
    let mut show = live();
    show.run(25 * 3 + 8);
    let file = File::Segment {
        view: View::Video,
        msn: 1002,
    };
    let since = show.now();
    let Answer::Growing(reply, mut rest) = show.ask(file, "") else {
        panic!("it is not under way");
    };
    let mut body = reply.body.concat();
    let now = show.now();
    assert!(matches!(
        show.channel.more(now, since, &mut rest),
        More::Wait { .. }
    ));
    loop {
        show.run(3);
        let now = show.now();
        match show.channel.more(now, since, &mut rest) {
            More::Wait { .. } => {}
            More::Pieces {
                body: more,
                is_last,
            } => {
                body.extend(more.concat());
                if is_last {
                    break;
                }
            }
        }
    }
    assert_eq!(body, show.ready(file, "").body.concat());
}

#[test]
fn lists_are_compressed_once() {
    let mut show = live();
    show.run(25 * 30);
    let one = show.ready(BOTH, "").gzip.expect("a body in gzip");
    let two = show.ready(BOTH, "").gzip.expect("a body in gzip");
    assert_eq!(one.as_ptr(), two.as_ptr());
}

#[test]
fn a_process_that_begins_later_goes_on_where_the_last_one_was() {
    let mut show = live();
    show.run(25 * 20);
    show.channel.pause();
    let old = show.text(BOTH, "");
    let files: Vec<Bytes> = show
        .channel
        .archive()
        .into_iter()
        .map(|(_, pieces)| pieces.concat().into())
        .collect();
    assert_eq!(files.len(), 11);
    assert!(show.channel.archive().is_empty());
    // five seconds later
    let mut next = live();
    let (begin, at) = (show.begin + Duration::from_secs(25), 25_000);
    let wallclock = SystemTime::UNIX_EPOCH + Duration::from_secs(1_735_689_600 + 1000 + 25);
    let anchor = Anchor {
        now: begin,
        wallclock,
    };
    next.channel = Channel::new(Arc::default(), "x", anchor, Rhythm::default(), [1; 32]);
    let mut damaged = files;
    if let Some(file) = damaged.first_mut() {
        *file = file.slice(..file.len() - 1);
    }
    let (restored, errors) = next.channel.restore(begin, &damaged);
    assert_eq!((restored, errors.len()), (10, 1));
    (next.begin, next.at) = (show.begin, at);
    next.sounds = at * 441 / 10 / 1024;
    next.channel.publish(begin);
    next.configure();
    next.run(25 * 4);
    let new = next.text(BOTH, "");
    assert_eq!(
        number(&new, "#EXT-X-MEDIA-SEQUENCE:"),
        number(&old, "#EXT-X-MEDIA-SEQUENCE:") + 1
    );
    assert_eq!(
        number(&new, "#EXT-X-DISCONTINUITY-SEQUENCE:"),
        number(&old, "#EXT-X-DISCONTINUITY-SEQUENCE:")
    );
    let dates = |text: &str| -> Vec<String> {
        text.lines()
            .filter_map(|line| line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:"))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(dates(&new)[..9], dates(&old)[1..10]);
    assert!(dates(&new)[10].starts_with("2025-01-01T00:17:05"), "{new}");
    let manifest = next.text(File::Manifest, "");
    assert_eq!(manifest.matches("<Period").count(), 2, "{manifest}");
}

#[test]
fn numbers_do_not_repeat_after_a_restart() {
    let mut show = live();
    show.run(25 * 60);
    let last = show.first(BOTH) + 20;
    // a process that begins now counts from the seconds it began at
    assert!(last < 1000 + 60);
}

#[test]
fn what_left_the_list_is_there_for_as_long_again() {
    let mut show = live();
    show.run(25 * 200);
    // the window is 30 s, and segments are of 2 s
    let first = show.first(BOTH);
    for gone in 1..=13 {
        let msn = first - gone;
        let view = View::Both;
        assert_eq!(show.status(File::Segment { view, msn }, ""), 200, "{gone}");
    }
}

#[test]
fn a_discontinuity_that_is_gone_is_counted_for_ever() {
    const TAG: &str = "#EXT-X-DISCONTINUITY-SEQUENCE:";
    let mut show = live();
    show.run(25 * 4);
    let before = number(&show.text(BOTH, ""), TAG);
    show.channel.pause();
    let now = show.now();
    show.channel.publish(now);
    show.pictures = 0;
    show.configure();
    show.run(25 * 20);
    assert_eq!(number(&show.text(BOTH, ""), TAG), before, "it is listed");
    // it leaves the list, and later the store
    for _ in 0..6 {
        show.run(25 * 25);
    }
    assert_eq!(number(&show.text(BOTH, ""), TAG), before + 1);
}
