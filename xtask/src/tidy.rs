//! Rules about files that no compiler checks.
//!
//! Owns: headers, sizes, names, leftovers, inherited lints, and paths and tests that documents name. Each rule is a
//! function from a file to faults. Does not: judge style that rustfmt or clippy know about.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::project::Project;
use crate::say;
use crate::source::{self, Source};

/// Most lines of code in a file, blanks, comments and unit tests not counted: what one can hold in mind.
const MAX_FILE_LINES: usize = 600;

/// Most lines of a function from `fn` to its closing brace: one screen and a half.
const MAX_FUNCTION_LINES: usize = 80;

/// Functions that may be longer: file, name, and why cutting would make them worse.
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[];

/// Files that may be longer, with the reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Names that say nothing about what is inside, for files and folders of Rust.
const EMPTY_NAMES: &[&str] = &["utils", "common", "helpers", "define", "types", "mod"];

/// Folders of what was built or fetched.
const NOT_OURS: &[&str] = &["target", "node_modules"];

/// Code that must not be committed.
const LEFTOVERS: &[&str] = &["todo!(", "unimplemented!(", "dbg!(", "#[ignore"];

/// Checks every file of the repository that is not built or hidden.
pub(crate) fn run(project: &Project) -> Result<()> {
    let mut files = Vec::new();
    collect(project.root(), "", &mut files)?;
    let root: toml::Table = project
        .read("Cargo.toml")?
        .parse()
        .context("root manifest")?;
    let apart = excluded(&root);
    let mut faults = Vec::new();
    for path in &files {
        let text = project.read(path)?;
        faults.extend(match path.rsplit('.').next() {
            Some("rs") => rust_faults(path, &text),
            Some("md") => stale_paths(path, &text, |named| is_there(project, named)),
            _ if path == "Cargo.toml" || apart.iter().any(|out| path.starts_with(out)) => vec![],
            _ => manifest_faults(path, &text),
        });
    }
    faults.extend(stale_excuses(project));
    say::verdict(&faults, &format!("{} files are tidy", files.len()))
}

/// All `.rs`, `.md` and `Cargo.toml` below `folder`, as paths from the root, sorted.
fn collect(root: &Path, folder: &str, files: &mut Vec<String>) -> Result<()> {
    let entries = fs::read_dir(root.join(folder)).with_context(|| format!("no folder {folder}"))?;
    let mut entries = entries.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() {
            name.clone()
        } else {
            format!("{folder}/{name}")
        };
        if entry.file_type()?.is_dir() {
            if !NOT_OURS.contains(&name.as_str()) && !name.starts_with('.') {
                collect(root, &path, files)?;
            }
        } else if name.ends_with(".rs") || name.ends_with(".md") || name == "Cargo.toml" {
            files.push(path);
        }
    }
    Ok(())
}

/// Folders that the root manifest keeps out of the workspace.
fn excluded(root: &toml::Table) -> Vec<String> {
    let exclude = root
        .get("workspace")
        .and_then(|w| w.get("exclude")?.as_array());
    let folders = exclude
        .into_iter()
        .flatten()
        .filter_map(toml::Value::as_str);
    folders.map(|folder| format!("{folder}/")).collect()
}

fn rust_faults(path: &str, text: &str) -> Vec<String> {
    let source = Source::new(text);
    let mut faults = Vec::new();
    if !text.starts_with("//!") {
        faults.push(format!(
            "{path}:1: open the file with `//!`: what it owns, what it does not"
        ));
    }
    faults.extend(empty_name(path));
    faults.extend(leftovers(path, &source));
    faults.extend(open_ends(path, &source));
    if !is_test(path) {
        faults.extend(sizes(path, &source));
    }
    faults
}

fn empty_name(path: &str) -> Option<String> {
    let bad = path
        .split('/')
        .find(|part| EMPTY_NAMES.contains(&part.strip_suffix(".rs").unwrap_or(part)))?;
    Some(format!(
        "{path}: `{bad}` says nothing; name it for what is inside, or put `foo.rs` beside `foo/`"
    ))
}

fn leftovers(path: &str, source: &Source) -> Vec<String> {
    let lines = source.code().lines().enumerate();
    let found = lines.filter_map(|(index, line)| {
        let bad = LEFTOVERS.iter().find(|bad| line.contains(**bad))?;
        Some(format!("{path}:{}: `{bad}` must not stay", index + 1))
    });
    found.collect()
}

/// Notes of work left to do must say under which condition they are done: `TODO(until …)`.
fn open_ends(path: &str, source: &Source) -> Vec<String> {
    let lines = source.comments().lines().enumerate();
    let open = |line: &str| {
        ["TODO", "FIXME", "XXX"].iter().any(|mark| {
            let rests = line
                .match_indices(mark)
                .map(|(at, _)| &line[at + mark.len()..]);
            rests
                .into_iter()
                .any(|rest| *mark != "TODO" || !rest.starts_with("(until "))
        })
    };
    let found = lines
        .filter(|(_, line)| open(line))
        .map(|(index, _)| format!("{path}:{}: say when it is done: `TODO(until …)`", index + 1));
    found.collect()
}

fn sizes(path: &str, source: &Source) -> Vec<String> {
    let code = source.production();
    let mut faults = Vec::new();
    let lines = source::code_lines(code);
    if lines > MAX_FILE_LINES && LONG_FILES.iter().all(|(file, _)| *file != path) {
        faults.push(format!(
            "{path}: {lines} lines of code, at most {MAX_FILE_LINES}"
        ));
    }
    let long = source::functions(code).into_iter().filter(|function| {
        let excused = LONG_FUNCTIONS
            .iter()
            .any(|(file, name, _)| (*file, *name) == (path, function.name));
        function.lines > MAX_FUNCTION_LINES && !excused
    });
    faults.extend(long.map(|function| {
        let source::Function { name, line, lines } = function;
        format!("{path}:{line}: `{name}` has {lines} lines, at most {MAX_FUNCTION_LINES}")
    }));
    faults
}

/// Excuses for what is no longer there or no longer long.
fn stale_excuses(project: &Project) -> Vec<String> {
    let functions = LONG_FUNCTIONS.iter().filter(|(file, name, _)| {
        let text = project.read(file).unwrap_or_default();
        let source = Source::new(&text);
        !source::functions(source.production())
            .iter()
            .any(|function| function.name == *name && function.lines > MAX_FUNCTION_LINES)
    });
    let files = LONG_FILES.iter().filter(|(file, _)| {
        let text = project.read(file).unwrap_or_default();
        source::code_lines(Source::new(&text).production()) <= MAX_FILE_LINES
    });
    let names = functions.map(|(file, name, _)| format!("{file}: {name}"));
    let names = names.chain(files.map(|(file, _)| (*file).to_owned()));
    names
        .map(|name| format!("xtask/src/tidy.rs: {name} needs no excuse any more"))
        .collect()
}

/// Tests may be as long as their tables; a `tests.rs` is a module of unit tests too long for the foot of its file.
fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.split('/').any(|part| part == "tests")
}

fn manifest_faults(path: &str, text: &str) -> Vec<String> {
    let manifest: toml::Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![format!("{path}: {error}")],
    };
    let inherits = manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace")?.as_bool());
    if inherits == Some(true) {
        return vec![];
    }
    vec![format!(
        "{path}: inherit the lints: `[lints]` with `workspace = true`"
    )]
}

/// Whether there is such a file or folder, or, as `crates/a/tests/b.rs::name`, such a function in a file.
fn is_there(project: &Project, named: &str) -> bool {
    match named.split_once("::") {
        None => project.root().join(named).exists(),
        Some((file, function)) => project
            .read(file)
            .is_ok_and(|text| has_function(&text, function)),
    }
}

/// Whether a file has a function of this name, tests inside macros included.
fn has_function(text: &str, name: &str) -> bool {
    let source = Source::new(text);
    let mut found = source.code().match_indices("fn ");
    found.any(|(at, begin)| {
        let rest = source.code().get(at + begin.len()..).unwrap_or_default();
        let after = rest.strip_prefix(name);
        after.is_some_and(|after| after.starts_with(['(', '<']))
    })
}

/// Paths of ours in backticks must exist, and functions behind a file's path and `::` must be in it. Those with
/// placeholders and those in fenced blocks are not looked at.
fn stale_paths(path: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut fenced = false;
    let mut faults = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        let quoted = line.split('`').skip(1).step_by(2);
        let ours = quoted.filter(|quote| {
            ["crates/", "xtask/", "fuzz/", "docs/"]
                .iter()
                .any(|start| quote.starts_with(start))
                && !quote.contains(['*', '<', '{', '…', ' '])
        });
        let stale = ours.filter(|named| !exists(named));
        faults.extend(stale.map(|named| format!("{path}:{}: no such path: {named}", index + 1)));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "//! Owns x.\n";

    /// The one fault of a file that has one.
    fn fault(path: &str, body: &str) -> String {
        let mut faults = rust_faults(path, &format!("{HEADER}{body}"));
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults.remove(0)
    }

    fn clean(path: &str, body: &str) {
        assert_eq!(
            rust_faults(path, &format!("{HEADER}{body}")),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_file_without_a_header_is_found() {
        assert!(rust_faults("a.rs", "// no\n")[0].starts_with("a.rs:1: open the file"));
        assert!(rust_faults("a.rs", "\n//! late\n")[0].contains("open the file"));
        clean("a.rs", "fn a() {}\n");
    }

    #[test]
    fn empty_names_are_found() {
        for path in [
            "crates/a/src/utils.rs",
            "crates/a/src/b/mod.rs",
            "crates/a/src/common/b.rs",
        ] {
            assert!(fault(path, "").contains("says nothing"), "{path}");
        }
        clean("crates/a/src/commons.rs", "");
    }

    #[test]
    fn leftovers_are_found_in_code_and_not_in_words() {
        assert_eq!(
            fault("a.rs", "\nfn a() { todo!() }"),
            "a.rs:3: `todo!(` must not stay"
        );
        assert!(fault("a.rs", "fn a() { dbg!(1); }").contains("dbg!("));
        assert!(fault("a.rs", "fn a() { unimplemented!(\"x\") }").contains("unimplemented"));
        assert!(
            fault("a.rs", "#[cfg(test)]\nmod tests {\n#[ignore = \"slow\"]\n}").contains(":4:")
        );
        clean("a.rs", "// todo!( is banned\nconst A: &str = \"dbg!(\";\n");
    }

    #[test]
    fn open_ends_need_a_condition() {
        assert!(fault("a.rs", "fn a() {} // TODO: better").starts_with("a.rs:2: say when"));
        assert!(fault("a.rs", "/* FIXME(until x) */").contains("say when"));
        assert!(fault("a.rs", "// TODO(until a), TODO b").contains("say when"));
        clean("a.rs", "// TODO(until peers stop sending it): drop this\n");
        clean("a.rs", "const A: &str = \"TODO\";\n");
    }

    #[test]
    fn long_functions_are_found_outside_of_tests() {
        let function =
            |lines: usize| format!("fn long() {{\n{}}}\n", "    a();\n".repeat(lines - 2));
        let found = fault("a.rs", &function(MAX_FUNCTION_LINES + 1));
        assert_eq!(found, "a.rs:2: `long` has 81 lines, at most 80");
        clean("a.rs", &function(MAX_FUNCTION_LINES));
        clean(
            "a.rs",
            &format!("#[cfg(test)]\nmod tests {{\n{}}}\n", function(200)),
        );
        clean("crates/a/tests/play.rs", &function(200));
        clean("crates/a/src/b/tests.rs", &function(200));
    }

    #[test]
    fn long_files_are_found_by_their_code() {
        let lines = |count: usize| "const A: u8 = 1;\n// why\n\n".repeat(count);
        let found = fault("a.rs", &lines(MAX_FILE_LINES + 1));
        assert_eq!(found, "a.rs: 601 lines of code, at most 600");
        clean("a.rs", &lines(MAX_FILE_LINES));
    }

    #[test]
    fn manifests_inherit_lints() {
        let fine = "[package]\nname = 'x'\n[lints]\nworkspace = true\n";
        assert_eq!(manifest_faults("Cargo.toml", fine), Vec::<String>::new());
        for bad in [
            "[package]\nname = 'x'\n",
            "[lints]\nworkspace = false\n",
            "[lints",
        ] {
            assert_eq!(manifest_faults("Cargo.toml", bad).len(), 1, "{bad}");
        }
    }

    #[test]
    fn folders_outside_the_workspace_keep_their_own_lints() {
        let root: toml::Table = "[workspace]\nexclude = ['fuzz/libfuzzer']".parse().unwrap();
        assert_eq!(excluded(&root), ["fuzz/libfuzzer/"]);
        assert!(excluded(&toml::Table::new()).is_empty());
    }

    #[test]
    fn functions_are_found_by_their_whole_name() {
        let text = "// fn told() {}\n#[test]\nfn kept_is() {}\nasync fn held<T>() {}\n";
        assert!(has_function(text, "kept_is") && has_function(text, "held"));
        assert!(!has_function(text, "kept") && !has_function(text, "told"));
        let project = Project::here().unwrap();
        let here = "xtask/src/tidy.rs::functions_are_found_by_their_whole_name";
        assert!(is_there(&project, here) && is_there(&project, "xtask/src"));
        assert!(!is_there(&project, "xtask/src/tidy.rs::gone"));
        assert!(!is_there(&project, "xtask/src/gone.rs::run"));
    }

    #[test]
    fn paths_that_are_gone_are_found() {
        let text = "See `crates/a/src/b.rs` and `crates/gone/src`.\n```\n`crates/x`\n```\n\
            `crates/<name>/tests` and `docs/gone.md`";
        let found = stale_paths("A.md", text, |path| path == "crates/a/src/b.rs");
        assert_eq!(
            found,
            [
                "A.md:1: no such path: crates/gone/src",
                "A.md:5: no such path: docs/gone.md"
            ]
        );
    }
}
