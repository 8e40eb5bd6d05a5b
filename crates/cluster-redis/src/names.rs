//! Names of keys.
//!
//! Owns: how a node, a stream or a route is named in Redis, and back. Does not: know what is kept there.

use weir_cluster::{Claim, Key, NodeId};

/// Longest text of a claim that is taken for one: an id of 4 KiB is no id.
pub(crate) const MAX_CLAIM_BYTES: usize = 4096;

/// The keys of one cluster.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    prefix: String,
    server: String,
    url: String,
}

impl Names {
    /// Keys that start with `prefix` and a colon, or with neither if it is empty.
    pub(crate) fn new(prefix: &str) -> Self {
        let prefix = if prefix.is_empty() {
            String::new()
        } else {
            format!("{prefix}:")
        };
        Self {
            server: format!("{prefix}srs-proxy-server:"),
            url: format!("{prefix}srs-proxy-url:"),
            prefix,
        }
    }

    /// What every record's key begins with.
    pub(crate) fn server_prefix(&self) -> &str {
        &self.server
    }

    /// The key of a node's record; also the text of a claim that names it.
    pub(crate) fn server(&self, id: &NodeId) -> String {
        format!("{}{id}", self.server)
    }

    /// The node of a record's key or a claim's text; `None` when it is neither.
    pub(crate) fn node(&self, text: &str) -> Option<NodeId> {
        let id = text.strip_prefix(self.server.as_str())?;
        (!id.is_empty() && text.len() <= MAX_CLAIM_BYTES).then(|| NodeId::from_text(id))
    }

    /// The claim whose text this is; `None` when it is none.
    pub(crate) fn claim(&self, text: &str) -> Option<Claim> {
        let node = self.node(text)?;
        Some(Claim {
            node,
            epoch: epoch(text),
        })
    }

    /// The key of the list of all records' keys.
    pub(crate) fn list(&self) -> String {
        format!("{}srs-proxy-all-servers", self.prefix)
    }

    /// The key of a stream's claim.
    pub(crate) fn url(&self, stream: &Key) -> String {
        format!("{}{stream}", self.url)
    }

    /// The stream of a claim's key; `None` when it is no such key.
    pub(crate) fn stream(&self, key: &str) -> Option<Key> {
        Key::new(key.strip_prefix(self.url.as_str())?).ok()
    }

    /// The key of a route.
    pub(crate) fn route(&self, key: &str) -> String {
        format!("{}srs-proxy-{key}", self.prefix)
    }

    /// The key of what a node reports of itself.
    pub(crate) fn report(&self, id: &NodeId) -> String {
        format!("{}weir-node:{id}", self.prefix)
    }

    /// The key of the mark that a node drains.
    pub(crate) fn drain(&self, id: &NodeId) -> String {
        format!("{}weir-drain:{id}", self.prefix)
    }

    /// The key of where viewers wait for a stream.
    pub(crate) fn expect(&self, stream: &Key) -> String {
        format!("{}weir-expect:{stream}", self.prefix)
    }

    /// The channel on which changes of the nodes are told.
    pub(crate) fn changes(&self) -> String {
        format!("{}weir-changes", self.prefix)
    }

    /// The pattern that all records' keys match.
    pub(crate) fn every_server(&self) -> String {
        pattern(&self.server)
    }

    /// The pattern that all claims' keys match.
    pub(crate) fn every_url(&self) -> String {
        pattern(&self.url)
    }
}

/// A pattern for `SCAN` that every key which begins with `prefix` matches, and no other.
fn pattern(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len() + 1);
    for char in prefix.chars() {
        if matches!(char, '*' | '?' | '[' | ']' | '\\' | '^') {
            pattern.push('\\');
        }
        pattern.push(char);
    }
    pattern.push('*');
    pattern
}

/// Tells claims apart by their text: FNV-1a, which every version and host computes alike.
fn epoch(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_srs_proxy() {
        let names = Names::new("");
        let id = NodeId::new("vid-a", "svc-a", "1");
        let stream = Key::new("v.com/live/s").unwrap();
        assert_eq!(names.server(&id), "srs-proxy-server:vid-a-svc-a-1");
        assert_eq!(names.list(), "srs-proxy-all-servers");
        assert_eq!(names.url(&stream), "srs-proxy-url:v.com/live/s");
        assert_eq!(names.route("ufrag:a:b"), "srs-proxy-ufrag:a:b");
        assert_eq!(names.every_url(), "srs-proxy-url:*");
        assert_eq!(names.node("srs-proxy-server:vid-a-svc-a-1"), Some(id));
        assert_eq!(names.stream("srs-proxy-url:v.com/live/s"), Some(stream));
    }

    #[test]
    fn a_prefix_begins_every_name() {
        let names = Names::new("x");
        let (id, stream) = (NodeId::new("a", "b", "c"), Key::new("v/l/s").unwrap());
        for name in [
            names.server(&id),
            names.list(),
            names.url(&stream),
            names.route("hls:v/l/s"),
            names.every_server(),
        ] {
            assert!(name.starts_with("x:srs-proxy-"), "{name}");
        }
        for name in [
            names.report(&id),
            names.drain(&id),
            names.expect(&stream),
            names.changes(),
        ] {
            assert!(name.starts_with("x:weir-"), "{name}");
        }
        assert_eq!(Names::new("a*[").every_url(), r"a\*\[:srs-proxy-url:*");
    }

    #[test]
    fn other_texts_name_nothing() {
        let names = Names::new("x");
        for text in ["", "x:srs-proxy-server:", "srs-proxy-server:a-b-c", "{}"] {
            assert_eq!(names.node(text), None, "{text}");
        }
        assert_eq!(
            names.node(&format!("x:srs-proxy-server:{}", "a".repeat(5000))),
            None
        );
        assert_eq!(names.stream("x:srs-proxy-url:"), None);
        assert_eq!(names.stream("srs-proxy-url:a"), None);
    }

    #[test]
    fn claims_of_different_nodes_have_different_epochs() {
        let names = Names::new("");
        let epoch = |id: &str| {
            names
                .claim(&format!("srs-proxy-server:{id}"))
                .unwrap()
                .epoch
        };
        assert_eq!(epoch("a-b-1"), epoch("a-b-1"));
        assert_ne!(epoch("a-b-1"), epoch("a-b-2"));
    }
}
