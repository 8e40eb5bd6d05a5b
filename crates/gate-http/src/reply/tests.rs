//! Tests of conditions and ranges.

use proptest::prelude::*;
use weir_http::head::Heads;
use weir_segment::Cache;

use super::*;

fn asked(method: &str, fields: &str) -> Box<Request> {
    let mut heads = Heads::new(2000);
    heads.push(format!("{method} /a/b HTTP/1.1\r\nHost: h\r\n{fields}\r\n").as_bytes());
    heads.pull().expect("valid").expect("whole")
}

fn reply(pieces: &[&'static [u8]]) -> Reply {
    Reply {
        status: 200,
        content_type: "video/mp4",
        cache: Cache::Seconds(1),
        body: pieces
            .iter()
            .map(|piece| Bytes::from_static(piece))
            .collect(),
        gzip: None,
        etag: Some("\"e\"".to_owned()),
        retry_after: None,
    }
}

fn get(fields: &str) -> Prepared {
    Prepared::file(
        &asked("GET", fields),
        reply(&[b"0123", b"", b"4567", b"89"]),
    )
}

fn value(prepared: &Prepared, name: &str) -> Option<String> {
    let found = prepared.fields.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
}

#[test]
fn ranges_are_cut_from_what_is_there() {
    let cut = |range: &str| {
        let prepared = get(&format!("Range: {range}\r\n"));
        let range = value(&prepared, "Content-Range");
        (prepared.status, prepared.body.concat(), range)
    };
    let some = |first, last| Some(format!("bytes {first}-{last}/10"));
    assert_eq!(
        cut("bytes=2-5"),
        (Status::PARTIAL, b"2345".to_vec(), some(2, 5))
    );
    assert_eq!(
        cut("bytes=8-"),
        (Status::PARTIAL, b"89".to_vec(), some(8, 9))
    );
    assert_eq!(
        cut("bytes=-3"),
        (Status::PARTIAL, b"789".to_vec(), some(7, 9))
    );
    assert_eq!(cut("bytes=0-99").1, b"0123456789");
    let (status, _, range) = cut("bytes=10-");
    assert_eq!(
        (status, range.as_deref()),
        (Status::RANGE, Some("bytes */10"))
    );
    // several ranges, and a HEAD: the whole
    assert_eq!(cut("bytes=0-1,3-4").0, Status::OK);
    let head = Prepared::file(&asked("HEAD", "Range: bytes=0-1\r\n"), reply(&[b"0123"]));
    assert_eq!((head.status, head.bytes()), (Status::OK, 4));
}

#[test]
fn a_range_of_another_file_is_not_cut() {
    assert_eq!(
        get("Range: bytes=0-1\r\nIf-Range: \"e\"\r\n").status,
        Status::PARTIAL
    );
    assert_eq!(
        get("Range: bytes=0-1\r\nIf-Range: \"f\"\r\n").status,
        Status::OK
    );
    assert_eq!(
        get("Range: bytes=0-1\r\nIf-Range: W/\"e\"\r\n").status,
        Status::OK
    );
}

#[test]
fn what_the_client_has_is_not_sent_again() {
    for known in [
        "\"e\"",
        "W/\"e\"",
        "\"a\", \"e\"",
        "*",
        "\"a\"\r\nIf-None-Match: \"e\"",
    ] {
        let prepared = get(&format!("If-None-Match: {known}\r\n"));
        assert_eq!(prepared.status, Status::NOT_MODIFIED, "{known}");
        assert_eq!((prepared.bytes(), prepared.length), (0, Length::Bare));
        assert_eq!(value(&prepared, "ETag").as_deref(), Some("\"e\""));
    }
    assert_eq!(get("If-None-Match: \"x\"\r\n").status, Status::OK);
    let bare = Reply {
        etag: None,
        ..reply(&[b"x"])
    };
    let prepared = Prepared::file(&asked("GET", "If-None-Match: *\r\n"), bare);
    assert_eq!(prepared.status, Status::OK);
}

#[test]
fn compressed_bodies_are_other_bytes() {
    let text = || Reply {
        content_type: TEXTS[0],
        gzip: Some(Bytes::from_static(b"zip")),
        ..reply(&[b"text"])
    };
    let zipped = Prepared::file(
        &asked("GET", "Accept-Encoding: gzip\r\nRange: bytes=0-0\r\n"),
        text(),
    );
    assert_eq!(
        (zipped.status, zipped.body.concat()),
        (Status::OK, b"zip".to_vec())
    );
    assert_eq!(value(&zipped, "ETag").as_deref(), Some("\"e-gzip\""));
    assert_eq!(value(&zipped, "Content-Encoding").as_deref(), Some("gzip"));
    assert_eq!(value(&zipped, "Vary").as_deref(), Some("Accept-Encoding"));
    let plain = Prepared::file(
        &asked("GET", ""),
        Reply {
            gzip: None,
            ..text()
        },
    );
    assert_eq!(
        (plain.body.concat(), value(&plain, "Vary").as_deref()),
        (b"text".to_vec(), Some("Accept-Encoding"))
    );
    let known = asked(
        "GET",
        "Accept-Encoding: gzip\r\nIf-None-Match: \"e-gzip\"\r\n",
    );
    assert_eq!(Prepared::file(&known, text()).status, Status::NOT_MODIFIED);
}

#[test]
fn refusals_are_neither_cut_nor_known() {
    let gone = Reply {
        status: 404,
        ..reply(&[b"gone"])
    };
    let request = asked("GET", "Range: bytes=0-0\r\nIf-None-Match: *\r\n");
    let prepared = Prepared::file(&request, gone);
    assert_eq!((prepared.status, prepared.bytes()), (Status::NOT_FOUND, 4));
}

proptest! {
    #[test]
    fn a_range_is_what_a_copy_would_give(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..6),
        first in 0..60_u64,
        last in 0..60_u64,
    ) {
        let all = pieces.concat();
        let body: Vec<_> = pieces.into_iter().map(Bytes::from).collect();
        let request = asked("GET", &format!("Range: bytes={first}-{last}\r\n"));
        let prepared = Prepared::file(&request, Reply { body, ..reply(&[]) });
        let length = all.len() as u64;
        if first > last {
            prop_assert_eq!(prepared.status, Status::OK);
        } else if first >= length {
            prop_assert_eq!(prepared.status, Status::RANGE);
        } else {
            let end = (last + 1).min(length) as usize;
            prop_assert_eq!(prepared.body.concat(), &all[first as usize..end]);
        }
    }
}

#[test]
fn a_head_is_written_once_a_second_for_clients_alike() {
    let shared = Shared::from(Prepared::text(Status::OK, "text"));
    let manner = Manner::new(&asked("GET", ""), "*");
    let at = |millis| UNIX_EPOCH + std::time::Duration::from_millis(millis);
    let first = shared.head(&manner, at(5_000));
    assert_eq!(first.as_ptr(), shared.head(&manner, at(5_999)).as_ptr());
    assert_ne!(first, shared.head(&manner, at(6_000)));
    let other = Manner::new(&asked("GET", "Connection: close\r\n"), "*");
    let closing = shared.head(&other, at(6_000));
    assert!(String::from_utf8_lossy(&closing).contains("Connection: close"));
    assert_eq!(first, shared.head(&manner, at(5_000)));
}

#[test]
fn what_is_sent_often_and_is_long_becomes_a_file() {
    let files = Arc::<Files>::default();
    let of = |length: usize| {
        let prepared = Prepared::text(Status::OK, "x".repeat(length));
        Shared::lasting(prepared, &files, File::Ts { msn: 7 })
    };
    let (long, other_core, short) = (of(40_000), of(40_000), of(30_000));
    for _ in 1..FILE_AFTER {
        assert!(long.file().is_none() && other_core.file().is_none());
    }
    let first = long.file().expect("a file");
    assert_eq!(first.length(), long.length());
    for again in [long.file(), other_core.file()] {
        assert!(std::ptr::eq(again.expect("the same file"), first));
    }
    assert!((0..10).all(|_| short.file().is_none()));
    let changing = Shared::from(Prepared::text(Status::OK, "x".repeat(40_000)));
    assert!((0..10).all(|_| changing.file().is_none()));
    // the last to send it closes it
    drop((long, other_core));
    assert!(
        files
            .0
            .lock()
            .iter()
            .all(|(_, made)| made.strong_count() == 0)
    );
}
