//! Commands that documents show are commands that exist.

use std::process::Stdio;

use weir_testkit::Process;
use weir_testkit::documents::{Example, examples};
use weir_testkit::weir::command;

/// Whether the binary knows the command and each of its flags, by what `--help` says of them.
fn fault(example: &Example) -> Option<String> {
    let file = example.file.display();
    let named = example.args.first().filter(|arg| !arg.starts_with('-'));
    let name = named.map_or("origin", String::as_str);
    let mut help = command(env!("CARGO_BIN_EXE_weir"), &[name]);
    if let ("bench", Some(protocol)) = (name, example.args.get(1)) {
        help.arg(protocol);
    }
    help.arg("--help");
    let output = help.stdout(Stdio::piped()).output().expect("it runs");
    if !output.status.success() {
        return Some(format!("{file}: no command {name}"));
    }
    let help = String::from_utf8_lossy(&output.stdout);
    let knows = |flag: &str| {
        let mut words = help.split(|c: char| c.is_whitespace() || ",[=".contains(c));
        words.any(|word| word == flag)
    };
    let flags = example.args.iter().filter(|arg| arg.starts_with("--"));
    let mut flags = flags.map(|flag| flag.split('=').next().unwrap_or_default());
    let unknown = flags.find(|flag| *flag != "--version" && !knows(flag))?;
    Some(format!("{file}: {name} has no flag {unknown}"))
}

#[test]
fn every_command_in_a_document_exists() {
    let faults: Vec<String> = examples().iter().filter_map(fault).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_command_that_does_not_exist_is_found() {
    let example = |args: &[&str]| Example {
        file: "test.md".into(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
    };
    assert_eq!(
        fault(&example(&["origin", "--rtmp-listen", "0.0.0.0:1"])),
        None
    );
    assert_eq!(fault(&example(&["--stream-grace=1s"])), None);
    assert_eq!(
        fault(&example(&["relay", "--retry-limit", "1", "rtmp://a/b/c"])),
        None
    );
    assert!(fault(&example(&["origin", "--rtmp-lisen", "0.0.0.0:1"])).is_some());
    assert!(fault(&example(&["orgin"])).is_some());
}

#[test]
fn the_sample_configuration_is_valid() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../../weir.toml");
    let check = Process::spawn(&mut command(env!("CARGO_BIN_EXE_weir"), &["check", sample]));
    check.succeed();
}
