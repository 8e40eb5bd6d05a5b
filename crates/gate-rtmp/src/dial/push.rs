//! Publishing a stream of the hub to another server.
//!
//! Owns: [`Push`]. Does not: write media; the fan-out does, as for a player.

use std::time::{Duration, Instant};

use weir_fanout::Viewer;
use weir_gate::Gate;
use weir_gate::dial::{End, Outcome};
use weir_hub::{Format, SessionRole, Start};
use weir_media::StreamKey;
use weir_net::clock;
use weir_net::cores::Shutdown;
use weir_rtmp::{ClientEvent, ClientMode, RtmpUrl};

use super::format::PushFormat;
use super::link::{Arrived, Link, Woken};
use super::{Cause, DialError, ProtocolError, follow};

/// Message stream ids from here on have no place in the identity of a log.
const MSID_LIMIT: u32 = 1 << 29;

/// A stream to publish to another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// Where to.
    pub url: RtmpUrl,
    /// The stream here that is published there.
    pub key: StreamKey,
    /// How long one attempt may take, from the look-up of the name to the start of the stream.
    pub connect_timeout: Duration,
}

impl Push {
    /// Publishes the stream until its source here is over (after the grace time), it fails, or `stop` drains.
    /// Redirects are followed.
    ///
    /// Begins with metadata and sequence headers, then the cached GOP, or the next key frame when there is none.
    /// `started` is called when the server has accepted the stream. Call it for a stream that is live: servers drop
    /// publishers that send nothing.
    pub async fn run(
        &self,
        gate: &Gate,
        stop: &Shutdown,
        started: &mut dyn FnMut(),
    ) -> Result<Outcome, DialError> {
        follow(&self.url, async |url| {
            self.attempt(url, gate, stop, started).await
        })
        .await
    }

    async fn attempt(
        &self,
        url: &RtmpUrl,
        gate: &Gate,
        stop: &Shutdown,
        started: &mut dyn FnMut(),
    ) -> Result<Outcome, DialError> {
        let mut link = tokio::select! {
            link = Link::open(gate, url, ClientMode::Publish, self.connect_timeout) => link?,
            () = stop.draining() => return Ok(Outcome { end: End::Stopped, ran: Duration::ZERO }),
        };
        let session = link.opened.session();
        session.set_activity(SessionRole::Player, Some(self.key.clone()));
        let mut viewer = None;
        let began = clock::now();
        let result = self
            .drive(&mut link, &mut viewer, gate, stop, started)
            .await;
        let ran = viewer
            .as_ref()
            .and_then(Viewer::watching)
            .map_or(Duration::ZERO, |watching| {
                watching.last_sent.saturating_duration_since(began)
            });
        // no media may follow the goodbye
        drop(viewer);
        link.part(&result).await;
        match result {
            Ok(end) => Ok(Outcome { end, ran }),
            Err(cause) => Err(DialError { cause, ran }),
        }
    }

    async fn drive(
        &self,
        link: &mut Link,
        viewer: &mut Option<Viewer>,
        gate: &Gate,
        stop: &Shutdown,
        started: &mut dyn FnMut(),
    ) -> Result<End, Cause> {
        let mut events: Vec<Arrived> = Vec::new();
        loop {
            let now = clock::now();
            let more = link.read(now, &mut events)?;
            for (event, _) in events.drain(..) {
                if self.handle(link, event)? {
                    *viewer = Some(self.join(link, gate, now)?);
                    started();
                }
            }
            link.say(now);
            let deadline = link.look_after(now)?;
            let watching = viewer.as_ref().and_then(Viewer::watching);
            if watching.is_some_and(|watching| watching.ended) {
                let said = String::new();
                return Ok(End::Source { said });
            }
            if more {
                tokio::task::yield_now().await;
                continue;
            }
            match link.wait(deadline, stop).await? {
                Woken::Look => {}
                Woken::Room => {
                    if let Some(viewer) = viewer {
                        viewer.resume();
                    }
                }
                Woken::Stop => return Ok(End::Stopped),
            }
        }
    }

    /// True when the stream has started.
    fn handle(&self, link: &mut Link, event: ClientEvent) -> Result<bool, ProtocolError> {
        match event {
            ClientEvent::Connected | ClientEvent::Media { .. } => Ok(false),
            ClientEvent::Ready { .. } => {
                link.started();
                let session = link.opened.session().id;
                tracing::info!(%session, url = %self.url, stream = %self.key, "pushing");
                Ok(true)
            }
            ClientEvent::Rejected {
                code,
                description,
                redirect,
            } => Err(ProtocolError::Rejected {
                code,
                description,
                redirect: redirect.map(|redirect| redirect.url),
            }),
            ClientEvent::StreamEnded { code } => Err(ProtocolError::Ended { code }),
        }
    }

    fn join(&self, link: &mut Link, gate: &Gate, now: Instant) -> Result<Viewer, Cause> {
        // the session is ready, so it has both
        let (msid, chunk_size) = link.session.writer_params().unwrap_or_default();
        if msid >= MSID_LIMIT {
            return Err(ProtocolError::StreamId(msid).into());
        }
        let format = PushFormat::new(msid, chunk_size);
        let mut make = || Box::new(format) as Box<dyn Format>;
        let since = link.opened.session().since;
        let start = Some(Start::Cache);
        let viewer =
            gate.fanout
                .join(&link.conn, &self.key, format.id(), &mut make, start, since)?;
        // what the session says about the start goes first
        link.say(now);
        viewer.resume();
        Ok(viewer)
    }
}
