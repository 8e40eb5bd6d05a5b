//! Playlists of HLS (RFC 8216, draft-pantos-hls-rfc8216bis).
//!
//! Owns: their lines ([`lines`]), the attributes of a tag ([`attributes`]), and changing their URIs ([`rewrite`]).
//! Invariant: what is not a URI is never touched: line ends, comments, unknown tags, a byte order mark, spaces and
//! broken lines come out as they came in.
//! Does not: check that a playlist makes sense, or know variables (`EXT-X-DEFINE`): `{$name}` in a URI is text.

use crate::MAX_TEXT_BYTES;

/// Longest line in bytes. The longest in use are keys in `data:` URIs, of some 10 KiB.
pub const MAX_LINE_BYTES: usize = 64 << 10;

/// Most lines. A day of 2 s segments with a date on each has 130,000.
pub const MAX_LINES: usize = 200_000;

/// Most attributes looked at in one tag; standard tags have under 20, and those of `EXT-X-DATERANGE` are open.
pub const MAX_ATTRIBUTES: usize = 256;

/// First line of any playlist (RFC 8216 §4.3.1.1).
const HEADER: &str = "#EXTM3U";

/// Not allowed in a playlist (RFC 8216 §4), but some files have one.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// What a URI leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UriKind {
    /// A line of its own: a media segment.
    Segment,
    /// A line of its own behind `EXT-X-STREAM-INF`: a variant's playlist.
    Variant,
    /// `EXT-X-MEDIA`: a rendition's playlist.
    Media,
    /// `EXT-X-I-FRAME-STREAM-INF`: a playlist of key frames.
    IFrames,
    /// `EXT-X-IMAGE-STREAM-INF`, an extension in wide use: a playlist of thumbnails.
    Images,
    /// `EXT-X-MAP`: an initialization section.
    Map,
    /// `EXT-X-KEY`: a key, often with a scheme of its own.
    Key,
    /// `EXT-X-SESSION-KEY`: a key, told ahead.
    SessionKey,
    /// `EXT-X-PART`: a partial segment.
    Part,
    /// `EXT-X-PRELOAD-HINT`: a part or map to come.
    PreloadHint,
    /// `EXT-X-RENDITION-REPORT`: another rendition's playlist.
    RenditionReport,
    /// `EXT-X-SESSION-DATA`: a file of data.
    SessionData,
    /// `X-ASSET-URI` of `EXT-X-DATERANGE`: the playlist of an interstitial.
    Asset,
    /// `X-ASSET-LIST` of `EXT-X-DATERANGE`: a list of interstitials.
    AssetList,
    /// `SERVER-URI` of `EXT-X-CONTENT-STEERING`: a steering manifest.
    Steering,
}

/// Tags with attributes that are URIs.
const URI_ATTRIBUTES: &[(&str, &str, UriKind)] = &[
    ("#EXT-X-MEDIA", "URI", UriKind::Media),
    ("#EXT-X-I-FRAME-STREAM-INF", "URI", UriKind::IFrames),
    ("#EXT-X-IMAGE-STREAM-INF", "URI", UriKind::Images),
    ("#EXT-X-MAP", "URI", UriKind::Map),
    ("#EXT-X-KEY", "URI", UriKind::Key),
    ("#EXT-X-SESSION-KEY", "URI", UriKind::SessionKey),
    ("#EXT-X-PART", "URI", UriKind::Part),
    ("#EXT-X-PRELOAD-HINT", "URI", UriKind::PreloadHint),
    ("#EXT-X-RENDITION-REPORT", "URI", UriKind::RenditionReport),
    ("#EXT-X-SESSION-DATA", "URI", UriKind::SessionData),
    ("#EXT-X-DATERANGE", "X-ASSET-URI", UriKind::Asset),
    ("#EXT-X-DATERANGE", "X-ASSET-LIST", UriKind::AssetList),
    ("#EXT-X-CONTENT-STEERING", "SERVER-URI", UriKind::Steering),
];

/// Why a playlist cannot be changed. `line` counts from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaylistError {
    /// The first line is not `#EXTM3U`.
    #[error("origin's playlist does not begin with #EXTM3U")]
    NotAPlaylist,
    /// A line is longer than [`MAX_LINE_BYTES`].
    #[error("line {line} of origin's playlist is longer than {MAX_LINE_BYTES} bytes")]
    LineTooLong {
        /// The line.
        line: usize,
    },
    /// More than [`MAX_LINES`].
    #[error("origin's playlist has more than {MAX_LINES} lines")]
    TooManyLines,
    /// The result would be longer than [`MAX_TEXT_BYTES`].
    #[error("changed playlist is longer than {MAX_TEXT_BYTES} bytes")]
    TooLong,
    /// A changed URI would be something else in its place: it is empty, has a quote or a line end, or begins like a tag.
    #[error("changed uri in line {line} cannot stand in a playlist")]
    Uri {
        /// The line.
        line: usize,
    },
}

/// A line without its end and without spaces around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// `#EXT…`, known or not.
    Tag {
        /// With its number sign, such as `#EXTINF`.
        name: &'a str,
        /// What follows the colon; `None` without one.
        value: Option<&'a str>,
    },
    /// Another line that begins with a number sign.
    Comment(&'a str),
    /// What is left: the URI of a segment or a playlist.
    Uri(&'a str),
    /// Nothing.
    Blank,
}

impl<'a> Line<'a> {
    /// What `line` is.
    pub fn parse(line: &'a str) -> Self {
        let line = line.trim_matches(is_space);
        if line.is_empty() {
            Self::Blank
        } else if line.starts_with("#EXT") {
            match line.split_once(':') {
                Some((name, value)) => Self::Tag {
                    name,
                    value: Some(value),
                },
                None => Self::Tag {
                    name: line,
                    value: None,
                },
            }
        } else if line.starts_with('#') {
            Self::Comment(line)
        } else {
            Self::Uri(line)
        }
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// The lines of `text`; a byte order mark is left out. Lines end with LF or CR LF (RFC 8216 §4).
pub fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    text.lines().map(Line::parse)
}

/// The value of an attribute (RFC 8216 §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// A quoted string, without its quotes. There are no escapes in it.
    Quoted(&'a str),
    /// A number, a hexadecimal sequence, a resolution or an enumerated string.
    Bare(&'a str),
}

impl<'a> Value<'a> {
    /// The text, without quotes.
    pub fn text(self) -> &'a str {
        match self {
            Self::Quoted(text) | Self::Bare(text) => text,
        }
    }

    /// A decimal integer; `None` if it is none, or quoted.
    pub fn integer(self) -> Option<u64> {
        match self {
            Self::Bare(text) if text.bytes().all(|c| c.is_ascii_digit()) => text.parse().ok(),
            _ => None,
        }
    }

    /// A decimal number, which may have a sign; `None` if it is none, or quoted.
    pub fn number(self) -> Option<f64> {
        let allowed = |c: u8| c.is_ascii_digit() || matches!(c, b'.' | b'-');
        match self {
            Self::Bare(text) if text.bytes().all(allowed) => text.parse().ok(),
            _ => None,
        }
    }

    /// The digits of a hexadecimal sequence, without `0x`; `None` if it is none, or quoted.
    pub fn hexadecimal(self) -> Option<&'a str> {
        let Self::Bare(text) = self else {
            return None;
        };
        let digits = text
            .strip_prefix("0x")
            .or_else(|| text.strip_prefix("0X"))?;
        let is_sound = !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_hexdigit());
        is_sound.then_some(digits)
    }
}

/// The attributes in the value of a tag, in order. A comma within quotes parts nothing. What is no attribute is left
/// out; behind a quote that never ends nothing is read.
pub fn attributes(value: &str) -> impl Iterator<Item = (&str, Value<'_>)> {
    let mut rest = value;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start_matches(|c| c == ',' || is_space(c));
            let end = rest.find(['=', ','])?;
            let (name, behind) = rest.split_at_checked(end)?;
            // a name without a value
            if behind.starts_with(',') {
                rest = behind;
                continue;
            }
            let behind = behind.get(1..)?;
            if let Some(quoted) = behind.strip_prefix('"') {
                let (text, behind) = quoted.split_once('"')?;
                rest = behind;
                return Some((name, Value::Quoted(text)));
            }
            let (text, behind) = behind.split_at(behind.find(',').unwrap_or(behind.len()));
            rest = behind;
            return Some((name, Value::Bare(text.trim_end_matches(is_space))));
        }
    })
    .take(MAX_ATTRIBUTES)
}

/// Calls `change` for each URI of the playlist `text`, in order, and gives the text with what it returned in place of
/// the URI; `None` keeps it. Empty URIs are not asked for.
///
/// Fails when `text` is no playlist, exceeds a bound, or `change` gives what cannot stand there.
pub fn rewrite(
    text: &str,
    change: &mut dyn FnMut(UriKind, &str) -> Option<String>,
) -> Result<String, PlaylistError> {
    let body = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let is_header = body.strip_prefix(HEADER).is_some_and(|rest| {
        // some authors put attributes behind it
        rest.is_empty() || rest.starts_with(is_space)
    });
    if !is_header {
        return Err(PlaylistError::NotAPlaylist);
    }
    let mut out = Output {
        text: String::with_capacity(text.len().min(MAX_TEXT_BYTES)),
    };
    out.push(text.get(..text.len() - body.len()).unwrap_or_default())?;
    let mut is_variant = false;
    for (index, line) in body.split_inclusive('\n').enumerate() {
        let number = index + 1;
        if number > MAX_LINES {
            return Err(PlaylistError::TooManyLines);
        }
        if line.len() > MAX_LINE_BYTES {
            return Err(PlaylistError::LineTooLong { line: number });
        }
        let mut cut = Cut { line, copied: 0 };
        match Line::parse(line) {
            Line::Tag { name, value } => {
                is_variant |= name == "#EXT-X-STREAM-INF";
                for (kind, uri) in uris_of_tag(name, value.unwrap_or_default()) {
                    if let Some(new) = change(kind, uri.text()) {
                        check_attribute(&new, uri, number)?;
                        cut.replace(uri.text(), &new, &mut out)?;
                    }
                }
            }
            // a carriage return that ends no line is in no URI; such a line is broken, and stays
            Line::Uri(uri) if !uri.contains('\r') => {
                let kind = match std::mem::take(&mut is_variant) {
                    true => UriKind::Variant,
                    false => UriKind::Segment,
                };
                if let Some(new) = change(kind, uri) {
                    if Line::parse(&new) != Line::Uri(&new) || new.contains(['\n', '\r']) {
                        return Err(PlaylistError::Uri { line: number });
                    }
                    cut.replace(uri, &new, &mut out)?;
                }
            }
            Line::Uri(_) | Line::Comment(_) | Line::Blank => {}
        }
        out.push(line.get(cut.copied..).unwrap_or_default())?;
    }
    Ok(out.text)
}

fn uris_of_tag<'a>(name: &str, value: &'a str) -> impl Iterator<Item = (UriKind, Value<'a>)> {
    // most lines are tags without a URI
    let has_uris = URI_ATTRIBUTES.iter().any(|(tag, _, _)| *tag == name);
    let value = if has_uris { value } else { "" };
    attributes(value).filter_map(move |(attribute, value)| {
        let mut known = URI_ATTRIBUTES.iter();
        let (_, _, kind) = known.find(|(tag, uri, _)| *tag == name && *uri == attribute)?;
        is_whole(value).then_some((*kind, value))
    })
}

/// Whether a value can be a URI. One without quotes, against the rule but seen, has neither spaces nor half a quote.
fn is_whole(value: Value<'_>) -> bool {
    match value {
        Value::Quoted(text) => !text.is_empty() && !text.contains('\r'),
        Value::Bare(text) => !text.is_empty() && !text.contains(|c| c == '"' || is_space(c)),
    }
}

/// Whether `new` stays one value in the place of `old`; one without quotes ends at a comma too.
fn check_attribute(new: &str, old: Value<'_>, line: usize) -> Result<(), PlaylistError> {
    let is_bare = matches!(old, Value::Bare(_));
    let breaks = |c: char| matches!(c, '"' | '\n' | '\r') || (is_bare && (c == ',' || is_space(c)));
    match new.is_empty() || new.contains(breaks) {
        true => Err(PlaylistError::Uri { line }),
        false => Ok(()),
    }
}

/// The result, within its bound.
struct Output {
    text: String,
}

impl Output {
    fn push(&mut self, text: &str) -> Result<(), PlaylistError> {
        if self.text.len() + text.len() > MAX_TEXT_BYTES {
            return Err(PlaylistError::TooLong);
        }
        self.text.push_str(text);
        Ok(())
    }
}

/// A line of which parts are replaced from left to right.
struct Cut<'a> {
    line: &'a str,
    /// How much of it is in the output, or replaced there.
    copied: usize,
}

impl Cut<'_> {
    /// Writes what stands before `old`, a part of the line behind what was copied, and `new` in its place.
    fn replace(&mut self, old: &str, new: &str, out: &mut Output) -> Result<(), PlaylistError> {
        let at = crate::offset_in(self.line, old);
        out.push(self.line.get(self.copied..at).unwrap_or_default())?;
        out.push(new)?;
        self.copied = at + old.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
