//! Finds or builds the console's files, so that `cargo build` from a clean clone has them.
//!
//! Owns: the choice between the folder `console/dist`, a build of its own below `OUT_DIR`, and no files at all, which makes
//! the plain page. Writes `embedded.rs`, the table of the files with their types and marks, below `OUT_DIR`; the same files
//! make the same table. Does not: write a file that is tracked, or fail: whatever goes wrong is a warning and the plain page.

#![allow(
    clippy::print_stdout,
    reason = "cargo reads what a build script prints"
)]

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

/// What the console is built from, below `console/`.
const SOURCES: &[&str] = &[
    "index.html",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "vite.config.ts",
    "build",
    "public",
    "src",
];

/// The oldest node that Vite runs on.
const OLDEST_NODE: u32 = 18;

/// `plain` builds no console, whatever is there.
const CHOICE: &str = "CONSOLE_BUILD";

/// Lines of a failed command that are shown.
const SHOWN_LINES: usize = 6;

fn main() {
    let folder = |name: &str| PathBuf::from(std::env::var_os(name).unwrap_or_default());
    let out = folder("OUT_DIR");
    let console = folder("CARGO_MANIFEST_DIR").join("../../console");
    println!("cargo::rerun-if-env-changed={CHOICE}");
    println!("cargo::rerun-if-changed=build.rs");
    for source in SOURCES {
        // a path that is missing would make cargo run this each time
        if console.join(source).exists() {
            println!("cargo::rerun-if-changed={}", console.join(source).display());
        }
    }
    let target = out.join("dist");
    let full = prepare(&console, &target).unwrap_or_else(|why| {
        warn(&why);
        warn("the web console is a plain page; `cargo xtask console` builds the full one");
        false
    });
    if !full {
        // what a build that failed left
        let _ = fs::remove_dir_all(&target);
        let _ = fs::create_dir_all(&target);
    }
    let table = table(&target).unwrap_or_else(|error| {
        warn(&format!("cannot read the built console: {error}"));
        written(&[])
    });
    if let Err(error) = fs::write(out.join("embedded.rs"), table) {
        println!("cargo::error=cannot write below OUT_DIR: {error}");
    }
}

/// Cargo shows a warning a line.
fn warn(text: &str) {
    for line in text.lines() {
        println!("cargo::warning={line}");
    }
}

/// A file of the console for the table.
struct Entry {
    /// Its path below the folder, with `/` between.
    name: String,
    mark: u64,
}

/// The source of the table of all files below `folder`.
fn table(folder: &Path) -> io::Result<String> {
    let mut entries = Vec::new();
    list(folder, "", &mut entries)?;
    // folders are read in any order
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(written(&entries))
}

fn list(folder: &Path, before: &str, entries: &mut Vec<Entry>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            return Err(io::Error::other("a name is not UTF-8"));
        };
        let name = format!("{before}{name}");
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &format!("{name}/"), entries)?;
        } else {
            let mark = mark(&fs::read(entry.path())?);
            entries.push(Entry { name, mark });
        }
    }
    Ok(())
}

/// The table as source. Paths in it are relative to it, so that it says nothing of this machine.
fn written(entries: &[Entry]) -> String {
    let mut source =
        String::from("/// The console's files, ordered by name.\nstatic FILES: &[Embedded] = &[\n");
    for Entry { name, mark } in entries {
        let path = format!("dist/{name}");
        // writing to a string cannot fail
        let _ = writeln!(
            source,
            "    Embedded {{ name: {name:?}, data: include_bytes!({path:?}), content_type: {:?}, \
             mark: \"{mark:016x}\" }},",
            content_type(name)
        );
    }
    source.push_str("];\n");
    source
}

/// What a file is, by the end of its name. Text is UTF-8, and says so.
fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, end)| end) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml; charset=utf-8",
        "gz" => "application/gzip",
        _ => "application/octet-stream",
    }
}

/// FNV-1a of 64 bits. An entity tag has to tell a file from the other versions of it that were ever served, and nobody
/// chooses these to be alike: two of them have the same one once in 2^64. The hash of std may differ between compilers.
fn mark(data: &[u8]) -> u64 {
    data.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Fills `target` with the console's files. `Ok(false)` when none are wanted; the error says why there are none.
fn prepare(console: &Path, target: &Path) -> Result<bool, String> {
    if std::env::var_os(CHOICE).is_some_and(|choice| choice == "plain") {
        return Ok(false);
    }
    let ready = console.join("dist");
    if watch(&ready).is_ok() {
        println!("cargo::rerun-if-changed={}", ready.display());
    }
    let index = ready.join("index.html");
    let is_there = index.is_file();
    if is_there && modified(&index) >= newest(console) {
        return copy(&ready, target);
    }
    let built = build(console, target);
    if let (true, Err(why)) = (is_there, &built) {
        warn(&format!(
            "console/dist is older than its sources, and is used: {why}"
        ));
        return copy(&ready, target);
    }
    built.map(|()| true)
}

/// Makes sure that there is a folder whose change cargo sees; empty ones are none of git's. What is made here is made to
/// look old, or cargo would take it for a change since it began.
fn watch(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    File::open(folder)?.set_modified(SystemTime::UNIX_EPOCH)
}

fn build(console: &Path, target: &Path) -> Result<(), String> {
    if !console.join("package-lock.json").is_file() {
        return Err("the sources of the console are not here".to_owned());
    }
    let node = said(Command::new("node").arg("--version"), "node")?;
    if major(&node).is_none_or(|major| major < OLDEST_NODE) {
        return Err(format!(
            "node is {}, and the console needs {OLDEST_NODE} or later",
            node.trim()
        ));
    }
    let lock = lock(console).map_err(|error| format!("cannot lock the console: {error}"))?;
    let installed = console.join("node_modules/.package-lock.json");
    if modified(&installed) < modified(&console.join("package-lock.json")) {
        let arguments = [
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--fetch-retries=1",
            "--fetch-timeout=60000",
        ];
        said(npm().args(arguments).current_dir(console), "npm ci")?;
    }
    let output: [OsString; 4] = ["run".into(), "build".into(), "--".into(), {
        let mut flag = OsString::from("--outDir=");
        flag.push(target);
        flag
    }];
    said(npm().args(output).current_dir(console), "npm run build")?;
    drop(lock);
    if target.join("index.html").is_file() {
        return Ok(());
    }
    Err("npm run build made no index.html".to_owned())
}

fn npm() -> Command {
    Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" })
}

/// Two builds at a time, of different target folders, would install over each other.
fn lock(console: &Path) -> io::Result<File> {
    let file = File::create(console.join(".lock"))?;
    file.lock()?;
    Ok(file)
}

/// What a command says. The error names it, and why it failed.
fn said(command: &mut Command, name: &str) -> Result<String, String> {
    let output = command
        .output()
        .map_err(|error| format!("{name} cannot be started: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{name} failed:\n{}", reason(&output)))
}

/// What a command says on standard error, where it begins with the reason.
fn reason(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines = text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with("npm warn"));
    lines.take(SHOWN_LINES).collect::<Vec<_>>().join("\n")
}

/// The 20 of `v20.1.2`.
fn major(version: &str) -> Option<u32> {
    let number = version.trim().strip_prefix('v')?.split('.').next()?;
    number.parse().ok()
}

/// When a file was last written; long ago when there is none.
fn modified(path: &Path) -> SystemTime {
    let time = fs::metadata(path).and_then(|data| data.modified());
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// When the newest source was written.
fn newest(console: &Path) -> SystemTime {
    let mut newest = SystemTime::UNIX_EPOCH;
    let mut paths: Vec<PathBuf> = SOURCES.iter().map(|name| console.join(name)).collect();
    while let Some(path) = paths.pop() {
        match fs::read_dir(&path) {
            Ok(entries) => paths.extend(entries.flatten().map(|entry| entry.path())),
            Err(_) => newest = newest.max(modified(&path)),
        }
    }
    newest
}

/// Makes `to` the same as `from`.
fn copy(from: &Path, to: &Path) -> Result<bool, String> {
    let _ = fs::remove_dir_all(to);
    copy_into(from, to).map_err(|error| format!("cannot copy console/dist: {error}"))?;
    Ok(true)
}

fn copy_into(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_into(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
