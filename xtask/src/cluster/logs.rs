//! What the members of a cluster say.
//!
//! Owns: a file for each member and one with all lines and the names before them; warnings on the terminal. Does not: wait
//! for anything; a thread for each pipe ends with it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::say;

/// Longest line that is kept whole; what a member says beyond it is cut, so that no file or memory is filled by one line.
const LINE_BYTES: u64 = 16 << 10;

/// Words of a line that can be its level: time stamp, level, and one for good measure.
const HEAD_WORDS: usize = 3;

/// The folder of logs.
#[derive(Debug)]
pub(super) struct Logs {
    folder: PathBuf,
    all: Arc<Mutex<File>>,
    hushed: Arc<AtomicBool>,
}

impl Logs {
    /// Opens the folder.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let all = File::create(folder.join("all.log")).context("cannot write logs")?;
        Ok(Self {
            folder: folder.to_owned(),
            all: Arc::new(Mutex::new(all)),
            hushed: Arc::default(),
        })
    }

    /// Shows no more warnings: at the end members miss each other, which is no news.
    pub(super) fn hush(&self) {
        self.hushed.store(true, Ordering::Relaxed);
    }

    /// Keeps what `child` says from now on, under `name`; shows its warnings unless it is `quiet`.
    pub(super) fn follow(&self, name: &str, child: &mut Child, quiet: bool) -> Result<()> {
        let own = File::create(self.folder.join(format!("{name}.log")));
        let own = Arc::new(Mutex::new(own.context("cannot write logs")?));
        let pipes: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|pipe| Box::new(pipe) as _),
            child.stderr.take().map(|pipe| Box::new(pipe) as _),
        ];
        for pipe in pipes.into_iter().flatten() {
            let (name, own, all) = (name.to_owned(), Arc::clone(&own), Arc::clone(&self.all));
            let hushed = Arc::clone(&self.hushed);
            std::thread::spawn(move || {
                lines(pipe, |line| {
                    write(&own, line);
                    let named = format!("{name} | {line}");
                    write(&all, &named);
                    if !quiet && !hushed.load(Ordering::Relaxed) && is_warning(line) {
                        say::line(&named);
                    }
                });
            });
        }
        Ok(())
    }
}

/// Hands each line to `each`, cut to a bound and without its end.
fn lines(pipe: impl Read, mut each: impl FnMut(&str)) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    while let Ok(1..) = reader
        .by_ref()
        .take(LINE_BYTES)
        .read_until(b'\n', &mut line)
    {
        each(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
}

fn write(file: &Mutex<File>, line: &str) {
    let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
    // a full disk must not stop the cluster
    let _ = writeln!(file, "{line}");
}

/// Whether a line of ours says that something is wrong.
fn is_warning(line: &str) -> bool {
    let mut head = line.split_whitespace().take(HEAD_WORDS);
    // what keeps a member from starting has no level
    head.any(|word| matches!(word, "WARN" | "ERROR"))
        || line.starts_with("weir: ")
        || line.contains("panicked at")
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn warnings_are_known_by_their_level() {
        assert!(is_warning("2026-01-01T00:00:00Z  WARN weir: hello"));
        assert!(is_warning("2026-01-01T00:00:00Z ERROR weir: hello"));
        assert!(is_warning("weir: cannot listen"));
        assert!(is_warning("thread 'x' panicked at src/a.rs"));
        assert!(!is_warning("2026-01-01T00:00:00Z  INFO weir: no WARN here"));
    }

    #[test]
    fn lines_are_cut_and_none_is_lost() {
        let long = "x".repeat(LINE_BYTES as usize + 1);
        let mut seen = Vec::new();
        lines(format!("one\n{long}\nlast").as_bytes(), |line| {
            seen.push(line.len());
        });
        assert_eq!(seen, [3, LINE_BYTES as usize, 1, 4]);
    }

    #[test]
    fn files_hold_what_was_said() {
        let folder = std::env::temp_dir().join(format!("xtask-logs-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let logs = Logs::open(&folder).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        logs.follow("origin-1", &mut child, false).unwrap();
        child.wait().unwrap();
        let read = |name| std::fs::read_to_string(folder.join(name)).unwrap();
        crate::child::until("both lines are there", || {
            read("all.log").lines().count() == 2
        })
        .unwrap();
        assert!(read("all.log").contains("origin-1 | out\n"));
        assert!(read("origin-1.log").contains("err\n"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
