//! The state itself.
//!
//! Owns: [`Redis`]. Does not: know how it is connected or what texts look like.

use std::fmt;
use std::time::Duration;

use parking_lot::Mutex;
use redis::{Cmd, Value};
use tokio::time::Instant;
use weir_cluster::{Claim, ClusterState, Found, Key, Node, NodeId, Pending, Report, StateError};

use crate::error::garbage;
use crate::link::{Answer, Link};
use crate::list::{self, List};
use crate::names::Names;
use crate::options::{ConnectError, Options};
use crate::record::{self, MAX_VALUE_BYTES};
use crate::{scan, script};

/// Longest key of a route in bytes: a route's key has a stream's name or two ICE user names of 256 characters.
const MAX_ROUTE_KEY_BYTES: usize = 4096;
/// Longest id of a node in bytes. It is in the text of every claim.
const MAX_ID_BYTES: usize = 3072;
/// Warnings about records that are garbage come no more often than this.
const WARN_PAUSE: Duration = Duration::from_secs(60);

/// Cluster state in Redis. Calls fail within the timeout while Redis is away, and connect anew when it is back.
///
/// [`changed`](ClusterState::changed) resolves when another proxy says so, which takes Redis 6 or later and the right to
/// subscribe to `weir-changes`; the SRS proxy says nothing. With less it never resolves but after a new connection.
pub struct Redis {
    link: Link,
    names: Names,
    lease: Duration,
    list: List,
    warned: Mutex<Option<Instant>>,
    shown: String,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis({})", self.shown)
    }
}

impl Redis {
    /// Connects, logs in, and waits for an answer. Fails, and says where and why, when that takes longer than the timeout
    /// or is refused. Must be called in a tokio runtime with IO and time; it, and any later call that connects anew,
    /// leaves a task in its runtime.
    pub async fn connect(options: Options) -> Result<Self, ConnectError> {
        let server = options.server.to_string();
        if millis(options.lease) == 0 || options.timeout.is_zero() {
            let why = "lease and timeout must be longer than nothing".to_owned();
            return Err(ConnectError::Options { server, why });
        }
        let names = Names::new(&options.prefix);
        let link = Link::connect(&options, names.changes()).await?;
        if !link.is_cluster() && is_member(&link).await {
            let why = "it is a member of a redis cluster, which redis+cluster:// names".to_owned();
            return Err(ConnectError::Options { server, why });
        }
        tracing::info!(%server, prefix = options.prefix, "cluster state is in redis");
        Ok(Self {
            link,
            names,
            lease: options.lease,
            list: List::default(),
            warned: Mutex::new(None),
            shown: server,
        })
    }

    async fn put_node(&self, node: &Node) -> Result<(), StateError> {
        check_id(&node.id)?;
        let (server, report) = (self.names.server(&node.id), self.names.report(&node.id));
        let drain = self.names.drain(&node.id);
        let text = record::write(node);
        if text.len() > MAX_VALUE_BYTES {
            return Err(StateError::Full("a record is longer than 64 KiB"));
        }
        let commands = vec![
            command("EXISTS", &server),
            set(&server, &text, self.lease),
            match record::write_report(&node.report) {
                Some(said) => set(&report, &said, self.lease),
                None => command("DEL", &report),
            },
            expire(&drain, self.lease),
        ];
        let keys = [&server, &server, &report, &drain];
        let mut answers = all_good(self.link.batch(commands, &keys).await?)?.into_iter();
        let was_there = answers.next() == Some(Value::Int(1));
        // only now, as one whose record is missing is taken off the list
        let is_new = self.list.add(&self.link, &self.names, &node.id).await?;
        if is_new || !was_there {
            self.publish(&node.id).await;
        }
        Ok(())
    }

    async fn strike_off(&self, id: &NodeId) -> Result<(), StateError> {
        check_id(id)?;
        let keys = [
            self.names.server(id),
            self.names.report(id),
            self.names.drain(id),
        ];
        let commands = keys.iter().map(|key| command("DEL", key)).collect();
        all_good(self.link.batch(commands, &keys).await?)?;
        list::remove(&self.link, &self.names, id).await?;
        self.publish(id).await;
        Ok(())
    }

    /// The mark is kept for a lease even of a node that is not there: its record may be back before that.
    async fn mark(&self, id: &NodeId, draining: bool) -> Result<(), StateError> {
        check_id(id)?;
        let key = self.names.drain(id);
        let command = match draining {
            true => set(&key, "1", self.lease),
            false => command("DEL", &key),
        };
        self.link.one(command, &key).await?;
        self.publish(id).await;
        Ok(())
    }

    /// Tells other proxies, who ask often enough by themselves if they do not hear it.
    async fn publish(&self, id: &NodeId) {
        let channel = self.names.changes();
        let mut command = command("PUBLISH", &channel);
        command.arg(id.as_str());
        if let Err(error) = self.link.one(command, &channel).await {
            tracing::debug!(%error, "a change of the nodes is not told");
        }
    }

    async fn all_nodes(&self) -> Result<Vec<Node>, StateError> {
        let list = self.names.list();
        let ids = list::read(&self.names, &self.link.one(get(&list), &list).await?)?;
        let keys: Vec<String> = ids
            .iter()
            .flat_map(|id| {
                [
                    self.names.server(id),
                    self.names.report(id),
                    self.names.drain(id),
                ]
            })
            .collect();
        let commands = keys.iter().map(|key| get(key)).collect();
        let mut answers = self.link.batch(commands, &keys).await?.into_iter();
        let mut nodes = Vec::with_capacity(ids.len());
        for id in ids {
            let (Some(server), Some(report), Some(drain)) =
                (answers.next(), answers.next(), answers.next())
            else {
                return Err(StateError::Unavailable("answers are missing".to_owned()));
            };
            nodes.extend(self.node(id, server, report, drain)?);
        }
        Ok(nodes)
    }

    /// A node of what is kept of it; `None` when its lease is over or its record is garbage.
    fn node(
        &self,
        id: NodeId,
        server: Answer,
        report: Answer,
        drain: Answer,
    ) -> Result<Option<Node>, StateError> {
        let key = self.names.server(&id);
        let read = match text(server, &key) {
            Ok(None) => return Ok(None),
            Ok(Some(text)) => record::read(id.clone(), &text).map_err(|why| garbage(&key, why)),
            Err(error) => Err(error),
        };
        let Some(mut node) = self.unless_garbage(read)? else {
            return Ok(None);
        };
        let key = self.names.report(&id);
        let said = text(report, &key).and_then(|text| match text {
            None => Ok(Report::default()),
            Some(text) => record::read_report(&text).map_err(|why| garbage(&key, why)),
        });
        node.report = self.unless_garbage(said)?.unwrap_or_default();
        // the mark is there or not, whatever it says
        let is_marked = match drain {
            Ok(value) => value != Value::Nil,
            Err(StateError::Garbage { .. }) => true,
            Err(error) => return Err(error),
        };
        node.report.draining |= is_marked;
        Ok(Some(node))
    }

    /// `None` in place of garbage, which is warned about.
    fn unless_garbage<T>(&self, read: Result<T, StateError>) -> Result<Option<T>, StateError> {
        match read {
            Ok(value) => Ok(Some(value)),
            Err(error @ StateError::Garbage { .. }) => {
                let mut warned = self.warned.lock();
                if warned.is_none_or(|at| at.elapsed() >= WARN_PAUSE) {
                    *warned = Some(Instant::now());
                    tracing::warn!(%error, "passed over");
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn look_up(&self, stream: &Key) -> Result<Found, StateError> {
        let keys = [self.names.url(stream), self.names.expect(stream)];
        let commands = keys.iter().map(|key| get(key)).collect();
        let mut answers = self.link.batch(commands, &keys).await?.into_iter();
        let [url, expect] = &keys;
        let mut next = |key: &str| {
            let answer = answers.next().unwrap_or(Ok(Value::Nil));
            let claim = text(answer, key).and_then(|text| {
                let why = || garbage(key, "it names no node");
                text.map(|text| self.names.claim(&text).ok_or_else(why))
                    .transpose()
            });
            // who claims it overwrites it
            Ok(self.unless_garbage(claim)?.flatten())
        };
        let (claim, expected) = (next(url)?, next(expect)?);
        Ok(Found {
            claim,
            expected: expected.map(|claim| claim.node),
        })
    }

    async fn bind(
        &self,
        stream: &Key,
        node: &NodeId,
        replacing: Option<&Claim>,
    ) -> Result<Claim, StateError> {
        check_id(node)?;
        let key = self.names.url(stream);
        let own = self.names.server(node);
        let replacing = replacing.map_or_else(String::new, |claim| self.names.server(&claim.node));
        let prefix = self.names.server_prefix();
        let command = script::claim(&key, &own, &replacing, prefix);
        let text = text(self.link.one(command, &key).await, &key)?.unwrap_or_default();
        let why = || garbage(&key, "it names no node");
        self.names.claim(&text).ok_or_else(why)
    }

    async fn note(&self, stream: &Key, node: &NodeId, ttl: Duration) -> Result<NodeId, StateError> {
        check_id(node)?;
        let key = self.names.expect(stream);
        let command = {
            let (text, prefix) = (self.names.server(node), self.names.server_prefix());
            script::expect(&key, &text, millis(ttl).max(1), prefix)
        };
        let text = text(self.link.one(command, &key).await, &key)?.unwrap_or_default();
        let why = || garbage(&key, "it names no node");
        self.names.node(&text).ok_or_else(why)
    }

    async fn all_claims(&self, limit: usize) -> Result<Vec<(Key, NodeId)>, StateError> {
        let found = scan::keys(&self.link, &self.names.every_url(), limit).await?;
        let keys: Vec<String> = found.into_iter().collect();
        let commands = keys.iter().map(|key| get(key)).collect();
        let answers = self.link.batch(commands, &keys).await?;
        let claims = keys.iter().zip(answers).filter_map(|(key, answer)| {
            let text = text(answer, key).ok().flatten()?;
            Some((self.names.stream(key)?, self.names.node(&text)?))
        });
        Ok(claims.collect())
    }

    async fn keep_routes(
        &self,
        values: &[(String, String)],
        ttl: Duration,
    ) -> Result<(), StateError> {
        let too_long = |(key, value): &(String, String)| {
            key.len() > MAX_ROUTE_KEY_BYTES || value.len() > MAX_VALUE_BYTES
        };
        if values.iter().any(too_long) {
            return Err(StateError::Full("a route is longer than 64 KiB"));
        }
        let keys: Vec<String> = values
            .iter()
            .map(|(key, _)| self.names.route(key))
            .collect();
        let commands = keys
            .iter()
            .zip(values)
            .map(|(key, (_, value))| set(key, value, ttl));
        all_good(self.link.batch(commands.collect(), &keys).await?)?;
        Ok(())
    }
}

impl ClusterState for Redis {
    fn register<'a>(&'a self, node: &'a Node) -> Pending<'a, ()> {
        Box::pin(self.link.bounded(self.put_node(node)))
    }

    fn leave<'a>(&'a self, id: &'a NodeId) -> Pending<'a, ()> {
        Box::pin(self.link.bounded(self.strike_off(id)))
    }

    fn drain<'a>(&'a self, id: &'a NodeId, draining: bool) -> Pending<'a, ()> {
        Box::pin(self.mark(id, draining))
    }

    fn nodes(&self) -> Pending<'_, Vec<Node>> {
        Box::pin(self.link.bounded(self.all_nodes()))
    }

    fn find<'a>(&'a self, stream: &'a Key) -> Pending<'a, Found> {
        Box::pin(self.look_up(stream))
    }

    fn claim<'a>(
        &'a self,
        stream: &'a Key,
        node: &'a NodeId,
        replacing: Option<&'a Claim>,
    ) -> Pending<'a, Claim> {
        Box::pin(self.bind(stream, node, replacing))
    }

    fn expect<'a>(
        &'a self,
        stream: &'a Key,
        node: &'a NodeId,
        ttl: Duration,
    ) -> Pending<'a, NodeId> {
        Box::pin(self.note(stream, node, ttl))
    }

    fn hold<'a>(&'a self, streams: &'a [(Key, NodeId)]) -> Pending<'a, ()> {
        Box::pin(self.link.bounded(async move {
            let keys: Vec<String> = streams
                .iter()
                .map(|(stream, _)| self.names.url(stream))
                .collect();
            let commands = keys
                .iter()
                .zip(streams)
                .map(|(key, (_, node))| script::hold(key, &self.names.server(node)));
            all_good(self.link.batch(commands.collect(), &keys).await?)?;
            Ok(())
        }))
    }

    fn release<'a>(&'a self, stream: &'a Key, node: &'a NodeId, idle: Duration) -> Pending<'a, ()> {
        Box::pin(async move {
            let key = self.names.url(stream);
            let command = script::release(&key, &self.names.server(node), millis(idle));
            self.link.one(command, &key).await.map(drop)
        })
    }

    fn forget<'a>(&'a self, stream: &'a Key, node: &'a NodeId) -> Pending<'a, ()> {
        Box::pin(async move {
            let key = self.names.url(stream);
            let command = script::forget(&key, &self.names.server(node));
            self.link.one(command, &key).await.map(drop)
        })
    }

    fn claims(&self, limit: usize) -> Pending<'_, Vec<(Key, NodeId)>> {
        Box::pin(self.link.bounded(self.all_claims(limit)))
    }

    fn put_routes<'a>(&'a self, values: &'a [(String, String)], ttl: Duration) -> Pending<'a, ()> {
        Box::pin(self.link.bounded(self.keep_routes(values, ttl)))
    }

    fn route<'a>(&'a self, key: &'a str) -> Pending<'a, Option<String>> {
        Box::pin(async move {
            if key.len() > MAX_ROUTE_KEY_BYTES {
                return Ok(None);
            }
            let key = self.names.route(key);
            text(self.link.one(get(&key), &key).await, &key)
        })
    }

    fn changed(&self, seen: u64) -> Pending<'_, u64> {
        Box::pin(async move { Ok(self.link.changed(seen).await) })
    }
}

/// Whether a single server is one of a cluster, where most keys are elsewhere. One that does not say is none.
async fn is_member(link: &Link) -> bool {
    let mut command = redis::cmd("CLUSTER");
    command.arg("INFO");
    match link.one(command, "cluster info").await {
        Ok(Value::BulkString(said)) => said.starts_with(b"cluster_"),
        Ok(Value::VerbatimString { text, .. }) => text.starts_with("cluster_"),
        _ => false,
    }
}

fn check_id(id: &NodeId) -> Result<(), StateError> {
    match id.as_str().len() {
        0..=MAX_ID_BYTES => Ok(()),
        _ => Err(StateError::Full("an id is longer than 3 KiB")),
    }
}

/// A text, or nothing. Fails with the failure of the answer, or when it is no text.
fn text(answer: Answer, key: &str) -> Result<Option<String>, StateError> {
    match answer? {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) if bytes.len() <= MAX_VALUE_BYTES => String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| garbage(key, "no UTF-8")),
        Value::BulkString(bytes) => Err(garbage(key, format!("{} bytes", bytes.len()))),
        _ => Err(garbage(key, "no text")),
    }
}

fn all_good(answers: Vec<Answer>) -> Result<Vec<Value>, StateError> {
    answers.into_iter().collect()
}

fn command(name: &str, key: &str) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(key);
    command
}

fn get(key: &str) -> Cmd {
    command("GET", key)
}

/// Whole seconds are written as the SRS proxy writes them.
fn set(key: &str, value: &str, ttl: Duration) -> Cmd {
    let mut command = command("SET", key);
    command.arg(value);
    if ttl.subsec_nanos() == 0 && ttl.as_secs() > 0 {
        command.arg("EX").arg(millis(ttl) / 1000);
    } else {
        command.arg("PX").arg(millis(ttl).max(1));
    }
    command
}

fn expire(key: &str, ttl: Duration) -> Cmd {
    let mut command = command("PEXPIRE", key);
    command.arg(millis(ttl));
    command
}

/// Longest time in milliseconds: a hundred years, which Redis still can add to its clock.
const MAX_MILLIS: u64 = 100 * 366 * 86_400 * 1000;

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).map_or(MAX_MILLIS, |millis| millis.min(MAX_MILLIS))
}
