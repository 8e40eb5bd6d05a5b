//! The project's one tool: `cargo xtask <command>`.
//!
//! Owns: the commands and their help. Each check lives in a module of its own and can be run alone; [`check`] strings
//! them together. Does not: need anything but a Rust toolchain, until `install` fetches what the tests talk to.

#![forbid(unsafe_code)]

mod bench;
mod check;
mod child;
mod cluster;
mod console;
mod fuzz;
mod layers;
mod licences;
mod project;
mod say;
mod source;
mod spdx;
mod suite;
mod tidy;
mod tools;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::project::Project;

const HELP: &str = "\
cargo xtask <command>

  check                    format, layers, tidy, licences, clippy, docs; installs nothing
  test [--only STEP]...    install, all of check, then every test; ends with `N passed, N failed`
  install                  what the tests need: foreign clients and servers, a recent ffmpeg
  fix                      format the code and apply what clippy can repair
  layers                   who may depend on whom among the crates
  tidy                     file headers, sizes, names, leftovers, stale paths
  licences                 licences, sources and bans of deny.toml; size of the lock file
  fuzz <target> [seconds]  fuzz one target, 60 s unless told; without a target, list them
  bench [case [runs]]      Weir beside nginx-rtmp under the loads of docs/performance.md; `bench all 5`;
                           the proxy beside HAProxy: `bench proxy-all 5`, or proxy-100pub, proxy-100x2,
                           proxy-200view, proxy-2000x2, proxy-2000x2-20fps, proxy-first-frame, picks;
                           HLS: `bench hls-all 5`, or hls-2000 (low-latency viewers), hls-files (beside
                           nginx), ts-1000 (HTTP-TS beside HTTP-FLV), hls-500-streams, hls-idle;
                           pictures in Chromium: `bench ll-hls-latency [minutes] [--player NAME]`
  console [--dev]          the web console: install, check types, test, build into console/dist;
                           --dev serves the sources and reloads on change; needs node 18 and npm
  cluster [options]        3 origins, 2 proxies and Redis until Ctrl-C; --origins N, --proxies N,
                           --memory (one proxy, no Redis), --base-port P
  help                     this text

Steps for --only: install format layers tidy licences clippy docs tests";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    run(&args).unwrap_or_else(|error| {
        say::error(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}

fn run(args: &[&str]) -> Result<ExitCode> {
    let project = Project::here()?;
    let done = |result: Result<()>| result.map(|()| ExitCode::SUCCESS);
    match args {
        ["check"] => check::check(&project),
        ["test", rest @ ..] => check::test(&project, &only(rest)?),
        ["install"] => done(tools::install(&project)),
        ["fix"] => done(check::fix(&project)),
        ["layers"] => done(layers::run(&project)),
        ["tidy"] => done(tidy::run(&project)),
        ["licences"] => done(licences::run(&project)),
        ["fuzz"] => done(fuzz::list(&project)),
        ["fuzz", target] => done(fuzz::run(&project, target, fuzz::DEFAULT_SECONDS)),
        ["fuzz", target, seconds] => {
            let seconds = seconds
                .parse()
                .with_context(|| format!("not seconds: {seconds}"))?;
            done(fuzz::run(&project, target, seconds))
        }
        ["bench", name, rest @ ..] if bench::is_glass(name) => {
            done(bench::run_glass(&project, rest))
        }
        ["bench"] => done(bench::run(&project, "all", bench::DEFAULT_RUNS)),
        ["bench", case] => done(bench::run(&project, case, bench::DEFAULT_RUNS)),
        ["bench", case, runs] => {
            let runs = runs
                .parse()
                .with_context(|| format!("not a number: {runs}"))?;
            done(bench::run(&project, case, runs))
        }
        ["cluster", rest @ ..] => done(cluster::run(&project, rest)),
        ["console", rest @ ..] => done(console::run(&project, rest)),
        [] | ["help" | "--help" | "-h"] => {
            say::line(HELP);
            Ok(ExitCode::SUCCESS)
        }
        _ => bail!("no such command: {}\n\n{HELP}", args.join(" ")),
    }
}

/// The steps named by `--only NAME`, in any number; none means all.
fn only<'a>(args: &[&'a str]) -> Result<Vec<&'a str>> {
    let mut names = Vec::new();
    let mut rest = args;
    while let [flag, tail @ ..] = rest {
        let ("--only", [name, tail @ ..]) = (*flag, tail) else {
            bail!("expected `--only STEP`, got: {}", rest.join(" "));
        };
        names.push(*name);
        rest = tail;
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_collects_every_step_named() {
        assert_eq!(only(&[]).unwrap(), Vec::<&str>::new());
        assert_eq!(
            only(&["--only", "tidy", "--only", "docs"]).unwrap(),
            ["tidy", "docs"]
        );
    }

    #[test]
    fn a_flag_without_a_step_and_an_unknown_command_are_errors() {
        assert!(only(&["--only"]).is_err());
        assert!(only(&["tidy"]).is_err());
        assert!(
            run(&["chekc"])
                .unwrap_err()
                .to_string()
                .contains("no such command: chekc")
        );
        assert!(
            run(&["fuzz", "flv", "soon"])
                .unwrap_err()
                .to_string()
                .contains("not seconds")
        );
    }

    #[test]
    fn the_help_names_every_step() {
        for step in check::STEPS {
            assert!(
                HELP.lines().last().unwrap().contains(step.name),
                "{}",
                step.name
            );
        }
    }
}
