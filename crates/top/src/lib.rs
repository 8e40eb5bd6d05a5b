//! `weir top`: what a server holds and does, live in a terminal.
//!
//! Owns: the command's arguments, asking the API of an origin or a proxy, the view, and the terminal while it shows. Knows
//! the server by its API only. Does not: keep anything, or change anything but by a kick that was confirmed.
//!
//! One thread draws and reads keys, another asks, so that a server that hangs does not freeze the view.

#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

mod args;
mod canvas;
mod client;
mod clock;
mod facts;
mod plain;
mod screen;
mod state;
mod view;
mod words;

use std::io::{IsTerminal, Write};

pub use args::Args;
pub use client::Error;

use client::Client;
use facts::Wanted;

/// Shows what `args` ask for until the user ends it; with `--once`, or where standard output is no terminal, one plain table.
///
/// # Errors
///
/// The API cannot be asked, or the terminal not be used. A view that is open goes on when the API fails, and says so.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let client = Client::new(&args.api, args.token.as_deref().unwrap_or_default())?;
    let mut out = std::io::stdout();
    if !args.once && out.is_terminal() {
        return screen::run(client, args.interval());
    }
    let facts = facts::fetch(&client, Wanted::Everything)?;
    // a reader that has closed its end wants no more words
    let _ = out.write_all(plain::table(&facts).as_bytes());
    Ok(())
}

/// The exit code for a failure: 2 for wrong usage, 1 for the rest.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref() {
        Some(Error::Url { .. }) => 2,
        _ => 1,
    }
}
