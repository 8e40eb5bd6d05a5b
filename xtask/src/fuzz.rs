//! Fuzzing of one target for a while.
//!
//! Owns: how libFuzzer is started on the stable compiler. The targets themselves are the package in `fuzz/libfuzzer`,
//! which is a workspace of its own because only cargo-fuzz can build it. Runs begin from the committed corpus in
//! `fuzz/corpus`, and what they find goes to one that is not committed. Does not: choose what is committed.

use anyhow::{Context, Result, bail};

use crate::project::{self, Project};
use crate::say;

/// How long a target is fuzzed unless told: long enough to find what a careless change breaks, short enough to wait.
pub(crate) const DEFAULT_SECONDS: u64 = 60;

const FOLDER: &str = "fuzz/libfuzzer";

/// The committed inputs, a folder for each target.
const CORPUS: &str = "fuzz/corpus";

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
    let found = format!("{FOLDER}/corpus/{target}");
    std::fs::create_dir_all(project.root().join(&found))
        .with_context(|| format!("cannot create {found}"))?;
    let mut fuzz = project.cargo(&[]);
    fuzz.args(arguments(target, &found, seconds));
    // The instrumentation is behind flags that the stable compiler takes only when told to act as its own bootstrap.
    project::succeed(fuzz.env("RUSTC_BOOTSTRAP", "1"))
}

/// What cargo is told. libFuzzer writes new inputs to the first folder and reads all of them.
fn arguments(target: &str, found: &str, seconds: u64) -> Vec<String> {
    let committed = format!("{CORPUS}/{target}");
    let limit = format!("-max_total_time={seconds}");
    let words = [
        "fuzz",
        "run",
        "--fuzz-dir",
        FOLDER,
        target,
        found,
        &committed,
        "--",
        &limit,
    ];
    words.map(str::to_owned).to_vec()
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
    fn new_inputs_go_beside_the_committed_ones() {
        assert_eq!(
            arguments("flv", "fuzz/libfuzzer/corpus/flv", 9).join(" "),
            "fuzz run --fuzz-dir fuzz/libfuzzer flv fuzz/libfuzzer/corpus/flv fuzz/corpus/flv \
             -- -max_total_time=9"
        );
    }

    #[test]
    fn every_target_has_a_committed_corpus() {
        let project = Project::here().unwrap();
        let manifest = project.read(&format!("{FOLDER}/Cargo.toml")).unwrap();
        for target in targets(&manifest).unwrap() {
            let folder = project.root().join(CORPUS).join(&target);
            assert!(folder.is_dir(), "{CORPUS}/{target}");
        }
    }

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
