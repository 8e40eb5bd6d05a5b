//! Tests of unusual streams, packet by packet; `tests/ts.rs` has those of whole and damaged ones.

use std::collections::BTreeMap;

use weir_media::{AudioCodec, Role, Timestamp, VideoCodec};

use super::*;
use crate::ts::packet::{Adaptation, write_pes, write_section};
use crate::ts::pes::{Header, set_length};
use crate::ts::psi::{Announced, pat, pmt};

/// Parameter sets of ffmpeg's libx264 and a PPS, behind start codes.
const SETS: &[u8] = &[
    0, 0, 0, 1, 0x67, 0x64, 0x00, 0x0b, 0xac, 0xd9, 0x42, 0x8d, 0xf9, 0x84, 0x00, 0x00, 0x03, 0x00,
    0x04, 0x00, 0x00, 0x03, 0x00, 0xc8, 0x3c, 0x50, 0xa6, 0x58, 0, 0, 1, 0x68, 0xeb, 0xe3, 0xcb,
    0x22, 0xc0,
];
const DELIMITER: &[u8] = &[0, 0, 0, 1, 9, 0xf0];
const KEY: &[u8] = &[0, 0, 1, 0x65, 0x88, 0x80];
const DELTA: &[u8] = &[0, 0, 1, 0x41, 0x9a, 0x01];

/// A frame of ADTS: LC, 44.1 kHz, stereo, 3 bytes of sound.
const SOUND: &[u8] = &[0xff, 0xf1, 0x50, 0x80, 0x01, 0x5f, 0xfc, 1, 2, 3];

const VIDEO: Announced<'_> = Announced {
    stream_type: 0x1b,
    pid: 0x50,
    descriptors: &[],
};
const AUDIO: Announced<'_> = Announced {
    stream_type: 0x0f,
    pid: 0x51,
    descriptors: &[],
};

/// A stream under construction.
#[derive(Default)]
struct Stream {
    bytes: Vec<u8>,
    continuity: BTreeMap<u16, u8>,
}

impl Stream {
    fn tables(streams: &[Announced<'_>]) -> Self {
        let mut stream = Self::default();
        stream.section(PAT_PID, &pat(7, 0x40));
        stream.section(0x40, &pmt(7, 0, 0x50, streams));
        stream
    }

    fn section(&mut self, pid: u16, section: &[u8]) {
        let continuity = self.continuity.entry(pid).or_default();
        write_section(pid, continuity, section, &mut self.bytes);
    }

    fn pes(&mut self, pid: u16, times: Option<(i64, i64)>, data: &[u8]) {
        self.bounded(pid, times, data, pid != VIDEO.pid);
    }

    /// A PES packet, with or without times and length.
    fn bounded(&mut self, pid: u16, times: Option<(i64, i64)>, data: &[u8], is_bounded: bool) {
        let mut pes = Vec::new();
        match times {
            Some((dts, pts)) => Header {
                stream_id: 0xe0,
                pts,
                dts,
            }
            .write(&mut pes),
            None => pes.extend([0, 0, 1, 0xe0, 0, 0, 0x80, 0, 0]),
        }
        pes.extend(data);
        if is_bounded {
            assert!(set_length(&mut pes));
        }
        let continuity = self.continuity.entry(pid).or_default();
        write_pes(
            pid,
            continuity,
            Adaptation::default(),
            &pes,
            &mut self.bytes,
        );
    }

    fn read(&self) -> (Vec<Frame>, Counters) {
        let mut demuxer = Demuxer::new(1 << 20);
        demuxer.push(&self.bytes);
        demuxer.flush();
        let frames = std::iter::from_fn(|| demuxer.pull()).collect();
        (frames, demuxer.counters())
    }

    /// Role, decode time in ticks of 90 kHz and payload of each frame.
    fn told(&self) -> Vec<(Role, i64, Vec<u8>)> {
        let told = |frame: &Frame| (frame.role, frame.dts.ticks() / 10, frame.payload().to_vec());
        self.read().0.iter().map(told).collect()
    }
}

fn prefixed(units: &[&[u8]]) -> Vec<u8> {
    let one = |unit: &&[u8]| [&(unit.len() as u32).to_be_bytes()[..], unit].concat();
    units.iter().flat_map(one).collect()
}

#[test]
fn a_picture_over_several_packets_of_which_one_has_times() {
    let mut stream = Stream::tables(&[VIDEO]);
    let mut picture = [DELIMITER, SETS, KEY].concat();
    picture.extend([0xab; 1000]);
    stream.bounded(0x50, Some((900, 900)), &picture[..300], true);
    stream.bounded(0x50, None, &picture[300..700], true);
    stream.bounded(0x50, None, &picture[700..], true);
    stream.bounded(0x50, Some((4500, 4500)), &[DELIMITER, DELTA].concat(), true);
    let told = stream.told();
    assert_eq!(told.len(), 3);
    let key = [&KEY[3..], &[0xab; 1000]].concat();
    assert_eq!(told[1], (Role::Key, 900, prefixed(&[&key])));
    assert_eq!(told[2], (Role::Delta, 4500, prefixed(&[&DELTA[3..]])));
}

#[test]
fn several_pictures_in_a_packet_share_its_time() {
    let mut stream = Stream::tables(&[VIDEO]);
    stream.pes(0x50, Some((0, 0)), &[DELIMITER, SETS, KEY].concat());
    let both = [DELIMITER, DELTA, DELIMITER, DELTA].concat();
    stream.pes(0x50, Some((3600, 3600)), &both);
    stream.pes(0x50, Some((10_800, 10_800)), &both);
    let times: Vec<i64> = stream.told().iter().map(|(_, dts, _)| *dts).collect();
    assert_eq!(times, [0, 0, 3600, 5400, 10_800, 14_400]);
}

#[test]
fn configurations_are_told_when_they_change() {
    let mut stream = Stream::tables(&[VIDEO]);
    let other = [0, 0, 1, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xff];
    stream.pes(0x50, Some((0, 0)), DELTA);
    stream.pes(0x50, Some((1, 1)), &[SETS, KEY].concat());
    stream.pes(0x50, Some((2, 2)), &[SETS, KEY].concat());
    // another set of the same number takes the first one's place
    stream.pes(0x50, Some((3, 3)), &[&other[..], DELTA].concat());
    // sets alone are no picture, and stay in force
    stream.pes(0x50, Some((4, 4)), SETS);
    stream.pes(0x50, Some((5, 5)), KEY);
    let told = stream.told();
    let roles: Vec<_> = told.iter().map(|(role, dts, _)| (*role, *dts)).collect();
    let expected = [
        (Role::Config, 1),
        (Role::Key, 1),
        (Role::Key, 2),
        (Role::Config, 3),
        (Role::Delta, 3),
        (Role::Config, 4),
        (Role::Key, 5),
    ];
    assert_eq!(roles, expected);
    assert_eq!(told[0].2, told[5].2);
    assert!(told[3].2.ends_with(&[0x22, 0xff, 0xfd, 0xf8, 0xf8, 0]));
}

#[test]
fn many_changes_of_sets_in_a_packet_are_not_multiplied() {
    let mut stream = Stream::tables(&[VIDEO]);
    let mut data = [SETS, KEY].concat();
    for at in 0..100 {
        data.extend(DELIMITER);
        data.extend([0, 0, 1, 0x68, 0xeb, 0xe3, 0xcb, 0x22, at | 1]);
        data.extend(DELTA);
    }
    stream.pes(0x50, Some((0, 0)), &data);
    let (frames, counters) = stream.read();
    let configs = frames.iter().filter(|frame| frame.role == Role::Config);
    assert_eq!((configs.count(), frames.len()), (1, 102));
    assert_eq!(counters.faults, 100);
}

#[test]
fn an_open_group_begins_with_a_key_frame() {
    let mut stream = Stream::tables(&[VIDEO]);
    let recovery = [0, 0, 1, 6, 6, 1, 0xc4, 0x80];
    let intra = [0, 0, 1, 0x41, 0x88, 0x80];
    let filler = [0, 0, 1, 0x0c, 0xff, 0x80];
    let unit = [SETS, &recovery, &intra, &filler].concat();
    stream.pes(0x50, Some((0, 0)), &unit);
    stream.pes(0x50, Some((1, 1)), &[&recovery[..], DELTA].concat());
    let told = stream.told();
    assert_eq!(told[1].0, Role::Key);
    assert_eq!(told[1].2, prefixed(&[&recovery[3..], &intra[3..]]));
    assert_eq!(told[2].0, Role::Delta);
}

#[test]
fn frames_of_sound_cross_packets_and_have_times_of_their_own() {
    let mut stream = Stream::tables(&[AUDIO]);
    let five = SOUND.repeat(5);
    stream.pes(0x51, Some((9000, 9000)), &five[..24]);
    stream.pes(0x51, Some((18_000, 18_000)), &five[24..]);
    let (frames, counters) = stream.read();
    assert_eq!(counters.faults, 0);
    let ticks: Vec<i64> = frames.iter().map(|frame| frame.dts.ticks()).collect();
    let step = 1024 * 900_000 / 44_100;
    // the third began in the first packet; the time of the second is that of the fourth
    let expected = [
        90_000,
        90_000,
        90_000 + step,
        90_000 + 2 * 1024 * 900_000 / 44_100,
        180_000,
        180_000 + step,
    ];
    assert_eq!(ticks, expected);
    assert_eq!(frames[0].payload(), &[0x12, 0x10][..]);
    assert!(
        frames[1..]
            .iter()
            .all(|frame| frame.payload() == [1, 2, 3][..])
    );
}

#[test]
fn sound_is_found_again_behind_garbage() {
    let mut stream = Stream::tables(&[AUDIO]);
    let mut data = SOUND.repeat(2);
    // a lookalike that no other frame follows
    data.extend([9, 9, 0xff, 0xf1, 0x50, 0x80, 0x01, 0x7f, 0xfc, 8]);
    data.extend(SOUND.repeat(2));
    stream.pes(0x51, Some((0, 0)), &data);
    let (frames, counters) = stream.read();
    assert_eq!(frames.len(), 5);
    assert!(counters.faults > 0);
    assert!(
        frames[1..]
            .iter()
            .all(|frame| frame.payload() == [1, 2, 3][..])
    );
}

#[test]
fn the_first_program_with_media_is_read() {
    let mut stream = Stream::default();
    let mut both = pat(1, 0x30);
    both.truncate(12);
    both.extend([0, 7, 0xe0, 0x40, 0, 9, 0xe0, 0x60]);
    both[2] = (both.len() - 3 + 4) as u8;
    let crc = psi::crc32(&both);
    both.extend(crc.to_be_bytes());
    stream.section(PAT_PID, &both);
    let text = Announced {
        stream_type: 6,
        pid: 0x49,
        descriptors: &[0x59, 0],
    };
    let other = Announced { pid: 0x61, ..AUDIO };
    stream.section(0x30, &pmt(1, 0, 0x49, &[text]));
    stream.section(0x40, &pmt(7, 0, 0x51, &[AUDIO]));
    stream.section(0x60, &pmt(9, 0, 0x61, &[other]));
    stream.pes(0x61, Some((1, 1)), SOUND);
    stream.pes(0x51, Some((2, 2)), SOUND);
    stream.pes(0x49, Some((3, 3)), SOUND);
    let times: Vec<i64> = stream.told().iter().map(|(_, dts, _)| *dts).collect();
    assert_eq!(times, [2, 2]);
    // once it is gone, another is taken
    stream.section(PAT_PID, &pat(9, 0x60));
    stream.section(0x60, &pmt(9, 0, 0x61, &[other]));
    stream.pes(0x61, Some((4, 4)), SOUND);
    stream.pes(0x51, Some((5, 5)), SOUND);
    let times: Vec<i64> = stream.told().iter().map(|(_, dts, _)| *dts).collect();
    assert_eq!(times, [2, 2, 4, 4]);
}

#[test]
fn tracks_keep_their_numbers_while_others_come_and_go() {
    let second = Announced { pid: 0x52, ..AUDIO };
    let mp3 = Announced {
        pid: 0x51,
        stream_type: 0x03,
        descriptors: &[],
    };
    let mut stream = Stream::tables(&[VIDEO, AUDIO, second]);
    stream.pes(0x51, Some((1, 1)), SOUND);
    stream.pes(0x52, Some((1, 1)), SOUND);
    stream.section(0x40, &pmt(7, 1, 0x50, &[second, mp3]));
    stream.pes(0x52, Some((2, 2)), SOUND);
    let layer_3 = [&[0xff, 0xfb, 0x14, 0x64][..], &[0; 92]].concat();
    stream.pes(0x51, Some((2, 2)), &layer_3);
    let layer_2 = [&[0xff, 0xfd, 0x14, 0x64][..], &[0; 92]].concat();
    stream.pes(0x51, Some((3, 3)), &layer_2);
    let (frames, counters) = stream.read();
    assert_eq!(counters.faults, 1, "layer II has no name in FLV");
    let sound = frames.iter().filter(|frame| frame.role == Role::Delta);
    let told: Vec<_> = sound
        .map(|frame| (frame.track.index, frame.codec))
        .collect();
    let (aac, mp3) = (Codec::Audio(AudioCodec::Aac), Codec::Audio(AudioCodec::Mp3));
    assert_eq!(told, [(0, aac), (1, aac), (1, aac), (0, mp3)]);
}

#[test]
fn times_go_on_over_the_wrap_whichever_track_wraps_first() {
    let mut stream = Stream::tables(&[VIDEO, AUDIO]);
    let wrap = clock::WRAP;
    stream.pes(0x50, Some((wrap - 100, wrap + 50)), &[SETS, KEY].concat());
    stream.pes(0x51, Some((wrap + 20, wrap + 20)), SOUND);
    stream.pes(0x50, Some((wrap - 5, wrap - 5)), DELTA);
    let (frames, _) = stream.read();
    let video: Vec<_> = frames
        .iter()
        .filter(|frame| frame.codec == Codec::Video(VideoCodec::H264))
        .map(|frame| (frame.dts.ticks() / 10, frame.composition.ticks() / 10))
        .collect();
    let near = |ticks: i64| ticks + if video[0].0 < 0 { -wrap } else { 0 };
    assert_eq!(
        video,
        [
            (near(wrap - 100), 0),
            (near(wrap - 100), 150),
            (near(wrap - 5), 0)
        ]
    );
    let sound = frames.iter().find(|frame| frame.role == Role::Delta);
    let distance = sound.unwrap().dts - Timestamp::from_ticks(video[0].0 * 10);
    assert!(distance.ticks().abs() <= 1200);
}

#[test]
fn a_packet_cut_short_is_dropped() {
    let mut stream = Stream::tables(&[AUDIO]);
    stream.pes(0x51, Some((1, 1)), &SOUND.repeat(40));
    let length = stream.bytes.len();
    stream.bytes.truncate(length - PACKET_BYTES);
    *stream.continuity.get_mut(&0x51).unwrap() -= 1;
    stream.pes(0x51, Some((9, 9)), SOUND);
    let (frames, counters) = stream.read();
    assert_eq!((frames.len(), counters.faults), (2, 1));
    assert_eq!(frames[1].dts.ticks(), 90);
}

#[test]
fn a_sync_byte_by_chance_is_not_believed() {
    let mut bytes = vec![0; 3 * PACKET_BYTES];
    bytes[5] = SYNC;
    bytes[5 + PACKET_BYTES] = SYNC;
    assert_eq!(find_sync(&bytes, false), (bytes.len(), false));
    bytes[7] = SYNC;
    bytes[7 + PACKET_BYTES] = SYNC;
    bytes[7 + 2 * PACKET_BYTES] = SYNC;
    assert_eq!(find_sync(&bytes, false), (7, true));
    assert_eq!(find_sync(&bytes[..300], false), (5, false));
    assert_eq!(find_sync(&bytes[..300], true), (5, true));
    assert_eq!(find_sync(&bytes[..150], true), (150, false));
}
