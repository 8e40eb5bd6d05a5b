//! Fuzzing of one target for a while.
//!
//! Owns: how libFuzzer is started on the stable compiler. The targets themselves are the package in `fuzz/libfuzzer`,
//! which is a workspace of its own because only cargo-fuzz can build it. Does not: keep a corpus.

use anyhow::{Context, Result, bail};

use crate::project::{self, Project};
use crate::say;

/// How long a target is fuzzed unless told: long enough to find what a careless change breaks, short enough to wait.
pub(crate) const DEFAULT_SECONDS: u64 = 60;

const FOLDER: &str = "fuzz/libfuzzer";

/// Pinned, so that a machine set up tomorrow fuzzes as one set up today.
const CARGO_FUZZ: &str = "cargo-fuzz@0.13.2";

/// Prints the targets.
pub(crate) fn list(project: &Project) -> Result<()> {
    for target in targets(&project.read(&format!("{FOLDER}/Cargo.toml"))?)? {
        say::line(&target);
    }
    Ok(())
}

/// Fuzzes `target` for `seconds`. Installs cargo-fuzz when it is missing. Fails on a crash, whose input is then in
/// `fuzz/libfuzzer/artifacts`.
pub(crate) fn run(project: &Project, target: &str, seconds: u64) -> Result<()> {
    let targets = targets(&project.read(&format!("{FOLDER}/Cargo.toml"))?)?;
    if !targets.iter().any(|known| known == target) {
        bail!("no such target: {target}; there are {}", targets.join(" "));
    }
    if project::output(&mut project.cargo(&["fuzz", "--version"])).is_err() {
        say::line("installing cargo-fuzz: it builds the targets with libFuzzer's instrumentation");
        project::succeed(&mut project.cargo(&["install", "--locked", CARGO_FUZZ]))?;
    }
    let limit = format!("-max_total_time={seconds}");
    let mut fuzz = project.cargo(&["fuzz", "run", "--fuzz-dir", FOLDER, target, "--", &limit]);
    // The instrumentation is behind flags that the stable compiler takes only when told to act as its own bootstrap.
    project::succeed(fuzz.env("RUSTC_BOOTSTRAP", "1"))
}

/// The names of the binaries in a manifest.
fn targets(manifest: &str) -> Result<Vec<String>> {
    let manifest: toml::Table = manifest.parse().context("the fuzz manifest is no TOML")?;
    let bins = manifest.get("bin").and_then(toml::Value::as_array);
    let names = bins
        .into_iter()
        .flatten()
        .filter_map(|bin| bin.get("name")?.as_str());
    Ok(names.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_binaries() {
        let manifest = "[package]\nname = 'x'\n[[bin]]\nname = 'flv'\n[[bin]]\nname = 'amf'\n";
        assert_eq!(targets(manifest).unwrap(), ["flv", "amf"]);
        assert_eq!(
            targets("[package]\nname = 'x'\n").unwrap(),
            Vec::<String>::new()
        );
        assert!(targets("[package").is_err());
    }
}
