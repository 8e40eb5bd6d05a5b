//! Licences, sources and bans of all packages that are built.
//!
//! Owns: the reading of `deny.toml`, of which cargo-deny reads the same keys, and the limit on the lock file. Built is
//! what can be reached with all features on any system; the lock file, and the graph of `cargo metadata`, also hold
//! packages of features that nobody turns on.
//! Does not: ask for security advisories, which takes the network: `cargo deny check advisories` does that.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use toml::Table;

use crate::project::{Project, output};
use crate::{say, spdx};

/// Packages in the lock file stay below this: each is somebody else's code to trust, build and update.
const MAX_LOCKED: usize = 350;

/// Checks the packages of `Cargo.lock` against `deny.toml`.
pub(crate) fn run(project: &Project) -> Result<()> {
    let policy: Table = project
        .read("deny.toml")?
        .parse()
        .context("deny.toml is no TOML")?;
    let policy = Policy::new(&policy)?;
    let built = reached(&output(&mut project.cargo(TREE))?)?;
    let mut packages = packages(&project.metadata(&["--locked"])?)?;
    packages.retain(|package| built.contains(&(package.name.clone(), package.version.clone())));
    if packages.len() != built.len() {
        bail!("cargo tree and cargo metadata do not name the same packages");
    }
    let lock: Table = project
        .read("Cargo.lock")?
        .parse()
        .context("Cargo.lock is no TOML")?;
    let locked = lock
        .get("package")
        .and_then(toml::Value::as_array)
        .map_or(0, Vec::len);

    let mut faults: Vec<String> = packages
        .iter()
        .flat_map(|package| policy.faults(package))
        .collect();
    faults.extend(policy.duplicates(&packages));
    if locked >= MAX_LOCKED {
        faults.push(format!(
            "Cargo.lock: {locked} packages, stay below {MAX_LOCKED}"
        ));
    }
    say::verdict(
        &faults,
        &format!(
            "{} packages with allowed licences and sources",
            packages.len()
        ),
    )
}

/// The command that names what is built: features resolved as the build does it, for every system.
const TREE: &[&str] = &[
    "tree",
    "--locked",
    "--workspace",
    "--all-features",
    "--target",
    "all",
    "--edges",
    "normal,build,dev",
    "--prefix",
    "none",
    "--format",
    "{p}",
];

/// Name and version of each package in the output of [`TREE`]: lines of `name v1.2.3`, with more behind it for some.
fn reached(tree: &str) -> Result<HashSet<(String, String)>> {
    let lines = tree.lines().filter(|line| !line.trim().is_empty());
    let parsed = lines.map(|line| {
        let mut words = line.split_whitespace();
        let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
        Some((name.to_owned(), version.to_owned()))
    });
    parsed
        .collect::<Option<_>>()
        .context("cargo tree wrote lines of an unknown form")
}

/// What `cargo metadata` says about a package.
struct Package {
    name: String,
    version: String,
    licence: Option<String>,
    /// `None` for a package of the workspace.
    source: Option<String>,
}

fn packages(metadata: &Value) -> Result<Vec<Package>> {
    let packages = metadata["packages"]
        .as_array()
        .context("metadata without packages")?;
    let parsed = packages.iter().map(|package| {
        let text = |key: &str| package[key].as_str().map(str::to_owned);
        Some(Package {
            name: text("name")?,
            version: text("version")?,
            licence: text("license"),
            source: text("source"),
        })
    });
    parsed
        .collect::<Option<_>>()
        .context("metadata of an unknown form")
}

/// The keys of `deny.toml` that are checked here.
struct Policy {
    licences: Vec<String>,
    registries: Vec<String>,
    banned: Vec<Entry>,
    /// Packages that may be there in more than one version.
    duplicates: Vec<Entry>,
}

/// An entry of a list in `[bans]`.
struct Entry {
    /// Name, and after `@` perhaps a version or the beginning of one.
    package: String,
    reason: String,
}

impl Policy {
    fn new(policy: &Table) -> Result<Self> {
        let banned = entries(policy, "deny")?;
        Ok(Self {
            licences: strings(policy, "licenses", "allow")?,
            registries: strings(policy, "sources", "allow-registry")?,
            banned,
            duplicates: entries(policy, "skip")?,
        })
    }

    fn faults(&self, package: &Package) -> Vec<String> {
        let name = format!("{} {}", package.name, package.version);
        let mut faults = Vec::new();
        let allowed = |licence: &str| self.licences.iter().any(|known| known == licence);
        match &package.licence {
            None => faults.push(format!("{name}: no licence expression")),
            Some(expression) => match spdx::met(expression, &allowed) {
                Ok(true) => {}
                Ok(false) => faults.push(format!("{name}: licence not allowed: {expression}")),
                Err(error) => faults.push(format!("{name}: licence not understood: {error}")),
            },
        }
        if let Some(source) = &package.source
            && !self
                .registries
                .iter()
                .any(|known| source.strip_prefix("registry+") == Some(known))
        {
            faults.push(format!("{name}: source not allowed: {source}"));
        }
        if let Some(ban) = self.banned.iter().find(|ban| ban.is(package)) {
            faults.push(format!("{name}: banned: {}", ban.reason));
        }
        faults
    }

    fn duplicates(&self, packages: &[Package]) -> Vec<String> {
        let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let counted = packages
            .iter()
            .filter(|package| !self.duplicates.iter().any(|e| e.is(package)));
        for package in counted {
            versions
                .entry(&package.name)
                .or_default()
                .push(&package.version);
        }
        let twice = versions.iter().filter(|(_, versions)| versions.len() > 1);
        twice
            .map(|(name, all)| format!("{name}: several versions: {}", all.join(", ")))
            .collect()
    }
}

impl Entry {
    fn is(&self, package: &Package) -> bool {
        let (name, version) = self.package.split_once('@').unwrap_or((&self.package, ""));
        let rest = package.version.strip_prefix(version);
        let whole_part = rest.is_some_and(|rest| {
            version.is_empty() || rest.is_empty() || rest.starts_with(['.', '-', '+'])
        });
        name == package.name && whole_part
    }
}

fn strings(policy: &Table, section: &str, key: &str) -> Result<Vec<String>> {
    let list = policy
        .get(section)
        .and_then(|section| section.get(key)?.as_array());
    let list = list.with_context(|| format!("deny.toml: no [{section}] {key}"))?;
    let texts = list.iter().map(|item| item.as_str().map(str::to_owned));
    texts
        .collect::<Option<_>>()
        .with_context(|| format!("deny.toml: {key} has no plain strings"))
}

/// A list of `{ crate = "name", reason = "…" }` in `[bans]`.
fn entries(policy: &Table, key: &str) -> Result<Vec<Entry>> {
    let list = policy
        .get("bans")
        .and_then(|bans| bans.get(key)?.as_array());
    let list = list.with_context(|| format!("deny.toml: no [bans] {key}"))?;
    let parsed = list.iter().map(|item| {
        let text = |key: &str| item.get(key)?.as_str().map(str::to_owned);
        Some(Entry {
            package: text("crate")?,
            reason: text("reason")?,
        })
    });
    let entries = parsed.collect::<Option<_>>();
    entries.with_context(|| format!("deny.toml: {key} takes {{ crate = …, reason = … }}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

    fn policy() -> Policy {
        let text = r#"
            [licenses]
            allow = ["MIT", "Apache-2.0"]
            [bans]
            deny = [{ crate = "ring", reason = "one provider" }, { crate = "old@1", reason = "x" }]
            skip = [{ crate = "syn@2", reason = "moving" }]
            [sources]
            allow-registry = ["https://github.com/rust-lang/crates.io-index"]
        "#;
        Policy::new(&text.parse().unwrap()).unwrap()
    }

    fn package(name: &str, version: &str) -> Package {
        Package {
            name: name.to_owned(),
            version: version.to_owned(),
            licence: Some("MIT OR GPL-3.0".to_owned()),
            source: Some(REGISTRY.to_owned()),
        }
    }

    #[test]
    fn planted_packages_are_found() {
        let policy = policy();
        assert_eq!(
            policy.faults(&package("fine", "1.0.0")),
            Vec::<String>::new()
        );
        let copyleft = Package {
            licence: Some("GPL-3.0".to_owned()),
            ..package("a", "1.0.0")
        };
        assert_eq!(
            policy.faults(&copyleft),
            ["a 1.0.0: licence not allowed: GPL-3.0"]
        );
        let silent = Package {
            licence: None,
            ..package("a", "1.0.0")
        };
        assert_eq!(policy.faults(&silent), ["a 1.0.0: no licence expression"]);
        let broken = Package {
            licence: Some("MIT OR".to_owned()),
            ..package("a", "1.0.0")
        };
        assert!(policy.faults(&broken)[0].contains("not understood"));
        let git = "git+https://example.invalid/a";
        let git = Package {
            source: Some(git.to_owned()),
            ..package("a", "1.0.0")
        };
        assert!(policy.faults(&git)[0].contains("source not allowed: git+"));
        let own = Package {
            source: None,
            ..package("weir-wire", "0.1.0")
        };
        assert_eq!(policy.faults(&own), Vec::<String>::new());
    }

    #[test]
    fn bans_name_a_crate_and_perhaps_a_version() {
        let policy = policy();
        assert_eq!(
            policy.faults(&package("ring", "0.17.8")),
            ["ring 0.17.8: banned: one provider"]
        );
        assert_eq!(policy.faults(&package("old", "1.2.3")).len(), 1);
        assert_eq!(policy.faults(&package("old", "10.2.3")).len(), 0);
        assert_eq!(policy.faults(&package("ring-like", "1.0.0")).len(), 0);
    }

    #[test]
    fn duplicates_without_a_reason_are_found() {
        let policy = policy();
        let excused = [package("syn", "2.0.1"), package("syn", "3.0.1")];
        assert_eq!(policy.duplicates(&excused), Vec::<String>::new());
        let twice = [
            package("mio", "0.8.1"),
            package("mio", "1.0.1"),
            package("syn", "3.0.1"),
        ];
        assert_eq!(
            policy.duplicates(&twice),
            ["mio: several versions: 0.8.1, 1.0.1"]
        );
    }

    #[test]
    fn a_policy_with_a_part_missing_is_an_error() {
        for text in [
            "",
            "[licenses]\nallow = [1]",
            "[licenses]\nallow = []\n[bans]\ndeny = ['x']",
        ] {
            assert!(Policy::new(&text.parse().unwrap()).is_err(), "{text}");
        }
    }

    #[test]
    fn the_tree_is_read() {
        let tree = "weir-wire v0.1.0 (/weir/crates/wire)\nserde v1.0.1 (*)\n\nserde v1.0.1\n\
            paste v2.0.0-rc.1+x (proc-macro)\n";
        let mut found: Vec<_> = reached(tree).unwrap().into_iter().collect();
        found.sort();
        let expected = [
            ("paste", "2.0.0-rc.1+x"),
            ("serde", "1.0.1"),
            ("weir-wire", "0.1.0"),
        ];
        assert_eq!(found, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert!(reached("serde 1.0.1\n").is_err());
    }

    #[test]
    fn metadata_is_read() {
        let metadata = json!({ "packages": [{
            "name": "a", "version": "1.0.0", "license": null, "source": REGISTRY,
        }]});
        let packages = packages(&metadata).unwrap();
        assert!(packages[0].licence.is_none() && packages[0].source.as_deref() == Some(REGISTRY));
        assert!(super::packages(&json!({ "packages": [{}] })).is_err());
    }
}
