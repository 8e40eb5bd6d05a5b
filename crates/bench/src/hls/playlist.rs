//! What a player reads from playlists (RFC 8216 and draft-pantos-hls-rfc8216bis).
//!
//! Owns: the first variant of a multivariant playlist; of a media playlist what lies at its live edge: the last
//! segments or parts with their places, the hint, and what the server promises of itself.
//! Does not: keep playlists, follow byte ranges, decrypt, or judge whether a playlist is valid: `mediastreamvalidator`
//! and players do.

#![warn(clippy::indexing_slicing)]

use url::Url;

use crate::clock::SECOND;

/// Segments or parts kept of a playlist, counted from its end: more than any player begins behind the live edge.
const MAX_LISTED: usize = 64;

/// Where a segment or part stands in its stream: media sequence number and, of a part, its number in the segment. A
/// whole segment has [`WHOLE`].
pub(crate) type Position = (u64, u32);

/// The part number of a whole segment.
pub(crate) const WHOLE: u32 = u32::MAX;

/// A segment or part that a playlist lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) position: Position,
    /// Path and query.
    pub(crate) target: String,
    /// Nanoseconds.
    pub(crate) duration: u64,
}

/// The live edge of a media playlist; durations in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Media {
    pub(crate) target_duration: u64,
    /// 0 when there are no parts.
    pub(crate) part_target: u64,
    /// How far behind the live edge players stay: of parts when there are any.
    pub(crate) hold_back: u64,
    pub(crate) can_block: bool,
    pub(crate) can_skip: bool,
    pub(crate) is_ended: bool,
    pub(crate) map: Option<String>,
    /// The last of them, in order. Whole segments or parts, as was asked for.
    pub(crate) listed: Vec<Listed>,
    /// The part that comes next.
    pub(crate) hint: Option<String>,
    /// What a blocking reload asks for next.
    pub(crate) next: (u64, u64),
}

/// What is read of a media playlist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    Segments,
    Parts,
}

/// A playlist that cannot be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlaylistError {
    #[error("server sent no playlist")]
    Signature,
    #[error("playlist names no media")]
    Empty,
    #[error("playlist holds a number or an address that is none")]
    Value,
    #[error("playlist has byte ranges, which the bench does not ask for")]
    ByteRange,
}

/// Whether a playlist is one of media, and not of variants.
pub(crate) fn is_media(text: &str) -> bool {
    text.lines()
        .any(|line| line.starts_with("#EXT-X-TARGETDURATION"))
}

/// The address of the first variant of a multivariant playlist, as path and query.
///
/// # Errors
/// When there is none.
pub(crate) fn first_variant(text: &str, base: &Url) -> Result<String, PlaylistError> {
    if !text.starts_with("#EXTM3U") {
        return Err(PlaylistError::Signature);
    }
    let mut lines = text.lines();
    lines
        .by_ref()
        .find(|line| line.starts_with("#EXT-X-STREAM-INF"));
    let uri = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
    resolve(base, uri.ok_or(PlaylistError::Empty)?)
}

/// Reads a media playlist.
///
/// # Errors
/// When it is none, or is of a kind the bench does not play.
pub(crate) fn media(text: &str, base: &Url, want: Want) -> Result<Media, PlaylistError> {
    if !text.starts_with("#EXTM3U") {
        return Err(PlaylistError::Signature);
    }
    let mut found = Media::default();
    let (mut segment, mut part) = (0, 0_u32);
    let mut duration = 0;
    // addresses are joined at the end, for those that are kept
    let mut listed: Vec<(Position, &str, u64)> = Vec::new();
    for line in text.lines() {
        let Some(tag) = line.strip_prefix("#EXT") else {
            if !line.is_empty() && !line.starts_with('#') {
                if want == Want::Segments {
                    listed.push(((segment, WHOLE), line, duration));
                }
                segment += 1;
                part = 0;
            }
            continue;
        };
        let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
        match name {
            "INF" => duration = seconds(value.split(',').next())?,
            "-X-PART" => {
                if attribute(value, "BYTERANGE").is_some() && want == Want::Parts {
                    return Err(PlaylistError::ByteRange);
                }
                if want == Want::Parts {
                    let uri = attribute(value, "URI").ok_or(PlaylistError::Value)?;
                    let duration = seconds(attribute(value, "DURATION"))?;
                    listed.push(((segment, part), uri, duration));
                }
                part = part.saturating_add(1);
            }
            "-X-BYTERANGE" if want == Want::Segments => return Err(PlaylistError::ByteRange),
            "-X-MEDIA-SEQUENCE" => segment = number(value)?,
            "-X-SKIP" => {
                let skipped = attribute(value, "SKIPPED-SEGMENTS").unwrap_or("");
                segment = segment.saturating_add(number(skipped)?);
            }
            "-X-PRELOAD-HINT" if attribute(value, "TYPE") == Some("PART") => {
                let uri = attribute(value, "URI").ok_or(PlaylistError::Value)?;
                found.hint = Some(resolve(base, uri)?);
            }
            "-X-MAP" => {
                let uri = attribute(value, "URI").ok_or(PlaylistError::Value)?;
                found.map = Some(resolve(base, uri)?);
            }
            _ => found.head(name, value, want)?,
        }
    }
    let first = listed.len().saturating_sub(MAX_LISTED);
    for (position, uri, duration) in listed.drain(first..) {
        let target = resolve(base, uri)?;
        found.listed.push(Listed {
            position,
            target,
            duration,
        });
    }
    found.next = (segment, u64::from(part));
    if found.hold_back == 0 {
        // §4.4.3.8: what clients do where the server does not say
        found.hold_back = match want {
            Want::Segments => found.target_duration.saturating_mul(3),
            Want::Parts => found.part_target.saturating_mul(3),
        };
    }
    Ok(found)
}

impl Media {
    /// Tags that stand once in a playlist.
    fn head(&mut self, name: &str, value: &str, want: Want) -> Result<(), PlaylistError> {
        match name {
            "-X-TARGETDURATION" => self.target_duration = seconds(Some(value))?,
            "-X-PART-INF" => self.part_target = seconds(attribute(value, "PART-TARGET"))?,
            "-X-ENDLIST" => self.is_ended = true,
            "-X-SERVER-CONTROL" => {
                self.can_block = attribute(value, "CAN-BLOCK-RELOAD") == Some("YES");
                self.can_skip = attribute(value, "CAN-SKIP-UNTIL").is_some();
                let name = match want {
                    Want::Segments => "HOLD-BACK",
                    Want::Parts => "PART-HOLD-BACK",
                };
                if let Some(value) = attribute(value, name) {
                    self.hold_back = seconds(Some(value))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Where a player begins: the last that is at least the hold-back away from the end, or the first one.
    pub(crate) fn start(&self) -> usize {
        let mut behind = 0_u64;
        for (at, listed) in self.listed.iter().enumerate().rev() {
            behind = behind.saturating_add(listed.duration);
            if behind >= self.hold_back {
                return at;
            }
        }
        0
    }
}

/// The value of an attribute, without its quotes (§4.2). Quoted values may hold commas.
fn attribute<'t>(list: &'t str, name: &str) -> Option<&'t str> {
    let mut rest = list;
    loop {
        let (found, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => {
                let (value, after) = quoted.split_once('"')?;
                (value, after.strip_prefix(',').unwrap_or(after))
            }
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if found.trim() == name {
            return Some(value.trim());
        }
        rest = after;
    }
}

fn number(text: &str) -> Result<u64, PlaylistError> {
    text.trim().parse().map_err(|_| PlaylistError::Value)
}

/// Nanoseconds of a decimal number of seconds.
fn seconds(text: Option<&str>) -> Result<u64, PlaylistError> {
    let seconds: f64 = text
        .and_then(|text| text.trim().parse().ok())
        .ok_or(PlaylistError::Value)?;
    // a day bounds all sums
    if !(0.0..=86_400.0).contains(&seconds) {
        return Err(PlaylistError::Value);
    }
    Ok((seconds * SECOND as f64).round() as u64)
}

fn resolve(base: &Url, uri: &str) -> Result<String, PlaylistError> {
    let url = base.join(uri.trim()).map_err(|_| PlaylistError::Value)?;
    Ok(target(&url))
}

/// What a request for `url` names: path and query.
pub(crate) fn target(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOW_LATENCY: &str = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,PART-HOLD-BACK=0.6\n\
        #EXT-X-PART-INF:PART-TARGET=0.2\n#EXT-X-MEDIA-SEQUENCE:100\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n\
        #EXT-X-MAP:URI=\"a-av-90.mp4\"\n\
        #EXTINF:2.00000,\na-av-103.m4s\n\
        #EXT-X-PART:DURATION=0.2,URI=\"a-av-104.0.m4s?x=1,2\",INDEPENDENT=YES\n\
        #EXT-X-PART:DURATION=0.19,URI=\"a-av-104.1.m4s\"\n\
        #EXTINF:0.39,\na-av-104.m4s\n\
        #EXT-X-PART:DURATION=0.2,URI=\"/live/a-av-105.0.m4s\"\n\
        #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"a-av-105.1.m4s\"\n";

    fn base() -> Url {
        Url::parse("http://h:1/live/a-av.m3u8?t=1").unwrap()
    }

    #[test]
    fn parts_have_their_places() {
        let found = media(LOW_LATENCY, &base(), Want::Parts).unwrap();
        let places: Vec<_> = found
            .listed
            .iter()
            .map(|one| (one.position, one.target.as_str(), one.duration))
            .collect();
        assert_eq!(
            places,
            [
                ((104, 0), "/live/a-av-104.0.m4s?x=1,2", 200_000_000),
                ((104, 1), "/live/a-av-104.1.m4s", 190_000_000),
                ((105, 0), "/live/a-av-105.0.m4s", 200_000_000),
            ]
        );
        assert_eq!(found.hint.as_deref(), Some("/live/a-av-105.1.m4s"));
        assert_eq!(found.map.as_deref(), Some("/live/a-av-90.mp4"));
        assert_eq!(found.next, (105, 1));
        assert!(found.can_block && found.can_skip && !found.is_ended);
        assert_eq!(
            (found.target_duration, found.part_target, found.hold_back),
            (2 * SECOND, SECOND / 5, 600_000_000)
        );
        // 0.59 s are too near the end
        assert_eq!(found.start(), 0);
    }

    #[test]
    fn segments_are_read_alone() {
        let found = media(LOW_LATENCY, &base(), Want::Segments).unwrap();
        let places: Vec<_> = found.listed.iter().map(|one| one.position).collect();
        assert_eq!(places, [(103, WHOLE), (104, WHOLE)]);
        assert_eq!(found.hold_back, 6 * SECOND);
        let ended = media(
            "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na\n#EXTINF:1\nb\n#EXT-X-ENDLIST\n",
            &base(),
            Want::Segments,
        )
        .unwrap();
        assert!(ended.is_ended && !ended.can_block);
        assert_eq!(ended.next, (2, 0));
    }

    #[test]
    fn players_begin_behind_the_edge() {
        let listed = |number, duration| Listed {
            position: (number, WHOLE),
            target: String::new(),
            duration,
        };
        let found = Media {
            hold_back: 6,
            listed: (0..9).map(|number| listed(number, 2)).collect(),
            ..Media::default()
        };
        assert_eq!(found.start(), 6);
        assert_eq!(Media::default().start(), 0);
    }

    #[test]
    fn only_the_last_are_kept() {
        let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n".to_owned();
        for number in 0..500 {
            text += &format!("#EXTINF:1,\n{number}.ts\n");
        }
        let found = media(&text, &base(), Want::Segments).unwrap();
        assert_eq!(found.listed.len(), MAX_LISTED);
        assert_eq!(found.listed.last().unwrap().position, (499, WHOLE));
    }

    #[test]
    fn the_first_variant_is_taken() {
        let text = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"a,b\"\n\na-av.m3u8\n\
                    #EXT-X-STREAM-INF:BANDWIDTH=2\nb.m3u8\n";
        assert!(!is_media(text) && is_media(LOW_LATENCY));
        assert_eq!(
            first_variant(text, &base()),
            Ok("/live/a-av.m3u8".to_owned())
        );
        assert_eq!(
            first_variant("#EXTM3U\n", &base()),
            Err(PlaylistError::Empty)
        );
        assert_eq!(
            first_variant("<html>", &base()),
            Err(PlaylistError::Signature)
        );
    }

    #[test]
    fn what_cannot_be_played_is_told() {
        let read = |line: &str, want| media(&format!("#EXTM3U\n{line}\n"), &base(), want);
        for (line, want, error) in [
            ("#EXTINF:x,", Want::Parts, PlaylistError::Value),
            ("#EXTINF:-1,", Want::Parts, PlaylistError::Value),
            (
                "#EXT-X-MEDIA-SEQUENCE:-1",
                Want::Parts,
                PlaylistError::Value,
            ),
            ("#EXT-X-PART:DURATION=1", Want::Parts, PlaylistError::Value),
            (
                "#EXT-X-BYTERANGE:1@0",
                Want::Segments,
                PlaylistError::ByteRange,
            ),
            (
                "#EXT-X-PART:DURATION=1,URI=\"a\",BYTERANGE=\"1@0\"",
                Want::Parts,
                PlaylistError::ByteRange,
            ),
        ] {
            assert_eq!(read(line, want), Err(error), "{line}");
        }
        assert_eq!(
            media("", &base(), Want::Parts),
            Err(PlaylistError::Signature)
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(
            text in "(#EXT(INF|-X-PART|-X-SKIP|-X-MAP|-X-MEDIA-SEQUENCE)[:=A-Z0-9\",.-]{0,30}\n|.{0,9}\n){0,9}",
        ) {
            let text = format!("#EXTM3U\n{text}");
            let _ = (first_variant(&text, &base()), is_media(&text));
            for want in [Want::Parts, Want::Segments] {
                let _ = media(&text, &base(), want);
            }
        }
    }
}
