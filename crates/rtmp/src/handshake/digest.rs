//! The digest form of the handshake: HMAC-SHA256 signatures inside the blocks.
//!
//! Owns: where a digest lies in each schema, making and checking it. Source: practice (Flash Player 9 and later);
//! no published text describes it. Does not: know the order of the blocks.

use aws_lc_rs::hmac;

use super::{BLOCK_BYTES, Block};

/// Bytes of a digest.
pub const DIGEST_BYTES: usize = 32;

/// Which half of the block holds the digest; the other half is a key that only RTMPE uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// Key first: the digest lies in bytes 772..1536.
    Zero,
    /// Digest first: it lies in bytes 8..772.
    One,
}

impl Schema {
    /// Where the half with the digest begins; its first four bytes say where in it the digest lies.
    fn base(self) -> usize {
        match self {
            Self::Zero => 772,
            Self::One => 8,
        }
    }
}

/// A digest as it lies in a block.
pub type Digest = [u8; DIGEST_BYTES];

/// Keys that clients sign with: a name, which signs blocks, and 32 bytes more, which sign answers.
pub const CLIENT_KEY: Key = Key {
    name: b"Genuine Adobe Flash Player 001",
};

/// Keys that servers sign with.
pub const SERVER_KEY: Key = Key {
    name: b"Genuine Adobe Flash Media Server 001",
};

/// One side's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    name: &'static [u8],
}

/// The end of both long keys.
const TAIL: [u8; 32] = [
    0xf0, 0xee, 0xc2, 0x4a, 0x80, 0x68, 0xbe, 0xe8, 0x2e, 0x00, 0xd0, 0xd1, 0x02, 0x9e, 0x7e, 0x57,
    0x6e, 0xec, 0x5d, 0x2d, 0x29, 0x80, 0x6f, 0xab, 0x93, 0xb8, 0xe6, 0x36, 0xcf, 0xeb, 0x31, 0xae,
];

/// The digest in `block` (1536 bytes) if it is the right one for `key`, with the schema it was found under.
/// Schema 1 is tried first: ffmpeg, librtmp and Flash Player use it.
pub fn find(block: &[u8; BLOCK_BYTES], key: Key) -> Option<(Schema, Digest)> {
    [Schema::One, Schema::Zero].into_iter().find_map(|schema| {
        let (before, digest, after) = split(block, schema)?;
        (hmac_of(key.name, &[before, after]) == digest).then_some((schema, digest))
    })
}

/// Signs `block` in place. Gives the digest.
pub fn sign(block: &mut [u8; BLOCK_BYTES], schema: Schema, key: Key) -> Digest {
    let Some((before, _, after)) = split(block, schema) else {
        return [0; DIGEST_BYTES];
    };
    let (start, digest) = (before.len(), hmac_of(key.name, &[before, after]));
    for (to, from) in block.iter_mut().skip(start).zip(digest) {
        *to = from;
    }
    digest
}

/// Signs the answer `block` in place: its last 32 bytes prove that the other side's `digest` was read.
pub fn sign_answer(block: &mut [u8; BLOCK_BYTES], digest: &Digest, key: Key) {
    let Some((body, last)) = block.split_last_chunk_mut::<DIGEST_BYTES>() else {
        return;
    };
    *last = answer(body, digest, key);
}

/// Whether the answer `block` was signed with `key` for our `digest`.
pub fn verify_answer(block: &[u8; BLOCK_BYTES], digest: &Digest, key: Key) -> bool {
    block
        .split_last_chunk::<DIGEST_BYTES>()
        .is_some_and(|(body, last)| answer(body, digest, key) == *last)
}

fn answer(body: &[u8], digest: &Digest, key: Key) -> Digest {
    let long: Vec<u8> = key.name.iter().chain(&TAIL).copied().collect();
    let once = hmac_of(&long, &[digest]);
    hmac_of(&once, &[body])
}

/// The block around its digest. Always `Some`: the largest offset leaves the digest inside the block.
fn split(block: &Block, schema: Schema) -> Option<(&[u8], Digest, &[u8])> {
    let base = schema.base();
    let sum: usize = block
        .get(base..base + 4)?
        .iter()
        .map(|&byte| usize::from(byte))
        .sum();
    let (before, rest) = block.split_at_checked(base + 4 + sum % 728)?;
    let (digest, after) = rest.split_first_chunk::<DIGEST_BYTES>()?;
    Some((before, *digest, after))
}

fn hmac_of(key: &[u8], pieces: &[&[u8]]) -> Digest {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for piece in pieces {
        context.update(piece);
    }
    let tag = context.sign();
    let mut digest = [0; DIGEST_BYTES];
    for (to, from) in digest.iter_mut().zip(tag.as_ref()) {
        *to = *from;
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::fill;
    use proptest::prelude::*;

    fn block(seed: u64) -> Block {
        let mut block = [0; BLOCK_BYTES];
        fill(&mut block, seed);
        block
    }

    #[test]
    fn hmac_matches_rfc_4231_case_2() {
        let digest = hmac_of(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(digest.get(..4), Some(&[0x5b, 0xdc, 0xc1, 0x46][..]));
    }

    #[test]
    fn the_last_offset_fits() {
        for schema in [Schema::Zero, Schema::One] {
            let mut block = block(1);
            // 727 = 182 + 182 + 182 + 181
            block[schema.base()..schema.base() + 4].copy_from_slice(&[182, 182, 182, 181]);
            let digest = sign(&mut block, schema, CLIENT_KEY);
            assert_eq!(find(&block, CLIENT_KEY), Some((schema, digest)));
        }
    }

    proptest! {
        #[test]
        fn what_was_signed_is_found_and_nothing_else(
            seed: u64, zero: bool, spoiled in 0usize..1536,
        ) {
            let schema = if zero { Schema::Zero } else { Schema::One };
            let mut block = block(seed);
            prop_assert_eq!(find(&block, CLIENT_KEY), None);
            let digest = sign(&mut block, schema, CLIENT_KEY);
            prop_assert_eq!(find(&block, CLIENT_KEY), Some((schema, digest)));
            prop_assert_eq!(find(&block, SERVER_KEY), None);
            block[spoiled] ^= 0x55;
            prop_assert_eq!(find(&block, CLIENT_KEY), None);
        }

        #[test]
        fn answers_are_verified(seed: u64, spoiled in 0usize..1536) {
            let mut block = block(seed);
            let digest = [7; DIGEST_BYTES];
            sign_answer(&mut block, &digest, SERVER_KEY);
            prop_assert!(verify_answer(&block, &digest, SERVER_KEY));
            prop_assert!(!verify_answer(&block, &digest, CLIENT_KEY));
            prop_assert!(!verify_answer(&block, &[8; DIGEST_BYTES], SERVER_KEY));
            block[spoiled] ^= 1;
            prop_assert!(!verify_answer(&block, &digest, SERVER_KEY));
        }
    }
}
