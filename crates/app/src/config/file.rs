//! The TOML file as a list of keys with lines.
//!
//! Owns: the walk over the parsed file and the messages for sections and keys that do not exist. Does not: read
//! values, or the file itself.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{KEYS, Key};
use super::problem::{Origin, Problem};
use super::sample::SECTIONS;
use super::setting::Raw;
use super::suggest::nearest;

/// A key of the file with its value and line.
pub(super) struct Entry {
    pub(super) key: &'static Key,
    pub(super) raw: Raw,
    pub(super) origin: Origin,
}

/// Every known key of `text`; what is not known, and what is not TOML, is added to `problems`.
pub(super) fn entries(path: &Path, text: &str, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let mut walk = Walk {
        path,
        text,
        problems,
        entries: Vec::new(),
    };
    let (root, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        walk.root(root.get_ref());
    } else {
        // What a broken file means is a guess, and every wrong guess would be one more message.
        for error in errors {
            let offset = error.span().map_or(0, |span| span.start);
            let origin = walk.origin(offset);
            walk.problems.push(Problem::new(origin, error.message()));
        }
    }
    walk.entries
}

struct Walk<'a> {
    path: &'a Path,
    text: &'a str,
    problems: &'a mut Vec<Problem>,
    entries: Vec<Entry>,
}

impl Walk<'_> {
    fn root(&mut self, root: &DeTable<'_>) {
        for (name, value) in in_order(root) {
            let (name, offset) = (name.get_ref(), name.span().start);
            match value.get_ref() {
                DeValue::Table(table) if SECTIONS.iter().any(|(section, _)| section == name) => {
                    self.section(name, table);
                }
                DeValue::Table(_) => {
                    let sections = SECTIONS.iter().map(|(section, _)| *section);
                    let hint = nearest(name, sections).map(|section| format!("`{section}`"));
                    self.unknown("section", name, hint, offset);
                }
                _ if SECTIONS.iter().any(|(section, _)| section == name) => {
                    let message = format!("`{name}` is a section: write [{name}]");
                    let origin = self.origin(offset);
                    self.problems.push(Problem::new(origin, message));
                }
                _ => {
                    let hint = elsewhere(name);
                    self.unknown("key", name, hint, offset);
                }
            }
        }
    }

    fn section(&mut self, section: &str, table: &DeTable<'_>) {
        for (name, value) in in_order(table) {
            let (name, offset) = (name.get_ref(), name.span().start);
            let known = KEYS
                .iter()
                .find(|key| key.section == section && key.name == name);
            if let Some(key) = known {
                let origin = self.origin(offset);
                self.entries.push(Entry {
                    key,
                    raw: raw(value.get_ref()),
                    origin,
                });
                continue;
            }
            let names = KEYS
                .iter()
                .filter(|key| key.section == section)
                .map(|key| key.name);
            let hint = nearest(name, names)
                .map(|near| format!("`{near}`"))
                .or_else(|| elsewhere(name));
            self.unknown("key", &format!("{section}.{name}"), hint, offset);
        }
    }

    fn unknown(&mut self, what: &str, name: &str, hint: Option<String>, offset: usize) {
        let hint = hint.map_or_else(String::new, |hint| format!(": did you mean {hint}?"));
        let message = format!("unknown {what} `{}`{hint}", name.escape_debug());
        self.problems
            .push(Problem::new(self.origin(offset), message));
    }

    fn origin(&self, offset: usize) -> Origin {
        let before = self.text.get(..offset).unwrap_or(self.text);
        Origin::File {
            path: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
        }
    }
}

/// The keys of a table as they stand in the file, so that messages come in the order of lines.
fn in_order<'a, 'i>(
    table: &'a DeTable<'i>,
) -> Vec<(
    &'a Spanned<std::borrow::Cow<'i, str>>,
    &'a Spanned<DeValue<'i>>,
)> {
    let mut keys: Vec<_> = table.iter().collect();
    keys.sort_by_key(|(name, _)| name.span().start);
    keys
}

/// The full names of keys in any section that are called `name`, or nearly so.
fn elsewhere(name: &str) -> Option<String> {
    let near = nearest(name, KEYS.iter().map(|key| key.name))?;
    let full: Vec<_> = KEYS
        .iter()
        .filter(|key| key.name == near)
        .map(|key| format!("`{}` in [{}]", key.name, key.section))
        .collect();
    Some(full.join(" or "))
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.clone().into_owned()),
        DeValue::Boolean(value) => Raw::Bool(*value),
        DeValue::Integer(value) => i64::from_str_radix(value.as_str(), value.radix())
            .map_or(Raw::Other("number that is too large"), Raw::Integer),
        DeValue::Array(items) => {
            let texts: Option<Vec<String>> = items
                .iter()
                .map(|item| item.get_ref().as_str().map(str::to_owned))
                .collect();
            texts.map_or(Raw::Other("list of other things than strings"), Raw::List)
        }
        other => Raw::Other(other.type_str()),
    }
}
