//! Manifests of MPEG-DASH (ISO/IEC 23009-1).
//!
//! Owns: which elements and attributes of a manifest are URIs, and changing them ([`rewrite`]). Invariant: what is not a
//! changed URI comes out byte for byte: the declaration, name spaces, comments, spaces, unknown elements.
//! Does not: resolve URIs, fill templates (`$Number%05d$` is text), follow `xlink:href`, or touch `UTCTiming`, whose URL is
//! a clock's.
//!
//! A manifest comes from an origin, but who feeds the origin may have had a hand in it: there is no DOCTYPE, so no entity
//! expands and nothing is fetched, and depth and sizes are bounded.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::escape::{escape, unescape};
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::MAX_TEXT_BYTES;

/// Deepest nesting of elements; the schema has 8 levels, event streams may hold XML of their own.
pub const MAX_DEPTH: usize = 64;

/// Most attributes of an element that may have URIs; the schema allows some 20.
pub const MAX_ATTRIBUTES: usize = 64;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// What a URI leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UriKind {
    /// `BaseURL`: what other URIs beside and below it are relative to. Its query is lost when they are resolved (RFC 3986
    /// §5.2.2), unless it is itself the URL of a file.
    Base,
    /// `Location`: where the manifest is fetched again.
    Location,
    /// `PatchLocation`: where changes of the manifest are fetched.
    PatchLocation,
    /// `media` of `SegmentTemplate`, with `$Number$` and the like, or of `SegmentURL`.
    Media,
    /// `initialization` of `SegmentTemplate`, or `Initialization`.
    Initialization,
    /// `index` of `SegmentTemplate` or `SegmentURL`, or `RepresentationIndex`.
    Index,
    /// `bitstreamSwitching` of `SegmentTemplate`, or `BitstreamSwitching`.
    BitstreamSwitching,
}

/// Elements whose text is a URI.
const URI_ELEMENTS: &[(&str, UriKind)] = &[
    ("BaseURL", UriKind::Base),
    ("Location", UriKind::Location),
    ("PatchLocation", UriKind::PatchLocation),
];

/// Attributes that are URIs, by element.
const URI_ATTRIBUTES: &[(&str, &str, UriKind)] = &[
    ("SegmentTemplate", "media", UriKind::Media),
    ("SegmentTemplate", "initialization", UriKind::Initialization),
    ("SegmentTemplate", "index", UriKind::Index),
    (
        "SegmentTemplate",
        "bitstreamSwitching",
        UriKind::BitstreamSwitching,
    ),
    ("SegmentURL", "media", UriKind::Media),
    ("SegmentURL", "index", UriKind::Index),
    ("Initialization", "sourceURL", UriKind::Initialization),
    ("RepresentationIndex", "sourceURL", UriKind::Index),
    (
        "BitstreamSwitching",
        "sourceURL",
        UriKind::BitstreamSwitching,
    ),
];

/// Why a manifest cannot be changed. Offsets are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MpdError {
    /// The root element is not `MPD`, or there is none.
    #[error("origin's manifest has no MPD element at its root")]
    NotAManifest,
    /// It has a DOCTYPE.
    #[error("origin's manifest has a doctype")]
    Doctype,
    /// It is no well-formed XML.
    #[error("origin's manifest is no xml at byte {offset}")]
    Xml {
        /// Where the fault was seen.
        offset: usize,
    },
    /// A reference to an entity that XML does not define itself.
    #[error("origin's manifest refers to an unknown entity before byte {offset}")]
    Entity {
        /// Where what holds the reference ends.
        offset: usize,
    },
    /// Deeper than [`MAX_DEPTH`].
    #[error("origin's manifest is nested deeper than {MAX_DEPTH} elements")]
    TooDeep,
    /// More than [`MAX_ATTRIBUTES`] in one element.
    #[error("origin's manifest has an element with more than {MAX_ATTRIBUTES} attributes")]
    TooManyAttributes,
    /// It, or the result, is longer than [`MAX_TEXT_BYTES`].
    #[error("manifest is longer than {MAX_TEXT_BYTES} bytes")]
    TooLong,
}

/// Calls `change` for each URI of the manifest `text`, in order and unescaped, and gives the text with what it returned
/// in place of the URI, escaped; `None` keeps it. Empty URIs are not asked for.
///
/// Fails when `text` is no manifest or exceeds a bound.
pub fn rewrite(
    text: &str,
    change: &mut dyn FnMut(UriKind, &str) -> Option<String>,
) -> Result<String, MpdError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(MpdError::TooLong);
    }
    let body = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    // a second mark is text before the root; and the reader would skip it without counting its bytes
    if body.starts_with(BYTE_ORDER_MARK) {
        let offset = BYTE_ORDER_MARK.len_utf8();
        return Err(MpdError::Xml { offset });
    }
    let mut reader = Reader::from_str(body);
    let mut rewriter = Rewriter {
        text: body,
        out: String::with_capacity(text.len()),
        copied: 0,
        depth: 0,
        has_root: false,
        open: None,
        change,
    };
    if body.len() < text.len() {
        rewriter.out.push(BYTE_ORDER_MARK);
    }
    loop {
        let event = reader.read_event().map_err(|_| MpdError::Xml {
            offset: position(reader.error_position()),
        })?;
        let end = position(reader.buffer_position());
        if matches!(event, Event::Eof) {
            return rewriter.finish(end);
        }
        rewriter.event(&event, end)?;
    }
}

/// Where the reader stands; a text in memory has no more than `usize`.
fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// An element whose text is a URI, of which the end has not come.
struct Open {
    kind: UriKind,
    /// Where its text begins.
    start: usize,
    /// Unescaped text until now.
    uri: String,
    /// Nothing else was in it, such as a comment.
    is_plain: bool,
}

struct Rewriter<'a, 'c> {
    text: &'a str,
    out: String,
    /// How much of `text` is in `out`, or replaced there.
    copied: usize,
    /// Elements around what comes next.
    depth: usize,
    has_root: bool,
    open: Option<Open>,
    change: &'c mut dyn FnMut(UriKind, &str) -> Option<String>,
}

impl<'a> Rewriter<'a, '_> {
    /// Takes the event that ends before `end`.
    fn event(&mut self, event: &Event<'a>, end: usize) -> Result<(), MpdError> {
        match event {
            Event::Start(element) => {
                self.element(element, end)?;
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return Err(MpdError::TooDeep);
                }
                let name = element.local_name();
                let mut known = URI_ELEMENTS.iter();
                if let Some((_, kind)) = known.find(|(known, _)| *known == name.as_ref()) {
                    self.open = Some(Open {
                        kind: *kind,
                        start: end,
                        uri: String::new(),
                        is_plain: true,
                    });
                }
            }
            Event::Empty(element) => self.element(element, end)?,
            Event::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                self.close(end)?;
            }
            Event::Text(text) => self.append(text),
            Event::CData(text) => self.append(text),
            Event::GeneralRef(reference) => {
                let character = resolve(reference).ok_or(MpdError::Entity { offset: end })?;
                self.append(character.encode_utf8(&mut [0; 4]));
            }
            Event::DocType(_) => return Err(MpdError::Doctype),
            Event::Comment(_) | Event::PI(_) => self.spoil(),
            Event::Decl(_) | Event::Eof => {}
        }
        Ok(())
    }

    /// A start tag or an empty element.
    fn element(&mut self, element: &BytesStart<'a>, end: usize) -> Result<(), MpdError> {
        self.spoil();
        let name = element.local_name();
        if self.depth == 0 {
            if name.as_ref() != "MPD" || self.has_root {
                return Err(MpdError::NotAManifest);
            }
            self.has_root = true;
        }
        if !URI_ATTRIBUTES
            .iter()
            .any(|(known, _, _)| *known == name.as_ref())
        {
            return Ok(());
        }
        let mut attributes = element.attributes();
        // their number is bounded here, and telling doubles apart takes its square
        attributes.with_checks(false);
        for (count, attribute) in attributes.enumerate() {
            if count == MAX_ATTRIBUTES {
                return Err(MpdError::TooManyAttributes);
            }
            let attribute = attribute.map_err(|_| MpdError::Xml { offset: end })?;
            let mut known = URI_ATTRIBUTES.iter();
            let found = known.find(|(element, key, _)| {
                *element == name.as_ref() && *key == attribute.key.as_ref()
            });
            if let (Some((_, _, kind)), Cow::Borrowed(value)) = (found, attribute.value) {
                let start = crate::offset_in(self.text, value);
                let uri = unescape(value).map_err(|_| MpdError::Entity { offset: end })?;
                self.replace(*kind, start, value, &uri)?;
            }
        }
        Ok(())
    }

    /// Text within the open element, unescaped.
    fn append(&mut self, text: &str) {
        if let Some(open) = &mut self.open {
            open.uri.push_str(text);
        }
    }

    /// Something other than text: what is around it is no URI.
    fn spoil(&mut self) {
        if let Some(open) = &mut self.open {
            open.is_plain = false;
        }
    }

    /// The end tag, before `end`, of the open element or one within.
    fn close(&mut self, end: usize) -> Result<(), MpdError> {
        let Some(open) = self.open.take().filter(|open| open.is_plain) else {
            return Ok(());
        };
        let tagged = self.text.get(open.start..end).unwrap_or_default();
        let raw = tagged.rfind("</").and_then(|at| tagged.get(..at));
        self.replace(open.kind, open.start, raw.unwrap_or_default(), &open.uri)
    }

    /// Asks for `uri`, which is `raw` at `start` of the text, and writes what is new. Spaces around it stay.
    fn replace(
        &mut self,
        kind: UriKind,
        start: usize,
        raw: &str,
        uri: &str,
    ) -> Result<(), MpdError> {
        let uri = uri.trim();
        if uri.is_empty() {
            return Ok(());
        }
        let Some(new) = (self.change)(kind, uri) else {
            return Ok(());
        };
        let inner = raw.trim();
        let start = start + (raw.len() - raw.trim_start().len());
        self.push(self.text.get(self.copied..start).unwrap_or_default())?;
        self.push(&escape(new))?;
        self.copied = start + inner.len();
        Ok(())
    }

    fn push(&mut self, text: &str) -> Result<(), MpdError> {
        if self.out.len() + text.len() > MAX_TEXT_BYTES {
            return Err(MpdError::TooLong);
        }
        self.out.push_str(text);
        Ok(())
    }

    fn finish(mut self, end: usize) -> Result<String, MpdError> {
        if !self.has_root {
            return Err(MpdError::NotAManifest);
        }
        if self.depth > 0 {
            return Err(MpdError::Xml { offset: end });
        }
        self.push(self.text.get(self.copied..).unwrap_or_default())?;
        Ok(self.out)
    }
}

/// The character of `&#65;` or of one of the five names that XML defines.
fn resolve(reference: &BytesRef<'_>) -> Option<char> {
    if let Some(character) = reference.resolve_char_ref().ok()? {
        return Some(character);
    }
    Some(match reference.as_ref() {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
