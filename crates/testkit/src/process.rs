//! A child process whose words can be waited for.
//!
//! Owns: the child, the lines on its standard error, its end, its signals. Kills it when dropped.
//! Does not: read standard output; a caller that wants it takes the pipe.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::PATIENCE;

/// A running or ended child.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: u32,
    shared: Arc<Shared>,
    stdout: Option<ChildStdout>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<String>,
    /// Nothing more will be said.
    silent: bool,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts `command`, without input and with its standard error collected. Panics when it cannot be started.
    pub fn spawn(command: &mut Command) -> Self {
        Self::run(command.stdin(Stdio::null())).0
    }

    /// As [`Process::spawn`], with the pipe to its standard input.
    pub fn spawn_fed(command: &mut Command) -> (Self, ChildStdin) {
        let (process, stdin) = Self::run(command.stdin(Stdio::piped()));
        (process, stdin.expect("it was asked for"))
    }

    fn run(command: &mut Command) -> (Self, Option<ChildStdin>) {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let (pid, stdin, stdout) = (child.id(), child.stdin.take(), child.stdout.take());
        let stderr = child.stderr.take().expect("it was asked for");
        let shared = Arc::new(Shared::default());
        let reader = Arc::clone(&shared);
        thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                reader.change(|state| state.lines.push(line));
            }
            reader.change(|state| state.silent = true);
        });
        let waiter = Arc::clone(&shared);
        thread::spawn(move || {
            let status = child.wait().expect("it is our child");
            waiter.change(|state| state.status = Some(status));
        });
        let process = Self {
            name,
            pid,
            shared,
            stdout,
        };
        (process, stdin)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The pipe from its standard output, where the command asked for one; once.
    pub fn take_stdout(&mut self) -> ChildStdout {
        self.stdout.take().expect("the command pipes its output")
    }

    /// Waits for a line for which `wanted` holds, from the first one on. Panics when it ends without one.
    pub fn line(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.line_after(0, what, wanted).1
    }

    /// As [`Process::line`], from line number `after` on. Gives also the number of the line behind it.
    pub fn line_after(
        &self,
        after: usize,
        what: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> (usize, String) {
        let mut next = after;
        let state = self.shared.wait(|state| {
            let found = (next..state.lines.len()).find(|at| wanted(&state.lines[*at]));
            next = found.unwrap_or(state.lines.len());
            found.is_some() || state.silent
        });
        match state.lines.get(next) {
            Some(line) => (next + 1, line.clone()),
            None => panic!(
                "{} never said: {what}; it said:\n{}",
                self.name,
                tail(&state)
            ),
        }
    }

    /// How many lines it has said so far.
    pub fn lines(&self) -> usize {
        self.shared.lock().lines.len()
    }

    /// Everything that it has said so far.
    pub fn said(&self) -> String {
        self.shared.lock().lines.join("\n")
    }

    /// Waits for its end and its last words. Panics when it does not end.
    pub fn wait(&self) -> ExitStatus {
        let state = self
            .shared
            .wait(|state| state.silent && state.status.is_some());
        state
            .status
            .unwrap_or_else(|| panic!("{} did not end; it said:\n{}", self.name, tail(&state)))
    }

    /// Waits for its end, at most for `limit`; `None` when it has not ended by then.
    pub fn ends_within(&self, limit: Duration) -> Option<ExitStatus> {
        let state = self.shared.wait_for(limit, |state| state.status.is_some());
        state.status
    }

    /// Waits for its end and expects success.
    pub fn succeed(&self) {
        let status = self.wait();
        assert!(
            status.success(),
            "{} ended with {status}; it said:\n{}",
            self.name,
            tail(&self.shared.lock())
        );
    }

    /// True when it has ended.
    pub fn has_ended(&self) -> bool {
        self.shared.lock().status.is_some()
    }

    /// Sends the signal of this name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        if !self.has_ended() {
            // it may end in this moment, which is what most signals are for
            let _ = Command::new("kill")
                .args([&format!("-{name}"), &self.pid.to_string()])
                .stderr(Stdio::null())
                .status();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal("KILL");
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

    fn wait(&self, done: impl FnMut(&State) -> bool) -> MutexGuard<'_, State> {
        self.wait_for(PATIENCE, done)
    }

    fn wait_for(
        &self,
        limit: Duration,
        mut done: impl FnMut(&State) -> bool,
    ) -> MutexGuard<'_, State> {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), limit, |state| !done(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The last lines: enough to see a cause in the message of a failed test.
fn tail(state: &State) -> impl fmt::Display {
    let from = state.lines.len().saturating_sub(40);
    state.lines.get(from..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn shell(script: &str) -> Process {
        Process::spawn(Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn lines_and_ends_are_awaited() {
        let process = shell("echo one >&2; echo two >&2; exit 3");
        assert_eq!(process.line("two", |line| line == "two"), "two");
        assert_eq!(process.wait().code(), Some(3));
        assert_eq!(process.said(), "one\ntwo");
        assert_eq!(
            process.line_after(1, "any", |_| true),
            (2, "two".to_owned())
        );
    }

    #[test]
    #[should_panic(expected = "never said: three; it said:\none")]
    fn a_line_that_does_not_come_is_a_failure() {
        shell("echo one >&2").line("three", |line| line == "three");
    }

    #[test]
    fn what_is_fed_is_read_and_an_end_is_awaited_no_longer_than_told() {
        let (process, mut stdin) = Process::spawn_fed(
            Command::new("sh").args(["-c", "read word; echo $word >&2; read end"]),
        );
        stdin.write_all(b"hello\n").unwrap();
        process.line("hello", |line| line == "hello");
        assert_eq!(process.ends_within(Duration::ZERO), None);
        drop(stdin);
        assert!(process.ends_within(PATIENCE).is_some());
    }

    #[test]
    fn signals_arrive() {
        let process = shell("trap 'exit 7' TERM; echo ready >&2; while :; do :; done");
        process.line("ready", |line| line == "ready");
        process.signal("TERM");
        assert_eq!(process.wait().code(), Some(7));
    }
}
