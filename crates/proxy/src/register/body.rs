//! The JSON of a registration.
//!
//! Owns: the fields, their types, and how much of them is kept while reading. Does not: judge values.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use weir_cluster::{Endpoints, Load, Service};

use super::{MAX_ENDPOINTS, RegisterError};

/// How much of a JSON error is repeated, in characters; it may hold parts of the body.
const SHOWN: usize = 200;

/// Fields of a registration; those that are missing are empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Body {
    pub(super) ip: String,
    pub(super) server: String,
    pub(super) service: String,
    pub(super) pid: String,
    pub(super) device_id: String,
    pub(super) action: String,
    pub(super) endpoints: Endpoints,
    pub(super) weir: Extension,
    /// There are summaries, which [`summarized_load`] reads.
    pub(super) has_summaries: bool,
}

/// What Weir's own origins say besides what SRS says.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Extension {
    pub(super) weight: Option<u32>,
    pub(super) capacity: Option<u32>,
    pub(super) draining: Option<bool>,
    cpu: Option<f64>,
    egress_bps: Option<u64>,
    sessions: Option<u32>,
}

impl Extension {
    /// The load; `None` when nothing is said of it.
    pub(super) fn load(&self) -> Option<Load> {
        if self.cpu.is_none() && self.egress_bps.is_none() && self.sessions.is_none() {
            return None;
        }
        Some(Load {
            cpu: share(self.cpu.unwrap_or(0.0)),
            egress_bps: self.egress_bps.unwrap_or(0),
            sessions: self.sessions.unwrap_or(0),
        })
    }
}

fn share(cpu: f64) -> f32 {
    // from 0 to 1 any double is near enough a float
    cpu.clamp(0.0, 1.0) as f32
}

impl Body {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, RegisterError> {
        let body: Option<Self> = serde_json::from_slice(bytes).map_err(|error| {
            RegisterError::Json(error.to_string().chars().take(SHOWN).collect())
        })?;
        Ok(body.unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(BodyVisitor)
    }
}

struct BodyVisitor;

impl<'de> Visitor<'de> for BodyVisitor {
    type Value = Body;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body, A::Error> {
        let mut body = Body::default();
        while let Some(key) = map.next_key::<String>()? {
            let key = key.to_ascii_lowercase();
            let service = Service::ALL.into_iter().find(|one| one.name() == key);
            let text = match key.as_str() {
                "ip" => &mut body.ip,
                "server" => &mut body.server,
                "service" => &mut body.service,
                "pid" => &mut body.pid,
                "device_id" => &mut body.device_id,
                "action" => &mut body.action,
                "weir" => {
                    let weir: Option<Extension> = named(&mut map, &key)?;
                    body.weir = weir.unwrap_or_default();
                    continue;
                }
                _ => {
                    match service {
                        Some(service) => {
                            let texts: Option<Texts> = named(&mut map, &key)?;
                            body.endpoints.set(service, texts.unwrap_or_default().0);
                        }
                        None => {
                            map.next_value::<IgnoredAny>()?;
                            body.has_summaries |= key == "summaries";
                        }
                    }
                    continue;
                }
            };
            *text = match key == "pid" {
                true => {
                    named::<_, Option<Pid>>(&mut map, &key)?
                        .unwrap_or_default()
                        .0
                }
                false => named::<_, Option<String>>(&mut map, &key)?.unwrap_or_default(),
            };
        }
        Ok(body)
    }
}

/// The next value; an error names its key.
fn named<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    map: &mut A,
    key: &str,
) -> Result<T, A::Error> {
    map.next_value()
        .map_err(|error| A::Error::custom(format_args!("{key}: {error}")))
}

/// A process id: SRS sends a text, people send a number.
#[derive(Default)]
struct Pid(String);

impl<'de> Deserialize<'de> for Pid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PidVisitor;
        impl Visitor<'_> for PidVisitor {
            type Value = Pid;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a number")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Pid, E> {
                Ok(Pid(text.to_owned()))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Pid, E> {
                Ok(Pid(number.to_string()))
            }
        }
        deserializer.deserialize_any(PidVisitor)
    }
}

/// Texts of which no more are kept than can be good, and one that shows there were too many.
#[derive(Default)]
struct Texts(Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextsVisitor;
        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of texts")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = seq.next_element::<Option<String>>()? {
                    if texts.len() <= MAX_ENDPOINTS {
                        texts.push(text.unwrap_or_default());
                    }
                }
                Ok(Texts(texts))
            }
        }
        deserializer.deserialize_seq(TextsVisitor)
    }
}

/// The load that the `summaries` of SRS tell, which are those of its API under `/api/v1/summaries`; `None` when they
/// are not as SRS writes them, or SRS says that its figures are not good.
///
/// SRS has one busy thread, and its `self.cpu_percent` is a share of one CPU; a machine whose CPUs are all busy has as
/// little to give. Bytes sent are a total since the start there, of which nothing is known a second.
pub(super) fn summarized_load(bytes: &[u8]) -> Option<Load> {
    #[derive(Deserialize)]
    struct Outer {
        summaries: Summaries,
    }
    #[derive(Deserialize)]
    struct Summaries {
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        ok: bool,
        #[serde(rename = "self")]
        own: Cpu,
        system: System,
    }
    #[derive(Deserialize)]
    struct Cpu {
        cpu_percent: f64,
    }
    #[derive(Deserialize)]
    struct System {
        cpu_percent: f64,
        conn_srs: u32,
    }
    let data = serde_json::from_slice::<Outer>(bytes).ok()?.summaries.data;
    data.ok.then(|| Load {
        cpu: share(data.own.cpu_percent.max(data.system.cpu_percent)),
        egress_bps: 0,
        sessions: data.system.conn_srs,
    })
}
