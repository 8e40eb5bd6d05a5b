//! The relay itself: a hub of one stream, with a pull at one end and a push at the other.
//!
//! Owns: building the parts, and the loop of attempts on each side. Does not: handle signals or print.

use std::fmt::Display;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;
use tokio::sync::Notify;
use weir_fanout::Fanout;
use weir_gate::dial::{DialError, End, Failure, Outcome};
use weir_gate::{Address, DEFAULT_VHOST, Gate};
use weir_gate_http::dial as flv;
use weir_gate_rtmp::dial as rtmp;
use weir_hub::{Hub, Latency};
use weir_media::{AppName, InvalidKey, StreamKey, StreamName, Vhost};
use weir_net::admission::{Admission, Limits};
use weir_net::clock;
use weir_net::cores::{self, Core, Cores, Shutdown};

use super::attempts::{Attempt, Attempts, Ended, Next};
use super::progress::Tally;
use super::{GaveUp, Plan, Progress, Source};
use crate::log::Masked;

/// How often a stream that lost its source is looked at; the error of the grace time.
const SWEEP_EVERY: Duration = Duration::from_millis(250);

/// Why a relay could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The thread or its runtime could not be made.
    #[error("cannot start the worker thread: {0}")]
    Thread(#[from] std::io::Error),
    /// The stream has no usable name.
    #[error(transparent)]
    Key(#[from] InvalidKey),
}

/// A running relay. It ends when its `Shutdown` drains, or by itself when a side is given up.
#[derive(Debug)]
pub struct Running {
    cores: Cores,
    shared: Arc<Shared>,
}

/// What the core's tasks and the handle share.
#[derive(Debug)]
struct Shared {
    hub: Arc<Hub>,
    began: Instant,
    tally: Tally,
    gave_up: OnceLock<GaveUp>,
    shutdown: Shutdown,
}

impl Running {
    /// Starts relaying on a thread of its own. When `shutdown` drains, both sides say goodbye.
    pub fn start(plan: &Plan, shutdown: &Shutdown) -> Result<Self, StartError> {
        let mut registry = Registry::default();
        let settings = weir_hub::Settings {
            latency: Latency::Fixed(Duration::ZERO),
            gop_cache: true,
            ..weir_hub::Settings::default()
        };
        let metrics = weir_hub::Metrics::register(&mut registry);
        let shared = Arc::new(Shared {
            hub: Arc::new(Hub::new(settings, metrics, clock::wallclock())),
            began: clock::now(),
            tally: Tally::default(),
            gave_up: OnceLock::new(),
            shutdown: shutdown.clone(),
        });
        let key = key(plan)?;
        let (plan, parts) = (plan.clone(), Arc::clone(&shared));
        let fanout_metrics = weir_fanout::Metrics::register(&mut registry);
        let gate_metrics = weir_gate::Metrics::register(&mut registry);
        let main = move |core: Core, ()| {
            let shared = Arc::clone(&parts);
            let fanout = Fanout::new(Arc::clone(&shared.hub), fanout_metrics.clone());
            core.spawn_service(fanout.clone().run());
            core.spawn_service(sweep(Arc::clone(&shared.hub)));
            let unlimited = Limits {
                sessions: 0,
                sessions_per_address: 0,
            };
            let gate = Gate::new(
                core.clone(),
                Arc::clone(&shared.hub),
                fanout,
                Admission::new(unlimited),
                Arc::clone(&gate_metrics),
                Arc::new(ArcSwap::default()),
            );
            let live = Rc::new(Notify::new());
            core.spawn(play(
                plan.clone(),
                key.clone(),
                gate.clone(),
                Arc::clone(&shared),
                Rc::clone(&live),
            ));
            core.spawn(publish(plan.clone(), key.clone(), gate, shared, live));
        };
        let cores = cores::start(vec![()], shutdown, main)?;
        Ok(Self { cores, shared })
    }

    /// How it goes.
    pub fn progress(&self) -> Progress {
        let metrics = self.shared.hub.metrics();
        let progress = Progress {
            time: clock::now().saturating_duration_since(self.shared.began),
            bytes_in: metrics.bytes_in.get(),
            bytes_out: metrics.bytes_out.get(),
            frames: metrics.frames_in.get(),
            ..Progress::default()
        };
        progress.count(&self.shared.tally)
    }

    /// Resolves when both sides have ended, which they do after the drain has begun.
    pub async fn ended(&self) {
        self.shared.shutdown.draining().await;
        let tasks = self.cores.tracker();
        tasks.close();
        tasks.wait().await;
    }

    /// What was given up, if that is why the relay ended.
    pub fn gave_up(&self) -> Option<&GaveUp> {
        self.shared.gave_up.get()
    }

    /// Drains, waits for the end of both sides and of their thread, and returns what was given up before.
    ///
    /// A look-up of a name cannot be broken off, and the thread waits for it.
    pub fn join(self) -> Option<GaveUp> {
        self.cores.join();
        self.shared.gave_up.get().cloned()
    }
}

/// What the stream is called in logs: as at the target, where that is a valid name.
fn key(plan: &Plan) -> Result<StreamKey, InvalidKey> {
    Address::new("", &plan.to.app, &plan.to.stream, &[]).map_or_else(
        |_| {
            let (app, name) = (AppName("relay"), StreamName("stream"));
            StreamKey::new(Vhost(DEFAULT_VHOST), app, name)
        },
        |address| Ok(address.key),
    )
}

async fn sweep(hub: Arc<Hub>) {
    let mut interval = tokio::time::interval(SWEEP_EVERY);
    loop {
        interval.tick().await;
        hub.sweep(clock::now());
    }
}

/// Keeps the stream played.
async fn play(plan: Plan, key: StreamKey, gate: Gate, shared: Arc<Shared>, live: Rc<Notify>) {
    let mut started = || {
        shared.tally.playing.store(true, Ordering::Relaxed);
        live.notify_one();
    };
    let (stop, connect_timeout) = (&shared.shutdown, plan.connect_timeout);
    let side = Side {
        what: "playing",
        url: match &plan.from {
            Source::Rtmp(url) => shown(url),
            Source::Flv(url) => shown(url),
        },
        up: &shared.tally.playing,
        shared: &shared,
    };
    match plan.from.clone() {
        Source::Rtmp(url) => {
            let pull = rtmp::Pull {
                url,
                key,
                connect_timeout,
            };
            side.keep_up(&plan, async || {
                attempted(pull.run(&gate, stop, &mut started).await)
            })
            .await;
        }
        Source::Flv(url) => {
            let pull = flv::Pull {
                url,
                key,
                connect_timeout,
            };
            side.keep_up(&plan, async || {
                attempted(pull.run(&gate, stop, &mut started).await)
            })
            .await;
        }
    }
}

/// Keeps the stream published while there is a source.
async fn publish(plan: Plan, key: StreamKey, gate: Gate, shared: Arc<Shared>, live: Rc<Notify>) {
    let stop = &shared.shutdown;
    let side = Side {
        what: "publishing",
        url: shown(&plan.to),
        up: &shared.tally.publishing,
        shared: &shared,
    };
    let push = rtmp::Push {
        url: plan.to.clone(),
        key,
        connect_timeout: plan.connect_timeout,
    };
    let mut started = || shared.tally.publishing.store(true, Ordering::Relaxed);
    side.keep_up(&plan, async || {
        while !gate.hub.is_live(&push.key) {
            tokio::select! {
                () = live.notified() => {}
                () = stop.draining() => break,
            }
        }
        attempted(push.run(&gate, stop, &mut started).await)
    })
    .await;
}

fn shown(url: &impl Display) -> String {
    Masked(&url.to_string()).to_string()
}

fn attempted<P: Failure>(result: Result<Outcome, DialError<P>>) -> Attempt {
    match result {
        Ok(outcome) => Attempt {
            ended: match outcome.end {
                End::Stopped => Ended::Stopped,
                End::Source { said } => Ended::Source(said),
            },
            ran: outcome.ran,
        },
        Err(error) => Attempt {
            ended: Ended::Failed {
                error: shown(&error.cause),
                may_pass: error.cause.may_pass(),
            },
            ran: error.ran,
        },
    }
}

/// One end of the relay.
struct Side<'s> {
    what: &'static str,
    /// The address, without its secrets.
    url: String,
    /// Set by the attempt while media can go.
    up: &'s AtomicBool,
    shared: &'s Shared,
}

impl Side<'_> {
    /// Makes attempts until the relay stops, or this side is given up and with it the relay.
    async fn keep_up(&self, plan: &Plan, mut attempt: impl AsyncFnMut() -> Attempt) {
        let mut attempts = Attempts::new(plan.retry_max_delay, plan.retry_limit);
        // each is seeded anew by the system
        let random = RandomState::new();
        let stop = &self.shared.shutdown;
        while !stop.is_draining() {
            let attempt = attempt().await;
            self.up.store(false, Ordering::Relaxed);
            let retries = self.shared.tally.retries.load(Ordering::Relaxed);
            let (what, url) = (self.what, &self.url);
            let seconds = attempt.ran.as_secs_f64();
            match &attempt.ended {
                Ended::Stopped => {}
                Ended::Source(said) => tracing::info!(%url, said, seconds, "{what} ended"),
                Ended::Failed { error, .. } => {
                    tracing::warn!(%url, %error, seconds, "{what} failed");
                }
            }
            match attempts.next(attempt, random.hash_one(retries)) {
                Next::Stop => return,
                Next::Retry { after } => {
                    tracing::debug!(%url, ?after, "{what} again");
                    tokio::select! {
                        () = tokio::time::sleep(after) => {}
                        () = stop.draining() => return,
                    }
                    self.shared.tally.retries.fetch_add(1, Ordering::Relaxed);
                }
                Next::GiveUp { attempts, error } => {
                    let url = url.clone();
                    // the first to give up is the cause
                    let _ = self.shared.gave_up.set(GaveUp {
                        what,
                        url,
                        attempts,
                        error,
                    });
                    stop.drain();
                    return;
                }
            }
        }
    }
}
