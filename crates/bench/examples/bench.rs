//! The bench alone, without the server: `cargo run --release -p weir-bench --example bench -- rtmp …`.

use std::process::ExitCode;

use clap::Parser;

#[derive(Debug, Parser)]
struct Tool {
    #[command(flatten)]
    args: weir_bench::Args,
}

fn main() -> ExitCode {
    match weir_bench::run(Tool::parse().args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(weir_bench::exit_code(&error))
        }
    }
}
