//! The reader on damaged and on any bytes. That it reads what is written, the writer's tests show.

use proptest::prelude::*;
use weir_media::{AudioCodec, AudioInfo, Codec, TrackInfo, VideoCodec, VideoInfo};

use super::super::{Run, Sample, Track, write_fragment_head, write_init};
use super::*;

const AVCC: [u8; 7] = [1, 0x64, 0, 0x1f, 0xff, 0xe0, 0];

fn infos() -> [TrackInfo; 2] {
    [
        TrackInfo {
            codec: Codec::Video(VideoCodec::H264),
            video: Some(VideoInfo {
                width: 320,
                height: 180,
                ..VideoInfo::default()
            }),
            audio: None,
        },
        TrackInfo {
            codec: Codec::Audio(AudioCodec::Aac),
            video: None,
            audio: Some(AudioInfo {
                profile: None,
                sample_rate: 48_000,
                channels: 2,
            }),
        },
    ]
}

fn written() -> Vec<u8> {
    let infos = infos();
    let track = |id, timescale, config, info| Track {
        id,
        timescale,
        codec: TrackInfo::clone(info).codec,
        config,
        frame: &[],
        info,
    };
    let tracks = [
        track(1, 90_000, &AVCC[..], &infos[0]),
        track(2, 48_000, &[0x11, 0x90], &infos[1]),
    ];
    let mut out = Vec::new();
    write_init(&tracks, &mut out).unwrap();
    out
}

fn segment() -> Vec<u8> {
    let sample = |size, is_sync| Sample {
        duration: 3000,
        size,
        composition: 0,
        is_sync,
    };
    let video = [sample(9, true), sample(5, false)];
    let audio = [sample(3, true)];
    let run = |track, samples| Run {
        track,
        is_video: track == 1,
        base_time: 4,
        samples,
    };
    let mut out = b"\0\0\0\x08styp".to_vec();
    write_fragment_head(1, &[run(1, &video), run(2, &audio)], &mut out);
    out.extend([0; 17]);
    write_fragment_head(2, &[run(2, &audio)], &mut out);
    out.extend([0; 3]);
    out
}

#[test]
fn tracks_are_read_back() {
    let bytes = written();
    let tracks = init(&bytes).unwrap();
    assert_eq!(tracks.len(), 2);
    let wanted = TrackOf {
        id: 1,
        timescale: 90_000,
        entry: *b"avc1",
        media: Media::Video {
            width: 320,
            height: 180,
        },
        config_kind: *b"avcC",
        config: &AVCC,
    };
    assert_eq!(tracks[0], wanted);
    assert_eq!((tracks[1].id, tracks[1].timescale), (2, 48_000));
    let sound = Media::Audio {
        channels: 2,
        sample_rate: 48_000,
    };
    assert_eq!((tracks[1].entry, tracks[1].media), (*b"mp4a", sound));
}

#[test]
fn fragments_are_read_in_order_with_boxes_between() {
    let bytes = segment();
    let read = fragments(&bytes).unwrap();
    assert_eq!(read.len(), 2);
    let data = |run: &RunOf| (run.track, run.data.len());
    let runs: Vec<_> = read[0].runs.iter().map(data).collect();
    assert_eq!(runs, [(1, 14), (2, 3)]);
    assert_eq!(
        read[0].runs[1].data.end + 92 + 16,
        read[1].runs[0].data.start
    );
    assert_eq!(read[1].runs[0].data.end, bytes.len());
}

/// The place of the first `kind` in `bytes`.
fn at(bytes: &[u8], kind: &[u8; 4]) -> usize {
    bytes.windows(4).position(|found| found == kind).unwrap()
}

#[test]
fn damage_is_named_with_its_place() {
    let bytes = segment();
    let moof = at(&bytes, b"moof") - 4;
    let broken = |place: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[place] = value;
        fragments(&bytes).unwrap_err()
    };
    let trun = at(&bytes, b"trun");
    let tfhd = at(&bytes, b"tfhd");
    let field = |place, value| match broken(place, value) {
        Error::Value { field, .. } => field,
        error => panic!("{error}"),
    };
    assert_eq!(field(trun + 4, 2), "version");
    assert_eq!(field(trun + 5, 1), "tr_flags");
    assert_eq!(field(tfhd + 5, 0), "tf_flags");
    assert_eq!(field(trun + 15, 0), "data_offset");
    assert_eq!(field(tfhd + 7, 1), "tf_flags");
    assert_eq!(broken(trun + 9, 0xff), Error::TooManySamples);
    assert!(matches!(broken(trun + 11, 3), Error::Short(_)));
    assert!(matches!(broken(trun + 11, 1), Error::Surplus { .. }));
    assert!(matches!(broken(trun - 1, 7), Error::Length { size: 7, .. }));
    let length = broken(moof, 1);
    assert!(matches!(length, Error::Length { offset, .. } if offset == moof));
    let missing = broken(at(&bytes, b"tfdt"), b'x');
    assert!(matches!(missing, Error::Count { kind, .. } if kind == *b"tfdt"));
    assert_eq!(
        missing.to_string(),
        format!(
            "the box at byte {} must hold one tfdt",
            at(&bytes, b"traf") + 4
        )
    );
    let cut = fragments(&bytes[..bytes.len() - 1]).unwrap_err();
    assert!(matches!(cut, Error::Length { .. }));
}

#[test]
fn a_movie_with_samples_or_without_defaults_is_refused() {
    let bytes = written();
    let broken = |place: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[place] = value;
        init(&bytes).unwrap_err()
    };
    let field = |place, value| match broken(place, value) {
        Error::Value { field, .. } => field,
        error => panic!("{error}"),
    };
    assert_eq!(field(at(&bytes, b"stts") + 11, 1), "entry_count");
    assert_eq!(field(at(&bytes, b"stsd") + 11, 2), "entry_count");
    assert_eq!(field(at(&bytes, b"hdlr") + 12, b'x'), "handler_type");
    let other = broken(at(&bytes, b"trex") + 11, 9);
    assert!(matches!(other, Error::Count { kind, .. } if kind == *b"trex"));
    let none = broken(at(&bytes, b"ftyp"), b'x');
    assert!(matches!(none, Error::Count { kind, .. } if kind == *b"ftyp"));
    assert!(init(&[]).is_err());
}

#[test]
fn samples_without_rows_are_bounded() {
    // a trun of any number of samples, all of whose fields have defaults
    let sample = Sample {
        duration: 1,
        size: 0,
        composition: 0,
        is_sync: true,
    };
    let many = vec![sample; MAX_SAMPLES + 1];
    let run = |samples| Run {
        track: 1,
        is_video: true,
        base_time: 0,
        samples,
    };
    let mut out = Vec::new();
    write_fragment_head(1, &[run(&many[..MAX_SAMPLES])], &mut out);
    assert_eq!(
        fragments(&out).unwrap()[0].runs[0].samples.len(),
        MAX_SAMPLES
    );
    write_fragment_head(2, &[run(&many[..1])], &mut out);
    assert_eq!(fragments(&out), Err(Error::TooManySamples));
}

proptest! {
    #[test]
    fn any_bytes_end(input: Vec<u8>) {
        let _ = init(&input);
        let _ = fragments(&input);
    }

    #[test]
    fn damaged_boxes_never_panic_and_samples_lie_within(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        for (mut bytes, is_init) in [(written(), true), (segment(), false)] {
            for (place, value) in &changes {
                let place = place.index(bytes.len());
                bytes[place] = *value;
            }
            if is_init {
                let _ = init(&bytes);
                continue;
            }
            for run in fragments(&bytes).into_iter().flatten().flat_map(|read| read.runs) {
                prop_assert!(bytes.get(run.data.clone()).is_some());
                let sizes: u64 = run.samples.iter().map(|sample| u64::from(sample.size)).sum();
                prop_assert_eq!(sizes, run.data.len() as u64);
            }
        }
    }
}
