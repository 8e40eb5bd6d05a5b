//! The answering side of the handshake.
//!
//! Owns: C0 to C2 coming in, S0 to S2 going out in one piece. Does not: time out (the session does).

use super::digest::{self, CLIENT_KEY, Digest, SERVER_KEY};
use super::{BLOCK_BYTES, Block, Form, VERSION, check_version, fill, gather, stamp};
use crate::error::Error;

/// Version in S1 of a digest handshake. Players check the server's digest from version 3 on.
const SERVER_VERSION: [u8; 4] = [4, 5, 0, 1];

/// A handshake as server.
#[derive(Debug)]
pub struct ServerHandshake {
    seed: u64,
    received: Vec<u8>,
    answered: Option<Answered>,
}

#[derive(Debug, Clone, Copy)]
struct Answered {
    form: Form,
    /// Digest of our S1, which C2 should sign.
    digest: Digest,
}

impl ServerHandshake {
    /// A handshake that waits for C0. `seed` fills S1 and should differ from connection to connection.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            received: Vec::new(),
            answered: None,
        }
    }

    /// Consumes `input` up to the end of C2 and appends S0, S1 and S2 to `out` once C1 is whole. True after C2.
    ///
    /// Fails when the first byte is not that of plain RTMP.
    pub fn handle(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<bool, Error> {
        if self.answered.is_none() {
            if let Some(&first) = self.received.first().or_else(|| input.first()) {
                check_version(first)?;
            }
            if !gather(&mut self.received, 1 + BLOCK_BYTES, input) {
                return Ok(false);
            }
            if let Some(c1) = self.received.last_chunk::<BLOCK_BYTES>() {
                self.answered = Some(answer(c1, self.seed, out));
            }
            self.received.clear();
        }
        Ok(gather(&mut self.received, BLOCK_BYTES, input))
    }

    /// The form, once C1 has come.
    pub fn form(&self) -> Option<Form> {
        self.answered.map(|answered| answered.form)
    }

    /// Whether C2 is what the form demands, once it has come. For information: many encoders get it wrong.
    pub fn is_answer_valid(&self) -> Option<bool> {
        let answered = self.answered?;
        let c2 = self.received.first_chunk::<BLOCK_BYTES>()?;
        Some(match answered.form {
            Form::Simple => {
                // bytes 4..8 are the time of reading
                c2.get(8..) == simple_block(self.seed).get(8..)
            }
            Form::Digest(_) => digest::verify_answer(c2, &answered.digest, CLIENT_KEY),
        })
    }
}

/// Appends S0, S1 and S2 for `c1`.
fn answer(c1: &Block, seed: u64, out: &mut Vec<u8>) -> Answered {
    let signed = match c1.get(4..8) {
        Some([0, 0, 0, 0]) | None => None,
        Some(_) => digest::find(c1, CLIENT_KEY),
    };
    let mut s1 = simple_block(seed);
    let mut s2 = *c1;
    let mut answered = Answered {
        form: Form::Simple,
        digest: [0; 32],
    };
    if let Some((schema, client_digest)) = signed {
        stamp(&mut s1, SERVER_VERSION);
        answered.form = Form::Digest(schema);
        answered.digest = digest::sign(&mut s1, schema, SERVER_KEY);
        fill(&mut s2, seed.rotate_left(32) ^ 1);
        digest::sign_answer(&mut s2, &client_digest, SERVER_KEY);
    }
    out.reserve(1 + 2 * BLOCK_BYTES);
    out.push(VERSION);
    out.extend_from_slice(&s1);
    out.extend_from_slice(&s2);
    answered
}

/// S1 of a simple handshake: time 0, version 0, filling.
fn simple_block(seed: u64) -> Block {
    let mut block = [0; BLOCK_BYTES];
    fill(&mut block, seed);
    stamp(&mut block, [0; 4]);
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Misbehaviour, Unsupported};
    use crate::handshake::digest::Schema;

    fn c0c1(version: [u8; 4], schema: Option<Schema>) -> Vec<u8> {
        let mut block = [0; BLOCK_BYTES];
        fill(&mut block, 99);
        stamp(&mut block, version);
        if let Some(schema) = schema {
            digest::sign(&mut block, schema, CLIENT_KEY);
        }
        [&[VERSION][..], &block].concat()
    }

    #[test]
    fn a_simple_peer_gets_its_block_back() {
        for opening in [c0c1([0; 4], None), c0c1([9, 0, 124, 2], None)] {
            let mut server = ServerHandshake::new(1);
            let mut out = Vec::new();
            assert_eq!(server.handle(&mut &opening[..], &mut out), Ok(false));
            assert_eq!(server.form(), Some(Form::Simple));
            assert_eq!(out.len(), 3073);
            assert_eq!(out[1 + BLOCK_BYTES..], opening[1..]);
            let mut rest = [&out[1..1 + BLOCK_BYTES], b"next"].concat();
            let mut input = &rest[..];
            assert_eq!(server.handle(&mut input, &mut out), Ok(true));
            assert_eq!(
                (input, server.is_answer_valid()),
                (&b"next"[..], Some(true))
            );
            rest.clear();
        }
    }

    #[test]
    fn a_digest_is_answered_in_its_schema() {
        for schema in [Schema::Zero, Schema::One] {
            let mut server = ServerHandshake::new(1);
            let mut out = Vec::new();
            let opening = c0c1([9, 0, 124, 2], Some(schema));
            assert_eq!(server.handle(&mut &opening[..], &mut out), Ok(false));
            assert_eq!(server.form(), Some(Form::Digest(schema)));
            let s1 = out[1..].first_chunk::<BLOCK_BYTES>().unwrap();
            let s2 = out.last_chunk::<BLOCK_BYTES>().unwrap();
            assert_eq!(
                digest::find(s1, SERVER_KEY).map(|(schema, _)| schema),
                Some(schema)
            );
            let c1 = opening.last_chunk::<BLOCK_BYTES>().unwrap();
            let (_, client_digest) = digest::find(c1, CLIENT_KEY).unwrap();
            assert!(digest::verify_answer(s2, &client_digest, SERVER_KEY));
        }
    }

    #[test]
    fn other_protocols_are_told_apart_by_their_first_byte() {
        let first = |byte: u8| ServerHandshake::new(1).handle(&mut &[byte][..], &mut Vec::new());
        assert_eq!(first(3), Ok(false));
        let unsupported = Unsupported::HandshakeVersion(6);
        assert_eq!(
            first(6),
            Err(Error::PeerUnsupported {
                offset: 1,
                what: unsupported
            })
        );
        assert_eq!(
            first(b'G'),
            Err(Error::peer(1, None, Misbehaviour::NotRtmp(b'G')))
        );
        assert_eq!(
            first(0),
            Err(Error::peer(1, None, Misbehaviour::NotRtmp(0)))
        );
    }
}
