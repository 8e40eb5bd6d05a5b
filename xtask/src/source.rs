//! Rust source with its parts told apart: code, comments, literals.
//!
//! Owns: just enough of the language's lexing to ask where a function ends or whether a word stands in a comment, without
//! being fooled by strings. Line numbers stay those of the file. Does not: parse, or follow macros.

/// One file, split.
pub(crate) struct Source {
    /// The file with comments blanked and the contents of literals replaced by `_`.
    code: String,
    /// The file with everything but comments blanked.
    comments: String,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// The line of its `fn`, from 1.
    pub(crate) line: usize,
    /// Lines from its `fn` to its closing brace, both counted.
    pub(crate) lines: usize,
}

impl Source {
    /// Splits a file.
    pub(crate) fn new(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let mut source = Self {
            code: String::new(),
            comments: String::new(),
        };
        let mut at = 0;
        while at < chars.len() {
            let (kind, end) = token(&chars, at);
            for &c in &chars[at..end] {
                source.put(c, kind);
            }
            at = end;
        }
        source
    }

    /// The whole file's code.
    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    /// The whole file's comments, markers included.
    pub(crate) fn comments(&self) -> &str {
        &self.comments
    }

    /// The code before the module of unit tests, which stands last in a file.
    pub(crate) fn production(&self) -> &str {
        let mut offset = 0;
        let mut tests_at = None;
        for line in self.code.split_inclusive('\n') {
            let trimmed = line.trim();
            match tests_at {
                None if is_test_gate(trimmed) => tests_at = Some(offset),
                Some(at) if trimmed.contains("mod ") && trimmed.contains('{') => {
                    return &self.code[..at];
                }
                Some(_) if trimmed.starts_with("#[") || trimmed.is_empty() => {}
                _ => tests_at = None,
            }
            offset += line.len();
        }
        &self.code
    }

    fn put(&mut self, c: char, kind: Kind) {
        let (code, comment) = match kind {
            _ if c == '\n' => (c, c),
            Kind::Code => (c, ' '),
            Kind::Comment => (' ', c),
            Kind::Literal => (if c == '"' { c } else { '_' }, ' '),
        };
        self.code.push(code);
        self.comments.push(comment);
    }
}

/// The functions with bodies in `code`, in order; one inside another is listed as well.
pub(crate) fn functions(code: &str) -> Vec<Function<'_>> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let before = code[..at].chars().next_back();
        let name = code[at + 3..]
            .split(|c| !is_word(c))
            .next()
            .unwrap_or_default();
        if before.is_some_and(is_word) || name.is_empty() {
            continue;
        }
        if let Some(length) = body_end(&code[at..]) {
            let line = code[..at].matches('\n').count() + 1;
            let lines = code[at..at + length].matches('\n').count() + 1;
            found.push(Function { name, line, lines });
        }
    }
    found
}

/// Lines that hold code, comments not counted.
pub(crate) fn code_lines(code: &str) -> usize {
    code.lines().filter(|line| !line.trim().is_empty()).count()
}

#[derive(Clone, Copy)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// The kind of what begins at `at`, and where it ends.
fn token(chars: &[char], at: usize) -> (Kind, usize) {
    let next = |offset: usize| chars.get(at + offset).copied().unwrap_or('\0');
    let after_word = at > 0 && is_word(chars[at - 1]);
    match (next(0), next(1)) {
        ('/', '/') => (Kind::Comment, find(chars, at, |rest| rest[0] == '\n')),
        ('/', '*') => (Kind::Comment, block_comment_end(chars, at)),
        ('"', _) => (Kind::Literal, quoted_end(chars, at + 1, '"')),
        ('\'', '\\') => (Kind::Literal, quoted_end(chars, at + 1, '\'')),
        ('\'', _) if next(2) == '\'' => (Kind::Literal, at + 3),
        ('r', '"' | '#') if !after_word => raw_string(chars, at),
        ('b' | 'c', 'r') if !after_word && matches!(next(2), '"' | '#') => {
            raw_string(chars, at + 1)
        }
        _ => (Kind::Code, at + 1),
    }
}

/// The first index from `at` whose rest satisfies `test`, or the end.
fn find(chars: &[char], at: usize, test: impl Fn(&[char]) -> bool) -> usize {
    (at..chars.len())
        .find(|&index| test(&chars[index..]))
        .unwrap_or(chars.len())
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut index = at;
    while index < chars.len() {
        let pair = (chars[index], chars.get(index + 1).copied().unwrap_or('\0'));
        match pair {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                index += 1;
                continue;
            }
        }
        index += 2;
        if depth == 0 {
            return index;
        }
    }
    chars.len()
}

/// The index behind the closing `quote`, for a literal whose content begins at `at`.
fn quoted_end(chars: &[char], at: usize, quote: char) -> usize {
    let mut index = at;
    while let Some(&c) = chars.get(index) {
        match c {
            '\\' => index += 2,
            c if c == quote => return index + 1,
            _ => index += 1,
        }
    }
    chars.len()
}

/// `r"…"`, `r#"…"#` and so on, `at` being the `r`; a raw identifier such as `r#fn` is code.
fn raw_string(chars: &[char], at: usize) -> (Kind, usize) {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    let content = at + 1 + hashes + 1;
    if chars.get(content - 1) != Some(&'"') {
        return (Kind::Code, at + 1);
    }
    let closes = |rest: &[char]| {
        rest[0] == '"' && rest.len() > hashes && rest[1..=hashes].iter().all(|c| *c == '#')
    };
    let end = find(chars, content, closes) + 1 + hashes;
    (Kind::Literal, end.min(chars.len()))
}

/// How long the function is that `code` begins with; `None` when it has no body.
fn body_end(code: &str) -> Option<usize> {
    let mut braces = 0_usize;
    let mut groups = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' => groups += 1,
            ')' | ']' => groups = groups.saturating_sub(1),
            ';' if braces == 0 && groups == 0 => return None,
            '{' => braces += 1,
            '}' if braces <= 1 => return (braces == 1).then_some(at + 1),
            '}' => braces -= 1,
            _ => {}
        }
    }
    None
}

/// Whether a line is an attribute that keeps an item for tests, perhaps on some systems only.
fn is_test_gate(line: &str) -> bool {
    line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test,")
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_told_from_code() {
        let source =
            Source::new("let a = \"x // y\"; // why { \"\nlet b = '\"'; /* a /* b */ c */ d();");
        assert_eq!(
            source.code().lines().next().unwrap().trim_end(),
            "let a = \"______\";"
        );
        assert!(source.code().ends_with(" d();") && !source.code().contains("b */"));
        assert_eq!(
            source.comments().lines().next().unwrap().trim(),
            "// why { \""
        );
        assert_eq!(
            source.comments().lines().nth(1).unwrap().trim(),
            "/* a /* b */ c */"
        );
    }

    #[test]
    fn raw_strings_bytes_lifetimes_and_escapes_do_not_confuse() {
        for literal in [
            r###"r#"a " { b"#"###,
            r#"br"{\""#,
            r#""\"{""#,
            r"'\''",
            "'{'",
            "b'{'",
            r#"c"{""#,
            r"'\u{7b}'",
        ] {
            let text = format!("let x = {literal}; let y: &'static str;");
            let source = Source::new(&text);
            let code = source.code();
            assert!(!code.contains('{'), "{text} -> {code}");
            assert!(code.ends_with("; let y: &'static str;"), "{text} -> {code}");
        }
        assert_eq!(Source::new("let r#fn = for_r;").code(), "let r#fn = for_r;");
    }

    #[test]
    fn unfinished_input_ends_without_a_panic() {
        for text in [
            "\"abc\\",
            "r#\"abc",
            "r#",
            "r",
            "'",
            "'\\",
            "/* a /* b */",
            "/*",
            "b",
            "br",
        ] {
            let source = Source::new(text);
            assert_eq!(
                source.code().chars().count(),
                text.chars().count(),
                "{text}"
            );
        }
    }

    #[test]
    fn functions_have_names_lines_and_lengths() {
        let text = "trait T { fn none(a: [u8; 2]); }\n\
            fn one() {}\n\
            pub(crate) async fn two<'a>(f: fn() -> u8)\n{\n    if \"}\" == x { y }\n    // }\n}\n\
            type F = fn (u8);\n";
        let source = Source::new(text);
        assert_eq!(
            functions(source.code()),
            [
                Function {
                    name: "one",
                    line: 2,
                    lines: 1
                },
                Function {
                    name: "two",
                    line: 3,
                    lines: 5
                },
            ]
        );
    }

    #[test]
    fn the_test_module_is_cut_and_other_test_items_are_not() {
        let unit =
            Source::new("fn a() {}\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n fn b() {}\n}\n");
        assert_eq!(unit.production(), "fn a() {}\n");
        let unix = Source::new("fn a() {}\n#[cfg(all(test, unix))]\nmod tests {\n}\n");
        assert_eq!(unix.production(), "fn a() {}\n");
        let other = "#[cfg(test)]\nuse x;\nfn a() {}\n#[cfg(test)]\nmod tests;\nmod m {\n}\n";
        assert_eq!(Source::new(other).production(), other);
    }

    #[test]
    fn blank_and_comment_lines_are_not_code() {
        let source = Source::new("//! x\n\nfn a() {\n    // why\n    b(\"\n\n\");\n}\n");
        assert_eq!(code_lines(source.code()), 4);
    }
}
