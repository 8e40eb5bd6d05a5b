//! The node process that drives the browser.
//!
//! Owns: the process, the ids of orders, the answers and events it gave, and its end together with the browser's.
//! Does not: know what orders mean; `browser/driver.mjs` does.

use std::collections::HashMap;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::PATIENCE;
use crate::process::Process;
use crate::tools::{self, Tool};

/// How long an order may take: the driver itself gives up after 60 s, and says what it waited for.
const ANSWER: Duration = Duration::from_secs(75);

/// How long the browser may take to end in order: the driver gives up after 5 s.
const FAREWELL: Duration = Duration::from_secs(10);

/// A running driver with its browser.
#[derive(Debug)]
pub(super) struct Driver {
    process: Process,
    /// `None` once it was told to end.
    stdin: Mutex<Option<ChildStdin>>,
    shared: Arc<Shared>,
    /// The browser's process, which leads a group of its own.
    browser: Option<u64>,
    /// Profiles and whatever else the browser writes; removed when both have ended.
    _folder: TempDir,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    last_id: u64,
    last_page: u64,
    answers: HashMap<u64, Result<Value, String>>,
    pages: HashMap<u64, Events>,
    /// The browser or the driver has ended.
    gone: bool,
}

/// What a page told by itself.
#[derive(Debug, Default, Clone)]
pub(super) struct Events {
    /// The last report of a player.
    pub(super) report: Value,
    /// Errors on its console, thrown, and its crash.
    pub(super) errors: Vec<String>,
}

impl Driver {
    /// Starts node and the browser. Panics when one of them does not start.
    pub(super) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("weir-browser-").tempdir();
        let folder = folder.expect("a folder");
        let chromium = Tool::Chromium.path();
        let mut command = Tool::Node.command([tools::script("driver.mjs")]);
        command
            .stdout(Stdio::piped())
            .process_group(0)
            .env("TMPDIR", folder.path())
            .env("FORCE_COLOR", "0");
        let (mut process, stdin) = Process::spawn_fed(&mut command);
        let shared = Arc::new(Shared::default());
        let reader = Arc::clone(&shared);
        let stdout = process.take_stdout();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                reader.hear(&line);
            }
            reader.change(|state| state.gone = true);
        });
        let mut driver = Self {
            process,
            stdin: Mutex::new(Some(stdin)),
            shared,
            browser: None,
            _folder: folder,
        };
        let started = driver.order("start", json!({ "executable": chromium }));
        driver.browser = started["pid"].as_u64();
        driver
    }

    /// A number for a page.
    pub(super) fn new_page(&self) -> u64 {
        let mut state = self.shared.lock();
        state.last_page += 1;
        state.last_page
    }

    /// Gives an order and waits for its answer. Panics with the reason when it fails.
    pub(super) fn order(&self, what: &str, order: Value) -> Value {
        match self.try_order(what, order) {
            Ok(value) => value,
            Err(error) => panic!("browser: {what}: {error}\n{}", self.process.said()),
        }
    }

    fn try_order(&self, what: &str, mut order: Value) -> Result<Value, String> {
        let id = {
            let mut state = self.shared.lock();
            state.last_id += 1;
            state.last_id
        };
        order["id"] = json!(id);
        order["do"] = json!(what);
        {
            let mut stdin = self.stdin.lock().unwrap_or_else(PoisonError::into_inner);
            let stdin = stdin.as_mut().ok_or("it was ended")?;
            writeln!(stdin, "{order}").map_err(|error| format!("the driver is gone: {error}"))?;
        }
        let mut state = self.shared.wait(ANSWER, |state| {
            state.answers.contains_key(&id) || state.gone
        });
        state.answers.remove(&id).unwrap_or_else(|| {
            Err(if state.gone {
                "the browser is gone".to_owned()
            } else {
                format!("no answer to {order} after {ANSWER:?}")
            })
        })
    }

    /// What page `number` told so far.
    pub(super) fn events(&self, number: u64) -> Events {
        let state = self.shared.lock();
        state.pages.get(&number).cloned().unwrap_or_default()
    }

    /// Waits until `done` holds for what page `number` told. Gives what it told last, and whether it was so.
    pub(super) fn until(
        &self,
        number: u64,
        mut done: impl FnMut(&Events) -> bool,
    ) -> (Events, bool) {
        let mut found = false;
        let state = self.shared.wait(PATIENCE, |state| {
            found = state.pages.get(&number).is_some_and(&mut done);
            found || state.gone
        });
        (state.pages.get(&number).cloned().unwrap_or_default(), found)
    }

    /// Forgets a page and what it told.
    pub(super) fn close(&self, number: u64) {
        // it may have crashed, with all of the browser; then there is nothing to close
        let _ = self.try_order("close", json!({ "page": number }));
        self.shared.lock().pages.remove(&number);
    }

    /// What the driver said on its standard error.
    pub(super) fn said(&self) -> impl fmt::Display {
        self.process.said()
    }

    /// Ends the driver as a fault would.
    #[cfg(test)]
    pub(super) fn kill(&self) {
        self.process.signal("KILL");
    }

    /// The browser's process id, where the system tells.
    pub(super) fn browser(&self) -> Option<u64> {
        self.browser
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // the end of its input ends it, after the browser
        self.stdin
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let status = self.process.ends_within(FAREWELL);
        if status.is_some_and(|status| status.success()) {
            return;
        }
        let node = u64::from(self.process.pid());
        for group in self.browser.into_iter().chain([node]) {
            // those that ended meanwhile get none
            let _ = Command::new("kill")
                .args(["-KILL", "--", &format!("-{group}")])
                .stderr(Stdio::null())
                .status();
        }
        self.process.ends_within(FAREWELL);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn wait(&self, limit: Duration, mut done: impl FnMut(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), limit, |state| !done(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Takes a line of the driver. Panics, in the reader's thread, at what is no line of it.
    fn hear(&self, line: &str) {
        let mut line: Value = serde_json::from_str(line).expect("the driver speaks JSON");
        let page = line["page"].as_u64();
        self.change(|state| match (line["event"].as_str(), page) {
            (Some("report"), Some(page)) => {
                state.pages.entry(page).or_default().report = line["report"].take();
            }
            (Some("error"), Some(page)) => {
                let text = line["text"].as_str().unwrap_or_default().to_owned();
                state.pages.entry(page).or_default().errors.push(text);
            }
            (Some(_), _) => state.gone = true,
            (None, _) => {
                let Some(id) = line["id"].as_u64() else {
                    return;
                };
                let answer = match line["failed"].as_str() {
                    Some(why) => Err(why.to_owned()),
                    None => Ok(line["ok"].take()),
                };
                state.answers.insert(id, answer);
            }
        });
    }
}
