//! The corpus as ordinary tests: every file runs through its target, and so do some thousand mutations of each corpus.
//!
//! Files named for a program are what it sent or wrote: ffmpeg 5.1, rtmpdump 2.4 and GStreamer (`gst_*`) as RTMP clients, and
//! the FLV files and codec headers of the tests of `container` and `codec`. The bytes of control that a target wants go
//! in front. The others are made by hand.
//!
//! A failing input is written to the folder that the message names; to keep it, copy it into `corpus/<target>/`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use weir_fuzz::mutation::{self, Failure};
use weir_fuzz::{TARGETS, Target};

/// Mutations of each target. All of them together take some seconds in a debug build; the sessions, which run their
/// input twice through a whole connection, take the largest part.
const ROUNDS: usize = 6000;

/// Changed when the mutations of a corpus should be others; each seed finds something else.
const SEED: u64 = 1;

fn corpus_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// The files of a target's folder, by name; none when there is no folder.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(corpus_folder().join(target))
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn explain(target: &str, failure: &Failure) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{target}.failed"));
    fs::write(&path, &failure.input).unwrap();
    format!("{target} fails on {}: {}", path.display(), failure.message)
}

fn targets() -> impl Iterator<Item = (&'static str, Target)> {
    TARGETS.iter().copied()
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    for (target, _) in targets() {
        assert!(!corpus(target).is_empty(), "corpus/{target} has no files");
    }
    for entry in fs::read_dir(corpus_folder()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(
            targets().any(|(target, _)| target == name),
            "corpus/{name} has no target"
        );
    }
}

#[test]
fn every_target_has_a_binary_for_libfuzzer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("libfuzzer");
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for (target, _) in targets() {
        assert!(
            manifest.contains(&format!("name = \"{target}\"")),
            "{target}"
        );
        let code = fs::read_to_string(folder.join(format!("src/{target}.rs"))).unwrap();
        assert!(
            code.contains(&format!("weir_fuzz::{target}(data)")),
            "{target}"
        );
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
}

#[test]
fn every_file_passes() {
    let mut failed = Vec::new();
    for (target, run) in targets() {
        for (name, input) in corpus(target) {
            if let Err(failure) = mutation::run_one(run, &input) {
                failed.push(format!("{target}/{name}: {}", failure.message));
            }
        }
        // every target takes nothing at all
        assert_eq!(mutation::run_one(run, &[]), Ok(()), "{target}");
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn mutations_pass() {
    for (target, run) in targets() {
        let inputs: Vec<_> = corpus(target).into_iter().map(|(_, input)| input).collect();
        if let Err(failure) = mutation::run(run, &inputs, SEED, ROUNDS) {
            panic!("{}", explain(target, &failure));
        }
    }
}

#[test]
fn a_fault_in_a_target_is_reported_with_its_input() {
    let planted: Target = |data| assert!(!data.ends_with(b"\xff"), "planted fault");
    let failure = mutation::run(planted, &[vec![0; 8]], SEED, ROUNDS).unwrap_err();
    let message = explain("planted", &failure);
    assert!(message.contains("planted fault"), "{message}");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("planted.failed");
    assert_eq!(fs::read(path).unwrap(), failure.input);
}
