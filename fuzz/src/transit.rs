//! Target of a session that is passed on: its opening, the origin's answers, and whole messages afterwards.
//!
//! Input: flags; a byte that plans the pieces; where the client's bytes end, in two bytes; the client's bytes, then the
//! server's. A handshake goes before either. With [`SOUND`] a sound opening goes before the client's bytes.

use std::time::{Duration, Instant};

use weir_container::amf::Value;
use weir_rtmp::command::Command;
use weir_rtmp::handshake::BLOCK_BYTES;
use weir_rtmp::server::MAX_PENDING_OUTPUT;
use weir_rtmp::transit::{
    Answer, Opening, OpeningConfig, Output, Path, Upstream, UpstreamConfig, accept,
};

use crate::pieces::{head, pieces};

/// Flag: a sound `connect`, `createStream` and request go first.
const SOUND: u8 = 1;
/// Flag: the sound request is `play` instead of `publish`.
const PLAYS: u8 = 2;
/// Flag: the sound request is on another message stream than servers count, so that messages are passed on whole.
const RENUMBERED: u8 = 4;

const MAX_MESSAGE: u32 = 64 << 10;

/// Passes a session on, in pieces; where bytes may pass unseen the work is done.
pub fn transit(data: &[u8]) {
    let ([flags, plan, low, high], rest) = head::<4>(data);
    let cut = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
    let (client, server) = rest.split_at(cut);
    let mut from_client = hello();
    from_client.extend(opening_words(flags));
    from_client.extend_from_slice(client);
    let mut from_server = hello();
    from_server.extend_from_slice(server);

    let now = now();
    let Some((mut opening, unread)) = ask(now, &from_client, plan) else {
        return;
    };
    let config = UpstreamConfig {
        max_message_bytes: MAX_MESSAGE,
        step_timeout: Duration::from_secs(5),
        hand_on_identity: true,
    };
    let mut upstream = Upstream::new(&opening, config, now, 2);
    let server = match answer(now, &mut upstream, &from_server, plan) {
        None => return,
        Some((Answer::Refused { code, description }, _)) => {
            opening.refuse(&code, &description);
            return;
        }
        Some((Answer::Started, unread)) => unread,
    };
    let mut output = Output::default();
    let Path::Messages(mut messages) = accept(opening, upstream, &mut output) else {
        return;
    };
    for (bytes, is_client) in [(unread, true), (server, false)] {
        for piece in pieces(&bytes, plan) {
            let passed = match is_client {
                true => messages.handle_client(piece),
                false => messages.handle_server(piece),
            };
            if passed.is_err() {
                return;
            }
        }
        messages.take_for_client(&mut output.to_client);
        messages.take_for_server(&mut output.to_server);
    }
}

/// The client's opening, once it has asked for a stream, and its bytes that were not read by then.
fn ask(now: Instant, bytes: &[u8], plan: u8) -> Option<(Opening, Vec<u8>)> {
    let config = OpeningConfig {
        max_message_bytes: MAX_MESSAGE,
        ..OpeningConfig::default()
    };
    let mut opening = Opening::new(config, now, 1);
    let mut unread = Vec::new();
    let mut asked = false;
    for piece in pieces(bytes, plan) {
        unread.extend_from_slice(piece);
        if asked {
            continue;
        }
        let mut input = unread.as_slice();
        asked = opening.handle_input(now, &mut input).ok()?.is_some();
        let mut out = Vec::new();
        opening.take_output(&mut out);
        assert!(out.len() <= MAX_PENDING_OUTPUT + MAX_MESSAGE as usize);
        let left = input.len();
        unread.drain(..unread.len() - left);
    }
    asked.then_some((opening, unread))
}

/// The server's answer, if it came to one, and its bytes that were not read by then.
fn answer(
    now: Instant,
    upstream: &mut Upstream,
    bytes: &[u8],
    plan: u8,
) -> Option<(Answer, Vec<u8>)> {
    let mut unread = Vec::new();
    let mut answer = None;
    for piece in pieces(bytes, plan) {
        unread.extend_from_slice(piece);
        if answer.is_some() {
            continue;
        }
        let mut input = unread.as_slice();
        answer = upstream.handle_input(now, &mut input).ok()?;
        let left = input.len();
        unread.drain(..unread.len() - left);
    }
    Some((answer?, unread))
}

#[expect(
    clippy::disallowed_methods,
    reason = "some instant is needed, and only differences count"
)]
fn now() -> Instant {
    Instant::now()
}

/// A handshake of either side, in the simple form.
fn hello() -> Vec<u8> {
    let mut bytes = vec![3];
    bytes.resize(1 + 2 * BLOCK_BYTES, 0);
    bytes
}

/// What goes before the client's bytes, by the flags.
fn opening_words(flags: u8) -> Vec<u8> {
    let mut out = Vec::new();
    if flags & SOUND == 0 {
        return out;
    }
    let mut say = |name: &str, id: f64, arguments: Vec<Value>, csid: u32, msid: u32| {
        let object = match name {
            "connect" => Value::Object(vec![("app".to_owned(), "live".into())]),
            _ => Value::Null,
        };
        let command = Command {
            name: name.to_owned(),
            transaction_id: id,
            object,
            arguments,
        };
        command.write(&mut out, csid, msid, 128);
    };
    let msid = if flags & RENUMBERED == 0 { 1 } else { 2 };
    say("connect", 1.0, Vec::new(), 3, 0);
    say("createStream", 2.0, Vec::new(), 3, 0);
    match flags & PLAYS {
        0 => say("publish", 3.0, vec!["s".into(), "live".into()], 4, msid),
        _ => say("play", 3.0, vec!["s".into()], 8, msid),
    }
    out
}
