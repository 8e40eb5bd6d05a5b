//! Connections to a Redis of any kind.
//!
//! Owns: the login, TLS, the question to the sentinels, the subscription to changes. Does not: keep a connection or
//! try again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::RoutingInfo;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind,
    IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind, RedisConnectionInfo, RedisError,
    RedisResult, TlsCertificates, Value,
};
use tokio::sync::watch;
use weir_cluster::StateError;

use crate::error::judge;
use crate::options::{Address, ConnectError, Kind, Options, Server};

/// Commands that wait for their turn to be written; callers beyond them wait themselves.
const QUEUE: usize = 1024;
/// Bytes written at once: a batch of a thousand scripts is larger than the usual 8 KiB.
const WRITE: usize = 64 * 1024;
/// How often a cluster's client follows a redirection or asks another node within one call.
const CLUSTER_RETRIES: u32 = 3;
/// Longest that a cluster's client waits between these, in milliseconds.
const CLUSTER_WAIT: u64 = 100;

/// A connection that many callers use at the same time. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Connection {
    /// To one server.
    One(MultiplexedConnection),
    /// To all of a cluster.
    Cluster(ClusterConnection),
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One(_) => "One",
            Self::Cluster(_) => "Cluster",
        })
    }
}

/// Connects. Its `Debug` has no password.
pub(crate) struct Dialler {
    server: Server,
    timeout: Duration,
    /// Of the authorities, if there are any but the system's.
    certificates: Option<TlsCertificates>,
    channel: String,
    changes: Arc<watch::Sender<u64>>,
}

impl fmt::Debug for Dialler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.server, f)
    }
}

impl Dialler {
    /// What `options` say. Messages on `channel` move the version `changes`. Fails when the authorities cannot be read.
    pub(crate) async fn new(
        options: &Options,
        channel: String,
        changes: Arc<watch::Sender<u64>>,
    ) -> Result<Self, ConnectError> {
        if options.server.tls {
            // an error says that the process has one already
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        let certificates = match &options.ca_file {
            Some(file) if options.server.tls => {
                let read = tokio::task::spawn_blocking({
                    let file = file.clone();
                    move || std::fs::read(file)
                });
                let pem = read.await.unwrap_or_else(|error| Err(error.into()));
                let pem = pem.map_err(|error| ConnectError::Authorities {
                    file: file.clone(),
                    error,
                })?;
                Some(TlsCertificates {
                    client_tls: None,
                    root_cert: Some(pem),
                })
            }
            _ => None,
        };
        Ok(Self {
            server: options.server.clone(),
            timeout: options.timeout.mul_f32(DIAL_SHARE),
            certificates,
            channel,
            changes,
        })
    }

    /// What must not be shown in any text.
    pub(crate) fn secret(&self) -> &str {
        self.server.password.reveal()
    }

    /// A new connection that was answered on. Fails in less than the timeout of a call.
    pub(crate) async fn dial(&self) -> Result<Connection, StateError> {
        let dialled = tokio::time::timeout(self.timeout, self.dial_patiently()).await;
        let connection = dialled.unwrap_or_else(|_| {
            let text = format!("no answer within {:?}", self.timeout);
            Err(StateError::Unavailable(text))
        })?;
        // whatever changed while nobody listened
        self.changes.send_modify(|version| *version += 1);
        Ok(connection)
    }

    async fn dial_patiently(&self) -> Result<Connection, StateError> {
        match self.dial_with(ProtocolVersion::RESP3).await {
            Ok(connection) => Ok(connection),
            // a server before Redis 6, or a proxy before one
            Err(error) if knows_no_version_3(&error) => {
                let second = self.dial_with(ProtocolVersion::RESP2).await;
                second.map_err(|error| self.told(&error))
            }
            Err(error) => Err(self.told(&error)),
        }
    }

    fn told(&self, error: &RedisError) -> StateError {
        judge(error, "", self.secret()).0
    }

    async fn dial_with(&self, protocol: ProtocolVersion) -> RedisResult<Connection> {
        let mut connection = match &self.server.kind {
            Kind::Single => Connection::One(self.one(self.first_host()?, protocol).await?),
            Kind::Sentinel(master) => Connection::One(self.watched(master, protocol).await?),
            Kind::Cluster => Connection::Cluster(self.cluster(protocol).await?),
        };
        connection.ask(&redis::cmd("PING")).await?;
        if protocol == ProtocolVersion::RESP3 {
            let subscribed = match &mut connection {
                Connection::One(one) => one.subscribe(&self.channel).await,
                Connection::Cluster(cluster) => cluster.subscribe(&self.channel).await,
            };
            if let Err(error) = subscribed {
                if error.is_io_error() {
                    return Err(error);
                }
                // rights may be missing, and the news only save time
                tracing::debug!(error = %self.told(&error), "redis does not tell of changes");
            }
        }
        Ok(connection)
    }

    fn first_host(&self) -> RedisResult<&Address> {
        let none = (ErrorKind::InvalidClientConfig, "no host");
        self.server.hosts.first().ok_or_else(|| none.into())
    }

    async fn one(
        &self,
        address: &Address,
        protocol: ProtocolVersion,
    ) -> RedisResult<MultiplexedConnection> {
        let login = self.login(protocol).set_db(i64::from(self.server.db));
        let mut config = self.config();
        if protocol == ProtocolVersion::RESP3 {
            config = config.set_push_sender(self.listener());
        }
        let client = self.client(address, login)?;
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }

    /// The master that the first sentinel which knows one tells of.
    async fn watched(
        &self,
        master: &str,
        protocol: ProtocolVersion,
    ) -> RedisResult<MultiplexedConnection> {
        let mut last = RedisError::from((ErrorKind::Io, "no sentinel"));
        for sentinel in &self.server.hosts {
            // one that hangs must leave time for the others
            let patience = self.timeout / 4;
            match tokio::time::timeout(patience, self.ask_sentinel(sentinel, master)).await {
                Err(_) => {
                    let text = format!("{sentinel}: no answer within {patience:?}");
                    last = (ErrorKind::Io, "sentinel", text).into();
                }
                Ok(Err(error)) => last = error,
                Ok(Ok(address)) => {
                    let connected = self.one(&address, protocol).await;
                    match connected {
                        Ok(mut connection) => match check_master(&mut connection, &address).await {
                            Ok(()) => return Ok(connection),
                            Err(error) => last = error,
                        },
                        Err(error) => last = error,
                    }
                }
            }
        }
        Err(last)
    }

    /// Where a sentinel says that `master` is. Logs in only when the sentinel wants that.
    async fn ask_sentinel(&self, sentinel: &Address, master: &str) -> RedisResult<Address> {
        let mut question = redis::cmd("SENTINEL");
        question.arg("get-master-addr-by-name").arg(master);
        let bare = RedisConnectionInfo::default();
        let answer = match self.ask_once(sentinel, bare, &question).await {
            Err(error) if error.code() == Some("NOAUTH") => {
                let login = self.login(ProtocolVersion::RESP2);
                self.ask_once(sentinel, login, &question).await
            }
            other => other,
        };
        let address: Option<(String, u16)> = redis::from_redis_value(answer?)?;
        let Some((host, port)) = address else {
            let text = format!("{sentinel} knows no master {master}");
            return Err((ErrorKind::InvalidClientConfig, "sentinel", text).into());
        };
        Ok(Address { host, port })
    }

    async fn ask_once(
        &self,
        address: &Address,
        login: RedisConnectionInfo,
        question: &Cmd,
    ) -> RedisResult<Value> {
        let client = self.client(address, login)?;
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&self.config())
            .await?;
        one(&mut connection, question).await
    }

    async fn cluster(&self, protocol: ProtocolVersion) -> RedisResult<ClusterConnection> {
        let login = self.login(protocol);
        let hosts: Vec<ConnectionInfo> = self
            .server
            .hosts
            .iter()
            .map(|host| self.info(host, login.clone()))
            .collect::<RedisResult<_>>()?;
        let mut builder = ClusterClientBuilder::new(hosts)
            .use_protocol(protocol)
            .connection_timeout(self.timeout)
            .response_timeout(self.timeout)
            .retries(CLUSTER_RETRIES)
            .max_retry_wait(CLUSTER_WAIT)
            .write_backpressure_boundary(WRITE);
        if let Some(certificates) = &self.certificates {
            builder = builder.certs(certificates.clone());
        }
        if protocol == ProtocolVersion::RESP3 {
            builder = builder.push_sender(self.listener());
        }
        builder.build()?.get_async_connection().await
    }

    fn client(&self, address: &Address, login: RedisConnectionInfo) -> RedisResult<Client> {
        let info = self.info(address, login)?;
        match &self.certificates {
            Some(certificates) => Client::build_with_tls(info, certificates.clone()),
            None => Client::open(info),
        }
    }

    fn info(&self, address: &Address, login: RedisConnectionInfo) -> RedisResult<ConnectionInfo> {
        let host = address.host.clone();
        let address = if self.server.tls {
            ConnectionAddr::TcpTls {
                host,
                port: address.port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host, address.port)
        };
        Ok(address.into_connection_info()?.set_redis_settings(login))
    }

    fn login(&self, protocol: ProtocolVersion) -> RedisConnectionInfo {
        let mut login = RedisConnectionInfo::default().set_protocol(protocol);
        if !self.server.user.is_empty() {
            login = login.set_username(&self.server.user);
        }
        if !self.secret().is_empty() {
            login = login.set_password(self.secret());
        }
        login
    }

    fn config(&self) -> AsyncConnectionConfig {
        // there is one timeout around all of dialling, and one around each call
        AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE)
            .set_write_backpressure_boundary(WRITE)
    }

    fn listener(&self) -> impl Fn(PushInfo) -> Result<(), ()> + Send + Sync + 'static {
        let changes = Arc::clone(&self.changes);
        move |push| {
            if matches!(push.kind, PushKind::Message | PushKind::Disconnection) {
                changes.send_modify(|version| *version += 1);
            }
            Ok(())
        }
    }
}

/// The share of a call's time that dialling may take, so that who waits for it still learns why it failed.
const DIAL_SHARE: f32 = 0.75;

impl Connection {
    /// One command and its answer.
    async fn ask(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::One(server) => one(server, command).await,
            Self::Cluster(cluster) => one(cluster, command).await,
        }
    }

    /// Sends `commands` at once and gives their answers in order, each with its own failure. Fails as a whole when the
    /// connection is lost.
    pub(crate) async fn batch(&mut self, commands: &[Cmd]) -> RedisResult<Vec<RedisResult<Value>>> {
        match self {
            Self::One(one) => {
                let mut pipeline = redis::Pipeline::with_capacity(commands.len());
                for command in commands {
                    pipeline.add_command(command.clone());
                }
                pipeline.ignore_errors().query_async(one).await
            }
            // its keys are at different servers, which a pipeline of a cluster may not be
            Self::Cluster(cluster) => Ok(together(cluster, commands).await),
        }
    }

    /// Sends a command to the master that serves `slot`; a single server serves all.
    pub(crate) async fn ask_slot(&mut self, command: Cmd, slot: u16) -> RedisResult<Value> {
        use redis::cluster_routing::{Route, SingleNodeRoutingInfo, SlotAddr};
        match self {
            Self::One(server) => one(server, &command).await,
            Self::Cluster(cluster) => {
                let route = Route::new(slot, SlotAddr::Master);
                let route = SingleNodeRoutingInfo::SpecificNode(route);
                let routing = RoutingInfo::SingleNode(route);
                unless_error(cluster.route_command(command, routing).await?)
            }
        }
    }
}

/// Commands in flight at a cluster from one batch; each wakes all that wait, so they stay few.
const TOGETHER: usize = 64;

async fn together(cluster: &ClusterConnection, commands: &[Cmd]) -> Vec<RedisResult<Value>> {
    let mut results = Vec::with_capacity(commands.len());
    for chunk in commands.chunks(TOGETHER) {
        let mut connections = vec![cluster.clone(); chunk.len()];
        let running: Vec<_> = connections
            .iter_mut()
            .zip(chunk)
            .map(|(connection, command)| connection.req_packed_command(command))
            .collect();
        let answers = join_all(running).await.into_iter();
        results.extend(answers.map(|answer| answer.and_then(unless_error)));
    }
    results
}

/// Polls all until each is ready; gives their results in order.
async fn join_all<F: Future + Unpin>(running: Vec<F>) -> Vec<F::Output> {
    let mut running: Vec<(F, Option<F::Output>)> =
        running.into_iter().map(|future| (future, None)).collect();
    std::future::poll_fn(|context| {
        let mut waiting = false;
        for (future, result) in &mut running {
            if result.is_none() {
                match std::pin::Pin::new(future).poll(context) {
                    std::task::Poll::Ready(value) => *result = Some(value),
                    std::task::Poll::Pending => waiting = true,
                }
            }
        }
        if waiting {
            std::task::Poll::Pending
        } else {
            std::task::Poll::Ready(())
        }
    })
    .await;
    running
        .into_iter()
        .filter_map(|(_, result)| result)
        .collect()
}

/// One command and its answer. What a connection gives by itself may be an error of the server in place of an answer.
async fn one(connection: &mut impl ConnectionLike, command: &Cmd) -> RedisResult<Value> {
    unless_error(connection.req_packed_command(command).await?)
}

fn unless_error(answer: Value) -> RedisResult<Value> {
    match answer {
        Value::ServerError(error) => Err(error.into()),
        answer => Ok(answer),
    }
}

/// A replica that a sentinel still takes for the master refuses every change.
async fn check_master(
    connection: &mut MultiplexedConnection,
    address: &Address,
) -> RedisResult<()> {
    let role = one(connection, &redis::cmd("ROLE")).await?;
    let is_master = match &role {
        Value::Array(parts) => matches!(
            parts.first(),
            Some(Value::BulkString(role)) if role == b"master"
        ),
        _ => false,
    };
    if is_master {
        Ok(())
    } else {
        let text = format!("{address} is no master yet");
        Err((ErrorKind::Io, "failover", text).into())
    }
}

/// Whether the older version of the protocol may help: the server says that it does not know `HELLO`, or ends the
/// connection without a word.
fn knows_no_version_3(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::RESP3NotSupported => true,
        ErrorKind::Io => {
            error.is_connection_dropped() && !error.is_connection_refusal() && !error.is_timeout()
        }
        _ => {
            let said = error.detail().unwrap_or_default();
            error.code() == Some("NOPROTO") || said.contains("unknown command")
        }
    }
}
