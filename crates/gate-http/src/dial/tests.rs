//! What a client makes of answers.
//!
//! Owns: the tests of requests and answers, in pieces of any size. Does not: open sockets.

use super::response::{Coding, Head, Heads, MAX_HEAD_BYTES, request};
use super::*;
use proptest::prelude::*;
use weir_http::body::Part;

/// Reads an answer that comes in pieces of `step` bytes; its body, and whether it is complete.
fn read(answer: &[u8], step: usize) -> Result<(Vec<u8>, bool), ProtocolError> {
    let (mut heads, mut coding) = (Heads::default(), None::<Coding>);
    let mut out = Vec::new();
    for mut input in answer.chunks(step) {
        if coding.is_none() {
            match heads.read(&mut input)? {
                None => continue,
                Some(Head::Found(found)) => coding = Some(found),
                Some(Head::Moved(location)) => return Ok((location.into_bytes(), true)),
            }
        }
        let Some(coding) = &mut coding else { continue };
        loop {
            match coding.next(&mut input)? {
                Part::Data(data) => out.extend_from_slice(data),
                Part::More => break,
                Part::End => return Ok((out, true)),
            }
        }
    }
    Ok((out, false))
}

fn whole(answer: &str) -> Result<(Vec<u8>, bool), ProtocolError> {
    read(answer.as_bytes(), answer.len())
}

#[test]
fn the_request_asks_for_one_stream() {
    let url: HttpUrl = "http://me:pw@h:8080/live/s.flv?a=b".parse().expect("valid");
    let text = String::from_utf8(request(&url)).expect("text");
    assert!(text.starts_with("GET /live/s.flv?a=b HTTP/1.1\r\nHost: h:8080\r\n"));
    assert!(text.contains("\r\nAuthorization: Basic bWU6cHc=\r\n"));
    assert!(text.ends_with("\r\nConnection: close\r\n\r\n"));
}

#[test]
fn bodies_end_by_length_by_chunk_or_with_the_connection() {
    let ends = |answer, body: &[u8], complete| {
        let (data, end) = whole(answer).expect("valid");
        assert_eq!((&data[..], end), (body, complete), "{answer}");
    };
    ends("HTTP/1.0 200 OK\r\n\r\nabc", b"abc", false);
    ends("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nabc", b"ab", true);
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
    ends(chunked, b"ab", true);
    let interim = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx";
    ends(interim, b"x", false);
    let moved = "HTTP/1.1 302 Found\r\nLocation: /other.flv\r\n\r\n";
    ends(moved, b"/other.flv", true);
}

#[test]
fn answers_that_are_none() {
    let error = |answer: &str| whole(answer).expect_err("refused");
    let status = error("HTTP/1.1 404 Not Found\r\n\r\n");
    assert_eq!(status.to_string(), "rejected: 404 Not Found");
    assert_eq!((status.fault(), status.may_pass()), (Fault::Peer, true));
    assert!(matches!(
        error("HTTP/1.1 301 Moved\r\n\r\n"),
        ProtocolError::Status { code: 301, .. }
    ));
    let gzip = error("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n");
    assert_eq!((gzip.fault(), gzip.may_pass()), (Fault::Peer, false));
    assert!(matches!(error("SSH-2.0-x\r\n"), ProtocolError::Http(_)));
    let long = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(MAX_HEAD_BYTES));
    assert!(matches!(error(&long), ProtocolError::HeadTooLong { .. }));
    let broken = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    assert!(matches!(error(broken), ProtocolError::Chunks(_)));
}

proptest! {
    #[test]
    fn splits_do_not_matter(
        body in prop::collection::vec(any::<u8>(), 1..200),
        step in 1..60usize,
    ) {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let answer = [head.as_bytes(), &body, b"rest"].concat();
        prop_assert_eq!(read(&answer, step).expect("valid"), (body, true));
    }

    #[test]
    fn any_bytes_are_judged(answer in prop::collection::vec(any::<u8>(), 1..200)) {
        let _ = read(&answer, 7);
        let _ = read(&[b"HTTP/1.1 200 OK\r\n", &answer[..]].concat(), 7);
    }
}
