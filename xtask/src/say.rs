//! What this program prints.
//!
//! Owns: the few shapes of output. Results go to standard output, errors to standard error. Does not: buffer.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what this file is for"
)]

use anyhow::{Result, bail};

/// One line on standard output.
pub(crate) fn line(text: &str) {
    println!("{text}");
}

/// Text of a child, passed on as it is, with whatever ends its lines.
pub(crate) fn raw(text: &str) {
    print!("{text}");
}

/// An error, on standard error.
pub(crate) fn error(text: &str) {
    eprintln!("error: {text}");
}

/// Prints what a check found. Fails when that is anything; says `praise` when it is nothing.
pub(crate) fn verdict(faults: &[String], praise: &str) -> Result<()> {
    for fault in faults {
        line(fault);
    }
    match faults.len() {
        0 => line(praise),
        1 => bail!("1 fault"),
        n => bail!("{n} faults"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_makes_the_verdict_an_error() {
        assert!(verdict(&[], "all well").is_ok());
        assert_eq!(
            verdict(&["x".to_owned()], "").unwrap_err().to_string(),
            "1 fault"
        );
        assert!(verdict(&["x".to_owned(), "y".to_owned()], "").is_err());
    }
}
