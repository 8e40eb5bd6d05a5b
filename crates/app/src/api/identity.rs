//! What this process, its streams and its vhosts are called in answers.
//!
//! Owns: the ids. Does not: name clients, whose ids are those of their sessions.
//!
//! An id is `vid-` and the 64 bits of FNV-1a of a name as 16 hexadecimal digits: the same name has the same id after a
//! restart and on every server, and whoever knows the key can work it out. Two names with one id can be made on
//! purpose; then a look-up by id finds the first in order of key, and nothing else depends on it.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use weir_media::StreamKey;

/// Who answers.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// The same after a restart on this host with these addresses.
    pub(crate) server: String,
    /// Another after each start.
    pub(crate) service: String,
    /// Process id.
    pub(crate) pid: u32,
}

impl Identity {
    /// The identity of this process, started at `started` and serving at `addresses`.
    pub(crate) fn new(addresses: &[SocketAddr], started: SystemTime) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let pid = std::process::id();
        let since = started.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            server: id(&format!("{}/{addresses:?}", host.trim())),
            service: format!(
                "{:08x}",
                fnv1a(&format!("{pid}/{}", since.as_nanos())) >> 32
            ),
            pid,
        }
    }
}

/// The id of a stream.
pub(crate) fn stream_id(key: &StreamKey) -> String {
    id(key.as_str())
}

/// The id of a virtual host.
pub(crate) fn vhost_id(name: &str) -> String {
    id(name)
}

fn id(name: &str) -> String {
    format!("vid-{:016x}", fnv1a(name))
}

/// FNV-1a with 64 bits (RFC 9923, section 2).
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_fnv_1a_of_names() {
        assert_eq!(id(""), "vid-cbf29ce484222325");
        // a vector of the reference implementation
        assert_eq!(id("foobar"), "vid-85944171f73967e8");
        assert_ne!(vhost_id("live"), vhost_id("Live"));
    }

    #[test]
    fn the_server_stays_the_same_and_the_service_does_not() {
        let first = Identity::new(&[], UNIX_EPOCH);
        let second = Identity::new(&[], UNIX_EPOCH + std::time::Duration::from_nanos(1));
        assert_eq!(first.server, second.server);
        assert_ne!(first.service, second.service);
        assert_eq!(first.service.len(), 8);
    }
}
