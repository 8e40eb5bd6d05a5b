//! Registration: what an origin says of itself, and who may say it.
//!
//! Owns: the reading of a registration's JSON as SRS, curl and Weir's own origin send it ([`Registration`]), every
//! check on it, and the rules of who may register what ([`Policy`]). Nothing that passes has an endpoint that fails
//! later. Does not: answer requests or keep nodes.

mod body;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::SystemTime;

use weir_cluster::{Endpoint, EndpointError, Endpoints, Load, Node, NodeId, Report, Service};
use weir_net::door::Network;

use body::Body;

/// Largest body in bytes. A plain registration has under 1 KiB; `summaries` adds some KiB, and more with many disks
/// and networks.
pub const MAX_BODY_BYTES: usize = 1 << 20;

/// Longest `server`, `service` and `pid` in bytes. Those of SRS have 14, 8 and up to 10; people who name servers
/// themselves take host names or UUIDs.
pub const MAX_ID_BYTES: usize = 128;

/// Longest `device_id` in bytes; it is for people.
const MAX_DEVICE_BYTES: usize = 256;

/// Longest host name in bytes (RFC 1035, section 2.3.4), and of one of its labels.
const MAX_HOST_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// Most endpoints of one service; a server that listens on all addresses of a machine has a handful.
const MAX_ENDPOINTS: usize = 16;

/// Most that a weight may be: a thousand times the default, and far from what sums of weights could overflow.
const MAX_WEIGHT: u32 = 100_000;

/// Why a registration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The body is larger than [`MAX_BODY_BYTES`].
    #[error("body is larger than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    /// The body is no JSON object, or a field has another type than it must.
    #[error("body is no registration: {0}")]
    Json(String),
    /// A field that must be there is not, or is empty.
    #[error("empty {0}")]
    Empty(&'static str),
    /// A field is there but not usable.
    #[error("bad {field}: {why}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A listen text is none.
    #[error("bad {field}: {error}")]
    Endpoint {
        /// The field.
        field: &'static str,
        /// What is wrong with it. It is part of the text, and so not named as its source.
        error: EndpointError,
    },
    /// The policy lets this peer register nothing.
    #[error("peer {0} may not register here")]
    Peer(IpAddr),
    /// The policy does not let this address be registered.
    #[error("bad ip: {0} may not be registered here")]
    Address(String),
}

impl RegisterError {
    /// Whether a rule forbids it, rather than that it is wrong in itself.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Peer(_) | Self::Address(_))
    }
}

/// Who may register what. The default lets everybody register everything, as the SRS proxy does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Networks of the peers that may register, and of the addresses that may be registered; empty allows all. With
    /// networks, an origin must be registered by its address: a host name could become any address later.
    pub allow: Vec<Network>,
    /// The origin's address is that of the connection, whatever `ip` says. Not for registrations that come through a
    /// balancer or network address translation.
    pub force_peer_address: bool,
}

impl Policy {
    /// Whether `peer` may register at all.
    pub fn admits(&self, peer: IpAddr) -> bool {
        self.allow.is_empty() || self.allow.iter().any(|network| network.contains(peer))
    }

    /// Fails when `peer` may not register.
    pub fn check(&self, peer: IpAddr) -> Result<(), RegisterError> {
        match self.admits(peer) {
            true => Ok(()),
            false => Err(RegisterError::Peer(peer.to_canonical())),
        }
    }

    /// The host to keep of an origin that calls itself `ip`.
    fn host(&self, ip: &str, peer: IpAddr) -> Result<String, RegisterError> {
        if self.force_peer_address {
            return Ok(peer.to_canonical().to_string());
        }
        match host(ip)? {
            Host::Address(address) if self.admits(address) => Ok(address.to_string()),
            Host::Name(name) if self.allow.is_empty() => Ok(name.to_owned()),
            Host::Address(_) | Host::Name(_) => Err(RegisterError::Address(ip.to_owned())),
        }
    }
}

/// A registration as it came, with nothing checked but the types of its fields.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Registration {
    body: Body,
    load: Option<Load>,
}

impl Registration {
    /// Reads a body. One without a byte is a registration in which everything is missing.
    ///
    /// Keys match whatever their case, unknown ones are ignored, and `null` is the same as missing: so the SRS proxy
    /// reads it.
    pub fn read(bytes: &[u8]) -> Result<Self, RegisterError> {
        if bytes.len() > MAX_BODY_BYTES {
            return Err(RegisterError::TooLarge);
        }
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let body = Body::read(bytes)?;
        let load = match body.has_summaries {
            true => body::summarized_load(bytes),
            false => None,
        };
        Ok(Self { body, load })
    }

    /// A registration with nothing but an identity, as far as it is there.
    pub fn of_identity(
        server: Option<String>,
        service: Option<String>,
        pid: Option<String>,
    ) -> Self {
        let body = Body {
            server: server.unwrap_or_default(),
            service: service.unwrap_or_default(),
            pid: pid.unwrap_or_default(),
            ..Body::default()
        };
        Self { body, load: None }
    }

    /// Whether it is a goodbye: it has the field `action` with the value `leave`.
    pub fn is_leave(&self) -> bool {
        self.body.action == LEAVE
    }

    /// The identity. Fails when one of its three parts is missing or not usable.
    pub fn id(&self) -> Result<NodeId, RegisterError> {
        let body = &self.body;
        let parts = [
            ("server", &body.server),
            ("service", &body.service),
            ("pid", &body.pid),
        ];
        for (field, text) in parts {
            if text.is_empty() {
                return Err(RegisterError::Empty(field));
            }
            check_text(field, text, MAX_ID_BYTES)?;
        }
        Ok(NodeId::new(&body.server, &body.service, &body.pid))
    }

    /// The node, as `peer` registers it `now`. Fails at the first field that is missing or not usable, and where
    /// `policy` forbids it.
    pub fn into_node(
        self,
        peer: IpAddr,
        now: SystemTime,
        policy: &Policy,
    ) -> Result<Node, RegisterError> {
        policy.check(peer)?;
        if self.body.ip.is_empty() {
            return Err(RegisterError::Empty("ip"));
        }
        let id = self.id()?;
        if self.body.endpoints.get(Service::Rtmp).is_empty() {
            return Err(RegisterError::Empty("rtmp"));
        }
        let report = self.report()?;
        let body = self.body;
        check_text("device_id", &body.device_id, MAX_DEVICE_BYTES)?;
        check_endpoints(&body.endpoints)?;
        Ok(Node {
            id,
            host: policy.host(&body.ip, peer)?,
            device: body.device_id,
            server: body.server,
            service: body.service,
            pid: body.pid,
            endpoints: body.endpoints,
            report,
            updated: now,
        })
    }

    fn report(&self) -> Result<Report, RegisterError> {
        let default = Report::default();
        let weir = &self.body.weir;
        let weight = weir.weight.unwrap_or(default.weight);
        if weight > MAX_WEIGHT {
            return Err(RegisterError::Field {
                field: "weir.weight",
                why: "it is larger than 100000",
            });
        }
        Ok(Report {
            weight,
            capacity: weir.capacity.unwrap_or(default.capacity),
            draining: weir.draining.unwrap_or(default.draining),
            load: weir.load().or(self.load),
        })
    }
}

/// The value of `action` that says goodbye.
pub const LEAVE: &str = "leave";

/// Reads and checks the registration that `peer` sends `now`: [`Registration::read`] and
/// [`Registration::into_node`] in one.
pub fn parse(
    body: &[u8],
    peer: IpAddr,
    now: SystemTime,
    policy: &Policy,
) -> Result<Node, RegisterError> {
    Registration::read(body)?.into_node(peer, now, policy)
}

fn check_text(field: &'static str, text: &str, most: usize) -> Result<(), RegisterError> {
    let why = if text.len() > most {
        "it is too long"
    } else if text.chars().any(char::is_control) {
        "it has a control character"
    } else {
        return Ok(());
    };
    Err(RegisterError::Field { field, why })
}

fn check_endpoints(endpoints: &Endpoints) -> Result<(), RegisterError> {
    for service in Service::ALL {
        let field = service.name();
        let texts = endpoints.get(service);
        if texts.len() > MAX_ENDPOINTS {
            let why = "it has more than 16 entries";
            return Err(RegisterError::Field { field, why });
        }
        for text in texts {
            Endpoint::parse(text)
                .map_err(|error| RegisterError::Endpoint { field, error })
                .map(drop)?;
        }
    }
    Ok(())
}

/// Where an origin can be.
#[derive(Debug, PartialEq, Eq)]
enum Host<'a> {
    Address(IpAddr),
    Name(&'a str),
}

/// What `text` is: an address that one host can have, or a host name (RFC 1123, section 2.1; underscores too, which
/// names in container networks have).
fn host(text: &str) -> Result<Host<'_>, RegisterError> {
    let fail = |why| RegisterError::Field { field: "ip", why };
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        let address = address.to_canonical();
        let broadcast = address == IpAddr::V4(std::net::Ipv4Addr::BROADCAST);
        if address.is_unspecified() || address.is_multicast() || broadcast {
            return Err(fail("it is not the address of one host"));
        }
        return Ok(Host::Address(address));
    }
    let is_label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=MAX_LABEL_BYTES).contains(&label.len()) && label.bytes().all(allowed)
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or_default();
    // resolvers take what ends in a number, such as 127.1 or 0x7f.1, for an IPv4 address
    let numeric = last.starts_with(|first: char| first.is_ascii_digit())
        && (last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x"));
    if name.len() > MAX_HOST_BYTES || !name.split('.').all(is_label) || numeric {
        return Err(fail("it is neither an address nor a host name"));
    }
    Ok(Host::Name(text))
}
