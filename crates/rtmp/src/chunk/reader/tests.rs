//! Messages out of chunks, in pieces of any size.
//!
//! Owns: the tests of header types, extended timestamps, interleaving, and the bounds of unfinished messages. Does not:
//! test what messages mean; the sessions do.

use proptest::prelude::*;

use super::*;
use crate::chunk::write_message;
use crate::message::type_id;

const LIMIT: u32 = 1 << 20;

/// All messages of `input`, read in one piece.
fn messages(input: &[u8]) -> Vec<Message> {
    read_all(&mut ChunkReader::new(LIMIT), input).unwrap()
}

fn read_all(reader: &mut ChunkReader, mut input: &[u8]) -> Result<Vec<Message>, Error> {
    let mut messages = Vec::new();
    while let Some(message) = reader.read(&mut input)? {
        messages.push(message);
    }
    assert!(input.is_empty());
    Ok(messages)
}

fn fault(input: &[u8]) -> Misbehaviour {
    match read_all(&mut ChunkReader::new(LIMIT), input) {
        Err(Error::PeerMisbehaved { what, .. }) => what,
        other => panic!("{other:?}"),
    }
}

fn times(input: &[u8]) -> Vec<u32> {
    messages(input)
        .iter()
        .map(|message| message.timestamp)
        .collect()
}

/// A type 0 header for an audio message on csid 6, message stream 1.
fn full(time: u32, length: u8) -> Vec<u8> {
    let [_, a, b, c] = time.min(0xff_ffff).to_be_bytes();
    let mut header = vec![6, a, b, c, 0, 0, length, 8, 1, 0, 0, 0];
    if time >= 0xff_ffff {
        header.extend_from_slice(&time.to_be_bytes());
    }
    header
}

fn set_chunk_size(size: u32) -> Vec<u8> {
    let mut out = Vec::new();
    write_message(
        &mut out,
        2,
        0,
        type_id::SET_CHUNK_SIZE,
        0,
        &size.to_be_bytes(),
        128,
    );
    out
}

#[test]
fn each_header_type_takes_what_it_lacks_from_the_last() {
    let input = [
        &full(1000, 2)[..],
        &[1, 2],
        // type 1: delta 20, length 1, video
        &[0x46, 0, 0, 20, 0, 0, 1, 9, 3],
        // type 2: delta 30
        &[0x86, 0, 0, 30, 4],
        // type 3: delta 30 again
        &[0xc6, 5],
    ]
    .concat();
    let seen: Vec<_> = messages(&input)
        .iter()
        .map(|message| {
            (
                message.timestamp,
                message.type_id,
                message.msid,
                message.body.to_vec(),
            )
        })
        .collect();
    let expected = [
        (1000, 8, 1, vec![1, 2]),
        (1020, 9, 1, vec![3]),
        (1050, 9, 1, vec![4]),
        (1080, 9, 1, vec![5]),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn type_3_after_type_0_takes_the_time_as_delta() {
    let input = [&full(40, 1)[..], &[1, 0xc6, 2, 0xc6, 3]].concat();
    assert_eq!(times(&input), [40, 80, 120]);
}

#[test]
fn times_wrap() {
    let input = [&full(u32::MAX - 9, 1)[..], &[1, 0x86, 0, 0, 20, 2]].concat();
    assert_eq!(times(&input), [u32::MAX - 9, 10]);
    // an extended delta wraps as well
    let input = [
        &full(5, 1)[..],
        &[1, 0x86, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
    ]
    .concat();
    assert_eq!(times(&input), [5, 4]);
}

#[test]
fn extended_time_is_repeated_or_not() {
    let time = 0x0102_0304u32;
    let payload: Vec<u8> = (0..5).map(|byte| byte + 100).collect();
    let head = [&set_chunk_size(2)[..], &full(time, 5), &payload[..2]].concat();
    let repeated = time.to_be_bytes();
    let with = [
        &head[..],
        &[0xc6],
        &repeated,
        &payload[2..4],
        &[0xc6],
        &repeated,
        &payload[4..],
    ];
    let without = [&head[..], &[0xc6], &payload[2..4], &[0xc6], &payload[4..]];
    for input in [with.concat(), without.concat()] {
        let seen = messages(&input);
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].timestamp, &seen[0].body[..]), (time, &payload[..]));
    }
}

#[test]
fn payload_that_begins_like_the_time_is_payload() {
    // no repetition, and the payload's first three bytes are those of the time
    let time = 0x0102_0304u32;
    let payload = [9, 9, 1, 2, 3, 7];
    let head = [&set_chunk_size(2)[..], &full(time, 6), &payload[..2]].concat();
    let input = [
        &head[..],
        &[0xc6],
        &payload[2..4],
        &[0xc6],
        &payload[4..],
        &full(7, 1),
        &[8],
    ]
    .concat();
    // here `1 2 c6` differs from the time in its third byte, after the chunk's end
    for step in [1, 2, 3, input.len()] {
        let mut reader = ChunkReader::new(LIMIT);
        let mut seen = Vec::new();
        for piece in input.chunks(step) {
            seen.extend(read_all(&mut reader, piece).unwrap());
        }
        assert_eq!(seen.len(), 2, "step {step}");
        assert_eq!(&seen[0].body[..], payload);
        assert_eq!((seen[1].timestamp, &seen[1].body[..]), (7, &[8][..]));
    }
}

#[test]
fn an_extended_delta_may_be_repeated_as_absolute_time() {
    let delta = 0x0100_0000u32;
    let absolute = delta + 5;
    let header = [0x46, 0xff, 0xff, 0xff, 0, 0, 3, 8];
    for repeated in [delta, absolute] {
        let input = [
            &set_chunk_size(2)[..],
            &full(5, 1),
            &[0],
            &header,
            &delta.to_be_bytes(),
            &[1, 2, 0xc6],
            &repeated.to_be_bytes(),
            &[3],
        ]
        .concat();
        let seen = messages(&input);
        assert_eq!(
            (seen[1].timestamp, &seen[1].body[..]),
            (absolute, &[1, 2, 3][..])
        );
    }
}

#[test]
fn a_length_of_a_nal_unit_is_not_taken_for_a_time() {
    // a delta of -1 leads to time 4, and the payload of the second chunk begins like that
    let input = [
        &set_chunk_size(2)[..],
        &full(5, 1),
        &[
            0, 0x46, 0xff, 0xff, 0xff, 0, 0, 6, 9, 0xff, 0xff, 0xff, 0xff,
        ],
        &[1, 2, 0xc6, 0, 0, 0xc6, 0, 4],
        &full(7, 0),
    ]
    .concat();
    let seen = messages(&input);
    assert_eq!(
        (seen[1].timestamp, &seen[1].body[..]),
        (4, &[1, 2, 0, 0, 0, 4][..])
    );
    assert_eq!(seen[2].timestamp, 7);
}

#[test]
fn messages_interleave_across_chunk_streams() {
    let mut other = full(2, 2);
    other[0] = 7;
    let input = [
        &set_chunk_size(2)[..],
        &full(1, 4),
        &[1, 2],
        &other,
        &[9, 9],
        &[0xc6, 3, 4],
    ]
    .concat();
    let seen = messages(&input);
    assert_eq!((seen[0].csid, &seen[0].body[..]), (7, &[9, 9][..]));
    assert_eq!((seen[1].csid, &seen[1].body[..]), (6, &[1, 2, 3, 4][..]));
}

#[test]
fn abort_drops_the_unfinished_message() {
    let mut abort = Vec::new();
    write_message(&mut abort, 2, 0, type_id::ABORT, 0, &6u32.to_be_bytes(), 2);
    let input = [
        &set_chunk_size(2)[..],
        &full(1, 4),
        &[1, 2],
        &abort,
        &full(9, 1),
        &[5],
    ]
    .concat();
    let seen = messages(&input);
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].timestamp, &seen[0].body[..]), (9, &[5][..]));
}

#[test]
fn empty_messages_are_messages() {
    let input = [&full(1, 0)[..], &full(2, 0)].concat();
    assert_eq!(times(&input), [1, 2]);
}

#[test]
fn a_header_inside_a_message_has_to_continue_it() {
    let begun = [&set_chunk_size(2)[..], &full(1, 4), &[1, 2]].concat();
    let again = [&begun[..], &full(1, 4)].concat();
    assert_eq!(fault(&again), Misbehaviour::MessageInsideMessage(0));
    let other_length = [&begun[..], &[0x46, 0, 0, 0, 0, 0, 5, 8]].concat();
    assert_eq!(fault(&other_length), Misbehaviour::MessageInsideMessage(1));
    let same = [&begun[..], &[0x46, 0, 0, 7, 0, 0, 4, 8, 3, 4]].concat();
    let seen = messages(&same);
    assert_eq!(
        (seen[0].timestamp, &seen[0].body[..]),
        (1, &[1, 2, 3, 4][..])
    );
}

#[test]
fn first_headers_without_a_length_are_refused() {
    assert_eq!(fault(&[0x86, 0, 0, 1]), Misbehaviour::NoEarlierHeader(2));
    assert_eq!(fault(&[0xc6]), Misbehaviour::NoEarlierHeader(3));
    // as librtmp answers its first ping
    let ping = [0x42, 0, 0, 0, 0, 0, 6, 4, 0, 7, 0, 0, 0, 1];
    assert_eq!(messages(&ping)[0].type_id, type_id::USER_CONTROL);
}

#[test]
fn impossible_chunk_sizes_are_refused_with_their_place() {
    assert_eq!(fault(&set_chunk_size(0)), Misbehaviour::ChunkSize(0));
    assert_eq!(
        fault(&set_chunk_size(1 << 31)),
        Misbehaviour::ChunkSize(1 << 31)
    );
    let mut reader = ChunkReader::new(LIMIT);
    reader.count_earlier(3073);
    let error = read_all(&mut reader, &set_chunk_size(0)).unwrap_err();
    assert_eq!(
        error,
        Error::peer(3073 + 16, Some(2), Misbehaviour::ChunkSize(0))
    );
    assert_eq!(
        read_all(&mut reader, &set_chunk_size(i32::MAX as u32)),
        Ok(Vec::new())
    );
}

#[test]
fn a_short_control_message_is_refused() {
    let input = [2, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 1];
    assert_eq!(
        fault(&input),
        Misbehaviour::ShortControl {
            type_id: 1,
            length: 2
        }
    );
}

#[test]
fn small_messages_are_allocated_exactly() {
    let mut reader = ChunkReader::new(LIMIT);
    let mut out = Vec::new();
    write_message(&mut out, 6, 0, 9, 1, &[7; 50_000], 128);
    let cut = out.len() - 1;
    let mut input = &out[..cut];
    assert_eq!(reader.read(&mut input), Ok(None));
    let states = reader.streams.capacity() * size_of::<Stream>();
    assert_eq!(reader.memory(), 50_000 + states);
    let message = reader.read(&mut &out[cut..]).unwrap().unwrap();
    assert_eq!(message.body.len(), 50_000);
    assert_eq!(reader.memory(), states);
}

#[test]
fn announced_megabytes_cost_nothing_until_they_come() {
    let mut reader = ChunkReader::new(8 << 20);
    let bound = MAX_CHUNK_STREAMS * (RESERVE_AHEAD_BYTES + 2 * size_of::<Stream>());
    let mut refused = None;
    for csid in 320u32..65_320 {
        let mut out = Vec::new();
        write_message(&mut out, csid, 0, 9, 1, &[1], 128);
        // behind a basic header of three bytes and the time: 8 MiB are announced
        out[6..9].copy_from_slice(&[0x80, 0, 0]);
        if let Err(error) = read_all(&mut reader, &out) {
            refused = Some((csid, error));
            break;
        }
        // a chunk of 128 bytes is open: fill it so that the next header follows
        assert_eq!(read_all(&mut reader, &[0; 127]), Ok(Vec::new()));
        assert!(reader.memory() <= bound, "{} bytes", reader.memory());
    }
    let (csid, error) = refused.unwrap();
    assert_eq!(csid, 320 + MAX_CHUNK_STREAMS as u32);
    let what = Misbehaviour::TooManyChunkStreams(MAX_CHUNK_STREAMS);
    assert!(matches!(error, Error::PeerMisbehaved { what: seen, .. } if seen == what));
}

#[test]
fn unfinished_messages_share_one_limit() {
    let limit = 200_000;
    let mut reader = ChunkReader::new(limit);
    read_all(&mut reader, &set_chunk_size(150_000)).unwrap();
    let mut error = None;
    for csid in [6, 7] {
        let mut out = Vec::new();
        write_message(&mut out, csid, 0, 9, 1, &[1; 160_000], 150_000);
        out.truncate(12 + 150_000);
        error = read_all(&mut reader, &out).err();
        assert!(reader.memory() <= limit as usize + 1024);
    }
    let what = Misbehaviour::TooMuchUnfinished { limit };
    assert!(matches!(error, Some(Error::PeerMisbehaved { what: seen, .. }) if seen == what));
    let mut too_long = Vec::new();
    write_message(&mut too_long, 6, 0, 9, 1, &[1; 200_001], 128);
    let error = ChunkReader::new(limit)
        .read(&mut &too_long[..])
        .unwrap_err();
    let what = Misbehaviour::MessageTooLarge {
        length: 200_001,
        limit,
    };
    assert_eq!(error, Error::peer(12, Some(6), what));
}

proptest! {
    #[test]
    fn what_is_written_is_read_whatever_the_pieces(
        sent in proptest::collection::vec(
            (2u32..70, any::<u32>(), 8u8..30, any::<u32>(),
             proptest::collection::vec(any::<u8>(), 0..400)),
            0..8,
        ),
        chunk_size in 1u32..300,
        step in 1usize..500,
    ) {
        let mut wire = set_chunk_size(chunk_size);
        for (csid, time, type_id, msid, body) in &sent {
            write_message(&mut wire, *csid, *time, *type_id, *msid, body, chunk_size);
        }
        let mut reader = ChunkReader::new(LIMIT);
        let mut seen = Vec::new();
        for piece in wire.chunks(step) {
            seen.extend(read_all(&mut reader, piece).unwrap());
        }
        let seen: Vec<_> = seen
            .into_iter()
            .map(|m| (m.csid, m.timestamp, m.type_id, m.msid, m.body.to_vec()))
            .collect();
        prop_assert_eq!(seen, sent);
        prop_assert_eq!(reader.bytes_read(), wire.len() as u64);
    }

    #[test]
    fn any_bytes_are_judged_within_the_bound(
        input in proptest::collection::vec(any::<u8>(), 0..2000),
        step in 1usize..100,
    ) {
        let limit = 4096;
        let mut reader = ChunkReader::new(limit);
        for mut piece in input.chunks(step) {
            while let Ok(Some(_)) = reader.read(&mut piece) {}
            let states = MAX_CHUNK_STREAMS * size_of::<Stream>();
            prop_assert!(reader.memory() <= limit as usize + states);
        }
    }
}
