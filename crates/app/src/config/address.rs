//! Where the proxy listens, whom it believes, and where its origins are: addresses richer than an IP and a port.
//!
//! Owns: [`Listens`], [`Networks`], [`Origins`] and [`Urls`], their text forms and what is wrong with them. Does not:
//! resolve names at load ([`ListenAt::resolve`] does when asked), or match addresses with ranges.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;

use url::Url;
use weir_cluster::Service;
use weir_net::door::{Network, NetworkError};

use super::setting::{Raw, Setting, array, found, list};

/// One address to listen on, as the Go proxy writes them: `11935`, `:11935`, `127.0.0.1:11935`, `[::1]:11935` or
/// `name:11935`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAt {
    /// IP address without brackets, or a host name; `None` is every address of the machine.
    pub host: Option<String>,
    /// The port; 0 takes a free one.
    pub port: u16,
}

/// Addresses to listen on; empty switches the listener off.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listens(pub Vec<ListenAt>);

/// Ranges of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks(pub Vec<Network>);

/// Where an origin is that registers with nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// One origin.
    Fixed {
        /// IP address without brackets, or a host name.
        host: String,
        /// Its ports, that of RTMP first.
        ports: Vec<(Service, u16)>,
    },
    /// An origin at each address of a name, with RTMP on `port`.
    Dns {
        /// The name.
        host: String,
        /// Port of RTMP.
        port: u16,
    },
    /// An origin for each SRV record (RFC 2782) of a name such as `_rtmp._tcp.example.org`.
    DnsSrv {
        /// The name.
        name: String,
    },
}

/// Origins that register with nobody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origins(pub Vec<Backend>);

/// Addresses of HTTP services.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Urls(pub Vec<Url>);

/// Longest host name (RFC 1035 §2.3.4).
const MAX_NAME: usize = 253;

impl ListenAt {
    /// Every address of the machine, at `port`.
    pub const fn port(port: u16) -> Self {
        Self { host: None, port }
    }

    /// The socket address; a name gives the first one that the resolver knows.
    ///
    /// # Errors
    ///
    /// The name cannot be resolved.
    pub fn resolve(&self) -> io::Result<SocketAddr> {
        let Some(host) = &self.host else {
            return Ok(SocketAddr::from((Ipv6Addr::UNSPECIFIED, self.port)));
        };
        let mut addresses = (host.as_str(), self.port).to_socket_addrs()?;
        let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        addresses.next().ok_or_else(none)
    }

    /// Whether only this machine can reach it, as far as the text tells.
    pub fn is_local(&self) -> bool {
        let host = self.host.as_deref().unwrap_or_default();
        let ip = host.parse::<IpAddr>().map(|ip| ip.to_canonical());
        host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
    }

    fn parse(text: &str) -> Result<Self, String> {
        if let Ok(port) = text.parse() {
            return Ok(Self::port(port));
        }
        let parsed = match text.strip_prefix(':') {
            Some(port) => port.parse().ok().map(Self::port),
            None => host_port(text).and_then(|(host, port)| {
                let host = Some(host);
                port.map(|port| Self { host, port })
            }),
        };
        parsed.ok_or_else(|| {
            format!("`{text}` is not an address (expected a port, as 11935, or 127.0.0.1:11935)")
        })
    }
}

impl fmt::Display for ListenAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            None => write!(f, ":{}", self.port),
            Some(host) => write!(f, "{}:{}", Bracketed(host), self.port),
        }
    }
}

impl Origins {
    /// A host with ports, as the proxy's own default backend.
    pub(super) fn fixed(host: &str, ports: Vec<(Service, u16)>) -> Self {
        let host = host.to_owned();
        Self(vec![Backend::Fixed { host, ports }])
    }

    /// Takes one item of a list. RTMP's address begins an origin; those of other services belong to the one before.
    fn take(&mut self, text: &str) -> Result<(), String> {
        let fail = |why: &str| Err(format!("`{text}` is no origin: {why}"));
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if scheme == "dns+srv" {
            if !is_name(rest) {
                return fail("expected a name, as dns+srv://_rtmp._tcp.example.org");
            }
            let name = rest.to_owned();
            self.0.push(Backend::DnsSrv { name });
            return Ok(());
        }
        let Some((host, port)) = host_port(rest) else {
            return fail("expected a host and a port, as 10.0.0.1:1935 or rtmp://10.0.0.1:1935");
        };
        if port == Some(0) {
            return fail("the port is 0");
        }
        let service = match scheme {
            "" if port.is_none() => return fail("the port is missing"),
            "" | "dns" => Service::Rtmp,
            _ => match Service::ALL.iter().find(|one| one.name() == scheme) {
                Some(service) => *service,
                None => {
                    return fail(
                        "the scheme is none of rtmp, http, api, srt, rtc, dns and dns+srv",
                    );
                }
            },
        };
        let port = port.unwrap_or_else(|| usual_port(service));
        match (scheme, service) {
            ("dns", _) => self.0.push(Backend::Dns { host, port }),
            (_, Service::Rtmp) => {
                let ports = vec![(service, port)];
                self.0.push(Backend::Fixed { host, ports });
            }
            _ => match self.0.last_mut() {
                Some(Backend::Fixed { host: of, ports }) if *of == host => {
                    if ports.iter().any(|(one, _)| *one == service) {
                        return fail("its origin has that service already");
                    }
                    ports.push((service, port));
                }
                _ => return fail("it must follow the rtmp:// address of the same host"),
            },
        }
        Ok(())
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed { host, ports } => {
                for (index, (service, port)) in ports.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{}://{}:{port}", service.name(), Bracketed(host))?;
                }
                Ok(())
            }
            Self::Dns { host, port } => write!(f, "dns://{}:{port}", Bracketed(host)),
            Self::DnsSrv { name } => write!(f, "dns+srv://{name}"),
        }
    }
}

/// A host as it stands before a port.
struct Bracketed<'a>(&'a str);

impl fmt::Display for Bracketed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.contains(':') {
            true => write!(f, "[{}]", self.0),
            false => f.write_str(self.0),
        }
    }
}

/// The ports of SRS.
pub(super) fn usual_port(service: Service) -> u16 {
    match service {
        Service::Rtmp => 1935,
        Service::Http => 8080,
        Service::Api => 1985,
        Service::Srt => 10_080,
        Service::Rtc => 8000,
    }
}

/// A host without brackets, and a port where there is one.
fn host_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if rest.is_empty() => (host, None),
                None => return None,
            }
        }
        None => {
            let (host, port) = text
                .split_once(':')
                .map_or((text, None), |(host, port)| (host, Some(port)));
            if !is_name(host) {
                return None;
            }
            (host, port)
        }
    };
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    match port {
        Some(port) if !digits(port) => None,
        Some(port) => Some((host.to_owned(), Some(port.parse().ok()?))),
        None => Some((host.to_owned(), None)),
    }
}

/// Whether it can be a host name or IPv4 address. Underscores are none of RFC 1123, but names of containers and of
/// services have them.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    name.len() <= MAX_NAME && name.split('.').all(is_label)
}

impl Setting for Listens {
    fn read(&mut self, raw: &Raw, _range: &RangeInclusive<u64>) -> Result<(), String> {
        let texts = match raw {
            Raw::Integer(port) => vec![port.to_string()],
            _ => texts(raw, "an address or a list of addresses")?,
        };
        let mut all = Vec::new();
        for text in texts {
            let one = ListenAt::parse(&text)?;
            if one.port != 0 && all.contains(&one) {
                return Err(format!("{one} is there twice"));
            }
            all.push(one);
        }
        self.0 = all;
        Ok(())
    }

    fn to_toml(&self) -> String {
        array(self.0.iter().map(ToString::to_string))
    }

    fn value_name(&self) -> &'static str {
        "[HOST]:PORT,.."
    }

    fn is_list(&self) -> bool {
        true
    }
}

impl Setting for Networks {
    fn read(&mut self, raw: &Raw, _range: &RangeInclusive<u64>) -> Result<(), String> {
        let texts = texts(raw, "a range of addresses or a list of them")?;
        let all: Result<_, _> = texts.iter().map(|text| text.parse()).collect();
        self.0 = all.map_err(|error: NetworkError| error.to_string())?;
        Ok(())
    }

    fn to_toml(&self) -> String {
        array(self.0.iter().map(ToString::to_string))
    }

    fn value_name(&self) -> &'static str {
        "CIDR,.."
    }

    fn is_list(&self) -> bool {
        true
    }
}

impl Setting for Origins {
    fn read(&mut self, raw: &Raw, _range: &RangeInclusive<u64>) -> Result<(), String> {
        let mut all = Self::default();
        for text in texts(raw, "an origin or a list of origins")? {
            // an item of a list may be a whole origin with all its services
            for part in text.split(',') {
                all.take(part.trim())?;
            }
        }
        *self = all;
        Ok(())
    }

    fn to_toml(&self) -> String {
        array(self.0.iter().map(ToString::to_string))
    }

    fn value_name(&self) -> &'static str {
        "ORIGIN,.."
    }

    fn is_list(&self) -> bool {
        true
    }
}

impl Setting for Urls {
    fn read(&mut self, raw: &Raw, _range: &RangeInclusive<u64>) -> Result<(), String> {
        let mut all = Vec::new();
        for text in texts(raw, "an address or a list of addresses")? {
            let url = Url::parse(&text).ok();
            let fits = |url: &Url| {
                // what a URL says of a user would be in every log; there is a key for the token
                let user = !url.username().is_empty() || url.password().is_some();
                url.scheme() == "http" && url.has_host() && !user
            };
            let Some(url) = url.filter(fits) else {
                return Err(format!(
                    "`{}` is no address of an HTTP service (expected http://host:port/path)",
                    crate::log::Masked(&text)
                ));
            };
            all.push(url);
        }
        self.0 = all;
        Ok(())
    }

    fn to_toml(&self) -> String {
        array(self.0.iter().map(ToString::to_string))
    }

    fn value_name(&self) -> &'static str {
        "URL,.."
    }

    fn is_list(&self) -> bool {
        true
    }
}

fn texts(raw: &Raw, expected: &str) -> Result<Vec<String>, String> {
    let texts = list(raw).ok_or_else(|| format!("expected {expected}, found {}", found(raw)))?;
    Ok(texts.into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read<S: Setting + Default>(text: &str) -> Result<S, String> {
        let mut value = S::default();
        value.read(&Raw::Text(text.to_owned()), &(0..=u64::MAX))?;
        Ok(value)
    }

    /// C2: a port alone is every address; with a colon it is that address only.
    #[test]
    fn listeners_take_the_forms_of_the_go_proxy() {
        for (text, shown, local) in [
            ("11935", ":11935", false),
            (":11935", ":11935", false),
            ("0.0.0.0:1", "0.0.0.0:1", false),
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("[::1]:1", "[::1]:1", true),
            ("localhost:1", "localhost:1", true),
            (
                "edge_1.example.org:65535",
                "edge_1.example.org:65535",
                false,
            ),
        ] {
            let at = ListenAt::parse(text).unwrap();
            assert_eq!((at.to_string().as_str(), at.is_local()), (shown, local));
        }
        for wrong in [
            "", ":", "x", "65536", "-1", "+1x", "::1:1", "[::1]", "[x]:1", "a:b", "a b:1", "a:",
        ] {
            assert!(ListenAt::parse(wrong).is_err(), "{wrong}");
        }
        let every = ListenAt::port(7).resolve().unwrap();
        assert_eq!(every.to_string(), "[::]:7");
        let one = ListenAt::parse("127.0.0.1:7").unwrap().resolve().unwrap();
        assert_eq!(one.to_string(), "127.0.0.1:7");
        let mut listens = Listens::default();
        listens.read(&Raw::Integer(7), &(0..=1)).unwrap();
        assert_eq!(listens, Listens(vec![ListenAt::port(7)]));
        assert!(read::<Listens>("7,:7").unwrap_err().contains("twice"));
        assert!(read::<Listens>("0,0").is_ok());
    }

    #[test]
    fn ranges_are_an_address_and_a_prefix() {
        let networks: Networks = read("10.0.0.0/8, 192.168.1.7, fd00::/8, ::ffff:1.2.3.4").unwrap();
        let shown: Vec<_> = networks.0.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            ["10.0.0.0/8", "192.168.1.7/32", "fd00::/8", "1.2.3.4/32"]
        );
        for wrong in ["10.0.0.0/33", "x/8", "::/129", "1.2.3.4/", "1.2.3.4/x"] {
            assert!(read::<Networks>(wrong).is_err(), "{wrong}");
        }
    }

    /// B9: origins without registration have all the forms that are documented.
    #[test]
    fn origins_are_hosts_with_ports_or_names_to_look_up() {
        let origins: Origins = read(
            "10.0.0.1:1935,rtmp://b:19351,http://b:8081,srt://b,rtmp://[fd00::1],\
             dns://origins:1935,dns+srv://_rtmp._tcp.example.org",
        )
        .unwrap();
        let shown: Vec<_> = origins.0.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "rtmp://10.0.0.1:1935",
                "rtmp://b:19351,http://b:8081,srt://b:10080",
                "rtmp://[fd00::1]:1935",
                "dns://origins:1935",
                "dns+srv://_rtmp._tcp.example.org",
            ]
        );
        let item = "rtmp://b:1,http://b:2".to_owned();
        let mut as_list = Origins::default();
        as_list.read(&Raw::List(vec![item]), &(0..=1)).unwrap();
        assert_eq!(as_list, read("rtmp://b:1,http://b:2").unwrap());
        for wrong in [
            "a",
            "a:0",
            "http://a:1",
            "rtmp://a:1,http://b:1",
            "rtmp://a:1,http://a:1,http://a:2",
            "ftp://a:1",
            "rtmp://",
            "dns+srv://",
            "dns+srv://a:1",
            "rtmp://a:1/live",
            "rtmp://a b:1",
            "rtmp://a:1,",
        ] {
            assert!(read::<Origins>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn services_of_http_are_urls() {
        let urls: Urls = read("http://a:12025/api/v1/srs/register,http://b/x").unwrap();
        assert_eq!(urls.0.len(), 2);
        for wrong in ["a:1", "https://a", "http://", "/x", "http://u:p@a/"] {
            assert!(read::<Urls>(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused_and_reads_back(text in "[a-z0-9:/.,\\[\\]_-]{0,40}|\\PC*") {
            fn again<S: Setting + Default + PartialEq + fmt::Debug>(text: &str) {
                if let Ok(value) = read::<S>(text) {
                    let toml = format!("x = {}", value.to_toml()).parse::<toml::Table>().unwrap();
                    let items = toml["x"].as_array().unwrap().iter();
                    let items = items.map(|item| item.as_str().unwrap().to_owned()).collect();
                    let mut back = S::default();
                    back.read(&Raw::List(items), &(0..=1)).unwrap();
                    assert_eq!(back, value);
                }
            }
            again::<Listens>(&text);
            again::<Networks>(&text);
            again::<Origins>(&text);
            again::<Urls>(&text);
        }
    }
}
