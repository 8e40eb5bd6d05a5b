//! Targets of addresses and stream names.
//!
//! Owns: what must hold for any accepted name. Input: text; names are separated by line feeds.

use weir_media::{AppName, MAX_KEY_BYTES, StreamKey, StreamName, Vhost};
use weir_rtmp::RtmpUrl;
use weir_rtmp::url::{MAX_URL_BYTES, Masked};

/// Cuts an address and joins it again.
pub fn rtmp_url(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    check_masked(&text);
    let Ok(url) = text.parse::<RtmpUrl>() else {
        return;
    };
    assert!(text.len() <= MAX_URL_BYTES);
    assert!(!url.host.is_empty() && url.port != 0 && !url.app.is_empty());
    for part in [&url.host, &url.app, &url.stream] {
        assert!(text.contains(part.as_str()), "{part} is no part of {text}");
    }
    assert!(
        !url.app.starts_with('/') && !url.app.ends_with('/'),
        "{}",
        url.app
    );
    assert!(!url.stream.starts_with('/'));
    // user information never reaches the peer or a log
    let joined = format!("{}/{}", url.tc_url(), url.stream);
    if joined.len() <= MAX_URL_BYTES {
        assert_eq!(joined.parse(), Ok(url.clone()), "{joined}");
    }
    assert_eq!(format!("{url:?}"), format!("RtmpUrl({url})"));
}

/// What was masked shows no more when it is masked again, and the name stays.
fn check_masked(text: &str) {
    let once = Masked(text).to_string();
    assert_eq!(Masked(&once).to_string(), once);
    let name = text.split('?').next().unwrap_or_default();
    assert!(once.starts_with(name));
}

/// Makes a key of virtual host, app and name, and of the same path cut elsewhere.
pub fn stream_key(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.splitn(3, '\n').map(|part| part.trim_end_matches('\r'));
    let mut part = || parts.next().unwrap_or_default();
    let (vhost, app, name) = (Vhost(part()), AppName(part()), StreamName(part()));
    let Ok(key) = StreamKey::new(vhost, app, name) else {
        return;
    };
    assert_eq!(key.vhost(), vhost.0);
    assert!(!key.vhost().contains('/'));
    let is_plain = |part: &str| !matches!(part, "" | "." | "..");
    assert!(key.as_str().split('/').all(is_plain));
    assert!(!key.as_str().contains(['?', '#', '\n', '\0']));
    assert!(key.as_str().len() <= MAX_KEY_BYTES);
    assert!(!key.app().is_empty() && !key.name().is_empty() && !key.name().contains('/'));
    assert_eq!(
        key.as_str(),
        format!("{}/{}/{}", key.vhost(), key.app(), key.name())
    );
    let again = StreamKey::new(vhost, AppName(key.app()), StreamName(key.name()));
    assert_eq!(again.as_ref(), Ok(&key));
    let path = format!("{}/{}", key.app(), key.name());
    for (slash, _) in path.match_indices('/') {
        let (app, name) = (AppName(&path[..slash]), StreamName(&path[slash + 1..]));
        assert_eq!(StreamKey::new(vhost, app, name).as_ref(), Ok(&key));
    }
}
