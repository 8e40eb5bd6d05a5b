//! Transport streams both ways: what is written is in order and says the same when it is read, whole, cut or damaged;
//! ffmpeg reads what is written here, and what ffmpeg writes is read here.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "ts/check.rs"]
mod check;
#[path = "ts/foreign.rs"]
mod foreign;
#[path = "ts/media.rs"]
mod media;

use bytes::Bytes;
use media::{LIMIT, Played, Source, data, golden, mux, played, read, source};
use proptest::prelude::*;
use weir_codec::{h264, h265};
use weir_container::ts::{DELAY, Demuxer, Muxer, PACKET_BYTES, Unit};
use weir_media::{AudioCodec, Codec, Frame, Role, Timestamp, TrackId, VideoCodec};

const PMT_PID: u16 = 0x1000;

/// A stream of every codec pair, with its frames.
fn streams() -> Vec<(Source, Vec<u8>)> {
    let all = [
        source(VideoCodec::H264, AudioCodec::Aac),
        source(VideoCodec::H265, AudioCodec::Opus),
        source(VideoCodec::H264, AudioCodec::Mp3),
        source(VideoCodec::H264, AudioCodec::Ac3),
    ];
    all.into_iter()
        .map(|source| {
            let stream = mux(&source);
            (source, stream)
        })
        .collect()
}

#[test]
fn what_is_written_is_in_order() {
    for (_, stream) in streams() {
        assert_eq!(check::faults(&stream, PMT_PID), [""; 0]);
    }
}

#[test]
fn the_checker_finds_planted_faults() {
    let (_, stream) = streams().remove(0);
    let packet = |pid: u16, nth: usize| {
        let is = |packet: &[u8]| u16::from_be_bytes([packet[1] & 0x1f, packet[2]]) == pid;
        let mut places = stream
            .chunks(PACKET_BYTES)
            .enumerate()
            .filter(|(_, it)| is(it));
        places.nth(nth).unwrap().0 * PACKET_BYTES
    };
    let found = |at: usize, change: &dyn Fn(&mut Vec<u8>, usize)| {
        let mut planted = stream.clone();
        change(&mut planted, at);
        check::faults(&planted, PMT_PID).join("; ")
    };
    let sync = found(packet(0x100, 3), &|it, at| it[at] = 0);
    assert!(sync.contains("no sync byte"), "{sync}");
    let lost = found(packet(0x100, 3), &|it, at| drop(it.drain(at..at + 188)));
    assert!(lost.contains("counter of 0x100"), "{lost}");
    let crc = found(packet(PMT_PID, 1), &|it, at| it[at + 12] ^= 1);
    assert!(crc.contains("check sum of 0x1000"), "{crc}");
    let without = |pid: u16| {
        let mut planted = Vec::new();
        for packet in stream.chunks(PACKET_BYTES) {
            let is = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]) == pid;
            if !is || planted.len() < 1000 {
                planted.extend_from_slice(packet);
            }
        }
        check::faults(&planted, PMT_PID).join("; ")
    };
    assert!(without(PMT_PID).contains("tables are late"));
    // sound alone has no clock here
    assert!(check::faults(&stream[..376], PMT_PID).contains(&"no clock".to_owned()));
    let mut jump = stream.clone();
    let clocks: Vec<usize> = (0..jump.len() / 188)
        .map(|at| at * 188)
        .filter(|at| jump[at + 3] & 0x20 != 0 && jump[at + 4] > 0 && jump[at + 5] & 0x10 != 0)
        .collect();
    jump[clocks[4] + 7] ^= 1;
    let jump = check::faults(&jump, PMT_PID).join("; ");
    assert!(jump.contains("clock after"), "{jump}");
}

#[test]
fn what_is_written_is_read_again() {
    for (source, stream) in streams() {
        let (frames, counters) = read([&stream[..]]);
        assert_eq!((counters.faults, counters.discontinuities), (0, 0));
        assert_eq!(played(&frames), source.played());
        let configs: Vec<_> = frames.iter().filter(|it| it.role == Role::Config).collect();
        for (track, codec, config) in &source.tracks {
            let told = configs.iter().find(|it| it.track == *track);
            let told = told.map_or(Bytes::new(), |frame| frame.payload());
            assert_eq!(core(*codec, &told), core(*codec, config), "{codec}");
        }
        for frame in &frames {
            let kind = frame.track.media.into();
            let again = weir_container::flv::frame(kind, frame.dts, frame.packet.clone()).unwrap();
            assert_eq!((again.codec, again.role), (frame.codec, frame.role));
            assert_eq!(again.payload(), frame.payload());
        }
    }
}

/// What of a configuration survives: parameter sets; object type, rate and channels of AAC without extensions; the
/// channels of Opus.
fn core(codec: Codec, config: &[u8]) -> Vec<u8> {
    match codec {
        Codec::Video(VideoCodec::H264) => h264::parameter_sets(config).unwrap().concat(),
        Codec::Video(VideoCodec::H265) => h265::parameter_sets(config).unwrap().concat(),
        Codec::Audio(AudioCodec::Aac) => config[..2].to_vec(),
        Codec::Audio(AudioCodec::Opus) => [&config[..10], &config[18..]].concat(),
        _ => config.to_vec(),
    }
}

/// A stream of ffmpeg, with several frames of sound in a packet, and the file it was made of.
#[test]
fn a_golden_stream_is_the_file_it_was_made_of() {
    let wanted = golden("h264_aac.flv").played();
    let (frames, counters) = read([&data("h264_aac.ts")[..]]);
    assert_eq!((counters.faults, counters.skipped_bytes), (0, 0));
    assert_eq!(counters.packets, 52);
    let got = played(&frames);
    assert_eq!(got.len(), wanted.len());
    let shift = got[0].dts - wanted[0].dts;
    for (got, wanted) in got.iter().zip(&wanted) {
        assert_eq!((got.track, got.is_key), (wanted.track, wanted.is_key));
        assert_eq!(got.payload, wanted.payload);
        assert_eq!(got.composition, wanted.composition);
        // FLV rounds the times of sound, one by one
        let off = got.dts - wanted.dts - shift;
        assert!(off.ticks().abs() < 2 * 900, "{off:?}");
    }
}

#[test]
fn segments_in_a_row_are_one_stream_and_each_plays_alone() {
    let source = source(VideoCodec::H264, AudioCodec::Aac);
    let mut muxer = source.muxer();
    let mut segments: Vec<Vec<u8>> = Vec::new();
    for unit in &source.units {
        if unit.is_key {
            segments.push(Vec::new());
            muxer.write_tables(segments.last_mut().unwrap());
        }
        let segment = segments.last_mut().unwrap();
        muxer.write_frame(&unit.unit(), segment).unwrap();
    }
    assert!(segments.len() > 2);
    let whole = segments.concat();
    assert_eq!(check::faults(&whole, PMT_PID), [""; 0]);
    assert_eq!(played(&read([&whole[..]]).0), source.played());
    let mut all = Vec::new();
    for segment in &segments {
        assert_eq!(
            segment[..3],
            [0x47, 0x40, 0],
            "a segment begins with its PAT"
        );
        assert_eq!(check::faults(segment, PMT_PID), [""; 0]);
        let (frames, counters) = read([&segment[..]]);
        assert_eq!(counters.faults, 0);
        assert_eq!(
            frames.iter().filter(|it| it.role == Role::Config).count(),
            2
        );
        all.extend(played(&frames));
    }
    let sorted = |mut all: Vec<Played>| {
        all.sort();
        all
    };
    assert_eq!(sorted(all), sorted(source.played()));
}

#[test]
fn the_clock_wraps_and_times_go_on() {
    let mut source = source(VideoCodec::H264, AudioCodec::Aac);
    let wrap = Timestamp::from_ticks((1i64 << 33) * 10);
    for unit in &mut source.units {
        unit.dts = unit.dts + wrap - Timestamp::from_millis(1_200);
    }
    let stream = mux(&source);
    assert_eq!(check::faults(&stream, PMT_PID), [""; 0]);
    assert_eq!(played(&read([&stream[..]]).0), source.played());
}

#[test]
fn slow_and_pausing_streams_have_their_clocks() {
    let source = source(VideoCodec::H264, AudioCodec::Aac);
    let video: Vec<_> = source
        .units
        .iter()
        .filter(|it| it.track == TrackId::VIDEO)
        .collect();
    let mut muxer = source.muxer();
    muxer.remove_track(TrackId::AUDIO);
    let mut out = Vec::new();
    let mut at = 0;
    for (unit, step) in video
        .iter()
        .zip([0, 1000, 90, 333, 4_900, 60_000, 100, 2_000])
    {
        at += step;
        let dts = Timestamp::from_millis(at);
        muxer
            .write_frame(&Unit { dts, ..unit.unit() }, &mut out)
            .unwrap();
    }
    assert_eq!(check::faults(&out, PMT_PID), [""; 0]);
    // the minute is announced, not filled
    assert!(out.len() < 200_000, "{}", out.len());
}

#[test]
fn tracks_change_in_mid_stream() {
    let (first, second) = (
        source(VideoCodec::H264, AudioCodec::Aac),
        source(VideoCodec::H265, AudioCodec::Mp3),
    );
    let mut muxer = first.muxer();
    let mut out = Vec::new();
    for unit in &first.units {
        muxer.write_frame(&unit.unit(), &mut out).unwrap();
    }
    for (track, codec, config) in &second.tracks {
        muxer.set_track(*track, *codec, config).unwrap();
    }
    let later = Timestamp::from_millis(3_000);
    for unit in &second.units {
        let dts = unit.dts + later;
        muxer
            .write_frame(&Unit { dts, ..unit.unit() }, &mut out)
            .unwrap();
    }
    assert_eq!(check::faults(&out, PMT_PID), [""; 0]);
    let (frames, counters) = read([&out[..]]);
    assert_eq!(counters.faults, 0);
    let codecs = |codec| frames.iter().filter(|it| it.codec == codec).count();
    for source in [&first, &second] {
        for (_, codec, _) in &source.tracks {
            let wanted = source
                .played()
                .iter()
                .filter(|it| it.codec == codec.to_string())
                .count();
            let configs = usize::from(*codec != Codec::Audio(AudioCodec::Mp3));
            assert_eq!(codecs(*codec), wanted + configs, "{codec}");
        }
    }
}

#[test]
fn a_lost_packet_costs_its_pes_packet_only() {
    let (source, stream) = streams().remove(0);
    let packets: Vec<&[u8]> = stream.chunks(PACKET_BYTES).collect();
    for lost in (10..packets.len()).step_by(37) {
        let kept = packets.iter().enumerate().filter(|(at, _)| *at != lost);
        let damaged: Vec<u8> = kept.flat_map(|(_, packet)| *packet).copied().collect();
        let (frames, _) = read([&damaged[..]]);
        let (got, wanted) = (played(&frames), source.played());
        // one gap costs the packet under way and, when the gap is at its start, the one before it
        assert!(got.len() + 2 >= wanted.len(), "{lost}: {}", got.len());
        assert!(got.iter().all(|it| wanted.contains(it)), "{lost}");
    }
}

#[test]
fn repeated_damaged_and_scrambled_packets_change_nothing_else() {
    let (source, stream) = streams().remove(0);
    let mut out = Vec::new();
    for packet in stream.chunks(PACKET_BYTES) {
        out.extend_from_slice(packet);
        out.extend_from_slice(packet);
        let mut foreign = packet.to_vec();
        foreign[1] |= 0x80;
        out.extend_from_slice(&foreign);
        let mut scrambled = packet.to_vec();
        scrambled[3] |= 0x80;
        out.extend_from_slice(&scrambled);
        // packets that fill
        out.extend_from_slice(&[0x47, 0x1f, 0xff, 0x10]);
        out.extend_from_slice(&[0; 184]);
    }
    let (frames, counters) = read([&out[..]]);
    assert_eq!(played(&frames), source.played());
    assert_eq!(
        (counters.faults, counters.discontinuities, counters.resyncs),
        (0, 0, 0)
    );
    let packets = (stream.len() / PACKET_BYTES) as u64;
    assert_eq!(
        (counters.packets, counters.transport_errors),
        (packets * 5, packets)
    );
    assert!(counters.repeated > packets / 2 && counters.scrambled > packets / 2);
}

#[test]
fn garbage_between_packets_is_passed_over() {
    let (source, stream) = streams().remove(0);
    let mut out = b"HTTP noise \x47\x47 before".to_vec();
    for (at, packets) in stream.chunks(20 * PACKET_BYTES).enumerate() {
        out.extend_from_slice(packets);
        out.extend(std::iter::repeat_n(0x47 + (at % 2) as u8, at % 7));
    }
    let (frames, counters) = read([&out[..]]);
    assert!(counters.resyncs > 3 && counters.skipped_bytes > 20);
    let wanted = source.played();
    let got = played(&frames);
    assert!(got.iter().all(|it| wanted.contains(it)));
    assert!(
        got.len() * 10 > wanted.len() * 8,
        "{} of {}",
        got.len(),
        wanted.len()
    );
}

#[test]
fn pictures_over_the_limit_are_dropped_and_memory_is_not_taken() {
    let (source, stream) = streams().remove(0);
    let mut demuxer = Demuxer::new(600);
    demuxer.push(&stream);
    demuxer.flush();
    let frames: Vec<Frame> = std::iter::from_fn(|| demuxer.pull()).collect();
    assert!(frames.iter().all(|frame| frame.packet.len() < 700));
    let (got, wanted) = (played(&frames), source.played());
    assert!(got.len() < wanted.len() && got.len() > wanted.len() / 2);
    assert!(demuxer.counters().faults > 0);
}

#[test]
fn what_cannot_be_written_is_refused_and_leaves_nothing_behind() {
    let source = source(VideoCodec::H264, AudioCodec::Aac);
    let mut muxer = Muxer::new();
    let mut out = Vec::new();
    let unit = source.units[0].unit();
    assert!(muxer.write_frame(&unit, &mut out).is_err());
    assert!(
        muxer
            .set_track(TrackId::VIDEO, Codec::Video(VideoCodec::Av1), &[])
            .is_err()
    );
    assert!(
        muxer
            .set_track(TrackId::VIDEO, source.tracks[0].1, &[1, 2])
            .is_err()
    );
    let mut muxer = source.muxer();
    let damaged = Unit {
        payload: &[0, 0, 0, 9, 1],
        ..unit
    };
    assert!(muxer.write_frame(&damaged, &mut out).is_err());
    let long = vec![0; 9000];
    let sound = Unit {
        track: TrackId::AUDIO,
        payload: &long,
        ..unit
    };
    assert!(muxer.write_frame(&sound, &mut out).is_err());
    assert!(out.is_empty());
    for index in 0..16 {
        let track = TrackId {
            index,
            ..TrackId::AUDIO
        };
        let result = muxer.set_track(track, Codec::Audio(AudioCodec::Ac3), &[]);
        assert_eq!(result.is_ok(), index < 15, "{index}");
    }
    muxer.remove_track(TrackId::VIDEO);
    let track = TrackId {
        index: 15,
        ..TrackId::AUDIO
    };
    assert!(
        muxer
            .set_track(track, Codec::Audio(AudioCodec::Ac3), &[])
            .is_ok()
    );
    muxer.write_tables(&mut out);
    // a PMT of 16 tracks is more than a packet
    assert_eq!(out.len(), 3 * PACKET_BYTES);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_cut_gives_the_same_frames(which in 0usize..4, cuts in proptest::collection::vec(1usize..700, 1..40)) {
        let (_, stream) = streams().swap_remove(which);
        let whole = read([&stream[..]]);
        let mut rest = &stream[..];
        let mut cuts = cuts.iter().cycle();
        let pieces = std::iter::from_fn(|| {
            let (piece, later) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            rest = later;
            (!piece.is_empty()).then_some(piece)
        });
        prop_assert_eq!(read(pieces), whole);
    }

    #[test]
    fn damage_anywhere_is_survived(
        which in 0usize..4,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..60),
        cut in any::<prop::sample::Index>(),
        cuts in proptest::collection::vec(1usize..900, 1..20),
    ) {
        let (_, mut stream) = streams().swap_remove(which);
        for (at, value) in flips {
            let at = at.index(stream.len());
            stream[at] = value;
        }
        stream.remove(cut.index(stream.len()));
        let (frames, counters) = read([&stream[..]]);
        prop_assert!(counters.packets as usize <= stream.len() / PACKET_BYTES + 1);
        let bytes: usize = frames.iter().map(|frame| frame.packet.len()).sum();
        prop_assert!(bytes <= stream.len() * 4);
        prop_assert!(frames.iter().all(|frame| frame.packet.len() <= LIMIT));
        let mut rest = &stream[..];
        let mut cuts = cuts.iter().cycle();
        let pieces = std::iter::from_fn(|| {
            let (piece, later) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            rest = later;
            (!piece.is_empty()).then_some(piece)
        });
        prop_assert_eq!(read(pieces), (frames, counters));
    }

    #[test]
    fn frames_of_any_size_and_time_survive(
        sizes in proptest::collection::vec((1usize..3000, 0i64..200, -2i64..5, any::<bool>()), 1..30),
    ) {
        let base = source(VideoCodec::H264, AudioCodec::Aac);
        let mut muxer = base.muxer();
        let mut out = Vec::new();
        let mut at = 0;
        let mut written = Vec::new();
        // the first picture moves decode times back as far as any will be
        let lead = 80;
        for (nth, (size, step, shown, is_key)) in sizes.into_iter().enumerate() {
            at += step + 1;
            let is_key = is_key || nth == 0;
            let mut payload = (size as u32 + 1).to_be_bytes().to_vec();
            payload.push(if is_key { 0x65 } else { 0x41 });
            payload.extend((0..size).map(|at| (at * 7 + nth) as u8 | 4));
            let unit = Unit {
                track: TrackId::VIDEO,
                dts: Timestamp::from_millis(at),
                composition: Timestamp::from_millis(if nth == 0 { -lead } else { shown * 40 }),
                is_key,
                payload: &payload,
            };
            muxer.write_frame(&unit, &mut out).unwrap();
            written.push((unit.dts + unit.composition, is_key, payload));
        }
        prop_assert_eq!(check::faults(&out, PMT_PID), [""; 0]);
        let (frames, _) = read([&out[..]]);
        let pictures = frames.iter().filter(|frame| frame.role != Role::Config);
        let got: Vec<_> = pictures.map(|frame| {
            let shown = frame.dts + frame.composition - DELAY;
            (shown, frame.role == Role::Key, frame.payload().to_vec())
        }).collect();
        prop_assert_eq!(got, written);
    }
}
