//! Rules of routes.
//!
//! Owns: what is kept under a key for a time. Does not: look into keys or values.

use super::{Subject, good};

async fn put(subject: &Subject, values: &[(&str, &str)]) {
    let values: Vec<_> = values
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    good(subject.first.put_routes(&values, subject.ttl).await);
}

async fn route(subject: &Subject, key: &str) -> Option<String> {
    let first = good(subject.first.route(key).await);
    let second = good(subject.second.route(key).await);
    assert_eq!(first, second, "both users see the same route {key}");
    first
}

/// Several at once, and again with other values.
pub async fn routes_are_kept_and_replaced(subject: Subject) {
    assert_eq!(route(&subject, "a").await, None);
    put(&subject, &[("a", "1"), ("b", "2")]).await;
    put(&subject, &[]).await;
    assert_eq!(route(&subject, "a").await.as_deref(), Some("1"));
    assert_eq!(route(&subject, "b").await.as_deref(), Some("2"));
    put(&subject, &[("b", "3"), ("c", "")]).await;
    assert_eq!(route(&subject, "a").await.as_deref(), Some("1"));
    assert_eq!(route(&subject, "b").await.as_deref(), Some("3"));
    assert_eq!(route(&subject, "c").await.as_deref(), Some(""));
}

/// Nothing in a key or a value means anything to a backend.
pub async fn routes_of_odd_characters_are_kept_apart(subject: Subject) {
    let long = "long ".repeat(2000);
    let values = [
        ("hls:a", "{\"spbhid\":\"\\\"x\\\"\",\"n\":1}"),
        ("hls:A", "\u{1f3a5}\r\n\u{0}end"),
        ("ufrag:a/b+c:d", " "),
        ("*", "star"),
        ("?", "mark"),
        ("hls:http://v/live/\u{e9} [x]", long.as_str()),
    ];
    put(&subject, &values).await;
    for (key, value) in values {
        assert_eq!(route(&subject, key).await.as_deref(), Some(value), "{key}");
    }
}

/// Each for its own time.
pub async fn a_route_runs_out_and_putting_it_again_renews_it(subject: Subject) {
    put(&subject, &[("lost", "1"), ("kept", "1")]).await;
    subject.half(subject.ttl).await;
    assert_eq!(route(&subject, "lost").await.as_deref(), Some("1"));
    put(&subject, &[("kept", "2")]).await;
    (subject.advance)(subject.ttl * 3 / 4).await;
    assert_eq!(route(&subject, "lost").await, None);
    assert_eq!(route(&subject, "kept").await.as_deref(), Some("2"));
    subject.outlive(subject.ttl).await;
    assert_eq!(route(&subject, "kept").await, None);
}
