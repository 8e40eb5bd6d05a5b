//! Targets of HTTP.
//!
//! Owns: heads of requests and answers, bodies and WebSocket frames. Input: see each target.

use weir_http::body::{Body, BodyError, Part};
use weir_http::head::{HeadError, Heads};
use weir_http::request::{BodyLength, Request};
use weir_http::response::{Framing, Response, Responses};
use weir_http::websocket::{Frames, Said, Violation};

use crate::pieces::{head, pieces};

/// Longest head accepted, in bytes: small, so that the limit is reached.
const MAX_HEAD: usize = 1024;

/// Reads requests that follow each other, whole and in pieces. Input: a byte that plans the pieces, and the bytes of a
/// connection.
pub fn http_head(data: &[u8]) {
    let ([plan], input) = head::<1>(data);
    let whole = requests([input]);
    assert_eq!(whole, requests(pieces(input, plan)));
    for request in &whole.0 {
        assert!(request.path.starts_with('/') || request.path == "*");
        assert!(request.path.len() + request.query.len() + request.host.len() <= MAX_HEAD);
        for length in [0, 1, 1000, u64::MAX] {
            let range = request.range.and_then(|range| range.of(length));
            assert!(range.is_none_or(|range| range.start < range.end && range.end <= length));
        }
    }
}

fn requests<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Request>, Option<HeadError>) {
    let mut heads = Heads::new(MAX_HEAD);
    let mut requests = Vec::new();
    for piece in pieces {
        heads.push(piece);
        loop {
            match heads.pull() {
                Ok(Some(request)) => requests.push(*request),
                Ok(None) => break,
                Err(error) => return (requests, Some(error)),
            }
        }
    }
    (requests, None)
}

/// Reads heads of answers that follow each other, whole and in pieces. Input: a byte that plans the pieces, one that is
/// odd when HEAD was asked, and the bytes of a connection.
pub fn http_response(data: &[u8]) {
    let ([plan, to_head], input) = head::<2>(data);
    let to_head = to_head % 2 == 1;
    let whole = responses([input], to_head);
    let cut = responses(pieces(input, plan), to_head);
    assert_eq!(whole.0, cut.0);
    for response in &whole.0 {
        assert!((100..=599).contains(&response.status));
        assert!(response.fields.iter().count() == response.fields.len());
        assert!(response.fields.end_to_end().count() <= response.fields.len());
        let bare = to_head || response.status < 200 || matches!(response.status, 204 | 304);
        assert_eq!(bare, response.framing == Framing::None);
        assert!(!response.keep_alive || response.framing != Framing::ToClose);
    }
}

fn responses<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    to_head: bool,
) -> (Vec<Response>, bool) {
    let mut heads = Responses::new(MAX_HEAD);
    let mut responses = Vec::new();
    for piece in pieces {
        heads.push(piece);
        loop {
            match heads.pull(to_head) {
                Ok(Some(response)) => responses.push(*response),
                Ok(None) => break,
                Err(_) => return (responses, true),
            }
        }
    }
    (responses, false)
}

/// Reads a body whole and in pieces. Input: a byte that plans the pieces, one that is the length of a body (255 for
/// one in chunks), and the bytes.
pub fn http_body(data: &[u8]) {
    let ([plan, length], input) = head::<2>(data);
    let length = match length {
        255 => BodyLength::Chunked,
        known => BodyLength::Known(u64::from(known)),
    };
    let whole = Taken::of(length, [input]);
    assert_eq!(whole, Taken::of(length, pieces(input, plan)));
    assert!(whole.data.len() + whole.rest <= input.len());
    if let (BodyLength::Known(known), true) = (length, whole.complete) {
        assert_eq!(whole.data.len() as u64, known);
    }
}

/// What was made of a body.
#[derive(Debug, PartialEq)]
struct Taken {
    data: Vec<u8>,
    complete: bool,
    /// Bytes behind the end.
    rest: usize,
    error: Option<BodyError>,
}

impl Taken {
    fn of<'a>(length: BodyLength, pieces: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut body = Body::new(length);
        let mut taken = Self {
            data: Vec::new(),
            complete: false,
            rest: 0,
            error: None,
        };
        // a body may end without another byte: drivers ask once more
        for mut piece in pieces.into_iter().chain([&[][..]]) {
            while !taken.complete && taken.error.is_none() {
                match body.next(&mut piece) {
                    Ok(Part::Data(data)) => {
                        assert!(!data.is_empty());
                        taken.data.extend_from_slice(data);
                    }
                    Ok(Part::More) => {
                        assert!(piece.is_empty());
                        break;
                    }
                    Ok(Part::End) => taken.complete = true,
                    Err(error) => taken.error = Some(error),
                }
            }
            if taken.complete {
                taken.rest += piece.len();
            }
        }
        taken
    }
}

/// Reads a client's WebSocket frames whole and in pieces. Input: a byte that plans the pieces, and the frames.
pub fn websocket(data: &[u8]) {
    let ([plan], input) = head::<1>(data);
    let whole = said([input]);
    assert_eq!(whole, said(pieces(input, plan)));
    for said in &whole.0 {
        if let Said::Ping(payload) = said {
            assert!(payload.len() <= 125);
        }
    }
}

fn said<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Said>, Option<Violation>) {
    let mut frames = Frames::default();
    let mut all = Vec::new();
    for mut piece in pieces {
        loop {
            match frames.read(&mut piece) {
                Ok(Some(said)) => all.push(said),
                Ok(None) => {
                    assert!(piece.is_empty());
                    break;
                }
                Err(violation) => return (all, Some(violation)),
            }
        }
    }
    (all, None)
}
