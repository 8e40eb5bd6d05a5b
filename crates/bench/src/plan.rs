//! What a run will do, judged before anything is opened.
//!
//! Owns: the sense of the arguments together: targets, source, which session belongs to which stream.
//! Does not: open sockets or threads.

use anyhow::Context as _;

use crate::args::{Args, Load, Protocol};
use crate::clock::SECOND;
use crate::source::{Generated, Recording, Shape, Source};
use crate::target;
use crate::{Failure, hls, process};

/// Descriptors beside the sessions' own: standard streams, pollers, /proc files, some room.
const OTHER_DESCRIPTORS: usize = 64;

/// A run, ready to begin.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) load: Load,
    pub(crate) view: ViewTarget,
    pub(crate) publish: target::Rtmp,
    pub(crate) source: Source,
    pub(crate) streams: usize,
}

/// Where viewers go.
#[derive(Debug)]
pub(crate) enum ViewTarget {
    Rtmp(target::Rtmp),
    Flv(target::Flv),
    Hls(hls::View),
}

impl Plan {
    /// # Errors
    /// [`Failure::Usage`] for arguments that make no sense together, files and processes that cannot be read.
    pub(crate) fn new(args: Args) -> anyhow::Result<Self> {
        Self::judge(args).map_err(|error| Failure::Usage(format!("{error:#}")).into())
    }

    fn judge(args: Args) -> anyhow::Result<Self> {
        let (load, view) = match args.protocol {
            Protocol::Rtmp(load) => {
                let target = target::Rtmp::parse(&load.url)?;
                (load, ViewTarget::Rtmp(target))
            }
            Protocol::Flv(load) => {
                let target = target::Flv::parse(&load.url)?;
                (load, ViewTarget::Flv(target))
            }
            Protocol::Hls(hls) => {
                let view = hls::View::new(&hls)?;
                (hls.load, ViewTarget::Hls(view))
            }
            Protocol::First(_) | Protocol::Files(_) => {
                anyhow::bail!("neither publishers nor viewers")
            }
        };
        let publish = match (&load.publish_url, &view) {
            (Some(url), _) => target::Rtmp::parse(url)?,
            (None, ViewTarget::Rtmp(target)) => target.clone(),
            (None, ViewTarget::Flv(target) | ViewTarget::Hls(hls::View { target, .. })) => {
                target::Rtmp::parse(&target.publish_url())
                    .context("no RTMP address follows from it; give --publish-url")?
            }
        };
        let streams = load.streams.unwrap_or_else(|| load.publishers.max(1));
        anyhow::ensure!(
            load.publishers + load.viewers > 0,
            "neither publishers nor viewers"
        );
        anyhow::ensure!(streams > 0, "--streams must be 1 or more");
        anyhow::ensure!(
            load.publishers <= streams,
            "{} publishers cannot publish {streams} streams: one each",
            load.publishers
        );
        anyhow::ensure!(load.ramp >= 0.1, "--ramp must be 0.1 or more");
        anyhow::ensure!(
            (1..=64).contains(&load.threads),
            "--threads must be 1 to 64"
        );
        anyhow::ensure!(!load.seconds.is_zero(), "--seconds must be more than 0");
        for pid in &load.pid {
            process::Watch::new(*pid).with_context(|| format!("process {pid}"))?;
        }
        let source = match &load.file {
            Some(path) => Source::File(Recording::open(path)?),
            None => Source::Generated(Generated::new(Shape {
                bitrate_kbps: load.bitrate_kbps,
                fps: load.fps,
                audio_fps: load.audio_fps,
                gop: load.gop,
            })?),
        };
        Ok(Self {
            load,
            view,
            publish,
            source,
            streams,
        })
    }

    /// Raises the limit of open files to what is allowed.
    ///
    /// # Errors
    /// [`Failure::Usage`] when that does not suffice for all sessions.
    pub(crate) fn raise_file_limit(&self) -> anyhow::Result<()> {
        let of_viewer = match self.view {
            ViewTarget::Hls(_) => hls::LANES,
            ViewTarget::Rtmp(_) | ViewTarget::Flv(_) => 1,
        };
        raise_file_limit(self.load.publishers + self.load.viewers.saturating_mul(of_viewer))
    }

    /// Nanoseconds after the beginning of its phase at which session `index` connects.
    pub(crate) fn ramp(&self, index: usize) -> u64 {
        (index as f64 / self.load.ramp * SECOND as f64) as u64
    }
}

/// Raises the limit of open files to what is allowed.
///
/// # Errors
/// [`Failure::Usage`] when that does not suffice for so many connections.
pub(crate) fn raise_file_limit(connections: usize) -> anyhow::Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where this fails the present limit stays, which is judged below.
    let _ = setrlimit(Resource::Nofile, limit);
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let needed = connections.saturating_add(OTHER_DESCRIPTORS) as u64;
    if needed > allowed {
        let text = format!("{needed} open files are needed, {allowed} allowed; see ulimit -Hn");
        return Err(Failure::Usage(text).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::tests::parse;

    fn plan(line: &str) -> anyhow::Result<Plan> {
        Plan::new(parse(&line.split_whitespace().collect::<Vec<_>>()).unwrap())
    }

    #[test]
    fn streams_follow_publishers() {
        let plan_of = |rest: &str| plan(&format!("rtmp rtmp://127.0.0.1/live/b {rest}")).unwrap();
        assert_eq!(plan_of("-p 10").streams, 10);
        assert_eq!(plan_of("-p 0 -n 5").streams, 1);
        assert_eq!(plan_of("-p 2 -k 4").streams, 4);
        assert_eq!(plan_of("--ramp 400").ramp(400), SECOND);
    }

    #[test]
    fn flv_publishes_by_rtmp() {
        let plan = plan("flv http://127.0.0.1:8080/live/b.flv").unwrap();
        assert_eq!(
            plan.publish,
            target::Rtmp::parse("rtmp://127.0.0.1:1935/live/b").unwrap()
        );
    }

    #[test]
    fn hls_publishes_by_rtmp_and_opens_two_connections_a_viewer() {
        let plan = plan("hls http://127.0.0.1:8080/live/b.m3u8 -n 3 --plain").unwrap();
        assert_eq!(
            plan.publish,
            target::Rtmp::parse("rtmp://127.0.0.1:1935/live/b").unwrap()
        );
        assert!(matches!(&plan.view, ViewTarget::Hls(view) if view.mode == hls::Mode::Plain));
        assert!(raise_file_limit(usize::MAX).is_err());
    }

    #[test]
    fn senseless_arguments_are_usage_errors() {
        for rest in [
            "-p 0 -n 0",
            "-p 3 -k 2",
            "-p 0 -k 0",
            "--ramp 0",
            "--threads 0",
            "--seconds 0",
            "--bitrate-kbps 1",
            "--file /nowhere.flv",
            "--pid 4294967295",
        ] {
            let error = plan(&format!("rtmp rtmp://127.0.0.1/live/b {rest}")).unwrap_err();
            assert_eq!(crate::exit_code(&error), 2, "{rest}: {error}");
        }
        assert_eq!(
            crate::exit_code(&plan("rtmp http://127.0.0.1/a/b").unwrap_err()),
            2
        );
    }

    #[test]
    fn too_many_sessions_are_refused_before_they_open() {
        let plan = plan("rtmp rtmp://127.0.0.1/live/b -n 2000000000").unwrap();
        assert_eq!(crate::exit_code(&plan.raise_file_limit().unwrap_err()), 2);
    }
}
