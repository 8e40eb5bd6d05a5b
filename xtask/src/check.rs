//! Steps in a row: what `check`, `test` and `fix` do.
//!
//! Owns: the list of steps, their order, their durations and the summary. A step that fails does not stop the next one,
//! so one run tells everything that is wrong. Does not: know how a step works.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::project::{self, Project};
use crate::suite::{self, Tally};
use crate::{layers, licences, say, tidy, tools};

/// One named step.
pub(crate) struct Step {
    /// As `--only` takes it.
    pub(crate) name: &'static str,
    work: Work,
}

enum Work {
    /// A cargo command with its additional environment.
    Cargo {
        env: &'static [(&'static str, &'static str)],
        args: &'static [&'static str],
    },
    /// A check of this program, which is also the command `cargo xtask <name>`.
    Own(fn(&Project) -> Result<()>),
    /// All tests of the workspace.
    Tests,
}

/// Every step of `cargo xtask test`: the quick ones that need no compiler first.
pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "install",
        work: Work::Own(tools::install),
    },
    Step {
        name: "format",
        work: Work::Cargo {
            env: &[],
            args: &["fmt", "--all", "--check"],
        },
    },
    Step {
        name: "layers",
        work: Work::Own(layers::run),
    },
    Step {
        name: "tidy",
        work: Work::Own(tidy::run),
    },
    Step {
        name: "licences",
        work: Work::Own(licences::run),
    },
    Step {
        name: "clippy",
        work: Work::Cargo {
            env: &[],
            args: &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--locked",
                "--",
                "-D",
                "warnings",
            ],
        },
    },
    Step {
        name: "docs",
        work: Work::Cargo {
            env: &[("RUSTDOCFLAGS", "-D warnings")],
            args: &["doc", "--workspace", "--no-deps", "--locked"],
        },
    },
    Step {
        name: "tests",
        work: Work::Tests,
    },
];

/// All steps but those that install or test.
pub(crate) fn check(project: &Project) -> Result<ExitCode> {
    let report = run(project, |name| !matches!(name, "install" | "tests"));
    Ok(report.finish())
}

/// All steps, or those in `only`. The last line on standard output is `N passed, N failed`, of tests.
pub(crate) fn test(project: &Project, only: &[&str]) -> Result<ExitCode> {
    if let Some(stray) = only
        .iter()
        .find(|name| STEPS.iter().all(|step| step.name != **name))
    {
        let names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        bail!("no such step: {stray}; there are {}", names.join(" "));
    }
    let report = run(project, |name| only.is_empty() || only.contains(&name));
    let tally = report.tally;
    let code = report.finish();
    say::line(&format!("{} passed, {} failed", tally.passed, tally.failed));
    Ok(code)
}

/// Formats, then lets clippy repair what it can. Works on an unclean tree: that is when one wants it.
pub(crate) fn fix(project: &Project) -> Result<()> {
    project::succeed(&mut project.cargo(&["fmt", "--all"]))?;
    let clippy = [
        "clippy",
        "--fix",
        "--workspace",
        "--all-targets",
        "--locked",
    ];
    project::succeed(
        project
            .cargo(&clippy)
            .args(["--allow-dirty", "--allow-staged"]),
    )
}

/// What a row of steps came to.
#[derive(Default)]
struct Report {
    tally: Tally,
    steps: usize,
    /// Name of the step, and the command that repeats it.
    failed: Vec<(&'static str, String)>,
}

impl Report {
    /// Says which steps failed and how to repeat each.
    fn finish(self) -> ExitCode {
        if self.failed.is_empty() {
            say::line(&format!("\npassed: all steps, {}", self.steps));
            return ExitCode::SUCCESS;
        }
        say::line(&format!(
            "\nfailed: {} of {} steps",
            self.failed.len(),
            self.steps
        ));
        for (name, repeat) in &self.failed {
            say::line(&format!("  {name:<9} repeat with: {repeat}"));
        }
        ExitCode::FAILURE
    }
}

fn run(project: &Project, wanted: impl Fn(&str) -> bool) -> Report {
    let mut report = Report::default();
    for step in STEPS.iter().filter(|step| wanted(step.name)) {
        say::line(&format!("\n== {}", step.name));
        let started = now();
        let result = step.run(project);
        let took = started.elapsed().as_secs_f64();
        let failure = match result {
            Ok(tally) => {
                report.tally.add(tally);
                (tally.failed > 0).then(|| "tests failed".to_owned())
            }
            Err(error) => Some(format!("{error:#}")),
        };
        report.steps += 1;
        match failure {
            None => say::line(&format!("== {}: ok in {took:.1} s", step.name)),
            Some(why) => {
                say::line(&format!("== {}: FAILED in {took:.1} s: {why}", step.name));
                say::line(&format!("   repeat with: {}", step.repeat()));
                report.failed.push((step.name, step.repeat()));
            }
        }
    }
    report
}

impl Step {
    fn run(&self, project: &Project) -> Result<Tally> {
        match self.work {
            Work::Cargo { env, args } => {
                let mut command = project.cargo(args);
                project::succeed(command.envs(env.iter().copied())).map(|()| Tally::default())
            }
            Work::Own(check) => check(project).map(|()| Tally::default()),
            Work::Tests => suite::run(project),
        }
    }

    /// The command that does this step again.
    fn repeat(&self) -> String {
        match self.work {
            Work::Cargo { env, args } => {
                let env = env.iter().map(|(name, value)| format!("{name}='{value}' "));
                format!("{}cargo {}", env.collect::<String>(), args.join(" "))
            }
            Work::Own(_) => format!("cargo xtask {}", self.name),
            Work::Tests => format!("cargo xtask test --only {}", self.name),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is no part of the server: only durations"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str) -> &'static Step {
        STEPS.iter().find(|step| step.name == name).expect("listed")
    }

    #[test]
    fn every_step_says_how_to_repeat_it() {
        assert_eq!(step("format").repeat(), "cargo fmt --all --check");
        assert_eq!(step("layers").repeat(), "cargo xtask layers");
        assert_eq!(step("tests").repeat(), "cargo xtask test --only tests");
        assert_eq!(
            step("docs").repeat(),
            "RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked"
        );
    }

    #[test]
    fn an_unknown_step_is_an_error_and_not_an_empty_success() {
        let project = Project::here().unwrap();
        let error = test(&project, &["tidy", "test"]).unwrap_err().to_string();
        assert!(error.contains("no such step: test;"), "{error}");
    }

    #[test]
    fn a_failed_step_fails_the_row() {
        let report = Report {
            steps: 2,
            failed: vec![("tidy", "x".to_owned())],
            ..Report::default()
        };
        assert_eq!(report.finish(), ExitCode::FAILURE);
        assert_eq!(Report::default().finish(), ExitCode::SUCCESS);
    }
}
