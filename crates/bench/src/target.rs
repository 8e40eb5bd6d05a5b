//! Where sessions go: addresses and names out of URLs.
//!
//! Owns: the split of an RTMP URL into app and stream and of an HTTP-FLV URL into path and extension, the numbering of
//! several streams, and the choice of a source address when one would run out of ports.
//! Does not: open sockets.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use url::Url;

use crate::client;

/// Connections from one source address to one server address: Linux gives 28,232 ephemeral ports
/// (`ip_local_port_range` 32768 to 60999); the rest is left to others and to TIME_WAIT.
const PER_ADDRESS: usize = 25_000;

/// An RTMP stream, or a numbered family of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rtmp {
    pub(crate) address: SocketAddr,
    app: Arc<str>,
    tc_url: Arc<str>,
    stream: String,
    /// With its question mark; empty for none.
    query: String,
}

impl Rtmp {
    /// # Errors
    /// When the URL is not `rtmp://HOST[:PORT]/APP/STREAM`, or its host has no address.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let url = Url::parse(text).with_context(|| format!("{text:?} is not a URL"))?;
        ensure!(
            url.scheme() == "rtmp",
            "{text:?} does not begin with rtmp://"
        );
        let path = url.path().trim_start_matches('/');
        let Some((app, stream)) = path
            .rsplit_once('/')
            .filter(|(a, s)| !a.is_empty() && !s.is_empty())
        else {
            bail!("{text:?} is not of the form rtmp://HOST/APP/STREAM");
        };
        let (address, host) = resolve(&url, 1935)?;
        Ok(Self {
            address,
            app: app.into(),
            tc_url: format!("rtmp://{host}/{app}").into(),
            stream: stream.to_owned(),
            query: url
                .query()
                .map(|query| format!("?{query}"))
                .unwrap_or_default(),
        })
    }

    /// The names of stream `index` of `streams`; a single one has no number.
    pub(crate) fn names(&self, index: usize, streams: usize) -> client::Names {
        client::Names {
            app: Arc::clone(&self.app),
            tc_url: Arc::clone(&self.tc_url),
            stream: format!("{}{}{}", self.stream, number(index, streams), self.query),
        }
    }
}

/// An HTTP-FLV stream, or a numbered family of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flv {
    pub(crate) address: SocketAddr,
    /// For the Host field.
    pub(crate) host: String,
    /// The path without its extension.
    stem: String,
    /// With its dot; empty for none.
    extension: String,
    query: String,
}

impl Flv {
    /// # Errors
    /// When the URL is not `http://HOST[:PORT]/PATH`, or its host has no address.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let url = Url::parse(text).with_context(|| format!("{text:?} is not a URL"))?;
        ensure!(
            url.scheme() == "http",
            "{text:?} does not begin with http://"
        );
        let name = url.path().rfind('/').map_or(0, |slash| slash + 1);
        ensure!(url.path().len() > name, "{text:?} names no stream");
        let length = url.path().len();
        let dot = url.path()[name..]
            .rfind('.')
            .map_or(length, |dot| name + dot);
        let (stem, extension) = url.path().split_at(dot);
        let (address, host) = resolve(&url, 80)?;
        Ok(Self {
            address,
            host,
            stem: stem.to_owned(),
            extension: extension.to_owned(),
            query: url
                .query()
                .map(|query| format!("?{query}"))
                .unwrap_or_default(),
        })
    }

    /// The request target of stream `index` of `streams`.
    pub(crate) fn request_target(&self, index: usize, streams: usize) -> String {
        format!(
            "{}{}{}{}",
            self.stem,
            number(index, streams),
            self.extension,
            self.query
        )
    }

    /// Where the stream is published unless told otherwise: the same host and path on the RTMP port.
    pub(crate) fn publish_url(&self) -> String {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        format!("rtmp://{ip}{}{}", self.stem, self.query)
    }
}

/// The source address of connection `index`, when the kernel's choice would run out of ports: servers on
/// 127.0.0.0/8 are reached from any of its addresses.
pub(crate) fn source(target: SocketAddr, index: usize) -> Option<IpAddr> {
    let IpAddr::V4(ip) = target.ip() else {
        return None;
    };
    let beyond = index / PER_ADDRESS;
    (ip.is_loopback() && beyond > 0).then(|| {
        // 127.0.0.2 and on; a process has far fewer descriptors than 250 addresses have ports.
        IpAddr::V4(Ipv4Addr::new(127, 0, 0, (1 + beyond).min(250) as u8))
    })
}

fn number(index: usize, streams: usize) -> String {
    if streams > 1 {
        format!("-{index}")
    } else {
        String::new()
    }
}

/// The first address of a URL's host, and host and port as they were written.
fn resolve(url: &Url, default_port: u16) -> anyhow::Result<(SocketAddr, String)> {
    let host = url.host_str().filter(|host| !host.is_empty());
    let host = host.with_context(|| format!("{url} has no host"))?;
    let port = url.port().unwrap_or(default_port);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = (bare, port)
        .to_socket_addrs()
        .with_context(|| format!("host {host}"))?
        .next()
        .with_context(|| format!("host {host} has no address"))?;
    let shown = if port == default_port {
        host.to_owned()
    } else {
        format!("{host}:{port}")
    };
    Ok((address, shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtmp_names() {
        let target = Rtmp::parse("rtmp://127.0.0.1:19350/a/b/bench?token=1").unwrap();
        assert_eq!(target.address, "127.0.0.1:19350".parse().unwrap());
        let names = target.names(3, 10);
        assert_eq!(
            (&*names.app, &*names.tc_url),
            ("a/b", "rtmp://127.0.0.1:19350/a/b")
        );
        assert_eq!(names.stream, "bench-3?token=1");
        assert_eq!(target.names(0, 1).stream, "bench?token=1");
        assert_eq!(
            Rtmp::parse("rtmp://127.0.0.1/live/x")
                .unwrap()
                .address
                .port(),
            1935
        );
        assert_eq!(
            Rtmp::parse("rtmp://[::1]/live/x")
                .unwrap()
                .address
                .ip()
                .to_string(),
            "::1"
        );
    }

    #[test]
    fn flv_names() {
        let target = Flv::parse("http://127.0.0.1:8080/live/bench.flv?a=b").unwrap();
        assert_eq!(target.request_target(2, 5), "/live/bench-2.flv?a=b");
        assert_eq!(target.request_target(0, 1), "/live/bench.flv?a=b");
        assert_eq!(target.host, "127.0.0.1:8080");
        assert_eq!(target.publish_url(), "rtmp://127.0.0.1/live/bench?a=b");
        assert_eq!(
            Flv::parse("http://127.0.0.1/v1.2/bench")
                .unwrap()
                .request_target(1, 2),
            "/v1.2/bench-1"
        );
    }

    #[test]
    fn wrong_urls_are_named() {
        for url in [
            "x",
            "http://h/a/b",
            "rtmp://127.0.0.1/live",
            "rtmp://127.0.0.1/",
            "rtmp:///a/b",
        ] {
            assert!(Rtmp::parse(url).is_err(), "{url}");
        }
        for url in ["rtmp://127.0.0.1/a/b", "http://127.0.0.1/", "nothing"] {
            assert!(Flv::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn more_loopback_addresses_when_ports_run_out() {
        let loopback = "127.0.0.1:1935".parse().unwrap();
        assert_eq!(source(loopback, 24_999), None);
        assert_eq!(source(loopback, 25_000), Some("127.0.0.2".parse().unwrap()));
        assert_eq!(source(loopback, 60_000), Some("127.0.0.3".parse().unwrap()));
        assert_eq!(source("10.0.0.1:1935".parse().unwrap(), 60_000), None);
    }
}
