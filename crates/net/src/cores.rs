//! One thread and one runtime a core.
//!
//! Owns: the worker threads, their `current_thread` runtimes, the tracking of every task for the drain, and the
//! share of time each core is busy. A session stays on the core that accepted it. A task that panics takes only its
//! own session along: the runtime catches it.
//! Does not: know what the tasks do.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock;

/// How the process is asked to end. Clones share their state.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    stop: CancellationToken,
}

impl Shutdown {
    /// Not yet ending.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that ends when this one does. Those who wait for it enter a list of its own: a list that all cores enter is
    /// a lock that each of them waits for.
    fn of_core(&self) -> Self {
        Self {
            drain: self.drain.child_token(),
            stop: self.stop.child_token(),
        }
    }

    /// Begins the drain: accept nothing new, let sessions end.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Ends every session now.
    pub fn stop(&self) {
        self.drain.cancel();
        self.stop.cancel();
    }

    /// True once the drain has begun.
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Resolves when the drain begins.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Resolves when every session must end.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }
}

/// Time a core has spent working and waiting, in nanoseconds; read by metrics from any thread.
#[derive(Debug, Default)]
pub struct Load {
    busy: AtomicU64,
    parked: AtomicU64,
}

impl Load {
    /// Time spent working since the start.
    pub fn busy(&self) -> Duration {
        Duration::from_nanos(self.busy.load(Ordering::Relaxed))
    }

    /// Time spent waiting for events since the start.
    pub fn parked(&self) -> Duration {
        Duration::from_nanos(self.parked.load(Ordering::Relaxed))
    }
}

/// A core as its own tasks see it. Cheap to clone; stays on its thread.
#[derive(Debug, Clone)]
pub struct Core {
    index: usize,
    tasks: TaskTracker,
    shutdown: Shutdown,
    _on_this_thread: std::marker::PhantomData<Rc<()>>,
}

impl Core {
    /// Which core this is, counted from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// How the core's tasks are told that the process ends. To end it takes the one that [`start`] was given.
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// Runs `task` on this core; the drain waits for it.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.tasks.spawn_local(task);
    }

    /// Runs `task` on this core for as long as the process lives; the drain does not wait for it.
    pub fn spawn_service(&self, task: impl Future<Output = ()> + 'static) {
        tokio::task::spawn_local(task);
    }
}

/// The running cores.
#[derive(Debug)]
pub struct Cores {
    threads: Vec<JoinHandle<()>>,
    tasks: TaskTracker,
    shutdown: Shutdown,
    loads: Vec<Arc<Load>>,
}

/// CPUs this process may use.
pub fn available() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Starts one thread for each item of `seeds` and runs `main` on it with that item; `main` sets up the core's
/// services and returns. The cores run until [`Cores::join`]. Fails when a runtime or a thread cannot be made.
pub fn start<S, F>(seeds: Vec<S>, shutdown: &Shutdown, main: F) -> std::io::Result<Cores>
where
    S: Send + 'static,
    F: Fn(Core, S) + Clone + Send + 'static,
{
    let tasks = TaskTracker::new();
    let mut cores = Cores {
        threads: Vec::with_capacity(seeds.len()),
        tasks: tasks.clone(),
        shutdown: shutdown.clone(),
        loads: Vec::with_capacity(seeds.len()),
    };
    for (index, seed) in seeds.into_iter().enumerate() {
        let load = Arc::new(Load::default());
        cores.loads.push(Arc::clone(&load));
        let (main, tasks, shutdown) = (main.clone(), tasks.clone(), shutdown.of_core());
        let runtime = runtime(load)?;
        let thread = std::thread::Builder::new()
            .name(format!("core-{index}"))
            .spawn(move || {
                let core = Core {
                    index,
                    tasks,
                    shutdown,
                    _on_this_thread: std::marker::PhantomData,
                };
                let local = LocalSet::new();
                runtime.block_on(local.run_until(async move {
                    main(core.clone(), seed);
                    core.shutdown.draining().await;
                    core.tasks.wait().await;
                }));
            })?;
        cores.threads.push(thread);
    }
    Ok(cores)
}

fn runtime(load: Arc<Load>) -> std::io::Result<tokio::runtime::Runtime> {
    thread_local! {
        static SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
    }
    let lap = || {
        let now = clock::now();
        let since = SINCE.replace(Some(now)).unwrap_or(now);
        u64::try_from((now - since).as_nanos()).unwrap_or(u64::MAX)
    };
    let unparked = Arc::clone(&load);
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .on_thread_park(move || {
            load.busy.fetch_add(lap(), Ordering::Relaxed);
        })
        .on_thread_unpark(move || {
            unparked.parked.fetch_add(lap(), Ordering::Relaxed);
        })
        .build()
}

impl Cores {
    /// The load of each core, in order.
    pub fn loads(&self) -> &[Arc<Load>] {
        &self.loads
    }

    /// Tasks the drain waits for.
    pub fn tasks(&self) -> usize {
        self.tasks.len()
    }

    /// A handle by which the drain's end can be awaited from another runtime.
    pub fn tracker(&self) -> TaskTracker {
        self.tasks.clone()
    }

    /// Waits until the drain has begun and every tracked task has ended, then for the threads. A thread that
    /// panicked (its `main` did) counts as ended.
    pub fn join(self) {
        self.shutdown.drain();
        self.tasks.close();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a core's thread panicked");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn each_core_runs_its_seed_and_ends_after_its_tasks() {
        let shutdown = Shutdown::new();
        let (sender, receiver) = mpsc::sync_channel(16);
        let cores = start(vec!["a", "b"], &shutdown, move |core, seed| {
            let (sender, shutdown) = (sender.clone(), core.shutdown().clone());
            let index = core.index();
            core.spawn(async move {
                sender.send((index, seed)).expect("the test listens");
                shutdown.stopped().await;
                sender.send((index, "ended")).expect("the test listens");
            });
            core.spawn_service(std::future::pending());
        })
        .expect("threads");
        let mut started = vec![receiver.recv().expect("one"), receiver.recv().expect("two")];
        started.sort_unstable();
        assert_eq!(started, [(0, "a"), (1, "b")]);
        shutdown.drain();
        assert_eq!(cores.tasks(), 2);
        shutdown.stop();
        cores.join();
        let mut ended: Vec<_> = receiver.iter().collect();
        ended.sort_unstable();
        assert_eq!(ended, [(0, "ended"), (1, "ended")]);
    }

    #[test]
    fn a_panicking_task_leaves_the_others() {
        let shutdown = Shutdown::new();
        let (sender, receiver) = mpsc::sync_channel(16);
        let cores = start(vec![()], &shutdown, move |core, ()| {
            let (sender, shutdown) = (sender.clone(), core.shutdown().clone());
            core.spawn(async { panic!("planted") });
            core.spawn(async move {
                shutdown.draining().await;
                sender.send("alive").expect("the test listens");
            });
        })
        .expect("a thread");
        cores.join();
        assert_eq!(receiver.recv(), Ok("alive"));
    }
}
