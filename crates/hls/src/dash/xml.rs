//! XML, written so that it is well-formed whatever its values hold.
//!
//! Owns: nesting, indentation, escapes (XML 1.0 §2.2, §2.4). Names of elements and attributes are literals of this crate.
//! Does not: know what a manifest is.

use std::fmt::Display;
use std::fmt::Write as _;

/// Elements, appended to a text.
pub(super) struct Xml<'a> {
    out: &'a mut String,
    depth: usize,
}

impl<'a> Xml<'a> {
    /// Begins a document.
    pub(super) fn new(out: &'a mut String) -> Self {
        out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        Self { out, depth: 0 }
    }

    /// An element with other elements in it.
    pub(super) fn element(
        &mut self,
        name: &'static str,
        attributes: impl FnOnce(&mut Tag<'_>),
        content: impl FnOnce(&mut Self),
    ) {
        self.open(name, attributes);
        self.out.push_str(">\n");
        self.depth += 1;
        content(self);
        self.depth -= 1;
        self.indent();
        let _ = writeln!(self.out, "</{name}>");
    }

    /// An element with nothing in it.
    pub(super) fn empty(&mut self, name: &'static str, attributes: impl FnOnce(&mut Tag<'_>)) {
        self.open(name, attributes);
        self.out.push_str("/>\n");
    }

    fn open(&mut self, name: &'static str, attributes: impl FnOnce(&mut Tag<'_>)) {
        self.indent();
        self.out.push('<');
        self.out.push_str(name);
        attributes(&mut Tag { out: self.out });
    }

    fn indent(&mut self) {
        for _ in 0..self.depth {
            self.out.push_str("  ");
        }
    }
}

/// The attributes of an element.
pub(super) struct Tag<'a> {
    out: &'a mut String,
}

impl Tag<'_> {
    /// An attribute of any text.
    pub(super) fn text(&mut self, name: &'static str, value: &str) -> &mut Self {
        self.with(name, |out| out.push_str(value))
    }

    /// An attribute that is a number.
    pub(super) fn number(&mut self, name: &'static str, value: impl Display) -> &mut Self {
        self.with(name, |out| {
            let _ = write!(out, "{value}");
        })
    }

    /// An attribute whose value `write` appends; it is escaped behind it.
    pub(super) fn with(
        &mut self,
        name: &'static str,
        write: impl FnOnce(&mut String),
    ) -> &mut Self {
        let _ = write!(self.out, " {name}=\"");
        let mut value = String::new();
        write(&mut value);
        push_escaped(self.out, &value);
        self.out.push('"');
        self
    }
}

/// Appends `text` as the value of an attribute. What no XML may hold, escaped or not, becomes U+FFFD.
fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // plain ones would be read as spaces
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
}
