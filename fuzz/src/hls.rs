//! Targets of playlists and manifests.
//!
//! Owns: what must hold of any text whose URIs were changed: the others stay, and taking the change back gives the same
//! URIs. And what must hold of any query and of any playlist that is judged. Input: text; for the lint two texts with a NUL
//! between.

use weir_hls::lint::{Listing, check, check_delta, check_reload};
use weir_hls::query::{Directives, QueryError};
use weir_hls::uri::{is_absolute, push_encoded, relative_to_root, with_query};
use weir_hls::{MAX_TEXT_BYTES, mpd as dash, playlist as list};

/// A parameter that has to be escaped in XML, and not in a playlist.
const PARAMETER: &str = "id=7&x=<y>";

/// Changes the URIs of a playlist in three ways.
pub fn playlist(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let rewrite = |text: &str, change: &dyn Fn(&str) -> Option<String>| {
        let mut found = Vec::new();
        let result = list::rewrite(text, &mut |kind, uri| {
            assert!(text.contains(uri) && !uri.is_empty());
            found.push((kind, uri.to_owned()));
            change(uri)
        });
        result.map(|result| (result, found))
    };
    let _ = list::lines(&text)
        .filter(|line| matches!(line, list::Line::Uri(_)))
        .count();
    for (name, value) in list::attributes(&text) {
        assert!(text.contains(name) && text.contains(value.text()));
        let _ = (value.integer(), value.number(), value.hexadecimal());
    }
    let Ok((same, uris)) = rewrite(&text, &|_| None) else {
        return;
    };
    assert_eq!(same, text);
    let (same, _) =
        rewrite(&text, &|uri| Some(uri.to_owned())).expect("its own uris can stand there");
    assert_eq!(same, text);
    let (changed, _) =
        rewrite(&text, &|uri| Some(marked(uri))).expect("a parameter breaks nothing");
    let (_, again) = rewrite(&changed, &|_| None).expect("a playlist stays one");
    check_marks(&uris, &again);
}

/// Changes the URIs of a manifest in three ways.
pub fn mpd(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let rewrite = |text: &str, change: &dyn Fn(&str) -> Option<String>| {
        let mut found = Vec::new();
        let result = dash::rewrite(text, &mut |kind, uri| {
            assert!(!uri.trim().is_empty());
            found.push((kind, uri.to_owned()));
            change(uri)
        });
        result.map(|result| (result, found))
    };
    let (same, uris) = match rewrite(&text, &|_| None) {
        Ok(found) => found,
        Err(dash::MpdError::Xml { offset } | dash::MpdError::Entity { offset }) => {
            assert!(offset <= text.len(), "{offset}");
            return;
        }
        Err(_) => return,
    };
    assert_eq!(same, text);
    let (changed, _) =
        rewrite(&text, &|uri| Some(marked(uri))).expect("a parameter breaks nothing");
    let (_, again) = rewrite(&changed, &|_| None).expect("a manifest stays one");
    check_marks(&uris, &again);
}

/// Reads the delivery directives of a query.
pub fn hls_query(data: &[u8]) {
    let query = String::from_utf8_lossy(data);
    let read = Directives::parse(&query);
    if let Ok(Directives { until, skip }) = read {
        assert!(until.is_none() || query.contains("_HLS_msn="));
        assert!(skip.is_none() || query.contains("_HLS_skip="));
        let part = until.and_then(|until| until.part);
        assert!(part.is_none() || query.contains("_HLS_part="));
    }
    // the first occurrence counts, and others do not matter
    if read != Err(QueryError::TooLong) {
        let more = format!("{query}&other=1");
        let again = Directives::parse(&more);
        assert!(again == read || again == Err(QueryError::TooLong));
    }
    let mut encoded = String::new();
    push_encoded(&query, &mut encoded);
    assert!(encoded.len() <= query.len() * 3);
    assert_eq!(
        Directives::parse(&encoded).unwrap_or_default(),
        Directives::default()
    );
}

/// Judges playlists, alone and one after the other.
pub fn hls_lint(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (before, after) = text.split_once('\0').unwrap_or((&text, &text));
    for text in [before, after] {
        let lines = text.lines().count();
        assert!(check(text).iter().all(|finding| finding.line <= lines));
    }
    let (old, new) = (Listing::parse(before).0, Listing::parse(after).0);
    let _ = (check_reload(before, after), check_delta(before, after));
    if let Some(merged) = old.merge(&new) {
        assert_eq!(merged.next_number(), new.next_number());
        let skipped = usize::try_from(new.skipped).expect("the player has what was skipped");
        assert_eq!(merged.segments.len(), new.segments.len() + skipped);
    }
}

fn marked(uri: &str) -> String {
    let changed = with_query(uri, PARAMETER);
    assert!(changed.len() <= uri.len() + PARAMETER.len() + 1);
    assert_eq!(is_absolute(&changed), is_absolute(uri));
    if let Some(path) = relative_to_root(uri, "h:8080") {
        assert!(path.starts_with('/') && !path.starts_with("//") && path.len() <= uri.len() + 2);
    }
    changed
}

/// The same URIs of the same kinds, each with the parameter.
fn check_marks<K: PartialEq + std::fmt::Debug>(before: &[(K, String)], after: &[(K, String)]) {
    let bytes: usize = after.iter().map(|(_, uri)| uri.len()).sum();
    assert!(bytes <= MAX_TEXT_BYTES);
    assert_eq!(before.len(), after.len());
    for ((kind, uri), (kind_after, uri_after)) in before.iter().zip(after) {
        assert_eq!(kind, kind_after);
        assert_eq!(&with_query(uri, PARAMETER), uri_after);
    }
}
