//! What an error of Redis means for whoever called.
//!
//! Owns: the judgement. Does not: act on it.

use redis::{ErrorKind, RedisError, ServerErrorKind};
use weir_cluster::StateError;

/// Codes of a server that will serve later, or whose place another takes.
const AWAY: &[&str] = &[
    "LOADING",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "BUSY",
    "MOVED",
    "ASK",
];
/// Codes of a server that does not want to; another that has taken its place may.
const REFUSED: &[&str] = &["READONLY", "NOAUTH", "WRONGPASS"];
/// Codes of a server that cannot, as any other in its place.
const UNABLE: &[&str] = &["OOM", "NOPERM", "MISCONF", "NOREPLICAS", "DENIED"];

/// What a failed command means for the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It works.
    Good,
    /// It works, but leads to a server that cannot do what is asked: another may have taken its place.
    Stale,
    /// Nothing more comes from it.
    Broken,
}

/// The error as the state tells it, and what it means for the connection. `key` is what was asked for; `hide` is never
/// repeated, whatever the server says.
pub(crate) fn judge(error: &RedisError, key: &str, hide: &str) -> (StateError, Verdict) {
    let text = cut(scrub(&describe(error), hide));
    let code = code(error);
    if AWAY.contains(&code) {
        return (StateError::Unavailable(text), Verdict::Stale);
    }
    if REFUSED.contains(&code) {
        return (StateError::Refused(text), Verdict::Stale);
    }
    if UNABLE.contains(&code) {
        return (StateError::Refused(text), Verdict::Good);
    }
    match error.kind() {
        ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig => {
            (StateError::Refused(text), Verdict::Stale)
        }
        ErrorKind::UnexpectedReturnType => (garbage(key, text), Verdict::Good),
        ErrorKind::Server(_) | ErrorKind::Extension if code == "WRONGTYPE" => {
            (garbage(key, text), Verdict::Good)
        }
        ErrorKind::Server(_) | ErrorKind::Extension => (StateError::Refused(text), Verdict::Good),
        _ => (StateError::Unavailable(text), Verdict::Broken),
    }
}

/// `what` is not what belongs under `key`.
pub(crate) fn garbage(key: &str, why: impl Into<String>) -> StateError {
    StateError::Garbage {
        key: key.to_owned(),
        why: why.into(),
    }
}

/// The code of a server's error. A script's error has that of the command which failed in it, at the front or, before
/// Redis 7, within the text.
fn code(error: &RedisError) -> &str {
    let code = error.code().unwrap_or_default();
    let detail = error.detail().unwrap_or_default();
    let known = || AWAY.iter().chain(REFUSED).chain(UNABLE);
    if known().any(|known| *known == code) {
        return code;
    }
    known()
        .find(|known| {
            detail.split_once(**known).is_some_and(|(before, after)| {
                (before.is_empty() || before.ends_with('-')) && after.starts_with(' ')
            })
        })
        .copied()
        .unwrap_or(code)
}

/// Code and words of a server's error, or what happened to the connection.
fn describe(error: &RedisError) -> String {
    match (error.kind(), error.code(), error.detail()) {
        (ErrorKind::Server(ServerErrorKind::ResponseError), _, Some(detail)) => detail.to_owned(),
        (ErrorKind::Server(_) | ErrorKind::Extension, Some(code), Some(detail)) => {
            format!("{code} {detail}")
        }
        _ => error.to_string(),
    }
}

/// A server may repeat what it was asked, at length.
fn cut(text: String) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned(),
        None => text,
    }
}

/// Most characters of an error that are repeated: enough for every sentence of Redis.
const MAX_TEXT: usize = 256;

fn scrub(text: &str, hide: &str) -> String {
    if hide.is_empty() {
        text.to_owned()
    } else {
        text.replace(hide, "***")
    }
}

#[cfg(test)]
mod tests {
    use redis::make_extension_error;

    use super::*;

    fn of(code: &str, detail: &str) -> (StateError, Verdict) {
        let error = make_extension_error(code.to_owned(), Some(detail.to_owned()));
        judge(&error, "k", "hunter2")
    }

    #[test]
    fn servers_that_are_away_and_servers_that_refuse_are_told_apart() {
        for code in AWAY {
            assert!(
                matches!(of(code, "x"), (StateError::Unavailable(_), Verdict::Stale)),
                "{code}"
            );
        }
        for code in REFUSED {
            assert!(
                matches!(of(code, "x"), (StateError::Refused(_), Verdict::Stale)),
                "{code}"
            );
        }
        for code in UNABLE {
            let (error, verdict) = of(code, "x");
            assert!(matches!(error, StateError::Refused(_)), "{error}");
            assert_eq!(verdict, Verdict::Good);
        }
        let (error, verdict) = of("WRONGTYPE", "Operation against a key");
        assert_eq!(error, garbage("k", "WRONGTYPE Operation against a key"));
        assert_eq!(verdict, Verdict::Good);
    }

    #[test]
    fn an_error_within_a_script_counts_as_its_own() {
        let old = "Error running script (call to f_1): @user_script:4: -OOM command not allowed";
        assert!(matches!(
            of("ERR", old),
            (StateError::Refused(_), Verdict::Good)
        ));
        let old = "Error running script: @user_script: 1: -READONLY You can't write";
        assert!(matches!(
            of("ERR", old),
            (StateError::Refused(_), Verdict::Stale)
        ));
        let (error, verdict) = of("ERR", "unknown command BUSY");
        assert!(matches!(error, StateError::Refused(_)), "{error}");
        assert_eq!(verdict, Verdict::Good);
    }

    #[test]
    fn lost_connections_are_broken() {
        let lost = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let (error, verdict) = judge(&RedisError::from(lost), "k", "");
        assert!(matches!(error, StateError::Unavailable(_)));
        assert_eq!(verdict, Verdict::Broken);
    }

    #[test]
    fn secrets_that_a_server_repeats_are_not_shown_and_long_words_are_cut() {
        let (error, _) = of(
            "ERR",
            "unknown command `HELLO`, with args: `3` `AUTH` `hunter2`",
        );
        let shown = format!("{error} {error:?}");
        assert!(
            shown.contains("***") && !shown.contains("hunter2"),
            "{shown}"
        );
        let (error, _) = of("ERR", &"é".repeat(10_000));
        assert!(error.to_string().chars().count() < 400);
    }
}
