//! Targets of the handshake, both sides.
//!
//! Owns: what must hold for any opening. Input of both: a byte that plans the pieces, a byte of flags, the opening.
//! Random bytes never carry a right digest, so a flag has the target sign the block.

use weir_rtmp::Error;
use weir_rtmp::handshake::digest::{CLIENT_KEY, Key, SERVER_KEY, Schema, sign};
use weir_rtmp::handshake::{BLOCK_BYTES, ClientHandshake, Form, ServerHandshake};

use crate::chunk::check_error;
use crate::pieces::{head, pieces};

/// Flag: the first block is signed.
const SIGNED: u8 = 1;
/// Flag: it is signed in schema 0, else in schema 1.
const SCHEMA_ZERO: u8 = 2;
/// Flag: our own first block has a digest (client only).
const ASKS_FOR_DIGEST: u8 = 4;

/// Version and two blocks.
const WHOLE: usize = 1 + 2 * BLOCK_BYTES;

/// Answers an opening, whole and in pieces.
pub fn handshake_server(data: &[u8]) {
    let ([plan, flags], opening) = head::<2>(data);
    let opening = signed(opening, flags, CLIENT_KEY);
    let whole = serve([&opening[..]]);
    assert_eq!(whole, serve(pieces(&opening, plan)));
    match whole.done {
        Ok(done) => {
            assert_eq!(done, opening.len() >= WHOLE);
            assert_eq!(whole.consumed, opening.len().min(WHOLE));
            let answered = opening.len() > BLOCK_BYTES;
            assert_eq!(whole.output.len(), if answered { WHOLE } else { 0 });
            assert_eq!(whole.form.is_some(), answered);
            assert_eq!(whole.is_valid.is_some(), done);
        }
        Err(error) => check_error(&error, opening.len()),
    }
    let block: Option<&[u8; BLOCK_BYTES]> = opening.get(1..).and_then(<[u8]>::first_chunk);
    let asks = block.is_some_and(|block| block[4..8] != [0; 4]);
    if flags & SIGNED != 0 && asks && whole.form.is_some() {
        assert!(matches!(whole.form, Some(Form::Digest(_))));
    }
}

/// Opens a connection to a server that says any bytes, whole and in pieces.
pub fn handshake_client(data: &[u8]) {
    let ([plan, flags], answer) = head::<2>(data);
    let answer = signed(answer, flags, SERVER_KEY);
    let asks = flags & ASKS_FOR_DIGEST != 0;
    let whole = dial(asks, [&answer[..]]);
    assert_eq!(whole, dial(asks, pieces(&answer, plan)));
    match whole.done {
        Ok(done) => {
            assert_eq!(done, answer.len() >= WHOLE);
            assert_eq!(whole.consumed, answer.len().min(WHOLE));
            let answered = answer.len() > BLOCK_BYTES;
            let sent = 1 + BLOCK_BYTES + if answered { BLOCK_BYTES } else { 0 };
            assert_eq!(whole.output.len(), sent);
        }
        Err(error) => check_error(&error, answer.len()),
    }
    if flags & SIGNED != 0 && whole.form.is_some() {
        assert_eq!(matches!(whole.form, Some(Form::Digest(_))), asks);
    }
}

/// `opening` with its first block signed if `flags` say so.
fn signed(opening: &[u8], flags: u8, key: Key) -> Vec<u8> {
    let mut opening = opening.to_vec();
    let block = opening.get_mut(1..).and_then(<[u8]>::first_chunk_mut);
    if let Some(block) = block.filter(|_| flags & SIGNED != 0) {
        let schema = if flags & SCHEMA_ZERO != 0 {
            Schema::Zero
        } else {
            Schema::One
        };
        sign(block, schema, key);
    }
    opening
}

/// How a handshake went.
#[derive(Debug, PartialEq)]
struct Went {
    done: Result<bool, Error>,
    consumed: usize,
    output: Vec<u8>,
    form: Option<Form>,
    is_valid: Option<bool>,
}

fn serve<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Went {
    let mut server = ServerHandshake::new(7);
    let mut output = Vec::new();
    let (done, consumed) = drive(pieces, |piece| server.handle(piece, &mut output));
    Went {
        done,
        consumed,
        output,
        form: server.form(),
        is_valid: server.is_answer_valid(),
    }
}

fn dial<'a>(asks: bool, pieces: impl IntoIterator<Item = &'a [u8]>) -> Went {
    let mut output = Vec::new();
    let mut client = ClientHandshake::start(7, asks, &mut output);
    let (done, consumed) = drive(pieces, |piece| client.handle(piece, &mut output));
    Went {
        done,
        consumed,
        output,
        form: client.form(),
        is_valid: client.is_answer_valid(),
    }
}

/// Hands in pieces until the handshake is done. Gives the result and how much was consumed.
fn drive<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    mut handle: impl FnMut(&mut &[u8]) -> Result<bool, Error>,
) -> (Result<bool, Error>, usize) {
    let mut consumed = 0;
    for mut piece in pieces {
        let length = piece.len();
        let result = handle(&mut piece);
        consumed += length - piece.len();
        match result {
            Ok(false) => assert!(piece.is_empty()),
            end => return (end, consumed),
        }
    }
    (Ok(false), consumed)
}
