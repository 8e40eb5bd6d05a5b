//! What the tests talk to: foreign clients and servers, fetched before the tests run.
//!
//! Owns: the list, each entry with its use, and three ways of fetching: Debian packages, one ffmpeg out of a Python
//! wheel, and locked npm packages. What is there already is left alone. Does not: skip. A tool that cannot be had is an error, because a test
//! that quietly did not run looks like one that passed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::project::{self, Project};
use crate::say;

/// Debian packages and what the tests do with them.
const PACKAGES: &[(&str, &str)] = &[
    ("ffmpeg", "publishes and plays as most scripts do"),
    ("nginx", "a foreign server to relay to and from"),
    ("libnginx-mod-rtmp", "teaches that nginx RTMP"),
    (
        "rtmpdump",
        "plays and publishes through librtmp, as OBS and many boxes do",
    ),
    (
        "gstreamer1.0-tools",
        "another publisher and player, with its own RTMP and FLV code",
    ),
    ("gstreamer1.0-plugins-base", "test pictures and sounds"),
    (
        "gstreamer1.0-plugins-good",
        "the FLV elements and the older RTMP ones",
    ),
    ("gstreamer1.0-plugins-bad", "the newer RTMP elements"),
    ("gstreamer1.0-plugins-ugly", "the H.264 encoder"),
    ("gstreamer1.0-libav", "decoders and the AAC encoder"),
    ("curl", "plays and publishes HTTP-FLV"),
    ("python3", "unpacks the ffmpeg that speaks enhanced RTMP"),
    (
        "haproxy",
        "balances before proxies, and is the floor of their costs",
    ),
    (
        "redis-server",
        "keeps the state of a cluster; tests start their own",
    ),
    (
        "redis-tools",
        "asks it, and makes a Redis Cluster of several",
    ),
    (
        "chromium",
        "plays what is streamed, and works with the pages",
    ),
    ("fonts-dejavu-core", "letters in its screenshots"),
    ("fonts-droid-fallback", "Chinese in its screenshots"),
];

/// Wanted only where there is no node that is new enough: Debian's own is.
const NODE: &[(&str, &str)] = &[
    ("nodejs", "runs the scripts that drive the browser"),
    ("npm", "fetches the packages that they import"),
];

/// The oldest major version of node that the packages below run on.
const NODE_MAJOR: u32 = 18;

/// Folders with a `package-lock.json`, from the root, and what their packages do.
const NPM_FOLDERS: &[(&str, &str)] = &[(
    "crates/testkit/browser",
    "drive the browser, play in it, and read fragmented MP4",
)];

/// In each `node_modules`: the lock file that it was made from.
const NPM_STAMP: &str = ".made-from";

/// Wanted only where this Python has no pip of its own.
const VENV: (&str, &str) = ("python3-venv", "brings pip, which fetches the ffmpeg below");

/// The wheel holds one static ffmpeg, recent enough for enhanced RTMP; Debian's is not.
const WHEEL: &str = "imageio-ffmpeg==0.8.1";

/// Takes the program out of a wheel: arguments are the wheel and the file to write.
const UNPACK: &str = "\
import os, shutil, sys, zipfile
wheel, out = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    [name] = [n for n in archive.namelist() if n.startswith('imageio_ffmpeg/binaries/ffmpeg-')]
    with archive.open(name) as source, open(out, 'wb') as target:
        shutil.copyfileobj(source, target)
os.chmod(out, 0o755)
";

/// Installs what is missing. Fails with the command to run by hand when that takes rights this process lacks.
pub(crate) fn install(project: &Project) -> Result<()> {
    packages(PACKAGES)?;
    if !has_node() {
        packages(NODE)?;
    }
    for (folder, why) in NPM_FOLDERS {
        npm(&project.root().join(folder), folder, why)?;
    }
    enhanced_ffmpeg(&project.test_tools()?)
}

/// Whether node, new enough, and npm are where commands are found, whoever put them there.
fn has_node() -> bool {
    let says = |program| project::output(Command::new(program).arg("--version"));
    says("npm").is_ok() && says("node").is_ok_and(|version| major(&version) >= Some(NODE_MAJOR))
}

/// The first number of a version such as `v20.20.2`.
fn major(version: &str) -> Option<u32> {
    let digits = version.trim().trim_start_matches('v');
    digits.split('.').next()?.parse().ok()
}

/// Installs exactly what the lock file of `folder` names, running no scripts of the packages, unless that was done.
fn npm(folder: &Path, shown: &str, why: &str) -> Result<()> {
    let lock = fs::read_to_string(folder.join("package-lock.json"))
        .with_context(|| format!("no package-lock.json in {shown}"))?;
    let stamp = folder.join("node_modules").join(NPM_STAMP);
    if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == lock) {
        say::line(&format!("npm packages of {shown}: as locked"));
        return Ok(());
    }
    say::line(&format!("fetching the npm packages of {shown}: they {why}"));
    let mut ci = Command::new("npm");
    ci.current_dir(folder).args([
        "ci",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
    ]);
    project::succeed(&mut ci)?;
    fs::write(&stamp, lock).with_context(|| format!("cannot write {}", stamp.display()))
}

fn packages(wanted: &[(&str, &str)]) -> Result<()> {
    let missing = missing(wanted, installed)?;
    if missing.is_empty() {
        say::line(&format!(
            "Debian packages: none of {} missing",
            wanted.len()
        ));
        return Ok(());
    }
    say::line("installing Debian packages:");
    for (name, why) in &missing {
        say::line(&format!("  {name:<27} {why}"));
    }
    let names: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
    let rights = Rights::of_this_process(&names)?;
    let install = [
        &["install", "--yes", "--no-install-recommends"],
        names.as_slice(),
    ]
    .concat();
    if !has_lists(Path::new("/var/lib/apt/lists")) {
        rights.apt(&["update"])?;
    }
    rights.apt(&install).or_else(|first| {
        // Lists that are old name versions the archive no longer has.
        say::line(&format!("{first:#}; trying again with new package lists"));
        rights.apt(&["update"])?;
        rights.apt(&install)
    })?;
    match self::missing(wanted, installed)?.as_slice() {
        [] => Ok(()),
        [(name, _), ..] => bail!("apt-get succeeded, but {name} is not installed"),
    }
}

/// Those of `wanted` that `installed` denies.
fn missing<'a>(
    wanted: &[(&'a str, &'a str)],
    installed: impl Fn(&str) -> Result<bool>,
) -> Result<Vec<(&'a str, &'a str)>> {
    let mut missing = Vec::new();
    for package in wanted {
        if !installed(package.0)? {
            missing.push(*package);
        }
    }
    Ok(missing)
}

/// Whether dpkg has the package, configured. Fails where there is no dpkg.
fn installed(package: &str) -> Result<bool> {
    let mut query = Command::new("dpkg-query");
    let output = query
        .args(["--show", "--showformat=${db:Status-Abbrev}", package])
        .output();
    let output = output.context(
        "the tests' tools are installed by Debian's package manager, and there is no dpkg-query",
    )?;
    Ok(output.status.success() && output.stdout.starts_with(b"ii"))
}

/// Whether apt has ever been told what there is; a fresh container image has not.
fn has_lists(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .into_iter()
        .any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
}

/// How this process gets to run apt-get as root.
enum Rights {
    Root,
    Sudo,
}

impl Rights {
    /// Fails without root and sudo, with the command that installs `packages` by hand.
    fn of_this_process(packages: &[&str]) -> Result<Self> {
        let root = project::output(Command::new("id").arg("-u"))?.trim() == "0";
        let sudo = || Command::new("sudo").arg("--version").output().is_ok();
        Self::new(root, sudo, packages)
    }

    fn new(root: bool, sudo: impl Fn() -> bool, packages: &[&str]) -> Result<Self> {
        if root {
            return Ok(Self::Root);
        }
        if sudo() {
            return Ok(Self::Sudo);
        }
        let packages = packages.join(" ");
        bail!(
            "not root and no sudo here; as root, run: apt-get update && apt-get install {packages}"
        )
    }

    fn apt(&self, args: &[&str]) -> Result<()> {
        project::succeed(&mut self.command(args))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = match self {
            Self::Root => Command::new("env"),
            Self::Sudo => {
                let mut command = Command::new("sudo");
                command.arg("env");
                command
            }
        };
        command
            .args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet=2"])
            .args(args);
        command
    }
}

/// Puts `ffmpeg-enhanced` into `folder`, unless the one from the same wheel is there and runs.
fn enhanced_ffmpeg(folder: &Path) -> Result<()> {
    let program = folder.join("ffmpeg-enhanced");
    let origin = folder.join("ffmpeg-enhanced.from");
    if fs::read_to_string(&origin).is_ok_and(|wheel| wheel == WHEEL)
        && let Ok(version) = version(&program)
    {
        say::line(&format!("ffmpeg-enhanced: there already, {version}"));
        return Ok(());
    }
    say::line(&format!(
        "fetching an ffmpeg that speaks enhanced RTMP from PyPI's {WHEEL}"
    ));
    let download = folder.join("download");
    // Left over when an earlier run was interrupted; a second wheel in there would be ambiguous.
    let _ = fs::remove_dir_all(&download);
    fs::create_dir_all(&download).with_context(|| format!("no {}", download.display()))?;

    let mut pip = Command::new(python_with_pip(folder)?);
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
    ]);
    project::succeed(pip.arg("-d").arg(&download).arg(WHEEL))?;
    let fetched = download.join("ffmpeg");
    let mut unpack = Command::new("python3");
    project::output(
        unpack
            .args(["-c", UNPACK])
            .arg(wheel_in(&download)?)
            .arg(&fetched),
    )?;

    let version = version(&fetched)?;
    fs::rename(&fetched, &program).context("cannot move ffmpeg-enhanced into place")?;
    fs::write(&origin, WHEEL).context("cannot note where ffmpeg-enhanced is from")?;
    fs::remove_dir_all(&download).context("cannot remove the download")?;
    say::line(&format!("ffmpeg-enhanced: {version}"));
    Ok(())
}

/// The first line of what a program says about its version, without the copyright.
fn version(program: &Path) -> Result<String> {
    let text = project::output(Command::new(program).arg("-version"))?;
    let line = text.lines().next().unwrap_or_default();
    Ok(line
        .split(" Copyright")
        .next()
        .unwrap_or_default()
        .to_owned())
}

/// The system's Python when it has pip, else one of our own beside the tools.
fn python_with_pip(folder: &Path) -> Result<PathBuf> {
    let has_pip = |python: &Path| {
        project::output(Command::new(python).args(["-m", "pip", "--version"])).is_ok()
    };
    let system = PathBuf::from("python3");
    if has_pip(&system) {
        return Ok(system);
    }
    let own = folder.join("venv/bin/python3");
    if !has_pip(&own) {
        packages(&[VENV])?;
        let mut venv = Command::new("python3");
        project::succeed(
            venv.args(["-m", "venv", "--clear"])
                .arg(folder.join("venv")),
        )?;
    }
    Ok(own)
}

fn wheel_in(folder: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))?;
    let mut files = entries.flatten().map(|entry| entry.path());
    let wheel = files.find(|path| path.extension().is_some_and(|end| end == "whl"));
    wheel.with_context(|| format!("pip left no wheel in {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_missing_packages_are_installed() {
        let wanted = [("curl", "a"), ("nginx", "b"), ("ffmpeg", "c")];
        let found = missing(&wanted, |name| Ok(name == "nginx")).unwrap();
        assert_eq!(found, [("curl", "a"), ("ffmpeg", "c")]);
        assert!(missing(&wanted, |_| bail!("no dpkg-query")).is_err());
    }

    #[test]
    fn versions_of_node_are_told_apart() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("18"), Some(18));
        assert!(major("v16.1.0") < Some(NODE_MAJOR) && major("unknown") < Some(NODE_MAJOR));
    }

    #[test]
    fn npm_folders_are_locked_and_what_is_as_locked_is_left_alone() {
        let project = Project::here().unwrap();
        for (folder, _) in NPM_FOLDERS {
            for file in ["package.json", "package-lock.json"] {
                assert!(project.root().join(folder).join(file).is_file(), "{folder}");
            }
        }
        let folder = std::env::temp_dir().join(format!("xtask-npm-{}", std::process::id()));
        fs::create_dir_all(folder.join("node_modules")).unwrap();
        assert!(npm(&folder, "folder", "test").is_err(), "nothing is locked");
        // npm would refuse this lock file
        fs::write(folder.join("package-lock.json"), "not JSON").unwrap();
        fs::write(folder.join("node_modules").join(NPM_STAMP), "not JSON").unwrap();
        npm(&folder, "folder", "test").unwrap();
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn rights_decide_how_apt_is_called() {
        let plain = "env DEBIAN_FRONTEND=noninteractive apt-get --quiet=2 update";
        let shown = |root, sudo: bool| {
            let rights = Rights::new(root, || sudo, &["curl", "nginx"])?;
            Ok::<_, anyhow::Error>(project::shown(&rights.command(&["update"])))
        };
        assert_eq!(shown(true, true).unwrap(), plain);
        assert_eq!(shown(false, true).unwrap(), format!("sudo {plain}"));
        let error = shown(false, false).unwrap_err().to_string();
        assert!(
            error.ends_with("run: apt-get update && apt-get install curl nginx"),
            "{error}"
        );
    }

    #[test]
    fn a_folder_without_lists_or_wheels_is_told_apart() {
        let folder = std::env::temp_dir().join(format!("xtask-tools-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert!(!has_lists(&folder) && wheel_in(&folder).is_err());
        fs::write(
            folder.join("deb.debian.org_main_binary-amd64_Packages.lz4"),
            "",
        )
        .unwrap();
        fs::write(folder.join("imageio_ffmpeg-0-py3.whl"), "").unwrap();
        assert!(has_lists(&folder) && wheel_in(&folder).is_ok());
        fs::remove_dir_all(&folder).unwrap();
    }
}
