//! The phases of a run: publishers connect, viewers connect, settle, measure.
//!
//! Owns: the worker threads, the progress display, and the sampling of processes in the window.
//! Does not: touch sessions.

use std::io::{self, IsTerminal as _};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};

use crate::clock::{self, SECOND};
use crate::hls;
use crate::plan::{Plan, ViewTarget};
use crate::process::{Usage, Watch};
use crate::tally::{Progress, Sessions, Tally, Window};
use crate::worker::Worker;

/// How often phases are looked at.
const TICK: Duration = Duration::from_millis(20);
/// How often memory is sampled, in ticks: every 200 ms.
const SAMPLE_TICKS: u32 = 10;

/// What a run brought.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    /// Running and failed.
    pub(crate) publishers: (usize, usize),
    pub(crate) viewers: (usize, usize),
    /// Length of the measured window; 0 when the run ended before it.
    pub(crate) seconds: f64,
    /// Of the bench itself first.
    pub(crate) processes: Vec<Usage>,
    /// What HLS viewers saw, where there are any.
    pub(crate) hls: hls::Tally,
}

/// What leads a run through its phases.
pub(crate) struct Course<'a> {
    pub(crate) publishers: usize,
    pub(crate) viewers: usize,
    pub(crate) warmup: Duration,
    pub(crate) seconds: Duration,
    /// Processes to watch beside the bench itself.
    pub(crate) pids: &'a [u32],
}

/// A thread's work, from start to what it counted.
pub(crate) type Work<'a, T> = Box<dyn FnOnce() -> anyhow::Result<T> + Send + 'a>;

enum Part {
    Sessions(Box<Tally>),
    Hls(Box<hls::Tally>),
}

/// Runs a plan to its end.
///
/// # Errors
/// When threads cannot be had or polling fails; failed sessions are no error here.
pub(crate) fn run(plan: &Plan) -> anyhow::Result<Outcome> {
    let progress = Progress::new();
    let epoch = clock::now();
    let mut work: Vec<Work<'_, Part>> = Vec::new();
    for number in 0..plan.load.threads {
        let worker = Worker::new(plan, &progress, number, epoch)?;
        work.push(Box::new(move || {
            worker.run().map(Box::new).map(Part::Sessions)
        }));
        if let ViewTarget::Hls(view) = &plan.view {
            let progress = &progress;
            work.push(Box::new(move || {
                let worker = hls::Worker::new(plan, view, progress, number)?;
                worker.run().map(Box::new).map(Part::Hls)
            }));
        }
    }
    let load = &plan.load;
    let course = Course {
        publishers: load.publishers,
        viewers: load.viewers,
        warmup: load.warmup,
        seconds: load.seconds,
        pids: &load.pid,
    };
    let (parts, seconds, processes) = lead(&course, &progress, work)?;
    let (mut tally, mut hls) = (Tally::new(), hls::Tally::new());
    for part in parts {
        match part {
            Part::Sessions(part) => tally.merge(&part),
            Part::Hls(part) => hls.merge(&part),
        }
    }
    let counts = |sessions: &Sessions| (sessions.running(), sessions.failed());
    Ok(Outcome {
        tally,
        publishers: counts(&progress.publishers),
        viewers: counts(&progress.viewers),
        seconds,
        processes,
        hls,
    })
}

/// Leads threads through a run; returns what they counted, the length of the window in seconds, and what processes
/// used in it.
///
/// # Errors
/// When threads cannot be had, or one of them failed.
pub(crate) fn lead<T: Send>(
    course: &Course<'_>,
    progress: &Progress,
    work: Vec<Work<'_, T>>,
) -> anyhow::Result<(Vec<T>, f64, Vec<Usage>)> {
    thread::scope(|scope| {
        let mut workers = Vec::new();
        for (number, work) in work.into_iter().enumerate() {
            let spawned = thread::Builder::new()
                .name(format!("bench-{number}"))
                .spawn_scoped(scope, work);
            match spawned {
                Ok(worker) => workers.push(worker),
                Err(error) => {
                    progress.stop();
                    return Err(error).context("start a thread");
                }
            }
        }
        let ended = || workers.iter().any(thread::ScopedJoinHandle::is_finished);
        let processes = phases(course, progress, &ended);
        let mut parts = Vec::new();
        let mut failure = None;
        for worker in workers {
            match worker.join() {
                Ok(Ok(part)) => parts.push(part),
                Ok(Err(error)) => failure = Some(error),
                Err(_) => failure = Some(anyhow::anyhow!("a load thread panicked")),
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
        let (seconds, processes) = processes?;
        Ok((parts, seconds, processes))
    })
}

/// Leads the workers through the run; returns the window's length and what processes used in it.
fn phases(
    course: &Course<'_>,
    progress: &Progress,
    ended: &dyn Fn() -> bool,
) -> anyhow::Result<(f64, Vec<Usage>)> {
    let up = gather(
        "publishers connect",
        &progress.publishers,
        course.publishers,
        ended,
    ) && {
        progress.view_from.store(clock::now(), Ordering::Relaxed);
        gather("viewers connect", &progress.viewers, course.viewers, ended)
    };
    if !up {
        progress.stop();
        return Ok((0.0, Vec::new()));
    }
    let length = course.warmup.as_nanos() as u64;
    pass("settle", clock::now(), length, ended, || {});
    let opened = open_window(course, progress);
    let (window, mut watches) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            progress.stop();
            return Err(error);
        }
    };
    pass(
        "measure",
        window.from,
        window.to - window.from,
        ended,
        || {
            for watch in &mut watches {
                watch.sample();
            }
        },
    );
    let usages = watches.into_iter().map(Watch::finish).collect();
    Ok(((window.to - window.from) as f64 / SECOND as f64, usages))
}

fn open_window(course: &Course<'_>, progress: &Progress) -> anyhow::Result<(Window, Vec<Watch>)> {
    let pids = [std::process::id()]
        .into_iter()
        .chain(course.pids.iter().copied());
    let watches: Result<Vec<_>, _> = pids
        .map(|pid| Watch::new(pid).with_context(|| format!("process {pid}")))
        .collect();
    let watches = watches?;
    let from = clock::now();
    let window = Window {
        from,
        to: from + course.seconds.as_nanos() as u64,
    };
    progress.open_window(window);
    Ok((window, watches))
}

/// Waits until every session of a role runs or has failed; says whether the run can go on.
fn gather(name: &str, sessions: &Sessions, count: usize, ended: &dyn Fn() -> bool) -> bool {
    if count == 0 {
        return true;
    }
    let display = Display::new(name, count as u64, "");
    while sessions.running() + sessions.failed() < count && !ended() {
        display.show((sessions.running() + sessions.failed()) as u64);
        thread::sleep(TICK);
    }
    let (running, failed) = (sessions.running(), sessions.failed());
    display.end(&format!("{running} running, {failed} failed"));
    running > 0 && !ended()
}

/// Waits for a span of time.
fn pass(name: &str, from: u64, length: u64, ended: &dyn Fn() -> bool, mut sample: impl FnMut()) {
    let display = Display::new(name, length.div_ceil(SECOND), " s");
    let mut ticks = 0_u32;
    loop {
        let now = clock::now();
        let left = (from + length).saturating_sub(now);
        if left == 0 || ended() {
            break;
        }
        display.show(now.saturating_sub(from) / SECOND);
        if ticks.is_multiple_of(SAMPLE_TICKS) {
            sample();
        }
        ticks = ticks.wrapping_add(1);
        thread::sleep(TICK.min(Duration::from_nanos(left)));
    }
    display.end("done");
}

/// A progress bar on a terminal, one line per phase elsewhere; always on standard error.
struct Display {
    name: String,
    bar: Option<ProgressBar>,
}

impl Display {
    fn new(name: &str, length: u64, unit: &str) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let template = format!("{{msg:20}} {{bar:40}} {{pos}}/{{len}}{unit}");
            let style = ProgressStyle::with_template(&template)
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(length)
                .with_style(style)
                .with_message(name.to_owned())
        });
        Self {
            name: name.to_owned(),
            bar,
        }
    }

    fn show(&self, position: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(position);
        }
    }

    fn end(self, text: &str) {
        use io::Write as _;
        match self.bar {
            Some(bar) => bar.finish_with_message(format!("{} ({text})", self.name)),
            // Nobody to tell when standard error is gone.
            None => drop(writeln!(io::stderr(), "{}: {text}", self.name)),
        }
    }
}
