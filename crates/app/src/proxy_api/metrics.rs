//! What is read when the metrics page is written.
//!
//! Owns: the figures of the process and its cores. Does not: count what the proxy and its directory count themselves.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use weir_net::cores::Load;

use crate::api::metrics::{Page, cores, process};

/// Reads the process and its cores when the registry is written; it belongs into the registry of
/// [`ProxyApi`](super::ProxyApi).
#[derive(Debug)]
pub(crate) struct Scrape {
    /// When the process began.
    pub(crate) started: Instant,
    /// The load of each core, in order.
    pub(crate) loads: Vec<Arc<Load>>,
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page { encoder };
        process(&mut page, self.started)?;
        cores(&mut page, &self.loads)
    }
}
