//! What is wrong with a configuration, and where.
//!
//! Owns: [`Origin`], [`Problem`], [`Problems`] and how they are shown. Does not: find problems.

use std::fmt;
use std::path::PathBuf;

/// Which source gave a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody: it is the default.
    Default,
    /// A file, and the line in it from 1.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// This environment variable.
    Variable(String),
    /// A line of the file `.env`.
    DotEnv {
        /// The variable that it sets.
        name: String,
        /// The line, from 1.
        line: usize,
    },
    /// This flag, without the two hyphens.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::DotEnv { line, .. } => write!(f, ".env:{line}"),
            Self::Flag(name) => write!(f, "--{name}"),
        }
    }
}

/// One thing that is wrong, such as `weir.toml:3: rtmp.chunk_size: 64 is outside 128..=16777215`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where the fault is.
    pub at: Origin,
    /// The key's full name, where one is known and `at` does not already say it.
    pub key: Option<String>,
    /// What is wrong and, where possible, what to write instead.
    pub message: String,
}

impl Problem {
    /// A problem of no particular key.
    pub(crate) fn new(at: Origin, message: impl Into<String>) -> Self {
        Self {
            at,
            key: None,
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.at)?;
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong, one a line when shown; never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct Problems(pub Vec<Problem>);

fn lines(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}
