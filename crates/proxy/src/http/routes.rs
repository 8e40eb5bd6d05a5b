//! Which stream, and which origin, a request belongs to.
//!
//! Owns: the ids in the addresses of segments: signed ones, which say it themselves (`weir=`), and stored ones, which
//! the cluster's state explains, as the SRS proxy has them (`spbhid=`). Both are understood whatever is written.
//! Does not: place streams.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use weir_cluster::{Key, NodeId, StateError};
use weir_http::head::Whole;
use weir_http::request::Method;
use weir_net::clock;

use super::Shared;
use super::end::{End, Status};
use super::target::{self, Kind};
use crate::settings::{Routing, Settings};
use crate::stream_key;
use crate::token::Signer;

/// The parameter with a signed id.
pub(super) const SIGNED: &str = "weir";

/// The parameter with a stored id; the SRS proxy's name for it.
pub(super) const STORED: &str = "spbhid";

/// How long the cluster's state keeps an id, as the SRS proxy has it; each use begins it anew.
const KEPT: Duration = Duration::from_secs(120);

/// How long a core goes without telling the state that an id is in use. A quarter of [`KEPT`]: the state is written
/// twice a minute for each stream that is watched, not with each segment.
const REFRESH: Duration = Duration::from_secs(30);

/// Most ids a core remembers; beyond it all are forgotten and looked up again. Some 200 bytes each.
const MOST_REMEMBERED: usize = 20_000;

/// Longest stored id that is looked up. Ours have 16 characters, the SRS proxy's 7.
const MAX_ID_BYTES: usize = 64;

/// Where a request belongs.
#[derive(Debug, Clone)]
pub(super) struct Route {
    /// Its stream.
    pub(super) stream: Key,
    /// The origin that its id names.
    pub(super) node: Option<NodeId>,
    /// The request came with an id.
    pub(super) by_id: bool,
    /// It is for one of a stream's files, by its id or by its name, and not for the stream itself.
    pub(super) is_file: bool,
    /// The stored id it came with.
    id: Option<String>,
    /// The target for the origin: without our own parameter.
    pub(super) target: String,
}

impl Route {
    /// The same to where the stream is now, whatever the id says.
    pub(super) fn anew(&self) -> Self {
        Self {
            node: None,
            ..self.clone()
        }
    }
}

/// What this core knows of ids.
#[derive(Default)]
pub(super) struct Memory {
    /// With the secret it was made of.
    signer: RefCell<Option<(Vec<u8>, Rc<Signer>)>>,
    by_id: RefCell<HashMap<String, Known>>,
    by_stream: RefCell<HashMap<Key, (String, Instant)>>,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.by_id.borrow().len();
        f.debug_struct("Memory").field("known", &known).finish()
    }
}

#[derive(Debug, Clone)]
struct Known {
    entry: Entry,
    written: Instant,
}

/// What is stored under an id, with the names that the SRS proxy gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    id: String,
    stream: String,
    full_url: String,
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        let value: serde_json::Value = serde_json::from_str(text).ok()?;
        let field = |name: &str| value.get(name)?.as_str().map(str::to_owned);
        let entry = Self {
            id: field("spbhid")?,
            stream: field("stream_url")?,
            full_url: field("full_url").unwrap_or_default(),
        };
        is_id(&entry.id).then_some(entry)
    }

    /// JSON in the order of fields that the SRS proxy writes.
    fn to_json(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        format!(
            "{{\"spbhid\":{},\"stream_url\":{},\"full_url\":{}}}",
            quoted(&self.id),
            quoted(&self.stream),
            quoted(&self.full_url),
        )
    }
}

fn is_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=MAX_ID_BYTES).contains(&text.len()) && text.bytes().all(plain)
}

/// The signer of the settings in force; deriving its key takes longer than using it.
fn signer(shared: &Shared, settings: &Settings) -> Option<Rc<Signer>> {
    let Routing::Signed { secret } = &settings.http.routing else {
        return None;
    };
    let mut kept = shared.routes.signer.borrow_mut();
    match kept.as_ref() {
        Some((of, signer)) if of == secret => Some(Rc::clone(signer)),
        _ => {
            let signer = Rc::new(Signer::new(secret));
            *kept = Some((secret.clone(), Rc::clone(&signer)));
            Some(signer)
        }
    }
}

/// Whether a request has an id of ours, known or not.
pub(super) fn has_id(settings: &Settings, query: &str) -> bool {
    let signed = matches!(settings.http.routing, Routing::Signed { .. });
    (signed && target::parameter(query, SIGNED).is_some())
        || target::parameter(query, STORED).is_some()
}

/// Where a request belongs: by its id, else by its path, see [`named`]. A list with an id that nobody knows any more is served by its
/// path: it will get a new one. Anything else with such an id is refused, for its path names no stream.
pub(super) async fn find(
    shared: &Shared,
    settings: &Settings,
    whole: &Whole,
    kind: Kind,
) -> Result<Route, End> {
    let query = whole.request.query.as_str();
    let unknown = |what| End::told(Status::UNKNOWN_ROUTE, "unknown_route", what);
    let mut target = whole.target.clone();
    if let Some(signer) = signer(shared, settings)
        && let Some(token) = target::parameter(query, SIGNED)
    {
        target = target::without(&target, SIGNED);
        match signer.verify(token) {
            Some(route) => {
                return Ok(Route {
                    stream: route.stream,
                    node: Some(route.node),
                    by_id: true,
                    is_file: true,
                    id: None,
                    target,
                });
            }
            None if kind.is_list() => {}
            None => return Err(unknown("the client's token is not ours")),
        }
    }
    if let Some(id) = target::parameter(query, STORED) {
        match shared.routes.look_up(shared, id).await {
            Ok(Some(stream)) => {
                return Ok(Route {
                    stream,
                    node: None,
                    by_id: true,
                    is_file: true,
                    id: Some(id.to_owned()),
                    target,
                });
            }
            _ if kind.is_list() => {}
            Ok(None) => return Err(unknown("nobody knows the client's spbhid")),
            Err(end) => return Err(end),
        }
    }
    let (stream, is_file) = named(shared, settings, whole).await?;
    Ok(Route {
        stream,
        node: None,
        by_id: false,
        is_file,
        id: None,
        target,
    })
}

/// The stream that a path names, and whether it names a file of that stream. `/live/s-av.m3u8` is what the stream `s-av` is
/// asked by, and a playlist of `s`: it belongs to `s` if that is bound and `s-av` is not, as origins read it too.
async fn named(shared: &Shared, settings: &Settings, whole: &Whole) -> Result<(Key, bool), End> {
    let request = &whole.request;
    let key = |path: &str| {
        let key = stream_key::from_http(&request.host, path, &request.query, settings.key_form);
        key.map_err(|error| End::told(Status::BAD_REQUEST, "bad_request", error))
    };
    let stream = key(&request.path)?;
    let is_read = matches!(request.method, Method::Get | Method::Head);
    let Some(path) = target::of_stream(&request.path).filter(|_| is_read) else {
        return Ok((stream, false));
    };
    let owner = key(&path)?;
    let directory = &shared.context.directory;
    let is_owned =
        owner != stream && !directory.is_bound(&stream).await && directory.is_bound(&owner).await;
    Ok(match is_owned {
        true => (owner, true),
        false => (stream, false),
    })
}

/// The parameter that brings the URIs of a list back to `node`.
pub(super) async fn parameter(
    shared: &Shared,
    settings: &Settings,
    route: &Route,
    node: &NodeId,
    whole: &Whole,
) -> String {
    if let Some(signer) = signer(shared, settings) {
        return format!("{SIGNED}={}", signer.sign(&route.stream, node));
    }
    let id = match &route.id {
        Some(id) => id.clone(),
        None => shared.routes.enter(shared, &route.stream, whole).await,
    };
    format!("{STORED}={id}")
}

impl Memory {
    /// The stream of an id; tells the state that it is in use.
    async fn look_up(&self, shared: &Shared, id: &str) -> Result<Option<Key>, End> {
        if !is_id(id) {
            return Ok(None);
        }
        let now = clock::now();
        let known = self.by_id.borrow().get(id).cloned();
        let entry = match known {
            Some(known) if now.saturating_duration_since(known.written) < REFRESH => {
                return Ok(Key::new(&known.entry.stream).ok());
            }
            known => {
                let found = load(shared, &format!("{STORED}:{id}")).await;
                match (found, known) {
                    (Ok(found), _) => found,
                    // while the state is away, what was known goes on (it may be in use for hours)
                    (Err(why), Some(known)) => {
                        tracing::warn!(error = %why, "cannot look up the session of a playlist");
                        return Ok(Key::new(&known.entry.stream).ok());
                    }
                    (Err(why), None) => {
                        return Err(End::told(Status::UNAVAILABLE, "state_unavailable", why));
                    }
                }
            }
        };
        let Some(entry) = entry else {
            self.by_id.borrow_mut().remove(id);
            return Ok(None);
        };
        // the id that was asked for may be one of several of a stream; it is the one to be kept
        let entry = Entry {
            id: id.to_owned(),
            ..entry
        };
        let stream = Key::new(&entry.stream).ok();
        self.write(shared, entry, now).await;
        Ok(stream)
    }

    /// The id of a stream: the one it has, or a new one.
    async fn enter(&self, shared: &Shared, stream: &Key, whole: &Whole) -> String {
        let now = clock::now();
        let known = self.by_stream.borrow().get(stream).cloned();
        if let Some((id, written)) = &known
            && now.saturating_duration_since(*written) < REFRESH
        {
            return id.clone();
        }
        let found = load(shared, &format!("hls:{stream}")).await;
        let entry = found.ok().flatten().unwrap_or_else(|| Entry {
            // the same at all proxies, whoever is first
            id: known.map_or_else(|| id_of(stream), |(id, _)| id),
            stream: stream.to_string(),
            full_url: full_url(whole),
        });
        let id = entry.id.clone();
        self.write(shared, entry, now).await;
        id
    }

    /// Keeps an entry here and in the state.
    async fn write(&self, shared: &Shared, entry: Entry, now: Instant) {
        let json = entry.to_json();
        let values = [
            (format!("hls:{}", entry.stream), json.clone()),
            (format!("{STORED}:{}", entry.id), json),
        ];
        if let Err(why) = store(shared, &values).await {
            tracing::warn!(error = %why, "cannot keep the session of a playlist");
        }
        let mut by_stream = self.by_stream.borrow_mut();
        if by_stream.len() >= MOST_REMEMBERED {
            by_stream.clear();
        }
        if let Ok(stream) = Key::new(&entry.stream) {
            by_stream.insert(stream, (entry.id.clone(), now));
        }
        let mut by_id = self.by_id.borrow_mut();
        if by_id.len() >= MOST_REMEMBERED {
            by_id.clear();
        }
        let id = entry.id.clone();
        by_id.insert(
            id,
            Known {
                entry,
                written: now,
            },
        );
    }
}

/// What the state keeps under a key; what is there and cannot be read counts as missing.
async fn load(shared: &Shared, key: &str) -> Result<Option<Entry>, StateError> {
    let state = shared.context.directory.state();
    Ok(state.route(key).await?.and_then(|text| Entry::parse(&text)))
}

async fn store(shared: &Shared, values: &[(String, String)]) -> Result<(), StateError> {
    let state = shared.context.directory.state();
    state.put_routes(values, KEPT).await
}

/// The name of a stream's sessions: the first 64 bits of a hash, so that proxies agree without talking.
fn id_of(stream: &Key) -> String {
    let hash = digest(&SHA256, format!("weir hls {stream}").as_bytes());
    let hex = hash.as_ref().iter().take(8);
    hex.map(|byte| format!("{byte:02x}")).collect()
}

/// The address of a playlist without port and query, as the SRS proxy keeps it.
fn full_url(whole: &Whole) -> String {
    let host = &whole.request.host;
    let has_port = |(_, port): &(&str, &str)| port.bytes().all(|byte| byte.is_ascii_digit());
    let name = host.rsplit_once(':').filter(has_port);
    let name = name.map_or(host.as_str(), |(name, _)| name);
    format!("http://{name}{}", whole.request.path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_http::head::Heads;

    #[test]
    fn entries_are_those_of_the_srs_proxy() {
        let entry = Entry {
            id: "9c0fb9a".to_owned(),
            stream: "v.com/live/\"s".to_owned(),
            full_url: "http://v.com/live/s.m3u8".to_owned(),
        };
        let json = entry.to_json();
        assert_eq!(
            json,
            r#"{"spbhid":"9c0fb9a","stream_url":"v.com/live/\"s","full_url":"http://v.com/live/s.m3u8"}"#
        );
        assert_eq!(Entry::parse(&json), Some(entry));
        let other = r#"{"x":1,"stream_url":"a\u0026b","spbhid":"i"}"#;
        assert_eq!(
            Entry::parse(other).map(|e| e.stream),
            Some("a&b".to_owned())
        );
        for text in ["", "[]", "{}", r#"{"spbhid":"a b","stream_url":"s"}"#] {
            assert_eq!(Entry::parse(text), None, "{text}");
        }
    }

    #[test]
    fn ids_are_stable_and_plain() {
        let key = |text| Key::new(text).expect("a key");
        let id = id_of(&key("v/a/s"));
        assert_eq!(id, id_of(&key("v/a/s")));
        assert_ne!(id, id_of(&key("v/a/t")));
        assert!(is_id(&id) && id.len() == 16);
        assert!(!is_id("") && !is_id("a/b") && !is_id(&"a".repeat(65)));
    }

    #[test]
    fn full_urls_have_no_port_and_no_query() {
        for (host, url) in [
            ("1.2.3.4:18080", "http://1.2.3.4/live/s.m3u8"),
            ("v.com", "http://v.com/live/s.m3u8"),
            ("[::1]:80", "http://[::1]/live/s.m3u8"),
        ] {
            let mut heads = Heads::new(1000);
            let head = format!("GET /live/s.m3u8?a=b HTTP/1.1\r\nHost: {host}\r\n\r\n");
            heads.push(head.as_bytes());
            let whole = heads.pull_whole().expect("valid").expect("whole");
            assert_eq!(full_url(&whole), url);
        }
    }
}
