//! Publishing: from a POST or PUT to the end of its body.
//!
//! Owns: an upload under way and the pace of its reads. Does not: parse FLV, or know what becomes of the tags.

use std::pin::pin;
use std::rc::Rc;
use std::time::Instant;

use weir_container::flv;
use weir_gate::{Address, Ingest, ReadPace, Tick, arm};
use weir_hub::{PublishError, Publisher, SessionRole, Unpublished};
use weir_net::clock;

use crate::connection::{Connection, Read, read};
use crate::end::{End, Word};
use crate::response::{CONTINUE, Status};
use weir_http::body::{Body, Part};
use weir_http::request::{BodyLength, Request};

/// A body on its way into the hub.
struct Upload {
    body: Body,
    reader: flv::Reader,
    ingest: Ingest,
    tags: u64,
}

impl Upload {
    /// Takes in what was read, and shortens it; true when the body is complete.
    fn take(&mut self, now: Instant, input: &mut &[u8]) -> Result<bool, End> {
        loop {
            match self.body.next(input)? {
                Part::Data(data) => self.tags(now, data)?,
                Part::More => return Ok(false),
                Part::End => return self.complete().map(|()| true),
            }
        }
    }

    fn tags(&mut self, now: Instant, mut data: &[u8]) -> Result<(), End> {
        loop {
            match self.reader.read(&mut data) {
                Ok(Some(tag)) => {
                    let offset = self.reader.offset();
                    self.ingest
                        .push(now, tag.kind, tag.timestamp, tag.body, offset)?;
                    self.tags += 1;
                }
                Ok(None) => return Ok(()),
                Err(error) => {
                    return Err(broken(format!(
                        "{error}, noticed at byte {}",
                        self.reader.offset()
                    )));
                }
            }
        }
    }

    fn complete(&self) -> Result<(), End> {
        if self.reader.is_between_tags() {
            return Ok(());
        }
        Err(broken(format!(
            "the FLV ends too soon, at byte {}",
            self.reader.offset()
        )))
    }
}

fn broken(text: String) -> End {
    End::answered(Status::BAD_REQUEST, "protocol_error", text)
}

impl Connection {
    /// Answers a POST or PUT for a stream when its body is complete.
    pub(crate) async fn publish(&mut self, address: Address, request: &Request) -> Result<(), End> {
        let mut upload = self.begin_upload(&address, request)?;
        let received = self.receive(&mut upload).await;
        let now = clock::now();
        match received {
            Ok(()) => {
                upload.ingest.finish(now, Unpublished::Finished);
                self.conn.socket().watch()?;
                let text = format!("published {} tags", upload.tags);
                self.reply(Status::OK, &[], &format!("{text}\n"))
                    .map_err(|_| End::told("published", text))
            }
            Err(end) => {
                upload.ingest.finish(now, Unpublished::Lost);
                Err(end)
            }
        }
    }

    fn begin_upload(&self, address: &Address, request: &Request) -> Result<Upload, End> {
        if !self.settings.publish {
            let text = "publishing over HTTP is turned off on this server";
            return Err(End::answered(Status::FORBIDDEN, "refused", text));
        }
        if request.body == BodyLength::None {
            let text = "publishing needs a body: FLV, of known length or chunked";
            return Err(End::answered(Status::LENGTH_REQUIRED, "refused", text));
        }
        let now = clock::now();
        let publisher = self.publisher(now, address)?;
        if request.expects_continue && self.heads.is_empty() {
            self.conn.say(&mut CONTINUE.to_vec(), now);
        }
        let limit = self.gate.settings().max_message_bytes;
        Ok(Upload {
            body: Body::new(request.body),
            reader: flv::Reader::new(usize::try_from(limit).unwrap_or(usize::MAX)),
            ingest: self.gate.ingest(publisher, self.opened.session().id, now),
            tags: 0,
        })
    }

    fn publisher(&self, now: Instant, address: &Address) -> Result<Publisher, End> {
        let session = self.opened.session();
        match self.gate.hub.publish(now, &address.key, session) {
            Ok(publisher) => {
                let key = publisher.key().clone();
                let (id, peer) = (session.id, session.peer);
                tracing::info!(session = %id, stream = %key, %peer, "publishing");
                session.set_activity(SessionRole::Publisher, Some(key));
                Ok(publisher)
            }
            Err(error) => {
                self.gate.metrics.refused(session.protocol, "publish");
                let status = match error {
                    PublishError::Busy(_) => Status::CONFLICT,
                    _ => Status::UNAVAILABLE,
                };
                Err(End::answered(status, "refused", error))
            }
        }
    }

    /// Reads the body to its end.
    async fn receive(&mut self, upload: &mut Upload) -> Result<(), End> {
        let conn = Rc::clone(&self.conn);
        let shutdown = self.gate.core.shutdown().clone();
        let mut stopped = pin!(shutdown.stopped());
        let now = clock::now();
        let mut timer = pin!(tokio::time::sleep_until(now.into()));
        let mut pace = ReadPace::new(now);
        let ahead = self.heads.take();
        if self.take(now, upload, &ahead)? {
            return Ok(());
        }
        drop(ahead);
        loop {
            let now = clock::now();
            let (read, complete) = self.read_body(now, upload)?;
            if complete {
                return Ok(());
            }
            let deadline = self.next_look(now, upload)?;
            if read.more {
                tokio::task::yield_now().await;
                continue;
            }
            arm(timer.as_mut(), deadline);
            let watched = upload.ingest.publisher().has_viewers();
            let tick = self.gate.read_tick(&mut pace, now, read.bytes, watched);
            tick.apply(conn.socket())?;
            tokio::select! {
                readable = conn.socket().readable(), if tick == Tick::Watch => readable?,
                () = tick.elapsed() => {}
                () = timer.as_mut() => {}
                reason = conn.session().kicked() => {
                    return Err(End::from(reason).with(Word::Status(Status::CONFLICT)));
                }
                () = stopped.as_mut() => {
                    return Err(End::drained().with(Word::Status(Status::UNAVAILABLE)));
                }
            }
        }
    }

    fn read_body(&mut self, now: Instant, upload: &mut Upload) -> Result<(Read, bool), End> {
        let (gate, conn) = (self.gate.clone(), Rc::clone(&self.conn));
        let mut complete = false;
        let read = read(&gate, conn.socket(), |input| {
            self.opened.received(input.len());
            complete = self.take(now, upload, input)?;
            Ok(!complete)
        })?;
        Ok((read, complete))
    }

    /// Takes in a part of the body; what follows the body is kept for the next request.
    fn take(&mut self, now: Instant, upload: &mut Upload, mut input: &[u8]) -> Result<bool, End> {
        let complete = upload.take(now, &mut input)?;
        self.heads.push(input);
        Ok(complete)
    }

    /// Ends an upload that says nothing; tells when to look again.
    fn next_look(&self, now: Instant, upload: &Upload) -> Result<Instant, End> {
        if let Some(closed) = self.conn.closed() {
            return Err(closed.into());
        }
        let due = upload.ingest.last() + self.gate.settings().publish_idle;
        if due <= now {
            let text = "the publisher sent nothing";
            return Err(End::answered(Status::TIMEOUT, "publish_idle", text));
        }
        Ok(due)
    }
}
