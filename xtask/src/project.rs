//! The repository this program was built from, and the programs it starts there.
//!
//! Owns: where things are, how a child is started and how its failure is told. Does not: know any check.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The repository.
#[derive(Debug)]
pub(crate) struct Project {
    root: PathBuf,
}

impl Project {
    /// The repository whose `xtask` folder this program comes from. Fails when it has been moved since.
    pub(crate) fn here() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask has no parent")?;
        if !root.join("Cargo.toml").is_file() {
            bail!(
                "no Cargo.toml in {}: was the repository moved?",
                root.display()
            );
        }
        Ok(Self {
            root: root.to_owned(),
        })
    }

    /// The repository's root, absolute.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Reads a file named from the root.
    pub(crate) fn read(&self, path: &str) -> Result<String> {
        std::fs::read_to_string(self.root.join(path)).with_context(|| format!("cannot read {path}"))
    }

    /// The `cargo` that runs this program, started in the root.
    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(args).current_dir(&self.root);
        command
    }

    /// What `cargo metadata` tells, with `args` added.
    pub(crate) fn metadata(&self, args: &[&str]) -> Result<Value> {
        let mut command = self.cargo(&["metadata", "--format-version", "1"]);
        let text = output(command.args(args))?;
        serde_json::from_str(&text).context("cargo metadata gave no JSON")
    }

    /// Where the tools lie that tests start but no package manager installs. Tests are told by `WEIR_TEST_TOOLS`.
    pub(crate) fn test_tools(&self) -> Result<PathBuf> {
        let metadata = self.metadata(&["--no-deps"])?;
        let target = metadata["target_directory"]
            .as_str()
            .context("no target_directory")?;
        Ok(Path::new(target).join("test-tools"))
    }
}

/// Runs a child whose output the reader sees. Fails when it cannot be started or ends with an error.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs a child for its standard output. Fails as [`succeed`] does, with what the child said on standard error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{}` ended with {}: {}",
            shown(command),
            output.status,
            said.trim()
        );
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` gave no text", shown(command)))
}

/// The command as one would type it; the program without its folder.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut text = program
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    for arg in command.get_args() {
        let arg = arg.to_string_lossy();
        let plain = arg
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./=:,@+".contains(c));
        text.push(' ');
        text.push_str(&if plain && !arg.is_empty() {
            arg.into_owned()
        } else {
            format!("'{}'", arg.replace('\'', r"'\''"))
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-c", "print(1)", "a=b", "it's", ""]);
        assert_eq!(shown(&command), r"python3 -c 'print(1)' a=b 'it'\''s' ''");
    }

    #[test]
    fn failures_say_which_command_and_why() {
        let mut missing = Command::new("no-such-program-of-ours");
        assert!(
            succeed(&mut missing)
                .unwrap_err()
                .to_string()
                .contains("cannot start")
        );
        let mut failing = Command::new("sh");
        failing.args(["-c", "echo because >&2; exit 3"]);
        let error = output(&mut failing).unwrap_err().to_string();
        assert!(
            error.contains("exit status: 3") && error.contains("because"),
            "{error}"
        );
    }

    #[test]
    fn the_repository_is_found() {
        let project = Project::here().unwrap();
        assert!(project.root().join("xtask/src/main.rs").is_file());
        assert!(project.test_tools().unwrap().ends_with("test-tools"));
    }
}
