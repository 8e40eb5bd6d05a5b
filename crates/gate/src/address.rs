//! Which stream an address means.
//!
//! Owns: the query parameters that Weir understands, and virtual hosts. Does not: decide who may use the stream.

use percent_encoding::percent_decode_str;
use weir_hub::Start;
use weir_media::{AppName, InvalidKey, StreamKey, StreamName, Vhost};

use crate::DEFAULT_VHOST;

/// Most parameters looked at in a query; the rest is ignored. Real players send a handful.
const MOST_PARAMETERS: usize = 64;

/// Why an address means no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// The names are not usable.
    #[error(transparent)]
    Key(#[from] InvalidKey),
    /// `start` is none of the policies.
    #[error("start must be one of cache, next-key and live")]
    Start,
}

/// A query string, `a=1&b=2`.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a>(pub &'a str);

impl Query<'_> {
    /// The decoded value of the first parameter called `name`.
    pub fn value(&self, name: &str) -> Option<String> {
        self.0.split('&').take(MOST_PARAMETERS).find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then(|| percent_decode_str(value).decode_utf8_lossy().into_owned())
        })
    }
}

/// A stream and how a viewer wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The stream.
    pub key: StreamKey,
    /// Where to begin, if the address says so: `start=cache`, `start=next-key` or `start=live`.
    pub start: Option<Start>,
}

impl Address {
    /// The stream that `app` and `name` mean on `host`; both may carry a query.
    ///
    /// The virtual host is `vhost=` of either query, else `host` without its port, if it is one of `vhosts`; else
    /// [`DEFAULT_VHOST`].
    pub fn new(
        host: &str,
        app: &str,
        name: &str,
        vhosts: &[String],
    ) -> Result<Self, InvalidAddress> {
        let (app, app_query) = app.split_once('?').unwrap_or((app, ""));
        let (name, name_query) = name.split_once('?').unwrap_or((name, ""));
        let value = |key| {
            Query(name_query)
                .value(key)
                .or_else(|| Query(app_query).value(key))
        };
        let wanted = value("vhost").unwrap_or_else(|| host_name(host).to_owned());
        let vhost = vhosts
            .iter()
            .find(|known| known.eq_ignore_ascii_case(&wanted));
        let start = match value("start").as_deref() {
            None | Some("") => None,
            Some("cache") => Some(Start::Cache),
            Some("next-key") => Some(Start::NextKey),
            Some("live") => Some(Start::Live),
            Some(_) => return Err(InvalidAddress::Start),
        };
        let key = StreamKey::new(
            Vhost(vhost.map_or(DEFAULT_VHOST, String::as_str)),
            AppName(app),
            StreamName(name),
        )?;
        Ok(Self { key, start })
    }
}

/// The host of `host:port` or `[v6]:port`.
fn host_name(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    host.split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn vhosts() -> Vec<String> {
        vec!["live.example.com".to_owned(), "::1".to_owned()]
    }

    fn address(host: &str, app: &str, name: &str) -> Result<String, InvalidAddress> {
        Address::new(host, app, name, &vhosts()).map(|address| address.key.to_string())
    }

    #[test]
    fn hosts_that_are_not_configured_are_the_default() {
        assert_eq!(
            address("10.0.0.1:1935", "live", "x"),
            Ok("__defaultVhost__/live/x".into())
        );
        assert_eq!(
            address("LIVE.example.com:80", "live", "x"),
            Ok("live.example.com/live/x".into())
        );
        assert_eq!(address("[::1]:1935", "live", "x"), Ok("::1/live/x".into()));
    }

    #[test]
    fn a_query_names_the_virtual_host_wherever_it_stands() {
        let expected = Ok("live.example.com/live/x".to_owned());
        assert_eq!(address("a", "live?vhost=live.example.com", "x"), expected);
        assert_eq!(
            address("a", "live", "x?k=1&vhost=live%2Eexample.com"),
            expected
        );
        assert_eq!(
            address("a", "live", "x?vhost=other"),
            Ok("__defaultVhost__/live/x".into())
        );
    }

    #[test]
    fn start_policies() {
        let start = |name| Address::new("a", "live", name, &[]).map(|address| address.start);
        assert_eq!(start("x"), Ok(None));
        assert_eq!(start("x?start=next-key"), Ok(Some(Start::NextKey)));
        assert_eq!(start("x?token=1&start=live"), Ok(Some(Start::Live)));
        assert_eq!(start("x?start=cache"), Ok(Some(Start::Cache)));
        assert_eq!(start("x?start=now"), Err(InvalidAddress::Start));
    }

    proptest! {
        #[test]
        fn any_text_is_a_key_or_an_error(host: String, app: String, name: String) {
            let _ = Address::new(&host, &app, &name, &vhosts());
        }
    }
}
