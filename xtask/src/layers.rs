//! Who may depend on whom.
//!
//! Owns: the order of the crates, its exceptions, and where async runtimes are allowed. What is checked are the normal
//! and build dependencies that manifests declare; tests may use what they like. Does not: look at what a foreign crate
//! brings along.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::project::Project;
use crate::say;

/// From the binary down: a crate may use those in later rows, never its own row or an earlier one.
const ORDER: &[&[&str]] = &[
    &["weir-server"],
    &["weir-app", "weir-bench", "weir-top"],
    &[
        "weir-gate-rtmp",
        "weir-gate-http",
        "weir-gate-ts",
        "weir-proxy",
    ],
    &["weir-gate", "weir-cluster-redis"],
    &["weir-fanout", "weir-console"],
    &["weir-net", "weir-hub", "weir-cluster"],
    &["weir-segment"],
    &["weir-rtmp", "weir-http", "weir-hls"],
    &["weir-container"],
    &["weir-codec"],
    &["weir-media", "weir-wire"],
];

/// Sans-IO: bytes and time in; bytes, events and a deadline out.
const CORES: &[&str] = &[
    "weir-segment",
    "weir-cluster",
    "weir-hls",
    "weir-rtmp",
    "weir-http",
    "weir-container",
    "weir-codec",
    "weir-media",
    "weir-wire",
];

/// Crates that may use these of ours and no others, whatever the order says.
const ONLY: &[(&str, &[&str], &str)] = &[
    (
        "weir-hub",
        &["weir-media"],
        "the hub never names a protocol",
    ),
    (
        "weir-cluster",
        &[],
        "cluster state knows names, not protocols",
    ),
    (
        "weir-cluster-redis",
        &["weir-cluster", "weir-wire"],
        "a backend of cluster state, and no more",
    ),
    (
        "weir-proxy",
        BELOW_PROXY,
        "the proxy sees openings, never frames",
    ),
    (
        "weir-gate",
        BELOW_GATES,
        "what all gates share speaks no protocol",
    ),
    (
        "weir-console",
        &[],
        "the console knows the API by its answers only",
    ),
    (
        "weir-net",
        &["weir-wire"],
        "sockets and clocks know nothing of media",
    ),
    (
        "weir-bench",
        CORES,
        "the load generator shares cores with the server, not its workings",
    ),
    ("weir-top", CORES, "it knows the server by its API only"),
    ("weir-fuzz", CORES, "fuzzing feeds cores"),
    (
        "weir-testkit",
        CORES,
        "fixtures are made of what all tests may see",
    ),
    ("xtask", &[], "the tool must build when the server does not"),
];

/// What the shared part of the gates stands on.
const BELOW_GATES: &[&str] = &[
    "weir-fanout",
    "weir-net",
    "weir-hub",
    "weir-container",
    "weir-codec",
    "weir-media",
    "weir-wire",
];

/// What the proxy stands on.
const BELOW_PROXY: &[&str] = &[
    "weir-cluster",
    "weir-net",
    "weir-rtmp",
    "weir-http",
    "weir-hls",
    "weir-container",
    "weir-wire",
];

/// The only crates with tasks; everything else is driven by them.
const TOKIO: &[&str] = &[
    "weir-net",
    "weir-fanout",
    "weir-gate",
    "weir-gate-rtmp",
    "weir-gate-http",
    "weir-gate-ts",
    "weir-cluster-redis",
    "weir-proxy",
    "weir-app",
    "weir-bench",
    "weir-server",
];

/// Foreign crates that bring tasks, sockets or polling, by the beginning of their names.
const IO: &[&str] = &[
    "tokio", "mio", "async-", "futures", "smol", "hyper", "axum", "socket2",
];

/// Checks the workspace. Fails when an arrow points the wrong way.
pub(crate) fn run(project: &Project) -> Result<()> {
    let crates = crates(&project.metadata(&["--no-deps"])?)?;
    let arrows: usize = crates.iter().map(|from| from.uses.len()).sum();
    let faults: Vec<String> = crates.iter().flat_map(faults).collect();
    say::verdict(
        &faults,
        &format!("{} crates, {arrows} dependencies in order", crates.len()),
    )
}

/// A crate of the workspace with its normal and build dependencies.
struct Crate {
    name: String,
    uses: Vec<String>,
}

fn crates(metadata: &Value) -> Result<Vec<Crate>> {
    let packages = metadata["packages"]
        .as_array()
        .context("metadata without packages")?;
    packages
        .iter()
        .map(|package| parse(package).context("metadata of an unknown form"))
        .collect()
}

fn parse(package: &Value) -> Option<Crate> {
    let dependencies = package["dependencies"].as_array()?;
    let normal = dependencies
        .iter()
        .filter(|dependency| dependency["kind"] != "dev");
    let uses = normal.map(|dependency| dependency["name"].as_str().map(str::to_owned));
    Some(Crate {
        name: package["name"].as_str()?.to_owned(),
        uses: uses.collect::<Option<_>>()?,
    })
}

fn faults(from: &Crate) -> Vec<String> {
    if row(&from.name).is_none() && only(&from.name).is_none() {
        return vec![format!("{} has no place in xtask/src/layers.rs", from.name)];
    }
    let refusals = from.uses.iter().filter_map(|to| {
        let why = refusal(&from.name, to)?;
        Some(format!("{} -> {to}: {why}", from.name))
    });
    refusals.collect()
}

/// Why `from` must not use `to`; `None` when it may.
fn refusal(from: &str, to: &str) -> Option<String> {
    if !to.starts_with("weir-") && to != "xtask" {
        return foreign_refusal(from, to);
    }
    if to == "weir-testkit" {
        return Some("the test kit is a dev-dependency only".to_owned());
    }
    if let Some((allowed, reason)) = only(from) {
        return (!allowed.contains(&to)).then(|| reason.to_owned());
    }
    let (Some(from), Some(to)) = (row(from), row(to)) else {
        return Some("nothing of the server uses a tool".to_owned());
    };
    (from >= to).then(|| "arrows point from the binary to the media model only".to_owned())
}

fn foreign_refusal(from: &str, to: &str) -> Option<String> {
    let quiet = CORES.contains(&from) || from == "weir-hub";
    if quiet && IO.iter().any(|prefix| to.starts_with(prefix)) {
        return Some("cores and the hub do no IO and have no tasks".to_owned());
    }
    let tokio = to.starts_with("tokio") && !TOKIO.contains(&from);
    tokio.then(|| "tokio is for the crates listed in xtask/src/layers.rs".to_owned())
}

fn row(name: &str) -> Option<usize> {
    ORDER.iter().position(|row| row.contains(&name))
}

fn only(name: &str) -> Option<(&'static [&'static str], &'static str)> {
    let (_, allowed, reason) = ONLY.iter().find(|(from, ..)| *from == name)?;
    Some((allowed, reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(from: &str, to: &str) -> bool {
        refusal(from, to).is_some()
    }

    #[test]
    fn arrows_of_the_architecture_are_allowed() {
        for (from, to) in [
            ("weir-server", "weir-app"),
            ("weir-server", "weir-bench"),
            ("weir-app", "weir-gate-http"),
            ("weir-app", "weir-hub"),
            ("weir-gate-rtmp", "weir-rtmp"),
            ("weir-gate-rtmp", "weir-gate"),
            ("weir-gate", "weir-container"),
            ("weir-gate-rtmp", "weir-fanout"),
            ("weir-fanout", "weir-net"),
            ("weir-hub", "weir-media"),
            ("weir-rtmp", "weir-container"),
            ("weir-container", "weir-codec"),
            ("weir-bench", "weir-rtmp"),
            ("weir-fuzz", "weir-rtmp"),
            ("weir-net", "tokio"),
            ("weir-bench", "mio"),
            ("weir-hub", "parking_lot"),
        ] {
            assert_eq!(refusal(from, to), None, "{from} -> {to}");
        }
    }

    #[test]
    fn arrows_that_would_spoil_it_are_refused() {
        for (from, to) in [
            ("weir-gate-rtmp", "weir-gate-http"),
            ("weir-gate-http", "weir-app"),
            ("weir-gate", "weir-gate-http"),
            ("weir-gate", "weir-rtmp"),
            ("weir-fanout", "weir-gate"),
            ("weir-hub", "weir-container"),
            ("weir-hub", "weir-net"),
            ("weir-hub", "tokio"),
            ("weir-net", "weir-media"),
            ("weir-net", "weir-hub"),
            ("weir-rtmp", "weir-hub"),
            ("weir-rtmp", "weir-net"),
            ("weir-codec", "weir-fanout"),
            ("weir-container", "weir-rtmp"),
            ("weir-wire", "weir-media"),
            ("weir-media", "tokio-util"),
            ("weir-rtmp", "mio"),
            ("weir-rtmp", "futures-core"),
            ("weir-bench", "weir-app"),
            ("weir-bench", "weir-hub"),
            ("weir-app", "weir-bench"),
            ("weir-app", "weir-testkit"),
            ("weir-app", "xtask"),
            ("weir-testkit", "tokio"),
            ("xtask", "weir-media"),
        ] {
            assert!(refused(from, to), "{from} -> {to}");
        }
    }

    #[test]
    fn a_planted_arrow_is_found_in_metadata_and_dev_dependencies_are_not() {
        let metadata = json!({ "packages": [{
            "name": "weir-hub",
            "dependencies": [
                { "name": "weir-media", "kind": null },
                { "name": "weir-rtmp", "kind": null },
                { "name": "weir-testkit", "kind": "dev" },
                { "name": "tokio", "kind": "build" },
            ],
        }]});
        let crates = crates(&metadata).unwrap();
        let found = faults(&crates[0]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("weir-hub -> weir-rtmp: the hub never names a protocol"));
        assert!(found[1].starts_with("weir-hub -> tokio:"));
    }

    #[test]
    fn a_crate_without_a_place_and_metadata_without_a_name_are_found() {
        let stray = Crate {
            name: "weir-new".to_owned(),
            uses: vec![],
        };
        assert!(faults(&stray)[0].contains("has no place"));
        assert!(crates(&json!({ "packages": [{ "dependencies": [] }] })).is_err());
        assert!(crates(&json!({})).is_err());
    }

    #[test]
    fn every_name_in_a_table_is_a_crate_with_a_place() {
        let names = TOKIO
            .iter()
            .chain(CORES)
            .chain(ONLY.iter().flat_map(|(_, used, _)| *used));
        for name in names {
            assert!(row(name).is_some(), "{name}");
        }
    }
}
