//! Encrypted segments: AES-128 in CBC mode over whole segments (RFC 8216, section 5.2).
//!
//! Owns: keys, which are made of a secret and a number, and so need no store; encryption. Does not: decide when a key
//! is changed (`store` does), or who may have one.

use aws_lc_rs::cipher::{AES_128, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use bytes::Bytes;

/// Length of a key in bytes.
const KEY_BYTES: usize = 16;

/// Makes keys, and encrypts with them.
pub(crate) struct Sealer {
    secret: hmac::Key,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    pub(crate) fn new(secret: [u8; 32]) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        Self { secret }
    }

    /// The key with this number.
    pub(crate) fn key(&self, number: u64) -> [u8; KEY_BYTES] {
        let tag = hmac::sign(&self.secret, &number.to_be_bytes());
        let mut key = [0; KEY_BYTES];
        for (to, from) in key.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        key
    }

    /// `body` encrypted with key `number`; the initialisation vector is the segment's number, as it is where a playlist
    /// names none.
    pub(crate) fn seal(&self, number: u64, msn: u64, body: &[Bytes]) -> Bytes {
        let length: usize = body.iter().map(Bytes::len).sum();
        let mut data = Vec::with_capacity(length + KEY_BYTES);
        for piece in body {
            data.extend_from_slice(piece);
        }
        let iv = u128::from(msn).to_be_bytes();
        let context = EncryptionContext::Iv128(FixedLength::from(iv));
        let key = UnboundCipherKey::new(&AES_128, &self.key(number));
        let sealed = key
            .and_then(PaddedBlockEncryptingKey::cbc_pkcs7)
            .and_then(|key| key.less_safe_encrypt(&mut data, context));
        sealed.expect("a key and a vector of 16 bytes suit AES-128");
        Bytes::from(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::cipher::{DecryptionContext, PaddedBlockDecryptingKey};

    #[test]
    fn what_is_sealed_opens_with_its_key_only() {
        let sealer = Sealer::new([7; 32]);
        let body = [
            Bytes::from_static(b"hello "),
            Bytes::from_static(b"segment"),
        ];
        let sealed = sealer.seal(3, 9, &body);
        assert_eq!(sealed.len(), 16);
        let open = |number| {
            let key = UnboundCipherKey::new(&AES_128, &sealer.key(number)).expect("a key");
            let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).expect("a mode");
            let iv = FixedLength::from(9u128.to_be_bytes());
            let mut data = sealed.to_vec();
            let plain = key.decrypt(&mut data, DecryptionContext::Iv128(iv));
            plain.map(|plain| plain.to_vec()).ok()
        };
        assert_eq!(open(3).as_deref(), Some(&b"hello segment"[..]));
        assert_ne!(open(4).as_deref(), Some(&b"hello segment"[..]));
    }
}
