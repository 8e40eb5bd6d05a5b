//! The web console, from its sources to what the server embeds.
//!
//! Owns: the steps of `cargo xtask console`, in the order in which they fail soonest, and what is said when node is
//! missing. Does not: embed anything, which `crates/console` does when it is built.

use std::ffi::OsStr;
use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::project::{self, Project};
use crate::say;

/// The oldest node that Vite runs on.
const OLDEST_NODE: u32 = 18;

/// Installs what the lock file names, checks types, runs the unit tests and builds into `console/dist`; with `--dev`, serves
/// the sources until Ctrl-C instead. Fails when node is missing or old, or when a step fails.
pub(crate) fn run(project: &Project, args: &[&str]) -> Result<()> {
    let is_dev = match args {
        [] => false,
        ["--dev"] => true,
        _ => bail!("expected nothing or `--dev`, got: {}", args.join(" ")),
    };
    let console = Console {
        folder: project.root().join("console"),
    };
    console.has_node()?;
    let lock = console.lock()?;
    console.step(
        "installing what console/package-lock.json names",
        &["ci", "--ignore-scripts", "--no-audit", "--no-fund"],
    )?;
    if is_dev {
        // it serves until Ctrl-C, and must not keep a build waiting for as long
        drop(lock);
        return console.step("serving the sources until Ctrl-C", &["run", "dev"]);
    }
    console.step("checking types", &["run", "check"])?;
    console.step("running the unit tests", &["test"])?;
    console.step("building console/dist", &["run", "build"])?;
    say::line("console/dist is built; the next `cargo build` embeds it");
    Ok(())
}

/// The folder of the sources.
struct Console {
    folder: PathBuf,
}

impl Console {
    fn has_node(&self) -> Result<()> {
        let advice = || {
            format!("the console is built with node {OLDEST_NODE} or later, and npm: install both")
        };
        let version =
            project::output(Command::new("node").arg("--version")).with_context(advice)?;
        if !is_recent(&version) {
            bail!("node is {}: {}", version.trim(), advice());
        }
        project::output(self.npm().arg("--version")).with_context(advice)?;
        Ok(())
    }

    /// Kept from a `cargo build` that installs at the same time.
    fn lock(&self) -> Result<File> {
        let file = File::create(self.folder.join(".lock")).context("cannot write to console")?;
        file.lock().context("cannot lock console/.lock")?;
        Ok(file)
    }

    fn step(&self, what: &str, args: &[&str]) -> Result<()> {
        say::line(&format!("console: {what}"));
        project::succeed(self.npm().args(args))
    }

    fn npm(&self) -> Command {
        let name = if cfg!(windows) { "npm.cmd" } else { "npm" };
        let mut command = Command::new(OsStr::new(name));
        command.current_dir(&self.folder);
        command
    }
}

/// Whether `v20.1.2` is new enough.
fn is_recent(version: &str) -> bool {
    let number = version.trim().strip_prefix('v');
    let major = number.and_then(|number| number.split('.').next()?.parse().ok());
    major.is_some_and(|major: u32| major >= OLDEST_NODE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_node_are_judged_by_their_first_number() {
        for recent in ["v18.0.0", "v20.20.2\n", "v100.1"] {
            assert!(is_recent(recent), "{recent}");
        }
        for other in ["v16.20.2", "v9", "20.0.0", "", "vx.y"] {
            assert!(!is_recent(other), "{other}");
        }
    }

    #[test]
    fn only_dev_is_known() {
        let project = Project::here().unwrap();
        for args in [&["--prod"][..], &["--dev", "--dev"]] {
            let error = run(&project, args).unwrap_err().to_string();
            assert!(error.contains("`--dev`"), "{error}");
        }
    }

    #[test]
    fn the_sources_are_where_the_steps_run() {
        let folder = Project::here().unwrap().root().join("console");
        let manifest = std::fs::read_to_string(folder.join("package.json")).unwrap();
        for script in ["\"dev\"", "\"check\"", "\"test\"", "\"build\""] {
            assert!(manifest.contains(script), "{script}");
        }
        assert!(folder.join("package-lock.json").is_file());
    }
}
