//! Target of listen texts.
//!
//! Owns: what must hold for any accepted one. Input: text.

use weir_cluster::Endpoint;

/// Reads a listen text; writes and reads what came out.
pub fn endpoint(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Endpoint::parse(&text) {
        Ok(endpoint) => {
            assert!(endpoint.port != 0);
            assert!(text.contains(&endpoint.host));
            let transport = text.to_ascii_lowercase();
            assert!(transport.contains(&endpoint.transport));
            assert_eq!(Endpoint::parse(&endpoint.to_string()), Ok(endpoint));
            assert!(Endpoint::parse(&format!(" {text}\n")).is_ok());
        }
        Err(error) => {
            assert!(error.text.chars().count() <= 64);
            assert!(text.starts_with(&error.text) && !error.why.is_empty());
        }
    }
}
