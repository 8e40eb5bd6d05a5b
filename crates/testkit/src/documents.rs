//! Commands in documents.
//!
//! Owns: finding the `sh` blocks of Markdown files, and the commands of `weir` in them. Does not: run them.

use std::fs;
use std::path::{Path, PathBuf};

/// A command of `weir` in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The document.
    pub file: PathBuf,
    /// The arguments behind the program's name.
    pub args: Vec<String>,
}

/// The commands of `weir` in README.md and docs/*.md.
pub fn examples() -> Vec<Example> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let docs = fs::read_dir(root.join("docs"))
        .into_iter()
        .flatten()
        .flatten();
    let mut files: Vec<PathBuf> = docs.map(|entry| entry.path()).collect();
    files.push(root.join("README.md"));
    files.retain(|file| file.extension().is_some_and(|end| end == "md"));
    let read = |file: PathBuf| {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let commands = commands(&text).into_iter();
        commands.map(move |args| Example {
            file: file.clone(),
            args,
        })
    };
    files.into_iter().flat_map(read).collect()
}

/// The arguments of each command of `weir` in the `sh` blocks of `text`.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut inside = false;
    let mut command = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(language) = line.strip_prefix("```") {
            inside = !inside && language == "sh";
            continue;
        }
        if !inside {
            continue;
        }
        if let Some(first) = line.strip_suffix('\\') {
            command.push_str(first);
            continue;
        }
        command.push_str(line);
        found.extend(arguments(&std::mem::take(&mut command)));
    }
    found
}

/// The arguments of a command line if it runs `weir`; an argument with spaces stands in quotation marks.
fn arguments(line: &str) -> Option<Vec<String>> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (None, '#') if words.last().is_some_and(String::is_empty) => break,
            (None, '\'' | '"') => quote = Some(c),
            (Some(mark), c) if mark == c => quote = None,
            (None, c) if c.is_whitespace() => words.push(String::new()),
            (_, c) => words.last_mut()?.push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    let is_setting = |word: &String| {
        let ours = ["WEIR_", "PROXY_"]
            .iter()
            .any(|start| word.starts_with(start));
        ours && word.contains('=')
    };
    let first = words.iter().position(|word| !is_setting(word))?;
    let words = words.split_off(first);
    let end = words
        .iter()
        .position(|word| matches!(word.as_str(), "&" | "|" | ">" | "2>" | "&&"));
    let words = words.get(..end.unwrap_or(words.len()))?;
    match words.first()?.as_str() {
        "weir" | "./weir" | "target/release/weir" => Some(words.get(1..)?.to_vec()),
        "cargo" if words.get(1)? == "run" => {
            let mark = words.iter().position(|word| word == "--");
            Some(
                mark.and_then(|at| words.get(at + 1..))
                    .unwrap_or_default()
                    .to_vec(),
            )
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_weir_are_found_and_no_others() {
        let text = "```sh\nweir check weir.toml # good\nffmpeg -i a b\nWEIR_LOG_LEVEL=debug weir origin \\\n  \
            --api-token 'a b' &\ncargo run --release\ncargo run --release -- relay x y\n\
            PROXY_RTMP_SERVER=1935 weir proxy\n```\n\
            weir outside\n```toml\nweir = 1\n```\n";
        let wanted: [&[&str]; 5] = [
            &["check", "weir.toml"],
            &["origin", "--api-token", "a b"],
            &[],
            &["relay", "x", "y"],
            &["proxy"],
        ];
        assert_eq!(commands(text), wanted);
    }
}
