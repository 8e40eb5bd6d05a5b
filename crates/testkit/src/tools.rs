//! The foreign programs that tests run.
//!
//! Owns: where they are, and the failure when one is missing. Does not: install them; `cargo xtask install` does.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A foreign program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tool {
    /// The distribution's ffmpeg, which knows the RTMP of old.
    Ffmpeg,
    /// An ffmpeg that speaks enhanced RTMP.
    FfmpegEnhanced,
    /// rtmpdump, on librtmp.
    Rtmpdump,
    /// curl.
    Curl,
    /// GStreamer's pipeline runner.
    Gst,
    /// nginx, for its RTMP module.
    Nginx,
    /// python3.
    Python,
    /// A Redis server, which is also a sentinel.
    Redis,
    /// The command line of Redis.
    RedisCli,
    /// HAProxy, a load balancer.
    Haproxy,
    /// node, which runs the scripts in this crate's folder `browser`.
    Node,
    /// Chromium, a browser; [`Browser`](crate::Browser) starts it.
    Chromium,
}

impl Tool {
    /// The program's name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ffmpeg => "ffmpeg",
            Self::FfmpegEnhanced => "ffmpeg-enhanced",
            Self::Rtmpdump => "rtmpdump",
            Self::Curl => "curl",
            Self::Gst => "gst-launch-1.0",
            Self::Nginx => "nginx",
            Self::Python => "python3",
            Self::Redis => "redis-server",
            Self::RedisCli => "redis-cli",
            Self::Haproxy => "haproxy",
            Self::Node => "node",
            Self::Chromium => "chromium",
        }
    }

    /// Where the program is. Panics when it is not installed.
    pub fn path(self) -> PathBuf {
        let found = match self {
            Self::FfmpegEnhanced => Some(folder().join(self.name())).filter(|path| path.is_file()),
            _ => search(self.name()),
        };
        found.unwrap_or_else(|| missing(self.name()))
    }

    /// A command that runs it without input and with its output thrown away, unless changed.
    pub fn command<A: AsRef<OsStr>>(self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(self.path());
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }
}

/// A script in this crate's folder `browser`. Panics when the packages that it imports are not installed.
pub(crate) fn script(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    if !folder.join("node_modules").is_dir() {
        missing("the npm folder crates/testkit/browser/node_modules");
    }
    folder.join(name)
}

/// Fails the test that wanted a program or file that is not installed.
pub(crate) fn missing(what: &str) -> ! {
    panic!("{what} is missing: run `cargo xtask install`, which installs what the tests talk to")
}

fn search(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // nginx lives where only root's path leads
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// The folder of tools that no distribution has.
fn folder() -> PathBuf {
    std::env::var_os("WEIR_TEST_TOOLS").map_or_else(|| target().join("test-tools"), PathBuf::from)
}

/// Cargo's target folder.
pub(crate) fn target() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    workspace.join(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_and_missing_ones_are_not() {
        assert!(search("sh").is_some());
        assert_eq!(search("a-program-that-nobody-has"), None);
    }

    #[test]
    #[should_panic(expected = "run `cargo xtask install`")]
    fn a_missing_tool_says_how_to_get_it() {
        missing("ffmpeg");
    }
}
