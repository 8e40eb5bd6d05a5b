//! Golden bytes of fragment heads, and what the reader makes of any.

use proptest::prelude::*;

use super::super::reader;
use super::*;

fn sample(duration: u32, size: u32, composition: i32, is_sync: bool) -> Sample {
    Sample {
        duration,
        size,
        composition,
        is_sync,
    }
}

fn run(track: u32, base_time: u64, samples: &[Sample]) -> Run<'_> {
    Run {
        track,
        is_video: track == 1,
        base_time,
        samples,
    }
}

fn head_of(runs: &[Run<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    write_fragment_head(7, runs, &mut out);
    out
}

#[test]
fn a_key_frame_in_front_of_others() {
    let samples = [
        sample(3000, 500, 0, true),
        sample(3000, 60, 6000, false),
        sample(3000, 40, -3000, false),
    ];
    let wanted = [
        b"\0\0\0\x7cmoof\0\0\0\x10mfhd\0\0\0\0\0\0\0\x07".as_slice(),
        b"\0\0\0\x64traf",
        // default-base-is-moof, a duration and flags for all
        b"\0\0\0\x18tfhd\0\x02\0\x28\0\0\0\x01\0\0\x0b\xb8\x01\x01\0\0",
        b"\0\0\0\x14tfdt\x01\0\0\0\0\0\0\x01\0\0\0\x02",
        // a data offset, the first sample's flags, sizes and offsets
        b"\0\0\0\x30trun\x01\0\x0a\x05\0\0\0\x03\0\0\0\x84\x02\0\0\0",
        b"\0\0\x01\xf4\0\0\0\0\0\0\0\x3c\0\0\x17\x70\0\0\0\x28\xff\xff\xf4\x48",
        b"\0\0\x02\x60mdat",
    ]
    .concat();
    assert_eq!(head_of(&[run(1, 0x1_0000_0002, &samples)]), wanted);
}

#[test]
fn a_part_of_one_picture_has_no_columns_at_all() {
    let head = head_of(&[run(1, 90_000, &[sample(3000, 700, 0, false)])]);
    // moof 8, mfhd 16, traf 8, tfhd with three defaults 28, tfdt 20, trun without rows 20, head of mdat 8
    assert_eq!(head.len(), 8 + 16 + 8 + 28 + 20 + 20 + 8);
    assert!(head.ends_with(b"\0\0\x02\xc4mdat"));
    let sound = [sample(1024, 300, 0, false), sample(1024, 300, 0, true)];
    assert_eq!(head_of(&[run(2, 0, &sound)]).len(), head.len());
}

#[test]
fn only_columns_that_differ_are_written() {
    let bytes = |samples: &[Sample]| head_of(&[run(1, 0, samples)]).len();
    let same = bytes(&[sample(1, 5, 0, true); 10]);
    let mut samples = [sample(1, 5, 0, true); 10];
    samples[9].duration = 2;
    // ten rows of four bytes instead of one default of four
    assert_eq!(bytes(&samples), same + 36);
    samples[9] = sample(1, 6, 0, true);
    assert_eq!(bytes(&samples), same + 36);
    samples[9] = sample(1, 5, -1, true);
    assert_eq!(bytes(&samples), same + 40);
    // a second key frame behind others leaves no rule for flags
    samples[9] = sample(1, 5, 0, false);
    assert_eq!(bytes(&samples), same + 36);
    samples[9].is_sync = true;
    samples[0].is_sync = false;
    assert_eq!(bytes(&samples), same + 4);
}

#[test]
fn runs_without_samples_are_left_out() {
    let samples = [sample(1, 5, 0, true)];
    let alone = head_of(&[run(2, 9, &samples)]);
    assert_eq!(head_of(&[run(1, 0, &[]), run(2, 9, &samples)]), alone);
    let nothing = head_of(&[]);
    assert!(nothing.starts_with(b"\0\0\0\x18moof") && nothing.ends_with(b"\0\0\0\x08mdat"));
}

#[test]
fn lengths_beyond_32_bits_are_written_in_64_and_offsets_do_not_wrap() {
    let largest = sample(1, u32::MAX, 0, true);
    let fits = sample(1, u32::MAX - 8, 0, true);
    assert!(head_of(&[run(1, 0, &[fits])]).ends_with(b"\xff\xff\xff\xffmdat"));
    let head = head_of(&[run(1, 0, &[largest])]);
    assert!(head.ends_with(b"\0\0\0\x01mdat\0\0\0\x01\0\0\0\x0f"));
    let two = head_of(&[run(1, 0, &[largest; 2]), run(2, u64::MAX, &[largest])]);
    assert!(two.ends_with(b"\0\0\0\x01mdat\0\0\0\x03\0\0\0\x0d"));
    let truns: Vec<_> = two
        .windows(4)
        .enumerate()
        .filter(|(_, kind)| *kind == b"trun")
        .collect();
    let offsets = truns.iter().map(|(at, _)| &two[at + 12..at + 16]);
    let wanted = [(two.len() as u32).to_be_bytes(), i32::MAX.to_be_bytes()];
    assert!(offsets.eq(wanted.iter().map(|offset| &offset[..])));
}

#[test]
fn the_head_grows_its_buffer_once_and_exactly() {
    let samples: Vec<_> = (0..50).map(|size| sample(1024, size, 0, true)).collect();
    let mut out = Vec::new();
    write_fragment_head(1, &[run(2, 5, &samples)], &mut out);
    assert_eq!(out.capacity(), out.len());
}

fn any_sample() -> impl Strategy<Value = Sample> {
    // few values of each, so that columns agree often
    let duration = prop_oneof![Just(1024u32), Just(0), any::<u32>()];
    let composition = prop_oneof![3 => Just(0i32), 1 => any::<i32>()];
    let parts = (duration, 0u32..300, composition, any::<bool>());
    parts.prop_map(|(duration, size, composition, is_sync)| {
        sample(duration, size, composition, is_sync)
    })
}

fn any_samples() -> impl Strategy<Value = Vec<Sample>> {
    let same = (any_sample(), 1usize..20).prop_map(|(sample, count)| vec![sample; count]);
    prop_oneof![same, proptest::collection::vec(any_sample(), 0..20)]
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        sequence: u32,
        tables in proptest::collection::vec((any_samples(), any::<bool>(), any::<u64>()), 0..4),
    ) {
        let rows = tables.iter().enumerate();
        let runs: Vec<_> = rows.map(|(index, (samples, is_video, base_time))| Run {
            track: index as u32 + 1,
            is_video: *is_video,
            base_time: *base_time,
            samples,
        }).collect();
        let mut out = Vec::new();
        write_fragment_head(sequence, &runs, &mut out);
        let mut at = out.len();
        let data: u32 = tables.iter().flat_map(|(samples, ..)| samples).map(|sample| sample.size).sum();
        out.resize(at + data as usize, 0xaa);
        let read = reader::fragments(&out).unwrap();
        prop_assert_eq!(read.len(), 1);
        prop_assert_eq!(read[0].sequence, sequence);
        let runs: Vec<_> = runs.iter().filter(|run| !run.samples.is_empty()).collect();
        prop_assert_eq!(read[0].runs.len(), runs.len());
        for (found, wanted) in read[0].runs.iter().zip(runs) {
            prop_assert_eq!((found.track, found.base_time), (wanted.track, wanted.base_time));
            let mut samples = wanted.samples.to_vec();
            samples.iter_mut().for_each(|sample| sample.is_sync |= !wanted.is_video);
            prop_assert_eq!(&found.samples, &samples);
            let bytes: u32 = samples.iter().map(|sample| sample.size).sum();
            prop_assert_eq!(&found.data, &(at..at + bytes as usize));
            at += bytes as usize;
        }
    }
}
