//! What a connection publishes.
//!
//! Owns: the publishers of a connection by message stream. Does not: read chunks.

use std::time::Instant;

use bytes::Bytes;
use weir_container::flv::TagKind;
use weir_gate::{Ingest, IngestError};
use weir_hub::Unpublished;
use weir_rtmp::MediaKind;

/// The publishing message streams of a connection; nearly always none or one.
#[derive(Debug, Default)]
pub(crate) struct Publishing {
    streams: Vec<(u32, Ingest)>,
}

impl Publishing {
    pub(crate) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    pub(crate) fn begin(&mut self, msid: u32, ingest: Ingest) {
        self.streams.push((msid, ingest));
    }

    /// True when somebody watches any of them.
    pub(crate) fn has_viewers(&self) -> bool {
        self.streams
            .iter()
            .any(|(_, ingest)| ingest.publisher().has_viewers())
    }

    /// When the last message came on any of them.
    pub(crate) fn last(&self) -> Option<Instant> {
        self.streams.iter().map(|(_, ingest)| ingest.last()).max()
    }

    /// Gives a message to the hub; one for a stream that does not publish is dropped.
    pub(crate) fn push(
        &mut self,
        now: Instant,
        msid: u32,
        kind: MediaKind,
        timestamp: u32,
        body: Bytes,
        offset: u64,
    ) -> Result<(), IngestError> {
        let kind = match kind {
            MediaKind::Audio => TagKind::Audio,
            MediaKind::Video => TagKind::Video,
            MediaKind::Data => TagKind::Script,
        };
        match self.streams.iter_mut().find(|(known, _)| *known == msid) {
            Some((_, ingest)) => ingest.push(now, kind, timestamp, body, offset),
            None => Ok(()),
        }
    }

    pub(crate) fn end(&mut self, now: Instant, msid: u32, how: Unpublished) {
        if let Some(index) = self.streams.iter().position(|(known, _)| *known == msid) {
            self.streams.swap_remove(index).1.finish(now, how);
        }
    }

    pub(crate) fn end_all(&mut self, now: Instant, how: Unpublished) {
        for (_, ingest) in self.streams.drain(..) {
            ingest.finish(now, how);
        }
    }
}
