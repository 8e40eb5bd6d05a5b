//! Publishing: from a POST or PUT to the end of its body.
//!
//! Owns: an upload under way and the pace of its reads. Does not: parse FLV or MPEG-TS, or know what becomes of frames.

use std::pin::pin;
use std::rc::Rc;
use std::time::Instant;

use weir_container::{flv, ts};
use weir_gate::{Address, Ingest, ReadPace, Tick, arm};
use weir_hub::{PublishError, Publisher, SessionRole, Unpublished};
use weir_net::clock;

use crate::connection::{Connection, Read, read};
use crate::egress::Container;
use crate::end::{End, Word};
use crate::response::{CONTINUE, Status};
use weir_http::body::{Body, Part};
use weir_http::request::{BodyLength, Request};

/// How much of a body may go by without a packet of a transport stream in it: far more than a receiver needs to find
/// its place.
const MOST_WITHOUT_PACKETS: u64 = 256 << 10;

/// Whatever the body's container is.
enum Reader {
    Flv(flv::Reader),
    /// Boxed: it is larger by far.
    Ts(Box<ts::Demuxer>),
}

/// A body on its way into the hub.
struct Upload {
    body: Body,
    reader: Reader,
    ingest: Ingest,
    /// Tags or frames taken in.
    count: u64,
}

impl Upload {
    /// Takes in what was read, and shortens it; true when the body is complete.
    fn take(&mut self, now: Instant, input: &mut &[u8]) -> Result<bool, End> {
        loop {
            match self.body.next(input)? {
                Part::Data(data) => self.media(now, data)?,
                Part::More => return Ok(false),
                Part::End => return self.complete(now).map(|()| true),
            }
        }
    }

    fn media(&mut self, now: Instant, data: &[u8]) -> Result<(), End> {
        match &mut self.reader {
            Reader::Flv(reader) => {
                let mut data = data;
                while let Some(tag) = reader.read(&mut data).map_err(|error| {
                    broken(format!("{error}, noticed at byte {}", reader.offset()))
                })? {
                    let offset = reader.offset();
                    self.ingest
                        .push(now, tag.kind, tag.timestamp, tag.body, offset)?;
                    self.count += 1;
                }
                Ok(())
            }
            Reader::Ts(demuxer) => {
                // a part is at most what one read took, and what comes of it is taken at once
                demuxer.push(data);
                let counters = demuxer.counters();
                if counters.packets == 0 && counters.skipped_bytes > MOST_WITHOUT_PACKETS {
                    return Err(broken("the body is no MPEG-TS".to_owned()));
                }
                self.frames(now)
            }
        }
    }

    /// Takes in the frames of a transport stream that are complete.
    fn frames(&mut self, now: Instant) -> Result<(), End> {
        if let Reader::Ts(demuxer) = &mut self.reader {
            while let Some(frame) = demuxer.pull() {
                self.ingest.push_frame(now, frame)?;
                self.count += 1;
            }
        }
        Ok(())
    }

    fn complete(&mut self, now: Instant) -> Result<(), End> {
        match &mut self.reader {
            Reader::Flv(reader) if reader.is_between_tags() => Ok(()),
            Reader::Flv(reader) => Err(broken(format!(
                "the FLV ends too soon, at byte {}",
                reader.offset()
            ))),
            Reader::Ts(demuxer) => {
                demuxer.flush();
                let counters = demuxer.counters();
                tracing::debug!(stream = %self.ingest.publisher().key(), ?counters, "mpeg-ts ended");
                if counters.packets == 0 {
                    return Err(broken("the body is no MPEG-TS".to_owned()));
                }
                self.frames(now)
            }
        }
    }

    /// What was published, for people.
    fn summary(&self) -> String {
        match &self.reader {
            Reader::Flv(_) => format!("published {} tags", self.count),
            Reader::Ts(_) => format!("published {} frames", self.count),
        }
    }
}

fn broken(text: String) -> End {
    End::answered(Status::BAD_REQUEST, "protocol_error", text)
}

impl Connection {
    /// Answers a POST or PUT for a stream when its body is complete.
    pub(crate) async fn publish(
        &mut self,
        address: Address,
        container: Container,
        request: &Request,
    ) -> Result<(), End> {
        let mut upload = self.begin_upload(&address, container, request)?;
        let received = self.receive(&mut upload).await;
        let now = clock::now();
        match received {
            Ok(()) => {
                let text = upload.summary();
                upload.ingest.finish(now, Unpublished::Finished);
                self.conn.socket().watch()?;
                self.reply(Status::OK, &[], &format!("{text}\n"))
                    .map_err(|_| End::told("published", text))
            }
            Err(end) => {
                upload.ingest.finish(now, Unpublished::Lost);
                Err(end)
            }
        }
    }

    fn begin_upload(
        &self,
        address: &Address,
        container: Container,
        request: &Request,
    ) -> Result<Upload, End> {
        if !self.port.settings.publish {
            let text = "publishing over HTTP is turned off on this server";
            return Err(End::answered(Status::FORBIDDEN, "refused", text));
        }
        if request.body == BodyLength::None {
            let text = "publishing needs a body, of known length or chunked";
            return Err(End::answered(Status::LENGTH_REQUIRED, "refused", text));
        }
        let now = clock::now();
        let publisher = self.publisher(now, address)?;
        if request.expects_continue && self.heads.is_empty() {
            self.conn.say(&mut CONTINUE.to_vec(), now);
        }
        let limit = self.gate.settings().max_message_bytes;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(Upload {
            body: Body::new(request.body),
            reader: match container {
                Container::Flv => Reader::Flv(flv::Reader::new(limit)),
                Container::Ts => Reader::Ts(Box::new(ts::Demuxer::new(limit))),
            },
            ingest: self.gate.ingest(publisher, self.opened.session().id, now),
            count: 0,
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
