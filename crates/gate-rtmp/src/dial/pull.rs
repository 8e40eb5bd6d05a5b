//! Playing a stream of another server into the hub.
//!
//! Owns: [`Pull`]. Does not: publish before the first media has come: a source that accepts a `play` may have nothing
//! to send for a long time.

use std::time::{Duration, Instant};

use weir_container::flv::TagKind;
use weir_gate::dial::{End, Outcome};
use weir_gate::{Gate, Ingest};
use weir_hub::{SessionRole, Unpublished};
use weir_media::StreamKey;
use weir_net::clock;
use weir_net::cores::Shutdown;
use weir_rtmp::{ClientEvent, ClientMode, MediaKind, RtmpUrl};

use super::link::{Arrived, Link, Woken};
use super::{Cause, DialError, ProtocolError, follow};

/// A stream to play from another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// Where from.
    pub url: RtmpUrl,
    /// The stream here that gets the media.
    pub key: StreamKey,
    /// How long one attempt may take, from the look-up of the name to the start of the stream.
    pub connect_timeout: Duration,
}

/// The media that has come.
#[derive(Default)]
struct Taken {
    ingest: Option<Ingest>,
    first: Option<Instant>,
}

impl Pull {
    /// Plays the stream until it ends, fails, or `stop` drains. Redirects are followed.
    ///
    /// `started` is called when the first media has gone into the hub. When the source ended in order, or we did, the
    /// stream here is unpublished as finished, else as lost.
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
            link = Link::open(gate, url, ClientMode::Play, self.connect_timeout) => link?,
            () = stop.draining() => return Ok(Outcome { end: End::Stopped, ran: Duration::ZERO }),
        };
        let session = link.opened.session();
        session.set_activity(SessionRole::Publisher, Some(self.key.clone()));
        let mut taken = Taken::default();
        let result = self.drive(&mut link, &mut taken, gate, stop, started).await;
        let now = clock::now();
        let last = taken.ingest.as_ref().map_or(now, Ingest::last);
        let ran = taken.first.map_or(Duration::ZERO, |first| {
            last.saturating_duration_since(first)
        });
        if let Some(ingest) = taken.ingest {
            let how = match result {
                Ok(_) => Unpublished::Finished,
                Err(_) => Unpublished::Lost,
            };
            ingest.finish(now, how);
        }
        link.part(&result).await;
        match result {
            Ok(end) => Ok(Outcome { end, ran }),
            Err(cause) => Err(DialError { cause, ran }),
        }
    }

    async fn drive(
        &self,
        link: &mut Link,
        taken: &mut Taken,
        gate: &Gate,
        stop: &Shutdown,
        started: &mut dyn FnMut(),
    ) -> Result<End, Cause> {
        let idle = gate.settings().publish_idle;
        let mut heard = clock::now();
        let mut events: Vec<Arrived> = Vec::new();
        loop {
            let now = clock::now();
            let more = link.read(now, &mut events)?;
            for (event, offset) in events.drain(..) {
                if let ClientEvent::Media { .. } = event {
                    heard = now;
                }
                if let Some(end) = self.handle(link, taken, gate, (event, offset), now)? {
                    return Ok(end);
                }
                if taken.first.is_none() && taken.ingest.is_some() {
                    taken.first = Some(now);
                    started();
                }
            }
            link.say(now);
            let mut deadline = link.look_after(now)?;
            if heard + idle <= now {
                return Err(Cause::Idle(idle));
            }
            deadline = deadline.min(heard + idle);
            if more {
                tokio::task::yield_now().await;
            } else if link.wait(deadline, stop).await? == Woken::Stop {
                return Ok(End::Stopped);
            }
        }
    }

    fn handle(
        &self,
        link: &mut Link,
        taken: &mut Taken,
        gate: &Gate,
        (event, offset): Arrived,
        now: Instant,
    ) -> Result<Option<End>, Cause> {
        match event {
            ClientEvent::Connected => {}
            ClientEvent::Ready { .. } => {
                link.started();
                let session = link.opened.session().id;
                tracing::info!(%session, url = %self.url, stream = %self.key, "pulling");
            }
            ClientEvent::Media {
                kind: MediaKind::Data,
                body,
                ..
            } if is_notice(&body) => {}
            ClientEvent::Media {
                kind,
                timestamp,
                body,
            } => {
                let ingest = match &mut taken.ingest {
                    Some(ingest) => ingest,
                    empty => {
                        let session = link.opened.session();
                        let publisher = gate.hub.publish(now, &self.key, session)?;
                        empty.insert(gate.ingest(publisher, session.id, now))
                    }
                };
                let kind = match kind {
                    MediaKind::Audio => TagKind::Audio,
                    MediaKind::Video => TagKind::Video,
                    MediaKind::Data => TagKind::Script,
                };
                ingest.push(now, kind, timestamp, body, offset)?;
            }
            ClientEvent::Rejected {
                code,
                description,
                redirect,
            } => {
                return Err(ProtocolError::Rejected {
                    code,
                    description,
                    redirect: redirect.map(|redirect| redirect.url),
                }
                .into());
            }
            ClientEvent::StreamEnded { code } => return Ok(Some(End::Source { said: code })),
        }
        Ok(None)
    }
}

/// Data messages by which a server speaks to one player; they are no part of the stream, and a server that sends them
/// may have no stream yet.
fn is_notice(body: &[u8]) -> bool {
    // AMF0 strings
    let notices: [&[u8]; 2] = [b"\x02\0\x11|RtmpSampleAccess", b"\x02\0\x08onStatus"];
    notices.iter().any(|notice| body.starts_with(notice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_to_a_player_are_told_from_data_of_the_stream() {
        assert!(is_notice(b"\x02\0\x11|RtmpSampleAccess\x01\x01\x01\x01"));
        assert!(is_notice(b"\x02\0\x08onStatus\x03\0\0\x09"));
        assert!(!is_notice(b"\x02\0\x0aonMetaData\x08\0\0\0\0\0\0\x09"));
        assert!(!is_notice(b"\x02\0\x08onStatu"));
    }
}
