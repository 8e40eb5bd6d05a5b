//! The dialling side of the handshake.
//!
//! Owns: C0 and C1 going out at once, C2 after S1, and waiting for S2. Does not: time out (the session does).

use super::digest::{self, CLIENT_KEY, Digest, SERVER_KEY, Schema};
use super::{BLOCK_BYTES, Form, VERSION, check_version, fill, gather, stamp};
use crate::error::Error;

/// Version in C1 of a digest handshake: Flash Player 9.0.124, which every server of the field knows.
const CLIENT_VERSION: [u8; 4] = [9, 0, 124, 2];

/// A handshake as client.
#[derive(Debug)]
pub struct ClientHandshake {
    seed: u64,
    /// Digest of our C1, if it has one.
    digest: Option<Digest>,
    received: Vec<u8>,
    form: Option<Form>,
}

impl ClientHandshake {
    /// Appends C0 and C1 to `out`. With `signed`, C1 has a digest (schema 1); a server that does not know
    /// it answers in the simple form, which is accepted. `seed` fills the blocks.
    pub fn start(seed: u64, signed: bool, out: &mut Vec<u8>) -> Self {
        let mut c1 = [0; BLOCK_BYTES];
        fill(&mut c1, seed);
        stamp(&mut c1, if signed { CLIENT_VERSION } else { [0; 4] });
        let digest = signed.then(|| digest::sign(&mut c1, Schema::One, CLIENT_KEY));
        out.push(VERSION);
        out.extend_from_slice(&c1);
        Self {
            seed,
            digest,
            received: Vec::new(),
            form: None,
        }
    }

    /// Consumes `input` up to the end of S2 and appends C2 to `out` once S1 is whole. True after S2.
    ///
    /// Fails when the first byte is not that of plain RTMP.
    pub fn handle(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<bool, Error> {
        if self.form.is_none() {
            if let Some(&first) = self.received.first().or_else(|| input.first()) {
                check_version(first)?;
            }
            if !gather(&mut self.received, 1 + BLOCK_BYTES, input) {
                return Ok(false);
            }
            if let Some(s1) = self.received.last_chunk::<BLOCK_BYTES>() {
                let mut c2 = *s1;
                let signed = self.digest.and_then(|_| digest::find(s1, SERVER_KEY));
                self.form = Some(match signed {
                    Some((schema, server_digest)) => {
                        fill(&mut c2, self.seed.rotate_left(32) ^ 1);
                        digest::sign_answer(&mut c2, &server_digest, CLIENT_KEY);
                        Form::Digest(schema)
                    }
                    None => Form::Simple,
                });
                out.extend_from_slice(&c2);
            }
            self.received.clear();
        }
        Ok(gather(&mut self.received, BLOCK_BYTES, input))
    }

    /// The form, once S1 has come.
    pub fn form(&self) -> Option<Form> {
        self.form
    }

    /// Whether S2 signs our digest, once it has come in a digest handshake. For information: proxies and small servers
    /// get it wrong.
    pub fn is_answer_valid(&self) -> Option<bool> {
        let s2 = self.received.first_chunk::<BLOCK_BYTES>()?;
        match self.form? {
            Form::Simple => None,
            Form::Digest(_) => Some(digest::verify_answer(s2, &self.digest?, SERVER_KEY)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::ServerHandshake;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_sides_agree_whatever_the_pieces(seed: u64, signed: bool, step in 1usize..4000) {
            let mut to_server = Vec::new();
            let mut client = ClientHandshake::start(seed, signed, &mut to_server);
            let mut server = ServerHandshake::new(!seed);
            let mut to_client = Vec::new();
            for piece in to_server.chunks(step) {
                prop_assert_eq!(server.handle(&mut &piece[..], &mut to_client), Ok(false));
            }
            to_server.clear();
            let mut done = false;
            for piece in to_client.chunks(step) {
                prop_assert!(!done);
                done = client.handle(&mut &piece[..], &mut to_server).unwrap();
            }
            prop_assert!(done);
            let mut done = false;
            for piece in to_server.chunks(step) {
                done = server.handle(&mut &piece[..], &mut to_client).unwrap();
            }
            prop_assert!(done);
            let form = if signed { Form::Digest(Schema::One) } else { Form::Simple };
            prop_assert_eq!((client.form(), server.form()), (Some(form), Some(form)));
            prop_assert_eq!(server.is_answer_valid(), Some(true));
            prop_assert_eq!(client.is_answer_valid(), signed.then_some(true));
        }
    }
}
