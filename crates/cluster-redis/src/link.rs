//! The connection that all calls share, and its life.
//!
//! Owns: when a connection is dropped and when the next is dialled, the timeout of every call. Invariants: at most one
//! caller dials at a time; once an attempt has failed, all other calls fail at once, with why, until one succeeds. Does
//! not: try a call again.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::{Cmd, Value};
use tokio::sync::watch;
use tokio::time::Instant;
use weir_cluster::StateError;

use crate::dial::{Connection, Dialler};
use crate::error::{Verdict, judge};
use crate::options::{ConnectError, Options};

/// Wait after the first failed attempt to connect; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// Longest wait between attempts, so that a Redis that returns is found within a second.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// A connection to a server that refuses is dropped for a new one, which may lead to another server, but no more often
/// than this.
const STALE_AGE: Duration = Duration::from_millis(500);
/// Calls in a row that fail before a cluster's client, which connects by itself, is begun anew.
const CLUSTER_FAILURES: u32 = 8;
/// Commands in one batch: a few hundred KiB.
const BATCH: usize = 1000;

/// The answer to one command of a batch.
pub(crate) type Answer = Result<Value, StateError>;

/// The shared connection.
#[derive(Debug)]
pub(crate) struct Link {
    dialler: Dialler,
    timeout: Duration,
    current: Mutex<Option<Current>>,
    attempts: tokio::sync::Mutex<Attempts>,
    /// Why the last attempt to connect failed, until one succeeds.
    away: Mutex<Option<StateError>>,
    changes: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Clone)]
struct Current {
    connection: Connection,
    /// Tells it from earlier ones.
    number: u64,
    since: Instant,
    /// Calls that failed since the last that did not.
    failures: u32,
}

/// What was tried since there was a connection.
#[derive(Debug)]
struct Attempts {
    number: u64,
    wait: Duration,
    failed: Option<(StateError, Instant)>,
}

impl Link {
    /// Connects and is answered. Fails with what stands in the way.
    pub(crate) async fn connect(options: &Options, channel: String) -> Result<Self, ConnectError> {
        let changes = Arc::new(watch::Sender::new(1));
        let dialler = Dialler::new(options, channel, Arc::clone(&changes)).await?;
        let link = Self {
            dialler,
            timeout: options.timeout,
            current: Mutex::new(None),
            attempts: tokio::sync::Mutex::new(Attempts {
                number: 0,
                wait: FIRST_WAIT,
                failed: None,
            }),
            away: Mutex::new(None),
            changes,
        };
        match link.connection().await {
            Ok(_) => Ok(link),
            Err(why) => Err(ConnectError::Server {
                server: options.server.to_string(),
                why,
            }),
        }
    }

    /// Resolves with the version of the nodes when it is not `seen`.
    pub(crate) async fn changed(&self, seen: u64) -> u64 {
        let mut version = self.changes.subscribe();
        loop {
            let now = *version.borrow_and_update();
            if now != seen {
                return now;
            }
            if version.changed().await.is_err() {
                // the sender is ours and lives as long
                return std::future::pending().await;
            }
        }
    }

    /// Runs `work`, which has several round trips, for no longer than a call of many may take.
    pub(crate) async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, StateError>>,
    ) -> Result<T, StateError> {
        let limit = self.timeout.saturating_mul(4);
        let done = tokio::time::timeout(limit, work).await;
        done.unwrap_or_else(|_| {
            Err(StateError::Unavailable(format!(
                "not done within {limit:?}"
            )))
        })
    }

    /// Sends one command. `key` is what it is about.
    pub(crate) async fn one(&self, command: Cmd, key: &str) -> Answer {
        let mut answers = self.batch(vec![command], &[key]).await?;
        answers.pop().unwrap_or(Ok(Value::Nil))
    }

    /// Sends commands in one round trip for each thousand; gives as many answers. `keys` are what they are about, one
    /// for each. Fails as a whole when the connection does.
    pub(crate) async fn batch(
        &self,
        commands: Vec<Cmd>,
        keys: &[impl AsRef<str>],
    ) -> Result<Vec<Answer>, StateError> {
        let mut answers = Vec::with_capacity(commands.len());
        for (commands, keys) in commands.chunks(BATCH).zip(keys.chunks(BATCH)) {
            answers.extend(self.send(commands, keys).await?);
        }
        Ok(answers)
    }

    /// Sends one command to the master that serves `slot`.
    pub(crate) async fn one_at(&self, command: Cmd, key: &str, slot: u16) -> Answer {
        let call = async {
            let current = self.connection().await?;
            let mut connection = current.connection.clone();
            let answer = connection.ask_slot(command, slot).await;
            Ok((current, answer))
        };
        let (current, answer) = self.in_time(call).await?;
        match answer {
            Ok(value) => {
                self.judged(&current, Verdict::Good);
                Ok(value)
            }
            Err(error) => Err(self.failed(&current, &error, key)),
        }
    }

    /// Whether there are several servers, and keys are spread over them.
    pub(crate) fn is_cluster(&self) -> bool {
        let current = self.current.lock();
        current
            .as_ref()
            .is_some_and(|current| matches!(current.connection, Connection::Cluster(_)))
    }

    async fn send(
        &self,
        commands: &[Cmd],
        keys: &[impl AsRef<str>],
    ) -> Result<Vec<Answer>, StateError> {
        let call = async {
            let current = self.connection().await?;
            let mut connection = current.connection.clone();
            let answers = connection.batch(commands).await;
            Ok((current, answers))
        };
        let (current, answers) = self.in_time(call).await?;
        let first = keys.first().map_or("", AsRef::as_ref);
        let answers = answers.map_err(|error| self.failed(&current, &error, first))?;
        let mut good = true;
        let answers = answers
            .into_iter()
            .zip(keys)
            .map(|(answer, key)| {
                answer.map_err(|error| {
                    good = false;
                    self.failed(&current, &error, key.as_ref())
                })
            })
            .collect();
        if good {
            self.judged(&current, Verdict::Good);
        }
        Ok(answers)
    }

    /// Waits no longer than one call may. A connection that does not answer in time is not used again.
    async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, StateError>>,
    ) -> Result<T, StateError> {
        let number = self.number();
        if let Ok(done) = tokio::time::timeout(self.timeout, call).await {
            return done;
        }
        if let Some(number) = number {
            self.forget(number, Verdict::Broken);
        }
        let text = format!("no answer within {:?}", self.timeout);
        Err(StateError::Unavailable(text))
    }

    fn failed(&self, current: &Current, error: &redis::RedisError, key: &str) -> StateError {
        let (error, verdict) = judge(error, key, self.dialler.secret());
        self.judged(current, verdict);
        error
    }

    fn judged(&self, current: &Current, verdict: Verdict) {
        match verdict {
            Verdict::Good => {
                if let Some(now) = self.current.lock().as_mut() {
                    now.failures = 0;
                }
            }
            Verdict::Stale if current.since.elapsed() < STALE_AGE => {}
            Verdict::Stale | Verdict::Broken => self.forget(current.number, verdict),
        }
    }

    /// Drops the connection of this number, if it is still the one in use.
    fn forget(&self, number: u64, verdict: Verdict) {
        let mut slot = self.current.lock();
        let Some(current) = slot.as_mut().filter(|current| current.number == number) else {
            return;
        };
        current.failures = current.failures.saturating_add(1);
        let keep = match current.connection {
            // it asks the other servers itself
            Connection::Cluster(_) => current.failures < CLUSTER_FAILURES,
            Connection::One(_) => false,
        };
        if !keep {
            tracing::debug!(?verdict, "dropped the connection to redis");
            *slot = None;
        }
    }

    fn number(&self) -> Option<u64> {
        self.current.lock().as_ref().map(|current| current.number)
    }

    fn away(&self) -> Option<StateError> {
        self.away.lock().clone()
    }

    fn current(&self) -> Option<Current> {
        self.current.lock().clone()
    }

    /// The connection in use, or a new one.
    async fn connection(&self) -> Result<Current, StateError> {
        if let Some(current) = self.current() {
            return Ok(current);
        }
        let mut attempts = match self.attempts.try_lock() {
            Ok(attempts) => attempts,
            // somebody dials; only the first time is that worth waiting for
            Err(_) => match self.away() {
                Some(error) => return Err(error),
                None => self.attempts.lock().await,
            },
        };
        // whoever held the lock may have connected
        if let Some(current) = self.current() {
            return Ok(current);
        }
        let now = Instant::now();
        if let Some((error, until)) = &attempts.failed
            && now < *until
        {
            return Err(error.clone());
        }
        // a caller that goes away while it dials leaves a failed attempt
        let until = now.checked_add(attempts.wait).unwrap_or(now);
        attempts.failed = Some((
            StateError::Unavailable("an attempt to connect was given up".to_owned()),
            until,
        ));
        match self.dialler.dial().await {
            Ok(connection) => {
                attempts.number += 1;
                if attempts.number > 1 {
                    tracing::info!("connected to redis again");
                }
                let current = Current {
                    connection,
                    number: attempts.number,
                    since: Instant::now(),
                    failures: 0,
                };
                attempts.wait = FIRST_WAIT;
                attempts.failed = None;
                *self.away.lock() = None;
                *self.current.lock() = Some(current.clone());
                Ok(current)
            }
            Err(error) => {
                let now = Instant::now();
                let until = now.checked_add(attempts.wait).unwrap_or(now);
                // a start that fails says so itself
                if attempts.wait == FIRST_WAIT && attempts.number > 0 {
                    tracing::warn!(%error, "cannot connect to redis");
                }
                attempts.wait = attempts.wait.saturating_mul(2).min(LONGEST_WAIT);
                attempts.failed = Some((error.clone(), until));
                *self.away.lock() = Some(error.clone());
                Err(error)
            }
        }
    }
}
