//! Playing a stream of another server into the hub.
//!
//! Owns: [`Pull`]. Does not: publish before the first media has come.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use weir_container::flv;
use weir_gate::dial::{End, MAX_REDIRECTS, Outcome};
use weir_gate::{Gate, Ingest, Opened};
use weir_hub::{SessionRole, Unpublished};
use weir_media::StreamKey;
use weir_net::admission::Admitted;
use weir_net::clock;
use weir_net::cores::Shutdown;
use weir_net::dial::connect;
use weir_net::socket::Socket;

use super::response::{Coding, Head, Heads, request};
use super::{Cause, DialError, HttpUrl, ProtocolError};
use crate::PROTOCOL;
use weir_http::body::Part;

/// Reads of one turn, so that a full socket does not hold up the core.
const READS_A_TURN: usize = 8;

/// A stream to play from another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// Where from.
    pub url: HttpUrl,
    /// The stream here that gets the media.
    pub key: StreamKey,
    /// How long one attempt may take, from the look-up of the name to the head of the answer.
    pub connect_timeout: Duration,
}

/// What one request came to.
enum Answer {
    End(End),
    Moved(String),
}

/// The media that has come.
#[derive(Default)]
struct Taken {
    ingest: Option<Ingest>,
    first: Option<Instant>,
}

/// A connection and how far its answer has been read.
struct Link {
    socket: Socket,
    opened: Opened,
    /// When the head of the answer has to be there.
    answer_by: Instant,
    heads: Heads,
    coding: Option<Coding>,
    reader: flv::Reader,
}

/// The end of a body; HTTP has no words for it.
fn source_ended() -> End {
    End::Source {
        said: "end of the body".to_owned(),
    }
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
        let mut url = self.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut taken = Taken::default();
            let result = self.attempt(&url, &mut taken, gate, stop, started).await;
            let ran = taken.finish(matches!(result, Ok(Answer::End(_))));
            match result {
                Ok(Answer::End(end)) => return Ok(Outcome { end, ran }),
                Ok(Answer::Moved(location)) => {
                    url = url.join(&location).map_err(ProtocolError::Redirect)?;
                    tracing::info!(to = %url, "redirected");
                }
                Err(cause) => return Err(DialError { cause, ran }),
            }
        }
        Err(Cause::Redirects.into())
    }

    async fn attempt(
        &self,
        url: &HttpUrl,
        taken: &mut Taken,
        gate: &Gate,
        stop: &Shutdown,
        started: &mut dyn FnMut(),
    ) -> Result<Answer, Cause> {
        let mut link = tokio::select! {
            link = self.open(url, gate) => link?,
            () = stop.draining() => return Ok(Answer::End(End::Stopped)),
        };
        let session = link.opened.session();
        session.set_activity(SessionRole::Publisher, Some(self.key.clone()));
        let result = self.drive(&mut link, taken, gate, stop, started).await;
        match &result {
            Ok(Answer::End(End::Source { .. })) => link.opened.end("ended", ""),
            Ok(Answer::End(End::Stopped)) => link.opened.end("stopped", ""),
            Ok(Answer::Moved(_)) => link.opened.end("redirected", ""),
            Err(cause) => link.opened.end(cause.label(), cause),
        }
        result
    }

    async fn open(&self, url: &HttpUrl, gate: &Gate) -> Result<Link, Cause> {
        let answer_by = clock::now() + self.connect_timeout;
        let (stream, peer) = connect(&url.host, url.port, self.connect_timeout).await?;
        let permit = match gate.admission.admit(peer.ip()) {
            Admitted::Serve(permit) => permit,
            Admitted::Refuse(refusal, _) | Admitted::Drop(refusal) => return Err(refusal.into()),
        };
        let link = Link {
            socket: Socket::new(stream, peer).map_err(Cause::Lost)?,
            opened: Opened::new(gate, PROTOCOL, peer, permit),
            answer_by,
            heads: Heads::default(),
            coding: None,
            reader: flv::Reader::new(gate.settings().max_message_bytes as usize),
        };
        link.send(&request(url)).await?;
        Ok(link)
    }

    async fn drive(
        &self,
        link: &mut Link,
        taken: &mut Taken,
        gate: &Gate,
        stop: &Shutdown,
        started: &mut dyn FnMut(),
    ) -> Result<Answer, Cause> {
        let idle = gate.settings().publish_idle;
        let mut heard = clock::now();
        loop {
            let now = clock::now();
            let (bytes, answer) = self.read(link, taken, gate, now)?;
            if taken.first.is_none() && taken.ingest.is_some() {
                taken.first = Some(now);
                started();
            }
            if let Some(answer) = answer {
                return Ok(answer);
            }
            if bytes > 0 {
                heard = now;
                tokio::task::yield_now().await;
                continue;
            }
            let (due, late) = match link.coding {
                Some(_) => (heard + idle, Cause::Idle(idle)),
                None => (
                    link.answer_by,
                    ProtocolError::Slow(self.connect_timeout).into(),
                ),
            };
            tokio::select! {
                readable = link.socket.readable() => readable.map_err(Cause::Lost)?,
                () = tokio::time::sleep_until(due.into()) => return Err(late),
                reason = link.opened.session().kicked() => return Err(Cause::Kicked(reason)),
                () = stop.draining() => return Ok(Answer::End(End::Stopped)),
            }
        }
    }

    /// Takes what the socket has; how many bytes, and what it came to if the answer is over.
    fn read(
        &self,
        link: &mut Link,
        taken: &mut Taken,
        gate: &Gate,
        now: Instant,
    ) -> Result<(usize, Option<Answer>), Cause> {
        let scratch = gate.scratch();
        let mut scratch = scratch.borrow_mut();
        let mut bytes = 0;
        for _ in 0..READS_A_TURN {
            match link.socket.read(&mut scratch) {
                Ok(0) => return Ok((bytes, Some(link.closed()?))),
                Ok(count) => {
                    bytes += count;
                    link.opened.received(count);
                    let input = scratch.get(..count).unwrap_or_default();
                    if let Some(answer) = self.take(link, taken, gate, now, input)? {
                        return Ok((bytes, Some(answer)));
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Cause::Lost(error)),
            }
        }
        Ok((bytes, None))
    }

    fn take(
        &self,
        link: &mut Link,
        taken: &mut Taken,
        gate: &Gate,
        now: Instant,
        mut input: &[u8],
    ) -> Result<Option<Answer>, Cause> {
        let coding = match &mut link.coding {
            Some(coding) => coding,
            empty => match link.heads.read(&mut input)? {
                None => return Ok(None),
                Some(Head::Moved(location)) => return Ok(Some(Answer::Moved(location))),
                Some(Head::Found(coding)) => {
                    let session = link.opened.session().id;
                    tracing::info!(%session, url = %self.url, stream = %self.key, "pulling");
                    empty.insert(coding)
                }
            },
        };
        loop {
            let mut data = match coding.next(&mut input)? {
                Part::Data(data) => data,
                Part::More => return Ok(None),
                Part::End => return Ok(Some(Answer::End(source_ended()))),
            };
            while let Some(tag) = link.reader.read(&mut data).map_err(ProtocolError::from)? {
                let ingest = match &mut taken.ingest {
                    Some(ingest) => ingest,
                    empty => {
                        let session = link.opened.session();
                        let publisher = gate.hub.publish(now, &self.key, session)?;
                        empty.insert(gate.ingest(publisher, session.id, now))
                    }
                };
                let offset = link.reader.offset();
                ingest.push(now, tag.kind, tag.timestamp, tag.body, offset)?;
            }
        }
    }
}

impl Link {
    /// Writes all of `bytes`; they fit into a fresh socket's buffer, so this rarely waits.
    async fn send(&self, mut bytes: &[u8]) -> Result<(), Cause> {
        while !bytes.is_empty() {
            match self.socket.write(bytes) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.socket.writable().await.map_err(Cause::Lost)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Cause::Lost(error)),
            }
        }
        Ok(())
    }

    /// What it means that the server closed the connection: the end of a body that lasts to the close, if that is
    /// behind a tag.
    fn closed(&self) -> Result<Answer, ProtocolError> {
        match self.coding {
            Some(Coding::ToClose) if self.reader.is_between_tags() => {
                Ok(Answer::End(source_ended()))
            }
            _ => Err(ProtocolError::Closed),
        }
    }
}

impl Taken {
    /// Unpublishes; returns how long media came.
    fn finish(self, in_order: bool) -> Duration {
        let (Some(ingest), Some(first)) = (self.ingest, self.first) else {
            return Duration::ZERO;
        };
        let ran = ingest.last().saturating_duration_since(first);
        let how = match in_order {
            true => Unpublished::Finished,
            false => Unpublished::Lost,
        };
        ingest.finish(clock::now(), how);
        ran
    }
}
