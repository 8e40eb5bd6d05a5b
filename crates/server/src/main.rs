//! The binary `weir`: subcommands and nothing but wiring.

use std::process::ExitCode;

use weir_app::cli::{self, Command, Exit};

fn main() -> ExitCode {
    let bench = clap::Command::new("bench");
    let command = match cli::parse(std::env::args_os(), bench) {
        Ok(command) => command,
        Err(error) => error.exit(),
    };
    let exit = match command {
        Command::Origin(settings) => weir_app::run::origin(&settings),
        Command::Check(_) | Command::Relay(_) | Command::Bench(_) => Exit::Usage,
    };
    exit.into()
}
