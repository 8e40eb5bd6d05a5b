//! The file `.env` of the working directory, which the Go proxy reads.
//!
//! Owns: what its lines mean: `NAME=value`, `export`, quotes, comments. Does not: expand `$NAME`, know any name, or read
//! the file by itself ([`Sources`](super::Sources) does).

/// One variable that the file sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Its name.
    pub(super) name: String,
    /// Its value without quotes; never empty, because an empty value is one that is not set.
    pub(super) value: String,
    /// Where it stands, from 1.
    pub(super) number: usize,
}

/// What a file says: the variables, the first line of a name winning, and the numbers of lines that mean nothing.
pub(super) fn lines(text: &str) -> (Vec<Line>, Vec<usize>) {
    let mut lines: Vec<Line> = Vec::new();
    let mut odd = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.lines().enumerate() {
        let (line, number) = (line.trim(), index + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let pair = line.split_once('=').and_then(|(name, rest)| {
            let name = name.trim();
            let name = match name.strip_prefix("export") {
                Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start(),
                _ => name,
            };
            Some((name, value(rest.trim())?)).filter(|_| is_name(name))
        });
        let Some((name, value)) = pair else {
            odd.push(number);
            continue;
        };
        if !value.is_empty() && !lines.iter().any(|line| line.name == name) {
            let name = name.to_owned();
            lines.push(Line {
                name,
                value,
                number,
            });
        }
    }
    (lines, odd)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '#'))
}

/// The value of what stands behind the `=`; `None` where a quote is not closed, or is followed by more than a comment.
fn value(text: &str) -> Option<String> {
    let Some(quote @ ('"' | '\'')) = text.chars().next() else {
        return Some(uncommented(text).to_owned());
    };
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => {
                let rest = text.get(at + 1..).unwrap_or_default().trim_start();
                return (rest.is_empty() || rest.starts_with('#')).then_some(value);
            }
            // only what a quoted text cannot do without: paths and passwords have backslashes of their own
            '\\' if quote == '"' => match chars.clone().next() {
                Some((_, escaped @ ('"' | '\\'))) => {
                    value.push(escaped);
                    chars.next();
                }
                _ => value.push(c),
            },
            c => value.push(c),
        }
    }
    None
}

/// `text` without a comment. A `#` begins one only behind a blank, so that passwords may have it.
fn uncommented(text: &str) -> &str {
    let comment = text
        .char_indices()
        .zip(text.chars().skip(1))
        .find(|((_, before), c)| before.is_whitespace() && *c == '#');
    match comment {
        Some(((at, _), _)) => text.get(..at).unwrap_or(text).trim_end(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let (lines, _) = lines(text);
        lines
            .into_iter()
            .map(|line| (line.name, line.value))
            .collect()
    }

    /// C6, C77: comments, CRLF, `export`, quotes and comments behind values.
    #[test]
    fn each_form_of_a_line_gives_its_value() {
        for (line, value) in [
            ("A=b", "b"),
            (" A = b ", "b"),
            ("A=b\r", "b"),
            ("A=b=c", "b=c"),
            ("export A=\"b\" # c", "b"),
            ("export\tA='b'", "b"),
            ("A=b # c", "b"),
            ("A=b\t#c", "b"),
            ("A=b#c", "b#c"),
            ("A=#c", "#c"),
            ("A=\"b # c\"", "b # c"),
            ("A='b \\' # c", "b \\"),
            ("A=\"a\\\"b\\\\c\\d\"", "a\"b\\c\\d"),
            ("A=$HOME", "$HOME"),
            ("A=ä b", "ä b"),
        ] {
            let expected = vec![("A".to_owned(), value.to_owned())];
            assert_eq!(pairs(line), expected, "{line}");
        }
        for nothing in ["", "  ", "# A=b", "  # A=b", "A=", "A=\"\"", "A= "] {
            let (found, odd) = lines(nothing);
            assert!(found.is_empty() && odd.is_empty(), "{nothing}");
        }
    }

    #[test]
    fn lines_that_mean_nothing_are_told() {
        let text = "A\n=b\n\"A\"=b\nA=\"b\nA=\"b\" c\nx y=1\nB=2\r\n";
        let (found, odd) = lines(text);
        assert_eq!(odd, [1, 2, 3, 4, 5, 6]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].value.as_str(), found[0].number), ("2", 7));
    }

    #[test]
    fn the_first_line_that_says_something_wins() {
        assert_eq!(
            pairs("\u{feff}A=\nA=1\nA=2"),
            [("A".to_owned(), "1".to_owned())]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "[A=\"'#\\\\ \\n\\r\\tx]{0,60}|\\PC*") {
            let (found, _) = lines(&text);
            prop_assert!(found.iter().all(|line| !line.value.is_empty() && line.number >= 1));
        }

        #[test]
        fn a_value_in_quotes_comes_back(value in "[^\r\n\\\\\"]{1,30}") {
            let expected = vec![("A".to_owned(), value.clone())];
            prop_assert_eq!(pairs(&format!("A=\"{value}\"")), expected);
        }
    }
}
