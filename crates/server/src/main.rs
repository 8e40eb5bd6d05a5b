//! The binary `weir`: subcommands and nothing but wiring.

fn main() {}
