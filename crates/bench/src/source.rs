//! What publishers send: the generated source and a looped FLV file.
//!
//! Owns: the messages before the first frame, and the endless sequence of [`Item`]s after them, each with the time at
//! which it is due. A [`Source`] is immutable and shared by all publishers; each has a [`Cursor`].
//! Does not: read clocks, write chunks or stamps.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};

use crate::amf::Writer;
use crate::clock::{MILLISECOND, SECOND};
use crate::skim::{FlvSkimmer, Message, type_id};
use crate::stamp;

/// A key frame of the generated source weighs as much as this many others.
const KEY_WEIGHT: u64 = 4;
/// Audio of the generated source takes this part of the bit rate…
const AUDIO_SHARE: u64 = 4;
/// …but not more than encoders send, in bits a second.
const MAX_AUDIO_BITS: u64 = 128_000;
/// FLV tag header of AVC (§E.4.3.1), NAL length and NAL header.
const VIDEO_HEAD: usize = 5 + 4 + 1;
/// Files are held in memory; larger ones are a mistake.
const MAX_FILE: u64 = 1 << 30;

/// AVCDecoderConfigurationRecord (ISO 14496-15 §5.3.3.1) of 640x360 baseline, behind its FLV video tag header.
const AVC_CONFIGURATION: &[u8] = &[
    0x17, 0, 0, 0, 0, 1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 10, 0x67, 0x42, 0xc0, 0x1e, 0xda, 0x02,
    0x80, 0xbf, 0xe5, 0x40, 1, 0, 4, 0x68, 0xce, 0x3c, 0x80,
];
/// AudioSpecificConfig (ISO 14496-3 §1.6.2.1) of AAC-LC, 44.1 kHz, stereo, behind its FLV audio tag header.
const AAC_CONFIGURATION: &[u8] = &[0xaf, 0, 0x12, 0x10];

/// One media message and when to send it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item<'a> {
    /// See [`type_id`].
    pub(crate) type_id: u8,
    /// Nanoseconds after the publisher's start.
    pub(crate) due: u64,
    /// Milliseconds, wrapping.
    pub(crate) timestamp: u32,
    pub(crate) payload: &'a [u8],
}

/// How far one publisher has come.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cursor {
    /// Items (file) or video frames (generated) sent.
    first: u64,
    /// Audio frames (generated) sent.
    second: u64,
}

/// Where publishers take their messages from.
#[derive(Debug)]
pub(crate) enum Source {
    Generated(Generated),
    File(Recording),
}

impl Source {
    /// The messages that go before the first item: metadata and codec configurations.
    pub(crate) fn prelude(&self) -> &[(u8, Vec<u8>)] {
        match self {
            Self::Generated(source) => &source.prelude,
            Self::File(source) => &source.prelude,
        }
    }

    /// The item at a cursor.
    pub(crate) fn item(&self, cursor: Cursor) -> Item<'_> {
        match self {
            Self::Generated(source) => source.item(cursor),
            Self::File(source) => source.item(cursor),
        }
    }

    /// Moves a cursor behind its item.
    pub(crate) fn advance(&self, cursor: &mut Cursor) {
        match self {
            Self::Generated(source) if source.item(*cursor).type_id == type_id::AUDIO => {
                cursor.second += 1;
            }
            _ => cursor.first += 1,
        }
    }

    /// Whether payloads have room for the send time at its place.
    pub(crate) fn takes_stamp(&self) -> bool {
        matches!(self, Self::Generated(_))
    }

    /// Nanoseconds over which the starts of many publishers are spread evenly.
    pub(crate) fn interval(&self) -> u64 {
        match self {
            Self::Generated(source) => SECOND / source.shape.fps,
            Self::File(_) => 40 * MILLISECOND,
        }
    }
}

/// What the generated source looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Of audio and video payloads together.
    pub(crate) bitrate_kbps: u64,
    /// Video frames a second, 1 or more.
    pub(crate) fps: u64,
    /// Audio frames a second; 0 for none.
    pub(crate) audio_fps: u64,
    /// Video frames from one key frame to the next, 1 or more.
    pub(crate) gop: u64,
}

/// H.264-looking video and AAC-looking audio of a constant bit rate.
#[derive(Debug)]
pub(crate) struct Generated {
    shape: Shape,
    prelude: Vec<(u8, Vec<u8>)>,
    key: Vec<u8>,
    inter: Vec<u8>,
    audio: Vec<u8>,
}

impl Generated {
    /// # Errors
    /// When the shape has no video, or its bit rate leaves no room for the send time in each payload.
    pub(crate) fn new(shape: Shape) -> anyhow::Result<Self> {
        let Shape {
            bitrate_kbps,
            fps,
            audio_fps,
            gop,
        } = shape;
        ensure!((1..=1000).contains(&fps), "--fps must be 1 to 1000");
        ensure!(audio_fps <= 1000, "--audio-fps must be at most 1000");
        ensure!((1..=100_000).contains(&gop), "--gop must be 1 to 100000");
        ensure!(
            bitrate_kbps <= 1_000_000,
            "--bitrate-kbps must be at most 1000000"
        );
        let total = bitrate_kbps * 1000;
        let audio_bits = if audio_fps > 0 {
            (total / AUDIO_SHARE).min(MAX_AUDIO_BITS)
        } else {
            0
        };
        let audio = (audio_bits / 8).checked_div(audio_fps).unwrap_or(0);
        // Audio is rounded down; video takes what is left of each GOP.
        let video = (total / 8 - audio * audio_fps) * gop / fps;
        let inter = video / (gop - 1 + KEY_WEIGHT);
        let key = video - inter * (gop - 1);
        let least = (stamp::OFFSET + stamp::LEN) as u64;
        let fits = inter >= least && (audio_fps == 0 || audio >= least);
        ensure!(
            fits,
            "--bitrate-kbps {bitrate_kbps} is too little for so many frames a second"
        );
        ensure!(
            key < 1 << 24,
            "--bitrate-kbps {bitrate_kbps} makes key frames of over 16 MiB"
        );
        Ok(Self {
            shape,
            prelude: prelude(shape),
            key: video_payload(0x17, 0x65, key as usize),
            inter: video_payload(0x27, 0x41, inter as usize),
            audio: filled(&[0xaf, 1], audio as usize),
        })
    }

    fn item(&self, cursor: Cursor) -> Item<'_> {
        let Shape {
            fps,
            audio_fps,
            gop,
            ..
        } = self.shape;
        let video_due = cursor.first * SECOND / fps;
        // A third of a frame apart, so that audio and video never begin in one moment.
        let audio_due = match audio_fps {
            0 => u64::MAX,
            _ => cursor.second * SECOND / audio_fps + SECOND / audio_fps / 3,
        };
        let (type_id, due, payload) = if audio_due < video_due {
            (type_id::AUDIO, audio_due, &self.audio)
        } else if cursor.first.is_multiple_of(gop) {
            (type_id::VIDEO, video_due, &self.key)
        } else {
            (type_id::VIDEO, video_due, &self.inter)
        };
        Item {
            type_id,
            due,
            timestamp: (due / MILLISECOND) as u32,
            payload,
        }
    }
}

fn prelude(shape: Shape) -> Vec<(u8, Vec<u8>)> {
    let mut metadata = Vec::new();
    let mut amf = Writer(&mut metadata);
    amf.string("@setDataFrame")
        .string("onMetaData")
        .array(if shape.audio_fps > 0 { 10 } else { 6 });
    amf.key("width").number(640.0).key("height").number(360.0);
    amf.key("framerate").number(shape.fps as f64);
    amf.key("videocodecid").number(7.0);
    amf.key("videodatarate").number(shape.bitrate_kbps as f64);
    if shape.audio_fps > 0 {
        amf.key("audiocodecid")
            .number(10.0)
            .key("audiosamplerate")
            .number(44_100.0);
        amf.key("audiosamplesize")
            .number(16.0)
            .key("stereo")
            .boolean(true);
    }
    amf.key("encoder").string("weir-bench").end();
    let mut prelude = vec![
        (type_id::DATA, metadata),
        (type_id::VIDEO, AVC_CONFIGURATION.to_vec()),
    ];
    if shape.audio_fps > 0 {
        prelude.push((type_id::AUDIO, AAC_CONFIGURATION.to_vec()));
    }
    prelude
}

/// One NAL unit of the given header, length-prefixed, behind an AVC video tag header.
fn video_payload(tag: u8, nal: u8, size: usize) -> Vec<u8> {
    let mut head = vec![tag, 1, 0, 0, 0];
    head.extend(((size - VIDEO_HEAD + 1) as u32).to_be_bytes());
    head.push(nal);
    filled(&head, size)
}

/// `head` and bytes that are never zero, so that no start code arises (H.264 §7.4.1).
fn filled(head: &[u8], size: usize) -> Vec<u8> {
    let filler = (head.len()..size).map(|n| (n * 131 % 251) as u8 | 0x10);
    head.iter().copied().chain(filler).collect()
}

/// The tags of an FLV file, repeated for ever with timestamps that go on.
#[derive(Debug)]
pub(crate) struct Recording {
    bytes: Vec<u8>,
    prelude: Vec<(u8, Vec<u8>)>,
    tags: Vec<Tag>,
    /// Milliseconds from the first tag of one round to that of the next.
    round: u64,
}

#[derive(Debug)]
struct Tag {
    type_id: u8,
    /// Milliseconds from the first tag.
    time: u64,
    payload: std::ops::Range<usize>,
}

impl Recording {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, is no FLV, is over 1 GiB, or has no media of increasing time.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let read = || -> anyhow::Result<Self> {
            let length = std::fs::metadata(path)?.len();
            ensure!(length <= MAX_FILE, "larger than 1 GiB");
            Self::parse(std::fs::read(path)?)
        };
        read().with_context(|| format!("source file {}", path.display()))
    }

    fn parse(bytes: Vec<u8>) -> anyhow::Result<Self> {
        let mut prelude = Vec::new();
        let mut tags: Vec<Tag> = Vec::new();
        let mut origin = None;
        let mut skimmer = FlvSkimmer::new();
        let mut rest = &bytes[..];
        while let Some(message) = skimmer.next(&mut rest)? {
            let end = bytes.len() - rest.len();
            let payload = end - message.length as usize..end;
            if message.is_media() && !message.is_configuration() {
                let first = *origin.get_or_insert(message.timestamp);
                let time = u64::from(message.timestamp.saturating_sub(first));
                tags.push(Tag {
                    type_id: message.type_id,
                    time,
                    payload,
                });
            } else if belongs_in_prelude(&message, tags.is_empty()) {
                prelude.push((message.type_id, bytes[payload].to_vec()));
            }
        }
        // Interleaving may put a slightly earlier tag last.
        let span = tags.iter().map(|tag| tag.time).max().unwrap_or(0);
        if span == 0 {
            bail!("no audio or video of increasing time in it");
        }
        tags.sort_by_key(|tag| tag.time);
        let round = span + span.div_ceil(tags.len() as u64);
        Ok(Self {
            bytes,
            prelude,
            tags,
            round,
        })
    }

    fn item(&self, cursor: Cursor) -> Item<'_> {
        let count = self.tags.len() as u64;
        let tag = &self.tags[(cursor.first % count) as usize];
        let time = cursor.first / count * self.round + tag.time;
        Item {
            type_id: tag.type_id,
            due: time * MILLISECOND,
            timestamp: time as u32,
            payload: &self.bytes[tag.payload.clone()],
        }
    }
}

/// Metadata and configurations go before the media once; later ones of the file are left out.
fn belongs_in_prelude(message: &Message<'_>, before_media: bool) -> bool {
    before_media && (message.type_id == type_id::DATA || message.is_configuration())
}

#[cfg(test)]
mod tests {
    use h264_reader::avcc::AvcDecoderConfigurationRecord;
    use proptest::prelude::*;

    use super::*;

    const DEFAULT: Shape = Shape {
        bitrate_kbps: 200,
        fps: 25,
        audio_fps: 43,
        gop: 50,
    };

    /// The items of the first `seconds`, and their payload bits a second.
    fn run(source: &Source, seconds: u64) -> (Vec<Item<'_>>, f64) {
        let mut cursor = Cursor::default();
        let mut items = Vec::new();
        while source.item(cursor).due < seconds * SECOND {
            items.push(source.item(cursor));
            source.advance(&mut cursor);
        }
        let bytes: usize = items.iter().map(|item| item.payload.len()).sum();
        (items, bytes as f64 * 8.0 / seconds as f64)
    }

    proptest! {
        #[test]
        fn bit_rate_is_right_and_time_goes_on(
            bitrate_kbps in 150_u64..20_000,
            fps in 10_u64..61,
            audio_fps in prop_oneof![Just(0_u64), 20_u64..51],
            gop in 1_u64..120,
        ) {
            let shape = Shape { bitrate_kbps, fps, audio_fps, gop };
            let source = Source::Generated(Generated::new(shape).unwrap());
            let (items, bits) = run(&source, gop.max(2));
            let wanted = bitrate_kbps as f64 * 1000.0;
            prop_assert!((bits - wanted).abs() < wanted * 0.02, "{} of {}", bits, wanted);
            prop_assert!(items.is_sorted_by_key(|item| item.due));
            for item in &items {
                prop_assert_eq!(u64::from(item.timestamp), item.due / MILLISECOND);
            }
            prop_assert_eq!(items.len() as u64, (fps + audio_fps) * gop.max(2));
        }
    }

    #[test]
    fn key_frames_begin_each_gop_and_are_larger() {
        let source = Source::Generated(Generated::new(DEFAULT).unwrap());
        let (items, _) = run(&source, 4);
        let video: Vec<_> = items
            .iter()
            .filter(|item| item.type_id == type_id::VIDEO)
            .collect();
        for (index, item) in video.iter().enumerate() {
            assert_eq!(item.payload[0], if index % 50 == 0 { 0x17 } else { 0x27 });
            let nal = u32::from_be_bytes(item.payload[5..9].try_into().unwrap());
            assert_eq!(nal as usize, item.payload.len() - 9);
        }
        let ratio = video[0].payload.len() as f64 / video[1].payload.len() as f64;
        assert!((3.8..4.3).contains(&ratio));
        assert_eq!((items[0].due, items[0].payload[0]), (0, 0x17));
    }

    #[test]
    fn configurations_are_valid() {
        let record = AvcDecoderConfigurationRecord::try_from(&AVC_CONFIGURATION[5..]).unwrap();
        let context = record.create_context().unwrap();
        let sps = context.sps().next().unwrap();
        assert_eq!(sps.pixel_dimensions().unwrap(), (640, 360));
        assert_eq!(context.pps().count(), 1);
    }

    #[test]
    fn impossible_shapes_are_refused() {
        for shape in [
            Shape {
                bitrate_kbps: 5,
                ..DEFAULT
            },
            Shape { fps: 0, ..DEFAULT },
            Shape { gop: 0, ..DEFAULT },
            Shape {
                bitrate_kbps: u64::MAX,
                ..DEFAULT
            },
        ] {
            assert!(Generated::new(shape).is_err(), "{shape:?}");
        }
    }

    fn file(tags: &[(u8, u32, &[u8])]) -> Vec<u8> {
        let mut bytes = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
        for (type_id, time, payload) in tags {
            bytes.push(*type_id);
            bytes.extend(&(payload.len() as u32).to_be_bytes()[1..]);
            bytes.extend(&time.to_be_bytes()[1..]);
            bytes.extend([0; 4]);
            bytes.extend(*payload);
            bytes.extend((payload.len() as u32 + 11).to_be_bytes());
        }
        bytes
    }

    #[test]
    fn file_is_looped_with_time_going_on() {
        let bytes = file(&[
            (18, 0, &[2, 0, 0]),
            (9, 0, AVC_CONFIGURATION),
            (9, 100, &[0x17, 1, 7]),
            (9, 140, &[0x27, 1, 8]),
        ]);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.flv");
        std::fs::write(&path, bytes).unwrap();
        let source = Source::File(Recording::open(&path).unwrap());
        assert_eq!(source.prelude().len(), 2);
        let (items, _) = run(&source, 1);
        let times: Vec<_> = items.iter().take(5).map(|item| item.timestamp).collect();
        assert_eq!(times, [0, 40, 60, 100, 120]);
        assert_eq!(items[2].payload, [0x17, 1, 7]);
        assert_eq!(items[4].due, 120 * MILLISECOND);
    }

    #[test]
    fn files_without_media_are_refused() {
        assert!(Recording::parse(file(&[(18, 0, &[2])])).is_err());
        assert!(Recording::parse(b"not an flv file".to_vec()).is_err());
        let error = Recording::open(Path::new("/nowhere/a.flv")).unwrap_err();
        assert!(format!("{error:#}").contains("/nowhere/a.flv"));
    }
}
