//! Files and bodies of FLV, in pieces of any size.
//!
//! Owns: the tests of the reader against what the writer makes and against what nobody should. Does not: look into the
//! bodies of tags.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::flv::{write_file_header, write_tag};

const LIMIT: usize = 1 << 20;

/// Reads everything in pieces of the given sizes, the last of which repeats.
fn read_all(reader: &mut Reader, file: &[u8], sizes: &[usize]) -> Result<Vec<Tag>, Error> {
    let mut tags = Vec::new();
    let mut rest = file;
    let mut sizes = sizes.iter().copied();
    let mut size = rest.len();
    while !rest.is_empty() {
        size = sizes.next().unwrap_or(size).clamp(1, rest.len());
        let (mut piece, later) = rest.split_at(size);
        while let Some(tag) = reader.read(&mut piece)? {
            tags.push(tag);
        }
        assert!(piece.is_empty());
        rest = later;
    }
    Ok(tags)
}

fn read(file: &[u8]) -> Result<Vec<Tag>, Error> {
    read_all(&mut Reader::new(LIMIT), file, &[])
}

fn file(tags: &[Tag]) -> Vec<u8> {
    let mut out = Vec::new();
    write_file_header(true, true, &mut out);
    for tag in tags {
        write_tag(tag.kind, tag.timestamp, &tag.body, &mut out).unwrap();
    }
    out
}

fn tag(kind: TagKind, timestamp: u32, body: impl Into<Bytes>) -> Tag {
    Tag {
        kind,
        timestamp,
        stream_id: 0,
        body: body.into(),
    }
}

fn tags() -> impl Strategy<Value = Vec<Tag>> {
    let kind = prop_oneof![
        Just(TagKind::Audio),
        Just(TagKind::Video),
        Just(TagKind::Script)
    ];
    let one = (kind, any::<u32>(), vec(any::<u8>(), 0..300))
        .prop_map(|(kind, timestamp, body)| tag(kind, timestamp, body));
    vec(one, 0..8)
}

proptest! {
    #[test]
    fn what_was_written_is_read_however_it_is_cut(
        tags in tags(),
        sizes in vec(1usize..40, 1..30),
    ) {
        let file = file(&tags);
        prop_assert_eq!(&read(&file).unwrap(), &tags);
        let mut reader = Reader::new(LIMIT);
        prop_assert_eq!(read_all(&mut reader, &file, &sizes).unwrap(), tags);
        prop_assert!(reader.is_between_tags());
        prop_assert_eq!((reader.misfits(), reader.offset()), (0, file.len() as u64));
    }

    #[test]
    fn arbitrary_bytes_fail_alike_however_they_are_cut(
        bytes in vec(prop_oneof![Just(0u8), Just(8), Just(9), any::<u8>()], 0..400),
        sizes in vec(1usize..20, 1..30),
    ) {
        let mut file = Vec::new();
        write_file_header(true, true, &mut file);
        file.extend(bytes);
        let (mut whole, mut cut) = (Reader::new(100), Reader::new(100));
        let expected = read_all(&mut whole, &file, &[]);
        prop_assert_eq!(read_all(&mut cut, &file, &sizes), expected);
        prop_assert_eq!(cut.misfits(), whole.misfits());
        prop_assert_eq!(cut.unknown_tags(), whole.unknown_tags());
        prop_assert_eq!(cut.offset(), whole.offset());
    }
}

#[test]
fn a_body_holds_its_bytes_and_no_more() {
    let sent = tag(TagKind::Video, 0, vec![7; 700_000]);
    let file = file(std::slice::from_ref(&sent));
    let mut reader = Reader::new(LIMIT);
    let mut received = 0;
    for piece in file.chunks(1_000) {
        let mut input = piece;
        let tag = reader.read(&mut input).unwrap();
        received += piece.len();
        // A promise of 700,000 bytes reserves what has come, doubled, or 64 KiB.
        assert!(reader.body.capacity() <= RESERVE_AHEAD.max(2 * received));
        if let Some(tag) = tag {
            assert_eq!(tag, sent);
            let body = Vec::from(tag.body);
            assert_eq!(body.capacity(), body.len());
            return;
        }
    }
    panic!("no tag");
}

#[test]
fn timestamps_use_the_extension() {
    let tags = [
        tag(TagKind::Audio, 0x00ff_ffff, vec![1]),
        tag(TagKind::Audio, 0xfedc_ba98, vec![]),
    ];
    let file = file(&tags);
    assert_eq!(file[13 + 4..13 + 8], [0xff, 0xff, 0xff, 0x00]);
    assert_eq!(file[13 + 16 + 4..13 + 16 + 8], [0xdc, 0xba, 0x98, 0xfe]);
    assert_eq!(read(&file).unwrap(), tags);
}

#[test]
fn a_longer_file_header_is_passed_over() {
    let sent = [tag(TagKind::Audio, 5, vec![1, 2])];
    let mut longer = file(&sent);
    longer[8] = 12;
    longer.splice(9..9, [1, 2, 3]);
    let mut reader = Reader::new(LIMIT);
    assert_eq!(read_all(&mut reader, &longer, &[1]).unwrap(), sent);
    let header = FileHeader {
        version: 1,
        has_audio: true,
        has_video: true,
    };
    assert_eq!((reader.file_header(), reader.misfits()), (Some(header), 0));
    longer[8] = 8;
    assert_eq!(read(&longer), Err(Error::DataOffset { found: 8 }));
    longer[5] = 1;
    assert_eq!(read(&longer), Err(Error::DataOffset { found: 0x0100_0008 }));
    assert_eq!(
        read(b"HTTP/1.1 404"),
        Err(Error::Signature { found: *b"HTT" })
    );
}

#[test]
fn wrong_sizes_of_previous_tags_are_counted() {
    let sent = [
        tag(TagKind::Audio, 5, vec![1, 2]),
        tag(TagKind::Video, 5, vec![3]),
    ];
    let mut file = file(&sent);
    file[12] = 1;
    let at = 13 + 11 + 2;
    file[at..at + 4].fill(0);
    let mut reader = Reader::new(LIMIT);
    assert_eq!(read_all(&mut reader, &file, &[]).unwrap(), sent);
    assert_eq!(reader.misfits(), 2);
}

#[test]
fn tags_of_unknown_kind_are_passed_over() {
    let sent = [
        tag(TagKind::Audio, 5, vec![1, 2]),
        tag(TagKind::Video, 5, vec![3]),
    ];
    let mut file = file(&sent);
    file[13] = 15;
    let mut reader = Reader::new(1);
    assert_eq!(read_all(&mut reader, &file, &[1]).unwrap(), sent[1..]);
    assert_eq!((reader.unknown_tags(), reader.misfits()), (1, 0));
}

#[test]
fn what_cannot_be_read_is_said_once_and_for_all() {
    let sent = [
        tag(TagKind::Audio, 5, vec![1, 2]),
        tag(TagKind::Video, 5, vec![3; 11]),
    ];
    let mut file = file(&sent);
    let offset = 13 + 11 + 2 + 4;
    let mut reader = Reader::new(10);
    let error = Error::TagTooLarge {
        size: 11,
        limit: 10,
        offset,
    };
    assert_eq!(read_all(&mut reader, &file, &[]), Err(error));
    assert_eq!(reader.read(&mut &file[..]), Err(error));
    file[offset as usize] |= 0x20;
    assert_eq!(read(&file), Err(Error::Encrypted { offset }));
}

#[test]
fn the_end_of_a_file_is_told_from_its_middle() {
    let file = file(&[tag(TagKind::Audio, 5, vec![1, 2])]);
    let ends = |length: usize| {
        let mut reader = Reader::new(LIMIT);
        read_all(&mut reader, &file[..length], &[]).unwrap();
        reader.is_between_tags()
    };
    let complete: Vec<_> = (0..=file.len()).filter(|length| ends(*length)).collect();
    assert_eq!(complete, [9, 13, file.len() - 4, file.len()]);
}

#[test]
fn a_body_too_long_for_its_length_is_not_written() {
    let mut out = Vec::new();
    let body = vec![0; crate::flv::MAX_BODY_BYTES + 1];
    let error = Error::BodyTooLarge { size: body.len() };
    assert_eq!(write_tag(TagKind::Audio, 0, &body, &mut out), Err(error));
    assert!(out.is_empty());
}
