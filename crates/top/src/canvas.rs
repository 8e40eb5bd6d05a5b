//! A grid of characters, which the view draws on.
//!
//! Owns: cells with their styles, how wide characters are, and what has to be written for a terminal to show a grid.
//! Invariants: what would stand outside is not drawn; half of a wide character never stays; control characters never get
//! in. Marks of no width do not either: they combine differently in each terminal, and some turn text round.
//! Does not: know what is drawn, or touch the terminal's modes.

use std::io::{self, Write};

use crossterm::cursor::MoveTo;
use crossterm::queue;
use crossterm::style::{ContentStyle, PrintStyledContent};
use unicode_width::UnicodeWidthChar;

/// What stands in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cell {
    shown: char,
    /// Columns: 2 for a wide character, and 0 for the place to its right.
    columns: u16,
    style: ContentStyle,
}

/// Nothing.
fn blank(style: ContentStyle) -> Cell {
    Cell {
        shown: ' ',
        columns: 1,
        style,
    }
}

/// Part of a grid, in columns and lines from its upper left corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Area {
    /// Its first column.
    pub(crate) x: u16,
    /// Its first line.
    pub(crate) y: u16,
    /// Its columns.
    pub(crate) width: u16,
    /// Its lines.
    pub(crate) height: u16,
}

impl Area {
    /// Its line `index`, counted from 0; one without lines when there is none.
    pub(crate) fn line(self, index: u16) -> Self {
        Self {
            y: self.y.saturating_add(index),
            height: u16::from(index < self.height),
            ..self
        }
    }

    /// What lies to the right of its first `columns`.
    pub(crate) fn from(self, columns: u16) -> Self {
        let columns = columns.min(self.width);
        Self {
            x: self.x.saturating_add(columns),
            width: self.width - columns,
            ..self
        }
    }

    /// A part in the middle, no greater than this.
    pub(crate) fn middle(self, width: u16, height: u16) -> Self {
        let (width, height) = (width.min(self.width), height.min(self.height));
        Self {
            x: self.x.saturating_add((self.width - width) / 2),
            y: self.y.saturating_add((self.height - height) / 2),
            width,
            height,
        }
    }

    /// Without a margin of one on each side.
    pub(crate) fn inner(self) -> Self {
        self.middle(self.width.saturating_sub(2), self.height.saturating_sub(2))
    }
}

/// The grid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Canvas {
    width: u16,
    cells: Vec<Cell>,
}

impl Canvas {
    /// An empty one.
    pub(crate) fn new(width: u16, height: u16) -> Self {
        let count = usize::from(width) * usize::from(height);
        Self {
            width,
            cells: vec![blank(ContentStyle::new()); count],
        }
    }

    /// All of it.
    pub(crate) fn area(&self) -> Area {
        let height = self.cells.len().checked_div(usize::from(self.width));
        Area {
            x: 0,
            y: 0,
            width: self.width,
            height: height.map_or(0, |height| u16::try_from(height).unwrap_or(u16::MAX)),
        }
    }

    /// Fills `area` with a character of one column.
    pub(crate) fn fill(&mut self, area: Area, shown: char, style: ContentStyle) {
        for y in area.y..area.y.saturating_add(area.height) {
            for x in area.x..area.x.saturating_add(area.width) {
                let cell = blank(style);
                self.set(x, y, Cell { shown, ..cell });
            }
        }
    }

    /// Writes `text` into the first line of `area`, as far as it goes; says how many columns it took.
    pub(crate) fn put(&mut self, area: Area, text: &str, style: ContentStyle) -> u16 {
        let mut taken: u16 = 0;
        if area.height == 0 {
            return taken;
        }
        for shown in text.chars() {
            let columns = columns(shown);
            if columns == 0 {
                continue;
            }
            if taken.saturating_add(columns) > area.width {
                break;
            }
            let x = area.x.saturating_add(taken);
            let cell = Cell {
                shown,
                columns,
                style,
            };
            if self.set(x, area.y, cell) && columns == 2 {
                let tail = Cell { columns: 0, ..cell };
                if !self.cover(x.saturating_add(1), area.y, tail) {
                    self.set_raw(x, area.y, blank(style));
                }
            }
            taken += columns;
        }
        taken
    }

    /// Sets a cell, and blanks the other half of a wide character that it breaks; false outside.
    fn set(&mut self, x: u16, y: u16, cell: Cell) -> bool {
        // a tail here belongs to what stands left of it, and one on the right to what stands here
        for at in [x, x.saturating_add(1)] {
            let Some(tail) = self.get(at, y).filter(|old| old.columns == 0) else {
                continue;
            };
            self.set_raw(at, y, blank(tail.style));
            if let Some(head) = at.checked_sub(1) {
                self.set_raw(head, y, blank(tail.style));
            }
        }
        self.set_raw(x, y, cell)
    }

    /// Sets the tail of the wide character on its left, and blanks the tail of one that stood here.
    fn cover(&mut self, x: u16, y: u16, tail: Cell) -> bool {
        if self.get(x, y).is_some_and(|old| old.columns == 2) {
            self.set_raw(x.saturating_add(1), y, blank(tail.style));
        }
        self.set_raw(x, y, tail)
    }

    fn set_raw(&mut self, x: u16, y: u16, cell: Cell) -> bool {
        let index = self.index(x, y);
        let place = index.and_then(|index| self.cells.get_mut(index));
        place.map(|place| *place = cell).is_some()
    }

    fn get(&self, x: u16, y: u16) -> Option<Cell> {
        self.cells.get(self.index(x, y)?).copied()
    }

    fn index(&self, x: u16, y: u16) -> Option<usize> {
        (x < self.width).then(|| usize::from(y) * usize::from(self.width) + usize::from(x))
    }

    /// Writes the lines that differ from those of `before`, which the terminal shows; all of them if it has another size.
    pub(crate) fn write(&self, before: Option<&Self>, out: &mut impl Write) -> io::Result<()> {
        let width = usize::from(self.width).max(1);
        let before = before.filter(|before| before.area() == self.area());
        for (line, y) in self.cells.chunks(width).zip(0_u16..) {
            let start = usize::from(y) * width;
            let shown = before.and_then(|before| before.cells.get(start..start + line.len()));
            if shown == Some(line) {
                continue;
            }
            queue!(out, MoveTo(0, y))?;
            for run in line.chunk_by(|a, b| a.style == b.style) {
                let Some(first) = run.first() else { continue };
                let heads = run.iter().filter(|cell| cell.columns > 0);
                let text: String = heads.map(|cell| cell.shown).collect();
                queue!(out, PrintStyledContent(first.style.apply(text)))?;
            }
        }
        out.flush()
    }

    /// The lines as text, without what is empty at their ends.
    #[cfg(test)]
    pub(crate) fn lines(&self) -> Vec<String> {
        let lines = self.cells.chunks(usize::from(self.width).max(1));
        let text = lines.map(|line| {
            let heads = line.iter().filter(|cell| cell.columns > 0);
            let text: String = heads.map(|cell| cell.shown).collect();
            text.trim_end().to_owned()
        });
        text.collect()
    }
}

/// Columns of a character: 0 for those that are not drawn.
fn columns(shown: char) -> u16 {
    match shown.width() {
        Some(0) | None => 0,
        Some(1) => 1,
        Some(_) => 2,
    }
}

/// `text` in lines of at most `width` columns, broken between words where they are short enough.
pub(crate) fn wrapped(text: &str, width: u16) -> Vec<String> {
    let measure = |word: &str| word.chars().map(columns).fold(0, u16::saturating_add);
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let (mut line, mut taken) = (String::new(), 0_u16);
        for word in paragraph.split_whitespace() {
            let columns_of_word = measure(word);
            if taken > 0 && taken.saturating_add(1).saturating_add(columns_of_word) > width {
                lines.push(std::mem::take(&mut line));
                taken = 0;
            }
            if taken > 0 {
                line.push(' ');
                taken += 1;
            }
            for shown in word.chars() {
                let columns = columns(shown);
                if taken > 0 && taken.saturating_add(columns) > width {
                    lines.push(std::mem::take(&mut line));
                    taken = 0;
                }
                line.push(shown);
                taken = taken.saturating_add(columns);
            }
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use crossterm::style::Stylize;
    use proptest::prelude::*;

    use super::*;

    const PLAIN: fn() -> ContentStyle = ContentStyle::new;

    fn area(x: u16, y: u16, width: u16, height: u16) -> Area {
        Area {
            x,
            y,
            width,
            height,
        }
    }

    #[test]
    fn text_ends_where_its_room_does() {
        let mut canvas = Canvas::new(8, 3);
        assert_eq!(canvas.put(area(1, 1, 4, 1), "stream", PLAIN()), 4);
        assert_eq!(canvas.put(area(6, 2, 90, 1), "edge", PLAIN()), 4);
        canvas.put(area(0, 3, 8, 1), "below", PLAIN());
        canvas.put(area(0, 0, 8, 0), "no line", PLAIN());
        assert_eq!(canvas.lines(), ["", " stre", "      ed"]);
    }

    #[test]
    fn wide_characters_are_whole_or_not_there() {
        let mut canvas = Canvas::new(5, 1);
        // the third does not fit
        assert_eq!(canvas.put(canvas.area(), "直播流", PLAIN()), 4);
        assert_eq!(canvas.lines(), ["直播"]);
        // over the right half of the first, and the left of the second
        canvas.put(area(1, 0, 2, 1), "ab", PLAIN());
        assert_eq!(canvas.lines(), [" ab"]);
        let mut narrow = Canvas::new(1, 1);
        narrow.put(area(0, 0, 9, 1), "直", PLAIN());
        assert_eq!(narrow.lines(), [""]);
    }

    #[test]
    fn what_is_not_drawn_takes_no_room() {
        let mut canvas = Canvas::new(5, 1);
        canvas.put(canvas.area(), "a\u{1b}\u{202e}b\u{301}\u{7f}c", PLAIN());
        assert_eq!(canvas.lines(), ["abc"]);
    }

    #[test]
    fn only_lines_that_changed_are_written() {
        let written = |canvas: &Canvas, before: Option<&Canvas>| {
            let mut out = Vec::new();
            canvas.write(before, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let mut first = Canvas::new(4, 2);
        first.put(first.area(), "one", PLAIN());
        let mut second = first.clone();
        second.put(area(0, 1, 4, 1), "two", PLAIN().bold());
        let all = written(&second, None);
        assert!(all.contains("one ") && all.contains("two"), "{all:?}");
        assert_eq!(written(&second, Some(&Canvas::new(4, 3))), all);
        let changed = written(&second, Some(&first));
        assert!(changed.starts_with("\u{1b}[2;1H"), "{changed:?}");
        assert!(
            changed.contains("\u{1b}[1mtwo") && !changed.contains("one"),
            "{changed:?}"
        );
        assert_eq!(written(&second, Some(&second)), "");
    }

    #[test]
    fn lines_break_between_words_and_long_words_where_they_must() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("a\n\nlongest b", 4), ["a", "", "long", "est", "b"]);
        assert_eq!(wrapped("直播流", 4), ["直播", "流"]);
        assert_eq!(wrapped("", 4), [""]);
    }

    proptest! {
        #[test]
        fn no_order_of_drawings_breaks_a_line(
            puts in proptest::collection::vec((0..12_u16, 0..4_u16, 0..14_u16, "[ab直播\u{301}]{0,8}"), 0..20),
        ) {
            let mut canvas = Canvas::new(10, 3);
            for (x, y, width, text) in puts {
                canvas.put(area(x, y, width, 1), &text, PLAIN());
                for line in canvas.cells.chunks(10) {
                    let mut left = 0;
                    for cell in line {
                        prop_assert_eq!(cell.columns == 0, left > 0);
                        left = if left > 0 { left - 1 } else { cell.columns - 1 };
                    }
                    prop_assert_eq!(left, 0);
                }
            }
        }

        #[test]
        fn wrapped_lines_fit_and_lose_no_word(text in "[a-z直 \n]{0,60}", width in 2..20_u16) {
            let lines = wrapped(&text, width);
            for line in &lines {
                prop_assert!(line.chars().map(columns).sum::<u16>() <= width, "{line}");
            }
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
