//! What a request asks for, from its path and query alone.
//!
//! Owns: which paths are streams, playlists and pieces of them, parameters of a query, and which paths are refused.
//! Does not: know streams or origins.

use percent_encoding::percent_decode_str;

/// Paths below these are never reached through a playlist's id: they are the origin's own business.
const RESERVED: [&str; 5] = ["api", "rtc", "metrics", "console", "debug"];

/// What the end of a path says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// FLV or TS: a stream, or a segment when an id says so.
    Stream,
    /// An HLS playlist.
    Playlist,
    /// A DASH manifest.
    Manifest,
    /// What playlists name, or a stream of sound.
    Piece,
    /// Nothing that origins are asked for without an id.
    Other,
}

impl Kind {
    /// By the extension, whose case counts for nobody but is told apart by SRS: only lower case is a stream.
    pub(super) fn of(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or_default();
        let Some((_, extension)) = name.rsplit_once('.') else {
            return Self::Other;
        };
        match extension {
            "flv" | "ts" => Self::Stream,
            "m3u8" => Self::Playlist,
            "mpd" => Self::Manifest,
            "m4s" | "mp4" | "m4a" | "m4v" | "cmfv" | "cmfa" | "cmft" | "aac" | "ac3" | "ec3"
            | "mp3" | "vtt" | "webvtt" | "srt" | "ttml" | "key" | "jpg" | "jpeg" | "png"
            | "webp" | "webm" => Self::Piece,
            _ => Self::Other,
        }
    }

    /// A text whose URIs must come back through the proxy.
    pub(super) fn is_list(self) -> bool {
        matches!(self, Self::Playlist | Self::Manifest)
    }
}

/// The path by which the stream of a file is named, where the file's name says more than that: `/live/s.m4s` for
/// `/live/s-av-7.0.m4s`. These are the names of Weir's files and of SRS's and nginx's segments: playlists `s-av.m3u8`,
/// `s-v.m3u8`, `s-a.m3u8`, `s-ts.m3u8`; `s-7.ts`, `s-7.key`; `s-av-7.mp4`, `s-av-7.m4s`, `s-v-4-7.m4s`, `s-av-7.0.m4s`. A
/// stream may have such a name too: which is meant, only those that exist can tell.
pub(super) fn of_stream(path: &str) -> Option<String> {
    let (folder, name) = path.rsplit_once('/')?;
    let (stem, extension) = name.rsplit_once('.')?;
    let (head, tail) = stem.rsplit_once('-')?;
    let is_view = |label: &str| matches!(label, "av" | "v" | "a");
    let view_of = |head| str::rsplit_once(head, '-').filter(|(_, label)| is_view(label));
    let viewed = || view_of(head);
    let listed = || {
        let (head, first) = head.rsplit_once('-')?;
        view_of(head).filter(|_| is_number::<u64>(first))
    };
    let is_segment = || is_number::<u64>(tail);
    let is_part = || {
        let numbers = tail.split_once('.');
        numbers.is_some_and(|(segment, part)| is_number::<u64>(segment) && is_number::<u32>(part))
    };
    let stream = match extension {
        "m3u8" if tail == "ts" || is_view(tail) => Some(head),
        "ts" | "key" if is_segment() => Some(head),
        "mp4" if is_segment() => viewed().map(|(stream, _)| stream),
        "m4s" if is_segment() => viewed().or_else(listed).map(|(stream, _)| stream),
        "m4s" if is_part() => viewed().map(|(stream, _)| stream),
        _ => None,
    };
    let stream = stream.filter(|stream| !stream.is_empty())?;
    Some(format!("{folder}/{stream}.{extension}"))
}

/// Whether a text is a number as names have it, without leading zeros.
fn is_number<T: std::str::FromStr>(text: &str) -> bool {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_short = text == "0" || !text.starts_with('0');
    is_plain && is_short && text.parse::<T>().is_ok()
}

/// Whether a path stays where it begins: it has no dot segments, escaped or not, and no control characters.
pub(super) fn is_sound(path: &str) -> bool {
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    path.starts_with('/')
        && !path.contains('#')
        && !decoded.iter().any(|byte| *byte < b' ' || *byte == 0x7f)
        && !decoded
            .split(|byte| matches!(byte, b'/' | b'\\'))
            .any(|segment| matches!(segment, b"." | b".."))
}

/// Whether a path is none that an id leads to.
pub(super) fn is_reserved(path: &str) -> bool {
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    let first = decoded
        .split(|byte| matches!(byte, b'/' | b'\\'))
        .find(|segment| !segment.is_empty());
    first.is_some_and(|first| {
        RESERVED
            .iter()
            .any(|name| first.eq_ignore_ascii_case(name.as_bytes()))
    })
}

/// Whether a `Host` can be one (RFC 3986, section 3.2.2, without user information).
pub(super) fn is_host(host: &str) -> bool {
    host.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte))
}

/// The value of the first parameter called `name`, if it is not empty.
pub(super) fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let mut parameters = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = parameters.find(|(found, _)| *found == name)?;
    (!value.is_empty()).then_some(value)
}

/// A target without the parameters called `name`; the others stay byte for byte.
pub(super) fn without(target: &str, name: &str) -> String {
    let Some((path, query)) = target.split_once('?') else {
        return target.to_owned();
    };
    let is_it = |pair: &&str| pair.split_once('=').map_or(*pair, |(found, _)| found) == name;
    let left: Vec<&str> = query.split('&').filter(|pair| !is_it(pair)).collect();
    if left.is_empty() {
        return path.to_owned();
    }
    format!("{path}?{}", left.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn kinds_are_told_by_the_extension() {
        for (path, kind) in [
            ("/live/s.flv", Kind::Stream),
            ("/live/s.b.ts", Kind::Stream),
            ("/live/s.m3u8", Kind::Playlist),
            ("/live/s.mpd", Kind::Manifest),
            ("/live/s.m4s", Kind::Piece),
            ("/live/s.key", Kind::Piece),
            ("/live/s.html", Kind::Other),
            ("/live.flv/s", Kind::Other),
            ("/", Kind::Other),
        ] {
            assert_eq!(Kind::of(path), kind, "{path}");
        }
    }

    #[test]
    fn files_belong_to_the_stream_that_they_begin_with() {
        for (path, stream) in [
            ("/live/s-av.m3u8", Some("/live/s.m3u8")),
            ("/live/s-ts.m3u8", Some("/live/s.m3u8")),
            ("/a/b/s-1-v-7.0.m4s", Some("/a/b/s-1.m4s")),
            ("/live/s-a-7.mp4", Some("/live/s.mp4")),
            ("/live/s-a-4-7.m4s", Some("/live/s.m4s")),
            ("/live/s-a-4-7.0.m4s", None),
            ("/live/%C3%A9-7.ts", Some("/live/%C3%A9.ts")),
            ("/live/s-0.key", Some("/live/s.key")),
            ("/live/s.m3u8", None),
            ("/live/s-av.mpd", None),
            ("/live/s-av.flv", None),
            ("/live/s-07.ts", None),
            ("/live/s-x-7.m4s", None),
            ("/live-av/s.m3u8", None),
            ("/live/-7.ts", None),
        ] {
            assert_eq!(of_stream(path).as_deref(), stream, "{path}");
        }
    }

    /// What the proxy takes for a stream's file is what Weir's origin takes for one.
    fn is_read_alike(name: &str) {
        let [_, piece] = weir_segment::File::candidates(name);
        let expected = piece.map(|(stream, _)| stream);
        let path = of_stream(&format!("/live/{name}"));
        let found = path.as_deref().and_then(|path| path.strip_prefix("/live/"));
        let found = found.and_then(|name| Some(name.rsplit_once('.')?.0));
        assert_eq!(found, expected, "{name}");
    }

    #[test]
    fn paths_that_lead_elsewhere_are_unsound() {
        for path in ["/a/b.flv", "/", "/a..b/.../x", "/a%20b"] {
            assert!(is_sound(path), "{path}");
        }
        for path in [
            "/..",
            "/a/../b",
            "/a/%2e%2E/b",
            "/a/./b",
            "/a\\..\\b",
            "/a%2f..%2fb",
            "/a%00",
            "/a#b",
            "a",
            "*",
            "/a%0d%0a",
        ] {
            assert!(!is_sound(path), "{path}");
        }
    }

    #[test]
    fn the_origins_own_business_is_reserved() {
        for path in ["/api/v1/x", "//api/x", "/%61pi/", "/API", "/rtc/v1/whip/"] {
            assert!(is_reserved(path), "{path}");
        }
        for path in ["/apis", "/live/api/x.ts", "/"] {
            assert!(!is_reserved(path), "{path}");
        }
    }

    #[test]
    fn parameters_are_found_and_left_out() {
        assert_eq!(parameter("a=1&weir=x&b", "weir"), Some("x"));
        assert_eq!(parameter("weir=", "weir"), None);
        assert_eq!(parameter("xweir=1", "weir"), None);
        assert_eq!(without("/a?weir=1", "weir"), "/a");
        assert_eq!(without("/a?b=%3f&weir=1&&c", "weir"), "/a?b=%3f&&c");
        assert_eq!(without("/a?", "weir"), "/a?");
        assert_eq!(without("/a", "weir"), "/a");
    }

    #[test]
    fn hosts_are_plain() {
        assert!(is_host("a.example:80") && is_host("[::1]:80") && is_host(""));
        assert!(!is_host("a b") && !is_host("u@h") && !is_host("h/x"));
    }

    proptest! {
        #[test]
        fn files_are_read_as_origins_read_them(
            name in "[a-z-]{0,4}(-(av|v|a|ts|q))?(-[0-9]{1,20}){0,3}(\\.[0-9]{1,11})?\\.(m3u8|m4s|mp4|ts|key|mpd|flv)",
            any in "[-avts0-9.]{0,12}\\.(ts|m3u8|m4s|mp4|key)",
        ) {
            is_read_alike(&name);
            is_read_alike(&any);
        }

        #[test]
        fn without_keeps_everything_else(query in "[a-c=&%1]{0,20}") {
            let target = format!("/p?{query}");
            prop_assert_eq!(without(&target, "weir"), target);
        }
    }
}
