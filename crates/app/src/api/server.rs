//! The server itself.
//!
//! Owns: the listing, version, summary, health and reload. Does not: reread the configuration (`run` does).

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_net::{clock, process};

use super::Shared;
use super::answer::{ErrorBody, Failure, Head};
use super::machine::{self, Memory, Network, Sockets};

/// The time of day in milliseconds since 1970 UTC.
pub(super) fn now_ms() -> u64 {
    let since = clock::wallclock().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// What there is under `/api/v1`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Urls {
    versions: &'static str,
    summaries: &'static str,
    vhosts: &'static str,
    streams: &'static str,
    clients: &'static str,
    console: &'static str,
    history: &'static str,
    config: &'static str,
    log: &'static str,
    reload: &'static str,
    raw: &'static str,
}

/// The listing.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Listing {
    #[serde(flatten)]
    head: Head,
    /// Names under this path, and what they are.
    urls: Urls,
}

/// List the API
///
/// The names under this path.
#[utoipa::path(
    get, path = "/api/v1", tag = "process",
    responses(
        (status = 200, description = "The names", body = Listing),
        (status = 401, description = "The token is missing or wrong", body = ErrorBody),
        (status = 403, description = "Refused without a token", body = ErrorBody),
    )
)]
pub(super) async fn listing(State(shared): State<Arc<Shared>>) -> Json<Listing> {
    Json(Listing {
        head: shared.head(),
        urls: Urls {
            versions: "the version of this server",
            summaries: "load and size of the process and the machine",
            vhosts: "all virtual hosts, or the one with an id",
            streams: "a page of the streams, or the one with an id",
            clients: "a page of the connections, or the one with an id; DELETE kicks it",
            console: "what a console needs to know first",
            history: "sessions, traffic and load of the last 5 minutes",
            config: "the settings in force, and where each comes from",
            log: "the last lines of the log",
            reload: "POST rereads the configuration",
            raw: "?rpc=reload rereads the configuration",
        },
    })
}

/// A version and its parts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Version {
    major: u32,
    minor: u32,
    revision: u32,
    /// All three.
    #[schema(example = "0.1.0")]
    version: &'static str,
}

impl Version {
    /// That of this program.
    pub(crate) fn of_this() -> Self {
        let part = |text: &str| text.parse().unwrap_or(0);
        Self {
            major: part(env!("CARGO_PKG_VERSION_MAJOR")),
            minor: part(env!("CARGO_PKG_VERSION_MINOR")),
            revision: part(env!("CARGO_PKG_VERSION_PATCH")),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// The version of this server.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Versions {
    #[serde(flatten)]
    head: Head,
    data: Version,
}

/// Version
///
/// The version of this server.
#[utoipa::path(
    get, path = "/api/v1/versions", tag = "process",
    responses(
        (status = 200, description = "The version", body = Versions),
        (status = 401, description = "The token is missing or wrong", body = ErrorBody),
        (status = 403, description = "Refused without a token", body = ErrorBody),
    )
)]
pub(super) async fn versions(State(shared): State<Arc<Shared>>) -> Json<Versions> {
    Json(Versions {
        head: shared.head(),
        data: Version::of_this(),
    })
}

/// The process. Percentages are shares: 0.15 is 15 %.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OwnSummary {
    version: &'static str,
    pid: u32,
    ppid: u32,
    /// Resident memory, in KiB.
    mem_kbyte: u64,
    /// Share of the machine's memory.
    mem_percent: f64,
    /// CPU time a second over the last 30 s; 1 is one core, 2 are two.
    cpu_percent: f64,
    /// Time since the start, in seconds.
    srs_uptime: u64,
}

/// The machine, and the traffic of the process. Percentages are shares: 0.15 is 15 %.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SystemSummary {
    /// Share of all CPUs' time over the last 30 s.
    cpu_percent: f64,
    /// Memory, in KiB.
    mem_ram_kbyte: u64,
    /// Share of the memory that is not available.
    mem_ram_percent: f64,
    /// Swap space, in KiB.
    mem_swap_kbyte: u64,
    /// Share of the swap space that is used.
    mem_swap_percent: f64,
    /// CPUs that this process may use.
    cpus: u64,
    /// The same.
    cpus_online: u64,
    /// Time since boot, in seconds.
    uptime: f64,
    /// Time that all CPUs have been idle since boot, added up, in seconds. The spelling is that of SRS.
    ilde_time: f64,
    load_1m: f64,
    load_5m: f64,
    load_15m: f64,
    /// When the counters of the network were read, in milliseconds since 1970 UTC.
    net_sample_time: u64,
    /// Bytes received since boot over all interfaces but the loopback.
    net_recv_bytes: u64,
    /// Bytes sent since boot over all interfaces but the loopback.
    net_send_bytes: u64,
    /// Bytes received since boot over the loopback.
    net_recvi_bytes: u64,
    /// Bytes sent since boot over the loopback.
    net_sendi_bytes: u64,
    /// When the counters of this server were read, in milliseconds since 1970 UTC.
    srs_sample_time: u64,
    /// Media bytes that this server has received from publishers.
    srs_recv_bytes: u64,
    /// Bytes that this server has sent to viewers.
    srs_send_bytes: u64,
    /// TCP sockets of the machine.
    conn_sys: u64,
    /// TCP connections of the machine in the state TIME-WAIT.
    conn_sys_tw: u64,
    /// UDP sockets of the machine.
    conn_sys_udp: u64,
    /// Sessions of this server.
    conn_srs: u64,
}

/// What this server holds.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HubSummary {
    /// Streams with a publisher.
    live_streams: u64,
    /// Sessions of all kinds.
    sessions: u64,
    /// The drain has begun: nothing new is accepted.
    draining: bool,
}

/// Load and size.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Summary {
    /// Always true.
    ok: bool,
    /// The time of the answer, in milliseconds since 1970 UTC.
    now_ms: u64,
    #[serde(rename = "self")]
    own: OwnSummary,
    system: SystemSummary,
    hub: HubSummary,
}

/// Load and size of the process and the machine.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Summaries {
    #[serde(flatten)]
    head: Head,
    data: Summary,
}

/// Summary
///
/// Load and size of the process and the machine.
#[utoipa::path(
    get, path = "/api/v1/summaries", tag = "process",
    responses(
        (status = 200, description = "The summary", body = Summaries),
        (status = 401, description = "The token is missing or wrong", body = ErrorBody),
        (status = 403, description = "Refused without a token", body = ErrorBody),
    )
)]
pub(super) async fn summaries(State(shared): State<Arc<Shared>>) -> Json<Summaries> {
    let hub = shared.origin().hub();
    let sessions = hub.sessions().len() as u64;
    let memory = Memory::read();
    let data = Summary {
        ok: true,
        now_ms: now_ms(),
        own: own(&shared, &memory),
        system: system(&shared, &memory, sessions),
        hub: HubSummary {
            live_streams: u64::try_from(hub.metrics().live_streams.get()).unwrap_or(0),
            sessions,
            draining: shared.shutdown.is_draining(),
        },
    };
    Json(Summaries {
        head: shared.head(),
        data,
    })
}

fn share(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        whole => part as f64 / whole as f64,
    }
}

fn own(shared: &Shared, memory: &Memory) -> OwnSummary {
    let resident = process::usage().resident / 1024;
    let uptime = clock::now().saturating_duration_since(shared.started);
    OwnSummary {
        version: env!("CARGO_PKG_VERSION"),
        pid: shared.identity.pid,
        ppid: std::os::unix::process::parent_id(),
        mem_kbyte: resident,
        mem_percent: share(resident, memory.total),
        cpu_percent: shared.rates.process_cpu(),
        srs_uptime: uptime.as_secs(),
    }
}

fn system(shared: &Shared, memory: &Memory, sessions: u64) -> SystemSummary {
    let (network, sockets) = (Network::read(), Sockets::read());
    let cpus = weir_net::cores::available() as u64;
    let [load_1m, load_5m, load_15m] = machine::load();
    let [uptime, ilde_time] = machine::uptime();
    let metrics = shared.origin().hub().metrics();
    let used = memory.total.saturating_sub(memory.available);
    let swapped = memory.swap_total.saturating_sub(memory.swap_free);
    SystemSummary {
        cpu_percent: shared.rates.machine_cpu(),
        mem_ram_kbyte: memory.total,
        mem_ram_percent: share(used, memory.total),
        mem_swap_kbyte: memory.swap_total,
        mem_swap_percent: share(swapped, memory.swap_total),
        cpus,
        cpus_online: cpus,
        uptime,
        ilde_time,
        load_1m,
        load_5m,
        load_15m,
        net_sample_time: now_ms(),
        net_recv_bytes: network.outside.0,
        net_send_bytes: network.outside.1,
        net_recvi_bytes: network.loopback.0,
        net_sendi_bytes: network.loopback.1,
        srs_sample_time: now_ms(),
        srs_recv_bytes: metrics.bytes_in.get(),
        srs_send_bytes: metrics.bytes_out.get(),
        conn_sys: sockets.tcp,
        conn_sys_tw: sockets.time_wait,
        conn_sys_udp: sockets.udp,
        conn_srs: sessions,
    }
}

/// Whether the process serves
///
/// Needs no token. 200 for as long as the process answers, also while it drains.
#[utoipa::path(
    get, path = "/healthz", tag = "process", security(()),
    responses((status = 200, description = "It serves", body = String, content_type = "text/plain"))
)]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether new sessions are welcome
///
/// Needs no token. 503 from the beginning of the drain, so that a load balancer sends clients elsewhere.
#[utoipa::path(
    get, path = "/readyz", tag = "process", security(()),
    responses(
        (status = 200, description = "It accepts sessions", body = String,
            content_type = "text/plain"),
        (status = 503, description = "It drains", body = ErrorBody),
    )
)]
pub(super) async fn readyz(State(shared): State<Arc<Shared>>) -> Result<&'static str, Failure> {
    if shared.shutdown.is_draining() {
        return Err(Failure::draining());
    }
    Ok("ok\n")
}

/// A key whose value a reload found changed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChangedKey {
    /// The key's full name.
    #[schema(example = "stream.grace")]
    key: String,
    /// Its value before, as TOML; a secret is `"***"`.
    #[schema(example = "\"10s\"")]
    old: String,
    /// Its value now, as TOML; a secret is `"***"`.
    #[schema(example = "\"30s\"")]
    new: String,
    /// It is in force now; else it needs a restart.
    live: bool,
}

/// What a reload found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReloadAnswer {
    #[serde(flatten)]
    head: Head,
    /// The keys whose values changed; empty when none did.
    changes: Vec<ChangedKey>,
}

/// Reload
///
/// Rereads the configuration from its file, its environment and its flags, and puts into force what can change live.
/// When anything is wrong with it, nothing changes.
#[utoipa::path(
    post, path = "/api/v1/reload", tag = "process",
    responses(
        (status = 200, description = "What changed", body = ReloadAnswer),
        (status = 400, description = "What is wrong, one problem a line", body = ErrorBody),
        (status = 401, description = "The token is missing or wrong", body = ErrorBody),
        (status = 403, description = "Refused without a token", body = ErrorBody),
    )
)]
pub(super) async fn reload(
    State(shared): State<Arc<Shared>>,
) -> Result<Json<ReloadAnswer>, Failure> {
    let changes = shared.reloader.reload().map_err(|problems| {
        tracing::error!(%problems, "reload refused, nothing was changed");
        Failure::bad_request(problems.to_string())
    })?;
    let changes = changes.into_iter().map(|change| ChangedKey {
        key: change.key,
        old: change.old,
        new: change.new,
        live: change.live,
    });
    Ok(Json(ReloadAnswer {
        head: shared.head(),
        changes: changes.collect(),
    }))
}

/// What is to be done.
#[derive(Debug, Deserialize)]
pub(super) struct Raw {
    rpc: Option<String>,
}

/// Reload, as SRS has it
///
/// The same as `POST /api/v1/reload`, for tools made for SRS.
#[utoipa::path(
    get, path = "/api/v1/raw", tag = "process", 
    params(("rpc" = String, Query, description = "Only `reload` is known", example = "reload")),
    responses(
        (status = 200, description = "What changed", body = ReloadAnswer),
        (status = 400, description = "Another rpc than reload, or what is wrong", body = ErrorBody),
        (status = 401, description = "The token is missing or wrong", body = ErrorBody),
        (status = 403, description = "Refused without a token", body = ErrorBody),
    )
)]
pub(super) async fn raw(
    shared: State<Arc<Shared>>,
    raw: Result<Query<Raw>, QueryRejection>,
) -> Result<Json<ReloadAnswer>, Failure> {
    let Query(raw) = raw.map_err(|error| Failure::bad_request(error.body_text()))?;
    match raw.rpc.as_deref() {
        Some("reload") => reload(shared).await,
        _ => Err(Failure::bad_request("rpc must be reload")),
    }
}
