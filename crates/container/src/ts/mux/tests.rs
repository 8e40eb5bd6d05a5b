//! Tests of the muxer's packets; `tests/ts.rs` has those of both ways.

use super::*;
use crate::ts::PACKET_BYTES;
use crate::ts::packet::Packet;

/// A record of ffmpeg's libx264 for 4-byte lengths: High, one SPS of 4 bytes (cut, for nobody reads it here), one PPS.
const AVCC: &[u8] = &[
    1, 0x64, 0, 0x0b, 0xff, 0xe1, 0, 4, 0x67, 0x64, 0, 0x0b, 1, 0, 2, 0x68, 0xeb,
];

const H264: Codec = Codec::Video(VideoCodec::H264);
const AAC: Codec = Codec::Audio(AudioCodec::Aac);
const MP3: Codec = Codec::Audio(AudioCodec::Mp3);

fn muxer() -> Muxer {
    let mut muxer = Muxer::new();
    muxer.set_track(TrackId::VIDEO, H264, AVCC).unwrap();
    muxer.set_track(TrackId::AUDIO, AAC, &[0x12, 0x10]).unwrap();
    muxer
}

fn picture(millis: i64, payload: &[u8]) -> Unit<'_> {
    Unit {
        track: TrackId::VIDEO,
        dts: Timestamp::from_millis(millis),
        composition: Timestamp::from_millis(40),
        is_key: payload.get(4) == Some(&0x65),
        payload,
    }
}

fn sound(millis: i64) -> Unit<'static> {
    Unit {
        track: TrackId::AUDIO,
        dts: Timestamp::from_millis(millis),
        composition: Timestamp::ZERO,
        is_key: false,
        payload: &[1, 2, 3],
    }
}

const KEY: &[u8] = &[0, 0, 0, 2, 0x65, 9];
const DELTA: &[u8] = &[0, 0, 0, 2, 0x41, 9];

fn written(muxer: &mut Muxer, unit: &Unit<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    muxer.write_frame(unit, &mut out).unwrap();
    out
}

fn pids(out: &[u8]) -> Vec<u16> {
    let (packets, rest) = out.as_chunks::<PACKET_BYTES>();
    assert!(rest.is_empty());
    packets
        .iter()
        .map(|packet| Packet::read(packet).unwrap().pid)
        .collect()
}

/// What the elementary stream of the only PES packet of `pid` is.
fn elementary(out: &[u8], pid: u16) -> Vec<u8> {
    let (packets, _) = out.as_chunks::<PACKET_BYTES>();
    let read = packets.iter().map(|packet| Packet::read(packet).unwrap());
    let data: Vec<u8> = read
        .filter(|packet| packet.pid == pid)
        .flat_map(|packet| packet.payload.unwrap_or_default())
        .copied()
        .collect();
    let start = pes::read(&data).unwrap();
    data[start.payload_at..].to_vec()
}

#[test]
fn a_key_frame_brings_tables_delimiter_and_parameter_sets() {
    let mut muxer = muxer();
    let out = written(&mut muxer, &picture(0, KEY));
    assert_eq!(pids(&out), [0, PMT_PID, 0x100]);
    let expected = [
        &[0, 0, 0, 1, 9, 0xf0][..],
        &[0, 0, 0, 1, 0x67, 0x64, 0, 0x0b],
        &[0, 0, 0, 1, 0x68, 0xeb],
        &[0, 0, 0, 1, 0x65, 9],
    ];
    assert_eq!(elementary(&out, 0x100), expected.concat());
    // random access and a clock
    assert_eq!(out[2 * PACKET_BYTES + 5], 0x50);
    let out = written(&mut muxer, &picture(40, DELTA));
    assert_eq!(pids(&out), [0x100]);
    assert_eq!(
        elementary(&out, 0x100),
        b"\0\0\0\x01\x09\xf0\0\0\0\x01\x41\x09"
    );
    assert_eq!(pids(&written(&mut muxer, &picture(80, KEY))).len(), 3);
}

#[test]
fn what_a_payload_has_of_its_own_is_not_added() {
    let mut muxer = muxer();
    let own = [
        &[0, 0, 0, 2, 9, 0x10][..],
        &[0, 0, 0, 2, 0x67, 1],
        &[0, 0, 0, 2, 0x65, 9],
    ]
    .concat();
    let unit = Unit {
        is_key: true,
        ..picture(0, &own)
    };
    let out = written(&mut muxer, &unit);
    let expected = b"\0\0\0\x01\x09\x10\0\0\0\x01\x67\x01\0\0\0\x01\x65\x09";
    assert_eq!(elementary(&out, 0x100), expected);
}

#[test]
fn tables_that_were_just_written_are_not_repeated() {
    let mut muxer = muxer();
    let mut out = Vec::new();
    muxer.write_tables(&mut out);
    muxer.write_frame(&picture(0, KEY), &mut out).unwrap();
    assert_eq!(pids(&out), [0, PMT_PID, 0x100]);
}

#[test]
fn tables_come_again_in_time_and_clocks_fill_gaps() {
    let mut muxer = muxer();
    written(&mut muxer, &picture(0, KEY));
    assert_eq!(pids(&written(&mut muxer, &sound(80))), [0x200]);
    // a clock of 40 ms that nobody would have missed, for the next frame may be far
    assert_eq!(pids(&written(&mut muxer, &sound(81))), [0x100, 0x200]);
    let late = pids(&written(&mut muxer, &sound(330)));
    let clocks = late.iter().filter(|pid| **pid == 0x100).count();
    let tables = late.iter().filter(|pid| **pid == PMT_PID).count();
    assert_eq!((clocks, tables), (6, 1), "{late:x?}");
}

#[test]
fn a_change_of_tracks_gives_the_tables_a_version() {
    let mut muxer = muxer();
    written(&mut muxer, &picture(0, KEY));
    let version = |muxer: &Muxer| muxer.pmt[5] >> 1 & 0x1f;
    let before = version(&muxer);
    // the same again, and another configuration of the same codec, are no change of the tables
    muxer.set_track(TrackId::AUDIO, AAC, &[0x11, 0x90]).unwrap();
    assert_eq!(version(&muxer), before);
    assert_eq!(pids(&written(&mut muxer, &sound(5))), [0x200]);
    muxer.remove_track(TrackId::VIDEO);
    assert_eq!(version(&muxer), before + 1);
    assert_eq!(
        muxer.write_frame(&picture(40, KEY), &mut Vec::new()),
        Err(Error::UnknownTrack(TrackId::VIDEO))
    );
    // the clock is the sound's now
    assert_eq!(muxer.pmt[8..10], [0xe2, 0x00]);
    assert_eq!(pids(&written(&mut muxer, &sound(45))), [0, PMT_PID, 0x200]);
    for _ in 0..40 {
        muxer.remove_track(TrackId::AUDIO);
        muxer.set_track(TrackId::AUDIO, MP3, &[]).unwrap();
    }
    assert_eq!(version(&muxer), (before + 1 + 80) % 32);
}

#[test]
fn the_rate_of_mp3_chooses_its_announcement() {
    let mut muxer = Muxer::new();
    muxer.set_track(TrackId::AUDIO, MP3, &[]).unwrap();
    let unit = |payload| Unit {
        payload,
        ..sound(0)
    };
    written(&mut muxer, &unit(&[0xff, 0xfb, 0x90, 0x64]));
    assert_eq!(muxer.pmt[12], 0x03);
    let out = written(&mut muxer, &unit(&[0xff, 0xf3, 0x40, 0xc4]));
    assert_eq!(muxer.pmt[12], 0x04);
    assert_eq!(pids(&out), [0, PMT_PID, 0x200]);
    muxer.set_track(TrackId::AUDIO, MP3, &[]).unwrap();
    assert_eq!(muxer.pmt[12], 0x04, "the same track again changes nothing");
}

#[test]
fn sound_says_its_length_and_pictures_do_not() {
    let mut muxer = muxer();
    let out = written(&mut muxer, &picture(0, KEY));
    let at = 2 * PACKET_BYTES;
    let field = usize::from(out[at + 4]) + 5;
    assert_eq!(out[at + field..at + field + 6], [0, 0, 1, 0xe0, 0, 0]);
    let out = written(&mut muxer, &sound(1));
    let pes = &out[PACKET_BYTES - 24..];
    // 9 + 5 bytes of header, 7 of ADTS, 3 of sound
    assert_eq!(pes[..6], [0, 0, 1, 0xc0, 0, 18]);
    assert_eq!(
        pes[14..],
        [0xff, 0xf1, 0x50, 0x80, 0x01, 0x5f, 0xfc, 1, 2, 3]
    );
}

#[test]
fn pictures_before_their_decode_time_move_it_back() {
    let mut muxer = muxer();
    let early = Unit {
        composition: Timestamp::from_millis(-80),
        ..picture(100, KEY)
    };
    let times = |out: &[u8]| {
        let (packets, _) = out.as_chunks::<PACKET_BYTES>();
        let last = Packet::read(packets.last().unwrap()).unwrap();
        let start = pes::read(last.payload.unwrap()).unwrap();
        (start.pts.unwrap(), start.dts)
    };
    let shown = |millis: u64| millis * 90 + CLOCK_DELAY as u64;
    let out = written(&mut muxer, &early);
    assert_eq!(times(&out), (shown(20), None));
    let out = written(&mut muxer, &picture(140, DELTA));
    assert_eq!(times(&out), (shown(180), Some(shown(60))));
}

#[test]
fn a_jump_of_time_is_announced() {
    let mut muxer = muxer();
    written(&mut muxer, &picture(0, KEY));
    for millis in [3_600_000, 1_000] {
        let out = written(&mut muxer, &picture(millis, DELTA));
        let (packets, _) = out.as_chunks::<PACKET_BYTES>();
        let last = packets.last().unwrap();
        assert!(Packet::read(last).unwrap().is_discontinuous);
        assert!(packets.len() <= 3, "the gap is not filled");
    }
    let out = written(&mut muxer, &sound(3_600_000));
    assert!(pids(&out).ends_with(&[0x100, 0x200]));
}
