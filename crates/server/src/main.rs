//! The binary `weir`: subcommands and nothing but wiring.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use clap::{Args, FromArgMatches};
use weir_app::cli::{self, Check, Command, Exit};
use weir_app::{config, relay, run};

/// Frames are made on one core and freed on another, all the time: with the C library's allocator 1000 publishers with a
/// viewer each spent a seventh of the CPU in its locks and free lists (`docs/performance.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let bench = weir_bench::Args::augment_args(clap::Command::new("bench"));
    let top = weir_top::Args::augment_args(
        clap::Command::new("top").about("Show what a server holds and does, live in the terminal"),
    );
    let command = match cli::parse(std::env::args_os(), bench, top) {
        Ok(command) => command,
        // also help and version, which are no errors
        Err(error) => error.exit(),
    };
    match command {
        Command::Origin(settings) => run::origin(&settings).into(),
        Command::Proxy(settings) => run::proxy(&settings).into(),
        Command::Check(arguments) => check(&arguments).into(),
        Command::Relay(arguments) => relay::run(&arguments).into(),
        Command::Bench(matches) => self::bench(&matches),
        Command::Top(matches) => self::top(&matches),
    }
}

/// Says what is wrong with a configuration, or what it sets.
fn check(arguments: &Check) -> Exit {
    if arguments.defaults {
        say(config::sample());
        return Exit::Success;
    }
    match run::load_as(arguments.role, &arguments.settings) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                complain(&format_args!("warning: {warning}"));
            }
            say(loaded.report());
            say("configuration is valid\n");
            Exit::Success
        }
        Err(problems) => {
            complain(&problems);
            Exit::Usage
        }
    }
}

fn bench(matches: &clap::ArgMatches) -> ExitCode {
    let arguments = match weir_bench::Args::from_arg_matches(matches) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    match weir_bench::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format_args!("{error:#}"));
            ExitCode::from(weir_bench::exit_code(&error))
        }
    }
}

fn top(matches: &clap::ArgMatches) -> ExitCode {
    let arguments = match weir_top::Args::from_arg_matches(matches) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    match weir_top::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format_args!("{error:#}"));
            ExitCode::from(weir_top::exit_code(&error))
        }
    }
}

// a reader that has closed its end wants no more words, so a failure to write them is none of the command's

fn say(text: impl Display) {
    let _ = write!(std::io::stdout(), "{text}");
}

fn complain(text: &dyn Display) {
    let _ = writeln!(std::io::stderr(), "weir: {text}");
}
