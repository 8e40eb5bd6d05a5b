//! The tests of the whole workspace, run by cargo and counted.
//!
//! Owns: what the tests are told through the environment, and the count. Does not: install what they need.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result};

use crate::project::{self, Project};
use crate::say;

/// Tells tests the folder of tools that `install` filled.
const TOOLS_VARIABLE: &str = "WEIR_TEST_TOOLS";

/// Tests that ran.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Ended well.
    pub(crate) passed: u64,
    /// Did not.
    pub(crate) failed: u64,
}

impl Tally {
    /// Adds another count to this one.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// The count in a line such as `test result: ok. 5 passed; 0 failed; 0 ignored; …`; `None` for other lines.
    fn of_line(line: &str) -> Option<Self> {
        let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let count = |what: &str| {
            let part = counts
                .split(';')
                .find_map(|part| part.trim().strip_suffix(what))?;
            part.trim().parse().ok()
        };
        Some(Self {
            passed: count("passed")?,
            failed: count("failed")?,
        })
    }
}

/// Runs all tests, showing their output as it comes. Fails only when cargo cannot be started: failed tests are counted.
pub(crate) fn run(project: &Project) -> Result<Tally> {
    let mut command = project.cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
    command
        .env(TOOLS_VARIABLE, project.test_tools()?)
        .stdout(Stdio::piped());
    let shown = project::shown(&command);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    let output = child.stdout.take().context("no pipe to the tests")?;
    let tally = count(BufReader::new(output), say::raw)?;
    let status = child.wait().with_context(|| format!("lost `{shown}`"))?;
    Ok(with_status(tally, status.success()))
}

/// A run that ends with an error without one failed test did not compile or died half-way: that is a failure too.
fn with_status(tally: Tally, success: bool) -> Tally {
    let failed = if success {
        tally.failed
    } else {
        tally.failed.max(1)
    };
    Tally { failed, ..tally }
}

/// Sums the results in `output`, handing each line to `show` as it comes.
fn count(mut output: impl BufRead, mut show: impl FnMut(&str)) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut line = Vec::new();
    while output
        .read_until(b'\n', &mut line)
        .context("cannot read the tests' output")?
        > 0
    {
        let text = String::from_utf8_lossy(&line);
        show(&text);
        tally.add(Tally::of_line(&text).unwrap_or_default());
        line.clear();
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_binaries_are_summed() {
        let output = b"running 2 tests\n\
            test a ... ok\n\
            test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out\n\
            \xff not text\n\
            test result: FAILED. 40 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out\n\
            said: test result: ok. 9 passed; 9 failed;\n\
            test result: ok. 0 passed; 0 failed; 0 ignored; finished in 0.00s";
        let mut lines = 0;
        let tally = count(&output[..], |_| lines += 1).unwrap();
        assert_eq!(
            (tally, lines),
            (
                Tally {
                    passed: 42,
                    failed: 3
                },
                7
            )
        );
    }

    #[test]
    fn a_run_that_died_is_a_failure() {
        let none = Tally {
            passed: 7,
            failed: 0,
        };
        assert_eq!(
            with_status(none, false),
            Tally {
                passed: 7,
                failed: 1
            }
        );
        assert_eq!(with_status(none, true), none);
        assert_eq!(
            with_status(
                Tally {
                    passed: 7,
                    failed: 2
                },
                false
            )
            .failed,
            2
        );
    }
}
