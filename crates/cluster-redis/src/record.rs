//! What is kept of a node: the record that the SRS proxy knows, and the report that it does not.
//!
//! Owns: both JSON forms, written with their fields in order and read with any fields in any order. Does not: name keys.

use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use weir_cluster::{Endpoints, Load, Node, NodeId, Report, Service};

use crate::time;

/// Longest value that is read or written, in bytes. Records are below 1 KiB; routes and claims too.
pub(crate) const MAX_VALUE_BYTES: usize = 64 * 1024;

/// The record of `node`: empty fields left out, `update_at` always there.
pub(crate) fn write(node: &Node) -> String {
    let endpoints = |service| node.endpoints.get(service);
    json(&Written {
        ip: &node.host,
        device_id: &node.device,
        server_id: &node.server,
        service_id: &node.service,
        pid: &node.pid,
        rtmp: endpoints(Service::Rtmp),
        http: endpoints(Service::Http),
        api: endpoints(Service::Api),
        srt: endpoints(Service::Srt),
        rtc: endpoints(Service::Rtc),
        update_at: time::format(node.updated),
    })
}

/// The node of a record, with the report of a node that says nothing. Fails with what is wrong with it.
///
/// A time that is none does no harm, as the record lives by its lease: it is taken for the epoch.
pub(crate) fn read(id: NodeId, text: &str) -> Result<Node, String> {
    if text.len() > MAX_VALUE_BYTES {
        return Err(format!("{} bytes are no record", text.len()));
    }
    let read: Read = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let text = Option::<String>::unwrap_or_default;
    let host = text(read.ip);
    if host.is_empty() {
        return Err("it has no ip".to_owned());
    }
    let mut endpoints = Endpoints::default();
    for (service, texts) in [
        (Service::Rtmp, read.rtmp),
        (Service::Http, read.http),
        (Service::Api, read.api),
        (Service::Srt, read.srt),
        (Service::Rtc, read.rtc),
    ] {
        endpoints.set(service, texts.unwrap_or_default());
    }
    let updated = read.update_at.and_then(|text| time::parse(&text));
    Ok(Node {
        id,
        host,
        device: text(read.device_id),
        server: text(read.server_id),
        service: text(read.service_id),
        pid: text(read.pid),
        endpoints,
        report: Report::default(),
        updated: updated.unwrap_or(UNIX_EPOCH),
    })
}

/// What `report` says, or `None` if it says no more than nothing does.
pub(crate) fn write_report(report: &Report) -> Option<String> {
    (*report != Report::default()).then(|| {
        json(&Reported {
            weight: report.weight,
            capacity: report.capacity,
            draining: report.draining,
            load: report.load.map(|load| Loaded {
                // what JSON cannot say is said as nothing
                cpu: if load.cpu.is_finite() { load.cpu } else { 0.0 },
                egress_bps: load.egress_bps,
                sessions: load.sessions,
            }),
        })
    })
}

/// The report that was written. Fails with what is wrong with it.
pub(crate) fn read_report(text: &str) -> Result<Report, String> {
    if text.len() > MAX_VALUE_BYTES {
        return Err(format!("{} bytes are no report", text.len()));
    }
    let read: Reported = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(Report {
        weight: read.weight,
        capacity: read.capacity,
        draining: read.draining,
        load: read.load.map(|load| Load {
            cpu: load.cpu,
            egress_bps: load.egress_bps,
            sessions: load.sessions,
        }),
    })
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts and finite numbers have a form in JSON")
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    ip: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    device_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    server_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    service_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pid: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    rtmp: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    http: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    api: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    srt: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    rtc: &'a [String],
    update_at: String,
}

/// A field that is `null` is as one that is not there.
#[derive(Deserialize)]
struct Read {
    ip: Option<String>,
    device_id: Option<String>,
    server_id: Option<String>,
    service_id: Option<String>,
    pid: Option<String>,
    rtmp: Option<Vec<String>>,
    http: Option<Vec<String>>,
    api: Option<Vec<String>>,
    srt: Option<Vec<String>>,
    rtc: Option<Vec<String>>,
    update_at: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(default)]
struct Reported {
    weight: u32,
    capacity: u32,
    draining: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<Loaded>,
}

impl Default for Reported {
    fn default() -> Self {
        let Report {
            weight,
            capacity,
            draining,
            load: _,
        } = Report::default();
        Self {
            weight,
            capacity,
            draining,
            load: None,
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Loaded {
    cpu: f32,
    egress_bps: u64,
    sessions: u32,
}

#[cfg(test)]
mod tests;
