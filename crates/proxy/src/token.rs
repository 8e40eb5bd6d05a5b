//! Signed ids of HTTP sessions: a segment's request says itself which origin made its playlist.
//!
//! Owns: [`Signer`], the form of a token, its keys. Invariants: a token is at most [`MAX_TOKEN_BYTES`] of URL-safe text;
//! the same stream and node give the same token, so that caches hit; whoever lacks the secret can neither make one nor
//! learn a node from one.
//! Does not: keep state, or let tokens expire. A token grants nothing that the name of the stream does not grant; it only
//! says where to ask.
//!
//! # Form
//!
//! ```text
//! base64url( version, AES-256-GCM-SIV( key length, key, node ), tag )       RFC 4648 §5 without padding, RFC 8452
//! ```
//!
//! There is no random number in it, because equal URLs are the purpose. GCM-SIV derives what other modes need a fresh
//! nonce for from the content and the key (RFC 8452 §4), so with one fixed nonce it is deterministic authenticated
//! encryption: two tokens show whether they are equal, which is wanted, and how long their content is, and nothing else.
//! Its bounds for a repeated nonce (RFC 8452 §9) are met by far: they speak of billions of messages, this encrypts one
//! for each pair of a stream and a node. The tag is of 128 bits and is compared in constant time.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use weir_cluster::{Key, MAX_KEY_BYTES, NodeId};

/// First byte of a token; another form gets another one.
const VERSION: u8 = 1;

/// Longest identity of a node that a token holds, in bytes. Those of SRS have under 100.
pub const MAX_NODE_BYTES: usize = 512;

/// Length of the key's length.
const LENGTH_BYTES: usize = size_of::<u16>();

/// Length of the tag (RFC 8452 §4).
const TAG_BYTES: usize = 16;

/// Longest token in bytes: base64 makes four of three.
pub const MAX_TOKEN_BYTES: usize =
    (1 + LENGTH_BYTES + MAX_KEY_BYTES + MAX_NODE_BYTES + TAG_BYTES).div_ceil(3) * 4;

// players and servers take URLs of 2 KiB; this leaves room for the rest of one
const _: () = assert!(MAX_TOKEN_BYTES <= 1536);

/// Where a session belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its stream.
    pub stream: Key,
    /// The origin that made its playlist.
    pub node: NodeId,
}

/// Makes tokens, and reads those of everybody with the same secret.
pub struct Signer {
    key: LessSafeKey,
}

impl Signer {
    /// A signer whose key comes from `secret` (HKDF with SHA-256, RFC 5869). A token is as safe as the secret is long;
    /// whoever configures it should ask for 16 random bytes or more.
    pub fn new(secret: &[u8]) -> Self {
        let mut bytes = [0; 32];
        Salt::new(HKDF_SHA256, b"weir http session token")
            .extract(secret)
            .expand(&[&[VERSION]], HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut bytes))
            .expect("32 bytes are what one round of HKDF gives");
        let key = UnboundKey::new(&AES_256_GCM_SIV, &bytes).expect("the key has 32 bytes");
        Self {
            key: LessSafeKey::new(key),
        }
    }

    /// The token of a session of `stream` at `node`. Empty, which no signer takes, if the node's identity is longer than
    /// [`MAX_NODE_BYTES`]; such a session is placed by its stream alone.
    pub fn sign(&self, stream: &Key, node: &NodeId) -> String {
        let (stream, node) = (stream.as_str().as_bytes(), node.as_str().as_bytes());
        let Some(length) = u16::try_from(stream.len())
            .ok()
            .filter(|_| node.len() <= MAX_NODE_BYTES)
        else {
            return String::new();
        };
        let mut sealed = [&length.to_be_bytes(), stream, node].concat();
        self.key
            .seal_in_place_append_tag(nonce(), Aad::from([VERSION]), &mut sealed)
            .expect("the content is far below the limit of the cipher");
        sealed.insert(0, VERSION);
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// The session's route; `None` if `token` was not made with the same secret, or was changed since.
    pub fn verify(&self, token: &str) -> Option<Route> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (&mut version, sealed) = bytes.split_first_mut()?;
        if version != VERSION {
            return None;
        }
        let aad = Aad::from([VERSION]);
        let content = self.key.open_in_place(nonce(), aad, sealed).ok()?;
        let (length, rest) = content.split_first_chunk::<LENGTH_BYTES>()?;
        let (stream, node) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        Some(Route {
            stream: Key::new(str::from_utf8(stream).ok()?).ok()?,
            node: NodeId::from_text(str::from_utf8(node).ok()?),
        })
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

/// The one nonce; see the head of this file.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(text: &str) -> Key {
        Key::new(text).expect("a sound key")
    }

    fn route(stream: &str, node: &str) -> Route {
        Route {
            stream: key(stream),
            node: NodeId::from_text(node),
        }
    }

    fn sign(secret: &[u8], route: &Route) -> String {
        Signer::new(secret).sign(&route.stream, &route.node)
    }

    #[test]
    fn signers_with_the_same_secret_agree_and_others_do_not() {
        let route = route("v.com/live/s", "vid-srv-77");
        let token = sign(b"one", &route);
        assert_eq!(token, sign(b"one", &route));
        assert_eq!(Signer::new(b"one").verify(&token), Some(route.clone()));
        assert_eq!(Signer::new(b"two").verify(&token), None);
        assert_ne!(token, sign(b"two", &route));
    }

    /// Proxies of different releases share a cluster: the form of version 1 never changes.
    #[test]
    fn the_form_of_a_token_is_fixed() {
        let route = route("__defaultVhost__/live/livestream", "server-service-1");
        let expected = "AbwwtvMhC_TiDcGZ_H9a6-Uomz8aeSjKm99HfJrUrqSE1hHk5aew16oBPa4U0dpz7jJukNTJRx0KVpuNRcokBvcsVA";
        assert_eq!(sign(b"secret", &route), expected);
    }

    #[test]
    fn neither_stream_nor_node_can_be_read() {
        let token = sign(b"secret", &route("v.com/live/stream", "internal-node-1"));
        let bytes = URL_SAFE_NO_PAD.decode(&token).expect("base64");
        let shows = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        assert!(!shows(b"live") && !shows(b"inte") && !shows(b"node"));
        assert!(
            token
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c))
        );
        // the part that both contents begin with is not the same in both tokens
        let other = sign(b"secret", &route("v.com/live/stream", "internal-node-2"));
        assert_ne!(token.get(..8), other.get(..8));
        assert_eq!(format!("{:?}", Signer::new(b"secret")), "Signer");
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let signer = Signer::new(b"secret");
        let token = sign(b"secret", &route("v/live/s", "a-b-1"));
        let bytes = URL_SAFE_NO_PAD.decode(&token).expect("base64");
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                signer.verify(&URL_SAFE_NO_PAD.encode(changed)),
                None,
                "{bit}"
            );
        }
        for cut in 0..token.len() {
            assert_eq!(signer.verify(&token[..cut]), None, "{cut}");
        }
        for text in [
            format!("{token}A"),
            format!("{token}="),
            format!(" {token}"),
        ] {
            assert_eq!(signer.verify(&text), None, "{text}");
        }
    }

    #[test]
    fn the_longest_names_fit_and_longer_ones_have_no_token() {
        let longest = route(&"k".repeat(MAX_KEY_BYTES), &"n".repeat(MAX_NODE_BYTES));
        let token = sign(b"secret", &longest);
        assert!(token.len() <= MAX_TOKEN_BYTES);
        assert_eq!(Signer::new(b"secret").verify(&token), Some(longest));
        assert_eq!(
            sign(b"secret", &route("k", &"n".repeat(MAX_NODE_BYTES + 1))),
            ""
        );
        let long = "A".repeat(MAX_TOKEN_BYTES + 4);
        assert_eq!(Signer::new(b"secret").verify(&long), None);
    }

    proptest! {
        #[test]
        fn what_was_signed_comes_back(
            stream in "[a-zA-Z0-9é./_-]{1,60}", node in ".{0,60}", secret: Vec<u8>, other: Vec<u8>,
        ) {
            let route = route(&stream, &node);
            let token = sign(&secret, &route);
            prop_assert_eq!(Signer::new(&secret).verify(&token), Some(route));
            if secret != other {
                prop_assert_eq!(Signer::new(&other).verify(&token), None);
            }
        }

        #[test]
        fn another_character_anywhere_is_noticed(
            stream in "[a-z/]{1,40}", node in "[a-z-]{0,40}", at: prop::sample::Index, with in "[a-zA-Z0-9_-]",
        ) {
            let token = sign(b"secret", &route(&stream, &node));
            let at = at.index(token.len());
            let changed = [&token[..at], &with, &token[at + 1..]].concat();
            let verified = Signer::new(b"secret").verify(&changed);
            prop_assert_eq!(verified.is_some(), changed == token);
        }

        #[test]
        fn any_text_is_judged(token in "[a-zA-Z0-9_=-]{0,80}|.{0,80}") {
            prop_assert_eq!(Signer::new(b"secret").verify(&token), None);
        }
    }
}
