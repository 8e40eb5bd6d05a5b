//! Targets of FLV.
//!
//! Owns: the reader of files and the headers of tag bodies. Input: see each target.

use bytes::Bytes;
use weir_container::flv::header::{AudioTagHeader, VideoTagHeader};
use weir_container::flv::{
    Error, Reader, Tag, TagKind, frame, metadata, strip_set_data_frame, write_file_header,
    write_tag,
};
use weir_media::{Role, Timestamp};

use crate::pieces::{head, pieces};

/// Longest tag body accepted, in bytes: small, so that the limit is reached.
const MAX_BODY: usize = 4096;

/// Reads a file whole and in pieces, and writes what was read. Input: a byte that plans the pieces, and the file.
pub fn flv_reader(data: &[u8]) {
    let ([plan], file) = head::<1>(data);
    let whole = Read::of([file]);
    assert_eq!(whole, Read::of(pieces(file, plan)));
    assert!(whole.offset <= file.len() as u64);
    assert!(whole.tags.iter().all(|tag| tag.body.len() <= MAX_BODY));
    match whole.error {
        None => assert_eq!(whole.offset, file.len() as u64),
        Some(Error::Encrypted { offset } | Error::TagTooLarge { offset, .. }) => {
            assert!(offset + 11 <= whole.offset);
        }
        Some(_) => {}
    }
    let mut written = Vec::new();
    write_file_header(true, true, &mut written);
    for tag in &whole.tags {
        let result = write_tag(tag.kind, tag.timestamp, &tag.body, &mut written);
        assert_eq!(result, Ok(()));
    }
    let again = Read::of([&written[..]]);
    assert_eq!((again.misfits, again.error), (0, None));
    let core = |tag: &Tag| (tag.kind, tag.timestamp, tag.body.clone());
    assert!(again.tags.iter().map(core).eq(whole.tags.iter().map(core)));
}

/// What a reader made of a file.
#[derive(Debug, PartialEq)]
struct Read {
    tags: Vec<Tag>,
    error: Option<Error>,
    offset: u64,
    misfits: u64,
    unknown: u64,
    is_between_tags: bool,
}

impl Read {
    fn of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut reader = Reader::new(MAX_BODY);
        let mut tags = Vec::new();
        let mut error = None;
        'file: for mut piece in pieces {
            loop {
                match reader.read(&mut piece) {
                    Ok(Some(tag)) => tags.push(tag),
                    Ok(None) => break,
                    Err(first) => {
                        assert_eq!(reader.read(&mut piece), Err(first), "an error is final");
                        error = Some(first);
                        break 'file;
                    }
                }
            }
            assert!(piece.is_empty());
        }
        Self {
            tags,
            error,
            offset: reader.offset(),
            misfits: reader.misfits(),
            unknown: reader.unknown_tags(),
            is_between_tags: reader.is_between_tags(),
        }
    }
}

/// Reads a tag body of each kind: header, frame, metadata. Input: the body.
pub fn flv_header(data: &[u8]) {
    match VideoTagHeader::parse(data) {
        Ok((header, at)) => {
            assert!(at <= data.len());
            let again = rewritten(|out| header.write(out));
            assert_eq!(VideoTagHeader::parse(&again), Ok((header, again.len())));
        }
        Err(error) => check_error(&error, data.len()),
    }
    match AudioTagHeader::parse(data) {
        Ok((header, at)) => {
            assert!(at <= data.len());
            let again = rewritten(|out| header.write(out));
            assert_eq!(AudioTagHeader::parse(&again), Ok((header, again.len())));
        }
        Err(error) => check_error(&error, data.len()),
    }
    for kind in [TagKind::Audio, TagKind::Video, TagKind::Script] {
        check_frame(kind, data);
    }
    if let Err(Error::Amf(error)) = metadata(data) {
        assert!(!error.to_string().is_empty());
    }
    let stripped = strip_set_data_frame(Bytes::copy_from_slice(data));
    assert!(data.ends_with(&stripped));
}

fn rewritten(write: impl FnOnce(&mut Vec<u8>) -> Result<(), Error>) -> Vec<u8> {
    let mut out = Vec::new();
    assert_eq!(write(&mut out), Ok(()), "what was read can be written");
    out
}

fn check_frame(kind: TagKind, data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    let made = match frame(kind, Timestamp::ZERO, body.clone()) {
        Ok(made) => made,
        Err(error) => {
            assert_ne!(kind, TagKind::Script, "script data never fails");
            check_error(&error, data.len());
            return;
        }
    };
    assert_eq!(made.packet, body);
    assert!(made.payload_at as usize <= body.len());
    assert_eq!(made.payload(), body.slice(made.payload_at as usize..));
    assert_eq!(TagKind::from(made.track.media), kind);
    if matches!(made.role, Role::Key | Role::Delta) {
        assert!(!made.payload().is_empty(), "a decoder can use it");
    }
    // both shifts by nanoseconds stay below a millisecond
    assert_eq!(made.dts.millis(), 0);
    assert!(made.composition.millis().abs() <= 1 << 23);
}

fn check_error(error: &Error, length: usize) {
    let offset = match *error {
        Error::Short(short) => short.offset + short.left,
        Error::Multitrack { offset, .. } | Error::NestedMultitrack { offset } => offset,
        _ => panic!("no error of a tag body: {error}"),
    };
    assert!(offset <= length, "{error}");
}
